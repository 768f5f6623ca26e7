/*
 * page.h: the parts of an HTML page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

#include "forage/report.h"
#include "report/pool.h"

/* Start and end of a self-contained page: nothing is loaded from anywhere. Texts are plain, not HTML. */
void page_start(report_text *html, const char *title, const char *chapter, const char *lead);
void page_finish(report_text *html);
/* The heading of a chapter on a page of several. */
void page_chapter(report_text *html, const char *id, const char *chapter, const char *title, const char *lead);

/* One of the figures that open the page: a short text, a number, and what it is to be compared with (HTML). */
typedef struct page_key {
    const char *name, *value, *note;
} page_key;
void page_keys(report_text *html, const page_key *keys, size_t count);

/* A heading with an id for links. */
void page_section(report_text *html, const char *id, const char *heading);
void page_end_section(report_text *html);
/* A paragraph; what is inserted must be HTML already (see pool_html). */
void page_say(report_text *html, const char *format, ...) FORAGE_PRINTF(2, 3);

/* A chart with its number, its two pictures and its table. `pictures` NULL: the chart could not be drawn, and the
 * table is open. `folder` is where its files are, relative to the page. */
void page_figure(report_text *html, unsigned number, const forage_chart *chart, const forage_chart_pictures *pictures,
                 const char *folder);
/* The chart's numbers, one table for each panel. */
void page_tables(report_text *html, const forage_chart *chart);

/* A table of plain texts, row by row; NULL cells are empty. The first column are the rows' names, each with a note
 * after a line end, if any; "value (low to high)" shows the interval under the value. */
void page_table(report_text *html, report_pool *pool, const char *caption, const char *const *header, size_t columns,
                const char *const *cells, size_t rows);

/* All metrics that are known, with what they say. */
void page_metrics(report_text *html, report_pool *pool, const forage_metrics *metrics);

/* "How to read a figure without its picture". */
void page_missing(report_text *html, const char *reason);

#endif
