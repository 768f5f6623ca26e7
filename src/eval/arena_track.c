/*
 * arena_track.c: counts what happens during a play. Memory is taken at the beginning and does not grow with visits:
 * curves are sampled at points, shares of the oracle for recovery are summed up in buckets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/arena.h"

#include <math.h>
#include <string.h>

enum {
    MOST_BUCKETS = 20000,
    RING = 16384, /* slates of several positions are remembered for so many visits, for rewards that come late */
};

static const double recovered_share = 0.95, settled_share = 0.9;

/* Sums of a stretch of visits. */
typedef struct stretch {
    double visits, answered, reward, regret, value, best, wrong;
} stretch;

struct eval_track {
    const eval_track_shape *shape;
    stretch all, last;
    uint64_t last_begin, hash;
    size_t point; /* the next */
    stretch *at;  /* [points] */
    eval_buckets buckets;
    size_t window; /* in buckets */
    double newcomer_value[FORAGE_ARENA_NEWCOMER], newcomer_best[FORAGE_ARENA_NEWCOMER];
    uint64_t newcomer_count[FORAGE_ARENA_NEWCOMER];
    uint8_t *newcomer; /* [users / 8] bits */
    double *user_reward, *user_visits, *item_reward, *item_shown;
    uint32_t *impressions; /* [items] */
    uint64_t *ring_id;     /* [RING] visit + 1; NULL with slates of one */
    uint32_t *ring_items;  /* [RING x positions] */
    void *blocks[10];
    size_t block_count;
};

static void *take(eval_track *track, size_t count, size_t size)
{
    return track->blocks[track->block_count++] = forage_calloc(count ? count : 1, size);
}

static forage_status take_all(eval_track *t, forage_error *error)
{
    const eval_track_shape *shape = t->shape;
    uint64_t width = shape->window / 10 ? shape->window / 10 : 1;
    if (shape->visits / width > MOST_BUCKETS)
        width = (shape->visits + MOST_BUCKETS - 1) / MOST_BUCKETS;
    t->buckets.width = width;
    t->buckets.count = shape->event_count ? (size_t)(shape->visits / width) : 0; /* whole ones */
    t->window = (size_t)(shape->window / width ? shape->window / width : 1);
    t->at = take(t, shape->point_count, sizeof *t->at);
    t->buckets.value = take(t, 2 * t->buckets.count, sizeof(double));
    t->newcomer = take(t, shape->users / 8 + 1, 1);
    t->user_reward = take(t, 2 * shape->user_groups, sizeof(double));
    t->item_reward = take(t, 2 * shape->item_groups, sizeof(double));
    t->impressions = take(t, shape->items, sizeof *t->impressions);
    if (shape->positions > 1) {
        t->ring_id = take(t, RING, sizeof *t->ring_id);
        t->ring_items = take(t, (size_t)RING * shape->positions, sizeof *t->ring_items);
    }
    for (size_t i = 0; i < t->block_count; ++i)
        if (!t->blocks[i])
            return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the scores of a play");
    t->buckets.best = t->buckets.value + t->buckets.count;
    t->user_visits = t->user_reward + shape->user_groups;
    t->item_shown = t->item_reward + shape->item_groups;
    return FORAGE_OK;
}

forage_status eval_track_create(const eval_track_shape *shape, eval_track **track, forage_error *error)
{
    eval_track *t = forage_calloc(1, sizeof *t);
    *track = NULL;
    if (!t)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the scores of a play");
    t->shape = shape;
    t->last_begin = shape->visits - shape->visits / 10;
    t->hash = 0xcbf29ce484222325;
    forage_status status = take_all(t, error);
    if (status != FORAGE_OK) {
        eval_track_free(t);
        return status;
    }
    *track = t;
    return FORAGE_OK;
}

void eval_track_free(eval_track *track)
{
    if (!track)
        return;
    for (size_t i = 0; i < track->block_count; ++i)
        forage_free(track->blocks[i]);
    forage_free(track);
}

static void count_in(stretch *to, const eval_step *step)
{
    to->visits += 1;
    to->answered += step->accepted;
    to->reward += step->accepted ? step->earned : 0;
    to->regret += step->best - step->value;
    to->value += step->value;
    to->best += step->best;
    to->wrong += step->value < step->best - 1e-9 * fabs(step->best);
}

bool eval_track_newcomer(const eval_track *track, uint32_t user)
{
    return user < track->shape->users && (track->newcomer[user / 8] >> user % 8 & 1);
}

static void count_newcomer(eval_track *t, const eval_step *step)
{
    const forage_visit *visit = step->visit;
    uint32_t user = visit->request.user;
    if (user >= t->shape->users || !visit->new_user || visit->user_visit >= FORAGE_ARENA_NEWCOMER)
        return;
    if (visit->user_visit == 0 && visit->request.id >= t->shape->settle)
        t->newcomer[user / 8] |= (uint8_t)(1u << user % 8);
    if (eval_track_newcomer(t, user)) {
        t->newcomer_value[visit->user_visit] += step->value;
        t->newcomer_best[visit->user_visit] += step->best;
        t->newcomer_count[visit->user_visit] += 1;
    }
}

/* FNV-1a over the bytes of a number. */
static void hash_number(uint64_t *hash, uint32_t number)
{
    for (int i = 0; i < 4; ++i, number >>= 8)
        *hash = (*hash ^ (number & 0xff)) * 0x100000001b3;
}

static void count_items(eval_track *t, const eval_step *step)
{
    const eval_track_shape *shape = t->shape;
    uint64_t id = step->visit->request.id;
    for (size_t p = 0; p < shape->positions; ++p) {
        uint32_t item = step->items[p];
        hash_number(&t->hash, item);
        if (!step->accepted || item >= shape->items)
            continue;
        uint32_t group = shape->item_group[item];
        t->impressions[item] += t->impressions[item] < UINT32_MAX;
        if (group < shape->item_groups) {
            t->item_shown[group] += 1;
            t->item_reward[group] += shape->positions == 1 ? step->earned : 0;
        }
    }
    if (t->ring_id) {
        t->ring_id[id % RING] = id + 1;
        memcpy(t->ring_items + id % RING * shape->positions, step->items, shape->positions * sizeof *step->items);
    }
}

void eval_track_step(eval_track *t, const eval_step *step)
{
    const eval_track_shape *shape = t->shape;
    uint64_t number = (uint64_t)t->all.visits, bucket = number / t->buckets.width;
    count_in(&t->all, step);
    if (number >= t->last_begin)
        count_in(&t->last, step);
    if (bucket < t->buckets.count) {
        t->buckets.value[bucket] += step->value;
        t->buckets.best[bucket] += step->best;
    }
    if (step->accepted && step->visit->user_group < shape->user_groups) {
        t->user_visits[step->visit->user_group] += 1;
        t->user_reward[step->visit->user_group] += step->earned;
    }
    count_newcomer(t, step);
    count_items(t, step);
    while (t->point < shape->point_count && shape->points[t->point] <= number + 1)
        t->at[t->point++] = t->all;
}

void eval_track_feedback(eval_track *t, const forage_feedback *feedback)
{
    const eval_track_shape *shape = t->shape;
    size_t slot = feedback->decision % RING;
    if (!t->ring_id || t->ring_id[slot] != feedback->decision + 1 || feedback->position >= shape->positions)
        return;
    uint32_t item = t->ring_items[slot * shape->positions + feedback->position];
    if (item < shape->items && shape->item_group[item] < shape->item_groups)
        t->item_reward[shape->item_group[item]] += feedback->reward;
}

/* ------------------------------------------------------------------ *
 * The end of a play
 * ------------------------------------------------------------------ */

void eval_outcome_release(eval_outcome *outcome)
{
    forage_free(outcome->block);
    forage_free(outcome->pages);
    forage_free(outcome->beliefs);
    *outcome = (eval_outcome){0};
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

static void finish_recovery(const eval_track *t, eval_outcome *outcome)
{
    const eval_track_shape *shape = t->shape;
    for (size_t e = 0; e < shape->event_count; ++e) {
        uint64_t from = e ? shape->events[e - 1].visit : 0;
        uint64_t until = e + 1 < shape->event_count ? shape->events[e + 1].visit : shape->visits;
        outcome->recovery[e] =
            eval_recovery(&t->buckets, shape->events[e].visit, from, until, t->window, recovered_share);
    }
}

static void finish_newcomers(const eval_track *t, eval_outcome *outcome)
{
    memcpy(outcome->newcomer_value, t->newcomer_value, sizeof t->newcomer_value);
    memcpy(outcome->newcomer_best, t->newcomer_best, sizeof t->newcomer_best);
    memcpy(outcome->newcomer_count, t->newcomer_count, sizeof t->newcomer_count);
    outcome->first60 = 0;
    /* Visit by visit, so that users who have not made all sixty when the play ends count for those they made. */
    for (size_t n = 0; n < FORAGE_ARENA_NEWCOMER; ++n)
        outcome->first60 += ratio(t->newcomer_best[n] - t->newcomer_value[n], (double)t->newcomer_count[n]);
    outcome->visits_to_90 = eval_visits_to(t->newcomer_value, t->newcomer_best, FORAGE_ARENA_NEWCOMER, settled_share);
}

static void finish_curves(eval_track *t, eval_outcome *outcome)
{
    while (t->point < t->shape->point_count) /* a play that ended early */
        t->at[t->point++] = t->all;
    for (size_t i = 0; i < t->shape->point_count; ++i) {
        outcome->regret_at[i] = t->at[i].regret;
        outcome->reward_at[i] = t->at[i].reward;
        outcome->answered_at[i] = t->at[i].answered;
        outcome->value_at[i] = t->at[i].value;
        outcome->best_at[i] = t->at[i].best;
    }
    outcome->exponent = eval_exponent(t->shape->points, outcome->regret_at, t->shape->point_count);
}

static void finish_items(eval_track *t, eval_outcome *outcome)
{
    const eval_track_shape *shape = t->shape;
    double shown = 0, distinct = 0;
    for (size_t g = 0; g < shape->item_groups; ++g)
        shown += t->item_shown[g];
    for (size_t g = 0; g < shape->item_groups; ++g) {
        outcome->item_group[g] = ratio(t->item_reward[g], t->item_shown[g]);
        outcome->exposure[g] = ratio(t->item_shown[g], shown);
    }
    for (size_t g = 0; g < shape->user_groups; ++g)
        outcome->user_group[g] = ratio(t->user_reward[g], t->user_visits[g]);
    for (size_t i = 0; i < shape->items; ++i)
        distinct += t->impressions[i] > 0;
    outcome->coverage = ratio(distinct, (double)shape->items);
    outcome->gini = eval_gini(t->impressions, shape->items);
}

forage_status eval_track_finish(eval_track *t, eval_outcome *outcome, forage_error *error)
{
    const eval_track_shape *shape = t->shape;
    double *at = forage_calloc(
        shape->event_count + 5 * shape->point_count + shape->user_groups + 2 * shape->item_groups + 1, sizeof *at);
    if (!at)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the scores of a play");
    outcome->block = at;
    double **const arrays[] = {&outcome->regret_at, &outcome->reward_at, &outcome->answered_at, &outcome->value_at,
                               &outcome->best_at};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; ++i, at += shape->point_count)
        *arrays[i] = at;
    outcome->recovery = at;
    outcome->user_group = outcome->recovery + shape->event_count;
    outcome->item_group = outcome->user_group + shape->user_groups;
    outcome->exposure = outcome->item_group + shape->item_groups;

    outcome->visits = (uint64_t)t->all.visits;
    outcome->hash = t->hash;
    outcome->regret = t->all.regret;
    outcome->rate = ratio(t->all.reward, t->all.answered);
    outcome->rate_last = ratio(t->last.reward, t->last.answered);
    outcome->share = ratio(t->all.value, t->all.best);
    outcome->share_last = ratio(t->last.value, t->last.best);
    outcome->best = ratio(t->all.best, t->all.visits);
    outcome->loss = isnan(t->all.value) ? NAN : ratio(t->all.wrong, t->all.visits);
    outcome->accepted = ratio(t->all.answered, t->all.visits);
    finish_recovery(t, outcome);
    finish_newcomers(t, outcome);
    finish_curves(t, outcome);
    finish_items(t, outcome);
    return FORAGE_OK;
}
