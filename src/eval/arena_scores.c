/*
 * arena_scores.c: what is read off the series of a play. Series and numbers only: nothing here knows an
 * agent or an environment.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/arena.h"

#include <math.h>
#include <stdlib.h>

double eval_exponent(const uint64_t *points, const double *regret, size_t count)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    if (count == 0)
        return NAN;
    for (size_t i = 0; i < count; ++i) {
        if (points[i] < points[count - 1] - points[count - 1] / 2)
            continue;
        if (!(regret[i] > 0))
            return NAN;
        double x = log((double)points[i]), y = log(regret[i]);
        n += 1;
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    double spread = sxx - sx * sx / n;
    return n < 3 || !(spread > 0) ? NAN : (sxy - sx * sy / n) / spread;
}

/* The first entry from which the least-squares rising curve through the shares value / best, weighted by `best`, is at
 * least `target`; `count` when it never is. There is no need to draw the curve: it crosses the target where the running
 * sum of value - target x best is least, for from there on every stretch has the target on average, and before that
 * every stretch back from there falls short of it. */
static size_t crossing(const double *value, const double *best, size_t count, double target)
{
    double sum = 0, least = 0;
    size_t place = 0;
    for (size_t i = 0; i < count; ++i) {
        sum += value[i] - target * best[i];
        if (sum < least) {
            least = sum;
            place = i + 1;
        }
    }
    return place;
}

double eval_visits_to(const double *value, const double *best, size_t count, double target)
{
    bool known = false;
    size_t place = crossing(value, best, count, target);
    for (size_t i = 0; i < count; ++i) {
        known |= best[i] > 0;
        if (i >= place && best[i] > 0)
            return (double)(i + 1);
    }
    return known ? INFINITY : NAN;
}

/* The share of the oracle over the buckets [first, last); NaN where it is not known. */
static double share_of(const eval_buckets *buckets, size_t first, size_t last)
{
    double value = 0, best = 0;
    for (size_t i = first; i < last; ++i) {
        value += buckets->value[i];
        best += buckets->best[i];
    }
    return best > 0 ? value / best : NAN;
}

double eval_recovery(const eval_buckets *buckets, uint64_t event, uint64_t from, uint64_t until, size_t window,
                     double target)
{
    uint64_t width = buckets->width;
    size_t before = (size_t)(event / width), after = (size_t)((event + width - 1) / width);
    size_t begin = (size_t)((from + width - 1) / width), end = (size_t)(until / width);
    end = end < buckets->count ? end : buckets->count;
    if (before > begin + 5 * window)
        begin = before - 5 * window;
    if (before > buckets->count || begin >= before || after + window > end)
        return NAN;
    double wanted = target * share_of(buckets, begin, before);
    if (isnan(wanted))
        return NAN;
    size_t place = crossing(buckets->value + after, buckets->best + after, end - after, wanted);
    if (after + place + window > end) /* a lucky end is no recovery */
        return INFINITY;
    return place == 0 ? 0 : (double)((after + place) * width - event);
}

static int compare_counts(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

double eval_gini(uint32_t *counts, size_t count)
{
    double sum = 0, weighted = 0, n = (double)count;
    qsort(counts, count, sizeof *counts, compare_counts);
    for (size_t i = 0; i < count; ++i) {
        sum += counts[i];
        weighted += (double)(i + 1) * counts[i];
    }
    return sum > 0 ? 2 * weighted / (n * sum) - (n + 1) / n : NAN;
}

forage_estimate eval_censored(double *values, const double *limits, size_t count, double *reached)
{
    size_t known = 0, finite = 0;
    for (size_t i = 0; i < count; ++i) {
        known += !isnan(values[i]);
        finite += isfinite(values[i]);
    }
    *reached = known ? (double)finite / (double)known : NAN;
    if (finite == 0)
        return (forage_estimate){NAN, NAN, NAN};
    for (size_t i = 0; i < count; ++i)
        if (isinf(values[i]))
            values[i] = limits[i];
    return forage_estimate_of(values, count, 0);
}
