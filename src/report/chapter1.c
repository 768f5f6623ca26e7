/*
 * Chapter 1: from the record to files and to the terminal.
 */
#include "report/chapter1.h"

#include "report/folder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char sub_folder[] = "chapter-1";

static forage_status describe(const forage_chapter1 *chapter, report_pool *pool, forage_chart charts[CHAPTER1_CHARTS],
                              forage_error *error)
{
    if (chapter1_describe(chapter, pool, charts))
        return FORAGE_OK;
    if (pool->failed)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the report of chapter 1");
    return forage_fail(error, FORAGE_INVALID, "the record of chapter 1 is not complete");
}

static forage_status write_numbers(const forage_chapter1 *chapter, const char *folder, size_t *files,
                                   forage_error *error)
{
    char *json;
    FORAGE_TRY(forage_chapter1_json(chapter, &json, error));
    report_text text = {.bytes = json, .used = strlen(json)};
    forage_status status = folder_write(folder, sub_folder, "results.json", &text, files, error);
    forage_free(json);
    return status;
}

static forage_status write_page(const forage_chapter1 *chapter, const forage_chart *charts,
                                const forage_chart_pictures *pictures, const forage_report_options *options,
                                report_pool *pool, forage_report_result *result, forage_error *error)
{
    report_text html = {0};
    chapter1_page(chapter, charts, result->charts ? pictures : NULL, result->problem, options->command, pool, &html);
    html.failed = html.failed || pool->failed;
    forage_status status = folder_write(options->folder, NULL, "index.html", &html, &result->files, error);
    report_text_release(&html);
    return status;
}

forage_status forage_chapter1_write(const forage_chapter1 *chapter, const forage_report_options *options,
                                    forage_report_result *result, forage_error *error)
{
    forage_report_result ignored = {0};
    result = result ? result : &ignored;
    *result = (forage_report_result){0};
    forage_chart charts[CHAPTER1_CHARTS];
    forage_chart_pictures pictures[CHAPTER1_CHARTS] = {0};
    report_pool pool = {0};
    forage_status status;
    FORAGE_TRY_GOTO(describe(chapter, &pool, charts, error), end);
    FORAGE_TRY_GOTO(folder_draw(charts, CHAPTER1_CHARTS, options->gnuplot, pictures, result, error), end);
    FORAGE_TRY_GOTO(folder_make(options->folder, error), end);
    FORAGE_TRY_GOTO(folder_make(pool_format(&pool, "%s/%s", options->folder, sub_folder), error), end);
    FORAGE_TRY_GOTO(write_numbers(chapter, options->folder, &result->files, error), end);
    FORAGE_TRY_GOTO(folder_write_charts(options->folder, sub_folder, charts, CHAPTER1_CHARTS,
                                        result->charts ? pictures : NULL, &result->files, error),
                    end);
    FORAGE_TRY_GOTO(write_page(chapter, charts, pictures, options, &pool, result, error), end);
    snprintf(result->page, sizeof result->page, "%s/index.html", options->folder);
end:
    forage_charts_release(pictures, CHAPTER1_CHARTS);
    pool_release(&pool);
    return status;
}

/* ------------------------------------------------------------------ *
 * Terminal
 * ------------------------------------------------------------------ */

static void line(report_text *text, const char *name, const char *value, const char *note)
{
    report_format(text, "  %-29s", name);
    report_padded(text, value, 14);
    report_format(text, "%s\n", note);
}

static void summary(const forage_chapter1 *chapter, report_pool *pool, report_text *text)
{
    const forage_metrics *metrics = &chapter->metrics;
    const forage_cold_start *cold = &chapter->cold_start;
    const forage_drift *drift = &chapter->drift;
    const forage_feedback_loop *loop = &chapter->feedback_loop;
    const forage_loop_round *last = &loop->arms[loop->arm_count - 1].rounds[loop->round_count - 1];
    line(text, "log loss", pool_fixed(pool, metrics->log_loss.value, 4),
         pool_format(pool, "the oracle's is %s", pool_fixed(pool, metrics->oracle_log_loss.value, 4)));
    line(text, "AUC", pool_fixed(pool, metrics->auc.value, 4),
         pool_format(pool, "calibration error %s", pool_percent(pool, metrics->ece.value)));
    line(text, "click rate of its choices", pool_percent(pool, chapter->choice.model),
         pool_format(pool, "oracle %s, bestseller %s, at random %s", pool_percent(pool, chapter->choice.oracle),
                     pool_percent(pool, chapter->choice.popular), pool_percent(pool, chapter->choice.random)));
    if (cold->user_arm_count > 1)
        line(text, "flaw 1: lost on a new user", pool_points(pool, cold->user_arms[1].lost.value),
             pool_format(pool, "on a known one %s", pool_points(pool, cold->user_arms[0].lost.value)));
    line(text, "flaw 2: after tastes change", pool_percent(pool, drift->after_drifted.value),
         pool_format(pool, "from %s; trained every night %s on the last day",
                     pool_percent(pool, drift->before_drifted.value),
                     pool_percent(pool, drift->recovered_drifted.value)));
    line(text, "flaw 3: products still shown", pool_fixed(pool, last->distinct.value, 1),
         pool_format(pool, "of %zu, after %zu rounds on its own traffic", loop->items, loop->round_count - 1));
}

forage_status forage_chapter1_text(const forage_chapter1 *chapter, const forage_terminal *terminal, char **result,
                                   forage_error *error)
{
    static const enum chapter1_chart shown[] = {CHAPTER1_LOSS, CHAPTER1_PERSONAS, CHAPTER1_NEW_USERS, CHAPTER1_DRIFT,
                                                CHAPTER1_LOOP};
    *result = NULL;
    forage_chart charts[CHAPTER1_CHARTS];
    report_pool pool = {0};
    report_text text = {0};
    forage_status status;
    FORAGE_TRY_GOTO(describe(chapter, &pool, charts, error), end);
    report_add(&text, "Chapter 1: a recommender trained once, on yesterday's log\n\n");
    summary(chapter, &pool, &text);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; ++i) {
        char *drawn;
        FORAGE_TRY_GOTO(forage_chart_text(&charts[shown[i]], terminal, &drawn, error), end);
        report_add(&text, "\n");
        report_add(&text, drawn);
        forage_free(drawn);
    }
    if (text.failed || pool.failed) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for the text of chapter 1");
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
