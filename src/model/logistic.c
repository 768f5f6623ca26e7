/*
 * logistic.c: logistic regression of clicks with a Gaussian posterior of the weights, lesson by lesson
 * (heads.h has the update; Chapelle and Li 2011, algorithm 3, for its use with draws).
 *
 *   probability of a click = sigma(a),  a = x'theta ~ N(mu, s)
 *   mean = sigma(kappa mu),  kappa = 1 / sqrt(1 + pi s / 8): the probability averaged over a (MacKay 1992)
 *   deviation = mean (1 - mean) kappa sqrt(s): the delta method for that mean, never above 0.4
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/heads.h"

#include <math.h>
#include <string.h>

struct model_learner {
    const model_online_setup *setup;
    bool disjoint;
    size_t arms;
    model_heads heads;
    double *x, *theta; /* [width] scratch */
    uint64_t round;    /* number of the draw: candidates of one arm share their value in it */
    uint64_t *rounds;  /* [arms + 1] */
    float *drawn;      /* [arms + 1] */
};

static const forage_param params[] = {
    {"form", FORAGE_PARAM_CHOICE, "auto", 0, 0, "auto|disjoint|shared",
     "disjoint: each arm has weights of its own for the request's features; shared: one weight vector for features of "
     "request and candidate; auto: shared where candidates have features"},
    {"ridge", FORAGE_PARAM_REAL, "1", 1e-6, 1e9, NULL,
     "strength of the prior: weights begin at 0 with variance 1 / ridge"},
    {"discount", FORAGE_PARAM_REAL, "1", 0.5, 1, NULL,
     "what a lesson's weight is multiplied by with every later lesson of the same weights; 1: nothing fades"},
};

static bool is_disjoint(const model_online_setup *setup)
{
    const char *form = forage_params_text(setup->params, "form");
    return strcmp(form, "disjoint") == 0 || (strcmp(form, "auto") == 0 && setup->shape->candidate_width == 0);
}

static void release(model_learner *learner)
{
    if (!learner)
        return;
    model_heads_release(&learner->heads);
    forage_free(learner->x);
    forage_free(learner->theta);
    forage_free(learner->rounds);
    forage_free(learner->drawn);
    forage_free(learner);
}

static forage_status grow(model_learner *learner, size_t arms, size_t users, forage_error *error)
{
    (void)users;
    if (learner->disjoint) {
        uint64_t *rounds = forage_realloc(learner->rounds, learner->arms, arms + 1, sizeof *rounds);
        learner->rounds = rounds ? rounds : learner->rounds;
        float *drawn = forage_realloc(learner->drawn, learner->arms, arms + 1, sizeof *drawn);
        learner->drawn = drawn ? drawn : learner->drawn;
        if (!rounds || !drawn)
            return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu arms", arms);
        memset(rounds + learner->arms, 0, (arms + 1 - learner->arms) * sizeof *rounds);
        FORAGE_TRY(model_heads_grow(&learner->heads, arms, error));
    }
    learner->arms = arms;
    return FORAGE_OK;
}

static forage_status create(const model_online_setup *setup, model_learner **learner, forage_error *error)
{
    const forage_learner_shape *shape = setup->shape;
    bool disjoint = is_disjoint(setup);
    size_t width = shape->request_width + (disjoint ? 0 : shape->candidate_width);
    forage_status status = FORAGE_NO_MEMORY;
    *learner = NULL;
    if (width == 0)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "form",
                              "logistic of form %s needs features%s; there are %zu of the request and %zu of the "
                              "candidate",
                              disjoint ? "disjoint" : "shared", disjoint ? " of the request" : "", shape->request_width,
                              shape->candidate_width);
    model_learner *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, status, "no memory for logistic");
    made->setup = setup;
    made->disjoint = disjoint;
    made->x = forage_calloc(width, sizeof *made->x);
    made->theta = forage_calloc(width, sizeof *made->theta);
    if (!made->x || !made->theta) {
        status = forage_fail(error, status, "no memory for logistic of %zu features", width);
        goto fail;
    }
    FORAGE_TRY_GOTO(model_heads_create(&made->heads, la_kernels_for(setup->device->isa), width,
                                       forage_params_real(setup->params, "ridge"),
                                       forage_params_real(setup->params, "discount"), error),
                    fail);
    if (!disjoint)
        FORAGE_TRY_GOTO(model_heads_grow(&made->heads, 1, error), fail);
    FORAGE_TRY_GOTO(grow(made, shape->arms, 0, error), fail);
    *learner = made;
    return FORAGE_OK;
fail:
    release(made);
    return status;
}

/* The features into x. */
static void unpack(model_learner *learner, const float *request, const float *features)
{
    size_t lead = learner->setup->shape->request_width;
    for (size_t i = 0; i < learner->heads.width; i++)
        learner->x[i] = (double)(i < lead ? request[i] : features[i - lead]);
}

/* The features of candidate i into x. */
static void unpack_candidate(model_learner *learner, const forage_candidates *candidates, size_t i)
{
    const float *features = candidates->features;
    if (!learner->disjoint || i == 0)
        unpack(learner, candidates->request, features ? features + i * learner->setup->shape->candidate_width : NULL);
}

/* Mean and variance of x'theta for the arm. */
static double logit(model_learner *learner, size_t arm, double *square)
{
    if (learner->disjoint && arm >= learner->arms) {
        *square = model_heads_prior_square(&learner->heads, learner->x);
        return 0;
    }
    return model_heads_predict(&learner->heads, learner->disjoint ? arm : 0, learner->x, square);
}

static void estimate(model_learner *learner, const forage_candidates *candidates, float *mean, float *deviation)
{
    for (size_t i = 0; i < candidates->count; i++) {
        double square;
        unpack_candidate(learner, candidates, i);
        double middle = logit(learner, candidates->arms[i], &square);
        double kappa = 1 / sqrt(1 + 0.39269908169872414 * square), p = model_sigma(kappa * middle); /* pi / 8 */
        mean[i] = (float)p;
        if (deviation)
            deviation[i] = (float)(p * (1 - p) * kappa * sqrt(square));
    }
}

static void draw(model_learner *learner, const forage_candidates *candidates, forage_rng *rng, float *values)
{
    model_heads *heads = &learner->heads;
    if (!learner->disjoint)
        model_heads_draw(heads, 0, rng, learner->theta);
    learner->round++;
    for (size_t i = 0; i < candidates->count; i++) {
        size_t arm = candidates->arms[i];
        bool known = learner->disjoint && arm < learner->arms;
        unpack_candidate(learner, candidates, i);
        if (!learner->disjoint) {
            values[i] = (float)model_sigma(heads->kernels->dot(heads->width, learner->x, learner->theta));
        } else if (known && learner->rounds[arm] == learner->round) {
            values[i] = learner->drawn[arm];
        } else {
            double square, middle = logit(learner, arm, &square);
            values[i] = (float)model_sigma(middle + sqrt(square) * forage_rng_normal(rng));
        }
        if (known) {
            learner->rounds[arm] = learner->round;
            learner->drawn[arm] = values[i];
        }
    }
}

static void learn(model_learner *learner, const forage_lesson *lesson)
{
    unpack(learner, lesson->request, lesson->features);
    model_heads_learn_logistic(&learner->heads, learner->disjoint ? lesson->arm : 0, learner->x, (double)lesson->reward,
                               (double)lesson->weight);
}

static forage_status save(const model_learner *learner, nn_checkpoint *checkpoint, forage_error *error)
{
    return model_heads_save(&learner->heads, checkpoint, error);
}

static forage_status load(model_learner *learner, const nn_checkpoint *checkpoint, forage_error *error)
{
    return model_heads_load(&learner->heads, checkpoint, error);
}

static double saved_size(const model_online_setup *setup)
{
    const forage_learner_shape *shape = setup->shape;
    bool disjoint = is_disjoint(setup);
    double width = (double)shape->request_width + (disjoint ? 0 : (double)shape->candidate_width);
    return model_heads_bytes(width) * (disjoint ? (double)shape->arms : 1);
}

static size_t memory(const model_learner *learner)
{
    return sizeof *learner + model_heads_memory(&learner->heads) + 2 * learner->heads.width * sizeof(double) +
           (learner->disjoint ? learner->arms * (sizeof *learner->rounds + sizeof *learner->drawn) : 0);
}

static const model_online online = {
    .create = create,
    .free = release,
    .estimate = estimate,
    .draw = draw,
    .learn = learn,
    .grow = grow,
    .save = save,
    .load = load,
    .memory = memory,
    .saved_size = saved_size,
};

const model_type model_logistic = {
    .info =
        {
            .name = "logistic",
            .version = 1,
            .summary = "logistic regression of clicks with a Gaussian posterior, updated lesson by lesson",
            .capabilities = FORAGE_CAN_LEARN | FORAGE_HAS_DEVIATION | FORAGE_GIVES_PROBABILITY,
            .table = {.owner = "logistic", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .online = &online,
    .minimum_reward = 0,
    .maximum_reward = 1,
};
