/*
 * ials.h: what the files of ials share: the state (ials.c), and its fit (ials_fit.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_IALS_H
#define MODEL_IALS_H

#include "la/la.h"
#include "model/interactions.h"

/* Tables have rows of `pitch` floats; what lies beyond the width is 0. */
struct model_state {
    const model_setup *setup;
    size_t user_field, item_field, users, items;
    size_t width, pitch;
    double l2, exponent;
    forage_edge_weight weight;
    bool begun;         /* the tables hold something learned */
    interactions pairs; /* what they were learned from */
    /* The weight of a pair that was not chosen, and how many items were chosen at all. Kept with the model: a user who
     * comes with a history is solved for by them. */
    double facts[2];
    /* [users + 1, pitch] and [items + 1, pitch]; the last row is the average of those that chose or were chosen. */
    float *user, *item;
    float *base;   /* [width, pitch]: facts[0] times the items' Gram matrix, what all users have in common */
    float *packed; /* tables without padding: tensors of a checkpoint under way */
};

enum { IALS_UNOBSERVED, IALS_ITEMS, IALS_FACTS };

/* One side's equations, given the other side's table. */
typedef struct ials_side {
    const float *others; /* [any, pitch] */
    const float *base;   /* [width, pitch] */
    double crowd;        /* the weight of all of the other side: facts[IALS_UNOBSERVED] times their number */
} ials_side;

/* Floats of scratch for one equation, aligned to 64. */
size_t ials_scratch(const model_state *state);
/* The vector, out[pitch], of somebody who chose columns[count] with such weights (NULL: 1). */
void ials_solve(const model_state *state, const ials_side *side, const uint32_t *columns, const float *weights,
                size_t count, float *scratch, float *out);
/* How strongly the vector of someone with interactions of this total weight is drawn to 0. */
double ials_regular(const model_state *state, const ials_side *side, double weight);

/* base = facts[IALS_UNOBSERVED] times the Gram matrix of table[rows, pitch]; the matrix itself, packed, into `gram`.
 * `scratch`: la_gram_scratch(width) floats for each thread. */
void ials_base(const model_state *state, const float *table, size_t rows, float *scratch, double *gram, float *base);
/* The averages and `base`, once the tables are what they are to be. `gram` and `scratch` as above. */
void ials_settle(model_state *state, float *scratch, double *gram);
/* The facts that follow from who chose what. */
void ials_note(model_state *state);

extern const model_catalogue ials_catalogue;

/* ials_fit.c */
double ials_fit_memory(const model_setup *setup, const model_fit_input *input);
forage_status ials_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error);
forage_status ials_fit_step(model_fit *fit, model_progress *progress, forage_error *error);
void ials_fit_end(model_fit *fit, bool keep);
forage_status ials_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error);
forage_status ials_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error);
/* The vectors of items whose vector is 0 from those of their users, then those of all users. */
forage_status ials_place(model_state *state, forage_error *error);
bool ials_is_zero(const model_state *state, const float *row);

#endif
