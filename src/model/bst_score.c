/*
 * bst_score.c: logits of examples. Sequences go through the encoder a few at a time, in cache, and what they give
 * through the network together. A row's result does not depend on the rows around it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/bst.h"

enum { TOGETHER = 8 /* sequences */ };

static size_t encoder_scratch(const model_state *state)
{
    return state->encoder ? nn_encoder_scratch_size(state->encoder, TOGETHER * state->limit) : 0;
}

size_t bst_scratch_size(const model_state *state)
{
    return (size_t)bst_batch_size(state, BST_ROWS) + encoder_scratch(state) + nn_mlp_scratch_size(state->mlp);
}

void bst_logits(const model_state *state, const forage_examples *examples, size_t first, size_t count, void *scratch,
                float *z)
{
    char *memory = scratch, *own = memory + (size_t)bst_batch_size(state, BST_ROWS);
    bst_batch batch;
    bst_batch_place(state, BST_ROWS, memory, &batch);
    for (size_t begin = 0; begin < count; begin += BST_ROWS) {
        size_t rows = count - begin < BST_ROWS ? count - begin : BST_ROWS;
        bst_batch_begin(state, examples, NULL, first + begin, rows, &batch);
        bst_batch_fill(state, &batch, 0, rows);
        for (size_t at = 0; state->encoder && at < rows; at += TOGETHER) {
            size_t sequences = rows - at < TOGETHER ? rows - at : TOGETHER;
            uint32_t starts[TOGETHER + 1];
            for (size_t s = 0; s <= sequences; s++)
                starts[s] = batch.starts[at + s] - batch.starts[at];
            nn_pack pack = {sequences, starts};
            nn_encoder_run(state->encoder, &pack, own, batch.x + batch.starts[at] * state->stride);
        }
        bst_batch_pool(state, &batch, 0, rows, batch.x);
        nn_inputs inputs = {.codes = (const uint32_t *const *)batch.mlp_codes, .matrix = batch.matrix, .count = rows};
        nn_mlp_logits(state->mlp, &inputs, own + encoder_scratch(state), z + begin);
    }
}
