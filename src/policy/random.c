/*
 * random.c: any candidate, each equally likely. Everything must beat it; and its log is the one from which any
 * other policy can be judged.
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
    *chosen = policy_choose_any(round, rng);
    return FORAGE_OK;
}

const policy_type policy_random = {
    .info =
        {
            .name = "random",
            .version = 1,
            .summary = "any candidate, each equally likely",
            .needs = 0,
            .table = {.owner = "random"},
        },
    .create = create,
    .free = release,
    .choose = choose,
};
