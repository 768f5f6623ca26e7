/*
 * mlp.h: a network that turns categories and numbers into one number, or into one of several.
 *
 *   x      = [ table_0[code_0] ... table_T[code_T] | number_0 ... number_N ]
 *   h_0    = x
 *   h_l    = relu(W_l h_(l-1) + b_l)          for each hidden layer (or LeakyReLU, with a leak)
 *   z      = <w_head, h_L> + b_head,  p = 1 / (1 + exp(-z)) where z is a logit
 *
 * As a rule there is one head; a network with several has one output for each, and every row names the one that
 * it is about (the arm that was pulled: all arms share the layers below).
 *
 * All weights lie in one block, `values`:
 *   tables: (rows + 1) x width each; the last row is the average of the others and
 *           stands in for unknown codes (nn_mlp_refresh computes it, nothing trains it);
 *   dense:  per hidden layer W [out][in_stride], b [out_stride]; then w [head][in_stride], b [head].
 * Widths are padded to NN_LANES with zeros that stay zero.
 *
 * A network may be scored by any number of threads as long as nobody changes it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_MLP_H
#define NN_MLP_H

#include "forage/base.h"
#include "la/la.h"
#include "nn/checkpoint.h"
#include "nn/kernels.h"

enum {
    NN_BLOCK = 64,          /* rows that go through the network together, in cache */
    NN_LAYER_LIMIT = 16,    /* hidden layers */
    NN_WIDTH_LIMIT = 4096,  /* units of a layer, and columns of a table */
    NN_INPUT_LIMIT = 16384, /* columns of the input */
};

/* What a network looks like. Copied by nn_mlp_create. */
typedef struct nn_table_spec {
    const char *name; /* of the tensor, "user_embedding.weight" */
    size_t rows, width;
} nn_table_spec;

typedef struct nn_mlp_spec {
    size_t table_count;
    const nn_table_spec *tables;
    size_t number_count;
    size_t layer_count;
    const size_t *layers; /* units of each hidden layer */
    size_t head_count;    /* 0: 1 */
    float leak;           /* what hidden units pass of numbers below 0: 0 is ReLU, 0.01 torch's LeakyReLU */
} nn_mlp_spec;

typedef struct nn_table {
    char *name;
    size_t rows, width;
    size_t column; /* in x */
    size_t offset; /* in values */
} nn_table;

typedef struct nn_layer {
    size_t in, out;
    size_t in_stride, out_stride;
    size_t weight, bias; /* offsets in values: W [out][in_stride], b [out_stride] */
    float *transposed;   /* W^T [in_stride][out_stride], kept in step with W */
    la_gemm forward;     /* of a block, in training */
    la_gemm predict[3];  /* of NN_BLOCK, 12 and 1 rows, in scoring: steady (la_engine_steady) */
} nn_layer;

typedef struct nn_mlp {
    size_t table_count, number_count, layer_count;
    nn_table *tables;
    nn_layer *layers;
    size_t input_width, input_stride;
    size_t widest;               /* largest stride */
    size_t head_in, head_stride; /* width of what goes into the output */
    size_t head_count;           /* outputs */
    float leak;
    size_t head_weight, head_bias; /* offsets in values: [head][head_stride], [head] */
    size_t dense_offset;           /* where the tables end and the layers begin */
    size_t value_count;            /* floats in values, padding included */
    size_t weight_count;           /* numbers that are learned */
    float *values;
    float *transposed;
    const nn_kernels *kernels;
    la_engine engine;
} nn_mlp;

/* Columns over the network's inputs. Codes at or beyond a table's rows (FORAGE_NONE) mean unknown. */
typedef struct nn_inputs {
    const uint32_t *const *codes; /* [table][...] */
    const float *const *numbers;  /* [number][...]; NULL: */
    const float *matrix;          /* [...][number], row by row */
    const uint32_t *heads;        /* [...] the output that a row is about, below head_count; NULL: the first */
    const float *weights;         /* [...] what a row's loss counts in training; NULL: 1 */
    const uint32_t *rows;         /* which rows to take, in this order; NULL: first, first + 1, ... */
    size_t first;
    size_t count;
    bool sorted; /* the codes of table 0 rise (unknown ones last), and `rows` is NULL */
} nn_inputs;

/* All weights zero. */
forage_status nn_mlp_create(const nn_mlp_spec *spec, forage_isa isa, nn_mlp **mlp, forage_error *error);
void nn_mlp_free(nn_mlp *mlp);

/* PyTorch's default initialisation: tables from N(0, 1), layers uniform in +-1 / sqrt(inputs). */
void nn_mlp_initialise(nn_mlp *mlp, forage_rng *rng);
/* To be called after `values` changed: the transposed copies and the tables' average rows. */
void nn_mlp_refresh(nn_mlp *mlp);
/* The tables' average rows alone. */
void nn_mlp_average_rows(nn_mlp *mlp);
/* The transposed copy of rows [first, first + count) of layer `l`'s W. */
void nn_mlp_transpose(nn_mlp *mlp, size_t l, size_t first, size_t count);

/* Bytes of scratch memory that nn_mlp_predict needs, a multiple of 64. */
size_t nn_mlp_scratch_size(const nn_mlp *mlp);
/* Probabilities p[count]; `scratch` aligned to 64. A row's result does not depend on the rows beside it. */
void nn_mlp_predict(const nn_mlp *mlp, const nn_inputs *inputs, void *scratch, float *p);
/* The same before the sigmoid. */
void nn_mlp_logits(const nn_mlp *mlp, const nn_inputs *inputs, void *scratch, float *z);
/* What goes into the output: h_L [count][head_stride], where `heads` play no part. */
void nn_mlp_features(const nn_mlp *mlp, const nn_inputs *inputs, void *scratch, float *h);
/* Copies what belongs to the weights of `from`, a network of the same layers whose tables and heads may be fewer, to
 * `values` of `mlp`; both are laid out as their network's values (which they may be: then nn_mlp_refresh is for the
 * caller). What `from` has not stays as it is. */
void nn_mlp_copy(const nn_mlp *mlp, float *values, const nn_mlp *from, const float *from_values);
/* Where the weight at `offset` of `from` lies in `mlp`. */
size_t nn_mlp_moved(const nn_mlp *mlp, const nn_mlp *from, size_t offset);
/* The bias and the activation of layer `l` on rows of h [rows][out_stride]. */
void nn_mlp_activate(const nn_mlp *mlp, size_t l, size_t rows, float *h);
/* Writes rows [begin, begin + count) of the inputs to x [count][input_stride]; `codes` has room for `count`. */
void nn_mlp_gather(const nn_mlp *mlp, const nn_inputs *inputs, size_t begin, size_t count, uint32_t *codes, float *x);

/* Adds the tensors to a checkpoint: tables by name, layers "fc1.weight", "fc1.bias" ..., "output.weight",
 * "output.bias", shaped as PyTorch has them. `prefix` is put before every name. `values` is laid out as mlp->values
 * (which it may be) and must outlive the checkpoint, as must `*packed`, a block that is made for what is padded
 * and that the caller frees with forage_free. */
forage_status nn_mlp_save(const nn_mlp *mlp, const float *values, const char *prefix, nn_checkpoint *checkpoint,
                          float **packed, forage_error *error);
/* Reads them back into `values`, checking names, shapes and that all numbers are finite. */
forage_status nn_mlp_load(const nn_mlp *mlp, const nn_checkpoint *checkpoint, const char *prefix, float *values,
                          forage_error *error);

#endif
