/*
 * crowd.h: what the experiments of chapter 4 share: who takes part, how they are fitted to a world's log, and what
 * becomes of their rankings.
 *
 * A user is offered the CROWD_TOP best products among those that they have not clicked yet; what that is worth is the
 * mean true click probability of these.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVAL_CROWD_H
#define EVAL_CROWD_H

#include "eval/world.h"

enum {
    CROWD_TOP = 5,
    CROWD_CUTOFF = 20, /* of recall and NDCG */
    CROWD_ITEMS = 200,
    CROWD_LAYERS = 3, /* of the graph model as it is published */
};

/* Somebody who ranks, and what they are called. */
typedef struct crowd_arm {
    const char *name, *note;
} crowd_arm;

/* A model and its settings. */
typedef struct crowd_model {
    const char *name;
    const char *const (*settings)[2];
    size_t count;
} crowd_model;

/* embedding-mlp as in the worlds of chapter 1, and by its recipe against overfitting; and models with their defaults.
 */
extern const crowd_model crowd_batched, crowd_tuned, crowd_popular, crowd_neighbours, crowd_squares, crowd_filter;
/* LightGCN with so many layers (0 to CROWD_MOST_LAYERS), trained or as it begins: random numbers, smoothed or not. */
enum { CROWD_MOST_LAYERS = 4 };
forage_status crowd_graph_model(eval_world *world, size_t layers, bool trained, size_t rows, uint64_t seed,
                                forage_model **model, forage_error *error);

/* Fits a model on the first `rows` events of the world's log. */
forage_status crowd_fit(eval_world *world, const crowd_model *spec, size_t rows, uint64_t seed, forage_model **model,
                        forage_error *error);
/* The same, and has it score all pairs: world->scores. */
forage_status crowd_score(eval_world *world, const crowd_model *spec, size_t rows, uint64_t seed, forage_error *error);

/* Scores of who knows the rates of all personas and the category of each product, but not the personas of the users:
 * the mean rate under P(persona | the user's first `rows` events), or with `clicks_alone` P(persona | what was clicked
 * of these): as if what was shown, evenly, and not clicked had not been written down. Nobody who learns from the same
 * can expect to choose better. */
forage_status crowd_score_personas(eval_world *world, size_t rows, bool clicks_alone, forage_error *error);

/* chosen[users x items]: whether the user has clicked on the item among the first `rows` events. */
void crowd_chosen(const eval_world *world, size_t rows, bool *chosen);
/* The best `k` items by `scores` that are not `chosen`, best first, the first of equals; both are [items], of one user.
 * Returns how many there are. */
size_t crowd_top(const float *scores, const bool *chosen, size_t items, size_t k, uint32_t *top);
/* Mean true click probability of items; NaN of none. */
double crowd_truth(const eval_world *world, size_t user, const uint32_t *items, size_t count);
/* Mean over the users [first, last), those of `among` alone unless that is NULL, of what their best CROWD_TOP by
 * `scores` [users x items] are worth. */
double crowd_rate(const eval_world *world, const float *scores, const bool *chosen, size_t first, size_t last,
                  const bool *among);

#endif
