/*
 * forage study: the story chapter by chapter, from simulation to report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/report_options.h"
#include "cli/terminal.h"

#include <stdio.h>
#include <string.h>

typedef struct study_request {
    uint64_t chapter, seed, model_seed, interactions, visits, seeds;
    const char *scenario, *model;
} study_request;

static bool parse(study_request *r, int argc, char **argv, int *code)
{
    const cli_option story[] = {
        {"chapter", CLI_COUNT, &r->chapter, "N",
         "1, the batched baseline; 2, learners in the arena; 3, sequences; 4, graphs of clicks (default: all)"},
        {"scenario", CLI_TEXT, &r->scenario, "NAME|FILE", "the shop (default: petshop)"},
        {"model", CLI_TEXT, &r->model, "NAME", "the batched model on trial in chapter 1 (default: embedding-mlp)"},
        {"interactions", CLI_COUNT, &r->interactions, "N", "visits in chapter 1's log (default: 200000)"},
        {"visits", CLI_COUNT, &r->visits, "N",
         "visits of each play of chapter 2 (default: what fits into a minute), of each log of chapter 3 (default: "
         "200000)"},
        {"seeds", CLI_COUNT, &r->seeds, "N",
         "worlds in each experiment, plays in each arena; more give narrower intervals and take longer (default: what "
         "fits into seconds)"},
        {"seed", CLI_COUNT, &r->seed, "N", "seed of the shop (default: the scenario's)"},
        {"model-seed", CLI_COUNT, &r->model_seed, "N", "seed of the first training (default: 0)"},
    };
    const cli_group groups[] = {
        {"The story", story, sizeof story / sizeof *story},
        cli_report_group,
    };
    const cli_syntax syntax = {
        .usage = "forage study [options]",
        .description =
            "Tells the story of a simulated shop in numbers: a batched model and its flaws; learners that "
            "learn from every click, against it and against the limit; what a session tells in the moment; what a "
            "graph of clicks knows. Writes one report, FOLDER/index.html, with charts (SVG, PNG, CSV) and results.json "
            "of each chapter beside it.",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .examples = "  forage study --chapter 1 --output report\n"
                    "  forage study --seed 7 --seeds 20 --json",
        .least = 0,
        .most = 0,
    };
    size_t count;
    if (!cli_parse(&syntax, argc, argv, &count, code))
        return false;
    if (r->chapter > 4) {
        *code = cli_misused("there is no chapter %llu; 1 to 4 are there", (unsigned long long)r->chapter);
        return false;
    }
    return true;
}

enum { BATCHED = 1 << 1, LEARNERS = 1 << 2, MOMENT = 1 << 3, CROWD = 1 << 4 };

/* What was run, whole. */
typedef struct study_record {
    forage_chapter1 chapter1;
    forage_chapter2 chapter2;
    forage_chapter3 chapter3;
    forage_chapter4 chapter4;
    forage_study study;
} study_record;

enum { CHAPTERS = 4 };

static forage_status json_of(const forage_study *study, size_t chapter, char **text, forage_error *error)
{
    return chapter == 0   ? forage_chapter1_json(study->chapter1, text, error)
           : chapter == 1 ? forage_chapter2_json(study->chapter2, text, error)
           : chapter == 2 ? forage_chapter3_json(study->chapter3, text, error)
                          : forage_chapter4_json(study->chapter4, text, error);
}

static forage_status text_of(const forage_study *study, size_t chapter, char **text, forage_error *error)
{
    const forage_terminal terminal = cli_terminal();
    return chapter == 0   ? forage_chapter1_text(study->chapter1, &terminal, text, error)
           : chapter == 1 ? forage_chapter2_text(study->chapter2, &terminal, text, error)
           : chapter == 2 ? forage_chapter3_text(study->chapter3, &terminal, text, error)
                          : forage_chapter4_text(study->chapter4, &terminal, text, error);
}

/* The chapters there are, one after the other; of several, JSON is one object with a member for each. */
static forage_status print(const forage_study *study, bool json, forage_error *error)
{
    static const char *const names[CHAPTERS] = {"chapter1", "chapter2", "chapter3", "chapter4"};
    const bool there[CHAPTERS] = {study->chapter1, study->chapter2, study->chapter3, study->chapter4};
    bool several = there[0] + there[1] + there[2] + there[3] > 1, first = true;
    char *texts[CHAPTERS] = {NULL};
    forage_status status = FORAGE_OK;
    for (size_t c = 0; c < CHAPTERS && status == FORAGE_OK; c++) {
        if (there[c])
            status = (json ? json_of : text_of)(study, c, &texts[c], error);
    }
    for (size_t c = 0; c < CHAPTERS && status == FORAGE_OK; c++) {
        if (!there[c])
            continue;
        if (several && json)
            printf("%s\"%s\": ", first ? "{" : ", ", names[c]);
        else if (!first)
            putchar('\n');
        fputs(texts[c], stdout);
        first = false;
    }
    if (several && json && status == FORAGE_OK)
        puts("}");
    for (size_t c = 0; c < CHAPTERS; c++)
        forage_free(texts[c]);
    return status;
}

/* The command that gives the same numbers again. */
static void write_command(const study_request *r, char *text, size_t size)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"chapter", r->chapter},           {"model-seed", r->model_seed}, {"seed", r->seed},
                   {"interactions", r->interactions}, {"visits", r->visits},         {"seeds", r->seeds}};
    size_t used = 0;
    forage_append(text, size, &used, "forage study");
    if (strcmp(r->scenario, "petshop") != 0)
        forage_append(text, size, &used, " --scenario %s", r->scenario);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (numbers[i].value > 0)
            forage_append(text, size, &used, " --%s %llu", numbers[i].name, (unsigned long long)numbers[i].value);
    }
}

static forage_status run_chapters(const study_request *r, study_record *record, forage_error *error)
{
    const cli_report_settings *settings = cli_report_options();
    const forage_progress *progress = cli_progress(settings->quiet || settings->json);
    forage_device device;
    unsigned chapters = r->chapter ? 1U << r->chapter : BATCHED | LEARNERS | MOMENT | CROWD;
    FORAGE_TRY(cli_report_device(&device, error));
    if (chapters & BATCHED) {
        const forage_chapter1_options options = {.scenario = r->scenario,
                                                 .model = r->model,
                                                 .seed = r->seed,
                                                 .model_seed = r->model_seed,
                                                 .interactions = (size_t)r->interactions,
                                                 .seeds = (size_t)r->seeds,
                                                 .device = device,
                                                 .progress = progress};
        FORAGE_TRY(forage_chapter1_run(&options, &record->chapter1, error));
        record->study.chapter1 = &record->chapter1;
    }
    if (chapters & LEARNERS) {
        const forage_chapter2_options options = {.scenario = r->scenario,
                                                 .seed = r->seed,
                                                 .visits = r->visits,
                                                 .seeds = (size_t)r->seeds,
                                                 .threads = device.threads,
                                                 .progress = progress};
        record->study.chapter2 = &record->chapter2;
        FORAGE_TRY(forage_chapter2_run(&options, &record->chapter2, error));
    }
    if (chapters & MOMENT) {
        const forage_chapter3_options options = {.scenario = r->scenario,
                                                 .seed = r->seed,
                                                 .visits = (size_t)r->visits,
                                                 .seeds = (size_t)r->seeds,
                                                 .device = device,
                                                 .progress = progress};
        FORAGE_TRY(forage_chapter3_run(&options, &record->chapter3, error));
        record->study.chapter3 = &record->chapter3;
    }
    if (chapters & CROWD) {
        const forage_chapter4_options options = {.scenario = r->scenario,
                                                 .seed = r->seed,
                                                 .seeds = (size_t)r->seeds,
                                                 .device = device,
                                                 .progress = progress};
        FORAGE_TRY(forage_chapter4_run(&options, &record->chapter4, error));
        record->study.chapter4 = &record->chapter4;
    }
    return FORAGE_OK;
}

static forage_status study(const study_request *r, forage_error *error)
{
    const cli_report_settings *settings = cli_report_options();
    forage_report_result result = {0};
    char command[512];
    study_record *record = forage_calloc(1, sizeof *record);
    if (!record)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the study");
    write_command(r, command, sizeof command);
    const forage_report_options files = {.folder = settings->output, .gnuplot = settings->gnuplot, .command = command};
    forage_status status = run_chapters(r, record, error);
    cli_progress_end();
    if (status == FORAGE_OK)
        status = forage_study_write(&record->study, &files, &result, error);
    if (status == FORAGE_OK && (settings->json || !settings->quiet))
        status = print(&record->study, settings->json, error);
    forage_chapter1_release(&record->chapter1);
    forage_chapter2_release(&record->chapter2);
    forage_chapter3_release(&record->chapter3);
    forage_chapter4_release(&record->chapter4);
    forage_free(record);
    if (status == FORAGE_OK)
        cli_report_written(&result);
    return status;
}

static int run(int argc, char **argv)
{
    study_request r = {.scenario = "petshop"};
    int code = CLI_GOOD;
    forage_error error = {0};
    if (!parse(&r, argc, argv, &code))
        return code;
    return study(&r, &error) == FORAGE_OK ? CLI_GOOD : cli_fail(&error);
}

const cli_command cli_study = {"study", "the whole story on a simulated shop, into one report", run};
