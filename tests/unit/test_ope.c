/*
 * Off-policy estimates against NumPy's, on real logs too; what must be refused is refused, with the reason.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../must.h"
#include "golden.h"

static void near(double got, double wanted, double tolerance, const char *what)
{
    if (!(fabs(got - wanted) <= tolerance * fmax(1e-3, fabs(wanted))))
        fail_msg("%s is %.15g instead of %.15g", what, got, wanted);
}

/* ---- arrays ---- */

typedef struct arrays {
    size_t count;
    float *propensity, *reward;
    double *target, *predicted, *expected;
    uint32_t *group;
} arrays;

static double real_at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

static arrays read_arrays(const json_t *from)
{
    arrays a = {.count = json_array_size(json_object_get(from, "target"))};
    a.propensity = forage_alloc(a.count, sizeof(float));
    a.reward = forage_alloc(a.count, sizeof(float));
    a.target = forage_alloc(a.count, sizeof(double));
    a.predicted = forage_alloc(a.count, sizeof(double));
    a.expected = forage_alloc(a.count, sizeof(double));
    a.group = forage_alloc(a.count, sizeof(uint32_t));
    for (size_t i = 0; i < a.count; i++) {
        a.propensity[i] = (float)real_at(json_object_get(from, "propensity"), i);
        a.reward[i] = (float)real_at(json_object_get(from, "reward"), i);
        a.target[i] = real_at(json_object_get(from, "target"), i);
        a.predicted[i] = real_at(json_object_get(from, "predicted"), i);
        a.expected[i] = real_at(json_object_get(from, "expected"), i);
        a.group[i] = (uint32_t)json_integer_value(json_array_get(json_object_get(from, "group"), i));
    }
    return a;
}

static void free_arrays(arrays *a)
{
    forage_free(a->propensity);
    forage_free(a->reward);
    forage_free(a->target);
    forage_free(a->predicted);
    forage_free(a->expected);
    forage_free(a->group);
}

static forage_ope_rows rows_of(const arrays *a, bool grouped)
{
    return (forage_ope_rows){
        a->count, a->propensity, a->target, a->reward, a->predicted, a->expected, grouped ? a->group : NULL};
}

static void compare_one(const json_t *wanted, const char *key, double value, double deviation, double tolerance)
{
    const json_t *pair = json_object_get(json_object_get(wanted, "estimates"), key);
    assert_int_equal(json_array_size(pair), 2);
    near(value, real_at(pair, 0), tolerance, key);
    near(deviation, real_at(pair, 1), tolerance, key);
}

static void compare(const forage_ope *got, const json_t *wanted, double tolerance)
{
    assert_false(got->refused);
    for (int k = 0; k < FORAGE_OPE_COUNT; k++)
        compare_one(wanted, forage_ope_key((forage_ope_kind)k), got->estimates[k].value, got->estimates[k].deviation,
                    tolerance);
    compare_one(wanted, "logged", got->logged.value, got->logged.deviation, tolerance);
    compare_one(wanted, "mean_weight", got->mean_weight, got->mean_weight_deviation, tolerance);
    near(got->ess, json_number_value(json_object_get(wanted, "ess")), tolerance, "ess");
    near(got->largest_weight, json_number_value(json_object_get(wanted, "largest_weight")), tolerance, "weight");
    near(got->clipped, json_number_value(json_object_get(wanted, "clipped")), tolerance, "clipped");
    near(got->switched, json_number_value(json_object_get(wanted, "switched")), tolerance, "switched");
    near(got->clip, json_number_value(json_object_get(wanted, "clip")), tolerance, "clip");
}

static void test_arrays(void **state)
{
    json_t *golden = golden_load("ope.json", 0);
    const json_t *from = json_object_get(golden, "made up");
    arrays a = read_arrays(from);
    forage_ope_rows rows = rows_of(&a, false), grouped = rows_of(&a, true);
    forage_ope_options options = {.clip = 4, .switch_at = 6.5, .least_ess = 5, .most_lost = 1}, loose = options;
    forage_ope got;
    forage_error error = {0};
    (void)state;
    must(forage_ope_compute(&rows, &options, &got, &error), &error);
    compare(&got, json_object_get(from, "rows"), 1e-12);
    assert_int_equal(got.groups, a.count);
    must(forage_ope_compute(&grouped, &options, &got, &error), &error);
    compare(&got, json_object_get(from, "groups"), 1e-12);
    assert_int_equal(got.groups, 59);
    loose.clip = loose.switch_at = 0;
    must(forage_ope_compute(&rows, &loose, &got, &error), &error);
    compare(&got, json_object_get(from, "defaults"), 1e-12);
    /* Without a model there is nothing that needs one. */
    rows.predicted = rows.expected = NULL;
    must(forage_ope_compute(&rows, &options, &got, &error), &error);
    assert_true(isnan(got.estimates[FORAGE_OPE_DR].value) && isnan(got.estimates[FORAGE_OPE_DM].value));
    compare_one(json_object_get(from, "rows"), "ips", got.estimates[FORAGE_OPE_IPS].value,
                got.estimates[FORAGE_OPE_IPS].deviation, 1e-12);
    free_arrays(&a);
    json_decref(golden);
}

/* Resampled intervals are as wide as the standard errors say or wider, for any number of threads the same. */
static void test_intervals(void **state)
{
    json_t *golden = golden_load("ope.json", 0);
    arrays a = read_arrays(json_object_get(golden, "made up"));
    forage_ope_rows rows = rows_of(&a, true);
    forage_ope_options options = {.least_ess = 5, .most_lost = 1, .bootstrap = {.resamples = 4000, .seed = 3}};
    forage_ope one, three, normal;
    forage_error error = {0};
    (void)state;
    must(forage_ope_compute(&rows, &options, &one, &error), &error);
    options.threads = 3;
    must(forage_ope_compute(&rows, &options, &three, &error), &error);
    options.bootstrap.resamples = 0;
    must(forage_ope_compute(&rows, &options, &normal, &error), &error);
    for (int k = 0; k < FORAGE_OPE_COUNT; k++) {
        const forage_ope_estimate *e = &one.estimates[k], *n = &normal.estimates[k];
        assert_true(e->low == three.estimates[k].low && e->high == three.estimates[k].high);
        assert_true(e->low < e->value && e->value < e->high);
        double width = (e->high - e->low) / (2 * 1.96 * e->deviation); /* wider: weights of this log have a long tail */
        assert_true(width > 0.95 && width < 1.8);
        near((n->high - n->low) / (2 * 2.0017 * n->deviation), 1, 1e-4, "normal"); /* t of 58 degrees */
    }
    free_arrays(&a);
    json_decref(golden);
}

/* ---- what is refused ---- */

enum { SOME = 400 };

static void test_refused(void **state)
{
    static float propensity[SOME], reward[SOME];
    static double target[SOME];
    forage_ope_rows rows = {.count = SOME, .propensity = propensity, .target = target, .reward = reward};
    forage_ope got;
    forage_error error = {0};
    (void)state;
    for (size_t i = 0; i < SOME; i++) {
        propensity[i] = 0.5F;
        target[i] = 0.5;
        reward[i] = (float)(i % 3 == 0);
    }
    must(forage_ope_compute(&rows, NULL, &got, &error), &error);
    assert_false(got.refused);
    assert_true(got.lost == 0);
    near(got.ess, SOME, 1e-12, "ess");
    near(got.estimates[FORAGE_OPE_IPS].value, got.logged.value, 1e-12, "ips of the policy itself");
    /* One row of great weight. */
    propensity[7] = 1e-4F;
    target[7] = 1;
    must(forage_ope_compute(&rows, NULL, &got, &error), &error);
    assert_true(got.refused && strstr(got.reason, "effective sample size") && strstr(got.reason, "10000"));
    for (int k = 0; k < FORAGE_OPE_COUNT; k++)
        assert_true(isnan(got.estimates[k].value) && isnan(got.estimates[k].low));
    assert_false(isnan(got.logged.value));
    /* The log never shows what the policy shows half of the time. */
    for (size_t i = 0; i < SOME; i++) {
        propensity[i] = 0.5F;
        target[i] = 0.25;
    }
    must(forage_ope_compute(&rows, NULL, &got, &error), &error);
    assert_true(got.refused && strstr(got.reason, "support is missing for at least 50.0 %"));
    near(got.lost, 0.5, 1e-6, "lost");
    memset(target, 0, sizeof target);
    must(forage_ope_compute(&rows, NULL, &got, &error), &error);
    assert_true(got.refused && strstr(got.reason, "no support"));
    assert_true(got.zero_share == 1);
}

static void expect_invalid(const forage_ope_rows *rows, const forage_ope_options *options, const char *word)
{
    forage_ope got;
    forage_error error = {0};
    assert_int_equal(forage_ope_compute(rows, options, &got, &error), FORAGE_INVALID);
    if (!strstr(error.message, word))
        fail_msg("'%s' does not say '%s'", error.message, word);
}

static void test_invalid(void **state)
{
    float propensity[] = {0.5F, 0.5F, 0.5F}, reward[] = {1, 0, 1};
    double target[] = {0.1, 0.2, 0.3}, model[] = {1, 1, 1};
    forage_ope_rows rows = {.count = 3, .propensity = propensity, .target = target, .reward = reward};
    forage_ope_options options = {.clip = -1};
    (void)state;
    expect_invalid(&rows, &options, "clip");
    options = (forage_ope_options){.bootstrap = {.level = 2}};
    expect_invalid(&rows, &options, "level");
    rows.predicted = model;
    expect_invalid(&rows, NULL, "reward model");
    rows.expected = model;
    model[1] = NAN;
    expect_invalid(&rows, NULL, "row 1");
    rows.predicted = rows.expected = NULL;
    propensity[2] = 0;
    expect_invalid(&rows, NULL, "propensity of row 2");
    propensity[2] = 1.5F;
    expect_invalid(&rows, NULL, "propensity of row 2");
    propensity[2] = 1;
    target[0] = 1.1;
    expect_invalid(&rows, NULL, "row 0");
    target[0] = NAN;
    expect_invalid(&rows, NULL, "row 0");
    target[0] = 1;
    reward[1] = INFINITY;
    expect_invalid(&rows, NULL, "reward of row 1");
    rows.count = 0;
    expect_invalid(&rows, NULL, "no rows");
}

/* ---- logs ---- */

static char folder[] = "/tmp/forage-ope-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[sizeof folder + 40];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static forage_dataset *load(const char *path)
{
    forage_dataset *dataset;
    forage_error error = {0};
    must(forage_dataset_load(path, NULL, NULL, &dataset, &error), &error);
    return dataset;
}

/* A log of a shop of four items and two kinds of users; each item is right for one kind. What was shown
 * depends on the kind. */
static forage_dataset *shop_log(size_t count, bool with_propensity)
{
    static const double shown[2][4] = {{0.4, 0.3, 0.2, 0.1}, {0.1, 0.2, 0.3, 0.4}};
    FILE *file = fopen(path_of("log.csv"), "w");
    forage_rng rng;
    forage_rng_seed(&rng, 11);
    assert_non_null(file);
    fprintf(file, "user_id,item_id,click,kind%s\n", with_propensity ? ",propensity" : "");
    for (size_t row = 0; row < count; row++) {
        size_t kind = forage_rng_integers(&rng, 2), item = 0;
        double u = forage_rng_double(&rng);
        while (item < 3 && u >= shown[kind][item])
            u -= shown[kind][item++];
        bool click = forage_rng_double(&rng) < (item % 2 == kind ? 0.5 : 0.1);
        fprintf(file, "%zu,item%zu,%d,%s", row / 4, item, click, kind ? "cat" : "dog");
        if (with_propensity)
            fprintf(file, ",%g", shown[kind][item]);
        fprintf(file, "\n");
    }
    assert_int_equal(fclose(file), 0);
    return load(path_of("log.csv"));
}

static forage_ope judge_pipeline(const forage_dataset *log, const char *text, const char *model)
{
    forage_pipeline_spec *spec;
    forage_ope got;
    forage_error error = {0};
    const forage_ope_task task = {.dataset = log, .reward_model = model, .seed = 1};
    must(forage_pipeline_spec_parse(text, &spec, &error), &error);
    must(forage_ope_of_pipeline(&task, spec, &got, &error), &error);
    forage_pipeline_spec_free(spec);
    return got;
}

/* Within four standard errors of the truth, for the unbiased ones. */
static void check_truth(const forage_ope *got, double truth)
{
    static const forage_ope_kind unbiased[] = {FORAGE_OPE_IPS, FORAGE_OPE_SNIPS, FORAGE_OPE_DR};
    assert_false(got->refused);
    for (size_t k = 0; k < 3; k++) {
        const forage_ope_estimate *e = &got->estimates[unbiased[k]];
        if (!(fabs(e->value - truth) < 4 * e->deviation && e->deviation < 0.05))
            fail_msg("%s: %g +- %g, the truth is %g", forage_ope_key(unbiased[k]), e->value, e->deviation, truth);
    }
}

static void test_pipelines(void **state)
{
    forage_dataset *log = shop_log(4000, true);
    (void)state;
    forage_ope random = judge_pipeline(log, "random", NULL);
    check_truth(&random, 0.3);
    assert_true(random.unseen == 0);
    near(random.largest_weight, 2.5, 1e-6, "largest weight");
    assert_true(random.groups == 1000);
    /* A learner finds out what is right for whom; with a good reward model DR is less noisy than IPS. */
    forage_ope learner = judge_pipeline(log, "linucb:alpha=0", "linucb");
    check_truth(&learner, 0.5);
    assert_true(learner.estimates[FORAGE_OPE_DR].deviation < 0.9 * learner.estimates[FORAGE_OPE_IPS].deviation);
    near(learner.estimates[FORAGE_OPE_DM].value, 0.5, 0.1, "dm");
    forage_ope bare = judge_pipeline(log, "random", "");
    assert_true(isnan(bare.estimates[FORAGE_OPE_DM].value));
    assert_true(bare.estimates[FORAGE_OPE_IPS].value == random.estimates[FORAGE_OPE_IPS].value);
    forage_dataset_free(log);
}

static void test_bad_logs(void **state)
{
    forage_dataset *log = shop_log(40, false), *zero;
    forage_pipeline_spec *spec;
    forage_ope got;
    forage_error error = {0};
    forage_ope_task task = {.dataset = log, .source = "log.csv"};
    (void)state;
    must(forage_pipeline_spec_parse("random", &spec, &error), &error);
    assert_int_equal(forage_ope_of_pipeline(&task, spec, &got, &error), FORAGE_FORMAT);
    assert_non_null(strstr(error.message, "no propensities"));
    assert_string_equal(error.file, "log.csv");
    forage_dataset_free(log);
    log = shop_log(40, true);
    task = (forage_ope_task){.dataset = log, .position = "shelf"};
    assert_int_equal(forage_ope_of_pipeline(&task, spec, &got, &error), FORAGE_UNKNOWN);
    task = (forage_ope_task){.dataset = log, .folds = 1};
    assert_int_equal(forage_ope_of_pipeline(&task, spec, &got, &error), FORAGE_INVALID);
    task = (forage_ope_task){.dataset = log, .reward_model = "random"};
    assert_int_equal(forage_ope_of_pipeline(&task, spec, &got, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "no model"));
    /* A propensity of 0 is refused where the file is read, with its line. */
    FILE *file = fopen(path_of("zero.csv"), "w");
    assert_non_null(file);
    fprintf(file, "item_id,click,propensity\na,1,0.5\nb,0,0\n");
    assert_int_equal(fclose(file), 0);
    error = (forage_error){0};
    assert_int_not_equal(forage_dataset_load(path_of("zero.csv"), NULL, NULL, &zero, &error), FORAGE_OK);
    assert_int_equal(error.line, 3);
    assert_string_equal(error.field, "propensity");
    forage_pipeline_spec_free(spec);
    forage_dataset_free(log);
}

static void test_failing_allocations(void **state)
{
    forage_dataset *log = shop_log(60, true);
    forage_pipeline_spec *spec;
    forage_error error = {0};
    const forage_ope_task task = {.dataset = log, .options = {.bootstrap = {.resamples = 20}}};
    (void)state;
    must(forage_pipeline_spec_parse("random", &spec, &error), &error);
    for (int which = 0; which < 2; which++) {
        for (uint64_t nth = 1;; nth++) {
            forage_ope got;
            forage_alloc_fail_at(nth);
            forage_status status = which ? forage_ope_of_log(&task, log, true, &got, &error)
                                         : forage_ope_of_pipeline(&task, spec, &got, &error);
            forage_alloc_fail_at(0);
            if (status == FORAGE_OK) {
                assert_true(nth > 10);
                break;
            }
            assert_int_equal(status, FORAGE_NO_MEMORY);
        }
    }
    forage_pipeline_spec_free(spec);
    forage_dataset_free(log);
}

/* ---- real logs: the Open Bandit Dataset ---- */

static forage_dataset *load_campaign(const char *policy, const char *campaign)
{
    char path[1024];
    const char *data = getenv("FORAGE_DATA");
    snprintf(path, sizeof path, "%s/obd/%s/%s/%s.csv", data ? data : "", policy, campaign, campaign);
    return access(path, R_OK) == 0 ? load(path) : NULL;
}

static void test_open_bandit(void **state)
{
    static const char *const campaigns[] = {"men", "women"};
    json_t *golden = golden_load("ope.json", 0);
    const json_t *all = json_object_get(golden, "open bandit");
    (void)state;
    for (size_t c = 0; c < 2; c++) {
        forage_dataset *random = load_campaign("random", campaigns[c]), *bts = load_campaign("bts", campaigns[c]);
        if (!random || !bts) {
            json_decref(golden);
            return; /* skipped: cmocka's skip() would count as a failure */
        }
        for (int average = 0; average < 2; average++) {
            char key[60];
            forage_ope got;
            forage_error error = {0};
            const forage_ope_task forth = {.dataset = random}, back = {.dataset = bts};
            must(forage_ope_of_log(&forth, bts, average, &got, &error), &error);
            snprintf(key, sizeof key, "%s%s thompson", campaigns[c], average ? " average" : "");
            compare(&got, json_object_get(all, key), 1e-6);
            assert_true(got.ess > 2400 && got.ess < 3700);
            /* What the policy really earned on its own traffic lies within the errors of both. */
            double earned = 0;
            for (size_t i = 0; i < bts->count; i++)
                earned += (double)bts->value[i] / (double)bts->count;
            assert_true(fabs(got.estimates[FORAGE_OPE_IPS].value - earned) <
                        2 * hypot(got.estimates[FORAGE_OPE_IPS].deviation, sqrt(earned / (double)bts->count)));
            /* The other way round: women's Thompson log hardly ever showed some items. */
            must(forage_ope_of_log(&back, random, average, &got, &error), &error);
            snprintf(key, sizeof key, "%s%s random", campaigns[c], average ? " average" : "");
            if (c == 0) {
                compare(&got, json_object_get(all, key), 1e-6);
                continue;
            }
            near(got.ess, json_number_value(json_object_get(json_object_get(all, key), "ess")), 1e-6, "ess");
            assert_true(got.refused && strstr(got.reason, "effective sample size is 2.1 of 10000"));
            assert_non_null(strstr(got.reason, "21739"));
            assert_true(isnan(got.estimates[FORAGE_OPE_IPS].value));
        }
        forage_dataset_free(random);
        forage_dataset_free(bts);
    }
    json_decref(golden);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path_of("log.csv"));
    unlink(path_of("zero.csv"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_pipelines),
        cmocka_unit_test(test_bad_logs),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_open_bandit),
    };
    return cmocka_run_group_tests_name("ope", tests, make_folder, remove_folder);
}
