/*
 * Users about whom a model has learned nothing, known by what they chose in the log: FORAGE_UNKNOWN_FOLD_IN.
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
#include <unistd.h>

#include <cmocka.h>

enum { K = 6, MOST = 200 };

static const char *const models[] = {"lightgcn", "gf-cf", "ials", "item-knn"};
enum { MODELS = sizeof models / sizeof models[0] };

/* A log from text, and what tests it, if anything does. */
static forage_dataset *log_of(const char *text, const char *test)
{
    char paths[2][40] = {"/tmp/forage-fold-XXXXXX", "/tmp/forage-fold-XXXXXX"};
    const char *texts[2] = {text, test};
    forage_dataset *dataset;
    forage_error error = {0};
    for (int i = 0; i < 2; i++) {
        int file = mkstemp(paths[i]);
        size_t length = texts[i] ? strlen(texts[i]) : 0;
        assert_true(file >= 0);
        assert_int_equal(write(file, texts[i] ? texts[i] : "", length), (ssize_t)length);
        close(file);
    }
    const forage_read_options options = {.format = FORAGE_FILE_CSV, .test = test ? paths[1] : NULL};
    must(forage_dataset_load(paths[0], &options, NULL, &dataset, &error), &error);
    unlink(paths[0]);
    unlink(paths[1]);
    return dataset;
}

static forage_model *fitted(const char *name, const forage_dataset *log, int threads)
{
    const forage_model_info *info;
    forage_params *params;
    forage_model *model;
    forage_split split;
    forage_device device;
    forage_error error = {0};
    must(forage_device_open("auto", threads, &device, &error), &error);
    must(forage_model_find(name, &info, &error), &error);
    must(forage_params_create(&info->table, &params, &error), &error);
    if (forage_params_text(params, "epochs"))
        must(forage_params_set(params, "epochs", "5", &error), &error);
    if (forage_params_text(params, "rank"))
        must(forage_params_set(params, "rank", "3", &error), &error);
    must(forage_split_parse("none", log, &split, &error), &error);
    const forage_fit_options options = {.device = &device};
    must(forage_model_fit(info, params, log, &split, &options, NULL, &model, &error), &error);
    forage_split_release(&split);
    forage_params_free(params);
    return model;
}

static forage_binding *bound(const forage_model *model, const forage_dataset *log)
{
    forage_binding *binding;
    forage_error error = {0};
    must(forage_model_bind(model, log, FORAGE_UNKNOWN_FOLD_IN, "log", &binding, &error), &error);
    return binding;
}

static uint32_t user_of(const forage_dataset *log, const char *id)
{
    uint32_t user = forage_vocabulary_find(log->users, id, strlen(id));
    assert_int_not_equal(user, FORAGE_NONE);
    return user;
}

static uint32_t item_of(const forage_dataset *log, const char *id)
{
    uint32_t item = forage_vocabulary_find(log->items, id, strlen(id));
    assert_int_not_equal(item, FORAGE_NONE);
    return item;
}

typedef struct list {
    uint32_t items[K];
    float scores[K];
    size_t found;
} list;

static list ranked(forage_binding *binding, uint32_t user)
{
    list made;
    forage_error error = {0};
    must(forage_model_rank(binding, user, K, NULL, 0, made.items, made.scores, &made.found, &error), &error);
    return made;
}

static void check_same(const list *one, const list *two)
{
    assert_int_equal(one->found, two->found);
    assert_memory_equal(one->items, two->items, sizeof one->items);
    for (size_t i = 0; i < one->found; i++)
        assert_true(one->scores[i] == two->scores[i]);
}

/* The ranking, that among many users, and the scores of pairs are those of this history (names, joined by blanks). */
static void check_history(forage_binding *binding, const forage_dataset *log, uint32_t user, const char *names)
{
    char text[200], *rest = text;
    uint32_t history[MOST];
    size_t count = 0;
    list by_history, own = ranked(binding, user), among;
    forage_error error = {0};
    snprintf(text, sizeof text, "%s", names);
    for (char *name; (name = strsep(&rest, " ")) && *name;)
        history[count++] = item_of(log, name);
    must(forage_model_rank_history(binding, history, NULL, count, K, NULL, 0, by_history.items, by_history.scores,
                                   &by_history.found, &error),
         &error);
    assert_int_equal(forage_binding_folded(binding, user), count);
    check_same(&own, &by_history);
    const uint32_t users[] = {user};
    must(forage_model_rank_users(binding, users, 1, K, NULL, NULL, among.items, among.scores, &among.found, &error),
         &error);
    check_same(&own, &among);
    for (size_t i = 0; i < own.found; i++) {
        float score;
        must(forage_model_score_pairs(binding, &user, &own.items[i], 1, &score, NULL, &error), &error);
        assert_true(fabsf(score - own.scores[i]) <= 1e-5F * (1 + fabsf(score)));
    }
}

static const char known[] = "user_id,item_id\nann,hat\nann,coat\nbob,coat\nbob,sock\ncid,hat\ncid,shoe\ndan,sock\n"
                            "dan,shoe\ndan,coat\neve,cap\neve,coat\n";

static void test_words(void **state)
{
    (void)state;
    forage_dataset *old = log_of(known, NULL);
    /* zoe is new and met a cape that is new; max met that alone; ann is known and met another thing. */
    forage_dataset *log = log_of("user_id,item_id\nzoe,sock\nzoe,cape\nzoe,cap\nzoe,sock\nmax,cape\nann,shoe\nbob,hat\n"
                                 "eve,coat\n",
                                 NULL);
    for (size_t m = 0; m < MODELS; m++) {
        forage_model *model = fitted(models[m], old, 1);
        forage_binding *binding = bound(model, log), *average;
        forage_error error = {0};
        check_history(binding, log, user_of(log, "zoe"), "cap sock");
        assert_int_equal(forage_binding_folded(binding, user_of(log, "ann")), 0);
        assert_int_equal(forage_binding_folded(binding, user_of(log, "max")), 0);
        assert_int_equal(forage_binding_folded(binding, FORAGE_NONE), 0);
        list max = ranked(binding, user_of(log, "max")), nobody = ranked(binding, FORAGE_NONE);
        check_same(&max, &nobody);
        assert_int_equal(max.found, 5); /* not the cape */
        /* Who is known is ranked as always. */
        must(forage_model_bind(model, log, FORAGE_UNKNOWN_SKIP, "log", &average, &error), &error);
        list ann = ranked(binding, user_of(log, "ann")), as_ever = ranked(average, user_of(log, "ann"));
        check_same(&ann, &as_ever);
        assert_int_equal(forage_binding_folded(average, user_of(log, "zoe")), 0);
        must(forage_binding_history(average, NULL, 0, &error), &error);
        assert_int_equal(forage_binding_folded(average, user_of(log, "zoe")), 0);
        /* Rows: those of new users have scores, those of new items none. */
        float scores[8];
        const uint32_t rows[] = {0, 1, 2, 3, 4, 5, 6, 7};
        must(forage_model_score(binding, rows, 8, scores, NULL, &error), &error);
        for (size_t i = 0; i < 8; i++)
            assert_int_equal(isnan(scores[i]), i == 1 || i == 4);
        forage_binding_free(average);
        forage_binding_free(binding);
        forage_model_free(model);
    }
    forage_dataset_free(old);
    forage_dataset_free(log);
}

/* Numbers have codes although nobody of that number was met. */
static void test_gaps(void **state)
{
    (void)state;
    forage_dataset *old = log_of("user_id,item_id\n0,0\n0,1\n3,1\n3,2\n5,0\n5,2\n5,4\n", NULL);
    forage_dataset *log = log_of("user_id,item_id\n1,2\n1,4\n4,0\n3,4\n9,1\n9,2\n", NULL);
    for (size_t m = 0; m < MODELS; m++) {
        forage_model *model = fitted(models[m], old, 1);
        forage_binding *binding = bound(model, log);
        check_history(binding, log, 1, "2 4");
        check_history(binding, log, 4, "0");
        check_history(binding, log, 9, "1 2");
        assert_int_equal(forage_binding_folded(binding, 3), 0);
        assert_int_equal(forage_binding_folded(binding, 2), 0);
        forage_binding_free(binding);
        forage_model_free(model);
    }
    forage_dataset_free(old);
    forage_dataset_free(log);
}

/* What was not chosen, and what tests, is no history. */
static void test_which_rows(void **state)
{
    static const char rows[] = "user_id,item_id,clicked\nzoe,sock,1\nzoe,hat,0\nzoe,cap,1\n";
    const uint32_t chosen[] = {1, 2, 4}, beyond[] = {5};
    (void)state;
    forage_dataset *old = log_of(known, NULL);
    forage_dataset *log = log_of(rows, "user_id,item_id,clicked\nzoe,coat,1\nyan,shoe,1\n");
    assert_int_equal(log->count, 5);
    for (size_t m = 0; m < MODELS; m++) {
        forage_model *model = fitted(models[m], old, 1);
        forage_binding *binding = bound(model, log);
        forage_error error = {0};
        uint32_t zoe = user_of(log, "zoe"), yan = user_of(log, "yan");
        check_history(binding, log, zoe, "sock cap");
        assert_int_equal(forage_binding_folded(binding, yan), 0);
        must(forage_binding_history(binding, chosen, 3, &error), &error);
        check_history(binding, log, zoe, "cap");
        check_history(binding, log, yan, "shoe");
        must(forage_binding_history(binding, chosen, 0, &error), &error);
        assert_int_equal(forage_binding_folded(binding, zoe), 0);
        list one = ranked(binding, zoe), nobody = ranked(binding, FORAGE_NONE);
        check_same(&one, &nobody);
        must(forage_binding_history(binding, NULL, 0, &error), &error);
        check_history(binding, log, zoe, "sock cap");
        assert_int_equal(forage_binding_history(binding, beyond, 1, &error), FORAGE_INVALID);
        assert_non_null(strstr(error.message, "no row 6 in a log of 5"));
        check_history(binding, log, zoe, "sock cap"); /* as it was */
        forage_binding_free(binding);
        forage_model_free(model);
    }
    forage_dataset_free(old);
    forage_dataset_free(log);
}

/* Many at once, on any number of threads, known and new side by side. */
static void test_many(void **state)
{
    char *old_text = malloc(1 << 16), *text = malloc(1 << 16);
    size_t old_used = 0, used = 0;
    forage_rng rng;
    (void)state;
    assert_true(old_text && text);
    forage_append(old_text, 1 << 16, &old_used, "user_id,item_id\n");
    forage_append(text, 1 << 16, &used, "user_id,item_id\n");
    forage_rng_seed(&rng, 4);
    for (int user = 0; user < MOST; user++) {
        for (int i = 0; i < 8; i++) {
            int item = (int)forage_rng_integers(&rng, 40);
            forage_append(text, 1 << 16, &used, "u%d,i%d\n", user, item);
            if (user % 3)
                forage_append(old_text, 1 << 16, &old_used, "u%d,i%d\n", user, item);
        }
    }
    forage_dataset *old = log_of(old_text, NULL), *log = log_of(text, NULL);
    for (size_t m = 0; m < MODELS; m++) {
        static uint32_t users[MOST], items[3][MOST * K];
        static float scores[3][MOST * K];
        size_t found[MOST];
        for (uint32_t u = 0; u < MOST; u++)
            users[u] = u;
        for (int threads = 1; threads <= 3; threads++) {
            forage_model *model = fitted(models[m], old, threads);
            forage_binding *binding = bound(model, log);
            forage_error error = {0};
            must(forage_model_rank_users(binding, users, MOST, K, NULL, NULL, items[threads - 1], scores[threads - 1],
                                         found, &error),
                 &error);
            for (uint32_t u = 0; u < MOST; u++) {
                list own = ranked(binding, u);
                assert_int_equal(forage_binding_folded(binding, u) > 0, u % 3 == 0);
                assert_memory_equal(own.items, items[threads - 1] + u * K, sizeof own.items);
            }
            forage_binding_free(binding);
            forage_model_free(model);
        }
        for (int other = 1; other < 3; other++) {
            assert_memory_equal(items[0], items[other], sizeof items[0]);
            assert_memory_equal(scores[0], scores[other], sizeof scores[0]);
        }
    }
    forage_dataset_free(old);
    forage_dataset_free(log);
    free(old_text);
    free(text);
}

static void test_models_that_cannot(void **state)
{
    (void)state;
    forage_dataset *old = log_of(known, NULL);
    forage_model *model = fitted("popular", old, 1);
    forage_binding *binding;
    forage_error error = {0};
    forage_unknown policy;
    assert_int_equal(forage_model_bind(model, old, FORAGE_UNKNOWN_FOLD_IN, "log", &binding, &error),
                     FORAGE_UNSUPPORTED);
    assert_null(binding);
    assert_non_null(strstr(error.message, "popular cannot tell from their events"));
    must(forage_unknown_parse("fold-in", &policy, &error), &error);
    assert_int_equal(policy, FORAGE_UNKNOWN_FOLD_IN);
    assert_int_equal(forage_unknown_parse("fold", &policy, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "error, skip, average, fold-in"));
    forage_model_free(model);
    forage_dataset_free(old);
}

static void test_no_memory(void **state)
{
    (void)state;
    forage_dataset *old = log_of(known, NULL), *log = log_of("user_id,item_id\nzoe,sock\nzoe,cap\n", NULL);
    forage_model *model = fitted("lightgcn", old, 1);
    forage_binding *binding;
    forage_error error = {0};
    forage_alloc_fail_at(0);
    binding = bound(model, log);
    uint64_t count = forage_alloc_fail_at(0);
    forage_binding_free(binding);
    for (uint64_t nth = 1; nth <= count; nth++) {
        forage_alloc_fail_at(nth);
        forage_status status = forage_model_bind(model, log, FORAGE_UNKNOWN_FOLD_IN, "log", &binding, &error);
        forage_alloc_fail_at(0);
        assert_int_equal(status, FORAGE_NO_MEMORY);
        assert_null(binding);
    }
    forage_model_free(model);
    forage_dataset_free(old);
    forage_dataset_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_which_rows),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_models_that_cannot),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("fold_in", tests, NULL, NULL);
}
