/*
 * From the builder to a dataset; loading.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/binary.h"
#include "data/builder.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the log");
}

/* Makes index == number where the ids allow it. *map: old -> new, or NULL where nothing changed. *known
 * marks what appeared; NULL if everything did. */
static forage_status number_ids(forage_vocabulary *vocabulary, uint32_t **map, uint8_t **known, forage_error *error)
{
    size_t old_count = forage_vocabulary_count(vocabulary);
    *known = NULL;
    FORAGE_TRY(forage_vocabulary_number(vocabulary, map, error));
    size_t count = forage_vocabulary_count(vocabulary);
    if (!*map || count == old_count)
        return FORAGE_OK;
    *known = forage_calloc(count, 1);
    if (!*known) {
        forage_free(*map);
        *map = NULL;
        return no_memory(error);
    }
    for (size_t i = 0; i < old_count; i++)
        (*known)[(*map)[i]] = 1;
    return FORAGE_OK;
}

static void apply_map(uint32_t *indices, size_t count, const uint32_t *map)
{
    for (size_t i = 0; map && indices && i < count; i++)
        indices[i] = map[indices[i]];
}

/* An attribute's entries at their places after numbering; entities behind the filled ones lack it. */
static forage_status place_attribute(data_column *from, forage_column *to, size_t rows, const uint32_t *map,
                                     forage_error *error)
{
    if (from->state == DATA_VALUES) {
        to->values = forage_alloc(rows, sizeof *to->values);
        if (!to->values)
            return no_memory(error);
        for (size_t i = 0; i < rows; i++)
            to->values[i] = NAN;
        for (size_t i = 0; i < from->filled; i++)
            to->values[map ? map[i] : i] = from->values[i];
        return FORAGE_OK;
    }
    to->codes = forage_alloc(rows, sizeof *to->codes);
    if (!to->codes)
        return no_memory(error);
    memset(to->codes, 0xff, rows * sizeof *to->codes);
    for (size_t i = 0; i < from->filled; i++)
        to->codes[map ? map[i] : i] = from->codes[i];
    return FORAGE_OK;
}

/* Moves the columns of one role into a table. */
static forage_status move_columns(data_builder *builder, forage_role role, forage_table *table, size_t rows,
                                  const uint32_t *map, forage_error *error)
{
    table->rows = rows;
    table->columns = forage_calloc(builder->column_count, sizeof *table->columns);
    if (!table->columns)
        return no_memory(error);
    for (size_t i = 0; i < builder->column_count; i++) {
        data_column *from = &builder->columns[i];
        if (from->role != role)
            continue;
        forage_column *to = &table->columns[table->column_count++];
        to->type = from->state == DATA_VALUES ? FORAGE_NUMERIC : FORAGE_CATEGORICAL;
        to->name = from->name;
        to->vocabulary = from->vocabulary;
        from->name = NULL;
        from->vocabulary = NULL;
        if (role != FORAGE_ROLE_CONTEXT) {
            FORAGE_TRY(place_attribute(from, to, rows, map, error));
            continue;
        }
        to->codes = from->codes;
        to->values = from->values;
        from->codes = NULL;
        from->values = NULL;
    }
    return FORAGE_OK;
}

#define MOVE(to, from, field)        \
    do {                             \
        (to)->field = (from)->field; \
        (from)->field = NULL;        \
    } while (0)

forage_status data_builder_dataset(data_builder *builder, forage_dataset **dataset, forage_error *error)
{
    forage_status status;
    uint32_t *user_map = NULL, *item_map = NULL;
    forage_dataset *made;
    *dataset = NULL;
    FORAGE_TRY(forage_dataset_create(&made, error));
    MOVE(made, builder, users);
    MOVE(made, builder, items);
    MOVE(made, builder, user);
    MOVE(made, builder, item);
    MOVE(made, builder, value);
    MOVE(made, builder, time);
    MOVE(made, builder, propensity);
    MOVE(made, builder, user_name);
    MOVE(made, builder, item_name);
    MOVE(made, builder, value_name);
    MOVE(made, builder, time_name);
    MOVE(made, builder, propensity_name);
    made->count = made->train_rows = builder->count;
    made->time_is_calendar = builder->time_kind == DATA_TIME_CALENDAR;

    if (made->users)
        FORAGE_TRY_GOTO(number_ids(made->users, &user_map, &made->user_known, error), done);
    FORAGE_TRY_GOTO(number_ids(made->items, &item_map, &made->item_known, error), done);
    apply_map(made->user, made->count, user_map);
    apply_map(made->item, made->count, item_map);
    size_t users = made->users ? forage_vocabulary_count(made->users) : 0;
    FORAGE_TRY_GOTO(move_columns(builder, FORAGE_ROLE_CONTEXT, &made->context, made->count, NULL, error), done);
    FORAGE_TRY_GOTO(move_columns(builder, FORAGE_ROLE_USER_ATTRIBUTE, &made->user_attributes, users, user_map, error),
                    done);
    FORAGE_TRY_GOTO(move_columns(builder, FORAGE_ROLE_ITEM_ATTRIBUTE, &made->item_attributes,
                                 forage_vocabulary_count(made->items), item_map, error),
                    done);
    *dataset = made;
    made = NULL;
    status = FORAGE_OK;
done:
    forage_free(user_map);
    forage_free(item_map);
    forage_dataset_free(made);
    return status;
}

/* ---- loading ---- */

/* Reads one file into the builder. */
static forage_status read_file(data_builder *builder, const char *path, const forage_read_options *options,
                               data_purpose purpose, const forage_progress *progress, forage_error *error)
{
    forage_status status;
    forage_reader *reader;
    forage_rows rows;
    uint64_t total, position, reported = 0;
    size_t read = 0;
    FORAGE_TRY(data_reader_open(path, options, purpose, &reader, error));
    if (reader->format == FORAGE_FILE_BINARY && builder->count == 0) {
        status = data_binary_dataset(reader, progress, &builder->whole, error);
        goto done;
    }
    FORAGE_TRY_GOTO(data_builder_bind(builder, reader, error), done);
    for (;;) {
        FORAGE_TRY_GOTO(forage_reader_next(reader, &rows, error), done);
        if (rows.count == 0)
            break;
        FORAGE_TRY_GOTO(data_builder_rows(builder, &rows, error), done);
        read += rows.count;
        position = forage_reader_position(reader, &total);
        if (position - reported >= 16 * (uint64_t)DATA_BLOCK) {
            reported = position;
            if (!forage_progress_report(progress, "reading", position, total, NULL)) {
                status = forage_fail_at(error, FORAGE_INTERRUPTED, path, 0, NULL, "reading was stopped");
                goto done;
            }
        }
    }
    if (read == 0)
        status = forage_fail_at(error, FORAGE_FORMAT, path, 0, NULL, "there are no rows in this file");
    else if (reported)
        forage_progress_report(progress, "reading", forage_reader_position(reader, &total), total, NULL);
done:
    builder->reader = NULL;
    forage_reader_free(reader);
    return status;
}

/* The RecBole file beside "x.inter", "x" + ending; NULL if there is none. */
static char *sibling(const char *path, const char *ending)
{
    size_t length = strlen(path), stem = length - strlen(".inter");
    if (length <= strlen(".inter") || strcmp(path + stem, ".inter") != 0)
        return NULL;
    char *name = forage_alloc(stem + strlen(ending) + 1, 1);
    if (!name)
        return NULL;
    memcpy(name, path, stem);
    memcpy(name + stem, ending, strlen(ending) + 1);
    if (access(name, R_OK) == 0)
        return name;
    forage_free(name);
    return NULL;
}

static forage_status read_attributes(data_builder *builder, const char *path, const char *given, data_purpose purpose,
                                     const forage_read_options *options, const forage_progress *progress,
                                     forage_error *error)
{
    char *found = given ? NULL : sibling(path, purpose == DATA_USERS ? ".user" : ".item");
    const char *file = given ? given : found;
    forage_status status = FORAGE_OK;
    /* The log's options describe the log: of them only what concerns any file is handed on, and the names of ids. */
    forage_read_options own = {.user = builder->user_name,
                               .item = builder->item_name,
                               .record_limit = options->record_limit,
                               .no_quotes = options->no_quotes,
                               .categorical = options->categorical,
                               .numeric = options->numeric};
    if (file && *file && purpose == DATA_USERS && !builder->users)
        status = given ? forage_fail_at(error, FORAGE_INVALID, given, 0, NULL,
                                        "the log names no users who could have attributes")
                       : FORAGE_OK;
    else if (file && *file)
        status = read_file(builder, file, &own, purpose, progress, error);
    forage_free(found);
    return status;
}

forage_status data_builder_attributes(data_builder *builder, const char *path, const forage_read_options *options,
                                      const forage_progress *progress, forage_error *error)
{
    FORAGE_TRY(read_attributes(builder, path, options->user_attributes, DATA_USERS, options, progress, error));
    return read_attributes(builder, path, options->item_attributes, DATA_ITEMS, options, progress, error);
}

/* What a dataset is read from: a log with its further files, or a labelled table. */
static forage_status read_all(data_builder *builder, const char *path, const forage_read_options *options,
                              data_purpose purpose, const forage_progress *progress, size_t ends[2],
                              forage_error *error)
{
    FORAGE_TRY(read_file(builder, path, options, purpose, progress, error));
    ends[0] = ends[1] = builder->count;
    if (builder->whole)
        return FORAGE_OK;
    if (purpose == DATA_LABELLED)
        return data_builder_finish(builder, error);
    if (options->validation && *options->validation)
        FORAGE_TRY(read_file(builder, options->validation, options, DATA_EVENTS, progress, error));
    ends[1] = builder->count;
    if (options->test && *options->test)
        FORAGE_TRY(read_file(builder, options->test, options, DATA_EVENTS, progress, error));
    FORAGE_TRY(data_builder_attributes(builder, path, options, progress, error));
    return data_builder_finish(builder, error);
}

static void set_parts(forage_dataset *dataset, const size_t ends[2])
{
    dataset->train_rows = ends[0];
    dataset->validation_rows = ends[1] - ends[0];
    dataset->test_rows = dataset->count - ends[1];
}

static forage_status load(const char *path, const forage_read_options *options, data_purpose purpose,
                          const forage_progress *progress, forage_dataset **dataset, forage_error *error)
{
    data_builder *builder;
    size_t ends[2] = {0};
    forage_status status;
    *dataset = NULL;
    FORAGE_TRY(data_builder_create(true, &builder, error));
    for (;;) {
        status = read_all(builder, path, options, purpose, progress, ends, error);
        if (status == FORAGE_OK || !builder->restart)
            break;
        if (!data_can_reread(path)) {
            status = forage_fail(error, FORAGE_FORMAT,
                                 "a column that began with numbers has text further on, and what comes through a pipe "
                                 "cannot be read again; name the column with --categorical");
            break;
        }
        data_builder_reset(builder);
    }
    if (status == FORAGE_OK && builder->whole) {
        *dataset = builder->whole;
        builder->whole = NULL;
    } else if (status == FORAGE_OK) {
        status = data_builder_dataset(builder, dataset, error);
        if (status == FORAGE_OK)
            set_parts(*dataset, ends);
    }
    if (status == FORAGE_OK && error)
        *error = (forage_error){0};
    data_builder_free(builder);
    return status;
}

forage_status forage_dataset_load(const char *path, const forage_read_options *options, const forage_progress *progress,
                                  forage_dataset **dataset, forage_error *error)
{
    static const forage_read_options defaults = {0};
    return load(path, options ? options : &defaults, DATA_EVENTS, progress, dataset, error);
}

forage_status forage_dataset_load_labelled(const char *path, const char *label, const forage_read_options *options,
                                           const forage_progress *progress, forage_dataset **dataset,
                                           forage_error *error)
{
    forage_read_options own = options ? *options : (forage_read_options){0};
    own.item = label ? label : "last";
    if (own.format == FORAGE_FILE_ADJACENCY || own.format == FORAGE_FILE_PAIRS) {
        *dataset = NULL;
        return forage_fail(error, FORAGE_INVALID, "a labelled table cannot have the format %s",
                           forage_file_format_name(own.format));
    }
    return load(path, &own, DATA_LABELLED, progress, dataset, error);
}
