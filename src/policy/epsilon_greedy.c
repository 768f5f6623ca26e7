/*
 * epsilon_greedy.c: greedy, but with probability epsilon any candidate (Watkins 1989; Auer, Cesa-Bianchi and Fischer
 * 2002 for decaying epsilon).
 *
 * Of K candidates left, m of them tied for the best, with t decisions made before:
 *     P(i) = e_t / K + [i is among the best] (1 - e_t) / m
 *     e_t = max(floor, epsilon)                          decay = none
 *         = max(floor, epsilon / (t + 1)^power)          decay = power
 *         = max(floor, epsilon 2^(-t / half-life))       decay = half-life
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/descriptor.h"

#include <math.h>
#include <string.h>

typedef enum decay_kind { DECAY_NONE, DECAY_POWER, DECAY_HALF_LIFE } decay_kind;

struct policy_state {
    double epsilon, power, half_life, floor;
    decay_kind decay;
};

static const forage_param params[] = {
    {"epsilon", FORAGE_PARAM_REAL, "0.1", 0, 1, NULL, "probability of a choice at random, at the start"},
    {"decay", FORAGE_PARAM_CHOICE, "none", 0, 0, "none|power|half-life",
     "how epsilon falls with the t decisions made before: not at all, as 1/(t+1)^power, or by half every half-life"},
    {"power", FORAGE_PARAM_REAL, "0.5", 0, 10, NULL, "the exponent of decay = power"},
    {"half-life", FORAGE_PARAM_REAL, "10000", 1, 1e15, NULL, "decisions after which epsilon has halved"},
    {"floor", FORAGE_PARAM_REAL, "0", 0, 1, NULL, "epsilon never falls below"},
};

static forage_status create(const forage_params *values, size_t candidates, policy_state **state, forage_error *error)
{
    (void)candidates;
    const char *decay = forage_params_text(values, "decay");
    *state = forage_calloc(1, sizeof **state);
    if (!*state)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the policy");
    **state = (policy_state){
        .epsilon = forage_params_real(values, "epsilon"),
        .power = forage_params_real(values, "power"),
        .half_life = forage_params_real(values, "half-life"),
        .floor = forage_params_real(values, "floor"),
        .decay = strcmp(decay, "power") == 0       ? DECAY_POWER
                 : strcmp(decay, "half-life") == 0 ? DECAY_HALF_LIFE
                                                   : DECAY_NONE,
    };
    return FORAGE_OK;
}

static void release(policy_state *state)
{
    forage_free(state);
}

static double epsilon_at(const policy_state *state, uint64_t step)
{
    double t = (double)step, epsilon = state->epsilon;
    if (state->decay == DECAY_POWER)
        epsilon *= pow(t + 1, -state->power);
    else if (state->decay == DECAY_HALF_LIFE)
        epsilon *= exp2(-t / state->half_life);
    return fmax(epsilon, state->floor);
}

static forage_status choose(policy_state *state, const policy_round *round, forage_rng *rng, uint32_t *chosen,
                            forage_error *error)
{
    double epsilon = epsilon_at(state, round->step), share = epsilon / (double)round->left;
    bool explore = forage_rng_double(rng) < epsilon;
    float best;
    size_t ties;
    (void)error;
    *chosen = policy_pick_best(round->mean, round->count, rng, &best, &ties);
    if (explore)
        *chosen = policy_pick_any(round, rng);
    double extra = (1 - epsilon) / (double)ties;
    if (round->propensity)
        *round->propensity = share + (round->mean[*chosen] == best ? extra : 0);
    if (round->probabilities) {
        for (size_t i = 0; i < round->count; i++)
            round->probabilities[i] = isfinite(round->mean[i]) ? share + (round->mean[i] == best ? extra : 0) : 0;
    }
    return FORAGE_OK;
}

const policy_type policy_epsilon_greedy = {
    .info =
        {
            .name = "epsilon-greedy",
            .version = 1,
            .summary = "the highest estimate, but now and then any candidate",
            .needs = FORAGE_POLICY_USES_MEAN,
            .table = {.owner = "epsilon-greedy", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .create = create,
    .free = release,
    .choose = choose,
};
