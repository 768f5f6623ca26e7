/*
 * gnuplot's SVG made fit for a page.
 *
 * Pictures in a page share one set of point symbols, take their colours from
 * CSS variables (so that they follow a dark screen), their face from the page,
 * and carry no ids, which would repeat.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chart.h"
#include "report/palette.h"

#include <stdlib.h>
#include <string.h>

/* The symbols of gnuplot that script.c uses, as it draws them (chart_shape_number less one): square, dot, triangle,
 * triangle on its tip, diamond. */
const char chart_definitions[] =
    "<svg width=\"0\" height=\"0\" style=\"position:absolute\" aria-hidden=\"true\" focusable=\"false\"><defs>"
    "<rect id=\"gpPt4\" x=\"-1\" y=\"-1\" width=\"2\" height=\"2\" fill=\"currentColor\"/>"
    "<circle id=\"gpPt6\" r=\"1\" fill=\"currentColor\"/>"
    "<path id=\"gpPt8\" d=\"M0,-1.33L-1.33,.67L1.33,.67z\" fill=\"currentColor\"/>"
    "<path id=\"gpPt10\" d=\"M0,1.33L-1.33,-.67L1.33,-.67z\" fill=\"currentColor\"/>"
    "<rect id=\"gpPt12\" x=\"-1\" y=\"-1\" width=\"2\" height=\"2\" transform=\"rotate(45)\" fill=\"currentColor\"/>"
    "</defs></svg>\n";

/* "rgb(  0, 114, 178)" at *at becomes a variable with the plain colour as fallback. */
static bool replace_colour(const char **at, const char *end, report_text *page)
{
    if (end - *at < 10 || strncmp(*at, "rgb(", 4) != 0)
        return false;
    unsigned rgb = 0;
    const char *c = *at + 4;
    for (int part = 0; part < 3; ++part) {
        unsigned value = 0;
        while (c < end && *c == ' ')
            ++c;
        for (; c < end && *c >= '0' && *c <= '9' && value < 256; ++c)
            value = 10 * value + (unsigned)(*c - '0');
        if (c >= end || *c != (part < 2 ? ',' : ')') || value > 255)
            return false;
        ++c;
        rgb = rgb << 8 | value;
    }
    const char *name = palette_name(rgb);
    if (name)
        report_format(page, "var(--%s,#%06x)", name, rgb);
    else
        report_format(page, "#%06x", rgb);
    *at = c;
    return true;
}

static bool replace(const char **at, const char *end, const char *old, const char *new, report_text *page)
{
    size_t length = strlen(old);
    if ((size_t)(end - *at) < length || strncmp(*at, old, length) != 0)
        return false;
    report_add(page, new);
    *at += length;
    return true;
}

static void convert_line(const char *at, const char *end, report_text *page)
{
    while (at < end && (*at == '\t' || *at == ' '))
        ++at;
    bool text = false; /* inside <text>: what stands there is not ours to change */
    while (at < end) {
        if (*at == '<')
            text = end - at > 5 && strncmp(at, "<text", 5) == 0;
        if (!text &&
            (replace_colour(&at, end, page) || replace(&at, end, " font-family=\"sans-serif\"", "", page) ||
             replace(&at, end, "\"black\"", "\"currentColor\"", page) ||
             replace(&at, end, "'black'", "'currentColor'", page) ||
             replace(&at, end, "color=\"currentColor\"", "", page) || replace(&at, end, "xlink:href", "href", page)))
            continue;
        report_bytes(page, at, 1);
        ++at;
    }
    report_add(page, "\n");
}

static bool starts(const char *at, const char *end, const char *word)
{
    while (at < end && (*at == '\t' || *at == ' '))
        ++at;
    size_t length = strlen(word);
    return (size_t)(end - at) >= length && strncmp(at, word, length) == 0;
}

/* The drawing itself: what follows the definitions, up to the end of gnuplot's canvas. */
static bool body_of(const char *svg, size_t size, const char **first, const char **end)
{
    static const char defs[] = "</defs>\n", tail[] = "</g>\n</svg>";
    const char *start = memmem(svg, size, defs, sizeof defs - 1);
    if (!start)
        return false;
    start += sizeof defs - 1;
    for (const char *c = svg + size - (sizeof tail - 1); c >= start; --c) {
        if (memcmp(c, tail, sizeof tail - 1) == 0) {
            *first = start;
            *end = c;
            return true;
        }
    }
    return false;
}

static const char *line_end(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    return newline ? newline : end;
}

static void view_box(const char *svg, size_t size, report_text *page)
{
    const char *box = memmem(svg, size, "viewBox=\"", 9);
    const char *close = box ? memchr(box + 9, '"', (size_t)(svg + size - box - 9)) : NULL;
    if (close)
        report_bytes(page, box, (size_t)(close + 1 - box));
}

void chart_inline_svg(const forage_chart *chart, const char *svg, size_t size, const char *class_name,
                      report_text *page)
{
    const char *at, *end;
    if (!body_of(svg, size, &at, &end))
        return;
    report_format(page, "<svg class=\"%s\" ", class_name);
    view_box(svg, size, page);
    report_add(page, " role=\"img\" aria-label=\"");
    report_html(page, chart->title);
    report_add(page, ". ");
    report_html(page, chart->summary);
    report_add(page, "\">\n");
    while (at < end) {
        const char *stop = line_end(at, end);
        const char *next = stop < end ? stop + 1 : end;
        const char *next_stop = next < end ? line_end(next, end) : end;
        if (starts(at, stop, "<g fill=\"none\"") && next < end && starts(next, next_stop, "</g>")) {
            at = next_stop < end ? next_stop + 1 : end; /* a group with nothing in it */
            continue;
        }
        if (starts(at, stop, "<g id=\"gnuplot_plot"))
            report_add(page, "<g>\n");
        else if (stop > at)
            convert_line(at, stop, page);
        at = next;
    }
    report_add(page, "</svg>\n");
}

void chart_file_svg(const forage_chart *chart, const char *svg, size_t size, report_text *file)
{
    const char *at = memmem(svg, size, "<title>", 7), *rest = memmem(svg, size, "</desc>", 7);
    if (!at || !rest || rest < at) {
        report_bytes(file, svg, size);
        return;
    }
    report_bytes(file, svg, (size_t)(at - svg));
    report_add(file, "<title>");
    report_html(file, chart->title);
    report_add(file, "</title>\n<desc>");
    report_html(file, chart->summary);
    report_add(file, "</desc>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
    report_bytes(file, rest + 7, size - (size_t)(rest + 7 - svg));
}
