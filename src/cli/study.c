/* forage study: a chapter of the story, from simulation to report. */
#include "cli/report_options.h"
#include "cli/terminal.h"

#include <stdio.h>

typedef struct study_request {
    uint64_t chapter, seed, model_seed, interactions, seeds;
    const char *scenario, *model;
} study_request;

static bool parse(study_request *r, int argc, char **argv, int *code)
{
    const cli_option story[] = {
        {"chapter", CLI_COUNT, &r->chapter, "N", "1, the batched baseline (default: 1)"},
        {"scenario", CLI_TEXT, &r->scenario, "NAME|FILE", "the shop (default: petshop)"},
        {"model", CLI_TEXT, &r->model, "NAME", "the model on trial (default: embedding-mlp)"},
        {"interactions", CLI_COUNT, &r->interactions, "N", "visits in the log (default: 200000)"},
        {"seeds", CLI_COUNT, &r->seeds, "N",
         "worlds in each experiment; more give narrower intervals and take longer (default: what fits into seconds)"},
        {"seed", CLI_COUNT, &r->seed, "N", "seed of the shop (default: the scenario's)"},
        {"model-seed", CLI_COUNT, &r->model_seed, "N", "seed of the first training (default: 0)"},
    };
    const cli_group groups[] = {
        {"The story", story, sizeof story / sizeof *story},
        cli_report_group,
    };
    const cli_syntax syntax = {
        .usage = "forage study [options]",
        .description = "Generates the log, trains, evaluates, measures the flaws of batched learning, and writes one "
                       "report: FOLDER/index.html, with charts (SVG, PNG, CSV) and results.json beside it.",
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
    if (r->chapter != 1) {
        *code = cli_misused("there is no chapter %llu yet; --chapter 1 is there", (unsigned long long)r->chapter);
        return false;
    }
    return true;
}

static forage_status print_story(const forage_chapter1 *chapter, forage_error *error)
{
    char *text;
    if (cli_report_options()->json) {
        FORAGE_TRY(forage_chapter1_json(chapter, &text, error));
    } else {
        forage_terminal terminal = cli_terminal();
        FORAGE_TRY(forage_chapter1_text(chapter, &terminal, &text, error));
    }
    fputs(text, stdout);
    forage_free(text);
    return FORAGE_OK;
}

/* The command that gives the same numbers again. */
static void write_command(const study_request *r, char *text, size_t size)
{
    int used = snprintf(text, size, "forage study --chapter 1 --scenario %s --model-seed %llu", r->scenario,
                        (unsigned long long)r->model_seed);
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"seed", r->seed}, {"interactions", r->interactions}, {"seeds", r->seeds}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (numbers[i].value > 0 && used > 0 && (size_t)used < size)
            used += snprintf(text + used, size - (size_t)used, " --%s %llu", numbers[i].name,
                             (unsigned long long)numbers[i].value);
    }
}

static forage_status study(const study_request *r, forage_error *error)
{
    const cli_report_settings *settings = cli_report_options();
    forage_chapter1_options options = {.scenario = r->scenario,
                                       .model = r->model,
                                       .seed = r->seed,
                                       .model_seed = r->model_seed,
                                       .interactions = (size_t)r->interactions,
                                       .seeds = (size_t)r->seeds,
                                       .progress = cli_progress(settings->quiet || settings->json)};
    FORAGE_TRY(cli_report_device(&options.device, error));
    forage_chapter1 chapter = {0};
    forage_report_result result = {0};
    char command[512];
    write_command(r, command, sizeof command);
    forage_report_options files = {.folder = settings->output, .gnuplot = settings->gnuplot, .command = command};
    forage_status status = forage_chapter1_run(&options, &chapter, error);
    cli_progress_end();
    if (status == FORAGE_OK)
        status = forage_chapter1_write(&chapter, &files, &result, error);
    if (status == FORAGE_OK && (settings->json || !settings->quiet))
        status = print_story(&chapter, error);
    forage_chapter1_release(&chapter);
    if (status != FORAGE_OK)
        return status;
    cli_report_written(&result);
    return FORAGE_OK;
}

static int run(int argc, char **argv)
{
    study_request r = {.chapter = 1, .scenario = "petshop"};
    int code = CLI_GOOD;
    forage_error error = {0};
    if (!parse(&r, argc, argv, &code))
        return code;
    return study(&r, &error) == FORAGE_OK ? CLI_GOOD : cli_fail(&error);
}

const cli_command cli_study = {"study", "the whole story on a simulated shop, into one report", run};
