/*
 * Who met what, by user and by item: made of training rows, saved and loaded.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/interactions.h"
#include "model/graph_unite.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void interactions_release(interactions *pairs)
{
    forage_free(pairs->offsets);
    forage_free(pairs->others);
    forage_free(pairs->weights);
    forage_free(pairs->counts);
    *pairs = (interactions){0};
}

/* Takes over a graph's arrays, with items counted from 0. */
static forage_status take(forage_graph *graph, interactions *pairs, forage_error *error)
{
    if (graph->edges == 0) {
        forage_graph_release(graph);
        return forage_fail(error, FORAGE_FORMAT, "no training row has a value above 0: nobody has chosen anything");
    }
    *pairs = (interactions){.users = graph->users,
                            .items = graph->items,
                            .count = graph->edges,
                            .offsets = graph->offsets,
                            .others = graph->neighbours,
                            .weights = graph->weights,
                            .binary = true,
                            .counts = forage_alloc(graph->users + 1, sizeof *pairs->counts)};
    *graph = (forage_graph){0};
    if (!pairs->counts) {
        interactions_release(pairs);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for what users met");
    }
    for (size_t e = 0; e < pairs->count; e++) {
        pairs->others[e] -= (uint32_t)pairs->users;
        pairs->binary = pairs->binary && pairs->weights[e] == 1;
    }
    for (size_t u = 0; u < pairs->users; u++)
        pairs->counts[u] = (uint32_t)(pairs->offsets[u + 1] - pairs->offsets[u]);
    return FORAGE_OK;
}

static forage_status make_graph(const forage_examples *examples, size_t user, size_t item, size_t users, size_t items,
                                forage_edge_weight weight, forage_graph *graph, forage_error *error)
{
    const forage_graph_events events = {.users = users,
                                        .items = items,
                                        .count = examples->count,
                                        .user = examples->codes[user],
                                        .item = examples->codes[item],
                                        .value = examples->reward};
    const forage_graph_options options = {.weight = weight};
    return forage_graph_create(&events, &options, graph, error);
}

forage_status interactions_create(const forage_examples *examples, size_t user, size_t item, size_t users, size_t items,
                                  forage_edge_weight weight, interactions *pairs, forage_error *error)
{
    forage_graph graph;
    *pairs = (interactions){0};
    FORAGE_TRY(make_graph(examples, user, item, users, items, weight, &graph, error));
    return take(&graph, pairs, error);
}

forage_status interactions_extend(const interactions *old, const uint32_t *user_map, const uint32_t *item_map,
                                  const forage_examples *examples, size_t user, size_t item, size_t users, size_t items,
                                  forage_edge_weight weight, interactions *pairs, forage_error *error)
{
    const model_old_edges edges = {.items = old->items,
                                   .count = old->count,
                                   .offsets = old->offsets,
                                   .others = old->others,
                                   .weights = old->weights};
    forage_graph graph;
    *pairs = (interactions){0};
    FORAGE_TRY(make_graph(examples, user, item, users, items, weight, &graph, error));
    FORAGE_TRY(model_graph_unite(&graph, &edges, user_map, item_map, error));
    return take(&graph, pairs, error);
}

/* ---- checkpoints ---- */

forage_status interactions_save(const interactions *pairs, nn_checkpoint *checkpoint, forage_error *error)
{
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "interactions.counts", NN_U32, 1, &pairs->users, pairs->counts, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "interactions.items", NN_U32, 1, &pairs->count, pairs->others, error));
    if (pairs->binary)
        return FORAGE_OK;
    return nn_checkpoint_add(checkpoint, "interactions.weights", NN_F32, 1, &pairs->count, pairs->weights, error);
}

/* What lies in the file, before it is turned into rows. */
typedef struct stored {
    uint32_t *counts, *user, *item;
    float *weights;
    size_t count;
} stored;

static forage_status read_stored(const nn_checkpoint *checkpoint, size_t users, stored *in, forage_error *error)
{
    const nn_tensor *list;
    size_t total = 0, e = 0;
    FORAGE_TRY(nn_checkpoint_need(checkpoint, "interactions.items", NN_U32, 1, &list, error));
    in->count = list->shape[0];
    in->counts = forage_alloc(users + 1, sizeof *in->counts);
    in->user = forage_alloc(in->count + 1, sizeof *in->user);
    in->item = forage_alloc(in->count + 1, sizeof *in->item);
    if (!in->counts || !in->user || !in->item)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for what users met");
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "interactions.counts", NN_U32, 1, &users, in->counts, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "interactions.items", NN_U32, 1, &in->count, in->item, error));
    if (nn_checkpoint_find(checkpoint, "interactions.weights")) {
        in->weights = forage_alloc(in->count + 1, sizeof *in->weights);
        if (!in->weights)
            return forage_fail(error, FORAGE_NO_MEMORY, "no memory for what users met");
        FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "interactions.weights", 1, &in->count, in->weights, error));
    }
    for (size_t u = 0; u < users; u++)
        total += in->counts[u];
    if (total != in->count || total == 0)
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "interactions.counts",
                              "the users' counts add up to %zu, but there are %zu items", total, in->count);
    for (size_t u = 0; u < users; u++) {
        for (uint32_t i = 0; i < in->counts[u]; i++)
            in->user[e++] = (uint32_t)u;
    }
    return FORAGE_OK;
}

static forage_status check_stored(const nn_checkpoint *checkpoint, const stored *in, size_t items, forage_error *error)
{
    for (size_t e = 0; e < in->count; e++) {
        bool follows = e > 0 && in->user[e] == in->user[e - 1];
        if (in->item[e] >= items || (follows && in->item[e] <= in->item[e - 1]))
            return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "interactions.items",
                                  "items of user %" PRIu32 " are not rising, or beyond %zu", in->user[e], items);
        if (in->weights && !(in->weights[e] > 0))
            return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "interactions.weights",
                                  "a weight is not above 0");
    }
    return FORAGE_OK;
}

forage_status interactions_load(const nn_checkpoint *checkpoint, size_t users, size_t items, interactions *pairs,
                                forage_error *error)
{
    stored in = {0};
    forage_graph graph;
    forage_status status;
    *pairs = (interactions){0};
    FORAGE_TRY_GOTO(read_stored(checkpoint, users, &in, error), end);
    FORAGE_TRY_GOTO(check_stored(checkpoint, &in, items, error), end);
    const forage_graph_events events = {users, items, in.count, in.user, in.item, in.weights, NULL};
    const forage_graph_options options = {.weight = FORAGE_EDGE_VALUE};
    FORAGE_TRY_GOTO(forage_graph_create(&events, &options, &graph, error), end);
    status = take(&graph, pairs, error);
end:
    forage_free(in.counts);
    forage_free(in.user);
    forage_free(in.item);
    forage_free(in.weights);
    return status;
}

forage_status interactions_fields(const char *model, const forage_schema *schema, size_t *user, size_t *item,
                                  forage_error *error)
{
    *user = model_schema_id(schema, FORAGE_OF_USER);
    *item = model_schema_id(schema, FORAGE_OF_ITEM);
    if (*user == SIZE_MAX || *item == SIZE_MAX)
        return forage_fail(error, FORAGE_INVALID, "%s needs the ids of users and of items among its fields", model);
    return FORAGE_OK;
}

forage_edge_weight interactions_weight(const forage_params *params)
{
    const char *weight = forage_params_text(params, "weight");
    if (strcmp(weight, "count") == 0)
        return FORAGE_EDGE_COUNT;
    return strcmp(weight, "value") == 0 ? FORAGE_EDGE_VALUE : FORAGE_EDGE_BINARY;
}
