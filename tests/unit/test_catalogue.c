/*
 * Exact retrieval: rankings of a whole catalogue against sorting everything.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vector_model.h"

/* ---- the oracle ---- */

typedef struct entry {
    float score;
    uint32_t name;
} entry;

static int best_first(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    if (a->score != b->score)
        return a->score < b->score ? 1 : -1;
    return a->name < b->name ? -1 : a->name > b->name;
}

/* All that may be ranked for someone with this vector, in order. */
static size_t sort_all(const model_state *state, const model_ranking *ranking, const float *vector,
                       const bool *excluded, entry *entries)
{
    size_t count = 0;
    for (size_t i = 0; i < state->items; i++) {
        uint32_t name = ranking->names ? ranking->names[i] : (uint32_t)i;
        float sum = 0;
        if ((ranking->allowed && !ranking->allowed[i]) || excluded[name])
            continue;
        for (size_t j = 0; j < state->width; j++)
            sum += vector[j] * state->item[i * state->pitch + j];
        entries[count++] = (entry){sum, name};
    }
    if (count)
        qsort(entries, count, sizeof *entries, best_first);
    return count;
}

static void check(const entry *entries, size_t count, size_t k, const uint32_t *items, const float *scores,
                  size_t found)
{
    assert_int_equal(found, count < k ? count : k);
    for (size_t i = 0; i < k; i++) {
        if (i >= found) {
            assert_true(items[i] == FORAGE_NONE && isnan(scores[i]));
            continue;
        }
        assert_int_equal(items[i], entries[i].name);
        assert_true(scores[i] == entries[i].score);
    }
}

/* ---- tests ---- */

typedef struct trial {
    size_t users, items, width, k;
    int allowed;  /* of 100 items; 0: no mask */
    int excluded; /* of 100 */
    int names;    /* 0: codes; 1: rising; 2: any order */
} trial;

static void *ranking_memory(const model_state *state, int threads)
{
    return array((size_t)threads, model_ranking_scratch(&hooks, state));
}

static void try_shape(const trial *shape, forage_rng *rng)
{
    model_state state;
    size_t names = shape->items * 2 + 1, all = shape->users * shape->k;
    model_create(&state, rng, shape->users, shape->items, shape->width);
    uint32_t *name = array(shape->items, sizeof *name), *items = array(all, sizeof *items),
             *again = array(all, sizeof *again), *lists = array(shape->users * names, sizeof *lists);
    float *scores = array(all, sizeof *scores), *again_scores = array(all, sizeof *again_scores),
          *line = array(shape->items, sizeof *line);
    size_t *found = array(shape->users, sizeof *found), *offsets = array(shape->users + 1, sizeof *offsets);
    bool *allowed = array(shape->items, 1), *excluded = array(shape->users * names, 1);
    entry *entries = array(shape->items, sizeof *entries);
    for (size_t i = 0; i < shape->items; i++) {
        allowed[i] = forage_rng_integers(rng, 100) < (uint64_t)shape->allowed;
        name[i] = (uint32_t)(2 * i + 1);
    }
    if (shape->names == 2)
        forage_rng_permute(rng, name, shape->items);
    for (size_t u = 0; u < shape->users; u++) {
        offsets[u + 1] = offsets[u];
        for (size_t n = 0; n < names; n++) {
            excluded[u * names + n] = forage_rng_integers(rng, 100) < (uint64_t)shape->excluded;
            if (excluded[u * names + n])
                lists[offsets[u + 1]++] = (uint32_t)n;
        }
    }
    const forage_seen seen = {shape->users, offsets, lists};
    model_ranking ranking = {
        .catalogue = &hooks,
        .state = &state,
        .item_count = shape->items,
        .allowed = shape->allowed ? allowed : NULL,
        .names = shape->names ? name : NULL,
        .rising = shape->names == 1,
        .isa = state.isa,
        .threads = 1,
        .scratch = ranking_memory(&state, 3),
    };
    model_rank_request request = {NULL, shape->users, shape->k, &seen, items, scores, found};
    model_rank_users(&ranking, &request);
    for (size_t u = 0; u < shape->users; u++) {
        size_t count = sort_all(&state, &ranking, state.user + u * state.pitch, excluded + u * names, entries);
        check(entries, count, shape->k, items + u * shape->k, scores + u * shape->k, found[u]);
        /* The same one by one. */
        const model_subject subject = {.user = (uint32_t)u};
        model_top top;
        model_top_begin(&top, again, again_scores, shape->k, lists + offsets[u], offsets[u + 1] - offsets[u]);
        ranking.threads = 1 + (int)(u % 3);
        model_rank_one(&ranking, &subject, line, &top);
        check(entries, count, shape->k, again, again_scores, top.count);
    }
    /* And on several threads. */
    ranking.threads = 3;
    request.items = again;
    request.scores = again_scores;
    model_rank_users(&ranking, &request);
    assert_memory_equal(again, items, all * sizeof *items);
    assert_memory_equal(again_scores, scores, all * sizeof *scores);
    forage_free(ranking.scratch);
    forage_free(name);
    forage_free(items);
    forage_free(again);
    forage_free(lists);
    forage_free(scores);
    forage_free(again_scores);
    forage_free(line);
    forage_free(found);
    forage_free(offsets);
    forage_free(allowed);
    forage_free(excluded);
    forage_free(entries);
    model_release(&state);
}

static void test_against_sorting(void **unused)
{
    static const trial shapes[] = {
        {1, 1, 1, 1, 0, 0, 0},         {3, 5, 2, 9, 0, 0, 0},        {65, 513, 16, 20, 0, 0, 0},
        {64, 512, 7, 1, 0, 30, 0},     {129, 1500, 64, 20, 0, 5, 1}, {70, 1100, 33, 20, 50, 10, 2},
        {2, 4097, 5, 20, 1, 10, 2},    {5, 9000, 80, 100, 0, 50, 2}, {4, 300, 3, 400, 40, 0, 1},
        {66, 700, 4, 20, 0, 100, 0},   {3, 600, 4, 0, 0, 0, 0},      {67, 1030, 6, 1000, 90, 90, 2},
        {130, 12000, 2, 20, 3, 50, 2},
    };
    forage_rng rng;
    (void)unused;
    forage_rng_seed(&rng, 4);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        try_shape(&shapes[i], &rng);
    for (size_t i = 0; i < 60; i++) {
        const trial random = {1 + forage_rng_integers(&rng, 140),  1 + forage_rng_integers(&rng, 1300),
                              1 + forage_rng_integers(&rng, 40),   forage_rng_integers(&rng, 30),
                              (int)forage_rng_integers(&rng, 101), (int)forage_rng_integers(&rng, 101),
                              (int)forage_rng_integers(&rng, 3)};
        try_shape(&random, &rng);
    }
}

static void test_nothing_allowed(void **unused)
{
    forage_rng rng;
    model_state state;
    bool allowed[700] = {0};
    uint32_t items[10], users[2] = {FORAGE_NONE, 1};
    float scores[10];
    size_t found[2];
    (void)unused;
    forage_rng_seed(&rng, 5);
    model_create(&state, &rng, 2, 700, 8);
    model_ranking ranking = {.catalogue = &hooks,
                             .state = &state,
                             .item_count = 700,
                             .allowed = allowed,
                             .isa = state.isa,
                             .threads = 1,
                             .scratch = ranking_memory(&state, 1)};
    const model_rank_request request = {users, 2, 5, NULL, items, scores, found};
    model_rank_users(&ranking, &request);
    assert_int_equal(found[0] + found[1], 0);
    allowed[699] = true;
    model_rank_users(&ranking, &request);
    assert_true(found[0] == 1 && found[1] == 1 && items[0] == 699 && items[5] == 699);
    forage_free(ranking.scratch);
    model_release(&state);
}

/* One subject, many subjects and pairs: the same bytes, also where sums are rounded. */
static void test_paths_agree(void **unused)
{
    static const char *const devices[] = {"cpu:portable", "cpu:avx2", "cpu:avx512"};
    enum { USERS = 70, ITEMS = 1111 };
    (void)unused;
    for (size_t d = 0; d < 3; d++) {
        for (size_t width = 1; width <= WIDTH_MOST; width += 13) {
            forage_rng rng;
            model_state state;
            forage_device device;
            if (forage_device_open(devices[d], 1, &device, NULL) != FORAGE_OK)
                continue;
            forage_rng_seed(&rng, width);
            model_create(&state, &rng, USERS, ITEMS, width);
            state.isa = device.isa;
            for (size_t i = 0; i < USERS * state.pitch; i++)
                state.user[i] = i % state.pitch < width ? (float)forage_rng_normal(&rng) : 0;
            for (size_t i = 0; i < ITEMS * state.pitch; i++)
                state.item[i] = i % state.pitch < width ? (float)forage_rng_normal(&rng) : 0;
            model_subject subjects[USERS];
            void *scratch = array(1, model_dot_scratch_size(width, MODEL_SUBJECTS));
            float *tile = array((size_t)MODEL_BLOCK * MODEL_SUBJECTS, sizeof *tile),
                  *one = array(MODEL_BLOCK, sizeof *one);
            for (uint32_t u = 0; u < USERS; u++)
                subjects[u] = (model_subject){.user = u};
            static const size_t counts[] = {64, 1, 3};
            const model_dot dot = dot_of(&state);
            for (size_t c = 0; c < 3; c++) {
                size_t first = 17 * (c + 1), items = 1 + c * 250;
                prepare(&state, subjects + c, counts[c], scratch);
                score_tile(&state, scratch, counts[c], first, items, tile);
                for (size_t s = 0; s < counts[c]; s++) {
                    prepare(&state, subjects + c + s, 1, scratch);
                    score_tile(&state, scratch, 1, first, items, one);
                    for (size_t i = 0; i < items; i++) {
                        const float *left = state.user + (c + s) * state.pitch,
                                    *right = state.item + (first + i) * state.pitch;
                        float pair;
                        size_t at = counts[c] == 1 ? i : i * MODEL_SUBJECTS + s;
                        model_dot_pairs(&dot, &left, &right, 1, &pair);
                        assert_memory_equal(&pair, &one[i], sizeof pair);
                        assert_memory_equal(&pair, &tile[at], sizeof pair);
                    }
                    prepare(&state, subjects + c, counts[c], scratch);
                }
            }
            forage_free(scratch);
            forage_free(tile);
            forage_free(one);
            model_release(&state);
        }
    }
}

static void test_histories(void **unused)
{
    enum { K = 7, ITEMS = 900 };
    forage_rng rng;
    model_state state;
    static float scores[ITEMS];
    static entry entries[ITEMS];
    bool excluded[ITEMS] = {0};
    (void)unused;
    forage_rng_seed(&rng, 6);
    model_create(&state, &rng, 3, ITEMS, 12);
    const uint32_t history[] = {3, 77, 500};
    const float weights[] = {2, 1, 4};
    model_subject subjects[3] = {
        {.user = FORAGE_NONE, .items = history, .weights = weights, .count = 3}, {.user = FORAGE_NONE}, {.user = 2}};
    model_top tops[3];
    uint32_t items[3][K];
    float best[3][K];
    model_ranking ranking = {.catalogue = &hooks,
                             .state = &state,
                             .item_count = ITEMS,
                             .isa = state.isa,
                             .threads = 2,
                             .scratch = ranking_memory(&state, 2)};
    for (size_t s = 0; s < 3; s++)
        model_top_begin(&tops[s], items[s], best[s], K, NULL, 0);
    model_rank_block(&ranking, 1, subjects, tops, 3);
    float vector[WIDTH_MOST] = {0};
    for (size_t j = 0; j < 12; j++) {
        for (size_t i = 0; i < 3; i++)
            vector[j] += weights[i] * state.item[history[i] * state.pitch + j];
    }
    const float *vectors[3] = {vector, state.average, state.user + 2 * state.pitch};
    for (size_t s = 0; s < 3; s++) {
        size_t count = sort_all(&state, &ranking, vectors[s], excluded, entries);
        check(entries, count, K, items[s], best[s], tops[s].count);
        model_top_begin(&tops[s], items[s], best[s], K, NULL, 0);
        model_rank_one(&ranking, &subjects[s], scores, &tops[s]);
        check(entries, count, K, items[s], best[s], tops[s].count);
    }
    forage_free(ranking.scratch);
    model_release(&state);
}

/* ---- la ---- */

static void test_above(void **unused)
{
    static const char *const devices[] = {"cpu:portable", "cpu:avx2", "cpu:avx512"};
    enum { ROWS = 9 };
    float scores[ROWS * LA_ABOVE], limits[LA_ABOVE];
    uint64_t hits[ROWS];
    forage_rng rng;
    (void)unused;
    forage_rng_seed(&rng, 8);
    static const float values[] = {-INFINITY, -1, -0.0F, 0, 1, 2, INFINITY, NAN};
    for (size_t d = 0; d < 3; d++) {
        forage_device device;
        if (forage_device_open(devices[d], 1, &device, NULL) != FORAGE_OK)
            continue;
        for (size_t i = 0; i < ROWS * LA_ABOVE; i++)
            scores[i] = values[forage_rng_integers(&rng, 8)];
        for (size_t i = 0; i < LA_ABOVE; i++)
            limits[i] = values[forage_rng_integers(&rng, 8)];
        for (size_t rows = 0; rows <= ROWS; rows++) {
            memset(hits, 0xaa, sizeof hits);
            la_above(device.isa, scores, rows, limits, hits);
            for (size_t r = 0; r < rows; r++) {
                for (size_t l = 0; l < LA_ABOVE; l++) {
                    float value = scores[r * LA_ABOVE + l];
                    bool above = value > limits[l] || isnan(value) || isnan(limits[l]);
                    assert_int_equal(hits[r] >> l & 1, above);
                }
            }
            assert_true(rows == ROWS || hits[rows] == 0xaaaaaaaaaaaaaaaaU);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_sorting), cmocka_unit_test(test_nothing_allowed),
        cmocka_unit_test(test_paths_agree),     cmocka_unit_test(test_histories),
        cmocka_unit_test(test_above),
    };
    return cmocka_run_group_tests_name("catalogue", tests, NULL, NULL);
}
