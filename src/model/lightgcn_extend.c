/*
 * lightgcn_extend.c: LightGCN for a world with further users and items, without another fit.
 *
 * Layer 0 of those who are known stays; that of the others is 0, so that they are what their edges bring: layers 1 to
 * K. The graph is that of the new events and of all edges of the old graph that these do not name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/graph_unite.h"
#include "model/lightgcn.h"

#include <string.h>

/* The graph of the events, and what the old one has besides. */
static forage_status connect(model_state *state, const model_state *old, const uint32_t *user_map,
                             const uint32_t *item_map, const forage_examples *events, forage_error *error)
{
    const forage_graph *from = &old->graph;
    const model_old_edges edges = {.items = old->items,
                                   .count = from->edges,
                                   .offsets = from->offsets,
                                   .others = from->neighbours,
                                   .first = (uint32_t)old->users,
                                   .weights = from->weights};
    forage_graph graph;
    FORAGE_TRY(lightgcn_graph(state, events, &graph, error));
    FORAGE_TRY(model_graph_unite(&graph, &edges, user_map, item_map, error));
    return lightgcn_connect(state, &graph, error);
}

static void take_over(model_state *state, const model_state *old, const uint32_t *user_map, const uint32_t *item_map)
{
    for (size_t n = 0; n < state->nodes; n++) {
        bool is_user = n < state->users;
        uint32_t from = is_user ? user_map[n] : item_map[n - state->users];
        float *row = state->base + n * state->pitch;
        if (from == FORAGE_NONE)
            memset(row, 0, state->pitch * sizeof *row);
        else
            memcpy(row, old->base + (is_user ? from : old->users + from) * old->pitch, state->pitch * sizeof *row);
    }
}

forage_status lightgcn_extend(model_state *state, const model_state *old, const uint32_t *user_map,
                              const uint32_t *item_map, const forage_examples *events, forage_error *error)
{
    if (old->width != state->width)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "embedding-size",
                              "the model to go on from has embeddings of %zu numbers, not of %zu", old->width,
                              state->width);
    FORAGE_TRY(connect(state, old, user_map, item_map, events, error));
    take_over(state, old, user_map, item_map);
    return lightgcn_settle(state, error);
}
