/*
 * beta_bernoulli.c: a click rate for each arm, whoever asks (Thompson 1933; Chapelle and Li 2011,
 * "An empirical evaluation of Thompson sampling").
 *
 *   rate of arm i ~ Beta(A, B),  A = a + sum w r,  B = b + sum w (1 - r)
 *   mean = A / (A + B),  deviation = sqrt(A B / (A + B + 1)) / (A + B)
 *
 * A reward within (0, 1) counts as that part of a click, which has the expectation of Agrawal and
 * Goyal's (2012) coin flip without its noise. Older lessons fade by `discount` with every lesson
 * (discounted Thompson sampling: Raj and Kalyani 2017).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/sums.h"

#include <math.h>

struct model_learner {
    double a, b;
    model_sums sums; /* clicks, others */
};

static const forage_param params[] = {
    {"a", FORAGE_PARAM_REAL, "1", 1e-3, 1e9, NULL, "clicks that an arm is taken to have had before its first lesson"},
    {"b", FORAGE_PARAM_REAL, "1", 1e-3, 1e9, NULL, "the same of impressions without a click"},
    {"discount", FORAGE_PARAM_REAL, "1", 0.5, 1, NULL,
     "what a lesson's weight is multiplied by with every later lesson; 1: nothing fades"},
};

static void release(model_learner *learner)
{
    if (learner)
        model_sums_release(&learner->sums);
    forage_free(learner);
}

static forage_status create(const model_online_setup *setup, model_learner **learner, forage_error *error)
{
    *learner = NULL;
    model_learner *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for beta-bernoulli");
    made->a = forage_params_real(setup->params, "a");
    made->b = forage_params_real(setup->params, "b");
    forage_status status =
        model_sums_create(&made->sums, setup->shape->arms, 2, forage_params_real(setup->params, "discount"), error);
    if (status != FORAGE_OK) {
        forage_free(made);
        return status;
    }
    *learner = made;
    return FORAGE_OK;
}

/* Sums to the posterior's parameters; a lesson that was taken back may leave rounding below zero. */
static void posterior(const model_learner *learner, double *sums)
{
    sums[0] = learner->a + fmax(sums[0], 0);
    sums[1] = learner->b + fmax(sums[1], 0);
}

static void estimate(model_learner *learner, const forage_candidates *candidates, float *mean, float *deviation)
{
    for (size_t i = 0; i < candidates->count; i++) {
        double beta[2];
        model_sums_get(&learner->sums, candidates->arms[i], beta);
        posterior(learner, beta);
        double total = beta[0] + beta[1], rate = beta[0] / total;
        mean[i] = (float)rate;
        if (deviation)
            deviation[i] = (float)sqrt(rate * (beta[1] / total) / (total + 1));
    }
}

static double sample(const void *context, const double *sums, forage_rng *rng)
{
    double beta[2] = {sums[0], sums[1]};
    posterior(context, beta);
    return forage_rng_beta(rng, beta[0], beta[1]);
}

static void draw(model_learner *learner, const forage_candidates *candidates, forage_rng *rng, float *values)
{
    model_sums_draw(&learner->sums, candidates, sample, learner, rng, values);
}

static void amounts_of(const forage_lesson *lesson, double amounts[2])
{
    double weight = (double)lesson->weight, reward = (double)lesson->reward;
    amounts[0] = weight * reward;
    amounts[1] = weight * (1 - reward);
}

static void learn(model_learner *learner, const forage_lesson *lesson)
{
    double amounts[2];
    amounts_of(lesson, amounts);
    model_sums_add(&learner->sums, lesson->arm, amounts);
}

static void forget(model_learner *learner, const forage_lesson *lesson)
{
    double amounts[2];
    amounts_of(lesson, amounts);
    model_sums_subtract(&learner->sums, lesson->arm, amounts);
}

static forage_status check_forget(model_learner *learner, const forage_lesson *lesson, forage_error *error)
{
    (void)lesson;
    return model_sums_check_subtract(&learner->sums, error);
}

static void merge(model_learner *learner, const model_learner *other)
{
    model_sums_merge(&learner->sums, &other->sums);
}

static forage_status grow(model_learner *learner, size_t arms, size_t users, forage_error *error)
{
    (void)users;
    return model_sums_grow(&learner->sums, arms, error);
}

static forage_status save(const model_learner *learner, nn_checkpoint *checkpoint, forage_error *error)
{
    return model_sums_save(&learner->sums, checkpoint, error);
}

static forage_status load(model_learner *learner, const nn_checkpoint *checkpoint, forage_error *error)
{
    return model_sums_load(&learner->sums, checkpoint, error);
}

static size_t memory(const model_learner *learner)
{
    return sizeof *learner + model_sums_memory(&learner->sums);
}

static const model_online online = {
    .create = create,
    .free = release,
    .estimate = estimate,
    .draw = draw,
    .learn = learn,
    .forget = forget,
    .merge = merge,
    .check_forget = check_forget,
    .grow = grow,
    .save = save,
    .load = load,
    .memory = memory,
};

const model_type model_beta_bernoulli = {
    .info =
        {
            .name = "beta-bernoulli",
            .version = 1,
            .summary = "a click rate for each arm with a beta posterior, the same for everyone",
            .capabilities = FORAGE_CAN_LEARN | FORAGE_HAS_DEVIATION | FORAGE_GIVES_PROBABILITY,
            .table = {.owner = "beta-bernoulli", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .online = &online,
    .minimum_reward = 0,
    .maximum_reward = 1,
};
