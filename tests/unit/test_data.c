/*
 * data: reading logs of every format, datasets, splits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "golden.h"
#include "sha256.h"

/* A literal and its length. */
#define BYTES(text) text, sizeof(text) - 1

static char folder[] = "/tmp/forage-data-XXXXXX";

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

/* Writes a file and gives its path (of the last eight). */
static const char *file_of(const char *name, const char *text, size_t length)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof *paths, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return path;
}

static forage_dataset *load(const char *name, const char *text, const forage_read_options *options)
{
    forage_dataset *dataset = NULL;
    forage_error error = {0};
    if (forage_dataset_load(file_of(name, text, strlen(text)), options, NULL, &dataset, &error) != FORAGE_OK) {
        char message[1000];
        forage_error_text(&error, message, sizeof message);
        fail_msg("%s", message);
    }
    assert_int_equal(forage_dataset_validate(dataset, &error), FORAGE_OK);
    return dataset;
}

/* Loading must fail, at that line, with a message that has `text` in it. */
static void assert_refused_bytes(const char *name, const char *bytes, size_t length, const forage_read_options *options,
                                 uint64_t line, const char *text)
{
    forage_dataset *dataset = NULL;
    forage_error error = {0};
    char message[1000];
    const char *path = file_of(name, bytes, length);
    assert_int_not_equal(forage_dataset_load(path, options, NULL, &dataset, &error), FORAGE_OK);
    assert_null(dataset);
    forage_error_text(&error, message, sizeof message);
    if (!strstr(message, text) || error.line != line || !strstr(message, name))
        fail_msg("expected line %d and \"%s\", got line %d: %s", (int)line, text, (int)error.line, message);
    assert_int_not_equal(forage_dataset_load(path, options, NULL, &dataset, NULL), FORAGE_OK);
}

static void assert_refused(const char *bytes, uint64_t line, const char *text)
{
    assert_refused_bytes("log.csv", bytes, strlen(bytes), NULL, line, text);
}

static const char *id_of(const forage_vocabulary *vocabulary, uint32_t index)
{
    static char buffer[24];
    return forage_vocabulary_id(vocabulary, index, buffer, NULL);
}

static const char *category(const forage_table *table, const char *name, size_t row)
{
    const forage_column *column = forage_table_find(table, name);
    assert_non_null(column);
    assert_int_equal(column->type, FORAGE_CATEGORICAL);
    return column->codes[row] == FORAGE_NONE ? "(none)" : id_of(column->vocabulary, column->codes[row]);
}

static float number(const forage_table *table, const char *name, size_t row)
{
    const forage_column *column = forage_table_find(table, name);
    assert_non_null(column);
    assert_int_equal(column->type, FORAGE_NUMERIC);
    return column->values[row];
}

static void test_simulated_log(void **state)
{
    (void)state;
    forage_dataset *log = load("log.csv",
                               "user_id,product_id,clicked,category\n"
                               "3,2,0,Dog Food\n"
                               "0,1,1,Cat Toy\n"
                               "3,1,0,Cat Toy\n",
                               NULL);
    assert_int_equal(log->count, 3);
    assert_int_equal(log->train_rows, 3);
    assert_string_equal(log->item_name, "product_id");
    assert_string_equal(log->value_name, "clicked");
    assert_true(forage_vocabulary_numbered(log->users));
    assert_int_equal(forage_vocabulary_count(log->users), 4);
    assert_int_equal(log->user[0], 3);
    assert_int_equal(log->user[1], 0);
    assert_int_equal(log->user_known[0], 1);
    assert_int_equal(log->user_known[1], 0);
    assert_int_equal(log->item_known[0], 0);
    assert_int_equal(log->item[0], 2);
    assert_true(log->value[1] == 1.0F && log->value[2] == 0.0F);
    assert_null(log->time);
    assert_null(log->propensity);
    assert_int_equal(log->context.column_count, 0);
    assert_int_equal(log->item_attributes.rows, 3);
    assert_string_equal(category(&log->item_attributes, "category", 0), "(none)");
    assert_string_equal(category(&log->item_attributes, "category", 1), "Cat Toy");
    assert_string_equal(category(&log->item_attributes, "category", 2), "Dog Food");
    forage_dataset_free(log);
    forage_dataset_free(NULL);
}

static void test_names_and_types(void **state)
{
    (void)state;
    forage_dataset *log = load("log.csv",
                               "\xef\xbb\xbf,Timestamp,movieId,user,rating,position,age,city,pscore,height\r\n"
                               "0,2019-11-24 00:03:13.442536+00:00,m1,anna,4.5,1,20,\"Bad, Soden\",0.5,1.0\r\n"
                               "1,2019-11-24T09:03:14+09:00,m2,bob,3,2,21,\"a \"\"b\"\"\nc\",0.25,\r\n"
                               "\r\n"
                               "2,2019-11-25,m1,anna,-1e-1,1,,,1,nan\r\n",
                               NULL);
    assert_int_equal(log->count, 3);
    assert_string_equal(log->user_name, "user");
    assert_string_equal(id_of(log->users, log->user[2]), "anna");
    assert_string_equal(id_of(log->items, log->item[1]), "m2");
    assert_true(log->value[2] == -0.1F);
    assert_true(log->propensity[1] == 0.25F);
    assert_true(log->time_is_calendar);
    assert_int_equal(log->time[0], 1574553793442536);
    assert_int_equal(log->time[1], 1574553794000000);
    assert_int_equal(log->context.column_count, 4);
    assert_string_equal(category(&log->context, "position", 1), "2");
    assert_string_equal(category(&log->context, "city", 0), "Bad, Soden");
    assert_string_equal(category(&log->context, "city", 1), "a \"b\"\nc");
    assert_string_equal(category(&log->context, "city", 2), "(none)");
    assert_true(number(&log->context, "height", 0) == 1.0F);
    assert_true(isnan(number(&log->context, "height", 1)) && isnan(number(&log->context, "height", 2)));
    forage_dataset_free(log);

    /* Overruled. */
    const forage_read_options options = {.user = "",
                                         .item = "user",
                                         .value = "height",
                                         .context = "category",
                                         .ignore = "when",
                                         .item_columns = "size",
                                         .numeric = "size",
                                         .categorical = "score"};
    log = load("log.csv", "user,category,height,when,size,score\na,x,1,?,7,0.5\na,y,2,?,7,0.25\n", &options);
    assert_null(log->users);
    assert_null(log->user);
    assert_string_equal(category(&log->context, "category", 1), "y");
    assert_string_equal(category(&log->context, "score", 1), "0.25");
    assert_true(number(&log->item_attributes, "size", 0) == 7.0F);
    assert_int_equal(log->context.column_count, 2);
    forage_dataset_free(log);
}

/* A column of numbers that turns out to be text after it was taken for numbers. */
static void test_late_text(void **state)
{
    (void)state;
    enum { ROWS = 6000 };
    size_t size = ROWS * 32;
    char *text = malloc(size);
    for (int kind = 0; kind < 3; kind++) {
        size_t length = (size_t)snprintf(text, size, "item_id,x\n");
        for (int i = 0; i < ROWS; i++) {
            if (i == 5500 && kind == 1)
                length += (size_t)snprintf(text + length, size - length, "%d,abc\n", i % 7);
            else
                length += (size_t)snprintf(text + length, size - length, "%d,%d\n", i % 7, i % (kind == 2 ? 33 : 5000));
        }
        forage_dataset *log = load("late.csv", text, NULL);
        const forage_column *column = forage_table_find(&log->context, "x");
        if (kind == 1) {
            assert_string_equal(category(&log->context, "x", 5500), "abc");
            assert_string_equal(category(&log->context, "x", 4321), "4321");
            assert_int_equal(forage_vocabulary_count(column->vocabulary), 5001);
        } else {
            for (int i = 0; i < ROWS; i++)
                assert_true(number(&log->context, "x", (size_t)i) == (float)(i % (kind == 2 ? 33 : 5000)));
        }
        forage_dataset_free(log);
    }
    free(text);
}

static void test_times(void **state)
{
    (void)state;
    forage_dataset *log = load("log.csv", "item,ts\na,5\nb,-7\n", NULL);
    assert_int_equal(log->time[1], -7);
    assert_false(log->time_is_calendar);
    forage_dataset_free(log);
    log = load("log.csv", "item,ts\na,978300760.0\nb,1.574e15\n", NULL);
    assert_int_equal(log->time[0], 978300760);
    assert_int_equal(log->time[1], 1574000000000000);
    forage_dataset_free(log);
    log = load("log.csv", "item,ts\na,5\nb,6.25\nc,7\n", NULL);
    assert_int_equal(log->time[0], 5000000);
    assert_int_equal(log->time[1], 6250000);
    assert_int_equal(log->time[2], 7000000);
    forage_dataset_free(log);
    int64_t time;
    static const char *const good[] = {"1970-01-01", "1969-12-31T23:59:59Z", "2000-02-29T12:00:00,5-05:30",
                                       "2024-02-29 00:00"};
    static const int64_t expected[] = {0, -1000000, 951845400500000, 1709164800000000};
    for (int i = 0; i < 4; i++) {
        assert_true(data_parse_iso8601(good[i], strlen(good[i]), &time));
        assert_int_equal(time, expected[i]);
    }
    static const char *const bad[] = {"",
                                      "2019",
                                      "2019-13-01",
                                      "2019-02-29",
                                      "2019-01-01T",
                                      "2019-01-01T24:00",
                                      "2019-01-01 10:00x",
                                      "2019-01-01T10:00:00.",
                                      "2019-1-1"};
    for (int i = 0; i < 9; i++)
        assert_false(data_parse_iso8601(bad[i], strlen(bad[i]), &time));
}

static void moment_refused(const char *text, const forage_dataset *log, const char *says)
{
    forage_error error = {0};
    int64_t time;
    assert_int_equal(forage_time_parse(text, log, &time, &error), FORAGE_INVALID);
    if (!strstr(error.message, says))
        fail_msg("'%s' is not in '%s'", says, error.message);
}

static int64_t moment(const char *text, const forage_dataset *log)
{
    int64_t time = 0;
    assert_int_equal(forage_time_parse(text, log, &time, NULL), FORAGE_OK);
    return time;
}

static void test_moments(void **state)
{
    (void)state;
    forage_dataset *log = load("log.csv", "item,ts\na,5\nb,7\n", NULL);
    assert_int_equal(moment("5", log), 5);
    assert_int_equal(moment("6.0", log), 6);
    assert_int_equal(moment("1e3", log), 1000);
    moment_refused("4", log, "'4' is before all events of the log");
    moment_refused("", log, "'' is neither a number nor a time");
    moment_refused("nan", log, "neither a number nor a time");
    moment_refused("5 o'clock", log, "neither a number nor a time");
    moment_refused("2019-11-24", log, "is a date, but the log's times are numbers");
    forage_dataset_free(log);
    log = load("log.csv", "item,ts\na,5\nb,6.25\n", NULL);
    assert_int_equal(moment("6.5", log), 6500000);
    moment_refused("4.5", log, "before all events");
    forage_dataset_free(log);
    log = load("log.csv", "item,ts\na,1970-01-02\nb,1970-01-03T12:00Z\n", NULL);
    assert_int_equal(moment("1970-01-02", log), INT64_C(86400000000));
    assert_int_equal(moment("1970-01-02T01:00+01:00", log), INT64_C(86400000000));
    moment_refused("1970-01-02T00:59+01:00", log, "before all events");
    moment_refused("86400000000", log, "is a number, but the log's times are dates");
    forage_dataset_free(log);
    log = load("log.csv", "item\na\n", NULL);
    moment_refused("5", log, "has no times");
    assert_int_equal(forage_dataset_until(log, -5), 0);
    assert_int_equal(log->count, 1);
    forage_dataset_free(log);
}

/* All columns lose the same rows, the parts each their own. */
static void test_as_it_was(void **state)
{
    static const char header[] = "user,item,time,clicked,propensity,place,height\n";
    char files[3][200];
    (void)state;
    (void)snprintf(files[0], sizeof files[0], "%su1,a,5,1,0.5,x,1.5\nu2,b,9,0,0.25,y,2.5\nu1,c,6,0,0.125,z,\n", header);
    (void)snprintf(files[1], sizeof files[1], "%su3,a,7,1,0.5,x,4.5\nu2,d,8,1,0.75,y,5.5\n", header);
    (void)snprintf(files[2], sizeof files[2], "%su1,b,10,1,0.5,x,6.5\n", header);
    const forage_read_options options = {.validation = file_of("validation.csv", files[1], strlen(files[1])),
                                         .test = file_of("test.csv", files[2], strlen(files[2])),
                                         .context = "place,height"};
    forage_dataset *log = load("log.csv", files[0], &options);
    assert_int_equal(forage_dataset_until(log, 10), 0);
    assert_int_equal(forage_dataset_until(log, 7), 3);
    assert_int_equal(forage_dataset_validate(log, NULL), FORAGE_OK);
    assert_int_equal(log->count, 3);
    assert_int_equal(log->train_rows, 2);
    assert_int_equal(log->validation_rows, 1);
    assert_int_equal(log->test_rows, 0);
    static const struct {
        const char *user, *item, *place;
        int64_t time;
        float value, propensity, height;
    } rows[] = {
        {"u1", "a", "x", 5, 1, 0.5F, 1.5F}, {"u1", "c", "z", 6, 0, 0.125F, NAN}, {"u3", "a", "x", 7, 1, 0.5F, 4.5F}};
    const forage_column *place = forage_table_find(&log->context, "place"),
                        *height = forage_table_find(&log->context, "height");
    for (size_t row = 0; row < 3; row++) {
        char buffer[24];
        assert_string_equal(forage_vocabulary_id(log->users, log->user[row], buffer, NULL), rows[row].user);
        assert_string_equal(forage_vocabulary_id(log->items, log->item[row], buffer, NULL), rows[row].item);
        assert_string_equal(forage_vocabulary_id(place->vocabulary, place->codes[row], buffer, NULL), rows[row].place);
        assert_int_equal(log->time[row], rows[row].time);
        assert_true(log->value[row] == rows[row].value && log->propensity[row] == rows[row].propensity);
        assert_true(row == 1 ? isnan(height->values[row]) : height->values[row] == rows[row].height);
    }
    assert_int_equal(forage_vocabulary_count(log->items), 4); /* who came later is known all the same */
    assert_int_equal(forage_dataset_until(log, 0), 3);
    assert_int_equal(log->count, 0);
    assert_int_equal(forage_dataset_validate(log, NULL), FORAGE_OK);
    forage_dataset_free(log);
}

static void test_lists(void **state)
{
    (void)state;
    forage_dataset *log = load("train.txt", "0 5 6 7\n2 5\n\n1 9 10\n", NULL);
    assert_int_equal(log->count, 6);
    assert_int_equal(log->user[3], 2);
    assert_int_equal(log->item[5], 10);
    assert_int_equal(forage_vocabulary_count(log->items), 11);
    assert_null(log->value);
    forage_dataset_free(log);

    log = load("pairs.txt", "1 5\n1 6\n2\t5\r\n3 7", NULL);
    assert_int_equal(log->count, 4);
    assert_int_equal(log->user[3], 3);
    assert_int_equal(log->item[3], 7);
    forage_dataset_free(log);

    log = load("pairs.txt", "anna x\nbob y z\n", NULL);
    assert_int_equal(log->count, 3);
    forage_dataset_free(log);

    log = load("words.txt", "user item\n1 5\n2 6\n", NULL);
    assert_int_equal(log->count, 2);
    forage_dataset_free(log);
    assert_refused_bytes("u.data", BYTES("1\t5\t3\t881250949\n2\t6\t4\t881250950\n"), NULL, 1, "--header");
    assert_refused_bytes("table.txt", BYTES("1 5 3\n2 6 4\n3 6 4\n"), NULL, 1, "--format adjacency");
    assert_refused_bytes("train.txt", BYTES("0 5 6\n1 -7 8\n"), NULL, 2, "'-7' is a negative number");
    assert_refused_bytes("train.txt", BYTES("0 5 6\n1 7 99999999999999999999\n"), NULL, 2, "too large");
    assert_refused_bytes("train.txt", BYTES("0 5 6\n1 7.5\n"), NULL, 2, "whole number");
    const forage_read_options pairs = {.format = FORAGE_FILE_PAIRS};
    assert_refused_bytes("train.txt", BYTES("0 5\n1 7 8\n"), &pairs, 2, "more than two");
    assert_refused_bytes("train.txt", BYTES("0 5\n1\n"), &pairs, 2, "one word");
    assert_refused_bytes("train.txt", BYTES("0 5 6\n1 7\0 8\n"), NULL, 2, "NUL");
}

static void test_further_files(void **state)
{
    (void)state;
    const char *items = file_of("items.csv", BYTES("item_id,price,brand\nb,2.5,X\nz,1,Y\n"));
    const char *validation = file_of("valid.csv", BYTES("user,item,click\nu3,b,1\n"));
    const char *test = file_of("test.csv", BYTES("item,user,click\nc,u1,1\n"));
    const forage_read_options options = {.item_attributes = items, .validation = validation, .test = test};
    forage_dataset *log = load("log.csv", "user,item,click\nu1,a,0\nu2,b,1\n", &options);
    assert_int_equal(log->count, 4);
    assert_int_equal(log->train_rows, 2);
    assert_int_equal(log->validation_rows, 1);
    assert_int_equal(log->test_rows, 1);
    assert_string_equal(id_of(log->users, log->user[3]), "u1");
    assert_int_equal(forage_vocabulary_count(log->items), 4); /* a, b, c and z of the catalogue */
    assert_true(number(&log->item_attributes, "price", 1) == 2.5F);
    assert_true(isnan(number(&log->item_attributes, "price", 0)));
    assert_string_equal(category(&log->item_attributes, "brand", 3), "Y");
    forage_split split;
    assert_int_equal(forage_split_parse("files", log, &split, NULL), FORAGE_OK);
    assert_int_equal(split.train_count, 2);
    assert_int_equal(split.validation[0], 2);
    assert_int_equal(split.test[0], 3);
    forage_split_release(&split);
    /* No other split may let events of those files into training. */
    static const char *const others[] = {"none", "sklearn:0.5:1", "random:0.5", "tail:1", "leave-last-out"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(forage_split_parse(others[i], log, &split, NULL), FORAGE_INVALID);
    forage_dataset_free(log);

    /* RecBole's files beside each other. */
    file_of("rb.item", BYTES("item_id:token\ttags:token_seq\tvec:float_seq\tyear:float\nm1\ta b\t1 2\t1999\n"));
    file_of("rb.user", BYTES("user_id:token\tage:token\n7\t30\n"));
    log = load("rb.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\tm1\t4\t978300760\n", NULL);
    assert_string_equal(category(&log->item_attributes, "tags", 0), "a b");
    assert_true(number(&log->item_attributes, "year", 0) == 1999.0F);
    assert_null(forage_table_find(&log->item_attributes, "vec"));
    assert_int_equal(log->time[0], 978300760);
    assert_int_equal(log->user_attributes.rows, forage_vocabulary_count(log->users));
    assert_string_equal(category(&log->user_attributes, "age", log->user[0]), "30");
    forage_dataset_free(log);
}

static void test_bad_input(void **state)
{
    (void)state;
    assert_refused("", 0, "empty");
    assert_refused("\n\n", 0, "empty");
    assert_refused("user_id,item_id,clicked\n", 0, "no rows");
    assert_refused("user_id,thing\n1,2\n", 0, "no column is the item");
    assert_refused("1,2,0\n2,2,1\n", 1, "looks like data");
    assert_refused("item,item\n1,2\n", 1, "same name");
    assert_refused("user,item,click\n1,2,0\n1,2\n", 3, "2 fields, the header has 3");
    assert_refused("user,item,click\n1,2,0\n1,2,0,5\n", 3, "4 fields, the header has 3");
    assert_refused("user,item,click\n1,\"2,0\n1,3,0\n", 2, "never closed");
    assert_refused("user,item,click\n1,\"2\"x,0\n", 2, "behind a closing quotation mark");
    assert_refused("user,item,click\n1,2\"x,0\n", 2, "within an unquoted field");
    assert_refused("user,item,click\n1,2\rx,0\n", 2, "carriage return");
    assert_refused_bytes("log.csv", BYTES("user,item,click\n1,2\0x,0\n"), NULL, 2, "NUL");
    assert_refused_bytes("log.csv", BYTES("user,item,click\n1,\"2\0x\",0\n"), NULL, 2, "NUL");
    assert_refused("user,item,click\n1,2,0\n1,2,abc\n", 3, "field 'click': 'abc' is not a finite number");
    assert_refused("user,item,click\n1,2,nan\n", 2, "not a finite number");
    assert_refused("user,item,click\n1,2,1e39\n", 2, "not a finite number");
    assert_refused("user,item,click\n1,2,\n", 2, "not a finite number");
    assert_refused("user,item,click\n1,,1\n", 2, "empty");
    assert_refused("user,item,click\n1,\xff,1\n", 2, "not UTF-8");
    assert_refused("item,propensity\n1,0\n", 2, "probability");
    assert_refused("item,propensity\n1,1.5\n", 2, "probability");
    assert_refused("item,time\n1,yesterday\n", 2, "neither a number nor a time");
    assert_refused("item,time\n1,5\n2,2019-01-01\n", 3, "is a date, but");
    assert_refused("item,x\n1,0.5\n2,inf\n", 3, "is not a finite number");
    assert_refused("item,category\n1,A\n2,B\n1,B\n", 4, "--context-columns category");
    const forage_read_options unknown = {.value = "stars"};
    assert_refused_bytes("log.csv", BYTES("item,x\n1,2\n"), &unknown, 0, "no such column");

    enum { LONG = 10 * 1024 * 1024 };
    char *text = malloc(LONG);
    memset(text, 'a', LONG);
    memcpy(text, "user,item\n1,2\n", 14);
    assert_refused_bytes("log.csv", text, LONG, NULL, 3, "longer than 1048576 bytes");
    text[14] = '"';
    assert_refused_bytes("log.csv", text, LONG, NULL, 3, "longer than 1048576 bytes");
    forage_read_options large = {.record_limit = 2 * (size_t)LONG};
    memcpy(text + 14, "1,", 2);
    text[LONG - 1] = '\n';
    forage_dataset *log = NULL;
    assert_int_equal(forage_dataset_load(file_of("log.csv", text, LONG), &large, NULL, &log, NULL), FORAGE_OK);
    assert_int_equal(log->count, 2);
    forage_dataset_free(log);
    free(text);

    forage_error error = {0};
    assert_int_equal(forage_dataset_load("/nonexistent/log.csv", NULL, NULL, &log, &error), FORAGE_IO);
    assert_int_equal(forage_dataset_load(folder, NULL, NULL, &log, &error), FORAGE_IO);
}

/* ---- splits ---- */

static forage_dataset *plain(size_t rows)
{
    forage_dataset *dataset;
    assert_int_equal(forage_dataset_create(&dataset, NULL), FORAGE_OK);
    dataset->count = dataset->train_rows = rows;
    dataset->item = forage_calloc(rows, sizeof *dataset->item);
    assert_int_equal(forage_vocabulary_create_numbered(1, &dataset->items, NULL), FORAGE_OK);
    assert_int_equal(forage_dataset_validate(dataset, NULL), FORAGE_OK);
    return dataset;
}

static void assert_digest(const uint32_t *rows, size_t count, const char *expected)
{
    char text[16], hex[65];
    sha256 hash;
    sha256_start(&hash);
    for (size_t i = 0; i < count; i++)
        sha256_add(&hash, text, (size_t)snprintf(text, sizeof text, i ? ",%u" : "%u", rows[i]));
    sha256_end(&hash, hex);
    assert_string_equal(hex, expected);
}

/* The very rows, in the very order, of scikit-learn and NumPy. */
static void test_permuted_splits(void **state)
{
    (void)state;
    size_t index;
    json_t *entry, *root = golden_load("splits.json", 0);
    json_array_foreach(root, index, entry)
    {
        forage_dataset *dataset = plain((size_t)golden_whole(entry, "rows"));
        forage_split split;
        assert_int_equal(forage_split_parse(golden_text(entry, "spec"), dataset, &split, NULL), FORAGE_OK);
        assert_int_equal(split.validation_count, golden_whole(entry, "held"));
        assert_int_equal(split.test_count, 0);
        assert_digest(split.validation, split.validation_count, golden_text(entry, "held_sha256"));
        assert_digest(split.train, split.train_count, golden_text(entry, "train_sha256"));
        forage_split_release(&split);
        forage_dataset_free(dataset);
    }
    json_decref(root);
    root = golden_load("sklearn_split.json", 0);
    forage_dataset *dataset = plain((size_t)golden_whole(root, "rows"));
    forage_split split;
    assert_int_equal(forage_split_parse("sklearn:0.2:42", dataset, &split, NULL), FORAGE_OK);
    assert_digest(split.validation, split.validation_count, golden_text(root, "sha256_val_rows_joined_by_comma"));
    assert_digest(split.train, split.train_count, golden_text(root, "sha256_train_rows_joined_by_comma"));
    forage_split_release(&split);
    forage_dataset_free(dataset);
    json_decref(root);
}

static void test_splits(void **state)
{
    (void)state;
    forage_split split;
    forage_dataset *log =
        load("log.csv", "user,item,time\na,1,5\na,2,4\na,3,9\nb,1,1\nb,2,2\nc,1,7\nc,2,7\nc,3,7\nc,4,6\n", NULL);
    assert_int_equal(forage_split_parse("leave-last-out", log, &split, NULL), FORAGE_OK);
    static const uint32_t last[] = {2, 7}, before[] = {0, 6}, rest[] = {1, 3, 4, 5, 8};
    assert_int_equal(split.test_count, 2);
    assert_memory_equal(split.test, last, sizeof last);
    assert_memory_equal(split.validation, before, sizeof before);
    assert_int_equal(split.train_count, 5);
    assert_memory_equal(split.train, rest, sizeof rest);
    forage_split_release(&split);

    assert_int_equal(forage_split_parse("time:0.2,1", log, &split, NULL), FORAGE_OK);
    static const uint32_t by_time[] = {3, 4, 1, 0, 8, 5}, late[] = {6, 7}, latest[] = {2};
    assert_int_equal(split.train_count, 6);
    assert_memory_equal(split.train, by_time, sizeof by_time);
    assert_memory_equal(split.validation, late, sizeof late);
    assert_memory_equal(split.test, latest, sizeof latest);
    forage_split_release(&split);

    assert_int_equal(forage_split_parse("tail:3", log, &split, NULL), FORAGE_OK);
    assert_int_equal(split.train_count, 6);
    assert_int_equal(split.validation[0], 6);
    forage_split_release(&split);
    assert_int_equal(forage_split_parse("none", log, &split, NULL), FORAGE_OK);
    assert_int_equal(split.train_count, 9);
    assert_int_equal(split.train[8], 8);
    forage_split_release(&split);

    assert_int_equal(forage_split_parse("random:0.2,0.3:42", log, &split, NULL), FORAGE_OK);
    assert_int_equal(split.validation_count, 2);
    assert_int_equal(split.test_count, 3);
    assert_int_equal(split.train_count, 4);
    forage_split_release(&split);

    char spec[300];
    snprintf(spec, sizeof spec, "file:%s",
             file_of("parts", BYTES("train\ntest\n-\nvalidation\ntrain\ntrain\ntrain\ntrain\ntest")));
    assert_int_equal(forage_split_parse(spec, log, &split, NULL), FORAGE_OK);
    assert_int_equal(split.train_count, 5);
    assert_int_equal(split.validation[0], 3);
    assert_int_equal(split.test[1], 8);
    forage_split_release(&split);
    forage_error error = {0};
    file_of("parts", BYTES("train\ntest\n"));
    assert_int_equal(forage_split_parse(spec, log, &split, &error), FORAGE_FORMAT);
    file_of("parts", BYTES("train\nbest\n"));
    assert_int_equal(forage_split_parse(spec, log, &split, &error), FORAGE_FORMAT);
    assert_int_equal(error.line, 2);

    static const char *const bad[] = {"",
                                      "half",
                                      "sklearn:0.2:x",
                                      "sklearn:1.5:2",
                                      "sklearn:0:2",
                                      "sklearn:9:2",
                                      "time:0.5:3",
                                      "sklearn:0.1,0.1:4",
                                      "random:0.6,0.6"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_not_equal(forage_split_parse(bad[i], log, &split, &error), FORAGE_OK);
    forage_dataset_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simulated_log), cmocka_unit_test(test_names_and_types),
        cmocka_unit_test(test_late_text),     cmocka_unit_test(test_times),
        cmocka_unit_test(test_moments),       cmocka_unit_test(test_as_it_was),
        cmocka_unit_test(test_lists),         cmocka_unit_test(test_further_files),
        cmocka_unit_test(test_bad_input),     cmocka_unit_test(test_permuted_splits),
        cmocka_unit_test(test_splits),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
