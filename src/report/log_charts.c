/*
 * The charts of a report on a log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/log_report.h"

#include "report/charts.h"

#include <math.h>
#include <string.h>

/* Of a group that a chart of rates shows: with fewer, the interval says nothing and dwarfs the others. */
enum { LEAST_ROWS = 50 };

/* Observed rates as bars with intervals, mean predictions as diamonds. */
static bool groups_chart(const forage_log_breakdown *from, bool rates, report_pool *pool, forage_chart *chart)
{
    charts_part part = {0};
    size_t room = from->count ? from->count : 1, values = 0;
    const char **names = pool_take(pool, room, sizeof *names);
    double *observed = pool_take(pool, room, sizeof *observed), *low = pool_take(pool, room, sizeof *low);
    double *high = pool_take(pool, room, sizeof *high), *predicted = pool_take(pool, room, sizeof *predicted);
    if (!charts_start(pool, chart, 1, 2, 0, &part))
        return false;
    size_t count = 0;
    for (size_t g = 0; g < from->count; ++g) {
        const forage_log_group *group = &from->groups[g];
        if (rates && group->rows < LEAST_ROWS)
            continue;
        names[count] = group->name[0] ? group->name : "(no name)";
        observed[count] = rates ? group->observed.value : (double)group->rows;
        low[count] = rates ? group->observed.low : NAN;
        high[count] = rates ? group->observed.high : NAN;
        predicted[count] = group->predicted;
        values += isfinite(predicted[count++]);
    }
    part.series[0] = (forage_chart_series){.name = rates ? "observed, with 95 % interval" : NULL,
                                           .mark = FORAGE_MARK_BARS,
                                           .ink = FORAGE_INK_SKY,
                                           .count = count,
                                           .x = observed,
                                           .low = low,
                                           .high = high};
    part.series[1] = (forage_chart_series){.name = "mean prediction",
                                           .mark = FORAGE_MARK_DIAMOND,
                                           .ink = FORAGE_INK_VERMILLION,
                                           .count = count,
                                           .x = predicted};
    part.panel->series_count = rates && values > 0 ? 2 : 1;
    part.panel->x = (forage_chart_axis){.label = rates ? "Click rate" : "Rows", .percent = rates, .zero = true};
    part.panel->y = (forage_chart_axis){.categories = names, .category_count = count};
    return true;
}

static bool breakdown_chart(const forage_log_study *study, size_t which, report_pool *pool, forage_chart *chart)
{
    const forage_log_breakdown *from = &study->breakdowns[which];
    if (!groups_chart(from, study->has_values, pool, chart))
        return false;
    chart->name = pool_format(pool, "groups-%zu", which + 1);
    chart->title = pool_format(pool, "%s by %s", study->has_values ? "Click rate" : "Rows", from->column);
    chart->summary = pool_format(pool, "%s has %zu values; those of fewer than %d rows are left out.", from->column,
                                 from->distinct, study->has_values ? LEAST_ROWS : 1);
    return !pool->failed;
}

static bool items_chart(const forage_log_study *study, report_pool *pool, forage_chart *chart)
{
    const forage_log_breakdown *from = &study->items_by_prediction;
    bool predicted = from->count > 0 && isfinite(from->groups[0].predicted);
    if (!groups_chart(from, study->has_values, pool, chart))
        return false;
    chart->name = "items";
    chart->title = pool_format(pool, "The %zu items %s", from->count,
                               predicted ? "with the highest mean prediction" : "with the most rows");
    chart->summary = pool_format(pool, "%zu of %zu items, over all rows of the log.", from->count, from->distinct);
    return !pool->failed;
}

bool log_report_describe(const forage_log_study *study, report_pool *pool, log_report_charts *charts)
{
    memset(charts, 0, sizeof *charts);
    charts->loss = charts->calibration = LOG_REPORT_CHARTS;
    for (size_t b = 0; b < study->breakdown_count && b < LOG_REPORT_GROUPS; ++b) {
        if (!breakdown_chart(study, b, pool, &charts->list[charts->count++]))
            return false;
        charts->group_count += 1;
    }
    if (study->training.epochs > 1) {
        charts->loss = charts->count;
        if (!charts_loss(&study->training, pool, &charts->list[charts->count++]))
            return false;
    }
    if (study->has_metrics && study->metrics.mass_bin_count > 1) {
        charts->calibration = charts->count;
        if (!charts_calibration(&study->metrics, pool, &charts->list[charts->count++]))
            return false;
    }
    charts->items = charts->count;
    return items_chart(study, pool, &charts->list[charts->count++]);
}
