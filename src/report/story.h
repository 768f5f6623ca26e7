/*
 * story.h: chapters in one page. A chapter says what its charts are and writes
 * its sections; folder, pictures, numbers and the page around them are the
 * same for all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_STORY_H
#define REPORT_STORY_H

#include "forage/report.h"
#include "report/pool.h"

enum { STORY_CHARTS = 16, STORY_CHAPTERS = 4 };

/* What a chapter writes with. */
typedef struct report_story {
    const void *record;
    const char *folder; /* beside the page */
    const forage_chart *charts;
    const forage_chart_pictures *pictures; /* NULL: not drawn */
    unsigned first_figure;                 /* figures are counted through all chapters */
    const char *command;                   /* may be NULL */
    report_pool *pool;
    report_text *html;
} report_story;

typedef struct report_chapter {
    const char *folder; /* "chapter-1"; also the chapter's place on the page */
    const char *kicker, *title, *lead;
    const char *const (*links)[2]; /* ids and headings of the sections */
    size_t link_count;
    size_t chart_count;
    /* Describes the charts; what they point to lives in the pool and in the record. False when memory ran out or the
     * record is not complete. */
    bool (*describe)(const void *record, report_pool *pool, forage_chart *charts);
    void (*keys)(const report_story *story);     /* the figures that open the chapter */
    void (*sections)(const report_story *story); /* everything behind its contents */
    forage_status (*json)(const void *record, char **text, forage_error *error);
} report_chapter;

extern const report_chapter report_chapter1, report_chapter2, report_chapter3, report_chapter4;

/* Describes the charts of one chapter, with the right failure. */
forage_status story_describe(const report_chapter *chapter, const void *record, report_pool *pool,
                             forage_chart charts[STORY_CHARTS], forage_error *error);
/* A chart of the chapter, with its number, pictures and table. */
void story_figure(const report_story *story, size_t which);
/* The end of a section on method: how to get the same numbers, and where all of them are. */
void story_again(const report_story *story);

/* A chapter on the terminal: its heading, what `summary` adds, and the charts in `shown`. */
typedef struct story_terminal {
    const char *heading;
    void (*summary)(const void *record, report_pool *pool, report_text *text);
    const size_t *shown;
    size_t shown_count;
} story_terminal;
forage_status story_text(const report_chapter *chapter, const story_terminal *how, const void *record,
                         const forage_terminal *terminal, char **result, forage_error *error);
/* "  name      value  note" */
void story_line(report_text *text, const char *name, const char *value, const char *note);

#endif
