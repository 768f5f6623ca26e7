/*
 * Words between spaces or tabs. Lists without a header: a user and all its items on each line, or a user
 * and an item on each line; there an id may be any word, one that looks like a number must be a whole number from 0
 * to 2^64 - 1. And tables: as many words on every line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <string.h>

forage_status data_lists_header(forage_reader *reader, data_names *names, forage_error *error)
{
    (void)reader;
    FORAGE_TRY(data_names_add(names, "user_id", 7, FORAGE_CATEGORICAL, false, error));
    return data_names_add(names, "item_id", 7, FORAGE_CATEGORICAL, false, error);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static forage_status bad_word(const forage_reader *reader, forage_text word, const char *what, forage_error *error)
{
    return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, reader->source.line, NULL, "'%s' %s",
                          data_excerpt_of(word.bytes, word.length).text, what);
}

static forage_status check_word(const forage_reader *reader, forage_text word, forage_error *error)
{
    double number;
    uint64_t whole;
    if (memchr(word.bytes, '\0', word.length))
        return bad_word(reader, word, "has a NUL byte in it", error);
    bool digits = (word.bytes[0] >= '0' && word.bytes[0] <= '9') || strchr("+-.", word.bytes[0]);
    if (!digits || !forage_parse_real(word.bytes, word.length, &number))
        return FORAGE_OK;
    if (forage_parse_u64(word.bytes, word.length, &whole))
        return FORAGE_OK;
    return bad_word(reader, word,
                    number < 0                         ? "is a negative number, which cannot be an id here"
                    : number >= 18446744073709551615.0 ? "is too large a number for an id"
                                                       : "is not a whole number, as an id must be",
                    error);
}

/* The next word of text[at, end); length 0: none. */
static forage_text next_word(const char *text, size_t *at, size_t end)
{
    while (*at < end && is_space(text[*at]))
        (*at)++;
    size_t start = *at;
    while (*at < end && !is_space(text[*at]))
        (*at)++;
    return (forage_text){text + start, *at - start};
}

/* Where the line that begins at source.start ends, without its line end; false: it goes on behind the text. */
static bool whole_line(const data_source *source, size_t *end, size_t *next)
{
    const char *start = source->buffer + source->start;
    const char *stop = memchr(start, '\n', source->end - source->start);
    if (!stop)
        return false;
    *next = (size_t)(stop + 1 - source->buffer);
    *end = *next - 1;
    if (*end > source->start && source->buffer[*end - 1] == '\r')
        (*end)--;
    return true;
}

static void put(forage_reader *reader, forage_rows *rows, forage_text user, forage_text item)
{
    reader->fields[rows->count] = user;
    reader->fields[reader->stride + rows->count] = item;
    reader->lines[rows->count++] = reader->source.line;
}

forage_status data_pairs_next(forage_reader *reader, forage_rows *rows, forage_error *error)
{
    data_source *source = &reader->source;
    rows->count = 0;
    while (rows->count < reader->stride) {
        size_t end, next, at = source->start;
        if (!whole_line(source, &end, &next)) {
            if (rows->count || (source->ended && source->start == source->end))
                return FORAGE_OK;
            FORAGE_TRY(data_source_fill(source, error));
            continue;
        }
        forage_text user = next_word(source->buffer, &at, end), item = next_word(source->buffer, &at, end);
        if (user.length) {
            if (!item.length || next_word(source->buffer, &at, end).length)
                return forage_fail_at(error, FORAGE_FORMAT, source->path, source->line, NULL,
                                      "a line of a pair list is \"user item\", this one has %s",
                                      item.length ? "more than two words" : "one word");
            FORAGE_TRY(check_word(reader, user, error));
            FORAGE_TRY(check_word(reader, item, error));
            put(reader, rows, user, item);
        }
        source->start = next;
        source->line++;
    }
    return FORAGE_OK;
}

/* A list may be longer than a batch: list_at says where in its line the next batch goes on. */
forage_status data_adjacency_next(forage_reader *reader, forage_rows *rows, forage_error *error)
{
    data_source *source = &reader->source;
    rows->count = 0;
    while (rows->count < reader->stride) {
        size_t end, next;
        if (!whole_line(source, &end, &next)) {
            if (rows->count || (source->ended && source->start == source->end))
                return FORAGE_OK;
            FORAGE_TRY(data_source_fill(source, error));
            continue;
        }
        if (!reader->list_at) {
            reader->list_at = source->start;
            reader->list_user = next_word(source->buffer, &reader->list_at, end);
            if (reader->list_user.length)
                FORAGE_TRY(check_word(reader, reader->list_user, error));
        }
        forage_text item;
        while (rows->count < reader->stride && (item = next_word(source->buffer, &reader->list_at, end)).length) {
            FORAGE_TRY(check_word(reader, item, error));
            put(reader, rows, reader->list_user, item);
        }
        if (reader->list_at == end) {
            source->start = next;
            source->line++;
            reader->list_at = 0;
        }
    }
    return FORAGE_OK;
}

/* ---- tables ---- */

/* The words of text[at, end): up to `limit` go to fields[i * stride]; how many there are. */
static size_t take_words(const char *text, size_t at, size_t end, forage_text *fields, size_t stride, size_t limit)
{
    for (size_t count = 0;; count++) {
        forage_text word = next_word(text, &at, end);
        if (!word.length)
            return count;
        if (count < limit)
            fields[count * stride] = word;
    }
}

/* The next line with words in it, left unread; *end 0 at the end of the file. */
static forage_status find_words(forage_reader *reader, size_t *end, size_t *next, forage_error *error)
{
    data_source *source = &reader->source;
    for (*end = 0;;) {
        size_t at = source->start;
        if (!whole_line(source, end, next)) {
            *end = 0;
            if (source->ended && source->start == source->end)
                return FORAGE_OK;
            FORAGE_TRY(data_source_fill(source, error));
            continue;
        }
        if (memchr(source->buffer + at, '\0', *end - at))
            return forage_fail_at(error, FORAGE_FORMAT, source->path, source->line, NULL, "there is a NUL byte");
        if (next_word(source->buffer, &at, *end).length)
            return FORAGE_OK;
        source->start = *next;
        source->line++;
    }
}

forage_status data_words_header(forage_reader *reader, const forage_read_options *options, data_names *names,
                                forage_error *error)
{
    data_source *source = &reader->source;
    size_t end, next;
    bool header = true;
    if (options->header)
        return data_names_from_text(names, options->header, error);
    FORAGE_TRY(find_words(reader, &end, &next, error));
    size_t count = take_words(source->buffer, source->start, end, NULL, 1, 0);
    if (count == 0 || count > DATA_COLUMN_LIMIT)
        return forage_fail_at(error, FORAGE_FORMAT, source->path, source->line, NULL,
                              count ? "there are too many columns" : "this file is empty");
    forage_text *fields = forage_alloc(count, sizeof *fields);
    if (!fields)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the header of %s", source->path);
    take_words(source->buffer, source->start, end, fields, 1, count);
    forage_status status = data_names_of_line(reader, options, fields, count, names, &header, error);
    forage_free(fields);
    if (status == FORAGE_OK && header) {
        source->start = next;
        source->line++;
    }
    return status;
}

forage_status data_words_next(forage_reader *reader, forage_rows *rows, forage_error *error)
{
    data_source *source = &reader->source;
    rows->count = 0;
    while (rows->count < reader->stride) {
        size_t end, next;
        /* Only an empty batch may read on: that moves the text to which the fields point. */
        if (rows->count && !whole_line(source, &end, &next))
            return FORAGE_OK;
        if (rows->count == 0)
            FORAGE_TRY(find_words(reader, &end, &next, error));
        if (rows->count == 0 && end == 0)
            return FORAGE_OK;
        if (memchr(source->buffer + source->start, '\0', end - source->start))
            return forage_fail_at(error, FORAGE_FORMAT, source->path, source->line, NULL, "there is a NUL byte");
        size_t count = take_words(source->buffer, source->start, end, reader->fields + rows->count, reader->stride,
                                  reader->column_count);
        if (count && count != reader->column_count)
            return forage_fail_at(error, FORAGE_FORMAT, source->path, source->line, NULL,
                                  "this row has %zu word%s, the first has %zu", count, count == 1 ? "" : "s",
                                  reader->column_count);
        if (count)
            reader->lines[rows->count++] = source->line;
        source->start = next;
        source->line++;
    }
    return FORAGE_OK;
}
