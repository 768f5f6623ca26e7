/*
 * inbatch.h: softmax losses whose negatives are the other items of the batch.
 *
 * Pair b is user u_b and the item i_b that it chose; s_bj is the cosine of u_b and i_j. With temperature t:
 *
 *   softmax    loss_b = -s_bb / t + log sum_j exp(s_bj / t)
 *              (sampled softmax: Wu et al. 2024, "On the effectiveness of sampled softmax loss for item
 *              recommendation", equation 4)
 *   bilateral  loss_b = -s_bb / t + e log sum_{j != b} exp(s_bj / t)
 *              (BSL: Wu et al. 2024, "BSL: understanding and improving softmax loss for recommendation", with the
 *              exponent e = t1 / t2 of its code, and like there without the positive in the sum; a pair that is
 *              alone has no sum)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_INBATCH_H
#define NN_INBATCH_H

#include "forage/base.h"

typedef struct nn_inbatch_spec {
    size_t batch; /* pairs at most */
    size_t width; /* of a vector, a multiple of NN_LANES */
    float temperature;
    float exponent;     /* of the sum over negatives */
    bool with_positive; /* the sum holds the positive, too */
    forage_isa isa;
    int threads;
} nn_inbatch_spec;

typedef struct nn_inbatch nn_inbatch;

/* 4 x batch x width floats for each of at most 16 chunks, and 64 x batch for each thread. */
forage_status nn_inbatch_create(const nn_inbatch_spec *spec, nn_inbatch **loss, forage_error *error);
void nn_inbatch_free(nn_inbatch *loss);
/* Bytes that it takes. */
double nn_inbatch_memory(const nn_inbatch_spec *spec);

/* The mean loss of `count` (at least 1) pairs of rows, [count, width] each, and its gradients in the same
 * places of d_users and d_items. A vector of length 0 has cosine 0 with everything and no gradient. Where the square
 * of a length is no finite number neither is the loss. The same bytes for any number of threads. */
double nn_inbatch_run(nn_inbatch *loss, size_t count, const float *users, const float *items, float *d_users,
                      float *d_items);

#endif
