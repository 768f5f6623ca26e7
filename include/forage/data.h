/*
 * data.h: logs of events, the catalogue, and how they get in and out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_DATA_H
#define FORAGE_DATA_H

#include "forage/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ *
 * Columns and tables
 * ------------------------------------------------------------------ */

typedef enum forage_column_type {
    FORAGE_CATEGORICAL, /* one of a set of strings, kept as a code */
    FORAGE_NUMERIC,     /* a real number */
} forage_column_type;

typedef struct forage_column {
    char *name;
    forage_column_type type;
    uint32_t *codes;               /* categorical: index into `vocabulary`, FORAGE_NONE where missing */
    forage_vocabulary *vocabulary; /* categorical, else NULL */
    float *values;                 /* numeric: NaN where missing */
} forage_column;

/* Columns of equal length `rows`. */
typedef struct forage_table {
    size_t rows;
    size_t column_count;
    forage_column *columns;
} forage_table;

/* The column of that name, or NULL. */
FORAGE_API const forage_column *forage_table_find(const forage_table *table, const char *name);

/* ------------------------------------------------------------------ *
 * Dataset: events, and the attributes of users and items
 *
 * Plain data: the fields may be read freely; change them only through the
 * functions that own them. Reading from several threads is fine.
 * ------------------------------------------------------------------ */

typedef struct forage_dataset {
    /* Entities. Ids that are small plain numbers have index == number (see
     * forage_vocabulary_number), others are in order of appearance.
     * `users` is NULL in a log that names no users. */
    forage_vocabulary *users;
    forage_vocabulary *items;

    /* Events, one per row, in the order of the log. */
    size_t count;
    uint32_t *user;       /* [count], NULL when the log names no users */
    uint32_t *item;       /* [count] */
    float *value;         /* [count]: click, rating ...; NULL when each row simply happened (an implicit 1) */
    int64_t *time;        /* [count]: microseconds since 1970, or any rising number; NULL when absent */
    float *propensity;    /* [count]: probability with which the item was shown; NULL when absent */
    forage_table context; /* further columns of each event (position, device ...) */

    /* Attributes: row == index of the entity. */
    forage_table user_attributes;
    forage_table item_attributes;
} forage_dataset;

/* Frees everything a dataset holds, and the dataset. NULL is fine. */
FORAGE_API void forage_dataset_free(forage_dataset *dataset);

#ifdef __cplusplus
}
#endif

#endif
