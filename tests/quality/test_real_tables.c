/*
 * Labelled tables as bandit problems, with the defaults of short names: two sets of UCI ($FORAGE_DATA; skipped where
 * they are absent) by both protocols of the literature, and one that invites agents to get stuck. docs/tables.md has
 * the figures, and what others reach.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* NULL where the file is absent. */
static const char *table(const char *file)
{
    static char name[512];
    const char *data = getenv("FORAGE_DATA");
    int prefix = snprintf(name, sizeof name, "classification:");
    snprintf(name + prefix, sizeof name - (size_t)prefix, "%s/bandit/%s", data ? data : "../shared/data", file);
    return access(name + prefix, R_OK) == 0 ? name : NULL;
}

static forage_arena run(const char *environment, const forage_environment_options *options, const char *const *agents,
                        size_t count, size_t seeds)
{
    forage_arena arena = {0};
    forage_error error = {0};
    const forage_arena_options how = {.environment = environment,
                                      .environment_options = *options,
                                      .agents = agents,
                                      .agent_count = count,
                                      .seeds = seeds};
    if (forage_arena_run(&how, &arena, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    return arena;
}

static void at_most(const forage_arena *arena, size_t agent, double value, double floor, const char *what)
{
    printf("# %s, %s: %.4f (at most %.4f)\n", arena->agents[agent].name, what, value, floor);
    if (!(value <= floor))
        fail_msg("%s, %s: %.4f is above %.4f", arena->agents[agent].name, what, value, floor);
}

/* One pass over raw columns, in the order of RandomState(1).permutation: share of wrong choices. Vowpal Wabbit's best:
 * .0834 on shuttle, .0037 on mushroom. */
static void test_progressive(void **state)
{
    static const char *const agents[] = {"linucb"};
    const forage_environment_options last = {.order = "numpy:1"}, first = {.order = "numpy:1", .label = "first"};
    (void)state;
    if (!table("shuttle.trn") || !table("agaricus-lepiota.data"))
        return; /* skipped */
    forage_arena shuttle = run(table("shuttle.trn"), &last, agents, 1, 1);
    at_most(&shuttle, 0, shuttle.agents[0].loss.value, 0.01, "shuttle, progressive loss");
    forage_arena_release(&shuttle);
    forage_arena mushroom = run(table("agaricus-lepiota.data"), &first, agents, 1, 1);
    at_most(&mushroom, 0, mushroom.agents[0].loss.value, 0.0036, "mushroom, progressive loss");
    forage_arena_release(&mushroom);
}

/* The showdown: regret in percent of that of uniform choice. */
static void test_showdown(void **state)
{
    static const char *const agents[] = {"random", "linucb:initial-pulls=2"};
    const forage_environment_options statlog = {.order = "random", .scale = "standard"};
    const forage_environment_options mushroom = {
        .order = "bootstrap", .label = "first", .rewards = "mushroom", .visits = 50000};
    (void)state;
    if (!table("shuttle.trn") || !table("agaricus-lepiota.data"))
        return; /* skipped */
    forage_arena played = run(table("shuttle.trn"), &statlog, agents, 2, 2);
    double uniform = played.agents[0].regret.value;
    at_most(&played, 1, 100 * played.agents[1].regret.value / uniform, 1.5, "statlog, % of uniform's regret");
    forage_arena_release(&played);
    played = run(table("agaricus-lepiota.data"), &mushroom, agents, 2, 6);
    uniform = played.agents[0].regret.value;
    at_most(&played, 1, 100 * played.agents[1].regret.value / uniform, 2.2, "mushroom, % of uniform's regret");
    forage_arena_release(&played);
}

/* Where one action is safe, an agent that is unlucky, or sure too early, leaves the other alone for good. Two numbers
 * tell three kinds apart; regret in percent of that of uniform choice. */
static void test_safe_action(void **state)
{
    static const char rewards[] = "actions: [pick, leave]\nlabels:\n  2: {pick: 0.5}\n  1: {pick: -1}\n"
                                  "  0: {pick: [{reward: 3, probability: 0.8}, {reward: -1, probability: 0.2}]}\n";
    static const char *const agents[] = {"random", "linucb"};
    char folder[] = "/tmp/forage-quality-XXXXXX", flowers[80], table[64];
    forage_rng rng;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(table, sizeof table, "%s/rewards.yaml", folder);
    snprintf(flowers, sizeof flowers, "classification:%s/flowers.data", folder);
    FILE *file = fopen(table, "w");
    assert_non_null(file);
    assert_true(fputs(rewards, file) >= 0);
    assert_int_equal(fclose(file), 0);
    file = fopen(flowers + sizeof "classification:" - 1, "w");
    assert_non_null(file);
    forage_rng_seed(&rng, 1);
    for (int i = 0; i < 400; i++) {
        int kind = (int)forage_rng_integers(&rng, 3);
        double x = kind + 0.3 * forage_rng_normal(&rng), y = 0.3 * forage_rng_normal(&rng) - kind;
        fprintf(file, "%.3f %.3f %d\n", x, y, kind);
    }
    assert_int_equal(fclose(file), 0);
    const forage_environment_options options = {.order = "bootstrap", .visits = 4000, .rewards = table};
    forage_arena played = run(flowers, &options, agents, 2, 20);
    at_most(&played, 1, 100 * played.agents[1].regret.value / played.agents[0].regret.value, 30,
            "a safe action, % of uniform's regret");
    forage_arena_release(&played);
    unlink(flowers + sizeof "classification:" - 1);
    unlink(table);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progressive),
        cmocka_unit_test(test_showdown),
        cmocka_unit_test(test_safe_action),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
