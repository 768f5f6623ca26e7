/*
 * gf_cf.h: what the files of GF-CF share: the state (gf_cf.c), and its fit (gf_cf_fit.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_GF_CF_H
#define MODEL_GF_CF_H

#include "la/la.h"
#include "model/interactions.h"

struct model_state {
    size_t user_field, item_field, users, items;
    size_t wanted, rank; /* singular vectors: asked for, and there */
    double alpha;
    forage_edge_weight weight;
    const model_setup *setup;
    interactions pairs;
    float *values;       /* [2 pairs.count] N beside pairs.others, by user and by item */
    float *item_vectors; /* [items, rank] V */
    float *singular;     /* [rank] */
    float *root;         /* [items] D_I^1/2 */
    /* What scoring an average takes: the average user's [users] first hop and [rank] product with V, both as in
     * `prepare`, and the average item's column of N and row of D_I^1/2 V. */
    float *average_hop, *average_filter, *average_column, *average_vector;
};

forage_status gf_cf_no_memory(forage_error *error);
/* All that was learned, or loaded. */
void gf_cf_release_parts(model_state *state);
/* N' and N. */
la_csr gf_cf_by_item(const model_state *state);
la_csr gf_cf_by_user(const model_state *state);
/* N and D_I^1/2 from the interactions. */
forage_status gf_cf_normalise(model_state *state, forage_error *error);
/* Room for `rank` singular vectors and what follows from them, which are 0. */
forage_status gf_cf_make_room(model_state *state, size_t rank, forage_error *error);
/* What follows from N and the vectors. */
void gf_cf_make_averages(model_state *state);

extern const model_catalogue gf_cf_catalogue;

/* gf_cf_fit.c */
double gf_cf_fit_memory(const model_setup *setup, const model_fit_input *input);
forage_status gf_cf_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error);
forage_status gf_cf_fit_step(model_fit *fit, model_progress *progress, forage_error *error);
void gf_cf_fit_end(model_fit *fit, bool keep);
forage_status gf_cf_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error);
forage_status gf_cf_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error);

#endif
