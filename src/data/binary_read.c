/*
 * Reading the binary form of a log. Nothing that a file says is believed before it is checked:
 * a chunk counts when its checksum fits, memory grows with the bytes that are really there, and what was read is a
 * dataset only if forage_dataset_validate agrees.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/binary.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { STEP = 1 << 20 }; /* bytes by which memory for a chunk of unknown truth grows at first */

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a binary log");
}

static forage_status broken(const forage_reader *reader, const char *what, forage_error *error)
{
    return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 0, NULL, "this binary log is damaged: %s", what);
}

void data_binary_free(data_binary *binary)
{
    if (!binary)
        return;
    forage_dataset_free(binary->dataset);
    forage_free(binary->columns);
    forage_free(binary->block);
    forage_free(binary);
}

/* ---- bytes ---- */

/* Up to `size` bytes: what looking at the file's beginning has read already, then the file itself. */
static forage_status read_some(forage_reader *reader, unsigned char *to, size_t size, size_t *got, forage_error *error)
{
    data_source *source = &reader->source;
    data_binary *binary = reader->binary;
    /* The source adds a line end to a text that has none: of its bytes only those count that were read. */
    uint64_t buffered = source->read - binary->consumed;
    ssize_t result;
    if (source->start < source->end && buffered) {
        *got = source->end - source->start;
        *got = *got < size ? *got : size;
        *got = *got < buffered ? *got : (size_t)buffered;
        memcpy(to, source->buffer + source->start, *got);
        source->start += *got;
        binary->consumed += *got;
        return FORAGE_OK;
    }
    source->start = source->end;
    do
        result = read(source->descriptor, to, size);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return forage_fail_at(error, FORAGE_IO, source->path, 0, NULL, "cannot be read: %s", strerror(errno));
    *got = (size_t)result;
    source->read += *got;
    binary->consumed += *got;
    return FORAGE_OK;
}

static forage_status read_bytes(forage_reader *reader, unsigned char *to, size_t size, forage_error *error)
{
    for (size_t done = 0, got; done < size; done += got) {
        FORAGE_TRY(read_some(reader, to + done, size - done, &got, error));
        if (got == 0)
            return broken(reader, "it ends too early", error);
    }
    return FORAGE_OK;
}

/* ---- chunks ---- */

/* A payload being taken apart. */
typedef struct chunk {
    unsigned char *bytes;
    size_t size, at;
} chunk;

static forage_status read_chunk(forage_reader *reader, uint32_t tag, unsigned char **payload, size_t *capacity,
                                size_t *size, forage_error *error)
{
    unsigned char head[DATA_BINARY_CHUNK];
    const data_source *source = &reader->source;
    uint32_t found, zero;
    uint64_t claimed, checksum;
    FORAGE_TRY(read_bytes(reader, head, sizeof head, error));
    memcpy(&found, head, 4);
    memcpy(&zero, head + 4, 4);
    memcpy(&claimed, head + 8, 8);
    memcpy(&checksum, head + 16, 8);
    if (found != tag || zero)
        return broken(reader, "its parts are not in their order", error);
    if (claimed % 8 || claimed > SIZE_MAX / 2 || (source->total && claimed > source->total))
        return broken(reader, "a part has an impossible size", error);
    *size = (size_t)claimed;
    for (size_t done = 0; done < *size;) {
        if (done == *capacity) {
            /* What a regular file claims was compared with its size; else memory follows the bytes. */
            size_t larger = source->total || *size < STEP ? *size : done ? done * 2 : STEP;
            larger = larger < *size ? larger : *size;
            unsigned char *block = forage_realloc(*payload, *capacity, larger, 1);
            if (!block)
                return no_memory(error);
            *payload = block;
            *capacity = larger;
        }
        size_t part = *capacity < *size ? *capacity : *size;
        FORAGE_TRY(read_bytes(reader, *payload + done, part - done, error));
        done = part;
    }
    return forage_checksum(*payload, *size, tag) == checksum ? FORAGE_OK
                                                             : broken(reader, "a checksum does not fit", error);
}

static forage_status next_chunk(forage_reader *reader, uint32_t tag, chunk *part, forage_error *error)
{
    size_t capacity = 0;
    *part = (chunk){0};
    forage_status status = read_chunk(reader, tag, &part->bytes, &capacity, &part->size, error);
    if (status == FORAGE_OK)
        return FORAGE_OK;
    forage_free(part->bytes);
    *part = (chunk){0};
    return status;
}

static bool take_u32(chunk *part, uint32_t *number)
{
    if (part->size - part->at < 4)
        return false;
    memcpy(number, part->bytes + part->at, 4);
    part->at += 4;
    return true;
}

static bool take_u64(chunk *part, uint64_t *number)
{
    if (part->size - part->at < 8)
        return false;
    memcpy(number, part->bytes + part->at, 8);
    part->at += 8;
    return true;
}

/* ---- the schema ---- */

static char **name_of(forage_dataset *dataset, forage_role role)
{
    switch (role) {
    case FORAGE_ROLE_USER:
        return &dataset->user_name;
    case FORAGE_ROLE_ITEM:
        return &dataset->item_name;
    case FORAGE_ROLE_VALUE:
        return &dataset->value_name;
    case FORAGE_ROLE_TIME:
        return &dataset->time_name;
    case FORAGE_ROLE_PROPENSITY:
        return &dataset->propensity_name;
    default:
        return NULL;
    }
}

static forage_table *table_of(forage_dataset *dataset, forage_role role)
{
    switch (role) {
    case FORAGE_ROLE_CONTEXT:
        return &dataset->context;
    case FORAGE_ROLE_USER_ATTRIBUTE:
        return &dataset->user_attributes;
    case FORAGE_ROLE_ITEM_ATTRIBUTE:
        return &dataset->item_attributes;
    default:
        return NULL;
    }
}

/* Adds a column to the dataset, still without entries. */
static forage_status add_column(data_binary *binary, uint32_t role, uint32_t type, const char *name,
                                forage_error *error)
{
    data_binary_column *added = &binary->columns[binary->column_count];
    forage_table *table = table_of(binary->dataset, (forage_role)role);
    char **place = name_of(binary->dataset, (forage_role)role);
    *added = (data_binary_column){.role = (forage_role)role, .type = (forage_column_type)type};
    if (table) {
        added->place = (uint32_t)table->column_count;
        FORAGE_TRY(forage_table_add(table, name, added->type, NULL, error));
    } else {
        *place = forage_strdup(name);
        if (!*place)
            return no_memory(error);
    }
    binary->column_count++;
    binary->event_columns += role <= FORAGE_ROLE_CONTEXT;
    return FORAGE_OK;
}

/* Role, type, name. Roles rise from column to column, so each of the first five comes once and events stand first. */
static forage_status take_column(forage_reader *reader, chunk *schema, forage_error *error)
{
    data_binary *binary = reader->binary;
    uint32_t role, type;
    uint64_t length;
    if (!take_u32(schema, &role) || !take_u32(schema, &type) || !take_u64(schema, &length) ||
        length > schema->size - schema->at)
        return broken(reader, "its schema is incomplete", error);
    const char *bytes = (const char *)schema->bytes + schema->at;
    uint32_t before = binary->column_count ? binary->columns[binary->column_count - 1].role : FORAGE_ROLE_IGNORED;
    if (role > FORAGE_ROLE_ITEM_ATTRIBUTE || role < before || (role == before && role < FORAGE_ROLE_CONTEXT) ||
        type > FORAGE_NUMERIC || (role < FORAGE_ROLE_CONTEXT && type != FORAGE_CATEGORICAL) || length == 0 ||
        memchr(bytes, '\0', (size_t)length) || !data_valid_utf8(bytes, (size_t)length))
        return broken(reader, "its schema has a column that cannot be", error);
    char *name = forage_strndup(bytes, (size_t)length);
    if (!name)
        return no_memory(error);
    size_t padded = data_binary_padded((size_t)length);
    schema->at += padded < schema->size - schema->at ? padded : schema->size - schema->at;
    forage_status status = add_column(binary, role, type, name, error);
    forage_free(name);
    return status;
}

static forage_status take_schema(forage_reader *reader, chunk *schema, forage_error *error)
{
    data_binary *binary = reader->binary;
    forage_dataset *dataset = binary->dataset;
    uint64_t columns, block_rows, train, validation;
    if (!take_u64(schema, &columns) || !take_u64(schema, &block_rows) || !take_u64(schema, &train) ||
        !take_u64(schema, &validation) || columns == 0 || columns > DATA_COLUMN_LIMIT)
        return broken(reader, "its schema is incomplete", error);
    if (train > binary->rows || validation > binary->rows - train || block_rows == 0 || block_rows > FORAGE_MAX_ROWS)
        return broken(reader, "its numbers of rows do not fit together", error);
    dataset->train_rows = (size_t)train;
    dataset->validation_rows = (size_t)validation;
    dataset->test_rows = (size_t)(binary->rows - train - validation);
    binary->block_rows = (size_t)block_rows;
    binary->columns = forage_calloc((size_t)columns, sizeof *binary->columns);
    if (!binary->columns)
        return no_memory(error);
    for (uint64_t i = 0; i < columns; i++)
        FORAGE_TRY(take_column(reader, schema, error));
    if (!dataset->item_name || (dataset->user_name != NULL) != (dataset->users != NULL))
        return broken(reader, "its schema lacks items or users", error);
    if (block_rows > DATA_BINARY_BLOCK_LIMIT / (4 * binary->event_columns + 4))
        return broken(reader, "its blocks are too large", error);
    return FORAGE_OK;
}

/* ---- vocabularies and attributes ---- */

/* Adds the texts to the (empty) vocabulary: the index of each is its place. */
static forage_status take_texts(forage_reader *reader, const chunk *part, uint64_t count, forage_vocabulary *vocabulary,
                                forage_error *error)
{
    uint64_t bytes = part->size - part->at;
    if (count > bytes / 4)
        return broken(reader, "a vocabulary is incomplete", error);
    const unsigned char *lengths = part->bytes + part->at;
    const char *text = (const char *)lengths + 4 * count;
    bytes -= 4 * count;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t length, index;
        memcpy(&length, lengths + 4 * i, 4);
        if (length == 0 || length > bytes || memchr(text, '\0', length) || !data_valid_utf8(text, length))
            return broken(reader, "a vocabulary has a text that cannot be", error);
        FORAGE_TRY(forage_vocabulary_add(vocabulary, text, length, &index, error));
        if (index != i)
            return broken(reader, "a vocabulary has a text twice", error);
        text += length;
        bytes -= length;
    }
    return FORAGE_OK;
}

static forage_status read_vocabulary(forage_reader *reader, bool ids, forage_vocabulary **vocabulary,
                                     forage_error *error)
{
    chunk part;
    uint64_t count = 0, numbered = 0;
    forage_status status = FORAGE_OK;
    FORAGE_TRY(next_chunk(reader, DATA_BINARY_VOCABULARY, &part, error));
    if (!take_u64(&part, &count) || !take_u64(&part, &numbered) || count >= FORAGE_NONE || numbered > ids)
        status = broken(reader, "a vocabulary is incomplete", error);
    forage_vocabulary_free(*vocabulary);
    *vocabulary = NULL;
    if (status == FORAGE_OK)
        status = numbered ? forage_vocabulary_create_numbered((size_t)count, vocabulary, error)
                          : forage_vocabulary_create(vocabulary, error);
    if (status == FORAGE_OK && !numbered)
        status = take_texts(reader, &part, count, *vocabulary, error);
    forage_free(part.bytes);
    return status;
}

/* Numbers take no room in the file: the marks of those that appeared bound their count. */
static forage_status read_ids(forage_reader *reader, forage_vocabulary **ids, uint8_t **known, forage_error *error)
{
    chunk marks;
    FORAGE_TRY(read_vocabulary(reader, true, ids, error));
    FORAGE_TRY(next_chunk(reader, DATA_BINARY_KNOWN, &marks, error));
    size_t count = forage_vocabulary_count(*ids), appeared = 0;
    bool good = marks.size ? marks.size == data_binary_padded(count) : !forage_vocabulary_numbered(*ids) || count == 0;
    for (size_t i = 0; good && marks.size && i < count; i++) {
        good = marks.bytes[i] <= 1;
        appeared += marks.bytes[i];
    }
    if (good && appeared < count && marks.size)
        *known = marks.bytes;
    else
        forage_free(marks.bytes);
    return good ? FORAGE_OK : broken(reader, "the marks of its ids do not fit", error);
}

static forage_status read_attribute(forage_reader *reader, forage_column *column, size_t rows, forage_error *error)
{
    chunk part;
    FORAGE_TRY(next_chunk(reader, DATA_BINARY_ATTRIBUTE, &part, error));
    if (part.size != data_binary_padded(rows * 4)) {
        forage_free(part.bytes);
        return broken(reader, "an attribute does not fit", error);
    }
    if (column->type == FORAGE_NUMERIC) {
        forage_free(column->values);
        column->values = (float *)(void *)part.bytes;
    } else {
        forage_free(column->codes);
        column->codes = (uint32_t *)(void *)part.bytes;
    }
    if (part.bytes)
        return FORAGE_OK;
    return rows ? no_memory(error) : broken(reader, "an attribute belongs to nobody", error);
}

static forage_status read_table(forage_reader *reader, forage_table *table, size_t rows, bool attributes,
                                forage_error *error)
{
    for (size_t c = 0; c < table->column_count; c++) {
        if (table->columns[c].type == FORAGE_CATEGORICAL)
            FORAGE_TRY(read_vocabulary(reader, false, &table->columns[c].vocabulary, error));
        if (attributes)
            FORAGE_TRY(read_attribute(reader, &table->columns[c], rows, error));
    }
    table->rows = rows;
    return FORAGE_OK;
}

/* ---- opening ---- */

static forage_status read_header(forage_reader *reader, forage_error *error)
{
    unsigned char head[DATA_BINARY_HEADER];
    data_binary *binary = reader->binary;
    uint32_t version, flags;
    uint64_t checksum;
    FORAGE_TRY(read_bytes(reader, head, sizeof head, error));
    memcpy(&version, head + 8, 4);
    memcpy(&flags, head + 12, 4);
    memcpy(&binary->rows, head + 16, 8);
    memcpy(&checksum, head + 24, 8);
    if (memcmp(head, DATA_BINARY_MAGIC, 8) != 0)
        return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 0, NULL, "this is not a binary log");
    if (checksum != forage_checksum(head, 24, 0))
        return broken(reader, "a checksum does not fit", error);
    if (version != DATA_BINARY_VERSION)
        return forage_fail_at(error, FORAGE_UNSUPPORTED, reader->source.path, 0, NULL,
                              "this binary log has version %u; this program reads version %d", version,
                              DATA_BINARY_VERSION);
    if (binary->rows == 0 || binary->rows > FORAGE_MAX_ROWS)
        return broken(reader, "its number of rows cannot be", error);
    binary->left = binary->rows;
    binary->dataset->time_is_calendar = (flags & DATA_BINARY_CALENDAR) != 0;
    return flags & DATA_BINARY_HAS_USERS ? forage_vocabulary_create(&binary->dataset->users, error) : FORAGE_OK;
}

/* The file says itself what its columns are. */
static forage_status check_options(const forage_reader *reader, const forage_read_options *options, forage_error *error)
{
    const char *const given[] = {
        options->header,         options->user,    options->item,         options->value,      options->time,
        options->propensity,     options->context, options->user_columns, options->ignore,     options->item_columns,
        options->categorical,    options->numeric, options->test,         options->validation, options->user_attributes,
        options->item_attributes};
    bool any = options->no_header;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        any |= given[i] != NULL;
    if (reader->purpose != DATA_EVENTS || reader->labelled)
        return forage_fail_at(error, FORAGE_UNSUPPORTED, reader->source.path, 0, NULL,
                              "a binary log can only be read as a log");
    if (any)
        return forage_fail_at(
            error, FORAGE_INVALID, reader->source.path, 0, NULL,
            "a binary log says itself what its columns are, and has its attributes in it: options that "
            "say how a log is read belong to forage export, which makes one");
    return FORAGE_OK;
}

/* Columns of events, then the attributes of each row's user and item. */
static forage_status describe_columns(forage_reader *reader, forage_error *error)
{
    const data_binary *binary = reader->binary;
    reader->columns = forage_calloc(binary->column_count, sizeof *reader->columns);
    if (!reader->columns)
        return no_memory(error);
    for (size_t c = 0; c < binary->column_count; c++) {
        const data_binary_column *column = &binary->columns[c];
        const forage_table *table = table_of(binary->dataset, column->role);
        const char *name = table ? table->columns[column->place].name : *name_of(binary->dataset, column->role);
        reader->columns[c].role = column->role;
        reader->columns[c].declared_type = table ? (int)column->type : -1;
        reader->columns[c].name = forage_strdup(name);
        if (!reader->columns[c].name)
            return no_memory(error);
        reader->column_count = c + 1;
    }
    return FORAGE_OK;
}

static forage_status read_schema(forage_reader *reader, forage_error *error)
{
    chunk schema;
    FORAGE_TRY(next_chunk(reader, DATA_BINARY_SCHEMA, &schema, error));
    forage_status status = take_schema(reader, &schema, error);
    forage_free(schema.bytes);
    return status;
}

forage_status data_binary_open(forage_reader *reader, const forage_read_options *options, forage_error *error)
{
    FORAGE_TRY(check_options(reader, options, error));
    data_binary *binary = reader->binary = forage_calloc(1, sizeof *binary);
    if (!binary)
        return no_memory(error);
    FORAGE_TRY(forage_dataset_create(&binary->dataset, error));
    forage_dataset *dataset = binary->dataset;
    FORAGE_TRY(read_header(reader, error));
    FORAGE_TRY(read_schema(reader, error));
    if (dataset->users)
        FORAGE_TRY(read_ids(reader, &dataset->users, &dataset->user_known, error));
    FORAGE_TRY(read_ids(reader, &dataset->items, &dataset->item_known, error));
    size_t users = dataset->users ? forage_vocabulary_count(dataset->users) : 0;
    size_t items = forage_vocabulary_count(dataset->items);
    FORAGE_TRY(read_table(reader, &dataset->context, 0, false, error));
    FORAGE_TRY(read_table(reader, &dataset->user_attributes, users, true, error));
    FORAGE_TRY(read_table(reader, &dataset->item_attributes, items, true, error));
    return describe_columns(reader, error);
}

/* ---- blocks ---- */

static size_t block_size(const data_binary *binary, size_t rows)
{
    size_t size = 0;
    for (size_t c = 0; c < binary->event_columns; c++)
        size = data_binary_begin(binary, c, size) + rows * data_binary_width(binary->columns[c].role);
    return data_binary_padded(size);
}

forage_status data_binary_block(forage_reader *reader, forage_error *error)
{
    data_binary *binary = reader->binary;
    size_t size, rows = binary->left < binary->block_rows ? (size_t)binary->left : binary->block_rows;
    unsigned char byte;
    binary->block_count = binary->block_at = 0;
    if (rows == 0) {
        FORAGE_TRY(read_chunk(reader, DATA_BINARY_END, &binary->block, &binary->block_capacity, &size, error));
        FORAGE_TRY(read_some(reader, &byte, 1, &size, error));
        return size ? broken(reader, "there is something behind its end", error) : FORAGE_OK;
    }
    FORAGE_TRY(read_chunk(reader, DATA_BINARY_BLOCK, &binary->block, &binary->block_capacity, &size, error));
    if (size != block_size(binary, rows))
        return broken(reader, "a block of rows does not fit", error);
    binary->block_count = rows;
    binary->left -= rows;
    return FORAGE_OK;
}

/* The dataset's array of an event's column. */
static void **array_of(forage_dataset *dataset, const data_binary_column *column)
{
    switch (column->role) {
    case FORAGE_ROLE_USER:
        return (void **)&dataset->user;
    case FORAGE_ROLE_ITEM:
        return (void **)&dataset->item;
    case FORAGE_ROLE_VALUE:
        return (void **)&dataset->value;
    case FORAGE_ROLE_TIME:
        return (void **)&dataset->time;
    case FORAGE_ROLE_PROPENSITY:
        return (void **)&dataset->propensity;
    default:
        break;
    }
    forage_column *context = &dataset->context.columns[column->place];
    return context->type == FORAGE_NUMERIC ? (void **)&context->values : (void **)&context->codes;
}

/* Room for the rows of the block in hand, and all that a regular file has room for. */
static forage_status reserve_rows(forage_reader *reader, size_t *capacity, forage_error *error)
{
    data_binary *binary = reader->binary;
    forage_dataset *dataset = binary->dataset;
    size_t needed = dataset->count + binary->block_count, larger = needed + needed / 2;
    if (needed <= *capacity)
        return FORAGE_OK;
    /* Of a block that was really there, the rest can be judged. */
    if (reader->source.total && binary->rows / binary->block_count < reader->source.total)
        larger = (size_t)binary->rows;
    larger = larger < binary->rows ? larger : (size_t)binary->rows;
    for (size_t c = 0; c < binary->event_columns; c++) {
        void **array = array_of(dataset, &binary->columns[c]);
        void *block = forage_realloc(*array, dataset->count, larger, data_binary_width(binary->columns[c].role));
        if (!block)
            return no_memory(error);
        *array = block;
    }
    *capacity = larger;
    return FORAGE_OK;
}

static void append_block(data_binary *binary)
{
    forage_dataset *dataset = binary->dataset;
    size_t at = 0, rows = binary->block_count;
    for (size_t c = 0; c < binary->event_columns; c++) {
        size_t width = data_binary_width(binary->columns[c].role);
        at = data_binary_begin(binary, c, at);
        memcpy((char *)*array_of(dataset, &binary->columns[c]) + dataset->count * width, binary->block + at,
               rows * width);
        at += rows * width;
    }
    dataset->count += rows;
    dataset->context.rows = dataset->count;
}

forage_status data_binary_dataset(forage_reader *reader, const forage_progress *progress, forage_dataset **dataset,
                                  forage_error *error)
{
    data_binary *binary = reader->binary;
    forage_error reason = {0};
    size_t capacity = 0;
    for (;;) {
        FORAGE_TRY(data_binary_block(reader, error));
        if (binary->block_count == 0)
            break;
        FORAGE_TRY(reserve_rows(reader, &capacity, error));
        append_block(binary);
        if (!forage_progress_report(progress, "reading", binary->consumed, reader->source.total, NULL))
            return forage_fail_at(error, FORAGE_INTERRUPTED, reader->source.path, 0, NULL, "reading was stopped");
    }
    if (forage_dataset_validate(binary->dataset, &reason) != FORAGE_OK)
        return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 0, reason.field[0] ? reason.field : NULL, "%s",
                              reason.message);
    *dataset = binary->dataset;
    binary->dataset = NULL;
    return FORAGE_OK;
}
