/*
 * What every policy of the registry must do. A new policy passes here before anything else.
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

enum { MOST = 60, SLATE = 4 };

static size_t policy_count(void)
{
    size_t count;
    forage_policies(&count);
    return count;
}

/* ---- situations: what a model may think ---- */

typedef struct situation {
    const char *name;
    size_t count;
    bool draws; /* a model that draws by itself: correlated draws */
    float mean[MOST], deviation[MOST];
    float shared; /* deviation of what all candidates have in common, in draws */
    uint32_t groups[MOST];
    size_t group_count; /* 0: none */
} situation;

static void draw_correlated(void *context, forage_rng *rng, float *values)
{
    const situation *at = context;
    double together = (double)at->shared * forage_rng_normal(rng);
    for (size_t i = 0; i < at->count; i++) {
        double share = i % 2 ? together : -together;
        values[i] = (float)((double)at->mean[i] + share + (double)at->deviation[i] * forage_rng_normal(rng));
    }
}

static forage_estimates estimates_of(situation *at)
{
    return (forage_estimates){.count = at->count,
                              .mean = at->mean,
                              .deviation = at->deviation,
                              .draw = at->draws ? draw_correlated : NULL,
                              .context = at,
                              .groups = at->group_count ? at->groups : NULL,
                              .group_count = at->group_count};
}

static size_t situations(situation all[10])
{
    size_t n = 0;
    memset(all, 0, 10 * sizeof *all);
    all[n++] = (situation){.name = "one", .count = 1, .mean = {0.3F}, .deviation = {0.1F}};
    all[n++] = (situation){.name = "two", .count = 2, .mean = {0.1F, 0.2F}, .deviation = {0.1F, 0.05F}};
    all[n++] = (situation){.name = "ties",
                           .count = 5,
                           .mean = {0.25F, 0.25F, 0.1F, 0.25F, 0.1F},
                           .deviation = {0.1F, 0.1F, 0.2F, 0.1F, 0.2F}};
    all[n++] = (situation){.name = "scales",
                           .count = 6,
                           .mean = {0.5F, -1, 0.49F, 0.3F, 0.45F, 0.2F},
                           .deviation = {1e-3F, 1, 1e-2F, 0.1F, 0, 0.3F}};
    all[n++] = (situation){.name = "fixed", .count = 4, .mean = {0.5F, 0.5F, 0.4F, 0.5F}};
    all[n] = (situation){.name = "many", .count = 50};
    for (size_t i = 0; i < 50; i++) {
        all[n].mean[i] = 0.05F + 0.003F * (float)((7 * i) % 50);
        all[n].deviation[i] = 0.01F + 0.002F * (float)((3 * i) % 11);
    }
    n++;
    all[n++] = (situation){.name = "draws",
                           .count = 4,
                           .draws = true,
                           .mean = {0.1F, 0.15F, 0.2F, 0.12F},
                           .deviation = {0.05F, 0.02F, 0.05F, 0.1F},
                           .shared = 0.1F};
    all[n++] = (situation){.name = "groups",
                           .count = 6,
                           .mean = {0.2F, 0.1F, 0.2F, 0.15F, 0.1F, 0.2F},
                           .deviation = {0.1F, 0.2F, 0.1F, 0.1F, 0.2F, 0.1F},
                           .groups = {0, 2, 0, 1, 2, 0},
                           .group_count = 4};
    all[n++] = (situation){.name = "fixed groups",
                           .count = 5,
                           .mean = {0.2F, 0.2F, 0.2F, 0.15F, 0.15F},
                           .deviation = {0, 0, 0, 0.1F, 0.1F},
                           .groups = {0, 1, 0, 2, 2},
                           .group_count = 3};
    return n;
}

static forage_policy *make(const forage_policy_info *info, const char *settings, size_t candidates, size_t positions)
{
    forage_params *params;
    forage_policy *policy;
    forage_error error = {0};
    must(forage_params_create(&info->table, &params, &error), &error);
    for (const char *at = settings; at && *at;) {
        char name[40], value[40];
        int length = 0;
        assert_int_equal(sscanf(at, "%39[^=]=%39[^ ]%n", name, value, &length), 2);
        must(forage_params_set(params, name, value, &error), &error);
        at += length;
        at += *at == ' ';
    }
    must(forage_policy_create(info, params, candidates, positions, &policy, &error), &error);
    forage_params_free(params);
    return policy;
}

/* Every policy with its defaults, and some with more. NULL ends the list of a policy. */
static const char *const *settings_of(const forage_policy_info *info)
{
    static const char *const plain[] = {"", NULL};
    static const struct {
        const char *policy;
        const char *settings[5];
    } more[] = {
        {"epsilon-greedy",
         {"", "epsilon=0.5 decay=power power=0.3", "epsilon=1 decay=half-life half-life=50 floor=.2"}},
        {"explore-first", {"", "decisions=10"}},
        {"softmax", {"", "temperature=1", "temperature=1e-9"}},
        {"squarecb", {"", "gamma=0", "gamma=100 exponent=0"}},
        {"thompson", {"samples=50", "scale=0.5 samples=200", "scale=0 samples=3"}},
        {"ucb", {"", "delta=0.05", "alpha=0"}},
    };
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        if (strcmp(more[i].policy, info->name) == 0)
            return more[i].settings;
    }
    return plain;
}

typedef void visit_function(const forage_policy_info *info, const char *settings, situation *at);

static void visit_all(visit_function *visit)
{
    situation all[10];
    size_t n = situations(all);
    for (size_t p = 0; p < policy_count(); p++) {
        const forage_policy_info *info = forage_policies(NULL)[p];
        for (const char *const *settings = settings_of(info); *settings; settings++) {
            for (size_t s = 0; s < n; s++)
                visit(info, *settings, &all[s]);
        }
    }
}

/* ---- tables ---- */

static void test_descriptions(void **state)
{
    const char *previous = "";
    forage_error error = {0};
    const forage_policy_info *found;
    (void)state;
    for (size_t p = 0; p < policy_count(); p++) {
        const forage_policy_info *info = forage_policies(NULL)[p];
        assert_true(strcmp(previous, info->name) < 0);
        previous = info->name;
        must(forage_policy_find(info->name, &found, &error), &error);
        assert_ptr_equal(found, info);
        assert_string_equal(info->table.owner, info->name);
        assert_true(info->version >= 1 && strlen(info->summary) > 10);
        for (size_t i = 0; i < info->table.count; i++)
            assert_true(strlen(info->table.params[i].doc) > 10);
    }
    assert_int_equal(forage_policy_find("no such", &found, &error), FORAGE_UNKNOWN);
    assert_non_null(strstr(error.message, "squarecb"));
}

static void test_parameters_out_of_range(void **state)
{
    (void)state;
    for (size_t p = 0; p < policy_count(); p++) {
        const forage_policy_info *info = forage_policies(NULL)[p];
        forage_params *params;
        forage_error error = {0};
        must(forage_params_create(&info->table, &params, &error), &error);
        for (size_t i = 0; i < info->table.count; i++) {
            const forage_param *param = &info->table.params[i];
            char beyond[60];
            assert_int_equal(forage_params_set(params, param->name, "nonsense", &error), FORAGE_INVALID);
            if (param->type == FORAGE_PARAM_CHOICE)
                continue;
            snprintf(beyond, sizeof beyond, "%.0f", ceil(param->minimum * 0.99) - 1);
            assert_int_equal(forage_params_set(params, param->name, beyond, &error), FORAGE_INVALID);
            snprintf(beyond, sizeof beyond, "%.0f", floor(param->maximum * 1.01) + 1);
            assert_int_equal(forage_params_set(params, param->name, beyond, &error), FORAGE_INVALID);
            assert_int_equal(forage_params_set(params, param->name, "nan", &error), FORAGE_INVALID);
        }
        forage_params_free(params);
    }
}

/* ---- probabilities ---- */

static void check_rows(const forage_policy_info *info, const char *settings, situation *at)
{
    size_t positions = at->count < SLATE ? at->count : SLATE, count = at->count;
    forage_policy *policy = make(info, settings, MOST, SLATE);
    forage_estimates estimates = estimates_of(at);
    forage_error error = {0};
    forage_rng rng;
    forage_rng_seed(&rng, 7);
    for (uint64_t step = 0; step < 40; step++) {
        uint32_t chosen[SLATE], again[SLATE], bare[SLATE];
        double propensity[SLATE], alone[SLATE], rows[SLATE * MOST];
        forage_rng same = rng, third = rng;
        must(forage_policy_choose(policy, &estimates, positions, step, &rng, chosen, propensity, rows, &error), &error);
        must(forage_policy_choose(policy, &estimates, positions, step, &same, again, alone, NULL, &error), &error);
        must(forage_policy_choose(policy, &estimates, positions, step, &third, bare, NULL, NULL, &error), &error);
        /* Whoever asks for probabilities changes nothing. */
        assert_memory_equal(chosen, again, positions * sizeof *chosen);
        assert_memory_equal(chosen, bare, positions * sizeof *chosen);
        assert_memory_equal(&rng, &same, sizeof rng);
        assert_memory_equal(&rng, &third, sizeof rng);
        for (size_t p = 0; p < positions; p++) {
            const double *row = &rows[p * count];
            double sum = 0;
            assert_true(chosen[p] < count);
            for (size_t i = 0; i < count; i++) {
                assert_true(row[i] >= 0 && row[i] <= 1 + 1e-12);
                sum += row[i];
            }
            if (fabs(sum - 1) > 1e-9)
                fail_msg("%s %s, %s, position %zu: probabilities sum to %.17g", info->name, settings, at->name, p, sum);
            for (size_t q = 0; q < p; q++) {
                assert_true(chosen[q] != chosen[p]);
                assert_true(row[chosen[q]] == 0);
            }
            assert_true(propensity[p] > 0);
            assert_true(propensity[p] == row[chosen[p]]);
            if (fabs(propensity[p] - alone[p]) > 1e-9)
                fail_msg("%s %s, %s: %.12g with everyone's, %.12g alone", info->name, settings, at->name, propensity[p],
                         alone[p]);
        }
    }
    forage_policy_free(policy);
}

static void test_rows(void **state)
{
    (void)state;
    visit_all(check_rows);
}

/* Pearson's statistic, cells that expect less than 5 together. */
static void check_frequencies(const forage_policy_info *info, const char *settings, situation *at)
{
    enum { TIMES = 20000 };
    size_t positions = at->count < SLATE ? at->count : SLATE, count = at->count;
    forage_policy *policy = make(info, settings, MOST, SLATE);
    forage_estimates estimates = estimates_of(at);
    static double expected[SLATE][MOST], seen[SLATE][MOST];
    forage_error error = {0};
    forage_rng rng;
    memset(expected, 0, sizeof expected);
    memset(seen, 0, sizeof seen);
    forage_rng_seed(&rng, 2024);
    /* With many candidates the rows are integrals: the first position's is the same each time, so a few will do. */
    size_t times = count > 20 ? TIMES / 10 : TIMES;
    for (uint64_t t = 0; t < times; t++) {
        uint32_t chosen[SLATE];
        double rows[SLATE * MOST];
        must(forage_policy_choose(policy, &estimates, positions, t % 100, &rng, chosen, NULL, rows, &error), &error);
        for (size_t p = 0; p < positions; p++) {
            seen[p][chosen[p]] += 1;
            for (size_t i = 0; i < count; i++)
                expected[p][i] += rows[p * count + i];
        }
    }
    for (size_t p = 0; p < positions; p++) {
        double statistic = 0, rest_expected = 0, rest_seen = 0, cells = 0;
        for (size_t i = 0; i < count; i++) {
            if (expected[p][i] < 5) {
                rest_expected += expected[p][i];
                rest_seen += seen[p][i];
                continue;
            }
            double off = seen[p][i] - expected[p][i];
            statistic += off * off / expected[p][i];
            cells++;
        }
        if (rest_expected > 5) {
            statistic += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
            cells++;
        } else if (rest_seen > rest_expected + 15) {
            fail_msg("%s %s, %s: %g choices where %g were expected", info->name, settings, at->name, rest_seen,
                     rest_expected);
        }
        double freedom = cells > 1 ? cells - 1 : 0;
        if (statistic > freedom + 6 * sqrt(2 * freedom) + (freedom > 0 ? 7 : 1e-6)) /* once in 100,000 */
            fail_msg("%s %s, %s, position %zu: chi-square %.1f with %g degrees of freedom", info->name, settings,
                     at->name, p, statistic, freedom);
    }
    forage_policy_free(policy);
}

static void test_frequencies(void **state)
{
    (void)state;
    visit_all(check_frequencies);
}

/* ---- determinism, memory ---- */

static void check_determinism(const forage_policy_info *info, const char *settings, situation *at)
{
    size_t positions = at->count < SLATE ? at->count : SLATE;
    forage_policy *first = make(info, settings, MOST, SLATE), *second = make(info, settings, at->count, positions);
    forage_estimates estimates = estimates_of(at);
    forage_error error = {0};
    forage_rng rng, copy;
    forage_rng_seed(&rng, 5);
    copy = rng;
    for (uint64_t step = 0; step < 20; step++) {
        uint32_t chosen[2][SLATE];
        double rows[2][SLATE * MOST], propensity[2][SLATE];
        must(forage_policy_choose(first, &estimates, positions, step, &rng, chosen[0], propensity[0], rows[0], &error),
             &error);
        forage_alloc_fail_at(1); /* choosing allocates nothing */
        forage_status status =
            forage_policy_choose(second, &estimates, positions, step, &copy, chosen[1], propensity[1], rows[1], &error);
        assert_int_equal(forage_alloc_fail_at(0), 0);
        must(status, &error);
        assert_memory_equal(chosen[0], chosen[1], positions * sizeof(uint32_t));
        assert_memory_equal(propensity[0], propensity[1], positions * sizeof(double));
        assert_memory_equal(rows[0], rows[1], positions * at->count * sizeof(double));
    }
    forage_policy_free(first);
    forage_policy_free(second);
}

static void test_determinism(void **state)
{
    (void)state;
    visit_all(check_determinism);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    for (size_t p = 0; p < policy_count(); p++) {
        const forage_policy_info *info = forage_policies(NULL)[p];
        for (uint64_t nth = 1;; nth++) {
            forage_policy *policy = (forage_policy *)(uintptr_t)1;
            forage_error error = {0};
            forage_alloc_fail_at(nth);
            forage_status status = forage_policy_create(info, NULL, 100, 5, &policy, &error);
            forage_alloc_fail_at(0);
            if (status == FORAGE_OK) {
                assert_true(nth > 2);
                forage_policy_free(policy);
                break;
            }
            assert_int_equal(status, FORAGE_NO_MEMORY);
            assert_null(policy);
        }
    }
    forage_policy_free(NULL);
}

/* ---- what is refused ---- */

static void refused(forage_policy *policy, const forage_estimates *estimates, size_t positions, const char *word)
{
    uint32_t chosen[MOST] = {0};
    double propensity[MOST], *rows[2] = {NULL, NULL}, space[MOST * SLATE];
    rows[1] = space;
    for (int r = 0; r < 2; r++) {
        forage_error error = {0};
        forage_rng rng, before;
        forage_rng_seed(&rng, 3);
        forage_rng_u32(&rng);
        before = rng;
        assert_int_equal(
            forage_policy_choose(policy, estimates, positions, 0, &rng, chosen, propensity, rows[r], &error),
            FORAGE_INVALID);
        assert_memory_equal(&rng, &before, sizeof rng);
        if (!strstr(error.message, word))
            fail_msg("%s: '%s' does not say '%s'", forage_policy_info_of(policy)->name, error.message, word);
    }
}

static void draw_nonsense(void *context, forage_rng *rng, float *values)
{
    values[0] = values[1] = (float)forage_rng_normal(rng);
    values[2] = NAN;
    (void)context;
}

static void test_refused(void **state)
{
    const float mean[] = {0.1F, 0.2F, 0.3F}, spread[] = {0.1F, 0.1F, 0.1F};
    const float bad[] = {0.1F, NAN, 0.3F}, endless[] = {0.1F, 0.2F, INFINITY}, negative[] = {0.1F, -0.1F, 0.1F};
    (void)state;
    for (size_t p = 0; p < policy_count(); p++) {
        const forage_policy_info *info = forage_policies(NULL)[p];
        forage_policy *policy = make(info, "", 3, 2);
        refused(policy, &(forage_estimates){.count = 0, .mean = mean, .deviation = spread, .draw = NULL}, 1,
                "no candidates");
        refused(policy, &(forage_estimates){.count = 4, .mean = mean, .deviation = spread, .draw = NULL}, 1,
                "at most 3");
        refused(policy, &(forage_estimates){.count = 3, .mean = mean, .deviation = spread, .draw = NULL}, 3, "1 to 2");
        refused(policy, &(forage_estimates){.count = 3, .mean = mean, .deviation = spread, .draw = NULL}, 0, "1 to 2");
        refused(policy, &(forage_estimates){.count = 1, .mean = mean, .deviation = spread, .draw = NULL}, 2,
                "more than");
        if (info->needs & FORAGE_POLICY_USES_MEAN) {
            refused(policy, &(forage_estimates){.count = 3, .mean = NULL, .deviation = spread, .draw = NULL}, 1,
                    "needs estimates");
            refused(policy, &(forage_estimates){.count = 3, .mean = bad, .deviation = spread, .draw = NULL}, 1,
                    "candidate 1");
            refused(policy, &(forage_estimates){.count = 3, .mean = endless, .deviation = spread, .draw = NULL}, 2,
                    "candidate 2");
        }
        if (info->needs & (FORAGE_POLICY_USES_DEVIATION | FORAGE_POLICY_USES_DRAWS)) {
            refused(policy, &(forage_estimates){.count = 3, .mean = mean, .deviation = NULL, .draw = NULL}, 1,
                    "standard error");
            refused(policy, &(forage_estimates){.count = 3, .mean = mean, .deviation = endless, .draw = NULL}, 1,
                    "candidate 2");
            refused(policy, &(forage_estimates){.count = 3, .mean = mean, .deviation = negative, .draw = NULL}, 1,
                    "candidate 1");
        }
        if (info->needs & FORAGE_POLICY_USES_DRAWS)
            refused(policy, &(forage_estimates){.count = 3, .mean = mean, .deviation = NULL, .draw = draw_nonsense}, 1,
                    "candidate 2");
        if (info->needs & FORAGE_POLICY_USES_DRAWS) {
            const uint32_t groups[] = {0, 1, 3};
            forage_estimates grouped = {.count = 3, .mean = mean, .deviation = spread, .groups = groups};
            grouped.group_count = 3;
            refused(policy, &grouped, 1, "group of candidate 2");
            grouped.group_count = 4;
            refused(policy, &grouped, 1, "4 groups");
        }
        forage_policy_free(policy);
    }
}

static void test_refused_at_creation(void **state)
{
    const forage_policy_info *greedy, *ucb, stranger = {.name = "stranger"};
    forage_params *params;
    forage_policy *policy;
    forage_error error = {0};
    (void)state;
    must(forage_policy_find("greedy", &greedy, &error), &error);
    must(forage_policy_find("ucb", &ucb, &error), &error);
    must(forage_params_create(&ucb->table, &params, &error), &error);
    assert_int_equal(forage_policy_create(greedy, params, 3, 1, &policy, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "ucb"));
    assert_int_equal(forage_policy_create(&stranger, NULL, 3, 1, &policy, &error), FORAGE_INVALID);
    assert_int_equal(forage_policy_create(greedy, NULL, 0, 1, &policy, &error), FORAGE_INVALID);
    assert_int_equal(forage_policy_create(greedy, NULL, 3, 0, &policy, &error), FORAGE_INVALID);
    assert_int_equal(forage_policy_create(greedy, NULL, 3, 4, &policy, &error), FORAGE_INVALID);
    assert_null(policy);
    forage_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptions), cmocka_unit_test(test_parameters_out_of_range),
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_determinism),  cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_refused_at_creation),
    };
    return cmocka_run_group_tests_name("policies", tests, NULL, NULL);
}
