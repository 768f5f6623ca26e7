/*
 * graph_paths.c: why an item for somebody: the paths through what they chose and who else chose it.
 *
 * Paths are not walked one by one. For each chosen item, its users and those of the item in question are two rising
 * lists; the shorter one is walked and looked up in the longer one, in steps that double until they overshoot. Nothing
 * is allocated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/data.h"

#include <inttypes.h>
#include <math.h>

/* The place of the first node not below `node` in neighbours[from ... end). */
static size_t seek(const uint32_t *neighbours, size_t from, size_t end, uint32_t node)
{
    size_t step = 1, low = from, high = from;
    while (high < end && neighbours[high] < node) {
        low = high + 1;
        high = end - high > step ? high + step : end;
        step *= 2;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (neighbours[middle] < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The sum of values[a, v] values[v, b] over the users v that both nodes have, but for `self`; *users of them. */
static double meet(const forage_graph *graph, const float *values, size_t a, size_t b, uint32_t self, size_t *users)
{
    const uint32_t *neighbours = graph->neighbours;
    size_t at = graph->offsets[a], at_end = graph->offsets[a + 1];
    size_t to = graph->offsets[b], to_end = graph->offsets[b + 1];
    double sum = 0;
    *users = 0;
    if (at_end - at > to_end - to) {
        size_t other = at, other_end = at_end;
        at = to;
        at_end = to_end;
        to = other;
        to_end = other_end;
    }
    for (; at < at_end; at++) {
        to = seek(neighbours, to, to_end, neighbours[at]);
        if (to == to_end)
            break;
        if (neighbours[to] != neighbours[at] || neighbours[at] == self)
            continue;
        sum += (double)values[at] * (double)values[to];
        ++*users;
    }
    return sum;
}

/* Keeps `path` among the best `k`: stronger first, then lower item. */
static void keep(forage_path *paths, size_t k, size_t *found, forage_path path)
{
    size_t place = *found;
    while (place > 0 && (paths[place - 1].strength < path.strength ||
                         (paths[place - 1].strength == path.strength && paths[place - 1].item > path.item)))
        place--;
    if (place == k)
        return;
    if (*found < k)
        ++*found;
    for (size_t i = *found - 1; i > place; i--)
        paths[i] = paths[i - 1];
    paths[place] = path;
}

static double weight_of(const forage_path_start *history, size_t i)
{
    return history->weights ? (double)history->weights[i] : 1;
}

/* The normalised value of an edge that the graph has not: from somebody new, whose weights have that sum. */
static double first_step(const forage_graph *graph, const forage_path_start *history, size_t i, double sum)
{
    size_t node = graph->users + history->items[i];
    double degree = weight_of(history, i);
    for (size_t e = graph->offsets[node]; e < graph->offsets[node + 1]; e++)
        degree += (double)graph->weights[e];
    return weight_of(history, i) / sqrt(sum * degree);
}

static forage_status check(const forage_graph *graph, const forage_path_start *start, uint32_t item,
                           forage_error *error)
{
    if (item >= graph->items)
        return forage_fail(error, FORAGE_INVALID, "the graph has no item %" PRIu32, item);
    if (start->user != FORAGE_NONE && start->user >= graph->users)
        return forage_fail(error, FORAGE_INVALID, "the graph has no user %" PRIu32, start->user);
    for (size_t i = 0; start->user == FORAGE_NONE && i < start->count; i++) {
        if (start->items[i] >= graph->items)
            return forage_fail(error, FORAGE_INVALID, "the graph has no item %" PRIu32, start->items[i]);
        if (start->weights && !(start->weights[i] > 0 && isfinite(start->weights[i])))
            return forage_fail(error, FORAGE_INVALID, "item %zu of a history has a weight that is not above 0", i + 1);
    }
    return FORAGE_OK;
}

forage_status forage_graph_paths(const forage_graph *graph, const float *values, const forage_path_start *start,
                                 uint32_t item, size_t k, forage_path *paths, size_t *found, forage_error *error)
{
    bool known = start->user != FORAGE_NONE;
    double total = 0, sum = 0;
    *found = 0;
    FORAGE_TRY(check(graph, start, item, error));
    size_t first = known ? graph->offsets[start->user] : 0;
    size_t count = known ? graph->offsets[start->user + 1] - first : start->count;
    for (size_t i = 0; !known && i < count; i++)
        sum += weight_of(start, i);
    for (size_t i = 0; i < count; i++) {
        size_t node = known ? graph->neighbours[first + i] : graph->users + start->items[i];
        forage_path path = {.item = (uint32_t)(node - graph->users)};
        if (path.item == item)
            continue;
        double met = meet(graph, values, node, graph->users + item, start->user, &path.users);
        if (path.users == 0)
            continue;
        path.strength = met * (known ? (double)values[first + i] : first_step(graph, start, i, sum));
        total += path.strength;
        keep(paths, k, found, path);
    }
    for (size_t i = 0; i < *found; i++)
        paths[i].share = total > 0 ? paths[i].strength / total : 0;
    return FORAGE_OK;
}
