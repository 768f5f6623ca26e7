/*
 * ope_log.c: a log row by row: folds, the policy's probabilities, the reward model's estimates.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/ope_log.h"

enum { PLACES_MAX = 10000, FOLDS_MAX = 1000 };

/* ---- positions ---- */

forage_status ope_place_column(const forage_ope_task *task, const forage_dataset *dataset, const forage_column **column,
                               forage_error *error)
{
    const char *name = task->position ? task->position : "position";
    *column = *name ? forage_table_find(&dataset->context, name) : NULL;
    if (!*column && task->position && *name)
        return forage_fail(error, FORAGE_UNKNOWN, "the log has no context column '%.60s' with positions", name);
    return FORAGE_OK;
}

forage_status ope_places(const forage_dataset *dataset, const forage_column *column, const char *source,
                         forage_vocabulary *texts, uint32_t **places, forage_error *error)
{
    forage_status status = FORAGE_OK;
    *places = forage_calloc(dataset->count + 1, sizeof **places);
    if (!*places)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu positions", dataset->count);
    if (!column)
        return forage_vocabulary_add(texts, "", 0, &(*places)[dataset->count], error);
    for (size_t row = 0; row < dataset->count && status == FORAGE_OK; row++) {
        char number[32];
        const char *text = number;
        size_t length = 0;
        if (column->type == FORAGE_NUMERIC && isfinite(column->values[row]))
            length = forage_format_real((double)column->values[row], number);
        else if (column->type == FORAGE_CATEGORICAL && column->codes[row] != FORAGE_NONE)
            text = forage_vocabulary_id(column->vocabulary, column->codes[row], number, &length);
        if (!length)
            status = forage_fail_at(error, FORAGE_FORMAT, source, 0, column->name, "row %zu has no position", row);
        else
            status = forage_vocabulary_add(texts, text, length, &(*places)[row], error);
        if (status == FORAGE_OK && forage_vocabulary_count(texts) > PLACES_MAX)
            status = forage_fail_at(error, FORAGE_INVALID, source, 0, column->name,
                                    "more than %d different positions: is that the right column?", PLACES_MAX);
    }
    return status;
}

/* ---- the log ---- */

void ope_log_release(ope_log *log)
{
    forage_free(log->candidates);
    forage_free(log->index);
    forage_free(log->place);
    forage_free(log->fold);
    forage_free(log->seen);
    forage_vocabulary_free(log->places);
    *log = (ope_log){0};
}

static forage_status check_log(const forage_ope_task *task, forage_error *error)
{
    const forage_dataset *dataset = task->dataset;
    if (!dataset->propensity)
        return forage_fail_at(
            error, FORAGE_FORMAT, task->source, 0, NULL,
            "the log has no propensities (a column 'propensity', the probability with which each item "
            "was shown): nothing can be said about other policies");
    if (!dataset->value)
        return forage_fail_at(error, FORAGE_FORMAT, task->source, 0, NULL,
                              "the log has no column of rewards (clicks, ratings)");
    if (task->folds == 1 || task->folds > FOLDS_MAX)
        return forage_fail(error, FORAGE_INVALID, "2 to %d folds, not %zu", FOLDS_MAX, task->folds);
    return FORAGE_OK;
}

static forage_status find_candidates(ope_log *log, forage_error *error)
{
    const forage_dataset *dataset = log->dataset;
    size_t items = forage_vocabulary_count(dataset->items);
    log->index = forage_alloc(items + 1, sizeof *log->index);
    log->candidates = forage_alloc(items + 1, sizeof *log->candidates);
    if (!log->index || !log->candidates)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu items", items);
    for (size_t i = 0; i < items; i++)
        log->index[i] = FORAGE_NONE;
    for (size_t row = 0; row < dataset->count; row++)
        log->index[dataset->item[row]] = 0;
    for (uint32_t i = 0; i < items; i++) {
        if (log->index[i] == FORAGE_NONE)
            continue;
        log->index[i] = (uint32_t)log->candidate_count;
        log->candidates[log->candidate_count++] = i;
    }
    return FORAGE_OK;
}

/* Users as a whole where they are known, else rows. */
static forage_status draw_folds(ope_log *log, forage_error *error)
{
    const forage_dataset *dataset = log->dataset;
    size_t units = dataset->user ? forage_vocabulary_count(dataset->users) : dataset->count;
    uint16_t *of_unit = forage_alloc(units + 1, sizeof *of_unit);
    forage_rng rng;
    log->fold = forage_alloc(dataset->count + 1, sizeof *log->fold);
    if (!log->fold || !of_unit) {
        forage_free(of_unit);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the folds of %zu rows", dataset->count);
    }
    forage_rng_seed(&rng, log->task->seed);
    for (size_t u = 0; u < units; u++)
        of_unit[u] = (uint16_t)forage_rng_integers(&rng, log->folds);
    for (size_t row = 0; row < dataset->count; row++)
        log->fold[row] = of_unit[dataset->user ? dataset->user[row] : row];
    forage_free(of_unit);
    return FORAGE_OK;
}

forage_status ope_log_create(const forage_ope_task *task, ope_log *log, forage_error *error)
{
    const forage_dataset *dataset = task->dataset;
    forage_status status;
    *log = (ope_log){.task = task, .dataset = dataset, .folds = task->folds ? task->folds : 2};
    FORAGE_TRY(check_log(task, error));
    FORAGE_TRY(ope_place_column(task, dataset, &log->place_column, error));
    FORAGE_TRY(forage_vocabulary_create(&log->places, error));
    FORAGE_TRY_GOTO(ope_places(dataset, log->place_column, task->source, log->places, &log->place, error), fail);
    log->place_count = forage_vocabulary_count(log->places);
    FORAGE_TRY_GOTO(find_candidates(log, error), fail);
    FORAGE_TRY_GOTO(draw_folds(log, error), fail);
    log->seen = forage_calloc(log->place_count * log->candidate_count + 1, sizeof *log->seen);
    if (!log->seen) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu items at %zu positions", log->candidate_count,
                             log->place_count);
        goto fail;
    }
    for (size_t row = 0; row < dataset->count; row++)
        log->seen[log->place[row] * log->candidate_count + log->index[dataset->item[row]]]++;
    return FORAGE_OK;
fail:
    ope_log_release(log);
    return status;
}

/* ---- judging ---- */

typedef struct columns {
    double *target, *predicted, *expected;
    double *probabilities; /* [candidates] */
    float *mean;           /* [candidates] */
    double unseen;
} columns;

static forage_status judge_row(const ope_log *log, const ope_judged *policy, const ope_judged *model, size_t row,
                               columns *made, forage_error *error)
{
    const uint32_t *seen = log->seen + log->place[row] * log->candidate_count;
    uint32_t shown = log->index[log->dataset->item[row]];
    double expected = 0, total = 0, supported = 0;
    FORAGE_TRY(policy->ask(policy->context, log, row, made->probabilities, NULL, error));
    if (model)
        FORAGE_TRY(model->ask(model->context, log, row, NULL, made->mean, error));
    for (size_t k = 0; k < log->candidate_count; k++) {
        double q = made->probabilities[k];
        total += q;
        supported += seen[k] ? q : 0;
        expected += model ? q * (double)made->mean[k] : 0;
    }
    /* What the policy would show beside the log's items is unseen, and worth their average to the model. */
    made->unseen += fmax(1 - supported, 0) / (double)log->dataset->count;
    made->target[row] = made->probabilities[shown];
    if (model) {
        made->predicted[row] = (double)made->mean[shown];
        made->expected[row] = total > 0 ? expected / total : 0;
    }
    return FORAGE_OK;
}

static forage_status judge_rows(const ope_log *log, const ope_judged *policy, const ope_judged *model, columns *made,
                                forage_error *error)
{
    size_t done = 0, count = log->dataset->count;
    for (size_t fold = 0; fold < log->folds; fold++) {
        FORAGE_TRY(policy->learn(policy->context, log, fold, error));
        if (model)
            FORAGE_TRY(model->learn(model->context, log, fold, error));
        for (size_t row = 0; row < count; row++) {
            if (log->fold[row] != fold)
                continue;
            FORAGE_TRY(judge_row(log, policy, model, row, made, error));
            if (++done % 256 == 0 && !forage_progress_report(log->task->progress, "judging", done, count, NULL))
                return forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
        }
    }
    return FORAGE_OK;
}

forage_status ope_judge(const ope_log *log, const ope_judged *policy, const ope_judged *model, forage_ope *result,
                        forage_error *error)
{
    const forage_dataset *dataset = log->dataset;
    size_t count = dataset->count, candidates = log->candidate_count;
    forage_status status;
    columns made = {
        .target = forage_alloc(count + 1, sizeof *made.target),
        .predicted = forage_alloc(count + 1, sizeof *made.predicted),
        .expected = forage_alloc(count + 1, sizeof *made.expected),
        .probabilities = forage_alloc(candidates + 1, sizeof *made.probabilities),
        .mean = forage_alloc(candidates + 1, sizeof *made.mean),
    };
    if (!made.target || !made.predicted || !made.expected || !made.probabilities || !made.mean) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for the estimates of %zu rows", count);
        goto done;
    }
    FORAGE_TRY_GOTO(judge_rows(log, policy, model, &made, error), done);
    const forage_ope_rows rows = {
        .count = count,
        .propensity = dataset->propensity,
        .target = made.target,
        .reward = dataset->value,
        .predicted = model ? made.predicted : NULL,
        .expected = model ? made.expected : NULL,
        .group = dataset->user,
    };
    FORAGE_TRY_GOTO(forage_ope_compute(&rows, &log->task->options, result, error), done);
    result->unseen = made.unseen;
done:
    if (status != FORAGE_OK && error && !error->file[0] && log->task->source)
        snprintf(error->file, sizeof error->file, "%s", log->task->source);
    forage_free(made.target);
    forage_free(made.predicted);
    forage_free(made.expected);
    forage_free(made.probabilities);
    forage_free(made.mean);
    return status;
}
