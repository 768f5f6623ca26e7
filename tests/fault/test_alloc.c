/*
 * Every allocation of the library fails, one after the other: each piece of
 * work must then end with "not enough memory" and a message, and leave nothing
 * behind (the address sanitizer's run of this test finds leaks).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/forage-alloc-XXXXXX";

/* The path of a file in the test's folder; valid for the next 1000 calls. */
static const char *in_folder(const char *name)
{
    static char paths[1000][256];
    static unsigned next;
    char *path = paths[next++ % 1000];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *make_file(const char *name, const char *text)
{
    const char *path = in_folder(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

typedef forage_status job(void *context, forage_error *error);

/* Runs the job with the first allocation failing, the second ... until it
 * needs no more of them; beyond the first hundred, in growing steps. */
static void sweep(job *work, void *context)
{
    for (uint64_t nth = 1;; nth += 1 + (nth > 100 ? nth / 20 : 0)) {
        forage_error error = {0};
        forage_alloc_fail_at(nth);
        forage_status status = work(context, &error);
        uint64_t asked = forage_alloc_fail_at(0);
        if (asked < nth) {
            if (status != FORAGE_OK)
                print_error("without a failure: %s\n", error.message);
            assert_int_equal(status, FORAGE_OK);
            assert_true(nth > 1);
            return;
        }
        /* What can be done without the block may be done. */
        if (status == FORAGE_OK)
            continue;
        if (status != FORAGE_NO_MEMORY || !error.message[0])
            print_error("allocation %llu: %s: '%s'\n", (unsigned long long)nth, forage_status_name(status),
                        error.message);
        assert_int_equal(status, FORAGE_NO_MEMORY);
        assert_int_equal(error.status, FORAGE_NO_MEMORY);
        assert_true(error.message[0] != '\0');
        assert_true(nth < 10000000);
    }
}

/* ---- base ---- */

static forage_status vocabulary_of(bool numbers, forage_error *error)
{
    forage_vocabulary *vocabulary = NULL;
    uint32_t *map = NULL;
    forage_status status = forage_vocabulary_create(&vocabulary, error);
    for (int i = 0; i < 3000 && status == FORAGE_OK; i++) {
        char id[32];
        uint32_t index;
        int length = snprintf(id, sizeof id, numbers ? "%d" : "item %d", (i * 7) % 2000);
        status = forage_vocabulary_add(vocabulary, id, (size_t)length, &index, error);
    }
    if (status == FORAGE_OK)
        status = forage_vocabulary_number(vocabulary, &map, error);
    forage_free(map);
    forage_vocabulary_free(vocabulary);
    return status;
}

static forage_status vocabulary_job(void *context, forage_error *error)
{
    return vocabulary_of(*(bool *)context, error);
}

static void test_vocabulary(void **state)
{
    (void)state;
    for (int numbers = 0; numbers < 2; numbers++) {
        bool flag = numbers != 0;
        sweep(vocabulary_job, &flag);
    }
}

static forage_status file_job(void *context, forage_error *error)
{
    (void)context;
    char path[256], *bytes = NULL;
    size_t size = 0;
    forage_output *output = NULL;
    snprintf(path, sizeof path, "%s/file", folder);
    unlink(path);
    FORAGE_TRY(forage_output_open(path, &output, error));
    forage_status status = forage_output_print(output, error, "%2000d\n", 1);
    forage_status end = forage_output_commit(output, status == FORAGE_OK ? error : NULL);
    if (status == FORAGE_OK)
        status = end;
    if (status == FORAGE_OK)
        status = forage_read_file(path, 1 << 20, &bytes, &size, error);
    else
        assert_int_not_equal(access(path, F_OK), 0);
    forage_free(bytes);
    return status;
}

static void test_files(void **state)
{
    (void)state;
    sweep(file_job, NULL);
}

/* ---- data and sim ---- */

static forage_status scenario_job(void *context, forage_error *error)
{
    const char *const *paths = context;
    forage_scenario scenario;
    forage_simulator *shop = NULL;
    forage_dataset *log = NULL;
    uint32_t item;
    FORAGE_TRY(forage_scenario_load(paths[0], &scenario, error));
    forage_status status = forage_simulator_create(&scenario, NULL, &shop, error);
    if (status == FORAGE_OK)
        status = forage_simulator_add_item(shop, 0, &item, error);
    if (status == FORAGE_OK)
        status = forage_simulator_dataset(shop, 500, NULL, &log, error);
    if (status == FORAGE_OK)
        status = forage_simulator_write_log(shop, 500, paths[1], NULL, NULL, error);
    if (status == FORAGE_OK)
        status = forage_simulator_write_catalogue(shop, paths[1], error);
    forage_dataset_free(log);
    forage_simulator_free(shop);
    forage_scenario_release(&scenario);
    return status;
}

static void test_simulator(void **state)
{
    (void)state;
    const char *text = "name: shop\nseed: 1\nproducts: 7\nusers: 9\ninteractions: 10\ncategories: [a, b]\n"
                       "personas:\n  one: {a: 0.5}\n  two: {a: 0.1, b: 0.2}\ndefault_rate: 0.1\n";
    const char *built_in[] = {"petshop", in_folder("log.csv")};
    sweep(scenario_job, built_in);
    const char *own[] = {make_file("shop.yaml", text), in_folder("log.csv")};
    sweep(scenario_job, own);
}

typedef struct log_task {
    forage_read_options options;
    const char *input, *output, *population;
    const char *split;
} log_task;

static forage_status log_job(void *context, forage_error *error)
{
    const log_task *task = context;
    forage_dataset *log = NULL;
    forage_split split = {0};
    forage_summary summary = {0};
    forage_convert_target target = {.output = task->output, .population = task->population};
    FORAGE_TRY(forage_dataset_load(task->input, &task->options, NULL, &log, error));
    forage_status status = forage_split_parse(task->split, log, &split, error);
    if (status == FORAGE_OK)
        status = forage_convert(task->input, &task->options, &target, NULL, &summary, error);
    forage_summary_release(&summary);
    forage_split_release(&split);
    forage_dataset_free(log);
    return status;
}

static void test_logs(void **state)
{
    (void)state;
    const char *csv = make_file("a.csv", "user_id,item_id,rating,timestamp,category,age,price\n"
                                         "anna,\"a, b\",1,2024-01-01,toy,30,1.5\nben,c,0,2024-01-02,food,,2\n"
                                         "anna,c,1,2024-01-03,food,30,2\nanna,d,0,2024-01-04,,30,\n");
    sweep(log_job, &(log_task){.input = csv,
                               .output = in_folder("out.csv"),
                               .population = in_folder("users.csv"),
                               .split = "leave-last-out"});
    sweep(log_job, &(log_task){.input = csv, .output = in_folder("out.inter"), .split = "time:0.25"});
    const char *jsonl = make_file("b.jsonl", "{\"user_id\": \"x\", \"item_id\": \"1\", \"clicked\": 1}\n"
                                             "{\"user_id\": \"y\\u00e9\", \"item_id\": \"2\", \"clicked\": 0}\n");
    sweep(log_job, &(log_task){.input = jsonl, .output = in_folder("out.jsonl"), .split = "sklearn:1:42"});
    const char *pairs = make_file("c.txt", "1 2\n1 3\n2 3\n1 4\n2 5\n2 6\n");
    sweep(log_job, &(log_task){.options.format = FORAGE_FILE_PAIRS,
                               .input = pairs,
                               .output = in_folder("out.tsv"),
                               .split = "random:0.2:1"});
    const char *lists = make_file("d.txt", "0 1 2 3\n1 2\n2 0 3\n");
    sweep(log_job, &(log_task){.options.format = FORAGE_FILE_ADJACENCY,
                               .options.test = lists,
                               .input = lists,
                               .output = in_folder("out.csv"),
                               .split = "files"});
    const char *recbole = make_file("e.inter", "user_id:token\titem_id:token\trating:float\nu\ti\t1\nv\tj\t0\n");
    make_file("e.item", "item_id:token\tclass:token_seq\ni\tx y\nj\tz\n");
    sweep(log_job, &(log_task){.input = recbole, .output = in_folder("out.csv"), .split = "none"});
}

/* ---- eval ---- */

static forage_status metrics_job(void *context, forage_error *error)
{
    static const float prediction[] = {0.1F, 0.7F, 0.4F, 0.6F, 0.9F, 0.2F}, label[] = {0, 1, 1, 0, 1, 0};
    static const uint32_t group[] = {0, 0, 1, 1, 2, 2};
    forage_predictions in = {
        .count = 6, .prediction = prediction, .label = label, .group = group, .truth = prediction, .probability = true};
    forage_metrics_options options = {.bins = 3, .bootstrap = {.resamples = 20, .by_group = true}, .threads = 2};
    forage_metrics metrics;
    double auc;
    (void)context;
    FORAGE_TRY(forage_metrics_compute(&in, &options, &metrics, error));
    return forage_auc(prediction, label, 6, &auc, error);
}

static void test_metrics(void **state)
{
    (void)state;
    sweep(metrics_job, NULL);
}

/* ---- model, eval and report together ---- */

static forage_status report_job(void *context, forage_error *error)
{
    const char *name = context;
    const forage_model_info *info = NULL;
    forage_params *params = NULL;
    forage_dataset *log = NULL;
    forage_split split = {0};
    forage_log_study study = {0};
    forage_report_result result = {0};
    char *text = NULL;
    forage_report_options page = {.folder = in_folder("report"), .gnuplot = "no-gnuplot"};
    FORAGE_TRY(forage_model_find(name, &info, error));
    forage_status status = forage_params_create(&info->table, &params, error);
    if (status == FORAGE_OK && forage_params_text(params, "epochs"))
        status = forage_params_set(params, "epochs", "1", error);
    if (status == FORAGE_OK)
        status = forage_dataset_load(in_folder("study.csv"), NULL, NULL, &log, error);
    if (status == FORAGE_OK)
        status = forage_split_parse("tail:0.25", log, &split, error);
    forage_log_study_options options = {
        .params = params, .fit = {.fields = "all"}, .ranking_cutoff = 2, .bootstrap = {.resamples = 5}};
    if (status == FORAGE_OK)
        status = forage_log_study_run(info, log, &split, &options, &study, error);
    if (status == FORAGE_OK)
        status = forage_log_study_write(&study, &page, &result, error);
    if (status == FORAGE_OK)
        status = forage_log_study_text(&study, NULL, &text, error);
    forage_free(text);
    forage_log_study_release(&study);
    forage_split_release(&split);
    forage_dataset_free(log);
    forage_params_free(params);
    return status;
}

static void test_reports(void **state)
{
    (void)state;
    make_file("study.csv", "user_id,item_id,clicked,position,price\na,x,1,1,2.5\nb,y,0,2,1\na,y,0,1,1\n"
                           "b,x,1,2,2.5\na,z,1,1,3\nb,z,0,2,3\na,x,0,2,2.5\nb,y,1,1,1\n");
    sweep(report_job, (void *)(uintptr_t) "popular");
    sweep(report_job, (void *)(uintptr_t) "embedding-mlp");
    sweep(report_job, (void *)(uintptr_t) "bst");
}

/* ---- vectors ---- */

static forage_status vectors_job(void *context, forage_error *error)
{
    const forage_model_info *info = NULL;
    forage_dataset *log = NULL;
    forage_split split = {0};
    forage_model *model = NULL;
    forage_binding *binding = NULL;
    uint32_t items[2];
    float scores[2];
    size_t found;
    (void)context;
    FORAGE_TRY(forage_model_find("embedding-mlp", &info, error));
    forage_status status = forage_dataset_load(in_folder("study.csv"), NULL, NULL, &log, error);
    if (status == FORAGE_OK)
        status = forage_split_parse("none", log, &split, error);
    if (status == FORAGE_OK)
        status = forage_model_fit(info, NULL, log, &split, NULL, NULL, &model, error);
    if (status == FORAGE_OK)
        status = forage_model_export_embeddings(model, in_folder("vectors.npz"), error);
    if (status == FORAGE_OK)
        status = forage_model_export_embeddings(model, in_folder("vectors.safetensors"), error);
    if (status == FORAGE_OK)
        status = forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, error);
    if (status == FORAGE_OK)
        status = forage_model_similar(binding, FORAGE_OF_ITEM, 0, 2, NULL, 0, items, scores, &found, error);
    forage_binding_free(binding);
    forage_model_free(model);
    forage_split_release(&split);
    forage_dataset_free(log);
    return status;
}

static void test_vectors(void **state)
{
    (void)state;
    sweep(vectors_job, NULL);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts, (void)kind, (void)place;
    return remove(path);
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vocabulary), cmocka_unit_test(test_files),   cmocka_unit_test(test_simulator),
        cmocka_unit_test(test_logs),       cmocka_unit_test(test_metrics), cmocka_unit_test(test_reports),
        cmocka_unit_test(test_vectors),
    };
    return cmocka_run_group_tests_name("alloc", tests, make_folder, remove_folder);
}
