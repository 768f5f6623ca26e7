/*
 * forage simulate: a scenario becomes a log, a catalogue and a population.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct request {
    forage_scenario scenario; /* with the options' numbers in it */
    const char *name;         /* of the scenario, or its file */
    const char *output, *catalogue, *population, *show;
    bool list, json, quiet;
} request;

typedef struct outcome {
    forage_trial_result trials; /* user FORAGE_NONE and count 0 when there are none */
    bool has_trials;
    forage_log_summary log;
    double entropy, seconds;
} outcome;

static bool parse(request *r, int argc, char **argv, size_t *count, int *code)
{
    const cli_option shop[] = {
        {"seed", CLI_COUNT, &r->scenario.seed, "N", "seed of the random stream, as in numpy.random.default_rng(N)"},
        {"products", CLI_COUNT, &r->scenario.products, "N", "size of the catalogue"},
        {"users", CLI_COUNT, &r->scenario.users, "N", "size of the population"},
        {"interactions", CLI_COUNT, &r->scenario.interactions, "N", "rows of the log"},
        {"preliminary-trials", CLI_COUNT, &r->scenario.trials.count, "N",
         "before the log, show one product that a user likes and one that the user does not N times each"},
    };
    const cli_option files[] = {
        {"output", CLI_TEXT, &r->output, "FILE",
         "write the log here: user_id,product_id,clicked,category, and what else a shop that changes has to say "
         "(- is standard output); without it, only the summary is printed"},
        {"catalogue", CLI_TEXT, &r->catalogue, "FILE", "write product_id,category of every product here"},
        {"population", CLI_TEXT, &r->population, "FILE", "write user_id,persona of every user here"},
    };
    const cli_option others[] = {
        {"list", CLI_FLAG, &r->list, NULL, "list the built-in scenarios"},
        {"show", CLI_TEXT, &r->show, "NAME", "print a built-in scenario, to copy and change"},
        {"json", CLI_FLAG, &r->json, NULL, "print one JSON object with the result"},
        {"quiet", CLI_FLAG, &r->quiet, NULL, "no progress"},
    };
    const cli_group groups[] = {
        {"The shop (each from the scenario unless given)", shop, sizeof shop / sizeof *shop},
        {"Files", files, sizeof files / sizeof *files},
        {"Other options", others, sizeof others / sizeof *others},
    };
    const cli_syntax syntax = {
        .usage = "forage simulate SCENARIO [options]",
        .description =
            "Opens the shop that a scenario describes (a built-in name or a YAML file), lets random users see "
            "random products, and writes down who clicked. The same seed gives the same bytes everywhere.",
        .groups = groups,
        .group_count = sizeof groups / sizeof *groups,
        .examples = "  forage simulate petshop --output log.csv\n"
                    "  forage simulate petshop --seed 7 --products 500 --interactions 2e6 --output log.csv --json\n"
                    "  forage simulate --show petshop > mine.yaml",
        .least = 0,
        .most = 1,
    };
    return cli_parse(&syntax, argc, argv, count, code);
}

static int print_list(bool json)
{
    json_t *names = json ? json_array() : NULL;
    for (size_t i = 0;; i++) {
        const char *name = forage_scenario_builtin_name(i);
        forage_scenario scenario;
        forage_error error = {0};
        if (!name)
            break;
        if (forage_scenario_load(name, &scenario, &error) != FORAGE_OK)
            return cli_fail(&error);
        if (json)
            json_array_append_new(names, json_pack("{s:s,s:s}", "name", name, "description",
                                                   scenario.description ? scenario.description : ""));
        else
            printf("%-14s %s\n", name, scenario.description ? scenario.description : "");
        forage_scenario_release(&scenario);
    }
    return json ? cli_print_json(json_pack("{s:o}", "scenarios", names)) : CLI_GOOD;
}

static int print_text(const char *name)
{
    const char *text = forage_scenario_builtin_text(name);
    if (!text)
        return cli_misused("no built-in scenario '%s'; 'forage simulate --list' lists them", name);
    fputs(text, stdout);
    return CLI_GOOD;
}

/* 1234567 as "1,234,567". */
static const char *grouped(uint64_t number, char buffer[32])
{
    char *to = buffer + 31;
    *to = '\0';
    for (int digits = 0;; digits++) {
        if (digits > 0 && digits % 3 == 0)
            *--to = ',';
        *--to = (char)('0' + number % 10);
        number /= 10;
        if (number == 0)
            return to;
    }
}

static const char *name_or(const char *name, const char *other)
{
    return name ? name : other;
}

static void print_trial(const forage_simulator *s, uint32_t item, uint64_t clicks, uint64_t count, double rate)
{
    printf("  product %u (%s): %.2f %% clicked, the truth is %.2f %%\n", item,
           name_or(forage_simulator_category_name(s, forage_simulator_category(s, item)), "no such product"),
           100.0 * (double)clicks / (double)count, 100.0 * rate);
}

static void print_summary(const request *r, const forage_simulator *s, const outcome *o)
{
    const forage_scenario *scenario = &r->scenario;
    char a[32], b[32];
    printf("%s: %s products of %zu categories, ", scenario->name, grouped(scenario->products, a),
           scenario->category_count);
    printf("%s users of %zu personas, seed %llu\n", grouped(scenario->users, a), scenario->persona_count,
           (unsigned long long)scenario->seed);
    if (o->trials.count > 0) {
        const forage_trial_result *t = &o->trials;
        if (t->user == FORAGE_NONE)
            printf("no preliminary trials: nobody is a %s\n", scenario->personas[scenario->trials.persona]);
        else
            printf("%s preliminary trials of two products with user %u (%s)\n", grouped(t->count, a), t->user,
                   scenario->personas[scenario->trials.persona]);
        print_trial(s, t->high_item, t->high_clicks, t->count, t->high_rate);
        print_trial(s, t->low_item, t->low_clicks, t->count, t->low_rate);
    }
    if (o->log.rows > 0) {
        printf("%s %s, %s clicks: %.2f %%\n", grouped(o->log.rows, a),
               r->scenario.dynamics.positions > 1 ? "impressions" : "visits", grouped(o->log.clicks, b),
               100.0 * (double)o->log.clicks / (double)o->log.rows);
        printf("best log loss that a model can reach: %.5f on these rows", o->log.log_loss);
        if (isfinite(o->entropy))
            printf(", %.5f over all pairs", o->entropy);
        printf("\n");
        if (r->scenario.dynamics.delay > 0 || r->scenario.dynamics.never_told > 0.0)
            printf("what became known late stands where it was shown; what nobody is ever told is left out\n");
    }
    if (r->output && strcmp(r->output, "-") != 0)
        printf("log in %s (%.2f s)\n", r->output, o->seconds);
    if (r->catalogue)
        printf("catalogue in %s\n", r->catalogue);
    if (r->population)
        printf("population in %s\n", r->population);
}

static json_t *json_index(uint32_t index)
{
    return index == FORAGE_NONE ? json_null() : json_integer(index);
}

static void put_trials(json_t *object, const outcome *o)
{
    const forage_trial_result *t = &o->trials;
    double count = (double)t->count; /* 0 gives NaN, so null */
    json_object_set_new(object, "preliminary_trials", json_integer((json_int_t)t->count));
    if (!o->has_trials)
        return;
    json_object_set_new(object, "test_user", json_index(t->user));
    json_object_set_new(object, "high_affinity_product", json_index(t->high_item));
    json_object_set_new(object, "low_affinity_product", json_index(t->low_item));
    json_object_set_new(object, "observed_high", cli_json_real((double)t->high_clicks / count));
    json_object_set_new(object, "observed_low", cli_json_real((double)t->low_clicks / count));
    json_object_set_new(object, "true_high", cli_json_real(t->high_rate));
    json_object_set_new(object, "true_low", cli_json_real(t->low_rate));
}

static json_t *to_json(const request *r, const outcome *o)
{
    const forage_scenario *scenario = &r->scenario;
    json_t *object = json_object();
    json_object_set_new(object, "scenario", json_string(scenario->name));
    json_object_set_new(object, "seed", cli_json_seed(scenario->seed));
    json_object_set_new(object, "products", json_integer((json_int_t)scenario->products));
    json_object_set_new(object, "users", json_integer((json_int_t)scenario->users));
    json_object_set_new(object, "interactions", json_integer((json_int_t)o->log.rows));
    put_trials(object, o);
    json_object_set_new(object, "clicks", json_integer((json_int_t)o->log.clicks));
    json_object_set_new(object, "ctr", cli_json_real((double)o->log.clicks / (double)o->log.rows));
    json_object_set_new(object, "oracle_log_loss", cli_json_real(o->log.log_loss));
    json_object_set_new(object, "oracle_log_loss_all_pairs", cli_json_real(o->entropy));
    json_object_set_new(object, "seconds", cli_json_real(o->seconds));
    if (r->output)
        json_object_set_new(object, "output", json_string(r->output));
    if (r->catalogue)
        json_object_set_new(object, "catalogue", json_string(r->catalogue));
    if (r->population)
        json_object_set_new(object, "population", json_string(r->population));
    return object;
}

/* A shop that changes is played, with random slates. */
static forage_status play_log(const request *r, outcome *o, forage_error *error)
{
    forage_scenario scenario;
    forage_environment *environment;
    FORAGE_TRY(forage_scenario_load(r->name, &scenario, error));
    scenario.seed = r->scenario.seed;
    scenario.products = r->scenario.products;
    scenario.users = r->scenario.users;
    scenario.interactions = r->scenario.interactions;
    uint64_t seed = scenario.seed;
    FORAGE_TRY(forage_environment_create(&scenario, NULL, &environment, error));
    forage_status status =
        forage_environment_write_log(environment, seed, r->output, cli_progress(r->quiet), &o->log, error);
    forage_environment_free(environment);
    return status;
}

/* The log as a file, or only its sums. */
static forage_status make_log(const request *r, forage_simulator *s, outcome *o, forage_error *error)
{
    if (!forage_scenario_is_plain(&r->scenario))
        return play_log(r, o, error);
    return forage_simulator_write_log(s, r->scenario.interactions, r->output, cli_progress(r->quiet), &o->log, error);
}

static forage_status simulate(const request *r, forage_simulator *s, outcome *o, forage_error *error)
{
    double start = forage_clock();
    if (r->scenario.trials.persona != FORAGE_NONE) {
        FORAGE_TRY(forage_simulator_trials(s, r->scenario.trials.count, &o->trials, error));
        o->has_trials = true;
    }
    if (r->catalogue)
        FORAGE_TRY(forage_simulator_write_catalogue(s, r->catalogue, error));
    if (r->population)
        FORAGE_TRY(forage_simulator_write_population(s, r->population, error));
    FORAGE_TRY(make_log(r, s, o, error));
    /* Nobody's pairs stay as they are in a shop that changes. */
    o->entropy = forage_scenario_is_plain(&r->scenario) ? forage_simulator_entropy(s, 0, NULL, NULL) : NAN;
    o->seconds = forage_clock() - start;
    return FORAGE_OK;
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* What does not go together; true when all is well. */
static bool check(const request *r, int *code)
{
    const char *standard = "-";
    *code = CLI_MISUSED;
    if (same(r->output, r->catalogue) || same(r->output, r->population) || same(r->catalogue, r->population)) {
        cli_misused("two outputs go to the same file");
        return false;
    }
    size_t length = r->output ? strlen(r->output) : 0;
    if (length > 7 && strcmp(r->output + length - 7, ".forage") == 0) {
        cli_misused("the simulator writes CSV; 'forage export log.csv --output %s' makes it binary", r->output);
        return false;
    }
    if (r->json && (same(r->output, standard) || same(r->catalogue, standard) || same(r->population, standard))) {
        cli_misused("with --json standard output is taken; give the files names");
        return false;
    }
    return true;
}

static int run_scenario(const request *r)
{
    forage_error error = {0};
    forage_simulator *simulator;
    outcome result = {0};
    int code;
    if (!check(r, &code))
        return code;
    if (forage_simulator_create(&r->scenario, cli_progress(r->quiet), &simulator, &error) != FORAGE_OK)
        return cli_fail(&error);
    if (simulate(r, simulator, &result, &error) != FORAGE_OK) {
        code = cli_fail(&error);
    } else if (r->json) {
        code = cli_print_json(to_json(r, &result));
    } else {
        cli_progress_end();
        code = CLI_GOOD;
        if (!same(r->output, "-") && !same(r->catalogue, "-") && !same(r->population, "-"))
            print_summary(r, simulator, &result);
    }
    forage_simulator_free(simulator);
    return code;
}

static int run(int argc, char **argv)
{
    request r = {0};
    forage_error error = {0};
    size_t count;
    int code;
    char **copy = forage_alloc((size_t)argc + 1, sizeof *copy);
    if (!copy)
        return cli_fail(&(forage_error){.status = FORAGE_NO_MEMORY});
    memcpy(copy, argv, ((size_t)argc + 1) * sizeof *copy);

    /* Once to learn the scenario, and again so that options overrule its numbers. */
    if (!parse(&r, argc, argv, &count, &code))
        goto end;
    if (r.list) {
        code = print_list(r.json);
    } else if (r.show) {
        code = print_text(r.show);
    } else if (count == 0) {
        code = cli_misused("which scenario? 'forage simulate --list' lists the built-in ones, a YAML file is as good");
    } else if (forage_scenario_load(argv[1], &r.scenario, &error) != FORAGE_OK) {
        code = cli_fail(&error);
    } else if (parse(&r, argc, copy, &count, &code)) {
        r.name = copy[1];
        code = run_scenario(&r);
    }
    forage_scenario_release(&r.scenario);
end:
    forage_free(copy);
    return code;
}

const cli_command cli_simulate = {"simulate", "a scenario becomes a log of visits and clicks", run};
