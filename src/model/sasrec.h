/*
 * sasrec.h: what the files of the next-item transformer share: the state (sasrec.c), its file (sasrec_file.c), its
 * fit (sasrec_fit.c), and how it goes on in a world that has grown (sasrec_extend.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_SASREC_H
#define MODEL_SASREC_H

#include "model/descriptor.h"
#include "nn/nn.h"

/* Streams of random numbers of one seed. */
enum { SASREC_STREAM_WEIGHTS, SASREC_STREAM_ORDER, SASREC_STREAM_DROPOUT, SASREC_STREAM_NEGATIVES };

/* Rows of a table have `pitch` floats, of which the last ones are zero. */
struct model_state {
    const model_setup *setup;
    const forage_params *params;
    const forage_device *device;
    uint64_t seed;
    size_t item_field; /* of the examples */
    size_t items, width, pitch;
    size_t length;    /* items of a history that count: the newest ones */
    float scale;      /* of an item's vector where it goes in */
    float *table;     /* [items + 1, pitch]; the last row is the mean of the others and stands for an unknown item */
    float *positions; /* [length, pitch], from the oldest item on */
    float *average;   /* [pitch] what somebody without a history is scored by */
    nn_encoder *encoder;
    float *packed; /* [items, width]: tensors of a checkpoint under way */
    float *packed_encoder;
};

forage_status sasrec_out_of_memory(const model_state *state, forage_error *error);
/* Sizes, and nothing allocated. */
forage_status sasrec_measure(const model_setup *setup, model_state *state, nn_encoder_spec *spec, forage_error *error);
/* All zero. */
forage_status sasrec_build(const model_setup *setup, model_state **state, forage_error *error);
void sasrec_free(model_state *state);
/* What follows from the weights: to be called when they changed. */
void sasrec_refresh(model_state *state);
/* Writes what goes into the encoder, [count, pitch]: items, each below state->items, and their places from `first` on.
 */
void sasrec_embed(const model_state *state, const uint32_t *items, size_t first, size_t count, float *x);

/* A history: items by code, of which those with a weight not above 0, or without a code, do not count. */
typedef struct sasrec_history {
    const uint32_t *items;
    const float *weights; /* NULL: 1 each */
    size_t count;
} sasrec_history;

enum { SASREC_TOGETHER = 16 }; /* histories that go through the encoder together, at most */

/* vectors[count, pitch]: the encoder's outputs behind the histories, `sequences` of them at a time. `scratch`:
 * sasrec_encode_size(state, sequences) bytes, aligned to 64. A history's vector does not depend on the others. */
void sasrec_encode(const model_state *state, const sasrec_history *histories, size_t count, size_t sequences,
                   void *scratch, float *vectors);
size_t sasrec_encode_size(const model_state *state, size_t sequences);

extern const model_catalogue sasrec_catalogue;

/* sasrec_session.c */
extern const model_session_type sasrec_session;
/* The output behind the history so far, [pitch]. */
const float *sasrec_session_vector(const model_session *session);

/* sasrec_file.c */
forage_status sasrec_save(const model_state *state, nn_checkpoint *checkpoint, forage_error *error);
forage_status sasrec_load(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                          forage_error *error);
forage_status sasrec_recognise(const nn_checkpoint *checkpoint, forage_params *values, size_t *users, size_t *items,
                               bool *mine, forage_error *error);

/* sasrec_extend.c */
forage_status sasrec_extend(model_state *state, const model_state *old, const uint32_t *user_map,
                            const uint32_t *item_map, const forage_examples *events, forage_error *error);

/* sasrec_fit.c */
double sasrec_fit_memory(const model_setup *setup, const model_fit_input *input);
forage_status sasrec_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error);
forage_status sasrec_fit_step(model_fit *fit, model_progress *progress, forage_error *error);
void sasrec_fit_end(model_fit *fit, bool keep);
forage_status sasrec_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error);
forage_status sasrec_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error);

#endif
