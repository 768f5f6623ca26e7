/*
 * ridge.h: Bayesian linear regression, kept exact event by event.
 *
 *   r = x' beta + noise,  noise ~ N(0, sigma^2 / w)
 *   beta | sigma^2 ~ N(0, sigma^2 / prior I),  sigma^2 ~ InvGamma(a0, b0)
 *
 *   P = (prior I + sum w x x')^-1,  m = P sum w r x
 *   a = a0 + (sum w) / 2,  b = b0 + (sum w r^2 - m' sum w r x) / 2
 *   beta | sigma^2 ~ N(m, sigma^2 P),  sigma^2 ~ InvGamma(a, b)
 *
 * (the normal-inverse-gamma posterior: Bishop 2006, section 3.3; Riquelme, Tucker and Snoek 2018, section 4). P
 * follows an event by Sherman and Morrison's rank-1 update in O(width^2); from a batch it is computed by a
 * Cholesky factorisation. linear_ridge.c has more forms of the same, which fade and forget; here whole regressions
 * are made from a batch again and again.
 *
 * A state is one block of model_ridge_size(width) doubles: P (packed as in la.h), sum w r x [width], m [width],
 * sum w r^2, sum w. It has no pointers, so it may be copied, saved and swapped as it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_RIDGE_H
#define MODEL_RIDGE_H

#include "forage/base.h"
#include "la/la.h"

/* What regressions have in common. */
typedef struct model_ridge {
    const la_kernels *kernels;
    size_t width;
    double prior;
} model_ridge;

/* Doubles of a state. */
static inline size_t model_ridge_size(size_t width)
{
    return la_packed(width) + 2 * width + 2;
}

/* Nothing learned: the prior. */
void model_ridge_clear(const model_ridge *ridge, double *state);
/* Learns a reward of features x [width] with a weight above 0; `scratch` has room for 2 x width doubles. */
void model_ridge_learn(const model_ridge *ridge, double *state, const float *x, double reward, double weight,
                       double *scratch);

/* From a batch: begin, add every event, settle. In between P holds the sums alone. `scratch` has room for width
 * doubles, `packed` for a packed matrix. */
void model_ridge_begin(const model_ridge *ridge, double *state);
void model_ridge_add(const model_ridge *ridge, double *state, const float *x, double reward, double weight,
                     double *scratch);
/* In between: features [first, width) were all to be multiplied by `scale`. */
void model_ridge_rescale(const model_ridge *ridge, double *state, size_t first, double scale);
/* In between: the weights m that would come out if those features were multiplied by `scale`, for features as they were
 * added. */
void model_ridge_try(const model_ridge *ridge, const double *state, size_t first, double scale, double *m,
                     double *packed);
void model_ridge_settle(const model_ridge *ridge, double *state, double *packed);

/* x' m */
double model_ridge_mean(const model_ridge *ridge, const double *state, const float *x);
/* x' P x; `scratch` has room for 2 x width doubles. */
double model_ridge_square(const model_ridge *ridge, const double *state, const float *x, double *scratch);
/* a and b of sigma^2's posterior. */
void model_ridge_noise(const model_ridge *ridge, const double *state, double a0, double b0, double *a, double *b);
/* The variance of a weight is this times P's entry: the posterior mean of sigma^2, b / (a - 1), or b / a where the mean
 * does not exist. */
double model_ridge_variance(double a, double b);
/* One draw of sigma^2 ~ InvGamma(a, b). */
double model_ridge_draw_variance(double a, double b, forage_rng *rng);
/* The packed upper triangular R with P = R'R. */
void model_ridge_root(const model_ridge *ridge, const double *state, double *root);
/* One draw of beta [width] for a drawn sigma. */
void model_ridge_draw(const model_ridge *ridge, const double *state, const double *root, double sigma, forage_rng *rng,
                      double *beta);

#endif
