/*
 * Rankings of real data: popularity on the LightGCN split of Gowalla. Skipped where the data are not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "forage/forage.h"

static char train[4096], test_file[4096];

static void assert_close(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

/* Popularity on the LightGCN split of Gowalla; the numbers are those of tests/golden/gowalla_popular.py. */
static void test_gowalla(void **state)
{
    (void)state;
    forage_read_options read = {.test = test_file};
    forage_dataset *dataset;
    forage_split split;
    forage_model *model;
    forage_binding *binding;
    const forage_model_info *popular;
    forage_seen seen, test;
    assert_int_equal(forage_dataset_load(train, &read, NULL, &dataset, NULL), FORAGE_OK);
    assert_int_equal(forage_split_parse("files", dataset, &split, NULL), FORAGE_OK);
    assert_int_equal(forage_model_find("popular", &popular, NULL), FORAGE_OK);
    assert_int_equal(forage_model_fit(popular, NULL, dataset, &split, NULL, NULL, &model, NULL), FORAGE_OK);
    assert_int_equal(forage_model_bind(model, dataset, FORAGE_UNKNOWN_ERROR, NULL, &binding, NULL), FORAGE_OK);
    assert_int_equal(forage_seen_create(dataset, split.train, split.train_count, false, &seen, NULL), FORAGE_OK);
    assert_int_equal(forage_seen_create(dataset, split.test, split.test_count, false, &test, NULL), FORAGE_OK);
    size_t cutoffs[] = {20};
    forage_ranking_task task = {.seen = &seen, .test = &test, .items = forage_vocabulary_count(dataset->items)};
    forage_ranking_options options = {.cutoffs = cutoffs, .cutoff_count = 1, .threads = 2};
    forage_ranking_metrics got;
    assert_int_equal(forage_ranking_of_model(binding, &task, &options, &got, NULL), FORAGE_OK);
    assert_int_equal(got.users, 29858);
    assert_close(got.recall.value, 0.04163098, 5e-9);
    assert_close(got.ndcg.value, 0.03168993, 5e-9);
    assert_close(got.precision.value, 0.01388070, 5e-9);
    assert_close(got.mrr.value, 0.06383155, 5e-9);
    assert_close(got.hit_rate.value, 0.20383147, 5e-9);
    assert_int_equal(got.distinct, 37);
    forage_seen_release(&seen);
    forage_seen_release(&test);
    forage_binding_free(binding);
    forage_model_free(model);
    forage_split_release(&split);
    forage_dataset_free(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gowalla)};
    const char *folder = getenv("FORAGE_DATA");
    snprintf(train, sizeof train, "%s/gowalla/train.txt", folder ? folder : "../shared/data");
    snprintf(test_file, sizeof test_file, "%s/gowalla/test.txt", folder ? folder : "../shared/data");
    FILE *there = fopen(train, "r");
    if (!there) {
        printf("1..0 # SKIP no %s\n", train);
        return 0;
    }
    fclose(there);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
