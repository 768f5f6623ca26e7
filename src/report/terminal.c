/*
 * Charts as text: lines in braille dots, bars in eighths of a block, boxes in
 * line-drawing characters; or all of it in ASCII.
 *
 * A chart is drawn on a canvas of character cells and written out line by line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chart.h"

#include <math.h>
#include <string.h>

typedef struct canvas_cell {
    uint32_t character; /* 0: blank */
    uint8_t dots;       /* braille dots that lines put here; shown where there is no character */
    int16_t ink;        /* forage_ink, -1: none */
} canvas_cell;

typedef struct text_canvas {
    size_t columns, rows;
    bool plain, colour;
    canvas_cell *cells;
} text_canvas;

typedef struct text_area {
    size_t left, top, columns, rows;
} text_area;

/* The second column of a wide character. */
#define HIDDEN UINT32_MAX

enum { LINE_ROWS = 10, NAMES_MOST = 30, LEGEND_MOST = 44 };

static canvas_cell *cell_at(const text_canvas *canvas, size_t x, size_t y)
{
    return x < canvas->columns && y < canvas->rows ? &canvas->cells[y * canvas->columns + x] : NULL;
}

static void put(const text_canvas *canvas, size_t x, size_t y, uint32_t character, int ink)
{
    canvas_cell *cell = cell_at(canvas, x, y);
    if (cell) {
        cell->character = character;
        cell->ink = (int16_t)ink;
    }
}

/* Chinese, Japanese, Korean and pictures take two columns; accents that combine take none. */
static size_t columns_of(uint32_t character)
{
    if (character >= 0x0300 && character < 0x0370)
        return 0;
    bool wide = (character >= 0x1100 && character < 0x1160) || (character >= 0x2E80 && character < 0xA4D0) ||
                (character >= 0xAC00 && character < 0xD7A4) || (character >= 0xF900 && character < 0xFB00) ||
                (character >= 0xFE30 && character < 0xFE70) || (character >= 0xFF00 && character < 0xFF61) ||
                (character >= 0x1F300 && character < 0x1FB00) || (character >= 0x20000 && character < 0x40000);
    return wide ? 2 : 1;
}

static size_t length_of(const char *text)
{
    size_t length = 0;
    for (uint32_t character; (character = report_safe_character(&text)) != 0;)
        length += columns_of(character);
    return length;
}

/* Writes at most `room` characters. */
static void write_text(const text_canvas *canvas, size_t x, size_t y, size_t room, const char *text, int ink)
{
    size_t length = length_of(text);
    for (size_t i = 0; i < room;) {
        uint32_t character = report_safe_character(&text);
        size_t columns = columns_of(character);
        if (character == 0)
            return;
        if (columns == 0)
            continue;
        if (length > room && i + columns >= room) {
            character = canvas->plain ? '.' : 0x2026;
            columns = 1;
        }
        bool cut = length > room && (character == '.' || character == 0x2026) && i + columns >= room;
        if (canvas->plain && character > 0x7E)
            character = character == 0x00A0 ? ' ' : character == 0x2212 || character == 0x2013 ? '-' : '?';
        put(canvas, x + i, y, character, ink);
        if (columns == 2)
            put(canvas, x + i + 1, y, canvas->plain ? ' ' : HIDDEN, ink);
        if (cut)
            return;
        i += columns;
    }
}

/* ------------------------------------------------------------------ *
 * Lines and points
 * ------------------------------------------------------------------ */

static void dot(const text_canvas *canvas, const text_area *area, double x, double y, int ink)
{
    static const uint8_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    double right = 2 * (double)area->columns - 1, bottom = 4 * (double)area->rows - 1;
    if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1))
        return;
    size_t column = (size_t)llround(x * right), row = (size_t)llround((1 - y) * bottom);
    canvas_cell *cell = cell_at(canvas, area->left + column / 2, area->top + row / 4);
    if (!cell)
        return;
    cell->dots |= bits[row % 4][column % 2];
    cell->ink = (int16_t)ink;
    if (canvas->plain)
        cell->character = (uint32_t) "*+ox#@"[ink % 6];
}

static double share(const chart_scale *scale, double value)
{
    return (value - scale->low) / (scale->high - scale->low);
}

static size_t row_of(const text_area *area, const chart_scale *y, double value)
{
    double row = (1 - share(y, value)) * (4 * (double)area->rows - 1) / 4;
    return area->top + (size_t)fmin(fmax(row, 0), (double)area->rows - 1);
}

static size_t column_of(const text_area *area, const chart_scale *x, double value)
{
    double column = share(x, value) * ((double)area->columns - 1);
    return area->left + (size_t)llround(fmin(fmax(column, 0), (double)area->columns - 1));
}

static void draw_curve(const text_canvas *canvas, const text_area *area, const chart_scale *x, const chart_scale *y,
                       const forage_chart_series *series)
{
    for (size_t i = 0; i < series->count; ++i) {
        dot(canvas, area, share(x, series->x[i]), share(y, series->y[i]), (int)series->ink);
        if (series->mark == FORAGE_MARK_POINTS && isfinite(series->x[i]) && isfinite(series->y[i]))
            put(canvas, column_of(area, x, series->x[i]), row_of(area, y, series->y[i]),
                chart_shape_character(series->shape, canvas->plain), (int)series->ink);
        if (series->mark != FORAGE_MARK_LINE || i + 1 == series->count)
            continue;
        size_t steps = 8 * area->columns / (series->count > 1 ? series->count - 1 : 1) + 8;
        for (size_t step = 0; step < steps; ++step) {
            double t = (double)step / (double)steps;
            if (series->dashed && step / 3 % 2 == 1 && !canvas->plain)
                continue;
            dot(canvas, area, share(x, series->x[i] + t * (series->x[i + 1] - series->x[i])),
                share(y, series->y[i] + t * (series->y[i + 1] - series->y[i])), (int)series->ink);
        }
    }
}

static void scale_text(const chart_scale *scale, double value, char text[32])
{
    report_text label = {0};
    chart_tic_label(scale, value, &label);
    size_t size = label.used < 31 ? label.used : 31;
    if (label.bytes)
        memcpy(text, label.bytes, size);
    text[label.bytes ? size : 0] = '\0';
    report_text_release(&label);
}

/* Tics below: as many labels as fit. */
static void draw_x_tics(const text_canvas *canvas, const text_area *area, const chart_scale *x, size_t row)
{
    size_t free = 0;
    for (size_t i = 0; i < x->tics; ++i) {
        char text[32];
        double value = chart_tic(x, i);
        scale_text(x, value, text);
        size_t length = length_of(text), column = column_of(area, x, value);
        column = column > length / 2 ? column - length / 2 : 0;
        if (column < free)
            continue;
        write_text(canvas, column, row, length, text, -1);
        free = column + length + 2;
    }
}

static void draw_references(const text_canvas *canvas, const text_area *area, const forage_chart_panel *panel,
                            const chart_scale *x, const chart_scale *y)
{
    for (size_t r = 0; r < panel->reference_count; ++r) {
        const forage_chart_reference *reference = &panel->references[r];
        if (reference->axis == 'd') {
            for (int step = 0; step <= 50; ++step) {
                double t = step / 50.0, value = x->low + t * (x->high - x->low);
                dot(canvas, area, t, share(y, value), (int)reference->ink);
            }
            continue;
        }
        bool level = reference->axis == 'y';
        size_t column = column_of(area, x, reference->at), row = level ? row_of(area, y, reference->at) : 0;
        for (size_t i = 0; i < (level ? area->columns : area->rows); ++i) {
            canvas_cell *cell = level ? cell_at(canvas, area->left + i, row) : cell_at(canvas, column, area->top + i);
            if (cell && cell->dots == 0 && cell->character == 0) {
                cell->character = canvas->plain ? (level ? '.' : ':') : level ? 0x2508 : 0x250A;
                cell->ink = (int16_t)reference->ink;
            }
        }
    }
}

/* Names where lines end, on the nearest free rows. */
static void draw_names(const text_canvas *canvas, const text_area *area, const forage_chart_panel *panel,
                       const chart_scale *y, size_t room)
{
    bool used[64] = {false};
    size_t total = panel->series_count + panel->reference_count;
    for (size_t n = 0; n < total; ++n) {
        bool is_series = n < panel->series_count;
        const forage_chart_series *series = is_series ? &panel->series[n] : NULL;
        const forage_chart_reference *reference = is_series ? NULL : &panel->references[n - panel->series_count];
        const char *name = is_series ? series->name : reference->axis == 'y' ? reference->label : NULL;
        if (!name || (is_series && series->count == 0))
            continue;
        size_t row = row_of(area, y, is_series ? series->y[series->count - 1] : reference->at) - area->top;
        for (size_t away = 0; away < area->rows; ++away) {
            size_t down = row + away, up = row - away;
            size_t take = down < area->rows && !used[down] ? down : up < area->rows && !used[up] ? up : area->rows;
            if (take < area->rows && take < 64) {
                used[take] = true;
                write_text(canvas, area->left + area->columns + 1, area->top + take, room, name,
                           (int)(is_series ? series->ink : reference->ink));
                break;
            }
        }
    }
}

static size_t names_room(const forage_chart_panel *panel, bool direct)
{
    size_t most = 0;
    for (size_t s = 0; direct && s < panel->series_count; ++s) {
        size_t length = panel->series[s].name ? length_of(panel->series[s].name) : 0;
        most = length > most ? length : most;
    }
    for (size_t r = 0; r < panel->reference_count; ++r) {
        bool shown = panel->references[r].axis == 'y' && panel->references[r].label;
        size_t length = shown ? length_of(panel->references[r].label) : 0;
        most = length > most ? length : most;
    }
    return most < NAMES_MOST ? most : NAMES_MOST;
}

static size_t y_room(const chart_scale *y)
{
    size_t most = 0;
    for (size_t i = 0; i < y->tics; ++i) {
        char text[32];
        scale_text(y, chart_tic(y, i), text);
        size_t length = length_of(text);
        most = length > most ? length : most;
    }
    return most;
}

/* Rows of a panel of lines: title, label of y, the curves, axis, tics, label of x, notes. */
static size_t line_rows(const forage_chart_panel *panel)
{
    size_t notes = 0;
    for (size_t r = 0; r < panel->reference_count; ++r)
        notes += panel->references[r].axis == 'x' && panel->references[r].label;
    return (panel->title != NULL) + 1 + LINE_ROWS + 3 + notes;
}

static void draw_lines(const text_canvas *canvas, const forage_chart_panel *panel, text_area place, bool direct)
{
    chart_scale y = chart_scale_of(panel, 'y', 4);
    size_t left = y_room(&y) + 2, right = names_room(panel, direct) + 1;
    if (place.columns < left + right + 16)
        right = 0;
    text_area area = {place.left + left, place.top + (panel->title != NULL) + 1, place.columns - left - right,
                      LINE_ROWS};
    chart_scale x = chart_scale_of(panel, 'x', (double)area.columns / 8);
    if (panel->title)
        write_text(canvas, place.left, place.top, place.columns, panel->title, -1);
    if (panel->y.label)
        write_text(canvas, place.left, area.top - 1, place.columns, panel->y.label, FORAGE_INK_GREY);
    for (size_t row = 0; row < area.rows; ++row)
        put(canvas, area.left - 1, area.top + row, canvas->plain ? '|' : 0x2502, FORAGE_INK_GREY);
    for (size_t i = 0; i < y.tics; ++i) {
        char text[32];
        scale_text(&y, chart_tic(&y, i), text);
        size_t row = row_of(&area, &y, chart_tic(&y, i));
        write_text(canvas, area.left - 2 - length_of(text) + (left < 2 ? 1 : 0), row, 31, text, -1);
        put(canvas, area.left - 1, row, canvas->plain ? '+' : 0x2524, FORAGE_INK_GREY);
    }
    put(canvas, area.left - 1, area.top + area.rows, canvas->plain ? '+' : 0x2514, FORAGE_INK_GREY);
    for (size_t i = 0; i < area.columns; ++i)
        put(canvas, area.left + i, area.top + area.rows, canvas->plain ? '-' : 0x2500, FORAGE_INK_GREY);
    for (size_t s = 0; s < panel->series_count; ++s)
        draw_curve(canvas, &area, &x, &y, &panel->series[s]);
    draw_references(canvas, &area, panel, &x, &y);
    if (right > 1)
        draw_names(canvas, &area, panel, &y, right - 1);
    draw_x_tics(canvas, &area, &x, area.top + area.rows + 1);
    size_t row = area.top + area.rows + 2;
    if (panel->x.label)
        write_text(canvas, area.left, row, place.columns - left, panel->x.label, FORAGE_INK_GREY);
    for (size_t r = 0; r < panel->reference_count; ++r) {
        const forage_chart_reference *reference = &panel->references[r];
        if (reference->axis != 'x' || !reference->label)
            continue;
        put(canvas, area.left, ++row, canvas->plain ? ':' : 0x250A, (int)reference->ink);
        write_text(canvas, area.left + 2, row, place.columns - left - 2, reference->label, (int)reference->ink);
    }
}

/* ------------------------------------------------------------------ *
 * Bars and boxes
 * ------------------------------------------------------------------ */

static size_t category_rows(const forage_chart_panel *panel)
{
    return (panel->title != NULL) + panel->y.category_count + 2;
}

static void draw_bar(const text_canvas *canvas, const text_area *area, const chart_scale *x, size_t row, double value,
                     int ink)
{
    if (!isfinite(value))
        return;
    double cells = fmax(0, share(x, value)) * (double)area->columns;
    for (size_t i = 0; i < area->columns && (double)i < cells; ++i) {
        double part = cells - (double)i;
        uint32_t eighths = part >= 1 ? 8 : (uint32_t)(8 * part);
        if (canvas->plain)
            put(canvas, area->left + i, row, '#', ink);
        else if (eighths > 0)
            put(canvas, area->left + i, row, 0x2590 - eighths, ink);
    }
}

static void draw_box(const text_canvas *canvas, const text_area *area, const chart_scale *x, size_t row,
                     const forage_box *box, int ink)
{
    if (box->count == 0)
        return;
    size_t low = column_of(area, x, box->whisker_low), high = column_of(area, x, box->whisker_high);
    for (size_t i = low; i <= high; ++i)
        put(canvas, i, row, canvas->plain ? '-' : 0x2500, ink);
    low = column_of(area, x, box->quartile_low), high = column_of(area, x, box->quartile_high);
    for (size_t i = low; i <= high; ++i)
        put(canvas, i, row, canvas->plain ? '=' : 0x2588, ink);
}

static void draw_category_series(const text_canvas *canvas, const forage_chart_panel *panel, const text_area *area,
                                 const chart_scale *x, const forage_chart_series *series)
{
    for (size_t i = 0; i < series->count; ++i) {
        size_t row = area->top + i;
        if (series->mark == FORAGE_MARK_BOXES) {
            draw_box(canvas, area, x, row, &series->boxes[i], (int)series->ink);
        } else if (series->mark == FORAGE_MARK_DIAMOND) {
            if (isfinite(series->x[i]))
                put(canvas, column_of(area, x, series->x[i]), row, canvas->plain ? 'o' : 0x25C6, (int)series->ink);
        } else {
            draw_bar(canvas, area, x, row, series->x[i], (int)(series->inks ? series->inks[i] : series->ink));
            report_text text = {0};
            chart_value_label(&panel->x, series->x[i], &text);
            if (text.bytes)
                write_text(canvas, area->left + area->columns + 1, row, 9, text.bytes, -1);
            report_text_release(&text);
        }
    }
}

static void draw_categories(const text_canvas *canvas, const forage_chart_panel *panel, text_area place, bool names)
{
    size_t left = 0, right = 0;
    for (size_t i = 0; names && i < panel->y.category_count; ++i) {
        size_t length = length_of(panel->y.categories[i]);
        left = length > left ? length : left;
    }
    if (left > place.columns * 2 / 5)
        left = place.columns * 2 / 5;
    for (size_t s = 0; s < panel->series_count; ++s)
        right = panel->series[s].mark == FORAGE_MARK_BARS ? 10 : right;
    size_t margin = names ? left + 2 : 1;
    if (place.columns < margin + right + 8)
        return;
    text_area area = {place.left + margin, place.top + (panel->title != NULL), place.columns - margin - right,
                      panel->y.category_count};
    chart_scale x = chart_scale_of(panel, 'x', (double)area.columns / 9);
    if (panel->title)
        write_text(canvas, area.left, place.top, place.columns - margin, panel->title, -1);
    for (size_t i = 0; i < panel->y.category_count; ++i) {
        size_t length = length_of(panel->y.categories[i]);
        if (names)
            write_text(canvas, place.left + left - (length < left ? length : left), area.top + i, left,
                       panel->y.categories[i], -1);
        put(canvas, area.left - 1, area.top + i, canvas->plain ? '|' : 0x2502, FORAGE_INK_GREY);
    }
    for (size_t s = 0; s < panel->series_count; ++s)
        draw_category_series(canvas, panel, &area, &x, &panel->series[s]);
    if (right == 0)
        draw_x_tics(canvas, &area, &x, area.top + area.rows);
}

/* ------------------------------------------------------------------ *
 * The whole chart
 * ------------------------------------------------------------------ */

static const char *ansi_of(int ink)
{
    static const char *const codes[] = {"34", "31", "32", "35", "33", "36", "90", "39"};
    return ink >= 0 && ink < 8 ? codes[ink] : "39";
}

static bool blank(const text_canvas *canvas, size_t row)
{
    for (size_t i = 0; i < canvas->columns; ++i) {
        if (canvas->cells[row * canvas->columns + i].character || canvas->cells[row * canvas->columns + i].dots)
            return false;
    }
    return true;
}

static void write_canvas(const text_canvas *canvas, report_text *text)
{
    size_t rows = canvas->rows;
    while (rows > 0 && blank(canvas, rows - 1))
        --rows;
    for (size_t row = 0; row < rows; ++row) {
        const canvas_cell *line = &canvas->cells[row * canvas->columns];
        size_t end = canvas->columns;
        while (end > 0 && line[end - 1].character == 0 && line[end - 1].dots == 0)
            --end;
        int ink = -1;
        for (size_t i = 0; i < end; ++i) {
            uint32_t character = line[i].character ? line[i].character : line[i].dots ? 0x2800u + line[i].dots : ' ';
            if (character == HIDDEN)
                continue;
            if (canvas->colour && character != ' ' && line[i].ink != ink) {
                ink = line[i].ink;
                report_format(text, "\033[%sm", ansi_of(ink));
            }
            report_add_character(text, character);
        }
        report_add(text, ink >= 0 ? "\033[0m\n" : "\n");
    }
}

static uint32_t sample_of(const text_canvas *canvas, const forage_chart_series *series)
{
    switch (series->mark) {
    case FORAGE_MARK_DIAMOND:
        return canvas->plain ? 'o' : 0x25C6;
    case FORAGE_MARK_LINE:
        return canvas->plain ? (uint32_t) "*+ox#@"[series->ink % 6] : series->dashed ? 0x2504 : 0x2500;
    case FORAGE_MARK_POINTS:
        return chart_shape_character(series->shape, canvas->plain);
    default:
        return canvas->plain ? '=' : 0x2588;
    }
}

/* The legend, on as many rows as it takes, from `row` on; returns how many. `canvas` without cells: only counts. */
static size_t draw_legend(const text_canvas *canvas, const forage_chart *chart, size_t row)
{
    size_t at = 2, rows = 1;
    for (size_t s = 0; s < chart->panels[0].series_count; ++s) {
        const forage_chart_series *series = &chart->panels[0].series[s];
        if (!series->name)
            continue;
        size_t length = length_of(series->name);
        length = length < LEGEND_MOST ? length : LEGEND_MOST;
        if (at > 2 && at + 2 + length > canvas->columns) {
            at = 2;
            ++rows;
        }
        if (canvas->cells) {
            put(canvas, at, row + rows - 1, sample_of(canvas, series), (int)series->ink);
            write_text(canvas, at + 2, row + rows - 1, length, series->name, -1);
        }
        at += length + 5;
    }
    return rows;
}

static bool sideways(const forage_chart *chart)
{
    return chart->panels[0].y.categories != NULL;
}

static size_t rows_of(const forage_chart *chart)
{
    size_t most = 0;
    for (size_t p = 0; p < chart->panel_count; ++p) {
        const forage_chart_panel *panel = &chart->panels[p];
        size_t rows = panel->y.categories ? category_rows(panel) : line_rows(panel);
        most = rows > most ? rows : most;
    }
    return most;
}

static bool has_legend(const forage_chart *chart)
{
    return (sideways(chart) || chart->panel_count > 1) && chart->panels[0].series_count > 1;
}

static void draw_chart(const text_canvas *canvas, const forage_chart *chart, size_t across, size_t each)
{
    write_text(canvas, 0, 0, canvas->columns, chart->title, -1);
    size_t top = 1;
    if (has_legend(chart))
        top += draw_legend(canvas, chart, top);
    size_t width = canvas->columns / across;
    for (size_t p = 0; p < chart->panel_count; ++p) {
        text_area place = {
            .left = p % across * width + 1, .top = top + p / across * each, .columns = width - 2, .rows = each};
        if (chart->panels[p].y.categories)
            draw_categories(canvas, &chart->panels[p], place, true);
        else
            draw_lines(canvas, &chart->panels[p], place, chart->panel_count == 1);
    }
}

forage_status forage_chart_text(const forage_chart *chart, const forage_terminal *terminal, char **result,
                                forage_error *error)
{
    *result = NULL;
    FORAGE_TRY(chart_check(chart, error));
    text_canvas canvas = {.columns = terminal && terminal->columns ? terminal->columns : 80};
    if (canvas.columns < 40)
        canvas.columns = 40;
    if (canvas.columns > 100)
        canvas.columns = 100;
    canvas.plain = terminal && terminal->plain;
    canvas.colour = terminal && terminal->colour;
    size_t across = chart->columns > 0 ? chart->columns : 1;
    while (across > 1 && canvas.columns / across < 36)
        --across;
    size_t each = rows_of(chart), down = (chart->panel_count + across - 1) / across;
    canvas.rows = 1 + (has_legend(chart) ? draw_legend(&canvas, chart, 0) : 0) + each * down;
    canvas.cells = forage_calloc(canvas.columns * canvas.rows, sizeof *canvas.cells);
    report_text text = {0};
    if (canvas.cells) {
        for (size_t i = 0; i < canvas.columns * canvas.rows; ++i)
            canvas.cells[i].ink = -1;
        draw_chart(&canvas, chart, across, each);
        write_canvas(&canvas, &text);
    }
    forage_free(canvas.cells);
    if (!canvas.cells || text.failed) {
        report_text_release(&text);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to draw chart '%s'", chart->name);
    }
    *result = text.bytes;
    return FORAGE_OK;
}
