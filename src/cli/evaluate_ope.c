/*
 * forage evaluate --ope: what would policies have earned on a log that another one collected?
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/evaluate_ope.h"
#include "cli/log_options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A policy that was judged. */
typedef struct verdict {
    const char *name;
    forage_ope result;
    double observed, observed_deviation; /* what it earned on its own log; NaN: it has none */
} verdict;

/* The mean reward of a log and its standard error. */
static void observe(const forage_dataset *dataset, verdict *out)
{
    double sum = 0, squares = 0, n = (double)dataset->count;
    if (!dataset->value || dataset->count < 2)
        return;
    for (size_t i = 0; i < dataset->count; i++)
        sum += (double)dataset->value[i];
    out->observed = sum / n;
    for (size_t i = 0; i < dataset->count; i++)
        squares += ((double)dataset->value[i] - out->observed) * ((double)dataset->value[i] - out->observed);
    out->observed_deviation = sqrt(squares / (n - 1) / n);
}

/* "log:FILE" and "average:FILE": the policy that collected that log. */
static const char *own_log(const char *policy, bool *average)
{
    *average = strncmp(policy, "average:", 8) == 0;
    return *average ? policy + 8 : strncmp(policy, "log:", 4) == 0 ? policy + 4 : NULL;
}

static forage_status judge_one(const forage_ope_task *task, const forage_read_options *read, verdict *out,
                               forage_error *error)
{
    bool average;
    const char *path = own_log(out->name, &average);
    out->observed = out->observed_deviation = NAN;
    if (path) {
        forage_dataset *other;
        forage_read_options plain = *read;
        plain.user_attributes = plain.item_attributes = NULL;
        FORAGE_TRY(forage_dataset_load(path, &plain, task->progress, &other, error));
        observe(other, out);
        forage_status status = forage_ope_of_log(task, other, average, &out->result, error);
        forage_dataset_free(other);
        return status;
    }
    forage_pipeline_spec *spec;
    FORAGE_TRY(forage_pipeline_spec_parse(out->name, &spec, error));
    forage_status status = forage_ope_of_pipeline(task, spec, &out->result, error);
    forage_pipeline_spec_free(spec);
    return status;
}

/* ---- printing ---- */

static json_t *estimate_json(const forage_ope_estimate *estimate)
{
    return json_pack("{s:o, s:o, s:[o, o]}", "value", cli_json_real(estimate->value), "standard_error",
                     cli_json_real(estimate->deviation), "interval", cli_json_real(estimate->low),
                     cli_json_real(estimate->high));
}

static json_t *verdict_json(const verdict *of)
{
    const forage_ope *r = &of->result;
    json_t *object = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "ess", cli_json_real(r->ess), "largest_weight",
        cli_json_real(r->largest_weight), "mean_weight", cli_json_real(r->mean_weight), "mean_weight_error",
        cli_json_real(r->mean_weight_deviation), "lost", cli_json_real(r->lost), "unseen", cli_json_real(r->unseen),
        "zero_share", cli_json_real(r->zero_share), "clip", cli_json_real(r->clip), "clipped",
        cli_json_real(r->clipped), "switch", cli_json_real(r->switch_at), "switched", cli_json_real(r->switched));
    if (!isnan(of->observed))
        json_object_set_new(object, "observed",
                            json_pack("{s:o, s:o}", "value", cli_json_real(of->observed), "standard_error",
                                      cli_json_real(of->observed_deviation)));
    if (r->refused) {
        json_object_set_new(object, "refused", json_string(r->reason));
        return object;
    }
    json_t *estimates = json_object();
    for (int k = 0; k < FORAGE_OPE_COUNT; k++) {
        if (!isnan(r->estimates[k].value))
            json_object_set_new(estimates, forage_ope_key((forage_ope_kind)k), estimate_json(&r->estimates[k]));
    }
    json_object_set_new(object, "estimates", estimates);
    return object;
}

static int print_json(const cli_ope_settings *s, const verdict *verdicts, size_t count)
{
    json_t *policies = json_object();
    const forage_ope *first = &verdicts[0].result;
    for (size_t i = 0; i < count; i++)
        json_object_set_new(policies, verdicts[i].name, verdict_json(&verdicts[i]));
    return cli_print_json(json_pack("{s:s, s:I, s:I, s:o, s:o}", "data", s->data, "rows", (json_int_t)first->count,
                                    "groups", (json_int_t)first->groups, "logged", estimate_json(&first->logged),
                                    "policies", policies));
}

static const char *end_of(double value, char buffer[24])
{
    if (isfinite(value))
        snprintf(buffer, 24, "%8.5f", value);
    else
        snprintf(buffer, 24, "%8s", "?");
    return buffer;
}

static void print_estimate(const char *key, const forage_ope_estimate *estimate, const char *text)
{
    char interval[64] = "? (hardly any reward)", low[24], high[24];
    if (isfinite(estimate->low) || isfinite(estimate->high))
        snprintf(interval, sizeof interval, "%s ... %s", end_of(estimate->low, low), end_of(estimate->high, high));
    printf("  %-12s %9.5f  %8.5f   %-21s  %s\n", key, estimate->value, estimate->deviation, interval, text);
}

static void print_verdict(const verdict *of)
{
    const forage_ope *r = &of->result;
    char shown[CLI_SHOWN_SIZE];
    printf("\n%s\n  effective sample size %.1f, largest weight %.1f, mean weight %.3f +- %.3f\n",
           cli_shown(of->name, shown), r->ess, r->largest_weight, r->mean_weight, r->mean_weight_deviation);
    if (!isnan(of->observed))
        printf("  observed on its own log: %.5f, standard error %.5f\n", of->observed, of->observed_deviation);
    if (r->lost > 0.001)
        printf("  warning: no support for at least %.1f %% of the policy's choices\n", 100 * r->lost);
    if (r->unseen > 0.001)
        printf("  warning: %.1f %% of the policy's choices occur in no row at their position\n", 100 * r->unseen);
    if (r->refused) {
        printf("  refused: %s\n", r->reason);
        return;
    }
    printf("  %-12s %9s  %8s   %-21s\n", "estimator", "value", "error", "interval");
    for (int k = 0; k < FORAGE_OPE_COUNT; k++) {
        if (!isnan(r->estimates[k].value))
            print_estimate(forage_ope_key((forage_ope_kind)k), &r->estimates[k], forage_ope_text((forage_ope_kind)k));
    }
}

static void print_text(const cli_ope_settings *s, const verdict *verdicts, size_t count)
{
    const forage_ope *first = &verdicts[0].result;
    printf("%s: %zu rows, mean reward %.5f, standard error %.5f", s->data, first->count, first->logged.value,
           first->logged.deviation);
    if (first->groups != first->count)
        printf("; errors and intervals are over %zu users", first->groups);
    if (s->resamples)
        printf("\nintervals: %g %%, %llu bootstrap resamples\n", 100 * s->level, (unsigned long long)s->resamples);
    else
        printf("\nintervals: %g %%, normal\n", 100 * s->level);
    for (size_t i = 0; i < count; i++)
        print_verdict(&verdicts[i]);
}

/* ---- the command ---- */

static forage_status judge_all(const cli_ope_settings *s, verdict *verdicts, forage_dataset **dataset,
                               forage_error *error)
{
    forage_read_options read;
    forage_device device;
    FORAGE_TRY(cli_log_options(&read, error));
    FORAGE_TRY(forage_device_open("auto", s->threads, &device, error));
    FORAGE_TRY(forage_dataset_load(s->data, &read, cli_progress(s->quiet), dataset, error));
    const forage_ope_task task = {
        .dataset = *dataset,
        .source = s->data,
        .position = s->position,
        .reward_model = s->reward_model && strcmp(s->reward_model, "none") == 0 ? "" : s->reward_model,
        .folds = (size_t)s->folds,
        .seed = s->seed,
        .options = {.clip = s->clip,
                    .switch_at = s->switch_at,
                    .least_ess = s->least_ess,
                    .bootstrap = {.resamples = (size_t)s->resamples, .level = s->level, .seed = s->seed},
                    .threads = device.threads},
        .progress = cli_progress(s->quiet),
    };
    for (size_t i = 0; i < s->policies.count; i++) {
        verdicts[i].name = s->policies.values[i];
        FORAGE_TRY(judge_one(&task, &read, &verdicts[i], error));
    }
    return FORAGE_OK;
}

int cli_evaluate_ope(const cli_ope_settings *s)
{
    forage_dataset *dataset = NULL;
    forage_error error = {0};
    if (!s->data)
        return cli_misused("evaluate --ope needs --data FILE");
    if (!s->policies.count)
        return cli_misused("evaluate --ope needs --policy SPEC: a pipeline such as 'linucb', or log:FILE");
    if (!(s->clip >= 0 && s->switch_at >= 0 && s->least_ess >= 0))
        return cli_misused("--clip, --switch and --least-ess are at least 0");
    if (s->folds < 2 || s->folds > 1000)
        return cli_misused("--folds lies between 2 and 1000, not %llu", (unsigned long long)s->folds);
    verdict *verdicts = forage_calloc(s->policies.count, sizeof *verdicts);
    if (!verdicts) {
        forage_fail(&error, FORAGE_NO_MEMORY, "not enough memory");
        return cli_fail(&error);
    }
    forage_status status = judge_all(s, verdicts, &dataset, &error);
    int code = CLI_GOOD;
    cli_progress_end();
    if (status != FORAGE_OK) {
        code = cli_fail(&error);
    } else {
        if (s->json)
            code = print_json(s, verdicts, s->policies.count);
        else
            print_text(s, verdicts, s->policies.count);
        for (size_t i = 0; i < s->policies.count; i++) {
            if (!verdicts[i].result.refused)
                continue;
            forage_fail(&error, FORAGE_UNSUPPORTED, "%.60s: %s", verdicts[i].name, verdicts[i].result.reason);
            code = cli_fail(&error);
        }
    }
    forage_free(verdicts);
    forage_dataset_free(dataset);
    return code;
}
