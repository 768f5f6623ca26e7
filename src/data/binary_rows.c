/*
 * The rows of a binary log as text: what streams a log of any format can read this one, too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/binary.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_SPACE = 40 }; /* more than the text of any number takes */

/* What is wrong with a row; each is checked once, when its text is made. */
static forage_status bad_row(const forage_reader *reader, size_t c, forage_error *error)
{
    return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 0, reader->columns[c].name,
                          "this binary log is damaged: a row has a value that cannot be");
}

/* The text lies in the vocabulary, or is a number that is written into the arena. */
static bool text_of_code(forage_reader *reader, const forage_vocabulary *vocabulary, uint32_t code, forage_text *text)
{
    char *buffer = reader->arena + reader->arena_used;
    if (code >= forage_vocabulary_count(vocabulary))
        return false;
    text->bytes = forage_vocabulary_id(vocabulary, code, buffer, &text->length);
    if (text->bytes == buffer)
        reader->arena_used += text->length + 1;
    return true;
}

static void text_of_number(forage_reader *reader, float value, forage_text *text)
{
    char *buffer = reader->arena + reader->arena_used;
    *text = (forage_text){buffer, data_format_float(value, buffer)};
    reader->arena_used += text->length + 1;
}

static void text_of_time(forage_reader *reader, int64_t time, forage_text *text)
{
    char *buffer = reader->arena + reader->arena_used;
    text->bytes = buffer;
    text->length = reader->binary->dataset->time_is_calendar ? data_format_iso8601(time, buffer) : 0;
    if (text->length == 0)
        text->length = (size_t)snprintf(buffer, NUMBER_SPACE, "%" PRId64, time);
    reader->arena_used += text->length + 1;
}

static bool text_of_entry(forage_reader *reader, const forage_column *column, uint32_t code, float value,
                          forage_text *text)
{
    *text = (forage_text){"", 0};
    if (column->type == FORAGE_NUMERIC) {
        if (!isnan(value))
            text_of_number(reader, value, text);
        return !isinf(value);
    }
    return code == FORAGE_NONE || text_of_code(reader, column->vocabulary, code, text);
}

/* Of a column of events; `at` points to the row's entry. */
static bool text_of_event(forage_reader *reader, const data_binary_column *column, const unsigned char *at,
                          forage_text *text)
{
    const forage_dataset *dataset = reader->binary->dataset;
    uint32_t code;
    float value;
    int64_t time;
    memcpy(&code, at, sizeof code);
    memcpy(&value, at, sizeof value);
    switch (column->role) {
    case FORAGE_ROLE_USER:
        return text_of_code(reader, dataset->users, code, text);
    case FORAGE_ROLE_ITEM:
        return text_of_code(reader, dataset->items, code, text);
    case FORAGE_ROLE_VALUE:
    case FORAGE_ROLE_PROPENSITY:
        text_of_number(reader, value, text);
        return isfinite(value);
    case FORAGE_ROLE_TIME:
        memcpy(&time, at, sizeof time);
        text_of_time(reader, time, text);
        return true;
    default:
        return text_of_entry(reader, &dataset->context.columns[column->place], code, value, text);
    }
}

/* The attribute of a row's user or item, whose index stands in the block at `ids`. */
static bool text_of_attribute(forage_reader *reader, const data_binary_column *column, const unsigned char *ids,
                              size_t row, forage_text *text)
{
    const forage_dataset *dataset = reader->binary->dataset;
    const forage_table *table =
        column->role == FORAGE_ROLE_USER_ATTRIBUTE ? &dataset->user_attributes : &dataset->item_attributes;
    const forage_column *from = &table->columns[column->place];
    uint32_t index;
    memcpy(&index, ids + row * 4, 4);
    return index < table->rows &&
           text_of_entry(reader, from, from->type == FORAGE_CATEGORICAL ? from->codes[index] : FORAGE_NONE,
                         from->type == FORAGE_NUMERIC ? from->values[index] : NAN, text);
}

static forage_status put_column(forage_reader *reader, size_t c, const unsigned char *entries,
                                const unsigned char *const ids[2], size_t count, forage_error *error)
{
    const data_binary *binary = reader->binary;
    const data_binary_column *column = &binary->columns[c];
    size_t width = data_binary_width(column->role);
    for (size_t i = 0; i < count; i++) {
        forage_text *text = &reader->fields[c * reader->stride + i];
        size_t row = binary->block_at + i;
        bool good = entries
                        ? text_of_event(reader, column, entries + row * width, text)
                        : text_of_attribute(reader, column, ids[column->role != FORAGE_ROLE_USER_ATTRIBUTE], row, text);
        if (!good)
            return bad_row(reader, c, error);
    }
    return FORAGE_OK;
}

forage_status data_binary_next(forage_reader *reader, forage_rows *rows, forage_error *error)
{
    data_binary *binary = reader->binary;
    const unsigned char *ids[2] = {NULL, NULL};
    rows->count = 0;
    if (!reader->arena) {
        reader->arena_capacity = reader->stride * reader->column_count * NUMBER_SPACE;
        reader->arena = forage_alloc(reader->arena_capacity, 1);
        if (!reader->arena)
            return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the rows of a binary log");
    }
    reader->arena_used = 0;
    if (binary->block_at == binary->block_count)
        FORAGE_TRY(data_binary_block(reader, error));
    size_t count = binary->block_count - binary->block_at, at = 0;
    count = count < reader->stride ? count : reader->stride;
    for (size_t c = 0; c < binary->column_count; c++) {
        forage_role role = binary->columns[c].role;
        const unsigned char *entries = NULL;
        if (c < binary->event_columns) {
            at = data_binary_begin(binary, c, at);
            entries = binary->block + at;
            at += binary->block_count * data_binary_width(role);
        }
        if (role == FORAGE_ROLE_USER || role == FORAGE_ROLE_ITEM)
            ids[role == FORAGE_ROLE_ITEM] = entries;
        FORAGE_TRY(put_column(reader, c, entries, ids, count, error));
    }
    for (size_t i = 0; i < count; i++)
        reader->lines[i] = binary->rows - binary->left - binary->block_count + binary->block_at + i + 1;
    binary->block_at += count;
    rows->count = count;
    return FORAGE_OK;
}
