/*
 * crowd_shop.c: one shop, looked at: its graph, where users and products lie on a plane, and what one user of each
 * persona is offered, and why.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/chapter4.h"

#include <math.h>
#include <string.h>

#include "eval/vectors.h"

enum { DRAWN = 200 /* users on the plane: more would hide each other */, FEW = 3 /* clicks of a customer at least */ };

typedef struct shop {
    eval_world world;
    size_t rows;
    forage_graph graph;
    float *values; /* [2 x edges], normalised */
    bool *chosen;
    uint32_t persona[CROWD_USERS], category[CROWD_ITEMS];
} shop;

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
}

static forage_status open_shop(const eval_study *study, shop *s, forage_error *error)
{
    FORAGE_TRY(crowd_sizes_open(study, 0, &s->world, error));
    const forage_dataset *log = s->world.log;
    s->rows = crowd_sizes_rows(CROWD_SHOWN);
    const forage_graph_events events = {.users = s->world.users,
                                        .items = s->world.items,
                                        .count = s->rows,
                                        .user = log->user,
                                        .item = log->item,
                                        .value = log->value};
    FORAGE_TRY(forage_graph_create(&events, NULL, &s->graph, error));
    s->values = forage_alloc(2 * s->graph.edges + 1, sizeof *s->values);
    s->chosen = forage_alloc(s->world.users, s->world.items * sizeof *s->chosen);
    if (!s->values || !s->chosen)
        return no_memory(error);
    FORAGE_TRY(forage_graph_normalise(&s->graph, s->values, error));
    crowd_chosen(&s->world, s->rows, s->chosen);
    crowd_groups(&s->world, s->persona, s->category);
    return FORAGE_OK;
}

static void close_shop(shop *s)
{
    forage_graph_release(&s->graph);
    forage_free(s->values);
    forage_free(s->chosen);
    eval_world_release(&s->world);
}

/* ------------------------------------------------------------------ *
 * The graph
 * ------------------------------------------------------------------ */

static size_t degree(const forage_graph *graph, size_t node)
{
    return graph->offsets[node + 1] - graph->offsets[node];
}

/* Of the nodes [first, first + count). */
static forage_status count_degrees(const forage_graph *graph, size_t first, size_t count, forage_degrees *degrees,
                                   forage_error *error)
{
    size_t sum = 0, below = 0;
    *degrees = (forage_degrees){.nodes = count};
    for (size_t node = first; node < first + count; ++node) {
        sum += degree(graph, node);
        degrees->most = degree(graph, node) > degrees->most ? degree(graph, node) : degrees->most;
    }
    degrees->count = forage_calloc(degrees->most + 1, sizeof *degrees->count);
    if (!degrees->count)
        return no_memory(error);
    for (size_t node = first; node < first + count; ++node)
        ++degrees->count[degree(graph, node)];
    degrees->none = degrees->count[0];
    degrees->mean = (double)sum / (double)count;
    while (2 * (below + degrees->count[degrees->median]) < count)
        below += degrees->count[degrees->median++];
    return FORAGE_OK;
}

/* From each node of a side evenly to a neighbour, and on to another node of the side: the probability of ending in the
 * same group, mean over the nodes from which there is such a way. */
static double walk(const forage_graph *graph, size_t first, size_t count, const uint32_t *group)
{
    double sum = 0;
    size_t nodes = 0;
    for (size_t node = first; node < first + count; ++node) {
        double same = 0;
        size_t ways = 0;
        for (size_t e = graph->offsets[node]; e < graph->offsets[node + 1]; ++e) {
            size_t middle = graph->neighbours[e], others = degree(graph, middle) - 1, here = 0;
            for (size_t f = graph->offsets[middle]; f < graph->offsets[middle + 1]; ++f)
                here += group[graph->neighbours[f] - first] == group[node - first];
            same += others ? (double)(here - 1) / (double)others : 0; /* without itself */
            ways += others > 0;
        }
        sum += ways ? same / (double)ways : 0;
        nodes += ways > 0;
    }
    return nodes ? sum / (double)nodes : (double)NAN;
}

/* The probability that two different ones are of the same group. */
static double chance(const uint32_t *group, size_t count)
{
    size_t same = 0;
    for (size_t a = 0; a < count; ++a)
        for (size_t b = a + 1; b < count; ++b)
            same += group[a] == group[b];
    return count > 1 ? 2 * (double)same / ((double)count * (double)(count - 1)) : (double)NAN;
}

/* Adds how many products are 1, 3, 5 ... steps from a user. */
static void reach(const forage_graph *graph, size_t user, double *products)
{
    bool near[CROWD_USERS + CROWD_ITEMS] = {false};
    uint32_t ring[CROWD_USERS + CROWD_ITEMS];
    size_t begin = 0, end = 1, items = 0;
    near[user] = true;
    ring[0] = (uint32_t)user;
    for (size_t step = 1; step < 2 * FORAGE_GRAPH_HOPS; ++step) {
        size_t reached = end;
        for (; begin < reached; ++begin)
            for (size_t e = graph->offsets[ring[begin]]; e < graph->offsets[ring[begin] + 1]; ++e)
                if (!near[graph->neighbours[e]]) {
                    near[graph->neighbours[e]] = true;
                    ring[end++] = graph->neighbours[e];
                }
        if (step % 2 == 1) {
            items += end - reached;
            products[step / 2] += (double)items;
        }
    }
}

static forage_status fill_graph(const shop *s, forage_graph_facts *facts, forage_error *error)
{
    const forage_graph *graph = &s->graph;
    *facts =
        (forage_graph_facts){.users = graph->users, .items = graph->items, .visits = s->rows, .edges = graph->edges};
    for (size_t row = 0; row < s->rows; ++row)
        facts->clicks += s->world.log->value[row] > 0;
    for (size_t user = 0; user < graph->users; ++user)
        reach(graph, user, facts->reach);
    for (size_t h = 0; h < FORAGE_GRAPH_HOPS; ++h)
        facts->reach[h] /= (double)graph->users * (double)graph->items;
    facts->same_persona = walk(graph, 0, graph->users, s->persona);
    facts->same_persona_chance = chance(s->persona, graph->users);
    facts->same_category = walk(graph, graph->users, graph->items, s->category);
    facts->same_category_chance = chance(s->category, graph->items);
    FORAGE_TRY(count_degrees(graph, 0, graph->users, &facts->user, error));
    return count_degrees(graph, graph->users, graph->items, &facts->item, error);
}

/* ------------------------------------------------------------------ *
 * The map
 * ------------------------------------------------------------------ */

static forage_status place_all(const eval_plane *plane, const double *unit, const uint32_t *group, size_t count,
                               forage_map_point **points, forage_error *error)
{
    *points = forage_calloc(count, sizeof **points);
    if (!*points)
        return no_memory(error);
    for (size_t i = 0; i < count; ++i) {
        double place[2];
        eval_plane_place(plane, unit + i * plane->width, place);
        (*points)[i] = (forage_map_point){(float)place[0], (float)place[1], (uint32_t)i, group[i]};
    }
    return FORAGE_OK;
}

static forage_status unit_rows(const forage_model *model, forage_owner owner, size_t *width, double **unit,
                               forage_error *error)
{
    forage_embedding table;
    FORAGE_TRY(forage_model_embedding(model, owner, &table, error));
    *width = table.width;
    return eval_unit_rows(&table, unit, error);
}

static forage_status draw_view(const shop *s, const forage_model *model, forage_map_view *view, forage_error *error)
{
    double *users = NULL, *items = NULL;
    size_t width;
    eval_plane plane = {0};
    forage_status status;
    FORAGE_TRY_GOTO(unit_rows(model, FORAGE_OF_USER, &width, &users, error), end);
    FORAGE_TRY_GOTO(unit_rows(model, FORAGE_OF_ITEM, &width, &items, error), end);
    FORAGE_TRY_GOTO(eval_plane_fit(users, s->world.users, width, &plane, error), end);
    view->explained[0] = plane.explained[0];
    view->explained[1] = plane.explained[1];
    FORAGE_TRY_GOTO(place_all(&plane, users, s->persona, DRAWN, &view->users, error), end);
    FORAGE_TRY_GOTO(place_all(&plane, items, s->category, CROWD_ITEMS, &view->items, error), end);
end:
    eval_plane_release(&plane);
    forage_free(users);
    forage_free(items);
    return status;
}

/* ------------------------------------------------------------------ *
 * Customers
 * ------------------------------------------------------------------ */

static forage_status fill_offer(const shop *s, uint32_t user, uint32_t item, forage_graph_offer *offer,
                                forage_error *error)
{
    enum { REASONS = sizeof offer->reasons / sizeof *offer->reasons };
    const forage_path_start start = {.user = user};
    forage_path paths[REASONS];
    FORAGE_TRY(forage_graph_paths(&s->graph, s->values, &start, item, REASONS, paths, &offer->reason_count, error));
    offer->item = item;
    offer->category = s->category[item];
    offer->truth = (double)s->world.truth[user * s->world.items + item];
    for (size_t r = 0; r < offer->reason_count; ++r) {
        offer->reasons[r].item = paths[r].item;
        offer->reasons[r].category = s->category[paths[r].item];
        offer->reasons[r].users = paths[r].users;
        offer->reasons[r].share = paths[r].share;
    }
    return FORAGE_OK;
}

static forage_status fill_customer(const shop *s, uint32_t user, size_t categories, forage_graph_customer *customer,
                                   forage_error *error)
{
    const eval_world *world = &s->world;
    size_t at = user * world->items;
    uint32_t top[FORAGE_GRAPH_OFFERS], best[FORAGE_GRAPH_OFFERS];
    customer->user = user;
    customer->persona = s->persona[user];
    customer->category = forage_calloc(categories, sizeof *customer->category);
    if (!customer->category)
        return no_memory(error);
    for (size_t item = 0; item < world->items; ++item)
        if (s->chosen[at + item]) {
            ++customer->chosen;
            customer->category[s->category[item]] += 1;
        }
    customer->offer_count = crowd_top(world->scores + at, s->chosen + at, world->items, FORAGE_GRAPH_OFFERS, top);
    size_t possible = crowd_top(world->truth + at, s->chosen + at, world->items, FORAGE_GRAPH_OFFERS, best);
    customer->click_rate = crowd_truth(world, user, top, customer->offer_count);
    customer->best = crowd_truth(world, user, best, possible);
    for (size_t i = 0; i < customer->offer_count; ++i)
        FORAGE_TRY(fill_offer(s, user, top[i], &customer->offers[i], error));
    return FORAGE_OK;
}

/* The first user of each persona who has clicked on a few products. */
static forage_status fill_customers(const shop *s, forage_chapter4 *chapter, forage_error *error)
{
    chapter->customers = forage_calloc(chapter->persona_count, sizeof *chapter->customers);
    if (!chapter->customers)
        return no_memory(error);
    for (uint32_t persona = 0; persona < chapter->persona_count; ++persona) {
        uint32_t user = 0;
        while (user < s->world.users && (s->persona[user] != persona || degree(&s->graph, user) < FEW))
            ++user;
        if (user < s->world.users)
            FORAGE_TRY(
                fill_customer(s, user, chapter->category_count, &chapter->customers[chapter->customer_count++], error));
    }
    return FORAGE_OK;
}

/* ------------------------------------------------------------------ *
 * All of it
 * ------------------------------------------------------------------ */

static forage_status look(shop *s, forage_chapter4 *chapter, forage_error *error)
{
    FORAGE_TRY(fill_graph(s, &chapter->graph, error));
    chapter->map.user_count = DRAWN;
    chapter->map.item_count = CROWD_ITEMS;
    for (size_t view = 0; view < CROWD_VIEWS; ++view) {
        forage_model *model;
        FORAGE_TRY(crowd_view_model(&s->world, view, s->rows, 0, &model, error));
        forage_status status = draw_view(s, model, &chapter->map.views[view], error);
        if (status == FORAGE_OK && view == CROWD_BOTH)
            status = eval_world_score(&s->world, model, error);
        forage_model_free(model);
        FORAGE_TRY(status);
    }
    return fill_customers(s, chapter, error);
}

forage_status crowd_shop(const eval_study *study, forage_chapter4 *chapter, forage_error *error)
{
    shop *s = forage_calloc(1, sizeof *s);
    if (!s)
        return no_memory(error);
    forage_status status = open_shop(study, s, error);
    if (status == FORAGE_OK)
        status = look(s, chapter, error);
    close_shop(s);
    forage_free(s);
    return status;
}
