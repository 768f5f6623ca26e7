/*
 * lightgcn_train.h: one step of Adam on a batch of edges.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_LIGHTGCN_TRAIN_H
#define MODEL_LIGHTGCN_TRAIN_H

#include "model/lightgcn.h"
#include "nn/nn.h"

typedef struct lightgcn_trainer {
    model_state *state;
    const nn_kernels *kernels;
    size_t batch; /* edges at most */
    size_t parts; /* nodes of an edge of the batch: 2, with BPR 3 */
    double l2;
    nn_adam_step adam;
    uint64_t steps;       /* of Adam so far */
    float *mean, *square; /* [nodes, pitch] of Adam */
    float *layers[2];     /* [nodes, pitch], as many as there are layers less one */
    nn_inbatch *softmax;  /* NULL: BPR */

    /* Of the batch at hand. */
    size_t count; /* edges */
    const uint32_t *const *nodes;
    uint32_t *slots; /* [nodes] place in `list`, or FORAGE_NONE */
    uint32_t *list;  /* [parts x batch] nodes, each once */
    uint32_t *times; /* [parts x batch] how often each occurs */
    size_t list_count;
    float *rows;      /* [parts x batch, pitch] E, by place in `list`; then its gradient */
    float *vectors;   /* [parts, batch, pitch] E of the edges' nodes */
    float *gradients; /* the same */
    double *losses;   /* [chunks of BPR] */
    float *blocks;    /* [threads, rows of a block, pitch] */
} lightgcn_trainer;

/* Edges of a step, of `edges` in all: as the parameters say, or chosen by how many there are. */
size_t lightgcn_batch_size(const model_state *state, size_t edges);
/* Is the loss BPR? */
bool lightgcn_pairwise(const model_state *state);
/* For batches of up to `batch` edges of the state's graph, with the settings of its parameters. */
forage_status lightgcn_trainer_create(model_state *state, size_t batch, lightgcn_trainer **trainer,
                                      forage_error *error);
void lightgcn_trainer_free(lightgcn_trainer *trainer); /* NULL is fine */
/* Bytes that it takes. */
double lightgcn_trainer_memory(const model_state *state, size_t batch);
/* One step with this learning rate; the mean loss of the batch before it, with the penalty. Where that is no finite
 * number the weights are left as they were. */
double lightgcn_trainer_step(lightgcn_trainer *trainer, const lightgcn_batch *batch, double rate);

#endif
