/*
 * data: the binary form of a log: round trips, streaming, and files that are damaged in every way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/binary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/forage-binary-XXXXXX";

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
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof *paths, "%s/%s", folder, name);
    return path;
}

static const char *file_of(const char *name, const void *bytes, size_t size)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

static forage_dataset *load(const char *path, const forage_read_options *options)
{
    forage_dataset *dataset = NULL;
    forage_error error = {0};
    if (forage_dataset_load(path, options, NULL, &dataset, &error) != FORAGE_OK)
        fail_msg("%s: %s", path, error.message);
    assert_int_equal(forage_dataset_validate(dataset, NULL), FORAGE_OK);
    return dataset;
}

static void save(const forage_dataset *dataset, const char *path)
{
    forage_error error = {0};
    if (forage_dataset_save(dataset, path, NULL, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
}

/* ---- comparing ---- */

static void assert_same_bytes(const void *a, const void *b, size_t size)
{
    assert_true((a == NULL) == (b == NULL));
    if (a && size)
        assert_memory_equal(a, b, size);
}

static void assert_same_text(const char *a, const char *b)
{
    assert_true((a == NULL) == (b == NULL));
    if (a)
        assert_string_equal(a, b);
}

static void assert_same_vocabulary(const forage_vocabulary *a, const forage_vocabulary *b)
{
    assert_true((a == NULL) == (b == NULL));
    for (uint32_t i = 0; a && i < forage_vocabulary_count(a); i++) {
        char a_buffer[24], b_buffer[24];
        assert_string_equal(forage_vocabulary_id(a, i, a_buffer, NULL), forage_vocabulary_id(b, i, b_buffer, NULL));
    }
    if (a)
        assert_int_equal(forage_vocabulary_count(a), forage_vocabulary_count(b));
}

static void assert_same_table(const forage_table *a, const forage_table *b)
{
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->column_count, b->column_count);
    for (size_t c = 0; c < a->column_count; c++) {
        assert_string_equal(a->columns[c].name, b->columns[c].name);
        assert_int_equal(a->columns[c].type, b->columns[c].type);
        assert_same_bytes(a->columns[c].codes, b->columns[c].codes, a->rows * 4);
        assert_same_vocabulary(a->columns[c].vocabulary, b->columns[c].vocabulary);
        for (size_t i = 0; a->columns[c].values && i < a->rows; i++)
            assert_true(a->columns[c].values[i] == b->columns[c].values[i] ||
                        (isnan(a->columns[c].values[i]) && isnan(b->columns[c].values[i])));
    }
}

static void assert_same(const forage_dataset *a, const forage_dataset *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->train_rows, b->train_rows);
    assert_int_equal(a->validation_rows, b->validation_rows);
    assert_int_equal(a->test_rows, b->test_rows);
    assert_int_equal(a->time_is_calendar, b->time_is_calendar);
    assert_same_vocabulary(a->users, b->users);
    assert_same_vocabulary(a->items, b->items);
    assert_same_bytes(a->user_known, b->user_known, a->users ? forage_vocabulary_count(a->users) : 0);
    assert_same_bytes(a->item_known, b->item_known, forage_vocabulary_count(a->items));
    assert_same_bytes(a->user, b->user, a->count * 4);
    assert_same_bytes(a->item, b->item, a->count * 4);
    assert_same_bytes(a->value, b->value, a->count * 4);
    assert_same_bytes(a->time, b->time, a->count * 8);
    assert_same_bytes(a->propensity, b->propensity, a->count * 4);
    assert_same_text(a->user_name, b->user_name);
    assert_same_text(a->item_name, b->item_name);
    assert_same_text(a->value_name, b->value_name);
    assert_same_text(a->time_name, b->time_name);
    assert_same_text(a->propensity_name, b->propensity_name);
    assert_same_table(&a->context, &b->context);
    assert_same_table(&a->user_attributes, &b->user_attributes);
    assert_same_table(&a->item_attributes, &b->item_attributes);
}

/* ---- logs ---- */

static const char rich[] = "user_id,item_id,clicked,timestamp,propensity,place,speed,age,category\n"
                           "anna,4,1,2019-11-24 00:03:13.442536+00:00,0.1,top,1.25,33,x\n"
                           "bert,9,0,2019-11-24T00:04Z,0.30000001,bottom,,44,y\n"
                           "\"c\"\"\xc3\xa9\",4,0.5,1969-12-31 23:59:59.5+00:00,1,,1e-30,,x\n"
                           "anna,4,1,2019-11-25,0.0001,top,-3,33,x\n";

static forage_dataset *load_rich(void)
{
    static const forage_read_options options = {.user_columns = "age", .numeric = "age,speed"};
    return load(file_of("rich.csv", rich, sizeof rich - 1), &options);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const char plain[] = "item_id\nb\na\nb\n",
                      numbers[] = "user,item,rating,time\n5,3,1,10\n0,1,2,11\n5,0,3,12\n";
    forage_dataset *logs[] = {load_rich(), load(file_of("plain.csv", plain, sizeof plain - 1), NULL),
                              load(file_of("numbers.csv", numbers, sizeof numbers - 1), NULL)};
    logs[2]->train_rows = 1;
    logs[2]->validation_rows = 2;
    logs[2]->test_rows = 0;
    for (size_t i = 0; i < 3; i++) {
        const char *path = path_of("log.forage");
        save(logs[i], path);
        forage_dataset *again = load(path, NULL);
        assert_same(logs[i], again);
        forage_dataset_free(again);
        /* By its first bytes, whatever its name. */
        const char *other = path_of("log.csv");
        assert_int_equal(rename(path, other), 0);
        again = load(other, NULL);
        assert_same(logs[i], again);
        forage_dataset_free(again);
        forage_dataset_free(logs[i]);
    }
}

/* More rows than a block has, and many columns. */
static void test_blocks(void **state)
{
    enum { ROWS = 200001, COLUMNS = 70 };
    forage_dataset *log;
    forage_rng rng;
    (void)state;
    forage_rng_seed(&rng, 1);
    assert_int_equal(forage_dataset_create(&log, NULL), FORAGE_OK);
    assert_int_equal(forage_vocabulary_create_numbered(300, &log->items, NULL), FORAGE_OK);
    log->count = log->train_rows = log->context.rows = ROWS;
    log->item_attributes.rows = 300;
    log->item = forage_alloc(ROWS, sizeof *log->item);
    log->time = forage_alloc(ROWS, sizeof *log->time);
    log->propensity = forage_alloc(ROWS, sizeof *log->propensity);
    for (size_t i = 0; i < ROWS; i++) {
        log->item[i] = (uint32_t)forage_rng_integers(&rng, 300);
        log->time[i] = (int64_t)forage_rng_u64(&rng);
        log->propensity[i] = 1.0F - (float)forage_rng_double(&rng) * 0.5F;
    }
    for (size_t c = 0; c < COLUMNS; c++) {
        char name[8];
        forage_column *column;
        snprintf(name, sizeof name, "x%zu", c);
        assert_int_equal(forage_table_add(&log->context, name, FORAGE_NUMERIC, &column, NULL), FORAGE_OK);
        for (size_t i = 0; i < ROWS; i++)
            column->values[i] = (float)forage_rng_normal(&rng);
    }
    const char *path = path_of("blocks.forage");
    save(log, path);
    forage_dataset *again = load(path, NULL);
    /* The log has no names; a file needs them, and gives the usual ones. */
    assert_string_equal(again->item_name, "item_id");
    log->item_name = forage_strdup("item_id");
    log->time_name = forage_strdup("timestamp");
    log->propensity_name = forage_strdup("propensity");
    assert_same(log, again);
    forage_dataset_free(log);
    forage_dataset_free(again);
}

static char *contents(const char *path, size_t *size)
{
    char *bytes;
    assert_int_equal(forage_read_file(path, 1 << 24, &bytes, size, NULL), FORAGE_OK);
    return bytes;
}

/* Streaming: what a binary log becomes as CSV is what the log became directly. */
static void test_conversion(void **state)
{
    (void)state;
    const forage_read_options options = {.user_columns = "age", .numeric = "age,speed"};
    const char *csv = file_of("rich.csv", rich, sizeof rich - 1), *binary = path_of("rich.forage"),
               *out = path_of("out.jsonl");
    forage_error error = {0};
    forage_summary summary;
    char *direct, *through;
    size_t direct_size, through_size;
    if (forage_convert(csv, &options, &(forage_convert_target){.output = binary}, NULL, NULL, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    forage_dataset *first = load_rich(), *second = load(binary, NULL);
    assert_same(first, second);
    assert_int_equal(forage_convert(binary, NULL, &(forage_convert_target){.output = out}, NULL, &summary, &error),
                     FORAGE_OK);
    assert_int_equal(summary.rows, 4);
    assert_int_equal(summary.format, FORAGE_FILE_BINARY);
    assert_true(summary.time_is_calendar && summary.first_time == -500000);
    forage_summary_release(&summary);
    /* Times, and numbers in single precision, have other texts; the log is the same. */
    forage_dataset *third = load(out, &options);
    assert_same(first, third);
    through = contents(out, &through_size);
    assert_int_equal(
        forage_convert(out, &options, &(forage_convert_target){.output = path_of("again.forage")}, NULL, NULL, &error),
        FORAGE_OK);
    forage_free(through);
    direct = contents(binary, &direct_size);
    through = contents(path_of("again.forage"), &through_size);
    assert_int_equal(direct_size, through_size);
    assert_memory_equal(direct, through, direct_size);
    forage_free(direct);
    forage_free(through);
    forage_dataset_free(first);
    forage_dataset_free(second);
    forage_dataset_free(third);
}

static void test_calendar_text(void **state)
{
    (void)state;
    static const struct {
        int64_t time;
        const char *text;
    } cases[] = {{0, "1970-01-01 00:00:00.000000+00:00"},
                 {-1, "1969-12-31 23:59:59.999999+00:00"},
                 {951782400000000, "2000-02-29 00:00:00.000000+00:00"},
                 {1574553793442536, "2019-11-24 00:03:13.442536+00:00"},
                 {-62167219200000000, "0000-01-01 00:00:00.000000+00:00"},
                 {253402300799999999, "9999-12-31 23:59:59.999999+00:00"}};
    char text[40];
    int64_t back;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length = data_format_iso8601(cases[i].time, text);
        assert_string_equal(text, cases[i].text);
        assert_true(data_parse_iso8601(text, length, &back) && back == cases[i].time);
    }
    assert_int_equal(data_format_iso8601(253402300800000000, text), 0);
    assert_int_equal(data_format_iso8601(INT64_MIN, text), 0);
}

/* ---- damage ---- */

static void assert_refused(const char *path, const forage_read_options *options, const char *expected)
{
    forage_dataset *dataset = NULL;
    forage_error error = {0};
    assert_int_not_equal(forage_dataset_load(path, options, NULL, &dataset, &error), FORAGE_OK);
    assert_null(dataset);
    if (!strstr(error.message, expected))
        fail_msg("expected \"%s\", got: %s", expected, error.message);
}

/* Every byte changed, and the file cut at every byte: all of it is noticed. */
static void test_damage(void **state)
{
    (void)state;
    forage_dataset *log = load_rich();
    size_t size;
    const char *path = path_of("log.forage");
    save(log, path);
    forage_dataset_free(log);
    char *bytes = contents(path, &size);
    const forage_read_options binary = {.format = FORAGE_FILE_BINARY};
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x10;
        assert_refused(file_of("damaged.forage", bytes, size), &binary, "");
        bytes[i] ^= 0x10;
        assert_refused(file_of("cut.forage", bytes, i), &binary, "");
    }
    assert_refused(file_of("cut.forage", bytes, size - 1), NULL, "it ends too early");
    bytes = forage_realloc(bytes, size, size + 1, 1);
    bytes[size] = '\n';
    assert_refused(file_of("longer.forage", bytes, size + 1), NULL, "there is something behind its end");
    assert_refused(file_of("text.forage", "a,b\n1,2\n", 8), NULL, "this is not a binary log");
    forage_free(bytes);
}

/* A part that claims to be huge, with checksums that fit, takes no memory to speak of. */
static void test_hostile_sizes(void **state)
{
    (void)state;
    unsigned char file[64] = {0};
    const uint32_t version = 1, tag = DATA_BINARY_SCHEMA;
    const uint64_t rows = 4000000000U, huge = (uint64_t)1 << 45;
    memcpy(file, DATA_BINARY_MAGIC, 8);
    memcpy(file + 8, &version, 4);
    memcpy(file + 16, &rows, 8);
    const uint64_t checksum = forage_checksum(file, 24, 0);
    memcpy(file + 24, &checksum, 8);
    memcpy(file + 32, &tag, 4);
    memcpy(file + 40, &huge, 8);
    assert_refused(file_of("huge.forage", file, sizeof file), NULL, "impossible size");
    const uint32_t newer = 2;
    memcpy(file + 8, &newer, 4);
    const uint64_t other = forage_checksum(file, 24, 0);
    memcpy(file + 24, &other, 8);
    assert_refused(file_of("newer.forage", file, sizeof file), NULL, "has version 2");
}

static void test_options(void **state)
{
    (void)state;
    forage_dataset *log = load_rich();
    const char *path = path_of("log.forage");
    save(log, path);
    assert_refused(path, &(forage_read_options){.user = "age"}, "says itself what its columns are");
    assert_refused(path, &(forage_read_options){.test = "other.csv"}, "says itself what its columns are");
    /* A binary log as the test part of another. */
    const forage_read_options options = {.user_columns = "age", .numeric = "age,speed", .test = path};
    forage_dataset *both;
    forage_error error = {0};
    assert_int_equal(forage_dataset_load(path_of("rich.csv"), &options, NULL, &both, &error), FORAGE_INVALID);
    log->count = 0;
    log->train_rows = 0;
    log->context.rows = 0;
    assert_int_equal(forage_dataset_save(log, path_of("none.forage"), NULL, &error), FORAGE_INVALID);
    log->count = log->train_rows = 4;
    log->context.rows = 4;
    log->item[0] = 77;
    assert_int_equal(forage_dataset_save(log, path_of("none.forage"), NULL, &error), FORAGE_INVALID);
    assert_int_not_equal(access(path_of("none.forage"), F_OK), 0);
    forage_dataset_free(log);
    forage_writer *writer;
    const forage_reader_column column = {"item", FORAGE_ROLE_ITEM, -1};
    assert_int_equal(forage_writer_open(path_of("x.forage"), FORAGE_FILE_AUTO, &column, 1, &writer, &error),
                     FORAGE_UNSUPPORTED);
}

/* Every allocation fails once: an error, and nothing is left. */
static void test_allocation(void **state)
{
    (void)state;
    forage_dataset *log = load_rich(), *again;
    const char *path = path_of("log.forage");
    save(log, path);
    forage_dataset_free(log);
    for (uint64_t nth = 1;; nth++) {
        forage_error error = {0};
        forage_alloc_fail_at(nth);
        forage_status status = forage_dataset_load(path, NULL, NULL, &again, &error);
        forage_alloc_fail_at(0);
        if (status == FORAGE_OK) {
            assert_true(nth > 20);
            break;
        }
        assert_int_equal(status, FORAGE_NO_MEMORY);
        assert_null(again);
    }
    for (uint64_t nth = 1;; nth++) {
        forage_error error = {0};
        forage_alloc_fail_at(nth);
        forage_status status = forage_dataset_save(again, path, NULL, &error);
        forage_alloc_fail_at(0);
        if (status == FORAGE_OK)
            break;
        assert_int_equal(status, FORAGE_NO_MEMORY);
    }
    forage_dataset_free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_blocks),     cmocka_unit_test(test_conversion),
        cmocka_unit_test(test_calendar_text), cmocka_unit_test(test_damage),     cmocka_unit_test(test_hostile_sizes),
        cmocka_unit_test(test_options),       cmocka_unit_test(test_allocation),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
