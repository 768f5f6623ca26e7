/*
 * Columns: from a dataset's codes and numbers to a model's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"

#include <string.h>

static forage_status no_memory(const forage_field *field, forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory to code the column %s", field->name);
}

/* map[dataset's code] = the model's code of the same string. */
static forage_status map_codes(model_column *column, const forage_vocabulary *theirs, forage_error *error)
{
    const forage_vocabulary *ours = column->field->vocabulary;
    size_t count = forage_vocabulary_count(theirs);
    if (forage_vocabulary_numbered(ours) && forage_vocabulary_numbered(theirs)) {
        column->limit = column->field->cardinality;
        return FORAGE_OK;
    }
    column->owned_map = forage_alloc(count + 1, sizeof *column->owned_map);
    if (!column->owned_map)
        return no_memory(column->field, error);
    for (size_t code = 0; code < count; code++) {
        char buffer[24];
        size_t length;
        const char *id = forage_vocabulary_id(theirs, (uint32_t)code, buffer, &length);
        column->owned_map[code] = forage_vocabulary_find(ours, id, length);
    }
    column->map = column->owned_map;
    column->limit = count;
    return FORAGE_OK;
}

/* The log has numbers where the model knows words: "3" for 3. */
static forage_status number_to_code(model_column *column, const float *values, size_t count, forage_error *error)
{
    column->owned_codes = forage_alloc(count + 1, sizeof *column->owned_codes);
    if (!column->owned_codes)
        return no_memory(column->field, error);
    for (size_t i = 0; i < count; i++) {
        char text[32];
        size_t length = isfinite(values[i]) ? forage_format_real((double)values[i], text) : 0;
        column->owned_codes[i] = length ? forage_vocabulary_find(column->field->vocabulary, text, length) : FORAGE_NONE;
    }
    column->codes = column->owned_codes;
    column->limit = column->field->cardinality;
    return FORAGE_OK;
}

/* The log has words where the model knows numbers: what reads as one is one. */
static forage_status code_to_number(model_column *column, const forage_column *source, forage_error *error)
{
    size_t count = forage_vocabulary_count(source->vocabulary);
    column->owned_lookup = forage_alloc(count + 1, sizeof *column->owned_lookup);
    if (!column->owned_lookup)
        return no_memory(column->field, error);
    for (size_t code = 0; code < count; code++) {
        char buffer[24];
        size_t length;
        double value;
        const char *id = forage_vocabulary_id(source->vocabulary, (uint32_t)code, buffer, &length);
        bool good = forage_parse_real(id, length, &value) && isfinite(value);
        column->owned_lookup[code] = good ? (float)value : NAN;
    }
    column->lookup = column->owned_lookup;
    column->codes = source->codes;
    column->limit = count;
    return FORAGE_OK;
}

static forage_status find_column(model_column *column, const forage_dataset *dataset, const char *source,
                                 forage_error *error)
{
    const forage_field *field = column->field;
    const forage_column *found;
    FORAGE_TRY(model_schema_column(field, dataset, source, &found, error));
    if (field->is_id)
        return map_codes(column, field->owner == FORAGE_OF_USER ? dataset->users : dataset->items, error);
    size_t count = dataset->count;
    if (field->owner != FORAGE_OF_CONTEXT)
        count = field->owner == FORAGE_OF_USER ? dataset->user_attributes.rows : dataset->item_attributes.rows;
    column->mean = field->mean;
    column->scale = field->deviation > 0 ? 1 / field->deviation : 0;
    if (field->type == FORAGE_NUMERIC && found->type == FORAGE_CATEGORICAL)
        return code_to_number(column, found, error);
    if (field->type == FORAGE_CATEGORICAL && found->type == FORAGE_NUMERIC)
        return number_to_code(column, found->values, count, error);
    if (field->type == FORAGE_NUMERIC) {
        column->values = found->values;
        return FORAGE_OK;
    }
    column->codes = found->codes;
    return map_codes(column, found->vocabulary, error);
}

forage_status model_columns_create(const forage_schema *schema, const forage_dataset *dataset, const char *source,
                                   model_columns *columns, forage_error *error)
{
    columns->count = schema->field_count;
    columns->columns = forage_calloc(schema->field_count, sizeof *columns->columns);
    if (!columns->columns)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the columns of a model");
    for (size_t f = 0; f < schema->field_count; f++) {
        columns->columns[f].field = &schema->fields[f];
        forage_status status = find_column(&columns->columns[f], dataset, source, error);
        if (status != FORAGE_OK) {
            model_columns_release(columns);
            return status;
        }
    }
    return FORAGE_OK;
}

void model_columns_release(model_columns *columns)
{
    for (size_t f = 0; columns->columns && f < columns->count; f++) {
        forage_free(columns->columns[f].owned_codes);
        forage_free(columns->columns[f].owned_map);
        forage_free(columns->columns[f].owned_lookup);
    }
    forage_free(columns->columns);
    *columns = (model_columns){0};
}

/* ---- all rows of a fit ---- */

enum { CHUNK = 1 << 16 };

typedef struct coding {
    const model_columns *columns;
    const forage_dataset *dataset;
    const uint32_t *rows;
    size_t count;
    model_coded *coded;
} coding;

static void code_chunk(void *context, size_t chunk, int worker)
{
    const coding *task = context;
    size_t begin = chunk * CHUNK, end = begin + CHUNK < task->count ? begin + CHUNK : task->count;
    (void)worker;
    for (size_t f = 0; f < task->columns->count; f++) {
        const model_column *column = &task->columns->columns[f];
        uint32_t *codes = task->coded->codes[f];
        float *values = task->coded->values[f];
        for (size_t i = begin; i < end; i++) {
            size_t index = model_column_index(column->field, task->dataset, task->rows[i]);
            if (codes)
                codes[i] = model_column_code(column, index);
            else
                values[i] = model_column_value(column, index);
        }
    }
    for (size_t i = begin; i < end && task->coded->time; i++)
        task->coded->time[i] = task->dataset->time[task->rows[i]];
    for (size_t i = begin; i < end && task->coded->reward; i++)
        task->coded->reward[i] = task->dataset->value[task->rows[i]];
}

forage_status model_coded_create(const model_columns *columns, const forage_dataset *dataset, const uint32_t *rows,
                                 size_t count, bool with_time, int threads, model_coded *coded, forage_error *error)
{
    bool good;
    *coded = (model_coded){0};
    coded->codes = forage_calloc(columns->count, sizeof *coded->codes);
    coded->values = forage_calloc(columns->count, sizeof *coded->values);
    good = coded->codes && coded->values;
    for (size_t f = 0; good && f < columns->count; f++) {
        if (columns->columns[f].field->type == FORAGE_CATEGORICAL)
            good = (coded->codes[f] = forage_alloc(count + 1, sizeof **coded->codes)) != NULL;
        else
            good = (coded->values[f] = forage_alloc(count + 1, sizeof **coded->values)) != NULL;
    }
    if (good && dataset->value)
        good = (coded->reward = forage_alloc(count + 1, sizeof *coded->reward)) != NULL;
    if (good && with_time && dataset->time)
        good = (coded->time = forage_alloc(count + 1, sizeof *coded->time)) != NULL;
    if (!good) {
        model_coded_release(coded, columns->count);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to code %zu rows of %zu columns", count, columns->count);
    }
    coding task = {columns, dataset, rows, count, coded};
    forage_parallel_for(threads, (count + CHUNK - 1) / CHUNK, code_chunk, &task);
    coded->examples = (forage_examples){.count = count,
                                        .codes = (const uint32_t *const *)coded->codes,
                                        .values = (const float *const *)coded->values,
                                        .reward = coded->reward,
                                        .time = coded->time,
                                        .time_is_calendar = dataset->time_is_calendar};
    return FORAGE_OK;
}

void model_coded_release(model_coded *coded, size_t field_count)
{
    for (size_t f = 0; f < field_count; f++) {
        if (coded->codes)
            forage_free(coded->codes[f]);
        if (coded->values)
            forage_free(coded->values[f]);
    }
    forage_free(coded->codes);
    forage_free(coded->values);
    forage_free(coded->reward);
    forage_free(coded->time);
    *coded = (model_coded){0};
}
