/*
 * A log of one's own as a page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/log_report.h"
#include "report/page.h"

#include <math.h>
#include <string.h>

typedef struct log_story {
    const forage_log_study *study;
    const log_report_charts *charts;
    const forage_chart_pictures *pictures;
    const char *command;
    report_pool *pool;
    report_text *html;
} log_story;

static void figure(const log_story *story, size_t which)
{
    if (which < story->charts->count)
        page_figure(story->html, (unsigned)which + 1, &story->charts->list[which],
                    story->pictures ? &story->pictures[which] : NULL, "log");
}

static void keys(const log_story *story)
{
    const forage_log_study *study = story->study;
    report_pool *pool = story->pool;
    page_key list[5];
    size_t count = 0;
    list[count++] =
        (page_key){"Rows in the log", pool_count(pool, study->rows),
                   pool_format(pool, "%s items%s", pool_count(pool, study->items),
                               study->users ? pool_format(pool, ", %s users", pool_count(pool, study->users))
                                            : ", no users named")};
    if (study->has_values)
        list[count++] = (page_key){"Click rate", pool_percent(pool, study->rate),
                                   pool_format(pool, "%s clicks", pool_count(pool, study->positives))};
    if (study->has_metrics) {
        const forage_metrics *metrics = &study->metrics;
        list[count++] =
            (page_key){"AUC on rows it has not seen", pool_fixed(pool, metrics->auc.value, 3),
                       isfinite(metrics->auc.low)
                           ? pool_format(pool, "95\u00a0%% interval %s to %s; 0.5 is chance",
                                         pool_fixed(pool, metrics->auc.low, 3), pool_fixed(pool, metrics->auc.high, 3))
                           : "0.5 is chance"};
        if (isfinite(metrics->log_loss.value))
            list[count++] = (page_key){"Log loss on them", pool_fixed(pool, metrics->log_loss.value, 4),
                                       isfinite(study->training.base_validation)
                                           ? pool_format(pool, "one rate for all scores %s",
                                                         pool_fixed(pool, study->training.base_validation, 4))
                                           : pool_format(pool, "their own mean rate for all scores %s",
                                                         pool_fixed(pool, metrics->base_log_loss, 4))};
    }
    if (study->has_ranking)
        list[count++] =
            (page_key){pool_format(pool, "NDCG@%zu", study->ranking.k), pool_fixed(pool, study->ranking.ndcg.value, 4),
                       pool_format(pool, "%s users, all items ranked", pool_count(pool, study->ranking.users))};
    page_keys(story->html, list, count);
}

enum { FIELDS_MOST = 9 };

static const char *field_list(const log_story *story)
{
    const forage_log_study *study = story->study;
    report_text text = {0};
    size_t shown = study->field_count <= FIELDS_MOST + 1 ? study->field_count : FIELDS_MOST;
    for (size_t f = 0; f < shown; ++f) {
        report_add(&text, f > 0 ? ", <code>" : "<code>");
        report_html(&text, study->fields[f]);
        report_add(&text, "</code>");
    }
    if (shown < study->field_count)
        report_format(&text, " and %zu more columns", study->field_count - shown);
    const char *list = pool_format(story->pool, "%s", text.bytes ? text.bytes : "nothing");
    report_text_release(&text);
    return list;
}

static void data_section(const log_story *story)
{
    const forage_log_study *study = story->study;
    report_pool *pool = story->pool;
    page_section(story->html, "data", "The data");
    page_say(story->html, "The log <code>%s</code> has %s rows%s.", pool_html(pool, study->source),
             pool_count(pool, study->rows),
             study->has_values ? pool_format(pool, "; %s of them, %s, are clicks", pool_count(pool, study->positives),
                                             pool_percent(pool, study->rate))
                               : ", each an event that happened");
    if (isfinite(study->propensity_low) && study->propensity_low == study->propensity_high)
        page_say(story->html, "Each item was shown with the same probability, %s.",
                 pool_percent(pool, study->propensity_low));
    else if (isfinite(study->propensity_low))
        page_say(story->html, "It says with what probability each item was shown: from %s to %s.",
                 pool_percent(pool, study->propensity_low), pool_percent(pool, study->propensity_high));
    for (size_t g = 0; g < story->charts->group_count; ++g)
        figure(story, g);
    if (story->charts->group_count > 0 && study->has_values)
        page_say(story->html, "Bars count all rows of the log; values of fewer than 50 rows are left out. Where two "
                              "intervals overlap widely, the log cannot tell "
                              "the groups apart.");
    page_end_section(story->html);
}

static void training_section(const log_story *story)
{
    const forage_training_record *training = &story->study->training;
    report_pool *pool = story->pool;
    page_section(story->html, "training", "Training");
    page_say(story->html, "The model <code>%s</code> reads %s. It learned %s numbers from %s rows in %s s, on %s.",
             pool_html(pool, training->model), field_list(story), pool_count(pool, story->study->weights),
             pool_count(pool, training->train_rows), pool_fixed(pool, training->seconds, 2),
             pool_html(pool, training->device));
    figure(story, story->charts->loss);
    if (isfinite(training->base_validation) && training->epochs > 0) {
        double kept =
            training->validation_loss[training->best_epoch > 0 ? training->best_epoch - 1 : training->epochs - 1];
        page_say(story->html,
                 "Predicting the training rows’ click rate for everything scores %s on the validation rows; the model "
                 "scores %s there, which is %s.",
                 pool_fixed(pool, training->base_validation, 4), pool_fixed(pool, kept, 4),
                 kept < training->base_validation ? "better"
                                                  : "no better: what it learned does not carry over to them");
    }
    page_end_section(story->html);
}

static void ranking_table(const log_story *story)
{
    const forage_ranking_metrics *found = &story->study->ranking;
    report_pool *pool = story->pool;
    const char *at = pool_format(pool, "@%zu", found->k);
    static const char *const header[] = {"Metric", "Value", "What it says"};
    const char *const cells[] = {
        pool_format(pool, "Precision%s", at),
        pool_fixed_estimate(pool, &found->precision, 4),
        "share of the list that is right",
        pool_format(pool, "Recall%s", at),
        pool_fixed_estimate(pool, &found->recall, 4),
        "share of the right items that are in the list",
        pool_format(pool, "NDCG%s", at),
        pool_fixed_estimate(pool, &found->ndcg, 4),
        "the same, with weight on the top",
        pool_format(pool, "MRR%s", at),
        pool_fixed_estimate(pool, &found->mrr, 4),
        "one over the rank of the first hit",
        pool_format(pool, "Hit rate%s", at),
        pool_fixed_estimate(pool, &found->hit_rate, 4),
        "users with at least one hit",
        pool_format(pool, "Coverage%s", at),
        pool_percent(pool, found->coverage),
        "share of the items in anyone’s list",
    };
    page_table(story->html, pool, "Rankings of all items, those of the other rows left out", header, 3, cells, 6);
}

static void quality_section(const log_story *story)
{
    const forage_log_study *study = story->study;
    report_pool *pool = story->pool;
    if (!study->has_metrics && !study->has_ranking)
        return;
    page_section(story->html, "quality", "How good it is");
    if (study->has_metrics) {
        page_say(story->html, "Judged on the %s rows: %s of them, %s clicks.", pool_html(pool, study->part),
                 pool_count(pool, study->metrics.count), pool_count(pool, study->metrics.positives));
        if (study->metrics.positives < 50)
            page_say(story->html, "So few clicks settle little: read the intervals before the values.");
        page_metrics(story->html, pool, &study->metrics);
    }
    if (study->has_ranking)
        ranking_table(story);
    figure(story, story->charts->calibration);
    page_end_section(story->html);
}

static void items_section(const log_story *story)
{
    page_section(story->html, "items", "The top items");
    figure(story, story->charts->items);
    page_end_section(story->html);
}

static void method_section(const log_story *story)
{
    const forage_log_study *study = story->study;
    report_pool *pool = story->pool;
    page_section(story->html, "method", "How it was measured");
    report_format(
        story->html,
        "<ul>\n<li>Split <code>%s</code>: %s rows train, %s validate; judged on the %s rows.</li>\n"
        "<li>Intervals of metrics are 95\u00a0%% bootstrap intervals; those of observed rates are Wilson’s.</li>\n"
        "<li>Groups and items count all rows of the log, those that the model was trained on among them.</li>\n"
        "<li>Forage %s on %s; %s s in all.</li>\n</ul>\n",
        pool_html(pool, study->split), pool_count(pool, study->training.train_rows),
        pool_count(pool, study->training.validation_rows), pool_html(pool, study->part),
        pool_html(pool, forage_version()), pool_html(pool, study->training.device),
        pool_fixed(pool, study->seconds, 2));
    if (story->command)
        report_format(story->html, "<p>The same numbers again:</p>\n<pre><code>%s</code></pre>\n",
                      pool_html(pool, story->command));
    page_say(story->html, "All numbers of this page are in <a href=\"log/results.json\">log/results.json</a>.");
    page_end_section(story->html);
}

void log_report_page(const forage_log_study *study, const log_report_charts *charts,
                     const forage_chart_pictures *pictures, const char *problem, const char *command, report_pool *pool,
                     report_text *html)
{
    log_story story = {
        .study = study, .charts = charts, .pictures = pictures, .command = command, .pool = pool, .html = html};
    page_start(html, pool_format(pool, "%s on %s", study->training.model, study->source), "Forage · a log and a model",
               "What the log holds, how a model learned from it, and how far its predictions can be believed.");
    keys(&story);
    if (!pictures)
        page_missing(html, problem);
    data_section(&story);
    training_section(&story);
    quality_section(&story);
    items_section(&story);
    method_section(&story);
    page_finish(html);
}
