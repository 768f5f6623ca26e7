/*
 * features.c: a request and its candidates to numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "pipeline/plan.h"

/* SplitMix64's finisher (Steele, Lea, Flood 2014): every bit of a code reaches every bit of its place. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/* Where a category goes: its own place, or a hashed one with a sign, so that what collides cancels on average
 * (Weinberger et al. 2009, Feature hashing for large scale multitask learning). */
static void set_code(const pipeline_step *step, uint64_t code, float value, float *features)
{
    if (step->hashed) {
        uint64_t hash = mix(code + step->salt);
        features[(uint32_t)hash % step->width] += hash >> 63 ? -value : value;
    } else if (code < step->width) {
        features[code] = value;
    }
}

/* The row of the owner's table; FORAGE_NONE where nobody is known. */
static uint32_t row_of(const pipeline_plan *plan, const pipeline_source *source, const forage_request *request,
                       uint32_t item)
{
    if (source->owner == FORAGE_OF_ITEM)
        return item;
    return request->user < plan->users ? request->user : FORAGE_NONE;
}

static uint32_t code_of(const pipeline_plan *plan, const pipeline_source *source, const forage_request *request,
                        uint32_t item)
{
    if (source->owner == FORAGE_OF_CONTEXT)
        return request->codes ? request->codes[source->column] : FORAGE_NONE;
    if (source->kind == PIPELINE_OF_ARM)
        return plan->arm_of[item];
    uint32_t row = row_of(plan, source, request, item);
    if (row == FORAGE_NONE || source->kind == PIPELINE_OF_ID)
        return row;
    return pipeline_table(plan->catalogue, source->owner)->columns[source->column].codes[row];
}

static float value_of(const pipeline_plan *plan, const pipeline_source *source, const forage_request *request,
                      uint32_t item)
{
    if (source->owner == FORAGE_OF_CONTEXT)
        return request->values ? request->values[source->column] : NAN;
    uint32_t row = row_of(plan, source, request, item);
    if (row == FORAGE_NONE)
        return NAN;
    return pipeline_table(plan->catalogue, source->owner)->columns[source->column].values[row];
}

/* Until so many values were seen a numeric column is 0, as if it were missing: what is learned on a scale of two or
 * three values means something else on the next one, and a learner that is sure of it may never try an arm again. */
static bool ready(const pipeline_scale *scale)
{
    return scale->seen >= PIPELINE_SCALE_FIRST;
}

static void write_column(const pipeline_plan *plan, const pipeline_step *step, const forage_request *request,
                         uint32_t item, float *features)
{
    const pipeline_source *source = &step->sources[0];
    if (!source->numeric) {
        uint32_t code = code_of(plan, source, request, item);
        memset(features, 0, step->width * sizeof *features);
        if (code != FORAGE_NONE)
            set_code(step, code, 1, features);
        return;
    }
    float value = value_of(plan, source, request, item);
    if (source->scale == SIZE_MAX) {
        *features = isnan(value) ? 0 : value;
        return;
    }
    const pipeline_scale *scale = &plan->scales[source->scale];
    if (!ready(scale))
        value = NAN;
    features[0] = pipeline_scale_value(scale, value);
    pipeline_scale_pieces(scale, value, step->knots, features + 1);
}

static void write_cross(const pipeline_plan *plan, const pipeline_step *step, const forage_request *request,
                        uint32_t item, float *features)
{
    uint64_t code = 0;
    float product = 1;
    memset(features, 0, step->width * sizeof *features);
    for (size_t i = 0; i < step->source_count; i++) {
        const pipeline_source *source = &step->sources[i];
        if (source->numeric) {
            const pipeline_scale *scale = &plan->scales[source->scale];
            product *= ready(scale) ? pipeline_scale_value(scale, value_of(plan, source, request, item)) : 0;
            continue;
        }
        uint32_t part = code_of(plan, source, request, item);
        if (part == FORAGE_NONE || (!step->hashed && part >= source->codes))
            return;
        code = step->hashed ? mix(code + 0x9e3779b97f4a7c15U * (i + 1)) + part : code * source->codes + part;
    }
    set_code(step, code, product, features);
}

static void write_step(const pipeline_plan *plan, const pipeline_step *step, const forage_request *request,
                       uint32_t item, float *features)
{
    features += step->offset;
    pipeline_history *history;
    switch (step->kind) {
    case PIPELINE_AUTO:
        break;
    case PIPELINE_BIAS:
        *features = 1;
        break;
    case PIPELINE_COLUMN:
        write_column(plan, step, request, item, features);
        break;
    case PIPELINE_CROSS:
        write_cross(plan, step, request, item, features);
        break;
    case PIPELINE_ACTIVITY:
        pipeline_history_measure(plan->groupings[step->history].history, 0, step->measures, features);
        break;
    case PIPELINE_HISTORY:
        history = plan->groupings[step->history].history;
        if (step->own)
            pipeline_history_measure(history, pipeline_group_of(plan, step->history, item), step->measures, features);
        else
            pipeline_history_measure_all(history, step->width / pipeline_measure_count(step->measures), step->measures,
                                         features);
        break;
    case PIPELINE_POPULARITY:
        history = plan->groupings[step->history].history;
        pipeline_history_look(history, item);
        pipeline_history_measure(history, pipeline_group_of(plan, step->history, item), step->measures, features);
        break;
    }
}

uint32_t pipeline_group_of(const pipeline_plan *plan, size_t grouping, uint32_t item)
{
    const pipeline_grouping *how = &plan->groupings[grouping];
    if (how->all || (how->popularity && plan->arm_is_item))
        return 0;
    if (how->popularity)
        return plan->arm_of[item];
    if (how->item)
        return item;
    return plan->catalogue->item_attributes->columns[how->column].codes[item];
}

void pipeline_plan_look(pipeline_plan *plan, const forage_request *request)
{
    for (size_t i = 0; i < plan->grouping_count; i++)
        if (!plan->groupings[i].popularity)
            pipeline_history_look(plan->groupings[i].history, request->user);
}

void pipeline_request_features(const pipeline_plan *plan, const forage_request *request, float *features)
{
    for (size_t i = 0; i < plan->request_count; i++)
        write_step(plan, &plan->request[i], request, 0, features);
}

void pipeline_fixed_features(const pipeline_plan *plan, uint32_t item, float *features)
{
    static const forage_request nobody = {.user = FORAGE_NONE};
    for (size_t i = 0; i < plan->fixed_count; i++)
        write_step(plan, &plan->fixed[i], &nobody, item, features);
}

void pipeline_candidate_features(const pipeline_plan *plan, const forage_request *request, uint32_t item,
                                 float *features)
{
    if (plan->fixed_width)
        memcpy(features, plan->fixed_block + item * plan->fixed_width, plan->fixed_width * sizeof *features);
    for (size_t i = 0; i < plan->varying_count; i++)
        write_step(plan, &plan->varying[i], request, item, features);
}

void pipeline_plan_see(pipeline_plan *plan, const forage_request *request)
{
    for (size_t i = 0; i < plan->scale_count; i++) {
        const pipeline_source *source = &plan->scale_sources[i];
        if (source->owner != FORAGE_OF_ITEM && plan->scales[i].seen < PIPELINE_SCALE_ROWS)
            pipeline_scale_see(&plan->scales[i], value_of(plan, source, request, 0), plan->scale_knots[i]);
    }
}

forage_status pipeline_plan_reserve(pipeline_plan *plan, uint32_t user, uint32_t item, size_t count,
                                    forage_error *error)
{
    for (size_t i = 0; i < plan->grouping_count; i++)
        FORAGE_TRY(pipeline_history_reserve(plan->groupings[i].history, plan->groupings[i].popularity ? item : user,
                                            count, error));
    return FORAGE_OK;
}

void pipeline_plan_happened(pipeline_plan *plan, uint32_t user, uint32_t item, float reward, float weight)
{
    for (size_t i = 0; i < plan->grouping_count; i++)
        pipeline_history_add(plan->groupings[i].history, plan->groupings[i].popularity ? item : user,
                             pipeline_group_of(plan, i, item), reward, weight);
}
