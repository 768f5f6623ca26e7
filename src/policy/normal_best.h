/*
 * normal_best.h: which of several independent normals is the largest, without sampling.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef POLICY_NORMAL_BEST_H
#define POLICY_NORMAL_BEST_H

#include "forage/base.h"

/* Tables and scratch memory for at most `capacity` normals. Belongs to one thread at a time. */
typedef struct policy_normals {
    size_t capacity;
    double *table;  /* the distribution function and the density, on a grid */
    double *center; /* [capacity] those that can be the largest */
    double *width;  /* [capacity] their standard deviations, above 0 */
    double *mass;   /* [capacity] their probabilities */
    uint32_t *who;  /* [capacity] */
    size_t count;
    size_t fixed;               /* those of deviation 0 that share the place of the largest such value */
    double fixed_at, low, high; /* counted from `origin` */
    double origin;
} policy_normals;

forage_status policy_normals_init(policy_normals *normals, size_t capacity, forage_error *error);
void policy_normals_release(policy_normals *normals);

/* The probability that X_i ~ N(mean_i, (scale deviation_i)^2), independent, is the largest, for every i:
 * probabilities[count], which sum to 1 up to rounding. A mean of -INFINITY: not in the game. At most `capacity`, at
 * least one in the game. Errors are below 1e-9. */
void policy_normals_best(policy_normals *normals, const float *mean, const float *deviation, double scale, size_t count,
                         double *probabilities);
/* The same for one of them: several times faster. */
double policy_normals_best_one(policy_normals *normals, const float *mean, const float *deviation, double scale,
                               size_t count, uint32_t index);

#endif
