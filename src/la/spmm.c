/*
 * spmm.c: products of a sparse matrix in compressed rows with a dense one.
 *
 * The dense rows are read in no order that a cache could foresee, so they are asked for a few entries
 * ahead. A row of the result is summed by one thread in the order of its columns, with a rounding after each
 * product and each sum, so neither threads nor instruction sets change a bit of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/la.h"

enum {
    AHEAD = 12,           /* entries between asking for a row and using it */
    GATHER = 256,         /* entries looked up in `slots` at a time */
    CHUNK_WORK = 1 << 15, /* entries of a chunk, about */
    ROW_WORK = 4,         /* what a row costs beside its entries, in entries */
};

typedef float narrow_vector __attribute__((vector_size(16)));
typedef float wide_vector __attribute__((vector_size(32)));
typedef float widest_vector __attribute__((vector_size(64)));
typedef float loose_narrow __attribute__((vector_size(16), aligned(4), may_alias));
typedef float loose_wide __attribute__((vector_size(32), aligned(4), may_alias));
typedef float loose_widest __attribute__((vector_size(64), aligned(4), may_alias));

#define KERNEL_TARGET
#define KERNEL(name) portable_##name
#define VECTOR narrow_vector
#define LOOSE_VECTOR loose_narrow
#define WIDE 8
#include "la/spmm_body.h"
#undef KERNEL_TARGET
#undef KERNEL
#undef VECTOR
#undef LOOSE_VECTOR
#undef WIDE

#if defined(__x86_64__)

#define KERNEL_TARGET __attribute__((target("avx2")))
#define KERNEL(name) avx2_##name
#define VECTOR wide_vector
#define LOOSE_VECTOR loose_wide
#define WIDE 8
#include "la/spmm_body.h"
#undef KERNEL_TARGET
#undef KERNEL
#undef VECTOR
#undef LOOSE_VECTOR
#undef WIDE

#if defined(__clang__)
#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), min_vector_width(512)))
#else
#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif
#define KERNEL(name) avx512_##name
#define VECTOR widest_vector
#define LOOSE_VECTOR loose_widest
#define WIDE 4
#include "la/spmm_body.h"
#undef KERNEL_TARGET
#undef KERNEL
#undef VECTOR
#undef LOOSE_VECTOR
#undef WIDE

#endif

void la_spmm_part(const la_spmm *task, forage_isa isa, size_t begin, size_t end, float *out)
{
#if defined(__x86_64__)
    if (isa >= FORAGE_ISA_AVX512) {
        avx512_rows(task, begin, end, out);
        return;
    }
    if (isa >= FORAGE_ISA_AVX2) {
        avx2_rows(task, begin, end, out);
        return;
    }
#endif
    (void)isa;
    portable_rows(task, begin, end, out);
}

/* What rows [0, i) of a product over all rows cost. */
static size_t work_before(const la_csr *matrix, size_t i)
{
    return matrix->offsets[i] - matrix->offsets[0] + i * ROW_WORK;
}

size_t la_csr_chunks(const la_csr *matrix)
{
    return work_before(matrix, matrix->rows) / CHUNK_WORK + 1;
}

size_t la_csr_chunk(const la_csr *matrix, size_t chunk)
{
    size_t total = work_before(matrix, matrix->rows), chunks = total / CHUNK_WORK + 1;
    size_t low = 0, high = matrix->rows;
    if (chunk >= chunks)
        return matrix->rows;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (work_before(matrix, middle) < chunk * CHUNK_WORK)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

typedef struct product {
    const la_spmm *task;
    forage_isa isa;
    size_t rows; /* of a chunk, with a list */
} product;

static void do_chunk(void *context, size_t chunk, int worker)
{
    const product *p = context;
    const la_spmm *task = p->task;
    size_t begin = chunk * p->rows, end = task->list_count - begin < p->rows ? task->list_count : begin + p->rows;
    (void)worker;
    if (!task->list) {
        begin = la_csr_chunk(&task->matrix, chunk);
        end = la_csr_chunk(&task->matrix, chunk + 1);
    }
    la_spmm_part(task, p->isa, begin, end, task->out + begin * task->width);
}

void la_spmm_run(const la_spmm *task, forage_isa isa, int threads)
{
    product p = {task, isa, 0};
    size_t chunks = la_csr_chunks(&task->matrix);
    if (task->list) {
        p.rows = task->list_count / (8 * (size_t)threads) + 1;
        chunks = (task->list_count + p.rows - 1) / p.rows;
    }
    forage_parallel_for(threads, chunks, do_chunk, &p);
}
