/*
 * Context columns and attributes of the builder.
 *
 * How the type of a column is decided: while all its values are numbers it is
 * undecided, and they are kept as codes. A value that is no number makes it
 * categorical. At the end, or once DISTINCT_LIMIT different numbers were seen, it is
 * numeric if a number has a fraction or there are more than CATEGORY_LIMIT
 * different ones or the table is a labelled one, else categorical. If a column that was already made numeric
 * then shows text, all is read again with that column categorical (in a
 * stream, where rows are not kept, it is only no longer counted).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/builder.h"

#include <math.h>
#include <string.h>

enum {
    CATEGORY_LIMIT = 32,   /* so many different whole numbers are still categories */
    DISTINCT_LIMIT = 4096, /* so many different numbers are certainly not */
    COUNT_LIMIT = 1 << 20, /* so many different values are counted when rows are not kept */
};

/* What is written for a number that is not there. */
static bool is_missing_number(forage_text text)
{
    static const char *const words[] = {"", "nan", "NaN", "NA", "null", "?"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == text.length && memcmp(words[i], text.bytes, text.length) == 0)
            return true;
    return false;
}

/* Makes room for `count` entries, all missing. */
static bool reserve_column(data_column *column, size_t count, size_t at_least)
{
    if (count > column->capacity) {
        size_t capacity = column->capacity * 2 > count ? column->capacity * 2 : count;
        capacity = capacity > at_least ? capacity : at_least;
        if (column->state == DATA_VALUES) {
            float *values = forage_realloc(column->values, column->filled, capacity, sizeof *values);
            if (!values)
                return false;
            column->values = values;
        } else {
            uint32_t *codes = forage_realloc(column->codes, column->filled, capacity, sizeof *codes);
            if (!codes)
                return false;
            column->codes = codes;
        }
        column->capacity = capacity;
    }
    for (; column->state == DATA_VALUES && column->filled < count; column->filled++)
        column->values[column->filled] = NAN;
    for (; column->filled < count; column->filled++)
        column->codes[column->filled] = FORAGE_NONE;
    return true;
}

static double number_of_code(const forage_vocabulary *vocabulary, uint32_t code)
{
    char buffer[24];
    size_t length;
    double value;
    const char *id = forage_vocabulary_id(vocabulary, code, buffer, &length);
    return forage_parse_real(id, length, &value) ? value : NAN; /* "NA", "?" */
}

/* An undecided column of numbers becomes numeric. */
static bool become_values(data_column *column)
{
    float *values = forage_alloc(column->capacity, sizeof *values);
    if (!values)
        return false;
    for (size_t i = 0; i < column->filled; i++)
        values[i] = column->codes[i] == FORAGE_NONE ? NAN : (float)number_of_code(column->vocabulary, column->codes[i]);
    for (uint32_t code = 0; code < forage_vocabulary_count(column->vocabulary); code++) {
        double number = number_of_code(column->vocabulary, code);
        column->minimum = number < column->minimum ? number : column->minimum;
        column->maximum = number > column->maximum ? number : column->maximum;
    }
    forage_free(column->codes);
    forage_vocabulary_free(column->vocabulary);
    column->codes = NULL;
    column->vocabulary = NULL;
    column->values = values;
    column->state = DATA_VALUES;
    return true;
}

/* A numeric column shows text: remembers that it is categorical. */
static forage_status ask_restart(data_builder *builder, const data_column *column, forage_error *error)
{
    size_t old = builder->force_categorical ? strlen(builder->force_categorical) : 0, length = strlen(column->name);
    char *names = forage_alloc(old + length + 2, 1);
    if (!names)
        return data_no_memory(error);
    if (old)
        memcpy(names, builder->force_categorical, old);
    memcpy(names + old, column->name, length);
    memcpy(names + old + length, "\n", 2);
    forage_free(builder->force_categorical);
    builder->force_categorical = names;
    builder->restart = true;
    return forage_fail(error, FORAGE_FORMAT, "the log must be read again");
}

/* Where the entries of a batch's rows go: the rows themselves, or their users or items. */
static size_t place_of(const data_builder *builder, const data_column *column, size_t row)
{
    switch (column->role) {
    case FORAGE_ROLE_USER_ATTRIBUTE:
        return builder->batch_user[row];
    case FORAGE_ROLE_ITEM_ATTRIBUTE:
        return builder->batch_item[row];
    default:
        return builder->keep_rows ? builder->count + row : row;
    }
}

static forage_status conflict(const data_builder *builder, const forage_rows *rows, size_t c, size_t r,
                              const data_column *column, const char *before, forage_error *error)
{
    bool user = column->role == FORAGE_ROLE_USER_ATTRIBUTE;
    forage_vocabulary *vocabulary = user ? builder->users : builder->items;
    char buffer[24];
    size_t length;
    forage_text text = data_text_at(rows, c, r);
    const char *id =
        forage_vocabulary_id(vocabulary, user ? builder->batch_user[r] : builder->batch_item[r], buffer, &length);
    data_excerpt id_excerpt = data_excerpt_of(id, length), now = data_excerpt_of(text.bytes, text.length),
                 name = data_excerpt_of(column->name, strlen(column->name));
    if (builder->reader->purpose != DATA_EVENTS)
        return forage_fail_at(error, FORAGE_FORMAT, builder->reader->source.path, rows->lines[r], name.text,
                              "'%s' for %s '%s', which had '%s' before", now.text, user ? "user" : "item",
                              id_excerpt.text, before);
    return forage_fail_at(error, FORAGE_FORMAT, builder->reader->source.path, rows->lines[r], name.text,
                          "'%s' for %s '%s', which had '%s' before; if this may change from row to row, make it a "
                          "context column: --context-columns %s",
                          now.text, user ? "user" : "item", id_excerpt.text, before, name.text);
}

/* Looks at the values that are new in the vocabulary, of which the last is that of row r. */
static forage_status check_new_code(data_builder *builder, const forage_rows *rows, size_t c, size_t r,
                                    data_column *column, forage_error *error)
{
    forage_text text = data_text_at(rows, c, r);
    double number;
    column->checked = forage_vocabulary_count(column->vocabulary);
    if (!data_valid_utf8(text.bytes, text.length))
        return data_bad_field(builder, rows, c, r, "is not UTF-8 (convert the file: iconv -f LATIN1 -t UTF-8)", error);
    if (column->state != DATA_UNDECIDED)
        return FORAGE_OK;
    if (is_missing_number(text))
        return FORAGE_OK; /* missing if the others turn out to be numbers, else a category like any other */
    if (!forage_parse_real(text.bytes, text.length, &number))
        column->state = DATA_CODES;
    else if (!isfinite((float)number))
        return data_bad_field(builder, rows, c, r, "is not a finite number (is it a category? then: --categorical)",
                              error);
    else if (number != floor(number) || memchr(text.bytes, '.', text.length))
        column->fraction = true;
    return FORAGE_OK;
}

static forage_status add_codes(data_builder *builder, const forage_rows *rows, size_t c, data_column *column,
                               size_t *row, forage_error *error)
{
    bool attribute = column->role != FORAGE_ROLE_CONTEXT;
    for (size_t r = *row; r < rows->count; r++) {
        forage_text text = data_text_at(rows, c, r);
        uint32_t *place = &column->codes[place_of(builder, column, r)], code;
        *row = r + 1;
        if (text.length == 0) {
            column->missing++;
            continue;
        }
        FORAGE_TRY(forage_vocabulary_add(column->vocabulary, text.bytes, text.length, &code, error));
        if (code == column->checked)
            FORAGE_TRY(check_new_code(builder, rows, c, r, column, error));
        if (attribute && *place != FORAGE_NONE && *place != code) {
            char buffer[24];
            size_t length;
            const char *before = forage_vocabulary_id(column->vocabulary, *place, buffer, &length);
            return conflict(builder, rows, c, r, column, data_excerpt_of(before, length).text, error);
        }
        *place = code;
        if (column->state == DATA_UNDECIDED && column->checked > DISTINCT_LIMIT)
            return become_values(column) ? FORAGE_OK : data_no_memory(error);
    }
    return FORAGE_OK;
}

/* Of a column whose rows are not kept: only looks at the texts. */
static forage_status check_texts(const data_builder *builder, const forage_rows *rows, size_t c, data_column *column,
                                 size_t row, forage_error *error)
{
    for (size_t r = row; r < rows->count; r++) {
        forage_text text = data_text_at(rows, c, r);
        column->missing += text.length == 0;
        if (!data_valid_utf8(text.bytes, text.length))
            return data_bad_field(builder, rows, c, r, "is not UTF-8 (convert the file: iconv -f LATIN1 -t UTF-8)",
                                  error);
    }
    return FORAGE_OK;
}

static void stop_counting(data_column *column)
{
    forage_vocabulary_free(column->vocabulary);
    column->vocabulary = NULL;
    column->state = DATA_CODES;
    column->uncounted = true;
}

static forage_status add_numbers(data_builder *builder, const forage_rows *rows, size_t c, data_column *column,
                                 size_t row, forage_error *error)
{
    bool attribute = column->role != FORAGE_ROLE_CONTEXT;
    for (size_t r = row; r < rows->count; r++) {
        forage_text text = data_text_at(rows, c, r);
        float *place = &column->values[place_of(builder, column, r)];
        double value;
        if (!data_finite_number(text, &value)) {
            if (is_missing_number(text)) {
                column->missing++;
                continue;
            }
            if (column->declared || forage_parse_real(text.bytes, text.length, &value))
                return data_bad_field(builder, rows, c, r, "is not a finite number", error);
            if (builder->keep_rows || attribute)
                return ask_restart(builder, column, error);
            stop_counting(column);
            return check_texts(builder, rows, c, column, r, error);
        }
        if (attribute && !isnan(*place) && *place != (float)value) {
            char before[32];
            forage_format_real(*place, before);
            return conflict(builder, rows, c, r, column, before, error);
        }
        *place = (float)value;
        column->minimum = value < column->minimum ? value : column->minimum;
        column->maximum = value > column->maximum ? value : column->maximum;
    }
    return FORAGE_OK;
}

forage_status data_column_rows(data_builder *builder, const forage_rows *rows, size_t c, forage_error *error)
{
    data_column *column = &builder->columns[builder->target[c]];
    size_t needed, row = 0;
    switch (column->role) {
    case FORAGE_ROLE_USER_ATTRIBUTE:
        needed = forage_vocabulary_count(builder->users);
        break;
    case FORAGE_ROLE_ITEM_ATTRIBUTE:
        needed = forage_vocabulary_count(builder->items);
        break;
    default:
        needed = builder->keep_rows ? builder->count + rows->count : rows->count;
        column->filled = builder->keep_rows ? column->filled : 0;
        break;
    }
    if (!builder->keep_rows && column->role == FORAGE_ROLE_CONTEXT && column->state == DATA_CODES &&
        column->checked > COUNT_LIMIT)
        stop_counting(column);
    if (column->uncounted)
        return check_texts(builder, rows, c, column, 0, error);
    if (!reserve_column(column, needed, column->role == FORAGE_ROLE_CONTEXT ? builder->capacity : 0))
        return data_no_memory(error);
    if (column->state != DATA_VALUES)
        FORAGE_TRY(add_codes(builder, rows, c, column, &row, error));
    if (column->state == DATA_VALUES)
        FORAGE_TRY(add_numbers(builder, rows, c, column, row, error));
    return FORAGE_OK;
}

forage_status data_builder_finish(data_builder *builder, forage_error *error)
{
    for (size_t i = 0; i < builder->column_count; i++) {
        data_column *column = &builder->columns[i];
        if (column->state != DATA_UNDECIDED)
            continue;
        bool numeric =
            column->fraction || builder->labelled || forage_vocabulary_count(column->vocabulary) > CATEGORY_LIMIT;
        if (numeric && column->capacity && !become_values(column))
            return data_no_memory(error);
        if (!numeric || !column->capacity)
            column->state = DATA_CODES;
    }
    return FORAGE_OK;
}
