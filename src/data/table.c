/*
 * Tables and datasets: making, checking and freeing them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <math.h>
#include <string.h>

const forage_column *forage_table_find(const forage_table *table, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return &table->columns[i];
    return NULL;
}

static void release_column(forage_column *column)
{
    forage_free(column->name);
    forage_free(column->codes);
    forage_free(column->values);
    forage_vocabulary_free(column->vocabulary);
}

forage_status forage_table_add(forage_table *table, const char *name, forage_column_type type, forage_column **column,
                               forage_error *error)
{
    forage_column added = {.type = type};
    forage_column *columns = NULL;
    if (forage_table_find(table, name))
        return forage_fail(error, FORAGE_INVALID, "there is already a column '%s'", name);
    added.name = forage_strdup(name);
    if (!added.name)
        goto no_memory;
    if (type == FORAGE_NUMERIC) {
        added.values = forage_alloc(table->rows, sizeof *added.values);
        for (size_t i = 0; added.values && i < table->rows; i++)
            added.values[i] = NAN;
    } else {
        added.codes = forage_alloc(table->rows, sizeof *added.codes);
        if (added.codes)
            memset(added.codes, 0xff, table->rows * sizeof *added.codes);
        if (forage_vocabulary_create(&added.vocabulary, NULL) != FORAGE_OK)
            goto no_memory;
    }
    columns = forage_realloc(table->columns, table->column_count, table->column_count + 1, sizeof *columns);
    if (!columns || (!added.values && !added.codes))
        goto no_memory;
    columns[table->column_count] = added;
    table->columns = columns;
    if (column)
        *column = &columns[table->column_count];
    table->column_count++;
    return FORAGE_OK;

no_memory:
    release_column(&added);
    if (columns)
        table->columns = columns; /* the old block is gone, the count is as it was */
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for column '%s'", name);
}

void forage_table_release(forage_table *table)
{
    for (size_t i = 0; i < table->column_count; i++)
        release_column(&table->columns[i]);
    forage_free(table->columns);
    *table = (forage_table){0};
}

forage_status forage_dataset_create(forage_dataset **dataset, forage_error *error)
{
    *dataset = forage_calloc(1, sizeof **dataset);
    return *dataset ? FORAGE_OK : forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a dataset");
}

void forage_dataset_free(forage_dataset *dataset)
{
    if (!dataset)
        return;
    forage_vocabulary_free(dataset->users);
    forage_vocabulary_free(dataset->items);
    forage_free(dataset->user_known);
    forage_free(dataset->item_known);
    forage_free(dataset->user);
    forage_free(dataset->item);
    forage_free(dataset->value);
    forage_free(dataset->time);
    forage_free(dataset->propensity);
    forage_table_release(&dataset->context);
    forage_free(dataset->user_name);
    forage_free(dataset->item_name);
    forage_free(dataset->value_name);
    forage_free(dataset->time_name);
    forage_free(dataset->propensity_name);
    forage_table_release(&dataset->user_attributes);
    forage_table_release(&dataset->item_attributes);
    forage_free(dataset);
}

/* ---- validation ---- */

static forage_status check_indices(const uint32_t *indices, size_t count, size_t bound, bool may_miss, const char *name,
                                   forage_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (indices[i] >= bound && !(may_miss && indices[i] == FORAGE_NONE))
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, name, "row %zu: index %u is not below %zu", i,
                                  indices[i], bound);
    return FORAGE_OK;
}

static forage_status check_table(const forage_table *table, size_t rows, const char *what, forage_error *error)
{
    if (table->column_count && table->rows != rows)
        return forage_fail(error, FORAGE_INVALID, "the table of %s has %zu rows instead of %zu", what, table->rows,
                           rows);
    for (size_t c = 0; c < table->column_count; c++) {
        const forage_column *column = &table->columns[c];
        bool complete = column->name &&
                        (column->type == FORAGE_NUMERIC ? column->values != NULL : column->codes && column->vocabulary);
        if (!complete)
            return forage_fail(error, FORAGE_INVALID, "column %zu of %s is incomplete", c, what);
        if (column->type == FORAGE_CATEGORICAL)
            FORAGE_TRY(check_indices(column->codes, rows, forage_vocabulary_count(column->vocabulary), true,
                                     column->name, error));
        for (size_t i = 0; column->type == FORAGE_NUMERIC && i < rows; i++)
            if (isinf(column->values[i]))
                return forage_fail_at(error, FORAGE_INVALID, NULL, 0, column->name, "row %zu is infinite", i);
    }
    return FORAGE_OK;
}

forage_status forage_dataset_validate(const forage_dataset *dataset, forage_error *error)
{
    size_t users = dataset->users ? forage_vocabulary_count(dataset->users) : 0;
    if (!dataset->items || !dataset->item || (dataset->users != NULL) != (dataset->user != NULL))
        return forage_fail(error, FORAGE_INVALID, "a dataset needs items, and users with their vocabulary or neither");
    if (dataset->count > FORAGE_MAX_ROWS)
        return forage_fail(error, FORAGE_INVALID, "more than %zu events", FORAGE_MAX_ROWS);
    if (dataset->train_rows > dataset->count || dataset->validation_rows > dataset->count - dataset->train_rows ||
        dataset->test_rows != dataset->count - dataset->train_rows - dataset->validation_rows)
        return forage_fail(error, FORAGE_INVALID, "train_rows, validation_rows and test_rows do not sum to %zu",
                           dataset->count);
    size_t items = forage_vocabulary_count(dataset->items);
    FORAGE_TRY(check_indices(dataset->item, dataset->count, items, false, "item", error));
    if (dataset->user)
        FORAGE_TRY(check_indices(dataset->user, dataset->count, users, false, "user", error));
    for (size_t i = 0; dataset->value && i < dataset->count; i++)
        if (!isfinite(dataset->value[i]))
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "value", "row %zu is not finite", i);
    for (size_t i = 0; dataset->propensity && i < dataset->count; i++)
        if (!(dataset->propensity[i] > 0.0F && dataset->propensity[i] <= 1.0F))
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "propensity", "row %zu is not in (0, 1]", i);
    FORAGE_TRY(check_table(&dataset->context, dataset->count, "context", error));
    FORAGE_TRY(check_table(&dataset->user_attributes, users, "user attributes", error));
    return check_table(&dataset->item_attributes, items, "item attributes", error);
}
