/*
 * lightgcn_file.c: checkpoints of LightGCN: layer 0 under the names of the authors' PyTorch code, and the graph, users'
 * rows alone. Theirs have no graph: then layer 0 is all there is, until forage_model_extend brings edges.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/lightgcn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

forage_status lightgcn_save(const model_state *state, nn_checkpoint *checkpoint, forage_error *error)
{
    /* The block for rows without their padding lives in the state, which outlives the checkpoint. */
    model_state *owner = (model_state *)(uintptr_t)state;
    size_t width = state->width, users[2] = {state->users, width}, items[2] = {state->items, width};
    size_t ends = state->users + 1, edges = state->graph.edges;
    const float *rows = state->base;
    if (state->pitch != width) {
        if (!owner->packed)
            owner->packed = forage_alloc(state->nodes, width * sizeof *owner->packed);
        if (!owner->packed)
            return lightgcn_out_of_memory(state, error);
        for (size_t n = 0; n < state->nodes; n++)
            memcpy(owner->packed + n * width, state->base + n * state->pitch, width * sizeof *rows);
        rows = owner->packed;
    }
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "embedding_user.weight", NN_F32, 2, users, rows, error));
    FORAGE_TRY(
        nn_checkpoint_add(checkpoint, "embedding_item.weight", NN_F32, 2, items, rows + state->users * width, error));
    if (edges == 0) /* it came from PyTorch without a graph */
        return FORAGE_OK;
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "graph.offsets", NN_U64, 1, &ends, state->graph.offsets, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "graph.nodes", NN_U32, 1, &edges, state->graph.neighbours, error));
    return nn_checkpoint_add(checkpoint, "graph.weights", NN_F32, 1, &edges, state->graph.weights, error);
}

/* The graph of a checkpoint: users' rows alone, as events. */
static forage_status read_graph(model_state *state, const nn_checkpoint *checkpoint, forage_error *error)
{
    const char *path = nn_checkpoint_path(checkpoint);
    size_t ends = state->users + 1;
    const nn_tensor *nodes;
    FORAGE_TRY(nn_checkpoint_need(checkpoint, "graph.nodes", NN_U32, 1, &nodes, error));
    size_t count = nodes->shape[0];
    uint64_t *offsets = forage_alloc(ends, sizeof *offsets);
    uint32_t *user = forage_alloc(count + 1, sizeof *user), *item = forage_alloc(count + 1, sizeof *item);
    float *weights = forage_alloc(count + 1, sizeof *weights);
    forage_graph graph;
    forage_status status = FORAGE_OK;
    if (!offsets || !user || !item || !weights) {
        status = lightgcn_out_of_memory(state, error);
        goto end;
    }
    FORAGE_TRY_GOTO(nn_checkpoint_read(checkpoint, "graph.offsets", NN_U64, 1, &ends, offsets, error), end);
    FORAGE_TRY_GOTO(nn_checkpoint_read(checkpoint, "graph.nodes", NN_U32, 1, &count, item, error), end);
    FORAGE_TRY_GOTO(nn_checkpoint_read_weights(checkpoint, "graph.weights", 1, &count, weights, error), end);
    bool good = offsets[0] == 0 && offsets[state->users] == count;
    for (size_t u = 0; good && u < state->users; u++) {
        good = offsets[u] <= offsets[u + 1] && offsets[u + 1] <= count;
        for (uint64_t e = offsets[u]; good && e < offsets[u + 1]; e++) {
            user[e] = (uint32_t)u;
            item[e] -= (uint32_t)state->users; /* below: wraps around to large */
            good = item[e] < state->items && weights[e] > 0 && (e == offsets[u] || item[e] > item[e - 1]);
        }
    }
    if (!good) {
        status = forage_fail_at(error, FORAGE_FORMAT, path, 0, "graph.nodes", "these are not the edges of a graph");
        goto end;
    }
    const forage_graph_events events = {state->users, state->items, count, user, item, weights, NULL};
    const forage_graph_options options = {.weight = FORAGE_EDGE_VALUE};
    FORAGE_TRY_GOTO(forage_graph_create(&events, &options, &graph, error), end);
    status = lightgcn_connect(state, &graph, error);
end:
    forage_free(offsets);
    forage_free(user);
    forage_free(item);
    forage_free(weights);
    return status;
}

/* A number beyond which products of what follows from it might be infinite, and their sums no numbers. */
static const float LARGEST = 1e12F;

static forage_status read_table(const nn_checkpoint *checkpoint, const char *name, size_t rows,
                                const model_state *state, float *to, forage_error *error)
{
    size_t width = state->width, shape[2] = {rows, width};
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, name, 2, shape, to, error));
    for (size_t i = 0; i < rows * width; i++) {
        if (fabsf(to[i]) > LARGEST)
            return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, name,
                                  "number %zu is %g: no embedding is that large", i + 1, (double)to[i]);
    }
    for (size_t r = rows; state->pitch != width && r-- > 0;) {
        memmove(to + r * state->pitch, to + r * width, width * sizeof *to);
        memset(to + r * state->pitch + width, 0, (state->pitch - width) * sizeof *to);
    }
    return FORAGE_OK;
}

forage_status lightgcn_load(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                            forage_error *error)
{
    forage_status status;
    FORAGE_TRY(lightgcn_build(setup, state, error));
    model_state *made = *state;
    FORAGE_TRY_GOTO(read_table(checkpoint, "embedding_user.weight", made->users, made, made->base, error), fail);
    FORAGE_TRY_GOTO(read_table(checkpoint, "embedding_item.weight", made->items, made,
                               made->base + made->users * made->pitch, error),
                    fail);
    if (nn_checkpoint_find(checkpoint, "graph.nodes")) /* PyTorch's has none: then layer 0 is all there is */
        FORAGE_TRY_GOTO(read_graph(made, checkpoint, error), fail);
    FORAGE_TRY_GOTO(lightgcn_settle(made, error), fail);
    return FORAGE_OK;
fail:
    lightgcn_free(made);
    *state = NULL;
    return status;
}

/* A state_dict of the authors' PyTorch code. */
forage_status lightgcn_recognise(const nn_checkpoint *checkpoint, forage_params *values, size_t *users, size_t *items,
                                 bool *mine, forage_error *error)
{
    const nn_tensor *user = nn_checkpoint_find(checkpoint, "embedding_user.weight");
    const nn_tensor *item = nn_checkpoint_find(checkpoint, "embedding_item.weight");
    char size[32];
    *mine = false;
    if (!user || !item || user->dtype != NN_F32 || item->dtype != NN_F32 || user->rank != 2 || item->rank != 2 ||
        !user->shape[0] || !item->shape[0] || user->shape[1] != item->shape[1])
        return FORAGE_OK;
    (void)snprintf(size, sizeof size, "%zu", user->shape[1]);
    FORAGE_TRY(forage_params_set(values, "embedding-size", size, error));
    *users = user->shape[0];
    *items = item->shape[0];
    *mine = true;
    return FORAGE_OK;
}
