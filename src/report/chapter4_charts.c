/*
 * The charts of chapter 4.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chapter4.h"
#include "report/charts.h"

#include <math.h>
#include <string.h>

const forage_ranked_arm *chapter4_arm(const forage_arm_table *table, const char *name)
{
    for (size_t a = 0; a < table->arm_count; ++a) {
        if (strcmp(table->arms[a].name, name) == 0)
            return &table->arms[a];
    }
    return NULL;
}

double chapter4_rate(const forage_arm_table *table, const char *name, size_t point)
{
    const forage_ranked_arm *arm = chapter4_arm(table, name);
    return arm && point < table->point_count ? arm->click_rate[point].value : (double)NAN;
}

/* ------------------------------------------------------------------ *
 * Degrees
 * ------------------------------------------------------------------ */

static bool degrees_panel(const forage_degrees *degrees, report_pool *pool, charts_part *part)
{
    double *nodes = pool_take(pool, degrees->most + 1, sizeof *nodes);
    for (size_t d = 0; nodes && d <= degrees->most; ++d)
        nodes[d] = (double)degrees->count[d];
    part->series[0] = (forage_chart_series){.ink = FORAGE_INK_BLUE,
                                            .count = degrees->most + 1,
                                            .x = charts_counting(pool, degrees->most + 1, 0),
                                            .y = nodes};
    part->references[0] = (forage_chart_reference){
        'x', degrees->mean, pool_format(pool, "mean %s", pool_fixed(pool, degrees->mean, 1)), FORAGE_INK_GREY};
    return !pool->failed;
}

static bool degrees_chart(const forage_graph_facts *graph, report_pool *pool, forage_chart *chart)
{
    charts_part parts[2] = {{0}};
    if (!charts_start(pool, chart, 2, 1, 1, parts) || !degrees_panel(&graph->user, pool, &parts[0]) ||
        !degrees_panel(&graph->item, pool, &parts[1]))
        return false;
    parts[0].panel->title = "Users";
    parts[0].panel->x.label = "Products that a user clicked on";
    parts[0].panel->y = (forage_chart_axis){.label = "Number of users", .zero = true};
    parts[1].panel->title = "Products";
    parts[1].panel->x.label = "Users who clicked on a product";
    parts[1].panel->y = (forage_chart_axis){.label = "Number of products", .zero = true};
    chart->columns = 2;
    chart->name = "degrees";
    chart->title = "How many edges users and products have";
    chart->summary = pool_format(pool,
                                 "Users have clicked on %s products on average and on %zu at most; products have been "
                                 "clicked on by %s users on average and by %zu at most.",
                                 pool_fixed(pool, graph->user.mean, 1), graph->user.most,
                                 pool_fixed(pool, graph->item.mean, 1), graph->item.most);
    return !pool->failed;
}

/* ------------------------------------------------------------------ *
 * Layers
 * ------------------------------------------------------------------ */

static bool layers_chart(const forage_chapter4 *chapter, report_pool *pool, forage_chart *chart)
{
    static const forage_ink inks[] = {FORAGE_INK_SKY, FORAGE_INK_BLUE, FORAGE_INK_PURPLE, FORAGE_INK_BLACK};
    enum { INKS = sizeof inks / sizeof *inks };
    const forage_arm_table *table = &chapter->smoothing;
    charts_part parts[2] = {{0}};
    if (!charts_start(pool, chart, 2, table->arm_count, 0, parts))
        return false;
    for (size_t a = 0; a < table->arm_count; ++a) {
        const forage_ranked_arm *arm = &table->arms[a];
        for (size_t p = 0; p < 2; ++p) {
            parts[p].series[a] = (forage_chart_series){
                .name = arm->name, .ink = inks[a % INKS], .dashed = a % 2 == 0, .x = table->points};
            if (!charts_estimates(pool, p == 0 ? arm->click_rate : arm->recall, sizeof *arm->recall, table->point_count,
                                  &parts[p].series[a], false))
                return false;
        }
    }
    for (size_t p = 0; p < 2; ++p)
        parts[p].panel->x.label = "Layers";
    parts[0].panel->title = pool_format(pool, "Of the %zu offered", chapter->offered);
    parts[0].panel->y = (forage_chart_axis){.label = "Expected click rate", .percent = true};
    parts[1].panel->title = pool_format(pool, "Next clicks found in %zu", chapter->cutoff);
    parts[1].panel->y = (forage_chart_axis){.label = pool_format(pool, "Recall@%zu", chapter->cutoff), .percent = true};
    chart->columns = 2;
    chart->name = "layers";
    chart->title = "Smoothing over the graph: visits of each user in the log, and layers";
    chart->summary =
        pool_format(pool, "A line for each size of the log, from 0 layers, which is no graph, to %s, with 95 %% bands.",
                    pool_fixed(pool, table->points[table->point_count - 1], 0));
    return !pool->failed;
}

/* ------------------------------------------------------------------ *
 * Maps
 * ------------------------------------------------------------------ */

enum { GROUPS_MOST = 6 }; /* with colours and shapes of their own; what is beyond is one more series */

static const forage_ink group_inks[GROUPS_MOST] = {FORAGE_INK_BLUE,   FORAGE_INK_VERMILLION, FORAGE_INK_GREEN,
                                                   FORAGE_INK_PURPLE, FORAGE_INK_ORANGE,     FORAGE_INK_SKY};

/* The points of group `group`, or of all from there on when it is the last series. */
static void group_series(const forage_map_point *points, size_t count, uint32_t group, bool rest, report_pool *pool,
                         forage_chart_series *series)
{
    double *x = pool_take(pool, count ? count : 1, sizeof *x), *y = pool_take(pool, count ? count : 1, sizeof *y);
    size_t taken = 0;
    for (size_t i = 0; x && y && i < count; ++i) {
        if (points[i].group != group && !(rest && points[i].group > group))
            continue;
        x[taken] = (double)points[i].x;
        y[taken++] = (double)points[i].y;
    }
    *series = (forage_chart_series){.mark = FORAGE_MARK_POINTS,
                                    .ink = group < GROUPS_MOST ? group_inks[group] : FORAGE_INK_GREY,
                                    .shape = (forage_shape)(group % (FORAGE_SHAPE_DOWN + 1)),
                                    .count = taken,
                                    .x = x,
                                    .y = y};
}

/* Users, or products, of some views. */
static bool map_panels(const forage_chapter4 *chapter, bool users, const size_t *views, size_t view_count,
                       report_pool *pool, forage_chart *chart)
{
    enum { VIEWS_MOST = 4 };
    size_t groups = users ? chapter->persona_count : chapter->category_count;
    size_t lines = groups > GROUPS_MOST ? GROUPS_MOST + 1 : groups;
    const char **names = charts_names(pool, users ? chapter->personas : chapter->categories, groups);
    charts_part parts[VIEWS_MOST] = {{0}};
    if (view_count > VIEWS_MOST || !names || !charts_start(pool, chart, view_count, lines, 0, parts))
        return false;
    for (size_t v = 0; v < view_count; ++v) {
        const forage_map_view *view = &chapter->map.views[views[v]];
        for (size_t g = 0; g < lines; ++g) {
            group_series(users ? view->users : view->items, users ? chapter->map.user_count : chapter->map.item_count,
                         (uint32_t)g, g == GROUPS_MOST, pool, &parts[v].series[g]);
            parts[v].series[g].name = g == GROUPS_MOST ? "others" : names[g];
        }
        parts[v].panel->title = view->name;
        parts[v].panel->x = (forage_chart_axis){.low = -1.1, .high = 1.1};
        parts[v].panel->y = parts[v].panel->x;
    }
    chart->columns = 2;
    return !pool->failed;
}

static bool users_chart(const forage_chapter4 *chapter, report_pool *pool, forage_chart *chart)
{
    static const size_t all[] = {0, 1, 2, 3};
    const forage_graph_map *map = &chapter->map;
    if (map->view_count != 4 || !map_panels(chapter, true, all, 4, pool, chart))
        return false;
    chart->name = "map-users";
    chart->title = "Users on a plane, by persona, which no model is told";
    chart->summary = pool_format(
        pool,
        "Four clouds of the same %zu users. Of the %zu nearest users, as many are of the same persona: %s with random "
        "numbers, %s trained without the graph, %s trained with it.",
        map->user_count, map->neighbours, pool_percent(pool, map->views[0].user_neighbours.value),
        pool_percent(pool, map->views[2].user_neighbours.value),
        pool_percent(pool, map->views[3].user_neighbours.value));
    return !pool->failed;
}

static bool products_chart(const forage_chapter4 *chapter, report_pool *pool, forage_chart *chart)
{
    static const size_t trained[] = {2, 3};
    const forage_graph_map *map = &chapter->map;
    if (!map_panels(chapter, false, trained, 2, pool, chart))
        return false;
    chart->name = "map-products";
    chart->title = "Products on the same planes, by category, which no model is told";
    chart->summary = pool_format(
        pool,
        "Two clouds of the %zu products. Of the %zu nearest products, as many are of the same category: %s trained "
        "without the graph, %s trained with it.",
        map->item_count, map->neighbours, pool_percent(pool, map->views[2].item_neighbours.value),
        pool_percent(pool, map->views[3].item_neighbours.value));
    return !pool->failed;
}

/* ------------------------------------------------------------------ *
 * Arms against each other
 * ------------------------------------------------------------------ */

typedef struct line_style {
    const char *name;
    forage_ink ink;
    bool dashed, band;
} line_style;

static const line_style styles[] = {
    {"limit, from all visits", FORAGE_INK_BLACK, true, false},
    {"embedding-mlp, tuned", FORAGE_INK_VERMILLION, false, true},
    {"lightgcn", FORAGE_INK_BLUE, false, true},
    {"lightgcn, not retrained", FORAGE_INK_SKY, true, false},
    {"item-knn", FORAGE_INK_GREEN, true, false},
    {"no graph", FORAGE_INK_PURPLE, false, false},
    {"embedding-mlp", FORAGE_INK_ORANGE, true, false},
    {"bestsellers", FORAGE_INK_GREY, false, false},
};
enum { STYLES = sizeof styles / sizeof *styles };

/* Click rates of the arms that have a style, at evenly spaced points. `leave` NULL: of all of these. */
static bool arm_lines(const forage_arm_table *table, const char *label, const char *leave, report_pool *pool,
                      charts_part *part)
{
    const char **names = pool_take(pool, table->point_count, sizeof *names);
    double *places = charts_counting(pool, table->point_count, 0);
    size_t lines = 0;
    for (size_t p = 0; names && p < table->point_count; ++p)
        names[p] = pool_fixed(pool, table->points[p], 0);
    for (size_t s = 0; s < STYLES; ++s) {
        const forage_ranked_arm *arm = chapter4_arm(table, styles[s].name);
        if (!arm || (leave && strcmp(leave, styles[s].name) == 0))
            continue;
        forage_chart_series *series = &part->series[lines++];
        *series = (forage_chart_series){
            .name = styles[s].name, .ink = styles[s].ink, .dashed = styles[s].dashed, .x = places};
        if (!charts_estimates(pool, arm->click_rate, sizeof *arm->click_rate, table->point_count, series, false))
            return false;
        if (!styles[s].band)
            series->low = series->high = NULL;
    }
    part->panel->series_count = lines;
    part->panel->x = (forage_chart_axis){.label = label, .categories = names, .category_count = table->point_count};
    part->panel->y = (forage_chart_axis){.label = "Expected click rate", .percent = true};
    return !pool->failed && lines > 0;
}

static bool logs_chart(const forage_chapter4 *chapter, report_pool *pool, forage_chart *chart)
{
    charts_part part = {0};
    if (!charts_start(pool, chart, 1, STYLES, 0, &part) ||
        !arm_lines(&chapter->crowd, "Visits of each user in the log, on average", NULL, pool, &part))
        return false;
    chart->name = "logs";
    chart->title = "The same shop with thin and thick logs: what the products offered earn";
    chart->summary = pool_format(pool, "A line for each way of ranking, over the size of the log; means of %zu worlds.",
                                 chapter->seeds);
    return !pool->failed;
}

static bool few_clicks_chart(const forage_chapter4 *chapter, report_pool *pool, forage_chart *chart)
{
    enum { PANELS_MOST = 2 };
    size_t panels = chapter->few_clicks_count;
    charts_part parts[PANELS_MOST] = {{0}};
    if (panels == 0 || panels > PANELS_MOST || !charts_start(pool, chart, panels, STYLES, 0, parts))
        return false;
    double low = INFINITY, high = 0; /* all panels have the same scale */
    for (size_t p = 0; p < panels; ++p) {
        const forage_few_clicks *few = &chapter->few_clicks[p];
        if (!arm_lines(&few->arms, "Clicks of the user", "embedding-mlp", pool, &parts[p]))
            return false;
        parts[p].panel->title = pool_format(pool, "Others: %zu visits each", few->others_visits);
        for (size_t s = 0; s < parts[p].panel->series_count; ++s)
            for (size_t i = 0; i < few->arms.point_count; ++i) {
                low = fmin(low, parts[p].series[s].y[i]);
                high = fmax(high, parts[p].series[s].y[i]);
            }
    }
    for (size_t p = 0; p < panels && low < high; ++p) {
        parts[p].panel->y.low = fmax(0, low - 0.1 * (high - low));
        parts[p].panel->y.high = high + 0.1 * (high - low);
    }
    chart->columns = 2;
    chart->name = "few-clicks";
    chart->title = "Users of few clicks: what the products offered to them earn";
    chart->summary = pool_format(
        pool,
        "A line for each way of ranking, over the clicks that a user has made; %zu users for each number in each "
        "of %zu worlds.",
        chapter->few_clicks[0].group, chapter->seeds);
    return !pool->failed;
}

static bool complete(const forage_chapter4 *chapter)
{
    const forage_arm_table *crowd = &chapter->crowd;
    return chapter->graph.user.count && chapter->graph.item.count && chapter->smoothing.arm_count > 0 &&
           chapter->smoothing.point_count > 0 && crowd->arm_count > 0 && crowd->point_count > 1 &&
           chapter->shown < crowd->point_count && crowd->ahead;
}

bool chapter4_describe(const void *record, report_pool *pool, forage_chart *charts)
{
    const forage_chapter4 *chapter = record;
    if (!complete(chapter))
        return false;
    return degrees_chart(&chapter->graph, pool, &charts[CHAPTER4_DEGREES]) &&
           layers_chart(chapter, pool, &charts[CHAPTER4_LAYERS]) &&
           users_chart(chapter, pool, &charts[CHAPTER4_USERS]) &&
           products_chart(chapter, pool, &charts[CHAPTER4_PRODUCTS]) &&
           logs_chart(chapter, pool, &charts[CHAPTER4_LOGS]) &&
           few_clicks_chart(chapter, pool, &charts[CHAPTER4_FEW_CLICKS]);
}
