/*
 * encoder.h: a stack of transformer blocks over packed sequences (Vaswani et al. 2017, "Attention is all you need",
 * section 3), as torch.nn.TransformerEncoder computes them.
 *
 *   attend(x)   = W_o [ softmax(q_h k_h' / sqrt(width / heads)) v_h ]_h + b_o,   q, k, v = W_in x + b_in
 *   feed(x)     = W_2 act(W_1 x + b_1) + b_2
 *   pre-norm:   x = x + attend(norm1(x));  x = x + feed(norm2(x))      (norm_first=True)
 *   post-norm:  x = norm1(x + attend(x));  x = norm2(x + feed(x))
 *   norm(x)     = (x - mean) / sqrt(variance + epsilon) * gain + bias, over the numbers of a token
 *
 * A batch holds the tokens of its sequences one behind the other, without padding. Embeddings and positions are the
 * caller's: the encoder takes vectors and gives vectors, both [tokens][stride], stride = nn_padded(width), zero beyond
 * `width`.
 *
 * All weights lie in one block, `values`. Per block, with s = stride and f = nn_padded(inner):
 *   W_in [3 s][s] (q, k and v begin at rows 0, s and 2 s), b_in [3 s], W_o [s][s], b_o [s], W_1 [f][s], b_1 [f],
 *   W_2 [s][f], b_2 [s], norm1 gain [s], bias [s], norm2 gain [s], bias [s];
 * then the last norm's gain [s] and bias [s] if there is one. What is padding is zero and has gradient zero.
 *
 * An encoder may be read by any number of threads as long as nobody changes it. A tape and a cache belong to one
 * thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_ENCODER_H
#define NN_ENCODER_H

#include "forage/base.h"
#include "la/la.h"
#include "nn/checkpoint.h"
#include "nn/kernels.h"

enum {
    NN_ENCODER_WIDTH_LIMIT = 1024, /* width, and inner / 4 */
    NN_ENCODER_BLOCK_LIMIT = 64,
    NN_ENCODER_LENGTH_LIMIT = 4096, /* tokens of a sequence */
};

/* Sequence s is tokens [starts[s], starts[s + 1]) of a batch; starts[0] = 0. Sequences may be empty. */
typedef struct nn_pack {
    size_t count;
    const uint32_t *starts; /* [count + 1] */
} nn_pack;

/* GELU is the exact one, z P(N(0, 1) <= z), as torch's default; the leaky slope is 0.01. */
typedef enum nn_activation { NN_RELU, NN_GELU, NN_LEAKY_RELU } nn_activation;

/* What an encoder looks like. Copied by nn_encoder_create. */
typedef struct nn_encoder_spec {
    size_t width, heads; /* heads divides width */
    size_t inner;        /* units between the two layers of `feed` */
    size_t blocks;
    size_t length; /* tokens of a sequence, at most */
    nn_activation activation;
    bool causal;    /* a token attends to itself and those before it; else to all of its sequence */
    bool pre_norm;  /* see above */
    bool last_norm; /* one more norm behind the last block */
    double epsilon; /* of norms: 1e-5 */
} nn_encoder_spec;

/* Where a block's weights lie in values (see above). */
typedef struct nn_encoder_block {
    size_t in_weight, in_bias, out_weight, out_bias;
    size_t weight1, bias1, weight2, bias2;
    size_t gain[2], shift[2];                          /* of norm1 and norm2 */
    const float *in_t, *out_t, *weight1_t, *weight2_t; /* transposed copies: [s][3 s], [s][s], [s][f], [f][s] */
} nn_encoder_block;

typedef struct nn_encoder {
    nn_encoder_spec spec;
    size_t stride, inner_stride; /* nn_padded */
    size_t value_count;          /* floats in values, padding included */
    size_t weight_count;         /* numbers that are learned */
    float *values;
    nn_encoder_block *blocks;
    size_t last_gain, last_shift; /* offsets in values, if there is a last norm */
    float *transposed;
    const nn_kernels *kernels;
    forage_isa isa;
    struct nn_encoder_products *products; /* private: encoder_parts.h */
} nn_encoder;

/* Weights as nn_encoder_initialise leaves them but for the matrices, which are zero. FORAGE_INVALID for a spec beyond
 * the limits above or a width that its heads do not divide. */
forage_status nn_encoder_create(const nn_encoder_spec *spec, forage_isa isa, nn_encoder **encoder, forage_error *error);
void nn_encoder_free(nn_encoder *encoder);
/* Matrices uniform in +-sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010; W_in as one matrix, as torch does it),
 * biases 0, gains 1. Then refreshes. */
void nn_encoder_initialise(nn_encoder *encoder, forage_rng *rng);
/* To be called after `values` changed: the transposed copies. */
void nn_encoder_refresh(nn_encoder *encoder);

/* Adds the tensors to a checkpoint, under torch.nn.TransformerEncoder's names behind `prefix`:
 * "layers.0.self_attn.in_proj_weight" ..., "norm.weight". `values` is laid out as encoder->values (which it may be) and
 * must outlive the checkpoint, as must `*packed`, a block that is made for what is padded and that the caller frees
 * with forage_free. */
forage_status nn_encoder_save(const nn_encoder *encoder, const float *values, const char *prefix,
                              nn_checkpoint *checkpoint, float **packed, forage_error *error);
/* Reads them back into `values`, checking names, shapes and that all numbers are finite. Does not refresh. */
forage_status nn_encoder_load(const nn_encoder *encoder, const nn_checkpoint *checkpoint, const char *prefix,
                              float *values, forage_error *error);

/* ---- training -----------------------------------------------------------------------------------------------------
 *
 * A tape keeps what the way back needs of one group of sequences, on one thread. Results depend on the group, not on
 * threads: cut a batch into the same groups whatever the number of threads, and add up their gradients in one order.
 * Groups of 128 to 256 tokens are quickest, since their tapes stay in a core's cache. */

typedef struct nn_tape nn_tape;

/* For groups of at most `tokens` tokens in `sequences` sequences. The encoder must outlive it. */
forage_status nn_tape_create(const nn_encoder *encoder, size_t tokens, size_t sequences, nn_tape **tape,
                             forage_error *error);
void nn_tape_free(nn_tape *tape);
/* Bytes that one takes, about. */
double nn_tape_memory(const nn_encoder *encoder, size_t tokens);

/* out = encoder(x), both [tokens][stride], and what the way back needs goes to the tape (copied: x and the pack may
 * change afterwards). Each number is dropped with probability `dropout` (0: none, below 1) where torch's layer does
 * it: attention's probabilities, behind each of the two sublayers, and inside `feed`; a hash of (key, block, place,
 * first_token + token) decides, so that it makes no difference how a batch is cut into groups if first_token is where
 * the group begins. */
void nn_encoder_forward(const nn_encoder *encoder, const nn_pack *pack, float dropout, uint64_t key,
                        uint64_t first_token, nn_tape *tape, const float *x, float *out);
/* After nn_encoder_forward, and once for each: with d_out the gradient of something by `out`, d_x becomes (d_x may be
 * d_out) that by `x` and `gradient`, laid out as values, is added that by the weights. */
void nn_encoder_backward(const nn_encoder *encoder, nn_tape *tape, const float *d_out, float *d_x, float *gradient);

/* ---- scoring ------------------------------------------------------------------------------------------------------
 *
 * A sequence's rows come out the same bytes whatever stands beside it and whichever of these functions computes them,
 * and, in a causal encoder, whatever comes behind them. They differ from nn_encoder_forward's by rounding. */

/* Bytes of scratch memory for packs of at most `tokens` tokens, a multiple of 64. */
size_t nn_encoder_scratch_size(const nn_encoder *encoder, size_t tokens);
/* x [tokens][stride] = encoder(x), in place; `scratch` aligned to 64. */
void nn_encoder_run(const nn_encoder *encoder, const nn_pack *pack, void *scratch, float *x);
/* out [count][stride]: each sequence's last token alone, for which the last block needs little more than keys and
 * values of the others. x is spoilt. The row of an empty sequence is zero. */
void nn_encoder_last(const nn_encoder *encoder, const nn_pack *pack, void *scratch, float *x, float *out);

/* The keys and values of one sequence in a causal encoder, so that one token more costs one position. */
typedef struct nn_cache nn_cache;

/* An empty one, for up to spec.length tokens. FORAGE_INVALID where the encoder is not causal. */
forage_status nn_cache_create(const nn_encoder *encoder, nn_cache **cache, forage_error *error);
void nn_cache_free(nn_cache *cache);
/* Forgets the tokens. To be called after the encoder's values changed, too. */
void nn_cache_clear(nn_cache *cache);
/* Tokens in it. */
size_t nn_cache_length(const nn_cache *cache);
/* Appends x [stride] to a cache of fewer than spec.length tokens; out [stride] is what nn_encoder_run gives for the
 * last token of the sequence so far, the same bytes. */
void nn_cache_append(const nn_encoder *encoder, nn_cache *cache, const float *x, float *out);

#endif
