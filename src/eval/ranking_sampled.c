/*
 * ranking_sampled.c: test items ranked among sampled ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "eval/ranking.h"

enum { SLAB_ENTRIES = 1 << 20 }; /* scores at once, about */

/* Users one after the other: lists of test items and their negatives are gathered until a slab is full. */
typedef struct sampler {
    const forage_ranking_task *task;
    const forage_sampling *sampling;
    const forage_ranking_options *options;
    eval_rankings judged;
    double *discount; /* [longest]: 1 / log2(rank + 1), rank from 1 */
    uint32_t *pool;   /* [pool_count] what negatives are drawn from, rising */
    size_t pool_count;
    uint32_t *stamp; /* [items]: the last list that has the item; from 1 */
    uint32_t stamps;
    uint32_t *rest; /* [pool_count] of a user who has met nearly all: what is left */

    /* The slab: list l is of users[l], its test item first. */
    size_t lists, room;
    uint32_t *users; /* [room] */
    size_t *offsets; /* [room + 1] */
    uint32_t *items; /* [room x (1 + negatives)] */
    float *scores;
} sampler;

static void sampler_release(sampler *s)
{
    forage_free(s->judged.value);
    forage_free(s->discount);
    forage_free(s->pool);
    forage_free(s->stamp);
    forage_free(s->rest);
    forage_free(s->users);
    forage_free(s->offsets);
    forage_free(s->items);
    forage_free(s->scores);
}

static size_t longest(const forage_ranking_options *options)
{
    size_t most = 1;
    for (size_t c = 0; c < options->cutoff_count; c++)
        most = options->cutoffs[c] > most ? options->cutoffs[c] : most;
    return most;
}

static forage_status prepare(sampler *s, forage_error *error)
{
    const forage_seen *test = s->task->test;
    size_t items = s->task->items, width = s->sampling->negatives + 1, most = longest(s->options);
    s->room = SLAB_ENTRIES / width + 1;
    for (size_t user = 0; user < test->user_count; user++)
        s->judged.count += test->offsets[user + 1] > test->offsets[user];
    if (s->judged.count == 0)
        return forage_fail(error, FORAGE_INVALID, "no user has anything to be found in a ranking");
    s->judged.value = forage_calloc(s->judged.count, s->options->cutoff_count * RANKING_MEASURES * sizeof(double));
    s->discount = forage_alloc(most, sizeof *s->discount);
    s->pool = forage_alloc(items + 1, sizeof *s->pool);
    s->stamp = forage_calloc(items + 1, sizeof *s->stamp);
    s->rest = forage_alloc(items + 1, sizeof *s->rest);
    s->users = forage_alloc(s->room, sizeof *s->users);
    s->offsets = forage_calloc(s->room + 1, sizeof *s->offsets);
    s->items = forage_alloc(s->room, width * sizeof *s->items);
    s->scores = forage_alloc(s->room, width * sizeof *s->scores);
    if (!s->judged.value || !s->discount || !s->pool || !s->stamp || !s->rest || !s->users || !s->offsets ||
        !s->items || !s->scores)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to rank among %zu sampled items",
                           s->sampling->negatives);
    for (size_t rank = 0; rank < most; rank++)
        s->discount[rank] = 1 / log2((double)rank + 2);
    for (size_t item = 0; item < items; item++) {
        if (!s->task->catalogue || s->task->catalogue[item])
            s->pool[s->pool_count++] = (uint32_t)item;
    }
    return FORAGE_OK;
}

/* ---- drawing ---- */

/* Marks what may not be drawn; returns how much of the pool is left. */
static size_t mark_met(sampler *s, uint32_t user)
{
    const forage_seen *lists[2] = {s->task->test, s->sampling->met};
    size_t left = s->pool_count;
    s->stamps++;
    for (int l = 0; l < 2; l++) {
        if (!lists[l] || user >= lists[l]->user_count)
            continue;
        for (size_t i = lists[l]->offsets[user]; i < lists[l]->offsets[user + 1]; i++) {
            uint32_t item = lists[l]->items[i];
            if (s->stamp[item] == s->stamps)
                continue;
            s->stamp[item] = s->stamps;
            left -= !s->task->catalogue || s->task->catalogue[item];
        }
    }
    return left;
}

/* Draws `wanted` items that are not marked, `left` of them being there, each once. */
static size_t draw(sampler *s, forage_rng *rng, size_t left, uint32_t *out)
{
    size_t wanted = s->sampling->negatives < left ? s->sampling->negatives : left, count = 0;
    if (left >= 2 * wanted && left >= s->pool_count / 2) {
        while (count < wanted) { /* most draws are good ones */
            uint32_t item = s->pool[forage_rng_integers(rng, s->pool_count)];
            if (s->stamp[item] == s->stamps)
                continue;
            s->stamp[item] = s->stamps;
            out[count++] = item;
        }
        for (size_t i = 0; i < count; i++) /* free again for the user's next test item */
            s->stamp[out[i]] = 0;
        return count;
    }
    size_t rest = 0;
    for (size_t i = 0; i < s->pool_count; i++) {
        if (s->stamp[s->pool[i]] != s->stamps)
            s->rest[rest++] = s->pool[i];
    }
    for (; count < wanted; count++) {
        size_t at = count + (size_t)forage_rng_integers(rng, rest - count);
        out[count] = s->rest[at];
        s->rest[at] = s->rest[count];
    }
    return count;
}

/* ---- judging ---- */

/* Adds the means over all orders of equals: rank `above` + 1, or one of the `equal` ones behind it. */
static void judge(const sampler *s, size_t above, size_t equal, double weight, double *value)
{
    for (size_t c = 0; c < s->options->cutoff_count; c++) {
        size_t k = s->options->cutoffs[c];
        double hit = 0, gain = 0, reciprocal = 0, share = weight / (double)(equal + 1);
        for (size_t rank = above; rank <= above + equal && rank < k; rank++) {
            hit += share;
            gain += share * s->discount[rank];
            reciprocal += share / (double)(rank + 1);
        }
        double *out = value + c * RANKING_MEASURES;
        out[RANKING_PRECISION] += hit / (double)k;
        out[RANKING_RECALL] += hit;
        out[RANKING_NDCG] += gain;
        out[RANKING_MRR] += reciprocal;
        out[RANKING_HIT] += hit;
    }
}

/* True if any item of the list has a score. */
static bool judge_list(const sampler *s, size_t list, double weight, double *value)
{
    const float *scores = s->scores + s->offsets[list];
    size_t count = s->offsets[list + 1] - s->offsets[list], above = 0, equal = 0, scored = 0;
    for (size_t i = 0; i < count; i++)
        scored += !isnan(scores[i]);
    if (scored == 0 || isnan(scores[0])) /* nobody knows the item: never found */
        return scored > 0;
    for (size_t i = 1; i < count; i++) {
        above += scores[i] > scores[0];
        equal += scores[i] == scores[0];
    }
    judge(s, above, equal, weight, value);
    return true;
}

/* Scores and judges what is in the slab; `place` counts the users that were judged before. */
static forage_status flush(sampler *s, forage_score_function *score, void *context, size_t *place, forage_error *error)
{
    size_t columns = s->options->cutoff_count * RANKING_MEASURES;
    if (s->lists == 0)
        return FORAGE_OK;
    FORAGE_TRY(score(context, s->users, s->lists, s->offsets, s->items, s->scores, error));
    for (size_t first = 0, end; first < s->lists; first = end) {
        double *value = s->judged.value + (*place)++ * columns;
        bool any = false;
        for (end = first; end < s->lists && s->users[end] == s->users[first];)
            end++;
        for (size_t list = first; list < end; list++)
            any |= judge_list(s, list, 1 / (double)(end - first), value);
        if (!any)
            value[0] = NAN;
    }
    s->lists = 0;
    if (!forage_progress_report(s->options->progress, "ranking", *place, s->judged.count, NULL))
        return forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
    return FORAGE_OK;
}

/* Room for all lists of a user at once: a user's lists are judged together. */
static forage_status make_room(sampler *s, size_t lists, forage_error *error)
{
    size_t width = s->sampling->negatives + 1;
    if (lists <= s->room)
        return FORAGE_OK;
    uint32_t *users = forage_alloc(lists, sizeof *users), *items = forage_alloc(lists, width * sizeof *items);
    size_t *offsets = forage_calloc(lists + 1, sizeof *offsets);
    float *scores = forage_alloc(lists, width * sizeof *scores);
    forage_free(s->users);
    forage_free(s->offsets);
    forage_free(s->items);
    forage_free(s->scores);
    s->users = users;
    s->offsets = offsets;
    s->items = items;
    s->scores = scores;
    s->room = lists;
    return users && offsets && items && scores
               ? FORAGE_OK
               : forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu test items of one user", lists);
}

static forage_status rank_all(sampler *s, forage_score_function *score, void *context, forage_error *error)
{
    const forage_seen *test = s->task->test;
    size_t place = 0;
    for (uint32_t user = 0; user < test->user_count; user++) {
        size_t first = test->offsets[user], count = test->offsets[user + 1] - first;
        forage_rng rng;
        if (count == 0)
            continue;
        if (s->lists + count > s->room)
            FORAGE_TRY(flush(s, score, context, &place, error));
        FORAGE_TRY(make_room(s, count, error));
        forage_rng_seed_stream(&rng, s->sampling->seed, user);
        size_t left = mark_met(s, user);
        for (size_t i = 0; i < count; i++) {
            size_t begin = s->offsets[s->lists];
            s->users[s->lists] = user;
            s->items[begin] = test->items[first + i];
            s->offsets[++s->lists] = begin + 1 + draw(s, &rng, left, s->items + begin + 1);
        }
    }
    FORAGE_TRY(flush(s, score, context, &place, error));
    eval_rankings_drop(&s->judged);
    return s->judged.count ? FORAGE_OK : forage_fail(error, FORAGE_INVALID, "no user got a ranking");
}

static forage_status check(const forage_ranking_task *task, const forage_sampling *sampling,
                           const forage_ranking_options *options, forage_error *error)
{
    FORAGE_TRY(eval_rankings_check(task, options, error));
    if (sampling->negatives == 0 || sampling->negatives > 1000000)
        return forage_fail(error, FORAGE_INVALID, "negatives lie between 1 and 1000000, not %zu", sampling->negatives);
    const forage_seen *lists[2] = {task->test, sampling->met};
    for (int l = 0; l < 2; l++) {
        for (size_t i = 0; lists[l] && i < lists[l]->offsets[lists[l]->user_count]; i++) {
            if (lists[l]->items[i] >= task->items)
                return forage_fail(error, FORAGE_INVALID, "a user has met item %u, but there are only %zu",
                                   lists[l]->items[i], task->items);
        }
    }
    return FORAGE_OK;
}

forage_status forage_ranking_sampled(forage_score_function *score, void *context, const forage_ranking_task *task,
                                     const forage_sampling *sampling, const forage_ranking_options *options,
                                     forage_ranking_metrics *metrics, forage_error *error)
{
    sampler s = {.task = task, .sampling = sampling, .options = options, .judged = {.task = task, .options = options}};
    FORAGE_TRY(check(task, sampling, options, error));
    forage_status status = prepare(&s, error);
    if (status == FORAGE_OK)
        status = rank_all(&s, score, context, error);
    if (status == FORAGE_OK)
        status = eval_rankings_summarise(&s.judged, metrics, error);
    sampler_release(&s);
    return status;
}

/* ---- by a model ---- */

static forage_status score_by_model(void *context, const uint32_t *users, size_t count, const size_t *offsets,
                                    const uint32_t *items, float *scores, forage_error *error)
{
    return forage_model_score_lists(context, users, count, offsets, items, scores, error);
}

forage_status forage_ranking_sampled_of_model(forage_binding *binding, const forage_ranking_task *task,
                                              const forage_sampling *sampling, const forage_ranking_options *options,
                                              forage_ranking_metrics *metrics, forage_error *error)
{
    return forage_ranking_sampled(score_by_model, binding, task, sampling, options, metrics, error);
}
