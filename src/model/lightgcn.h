/*
 * lightgcn.h: what the files of LightGCN share: the state (lightgcn.c), its fit (lightgcn_fit.c), and how it takes in
 * users and items that are new (lightgcn_extend.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_LIGHTGCN_H
#define MODEL_LIGHTGCN_H

#include "la/la.h"
#include "model/descriptor.h"

/* Streams of random numbers of one seed. */
enum { LIGHTGCN_STREAM_WEIGHTS, LIGHTGCN_STREAM_ORDER, LIGHTGCN_STREAM_NEW };

enum { LIGHTGCN_LAYERS = 16 };

/* Nodes are users, then items (forage_graph). A row of a table belongs to a node and has `pitch` floats. */
struct model_state {
    const model_setup *setup;
    const forage_params *params;
    const forage_device *device;
    uint64_t seed;
    size_t user_field, item_field; /* of the examples */
    size_t users, items, nodes;
    size_t width, pitch;
    size_t layers;
    forage_graph graph; /* no edges before it is fitted */
    float *values;      /* [2 x edges] of the normalised graph */
    float *base;        /* [nodes, pitch] embeddings of layer 0: all that is learned */
    /* [nodes + 2, pitch]: the means of layers 0 to K, by which is scored. A node without edges or with edges that lead
     * to nobody who has a vector, and the last two rows, have the average user's and the average item's. */
    float *final;
    float *folded; /* [items, pitch]: what an edge to an item brings to a user who is new, before normalisation: the sum
                      of its layers 0 to K - 1, divided by K + 1 */
    double *degrees; /* [items] sums of weights */
    float *packed;   /* [nodes, width]: tensors of a checkpoint under way */
};

la_csr lightgcn_matrix(const model_state *state);
/* The graph of some examples, weighted as the parameters say. */
forage_status lightgcn_graph(const model_state *state, const forage_examples *examples, forage_graph *graph,
                             forage_error *error);
/* A graph of its users and items into a state that has none, or another one. Takes the graph over, whatever comes. */
forage_status lightgcn_connect(model_state *state, forage_graph *graph, forage_error *error);
/* `final` and `folded` from `base` and the graph. `layers`: [nodes, pitch] each, as many as there are layers less one,
 * at most two. */
void lightgcn_propagate(model_state *state, float *const layers[2]);
/* The same with layers of its own. */
forage_status lightgcn_settle(model_state *state, forage_error *error);
/* Before a fit, with `final` of before: draws layer 0 of nodes that have edges, but only the average for a vector:
 * somebody new who met nobody known. A cosine would have no gradient for them. */
void lightgcn_wake(model_state *state);
/* After a fit: layer 0 of nodes without edges, which nobody learned, becomes 0. What was drawn for them would pass for
 * knowledge as soon as they get edges. */
void lightgcn_forget(model_state *state);
forage_status lightgcn_out_of_memory(const model_state *state, forage_error *error);
/* Bytes of the tables of `state`'s size, and of a graph of `edges`. */
double lightgcn_memory(const model_state *state, double edges);

extern const model_catalogue lightgcn_catalogue;

/* All zero, and without a graph; NULL is fine for the second. */
forage_status lightgcn_build(const model_setup *setup, model_state **state, forage_error *error);
void lightgcn_free(model_state *state);

/* lightgcn_file.c */
forage_status lightgcn_save(const model_state *state, nn_checkpoint *checkpoint, forage_error *error);
forage_status lightgcn_load(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                            forage_error *error);
forage_status lightgcn_recognise(const nn_checkpoint *checkpoint, forage_params *values, size_t *users, size_t *items,
                                 bool *mine, forage_error *error);

/* lightgcn_extend.c */
forage_status lightgcn_extend(model_state *state, const model_state *old, const uint32_t *user_map,
                              const uint32_t *item_map, const forage_examples *events, forage_error *error);

/* lightgcn_fit.c */
double lightgcn_fit_memory(const model_state *state, const model_fit_input *input);
forage_status lightgcn_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit,
                                 forage_error *error);
forage_status lightgcn_fit_step(model_fit *fit, model_progress *progress, forage_error *error);
void lightgcn_fit_end(model_fit *fit, bool keep);
forage_status lightgcn_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error);
forage_status lightgcn_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error);

/* Edges to learn from at once: nodes of users, of one item of each and, with BPR, of an item that the user has not. */
typedef struct lightgcn_batch {
    size_t count;
    const uint32_t *nodes[3]; /* [count] each; the third is NULL but with BPR */
} lightgcn_batch;

/* The two halves of a step, so that tests can see what is drawn and say what is learned from: the batch whose turn it
 * is (borrowed until the next call), and one step of Adam on any batch of at most batch-size edges. *loss is that of
 * the batch before the step, with the penalty. */
void lightgcn_fit_draw(model_fit *fit, lightgcn_batch *batch);
forage_status lightgcn_fit_learn(model_fit *fit, const lightgcn_batch *batch, double *loss, forage_error *error);

#endif
