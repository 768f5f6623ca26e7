/*
 * ranking.c: metrics of rankings over all items.
 *
 * Conventions are those of the LightGCN paper's code (He et al. 2020): means over
 * the users that have test items, an ideal list that is cut at min(k, |test|).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "eval/intern.h"
#include "eval/ranking.h"

enum { MEASURES = RANKING_MEASURES };
enum {
    SLAB = 8192,            /* users ranked at once, fewer when lists are long */
    SLAB_ENTRIES = 1 << 22, /* entries of all their lists, about */
    CHUNK = 256,            /* users whose lists a thread judges at once */
    CUTOFF_MAX = 1000000,
};

typedef struct ranking {
    const forage_ranking_task *task;
    const forage_ranking_options *options;
    eval_rankings judged;
    size_t longest;        /* the largest cutoff */
    size_t length;         /* of the lists: as long as that, but no longer than the catalogue */
    double *discount;      /* [longest]: 1 / log2(rank + 1), rank from 1 */
    double *ideal;         /* [longest + 1]: sum of the first n discounts */
    uint32_t *users;       /* with test items */
    size_t count;          /* of them */
    uint32_t *best_rank;   /* [items] */
    size_t first;          /* of the slab at hand */
    size_t slab;           /* users in it */
    const uint32_t *items; /* [slab x length] */
    const size_t *found;   /* [slab] */
} ranking;

size_t eval_ranking_length(const forage_ranking_task *task, const forage_ranking_options *options)
{
    size_t longest = 1;
    for (size_t c = 0; c < options->cutoff_count; ++c)
        if (options->cutoffs[c] > longest)
            longest = options->cutoffs[c];
    return longest < task->items ? longest : task->items ? task->items : 1;
}

size_t eval_ranking_slab(size_t users, size_t length)
{
    size_t slab = SLAB_ENTRIES / length;
    slab = slab < 1 ? 1 : slab > SLAB ? SLAB : slab;
    return users < slab ? users : slab;
}

/* Judges one user's list at every cutoff: value[cutoffs x MEASURES]. */
static void judge(const ranking *job, uint32_t user, const uint32_t *list, size_t found, double *value)
{
    const forage_seen *test = job->task->test;
    size_t known = test->offsets[user + 1] - test->offsets[user];
    size_t wanted_count = known + (job->task->misses ? job->task->misses[user] : 0);
    const forage_ranking_options *options = job->options;
    for (size_t c = 0; c < options->cutoff_count; ++c) {
        size_t k = options->cutoffs[c], hits = 0, first_hit = 0;
        double gain = 0;
        for (size_t rank = 0; rank < k && rank < found; ++rank) {
            if (!forage_seen_has(test, user, list[rank]))
                continue;
            if (hits++ == 0)
                first_hit = rank + 1;
            gain += job->discount[rank];
        }
        double *out = value + c * MEASURES;
        out[RANKING_PRECISION] = (double)hits / (double)k;
        out[RANKING_RECALL] = (double)hits / (double)wanted_count;
        out[RANKING_NDCG] = gain / job->ideal[wanted_count < k ? wanted_count : k];
        out[RANKING_MRR] = hits ? 1.0 / (double)first_hit : 0;
        out[RANKING_HIT] = hits ? 1 : 0;
    }
}

void eval_rankings_drop(eval_rankings *rankings)
{
    size_t columns = rankings->options->cutoff_count * MEASURES, kept = 0;
    for (size_t i = 0; i < rankings->count; ++i) {
        const double *value = rankings->value + i * columns;
        if (isnan(value[0]))
            continue;
        if (kept != i)
            memcpy(rankings->value + kept * columns, value, columns * sizeof *value);
        ++kept;
    }
    rankings->skipped = rankings->count - kept;
    rankings->count = kept;
}

static void judge_chunk(void *context, size_t chunk, int worker)
{
    (void)worker;
    const ranking *job = context;
    size_t cutoffs = job->options->cutoff_count;
    size_t end = (chunk + 1) * CHUNK < job->slab ? (chunk + 1) * CHUNK : job->slab;
    for (size_t i = chunk * CHUNK; i < end; ++i) {
        double *value = job->judged.value + (job->first + i) * cutoffs * MEASURES;
        if (job->found[i] > 0)
            judge(job, job->users[job->first + i], job->items + i * job->length, job->found[i], value);
        else
            value[0] = NAN;
    }
}

static forage_status note_coverage(ranking *job, forage_error *error)
{
    for (size_t i = 0; i < job->slab; ++i) {
        const uint32_t *list = job->items + i * job->length;
        for (size_t rank = 0; rank < job->found[i]; ++rank) {
            if (list[rank] >= job->task->items)
                return forage_fail(error, FORAGE_INVALID, "a ranking holds item %u, but there are only %zu", list[rank],
                                   job->task->items);
            if (rank < job->best_rank[list[rank]])
                job->best_rank[list[rank]] = (uint32_t)rank;
        }
    }
    return FORAGE_OK;
}

/* Ranks and judges all users, a slab at a time. */
static forage_status rank_all(ranking *job, forage_rank_function *rank, void *context, forage_error *error)
{
    const forage_ranking_options *options = job->options;
    size_t slab = eval_ranking_slab(job->count, job->length);
    uint32_t *items = forage_alloc(slab * job->length, sizeof *items);
    size_t *found = forage_alloc(slab, sizeof *found);
    forage_status status = FORAGE_OK;
    if (!items || !found) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for rankings of %zu items", job->length);
        goto end;
    }
    job->items = items;
    job->found = found;
    for (job->first = 0; job->first < job->count; job->first += slab) {
        job->slab = job->count - job->first < slab ? job->count - job->first : slab;
        if (!forage_progress_report(options->progress, "ranking", job->first, job->count, NULL)) {
            status = forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
            goto end;
        }
        FORAGE_TRY_GOTO(
            rank(context, job->users + job->first, job->slab, job->length, job->task->seen, items, found, error), end);
        FORAGE_TRY_GOTO(note_coverage(job, error), end);
        forage_parallel_for(options->threads > 0 ? options->threads : 1, (job->slab + CHUNK - 1) / CHUNK, judge_chunk,
                            job);
    }
    forage_progress_report(options->progress, "ranking", job->count, job->count, NULL);
    eval_rankings_drop(&job->judged);
    if (job->judged.count == 0)
        status = forage_fail(error, FORAGE_INVALID, "no user got a ranking");
end:
    forage_free(items);
    forage_free(found);
    return status;
}

/* ------------------------------------------------------------------ *
 * Means and intervals
 * ------------------------------------------------------------------ */

typedef struct resampling {
    const eval_rankings *job;
    uint8_t *weights; /* [workers x count] */
    double *values;   /* [cutoffs x MEASURES x resamples] */
    double *sums;     /* [workers x cutoffs x MEASURES] */
} resampling;

/* sums[columns] = weighted mean of the users' values; `weights` NULL: each once. */
static void means(const eval_rankings *job, const uint8_t *weights, double *sums)
{
    size_t columns = job->options->cutoff_count * MEASURES;
    double total = 0;
    for (size_t m = 0; m < columns; ++m)
        sums[m] = 0;
    for (size_t i = 0; i < job->count; ++i) {
        if (weights && weights[i] == 0)
            continue;
        double weight = weights ? weights[i] : 1;
        const double *value = job->value + i * columns;
        total += weight;
        for (size_t m = 0; m < columns; ++m)
            sums[m] += weight * value[m];
    }
    for (size_t m = 0; m < columns; ++m)
        sums[m] = total > 0 ? sums[m] / total : (double)NAN;
}

static void resample(void *context, size_t r, int worker)
{
    resampling *work = context;
    const eval_rankings *job = work->job;
    size_t columns = job->options->cutoff_count * MEASURES;
    uint8_t *weights = work->weights + (size_t)worker * job->count;
    double *sums = work->sums + (size_t)worker * columns;
    forage_rng rng;
    forage_rng_seed_stream(&rng, job->options->bootstrap.seed, (uint32_t)r);
    eval_poisson_weights(&rng, weights, job->count);
    means(job, weights, sums);
    for (size_t m = 0; m < columns; ++m)
        work->values[m * job->options->bootstrap.resamples + r] = sums[m];
}

static void fill(const eval_rankings *job, const double *mean, double *resampled, forage_ranking_metrics *metrics)
{
    const forage_bootstrap *bootstrap = &job->options->bootstrap;
    size_t catalogue = 0;
    for (size_t item = 0; item < job->task->items; ++item)
        catalogue += !job->task->catalogue || job->task->catalogue[item];
    for (size_t c = 0; c < job->options->cutoff_count; ++c) {
        forage_ranking_metrics *out = &metrics[c];
        *out = (forage_ranking_metrics){.k = job->options->cutoffs[c], .users = job->count, .skipped = job->skipped};
        for (size_t item = 0; job->best_rank && item < job->task->items; ++item)
            out->distinct += job->best_rank[item] < out->k;
        out->coverage = catalogue && job->best_rank ? (double)out->distinct / (double)catalogue : (double)NAN;
        forage_estimate *const estimates[MEASURES] = {
            [RANKING_PRECISION] = &out->precision, [RANKING_RECALL] = &out->recall,
            [RANKING_NDCG] = &out->ndcg,           [RANKING_MRR] = &out->mrr,
            [RANKING_HIT] = &out->hit_rate,
        };
        for (size_t m = 0; m < MEASURES; ++m) {
            size_t column = c * MEASURES + m;
            *estimates[m] = (forage_estimate){mean[column], NAN, NAN};
            if (resampled)
                *estimates[m] = eval_percentile_interval(mean[column], resampled + column * bootstrap->resamples,
                                                         bootstrap->resamples, bootstrap->level);
        }
    }
}

forage_status eval_rankings_summarise(const eval_rankings *rankings, forage_ranking_metrics *metrics,
                                      forage_error *error)
{
    const forage_ranking_options *options = rankings->options;
    size_t columns = options->cutoff_count * MEASURES, resamples = options->bootstrap.resamples;
    size_t threads = options->threads > 0 ? (size_t)options->threads : 1;
    resampling work = {.job = rankings};
    double *mean = forage_alloc(columns, sizeof *mean);
    bool failed = !mean;
    if (resamples > 0) {
        work.weights = forage_alloc(threads, rankings->count);
        work.sums = forage_alloc(threads, columns * sizeof *work.sums);
        work.values = forage_alloc(columns * sizeof *work.values, resamples);
        failed |= !work.weights || !work.sums || !work.values;
    }
    if (!failed) {
        means(rankings, NULL, mean);
        forage_parallel_for((int)threads, resamples, resample, &work);
        fill(rankings, mean, work.values, metrics);
    }
    forage_free(mean);
    forage_free(work.weights);
    forage_free(work.sums);
    forage_free(work.values);
    return failed ? forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu resamples", resamples) : FORAGE_OK;
}

/* ------------------------------------------------------------------ *
 * The face
 * ------------------------------------------------------------------ */

forage_status eval_rankings_check(const forage_ranking_task *task, const forage_ranking_options *options,
                                  forage_error *error)
{
    FORAGE_TRY(eval_check_bootstrap(&options->bootstrap, error));
    if (options->cutoff_count == 0)
        return forage_fail(error, FORAGE_INVALID, "a ranking needs at least one cutoff k");
    for (size_t c = 0; c < options->cutoff_count; ++c)
        if (options->cutoffs[c] == 0 || options->cutoffs[c] > CUTOFF_MAX)
            return forage_fail(error, FORAGE_INVALID, "a ranking's cutoff k lies between 1 and %d, not %zu", CUTOFF_MAX,
                               options->cutoffs[c]);
    if (task->seen && task->seen->user_count < task->test->user_count)
        return forage_fail(error, FORAGE_INVALID, "%zu users are tested but only %zu have seen anything",
                           task->test->user_count, task->seen->user_count);
    return FORAGE_OK;
}

static forage_status prepare(ranking *job, forage_error *error)
{
    const forage_seen *test = job->task->test;
    for (size_t c = 0; c < job->options->cutoff_count; ++c)
        if (job->options->cutoffs[c] > job->longest)
            job->longest = job->options->cutoffs[c];
    job->length = eval_ranking_length(job->task, job->options);
    job->discount = forage_alloc(job->longest, sizeof *job->discount);
    job->ideal = forage_alloc(job->longest + 1, sizeof *job->ideal);
    job->users = forage_alloc(test->user_count, sizeof *job->users);
    job->best_rank = forage_alloc(job->task->items, sizeof *job->best_rank);
    if (!job->discount || !job->ideal || !job->users || !job->best_rank)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to judge rankings");
    job->ideal[0] = 0;
    for (size_t rank = 0; rank < job->longest; ++rank) {
        job->discount[rank] = 1 / log2((double)rank + 2);
        job->ideal[rank + 1] = job->ideal[rank] + job->discount[rank];
    }
    memset(job->best_rank, 0xff, job->task->items * sizeof *job->best_rank);
    for (size_t user = 0; user < test->user_count; ++user)
        if (test->offsets[user + 1] > test->offsets[user] || (job->task->misses && job->task->misses[user] > 0))
            job->users[job->count++] = (uint32_t)user;
    if (job->count == 0)
        return forage_fail(error, FORAGE_INVALID, "no user has anything to be found in a ranking");
    job->judged =
        (eval_rankings){.task = job->task, .options = job->options, .count = job->count, .best_rank = job->best_rank};
    job->judged.value = forage_alloc(job->count, job->options->cutoff_count * MEASURES * sizeof(double));
    return job->judged.value
               ? FORAGE_OK
               : forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to judge %zu rankings", job->count);
}

forage_status forage_ranking_compute(forage_rank_function *rank, void *context, const forage_ranking_task *task,
                                     const forage_ranking_options *options, forage_ranking_metrics *metrics,
                                     forage_error *error)
{
    FORAGE_TRY(eval_rankings_check(task, options, error));
    ranking job = {.task = task, .options = options};
    forage_status status = prepare(&job, error);
    if (status == FORAGE_OK)
        status = rank_all(&job, rank, context, error);
    if (status == FORAGE_OK)
        status = eval_rankings_summarise(&job.judged, metrics, error);
    forage_free(job.discount);
    forage_free(job.ideal);
    forage_free(job.users);
    forage_free(job.best_rank);
    forage_free(job.judged.value);
    return status;
}
