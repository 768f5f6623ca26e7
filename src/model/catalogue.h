/*
 * catalogue.h: the k best items of the whole catalogue, exactly, for one subject or for many, through a model's
 * `catalogue` hooks (descriptor.h); and those hooks themselves for models whose score is an inner product of vectors.
 *
 * Everything is by the model's own codes, so a fit can rank for its validation, too. Nothing allocates; results are the
 * same bytes for any number of threads. The order is that of forage_model_rank: higher score first, then lower name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_CATALOGUE_H
#define MODEL_CATALOGUE_H

#include "model/descriptor.h"
#include "model/top.h"

/* ---- ranking ---- */

/* What is ranked, and by what. All is borrowed. */
typedef struct model_ranking {
    const model_catalogue *catalogue;
    const model_state *state;
    size_t item_count;     /* codes of items */
    const bool *allowed;   /* [item_count] by code; NULL: all may be ranked */
    const uint32_t *names; /* [item_count] what an item is called in results and exclusions, by code, each once (any
                              number where it is not allowed); NULL: its code */
    bool rising;           /* with names: they rise with the code */
    forage_isa isa;
    int threads;
    void *scratch; /* model_ranking_scratch(...) bytes for each thread, aligned to 64 */
} model_ranking;

/* Bytes of scratch for one thread, a multiple of 64. */
size_t model_ranking_scratch(const model_catalogue *catalogue, const model_state *state);

/* For each of up to MODEL_SUBJECTS subjects the best items, on this thread, which is number `worker` of
 * ranking->threads. Begin each of `tops` with model_top_begin; afterwards it is a list, best first. */
void model_rank_block(const model_ranking *ranking, int worker, const model_subject *subjects, model_top *tops,
                      size_t count);

/* The same for one subject on all threads; scores[item_count], aligned to 64, is filled with the score of every item
 * (those of items that are not allowed may be left undefined). */
void model_rank_one(const model_ranking *ranking, const model_subject *subject, float *scores, model_top *top);

/* For single items: works out what scoring needs of up to MODEL_SUBJECTS subjects, on the thread `worker`; then, until
 * that thread ranks or prepares again, the score of an item for subject `s` of these `count`. */
void model_rank_prepare(const model_ranking *ranking, int worker, const model_subject *subjects, size_t count);
float model_rank_prepared(const model_ranking *ranking, int worker, size_t count, size_t s, size_t code);

/* The score of one item, on the thread `worker`. */
float model_rank_score(const model_ranking *ranking, int worker, const model_subject *subject, size_t code);

/* The `k` best items for users that the model knows, in parallel. */
typedef struct model_rank_request {
    const uint32_t *users; /* [count] codes (FORAGE_NONE: the average user); NULL: 0 ... count - 1 */
    size_t count, k;
    const forage_seen *excluded; /* names of items by code of the user; NULL: none */
    /* Results: user i's begin at [i * k]; what is beyond found[i] is FORAGE_NONE and NaN. */
    uint32_t *items; /* [count * k] names */
    float *scores;   /* [count * k] */
    size_t *found;   /* [count] */
} model_rank_request;

void model_rank_users(const model_ranking *ranking, const model_rank_request *request);

/* ---- scores that are inner products ---- */

/* For the hooks of a model whose score is <user's vector, item's vector>: each hook of `model_catalogue` is one call.
 * Every number is summed in the same order in all of them (that of la_engine_steady), so that one subject, many
 * subjects and single pairs give the same bytes. */
typedef struct model_dot {
    const float *items;  /* row `code` begins at code x pitch */
    size_t width, pitch; /* width may be padded with zeros or not: the sums are the same */
    forage_isa isa;
} model_dot;

/* A multiple of 64. */
size_t model_dot_scratch_size(size_t width, size_t count);
/* vectors[count]: the subjects' vectors, [width] each. */
void model_dot_prepare(const model_dot *dot, const float *const *vectors, size_t count, void *scratch);
void model_dot_score(const model_dot *dot, const void *scratch, size_t count, size_t first, size_t items, float *out);
/* For the model's `score`: out[i] = <left[i], right[i]>. */
void model_dot_pairs(const model_dot *dot, const float *const *left, const float *const *right, size_t count,
                     float *out);

#endif
