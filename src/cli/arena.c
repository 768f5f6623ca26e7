/*
 * forage arena: agents against an environment, under the same luck.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/log_options.h"
#include "cli/terminal.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

typedef struct arena_request {
    forage_arena_options options;
    const char *environment;
    cli_list agents; /* as they were given */
    uint64_t seeds, points, diary, threads;
    const char *csv;
    bool list, json, quiet;

    char **names; /* agent by agent; each is owned */
    size_t name_count;
} arena_request;

static bool parse(arena_request *r, int argc, char **argv, int *code)
{
    forage_environment_options *shop = &r->options.environment_options;
    const cli_option what[] = {
        {"env", CLI_TEXT, &r->environment, "NAME",
         "the environment, where it is not the first argument: a scenario (built-in or FILE.yaml), "
         "classification:FILE, replay:FILE or log:FILE"},
        {"agents", CLI_LIST, &r->agents, "A,B,...",
         "who plays: random, oracle, bayes, short names with parameters (linucb:alpha=0.3), FILE.yaml:NAME. A comma "
         "before a digit belongs to a parameter's list (layers=64,32); semicolons separate, too, and the "
         "option may be given several times (default: a table that suits the environment)"},
        {"agents-file", CLI_TEXT, &r->options.agents_file, "FILE", "all pipelines of a YAML file play, too"},
        {"seeds", CLI_COUNT, &r->seeds, "N", "plays of each agent, for means and intervals (default: 1)"},
        {"seed", CLI_COUNT, &r->options.seed, "N", "seed of the first play; the others follow (default: 0)"},
    };
    const cli_option where[] = {
        {"visits", CLI_COUNT, &shop->visits, "N", "length of a play (default: the scenario's; all rows of a file)"},
        {"users", CLI_COUNT, &shop->users, "N", "users of the shop (default: the scenario's)"},
        {"products", CLI_COUNT, &shop->items, "N", "products of the shop (default: the scenario's)"},
        {"shop-seed", CLI_COUNT, &shop->seed, "N",
         "seed of the shop's catalogue and population (default: the scenario's)"},
        {"label", CLI_TEXT, &shop->label, "COLUMN",
         "classification: the column of labels, by name, number, first or last (default: last)"},
        {"order", CLI_TEXT, &shop->order, "ORDER",
         "files: file, numpy:SEED (RandomState(SEED).permutation), random or bootstrap, by the play's seed "
         "(default: file)"},
        {"rewards", CLI_TEXT, &shop->rewards, "NAME|FILE",
         "classification: a table of rewards, built-in (mushroom) or YAML (default: 1 for the label, 0 else)"},
        {"scale", CLI_TEXT, &shop->scale, "HOW",
         "classification: none, or standard, which looks at the whole file beforehand, as some published protocols do "
         "(default: none)"},
        {"uniform", CLI_FLAG, &shop->uniform, NULL,
         "replay: items were chosen uniformly, although the log has no propensities to show it"},
    };
    const cli_option scores[] = {
        {"points", CLI_COUNT, &r->points, "N", "points of curves (default: 200)"},
        {"diary", CLI_COUNT, &r->diary, "N",
         "visits of the first new user that are told in full, in --json (default: 20)"},
        {"settle", CLI_COUNT, &r->options.settle, "N",
         "new users count from this visit on (default: 50000, or a quarter of the visits if that is less)"},
        {"window", CLI_COUNT, &r->options.window, "N",
         "recovery from an event is measured against five times so many visits before it (default: 1000, or a fiftieth "
         "of "
         "the visits if that is less)"},
    };
    const cli_option others[] = {
        {"threads", CLI_COUNT, &r->threads, "N", "threads (default: one for every core)"},
        {"csv", CLI_TEXT, &r->csv, "FILE", "write scores and curves here, one number a row (- is standard output)"},
        {"list", CLI_FLAG, &r->list, NULL, "list environments and agents"},
        {"json", CLI_FLAG, &r->json, NULL, "print all results as one JSON object"},
        {"quiet", CLI_FLAG, &r->quiet, NULL, "no progress"},
    };
    const cli_group groups[] = {
        {"Who plays", what, sizeof what / sizeof *what},
        {"The environment", where, sizeof where / sizeof *where},
        cli_log_group,
        {"Scores", scores, sizeof scores / sizeof *scores},
        {"Other options", others, sizeof others / sizeof *others},
    };
    const cli_syntax syntax = {
        .usage = "forage arena ENVIRONMENT [options]",
        .description = "Lets agents play against an environment: the same visitors and the same luck for all of them. "
                       "Prints regret, click rates and how fast new users are understood; docs/arena.md defines every "
                       "score. The numbers are the same for any number of threads.",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .examples = "  forage arena petshop --agents random,popular,linucb,bayes,oracle --visits 200000 --seeds 5\n"
                    "  forage arena new-users --agents linucb,linucb:alpha=0.3,bayes --csv scores.csv\n"
                    "  forage arena classification:shuttle.trn --label last --agents linucb,squarecb --order numpy:1",
        .least = 0,
        .most = 1,
    };
    size_t count;
    if (!cli_parse(&syntax, argc, argv, &count, code))
        return false;
    if (count == 1 && r->environment)
        *code = cli_misused("the environment is named twice: '%s' and --env %s", argv[1], r->environment);
    else if (count == 0 && !r->environment && !r->list)
        *code = cli_misused("an environment is missing; 'forage arena --list' shows what there is");
    else if (r->json && r->csv && strcmp(r->csv, "-") == 0)
        *code = cli_misused("--json and --csv - both want standard output");
    else {
        r->options.environment = count == 1 ? argv[1] : r->environment;
        return true;
    }
    return false;
}

/* ------------------------------------------------------------------ *
 * Agents
 * ------------------------------------------------------------------ */

static forage_status add_name(arena_request *r, const char *text, size_t length, forage_error *error)
{
    char **names = forage_realloc(r->names, r->name_count, r->name_count + 1, sizeof *names);
    if (!names)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for agents");
    r->names = names;
    names[r->name_count] = forage_strndup(text, length);
    if (!names[r->name_count++])
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for agents");
    if (length == 0)
        return forage_fail(error, FORAGE_INVALID, "--agents: there is nothing between two commas");
    return FORAGE_OK;
}

/* The length of the first agent in a text: up to a semicolon, or to a comma that no number follows. */
static size_t agent_length(const char *text)
{
    size_t length = 0;
    for (; text[length] && text[length] != ';'; length++) {
        if (text[length] == ',' && !(text[length + 1] && strchr("0123456789+-.", text[length + 1])))
            break;
    }
    return length;
}

static forage_status split_agents(arena_request *r, forage_error *error)
{
    for (size_t i = 0; i < r->agents.count; i++) {
        const char *text = r->agents.values[i];
        for (;;) {
            size_t length = agent_length(text);
            FORAGE_TRY(add_name(r, text, length, error));
            if (!text[length])
                break;
            text += length + 1;
        }
    }
    r->options.agents = (const char *const *)r->names;
    r->options.agent_count = r->name_count;
    return FORAGE_OK;
}

static void list_all(void)
{
    size_t count;
    const char *name;
    puts("Environments:");
    for (size_t i = 0; (name = forage_scenario_builtin_name(i)); i++)
        printf("  %s\n", name);
    puts("  FILE.yaml              a scenario of your own\n"
         "  classification:FILE    a labelled table\n"
         "  replay:FILE            a uniformly logged stream, by rejection\n"
         "  log:FILE               a log to learn from\n\n"
         "Agents:");
    printf("  %-18s %s\n  %-18s %s\n  %-18s %s\n", "random", "any item, all equally likely", "oracle",
           "knows the truth", "bayes", "knows the personas, but must find out who is which");
    const forage_pipeline_name *names = forage_pipeline_names(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i].name, "random") != 0)
            printf("  %-18s %s\n", names[i].name, names[i].summary);
    puts("  FILE.yaml:NAME     a pipeline of your own (docs/pipelines.md)");
}

/* ------------------------------------------------------------------ *
 * Results
 * ------------------------------------------------------------------ */

static forage_status write_csv(const arena_request *r, const forage_arena *arena, forage_error *error)
{
    char *text = NULL;
    forage_output *output;
    FORAGE_TRY(forage_arena_csv(arena, &text, error));
    forage_status status = forage_output_open(r->csv, &output, error);
    if (status == FORAGE_OK) {
        status = forage_output_write(output, text, strlen(text), error);
        if (status == FORAGE_OK)
            status = forage_output_commit(output, error);
        else
            forage_output_discard(output);
    }
    forage_free(text);
    return status;
}

static forage_status print(const arena_request *r, const forage_arena *arena, forage_error *error)
{
    char *text = NULL;
    forage_terminal terminal = cli_terminal();
    if (r->json)
        FORAGE_TRY(forage_arena_json(arena, &text, error));
    else
        FORAGE_TRY(forage_arena_text(arena, &terminal, &text, error));
    fputs(text, stdout);
    forage_free(text);
    return FORAGE_OK;
}

static forage_status play(arena_request *r, forage_error *error)
{
    forage_arena arena = {0};
    forage_arena_options *options = &r->options;
    FORAGE_TRY(split_agents(r, error));
    FORAGE_TRY(cli_log_options(&options->environment_options.read, error));
    options->seeds = (size_t)r->seeds;
    options->points = (size_t)r->points;
    options->diary = (size_t)r->diary;
    options->threads = r->threads > INT_MAX ? INT_MAX : (int)r->threads;
    options->progress = options->environment_options.progress = cli_progress(r->quiet || r->json);
    forage_status status = forage_arena_run(options, &arena, error);
    cli_progress_end();
    if (status == FORAGE_OK && r->csv)
        status = write_csv(r, &arena, error);
    if (status == FORAGE_OK && !(r->csv && strcmp(r->csv, "-") == 0))
        status = print(r, &arena, error);
    forage_arena_release(&arena);
    return status;
}

static int run(int argc, char **argv)
{
    arena_request r = {.seeds = 1, .diary = 20};
    forage_error error = {0};
    int code = CLI_GOOD;
    if (parse(&r, argc, argv, &code)) {
        if (r.list)
            list_all();
        else if (play(&r, &error) != FORAGE_OK) {
            code = cli_fail(&error);
            code = error.status == FORAGE_UNKNOWN ? CLI_MISUSED : code;
        }
    }
    for (size_t i = 0; i < r.name_count; i++)
        forage_free(r.names[i]);
    forage_free(r.names);
    forage_free(r.agents.values);
    return code;
}

const cli_command cli_arena = {"arena", "agents against an environment, under the same luck", run};
