/*
 * look_back.c: a binding of a model that reads histories: what came before the rows of its log, and what users have
 * done by the time that items are ranked for them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/binding.h"

#include <inttypes.h>

static model_past_task task_of(const forage_binding *binding)
{
    return (model_past_task){binding->model->type, binding->model->params, &binding->columns, binding->dataset,
                             binding->worker_count};
}

forage_status binding_look_back(forage_binding *binding, forage_error *error)
{
    const forage_dataset *dataset = binding->dataset;
    const model_past_task task = task_of(binding);
    binding_history *history = &binding->history;
    if (!model_reads_history(binding->model->type))
        return FORAGE_OK;
    history->read = true;
    history->tells_time = dataset->time && (binding->model->type->reads & MODEL_READS_TIME);
    history->now = INT64_MIN;
    for (size_t row = 0; dataset->time && row < dataset->count; row++)
        history->now = dataset->time[row] > history->now ? dataset->time[row] : history->now;
    return model_past_create(&task, NULL, 0, &history->all, error);
}

void binding_history_release(binding_history *history)
{
    model_past_release(&history->all);
    model_past_release(&history->some);
    model_past_release(&history->listed);
}

forage_status binding_history_choose(forage_binding *binding, const uint32_t *rows, size_t count, forage_error *error)
{
    const forage_dataset *dataset = binding->dataset;
    const model_past_task task = task_of(binding);
    binding_history *history = &binding->history;
    model_past made = {0};
    uint32_t *first = NULL;
    if (!rows && dataset->train_rows < dataset->count) {
        count = dataset->train_rows;
        rows = first = forage_alloc(count + 1, sizeof *first);
        if (!first)
            return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the histories of %zu rows", count);
        for (size_t i = 0; i < count; i++)
            first[i] = (uint32_t)i;
    }
    forage_status status = FORAGE_OK;
    if (rows)
        status = model_past_create(&task, rows, count, &made, error);
    forage_free(first);
    FORAGE_TRY(status);
    model_past_release(&history->some);
    history->some = made;
    history->ranked = rows ? &history->some : &history->all;
    return FORAGE_OK;
}

forage_status forage_binding_time(forage_binding *binding, int64_t now, forage_error *error)
{
    if (!binding->dataset->time)
        return forage_fail_at(error, FORAGE_INVALID, binding->source, 0, NULL,
                              "the log has no times, so there is no moment of it to rank at");
    binding->history.now = now;
    return FORAGE_OK;
}

size_t binding_history_length(const forage_binding *binding, uint32_t user)
{
    size_t begin, end;
    model_past_until(binding->history.ranked, binding->dataset, user, binding->history.now, &begin, &end);
    return end - begin;
}

/* ---- for examples ---- */

static void show(binding_worker *worker, const model_past *past)
{
    worker->past = past->past;
    worker->past.begin = worker->begin;
    worker->past.end = worker->end;
}

void binding_history_rows(const forage_binding *binding, binding_worker *worker, const uint32_t *rows, size_t count)
{
    const forage_dataset *dataset = binding->dataset;
    const binding_history *history = &binding->history;
    if (!history->read)
        return;
    show(worker, &history->all);
    for (size_t i = 0; i < count; i++) {
        uint32_t user = dataset->user ? dataset->user[rows[i]] : FORAGE_NONE;
        model_past_before(&history->all, dataset, user, rows[i], &worker->begin[i], &worker->end[i]);
        worker->time[i] = history->tells_time ? dataset->time[rows[i]] : 0;
    }
}

void binding_history_users(const forage_binding *binding, binding_worker *worker, const uint32_t *users, size_t count)
{
    const binding_history *history = &binding->history;
    if (!history->read)
        return;
    show(worker, history->ranked);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (!users || users[i] == users[i - 1])) {
            worker->begin[i] = worker->begin[i - 1];
            worker->end[i] = worker->end[i - 1];
        } else {
            model_past_until(history->ranked, binding->dataset, users ? users[i] : FORAGE_NONE, history->now,
                             &worker->begin[i], &worker->end[i]);
        }
        worker->time[i] = history->now;
    }
}

void binding_history_constant(const forage_binding *binding, binding_worker *worker, uint32_t user, bool listed)
{
    const binding_history *history = &binding->history;
    size_t begin = 0, end = history->listed.bounds[1];
    if (!history->read)
        return;
    show(worker, listed ? &history->listed : history->ranked);
    if (!listed)
        model_past_until(history->ranked, binding->dataset, user, history->now, &begin, &end);
    for (size_t i = 0; i < MODEL_BLOCK; i++) {
        worker->begin[i] = begin;
        worker->end[i] = end;
        worker->time[i] = history->now;
    }
}

void binding_history_show(const forage_binding *binding, const binding_worker *worker, forage_examples *examples)
{
    if (!binding->history.read)
        return;
    examples->past = &worker->past;
    if (binding->history.tells_time) {
        examples->time = worker->time;
        examples->time_is_calendar = binding->dataset->time_is_calendar;
    }
}

/* ---- for catalogues ---- */

static model_subject subject_of(const forage_binding *binding, const forage_past *past, size_t begin, size_t end)
{
    return (model_subject){
        .user = FORAGE_NONE,
        .items = past->codes[binding->item_id] + begin,
        .weights = past->reward ? past->reward + begin : NULL,
        .count = end - begin,
        .times = past->time ? past->time + begin : NULL,
        .now = binding->history.now,
    };
}

model_subject binding_history_subject(const forage_binding *binding, uint32_t user)
{
    size_t begin, end;
    model_past_until(binding->history.ranked, binding->dataset, user, binding->history.now, &begin, &end);
    model_subject subject = subject_of(binding, &binding->history.ranked->past, begin, end);
    if (binding->user_id != SIZE_MAX)
        subject.user = model_column_code(&binding->columns.columns[binding->user_id], user);
    return subject;
}

model_subject binding_history_listed(const forage_binding *binding)
{
    return subject_of(binding, &binding->history.listed.past, 0, binding->history.listed.bounds[1]);
}

forage_status binding_history_list(forage_binding *binding, const uint32_t *items, const float *weights, size_t count,
                                   forage_error *error)
{
    const model_past_task task = task_of(binding);
    const model_column *ids = binding->item_id == SIZE_MAX ? NULL : &binding->columns.columns[binding->item_id];
    for (size_t i = 0; i < count; i++) {
        FORAGE_TRY(binding_check_listed(binding, items, weights, i, error));
        if (ids && binding->unknown == FORAGE_UNKNOWN_ERROR && model_column_code(ids, items[i]) == FORAGE_NONE)
            return binding_unknown(binding, binding->item_id, items[i], FORAGE_NONE, error);
    }
    return model_past_list(&task, items, weights, count, &binding->history.listed, error);
}

forage_status binding_history_told(forage_binding *binding, const uint32_t *items, const float *rewards, size_t count,
                                   forage_error *error)
{
    const model_past_task task = task_of(binding);
    for (size_t i = 0; i < count; i++) {
        if (items[i] >= binding->item_count)
            return forage_fail(error, FORAGE_INVALID, "the dataset has no item of index %" PRIu32, items[i]);
        if (rewards && !isfinite(rewards[i]))
            return forage_fail(error, FORAGE_INVALID, "event %zu of a history has a reward that is not finite", i + 1);
    }
    return model_past_list(&task, items, rewards, count, &binding->history.listed, error);
}
