/*
 * Chapter 3 on the terminal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chapter3.h"

static void summary(const void *record, report_pool *pool, report_text *text)
{
    const forage_chapter3 *chapter = record;
    const forage_predictor_table *life = &chapter->users.table;
    const char *from = pool_fixed(pool, life->late, 0);
    static const char *const shown[] = {CHAPTER3_SEQUENCE, CHAPTER3_BAG, CHAPTER3_BLIND};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; ++i) {
        const forage_predictor *one = chapter3_predictor(life, shown[i]);
        story_line(text, pool_format(pool, "new users, %s", shown[i]), pool_fixed(pool, one->loss.value, 4),
                   pool_format(pool, "above bayes: %s, from visit %s on %s", chapter3_share(pool, one->more.value),
                               from, chapter3_share(pool, one->late.value)));
    }
    for (size_t w = 0; w < FORAGE_CHAPTER3_SHOPS; ++w) {
        const forage_moment_sessions *shop = &chapter->sessions[w];
        const forage_predictor *one = chapter3_predictor(&shop->table, CHAPTER3_SEQUENCE);
        const forage_predictor *bag = chapter3_predictor(&shop->table, CHAPTER3_BAG);
        story_line(text, pool_format(pool, "%s, bst", shop->scenario), pool_fixed(pool, one->loss.value, 4),
                   pool_format(pool, "bag of history %s, bayes %s", pool_fixed(pool, bag->loss.value, 4),
                               pool_fixed(pool, chapter3_predictor(&shop->table, CHAPTER3_BAYES)->loss.value, 4)));
        story_line(text, pool_format(pool, "%s, order saves", shop->scenario),
                   pool_fixed(pool, bag->loss_behind.value, 4),
                   pool_format(pool, "AUC %s higher", pool_fixed(pool, bag->auc_behind.value, 4)));
    }
}

forage_status forage_chapter3_text(const forage_chapter3 *chapter, const forage_terminal *terminal, char **result,
                                   forage_error *error)
{
    static const size_t shown[] = {CHAPTER3_LIFE, CHAPTER3_SESSIONS, CHAPTER3_ORDER};
    static const story_terminal how = {"Chapter 3: the session in the moment", summary, shown,
                                       sizeof shown / sizeof *shown};
    return story_text(&report_chapter3, &how, chapter, terminal, result, error);
}
