/*
 * moment.c: logs of random traffic with a known truth, and who predicts them in chapter 3.
 *
 * Settings were chosen in other worlds (docs/evaluation.md says how).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/chapter3.h"

#include <math.h>
#include <string.h>

static const char no_memory[] = "not enough memory for an experiment";

/* ------------------------------------------------------------------ *
 * Logs
 * ------------------------------------------------------------------ */

static forage_status add_categories(forage_dataset *data, size_t items, const uint32_t *code, char *const *names,
                                    size_t name_count, forage_error *error)
{
    forage_column *column;
    data->item_attributes.rows = items;
    FORAGE_TRY(forage_table_add(&data->item_attributes, "category", FORAGE_CATEGORICAL, &column, error));
    for (size_t c = 0; c < name_count; ++c) {
        uint32_t added;
        FORAGE_TRY(forage_vocabulary_add(column->vocabulary, names[c], strlen(names[c]), &added, error));
    }
    memcpy(column->codes, code, items * sizeof *code);
    return FORAGE_OK;
}

static forage_status create_log(size_t users, size_t items, const uint32_t *code, char *const *names, size_t name_count,
                                bool timed, moment_log *log, forage_error *error)
{
    FORAGE_TRY(forage_dataset_create(&log->data, error));
    forage_dataset *data = log->data;
    forage_vocabulary_free(data->users);
    forage_vocabulary_free(data->items);
    data->users = data->items = NULL;
    FORAGE_TRY(forage_vocabulary_create_numbered(users, &data->users, error));
    FORAGE_TRY(forage_vocabulary_create_numbered(items, &data->items, error));
    data->user_attributes.rows = users;
    data->user = forage_alloc(log->capacity, sizeof *data->user);
    data->item = forage_alloc(log->capacity, sizeof *data->item);
    data->value = forage_alloc(log->capacity, sizeof *data->value);
    data->time = timed ? forage_alloc(log->capacity, sizeof *data->time) : NULL;
    log->bayes = forage_alloc(log->capacity, sizeof *log->bayes);
    log->truth = forage_alloc(log->capacity, sizeof *log->truth);
    log->place = forage_alloc(log->capacity, sizeof *log->place);
    if (!data->user || !data->item || !data->value || (timed && !data->time) || !log->bayes || !log->truth ||
        !log->place)
        return forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    data->count = data->train_rows = data->context.rows = log->capacity;
    return add_categories(data, items, code, names, name_count, error);
}

forage_status moment_log_create(size_t users, size_t items, const uint32_t *code, char *const *names, size_t name_count,
                                size_t capacity, bool timed, moment_log *log, forage_error *error)
{
    *log = (moment_log){.capacity = capacity};
    forage_status status = create_log(users, items, code, names, name_count, timed, log, error);
    if (status != FORAGE_OK)
        moment_log_release(log);
    return status;
}

void moment_log_release(moment_log *log)
{
    forage_dataset_free(log->data);
    forage_free(log->bayes);
    forage_free(log->truth);
    forage_free(log->place);
    *log = (moment_log){0};
}

/* ------------------------------------------------------------------ *
 * Who predicts
 * ------------------------------------------------------------------ */

#define STEPS                                                                                                   \
    {"learning-rate", "0.003"}, {"epochs", "5"}, {"schedule", "cosine"}, {"patience", "2"}, {"averaging", "0"}, \
    {                                                                                                           \
        "embedding-decay", "3e-4"                                                                               \
    }
static const char *const blind[][2] = {{"encoder", "none"}, STEPS};
static const char *const bag[][2] = {{"encoder", "mean"}, {"history", "positive"}, {"position", "none"}, STEPS};
static const char *const sequence[][2] = {{"history", "all"}, {"heads", "4"}, {"dropout", "0"}, STEPS};
#undef STEPS

const moment_arm moment_bayes = {
    "bayes", "knows every click rate and how people change, and filters who this is from what they did", NULL, NULL, 0};
const moment_arm moment_oracle = {"oracle", "knows every click probability", NULL, NULL, 0};
const moment_arm moment_blind = {"history-blind", "the same network, which is told the product alone", "bst", blind,
                                 sizeof blind / sizeof *blind};
const moment_arm moment_bag = {"bag of history", "the same network over the mean of what was clicked, in no order",
                               "bst", bag, sizeof bag / sizeof *bag};
const moment_arm moment_sequence = {"bst",
                                    "the behaviour-sequence transformer: what was shown, clicked or not, and when",
                                    "bst", sequence, sizeof sequence / sizeof *sequence};

/* One row in twenty of those to learn from says when to stop. */
enum { WATCHED = 20 };

static forage_status fit(const eval_study *study, const moment_log *log, const moment_arm *arm, uint64_t seed,
                         forage_model **model, forage_error *error)
{
    const forage_model_info *info;
    forage_params *params = NULL;
    forage_split split = {0};
    const forage_fit_options options = {.device = &study->device, .seed = seed, .progress = study->watch};
    uint32_t *rows = forage_alloc(log->learned, sizeof *rows);
    forage_status status =
        rows ? forage_model_find(arm->model, &info, error) : forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    if (status == FORAGE_OK)
        status = forage_params_create(&info->table, &params, error);
    for (size_t i = 0; status == FORAGE_OK && i < arm->count; ++i)
        status = forage_params_set(params, arm->settings[i][0], arm->settings[i][1], error);
    if (status == FORAGE_OK) {
        split.train = rows;
        split.validation = rows + (log->learned - log->learned / WATCHED);
        for (uint32_t row = 0; row < log->learned; ++row) {
            if (row % WATCHED == WATCHED - 1)
                split.validation[split.validation_count++] = row;
            else
                split.train[split.train_count++] = row;
        }
        status = forage_model_fit(info, params, log->data, &split, &options, NULL, model, error);
    }
    forage_params_free(params);
    forage_free(rows);
    return status;
}

/* predicted[rows to predict] */
static forage_status predict(const eval_study *study, const moment_log *log, const moment_arm *arm, uint64_t seed,
                             float *predicted, forage_error *error)
{
    size_t count = log->data->count - log->learned;
    forage_model *model = NULL;
    forage_binding *binding = NULL;
    forage_status status;
    uint32_t *rows = forage_alloc(count, sizeof *rows);
    if (!rows)
        return forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    for (size_t i = 0; i < count; ++i)
        rows[i] = (uint32_t)(log->learned + i);
    FORAGE_TRY_GOTO(fit(study, log, arm, seed, &model, error), end);
    FORAGE_TRY_GOTO(forage_model_bind(model, log->data, FORAGE_UNKNOWN_AVERAGE, NULL, &binding, error), end);
    FORAGE_TRY_GOTO(forage_model_score(binding, rows, count, predicted, NULL, error), end);
end:
    forage_binding_free(binding);
    forage_model_free(model);
    forage_free(rows);
    return status;
}

/* ------------------------------------------------------------------ *
 * How well
 * ------------------------------------------------------------------ */

size_t moment_size(size_t arms, size_t points)
{
    return arms * (2 * points + MOMENT_TOTALS);
}

static double *found_of(double *found, size_t arm, size_t points)
{
    return found + moment_size(arm, points);
}

/* What a prediction costs on average over what its user might have done, as the truth has it: the luck of the single
 * click is left out, which is the same for everybody. */
static double loss_of(float p, float truth)
{
    double q = fmin(fmax((double)p, 0x1p-23), 1 - 0x1p-23); /* as forage_metrics does */
    return -(double)truth * log(q) - (1 - (double)truth) * log1p(-q);
}

/* Log losses by point, of all and of late rows; then AUC. MOMENT_MORE and MOMENT_LATE hold losses still. */
static forage_status judge(const moment_log *log, const float *predicted, size_t points, size_t late, double *found,
                           forage_error *error)
{
    const float *clicked = log->data->value + log->learned;
    size_t rows = log->data->count - log->learned, late_rows = 0;
    size_t *count = forage_calloc(points, sizeof *count);
    double *totals = found + 2 * points;
    if (!count)
        return forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    memset(found, 0, moment_size(1, points) * sizeof *found);
    for (size_t i = 0; i < rows; ++i) {
        size_t place = log->place[log->learned + i];
        double loss = loss_of(predicted[i], log->truth[log->learned + i]);
        found[place] += loss;
        count[place]++;
        totals[MOMENT_LOSS] += loss;
        totals[MOMENT_LATE] += place >= late ? loss : 0;
        late_rows += place >= late;
    }
    for (size_t p = 0; p < points; ++p)
        found[p] = count[p] ? found[p] / (double)count[p] : (double)NAN;
    totals[MOMENT_LOSS] /= (double)rows;
    totals[MOMENT_LATE] = late_rows ? totals[MOMENT_LATE] / (double)late_rows : (double)NAN;
    forage_free(count);
    return forage_auc(predicted, clicked, rows, &totals[MOMENT_AUC], error);
}

/* Losses beside those of `bayes`, which comes last itself. */
static void compare(double *found, size_t count, size_t bayes, size_t points)
{
    const double *least = found_of(found, bayes, points);
    double late = least[2 * points + MOMENT_LATE];
    for (size_t a = 0; a < count; ++a) {
        double *mine = found_of(found, a, points), *totals = mine + 2 * points;
        for (size_t p = 0; p < points; ++p)
            mine[points + p] = mine[p] / least[p] - 1;
        totals[MOMENT_MORE] = totals[MOMENT_LOSS] / least[2 * points + MOMENT_LOSS] - 1;
        totals[MOMENT_LATE] = totals[MOMENT_LATE] / late - 1;
    }
}

forage_status moment_measure(const eval_study *study, const moment_log *log, const moment_arm *const *arms,
                             size_t count, size_t bayes, size_t points, size_t late, uint64_t seed, double *found,
                             forage_error *error)
{
    forage_status status = FORAGE_OK;
    float *predicted = forage_alloc(log->data->count - log->learned, sizeof *predicted);
    if (!predicted)
        return forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    for (size_t a = 0; a < count && status == FORAGE_OK; ++a) {
        const float *from = predicted;
        if (arms[a]->model)
            status = predict(study, log, arms[a], seed, predicted, error);
        else
            from = (a == bayes ? log->bayes : log->truth) + log->learned;
        if (status == FORAGE_OK)
            status = judge(log, from, points, late, found_of(found, a, points), error);
    }
    if (status == FORAGE_OK)
        compare(found, count, bayes, points);
    forage_free(predicted);
    return status;
}

/* ------------------------------------------------------------------ *
 * The record
 * ------------------------------------------------------------------ */

static forage_status create_table(const moment_arm *const *arms, size_t count, size_t points,
                                  forage_predictor_table *table, forage_error *error)
{
    *table = (forage_predictor_table){.point_count = points};
    table->points = forage_alloc(points, sizeof *table->points);
    table->predictors = forage_calloc(count, sizeof *table->predictors);
    bool failed = !table->points || !table->predictors;
    for (size_t a = 0; !failed && a < count; ++a) {
        forage_predictor *one = &table->predictors[table->predictor_count++];
        eval_name(one->name, sizeof one->name, arms[a]->name);
        eval_name(one->note, sizeof one->note, arms[a]->note);
        one->log_loss = forage_calloc(2 * points, sizeof *one->log_loss); /* both */
        failed = !one->log_loss;
        one->excess = failed ? NULL : one->log_loss + points;
    }
    if (failed)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
    for (size_t p = 0; p < points; ++p)
        table->points[p] = (double)p + 1;
    return FORAGE_OK;
}

forage_status moment_table(const double *found, size_t worlds, size_t size, size_t first, const moment_arm *const *arms,
                           size_t count, size_t sequence_arm, size_t points, size_t late, forage_predictor_table *table,
                           forage_error *error)
{
    FORAGE_TRY(create_table(arms, count, points, table, error));
    table->late = (double)late + 1;
    size_t best = first + moment_size(sequence_arm, points) + 2 * points;
    for (size_t a = 0; a < count; ++a) {
        forage_predictor *one = &table->predictors[a];
        size_t mine = first + moment_size(a, points), totals = mine + 2 * points;
        for (size_t p = 0; p < points; ++p) {
            one->log_loss[p] = eval_over_worlds(found, worlds, size, mine + p);
            one->excess[p] = eval_over_worlds(found, worlds, size, mine + points + p);
        }
        one->loss = eval_over_worlds(found, worlds, size, totals + MOMENT_LOSS);
        one->more = eval_over_worlds(found, worlds, size, totals + MOMENT_MORE);
        one->late = eval_over_worlds(found, worlds, size, totals + MOMENT_LATE);
        one->auc = eval_over_worlds(found, worlds, size, totals + MOMENT_AUC);
        one->loss_behind = eval_difference_over_worlds(found, worlds, size, totals + MOMENT_LOSS, best + MOMENT_LOSS);
        one->auc_behind = eval_difference_over_worlds(found, worlds, size, best + MOMENT_AUC, totals + MOMENT_AUC);
    }
    return FORAGE_OK;
}

void moment_table_release(forage_predictor_table *table)
{
    for (size_t a = 0; a < table->predictor_count; ++a)
        forage_free(table->predictors[a].log_loss);
    forage_free(table->predictors);
    forage_free(table->points);
    *table = (forage_predictor_table){0};
}
