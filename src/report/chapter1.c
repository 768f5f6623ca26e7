/*
 * Chapter 1 on the terminal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chapter1.h"

#include "report/story.h"

static void summary(const void *record, report_pool *pool, report_text *text)
{
    const forage_chapter1 *chapter = record;
    const forage_metrics *metrics = &chapter->metrics;
    const forage_cold_start *cold = &chapter->cold_start;
    const forage_drift *drift = &chapter->drift;
    const forage_feedback_loop *loop = &chapter->feedback_loop;
    const forage_loop_round *last = &loop->arms[loop->arm_count - 1].rounds[loop->round_count - 1];
    story_line(text, "log loss", pool_fixed(pool, metrics->log_loss.value, 4),
               pool_format(pool, "the oracle's is %s", pool_fixed(pool, metrics->oracle_log_loss.value, 4)));
    story_line(text, "AUC", pool_fixed(pool, metrics->auc.value, 4),
               pool_format(pool, "calibration error %s", pool_percent(pool, metrics->ece.value)));
    story_line(text, "click rate of its choices", pool_percent(pool, chapter->choice.model),
               pool_format(pool, "oracle %s, bestseller %s, at random %s", pool_percent(pool, chapter->choice.oracle),
                           pool_percent(pool, chapter->choice.popular), pool_percent(pool, chapter->choice.random)));
    if (cold->user_arm_count > 1)
        story_line(text, "flaw 1: lost on a new user", pool_points(pool, cold->user_arms[1].lost.value),
                   pool_format(pool, "on a known one %s", pool_points(pool, cold->user_arms[0].lost.value)));
    story_line(text, "flaw 2: after tastes change", pool_percent(pool, drift->after_drifted.value),
               pool_format(pool, "from %s; trained every night %s on the last day",
                           pool_percent(pool, drift->before_drifted.value),
                           pool_percent(pool, drift->recovered_drifted.value)));
    story_line(text, "flaw 3: products still shown", pool_fixed(pool, last->distinct.value, 1),
               pool_format(pool, "of %zu, after %zu rounds on its own traffic", loop->items, loop->round_count - 1));
}

forage_status forage_chapter1_text(const forage_chapter1 *chapter, const forage_terminal *terminal, char **result,
                                   forage_error *error)
{
    static const size_t shown[] = {CHAPTER1_LOSS, CHAPTER1_PERSONAS, CHAPTER1_NEW_USERS, CHAPTER1_DRIFT, CHAPTER1_LOOP};
    static const story_terminal how = {"Chapter 1: a recommender trained once, on yesterday's log", summary, shown,
                                       sizeof shown / sizeof *shown};
    return story_text(&report_chapter1, &how, chapter, terminal, result, error);
}
