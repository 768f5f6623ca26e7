/*
 * log_study.c: a log of one's own: fits a model, judges it, and compares observed and predicted rates by groups of
 * rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/intern.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_MOST = 16, BREAKDOWNS_MOST = 4, DEFAULT_CUTOFF = 20 };

typedef struct log_work {
    const forage_dataset *dataset;
    const forage_split *split;
    const forage_log_study_options *options;
    forage_model *model;
    forage_binding *binding;
    forage_device device;
    float *predicted; /* [rows of the log], NULL when values are not predicted */
    const uint32_t *rows;
    size_t row_count;
    uint32_t *others; /* the rows that are not judged, except where all are */
    size_t other_count;
    uint32_t *every; /* 0, 1, 2 ... */
} log_work;

static void name_to(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "");
}

static bool is_positive(const log_work *work, size_t row)
{
    float value = work->dataset->value[row];
    return work->options->positive > 0 ? (double)value >= work->options->positive : value > 0;
}

/* Wilson's interval for a share (Wilson 1927), 95 %. */
static forage_estimate share_of(size_t positives, size_t rows)
{
    if (rows == 0)
        return (forage_estimate){NAN, NAN, NAN};
    double z = 1.959963984540054, n = (double)rows, p = (double)positives / n;
    double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (forage_estimate){p, fmax(0, middle - half), fmin(1, middle + half)};
}

/* ------------------------------------------------------------------ *
 * Groups
 * ------------------------------------------------------------------ */

typedef struct tally {
    uint32_t code;
    size_t rows, positives;
    double predicted;
} tally;

static int by_code(const void *left, const void *right)
{
    const tally *a = left, *b = right;
    return (a->code > b->code) - (a->code < b->code);
}

static int by_rows(const void *left, const void *right)
{
    const tally *a = left, *b = right;
    return a->rows != b->rows ? (a->rows < b->rows) - (a->rows > b->rows) : by_code(left, right);
}

static int by_prediction(const void *left, const void *right)
{
    const tally *a = left, *b = right;
    double x = a->rows ? a->predicted / (double)a->rows : -1, y = b->rows ? b->predicted / (double)b->rows : -1;
    return x != y ? (x < y) - (x > y) : by_code(left, right);
}

static tally *count_rows(const log_work *work, const uint32_t *codes, size_t distinct)
{
    tally *tallies = forage_calloc(distinct, sizeof *tallies);
    for (size_t c = 0; tallies && c < distinct; ++c)
        tallies[c].code = (uint32_t)c;
    for (size_t row = 0; tallies && row < work->dataset->count; ++row) {
        if (codes[row] >= distinct)
            continue;
        tally *mine = &tallies[codes[row]];
        mine->rows += 1;
        mine->positives += work->dataset->value && is_positive(work, row);
        mine->predicted += work->predicted ? (double)work->predicted[row] : 0;
    }
    return tallies;
}

/* Keeps the first `most` of the tallies in `order`; those of few rows are of no use. */
static forage_status breakdown(const log_work *work, const char *column, const uint32_t *codes,
                               const forage_vocabulary *vocabulary, int (*order)(const void *, const void *),
                               forage_log_breakdown *result, forage_error *error)
{
    size_t distinct = forage_vocabulary_count(vocabulary);
    tally *tallies = count_rows(work, codes, distinct);
    result->groups = forage_calloc(GROUPS_MOST, sizeof *result->groups);
    if (!tallies || !result->groups) {
        forage_free(tallies);
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the groups of '%s'", column);
    }
    name_to(result->column, sizeof result->column, column);
    qsort(tallies, distinct, sizeof *tallies, order);
    for (size_t c = 0; c < distinct; ++c) {
        const tally *from = &tallies[c];
        if (from->rows == 0)
            continue;
        result->distinct += 1;
        if (result->count == GROUPS_MOST)
            continue;
        forage_log_group *to = &result->groups[result->count++];
        char number[24];
        name_to(to->name, sizeof to->name, forage_vocabulary_id(vocabulary, from->code, number, NULL));
        to->rows = from->rows;
        to->positives = from->positives;
        to->observed = work->dataset->value ? share_of(from->positives, from->rows) : (forage_estimate){NAN, NAN, NAN};
        to->predicted = work->predicted ? from->predicted / (double)from->rows : NAN;
    }
    forage_free(tallies);
    return FORAGE_OK;
}

/* A name that is a number counts as one: positions 1, 2, 3 in that order. */
static int by_name(const void *left, const void *right)
{
    const forage_log_group *a = left, *b = right;
    double x, y;
    if (forage_parse_real(a->name, strlen(a->name), &x) && forage_parse_real(b->name, strlen(b->name), &y) && x != y)
        return x < y ? -1 : 1;
    return strcmp(a->name, b->name);
}

static bool is_position(const forage_column *column)
{
    return strstr(column->name, "position") || strstr(column->name, "rank") || strstr(column->name, "slot");
}

/* Context columns of few values: positions first. */
static forage_status break_down(const log_work *work, forage_log_study *study, forage_error *error)
{
    const forage_table *context = &work->dataset->context;
    study->breakdowns = forage_calloc(BREAKDOWNS_MOST, sizeof *study->breakdowns);
    if (!study->breakdowns)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for groups");
    for (int pass = 0; pass < 2; ++pass) {
        for (size_t c = 0; c < context->column_count && study->breakdown_count < BREAKDOWNS_MOST; ++c) {
            const forage_column *column = &context->columns[c];
            if (column->type != FORAGE_CATEGORICAL || is_position(column) != (pass == 0))
                continue;
            size_t distinct = forage_vocabulary_count(column->vocabulary);
            if (distinct < 2 || distinct > GROUPS_MOST)
                continue;
            forage_log_breakdown *next = &study->breakdowns[study->breakdown_count++];
            FORAGE_TRY(breakdown(work, column->name, column->codes, column->vocabulary, by_rows, next, error));
            qsort(next->groups, next->count, sizeof *next->groups, by_name);
        }
    }
    return breakdown(work, work->dataset->item_name ? work->dataset->item_name : "item", work->dataset->item,
                     work->dataset->items, work->predicted ? by_prediction : by_rows, &study->items_by_prediction,
                     error);
}

/* ------------------------------------------------------------------ *
 * Fitting and judging
 * ------------------------------------------------------------------ */

static void describe_log(const log_work *work, forage_log_study *study)
{
    const forage_dataset *dataset = work->dataset;
    study->rows = dataset->count;
    study->users = dataset->users ? forage_vocabulary_count(dataset->users) : 0;
    study->items = forage_vocabulary_count(dataset->items);
    study->has_values = dataset->value != NULL;
    study->rate = study->propensity_low = study->propensity_high = NAN;
    for (size_t row = 0; dataset->value && row < dataset->count; ++row)
        study->positives += is_positive(work, row);
    if (dataset->value)
        study->rate = (double)study->positives / (double)dataset->count;
    for (size_t row = 0; dataset->propensity && row < dataset->count; ++row) {
        double propensity = (double)dataset->propensity[row];
        study->propensity_low = row > 0 ? fmin(study->propensity_low, propensity) : propensity;
        study->propensity_high = row > 0 ? fmax(study->propensity_high, propensity) : propensity;
    }
}

static forage_status describe_model(const log_work *work, forage_log_study *study, forage_error *error)
{
    const forage_schema *schema = forage_model_schema(work->model);
    study->fields = forage_calloc(schema->field_count ? schema->field_count : 1, sizeof *study->fields);
    if (!study->fields)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the names of fields");
    study->field_count = schema->field_count;
    for (size_t f = 0; f < schema->field_count; ++f)
        name_to(study->fields[f], sizeof study->fields[f], schema->fields[f].name);
    study->weights = forage_model_weight_count(work->model);
    return FORAGE_OK;
}

/* Log loss of one rate for all rows: that of the training rows, as known before. */
static double base_loss(const log_work *work, const uint32_t *rows, size_t count)
{
    const forage_split *split = work->split;
    size_t positives = 0, judged = 0;
    for (size_t i = 0; i < split->train_count; ++i)
        positives += is_positive(work, split->train[i]);
    for (size_t i = 0; i < count; ++i)
        judged += is_positive(work, rows[i]);
    double rate = ((double)positives + 0.5) / ((double)split->train_count + 1), share = (double)judged / (double)count;
    return -share * log(rate) - (1 - share) * log1p(-rate);
}

static forage_status record_training(const log_work *work, const forage_fit_report *fit, forage_log_study *study,
                                     forage_error *error)
{
    forage_training_record *training = &study->training;
    name_to(training->model, sizeof training->model, forage_model_info_of(work->model)->name);
    name_to(training->device, sizeof training->device, work->device.name);
    training->train_loss = forage_calloc(fit->epoch_count + 1, sizeof *training->train_loss);
    training->validation_loss = forage_calloc(fit->epoch_count + 1, sizeof *training->validation_loss);
    if (!training->train_loss || !training->validation_loss)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu epochs", fit->epoch_count);
    for (size_t e = 0; e < fit->epoch_count; ++e) {
        training->train_loss[e] = fit->epochs[e].train_loss;
        training->validation_loss[e] = fit->epochs[e].validation_loss;
    }
    training->epochs = fit->epoch_count;
    training->best_epoch = fit->best_epoch;
    training->train_rows = fit->train_count;
    training->validation_rows = fit->validation_count;
    training->seconds = fit->seconds;
    training->oracle_validation = training->oracle_pairs = training->base_validation = NAN;
    if (study->has_values && work->split->validation_count > 0)
        training->base_validation = base_loss(work, work->split->validation, work->split->validation_count);
    return FORAGE_OK;
}

static forage_status fit(log_work *work, const forage_model_info *info, forage_log_study *study, forage_error *error)
{
    forage_fit_options options = work->options->fit;
    if (options.device)
        work->device = *options.device;
    else
        FORAGE_TRY(forage_device_open("auto", 0, &work->device, error));
    options.device = &work->device;
    forage_fit_report report = {0};
    forage_status status = forage_model_fit(info, work->options->params, work->dataset, work->split, &options, &report,
                                            &work->model, error);
    if (status == FORAGE_OK)
        status = record_training(work, &report, study, error);
    forage_fit_report_release(&report);
    FORAGE_TRY(status);
    FORAGE_TRY(describe_model(work, study, error));
    return forage_model_bind(work->model, work->dataset, FORAGE_UNKNOWN_AVERAGE, work->options->source, &work->binding,
                             error);
}

static forage_status choose_rows(log_work *work, forage_log_study *study, forage_error *error)
{
    const forage_split *split = work->split;
    size_t count = work->dataset->count;
    work->every = forage_alloc(count, sizeof *work->every);
    work->others = forage_alloc(split->train_count + split->validation_count, sizeof *work->others);
    if (!work->every || !work->others)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu rows", count);
    for (size_t row = 0; row < count; ++row)
        work->every[row] = (uint32_t)row;
    bool tested = split->test_count > 0, validated = split->validation_count > 0;
    name_to(study->part, sizeof study->part, tested ? "test" : validated ? "validation" : "all");
    work->rows = tested ? split->test : validated ? split->validation : work->every;
    work->row_count = tested ? split->test_count : validated ? split->validation_count : count;
    if (!tested && !validated)
        return FORAGE_OK;
    memcpy(work->others, split->train, split->train_count * sizeof *work->others);
    work->other_count = split->train_count;
    if (tested && validated) {
        memcpy(work->others + work->other_count, split->validation, split->validation_count * sizeof *work->others);
        work->other_count += split->validation_count;
    }
    return FORAGE_OK;
}

static forage_status judge_predictions(log_work *work, forage_log_study *study, forage_error *error)
{
    bool probability = forage_model_info_of(work->model)->capabilities & FORAGE_GIVES_PROBABILITY;
    if (!study->has_values)
        return FORAGE_OK;
    forage_metrics_options options = {.bootstrap = work->options->bootstrap, .threads = work->device.threads};
    FORAGE_TRY(forage_metrics_of_model(work->model, work->binding, work->dataset, work->rows, work->row_count,
                                       work->options->positive, NULL, &options, &study->metrics, error));
    study->has_metrics = true;
    if (!probability)
        return FORAGE_OK;
    work->predicted = forage_alloc(work->dataset->count, sizeof *work->predicted);
    if (!work->predicted)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu predictions", work->dataset->count);
    return forage_model_score(work->binding, work->every, work->dataset->count, work->predicted, NULL, error);
}

static forage_status judge_ranking(log_work *work, forage_log_study *study, forage_error *error)
{
    if (!work->dataset->user || work->other_count == 0)
        return FORAGE_OK;
    forage_seen seen = {0}, test = {0};
    size_t cutoff = work->options->ranking_cutoff ? work->options->ranking_cutoff : DEFAULT_CUTOFF;
    bool positive_only = study->has_values;
    forage_status status = forage_seen_create(work->dataset, work->rows, work->row_count, positive_only, &test, error);
    if (status == FORAGE_OK)
        status = forage_seen_create(work->dataset, work->others, work->other_count, positive_only, &seen, error);
    if (status == FORAGE_OK && test.user_count > 0 && test.offsets[test.user_count] > 0) {
        forage_ranking_task task = {.seen = &seen, .test = &test, .items = study->items};
        forage_ranking_options options = {.cutoffs = &cutoff,
                                          .cutoff_count = 1,
                                          .bootstrap = work->options->bootstrap,
                                          .threads = work->device.threads,
                                          .progress = work->options->fit.progress};
        status = forage_ranking_of_model(work->binding, &task, &options, &study->ranking, error);
        study->has_ranking = status == FORAGE_OK;
        if (status == FORAGE_INVALID) { /* nobody has anything left to be ranked: no metric, but no failure */
            status = FORAGE_OK;
            if (error)
                *error = (forage_error){0};
        }
    }
    forage_seen_release(&seen);
    forage_seen_release(&test);
    return status;
}

forage_status forage_log_study_run(const forage_model_info *info, const forage_dataset *dataset,
                                   const forage_split *split, const forage_log_study_options *options,
                                   forage_log_study *study, forage_error *error)
{
    double begin = forage_clock();
    log_work work = {.dataset = dataset, .split = split, .options = options};
    *study = (forage_log_study){0};
    if (dataset->count == 0)
        return forage_fail(error, FORAGE_INVALID, "the log has no rows");
    name_to(study->source, sizeof study->source, options->source);
    name_to(study->split, sizeof study->split, options->split_name);
    describe_log(&work, study);
    forage_status status;
    FORAGE_TRY_GOTO(fit(&work, info, study, error), end);
    FORAGE_TRY_GOTO(choose_rows(&work, study, error), end);
    /* Who is known by a history is not known by the rows that judge. */
    FORAGE_TRY_GOTO(forage_binding_history(work.binding, work.others, work.other_count, error), end);
    FORAGE_TRY_GOTO(judge_predictions(&work, study, error), end);
    FORAGE_TRY_GOTO(judge_ranking(&work, study, error), end);
    FORAGE_TRY_GOTO(break_down(&work, study, error), end);
    study->seconds = forage_clock() - begin;
end:
    forage_binding_free(work.binding);
    forage_model_free(work.model);
    forage_free(work.predicted);
    forage_free(work.every);
    forage_free(work.others);
    return status;
}

void forage_log_study_release(forage_log_study *study)
{
    for (size_t b = 0; b < study->breakdown_count; ++b)
        forage_free(study->breakdowns[b].groups);
    forage_free(study->breakdowns);
    forage_free(study->items_by_prediction.groups);
    forage_free(study->fields);
    forage_free(study->training.train_loss);
    forage_free(study->training.validation_loss);
    *study = (forage_log_study){0};
}
