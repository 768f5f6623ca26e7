/*
 * heads.h: Gaussian posteriors of weight vectors, updated lesson by lesson: what logistic and bootstrap are made of.
 *
 * Head h has theta ~ N(m, P), P = C C' with C upper triangular, packed by columns (la.h). A lesson is
 * rank 1. With g = P x and s = x'P x:
 *
 *   linear: reward = x'theta + noise of variance 1 / w:    m += g (r - x'm) / (1 / w + s)
 *   logistic: the reward is a click with probability sigma(x'theta); the posterior's mode is on the line m + t g,
 *           where t = w (r - sigma(x'm + s t)), an equation in one unknown; m moves there, and the
 *           information at that place, w p (1 - p), is what P takes in: Laplace's approximation, lesson by
 *           lesson (Spiegelhalter and Lauritzen 1990, "Sequential updating of conditional probabilities"; the
 *           iterated extended Kalman filter)
 *
 * Forgetting: with every lesson of a head, what it learned before counts `discount` times as much, the prior
 * N(m0, I / ridge) does not. P is kept as if later lessons weighed more and more, by `growth`; and with each lesson the
 * ridges of some coordinates, in turns, are filled up to what the prior should weigh.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_HEADS_H
#define MODEL_HEADS_H

#include "la/la.h"
#include "model/descriptor.h"

enum { HEAD_GROWTH, HEAD_NEXT /* coordinate whose ridge is filled up next */, HEAD_NUMBERS };

typedef struct model_heads {
    const la_kernels *kernels;
    size_t count, width, packed;
    double ridge, discount;
    size_t fill;     /* coordinates whose ridge is filled up with each lesson */
    double *mean;    /* [count, width] */
    double *factor;  /* [count, packed] */
    double *ridges;  /* [count, width] what of the prior is in P; only with a discount, else NULL */
    double *numbers; /* [count, HEAD_NUMBERS] */
    double *gain, *product, *unit, *normals; /* [width] scratch */
} model_heads;

/* Start from {0}; no heads yet. */
forage_status model_heads_create(model_heads *heads, const la_kernels *kernels, size_t width, double ridge,
                                 double discount, forage_error *error);
void model_heads_release(model_heads *heads);
/* Heads up to `count`, the new ones with the prior around 0. On failure all is as it was. */
forage_status model_heads_grow(model_heads *heads, size_t count, forage_error *error);
size_t model_heads_memory(const model_heads *heads);
/* Bytes that a head's tensors have in a file. */
double model_heads_bytes(double width);

static inline double *model_heads_mean(const model_heads *heads, size_t head)
{
    return heads->mean + head * heads->width;
}

void model_heads_learn_linear(model_heads *heads, size_t head, const double *x, double reward, double weight);
void model_heads_learn_logistic(model_heads *heads, size_t head, const double *x, double reward, double weight);

/* x'm, and x'P x (may be NULL). */
double model_heads_predict(model_heads *heads, size_t head, const double *x, double *square);
/* The prior's x'P x. */
double model_heads_prior_square(const model_heads *heads, const double *x);
/* theta [width] drawn from N(m, P). */
void model_heads_draw(model_heads *heads, size_t head, forage_rng *rng, double *theta);

/* 1 / (1 + exp(-a)) */
double model_sigma(double a);

/* Tensors "mean", "factor", "numbers" and, with a discount, "ridges". */
forage_status model_heads_save(const model_heads *heads, nn_checkpoint *checkpoint, forage_error *error);
forage_status model_heads_load(model_heads *heads, const nn_checkpoint *checkpoint, forage_error *error);

#endif
