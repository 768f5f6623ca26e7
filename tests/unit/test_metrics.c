/*
 * Metrics of predictions and rankings: against naive definitions and against scikit-learn's numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "eval/intern.h"
#include "forage/forage.h"

static void assert_near(double got, double expected, double tolerance)
{
    if (isnan(expected) ? !isnan(got) : !(fabs(got - expected) <= tolerance * fmax(1, fabs(expected))))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

/* The definition: all pairs. */
static double naive_auc(const float *scores, const float *labels, size_t count)
{
    double sum = 0, pairs = 0;
    for (size_t i = 0; i < count; ++i)
        for (size_t j = 0; j < count; ++j)
            if (labels[i] == 1 && labels[j] == 0) {
                sum += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
                pairs += 1;
            }
    return pairs > 0 ? sum / pairs : (double)NAN;
}

static void fill_random(forage_rng *rng, float *scores, float *labels, size_t count, int levels, double rate)
{
    for (size_t i = 0; i < count; ++i) {
        double draw = forage_rng_double(rng);
        scores[i] = (float)(levels > 0 ? floor(draw * levels) / levels : draw);
        labels[i] = forage_rng_double(rng) < rate * (0.5 + (double)scores[i]) ? 1 : 0;
    }
}

static void test_auc_against_all_pairs(void **state)
{
    (void)state;
    enum { MOST = 257 };
    float scores[MOST], labels[MOST];
    forage_rng rng;
    forage_rng_seed(&rng, 3);
    for (size_t round = 0; round < 300; ++round) {
        size_t count = 1 + (size_t)forage_rng_integers(&rng, MOST);
        fill_random(&rng, scores, labels, count, (int)(round % 7), 0.4);
        for (size_t i = 0; round % 3 == 0 && i < count; ++i)
            scores[i] = (scores[i] - 0.4f) * 1e-30f; /* both signs, tiny */
        double auc;
        assert_int_equal(forage_auc(scores, labels, count, &auc, NULL), FORAGE_OK);
        assert_near(auc, naive_auc(scores, labels, count), 1e-14);
    }
}

static void test_auc_edges(void **state)
{
    (void)state;
    double auc;
    float labels[4] = {0, 1, 0, 1}, zeros[4] = {0.0f, -0.0f, -0.0f, 0.0f};
    assert_int_equal(forage_auc(zeros, labels, 4, &auc, NULL), FORAGE_OK);
    assert_true(auc == 0.5);
    float extreme[4] = {-INFINITY, 1, -1, 2};
    assert_int_equal(forage_auc(extreme, labels, 4, &auc, NULL), FORAGE_DIVERGED);
    extreme[0] = NAN;
    assert_int_equal(forage_auc(extreme, labels, 4, &auc, NULL), FORAGE_DIVERGED);
    float wide[4] = {-3e38f, 3e38f, -1e-45f, 1e-45f};
    assert_int_equal(forage_auc(wide, labels, 4, &auc, NULL), FORAGE_OK);
    assert_true(auc == 1);
    float ones[4] = {1, 1, 1, 1};
    assert_int_equal(forage_auc(wide, ones, 4, &auc, NULL), FORAGE_OK);
    assert_true(isnan(auc));
    float stars[4] = {0, 1, 3, 1};
    forage_error error = {0};
    assert_int_equal(forage_auc(wide, stars, 4, &auc, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "row 2"));
    assert_int_equal(forage_auc(wide, stars, 0, &auc, NULL), FORAGE_INVALID);
}

static void test_one_class(void **state)
{
    (void)state;
    float prediction[3] = {0.2f, 0.5f, 1.0f}, label[3] = {1, 1, 1};
    uint32_t group[3] = {5, 5, FORAGE_NONE};
    forage_predictions in = {.count = 3, .prediction = prediction, .label = label, .group = group, .probability = true};
    forage_metrics_options options = {.bootstrap = {.resamples = 50}};
    forage_metrics metrics;
    assert_int_equal(forage_metrics_compute(&in, &options, &metrics, NULL), FORAGE_OK);
    assert_true(isnan(metrics.auc.value) && isnan(metrics.auc.low));
    assert_true(isnan(metrics.grouped_auc.value));
    assert_true(isnan(metrics.rmse.value) && isnan(metrics.oracle_log_loss.value));
    assert_int_equal(metrics.groups, 1);
    assert_int_equal(metrics.groups_used, 0);
    assert_near(metrics.log_loss.value, -(log(0.2) + log(0.5) + log1p(-0x1p-23)) / 3, 1e-7);
    assert_true(metrics.log_loss.low <= metrics.log_loss.value && metrics.log_loss.value <= metrics.log_loss.high);
    prediction[1] = 1.5f;
    assert_int_equal(forage_metrics_compute(&in, &options, &metrics, NULL), FORAGE_INVALID);
    in.probability = false;
    assert_int_equal(forage_metrics_compute(&in, &options, &metrics, NULL), FORAGE_OK);
    assert_true(isnan(metrics.log_loss.value) && isnan(metrics.ece.value) && metrics.bin_count == 0);
}

/* ---- bootstrap ---- */

static void test_poisson_weights(void **state)
{
    (void)state;
    enum { COUNT = 1000001 };
    uint8_t *weights = malloc(COUNT);
    size_t seen[13] = {0};
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    eval_poisson_weights(&rng, weights, COUNT);
    for (size_t i = 0; i < COUNT; ++i)
        ++seen[weights[i]];
    double probability = exp(-1);
    for (int k = 0; k < 7; ++k) {
        probability /= k > 0 ? k : 1;
        double expected = probability * COUNT;
        assert_true(fabs((double)seen[k] - expected) < 5 * sqrt(expected) + 1);
    }
    free(weights);
}

static void test_bootstrap(void **state)
{
    (void)state;
    enum { COUNT = 4000 };
    static float prediction[COUNT], label[COUNT], truth[COUNT];
    static uint32_t group[COUNT];
    forage_rng rng;
    forage_rng_seed(&rng, 8);
    for (size_t i = 0; i < COUNT; ++i) {
        truth[i] = (float)forage_rng_double(&rng);
        prediction[i] = 0.5f * truth[i] + 0.25f;
        label[i] = forage_rng_double(&rng) < (double)truth[i];
        group[i] = (uint32_t)forage_rng_integers(&rng, 50);
    }
    forage_predictions in = {COUNT, prediction, label, group, truth, true};
    forage_metrics_options options = {.bootstrap = {.resamples = 800, .seed = 4}, .threads = 1};
    forage_metrics one, many;
    assert_int_equal(forage_metrics_compute(&in, &options, &one, NULL), FORAGE_OK);
    options.threads = 3;
    assert_int_equal(forage_metrics_compute(&in, &options, &many, NULL), FORAGE_OK);
    assert_memory_equal(&one, &many, sizeof one);

    /* The interval of a mean is known: the value plus or minus 1.96 standard errors. */
    double error = 0;
    for (size_t i = 0; i < COUNT; ++i) {
        double d = ((double)prediction[i] - (double)label[i]) * ((double)prediction[i] - (double)label[i]);
        error += (d - one.brier.value) * (d - one.brier.value);
    }
    error = sqrt(error) / COUNT;
    assert_near((one.brier.high - one.brier.low) / error, 2 * 1.96, 0.1);
    /* and that of an AUC nearly so: Hanley and McNeil's formula (1982). */
    double a = one.auc.value, q1 = a / (2 - a), q2 = 2 * a * a / (1 + a), p = (double)one.positives;
    double n = (double)(one.count - one.positives);
    double deviation = sqrt((a * (1 - a) + (p - 1) * (q1 - a * a) + (n - 1) * (q2 - a * a)) / (p * n));
    assert_near((one.auc.high - one.auc.low) / deviation, 2 * 1.96, 0.1);
    assert_true(one.ece.low <= one.ece.value && one.ece.value <= one.ece.high);
    assert_true(one.excess_log_loss.low > 0);

    options.bootstrap.by_group = true;
    assert_int_equal(forage_metrics_compute(&in, &options, &many, NULL), FORAGE_OK);
    assert_true(many.auc.value == one.auc.value && many.auc.low != one.auc.low);
    in.group = NULL;
    assert_int_equal(forage_metrics_compute(&in, &options, &many, NULL), FORAGE_INVALID);
}

static void test_student(void **state)
{
    (void)state;
    /* closed forms, and values whose tail integrates to the share */
    assert_near(eval_student_quantile(0.975, 1), 12.706204736432095, 1e-10);
    assert_near(eval_student_quantile(0.975, 2), 4.302652729749464, 1e-10);
    assert_near(eval_student_quantile(0.025, 4), -2.7764451051977987, 1e-10);
    assert_near(eval_student_quantile(0.995, 9), 3.2498355415921258, 1e-10);
    assert_near(eval_student_quantile(0.975, 1e6), 1.9599663568141066, 1e-10);
    double values[5] = {1, 2, NAN, 3, 6};
    forage_estimate estimate = forage_estimate_of(values, 5, 0);
    assert_near(estimate.value, 3, 1e-15);
    assert_near(estimate.high - 3, 3.182446305284263 * sqrt(14.0 / 3 / 4), 1e-12);
    assert_near(3 - estimate.low, estimate.high - 3, 1e-12);
    estimate = forage_estimate_of(values, 1, 0);
    assert_true(estimate.value == 1 && isnan(estimate.low));
    assert_true(isnan(forage_estimate_of(values, 0, 0).value));
}

/* ---- scikit-learn's numbers ---- */

static json_t *golden(void)
{
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof path, "%s/tests/golden/metrics.json", getenv("FORAGE_SOURCE"));
    json_t *root = json_load_file(path, 0, &error);
    if (!root)
        fail_msg("%s: %s", path, error.text);
    return root;
}

static double number(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static float *reals(json_t *object, const char *key)
{
    json_t *list = json_object_get(object, key);
    float *values = malloc(json_array_size(list) * sizeof *values);
    for (size_t i = 0; i < json_array_size(list); ++i)
        values[i] = (float)json_number_value(json_array_get(list, i));
    return values;
}

static void check_curve(json_t *expected, const forage_reliability_bin *bins, size_t count)
{
    json_t *rate = json_object_get(expected, "positive_rate");
    json_t *mean = json_object_get(expected, "mean_prediction");
    size_t at = 0;
    for (size_t b = 0; b < count; ++b) {
        if (bins[b].count == 0)
            continue;
        assert_near(bins[b].positive_rate, json_number_value(json_array_get(rate, at)), 1e-12);
        assert_near(bins[b].mean_prediction, json_number_value(json_array_get(mean, at)), 1e-12);
        assert_true(bins[b].mean_prediction >= bins[b].low && bins[b].mean_prediction <= bins[b].high);
        ++at;
    }
    assert_int_equal(at, json_array_size(rate));
}

static void test_golden_predictions(void **state)
{
    (void)state;
    json_t *root = golden(), *test_case;
    size_t index;
    json_array_foreach(json_object_get(root, "predictions"), index, test_case)
    {
        size_t count = json_array_size(json_object_get(test_case, "label"));
        float *prediction = reals(test_case, "prediction"), *truth = reals(test_case, "truth");
        float *label = reals(test_case, "label"), *group_real = reals(test_case, "group");
        uint32_t *group = malloc(count * sizeof *group);
        for (size_t i = 0; i < count; ++i)
            group[i] = (uint32_t)group_real[i];
        forage_predictions in = {count, prediction, label, group, truth, true};
        forage_metrics_options options = {.bins = (size_t)number(test_case, "bins")};
        forage_metrics got;
        assert_int_equal(forage_metrics_compute(&in, &options, &got, NULL), FORAGE_OK);
        assert_near(got.auc.value, number(test_case, "auc"), 1e-13);
        assert_near(got.log_loss.value, number(test_case, "log_loss"), 1e-12);
        assert_near(got.oracle_log_loss.value, number(test_case, "oracle_log_loss"), 1e-12);
        assert_near(got.excess_log_loss.value, number(test_case, "log_loss") - number(test_case, "oracle_log_loss"),
                    1e-12);
        assert_near(got.base_log_loss, number(test_case, "base_log_loss"), 1e-12);
        assert_near(got.brier.value, number(test_case, "brier"), 1e-12);
        assert_near(got.rmse.value, number(test_case, "rmse"), 1e-7);
        assert_near(got.ece.value, number(test_case, "ece"), 1e-12);
        assert_near(got.ece_mass.value, number(test_case, "ece_mass"), 1e-12);
        assert_near(got.grouped_auc.value, number(test_case, "grouped_auc"), 1e-13);
        assert_near(got.grouped_share, number(test_case, "grouped_share"), 1e-13);
        assert_int_equal(got.groups, (size_t)number(test_case, "groups"));
        assert_int_equal(got.groups_used, (size_t)number(test_case, "groups_used"));
        assert_true(isnan(got.auc.low));
        check_curve(json_object_get(test_case, "curve"), got.bins, got.bin_count);
        check_curve(json_object_get(test_case, "curve_mass"), got.bins_mass, got.mass_bin_count);
        free(prediction);
        free(truth);
        free(label);
        free(group_real);
        free(group);
    }
    json_decref(root);
}

/* ---- rankings ---- */

typedef struct scores {
    size_t items;
    const double *values; /* [users x items] */
} scores;

/* Takes the best that is left, k times. */
static forage_status rank_naively(void *context, const uint32_t *users, size_t count, size_t k, const forage_seen *seen,
                                  uint32_t *items, size_t *found, forage_error *error)
{
    (void)error;
    const scores *table = context;
    for (size_t i = 0; i < count; ++i) {
        bool taken[1024] = {false};
        for (size_t s = seen->offsets[users[i]]; s < seen->offsets[users[i] + 1]; ++s)
            taken[seen->items[s]] = true;
        for (found[i] = 0; found[i] < k; ++found[i]) {
            uint32_t best = FORAGE_NONE;
            for (uint32_t item = 0; item < table->items; ++item)
                if (!taken[item] && (best == FORAGE_NONE || table->values[users[i] * table->items + item] >
                                                                table->values[users[i] * table->items + best]))
                    best = item;
            if (best == FORAGE_NONE)
                break;
            taken[best] = true;
            items[i * k + found[i]] = best;
        }
    }
    return FORAGE_OK;
}

static forage_seen rows_of(json_t *lists)
{
    forage_seen seen = {.user_count = json_array_size(lists)};
    seen.offsets = calloc(seen.user_count + 1, sizeof *seen.offsets);
    for (size_t u = 0; u < seen.user_count; ++u)
        seen.offsets[u + 1] = seen.offsets[u] + json_array_size(json_array_get(lists, u));
    seen.items = calloc(seen.offsets[seen.user_count] + 1, sizeof *seen.items);
    for (size_t u = 0, at = 0; u < seen.user_count; ++u)
        for (size_t i = 0; i < json_array_size(json_array_get(lists, u)); ++i)
            seen.items[at++] = (uint32_t)json_integer_value(json_array_get(json_array_get(lists, u), i));
    return seen;
}

static void test_golden_ranking(void **state)
{
    (void)state;
    json_t *root = golden(), *test_case = json_object_get(root, "ranking"), *answer;
    size_t items = (size_t)number(test_case, "items"), users = (size_t)number(test_case, "users"), index;
    double *values = malloc(users * items * sizeof *values);
    for (size_t u = 0; u < users; ++u)
        for (size_t i = 0; i < items; ++i)
            values[u * items + i] =
                json_number_value(json_array_get(json_array_get(json_object_get(test_case, "scores"), u), i));
    forage_seen seen = rows_of(json_object_get(test_case, "seen")), test = rows_of(json_object_get(test_case, "test"));
    scores table = {items, values};
    size_t cutoffs[] = {1, 5, 20};
    forage_ranking_task task = {.seen = &seen, .test = &test, .items = items};
    forage_ranking_options options = {cutoffs, 3, {.resamples = 200, .seed = 1}, 2, NULL};
    forage_ranking_metrics got[3], again[3];
    assert_int_equal(forage_ranking_compute(rank_naively, &table, &task, &options, got, NULL), FORAGE_OK);
    json_array_foreach(json_object_get(test_case, "answer"), index, answer)
    {
        assert_int_equal(got[index].k, (size_t)number(answer, "k"));
        assert_int_equal(got[index].users, (size_t)number(answer, "users"));
        assert_int_equal(got[index].distinct, (size_t)number(answer, "distinct"));
        assert_near(got[index].coverage, number(answer, "distinct") / (double)items, 1e-15);
        assert_near(got[index].precision.value, number(answer, "precision"), 1e-13);
        assert_near(got[index].recall.value, number(answer, "recall"), 1e-13);
        assert_near(got[index].ndcg.value, number(answer, "ndcg"), 1e-13);
        assert_near(got[index].mrr.value, number(answer, "mrr"), 1e-13);
        assert_near(got[index].hit_rate.value, number(answer, "hit_rate"), 1e-13);
        assert_true(got[index].ndcg.low < got[index].ndcg.value && got[index].ndcg.value < got[index].ndcg.high);
    }
    options.threads = 1;
    assert_int_equal(forage_ranking_compute(rank_naively, &table, &task, &options, again, NULL), FORAGE_OK);
    assert_memory_equal(got, again, sizeof got);

    /* Test items that nobody knows are misses; a cutoff beyond the catalogue is no error. */
    uint32_t *misses = calloc(users, sizeof *misses);
    misses[0] = 3; /* had none */
    size_t everything[] = {1000};
    options = (forage_ranking_options){everything, 1, {0}, 2, NULL};
    task.misses = misses;
    assert_int_equal(forage_ranking_compute(rank_naively, &table, &task, &options, again, NULL), FORAGE_OK);
    assert_int_equal(again[0].users, got[0].users + 1);
    assert_near(again[0].recall.value, (double)got[0].users / (double)again[0].users, 1e-13);
    size_t none[] = {0};
    options.cutoffs = none;
    assert_int_equal(forage_ranking_compute(rank_naively, &table, &task, &options, again, NULL), FORAGE_INVALID);
    free(misses);
    free(values);
    free(seen.offsets);
    free(seen.items);
    free(test.offsets);
    free(test.items);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auc_against_all_pairs),
        cmocka_unit_test(test_auc_edges),
        cmocka_unit_test(test_one_class),
        cmocka_unit_test(test_poisson_weights),
        cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_student),
        cmocka_unit_test(test_golden_predictions),
        cmocka_unit_test(test_golden_ranking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
