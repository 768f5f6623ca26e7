/*
 * layout.h: the geometry of a chart in pixels, y downwards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_LAYOUT_H
#define REPORT_LAYOUT_H

#include "report/chart.h"

typedef struct layout_panel {
    double left, right, top, bottom; /* of the area where data are drawn */
    double label_y;                  /* of the y axis' label, and of the panel's title */
    double title_y;
    double note_y;    /* of the labels of upright references, first row */
    bool show_names;  /* of the categories */
    chart_scale x, y; /* y is not set for categories */
} layout_panel;

typedef struct chart_layout {
    const forage_chart *chart;
    chart_place place;
    double width, height, font;
    double title_y;      /* 0: no title */
    double legend_y;     /* of the first row; 0: no legend */
    double right_column; /* room for values or names to the right of the panels */
    bool names_above;    /* names of categories stand above their bars, where there is no room beside them */
    bool direct;         /* lines carry their names at their right end */
    double x_label_y;    /* of the label that all panels share; 0: each has its own */
    size_t columns;
} chart_layout;

/* Everything but the panels. */
void layout_start(const forage_chart *chart, chart_place place, chart_layout *layout);
void layout_panel_of(const chart_layout *layout, size_t index, layout_panel *panel);

double layout_x(const layout_panel *panel, double value);
/* Of a value, or of category `value`. */
double layout_y(const layout_panel *panel, const forage_chart_panel *data, double value);

/* One entry of the legend: a series or nothing more. */
typedef struct layout_entry {
    const forage_chart_series *series;
    double x, y; /* of the middle of the sample's left end */
} layout_entry;

enum { LAYOUT_ENTRIES = 16, LAYOUT_SAMPLE = 26 };
/* The legend's entries with their places; returns how many, and in *rows how many rows they take. */
size_t layout_legend(const chart_layout *layout, layout_entry entries[LAYOUT_ENTRIES], size_t *rows);

/* Where the label of a level or diagonal reference is read best: away from lines and from labels placed before. */
typedef struct layout_box {
    double left, right, top, bottom;
} layout_box;
layout_box layout_label(const chart_layout *layout, const layout_panel *panel, const forage_chart_panel *data,
                        const forage_chart_reference *reference, const layout_box *taken, size_t taken_count);

#endif
