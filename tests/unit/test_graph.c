/*
 * test_graph.c: bipartite graphs against plain matrices of who met whom, and against NumPy; what is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "../must.h"
#include "forage/data.h"
#include "golden.h"
#include "la/la.h"

static void *array(size_t count, size_t size)
{
    void *made = forage_calloc(count + 1, size);
    assert_non_null(made);
    return made;
}

/* Every edge stands in both directions with the same weight, neighbours rise, nodes are of the other kind. */
static void check_form(const forage_graph *graph)
{
    size_t nodes = graph->users + graph->items;
    assert_int_equal(graph->offsets[0], 0);
    assert_int_equal(graph->offsets[graph->users], graph->edges);
    assert_int_equal(graph->offsets[nodes], 2 * graph->edges);
    for (size_t n = 0; n < nodes; n++) {
        assert_true(graph->offsets[n] <= graph->offsets[n + 1]);
        for (size_t e = graph->offsets[n]; e < graph->offsets[n + 1]; e++) {
            size_t other = graph->neighbours[e], back = graph->offsets[other];
            assert_true(other < nodes && (n < graph->users) == (other >= graph->users));
            assert_true(e == graph->offsets[n] || graph->neighbours[e - 1] < other);
            assert_true(graph->weights[e] > 0 && isfinite(graph->weights[e]));
            while (back < graph->offsets[other + 1] && graph->neighbours[back] != n)
                back++;
            assert_true(back < graph->offsets[other + 1] && graph->weights[back] == graph->weights[e]);
        }
    }
}

/* ---- against a matrix ---- */

/* Weights of all pairs [users, items], 0 where there is no edge. */
static double *plain_weights(const forage_graph_events *events, const forage_graph_options *options)
{
    double *weights = array(events->users * events->items, sizeof *weights);
    int64_t latest = INT64_MIN;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < events->count; i++) {
            uint32_t user = events->user[i], item = events->item[i];
            double value = events->value ? (double)events->value[i] : 1, weight;
            if (user == FORAGE_NONE || item == FORAGE_NONE || value <= 0)
                continue;
            if (pass == 0) {
                latest = events->time && events->time[i] > latest ? events->time[i] : latest;
                continue;
            }
            weight = options->weight == FORAGE_EDGE_VALUE ? value : 1;
            if (options->half_life > 0) /* long double holds all differences of 64-bit numbers */
                weight *= exp2(
                    (double)(((long double)events->time[i] - (long double)latest) / (long double)options->half_life));
            weight = fmax(weight, 1e-30);
            double *edge = &weights[user * events->items + item];
            *edge = options->weight == FORAGE_EDGE_BINARY ? fmax(*edge, weight) : *edge + weight;
        }
    }
    return weights;
}

static void check_graph(const forage_graph_events *events, const forage_graph_options *options)
{
    static const forage_graph_options none = {0};
    forage_error error = {0};
    forage_graph graph;
    size_t users = events->users, items = events->items, edges = 0;
    double *want = plain_weights(events, options ? options : &none);
    double *user_sums = array(users, sizeof *user_sums), *item_sums = array(items, sizeof *item_sums);
    must(forage_graph_create(events, options, &graph, &error), &error);
    assert_true(graph.users == users && graph.items == items);
    check_form(&graph);
    for (size_t i = 0; i < users * items; i++) {
        edges += want[i] > 0;
        user_sums[i / items] += want[i];
        item_sums[i % items] += want[i];
    }
    assert_int_equal(graph.edges, edges);
    float *values = array(2 * graph.edges, sizeof *values);
    must(forage_graph_normalise(&graph, values, &error), &error);
    for (size_t n = 0; n < users + items; n++) {
        for (size_t e = graph.offsets[n]; e < graph.offsets[n + 1]; e++) {
            size_t user = n < users ? n : graph.neighbours[e], item = (n < users ? graph.neighbours[e] : n) - users;
            double weight = want[user * items + item], normal = weight / sqrt(user_sums[user] * item_sums[item]);
            assert_true(fabs((double)graph.weights[e] - weight) <= 1e-6 * weight);
            assert_true(fabs((double)values[e] - normal) <= 1e-6 * normal);
        }
    }
    for (size_t n = 0; n < users + items; n++) {
        for (size_t other = 0; other < users + items; other++) {
            size_t user = n < other ? n : other, item = n < other ? other : n;
            bool met = user < users && item >= users && want[user * items + item - users] > 0;
            assert_true(forage_graph_has(&graph, n, other) == met);
        }
        assert_false(forage_graph_has(&graph, users + items, n) || forage_graph_has(&graph, n, users + items));
        assert_false(forage_graph_has(&graph, FORAGE_NONE, n) || forage_graph_has(&graph, n, FORAGE_NONE));
    }
    forage_free(values);
    forage_free(want);
    forage_free(user_sums);
    forage_free(item_sums);
    forage_graph_release(&graph);
    assert_null(graph.offsets);
    assert_false(forage_graph_has(&graph, 0, 0));
}

static void random_events_of_all_kinds(void **state)
{
    (void)state;
    enum { MOST = 300 };
    static const int64_t extremes[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    static const double half_lives[] = {0, 1e-3, 10, 1e6, 1e18, 1e300};
    forage_rng rng;
    forage_rng_seed(&rng, 4);
    for (size_t round = 0; round < 400; round++) {
        uint32_t user[MOST], item[MOST];
        float value[MOST];
        int64_t time[MOST];
        size_t count = round % 5 ? forage_rng_integers(&rng, MOST) : forage_rng_integers(&rng, 4);
        forage_graph_events events = {.users = 1 + forage_rng_integers(&rng, 30),
                                      .items = 1 + forage_rng_integers(&rng, 30),
                                      .count = count,
                                      .user = user,
                                      .item = item};
        /* Often few of many, so that there are gaps and duplicates. */
        size_t users = 1 + forage_rng_integers(&rng, events.users), items = 1 + forage_rng_integers(&rng, events.items);
        bool far = forage_rng_integers(&rng, 3) == 0;
        for (size_t i = 0; i < count; i++) {
            user[i] = (uint32_t)(events.users - 1 - forage_rng_integers(&rng, users));
            item[i] = (uint32_t)forage_rng_integers(&rng, items);
            if (forage_rng_integers(&rng, 20) == 0)
                user[i] = FORAGE_NONE;
            if (forage_rng_integers(&rng, 20) == 0)
                item[i] = FORAGE_NONE;
            value[i] = (float)forage_rng_integers(&rng, 7) / 2 - 1;
            time[i] = far ? extremes[forage_rng_integers(&rng, 7)] : (int64_t)forage_rng_integers(&rng, 50) - 20;
        }
        if (round % 2)
            events.value = value;
        if (round % 3)
            events.time = time;
        forage_graph_options options = {.weight = (forage_edge_weight)forage_rng_integers(&rng, 3)};
        if (events.time)
            options.half_life = half_lives[forage_rng_integers(&rng, 6)];
        check_graph(&events, round % 7 ? &options : NULL);
    }
}

static void values_of_any_size(void **state)
{
    (void)state;
    const uint32_t user[] = {0, 0, 1, 1}, item[] = {0, 1, 0, 1};
    const float value[] = {3.4e38F, 1e-40F, 1, 1e30F}, want[] = {1e30F, 1e-30F, 1, 1e30F};
    const forage_graph_events events = {.users = 2, .items = 2, .count = 4, .user = user, .item = item, .value = value};
    forage_error error = {0};
    forage_graph graph;
    float values[8];
    must(forage_graph_create(&events, &(forage_graph_options){.weight = FORAGE_EDGE_VALUE}, &graph, &error), &error);
    must(forage_graph_normalise(&graph, values, &error), &error);
    for (size_t e = 0; e < 4; e++)
        assert_true(graph.weights[e] == want[e] && values[e] >= 0 && values[e] <= 1);
    forage_graph_release(&graph);
}

static void nothing_at_all(void **state)
{
    (void)state;
    const forage_graph_events events[] = {{.users = 3, .items = 2}, {0}, {.users = 4}, {.items = 4}};
    for (size_t i = 0; i < 4; i++)
        check_graph(&events[i], NULL);
}

/* ---- NumPy and SciPy ---- */

static double real(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

static void graphs_are_those_of_numpy(void **state)
{
    (void)state;
    enum { MOST = 100, WIDTH = 16 };
    static const char *const kinds[] = {"binary", "count", "value"};
    uint32_t user[MOST], item[MOST];
    float value[MOST], dense[MOST * WIDTH], out[MOST * WIDTH];
    int64_t time[MOST];
    json_t *golden = golden_load("graph.json", 0);
    const json_t *cases = json_object_get(golden, "cases"), *numbers = json_object_get(golden, "dense");
    forage_graph_events events = {.users = golden_whole(golden, "users"),
                                  .items = golden_whole(golden, "items"),
                                  .count = json_array_size(json_object_get(golden, "user")),
                                  .user = user,
                                  .item = item,
                                  .value = value,
                                  .time = time};
    size_t nodes = events.users + events.items;
    assert_true(events.count <= MOST && nodes <= MOST && json_array_size(numbers) == nodes * WIDTH);
    for (size_t i = 0; i < events.count; i++) {
        user[i] = (uint32_t)real(json_object_get(golden, "user"), i);
        item[i] = (uint32_t)real(json_object_get(golden, "item"), i);
        value[i] = (float)real(json_object_get(golden, "value"), i);
        time[i] = (int64_t)real(json_object_get(golden, "time"), i);
    }
    for (size_t i = 0; i < nodes * WIDTH; i++)
        dense[i] = (float)real(numbers, i);
    assert_int_equal(json_array_size(cases), 6);
    for (size_t c = 0; c < 6; c++) {
        const json_t *entry = json_array_get(cases, c), *normal = json_object_get(entry, "normal");
        const json_t *product = json_object_get(entry, "product");
        forage_graph_options options = {.half_life = json_number_value(json_object_get(entry, "half_life"))};
        while (strcmp(kinds[options.weight], golden_text(entry, "weight")) != 0)
            options.weight++;
        forage_error error = {0};
        forage_graph graph;
        must(forage_graph_create(&events, &options, &graph, &error), &error);
        float *values = array(2 * graph.edges, sizeof *values);
        must(forage_graph_normalise(&graph, values, &error), &error);
        size_t edges = 0;
        for (size_t i = 0; i < json_array_size(normal); i++)
            edges += real(normal, i) > 0;
        assert_int_equal(graph.edges, edges);
        for (size_t u = 0; u < graph.users; u++) {
            for (size_t e = graph.offsets[u]; e < graph.offsets[u + 1]; e++) {
                double want = real(normal, u * graph.items + graph.neighbours[e] - graph.users);
                assert_true(want > 0 && fabs((double)values[e] - want) < 1e-6);
            }
        }
        const la_spmm task = {.matrix = {nodes, graph.offsets, graph.neighbours, values},
                              .width = WIDTH,
                              .in = dense,
                              .out = out,
                              .scale = 1};
        la_spmm_run(&task, FORAGE_ISA_PORTABLE, 1);
        for (size_t i = 0; i < nodes * WIDTH; i++)
            assert_true(fabs((double)out[i] - real(product, i)) < 2e-6);
        forage_free(values);
        forage_graph_release(&graph);
    }
    json_decref(golden);
}

/* ---- what is refused ---- */

static void refused(const forage_graph_events *events, const forage_graph_options *options, forage_status wanted,
                    const char *says)
{
    forage_error error = {0};
    forage_graph graph = {.users = 1};
    assert_int_equal(forage_graph_create(events, options, &graph, &error), wanted);
    if (!strstr(error.message, says))
        fail_msg("'%s' is not in: %s", says, error.message);
    assert_true(!graph.offsets && !graph.users && !graph.edges);
    assert_int_equal(forage_graph_create(events, options, &graph, NULL), wanted);
}

static void bad_input_is_refused_with_its_place(void **state)
{
    (void)state;
    uint32_t user[] = {0, 1, 2}, item[] = {0, 1, 1};
    float value[] = {1, 2, 3};
    forage_graph_events events = {.users = 3, .items = 2, .count = 3, .user = user, .item = item, .value = value};
    user[1] = 3;
    refused(&events, NULL, FORAGE_INVALID, "event 2 is of user 3 and item 1, beyond 3 users and 2 items");
    user[1] = 1;
    item[2] = 2;
    refused(&events, NULL, FORAGE_INVALID, "event 3 is of user 2 and item 2");
    item[2] = 1;
    value[0] = NAN;
    refused(&events, NULL, FORAGE_INVALID, "event 1 ");
    value[0] = INFINITY;
    refused(&events, NULL, FORAGE_INVALID, "no finite number");
    value[0] = 1;
    refused(&events, &(forage_graph_options){.half_life = 1}, FORAGE_INVALID, "times");
    refused(&events, &(forage_graph_options){.half_life = -1}, FORAGE_INVALID, "half-life");
    refused(&events, &(forage_graph_options){.half_life = NAN}, FORAGE_INVALID, "half-life");
    refused(&events, &(forage_graph_options){.half_life = INFINITY}, FORAGE_INVALID, "half-life");
    events.users = UINT32_MAX - 1;
    refused(&events, NULL, FORAGE_UNSUPPORTED, "more nodes");
    events.users = SIZE_MAX;
    refused(&events, NULL, FORAGE_UNSUPPORTED, "more nodes");
}

static void allocations_may_fail(void **state)
{
    (void)state;
    const uint32_t user[] = {0, 1, 2, 0}, item[] = {0, 1, 1, 0};
    const forage_graph_events events = {.users = 3, .items = 2, .count = 4, .user = user, .item = item};
    float values[6];
    for (uint64_t nth = 1;; nth++) {
        forage_error error = {0};
        forage_graph graph;
        forage_alloc_fail_at(nth);
        forage_status status = forage_graph_create(&events, NULL, &graph, &error);
        if (status == FORAGE_OK)
            status = forage_graph_normalise(&graph, values, &error);
        uint64_t asked = forage_alloc_fail_at(0);
        forage_graph_release(&graph);
        if (status == FORAGE_OK) {
            assert_true(asked < nth && nth > 12);
            return;
        }
        assert_int_equal(status, FORAGE_NO_MEMORY);
        assert_non_null(strstr(error.message, "no memory"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_events_of_all_kinds),
        cmocka_unit_test(values_of_any_size),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(graphs_are_those_of_numpy),
        cmocka_unit_test(bad_input_is_refused_with_its_place),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
