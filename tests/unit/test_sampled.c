/*
 * Rankings among sampled items: what is drawn, and metrics against their definition.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../must.h"
#include "forage/forage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { USERS = 40, ITEMS = 60, LISTS = 400, WIDTH = 64 };

/* A ranker that keeps what it was asked. */
typedef struct witness {
    int levels;   /* of scores: few make ties */
    bool unknown; /* some items and users have no score */
    size_t lists;
    uint32_t user[LISTS];
    size_t count[LISTS];
    uint32_t items[LISTS][WIDTH];
    float scores[LISTS][WIDTH];
} witness;

static float score_of(const witness *w, uint32_t user, uint32_t item)
{
    uint64_t hash = ((uint64_t)user * 1000 + item + 1) * 0x9E3779B97F4A7C15U;
    if (w->unknown && (user % 7 == 0 || item % 11 == 0))
        return NAN;
    return (float)((hash >> 40) % (uint64_t)w->levels);
}

static forage_status rank(void *context, const uint32_t *users, size_t count, const size_t *offsets,
                          const uint32_t *items, float *scores, forage_error *error)
{
    witness *w = context;
    (void)error;
    assert_int_equal(offsets[0], 0);
    for (size_t l = 0; l < count; l++, w->lists++) {
        w->user[w->lists] = users[l];
        w->count[w->lists] = offsets[l + 1] - offsets[l];
        assert_in_range(w->count[w->lists], 1, WIDTH);
        for (size_t i = 0; i < w->count[w->lists]; i++) {
            uint32_t item = items[offsets[l] + i];
            w->items[w->lists][i] = item;
            w->scores[w->lists][i] = scores[offsets[l] + i] = score_of(w, users[l], item);
        }
    }
    return FORAGE_OK;
}

typedef struct world {
    size_t test_offsets[USERS + 1], met_offsets[USERS + 1];
    uint32_t test_items[USERS * 3], met_items[USERS * ITEMS];
    bool tested[USERS][ITEMS], met_by[USERS][ITEMS], catalogue[ITEMS];
    forage_seen test, met;
    forage_ranking_task task;
} world;

/* Users have 0 to 3 test items; what they have met is little, or nearly all; some items are not to be had. */
static void make_world(world *w)
{
    size_t tests = 0, met = 0;
    memset(w, 0, sizeof *w);
    for (uint32_t u = 0; u < USERS; u++) {
        for (uint32_t i = 0; i < ITEMS; i++) {
            bool test = u % 4 > 0 && (i * 7 + u * 13) % 20 == 0 && tests - w->test_offsets[u] < u % 4;
            bool seen = u % 5 == 4 ? (i + u) % 9 > 0 : (i + u) % 6 == 0;
            w->tested[u][i] = test;
            w->met_by[u][i] = seen;
            if (test)
                w->test_items[tests++] = i;
            if (seen)
                w->met_items[met++] = i;
        }
        w->test_offsets[u + 1] = tests;
        w->met_offsets[u + 1] = met;
    }
    for (uint32_t i = 0; i < ITEMS; i++)
        w->catalogue[i] = i % 10 != 3;
    w->test = (forage_seen){USERS, w->test_offsets, w->test_items};
    w->met = (forage_seen){USERS, w->met_offsets, w->met_items};
    w->task = (forage_ranking_task){.test = &w->test, .items = ITEMS, .catalogue = w->catalogue};
}

static void test_drawing(void **state)
{
    static world w;
    static witness seen;
    static const size_t cutoffs[] = {1};
    (void)state;
    make_world(&w);
    for (int round = 0; round < 8; round++) {
        const forage_sampling sampling = {
            .negatives = (size_t)(round % 4 == 3 ? 50 : 1 + 5 * (round % 4)), .seed = 4, .met = &w.met};
        const forage_ranking_options options = {.cutoffs = cutoffs, .cutoff_count = 1};
        forage_ranking_metrics metrics;
        forage_error error = {0};
        w.task.catalogue = round < 4 ? w.catalogue : NULL;
        seen = (witness){.levels = 1000};
        must(forage_ranking_sampled(rank, &seen, &w.task, &sampling, &options, &metrics, &error), &error);
        assert_int_equal(seen.lists, w.test_offsets[USERS]);
        assert_true(isnan(metrics.coverage) && metrics.distinct == 0);
        for (size_t l = 0; l < seen.lists; l++) {
            uint32_t user = seen.user[l];
            bool drawn[ITEMS] = {0};
            size_t possible = 0;
            for (uint32_t i = 0; i < ITEMS; i++)
                possible += (round >= 4 || w.catalogue[i]) && !w.met_by[user][i] && !w.tested[user][i];
            assert_int_equal(seen.items[l][0], w.test_items[l]);
            assert_true(w.tested[user][seen.items[l][0]]);
            assert_int_equal(seen.count[l] - 1, possible < sampling.negatives ? possible : sampling.negatives);
            for (size_t i = 1; i < seen.count[l]; i++) {
                uint32_t item = seen.items[l][i];
                assert_true(item < ITEMS && (round >= 4 || w.catalogue[item]));
                assert_false(w.met_by[user][item] || w.tested[user][item] || drawn[item]);
                drawn[item] = true;
            }
        }
    }
}

/* Every item is drawn as often as the others, by both ways of drawing. */
static void test_uniform(void **state)
{
    enum { ROUNDS = 1000, POSSIBLE = 20 };
    static const size_t cutoffs[] = {1};
    (void)state;
    for (int way = 0; way < 2; way++) {
        size_t items = way ? POSSIBLE + 60 : POSSIBLE + 2, drawn[100] = {0};
        uint32_t test_item[] = {0}, met_items[100];
        size_t offsets[] = {0, 1}, met_offsets[] = {0, 0};
        for (uint32_t i = POSSIBLE + 1; i < items; i++)
            met_items[met_offsets[1]++] = i;
        const forage_seen test = {1, offsets, test_item}, met = {1, met_offsets, met_items};
        const forage_ranking_task task = {.test = &test, .items = items};
        const forage_ranking_options options = {.cutoffs = cutoffs, .cutoff_count = 1};
        for (uint64_t seed = 0; seed < ROUNDS; seed++) {
            static witness seen;
            forage_ranking_metrics metrics;
            forage_error error = {0};
            const forage_sampling sampling = {.negatives = 5, .seed = seed, .met = &met};
            seen.lists = 0;
            seen.levels = 10;
            must(forage_ranking_sampled(rank, &seen, &task, &sampling, &options, &metrics, &error), &error);
            for (size_t i = 1; i < seen.count[0]; i++)
                drawn[seen.items[0][i]]++;
        }
        double expected = ROUNDS * 5.0 / POSSIBLE, chi = 0;
        for (size_t i = 1; i <= POSSIBLE; i++)
            chi += ((double)drawn[i] - expected) * ((double)drawn[i] - expected) / expected;
        assert_true(chi < 43.8); /* 19 degrees of freedom, one in a thousand */
    }
}

/* The mean over all orders of a list, by going through them: the test item's place when sorted by score. */
static void naive(const float *scores, size_t count, const size_t *cutoffs, double out[2][3])
{
    size_t above = 0, equal = 0, orders = 0;
    memset(out, 0, 2 * sizeof *out);
    if (isnan(scores[0]))
        return;
    for (size_t i = 1; i < count; i++) {
        above += scores[i] > scores[0];
        equal += scores[i] == scores[0];
    }
    for (size_t before = 0; before <= equal; before++, orders++) { /* so many of the equals are before it */
        for (int c = 0; c < 2; c++) {
            size_t place = above + before + 1;
            out[c][0] += place <= cutoffs[c];
            out[c][1] += place <= cutoffs[c] ? 1 / log2((double)place + 1) : 0;
            out[c][2] += place <= cutoffs[c] ? 1 / (double)place : 0;
        }
    }
    for (int c = 0; c < 2; c++) {
        for (int m = 0; m < 3; m++)
            out[c][m] /= (double)orders;
    }
}

static void near(double got, double expected)
{
    if (!(fabs(got - expected) < 1e-12))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

static void test_metrics(void **state)
{
    static world w;
    static witness seen;
    static const size_t cutoffs[] = {1, 4};
    (void)state;
    make_world(&w);
    for (int round = 0; round < 6; round++) {
        const forage_sampling sampling = {.negatives = 12, .seed = 9, .met = &w.met};
        forage_ranking_options options = {
            .cutoffs = cutoffs, .cutoff_count = 2, .bootstrap = {.resamples = 20}, .threads = 1};
        forage_ranking_metrics metrics[2], again[2];
        forage_error error = {0};
        double sums[2][3] = {{0}};
        size_t users = 0, skipped = 0;
        seen = (witness){.levels = round < 2 ? 2 : round < 4 ? 5 : 1000, .unknown = round % 2};
        must(forage_ranking_sampled(rank, &seen, &w.task, &sampling, &options, metrics, &error), &error);
        for (size_t l = 0, end; l < seen.lists; l = end) {
            double own[2][3] = {{0}}, one[2][3];
            size_t scored = 0;
            for (end = l; end < seen.lists && seen.user[end] == seen.user[l]; end++) {
                naive(seen.scores[end], seen.count[end], cutoffs, one);
                for (size_t i = 0; i < seen.count[end]; i++)
                    scored += !isnan(seen.scores[end][i]);
                for (int c = 0; c < 2; c++) {
                    for (int m = 0; m < 3; m++)
                        own[c][m] += one[c][m];
                }
            }
            users += scored > 0;
            skipped += scored == 0;
            for (int c = 0; c < 2; c++) {
                for (int m = 0; m < 3; m++)
                    sums[c][m] += own[c][m] / (double)(end - l);
            }
        }
        assert_int_equal(skipped > 0, round % 2);
        for (int c = 0; c < 2; c++) {
            assert_int_equal(metrics[c].k, cutoffs[c]);
            assert_int_equal(metrics[c].users, users);
            assert_int_equal(metrics[c].skipped, skipped);
            near(metrics[c].hit_rate.value, sums[c][0] / (double)users);
            near(metrics[c].recall.value, sums[c][0] / (double)users);
            near(metrics[c].precision.value, sums[c][0] / (double)users / (double)cutoffs[c]);
            near(metrics[c].ndcg.value, sums[c][1] / (double)users);
            near(metrics[c].mrr.value, sums[c][2] / (double)users);
            assert_true(metrics[c].ndcg.low <= metrics[c].ndcg.value && metrics[c].ndcg.value <= metrics[c].ndcg.high);
        }
        options.threads = 3;
        seen.lists = 0;
        must(forage_ranking_sampled(rank, &seen, &w.task, &sampling, &options, again, &error), &error);
        assert_memory_equal(&metrics[1].ndcg, &again[1].ndcg, sizeof again[1].ndcg);
    }
}

/* A model that says the same of everything does as well as chance, not as the order of items has it. */
static void test_constant(void **state)
{
    static world w;
    static witness seen;
    static const size_t cutoffs[] = {4};
    (void)state;
    make_world(&w);
    const forage_sampling sampling = {.negatives = 3, .met = NULL};
    const forage_ranking_options options = {.cutoffs = cutoffs, .cutoff_count = 1};
    forage_ranking_metrics metrics;
    forage_error error = {0};
    seen = (witness){.levels = 1};
    must(forage_ranking_sampled(rank, &seen, &w.task, &sampling, &options, &metrics, &error), &error);
    near(metrics.hit_rate.value, 1);
    near(metrics.mrr.value, (1 + 1 / 2.0 + 1 / 3.0 + 1 / 4.0) / 4);
}

static void test_refusals(void **state)
{
    static world w;
    static witness seen;
    static const size_t cutoffs[] = {4};
    (void)state;
    make_world(&w);
    forage_sampling sampling = {.negatives = 3, .met = &w.met};
    const forage_ranking_options options = {.cutoffs = cutoffs, .cutoff_count = 1};
    forage_ranking_metrics metrics;
    forage_error error = {0};
    seen = (witness){.levels = 5};
    sampling.negatives = 0;
    assert_int_equal(forage_ranking_sampled(rank, &seen, &w.task, &sampling, &options, &metrics, &error),
                     FORAGE_INVALID);
    assert_non_null(strstr(error.message, "negatives lie between 1 and 1000000, not 0"));
    sampling.negatives = 3;
    w.task.items = ITEMS - 5;
    assert_int_equal(forage_ranking_sampled(rank, &seen, &w.task, &sampling, &options, &metrics, &error),
                     FORAGE_INVALID);
    assert_non_null(strstr(error.message, "but there are only 55"));
    w.task.items = ITEMS;
    for (uint64_t nth = 1;; nth++) {
        seen.lists = 0;
        forage_alloc_fail_at(nth);
        forage_status status = forage_ranking_sampled(rank, &seen, &w.task, &sampling, &options, &metrics, &error);
        uint64_t asked = forage_alloc_fail_at(0);
        if (asked < nth)
            break;
        assert_int_equal(status, FORAGE_NO_MEMORY);
    }
    memset(w.test_offsets, 0, sizeof w.test_offsets);
    assert_int_equal(forage_ranking_sampled(rank, &seen, &w.task, &sampling, &options, &metrics, &error),
                     FORAGE_INVALID);
    assert_non_null(strstr(error.message, "no user has anything to be found"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drawing),  cmocka_unit_test(test_uniform),  cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_constant), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("sampled", tests, NULL, NULL);
}
