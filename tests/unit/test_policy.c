/*
 * Each policy against its formula, and the integral of Thompson sampling against closed forms and a fine sum.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../must.h"
#include "forage/forage.h"
#include "policy/normal_best.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void near(double got, double wanted, double tolerance)
{
    if (!(fabs(got - wanted) <= tolerance))
        fail_msg("%.15g instead of %.15g", got, wanted);
}

/* A policy by name with up to three parameters. */
static forage_policy *make(const char *name, size_t candidates, const char *const settings[][2], size_t count)
{
    const forage_policy_info *info;
    forage_params *params;
    forage_policy *policy;
    forage_error error = {0};
    must(forage_policy_find(name, &info, &error), &error);
    must(forage_params_create(&info->table, &params, &error), &error);
    for (size_t i = 0; i < count; i++)
        must(forage_params_set(params, settings[i][0], settings[i][1], &error), &error);
    must(forage_policy_create(info, params, candidates, 1, &policy, &error), &error);
    forage_params_free(params);
    return policy;
}

static uint32_t choose(forage_policy *policy, const float *mean, const float *deviation, size_t count, uint64_t step,
                       double *row)
{
    const forage_estimates estimates = {.count = count, .mean = mean, .deviation = deviation};
    forage_error error = {0};
    forage_rng rng;
    uint32_t chosen;
    double propensity;
    forage_rng_seed(&rng, step);
    must(forage_policy_choose(policy, &estimates, 1, step, &rng, &chosen, &propensity, row, &error), &error);
    return chosen;
}

static void test_epsilon(void **state)
{
    static const char *const power[][2] = {
        {"epsilon", "0.8"}, {"decay", "power"}, {"power", "0.25"}, {"floor", "0.15"}};
    static const char *const halves[][2] = {{"epsilon", "0.4"}, {"decay", "half-life"}, {"half-life", "100"}};
    const float mean[] = {0.1F, 0.9F, 0.3F, 0.9F, 0};
    double row[5];
    (void)state;
    forage_policy *policy = make("epsilon-greedy", 5, power, 4);
    choose(policy, mean, NULL, 5, 15, row); /* epsilon = 0.8 / 16^(1/4) */
    near(row[0], 0.4 / 5, 1e-15);
    near(row[1], 0.4 / 5 + 0.3, 1e-15);
    near(row[3], row[1], 0);
    choose(policy, mean, NULL, 5, 1000000, row); /* the floor */
    near(row[4], 0.15 / 5, 1e-15);
    forage_policy_free(policy);
    policy = make("epsilon-greedy", 5, halves, 3);
    choose(policy, mean, NULL, 5, 200, row);
    near(row[2], 0.1 / 5, 1e-15);
    forage_policy_free(policy);
}

static void test_ucb(void **state)
{
    /* 1 + sqrt(ln(40) / 2) = 2.358101515... */
    static const char *const delta[][2] = {{"alpha", "7"}, {"delta", "0.05"}}, *const alpha[][2] = {{"alpha", "0.5"}};
    const float mean[] = {2.357F, 0}, above[] = {2.359F, 0}, deviation[] = {0, 1};
    const float half[] = {0.499F, 0}, over[] = {0.501F, 0};
    (void)state;
    forage_policy *policy = make("ucb", 2, delta, 2);
    assert_int_equal(choose(policy, mean, deviation, 2, 0, NULL), 1);
    assert_int_equal(choose(policy, above, deviation, 2, 0, NULL), 0);
    forage_policy_free(policy);
    policy = make("ucb", 2, alpha, 1);
    assert_int_equal(choose(policy, half, deviation, 2, 0, NULL), 1);
    assert_int_equal(choose(policy, over, deviation, 2, 0, NULL), 0);
    forage_policy_free(policy);
}

static void test_softmax(void **state)
{
    static const char *const temperature[][2] = {{"temperature", "0.5"}};
    const float mean[] = {1, 0.5F, 3}, large[] = {1e30F, -1e30F, 1e30F};
    double row[3], sum = exp(2) + exp(1) + exp(6);
    (void)state;
    forage_policy *policy = make("softmax", 3, temperature, 1);
    choose(policy, mean, NULL, 3, 0, row);
    near(row[0], exp(2) / sum, 1e-15);
    near(row[1], exp(1) / sum, 1e-15);
    near(row[2], exp(6) / sum, 1e-15);
    choose(policy, large, NULL, 3, 0, row);
    near(row[0], 0.5, 0);
    near(row[1], 0, 0);
    forage_policy_free(policy);
}

static void test_squarecb(void **state)
{
    static const char *const fixed[][2] = {{"gamma", "20"}, {"exponent", "0"}};
    static const char *const growing[][2] = {{"gamma", "2"}, {"exponent", "0.5"}};
    const float mean[] = {0.5F, 0.25F, 0, 0.5F};
    double row[4];
    (void)state;
    forage_policy *policy = make("squarecb", 4, fixed, 2);
    choose(policy, mean, NULL, 4, 77, row);
    near(row[1], 1.0 / 9, 1e-15); /* 1 / (4 + 20 x 0.25) */
    near(row[2], 1.0 / 14, 1e-15);
    near(row[0], (1 - 1.0 / 9 - 1.0 / 14) / 2, 1e-15);
    near(row[3], row[0], 0);
    forage_policy_free(policy);
    policy = make("squarecb", 4, growing, 2);
    choose(policy, mean, NULL, 4, 99, row); /* gamma = 2 sqrt(100) */
    near(row[1], 1.0 / 9, 1e-15);
    forage_policy_free(policy);
}

static void test_explore_first(void **state)
{
    static const char *const ten[][2] = {{"decisions", "10"}};
    const float mean[] = {0, 1, 0};
    double row[3];
    (void)state;
    forage_policy *policy = make("explore-first", 3, ten, 1);
    choose(policy, mean, NULL, 3, 9, row);
    near(row[0], 1.0 / 3, 1e-16);
    choose(policy, mean, NULL, 3, 10, row);
    near(row[1], 1, 0);
    near(row[0], 0, 0);
    forage_policy_free(policy);
}

/* Greedy reaches each of those tied, wherever they lie, and among very many. */
static void test_ties_among_many(void **state)
{
    enum { MANY = 100000 };
    static float mean[MANY];
    const uint32_t tied[] = {0, 31, 32, 65535, 65536, MANY - 1};
    size_t seen[6] = {0};
    forage_policy *policy = make("greedy", MANY, NULL, 0);
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        mean[i] = -(float)(i % 1000) - 1;
    for (size_t i = 0; i < 6; i++)
        mean[tied[i]] = 0.5F;
    for (uint64_t step = 0; step < 600; step++) {
        uint32_t chosen = choose(policy, mean, NULL, MANY, step, NULL);
        bool found = false;
        for (size_t i = 0; i < 6; i++) {
            seen[i] += tied[i] == chosen;
            found = found || tied[i] == chosen;
        }
        assert_true(found);
    }
    for (size_t i = 0; i < 6; i++)
        assert_true(seen[i] > 60 && seen[i] < 140);
    forage_policy_free(policy);
}

/* ---- the largest of independent normals ---- */

static double phi(double z)
{
    return exp(-0.5 * z * z) / sqrt(2 * acos(-1));
}

static double big_phi(double z)
{
    return 0.5 * erfc(-z / sqrt(2));
}

/* The integral as a sum over very many points, about as plain as can be. */
static void fine_sum(const float *mean, const float *deviation, size_t count, double step, double *wanted)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        low = fmin(low, (double)mean[i] - 9 * (double)deviation[i]);
        high = fmax(high, (double)mean[i] + 9 * (double)deviation[i]);
        wanted[i] = 0;
    }
    for (double x = low; x < high; x += step) {
        for (size_t i = 0; i < count; i++) {
            double s = (double)deviation[i], value = phi((x - (double)mean[i]) / s) / s * step;
            for (size_t j = 0; j < count && value > 0; j++) {
                if (j != i)
                    value *= big_phi((x - (double)mean[j]) / (double)deviation[j]);
            }
            wanted[i] += value;
        }
    }
}

static void compare(const float *mean, const float *deviation, size_t count, const double *wanted, double tolerance)
{
    policy_normals normals;
    double got[64];
    forage_error error = {0};
    must(policy_normals_init(&normals, count, &error), &error);
    policy_normals_best(&normals, mean, deviation, 1, count, got);
    for (uint32_t i = 0; i < count; i++) {
        near(got[i], wanted[i], tolerance);
        near(policy_normals_best_one(&normals, mean, deviation, 1, count, i), wanted[i], tolerance);
    }
    policy_normals_release(&normals);
}

static void test_two_normals(void **state)
{
    const float pairs[][4] = {
        {0, 1, 0, 1},        {0.3F, 0.1F, 0.2F, 0.3F}, {1, 1e-6F, 0.5F, 1}, {1, 1e-6F, 1, 1e-9F},  {-3, 2, 5, 0.1F},
        {0.1F, 0, 0, 0.05F}, {5, 1e-3F, 4.99F, 1e3F},  {0, 1, 11, 1},       {1e6F, 0.25F, 1e6F, 1}};
    (void)state;
    for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++) {
        const float mean[] = {pairs[p][0], pairs[p][2]}, deviation[] = {pairs[p][1], pairs[p][3]};
        double apart = (double)mean[0] - (double)mean[1];
        double first = big_phi(apart / hypot((double)deviation[0], (double)deviation[1]));
        double wanted[] = {first, big_phi(-apart / hypot((double)deviation[0], (double)deviation[1]))};
        compare(mean, deviation, 2, wanted, 1e-9);
    }
}

static void test_several_normals(void **state)
{
    const float mean[] = {0.5F, -1, 0.49F, 0.3F, 0.45F, 0.2F}, deviation[] = {0.01F, 1, 0.02F, 0.1F, 0.03F, 0.3F};
    float many_mean[50], many_deviation[50];
    double wanted[50];
    (void)state;
    fine_sum(mean, deviation, 6, 2e-4, wanted);
    compare(mean, deviation, 6, wanted, 1e-9);
    for (size_t i = 0; i < 50; i++) {
        many_mean[i] = 0.01F * (float)((7 * i) % 50);
        many_deviation[i] = 0.2F + 0.05F * (float)((3 * i) % 11);
    }
    fine_sum(many_mean, many_deviation, 50, 0.02, wanted);
    compare(many_mean, many_deviation, 50, wanted, 1e-9);
}

static void test_alike_and_fixed(void **state)
{
    float mean[40], deviation[40];
    double wanted[40];
    (void)state;
    for (size_t i = 0; i < 40; i++) {
        mean[i] = 0.125F;
        deviation[i] = 0.25F;
        wanted[i] = 1.0 / 40;
    }
    compare(mean, deviation, 40, wanted, 1e-9);
    /* Two fixed numbers tied above a third, and one that moves: it wins when it is above them. */
    const float fixed_mean[] = {0.5F, 0.5F, 0.4F, 0.3F}, fixed_deviation[] = {0, 0, 0, 0.1F};
    double beats = big_phi(-0.2 / 0.1);
    const double fixed_wanted[] = {(1 - beats) / 2, (1 - beats) / 2, 0, beats};
    compare(fixed_mean, fixed_deviation, 4, fixed_wanted, 1e-7); /* 0.3F and 0.1F are not 0.3 and 0.1 */
}

/* A model's own draws: estimated, right on average, and nothing at all unless asked for. */
static void draw_coin(void *context, forage_rng *rng, float *values)
{
    (void)context;
    values[0] = forage_rng_double(rng) < 0.3 ? 1.0F : 0.0F;
    values[1] = 0.5F;
}

static void test_estimated(void **state)
{
    static const char *const few[][2] = {{"samples", "20"}}, *const none[][2] = {{"samples", "0"}};
    const float mean[] = {0.3F, 0.5F};
    const forage_estimates estimates = {.count = 2, .mean = mean, .draw = draw_coin};
    forage_policy *sampled = make("thompson", 2, few, 1), *bare = make("thompson", 2, none, 1);
    forage_error error = {0};
    forage_rng rng;
    double row[2], propensity, mean_row = 0, weight = 0;
    uint32_t chosen;
    (void)state;
    forage_rng_seed(&rng, 1);
    must(forage_policy_choose(bare, &estimates, 1, 0, &rng, &chosen, &propensity, NULL, &error), &error);
    assert_true(isnan(propensity));
    must(forage_policy_choose(bare, &estimates, 1, 0, &rng, &chosen, &propensity, row, &error), &error);
    near(row[0], 0.3, 0.06); /* of 1000 draws */
    assert_true(propensity == row[chosen]);
    for (int t = 0; t < 20000; t++) {
        must(forage_policy_choose(sampled, &estimates, 1, 0, &rng, &chosen, &propensity, row, &error), &error);
        near(row[0] * 21, floor(row[0] * 21 + 0.5), 1e-9);
        mean_row += row[0] / 20000;
        weight += chosen == 0 ? 1 / propensity / 20000 : 0;
    }
    near(mean_row, 0.3, 0.003);
    near(weight, 1 - pow(0.7, 21), 0.03);
    forage_policy_free(sampled);
    forage_policy_free(bare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epsilon),         cmocka_unit_test(test_ucb),
        cmocka_unit_test(test_softmax),         cmocka_unit_test(test_squarecb),
        cmocka_unit_test(test_explore_first),   cmocka_unit_test(test_ties_among_many),
        cmocka_unit_test(test_two_normals),     cmocka_unit_test(test_several_normals),
        cmocka_unit_test(test_alike_and_fixed), cmocka_unit_test(test_estimated),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
