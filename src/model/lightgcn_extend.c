/*
 * lightgcn_extend.c: LightGCN for a world with further users and items, without another fit.
 *
 * Layer 0 of those who are known stays; that of the others is 0, so that they are what their edges bring: layers 1 to
 * K. The graph is that of the new events and of all edges of the old graph that these do not name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/lightgcn.h"

#include <string.h>

/* Edges in the making. */
typedef struct edge_list {
    uint32_t *user, *item;
    float *weight;
    size_t count;
} edge_list;

static bool allocate(edge_list *list, size_t count)
{
    list->user = forage_alloc(count + 1, sizeof *list->user);
    list->item = forage_alloc(count + 1, sizeof *list->item);
    list->weight = forage_alloc(count + 1, sizeof *list->weight);
    return list->user && list->item && list->weight;
}

static void release(edge_list *list)
{
    forage_free(list->user);
    forage_free(list->item);
    forage_free(list->weight);
}

static void add(edge_list *list, uint32_t user, uint32_t item, float weight)
{
    list->user[list->count] = user;
    list->item[list->count] = item;
    list->weight[list->count++] = weight;
}

/* map[code of new] = code of old, turned around. */
static uint32_t *invert(const uint32_t *map, size_t count, size_t old_count)
{
    uint32_t *inverse = forage_alloc(old_count + 1, sizeof *inverse);
    if (!inverse)
        return NULL;
    memset(inverse, 0xff, (old_count + 1) * sizeof *inverse); /* FORAGE_NONE */
    for (size_t code = 0; code < count; code++) {
        if (map[code] != FORAGE_NONE)
            inverse[map[code]] = (uint32_t)code;
    }
    return inverse;
}

/* The edges of the old graph that the state's does not have, by the state's codes; with `list` NULL they are counted
 * alone. */
static size_t left_out(const model_state *state, const model_state *old, const uint32_t *users, const uint32_t *items,
                       edge_list *list)
{
    const forage_graph *from = &old->graph;
    size_t count = 0;
    for (size_t u = 0; from->edges && u < old->users; u++) {
        for (size_t e = from->offsets[u]; users[u] != FORAGE_NONE && e < from->offsets[u + 1]; e++) {
            uint32_t item = items[from->neighbours[e] - old->users];
            if (item == FORAGE_NONE || forage_graph_has(&state->graph, users[u], state->users + item))
                continue;
            if (list)
                add(list, users[u], item, from->weights[e]);
            count++;
        }
    }
    return count;
}

static forage_status keep_edges(model_state *state, const model_state *old, const uint32_t *users,
                                const uint32_t *items, forage_error *error)
{
    const forage_graph *graph = &state->graph;
    size_t more = left_out(state, old, users, items, NULL);
    edge_list list = {0};
    if (more == 0)
        return FORAGE_OK;
    forage_status status = FORAGE_OK;
    if (!allocate(&list, graph->edges + more)) {
        status = lightgcn_out_of_memory(state, error);
        goto end;
    }
    for (size_t u = 0; u < state->users; u++) {
        for (size_t e = graph->offsets[u]; e < graph->offsets[u + 1]; e++)
            add(&list, (uint32_t)u, graph->neighbours[e] - (uint32_t)state->users, graph->weights[e]);
    }
    left_out(state, old, users, items, &list);
    status = lightgcn_connect_edges(state, list.user, list.item, list.weight, list.count, error);
end:
    release(&list);
    return status;
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
    uint32_t *users = invert(user_map, state->users, old->users);
    uint32_t *items = invert(item_map, state->items, old->items);
    forage_status status = users && items ? FORAGE_OK : lightgcn_out_of_memory(state, error);
    if (status == FORAGE_OK)
        status = lightgcn_connect(state, events, error);
    if (status == FORAGE_OK)
        status = keep_edges(state, old, users, items, error);
    if (status == FORAGE_OK) {
        take_over(state, old, user_map, item_map);
        status = lightgcn_settle(state, error);
    }
    forage_free(users);
    forage_free(items);
    return status;
}
