/*
 * data: labelled tables, with and without a header, separated by anything; and tables of words.
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

static char folder[] = "/tmp/forage-labelled-XXXXXX";

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

static const char *file_of(const char *name, const char *text)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    return path;
}

static forage_dataset *load(const char *name, const char *text, const char *label, const forage_read_options *options)
{
    forage_dataset *table = NULL;
    forage_error error = {0};
    if (forage_dataset_load_labelled(file_of(name, text), label, options, NULL, &table, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    assert_int_equal(forage_dataset_validate(table, NULL), FORAGE_OK);
    assert_null(table->users);
    assert_null(table->value);
    assert_null(table->propensity);
    return table;
}

static void assert_refused(const char *name, const char *text, const char *label, const forage_read_options *options,
                           uint64_t line, const char *expected)
{
    forage_dataset *table = NULL;
    forage_error error = {0};
    char message[1000];
    assert_int_not_equal(forage_dataset_load_labelled(file_of(name, text), label, options, NULL, &table, &error),
                         FORAGE_OK);
    assert_null(table);
    forage_error_text(&error, message, sizeof message);
    if (!strstr(message, expected) || error.line != line)
        fail_msg("expected line %d and \"%s\", got line %d: %s", (int)line, expected, (int)error.line, message);
}

static const char *label_of(const forage_dataset *table, size_t row)
{
    static char buffer[24];
    return forage_vocabulary_id(table->items, table->item[row], buffer, NULL);
}

static const forage_column *column(const forage_dataset *table, const char *name, forage_column_type type)
{
    const forage_column *found = forage_table_find(&table->context, name);
    assert_non_null(found);
    assert_int_equal(found->type, type);
    return found;
}

static const char *word(const forage_column *of, size_t row)
{
    static char buffer[24];
    return of->codes[row] == FORAGE_NONE ? "(none)"
                                         : forage_vocabulary_id(of->vocabulary, of->codes[row], buffer, NULL);
}

/* As UCI's shuttle: words between blanks, no header, the label at the end. */
static void test_words_without_header(void **state)
{
    (void)state;
    forage_dataset *table = load("shuttle.trn", "50 21  -3 2\n55\t0 92.5 4 \n\n 53 0 ? 2", NULL, NULL);
    assert_int_equal(table->count, 3);
    assert_int_equal(table->context.column_count, 3);
    assert_string_equal(label_of(table, 0), "2");
    assert_string_equal(label_of(table, 1), "4");
    assert_string_equal(label_of(table, 2), "2");
    const forage_column *first = column(table, "1", FORAGE_NUMERIC), *third = column(table, "3", FORAGE_NUMERIC);
    assert_true(first->values[1] == 55.0F && third->values[0] == -3.0F && third->values[1] == 92.5F);
    assert_true(isnan(third->values[2])); /* "?" among numbers is missing */
    assert_string_equal(table->item_name, "4");
    forage_dataset_free(table);
}

/* As UCI's mushroom: commas, no header (letters come twice in the first line), the label in front. */
static void test_commas_without_header(void **state)
{
    (void)state;
    forage_dataset *table = load("mushroom.data", "p,x,s,s\ne,x,?,y\n", "first", NULL);
    assert_int_equal(table->count, 2);
    assert_string_equal(label_of(table, 0), "p");
    const forage_column *third = column(table, "3", FORAGE_CATEGORICAL);
    assert_string_equal(word(third, 0), "s");
    assert_string_equal(word(third, 1), "?"); /* a category among words */
    forage_dataset_free(table);
}

/* The usual names of logs mean nothing here. */
static void test_header(void **state)
{
    (void)state;
    const char *text = "user_id,timestamp,item_id,label\n1,x,3.5, yes\n2, x ,4.5,no\n";
    forage_dataset *table = load("table.csv", text, NULL, NULL);
    assert_int_equal(table->count, 2);
    assert_int_equal(table->context.column_count, 3);
    assert_string_equal(label_of(table, 0), "yes"); /* blanks do not count */
    assert_string_equal(word(column(table, "timestamp", FORAGE_CATEGORICAL), 1), "x");
    column(table, "user_id", FORAGE_NUMERIC);
    column(table, "item_id", FORAGE_NUMERIC);
    forage_dataset_free(table);

    table = load("table.csv", text, "2", &(forage_read_options){.ignore = "item_id", .categorical = "user_id"});
    assert_string_equal(table->item_name, "timestamp");
    assert_int_equal(table->context.column_count, 2);
    column(table, "user_id", FORAGE_CATEGORICAL);
    forage_dataset_free(table);

    table = load("table.csv", text, "user_id", NULL);
    assert_string_equal(table->item_name, "user_id");
    forage_dataset_free(table);
}

static void test_header_is_said(void **state)
{
    (void)state;
    forage_dataset *table = load("a.data", "a;b\nc;d\n", NULL, &(forage_read_options){.no_header = true});
    assert_int_equal(table->count, 2);
    forage_dataset_free(table);
    table = load("a.data", "a;b\nc;d\n", NULL, NULL);
    assert_int_equal(table->count, 1);
    forage_dataset_free(table);
    table = load("a.data", "1 2\n3 4\n", "y", &(forage_read_options){.header = "x,y"});
    assert_int_equal(table->count, 2);
    assert_string_equal(label_of(table, 1), "4");
    forage_dataset_free(table);
    table = load("a.jsonl", "{\"x\": 1, \"y\": \"a\"}\n{\"x\": 2, \"y\": \"b\"}\n", "y", NULL);
    assert_string_equal(label_of(table, 1), "b");
    forage_dataset_free(table);
}

/* A first line that is data, with doubled marks in it, is read as any other. */
static void test_first_line_is_kept(void **state)
{
    (void)state;
    forage_dataset *table = load("q.csv", "\"a\"\"b\",1\n\"c\",2\n", NULL, NULL);
    assert_int_equal(table->count, 2);
    assert_string_equal(word(column(table, "1", FORAGE_CATEGORICAL), 0), "a\"b");
    forage_dataset_free(table);
}

/* A table whose column of numbers has text far behind is read again. */
static void test_late_text(void **state)
{
    enum { ROWS = 6000 };
    static char text[ROWS * 16];
    size_t used = 0;
    (void)state;
    for (int r = 0; r < ROWS; r++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d %s\n", r, r % 3 ? "a" : "b");
    snprintf(text + used, sizeof text - used, "late a\n");
    forage_dataset *table = load("late.data", text, NULL, NULL);
    assert_int_equal(table->count, ROWS + 1);
    column(table, "1", FORAGE_CATEGORICAL);
    forage_dataset_free(table);
}

static void test_bad_input(void **state)
{
    (void)state;
    assert_refused("a.csv", "x,y\n1,2\n", "z", NULL, 0, "there is no such column; there are: x, y");
    assert_refused("a.csv", "x,y\n1,2\n", "3", NULL, 0, "there is no such column");
    assert_refused("a.csv", "x,y\n1,2\n", "y", &(forage_read_options){.ignore = "y"}, 0, "cannot be ignored");
    assert_refused("a.data", "1 2 a\n3 b\n", NULL, NULL, 2, "this row has 2 words, the first has 3");
    assert_refused("a.csv", "1,a\n2,\n", NULL, NULL, 2, "is empty");
    assert_refused("a.csv", "x,y\n", NULL, NULL, 0, "there are no rows");
    assert_refused("a.data", "", NULL, NULL, 0, "empty");
    assert_refused("a.data", "\n \n", NULL, NULL, 3, "this file is empty");
    assert_refused("a.data", "1e999 a\n2 b\n", NULL, NULL, 1, "is not a finite number");
    assert_refused("a.data", "1 2\n", NULL, &(forage_read_options){.format = FORAGE_FILE_PAIRS}, 0, "pairs");
}

/* The words of a log: the format is good for these, too. */
static void test_log_of_words(void **state)
{
    (void)state;
    forage_dataset *log = NULL;
    forage_error error = {0};
    const forage_read_options options = {.format = FORAGE_FILE_WORDS, .header = "user,item,rating"};
    const forage_read_options numbered = {
        .format = FORAGE_FILE_WORDS, .no_header = true, .user = "1", .item = "2", .value = "3"};
    const char *path = file_of("u.data", "7  x 1\n8 y\t0.5\n");
    assert_int_equal(forage_dataset_load(path, &options, NULL, &log, &error), FORAGE_OK);
    assert_int_equal(log->count, 2);
    assert_true(log->value[1] == 0.5F);
    forage_dataset_free(log);
    assert_int_equal(forage_dataset_load(path, &numbered, NULL, &log, &error), FORAGE_OK);
    assert_int_equal(log->count, 2);
    assert_string_equal(log->item_name, "2");
    forage_dataset_free(log);
}

/* What UCI distributes ($FORAGE_DATA; skipped where it is absent). */
static void test_real_tables(void **state)
{
    char path[512];
    const char *data = getenv("FORAGE_DATA");
    forage_dataset *table;
    forage_error error = {0};
    (void)state;
    snprintf(path, sizeof path, "%s/bandit/shuttle.trn", data ? data : "../shared/data");
    if (access(path, R_OK) != 0)
        return; /* skipped: cmocka's skip() would count as a failure */
    assert_int_equal(forage_dataset_load_labelled(path, "last", NULL, NULL, &table, &error), FORAGE_OK);
    assert_int_equal(table->count, 43500);
    assert_int_equal(table->context.column_count, 9);
    for (size_t c = 0; c < 9; c++)
        assert_int_equal(table->context.columns[c].type, FORAGE_NUMERIC);
    forage_dataset_free(table);
    snprintf(path, sizeof path, "%s/bandit/agaricus-lepiota.data", data ? data : "../shared/data");
    assert_int_equal(forage_dataset_load_labelled(path, "first", NULL, NULL, &table, &error), FORAGE_OK);
    assert_int_equal(table->count, 8124);
    assert_int_equal(table->context.column_count, 22);
    assert_int_equal(forage_vocabulary_count(table->items), 2);
    size_t values = 0;
    for (size_t c = 0; c < 22; c++)
        values += forage_vocabulary_count(table->context.columns[c].vocabulary);
    assert_int_equal(values, 117); /* as the literature has it, "?" a category */
    forage_dataset_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_without_header),
        cmocka_unit_test(test_commas_without_header),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_header_is_said),
        cmocka_unit_test(test_first_line_is_kept),
        cmocka_unit_test(test_late_text),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_log_of_words),
        cmocka_unit_test(test_real_tables),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
