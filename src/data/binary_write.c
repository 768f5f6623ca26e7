/*
 * A dataset as a binary log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/binary.h"

#include <string.h>

typedef struct binary_writer {
    forage_output *output;
    unsigned char *payload; /* of the chunk being made */
    size_t used, capacity;
} binary_writer;

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to write a binary log");
}

/* ---- chunks ---- */

static forage_status put(binary_writer *writer, const void *bytes, size_t size, forage_error *error)
{
    size_t needed;
    if (__builtin_add_overflow(writer->used, size, &needed))
        return no_memory(error);
    if (needed > writer->capacity) {
        size_t capacity = needed < 4096 ? 4096 : needed + needed / 2;
        unsigned char *payload = forage_realloc(writer->payload, writer->used, capacity, 1);
        if (!payload)
            return no_memory(error);
        writer->payload = payload;
        writer->capacity = capacity;
    }
    if (size)
        memcpy(writer->payload + writer->used, bytes, size);
    writer->used += size;
    return FORAGE_OK;
}

static forage_status pad(binary_writer *writer, forage_error *error)
{
    static const unsigned char zeros[8] = {0};
    return put(writer, zeros, data_binary_padded(writer->used) - writer->used, error);
}

static forage_status put_u32(binary_writer *writer, uint32_t number, forage_error *error)
{
    return put(writer, &number, sizeof number, error);
}

static forage_status put_u64(binary_writer *writer, uint64_t number, forage_error *error)
{
    return put(writer, &number, sizeof number, error);
}

/* Writes the payload that was put together, and begins the next. */
static forage_status end_chunk(binary_writer *writer, uint32_t tag, forage_error *error)
{
    unsigned char head[DATA_BINARY_CHUNK] = {0};
    FORAGE_TRY(pad(writer, error));
    uint64_t size = writer->used, checksum = forage_checksum(writer->payload, writer->used, tag);
    memcpy(head, &tag, 4);
    memcpy(head + 8, &size, 8);
    memcpy(head + 16, &checksum, 8);
    FORAGE_TRY(forage_output_write(writer->output, head, sizeof head, error));
    if (writer->used)
        FORAGE_TRY(forage_output_write(writer->output, writer->payload, writer->used, error));
    writer->used = 0;
    return FORAGE_OK;
}

/* ---- what a log consists of ---- */

static forage_status write_header(binary_writer *writer, const forage_dataset *dataset, forage_error *error)
{
    unsigned char head[DATA_BINARY_HEADER];
    const uint32_t version = DATA_BINARY_VERSION, flags = (dataset->time_is_calendar ? DATA_BINARY_CALENDAR : 0U) |
                                                          (dataset->users ? DATA_BINARY_HAS_USERS : 0U);
    const uint64_t rows = dataset->count;
    memcpy(head, DATA_BINARY_MAGIC, 8);
    memcpy(head + 8, &version, 4);
    memcpy(head + 12, &flags, 4);
    memcpy(head + 16, &rows, 8);
    const uint64_t checksum = forage_checksum(head, 24, 0);
    memcpy(head + 24, &checksum, 8);
    return forage_output_write(writer->output, head, sizeof head, error);
}

/* What the schema says of each column: role, type, name. */
static forage_status put_column(binary_writer *writer, forage_role role, forage_column_type type, const char *name,
                                forage_error *error)
{
    size_t length = strlen(name);
    FORAGE_TRY(put_u32(writer, (uint32_t)role, error));
    FORAGE_TRY(put_u32(writer, (uint32_t)type, error));
    FORAGE_TRY(put_u64(writer, length, error));
    FORAGE_TRY(put(writer, name, length, error));
    return pad(writer, error);
}

static forage_status put_columns(binary_writer *writer, forage_role role, const forage_table *table,
                                 forage_error *error)
{
    for (size_t c = 0; c < table->column_count; c++)
        FORAGE_TRY(put_column(writer, role, table->columns[c].type, table->columns[c].name, error));
    return FORAGE_OK;
}

/* Rows in a block. */
static size_t block_rows(const forage_dataset *dataset)
{
    size_t rows = DATA_BINARY_BLOCK_BYTES / (24 + 4 * dataset->context.column_count);
    return rows < DATA_BINARY_ROWS ? rows : DATA_BINARY_ROWS;
}

static forage_status write_schema(binary_writer *writer, const forage_dataset *dataset, forage_error *error)
{
    const struct {
        const void *rows;
        forage_role role;
        const char *name, *usual;
    } events[] = {{dataset->user, FORAGE_ROLE_USER, dataset->user_name, "user_id"},
                  {dataset->item, FORAGE_ROLE_ITEM, dataset->item_name, "item_id"},
                  {dataset->value, FORAGE_ROLE_VALUE, dataset->value_name, "value"},
                  {dataset->time, FORAGE_ROLE_TIME, dataset->time_name, "timestamp"},
                  {dataset->propensity, FORAGE_ROLE_PROPENSITY, dataset->propensity_name, "propensity"}};
    size_t columns =
        dataset->context.column_count + dataset->user_attributes.column_count + dataset->item_attributes.column_count;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        columns += events[i].rows != NULL;
    FORAGE_TRY(put_u64(writer, columns, error));
    FORAGE_TRY(put_u64(writer, block_rows(dataset), error));
    FORAGE_TRY(put_u64(writer, dataset->train_rows, error));
    FORAGE_TRY(put_u64(writer, dataset->validation_rows, error));
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i].rows)
            FORAGE_TRY(put_column(writer, events[i].role, FORAGE_CATEGORICAL,
                                  events[i].name ? events[i].name : events[i].usual, error));
    FORAGE_TRY(put_columns(writer, FORAGE_ROLE_CONTEXT, &dataset->context, error));
    FORAGE_TRY(put_columns(writer, FORAGE_ROLE_USER_ATTRIBUTE, &dataset->user_attributes, error));
    FORAGE_TRY(put_columns(writer, FORAGE_ROLE_ITEM_ATTRIBUTE, &dataset->item_attributes, error));
    return end_chunk(writer, DATA_BINARY_SCHEMA, error);
}

/* How many; whether they are "0" ... "count-1", which only ids may be; if not, all lengths, then all bytes. */
static forage_status write_vocabulary(binary_writer *writer, const forage_vocabulary *vocabulary, bool ids,
                                      forage_error *error)
{
    size_t count = forage_vocabulary_count(vocabulary), length;
    bool numbered = ids && forage_vocabulary_numbered(vocabulary);
    char buffer[24];
    FORAGE_TRY(put_u64(writer, count, error));
    FORAGE_TRY(put_u64(writer, numbered, error));
    for (uint32_t i = 0; !numbered && i < count; i++) {
        forage_vocabulary_id(vocabulary, i, buffer, &length);
        FORAGE_TRY(put_u32(writer, (uint32_t)length, error));
    }
    for (uint32_t i = 0; !numbered && i < count; i++) {
        const char *id = forage_vocabulary_id(vocabulary, i, buffer, &length);
        FORAGE_TRY(put(writer, id, length, error));
    }
    return end_chunk(writer, DATA_BINARY_VOCABULARY, error);
}

static forage_status write_table(binary_writer *writer, const forage_table *table, bool attributes, forage_error *error)
{
    for (size_t c = 0; c < table->column_count; c++) {
        const forage_column *column = &table->columns[c];
        if (column->type == FORAGE_CATEGORICAL)
            FORAGE_TRY(write_vocabulary(writer, column->vocabulary, false, error));
        if (!attributes)
            continue;
        FORAGE_TRY(put(writer, column->type == FORAGE_NUMERIC ? (const void *)column->values : column->codes,
                       table->rows * 4, error));
        FORAGE_TRY(end_chunk(writer, DATA_BINARY_ATTRIBUTE, error));
    }
    return FORAGE_OK;
}

/* The ids, each with a mark: 1 where it really appeared. Without marks, all did; numbers always have them, so that a
 * file cannot claim more ids than it has bytes. */
static forage_status write_ids(binary_writer *writer, const forage_vocabulary *ids, const uint8_t *known,
                               forage_error *error)
{
    const uint8_t one = 1;
    size_t count = known || forage_vocabulary_numbered(ids) ? forage_vocabulary_count(ids) : 0;
    FORAGE_TRY(write_vocabulary(writer, ids, true, error));
    for (size_t i = 0; i < count; i++)
        FORAGE_TRY(put(writer, known ? &known[i] : &one, 1, error));
    return end_chunk(writer, DATA_BINARY_KNOWN, error);
}

static forage_status write_block(binary_writer *writer, const forage_dataset *dataset, size_t first, size_t count,
                                 forage_error *error)
{
    const uint32_t *const words[] = {dataset->user, dataset->item};
    for (size_t i = 0; i < 2; i++)
        if (words[i])
            FORAGE_TRY(put(writer, words[i] + first, count * 4, error));
    if (dataset->value)
        FORAGE_TRY(put(writer, dataset->value + first, count * 4, error));
    FORAGE_TRY(pad(writer, error));
    if (dataset->time)
        FORAGE_TRY(put(writer, dataset->time + first, count * 8, error));
    if (dataset->propensity)
        FORAGE_TRY(put(writer, dataset->propensity + first, count * 4, error));
    for (size_t c = 0; c < dataset->context.column_count; c++) {
        const forage_column *column = &dataset->context.columns[c];
        FORAGE_TRY(put(writer,
                       column->type == FORAGE_NUMERIC ? (const void *)(column->values + first) : column->codes + first,
                       count * 4, error));
    }
    return end_chunk(writer, DATA_BINARY_BLOCK, error);
}

static forage_status write_all(binary_writer *writer, const forage_dataset *dataset, const forage_progress *progress,
                               forage_error *error)
{
    FORAGE_TRY(write_header(writer, dataset, error));
    FORAGE_TRY(write_schema(writer, dataset, error));
    if (dataset->users)
        FORAGE_TRY(write_ids(writer, dataset->users, dataset->user_known, error));
    FORAGE_TRY(write_ids(writer, dataset->items, dataset->item_known, error));
    FORAGE_TRY(write_table(writer, &dataset->context, false, error));
    FORAGE_TRY(write_table(writer, &dataset->user_attributes, true, error));
    FORAGE_TRY(write_table(writer, &dataset->item_attributes, true, error));
    size_t rows = block_rows(dataset);
    for (size_t first = 0; first < dataset->count; first += rows) {
        size_t rest = dataset->count - first;
        FORAGE_TRY(write_block(writer, dataset, first, rest < rows ? rest : rows, error));
        if (!forage_progress_report(progress, "writing", first, dataset->count, NULL))
            return forage_fail(error, FORAGE_INTERRUPTED, "writing was stopped");
    }
    return end_chunk(writer, DATA_BINARY_END, error);
}

forage_status forage_dataset_save(const forage_dataset *dataset, const char *path, const forage_progress *progress,
                                  forage_error *error)
{
    binary_writer writer = {0};
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return forage_fail_at(error, FORAGE_UNSUPPORTED, path, 0, NULL,
                          "binary logs are little-endian, this machine is not");
#endif
    FORAGE_TRY(forage_dataset_validate(dataset, error));
    if (dataset->count == 0)
        return forage_fail_at(error, FORAGE_INVALID, path, 0, NULL, "there are no rows to write");
    FORAGE_TRY(forage_output_open(path, &writer.output, error));
    forage_status status = write_all(&writer, dataset, progress, error);
    forage_free(writer.payload);
    if (status == FORAGE_OK)
        return forage_output_commit(writer.output, error);
    forage_output_discard(writer.output);
    return status;
}
