/*
 * The charts of chapter 2.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/arena.h"
#include "report/chapter2.h"
#include "report/charts.h"

#include <math.h>
#include <string.h>

enum { LINES_MOST = 8, CATEGORIES_MOST = 8 };

bool chapter2_is(const char *agent, const char *name)
{
    size_t length = strcspn(agent, ":");
    return strncmp(agent, name, length) == 0 && name[length] == '\0';
}

/* An agent has the same colour in all charts. */
typedef struct style {
    const char *name;
    forage_ink ink;
    bool dashed;
} style;

static const style styles[] = {
    {"latent", FORAGE_INK_BLUE, false},         {"linucb", FORAGE_INK_GREEN, false},
    {"lints", FORAGE_INK_SKY, false},           {"egreedy", FORAGE_INK_ORANGE, true},
    {"squarecb", FORAGE_INK_SKY, true},         {"greedy", FORAGE_INK_PURPLE, false},
    {"batched", FORAGE_INK_VERMILLION, false},  {"batched-nightly", FORAGE_INK_ORANGE, false},
    {"neural-linear", FORAGE_INK_PURPLE, true}, {"popular", FORAGE_INK_GREY, false},
    {"bayes", FORAGE_INK_BLACK, true},          {"oracle", FORAGE_INK_BLACK, false},
};

static style style_of(const char *name)
{
    for (size_t i = 0; i < sizeof styles / sizeof *styles; ++i) {
        if (chapter2_is(name, styles[i].name))
            return styles[i];
    }
    return (style){name, FORAGE_INK_GREY, false};
}

const forage_arena_agent *chapter2_agent(const forage_arena *arena, const char *name)
{
    for (size_t a = 0; a < arena->agent_count; ++a) {
        if (chapter2_is(arena->agents[a].name, name))
            return &arena->agents[a];
    }
    return NULL;
}

size_t chapter2_diaries(const forage_arena *arena, const forage_arena_agent *agents[CHAPTER2_DIARIES])
{
    static const char *const names[] = {"latent", "linucb"};
    size_t count = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && count < CHAPTER2_DIARIES; ++i) {
        const forage_arena_agent *agent = chapter2_agent(arena, names[i]);
        if (agent && agent->page_count > 0 && agent->pages[0].belief)
            agents[count++] = agent;
    }
    return count;
}

/* ------------------------------------------------------------------ *
 * Curves
 * ------------------------------------------------------------------ */

enum { POINTS_MOST = 100 };

/* A curve of rates is the mean of what lies between two of fewer points; a sum is its last value. */
static double *thinned(report_pool *pool, const double *y, size_t count, size_t points, bool mean)
{
    double *values = pool_take(pool, points ? points : 1, sizeof *values);
    for (size_t i = 0; values && i < points; ++i) {
        size_t first = i * count / points, last = (i + 1) * count / points, known = 0;
        double sum = 0;
        for (size_t k = first; k < last; ++k) {
            known += isfinite(y[k]);
            sum += isfinite(y[k]) ? y[k] : 0;
        }
        values[i] = !mean ? y[last - 1] : known ? sum / (double)known : NAN;
    }
    return values;
}

typedef enum curve { CURVE_REGRET, CURVE_SHARE } curve;

/* The curves of the agents named (up to a NULL) that the arena has. */
static bool add_curves(const forage_arena *arena, const char *const *names, curve which, report_pool *pool,
                       charts_part *part)
{
    size_t count = arena->point_count, lines = 0;
    size_t points = which == CURVE_SHARE ? POINTS_MOST / 2 : POINTS_MOST;
    points = points < count ? points : count;
    double *x = pool_take(pool, points ? points : 1, sizeof *x);
    for (size_t i = 0; x && i < points; ++i) {
        size_t last = (i + 1) * count / points - 1;
        x[i] = (double)arena->points[last];
    }
    for (size_t n = 0; names[n] && lines < LINES_MOST; ++n) {
        const forage_arena_agent *agent = chapter2_agent(arena, names[n]);
        if (!agent)
            continue;
        style look = style_of(agent->name);
        forage_chart_series *series = &part->series[lines++];
        *series =
            (forage_chart_series){.name = look.name, .ink = look.ink, .dashed = look.dashed, .count = points, .x = x};
        if (which == CURVE_SHARE) {
            series->y = thinned(pool, agent->share_curve, count, points, true);
            continue;
        }
        series->y = thinned(pool, agent->regret_curve, count, points, false);
        if (isfinite(agent->regret.low)) {
            series->low = thinned(pool, agent->regret_low, count, points, false);
            series->high = thinned(pool, agent->regret_high, count, points, false);
        }
    }
    part->panel->series_count = lines;
    return !pool->failed;
}

/* Regret of some agents. `bands` false: only the means, where one agent's luck would press all others flat. */
static bool regret_lines(const forage_arena *arena, const char *const *names, bool bands, report_pool *pool,
                         forage_chart *chart)
{
    charts_part part = {0};
    if (!charts_start(pool, chart, 1, LINES_MOST, 0, &part) || !add_curves(arena, names, CURVE_REGRET, pool, &part))
        return false;
    for (size_t l = 0; !bands && l < part.panel->series_count; ++l)
        part.series[l].low = part.series[l].high = NULL;
    part.panel->x.label = "Visits";
    part.panel->y = (forage_chart_axis){.label = "Clicks lost to the oracle, in all", .zero = true};
    chart->summary = pool_format(pool, "Sums over visits, means of %zu plays%s.", arena->seeds,
                                 bands && arena->seeds > 1 ? " with 95 % bands" : "");
    return !pool->failed;
}

static bool regret_chart(const forage_arena *arena, report_pool *pool, forage_chart *chart)
{
    static const char *const names[] = {"batched", "batched-nightly", "linucb", "lints", "latent", "bayes", NULL};
    chart->name = "regret";
    chart->title = "Regret: clicks that the oracle would have earned more";
    return regret_lines(arena, names, true, pool, chart);
}

static bool stuck_chart(const forage_arena *arena, report_pool *pool, forage_chart *chart)
{
    static const char *const names[] = {"greedy", "egreedy", "squarecb", "linucb", NULL};
    chart->name = "greedy";
    chart->title = "The same model, with and without exploring: regret";
    return regret_lines(arena, names, false, pool, chart);
}

static bool newcomers_chart(const forage_arena *arena, report_pool *pool, forage_chart *chart)
{
    static const char *const names[] = {"popular", "batched", "batched-nightly", "linucb", "latent", "bayes"};
    charts_part part = {0};
    double *visits = charts_counting(pool, FORAGE_ARENA_NEWCOMER, 1);
    if (!charts_start(pool, chart, 1, LINES_MOST, 1, &part))
        return false;
    size_t lines = 0;
    for (size_t n = 0; n < sizeof names / sizeof *names; ++n) {
        const forage_arena_agent *agent = chapter2_agent(arena, names[n]);
        if (!agent)
            continue;
        style look = style_of(agent->name);
        part.series[lines++] = (forage_chart_series){.name = look.name,
                                                     .ink = look.ink,
                                                     .dashed = look.dashed,
                                                     .count = FORAGE_ARENA_NEWCOMER,
                                                     .x = visits,
                                                     .y = agent->newcomer_curve};
    }
    part.panel->series_count = lines;
    part.references[0] = (forage_chart_reference){'y', 0.9, "90 %", FORAGE_INK_GREY};
    part.panel->x.label = "Visit of a new user";
    part.panel->y = (forage_chart_axis){.label = "Share of the oracle’s click rate", .percent = true};
    chart->name = "newcomers";
    chart->title = "New users: how soon they are served as well as known ones";
    chart->summary = pool_format(pool, "Means over %s newcomers who came when the agents had seen %s visits.",
                                 pool_count(pool, arena->newcomers), pool_count(pool, arena->settle));
    return !pool->failed;
}

static bool changes_chart(const forage_chapter2 *chapter, report_pool *pool, forage_chart *chart)
{
    static const char *const names[] = {"popular", "batched", "batched-nightly", "linucb", "latent", NULL};
    const forage_arena *const arenas[] = {&chapter->arenas[FORAGE_CHAPTER2_DRIFT],
                                          &chapter->arenas[FORAGE_CHAPTER2_NEW_ITEMS]};
    static const char *const titles[] = {"Tastes change", "New products"};
    charts_part parts[2] = {{0}};
    if (!charts_start(pool, chart, 2, LINES_MOST, 4, parts))
        return false;
    for (size_t p = 0; p < 2; ++p) {
        if (!add_curves(arenas[p], names, CURVE_SHARE, pool, &parts[p]))
            return false;
        size_t events = arenas[p]->event_count < 4 ? arenas[p]->event_count : 4;
        for (size_t e = 0; e < events; ++e)
            parts[p].references[e] = (forage_chart_reference){'x', (double)arenas[p]->events[e].visit,
                                                              arenas[p]->events[e].label, FORAGE_INK_GREY};
        parts[p].panel->reference_count = events;
        parts[p].panel->title = titles[p];
        parts[p].panel->x.label = "Visits";
        parts[p].panel->y = (forage_chart_axis){.label = "Share of the oracle’s click rate", .percent = true};
    }
    chart->columns = 1;
    chart->name = "changes";
    chart->title = "The world changes: who notices";
    chart->summary = "Click rate as a share of the oracle’s over time, with the moment of the change marked.";
    return !pool->failed;
}

/* ------------------------------------------------------------------ *
 * Anna
 * ------------------------------------------------------------------ */

/* Beliefs before each visit, category by category, and a dot where one of its products was shown. */
static void add_diary(const forage_arena *arena, const forage_arena_agent *agent, report_pool *pool, charts_part *part)
{
    static const forage_ink inks[] = {FORAGE_INK_BLUE,   FORAGE_INK_VERMILLION, FORAGE_INK_GREEN, FORAGE_INK_PURPLE,
                                      FORAGE_INK_ORANGE, FORAGE_INK_SKY,        FORAGE_INK_GREY};
    enum { INKS = sizeof inks / sizeof *inks };
    size_t pages = agent->page_count;
    size_t groups = arena->item_group_count < CATEGORIES_MOST ? arena->item_group_count : CATEGORIES_MOST;
    double *visits = charts_counting(pool, pages, 1);
    double *shown = pool_take(pool, pages, sizeof *shown);
    for (size_t g = 0; g < groups; ++g) {
        double *belief = pool_take(pool, pages, sizeof *belief);
        for (size_t i = 0; belief && shown && i < pages; ++i) {
            belief[i] = agent->pages[i].belief[g];
            if (agent->pages[i].item_group == g)
                shown[i] = belief[i];
        }
        part->series[g] = (forage_chart_series){
            .name = arena->item_groups[g], .ink = inks[g % INKS], .count = pages, .x = visits, .y = belief};
    }
    part->series[groups] = (forage_chart_series){
        .name = "shown", .mark = FORAGE_MARK_POINTS, .ink = FORAGE_INK_BLACK, .count = pages, .x = visits, .y = shown};
    part->panel->series_count = groups + 1;
    part->panel->title = pool_format(pool, "What %s believes", agent->name);
}

static bool anna_chart(const forage_arena *arena, report_pool *pool, forage_chart *chart)
{
    const forage_arena_agent *agents[CHAPTER2_DIARIES];
    size_t panels = chapter2_diaries(arena, agents);
    charts_part parts[CHAPTER2_DIARIES] = {{0}};
    if (panels == 0 || !charts_start(pool, chart, panels, CATEGORIES_MOST + 1, 0, parts))
        return false;
    for (size_t p = 0; p < panels; ++p) {
        add_diary(arena, agents[p], pool, &parts[p]);
        parts[p].panel->x.label = "Anna’s visit";
        parts[p].panel->y = (forage_chart_axis){.label = "Expected click rate", .percent = true, .zero = true};
    }
    chart->columns = 1;
    chart->name = "anna";
    chart->title = "What is believed of Anna, and what she is shown";
    chart->summary = "A line for each category: the click rate that the learner expects of its best product before the "
                     "visit; dots mark the category that was shown.";
    return !pool->failed;
}

/* ------------------------------------------------------------------ *
 * Bars
 * ------------------------------------------------------------------ */

/* One estimate of every agent but the oracle. */
static bool add_bars(const forage_arena *arena, size_t offset, const char *label, report_pool *pool, charts_part *part)
{
    size_t room = arena->agent_count ? arena->agent_count : 1, count = 0;
    const char **names = pool_take(pool, room, sizeof *names);
    forage_ink *inks = pool_take(pool, room, sizeof *inks);
    forage_estimate *values = pool_take(pool, room, sizeof *values);
    if (!names || !inks || !values)
        return false;
    for (size_t a = 0; a < arena->agent_count; ++a) {
        const forage_arena_agent *agent = &arena->agents[a];
        if (strcmp(agent->name, "oracle") == 0)
            continue;
        memcpy(&values[count], (const char *)agent + offset, sizeof values[count]);
        if (isfinite(values[count].low)) { /* shares of a whole */
            values[count].low = fmax(0, values[count].low);
            values[count].high = fmin(1, values[count].high);
        }
        style look = style_of(agent->name);
        names[count] = look.name;
        inks[count++] = look.ink;
    }
    part->series[0] = (forage_chart_series){.mark = FORAGE_MARK_BARS, .inks = inks};
    part->panel->x = (forage_chart_axis){.label = label, .percent = true, .zero = true};
    part->panel->y = (forage_chart_axis){.categories = names, .category_count = count};
    return charts_estimates(pool, values, sizeof *values, count, part->series, true);
}

static bool loop_chart(const forage_arena *arena, report_pool *pool, forage_chart *chart)
{
    charts_part parts[2] = {{0}};
    if (!charts_start(pool, chart, 2, 1, 0, parts) ||
        !add_bars(arena, offsetof(forage_arena_agent, share_last), "Share of the oracle, last tenth", pool,
                  &parts[0]) ||
        !add_bars(arena, offsetof(forage_arena_agent, coverage), "Share of the catalogue", pool, &parts[1]))
        return false;
    parts[0].panel->title = "What it earns";
    parts[1].panel->title = "Shown at least once";
    chart->columns = 2;
    chart->name = "own-traffic";
    chart->title = "Learning from one’s own traffic, in a shop of products that differ";
    chart->summary = "Bars of earnings at the end, and of how much of the catalogue was ever shown, for every agent.";
    return !pool->failed;
}

static bool others_chart(const forage_chapter2 *chapter, report_pool *pool, forage_chart *chart)
{
    static const forage_chapter2_play plays[] = {FORAGE_CHAPTER2_SLATE, FORAGE_CHAPTER2_DELAYED, FORAGE_CHAPTER2_LARGE};
    static const char *const titles[] = {"Pages of five products", "Rewards come late, or never",
                                         "100,000 products, 100,000 users"};
    charts_part parts[3] = {{0}};
    if (!charts_start(pool, chart, 3, 1, 0, parts))
        return false;
    for (size_t p = 0; p < 3; ++p) {
        if (!add_bars(&chapter->arenas[plays[p]], offsetof(forage_arena_agent, share_last),
                      "Share of the oracle, last tenth", pool, &parts[p]))
            return false;
        parts[p].panel->title = titles[p];
    }
    chart->columns = 2;
    chart->name = "other-shops";
    chart->title = "Other shops: what is earned in the last tenth of the visits";
    chart->summary = "Bars of expected reward as a share of the oracle’s, for every agent.";
    return !pool->failed;
}

static bool personas_chart(const forage_arena *arena, report_pool *pool, forage_chart *chart)
{
    static const char *const names[] = {"greedy", "linucb", "latent", "bayes"};
    const forage_arena_agent *oracle = chapter2_agent(arena, "oracle");
    charts_part part = {0};
    size_t groups = arena->user_group_count, lines = 0;
    const char **labels = charts_names(pool, arena->user_groups, groups);
    if (!oracle || !charts_start(pool, chart, 1, LINES_MOST, 0, &part))
        return false;
    for (size_t n = 0; n < sizeof names / sizeof *names; ++n) {
        const forage_arena_agent *agent = chapter2_agent(arena, names[n]);
        double *shares = pool_take(pool, groups ? groups : 1, sizeof *shares);
        for (size_t g = 0; agent && shares && g < groups; ++g)
            shares[g] = agent->user_group[g].value / oracle->user_group[g].value;
        if (agent)
            part.series[lines++] = (forage_chart_series){.name = agent->name,
                                                         .mark = FORAGE_MARK_DIAMOND,
                                                         .ink = style_of(agent->name).ink,
                                                         .count = groups,
                                                         .x = shares};
    }
    part.panel->series_count = lines;
    part.panel->x =
        (forage_chart_axis){.label = "Click rate as a share of the oracle’s", .percent = true, .zero = true};
    part.panel->y = (forage_chart_axis){.categories = labels, .category_count = groups};
    chart->name = "personas";
    chart->title = "Who is served well: click rates by persona";
    chart->summary =
        "A mark for each persona and agent: its click rate as a share of what the oracle earns with the same users.";
    return !pool->failed;
}

bool chapter2_describe(const void *record, report_pool *pool, forage_chart *charts)
{
    const forage_chapter2 *chapter = record;
    for (size_t i = 0; i < FORAGE_CHAPTER2_PLAYS; ++i) {
        if (chapter->arenas[i].agent_count == 0)
            return false;
    }
    const forage_arena *shop = &chapter->arenas[FORAGE_CHAPTER2_SHOP];
    const forage_arena *new_users = &chapter->arenas[FORAGE_CHAPTER2_NEW_USERS];
    return regret_chart(shop, pool, &charts[CHAPTER2_REGRET]) && stuck_chart(shop, pool, &charts[CHAPTER2_STUCK]) &&
           personas_chart(shop, pool, &charts[CHAPTER2_PERSONAS]) &&
           newcomers_chart(new_users, pool, &charts[CHAPTER2_NEWCOMERS]) &&
           anna_chart(new_users, pool, &charts[CHAPTER2_ANNA]) &&
           changes_chart(chapter, pool, &charts[CHAPTER2_CHANGES]) &&
           loop_chart(&chapter->arenas[FORAGE_CHAPTER2_FEEDBACK_LOOP], pool, &charts[CHAPTER2_LOOP]) &&
           others_chart(chapter, pool, &charts[CHAPTER2_OTHERS]);
}
