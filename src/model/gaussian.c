/*
 * gaussian.c: a mean reward for each arm, whoever asks, with a normal-inverse-gamma posterior (Murphy
 * 2007, "Conjugate Bayesian analysis of the Gaussian distribution", section 3).
 *
 *   reward ~ N(mu, s2),  mu | s2 ~ N(m, s2 / k),  s2 ~ InverseGamma(alpha, beta)
 *
 * After lessons of total weight n with S = sum w (r - m), Q = sum w (r - m)^2:
 *
 *   K = k + n,  mean = m + S / K,  alpha' = alpha + n / 2,  beta' = beta + (Q - S^2 / K) / 2
 *   deviation = sqrt(beta' / ((alpha' - 1) K)): that of Student's t, the marginal of mu
 *
 * The prior of the noise is given by what a person can guess: its deviation d and how many rewards that guess
 * weighs, c: alpha = 1 + c / 2, beta = d^2 c / 2, so that E[s2] = d^2. With the noise known to be d, the
 * posterior of mu is normal with deviation d / sqrt(K).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/sums.h"

#include <math.h>

struct model_learner {
    double mean, strength, alpha, beta, noise;
    bool known;
    model_sums sums; /* n, S, Q */
};

static const forage_param params[] = {
    {"mean", FORAGE_PARAM_REAL, "0", -1e9, 1e9, NULL, "expected reward of an arm before its first lesson"},
    {"strength", FORAGE_PARAM_REAL, "1", 1e-6, 1e9, NULL, "weight of that expectation, in rewards"},
    {"noise", FORAGE_PARAM_REAL, "1", 1e-6, 1e9, NULL,
     "standard deviation of a reward around its arm's mean, as far as it is known beforehand"},
    {"certainty", FORAGE_PARAM_REAL, "2", 1e-3, 1e9, NULL, "weight of that noise, in rewards; each arm learns its own"},
    {"known-noise", FORAGE_PARAM_BOOLEAN, "false", 0, 0, NULL, "the noise is what was given; it is not learned"},
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
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for gaussian");
    double certainty = forage_params_real(setup->params, "certainty");
    made->mean = forage_params_real(setup->params, "mean");
    made->strength = forage_params_real(setup->params, "strength");
    made->noise = forage_params_real(setup->params, "noise");
    made->known = forage_params_boolean(setup->params, "known-noise");
    made->alpha = 1 + certainty / 2;
    made->beta = made->noise * made->noise * certainty / 2;
    forage_status status =
        model_sums_create(&made->sums, setup->shape->arms, 3, forage_params_real(setup->params, "discount"), error);
    if (status != FORAGE_OK) {
        forage_free(made);
        return status;
    }
    *learner = made;
    return FORAGE_OK;
}

typedef struct posterior {
    double mean, strength, alpha, beta;
} posterior;

/* A lesson that was taken back may leave rounding below zero. */
static posterior posterior_of(const model_learner *learner, const double *sums)
{
    double n = fmax(sums[0], 0), strength = learner->strength + n;
    return (posterior){
        .mean = learner->mean + sums[1] / strength,
        .strength = strength,
        .alpha = learner->alpha + n / 2,
        .beta = learner->beta + fmax(sums[2] - sums[1] * sums[1] / strength, 0) / 2,
    };
}

static void estimate(model_learner *learner, const forage_candidates *candidates, float *mean, float *deviation)
{
    for (size_t i = 0; i < candidates->count; i++) {
        double sums[3];
        model_sums_get(&learner->sums, candidates->arms[i], sums);
        posterior p = posterior_of(learner, sums);
        double variance = learner->known ? learner->noise * learner->noise : p.beta / (p.alpha - 1);
        mean[i] = (float)p.mean;
        if (deviation)
            deviation[i] = (float)sqrt(variance / p.strength);
    }
}

/* The noise first, then the mean given the noise. */
static double sample(const void *context, const double *sums, forage_rng *rng)
{
    const model_learner *learner = context;
    posterior p = posterior_of(learner, sums);
    double variance = learner->known ? learner->noise * learner->noise : p.beta / forage_rng_gamma(rng, p.alpha);
    return p.mean + sqrt(variance / p.strength) * forage_rng_normal(rng);
}

static void draw(model_learner *learner, const forage_candidates *candidates, forage_rng *rng, float *values)
{
    model_sums_draw(&learner->sums, candidates, sample, learner, rng, values);
}

static void amounts_of(const model_learner *learner, const forage_lesson *lesson, double amounts[3])
{
    double weight = (double)lesson->weight, beyond = (double)lesson->reward - learner->mean;
    amounts[0] = weight;
    amounts[1] = weight * beyond;
    amounts[2] = weight * beyond * beyond;
}

static void learn(model_learner *learner, const forage_lesson *lesson)
{
    double amounts[3];
    amounts_of(learner, lesson, amounts);
    model_sums_add(&learner->sums, lesson->arm, amounts);
}

static void forget(model_learner *learner, const forage_lesson *lesson)
{
    double amounts[3];
    amounts_of(learner, lesson, amounts);
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

const model_type model_gaussian = {
    .info =
        {
            .name = "gaussian",
            .version = 1,
            .summary = "a mean reward for each arm with a normal-inverse-gamma posterior, the same for everyone",
            .capabilities = FORAGE_CAN_LEARN | FORAGE_HAS_DEVIATION,
            .table = {.owner = "gaussian", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .online = &online,
    .minimum_reward = -1e9F,
    .maximum_reward = 1e9F,
};
