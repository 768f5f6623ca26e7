/*
 * Paths from users to items through a graph, against dense matrices on random graphs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/data.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 64 };

/* A graph with random edges, beside itself as a dense matrix. */
typedef struct fixture {
    size_t users, items, nodes;
    forage_graph graph;
    float *values;
    double *dense; /* [nodes, nodes] A */
} fixture;

static void make(fixture *f, size_t users, size_t items, size_t events, bool weighted, uint64_t seed)
{
    uint32_t user[4 * MOST * MOST], item[4 * MOST * MOST];
    float value[4 * MOST * MOST];
    forage_rng rng;
    assert_true(events <= sizeof user / sizeof user[0]);
    forage_rng_seed(&rng, seed);
    for (size_t e = 0; e < events; e++) {
        user[e] = (uint32_t)forage_rng_integers(&rng, users);
        item[e] = (uint32_t)forage_rng_integers(&rng, items);
        value[e] = (float)forage_rng_double(&rng) + 0.1F;
    }
    const forage_graph_events raw = {users, items, events, user, item, value, NULL};
    const forage_graph_options options = {.weight = weighted ? FORAGE_EDGE_VALUE : FORAGE_EDGE_BINARY};
    *f = (fixture){.users = users, .items = items, .nodes = users + items};
    assert_int_equal(forage_graph_create(&raw, &options, &f->graph, NULL), FORAGE_OK);
    f->values = forage_alloc(2 * f->graph.edges + 1, sizeof *f->values);
    f->dense = forage_calloc(f->nodes * f->nodes, sizeof *f->dense);
    assert_non_null(f->values);
    assert_non_null(f->dense);
    assert_int_equal(forage_graph_normalise(&f->graph, f->values, NULL), FORAGE_OK);
    for (size_t n = 0; n < f->nodes; n++) {
        for (size_t e = f->graph.offsets[n]; e < f->graph.offsets[n + 1]; e++)
            f->dense[n * f->nodes + f->graph.neighbours[e]] = (double)f->values[e];
    }
}

static void release(fixture *f)
{
    forage_graph_release(&f->graph);
    forage_free(f->values);
    forage_free(f->dense);
}

static double at(const fixture *f, size_t a, size_t b)
{
    return f->dense[a * f->nodes + b];
}

/* What the paths are, by the formula, from the weights `first` of the steps to each item. */
static size_t oracle(const fixture *f, const double *first, uint32_t self, uint32_t item, forage_path *paths)
{
    size_t count = 0;
    double total = 0;
    for (uint32_t j = 0; j < f->items; j++) {
        forage_path path = {.item = j};
        for (size_t v = 0; v < f->users; v++) {
            double met = at(f, f->users + j, v) * at(f, v, f->users + item);
            if (v == self || met == 0)
                continue;
            path.strength += first[j] * met;
            path.users++;
        }
        if (j == item || path.strength == 0)
            continue;
        total += path.strength;
        paths[count++] = path;
    }
    for (size_t i = 0; i < count; i++)
        paths[i].share = paths[i].strength / total;
    return count;
}

static const forage_path *find(const forage_path *paths, size_t count, uint32_t item)
{
    for (size_t i = 0; i < count; i++) {
        if (paths[i].item == item)
            return &paths[i];
    }
    return NULL;
}

/* All paths, and the first few of them, are those of the oracle, in order. */
static void compare(const fixture *f, const forage_path_start *start, const double *first, uint32_t item)
{
    forage_path expected[MOST], all[MOST], few[3];
    size_t count = oracle(f, first, start->user, item, expected), found, least;
    assert_int_equal(forage_graph_paths(&f->graph, f->values, start, item, MOST, all, &found, NULL), FORAGE_OK);
    assert_int_equal(found, count);
    double sum = 0;
    for (size_t i = 0; i < found; i++) {
        const forage_path *other = find(expected, count, all[i].item);
        assert_non_null(other);
        assert_int_equal(all[i].users, other->users);
        assert_true(fabs(all[i].strength - other->strength) <= 1e-6 * other->strength);
        assert_true(fabs(all[i].share - other->share) <= 1e-6);
        assert_true(i == 0 || all[i - 1].strength > all[i].strength ||
                    (all[i - 1].strength == all[i].strength && all[i - 1].item < all[i].item));
        sum += all[i].share;
    }
    assert_true(found == 0 || fabs(sum - 1) < 1e-9);
    assert_int_equal(forage_graph_paths(&f->graph, f->values, start, item, 3, few, &least, NULL), FORAGE_OK);
    assert_int_equal(least, count < 3 ? count : 3);
    assert_memory_equal(few, all, least * sizeof *few);
}

static void test_users(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        fixture f;
        make(&f, 3 + 5 * seed, MOST - 5 * seed, 20 + 60 * seed, seed % 2 == 1, seed);
        for (uint32_t user = 0; user < f.users; user++) {
            const forage_path_start start = {.user = user};
            for (uint32_t item = 0; item < f.items; item += 3)
                compare(&f, &start, &f.dense[user * f.nodes + f.users], item);
        }
        release(&f);
    }
}

/* With the paths through the user and the item themselves, the sum is an entry of A^3. */
static void test_they_sum_to_the_third_power(void **state)
{
    (void)state;
    fixture f;
    make(&f, 20, 30, 200, true, 99);
    for (uint32_t user = 0; user < f.users; user++) {
        for (uint32_t item = 0; item < f.items; item++) {
            const forage_path_start start = {.user = user};
            forage_path paths[MOST];
            size_t found, goal = f.users + item;
            double sum = 0, cube = 0;
            assert_int_equal(forage_graph_paths(&f.graph, f.values, &start, item, MOST, paths, &found, NULL),
                             FORAGE_OK);
            for (size_t i = 0; i < found; i++)
                sum += paths[i].strength;
            for (size_t a = 0; a < f.nodes; a++) {
                for (size_t b = 0; b < f.nodes; b++)
                    cube += at(&f, user, a) * at(&f, a, b) * at(&f, b, goal);
                if (a != goal) /* u - j - u - item */
                    sum += at(&f, user, a) * at(&f, a, user) * at(&f, user, goal);
                sum += at(&f, user, goal) * at(&f, goal, a) * at(&f, a, goal); /* u - item - v - item */
            }
            assert_true(fabs(sum - cube) <= 1e-6 * (cube + 1e-3));
        }
    }
    release(&f);
}

/* A history counts as a user who is added to the graph, whose other edges keep their values. */
static void test_histories(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        fixture f;
        uint32_t items[MOST];
        float weights[MOST];
        double first[MOST] = {0}, sum = 0;
        size_t count = 0;
        forage_rng rng;
        forage_rng_seed(&rng, 1000 + seed);
        make(&f, 40, 30, 300, seed % 2 == 1, seed);
        for (uint32_t j = 30; j-- > 0;) { /* not rising */
            if (forage_rng_double(&rng) > 0.4)
                continue;
            weights[count] = seed % 4 < 2 ? 1 : (float)forage_rng_double(&rng) + 0.2F;
            sum += (double)weights[count];
            items[count++] = j;
        }
        for (size_t i = 0; i < count; i++) {
            size_t node = f.users + items[i];
            double degree = 0;
            for (size_t e = f.graph.offsets[node]; e < f.graph.offsets[node + 1]; e++)
                degree += (double)f.graph.weights[e];
            first[items[i]] = (double)weights[i] / sqrt(sum * (degree + (double)weights[i]));
        }
        const forage_path_start start = {FORAGE_NONE, items, seed % 4 < 2 ? NULL : weights, count};
        for (uint32_t item = 0; item < f.items; item++)
            compare(&f, &start, first, item);
        release(&f);
    }
}

static void test_nothing_to_say(void **state)
{
    (void)state;
    /* Users 0 and 1 share item 0; item 2 is user 2's alone; user 3 and item 3 have nothing. */
    const uint32_t user[] = {0, 1, 1, 2}, item[] = {0, 0, 1, 2};
    const forage_graph_events events = {4, 4, 4, user, item, NULL, NULL};
    forage_graph graph;
    float values[8];
    forage_path paths[4];
    size_t found;
    assert_int_equal(forage_graph_create(&events, NULL, &graph, NULL), FORAGE_OK);
    assert_int_equal(forage_graph_normalise(&graph, values, NULL), FORAGE_OK);
    static const struct {
        uint32_t user, item;
        size_t found;
    } cases[] = {{0, 1, 1}, {0, 0, 0}, {0, 2, 0}, {2, 1, 0}, {3, 0, 0}, {0, 3, 0}, {1, 0, 0}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const forage_path_start start = {.user = cases[c].user};
        assert_int_equal(forage_graph_paths(&graph, values, &start, cases[c].item, 4, paths, &found, NULL), FORAGE_OK);
        assert_int_equal(found, cases[c].found);
    }
    assert_int_equal(paths[0].item, 0); /* of the first case: nothing else was written */
    assert_int_equal(paths[0].users, 1);
    assert_true(paths[0].share == 1);
    const forage_path_start nobody = {.user = FORAGE_NONE};
    assert_int_equal(forage_graph_paths(&graph, values, &nobody, 0, 4, paths, &found, NULL), FORAGE_OK);
    assert_int_equal(found, 0);
    assert_int_equal(forage_graph_paths(&graph, values, &(forage_path_start){.user = 0}, 1, 0, NULL, &found, NULL),
                     FORAGE_OK);
    assert_int_equal(found, 0);
    forage_graph_release(&graph);
}

static void refused(const fixture *f, const forage_path_start *start, uint32_t item, const char *says)
{
    forage_error error = {0};
    forage_path path;
    size_t found = 7;
    assert_int_equal(forage_graph_paths(&f->graph, f->values, start, item, 1, &path, &found, &error), FORAGE_INVALID);
    assert_int_equal(found, 0);
    if (!strstr(error.message, says))
        fail_msg("'%s' is not in '%s'", says, error.message);
}

static void test_what_cannot_be(void **state)
{
    (void)state;
    fixture f;
    const uint32_t items[] = {1, 9};
    const float weights[] = {1, 0};
    make(&f, 5, 9, 20, false, 1);
    refused(&f, &(forage_path_start){.user = 5}, 0, "no user 5");
    refused(&f, &(forage_path_start){.user = 0}, 9, "no item 9");
    refused(&f, &(forage_path_start){FORAGE_NONE, items, NULL, 2}, 0, "no item 9");
    refused(&f, &(forage_path_start){FORAGE_NONE, items + 0, weights + 1, 1}, 0, "item 1 of a history has a weight");
    release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users),          cmocka_unit_test(test_they_sum_to_the_third_power),
        cmocka_unit_test(test_histories),      cmocka_unit_test(test_nothing_to_say),
        cmocka_unit_test(test_what_cannot_be),
    };
    return cmocka_run_group_tests_name("graph_paths", tests, NULL, NULL);
}
