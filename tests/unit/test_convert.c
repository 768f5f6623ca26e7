/*
 * data: JSON Lines, writers, conversion there and back, what happens when memory runs out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/forage-convert-XXXXXX";

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

static const char *path_of(const char *name)
{
    static char paths[32][256];
    static int next;
    char *path = paths[next++ % 32];
    snprintf(path, sizeof *paths, "%s/%s", folder, name);
    return path;
}

static const char *file_of(const char *name, const char *text)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    return path;
}

static void assert_file(const char *path, const char *expected)
{
    char *bytes = NULL;
    size_t size;
    assert_int_equal(forage_read_file(path, 1 << 20, &bytes, &size, NULL), FORAGE_OK);
    assert_string_equal(bytes, expected);
    forage_free(bytes);
}

static forage_summary convert(const char *input, const forage_read_options *options, forage_convert_target target)
{
    forage_summary summary;
    forage_error error = {0};
    if (forage_convert(input, options, &target, NULL, &summary, &error) != FORAGE_OK) {
        char message[1000];
        forage_error_text(&error, message, sizeof message);
        fail_msg("%s", message);
    }
    return summary;
}

static void assert_refused(const char *name, const char *text, uint64_t line, const char *message)
{
    forage_error error = {0};
    char found[1000];
    forage_convert_target target = {.output = path_of("never.csv")};
    assert_int_not_equal(forage_convert(file_of(name, text), NULL, &target, NULL, NULL, &error), FORAGE_OK);
    forage_error_text(&error, found, sizeof found);
    if (!strstr(found, message) || error.line != line)
        fail_msg("expected line %d and \"%s\", got %s", (int)line, message, found);
    assert_int_not_equal(access(target.output, F_OK), 0);
}

static void test_json_lines(void **state)
{
    (void)state;
    const char *log =
        file_of("log.jsonl", "{\"user\": \"anna\", \"item\": 7, \"rating\": 4.5, \"tags\": [\"a\", 1, true]}\n"
                             "\n"
                             "{\"item\": \"8\\u00e9\\n\", \"rating\": 1, \"user\": 3, \"tags\": null}\r\n"
                             "{\"user\": 3, \"item\": 7, \"rating\": 0, \"size\": 2.0}");
    forage_dataset *dataset;
    assert_int_equal(forage_dataset_load(log, NULL, NULL, &dataset, NULL), FORAGE_OK);
    assert_int_equal(dataset->count, 3);
    char buffer[24];
    assert_string_equal(forage_vocabulary_id(dataset->users, dataset->user[1], buffer, NULL), "3");
    assert_string_equal(forage_vocabulary_id(dataset->items, dataset->item[1], buffer, NULL), "8\u00e9\n");
    assert_true(dataset->value[0] == 4.5F);
    const forage_column *tags = forage_table_find(&dataset->context, "tags");
    assert_string_equal(forage_vocabulary_id(tags->vocabulary, tags->codes[0], buffer, NULL), "a 1 1");
    assert_true(tags->codes[1] == FORAGE_NONE && tags->codes[2] == FORAGE_NONE);
    const forage_column *size = forage_table_find(&dataset->context, "size");
    assert_int_equal(size->type, FORAGE_NUMERIC);
    assert_true(isnan(size->values[0]) && size->values[2] == 2.0F);
    forage_dataset_free(dataset);

    assert_refused("bad.jsonl", "{\"item\": 1}\n{\"item\": 1\n", 2, "not JSON");
    assert_refused("bad.jsonl", "{\"item\": 1}\n[1]\n", 2, "not a JSON object");
    assert_refused("bad.jsonl", "{\"item\": 1}\n{\"item\": {}}\n", 2, "cannot be an object");
    assert_refused("bad.jsonl", "{\"item\": 1}\n{}\n", 2, "empty");
    assert_refused("bad.jsonl", "{\"item\": 1}\n{\"item\": 1, \"item\": 2}\n", 2, "not JSON");
    assert_refused("bad.jsonl", "{\"item\": 1, \"rating\": \"x\"}\n", 1, "'x' is not a finite number");
    assert_refused("bad.jsonl", "{}\n", 1, "no keys");

    /* A key that comes up late. */
    enum { LINES = 3000 };
    char *text = malloc(LINES * 20);
    size_t length = 0;
    for (int i = 0; i < LINES; i++)
        length += (size_t)snprintf(text + length, 20, i == 2500 ? "{\"item\":1,\"z\":2}\n" : "{\"item\":%d}\n", i % 5);
    assert_refused("late.jsonl", text, 2501, "for the first time");
    const forage_read_options options = {.context = "z"};
    assert_int_equal(forage_dataset_load(path_of("late.jsonl"), &options, NULL, &dataset, NULL), FORAGE_OK);
    forage_dataset_free(dataset);
    free(text);
}

static const char awkward[] = "user,item,rating,when,note,x\n"
                              "anna,\"a,b\",1,2019-01-01 10:00:00,\"say \"\"hi\"\"\",0.10\n"
                              "007,\"new\nline\",0,2019-01-01 11:00:00,,1.5\n"
                              "7,\xc3\xa9\\/\x01,1,2019-01-02,\" spaced \",-3\n";

/* CSV -> JSON Lines -> TSV -> CSV gives the same rows, with canonical names and order. */
static void test_there_and_back(void **state)
{
    (void)state;
    const forage_read_options options = {.time = "when"};
    const char *input = file_of("in.csv", awkward), *json = path_of("a.jsonl"), *tsv = path_of("b.tsv"),
               *csv = path_of("c.csv");
    forage_summary summary = convert(input, &options, (forage_convert_target){.output = json});
    assert_int_equal(summary.rows, 3);
    assert_int_equal(summary.users, 3);
    assert_int_equal(summary.items, 3);
    assert_true(summary.binary);
    assert_true(fabs(summary.value_mean - 2.0 / 3) < 1e-12);
    assert_true(summary.time_is_calendar);
    assert_int_equal(summary.first_time, 1546336800000000);
    assert_int_equal(summary.column_count, 6);
    forage_summary_release(&summary);
    assert_file(json,
                "{\"user\":\"anna\",\"item\":\"a,b\",\"rating\":1,\"timestamp\":\"2019-01-01 10:00:00\","
                "\"note\":\"say \\\"hi\\\"\",\"x\":\"0.10\"}\n"
                "{\"user\":\"007\",\"item\":\"new\\u000aline\",\"rating\":0,\"timestamp\":\"2019-01-01 11:00:00\","
                "\"note\":null,\"x\":1.5}\n"
                "{\"user\":7,\"item\":\"\xc3\xa9\\\\/\\u0001\",\"rating\":1,\"timestamp\":\"2019-01-02\","
                "\"note\":\" spaced \",\"x\":-3}\n");
    summary = convert(json, NULL, (forage_convert_target){.output = tsv});
    forage_summary_release(&summary);
    summary = convert(tsv, NULL, (forage_convert_target){.output = csv});
    forage_summary_release(&summary);
    assert_file(csv, "user,item,rating,timestamp,note,x\n"
                     "anna,\"a,b\",1,2019-01-01 10:00:00,\"say \"\"hi\"\"\",0.10\n"
                     "007,\"new\nline\",0,2019-01-01 11:00:00,,1.5\n"
                     "7,\xc3\xa9\\/\x01,1,2019-01-02, spaced ,-3\n");
}

static void test_recbole(void **state)
{
    (void)state;
    const char *input = file_of("log.csv", "user_id,product_id,clicked,category,ts,price\n"
                                           "3,b,1,Cat,2020-01-01 00:00:00.5,1.5\n"
                                           "1,a,0,Dog Food,2020-01-02,2\n"
                                           "3,a,0,Dog Food,2020-01-02,\n");
    const char *inter = path_of("r.inter");
    forage_summary summary =
        convert(input, NULL, (forage_convert_target){.output = inter, .format = FORAGE_FILE_RECBOLE});
    forage_summary_release(&summary);
    assert_file(inter, "user_id:token\tproduct_id:token\tclicked:float\tts:float\tprice:float\n"
                       "3\tb\t1\t1577836800.5\t1.5\n"
                       "1\ta\t0\t1577923200\t2\n"
                       "3\ta\t0\t1577923200\t\n");
    assert_file(path_of("r.item"), "product_id:token\tcategory:token\nb\tCat\na\tDog Food\n");
    assert_int_not_equal(access(path_of("r.user"), F_OK), 0);

    /* Back, with the attributes from the neighbour, and the catalogue written. */
    const char *output = path_of("back.csv"), *catalogue = path_of("items.csv");
    summary = convert(inter, NULL, (forage_convert_target){.output = output, .catalogue = catalogue});
    assert_int_equal(summary.column_count, 6);
    forage_summary_release(&summary);
    assert_file(output, "user_id,product_id,clicked,ts,price\n3,b,1,1577836800.5,1.5\n1,a,0,1577923200,2\n"
                        "3,a,0,1577923200,\n");
    assert_file(catalogue, "product_id,category\nb,Cat\na,Dog Food\n");

    forage_error error = {0};
    forage_convert_target target = {.output = path_of("no.inter"), .format = FORAGE_FILE_RECBOLE};
    assert_int_not_equal(
        forage_convert(file_of("tab.csv", "user,item\n1,\"a\tb\"\n"), NULL, &target, NULL, NULL, &error), FORAGE_OK);
    assert_int_not_equal(access(target.output, F_OK), 0);
    target.output = "/nonexistent/x.csv";
    target.format = FORAGE_FILE_AUTO;
    assert_int_equal(forage_convert(input, NULL, &target, NULL, NULL, &error), FORAGE_IO);
    target.output = path_of("x.txt");
    target.format = FORAGE_FILE_PAIRS;
    assert_int_equal(forage_convert(input, NULL, &target, NULL, NULL, &error), FORAGE_UNSUPPORTED);
}

/* A column of categories that began with thousands of numbers, in a stream. */
static void test_late_text(void **state)
{
    (void)state;
    enum { ROWS = 9000 };
    char *text = malloc(ROWS * 16);
    size_t length = (size_t)snprintf(text, 16, "item_id,x\n");
    for (int i = 0; i < ROWS; i++)
        length += (size_t)snprintf(text + length, 16, i == 8000 ? "%d,abc\n" : "%d,%d\n", i % 7, i);
    forage_summary summary = convert(file_of("late.csv", text), NULL, (forage_convert_target){0});
    assert_int_equal(summary.columns[1].type, FORAGE_CATEGORICAL);
    assert_int_equal(summary.columns[1].distinct, 0);
    assert_int_equal(summary.rows, ROWS);
    forage_summary_release(&summary);
    free(text);
}

/* Whatever allocation fails: a clean error, no leak (under ASan), nothing left behind. */
static void test_no_memory(void **state)
{
    (void)state;
    const char *input = file_of("in.csv", awkward);
    file_of("m.item", "item_id:token\tname:token\na\tb\n");
    const char *inter = file_of("m.inter", "user_id:token\titem_id:token\n1\ta\n2\tb\n");
    const char *json = file_of("m.jsonl", "{\"item\": 1, \"x\": 2}\n");
    forage_convert_target target = {.output = path_of("memory.inter"), .format = FORAGE_FILE_RECBOLE};
    for (int what = 0; what < 5; what++) {
        bool done = false;
        for (uint64_t nth = 1; !done && nth < 2000; nth++) {
            forage_error error = {0};
            forage_dataset *dataset = NULL;
            forage_split split = {0};
            forage_status status;
            forage_alloc_fail_at(nth);
            if (what < 3)
                status = forage_dataset_load(what == 0   ? input
                                             : what == 1 ? inter
                                                         : json,
                                             NULL, NULL, &dataset, &error);
            else
                status = forage_convert(what == 3 ? inter : json, NULL, &target, NULL, NULL, &error);
            if (status == FORAGE_OK && dataset)
                status = forage_split_parse(dataset->user ? "leave-last-out" : "tail:1", dataset, &split, &error);
            forage_alloc_fail_at(0);
            if (status != FORAGE_OK && status != FORAGE_INVALID)
                assert_int_equal(status, FORAGE_NO_MEMORY);
            done = status != FORAGE_NO_MEMORY;
            if (!done)
                assert_int_not_equal(access(target.output, F_OK), 0);
            forage_split_release(&split);
            forage_dataset_free(dataset);
        }
        assert_true(done);
        unlink(target.output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_lines), cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_recbole),
        cmocka_unit_test(test_late_text),  cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
