/*
 * Vectors looked at from outside, against NumPy and scikit-learn; and how the experiments of chapter 4 rank.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden.h"

#include "eval/crowd.h"
#include "eval/vectors.h"

enum { ROWS_MOST = 64, WIDTH_MOST = 16, PITCH = 16 };

/* A golden table as the vectors of a model. */
typedef struct table {
    json_t *golden;
    size_t count, width;
    float values[ROWS_MOST * PITCH];
    uint32_t group[ROWS_MOST];
    double *unit;
} table;

static double number(const json_t *root, const char *name, size_t i, size_t j)
{
    return json_number_value(json_array_get(json_array_get(json_object_get(root, name), i), j));
}

static void open_table(table *t)
{
    const json_t *values;
    *t = (table){.golden = golden_load("vectors.json", 0)};
    values = json_object_get(t->golden, "values");
    t->count = json_array_size(values);
    t->width = json_array_size(json_array_get(values, 0));
    for (size_t i = 0; i < t->count; i++) {
        t->group[i] = (uint32_t)json_integer_value(json_array_get(json_object_get(t->golden, "group"), i));
        for (size_t j = 0; j < PITCH; j++)
            t->values[i * PITCH + j] = j < t->width ? (float)number(t->golden, "values", i, j) : 99;
    }
    const forage_embedding embedding = {t->count, t->width, PITCH, t->values, NULL};
    assert_int_equal(eval_unit_rows(&embedding, &t->unit, NULL), FORAGE_OK);
}

static void close_table(table *t)
{
    forage_free(t->unit);
    json_decref(t->golden);
}

static void assert_close(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-9 * (1 + fabs(expected))))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

static double golden_number(const table *t, const char *name)
{
    return json_number_value(json_object_get(t->golden, name));
}

static void test_groups(void **state)
{
    table t;
    double share, silhouette;
    (void)state;
    open_table(&t);
    for (size_t i = 0; i < t.count; i++)
        for (size_t j = 0; j < t.width; j++)
            assert_close(t.unit[i * t.width + j], number(t.golden, "unit", i, j));
    size_t k = (size_t)golden_number(&t, "k");
    assert_int_equal(eval_same_group(t.unit, t.count, t.width, t.group, k, &share, NULL), FORAGE_OK);
    assert_close(share, golden_number(&t, "same"));
    assert_int_equal(eval_silhouette(t.unit, t.count, t.width, t.group, 5, &silhouette, NULL), FORAGE_OK);
    assert_close(silhouette, golden_number(&t, "silhouette"));
    /* More neighbours than rows: all others. Chance, then. */
    double all = 0;
    for (size_t i = 0; i < t.count; i++)
        for (size_t j = 0; j < t.count; j++)
            all += i != j && t.group[i] == t.group[j];
    assert_int_equal(eval_same_group(t.unit, t.count, t.width, t.group, 100, &share, NULL), FORAGE_OK);
    assert_close(share, all / (double)(t.count * (t.count - 1)));
    close_table(&t);
}

static void test_plane(void **state)
{
    table t;
    eval_plane plane;
    (void)state;
    open_table(&t);
    assert_int_equal(eval_plane_fit(t.unit, t.count, t.width, &plane, NULL), FORAGE_OK);
    for (size_t a = 0; a < 2; a++) {
        assert_close(plane.explained[a], json_number_value(json_array_get(json_object_get(t.golden, "explained"), a)));
        for (size_t j = 0; j < t.width; j++)
            assert_close(plane.axes[a * t.width + j], number(t.golden, "axes", a, j));
    }
    for (size_t i = 0; i < t.count; i++) {
        double place[2];
        eval_plane_place(&plane, t.unit + i * t.width, place);
        assert_close(place[0], number(t.golden, "places", i, 0));
        assert_close(place[1], number(t.golden, "places", i, 1));
    }
    eval_plane_release(&plane);
    eval_plane_release(&plane);
    close_table(&t);
}

/* One row, one column, one group, numbers that are none. */
static void test_degenerate(void **state)
{
    const double one[] = {1}, column[] = {1, 1, -1}, broken[] = {1, NAN, 0, 1};
    const uint32_t group[] = {0, 0, 0};
    double found, place[2];
    eval_plane plane;
    forage_error error = {0};
    (void)state;
    assert_int_equal(eval_same_group(one, 1, 1, group, 3, &found, NULL), FORAGE_OK);
    assert_true(isnan(found));
    assert_int_equal(eval_silhouette(column, 3, 1, group, 1, &found, NULL), FORAGE_OK);
    assert_true(isnan(found));
    assert_int_equal(eval_plane_fit(column, 3, 1, &plane, NULL), FORAGE_OK);
    assert_close(plane.explained[0], 1);
    eval_plane_place(&plane, column, place);
    assert_close(place[0], 2.0 / 3);
    assert_close(place[1], 0);
    eval_plane_release(&plane);
    assert_int_equal(eval_plane_fit(one, 1, 1, &plane, NULL), FORAGE_OK);
    assert_close(plane.explained[0], 0);
    eval_plane_release(&plane);
    assert_int_equal(eval_plane_fit(broken, 2, 2, &plane, &error), FORAGE_DIVERGED);
    assert_non_null(strstr(error.message, "not finite"));
    assert_null(plane.axes);
}

static void test_no_memory(void **state)
{
    table t;
    eval_plane plane;
    double found;
    (void)state;
    open_table(&t);
    const forage_embedding embedding = {t.count, t.width, PITCH, t.values, NULL};
    forage_free(t.unit);
    forage_alloc_fail_at(1);
    assert_int_equal(eval_unit_rows(&embedding, &t.unit, NULL), FORAGE_NO_MEMORY);
    forage_alloc_fail_at(0);
    assert_int_equal(eval_unit_rows(&embedding, &t.unit, NULL), FORAGE_OK);
    for (uint64_t nth = 1; nth <= 6; nth++) {
        forage_alloc_fail_at(nth);
        assert_int_equal(eval_plane_fit(t.unit, t.count, t.width, &plane, NULL), FORAGE_NO_MEMORY);
        forage_alloc_fail_at(nth > 2 ? 1 : nth);
        assert_int_equal(eval_same_group(t.unit, t.count, t.width, t.group, 3, &found, NULL), FORAGE_NO_MEMORY);
        forage_alloc_fail_at(nth > 2 ? 1 : nth);
        assert_int_equal(eval_silhouette(t.unit, t.count, t.width, t.group, 5, &found, NULL), FORAGE_NO_MEMORY);
        forage_alloc_fail_at(0);
    }
    close_table(&t);
}

/* ------------------------------------------------------------------ *
 * Rankings of the experiments
 * ------------------------------------------------------------------ */

static void test_top(void **state)
{
    const float scores[] = {0.5F, 0.9F, 0.5F, 0.1F, 0.9F, 0.7F};
    const bool chosen[] = {false, false, false, false, true, false}, all[] = {true, true, true, true, true, true};
    uint32_t top[6];
    (void)state;
    assert_int_equal(crowd_top(scores, chosen, 6, 3, top), 3);
    assert_int_equal(top[0], 1);
    assert_int_equal(top[1], 5);
    assert_int_equal(top[2], 0); /* the first of equals */
    assert_int_equal(crowd_top(scores, chosen, 6, 6, top), 5);
    assert_int_equal(top[3], 2);
    assert_int_equal(top[4], 3);
    assert_int_equal(crowd_top(scores, all, 6, 6, top), 0);
}

static void open_world(forage_scenario *scenario, eval_study *study, eval_world *world)
{
    const eval_world_options options = {40, 30, 0, 0, FORAGE_NONE, 400, 7};
    assert_int_equal(forage_scenario_load("petshop", scenario, NULL), FORAGE_OK);
    *study = (eval_study){.scenario = scenario, .seed = scenario->seed};
    assert_int_equal(forage_device_open("cpu", 1, &study->device, NULL), FORAGE_OK);
    assert_int_equal(eval_world_create(study, &options, world, NULL), FORAGE_OK);
    eval_world_visits(world, 400, NULL);
}

/* What is known of a user, by Bayes' rule written out. */
static double expected_rate(const eval_world *world, size_t user, size_t item, bool clicks_alone)
{
    const forage_simulator *shop = world->simulator;
    size_t personas = forage_simulator_personas(shop);
    double sum = 0, rate = 0;
    for (uint32_t p = 0; p < personas; p++) {
        double weight = 0, all = 0;
        for (uint32_t u = 0; u < world->users; u++)
            weight += forage_simulator_persona(shop, u) == p;
        for (size_t i = 0; i < world->items; i++)
            all += forage_simulator_rate(shop, p, forage_simulator_category(shop, world->shop_item[i]));
        for (size_t row = 0; row < world->log->count; row++) {
            uint32_t category = forage_simulator_category(shop, world->shop_item[world->log->item[row]]);
            double click = forage_simulator_rate(shop, p, category);
            if (world->log->user[row] != user)
                continue;
            if (world->log->value[row] > 0)
                weight *= clicks_alone ? click / all : click;
            else
                weight *= clicks_alone ? 1 : 1 - click;
        }
        sum += weight;
        rate += weight * forage_simulator_rate(shop, p, forage_simulator_category(shop, world->shop_item[item]));
    }
    return rate / sum;
}

static void test_personas(void **state)
{
    forage_scenario scenario;
    eval_study study;
    eval_world world;
    (void)state;
    open_world(&scenario, &study, &world);
    for (int alone = 0; alone < 2; alone++) {
        assert_int_equal(crowd_score_personas(&world, world.log->count, alone, NULL), FORAGE_OK);
        for (size_t user = 0; user < world.users; user += 7)
            for (size_t item = 0; item < world.items; item += 4)
                assert_true(fabs((double)world.scores[user * world.items + item] -
                                 expected_rate(&world, user, item, alone)) < 1e-6);
    }
    eval_world_release(&world);
    forage_scenario_release(&scenario);
}

/* What the truth's own ranking is worth, and that what was clicked is not offered. */
static void test_rates(void **state)
{
    forage_scenario scenario;
    eval_study study;
    eval_world world;
    static bool chosen[40 * 30], among[40];
    (void)state;
    open_world(&scenario, &study, &world);
    crowd_chosen(&world, world.log->count, chosen);
    size_t clicked = 0;
    for (size_t row = 0; row < world.log->count; row++)
        clicked += world.log->value[row] > 0 && chosen[world.log->user[row] * 30 + world.log->item[row]];
    size_t clicks = 0;
    for (size_t row = 0; row < world.log->count; row++)
        clicks += world.log->value[row] > 0;
    assert_int_equal(clicked, clicks);
    double sum = 0, best = 0;
    for (size_t user = 10; user < 20; user++) {
        uint32_t top[CROWD_TOP];
        size_t count = crowd_top(world.truth + user * 30, chosen + user * 30, 30, CROWD_TOP, top);
        assert_int_equal(count, CROWD_TOP);
        for (size_t i = 0; i < count; i++)
            assert_false(chosen[user * 30 + top[i]]);
        sum += crowd_truth(&world, user, top, count);
        best = fmax(best, crowd_truth(&world, user, top, count));
    }
    assert_close(crowd_rate(&world, world.truth, chosen, 10, 20, NULL), sum / 10);
    assert_true(isnan(crowd_rate(&world, world.truth, chosen, 10, 20, among)));
    among[13] = true;
    assert_true(crowd_rate(&world, world.truth, chosen, 10, 20, among) <= best);
    eval_world_release(&world);
    forage_scenario_release(&scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),    cmocka_unit_test(test_plane), cmocka_unit_test(test_degenerate),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_top),   cmocka_unit_test(test_personas),
        cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
