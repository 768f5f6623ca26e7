/*
 * Floors of the models that read histories: the next item on real sequences ($FORAGE_DATA; passed over where it is
 * absent), and clicks of users that nobody has seen, and of sessions, in simulated shops where the best that can be
 * expected is known. Small sizes: what the models reach in full is in docs/models/.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../must.h"
#include "forage/forage.h"

static void at_least(const char *what, double value, double floor)
{
    if (!(value >= floor))
        fail_msg("%s: %.5f is below %.5f", what, value, floor);
}

static void at_most(const char *what, double value, double ceiling)
{
    if (!(value <= ceiling))
        fail_msg("%s: %.5f is above %.5f", what, value, ceiling);
}

/* ---- the next item ---- */

/* Every ninth user of Amazon Video Games, in the order of the file: lines "user item". NULL where it is absent. */
static forage_dataset *ninth_of_video(void)
{
    const char *folder = getenv("FORAGE_DATA");
    char path[4096], part[64];
    forage_dataset *dataset;
    forage_error error = {0};
    char user[24], item[24];
    uint64_t number;
    (void)snprintf(path, sizeof path, "%s/seq/video/Video.txt", folder ? folder : "../shared/data");
    FILE *from = fopen(path, "r");
    if (!from)
        return NULL;
    (void)snprintf(part, sizeof part, "test_sequences.%ld.txt", (long)getpid());
    FILE *to = fopen(part, "w");
    assert_non_null(to);
    while (fscanf(from, "%23s %23s", user, item) == 2) {
        if (forage_parse_u64(user, strlen(user), &number) && number % 9 == 0)
            (void)fprintf(to, "u%s i%s\n", user, item);
    }
    (void)fclose(from);
    assert_int_equal(fclose(to), 0);
    const forage_read_options options = {.format = FORAGE_FILE_PAIRS};
    must(forage_dataset_load(part, &options, NULL, &dataset, &error), &error);
    (void)remove(part);
    return dataset;
}

/* NDCG@10 of the second-last items, after so many epochs. */
static double validated(const forage_dataset *dataset, const char *const (*settings)[2], size_t count)
{
    const forage_model_info *info;
    forage_params *params;
    forage_split split;
    forage_fit_report report = {0};
    forage_model *model;
    forage_error error = {0};
    must(forage_model_find("sasrec", &info, &error), &error);
    must(forage_params_create(&info->table, &params, &error), &error);
    for (size_t i = 0; i < count; i++)
        must(forage_params_set(params, settings[i][0], settings[i][1], &error), &error);
    must(forage_split_parse("leave-last-out", dataset, &split, &error), &error);
    must(forage_model_fit(info, params, dataset, &split, NULL, &report, &model, &error), &error);
    double metric = report.epochs[report.best_epoch - 1].validation_metric;
    printf("# sasrec: NDCG@10 %.4f after epoch %zu of %zu, %.1f s\n", metric, report.best_epoch, report.epoch_count,
           report.seconds);
    forage_fit_report_release(&report);
    forage_split_release(&split);
    forage_params_free(params);
    forage_model_free(model);
    return metric;
}

/* Reached: 0.0370. With a mask that lets positions see what comes after them it is 0.023, the training loss lower all
 * the while; where the last item is all that is seen (max-length 1), 0.022. What these sequences hardly tell: attention
 * that weighs all items alike reaches 0.037, places that say nothing 0.033; those are for the tests against PyTorch to
 * find. */
static void test_next_item(void **state)
{
    static const char *const settings[][2] = {
        {"max-length", "50"}, {"epochs", "8"}, {"learning-rate", "0.004"}, {"batch-size", "16"}, {"dropout", "0.4"}};
    (void)state;
    forage_dataset *dataset = ninth_of_video();
    if (!dataset)
        return; /* skipped: cmocka's skip() would count as a failure */
    at_least("NDCG@10", validated(dataset, settings, sizeof settings / sizeof settings[0]), 0.031);
    forage_dataset_free(dataset);
}

/* ---- clicks ---- */

enum { VISITS = 60000 };

static forage_chapter3 chapter;

static int play(void **state)
{
    forage_error error = {0};
    const forage_chapter3_options options = {.visits = VISITS, .seeds = 1};
    (void)state;
    must(forage_chapter3_run(&options, &chapter, &error), &error);
    printf("# chapter 3 of %d visits: %.1f s\n", VISITS, chapter.seconds);
    return 0;
}

static int release(void **state)
{
    (void)state;
    forage_chapter3_release(&chapter);
    return 0;
}

static const forage_predictor *predictor(const forage_predictor_table *table, const char *name)
{
    for (size_t a = 0; a < table->predictor_count; a++) {
        if (strcmp(table->predictors[a].name, name) == 0)
            return &table->predictors[a];
    }
    fail_msg("nobody is called %s", name);
    return NULL;
}

static void print_table(const char *what, const forage_predictor_table *table)
{
    for (size_t a = 0; a < table->predictor_count; a++) {
        const forage_predictor *one = &table->predictors[a];
        printf("# %s, %s: log loss %.4f, %.2f %% above bayes, %.2f %% late; %.4f behind bst; AUC %.4f\n", what,
               one->name, one->loss.value, 100 * one->more.value, 100 * one->late.value, one->loss_behind.value,
               one->auc.value);
    }
}

/* `bayes` knows the personas; the models have seen VISITS visits of other users. Reached: 1.2 % above it (the bag 3.1
 * %, who knows no history 20 %). With attention that weighs all events alike it is 11 % at half the visits, 4 % as it
 * is. */
static void test_strangers(void **state)
{
    const forage_predictor_table *table = &chapter.users.table;
    (void)state;
    print_table("strangers", table);
    at_most("log loss above bayes", predictor(table, "bst")->more.value, 0.03);
}

/* What somebody wants now is told by the last clicks, not by all of them. Reached: the bag is 0.073 behind, bst 3.5 %
 * above bayes. With attention that weighs all events alike bst is, at half the visits, 0.006 behind the bag. */
static void test_intents(void **state)
{
    const forage_predictor_table *table = &chapter.sessions[FORAGE_CHAPTER3_INTENTS].table;
    (void)state;
    print_table("intents", table);
    print_table("steady", &chapter.sessions[FORAGE_CHAPTER3_STEADY].table);
    at_least("log loss that the bag is behind", predictor(table, "bag of history")->loss_behind.value, 0.04);
    at_most("log loss above bayes", predictor(table, "bst")->more.value, 0.06);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_item),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_intents),
    };
    return cmocka_run_group_tests_name("sequences", tests, play, release);
}
