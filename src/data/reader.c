/*
 * The reader: opens a file of any format and hands out rows of text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/binary.h"

#include <string.h>

static const struct {
    const char *word, *text;
} formats[] = {
#define FORAGE_FILE_FORMAT_ROW(name, word, text) {word, text},
    FORAGE_FILE_FORMAT_LIST(FORAGE_FILE_FORMAT_ROW)
#undef FORAGE_FILE_FORMAT_ROW
};

const char *forage_file_format_name(forage_file_format format)
{
    return (unsigned)format < sizeof formats / sizeof *formats ? formats[format].word : "unknown";
}

forage_status forage_file_format_find(const char *word, forage_file_format *format, forage_error *error)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].word, word) == 0) {
            *format = (forage_file_format)i;
            return FORAGE_OK;
        }
    return forage_fail(
        error, FORAGE_UNKNOWN,
        "unknown file format '%s'; there are auto, csv, tsv, recbole, adjacency, pairs, jsonl, words, binary",
        data_excerpt_of(word, strlen(word)).text);
}

void forage_reader_free(forage_reader *reader)
{
    if (!reader)
        return;
    data_source_close(&reader->source);
    for (size_t i = 0; i < reader->column_count; i++)
        forage_free((char *)(uintptr_t)reader->columns[i].name);
    forage_free(reader->columns);
    forage_free(reader->fields);
    forage_free(reader->lines);
    forage_free(reader->arena);
    data_binary_free(reader->binary);
    forage_free(reader);
}

forage_file_format forage_reader_format(const forage_reader *reader)
{
    return reader->format;
}

const forage_reader_column *forage_reader_columns(const forage_reader *reader, size_t *count)
{
    *count = reader->column_count;
    return reader->columns;
}

uint64_t forage_reader_position(const forage_reader *reader, uint64_t *total)
{
    if (total)
        *total = reader->source.total;
    if (reader->binary)
        return reader->binary->consumed;
    return reader->source.read - (reader->source.end - reader->source.start);
}

/* Reads the header, or what stands for one. */
static forage_status find_columns(forage_reader *reader, const forage_read_options *options, forage_error *error)
{
    data_names names = {0};
    forage_status status;
    switch (reader->format) {
    case FORAGE_FILE_BINARY:
        return data_binary_open(reader, options, error);
    case FORAGE_FILE_ADJACENCY:
    case FORAGE_FILE_PAIRS:
        status = data_lists_header(reader, &names, error);
        break;
    case FORAGE_FILE_JSONL:
        status = data_jsonl_header(reader, options, &names, error);
        break;
    case FORAGE_FILE_WORDS:
        status = data_words_header(reader, options, &names, error);
        break;
    default:
        status = data_csv_header(reader, options, &names, error);
        break;
    }
    if (status == FORAGE_OK)
        status = data_assign_roles(reader, options, &names, error);
    data_names_release(&names);
    return status;
}

static forage_status prepare_batches(forage_reader *reader, forage_error *error)
{
    size_t rows = DATA_BATCH_FIELDS / reader->column_count;
    reader->stride = rows > DATA_BATCH_ROWS ? DATA_BATCH_ROWS : rows < 16 ? 16 : rows;
    reader->fields = forage_calloc(reader->stride * reader->column_count, sizeof *reader->fields);
    reader->lines = forage_calloc(reader->stride, sizeof *reader->lines);
    return reader->fields && reader->lines ? FORAGE_OK
                                           : forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to read rows");
}

forage_status data_reader_open(const char *path, const forage_read_options *options, data_purpose purpose,
                               forage_reader **reader, forage_error *error)
{
    static const forage_read_options defaults = {0};
    forage_status status;
    if (!options)
        options = &defaults;
    *reader = forage_calloc(1, sizeof **reader);
    if (!*reader)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to read %s", path);
    (*reader)->purpose = purpose == DATA_LABELLED ? DATA_EVENTS : purpose;
    (*reader)->labelled = purpose == DATA_LABELLED;
    (*reader)->source.descriptor = -1;
    FORAGE_TRY_GOTO(data_source_open(&(*reader)->source, path, options->record_limit, error), failed);
    FORAGE_TRY_GOTO(data_sniff(*reader, options, error), failed);
    FORAGE_TRY_GOTO(find_columns(*reader, options, error), failed);
    FORAGE_TRY_GOTO(prepare_batches(*reader, error), failed);
    return FORAGE_OK;
failed:
    forage_reader_free(*reader);
    *reader = NULL;
    return status;
}

forage_status forage_reader_open(const char *path, const forage_read_options *options, forage_reader **reader,
                                 forage_error *error)
{
    return data_reader_open(path, options, DATA_EVENTS, reader, error);
}

/* Blanks around the fields of a labelled table do not count. */
static void trim(forage_reader *reader, const forage_rows *rows)
{
    for (size_t c = 0; c < reader->column_count; c++)
        for (size_t r = 0; r < rows->count; r++) {
            forage_text *text = &reader->fields[c * reader->stride + r];
            for (; text->length && (*text->bytes == ' ' || *text->bytes == '\t'); text->length--)
                text->bytes++;
            while (text->length && (text->bytes[text->length - 1] == ' ' || text->bytes[text->length - 1] == '\t'))
                text->length--;
        }
}

static forage_status next_rows(forage_reader *reader, forage_rows *rows, forage_error *error)
{
    switch (reader->format) {
    case FORAGE_FILE_ADJACENCY:
        return data_adjacency_next(reader, rows, error);
    case FORAGE_FILE_PAIRS:
        return data_pairs_next(reader, rows, error);
    case FORAGE_FILE_JSONL:
        return data_jsonl_next(reader, rows, error);
    case FORAGE_FILE_WORDS:
        return data_words_next(reader, rows, error);
    case FORAGE_FILE_BINARY:
        return data_binary_next(reader, rows, error);
    default:
        return data_csv_next(reader, rows, error);
    }
}

forage_status forage_reader_next(forage_reader *reader, forage_rows *rows, forage_error *error)
{
    *rows = (forage_rows){.column_count = reader->column_count,
                          .stride = reader->stride,
                          .fields = reader->fields,
                          .lines = reader->lines};
    FORAGE_TRY(next_rows(reader, rows, error));
    if (reader->labelled)
        trim(reader, rows);
    return FORAGE_OK;
}
