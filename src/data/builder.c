/*
 * The builder: rows of text become indices, numbers and codes. This file has ids, values,
 * times and propensities; columns.c has context columns and attributes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/builder.h"

#include <math.h>
#include <string.h>

/* ---- making, emptying ---- */

static void release_columns(data_builder *builder)
{
    for (size_t i = 0; i < builder->column_count; i++) {
        forage_free(builder->columns[i].name);
        forage_vocabulary_free(builder->columns[i].vocabulary);
        forage_free(builder->columns[i].codes);
        forage_free(builder->columns[i].values);
    }
    forage_free(builder->columns);
}

static void release(data_builder *builder)
{
    release_columns(builder);
    forage_vocabulary_free(builder->users);
    forage_vocabulary_free(builder->items);
    forage_free(builder->user);
    forage_free(builder->item);
    forage_free(builder->value);
    forage_free(builder->propensity);
    forage_free(builder->time);
    forage_free(builder->user_name);
    forage_free(builder->item_name);
    forage_free(builder->value_name);
    forage_free(builder->time_name);
    forage_free(builder->propensity_name);
    forage_free(builder->batch_user);
    forage_free(builder->batch_item);
    forage_free(builder->target);
}

void data_builder_free(data_builder *builder)
{
    if (!builder)
        return;
    release(builder);
    forage_free(builder->force_categorical);
    forage_dataset_free(builder->whole);
    forage_free(builder);
}

static void begin(data_builder *builder, bool keep_rows, char *force_categorical)
{
    *builder = (data_builder){
        .keep_rows = keep_rows,
        .force_categorical = force_categorical,
        .first_time = INT64_MAX,
        .last_time = INT64_MIN,
        .value_minimum = INFINITY,
        .value_maximum = -INFINITY,
        .propensity_minimum = INFINITY,
        .propensity_maximum = -INFINITY,
        .binary = true,
    };
}

forage_status data_builder_create(bool keep_rows, data_builder **builder, forage_error *error)
{
    *builder = forage_alloc(1, sizeof **builder);
    if (!*builder)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to read a log");
    begin(*builder, keep_rows, NULL);
    return FORAGE_OK;
}

void data_builder_reset(data_builder *builder)
{
    release(builder);
    begin(builder, builder->keep_rows, builder->force_categorical);
}

/* ---- errors ---- */

forage_status data_no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the log");
}

forage_status data_bad_field(const data_builder *builder, const forage_rows *rows, size_t column, size_t row,
                             const char *what, forage_error *error)
{
    const char *name = builder->reader->columns[column].name;
    forage_text text = data_text_at(rows, column, row);
    return forage_fail_at(error, FORAGE_FORMAT, builder->reader->source.path, rows->lines[row],
                          data_excerpt_of(name, strlen(name)).text, "'%s' %s",
                          data_excerpt_of(text.bytes, text.length).text, what);
}

/* ---- the file in hand ---- */

static data_column *find_column(const data_builder *builder, const char *name, forage_role role)
{
    for (size_t i = 0; i < builder->column_count; i++)
        if (builder->columns[i].role == role && strcmp(builder->columns[i].name, name) == 0)
            return &builder->columns[i];
    return NULL;
}

static bool is_forced(const data_builder *builder, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = builder->force_categorical; at && *at; at += strcspn(at, "\n") + 1)
        if (strncmp(at, name, length) == 0 && at[length] == '\n')
            return true;
    return false;
}

static forage_status add_column(data_builder *builder, const forage_reader_column *source, forage_error *error)
{
    data_column *columns =
        forage_realloc(builder->columns, builder->column_count, builder->column_count + 1, sizeof *columns);
    if (!columns)
        return data_no_memory(error);
    builder->columns = columns;
    data_column *column = &columns[builder->column_count];
    *column = (data_column){.role = source->role,
                            .state = source->declared_type == FORAGE_NUMERIC       ? DATA_VALUES
                                     : source->declared_type == FORAGE_CATEGORICAL ? DATA_CODES
                                                                                   : DATA_UNDECIDED,
                            .declared = source->declared_type >= 0,
                            .minimum = INFINITY,
                            .maximum = -INFINITY};
    if (is_forced(builder, source->name))
        column->state = DATA_CODES;
    column->name = forage_strdup(source->name);
    if (!column->name)
        return data_no_memory(error);
    builder->column_count++;
    return column->state == DATA_VALUES ? FORAGE_OK : forage_vocabulary_create(&column->vocabulary, error);
}

static char **role_name(data_builder *builder, forage_role role)
{
    switch (role) {
    case FORAGE_ROLE_USER:
        return &builder->user_name;
    case FORAGE_ROLE_ITEM:
        return &builder->item_name;
    case FORAGE_ROLE_VALUE:
        return &builder->value_name;
    case FORAGE_ROLE_TIME:
        return &builder->time_name;
    case FORAGE_ROLE_PROPENSITY:
        return &builder->propensity_name;
    default:
        return NULL;
    }
}

/* The first file of events says which columns there are. */
static forage_status define_events(data_builder *builder, forage_error *error)
{
    const forage_reader *reader = builder->reader;
    FORAGE_TRY(forage_vocabulary_create(&builder->items, error));
    for (size_t c = 0; c < reader->column_count; c++) {
        char **name = role_name(builder, reader->columns[c].role);
        if (name && !(*name = forage_strdup(reader->columns[c].name)))
            return data_no_memory(error);
    }
    if (builder->user_name)
        FORAGE_TRY(forage_vocabulary_create(&builder->users, error));
    return FORAGE_OK;
}

/* A further file of events must have the same columns. */
static forage_status check_events(const data_builder *builder, forage_error *error)
{
    static const forage_role roles[] = {FORAGE_ROLE_USER, FORAGE_ROLE_ITEM, FORAGE_ROLE_VALUE, FORAGE_ROLE_TIME,
                                        FORAGE_ROLE_PROPENSITY};
    const char *const names[] = {builder->user_name, builder->item_name, builder->value_name, builder->time_name,
                                 builder->propensity_name};
    const forage_reader *reader = builder->reader;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        bool found = false;
        for (size_t c = 0; c < reader->column_count; c++)
            found |= reader->columns[c].role == roles[i];
        if (found != (names[i] != NULL))
            return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 0, names[i],
                                  "this file %s a column for the %s, the log of training %s", found ? "has" : "lacks",
                                  forage_role_name(roles[i]), found ? "has none" : "has one");
    }
    for (size_t i = 0; i < builder->column_count; i++) {
        bool found = builder->columns[i].role != FORAGE_ROLE_CONTEXT;
        for (size_t c = 0; c < reader->column_count && !found; c++)
            found = reader->columns[c].role == FORAGE_ROLE_CONTEXT &&
                    strcmp(reader->columns[c].name, builder->columns[i].name) == 0;
        if (!found)
            return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 0, builder->columns[i].name,
                                  "this file lacks the column, which the log of training has");
    }
    return FORAGE_OK;
}

forage_status data_builder_bind(data_builder *builder, forage_reader *reader, forage_error *error)
{
    builder->reader = reader;
    builder->labelled = reader->labelled;
    bool events = reader->purpose == DATA_EVENTS, first = builder->items == NULL;
    if (!events && first)
        return forage_fail(error, FORAGE_INVALID, "attributes need a log of events first");
    if (events)
        FORAGE_TRY(first ? define_events(builder, error) : check_events(builder, error));
    if (!builder->batch_item) {
        builder->batch_user = forage_alloc(DATA_BATCH_ROWS, sizeof *builder->batch_user);
        builder->batch_item = forage_alloc(DATA_BATCH_ROWS, sizeof *builder->batch_item);
        if (!builder->batch_user || !builder->batch_item)
            return data_no_memory(error);
    }
    forage_free(builder->target);
    builder->target = forage_alloc(reader->column_count, sizeof *builder->target);
    if (!builder->target)
        return data_no_memory(error);
    for (size_t c = 0; c < reader->column_count; c++) {
        const forage_reader_column *source = &reader->columns[c];
        builder->target[c] = SIZE_MAX;
        if (source->role < FORAGE_ROLE_CONTEXT)
            continue;
        data_column *column = find_column(builder, source->name, source->role);
        if (!column && events && !first && source->role == FORAGE_ROLE_CONTEXT)
            return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 0, source->name,
                                  "the log of training lacks this column (it can be ignored)");
        if (!column) {
            FORAGE_TRY(add_column(builder, source, error));
            column = &builder->columns[builder->column_count - 1];
        }
        builder->target[c] = (size_t)(column - builder->columns);
    }
    return FORAGE_OK;
}

/* ---- ids ---- */

static forage_status add_ids(data_builder *builder, const forage_rows *rows, size_t c, forage_vocabulary *vocabulary,
                             uint32_t *indices, forage_error *error)
{
    const forage_text *text = rows->fields + c * rows->stride;
    size_t known = forage_vocabulary_count(vocabulary);
    for (size_t r = 0; r < rows->count; r++) {
        if (text[r].length == 0)
            return data_bad_field(builder, rows, c, r, "is not an id: it is empty", error);
        FORAGE_TRY(forage_vocabulary_add(vocabulary, text[r].bytes, text[r].length, &indices[r], error));
        if (indices[r] == known) {
            known++;
            if (!data_valid_utf8(text[r].bytes, text[r].length))
                return data_bad_field(builder, rows, c, r, "is not UTF-8 (convert the file: iconv -f LATIN1 -t UTF-8)",
                                      error);
        }
    }
    return FORAGE_OK;
}

/* ---- numbers ---- */

/* A finite number, also as a float; false otherwise. */
bool data_finite_number(forage_text text, double *value)
{
    if (text.length == 1 && text.bytes[0] >= '0' && text.bytes[0] <= '9') {
        *value = text.bytes[0] - '0';
        return true;
    }
    return forage_parse_real(text.bytes, text.length, value) && isfinite((float)*value);
}

static forage_status add_values(data_builder *builder, const forage_rows *rows, size_t c, float *values,
                                forage_error *error)
{
    const forage_text *text = rows->fields + c * rows->stride;
    double sum = builder->value_sum, minimum = builder->value_minimum, maximum = builder->value_maximum;
    bool binary = builder->binary;
    for (size_t r = 0; r < rows->count; r++) {
        double value;
        if (!data_finite_number(text[r], &value))
            return data_bad_field(builder, rows, c, r, "is not a finite number", error);
        if (values)
            values[r] = (float)value;
        sum += value;
        minimum = value < minimum ? value : minimum;
        maximum = value > maximum ? value : maximum;
        binary &= value == 0.0 || value == 1.0;
    }
    builder->value_sum = sum;
    builder->value_minimum = minimum;
    builder->value_maximum = maximum;
    builder->binary = binary;
    return FORAGE_OK;
}

static forage_status add_propensities(data_builder *builder, const forage_rows *rows, size_t c, float *values,
                                      forage_error *error)
{
    for (size_t r = 0; r < rows->count; r++) {
        double value;
        if (!data_finite_number(data_text_at(rows, c, r), &value) || !((float)value > 0.0F && value <= 1.0))
            return data_bad_field(builder, rows, c, r, "is not a probability in (0, 1]", error);
        if (values)
            values[r] = (float)value;
        builder->propensity_sum += value;
        builder->propensity_minimum = fmin(builder->propensity_minimum, value);
        builder->propensity_maximum = fmax(builder->propensity_maximum, value);
    }
    return FORAGE_OK;
}

/* ---- time ---- */

enum { SECONDS_TO_MICROSECONDS = 1000000 };

/* The first number with a fraction after whole ones: all become microseconds. */
static forage_status whole_to_fraction(data_builder *builder, const forage_rows *rows, size_t c, size_t row,
                                       forage_error *error)
{
    bool overflow = false;
    for (size_t i = 0; builder->time && i < builder->count + row; i++)
        overflow |= __builtin_mul_overflow(builder->time[i], (int64_t)SECONDS_TO_MICROSECONDS, &builder->time[i]);
    if (builder->first_time <= builder->last_time) {
        overflow |= __builtin_mul_overflow(builder->first_time, (int64_t)SECONDS_TO_MICROSECONDS, &builder->first_time);
        overflow |= __builtin_mul_overflow(builder->last_time, (int64_t)SECONDS_TO_MICROSECONDS, &builder->last_time);
    }
    if (overflow)
        return data_bad_field(builder, rows, c, row, "has a fraction, but earlier times are too large to be seconds",
                              error);
    builder->time_kind = DATA_TIME_FRACTION;
    return FORAGE_OK;
}

static forage_status add_times(data_builder *builder, const forage_rows *rows, size_t c, int64_t *times,
                               forage_error *error)
{
    for (size_t r = 0; r < rows->count; r++) {
        int64_t time = 0;
        data_time_kind kind = data_time_of(data_text_at(rows, c, r), &time);
        if (kind == DATA_TIME_NONE)
            return data_bad_field(builder, rows, c, r, "is neither a number nor a time as 2019-11-24 00:03:13+00:00",
                                  error);
        if (builder->time_kind == DATA_TIME_NONE)
            builder->time_kind = kind;
        if (kind == DATA_TIME_FRACTION && builder->time_kind == DATA_TIME_WHOLE)
            FORAGE_TRY(whole_to_fraction(builder, rows, c, r, error));
        if (kind == DATA_TIME_WHOLE && builder->time_kind == DATA_TIME_FRACTION) {
            kind = DATA_TIME_FRACTION;
            if (__builtin_mul_overflow(time, (int64_t)SECONDS_TO_MICROSECONDS, &time))
                return data_bad_field(builder, rows, c, r, "is too large to be seconds", error);
        }
        if (kind != builder->time_kind)
            return data_bad_field(builder, rows, c, r,
                                  kind == DATA_TIME_CALENDAR ? "is a date, but earlier times are numbers"
                                                             : "is a number, but earlier times are dates",
                                  error);
        if (times)
            times[r] = time;
        builder->first_time = time < builder->first_time ? time : builder->first_time;
        builder->last_time = time > builder->last_time ? time : builder->last_time;
    }
    return FORAGE_OK;
}

/* ---- rows ---- */

/* Room for `count` rows more; how many there will be is judged by the part of the file that was read. */
static forage_status reserve_rows(data_builder *builder, size_t count, forage_error *error)
{
    size_t needed = builder->count + count, capacity = needed + needed / 2;
    uint64_t total, position = forage_reader_position(builder->reader, &total);
    if (needed > FORAGE_MAX_ROWS)
        return forage_fail_at(error, FORAGE_UNSUPPORTED, builder->reader->source.path, 0, NULL,
                              "more than %zu rows do not fit into one dataset", FORAGE_MAX_ROWS);
    if (!builder->keep_rows || needed <= builder->capacity)
        return FORAGE_OK;
    if (position && position < total && builder->count == 0) {
        double judged = (double)needed * ((double)total / (double)position) * 1.01 + DATA_BATCH_ROWS;
        if (judged < (double)FORAGE_MAX_ROWS && judged > (double)capacity)
            capacity = (size_t)judged;
    }
#define GROW(array)                                                                                      \
    do {                                                                                                 \
        void *larger = forage_realloc(builder->array, builder->count, capacity, sizeof *builder->array); \
        if (!larger)                                                                                     \
            return data_no_memory(error);                                                                \
        builder->array = larger;                                                                         \
    } while (0)
    GROW(item);
    if (builder->user_name)
        GROW(user);
    if (builder->value_name)
        GROW(value);
    if (builder->propensity_name)
        GROW(propensity);
    if (builder->time_name)
        GROW(time);
#undef GROW
    builder->capacity = capacity;
    return FORAGE_OK;
}

/* The columns of one role, for a batch. */
static forage_status add_role(data_builder *builder, const forage_rows *rows, size_t c, forage_error *error)
{
    bool keep = builder->keep_rows && builder->reader->purpose == DATA_EVENTS;
    switch (builder->reader->columns[c].role) {
    case FORAGE_ROLE_USER:
        FORAGE_TRY(add_ids(builder, rows, c, builder->users, builder->batch_user, error));
        if (keep)
            memcpy(builder->user + builder->count, builder->batch_user, rows->count * sizeof *builder->user);
        return FORAGE_OK;
    case FORAGE_ROLE_ITEM:
        FORAGE_TRY(add_ids(builder, rows, c, builder->items, builder->batch_item, error));
        if (keep)
            memcpy(builder->item + builder->count, builder->batch_item, rows->count * sizeof *builder->item);
        return FORAGE_OK;
    case FORAGE_ROLE_VALUE:
        return add_values(builder, rows, c, keep ? builder->value + builder->count : NULL, error);
    case FORAGE_ROLE_TIME:
        return add_times(builder, rows, c, keep ? builder->time + builder->count : NULL, error);
    case FORAGE_ROLE_PROPENSITY:
        return add_propensities(builder, rows, c, keep ? builder->propensity + builder->count : NULL, error);
    default:
        return FORAGE_OK;
    }
}

forage_status data_builder_rows(data_builder *builder, const forage_rows *rows, forage_error *error)
{
    bool events = builder->reader->purpose == DATA_EVENTS;
    if (events)
        FORAGE_TRY(reserve_rows(builder, rows->count, error));
    for (size_t c = 0; c < rows->column_count; c++)
        FORAGE_TRY(add_role(builder, rows, c, error));
    for (size_t c = 0; c < rows->column_count; c++)
        if (builder->target[c] != SIZE_MAX)
            FORAGE_TRY(data_column_rows(builder, rows, c, error));
    if (events)
        builder->count += rows->count;
    return FORAGE_OK;
}
