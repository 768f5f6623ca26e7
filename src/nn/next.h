/*
 * next.h: losses over the catalogue for models that say which item comes next.
 *
 * Position p has an output h_p, of which the next item is t_p (its target). Item j has the vector e_j, a row of the
 * table; its score is z_pj = <h_p, e_j>, without a bias. With count positions, N_p the list of negatives of p without
 * those that are t_p itself (items that come twice count twice), k negatives of each position, softplus(z) = log(1 +
 * exp(z)) and sigma the logistic function, the loss is the mean over positions of
 *
 *   softmax   log sum_j exp(z_pj) - z_pt, over all items: cross-entropy over the catalogue
 *   sampled   log (exp(c_pt) + sum_{j in N_p} exp(c_pj)) - c_pt, with c_pj = z_pj - log q_j: sampled softmax with
 *             the logQ correction (Jean et al. 2015, "On using very large target vocabulary for neural machine
 *             translation"; TensorFlow's sampled_softmax_loss). q_j is in proportion to how often j is drawn. With
 *             `target_as_is` c_pt = z_pt: then, if q_j is k times the probability of j in a draw among the items other
 *             than the target, the sum's expectation is that of `softmax`
 *   bce       (softplus(-z_pt) + sum_{j in N_p} softplus(z_pj)) / (k + 1): binary cross-entropy with sampled negatives
 *             (Kang and McAuley 2018, "Self-attentive sequential recommendation", where k = 1 and nothing is divided)
 *   gbce      (beta softplus(-z_pt) + sum_{j in N_p} softplus(z_pj)) / (k + 1), where -beta softplus(-z) = log
 *             (sigma(z)^beta), with beta = alpha (t (1 - 1 / alpha) + 1 / alpha) and alpha = k / (items - 1), at most
 *             1 (Petrov and Macdonald 2023, "gSASRec: reducing overconfidence in sequential recommendation trained
 *             with negative sampling"): t = 0 is bce, t = 1 gives beta = alpha, whose sigma(z) are probabilities
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_NEXT_H
#define NN_NEXT_H

#include "forage/base.h"

typedef enum nn_next_kind { NN_NEXT_SOFTMAX, NN_NEXT_SAMPLED, NN_NEXT_BCE, NN_NEXT_GBCE } nn_next_kind;

typedef struct nn_next_spec {
    nn_next_kind kind;
    size_t positions;  /* of a step at most, at least 1 */
    size_t items;      /* at least 1; fewer than 2^32 - 1 */
    size_t width;      /* of a vector; rows lie nn_padded(width) apart, 0 between */
    size_t negatives;  /* of a step (or of each position, if `own`) at most; not for softmax */
    bool own;          /* each position has negatives of its own; for bce and gbce */
    bool target_as_is; /* the target's score is not corrected; for sampled */
    double t;          /* of gbce, 0 to 1 */
    forage_isa isa;
    int threads;
} nn_next_spec;

/* The negatives of a step. */
typedef struct nn_next_negatives {
    size_t count;          /* k, at least 1 */
    const uint32_t *items; /* [count] for all positions, or [positions, count] where each has its own */
    const float *log_q;    /* [items] the natural logarithm of q_j, for sampled; NULL: 0 for all (uniform) */
} nn_next_negatives;

/* Scratch for steps of one shape. Used by one thread at a time, which runs it on `threads`. */
typedef struct nn_next nn_next;

forage_status nn_next_create(const nn_next_spec *spec, nn_next **next, forage_error *error);
/* NULL is fine. */
void nn_next_free(nn_next *next);
/* Bytes that it takes. */
double nn_next_memory(const nn_next_spec *spec);

/* The mean loss of `count` positions (1 to spec->positions) and its gradients, with stride = nn_padded(width):
 *
 *   h [count, stride], targets [count], table [items, stride]: borrowed; items' numbers are below `items`
 *   negatives: NULL for softmax
 *   d_h [count, stride] becomes the gradient in h
 *   d_table [items, stride] += the gradient in the table; but for softmax only rows that nn_next_touched then lists
 *
 * Where a number that matters is not finite neither is the loss, and the gradients are worth nothing; it need not be
 * finite where the square of a vector's length is no finite float. Allocates nothing. The same bytes for any number of
 * threads. */
double nn_next_run(nn_next *next, size_t count, const float *h, const uint32_t *targets,
                   const nn_next_negatives *negatives, const float *table, float *d_h, float *d_table);

/* The same in parts, where positions have negatives of their own (spec->own): `begin` with what nn_next_run takes;
 * `positions` for each of them once, when their h is there, by any threads at once, which makes their d_h; then `end`,
 * which makes d_table and returns the loss. */
void nn_next_begin(nn_next *next, size_t count, const float *h, const uint32_t *targets,
                   const nn_next_negatives *negatives, const float *table, float *d_h, float *d_table);
void nn_next_positions(nn_next *next, size_t first, size_t count);
double nn_next_end(nn_next *next);

/* Which rows of d_table the last nn_next_run added to, each once, in an order that depends on its input alone:
 * targets and negatives. Valid until the next run. Softmax: NULL and `count` = items, for it adds to all of them. */
const uint32_t *nn_next_touched(const nn_next *next, size_t *count);

/* The mean of the loss `softmax` over `count` positions, any number above 0, whatever the kind; no gradients. For
 * validation. The same bytes for any number of threads. */
double nn_next_evaluate(nn_next *next, size_t count, const float *h, const uint32_t *targets, const float *table);

#endif
