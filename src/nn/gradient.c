/*
 * gradient.c: forward and backward for a single row (the formulas stand in gradient.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/gradient.h"

#include <string.h>

enum { TABLES = sizeof((nn_row *)0)->codes / sizeof((nn_row *)0)->codes[0] };

forage_status nn_row_create(const nn_mlp *mlp, nn_row *row, forage_error *error)
{
    size_t floats = 2 * mlp->input_stride + mlp->widest;
    for (size_t l = 0; l < mlp->layer_count; l++)
        floats += 3 * mlp->layers[l].out_stride;
    *row = (nn_row){.memory = mlp->table_count <= TABLES ? forage_calloc(floats, sizeof(float)) : NULL};
    if (!row->memory)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the gradient of a row");
    float *at = row->memory;
    row->x = at;
    row->dx = at += mlp->input_stride;
    row->squares = at += mlp->input_stride;
    at += mlp->widest;
    for (size_t l = 0; l < mlp->layer_count; l++) {
        size_t stride = mlp->layers[l].out_stride;
        row->hidden[l] = at;
        row->delta[l] = at + stride;
        row->covered[l] = at + 2 * stride;
        at += 3 * stride;
    }
    return FORAGE_OK;
}

void nn_row_release(nn_row *row)
{
    forage_free(row->memory);
    *row = (nn_row){0};
}

void nn_row_forward(const nn_mlp *mlp, const nn_inputs *inputs, size_t index, nn_row *row)
{
    uint32_t code;
    nn_mlp_gather(mlp, inputs, index, 1, &code, row->x);
    for (size_t t = 0; t < mlp->table_count; t++) {
        code = inputs->codes[t][inputs->rows ? inputs->rows[index] : inputs->first + index];
        row->codes[t] = code < mlp->tables[t].rows ? code : (uint32_t)mlp->tables[t].rows;
    }
    const float *here = row->x;
    for (size_t l = 0; l < mlp->layer_count; l++) {
        const nn_layer *layer = &mlp->layers[l];
        la_gemm_run(&layer->predict[2], here, layer->transposed, row->hidden[l]);
        nn_mlp_activate(mlp, l, 1, row->hidden[l]);
        here = row->hidden[l];
    }
}

/* What goes into the output. */
static const float *last(const nn_mlp *mlp, const nn_row *row)
{
    return mlp->layer_count ? row->hidden[mlp->layer_count - 1] : row->x;
}

float nn_row_output(const nn_mlp *mlp, const nn_row *row, size_t head)
{
    float z;
    mlp->kernels->head(1, mlp->head_stride, last(mlp, row), mlp->values + mlp->head_weight + head * mlp->head_stride,
                       mlp->values[mlp->head_bias + head], &z);
    return z;
}

void nn_row_backward(const nn_mlp *mlp, nn_row *row, size_t head)
{
    const float *weight = mlp->values + mlp->head_weight + head * mlp->head_stride;
    size_t layers = mlp->layer_count;
    memcpy(layers ? row->delta[layers - 1] : row->dx, weight, mlp->head_stride * sizeof *weight);
    for (size_t l = layers; l-- > 0;) {
        const nn_layer *layer = &mlp->layers[l];
        float *restrict below = l ? row->delta[l - 1] : row->dx;
        mlp->kernels->mask(1, layer->out_stride, 1.0F, row->hidden[l], row->delta[l]);
        memset(below, 0, layer->in_stride * sizeof *below);
        for (size_t o = 0; o < layer->out; o++) {
            const float *w = mlp->values + layer->weight + o * layer->in_stride;
            float delta = row->delta[l][o];
            if (delta == 0.0F)
                continue;
            for (size_t j = 0; j < layer->in_stride; j++)
                below[j] += delta * w[j];
        }
    }
}

void nn_row_gradient(const nn_mlp *mlp, const nn_row *row, size_t head, float *gradient)
{
    memset(gradient, 0, mlp->value_count * sizeof *gradient);
    for (size_t t = 0; t < mlp->table_count; t++) {
        const nn_table *table = &mlp->tables[t];
        memcpy(gradient + table->offset + row->codes[t] * table->width, row->dx + table->column,
               table->width * sizeof *gradient);
    }
    for (size_t l = 0; l < mlp->layer_count; l++) {
        const nn_layer *layer = &mlp->layers[l];
        const float *in = l ? row->hidden[l - 1] : row->x;
        for (size_t o = 0; o < layer->out; o++) {
            for (size_t j = 0; j < layer->in; j++)
                gradient[layer->weight + o * layer->in_stride + j] = row->delta[l][o] * in[j];
        }
        memcpy(gradient + layer->bias, row->delta[l], layer->out * sizeof *gradient);
    }
    memcpy(gradient + mlp->head_weight + head * mlp->head_stride, last(mlp, row), mlp->head_in * sizeof *gradient);
    gradient[mlp->head_bias + head] = 1.0F;
}

static void square_all(const float *from, size_t count, float *to)
{
    for (size_t j = 0; j < count; j++)
        to[j] = from[j] * from[j];
}

/* covered_l = factor of W_l times the squares of what comes in, plus that of b_l: then the layer's part of the sum is
 * that of delta_l^2 covered_l. */
void nn_row_cover(const nn_mlp *mlp, nn_row *row, const float *factor)
{
    for (size_t l = 0; l < mlp->layer_count; l++) {
        const nn_layer *layer = &mlp->layers[l];
        square_all(l ? row->hidden[l - 1] : row->x, layer->in_stride, row->squares);
        for (size_t o = 0; o < layer->out; o++) { /* a unit at rest has delta 0 for every head */
            row->covered[l][o] = 0.0F;
            if (row->hidden[l][o] != 0.0F)
                mlp->kernels->head(1, layer->in_stride, row->squares, factor + layer->weight + o * layer->in_stride,
                                   factor[layer->bias + o], &row->covered[l][o]);
        }
    }
    square_all(last(mlp, row), mlp->head_stride, row->squares);
}

float nn_row_square(const nn_mlp *mlp, const nn_row *row, size_t head, const float *factor)
{
    float sum;
    mlp->kernels->head(1, mlp->head_stride, row->squares, factor + mlp->head_weight + head * mlp->head_stride,
                       factor[mlp->head_bias + head], &sum);
    for (size_t l = 0; l < mlp->layer_count; l++) {
        for (size_t o = 0; o < mlp->layers[l].out; o++)
            sum += row->delta[l][o] * row->delta[l][o] * row->covered[l][o];
    }
    for (size_t t = 0; t < mlp->table_count; t++) {
        const nn_table *table = &mlp->tables[t];
        const float *own = factor + table->offset + row->codes[t] * table->width, *dx = row->dx + table->column;
        for (size_t j = 0; row->codes[t] < table->rows && j < table->width; j++)
            sum += dx[j] * dx[j] * own[j];
    }
    return sum;
}

/* sums += scale * squares, factor = 1 / sums */
static void add_squares(const float *squares, size_t count, float scale, float *restrict sums, float *restrict factor)
{
    for (size_t j = 0; j < count; j++) {
        sums[j] += scale * squares[j];
        factor[j] = 1.0F / sums[j];
    }
}

void nn_row_add_square(const nn_mlp *mlp, nn_row *row, size_t head, float scale, float *sums, float *factor)
{
    for (size_t t = 0; t < mlp->table_count; t++) {
        const nn_table *table = &mlp->tables[t];
        size_t at = table->offset + row->codes[t] * table->width;
        square_all(row->dx + table->column, table->width, row->squares);
        if (row->codes[t] < table->rows)
            add_squares(row->squares, table->width, scale, sums + at, factor + at);
    }
    for (size_t l = 0; l < mlp->layer_count; l++) {
        const nn_layer *layer = &mlp->layers[l];
        square_all(l ? row->hidden[l - 1] : row->x, layer->in_stride, row->squares);
        for (size_t o = 0; o < layer->out; o++) {
            float delta = row->delta[l][o], square = delta * delta;
            size_t at = layer->weight + o * layer->in_stride;
            if (delta == 0.0F)
                continue;
            add_squares(row->squares, layer->in, scale * square, sums + at, factor + at);
            add_squares(&square, 1, scale, sums + layer->bias + o, factor + layer->bias + o);
        }
    }
    const float one = 1.0F;
    size_t at = mlp->head_weight + head * mlp->head_stride, bias = mlp->head_bias + head;
    square_all(last(mlp, row), mlp->head_stride, row->squares);
    add_squares(row->squares, mlp->head_in, scale, sums + at, factor + at);
    add_squares(&one, 1, scale, sums + bias, factor + bias);
}
