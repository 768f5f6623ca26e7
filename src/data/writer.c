/*
 * Writers: rows of text as CSV, TSV, JSON Lines or a RecBole file.
 *
 * What is written reads back as the same text: fields are quoted where they
 * must be, and JSON has a bare number only where its text would be made of that
 * number again (values, times and propensities: where it is the same number).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct forage_writer {
    forage_output *output;
    char *path;
    forage_file_format format;
    char delimiter;
    size_t column_count;
    forage_reader_column *columns;
    forage_text *keys; /* JSON Lines: the name as a JSON string with a colon */
    size_t written;    /* columns that are written */

    char *line; /* the row being made */
    size_t used, capacity;
    uint64_t rows; /* begun, with the header */
};

static forage_status no_memory(const char *path, forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to write %s", path);
}

void forage_writer_discard(forage_writer *writer)
{
    if (!writer)
        return;
    forage_output_discard(writer->output);
    for (size_t i = 0; i < writer->column_count; i++) {
        if (writer->columns)
            forage_free((char *)(uintptr_t)writer->columns[i].name);
        if (writer->keys)
            forage_free((char *)(uintptr_t)writer->keys[i].bytes);
    }
    forage_free(writer->columns);
    forage_free(writer->keys);
    forage_free(writer->path);
    forage_free(writer->line);
    forage_free(writer);
}

/* ---- putting bytes together ---- */

/* Room for `more` bytes at the end of the line. */
static bool reserve(forage_writer *writer, size_t more)
{
    if (more <= writer->capacity - writer->used)
        return true;
    size_t capacity = writer->capacity ? writer->capacity : 4096;
    while (capacity - writer->used < more)
        if (__builtin_mul_overflow(capacity, (size_t)2, &capacity))
            return false;
    char *line = forage_realloc(writer->line, writer->used, capacity, 1);
    if (!line)
        return false;
    writer->line = line;
    writer->capacity = capacity;
    return true;
}

static void put_byte(forage_writer *writer, char byte)
{
    writer->line[writer->used++] = byte;
}

static void put_bytes(forage_writer *writer, const char *bytes, size_t length)
{
    memcpy(writer->line + writer->used, bytes, length);
    writer->used += length;
}

static bool needs_quotes(const forage_writer *writer, forage_text text)
{
    for (size_t i = 0; i < text.length; i++) {
        char c = text.bytes[i];
        if (c == writer->delimiter || c == '"' || c == '\n' || c == '\r')
            return true;
        /* In the header no other delimiter may be seen by a reader that looks for the most frequent one. */
        if (writer->rows == 0 && c && strchr(",;\t|", c))
            return true;
    }
    return text.length == 0 && writer->written == 1; /* or the line would be blank */
}

/* A field of CSV or TSV. */
static bool put_field(forage_writer *writer, forage_text text)
{
    if (!reserve(writer, 2 * text.length + 3))
        return false;
    if (!needs_quotes(writer, text)) {
        put_bytes(writer, text.bytes, text.length);
        return true;
    }
    put_byte(writer, '"');
    for (size_t i = 0; i < text.length; i++) {
        if (text.bytes[i] == '"')
            put_byte(writer, '"');
        put_byte(writer, text.bytes[i]);
    }
    put_byte(writer, '"');
    return true;
}

static bool put_json_string(forage_writer *writer, forage_text text)
{
    static const char digits[] = "0123456789abcdef";
    if (!reserve(writer, 6 * text.length + 3))
        return false;
    put_byte(writer, '"');
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.bytes[i];
        if (c == '"' || c == '\\') {
            put_byte(writer, '\\');
            put_byte(writer, (char)c);
        } else if (c < 0x20) {
            put_bytes(writer, "\\u00", 4);
            put_byte(writer, digits[c >> 4]);
            put_byte(writer, digits[c & 15]);
        } else {
            put_byte(writer, (char)c);
        }
    }
    put_byte(writer, '"');
    return true;
}

/* The text that reading JSON makes of a number; 0 if it is no finite number. */
static size_t number_text(forage_text text, char number[48])
{
    double real;
    int64_t whole;
    if (forage_parse_i64(text.bytes, text.length, &whole))
        return (size_t)snprintf(number, 48, "%" PRId64, whole);
    if (!forage_parse_real(text.bytes, text.length, &real) || !isfinite(real))
        return 0;
    size_t length = forage_format_real(real, number);
    if (!memchr(number, '.', length) && !memchr(number, 'e', length)) {
        memcpy(number + length, ".0", 2);
        length += 2;
    }
    return length;
}

static bool put_json_value(forage_writer *writer, const forage_reader_column *column, forage_text text)
{
    char number[48];
    bool value = column->role == FORAGE_ROLE_VALUE || column->role == FORAGE_ROLE_TIME ||
                 column->role == FORAGE_ROLE_PROPENSITY || column->declared_type == FORAGE_NUMERIC;
    size_t length = text.length && text.length < 32 ? number_text(text, number) : 0;
    bool same = length == text.length && memcmp(number, text.bytes, length) == 0;
    /* Many programs read every number as a double: longer whole numbers stay strings, unless they must be numbers. */
    same = same && (length <= DBL_DIG || memchr(number, '.', length) || memchr(number, 'e', length));
    if (length && (value || same)) {
        if (!reserve(writer, length))
            return false;
        put_bytes(writer, number, length);
        return true;
    }
    if (text.length)
        return put_json_string(writer, text);
    if (!reserve(writer, 4))
        return false;
    put_bytes(writer, "null", 4);
    return true;
}

/* A field of a RecBole file, which knows no quoting; a time must be a number. */
static forage_status put_recbole(forage_writer *writer, const forage_reader_column *column, forage_text text,
                                 forage_error *error)
{
    char number[32];
    int64_t time;
    double real;
    for (size_t i = 0; i < text.length; i++)
        if (strchr("\t\n\r", text.bytes[i]))
            return forage_fail_at(error, FORAGE_FORMAT, writer->path, writer->rows + 1, column->name,
                                  "'%s' has a tab or a line end in it, which this format cannot hold",
                                  data_excerpt_of(text.bytes, text.length).text);
    if (column->role == FORAGE_ROLE_TIME && !forage_parse_real(text.bytes, text.length, &real) &&
        data_parse_iso8601(text.bytes, text.length, &time))
        text = (forage_text){number, forage_format_real((double)time / 1e6, number)};
    if (!reserve(writer, text.length))
        return no_memory(writer->path, error);
    put_bytes(writer, text.bytes, text.length);
    return FORAGE_OK;
}

/* ---- rows ---- */

static forage_status flush(forage_writer *writer, forage_error *error)
{
    size_t used = writer->used;
    writer->used = 0;
    return forage_output_write(writer->output, writer->line, used, error);
}

static bool is_json(const forage_writer *writer)
{
    return writer->format == FORAGE_FILE_JSONL;
}

static forage_status put_row(forage_writer *writer, const forage_rows *rows, size_t r, forage_error *error)
{
    bool first = true;
    writer->rows++;
    for (size_t c = 0; c < writer->column_count; c++) {
        const forage_reader_column *column = &writer->columns[c];
        forage_text text = rows->fields[c * rows->stride + r];
        bool good;
        if (column->role == FORAGE_ROLE_IGNORED)
            continue;
        if (!reserve(writer, 4))
            return no_memory(writer->path, error);
        put_byte(writer, is_json(writer) ? (first ? '{' : ',') : writer->delimiter);
        writer->used -= first && !is_json(writer);
        first = false;
        if (is_json(writer)) {
            good = reserve(writer, writer->keys[c].length + 4);
            if (good)
                put_bytes(writer, writer->keys[c].bytes, writer->keys[c].length);
            good = good && put_json_value(writer, column, text);
        } else if (writer->format == FORAGE_FILE_RECBOLE) {
            FORAGE_TRY(put_recbole(writer, column, text, error));
            good = true;
        } else {
            good = put_field(writer, text);
        }
        if (!good || !reserve(writer, 4))
            return no_memory(writer->path, error);
    }
    if (is_json(writer))
        put_byte(writer, '}');
    put_byte(writer, '\n');
    return FORAGE_OK;
}

forage_status forage_writer_rows(forage_writer *writer, const forage_rows *rows, forage_error *error)
{
    enum { FLUSH_AT = 32 * 1024 };
    if (rows->column_count != writer->column_count)
        return forage_fail(error, FORAGE_INVALID, "rows of %zu columns for a writer of %zu", rows->column_count,
                           writer->column_count);
    for (size_t r = 0; r < rows->count; r++) {
        FORAGE_TRY(put_row(writer, rows, r, error));
        if (writer->used >= FLUSH_AT)
            FORAGE_TRY(flush(writer, error));
    }
    return FORAGE_OK;
}

forage_status forage_writer_commit(forage_writer *writer, forage_error *error)
{
    forage_status status = flush(writer, error);
    if (status == FORAGE_OK) {
        status = forage_output_commit(writer->output, error);
        writer->output = NULL;
    }
    forage_writer_discard(writer);
    return status;
}

/* ---- opening ---- */

static const char *recbole_type(const forage_reader_column *column)
{
    bool number = column->role == FORAGE_ROLE_VALUE || column->role == FORAGE_ROLE_TIME ||
                  column->role == FORAGE_ROLE_PROPENSITY || column->declared_type == FORAGE_NUMERIC;
    return number ? ":float" : ":token";
}

static forage_status put_header(forage_writer *writer, forage_error *error)
{
    bool first = true;
    for (size_t c = 0; c < writer->column_count; c++) {
        const forage_reader_column *column = &writer->columns[c];
        forage_text name = {column->name, strlen(column->name)};
        if (column->role == FORAGE_ROLE_IGNORED)
            continue;
        if (!reserve(writer, name.length + 16))
            return no_memory(writer->path, error);
        if (!first)
            put_byte(writer, writer->delimiter);
        first = false;
        if (writer->format == FORAGE_FILE_RECBOLE) {
            if (strpbrk(column->name, ":\t\n\r"))
                return forage_fail_at(error, FORAGE_FORMAT, writer->path, 1, name.bytes,
                                      "a name with ':', a tab or a line end cannot be written in this format");
            const char *type = recbole_type(column);
            put_bytes(writer, name.bytes, name.length);
            put_bytes(writer, type, strlen(type));
        } else if (!put_field(writer, name)) {
            return no_memory(writer->path, error);
        }
    }
    if (!reserve(writer, 1))
        return no_memory(writer->path, error);
    put_byte(writer, '\n');
    return FORAGE_OK;
}

static forage_status make_keys(forage_writer *writer, forage_error *error)
{
    writer->keys = forage_calloc(writer->column_count, sizeof *writer->keys);
    if (!writer->keys)
        return no_memory(writer->path, error);
    for (size_t c = 0; c < writer->column_count; c++) {
        const char *name = writer->columns[c].name;
        writer->used = 0;
        if (!put_json_string(writer, (forage_text){name, strlen(name)}) || !reserve(writer, 1))
            return no_memory(writer->path, error);
        put_byte(writer, ':');
        char *key = forage_strndup(writer->line, writer->used);
        if (!key)
            return no_memory(writer->path, error);
        writer->keys[c] = (forage_text){key, writer->used};
    }
    writer->used = 0;
    return FORAGE_OK;
}

static forage_status begin(forage_writer *writer, const char *path, const forage_reader_column *columns,
                           size_t column_count, forage_error *error)
{
    writer->path = forage_strdup(path);
    writer->columns = forage_calloc(column_count, sizeof *writer->columns);
    if (!writer->path || !writer->columns)
        return no_memory(path, error);
    for (size_t c = 0; c < column_count; c++) {
        writer->columns[c] = columns[c];
        writer->columns[c].name = forage_strdup(columns[c].name);
        writer->column_count = c + 1;
        if (!writer->columns[c].name)
            return no_memory(path, error);
        writer->written += columns[c].role != FORAGE_ROLE_IGNORED;
    }
    if (writer->written == 0)
        return forage_fail_at(error, FORAGE_INVALID, path, 0, NULL, "there is no column to write");
    FORAGE_TRY(is_json(writer) ? make_keys(writer, error) : put_header(writer, error));
    return forage_output_open(path, &writer->output, error);
}

forage_status forage_writer_open(const char *path, forage_file_format format, const forage_reader_column *columns,
                                 size_t column_count, forage_writer **writer, forage_error *error)
{
    *writer = NULL;
    if (format == FORAGE_FILE_AUTO)
        format = data_format_of_name(path);
    if (format == FORAGE_FILE_AUTO)
        format = FORAGE_FILE_CSV;
    if (format == FORAGE_FILE_ADJACENCY || format == FORAGE_FILE_PAIRS || format == FORAGE_FILE_WORDS ||
        format == FORAGE_FILE_BINARY)
        return forage_fail_at(error, FORAGE_UNSUPPORTED, path, 0, NULL,
                              "row by row, logs can be written as csv, tsv, jsonl and recbole, not as %s",
                              forage_file_format_name(format));
    forage_writer *made = forage_calloc(1, sizeof *made);
    if (!made)
        return no_memory(path, error);
    made->format = format;
    made->delimiter = format == FORAGE_FILE_CSV ? ',' : '\t';
    forage_status status = begin(made, path, columns, column_count, error);
    if (status == FORAGE_OK)
        *writer = made;
    else
        forage_writer_discard(made);
    return status;
}
