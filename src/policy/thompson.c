/*
 * thompson.c: draws every candidate's value from what is believed about it, and takes the largest (Thompson 1933;
 * Chapelle and Li 2011; Agrawal and Goyal 2013 for linear models): the probability of a candidate to be chosen is that
 * of its being the best. For a slate there is a fresh draw at each position.
 *
 *     value_i = mean_i + scale (draw_i - mean_i)
 *
 * Propensities. Where draws are independent normals they are integrated (normal_best.c); candidates of one group have
 * one draw between them, and share its probability. Elsewhere they are estimated from `samples` further draws together
 * with the one that chose: P(i) = (how often i was the largest, ties shared) / (samples + 1) The draw that chose is one
 * of samples + 1 alike, so a row is right on average, what was chosen never has 0, and the mean importance weight 1 /
 * P(chosen) of a candidate is 1 as far as it turns up at all. Further draws come from a stream of their own: whoever
 * asks for probabilities changes no choice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/descriptor.h"
#include "policy/normal_best.h"

#include <math.h>

enum { SAMPLES_IF_ASKED = 1000 };

struct policy_state {
    double scale;
    uint64_t samples;
    float *draw;    /* [candidates] */
    double *value;  /* [candidates] */
    double *counts; /* [candidates] how often the largest */
    policy_normals normals;

    /* Groups that share a draw. */
    float *group_mean, *group_deviation; /* [candidates] mean -INFINITY: all are in the slate */
    double *group_value;                 /* [candidates] the draw */
    uint32_t *group_left;                /* [candidates] members that are not in the slate */
};

static const forage_param params[] = {
    {"scale", FORAGE_PARAM_REAL, "1", 0, 1e6, NULL, "how wide draws are spread; below 1 explores less, 0 is greedy"},
    {"samples", FORAGE_PARAM_INTEGER, "0", 0, 1e6, NULL,
     "further draws that estimate a propensity which is not known in closed form; 0: the chosen one's is NaN, and "
     "whoever asks for everyone's gets 1000"},
};

static void release(policy_state *state)
{
    if (!state)
        return;
    forage_free(state->draw);
    forage_free(state->value);
    forage_free(state->counts);
    forage_free(state->group_mean);
    forage_free(state->group_deviation);
    forage_free(state->group_value);
    forage_free(state->group_left);
    policy_normals_release(&state->normals);
    forage_free(state);
}

static forage_status create(const forage_params *values, size_t candidates, policy_state **state, forage_error *error)
{
    policy_state *made = forage_calloc(1, sizeof *made);
    *state = NULL;
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the policy");
    made->scale = forage_params_real(values, "scale");
    made->samples = (uint64_t)forage_params_integer(values, "samples");
    made->draw = forage_alloc(candidates, sizeof *made->draw);
    made->value = forage_alloc(candidates, sizeof *made->value);
    made->counts = forage_alloc(candidates, sizeof *made->counts);
    made->group_mean = forage_alloc(candidates, sizeof *made->group_mean);
    made->group_deviation = forage_alloc(candidates, sizeof *made->group_deviation);
    made->group_value = forage_alloc(candidates, sizeof *made->group_value);
    made->group_left = forage_alloc(candidates, sizeof *made->group_left);
    bool grouped = made->group_mean && made->group_deviation && made->group_value && made->group_left;
    forage_status status = policy_normals_init(&made->normals, candidates, error);
    if (status == FORAGE_OK && (!grouped || !made->draw || !made->value || !made->counts))
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for draws of %zu candidates", candidates);
    if (status != FORAGE_OK)
        release(made);
    else
        *state = made;
    return status;
}

/* What the groups of the round are. */
static void gather_groups(policy_state *state, const policy_round *round)
{
    const forage_estimates *estimates = round->estimates;
    for (size_t g = 0; g < estimates->group_count; g++) {
        state->group_mean[g] = -INFINITY;
        state->group_deviation[g] = 0;
        state->group_left[g] = 0;
    }
    for (size_t i = 0; i < round->count; i++) {
        uint32_t g = estimates->groups[i];
        if (round->mean[i] > -INFINITY) {
            state->group_mean[g] = round->mean[i];
            state->group_deviation[g] = round->deviation[i];
            state->group_left[g]++;
        }
    }
}

static void draw_normals(policy_state *state, const float *means, const float *deviations, size_t count,
                         forage_rng *rng, double *values)
{
    for (size_t i = 0; i < count; i++) {
        double mean = (double)means[i];
        values[i] = mean > -INFINITY ? mean + state->scale * (double)deviations[i] * forage_rng_normal(rng) : mean;
    }
}

/* One draw of every value; what is in the slate has -INFINITY. */
static forage_status draw_values(policy_state *state, const policy_round *round, forage_rng *rng, forage_error *error)
{
    const forage_estimates *estimates = round->estimates;
    double scale = state->scale, *value = state->value;
    if (!estimates->draw && estimates->groups) {
        gather_groups(state, round);
        draw_normals(state, state->group_mean, state->group_deviation, estimates->group_count, rng, state->group_value);
        for (size_t i = 0; i < round->count; i++)
            value[i] = round->mean[i] > -INFINITY ? state->group_value[estimates->groups[i]] : -INFINITY;
        return FORAGE_OK;
    }
    if (!estimates->draw) {
        draw_normals(state, round->mean, round->deviation, round->count, rng, value);
        return FORAGE_OK;
    }
    estimates->draw(estimates->context, rng, state->draw);
    for (size_t i = 0; i < round->count; i++) {
        double mean = (double)round->mean[i], draw = (double)state->draw[i];
        if (!isfinite(draw))
            return forage_fail(error, FORAGE_INVALID, "the draw of candidate %zu is %g: it must be finite", i, draw);
        value[i] = mean > -INFINITY ? mean + scale * (draw - mean) : mean;
    }
    return FORAGE_OK;
}

/* Adds 1 to who has the largest value, shared by those who have it alike. */
static void count_largest(policy_state *state, size_t count)
{
    double most = -INFINITY;
    size_t ties = 0, first = 0;
    for (size_t i = 0; i < count; i++) {
        if (state->value[i] > most) {
            most = state->value[i];
            ties = 0;
            first = i;
        }
        ties += state->value[i] == most;
    }
    for (size_t i = first; ties == 1 ? i == first : i < count; i++)
        state->counts[i] += state->value[i] == most ? 1 / (double)ties : 0;
}

/* Estimates probabilities into `counts`. `value` still holds the draw that chose. `side` is the generator as it was
 * before that. */
static forage_status estimate(policy_state *state, const policy_round *round, uint64_t samples, forage_rng side,
                              forage_error *error)
{
    forage_rng rng;
    for (size_t i = 0; i < round->count; i++)
        state->counts[i] = 0;
    count_largest(state, round->count);
    forage_rng_seed_stream(&rng, forage_rng_u64(&side), (uint32_t)round->position);
    for (uint64_t s = 0; s < samples; s++) {
        FORAGE_TRY(draw_values(state, round, &rng, error));
        count_largest(state, round->count);
    }
    for (size_t i = 0; i < round->count; i++)
        state->counts[i] /= (double)(samples + 1);
    return FORAGE_OK;
}

/* The share of one member of group `g` in its group's probability: what is tied for sure is tied candidate by
 * candidate. */
static double member_share(const policy_state *state, size_t groups, uint32_t g)
{
    size_t tied = 0, members = 0;
    if (state->scale * (double)state->group_deviation[g] > 0)
        return 1 / (double)state->group_left[g];
    for (size_t h = 0; h < groups; h++) {
        if (state->group_mean[h] == state->group_mean[g] && !(state->scale * (double)state->group_deviation[h] > 0)) {
            tied++;
            members += state->group_left[h];
        }
    }
    return (double)tied / (double)members;
}

/* Probabilities of independent normals, each of a candidate or of a group. */
static void integrate(policy_state *state, const policy_round *round, uint32_t chosen)
{
    const forage_estimates *estimates = round->estimates;
    const uint32_t *groups = estimates->groups;
    const float *mean = groups ? state->group_mean : round->mean;
    const float *deviation = groups ? state->group_deviation : round->deviation;
    size_t count = groups ? estimates->group_count : round->count;
    double *row = round->probabilities;
    if (!row && !round->propensity)
        return;
    if (!row) {
        uint32_t one = groups ? groups[chosen] : chosen;
        *round->propensity = policy_normals_best_one(&state->normals, mean, deviation, state->scale, count, one) *
                             (groups ? member_share(state, count, one) : 1);
        return;
    }
    policy_normals_best(&state->normals, mean, deviation, state->scale, count, groups ? state->counts : row);
    if (groups) {
        for (size_t g = 0; g < count; g++)
            state->counts[g] *= state->counts[g] > 0 ? member_share(state, count, (uint32_t)g) : 0;
        for (size_t i = 0; i < round->count; i++)
            row[i] = round->mean[i] > -INFINITY ? state->counts[groups[i]] : 0;
    }
    if (round->propensity)
        *round->propensity = row[chosen];
}

static forage_status choose(policy_state *state, const policy_round *round, forage_rng *rng, uint32_t *chosen,
                            forage_error *error)
{
    forage_rng before = *rng;
    size_t ties;
    FORAGE_TRY(draw_values(state, round, rng, error));
    *chosen = policy_pick_best_real(state->value, round->count, rng, &ties);
    if (!round->estimates->draw) {
        integrate(state, round, *chosen);
        return FORAGE_OK;
    }
    uint64_t samples = state->samples || !round->probabilities ? state->samples : SAMPLES_IF_ASKED;
    if (!round->probabilities && (!samples || !round->propensity)) {
        if (round->propensity)
            *round->propensity = NAN;
        return FORAGE_OK;
    }
    FORAGE_TRY(estimate(state, round, samples, before, error));
    if (round->propensity)
        *round->propensity = state->counts[*chosen];
    for (size_t i = 0; round->probabilities && i < round->count; i++)
        round->probabilities[i] = state->counts[i];
    return FORAGE_OK;
}

const policy_type policy_thompson = {
    .info =
        {
            .name = "thompson",
            .version = 1,
            .summary = "draws from the posterior, and takes the largest",
            .needs = FORAGE_POLICY_USES_MEAN | FORAGE_POLICY_USES_DRAWS | FORAGE_POLICY_IS_ESTIMATED,
            .table = {.owner = "thompson", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .create = create,
    .free = release,
    .choose = choose,
};
