/*
 * softmax.c: probabilities that grow with the estimate (Boltzmann exploration; Sutton and Barto 2018, section 2.8):
 *     P(i) = exp(mean_i / temperature) / sum_j exp(mean_j / temperature)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/descriptor.h"

#include <math.h>

struct policy_state {
    double temperature;
    double *weights; /* [candidates] */
};

static const forage_param params[] = {
    {"temperature", FORAGE_PARAM_REAL, "0.05", 1e-9, 1e9, NULL,
     "difference of estimates that makes a candidate e times as probable; small is greedy, large is random"},
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
    (*state)->temperature = forage_params_real(values, "temperature");
    return FORAGE_OK;
}

static forage_status choose(policy_state *state, const policy_round *round, forage_rng *rng, uint32_t *chosen,
                            forage_error *error)
{
    double *weights = state->weights, total = 0, best = -INFINITY;
    (void)error;
    for (size_t i = 0; i < round->count; i++)
        best = (double)round->mean[i] > best ? (double)round->mean[i] : best;
    for (size_t i = 0; i < round->count; i++) {
        weights[i] = exp(((double)round->mean[i] - best) / state->temperature); /* 0 for what is in the slate */
        total += weights[i];
    }
    *chosen = policy_pick_weighted(weights, round->count, total, rng);
    if (round->propensity)
        *round->propensity = weights[*chosen] / total;
    if (round->probabilities) {
        for (size_t i = 0; i < round->count; i++)
            round->probabilities[i] = weights[i] / total;
    }
    return FORAGE_OK;
}

const policy_type policy_softmax = {
    .info =
        {
            .name = "softmax",
            .version = 1,
            .summary = "probabilities that grow exponentially with the estimate",
            .needs = FORAGE_POLICY_USES_MEAN,
            .table = {.owner = "softmax", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .create = create,
    .free = release,
    .choose = choose,
};
