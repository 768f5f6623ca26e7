/*
 * linear_ridge.h: the state of linear-ridge, for its own files alone.
 *
 * Every form is one ridge regression of the reward on two parts,
 *
 *   reward = x' theta_arm + z' beta + noise,
 *
 * x [d] the features that each arm weighs for itself, z [k] those that all arms share:
 * disjoint has k = 0, shared has d = 0, hybrid has both. The matrix of the whole is an arrow: a block A_a for
 * each arm, a block for z, and B_a between them. What is kept is its block-wise inverse (Li, Chu, Langford, Schapire
 * 2010, algorithm 2, written with D_a = A_a^-1 B_a and e_a = A_a^-1 b_a):
 *
 *   A_a = ridge I + sum w x x',  B_a = sum w x z',  b_a = sum w r x
 *   A_0 = ridge I + sum w z z' - sum_a B_a' D_a,   b_0 = sum w r z - sum_a B_a' e_a,   beta = A_0^-1 b_0
 *   theta_a = e_a - D_a beta
 *
 * so that, with u = z - D_a' x,
 *
 *   mean = x' e_a + u' beta,   square = x' A_a^-1 x + u' A_0^-1 u,   deviation = noise sqrt(square).
 *
 * One lesson is rank 1 in all of them. With p = A_a^-1 x, g = w / (1 + w x'p), s = r - x' e_a:
 *
 *   A_a^-1 -= g p p',  e_a += g s p,  D_a += g p u',   and (u, s) is a measurement of beta of weight g,
 *
 * which la_factor_measure takes into C, A_0^-1 = C C'. All this is exact, for negative w (taking back) too.
 *
 * Forgetting: instead of letting the old fade, the new counts more and more, by `growth` = discount^-t; then nothing
 * old has to be touched, and the true A^-1 is growth times the one that is kept. Only the ridge would fade, so some
 * coordinates' ridges are filled up to ridge x growth with every lesson: a measurement of 0 of one weight.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_LINEAR_RIDGE_H
#define MODEL_LINEAR_RIDGE_H

#include "la/la.h"
#include "model/descriptor.h"

/* Numbers of the whole, in one array so that they are saved as they lie. */
enum {
    RIDGE_GROWTH,   /* weight of a lesson that comes now */
    RIDGE_EVENTS,   /* sum of weights; with `estimated`: for the variance of the noise. These three are used where
                     * there is a shared part, else each arm has its own */
    RIDGE_SQUARES,  /* sum w r^2 */
    RIDGE_RESIDUAL, /* sum w r^2 - b' A^-1 b */
    RIDGE_AGE,      /* lessons since A_0 was last factorised */
    RIDGE_NEXT,     /* the coordinate whose ridge is filled up next */
    RIDGE_HEAD,     /* window: where the oldest lesson is */
    RIDGE_HELD,     /* and how many there are */
    RIDGE_NUMBERS,
};

/* The same of an arm. */
enum { ARM_EVENTS, ARM_SQUARES, ARM_RESIDUAL, ARM_AGE, ARM_TRACE /* of A_a^-1 */, ARM_NUMBERS };

struct model_learner {
    const model_online_setup *setup;
    const la_kernels *kernels;

    size_t d, k;               /* widths of the arms' part and of the shared part */
    size_t lead;               /* request features at the head of z (form shared) */
    size_t tail;               /* candidate features, the rest of z: k = lead + tail */
    size_t arms, packed;       /* arms with weights of their own: 0 where d is; numbers of a symmetric d x d matrix */
    size_t pitch, width_pitch; /* packed and d, padded for the kernels */
    double ridge, noise, discount, shape, scale;
    bool estimated, pooled;
    size_t window, refresh;
    size_t fill; /* coordinates whose ridge is filled up with each lesson */
    double state[RIDGE_NUMBERS];

    /* Sums over lessons, the truth: [arms][...]. Matrices are packed. */
    double *gram, *target, *cross; /* A_a without the ridge, b_a, B_a [d, k] */
    double *ridges;                /* [arms, d] the diagonal that is added; only with a discount, else NULL */
    double *numbers;               /* [arms, ARM_NUMBERS] */
    /* What follows from them. */
    double *inverse, *weights, *lean; /* A_a^-1, e_a, D_a [d, k] */
    /* In float32, for estimates. The row behind the last arm is that of an arm that nobody knows: zeros. */
    float *forms;    /* [arms + 1, pitch] A_a^-1 with its off-diagonals doubled */
    float *slopes;   /* [arms + 1, width_pitch] e_a */
    float *leans;    /* [arms + 1, d, padded k] D_a; hybrid only */
    double *doubled; /* [packed] 1 on the diagonal, else 2 */

    /* The shared part. */
    double *shared_gram, *shared_target, *shared_ridges; /* sums; the last [k], always there */
    double *factor, *beta;                               /* C, packed by columns; A_0^-1 b_0 */
    float *tail_factor;                                  /* for la_forms: rows and columns of the tail */
    float *tail_beta;                                    /* [tail] */
    bool stale;                                          /* these two are behind */

    /* The window: a ring of lessons. */
    float *held_features; /* [window, request + tail] */
    float *held_rewards;  /* [window] */
    double *held_weights; /* [window]; 0: taken back already */
    uint32_t *held_arms;  /* [window] */

    /* Scratch. */
    double *x, *z, *p, *u, *gain, *product; /* of a lesson: [d], [k], [d], [k], [k], [k] */
    double *triangle, *other_triangle;      /* [packed of the larger of d and k] */
    float *t;                               /* [padded k] D'x */
    float *x_form, *x_padded;               /* of a request: [pitch], [width_pitch] */
    uint32_t *stamps, *slots_of_arms;       /* [arms + 1] */
    uint32_t stamp;
    uint32_t *distinct;             /* [candidates] the different arms of a request */
    uint32_t *slots;                /* [candidates] which of them a candidate has */
    float *arm_means, *arm_squares; /* [candidates] of the different arms */
    float *offsets;                 /* [candidates, padded tail], or one row where there are no arms */
    size_t offset_rows;
};

/* linear_ridge_learn.c */
void model_linear_learn(model_learner *learner, const forage_lesson *lesson);
forage_status model_linear_check_forget(model_learner *learner, const forage_lesson *lesson, forage_error *error);
void model_linear_forget(model_learner *learner, const forage_lesson *lesson);
forage_status model_linear_check_merge(const model_learner *learner, const model_learner *other, forage_error *error);
void model_linear_merge(model_learner *learner, const model_learner *other);
/* From the sums: what follows for an arm; for the shared part (after the arms). */
void model_linear_refresh_arm(model_learner *learner, size_t arm);
void model_linear_refresh_shared(model_learner *learner);
/* The float32 copies of an arm. */
void model_linear_narrow(model_learner *learner, size_t arm);

/* linear_ridge_estimate.c */
void model_linear_estimate(model_learner *learner, const forage_candidates *candidates, float *mean, float *deviation);
void model_linear_draw(model_learner *learner, const forage_candidates *candidates, forage_rng *rng, float *values);

/* The ridge that is added to coordinate i of an arm. */
static inline double model_linear_of(const model_learner *learner, size_t arm, size_t i)
{
    return learner->ridges ? learner->ridges[arm * learner->d + i] : learner->ridge;
}

#endif
