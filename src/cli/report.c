/*
 * forage report: a log of one's own and a model, as a page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/log_options.h"
#include "cli/param_options.h"
#include "cli/report_options.h"
#include "cli/terminal.h"

#include <stdio.h>
#include <string.h>

typedef struct report_request {
    const char *data, *validation, *test, *split, *fields;
    uint64_t seed, cutoff, resamples;
    double positive;
    char command[2048];

    const forage_model_info *info;
    cli_param_options params;
} report_request;

static bool parse(report_request *r, int argc, char **argv, int *code)
{
    const cli_option what[] = {
        {"data", CLI_TEXT, &r->data, "FILE", "the log (required)"},
        {"split", CLI_TEXT, &r->split, "SPEC",
         "which rows train and which are judged: sklearn:0.2:42, random:0.2:SEED, time:0.2, tail:0.2, leave-last-out, "
         "leave-last-time-out, "
         "files, file:PATH, none (default: files where --validation or --test is given, else random:0.2:0)"},
        {"validation", CLI_TEXT, &r->validation, "FILE", "events to validate on, in a file of their own"},
        {"test", CLI_TEXT, &r->test, "FILE", "events to judge by, in a file of their own"},
        {"fields", CLI_TEXT, &r->fields, "NAMES",
         "what the model reads: auto (the ids of users and items; all columns of a log without users), all, or names "
         "joined by commas"},
        {"positive", CLI_REAL, &r->positive, "VALUE", "values from here on are clicks (default: values are 0 or 1)"},
        {"k", CLI_COUNT, &r->cutoff, "N", "length of the rankings that are judged (default: 20)"},
        {"seed", CLI_COUNT, &r->seed, "N", "seed of all that is random (default: 0)"},
        {"resamples", CLI_COUNT, &r->resamples, "N", "of the bootstrap, for intervals (default: 1000)"},
    };
    const cli_group groups[] = {
        {"The log and its rows", what, sizeof what / sizeof *what},
        cli_log_group,
        cli_report_group,
        r->params.group,
    };
    const cli_syntax syntax = {
        .usage = "forage report MODEL --data FILE [options]",
        .description = "Fits a model to a log and writes what came of it: what the log holds, the loss curve, metrics "
                       "with intervals, calibration, click rates by position and other columns, the top items. "
                       "FOLDER/index.html, with charts (SVG, PNG, CSV) and results.json beside it.",
        .groups = groups,
        .group_count = r->info ? 4 : 3,
        .examples = "  forage report embedding-mlp --data log.csv --split sklearn:0.2:42\n"
                    "  forage report embedding-mlp --data men.csv --item-attributes item_context.csv --fields all "
                    "--split time:0.2\n"
                    "  forage report popular --data train.txt --test test.txt",
        .least = 1,
        .most = 1,
    };
    size_t count;
    if (!cli_parse(&syntax, argc, argv, &count, code))
        return false;
    if (!r->info)
        *code = cli_misused("the model comes first: forage report MODEL --data FILE [options]");
    else if (!r->data)
        *code = cli_misused("option --data is missing; 'forage help report' explains");
    else
        return true;
    return false;
}

static forage_status run_study(const report_request *r, forage_log_study *study, forage_error *error)
{
    const forage_progress *progress = cli_progress(cli_report_options()->quiet || cli_report_options()->json);
    forage_dataset *dataset = NULL;
    forage_split split = {0};
    forage_device device;
    forage_read_options read;
    forage_status status;
    const char *spec = r->split ? r->split : r->validation || r->test ? "files" : "random:0.2:0";
    FORAGE_TRY(cli_log_options(&read, error));
    FORAGE_TRY(cli_report_device(&device, error));
    read.validation = r->validation;
    read.test = r->test;
    FORAGE_TRY_GOTO(forage_dataset_load(r->data, &read, progress, &dataset, error), end);
    FORAGE_TRY_GOTO(forage_split_parse(spec, dataset, &split, error), end);
    const char *name = strrchr(r->data, '/');
    forage_log_study_options options = {
        .source = name && name[1] ? name + 1 : r->data,
        .split_name = spec,
        .params = r->params.params,
        .fit = {.device = &device, .seed = r->seed, .fields = r->fields, .progress = progress, .source = r->data},
        .positive = r->positive,
        .ranking_cutoff = (size_t)r->cutoff,
        .bootstrap = {.resamples = (size_t)r->resamples, .seed = r->seed}};
    status = forage_log_study_run(r->info, dataset, &split, &options, study, error);
end:
    cli_progress_end();
    forage_split_release(&split);
    forage_dataset_free(dataset);
    return status;
}

static forage_status print_study(const forage_log_study *study, forage_error *error)
{
    char *text;
    forage_terminal terminal = cli_terminal();
    if (cli_report_options()->json)
        FORAGE_TRY(forage_log_study_json(study, &text, error));
    else
        FORAGE_TRY(forage_log_study_text(study, &terminal, &text, error));
    fputs(text, stdout);
    forage_free(text);
    return FORAGE_OK;
}

static forage_status report(const report_request *r, forage_error *error)
{
    forage_log_study study = {0};
    forage_report_result result = {0};
    const cli_report_settings *settings = cli_report_options();
    forage_report_options files = {.folder = settings->output, .gnuplot = settings->gnuplot, .command = r->command};
    forage_status status = run_study(r, &study, error);
    if (status == FORAGE_OK)
        status = forage_log_study_write(&study, &files, &result, error);
    if (status == FORAGE_OK && (settings->json || !settings->quiet))
        status = print_study(&study, error);
    forage_log_study_release(&study);
    FORAGE_TRY(status);
    cli_report_written(&result);
    return FORAGE_OK;
}

static int run(int argc, char **argv)
{
    report_request r = {.resamples = 1000};
    forage_error error = {0};
    int code = CLI_FAILED;
    cli_command_line(argc, argv, r.command, sizeof r.command);
    if (argc > 1 && argv[1][0] != '-' && forage_model_find(argv[1], &r.info, &error) != FORAGE_OK)
        return cli_misused("%s", error.message);
    if (r.info && !(r.info->capabilities & FORAGE_CAN_FIT))
        return cli_refuse_online(r.info);
    if (r.info && cli_param_options_init(&r.params, r.info, &error) != FORAGE_OK)
        code = cli_fail(&error);
    else if (parse(&r, argc, argv, &code))
        code = report(&r, &error) == FORAGE_OK ? CLI_GOOD : cli_fail(&error);
    cli_param_options_release(&r.params);
    return code;
}

const cli_command cli_report = {"report", "fit a model to a log of your own and write what came of it as a page", run};
