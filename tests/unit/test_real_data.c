/*
 * data: real logs, as their publishers wrote them ($FORAGE_DATA; skipped where it is absent).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/data.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *data_path(const char *name)
{
    static char paths[4][512];
    static int next;
    const char *folder = getenv("FORAGE_DATA");
    char *path = paths[next++ % 4];
    snprintf(path, sizeof *paths, "%s/%s", folder ? folder : "../shared/data", name);
    return path;
}

static forage_dataset *load(const char *name, const forage_read_options *options)
{
    forage_dataset *log = NULL;
    forage_error error = {0};
    if (forage_dataset_load(data_path(name), options, NULL, &log, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    assert_int_equal(forage_dataset_validate(log, NULL), FORAGE_OK);
    return log;
}

static size_t known_count(const forage_vocabulary *ids, const uint8_t *known)
{
    size_t count = 0;
    for (size_t i = 0; i < forage_vocabulary_count(ids); i++)
        count += !known || known[i];
    return count;
}

/* The Open Bandit Dataset: no users, an index without a name, times with a zone, a second file of items. */
static void test_open_bandit(void **state)
{
    (void)state;
    char name[64], items[64];
    static const char *const policies[] = {"random", "bts"}, *const campaigns[] = {"men", "women"};
    for (int i = 0; i < 4; i++) {
        const char *policy = policies[i / 2], *campaign = campaigns[i % 2];
        size_t item_count = i % 2 ? 46 : 34;
        snprintf(name, sizeof name, "obd/%s/%s/%s.csv", policy, campaign, campaign);
        snprintf(items, sizeof items, "obd/%s/%s/item_context.csv", policy, campaign);
        const forage_read_options options = {.item_attributes = data_path(items)};
        forage_dataset *log = load(name, &options);
        assert_int_equal(log->count, 10000);
        assert_null(log->users);
        assert_int_equal(forage_vocabulary_count(log->items), item_count);
        assert_true(forage_vocabulary_numbered(log->items));
        assert_string_equal(log->value_name, "click");
        assert_string_equal(log->propensity_name, "propensity_score");
        assert_true(log->time_is_calendar);
        double propensity = 0.0;
        for (size_t r = 0; r < log->count; r++)
            propensity += log->propensity[r];
        if (i < 2)
            assert_true(fabs(propensity / 10000.0 - 1.0 / (double)item_count) < 1e-6);
        assert_int_equal(log->context.column_count, 1 + 4 + item_count);
        const forage_column *position = forage_table_find(&log->context, "position");
        assert_int_equal(position->type, FORAGE_CATEGORICAL);
        assert_int_equal(forage_vocabulary_count(position->vocabulary), 3);
        assert_int_equal(forage_table_find(&log->context, "user-item_affinity_7")->type, FORAGE_NUMERIC);
        assert_int_equal(log->item_attributes.column_count, 4);
        assert_int_equal(forage_table_find(&log->item_attributes, "item_feature_0")->type, FORAGE_NUMERIC);
        assert_int_equal(forage_table_find(&log->item_attributes, "item_feature_3")->type, FORAGE_CATEGORICAL);
        forage_dataset_free(log);
    }
    forage_dataset *log = load("obd/random/men/men.csv", NULL);
    assert_int_equal(log->time[0], 1574553793442536);
    assert_int_equal(log->item[0], 14);
    forage_dataset_free(log);
}

static void test_lists(void **state)
{
    (void)state;
    const forage_read_options options = {.test = data_path("gowalla/test.txt")};
    forage_dataset *log = load("gowalla/train.txt", &options);
    assert_int_equal(log->train_rows, 810128);
    assert_int_equal(log->test_rows, 217242);
    assert_int_equal(forage_vocabulary_count(log->users), 29858);
    assert_int_equal(forage_vocabulary_count(log->items), 40981);
    assert_int_equal(log->user[log->count - 1], 29857);
    forage_dataset_free(log);

    static const struct {
        const char *name;
        size_t rows, users, items, three_or_more;
    } pairs[] = {{"seq/beauty/beauty.txt", 353962, 40226, 54542, 40226},
                 {"seq/video/Video.txt", 287107, 31013, 23715, 30901}};
    for (int i = 0; i < 2; i++) {
        log = load(pairs[i].name, NULL);
        forage_split split;
        assert_int_equal(log->count, pairs[i].rows);
        assert_int_equal(known_count(log->users, log->user_known), pairs[i].users);
        assert_int_equal(known_count(log->items, log->item_known), pairs[i].items);
        assert_int_equal(forage_split_parse("leave-last-out", log, &split, NULL), FORAGE_OK);
        assert_int_equal(split.test_count, pairs[i].three_or_more);
        assert_int_equal(split.validation_count, pairs[i].three_or_more);
        forage_split_release(&split);
        forage_dataset_free(log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_open_bandit), cmocka_unit_test(test_lists)};
    if (access(data_path("obd/random/men/men.csv"), R_OK) != 0) {
        printf("1..0 # SKIP no real data in $FORAGE_DATA\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
