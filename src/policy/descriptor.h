/*
 * descriptor.h: what a policy is to the rest of the room. One policy is one file
 * with one constant `policy_type`, listed in policies.c; nothing else in the library
 * knows its name.
 *
 * The front (policy.c) does what is the same for all: it checks the estimates, goes through a slate
 * position by position, and takes back the random numbers of a call that failed. A policy sees one
 * position at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef POLICY_DESCRIPTOR_H
#define POLICY_DESCRIPTOR_H

#include "forage/policy.h"

/* What a policy's parameters come to, and its scratch memory. Each policy's file defines this struct for itself. */
typedef struct policy_state policy_state;

/* One position that is to be filled. */
typedef struct policy_round {
    const forage_estimates *estimates; /* for its draws */
    size_t count;                      /* candidates, with those that are in the slate already */
    size_t left;                       /* candidates without those; at least 1 */
    const float *mean;                 /* [count], -INFINITY for what is in the slate; NULL without USES_MEAN */
    const float *deviation;            /* [count], at least 0; NULL when there are none */
    const uint32_t *taken;             /* [count - left] what is in the slate, rising */
    size_t position;
    uint64_t step;
    double *propensity;    /* where the chosen candidate's probability goes; NULL: not wanted */
    double *probabilities; /* [count] everyone's, 0 for what is in the slate; NULL: not wanted */
} policy_round;

typedef struct policy_type {
    forage_policy_info info;
    /* For rounds of at most `candidates`. */
    forage_status (*create)(const forage_params *params, size_t candidates, policy_state **state, forage_error *error);
    void (*free)(policy_state *state); /* NULL is fine */
    /* Chooses, and gives the probabilities that are wanted: as many random numbers are drawn from `rng` whether they
     * are or not. The front has checked that what `info.needs` says is there and finite. May fail only where a
     * model's draw is not finite. */
    forage_status (*choose)(policy_state *state, const policy_round *round, forage_rng *rng, uint32_t *chosen,
                            forage_error *error);
} policy_type;

/* The policies that there are (policies.c lists them in alphabetical order). */
extern const policy_type policy_epsilon_greedy;
extern const policy_type policy_explore_first;
extern const policy_type policy_greedy;
extern const policy_type policy_random;
extern const policy_type policy_softmax;
extern const policy_type policy_squarecb;
extern const policy_type policy_thompson;
extern const policy_type policy_ucb;

const policy_type *policy_type_of(const forage_policy_info *info);

/* ---- what policies share (pick.c) ---- */

/* The index of a largest of `count` values, each of them equally likely; *best and *ties say how large and how many.
 * Values that are NaN are never the largest; there must be another. Draws from `rng` only when there are ties. Reads
 * the values twice, at the speed of memory. */
uint32_t policy_pick_best(const float *values, size_t count, forage_rng *rng, float *best, size_t *ties);
/* The same for doubles. */
uint32_t policy_pick_best_real(const double *values, size_t count, forage_rng *rng, size_t *ties);
/* An index with a probability in proportion to its weight (finite, at least 0, `total` their sum, above 0). */
uint32_t policy_pick_weighted(const double *weights, size_t count, double total, forage_rng *rng);
/* Any of what is left, each equally likely. */
uint32_t policy_pick_any(const policy_round *round, forage_rng *rng);
/* A round of random, and one of greedy by `score`, with all that is wanted of probabilities. */
uint32_t policy_choose_any(const policy_round *round, forage_rng *rng);
uint32_t policy_choose_best(const policy_round *round, const float *score, forage_rng *rng);

#endif
