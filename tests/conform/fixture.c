/*
 * fixture.c: small logs, and fits of every model to them, for the conformance tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fixture.h"

#include "model/front.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

const log_kind kinds[3] = {LOG_NUMBERED, LOG_NAMED, LOG_WITHOUT_USERS};

size_t model_count(void)
{
    size_t count;
    (void)forage_models(&count);
    return count;
}

void must(forage_status status, const forage_error *error)
{
    char text[1024];
    forage_error_text(error, text, sizeof text);
    if (status != FORAGE_OK)
        fail_msg("%s: %s", forage_status_name(status), text);
}

void clear_message(const forage_error *error, forage_status wanted)
{
    if (error->status != wanted)
        fail_msg("%s instead of %s: %s", forage_status_name(error->status), forage_status_name(wanted), error->message);
    assert_true(strlen(error->message) >= 10);
    assert_null(strchr(error->message, '\n'));
}

static forage_vocabulary *vocabulary(size_t count, const char *prefix)
{
    forage_vocabulary *made;
    forage_error error = {0};
    if (!prefix) {
        must(forage_vocabulary_create_numbered(count, &made, &error), &error);
        return made;
    }
    must(forage_vocabulary_create(&made, &error), &error);
    for (size_t i = 0; i < count; i++) {
        char id[40];
        uint32_t index;
        /* Bytes that a text format must not trip over. */
        int length = snprintf(id, sizeof id, "%s%zu%s", prefix, i, i % 3 ? "" : "%\n\xff\xc3\xa9");
        must(forage_vocabulary_add(made, id, (size_t)length, &index, &error), &error);
    }
    return made;
}

static void *array(size_t count, size_t size)
{
    void *made = forage_calloc(count + 1, size);
    assert_non_null(made);
    return made;
}

static void add_column(forage_table *table, size_t rows, const char *name, forage_column_type type, size_t values)
{
    forage_column *columns =
        forage_realloc(table->columns, table->column_count, table->column_count + 1, sizeof *columns);
    assert_non_null(columns);
    table->columns = columns;
    table->rows = rows;
    forage_column *column = &columns[table->column_count++];
    *column = (forage_column){.name = forage_strdup(name), .type = type};
    assert_non_null(column->name);
    if (type == FORAGE_NUMERIC) {
        column->values = array(rows, sizeof(float));
        for (size_t i = 0; i < rows; i++)
            column->values[i] = i % 11 == 3 ? NAN : (float)((i * 7) % 13) - 3.25F;
        return;
    }
    column->vocabulary = vocabulary(values, name);
    column->codes = array(rows, sizeof(uint32_t));
    for (size_t i = 0; i < rows; i++)
        column->codes[i] = i % 17 == 5 ? FORAGE_NONE : (uint32_t)((i * 5) % values);
}

forage_dataset *log_create(log_kind kind, size_t users, size_t items)
{
    forage_dataset *log = array(1, sizeof *log);
    forage_rng rng;
    forage_rng_seed(&rng, 7);
    bool named = kind != LOG_NUMBERED, with_users = kind != LOG_WITHOUT_USERS;
    log->count = log->train_rows = LOG_ROWS;
    log->items = vocabulary(items, named ? "item " : NULL);
    log->item = array(LOG_ROWS, sizeof *log->item);
    log->value = array(LOG_ROWS, sizeof *log->value);
    if (with_users) {
        log->users = vocabulary(users, named ? "user " : NULL);
        log->user = array(LOG_ROWS, sizeof *log->user);
    }
    for (size_t row = 0; row < LOG_ROWS; row++) {
        uint32_t user = (uint32_t)forage_rng_integers(&rng, users), item = (uint32_t)forage_rng_integers(&rng, items);
        if (with_users)
            log->user[row] = user;
        log->item[row] = item;
        log->value[row] = (float)(forage_rng_double(&rng) < ((user + item) % 3 == 0 ? 0.7 : 0.15));
    }
    log->context.rows = LOG_ROWS;
    log->item_attributes.rows = items;
    log->user_attributes.rows = with_users ? users : 0;
    if (named) {
        add_column(&log->item_attributes, items, "category", FORAGE_CATEGORICAL, 4);
        add_column(&log->item_attributes, items, "price", FORAGE_NUMERIC, 0);
        add_column(&log->context, LOG_ROWS, "position", FORAGE_CATEGORICAL, 3);
        add_column(&log->context, LOG_ROWS, "hour", FORAGE_NUMERIC, 0);
        if (with_users)
            add_column(&log->user_attributes, users, "age", FORAGE_NUMERIC, 0);
    }
    return log;
}

forage_split log_split(void)
{
    forage_split split = {.train_count = LOG_TRAIN, .validation_count = LOG_ROWS - LOG_TRAIN};
    split.train = array(LOG_ROWS, sizeof *split.train);
    split.validation = split.train + LOG_TRAIN;
    for (uint32_t row = 0; row < LOG_ROWS; row++)
        split.train[row] = row;
    return split;
}

void log_split_free(forage_split *split)
{
    forage_free(split->train);
}

forage_params *short_params(const forage_model_info *info)
{
    static const char *const wanted[][2] = {
        {"epochs", "3"}, {"batch-size", "64"}, {"embedding-size", "8"}, {"layers", "16,8"}};
    forage_params *params;
    forage_error error = {0};
    must(forage_params_create(&info->table, &params, &error), &error);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        size_t count;
        bool list = forage_params_list(params, wanted[i][0], &count) != NULL;
        if (forage_params_text(params, wanted[i][0]) && (list || !strchr(wanted[i][1], ',')))
            must(forage_params_set(params, wanted[i][0], wanted[i][1], &error), &error);
    }
    return params;
}

bool fits(const forage_model_info *info, log_kind kind)
{
    bool needs_user = model_type_of(info)->reads & (MODEL_NEEDS_USER | MODEL_READS_HISTORY);
    return info->capabilities & FORAGE_CAN_FIT && !(needs_user && kind == LOG_WITHOUT_USERS);
}

forage_model *fit(const forage_model_info *info, const forage_dataset *dataset, uint64_t seed, int threads)
{
    forage_error error = {0};
    forage_device device;
    forage_model *model;
    must(forage_device_open("auto", threads, &device, &error), &error);
    forage_params *params = short_params(info);
    forage_split split = log_split();
    forage_fit_options options = {.device = &device, .seed = seed, .fields = "all"};
    must(forage_model_fit(info, params, dataset, &split, &options, NULL, &model, &error), &error);
    log_split_free(&split);
    forage_params_free(params);
    return model;
}

static char folder[200];

static void remove_folder(void)
{
    rmdir(folder);
}

const char *scratch_path(const char *name)
{
    static char paths[4][300];
    static int next;
    if (!folder[0]) {
        const char *parent = getenv("TMPDIR");
        if (!parent) /* thousands of small files: in memory, if there is such a place */
            parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(folder, sizeof folder, "%s/forage-conform-XXXXXX", parent);
        assert_non_null(mkdtemp(folder));
        atexit(remove_folder);
    }
    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
    return paths[next];
}

char *slurp(const char *path, size_t *size)
{
    char *bytes;
    forage_error error = {0};
    must(forage_read_file(path, (size_t)1 << 28, &bytes, size, &error), &error);
    return bytes;
}

void spill(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

forage_binding *bind_to(const forage_model *model, const forage_dataset *log, forage_unknown unknown)
{
    forage_binding *binding;
    forage_error error = {0};
    must(forage_model_bind(model, log, unknown, "log.csv", &binding, &error), &error);
    return binding;
}

const uint32_t *all_rows(void)
{
    static uint32_t rows[LOG_ROWS];
    for (uint32_t row = 0; row < LOG_ROWS; row++)
        rows[row] = row;
    return rows;
}

void score_all(const forage_model *model, const forage_dataset *log, float *mean)
{
    forage_error error = {0};
    forage_binding *binding = bind_to(model, log, FORAGE_UNKNOWN_ERROR);
    must(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), &error);
    forage_binding_free(binding);
}
