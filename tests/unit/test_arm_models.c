/*
 * beta-bernoulli and gaussian against SciPy's posteriors, and what they promise about draws, fading, taking back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "online.h"

#include <math.h>

#include "golden.h"

static const float request[1] = {1};

static forage_learner *make(const char *model, const char *const *settings, size_t arms)
{
    forage_learner_shape shape = {.request_width = 1, .arms = arms, .candidates = 16};
    return online_make(model, settings, &shape, 0);
}

static forage_lesson lesson_of(uint32_t arm, double reward, double weight)
{
    return (forage_lesson){FORAGE_NONE, arm, request, request, (float)reward, (float)weight, NAN};
}

static void teach(forage_learner *learner, uint32_t arm, double reward, double weight)
{
    forage_lesson lesson = lesson_of(arm, reward, weight);
    online_teach(learner, &lesson);
}

static void ask(forage_learner *learner, uint32_t arm, float *mean, float *deviation)
{
    forage_candidates one = {1, FORAGE_NONE, request, NULL, &arm};
    forage_learner_estimate(learner, &one, mean, deviation);
}

static void check_case(const json_t *golden)
{
    const json_t *arms = json_object_get(golden, "arms"), *answers = json_object_get(golden, "answers");
    forage_learner_shape shape = {.request_width = 1, .arms = json_array_size(answers) - 1, .candidates = 1};
    forage_learner *learner = online_golden(golden, &shape, 0);
    for (size_t i = 0; i < json_array_size(arms); i++)
        teach(learner, (uint32_t)json_integer_value(json_array_get(arms, i)),
              json_number_value(json_array_get(json_object_get(golden, "rewards"), i)),
              json_number_value(json_array_get(json_object_get(golden, "weights"), i)));
    for (size_t arm = 0; arm < json_array_size(answers); arm++) {
        const json_t *wanted = json_array_get(answers, arm);
        float mean, deviation;
        ask(learner, arm + 1 < json_array_size(answers) ? (uint32_t)arm : FORAGE_NONE, &mean, &deviation);
        double middle = json_number_value(json_array_get(wanted, 0)),
               spread = json_number_value(json_array_get(wanted, 1));
        assert_true(fabs((double)mean - middle) <= 1e-6 * fmax(1, fabs(middle)));
        assert_true(fabs((double)deviation - spread) <= 1e-6 * fmax(1, spread));
    }
    forage_learner_free(learner);
}

static void test_posteriors_are_scipys(void **state)
{
    (void)state;
    json_t *root = golden_load("online_models.json", 0), *golden;
    size_t index, seen = 0;
    json_array_foreach(json_object_get(root, "cases"), index, golden)
    {
        check_case(golden);
        seen++;
    }
    assert_true(seen >= 8);
    json_decref(root);
}

/* Mean, deviation and skewness of draws are the posterior's; candidates of one arm share a draw. */
static void check_draws(forage_learner *learner, double skewness)
{
    enum { DRAWS = 40000 };
    uint32_t arms[4] = {0, 1, 0, FORAGE_NONE};
    forage_candidates all = {4, FORAGE_NONE, request, NULL, arms};
    float mean[4], deviation[4], values[4];
    double moment[4] = {0};
    forage_rng rng;
    forage_rng_seed(&rng, 3);
    forage_learner_estimate(learner, &all, mean, deviation);
    assert_false(forage_learner_draws_normals(learner));
    for (size_t i = 0; i < DRAWS; i++) {
        forage_learner_draw(learner, &all, &rng, values);
        assert_true(values[0] == values[2] && values[0] != values[1] && values[3] != values[1]);
        double z = (double)(values[0] - mean[0]) / (double)deviation[0];
        moment[1] += z / DRAWS;
        moment[2] += z * z / DRAWS;
        moment[3] += z * z * z / DRAWS;
    }
    assert_true(fabs(moment[1]) < 0.02);
    assert_true(fabs(moment[2] - 1) < 0.04);
    assert_true(fabs(moment[3] - skewness) < 0.12);
}

static void test_draws_are_the_posterior(void **state)
{
    (void)state;
    forage_learner *learner = make("beta-bernoulli", NULL, 2);
    teach(learner, 0, 1, 1);
    for (size_t i = 0; i < 8; i++)
        teach(learner, 0, 0, 1);
    /* Beta(2, 9): 2 (b - a) sqrt(a + b + 1) / ((a + b + 2) sqrt(a b)) */
    check_draws(learner, 2 * 7 * sqrt(12.) / (13 * sqrt(18.)));
    forage_learner_free(learner);
    static const char *const known[] = {"known-noise", "true", "noise", "2", NULL};
    learner = make("gaussian", known, 2);
    teach(learner, 0, 5, 1);
    check_draws(learner, 0);
    forage_learner_free(learner);
    static const char *const sure[] = {"certainty", "30", NULL}; /* tails light enough for moments to settle */
    learner = make("gaussian", sure, 2);
    teach(learner, 0, 5, 3);
    check_draws(learner, 0);
    forage_learner_free(learner);
}

/* What was learned before the unit of fading sums is brought back counts on as it should. */
static void test_fading_goes_on_for_ever(void **state)
{
    (void)state;
    static const char *const settings[] = {"discount", "0.5", NULL};
    forage_learner *learner = make("beta-bernoulli", settings, 2);
    float mean, deviation;
    for (size_t i = 0; i < 5000; i++)
        teach(learner, 0, 1, 1);
    ask(learner, 0, &mean, &deviation); /* 1 + 1/2 + 1/4 ... = 2 clicks */
    assert_true(fabs((double)mean - 3. / 4) < 1e-6);
    teach(learner, 1, 0, 1);
    ask(learner, 0, &mean, &deviation); /* 1 click left of them */
    assert_true(fabs((double)mean - 2. / 3) < 1e-6);
    forage_learner_free(learner);
}

/* Of whole clicks, taking back and joining leave not a bit behind. */
static void test_counts_are_exact(void **state)
{
    (void)state;
    forage_learner *learner = make("beta-bernoulli", NULL, 2), *other = make("beta-bernoulli", NULL, 2);
    forage_learner *all = make("beta-bernoulli", NULL, 2);
    forage_error error = {0};
    float mean[2], deviation[2];
    for (size_t i = 0; i < 1000; i++) {
        teach(learner, 0, i % 3 == 0, 1);
        teach(other, 0, i % 5 == 0, 1);
        teach(all, 0, i % 3 == 0, 1);
        teach(all, 0, i % 5 == 0, 1);
    }
    teach(learner, 0, 1, 1);
    forage_lesson lesson = lesson_of(0, 1, 1);
    must(forage_learner_forget(learner, &lesson, &error), &error);
    must(forage_learner_merge(learner, other, &error), &error);
    ask(learner, 0, &mean[0], &deviation[0]);
    ask(all, 0, &mean[1], &deviation[1]);
    assert_true(mean[0] == mean[1] && deviation[0] == deviation[1]);
    forage_learner_free(learner);
    forage_learner_free(other);
    forage_learner_free(all);
}

static void test_rewards_outside_are_refused(void **state)
{
    (void)state;
    forage_learner *learner = make("beta-bernoulli", NULL, 2);
    forage_error error = {0};
    forage_lesson lesson = lesson_of(0, 1.5, 1);
    assert_int_equal(forage_learner_learn(learner, &lesson, 1, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "between 0 and 1"));
    forage_learner_free(learner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posteriors_are_scipys),       cmocka_unit_test(test_draws_are_the_posterior),
        cmocka_unit_test(test_fading_goes_on_for_ever),     cmocka_unit_test(test_counts_are_exact),
        cmocka_unit_test(test_rewards_outside_are_refused),
    };
    return cmocka_run_group_tests_name("arm models", tests, NULL, NULL);
}
