/*
 * sasrec_file.c: checkpoints of the next-item transformer: item_embedding.weight and position_embedding.weight as
 * torch.nn.Embedding has them, the encoder as torch.nn.TransformerEncoder has it, under "encoder."; and average_output,
 * by which somebody without a history is scored (0 where a file of PyTorch's has none).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/sasrec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char ITEMS[] = "item_embedding.weight", PLACES[] = "position_embedding.weight";
static const char AVERAGE[] = "average_output", ENCODER[] = "encoder.";

forage_status sasrec_save(const model_state *state, nn_checkpoint *checkpoint, forage_error *error)
{
    /* The blocks for rows without their padding live in the state, which outlives the checkpoint. */
    model_state *owner = (model_state *)(uintptr_t)state;
    size_t width = state->width, items[2] = {state->items, width}, places[2] = {state->length, width};
    const float *rows[2] = {state->table, state->positions};
    if (state->pitch != width) {
        size_t counts[2] = {state->items, state->length};
        if (!owner->packed)
            owner->packed = forage_alloc(state->items + state->length, width * sizeof *owner->packed);
        if (!owner->packed)
            return sasrec_out_of_memory(state, error);
        float *to = owner->packed;
        for (size_t t = 0; t < 2; t++) {
            const float *from = rows[t];
            rows[t] = to;
            for (size_t r = 0; r < counts[t]; r++, to += width)
                memcpy(to, from + r * state->pitch, width * sizeof *to);
        }
    }
    FORAGE_TRY(nn_checkpoint_add(checkpoint, ITEMS, NN_F32, 2, items, rows[0], error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, PLACES, NN_F32, 2, places, rows[1], error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, AVERAGE, NN_F32, 1, &width, state->average, error));
    forage_free(owner->packed_encoder);
    owner->packed_encoder = NULL;
    return nn_encoder_save(state->encoder, state->encoder->values, ENCODER, checkpoint, &owner->packed_encoder, error);
}

/* A number beyond which what follows from it might be infinite, and then no number. */
static const float LARGEST = 1e9F;

static forage_status check_size(const nn_checkpoint *checkpoint, const char *name, const float *numbers, size_t count,
                                forage_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (fabsf(numbers[i]) > LARGEST)
            return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, name,
                                  "a weight is %g: none that was learned is that large", (double)numbers[i]);
    }
    return FORAGE_OK;
}

static forage_status read_table(const nn_checkpoint *checkpoint, const char *name, size_t rows,
                                const model_state *state, float *to, forage_error *error)
{
    size_t width = state->width, shape[2] = {rows, width};
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, name, 2, shape, to, error));
    FORAGE_TRY(check_size(checkpoint, name, to, rows * width, error));
    for (size_t r = rows; state->pitch != width && r-- > 0;) {
        memmove(to + r * state->pitch, to + r * width, width * sizeof *to);
        memset(to + r * state->pitch + width, 0, (state->pitch - width) * sizeof *to);
    }
    return FORAGE_OK;
}

forage_status sasrec_load(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                          forage_error *error)
{
    forage_status status;
    FORAGE_TRY(sasrec_build(setup, state, error));
    model_state *made = *state;
    FORAGE_TRY_GOTO(read_table(checkpoint, ITEMS, made->items, made, made->table, error), fail);
    FORAGE_TRY_GOTO(read_table(checkpoint, PLACES, made->length, made, made->positions, error), fail);
    if (nn_checkpoint_find(checkpoint, AVERAGE)) {
        FORAGE_TRY_GOTO(nn_checkpoint_read_weights(checkpoint, AVERAGE, 1, &made->width, made->average, error), fail);
        FORAGE_TRY_GOTO(check_size(checkpoint, AVERAGE, made->average, made->width, error), fail);
    }
    FORAGE_TRY_GOTO(nn_encoder_load(made->encoder, checkpoint, ENCODER, made->encoder->values, error), fail);
    FORAGE_TRY_GOTO(check_size(checkpoint, ENCODER, made->encoder->values, made->encoder->value_count, error), fail);
    sasrec_refresh(made);
    return FORAGE_OK;
fail:
    sasrec_free(made);
    *state = NULL;
    return status;
}

/* ---- files of PyTorch's ---- */

static const nn_tensor *find_matrix(const nn_checkpoint *checkpoint, const char *name)
{
    const nn_tensor *tensor = nn_checkpoint_find(checkpoint, name);
    bool good = tensor && tensor->dtype == NN_F32 && tensor->rank == 2 && tensor->shape[0] && tensor->shape[1];
    return good ? tensor : NULL;
}

static forage_status set_size(forage_params *values, const char *name, size_t size, forage_error *error)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%zu", size);
    return forage_params_set(values, name, text, error);
}

/* The state_dict of a module with these names. Shapes do not tell heads, activation and input-scale: the defaults. */
forage_status sasrec_recognise(const nn_checkpoint *checkpoint, forage_params *values, size_t *users, size_t *items,
                               bool *mine, forage_error *error)
{
    const nn_tensor *item = find_matrix(checkpoint, ITEMS), *place = find_matrix(checkpoint, PLACES);
    const nn_tensor *inner = find_matrix(checkpoint, "encoder.layers.0.linear1.weight");
    char name[64];
    size_t blocks = 0;
    *mine = false;
    if (!item || !place || !inner || place->shape[1] != item->shape[1])
        return FORAGE_OK;
    do
        (void)snprintf(name, sizeof name, "encoder.layers.%zu.linear1.weight", ++blocks);
    while (blocks < NN_ENCODER_BLOCK_LIMIT && find_matrix(checkpoint, name));
    bool pre = nn_checkpoint_find(checkpoint, "encoder.norm.weight") != NULL;
    FORAGE_TRY(set_size(values, "embedding-size", item->shape[1], error));
    FORAGE_TRY(set_size(values, "max-length", place->shape[0], error));
    FORAGE_TRY(set_size(values, "inner-size", inner->shape[0], error));
    FORAGE_TRY(set_size(values, "blocks", blocks, error));
    FORAGE_TRY(forage_params_set(values, "norm", pre ? "pre" : "post", error));
    *users = 0;
    *items = item->shape[0];
    *mine = true;
    return FORAGE_OK;
}
