/*
 * Printing of forage evaluate: for machines and for a person.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct line {
    const char *key, *meaning;
    forage_estimate estimate;
} line;

static size_t prediction_lines(const evaluation *e, line out[16])
{
    const forage_metrics *m = &e->metrics;
    const line all[] = {
        {"log_loss", "mean of -log(probability of what happened); lower is better", m->log_loss},
        {"base_log_loss", "the same for the click rate of these rows as only answer", {m->base_log_loss, NAN, NAN}},
        {"oracle_log_loss", "the same for the true rates", m->oracle_log_loss},
        {"excess_log_loss", "what the model loses on the truth", m->excess_log_loss},
        {"brier", "mean squared error of the probability", m->brier},
        {"auc", "a positive row is scored above a negative one", m->auc},
        {"grouped_auc", "the same within each user, weighted by rows", m->grouped_auc},
        {"ece", "calibration error, bins of equal width", m->ece},
        {"ece_mass", "calibration error, bins of equal mass", m->ece_mass},
        {"rmse", "root mean square error against the true rates, these rows", m->rmse},
        {"rmse_pairs", "the same over all pairs of users and items", {e->rmse_pairs, NAN, NAN}},
        {"oracle_log_loss_pairs", "entropy of the true rates over all pairs", {e->oracle_pairs, NAN, NAN}},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i)
        if (!isnan(all[i].estimate.value) || strcmp(all[i].key, "auc") == 0) /* that one is always named */
            out[count++] = all[i];
    return count;
}

static size_t ranking_lines(const evaluation *e, const forage_ranking_metrics *m, line out[6])
{
    const line all[] = {
        {"recall", "share of the test items found", m->recall},
        {"ndcg", "found, and near the top", m->ndcg},
        {"precision", "share of the list that was right", m->precision},
        {"mrr", "1 / rank of the first right item", m->mrr},
        {"hit_rate", "users with at least one right item", m->hit_rate},
        {"coverage", "share of the catalogue that is recommended to anyone", {m->coverage, NAN, NAN}},
    };
    static const bool sampled[] = {false, true, false, true, true, false};
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i)
        if (!e->settings->negatives || sampled[i])
            out[count++] = all[i];
    return count;
}

static bool set_real(json_t *object, const char *key, double value)
{
    return json_object_set_new(object, key, cli_json_real(value)) == 0;
}

static void set_line(json_t *object, json_t *intervals, const char *key, const forage_estimate *estimate)
{
    set_real(object, key, estimate->value);
    if (!isnan(estimate->low))
        json_object_set_new(intervals, key,
                            json_pack("[o,o]", cli_json_real(estimate->low), cli_json_real(estimate->high)));
}

static json_t *curve_json(const forage_reliability_bin *bins, size_t count)
{
    json_t *curve = json_array();
    for (size_t b = 0; b < count; ++b) {
        if (bins[b].count == 0)
            continue;
        json_t *bin = json_object();
        set_real(bin, "low", bins[b].low);
        set_real(bin, "high", bins[b].high);
        json_object_set_new(bin, "count", json_integer((json_int_t)bins[b].count));
        set_real(bin, "mean_prediction", bins[b].mean_prediction);
        set_real(bin, "positive_rate", bins[b].positive_rate);
        json_array_append_new(curve, bin);
    }
    return curve;
}

int evaluate_print_json(const evaluation *e)
{
    json_t *object = json_object(), *intervals = json_object();
    json_object_set_new(object, "model", json_string(forage_model_info_of(e->model)->name));
    json_object_set_new(object, "part", json_string(e->part));
    json_object_set_new(object, "rows", json_integer((json_int_t)e->row_count));
    if (e->has_predictions) {
        line lines[16];
        size_t count = prediction_lines(e, lines);
        for (size_t i = 0; i < count; ++i)
            set_line(object, intervals, lines[i].key, &lines[i].estimate);
        json_object_set_new(object, "skipped", json_integer((json_int_t)e->metrics.skipped));
        json_object_set_new(object, "positives", json_integer((json_int_t)e->metrics.positives));
        set_real(object, "base_rate", e->metrics.base_rate);
        set_real(object, "mean_prediction", e->metrics.mean_prediction);
        json_object_set_new(object, "groups", json_integer((json_int_t)e->metrics.groups));
        set_real(object, "grouped_share", e->metrics.grouped_share);
        if (e->metrics.bin_count > 0) {
            json_object_set_new(object, "reliability", curve_json(e->metrics.bins, e->metrics.bin_count));
            json_object_set_new(object, "reliability_mass",
                                curve_json(e->metrics.bins_mass, e->metrics.mass_bin_count));
        }
    }
    for (size_t c = 0; c < e->cutoff_count; ++c) {
        line lines[6];
        size_t count = ranking_lines(e, &e->rankings[c], lines);
        for (size_t i = 0; i < count; ++i) {
            char key[64];
            snprintf(key, sizeof key, "%s@%zu", lines[i].key, e->rankings[c].k);
            set_line(object, intervals, key, &lines[i].estimate);
        }
        json_object_set_new(object, "users", json_integer((json_int_t)e->rankings[c].users));
        json_object_set_new(object, "users_skipped", json_integer((json_int_t)e->rankings[c].skipped));
    }
    if (e->settings->negatives)
        json_object_set_new(object, "negatives", json_integer((json_int_t)e->settings->negatives));
    json_object_set_new(object, "intervals", intervals);
    return cli_print_json(object);
}

static void print_line(const char *key, const line *shown)
{
    char interval[64] = "";
    if (!isnan(shown->estimate.low))
        snprintf(interval, sizeof interval, "%.5f ... %.5f", shown->estimate.low, shown->estimate.high);
    if (isnan(shown->estimate.value))
        printf("  %-22s %8s  %-19s  not defined here (one class only)\n", key, "-", "");
    else
        printf("  %-22s %8.5f  %-19s  %s\n", key, shown->estimate.value, interval, shown->meaning);
}

/* For each bin a scale from 0 to the highest rate: 'o' where the model's mean prediction lies, a bar
 * as long as the observed rate. */
static void print_curve(const forage_reliability_bin *bins, size_t count)
{
    enum { WIDTH = 48 };
    double most = 0;
    for (size_t b = 0; b < count; ++b)
        if (bins[b].count > 0)
            most = fmax(most, fmax(bins[b].mean_prediction, bins[b].positive_rate));
    printf("\n  reliability: the bar is what was observed, o what was predicted\n"
           "  predicted  observed       rows\n");
    for (size_t b = 0; b < count; ++b) {
        if (bins[b].count == 0)
            continue;
        char bar[WIDTH + 2];
        size_t observed = most > 0 ? (size_t)lround(bins[b].positive_rate / most * WIDTH) : 0;
        size_t predicted = most > 0 ? (size_t)lround(bins[b].mean_prediction / most * WIDTH) : 0;
        for (size_t x = 0; x <= WIDTH; ++x)
            bar[x] = x == predicted ? 'o' : x < observed ? '=' : ' ';
        size_t end = (observed > predicted ? observed : predicted + 1);
        bar[end < WIDTH + 1 ? end : WIDTH + 1] = '\0';
        printf("  %9.4f %9.4f %10zu  |%s\n", bins[b].mean_prediction, bins[b].positive_rate, bins[b].count, bar);
    }
}

/* Nearly all rows in one bin of equal width: bins of equal mass show more. */
static bool crowded(const forage_metrics *m)
{
    for (size_t b = 0; b < m->bin_count; ++b)
        if ((double)m->bins[b].count > 0.8 * (double)m->count)
            return true;
    return false;
}

int evaluate_print_text(const evaluation *e)
{
    const forage_metrics *m = &e->metrics;
    const evaluate_settings *s = e->settings;
    printf("%s (%s) on %s, part %s: %zu rows\n", e->path, forage_model_info_of(e->model)->name, s->data, e->part,
           e->row_count);
    if (s->resamples > 0)
        printf("intervals: %g %%, %llu bootstrap resamples\n", 100 * s->level, (unsigned long long)s->resamples);
    if (e->has_predictions) {
        line lines[16];
        size_t count = prediction_lines(e, lines);
        printf("\npredictions: %zu rows, %zu positive (%.2f %%)", m->count, m->positives, 100 * m->base_rate);
        if (!isnan(m->mean_prediction))
            printf(", mean prediction %.2f %%", 100 * m->mean_prediction);
        if (m->skipped > 0)
            printf("; %zu rows with an unknown user or item skipped", m->skipped);
        printf("\n");
        for (size_t i = 0; i < count; ++i)
            print_line(lines[i].key, &lines[i]);
        if (m->groups > 0)
            printf("  (%zu of %zu users have both classes: %.1f %% of the rows)\n", m->groups_used, m->groups,
                   100 * m->grouped_share);
        if (m->bin_count > 0 && crowded(m))
            print_curve(m->bins_mass, m->mass_bin_count);
        else if (m->bin_count > 0)
            print_curve(m->bins, m->bin_count);
    }
    for (size_t c = 0; c < e->cutoff_count; ++c) {
        const forage_ranking_metrics *r = &e->rankings[c];
        line lines[6];
        size_t count = ranking_lines(e, r, lines);
        if (s->negatives)
            printf("\nrankings: the first %zu of each test item and %llu sampled ones, %zu users", r->k,
                   (unsigned long long)s->negatives, r->users);
        else
            printf("\nrankings: the first %zu of all items%s, %zu users", r->k,
                   s->keep_seen || e->other_count == 0 ? "" : " not seen before", r->users);
        if (r->skipped > 0)
            printf("; %zu unknown users skipped", r->skipped);
        printf("\n");
        for (size_t i = 0; i < count; ++i) {
            char key[64];
            snprintf(key, sizeof key, "%s@%zu", lines[i].key, r->k);
            print_line(key, &lines[i]);
        }
    }
    return CLI_GOOD;
}
