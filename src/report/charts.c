/*
 * Charts that more than one report has.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/charts.h"

#include <math.h>
#include <string.h>

bool charts_start(report_pool *pool, forage_chart *chart, size_t panels, size_t series, size_t references,
                  charts_part *parts)
{
    forage_chart_panel *all = pool_take(pool, panels, sizeof *all);
    for (size_t p = 0; all && p < panels; ++p) {
        parts[p].panel = &all[p];
        parts[p].series = pool_take(pool, series, sizeof *parts[p].series);
        parts[p].references = pool_take(pool, references ? references : 1, sizeof *parts[p].references);
        all[p].series = parts[p].series;
        all[p].series_count = series;
        all[p].references = parts[p].references;
        all[p].reference_count = references;
    }
    chart->panels = all;
    chart->panel_count = panels;
    chart->columns = 1;
    return !pool->failed;
}

const char **charts_names(report_pool *pool, char (*names)[64], size_t count)
{
    const char **list = pool_take(pool, count ? count : 1, sizeof *list);
    for (size_t i = 0; list && i < count; ++i)
        list[i] = names[i];
    return list;
}

double *charts_counting(report_pool *pool, size_t count, double first)
{
    double *numbers = pool_take(pool, count, sizeof *numbers);
    for (size_t i = 0; numbers && i < count; ++i)
        numbers[i] = first + (double)i;
    return numbers;
}

/* Values and ends of estimates that lie `stride` bytes apart. */
bool charts_estimates(report_pool *pool, const forage_estimate *first, size_t stride, size_t count,
                      forage_chart_series *series, bool along_x)
{
    double *value = pool_take(pool, count, sizeof *value), *low = pool_take(pool, count, sizeof *low),
           *high = pool_take(pool, count, sizeof *high);
    if (!value || !low || !high)
        return false;
    for (size_t i = 0; i < count; ++i) {
        forage_estimate estimate;
        memcpy(&estimate, (const char *)first + i * stride, sizeof estimate);
        value[i] = estimate.value;
        low[i] = estimate.low;
        high[i] = estimate.high;
    }
    if (along_x)
        series->x = value;
    else
        series->y = value;
    series->low = low;
    series->high = high;
    series->count = count;
    return true;
}

bool charts_loss(const forage_training_record *training, report_pool *pool, forage_chart *chart)
{
    size_t last = training->epochs > 0 ? training->epochs - 1 : 0;
    bool validated = training->epochs > 0 && isfinite(training->validation_loss[last]);
    charts_part part = {0};
    double *epochs = charts_counting(pool, training->epochs, 1);
    if (!charts_start(pool, chart, 1, 2, 2, &part))
        return false;
    const forage_chart_series curves[] = {{.name = "training rows",
                                           .ink = FORAGE_INK_GREY,
                                           .dashed = true,
                                           .count = training->epochs,
                                           .x = epochs,
                                           .y = training->train_loss},
                                          {.name = "validation rows",
                                           .ink = FORAGE_INK_BLUE,
                                           .count = training->epochs,
                                           .x = epochs,
                                           .y = training->validation_loss}};
    const forage_chart_reference lines[] = {
        {'y', training->oracle_validation,
         pool_format(pool, "oracle %s", pool_fixed(pool, training->oracle_validation, 4)), FORAGE_INK_GREEN},
        {'y', training->base_validation,
         pool_format(pool, "same rate for all %s", pool_fixed(pool, training->base_validation, 4)), FORAGE_INK_GREY}};
    memcpy(part.series, curves, sizeof curves);
    part.panel->series_count = validated ? 2 : 1;
    part.panel->reference_count = 0;
    for (size_t l = 0; l < 2; ++l) {
        if (isfinite(lines[l].at))
            part.references[part.panel->reference_count++] = lines[l];
    }
    part.panel->x.label = "Epoch";
    part.panel->y.label = "Log loss (nats per row)";
    chart->name = "loss";
    chart->title = "Loss after each epoch of training";
    chart->summary = pool_format(pool, "From the first epoch to the last, loss on the %s rows goes from %s to %s.",
                                 validated ? "validation" : "training",
                                 pool_fixed(pool,
                                            validated          ? training->validation_loss[0]
                                            : training->epochs ? training->train_loss[0]
                                                               : NAN,
                                            4),
                                 pool_fixed(pool,
                                            validated          ? training->validation_loss[last]
                                            : training->epochs ? training->train_loss[last]
                                                               : NAN,
                                            4));
    return !pool->failed;
}

bool charts_calibration(const forage_metrics *metrics, report_pool *pool, forage_chart *chart)
{
    charts_part part = {0};
    double *x = pool_take(pool, FORAGE_RELIABILITY_BINS_MAX, sizeof *x);
    double *y = pool_take(pool, FORAGE_RELIABILITY_BINS_MAX, sizeof *y);
    double *low = pool_take(pool, FORAGE_RELIABILITY_BINS_MAX, sizeof *low);
    double *high = pool_take(pool, FORAGE_RELIABILITY_BINS_MAX, sizeof *high);
    if (!charts_start(pool, chart, 1, 1, 1, &part))
        return false;
    size_t count = 0;
    double end = 0.05;
    for (size_t b = 0; b < metrics->mass_bin_count; ++b) {
        const forage_reliability_bin *bin = &metrics->bins_mass[b];
        if (bin->count == 0)
            continue;
        x[count] = bin->mean_prediction;
        y[count] = bin->positive_rate;
        low[count] = fmax(0, bin->positive_rate - 1.96 * bin->deviation);
        high[count] = fmin(1, bin->positive_rate + 1.96 * bin->deviation);
        end = fmax(end, fmax(x[count], high[count]));
        ++count;
    }
    part.series[0] = (forage_chart_series){
        .mark = FORAGE_MARK_POINTS, .ink = FORAGE_INK_BLUE, .count = count, .x = x, .y = y, .low = low, .high = high};
    part.references[0] = (forage_chart_reference){'d', 0, "perfectly calibrated", FORAGE_INK_GREY};
    part.panel->x = (forage_chart_axis){.label = "Predicted click rate", .percent = true, .high = fmin(1, 1.05 * end)};
    part.panel->y = (forage_chart_axis){.label = "Observed click rate", .percent = true, .high = fmin(1, 1.05 * end)};
    chart->name = "calibration";
    chart->title = "Predicted and observed click rates on rows it has not seen, with 95 % intervals";
    chart->summary =
        pool_format(pool, "%zu groups of equally many rows, by predicted rate; the calibration error is %s.", count,
                    pool_percent(pool, metrics->ece.value));
    return !pool->failed;
}
