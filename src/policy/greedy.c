/*
 * greedy.c: the candidate with the highest estimate. It never explores: what looks bad once, by bad luck, may
 * never be shown again. The baseline for all others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/descriptor.h"

static forage_status create(const forage_params *params, size_t candidates, policy_state **state, forage_error *error)
{
    (void)params;
    (void)candidates;
    (void)error;
    *state = NULL;
    return FORAGE_OK;
}

static void release(policy_state *state)
{
    (void)state;
}

static forage_status choose(policy_state *state, const policy_round *round, forage_rng *rng, uint32_t *chosen,
                            forage_error *error)
{
    (void)state;
    (void)error;
    *chosen = policy_choose_best(round, round->mean, rng);
    return FORAGE_OK;
}

const policy_type policy_greedy = {
    .info =
        {
            .name = "greedy",
            .version = 1,
            .summary = "the highest estimate; never explores",
            .needs = FORAGE_POLICY_USES_MEAN,
            .table = {.owner = "greedy"},
        },
    .create = create,
    .free = release,
    .choose = choose,
};
