/*
 * squarecb.c: probabilities in inverse proportion to the gap (Foster and Rakhlin 2020, algorithm 1; Abe and Long 1999).
 *
 * Of K candidates left, b the best (one of those tied, at random), with t decisions made before:
 *     P(i) = 1 / (K + gamma_t (mean_b - mean_i))     for i other than b
 *     P(b) = 1 - sum of the others
 *     gamma_t = gamma (t + 1)^exponent
 * Theorem 1 takes gamma in proportion to sqrt(K T); with an unknown horizon T that is an exponent of 1/2. An estimate
 * is all that is needed: no standard errors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/descriptor.h"

#include <math.h>

struct policy_state {
    double gamma, exponent;
    double *weights; /* [candidates] */
};

static const forage_param params[] = {
    {"gamma", FORAGE_PARAM_REAL, "10", 0, 1e12, NULL, "how strongly a gap counts at the start; 0 is random"},
    {"exponent", FORAGE_PARAM_REAL, "0.5", 0, 4, NULL, "gamma grows with the t decisions before as (t+1)^exponent"},
};

static void release(policy_state *state)
{
    if (!state)
        return;
    forage_free(state->weights);
    forage_free(state);
}

static forage_status create(const forage_params *values, size_t candidates, policy_state **state, forage_error *error)
{
    *state = forage_calloc(1, sizeof **state);
    if (*state)
        (*state)->weights = forage_alloc(candidates, sizeof(double));
    if (!*state || !(*state)->weights) {
        release(*state);
        *state = NULL;
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the weights of %zu candidates", candidates);
    }
    (*state)->gamma = forage_params_real(values, "gamma");
    (*state)->exponent = forage_params_real(values, "exponent");
    return FORAGE_OK;
}

static forage_status choose(policy_state *state, const policy_round *round, forage_rng *rng, uint32_t *chosen,
                            forage_error *error)
{
    double gamma = state->gamma * pow((double)round->step + 1, state->exponent), left = (double)round->left;
    double *weights = state->weights, best = -INFINITY, others = 0;
    size_t ties = 0;
    (void)error;
    for (size_t i = 0; i < round->count; i++)
        best = (double)round->mean[i] > best ? (double)round->mean[i] : best;
    for (size_t i = 0; i < round->count; i++) {
        double mean = (double)round->mean[i];
        weights[i] = isfinite(mean) ? 1 / (left + gamma * (best - mean)) : 0;
        if (mean == best)
            ties++;
        else
            others += weights[i];
    }
    /* Who of those tied is b is a coin; together they have what the others leave. */
    double share = (1 - others) / (double)ties;
    for (size_t i = 0; i < round->count; i++)
        weights[i] = (double)round->mean[i] == best ? share : weights[i];
    *chosen = policy_pick_weighted(weights, round->count, 1, rng);
    if (round->propensity)
        *round->propensity = weights[*chosen];
    if (round->probabilities) {
        for (size_t i = 0; i < round->count; i++)
            round->probabilities[i] = weights[i];
    }
    return FORAGE_OK;
}

const policy_type policy_squarecb = {
    .info =
        {
            .name = "squarecb",
            .version = 1,
            .summary = "probabilities in inverse proportion to the gap to the highest estimate",
            .needs = FORAGE_POLICY_USES_MEAN,
            .table = {.owner = "squarecb", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .create = create,
    .free = release,
    .choose = choose,
};
