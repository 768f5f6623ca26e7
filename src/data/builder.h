/*
 * The builder: rows of text become typed columns, in memory or only summed up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DATA_BUILDER_H
#define DATA_BUILDER_H

#include "data/data.h"

typedef enum data_time_kind {
    DATA_TIME_NONE,
    DATA_TIME_WHOLE,    /* numbers, kept as they are */
    DATA_TIME_FRACTION, /* seconds with decimals, kept as microseconds */
    DATA_TIME_CALENDAR, /* dates, kept as microseconds since 1970 */
} data_time_kind;

/* time.c: what a time is, by its text. DATA_TIME_NONE: nothing that is understood. */
data_time_kind data_time_of(forage_text text, int64_t *time);

typedef enum data_column_state {
    DATA_UNDECIDED, /* codes so far, all of them numbers */
    DATA_CODES,     /* categorical */
    DATA_VALUES,    /* numeric */
} data_column_state;

/* A context column or an attribute. */
typedef struct data_column {
    char *name;
    forage_role role; /* CONTEXT, USER_ATTRIBUTE or ITEM_ATTRIBUTE */
    data_column_state state;
    bool declared;  /* the state was given from outside */
    bool fraction;  /* UNDECIDED: some number is not whole */
    bool uncounted; /* CODES without vocabulary: too many different values, and rows are not kept */
    forage_vocabulary *vocabulary;
    size_t checked; /* entries of the vocabulary that were looked at */
    uint32_t *codes;
    float *values;
    size_t capacity; /* of codes or values */
    size_t filled;   /* entries that are set (to missing, if nothing else) */
    uint64_t missing;
    double minimum, maximum; /* of numbers, once state is DATA_VALUES */
} data_column;

typedef struct data_builder {
    forage_dataset *whole; /* what a binary log gave: no rows were taken apart */
    bool labelled;         /* a column of numbers is numeric, however few differ */
    bool keep_rows;        /* false: only ids and attributes are kept, and what sums up the rest */
    size_t count, capacity;
    forage_vocabulary *users, *items;
    uint32_t *user, *item; /* [capacity], when rows are kept */
    float *value, *propensity;
    int64_t *time;
    char *user_name, *item_name, *value_name, *time_name, *propensity_name;
    uint32_t *batch_user, *batch_item; /* [DATA_BATCH_ROWS] indices of the rows in hand */

    data_column *columns;
    size_t column_count;

    data_time_kind time_kind;
    int64_t first_time, last_time;
    double value_sum, value_minimum, value_maximum, propensity_sum, propensity_minimum, propensity_maximum;
    bool binary;

    char *force_categorical; /* names that turned out not to be numbers after all, joined by '\n' */
    bool restart;            /* set when such a name was added: begin again */

    /* the file in hand */
    forage_reader *reader;
    size_t *target; /* [reader columns] index into columns, or SIZE_MAX */
} data_builder;

/* ---- columns.c ---- */

/* The rows of one context column or attribute of the file in hand. */
forage_status data_column_rows(data_builder *builder, const forage_rows *rows, size_t c, forage_error *error);

/* ---- builder.c: for both ---- */

static inline forage_text data_text_at(const forage_rows *rows, size_t column, size_t row)
{
    return rows->fields[column * rows->stride + row];
}

/* A number that is finite, also as a float. */
bool data_finite_number(forage_text text, double *value);
forage_status data_no_memory(forage_error *error);
/* "log.csv:12: field 'rating': 'abc' <what>". */
forage_status data_bad_field(const data_builder *builder, const forage_rows *rows, size_t column, size_t row,
                             const char *what, forage_error *error);

/* ---- making and using one ---- */

forage_status data_builder_create(bool keep_rows, data_builder **builder, forage_error *error);
void data_builder_free(data_builder *builder);
/* Empties it for another pass; what must be categorical is remembered. */
void data_builder_reset(data_builder *builder);
/* Prepares for the rows of `reader`. The first file of events defines the columns of events, later ones must have them.
 */
forage_status data_builder_bind(data_builder *builder, forage_reader *reader, forage_error *error);
forage_status data_builder_rows(data_builder *builder, const forage_rows *rows, forage_error *error);
/* Reads the files of attributes that belong to the log at `path`: those that the options name, and those
 * beside a RecBole file. */
forage_status data_builder_attributes(data_builder *builder, const char *path, const forage_read_options *options,
                                      const forage_progress *progress, forage_error *error);
/* Decides what is undecided. */
forage_status data_builder_finish(data_builder *builder, forage_error *error);
/* Hands everything over to a new dataset. */
forage_status data_builder_dataset(data_builder *builder, forage_dataset **dataset, forage_error *error);

#endif
