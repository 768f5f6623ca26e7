/*
 * A chart as gnuplot commands.
 *
 * Every text is single-quoted and drawn with `noenhanced`, every number is
 * written the same in every locale, and data travel in data blocks, so a name
 * such as "`rm -rf`" is nothing but a name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/layout.h"
#include "report/palette.h"

#include <math.h>
#include <string.h>

#define GRID palette[PALETTE_GRID].light
#define AXIS palette[PALETTE_AXIS].light
#define MUTED palette[PALETTE_MUTED].light
#define LETTERS palette[PALETTE_TEXT].light

typedef struct chart_pen {
    report_text *script;
    const chart_layout *layout;
    size_t index; /* of the chart, for names of data blocks */
} chart_pen;

static void colour(const chart_pen *pen, const char *what, uint32_t rgb)
{
    report_format(pen->script, " %s rgb '#%06x'", what, (unsigned)rgb);
}

static void at(const chart_pen *pen, const char *word, double x, double y)
{
    report_format(pen->script, " %s screen ", word);
    report_real(pen->script, x / pen->layout->width);
    report_add(pen->script, ", screen ");
    report_real(pen->script, 1 - y / pen->layout->height);
}

/* As many characters as fit into `width` pixels. */
static size_t fitting(const chart_pen *pen, const char *text, double width)
{
    double em = report_width(text) * pen->layout->font;
    if (em <= width)
        return 0;
    size_t characters = 0;
    for (const char *c = text; report_character(&c) != 0;)
        ++characters;
    double share = floor((double)characters * width / em);
    return share < 2 ? 2 : (size_t)share;
}

/* A text longer than `room` pixels (0: no limit) is set in smaller letters, down to 4/5, and then cut. */
static void cut_label(const chart_pen *pen, const char *text, double room, double x, double y, const char *align,
                      uint32_t rgb)
{
    double em = report_width(text) * pen->layout->font;
    double scale = room > 0 && em > room ? fmax(0.8, room / em) : 1;
    report_add(pen->script, "set label ");
    report_quote(pen->script, text, room > 0 ? fitting(pen, text, room / scale * 1.001) : 0);
    at(pen, "at", x, y);
    report_format(pen->script, " %s front", align);
    if (scale < 1) {
        report_add(pen->script, " font ',");
        report_real(pen->script, floor(10 * scale * pen->layout->font) / 10);
        report_add(pen->script, "'");
    }
    colour(pen, "tc", rgb);
    report_add(pen->script, "\n");
}

static void label(const chart_pen *pen, const char *text, double x, double y, const char *align, uint32_t rgb)
{
    cut_label(pen, text, 0, x, y, align, rgb);
}

static void stroke(const chart_pen *pen, double x0, double y0, double x1, double y1, uint32_t rgb, const char *style)
{
    report_add(pen->script, "set arrow");
    at(pen, "from", x0, y0);
    at(pen, "to", x1, y1);
    report_format(pen->script, " nohead %s", style);
    colour(pen, "lc", rgb);
    report_add(pen->script, "\n");
}

/* ------------------------------------------------------------------ *
 * Title, legend
 * ------------------------------------------------------------------ */

static void draw_title(const chart_pen *pen)
{
    const chart_layout *layout = pen->layout;
    if (layout->title_y <= 0)
        return;
    report_add(pen->script, "set label ");
    report_quote(pen->script, layout->chart->title, fitting(pen, layout->chart->title, layout->width * 14 / 17));
    at(pen, "at", 4, layout->title_y);
    report_add(pen->script, " left front font ',17'");
    colour(pen, "tc", LETTERS);
    report_add(pen->script, "\n");
}

static const char *dash_of(const forage_chart_series *series)
{
    return series->dashed ? "lw 2.2 dt (7,4)" : "lw 2.2 dt 1";
}

static void draw_entry(const chart_pen *pen, const layout_entry *entry)
{
    const forage_chart_series *series = entry->series;
    uint32_t rgb = chart_line_colour(series->ink);
    double right = entry->x + LAYOUT_SAMPLE, middle = entry->x + LAYOUT_SAMPLE / 2.0;
    bool filled = series->mark == FORAGE_MARK_BARS || series->mark == FORAGE_MARK_BOXES;
    if (series->mark == FORAGE_MARK_LINE) {
        stroke(pen, entry->x, entry->y, right, entry->y, rgb, dash_of(series));
    } else if (filled) {
        report_add(pen->script, "set object rect");
        at(pen, "from", entry->x + 4, entry->y - 6);
        at(pen, "to", right - 2, entry->y + 6);
        report_format(pen->script, " front fs solid %s noborder", series->mark == FORAGE_MARK_BOXES ? "0.45" : "1");
        colour(pen, "fc", rgb);
        report_add(pen->script, "\n");
    } else {
        report_add(pen->script, "set label ''");
        at(pen, "at", middle, entry->y);
        bool diamond = series->mark == FORAGE_MARK_DIAMOND;
        report_format(pen->script, " front point pt %d ps %s", diamond ? 13 : chart_shape_number(series->shape),
                      diamond ? "0.6" : "0.7");
        colour(pen, "lc", rgb);
        report_add(pen->script, "\n");
    }
    label(pen, series->name, right + 8, entry->y, "left", LETTERS);
}

static void draw_legend(const chart_pen *pen)
{
    layout_entry entries[LAYOUT_ENTRIES];
    size_t rows, count = layout_legend(pen->layout, entries, &rows);
    for (size_t e = 0; e < count; ++e)
        draw_entry(pen, &entries[e]);
}

/* ------------------------------------------------------------------ *
 * A panel's frame
 * ------------------------------------------------------------------ */

static void margins(const chart_pen *pen, const layout_panel *panel)
{
    report_text *script = pen->script;
    report_add(script, "set lmargin at screen ");
    report_real(script, panel->left / pen->layout->width);
    report_add(script, "\nset rmargin at screen ");
    report_real(script, panel->right / pen->layout->width);
    report_add(script, "\nset tmargin at screen ");
    report_real(script, 1 - panel->top / pen->layout->height);
    report_add(script, "\nset bmargin at screen ");
    report_real(script, 1 - panel->bottom / pen->layout->height);
    report_add(script, "\n");
}

static void range(const chart_pen *pen, char axis, double low, double high)
{
    report_format(pen->script, "set %crange [", axis);
    report_real(pen->script, low);
    report_add(pen->script, ":");
    report_real(pen->script, high);
    report_add(pen->script, "]\n");
}

/* `quiet_end`: a label at the very end would touch the next panel's first one. */
static void tics(const chart_pen *pen, char axis, const chart_scale *scale, bool quiet_end)
{
    report_format(pen->script, "set %ctics (", axis);
    for (size_t i = 0; i < scale->tics; ++i) {
        report_text text = {0};
        double value = chart_tic(scale, i);
        if (!quiet_end || value < scale->high - 0.08 * (scale->high - scale->low))
            chart_tic_label(scale, value, &text);
        report_add(pen->script, i > 0 ? ", " : "");
        report_quote_tic(pen->script, text.bytes ? text.bytes : "", 0);
        report_add(pen->script, " ");
        report_real(pen->script, value);
        report_text_release(&text);
    }
    report_add(pen->script, ") scale 0 nomirror");
    report_add(pen->script, axis == 'x' ? " offset 0,0.25" : " offset 0.4,0");
    colour(pen, "tc", MUTED);
    report_add(pen->script, "\n");
}

static void category_tics(const chart_pen *pen, const layout_panel *panel, const forage_chart_axis *axis)
{
    const chart_layout *layout = pen->layout;
    if (!panel->show_names || layout->names_above)
        report_add(pen->script, "unset ytics\n");
    for (size_t i = 0; layout->names_above && i < axis->category_count; ++i) {
        const char *name = axis->categories[i];
        double room = layout->width - panel->left - 4;
        double y = panel->top + ((double)i + 0.26) * (panel->bottom - panel->top) / (double)axis->category_count;
        report_add(pen->script, "set label ");
        report_quote(pen->script, name, fitting(pen, name, room));
        at(pen, "at", panel->left + 4, y);
        report_add(pen->script, " left front");
        colour(pen, "tc", LETTERS);
        report_add(pen->script, "\n");
    }
    if (!panel->show_names || layout->names_above)
        return;
    report_add(pen->script, "set ytics (");
    for (size_t i = 0; i < axis->category_count; ++i) {
        report_add(pen->script, i > 0 ? ", " : "");
        report_quote_tic(pen->script, axis->categories[i], fitting(pen, axis->categories[i], panel->left - 19));
        report_format(pen->script, " %zu", i);
    }
    report_add(pen->script, ") scale 0 nomirror offset 0.4,0");
    colour(pen, "tc", LETTERS);
    report_add(pen->script, "\n");
}

static void frame(const chart_pen *pen, const layout_panel *panel, const forage_chart_panel *data, bool last_row)
{
    const chart_layout *layout = pen->layout;
    margins(pen, panel);
    range(pen, 'x', panel->x.low, panel->x.high);
    bool sideways = data->y.categories != NULL;
    tics(pen, 'x', &panel->x, sideways && layout->columns > 1 && panel->right < layout->width - 40);
    if (sideways) {
        range(pen, 'y', (double)data->y.category_count - 0.5, -0.5);
        category_tics(pen, panel, &data->y);
    } else {
        range(pen, 'y', panel->y.low, panel->y.high);
        tics(pen, 'y', &panel->y, false);
        stroke(pen, panel->left, panel->bottom, panel->right, panel->bottom, AXIS, "back lw 1");
    }
    report_format(pen->script, "set grid %s back lt 1 lw 1", sideways ? "xtics noytics" : "ytics noxtics");
    colour(pen, "lc", GRID);
    report_add(pen->script, "\n");
    if (sideways && panel->x.low <= 0 && panel->x.high > 0) {
        double zero = layout_x(panel, 0);
        stroke(pen, zero, panel->top, zero, panel->bottom, AXIS, "front lw 1");
    }
    double left = sideways ? panel->left : layout->columns > 1 ? panel->left - 8 : 4;
    if (data->title)
        cut_label(pen, data->title, panel->right + 24 - left, left, panel->title_y, "left", LETTERS);
    if (!sideways && data->y.label)
        cut_label(pen, data->y.label, panel->right + 16 - left, left, panel->label_y, "left", MUTED);
    if (layout->x_label_y <= 0 && data->x.label)
        label(pen, data->x.label, (panel->left + panel->right) / 2, panel->bottom + 32, "center", MUTED);
    else if (data->x.label && last_row && panel->show_names && panel->left < layout->width / 2)
        label(pen, data->x.label, (panel->left + layout->width - layout->right_column) / 2, layout->x_label_y, "center",
              MUTED);
}

/* ------------------------------------------------------------------ *
 * References and direct labels
 * ------------------------------------------------------------------ */

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

static void upright(const chart_pen *pen, const layout_panel *panel, const forage_chart_reference *reference,
                    size_t row)
{
    double x = layout_x(panel, reference->at), y = panel->note_y + 17.0 * (double)row;
    double top = reference->label ? y + 9 : panel->top;
    stroke(pen, x, top, x, panel->bottom, chart_line_colour(reference->ink), "front lw 1.4 dt (4,3)");
    if (!reference->label)
        return;
    double half = report_width(reference->label) * pen->layout->font / 2;
    x = clamp(x, half + 4, pen->layout->width - half - 4);
    label(pen, reference->label, x, y, "center", chart_text_colour(reference->ink));
}

static void references(const chart_pen *pen, const layout_panel *panel, const forage_chart_panel *data)
{
    enum { MOST = 8 };
    layout_box taken[MOST];
    size_t taken_count = 0, row = 0;
    for (size_t r = 0; r < data->reference_count; ++r) {
        const forage_chart_reference *reference = &data->references[r];
        uint32_t rgb = chart_line_colour(reference->ink);
        if (!isfinite(reference->at) && reference->axis != 'd')
            continue;
        if (reference->axis == 'x') {
            upright(pen, panel, reference, row);
            row += reference->label != NULL;
            continue;
        }
        double y0 = layout_y(panel, data, reference->axis == 'y' ? reference->at : panel->x.low);
        double y1 = layout_y(panel, data, reference->axis == 'y' ? reference->at : panel->x.high);
        stroke(pen, panel->left, y0, panel->right, y1, rgb, "back lw 1.4 dt (4,3)");
        if (!reference->label || taken_count == MOST)
            continue;
        layout_box box = layout_label(pen->layout, panel, data, reference, taken, taken_count);
        taken[taken_count++] = box;
        label(pen, reference->label, box.left, (box.top + box.bottom) / 2, "left", chart_text_colour(reference->ink));
    }
}

/* Names at the right ends of lines, pushed apart where lines end close together. */
static void direct_labels(const chart_pen *pen, const layout_panel *panel, const forage_chart_panel *data)
{
    enum { MOST = 12 };
    const forage_chart_series *order[MOST];
    double place[MOST], step = pen->layout->font * 1.3;
    size_t count = 0;
    for (size_t s = 0; s < data->series_count && count < MOST; ++s) {
        const forage_chart_series *series = &data->series[s];
        size_t last = series->count;
        while (last > 0 && !isfinite(series->y[last - 1]))
            --last;
        if (!series->name || last == 0)
            continue;
        double y = layout_y(panel, data, series->y[last - 1]);
        size_t i = count++;
        for (; i > 0 && place[i - 1] > y; --i)
            place[i] = place[i - 1], order[i] = order[i - 1];
        place[i] = y, order[i] = series;
    }
    for (int pass = 0; pass < 100; ++pass) {
        for (size_t i = 0; i + 1 < count; ++i) {
            double lack = step - (place[i + 1] - place[i]);
            if (lack > 0) {
                place[i] -= lack / 2;
                place[i + 1] += lack / 2;
            }
        }
        if (count > 0 && place[count - 1] > panel->bottom - 4)
            place[count - 1] = panel->bottom - 4;
        if (count > 0 && place[0] < panel->top)
            place[0] = panel->top;
    }
    for (size_t i = 0; i < count; ++i)
        label(pen, order[i]->name, panel->right + 8, place[i], "left", chart_text_colour(order[i]->ink));
}

/* ------------------------------------------------------------------ *
 * Data
 * ------------------------------------------------------------------ */

static void number(report_text *script, double value)
{
    report_add(script, " ");
    if (isfinite(value))
        report_real(script, value);
    else
        report_add(script, "NaN");
}

static bool has_interval(const forage_chart_series *series, size_t i)
{
    return series->low && isfinite(series->low[i]) && isfinite(series->high[i]);
}

/* Where category `i` is drawn: middle, bottom, top. */
static void place(const chart_pen *pen, size_t i)
{
    double middle = (double)i + (pen->layout->names_above ? 0.22 : 0), half = pen->layout->names_above ? 0.2 : 0.31;
    number(pen->script, middle);
    number(pen->script, middle - half);
    number(pen->script, middle + half);
}

/* Rows of one shape go to one data block:
 *   lines and points: x y low high
 *   bars, diamonds:   left right low high y bottom top colour (diamonds: no left)
 *   boxes:            whisker low, quartiles, whisker high, median, y bottom top */
static void block(const chart_pen *pen, size_t p, size_t s, const forage_chart_series *series)
{
    report_text *script = pen->script;
    report_format(script, "$d%zu_%zu_%zu << END\n", pen->index, p, s);
    for (size_t i = 0; i < series->count; ++i) {
        if (series->mark == FORAGE_MARK_BOXES) {
            const forage_box *box = &series->boxes[i];
            if (box->count == 0)
                continue;
            const double values[] = {box->whisker_low, box->quartile_low, box->quartile_high, box->whisker_high,
                                     box->median};
            for (size_t v = 0; v < sizeof values / sizeof *values; ++v)
                number(script, values[v]);
            place(pen, i);
            report_add(script, "\n");
            continue;
        }
        if (!isfinite(series->x[i]))
            continue;
        bool interval = has_interval(series, i);
        if (series->mark == FORAGE_MARK_BARS)
            number(script, 0);
        number(script, series->x[i]);
        if (series->mark <= FORAGE_MARK_POINTS)
            number(script, series->y[i]);
        number(script, interval ? series->low[i] : NAN);
        number(script, interval ? series->high[i] : NAN);
        if (series->mark >= FORAGE_MARK_BARS) {
            place(pen, i);
            report_format(script, " %u", (unsigned)chart_line_colour(series->inks ? series->inks[i] : series->ink));
        }
        report_add(script, "\n");
    }
    report_add(script, "END\n");
}

static void element(const chart_pen *pen, bool *first, size_t p, size_t s, const char *using)
{
    report_format(pen->script, "%s $d%zu_%zu_%zu using %s", *first ? "plot" : ", \\\n    ", pen->index, p, s, using);
    *first = false;
}

/* The band around a line. All bands come before the first line, so that none hides one. */
static void plot_band(const chart_pen *pen, bool *first, size_t p, size_t s, const forage_chart_series *series)
{
    if (series->mark != FORAGE_MARK_LINE || !series->low)
        return;
    element(pen, first, p, s, "1:3:4 with filledcurves fs transparent solid 0.18 noborder");
    colour(pen, "fc", chart_line_colour(series->ink));
}

static void plot_line(const chart_pen *pen, bool *first, size_t p, size_t s, const forage_chart_series *series)
{
    uint32_t rgb = chart_line_colour(series->ink);
    element(pen, first, p, s, "1:2 with lines");
    colour(pen, "lc", rgb);
    report_format(pen->script, " %s", dash_of(series));
    if (series->count <= 12) {
        element(pen, first, p, s, "1:2 with points pt 7 ps 0.45");
        colour(pen, "lc", rgb);
    }
}

enum { CLOUD = 20 }; /* more points are drawn smaller */

static void plot_series(const chart_pen *pen, bool *first, size_t p, size_t s, const forage_chart_series *series)
{
    uint32_t rgb = chart_line_colour(series->ink);
    switch (series->mark) {
    case FORAGE_MARK_LINE:
        plot_line(pen, first, p, s, series);
        return;
    case FORAGE_MARK_POINTS:
        if (series->low) {
            element(pen, first, p, s, "1:3:(0):($4-$3) with vectors nohead lw 1.6");
            colour(pen, "lc", rgb);
        }
        element(pen, first, p, s, "1:2 with points");
        report_format(pen->script, " pt %d ps %s", chart_shape_number(series->shape),
                      series->count > CLOUD ? "0.36" : "0.6");
        colour(pen, "lc", rgb);
        return;
    case FORAGE_MARK_BARS:
        element(pen, first, p, s, "2:5:1:2:6:7:8 with boxxyerror fs solid 1 noborder lc rgb variable");
        if (series->low) {
            element(pen, first, p, s, "3:5:($4-$3):(0) with vectors nohead lw 1.8");
            colour(pen, "lc", LETTERS);
        }
        return;
    case FORAGE_MARK_BOXES:
        element(pen, first, p, s, "1:6:($2-$1):(0) with vectors nohead lw 1.4");
        colour(pen, "lc", rgb);
        element(pen, first, p, s, "3:6:($4-$3):(0) with vectors nohead lw 1.4");
        colour(pen, "lc", rgb);
        element(pen, first, p, s, "5:6:2:3:7:8 with boxxyerror fs solid 0.45 border lw 1");
        colour(pen, "lc", rgb);
        element(pen, first, p, s, "5:7:(0):($8-$7) with vectors nohead lw 2.2");
        colour(pen, "lc", chart_text_colour(series->ink));
        return;
    case FORAGE_MARK_DIAMOND:
        element(pen, first, p, s, "1:4 with points pt 13 ps 0.5");
        colour(pen, "lc", rgb);
        return;
    }
}

/* The values of bars, right-aligned in a column beside the panel. */
static void values(const chart_pen *pen, const layout_panel *panel, const forage_chart_panel *data)
{
    for (size_t s = 0; s < data->series_count; ++s) {
        const forage_chart_series *series = &data->series[s];
        for (size_t i = 0; series->mark == FORAGE_MARK_BARS && i < series->count; ++i) {
            report_text text = {0};
            chart_value_label(&data->x, series->x[i], &text);
            if (text.bytes)
                label(pen, text.bytes, panel->right + pen->layout->right_column - 4,
                      layout_y(panel, data, (double)i + (pen->layout->names_above ? 0.22 : 0)), "right", LETTERS);
            report_text_release(&text);
        }
    }
}

static void draw_panel(const chart_pen *pen, size_t p)
{
    const forage_chart *chart = pen->layout->chart;
    const forage_chart_panel *data = &chart->panels[p];
    layout_panel panel;
    layout_panel_of(pen->layout, p, &panel);
    report_add(pen->script, "reset\nunset key\nset border 0\nset clip two\n");
    if (p == 0) {
        draw_title(pen);
        draw_legend(pen);
    }
    bool last_row = p / pen->layout->columns == (chart->panel_count - 1) / pen->layout->columns;
    frame(pen, &panel, data, last_row);
    references(pen, &panel, data);
    if (pen->layout->direct)
        direct_labels(pen, &panel, data);
    values(pen, &panel, data);
    for (size_t s = 0; s < data->series_count; ++s)
        block(pen, p, s, &data->series[s]);
    bool first = true;
    for (size_t s = 0; s < data->series_count; ++s)
        plot_band(pen, &first, p, s, &data->series[s]);
    for (size_t s = 0; s < data->series_count; ++s)
        plot_series(pen, &first, p, s, &data->series[s]);
    report_add(pen->script, "\n");
}

void chart_script(const forage_chart *chart, chart_place place, size_t index, report_text *script)
{
    chart_layout layout;
    layout_start(chart, place, &layout);
    chart_pen pen = {.script = script, .layout = &layout, .index = index};
    if (place == CHART_PNG)
        report_format(
            script,
            "set terminal pngcairo size %d,%d noenhanced font 'sans,%d' fontscale 1.5 linewidth 2 pointscale 4.2 "
            "background '#ffffff'\n",
            (int)(2 * layout.width), (int)(2 * layout.height), (int)layout.font);
    else
        report_format(script, "set terminal svg size %d,%d dynamic noenhanced font 'sans-serif,%d'\n",
                      (int)layout.width, (int)layout.height, (int)layout.font);
    report_add(script, "set encoding utf8\nset multiplot\n");
    for (size_t p = 0; p < chart->panel_count; ++p)
        draw_panel(&pen, p);
    report_add(script, "unset multiplot\nset output\n");
}
