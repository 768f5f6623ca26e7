/*
 * rank_lists.c: the scores of a few items for each of many users, as rankings would give them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/binding.h"

#include <inttypes.h>
#include <math.h>

typedef struct lists {
    forage_binding *binding;
    const uint32_t *users;
    size_t count;
    const size_t *offsets;
    const uint32_t *items;
    float *scores;
    bool listed; /* of one user, by the history that the binding was told of */
} lists;

static uint32_t code_of(const forage_binding *binding, uint32_t item)
{
    return binding->item_id == SIZE_MAX ? 0 : model_column_code(&binding->columns.columns[binding->item_id], item);
}

/* No score for whom or what is skipped. */
static void clear_skipped(const lists *task, size_t list)
{
    const forage_binding *binding = task->binding;
    bool skip;
    (void)binding_check_user(binding, task->users[list], &skip, NULL); /* errors were found before */
    for (size_t i = task->offsets[list]; i < task->offsets[list + 1]; i++) {
        if (skip || (binding->unknown != FORAGE_UNKNOWN_AVERAGE && code_of(binding, task->items[i]) == FORAGE_NONE))
            task->scores[i] = NAN;
    }
}

/* ---- through a catalogue ---- */

static void score_subjects(void *context, size_t chunk, int worker)
{
    const lists *task = context;
    const forage_binding *binding = task->binding;
    const model_ranking *ranking = &binding->catalogue.ranking;
    model_subject subjects[MODEL_SUBJECTS] = {0};
    size_t begin = chunk * MODEL_SUBJECTS, rest = task->count - begin,
           count = rest < MODEL_SUBJECTS ? rest : MODEL_SUBJECTS;
    for (size_t s = 0; s < count; s++)
        subjects[s] = binding_subject(binding, task->users[begin + s]);
    model_rank_prepare(ranking, worker, subjects, count);
    for (size_t s = 0; s < count; s++) {
        for (size_t i = task->offsets[begin + s]; i < task->offsets[begin + s + 1]; i++) {
            uint32_t code = code_of(binding, task->items[i]);
            if (code != FORAGE_NONE)
                task->scores[i] = model_rank_prepared(ranking, worker, count, s, code);
        }
        clear_skipped(task, begin + s);
    }
}

/* ---- by examples ---- */

static void score_list(void *context, size_t list, int number)
{
    const lists *task = context;
    const forage_binding *binding = task->binding;
    const forage_model *model = binding->model;
    binding_worker *worker = &binding->workers[number];
    size_t end = task->offsets[list + 1];
    binding_fill_constant(binding, worker, FORAGE_OF_USER, task->users[list]);
    binding_history_constant(binding, worker, task->users[list], task->listed);
    for (size_t begin = task->offsets[list], count; begin < end; begin += count) {
        count = end - begin < MODEL_BLOCK ? end - begin : MODEL_BLOCK;
        for (size_t f = 0; f < binding_field_count(binding); f++) {
            const model_column *column = &binding->columns.columns[f];
            worker->use_codes[f] = worker->codes[f];
            worker->use_values[f] = worker->values[f];
            for (size_t i = 0; column->field->owner == FORAGE_OF_ITEM && i < count; i++) {
                if (worker->codes[f])
                    worker->codes[f][i] = model_column_code(column, task->items[begin + i]);
                else
                    worker->values[f][i] = model_column_value(column, task->items[begin + i]);
            }
        }
        forage_examples examples = {.count = count, .codes = worker->use_codes, .values = worker->use_values};
        binding_history_show(binding, worker, &examples);
        model->type->score(model->state, &examples, worker->scratch, task->scores + begin, NULL);
    }
    clear_skipped(task, list);
}

/* ---- public ---- */

static forage_status check(const lists *task, forage_error *error)
{
    const forage_binding *binding = task->binding;
    bool skip;
    for (size_t list = 0; list < task->count; list++) {
        FORAGE_TRY(binding_check_user(binding, task->users[list], &skip, error));
        for (size_t i = task->offsets[list]; i < task->offsets[list + 1]; i++) {
            uint32_t item = task->items[i];
            if (item >= binding->item_count)
                return forage_fail(error, FORAGE_INVALID, "the dataset has no item of index %" PRIu32, item);
            if (binding->unknown == FORAGE_UNKNOWN_ERROR && code_of(binding, item) == FORAGE_NONE)
                return binding_unknown(binding, binding->item_id, item, FORAGE_NONE, error);
        }
    }
    return FORAGE_OK;
}

forage_status forage_model_score_lists(forage_binding *binding, const uint32_t *users, size_t count,
                                       const size_t *offsets, const uint32_t *items, float *scores, forage_error *error)
{
    lists task = {binding, users, count, offsets, items, scores, false};
    FORAGE_TRY(check(&task, error));
    if (binding->catalogue.usable) {
        forage_parallel_for(binding->worker_count, (count + MODEL_SUBJECTS - 1) / MODEL_SUBJECTS, score_subjects,
                            &task);
        return FORAGE_OK;
    }
    for (int w = 0; w < binding->worker_count; w++)
        binding_fill_constant(binding, &binding->workers[w], FORAGE_OF_CONTEXT, 0);
    forage_parallel_for(binding->worker_count, count, score_list, &task);
    return FORAGE_OK;
}

forage_status forage_model_score_history(forage_binding *binding, uint32_t user, const uint32_t *history,
                                         const float *rewards, size_t events, const uint32_t *items, size_t count,
                                         float *scores, forage_error *error)
{
    const size_t offsets[2] = {0, count};
    lists task = {binding, &user, 1, offsets, items, scores, true};
    if (!binding->history.read)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%s does not go by histories", binding->model->type->info.name);
    FORAGE_TRY(check(&task, error));
    FORAGE_TRY(binding_history_told(binding, history, rewards, events, error));
    if (binding->catalogue.usable) {
        model_subject subject = binding_history_listed(binding);
        model_rank_prepare(&binding->catalogue.ranking, 0, &subject, 1);
        for (size_t i = 0; i < count; i++) {
            uint32_t code = code_of(binding, items[i]);
            if (code != FORAGE_NONE)
                scores[i] = model_rank_prepared(&binding->catalogue.ranking, 0, 1, 0, code);
        }
        clear_skipped(&task, 0);
        return FORAGE_OK;
    }
    binding_fill_constant(binding, &binding->workers[0], FORAGE_OF_CONTEXT, 0);
    score_list(&task, 0, 0);
    return FORAGE_OK;
}
