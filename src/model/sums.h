/*
 * sums.h: what models without features keep: a few sums for each arm, which may fade.
 * Lessons add to them, so that they can be taken back, and two learners' sums can be joined.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_SUMS_H
#define MODEL_SUMS_H

#include "model/descriptor.h"

/* Fading: after each lesson, of whatever arm, all that was learned before counts `discount` times as much as
 * it did. Instead of shrinking every sum, the lessons to come are written in a unit that grows. */
typedef struct model_sums {
    size_t arms, columns;
    double discount; /* in (0, 1]; 1: nothing fades */
    double unit;     /* what a weight of 1 is written as now */
    double *values;  /* [arms x columns], in units */

    /* Draws: candidates of one arm share one value in one call. */
    uint64_t round;   /* number of the call */
    uint64_t *rounds; /* [arms] in which call `drawn` was made */
    float *drawn;     /* [arms] */
} model_sums;

/* Start from {0}. */
forage_status model_sums_create(model_sums *sums, size_t arms, size_t columns, double discount, forage_error *error);
void model_sums_release(model_sums *sums);
/* On failure all is as it was. */
forage_status model_sums_grow(model_sums *sums, size_t arms, forage_error *error);
/* One lesson: its amounts[columns] come on top, all else fades. */
void model_sums_add(model_sums *sums, size_t arm, const double *amounts);
/* Takes away what such a lesson counts; exact up to rounding. Refused where lessons fade: nobody knows then how far
 * this one has. */
forage_status model_sums_check_subtract(const model_sums *sums, forage_error *error);
void model_sums_subtract(model_sums *sums, size_t arm, const double *amounts);
/* Adds what both count for today. */
void model_sums_merge(model_sums *sums, const model_sums *other);
/* values[columns] of an arm as they count today; zeros for an arm that nobody knows. */
void model_sums_get(const model_sums *sums, size_t arm, double *values);
/* Tensors "sums" [arms, columns] and "unit" [1]; what is read is finite. */
forage_status model_sums_save(const model_sums *sums, nn_checkpoint *checkpoint, forage_error *error);
forage_status model_sums_load(model_sums *sums, const nn_checkpoint *checkpoint, forage_error *error);
/* Bytes beyond the struct itself. */
size_t model_sums_memory(const model_sums *sums);

/* values[i] = draw(context, sums of candidate i's arm, rng), the same for candidates of the same arm; each candidate of
 * no known arm has a draw of its own. */
typedef double model_sums_sampler(const void *context, const double *sums, forage_rng *rng);
void model_sums_draw(model_sums *sums, const forage_candidates *candidates, model_sums_sampler *sampler,
                     const void *context, forage_rng *rng, float *values);

#endif
