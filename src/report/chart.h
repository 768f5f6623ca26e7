/*
 * chart.h: where everything of a chart goes, for all who draw one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_CHART_H
#define REPORT_CHART_H

#include "forage/report.h"
#include "report/text.h"

/* The limits of an axis and its tics. */
typedef struct chart_scale {
    double low, high;
    double first, step; /* of the tics */
    size_t tics;
    int decimals; /* of their labels (after multiplying by 100, if percent) */
    bool percent;
    const char *const *names; /* of 0, 1, 2 ...; NULL: numbers */
    size_t name_count;
} chart_scale;

/* The scale of the panel's x or y axis with about `wanted` tics. */
chart_scale chart_scale_of(const forage_chart_panel *panel, char axis, double wanted);
/* The value of tic `i`, and its label. */
double chart_tic(const chart_scale *scale, size_t i);
void chart_tic_label(const chart_scale *scale, double value, report_text *text);
/* The name at 0, 1, 2 ... of an axis; "" beyond. */
const char *chart_name_at(const char *const *names, size_t count, double at);
/* A value of the panel's x axis, with enough digits to be read beside its bar. */
void chart_value_label(const forage_chart_axis *axis, double value, report_text *text);

/* What gnuplot calls a shape, and what the terminal draws for it. */
int chart_shape_number(forage_shape shape);
uint32_t chart_shape_character(forage_shape shape, bool plain);

/* 0xRRGGBB of lines and areas, and the darker one of letters. */
uint32_t chart_line_colour(forage_ink ink);
uint32_t chart_text_colour(forage_ink ink);

/* FORAGE_OK, or why the description cannot be drawn. */
forage_status chart_check(const forage_chart *chart, forage_error *error);

/* The places a chart is drawn for. */
typedef enum chart_place { CHART_FILE, CHART_WIDE, CHART_NARROW, CHART_PNG, CHART_PLACES } chart_place;

/* Appends the gnuplot commands that draw the chart to standard output; `index` numbers it within the script. */
void chart_script(const forage_chart *chart, chart_place place, size_t index, report_text *script);

/* An SVG of gnuplot's made fit to stand in a page: no header, definitions, ids and empty groups; colours as CSS
 * variables; described by `chart`. `width` and `height` receive its size. */
void chart_inline_svg(const forage_chart *chart, const char *svg, size_t size, const char *class_name,
                      report_text *page);
/* The same for a file: only the title and the description are put in. */
void chart_file_svg(const forage_chart *chart, const char *svg, size_t size, report_text *file);
/* What the inline pictures refer to; once per page. */
extern const char chart_definitions[];

#endif
