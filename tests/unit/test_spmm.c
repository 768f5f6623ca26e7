/*
 * test_spmm.c: sparse products against plain loops, to the bit: every product and sum is rounded, in the order of the
 * columns, whatever the instruction set and the number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "la/la.h"

static void *array(size_t count, size_t size)
{
    void *made = forage_calloc(count + 1, size);
    assert_non_null(made);
    return made;
}

static float *numbers(forage_rng *rng, size_t count)
{
    float *made = array(count, sizeof *made);
    for (size_t i = 0; i < count; i++)
        made[i] = (float)forage_rng_normal(rng);
    return made;
}

typedef struct sparse {
    la_csr csr;
    size_t columns;
    size_t *offsets;
    uint32_t *indices;
    float *values;
} sparse;

/* Rows of 0 to `longest` entries; columns may come in any order. */
static sparse make_matrix(forage_rng *rng, size_t rows, size_t columns, size_t longest)
{
    sparse m = {.columns = columns, .offsets = array(rows + 1, sizeof *m.offsets)};
    m.offsets[0] = forage_rng_integers(rng, 5); /* a part of a larger one */
    for (size_t r = 0; r < rows; r++) {
        uint64_t kind = forage_rng_integers(rng, 4);
        size_t most = kind == 0 ? 0 : kind == 1 ? longest : longest / 8;
        m.offsets[r + 1] = m.offsets[r] + (most ? forage_rng_integers(rng, most + 1) : 0);
    }
    size_t count = m.offsets[rows];
    m.indices = array(count, sizeof *m.indices);
    m.values = numbers(rng, count);
    for (size_t e = 0; e < count; e++)
        m.indices[e] = (uint32_t)forage_rng_integers(rng, columns);
    m.csr = (la_csr){rows, m.offsets, m.indices, m.values};
    return m;
}

static void free_matrix(sparse *m)
{
    forage_free(m->offsets);
    forage_free(m->indices);
    forage_free(m->values);
}

/* Rows of `out` that are to be computed. */
static size_t rows_of(const la_spmm *task)
{
    return task->list ? task->list_count : task->matrix.rows;
}

static void plain(const la_spmm *task, float *out)
{
    const la_csr *matrix = &task->matrix;
    for (size_t i = 0; i < rows_of(task); i++) {
        size_t r = task->list ? task->list[i] : i;
        for (size_t j = 0; j < task->width; j++) {
            float sum = task->add ? task->add[i * task->width + j] : 0;
            for (size_t e = matrix->offsets[r]; e < matrix->offsets[r + 1]; e++) {
                size_t from = task->slots ? task->slots[matrix->columns[e]] : matrix->columns[e];
                if (from != FORAGE_NONE)
                    sum += matrix->values[e] * task->in[from * task->width + j];
            }
            out[i * task->width + j] = sum * task->scale;
        }
    }
}

/* The task by all instruction sets and 1 to 4 threads, in place of `add`, too. */
static void check(la_spmm task)
{
    static const char *const devices[] = {"cpu:portable", "cpu:avx2", "cpu:avx512"};
    size_t count = rows_of(&task) * task.width;
    float *want = array(count, sizeof *want), *have = array(count, sizeof *have);
    plain(&task, want);
    for (size_t d = 0; d < 3; d++) {
        forage_device device;
        if (forage_device_open(devices[d], 1, &device, NULL) != FORAGE_OK)
            continue; /* this CPU has it not */
        for (int threads = 1; threads <= 4; threads++) {
            memset(have, 0xff, count * sizeof *have);
            task.out = have;
            la_spmm_run(&task, device.isa, threads);
            assert_memory_equal(have, want, count * sizeof *have);
        }
        if (task.add) {
            la_spmm over = task;
            memcpy(have, task.add, count * sizeof *have);
            over.add = over.out = have;
            la_spmm_run(&over, device.isa, 2);
            assert_memory_equal(have, want, count * sizeof *have);
        }
        size_t rows = rows_of(&task), begin = rows / 3, end = rows - rows / 4;
        memset(have, 0xff, count * sizeof *have);
        la_spmm_part(&task, device.isa, begin, end, have);
        assert_memory_equal(have, want + begin * task.width, (end - begin) * task.width * sizeof *have);
        for (size_t i = (end - begin) * task.width; i < count; i++)
            assert_true(isnan(have[i]));
    }
    forage_free(want);
    forage_free(have);
}

static void products_are_those_of_plain_loops(void **state)
{
    (void)state;
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    for (size_t width = 16; width <= 208; width += 16) {
        size_t rows = 1 + forage_rng_integers(&rng, 60), columns = 1 + forage_rng_integers(&rng, 90);
        sparse m = make_matrix(&rng, rows, columns, width % 48 ? 40 : 700);
        size_t present = 1 + forage_rng_integers(&rng, columns), listed = 1 + forage_rng_integers(&rng, 2 * rows);
        float *in = numbers(&rng, columns * width), *add = numbers(&rng, (rows + listed) * width);
        uint32_t *list = array(listed, sizeof *list), *slots = array(columns, sizeof *slots);
        for (size_t i = 0; i < listed; i++)
            list[i] = (uint32_t)forage_rng_integers(&rng, rows); /* in any order, some twice */
        for (size_t c = 0; c < columns; c++)
            slots[c] = forage_rng_integers(&rng, 3) ? FORAGE_NONE : (uint32_t)forage_rng_integers(&rng, present);
        for (unsigned how = 0; how < 16; how++) {
            la_spmm task = {.matrix = m.csr, .width = width, .in = in, .scale = how & 8 ? 0.3F : 1};
            if (how & 1)
                task.add = add;
            if (how & 2) {
                task.list = list;
                task.list_count = listed;
            }
            if (how & 4)
                task.slots = slots;
            check(task);
        }
        forage_free(in);
        forage_free(add);
        forage_free(list);
        forage_free(slots);
        free_matrix(&m);
    }
}

static void nothing_to_do(void **state)
{
    (void)state;
    const size_t offsets[] = {0, 0};
    float in[16] = {0}, out[16] = {7};
    const uint32_t list[1] = {0};
    la_spmm task = {.matrix = {0, offsets, NULL, NULL}, .width = 16, .in = in, .out = out, .scale = 1};
    la_spmm_run(&task, FORAGE_ISA_PORTABLE, 2);
    task.matrix.rows = 1;
    task.list = list;
    la_spmm_run(&task, FORAGE_ISA_PORTABLE, 2);
    assert_true(out[0] == 7);
    task.list = NULL;
    la_spmm_run(&task, FORAGE_ISA_PORTABLE, 2);
    assert_true(out[0] == 0);
}

/* Chunks follow each other without gaps from the first row to the last, and none has much more than its share. */
static void chunks_cover_all_rows(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{0, 0}, {1, 0}, {1, 200000}, {50000, 0}, {300, 2000}, {20000, 20}, {7, 90000}};
    forage_rng rng;
    forage_rng_seed(&rng, 3);
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        size_t rows = shapes[s][0], longest = 0, at = 0;
        size_t *offsets = array(rows + 1, sizeof *offsets);
        offsets[0] = s;
        for (size_t r = 0; r < rows; r++) {
            size_t entries = forage_rng_integers(&rng, shapes[s][1] + 1);
            offsets[r + 1] = offsets[r] + entries;
            longest = entries > longest ? entries : longest;
        }
        const la_csr matrix = {rows, offsets, NULL, NULL};
        size_t chunks = la_csr_chunks(&matrix), total = offsets[rows] - offsets[0] + 4 * rows;
        assert_true(chunks >= 1 && chunks <= total / 30000 + 2);
        for (size_t c = 0; c < chunks; c++) {
            assert_int_equal(la_csr_chunk(&matrix, c), at);
            size_t end = la_csr_chunk(&matrix, c + 1);
            assert_true(end >= at && end <= rows);
            assert_true(offsets[end] - offsets[at] + 4 * (end - at) <= 40000 + longest);
            at = end;
        }
        assert_int_equal(at, rows);
        forage_free(offsets);
    }
}

/* The whole product over several chunks, the last of which is small. */
static void many_chunks(void **state)
{
    (void)state;
    forage_rng rng;
    forage_rng_seed(&rng, 6);
    sparse m = make_matrix(&rng, 3000, 500, 120);
    float *in = numbers(&rng, (size_t)500 * 16);
    assert_true(la_csr_chunks(&m.csr) > 2);
    check((la_spmm){.matrix = m.csr, .width = 16, .in = in, .scale = 1});
    forage_free(in);
    free_matrix(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_those_of_plain_loops),
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(chunks_cover_all_rows),
        cmocka_unit_test(many_chunks),
    };
    return cmocka_run_group_tests_name("spmm", tests, NULL, NULL);
}
