/*
 * fit.c: the loop of fitting. A model does one bounded step after another; between
 * steps the front keeps the report, shows progress, and writes the state
 * from which an interrupted fit goes on. A state file is a checkpoint with the
 * model's own metadata (metadata.c), what the model's fit_save adds, and:
 *
 *   forage.fit         version of this layout, "2"
 *   forage.fit.seed    seed of the fit
 *   forage.fit.data    a hash of the coded training and validation rows
 *   forage.fit.start   a hash of the model that the fit began from, if one was given
 *   forage.fit.epochs  tensor F64 [epochs, 4]: train loss, validation loss and metric, seconds
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double SECONDS_BETWEEN_STATES = 10;

typedef struct fit_task {
    const forage_fit_options *options;
    forage_model *model;
    model_columns columns;
    model_coded train, validation;
    model_past train_past, validation_past; /* of models that read histories */
    model_fit_input input;
    model_fit *fit;
    forage_fit_report *report;
    size_t epoch_room;
    char data_hash[20], start_hash[20], seed[24]; /* start_hash "": from nothing */
    double start, before;                         /* clock at the start; seconds that earlier runs of this fit took */
    double saved_at;
    size_t saved_epoch;
    bool keeps;   /* the best of a fit that diverged */
    double begun; /* clock when the first step was done; what was done by then */
    uint64_t done_before;
} fit_task;

void forage_fit_report_release(forage_fit_report *report)
{
    forage_free(report->epochs);
    *report = (forage_fit_report){0};
}

/* ---- checks ---- */

static forage_status check_rewards(const model_type *type, const forage_dataset *dataset, const uint32_t *rows,
                                   size_t count, const char *source, forage_error *error)
{
    const char *name = dataset->value_name ? dataset->value_name : "value";
    for (size_t i = 0; i < count; i++) {
        float value = dataset->value[rows[i]];
        if (isfinite(value) && value >= type->minimum_reward && value <= type->maximum_reward)
            continue;
        char number[32], low[32], high[32];
        forage_format_real((double)value, number);
        forage_format_real((double)type->minimum_reward, low);
        forage_format_real((double)type->maximum_reward, high);
        if (!isfinite(value))
            return forage_fail_at(error, FORAGE_FORMAT, source, 0, name,
                                  "row %" PRIu32 " of the log: %s is not a reward", rows[i] + 1, number);
        return forage_fail_at(error, FORAGE_FORMAT, source, 0, name,
                              "row %" PRIu32 " of the log: %s is a reward of %s, which must lie in [%s, %s]",
                              rows[i] + 1, number, type->info.name, low, high);
    }
    return FORAGE_OK;
}

forage_status model_check_rows(const model_type *type, const forage_dataset *dataset, const uint32_t *rows,
                               size_t count, const char *source, forage_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i] >= dataset->count)
            return forage_fail(error, FORAGE_INVALID, "the split names row %" PRIu32 " of a log of %zu rows",
                               rows[i] + 1, dataset->count);
    }
    if ((type->reads & (MODEL_NEEDS_USER | MODEL_READS_HISTORY)) && (!dataset->users || !dataset->user))
        return forage_fail_at(error, FORAGE_FORMAT, source, 0, NULL,
                              "%s learns from who chose what; this log names no users", type->info.name);
    if (dataset->value)
        return check_rewards(type, dataset, rows, count, source, error);
    if (type->reads & MODEL_NEEDS_REWARD)
        return forage_fail_at(error, FORAGE_FORMAT, source, 0, NULL,
                              "%s learns from what was clicked and what was not; this log has no such column%s",
                              type->info.name,
                              dataset->users ? " (of a log of choices, forage export --din SEED makes one)" : "");
    return FORAGE_OK;
}

static forage_status check_input(const model_type *type, const forage_dataset *dataset, const forage_split *split,
                                 const char *source, forage_error *error)
{
    if (!type || !(type->info.capabilities & FORAGE_CAN_FIT))
        return forage_fail(error, FORAGE_UNSUPPORTED,
                           "%s cannot be fitted to a log: it learns event by event, in a pipeline (forage arena)",
                           type ? type->info.name : "this model");
    if (split->train_count == 0)
        return forage_fail_at(error, FORAGE_FORMAT, source, 0, NULL, "there are no rows to learn from");
    FORAGE_TRY(model_check_rows(type, dataset, split->train, split->train_count, source, error));
    return model_check_rows(type, dataset, split->validation, split->validation_count, source, error);
}

/* ---- the state file ---- */

/* FNV-1a over 32-bit words: tells logs apart, not adversaries. */
static uint64_t hash_words(uint64_t hash, const void *words, size_t count)
{
    const unsigned char *bytes = words;
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, bytes + 4 * i, 4);
        hash = (hash ^ word) * 0x100000001B3U;
        hash ^= hash >> 32;
    }
    return hash;
}

static uint64_t hash_examples(uint64_t hash, const model_coded *coded, size_t fields)
{
    size_t count = coded->examples.count;
    for (size_t f = 0; f < fields; f++)
        hash =
            hash_words(hash, coded->codes[f] ? (const void *)coded->codes[f] : (const void *)coded->values[f], count);
    if (coded->reward)
        hash = hash_words(hash, coded->reward, count);
    if (coded->time)
        hash = hash_words(hash, coded->time, 2 * count);
    return (hash ^ count) * 0x100000001B3U;
}

/* Where the sequences and what the examples see of them begin and end is part of it. */
static uint64_t hash_past(uint64_t hash, const model_past *past, size_t examples)
{
    enum { WORDS = sizeof(size_t) / 4 };
    size_t events = past->past.sequences ? past->past.offsets[past->past.sequences] : 0;
    for (size_t f = 0; f < past->field_count; f++) {
        if (past->codes[f])
            hash = hash_words(hash, past->codes[f], events);
        if (past->values[f])
            hash = hash_words(hash, past->values[f], events);
    }
    if (past->reward)
        hash = hash_words(hash, past->reward, events);
    if (past->time)
        hash = hash_words(hash, past->time, 2 * events);
    if (events)
        hash = hash_words(hash, past->past.offsets, WORDS * past->past.sequences);
    if (past->begin) {
        hash = hash_words(hash, past->begin, WORDS * examples);
        hash = hash_words(hash, past->end, WORDS * examples);
    }
    return (hash ^ events) * 0x100000001B3U;
}

/* By what it would write into its file. */
static forage_status hash_model(const forage_model *model, uint64_t *hash, forage_error *error)
{
    nn_checkpoint *checkpoint;
    FORAGE_TRY(nn_checkpoint_create(&checkpoint, error));
    forage_status status = model->type->save(model->state, checkpoint, error);
    for (size_t i = 0; status == FORAGE_OK && i < nn_checkpoint_count(checkpoint); i++) {
        const nn_tensor *tensor = nn_checkpoint_at(checkpoint, i);
        *hash = hash_words(*hash, tensor->bytes, tensor->size / 4);
    }
    nn_checkpoint_free(checkpoint);
    return status;
}

static forage_status identify(fit_task *task, forage_error *error)
{
    uint64_t hash = 0xCBF29CE484222325U;
    hash = hash_examples(hash, &task->train, task->columns.count);
    hash = hash_examples(hash, &task->validation, task->columns.count);
    if (model_reads_history(task->model->type)) {
        hash = hash_past(hash, &task->train_past, task->train.examples.count);
        hash = hash_past(hash, &task->validation_past, task->validation.examples.count);
    }
    snprintf(task->data_hash, sizeof task->data_hash, "%016" PRIx64, hash);
    snprintf(task->seed, sizeof task->seed, "%" PRIu64, task->model->seed);
    if (!task->options->start)
        return FORAGE_OK;
    FORAGE_TRY(hash_model(task->options->start, &hash, error));
    snprintf(task->start_hash, sizeof task->start_hash, "%016" PRIx64, hash);
    return FORAGE_OK;
}

static forage_status save_state(fit_task *task, forage_error *error)
{
    const forage_model *model = task->model;
    const forage_fit_report *report = task->report;
    nn_checkpoint *checkpoint;
    forage_status status;
    size_t shape[2] = {report->epoch_count, 4};
    FORAGE_TRY(nn_checkpoint_create(&checkpoint, error));
    FORAGE_TRY_GOTO(model_metadata_write(model->type, model->params, &model->schema, checkpoint, error), end);
    FORAGE_TRY_GOTO(nn_checkpoint_set_metadata(checkpoint, "forage.fit", "2", error), end);
    FORAGE_TRY_GOTO(nn_checkpoint_set_metadata(checkpoint, "forage.fit.seed", task->seed, error), end);
    FORAGE_TRY_GOTO(nn_checkpoint_set_metadata(checkpoint, "forage.fit.data", task->data_hash, error), end);
    if (task->start_hash[0])
        FORAGE_TRY_GOTO(nn_checkpoint_set_metadata(checkpoint, "forage.fit.start", task->start_hash, error), end);
    FORAGE_TRY_GOTO(nn_checkpoint_add(checkpoint, "forage.fit.epochs", NN_F64, 2, shape, report->epochs, error), end);
    FORAGE_TRY_GOTO(model->type->fit_save(task->fit, checkpoint, error), end);
    FORAGE_TRY_GOTO(nn_checkpoint_save(checkpoint, task->options->state_path, error), end);
    task->saved_at = forage_clock();
    task->saved_epoch = report->epoch_count;
end:
    nn_checkpoint_free(checkpoint);
    return status;
}

static forage_status room_for_epochs(fit_task *task, size_t count, forage_error *error)
{
    if (count <= task->epoch_room)
        return FORAGE_OK;
    size_t room = 2 * count + 16;
    forage_epoch *epochs = forage_realloc(task->report->epochs, task->epoch_room, room, sizeof *epochs);
    if (!epochs)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the losses of %zu epochs", count);
    task->report->epochs = epochs;
    task->epoch_room = room;
    return FORAGE_OK;
}

_Static_assert(sizeof(forage_epoch) == 4 * sizeof(double), "epochs are kept as a tensor of four columns");

static forage_status other_fit(const fit_task *task, const char *what, forage_error *error)
{
    return forage_fail_at(error, FORAGE_INVALID, task->options->state_path, 0, NULL,
                          "this is the state of a fit with %s; repeat its command to go on, or start afresh without "
                          "resuming",
                          what);
}

/* Is this the state of the same fit? Everything that decides the result must agree. */
static forage_status check_state(const fit_task *task, const nn_checkpoint *checkpoint, forage_error *error)
{
    const forage_model *model = task->model;
    const model_type *type;
    forage_params *params;
    forage_schema schema;
    FORAGE_TRY(model_metadata_read(checkpoint, &type, &params, &schema, error));
    const char *layout = nn_checkpoint_metadata(checkpoint, "forage.fit");
    const char *seed = nn_checkpoint_metadata(checkpoint, "forage.fit.seed");
    const char *data = nn_checkpoint_metadata(checkpoint, "forage.fit.data");
    const char *start = nn_checkpoint_metadata(checkpoint, "forage.fit.start");
    forage_status status = FORAGE_OK;
    if (!type || !layout || !seed || !data || strcmp(layout, "2") != 0)
        status = forage_fail_at(error, FORAGE_FORMAT, task->options->state_path, 0, NULL,
                                "this is not the state of a fit that can be resumed");
    else if (type != model->type)
        status = other_fit(task, "another model", error);
    else if (strcmp(seed, task->seed) != 0)
        status = other_fit(task, "another seed", error);
    for (size_t i = 0; status == FORAGE_OK && i < type->info.table.count; i++) {
        const char *name = type->info.table.params[i].name;
        char what[160];
        snprintf(what, sizeof what, "%s %.50s, not %.50s", name, forage_params_text(params, name),
                 forage_params_text(model->params, name));
        if (strcmp(forage_params_text(params, name), forage_params_text(model->params, name)) != 0)
            status = other_fit(task, what, error);
    }
    if (status == FORAGE_OK && strcmp(data, task->data_hash) != 0)
        status = other_fit(task, "other data, another split or other fields", error);
    if (status == FORAGE_OK && strcmp(start ? start : "", task->start_hash) != 0)
        status = other_fit(task, "another model to begin from", error);
    forage_params_free(params);
    model_schema_release(&schema);
    return status;
}

static forage_status read_state(fit_task *task, const nn_checkpoint *checkpoint, forage_error *error)
{
    const nn_tensor *epochs;
    FORAGE_TRY(check_state(task, checkpoint, error));
    FORAGE_TRY(nn_checkpoint_need(checkpoint, "forage.fit.epochs", NN_F64, 2, &epochs, error));
    size_t count = epochs->shape[0], shape[2] = {count, 4};
    if (epochs->shape[1] != 4)
        return forage_fail_at(error, FORAGE_FORMAT, task->options->state_path, 0, "forage.fit.epochs",
                              "four numbers per epoch are expected");
    FORAGE_TRY(room_for_epochs(task, count, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "forage.fit.epochs", NN_F64, 2, shape, task->report->epochs, error));
    FORAGE_TRY(task->model->type->fit_resume(task->fit, checkpoint, error));
    task->report->epoch_count = task->report->resumed_from = task->saved_epoch = count;
    task->report->resumed = true;
    task->before = count ? task->report->epochs[count - 1].seconds : 0;
    return FORAGE_OK;
}

static forage_status resume(fit_task *task, forage_error *error)
{
    const forage_fit_options *options = task->options;
    nn_checkpoint *checkpoint;
    if (!options->resume || !options->state_path || !task->model->type->fit_resume ||
        access(options->state_path, F_OK) != 0)
        return FORAGE_OK;
    FORAGE_TRY(nn_checkpoint_load(options->state_path, &checkpoint, error));
    forage_status status = read_state(task, checkpoint, error);
    nn_checkpoint_free(checkpoint);
    return status;
}

/* ---- the loop ---- */

static forage_status note_epochs(fit_task *task, const model_progress *progress, forage_error *error)
{
    forage_fit_report *report = task->report;
    while (report->epoch_count < progress->epochs) {
        FORAGE_TRY(room_for_epochs(task, report->epoch_count + 1, error));
        report->epochs[report->epoch_count] =
            (forage_epoch){progress->train_loss, progress->validation_loss, progress->validation_metric,
                           task->before + forage_clock() - task->start};
        if (!isfinite(progress->train_loss))
            return forage_fail(error, FORAGE_DIVERGED,
                               "the loss of epoch %zu is no longer a number; a smaller learning rate may help",
                               report->epoch_count + 1);
        report->epoch_count++;
        if (task->options->epoch_done)
            task->options->epoch_done(task->options->context, report->epoch_count,
                                      &report->epochs[report->epoch_count - 1]);
    }
    report->best_epoch = progress->best_epoch;
    report->stopped_early = progress->stopped_early;
    return FORAGE_OK;
}

static bool state_is_due(const fit_task *task)
{
    const forage_fit_options *options = task->options;
    if (!options->state_path || !task->model->type->fit_save)
        return false;
    if (options->state_every)
        return task->report->epoch_count >= task->saved_epoch + options->state_every;
    return forage_clock() - task->saved_at > SECONDS_BETWEEN_STATES;
}

/* How many of the model's units a second, since this call began or went on. */
static double speed(const fit_task *task, const model_progress *progress)
{
    double seconds = forage_clock() - task->begun;
    return seconds > 0.5 ? (double)(progress->done - task->done_before) / seconds : 0;
}

static bool report_progress(fit_task *task, const model_progress *progress)
{
    const char *unit = task->model->type->unit;
    char note[160] = "";
    size_t count = task->report->epoch_count, used = 0;
    if (task->begun == 0) { /* the first step counts as making ready: a state that was resumed is behind it */
        task->begun = forage_clock();
        task->done_before = progress->done;
    }
    if (count)
        forage_append(note, sizeof note, &used, "epoch %zu done, loss %.4f", count,
                      task->report->epochs[count - 1].train_loss);
    double each_second = unit ? speed(task, progress) : 0;
    if (each_second > 0)
        forage_append(note, sizeof note, &used, each_second < 1e6 ? "%s%.0f k %s/s" : "%s%.2f M %s/s", used ? ", " : "",
                      each_second / (each_second < 1e6 ? 1e3 : 1e6), unit);
    return forage_progress_report(task->options->progress, "training", progress->done, progress->total,
                                  used ? note : NULL);
}

static forage_status interrupted(fit_task *task, forage_error *error)
{
    const char *path = task->options->state_path;
    size_t epochs = task->report->epoch_count;
    if (!path || !task->model->type->fit_save)
        return forage_fail(error, FORAGE_INTERRUPTED, "stopped after %zu epoch%s; nothing was kept", epochs,
                           epochs == 1 ? "" : "s");
    FORAGE_TRY(save_state(task, error));
    return forage_fail(error, FORAGE_INTERRUPTED, "stopped after %zu epoch%s; %s holds the state to resume from",
                       epochs, epochs == 1 ? "" : "s", path);
}

/* Better than guessing, by what it is judged by. */
static bool is_good(const forage_epoch *epoch, double guess)
{
    if (isfinite(epoch->validation_metric))
        return epoch->validation_metric > 0;
    return (isfinite(epoch->validation_loss) ? epoch->validation_loss : epoch->train_loss) <= guess;
}

/* After a step that failed: whether the model of an earlier epoch is worth something, which the message says. */
static forage_status diverged(fit_task *task, const model_progress *progress, forage_error *error)
{
    forage_fit_report *report = task->report;
    char message[sizeof error->message], what[120];
    const forage_epoch *best = progress->best_epoch && progress->best_epoch <= report->epoch_count
                                   ? &report->epochs[progress->best_epoch - 1]
                                   : NULL;
    report->best_epoch = best && is_good(best, progress->guess) ? progress->best_epoch : 0;
    task->keeps = task->options->keep_good && report->best_epoch;
    if (!error)
        return FORAGE_DIVERGED;
    if (!report->best_epoch)
        (void)snprintf(what, sizeof what, "nothing is kept, as no epoch before that is better than guessing");
    else if (isfinite(best->validation_metric))
        (void)snprintf(what, sizeof what, "the best epoch before that is %zu, with a validation %.30s of %.4f",
                       report->best_epoch, task->model->type->info.metric, best->validation_metric);
    else
        (void)snprintf(what, sizeof what, "the best epoch before that is %zu, with a %s loss of %.4f",
                       report->best_epoch, isfinite(best->validation_loss) ? "validation" : "train",
                       isfinite(best->validation_loss) ? best->validation_loss : best->train_loss);
    memcpy(message, error->message, sizeof message);
    return forage_fail(error, FORAGE_DIVERGED, "%.380s; %s", message, what);
}

static bool out_of_time(const fit_task *task)
{
    return task->options->seconds_limit > 0 && forage_clock() - task->start >= task->options->seconds_limit;
}

static forage_status run(fit_task *task, forage_error *error)
{
    const model_type *type = task->model->type;
    for (;;) {
        model_progress progress = {.validation_loss = NAN, .validation_metric = NAN, .guess = NAN};
        forage_status status = type->fit_step(task->fit, &progress, error);
        if (status == FORAGE_DIVERGED)
            return diverged(task, &progress, error);
        FORAGE_TRY(status);
        FORAGE_TRY(note_epochs(task, &progress, error));
        bool go_on = report_progress(task, &progress);
        task->report->out_of_time = (progress.out_of_time || out_of_time(task)) && !progress.stopped_early;
        if (progress.finished || task->report->out_of_time)
            return FORAGE_OK;
        if (!go_on)
            return interrupted(task, error);
        if (state_is_due(task))
            FORAGE_TRY(save_state(task, error));
    }
}

/* The parameter that says how much a model holds of each user or item, or NULL. */
static const char *size_parameter(const forage_param_table *table)
{
    static const char *const names[] = {"embedding-size", "rank", "neighbours"};
    for (size_t i = 0; i < table->count; i++) {
        for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
            if (strcmp(table->params[i].name, names[n]) == 0)
                return names[n];
        }
    }
    return NULL;
}

/* Says beforehand what would fail after an hour, or be killed. */
static forage_status check_memory(const forage_model *model, const model_fit_input *input, forage_error *error)
{
    double need = model->type->fit_memory ? model->type->fit_memory(&model->setup, input) : 0;
    double there = (double)forage_available_memory();
    if (need <= there || there == 0)
        return FORAGE_OK;
    const char *size = size_parameter(&model->type->info.table);
    return forage_fail(error, FORAGE_NO_MEMORY,
                       "fitting %s takes about %.0f MB of memory, and only %.0f MB are free%s%s%s",
                       model->type->info.name, need / 1e6, there / 1e6, size ? "; a smaller --" : "", size ? size : "",
                       size ? " needs less" : "");
}

static forage_status look_back(fit_task *task, const forage_dataset *dataset, const forage_split *split,
                               forage_error *error)
{
    const forage_model *model = task->model;
    const model_past_task past = {model->type, model->params, &task->columns, dataset, model->device.threads};
    FORAGE_TRY(model_past_split(&past, split, &task->train_past, &task->validation_past, error));
    task->train.examples.past = &task->train_past.past;
    task->validation.examples.past = &task->validation_past.past;
    return FORAGE_OK;
}

static forage_status read_schema(fit_task *task, const forage_dataset *dataset, const forage_split *split,
                                 forage_error *error)
{
    forage_model *model = task->model;
    const forage_fit_options *options = task->options;
    const forage_model *from = options->start;
    if (!from || from->type != model->type || !model->type->extend) /* which model_extend_state will say */
        return model_schema_build(model->type, options->fields, dataset, split->train, split->train_count,
                                  &model->schema, error);
    const model_schema_start start = {&from->schema, model->type, options->fields, options->source};
    return model_schema_again(&start, dataset, split->train, split->train_count, &model->schema, error);
}

static forage_status prepare(fit_task *task, const forage_dataset *dataset, const forage_split *split,
                             forage_error *error)
{
    forage_model *model = task->model;
    const char *source = task->options->source;
    int threads = model->device.threads;
    bool with_time = (model->type->reads & MODEL_READS_TIME) != 0;
    FORAGE_TRY(read_schema(task, dataset, split, error));
    FORAGE_TRY(model_columns_create(&model->schema, dataset, source, &task->columns, error));
    FORAGE_TRY(model_coded_create(&task->columns, dataset, split->train, split->train_count, with_time, threads,
                                  &task->train, error));
    FORAGE_TRY(model_coded_create(&task->columns, dataset, split->validation, split->validation_count, with_time,
                                  threads, &task->validation, error));
    if (model_reads_history(model->type))
        FORAGE_TRY(look_back(task, dataset, split, error));
    model->setup = (model_setup){model->params, &model->schema, &model->device, model->seed};
    task->input = (model_fit_input){&task->train.examples, &task->validation.examples, 0};
    FORAGE_TRY(check_memory(model, &task->input, error));
    FORAGE_TRY(model->type->create(&model->setup, &model->state, error));
    if (task->options->state_path)
        FORAGE_TRY(identify(task, error));
    if (task->options->start)
        FORAGE_TRY(model_extend_state(model, task->options->start, &task->train.examples, error));
    if (task->options->seconds_limit > 0) /* what reading and coding took is gone */
        task->input.seconds = fmax(task->options->seconds_limit - (forage_clock() - task->start), 1e-3);
    FORAGE_TRY(model->type->fit_begin(model->state, &task->input, &task->fit, error));
    FORAGE_TRY(resume(task, error));
    if (task->options->started)
        task->options->started(task->options->context, model);
    return FORAGE_OK;
}

forage_status forage_model_fit(const forage_model_info *info, const forage_params *params,
                               const forage_dataset *dataset, const forage_split *split,
                               const forage_fit_options *options, forage_fit_report *report, forage_model **model,
                               forage_error *error)
{
    static const forage_fit_options defaults = {0};
    const model_type *type = model_type_of(info);
    forage_fit_report unwanted = {0};
    fit_task task = {.options = options ? options : &defaults, .report = report ? report : &unwanted};
    forage_status status;
    *model = NULL;
    task.start = task.saved_at = forage_clock();
    forage_fit_report_release(task.report);
    task.report->train_count = split->train_count;
    task.report->validation_count = split->validation_count;
    if (params && forage_params_table(params) != &info->table)
        return forage_fail(error, FORAGE_INVALID, "these are parameters of another model");
    FORAGE_TRY(check_input(type, dataset, split, task.options->source, error));
    FORAGE_TRY(model_empty(type, params, task.options->device, task.options->seed, &task.model, error));
    status = prepare(&task, dataset, split, error);
    if (status == FORAGE_OK)
        status = run(&task, error);
    bool keep = status == FORAGE_OK || task.keeps;
    if (task.fit)
        type->fit_end(task.fit, keep);
    task.report->seconds = task.before + forage_clock() - task.start;
    model_past_release(&task.train_past);
    model_past_release(&task.validation_past);
    model_coded_release(&task.train, task.columns.count);
    model_coded_release(&task.validation, task.columns.count);
    model_columns_release(&task.columns);
    forage_fit_report_release(&unwanted);
    if (keep)
        *model = task.model;
    else
        forage_model_free(task.model);
    return status;
}
