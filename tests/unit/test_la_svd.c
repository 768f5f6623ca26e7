/*
 * test_la_svd.c: eigenvalues of symmetric matrices against what they are defined by; singular values of sparse matrices
 * against the eigenvalues of A A' by the former, on ragged sizes, low ranks and equal values.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "la/la.h"

static forage_isa best;

static int find_isa(void **state)
{
    forage_device device;
    (void)state;
    assert_int_equal(forage_device_open("auto", 1, &device, NULL), FORAGE_OK);
    best = device.isa;
    return 0;
}

static void close_to(double found, double wanted, double size)
{
    if (!(fabs(found - wanted) <= size))
        fail_msg("%.17g instead of %.17g", found, wanted);
}

static void *array(size_t count, size_t size)
{
    void *made = forage_calloc(count + 1, size);
    assert_non_null(made);
    return made;
}

/* ---- eigenvalues ---- */

static double at(const double *packed, size_t n, size_t i, size_t j)
{
    return i <= j ? packed[la_packed(n) - la_packed(n - i) + j - i] : at(packed, n, j, i);
}

/* A v = lambda v, V V' = 1, lambda falling; the same bytes from every instruction set. */
static void check_eigen(size_t n, const double *a)
{
    double *copy = array(la_packed(n), sizeof *copy), *values = array(n, sizeof *values),
           *other = array(n, sizeof *other);
    double *vectors = array(n * n, sizeof *vectors), *scratch = array(3 * n, sizeof *scratch), size = 0;
    for (int isa = FORAGE_ISA_PORTABLE; isa <= (int)best; isa++) {
        memcpy(copy, a, la_packed(n) * sizeof *copy);
        assert_true(la_eigen(la_kernels_for((forage_isa)isa), n, copy, values, vectors, scratch));
        if (isa == FORAGE_ISA_PORTABLE)
            memcpy(other, values, n * sizeof *other);
        assert_memory_equal(values, other, n * sizeof *values);
    }
    for (size_t i = 0; i < la_packed(n); i++)
        size = fmax(size, fabs(a[i]));
    double tolerance = 1e-14 * (double)n * size;
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || values[i] <= values[i - 1]);
        for (size_t j = 0; j < n; j++) {
            double product = 0, dot = 0;
            for (size_t k = 0; k < n; k++) {
                product += at(a, n, j, k) * vectors[i * n + k];
                dot += vectors[i * n + k] * vectors[j * n + k];
            }
            close_to(product, values[i] * vectors[i * n + j], tolerance);
            close_to(dot, i == j, 1e-14 * (double)(n + 5));
        }
    }
    forage_free(copy);
    forage_free(values);
    forage_free(other);
    forage_free(vectors);
    forage_free(scratch);
}

static void test_eigen(void **state)
{
    enum { MOST = 70 };
    static double a[MOST * (MOST + 1) / 2];
    forage_rng rng;
    (void)state;
    forage_rng_seed(&rng, 1);
    for (size_t n = 0; n <= MOST; n += n < 20 ? 1 : 7) {
        for (size_t i = 0; i < la_packed(n); i++)
            a[i] = forage_rng_normal(&rng);
        check_eigen(n, a);
        /* Graded, of rank 1, diagonal, the identity, zero. */
        size_t e = 0;
        for (size_t i = 0; i < n; i++) {
            for (size_t j = i; j < n; j++)
                a[e++] *= pow(10, -0.2 * (double)(i + j));
        }
        check_eigen(n, a);
        for (size_t kind = 0; kind < 4; kind++) {
            e = 0;
            for (size_t i = 0; i < n; i++) {
                for (size_t j = i; j < n; j++)
                    a[e++] = kind == 0   ? (double)((i + 1) * (j + 1))
                             : kind == 3 ? 0
                             : i == j    ? (kind == 1 ? (double)(i % 5) : 1)
                                         : 0;
            }
            check_eigen(n, a);
        }
    }
}

/* numpy.linalg.eigvalsh of the 5 x 5 Hilbert matrix, falling. */
static void test_eigen_known(void **state)
{
    static const double wanted[] = {1.5670506910982307, 0.20853421861101332, 0.01140749162341972,
                                    0.00030589804015115674, 3.287928772164548e-06};
    double a[15], values[5], vectors[25], scratch[15];
    size_t e = 0;
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        for (size_t j = i; j < 5; j++)
            a[e++] = 1 / (double)(i + j + 1);
    }
    assert_true(la_eigen(la_kernels_for(best), 5, a, values, vectors, scratch));
    for (size_t i = 0; i < 5; i++)
        close_to(values[i], wanted[i], 1e-15);
}

static void test_eigen_of_no_numbers(void **state)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    (void)state;
    for (size_t b = 0; b < 3; b++) {
        for (size_t place = 0; place < 10; place++) {
            double a[10] = {4, 1, 0.5, 2, 3, 0.25, 1, 2, 0.125, 1}, values[4], vectors[16], scratch[12];
            a[place] = bad[b];
            assert_false(la_eigen(la_kernels_for(best), 4, a, values, vectors, scratch));
        }
    }
}

/* ---- singular values ---- */

typedef struct sparse {
    size_t rows, columns;
    double *dense; /* [rows, columns] */
    size_t *offsets, *turned_offsets;
    uint32_t *others, *turned_others;
    float *values, *turned_values;
} sparse;

static void compress(size_t rows, size_t columns, const double *dense, bool turned, size_t *offsets, uint32_t *others,
                     float *values)
{
    size_t count = 0;
    for (size_t r = 0; r < (turned ? columns : rows); r++) {
        offsets[r] = count;
        for (size_t c = 0; c < (turned ? rows : columns); c++) {
            double value = turned ? dense[c * columns + r] : dense[r * columns + c];
            if (value == 0)
                continue;
            others[count] = (uint32_t)c;
            values[count++] = (float)value;
        }
    }
    offsets[turned ? columns : rows] = count;
}

static sparse finish(size_t rows, size_t columns, double *dense)
{
    size_t most = rows * columns;
    sparse made = {rows,
                   columns,
                   dense,
                   array(rows + 1, sizeof(size_t)),
                   array(columns + 1, sizeof(size_t)),
                   array(most, sizeof(uint32_t)),
                   array(most, sizeof(uint32_t)),
                   array(most, sizeof(float)),
                   array(most, sizeof(float))};
    compress(rows, columns, dense, false, made.offsets, made.others, made.values);
    compress(rows, columns, dense, true, made.turned_offsets, made.turned_others, made.turned_values);
    return made;
}

static void release(sparse *matrix)
{
    forage_free(matrix->dense);
    forage_free(matrix->offsets);
    forage_free(matrix->turned_offsets);
    forage_free(matrix->others);
    forage_free(matrix->turned_others);
    forage_free(matrix->values);
    forage_free(matrix->turned_values);
}

static sparse random_matrix(size_t rows, size_t columns, double density, uint64_t seed)
{
    double *dense = array(rows * columns, sizeof *dense);
    forage_rng rng;
    forage_rng_seed(&rng, seed);
    for (size_t i = 0; i < rows * columns; i++)
        dense[i] = forage_rng_double(&rng) < density ? (double)(float)forage_rng_double(&rng) : 0;
    return finish(rows, columns, dense);
}

static la_svd_task task_of(const sparse *matrix, size_t rank, int threads)
{
    return (la_svd_task){
        .matrix = {matrix->rows, matrix->offsets, matrix->others, matrix->values},
        .transposed = {matrix->columns, matrix->turned_offsets, matrix->turned_others, matrix->turned_values},
        .rank = rank,
        .seed = 3,
        .isa = best,
        .threads = threads,
    };
}

static la_svd *decompose(const la_svd_task *task)
{
    la_svd *svd;
    assert_int_equal(la_svd_create(task, &svd, NULL), FORAGE_OK);
    for (size_t steps = 0; !svd->finished; steps++) {
        assert_true(steps < 1000);
        assert_true(la_svd_step(svd));
    }
    return svd;
}

/* All squared singular values, falling. */
static double *exact(const sparse *matrix)
{
    size_t n = matrix->rows, e = 0;
    double *a = array(la_packed(n), sizeof *a), *values = array(n, sizeof *values);
    double *vectors = array(n * n, sizeof *vectors), *scratch = array(3 * n, sizeof *scratch);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++, e++) {
            for (size_t k = 0; k < matrix->columns; k++)
                a[e] += matrix->dense[i * matrix->columns + k] * matrix->dense[j * matrix->columns + k];
        }
    }
    assert_true(la_eigen(la_kernels_for(best), n, a, values, vectors, scratch));
    forage_free(a);
    forage_free(vectors);
    forage_free(scratch);
    return values;
}

/* Values within `tolerance` of the largest, orthonormal vectors, A v = s u. */
static void check_svd(const sparse *matrix, const la_svd *svd, size_t wanted, double tolerance)
{
    double *values = exact(matrix);
    size_t rank = svd->rank, pitch = rank + 3;
    float *left = array(matrix->rows * pitch, sizeof *left), *right = array(matrix->columns * pitch, sizeof *right);
    assert_int_equal(rank, wanted);
    la_svd_vectors(svd, false, pitch, left);
    la_svd_vectors(svd, true, pitch, right);
    for (size_t k = 0; k < rank; k++) {
        double s = sqrt(svd->values[k]), error = 0;
        close_to(svd->values[k], values[k], tolerance * values[0]);
        for (size_t r = 0; r < matrix->rows; r++) {
            double product = 0;
            for (size_t c = 0; c < matrix->columns; c++)
                product += matrix->dense[r * matrix->columns + c] * (double)right[c * pitch + k];
            error += pow(product - s * (double)left[r * pitch + k], 2);
        }
        close_to(sqrt(error), 0, 2e-3 * sqrt(values[0]));
        for (size_t l = 0; l < rank; l++) {
            double dot = 0, dot_right = 0;
            for (size_t r = 0; r < matrix->rows; r++)
                dot += (double)left[r * pitch + k] * (double)left[r * pitch + l];
            for (size_t c = 0; c < matrix->columns; c++)
                dot_right += (double)right[c * pitch + k] * (double)right[c * pitch + l];
            close_to(dot, k == l, 2e-6);
            close_to(dot_right, k == l, 3e-6 * sqrt(values[0]) / s);
        }
        for (size_t beyond = rank; beyond < pitch; beyond++)
            assert_true(left[k * pitch + beyond] == 0 && right[k * pitch + beyond] == 0);
    }
    forage_free(values);
    forage_free(left);
    forage_free(right);
}

static void test_svd(void **state)
{
    static const size_t sizes[][3] = {{1, 1, 1},     {3, 5, 2},     {17, 17, 9},    {40, 61, 1},
                                      {130, 131, 5}, {200, 300, 7}, {150, 400, 60}, {90, 95, 90}};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sparse matrix = random_matrix(sizes[i][0], sizes[i][1], i < 3 ? 0.9 : 0.1, i);
        const la_svd_task task = task_of(&matrix, sizes[i][2], 1);
        la_svd *svd = decompose(&task);
        check_svd(&matrix, svd, sizes[i][2], 1e-6);
        la_svd_free(svd);
        release(&matrix);
    }
}

static void test_more_than_there_are(void **state)
{
    (void)state;
    sparse matrix = random_matrix(12, 30, 0.5, 5);
    const la_svd_task task = task_of(&matrix, 100, 2);
    la_svd *svd = decompose(&task);
    check_svd(&matrix, svd, 12, 1e-6);
    la_svd_free(svd);
    release(&matrix);
}

/* Rank 4 in 120 rows: the block shrinks to what there is. */
static void test_low_rank(void **state)
{
    enum { ROWS = 120, COLUMNS = 150, RANK = 4 };
    double *dense = array(ROWS * COLUMNS, sizeof *dense);
    (void)state;
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t c = 0; c < COLUMNS; c++) /* four blocks without anything in common */
            dense[r * COLUMNS + c] = r % RANK == c % RANK ? 0.25 * (double)(1 + r % RANK) : 0;
    }
    sparse matrix = finish(ROWS, COLUMNS, dense);
    const la_svd_task task = task_of(&matrix, 9, 2);
    la_svd *svd = decompose(&task);
    check_svd(&matrix, svd, RANK, 1e-6);
    la_svd_free(svd);
    release(&matrix);
}

/* A hundred equal singular values, of which any ten are right. */
static void test_equal_values(void **state)
{
    enum { SIZE = 100 };
    double *dense = array(SIZE * SIZE, sizeof *dense);
    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        dense[i * SIZE + (i * 7) % SIZE] = 0.5;
    sparse matrix = finish(SIZE, SIZE, dense);
    const la_svd_task task = task_of(&matrix, 10, 1);
    la_svd *svd = decompose(&task);
    check_svd(&matrix, svd, 10, 1e-6);
    la_svd_free(svd);
    release(&matrix);
}

static void test_nothing(void **state)
{
    sparse matrix = finish(5, 6, array(30, sizeof(double)));
    const la_svd_task task = task_of(&matrix, 2, 1);
    la_svd *svd;
    (void)state;
    assert_int_equal(la_svd_create(&task, &svd, NULL), FORAGE_OK);
    assert_false(la_svd_step(svd));
    la_svd_free(svd);
    release(&matrix);
}

/* The same bytes for any number of threads, and for one that is taken up again after every step. */
static void test_same_bytes(void **state)
{
    sparse matrix = random_matrix(300, 450, 0.05, 8);
    la_svd *first = NULL;
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        const la_svd_task task = task_of(&matrix, 40, threads);
        la_svd *svd = decompose(&task);
        if (!first)
            first = svd;
        assert_memory_equal(svd->block, first->block, matrix.rows * svd->pitch * sizeof *svd->block);
        assert_memory_equal(svd->values, first->values, svd->pitch * sizeof *svd->values);
        if (svd != first)
            la_svd_free(svd);
    }
    const la_svd_task task = task_of(&matrix, 40, 2);
    la_svd *svd;
    assert_int_equal(la_svd_create(&task, &svd, NULL), FORAGE_OK);
    while (!svd->finished) {
        la_svd *next;
        assert_true(la_svd_step(svd));
        if (svd->finished)
            break;
        assert_int_equal(la_svd_create(&task, &next, NULL), FORAGE_OK);
        memcpy(next->place, svd->place, sizeof svd->place);
        memcpy(next->block, svd->block, matrix.rows * svd->pitch * sizeof *svd->block);
        memcpy(next->previous, svd->previous, matrix.rows * svd->pitch * sizeof *svd->previous);
        memcpy(next->values, svd->values, svd->pitch * sizeof *svd->values);
        assert_true(la_svd_restore(next));
        la_svd_free(svd);
        svd = next;
    }
    assert_memory_equal(svd->block, first->block, matrix.rows * svd->pitch * sizeof *svd->block);
    la_svd_free(svd);
    la_svd_free(first);
    release(&matrix);
}

/* Ended early it is still a decomposition, though not an exact one. */
static void test_last_step(void **state)
{
    sparse matrix = random_matrix(200, 300, 0.1, 9);
    double *values = exact(&matrix);
    (void)state;
    for (size_t steps = 0; steps < 6; steps++) {
        const la_svd_task task = task_of(&matrix, 20, 1);
        la_svd *svd;
        assert_int_equal(la_svd_create(&task, &svd, NULL), FORAGE_OK);
        for (size_t i = 0; i < steps; i++)
            assert_true(la_svd_step(svd));
        assert_false(svd->finished);
        svd->last = true;
        assert_true(la_svd_step(svd));
        assert_true(svd->finished);
        assert_int_equal(svd->rank, 20);
        for (size_t k = 0; k < 20; k++) /* from within the space, so never too much */
            assert_true(svd->values[k] > 0 && svd->values[k] <= values[k] + 1e-6 * values[0]);
        la_svd_free(svd);
    }
    forage_free(values);
    release(&matrix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eigen),
        cmocka_unit_test(test_eigen_known),
        cmocka_unit_test(test_eigen_of_no_numbers),
        cmocka_unit_test(test_svd),
        cmocka_unit_test(test_more_than_there_are),
        cmocka_unit_test(test_low_rank),
        cmocka_unit_test(test_equal_values),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_last_step),
    };
    return cmocka_run_group_tests_name("la_svd", tests, find_isa, NULL);
}
