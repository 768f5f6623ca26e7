/*
 * The parts of an HTML page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/page.h"

#include "report/chart.h"
#include "report/style.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* The inside of a header, and its end. */
static void heading(report_text *html, const char *chapter, const char *title, const char *lead)
{
    report_add(html, "<p class=\"chapter\">");
    report_html(html, chapter);
    report_add(html, "</p>\n<h1>");
    report_html(html, title);
    report_add(html, "</h1>\n<p class=\"lead\">");
    report_html(html, lead);
    report_add(html, "</p>\n</header>\n");
}

void page_start(report_text *html, const char *title, const char *chapter, const char *lead)
{
    report_add(html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta name=\"color-scheme\" content=\"light dark\">\n"
                     "<meta name=\"generator\" content=\"Forage ");
    report_html(html, forage_version());
    report_add(html, "\">\n<title>");
    report_html(html, title);
    report_add(html, "</title>\n<style>\n");
    style_write(html);
    report_add(html, "</style>\n</head>\n<body>\n");
    report_add(html, chart_definitions);
    report_add(html, "<main>\n<header>\n");
    heading(html, chapter, title, lead);
}

void page_chapter(report_text *html, const char *id, const char *chapter, const char *title, const char *lead)
{
    report_format(html, "<header class=\"part\" id=\"%s\">\n", id);
    heading(html, chapter, title, lead);
}

void page_finish(report_text *html)
{
    report_add(html, "</main>\n</body>\n</html>\n");
}

void page_keys(report_text *html, const page_key *keys, size_t count)
{
    report_add(html, "<dl class=\"keys\">\n");
    for (size_t k = 0; k < count; ++k) {
        report_add(html, "<div><dt>");
        report_html(html, keys[k].name);
        report_add(html, "</dt><dd><strong>");
        report_html(html, keys[k].value);
        report_format(html, "</strong><span>%s</span></dd></div>\n", keys[k].note);
    }
    report_add(html, "</dl>\n");
}

void page_section(report_text *html, const char *id, const char *heading)
{
    report_format(html, "<section id=\"%s\">\n<h2>", id);
    report_html(html, heading);
    report_add(html, "</h2>\n");
}

void page_end_section(report_text *html)
{
    report_add(html, "</section>\n");
}

void page_say(report_text *html, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    report_add(html, "<p>");
    report_vformat(html, format, values);
    report_add(html, "</p>\n");
    va_end(values);
}

void page_missing(report_text *html, const char *reason)
{
    report_add(html, "<p class=\"missing\">The charts are missing and their tables stand in for them: ");
    report_html(html, reason);
    report_add(html, ". Run the command again once it is there.</p>\n");
}

/* ------------------------------------------------------------------ *
 * Tables
 * ------------------------------------------------------------------ */

static void header_cell(report_text *html, const char *text)
{
    report_add(html, "<th scope=\"col\">");
    report_html(html, text);
    report_add(html, "</th>");
}

static void row_name(report_text *html, const char *text)
{
    report_add(html, "<tr><th scope=\"row\">");
    report_html(html, text);
    report_add(html, "</th>");
}

static void table_start(report_text *html, const char *caption)
{
    report_add(html, "<div class=\"scroll\"><table>\n");
    if (caption) {
        report_add(html, "<caption>");
        report_html(html, caption);
        report_add(html, "</caption>\n");
    }
    report_add(html, "<thead><tr>");
}

static bool is_words(const char *text)
{
    return (text[0] >= 'A' && text[0] <= 'Z') || (text[0] >= 'a' && text[0] <= 'z');
}

/* "48.7 % (48.0 to 49.5)": the interval goes under the value. */
static void value_cell(report_text *html, const char *text)
{
    bool words = is_words(text);
    size_t length = strlen(text);
    const char *open = words ? NULL : strstr(text, " (");
    report_add(html, words ? "<td class=\"words\">" : "<td>");
    if (open && length > 3 && text[length - 1] == ')') {
        report_html_part(html, text, (size_t)(open - text));
        report_add(html, " <small>");
        report_html_part(html, open + 2, strlen(open) - 3);
        report_add(html, "</small>");
    } else {
        report_html(html, text);
    }
    report_add(html, "</td>");
}

/* What follows a line end in a row's name is a note under it. */
static void noted_name(report_text *html, report_pool *pool, const char *text)
{
    const char *note = strchr(text, '\n');
    if (!note) {
        row_name(html, text);
        return;
    }
    report_format(html, "<tr><th scope=\"row\">%s<small>%s</small></th>",
                  pool_html(pool, pool_format(pool, "%.*s", (int)(note - text), text)), pool_html(pool, note + 1));
}

void page_table(report_text *html, report_pool *pool, const char *caption, const char *const *header, size_t columns,
                const char *const *cells, size_t rows)
{
    table_start(html, caption);
    for (size_t c = 0; c < columns; ++c) {
        bool words = rows > 0 && cells[c] && is_words(cells[c]);
        report_add(html, words ? "<th scope=\"col\" class=\"words\">" : "<th scope=\"col\">");
        report_html(html, header[c]);
        report_add(html, "</th>");
    }
    report_add(html, "</tr></thead>\n<tbody>\n");
    for (size_t r = 0; r < rows; ++r) {
        const char *const *row = &cells[r * columns];
        noted_name(html, pool, row[0] ? row[0] : "");
        for (size_t c = 1; c < columns; ++c)
            value_cell(html, row[c] ? row[c] : "");
        report_add(html, "</tr>\n");
    }
    report_add(html, "</tbody>\n</table></div>\n");
}

/* A number with enough digits for the axis it belongs to. */
static void write_number(report_text *html, const forage_chart_axis *axis, double value)
{
    if (axis->percent)
        report_percent(html, value, 2);
    else if (isfinite(value) && value == floor(value) && fabs(value) < 1e9)
        report_fixed(html, value, 0);
    else
        report_fixed(html, value, fabs(value) < 10 ? 4 : 2);
}

static void write_cell(report_text *html, const forage_chart_axis *axis, const forage_chart_series *series, size_t i,
                       double value)
{
    report_add(html, "<td>");
    write_number(html, axis, value);
    if (series->low && isfinite(series->low[i]) && isfinite(series->high[i])) {
        report_add(html, " <small>");
        write_number(html, axis, series->low[i]);
        report_add(html, " to ");
        write_number(html, axis, series->high[i]);
        report_add(html, "</small>");
    }
    report_add(html, "</td>");
}

static void box_cells(report_text *html, const forage_chart_axis *axis, const forage_box *box)
{
    const double numbers[] = {box->whisker_low, box->quartile_low, box->median, box->quartile_high, box->whisker_high};
    for (size_t n = 0; n < sizeof numbers / sizeof *numbers; ++n) {
        report_add(html, "<td>");
        write_number(html, axis, box->count > 0 ? numbers[n] : NAN);
        report_add(html, "</td>");
    }
}

static void box_header(report_text *html)
{
    static const char *const names[] = {"low whisker", "quartile", "median", "quartile", "high whisker"};
    for (size_t n = 0; n < sizeof names / sizeof *names; ++n)
        header_cell(html, names[n]);
}

static void category_table(report_text *html, const forage_chart_panel *panel)
{
    header_cell(html, "");
    for (size_t s = 0; s < panel->series_count; ++s) {
        if (panel->series[s].mark == FORAGE_MARK_BOXES)
            box_header(html);
        else
            header_cell(html, panel->series[s].name ? panel->series[s].name : panel->x.label ? panel->x.label : "");
    }
    report_add(html, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < panel->y.category_count; ++i) {
        row_name(html, panel->y.categories[i]);
        for (size_t s = 0; s < panel->series_count; ++s) {
            const forage_chart_series *series = &panel->series[s];
            if (series->mark == FORAGE_MARK_BOXES)
                box_cells(html, &panel->x, &series->boxes[i]);
            else
                write_cell(html, &panel->x, series, i, i < series->count ? series->x[i] : NAN);
        }
        report_add(html, "</tr>\n");
    }
}

/* Do all series have the same x? Then they share the rows of one table. */
static bool same_x(const forage_chart_panel *panel)
{
    const forage_chart_series *first = &panel->series[0];
    for (size_t s = 1; s < panel->series_count; ++s) {
        const forage_chart_series *other = &panel->series[s];
        if (other->count != first->count || memcmp(other->x, first->x, first->count * sizeof *first->x) != 0)
            return false;
    }
    return true;
}

static void line_rows(report_text *html, const forage_chart_panel *panel, size_t from, size_t to)
{
    for (size_t i = 0; i < panel->series[from].count; ++i) {
        double x = panel->series[from].x[i];
        report_add(html, "<tr><th scope=\"row\">");
        if (panel->x.categories)
            report_html(html, chart_name_at(panel->x.categories, panel->x.category_count, x));
        else
            write_number(html, &panel->x, x);
        report_add(html, "</th>");
        for (size_t s = from; s < to; ++s)
            write_cell(html, &panel->y, &panel->series[s], i, panel->series[s].y[i]);
        report_add(html, "</tr>\n");
    }
}

static void line_table(report_text *html, const forage_chart_panel *panel)
{
    bool shared = same_x(panel);
    size_t step = shared ? panel->series_count : 1;
    for (size_t s = 0; s < panel->series_count; s += step) {
        if (s > 0)
            report_add(html, "</tbody>\n<thead><tr>");
        header_cell(html, panel->x.label ? panel->x.label : "");
        for (size_t n = s; n < s + step; ++n)
            header_cell(html, panel->series[n].name ? panel->series[n].name : panel->y.label ? panel->y.label : "");
        report_add(html, "</tr></thead>\n<tbody>\n");
        line_rows(html, panel, s, s + step);
    }
}

/* Clouds of points: how many there are of each kind. Their places are no numbers to read. */
static bool is_cloud(const forage_chart_panel *panel)
{
    size_t points = 0;
    for (size_t s = 0; s < panel->series_count; ++s)
        points += panel->series[s].mark == FORAGE_MARK_POINTS ? panel->series[s].count : 0;
    return points > 50;
}

static void cloud_table(report_text *html, const forage_chart_panel *panel)
{
    header_cell(html, "");
    header_cell(html, "Points (where they are: in the CSV file)");
    report_add(html, "</tr></thead>\n<tbody>\n");
    for (size_t s = 0; s < panel->series_count; ++s) {
        row_name(html, panel->series[s].name ? panel->series[s].name : "");
        report_format(html, "<td>%zu</td></tr>\n", panel->series[s].count);
    }
}

void page_tables(report_text *html, const forage_chart *chart)
{
    for (size_t p = 0; p < chart->panel_count; ++p) {
        const forage_chart_panel *panel = &chart->panels[p];
        table_start(html, panel->title);
        if (panel->y.categories)
            category_table(html, panel);
        else if (is_cloud(panel))
            cloud_table(html, panel);
        else
            line_table(html, panel);
        for (size_t r = 0; r < panel->reference_count; ++r) {
            const forage_chart_reference *reference = &panel->references[r];
            if (!reference->label || reference->axis == 'd')
                continue;
            row_name(html, reference->label);
            report_add(html, "<td>");
            write_number(html, reference->axis == 'x' ? &panel->x : &panel->y, reference->at);
            report_add(html, "</td></tr>\n");
        }
        report_add(html, "</tbody>\n</table></div>\n");
    }
}

void page_metrics(report_text *html, report_pool *pool, const forage_metrics *metrics)
{
    static const char *const header[] = {"Metric", "Value", "What it says"};
    const struct {
        const char *name;
        const forage_estimate *estimate;
        const char *note;
    } all[] = {
        {"Log loss", &metrics->log_loss, "surprise at what happened, nats per row"},
        {"Above the oracle", &metrics->excess_log_loss, "what is left to learn"},
        {"AUC", &metrics->auc, "chance that a clicked row is ranked above one that was not"},
        {"Grouped AUC", &metrics->grouped_auc, "the same within each user, averaged"},
        {"Brier score", &metrics->brier, "mean squared error of the predictions"},
        {"Calibration error", &metrics->ece, "mean gap between predicted and observed rate"},
        {"Error against the truth", &metrics->rmse, "root mean square, on these rows"},
    };
    enum { ALL = sizeof all / sizeof *all };
    const char *cells[3 * ALL];
    size_t rows = 0;
    for (size_t m = 0; m < ALL; ++m) {
        if (!isfinite(all[m].estimate->value))
            continue;
        cells[3 * rows] = all[m].name;
        cells[3 * rows + 1] = pool_fixed_estimate(pool, all[m].estimate, 4);
        cells[3 * rows + 2] = all[m].note;
        ++rows;
    }
    page_table(html, pool, "All metrics on these rows", header, 3, cells, rows);
}

/* ------------------------------------------------------------------ *
 * Figures
 * ------------------------------------------------------------------ */

void page_figure(report_text *html, unsigned number, const forage_chart *chart, const forage_chart_pictures *pictures,
                 const char *folder)
{
    report_format(html, "<figure id=\"figure-%s\">\n<figcaption><b>Figure %u.</b> ", chart->name, number);
    report_html(html, chart->title);
    report_add(html, "</figcaption>\n");
    if (pictures) {
        report_bytes(html, pictures->wide.bytes, pictures->wide.size);
        report_bytes(html, pictures->narrow.bytes, pictures->narrow.size);
    }
    report_add(html, pictures ? "<details>" : "<details open=\"\">");
    report_add(html, "<summary>The numbers behind it</summary>\n");
    page_tables(html, chart);
    if (pictures)
        report_format(html,
                      "<p class=\"files\">Files: <a href=\"%s/%s.svg\">SVG</a> · <a href=\"%s/%s.png\">PNG</a> · "
                      "<a href=\"%s/%s.csv\">CSV</a></p>\n",
                      folder, chart->name, folder, chart->name, folder, chart->name);
    report_add(html, "</details>\n</figure>\n");
}
