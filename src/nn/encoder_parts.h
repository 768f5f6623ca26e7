/*
 * encoder_parts.h: what the files of the encoder share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_ENCODER_PARTS_H
#define NN_ENCODER_PARTS_H

#include "nn/encoder.h"

enum {
    NN_ENCODER_ROWS = 64,      /* tokens that go through a layer together in training, in cache */
    NN_ENCODER_ROW_KINDS = 4,  /* 64, 48, 32 and 16 of them */
    NN_ENCODER_SCORE_ROWS = 48 /* and in scoring: whole tiles of our own product */
};

#define NN_ENCODER_LEAK 0.01F /* what NN_LEAKY_RELU passes below 0 */

/* Products with one of a block's four matrices, W [out][in]. */
typedef struct nn_encoder_product {
    la_gemm forward[NN_ENCODER_ROW_KINDS]; /* y = x W' */
    la_gemm back[NN_ENCODER_ROW_KINDS];    /* dx = dy W */
    la_gemm weight[NN_ENCODER_ROW_KINDS];  /* dW += dy' x */
    la_gemm score;                         /* y = x W', steady, any number of rows in shape.m */
} nn_encoder_product;

typedef struct nn_encoder_products {
    nn_encoder_product in, out, up, down; /* W_in, W_o, W_1, W_2 */
} nn_encoder_products;

/* y = x W' for `rows` rows, each the same whatever the others are. */
static inline void nn_encoder_score(const nn_encoder_product *product, size_t rows, const float *x, const float *w_t,
                                    float *y)
{
    la_gemm gemm = product->score;
    gemm.shape.m = rows;
    la_gemm_run(&gemm, x, w_t, y);
}

/* A product of our own of any shape. */
static inline void nn_encoder_multiply(forage_isa isa, const la_shape *shape, const float *a, const float *b, float *c)
{
    la_gemm gemm;
    la_gemm_init(&gemm, la_engine_steady(isa), shape);
    la_gemm_run(&gemm, a, b, c);
}

/* act(y + bias); `slope` for GELU's derivative, NULL where it is not wanted. */
void nn_encoder_activate(const nn_encoder *encoder, size_t rows, const float *bias, float *slope, float *y);

#endif
