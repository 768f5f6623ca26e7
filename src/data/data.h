/*
 * What the files of room `data` share: the source of bytes, the reader's
 * inside, and small things about text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DATA_DATA_H
#define DATA_DATA_H

#include "forage/data.h"

enum {
    DATA_BLOCK = 256 * 1024,         /* bytes read at a time */
    DATA_PADDING = 64,               /* readable bytes behind the text, for wide loads */
    DATA_RECORD_LIMIT = 1024 * 1024, /* the default of forage_read_options.record_limit */
    DATA_COLUMN_LIMIT = 16384,       /* columns in a file */
    DATA_BATCH_FIELDS = 4096,        /* fields in a batch of rows, about */
    DATA_BATCH_ROWS = 1024,          /* at most */
    DATA_SNIFF_LINES = 20,           /* lines looked at to recognise a format */
};

/* What a file is read for. */
typedef enum data_purpose {
    DATA_EVENTS,
    DATA_USERS,
    DATA_ITEMS,
    DATA_LABELLED, /* events of a labelled table; a reader's purpose is EVENTS then */
} data_purpose;

/* ---- source.c: a file, block by block ---- */

typedef struct data_source {
    char *path; /* for messages */
    int descriptor;
    char *buffer;
    size_t capacity; /* without the padding */
    size_t start;    /* the text that is not consumed yet is buffer[start, end) */
    size_t end;
    bool ended;     /* nothing more to read; the text ends with a newline, added if it had none */
    uint64_t read;  /* bytes so far */
    uint64_t total; /* 0: unknown */
    uint64_t line;  /* number of the line that begins at `start` */
    size_t record_limit;
} data_source;

forage_status data_source_open(data_source *source, const char *path, size_t record_limit, forage_error *error);
void data_source_close(data_source *source);
/* Reads more behind what is left. Fails if a record is longer than the limit. */
forage_status data_source_fill(data_source *source, forage_error *error);
/* Fills until `lines` whole lines are there, or the limit or the end is reached. */
forage_status data_source_peek(data_source *source, size_t lines, forage_error *error);

/* False for standard input, pipes and the like. */
bool data_can_reread(const char *path);

/* ---- reader.c ---- */

typedef struct data_column_name {
    char *name;
    int declared_type; /* forage_column_type or -1 */
    bool ignored;      /* the format says so */
} data_column_name;

struct data_binary;

struct forage_reader {
    data_source source;
    data_purpose purpose;
    bool labelled; /* the item is a label, everything else context */
    forage_file_format format;
    char delimiter;
    bool quotes;

    forage_reader_column *columns;
    size_t column_count;

    forage_text *fields; /* [column_count * stride] */
    uint64_t *lines;     /* [stride] */
    size_t stride;

    /* adjacency lists: the line that is being taken apart */
    size_t list_at, list_end; /* in source.buffer; list_at 0: none (a line's items never begin there) */
    forage_text list_user;

    struct data_binary *binary;

    /* JSON Lines, binary: text of the values of a batch */
    char *arena;
    size_t arena_used, arena_capacity;
};

/* As forage_reader_open, for a file of events or of attributes. */
forage_status data_reader_open(const char *path, const forage_read_options *options, data_purpose purpose,
                               forage_reader **reader, forage_error *error);

/* Each format has a function that finds the columns' names (appends them with
 * data_names_add; what it consumes of the source is the header), and one that gives the next rows. */
typedef struct data_names {
    data_column_name *list;
    size_t count, capacity;
} data_names;

forage_status data_names_add(data_names *names, const char *name, size_t length, int declared_type, bool ignored,
                             forage_error *error);
/* The names of a header given as text, with commas. */
forage_status data_names_from_text(data_names *names, const char *list, forage_error *error);
/* The names of a first line: its fields, or "1", "2" ... if it is data (*header false). */
forage_status data_names_of_line(const forage_reader *reader, const forage_read_options *options,
                                 const forage_text *fields, size_t count, data_names *names, bool *header,
                                 forage_error *error);
void data_names_release(data_names *names);

forage_status data_csv_header(forage_reader *reader, const forage_read_options *options, data_names *names,
                              forage_error *error);
forage_status data_csv_next(forage_reader *reader, forage_rows *rows, forage_error *error);
forage_status data_lists_header(forage_reader *reader, data_names *names, forage_error *error);
forage_status data_adjacency_next(forage_reader *reader, forage_rows *rows, forage_error *error);
forage_status data_pairs_next(forage_reader *reader, forage_rows *rows, forage_error *error);
forage_status data_words_header(forage_reader *reader, const forage_read_options *options, data_names *names,
                                forage_error *error);
forage_status data_words_next(forage_reader *reader, forage_rows *rows, forage_error *error);
forage_status data_jsonl_header(forage_reader *reader, const forage_read_options *options, data_names *names,
                                forage_error *error);
forage_status data_jsonl_next(forage_reader *reader, forage_rows *rows, forage_error *error);

/* ---- sniff.c: which format a file has ---- */

forage_status data_sniff(forage_reader *reader, const forage_read_options *options, forage_error *error);
/* True if the file begins as a binary log does. */
bool data_is_binary(const data_source *source);
/* The format that a name's ending says, or AUTO. */
forage_file_format data_format_of_name(const char *path);

/* ---- roles.c: what columns are for ---- */

forage_status data_assign_roles(forage_reader *reader, const forage_read_options *options, const data_names *names,
                                forage_error *error);
/* True if `name` is among the usual names of the role. */
bool data_usual_name(forage_role role, const char *name);
/* True if `list` (joined by commas, may be NULL) has `name`. */
bool data_list_has(const char *list, const char *name);

/* ---- text.c ---- */

/* `text` for a message: at most 40 bytes, unprintable ones as '?'. */
typedef struct data_excerpt {
    char text[48];
} data_excerpt;
data_excerpt data_excerpt_of(const char *bytes, size_t length);
bool data_valid_utf8(const char *bytes, size_t length);
/* ISO 8601 ("2019-11-24 00:03:13.442536+00:00", "2019-11-24T00:03Z", "2019-11-24") to
 * microseconds since 1970 UTC; without a zone it is taken as UTC. */
bool data_parse_iso8601(const char *text, size_t length, int64_t *microseconds);
/* "2019-11-24 00:03:13.442536+00:00"; its length, or 0 for a year that has not four digits. */
size_t data_format_iso8601(int64_t microseconds, char buffer[40]);
/* The shortest text that reads back as the same float; its length. */
size_t data_format_float(float value, char buffer[32]);

#endif
