/*
 * Charts to pictures and to numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chart.h"
#include "report/gnuplot.h"

#include <math.h>
#include <string.h>

/* Hands the text's bytes over. */
static forage_status take(report_text *text, forage_picture *picture, forage_error *error)
{
    if (text->failed || !text->bytes) {
        report_text_release(text);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a picture");
    }
    *picture = (forage_picture){.bytes = text->bytes, .size = text->used};
    return FORAGE_OK;
}

/* The end of the SVG that starts at `at`, or NULL. */
static const char *svg_end(const char *at, const char *end)
{
    static const char open[] = "<?xml", close[] = "</svg>\n";
    if ((size_t)(end - at) < sizeof open || memcmp(at, open, sizeof open - 1) != 0)
        return NULL;
    const char *found = memmem(at, (size_t)(end - at), close, sizeof close - 1);
    if (!found)
        return NULL;
    found += sizeof close - 1;
    while (found < end && *found == '\n')
        ++found;
    return found;
}

/* The same for a PNG: chunks of length, name, data, checksum up to IEND. */
static const char *png_end(const char *at, const char *end)
{
    static const char signature[] = "\x89PNG\r\n\x1a\n";
    if (end - at < 8 || memcmp(at, signature, 8) != 0)
        return NULL;
    const unsigned char *chunk = (const unsigned char *)at + 8, *stop = (const unsigned char *)end;
    while (stop - chunk >= 12) {
        size_t length = (size_t)chunk[0] << 24 | (size_t)chunk[1] << 16 | (size_t)chunk[2] << 8 | chunk[3];
        if ((size_t)(stop - chunk) - 12 < length)
            return NULL;
        bool last = memcmp(chunk + 4, "IEND", 4) == 0;
        chunk += 12 + length;
        if (last)
            return (const char *)chunk;
    }
    return NULL;
}

static forage_status keep(const forage_chart *chart, chart_place place, const char *bytes, size_t size,
                          forage_chart_pictures *pictures, forage_error *error)
{
    report_text text = {0};
    switch (place) {
    case CHART_FILE:
        chart_file_svg(chart, bytes, size, &text);
        return take(&text, &pictures->svg, error);
    case CHART_WIDE:
        chart_inline_svg(chart, bytes, size, "wide", &text);
        return take(&text, &pictures->wide, error);
    case CHART_NARROW:
        chart_inline_svg(chart, bytes, size, "narrow", &text);
        return take(&text, &pictures->narrow, error);
    default:
        report_bytes(&text, bytes, size);
        return take(&text, &pictures->png, error);
    }
}

/* Cuts gnuplot's output into the pictures that the script asked for. */
static forage_status cut(const forage_chart *const *charts, size_t count, const report_text *output,
                         forage_chart_pictures *pictures, forage_error *error)
{
    const char *at = output->bytes, *end = at ? at + output->used : NULL;
    for (size_t c = 0; c < count; ++c) {
        for (int place = 0; place < CHART_PLACES; ++place) {
            const char *stop = place == CHART_PNG ? png_end(at, end) : svg_end(at, end);
            if (!stop)
                return forage_fail(error, FORAGE_IO, "gnuplot did not draw the chart '%s'", charts[c]->name);
            FORAGE_TRY(keep(charts[c], (chart_place)place, at, (size_t)(stop - at), &pictures[c], error));
            at = stop;
        }
    }
    return FORAGE_OK;
}

forage_status forage_charts_draw(const forage_chart *const *charts, size_t count, const char *gnuplot,
                                 forage_chart_pictures *pictures, forage_error *error)
{
    for (size_t c = 0; c < count; ++c)
        pictures[c] = (forage_chart_pictures){0};
    for (size_t c = 0; c < count; ++c)
        FORAGE_TRY(chart_check(charts[c], error));
    if (count == 0)
        return FORAGE_OK;
    report_text script = {0}, output = {0};
    for (size_t c = 0; c < count; ++c)
        for (int place = 0; place < CHART_PLACES; ++place)
            chart_script(charts[c], (chart_place)place, c, &script);
    forage_status status = report_gnuplot(gnuplot, &script, &output, error);
    if (status == FORAGE_OK)
        status = cut(charts, count, &output, pictures, error);
    if (status != FORAGE_OK)
        forage_charts_release(pictures, count);
    report_text_release(&script);
    report_text_release(&output);
    return status;
}

void forage_charts_release(forage_chart_pictures *pictures, size_t count)
{
    for (size_t c = 0; c < count; ++c) {
        forage_free(pictures[c].svg.bytes);
        forage_free(pictures[c].wide.bytes);
        forage_free(pictures[c].narrow.bytes);
        forage_free(pictures[c].png.bytes);
        pictures[c] = (forage_chart_pictures){0};
    }
}

/* ------------------------------------------------------------------ *
 * CSV
 * ------------------------------------------------------------------ */

static void cell(report_text *text, double value)
{
    report_add(text, ",");
    if (isfinite(value))
        report_real(text, value);
}

static void csv_row(const forage_chart_panel *panel, const forage_chart_series *series, size_t i, report_text *text)
{
    bool sideways = panel->y.categories != NULL;
    report_csv(text, panel->title ? panel->title : "");
    report_add(text, ",");
    report_csv(text, series->name ? series->name : "");
    report_add(text, ",");
    if (sideways)
        report_csv(text, panel->y.categories[i]);
    else if (panel->x.categories)
        report_csv(text, chart_name_at(panel->x.categories, panel->x.category_count, series->x[i]));
    const forage_box *box = series->mark == FORAGE_MARK_BOXES ? &series->boxes[i] : NULL;
    cell(text, box ? NAN : series->x[i]);
    cell(text, box || sideways ? NAN : series->y[i]);
    cell(text, series->low ? series->low[i] : NAN);
    cell(text, series->high ? series->high[i] : NAN);
    const double none = NAN;
    const double *numbers[] = {box ? &box->whisker_low : &none, box ? &box->quartile_low : &none,
                               box ? &box->median : &none, box ? &box->quartile_high : &none,
                               box ? &box->whisker_high : &none};
    for (size_t n = 0; n < 5; ++n)
        cell(text, *numbers[n]);
    report_add(text, "\n");
}

forage_status forage_chart_csv(const forage_chart *chart, char **result, forage_error *error)
{
    *result = NULL;
    FORAGE_TRY(chart_check(chart, error));
    report_text text = {0};
    report_add(&text,
               "panel,series,category,x,y,low,high,whisker_low,quartile_low,median,quartile_high,whisker_high\n");
    for (size_t p = 0; p < chart->panel_count; ++p) {
        const forage_chart_panel *panel = &chart->panels[p];
        for (size_t s = 0; s < panel->series_count; ++s)
            for (size_t i = 0; i < panel->series[s].count; ++i)
                csv_row(panel, &panel->series[s], i, &text);
    }
    if (text.failed) {
        report_text_release(&text);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the numbers of chart '%s'", chart->name);
    }
    *result = text.bytes;
    return FORAGE_OK;
}
