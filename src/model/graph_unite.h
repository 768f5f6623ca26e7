/*
 * graph_unite.h: the graph of new events, and what an older one has besides.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_GRAPH_UNITE_H
#define MODEL_GRAPH_UNITE_H

#include "forage/data.h"

/* Edges of before, by codes of their own: user u has others[e] - first with weights[e], e from offsets[u] up to
 * offsets[u + 1]. Without a single one the pointers may be NULL. Borrowed. */
typedef struct model_old_edges {
    size_t items, count;
    const size_t *offsets;
    const uint32_t *others;
    uint32_t first; /* what the first item is called in `others` */
    const float *weights;
} model_old_edges;

/* Adds to the graph those of the old edges that it does not have: between users and items that it knows, of which
 * user_map[code] and item_map[code] are the old codes, each once, or FORAGE_NONE. An edge that both have weighs what it
 * does in the graph. After a failure, FORAGE_NO_MEMORY, there is nothing left of the graph. */
forage_status model_graph_unite(forage_graph *graph, const model_old_edges *old, const uint32_t *user_map,
                                const uint32_t *item_map, forage_error *error);

#endif
