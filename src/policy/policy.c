/*
 * The front of the policies: checks, and slates position by position.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/descriptor.h"

#include <math.h>
#include <string.h>

struct forage_policy {
    const policy_type *type;
    policy_state *state;
    size_t candidates, positions;
    float *mean;     /* [candidates] a copy in which what is in the slate has -INFINITY; NULL when positions is 1 */
    uint32_t *taken; /* [positions] the slate so far, rising */
};

forage_status forage_policy_create(const forage_policy_info *info, const forage_params *params, size_t candidates,
                                   size_t positions, forage_policy **policy, forage_error *error)
{
    const policy_type *type = policy_type_of(info);
    forage_params *defaults = NULL;
    forage_status status = FORAGE_OK;
    *policy = NULL;
    if (!type)
        return forage_fail(error, FORAGE_INVALID, "this is not a policy of the library");
    if (params && forage_params_table(params) != &info->table)
        return forage_fail(error, FORAGE_INVALID, "the parameters are those of %s, not of %s",
                           forage_params_table(params)->owner, info->name);
    if (!candidates || candidates >= FORAGE_NONE || !positions || positions > candidates)
        return forage_fail(error, FORAGE_INVALID, "a slate of %zu out of %zu candidates is not possible", positions,
                           candidates);
    forage_policy *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the policy");
    *made = (forage_policy){.type = type, .candidates = candidates, .positions = positions};
    made->taken = forage_alloc(positions, sizeof *made->taken);
    if (positions > 1 && info->needs & FORAGE_POLICY_USES_MEAN)
        made->mean = forage_alloc(candidates, sizeof *made->mean);
    if (!made->taken || (positions > 1 && info->needs & FORAGE_POLICY_USES_MEAN && !made->mean)) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu candidates", candidates);
        goto done;
    }
    if (!params) {
        FORAGE_TRY_GOTO(forage_params_create(&info->table, &defaults, error), done);
        params = defaults;
    }
    status = type->create(params, candidates, &made->state, error);
done:
    forage_params_free(defaults);
    if (status != FORAGE_OK)
        forage_policy_free(made);
    else
        *policy = made;
    return status;
}

void forage_policy_free(forage_policy *policy)
{
    if (!policy)
        return;
    policy->type->free(policy->state);
    forage_free(policy->mean);
    forage_free(policy->taken);
    forage_free(policy);
}

const forage_policy_info *forage_policy_info_of(const forage_policy *policy)
{
    return &policy->type->info;
}

/* True when every value is finite and, where `positive`, none is below 0. Vector instructions see to that; who is to
 * blame is looked for only when somebody is. */
static bool all_good(const float *values, size_t count, bool positive)
{
    float least = positive ? 0 : -INFINITY;
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++)
        bad |= (uint32_t) !(values[i] - values[i] == 0) | (uint32_t)(values[i] < least);
    return !bad;
}

static forage_status check_values(const float *values, size_t count, bool positive, const char *what,
                                  forage_error *error)
{
    size_t i = 0;
    if (all_good(values, count, positive))
        return FORAGE_OK;
    while (isfinite(values[i]) && !(positive && values[i] < 0))
        i++;
    return forage_fail(error, FORAGE_INVALID, "the %s of candidate %zu is %g: %s", what, i, (double)values[i],
                       isfinite(values[i]) ? "it must be at least 0" : "it must be finite");
}

static forage_status check_groups(const forage_policy *policy, const forage_estimates *estimates, forage_error *error)
{
    size_t i = 0;
    if (estimates->group_count > policy->candidates)
        return forage_fail(error, FORAGE_INVALID, "%zu groups, but the policy was made for at most %zu candidates",
                           estimates->group_count, policy->candidates);
    while (i < estimates->count && estimates->groups[i] < estimates->group_count)
        i++;
    if (i < estimates->count)
        return forage_fail(error, FORAGE_INVALID, "the group of candidate %zu is %u, but there are %zu groups", i,
                           estimates->groups[i], estimates->group_count);
    return FORAGE_OK;
}

static forage_status check(const forage_policy *policy, const forage_estimates *estimates, size_t positions,
                           forage_error *error)
{
    const forage_policy_info *info = &policy->type->info;
    if (!estimates->count)
        return forage_fail(error, FORAGE_INVALID, "there are no candidates to choose from");
    if (estimates->count > policy->candidates)
        return forage_fail(error, FORAGE_INVALID, "%zu candidates, but the policy was made for at most %zu",
                           estimates->count, policy->candidates);
    if (!positions || positions > policy->positions)
        return forage_fail(error, FORAGE_INVALID, "a slate of %zu, but the policy was made for 1 to %zu", positions,
                           policy->positions);
    if (positions > estimates->count)
        return forage_fail(error, FORAGE_INVALID, "a slate of %zu needs more than the %zu candidates there are",
                           positions, estimates->count);
    if (!(info->needs & FORAGE_POLICY_USES_MEAN))
        return FORAGE_OK;
    if (!estimates->mean)
        return forage_fail(error, FORAGE_INVALID, "%s needs estimates of the candidates' rewards", info->name);
    FORAGE_TRY(check_values(estimates->mean, estimates->count, false, "mean", error));
    bool normals = info->needs & FORAGE_POLICY_USES_DRAWS && !estimates->draw;
    if (normals && estimates->groups)
        FORAGE_TRY(check_groups(policy, estimates, error));
    if (!normals && !(info->needs & FORAGE_POLICY_USES_DEVIATION))
        return FORAGE_OK;
    if (!estimates->deviation)
        return forage_fail(error, FORAGE_INVALID, "%s needs the standard errors of the estimates%s", info->name,
                           normals ? ", or draws from the posterior" : "");
    return check_values(estimates->deviation, estimates->count, true, "standard error", error);
}

/* Puts `index` into the rising list of what is in the slate. */
static void take(forage_policy *policy, size_t position, uint32_t index)
{
    size_t at = position;
    for (; at > 0 && policy->taken[at - 1] > index; at--)
        policy->taken[at] = policy->taken[at - 1];
    policy->taken[at] = index;
    if (policy->mean)
        policy->mean[index] = -INFINITY;
}

forage_status forage_policy_choose(forage_policy *policy, const forage_estimates *estimates, size_t positions,
                                   uint64_t step, forage_rng *rng, uint32_t *chosen, double *propensity,
                                   double *probabilities, forage_error *error)
{
    FORAGE_TRY(check(policy, estimates, positions, error));
    size_t count = estimates->count;
    bool copied = positions > 1 && policy->mean;
    forage_rng before = *rng;
    if (copied)
        memcpy(policy->mean, estimates->mean, count * sizeof *policy->mean);
    for (size_t p = 0; p < positions; p++) {
        policy_round round = {
            .estimates = estimates,
            .count = count,
            .left = count - p,
            .mean = copied ? policy->mean : estimates->mean,
            .deviation = estimates->deviation,
            .taken = policy->taken,
            .position = p,
            .step = step,
            .propensity = propensity ? &propensity[p] : NULL,
            .probabilities = probabilities ? &probabilities[p * count] : NULL,
        };
        forage_status status = policy->type->choose(policy->state, &round, rng, &chosen[p], error);
        if (status != FORAGE_OK) {
            *rng = before;
            return status;
        }
        take(policy, p, chosen[p]);
    }
    return FORAGE_OK;
}
