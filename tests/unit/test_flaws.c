/*
 * Quality: what chapter 1 tells is what its experiments measure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "forage/forage.h"

/* The three flaws show with the network of the document, and in the direction that is told. */
static void test_flaws(void **state)
{
    (void)state;
    forage_chapter1 chapter;
    forage_chapter1_options options = {.seeds = 2, .interactions = 2000};
    assert_int_equal(forage_device_open("auto", 2, &options.device, NULL), FORAGE_OK);
    assert_int_equal(forage_chapter1_run(&options, &chapter, NULL), FORAGE_OK);
    const forage_cold_start *cold = &chapter.cold_start;
    assert_true(cold->user_arms[0].lost.value < 0.06);
    assert_true(cold->user_arms[1].lost.value > 0.12 && cold->user_arms[2].lost.value > 0.12);
    assert_true(cold->rmse_known.value < 0.6 * cold->rmse_new_user.value);
    assert_true(cold->rmse_known.value < 0.6 * cold->rmse_new_item.value);
    assert_true(cold->item_arms[1].lost.value > cold->item_arms[0].lost.value + 0.02);
    assert_true(cold->item_arms[3].lost.value < cold->item_arms[1].lost.value);
    const forage_drift *drift = &chapter.drift;
    assert_true(drift->after_drifted.value < drift->before_drifted.value - 0.2);
    assert_true(drift->recovered_drifted.value > drift->after_drifted.value + 0.2);
    assert_true(drift->days_to_recover > 1);
    assert_float_equal(drift->event_day, (double)drift->series[0].count / 2, 0); /* tastes change at half time */
    const forage_loop_arm *random = &chapter.feedback_loop.arms[0], *own = &chapter.feedback_loop.arms[2];
    size_t last = chapter.feedback_loop.round_count - 1;
    assert_true(random->rounds[last].rmse.value < 1.3 * random->rounds[0].rmse.value);
    assert_true(own->rounds[last].click_rate.value < random->rounds[last].click_rate.value - 0.1);
    assert_true(own->rounds[last].distinct.value < random->rounds[last].distinct.value);
    forage_chapter1_release(&chapter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flaws)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
