/*
 * explore_first.c: the first `decisions` choices uniformly at random, all later ones greedy ("epsilon-first",
 * Sutton and Barto 2018, chapter 2; Langford and Zhang 2007 give the bound: with T decisions to come,
 * exploring T^(2/3) of them costs a regret of that order).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/descriptor.h"

struct policy_state {
    uint64_t decisions;
};

static const forage_param params[] = {
    {"decisions", FORAGE_PARAM_INTEGER, "1000", 0, 1e15, NULL, "decisions made at random before the greedy ones"},
};

static forage_status create(const forage_params *values, size_t candidates, policy_state **state, forage_error *error)
{
    (void)candidates;
    *state = forage_calloc(1, sizeof **state);
    if (!*state)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the policy");
    (*state)->decisions = (uint64_t)forage_params_integer(values, "decisions");
    return FORAGE_OK;
}

static void release(policy_state *state)
{
    forage_free(state);
}

static forage_status choose(policy_state *state, const policy_round *round, forage_rng *rng, uint32_t *chosen,
                            forage_error *error)
{
    (void)error;
    if (round->step < state->decisions)
        *chosen = policy_choose_any(round, rng);
    else
        *chosen = policy_choose_best(round, round->mean, rng);
    return FORAGE_OK;
}

const policy_type policy_explore_first = {
    .info =
        {
            .name = "explore-first",
            .version = 1,
            .summary = "the first decisions at random, then greedy",
            .needs = FORAGE_POLICY_USES_MEAN,
            .table = {.owner = "explore-first", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .create = create,
    .free = release,
    .choose = choose,
};
