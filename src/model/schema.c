/*
 * Schema: which columns of a log a model reads, and what their codes mean.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"

#include <stdio.h>
#include <string.h>

void model_schema_release(forage_schema *schema)
{
    for (size_t f = 0; f < schema->field_count; f++) {
        forage_free(schema->fields[f].name);
        forage_vocabulary_free(schema->fields[f].vocabulary);
    }
    forage_free(schema->fields);
    *schema = (forage_schema){0};
}

size_t model_schema_id(const forage_schema *schema, forage_owner owner)
{
    for (size_t f = 0; f < schema->field_count; f++) {
        if (schema->fields[f].is_id && schema->fields[f].owner == owner)
            return f;
    }
    return SIZE_MAX;
}

/* Adds a field without codes; *field may be NULL. */
static forage_status add_field(forage_schema *schema, const char *name, forage_owner owner, forage_column_type type,
                               bool is_id, forage_field **field, forage_error *error)
{
    size_t count = schema->field_count;
    for (size_t f = 0; f < count; f++) {
        if (schema->fields[f].owner == owner && strcmp(schema->fields[f].name, name) == 0)
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, name, "this field is named twice");
    }
    forage_field *fields = forage_realloc(schema->fields, count, count + 1, sizeof *fields);
    if (!fields)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for field %s", name);
    schema->fields = fields;
    fields[count] = (forage_field){.owner = owner, .type = type, .is_id = is_id, .deviation = 1};
    fields[count].name = forage_strdup(name);
    if (!fields[count].name)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for field %s", name);
    schema->field_count = count + 1;
    if (field)
        *field = &fields[count];
    return FORAGE_OK;
}

forage_status model_schema_numbered(size_t users, size_t items, forage_schema *schema, forage_error *error)
{
    forage_field *field;
    forage_status status = FORAGE_OK;
    *schema = (forage_schema){0};
    if (users) {
        FORAGE_TRY_GOTO(add_field(schema, "user_id", FORAGE_OF_USER, FORAGE_CATEGORICAL, true, &field, error), fail);
        field->cardinality = users;
        FORAGE_TRY_GOTO(forage_vocabulary_create_numbered(users, &field->vocabulary, error), fail);
    }
    if (items) {
        FORAGE_TRY_GOTO(add_field(schema, "product_id", FORAGE_OF_ITEM, FORAGE_CATEGORICAL, true, &field, error), fail);
        field->cardinality = items;
        FORAGE_TRY_GOTO(forage_vocabulary_create_numbered(items, &field->vocabulary, error), fail);
    }
    return FORAGE_OK;
fail:
    model_schema_release(schema);
    return status;
}

static const forage_table *table_of(const forage_dataset *dataset, forage_owner owner)
{
    if (owner == FORAGE_OF_USER)
        return &dataset->user_attributes;
    return owner == FORAGE_OF_ITEM ? &dataset->item_attributes : &dataset->context;
}

static const char *owner_text(forage_owner owner)
{
    if (owner == FORAGE_OF_USER)
        return "attribute of users";
    return owner == FORAGE_OF_ITEM ? "attribute of items" : "context column";
}

forage_status model_schema_column(const forage_field *field, const forage_dataset *dataset, const char *source,
                                  const forage_column **column, forage_error *error)
{
    *column = NULL;
    if (field->owner == FORAGE_OF_USER && (!dataset->users || !dataset->user))
        return forage_fail_at(error, FORAGE_UNKNOWN, source, 0, field->name,
                              "the model reads users, and this log names none");
    if (field->is_id)
        return FORAGE_OK;
    *column = forage_table_find(table_of(dataset, field->owner), field->name);
    if (!*column)
        return forage_fail_at(error, FORAGE_UNKNOWN, source, 0, field->name,
                              "the model reads this %s, and the log (with its files of attributes) has none",
                              owner_text(field->owner));
    return FORAGE_OK;
}

/* ---- what the codes mean ---- */

/* Adds what occurs in some rows to a vocabulary, in the order of the dataset's codes. */
static forage_status add_values(const forage_vocabulary *all, const uint32_t *codes, const forage_field *shape,
                                const forage_dataset *dataset, const uint32_t *rows, size_t count,
                                forage_vocabulary *vocabulary, forage_error *error)
{
    size_t total = forage_vocabulary_count(all);
    unsigned char *used = forage_calloc(total + 1, 1);
    forage_status status = FORAGE_OK;
    if (!used)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the values of %s", shape->name);
    for (size_t i = 0; i < count; i++) {
        size_t index = model_column_index(shape, dataset, rows[i]);
        uint32_t code = codes ? codes[index] : (uint32_t)index;
        if (code < total)
            used[code] = 1;
    }
    for (size_t code = 0; status == FORAGE_OK && code < total; code++) {
        char buffer[24];
        size_t length;
        uint32_t index;
        if (!used[code])
            continue;
        const char *id = forage_vocabulary_id(all, (uint32_t)code, buffer, &length);
        status = forage_vocabulary_add(vocabulary, id, length, &index, error);
    }
    forage_free(used);
    return status;
}

/* The vocabulary of what occurs in the training rows. */
static forage_status take_values(const forage_vocabulary *all, const uint32_t *codes, const forage_field *shape,
                                 const forage_dataset *dataset, const uint32_t *rows, size_t count,
                                 forage_vocabulary **vocabulary, forage_error *error)
{
    FORAGE_TRY(forage_vocabulary_create(vocabulary, error));
    return add_values(all, codes, shape, dataset, rows, count, *vocabulary, error);
}

static forage_status code_ids(forage_field *field, const forage_dataset *dataset, const uint32_t *rows, size_t count,
                              forage_error *error)
{
    const forage_vocabulary *all = field->owner == FORAGE_OF_USER ? dataset->users : dataset->items;
    /* Numbers keep their places, as in a table that is indexed by them; other ids are known if they occur. */
    if (forage_vocabulary_numbered(all)) {
        FORAGE_TRY(forage_vocabulary_create_numbered(forage_vocabulary_count(all), &field->vocabulary, error));
    } else {
        FORAGE_TRY(take_values(all, NULL, field, dataset, rows, count, &field->vocabulary, error));
    }
    field->cardinality = forage_vocabulary_count(field->vocabulary);
    return FORAGE_OK;
}

/* Mean and deviation over the training rows that have a value. */
static void measure(forage_field *field, const float *values, const forage_dataset *dataset, const uint32_t *rows,
                    size_t count)
{
    double sum = 0, squares = 0;
    size_t present = 0;
    for (size_t i = 0; i < count; i++) {
        double value = (double)values[model_column_index(field, dataset, rows[i])];
        if (isfinite(value)) {
            sum += value;
            present++;
        }
    }
    double mean = present ? sum / (double)present : 0;
    for (size_t i = 0; i < count; i++) {
        double value = (double)values[model_column_index(field, dataset, rows[i])];
        if (isfinite(value))
            squares += (value - mean) * (value - mean);
    }
    double deviation = present ? sqrt(squares / (double)present) : 0;
    field->mean = (float)mean;
    /* A column that never varies says nothing: 0 after scaling, whatever it is worth elsewhere. */
    field->deviation = deviation > 1e-12 * (fabs(mean) + 1e-12) ? (float)deviation : 0;
    field->cardinality = present;
}

/* Fills in what a column's codes mean, or drops the field again if it is of no use and was not asked for by name. */
static forage_status code_column(forage_schema *schema, const forage_column *column, bool wanted,
                                 const forage_dataset *dataset, const uint32_t *rows, size_t count, forage_error *error)
{
    forage_field *field = &schema->fields[schema->field_count - 1];
    bool useful;
    if (field->type == FORAGE_NUMERIC) {
        measure(field, column->values, dataset, rows, count);
        useful = field->cardinality > 0;
        field->cardinality = 0;
    } else {
        FORAGE_TRY(
            take_values(column->vocabulary, column->codes, field, dataset, rows, count, &field->vocabulary, error));
        field->cardinality = forage_vocabulary_count(field->vocabulary);
        /* A column that is nearly a number of the row would only be learned by heart. */
        useful = field->cardinality > 0 && field->cardinality <= count / 2 + 1;
    }
    if (wanted && (field->type == FORAGE_NUMERIC ? !useful : field->cardinality == 0))
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, field->name,
                              "this column has no value in any training row");
    if (!wanted && !useful) {
        forage_free(field->name);
        forage_vocabulary_free(field->vocabulary);
        schema->field_count--;
    }
    return FORAGE_OK;
}

/* ---- which columns ---- */

typedef struct schema_task {
    const model_type *type;
    const forage_dataset *dataset;
    const uint32_t *rows;
    size_t count;
    forage_schema *schema;
} schema_task;

static const char *id_name(const forage_dataset *dataset, forage_owner owner)
{
    if (owner == FORAGE_OF_USER)
        return dataset->user_name ? dataset->user_name : "user_id";
    return dataset->item_name ? dataset->item_name : "item_id";
}

static forage_status take_id(const schema_task *task, forage_owner owner, forage_error *error)
{
    forage_field *field;
    FORAGE_TRY(add_field(task->schema, id_name(task->dataset, owner), owner, FORAGE_CATEGORICAL, true, &field, error));
    return code_ids(field, task->dataset, task->rows, task->count, error);
}

static forage_status take_column(const schema_task *task, forage_owner owner, const forage_column *column, bool wanted,
                                 forage_error *error)
{
    FORAGE_TRY(add_field(task->schema, column->name, owner, column->type, false, NULL, error));
    return code_column(task->schema, column, wanted, task->dataset, task->rows, task->count, error);
}

static bool reads(const schema_task *task, forage_owner owner, bool id)
{
    unsigned what = owner == FORAGE_OF_CONTEXT ? MODEL_READS_CONTEXT : MODEL_READS_ATTRIBUTES;
    if (id)
        what = owner == FORAGE_OF_USER ? MODEL_READS_USER : MODEL_READS_ITEM;
    bool there = owner != FORAGE_OF_USER || (task->dataset->users && task->dataset->user);
    return (task->type->reads & what) && there;
}

static const forage_owner owners[] = {FORAGE_OF_USER, FORAGE_OF_ITEM, FORAGE_OF_CONTEXT};

/* All that the model can use, or those fields that a model takes by rule. */
static forage_status take_all(const schema_task *task, bool by_rule, forage_error *error)
{
    bool strangers = task->type->reads & MODEL_FOR_STRANGERS;
    bool ids_only = by_rule && !strangers && task->dataset->users; /* without users all else describes an event */
    for (size_t o = 0; o < 2; o++) {
        if (by_rule && strangers && owners[o] == FORAGE_OF_USER)
            continue;
        if (reads(task, owners[o], true))
            FORAGE_TRY(take_id(task, owners[o], error));
    }
    for (size_t o = 0; o < 3 && !ids_only; o++) {
        const forage_table *table = table_of(task->dataset, owners[o]);
        for (size_t c = 0; c < table->column_count && reads(task, owners[o], false); c++) {
            if (table->columns[c].name[0])
                FORAGE_TRY(take_column(task, owners[o], &table->columns[c], false, error));
        }
    }
    return FORAGE_OK;
}

/* A message with all names that could have been given. */
static forage_status unknown_field(const schema_task *task, const char *name, size_t length, forage_error *error)
{
    char names[400] = "";
    size_t used = 0;
    for (size_t o = 0; o < 2; o++) {
        if (reads(task, owners[o], true))
            forage_append(names, sizeof names, &used, "%s%s", used ? ", " : "", id_name(task->dataset, owners[o]));
    }
    for (size_t o = 0; o < 3; o++) {
        const forage_table *table = table_of(task->dataset, owners[o]);
        for (size_t c = 0; c < table->column_count && reads(task, owners[o], false); c++)
            forage_append(names, sizeof names, &used, "%s%s", used ? ", " : "", table->columns[c].name);
    }
    return forage_fail(error, FORAGE_UNKNOWN, "%s cannot read a field '%.*s' of this log; it can read: %s",
                       task->type->info.name, (int)(length < 60 ? length : 60), name, names);
}

static forage_status take_named(const schema_task *task, const char *name, size_t length, forage_error *error)
{
    for (size_t o = 0; o < 2; o++) {
        const char *id = id_name(task->dataset, owners[o]);
        if (reads(task, owners[o], true) && strlen(id) == length && strncmp(id, name, length) == 0)
            return take_id(task, owners[o], error);
    }
    for (size_t o = 0; o < 3; o++) {
        const forage_table *table = table_of(task->dataset, owners[o]);
        for (size_t c = 0; c < table->column_count && reads(task, owners[o], false); c++) {
            const char *column = table->columns[c].name;
            if (strlen(column) == length && strncmp(column, name, length) == 0)
                return take_column(task, owners[o], &table->columns[c], true, error);
        }
    }
    return unknown_field(task, name, length, error);
}

static forage_status take_list(const schema_task *task, const char *list, forage_error *error)
{
    for (const char *at = list;;) {
        size_t length = strcspn(at, ",");
        FORAGE_TRY(take_named(task, at, length, error));
        if (!at[length])
            return FORAGE_OK;
        at += length + 1;
    }
}

forage_status model_schema_build(const model_type *type, const char *fields, const forage_dataset *dataset,
                                 const uint32_t *rows, size_t count, forage_schema *schema, forage_error *error)
{
    schema_task task = {type, dataset, rows, count, schema};
    bool by_rule = !fields || strcmp(fields, "auto") == 0;
    forage_status status;
    *schema = (forage_schema){0};
    if (by_rule)
        status = take_all(&task, true, error);
    else if (strcmp(fields, "all") == 0)
        status = take_all(&task, false, error);
    else
        status = take_list(&task, fields, error);
    if (status == FORAGE_OK && schema->field_count == 0)
        status = forage_fail(error, FORAGE_INVALID, "%s finds no field to read in this log", type->info.name);
    if (status != FORAGE_OK)
        model_schema_release(schema);
    return status;
}

/* ---- a schema that knows more ---- */

/* Codes keep what they mean. */
static forage_status copy_values(const forage_field *from, forage_field *to, forage_error *error)
{
    if (forage_vocabulary_numbered(from->vocabulary))
        return forage_vocabulary_create_numbered(from->cardinality, &to->vocabulary, error);
    FORAGE_TRY(forage_vocabulary_create(&to->vocabulary, error));
    for (uint32_t code = 0; code < from->cardinality; code++) {
        char buffer[24];
        size_t length;
        uint32_t index;
        const char *id = forage_vocabulary_id(from->vocabulary, code, buffer, &length);
        FORAGE_TRY(forage_vocabulary_add(to->vocabulary, id, length, &index, error));
    }
    return FORAGE_OK;
}

static forage_status copy_field(const forage_field *from, forage_schema *schema, forage_field **field,
                                forage_error *error)
{
    FORAGE_TRY(add_field(schema, from->name, from->owner, from->type, from->is_id, field, error));
    (*field)->mean = from->mean;
    (*field)->deviation = from->deviation;
    (*field)->cardinality = from->cardinality;
    return from->type == FORAGE_CATEGORICAL ? copy_values(from, *field, error) : FORAGE_OK;
}

/* Ids that are numbers in both have a place for every number, as in code_ids. */
static forage_status add_ids(forage_field *field, const forage_dataset *dataset, const uint32_t *rows, size_t count,
                             forage_error *error)
{
    const forage_vocabulary *all = field->owner == FORAGE_OF_USER ? dataset->users : dataset->items;
    size_t numbers = forage_vocabulary_count(all);
    if (!forage_vocabulary_numbered(all) || !forage_vocabulary_numbered(field->vocabulary)) {
        FORAGE_TRY(add_values(all, NULL, field, dataset, rows, count, field->vocabulary, error));
    } else if (numbers > field->cardinality) {
        forage_vocabulary_free(field->vocabulary);
        field->vocabulary = NULL;
        FORAGE_TRY(forage_vocabulary_create_numbered(numbers, &field->vocabulary, error));
    }
    field->cardinality = forage_vocabulary_count(field->vocabulary);
    return FORAGE_OK;
}

forage_status model_schema_extend(const forage_schema *from, const forage_dataset *dataset, const uint32_t *rows,
                                  size_t count, const char *source, forage_schema *schema, forage_error *error)
{
    forage_status status = FORAGE_OK;
    *schema = (forage_schema){0};
    for (size_t f = 0; f < from->field_count && status == FORAGE_OK; f++) {
        const forage_column *column;
        forage_field *field;
        status = model_schema_column(&from->fields[f], dataset, source, &column, error);
        if (status == FORAGE_OK)
            status = copy_field(&from->fields[f], schema, &field, error);
        if (status == FORAGE_OK && field->is_id)
            status = add_ids(field, dataset, rows, count, error);
    }
    if (status != FORAGE_OK)
        model_schema_release(schema);
    return status;
}

static bool same_column(const forage_field *a, const forage_field *b)
{
    return a->owner == b->owner && a->is_id == b->is_id && (a->is_id || strcmp(a->name, b->name) == 0);
}

/* The fields of both stand in the order of `from`; numbers mean what they meant, unless they never varied. */
static void go_on_as(const forage_schema *from, forage_schema *schema)
{
    for (size_t f = 0; f < from->field_count; f++) {
        const forage_field *old = &from->fields[f];
        size_t g = f;
        while (g < schema->field_count && !same_column(&schema->fields[g], old))
            g++;
        if (g >= schema->field_count)
            return; /* they are not the same fields, which the model will find */
        forage_field found = schema->fields[g];
        schema->fields[g] = schema->fields[f];
        if (found.type == FORAGE_NUMERIC && old->type == FORAGE_NUMERIC && old->deviation > 0) {
            found.mean = old->mean;
            found.deviation = old->deviation;
        }
        schema->fields[f] = found;
    }
}

static forage_status read_again(const forage_field *from, const forage_dataset *dataset, const uint32_t *rows,
                                size_t count, const char *source, forage_schema *schema, forage_error *error)
{
    const forage_column *column;
    forage_field *field;
    FORAGE_TRY(model_schema_column(from, dataset, source, &column, error));
    FORAGE_TRY(add_field(schema, from->name, from->owner, from->type, from->is_id, &field, error));
    if (from->is_id)
        return code_ids(field, dataset, rows, count, error);
    if (from->type == FORAGE_NUMERIC) {
        if (column->type == FORAGE_NUMERIC)
            measure(field, column->values, dataset, rows, count);
        field->cardinality = 0;
    } else {
        FORAGE_TRY(column->type == FORAGE_CATEGORICAL ? take_values(column->vocabulary, column->codes, field, dataset,
                                                                    rows, count, &field->vocabulary, error)
                                                      : copy_values(from, field, error));
        field->cardinality = forage_vocabulary_count(field->vocabulary);
    }
    return FORAGE_OK;
}

forage_status model_schema_again(const model_schema_start *start, const forage_dataset *dataset, const uint32_t *rows,
                                 size_t count, forage_schema *schema, forage_error *error)
{
    const forage_schema *from = start->from;
    forage_status status = FORAGE_OK;
    *schema = (forage_schema){0};
    if (start->fields && strcmp(start->fields, "auto") != 0) {
        status = model_schema_build(start->type, start->fields, dataset, rows, count, schema, error);
    } else {
        for (size_t f = 0; status == FORAGE_OK && f < from->field_count; f++)
            status = read_again(&from->fields[f], dataset, rows, count, start->source, schema, error);
    }
    if (status == FORAGE_OK)
        go_on_as(from, schema);
    else
        model_schema_release(schema);
    return status;
}
