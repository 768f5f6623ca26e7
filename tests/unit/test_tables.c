/*
 * sim: environments made of files: labelled tables against NumPy, replays and logs against a log that the test wrote.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/sim.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "golden.h"

static char folder[] = "/tmp/forage-tables-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

/* Writes a file; gives "KIND:PATH". */
static const char *name_of(const char *kind, const char *file, const char *text)
{
    static char name[300];
    size_t prefix = (size_t)snprintf(name, sizeof name, "%s:", kind);
    snprintf(name + prefix, sizeof name - prefix, "%s/%s", folder, file);
    FILE *out = fopen(name + prefix, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    return name;
}

static forage_environment *open_environment(const char *name, const forage_environment_options *options)
{
    forage_environment *environment = NULL;
    forage_error error = {0};
    if (forage_environment_open(name, options, &environment, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    return environment;
}

static void assert_refused(const char *name, const forage_environment_options *options, const char *expected)
{
    forage_environment *environment = NULL;
    forage_error error = {0};
    char message[1000];
    assert_int_not_equal(forage_environment_open(name, options, &environment, &error), FORAGE_OK);
    assert_null(environment);
    forage_error_text(&error, message, sizeof message);
    if (!strstr(message, expected))
        fail_msg("expected \"%s\", got: %s", expected, message);
}

static forage_play *open_play(const forage_environment *environment, uint64_t seed)
{
    forage_play *play = NULL;
    assert_int_equal(forage_play_create(environment, seed, &play, NULL), FORAGE_OK);
    return play;
}

static bool next_visit(forage_play *play, forage_visit *visit)
{
    bool more;
    assert_int_equal(forage_play_next(play, visit, &more, NULL), FORAGE_OK);
    return more;
}

/* The reward of the only feedback there is. */
static double answer(forage_play *play, uint32_t item)
{
    const forage_feedback *feedback;
    size_t count;
    bool accepted;
    double earned;
    assert_int_equal(forage_play_answer(play, &item, 1, &feedback, &count, &accepted, &earned, NULL), FORAGE_OK);
    assert_true(accepted);
    assert_int_equal(count, 1);
    assert_int_equal(feedback[0].position, 0);
    assert_true((double)feedback[0].reward == earned);
    return earned;
}

static const char *item_id(const forage_environment *environment, uint32_t item)
{
    static char buffer[24];
    return forage_vocabulary_id(forage_environment_catalogue(environment)->item_ids, item, buffer, NULL);
}

/* ---- labelled tables ---- */

static const char *golden_table(json_t **golden)
{
    *golden = golden_load("tables.json", 0);
    return name_of("classification", "table.csv", golden_text(*golden, "csv"));
}

static void check_order(const json_t *golden, const char *name, const char *order, uint64_t seed, const json_t *rows)
{
    const json_t *labels = json_object_get(golden, "labels");
    const forage_environment_options options = {.order = order, .visits = json_array_size(rows)};
    forage_environment *environment = open_environment(name, &options);
    forage_play *play = open_play(environment, seed);
    forage_visit visit;
    assert_int_equal(forage_environment_visits(environment), json_array_size(rows));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *label =
            json_string_value(json_array_get(labels, (size_t)json_integer_value(json_array_get(rows, i))));
        const uint32_t right = label[0] == 'e' ? 0 : 1, wrong = 1 - right; /* labels are in order */
        assert_true(next_visit(play, &visit));
        assert_int_equal(visit.request.id, i);
        assert_int_equal(visit.request.user, FORAGE_NONE);
        assert_int_equal(visit.request.positions, 1);
        assert_int_equal(visit.logged_item, FORAGE_NONE);
        assert_true(forage_play_value(play, &right, 1) == 1 && forage_play_value(play, &wrong, 1) == 0);
        assert_true(forage_play_best(play) == 1);
        assert_true(answer(play, i % 3 ? right : wrong) == (i % 3 ? 1 : 0));
    }
    assert_false(next_visit(play, &visit));
    forage_play_free(play);
    forage_environment_free(environment);
}

static void test_orders(void **state)
{
    json_t *golden, *seeds, *rows;
    const char *name = golden_table(&golden), *order, *seed;
    size_t checked = 0;
    (void)state;
    json_object_foreach(json_object_get(golden, "orders"), order, seeds)
    {
        json_object_foreach(seeds, seed, rows)
        {
            check_order(golden, name, order, strtoull(seed, NULL, 10), rows);
            checked++;
        }
    }
    assert_int_equal(checked, 6);
    json_decref(golden);
}

static void test_context(void **state)
{
    json_t *golden;
    const char *name = golden_table(&golden);
    const json_t *standard = json_object_get(golden, "standard");
    forage_environment *environment = open_environment(name, &(forage_environment_options){.scale = "standard"});
    forage_play *play = open_play(environment, 0);
    const forage_catalogue *catalogue = forage_environment_catalogue(environment);
    forage_visit visit;
    (void)state;
    assert_int_equal(catalogue->items, 2);
    assert_int_equal(catalogue->users, 0);
    assert_int_equal(catalogue->context->column_count, 4);
    assert_string_equal(item_id(environment, 0), "e");
    assert_int_equal(forage_environment_item_groups(environment), 2);
    assert_string_equal(forage_environment_item_group_name(environment, 1), "p");
    assert_int_equal(forage_environment_item_group(environment, 1), 1);
    assert_int_equal(forage_environment_user_groups(environment), 1);
    size_t missing = 0;
    for (size_t row = 0; next_visit(play, &visit); row++) {
        for (size_t c = 0; c < 3; c++) {
            const forage_column *column = &catalogue->context->columns[c];
            const json_t *expected = json_array_get(json_object_get(standard, column->name), row);
            assert_int_equal(column->type, FORAGE_NUMERIC);
            missing += json_is_null(expected);
            if (json_is_null(expected))
                assert_true(isnan(visit.request.values[c]));
            else
                assert_float_equal(visit.request.values[c], json_real_value(expected), 1e-5);
        }
        assert_int_equal(catalogue->context->columns[3].type, FORAGE_CATEGORICAL);
        assert_true(visit.request.codes[3] < 3);
    }
    assert_in_range(missing, 1, 20);
    forage_play_free(play);
    forage_environment_free(environment);
    json_decref(golden);
}

static void test_mushroom(void **state)
{
    json_t *golden, *expected;
    const char *name = golden_table(&golden), *seed;
    forage_environment *environment =
        open_environment(name, &(forage_environment_options){.rewards = "mushroom", .order = "numpy:1"});
    (void)state;
    assert_string_equal(item_id(environment, 0), "eat");
    assert_string_equal(item_id(environment, 1), "pass");
    json_object_foreach(json_object_get(golden, "mushroom"), seed, expected)
    {
        /* Two players of the same seed, one who eats always and one every other time, have the same luck. */
        forage_play *always = open_play(environment, strtoull(seed, NULL, 10));
        forage_play *sometimes = open_play(environment, strtoull(seed, NULL, 10));
        forage_visit visit;
        for (size_t i = 0; next_visit(always, &visit); i++) {
            const uint32_t eat = 0, pass = 1;
            double reward = json_real_value(json_array_get(json_object_get(expected, "eat"), i));
            assert_true(next_visit(sometimes, &visit));
            assert_true(forage_play_best(always) ==
                        json_real_value(json_array_get(json_object_get(expected, "best"), i)));
            assert_true(forage_play_value(always, &eat, 1) ==
                        json_real_value(json_array_get(json_object_get(expected, "eat_expected"), i)));
            assert_true(forage_play_value(always, &pass, 1) == 0);
            assert_true(answer(always, eat) == reward);
            assert_true(answer(sometimes, i % 2 ? eat : pass) == (i % 2 ? reward : 0));
        }
        forage_play_free(always);
        forage_play_free(sometimes);
    }
    forage_environment_free(environment);
    json_decref(golden);
}

/* A table of one's own: a lottery of three, an action that is not named earns 0. */
static void test_rewards_file(void **state)
{
    enum { VISITS = 20000 };
    static const char table[] = "actions: [a, b, c]\nlabels:\n"
                                "  one: {a: [{reward: 1, probability: 0.2}, {reward: 2, probability: 0.3},"
                                " {reward: -4, probability: 0.5}], b: 0.25}\n"
                                "  2: {c: -1}\n  unused: {}\n";
    char rewards[300];
    (void)state;
    snprintf(rewards, sizeof rewards, "%s", name_of("x", "rewards.yaml", table) + 2);
    forage_environment *environment =
        open_environment(name_of("classification", "t.data", "5 one\n6 2\n"),
                         &(forage_environment_options){.rewards = rewards, .order = "bootstrap", .visits = VISITS});
    forage_play *play = open_play(environment, 1);
    forage_visit visit;
    double sum = 0;
    size_t ones = 0;
    const uint32_t a = 0, b = 1, c = 2;
    while (next_visit(play, &visit)) {
        bool one = visit.request.values[0] == 5.0F;
        if (one) {
            assert_true(fabs(forage_play_value(play, &a, 1) - (0.2 + 0.6 - 2)) < 1e-12);
            assert_true(forage_play_value(play, &b, 1) == 0.25 && forage_play_value(play, &c, 1) == 0);
            assert_true(forage_play_best(play) == 0.25);
            sum += answer(play, a);
            ones++;
        } else {
            assert_true(forage_play_value(play, &c, 1) == -1 && forage_play_best(play) == 0);
            assert_true(answer(play, a) == 0);
        }
    }
    /* Standard deviations: of the mean 2.7 / sqrt(10000), of the count 71. */
    assert_true(fabs(sum / (double)ones + 1.2) < 0.12);
    assert_in_range(ones, VISITS / 2 - 350, VISITS / 2 + 350);
    forage_play_free(play);
    forage_environment_free(environment);
}

static void test_bad_tables(void **state)
{
    char rewards[300];
    const char *good = "1 a\n2 b\n";
    (void)state;
    assert_refused("classification:", NULL, "wants the name of a file");
    assert_refused("classification:/nowhere/at/all", NULL, "cannot be read");
    assert_refused(name_of("classification", "t.data", "1 a\n2 a\n"), NULL, "the only label is 'a'");
    assert_refused(name_of("classification", "t.data", good), &(forage_environment_options){.label = "x"},
                   "there is no such column");
    assert_refused(name_of("classification", "t.data", good), &(forage_environment_options){.order = "sorted"},
                   "there are file, numpy:SEED, random, bootstrap");
    assert_refused(name_of("classification", "t.data", good), &(forage_environment_options){.order = "numpy:x"},
                   "whole number");
    assert_refused(name_of("classification", "t.data", good), &(forage_environment_options){.visits = 3},
                   "3 visits, but the file has 2 rows");
    assert_refused(name_of("classification", "t.data", good), &(forage_environment_options){.scale = "some"},
                   "there are none, standard");
    assert_refused(name_of("classification", "t.data", good), &(forage_environment_options){.rewards = "mushroom"},
                   "the file's label 'a' is not in the table");
    static const struct {
        const char *text, *message;
    } tables[] = {
        {"actions: [x]\nlabels: {a: {}, b: {}}\n", "two actions"},
        {"actions: [x, x]\nlabels: {a: {}, b: {}}\n", "comes up twice"},
        {"actions: [x, y]\nlabels: {a: {z: 1}, b: {}}\n", "'z' is none of the actions"},
        {"actions: [x, y]\nlabels: {a: {x: [{reward: 1, probability: 0.4}]}, b: {}}\n", "sum to 0.4"},
        {"actions: [x, y]\nlabels: {a: {x: much}, b: {}}\n", "much"},
        {"actions: [x, y]\nlabels: {a: {x: []}, b: {}}\n", "x"},
        {"actions: [x, y]\n", "labels"},
        {"actions: [x, y]\nlabels: {a: 1, b: {}}\n", ""},
        {"actions: [x, y]\nlabels: {a: {}, b: {}}\nmore: 1\n", "more"},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        snprintf(rewards, sizeof rewards, "%s", name_of("x", "rewards.yaml", tables[i].text) + 2);
        assert_refused(name_of("classification", "t.data", good), &(forage_environment_options){.rewards = rewards},
                       tables[i].message);
    }
}

static void test_many_labels(void **state)
{
    static char text[5000 * 12];
    size_t used = 0;
    (void)state;
    for (int r = 0; r < 5000; r++)
        used += (size_t)snprintf(text + used, sizeof text - used, "1 %d\n", r);
    assert_refused(name_of("classification", "t.data", text), NULL, "is the label another column?");
    /* Labels are numbers in order of size here; a gap between them is no label. */
    forage_environment *environment = open_environment(name_of("classification", "t.data", "1 10\n1 9\n1 2\n"), NULL);
    assert_int_equal(forage_environment_catalogue(environment)->items, 3);
    assert_string_equal(item_id(environment, 0), "2");
    assert_string_equal(item_id(environment, 2), "10");
    forage_environment_free(environment);
}

/* ---- logs ---- */

static const char uniform_log[] = "user_id,item_id,clicked,propensity,position,timestamp,category\n"
                                  "u1,4,1,0.33333333,1,100,x\n"
                                  "u2,7,0,0.33333333,2,110,y\n"
                                  "u1,9,1,0.33333333,1,120,x\n"
                                  "u3,7,1,0.33333333,3,130,y\n";

static void test_replay(void **state)
{
    (void)state;
    forage_environment *environment = open_environment(name_of("replay", "log.csv", uniform_log), NULL);
    forage_play *play = open_play(environment, 0);
    const forage_catalogue *catalogue = forage_environment_catalogue(environment);
    forage_visit visit;
    size_t accepted_count = 0, visits = 0;
    assert_int_equal(forage_environment_kind_of(environment), FORAGE_ENVIRONMENT_REPLAY);
    assert_int_equal(catalogue->users, 3);
    assert_int_equal(catalogue->context->column_count, 1);
    assert_int_equal(catalogue->item_attributes->column_count, 1);
    uint32_t seven = forage_vocabulary_find(catalogue->item_ids, "7", 1);
    for (; next_visit(play, &visit); visits++) {
        const forage_feedback *feedback;
        size_t count;
        bool accepted;
        double earned;
        assert_int_equal(visit.request.candidate_count, 3); /* of ten numbers, three are items */
        assert_int_equal(visit.request.time, 100 + 10 * (int64_t)visits);
        assert_true(isnan(forage_play_best(play)) && isnan(forage_play_value(play, &seven, 1)));
        const uint32_t gap = 5;
        assert_int_equal(forage_play_answer(play, &gap, 1, &feedback, &count, &accepted, &earned, NULL),
                         FORAGE_INVALID); /* and the visit goes on */
        assert_int_equal(forage_play_answer(play, &seven, 1, &feedback, &count, &accepted, &earned, NULL), FORAGE_OK);
        assert_int_equal(accepted, visits == 1 || visits == 3);
        assert_int_equal(count, accepted ? 1 : 0);
        assert_int_equal(visit.logged_item == seven, accepted);
        if (accepted)
            assert_true(feedback[0].decision == visits && feedback[0].reward == (visits == 3 ? 1.0F : 0.0F));
        accepted_count += accepted;
    }
    assert_int_equal(visits, 4);
    assert_int_equal(accepted_count, 2);
    forage_play_free(play);
    forage_environment_free(environment);
}

static void test_log(void **state)
{
    (void)state;
    forage_environment *environment = open_environment(name_of("log", "log.csv", uniform_log), NULL);
    forage_play *play = open_play(environment, 0);
    forage_visit visit;
    static const char *const items[] = {"4", "7", "9", "7"};
    static const float rewards[] = {1, 0, 1, 1};
    size_t visits = 0;
    for (; next_visit(play, &visit); visits++) {
        const forage_feedback *feedback;
        size_t count;
        bool accepted;
        assert_string_equal(item_id(environment, visit.logged_item), items[visits]);
        assert_true(visit.logged_reward == rewards[visits] && visit.logged_propensity == 0.33333333F);
        assert_int_equal(forage_play_answer(play, &visit.logged_item, 1, &feedback, &count, &accepted, NULL, NULL),
                         FORAGE_OK);
        assert_false(accepted);
        assert_int_equal(count, 0);
    }
    assert_int_equal(visits, 4);
    forage_play_free(play);
    forage_environment_free(environment);
}

static void test_bad_logs(void **state)
{
    static const char plain[] = "item_id,clicked\n1,0\n2,1\n";
    (void)state;
    assert_refused(name_of("log", "log.csv", "item_id,when\n1,0\n2,1\n"), NULL, "has no rewards");
    assert_refused(name_of("replay", "log.csv", plain), NULL, "no propensities");
    forage_environment_free(
        open_environment(name_of("replay", "log.csv", plain), &(forage_environment_options){.uniform = true}));
    assert_refused(name_of("replay", "log.csv", "item_id,clicked,propensity\n1,0,0.5\n2,1,0.25\n"), NULL,
                   "each propensity would be 0.5, here they range from 0.25 to 0.5");
    assert_refused(name_of("replay", "log.csv", "item_id,clicked,propensity\n1,0,0.5\n2,1,0\n"), NULL,
                   "is not a probability in (0, 1]");
    assert_refused(name_of("replay", "log.csv", "item_id,clicked,propensity\n1,0,1\n1,1,1\n"), NULL, "one item only");
}

/* Every allocation fails once: an error, and nothing is left (the leak checker would say so). */
static void check_allocation(const char *name, const forage_environment_options *options)
{
    forage_environment *environment;
    forage_play *play;
    for (uint64_t nth = 1;; nth++) {
        forage_error error = {0};
        forage_alloc_fail_at(nth);
        forage_status status = forage_environment_open(name, options, &environment, &error);
        bool opened = status == FORAGE_OK;
        if (opened)
            status = forage_play_create(environment, 1, &play, &error);
        forage_alloc_fail_at(0);
        if (opened && status == FORAGE_OK)
            forage_play_free(play);
        if (opened)
            forage_environment_free(environment);
        if (status == FORAGE_OK) {
            assert_true(nth > 20);
            return;
        }
        assert_int_equal(status, FORAGE_NO_MEMORY);
    }
}

static void test_allocation(void **state)
{
    (void)state;
    const char *table = "5 x e\n6 y p\n7 x e\n";
    check_allocation(name_of("classification", "t.data", table), &(forage_environment_options){.order = "random"});
    check_allocation(name_of("classification", "t.data", table),
                     &(forage_environment_options){.order = "numpy:1", .rewards = "mushroom"});
    check_allocation(name_of("replay", "log.csv", uniform_log), &(forage_environment_options){0});
    check_allocation(name_of("log", "log.csv", uniform_log), &(forage_environment_options){0});
}

/* The Open Bandit Dataset ($FORAGE_DATA; skipped where it is absent): its random part can be replayed, the other not.
 */
static void test_open_bandit(void **state)
{
    char path[512];
    const char *data = getenv("FORAGE_DATA");
    (void)state;
    if (!data)
        data = "../shared/data";
    snprintf(path, sizeof path, "replay:%s/obd/random/men/men.csv", data);
    if (access(path + 7, R_OK) != 0)
        return; /* skipped: cmocka's skip() would count as a failure */
    forage_environment *environment = open_environment(path, NULL);
    assert_int_equal(forage_environment_catalogue(environment)->items, 34);
    assert_int_equal(forage_environment_visits(environment), 10000);
    forage_environment_free(environment);
    snprintf(path, sizeof path, "replay:%s/obd/bts/men/men.csv", data);
    assert_refused(path, NULL, "rejection wants a log of uniformly chosen items");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),       cmocka_unit_test(test_context),     cmocka_unit_test(test_mushroom),
        cmocka_unit_test(test_rewards_file), cmocka_unit_test(test_bad_tables),  cmocka_unit_test(test_many_labels),
        cmocka_unit_test(test_replay),       cmocka_unit_test(test_log),         cmocka_unit_test(test_bad_logs),
        cmocka_unit_test(test_allocation),   cmocka_unit_test(test_open_bandit),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
