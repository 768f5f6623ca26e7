/*
 * chapter4.h: the experiments of chapter 4 and what they leave for its record.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVAL_CHAPTER4_H
#define EVAL_CHAPTER4_H

#include "eval/crowd.h"

/* ------------------------------------------------------------------ *
 * How much the crowd has clicked (crowd_sizes.c)
 * ------------------------------------------------------------------ */

enum { CROWD_USERS = 500, CROWD_SIZES = 4, CROWD_SHOWN = 2 /* of the sizes: the shop that is looked at */ };
enum { CROWD_STREAM_SIZES = 400, CROWD_STREAM_FEW = 500 };

/* In the order of their notes. Layers follow one another. */
enum {
    CROWD_POPULAR,
    CROWD_BATCHED,
    CROWD_TUNED,
    CROWD_NEIGHBOURS_OF_ITEMS,
    CROWD_SQUARES,
    CROWD_FILTER,
    CROWD_LAYER_0,
    CROWD_LAYER_1,
    CROWD_LAYER_2,
    CROWD_LAYER_3,
    CROWD_LAYER_4,
    CROWD_PERSONAS_CLICKS,
    CROWD_PERSONAS,
    CROWD_ORACLE,
    CROWD_ARMS
};
enum { CROWD_RATE, CROWD_RECALL, CROWD_NDCG, CROWD_MEASURES };

/* How vectors come about: with and without training, with and without the graph. */
enum { CROWD_RANDOM, CROWD_SMOOTHED, CROWD_TRAINED, CROWD_BOTH, CROWD_VIEWS };
enum { CROWD_USER_NEIGHBOURS, CROWD_USER_SILHOUETTE, CROWD_ITEM_NEIGHBOURS, CROWD_ITEM_SILHOUETTE, CROWD_LOOKS };
enum { CROWD_NEIGHBOURS = 10 };

extern const double crowd_sizes[CROWD_SIZES];

size_t crowd_sizes_size(void);
forage_status crowd_sizes_world(const eval_study *study, size_t index, double *found, forage_error *error);
/* Fills chapter->smoothing, chapter->crowd, and the numbers of chapter->map. */
forage_status crowd_sizes_record(const double *found, size_t worlds, forage_chapter4 *chapter, forage_error *error);

/* World `index` of the experiment with its whole log, and how many rows models learn from at one size. */
forage_status crowd_sizes_open(const eval_study *study, size_t index, eval_world *world, forage_error *error);
size_t crowd_sizes_rows(size_t size);
/* The model whose vectors a view shows. */
forage_status crowd_view_model(eval_world *world, size_t view, size_t rows, uint64_t seed, forage_model **model,
                               forage_error *error);
/* persona[users], category[items]. */
void crowd_groups(const eval_world *world, uint32_t *persona, uint32_t *category);

/* ------------------------------------------------------------------ *
 * Users of few clicks (few_clicks.c)
 * ------------------------------------------------------------------ */

size_t few_clicks_size(void);
forage_status few_clicks_world(const eval_study *study, size_t index, double *found, forage_error *error);
forage_status few_clicks_record(const double *found, size_t worlds, forage_chapter4 *chapter, forage_error *error);

/* ------------------------------------------------------------------ *
 * The shop that is looked at: world 0 of the sizes (crowd_shop.c)
 * ------------------------------------------------------------------ */

/* Fills chapter->graph, the points of chapter->map and chapter->customers. */
forage_status crowd_shop(const eval_study *study, forage_chapter4 *chapter, forage_error *error);

/* ------------------------------------------------------------------ *
 * Records
 * ------------------------------------------------------------------ */

/* Room for `arms` x `points` estimates; names and notes stay empty. `rankings`: of recall and NDCG, too; `duel`: and of
 * who is ahead. */
forage_status crowd_table_create(size_t arms, const double *points, size_t point_count, bool rankings, bool duel,
                                 forage_arm_table *table, forage_error *error);
void crowd_name(forage_ranked_arm *to, const crowd_arm *arm);
void crowd_table_release(forage_arm_table *table);

#endif
