/*
 * spmm_body.h: rows of a sparse product, included once per instruction set with KERNEL_TARGET
 * (an attribute), KERNEL(name), VECTOR and LOOSE_VECTOR (types), and WIDE (vectors whose sums
 * stay in registers together) defined.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* out[VECTORS vectors] = scale (add + sum over e of values[e] in[columns[e]]) of the columns that `in` begins with. */
KERNEL_TARGET static inline __attribute__((always_inline)) void KERNEL(row)(size_t vectors, size_t width,
                                                                            const float *in, const uint32_t *columns,
                                                                            const float *values, size_t count,
                                                                            VECTOR *sum)
{
    for (size_t e = 0; e < count; e++) {
        const float *from = in + (size_t)columns[e] * width;
        float value = values[e];
        if (e + AHEAD < count) {
            const float *next = in + (size_t)columns[e + AHEAD] * width;
            for (size_t line = 0; line < vectors * sizeof(VECTOR); line += 64)
                __builtin_prefetch((const char *)next + line);
        }
        for (size_t j = 0; j < vectors; j++)
            sum[j] += value * ((const LOOSE_VECTOR *)from)[j];
    }
}

/* The entries of row `r` whose columns have a slot, from place *at on, at most GATHER of them. */
KERNEL_TARGET static inline size_t KERNEL(present)(const la_csr *matrix, const uint32_t *slots, size_t *at, size_t end,
                                                   uint32_t *columns, float *values)
{
    size_t found = 0, e = *at, stop = end - e < GATHER ? end : e + GATHER;
    for (; e < stop; e++) {
        uint32_t slot = slots[matrix->columns[e]];
        columns[found] = slot;
        values[found] = matrix->values[e];
        found += slot != FORAGE_NONE;
    }
    *at = e;
    return found;
}

/* One band of `vectors` vectors (a constant where this is inlined) of rows [begin, end). */
KERNEL_TARGET static inline __attribute__((always_inline)) void
KERNEL(band)(const la_spmm *task, size_t vectors, size_t offset, size_t begin, size_t end, float *out)
{
    const la_csr *matrix = &task->matrix;
    const float *in = task->in + offset;
    size_t width = task->width;
    for (size_t i = begin; i < end; i++) {
        size_t r = task->list ? task->list[i] : i;
        size_t first = matrix->offsets[r], last = matrix->offsets[r + 1];
        VECTOR sum[WIDE];
        for (size_t j = 0; j < vectors; j++) {
            sum[j] = (VECTOR){0};
            if (task->add)
                sum[j] = ((const LOOSE_VECTOR *)(task->add + i * width + offset))[j];
        }
        if (task->slots) {
            uint32_t columns[GATHER];
            float values[GATHER];
            while (first < last) {
                size_t found = KERNEL(present)(matrix, task->slots, &first, last, columns, values);
                KERNEL(row)(vectors, width, in, columns, values, found, sum);
            }
        } else {
            KERNEL(row)(vectors, width, in, matrix->columns + first, matrix->values + first, last - first, sum);
        }
        for (size_t j = 0; j < vectors; j++)
            ((LOOSE_VECTOR *)(out + (i - begin) * width + offset))[j] = sum[j] * task->scale;
    }
}

KERNEL_TARGET static void KERNEL(rows)(const la_spmm *task, size_t begin, size_t end, float *out)
{
    enum { LANES = sizeof(VECTOR) / sizeof(float) };
    size_t offset = 0;
    for (; offset + (size_t)WIDE * LANES <= task->width; offset += (size_t)WIDE * LANES)
        KERNEL(band)(task, WIDE, offset, begin, end, out);
    for (; offset < task->width; offset += LA_LANES)
        KERNEL(band)(task, LA_LANES / LANES, offset, begin, end, out);
}
