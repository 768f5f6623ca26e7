/*
 * embedding_mlp.h: what the files of embedding-mlp share.
 *
 *   embedding_mlp.c      descriptor, the network of a schema, scoring, checkpoints
 *   embedding_mlp_fit.c  the loop of fitting
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_EMBEDDING_MLP_H
#define MODEL_EMBEDDING_MLP_H

#include "model/descriptor.h"
#include "nn/nn.h"

/* Streams of random numbers of one seed. */
enum { EMBEDDING_MLP_STREAM_WEIGHTS, EMBEDDING_MLP_STREAM_ORDER, EMBEDDING_MLP_STREAM_DROPOUT };

struct model_state {
    const forage_params *params;
    const forage_schema *schema;
    const forage_device *device;
    uint64_t seed;
    nn_mlp *mlp;
    float *packed; /* tensors that a checkpoint under way needs in one piece */
};

/* Columns of examples, sorted into those of the network's tables and those of its numbers. */
typedef struct embedding_mlp_columns {
    const uint32_t **codes;
    const float **numbers;
} embedding_mlp_columns;

/* Sorts them: [table_count] and [number_count] of the network. */
void embedding_mlp_sort_columns(const model_state *state, const forage_examples *examples,
                                const embedding_mlp_columns *into);
forage_status embedding_mlp_out_of_memory(forage_error *error);

/* embedding_mlp_fit.c */
forage_status embedding_mlp_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit,
                                      forage_error *error);
forage_status embedding_mlp_fit_step(model_fit *fit, model_progress *progress, forage_error *error);
void embedding_mlp_fit_end(model_fit *fit, bool keep);
forage_status embedding_mlp_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error);
forage_status embedding_mlp_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error);

#endif
