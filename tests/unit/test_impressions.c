/*
 * Impressions of a log of choices (DIN's recipe), and the split by the last time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../must.h"
#include "forage/forage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A file with this text; to be unlinked. */
static const char *file_of(const char *text)
{
    static char path[40];
    snprintf(path, sizeof path, "/tmp/forage-shown-XXXXXX");
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    return path;
}

static forage_dataset *log_of(const char *text)
{
    forage_dataset *dataset;
    forage_error error = {0};
    const forage_read_options options = {.format = FORAGE_FILE_CSV};
    const char *path = file_of(text);
    must(forage_dataset_load(path, &options, NULL, &dataset, &error), &error);
    unlink(path);
    return dataset;
}

/* Ratings in no order, some of them refusals, with an attribute and a context column. */
static forage_dataset *random_log(uint64_t seed, size_t rows)
{
    size_t size = rows * 60 + 200, used = 0;
    char *text = malloc(size);
    forage_rng rng;
    assert_non_null(text);
    forage_rng_seed(&rng, seed);
    forage_append(text, size, &used, "user_id,item_id,rating,time,category,propensity,device\n");
    for (size_t r = 0; r < rows; r++) {
        unsigned user = (unsigned)forage_rng_integers(&rng, 9), item = (unsigned)forage_rng_integers(&rng, 25);
        unsigned rating = (unsigned)forage_rng_integers(&rng, 4), time = (unsigned)forage_rng_integers(&rng, 50);
        forage_append(text, size, &used, "u%u,i%u,%u,%u,k%u,0.5,d%u\n", user, item, rating, time, item % 3,
                      (unsigned)(r % 2));
    }
    forage_dataset *log = log_of(text);
    free(text);
    return log;
}

static void test_impressions(void **state)
{
    enum { ROWS = 150 };
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        forage_dataset *log = random_log(7, ROWS), *made = random_log(7, ROWS), *again = random_log(7, ROWS);
        forage_histories histories;
        forage_error error = {0};
        size_t users = forage_vocabulary_count(log->users);
        must(forage_histories_create(log, NULL, 0, true, &histories, &error), &error);
        must(forage_dataset_impressions(made, seed, &error), &error);
        must(forage_dataset_validate(made, &error), &error);
        assert_int_equal(made->count, 2 * histories.offsets[users]);
        assert_int_equal(made->train_rows, made->count);
        assert_string_equal(made->value_name, "clicked");
        assert_string_equal(made->time_name, "time");
        assert_null(made->propensity);
        assert_int_equal(made->context.column_count, 0);
        assert_int_equal(made->item_attributes.column_count, 1);
        for (uint32_t user = 0; user < users; user++) {
            size_t first = histories.offsets[user], end = histories.offsets[user + 1];
            for (size_t i = first; i < end; i++) {
                for (size_t row = 2 * i; row < 2 * i + 2; row++) {
                    assert_int_equal(made->user[row], user);
                    assert_int_equal(made->time[row], i - first + 1);
                    assert_true(made->value[row] == (row % 2 ? 0 : 1));
                }
                assert_int_equal(made->item[2 * i], log->item[histories.rows[i]]);
                for (size_t j = first; j < end; j++)
                    assert_int_not_equal(made->item[2 * i + 1], log->item[histories.rows[j]]);
            }
        }
        must(forage_dataset_impressions(again, seed + 1, &error), &error);
        assert_memory_not_equal(again->item, made->item, made->count * sizeof *made->item);
        /* It can be saved, and is read back. */
        const char *path = file_of("");
        forage_dataset *read;
        must(forage_dataset_save(made, path, NULL, &error), &error);
        must(forage_dataset_load(path, &(forage_read_options){.format = FORAGE_FILE_BINARY}, NULL, &read, &error),
             &error);
        unlink(path);
        assert_int_equal(read->count, made->count);
        assert_memory_equal(read->item, made->item, made->count * sizeof *made->item);
        assert_memory_equal(read->time, made->time, made->count * sizeof *made->time);
        forage_dataset_free(read);
        forage_histories_release(&histories);
        forage_dataset_free(log);
        forage_dataset_free(made);
        forage_dataset_free(again);
    }
}

/* What nobody chose is drawn as often as any other. */
static void test_uniform(void **state)
{
    enum { ROUNDS = 3000 };
    size_t drawn[8] = {0};
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        forage_dataset *log = log_of("user_id,item_id\nu,a\nv,b\nv,c\nv,d\nv,e\nv,f\nv,g\nv,h\n");
        forage_error error = {0};
        must(forage_dataset_impressions(log, seed, &error), &error);
        drawn[log->item[1]]++;
        forage_dataset_free(log);
    }
    double expected = ROUNDS / 7.0, chi = 0;
    assert_int_equal(drawn[0], 0);
    for (size_t i = 1; i < 8; i++)
        chi += ((double)drawn[i] - expected) * ((double)drawn[i] - expected) / expected;
    assert_true(chi < 22.5); /* 6 degrees of freedom, one in a thousand */
}

static void test_refusals(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"item_id,clicked\na,1\nb,0\n", "names no users"},
        {"user_id,item_id,clicked\nu,a,0\nv,b,0\n", "nobody chose anything"},
        {"user_id,item_id\nu,a\nv,b\nu,b\n", "'u' chose every item"},
    };
    forage_error error = {0};
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        forage_dataset *log = log_of(cases[c].text);
        size_t count = log->count;
        assert_int_equal(forage_dataset_impressions(log, 1, &error), FORAGE_INVALID);
        assert_non_null(strstr(error.message, cases[c].says));
        assert_int_equal(log->count, count);
        must(forage_dataset_validate(log, &error), &error);
        forage_dataset_free(log);
    }
    forage_dataset *log = random_log(1, 40);
    log->train_rows -= 3;
    log->test_rows = 3;
    assert_int_equal(forage_dataset_impressions(log, 1, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "leave-last-time-out"));
    forage_dataset_free(log);
    for (uint64_t nth = 1;; nth++) {
        log = random_log(1, 40);
        forage_alloc_fail_at(nth);
        forage_status status = forage_dataset_impressions(log, 1, &error);
        uint64_t asked = forage_alloc_fail_at(0);
        must(forage_dataset_validate(log, &error), &error);
        if (asked >= nth) {
            assert_int_equal(status, FORAGE_NO_MEMORY);
            assert_int_equal(log->count, 40);
        }
        forage_dataset_free(log);
        if (asked < nth)
            break;
    }
}

/* ---- the split ---- */

/* The part of a row by its definition: how many later times its user has. */
static int part_of(const forage_dataset *log, uint32_t row)
{
    bool times[60] = {0};
    int later = 0, different = 0;
    for (uint32_t r = 0; r < log->count; r++) {
        if (log->user[r] == log->user[row])
            times[log->time[r]] = true;
    }
    for (int t = 0; t < 60; t++) {
        different += times[t];
        later += times[t] && t > log->time[row];
    }
    return different < 3 || later > 1 ? 0 : later == 0 ? 2 : 1;
}

static void test_split(void **state)
{
    (void)state;
    for (size_t rows = 4; rows < 200; rows += 13) {
        forage_dataset *log = random_log(rows, rows);
        forage_split split;
        forage_error error = {0};
        must(forage_split_parse("leave-last-time-out", log, &split, &error), &error);
        const uint32_t *parts[] = {split.train, split.validation, split.test};
        const size_t counts[] = {split.train_count, split.validation_count, split.test_count};
        assert_int_equal(counts[0] + counts[1] + counts[2], log->count);
        for (int part = 0; part < 3; part++) {
            for (size_t i = 0; i < counts[part]; i++) {
                assert_int_equal(part_of(log, parts[part][i]), part);
                assert_true(i == 0 || parts[part][i - 1] < parts[part][i]);
            }
        }
        forage_split_release(&split);
        forage_dataset_free(log);
    }
    forage_dataset *timeless = log_of("user_id,item_id\nu,a\nv,b\n"), *nobody = log_of("item_id,time\na,1\nb,2\n");
    forage_split split;
    forage_error error = {0};
    assert_int_equal(forage_split_parse("leave-last-time-out", timeless, &split, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "no column of times"));
    assert_int_equal(forage_split_parse("leave-last-time-out", nobody, &split, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "no users"));
    forage_dataset_free(timeless);
    forage_dataset_free(nobody);
    forage_dataset *log = random_log(3, 60);
    for (uint64_t nth = 1;; nth++) {
        forage_alloc_fail_at(nth);
        forage_status status = forage_split_parse("leave-last-time-out", log, &split, &error);
        uint64_t asked = forage_alloc_fail_at(0);
        if (asked < nth)
            break;
        assert_int_equal(status, FORAGE_NO_MEMORY);
    }
    forage_split_release(&split);
    forage_dataset_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_impressions),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests_name("impressions", tests, NULL, NULL);
}
