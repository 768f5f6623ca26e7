/*
 * data: the tokenizer of delimited text, against rows that are known because the test wrote them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"
#include "data/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct text_buffer {
    char *bytes;
    size_t length, capacity;
} text_buffer;

static void put(text_buffer *buffer, const char *bytes, size_t length)
{
    if (buffer->length + length > buffer->capacity) {
        buffer->capacity = (buffer->length + length) * 2;
        buffer->bytes = realloc(buffer->bytes, buffer->capacity);
        assert_non_null(buffer->bytes);
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

enum { COLUMNS = 5, LONGEST = 200 };

/* What a file was made of: the fields one behind the other, each with its length before it. */
typedef struct known_file {
    text_buffer file, fields;
    size_t rows;
    uint64_t *lines;
} known_file;

/* A random field, perhaps with bytes that need quoting; returns its length. */
static size_t random_field(forage_rng *rng, bool awkward, char delimiter, char field[LONGEST])
{
    static const char plain[] = "abcdefghij0123456789 .;'\xc3\xa9", special[] = "\"\n\r";
    size_t longest = forage_rng_integers(rng, 10) ? 9 : LONGEST, length = forage_rng_integers(rng, longest);
    for (size_t i = 0; i < length; i++) {
        uint64_t kind = forage_rng_integers(rng, 8);
        field[i] = plain[forage_rng_integers(rng, sizeof plain - 1)];
        if (awkward && kind == 0)
            field[i] = special[forage_rng_integers(rng, 3)];
        else if (field[i] == delimiter || (awkward && kind == 1))
            field[i] = awkward ? delimiter : 'x';
    }
    return length;
}

static uint64_t put_quoted(text_buffer *file, const char *field, size_t length)
{
    uint64_t lines = 0;
    put(file, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        put(file, field + i, 1);
        if (field[i] == '"')
            put(file, "\"", 1);
        lines += field[i] == '\n';
    }
    put(file, "\"", 1);
    return lines;
}

/* One in `quoted_share` fields is quoted (0: none). */
static known_file make_file(forage_rng *rng, size_t rows, char delimiter, uint64_t quoted_share, const char *end)
{
    known_file known = {.rows = rows};
    char header[] = "item,b,c,d,e";
    uint64_t line = 2;
    known.lines = malloc(rows * sizeof *known.lines);
    for (char *c = header; *c; c++)
        *c = *c == ',' ? delimiter : *c;
    put(&known.file, header, strlen(header));
    put(&known.file, end, strlen(end));
    for (size_t r = 0; r < rows; r++) {
        while (forage_rng_integers(rng, 50) == 0) {
            put(&known.file, end, strlen(end)); /* a blank line */
            line++;
        }
        known.lines[r] = line++;
        for (size_t c = 0; c < COLUMNS; c++) {
            char field[LONGEST];
            bool quoted = quoted_share && forage_rng_integers(rng, quoted_share) == 0;
            size_t length = random_field(rng, quoted, delimiter, field);
            put(&known.fields, (const char *)&length, sizeof length);
            put(&known.fields, field, length);
            if (c)
                put(&known.file, &delimiter, 1);
            if (quoted)
                line += put_quoted(&known.file, field, length);
            else
                put(&known.file, field, length);
        }
        if (r + 1 < rows || forage_rng_integers(rng, 2))
            put(&known.file, end, strlen(end));
    }
    return known;
}

static void check_file(const known_file *known, char delimiter, const char *path)
{
    forage_reader *reader;
    forage_rows rows;
    size_t row = 0, at = 0;
    forage_error error = {0};
    const forage_read_options options = {.format = FORAGE_FILE_CSV, .delimiter = delimiter};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(known->file.bytes, 1, known->file.length, file), known->file.length);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(forage_reader_open(path, &options, &reader, &error), FORAGE_OK);
    for (;;) {
        if (forage_reader_next(reader, &rows, &error) != FORAGE_OK)
            fail_msg("line %d: %s", (int)error.line, error.message);
        if (rows.count == 0)
            break;
        assert_int_equal(rows.column_count, COLUMNS);
        for (size_t r = 0; r < rows.count; r++, row++) {
            assert_true(row < known->rows);
            assert_int_equal(rows.lines[r], known->lines[row]);
            for (size_t c = 0; c < COLUMNS; c++) {
                size_t length;
                forage_text text = rows.fields[c * rows.stride + r];
                memcpy(&length, known->fields.bytes + at, sizeof length);
                assert_int_equal(text.length, length);
                if (length)
                    assert_memory_equal(text.bytes, known->fields.bytes + at + sizeof length, length);
                at += sizeof length + length;
            }
        }
    }
    assert_int_equal(row, known->rows);
    forage_reader_free(reader);
}

static void test_random_files(void **state)
{
    char path[] = "/tmp/forage-csv-XXXXXX";
    static const char delimiters[] = ",\t;|", *const ends[] = {"\n", "\r\n"};
    forage_rng rng;
    (void)state;
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    forage_rng_seed(&rng, 1);
    for (int i = 0; i < 60; i++) {
        /* Every tenth is larger than several blocks of the source. */
        size_t rows = i % 10 ? 1 + forage_rng_integers(&rng, 300) : 20000;
        char delimiter = delimiters[i % 4];
        known_file known = make_file(&rng, rows, delimiter, (uint64_t)(i % 3) * 4, ends[i % 2]);
        check_file(&known, delimiter, path);
        free(known.file.bytes);
        free(known.fields.bytes);
        free(known.lines);
    }
    unlink(path);
}

/* What scans 64 bytes at once, against a loop over them. */
static void test_scanning(void **state)
{
    static const char bytes[] = ",;\n\r\"\0ax\x80\xac\x8d\x8a\xff\x0b\x0c\x01";
    forage_rng rng;
    (void)state;
    forage_rng_seed(&rng, 3);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        char delimiter = i % 2 ? ',' : '\xac', quote = i % 3 ? '"' : '\n';
        uint64_t expected = 0;
        for (int k = 0; k < 64; k++) {
            text[k] = bytes[forage_rng_integers(&rng, sizeof bytes - 1)];
            bool special = text[k] == delimiter || text[k] == quote || text[k] == '\n' || text[k] == '\r' || !text[k];
            expected |= (uint64_t)special << k;
        }
        assert_true(data_special_bytes(text, delimiter, quote) == expected);
        assert_true(data_special_bytes_portable(text, delimiter, quote) == expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scanning), cmocka_unit_test(test_random_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
