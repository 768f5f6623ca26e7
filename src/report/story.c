/*
 * Chapters in one page: folder, pictures, numbers, contents.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/story.h"

#include "report/folder.h"
#include "report/page.h"

#include <stdio.h>
#include <string.h>

/* A chapter that is being written. */
typedef struct part {
    const report_chapter *chapter;
    const void *record;
    forage_chart charts[STORY_CHARTS];
    forage_chart_pictures pictures[STORY_CHARTS];
} part;

forage_status story_describe(const report_chapter *chapter, const void *record, report_pool *pool,
                             forage_chart charts[STORY_CHARTS], forage_error *error)
{
    memset(charts, 0, STORY_CHARTS * sizeof *charts);
    if (chapter->describe(record, pool, charts))
        return FORAGE_OK;
    if (pool->failed)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the report of %s", chapter->folder);
    return forage_fail(error, FORAGE_INVALID, "the record of %s is not complete", chapter->folder);
}

void story_figure(const report_story *story, size_t which)
{
    page_figure(story->html, story->first_figure + (unsigned)which, &story->charts[which],
                story->pictures ? &story->pictures[which] : NULL, story->folder);
}

void story_again(const report_story *story)
{
    if (story->command)
        report_format(story->html, "<p>The same numbers again:</p>\n<pre><code>%s</code></pre>\n",
                      pool_html(story->pool, story->command));
    page_say(story->html, "All numbers of this chapter are in <a href=\"%s/results.json\">%s/results.json</a>.",
             story->folder, story->folder);
}

static void contents(report_text *html, const char *label, const char *const (*links)[2], size_t count)
{
    report_format(html, "<nav aria-label=\"%s\"><ol>\n", label);
    for (size_t i = 0; i < count; ++i)
        report_format(html, "<li><a href=\"#%s\">%s</a></li>\n", links[i][0], links[i][1]);
    report_add(html, "</ol></nav>\n");
}

static void write_chapter(const part *p, const report_story *story, bool heading)
{
    const report_chapter *chapter = p->chapter;
    if (heading)
        page_chapter(story->html, chapter->folder, chapter->kicker, chapter->title, chapter->lead);
    chapter->keys(story);
    contents(story->html, "Contents of the chapter", chapter->links, chapter->link_count);
    chapter->sections(story);
}

static void write_page(const part *parts, size_t count, const forage_report_options *options,
                       const forage_report_result *result, report_pool *pool, report_text *html)
{
    unsigned figures = 1;
    if (count == 1) {
        const report_chapter *only = parts[0].chapter;
        page_start(html, only->title, only->kicker, only->lead);
    } else {
        const char *links[STORY_CHAPTERS][2];
        page_start(html, "A shop that learns from every click", "Forage · the story of a shop",
                   "A simulated shop whose truth is known: what a model trained overnight makes of it, where it fails, "
                   "what learning and exploring at every visit changes, what the session tells in the moment, "
                   "and what the clicks of others tell.");
        for (size_t i = 0; i < count; ++i) {
            links[i][0] = parts[i].chapter->folder;
            links[i][1] = parts[i].chapter->title;
        }
        contents(html, "Chapters", (const char *const(*)[2])links, count);
    }
    if (!result->charts)
        page_missing(html, result->problem);
    for (size_t i = 0; i < count; ++i) {
        const report_story story = {.record = parts[i].record,
                                    .folder = parts[i].chapter->folder,
                                    .charts = parts[i].charts,
                                    .pictures = result->charts ? parts[i].pictures : NULL,
                                    .first_figure = figures,
                                    .command = options->command,
                                    .pool = pool,
                                    .html = html};
        write_chapter(&parts[i], &story, count > 1);
        figures += (unsigned)parts[i].chapter->chart_count;
    }
    page_finish(html);
    html->failed = html->failed || pool->failed;
}

static forage_status write_files(const part *p, const forage_report_options *options, forage_report_result *result,
                                 forage_error *error)
{
    const report_chapter *chapter = p->chapter;
    char *json;
    FORAGE_TRY(folder_make_in(options->folder, chapter->folder, error));
    FORAGE_TRY(chapter->json(p->record, &json, error));
    report_text text = {.bytes = json, .used = strlen(json)};
    forage_status status = folder_write(options->folder, chapter->folder, "results.json", &text, &result->files, error);
    forage_free(json);
    FORAGE_TRY(status);
    return folder_write_charts(options->folder, chapter->folder, p->charts, chapter->chart_count,
                               result->charts ? p->pictures : NULL, &result->files, error);
}

static forage_status draw(part *parts, size_t count, const forage_report_options *options, report_pool *pool,
                          forage_report_result *result, forage_error *error)
{
    for (size_t i = 0; i < count; ++i)
        FORAGE_TRY(story_describe(parts[i].chapter, parts[i].record, pool, parts[i].charts, error));
    result->charts = true;
    for (size_t i = 0; i < count && result->charts; ++i)
        FORAGE_TRY(folder_draw(parts[i].charts, parts[i].chapter->chart_count, options->gnuplot, parts[i].pictures,
                               result, error));
    return FORAGE_OK;
}

static forage_status write_study(part *parts, size_t count, const forage_report_options *options,
                                 forage_report_result *result, forage_error *error)
{
    report_pool pool = {0};
    report_text html = {0};
    forage_status status;
    FORAGE_TRY_GOTO(draw(parts, count, options, &pool, result, error), end);
    FORAGE_TRY_GOTO(folder_make(options->folder, error), end);
    for (size_t i = 0; i < count; ++i)
        FORAGE_TRY_GOTO(write_files(&parts[i], options, result, error), end);
    write_page(parts, count, options, result, &pool, &html);
    FORAGE_TRY_GOTO(folder_write(options->folder, NULL, "index.html", &html, &result->files, error), end);
    snprintf(result->page, sizeof result->page, "%s/index.html", options->folder);
end:
    for (size_t i = 0; i < count; ++i)
        forage_charts_release(parts[i].pictures, STORY_CHARTS);
    report_text_release(&html);
    pool_release(&pool);
    return status;
}

forage_status forage_study_write(const forage_study *study, const forage_report_options *options,
                                 forage_report_result *result, forage_error *error)
{
    const struct {
        const report_chapter *chapter;
        const void *record;
    } all[] = {
        {&report_chapter1, study->chapter1},
        {&report_chapter2, study->chapter2},
        {&report_chapter3, study->chapter3},
        {&report_chapter4, study->chapter4},
    };
    forage_report_result ignored = {0};
    size_t count = 0;
    result = result ? result : &ignored;
    *result = (forage_report_result){0};
    part *parts = forage_calloc(STORY_CHAPTERS, sizeof *parts);
    if (!parts)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the report");
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
        if (all[i].record) {
            parts[count].chapter = all[i].chapter;
            parts[count++].record = all[i].record;
        }
    }
    forage_status status = count > 0 ? write_study(parts, count, options, result, error)
                                     : forage_fail(error, FORAGE_INVALID, "a report needs a chapter");
    forage_free(parts);
    return status;
}

/* ------------------------------------------------------------------ *
 * Terminal
 * ------------------------------------------------------------------ */

void story_line(report_text *text, const char *name, const char *value, const char *note)
{
    report_format(text, "  %-29s", name);
    report_padded(text, value, 14);
    report_format(text, "%s\n", note);
}

forage_status story_text(const report_chapter *chapter, const story_terminal *how, const void *record,
                         const forage_terminal *terminal, char **result, forage_error *error)
{
    forage_chart charts[STORY_CHARTS];
    report_pool pool = {0};
    report_text text = {0};
    forage_status status;
    *result = NULL;
    FORAGE_TRY_GOTO(story_describe(chapter, record, &pool, charts, error), end);
    report_format(&text, "%s\n\n", how->heading);
    how->summary(record, &pool, &text);
    for (size_t i = 0; i < how->shown_count; ++i) {
        char *drawn;
        FORAGE_TRY_GOTO(forage_chart_text(&charts[how->shown[i]], terminal, &drawn, error), end);
        report_add(&text, "\n");
        report_add(&text, drawn);
        forage_free(drawn);
    }
    if (text.failed || pool.failed) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for the text of %s", chapter->folder);
        goto end;
    }
    if (terminal && terminal->plain)
        report_plain(&text);
    *result = text.bytes;
    text = (report_text){0};
end:
    report_text_release(&text);
    pool_release(&pool);
    return status;
}
