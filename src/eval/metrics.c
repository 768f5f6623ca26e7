/*
 * metrics.c: metrics of predictions and their bootstrap intervals.
 *
 * The rows are brought into ascending order of prediction once. In that order
 * equal predictions are neighbours and every calibration bin is a range, so one
 * pass over the rows with integer weights gives all metrics at once: with weight
 * 1 for every row the metrics themselves, with Poisson weights a resample. A
 * resample costs O(n) and no sorting.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "eval/intern.h"

/* Metrics that a resample gives. */
enum {
    LOG_LOSS,
    BRIER,
    ECE,
    ECE_MASS,
    AUC,
    RMSE,
    ORACLE,
    EXCESS,
    GROUPED_AUC,
    METRIC_COUNT,
};

/* What all rows of one distinct prediction have in common. */
typedef struct block {
    uint32_t first; /* row, in order of prediction */
    uint16_t bin, bin_mass;
} block;

/* One group's own AUC. */
typedef struct group_auc {
    uint32_t group;
    uint32_t rows;
    double auc; /* NaN with one class */
} group_auc;

/* Everything in order of prediction. */
typedef struct sorted_rows {
    size_t count;
    float *prediction;
    uint8_t *label;
    double *loss;    /* NULL unless probabilities */
    double *oracle;  /* the same of the truth; NULL when that is not known */
    float *error;    /* prediction - truth */
    uint32_t *group; /* FORAGE_NONE: no group; NULL without groups */
    size_t block_count;
    block *blocks; /* [block_count + 1], the last one ends the others */
    size_t bins;
    double edges_mass[FORAGE_RELIABILITY_BINS_MAX + 1];
    size_t group_limit; /* groups are below */
    size_t group_count;
    group_auc *groups; /* [group_count] */
    bool probability;
} sorted_rows;

static void sorted_release(sorted_rows *rows)
{
    forage_free(rows->prediction);
    forage_free(rows->label);
    forage_free(rows->loss);
    forage_free(rows->oracle);
    forage_free(rows->error);
    forage_free(rows->group);
    forage_free(rows->blocks);
    forage_free(rows->groups);
}

/* -log of the probability given to what happened. */
static double row_loss(double probability, bool positive)
{
    const double least = 0x1p-23; /* the epsilon of float32, as in scikit-learn */
    double p = fmin(fmax(probability, least), 1 - least);
    return positive ? -log(p) : -log1p(-p);
}

static forage_status sorted_alloc(const forage_predictions *in, sorted_rows *rows, forage_error *error)
{
    size_t n = in->count;
    rows->prediction = forage_alloc(n, sizeof *rows->prediction);
    rows->label = forage_alloc(n, sizeof *rows->label);
    rows->blocks = forage_alloc(n + 1, sizeof *rows->blocks);
    bool failed = !rows->prediction || !rows->label || !rows->blocks;
    if (in->probability)
        failed |= !(rows->loss = forage_alloc(n, sizeof *rows->loss));
    if (in->truth) {
        failed |= !(rows->oracle = forage_alloc(n, sizeof *rows->oracle));
        failed |= !(rows->error = forage_alloc(n, sizeof *rows->error));
    }
    if (in->group)
        failed |= !(rows->group = forage_alloc(n, sizeof *rows->group));
    if (failed)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to evaluate %zu rows", n);
    return FORAGE_OK;
}

static void sorted_fill(const forage_predictions *in, const uint64_t *order, sorted_rows *rows)
{
    for (size_t i = 0; i < in->count; ++i) {
        uint32_t row = (uint32_t)order[i];
        float prediction = in->prediction[row];
        bool positive = in->label[row] > 0.5f;
        rows->prediction[i] = prediction;
        rows->label[i] = positive;
        if (rows->loss)
            rows->loss[i] = row_loss((double)prediction, positive);
        if (rows->oracle) {
            rows->oracle[i] = row_loss((double)in->truth[row], positive);
            rows->error[i] = prediction - in->truth[row];
        }
        if (rows->group)
            rows->group[i] = in->group[row];
    }
}

/* The bin of a prediction: the number of inner edges below it, so that (low, high] holds it. */
static size_t bin_of(double prediction, const double *edges, size_t bins, size_t from)
{
    while (from + 1 < bins && edges[from + 1] < prediction)
        ++from;
    return from;
}

static void sorted_bins(sorted_rows *rows)
{
    size_t n = rows->count, bins = rows->bins;
    double width[FORAGE_RELIABILITY_BINS_MAX + 1];
    for (size_t b = 0; b <= bins; ++b) {
        double position = (double)b / (double)bins * (double)(n - 1);
        size_t below = (size_t)position;
        double share = position - (double)below;
        double low = (double)rows->prediction[below];
        double high = (double)rows->prediction[below + 1 < n ? below + 1 : below];
        rows->edges_mass[b] = low + share * (high - low);
        width[b] = (double)b * (1.0 / (double)bins);
    }
    size_t bin = 0, bin_mass = 0;
    rows->block_count = 0;
    for (size_t i = 0; i < n; ++i) {
        if (i > 0 && rows->prediction[i] == rows->prediction[i - 1])
            continue;
        bin = bin_of((double)rows->prediction[i], width, bins, bin);
        bin_mass = bin_of((double)rows->prediction[i], rows->edges_mass, bins, bin_mass);
        rows->blocks[rows->block_count++] = (block){(uint32_t)i, (uint16_t)bin, (uint16_t)bin_mass};
    }
    rows->blocks[rows->block_count] = (block){(uint32_t)n, 0, 0};
}

/* AUC of every group: a stable counting sort by group keeps the order of predictions within each. */
static forage_status sorted_groups(sorted_rows *rows, forage_error *error)
{
    size_t n = rows->count, limit = 0, count = 0;
    for (size_t i = 0; i < n; ++i)
        if (rows->group[i] != FORAGE_NONE && rows->group[i] >= limit)
            limit = (size_t)rows->group[i] + 1;
    uint32_t *start = forage_calloc(limit + 2, sizeof *start);
    uint32_t *place = forage_alloc(n, sizeof *place);
    forage_status status = FORAGE_OK;
    if (!start || !place) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to group %zu rows", n);
        goto end;
    }
    for (size_t i = 0; i < n; ++i)
        if (rows->group[i] != FORAGE_NONE)
            count += start[rows->group[i] + 2]++ == 0;
    for (size_t g = 2; g < limit + 2; ++g)
        start[g] += start[g - 1];
    for (size_t i = 0; i < n; ++i)
        if (rows->group[i] != FORAGE_NONE)
            place[start[rows->group[i] + 1]++] = (uint32_t)i;
    rows->groups = forage_alloc(count, sizeof *rows->groups);
    if (!rows->groups) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu groups", count);
        goto end;
    }
    rows->group_limit = limit;
    for (size_t g = 0; g < limit; ++g) {
        if (start[g] == start[g + 1])
            continue;
        uint64_t negatives = 0, positives = 0, twice = 0;
        for (uint32_t first = start[g]; first < start[g + 1];) {
            uint64_t block_positives = 0, block_rows = 0;
            float key = rows->prediction[place[first]];
            for (; first < start[g + 1] && rows->prediction[place[first]] == key; ++first, ++block_rows)
                block_positives += rows->label[place[first]];
            twice += block_positives * (2 * negatives + block_rows - block_positives);
            positives += block_positives;
            negatives += block_rows - block_positives;
        }
        double auc =
            positives && negatives ? 0.5 * (double)twice / ((double)positives * (double)negatives) : (double)NAN;
        rows->groups[rows->group_count++] = (group_auc){(uint32_t)g, start[g + 1] - start[g], auc};
    }
end:
    forage_free(start);
    forage_free(place);
    return status;
}

static forage_status sorted_create(const forage_predictions *in, size_t bins, sorted_rows *rows, forage_error *error)
{
    *rows = (sorted_rows){.count = in->count, .bins = bins, .probability = in->probability};
    uint64_t *order = forage_alloc(in->count, sizeof *order);
    uint64_t *scratch = forage_alloc(in->count, sizeof *scratch);
    forage_status status = FORAGE_OK;
    if (!order || !scratch)
        status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to sort %zu predictions", in->count);
    else
        status = sorted_alloc(in, rows, error);
    if (status == FORAGE_OK) {
        eval_sort_scores(in->prediction, in->count, order, scratch);
        sorted_fill(in, order, rows);
    }
    forage_free(order);
    forage_free(scratch);
    if (status != FORAGE_OK)
        return status;
    sorted_bins(rows);
    return rows->group ? sorted_groups(rows, error) : FORAGE_OK;
}

/* ------------------------------------------------------------------ *
 * One pass
 * ------------------------------------------------------------------ */

typedef struct bin_sum {
    uint64_t rows, positives;
    double predictions;
} bin_sum;

typedef struct pass_sums {
    uint64_t rows, positives, twice; /* twice: see eval_auc_sorted */
    double loss, brier, oracle, squares;
    bin_sum bins[FORAGE_RELIABILITY_BINS_MAX], bins_mass[FORAGE_RELIABILITY_BINS_MAX];
} pass_sums;

/* `weights` NULL: every row once. */
static void one_pass(const sorted_rows *rows, const uint8_t *weights, pass_sums *sums)
{
    memset(sums, 0, sizeof *sums);
    uint64_t negatives = 0;
    for (size_t b = 0; b < rows->block_count; ++b) {
        const block *here = &rows->blocks[b];
        uint64_t total = 0, positives = 0;
        for (size_t i = here->first; i < here[1].first; ++i) {
            uint64_t weight = weights ? weights[i] : 1;
            total += weight;
            positives += weight * rows->label[i];
            if (rows->loss)
                sums->loss += (double)weight * rows->loss[i];
            if (rows->oracle) {
                double error = (double)rows->error[i];
                sums->oracle += (double)weight * rows->oracle[i];
                sums->squares += (double)weight * error * error;
            }
        }
        double p = (double)rows->prediction[here->first];
        sums->twice += positives * (2 * negatives + total - positives);
        negatives += total - positives;
        sums->rows += total;
        sums->positives += positives;
        if (rows->probability) {
            sums->brier += (double)positives * (1 - p) * (1 - p) + (double)(total - positives) * p * p;
            bin_sum *bin = &sums->bins[here->bin], *bin_mass = &sums->bins_mass[here->bin_mass];
            bin->rows += total;
            bin->positives += positives;
            bin->predictions += (double)total * p;
            bin_mass->rows += total;
            bin_mass->positives += positives;
            bin_mass->predictions += (double)total * p;
        }
    }
}

static double calibration_error(const bin_sum *bins, size_t count, uint64_t rows)
{
    double sum = 0;
    for (size_t b = 0; b < count; ++b)
        sum += fabs(bins[b].predictions - (double)bins[b].positives);
    return sum / (double)rows;
}

static void metrics_of(const sorted_rows *rows, const pass_sums *sums, double out[METRIC_COUNT])
{
    double total = (double)sums->rows, positives = (double)sums->positives;
    for (size_t m = 0; m < METRIC_COUNT; ++m)
        out[m] = NAN;
    if (sums->rows == 0)
        return;
    if (rows->probability) {
        out[LOG_LOSS] = sums->loss / total;
        out[BRIER] = sums->brier / total;
        out[ECE] = calibration_error(sums->bins, rows->bins, sums->rows);
        out[ECE_MASS] = calibration_error(sums->bins_mass, rows->bins, sums->rows);
    }
    if (sums->positives > 0 && sums->positives < sums->rows)
        out[AUC] = 0.5 * (double)sums->twice / (positives * (total - positives));
    if (rows->oracle) {
        out[ORACLE] = sums->oracle / total;
        if (rows->probability) {
            out[RMSE] = sqrt(sums->squares / total);
            out[EXCESS] = (sums->loss - sums->oracle) / total;
        }
    }
}

/* `weights` by group, NULL: each once. */
static double grouped_auc(const sorted_rows *rows, const uint8_t *weights)
{
    double sum = 0, total = 0;
    for (size_t g = 0; g < rows->group_count; ++g) {
        const group_auc *group = &rows->groups[g];
        if (isnan(group->auc))
            continue;
        double weight = (double)group->rows * (weights ? weights[group->group] : 1);
        sum += weight * group->auc;
        total += weight;
    }
    return total > 0 ? sum / total : (double)NAN;
}

/* ------------------------------------------------------------------ *
 * Resamples
 * ------------------------------------------------------------------ */

typedef struct resampling {
    const sorted_rows *rows;
    const forage_bootstrap *bootstrap;
    double *values;         /* [METRIC_COUNT x resamples] */
    uint8_t *weights;       /* [workers x rows] */
    uint8_t *group_weights; /* [workers x groups] */
} resampling;

static void resample(void *context, size_t r, int worker)
{
    resampling *job = context;
    const sorted_rows *rows = job->rows;
    size_t resamples = job->bootstrap->resamples;
    uint8_t *weights = job->weights + (size_t)worker * rows->count;
    uint8_t *group_weights = job->group_weights ? job->group_weights + (size_t)worker * rows->group_limit : NULL;
    pass_sums sums;
    double values[METRIC_COUNT];
    forage_rng rng;
    forage_rng_seed_stream(&rng, job->bootstrap->seed, (uint32_t)r);
    if (group_weights)
        eval_poisson_weights(&rng, group_weights, rows->group_limit);
    if (job->bootstrap->by_group && group_weights)
        for (size_t i = 0; i < rows->count; ++i)
            weights[i] = rows->group[i] == FORAGE_NONE ? 0 : group_weights[rows->group[i]];
    else
        eval_poisson_weights(&rng, weights, rows->count);
    one_pass(rows, weights, &sums);
    metrics_of(rows, &sums, values);
    if (group_weights)
        values[GROUPED_AUC] = grouped_auc(rows, group_weights);
    for (size_t m = 0; m < METRIC_COUNT; ++m)
        job->values[m * resamples + r] = values[m];
}

/* A resample adds its own noise to each bin, and a mean of absolute values only grows by it, so
 * resampled calibration errors lie above the estimate. Their spread is right; it is moved to have the
 * estimate as its mean. */
static void centre(double value, double *resampled, size_t count)
{
    double sum = 0;
    for (size_t r = 0; r < count; ++r)
        sum += resampled[r];
    double shift = value - sum / (double)count;
    for (size_t r = 0; r < count; ++r)
        resampled[r] = fmax(0, resampled[r] + shift);
}

static forage_status intervals(const sorted_rows *rows, const forage_metrics_options *options,
                               forage_estimate *const estimates[METRIC_COUNT], forage_error *error)
{
    const forage_bootstrap *bootstrap = &options->bootstrap;
    size_t resamples = bootstrap->resamples;
    int threads = options->threads > 0 ? options->threads : 1;
    resampling job = {.rows = rows, .bootstrap = bootstrap};
    job.values = forage_alloc(METRIC_COUNT * resamples, sizeof *job.values);
    job.weights = forage_alloc(rows->count, (size_t)threads);
    if (rows->group)
        job.group_weights = forage_alloc(rows->group_limit + 1, (size_t)threads);
    forage_status status = FORAGE_OK;
    if (!job.values || !job.weights || (rows->group && !job.group_weights)) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu resamples", resamples);
    } else {
        forage_parallel_for(threads, resamples, resample, &job);
        for (size_t m = 0; m < METRIC_COUNT; ++m) {
            double *values = job.values + m * resamples;
            if (m == ECE || m == ECE_MASS)
                centre(estimates[m]->value, values, resamples);
            *estimates[m] = eval_percentile_interval(estimates[m]->value, values, resamples, bootstrap->level);
        }
    }
    forage_free(job.values);
    forage_free(job.weights);
    forage_free(job.group_weights);
    return status;
}

/* ------------------------------------------------------------------ *
 * The record
 * ------------------------------------------------------------------ */

static forage_reliability_bin reliability(const bin_sum *sum, double low, double high)
{
    forage_reliability_bin bin = {.low = low, .high = high, .count = (size_t)sum->rows};
    if (bin.count > 0) {
        double rows = (double)sum->rows;
        bin.mean_prediction = sum->predictions / rows;
        bin.positive_rate = (double)sum->positives / rows;
        bin.deviation = sqrt(bin.positive_rate * (1 - bin.positive_rate) / rows);
    }
    return bin;
}

static void fill_curves(const sorted_rows *rows, const pass_sums *sums, forage_metrics *metrics)
{
    metrics->bin_count = rows->bins;
    for (size_t b = 0; b < rows->bins; ++b) {
        double width = 1.0 / (double)rows->bins;
        double predictions = sums->bins[b].predictions;
        metrics->mean_prediction += predictions / (double)rows->count;
        metrics->bins[b] = reliability(&sums->bins[b], (double)b * width, (double)(b + 1) * width);
        if (sums->bins_mass[b].rows > 0)
            metrics->bins_mass[metrics->mass_bin_count++] =
                reliability(&sums->bins_mass[b], rows->edges_mass[b], rows->edges_mass[b + 1]);
    }
}

static void fill_groups(const sorted_rows *rows, forage_metrics *metrics)
{
    size_t used_rows = 0;
    metrics->groups = rows->group_count;
    for (size_t g = 0; g < rows->group_count; ++g)
        if (!isnan(rows->groups[g].auc)) {
            ++metrics->groups_used;
            used_rows += rows->groups[g].rows;
        }
    metrics->grouped_share = (double)used_rows / (double)rows->count;
}

static forage_status check(const forage_predictions *in, const forage_metrics_options *options, size_t bins,
                           forage_error *error)
{
    FORAGE_TRY(eval_check_rows(in->prediction, in->label, in->count, in->probability, error));
    FORAGE_TRY(eval_check_bootstrap(&options->bootstrap, error));
    if (bins > FORAGE_RELIABILITY_BINS_MAX)
        return forage_fail(error, FORAGE_INVALID, "at most %d calibration bins, not %zu", FORAGE_RELIABILITY_BINS_MAX,
                           bins);
    if (options->bootstrap.by_group && !in->group)
        return forage_fail(error, FORAGE_INVALID, "there are no groups to resample");
    for (size_t i = 0; in->truth && i < in->count; ++i)
        if (!(in->truth[i] >= 0 && in->truth[i] <= 1))
            return forage_fail(error, FORAGE_INVALID, "the true rate of row %zu, %g, is not a probability", i,
                               (double)in->truth[i]);
    return FORAGE_OK;
}

forage_status forage_metrics_compute(const forage_predictions *predictions, const forage_metrics_options *options,
                                     forage_metrics *metrics, forage_error *error)
{
    static const forage_metrics_options defaults = {0};
    options = options ? options : &defaults;
    size_t bins = options->bins ? options->bins : 15;
    FORAGE_TRY(check(predictions, options, bins, error));

    sorted_rows rows;
    pass_sums sums;
    double values[METRIC_COUNT];
    forage_status status = sorted_create(predictions, bins, &rows, error);
    if (status != FORAGE_OK)
        goto end;
    one_pass(&rows, NULL, &sums);
    metrics_of(&rows, &sums, values);
    values[GROUPED_AUC] = rows.group ? grouped_auc(&rows, NULL) : (double)NAN;

    *metrics = (forage_metrics){.count = rows.count, .positives = (size_t)sums.positives};
    metrics->base_rate = (double)sums.positives / (double)rows.count;
    metrics->base_log_loss = metrics->mean_prediction = NAN;
    if (rows.probability) {
        double p = metrics->base_rate;
        metrics->mean_prediction = 0;
        metrics->base_log_loss = p * row_loss(p, true) + (1 - p) * row_loss(p, false);
        fill_curves(&rows, &sums, metrics);
    }
    if (rows.group)
        fill_groups(&rows, metrics);
    forage_estimate *const estimates[METRIC_COUNT] = {
        [LOG_LOSS] = &metrics->log_loss,
        [BRIER] = &metrics->brier,
        [ECE] = &metrics->ece,
        [ECE_MASS] = &metrics->ece_mass,
        [AUC] = &metrics->auc,
        [RMSE] = &metrics->rmse,
        [ORACLE] = &metrics->oracle_log_loss,
        [EXCESS] = &metrics->excess_log_loss,
        [GROUPED_AUC] = &metrics->grouped_auc,
    };
    for (size_t m = 0; m < METRIC_COUNT; ++m)
        *estimates[m] = (forage_estimate){values[m], NAN, NAN};
    if (options->bootstrap.resamples > 0)
        status = intervals(&rows, options, estimates, error);
end:
    sorted_release(&rows);
    return status;
}
