/*
 * bootstrap.c: an ensemble of regressions, each of which sees every lesson a random number of times: the
 * online bootstrap (Oza and Russell 2001, "Online bagging and boosting"; Eckles and Kaptein 2014, "Thompson sampling
 * with the online bootstrap"). How much the members differ says how little is known.
 *
 *   mean = the members' average,  deviation = their standard deviation,  draw = one member, for all candidates
 *
 * A member's weights are drawn to a prior of its own: m0 ~ N(0, prior^2 / ridge) instead of 0, without which all
 * members would agree on what nobody has seen (Osband, Aslanides, Cassirer 2018, "Randomized prior functions").
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/heads.h"

#include <math.h>
#include <string.h>

struct model_learner {
    const model_online_setup *setup;
    bool disjoint, logistic, doubled;
    size_t arms, members;
    double prior;
    model_heads heads; /* [arms or 1][members] */
    uint64_t *lessons; /* [1] */
    double *x;         /* [width] scratch */
};

static const forage_param params[] = {
    {"members", FORAGE_PARAM_INTEGER, "10", 2, 1000, NULL, "regressions in the ensemble"},
    {"head", FORAGE_PARAM_CHOICE, "linear", 0, 0, "linear|logistic",
     "what a member is: ridge regression of the reward, or logistic regression of clicks (rewards within 0 and 1)"},
    {"form", FORAGE_PARAM_CHOICE, "auto", 0, 0, "auto|disjoint|shared",
     "disjoint: each arm has weights of its own for the request's features; shared: one weight vector for features of "
     "request and candidate; auto: shared where candidates have features"},
    {"ridge", FORAGE_PARAM_REAL, "1", 1e-6, 1e9, NULL, "strength of each member's prior, in lessons"},
    {"prior", FORAGE_PARAM_REAL, "1", 0, 1e6, NULL,
     "spread of the members' priors, in deviations of the prior itself; 0: all begin alike"},
    {"resample", FORAGE_PARAM_CHOICE, "poisson", 0, 0, "poisson|double",
     "how often a member sees a lesson: Poisson(1) times, or twice or never by a coin"},
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
    forage_free(learner->lessons);
    forage_free(learner->x);
    forage_free(learner);
}

/* Heads of `arms` arms, the new ones around priors of their own: the same for an arm, whenever it comes. */
static forage_status grow_heads(model_learner *learner, size_t arms, forage_error *error)
{
    model_heads *heads = &learner->heads;
    size_t old = heads->count, members = learner->members;
    double spread = learner->prior / sqrt(heads->ridge);
    if (arms > SIZE_MAX / members)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu arms", arms);
    FORAGE_TRY(model_heads_grow(heads, arms * members, error));
    for (size_t head = old; spread > 0 && head < heads->count; head++) {
        forage_rng rng;
        forage_rng_seed_stream(&rng, learner->setup->seed, (uint32_t)head);
        for (size_t i = 0; i < heads->width; i++)
            model_heads_mean(heads, head)[i] = spread * forage_rng_normal(&rng);
    }
    return FORAGE_OK;
}

static forage_status grow(model_learner *learner, size_t arms, size_t users, forage_error *error)
{
    (void)users;
    if (learner->disjoint)
        FORAGE_TRY(grow_heads(learner, arms, error));
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
                              "bootstrap of form %s needs features%s; there are %zu of the request and %zu of the "
                              "candidate",
                              disjoint ? "disjoint" : "shared", disjoint ? " of the request" : "", shape->request_width,
                              shape->candidate_width);
    model_learner *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, status, "no memory for bootstrap");
    made->setup = setup;
    made->disjoint = disjoint;
    made->logistic = strcmp(forage_params_text(setup->params, "head"), "logistic") == 0;
    made->doubled = strcmp(forage_params_text(setup->params, "resample"), "double") == 0;
    made->members = (size_t)forage_params_integer(setup->params, "members");
    made->prior = forage_params_real(setup->params, "prior");
    made->x = forage_calloc(width, sizeof *made->x);
    made->lessons = forage_calloc(1, sizeof *made->lessons);
    if (!made->x || !made->lessons) {
        status = forage_fail(error, status, "no memory for bootstrap of %zu features", width);
        goto fail;
    }
    FORAGE_TRY_GOTO(model_heads_create(&made->heads, la_kernels_for(setup->device->isa), width,
                                       forage_params_real(setup->params, "ridge"),
                                       forage_params_real(setup->params, "discount"), error),
                    fail);
    if (!disjoint)
        FORAGE_TRY_GOTO(grow_heads(made, 1, error), fail);
    FORAGE_TRY_GOTO(grow(made, shape->arms, 0, error), fail);
    *learner = made;
    return FORAGE_OK;
fail:
    release(made);
    return status;
}

static void unpack(model_learner *learner, const float *request, const float *features)
{
    size_t lead = learner->setup->shape->request_width;
    for (size_t i = 0; i < learner->heads.width; i++)
        learner->x[i] = (double)(i < lead ? request[i] : features[i - lead]);
}

static void unpack_candidate(model_learner *learner, const forage_candidates *candidates, size_t i)
{
    const float *features = candidates->features;
    if (!learner->disjoint || i == 0)
        unpack(learner, candidates->request, features ? features + i * learner->setup->shape->candidate_width : NULL);
}

/* What a member says about x; an arm that nobody knows is taken for the prior's mean. */
static double ask(model_learner *learner, size_t arm, size_t member)
{
    size_t head = (learner->disjoint ? arm : 0) * learner->members + member;
    double a =
        learner->disjoint && arm >= learner->arms ? 0 : model_heads_predict(&learner->heads, head, learner->x, NULL);
    return learner->logistic ? model_sigma(a) : a;
}

/* The spread that the members' priors have where nobody has seen anything. */
static double prior_spread(const model_learner *learner)
{
    double spread = learner->prior * sqrt(model_heads_prior_square(&learner->heads, learner->x));
    return learner->logistic ? fmin(0.25 * spread, 0.5) : spread;
}

static void estimate(model_learner *learner, const forage_candidates *candidates, float *mean, float *deviation)
{
    for (size_t i = 0; i < candidates->count; i++) {
        size_t arm = candidates->arms[i], members = learner->members;
        double average = 0, square = 0;
        unpack_candidate(learner, candidates, i);
        for (size_t m = 0; m < members; m++) { /* Welford's sums: no cancellation */
            double value = ask(learner, arm, m), off = value - average;
            average += off / (double)(m + 1);
            square += off * (value - average);
        }
        mean[i] = (float)average;
        if (!deviation)
            continue;
        deviation[i] = learner->disjoint && arm >= learner->arms ? (float)prior_spread(learner)
                                                                 : (float)sqrt(square / (double)(members - 1));
    }
}

static void draw(model_learner *learner, const forage_candidates *candidates, forage_rng *rng, float *values)
{
    size_t member = (size_t)forage_rng_integers(rng, learner->members);
    for (size_t i = 0; i < candidates->count; i++) {
        size_t arm = candidates->arms[i];
        unpack_candidate(learner, candidates, i);
        if (learner->disjoint && arm >= learner->arms) {
            double a =
                learner->prior * sqrt(model_heads_prior_square(&learner->heads, learner->x)) * forage_rng_normal(rng);
            values[i] = (float)(learner->logistic ? model_sigma(a) : a);
        } else {
            values[i] = (float)ask(learner, arm, member);
        }
    }
}

/* How often one member sees a lesson. Poisson(1) by inversion. */
static double times(const model_learner *learner, forage_rng *rng)
{
    double u = forage_rng_double(rng), mass = exp(-1), n = 0;
    if (learner->doubled)
        return u < 0.5 ? 0 : 2;
    while (u >= mass && n < 20) {
        u -= mass;
        mass /= ++n;
    }
    return n;
}

static void learn(model_learner *learner, const forage_lesson *lesson)
{
    size_t first = (learner->disjoint ? lesson->arm : 0) * learner->members;
    uint64_t number = ++*learner->lessons;
    forage_rng rng;
    unpack(learner, lesson->request, lesson->features);
    /* A stream of each lesson's own, far from those of the priors: what is drawn depends on its number alone. */
    forage_rng_seed_stream(&rng, learner->setup->seed ^ (number << 24), FORAGE_NONE);
    for (size_t m = 0; m < learner->members; m++) {
        double weight = times(learner, &rng) * (double)lesson->weight;
        if (!(weight > 0))
            continue;
        if (learner->logistic)
            model_heads_learn_logistic(&learner->heads, first + m, learner->x, fmin(fmax((double)lesson->reward, 0), 1),
                                       weight);
        else
            model_heads_learn_linear(&learner->heads, first + m, learner->x, (double)lesson->reward, weight);
    }
}

static forage_status save(const model_learner *learner, nn_checkpoint *checkpoint, forage_error *error)
{
    size_t one = 1;
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "lessons", NN_U64, 1, &one, learner->lessons, error));
    return model_heads_save(&learner->heads, checkpoint, error);
}

static forage_status load(model_learner *learner, const nn_checkpoint *checkpoint, forage_error *error)
{
    size_t one = 1;
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "lessons", NN_U64, 1, &one, learner->lessons, error));
    return model_heads_load(&learner->heads, checkpoint, error);
}

static double saved_size(const model_online_setup *setup)
{
    const forage_learner_shape *shape = setup->shape;
    bool disjoint = is_disjoint(setup);
    double width = (double)shape->request_width + (disjoint ? 0 : (double)shape->candidate_width);
    return model_heads_bytes(width) * (disjoint ? (double)shape->arms : 1) *
           (double)forage_params_integer(setup->params, "members");
}

static size_t memory(const model_learner *learner)
{
    return sizeof *learner + model_heads_memory(&learner->heads) + learner->heads.width * sizeof(double);
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

const model_type model_bootstrap = {
    .info =
        {
            .name = "bootstrap",
            .version = 1,
            .summary = "an ensemble of linear or logistic regressions that see each lesson a random number of times",
            .capabilities = FORAGE_CAN_LEARN | FORAGE_HAS_DEVIATION,
            .table = {.owner = "bootstrap", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .online = &online,
    .minimum_reward = -1e9F,
    .maximum_reward = 1e9F,
};
