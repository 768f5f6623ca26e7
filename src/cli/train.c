/*
 * forage train: fits a model to a log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/log_options.h"
#include "cli/param_options.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct training {
    forage_read_options read;
    const char *data, *validation, *test, *split_text, *output, *device_name, *fields;
    int64_t threads;
    uint64_t seed, state_every;
    bool json, quiet, resume;
    const char *minutes_text, *from;
    double minutes;

    const forage_model_info *info;
    cli_param_options params;

    forage_device device;
    forage_dataset *dataset;
    forage_split split;
    forage_model *model, *start;
    forage_fit_report report;
    char state_path[4096];
} training;

static void release(training *t)
{
    forage_fit_report_release(&t->report);
    forage_model_free(t->model);
    forage_model_free(t->start);
    forage_split_release(&t->split);
    forage_dataset_free(t->dataset);
    cli_param_options_release(&t->params);
}

/* ---- options ---- */

static bool parse(training *t, int argc, char **argv, int *code)
{
    const cli_option options[] = {
        {"data", CLI_TEXT, &t->data, "FILE", "the log to learn from (required)"},
        {"output", CLI_TEXT, &t->output, "FILE", "where the model is saved, as safetensors (required)"},
        {"split", CLI_TEXT, &t->split_text, "SPEC",
         "which rows train and which validate: none, sklearn:0.2:42, random:0.2:SEED, time:0.2, tail:0.2, "
         "leave-last-out, leave-last-time-out, "
         "files, file:PATH; default: files where --validation or --test is given, else none"},
        {"validation", CLI_TEXT, &t->validation, "FILE", "events to validate on, in a file of their own"},
        {"test", CLI_TEXT, &t->test, "FILE",
         "events of the test: not learned from, but their users and items have a place"},
        {"fields", CLI_TEXT, &t->fields, "NAMES",
         "what the model reads: auto (the ids of users and items; all columns of a log without users), all, or names "
         "joined by commas"},
        {"seed", CLI_COUNT, &t->seed, "N", "seed of all that is random (default: 0)"},
        {"device", CLI_TEXT, &t->device_name, "NAME",
         "auto or cpu; cpu:portable, cpu:avx2, cpu:avx512 hold it to less"},
        {"threads", CLI_INTEGER, &t->threads, "N", "threads; default: one per core. The result does not depend on it"},
        {"checkpoint-every", CLI_COUNT, &t->state_every, "N",
         "save the state of training in OUTPUT.state after every N epochs; default: when ten seconds have passed. It "
         "is removed at the end"},
        {"max-minutes", CLI_TEXT, &t->minutes_text, "M",
         "end training within M minutes, with the best weights so far; a learning rate that falls does so over this "
         "time, if all epochs would take longer"},
        {"from", CLI_TEXT, &t->from, "MODELFILE",
         "begin from a model that was fitted before to users and items of the same ids (an incremental refit)"},
        {"resume", CLI_FLAG, &t->resume, NULL, "go on from OUTPUT.state, if there is one, to the same result"},
        {"json", CLI_FLAG, &t->json, NULL, "print one JSON object"},
        {"quiet", CLI_FLAG, &t->quiet, NULL, "no progress bar"},
    };
    size_t count;
    const cli_group groups[] = {
        {"Options", options, sizeof options / sizeof options[0]},
        cli_log_group,
        t->params.group,
    };
    const cli_syntax syntax = {
        .usage = "forage train MODEL --data FILE --output FILE [options]",
        .description =
            "Fits a model to a log and saves it. 'forage models' lists the models, 'forage train MODEL --help' "
            "the parameters of one.",
        .groups = groups,
        .group_count = t->info ? 3 : 2,
        .examples =
            "  forage train embedding-mlp --data log.csv --split sklearn:0.2:42 --epochs 10 --output mlp.safetensors\n"
            "  forage train popular --data train.txt --output popular.safetensors",
        .least = 1,
        .most = 1,
    };
    if (!cli_parse(&syntax, argc, argv, &count, code))
        return false;
    if (!t->info)
        *code = cli_misused("the model comes first: forage train MODEL --data FILE --output FILE [options]");
    else if (!t->data || !t->output)
        *code = cli_misused("option --%s is missing; 'forage help train' explains", t->data ? "output" : "data");
    else if (t->minutes_text && (!forage_parse_real(t->minutes_text, strlen(t->minutes_text), &t->minutes) ||
                                 !(t->minutes > 0 && t->minutes < 1e6)))
        *code = cli_misused("option --max-minutes: '%s' is not a number of minutes above 0", t->minutes_text);
    else if (t->json && strcmp(t->output, "-") == 0)
        *code = cli_misused("--json and --output - would both write to standard output");
    else if (t->threads < 0 || t->threads > 4096)
        *code = cli_misused("option --threads: %lld is not a number of threads", (long long)t->threads);
    else
        return true;
    return false;
}

/* ---- what is told while it happens ---- */

/* Standard output is the model's where that is written there. */
static FILE *voice(const training *t)
{
    return strcmp(t->output, "-") == 0 ? stderr : stdout;
}

static void print_started(void *context, const forage_model *model)
{
    const training *t = context;
    FILE *to = voice(t);
    char text[4096];
    if (t->json)
        return;
    cli_progress_end();
    forage_model_describe(model, text, sizeof text);
    fprintf(to, "Using %s\n%s%s%zu weights; training on %zu rows, validating on %zu\n", t->device.name, text,
            text[0] && text[strlen(text) - 1] != '\n' ? "\n" : "", forage_model_weight_count(model),
            t->split.train_count, t->split.validation_count);
    if (t->report.resumed)
        fprintf(to, "Going on after epoch %zu, from %s\n", t->report.resumed_from, t->state_path);
    else if (t->resume)
        fprintf(to, "No %s to go on from: starting afresh\n", t->state_path);
    fflush(to);
}

static void print_epoch(void *context, size_t epoch, const forage_epoch *result)
{
    const training *t = context;
    FILE *to = voice(t);
    int64_t epochs = forage_params_integer(t->params.params, "epochs");
    if (t->json)
        return;
    cli_progress_end();
    fprintf(to, "Epoch %zu", epoch);
    if (epochs > 0)
        fprintf(to, "/%" PRId64, epochs);
    fprintf(to, ": train loss %.4f", result->train_loss);
    if (isfinite(result->validation_loss))
        fprintf(to, ", validation loss %.4f", result->validation_loss);
    if (isfinite(result->validation_metric))
        fprintf(to, ", validation %s %.4f", t->info->metric, result->validation_metric);
    fprintf(to, " (%.2f s)\n", result->seconds);
    fflush(to);
}

/* The epoch whose weights were kept; NULL when there is none. */
static const forage_epoch *kept_epoch(const forage_fit_report *report)
{
    size_t kept = report->best_epoch ? report->best_epoch : report->epoch_count;
    return kept && kept <= report->epoch_count ? &report->epochs[kept - 1] : NULL;
}

static void print_result(const training *t)
{
    const forage_fit_report *report = &t->report;
    const forage_epoch *kept = kept_epoch(report);
    FILE *to = voice(t);
    cli_progress_end();
    if (report->stopped_early)
        fprintf(to, "Stopped early: validation no longer became better.\n");
    if (report->out_of_time)
        fprintf(to, "Ended after %s minutes, as was asked.\n", t->minutes_text);
    if (kept && isfinite(kept->validation_metric))
        fprintf(to, "Validation %s %.4f (epoch %zu of %zu)", t->info->metric, kept->validation_metric,
                report->best_epoch, report->epoch_count);
    else if (kept && isfinite(kept->validation_loss))
        fprintf(to, "Validation loss %.4f (epoch %zu of %zu)", kept->validation_loss, report->best_epoch,
                report->epoch_count);
    else if (kept)
        fprintf(to, "Train loss %.4f", kept->train_loss);
    else
        fprintf(to, "No epoch was completed");
    fprintf(to, ", after %.2f s. Saved in %s.\n", report->seconds, to == stderr ? "standard output" : t->output);
}

/* ---- JSON ---- */

static json_t *epochs_json(const forage_fit_report *report)
{
    json_t *epochs = json_array();
    for (size_t i = 0; i < report->epoch_count; i++)
        json_array_append_new(epochs, json_pack("{s:i, s:o, s:o, s:o, s:o}", "epoch", (int)(i + 1), "train_loss",
                                                cli_json_real(report->epochs[i].train_loss), "validation_loss",
                                                cli_json_real(report->epochs[i].validation_loss), "validation_metric",
                                                cli_json_real(report->epochs[i].validation_metric), "seconds",
                                                cli_json_real(report->epochs[i].seconds)));
    return epochs;
}

static json_t *params_json(const forage_params *params)
{
    const forage_param_table *table = forage_params_table(params);
    json_t *object = json_object();
    for (size_t i = 0; i < table->count; i++) {
        const char *name = table->params[i].name;
        json_t *value;
        size_t count;
        switch (table->params[i].type) {
        case FORAGE_PARAM_INTEGER:
            value = json_integer(forage_params_integer(params, name));
            break;
        case FORAGE_PARAM_REAL:
            value = cli_json_real(forage_params_real(params, name));
            break;
        case FORAGE_PARAM_BOOLEAN:
            value = json_boolean(forage_params_boolean(params, name));
            break;
        case FORAGE_PARAM_LIST: {
            const int64_t *list = forage_params_list(params, name, &count);
            value = json_array();
            for (size_t j = 0; j < count; j++)
                json_array_append_new(value, json_integer(list[j]));
            break;
        }
        default:
            value = json_string(forage_params_text(params, name));
        }
        json_object_set_new(object, name, value);
    }
    return object;
}

static json_t *fields_json(const forage_schema *schema)
{
    static const char *const owners[] = {"user", "item", "context"};
    json_t *fields = json_array();
    for (size_t f = 0; f < schema->field_count; f++) {
        const forage_field *field = &schema->fields[f];
        json_t *entry = json_pack("{s:s, s:s, s:s}", "name", field->name, "owner", owners[field->owner], "type",
                                  field->type == FORAGE_NUMERIC ? "numeric" : "categorical");
        if (field->type == FORAGE_CATEGORICAL)
            json_object_set_new(entry, "codes", json_integer((json_int_t)field->cardinality));
        json_array_append_new(fields, entry);
    }
    return fields;
}

static int print_json(const training *t)
{
    const forage_fit_report *report = &t->report;
    const forage_epoch *kept = kept_epoch(report);
    char text[4096];
    forage_model_describe(t->model, text, sizeof text);
    json_t *object = json_pack("{s:s, s:i, s:s, s:i, s:s, s:s, s:o, s:I, s:I, s:I, s:o, s:o, s:I, s:s}", "model",
                               t->info->name, "version", (int)t->info->version, "device", t->device.name, "threads",
                               t->device.threads, "data", t->data, "output", t->output, "seed", cli_json_seed(t->seed),
                               "rows", (json_int_t)t->dataset->count, "train_rows", (json_int_t)report->train_count,
                               "validation_rows", (json_int_t)report->validation_count, "fields",
                               fields_json(forage_model_schema(t->model)), "parameters", params_json(t->params.params),
                               "weights", (json_int_t)forage_model_weight_count(t->model), "architecture", text);
    if (!object)
        return cli_print_json(NULL);
    json_object_set_new(object, "epochs", epochs_json(report));
    json_object_set_new(object, "best_epoch", json_integer((json_int_t)report->best_epoch));
    json_object_set_new(object, "stopped_early", json_boolean(report->stopped_early));
    json_object_set_new(object, "resumed_from", json_integer((json_int_t)report->resumed_from));
    json_object_set_new(object, "train_loss", cli_json_real(kept ? kept->train_loss : NAN));
    json_object_set_new(object, "validation_loss", cli_json_real(kept ? kept->validation_loss : NAN));
    json_object_set_new(object, "metric", t->info->metric ? json_string(t->info->metric) : json_null());
    json_object_set_new(object, "validation_metric", cli_json_real(kept ? kept->validation_metric : NAN));
    json_object_set_new(object, "out_of_time", json_boolean(report->out_of_time));
    json_object_set_new(object, "seconds", cli_json_real(report->seconds));
    double done = (double)report->train_count * (double)(report->epoch_count - report->resumed_from);
    json_object_set_new(object, "rows_per_second", cli_json_real(done / report->seconds));
    json_object_set_new(object, "peak_memory", json_integer((json_int_t)forage_peak_memory()));
    return cli_print_json(object);
}

/* ---- doing it ---- */

/* Of a fit that diverged: the best model before that goes beside the output, which belongs to fits that end well. */
static int save_good(const training *t)
{
    char path[sizeof t->state_path];
    forage_error error = {0};
    if (strcmp(t->output, "-") == 0) {
        if (t->report.best_epoch)
            fprintf(stderr, "forage: nothing is kept, as the output is no file\n");
        return CLI_FAILED;
    }
    if (!t->model) {
        (void)unlink(t->state_path); /* would diverge again */
        return CLI_FAILED;
    }
    snprintf(path, sizeof path, "%s.good", t->output);
    if (cli_check_output(path, t->data, &error) != FORAGE_OK || forage_model_save(t->model, path, &error) != FORAGE_OK)
        return cli_fail(&error);
    (void)unlink(t->state_path);
    fprintf(stderr, "forage: %s holds the model of epoch %zu\n", path, t->report.best_epoch);
    return CLI_FAILED;
}

static forage_status train(training *t, const forage_progress *progress, forage_error *error)
{
    bool to_file = strcmp(t->output, "-") != 0;
    bool files = t->validation || t->test;
    FORAGE_TRY(cli_log_options(&t->read, error));
    t->read.validation = t->validation;
    t->read.test = t->test;
    FORAGE_TRY(forage_device_open(t->device_name ? t->device_name : "auto", (int)t->threads, &t->device, error));
    FORAGE_TRY(cli_check_output(t->output, t->data, error));
    if (t->from)
        FORAGE_TRY(forage_model_load(t->from, &t->device, &t->start, error));
    FORAGE_TRY(forage_dataset_load(t->data, &t->read, progress, &t->dataset, error));
    FORAGE_TRY(forage_split_parse(t->split_text ? t->split_text
                                  : files       ? "files"
                                                : "none",
                                  t->dataset, &t->split, error));
    snprintf(t->state_path, sizeof t->state_path, "%s.state", t->output);
    const forage_fit_options options = {
        .device = &t->device,
        .seed = t->seed,
        .fields = t->fields,
        .progress = progress,
        .started = print_started,
        .epoch_done = print_epoch,
        .context = t,
        .state_path = to_file ? t->state_path : NULL,
        .state_every = t->state_every,
        .resume = t->resume,
        .source = t->data,
        .seconds_limit = 60 * t->minutes,
        .start = t->start,
        .keep_good = to_file,
    };
    FORAGE_TRY(
        forage_model_fit(t->info, t->params.params, t->dataset, &t->split, &options, &t->report, &t->model, error));
    FORAGE_TRY(forage_model_save(t->model, t->output, error));
    if (to_file)
        (void)unlink(t->state_path); /* usually there is none */
    return FORAGE_OK;
}

static int fit_and_print(training *t)
{
    forage_error error = {0};
    forage_status status = train(t, cli_progress(t->quiet), &error);
    if (status == FORAGE_OK) {
        if (t->json)
            return print_json(t);
        print_result(t);
        return CLI_GOOD;
    }
    int code = cli_fail(&error);
    if (status == FORAGE_INTERRUPTED && access(t->state_path, F_OK) == 0)
        fprintf(stderr, "forage: the same command with --resume goes on from there\n");
    return status == FORAGE_DIVERGED ? save_good(t) : code;
}

static int run(int argc, char **argv)
{
    training t = {0};
    forage_error error = {0};
    int code = CLI_FAILED;
    if (argc > 1 && argv[1][0] != '-' && forage_model_find(argv[1], &t.info, &error) != FORAGE_OK)
        return cli_misused("%s", error.message);
    if (t.info && !(t.info->capabilities & FORAGE_CAN_FIT))
        return cli_refuse_online(t.info);
    if (t.info && cli_param_options_init(&t.params, t.info, &error) != FORAGE_OK)
        code = cli_fail(&error);
    else if (parse(&t, argc, argv, &code))
        code = fit_and_print(&t);
    release(&t);
    return code;
}

const cli_command cli_train = {"train", "fit a model to a log", run};
