/*
 * The binary form of a log, as docs/data.md describes it: a header, then chunks, each with a checksum.
 * binary_write.c makes it of a dataset; binary_read.c takes it apart again, into a dataset or block by block;
 * binary_rows.c hands out its blocks as rows of text, for what streams a log of any format.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DATA_BINARY_H
#define DATA_BINARY_H

#include "data/data.h"

#define DATA_BINARY_MAGIC \
    "\x89"                \
    "FORAGE\n"

enum {
    DATA_BINARY_VERSION = 1,
    DATA_BINARY_HEADER = 32,           /* bytes: magic, version, flags, rows, checksum */
    DATA_BINARY_CHUNK = 24,            /* bytes before a chunk: tag, zero, size, checksum */
    DATA_BINARY_ROWS = 65536,          /* in a block, as written, at most */
    DATA_BINARY_BLOCK_BYTES = 1 << 24, /* of a block, as written, about */
    DATA_BINARY_BLOCK_LIMIT = 1 << 30, /* of a block, as read */
    DATA_BINARY_CALENDAR = 1,          /* flag: times are microseconds since 1970 UTC */
    DATA_BINARY_HAS_USERS = 2,
};

/* Four letters as a number. */
#define DATA_BINARY_TAG(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define DATA_BINARY_SCHEMA DATA_BINARY_TAG('S', 'C', 'H', 'M')
#define DATA_BINARY_VOCABULARY DATA_BINARY_TAG('V', 'O', 'C', 'B')
#define DATA_BINARY_KNOWN DATA_BINARY_TAG('K', 'N', 'W', 'N')
#define DATA_BINARY_ATTRIBUTE DATA_BINARY_TAG('A', 'T', 'T', 'R')
#define DATA_BINARY_BLOCK DATA_BINARY_TAG('R', 'O', 'W', 'S')
#define DATA_BINARY_END DATA_BINARY_TAG('D', 'O', 'N', 'E')

/* One column of the schema. Those of events come first, in the order of their arrays in a block. */
typedef struct data_binary_column {
    forage_role role;
    forage_column_type type; /* context and attributes */
    uint32_t place;          /* index into the table of its role */
} data_binary_column;

typedef struct data_binary {
    forage_dataset *dataset; /* everything but the rows */
    data_binary_column *columns;
    size_t column_count, event_columns;
    uint64_t rows, left; /* in the file; not read yet */
    size_t block_rows;
    uint64_t consumed; /* bytes of the file */

    unsigned char *block; /* the payload of the block in hand */
    size_t block_capacity, block_count, block_at;
} data_binary;

/* Bytes of one entry of an event's column. */
static inline size_t data_binary_width(forage_role role)
{
    return role == FORAGE_ROLE_TIME ? 8 : 4;
}

/* Sizes in a file are rounded up to this. */
static inline size_t data_binary_padded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

/* Where the entries of event column `c` begin in a block, when those before it end at `at`: users, items and values
 * have four bytes each, what follows begins at a multiple of eight. */
static inline size_t data_binary_begin(const data_binary *binary, size_t c, size_t at)
{
    bool first = c && binary->columns[c].role > FORAGE_ROLE_VALUE && binary->columns[c - 1].role <= FORAGE_ROLE_VALUE;
    return first ? data_binary_padded(at) : at;
}

/* Everything up to the first block: reader->binary and reader->columns. */
forage_status data_binary_open(forage_reader *reader, const forage_read_options *options, forage_error *error);
void data_binary_free(data_binary *binary);
/* The next block goes to binary->block; block_count 0 at the end, which is then known to be the end. */
forage_status data_binary_block(forage_reader *reader, forage_error *error);
/* All rows; the dataset is handed over. */
forage_status data_binary_dataset(forage_reader *reader, const forage_progress *progress, forage_dataset **dataset,
                                  forage_error *error);
/* Rows of text. */
forage_status data_binary_next(forage_reader *reader, forage_rows *rows, forage_error *error);

#endif
