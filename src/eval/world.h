/*
 * world.h: a small shop of known truth, its log, and models trained on that: the ground on which the
 * experiments of the study stand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVAL_WORLD_H
#define EVAL_WORLD_H

#include "forage/eval.h"

/* What all worlds of a study share. Read-only while experiments run. */
typedef struct eval_study {
    const forage_scenario *scenario; /* its sizes are the document's; a world has sizes of its own */
    const forage_model_info *info;
    forage_device device; /* one thread: worlds run side by side */
    uint64_t seed;
    size_t visits; /* chapter 3: of the logs that models learn from */
    const forage_progress
        *watch; /* of what takes long in a world: says no when all shall end. eval_play_worlds sets it */
} eval_study;

/* Users and items have indices below `users` and `items`; those below `known_users` and
 * `known_items` are the ones that logs and models know. */
typedef struct eval_world {
    const eval_study *study;
    forage_simulator *simulator;
    size_t users, items, known_users, known_items;
    uint32_t *shop_item; /* [items]: the simulator's item; users are the same in both */
    float *truth;        /* [users x items]: click probabilities; see eval_world_look */
    forage_rng rng;
    forage_dataset *log; /* of the known users and items; room for `capacity` events */
    forage_dataset *all; /* names all users and items, has no events: what models are bound to */
    size_t capacity;
    uint32_t *rows;      /* [capacity]: 0, 1, 2 ... */
    uint32_t *pair_user; /* [users x items] */
    uint32_t *pair_item;
    float *scores; /* [users x items] */
} eval_world;

/* A shop with `users` and `items` of which the last `new_users` and `new_items` are unknown at first.
 * `last_category` is the category whose items come last (FORAGE_NONE: as drawn): with `new_items`
 * SIZE_MAX all of that category, and no others, are unknown. `stream` separates the experiments. */
typedef struct eval_world_options {
    size_t users, items, new_users, new_items;
    uint32_t last_category;
    size_t capacity;
    uint32_t stream;
} eval_world_options;

forage_status eval_world_create(const eval_study *study, const eval_world_options *options, eval_world *world,
                                forage_error *error);
/* A world of zeros is fine. */
void eval_world_release(eval_world *world);

/* Takes the true rates from the simulator again, after users have changed. */
void eval_world_look(eval_world *world);
/* Forgets all events. */
void eval_world_clear(eval_world *world);
/* The log's first `count` (at most capacity) events are what there is; who lengthens it has filled them in. */
void eval_world_set_count(eval_world *world, size_t count);
/* Makes all users and items known: from now on logs and models hold them. */
forage_status eval_world_open(eval_world *world, forage_error *error);
/* `count` visits: a random known user is shown `choice[user]`, or a random known item when `choice` is NULL. */
void eval_world_visits(eval_world *world, size_t count, const uint32_t *choice);
/* Fits a model on `count` events of the log (`rows` says which; world->rows + first for those from `first` on). */
forage_status eval_world_model(eval_world *world, const forage_model_info *info, const forage_params *params,
                               const uint32_t *rows, size_t count, uint64_t seed, forage_model **model,
                               forage_error *error);
/* Has it score all pairs: world->scores. Users and items that it does not know get the average of what it knows. */
forage_status eval_world_score(eval_world *world, const forage_model *model, forage_error *error);
/* Both at once, for a model that nobody needs afterwards. If it has such parameters, it takes batches of 128, a
 * learning rate of 0.005, and so many epochs. */
forage_status eval_world_fit(eval_world *world, const forage_model_info *info, const uint32_t *rows, size_t count,
                             unsigned epochs, uint64_t seed, forage_error *error);

/* The best-scored of the first `items` items for each of the users [first, last), the first of equals. */
void eval_world_choose(const eval_world *world, const float *scores, size_t first, size_t last, size_t items,
                       uint32_t *choice);
/* Mean true click rate of choice[user] over the users [first, last); those of `among` alone unless that is NULL. */
double eval_world_rate(const eval_world *world, const uint32_t *choice, size_t first, size_t last, const bool *among);
/* The same for the best possible choice among the first `items` items. */
double eval_world_oracle(const eval_world *world, size_t first, size_t last, size_t items, const bool *among);
/* The same for a random one. */
double eval_world_random(const eval_world *world, size_t first, size_t last, size_t items);
/* Root mean square of score - truth over users [u0, u1) and items [i0, i1). */
double eval_world_rmse(const eval_world *world, size_t u0, size_t u1, size_t i0, size_t i1);

/* Copies a text that is cut to fit. */
void eval_name(char *to, size_t size, const char *text);

/* An experiment that is repeated in worlds of its own. `world` is called side by side for different `index` and writes
 * what it found there: so many numbers as `size` says. */
typedef struct eval_experiment {
    const char *name;
    size_t (*size)(void);
    forage_status (*world)(const eval_study *study, size_t index, double *found, forage_error *error);
} eval_experiment;

enum { EVAL_MOST_WORLDS = 50 };
/* FORAGE_INVALID for more. */
forage_status eval_check_worlds(size_t worlds, forage_error *error);

/* Plays `worlds` (at most EVAL_MOST_WORLDS) of each of `count` experiments, in the order of the list. found[e] receives
 * [worlds x size] numbers; forage_free each, on failure too. */
forage_status eval_play_worlds(const eval_study *study, const eval_experiment *experiments, size_t count, size_t worlds,
                               int threads, const forage_progress *progress, double **found, forage_error *error);
/* Mean over the worlds of their number at `place`. */
forage_estimate eval_over_worlds(const double *found, size_t worlds, size_t size, size_t place);
/* The same of the difference of two numbers. */
forage_estimate eval_difference_over_worlds(const double *found, size_t worlds, size_t size, size_t place, size_t less);

/* ---- chapter 1 ---- */

forage_status eval_cold_start_world(const eval_study *study, size_t index, double *found, forage_error *error);
forage_status eval_drift_world(const eval_study *study, size_t index, double *found, forage_error *error);
forage_status eval_feedback_world(const eval_study *study, size_t index, double *found, forage_error *error);
size_t eval_cold_start_size(void);
size_t eval_drift_size(void);
size_t eval_feedback_size(void);
/* The record from the findings of all worlds, found[worlds x size]. */
forage_status eval_cold_start_record(const eval_study *study, const double *found, size_t worlds,
                                     forage_cold_start *record, forage_error *error);
forage_status eval_drift_record(const eval_study *study, const double *found, size_t worlds, forage_drift *record,
                                forage_error *error);
forage_status eval_feedback_record(const eval_study *study, const double *found, size_t worlds,
                                   forage_feedback_loop *record, forage_error *error);

/* The document's own run: log, training, metrics, predictions. */
forage_status eval_baseline(const forage_chapter1_options *options, const forage_scenario *scenario,
                            const forage_model_info *info, const forage_device *device, forage_chapter1 *chapter,
                            forage_error *error);

#endif
