/*
 * Binding: a dataset's ids and columns as a model sees them; scores of rows and pairs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/binding.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

forage_status forage_unknown_parse(const char *text, forage_unknown *policy, forage_error *error)
{
    static const char *const words[] = {"error", "skip", "average", "fold-in"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, words[i]) == 0) {
            *policy = (forage_unknown)i;
            return FORAGE_OK;
        }
    }
    return forage_fail(error, FORAGE_INVALID,
                       "'%.60s' is no way to treat unknown ids; there are: error, skip, average, fold-in", text);
}

/* ---- life ---- */

static void release_worker(binding_worker *worker, size_t fields)
{
    for (size_t f = 0; f < fields; f++) {
        if (worker->codes)
            forage_free(worker->codes[f]);
        if (worker->values)
            forage_free(worker->values[f]);
    }
    forage_free(worker->codes);
    forage_free(worker->values);
    forage_free(worker->use_codes);
    forage_free(worker->use_values);
    forage_free(worker->scratch);
}

void forage_binding_free(forage_binding *binding)
{
    if (!binding)
        return;
    size_t fields = binding_field_count(binding);
    for (int w = 0; binding->workers && w < binding->worker_count; w++)
        release_worker(&binding->workers[w], fields);
    for (size_t f = 0; f < fields; f++) {
        if (binding->item_codes)
            forage_free(binding->item_codes[f]);
        if (binding->item_values)
            forage_free(binding->item_values[f]);
    }
    forage_free(binding->workers);
    forage_free(binding->item_codes);
    forage_free(binding->item_values);
    forage_free(binding->context_codes);
    forage_free(binding->context_values);
    forage_free(binding->available);
    forage_free(binding->candidates);
    forage_free(binding->scores);
    forage_free(binding->order);
    binding_catalogue_release(&binding->catalogue);
    forage_seen_release(&binding->folded);
    binding_history_release(&binding->history);
    for (int owner = 0; owner < 2; owner++)
        binding_neighbours_release(&binding->neighbours[owner]);
    forage_free(binding->source);
    model_columns_release(&binding->columns);
    forage_free(binding);
}

static bool create_worker(const forage_binding *binding, binding_worker *worker)
{
    size_t fields = binding_field_count(binding), scratch = binding->model->type->scratch_size(binding->model->state);
    worker->codes = forage_calloc(fields, sizeof *worker->codes);
    worker->values = forage_calloc(fields, sizeof *worker->values);
    worker->use_codes = forage_calloc(fields, sizeof *worker->use_codes);
    worker->use_values = forage_calloc(fields, sizeof *worker->use_values);
    worker->scratch = forage_calloc(scratch + 1, 1);
    if (!worker->codes || !worker->values || !worker->use_codes || !worker->use_values || !worker->scratch)
        return false;
    for (size_t f = 0; f < fields; f++) {
        bool words = binding->columns.columns[f].field->type == FORAGE_CATEGORICAL;
        if (words && !(worker->codes[f] = forage_alloc(MODEL_BLOCK, sizeof **worker->codes)))
            return false;
        if (!words && !(worker->values[f] = forage_alloc(MODEL_BLOCK, sizeof **worker->values)))
            return false;
    }
    return true;
}

static bool allocate(forage_binding *binding, const char *source)
{
    size_t fields = binding->model->schema.field_count;
    binding->context_codes = forage_alloc(fields, sizeof *binding->context_codes);
    binding->context_values = forage_calloc(fields, sizeof *binding->context_values);
    binding->item_codes = forage_calloc(fields, sizeof *binding->item_codes);
    binding->item_values = forage_calloc(fields, sizeof *binding->item_values);
    binding->workers = forage_calloc((size_t)binding->worker_count, sizeof *binding->workers);
    if (!binding->context_codes || !binding->context_values || !binding->item_codes || !binding->item_values ||
        !binding->workers || (source && !(binding->source = forage_strdup(source))))
        return false;
    for (size_t f = 0; f < fields; f++)
        binding->context_codes[f] = FORAGE_NONE;
    for (int w = 0; w < binding->worker_count; w++) {
        if (!create_worker(binding, &binding->workers[w]))
            return false;
    }
    return true;
}

forage_status forage_model_bind(const forage_model *model, const forage_dataset *dataset, forage_unknown unknown,
                                const char *source, forage_binding **binding, forage_error *error)
{
    forage_status status = FORAGE_NO_MEMORY;
    *binding = NULL;
    forage_binding *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, status, "no memory to bind a model");
    made->model = model;
    made->dataset = dataset;
    made->unknown = unknown;
    made->user_id = model_schema_id(&model->schema, FORAGE_OF_USER);
    made->item_id = model_schema_id(&model->schema, FORAGE_OF_ITEM);
    made->user_count = dataset->users ? forage_vocabulary_count(dataset->users) : 0;
    made->item_count = forage_vocabulary_count(dataset->items);
    made->worker_count = model->device.threads;
    made->same_for_all = true;
    for (size_t f = 0; f < model->schema.field_count; f++)
        made->same_for_all =
            made->same_for_all && model->schema.fields[f].owner == FORAGE_OF_ITEM && !model_reads_history(model->type);
    FORAGE_TRY_GOTO(model_columns_create(&model->schema, dataset, source, &made->columns, error), fail);
    if (!allocate(made, source)) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory to bind a model");
        goto fail;
    }
    FORAGE_TRY_GOTO(binding_look_back(made, error), fail);
    FORAGE_TRY_GOTO(binding_prepare_items(made, error), fail);
    FORAGE_TRY_GOTO(forage_binding_history(made, NULL, 0, error), fail);
    *binding = made;
    return FORAGE_OK;
fail:
    forage_binding_free(made);
    return status;
}

/* ---- context ---- */

static forage_status no_context(const forage_binding *binding, const char *name, forage_error *error)
{
    char names[400] = "";
    size_t used = 0;
    const forage_schema *schema = &binding->model->schema;
    for (size_t f = 0; f < schema->field_count; f++) {
        if (schema->fields[f].owner == FORAGE_OF_CONTEXT)
            forage_append(names, sizeof names, &used, "%s%s", used ? ", " : "", schema->fields[f].name);
    }
    return forage_fail(error, FORAGE_UNKNOWN, "the model reads no context '%.60s'; it reads: %s", name,
                       names[0] ? names : "none at all");
}

static forage_status no_code(const forage_field *field, const char *value, forage_error *error)
{
    char known[300] = "", buffer[24];
    size_t used = 0;
    for (size_t code = 0; code < field->cardinality && code < 8; code++)
        forage_append(known, sizeof known, &used, "%s%.40s", code ? ", " : "",
                      forage_vocabulary_id(field->vocabulary, (uint32_t)code, buffer, NULL));
    return forage_fail_at(error, FORAGE_UNKNOWN, NULL, 0, field->name, "the model has not met '%.60s'; it knows %s%s",
                          value, known, field->cardinality > 8 ? " ..." : "");
}

forage_status forage_binding_context(forage_binding *binding, const char *name, const char *value, forage_error *error)
{
    const forage_schema *schema = &binding->model->schema;
    size_t f = 0;
    while (f < schema->field_count &&
           (schema->fields[f].owner != FORAGE_OF_CONTEXT || strcmp(schema->fields[f].name, name) != 0))
        f++;
    if (f == schema->field_count)
        return no_context(binding, name, error);
    const forage_field *field = &schema->fields[f];
    bool missing = !value || !value[0];
    if (field->type == FORAGE_CATEGORICAL) {
        uint32_t code = missing ? FORAGE_NONE : forage_vocabulary_find(field->vocabulary, value, strlen(value));
        if (!missing && code == FORAGE_NONE)
            return no_code(field, value, error);
        binding->context_codes[f] = code;
        return FORAGE_OK;
    }
    double real = 0;
    if (!missing && (!forage_parse_real(value, strlen(value), &real) || !isfinite((float)real)))
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, name, "'%.60s' is not a number", value);
    float number = missing ? NAN : (float)real;
    const model_column one = {.values = &number, .mean = field->mean, .scale = binding->columns.columns[f].scale};
    binding->context_values[f] = model_column_value(&one, 0);
    return FORAGE_OK;
}

void binding_fill_constant(const forage_binding *binding, binding_worker *worker, forage_owner owner, uint32_t index)
{
    for (size_t f = 0; f < binding_field_count(binding); f++) {
        const model_column *column = &binding->columns.columns[f];
        if (column->field->owner != owner)
            continue;
        bool context = owner == FORAGE_OF_CONTEXT;
        if (worker->codes[f]) {
            uint32_t code = context ? binding->context_codes[f] : model_column_code(column, index);
            for (size_t i = 0; i < MODEL_BLOCK; i++)
                worker->codes[f][i] = code;
        } else {
            float value = context ? binding->context_values[f] : model_column_value(column, index);
            for (size_t i = 0; i < MODEL_BLOCK; i++)
                worker->values[f][i] = value;
        }
    }
}

/* ---- scoring ---- */

forage_status binding_unknown(const forage_binding *binding, size_t field, uint32_t index, uint32_t row,
                              forage_error *error)
{
    const model_type *type = binding->model->type;
    const forage_field *what = &binding->model->schema.fields[field];
    bool user = what->owner == FORAGE_OF_USER;
    char buffer[24], place[48] = "";
    size_t used = 0;
    const char *id =
        forage_vocabulary_id(user ? binding->dataset->users : binding->dataset->items, index, buffer, NULL);
    if (row != FORAGE_NONE)
        forage_append(place, sizeof place, &used, "row %" PRIu32 " of the log: ", row + 1);
    return forage_fail_at(error, FORAGE_UNKNOWN, binding->source, 0, what->name,
                          "%sthe model has not met the %s '%.80s'; --unknown skip%s are other ways than error%s", place,
                          user ? "user" : "item", id,
                          type->catalogue || model_reads_history(type) ? ", average or fold-in" : " or average",
                          type->extend ? ", and 'forage update' makes it known" : "");
}

typedef struct scoring {
    forage_binding *binding;
    const uint32_t *rows;          /* of the log, or NULL: */
    const uint32_t *users, *items; /* pairs */
    size_t count;
    float *mean, *deviation;
    atomic_size_t first_unknown; /* place of the first unknown user or item */
} scoring;

static uint32_t index_of(const scoring *task, forage_owner owner, size_t place)
{
    const forage_dataset *dataset = task->binding->dataset;
    if (owner == FORAGE_OF_CONTEXT)
        return task->rows[place];
    if (owner == FORAGE_OF_USER) {
        if (task->rows)
            return dataset->user[task->rows[place]];
        return task->users ? task->users[place] : FORAGE_NONE;
    }
    return task->rows ? dataset->item[task->rows[place]] : task->items[place];
}

/* The id field (user's, item's) that is unknown at `place`, or SIZE_MAX. Nobody in particular (FORAGE_NONE) is
 * no unknown user, nor is one who may be folded in. */
static size_t unknown_at(const scoring *task, size_t place)
{
    const forage_binding *binding = task->binding;
    size_t fields[2] = {binding->user_id, binding->item_id};
    for (int i = binding->unknown == FORAGE_UNKNOWN_FOLD_IN; i < 2; i++) {
        if (fields[i] == SIZE_MAX)
            continue;
        const model_column *column = &binding->columns.columns[fields[i]];
        uint32_t index = index_of(task, column->field->owner, place);
        if (index != FORAGE_NONE && model_column_code(column, index) == FORAGE_NONE)
            return fields[i];
    }
    return SIZE_MAX;
}

static void gather(const scoring *task, binding_worker *worker, size_t begin, size_t count)
{
    const forage_binding *binding = task->binding;
    for (size_t f = 0; f < binding_field_count(binding); f++) {
        const model_column *column = &binding->columns.columns[f];
        forage_owner owner = column->field->owner;
        worker->use_codes[f] = worker->codes[f];
        worker->use_values[f] = worker->values[f];
        if (owner == FORAGE_OF_CONTEXT && !task->rows)
            continue; /* filled once, see score_all */
        for (size_t i = 0; i < count; i++) {
            uint32_t index = index_of(task, owner, begin + i);
            if (worker->codes[f])
                worker->codes[f][i] = model_column_code(column, index);
            else
                worker->values[f][i] = model_column_value(column, index);
        }
    }
    if (task->rows)
        binding_history_rows(binding, worker, task->rows + begin, count);
    else
        binding_history_users(binding, worker, task->users ? task->users + begin : NULL, count);
}

/* Users who are folded in are not in the columns that models score by. */
static void fold_one(const scoring *task, size_t place, int worker)
{
    const forage_binding *binding = task->binding;
    uint32_t user = binding->folded.user_count ? index_of(task, FORAGE_OF_USER, place) : FORAGE_NONE;
    if (forage_binding_folded(binding, user) > 0)
        task->mean[place] = binding_fold_score(binding, worker, user, index_of(task, FORAGE_OF_ITEM, place));
}

static void score_chunk(void *context, size_t chunk, int number)
{
    scoring *task = context;
    const forage_model *model = task->binding->model;
    binding_worker *worker = &task->binding->workers[number];
    size_t begin = chunk * MODEL_BLOCK;
    size_t count = task->count - begin < MODEL_BLOCK ? task->count - begin : MODEL_BLOCK;
    float *deviation = task->deviation ? task->deviation + begin : NULL;
    gather(task, worker, begin, count);
    forage_examples examples = {.count = count, .codes = worker->use_codes, .values = worker->use_values};
    binding_history_show(task->binding, worker, &examples);
    model->type->score(model->state, &examples, worker->scratch, task->mean + begin, deviation);
    bool has_deviation = model->type->info.capabilities & FORAGE_HAS_DEVIATION;
    for (size_t i = 0; deviation && !has_deviation && i < count; i++)
        deviation[i] = NAN;
    if (task->binding->unknown == FORAGE_UNKNOWN_AVERAGE)
        return;
    for (size_t i = 0; i < count; i++) {
        if (unknown_at(task, begin + i) == SIZE_MAX) {
            fold_one(task, begin + i, number);
            continue;
        }
        task->mean[begin + i] = NAN;
        if (deviation)
            deviation[i] = NAN;
        size_t first = atomic_load(&task->first_unknown);
        while (begin + i < first && !atomic_compare_exchange_weak(&task->first_unknown, &first, begin + i))
            ;
    }
}

static forage_status score_all(scoring *task, forage_error *error)
{
    forage_binding *binding = task->binding;
    size_t chunks = (task->count + MODEL_BLOCK - 1) / MODEL_BLOCK;
    atomic_init(&task->first_unknown, SIZE_MAX);
    for (int w = 0; w < binding->worker_count && !task->rows; w++)
        binding_fill_constant(binding, &binding->workers[w], FORAGE_OF_CONTEXT, 0);
    forage_parallel_for(binding->worker_count, chunks, score_chunk, task);
    size_t first = atomic_load(&task->first_unknown);
    if (first == SIZE_MAX || binding->unknown != FORAGE_UNKNOWN_ERROR)
        return FORAGE_OK;
    size_t field = unknown_at(task, first);
    uint32_t index = index_of(task, binding->model->schema.fields[field].owner, first);
    return binding_unknown(binding, field, index, task->rows ? task->rows[first] : FORAGE_NONE, error);
}

forage_status forage_model_score(forage_binding *binding, const uint32_t *rows, size_t count, float *mean,
                                 float *deviation, forage_error *error)
{
    scoring task = {.binding = binding, .rows = rows, .count = count, .mean = mean, .deviation = deviation};
    for (size_t i = 0; i < count; i++) {
        if (rows[i] >= binding->dataset->count)
            return forage_fail(error, FORAGE_INVALID, "there is no row %" PRIu32 " in a log of %zu rows", rows[i] + 1,
                               binding->dataset->count);
    }
    return count ? score_all(&task, error) : FORAGE_OK;
}

forage_status forage_model_score_pairs(forage_binding *binding, const uint32_t *users, const uint32_t *items,
                                       size_t count, float *mean, float *deviation, forage_error *error)
{
    scoring task = {
        .binding = binding, .users = users, .items = items, .count = count, .mean = mean, .deviation = deviation};
    for (size_t i = 0; i < count; i++) {
        if (items[i] >= binding->item_count || (users && users[i] != FORAGE_NONE && users[i] >= binding->user_count))
            return forage_fail(error, FORAGE_INVALID, "pair %zu names a user or an item that the dataset has not", i);
    }
    return count ? score_all(&task, error) : FORAGE_OK;
}
