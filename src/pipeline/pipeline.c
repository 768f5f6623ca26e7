/*
 * pipeline.c: decide, observe, teach.
 *
 * A call first checks, then makes room, then changes things: what is refused leaves everything as it was.
 * State changes in these places alone: `commit` (a decision was made), `learn` (a reward is known).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "pipeline/engine.h"

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a pipeline");
}

/* ---- creating ---- */

void forage_pipeline_free(forage_pipeline *pipeline)
{
    if (!pipeline)
        return;
    forage_learner_free(pipeline->learner);
    forage_policy_free(pipeline->policy);
    pipeline_batch_free(pipeline->batch);
    pipeline_appeal_free(pipeline->appeal);
    pipeline_places_release(&pipeline->places);
    pipeline_waiting_free(pipeline->waiting);
    pipeline_plan_release(&pipeline->plan);
    pipeline_scratch_release(&pipeline->scratch);
    forage_free(pipeline->pulls);
    forage_free(pipeline);
}

static forage_status create_model(forage_pipeline *pipeline, const forage_pipeline_options *options,
                                  forage_error *error)
{
    const forage_pipeline_spec *spec = pipeline->spec;
    const pipeline_plan *plan = &pipeline->plan;
    if (!spec->model)
        return FORAGE_OK;
    if (!(spec->model->capabilities & FORAGE_CAN_LEARN))
        return pipeline_batch_create(spec, options, &pipeline->batch, error);
    const forage_learner_shape shape = {.request_width = plan->request_width,
                                        .candidate_width = plan->candidate_width,
                                        .arms = plan->arms,
                                        .users = options->catalogue->users,
                                        .candidates = pipeline->scratch.capacity};
    static const forage_device single = {.threads = 1};
    const forage_device *device = options->device;
    forage_device opened;
    if (!device) {
        opened = single;
        FORAGE_TRY(forage_device_open("auto", 1, &opened, error));
        device = &opened;
    }
    FORAGE_TRY(forage_learner_create(spec->model, spec->model_params, &shape, device, options->seed, &pipeline->learner,
                                     error));
    if (!plan->arm_is_item && forage_params_boolean(spec->params, "appeal"))
        FORAGE_TRY(pipeline_appeal_create(plan->items, forage_params_real(spec->params, "appeal-width"),
                                          &pipeline->appeal, error));
    pipeline->normals = forage_learner_draws_normals(pipeline->learner);
    return FORAGE_OK;
}

static forage_status create_parts(forage_pipeline *pipeline, const forage_pipeline_options *options,
                                  forage_error *error)
{
    const forage_pipeline_spec *spec = pipeline->spec;
    pipeline_plan *plan = &pipeline->plan;
    const forage_catalogue *catalogue = options->catalogue;
    FORAGE_TRY(pipeline_plan_create(spec, catalogue, plan, error));
    FORAGE_TRY(pipeline_scratch_create(&pipeline->scratch, plan, pipeline->positions, error));
    pipeline->at_once = pipeline->scratch.capacity;
    FORAGE_TRY(create_model(pipeline, options, error));
    FORAGE_TRY(forage_policy_create(spec->policy, spec->policy_params, catalogue->items, pipeline->positions,
                                    &pipeline->policy, error));
    pipeline->columns = catalogue->context ? catalogue->context->column_count : 0;
    FORAGE_TRY(pipeline_waiting_create(
        pipeline->learner ? plan->request_width : 0, pipeline->learner ? plan->candidate_width : 0, pipeline->positions,
        pipeline->batch ? pipeline->columns : 0, (uint64_t)forage_params_integer(spec->params, "wait"),
        &pipeline->waiting, error));
    FORAGE_TRY(pipeline_places_create(pipeline->positions, &pipeline->places, error));
    pipeline->pulls = forage_calloc(plan->arms + 1, sizeof *pipeline->pulls);
    return pipeline->pulls ? FORAGE_OK : no_memory(error);
}

forage_status forage_pipeline_create(const forage_pipeline_spec *spec, const forage_pipeline_options *options,
                                     forage_pipeline **result, forage_error *error)
{
    *result = NULL;
    if (options->catalogue->items == 0)
        return forage_fail(error, FORAGE_INVALID, "the catalogue has no items");
    if (options->positions > PIPELINE_POSITION_LIMIT)
        return forage_fail(error, FORAGE_INVALID, "%zu positions; slates have at most %d", options->positions,
                           PIPELINE_POSITION_LIMIT);
    forage_pipeline *pipeline = forage_calloc(1, sizeof *pipeline);
    if (!pipeline)
        return no_memory(error);
    pipeline->spec = spec;
    pipeline->positions = options->positions ? options->positions : 1;
    pipeline->initial_pulls = (uint32_t)forage_params_integer(spec->params, "initial-pulls");
    forage_rng_seed(&pipeline->rng, options->seed);
    forage_status status = create_parts(pipeline, options, error);
    if (status != FORAGE_OK)
        forage_pipeline_free(pipeline);
    else
        *result = pipeline;
    return status;
}

/* Room first; what is seen from outside changes when all of it is there. */
static forage_status grow_parts(forage_pipeline *pipeline, pipeline_scratch *scratch, forage_policy **policy,
                                forage_error *error)
{
    pipeline_plan *plan = &pipeline->plan;
    const forage_catalogue *catalogue = plan->catalogue;
    size_t arms = pipeline_plan_arms(plan);
    FORAGE_TRY(pipeline_scratch_create(scratch, plan, pipeline->positions, error));
    FORAGE_TRY(forage_policy_create(pipeline->spec->policy, pipeline->spec->policy_params, catalogue->items,
                                    pipeline->positions, policy, error));
    uint32_t *pulls = forage_realloc(pipeline->pulls, plan->arms + 1, arms + 1, sizeof *pulls);
    if (!pulls)
        return no_memory(error);
    pipeline->pulls = pulls;
    for (size_t i = plan->arms; i < arms; i++)
        pulls[i] = 0;
    if (pipeline->appeal)
        FORAGE_TRY(pipeline_appeal_grow(pipeline->appeal, catalogue->items, error));
    if (pipeline->batch)
        FORAGE_TRY(pipeline_batch_grow(pipeline->batch, error));
    if (pipeline->learner)
        FORAGE_TRY(forage_learner_grow(pipeline->learner, arms, catalogue->users, error));
    return pipeline_plan_grow(plan, error);
}

forage_status forage_pipeline_grow(forage_pipeline *pipeline, forage_error *error)
{
    pipeline_scratch scratch = {0};
    forage_policy *policy = NULL;
    const forage_catalogue *catalogue = pipeline->plan.catalogue;
    if (catalogue->items < pipeline->plan.items || catalogue->users < pipeline->plan.users)
        return forage_fail(error, FORAGE_INVALID, "a catalogue does not shrink");
    forage_status status = grow_parts(pipeline, &scratch, &policy, error);
    if (status != FORAGE_OK) {
        pipeline_scratch_release(&scratch);
        forage_policy_free(policy);
        return status;
    }
    pipeline_scratch_release(&pipeline->scratch);
    forage_policy_free(pipeline->policy);
    pipeline->scratch = scratch;
    pipeline->policy = policy;
    return FORAGE_OK;
}

/* ---- checking ---- */

static forage_status check_context(const forage_pipeline *pipeline, const forage_request *request, forage_error *error)
{
    const forage_table *context = pipeline->plan.catalogue->context;
    for (size_t i = 0; i < pipeline->columns; i++) {
        const forage_column *column = &context->columns[i];
        if (column->type == FORAGE_NUMERIC && request->values && isinf(request->values[i]))
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, column->name, "the context is not finite");
        if (column->type == FORAGE_CATEGORICAL && request->codes && request->codes[i] != FORAGE_NONE &&
            request->codes[i] >= forage_vocabulary_count(column->vocabulary))
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, column->name, "%u is no code of this column",
                                  request->codes[i]);
    }
    if (request->user != FORAGE_NONE && request->user >= pipeline->plan.users)
        return forage_fail(error, FORAGE_INVALID, "user %u is not in the catalogue, which has %zu", request->user,
                           pipeline->plan.users);
    return FORAGE_OK;
}

/* Every candidate known, none twice; *all: they are all items in order. */
static forage_status check_candidates(forage_pipeline *pipeline, const forage_request *request, bool *all,
                                      forage_error *error)
{
    size_t items = pipeline->plan.items;
    const uint32_t *candidates = request->candidates;
    bool rising = true;
    *all = !candidates;
    if (!candidates)
        return FORAGE_OK;
    for (size_t i = 1; i < request->candidate_count; i++)
        rising = rising && candidates[i - 1] < candidates[i];
    if (rising && request->candidate_count && candidates[request->candidate_count - 1] < items) {
        *all = request->candidate_count == items;
        return FORAGE_OK;
    }
    uint32_t mark = pipeline_scratch_mark(&pipeline->scratch);
    for (size_t i = 0; i < request->candidate_count; i++) {
        if (candidates[i] >= items)
            return forage_fail(error, FORAGE_INVALID, "candidate %zu is item %u, which is not in the catalogue of %zu",
                               i, candidates[i], items);
        if (pipeline->scratch.marks[candidates[i]] == mark)
            return forage_fail(error, FORAGE_INVALID, "item %u is among the candidates twice", candidates[i]);
        pipeline->scratch.marks[candidates[i]] = mark;
    }
    return FORAGE_OK;
}

static forage_status check_request(forage_pipeline *pipeline, const forage_request *request, size_t positions,
                                   bool *all, forage_error *error)
{
    size_t count = request->candidates ? request->candidate_count : pipeline->plan.items;
    if (count == 0)
        return forage_fail(error, FORAGE_INVALID, "there are no candidates");
    if (positions == 0 || positions > pipeline->positions)
        return forage_fail(error, FORAGE_INVALID, "%zu positions are asked for; 1 to %zu are possible", positions,
                           pipeline->positions);
    if (count < positions)
        return forage_fail(error, FORAGE_INVALID, "%zu candidates for %zu positions", count, positions);
    FORAGE_TRY(check_context(pipeline, request, error));
    return check_candidates(pipeline, request, all, error);
}

/* ---- deciding ---- */

/* Keeps what the lesson will need. */
static void keep(forage_pipeline *pipeline, const forage_request *request, size_t positions)
{
    const pipeline_scratch *scratch = &pipeline->scratch;
    pipeline_kept kept;
    pipeline_waiting_keep(pipeline->waiting, request->id, pipeline->steps, request->user, positions, &kept);
    if (pipeline->learner)
        memcpy(kept.request, scratch->request, pipeline->plan.request_width * sizeof(float));
    for (size_t i = 0; i < positions; i++) {
        kept.items[i] = scratch->items_shown[i];
        kept.propensity[i] = (float)scratch->propensity[i];
        kept.expected[i] = scratch->shown_arm_mean[i];
        if (pipeline->learner && pipeline->plan.candidate_width)
            memcpy(kept.features + i * pipeline->plan.candidate_width,
                   pipeline_chosen_features(pipeline, scratch->chosen[i]),
                   pipeline->plan.candidate_width * sizeof(float));
    }
    for (size_t i = 0; pipeline->batch && i < pipeline->columns; i++) {
        kept.codes[i] = request->codes ? request->codes[i] : FORAGE_NONE;
        kept.values[i] = request->values ? request->values[i] : NAN;
    }
}

/* What happened in one place of a slate. */
typedef struct outcome {
    size_t place;
    uint32_t item;
    float expected; /* what the model expected of the item's arm */
    float reward;
} outcome;

/* A lesson as the learner gets it: its weight by its place, and what the item's own appeal explains taken off the
 * reward, where the model takes any number. */
static float prepare_lesson(const forage_pipeline *pipeline, const outcome *what, forage_lesson *lesson)
{
    float unsure, lift = pipeline->appeal ? pipeline_appeal_lift(pipeline->appeal, what->item, &unsure) : 0;
    float expected = what->expected * (1 + lift);
    lesson->reward = what->reward;
    lesson->weight = pipeline_places_weight(&pipeline->places, what->place, expected, what->reward);
    if (pipeline->spec->model && !(pipeline->spec->model->capabilities & FORAGE_GIVES_PROBABILITY))
        lesson->reward -= what->expected * lift;
    return expected;
}

/* Learns what came of `count` places of a decision, of all or of none: what could fail comes first. */
static forage_status learn(forage_pipeline *pipeline, forage_lesson *lessons, const outcome *outcomes, size_t count,
                           const uint32_t *codes, const float *values, forage_error *error)
{
    pipeline_plan *plan = &pipeline->plan;
    float expected[PIPELINE_POSITION_LIMIT];
    for (size_t i = 0; i < count; i++) {
        FORAGE_TRY(pipeline_plan_reserve(plan, lessons[i].user, outcomes[i].item, count, error));
        expected[i] = prepare_lesson(pipeline, &outcomes[i], &lessons[i]);
    }
    if (pipeline->batch)
        FORAGE_TRY(pipeline_batch_reserve(pipeline->batch, count, error));
    if (pipeline->learner)
        FORAGE_TRY(forage_learner_learn(pipeline->learner, lessons, count, error));
    for (size_t i = 0; i < count; i++) {
        const outcome *what = &outcomes[i];
        pipeline_places_learn(&pipeline->places, what->place, expected[i], what->reward);
        if (pipeline->appeal)
            pipeline_appeal_learn(pipeline->appeal, what->item, what->expected, what->reward, lessons[i].weight);
        pipeline_plan_happened(plan, lessons[i].user, what->item, what->reward, lessons[i].weight);
        if (pipeline->batch)
            pipeline_batch_store(pipeline->batch, lessons[i].user, what->item, what->reward, codes, values);
        pipeline->lessons++;
    }
    return FORAGE_OK;
}

static forage_status learn_kept(forage_pipeline *pipeline, const pipeline_kept *kept, size_t position, float reward,
                                forage_error *error)
{
    forage_lesson lesson = {.user = kept->user,
                            .arm = pipeline->plan.arm_of[kept->items[position]],
                            .request = kept->request,
                            .features = kept->features + position * pipeline->plan.candidate_width,
                            .propensity = kept->propensity[position]};
    const outcome what = {position, kept->items[position], kept->expected[position], reward};
    return learn(pipeline, &lesson, &what, 1, kept->codes, kept->values, error);
}

/* Fits what is fitted on a schedule, if it is time. A log that cannot be fitted yet (nobody clicked so far) is
 * tried again at the next time. */
static forage_status refit_if_due(forage_pipeline *pipeline, forage_error *error)
{
    if (!pipeline->batch || !pipeline_batch_due(pipeline->batch))
        return FORAGE_OK;
    forage_status status = pipeline_batch_fit(pipeline->batch, NULL, error);
    return status == FORAGE_NO_MEMORY ? status : FORAGE_OK;
}

/* Decisions whose time is over: what has not come is no reward. Without memory to learn that, they wait on. */
static void expire(forage_pipeline *pipeline)
{
    pipeline_kept kept;
    while (pipeline_waiting_expired(pipeline->waiting, pipeline->steps, &kept)) {
        for (size_t i = 0; i < kept.positions && kept.open; i++) {
            if (kept.given[i])
                continue;
            if (learn_kept(pipeline, &kept, i, 0, NULL) == FORAGE_NO_MEMORY)
                return;
            kept.given[i] = 1;
        }
        pipeline->expired += kept.open > 0;
        pipeline_waiting_drop(pipeline->waiting);
    }
}

forage_status forage_pipeline_decide(forage_pipeline *pipeline, const forage_request *request,
                                     forage_decision *decision, forage_error *error)
{
    pipeline_scratch *scratch = &pipeline->scratch;
    forage_rng rng = pipeline->rng;
    pipeline_kept kept;
    bool all;
    size_t positions = request->positions ? request->positions : 1;
    FORAGE_TRY(check_request(pipeline, request, positions, &all, error));
    if (pipeline_waiting_knows(pipeline->waiting, request->id, &kept))
        return forage_fail(error, FORAGE_INVALID, "decision %llu was made already", (unsigned long long)request->id);
    FORAGE_TRY(pipeline_waiting_reserve(pipeline->waiting, error));
    FORAGE_TRY(pipeline_choose(pipeline, request, all, positions, &rng, NULL, error));
    FORAGE_TRY(pipeline_describe(pipeline, request, positions, error));
    pipeline->rng = rng;
    keep(pipeline, request, positions);
    for (size_t i = 0; i < positions; i++) {
        uint32_t *pulls = &pipeline->pulls[pipeline->plan.arm_of[scratch->items_shown[i]]];
        *pulls += *pulls < UINT32_MAX;
    }
    pipeline_plan_see(&pipeline->plan, request);
    pipeline->steps++;
    expire(pipeline);
    *decision = (forage_decision){request->id,         positions,           scratch->items_shown,
                                  scratch->propensity, scratch->shown_mean, scratch->shown_deviation};
    return FORAGE_OK;
}

forage_status forage_pipeline_probabilities(forage_pipeline *pipeline, const forage_request *request,
                                            double *probabilities, float *mean, forage_error *error)
{
    bool all;
    forage_rng rng = pipeline->rng;
    FORAGE_TRY(check_request(pipeline, request, 1, &all, error));
    FORAGE_TRY(pipeline_choose(pipeline, request, all, 1, &rng, probabilities, error));
    if (mean)
        FORAGE_TRY(pipeline_means(pipeline, request, mean, error));
    return FORAGE_OK;
}

/* ---- learning ---- */

static forage_status observe_one(forage_pipeline *pipeline, const forage_feedback *feedback, forage_error *error)
{
    pipeline_kept kept;
    unsigned long long id = feedback->decision;
    if (!pipeline_waiting_knows(pipeline->waiting, feedback->decision, &kept))
        return forage_fail(error, FORAGE_UNKNOWN, "decision %llu was never made, or it was too long ago", id);
    if (feedback->position >= kept.positions)
        return forage_fail(error, FORAGE_INVALID, "decision %llu has %u positions, none has the number %zu", id,
                           kept.positions, feedback->position);
    if (!isfinite(feedback->reward))
        return forage_fail(error, FORAGE_INVALID, "the reward of decision %llu is not finite", id);
    if (!kept.open || kept.given[feedback->position])
        return forage_fail(error, FORAGE_INVALID, "position %zu of decision %llu had its reward already",
                           feedback->position, id);
    FORAGE_TRY(learn_kept(pipeline, &kept, feedback->position, feedback->reward, error));
    pipeline_waiting_give(pipeline->waiting, feedback->decision, feedback->position);
    return FORAGE_OK;
}

forage_status forage_pipeline_observe(forage_pipeline *pipeline, const forage_feedback *feedback, size_t count,
                                      size_t *done, forage_error *error)
{
    size_t learned = 0;
    forage_status status = FORAGE_OK;
    while (learned < count && status == FORAGE_OK) {
        status = observe_one(pipeline, &feedback[learned], error);
        if (status != FORAGE_OK)
            break;
        learned++;
        /* After each, so that when a model is fitted depends neither on how feedback is put together nor on what is
         * refused. */
        status = refit_if_due(pipeline, error);
    }
    if (done)
        *done = learned;
    return status;
}

forage_status forage_pipeline_withdraw(forage_pipeline *pipeline, uint64_t decision, forage_error *error)
{
    pipeline_kept kept;
    if (!pipeline_waiting_knows(pipeline->waiting, decision, &kept))
        return forage_fail(error, FORAGE_UNKNOWN, "decision %llu was never made, or it was too long ago",
                           (unsigned long long)decision);
    for (size_t i = 0; i < kept.positions && kept.open; i++) {
        if (kept.given[i])
            continue;
        uint32_t *pulls = &pipeline->pulls[pipeline->plan.arm_of[kept.items[i]]];
        *pulls -= *pulls > 0 && *pulls < UINT32_MAX;
        kept.open--; /* with the last one, what was kept is gone */
        pipeline_waiting_give(pipeline->waiting, decision, i);
    }
    return FORAGE_OK;
}

static forage_status check_taught(forage_pipeline *pipeline, const uint32_t *items, const float *propensity,
                                  const float *reward, size_t positions, forage_error *error)
{
    uint32_t mark = pipeline_scratch_mark(&pipeline->scratch);
    for (size_t i = 0; i < positions; i++) {
        if (items[i] >= pipeline->plan.items)
            return forage_fail(error, FORAGE_INVALID, "item %u is not in the catalogue of %zu", items[i],
                               pipeline->plan.items);
        if (pipeline->scratch.marks[items[i]] == mark)
            return forage_fail(error, FORAGE_INVALID, "item %u is in the slate twice", items[i]);
        if (!isfinite(reward[i]))
            return forage_fail(error, FORAGE_INVALID, "the reward of position %zu is not finite", i);
        if (propensity && !(propensity[i] > 0 && propensity[i] <= 1))
            return forage_fail(error, FORAGE_INVALID, "the propensity of position %zu is not above 0 and at most 1", i);
        pipeline->scratch.marks[items[i]] = mark;
    }
    return FORAGE_OK;
}

/* The lessons of a slate that someone else chose. */
static void prepare_taught(forage_pipeline *pipeline, const forage_request *request, const uint32_t *items,
                           const float *propensity, size_t positions)
{
    pipeline_plan *plan = &pipeline->plan;
    pipeline_scratch *scratch = &pipeline->scratch;
    if (pipeline->learner) {
        pipeline_plan_look(plan, request);
        pipeline_request_features(plan, request, scratch->request);
    }
    for (size_t i = 0; i < positions; i++) {
        float *features = scratch->shown + i * plan->candidate_width;
        forage_lesson *lesson = &scratch->lessons[i];
        *lesson = (forage_lesson){.user = request->user,
                                  .arm = plan->arm_of[items[i]],
                                  .request = scratch->request,
                                  .features = features,
                                  .propensity = propensity ? propensity[i] : NAN};
        scratch->shown_arm_mean[i] = 0;
        if (pipeline->learner && plan->candidate_width)
            pipeline_candidate_features(plan, request, items[i], features);
        if (pipeline->appeal || (pipeline->learner && positions > 1)) {
            const forage_candidates one = {1, request->user, scratch->request, plan->candidate_width ? features : NULL,
                                           &lesson->arm};
            forage_learner_estimate(pipeline->learner, &one, &scratch->shown_arm_mean[i], NULL);
        }
    }
}

forage_status forage_pipeline_teach(forage_pipeline *pipeline, const forage_request *request, const uint32_t *items,
                                    const float *propensity, const float *reward, forage_error *error)
{
    pipeline_scratch *scratch = &pipeline->scratch;
    outcome outcomes[PIPELINE_POSITION_LIMIT];
    bool all;
    size_t positions = request->positions ? request->positions : 1;
    FORAGE_TRY(check_request(pipeline, request, positions, &all, error));
    FORAGE_TRY(check_taught(pipeline, items, propensity, reward, positions, error));
    prepare_taught(pipeline, request, items, propensity, positions);
    for (size_t i = 0; i < positions; i++)
        outcomes[i] = (outcome){i, items[i], scratch->shown_arm_mean[i], reward[i]};
    FORAGE_TRY(learn(pipeline, scratch->lessons, outcomes, positions, request->codes, request->values, error));
    for (size_t i = 0; i < positions; i++) {
        uint32_t *pulls = &pipeline->pulls[pipeline->plan.arm_of[items[i]]];
        *pulls += *pulls < UINT32_MAX;
    }
    pipeline_plan_see(&pipeline->plan, request);
    pipeline->steps++;
    expire(pipeline);
    return refit_if_due(pipeline, error);
}

forage_status forage_pipeline_refit(forage_pipeline *pipeline, const forage_progress *progress, forage_error *error)
{
    return pipeline->batch ? pipeline_batch_fit(pipeline->batch, progress, error) : FORAGE_OK;
}

void forage_pipeline_stats_of(const forage_pipeline *pipeline, forage_pipeline_stats *stats)
{
    *stats = (forage_pipeline_stats){.decisions = pipeline->steps,
                                     .lessons = pipeline->lessons,
                                     .refits = pipeline->batch ? pipeline_batch_refits(pipeline->batch) : 0,
                                     .waiting = pipeline_waiting_count(pipeline->waiting),
                                     .expired = pipeline->expired};
    stats->memory = sizeof *pipeline + pipeline_plan_memory(&pipeline->plan) +
                    pipeline_waiting_memory(pipeline->waiting) + pipeline_scratch_memory(&pipeline->scratch) +
                    (pipeline->learner ? forage_learner_memory(pipeline->learner) : 0) +
                    (pipeline->batch ? pipeline_batch_memory(pipeline->batch) : 0);
}
