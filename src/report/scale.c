/*
 * Axes, colours and checks that all drawings share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chart.h"
#include "report/palette.h"

#include <math.h>
#include <string.h>

uint32_t chart_line_colour(forage_ink ink)
{
    return palette[PALETTE_LINES + (ink <= FORAGE_INK_BLACK ? ink : FORAGE_INK_BLACK)].light;
}

uint32_t chart_text_colour(forage_ink ink)
{
    return palette[PALETTE_LETTERS + (ink <= FORAGE_INK_BLACK ? ink : FORAGE_INK_BLACK)].light;
}

/* ------------------------------------------------------------------ *
 * Scales
 * ------------------------------------------------------------------ */

typedef struct value_span {
    double low, high;
} value_span;

static void include(value_span *extent, double value)
{
    if (!isfinite(value))
        return;
    if (value < extent->low)
        extent->low = value;
    if (value > extent->high)
        extent->high = value;
}

static void include_series(value_span *extent, const forage_chart_series *series, char axis, bool sideways)
{
    bool along = sideways == (axis == 'x'); /* intervals lie along this axis */
    for (size_t i = 0; i < series->count; ++i) {
        if (series->mark == FORAGE_MARK_BOXES) {
            if (series->boxes[i].count > 0 && axis == 'x') {
                include(extent, series->boxes[i].minimum);
                include(extent, series->boxes[i].maximum);
            }
            continue;
        }
        if (axis == 'x')
            include(extent, series->x[i]);
        else if (!sideways)
            include(extent, series->y[i]);
        if (along && series->low && series->high) {
            include(extent, series->low[i]);
            include(extent, series->high[i]);
        }
    }
    if (series->mark == FORAGE_MARK_BARS && axis == 'x')
        include(extent, 0);
}

/* Bands that are much wider than what their lines do, as with two worlds, are cut: the lines must stay readable. */
static void limit_to_values(const forage_chart_panel *panel, value_span *extent)
{
    value_span values = {INFINITY, -INFINITY};
    for (size_t s = 0; s < panel->series_count; ++s) {
        for (size_t i = 0; i < panel->series[s].count; ++i)
            include(&values, panel->series[s].y[i]);
    }
    double span = values.high - values.low;
    if (!(span > 0))
        return;
    for (size_t r = 0; r < panel->reference_count; ++r) {
        if (panel->references[r].axis == 'y')
            include(&values, panel->references[r].at);
    }
    double floor = panel->y.zero && values.low >= 0 ? 0 : -INFINITY;
    extent->low = fmax(extent->low, fmax(floor, values.low - span));
    extent->high = fmin(extent->high, values.high + span);
}

static value_span extent_of(const forage_chart_panel *panel, char axis)
{
    value_span extent = {INFINITY, -INFINITY};
    for (size_t s = 0; s < panel->series_count; ++s)
        include_series(&extent, &panel->series[s], axis, panel->y.categories != NULL);
    for (size_t r = 0; r < panel->reference_count; ++r) {
        if (panel->references[r].axis == axis)
            include(&extent, panel->references[r].at);
    }
    if (extent.low > extent.high)
        extent.low = 0, extent.high = 1;
    if (!panel->y.categories && axis == 'y')
        limit_to_values(panel, &extent);
    return extent;
}

/* A step of 1, 2, 2.5 or 5 times a power of ten that gives about `wanted` tics. */
static double nice_step(double span, double wanted)
{
    double rough = span / wanted;
    double power = pow(10, floor(log10(rough)));
    double ratio = rough / power;
    return power * (ratio <= 1.01 ? 1 : ratio <= 2.01 ? 2 : ratio <= 2.51 ? 2.5 : ratio <= 5.01 ? 5 : 10);
}

static int decimals_of(double step)
{
    for (int decimals = 0; decimals < 9; ++decimals) {
        double scaled = step * pow(10, decimals);
        if (fabs(scaled - round(scaled)) < 1e-6 * scaled)
            return decimals;
    }
    return 9;
}

static bool all_whole(const forage_chart_panel *panel)
{
    for (size_t s = 0; s < panel->series_count; ++s) {
        for (size_t i = 0; i < panel->series[s].count; ++i) {
            if (panel->series[s].mark > FORAGE_MARK_POINTS || panel->series[s].x[i] != floor(panel->series[s].x[i]))
                return false;
        }
    }
    return true;
}

chart_scale chart_scale_of(const forage_chart_panel *panel, char axis, double wanted)
{
    const forage_chart_axis *given = axis == 'x' ? &panel->x : &panel->y;
    value_span extent = {given->low, given->high};
    bool free = !(given->low < given->high);
    if (free) {
        extent = extent_of(panel, axis);
        if (given->zero)
            include(&extent, 0);
        double span = extent.high - extent.low;
        if (span <= 0)
            span = extent.high != 0 ? fabs(extent.high) : 1;
        bool line_x = axis == 'x' && !panel->y.categories;
        double pad = line_x ? 0 : 0.05 * span;
        if (extent.high == extent.low && line_x)
            pad = 0.5;
        if (!(extent.low == 0 && (given->zero || panel->y.categories)))
            extent.low -= pad;
        extent.high += pad;
    }
    chart_scale scale = {.low = extent.low, .high = extent.high, .percent = given->percent};
    scale.step = nice_step(extent.high - extent.low, wanted);
    if (axis == 'x' && !panel->y.categories && all_whole(panel) && scale.step < 1)
        scale.step = 1;
    scale.first = scale.step * ceil(extent.low / scale.step - 1e-6);
    double last = scale.step * floor(extent.high / scale.step + 1e-6);
    scale.tics = last >= scale.first ? (size_t)llround((last - scale.first) / scale.step) + 1 : 0;
    if (scale.tics > 50)
        scale.tics = 50;
    scale.decimals = decimals_of(given->percent ? 100 * scale.step : scale.step);
    if (axis == 'x' && given->categories) {
        scale.names = given->categories;
        scale.name_count = given->category_count;
        scale.first = 0;
        scale.step = 1;
        scale.tics = given->category_count;
    }
    return scale;
}

double chart_tic(const chart_scale *scale, size_t i)
{
    double value = scale->first + (double)i * scale->step;
    return fabs(value) < 1e-9 * scale->step ? 0 : value;
}

const char *chart_name_at(const char *const *names, size_t count, double at)
{
    return at >= 0 && at < (double)count ? names[(size_t)at] : "";
}

void chart_tic_label(const chart_scale *scale, double value, report_text *text)
{
    if (scale->names)
        report_add(text, chart_name_at(scale->names, scale->name_count, value));
    else if (scale->percent)
        report_percent(text, value, scale->decimals);
    else if (scale->decimals == 0 && fabs(value) >= 10000 && fabs(value) < 1e15 && value > 0)
        report_count(text, (uint64_t)llround(value));
    else
        report_fixed(text, value, scale->decimals);
}

void chart_value_label(const forage_chart_axis *axis, double value, report_text *text)
{
    if (axis->percent)
        report_percent(text, value, value != 0 && fabs(value) < 0.0095 ? 2 : 1);
    else if (value == floor(value) && fabs(value) < 1e15 && value >= 0)
        report_count(text, (uint64_t)value);
    else
        report_fixed(text, value, fabs(value) < 1 ? 4 : fabs(value) < 100 ? 2 : 0);
}

/* ------------------------------------------------------------------ *
 * Shapes
 * ------------------------------------------------------------------ */

int chart_shape_number(forage_shape shape)
{
    static const int numbers[] = {7, 5, 9, 13, 11};
    return numbers[shape <= FORAGE_SHAPE_DOWN ? shape : FORAGE_SHAPE_DOT];
}

uint32_t chart_shape_character(forage_shape shape, bool plain)
{
    static const uint32_t characters[] = {0x25CF, 0x25A0, 0x25B2, 0x25C6, 0x25BC};
    size_t which = shape <= FORAGE_SHAPE_DOWN ? shape : FORAGE_SHAPE_DOT;
    return plain ? (uint32_t) "o#^+v"[which] : characters[which];
}

/* ------------------------------------------------------------------ *
 * Checks
 * ------------------------------------------------------------------ */

static const char *series_fault(const forage_chart_series *series, const forage_chart_panel *panel)
{
    bool sideways = panel->y.categories != NULL;
    if (sideways != (series->mark >= FORAGE_MARK_BARS))
        return sideways ? "lines and points need a y axis of numbers" : "bars, boxes and diamonds need categories";
    if (sideways && series->count > panel->y.category_count)
        return "a series is longer than the list of categories";
    if (series->mark == FORAGE_MARK_BOXES ? !series->boxes : !series->x || (!sideways && !series->y))
        return "a series has no values";
    if (!series->low != !series->high)
        return "an interval has one end only";
    return NULL;
}

static const char *panel_fault(const forage_chart_panel *panel)
{
    if (panel->series_count == 0)
        return "a panel has no series";
    if (!(isfinite(panel->x.low) && isfinite(panel->x.high) && isfinite(panel->y.low) && isfinite(panel->y.high)))
        return "the limits of an axis are not finite";
    for (size_t s = 0; s < panel->series_count; ++s) {
        const char *fault = series_fault(&panel->series[s], panel);
        if (fault)
            return fault;
    }
    return NULL;
}

forage_status chart_check(const forage_chart *chart, forage_error *error)
{
    const char *fault = NULL;
    if (!chart->name || !chart->name[0] || chart->name[strspn(chart->name, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        fault = "its name must be of letters, digits and '-'";
    else if (!chart->title || !chart->summary || chart->panel_count == 0)
        fault = "it needs a title, a summary and a panel";
    for (size_t p = 0; !fault && p < chart->panel_count; ++p)
        fault = panel_fault(&chart->panels[p]);
    if (fault)
        return forage_fail(error, FORAGE_INVALID, "chart '%s': %s", chart->name ? chart->name : "", fault);
    return FORAGE_OK;
}
