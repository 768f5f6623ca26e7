/*
 * The experiments of chapter 4, in one world.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forage/forage.h"

static forage_chapter4 chapter;

static forage_chapter4 run(int threads)
{
    forage_error error = {0};
    forage_chapter4 found;
    forage_chapter4_options options = {.seeds = 1};
    assert_int_equal(forage_device_open("cpu", threads, &options.device, &error), FORAGE_OK);
    if (forage_chapter4_run(&options, &found, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    return found;
}

static int run_once(void **state)
{
    (void)state;
    chapter = run(2);
    return 0;
}

static int release(void **state)
{
    (void)state;
    forage_chapter4_release(&chapter);
    forage_chapter4_release(&chapter);
    return 0;
}

static const forage_ranked_arm *arm_of(const forage_arm_table *table, const char *name)
{
    for (size_t a = 0; a < table->arm_count; a++)
        if (strcmp(table->arms[a].name, name) == 0)
            return &table->arms[a];
    fail_msg("nobody is called %s", name);
    return NULL;
}

static double rate(const forage_arm_table *table, const char *name, size_t point)
{
    return arm_of(table, name)->click_rate[point].value;
}

static size_t edges_of(const forage_degrees *degrees)
{
    size_t nodes = 0, edges = 0;
    for (size_t d = 0; d <= degrees->most; d++) {
        nodes += degrees->count[d];
        edges += d * degrees->count[d];
    }
    assert_int_equal(nodes, degrees->nodes);
    assert_true(degrees->count[degrees->most] > 0);
    assert_true(fabs(degrees->mean - (double)edges / (double)nodes) < 1e-12);
    return edges;
}

static void test_graph(void **state)
{
    (void)state;
    const forage_graph_facts *graph = &chapter.graph;
    assert_int_equal(graph->user.nodes, graph->users);
    assert_int_equal(graph->item.nodes, graph->items);
    assert_int_equal(edges_of(&graph->user), graph->edges);
    assert_int_equal(edges_of(&graph->item), graph->edges);
    assert_true(graph->edges <= graph->clicks && graph->clicks < graph->visits);
    assert_true(fabs(graph->reach[0] - graph->user.mean / (double)graph->items) < 1e-12);
    assert_true(graph->reach[0] < graph->reach[1] && graph->reach[1] <= graph->reach[2] && graph->reach[2] <= 1);
    assert_true(graph->same_persona > 1.5 * graph->same_persona_chance);
    assert_true(graph->same_category > 1.5 * graph->same_category_chance);
}

/* Nobody beats who knows everything, and the limits are what they say. */
static void check_limits(const forage_arm_table *table)
{
    for (size_t p = 0; p < table->point_count; p++) {
        for (size_t a = 0; a < table->arm_count; a++)
            assert_true(table->arms[a].click_rate[p].value <= rate(table, "oracle", p) + 1e-9);
        double ahead = rate(table, "lightgcn", p) - rate(table, "embedding-mlp, tuned", p);
        assert_true(fabs(table->ahead[p].value - ahead) < 1e-12);
    }
}

static void test_tables(void **state)
{
    (void)state;
    const forage_arm_table *crowd = &chapter.crowd, *smoothing = &chapter.smoothing;
    size_t last = smoothing->point_count - 1;
    check_limits(crowd);
    /* The same models in both tables. */
    for (size_t p = 0; p < crowd->point_count; p++) {
        assert_true(smoothing->arms[p].click_rate[0].value == rate(crowd, "no graph", p));
        assert_true(smoothing->arms[p].click_rate[3].value == rate(crowd, "lightgcn", p));
    }
    /* The graph helps, most where there is something to borrow and little of one's own. */
    assert_true(smoothing->arms[1].click_rate[last].value > smoothing->arms[1].click_rate[0].value + 0.05);
    assert_true(rate(crowd, "lightgcn", 1) > rate(crowd, "embedding-mlp, tuned", 1));
    assert_true(rate(crowd, "lightgcn", 3) > rate(crowd, "bestsellers", 3) + 0.1);
    assert_int_equal(chapter.few_clicks_count, 2);
    for (size_t l = 0; l < 2; l++) {
        const forage_few_clicks *few = &chapter.few_clicks[l];
        check_limits(&few->arms);
        for (size_t p = 0; p < few->arms.point_count; p++) {
            assert_true(few->visits[p].value >= few->arms.points[p]);
            assert_true(rate(&few->arms, "lightgcn, not retrained", p) > rate(&few->arms, "bestsellers", p));
        }
        assert_true(rate(&few->arms, "item-knn", 5) > rate(&few->arms, "bestsellers", 5));
        assert_true(rate(&few->arms, "lightgcn", 5) > rate(&few->arms, "lightgcn", 0));
    }
}

static void test_map(void **state)
{
    (void)state;
    const forage_map_view *views = chapter.map.views;
    assert_int_equal(chapter.map.view_count, 4);
    assert_true(fabs(views[0].user_neighbours.value - chapter.graph.same_persona_chance) < 0.06);
    assert_true(views[3].user_neighbours.value > views[2].user_neighbours.value + 0.05);
    assert_true(views[3].item_neighbours.value > views[2].item_neighbours.value + 0.05);
    assert_true(views[3].user_silhouette.value > views[0].user_silhouette.value);
    for (size_t v = 0; v < 4; v++) {
        assert_true(views[v].explained[0] >= views[v].explained[1] && views[v].explained[1] > 0);
        for (size_t i = 0; i < chapter.map.user_count; i++) {
            const forage_map_point *point = &views[v].users[i];
            assert_true(hypot((double)point->x, (double)point->y) < 2 && point->group < chapter.persona_count);
        }
        for (size_t i = 0; i < chapter.map.item_count; i++)
            assert_true(views[v].items[i].group < chapter.category_count);
    }
}

static void test_customers(void **state)
{
    (void)state;
    assert_int_equal(chapter.customer_count, chapter.persona_count);
    for (size_t c = 0; c < chapter.customer_count; c++) {
        const forage_graph_customer *customer = &chapter.customers[c];
        size_t chosen = 0;
        double sum = 0;
        assert_int_equal(customer->persona, c);
        for (size_t i = 0; i < chapter.category_count; i++)
            chosen += customer->category[i];
        assert_int_equal(chosen, customer->chosen);
        for (size_t i = 0; i < customer->offer_count; i++) {
            const forage_graph_offer *offer = &customer->offers[i];
            sum += offer->truth;
            for (size_t r = 0; r < offer->reason_count; r++) {
                assert_true(offer->reasons[r].users > 0 && offer->reasons[r].share > 0 && offer->reasons[r].share <= 1);
                assert_int_not_equal(offer->reasons[r].item, offer->item);
            }
        }
        assert_true(fabs(customer->click_rate - sum / (double)customer->offer_count) < 1e-12);
        assert_true(customer->click_rate <= customer->best + 1e-12);
    }
}

/* Any number of threads, the same record. */
static void test_threads(void **state)
{
    (void)state;
    forage_chapter4 other = run(1);
    char *one, *two;
    other.seconds = chapter.seconds;
    assert_int_equal(forage_chapter4_json(&chapter, &one, NULL), FORAGE_OK);
    assert_int_equal(forage_chapter4_json(&other, &two, NULL), FORAGE_OK);
    assert_string_equal(one, two);
    forage_free(one);
    forage_free(two);
    forage_chapter4_release(&other);
}

static bool stop_at_once(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    (void)context, (void)stage, (void)done, (void)total, (void)note;
    return false;
}

static void test_refusals(void **state)
{
    (void)state;
    forage_chapter4 other;
    forage_error error = {0};
    char text[400];
    forage_chapter4_options options = {.scenario = "nowhere.yaml"};
    assert_int_not_equal(forage_chapter4_run(&options, &other, &error), FORAGE_OK);
    forage_error_text(&error, text, sizeof text);
    assert_non_null(strstr(text, "nowhere.yaml"));
    forage_chapter4_release(&other);
    options = (forage_chapter4_options){.seeds = 1000};
    assert_int_equal(forage_chapter4_run(&options, &other, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "at most 50"));
    const forage_progress progress = {stop_at_once, NULL};
    options = (forage_chapter4_options){.seeds = 1, .progress = &progress};
    assert_int_equal(forage_device_open("cpu", 1, &options.device, NULL), FORAGE_OK);
    assert_int_equal(forage_chapter4_run(&options, &other, &error), FORAGE_INTERRUPTED);
    assert_null(other.personas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph),     cmocka_unit_test(test_tables),  cmocka_unit_test(test_map),
        cmocka_unit_test(test_customers), cmocka_unit_test(test_threads), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, run_once, release);
}
