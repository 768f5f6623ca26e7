/*
 * test_la.c: every engine against sums in double precision, on ragged shapes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "la/la.h"

/* Numbers for the tests alone (splitmix64). */
static uint64_t draw(uint64_t *rng, uint64_t bound)
{
    uint64_t z = (*rng += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (z ^ (z >> 31)) % bound;
}

static float *random_matrix(uint64_t *rng, size_t count)
{
    float *values = forage_alloc(count, sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(((double)draw(rng, 2000001) - 1e6) / 1e6);
    return values;
}

/* Computes one shape with `engine` and compares; also that nothing outside of C is touched. */
static void check(uint64_t *rng, la_engine engine, la_shape s)
{
    size_t a_rows = s.transpose == LA_TN ? s.k : s.m;
    float *a = random_matrix(rng, a_rows * s.lda);
    float *b = random_matrix(rng, s.k * s.ldb);
    float *c = random_matrix(rng, s.m * s.ldc + 16);
    float *before = forage_alloc(s.m * s.ldc + 16, sizeof *before);
    assert_non_null(before);
    for (size_t i = 0; i < s.m * s.ldc + 16; i++)
        before[i] = c[i];
    la_gemm gemm;
    la_gemm_init(&gemm, engine, &s);
    la_gemm_run(&gemm, a, b, c);
    for (size_t i = 0; i < s.m * s.ldc + 16; i++) {
        size_t row = i / s.ldc, column = i % s.ldc;
        if (row >= s.m || column >= s.n) {
            assert_true(c[i] == before[i]);
            continue;
        }
        double sum = s.accumulate ? (double)before[i] : 0.0, size = fabs(sum);
        for (size_t k = 0; k < s.k; k++) {
            double product = (double)(s.transpose == LA_TN ? a[k * s.lda + row] : a[row * s.lda + k]) *
                             (double)b[k * s.ldb + column];
            sum += product;
            size += fabs(product);
        }
        if (fabs((double)c[i] - sum) > 1e-6 * size + 1e-30)
            fail_msg("%s: %zu x %zu x %zu: C[%zu,%zu] is %.9g, not %.9g", la_engine_name(engine), s.m, s.n, s.k, row,
                     column, (double)c[i], sum);
    }
    forage_free(a);
    forage_free(b);
    forage_free(c);
    forage_free(before);
}

static void every_engine_computes_the_same_product(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    forage_device device;
    assert_int_equal(forage_device_open("auto", 1, &device, NULL), FORAGE_OK);
    uint64_t rng = 20260;
    for (int engine = 0; engine < LA_ENGINE_COUNT; engine++) {
        if (!la_engine_available((la_engine)engine, device.isa)) {
            print_message("# %s: not here\n", la_engine_name((la_engine)engine));
            continue;
        }
        for (size_t trial = 0; trial < 210; trial++) {
            size_t large = trial < 200 ? 0 : 1; /* B is taken by panels */
            la_shape s = {.transpose = draw(&rng, 2) ? LA_TN : LA_NN,
                          .m = sizes[draw(&rng, COUNT)],
                          .n = sizes[draw(&rng, COUNT)] + large * 500,
                          .k = sizes[draw(&rng, COUNT)] + large * 260,
                          .accumulate = draw(&rng, 2) == 1};
            size_t slack = draw(&rng, 2) * 5;
            s.lda = (s.transpose == LA_TN ? s.m : s.k) + slack;
            s.ldb = s.n + slack;
            s.ldc = s.n + slack;
            check(&rng, (la_engine)engine, s);
        }
    }
}

static void a_steady_row_does_not_depend_on_its_place(void **state)
{
    (void)state;
    forage_device device;
    assert_int_equal(forage_device_open("auto", 1, &device, NULL), FORAGE_OK);
    uint64_t rng = 4;
    enum { M = 64, LARGEST = 600 }; /* of the larger ones, B is taken by panels, but not for a few rows */
    float *a = random_matrix(&rng, M * LARGEST), *b = random_matrix(&rng, LARGEST * LARGEST);
    float *c = random_matrix(&rng, M * LARGEST), *part = random_matrix(&rng, M * LARGEST);
    for (int isa = FORAGE_ISA_PORTABLE; isa <= (int)device.isa; isa++) {
        for (size_t trial = 0; trial < 60; trial++) {
            size_t n = 1 + draw(&rng, LARGEST), k = 1 + draw(&rng, LARGEST), rows = 1 + draw(&rng, M);
            size_t first = draw(&rng, M - rows + 1);
            la_shape s = {.transpose = LA_NN, .m = M, .n = n, .k = k, .lda = k, .ldb = n, .ldc = n};
            la_gemm all, some;
            la_gemm_init(&all, la_engine_steady((forage_isa)isa), &s);
            s.m = rows;
            la_gemm_init(&some, la_engine_steady((forage_isa)isa), &s);
            la_gemm_run(&all, a, b, c);
            la_gemm_run(&some, a + first * k, b, part);
            assert_memory_equal(part, c + first * n, rows * n * sizeof *part);
        }
    }
    forage_free(a);
    forage_free(b);
    forage_free(c);
    forage_free(part);
}

static void a_device_held_to_less_gets_less(void **state)
{
    (void)state;
    assert_int_equal(la_engine_best(FORAGE_ISA_PORTABLE) == LA_XSMM, 0);
    assert_false(la_engine_available(LA_AVX512, FORAGE_ISA_AVX2));
    assert_true(la_engine_available(LA_PORTABLE, FORAGE_ISA_PORTABLE));
    assert_string_equal(la_engine_name(LA_XSMM), "libxsmm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_engine_computes_the_same_product),
        cmocka_unit_test(a_steady_row_does_not_depend_on_its_place),
        cmocka_unit_test(a_device_held_to_less_gets_less),
    };
    return cmocka_run_group_tests_name("la", tests, NULL, NULL);
}
