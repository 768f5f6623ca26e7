/*
 * How every model of the registry must score and rank.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- scores ---- */

static void test_scores_are_finite_and_stand_alone(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        const forage_model_info *info = forage_models(NULL)[m];
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            static float all[LOG_ROWS], deviation[LOG_ROWS];
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            forage_model *model = fit(info, log, 2, 2);
            forage_binding *binding = bind_to(model, log, FORAGE_UNKNOWN_ERROR);
            forage_error error = {0};
            must(forage_model_score(binding, all_rows(), LOG_ROWS, all, deviation, &error), &error);
            for (uint32_t row = 0; row < LOG_ROWS; row++) {
                float alone;
                assert_true(isfinite(all[row]));
                if (info->capabilities & FORAGE_GIVES_PROBABILITY)
                    assert_true(all[row] >= 0 && all[row] <= 1);
                if (info->capabilities & FORAGE_HAS_DEVIATION)
                    assert_true(isfinite(deviation[row]) && deviation[row] >= 0);
                else
                    assert_true(isnan(deviation[row]));
                must(forage_model_score(binding, &row, 1, &alone, NULL, &error), &error);
                assert_memory_equal(&alone, &all[row], sizeof alone);
            }
            forage_binding_free(binding);
            forage_model_free(model);
            forage_dataset_free(log);
        }
    }
}

static void test_scoring_allocates_nothing(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        const forage_model_info *info = forage_models(NULL)[m];
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            static float mean[LOG_ROWS], scores[LOG_USERS * 5];
            uint32_t items[LOG_USERS * 5], users[LOG_USERS];
            size_t found[LOG_USERS];
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            forage_model *model = fit(info, log, 2, 2);
            forage_binding *binding = bind_to(model, log, FORAGE_UNKNOWN_AVERAGE);
            forage_error error = {0};
            for (uint32_t i = 0; i < LOG_USERS; i++)
                users[i] = log->users ? i : FORAGE_NONE;
            forage_alloc_fail_at(0);
            must(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), &error);
            must(forage_model_score_pairs(binding, users, all_rows(), LOG_ITEMS, mean, NULL, &error), &error);
            must(forage_model_rank(binding, users[0], 5, NULL, 0, items, scores, found, &error), &error);
            must(forage_model_rank_users(binding, users, LOG_USERS, 5, NULL, NULL, items, scores, found, &error),
                 &error);
            assert_int_equal(forage_alloc_fail_at(0), 0);
            forage_binding_free(binding);
            forage_model_free(model);
            forage_dataset_free(log);
        }
    }
}

/* ---- ids that the model has not met ---- */

static void check_unknown(const forage_model *model, const forage_dataset *log, uint32_t row, const char *id)
{
    static float mean[LOG_ROWS];
    uint32_t items[3];
    float scores[3];
    size_t found;
    forage_error error = {0};
    forage_binding *binding = bind_to(model, log, FORAGE_UNKNOWN_ERROR);
    char place[32];
    snprintf(place, sizeof place, "row %u ", row + 1);
    assert_int_not_equal(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), FORAGE_OK);
    clear_message(&error, FORAGE_UNKNOWN);
    assert_non_null(strstr(error.message, id));
    assert_non_null(strstr(error.message, place));
    assert_string_equal(error.file, "log.csv");
    forage_binding_free(binding);

    binding = bind_to(model, log, FORAGE_UNKNOWN_SKIP);
    error = (forage_error){0};
    must(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), &error);
    for (uint32_t i = 0; i < row; i++)
        assert_true(isfinite(mean[i]));
    assert_true(isnan(mean[row]));
    forage_binding_free(binding);

    binding = bind_to(model, log, FORAGE_UNKNOWN_AVERAGE);
    must(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), &error);
    for (uint32_t i = 0; i < LOG_ROWS; i++)
        assert_true(isfinite(mean[i]));
    must(forage_model_rank(binding, log->users ? log->user[row] : FORAGE_NONE, 3, NULL, 0, items, scores, &found,
                           &error),
         &error);
    assert_int_equal(found, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(isfinite(scores[i]));
    forage_binding_free(binding);
}

static bool reads(const forage_model *model, forage_owner owner)
{
    const forage_schema *schema = forage_model_schema(model);
    for (size_t f = 0; f < schema->field_count; f++) {
        if (schema->fields[f].is_id && schema->fields[f].owner == owner)
            return true;
    }
    return false;
}

static void test_unknown_ids(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        const forage_model_info *info = forage_models(NULL)[m];
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            forage_dataset *small = log_create(kinds[k], LOG_USERS - 2, LOG_ITEMS - 2);
            forage_model *model = fit(info, small, 2, 2);
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            for (size_t row = 0; row < LOG_ROWS; row++) {
                log->item[row] %= LOG_ITEMS - 2;
                if (log->user)
                    log->user[row] %= LOG_USERS - 2;
            }
            if (reads(model, FORAGE_OF_ITEM)) {
                uint32_t item = log->item[650];
                log->item[650] = LOG_ITEMS - 1;
                check_unknown(model, log, 650, kinds[k] == LOG_NUMBERED ? "'8'" : "'item 8'");
                log->item[650] = item;
            }
            if (reads(model, FORAGE_OF_USER)) {
                log->user[13] = LOG_USERS - 1;
                check_unknown(model, log, 13, kinds[k] == LOG_NUMBERED ? "'14'" : "'user 14'");
            }
            forage_dataset_free(log);
            forage_dataset_free(small);
            forage_model_free(model);
        }
    }
}

/* ---- rankings ---- */

static bool better(float score, uint32_t item, float other_score, uint32_t other)
{
    return score > other_score || (score == other_score && item < other);
}

/* The ranking by the plainest means: score every pair, take the best again and again. */
static size_t naive(forage_binding *binding, uint32_t user, const bool *out, size_t k, uint32_t *items, float *scores)
{
    uint32_t users[LOG_ITEMS], all[LOG_ITEMS];
    float mean[LOG_ITEMS];
    bool taken[LOG_ITEMS];
    forage_error error = {0};
    size_t found = 0;
    memcpy(taken, out, sizeof taken);
    for (uint32_t i = 0; i < LOG_ITEMS; i++) {
        users[i] = user;
        all[i] = i;
    }
    must(forage_model_score_pairs(binding, users, all, LOG_ITEMS, mean, NULL, &error), &error);
    while (found < k) {
        uint32_t best = FORAGE_NONE;
        for (uint32_t i = 0; i < LOG_ITEMS; i++) {
            if (!taken[i] && (best == FORAGE_NONE || better(mean[i], i, mean[best], best)))
                best = i;
        }
        if (best == FORAGE_NONE)
            break;
        taken[best] = true;
        items[found] = best;
        scores[found++] = mean[best];
    }
    return found;
}

/* Scores of a few items are those of the ranking. */
static void check_listed(forage_binding *binding, uint32_t user, const uint32_t *items, size_t count,
                         const float *scores)
{
    uint32_t all[LOG_ITEMS];
    float all_scores[LOG_ITEMS];
    size_t found;
    forage_error error = {0};
    must(forage_model_rank(binding, user, LOG_ITEMS, NULL, 0, all, all_scores, &found, &error), &error);
    for (size_t i = 0; i < count; i++) {
        for (size_t r = 0; r < found; r++)
            assert_true(all[r] != items[i] || all_scores[r] == scores[i]);
    }
}

static void test_rankings(void **state)
{
    enum { K = 6 };
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        const forage_model_info *info = forage_models(NULL)[m];
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            forage_model *model = fit(info, log, 3, 2);
            forage_binding *binding = bind_to(model, log, FORAGE_UNKNOWN_ERROR);
            forage_error error = {0};
            uint32_t users[LOG_USERS], many[LOG_USERS * K], offsets_items[LOG_USERS * 4];
            float many_scores[LOG_USERS * K];
            size_t many_found[LOG_USERS], offsets[LOG_USERS + 1] = {0}, used = 0;
            bool out[LOG_USERS][LOG_ITEMS] = {{0}};
            for (uint32_t u = 0; u < LOG_USERS; u++) {
                users[u] = log->users ? u : FORAGE_NONE;
                for (uint32_t i = 0; i < LOG_ITEMS && used < (u + 1) * 4; i++) {
                    if (!log->users || (u * 3 + i * 5) % 7 > 2)
                        continue;
                    out[u][i] = true;
                    offsets_items[used++] = i;
                }
                offsets[u + 1] = used;
            }
            const forage_seen seen = {LOG_USERS, offsets, offsets_items};
            float listed[LOG_USERS * 4];
            must(forage_model_score_lists(binding, users, LOG_USERS, offsets, offsets_items, listed, &error), &error);
            must(forage_model_rank_users(binding, users, LOG_USERS, K, &seen, NULL, many, many_scores, many_found,
                                         &error),
                 &error);
            for (uint32_t u = 0; u < LOG_USERS; u++) {
                uint32_t wanted[K], items[K];
                float wanted_scores[K], scores[K];
                size_t found, count = naive(binding, users[u], out[u], K, wanted, wanted_scores);
                must(forage_model_rank(binding, users[u], K, offsets_items + offsets[u], offsets[u + 1] - offsets[u],
                                       items, scores, &found, &error),
                     &error);
                assert_int_equal(found, count);
                assert_int_equal(many_found[u], count);
                assert_memory_equal(items, wanted, count * sizeof *items);
                assert_memory_equal(scores, wanted_scores, count * sizeof *scores);
                assert_memory_equal(many + u * K, wanted, count * sizeof *items);
                assert_memory_equal(many_scores + u * K, wanted_scores, count * sizeof *scores);
                for (size_t i = count; i < K; i++)
                    assert_true(items[i] == FORAGE_NONE && isnan(scores[i]));
                check_listed(binding, users[u], offsets_items + offsets[u], offsets[u + 1] - offsets[u],
                             listed + offsets[u]);
            }
            forage_binding_free(binding);
            forage_model_free(model);
            forage_dataset_free(log);
        }
    }
}

static void test_more_than_there_are(void **state)
{
    enum { K = 3 * LOG_ITEMS };
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        if (!fits(forage_models(NULL)[m], LOG_NAMED))
            continue;
        const forage_model_info *info = forage_models(NULL)[m];
        forage_dataset *log = log_create(LOG_NUMBERED, LOG_USERS, LOG_ITEMS);
        forage_model *model = fit(info, log, 3, 1);
        forage_binding *binding = bind_to(model, log, FORAGE_UNKNOWN_ERROR);
        forage_error error = {0};
        uint32_t items[K];
        float scores[K];
        size_t found;
        bool available[LOG_ITEMS] = {false, true, false, true, true};
        must(forage_model_rank(binding, 0, K, NULL, 0, items, scores, &found, &error), &error);
        assert_int_equal(found, LOG_ITEMS);
        must(forage_model_rank(binding, 0, 0, NULL, 0, items, scores, &found, &error), &error);
        assert_int_equal(found, 0);
        must(forage_binding_available(binding, available, &error), &error);
        must(forage_model_rank(binding, 0, K, NULL, 0, items, scores, &found, &error), &error);
        assert_int_equal(found, 3);
        for (size_t i = 0; i < found; i++)
            assert_true(available[items[i]]);
        assert_int_equal(forage_model_rank(binding, LOG_USERS, K, NULL, 0, items, scores, &found, &error),
                         FORAGE_INVALID);
        forage_binding_free(binding);
        forage_model_free(model);
        forage_dataset_free(log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_are_finite_and_stand_alone),
        cmocka_unit_test(test_scoring_allocates_nothing),
        cmocka_unit_test(test_unknown_ids),
        cmocka_unit_test(test_rankings),
        cmocka_unit_test(test_more_than_there_are),
    };
    return cmocka_run_group_tests_name("scoring", tests, NULL, NULL);
}
