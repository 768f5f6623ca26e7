/*
 * Delimited text: RFC 4180, with any one-byte delimiter and LF or CRLF line ends.
 *
 * Two ways through a record. The fast one finds the bytes that matter 64 at a
 * time and takes records of plain fields. Whatever else it meets (a quotation
 * mark, a lone carriage return, a NUL, too many or too few fields) it leaves
 * to the careful one, which begins the record again and either understands it
 * or says what is wrong. Blank lines are skipped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"
#include "data/scan.h"

#include <string.h>

/* ---- the careful way ---- */

/* One record, as the careful way sees it. */
typedef struct record {
    size_t length;     /* bytes with the line end; 0: the record goes on behind the text */
    size_t fields;     /* how many it has, perhaps more than were stored */
    uint64_t lines;    /* line ends in it */
    const char *error; /* what is wrong, or NULL */
    uint64_t error_line;
    size_t error_field; /* from 0 */
} record;

static record broken(const char *message, uint64_t line, size_t field)
{
    return (record){.error = message, .error_line = line, .error_field = field};
}

/* Where a quoted field ends: its closing mark; NULL if that lies behind the text. *doubled: it has "" in it. */
static char *closing_quote(char *at, char *end, bool *doubled)
{
    *doubled = false;
    while ((at = memchr(at, '"', (size_t)(end - at)))) {
        if (at + 1 == end)
            return NULL; /* it could be the first of two */
        if (at[1] != '"')
            return at;
        *doubled = true;
        at += 2;
    }
    return NULL;
}

static uint64_t count_lines(const char *at, const char *end)
{
    uint64_t lines = 0;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        lines++;
        at++;
    }
    return lines;
}

/* Makes "" one mark, in place. */
static size_t undouble(char *bytes, size_t length)
{
    size_t kept = 0;
    for (size_t i = 0; i < length; i++) {
        bytes[kept++] = bytes[i];
        if (bytes[i] == '"')
            i++;
    }
    return kept;
}

/* Takes the record at the beginning of text[0, size). With `fields` NULL it is
 * only looked at; else field i goes to fields[i * stride], and doubled marks are resolved in place, so
 * that must be done once, for a record that is known to be complete and sound. */
static record take_record(const forage_reader *reader, char *text, size_t size, forage_text *fields, size_t stride)
{
    record result = {0};
    char *at = text, *end = text + size;
    for (;; at++) {
        char *start = at, *stop;
        bool doubled = false, quoted = reader->quotes && at < end && *at == '"';
        if (quoted) {
            start++;
            stop = closing_quote(start, end, &doubled);
            if (!stop)
                return reader->source.ended ? broken("a quotation mark is never closed",
                                                     reader->source.line + result.lines, result.fields)
                                            : (record){0};
            if (memchr(start, '\0', (size_t)(stop - start)))
                return broken("there is a NUL byte", reader->source.line + result.lines, result.fields);
            result.lines += count_lines(start, stop);
            at = stop + 1;
        } else {
            while (at < end && *at != reader->delimiter && *at != '\n' && *at != '\r' && *at != '\0' &&
                   !(reader->quotes && *at == '"'))
                at++;
            stop = at;
        }
        if (at < end && *at == '\r') {
            if (at + 1 == end)
                return (record){0};
            if (at[1] != '\n')
                return broken("there is a carriage return without a line feed", reader->source.line + result.lines,
                              result.fields);
            at++;
        }
        if (at == end)
            return (record){0};
        if (*at == '\0')
            return broken("there is a NUL byte", reader->source.line + result.lines, result.fields);
        if (*at != '\n' && *at != reader->delimiter)
            return broken(quoted ? "there is text behind a closing quotation mark"
                                 : "there is a quotation mark within an unquoted field (write the field as \"...\" "
                                   "with the mark doubled, or read without quotes)",
                          reader->source.line + result.lines, result.fields);
        if (fields)
            fields[result.fields * stride] =
                (forage_text){start, doubled ? undouble(start, (size_t)(stop - start)) : (size_t)(stop - start)};
        result.fields++;
        if (*at == '\n') {
            result.lines++;
            result.length = (size_t)(at + 1 - text);
            return result;
        }
        if (result.fields > DATA_COLUMN_LIMIT)
            return broken("there are too many columns", reader->source.line + result.lines, result.fields);
    }
}

static forage_status record_error(const forage_reader *reader, const record *found, forage_error *error)
{
    char field[64] = "";
    if (found->error_field < reader->column_count)
        memcpy(
            field,
            data_excerpt_of(reader->columns[found->error_field].name, strlen(reader->columns[found->error_field].name))
                .text,
            sizeof(data_excerpt));
    return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, found->error_line, field[0] ? field : NULL, "%s",
                          found->error);
}

/* ---- the fast way ---- */

/* Takes plain records from the source's text until `rows` are full, the text ends, or
 * a record is not plain. Advances source.start and source.line over what was taken. Returns true if it
 * stopped at a record for the careful way. */
static bool take_plain(forage_reader *reader, size_t *row)
{
    data_source *source = &reader->source;
    const size_t stride = reader->stride;
    const char delimiter = reader->delimiter, quote = reader->quotes ? '"' : '\n';
    const char *const end = source->buffer + source->end;
    const char *record_start = source->buffer + source->start, *field = record_start;
    forage_text *out = reader->fields + *row;
    forage_text *const first = reader->fields, *last = out + (reader->column_count - 1) * stride;
    uint64_t line = source->line;
    bool careful = false;

    for (const char *base = record_start; base < end; base += 64) {
        uint64_t mask = data_special_bytes(base, delimiter, quote);
        if (end - base < 64)
            mask &= ((uint64_t)1 << (end - base)) - 1;
        for (; mask; mask &= mask - 1) {
            const char *at = base + __builtin_ctzll(mask);
            if (*at == delimiter && out != last) {
                *out = (forage_text){field, (size_t)(at - field)};
                out += stride;
                field = at + 1;
                continue;
            }
            if (*at == '\n' && out == last) {
                size_t length = (size_t)(at - field);
                length -= length > 0 && field[length - 1] == '\r';
                *out = (forage_text){field, length};
                careful = (size_t)(at - record_start) >= source->record_limit || (length == 0 && first + *row == out);
                if (careful)
                    goto stop;
                reader->lines[*row] = line++;
                record_start = field = at + 1;
                if (++*row == stride)
                    goto stop;
                out = first + *row;
                last++;
                continue;
            }
            if (*at == '\r' && at + 1 < end && at[1] == '\n')
                continue;
            careful = !(*at == '\r' && at + 1 == end);
            goto stop;
        }
    }
stop:
    source->start = (size_t)(record_start - source->buffer);
    source->line = line;
    return careful;
}

/* One record by the careful way. *taken false: more bytes are needed. */
static forage_status take_carefully(forage_reader *reader, size_t *row, bool *taken, forage_error *error)
{
    data_source *source = &reader->source;
    char *text = source->buffer + source->start;
    record found = take_record(reader, text, source->end - source->start, NULL, 0);
    *taken = found.length > 0;
    if (found.error)
        return record_error(reader, &found, error);
    if (!*taken)
        return FORAGE_OK;
    if (found.length > source->record_limit)
        return forage_fail_at(error, FORAGE_FORMAT, source->path, source->line, NULL,
                              "this line is longer than %zu bytes (the limit can be raised)", source->record_limit);
    bool blank = text[0] == '\n' || text[0] == '\r';
    if (!blank && found.fields != reader->column_count)
        return forage_fail_at(error, FORAGE_FORMAT, source->path, source->line, NULL,
                              "this row has %zu field%s, the header has %zu", found.fields,
                              found.fields == 1 ? "" : "s", reader->column_count);
    if (!blank) {
        take_record(reader, text, source->end - source->start, reader->fields + *row, reader->stride);
        reader->lines[(*row)++] = source->line;
    }
    source->start += found.length;
    source->line += found.lines;
    return FORAGE_OK;
}

forage_status data_csv_next(forage_reader *reader, forage_rows *rows, forage_error *error)
{
    data_source *source = &reader->source;
    rows->count = 0;
    for (;;) {
        bool more = rows->count == 0;
        while (rows->count < reader->stride && source->start < source->end && take_plain(reader, &rows->count)) {
            bool taken;
            FORAGE_TRY(take_carefully(reader, &rows->count, &taken, error));
            if (!taken)
                break;
        }
        /* Only an empty batch may read on: that moves the text to which the fields point. */
        if (rows->count > 0 || (source->ended && source->start == source->end))
            return FORAGE_OK;
        if (more)
            FORAGE_TRY(data_source_fill(source, error));
    }
}

/* ---- the header ---- */

/* RecBole: "item_id:token". */
static forage_status add_typed_name(const forage_reader *reader, data_names *names, forage_text name,
                                    forage_error *error)
{
    static const struct {
        const char *word;
        int type;
        bool ignored;
    } types[] = {{"token", FORAGE_CATEGORICAL, false},
                 {"float", FORAGE_NUMERIC, false},
                 {"token_seq", FORAGE_CATEGORICAL, false},
                 {"float_seq", FORAGE_CATEGORICAL, true}};
    const char *colon = memchr(name.bytes, ':', name.length);
    size_t length = colon ? (size_t)(colon - name.bytes) : 0;
    for (size_t i = 0; colon && i < sizeof types / sizeof *types; i++)
        if (strlen(types[i].word) == name.length - length - 1 &&
            memcmp(types[i].word, colon + 1, name.length - length - 1) == 0)
            return data_names_add(names, name.bytes, length, types[i].type, types[i].ignored, error);
    return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 1, data_excerpt_of(name.bytes, name.length).text,
                          "a column of a RecBole file is name:type, with type token, float, token_seq or float_seq");
}

/* Blank lines are left behind. */
static forage_status first_record(forage_reader *reader, record *found, forage_error *error)
{
    data_source *source = &reader->source;
    for (;;) {
        *found = take_record(reader, source->buffer + source->start, source->end - source->start, NULL, 0);
        if (found->error)
            return record_error(reader, found, error);
        if (found->length && source->buffer[source->start] != '\n' && source->buffer[source->start] != '\r')
            return FORAGE_OK;
        if (!found->length && source->ended)
            return forage_fail_at(error, FORAGE_FORMAT, source->path, 0, NULL, "this file is empty");
        source->start += found->length; /* over a blank line */
        source->line += found->lines;
        if (!found->length)
            FORAGE_TRY(data_source_fill(source, error));
    }
}

forage_status data_csv_header(forage_reader *reader, const forage_read_options *options, data_names *names,
                              forage_error *error)
{
    data_source *source = &reader->source;
    record found;
    bool header = true;
    if (options->header)
        return data_names_from_text(names, options->header, error);
    FORAGE_TRY(first_record(reader, &found, error));
    /* A copy is taken apart, since a first line that is data will be read again. */
    char *line = forage_strndup(source->buffer + source->start, found.length);
    forage_text *fields = forage_alloc(found.fields, sizeof *fields);
    forage_status status = FORAGE_OK;
    if (line && fields)
        take_record(reader, line, found.length, fields, 1);
    else
        status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the header of %s", source->path);
    if (status == FORAGE_OK && reader->format != FORAGE_FILE_RECBOLE)
        status = data_names_of_line(reader, options, fields, found.fields, names, &header, error);
    for (size_t i = 0; i < found.fields && status == FORAGE_OK && reader->format == FORAGE_FILE_RECBOLE; i++)
        status = add_typed_name(reader, names, fields[i], error);
    forage_free(line);
    forage_free(fields);
    if (status != FORAGE_OK || !header)
        return status;
    source->start += found.length;
    source->line += found.lines;
    return FORAGE_OK;
}
