/*
 * Edges of a new graph and of an old one, as one graph.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/graph_unite.h"

#include <string.h>

/* Edges in the making. */
typedef struct edge_list {
    uint32_t *user, *item;
    float *weight;
    size_t count;
} edge_list;

static bool allocate(edge_list *list, size_t count)
{
    list->user = forage_alloc(count, sizeof *list->user);
    list->item = forage_alloc(count, sizeof *list->item);
    list->weight = forage_alloc(count, sizeof *list->weight);
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

/* The old edges that the graph does not have, by its codes; with `list` NULL they are counted alone. `items`: the
 * graph's code of each old item. */
static size_t left_out(const forage_graph *graph, const model_old_edges *old, const uint32_t *user_map,
                       const uint32_t *items, edge_list *list)
{
    size_t count = 0;
    for (size_t u = 0; u < graph->users; u++) {
        if (user_map[u] == FORAGE_NONE)
            continue;
        for (size_t e = old->offsets[user_map[u]]; e < old->offsets[user_map[u] + 1]; e++) {
            uint32_t item = items[old->others[e] - old->first];
            if (item == FORAGE_NONE || forage_graph_has(graph, u, graph->users + item))
                continue;
            if (list)
                add(list, (uint32_t)u, item, old->weights[e]);
            count++;
        }
    }
    return count;
}

static forage_status unite(forage_graph *graph, const model_old_edges *old, const uint32_t *user_map,
                           const uint32_t *items, edge_list *list, forage_error *error)
{
    size_t more = items ? left_out(graph, old, user_map, items, NULL) : 0;
    if (items && more == 0)
        return FORAGE_OK;
    if (!items || !allocate(list, graph->edges + more)) {
        forage_graph_release(graph);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to add %zu old edges to a graph", old->count);
    }
    for (size_t u = 0; u < graph->users; u++) {
        for (size_t e = graph->offsets[u]; e < graph->offsets[u + 1]; e++)
            add(list, (uint32_t)u, graph->neighbours[e] - (uint32_t)graph->users, graph->weights[e]);
    }
    left_out(graph, old, user_map, items, list);
    const forage_graph_events events = {graph->users, graph->items, list->count, list->user,
                                        list->item,   list->weight, NULL};
    const forage_graph_options options = {.weight = FORAGE_EDGE_VALUE};
    forage_graph_release(graph);
    return forage_graph_create(&events, &options, graph, error);
}

forage_status model_graph_unite(forage_graph *graph, const model_old_edges *old, const uint32_t *user_map,
                                const uint32_t *item_map, forage_error *error)
{
    edge_list list = {0};
    if (old->count == 0)
        return FORAGE_OK;
    uint32_t *items = invert(item_map, graph->items, old->items);
    forage_status status = unite(graph, old, user_map, items, &list, error);
    forage_free(items);
    release(&list);
    return status;
}
