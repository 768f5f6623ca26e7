/*
 * ope.c: estimators of a policy's value from the log of another.
 *
 * With weights w = q / p, rewards r, the reward model's estimates m (of what was shown) and e (mean over the policy's
 * choices), over n rows:
 *
 *     DM         mean e
 *     IPS        mean w r                                   (Horvitz and Thompson 1952)
 *     clipped    mean min(w, clip) r                        (Ionides 2008)
 *     SNIPS      sum w r / sum w                            (Swaminathan and Joachims 2015)
 *     DR         mean e + w (r - m)                         (Dudik, Langford and Li 2011; Dudik et al. 2014)
 *     switch-DR  mean e + [w <= switch] w (r - m)           (Wang, Agarwal and Dudik 2017; Su et al. 2020)
 *
 * Each is a mean, or a ratio of two, of columns. Columns are summed within independent units (rows, or groups of them);
 * standard errors are those of the sums of units (for ratios by the delta method), resamples weigh units.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/intern.h"

/* Columns: one for each estimator (numerators), then what they are divided by, and the log's own reward. */
enum { ROWS = FORAGE_OPE_COUNT, WEIGHT, REWARD, COLUMNS };
enum { RESULTS = FORAGE_OPE_COUNT + 1 }; /* estimators, and the log's own mean */

static const char *const keys[FORAGE_OPE_COUNT] = {
#define KEY(name, key, text) [FORAGE_OPE_##name] = (key),
    FORAGE_OPE_LIST(KEY)
#undef KEY
};
static const char *const texts[FORAGE_OPE_COUNT] = {
#define TEXT(name, key, text) [FORAGE_OPE_##name] = (text),
    FORAGE_OPE_LIST(TEXT)
#undef TEXT
};

const char *forage_ope_key(forage_ope_kind kind)
{
    return (unsigned)kind < FORAGE_OPE_COUNT ? keys[kind] : NULL;
}

const char *forage_ope_text(forage_ope_kind kind)
{
    return (unsigned)kind < FORAGE_OPE_COUNT ? texts[kind] : NULL;
}

/* ---- checks ---- */

static forage_status check_options(const forage_ope_options *options, forage_error *error)
{
    FORAGE_TRY(eval_check_bootstrap(&options->bootstrap, error));
    if (!(options->clip >= 0 && options->switch_at >= 0 && options->least_ess >= 0))
        return forage_fail(error, FORAGE_INVALID, "clip, switch and the least effective sample size are at least 0");
    if (!(options->most_lost >= 0 && options->most_lost <= 1))
        return forage_fail(error, FORAGE_INVALID, "the share of choices without support lies between 0 and 1, not %g",
                           options->most_lost);
    return FORAGE_OK;
}

static forage_status check_rows(const forage_ope_rows *rows, forage_error *error)
{
    if (!rows->count)
        return forage_fail(error, FORAGE_INVALID, "the log has no rows");
    if (!rows->predicted != !rows->expected)
        return forage_fail(
            error, FORAGE_INVALID,
            "a reward model gives an estimate of what was shown and of what would have been, or neither");
    for (size_t i = 0; i < rows->count; i++) {
        double p = (double)rows->propensity[i], q = rows->target[i];
        if (!(p > 0 && p <= 1))
            return forage_fail(error, FORAGE_INVALID,
                               "the propensity of row %zu is %g: it must be above 0 and at most 1", i, p);
        if (!(q >= 0 && q <= 1 + 1e-9))
            return forage_fail(error, FORAGE_INVALID,
                               "the policy's probability for row %zu is %g: it must lie in [0, 1]", i, q);
        if (!isfinite(rows->reward[i]))
            return forage_fail(error, FORAGE_INVALID, "the reward of row %zu is not finite", i);
        if (rows->predicted && !(isfinite(rows->predicted[i]) && isfinite(rows->expected[i])))
            return forage_fail(error, FORAGE_INVALID, "the reward model's estimate for row %zu is not finite", i);
    }
    return FORAGE_OK;
}

/* ---- columns ---- */

/* Sums of independent units: column c of unit u is sums[u * COLUMNS + c]. */
typedef struct units {
    size_t count;
    double *sums;
} units;

static void row_columns(const forage_ope_rows *rows, size_t i, const forage_ope *result, double column[COLUMNS])
{
    double w = rows->target[i] / (double)rows->propensity[i], r = (double)rows->reward[i];
    double e = rows->expected ? rows->expected[i] : NAN, rest = rows->predicted ? w * (r - rows->predicted[i]) : NAN;
    column[FORAGE_OPE_DM] = e;
    column[FORAGE_OPE_IPS] = column[FORAGE_OPE_SNIPS] = w * r;
    column[FORAGE_OPE_CLIPPED_IPS] = fmin(w, result->clip) * r;
    column[FORAGE_OPE_DR] = e + rest;
    column[FORAGE_OPE_SWITCH_DR] = w <= result->switch_at ? e + rest : e;
    column[ROWS] = 1;
    column[WEIGHT] = w;
    column[REWARD] = r;
}

static forage_status sum_units(const forage_ope_rows *rows, const forage_ope *result, units *out, forage_error *error)
{
    size_t limit = rows->count, used = 0;
    if (rows->group) {
        uint32_t most = 0;
        for (size_t i = 0; i < rows->count; i++)
            most = rows->group[i] > most ? rows->group[i] : most;
        limit = (size_t)most + 1;
    }
    out->sums = forage_calloc(limit, COLUMNS * sizeof *out->sums);
    if (!out->sums)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the sums of %zu groups", limit);
    for (size_t i = 0; i < rows->count; i++) {
        double column[COLUMNS], *sums = &out->sums[(rows->group ? rows->group[i] : i) * COLUMNS];
        row_columns(rows, i, result, column);
        for (size_t c = 0; c < COLUMNS; c++)
            sums[c] += column[c];
    }
    for (size_t u = 0; u < limit; u++) { /* groups without rows go */
        if (out->sums[u * COLUMNS + ROWS] > 0) {
            if (used != u)
                memcpy(&out->sums[used * COLUMNS], &out->sums[u * COLUMNS], COLUMNS * sizeof *out->sums);
            used++;
        }
    }
    out->count = used;
    return FORAGE_OK;
}

static size_t numerator(size_t result)
{
    return result == FORAGE_OPE_COUNT ? REWARD : result;
}

static size_t denominator(size_t result)
{
    return result == FORAGE_OPE_SNIPS ? WEIGHT : ROWS;
}

/* The ratio of two columns' totals and its standard error: that of the linearised ratio over units. */
static void ratio(const units *all, size_t top, size_t bottom, double *value, double *deviation)
{
    double a = 0, b = 0, squares = 0, n = (double)all->count;
    for (size_t u = 0; u < all->count; u++) {
        a += all->sums[u * COLUMNS + top];
        b += all->sums[u * COLUMNS + bottom];
    }
    *value = a / b;
    for (size_t u = 0; u < all->count; u++) {
        double off = all->sums[u * COLUMNS + top] - *value * all->sums[u * COLUMNS + bottom];
        squares += off * off;
    }
    *deviation = n > 1 ? sqrt(squares * n / (n - 1)) / b : NAN;
}

/* ---- resamples ----
 *
 * Studentised ("bootstrap-t", Efron and Tibshirani 1993, section 12.5): in each resample the estimate's distance from
 * that of the log is measured in the resample's own standard errors. Sums of weighted rewards are skewed, and plain
 * percentiles would miss the truth on the side of the long tail too often.
 */

typedef struct resampling {
    const units *all;
    const forage_bootstrap *bootstrap;
    const double *values; /* [RESULTS] of the log itself */
    uint8_t *weights;     /* [threads x units] */
    double *distances;    /* [RESULTS x resamples] */
} resampling;

/* Sums over units of a, b, a^2, ab, b^2: enough for a ratio and its standard error. */
typedef struct moments {
    double a[RESULTS], b[RESULTS], aa[RESULTS], ab[RESULTS], bb[RESULTS];
} moments;

static void add_moments(moments *sums, const double *column, double weight)
{
    for (size_t r = 0; r < RESULTS; r++) {
        double a = column[numerator(r)], b = column[denominator(r)];
        sums->a[r] += weight * a;
        sums->b[r] += weight * b;
        sums->aa[r] += weight * a * a;
        sums->ab[r] += weight * a * b;
        sums->bb[r] += weight * b * b;
    }
}

static void resample(void *context, size_t chunk, int worker)
{
    const resampling *run = context;
    const units *all = run->all;
    uint8_t *weights = run->weights + (size_t)worker * all->count;
    moments sums = {0};
    double n = 0;
    forage_rng rng;
    forage_rng_seed_stream(&rng, run->bootstrap->seed, (uint32_t)chunk);
    eval_poisson_weights(&rng, weights, all->count);
    for (size_t u = 0; u < all->count; u++) {
        if (!weights[u])
            continue;
        n += weights[u];
        add_moments(&sums, all->sums + u * COLUMNS, weights[u]);
    }
    for (size_t r = 0; r < RESULTS; r++) {
        double value = sums.a[r] / sums.b[r];
        double squares = sums.aa[r] - 2 * value * sums.ab[r] + value * value * sums.bb[r];
        double deviation = sqrt(fmax(squares, 0) * n / (n - 1)) / sums.b[r];
        run->distances[r * run->bootstrap->resamples + chunk] = (value - run->values[r]) / deviation;
    }
}

static void set_normal(forage_ope_estimate *estimate, double level, size_t count)
{
    double reach = count > 1 ? eval_student_quantile(0.5 + 0.5 * eval_level(level), (double)(count - 1)) : NAN;
    estimate->low = estimate->value - reach * estimate->deviation;
    estimate->high = estimate->value + reach * estimate->deviation;
}

/* Sorts the distances. A resample without any reward has an error of 0 and lies infinitely far off; where a quantile is
 * one of those, there is no such end of the interval. */
static void set_studentised(forage_ope_estimate *estimate, double *distances, const forage_bootstrap *bootstrap)
{
    double tail = 0.5 * (1 - eval_level(bootstrap->level));
    size_t kept = eval_sort_finite(distances, bootstrap->resamples);
    estimate->low = estimate->value - eval_quantile(distances, kept, 1 - tail) * estimate->deviation;
    estimate->high = estimate->value - eval_quantile(distances, kept, tail) * estimate->deviation;
    if (!isfinite(estimate->low))
        estimate->low = NAN;
    if (!isfinite(estimate->high))
        estimate->high = NAN;
}

static forage_status set_intervals(const units *all, const forage_ope_options *options,
                                   forage_ope_estimate *const estimates[RESULTS], forage_error *error)
{
    const forage_bootstrap *bootstrap = &options->bootstrap;
    if (!bootstrap->resamples) {
        for (size_t r = 0; r < RESULTS; r++)
            set_normal(estimates[r], bootstrap->level, all->count);
        return FORAGE_OK;
    }
    int threads = options->threads > 0 ? options->threads : 1;
    double values[RESULTS];
    resampling run = {
        .all = all,
        .bootstrap = bootstrap,
        .values = values,
        .weights = forage_alloc((size_t)threads, all->count),
        .distances = forage_alloc(bootstrap->resamples, RESULTS * sizeof(double)),
    };
    forage_status status = FORAGE_OK;
    for (size_t r = 0; r < RESULTS; r++)
        values[r] = estimates[r]->value;
    if (run.weights && run.distances) {
        forage_parallel_for(threads, bootstrap->resamples, resample, &run);
        for (size_t r = 0; r < RESULTS; r++)
            set_studentised(estimates[r], run.distances + r * bootstrap->resamples, bootstrap);
    } else {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu resamples", bootstrap->resamples);
    }
    forage_free(run.weights);
    forage_free(run.distances);
    return status;
}

/* ---- is the log able to answer? ---- */

static void look_at_weights(const forage_ope_rows *rows, forage_ope *result)
{
    double sum = 0, squares = 0;
    size_t zero = 0, clipped = 0, switched = 0;
    for (size_t i = 0; i < rows->count; i++) {
        double w = rows->target[i] / (double)rows->propensity[i];
        sum += w;
        squares += w * w;
        result->largest_weight = fmax(result->largest_weight, w);
        zero += w == 0;
        clipped += w > result->clip;
        switched += w > result->switch_at;
    }
    result->ess = squares > 0 ? sum * sum / squares : 0;
    result->zero_share = (double)zero / (double)rows->count;
    result->clipped = (double)clipped / (double)rows->count;
    result->switched = (double)switched / (double)rows->count;
}

static void judge(forage_ope *result, const forage_ope_options *options)
{
    double least = options->least_ess > 0 ? options->least_ess : 100;
    double most = options->most_lost > 0 ? options->most_lost : 0.05;
    result->lost = fmax(1 - result->mean_weight - 3 * result->mean_weight_deviation, 0);
    result->refused = true;
    if (result->ess == 0)
        snprintf(result->reason, sizeof result->reason,
                 "the log has no support for the policy: it would never have shown any of the %zu rows", result->count);
    else if (result->ess < least)
        snprintf(result->reason, sizeof result->reason,
                 "the effective sample size is %.1f of %zu rows, below %g: the largest weight is %.0f, so nearly "
                 "all of the estimate would be the luck of a few rows",
                 result->ess, result->count, least, result->largest_weight);
    else if (result->lost > most)
        snprintf(
            result->reason, sizeof result->reason,
            "support is missing for at least %.1f %% of the policy's choices (more than %g %%): the mean weight is "
            "%.3f +- %.3f, not 1",
            100 * result->lost, 100 * most, result->mean_weight, result->mean_weight_deviation);
    else
        result->refused = false;
}

forage_status forage_ope_compute(const forage_ope_rows *rows, const forage_ope_options *options, forage_ope *result,
                                 forage_error *error)
{
    const forage_ope_options none = {0};
    const forage_ope_estimate unknown = {NAN, NAN, NAN, NAN};
    forage_ope_estimate *all_estimates[RESULTS];
    units all = {0};
    options = options ? options : &none;
    FORAGE_TRY(check_options(options, error));
    FORAGE_TRY(check_rows(rows, error));
    double root = sqrt((double)rows->count);
    *result = (forage_ope){
        .count = rows->count,
        .clip = options->clip > 0 ? options->clip : root,
        .switch_at = options->switch_at > 0 ? options->switch_at : root,
        .unseen = NAN,
    };
    look_at_weights(rows, result);
    FORAGE_TRY(sum_units(rows, result, &all, error));
    result->groups = all.count;
    ratio(&all, WEIGHT, ROWS, &result->mean_weight, &result->mean_weight_deviation);
    judge(result, options);
    for (size_t r = 0; r < RESULTS; r++) {
        all_estimates[r] = r < FORAGE_OPE_COUNT ? &result->estimates[r] : &result->logged;
        ratio(&all, numerator(r), denominator(r), &all_estimates[r]->value, &all_estimates[r]->deviation);
    }
    forage_status status = set_intervals(&all, options, all_estimates, error);
    forage_free(all.sums);
    for (size_t r = 0; r < FORAGE_OPE_COUNT && result->refused; r++)
        result->estimates[r] = unknown;
    return status;
}
