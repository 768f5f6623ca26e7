/*
 * logistic and bootstrap against NumPy, SciPy and scikit-learn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/heads.h"

#include <math.h>

#include "online.h"

#include "golden.h"

static void check_case(const json_t *golden)
{
    enum { WIDTH = 3, ARMS = 2 };
    const json_t *features = json_object_get(golden, "features"), *answers = json_object_get(golden, "answers");
    forage_learner_shape shape = {.request_width = WIDTH, .arms = ARMS, .candidates = ARMS};
    forage_learner *learner = online_golden(golden, &shape, golden_whole(golden, "seed"));
    float x[WIDTH], mean[ARMS], deviation[ARMS];
    uint32_t arms[ARMS] = {0, 1};
    for (size_t i = 0; i < json_array_size(features); i++) {
        for (size_t k = 0; k < WIDTH; k++)
            x[k] = (float)golden_at(json_array_get(features, i), k);
        forage_lesson lesson = {.user = FORAGE_NONE,
                                .arm = (uint32_t)golden_at(json_object_get(golden, "arms"), i),
                                .request = x,
                                .reward = (float)golden_at(json_object_get(golden, "rewards"), i),
                                .weight = (float)golden_at(json_object_get(golden, "weights"), i),
                                .propensity = NAN};
        online_teach(learner, &lesson);
    }
    for (size_t k = 0; k < WIDTH; k++)
        x[k] = (float)golden_at(json_object_get(golden, "question"), k);
    forage_candidates both = {ARMS, FORAGE_NONE, x, NULL, arms};
    forage_learner_estimate(learner, &both, mean, deviation);
    for (size_t a = 0; a < ARMS; a++) {
        assert_true(fabs((double)mean[a] - golden_at(json_array_get(answers, a), 0)) < 2e-6);
        assert_true(fabs((double)deviation[a] - golden_at(json_array_get(answers, a), 1)) < 2e-6);
    }
    forage_learner_free(learner);
}

static void test_answers_are_numpys(void **state)
{
    (void)state;
    json_t *root = golden_load("online_models.json", 0), *golden;
    size_t index, seen = 0;
    json_array_foreach(json_object_get(root, "heads"), index, golden)
    {
        check_case(golden);
        seen++;
    }
    assert_true(seen >= 6);
    json_decref(root);
}

/* One look at each of 4,000 lessons comes close to scikit-learn's fit to all of them at once. */
static void test_one_pass_is_close_to_scikit_learn(void **state)
{
    enum { WIDTH = 5, COUNT = 4000 };
    (void)state;
    json_t *root = golden_load("online_models.json", 0);
    const json_t *golden = json_object_get(root, "scikit"), *truth = json_object_get(golden, "truth");
    model_heads heads = {0};
    forage_error error = {0};
    forage_rng rng;
    forage_rng_seed(&rng, 3);
    must(model_heads_create(&heads, la_kernels_for(FORAGE_ISA_PORTABLE), WIDTH,
                            json_number_value(json_object_get(golden, "ridge")), 1, &error),
         &error);
    must(model_heads_grow(&heads, 1, &error), &error);
    for (size_t i = 0; i < COUNT; i++) {
        double x[WIDTH], a = 0;
        for (size_t k = 0; k < WIDTH; k++) {
            x[k] = (double)(float)forage_rng_normal(&rng);
            a += x[k] * golden_at(truth, k);
        }
        model_heads_learn_logistic(&heads, 0, x, forage_rng_double(&rng) < model_sigma(a), 1);
    }
    for (size_t k = 0; k < WIDTH; k++)
        assert_true(fabs(heads.mean[k] - golden_at(json_object_get(golden, "weights"), k)) < 0.03);
    model_heads_release(&heads);
    json_decref(root);
}

/* ---- draws ---- */

static double logit(double p)
{
    return log(p) - log1p(-p);
}

/* Draws of one arm: the logit is normal with the moments that mean and deviation are made from. */
static void test_draws_are_normal_in_the_logit(void **state)
{
    enum { DRAWS = 20000 };
    (void)state;
    forage_learner_shape shape = {.request_width = 2, .arms = 2, .candidates = 3};
    forage_learner *learner = online_make("logistic", NULL, &shape, 0);
    const float x[2] = {1, -0.5F};
    for (size_t i = 0; i < 20; i++) {
        forage_lesson lesson = {
            .user = FORAGE_NONE, .request = x, .reward = i % 4 == 0, .weight = 1, .propensity = NAN};
        online_teach(learner, &lesson);
    }
    uint32_t arms[3] = {0, 1, 0};
    forage_candidates all = {3, FORAGE_NONE, x, NULL, arms};
    float mean[3], deviation[3], values[3];
    double first = 0, second = 0;
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    forage_learner_estimate(learner, &all, mean, deviation);
    double p = (double)mean[0], q = (double)deviation[0] / (p * (1 - p)), s = q * q / (1 - 0.39269908169872414 * q * q);
    double mu = logit(p) * sqrt(1 + 0.39269908169872414 * s);
    for (size_t i = 0; i < DRAWS; i++) {
        forage_learner_draw(learner, &all, &rng, values);
        assert_true(values[0] == values[2] && values[0] != values[1]);
        double z = (logit((double)values[0]) - mu) / sqrt(s);
        first += z / DRAWS;
        second += z * z / DRAWS;
    }
    assert_true(fabs(first) < 0.025);
    assert_true(fabs(second - 1) < 0.035);
    forage_learner_free(learner);
}

/* Where weights are shared, one theta answers for all candidates: what is linear in features is linear in every draw.
 */
static void test_draws_are_joint(void **state)
{
    (void)state;
    forage_learner_shape shape = {.candidate_width = 2, .arms = 1, .candidates = 3};
    static const float features[6] = {1, 2, -0.5F, 1, 0.5F, 3}; /* the third is the sum of the others */
    static const uint32_t arms[3] = {0, 0, 0};
    forage_candidates all = {3, FORAGE_NONE, NULL, features, arms};
    static const char *const linear[] = {"members", "5", NULL};
    float values[3];
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    forage_learner *logistic = online_make("logistic", NULL, &shape, 0);
    forage_learner *ensemble = online_make("bootstrap", linear, &shape, 0);
    for (size_t i = 0; i < 50; i++) {
        forage_learner_draw(logistic, &all, &rng, values);
        assert_true(fabs(logit((double)values[0]) + logit((double)values[1]) - logit((double)values[2])) < 1e-3);
        forage_learner_draw(ensemble, &all, &rng, values);
        assert_true(fabs((double)(values[0] + values[1] - values[2])) < 1e-5);
    }
    forage_learner_free(logistic);
    forage_learner_free(ensemble);
}

/* ---- the ensemble's spread ---- */

/* The deviation shrinks with what is known, and only there. */
static void test_spread_shrinks(void **state)
{
    (void)state;
    static const char *const many[] = {"members", "200", NULL}, *const clicks[] = {"head", "logistic", NULL};
    forage_learner_shape shape = {.request_width = 1, .arms = 2, .candidates = 3};
    forage_learner *learner = online_make("bootstrap", many, &shape, 7);
    const float x[1] = {1};
    uint32_t arms[3] = {0, 1, FORAGE_NONE};
    forage_candidates all = {3, FORAGE_NONE, x, NULL, arms};
    float mean[3], deviation[3];
    forage_rng rng;
    forage_rng_seed(&rng, 4);
    for (size_t i = 0; i < 400; i++) {
        forage_lesson lesson = {.user = FORAGE_NONE,
                                .request = x,
                                .reward = (float)forage_rng_normal(&rng) + 3,
                                .weight = 1,
                                .propensity = NAN};
        online_teach(learner, &lesson);
    }
    forage_learner_estimate(learner, &all, mean, deviation);
    assert_true(fabs((double)mean[0] - 3) < 0.2);
    assert_true(fabs((double)deviation[0] - 0.05) < 0.015); /* 1 / sqrt(400) */
    assert_true(fabs((double)deviation[1] - 1) < 0.15);     /* the prior's, of 200 members */
    assert_true(deviation[2] == 1);
    forage_learner_free(learner);
    learner = online_make("bootstrap", clicks, &shape, 7);
    for (size_t i = 0; i < 400; i++) {
        forage_lesson lesson = {
            .user = FORAGE_NONE, .request = x, .reward = i % 5 == 0, .weight = 1, .propensity = NAN};
        online_teach(learner, &lesson);
    }
    forage_learner_estimate(learner, &all, mean, deviation);
    assert_true(fabs((double)mean[0] - 0.2) < 0.05);
    forage_learner_free(learner);
}

static void test_features_that_are_missing(void **state)
{
    (void)state;
    static const char *const models[] = {"logistic", "bootstrap"};
    for (size_t m = 0; m < 2; m++) {
        const forage_model_info *info;
        forage_learner_shape shape = {.arms = 2, .candidates = 2};
        forage_learner *learner;
        forage_error error = {0};
        must(forage_model_find(models[m], &info, &error), &error);
        assert_int_equal(forage_learner_create(info, NULL, &shape, NULL, 0, &learner, &error), FORAGE_INVALID);
        assert_non_null(strstr(error.message, "needs features"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_numpys),
        cmocka_unit_test(test_one_pass_is_close_to_scikit_learn),
        cmocka_unit_test(test_draws_are_normal_in_the_logit),
        cmocka_unit_test(test_draws_are_joint),
        cmocka_unit_test(test_spread_shrinks),
        cmocka_unit_test(test_features_that_are_missing),
    };
    return cmocka_run_group_tests_name("head models", tests, NULL, NULL);
}
