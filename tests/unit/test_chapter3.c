/*
 * The experiments of chapter 3, with short logs.
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

enum { WORLDS = 2, VISITS = 3000 };

static forage_chapter3 chapter;

static forage_chapter3 run(int threads)
{
    forage_error error = {0};
    forage_chapter3 found;
    forage_chapter3_options options = {.seeds = WORLDS, .visits = VISITS};
    assert_int_equal(forage_device_open("cpu", threads, &options.device, &error), FORAGE_OK);
    if (forage_chapter3_run(&options, &found, &error) != FORAGE_OK)
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
    forage_chapter3_release(&chapter);
    forage_chapter3_release(&chapter);
    return 0;
}

static const forage_predictor *predictor(const forage_predictor_table *table, const char *name)
{
    for (size_t a = 0; a < table->predictor_count; a++)
        if (strcmp(table->predictors[a].name, name) == 0)
            return &table->predictors[a];
    fail_msg("nobody is called %s", name);
    return NULL;
}

/* What follows from how the numbers are made. */
static void check_table(const forage_predictor_table *table, size_t points, double late)
{
    const forage_predictor *bayes = predictor(table, "bayes"), *oracle = predictor(table, "oracle");
    const forage_predictor *best = predictor(table, "bst"), *blind = predictor(table, "history-blind");
    assert_int_equal(table->point_count, points);
    assert_true(table->points[0] == 1 && table->points[points - 1] == (double)points && table->late == late);
    /* Who knows more predicts better, on so many rows. */
    assert_true(oracle->loss.value < bayes->loss.value && bayes->loss.value < blind->loss.value);
    assert_true(oracle->auc.value > bayes->auc.value && bayes->auc.value > blind->auc.value);
    for (size_t a = 0; a < table->predictor_count; a++) {
        const forage_predictor *one = &table->predictors[a];
        assert_true(one->loss.value > 0.3 && one->loss.value < 1 && one->auc.value > 0.4 && one->auc.value < 1);
        assert_true(one->more.value >= oracle->more.value && one->late.value >= oracle->late.value);
        assert_true(fabs(one->loss_behind.value - (one->loss.value - best->loss.value)) < 1e-12);
        assert_true(fabs(one->auc_behind.value - (best->auc.value - one->auc.value)) < 1e-12);
        assert_true(one->note[0] != '\0');
        for (size_t p = 0; p < points; p++)
            assert_true(isfinite(one->log_loss[p].value) && isfinite(one->excess[p].value));
    }
    assert_true(bayes->more.value == 0 && bayes->late.value == 0 && best->loss_behind.value == 0);
}

static void test_users(void **state)
{
    (void)state;
    const forage_moment_users *users = &chapter.users;
    const forage_predictor *bayes = predictor(&users->table, "bayes"), *oracle = predictor(&users->table, "oracle");
    check_table(&users->table, 50, 21);
    assert_true(users->visits == VISITS && users->users == 1000 && users->items == 50);
    /* Every point has as many visits, so the mean of the points is the mean of all. */
    double sum = 0, early = 0, late = 0;
    for (size_t p = 0; p < 50; p++)
        sum += bayes->log_loss[p].value / 50;
    assert_true(fabs(sum - bayes->loss.value) < 1e-9);
    /* The oracle's advantage melts with every visit. */
    for (size_t p = 0; p < 10; p++) {
        early -= oracle->excess[p].value / 10;
        late -= oracle->excess[40 + p].value / 10;
    }
    assert_true(early > 0.05 && late < early / 3);
    /* The truth of the pet shop, for users of all personas evenly: docs/simulator.md. */
    assert_true(fabs(oracle->loss.value - 0.4) < 0.01);
    assert_string_equal(chapter.scenario, "petshop");
}

static void test_sessions(void **state)
{
    (void)state;
    const forage_moment_sessions *intents = &chapter.sessions[FORAGE_CHAPTER3_INTENTS];
    const forage_moment_sessions *steady = &chapter.sessions[FORAGE_CHAPTER3_STEADY];
    check_table(&intents->table, 20, 11);
    check_table(&steady->table, 20, 11);
    assert_string_equal(intents->scenario, "intents");
    assert_string_equal(steady->scenario, "sessions");
    assert_true(intents->test_visits == VISITS / 4 && intents->active == 10);
    assert_true(fabs(intents->intended - 0.5) < 0.1 && steady->intended == 0);
    predictor(&intents->table, "embedding-mlp, tuned");
}

/* Any number of threads, the same record. */
static void test_threads(void **state)
{
    (void)state;
    forage_chapter3 other = run(1);
    char *one, *two;
    other.seconds = chapter.seconds;
    snprintf(other.device, sizeof other.device, "%s", chapter.device);
    assert_int_equal(forage_chapter3_json(&chapter, &one, NULL), FORAGE_OK);
    assert_int_equal(forage_chapter3_json(&other, &two, NULL), FORAGE_OK);
    assert_string_equal(one, two);
    forage_free(one);
    forage_free(two);
    forage_chapter3_release(&other);
}

static bool stop_at_once(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    uint64_t *most = context;
    (void)stage, (void)total, (void)note;
    *most = done > *most ? done : *most;
    return false;
}

static void test_refusals(void **state)
{
    (void)state;
    forage_chapter3 other;
    forage_error error = {0};
    char text[400];
    forage_chapter3_options options = {.scenario = "nowhere.yaml"};
    assert_int_not_equal(forage_chapter3_run(&options, &other, &error), FORAGE_OK);
    forage_error_text(&error, text, sizeof text);
    assert_non_null(strstr(text, "nowhere.yaml"));
    forage_chapter3_release(&other);
    options = (forage_chapter3_options){.seeds = 1000};
    assert_int_equal(forage_chapter3_run(&options, &other, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "at most 50"));
    options = (forage_chapter3_options){.visits = 999};
    assert_int_equal(forage_chapter3_run(&options, &other, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "at least 1000"));
    /* In the middle of the first model, not at the end of the first world. */
    uint64_t done = 0;
    const forage_progress progress = {stop_at_once, &done};
    options = (forage_chapter3_options){.seeds = 1, .progress = &progress};
    assert_int_equal(forage_device_open("cpu", 1, &options.device, NULL), FORAGE_OK);
    assert_int_equal(forage_chapter3_run(&options, &other, &error), FORAGE_INTERRUPTED);
    assert_int_equal(done, 0);
    assert_null(other.users.table.predictors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, run_once, release);
}
