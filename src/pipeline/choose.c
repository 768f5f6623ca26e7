/*
 * choose.c: from a request to a slate: features, estimates, policy.
 *
 * Where candidates of one arm have the same features (100,000 products of 1,000 categories), the learner is
 * asked about each arm once, and what it says is spread over the candidates. Where features depend on the item
 * alone and all items are candidates, their block is handed on as it lies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "pipeline/engine.h"

/* ---- scratch ---- */

void pipeline_scratch_release(pipeline_scratch *scratch)
{
    forage_free(scratch->request);
    forage_free(scratch->features);
    forage_free(scratch->arms_seen);
    forage_free(scratch->place);
    forage_free(scratch->arm_mark);
    forage_free(scratch->arm_place);
    forage_free(scratch->marks);
    forage_free(scratch->raw_mean);
    forage_free(scratch->raw_draw);
    forage_free(scratch->raw_deviation);
    forage_free(scratch->mean);
    forage_free(scratch->deviation);
    forage_free(scratch->chosen);
    forage_free(scratch->items_shown);
    forage_free(scratch->propensity);
    forage_free(scratch->shown_mean);
    forage_free(scratch->shown_arm_mean);
    forage_free(scratch->shown_deviation);
    forage_free(scratch->shown);
    forage_free(scratch->lessons);
    *scratch = (pipeline_scratch){0};
}

forage_status pipeline_scratch_create(pipeline_scratch *scratch, const pipeline_plan *plan, size_t positions,
                                      forage_error *error)
{
    size_t items = plan->catalogue->items, arms = pipeline_plan_arms(plan), capacity = plan->by_arm ? arms : items;
    pipeline_scratch made = {.items = items, .arms = arms, .capacity = capacity};
    bool good = true;
    /* One more than needed, so that nothing is of size 0. */
#define MAKE(field, count) good = (made.field = forage_calloc((count) + 1, sizeof *made.field)) != NULL && good
    MAKE(request, plan->request_width);
    MAKE(arms_seen, capacity);
    MAKE(place, plan->by_arm ? items : 0);
    MAKE(arm_mark, arms);
    MAKE(arm_place, arms);
    MAKE(marks, items);
    MAKE(raw_mean, capacity);
    MAKE(raw_deviation, capacity);
    MAKE(raw_draw, capacity);
    MAKE(mean, items);
    MAKE(deviation, items);
    MAKE(chosen, positions);
    MAKE(items_shown, positions);
    MAKE(propensity, positions);
    MAKE(shown_mean, positions);
    MAKE(shown_arm_mean, positions);
    MAKE(shown_deviation, positions);
    MAKE(shown, positions * plan->candidate_width);
    MAKE(lessons, positions);
    made.features = forage_alloc(capacity, (plan->candidate_width + 1) * sizeof *made.features);
    if (!good || !made.features) {
        pipeline_scratch_release(&made);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for requests");
    }
#undef MAKE
    *scratch = made;
    return FORAGE_OK;
}

size_t pipeline_scratch_memory(const pipeline_scratch *scratch)
{
    return scratch->items * 2 * sizeof(float) + scratch->arms * 2 * sizeof(uint32_t) +
           scratch->capacity * 3 * sizeof(float);
}

uint32_t pipeline_scratch_mark(pipeline_scratch *scratch)
{
    if (++scratch->mark == 0) {
        memset(scratch->marks, 0, scratch->items * sizeof *scratch->marks);
        scratch->mark = 1;
    }
    return scratch->mark;
}

/* ---- what the learner sees ---- */

static float hypot_of(float a, float b)
{
    return sqrtf(a * a + b * b);
}

static uint32_t item_at(const pipeline_scratch *scratch, size_t index)
{
    return scratch->candidates ? scratch->candidates[index] : (uint32_t)index;
}

/* The distinct arms of the candidates, each with the features of the first candidate of that arm. */
static size_t see_arms(forage_pipeline *pipeline, const forage_request *request, size_t count)
{
    const pipeline_plan *plan = &pipeline->plan;
    pipeline_scratch *scratch = &pipeline->scratch;
    size_t width = plan->candidate_width, found = 0;
    if (++scratch->arm_stamp == 0) {
        memset(scratch->arm_mark, 0, scratch->arms * sizeof *scratch->arm_mark);
        scratch->arm_stamp = 1;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t item = item_at(scratch, i), arm = plan->arm_of[item];
        if (scratch->arm_mark[arm] != scratch->arm_stamp) {
            scratch->arm_mark[arm] = scratch->arm_stamp;
            scratch->arm_place[arm] = (uint32_t)found;
            scratch->arms_seen[found] = arm;
            if (width)
                pipeline_candidate_features(plan, request, item, scratch->features + found * width);
            found++;
        }
        scratch->place[i] = scratch->arm_place[arm];
    }
    return found;
}

static void see(forage_pipeline *pipeline, const forage_request *request, bool all, size_t count)
{
    pipeline_plan *plan = &pipeline->plan;
    pipeline_scratch *scratch = &pipeline->scratch;
    size_t width = plan->candidate_width;
    scratch->candidates = all ? NULL : request->candidates;
    scratch->by_arm = plan->by_arm;
    scratch->seen = (forage_candidates){count, request->user, scratch->request, scratch->features, scratch->arms_seen};
    pipeline_plan_look(plan, request);
    pipeline_request_features(plan, request, scratch->request);
    if (plan->by_arm) {
        scratch->seen.count = see_arms(pipeline, request, count);
    } else if (all && !plan->varying_count) {
        scratch->seen.features = plan->fixed_block;
        scratch->seen.arms = plan->arm_of;
    } else {
        for (size_t i = 0; i < count; i++) {
            uint32_t item = item_at(scratch, i);
            scratch->arms_seen[i] = plan->arm_of[item];
            if (width)
                pipeline_candidate_features(plan, request, item, scratch->features + i * width);
        }
    }
    if (!width)
        scratch->seen.features = NULL;
}

static size_t seen_place(const pipeline_scratch *scratch, size_t index)
{
    return scratch->by_arm ? scratch->place[index] : index;
}

/* What was seen, from `from` on, as many as the learner takes at a time: the catalogue may have grown since it was
 * made. */
static forage_candidates piece(const forage_pipeline *pipeline, size_t from)
{
    forage_candidates part = pipeline->scratch.seen;
    part.count -= from;
    if (part.count > pipeline->at_once)
        part.count = pipeline->at_once;
    part.arms += from;
    if (part.features)
        part.features += from * pipeline->plan.candidate_width;
    return part;
}

/* From what was seen to the candidates, each with its own appeal; `deviation` may be NULL. */
static void spread(forage_pipeline *pipeline, size_t count, bool deviation)
{
    pipeline_scratch *scratch = &pipeline->scratch;
    for (size_t i = 0; i < count; i++) {
        size_t place = seen_place(scratch, i);
        float mean = scratch->raw_mean[place], spread = deviation ? scratch->raw_deviation[place] : 0, unsure = 0;
        float lift = pipeline->appeal ? pipeline_appeal_lift(pipeline->appeal, item_at(scratch, i), &unsure) : 0;
        scratch->mean[i] = mean * (1 + lift);
        if (deviation)
            scratch->deviation[i] = hypot_of(spread * (1 + lift), mean * unsure);
    }
}

/* A joint draw of the candidates' values: candidates of one arm draw the same, but for their appeal. */
static void draw(void *context, forage_rng *rng, float *values)
{
    forage_pipeline *pipeline = context;
    pipeline_scratch *scratch = &pipeline->scratch;
    for (size_t i = 0; i < scratch->seen.count; i += pipeline->at_once) {
        const forage_candidates part = piece(pipeline, i);
        forage_learner_draw(pipeline->learner, &part, rng, scratch->raw_draw + i);
    }
    for (size_t i = 0; i < pipeline->candidate_count; i++) {
        float value = scratch->raw_draw[seen_place(scratch, i)], unsure, lift;
        if (pipeline->appeal) {
            lift = pipeline_appeal_lift(pipeline->appeal, item_at(scratch, i), &unsure);
            value *= 1 + lift + unsure * (float)forage_rng_normal(rng);
        }
        values[i] = value;
    }
}

/* ---- estimates ---- */

static forage_status estimate(forage_pipeline *pipeline, const forage_request *request, size_t count, bool deviation,
                              forage_estimates *estimates, forage_error *error)
{
    pipeline_scratch *scratch = &pipeline->scratch;
    bool apart = pipeline->batch || scratch->by_arm || pipeline->appeal;
    float *deviations = apart ? scratch->deviation : scratch->raw_deviation;
    *estimates = (forage_estimates){
        .count = count, .mean = apart ? scratch->mean : scratch->raw_mean, .deviation = deviation ? deviations : NULL};
    if (pipeline->batch)
        return pipeline_batch_estimate(pipeline->batch, request, scratch->candidates, count, scratch->mean,
                                       deviation ? scratch->deviation : NULL, error);
    for (size_t i = 0; i < scratch->seen.count; i += pipeline->at_once) {
        const forage_candidates part = piece(pipeline, i);
        forage_learner_estimate(pipeline->learner, &part, scratch->raw_mean + i,
                                deviation ? scratch->raw_deviation + i : NULL);
    }
    if (apart)
        spread(pipeline, count, deviation);
    return FORAGE_OK;
}

/* ---- the first pulls of every arm ---- */

/* The fewest times that a candidate's arm was tried, if that is fewer than it shall be; else UINT32_MAX. */
static uint32_t fewest_pulls(const forage_pipeline *pipeline, size_t count)
{
    uint32_t fewest = pipeline->initial_pulls;
    for (size_t i = 0; pipeline->initial_pulls && i < count; i++) {
        uint32_t pulls = pipeline->pulls[pipeline->plan.arm_of[item_at(&pipeline->scratch, i)]];
        fewest = pulls < fewest ? pulls : fewest;
    }
    return fewest < pipeline->initial_pulls ? fewest : UINT32_MAX;
}

static bool is_taken(const pipeline_scratch *scratch, size_t positions, size_t index)
{
    for (size_t i = 0; i < positions; i++)
        if (scratch->chosen[i] == index)
            return true;
    return false;
}

/* Every place of the slate goes to one of the candidates whose arms were tried least, by chance. */
static void choose_untried(forage_pipeline *pipeline, size_t count, size_t positions, forage_rng *rng,
                           double *probabilities)
{
    pipeline_scratch *scratch = &pipeline->scratch;
    for (size_t at = 0; at < positions; at++) {
        uint32_t least = UINT32_MAX;
        size_t ties = 0, place = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (size_t i = 0; i < count; i++) {
                uint32_t pulls = pipeline->pulls[pipeline->plan.arm_of[item_at(scratch, i)]];
                if ((at && is_taken(scratch, at, i)) || pulls > least)
                    continue;
                if (pass == 0) {
                    ties = pulls < least ? 1 : ties + 1;
                    least = pulls;
                    continue;
                }
                if (place-- == 0)
                    scratch->chosen[at] = (uint32_t)i;
                if (probabilities && at == 0)
                    probabilities[i] = 1.0 / (double)ties;
            }
            if (pass == 0)
                place = (size_t)forage_rng_integers(rng, ties);
        }
        scratch->propensity[at] = 1.0 / (double)ties;
    }
}

/* ---- choosing ---- */

static void name_items(forage_pipeline *pipeline, size_t positions)
{
    pipeline_scratch *scratch = &pipeline->scratch;
    for (size_t i = 0; i < positions; i++)
        scratch->items_shown[i] = item_at(scratch, scratch->chosen[i]);
}

forage_status pipeline_choose(forage_pipeline *pipeline, const forage_request *request, bool all, size_t positions,
                              forage_rng *rng, double *probabilities, forage_error *error)
{
    pipeline_scratch *scratch = &pipeline->scratch;
    size_t count = request->candidates ? request->candidate_count : pipeline->plan.items;
    unsigned needs = pipeline->spec->policy->needs;
    forage_estimates estimates = {.count = count};
    pipeline->candidate_count = count;
    if (pipeline->learner)
        see(pipeline, request, all, count);
    else
        scratch->candidates = all ? NULL : request->candidates;
    if (fewest_pulls(pipeline, count) != UINT32_MAX) {
        if (probabilities)
            memset(probabilities, 0, count * sizeof *probabilities);
        choose_untried(pipeline, count, positions, rng, probabilities);
        name_items(pipeline, positions);
        return FORAGE_OK;
    }
    if (needs & FORAGE_POLICY_USES_MEAN) {
        bool deviates = pipeline->spec->model->capabilities & FORAGE_HAS_DEVIATION;
        bool draws = needs & FORAGE_POLICY_USES_DRAWS && pipeline->learner &&
                     (!pipeline->normals || scratch->by_arm || pipeline->appeal);
        bool deviation = deviates && needs & (FORAGE_POLICY_USES_DEVIATION | FORAGE_POLICY_USES_DRAWS);
        FORAGE_TRY(estimate(pipeline, request, count, deviation, &estimates, error));
        if (pipeline->learner && scratch->by_arm) { /* candidates of an arm share a draw */
            estimates.groups = scratch->place;
            estimates.group_count = scratch->seen.count;
        }
        if (draws) {
            estimates.draw = draw;
            estimates.context = pipeline;
        }
    }
    FORAGE_TRY(forage_policy_choose(pipeline->policy, &estimates, positions, pipeline->steps, rng, scratch->chosen,
                                    scratch->propensity, probabilities, error));
    name_items(pipeline, positions);
    return FORAGE_OK;
}

const float *pipeline_chosen_features(const forage_pipeline *pipeline, size_t index)
{
    const pipeline_scratch *scratch = &pipeline->scratch;
    return scratch->seen.features + seen_place(scratch, index) * pipeline->plan.candidate_width;
}

/* The slate alone, as the learner would see it: cheap, and only asked for in order to tell. */
forage_status pipeline_describe(forage_pipeline *pipeline, const forage_request *request, size_t positions,
                                forage_error *error)
{
    pipeline_scratch *scratch = &pipeline->scratch;
    for (size_t i = 0; i < positions; i++)
        scratch->shown_mean[i] = scratch->shown_deviation[i] = NAN;
    if (!pipeline->spec->model)
        return FORAGE_OK;
    bool deviates = pipeline->spec->model->capabilities & FORAGE_HAS_DEVIATION;
    float *deviation = deviates ? scratch->shown_deviation : NULL;
    if (pipeline->batch)
        return pipeline_batch_estimate(pipeline->batch, request, scratch->items_shown, positions, scratch->shown_mean,
                                       deviation, error);
    for (size_t i = 0; i < positions; i++) {
        size_t place = seen_place(scratch, scratch->chosen[i]);
        forage_candidates one = scratch->seen;
        float expected, unsure = 0;
        one.count = 1;
        one.arms += place;
        if (one.features)
            one.features += place * pipeline->plan.candidate_width;
        forage_learner_estimate(pipeline->learner, &one, &expected, deviation ? &deviation[i] : NULL);
        float lift = pipeline->appeal ? pipeline_appeal_lift(pipeline->appeal, scratch->items_shown[i], &unsure) : 0;
        scratch->shown_arm_mean[i] = expected;
        scratch->shown_mean[i] = expected * (1 + lift);
        if (deviation)
            deviation[i] = hypot_of(deviation[i] * (1 + lift), expected * unsure);
    }
    return FORAGE_OK;
}

forage_status pipeline_means(forage_pipeline *pipeline, const forage_request *request, float *mean, forage_error *error)
{
    forage_estimates estimates;
    size_t count = pipeline->candidate_count;
    for (size_t i = 0; i < count; i++)
        mean[i] = NAN;
    if (!pipeline->spec->model)
        return FORAGE_OK;
    FORAGE_TRY(estimate(pipeline, request, count, false, &estimates, error));
    memcpy(mean, estimates.mean, count * sizeof *mean);
    return FORAGE_OK;
}
