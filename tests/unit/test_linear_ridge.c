/*
 * linear-ridge against one regression over everything, solved by NumPy (tests/golden/linear_ridge.py): the three forms,
 * their forgetting, their draws; and that a million lessons do not let rounding grow.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "../must.h"
#include "forage/forage.h"
#include "golden.h"

enum { ARMS = 4, D = 5, K = 3, LESSONS = 90, CANDIDATES = 8 };

/* ---- what the golden file holds ---- */

static struct golden {
    json_t *root;
    float x[LESSONS][D], z[LESSONS][K], question_x[D], question_z[CANDIDATES][K];
    uint32_t question_arm[CANDIDATES];
    forage_lesson lessons[LESSONS];
    forage_candidates question;
} golden;

static void read_row(const json_t *array, float *row, size_t count)
{
    assert_int_equal(json_array_size(array), count);
    for (size_t i = 0; i < count; i++)
        row[i] = (float)json_number_value(json_array_get(array, i));
}

static const json_t *entry(const char *key, size_t index)
{
    return json_array_get(json_object_get(golden.root, key), index);
}

static int read_golden(void **state)
{
    (void)state;
    golden.root = golden_load("linear_ridge.json", 0);
    for (size_t i = 0; i < LESSONS; i++) {
        read_row(entry("x", i), golden.x[i], D);
        read_row(entry("z", i), golden.z[i], K);
        golden.lessons[i] = (forage_lesson){
            .user = FORAGE_NONE,
            .arm = (uint32_t)json_integer_value(entry("arm", i)),
            .request = golden.x[i],
            .features = golden.z[i],
            .reward = (float)json_number_value(entry("reward", i)),
            .weight = (float)json_number_value(entry("weight", i)),
            .propensity = NAN,
        };
    }
    read_row(json_object_get(golden.root, "question_x"), golden.question_x, D);
    for (size_t c = 0; c < CANDIDATES; c++) {
        read_row(entry("question_z", c), golden.question_z[c], K);
        golden.question_arm[c] = (uint32_t)json_integer_value(entry("question_arm", c)); /* -1 is FORAGE_NONE */
    }
    golden.question = (forage_candidates){.count = CANDIDATES,
                                          .user = FORAGE_NONE,
                                          .request = golden.question_x,
                                          .features = golden.question_z[0],
                                          .arms = golden.question_arm};
    return 0;
}

static int free_golden(void **state)
{
    (void)state;
    json_decref(golden.root);
    return 0;
}

/* ---- learners ---- */

static forage_learner *make_on(const json_t *settings, const char *refresh, const forage_learner_shape *shape,
                               const char *device_name, int threads)
{
    const forage_model_info *info;
    forage_params *params;
    forage_learner *learner;
    forage_device device;
    forage_error error = {0};
    const char *key;
    json_t *value;
    must(forage_model_find("linear-ridge", &info, &error), &error);
    must(forage_params_create(&info->table, &params, &error), &error);
    json_object_foreach((json_t *)(uintptr_t)settings, key, value)
    {
        must(forage_params_set(params, key, json_string_value(value), &error), &error);
    }
    if (refresh)
        must(forage_params_set(params, "refresh", refresh, &error), &error);
    must(forage_device_open(device_name, threads, &device, &error), &error);
    must(forage_learner_create(info, params, shape, &device, 0, &learner, &error), &error);
    forage_params_free(params);
    return learner;
}

static forage_learner *make(const json_t *settings, const char *refresh, const forage_learner_shape *shape,
                            const char *device_name)
{
    return make_on(settings, refresh, shape, device_name, 1);
}

static const forage_learner_shape small = {D, K, ARMS, 0, CANDIDATES};

static void expect(forage_learner *learner, const json_t *wanted, const char *what, double tolerance)
{
    float mean[CANDIDATES], deviation[CANDIDATES];
    forage_learner_estimate(learner, &golden.question, mean, deviation);
    for (size_t c = 0; c < CANDIDATES; c++) {
        double m = json_number_value(json_array_get(json_object_get(wanted, "mean"), c));
        double s = json_number_value(json_array_get(json_object_get(wanted, "deviation"), c));
        if (!(fabs((double)mean[c] - m) <= tolerance * (1 + fabs(m))))
            fail_msg("%s, candidate %zu: mean %.9g instead of %.9g", what, c, (double)mean[c], m);
        if (!(fabs((double)deviation[c] - s) <= tolerance * (1 + s)))
            fail_msg("%s, candidate %zu: deviation %.9g instead of %.9g", what, c, (double)deviation[c], s);
    }
}

static void describe(const json_t *one, char *text, size_t size)
{
    char *settings = json_dumps(json_object_get(one, "settings"), JSON_COMPACT);
    snprintf(text, size, "%s", settings);
    free(settings);
}

static void test_against_numpy(void **state)
{
    static const char *const refreshes[] = {NULL, "1", "7"};
    size_t index;
    json_t *one;
    (void)state;
    assert_int_equal(json_array_size(json_object_get(golden.root, "cases")), 22);
    json_array_foreach(json_object_get(golden.root, "cases"), index, one)
    {
        char text[256];
        forage_error error = {0};
        describe(one, text, sizeof text);
        for (size_t r = 0; r < 3; r++) {
            forage_learner *learner = make(json_object_get(one, "settings"), refreshes[r], &small, "auto");
            must(forage_learner_learn(learner, golden.lessons, LESSONS, &error), &error);
            expect(learner, one, text, 2e-6);
            forage_learner_free(learner);
        }
    }
}

/* Every instruction set gives the same bytes. */
static void test_same_on_every_device(void **state)
{
    static const char *const devices[] = {"cpu:portable", "cpu:avx2", "cpu:avx512"};
    size_t index;
    json_t *one;
    (void)state;
    json_array_foreach(json_object_get(golden.root, "cases"), index, one)
    {
        float first[2 * CANDIDATES];
        for (size_t i = 0; i < 3; i++) {
            float now[2 * CANDIDATES];
            forage_device device;
            forage_error error = {0};
            if (forage_device_open(devices[i], 1, &device, &error) != FORAGE_OK)
                continue; /* this processor has no such instructions */
            forage_learner *learner = make(json_object_get(one, "settings"), NULL, &small, devices[i]);
            must(forage_learner_learn(learner, golden.lessons, LESSONS, &error), &error);
            forage_learner_estimate(learner, &golden.question, now, now + CANDIDATES);
            if (i == 0)
                memcpy(first, now, sizeof first);
            assert_memory_equal(first, now, sizeof first);
            forage_learner_free(learner);
        }
    }
}

/* So many candidates that several threads share them. */
static void test_same_for_any_number_of_threads(void **state)
{
    enum { MANY = 30011 };
    static float features[MANY * K], first[3][MANY], now[3][MANY];
    static uint32_t arms[MANY];
    static const char *const forms[] = {"shared", "hybrid"};
    const forage_learner_shape shape = {D, K, ARMS, 0, MANY};
    const forage_candidates question = {MANY, FORAGE_NONE, golden.question_x, features, arms};
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        for (size_t j = 0; j < K; j++)
            features[i * K + j] = golden.z[(i * 7 + j) % LESSONS][j] + (float)(i % 101);
        arms[i] = i % 5 ? (uint32_t)(i % ARMS) : FORAGE_NONE;
    }
    for (size_t f = 0; f < 2; f++) {
        json_t *settings = json_pack("{s:s}", "form", forms[f]);
        for (int threads = 1; threads <= 3; threads++) {
            forage_error error = {0};
            forage_rng rng;
            forage_learner *learner = make_on(settings, NULL, &shape, "auto", threads);
            must(forage_learner_learn(learner, golden.lessons, LESSONS, &error), &error);
            forage_rng_seed(&rng, 4);
            forage_learner_estimate(learner, &question, now[0], now[1]);
            forage_learner_draw(learner, &question, &rng, now[2]);
            if (threads == 1)
                memcpy(first, now, sizeof first);
            assert_memory_equal(first, now, sizeof first);
            forage_learner_free(learner);
        }
        json_decref(settings);
    }
}

static void test_the_papers_hybrid(void **state)
{
    (void)state;
    forage_error error = {0};
    json_t *settings = json_pack("{s:s}", "form", "hybrid");
    forage_learner *learner = make(settings, NULL, &small, "auto");
    forage_lesson lessons[LESSONS];
    memcpy(lessons, golden.lessons, sizeof lessons);
    for (size_t i = 0; i < LESSONS; i++)
        lessons[i].weight = 1;
    must(forage_learner_learn(learner, lessons, LESSONS, &error), &error);
    expect(learner, json_object_get(golden.root, "paper"), "paper", 2e-6);
    forage_learner_free(learner);
    json_decref(settings);
}

/* A weight of 2 is a lesson twice; taking back brings back; parts add up to the whole: in every form. */
static void test_sums(void **state)
{
    size_t index;
    json_t *one;
    (void)state;
    json_array_foreach(json_object_get(golden.root, "cases"), index, one)
    {
        const json_t *settings = json_object_get(one, "settings");
        char text[256];
        forage_error error = {0};
        describe(one, text, sizeof text);
        if (json_object_get(settings, "discount") || json_object_get(settings, "window"))
            continue;
        forage_learner *learner = make(settings, NULL, &small, "auto"), *other = make(settings, NULL, &small, "auto");
        forage_lesson wrong = golden.lessons[3];
        must(forage_learner_learn(learner, golden.lessons, 40, &error), &error);
        must(forage_learner_learn(other, golden.lessons + 40, LESSONS - 40, &error), &error);
        wrong.reward = 77;
        wrong.weight = 2;
        must(forage_learner_learn(other, &wrong, 1, &error), &error);
        wrong.weight = 1;
        must(forage_learner_forget(other, &wrong, &error), &error);
        must(forage_learner_forget(other, &wrong, &error), &error);
        must(forage_learner_merge(learner, other, &error), &error);
        expect(learner, one, text, 2e-6);
        /* What was never learned is not taken back. */
        float far[D] = {1000, 1000, 1000, 1000, 1000};
        wrong.request = far;
        assert_int_equal(forage_learner_forget(learner, &wrong, &error), FORAGE_INVALID);
        expect(learner, one, text, 2e-6);
        forage_learner_free(learner);
        forage_learner_free(other);
    }
}

/* With a window, what is taken back leaves the window's other lessons; with a discount nothing is taken back. */
static void test_taking_back_from_a_window(void **state)
{
    (void)state;
    forage_error error = {0};
    json_t *settings = json_pack("{s:s, s:s}", "form", "hybrid", "window", "25");
    forage_learner *learner = make(settings, NULL, &small, "auto"), *without = make(settings, NULL, &small, "auto");
    float mean[2][CANDIDATES], deviation[2][CANDIDATES];
    must(forage_learner_learn(learner, golden.lessons, 60, &error), &error);
    must(forage_learner_forget(learner, &golden.lessons[50], &error), &error);
    must(forage_learner_forget(learner, &golden.lessons[10], &error), &error); /* it has left already */
    must(forage_learner_learn(without, golden.lessons, 50, &error), &error);
    must(forage_learner_learn(without, golden.lessons + 51, 9, &error), &error);
    must(forage_learner_forget(without, &golden.lessons[34], &error), &error); /* which the other has no more */
    forage_learner_estimate(learner, &golden.question, mean[0], deviation[0]);
    forage_learner_estimate(without, &golden.question, mean[1], deviation[1]);
    for (size_t c = 0; c < CANDIDATES; c++) {
        assert_true(fabs((double)(mean[0][c] - mean[1][c])) < 1e-5);
        assert_true(fabs((double)(deviation[0][c] - deviation[1][c])) < 1e-5);
    }
    assert_int_equal(forage_learner_merge(learner, without, &error), FORAGE_UNSUPPORTED);
    forage_learner_free(learner);
    forage_learner_free(without);
    json_object_set_new(settings, "discount", json_string("0.9"));
    learner = make(settings, NULL, &small, "auto");
    must(forage_learner_learn(learner, golden.lessons, 60, &error), &error);
    assert_int_equal(forage_learner_forget(learner, &golden.lessons[59], &error), FORAGE_UNSUPPORTED);
    forage_learner_free(learner);
    json_decref(settings);
}

/* Draws have the posterior's means and covariances. Candidates of one arm that nobody knows are taken for different
 * arms: their covariance is not compared. */
static void test_draws(void **state)
{
    enum { DRAWS = 30000 };
    size_t index;
    json_t *one;
    (void)state;
    json_array_foreach(json_object_get(golden.root, "cases"), index, one)
    {
        static double sum[CANDIDATES], square[CANDIDATES][CANDIDATES];
        const json_t *settings = json_object_get(one, "settings"), *covariance = json_object_get(one, "covariance");
        bool student = json_object_get(settings, "estimate-noise") != NULL;
        if (json_object_get(settings, "pool-noise"))
            continue; /* the larger of two draws of the noise has no simple variance */
        forage_error error = {0};
        forage_rng rng;
        char text[256];
        describe(one, text, sizeof text);
        forage_learner *learner = make(settings, NULL, &small, "auto");
        must(forage_learner_learn(learner, golden.lessons, LESSONS, &error), &error);
        forage_rng_seed(&rng, 5);
        memset(sum, 0, sizeof sum);
        memset(square, 0, sizeof square);
        for (size_t i = 0; i < DRAWS; i++) {
            float values[CANDIDATES];
            forage_learner_draw(learner, &golden.question, &rng, values);
            for (size_t c = 0; c < CANDIDATES; c++) {
                double mean = json_number_value(json_array_get(json_object_get(one, "mean"), c));
                sum[c] += (double)values[c] - mean;
                for (size_t o = 0; o <= c; o++) {
                    double other = json_number_value(json_array_get(json_object_get(one, "mean"), o));
                    square[c][o] += ((double)values[c] - mean) * ((double)values[o] - other);
                }
            }
        }
        for (size_t c = 0; c < CANDIDATES; c++) {
            double own = json_number_value(json_array_get(json_array_get(covariance, c), c));
            if (!(fabs(sum[c] / DRAWS) <= 5 * sqrt(own / DRAWS) + 1e-6))
                fail_msg("%s, candidate %zu: draws are off by %g, deviation %g", text, c, sum[c] / DRAWS, sqrt(own));
            for (size_t o = 0; o <= c; o++) {
                double wanted = json_number_value(json_array_get(json_array_get(covariance, c), o));
                double other = json_number_value(json_array_get(json_array_get(covariance, o), o));
                /* Each arm of the disjoint form has a noise of its own, so only equal arms go together. */
                double found = square[c][o] / DRAWS, scale = sqrt(own * other);
                if (!(fabs(found - wanted) <= (student ? 0.06 : 0.045) * scale + 1e-6))
                    fail_msg("%s, candidates %zu and %zu: covariance %g instead of %g", text, c, o, found, wanted);
            }
        }
        forage_learner_free(learner);
    }
}

/* ---- a million lessons ---- */

/* Without ever computing an inverse anew, after many lessons of features that nearly say the same. */
static void check_drift(const char *form, size_t lessons)
{
    enum { WIDE = 12 };
    const forage_learner_shape shape = {WIDE, 4, 3, 0, 3};
    json_t *settings = json_pack("{s:s}", "form", form);
    forage_learner *never = make(settings, "1000000000", &shape, "auto");
    forage_rng rng;
    forage_error error = {0};
    float x[WIDE], z[4], features[12], mean[2][3], deviation[2][3];
    forage_rng_seed(&rng, 3);
    for (size_t i = 0; i < lessons; i++) {
        x[0] = 1;
        for (size_t j = 1; j < WIDE; j++)
            x[j] = (float)(j % 2 ? forage_rng_double(&rng) : (double)x[j - 1] + 1e-3 * forage_rng_double(&rng));
        for (size_t j = 0; j < 4; j++)
            z[j] = (float)(100 * forage_rng_double(&rng));
        forage_lesson lesson = {.user = FORAGE_NONE,
                                .arm = (uint32_t)(i % 3),
                                .request = x,
                                .features = z,
                                .reward = x[1] + 0.01F * z[0] + (float)forage_rng_double(&rng),
                                .weight = 1,
                                .propensity = NAN};
        must(forage_learner_learn(never, &lesson, 1, &error), &error);
    }
    /* What is taken over is computed from the sums, which drift has no part in. */
    forage_learner *exact = make(settings, "1000000000", &shape, "auto");
    must(forage_learner_merge(exact, never, &error), &error);
    for (size_t j = 0; j < 12; j++)
        features[j] = (float)j;
    const uint32_t arms[3] = {0, 1, 2};
    const forage_candidates question = {3, FORAGE_NONE, x, features, arms};
    forage_learner_estimate(never, &question, mean[0], deviation[0]);
    forage_learner_estimate(exact, &question, mean[1], deviation[1]);
    for (size_t c = 0; c < 3; c++) {
        if (!(fabs((double)(mean[0][c] - mean[1][c])) < 1e-5) ||
            !(fabs((double)(deviation[0][c] / deviation[1][c] - 1)) < 1e-3))
            fail_msg("%s: %.9g +- %.9g against %.9g +- %.9g", form, (double)mean[0][c], (double)deviation[0][c],
                     (double)mean[1][c], (double)deviation[1][c]);
    }
    forage_learner_free(never);
    forage_learner_free(exact);
    json_decref(settings);
}

static void test_drift(void **state)
{
    (void)state;
    check_drift("disjoint", 1000000);
    check_drift("shared", 300000);
    check_drift("hybrid", 300000);
}

/* ---- what cannot be ---- */

static void test_parameters_that_cannot_be(void **state)
{
    static const struct {
        const char *form;
        forage_learner_shape shape;
        const char *says;
    } cases[] = {
        {"disjoint", {0, 3, 2, 0, 2}, "features of the request"},
        {"hybrid", {0, 3, 2, 0, 2}, "features of the request"},
        {"hybrid", {3, 0, 2, 0, 2}, "features of the candidates"},
        {"shared", {0, 0, 2, 0, 2}, "needs features"},
        {"auto", {0, 0, 2, 0, 2}, "needs features"},
    };
    const forage_model_info *info;
    forage_params *params;
    forage_error error = {0};
    (void)state;
    must(forage_model_find("linear-ridge", &info, &error), &error);
    must(forage_params_create(&info->table, &params, &error), &error);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        forage_learner *learner;
        must(forage_params_set(params, "form", cases[i].form, &error), &error);
        assert_int_equal(forage_learner_create(info, params, &cases[i].shape, NULL, 0, &learner, &error),
                         FORAGE_INVALID);
        assert_null(learner);
        assert_non_null(strstr(error.message, cases[i].says));
    }
    /* Without a prior the design is singular at first: refused, saying what is possible. */
    assert_int_equal(forage_params_set(params, "ridge", "0", &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "ridge"));
    assert_non_null(strstr(error.message, "1e-06"));
    forage_params_free(params);
}

/* Features as large and as alike as can be, weights as large: numbers stay finite, and taking back works. */
static void test_extremes(void **state)
{
    static const char *const forms[] = {"disjoint", "shared", "hybrid"};
    (void)state;
    for (size_t f = 0; f < 3; f++) {
        for (int window = 0; window < 2; window++) {
            json_t *settings = json_pack("{s:s, s:s, s:s, s:s}", "form", forms[f], "ridge", "1e-6", "window",
                                         window ? "3" : "0", "discount", window ? "0.9" : "1");
            forage_learner *learner = make(settings, NULL, &small, "auto");
            forage_error error = {0};
            for (size_t i = 0; i < 200; i++) {
                float x[D], z[K], mean[CANDIDATES], deviation[CANDIDATES];
                for (size_t j = 0; j < D; j++)
                    x[j] = i % 3 ? 1e9F : 1e-9F * (float)j;
                for (size_t j = 0; j < K; j++)
                    z[j] = i % 2 ? -1e9F : 1e-3F * (float)j;
                forage_lesson lesson = {.user = FORAGE_NONE,
                                        .arm = (uint32_t)(i % ARMS),
                                        .request = x,
                                        .features = z,
                                        .reward = i % 5 ? 1e9F : -1e9F,
                                        .weight = i % 7 ? 1e9F : 1e-9F,
                                        .propensity = NAN};
                must(forage_learner_learn(learner, &lesson, 1, &error), &error);
                (void)forage_learner_forget(learner, &golden.lessons[0], &error);
                forage_candidates question = golden.question;
                if (i % 2)
                    question.request = x;
                forage_learner_estimate(learner, &question, mean, deviation);
                for (size_t c = 0; c < CANDIDATES; c++)
                    assert_true(isfinite(mean[c]) && isfinite(deviation[c]) && deviation[c] >= 0);
            }
            forage_learner_free(learner);
            json_decref(settings);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_numpy),
        cmocka_unit_test(test_same_on_every_device),
        cmocka_unit_test(test_same_for_any_number_of_threads),
        cmocka_unit_test(test_the_papers_hybrid),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_taking_back_from_a_window),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_parameters_that_cannot_be),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests_name("linear-ridge", tests, read_golden, free_golden);
}
