/*
 * arena.h: what the files of the arena share. A table is what all plays have in common; a player is an agent at one
 * play; a track counts what happened there; an outcome is what is kept of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVAL_ARENA_H
#define EVAL_ARENA_H

#include "forage/eval.h"

#include <stdatomic.h>

/* ------------------------------------------------------------------ *
 * Scores of plain series (arena_scores.c)
 * ------------------------------------------------------------------ */

/* b of regret ~ a t^b: least squares of log regret on log t over the points in the second half of the visits. NaN with
 * fewer than three points there, or a regret that is not above 0. */
double eval_exponent(const uint64_t *points, const double *regret, size_t count);

/* The first n (from 1) from which the share value[n - 1] / best[n - 1] is `target` for good: in the least-squares
 * rising curve through the shares (isotonic regression weighted by `best`; Ayer et al. 1955). Infinite when it
 * never is, NaN without data. */
double eval_visits_to(const double *value, const double *best, size_t count, double target);

/* A play's sums of expected reward by bucket of `width` visits. */
typedef struct eval_buckets {
    uint64_t width;
    size_t count;
    double *value, *best; /* [count] */
} eval_buckets;

/* Visits after `event` until the share of the oracle is, for good and in the same sense, `target` of that over the 5 x
 * `window` buckets before the event. Nothing before visit `from` or behind visit `until` is looked at. Infinite when it
 * never is or for less than a window, NaN when there is nothing to compare. */
double eval_recovery(const eval_buckets *buckets, uint64_t event, uint64_t from, uint64_t until, size_t window,
                     double target);

/* Of counts: 0 all the same, towards 1 all in one. NaN when all are 0. Sorts them. */
double eval_gini(uint32_t *counts, size_t count);

/* Values that may be infinite, which count as their limit: the mean with its interval, NaN when all are infinite.
 * *reached: the share of finite ones among those that are not NaN; NaN without any. `values` is changed. */
forage_estimate eval_censored(double *values, const double *limits, size_t count, double *reached);

/* ------------------------------------------------------------------ *
 * Counting during a play (arena_track.c)
 * ------------------------------------------------------------------ */

/* What there is to count. Borrowed. */
typedef struct eval_track_shape {
    uint64_t visits, settle, window;
    size_t users, items, positions, user_groups, item_groups;
    const uint32_t *item_group; /* [items] */
    size_t point_count;
    const uint64_t *points;
    size_t event_count;
    const forage_environment_event *events;
} eval_track_shape;

/* What is kept of a play. Infinite: not reached. */
typedef struct eval_outcome {
    double regret, rate, rate_last, share, share_last, loss, exponent, first60, visits_to_90, coverage, gini, accepted;
    double best;               /* the oracle's expected reward per visit */
    double ips, snips, logged; /* logs; the last is the log's own reward per row */
    double *recovery;          /* [events] */
    /* [points], from the beginning to the point. */
    double *regret_at, *reward_at, *answered_at, *value_at, *best_at;
    double *user_group, *item_group, *exposure; /* [groups] */
    double newcomer_value[FORAGE_ARENA_NEWCOMER], newcomer_best[FORAGE_ARENA_NEWCOMER];
    uint64_t newcomer_count[FORAGE_ARENA_NEWCOMER];
    double decide_seconds, learn_seconds, seconds;
    uint64_t decisions, lessons, lost, visits, hash;
    size_t memory;
    size_t page_count;
    forage_arena_page *pages;
    float *beliefs;
    double *block; /* holds the arrays above */
} eval_outcome;

/* Frees what it holds; an outcome of zeros is fine. */
void eval_outcome_release(eval_outcome *outcome);

/* One visit, as it is counted. */
typedef struct eval_step {
    const forage_visit *visit;
    const uint32_t *items; /* [positions] shown */
    double value, best;    /* expected rewards; NaN: not known */
    double earned;
    bool accepted;
} eval_step;

typedef struct eval_track eval_track;

/* `shape` must outlive it. */
forage_status eval_track_create(const eval_track_shape *shape, eval_track **track, forage_error *error);
void eval_track_free(eval_track *track);
void eval_track_step(eval_track *track, const eval_step *step);
/* A reward that became known: counted for the item that earned it, where slates have several positions. */
void eval_track_feedback(eval_track *track, const forage_feedback *feedback);
/* True for a new user who counts: the first visit was at `settle` or later. */
bool eval_track_newcomer(const eval_track *track, uint32_t user);
/* The scores. Fills what the track knows of. */
forage_status eval_track_finish(eval_track *track, eval_outcome *outcome, forage_error *error);

/* ------------------------------------------------------------------ *
 * Agents (arena_agents.c, arena_player.c)
 * ------------------------------------------------------------------ */

typedef struct eval_agent {
    char name[96];
    bool random;                      /* uniform choice */
    bool reference;                   /* oracle, bayes */
    const forage_pipeline_spec *spec; /* of a pipeline */
    forage_pipeline_spec *owned;
} eval_agent;

/* The agents that options name, in their order. Free each one's `owned` and the array with eval_agents_free. */
forage_status eval_agents_parse(const forage_arena_options *options, const forage_environment *environment,
                                eval_agent **agents, size_t *count, forage_error *error);
void eval_agents_free(eval_agent *agents, size_t count);

/* An agent at a play. One thread. */
typedef struct eval_player {
    const eval_agent *agent;
    forage_pipeline *pipeline;
    forage_reference *reference;
    forage_rng rng; /* of uniform choice */
    size_t items, positions;
    double decide_seconds, learn_seconds;
    uint64_t decisions, lessons, lost;
} eval_player;

forage_status eval_player_create(const eval_agent *agent, const forage_environment *environment,
                                 const forage_play *play, uint64_t seed, eval_player *player, forage_error *error);
/* A player of zeros is fine. */
void eval_player_release(eval_player *player);
/* The slate for a visit: items[positions]; `page` (may be NULL) takes what was believed of its first item. */
forage_status eval_player_choose(eval_player *player, const forage_visit *visit, uint32_t *items,
                                 forage_arena_page *page, forage_error *error);
forage_status eval_player_observe(eval_player *player, const forage_feedback *feedback, size_t count,
                                  forage_error *error);
/* The slate for a visit was not shown: the log says nothing about it. */
forage_status eval_player_withdraw(eval_player *player, const forage_visit *visit, forage_error *error);
/* The probability that it would show `item` first. `scratch` has room for every candidate. FORAGE_UNSUPPORTED for
 * references. */
forage_status eval_player_chance(eval_player *player, const forage_request *request, uint32_t item, double *scratch,
                                 double *chance, forage_error *error);
forage_status eval_player_teach(eval_player *player, const forage_request *request, const uint32_t *items,
                                const float *propensity, const float *reward, forage_error *error);

/* Items without repetition, all equally likely. */
void eval_choose_uniform(forage_rng *rng, const forage_request *request, size_t items, size_t positions,
                         uint32_t *chosen);

/* ------------------------------------------------------------------ *
 * Plays (arena_play.c, arena_pretrain.c)
 * ------------------------------------------------------------------ */

/* Read-only while plays run, but for its atomics. */
typedef struct eval_table {
    const forage_environment *environment;
    forage_environment_kind kind;
    const forage_catalogue *catalogue;
    eval_track_shape shape;
    uint64_t seed;
    size_t diary;
    const forage_progress *progress;
    uint64_t work;      /* visits of all plays */
    atomic_ullong done; /* of them */
    atomic_bool stop;
} eval_table;

/* One play of one agent, the `index`th seed. `speaks`: this thread may report progress. */
forage_status eval_arena_play(eval_table *table, const eval_agent *agent, size_t index, bool speaks,
                              eval_outcome *outcome, forage_error *error);
/* Teaches a player the random traffic that its specification wants before its first decision. */
forage_status eval_arena_pretrain(eval_table *table, eval_player *player, size_t index, bool speaks,
                                  forage_error *error);
/* Adds `visits` to what is done, and tells; FORAGE_INTERRUPTED when someone wants to stop. */
forage_status eval_arena_progress(eval_table *table, uint64_t visits, bool speaks, const char *name,
                                  forage_error *error);

/* The record of all plays, outcomes[agents x seeds] agent by agent (arena_record.c). */
forage_status eval_arena_record(const eval_table *table, const eval_agent *agents, size_t agent_count, size_t seeds,
                                eval_outcome *outcomes, forage_arena *arena, forage_error *error);

#endif
