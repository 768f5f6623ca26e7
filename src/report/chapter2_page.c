/*
 * Chapter 2 as part of a page. Every number in it comes from the record; sentences say
 * what was measured and leave it to the numbers how much that is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/arena.h"
#include "report/chapter2.h"
#include "report/page.h"

#include <math.h>
#include <string.h>

static const forage_arena *arena_of(const report_story *story, forage_chapter2_play play)
{
    return &((const forage_chapter2 *)story->record)->arenas[play];
}

/* A score of an agent, NaN where it does not take part. */
static forage_estimate score_of(const forage_arena *arena, const char *name, size_t offset)
{
    forage_estimate estimate = {NAN, NAN, NAN};
    const forage_arena_agent *agent = chapter2_agent(arena, name);
    if (agent)
        memcpy(&estimate, (const char *)agent + offset, sizeof estimate);
    return estimate;
}

#define SCORE(arena, name, field) score_of((arena), (name), offsetof(forage_arena_agent, field)).value

/* Clicks, in whole numbers. */
static const char *clicks(report_pool *pool, double value)
{
    if (!isfinite(value))
        return "–";
    return fabs(value) < 100 ? pool_fixed(pool, value, 1) : pool_count(pool, (uint64_t)llround(fmax(0, value)));
}

static const char *clicks_estimate(report_pool *pool, const forage_estimate *estimate)
{
    if (!isfinite(estimate->low))
        return clicks(pool, estimate->value);
    return pool_format(pool, "%s (%s to %s)", clicks(pool, estimate->value), clicks(pool, estimate->low),
                       clicks(pool, estimate->high));
}

/* What the batched model has read beforehand. */
static const char *random_rows(const report_story *story)
{
    uint64_t visits = arena_of(story, FORAGE_CHAPTER2_SHOP)->visits;
    return pool_count(story->pool, visits < 200000 ? visits : 200000);
}

/* The learner (no reference, no batched model) with the least regret. */
static const forage_arena_agent *best_learner(const forage_arena *arena)
{
    const forage_arena_agent *best = NULL;
    for (size_t a = 0; a < arena->agent_count; ++a) {
        const forage_arena_agent *agent = &arena->agents[a];
        if (!arena_is_reference(agent) && !strstr(agent->name, "batched") &&
            (!best || agent->regret.value < best->regret.value))
            best = agent;
    }
    return best;
}

static void keys(const report_story *story)
{
    const forage_arena *shop = arena_of(story, FORAGE_CHAPTER2_SHOP);
    const forage_arena *users = arena_of(story, FORAGE_CHAPTER2_NEW_USERS);
    const forage_arena *drift = arena_of(story, FORAGE_CHAPTER2_DRIFT);
    const forage_arena *loop = arena_of(story, FORAGE_CHAPTER2_FEEDBACK_LOOP);
    report_pool *pool = story->pool;
    const forage_arena_agent *best = best_learner(shop), *kind = best_learner(users), *quick = best_learner(drift);
    const forage_arena_agent *curious = best_learner(loop);
    if (!best || !kind || !quick || !curious)
        return;
    double bayes = SCORE(shop, "bayes", regret);
    const page_key list[] = {
        {"Regret of the best learner", clicks(pool, best->regret.value),
         pool_format(pool, "clicks in %s visits (%s)%s", pool_count(pool, shop->visits), pool_html(pool, best->name),
                     isfinite(bayes) ? pool_format(pool, "; who knows the personas loses %s", clicks(pool, bayes))
                                     : "")},
        {"Regret of LinUCB", clicks(pool, SCORE(shop, "linucb", regret)),
         pool_format(pool, "greedy, the same model without exploring: %s",
                     clicks(pool, SCORE(shop, "greedy", regret)))},
        {"A new user costs", pool_fixed(pool, kind->first60.value, 1),
         pool_format(pool, "clicks in 60 visits (%s); the batched model loses %s", pool_html(pool, kind->name),
                     pool_fixed(pool, SCORE(users, "batched", first60), 1))},
        {"After tastes changed", pool_percent(pool, quick->share_last.value),
         pool_format(pool, "of the oracle’s click rate at the end (%s); the batched model %s",
                     pool_html(pool, quick->name), pool_percent(pool, SCORE(drift, "batched", share_last)))},
        {"In a shop of different products", pool_percent(pool, curious->share_last.value),
         pool_format(pool, "of the oracle’s at the end (%s); retrained on its own traffic %s",
                     pool_html(pool, curious->name), pool_percent(pool, SCORE(loop, "batched-nightly", share_last)))},
    };
    page_keys(story->html, list, sizeof list / sizeof *list);
}

/* ------------------------------------------------------------------ *
 * Tables
 * ------------------------------------------------------------------ */

enum { SCORES = 6 };

static void scores_table(const report_story *story, const forage_arena *arena, const char *caption)
{
    static const char *const header[SCORES] = {
        "Agent", "Regret, clicks", "Click rate", "Last tenth", "Of the oracle, at the end", "Growth exponent"};
    report_pool *pool = story->pool;
    const char **cells = pool_take(pool, SCORES * arena->agent_count + 1, sizeof *cells);
    for (size_t a = 0; cells && a < arena->agent_count; ++a) {
        const forage_arena_agent *agent = &arena->agents[a];
        const char **row = &cells[SCORES * a];
        row[0] =
            agent->model[0] ? pool_format(pool, "%s\n%s, %s", agent->name, agent->model, agent->policy) : agent->name;
        row[1] = clicks_estimate(pool, &agent->regret);
        row[2] = pool_percent(pool, agent->rate.value);
        row[3] = pool_percent(pool, agent->rate_last.value);
        row[4] = pool_percent(pool, agent->share_last.value);
        row[5] = isfinite(agent->exponent.value) && agent->regret.value > 1 ? pool_fixed(pool, agent->exponent.value, 2)
                                                                            : "–";
    }
    if (cells)
        page_table(story->html, pool, caption, header, SCORES, cells, arena->agent_count);
}

static void newcomers_table(const report_story *story, const forage_arena *arena)
{
    static const char *const header[] = {"Agent", "Clicks lost in 60 visits", "Visits until 90 % of the oracle"};
    report_pool *pool = story->pool;
    const char **cells = pool_take(pool, 3 * arena->agent_count + 1, sizeof *cells);
    size_t rows = 0;
    for (size_t a = 0; cells && a < arena->agent_count; ++a) {
        const forage_arena_agent *agent = &arena->agents[a];
        if (strcmp(agent->name, "oracle") == 0)
            continue;
        const char **row = &cells[3 * rows++];
        row[0] = agent->name;
        row[1] = pool_fixed_estimate(pool, &agent->first60, 2);
        row[2] = agent->reached_90 >= 1  ? pool_fixed_estimate(pool, &agent->visits_to_90, 1)
                 : agent->reached_90 > 0 ? pool_format(pool, "> %s", pool_fixed(pool, agent->visits_to_90.value, 1))
                                         : pool_format(pool, "> %d", FORAGE_ARENA_NEWCOMER);
    }
    if (cells)
        page_table(story->html, pool, NULL, header, 3, cells, rows);
}

static void recovery_table(const report_story *story, const forage_arena *arena, const char *caption)
{
    static const char *const header[] = {"Agent", "Visits to recover", "Of the oracle, at the end"};
    report_pool *pool = story->pool;
    if (arena->event_count == 0)
        return;
    const char **cells = pool_take(pool, 3 * arena->agent_count + 1, sizeof *cells);
    size_t rows = 0;
    for (size_t a = 0; cells && a < arena->agent_count; ++a) {
        const forage_arena_agent *agent = &arena->agents[a];
        if (arena_is_reference(agent))
            continue;
        const char **row = &cells[3 * rows++];
        row[0] = agent->name;
        row[1] = agent->recovered[0] >= 1 ? pool_count(pool, (uint64_t)llround(agent->recovery[0].value))
                 : agent->recovered[0] > 0
                     ? pool_format(pool, "> %s", clicks(pool, agent->recovery[0].value))
                     : pool_format(pool, "> %s", pool_count(pool, arena->visits - arena->events[0].visit));
        row[2] = pool_percent(pool, agent->share_last.value);
    }
    if (cells)
        page_table(story->html, pool, caption, header, 3, cells, rows);
}

static void diary_table(const report_story *story, const forage_arena *arena, const forage_arena_agent *agent)
{
    static const char *const header[] = {"Visit", "Shown", "Click", "Believed", "True rate", "Best possible"};
    report_pool *pool = story->pool;
    const char **cells = pool_take(pool, 6 * agent->page_count + 1, sizeof *cells);
    for (size_t i = 0; cells && i < agent->page_count; ++i) {
        const forage_arena_page *page = &agent->pages[i];
        const char **row = &cells[6 * i];
        const char *group = page->item_group < arena->item_group_count ? arena->item_groups[page->item_group] : "";
        row[0] = pool_format(pool, "%zu", i + 1);
        row[1] = pool_format(pool, "%s, product %u", group, (unsigned)page->item);
        row[2] = page->reward > 0 ? "✓" : "–";
        row[3] = pool_percent(pool, (double)page->mean);
        row[4] = pool_percent(pool, page->truth);
        row[5] = pool_percent(pool, page->best);
    }
    if (cells)
        page_table(story->html, pool,
                   pool_format(pool, "Anna’s first %zu visits with %s", agent->page_count, agent->name), header, 6,
                   cells, agent->page_count);
}

/* ------------------------------------------------------------------ *
 * Sections
 * ------------------------------------------------------------------ */

static void arena_section(const report_story *story)
{
    const forage_arena *shop = arena_of(story, FORAGE_CHAPTER2_SHOP);
    report_pool *pool = story->pool;
    page_section(story->html, "arena", "The arena: the same luck for all");
    page_say(story->html,
             "Every agent serves the same shop: the same visitors at the same times, and a click happens when the "
             "visit’s own random number is below the click probability of what was shown. So a difference between two "
             "agents is no difference of luck. Each plays %zu times %s visits, in shops of %s users and %s products.",
             shop->seeds, pool_count(pool, shop->visits), pool_count(pool, shop->users), pool_count(pool, shop->items));
    page_say(
        story->html,
        "Two references frame the table. <code>oracle</code> knows every click probability; what others earn less "
        "is their regret. <code>bayes</code> knows the table of personas and must find out each user’s persona "
        "from their clicks: nobody who learns can be expected to do better. The batched model "
        "(<code>batched</code>, and <code>batched-nightly</code>, which is retrained on what it has seen) has read "
        "%s visits of random traffic before the first visit. The others begin with nothing.",
        random_rows(story));
    page_end_section(story->html);
}

static void shop_section(const report_story *story)
{
    const forage_arena *shop = arena_of(story, FORAGE_CHAPTER2_SHOP);
    const forage_arena_agent *best = best_learner(shop);
    report_pool *pool = story->pool;
    double bayes = SCORE(shop, "bayes", regret);
    page_section(story->html, "unknown-shop", "An unknown shop: what learning costs");
    story_figure(story, CHAPTER2_REGRET);
    page_say(
        story->html,
        "A learner pays for what it finds out. Regret that grows in proportion to visits (an exponent of 1) never "
        "stops costing; a smaller exponent, fitted here over the second half, means that each visit costs less than "
        "the one before. Showing products at random loses %s clicks, the product that is most popular %s.",
        clicks(pool, SCORE(shop, "random", regret)), clicks(pool, SCORE(shop, "popular", regret)));
    scores_table(story, shop, "Nothing known beforehand");
    if (best && isfinite(bayes))
        page_say(story->html,
                 "The best learner, <code>%s</code>, loses %s times as many clicks as the reference that was told the "
                 "personas.",
                 pool_html(pool, best->name), pool_fixed(pool, best->regret.value / bayes, 2));
    page_end_section(story->html);
}

static void greedy_section(const report_story *story)
{
    const forage_arena *shop = arena_of(story, FORAGE_CHAPTER2_SHOP);
    const forage_arena_agent *greedy = chapter2_agent(shop, "greedy"), *oracle = chapter2_agent(shop, "oracle");
    report_pool *pool = story->pool;
    page_section(story->html, "greedy", "Where the greedy one gets stuck");
    page_say(
        story->html,
        "<code>greedy</code> has the same model as <code>linucb</code> and always shows what looks best. What it has "
        "underrated once it does not show again, so nothing corrects it.");
    story_figure(story, CHAPTER2_STUCK);
    story_figure(story, CHAPTER2_PERSONAS);
    size_t worst = 0;
    for (size_t g = 1; greedy && oracle && g < shop->user_group_count; ++g) {
        if (greedy->user_group[g].value / oracle->user_group[g].value <
            greedy->user_group[worst].value / oracle->user_group[worst].value)
            worst = g;
    }
    if (greedy && oracle && shop->user_group_count > 0)
        page_say(story->html,
                 "It serves <em>%s</em> worst: %s of what the oracle earns with them. Its regret ends at %s clicks and "
                 "grows as t^%s.",
                 pool_html(pool, shop->user_groups[worst]),
                 pool_percent(pool, greedy->user_group[worst].value / oracle->user_group[worst].value),
                 clicks(pool, greedy->regret.value), pool_fixed(pool, greedy->exponent.value, 2));
    page_end_section(story->html);
}

static void newcomers_section(const report_story *story)
{
    const forage_arena *arena = arena_of(story, FORAGE_CHAPTER2_NEW_USERS);
    page_section(story->html, "newcomers", "New users: from the first click on");
    page_say(
        story->html,
        "Half of all visits are by people never seen before; each of them comes a hundred times. Counted are the %s "
        "who came when the agents had seen %s visits of others.",
        pool_count(story->pool, arena->newcomers), pool_count(story->pool, arena->settle));
    story_figure(story, CHAPTER2_NEWCOMERS);
    newcomers_table(story, arena);
    page_end_section(story->html);
}

static void anna_section(const report_story *story)
{
    const forage_arena *arena = arena_of(story, FORAGE_CHAPTER2_NEW_USERS);
    const forage_arena_agent *agents[CHAPTER2_DIARIES];
    size_t count = chapter2_diaries(arena, agents);
    report_pool *pool = story->pool;
    page_section(story->html, "anna", "What Anna saw");
    if (count > 0 && agents[0]->pages[0].user_group < arena->user_group_count)
        page_say(
            story->html,
            "Anna is one of these newcomers: user %u, a <em>%s</em>, which nobody tells the learner. Before each of "
            "her visits it has an opinion of every category; what she clicks, and what she does not, changes it.",
            (unsigned)agents[0]->pages[0].user, pool_html(pool, arena->user_groups[agents[0]->pages[0].user_group]));
    story_figure(story, CHAPTER2_ANNA);
    for (size_t i = 0; i < count; ++i)
        diary_table(story, arena, agents[i]);
    page_end_section(story->html);
}

static void changes_section(const report_story *story)
{
    const forage_arena *drift = arena_of(story, FORAGE_CHAPTER2_DRIFT);
    page_section(story->html, "changes", "The world changes");
    page_say(
        story->html,
        "In one shop tastes change at half time (%s): what these users click is another thing from one visit to the "
        "next, and some customers change slowly all along. In the other a tenth of the catalogue is launched at half "
        "time, some of it better than all before. Recovered is who is back at 95\u00a0%% of the share of the oracle’s "
        "click rate that they had before.",
        drift->event_count > 0 ? pool_html(story->pool, drift->events[0].label) : "no event");
    story_figure(story, CHAPTER2_CHANGES);
    recovery_table(story, arena_of(story, FORAGE_CHAPTER2_DRIFT), "After tastes changed");
    recovery_table(story, arena_of(story, FORAGE_CHAPTER2_NEW_ITEMS), "After the launch");
    page_end_section(story->html);
}

static void loop_section(const report_story *story)
{
    const forage_arena *arena = arena_of(story, FORAGE_CHAPTER2_FEEDBACK_LOOP);
    page_section(story->html, "own-traffic", "Learning from one’s own traffic");
    page_say(story->html,
             "This shop’s %s products differ within their category. Whoever shows only what already looks good never "
             "learns what the rest is worth.",
             pool_count(story->pool, arena->items));
    story_figure(story, CHAPTER2_LOOP);
    page_end_section(story->html);
}

static void others_section(const report_story *story)
{
    page_section(story->html, "other-shops", "Slates, late news, and a large store");
    page_say(
        story->html,
        "Pages of five products, of which the lower ones are looked at less; rewards that arrive up to 10,000 visits "
        "late, or never; and a store of 100,000 products in 1,000 categories for 100,000 users whose tastes have no "
        "names.");
    story_figure(story, CHAPTER2_OTHERS);
    page_end_section(story->html);
}

static void lessons_section(const report_story *story)
{
    const forage_arena *shop = arena_of(story, FORAGE_CHAPTER2_SHOP);
    const forage_arena *users = arena_of(story, FORAGE_CHAPTER2_NEW_USERS);
    const forage_arena *drift = arena_of(story, FORAGE_CHAPTER2_DRIFT);
    const forage_arena_agent *best = best_learner(shop), *kind = best_learner(users), *quick = best_learner(drift);
    report_pool *pool = story->pool;
    page_section(story->html, "chapter-2-lessons", "What to take away");
    report_add(story->html, "<ul>\n");
    if (best)
        report_format(
            story->html,
            "<li>Without a log, learning at every visit reaches %s of the oracle’s click rate in the last tenth "
            "(<code>%s</code>); the batched model, with %s random visits to begin with, %s.</li>\n",
            pool_percent(pool, best->share_last.value), pool_html(pool, best->name), random_rows(story),
            pool_percent(pool, SCORE(shop, "batched", share_last)));
    if (kind)
        report_format(story->html,
                      "<li>A new user costs %s clicks in 60 visits with <code>%s</code>, %s with the batched model, %s "
                      "retrained.</li>\n",
                      pool_fixed(pool, kind->first60.value, 1), pool_html(pool, kind->name),
                      pool_fixed(pool, SCORE(users, "batched", first60), 1),
                      pool_fixed(pool, SCORE(users, "batched-nightly", first60), 1));
    if (quick)
        report_format(story->html,
                      "<li>After a change of tastes <code>%s</code> ends at %s of the oracle, the batched model at %s, "
                      "retrained at %s.</li>\n",
                      pool_html(pool, quick->name), pool_percent(pool, quick->share_last.value),
                      pool_percent(pool, SCORE(drift, "batched", share_last)),
                      pool_percent(pool, SCORE(drift, "batched-nightly", share_last)));
    report_add(story->html, "</ul>\n");
    page_end_section(story->html);
}

static void method_section(const report_story *story)
{
    const forage_chapter2 *chapter = story->record;
    const forage_arena *shop = arena_of(story, FORAGE_CHAPTER2_SHOP);
    page_section(story->html, "chapter-2-method", "How it was measured");
    report_format(
        story->html,
        "<ul>\n<li>Regret and shares of the oracle are free of the noise of clicking: they compare true "
        "probabilities. Click rates are what really happened.</li>\n"
        "<li>Intervals are 95\u00a0%% Student’s t intervals over plays; play n of each arena has seed %llu + n."
        "</li>\n<li>Settings are the defaults of the short names; none was chosen on these seeds.</li>\n"
        "<li>Forage %s; the whole chapter took %s s.</li>\n</ul>\n",
        (unsigned long long)shop->seed, pool_html(story->pool, forage_version()),
        pool_fixed(story->pool, chapter->seconds, 1));
    story_again(story);
    page_end_section(story->html);
}

static void sections(const report_story *story)
{
    arena_section(story);
    shop_section(story);
    greedy_section(story);
    newcomers_section(story);
    anna_section(story);
    changes_section(story);
    loop_section(story);
    others_section(story);
    lessons_section(story);
    method_section(story);
}

static const char *const links[][2] = {
    {"arena", "The arena"},
    {"unknown-shop", "An unknown shop"},
    {"greedy", "Where the greedy one gets stuck"},
    {"newcomers", "New users"},
    {"anna", "What Anna saw"},
    {"changes", "The world changes"},
    {"own-traffic", "One’s own traffic"},
    {"other-shops", "Slates, late news, a large store"},
    {"chapter-2-lessons", "What to take away"},
    {"chapter-2-method", "How it was measured"},
};

static forage_status json(const void *record, char **text, forage_error *error)
{
    return forage_chapter2_json(record, text, error);
}

const report_chapter report_chapter2 = {
    .folder = "chapter-2",
    .kicker = "Forage · Chapter 2 · learning from every click",
    .title = "Learners that know how sure they are",
    .lead = "Contextual bandits against the batched model and against the limit, under the same luck: in an unknown "
            "shop, with new users, new products and changing tastes.",
    .links = links,
    .link_count = sizeof links / sizeof *links,
    .chart_count = CHAPTER2_CHARTS,
    .describe = chapter2_describe,
    .keys = keys,
    .sections = sections,
    .json = json,
};
