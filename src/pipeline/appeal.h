/*
 * appeal.h: what an item is worth beyond its arm; see appeal.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PIPELINE_APPEAL_H
#define PIPELINE_APPEAL_H

#include "pipeline/intern.h"

typedef struct pipeline_appeal pipeline_appeal;

/* Deviations are multiplied by `width`. */
forage_status pipeline_appeal_create(size_t items, double width, pipeline_appeal **result, forage_error *error);
void pipeline_appeal_free(pipeline_appeal *appeal);
forage_status pipeline_appeal_grow(pipeline_appeal *appeal, size_t items, forage_error *error);
/* The model expected `expected` of any item of the arm, and this one earned `reward`. */
void pipeline_appeal_learn(pipeline_appeal *appeal, uint32_t item, float expected, float reward, float weight);
/* How much the item changes what its arm is worth: a share of it, and the standard error of that. */
float pipeline_appeal_lift(const pipeline_appeal *appeal, uint32_t item, float *deviation);
size_t pipeline_appeal_memory(const pipeline_appeal *appeal);

/* ---- places of a slate ---- */

/* How often the places of a slate are looked at; see places.c. */
typedef struct pipeline_places {
    size_t count;
    double *expected, *earned; /* [count] */
} pipeline_places;

forage_status pipeline_places_create(size_t count, pipeline_places *places, forage_error *error);
void pipeline_places_release(pipeline_places *places);
/* The weight of a lesson from a place where the model expected `expected` of an item that is looked at. */
float pipeline_places_weight(const pipeline_places *places, size_t place, float expected, float reward);
void pipeline_places_learn(pipeline_places *places, size_t place, float expected, float reward);

#endif
