/*
 * report.h: result records become charts (SVG, PNG, terminal), tables, CSV, JSON
 * and one self-contained HTML page.
 *
 * Charts are drawn by gnuplot, one process for any number of them. Where gnuplot
 * is not installed, pages are written with their tables and say what to install.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_REPORT_H
#define FORAGE_REPORT_H

#include "forage/base.h"
#include "forage/eval.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ *
 * Charts: plain descriptions
 *
 * All pointers are borrowed for the time of the call that draws. Texts are shown
 * as they are: nothing in them is markup or a command.
 * ------------------------------------------------------------------ */

/* Colours that people with colour-blindness tell apart (Okabe and Ito 2008); on the page
 * each has a lighter twin for dark screens. */
typedef enum forage_ink {
    FORAGE_INK_BLUE,
    FORAGE_INK_VERMILLION,
    FORAGE_INK_GREEN,
    FORAGE_INK_PURPLE,
    FORAGE_INK_ORANGE,
    FORAGE_INK_SKY,
    FORAGE_INK_GREY,
    FORAGE_INK_BLACK,
} forage_ink;

typedef enum forage_mark {
    FORAGE_MARK_LINE,    /* a line through (x, y) and, where low and high are given, a band around it */
    FORAGE_MARK_POINTS,  /* a dot at each (x, y) and, where given, a bar from low to high */
    FORAGE_MARK_BARS,    /* for each category a bar from 0 to x, and an interval from low to high */
    FORAGE_MARK_BOXES,   /* for each category a box plot along x */
    FORAGE_MARK_DIAMOND, /* for each category a diamond at x */
} forage_mark;

/* What a dot looks like, so that groups of them differ without colour, too. */
typedef enum forage_shape {
    FORAGE_SHAPE_DOT,
    FORAGE_SHAPE_SQUARE,
    FORAGE_SHAPE_TRIANGLE,
    FORAGE_SHAPE_DIAMOND,
    FORAGE_SHAPE_DOWN, /* a triangle that stands on its tip */
} forage_shape;

typedef struct forage_chart_series {
    const char *name; /* for the legend; NULL: none */
    forage_mark mark;
    forage_ink ink;
    bool dashed;
    forage_shape shape; /* of points */
    size_t count;
    const double *x, *y;      /* [count]; with categories y is not read: entry i belongs to category i */
    const double *low, *high; /* [count] or NULL; NaN: no interval here */
    const forage_box *boxes;  /* [count], for boxes; empty ones (count 0) are left out */
    const forage_ink *inks;   /* [count] or NULL: a colour for each bar */
} forage_chart_series;

typedef struct forage_chart_axis {
    const char *label;             /* with the unit */
    double low, high;              /* what is shown; low == high: as the data need it */
    bool zero;                     /* make it start at 0 */
    bool percent;                  /* 0.2 is written as 20 % */
    const char *const *categories; /* y axis: names from top to bottom, instead of numbers. x axis of lines and points:
                                    * names of x = 0, 1, 2 ... */
    size_t category_count;
} forage_chart_axis;

/* A line across the panel at a known value. */
typedef struct forage_chart_reference {
    char axis; /* 'x': upright at x, 'y': level at y, 'd': the diagonal y = x */
    double at;
    const char *label; /* NULL: none */
    forage_ink ink;
} forage_chart_reference;

typedef struct forage_chart_panel {
    const char *title; /* NULL: none */
    forage_chart_axis x, y;
    const forage_chart_series *series;
    size_t series_count;
    const forage_chart_reference *references;
    size_t reference_count;
} forage_chart_panel;

typedef struct forage_chart {
    const char *name;    /* of its files: letters, digits, '-' */
    const char *title;   /* what it shows, one line */
    const char *summary; /* what one sees in it, for who cannot see it; one or two sentences */
    const forage_chart_panel *panels;
    size_t panel_count;
    size_t columns;        /* panels side by side where there is room */
    size_t narrow_columns; /* and on a phone; 0 means 1 */
} forage_chart;

/* ------------------------------------------------------------------ *
 * Pictures
 * ------------------------------------------------------------------ */

typedef struct forage_picture {
    char *bytes;
    size_t size;
} forage_picture;

/* One chart, drawn for each place where it may be seen. */
typedef struct forage_chart_pictures {
    forage_picture svg;    /* a file of its own, with the title in it, on white */
    forage_picture wide;   /* <svg> to be put into a page: no title; colours are CSS variables with the plain colour
                            * as fallback; points need the definitions of forage_chart_definitions */
    forage_picture narrow; /* the same for a screen 360 pixels wide */
    forage_picture png;    /* as svg, at twice the resolution */
} forage_chart_pictures;

/* Draws `count` charts with one gnuplot process (`gnuplot` NULL: the one on the path) into pictures[count], which
 * forage_charts_release frees. FORAGE_UNSUPPORTED when gnuplot is not installed, FORAGE_INVALID for a description
 * that cannot be drawn. Any number of threads may draw at once. */
FORAGE_API forage_status forage_charts_draw(const forage_chart *const *charts, size_t count, const char *gnuplot,
                                            forage_chart_pictures *pictures, forage_error *error);
FORAGE_API void forage_charts_release(forage_chart_pictures *pictures, size_t count);

/* How the terminal shows a chart. */
typedef struct forage_terminal {
    size_t columns; /* 0 means 80 */
    bool plain;     /* ASCII only */
    bool colour;    /* ANSI colours */
} forage_terminal;

/* The chart in text, drawn without gnuplot. forage_free *text. */
FORAGE_API forage_status forage_chart_text(const forage_chart *chart, const forage_terminal *terminal, char **text,
                                           forage_error *error);

/* The numbers behind the chart as CSV: panel,series,category,x,y,low,high (boxes: their five numbers). forage_free
 * *text. */
FORAGE_API forage_status forage_chart_csv(const forage_chart *chart, char **text, forage_error *error);

/* ------------------------------------------------------------------ *
 * Reports
 * ------------------------------------------------------------------ */

typedef struct forage_report_options {
    const char *folder;  /* made if it is not there; its files are replaced one by one, each whole or not at all */
    const char *gnuplot; /* the program; NULL: the one on the path */
    const char *command; /* what was typed, for the page; may be NULL */
} forage_report_options;

typedef struct forage_report_result {
    char page[512];    /* path of the page */
    size_t files;      /* written, the page among them */
    bool charts;       /* false: gnuplot did not draw, and the page has tables only */
    char problem[512]; /* then: why, and what to install */
} forage_report_result;

/* The chapters that a study has; NULL: not this one. */
typedef struct forage_study {
    const forage_chapter1 *chapter1;
    const forage_chapter2 *chapter2;
    const forage_chapter3 *chapter3;
    const forage_chapter4 *chapter4;
} forage_study;

/* Writes FOLDER/index.html with all chapters, and beside it in FOLDER/chapter-1 and so on the charts as SVG, PNG and
 * CSV and everything as results.json. The page needs none of them and no network. A missing gnuplot is no failure: see
 * `result` (may be NULL). FORAGE_INVALID for a study without chapters or a record that is not complete. On failure the
 * page is what it was before, or is not there. */
FORAGE_API forage_status forage_study_write(const forage_study *study, const forage_report_options *options,
                                            forage_report_result *result, forage_error *error);
/* The chapter in a few lines and small charts. forage_free *text. */
FORAGE_API forage_status forage_chapter1_text(const forage_chapter1 *chapter, const forage_terminal *terminal,
                                              char **text, forage_error *error);
/* The whole record as one JSON object; numbers that are not known are null. forage_free *text. */
FORAGE_API forage_status forage_chapter1_json(const forage_chapter1 *chapter, char **text, forage_error *error);
/* The same for chapter 2; each of its arenas is an object as by forage_arena_json. */
FORAGE_API forage_status forage_chapter2_text(const forage_chapter2 *chapter, const forage_terminal *terminal,
                                              char **text, forage_error *error);
FORAGE_API forage_status forage_chapter2_json(const forage_chapter2 *chapter, char **text, forage_error *error);

/* The same for chapter 3. */
FORAGE_API forage_status forage_chapter3_text(const forage_chapter3 *chapter, const forage_terminal *terminal,
                                              char **text, forage_error *error);
FORAGE_API forage_status forage_chapter3_json(const forage_chapter3 *chapter, char **text, forage_error *error);

/* The same for chapter 4. */
FORAGE_API forage_status forage_chapter4_text(const forage_chapter4 *chapter, const forage_terminal *terminal,
                                              char **text, forage_error *error);
FORAGE_API forage_status forage_chapter4_json(const forage_chapter4 *chapter, char **text, forage_error *error);

/* A report on a log of one's own: FOLDER/index.html, and files beside it in FOLDER/log. */
FORAGE_API forage_status forage_log_study_write(const forage_log_study *study, const forage_report_options *options,
                                                forage_report_result *result, forage_error *error);
FORAGE_API forage_status forage_log_study_text(const forage_log_study *study, const forage_terminal *terminal,
                                               char **text, forage_error *error);
FORAGE_API forage_status forage_log_study_json(const forage_log_study *study, char **text, forage_error *error);

/* The arena's scores as a table, with the best of each column marked, and small charts. forage_free *text. */
FORAGE_API forage_status forage_arena_text(const forage_arena *arena, const forage_terminal *terminal, char **text,
                                           forage_error *error);
/* The whole record as one JSON object: "agents" holds one object by name of agent; an estimate "regret" is a number,
 * its interval stands in "regret_low" and "regret_high"; numbers that are not known are null. forage_free *text. */
FORAGE_API forage_status forage_arena_json(const forage_arena *arena, char **text, forage_error *error);
/* Scores and curves, one number a row: agent,quantity,of,value,low,high. forage_free *text. */
FORAGE_API forage_status forage_arena_csv(const forage_arena *arena, char **text, forage_error *error);

#ifdef __cplusplus
}
#endif

#endif
