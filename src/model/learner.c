/*
 * learner.c: the front of models that learn event by event: checks of what comes in,
 * draws for models that have none of their own, checkpoints.
 *
 * A model sees nothing that is not finite and in range, so that none of them has to
 * think about it; what is refused never reaches it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct forage_learner {
    const model_type *type;
    forage_params *params;
    forage_learner_shape shape;
    forage_device device;
    uint64_t seed;
    model_online_setup setup; /* what `state` was made with, as long as it lives */
    model_learner *state;
    float *deviation; /* [candidates], for draws */
};

/* Squares of what is smaller, and sums of very many of them, are finite in double precision and in float32. */
static const float GREATEST = 1e9F;

/* Sizes beyond these are a mistake; below them no product of two overflows. */
static const size_t WIDTH_LIMIT = 1 << 20, COUNT_LIMIT = FORAGE_NONE - 1;

void forage_learner_free(forage_learner *learner)
{
    if (!learner)
        return;
    learner->type->online->free(learner->state);
    forage_params_free(learner->params);
    forage_free(learner->deviation);
    forage_free(learner);
}

static forage_status check_shape(const forage_learner_shape *shape, forage_error *error)
{
    const struct {
        const char *name;
        size_t size, least, most;
    } sizes[] = {
        {"request_width", shape->request_width, 0, WIDTH_LIMIT},
        {"candidate_width", shape->candidate_width, 0, WIDTH_LIMIT},
        {"arms", shape->arms, 0, COUNT_LIMIT},
        {"users", shape->users, 0, COUNT_LIMIT},
        {"candidates", shape->candidates, 1, COUNT_LIMIT},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].size < sizes[i].least || sizes[i].size > sizes[i].most)
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, sizes[i].name,
                                  "a learner of shape %s = %zu; possible is %zu to %zu", sizes[i].name, sizes[i].size,
                                  sizes[i].least, sizes[i].most);
    }
    return FORAGE_OK;
}

/* Takes over `params`, on failure too. `saved` is the bytes of tensors of a file to be loaded, or infinite. */
static forage_status make(const model_type *type, forage_params *params, const forage_learner_shape *shape,
                          const forage_device *device, uint64_t seed, double saved, forage_learner **learner,
                          forage_error *error)
{
    forage_status status = FORAGE_NO_MEMORY;
    forage_learner *made = forage_calloc(1, sizeof *made);
    if (!made) {
        forage_params_free(params);
        return forage_fail(error, status, "no memory for a learner");
    }
    made->type = type;
    made->params = params;
    made->shape = *shape;
    made->seed = seed;
    made->setup = (model_online_setup){params, &made->shape, &made->device, seed};
    FORAGE_TRY_GOTO(check_shape(shape, error), fail);
    double least = type->online->saved_size ? type->online->saved_size(&made->setup) : 8 * (double)shape->arms;
    if (saved < least) {
        status = forage_fail_at(error, FORAGE_FORMAT, NULL, 0, "forage.learner",
                                "a learner of these sizes has %.0f bytes of numbers; the file has %.0f", least, saved);
        goto fail;
    }
    FORAGE_TRY_GOTO(model_device(device, &made->device, error), fail);
    made->deviation = forage_alloc(shape->candidates, sizeof *made->deviation);
    if (!made->deviation) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu candidates", shape->candidates);
        goto fail;
    }
    FORAGE_TRY_GOTO(type->online->create(&made->setup, &made->state, error), fail);
    *learner = made;
    return FORAGE_OK;
fail:
    forage_learner_free(made);
    return status;
}

forage_status forage_learner_create(const forage_model_info *info, const forage_params *params,
                                    const forage_learner_shape *shape, const forage_device *device, uint64_t seed,
                                    forage_learner **learner, forage_error *error)
{
    const model_type *type = model_type_of(info);
    forage_params *own;
    *learner = NULL;
    if (!type || !type->online)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%s does not learn event by event; it is fitted to a log",
                           type ? type->info.name : "this model");
    if (params && forage_params_table(params) != &type->info.table)
        return forage_fail(error, FORAGE_INVALID, "these are the parameters of %s, not of %s",
                           forage_params_table(params)->owner, type->info.name);
    if (params)
        FORAGE_TRY(forage_params_copy(params, &own, error));
    else
        FORAGE_TRY(forage_params_create(&type->info.table, &own, error));
    return make(type, own, shape, device, seed, INFINITY, learner, error);
}

const forage_model_info *forage_learner_info_of(const forage_learner *learner)
{
    return &learner->type->info;
}

const forage_learner_shape *forage_learner_shape_of(const forage_learner *learner)
{
    return &learner->shape;
}

size_t forage_learner_memory(const forage_learner *learner)
{
    return sizeof *learner + learner->shape.candidates * sizeof *learner->deviation +
           learner->type->online->memory(learner->state);
}

/* ---- estimates ---- */

void forage_learner_estimate(forage_learner *learner, const forage_candidates *candidates, float *mean,
                             float *deviation)
{
    learner->type->online->estimate(learner->state, candidates, mean, deviation);
}

bool forage_learner_draws_normals(const forage_learner *learner)
{
    return !learner->type->online->draw;
}

void forage_learner_draw(forage_learner *learner, const forage_candidates *candidates, forage_rng *rng, float *values)
{
    if (learner->type->online->draw) {
        learner->type->online->draw(learner->state, candidates, rng, values);
        return;
    }
    learner->type->online->estimate(learner->state, candidates, values, learner->deviation);
    for (size_t i = 0; i < candidates->count; i++)
        values[i] = (float)((double)values[i] + (double)learner->deviation[i] * forage_rng_normal(rng));
}

/* ---- lessons ---- */

static forage_status refuse(size_t number, const char *what, float value, const char *possible, forage_error *error)
{
    char text[32];
    forage_format_real((double)value, text);
    return forage_fail_at(error, FORAGE_INVALID, NULL, 0, what, "lesson %zu: a %s of %s; possible is %s", number, what,
                          text, possible);
}

static forage_status check_features(size_t number, const char *what, const float *features, size_t count,
                                    forage_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (!(fabsf(features[i]) <= GREATEST)) {
            char name[64];
            snprintf(name, sizeof name, "%s feature %zu", what, i);
            return refuse(number, name, features[i], "a number between -1e9 and 1e9", error);
        }
    }
    return FORAGE_OK;
}

static forage_status check_lesson(const forage_learner *learner, const forage_lesson *lesson, size_t number,
                                  forage_error *error)
{
    const forage_learner_shape *shape = &learner->shape;
    float low = fmaxf(learner->type->minimum_reward, -GREATEST), high = fminf(learner->type->maximum_reward, GREATEST);
    if (!(lesson->reward >= low && lesson->reward <= high)) {
        char possible[96], from[32], to[32];
        forage_format_real((double)low, from);
        forage_format_real((double)high, to);
        snprintf(possible, sizeof possible, "a number between %s and %s for %s", from, to, learner->type->info.name);
        return refuse(number, "reward", lesson->reward, possible, error);
    }
    if (!(lesson->weight > 0 && lesson->weight <= GREATEST))
        return refuse(number, "weight", lesson->weight, "a number above 0, at most 1e9", error);
    if (!isnan(lesson->propensity) && !(lesson->propensity > 0 && lesson->propensity <= 1))
        return refuse(number, "propensity", lesson->propensity, "above 0, at most 1, or nan for not known", error);
    if (lesson->arm >= shape->arms)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "arm",
                              "lesson %zu: arm %" PRIu32 " is not known; there are %zu", number, lesson->arm,
                              shape->arms);
    if (lesson->user != FORAGE_NONE && lesson->user >= shape->users)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "user",
                              "lesson %zu: user %" PRIu32 " is not known; there are %zu", number, lesson->user,
                              shape->users);
    FORAGE_TRY(check_features(number, "request", lesson->request, shape->request_width, error));
    return check_features(number, "candidate", lesson->features, shape->candidate_width, error);
}

forage_status forage_learner_learn(forage_learner *learner, const forage_lesson *lessons, size_t count,
                                   forage_error *error)
{
    for (size_t i = 0; i < count; i++)
        FORAGE_TRY(check_lesson(learner, &lessons[i], i, error));
    for (size_t i = 0; i < count; i++)
        learner->type->online->learn(learner->state, &lessons[i]);
    return FORAGE_OK;
}

static forage_status cannot(const forage_learner *learner, const char *what, forage_error *error)
{
    return forage_fail(error, FORAGE_UNSUPPORTED, "%s cannot %s", learner->type->info.name, what);
}

forage_status forage_learner_forget(forage_learner *learner, const forage_lesson *lesson, forage_error *error)
{
    if (!learner->type->online->forget)
        return cannot(learner, "take a lesson back", error);
    FORAGE_TRY(check_lesson(learner, lesson, 0, error));
    if (learner->type->online->check_forget)
        FORAGE_TRY(learner->type->online->check_forget(learner->state, lesson, error));
    learner->type->online->forget(learner->state, lesson);
    return FORAGE_OK;
}

static bool same_params(const forage_learner *a, const forage_learner *b)
{
    const forage_param_table *table = forage_params_table(a->params);
    for (size_t i = 0; i < table->count; i++) {
        const char *name = table->params[i].name;
        if (strcmp(forage_params_text(a->params, name), forage_params_text(b->params, name)) != 0)
            return false;
    }
    return true;
}

forage_status forage_learner_merge(forage_learner *learner, const forage_learner *other, forage_error *error)
{
    const forage_learner_shape *a = &learner->shape, *b = &other->shape;
    if (!learner->type->online->merge)
        return cannot(learner, "take over what another has learned", error);
    if (learner->type != other->type)
        return forage_fail(error, FORAGE_INVALID, "%s takes over from another %s, not from %s",
                           learner->type->info.name, learner->type->info.name, other->type->info.name);
    if (learner == other)
        return forage_fail(error, FORAGE_INVALID, "a learner does not take over from itself");
    if (!same_params(learner, other))
        return forage_fail(error, FORAGE_INVALID, "the two learners have different parameters");
    if (a->request_width != b->request_width || a->candidate_width != b->candidate_width || a->arms != b->arms ||
        a->users != b->users)
        return forage_fail(error, FORAGE_INVALID,
                           "the two learners have different shapes: widths %zu and %zu, %zu arms, %zu users against "
                           "%zu and %zu, %zu, %zu",
                           a->request_width, a->candidate_width, a->arms, a->users, b->request_width,
                           b->candidate_width, b->arms, b->users);
    if (learner->type->online->check_merge)
        FORAGE_TRY(learner->type->online->check_merge(learner->state, other->state, error));
    learner->type->online->merge(learner->state, other->state);
    return FORAGE_OK;
}

forage_status forage_learner_grow(forage_learner *learner, size_t arms, size_t users, forage_error *error)
{
    forage_learner_shape shape = learner->shape;
    if (arms < shape.arms || users < shape.users)
        return forage_fail(error, FORAGE_INVALID, "a learner of %zu arms and %zu users cannot shrink to %zu and %zu",
                           shape.arms, shape.users, arms, users);
    shape.arms = arms;
    shape.users = users;
    FORAGE_TRY(check_shape(&shape, error));
    if (arms == learner->shape.arms && users == learner->shape.users)
        return FORAGE_OK;
    FORAGE_TRY(learner->type->online->grow(learner->state, arms, users, error));
    learner->shape = shape;
    return FORAGE_OK;
}

/* ---- checkpoints ---- */

forage_status forage_learner_save(const forage_learner *learner, const char *path, forage_error *error)
{
    nn_checkpoint *checkpoint;
    forage_status status;
    FORAGE_TRY(nn_checkpoint_create(&checkpoint, error));
    FORAGE_TRY_GOTO(
        model_metadata_write_learner(learner->type, learner->params, &learner->shape, learner->seed, checkpoint, error),
        end);
    FORAGE_TRY_GOTO(learner->type->online->save(learner->state, checkpoint, error), end);
    status = nn_checkpoint_save(checkpoint, path, error);
end:
    nn_checkpoint_free(checkpoint);
    return status;
}

/* Parameters or sizes that a model refuses are a fault of the file. */
static forage_status blame_file(const nn_checkpoint *checkpoint, forage_status status, forage_error *error)
{
    if (status == FORAGE_NO_MEMORY || !error)
        return status == FORAGE_NO_MEMORY ? status : FORAGE_FORMAT;
    error->status = FORAGE_FORMAT;
    if (!error->file[0])
        snprintf(error->file, sizeof error->file, "%s", nn_checkpoint_path(checkpoint));
    return FORAGE_FORMAT;
}

forage_status forage_learner_load(const char *path, const forage_device *device, forage_learner **learner,
                                  forage_error *error)
{
    nn_checkpoint *checkpoint;
    const model_type *type;
    forage_params *params;
    forage_learner_shape shape;
    forage_learner *made = NULL;
    uint64_t seed;
    double saved = 0;
    forage_status status;
    *learner = NULL;
    FORAGE_TRY(nn_checkpoint_load(path, &checkpoint, error));
    FORAGE_TRY_GOTO(model_metadata_read_learner(checkpoint, &type, &params, &shape, &seed, error), end);
    for (size_t t = 0; t < nn_checkpoint_count(checkpoint); t++)
        saved += (double)nn_checkpoint_at(checkpoint, t)->size;
    status = make(type, params, &shape, device, seed, saved, &made, error);
    if (status == FORAGE_OK)
        status = type->online->load(made->state, checkpoint, error);
    if (status != FORAGE_OK) {
        status = blame_file(checkpoint, status, error);
        forage_learner_free(made);
        goto end;
    }
    *learner = made;
end:
    nn_checkpoint_free(checkpoint);
    return status;
}
