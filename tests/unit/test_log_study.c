/*
 * A log of one's own: what is counted and judged, and the page made of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check_markup.h"
#include "forage/forage.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROWS = 4000, ITEMS = 40 };

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Clicks are likelier at position 1 and on item 3; one position has a hostile name. */
static void write_log(const char *path, bool values, bool users)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    forage_rng rng;
    forage_rng_seed(&rng, 5);
    fprintf(file, "%sitem_id%s,position\n", users ? "user_id," : "", values ? ",click" : "");
    for (int row = 0; row < ROWS; ++row) {
        unsigned item = (unsigned)forage_rng_integers(&rng, ITEMS), position = (unsigned)forage_rng_integers(&rng, 3);
        bool click = forage_rng_double(&rng) < 0.1 + 0.3 * (position == 0) + 0.3 * (item == 3);
        if (users)
            fprintf(file, "u%u,", (unsigned)forage_rng_integers(&rng, 100));
        fprintf(file, "i%u", item);
        if (values)
            fprintf(file, ",%d", click);
        fprintf(file, ",%s\n", position == 0 ? "top" : position == 1 ? "<b>&'mid" : "low");
    }
    fclose(file);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "log-study-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : -1;
}

static void run_study(const char *model, bool values, bool users, const char *split_text, forage_log_study *study)
{
    forage_error error = {0};
    forage_dataset *dataset = NULL;
    forage_split split = {0};
    const forage_model_info *info = NULL;
    forage_params *params = NULL;
    write_log(in_folder("log.csv"), values, users);
    if (forage_dataset_load(in_folder("log.csv"), NULL, NULL, &dataset, &error) != FORAGE_OK ||
        forage_split_parse(split_text, dataset, &split, &error) != FORAGE_OK ||
        forage_model_find(model, &info, &error) != FORAGE_OK ||
        forage_params_create(&info->table, &params, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    forage_log_study_options options = {.source = "log<.csv",
                                        .split_name = split_text,
                                        .params = params,
                                        .fit = {.fields = "all"},
                                        .bootstrap = {.resamples = 50}};
    if (forage_log_study_run(info, dataset, &split, &options, study, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    forage_params_free(params);
    forage_split_release(&split);
    forage_dataset_free(dataset);
}

static void test_rates(void **state)
{
    (void)state;
    forage_log_study study;
    run_study("embedding-mlp", true, false, "tail:0.25", &study);
    assert_int_equal(study.rows, ROWS);
    assert_int_equal(study.items, ITEMS);
    assert_int_equal(study.users, 0);
    assert_string_equal(study.part, "validation");
    assert_true(study.has_metrics);
    assert_false(study.has_ranking);
    assert_true(study.metrics.auc.value > 0.65);
    assert_int_equal(study.metrics.count, ROWS / 4);
    assert_true(study.training.base_validation > study.metrics.log_loss.value);
    assert_int_equal(study.breakdown_count, 1);
    const forage_log_breakdown *positions = &study.breakdowns[0];
    assert_int_equal(positions->count, 3);
    size_t rows = 0, positives = 0;
    for (size_t g = 0; g < 3; ++g) {
        const forage_log_group *group = &positions->groups[g];
        rows += group->rows;
        positives += group->positives;
        assert_true(group->observed.low < group->observed.value && group->observed.value < group->observed.high);
        assert_true(fabs(group->predicted - group->observed.value) < 0.08);
    }
    assert_int_equal(rows, study.rows);
    assert_int_equal(positives, study.positives);
    assert_string_equal(study.items_by_prediction.groups[0].name, "i3");
    forage_log_study_release(&study);
}

static void test_page(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; ++kind) {
        forage_log_study study;
        run_study(kind == 0 ? "embedding-mlp" : "popular", kind<2, kind> 0, kind == 2 ? "leave-last-out" : "random:0.2",
                  &study);
        for (int drawn = 0; drawn < 2; ++drawn) {
            forage_report_options options = {.folder = folder, .gnuplot = drawn ? NULL : "no-such-gnuplot"};
            forage_report_result result;
            forage_error error = {0};
            if (forage_log_study_write(&study, &options, &result, &error) != FORAGE_OK)
                fail_msg("%s", error.message);
            char *html, *text;
            size_t size;
            assert_int_equal(forage_read_file(in_folder("index.html"), 1 << 24, &html, &size, &error), FORAGE_OK);
            assert_string_equal(markup_fault(html), "");
            assert_non_null(strstr(html, "&lt;b&gt;&amp;&#39;mid"));
            assert_null(strstr(html, "<b>&'mid"));
            forage_free(html);
            assert_int_equal(forage_log_study_text(&study, NULL, &text, &error), FORAGE_OK);
            forage_free(text);
            assert_int_equal(forage_log_study_json(&study, &text, &error), FORAGE_OK);
            json_t *object = json_loads(text, 0, NULL);
            assert_non_null(object);
            assert_int_equal(json_integer_value(json_object_get(object, "rows")), ROWS);
            assert_int_equal(json_is_object(json_object_get(object, "ranking")), kind > 0);
            json_decref(object);
            forage_free(text);
        }
        forage_log_study_release(&study);
    }
}

static void test_empty(void **state)
{
    (void)state;
    forage_dataset *dataset;
    const forage_split split = {0};
    const forage_model_info *info;
    const forage_log_study_options options = {0};
    forage_log_study study;
    forage_error error = {0};
    assert_int_equal(forage_dataset_create(&dataset, &error), FORAGE_OK);
    assert_int_equal(forage_model_find("popular", &info, &error), FORAGE_OK);
    assert_int_equal(forage_log_study_run(info, dataset, &split, &options, &study, &error), FORAGE_INVALID);
    forage_log_study_release(&study);
    forage_dataset_free(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_page, setup, teardown),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
