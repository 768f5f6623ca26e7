/*
 * engine.h: a pipeline at work, shared by pipeline.c and choose.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PIPELINE_ENGINE_H
#define PIPELINE_ENGINE_H

#include "pipeline/appeal.h"

/* Room for one request, and what was made of it. Sizes are those of the plan: `items`, `arms`. */
typedef struct pipeline_scratch {
    size_t items, arms, capacity; /* capacity: what a learner sees at once, distinct arms or candidates */

    /* The request as the learner sees it. */
    float *request;      /* [request_width] */
    float *features;     /* [capacity x candidate_width]; NULL where those of the plan are handed on */
    uint32_t *arms_seen; /* [capacity] */
    forage_candidates seen;
    const uint32_t *candidates;     /* items by candidate; NULL: all of them in order */
    bool by_arm;                    /* `seen` are distinct arms; else the candidates themselves */
    uint32_t *place;                /* [items] by arm: where in `seen` each candidate is */
    uint32_t *arm_mark, *arm_place; /* [arms] */
    uint32_t *marks;                /* [items] */
    uint32_t mark, arm_stamp;

    float *raw_mean, *raw_deviation, *raw_draw; /* [capacity] of what was seen */
    float *mean, *deviation;                    /* [items] of the candidates */

    /* The slate. */
    uint32_t *chosen, *items_shown; /* [positions] */
    double *propensity;
    float *shown_mean, *shown_deviation;
    float *shown_arm_mean; /* without the item's own appeal */
    float *shown;          /* [positions x candidate_width] */
    forage_lesson *lessons;
} pipeline_scratch;

struct forage_pipeline {
    const forage_pipeline_spec *spec;
    pipeline_plan plan;
    forage_learner *learner;
    pipeline_batch *batch;
    pipeline_appeal *appeal; /* NULL: items are arms, or nobody wants to know */
    pipeline_places places;
    forage_policy *policy;
    pipeline_waiting *waiting;
    pipeline_scratch scratch;
    forage_rng rng;
    size_t at_once; /* the learner sees at most this many candidates at a time */
    bool normals;   /* draws of the learner are independent normals */
    size_t positions, columns;
    uint32_t initial_pulls;
    uint32_t *pulls; /* [arms] */
    uint64_t steps, lessons, expired;
    size_t candidate_count; /* of the request under way */
};

/* Room for as many items and arms as the catalogue has now. */
forage_status pipeline_scratch_create(pipeline_scratch *scratch, const pipeline_plan *plan, size_t positions,
                                      forage_error *error);
void pipeline_scratch_release(pipeline_scratch *scratch);
size_t pipeline_scratch_memory(const pipeline_scratch *scratch);
/* A number that `marks` does not hold. */
uint32_t pipeline_scratch_mark(pipeline_scratch *scratch);

/* Chooses for a request that was checked. `all`: the candidates are all items in order. What was chosen is in the
 * scratch; `probabilities` may be NULL. */
forage_status pipeline_choose(forage_pipeline *pipeline, const forage_request *request, bool all, size_t positions,
                              forage_rng *rng, double *probabilities, forage_error *error);
/* After choosing: the features of candidate `index`, candidate_width of them. */
const float *pipeline_chosen_features(const forage_pipeline *pipeline, size_t index);
/* After choosing: what the model expects of the slate, and of all candidates. */
forage_status pipeline_describe(forage_pipeline *pipeline, const forage_request *request, size_t positions,
                                forage_error *error);
forage_status pipeline_means(forage_pipeline *pipeline, const forage_request *request, float *mean,
                             forage_error *error);

#endif
