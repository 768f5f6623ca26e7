/*
 * bootstrap.c: weights of resamples, quantiles, intervals.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>

#include "eval/intern.h"

/* floor(2^32 P(X <= k)) for X ~ Poisson(1), k = 0 ... 11: a 32-bit draw u gives the
 * smallest k with u < cumulative[k]. */
static const uint32_t poisson_cumulative[12] = {
    1580030168u, 3160060337u, 3950075421u, 4213413783u, 4279248373u, 4292415291u,
    4294609777u, 4294923276u, 4294962463u, 4294966817u, 4294967252u, 4294967292u,
};

/* least[b]: the smallest k that a draw with the leading byte b can give. */
static void poisson_table(uint8_t least[256])
{
    uint8_t k = 0;
    for (uint32_t byte = 0; byte < 256; ++byte) {
        while (k < 12 && byte << 24 >= poisson_cumulative[k])
            ++k;
        least[byte] = k;
    }
}

void eval_poisson_weights(forage_rng *rng, uint8_t *weights, size_t count)
{
    enum { BLOCK = 512 };
    uint64_t draws[BLOCK / 2];
    uint8_t least[256];
    poisson_table(least);
    for (size_t first = 0; first < count; first += BLOCK) {
        size_t here = count - first < BLOCK ? count - first : BLOCK;
        forage_rng_fill(rng, draws, (here + 1) / 2);
        for (size_t i = 0; i < here; ++i) {
            uint32_t draw = (uint32_t)(draws[i / 2] >> (i % 2 * 32));
            uint8_t k = least[draw >> 24];
            while (k < 12 && draw >= poisson_cumulative[k]) /* hardly ever */
                ++k;
            weights[first + i] = k;
        }
    }
}

double eval_quantile(const double *sorted, size_t count, double q)
{
    if (count == 0)
        return NAN;
    double position = q * (double)(count - 1);
    size_t below = (size_t)floor(position);
    if (below >= count - 1)
        return sorted[count - 1];
    double share = position - (double)below;
    return sorted[below] + share * (sorted[below + 1] - sorted[below]);
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

size_t eval_sort_finite(double *values, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i)
        if (!isnan(values[i]))
            values[kept++] = values[i];
    if (kept > 1)
        qsort(values, kept, sizeof *values, compare_doubles);
    return kept;
}

double eval_level(double level)
{
    return level == 0 ? 0.95 : level;
}

forage_estimate eval_percentile_interval(double value, double *resampled, size_t count, double level)
{
    forage_estimate estimate = {value, NAN, NAN};
    size_t kept = eval_sort_finite(resampled, count);
    if (kept < 2 || isnan(value))
        return estimate;
    double tail = 0.5 * (1 - eval_level(level));
    estimate.low = eval_quantile(resampled, kept, tail);
    estimate.high = eval_quantile(resampled, kept, 1 - tail);
    return estimate;
}

forage_status eval_check_bootstrap(const forage_bootstrap *bootstrap, forage_error *error)
{
    if (bootstrap->resamples > 1000000)
        return forage_fail(error, FORAGE_INVALID, "at most 1,000,000 bootstrap resamples, not %zu",
                           bootstrap->resamples);
    if (!(bootstrap->level >= 0 && bootstrap->level < 1))
        return forage_fail(error, FORAGE_INVALID, "the level of an interval lies between 0 and 1, not %g",
                           bootstrap->level);
    return FORAGE_OK;
}

/* ------------------------------------------------------------------ *
 * Student's t
 * ------------------------------------------------------------------ */

/* The continued fraction of the incomplete beta function (DLMF 8.17.22),
 * evaluated from the front by Lentz's method as modified by Thompson and Barnett. */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double value = d;
    for (int m = 1; m <= 500; ++m) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step = 1;
        for (int half = 0; half < 2; ++half) {
            double term = half == 0 ? even : odd;
            d = 1 + term * d;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = 1 + term / c;
            c = fabs(c) < tiny ? tiny : c;
            step = c * d;
            value *= step;
        }
        if (fabs(step - 1) < 1e-15)
            break;
    }
    return value;
}

/* lgamma() leaves the sign in a global variable; this does not. */
static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* The regularised incomplete beta function I_x(a, b). */
static double beta_share(double a, double b, double x)
{
    if (x <= 0)
        return 0;
    if (x >= 1)
        return 1;
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

/* P(T > t) for t >= 0. */
static double student_tail(double t, double freedom)
{
    return 0.5 * beta_share(0.5 * freedom, 0.5, freedom / (freedom + t * t));
}

double eval_student_quantile(double q, double freedom)
{
    if (q == 0.5)
        return 0;
    if (q < 0.5)
        return -eval_student_quantile(1 - q, freedom);
    double low = 0, high = 1;
    while (student_tail(high, freedom) > 1 - q && high < 1e15)
        high *= 2;
    for (int step = 0; step < 100; ++step) { /* bisection: short, and never wrong */
        double middle = 0.5 * (low + high);
        if (student_tail(middle, freedom) > 1 - q)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

forage_estimate forage_estimate_of(const double *values, size_t count, double level)
{
    forage_estimate estimate = {NAN, NAN, NAN};
    double sum = 0, squares = 0;
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i)
        if (!isnan(values[i])) {
            sum += values[i];
            ++kept;
        }
    if (kept == 0)
        return estimate;
    estimate.value = sum / (double)kept;
    if (kept < 2)
        return estimate;
    for (size_t i = 0; i < count; ++i)
        if (!isnan(values[i]))
            squares += (values[i] - estimate.value) * (values[i] - estimate.value);
    double freedom = (double)(kept - 1);
    double error = sqrt(squares / freedom / (double)kept);
    double reach = eval_student_quantile(0.5 + 0.5 * eval_level(level), freedom) * error;
    estimate.low = estimate.value - reach;
    estimate.high = estimate.value + reach;
    return estimate;
}
