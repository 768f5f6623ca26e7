/*
 * The experiments of chapter 1 with the popularity model, which is fitted in no time.
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

static forage_chapter1 run(int threads, size_t seeds, uint64_t seed)
{
    forage_error error = {0};
    forage_chapter1 chapter;
    forage_chapter1_options options = {.model = "popular", .seeds = seeds, .seed = seed};
    assert_int_equal(forage_device_open("cpu", threads, &options.device, &error), FORAGE_OK);
    forage_status status = forage_chapter1_run(&options, &chapter, &error);
    if (status != FORAGE_OK)
        fail_msg("%s", error.message);
    return chapter;
}

static void assert_close(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

static void test_document(void **state)
{
    (void)state;
    forage_chapter1 chapter = run(2, 3, 0);
    /* The document's log and its limits. */
    assert_int_equal(chapter.seed, 42);
    assert_int_equal(chapter.log.interactions, 200000);
    assert_int_equal(chapter.log.clicks, 42021);
    assert_int_equal(chapter.log.trials.high_clicks, 53);
    assert_int_equal(chapter.log.trials.low_clicks, 6);
    assert_string_equal(chapter.log.trials_persona, "new_puppy_parent");
    assert_int_equal(chapter.training.train_rows, 160000);
    assert_int_equal(chapter.metrics.count, 40000);
    assert_close(chapter.training.oracle_validation, 0.39973, 5e-6);
    assert_close(chapter.training.oracle_pairs, 0.40092, 5e-6);
    /* Sums agree with their parts. */
    size_t impressions = 0, clicks = 0, users = 0;
    for (size_t cell = 0; cell < chapter.log.persona_count * chapter.log.category_count; ++cell) {
        impressions += chapter.log.cell[cell].impressions;
        clicks += chapter.log.cell[cell].clicks;
        assert_close(chapter.log.cell[cell].observed, chapter.log.cell[cell].truth, 0.02);
    }
    for (size_t p = 0; p < chapter.log.persona_count; ++p)
        users += chapter.log.persona_users[p];
    assert_int_equal(impressions, 200000);
    assert_int_equal(clicks, 42021);
    assert_int_equal(users, 1000);
    /* The popularity model shows everyone the same product. */
    assert_int_equal(chapter.choice.distinct, 1);
    assert_true(chapter.choice.model == chapter.choice.popular);
    assert_true(chapter.choice.random < chapter.choice.popular && chapter.choice.popular < chapter.choice.oracle);
    assert_int_equal(chapter.predictions.representative[0], 0);
    assert_close(chapter.predictions.truth[3], 0.5, 0);
    const forage_box *box = &chapter.predictions.all[0];
    assert_true(box->minimum <= box->whisker_low && box->whisker_low <= box->quartile_low);
    assert_true(box->quartile_low <= box->median && box->median <= box->quartile_high);
    assert_true(box->quartile_high <= box->whisker_high && box->whisker_high <= box->maximum);

    const forage_cold_start *cold = &chapter.cold_start;
    assert_int_equal(cold->seeds, 3);
    assert_true(cold->user_arms[cold->user_arm_count - 1].lost.value == 0);
    assert_true(cold->item_arms[1].lost.value >= cold->item_arms[0].lost.value);
    const forage_drift *drift = &chapter.drift;
    assert_int_equal(drift->series_count, 2 * drift->overall_count);
    for (size_t s = 0; s < drift->series_count; ++s)
        for (size_t d = 0; d < drift->series[s].count; ++d)
            assert_true(drift->series[s].y[d].value > 0 && drift->series[s].y[d].value < 0.6);
    for (size_t a = 0; a < chapter.feedback_loop.arm_count; ++a)
        assert_true(chapter.feedback_loop.arms[a].rounds[0].click_rate.value ==
                    chapter.feedback_loop.arms[0].rounds[0].click_rate.value);
    forage_chapter1_release(&chapter);
    forage_chapter1_release(&chapter);
}

/* Any number of threads, the same record; another seed, another one. */
static void test_threads(void **state)
{
    (void)state;
    forage_chapter1 one = run(1, 2, 7), many = run(3, 2, 7), other = run(3, 2, 8);
    assert_memory_equal(&one.metrics, &many.metrics, sizeof one.metrics);
    assert_memory_equal(&one.choice, &many.choice, sizeof one.choice);
    assert_memory_equal(one.drift.series[2].y, many.drift.series[2].y,
                        one.drift.series[2].count * sizeof *one.drift.series[2].y);
    for (size_t a = 0; a < one.feedback_loop.arm_count; ++a)
        assert_memory_equal(one.feedback_loop.arms[a].rounds, many.feedback_loop.arms[a].rounds,
                            one.feedback_loop.round_count * sizeof *one.feedback_loop.arms[a].rounds);
    assert_memory_equal(one.cold_start.user_arms, many.cold_start.user_arms,
                        one.cold_start.user_arm_count * sizeof *one.cold_start.user_arms);
    assert_true(one.choice.oracle != other.choice.oracle);
    forage_chapter1_release(&one);
    forage_chapter1_release(&many);
    forage_chapter1_release(&other);
}

static void test_refusals(void **state)
{
    (void)state;
    forage_chapter1 chapter;
    forage_chapter1_options options = {.model = "nobody"};
    forage_error error = {0};
    assert_int_equal(forage_chapter1_run(&options, &chapter, &error), FORAGE_UNKNOWN);
    options = (forage_chapter1_options){.scenario = "/nowhere.yaml"};
    assert_int_not_equal(forage_chapter1_run(&options, &chapter, &error), FORAGE_OK);
    options = (forage_chapter1_options){.seeds = 1000};
    assert_int_equal(forage_chapter1_run(&options, &chapter, &error), FORAGE_INVALID);
}

static bool stop_at_once(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    (void)context, (void)done, (void)total, (void)note;
    return strcmp(stage, "experiments") != 0;
}

static void test_interruption(void **state)
{
    (void)state;
    forage_chapter1 chapter;
    forage_progress progress = {stop_at_once, NULL};
    forage_chapter1_options options = {.model = "popular", .progress = &progress};
    assert_int_equal(forage_device_open("cpu", 2, &options.device, NULL), FORAGE_OK);
    assert_int_equal(forage_chapter1_run(&options, &chapter, NULL), FORAGE_INTERRUPTED);
    assert_null(chapter.log.cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_interruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
