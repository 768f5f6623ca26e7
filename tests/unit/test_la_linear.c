/*
 * test_la_linear.c: the kernels of linear models: against sums in double precision, on ragged sizes, the same bytes
 * from every instruction set; factors against the matrices that they are factors of.
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

enum { LARGEST = 70, ROWS = 37 };

static forage_isa isas[3];
static size_t isa_count;

static int find_isas(void **state)
{
    forage_device device;
    (void)state;
    assert_int_equal(forage_device_open("auto", 1, &device, NULL), FORAGE_OK);
    for (int isa = FORAGE_ISA_PORTABLE; isa <= (int)device.isa; isa++)
        isas[isa_count++] = (forage_isa)isa;
    return 0;
}

static void fill(forage_rng *rng, double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        numbers[i] = forage_rng_normal(rng);
}

static void fill_floats(forage_rng *rng, float *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        numbers[i] = (float)forage_rng_normal(rng);
}

static void close_to(double found, double wanted, double size)
{
    if (!(fabs(found - wanted) <= size))
        fail_msg("%.17g instead of %.17g", found, wanted);
}

static size_t row_of(size_t n, size_t i)
{
    return i * (2 * n - i + 1) / 2;
}

static void test_dots(void **state)
{
    static float rows[ROWS * 5 * LA_LANES], x[5 * LA_LANES], out[3][ROWS];
    uint32_t index[ROWS];
    forage_rng rng;
    (void)state;
    forage_rng_seed(&rng, 1);
    for (size_t pitch = LA_LANES; pitch <= 5 * LA_LANES; pitch += LA_LANES) {
        fill_floats(&rng, rows, ROWS * pitch);
        fill_floats(&rng, x, pitch);
        for (size_t count = 0; count <= ROWS; count += 6) {
            for (size_t i = 0; i < count; i++)
                index[i] = (uint32_t)forage_rng_integers(&rng, ROWS);
            for (size_t k = 0; k < isa_count; k++) {
                memset(out[k], 0, sizeof out[k]);
                la_kernels_for(isas[k])->dots(rows, pitch, index, count, x, out[k]);
                assert_memory_equal(out[k], out[0], sizeof out[k]);
            }
            for (size_t i = 0; i < count; i++) {
                double sum = 0;
                for (size_t j = 0; j < pitch; j++)
                    sum += (double)rows[index[i] * pitch + j] * (double)x[j];
                close_to((double)out[0][i], sum, 1e-5 * (double)pitch);
            }
        }
    }
}

static void test_forms(void **state)
{
    static float rows[ROWS * LARGEST], factor[64 * LARGEST * LA_LANES], dense[LARGEST][LARGEST], weights[LARGEST];
    static float offsets[4 * 80], dot[3][ROWS], square[3][ROWS];
    uint32_t slots[ROWS];
    forage_rng rng;
    (void)state;
    forage_rng_seed(&rng, 2);
    for (size_t width = 1; width <= LARGEST; width += width < 34 ? 1 : 6) {
        size_t pitch = la_padded(width), count = 1 + forage_rng_integers(&rng, ROWS);
        assert_true(la_factor_size(width) <= sizeof factor / sizeof factor[0]);
        memset(factor, 0, sizeof factor);
        memset(offsets, 0, sizeof offsets);
        fill_floats(&rng, rows, ROWS * width);
        fill_floats(&rng, weights, width);
        for (size_t s = 0; s < 4; s++)
            fill_floats(&rng, offsets + s * pitch, width);
        for (size_t j = 0; j < width; j++) {
            for (size_t i = 0; i <= j; i++) {
                size_t at = la_factor_at(j / LA_LANES, i) + j % LA_LANES;
                assert_true(at < la_factor_size(width));
                factor[at] = dense[i][j] = (float)forage_rng_normal(&rng);
            }
        }
        for (size_t i = 0; i < count; i++)
            slots[i] = (uint32_t)forage_rng_integers(&rng, 4);
        bool slotted = width % 2;
        for (size_t k = 0; k < isa_count; k++) {
            const la_kernels *kernels = la_kernels_for(isas[k]);
            la_forms all = {count, width, rows, factor, offsets, slotted ? slots : NULL, weights}, one = all;
            float alone, alone_dot;
            memset(dot[k], 0, sizeof dot[k]);
            memset(square[k], 0, sizeof square[k]);
            kernels->forms(&all, dot[k], square[k]);
            assert_memory_equal(dot[k], dot[0], sizeof dot[k]);
            assert_memory_equal(square[k], square[0], sizeof square[k]);
            for (size_t i = 0; i < count; i++) { /* a row alone is what it is among others */
                one.count = 1;
                one.rows = rows + i * width;
                one.slots = slotted ? slots + i : NULL;
                kernels->forms(&one, &alone_dot, &alone);
                assert_memory_equal(&alone, &square[k][i], sizeof alone);
                assert_memory_equal(&alone_dot, &dot[k][i], sizeof alone);
                kernels->forms(&one, NULL, &alone);
                assert_memory_equal(&alone, &square[k][i], sizeof alone);
            }
        }
        for (size_t i = 0; i < count; i++) {
            double sum = 0, total = 0;
            for (size_t j = 0; j < width; j++) {
                double v = (double)offsets[(slotted ? slots[i] : 0) * pitch + j];
                for (size_t l = 0; l <= j; l++)
                    v += (double)dense[l][j] * (double)rows[i * width + l];
                total += v * v;
                sum += (double)rows[i * width + j] * (double)weights[j];
            }
            close_to((double)square[0][i], total, 1e-5 * (total + 1));
            close_to((double)dot[0][i], sum, 1e-5 * (double)width);
        }
    }
}

static void test_sums_of_rows(void **state)
{
    static float matrix[ROWS * 80], x[80], out[3][80], factor[64 * LARGEST * LA_LANES];
    forage_rng rng;
    (void)state;
    forage_rng_seed(&rng, 6);
    for (size_t pitch = LA_LANES; pitch <= 80; pitch += LA_LANES) {
        for (size_t rows = 0; rows <= ROWS; rows++) {
            fill_floats(&rng, matrix, rows * pitch);
            fill_floats(&rng, x, rows);
            for (size_t k = 0; k < isa_count; k++) {
                la_kernels_for(isas[k])->combine(rows, pitch, matrix, x, out[k]);
                assert_memory_equal(out[k], out[0], pitch * sizeof(float));
            }
            for (size_t j = 0; j < pitch; j++) {
                double sum = 0;
                for (size_t i = 0; i < rows; i++)
                    sum += (double)x[i] * (double)matrix[i * pitch + j];
                close_to((double)out[0][j], sum, 1e-5 * (double)(rows + 1));
            }
        }
    }
    for (size_t n = 1; n <= LARGEST; n++) {
        static float dense[LARGEST][LARGEST];
        memset(factor, 0, sizeof factor);
        fill_floats(&rng, x, n);
        for (size_t j = 0; j < n; j++) {
            for (size_t i = 0; i <= j; i++)
                factor[la_factor_at(j / LA_LANES, i) + j % LA_LANES] = dense[i][j] = (float)forage_rng_normal(&rng);
        }
        for (size_t k = 0; k < isa_count; k++) {
            la_kernels_for(isas[k])->transform(n, factor, x, out[k]);
            assert_memory_equal(out[k], out[0], la_padded(n) * sizeof(float));
        }
        for (size_t j = 0; j < la_padded(n); j++) {
            double sum = 0;
            for (size_t i = 0; i <= j && j < n; i++)
                sum += (double)x[i] * (double)dense[i][j];
            close_to((double)out[0][j], sum, 1e-5 * (double)n);
        }
    }
}

static void test_doubles(void **state)
{
    static double m[LARGEST * LARGEST], x[LARGEST], y[3][LARGEST], out[3][LARGEST * LARGEST], gain[3][LARGEST];
    static float narrow[3][LARGEST], xf[LARGEST], outf[3][LARGEST * LARGEST];
    forage_rng rng;
    (void)state;
    forage_rng_seed(&rng, 3);
    for (size_t n = 1; n <= LARGEST; n++) {
        double square[3] = {0}, dots[3] = {0};
        fill(&rng, m, la_packed(n));
        fill(&rng, x, n);
        fill_floats(&rng, xf, n);
        for (size_t k = 0; k < isa_count; k++) {
            const la_kernels *kernels = la_kernels_for(isas[k]);
            square[k] = kernels->multiply(n, m, x, y[k]);
            dots[k] = kernels->dot(n, m, x);
            kernels->outer(n, x, out[k]);
            kernels->outer_float(n, xf, outf[k]);
            assert_true(square[k] == square[0] && dots[k] == dots[0]);
            assert_memory_equal(y[k], y[0], n * sizeof(double));
            assert_memory_equal(out[k], out[0], la_packed(n) * sizeof(double));
            assert_memory_equal(outf[k], outf[0], la_packed(n) * sizeof(float));
        }
        double whole = 0, product = 0;
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t j = 0; j < n; j++)
                sum += m[i < j ? row_of(n, i) + j - i : row_of(n, j) + i - j] * x[j];
            close_to(y[0][i], sum, 1e-12 * (double)n);
            whole += sum * x[i];
            product += m[i] * x[i];
            for (size_t j = i; j < n; j++) {
                assert_true(out[0][row_of(n, i) + j - i] == x[i] * x[j]);
                assert_true(outf[0][row_of(n, i) + j - i] == xf[i] * xf[j]);
            }
        }
        close_to(square[0], whole, 1e-11 * (double)n);
        close_to(dots[0], product, 1e-12 * (double)n);
        for (size_t k = 0; k < isa_count; k++) {
            const la_kernels *kernels = la_kernels_for(isas[k]);
            memcpy(out[k], m, n * sizeof(double));
            memcpy(gain[k], x, n * sizeof(double));
            kernels->measure(n, 0.5, -2, 3, out[k], gain[k]);
            kernels->add(n, 1.5, x, gain[k]);
            kernels->narrow(n, m, x, narrow[k]);
            for (size_t i = 0; i < n; i++) {
                assert_true(out[k][i] == 0.5 * (m[i] - 2 * x[i]));
                assert_true(gain[k][i] == x[i] + m[i] * 3 + 1.5 * x[i]);
                assert_true(narrow[k][i] == (float)(m[i] * x[i]));
            }
        }
    }
}

static void test_factors(void **state)
{
    static double a[LARGEST * LARGEST], r[LARGEST * LARGEST], inverse[LARGEST * LARGEST], x[LARGEST];
    static double y[LARGEST], back[LARGEST];
    const la_kernels *kernels = la_kernels_for(FORAGE_ISA_PORTABLE);
    forage_rng rng;
    (void)state;
    forage_rng_seed(&rng, 4);
    for (size_t n = 1; n <= LARGEST; n += 3) {
        memset(a, 0, sizeof a);
        for (size_t i = 0; i < n; i++)
            a[row_of(n, i)] = 0.5;
        for (size_t i = 0; i < 2 * n; i++) {
            fill(&rng, x, n);
            kernels->outer(n, x, r);
            kernels->add(la_packed(n), 1, r, a);
        }
        memcpy(r, a, la_packed(n) * sizeof *r);
        assert_true(la_cholesky(n, r));
        la_triangle_invert(n, r);
        la_triangle_square(n, r, inverse);
        (void)kernels->multiply(n, a, x, y);
        (void)kernels->multiply(n, inverse, y, back);
        for (size_t i = 0; i < n; i++)
            close_to(back[i], x[i], 1e-9);
        a[0] = -1;
        assert_false(la_cholesky(n, a));
    }
    double singular[3] = {1, 1, 1};
    assert_false(la_cholesky(2, singular));
    double none[1] = {NAN};
    assert_false(la_cholesky(1, none));
}

/* Measurements into a factor, and back out of it, against the inverse of the sums. */
static void test_measurements(void **state)
{
    static double factor[LARGEST * LARGEST], sums[LARGEST * LARGEST], inverse[LARGEST * LARGEST];
    static double z[40][LARGEST], gain[LARGEST], product[LARGEST], outer[LARGEST * LARGEST];
    forage_rng rng;
    (void)state;
    forage_rng_seed(&rng, 5);
    for (size_t n = 1; n <= 33; n += 4) {
        for (size_t k = 0; k < isa_count; k++) {
            const la_kernels *kernels = la_kernels_for(isas[k]);
            double innovation;
            memset(factor, 0, sizeof factor);
            memset(sums, 0, sizeof sums);
            for (size_t i = 0; i < n; i++) {
                factor[i * (i + 1) / 2 + i] = 2;
                sums[row_of(n, i)] = 0.25;
            }
            for (size_t t = 0; t < 40; t++) {
                fill(&rng, z[t], n);
                double weight = t % 5 ? 1 : 1e-3;
                assert_true(la_factor_measure(kernels, n, factor, z[t], weight, gain, product, &innovation));
                assert_true(innovation > 1 / weight);
                kernels->outer(n, z[t], outer);
                if (t >= 10)
                    kernels->add(la_packed(n), weight, outer, sums);
            }
            for (size_t t = 0; t < 10; t++)
                assert_true(
                    la_factor_measure(kernels, n, factor, z[t], t % 5 ? -1 : -1e-3, gain, product, &innovation));
            assert_true(la_cholesky(n, sums));
            la_triangle_invert(n, sums);
            la_triangle_square(n, sums, inverse);
            for (size_t i = 0; i < n; i++) {
                for (size_t j = i; j < n; j++) {
                    double covariance = 0; /* row i of C with row j of it */
                    for (size_t l = j; l < n; l++)
                        covariance += factor[l * (l + 1) / 2 + i] * factor[l * (l + 1) / 2 + j];
                    close_to(covariance, inverse[row_of(n, i) + j - i], 1e-10);
                }
            }
            /* Nothing is left to take back here: refused, and nothing changed. */
            memcpy(outer, factor, la_packed(n) * sizeof *outer);
            for (size_t i = 0; i < n; i++)
                z[0][i] = 1e6;
            assert_false(la_factor_measure(kernels, n, factor, z[0], -1, gain, product, &innovation));
            assert_memory_equal(outer, factor, la_packed(n) * sizeof *outer);
        }
    }
}

/* ---- systems in single precision, Gram matrices ---- */

static void test_solve(void **state)
{
    enum { MOST = 70, PITCH = 80 };
    static double factor[2 * MOST][MOST], sums[MOST][MOST];
    static float a[MOST * PITCH], x[PITCH], first[PITCH], wanted[PITCH];
    forage_rng rng;
    (void)state;
    forage_rng_seed(&rng, 7);
    for (size_t n = 1; n <= MOST; n += n < 20 ? 1 : 5) {
        size_t pitch = n % 2 && la_padded(n) < PITCH ? la_padded(n) + LA_LANES : la_padded(n);
        for (size_t i = 0; i < 2 * n; i++)
            fill(&rng, factor[i], n);
        fill_floats(&rng, wanted, n);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) {
                sums[i][j] = i == j;
                for (size_t k = 0; k < 2 * n; k++)
                    sums[i][j] += factor[k][i] * factor[k][j];
            }
        }
        for (size_t k = 0; k < isa_count; k++) {
            memset(a, 0, sizeof a);
            for (size_t i = 0; i < n; i++) {
                double right = 0;
                for (size_t j = 0; j < n; j++) {
                    a[i * pitch + j] = j < i ? 1e30F : (float)sums[i][j]; /* below is not looked at */
                    right += sums[i][j] * (double)wanted[j];
                }
                x[i] = (float)right;
            }
            la_solve(isas[k], n, pitch, a, x);
            if (k == 0)
                memcpy(first, x, n * sizeof *x);
            assert_memory_equal(x, first, n * sizeof *x);
        }
        for (size_t i = 0; i < n; i++)
            close_to((double)x[i], (double)wanted[i], 2e-5 * (double)(n + 5));
    }
}

/* Singular, by one and by all: an answer that is finite, and right where there is one. */
static void test_solve_what_has_no_solution(void **state)
{
    float a[3 * LA_LANES] = {0}, x[LA_LANES] = {2, 4, 8};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 3; j++)
            a[i * LA_LANES + j] = (float)((i < 2 ? i + 1 : 4) * (j < 2 ? j + 1 : 4));
    }
    la_solve(isas[isa_count - 1], 3, LA_LANES, a, x);
    for (size_t i = 0; i < 3; i++)
        assert_true(isfinite(x[i]));
    close_to((double)(x[0] + 2 * x[1] + 4 * x[2]), 2, 1e-2);
    memset(a, 0, sizeof a);
    memset(x, 0, sizeof x);
    la_solve(isas[isa_count - 1], 3, LA_LANES, a, x);
    for (size_t i = 0; i < 3; i++)
        assert_true(x[i] == 0);
}

static void test_gram(void **state)
{
    enum { MOST = 130, MOST_ROWS = 700 };
    static const size_t sizes[][2] = {{1, 1}, {5, 3}, {256, 48}, {257, 49}, {700, 130}, {512, 96}, {300, 16}};
    static float x[MOST_ROWS * (MOST + 5)];
    static double out[3][MOST * (MOST + 1) / 2];
    forage_rng rng;
    (void)state;
    forage_rng_seed(&rng, 8);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t rows = sizes[s][0], width = sizes[s][1], pitch = width + 5;
        fill_floats(&rng, x, rows * pitch);
        float *scratch = forage_alloc(3, la_gram_scratch(width) * sizeof *scratch);
        assert_non_null(scratch);
        for (int threads = 1; threads <= 3; threads++) {
            la_gram(isas[isa_count - 1], threads, x, rows, width, pitch, scratch, out[threads - 1]);
            assert_memory_equal(out[threads - 1], out[0], la_packed(width) * sizeof(double));
        }
        forage_free(scratch);
        for (size_t i = 0; i < width; i++) {
            for (size_t j = i; j < width; j++) {
                double sum = 0;
                for (size_t r = 0; r < rows; r++)
                    sum += (double)x[r * pitch + i] * (double)x[r * pitch + j];
                close_to(out[0][row_of(width, i) + j - i], sum, 5e-4);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dots),    cmocka_unit_test(test_forms),
        cmocka_unit_test(test_doubles), cmocka_unit_test(test_sums_of_rows),
        cmocka_unit_test(test_factors), cmocka_unit_test(test_measurements),
        cmocka_unit_test(test_solve),   cmocka_unit_test(test_solve_what_has_no_solution),
        cmocka_unit_test(test_gram),
    };
    return cmocka_run_group_tests_name("la-linear", tests, find_isas, NULL);
}
