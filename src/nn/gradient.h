/*
 * gradient.h: the gradient of one row's output with respect to every weight (of z, before any sigmoid or loss).
 *
 *   delta_L = w_head [h_L > 0],  delta_l = W_(l+1)' delta_(l+1) [h_l > 0],  dx = W_1' delta_1
 *   dz/dw_head = h_L,  dz/db_head = 1,  dz/dW_l = delta_l h_(l-1)',  dz/db_l = delta_l,
 *   dz/d(table's row) = its columns of dx
 *
 * It is never stored as a whole unless asked for: its parts are outer products, so a sum of its squares over weights
 * takes no longer than the way forward.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_GRADIENT_H
#define NN_GRADIENT_H

#include "nn/mlp.h"

/* One row on its way. Belongs to one thread at a time. */
typedef struct nn_row {
    float *x;                       /* [input_stride] */
    float *hidden[NN_LAYER_LIMIT];  /* [out_stride] */
    float *delta[NN_LAYER_LIMIT];   /* [out_stride] */
    float *covered[NN_LAYER_LIMIT]; /* [out_stride] */
    float *dx;                      /* [input_stride] */
    float *squares;                 /* [widest] */
    uint32_t codes[8];              /* of the tables, the average row for unknown ones */
    float *memory;
} nn_row;

/* For networks of this one's layers, whatever rows and heads they have. At most 8 tables; without a leak. */
forage_status nn_row_create(const nn_mlp *mlp, nn_row *row, forage_error *error);
void nn_row_release(nn_row *row);

/* Takes row `index` of the inputs (counted as in a batch) through the hidden layers. */
void nn_row_forward(const nn_mlp *mlp, const nn_inputs *inputs, size_t index, nn_row *row);
/* The output z of `head`, of a row that went forward. */
float nn_row_output(const nn_mlp *mlp, const nn_row *row, size_t head);
/* Its gradient's deltas. */
void nn_row_backward(const nn_mlp *mlp, nn_row *row, size_t head);

/* gradient[value_count], laid out as mlp->values: the whole of it, after nn_row_backward for the same head. An unknown
 * code has its gradient at the table's average row. */
void nn_row_gradient(const nn_mlp *mlp, const nn_row *row, size_t head, float *gradient);
/* The sum over weights of factor * gradient^2, for `factor` laid out as mlp->values, of several heads: _cover once
 * for a row that went forward, _square for each head after nn_row_backward for it. Unknown codes add nothing. */
void nn_row_cover(const nn_mlp *mlp, nn_row *row, const float *factor);
float nn_row_square(const nn_mlp *mlp, const nn_row *row, size_t head, const float *factor);
/* sums += scale * gradient^2, laid out as mlp->values; factor = 1 / sums where they changed. */
void nn_row_add_square(const nn_mlp *mlp, nn_row *row, size_t head, float scale, float *sums, float *factor);

#endif
