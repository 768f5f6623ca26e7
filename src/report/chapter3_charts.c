/*
 * The charts of chapter 3.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chapter3.h"
#include "report/charts.h"

#include <math.h>
#include <string.h>

const forage_predictor *chapter3_predictor(const forage_predictor_table *table, const char *name)
{
#define UNKNOWN       \
    {                 \
        NAN, NAN, NAN \
    }
    static const forage_predictor nobody = {.loss = UNKNOWN,
                                            .auc = UNKNOWN,
                                            .more = UNKNOWN,
                                            .late = UNKNOWN,
                                            .loss_behind = UNKNOWN,
                                            .auc_behind = UNKNOWN};
#undef UNKNOWN
    for (size_t a = 0; a < table->predictor_count; ++a) {
        if (strcmp(table->predictors[a].name, name) == 0)
            return &table->predictors[a];
    }
    return &nobody;
}

size_t chapter3_within(const forage_predictor_table *table, const char *name, double share)
{
    const forage_predictor *one = chapter3_predictor(table, name);
    size_t first = 0;
    for (size_t p = table->point_count; one->excess && p >= CHAPTER3_WINDOW; --p) {
        double sum = 0;
        for (size_t i = p - CHAPTER3_WINDOW; i < p; ++i)
            sum += one->excess[i].value;
        if (sum / CHAPTER3_WINDOW > share)
            break;
        first = p - CHAPTER3_WINDOW + 1;
    }
    return first;
}

const char *chapter3_share(report_pool *pool, double share)
{
    return pool_format(pool, "%s\u00a0%%", pool_fixed(pool, 100 * share, fabs(share) < 0.1 ? 2 : 1));
}

/* ------------------------------------------------------------------ *
 * Lines over visits
 * ------------------------------------------------------------------ */

typedef struct line_style {
    const char *name;
    forage_ink ink;
    bool dashed, band;
} line_style;

static const line_style styles[] = {
    {CHAPTER3_BLIND, FORAGE_INK_GREY, false, false}, {CHAPTER3_KNOWN, FORAGE_INK_VERMILLION, false, false},
    {CHAPTER3_BAG, FORAGE_INK_ORANGE, false, true},  {CHAPTER3_SEQUENCE, FORAGE_INK_BLUE, false, true},
    {CHAPTER3_BAYES, FORAGE_INK_BLACK, true, false}, {CHAPTER3_ORACLE, FORAGE_INK_GREEN, true, false},
};
enum { STYLES = sizeof styles / sizeof *styles };

/* Log losses, or excesses without those of `bayes` and of who knows more or less than a history. */
static bool lines(const forage_predictor_table *table, bool excess, report_pool *pool, charts_part *part)
{
    size_t count = 0;
    for (size_t s = 0; s < STYLES; ++s) {
        const forage_predictor *one = chapter3_predictor(table, styles[s].name);
        bool read = strcmp(styles[s].name, CHAPTER3_BAG) == 0 || strcmp(styles[s].name, CHAPTER3_SEQUENCE) == 0;
        if (!one->log_loss || (excess && !read))
            continue;
        forage_chart_series *series = &part->series[count++];
        *series = (forage_chart_series){
            .name = styles[s].name, .ink = styles[s].ink, .dashed = styles[s].dashed, .x = table->points};
        if (!charts_estimates(pool, excess ? one->excess : one->log_loss, sizeof *one->excess, table->point_count,
                              series, false))
            return false;
        if (!styles[s].band || !excess)
            series->low = series->high = NULL;
    }
    part->panel->series_count = count;
    part->panel->y.label = "Log loss (nats per visit)";
    return !pool->failed && count > 0;
}

static bool life_chart(const forage_chapter3 *chapter, report_pool *pool, forage_chart *chart)
{
    const forage_predictor_table *table = &chapter->users.table;
    charts_part part = {0};
    if (!charts_start(pool, chart, 1, STYLES, 0, &part) || !lines(table, false, pool, &part))
        return false;
    part.panel->x.label = "Visit of the new user";
    chart->name = "life";
    chart->title = "Users whom no model has seen: log loss by their nth visit";
    chart->summary = pool_format(
        pool, "A line for each way of predicting, over %zu visits; means of %zu worlds with %s new users each.",
        table->point_count, chapter->seeds, pool_count(pool, chapter->users.newcomers));
    return !pool->failed;
}

static bool excess_chart(const forage_chapter3 *chapter, report_pool *pool, forage_chart *chart)
{
    const forage_predictor_table *table = &chapter->users.table;
    const forage_predictor *best = chapter3_predictor(table, CHAPTER3_SEQUENCE);
    charts_part part = {0};
    if (!charts_start(pool, chart, 1, STYLES, 2, &part) || !lines(table, true, pool, &part))
        return false;
    part.references[0] = (forage_chart_reference){'y', 0.01, "1 %", FORAGE_INK_GREY};
    part.references[1] = (forage_chart_reference){'y', 0.0, "bayes", FORAGE_INK_BLACK};
    part.panel->x.label = "Visit of the new user";
    part.panel->y = (forage_chart_axis){.label = "Log loss above that of bayes", .percent = true};
    chart->name = "excess";
    chart->title = "How far from who knows the personas";
    chart->summary = pool_format(
        pool,
        "From visit %s on the sequence model’s log loss is %s above that of bayes on the same rows; bands are 95 %% "
        "intervals over worlds.",
        pool_fixed(pool, table->late, 0), chapter3_share(pool, best->late.value));
    return !pool->failed;
}

static const char *shop_title(size_t which)
{
    return which == FORAGE_CHAPTER3_INTENTS ? "Half of the sessions have an intent" : "No intents";
}

static bool sessions_chart(const forage_chapter3 *chapter, report_pool *pool, forage_chart *chart)
{
    charts_part parts[FORAGE_CHAPTER3_SHOPS] = {{0}};
    double low = INFINITY, high = 0; /* both panels have the same scale */
    if (!charts_start(pool, chart, FORAGE_CHAPTER3_SHOPS, STYLES, 0, parts))
        return false;
    for (size_t w = 0; w < FORAGE_CHAPTER3_SHOPS; ++w) {
        const forage_predictor_table *table = &chapter->sessions[w].table;
        if (!lines(table, false, pool, &parts[w]))
            return false;
        parts[w].panel->title = shop_title(w);
        parts[w].panel->x.label = "Visit of the session";
        for (size_t s = 0; s < parts[w].panel->series_count; ++s)
            for (size_t p = 0; p < table->point_count; ++p) {
                low = fmin(low, parts[w].series[s].y[p]);
                high = fmax(high, parts[w].series[s].y[p]);
            }
    }
    for (size_t w = 0; w < FORAGE_CHAPTER3_SHOPS && low < high; ++w) {
        parts[w].panel->y.low = fmax(0, low - 0.1 * (high - low));
        parts[w].panel->y.high = high + 0.1 * (high - low);
    }
    chart->columns = 2;
    chart->name = "sessions";
    chart->title = "Within a session: log loss by its nth visit";
    chart->summary = pool_format(
        pool,
        "Two panels with a line for each way of predicting. With intents the sequence model comes down from %s at the "
        "first visit to %s at the last, the bag of history from %s to %s.",
        pool_fixed(pool, chapter3_predictor(&chapter->sessions[0].table, CHAPTER3_SEQUENCE)->log_loss[0].value, 3),
        pool_fixed(pool,
                   chapter3_predictor(&chapter->sessions[0].table, CHAPTER3_SEQUENCE)
                       ->log_loss[chapter->sessions[0].table.point_count - 1]
                       .value,
                   3),
        pool_fixed(pool, chapter3_predictor(&chapter->sessions[0].table, CHAPTER3_BAG)->log_loss[0].value, 3),
        pool_fixed(pool,
                   chapter3_predictor(&chapter->sessions[0].table, CHAPTER3_BAG)
                       ->log_loss[chapter->sessions[0].table.point_count - 1]
                       .value,
                   3));
    return !pool->failed;
}

/* ------------------------------------------------------------------ *
 * What the order is worth
 * ------------------------------------------------------------------ */

static bool order_chart(const forage_chapter3 *chapter, report_pool *pool, forage_chart *chart)
{
    static const char *const rivals[] = {CHAPTER3_BAG, CHAPTER3_KNOWN, CHAPTER3_BLIND};
    static const forage_ink inks[] = {FORAGE_INK_ORANGE, FORAGE_INK_VERMILLION, FORAGE_INK_GREY};
    enum { RIVALS = sizeof rivals / sizeof *rivals };
    charts_part parts[FORAGE_CHAPTER3_SHOPS] = {{0}};
    double low = 0, high = 0;
    if (!charts_start(pool, chart, FORAGE_CHAPTER3_SHOPS, 1, 0, parts))
        return false;
    for (size_t w = 0; w < FORAGE_CHAPTER3_SHOPS; ++w) {
        forage_estimate *saved = pool_take(pool, RIVALS, sizeof *saved);
        for (size_t r = 0; saved && r < RIVALS; ++r) {
            saved[r] = chapter3_predictor(&chapter->sessions[w].table, rivals[r])->loss_behind;
            low = fmin(low, fmin(saved[r].value, saved[r].low)); /* NaN counts for nothing */
            high = fmax(high, fmax(saved[r].value, saved[r].high));
        }
        parts[w].series[0] = (forage_chart_series){.mark = FORAGE_MARK_BARS, .inks = inks};
        if (!saved || !charts_estimates(pool, saved, sizeof *saved, RIVALS, &parts[w].series[0], true))
            return false;
        parts[w].panel->title = shop_title(w);
        parts[w].panel->y = (forage_chart_axis){.categories = rivals, .category_count = RIVALS};
        parts[w].panel->x = (forage_chart_axis){.label = "Log loss saved (nats per visit)"};
    }
    for (size_t w = 0; w < FORAGE_CHAPTER3_SHOPS && low < high; ++w) {
        parts[w].panel->x.low = low < 0 ? low - 0.05 * (high - low) : 0;
        parts[w].panel->x.high = high + 0.05 * (high - low);
    }
    chart->columns = 1;
    chart->name = "order";
    chart->title = "What the sequence model saves against the others";
    chart->summary = pool_format(
        pool, "Against the bag of history it saves %s nats per visit with intents, and %s without.",
        pool_fixed(pool, chapter3_predictor(&chapter->sessions[0].table, CHAPTER3_BAG)->loss_behind.value, 4),
        pool_fixed(pool, chapter3_predictor(&chapter->sessions[1].table, CHAPTER3_BAG)->loss_behind.value, 4));
    return !pool->failed;
}

static bool complete_table(const forage_predictor_table *table)
{
    static const char *const needed[] = {CHAPTER3_SEQUENCE, CHAPTER3_BAG, CHAPTER3_BLIND, CHAPTER3_BAYES};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; ++i)
        if (!chapter3_predictor(table, needed[i])->log_loss)
            return false;
    return table->point_count > 1 && table->points && table->late <= (double)table->point_count;
}

bool chapter3_describe(const void *record, report_pool *pool, forage_chart *charts)
{
    const forage_chapter3 *chapter = record;
    if (!complete_table(&chapter->users.table) || !complete_table(&chapter->sessions[0].table) ||
        !complete_table(&chapter->sessions[1].table))
        return false;
    return life_chart(chapter, pool, &charts[CHAPTER3_LIFE]) && excess_chart(chapter, pool, &charts[CHAPTER3_EXCESS]) &&
           sessions_chart(chapter, pool, &charts[CHAPTER3_SESSIONS]) &&
           order_chart(chapter, pool, &charts[CHAPTER3_ORDER]);
}
