/*
 * A report on a log of one's own: from the record to files, the terminal and JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/log_report.h"

#include "report/folder.h"
#include "report/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char sub_folder[] = "log";

static forage_status describe(const forage_log_study *study, report_pool *pool, log_report_charts *charts,
                              forage_error *error)
{
    if (log_report_describe(study, pool, charts))
        return FORAGE_OK;
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the report on the log");
}

static forage_status write_numbers(const forage_log_study *study, const char *folder, size_t *files,
                                   forage_error *error)
{
    char *json;
    FORAGE_TRY(forage_log_study_json(study, &json, error));
    report_text text = {.bytes = json, .used = strlen(json)};
    forage_status status = folder_write(folder, sub_folder, "results.json", &text, files, error);
    forage_free(json);
    return status;
}

forage_status forage_log_study_write(const forage_log_study *study, const forage_report_options *options,
                                     forage_report_result *result, forage_error *error)
{
    forage_report_result ignored = {0};
    result = result ? result : &ignored;
    *result = (forage_report_result){0};
    log_report_charts charts;
    forage_chart_pictures pictures[LOG_REPORT_CHARTS] = {0};
    report_pool pool = {0};
    report_text html = {0};
    forage_status status;
    FORAGE_TRY_GOTO(describe(study, &pool, &charts, error), end);
    FORAGE_TRY_GOTO(folder_draw(charts.list, charts.count, options->gnuplot, pictures, result, error), end);
    FORAGE_TRY_GOTO(folder_make(options->folder, error), end);
    FORAGE_TRY_GOTO(folder_make_in(options->folder, sub_folder, error), end);
    FORAGE_TRY_GOTO(write_numbers(study, options->folder, &result->files, error), end);
    FORAGE_TRY_GOTO(folder_write_charts(options->folder, sub_folder, charts.list, charts.count,
                                        result->charts ? pictures : NULL, &result->files, error),
                    end);
    log_report_page(study, &charts, result->charts ? pictures : NULL, result->problem, options->command, &pool, &html);
    html.failed = html.failed || pool.failed;
    FORAGE_TRY_GOTO(folder_write(options->folder, NULL, "index.html", &html, &result->files, error), end);
    snprintf(result->page, sizeof result->page, "%s/index.html", options->folder);
end:
    report_text_release(&html);
    forage_charts_release(pictures, LOG_REPORT_CHARTS);
    pool_release(&pool);
    return status;
}

/* ------------------------------------------------------------------ *
 * Terminal
 * ------------------------------------------------------------------ */

static void line(report_text *text, const char *name, const char *value)
{
    report_format(text, "  %-18s %s\n", name, value);
}

static void summary(const forage_log_study *study, report_pool *pool, report_text *text)
{
    line(text, "rows", pool_count(pool, study->rows));
    line(text, "items", pool_count(pool, study->items));
    if (study->users)
        line(text, "users", pool_count(pool, study->users));
    if (study->has_values)
        line(text, "click rate", pool_percent(pool, study->rate));
    if (study->has_metrics) {
        line(text, "judged on",
             pool_format(pool, "%s %s rows, %s clicks", pool_count(pool, study->metrics.count), study->part,
                         pool_count(pool, study->metrics.positives)));
        line(text, "AUC", pool_fixed_estimate(pool, &study->metrics.auc, 4));
        if (isfinite(study->metrics.log_loss.value))
            line(text, "log loss", pool_fixed_estimate(pool, &study->metrics.log_loss, 4));
        if (isfinite(study->metrics.ece.value))
            line(text, "calibration error", pool_fixed_estimate(pool, &study->metrics.ece, 4));
    }
    if (study->has_ranking) {
        const char *at = pool_format(pool, "@%zu", study->ranking.k);
        line(text, pool_format(pool, "recall%s", at), pool_fixed_estimate(pool, &study->ranking.recall, 4));
        line(text, pool_format(pool, "NDCG%s", at), pool_fixed_estimate(pool, &study->ranking.ndcg, 4));
    }
}

forage_status forage_log_study_text(const forage_log_study *study, const forage_terminal *terminal, char **result,
                                    forage_error *error)
{
    *result = NULL;
    log_report_charts charts;
    report_pool pool = {0};
    report_text text = {0};
    forage_status status;
    FORAGE_TRY_GOTO(describe(study, &pool, &charts, error), end);
    const size_t shown[] = {charts.loss, charts.group_count > 0 ? 0 : LOG_REPORT_CHARTS, charts.items};
    report_format(&text, "%s on %s\n\n", study->training.model, pool_printable(&pool, study->source));
    summary(study, &pool, &text);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; ++i) {
        char *drawn;
        if (shown[i] >= charts.count)
            continue;
        FORAGE_TRY_GOTO(forage_chart_text(&charts.list[shown[i]], terminal, &drawn, error), end);
        report_add(&text, "\n");
        report_add(&text, drawn);
        forage_free(drawn);
    }
    if (text.failed || pool.failed) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for the text of the report");
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

/* ------------------------------------------------------------------ *
 * JSON
 * ------------------------------------------------------------------ */

static json_t *groups_json(const forage_log_breakdown *from)
{
    json_t *groups = json_array();
    for (size_t g = 0; g < from->count; ++g)
        json_array_append_new(groups, json_pack("{so sI sI so so}", "name", json_text(from->groups[g].name), "rows",
                                                (json_int_t)from->groups[g].rows, "positives",
                                                (json_int_t)from->groups[g].positives, "observed",
                                                json_estimate(&from->groups[g].observed), "predicted",
                                                json_number(from->groups[g].predicted)));
    return json_pack("{so sI so}", "column", json_text(from->column), "distinct", (json_int_t)from->distinct, "groups",
                     groups);
}

static json_t *ranking_json(const forage_ranking_metrics *found)
{
    const struct {
        const char *name;
        double value;
    } list[] = {{"precision", found->precision.value}, {"recall", found->recall.value},
                {"ndcg", found->ndcg.value},           {"mrr", found->mrr.value},
                {"hit_rate", found->hit_rate.value},   {"coverage", found->coverage}};
    json_t *object = json_pack("{sI sI}", "k", (json_int_t)found->k, "users", (json_int_t)found->users);
    for (size_t i = 0; i < sizeof list / sizeof *list; ++i) {
        char key[48];
        snprintf(key, sizeof key, "%s@%zu", list[i].name, found->k);
        json_object_set_new(object, key, json_number(list[i].value));
    }
    return object;
}

forage_status forage_log_study_json(const forage_log_study *study, char **text, forage_error *error)
{
    json_t *fields = json_array(), *breakdowns = json_array();
    for (size_t f = 0; f < study->field_count; ++f)
        json_array_append_new(fields, json_text(study->fields[f]));
    for (size_t b = 0; b < study->breakdown_count; ++b)
        json_array_append_new(breakdowns, groups_json(&study->breakdowns[b]));
    json_t *object = json_pack(
        "{so so so sI sI sI sI so so so so so so so so so}", "source", json_text(study->source), "split",
        json_text(study->split), "part", json_text(study->part), "rows", (json_int_t)study->rows, "users",
        (json_int_t)study->users, "items", (json_int_t)study->items, "positives", (json_int_t)study->positives, "rate",
        json_number(study->has_values ? study->rate : NAN), "propensity",
        json_pack("[o,o]", json_number(study->propensity_low), json_number(study->propensity_high)), "fields", fields,
        "training", json_training(&study->training), "metrics",
        study->has_metrics ? json_metrics(&study->metrics) : json_null(), "ranking",
        study->has_ranking ? ranking_json(&study->ranking) : json_null(), "breakdowns", breakdowns, "top_items",
        groups_json(&study->items_by_prediction), "seconds", json_number(study->seconds));
    return json_finish(object, text, error);
}
