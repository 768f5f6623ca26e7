/*
 * graph.c: bipartite graphs of users and items from events.
 *
 * Both directions are made by counting sort: events to items, then items' rows, taken in order, to users,
 * which leaves every user's row sorted by item; then users' rows, in order, back to items. Two passes over
 * the edges sort all rows, without a comparison.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/data.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Half-edges by one end: of end n, `other` and `weight` from start[n] up to start[n + 1]. */
typedef struct half {
    size_t *start;
    uint32_t *other;
    float *weight;
} half;

static void release_half(half *edges)
{
    forage_free(edges->start);
    forage_free(edges->other);
    forage_free(edges->weight);
    *edges = (half){0};
}

/* Room for `count` half-edges of `ends`, with start[n + 1] = 0: counting begins there. */
static bool make_half(size_t ends, size_t count, half *edges)
{
    edges->start = forage_calloc(ends + 2, sizeof *edges->start);
    edges->other = forage_alloc(count + 1, sizeof *edges->other);
    edges->weight = forage_alloc(count + 1, sizeof *edges->weight);
    return edges->start && edges->other && edges->weight;
}

void forage_graph_release(forage_graph *graph)
{
    forage_free(graph->offsets);
    forage_free(graph->neighbours);
    forage_free(graph->weights);
    *graph = (forage_graph){0};
}

static forage_status check(const forage_graph_events *events, const forage_graph_options *options, forage_error *error)
{
    if (events->users > UINT32_MAX - 1 || events->items > UINT32_MAX - 1 - events->users)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%zu users and %zu items are more nodes than a graph can number",
                           events->users, events->items);
    if (!(options->half_life >= 0) || isinf(options->half_life))
        return forage_fail(error, FORAGE_INVALID, "a half-life must be a number of at least 0");
    if (options->half_life > 0 && !events->time)
        return forage_fail(error, FORAGE_INVALID, "a half-life needs the events' times, which this log has not");
    for (size_t i = 0; i < events->count; i++) {
        uint32_t user = events->user[i], item = events->item[i];
        if ((user != FORAGE_NONE && user >= events->users) || (item != FORAGE_NONE && item >= events->items))
            return forage_fail(error, FORAGE_INVALID,
                               "event %zu is of user %" PRIu32 " and item %" PRIu32 ", beyond %zu users and %zu items",
                               i + 1, user, item, events->users, events->items);
        if (events->value && !isfinite(events->value[i]))
            return forage_fail(error, FORAGE_INVALID, "the value of event %zu is no finite number", i + 1);
    }
    return FORAGE_OK;
}

static bool makes_edge(const forage_graph_events *events, size_t i)
{
    return events->user[i] != FORAGE_NONE && events->item[i] != FORAGE_NONE && (!events->value || events->value[i] > 0);
}

/* What event i adds to its edge. */
static float event_weight(const forage_graph_events *events, const forage_graph_options *options, int64_t latest,
                          size_t i)
{
    double weight = options->weight == FORAGE_EDGE_VALUE && events->value ? (double)events->value[i] : 1;
    if (options->half_life > 0) {
        uint64_t age = (uint64_t)latest - (uint64_t)events->time[i]; /* cannot overflow: latest is not earlier */
        weight *= exp2(-(double)age / options->half_life);
    }
    float rounded = (float)weight;
    return rounded >= 1e-30F ? rounded <= 1e30F ? rounded : 1e30F : 1e-30F; /* an edge is an edge */
}

/* Events to half-edges by item, in the order of events. */
static bool by_item(const forage_graph_events *events, const forage_graph_options *options, half *edges)
{
    int64_t latest = INT64_MIN;
    size_t count = 0;
    for (size_t i = 0; i < events->count; i++) {
        if (!makes_edge(events, i))
            continue;
        count++;
        if (options->half_life > 0 && events->time[i] > latest)
            latest = events->time[i];
    }
    if (!make_half(events->items, count, edges))
        return false;
    for (size_t i = 0; i < events->count; i++) {
        if (makes_edge(events, i))
            edges->start[events->item[i] + 2]++;
    }
    for (size_t n = 0; n < events->items; n++)
        edges->start[n + 2] += edges->start[n + 1];
    for (size_t i = 0; i < events->count; i++) {
        if (!makes_edge(events, i))
            continue;
        size_t at = edges->start[events->item[i] + 1]++;
        edges->other[at] = events->user[i];
        edges->weight[at] = event_weight(events, options, latest, i);
    }
    return true;
}

/* Half-edges by one end to half-edges by the other: rows of the result are sorted by the first end. */
static bool turn(const half *from, size_t from_ends, size_t ends, half *to)
{
    size_t count = from->start[from_ends];
    if (!make_half(ends, count, to))
        return false;
    for (size_t e = 0; e < count; e++)
        to->start[from->other[e] + 2]++;
    for (size_t n = 0; n < ends; n++)
        to->start[n + 2] += to->start[n + 1];
    for (size_t n = 0; n < from_ends; n++) {
        for (size_t e = from->start[n]; e < from->start[n + 1]; e++) {
            size_t at = to->start[from->other[e] + 1]++;
            to->other[at] = (uint32_t)n;
            to->weight[at] = from->weight[e];
        }
    }
    return true;
}

/* Makes one of what stands several times in a sorted row: the sum of the weights, or (binary) the largest. */
static void unite(half *edges, size_t ends, bool binary)
{
    size_t kept = 0, begin = 0;
    for (size_t n = 0; n < ends; n++) {
        size_t first = kept, end = edges->start[n + 1];
        for (size_t e = begin; e < end; e++) {
            float weight = edges->weight[e];
            if (kept > first && edges->other[kept - 1] == edges->other[e]) {
                float *old = &edges->weight[kept - 1];
                *old = binary ? (*old > weight ? *old : weight) : *old + weight;
                continue;
            }
            edges->other[kept] = edges->other[e];
            edges->weight[kept++] = weight;
        }
        begin = end;
        edges->start[n + 1] = kept;
    }
}

/* The graph from both directions. */
static bool join(const half *users, const half *items, forage_graph *graph)
{
    size_t edges = graph->edges;
    graph->offsets = forage_alloc(graph->users + graph->items + 1, sizeof *graph->offsets);
    graph->neighbours = forage_alloc(2 * edges + 1, sizeof *graph->neighbours);
    graph->weights = forage_alloc(2 * edges + 1, sizeof *graph->weights);
    if (!graph->offsets || !graph->neighbours || !graph->weights)
        return false;
    for (size_t u = 0; u <= graph->users; u++)
        graph->offsets[u] = users->start[u];
    for (size_t i = 0; i <= graph->items; i++)
        graph->offsets[graph->users + i] = edges + items->start[i];
    for (size_t e = 0; e < edges; e++)
        graph->neighbours[e] = (uint32_t)graph->users + users->other[e];
    memcpy(graph->neighbours + edges, items->other, edges * sizeof *graph->neighbours);
    memcpy(graph->weights, users->weight, edges * sizeof *graph->weights);
    memcpy(graph->weights + edges, items->weight, edges * sizeof *graph->weights);
    return true;
}

forage_status forage_graph_create(const forage_graph_events *events, const forage_graph_options *options,
                                  forage_graph *graph, forage_error *error)
{
    static const forage_graph_options defaults = {0};
    half raw = {0}, users = {0}, items = {0};
    *graph = (forage_graph){0};
    if (!options)
        options = &defaults;
    FORAGE_TRY(check(events, options, error));
    bool good = by_item(events, options, &raw) && turn(&raw, events->items, events->users, &users);
    release_half(&raw);
    if (good) {
        unite(&users, events->users, options->weight == FORAGE_EDGE_BINARY);
        graph->users = events->users;
        graph->items = events->items;
        graph->edges = users.start[events->users];
        good = turn(&users, events->users, events->items, &items) && join(&users, &items, graph);
    }
    release_half(&users);
    release_half(&items);
    if (good)
        return FORAGE_OK;
    forage_graph_release(graph);
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a graph of %zu events", events->count);
}

bool forage_graph_has(const forage_graph *graph, size_t node, size_t other)
{
    if (node >= graph->users + graph->items)
        return false;
    size_t low = graph->offsets[node], end = graph->offsets[node + 1], high = end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (graph->neighbours[middle] < other)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && graph->neighbours[low] == other;
}

forage_status forage_graph_normalise(const forage_graph *graph, float *values, forage_error *error)
{
    size_t nodes = graph->users + graph->items;
    double *sums = forage_calloc(nodes + 1, sizeof *sums);
    if (!sums)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to normalise a graph of %zu nodes", nodes);
    for (size_t n = 0; n < nodes; n++) {
        for (size_t e = graph->offsets[n]; e < graph->offsets[n + 1]; e++)
            sums[n] += (double)graph->weights[e];
    }
    for (size_t n = 0; n < nodes; n++) {
        for (size_t e = graph->offsets[n]; e < graph->offsets[n + 1]; e++)
            values[e] = (float)((double)graph->weights[e] / sqrt(sums[n] * sums[graph->neighbours[e]]));
    }
    forage_free(sums);
    return FORAGE_OK;
}
