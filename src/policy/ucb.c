/*
 * ucb.c: the candidate with the highest upper confidence bound, mean + alpha x standard error (Auer 2002; with a
 * linear model LinUCB, Li et al. 2010, algorithm 1).
 *
 * With delta > 0 the width is that of Li et al., equation 4:
 *     alpha = 1 + sqrt(ln(2 / delta) / 2)
 * for which, with rewards in [0, 1] and a ridge strength of 1, |x'theta - x'theta_hat| <= alpha sqrt(x'A^-1 x) holds
 * with probability 1 - delta at a fixed decision (their lemma asks for independent rewards; over all decisions together
 * it is a heuristic).
 *
 * Bounds are single precision, as the estimates are; equal ones are ties.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/descriptor.h"

#include <math.h>

struct policy_state {
    float alpha;
    float *bound; /* [candidates] */
};

static const forage_param params[] = {
    {"alpha", FORAGE_PARAM_REAL, "1", 0, 1e6, NULL, "standard errors that are added to an estimate"},
    {"delta", FORAGE_PARAM_REAL, "0", 0, 1, NULL,
     "above 0: alpha = 1 + sqrt(ln(2 / delta) / 2) instead, for bounds that hold with probability 1 - delta"},
};

static void release(policy_state *state)
{
    if (!state)
        return;
    forage_free(state->bound);
    forage_free(state);
}

static forage_status create(const forage_params *values, size_t candidates, policy_state **state, forage_error *error)
{
    double alpha = forage_params_real(values, "alpha"), delta = forage_params_real(values, "delta");
    *state = forage_calloc(1, sizeof **state);
    if (*state)
        (*state)->bound = forage_alloc(candidates, sizeof(float));
    if (!*state || !(*state)->bound) {
        release(*state);
        *state = NULL;
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the bounds of %zu candidates", candidates);
    }
    (*state)->alpha = (float)(delta > 0 ? 1 + sqrt(log(2 / delta) / 2) : alpha);
    return FORAGE_OK;
}

static forage_status choose(policy_state *state, const policy_round *round, forage_rng *rng, uint32_t *chosen,
                            forage_error *error)
{
    const float *mean = round->mean, *deviation = round->deviation;
    float alpha = state->alpha, *restrict bound = state->bound;
    (void)error;
    for (size_t i = 0; i < round->count; i++)
        bound[i] = mean[i] + alpha * deviation[i];
    *chosen = policy_choose_best(round, bound, rng);
    return FORAGE_OK;
}

const policy_type policy_ucb = {
    .info =
        {
            .name = "ucb",
            .version = 1,
            .summary = "the highest upper confidence bound: estimate + alpha x standard error",
            .needs = FORAGE_POLICY_USES_MEAN | FORAGE_POLICY_USES_DEVIATION,
            .table = {.owner = "ucb", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .create = create,
    .free = release,
    .choose = choose,
};
