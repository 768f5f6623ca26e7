/*
 * JSON Lines: an object on each line. Its columns are the keys of the lines in
 * the first block and those that the options name; a key that comes up later is an error. null is
 * "missing", true and false are 1 and 0, an array becomes its elements joined by spaces.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum {
    HEADER_LINES = 1000, /* looked at for keys */
    NUMBER_SPACE = 40,   /* more than the text of any number takes */
};

/* The line at source.start; false: more bytes are needed. */
static bool find_line(const data_source *source, size_t at, forage_text *line, size_t *next)
{
    const char *start = source->buffer + at;
    const char *stop = memchr(start, '\n', source->end - at);
    if (!stop)
        return false;
    *line = (forage_text){start, (size_t)(stop - start)};
    *next = (size_t)(stop + 1 - source->buffer);
    return true;
}

static bool is_blank(forage_text line)
{
    for (size_t i = 0; i < line.length; i++)
        if (!strchr(" \t\r", line.bytes[i]) || line.bytes[i] == '\0')
            return false;
    return true;
}

static forage_status parse_line(const forage_reader *reader, forage_text line, uint64_t number, json_t **object,
                                forage_error *error)
{
    json_error_t problem;
    if (line.length > reader->source.record_limit)
        return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, number, NULL,
                              "this line is longer than %zu bytes (the limit can be raised)",
                              reader->source.record_limit);
    *object = json_loadb(line.bytes, line.length, JSON_REJECT_DUPLICATES, &problem);
    if (!*object)
        return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, number, NULL, "this is not JSON: %s (byte %d)",
                              problem.text, problem.position);
    if (json_is_object(*object))
        return FORAGE_OK;
    json_decref(*object);
    *object = NULL;
    return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, number, NULL, "this is not a JSON object");
}

/* ---- the columns ---- */

static bool has_name(const data_names *names, const char *name, size_t length)
{
    for (size_t i = 0; i < names->count; i++)
        if (strlen(names->list[i].name) == length && memcmp(names->list[i].name, name, length) == 0)
            return true;
    return false;
}

/* Columns that the options name may be missing from the first block. */
static forage_status add_listed(data_names *names, const char *list, forage_error *error)
{
    while (list && *list) {
        size_t length = strcspn(list, ",");
        if (length && !has_name(names, list, length))
            FORAGE_TRY(data_names_add(names, list, length, -1, false, error));
        list += length + (list[length] == ',');
    }
    return FORAGE_OK;
}

static forage_status add_keys(data_names *names, json_t *object, forage_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (names->count >= DATA_COLUMN_LIMIT)
            return forage_fail(error, FORAGE_FORMAT, "more than %d different keys", DATA_COLUMN_LIMIT);
        if (!has_name(names, key, strlen(key)))
            FORAGE_TRY(data_names_add(names, key, strlen(key), -1, false, error));
    }
    return FORAGE_OK;
}

forage_status data_jsonl_header(forage_reader *reader, const forage_read_options *options, data_names *names,
                                forage_error *error)
{
    data_source *source = &reader->source;
    forage_text line;
    FORAGE_TRY(data_source_peek(source, HEADER_LINES, error));
    uint64_t number = source->line;
    for (size_t at = source->start, i = 0; i < HEADER_LINES && find_line(source, at, &line, &at); i++, number++) {
        json_t *object;
        if (is_blank(line))
            continue;
        FORAGE_TRY(parse_line(reader, line, number, &object, error));
        forage_status status = add_keys(names, object, error);
        json_decref(object);
        FORAGE_TRY(status);
    }
    const char *const lists[] = {options->context, options->user_columns, options->item_columns, options->ignore,
                                 options->header};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        FORAGE_TRY(add_listed(names, lists[i], error));
    if (names->count == 0)
        return forage_fail_at(error, FORAGE_FORMAT, source->path, source->line, NULL, "the objects have no keys");
    return FORAGE_OK;
}

/* ---- the rows ---- */

/* Appends the text of a value to the arena, in which there is room. False for an object. */
static bool put_value(forage_reader *reader, json_t *value)
{
    char *at = reader->arena + reader->arena_used;
    switch (json_typeof(value)) {
    case JSON_STRING:
        memcpy(at, json_string_value(value), json_string_length(value));
        reader->arena_used += json_string_length(value);
        return true;
    case JSON_INTEGER:
        reader->arena_used += (size_t)snprintf(at, NUMBER_SPACE, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return true;
    case JSON_REAL: {
        char text[32];
        size_t length = forage_format_real(json_real_value(value), text);
        memcpy(at, text, length);
        if (!memchr(text, '.', length) && !memchr(text, 'e', length)) {
            memcpy(at + length, ".0", 2); /* still a number with a fraction */
            length += 2;
        }
        reader->arena_used += length;
        return true;
    }
    case JSON_TRUE:
    case JSON_FALSE:
        *at = json_is_true(value) ? '1' : '0';
        reader->arena_used++;
        return true;
    case JSON_NULL:
        return true;
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (json_is_array(json_array_get(value, i)))
                return false;
            if (i)
                reader->arena[reader->arena_used++] = ' ';
            if (!put_value(reader, json_array_get(value, i)))
                return false;
        }
        return true;
    default:
        return false;
    }
}

/* The column of a key; most often the one behind the last. */
static size_t find_column(const forage_reader *reader, const char *key, size_t guess)
{
    for (size_t i = 0; i < reader->column_count; i++) {
        size_t c = (guess + i) % reader->column_count;
        if (strcmp(reader->columns[c].name, key) == 0)
            return c;
    }
    return SIZE_MAX;
}

static forage_status put_row(forage_reader *reader, json_t *object, size_t row, forage_error *error)
{
    const char *key;
    json_t *value;
    size_t guess = 0;
    for (size_t c = 0; c < reader->column_count; c++)
        reader->fields[c * reader->stride + row] = (forage_text){"", 0};
    json_object_foreach(object, key, value)
    {
        size_t c = find_column(reader, key, guess), start = reader->arena_used;
        const char *name = key;
        if (c == SIZE_MAX)
            return forage_fail_at(
                error, FORAGE_FORMAT, reader->source.path, reader->source.line,
                data_excerpt_of(name, strlen(name)).text,
                "this key comes up here for the first time; name it with --context-columns or --ignore-columns");
        guess = c + 1;
        if (reader->columns[c].role == FORAGE_ROLE_IGNORED)
            continue;
        if (!put_value(reader, value))
            return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, reader->source.line,
                                  data_excerpt_of(name, strlen(name)).text,
                                  "a value cannot be an object or a nested array (--ignore-columns leaves it out)");
        reader->fields[c * reader->stride + row] = (forage_text){reader->arena + start, reader->arena_used - start};
    }
    return FORAGE_OK;
}

/* Room for the values of a line. *fits false: the batch is full. The arena only moves while it is empty. */
static forage_status reserve(forage_reader *reader, size_t line_length, bool *fits, forage_error *error)
{
    /* A value takes at most its own text, or a number's: and each needs two bytes of the line. */
    size_t needed = line_length + (line_length / 2 + 1) * NUMBER_SPACE;
    *fits = needed <= reader->arena_capacity - reader->arena_used;
    if (*fits || reader->arena_used)
        return FORAGE_OK;
    size_t capacity = needed > DATA_BLOCK ? needed : DATA_BLOCK;
    forage_free(reader->arena);
    reader->arena = forage_alloc(capacity, 1);
    reader->arena_capacity = reader->arena ? capacity : 0;
    *fits = reader->arena != NULL;
    return *fits ? FORAGE_OK
                 : forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a line of %zu bytes", line_length);
}

forage_status data_jsonl_next(forage_reader *reader, forage_rows *rows, forage_error *error)
{
    data_source *source = &reader->source;
    reader->arena_used = 0;
    rows->count = 0;
    while (rows->count < reader->stride) {
        forage_text line;
        size_t next;
        bool fits = true;
        json_t *object;
        if (!find_line(source, source->start, &line, &next)) {
            if (rows->count || (source->ended && source->start == source->end))
                return FORAGE_OK;
            FORAGE_TRY(data_source_fill(source, error));
            continue;
        }
        if (!is_blank(line)) {
            FORAGE_TRY(reserve(reader, line.length, &fits, error));
            if (!fits)
                return FORAGE_OK;
            FORAGE_TRY(parse_line(reader, line, source->line, &object, error));
            forage_status status = put_row(reader, object, rows->count, error);
            json_decref(object);
            FORAGE_TRY(status);
            reader->lines[rows->count++] = source->line;
        }
        source->start = next;
        source->line++;
    }
    return FORAGE_OK;
}
