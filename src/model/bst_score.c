/*
 * bst_score.c: logits of examples. Sequences go through the encoder a few at a time, in cache, and what they give
 * through the network together; where the target's output alone is wanted of one block, a history that many examples
 * share goes in once. A row's result does not depend on the rows around it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/bst.h"

enum { TOGETHER = 8 /* sequences */ };

/* The scratch memory, cut up; without memory its size is counted alone. */
typedef struct room {
    char *batch;   /* of BST_ROWS examples, or targets alone */
    char *history; /* a batch of one example */
    char *encoder;
    char *mlp;
} room;

static size_t lay_out(const model_state *state, char *memory, room *made)
{
    size_t batch = (size_t)bst_batch_size(state, BST_ROWS, state->last_alone ? 1 : state->limit);
    size_t history = state->last_alone ? (size_t)bst_batch_size(state, 1, state->limit) : 0;
    size_t encoder = state->last_alone ? nn_target_scratch_size(state->encoder)
                     : state->encoder  ? nn_encoder_scratch_size(state->encoder, TOGETHER * state->limit)
                                       : 0;
    *made = (room){0};
    if (memory)
        *made = (room){memory, memory + batch, memory + batch + history, memory + batch + history + encoder};
    return batch + history + encoder + nn_mlp_scratch_size(state->mlp);
}

size_t bst_scratch_size(const model_state *state)
{
    room unused;
    return lay_out(state, NULL, &unused);
}

/* All tokens of all sequences. */
static void run_sequences(const model_state *state, bst_batch *batch, const room *own)
{
    for (size_t at = 0; state->encoder && at < batch->count; at += TOGETHER) {
        size_t sequences = batch->count - at < TOGETHER ? batch->count - at : TOGETHER;
        uint32_t starts[TOGETHER + 1];
        for (size_t s = 0; s <= sequences; s++)
            starts[s] = batch->starts[at + s] - batch->starts[at];
        nn_pack pack = {sequences, starts};
        nn_encoder_run(state->encoder, &pack, own->encoder, batch->x + batch->starts[at] * state->stride);
    }
    bst_batch_pool(state, batch, 0, batch->count, batch->x);
}

/* Do two examples see the same history in the same light? */
static bool same_history(const model_state *state, const forage_examples *examples, size_t a, size_t b)
{
    const forage_past *past = examples->past;
    if (!past)
        return true;
    return past->begin[a] == past->begin[b] && past->end[a] == past->end[b] &&
           (!state->timed || !examples->time || examples->time[a] == examples->time[b]);
}

/* The targets' outputs alone. `*held` is the example whose history the scratch memory holds (SIZE_MAX: none). */
static void run_targets(const model_state *state, bst_batch *batch, const room *own, size_t *held)
{
    const forage_examples *examples = batch->examples;
    bst_batch one;
    bst_batch_place(state, 1, state->limit, own->history, &one);
    nn_target_begin(state->encoder, batch->count, batch->x, own->encoder);
    for (size_t i = 0, end; i < batch->count; i = end) {
        size_t row = batch->first + i;
        for (end = i + 1; end < batch->count && same_history(state, examples, row, batch->first + end);)
            end++;
        bst_batch_begin(state, examples, NULL, row, 1, &one);
        if (*held == SIZE_MAX || !same_history(state, examples, row, *held)) {
            bst_batch_fill(state, &one, 0, 1);
            nn_target_history(state->encoder, one.tokens - 1, one.x, own->encoder);
            *held = row;
        }
        nn_target_attend(state->encoder, i, end - i, one.tokens - 1, own->encoder);
    }
    nn_target_end(state->encoder, batch->count, own->encoder, batch->x);
    bst_batch_put(state, batch, 0, batch->count, batch->x);
}

void bst_logits(const model_state *state, const forage_examples *examples, size_t first, size_t count, void *scratch,
                float *z)
{
    size_t held = SIZE_MAX;
    bst_batch batch;
    room own;
    (void)lay_out(state, scratch, &own);
    bst_batch_place(state, BST_ROWS, state->last_alone ? 1 : state->limit, own.batch, &batch);
    for (size_t begin = 0; begin < count; begin += BST_ROWS) {
        size_t rows = count - begin < BST_ROWS ? count - begin : BST_ROWS;
        bst_batch_begin(state, examples, NULL, first + begin, rows, &batch);
        bst_batch_fill(state, &batch, 0, rows);
        if (state->last_alone)
            run_targets(state, &batch, &own, &held);
        else
            run_sequences(state, &batch, &own);
        nn_inputs inputs = {.codes = (const uint32_t *const *)batch.mlp_codes, .matrix = batch.matrix, .count = rows};
        nn_mlp_logits(state->mlp, &inputs, own.mlp, z + begin);
    }
}
