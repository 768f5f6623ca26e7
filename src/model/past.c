/*
 * past.c: what came before, as a model sees it: the histories of a dataset's users, coded once, and where in them an
 * example or a moment stands.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"

#include <inttypes.h>
#include <string.h>

enum { CHUNK = 1 << 14 };

static forage_status no_memory(size_t count, forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the histories of %zu rows", count);
}

void model_past_release(model_past *past)
{
    for (size_t f = 0; f < past->field_count; f++) {
        if (past->codes)
            forage_free(past->codes[f]);
        if (past->values)
            forage_free(past->values[f]);
    }
    forage_histories_release(&past->histories);
    forage_free(past->codes);
    forage_free(past->values);
    forage_free(past->reward);
    forage_free(past->time);
    forage_free(past->begin);
    forage_free(past->end);
    *past = (model_past){0};
}

/* ---- which events ---- */

static const model_column *item_ids(const model_columns *columns)
{
    for (size_t f = 0; f < columns->count; f++) {
        const forage_field *field = columns->columns[f].field;
        if (field->is_id && field->owner == FORAGE_OF_ITEM)
            return &columns->columns[f];
    }
    return NULL;
}

/* The histories of those of the rows that say something to the model. */
static forage_status choose(const model_past_task *task, const uint32_t *rows, size_t count,
                            forage_histories *histories, forage_error *error)
{
    const forage_dataset *dataset = task->dataset;
    const model_column *ids = item_ids(task->columns);
    bool refusals = task->type->reads_refusals && task->type->reads_refusals(task->params);
    uint32_t *kept = forage_alloc(count + 1, sizeof *kept);
    size_t kept_count = 0;
    if (!kept)
        return no_memory(count, error);
    for (size_t i = 0; i < count; i++) {
        uint32_t row = rows ? rows[i] : (uint32_t)i;
        if (row >= dataset->count) {
            forage_free(kept);
            return forage_fail(error, FORAGE_INVALID, "there is no row %" PRIu32 " in a log of %zu rows", row + 1,
                               dataset->count);
        }
        bool wanted = refusals || !dataset->value || dataset->value[row] > 0;
        if (wanted && (!ids || model_column_code(ids, dataset->item[row]) != FORAGE_NONE))
            kept[kept_count++] = row;
    }
    forage_status status = forage_histories_create(dataset, kept, kept_count, false, histories, error);
    forage_free(kept);
    return status;
}

/* ---- coding ---- */

typedef struct coding {
    const model_past_task *task;
    model_past *past;
    size_t count;
} coding;

static void code_chunk(void *context, size_t chunk, int worker)
{
    const coding *work = context;
    const forage_dataset *dataset = work->task->dataset;
    model_past *past = work->past;
    size_t begin = chunk * CHUNK, end = begin + CHUNK < work->count ? begin + CHUNK : work->count;
    (void)worker;
    for (size_t f = 0; f < past->field_count; f++) {
        const model_column *column = &work->task->columns->columns[f];
        for (size_t e = begin; e < end && (past->codes[f] || past->values[f]); e++) {
            uint32_t item = dataset->item[past->histories.rows[e]];
            if (past->codes[f])
                past->codes[f][e] = model_column_code(column, item);
            else
                past->values[f][e] = model_column_value(column, item);
        }
    }
    for (size_t e = begin; e < end && past->reward; e++)
        past->reward[e] = dataset->value[past->histories.rows[e]];
    for (size_t e = begin; e < end && past->time; e++)
        past->time[e] = dataset->time[past->histories.rows[e]];
}

/* The columns of `room` events; all of them empty. */
static bool make_columns(const model_past_task *task, size_t room, model_past *past)
{
    size_t fields = task->columns->count;
    past->codes = forage_calloc(fields + 1, sizeof *past->codes);
    past->values = forage_calloc(fields + 1, sizeof *past->values);
    if (!past->codes || !past->values)
        return false;
    past->field_count = fields;
    for (size_t f = 0; f < fields; f++) {
        const forage_field *field = task->columns->columns[f].field;
        if (field->owner != FORAGE_OF_ITEM)
            continue;
        if (field->type == FORAGE_CATEGORICAL && !(past->codes[f] = forage_alloc(room + 1, sizeof **past->codes)))
            return false;
        if (field->type == FORAGE_NUMERIC && !(past->values[f] = forage_alloc(room + 1, sizeof **past->values)))
            return false;
    }
    return true;
}

static void describe(model_past *past)
{
    static const size_t none[1] = {0};
    past->past = (forage_past){
        .sequences = past->histories.users,
        .offsets = past->histories.offsets ? past->histories.offsets : none,
        .codes = (const uint32_t *const *)past->codes,
        .values = (const float *const *)past->values,
        .reward = past->reward,
        .time = past->time,
        .begin = past->begin,
        .end = past->end,
    };
}

forage_status model_past_create(const model_past_task *task, const uint32_t *rows, size_t count, model_past *past,
                                forage_error *error)
{
    const forage_dataset *dataset = task->dataset;
    model_past made = {0};
    bool users = dataset->users && dataset->user;
    *past = made;
    if (users)
        FORAGE_TRY(choose(task, rows, rows ? count : dataset->count, &made.histories, error));
    size_t events = users ? made.histories.offsets[made.histories.users] : 0;
    bool good = make_columns(task, events, &made);
    if (good && dataset->value)
        good = (made.reward = forage_alloc(events + 1, sizeof *made.reward)) != NULL;
    if (good && dataset->time && (task->type->reads & MODEL_READS_TIME))
        good = (made.time = forage_alloc(events + 1, sizeof *made.time)) != NULL;
    if (!good) {
        model_past_release(&made);
        return no_memory(events, error);
    }
    coding work = {task, &made, events};
    forage_parallel_for(task->threads, (events + CHUNK - 1) / CHUNK, code_chunk, &work);
    describe(&made);
    *past = made;
    return FORAGE_OK;
}

forage_status model_past_list(const model_past_task *task, const uint32_t *items, const float *rewards, size_t count,
                              model_past *past, forage_error *error)
{
    if (count > past->room || !past->codes) {
        model_past made = {.room = count + count / 2 + 16};
        bool good = make_columns(task, made.room, &made);
        good = good && (made.reward = forage_alloc(made.room, sizeof *made.reward)) != NULL;
        if (!good) {
            model_past_release(&made);
            return no_memory(count, error);
        }
        model_past_release(past);
        *past = made;
    }
    const model_column *ids = item_ids(task->columns);
    bool refusals = task->type->reads_refusals && task->type->reads_refusals(task->params);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (rewards && !(rewards[i] > 0) && !refusals)
            continue;
        if (ids && model_column_code(ids, items[i]) == FORAGE_NONE)
            continue;
        for (size_t f = 0; f < past->field_count; f++) {
            if (past->codes[f])
                past->codes[f][kept] = model_column_code(&task->columns->columns[f], items[i]);
            else if (past->values[f])
                past->values[f][kept] = model_column_value(&task->columns->columns[f], items[i]);
        }
        past->reward[kept++] = rewards ? rewards[i] : 1;
    }
    describe(past);
    past->bounds[1] = kept;
    past->past.sequences = 1;
    past->past.offsets = past->bounds;
    if (!rewards)
        past->past.reward = NULL;
    return FORAGE_OK;
}

/* ---- where an example stands ---- */

void model_past_before(const model_past *past, const forage_dataset *dataset, uint32_t user, uint32_t row,
                       size_t *begin, size_t *end)
{
    *begin = user < past->histories.users ? past->histories.offsets[user] : 0;
    *end = *begin + forage_histories_before(&past->histories, dataset, user, row);
}

void model_past_until(const model_past *past, const forage_dataset *dataset, uint32_t user, int64_t now, size_t *begin,
                      size_t *end)
{
    const forage_histories *histories = &past->histories;
    *begin = *end = 0;
    if (user >= histories->users)
        return;
    *begin = histories->offsets[user];
    *end = histories->offsets[user + 1];
    while (dataset->time && *end > *begin && dataset->time[histories->rows[*end - 1]] > now)
        (*end)--;
}

typedef struct placing {
    const forage_dataset *dataset;
    const uint32_t *rows;
    size_t count;
    model_past *past;
} placing;

static void place_chunk(void *context, size_t chunk, int worker)
{
    const placing *work = context;
    size_t begin = chunk * CHUNK, end = begin + CHUNK < work->count ? begin + CHUNK : work->count;
    (void)worker;
    for (size_t i = begin; i < end; i++)
        model_past_before(work->past, work->dataset, work->dataset->user[work->rows[i]], work->rows[i],
                          &work->past->begin[i], &work->past->end[i]);
}

forage_status model_past_place(model_past *past, const model_past_task *task, const uint32_t *rows, size_t count,
                               forage_error *error)
{
    past->begin = forage_alloc(count + 1, sizeof *past->begin);
    past->end = forage_alloc(count + 1, sizeof *past->end);
    if (!past->begin || !past->end)
        return no_memory(count, error);
    placing work = {task->dataset, rows, count, past};
    forage_parallel_for(task->threads, (count + CHUNK - 1) / CHUNK, place_chunk, &work);
    describe(past);
    return FORAGE_OK;
}

forage_status model_past_split(const model_past_task *task, const forage_split *split, model_past *train,
                               model_past *validation, forage_error *error)
{
    size_t count = split->train_count, more = split->validation_count;
    *train = *validation = (model_past){0};
    FORAGE_TRY(model_past_create(task, split->train, count, train, error));
    FORAGE_TRY(model_past_place(train, task, split->train, count, error));
    uint32_t *rows = forage_alloc(count + more + 1, sizeof *rows);
    if (!rows)
        return no_memory(count + more, error);
    memcpy(rows, split->train, count * sizeof *rows);
    if (more)
        memcpy(rows + count, split->validation, more * sizeof *rows);
    forage_status status = model_past_create(task, rows, more ? count + more : 0, validation, error);
    forage_free(rows);
    FORAGE_TRY(status);
    return model_past_place(validation, task, split->validation, more, error);
}
