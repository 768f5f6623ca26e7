/*
 * forage evaluate: how good is a model, on rows that it was not trained on?
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/evaluate.h"
#include "cli/log_options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ *
 * Options
 * ------------------------------------------------------------------ */

static bool parse(evaluate_settings *s, int argc, char **argv, size_t *count, int *code)
{
    const cli_option what[] = {
        {"data", CLI_TEXT, &s->data, "FILE", "the log (required)"},
        {"split", CLI_TEXT, &s->split, "SPEC",
         "how the log is split, as in training: sklearn:0.2:42, random:0.2:SEED, time:0.2, leave-last-out, "
         "leave-last-time-out, "
         "file:PATH, none; default: by --validation and --test, else none"},
        {"part", CLI_TEXT, &s->part, "PART",
         "rows to evaluate: train, validation, test or all; default: test, else validation, else all"},
        {"test", CLI_TEXT, &s->test, "FILE", "test events in a file of their own"},
        {"validation", CLI_TEXT, &s->validation, "FILE", "validation events in a file of their own"},
        {"unknown", CLI_TEXT, &s->unknown, "WHAT",
         "users and items that the model has never met: error (default), skip, average, or fold-in, which knows users "
         "by "
         "what they chose in rows that are not evaluated"},
        {"positive", CLI_REAL, &s->positive, "VALUE",
         "rows with at least this value count as positive; default: values are 0 or 1"},
    };
    const cli_option rank[] = {
        {"k", CLI_TEXT, &s->cutoffs, "K,...",
         "rank all items for every user and judge the first K; default for logs without values: 20"},
        {"keep-seen", CLI_FLAG, &s->keep_seen, NULL, "rank items, too, that the user has met in the other rows"},
        {"negatives", CLI_COUNT, &s->negatives, "N",
         "instead: rank each item to be found among N that are drawn from those that the user has never met, as many "
         "papers do (100); see --seed"},
    };
    const cli_option judge[] = {
        {"bins", CLI_COUNT, &s->bins, "N", "bins of the reliability curve and calibration errors (15)"},
        {"resamples", CLI_COUNT, &s->resamples, "N",
         "bootstrap resamples behind the intervals (1000); 0: no intervals"},
        {"over", CLI_TEXT, &s->over, "WHAT", "resample rows (default) or users"},
        {"level", CLI_REAL, &s->level, "P", "level of the intervals (0.95)"},
        {"seed", CLI_COUNT, &s->seed, "N", "seed of the resamples, and of --negatives (0)"},
        {"scenario", CLI_TEXT, &s->scenario, "NAME",
         "the log is simulated from this scenario (built-in name or file): compare with the truth, too"},
        {"scenario-seed", CLI_COUNT, &s->scenario_seed, "N", "its seed, if not the scenario's own"},
        {"products", CLI_COUNT, &s->scenario_items, "N", "its number of products, if not its own"},
        {"users", CLI_COUNT, &s->scenario_users, "N", "its number of users, if not its own"},
    };
    const cli_option ope[] = {
        {"ope", CLI_FLAG, &s->ope.chosen, NULL,
         "judge policies, not a model, on a log with propensities: what would they have earned?"},
        {"policy", CLI_LIST, &s->ope.policies, "SPEC",
         "who is judged: a pipeline (linucb:alpha=0.3, FILE.yaml:NAME), taught one half of the log and judged on the "
         "other; log:FILE, the policy that collected that log, read off its propensities, or average:FILE, the same "
         "averaged over time. May be given several times"},
        {"position", CLI_TEXT, &s->ope.position, "COLUMN",
         "the place at which an item was shown (default: position, if there is such a column)"},
        {"reward-model", CLI_TEXT, &s->ope.reward_model, "SPEC",
         "the model of dm, dr and switch_dr: a pipeline whose model is taken, or none (default: click rates by item "
         "and position)"},
        {"folds", CLI_COUNT, &s->ope.folds, "N", "parts of the log for teaching and judging in turn (2)"},
        {"clip", CLI_REAL, &s->ope.clip, "W", "largest weight of clipped_ips (default: square root of the rows)"},
        {"switch", CLI_REAL, &s->ope.switch_at, "W",
         "largest weight that switch_dr believes (default: square root of the rows)"},
        {"least-ess", CLI_REAL, &s->ope.least_ess, "N",
         "refuse to answer below this effective sample size (default: 100)"},
    };
    const cli_option common[] = {
        {"device", CLI_TEXT, &s->device, "NAME", "auto (default), cpu, cpu:portable, cpu:avx2, cpu:avx512"},
        {"threads", CLI_INTEGER, &s->threads, "N", "threads; default: one per core"},
        {"json", CLI_FLAG, &s->json, NULL, "print one JSON object"},
        {"quiet", CLI_FLAG, &s->quiet, NULL, "no progress"},
    };
#define GROUP(title, options)                                  \
    {                                                          \
        title, options, sizeof(options) / sizeof((options)[0]) \
    }
    const cli_group groups[] = {GROUP("What is evaluated", what),    GROUP("Ranking", rank), GROUP("Judging", judge),
                                GROUP("Off-policy evaluation", ope), cli_log_group,          GROUP("Running", common)};
#undef GROUP
    const cli_syntax syntax = {
        .usage = "forage evaluate MODELFILE --data FILE [options]\n"
                 "       forage evaluate --ope --policy SPEC --data FILE [options]",
        .description =
            "Judges a model's predictions (AUC, log loss, calibration, grouped AUC) when the log has values, and\n"
            "its rankings (precision, recall, NDCG, MRR, hit rate at k over all items) when it has none or --k\n"
            "is given. With --ope it judges policies instead: what would they have earned on a log that another one\n"
            "collected? docs/evaluation.md has the formulas.",
        .groups = groups,
        .group_count = sizeof groups / sizeof groups[0],
        .examples = "forage evaluate mlp.safetensors --data log.csv --split sklearn:0.2:42 --part validation\n"
                    "forage evaluate mlp.safetensors --data log.csv --split sklearn:0.2:42 --scenario petshop --json\n"
                    "forage evaluate graph.safetensors --data train.txt --test test.txt --k 20 --json\n"
                    "forage evaluate ials.safetensors --data log.txt --split leave-last-out --k 10 --negatives 100\n"
                    "forage evaluate --ope --policy linucb --policy random --data log.csv",
        .most = 1,
    };
    return cli_parse(&syntax, argc, argv, count, code);
}

/* ------------------------------------------------------------------ *
 * What is at hand
 * ------------------------------------------------------------------ */

static void evaluation_release(evaluation *e)
{
    forage_binding_free(e->binding);
    forage_model_free(e->model);
    forage_split_release(&e->split);
    forage_dataset_free(e->dataset);
    forage_simulator_free(e->simulator);
    forage_free(e->own_rows);
    forage_free(e->truth);
}

static forage_status load(evaluation *e, forage_error *error)
{
    const evaluate_settings *s = e->settings;
    forage_read_options read;
    FORAGE_TRY(cli_log_options(&read, error));
    read.validation = s->validation;
    read.test = s->test;
    FORAGE_TRY(forage_device_open(s->device ? s->device : "auto", (int)s->threads, &e->device, error));
    FORAGE_TRY(forage_model_load(e->path, &e->device, &e->model, error));
    FORAGE_TRY(forage_dataset_load(s->data, &read, cli_progress(s->quiet), &e->dataset, error));
    cli_progress_end();
    const char *spec = s->split ? s->split : read.test || read.validation ? "files" : "none";
    FORAGE_TRY(forage_split_parse(spec, e->dataset, &e->split, error));
    forage_unknown unknown = FORAGE_UNKNOWN_ERROR;
    if (s->unknown)
        FORAGE_TRY(forage_unknown_parse(s->unknown, &unknown, error));
    return forage_model_bind(e->model, e->dataset, unknown, s->data, &e->binding, error);
}

/* Concatenates two lists of rows; the result is e->own_rows. */
static forage_status join_rows(evaluation *e, const uint32_t *first, size_t first_count, const uint32_t *second,
                               size_t second_count, forage_error *error)
{
    e->own_rows = forage_alloc(first_count + second_count, sizeof *e->own_rows);
    if (!e->own_rows)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu rows", first_count + second_count);
    if (first_count > 0)
        memcpy(e->own_rows, first, first_count * sizeof *first);
    if (second_count > 0)
        memcpy(e->own_rows + first_count, second, second_count * sizeof *second);
    return FORAGE_OK;
}

/* Which rows are evaluated, and which the users have seen before. */
static forage_status choose_rows(evaluation *e, forage_error *error)
{
    const forage_split *split = &e->split;
    const char *part = e->settings->part;
    if (!part)
        part = split->test_count ? "test" : split->validation_count ? "validation" : "all";
    e->part = part;
    if (strcmp(part, "test") == 0) {
        e->rows = split->test;
        e->row_count = split->test_count;
        FORAGE_TRY(join_rows(e, split->train, split->train_count, split->validation, split->validation_count, error));
        e->other_rows = e->own_rows;
        e->other_count = split->train_count + split->validation_count;
    } else if (strcmp(part, "validation") == 0) {
        e->rows = split->validation;
        e->row_count = split->validation_count;
        e->other_rows = split->train;
        e->other_count = split->train_count;
    } else if (strcmp(part, "train") == 0) {
        e->rows = split->train;
        e->row_count = split->train_count;
    } else if (strcmp(part, "all") == 0) {
        e->row_count = e->dataset->count;
        e->own_rows = forage_alloc(e->row_count, sizeof *e->own_rows);
        if (!e->own_rows)
            return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu rows", e->row_count);
        for (size_t i = 0; i < e->row_count; ++i)
            e->own_rows[i] = (uint32_t)i;
        e->rows = e->own_rows;
    } else {
        return forage_fail(error, FORAGE_INVALID, "there is no part '%s'; parts are train, validation, test, all",
                           part);
    }
    if (e->row_count == 0)
        return forage_fail(error, FORAGE_INVALID, "the split leaves no rows in the part '%s'", part);
    return FORAGE_OK;
}

/* ------------------------------------------------------------------ *
 * The truth behind a simulated log
 * ------------------------------------------------------------------ */

static forage_status find_truth(evaluation *e, forage_error *error)
{
    const evaluate_settings *s = e->settings;
    const forage_dataset *dataset = e->dataset;
    if (!dataset->user || !forage_vocabulary_numbered(dataset->users) || !forage_vocabulary_numbered(dataset->items))
        return forage_fail(error, FORAGE_INVALID,
                           "the log is not from a scenario: its users and items are not all numbers from 0 on");
    forage_scenario scenario;
    FORAGE_TRY(forage_scenario_load(s->scenario, &scenario, error));
    if (s->scenario_seed != UINT64_MAX)
        scenario.seed = s->scenario_seed;
    if (s->scenario_users)
        scenario.users = s->scenario_users;
    if (s->scenario_items)
        scenario.products = s->scenario_items;
    forage_status status = forage_scenario_validate(&scenario, error);
    if (status == FORAGE_OK)
        status = forage_simulator_create(&scenario, cli_progress(s->quiet), &e->simulator, error);
    cli_progress_end();
    forage_scenario_release(&scenario);
    FORAGE_TRY(status);
    size_t users = forage_simulator_users(e->simulator), items = forage_simulator_items(e->simulator);
    if (forage_vocabulary_count(dataset->users) > users || forage_vocabulary_count(dataset->items) > items)
        return forage_fail(error, FORAGE_INVALID,
                           "the log has %zu users and %zu items, the scenario '%s' only %zu and %zu; see --users and "
                           "--products",
                           forage_vocabulary_count(dataset->users), forage_vocabulary_count(dataset->items),
                           s->scenario, users, items);
    e->truth = forage_alloc(e->row_count, sizeof *e->truth);
    if (!e->truth)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu rows", e->row_count);
    for (size_t i = 0; i < e->row_count; ++i)
        e->truth[i] =
            (float)forage_simulator_probability(e->simulator, dataset->user[e->rows[i]], dataset->item[e->rows[i]]);
    e->oracle_pairs = forage_simulator_entropy(e->simulator, 0, NULL, NULL);
    return FORAGE_OK;
}

/* A wrong scenario or seed shows: its rates do not fit the clicks. */
static void warn_of_other_scenario(const evaluation *e)
{
    double expected = 0, variance = 0;
    if (e->metrics.skipped > 0 || e->metrics.oracle_log_loss.value < e->metrics.base_log_loss)
        return;
    for (size_t i = 0; i < e->row_count; ++i) {
        expected += (double)e->truth[i];
        variance += (double)e->truth[i] * (1 - (double)e->truth[i]);
    }
    fprintf(
        stderr,
        "forage: warning: the log does not look like one of this scenario: its true rates predict the clicks worse\n"
        "than the average does (%zu clicks, %.0f +- %.0f expected); seed, --users or --products may differ\n",
        e->metrics.positives, expected, 2 * sqrt(variance));
}

/* ------------------------------------------------------------------ *
 * Judging
 * ------------------------------------------------------------------ */

static forage_bootstrap bootstrap_of(const evaluate_settings *s)
{
    return (forage_bootstrap){
        .resamples = s->resamples,
        .level = s->level,
        .seed = s->seed,
        .by_group = s->over && strcmp(s->over, "users") == 0,
    };
}

static forage_status judge_predictions(evaluation *e, forage_error *error)
{
    const evaluate_settings *s = e->settings;
    forage_metrics_options options = {.bins = s->bins, .bootstrap = bootstrap_of(s), .threads = e->device.threads};
    if (s->scenario)
        FORAGE_TRY(find_truth(e, error));
    forage_status status = forage_metrics_of_model(e->model, e->binding, e->dataset, e->rows, e->row_count, s->positive,
                                                   e->truth, &options, &e->metrics, error);
    if (status == FORAGE_FORMAT && error->file[0] == '\0')
        snprintf(error->file, sizeof error->file, "%s", s->data);
    FORAGE_TRY(status);
    e->has_predictions = true;
    bool probability = forage_model_info_of(e->model)->capabilities & FORAGE_GIVES_PROBABILITY;
    if (e->simulator && probability) {
        FORAGE_TRY(forage_rmse_of_model(e->binding, e->simulator, forage_vocabulary_count(e->dataset->users),
                                        forage_vocabulary_count(e->dataset->items), &e->rmse_pairs, NULL, error));
        warn_of_other_scenario(e);
    }
    return FORAGE_OK;
}

/* The items of each user in these rows; of rows with values, the positive ones. */
static forage_status items_by_user(const evaluation *e, const uint32_t *rows, size_t count, forage_seen *seen,
                                   forage_error *error)
{
    double positive = e->settings->positive;
    if (!e->dataset->value || positive == 0)
        return forage_seen_create(e->dataset, rows, count, e->dataset->value != NULL, seen, error);
    uint32_t *kept = forage_alloc(count, sizeof *kept);
    if (!kept)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu rows", count);
    size_t kept_count = 0;
    for (size_t i = 0; i < count; ++i)
        if ((double)e->dataset->value[rows[i]] >= positive)
            kept[kept_count++] = rows[i];
    forage_status status = forage_seen_create(e->dataset, kept, kept_count, false, seen, error);
    forage_free(kept);
    return status;
}

/* Each item to be found among --negatives that the user has met in no row of the log. */
static forage_status judge_among_sampled(evaluation *e, forage_ranking_task *task,
                                         const forage_ranking_options *options, forage_error *error)
{
    const forage_dataset *dataset = e->dataset;
    forage_seen met = {0};
    FORAGE_TRY(forage_seen_create(dataset, NULL, 0, false, &met, error));
    bool *catalogue = forage_alloc(task->items + 1, sizeof *catalogue);
    if (!catalogue) {
        forage_seen_release(&met);
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu items", task->items);
    }
    for (size_t item = 0; item < task->items; ++item)
        catalogue[item] = !dataset->item_known || dataset->item_known[item];
    task->catalogue = catalogue;
    const forage_sampling sampling = {
        .negatives = (size_t)e->settings->negatives, .seed = e->settings->seed, .met = &met};
    forage_status status = forage_ranking_sampled_of_model(e->binding, task, &sampling, options, e->rankings, error);
    task->catalogue = NULL;
    forage_free(catalogue);
    forage_seen_release(&met);
    return status;
}

static forage_status judge_rankings(evaluation *e, forage_error *error)
{
    const evaluate_settings *s = e->settings;
    if (!e->dataset->user)
        return forage_fail(error, FORAGE_INVALID, "the log names no users, so there is nobody to rank items for");
    forage_seen seen = {0}, test = {0};
    forage_status status = items_by_user(e, e->rows, e->row_count, &test, error);
    bool mask = !s->keep_seen && e->other_count > 0;
    if (status == FORAGE_OK && mask)
        status = items_by_user(e, e->other_rows, e->other_count, &seen, error);
    if (status == FORAGE_OK) {
        forage_ranking_task task = {
            .seen = mask ? &seen : NULL, .test = &test, .items = forage_vocabulary_count(e->dataset->items)};
        forage_ranking_options options = {.cutoffs = e->cutoffs,
                                          .cutoff_count = e->cutoff_count,
                                          .bootstrap = bootstrap_of(s),
                                          .threads = e->device.threads,
                                          .progress = cli_progress(s->quiet)};
        status = s->negatives ? judge_among_sampled(e, &task, &options, error)
                              : forage_ranking_of_model(e->binding, &task, &options, e->rankings, error);
        cli_progress_end();
    }
    forage_seen_release(&seen);
    forage_seen_release(&test);
    return status;
}

/* ------------------------------------------------------------------ *
 * The command
 * ------------------------------------------------------------------ */

static bool parse_cutoffs(const char *text, evaluation *e)
{
    for (const char *from = text; *from;) {
        size_t length = strcspn(from, ",");
        uint64_t k;
        if (!forage_parse_u64(from, length, &k) || k == 0 || k > 1000000 || e->cutoff_count == 16)
            return false;
        e->cutoffs[e->cutoff_count++] = (size_t)k;
        from += length + (from[length] == ',' && from[length + 1] != '\0');
    }
    return e->cutoff_count > 0;
}

static forage_status evaluate(evaluation *e, forage_error *error)
{
    FORAGE_TRY(load(e, error));
    FORAGE_TRY(choose_rows(e, error));
    FORAGE_TRY(forage_binding_history(e->binding, e->other_rows ? e->other_rows : e->rows, e->other_count, error));
    if (e->dataset->value)
        FORAGE_TRY(judge_predictions(e, error));
    else if (e->cutoff_count == 0)
        e->cutoffs[e->cutoff_count++] = e->settings->negatives ? 10 : 20;
    return e->cutoff_count > 0 ? judge_rankings(e, error) : FORAGE_OK;
}

/* What both kinds of evaluation take. */
static bool check_common(const evaluate_settings *s)
{
    if (!(s->level > 0 && s->level < 1))
        cli_misused("--level lies between 0 and 1, not %g", s->level);
    else if (s->threads < 0 || s->threads > 4096)
        cli_misused("--threads lies between 0 and 4096, not %lld", (long long)s->threads);
    else
        return true;
    return false;
}

static int run_ope(evaluate_settings *s, size_t arguments)
{
    if (arguments || s->cutoffs || s->split || s->part || s->test || s->validation || s->scenario)
        return cli_misused(
            "evaluate --ope judges policies on a whole log: it takes no model file, --k, --split, --part, "
            "--test, --validation or --scenario");
    s->ope.data = s->data;
    s->ope.level = s->level;
    s->ope.resamples = s->resamples;
    s->ope.seed = s->seed;
    s->ope.threads = (int)s->threads;
    s->ope.json = s->json;
    s->ope.quiet = s->quiet;
    return check_common(s) ? cli_evaluate_ope(&s->ope) : CLI_MISUSED;
}

static int run_model(const evaluate_settings *s, size_t arguments, const char *path)
{
    evaluation e = {.settings = s, .path = path, .rmse_pairs = NAN, .oracle_pairs = NAN};
    if (arguments != 1)
        return cli_misused("usage: forage evaluate MODELFILE --data FILE [options]; see 'forage help evaluate'");
    if (s->ope.policies.count)
        return cli_misused("--policy is for evaluate --ope");
    if (!s->data)
        return cli_misused("evaluate needs --data FILE");
    if (s->cutoffs && !parse_cutoffs(s->cutoffs, &e))
        return cli_misused("--k takes up to 16 numbers from 1 to 1,000,000, joined by commas, not '%s'", s->cutoffs);
    if (s->negatives && (s->negatives > 1000000 || s->keep_seen))
        return cli_misused(s->keep_seen ? "--negatives draws what the user has never met: --keep-seen has no say in it"
                                        : "--negatives lies between 1 and 1,000,000");
    if (s->over && strcmp(s->over, "rows") != 0 && strcmp(s->over, "users") != 0)
        return cli_misused("--over is rows or users, not '%s'", s->over);
    if (!(s->positive >= -1e308 && s->positive <= 1e308))
        return cli_misused("--positive is a number");
    if (!check_common(s))
        return CLI_MISUSED;
    forage_error error = {0};
    forage_status status = evaluate(&e, &error);
    cli_progress_end();
    int code = status != FORAGE_OK ? cli_fail(&error) : s->json ? evaluate_print_json(&e) : evaluate_print_text(&e);
    evaluation_release(&e);
    return code;
}

static int run(int argc, char **argv)
{
    evaluate_settings s = {.level = 0.95, .resamples = 1000, .scenario_seed = UINT64_MAX, .ope = {.folds = 2}};
    size_t count;
    int code;
    if (!parse(&s, argc, argv, &count, &code))
        return code;
    code = s.ope.chosen ? run_ope(&s, count) : run_model(&s, count, argv[1]);
    forage_free(s.ope.policies.values);
    return code;
}

const cli_command cli_evaluate = {"evaluate", "metrics of a model on held-out rows; --ope: policies on another's log",
                                  run};
