/*
 * How every model that scores whole catalogues must do so: as it scores pairs, whatever the block and the thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fixture.h"

#include "model/front.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* More than a block of subjects and more than a tile of items. */
enum { USERS = 150, ITEMS = 1300, EACH = 12, K = 15 };

/* Users of four kinds, who as a rule take items of theirs; each row simply happened. */
static forage_dataset *purchases(void)
{
    forage_dataset *log;
    forage_error error = {0};
    forage_rng rng;
    must(forage_dataset_create(&log, &error), &error);
    forage_vocabulary_free(log->users);
    forage_vocabulary_free(log->items);
    must(forage_vocabulary_create_numbered(USERS, &log->users, &error), &error);
    must(forage_vocabulary_create_numbered(ITEMS, &log->items, &error), &error);
    log->count = log->train_rows = log->context.rows = (size_t)USERS * EACH;
    log->user_attributes.rows = USERS;
    log->item_attributes.rows = ITEMS;
    log->user = forage_alloc(log->count, sizeof *log->user);
    log->item = forage_alloc(log->count, sizeof *log->item);
    assert_true(log->user && log->item);
    forage_rng_seed(&rng, 21);
    for (uint32_t row = 0; row < log->count; row++) {
        uint32_t item = (uint32_t)forage_rng_integers(&rng, ITEMS);
        log->user[row] = row / EACH;
        if (forage_rng_double(&rng) < 0.8) /* a few popular ones of the user's kind */
            item = (uint32_t)forage_rng_integers(&rng, ITEMS / 20) * 4 + log->user[row] % 4;
        log->item[row] = item;
    }
    return log;
}

static bool has_catalogue(const forage_model_info *info)
{
    return info->capabilities & FORAGE_CAN_FIT && model_type_of(info)->catalogue;
}

static forage_model *fit_all(const forage_model_info *info, const forage_dataset *log, const char *epochs, int threads)
{
    forage_model *model;
    forage_device device;
    forage_split split;
    forage_error error = {0};
    must(forage_device_open("auto", threads, &device, &error), &error);
    forage_params *params = short_params(info);
    if (forage_params_text(params, "epochs"))
        must(forage_params_set(params, "epochs", epochs, &error), &error);
    if (model_type_of(info)->reads & MODEL_READS_HISTORY) { /* whose batches are of histories */
        must(forage_params_set(params, "batch-size", "4", &error), &error);
        must(forage_params_set(params, "dropout", "0.2", &error), &error);
    }
    must(forage_split_parse("none", log, &split, &error), &error);
    const forage_fit_options options = {.device = &device, .seed = 3};
    must(forage_model_fit(info, params, log, &split, &options, NULL, &model, &error), &error);
    forage_split_release(&split);
    forage_params_free(params);
    return model;
}

/* Equal but for rounding. */
static bool close_to(float a, float b)
{
    return fabsf(a - b) <= 1e-5F * (1e-3F + fabsf(a) + fabsf(b));
}

/* The list holds the best of what may be ranked, by the scores of pairs. */
static void check_list(const float *pairs, const bool *out, const uint32_t *items, const float *scores, size_t found)
{
    bool listed[ITEMS] = {0};
    size_t possible = 0;
    for (size_t i = 0; i < found; i++) {
        assert_true(items[i] < ITEMS && !out[items[i]] && !listed[items[i]]);
        listed[items[i]] = true;
        assert_true(close_to(scores[i], pairs[items[i]]));
        assert_true(i == 0 || scores[i - 1] > scores[i] || (scores[i - 1] == scores[i] && items[i - 1] < items[i]));
    }
    for (size_t i = 0; i < ITEMS; i++) {
        possible += !out[i];
        assert_true(out[i] || listed[i] || pairs[i] < scores[found - 1] || close_to(pairs[i], scores[found - 1]));
    }
    assert_int_equal(found, possible < K ? possible : K);
}

static void test_like_pairs(void **state)
{
    static uint32_t all[ITEMS], same[ITEMS], users[USERS], items[USERS * K], one[K];
    static float pairs[ITEMS], scores[USERS * K], one_scores[K];
    size_t found[USERS], one_found;
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        const forage_model_info *info = forage_models(NULL)[m];
        if (!has_catalogue(info))
            continue;
        forage_dataset *log = purchases();
        forage_model *model = fit_all(info, log, "2", 3);
        forage_binding *binding = bind_to(model, log, FORAGE_UNKNOWN_ERROR);
        forage_seen seen;
        forage_error error = {0};
        must(forage_seen_create(log, NULL, 0, false, &seen, &error), &error);
        for (uint32_t i = 0; i < ITEMS; i++)
            all[i] = i;
        for (uint32_t u = 0; u < USERS; u++)
            users[u] = u == 70 ? FORAGE_NONE : u;
        must(forage_model_rank_users(binding, users, USERS, K, &seen, NULL, items, scores, found, &error), &error);
        for (uint32_t u = 0; u < USERS; u++) {
            bool out[ITEMS] = {0}, nobody = users[u] == FORAGE_NONE;
            const uint32_t *list = nobody ? NULL : seen.items + seen.offsets[u];
            size_t count = nobody ? 0 : seen.offsets[u + 1] - seen.offsets[u];
            for (size_t i = 0; i < count; i++)
                out[list[i]] = true;
            for (size_t i = 0; i < ITEMS; i++)
                same[i] = users[u];
            must(forage_model_score_pairs(binding, same, all, ITEMS, pairs, NULL, &error), &error);
            check_list(pairs, out, items + u * K, scores + u * K, found[u]);
            must(forage_model_rank(binding, users[u], K, list, count, one, one_scores, &one_found, &error), &error);
            check_list(pairs, out, one, one_scores, one_found);
        }
        forage_seen_release(&seen);
        forage_binding_free(binding);
        forage_model_free(model);
        forage_dataset_free(log);
    }
}

/* The same bytes for any number of threads, and for the same users in other company. */
static void test_any_threads_and_company(void **state)
{
    static uint32_t users[USERS], items[2][USERS * K];
    static float scores[2][USERS * K];
    size_t found[2][USERS];
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        const forage_model_info *info = forage_models(NULL)[m];
        if (!has_catalogue(info))
            continue;
        forage_dataset *log = purchases();
        forage_error error = {0};
        for (uint32_t u = 0; u < USERS; u++)
            users[u] = u;
        for (int run = 0; run < 2; run++) {
            forage_model *model = fit_all(info, log, "2", run ? 3 : 1);
            forage_binding *binding = bind_to(model, log, FORAGE_UNKNOWN_ERROR);
            must(forage_model_rank_users(binding, users, USERS, K, NULL, NULL, items[run], scores[run], found[run],
                                         &error),
                 &error);
            if (run == 1) {
                uint32_t reversed[USERS];
                static uint32_t others[USERS * K];
                static float other_scores[USERS * K];
                size_t others_found[USERS], count = 67; /* 64 and 3, others than before */
                for (uint32_t u = 0; u < USERS; u++)
                    reversed[u] = USERS - 1 - u;
                must(forage_model_rank_users(binding, reversed, count, K, NULL, NULL, others, other_scores,
                                             others_found, &error),
                     &error);
                for (size_t i = 0; i < count; i++) {
                    assert_memory_equal(others + i * K, items[1] + reversed[i] * (size_t)K, K * sizeof(uint32_t));
                    assert_memory_equal(other_scores + i * K, scores[1] + reversed[i] * (size_t)K, K * sizeof(float));
                }
            }
            forage_binding_free(binding);
            forage_model_free(model);
        }
        assert_memory_equal(items[0], items[1], sizeof items[0]);
        assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
        forage_dataset_free(log);
    }
}

/* Who is known by a history alone gets what people of that kind take. */
static void test_histories(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        const forage_model_info *info = forage_models(NULL)[m];
        if (!has_catalogue(info))
            continue;
        forage_dataset *log = purchases();
        forage_model *model = fit_all(info, log, "40", 2);
        forage_binding *binding = bind_to(model, log, FORAGE_UNKNOWN_ERROR);
        forage_error error = {0};
        size_t found, right = 0;
        for (uint32_t kind = 0; kind < 4; kind++) {
            const uint32_t history[] = {kind, 4 + kind, 8 + kind, 12 + kind, 16 + kind, 40 + kind};
            uint32_t items[K], again[K];
            float scores[K], again_scores[K];
            const float ones[] = {1, 1, 1, 1, 1, 1};
            must(forage_model_rank_history(binding, history, NULL, 6, K, history, 6, items, scores, &found, &error),
                 &error);
            assert_int_equal(found, K);
            for (size_t i = 0; i < K; i++) {
                assert_true(isfinite(scores[i]));
                right += items[i] % 4 == kind;
                for (size_t j = 0; j < 6; j++)
                    assert_true(items[i] != history[j]);
            }
            must(forage_model_rank_history(binding, history, ones, 6, K, history, 6, again, again_scores, &found,
                                           &error),
                 &error);
            assert_memory_equal(items, again, sizeof items);
            assert_memory_equal(scores, again_scores, sizeof scores);
        }
        if (right < 3 * K)
            fail_msg("%s: only %zu of %d items fit the histories", info->name, right, 4 * K);
        forage_binding_free(binding);
        forage_model_free(model);
        forage_dataset_free(log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_pairs),
        cmocka_unit_test(test_any_threads_and_company),
        cmocka_unit_test(test_histories),
    };
    return cmocka_run_group_tests_name("catalogues", tests, NULL, NULL);
}
