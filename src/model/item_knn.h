/*
 * item_knn.h: what the files of item-knn share: the state (item_knn.c), and its fit (item_knn_fit.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_ITEM_KNN_H
#define MODEL_ITEM_KNN_H

#include "model/interactions.h"

/* Neighbours, or those whose neighbour an item is: of item i, others[e] with similarity[e] for e from offsets[i] up to
 * offsets[i + 1], rising. */
typedef struct item_links {
    size_t *offsets; /* [items + 1] */
    uint32_t *others;
    float *similarity;
} item_links;

struct model_state {
    const model_setup *setup;
    size_t user_field, item_field, users, items;
    size_t most; /* neighbours */
    double shrinkage;
    forage_edge_weight weight;
    bool settled; /* all that follows is there */
    interactions pairs;
    item_links neighbours, back;
    uint32_t *counts;      /* [items] of neighbours */
    float *average_scores; /* [items + 1] of the average user; behind them, for the average item */
    float *average_link;   /* [items] what an interaction with an item adds to the score of the average item */
};

forage_status item_knn_no_memory(forage_error *error);
/* All that was learned, or loaded. */
void item_knn_release_parts(model_state *state);
/* Room for `count` links in all, and for averages. */
forage_status item_knn_make_room(model_state *state, size_t count, forage_error *error);
/* The links the other way round. Their rows come out rising. */
void item_knn_turn(const item_links *from, size_t items, item_links *to);
/* What the average user and the average item have, from the links. */
void item_knn_settle(model_state *state);

extern const model_catalogue item_knn_catalogue;

/* item_knn_fit.c */
double item_knn_fit_memory(const model_setup *setup, const model_fit_input *input);
forage_status item_knn_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit,
                                 forage_error *error);
forage_status item_knn_fit_step(model_fit *fit, model_progress *progress, forage_error *error);
void item_knn_fit_end(model_fit *fit, bool keep);
forage_status item_knn_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error);
forage_status item_knn_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error);
forage_status item_knn_extend(model_state *state, const model_state *old, const uint32_t *user_map,
                              const uint32_t *item_map, const forage_examples *events, forage_error *error);

#endif
