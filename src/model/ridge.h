/*
 * ridge.h: Bayesian linear regression, kept exact event by event.
 *
 *   r = x' beta + noise,  noise ~ N(0, sigma^2 / w)
 *   beta | sigma^2 ~ N(0, sigma^2 / ridge I),  sigma^2 ~ InvGamma(a0, b0)
 *
 *   P = (ridge I + sum w x x')^-1,  m = P sum w r x
 *   a = a0 + (sum w) / 2,  b = b0 + (sum w r^2 - m' sum w r x) / 2
 *   beta | sigma^2 ~ N(m, sigma^2 P),  sigma^2 ~ InvGamma(a, b)
 *
 * (the normal-inverse-gamma posterior: Bishop 2006, section 3.3; Riquelme, Tucker and Snoek 2018, section 4). P
 * follows an event by Sherman and Morrison's rank-1 update in O(width^2); from a batch it is computed by a
 * Cholesky factorisation.
 *
 * A state is one block of model_ridge_size(width) doubles: P [width][width], sum w r x [width], m [width], sum w r^2,
 * sum w. It has no pointers, so it may be copied, saved and swapped as it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_RIDGE_H
#define MODEL_RIDGE_H

#include "forage/base.h"

/* Doubles of a state. */
static inline size_t model_ridge_size(size_t width)
{
    return width * (width + 2) + 2;
}

/* Nothing learned: the prior. */
void model_ridge_clear(double *state, size_t width, double ridge);
/* Learns reward r of features x [width] with weight w > 0; `scratch` has room for `width` doubles. */
void model_ridge_learn(double *state, size_t width, const float *x, double reward, double weight, double *scratch);

/* From a batch: begin, add every event, settle. In between P holds the sums alone. */
void model_ridge_begin(double *state, size_t width);
void model_ridge_add(double *state, size_t width, const float *x, double reward, double weight);
/* In between: features [first, width) were all to be multiplied by `scale`. */
void model_ridge_rescale(double *state, size_t width, size_t first, double scale);
/* In between: the weights m that would come out if those features were multiplied by `scale` (and m with it, so that it
 * is for features as they were added). `scratch` has room for width^2 doubles. */
void model_ridge_try(const double *state, size_t width, double ridge, size_t first, double scale, double *m,
                     double *scratch);
/* `scratch` has room for width^2 doubles. */
void model_ridge_settle(double *state, size_t width, double ridge, double *scratch);

/* x' m */
double model_ridge_mean(const double *state, size_t width, const float *x);
/* x' P x; `scratch` has room for `width` doubles. */
double model_ridge_square(const double *state, size_t width, const float *x, double *scratch);
/* a and b of sigma^2's posterior. */
void model_ridge_noise(const double *state, size_t width, double a0, double b0, double *a, double *b);
/* The variance of a weight is this times P's entry: the posterior mean of sigma^2, b / (a - 1), or b / a where the mean
 * does not exist. */
double model_ridge_variance(double a, double b);
/* One draw of sigma^2 ~ InvGamma(a, b). */
double model_ridge_draw_variance(double a, double b, forage_rng *rng);
/* L [width][width], lower triangle: P = L L'. */
void model_ridge_root(const double *state, size_t width, double *root);
/* One draw of beta [width] for a drawn sigma; `scratch` has room for `width` doubles. */
void model_ridge_draw(const double *state, size_t width, const double *root, double sigma, forage_rng *rng,
                      double *beta, double *scratch);

#endif
