/*
 * target.h: the last token alone of each sequence, in an encoder of one block.
 *
 * A sequence then has one query, and what that asks of keys can be asked of the tokens themselves, and what it takes of
 * values taken of the tokens: of all others such a block needs 2 products of the width in each head, where the whole
 * block takes about 12 width^2. So a click predictor whose last token is the item in question trains on, and scores,
 * many more sequences in the same time. In scoring, many targets may stand behind one history: then keys and values are
 * less work, and they are computed once; each target attends to the history and to itself.
 *
 * Results are those of nn_encoder_forward and nn_encoder_last for the last tokens, but for rounding, and, with dropout,
 * for what drops.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_TARGET_H
#define NN_TARGET_H

#include "nn/encoder.h"

enum { NN_TARGET_ROWS = 64 /* targets that are scored together at most */ };

/* Is it one block with norms behind the sublayers, and none behind the block, with ReLU or LeakyReLU? */
bool nn_target_fits(const nn_encoder *encoder);

/* ---- training: as a tape of encoder.h ---- */

typedef struct nn_target_tape nn_target_tape;

/* For groups of at most `tokens` tokens in `sequences` sequences. The encoder must outlive it. */
forage_status nn_target_tape_create(const nn_encoder *encoder, size_t tokens, size_t sequences, nn_target_tape **tape,
                                    forage_error *error);
void nn_target_tape_free(nn_target_tape *tape);
/* Bytes that one takes, about. */
double nn_target_tape_memory(const nn_encoder *encoder, size_t tokens, size_t sequences);

/* out [sequences][stride] = what the encoder makes of each sequence's last token; none may be empty. `x` [tokens]
 * [stride] must stay as it is until the way back is done. Dropout as in nn_encoder_forward; sequence `i` of the group
 * is first_sequence + i to the hash that decides. */
void nn_target_forward(const nn_encoder *encoder, const nn_pack *pack, float dropout, uint64_t key,
                       uint64_t first_sequence, nn_target_tape *tape, const float *x, float *out);
/* After nn_target_forward, and once for each: d_x [tokens][stride] becomes the gradient by x, and to `gradient`, laid
 * out as values, is added that by the weights. */
void nn_target_backward(const nn_encoder *encoder, nn_target_tape *tape, const float *d_out, float *d_x,
                        float *gradient);

/* ---- scoring ----
 *
 * begin, then for each history that some of these targets stand behind: history, attend; then end. A target's result
 * depends on its history alone, not on the targets beside it. */

/* Bytes of scratch memory, a multiple of 64; `scratch` below is aligned to 64. */
size_t nn_target_scratch_size(const nn_encoder *encoder);
/* Up to NN_TARGET_ROWS targets x [count][stride]. */
void nn_target_begin(const nn_encoder *encoder, size_t count, const float *x, void *scratch);
/* The tokens before the target, x [tokens][stride]: fewer than the encoder's length, perhaps none. It holds until the
 * next, across nn_target_begin, too. */
void nn_target_history(const nn_encoder *encoder, size_t tokens, const float *x, void *scratch);
/* Targets [first, first + count) stand behind the history given last, of `tokens` tokens. */
void nn_target_attend(const nn_encoder *encoder, size_t first, size_t count, size_t tokens, void *scratch);
/* x [count][stride], in place: from what nn_target_begin was given to the outputs. */
void nn_target_end(const nn_encoder *encoder, size_t count, void *scratch, float *x);

#endif
