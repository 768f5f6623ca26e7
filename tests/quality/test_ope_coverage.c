/*
 * Do 95 % intervals of the unbiased estimators cover the truth in 93 to 97 % of 1,000 logs?
 *
 * The truth is the simulator's: petshop, a population of 200 users and 20 products. Each log has 1,500 visits by users
 * drawn at random; its policy prefers some products, the policy to be judged others (its probabilities depend on the
 * user). The reward model is wrong on purpose: two thirds of the true click rate, plus an error of its own for each
 * pair.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../must.h"
#include "forage/forage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { USERS = 200, ITEMS = 20, VISITS = 1500, LOGS = 1000, RESAMPLES = 400 };

static double truth[USERS][ITEMS], logged[USERS][ITEMS], judged[USERS][ITEMS], model[USERS][ITEMS];

static void softmax(double *row, double temperature)
{
    double sum = 0;
    for (size_t i = 0; i < ITEMS; i++)
        sum += row[i] = exp(row[i] / temperature);
    for (size_t i = 0; i < ITEMS; i++)
        row[i] /= sum;
}

/* Fills the tables; returns what the judged policy earns per visit. */
static double make_world(void)
{
    forage_scenario scenario;
    forage_simulator *simulator;
    forage_error error = {0};
    forage_rng rng;
    double value = 0;
    must(forage_scenario_load("petshop", &scenario, &error), &error);
    scenario.users = USERS;
    scenario.products = ITEMS;
    must(forage_simulator_create(&scenario, NULL, &simulator, &error), &error);
    forage_rng_seed(&rng, 9);
    for (uint32_t u = 0; u < USERS; u++) {
        for (uint32_t i = 0; i < ITEMS; i++) {
            truth[u][i] = forage_simulator_probability(simulator, u, i);
            logged[u][i] = forage_rng_double(&rng);
            judged[u][i] = truth[u][i];
            model[u][i] = truth[u][i] * 2 / 3 + 0.05 * forage_rng_normal(&rng);
        }
        softmax(logged[u], 0.6);
        softmax(judged[u], 0.25);
        for (size_t i = 0; i < ITEMS; i++)
            value += judged[u][i] * truth[u][i] / USERS;
    }
    forage_simulator_free(simulator);
    forage_scenario_release(&scenario);
    return value;
}

static float propensity[VISITS], reward[VISITS];
static double target[VISITS], predicted[VISITS], expected[VISITS];

static void collect(uint64_t seed)
{
    forage_rng rng;
    forage_rng_seed(&rng, seed);
    for (size_t v = 0; v < VISITS; v++) {
        size_t user = forage_rng_integers(&rng, USERS), item = 0;
        double u = forage_rng_double(&rng);
        while (item < ITEMS - 1 && u >= logged[user][item])
            u -= logged[user][item++];
        propensity[v] = (float)logged[user][item];
        target[v] = judged[user][item];
        reward[v] = (float)(forage_rng_double(&rng) < truth[user][item]);
        predicted[v] = model[user][item];
        expected[v] = 0;
        for (size_t i = 0; i < ITEMS; i++)
            expected[v] += judged[user][i] * model[user][i];
    }
}

static void test_coverage(void **state)
{
    static const forage_ope_kind unbiased[] = {FORAGE_OPE_IPS, FORAGE_OPE_SNIPS, FORAGE_OPE_DR};
    static size_t covered[FORAGE_OPE_COUNT], covered_normal[FORAGE_OPE_COUNT];
    static double sum[FORAGE_OPE_COUNT], squares[FORAGE_OPE_COUNT], error_sum[FORAGE_OPE_COUNT];
    double value = make_world();
    (void)state;
    for (size_t run = 0; run < LOGS; run++) {
        forage_ope got, normal;
        forage_error error = {0};
        collect(1000 + run);
        const forage_ope_rows rows = {VISITS, propensity, target, reward, predicted, expected, NULL};
        forage_ope_options options = {.bootstrap = {.resamples = RESAMPLES, .seed = run}};
        must(forage_ope_compute(&rows, &options, &got, &error), &error);
        options.bootstrap.resamples = 0;
        must(forage_ope_compute(&rows, &options, &normal, &error), &error);
        assert_false(got.refused);
        for (int k = 0; k < FORAGE_OPE_COUNT; k++) {
            const forage_ope_estimate *e = &got.estimates[k], *n = &normal.estimates[k];
            covered[k] += e->low <= value && value <= e->high;
            covered_normal[k] += n->low <= value && value <= n->high;
            sum[k] += e->value / LOGS;
            squares[k] += e->value * e->value / LOGS;
            error_sum[k] += e->deviation / LOGS;
        }
    }
    for (int k = 0; k < FORAGE_OPE_COUNT; k++) {
        double spread = sqrt(squares[k] - sum[k] * sum[k]);
        printf("# %-12s mean %.5f (truth %.5f), spread %.5f, standard error %.5f, covered %5.1f %% (normal %5.1f %%)\n",
               forage_ope_key((forage_ope_kind)k), sum[k], value, spread, error_sum[k],
               100.0 * (double)covered[k] / LOGS, 100.0 * (double)covered_normal[k] / LOGS);
    }
    for (size_t k = 0; k < 3; k++) {
        forage_ope_kind kind = unbiased[k];
        double spread = sqrt(squares[kind] - sum[kind] * sum[kind]);
        assert_in_range(covered[kind], 930, 970);
        assert_in_range(covered_normal[kind], 930, 970);
        assert_true(fabs(sum[kind] - value) < 4 * spread / sqrt(LOGS)); /* no bias to be seen */
        assert_true(fabs(error_sum[kind] / spread - 1) < 0.08);
    }
    /* The direct method believes its model, and misses. */
    assert_true(covered[FORAGE_OPE_DM] < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_coverage)};
    return cmocka_run_group_tests_name("ope coverage", tests, NULL, NULL);
}
