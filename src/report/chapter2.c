/*
 * Chapter 2 on the terminal and as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chapter2.h"

#include "report/arena.h"
#include "report/json.h"

#include <math.h>

static const char *clicks(report_pool *pool, double value)
{
    return isfinite(value) ? pool_count(pool, (uint64_t)llround(fmax(0, value))) : "-";
}

static void summary(const void *record, report_pool *pool, report_text *text)
{
    const forage_chapter2 *chapter = record;
    const forage_arena *shop = &chapter->arenas[FORAGE_CHAPTER2_SHOP];
    const forage_arena *users = &chapter->arenas[FORAGE_CHAPTER2_NEW_USERS];
    const forage_arena *drift = &chapter->arenas[FORAGE_CHAPTER2_DRIFT];
    story_line(text, pool_format(pool, "%s visits", pool_count(pool, shop->visits)), "clicks lost",
               "new user: in 60 visits    after a change: of the oracle");
    for (size_t a = 0; a < shop->agent_count; ++a) {
        const forage_arena_agent *agent = &shop->agents[a];
        const forage_arena_agent *newcomers = chapter2_agent(users, agent->name);
        const forage_arena_agent *changed = chapter2_agent(drift, agent->name);
        story_line(text, agent->name, clicks(pool, agent->regret.value),
                   pool_format(pool, "%-26s%s", newcomers ? pool_fixed(pool, newcomers->first60.value, 2) : "-",
                               changed ? pool_percent(pool, changed->share_last.value) : "-"));
    }
}

forage_status forage_chapter2_text(const forage_chapter2 *chapter, const forage_terminal *terminal, char **result,
                                   forage_error *error)
{
    static const size_t shown[] = {CHAPTER2_REGRET, CHAPTER2_NEWCOMERS, CHAPTER2_CHANGES};
    static const story_terminal how = {"Chapter 2: learners that know how sure they are", summary, shown,
                                       sizeof shown / sizeof *shown};
    return story_text(&report_chapter2, &how, chapter, terminal, result, error);
}

forage_status forage_chapter2_json(const forage_chapter2 *chapter, char **text, forage_error *error)
{
    static const char *const names[FORAGE_CHAPTER2_PLAYS] = {"shop",          "new_users", "new_items", "drift",
                                                             "feedback_loop", "slate",     "delayed",   "large"};
    json_t *object = json_pack("{si}", "chapter", 2);
    for (size_t i = 0; object && i < FORAGE_CHAPTER2_PLAYS; ++i)
        json_object_set_new(object, names[i], json_arena(&chapter->arenas[i]));
    if (object)
        json_object_set_new(object, "seconds", json_number(chapter->seconds));
    return json_finish(object, text, error);
}
