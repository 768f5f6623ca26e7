/*
 * policy.h: policies turn estimates into a choice with known probabilities. One
 * policy is one file in src/policy/ and one constant descriptor; this header is
 * how everyone else meets them. docs/policies.md has the formulas and sources.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_POLICY_H
#define FORAGE_POLICY_H

#include "forage/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a policy makes use of. */
typedef enum forage_policy_needs {
    FORAGE_POLICY_USES_MEAN = 1 << 0,      /* all but random */
    FORAGE_POLICY_USES_DEVIATION = 1 << 1, /* a standard error of each estimate */
    FORAGE_POLICY_USES_DRAWS = 1 << 2,     /* draws from the posterior, or else means and deviations */
    FORAGE_POLICY_IS_ESTIMATED = 1 << 3,   /* propensities may be Monte Carlo estimates */
} forage_policy_needs;

typedef struct forage_policy_info {
    const char *name; /* "epsilon-greedy" */
    unsigned version;
    const char *summary;
    unsigned needs; /* of forage_policy_needs */
    forage_param_table table;
} forage_policy_info;

/* All policies, in alphabetical order; *count of them. Never NULL. */
FORAGE_API const forage_policy_info *const *forage_policies(size_t *count);
/* The policy of that name; fails with a message that lists what is possible. */
FORAGE_API forage_status forage_policy_find(const char *name, const forage_policy_info **info, forage_error *error);

/* What a policy chooses from: what a model thinks of each candidate. Everything is borrowed. */
typedef struct forage_estimates {
    size_t count;
    const float *mean;      /* [count]; NULL: nobody estimates anything (random) */
    const float *deviation; /* [count] standard errors; NULL: the model has none */
    /* One draw of all candidates' values from the posterior; NULL: they are independent normals with these means
     * and deviations (then Thompson sampling's propensities are known without sampling). */
    void (*draw)(void *context, forage_rng *rng, float *values);
    void *context;
    /* Where `draw` is NULL: candidates of one group are the same thing to the model (the products of a category): they
     * have the same mean and deviation, and one draw between them. groups[count] below group_count, which is at most
     * what the policy was made for; NULL: each candidate draws for itself. */
    const uint32_t *groups;
    size_t group_count;
} forage_estimates;

/* A policy with its parameters and its scratch memory. Belongs to one thread at a time. Choosing changes
 * nothing that a later choice depends on: how far exploration has decayed follows from `step`. */
typedef struct forage_policy forage_policy;

/* `params` NULL means all defaults. For at most `candidates` candidates and slates of at most `positions`. */
FORAGE_API forage_status forage_policy_create(const forage_policy_info *info, const forage_params *params,
                                              size_t candidates, size_t positions, forage_policy **policy,
                                              forage_error *error);
/* NULL is fine. */
FORAGE_API void forage_policy_free(forage_policy *policy);
FORAGE_API const forage_policy_info *forage_policy_info_of(const forage_policy *policy);

/* Chooses a slate of `positions` candidates, one position after the other, each among those that are not in the slate
 * yet. `step` counts the decisions made before, from 0.
 * chosen[positions]: indices of candidates, best place first.
 * propensity[positions], NULL if not wanted: the probability with which each was chosen for its place, given the places
 * before it; NaN where it is known in no closed form and estimating it was not asked for (thompson's `samples`).
 * probabilities[positions x count], NULL if not wanted: the same for every candidate; each row sums to 1, what is in
 * the slate already has 0.
 * Exact ties are broken uniformly at random. Where probabilities are estimated, no candidate that was chosen has 0.
 * Nothing is allocated. FORAGE_INVALID, and *rng as it was, when there are fewer candidates than positions or none,
 * more than were prepared for, an estimate is not finite, or the policy needs what is not there; the message says which
 * candidate. */
FORAGE_API forage_status forage_policy_choose(forage_policy *policy, const forage_estimates *estimates,
                                              size_t positions, uint64_t step, forage_rng *rng, uint32_t *chosen,
                                              double *propensity, double *probabilities, forage_error *error);

#ifdef __cplusplus
}
#endif

#endif
