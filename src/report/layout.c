/*
 * The geometry of a chart.
 *
 * gnuplot is told exactly where everything goes, so that pictures are the same
 * in SVG and PNG and nothing overlaps: names of lines are spread along the right
 * side, labels of reference lines look for a free place, values of bars stand in
 * a column of their own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/layout.h"

#include <math.h>
#include <string.h>

enum { ROW = 20, NOTE_ROW = 17, GAP = 24 };

static bool sideways(const forage_chart_panel *panel)
{
    return panel->y.categories != NULL;
}

/* Room for the longest of the names on the left. */
static double names_width(const chart_layout *layout, const forage_chart_panel *panel)
{
    double widest = 0;
    for (size_t i = 0; i < panel->y.category_count; ++i)
        widest = fmax(widest, report_width(panel->y.categories[i]));
    return fmin(widest * layout->font, 0.36 * layout->width) + 20;
}

/* How many tics the y axis has room for. */
static double y_tics(double plot_height)
{
    return fmax(3, plot_height / 42);
}

static double plot_height(const chart_layout *layout, size_t categories)
{
    bool narrow = layout->place == CHART_NARROW;
    if (categories > 0)
        return (double)categories * (layout->names_above ? 44 : narrow ? 26 : 28) + 8;
    return layout->columns > 1 ? 210 : narrow ? 200 : 260;
}

static double tics_width(const chart_layout *layout, const forage_chart_panel *panel)
{
    chart_scale scale = chart_scale_of(panel, 'y', y_tics(plot_height(layout, 0)));
    double widest = 0;
    for (size_t i = 0; i < scale.tics; ++i) {
        report_text label = {0};
        chart_tic_label(&scale, chart_tic(&scale, i), &label);
        widest = fmax(widest, report_width(label.bytes ? label.bytes : ""));
        report_text_release(&label);
    }
    return widest * layout->font + 12;
}

static double left_of(const chart_layout *layout)
{
    double widest = 0;
    for (size_t p = 0; p < layout->chart->panel_count; ++p) {
        const forage_chart_panel *panel = &layout->chart->panels[p];
        if (layout->names_above)
            widest = 14;
        else
            widest = fmax(widest, sideways(panel) ? names_width(layout, panel) : tics_width(layout, panel));
    }
    return widest;
}

/* Panels of one row share the names of their categories. */
static bool shared_names(const forage_chart *chart)
{
    for (size_t p = 0; p < chart->panel_count; ++p) {
        if (!sideways(&chart->panels[p]) || chart->panels[p].y.categories != chart->panels[0].y.categories)
            return false;
    }
    return true;
}

static bool same_x_label(const forage_chart *chart)
{
    for (size_t p = 0; p < chart->panel_count; ++p) {
        const char *label = chart->panels[p].x.label, *first = chart->panels[0].x.label;
        if (!label != !first || (label && strcmp(label, first) != 0))
            return false;
    }
    return true;
}

static bool has_bars(const forage_chart *chart)
{
    for (size_t s = 0; s < chart->panels[0].series_count; ++s) {
        if (chart->panels[0].series[s].mark == FORAGE_MARK_BARS)
            return true;
    }
    return false;
}

static size_t named_series(const forage_chart *chart, double *widest)
{
    size_t named = 0;
    *widest = 0;
    for (size_t s = 0; s < chart->panels[0].series_count; ++s) {
        const char *name = chart->panels[0].series[s].name;
        if (name) {
            ++named;
            *widest = fmax(*widest, report_width(name));
        }
    }
    return named;
}

static size_t note_rows(const forage_chart *chart)
{
    size_t most = 0;
    for (size_t p = 0; p < chart->panel_count; ++p) {
        size_t rows = 0;
        for (size_t r = 0; r < chart->panels[p].reference_count; ++r)
            rows += chart->panels[p].references[r].axis == 'x' && chart->panels[p].references[r].label;
        most = rows > most ? rows : most;
    }
    return most;
}

/* Heights of what stands above and in a panel. */
typedef struct panel_heights {
    double title, label, notes, plot, below;
} panel_heights;

static panel_heights heights_of(const chart_layout *layout)
{
    const forage_chart *chart = layout->chart;
    const forage_chart_panel *first = &chart->panels[0];
    panel_heights heights = {.below = ROW + 8};
    size_t categories = 0;
    for (size_t p = 0; p < chart->panel_count; ++p) {
        if (chart->panels[p].title)
            heights.title = ROW + 4;
        if (!sideways(&chart->panels[p]) && chart->panels[p].y.label)
            heights.label = ROW + 8;
        if (chart->panels[p].y.category_count > categories)
            categories = chart->panels[p].y.category_count;
    }
    heights.notes = (double)(NOTE_ROW * note_rows(chart));
    heights.plot = plot_height(layout, sideways(first) ? categories : 0);
    if (!same_x_label(chart))
        heights.below += ROW;
    return heights;
}

static double panel_height(const panel_heights *heights)
{
    return heights->title + heights->label + heights->notes + heights->plot + heights->below;
}

static double panels_top(const chart_layout *layout)
{
    size_t rows = 0;
    layout_entry entries[LAYOUT_ENTRIES];
    layout_legend(layout, entries, &rows);
    return (layout->title_y > 0 ? 36 : 6) + (rows > 0 ? (double)rows * 22 + 14 : 0);
}

void layout_start(const forage_chart *chart, chart_place place, chart_layout *layout)
{
    bool narrow = place == CHART_NARROW, titled = place == CHART_FILE || place == CHART_PNG;
    *layout =
        (struct chart_layout){.chart = chart, .place = place, .width = narrow ? 360 : 720, .font = narrow ? 13 : 14};
    layout->columns = narrow ? chart->narrow_columns : chart->columns;
    if (layout->columns == 0)
        layout->columns = 1;
    if (layout->columns > chart->panel_count)
        layout->columns = chart->panel_count;
    layout->title_y = titled ? 18 : 0;
    double widest;
    size_t named = named_series(chart, &widest);
    bool lines = !sideways(&chart->panels[0]);
    layout->names_above = narrow && layout->columns == 1 && !lines && names_width(layout, &chart->panels[0]) > 130;
    layout->direct = lines && !narrow && chart->panel_count == 1 && named > 0 && widest * layout->font < 190;
    layout->legend_y = named > 0 && !layout->direct ? (titled ? 36 : 6) + 10 : 0;
    layout->right_column = layout->direct ? widest * layout->font + 16 : has_bars(chart) ? 4.1 * layout->font : 20;
    panel_heights heights = heights_of(layout);
    size_t rows = (chart->panel_count + layout->columns - 1) / layout->columns;
    layout->height = panels_top(layout) + (double)rows * panel_height(&heights) + (double)(rows - 1) * GAP / 2;
    if (same_x_label(chart) && chart->panels[0].x.label) {
        layout->x_label_y = layout->height + 8;
        layout->height += ROW;
    }
    layout->height = ceil(layout->height + 4);
}

void layout_panel_of(const chart_layout *layout, size_t index, layout_panel *panel)
{
    const forage_chart *chart = layout->chart;
    const forage_chart_panel *data = &chart->panels[index];
    panel_heights heights = heights_of(layout);
    size_t column = index % layout->columns, row = index / layout->columns;
    double left = left_of(layout), names = shared_names(chart) ? 0 : left;
    /* Each column has its own margins for names or tics, unless the first column's names serve all. */
    double outer = left + layout->right_column, gap = names > 0 ? names + layout->right_column : GAP;
    double inner = (layout->width - outer - (double)(layout->columns - 1) * gap) / (double)layout->columns;
    double top = panels_top(layout) + (double)row * (panel_height(&heights) + GAP / 2.0);
    *panel = (layout_panel){.show_names = column == 0 || names > 0};
    panel->left = left + (double)column * (inner + gap);
    panel->right = panel->left + inner;
    panel->title_y = top + 10;
    panel->label_y = top + heights.title + 9;
    panel->note_y = top + heights.title + heights.label + NOTE_ROW / 2.0;
    panel->top = top + heights.title + heights.label + heights.notes;
    panel->bottom = panel->top + heights.plot;
    panel->x = chart_scale_of(data, 'x', fmax(2, inner / (data->x.percent ? 75 : 65)));
    if (!sideways(data))
        panel->y = chart_scale_of(data, 'y', y_tics(heights.plot));
}

double layout_x(const layout_panel *panel, double value)
{
    return panel->left + (value - panel->x.low) / (panel->x.high - panel->x.low) * (panel->right - panel->left);
}

double layout_y(const layout_panel *panel, const forage_chart_panel *data, double value)
{
    double low = panel->y.low, high = panel->y.high;
    if (sideways(data)) {
        low = (double)data->y.category_count - 0.5;
        high = -0.5;
    }
    return panel->bottom - (value - low) / (high - low) * (panel->bottom - panel->top);
}

size_t layout_legend(const chart_layout *layout, layout_entry entries[LAYOUT_ENTRIES], size_t *rows)
{
    size_t count = 0;
    *rows = 0;
    if (layout->legend_y <= 0)
        return 0;
    double left = 4, x = left, y = layout->legend_y;
    const forage_chart_panel *panel = &layout->chart->panels[0];
    for (size_t s = 0; s < panel->series_count && count < LAYOUT_ENTRIES; ++s) {
        const forage_chart_series *series = &panel->series[s];
        if (!series->name)
            continue;
        double width = LAYOUT_SAMPLE + 8 + report_width(series->name) * layout->font;
        if (x > left && x + width > layout->width - 4) {
            x = left;
            y += 22;
        }
        entries[count++] = (layout_entry){.series = series, .x = x, .y = y};
        x += width + 18;
    }
    *rows = count > 0 ? (size_t)((y - layout->legend_y) / 22 + 1.5) : 0;
    return count;
}

/* ------------------------------------------------------------------ *
 * Free places for labels
 * ------------------------------------------------------------------ */

/* How much of the panel's lines and dots lies in the box. */
static double crossings(const layout_panel *panel, const forage_chart_panel *data, const layout_box *box)
{
    double hits = 0;
    for (size_t s = 0; s < data->series_count; ++s) {
        const forage_chart_series *series = &data->series[s];
        for (size_t i = 0; i + 1 < series->count; ++i) {
            double x0 = layout_x(panel, series->x[i]), x1 = layout_x(panel, series->x[i + 1]);
            double y0 = layout_y(panel, data, series->y[i]), y1 = layout_y(panel, data, series->y[i + 1]);
            for (int step = 0; step <= 16; ++step) {
                double x = x0 + (x1 - x0) * step / 16, y = y0 + (y1 - y0) * step / 16;
                hits += x > box->left - 4 && x < box->right + 4 && y > box->top - 2 && y < box->bottom + 2;
            }
        }
    }
    return hits;
}

static double cost(const layout_panel *panel, const forage_chart_panel *data, const layout_box *box,
                   const layout_box *taken, size_t taken_count)
{
    double sum = crossings(panel, data, box);
    if (box->top < panel->top - 2 || box->bottom > panel->bottom + 1 || box->left < panel->left - 1 ||
        box->right > panel->right + 1)
        sum += 200;
    for (size_t t = 0; t < taken_count; ++t) {
        const layout_box *other = &taken[t];
        if (box->left < other->right && box->right > other->left && box->top < other->bottom &&
            box->bottom > other->top)
            sum += 100;
    }
    for (size_t r = 0; r < data->reference_count; ++r) {
        const forage_chart_reference *reference = &data->references[r];
        double at = reference->axis == 'y' ? layout_y(panel, data, reference->at) : NAN;
        if (at > box->top && at < box->bottom)
            sum += 50;
        at = reference->axis == 'x' ? layout_x(panel, reference->at) : NAN;
        if (at > box->left && at < box->right)
            sum += 20;
    }
    return sum;
}

layout_box layout_label(const chart_layout *layout, const layout_panel *panel, const forage_chart_panel *data,
                        const forage_chart_reference *reference, const layout_box *taken, size_t taken_count)
{
    double width = report_width(reference->label) * layout->font, height = layout->font * 1.2;
    layout_box best = {0};
    double least = INFINITY;
    for (int candidate = 0; candidate < 42; ++candidate) {
        int step = candidate / 2 % 7, ring = candidate / 14;
        double along = step / 6.0, away = 7.0 * ring;
        bool above = candidate % 2 == 0;
        double x, y;
        if (reference->axis == 'y') {
            x = panel->left + 4 + along * (panel->right - panel->left - width - 8);
            y = layout_y(panel, data, reference->at) + (above ? -height - 2 - away : 3 + away);
        } else {
            double t = panel->x.low + (0.1 + 0.8 * along) * (panel->x.high - panel->x.low);
            x = layout_x(panel, t) + (above ? -width - 10 - away : 10 + away);
            y = layout_y(panel, data, t) + (above ? -height : 0);
        }
        layout_box box = {x, x + width, y, y + height};
        double price = cost(panel, data, &box, taken, taken_count) + 0.01 * candidate;
        if (price < least) {
            least = price;
            best = box;
        }
    }
    return best;
}
