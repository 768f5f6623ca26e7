/*
 * plan.h: what the files that make a plan share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PIPELINE_PLAN_H
#define PIPELINE_PLAN_H

#include "pipeline/intern.h"

typedef struct pipeline_builder {
    const forage_pipeline_spec *spec;
    pipeline_plan *plan;
    bool *follows; /* [item attributes] those that the arm determines */
} pipeline_builder;

/* The columns of an owner; none is a table without columns. */
const forage_table *pipeline_table(const forage_catalogue *catalogue, forage_owner owner);
/* Codes of a categorical column. */
size_t pipeline_codes(const forage_column *column);
/* Compiles one entry of the list. */
forage_status pipeline_builder_add(pipeline_builder *builder, const pipeline_feature *feature, forage_error *error);

/* ---- auto.c ---- */

/* The item attribute whose values are the arms, SIZE_MAX: items are. */
size_t pipeline_auto_arm(const forage_catalogue *catalogue);
/* Adds what `auto` stands for. */
forage_status pipeline_auto(pipeline_builder *builder, forage_error *error);

/* ---- features.c ---- */

/* The group of an item in the plan's grouping of that number. */
uint32_t pipeline_group_of(const pipeline_plan *plan, size_t grouping, uint32_t item);
void pipeline_fixed_features(const pipeline_plan *plan, uint32_t item, float *features);

#endif
