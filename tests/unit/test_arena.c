/*
 * The arena: scores of series made by hand, and plays whose outcome is known.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eval/arena.h"
#include "forage/forage.h"

static void assert_close(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

/* ------------------------------------------------------------------ *
 * Scores of series
 * ------------------------------------------------------------------ */

static void test_exponent(void **state)
{
    (void)state;
    uint64_t points[40];
    double regret[40];
    const double exponents[] = {0.25, 0.5, 1, 1.5};
    for (size_t e = 0; e < 4; ++e) {
        for (size_t i = 0; i < 40; ++i) {
            points[i] = 1000 * (i + 1);
            regret[i] = 3.7 * pow((double)points[i], exponents[e]);
        }
        for (size_t i = 0; i < 19; ++i)
            regret[i] = 0; /* the first half does not matter */
        assert_close(eval_exponent(points, regret, 40), exponents[e], 1e-12);
    }
    regret[30] = 0;
    assert_true(isnan(eval_exponent(points, regret, 40)));
    assert_true(isnan(eval_exponent(points, regret, 2)));
    assert_true(isnan(eval_exponent(points, regret, 0)));
}

static void test_visits_to(void **state)
{
    (void)state;
    double best[60], value[60];
    for (size_t i = 0; i < 60; ++i) {
        best[i] = 10;
        value[i] = i < 11 ? 5 : 9.5;
    }
    assert_close(eval_visits_to(value, best, 60, 0.9), 12, 0);
    /* One lucky visit is no arrival: it is averaged with what follows. */
    value[3] = 10;
    assert_close(eval_visits_to(value, best, 60, 0.9), 12, 0);
    /* One unlucky visit later belongs to a block that is good enough. */
    value[20] = 8;
    assert_close(eval_visits_to(value, best, 60, 0.9), 12, 0);
    for (size_t i = 0; i < 60; ++i)
        value[i] = 8.9;
    assert_true(isinf(eval_visits_to(value, best, 60, 0.9)));
    value[59] = 9.1;
    assert_close(eval_visits_to(value, best, 60, 0.9), 60, 0);
    /* Visits that nobody made are no data. */
    memset(best, 0, sizeof best);
    assert_true(isnan(eval_visits_to(value, best, 60, 0.9)));
    best[4] = 1;
    value[4] = 0.95;
    assert_close(eval_visits_to(value, best, 60, 0.9), 5, 0);
}

/* The crossing of isotonic regression, against the regression itself: pool adjacent violators. */
static void test_isotonic(void **state)
{
    (void)state;
    enum { N = 60 };
    forage_rng rng;
    forage_rng_seed(&rng, 11);
    for (int round = 0; round < 500; ++round) {
        double value[N], best[N], sum_value[N], sum_best[N];
        size_t begin[N], blocks = 0, expected = N;
        for (size_t i = 0; i < N; ++i) {
            best[i] = 1 + 9 * forage_rng_double(&rng);
            value[i] = best[i] * (0.5 + 0.006 * (double)i + 0.3 * forage_rng_normal(&rng));
            sum_value[blocks] = value[i];
            sum_best[blocks] = best[i];
            begin[blocks++] = i;
            while (blocks > 1 &&
                   sum_value[blocks - 1] * sum_best[blocks - 2] < sum_value[blocks - 2] * sum_best[blocks - 1]) {
                sum_value[blocks - 2] += sum_value[blocks - 1];
                sum_best[blocks - 2] += sum_best[blocks - 1];
                --blocks;
            }
        }
        for (size_t b = blocks; b-- > 0;)
            if (sum_value[b] >= 0.7 * sum_best[b])
                expected = begin[b];
        double got = eval_visits_to(value, best, N, 0.7);
        if (expected == N)
            assert_true(isinf(got));
        else
            assert_close(got, (double)expected + 1, 0);
    }
}

static void test_recovery(void **state)
{
    (void)state;
    double value[200], best[200];
    eval_buckets buckets = {.width = 100, .count = 200, .value = value, .best = best};
    /* A share of 0.9 that falls to 0.5 at visit 10,000 and comes back to 0.86 2,300 visits later: 0.95 x 0.9 = 0.855.
     */
    for (size_t i = 0; i < 200; ++i) {
        best[i] = 50;
        value[i] = 50 * (i < 100 ? 0.9 : i < 123 ? 0.5 : 0.86);
    }
    assert_close(eval_recovery(&buckets, 10000, 0, 20000, 1, 0.95), 2300, 0);
    assert_close(eval_recovery(&buckets, 10000, 0, 20000, 10, 0.95), 2300, 0);
    /* Between two buckets: counted from the event. */
    assert_close(eval_recovery(&buckets, 9950, 0, 20000, 10, 0.95), 2350, 0);
    /* Not before the next event, or never. */
    assert_true(isinf(eval_recovery(&buckets, 10000, 0, 12000, 10, 0.95)));
    assert_true(isinf(eval_recovery(&buckets, 10000, 0, 13200, 10, 0.95))); /* for less than a window */
    /* A lucky stretch is averaged with what follows it. */
    for (size_t i = 105; i < 115; ++i)
        value[i] = 50 * 0.9;
    assert_close(eval_recovery(&buckets, 10000, 0, 20000, 10, 0.95), 2300, 0);
    assert_true(isinf(eval_recovery(&buckets, 10000, 0, 20000, 10, 0.99)));
    /* No harm done. */
    assert_close(eval_recovery(&buckets, 5000, 0, 10000, 10, 0.95), 0, 0);
    assert_close(eval_recovery(&buckets, 5033, 0, 10000, 10, 0.95), 0, 0);
    /* Nothing to compare with. */
    assert_true(isnan(eval_recovery(&buckets, 0, 0, 10000, 10, 0.95)));
    assert_true(isnan(eval_recovery(&buckets, 10000, 10000, 20000, 10, 0.95)));
    assert_true(isnan(eval_recovery(&buckets, 19500, 0, 20000, 10, 0.95)));
    assert_true(isnan(eval_recovery(&buckets, 1000000, 0, 2000000, 10, 0.95)));
    /* Only what is after the event before counts as former share. */
    for (size_t i = 100; i < 200; ++i)
        value[i] = 50 * (i < 110 ? 0.5 : 0.48);
    assert_close(eval_recovery(&buckets, 11000, 10000, 20000, 10, 0.95), 0, 0);
    assert_true(isinf(eval_recovery(&buckets, 11000, 0, 20000, 10, 0.95)));
}

static void test_gini(void **state)
{
    (void)state;
    uint32_t same[] = {7, 7, 7, 7}, one[] = {0, 9, 0, 0}, some[] = {3, 1, 0, 4}, none[] = {0, 0};
    assert_close(eval_gini(same, 4), 0, 1e-15);
    assert_close(eval_gini(one, 4), 0.75, 1e-15);
    /* Sum of |a - b| over all pairs, over 2 n^2 mean: (2+3+1+1+3+4) x 2 / (2 x 16 x 2). */
    assert_close(eval_gini(some, 4), 28.0 / 64, 1e-15);
    assert_true(isnan(eval_gini(none, 2)));
}

static void test_censored(void **state)
{
    (void)state;
    double values[] = {10, INFINITY, NAN, 20}, limits[] = {60, 60, 60, 60}, never[] = {INFINITY, INFINITY}, reached;
    forage_estimate estimate = eval_censored(values, limits, 4, &reached);
    assert_close(estimate.value, 30, 1e-12);
    assert_close(reached, 2.0 / 3, 1e-12);
    assert_true(isnan(eval_censored(never, limits, 2, &reached).value));
    assert_close(reached, 0, 0);
    double unknown[] = {NAN};
    assert_true(isnan(eval_censored(unknown, limits, 1, &reached).value) && isnan(reached));
}

/* ------------------------------------------------------------------ *
 * A play by hand
 * ------------------------------------------------------------------ */

static void test_track(void **state)
{
    (void)state;
    const uint32_t item_group[] = {0, 0, 1};
    const uint64_t points[] = {5, 10};
    const eval_track_shape shape = {.visits = 10,
                                    .settle = 4,
                                    .window = 2,
                                    .users = 9,
                                    .items = 3,
                                    .positions = 1,
                                    .user_groups = 2,
                                    .item_groups = 2,
                                    .item_group = item_group,
                                    .point_count = 2,
                                    .points = points};
    eval_track *track;
    eval_outcome outcome = {0};
    assert_int_equal(eval_track_create(&shape, &track, NULL), FORAGE_OK);
    /* Users 0 (known), 7 (new, but before visit 4), 8 (new, from visit 4 on). */
    const uint32_t users[] = {0, 7, 0, 7, 8, 8, 0, 8, 7, 0};
    const uint64_t user_visits[] = {0, 0, 1, 1, 0, 1, 2, 2, 2, 3};
    const uint32_t items[] = {0, 1, 2, 0, 0, 2, 2, 2, 1, 2};
    for (uint64_t v = 0; v < 10; ++v) {
        forage_visit visit = {.request = {.id = v, .user = users[v]},
                              .user_group = users[v] == 0 ? 0 : 1,
                              .user_visit = user_visits[v],
                              .new_user = users[v] != 0};
        double value = items[v] == 2 ? 0.5 : 0.25;
        eval_step step = {.visit = &visit,
                          .items = &items[v],
                          .value = value,
                          .best = 0.5,
                          .earned = v % 2 == 0 ? 1 : 0,
                          .accepted = true};
        eval_track_step(track, &step);
        assert_true(eval_track_newcomer(track, 8) == (v >= 4));
        assert_false(eval_track_newcomer(track, 7));
    }
    assert_int_equal(eval_track_finish(track, &outcome, NULL), FORAGE_OK);
    assert_close(outcome.regret, 5 * 0.25, 1e-15);
    assert_close(outcome.regret_at[0], 4 * 0.25, 1e-15);
    assert_close(outcome.regret_at[1], 5 * 0.25, 1e-15);
    assert_close(outcome.reward_at[0], 3, 0);
    assert_close(outcome.rate, 0.5, 0);
    assert_close(outcome.rate_last, 0, 0);
    assert_close(outcome.share, 3.75 / 5, 1e-15);
    assert_close(outcome.share_last, 1, 0);
    assert_close(outcome.loss, 0.5, 0);
    assert_close(outcome.best, 0.5, 0);
    assert_close(outcome.coverage, 1, 0);
    assert_true(isnan(outcome.first60)); /* nobody has made sixty visits */
    assert_close(outcome.newcomer_best[0] - outcome.newcomer_value[0], 0.25, 1e-15);
    assert_int_equal(outcome.newcomer_count[0], 1);
    assert_int_equal(outcome.newcomer_count[2], 1);
    assert_int_equal(outcome.newcomer_count[3], 0);
    assert_close(outcome.visits_to_90, 2, 0);
    assert_close(outcome.exposure[0], 0.5, 0);
    assert_close(outcome.user_group[0], 3.0 / 4, 1e-15); /* visits 0, 2, 6, 9 */
    assert_close(outcome.user_group[1], 2.0 / 6, 1e-15);
    assert_close(outcome.item_group[0], 3.0 / 5, 1e-15); /* items 0 and 1: visits 0, 1, 3, 4, 8 */
    assert_close(outcome.item_group[1], 2.0 / 5, 1e-15);
    eval_outcome_release(&outcome);
    eval_track_free(track);
}

static void test_slates(void **state)
{
    (void)state;
    const uint32_t item_group[] = {0, 1, 1}, slates[2][2] = {{0, 1}, {2, 1}};
    const uint64_t points[] = {2};
    const eval_track_shape shape = {.visits = 2,
                                    .window = 1,
                                    .users = 1,
                                    .items = 3,
                                    .positions = 2,
                                    .user_groups = 1,
                                    .item_groups = 2,
                                    .item_group = item_group,
                                    .point_count = 1,
                                    .points = points};
    /* The first slate's clicks come late; one belongs to a decision that nobody made. */
    const forage_feedback late[] = {{0, 0, 1}, {0, 1, 1}, {1, 1, 1}, {9, 0, 1}, {1, 5, 1}};
    eval_track *track;
    eval_outcome outcome = {0};
    assert_int_equal(eval_track_create(&shape, &track, NULL), FORAGE_OK);
    for (uint64_t v = 0; v < 2; ++v) {
        forage_visit visit = {.request = {.id = v, .user = 0}, .user_visit = v};
        eval_step step = {&visit, slates[v], 1, 2, 1 + (double)(v == 0), true};
        eval_track_step(track, &step);
    }
    for (size_t i = 0; i < sizeof late / sizeof *late; ++i)
        eval_track_feedback(track, &late[i]);
    assert_int_equal(eval_track_finish(track, &outcome, NULL), FORAGE_OK);
    assert_close(outcome.rate, 1.5, 0);
    assert_close(outcome.item_group[0], 1, 0);
    assert_close(outcome.item_group[1], 2.0 / 3, 1e-15);
    assert_close(outcome.exposure[1], 0.75, 0);
    eval_outcome_release(&outcome);
    eval_track_free(track);
}

/* ------------------------------------------------------------------ *
 * Plays
 * ------------------------------------------------------------------ */

static forage_arena run(const forage_arena_options *options)
{
    forage_error error = {0};
    forage_arena arena;
    if (forage_arena_run(options, &arena, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    return arena;
}

static const char *write_scenario(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/forage-arena-XXXXXX.yaml");
    int handle = mkstemps(path, 5);
    assert_true(handle >= 0);
    FILE *file = fdopen(handle, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* Two products and one kind of customer: what everyone earns can be said beforehand. */
static void test_two_arms(void **state)
{
    (void)state;
    const char *path = write_scenario("name: two\nseed: 1\nproducts: 2\nusers: 10\ninteractions: 20000\n"
                                      "categories: [Good, Bad]\npersonas:\n  all: {Good: 0.5, Bad: 0.25}\n");
    const char *const agents[] = {"random", "bayes", "oracle"};
    forage_arena_options options = {.environment = path, .agents = agents, .agent_count = 3, .seeds = 3, .threads = 2};
    forage_arena arena = run(&options);
    remove(path);
    const forage_arena_agent *random = &arena.agents[0], *bayes = &arena.agents[1], *oracle = &arena.agents[2];
    assert_int_equal(arena.visits, 20000);
    assert_int_equal(arena.item_group_count, 2);
    assert_close(arena.oracle_rate, 0.5, 1e-12);
    /* Regret is what was shown of the bad one, times 0.25; half of it, give or take 4 standard deviations. */
    uint32_t bad = strcmp(arena.item_groups[0], "Bad") == 0 ? 0 : 1;
    assert_close(random->regret.value, random->exposure[bad] * 20000 * 0.25, 1e-6);
    assert_close(random->exposure[bad], 0.5, 4 * 0.5 / sqrt(60000));
    assert_close(random->rate.value, 0.375, 4 * 0.5 / sqrt(60000));
    assert_close(random->item_group[bad].value, 0.25, 4 * 0.5 / sqrt(30000));
    assert_close(random->item_group[1 - bad].value, 0.5, 4 * 0.5 / sqrt(30000));
    assert_close(random->share.value, 0.75, 0.005);
    assert_close(random->exponent.value, 1, 0.05);
    assert_close(random->coverage.value, 1, 0);
    assert_close(random->gini.value, 0, 0.01);
    assert_true(random->regret.low < random->regret.value && random->regret.value < random->regret.high);
    assert_close(random->regret_curve[arena.point_count - 1], random->regret.value, 1e-9);
    for (size_t i = 1; i < arena.point_count; ++i)
        assert_true(random->regret_curve[i] >= random->regret_curve[i - 1]);
    /* The oracle loses nothing; with one persona, nobody can know more than bayes. */
    assert_close(oracle->regret.value, 0, 0);
    assert_close(oracle->share.value, 1, 0);
    assert_close(oracle->coverage.value, 0.5, 0);
    assert_close(oracle->gini.value, 0.5, 1e-12);
    assert_close(oracle->rate.value, 0.5, 4 * 0.5 / sqrt(60000));
    assert_true(isnan(oracle->exponent.value) && isnan(oracle->loss.value) && isnan(oracle->first60.value));
    assert_true(bayes->hash == oracle->hash && bayes->hash != random->hash);
    /* The same choices have the same luck. */
    assert_true(bayes->rate.value == oracle->rate.value && bayes->rate_last.value == oracle->rate_last.value);
    forage_arena_release(&arena);
}

/* Everything but the clock. */
static char *text_of(forage_arena *arena)
{
    char *text;
    arena->seconds = arena->load_seconds = 0;
    for (size_t a = 0; a < arena->agent_count; ++a)
        arena->agents[a].decisions_per_second = arena->agents[a].lessons_per_second =
            arena->agents[a].visits_per_second = 0;
    assert_int_equal(forage_arena_json(arena, &text, NULL), FORAGE_OK);
    return text;
}

static void test_any_threads(void **state)
{
    (void)state;
    const char *const agents[] = {"oracle", "random", "bayes"};
    forage_arena_options options = {
        .environment = "new-users", .agents = agents, .agent_count = 3, .seeds = 4, .seed = 7, .diary = 5};
    options.environment_options.visits = 5000;
    char *first = NULL;
    for (int threads = 1; threads <= 3; ++threads) {
        options.threads = threads;
        forage_arena arena = run(&options);
        char *text = text_of(&arena);
        if (first)
            assert_string_equal(text, first);
        else
            first = forage_strdup(text);
        forage_free(text);
        forage_arena_release(&arena);
    }
    forage_free(first);
}

/* Agents do not disturb each other: alone or in company, earlier or later, each plays the same. */
static void test_company(void **state)
{
    (void)state;
    const char *const all[] = {"oracle", "random", "bayes"}, *const one[] = {"bayes"};
    forage_arena_options options = {.environment = "drift", .agents = all, .agent_count = 3, .seeds = 2};
    options.environment_options.visits = 4000;
    forage_arena together = run(&options);
    options.agents = one;
    options.agent_count = 1;
    forage_arena alone = run(&options);
    assert_true(together.agents[2].hash == alone.agents[0].hash);
    assert_true(together.agents[2].regret.value == alone.agents[0].regret.value);
    assert_true(together.oracle_rate == alone.oracle_rate);
    /* The second seed alone is the second of two. */
    options.seed = 1;
    options.seeds = 1;
    forage_arena second = run(&options);
    assert_true(second.agents[0].regret.value != alone.agents[0].regret.value);
    options.seed = 0;
    forage_arena first = run(&options);
    assert_close((first.agents[0].regret.value + second.agents[0].regret.value) / 2, alone.agents[0].regret.value,
                 1e-9);
    forage_arena_release(&together);
    forage_arena_release(&alone);
    forage_arena_release(&first);
    forage_arena_release(&second);
}

static void test_newcomers(void **state)
{
    (void)state;
    const char *const agents[] = {"random", "bayes", "oracle"};
    forage_arena_options options = {
        .environment = "new-users", .agents = agents, .agent_count = 3, .seeds = 2, .diary = 20, .settle = 20000};
    options.environment_options.visits = 60000;
    forage_arena arena = run(&options);
    const forage_arena_agent *random = &arena.agents[0], *bayes = &arena.agents[1], *oracle = &arena.agents[2];
    assert_true(arena.newcomers > 200);
    assert_true(arena.settle == 20000);
    assert_close(oracle->first60.value, 0, 0);
    assert_close(oracle->visits_to_90.value, 1, 0);
    assert_true(bayes->first60.value > 1 && bayes->first60.value < 3);
    assert_true(bayes->visits_to_90.value > 6 && bayes->visits_to_90.value < 20);
    assert_close(bayes->reached_90, 1, 0);
    assert_true(isnan(random->visits_to_90.value));
    assert_close(random->reached_90, 0, 0);
    assert_true(random->first60.value > 10);
    /* The sum of the curve is the score. */
    double sum = 0;
    for (size_t n = 0; n < FORAGE_ARENA_NEWCOMER; ++n)
        sum += bayes->newcomer_regret[n];
    assert_close(sum, bayes->first60.value, 0.05);
    /* Everyone's diary tells of the same visits of the same user. */
    assert_int_equal(bayes->page_count, 20);
    assert_true(bayes->pages[0].visit >= 20000);
    for (size_t i = 0; i < 20; ++i) {
        assert_int_equal(bayes->pages[i].user, random->pages[i].user);
        assert_int_equal(bayes->pages[i].visit, random->pages[i].visit);
        assert_true(oracle->pages[i].truth == oracle->pages[i].best && random->pages[i].best == oracle->pages[i].best);
        assert_true(i == 0 || bayes->pages[i].visit > bayes->pages[i - 1].visit);
    }
    forage_arena_release(&arena);
}

/* ------------------------------------------------------------------ *
 * Pipelines
 * ------------------------------------------------------------------ */

static void test_pipelines(void **state)
{
    (void)state;
    const char *const agents[] = {"random", "linucb", "linucb:alpha=0.2", "bayes"};
    forage_arena_options options = {.environment = "petshop", .agents = agents, .agent_count = 4, .seeds = 2};
    options.environment_options.visits = 20000;
    options.environment_options.users = 100;
    forage_arena arena = run(&options);
    const forage_arena_agent *random = &arena.agents[0], *linucb = &arena.agents[1], *bayes = &arena.agents[3];
    assert_string_equal(linucb->model, "linear-ridge");
    assert_string_equal(linucb->policy, "ucb");
    assert_string_equal(random->model, "");
    assert_true(bayes->regret.value < linucb->regret.value && linucb->regret.value < 0.35 * random->regret.value);
    assert_true(linucb->hash != arena.agents[2].hash);
    assert_true(linucb->exponent.value < 0.95);
    assert_true(linucb->memory > 1000 && linucb->memory < 10000000);
    assert_true(linucb->decisions_per_second > 0 && linucb->lessons_per_second > 0);
    assert_int_equal(linucb->lost, 0);
    forage_arena_release(&arena);
}

/* Random traffic beforehand: whoever had it begins better, and nobody is told what the play will bring. */
static void test_pretrain(void **state)
{
    (void)state;
    const char *const agents[] = {"linucb", "linucb:pretrain=5000", "random", "bayes"};
    forage_arena_options options = {
        .environment = "drift", .agents = agents, .agent_count = 4, .seeds = 2, .points = 20, .threads = 2};
    options.environment_options.visits = 4000;
    options.environment_options.users = 100;
    forage_arena arena = run(&options);
    assert_true(arena.agents[1].regret_curve[3] < 0.7 * arena.agents[0].regret_curve[3]);
    assert_true(arena.agents[1].regret.value > 0);
    /* The others' luck is not touched. */
    forage_arena without;
    options.agents = agents + 2;
    options.agent_count = 2;
    without = run(&options);
    assert_true(without.agents[0].hash == arena.agents[2].hash && without.agents[1].hash == arena.agents[3].hash);
    forage_arena_release(&without);
    forage_arena_release(&arena);
}

/* A replayed log answers where it shows what was chosen; what it cannot say is not learned as a failure. */
static void test_replay(void **state)
{
    (void)state;
    char path[] = "/tmp/forage-arena-XXXXXX.csv";
    int handle = mkstemps(path, 4);
    assert_true(handle >= 0);
    FILE *file = fdopen(handle, "w");
    assert_non_null(file);
    forage_rng rng;
    forage_rng_seed(&rng, 5);
    fputs("user_id,item_id,clicked\n", file);
    for (int i = 0; i < 20000; ++i) {
        int item = (int)forage_rng_integers(&rng, 4);
        fprintf(file, "u%d,i%d,%d\n", (int)forage_rng_integers(&rng, 50), item,
                forage_rng_double(&rng) < (item == 2 ? 0.6 : 0.1));
    }
    assert_int_equal(fclose(file), 0);
    char name[64];
    snprintf(name, sizeof name, "replay:%s", path);
    const char *const agents[] = {"random", "linucb:wait=50"};
    forage_arena_options options = {.environment = name, .agents = agents, .agent_count = 2, .seeds = 2};
    options.environment_options.uniform = true;
    forage_arena arena = run(&options);
    remove(path);
    for (size_t a = 0; a < 2; ++a) {
        assert_close(arena.agents[a].accepted, 0.25, 0.02);
        assert_true(isnan(arena.agents[a].regret.value) && isnan(arena.agents[a].loss.value));
        assert_true(isnan(arena.agents[a].ips.value) && isnan(arena.agents[a].share_last.value));
    }
    assert_close(arena.agents[0].rate.value, 0.225, 0.03);
    assert_true(arena.agents[1].rate.value > 0.5);
    forage_arena_release(&arena);
}

static void test_withdraw(void **state)
{
    (void)state;
    forage_pipeline_spec *spec;
    forage_pipeline *pipeline;
    forage_decision decision;
    forage_pipeline_stats stats;
    const forage_catalogue catalogue = {.users = 3, .items = 4};
    const forage_pipeline_options options = {.catalogue = &catalogue};
    assert_int_equal(forage_pipeline_spec_parse("linucb:wait=2", &spec, NULL), FORAGE_OK);
    assert_int_equal(forage_pipeline_create(spec, &options, &pipeline, NULL), FORAGE_OK);
    for (uint64_t id = 0; id < 10; ++id) {
        const forage_request request = {.id = id, .user = (uint32_t)(id % 3), .positions = 1};
        assert_int_equal(forage_pipeline_decide(pipeline, &request, &decision, NULL), FORAGE_OK);
        if (id % 2 == 0)
            assert_int_equal(forage_pipeline_withdraw(pipeline, id, NULL), FORAGE_OK);
    }
    const forage_feedback late = {8, 0, 1};
    size_t done;
    assert_int_equal(forage_pipeline_observe(pipeline, &late, 1, &done, NULL), FORAGE_INVALID);
    assert_int_equal(forage_pipeline_withdraw(pipeline, 100, NULL), FORAGE_UNKNOWN);
    assert_int_equal(forage_pipeline_withdraw(pipeline, 8, NULL), FORAGE_OK); /* a second time: nothing more happens */
    forage_pipeline_stats_of(pipeline, &stats);
    /* Of decisions 0 ... 9, with room for two: 1, 3, 5 (and 7, if it is over) counted as no reward. */
    assert_true(stats.lessons == stats.expired && stats.expired >= 3 && stats.expired <= 4);
    assert_true(stats.waiting + stats.expired == 5);
    forage_pipeline_free(pipeline);
    forage_pipeline_spec_free(spec);
}

/* ------------------------------------------------------------------ *
 * What goes wrong
 * ------------------------------------------------------------------ */

static void refuse(const forage_arena_options *options, forage_status status, const char *says)
{
    forage_error error = {0};
    forage_arena arena;
    assert_int_equal(forage_arena_run(options, &arena, &error), status);
    if (!strstr(error.message, says))
        fail_msg("'%s' is not in: %s", says, error.message);
    assert_null(arena.agents);
    forage_arena_release(&arena);
}

static void test_refusals(void **state)
{
    (void)state;
    const char *const wrong[] = {"nobody"}, *const twice[] = {"random", "oracle", "random"}, *const good[] = {"random"};
    forage_arena_options options = {.environment = "petshop", .agents = wrong, .agent_count = 1};
    options.environment_options.visits = 100;
    refuse(&options, FORAGE_UNKNOWN, "possible: random, oracle, bayes");
    options.agents = twice;
    options.agent_count = 3;
    refuse(&options, FORAGE_INVALID, "'random' is named twice");
    options.agents = good;
    options.agent_count = 1;
    options.environment = NULL;
    refuse(&options, FORAGE_INVALID, "environment");
    options.environment = "nowhere.yaml";
    forage_error error = {0};
    forage_arena arena;
    assert_int_equal(forage_arena_run(&options, &arena, &error), FORAGE_IO);
    assert_string_equal(error.file, "nowhere.yaml");
    options.environment = "petshop";
    options.seeds = 1000000;
    refuse(&options, FORAGE_INVALID, "seeds");
}

static bool stop_soon(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    (void)stage;
    (void)note;
    assert_true(done <= total);
    return ++*(int *)context < 3;
}

static void test_interrupted(void **state)
{
    (void)state;
    int calls = 0;
    const char *const good[] = {"random", "oracle"};
    const forage_progress progress = {stop_soon, &calls};
    forage_arena_options options = {
        .environment = "petshop", .agents = good, .agent_count = 2, .seeds = 2, .threads = 2, .progress = &progress};
    refuse(&options, FORAGE_INTERRUPTED, "stopped");
    assert_int_equal(calls, 3);
}

static void test_no_memory(void **state)
{
    (void)state;
    const char *const agents[] = {"random", "bayes"};
    forage_arena_options options = {.environment = "new-users",
                                    .agents = agents,
                                    .agent_count = 2,
                                    .seeds = 2,
                                    .threads = 1,
                                    .diary = 3,
                                    .settle = 1};
    options.environment_options.visits = 300;
    options.environment_options.users = 50;
    for (uint64_t nth = 1;; nth += 1 + nth / 50) {
        forage_error error = {0};
        forage_arena arena;
        forage_alloc_fail_at(nth);
        forage_status status = forage_arena_run(&options, &arena, &error);
        uint64_t asked = forage_alloc_fail_at(0);
        forage_arena_release(&arena);
        if (asked < nth) {
            assert_int_equal(status, FORAGE_OK);
            assert_true(nth > 50);
            return;
        }
        if (status != FORAGE_OK) {
            assert_int_equal(status, FORAGE_NO_MEMORY);
            assert_true(error.message[0]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exponent),    cmocka_unit_test(test_visits_to), cmocka_unit_test(test_isotonic),
        cmocka_unit_test(test_recovery),    cmocka_unit_test(test_gini),      cmocka_unit_test(test_censored),
        cmocka_unit_test(test_track),       cmocka_unit_test(test_slates),    cmocka_unit_test(test_two_arms),
        cmocka_unit_test(test_any_threads), cmocka_unit_test(test_company),   cmocka_unit_test(test_newcomers),
        cmocka_unit_test(test_pipelines),   cmocka_unit_test(test_pretrain),  cmocka_unit_test(test_replay),
        cmocka_unit_test(test_withdraw),    cmocka_unit_test(test_refusals),  cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_no_memory),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
