/*
 * rank.c: the best items for a user. All candidates are scored in blocks; a heap of
 * k keeps the best, its root the worst of them. The order is total (higher score,
 * then lower index), so the result does not depend on blocks or threads. The columns of
 * items are coded once per binding and handed to the model where they lie.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/binding.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what may be ranked ---- */

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory to rank items");
}

static bool make_room(forage_binding *binding)
{
    size_t count = binding->item_count + 1;
    if (binding->candidates)
        return true;
    binding->candidates = forage_alloc(count, sizeof *binding->candidates);
    binding->scores = forage_alloc(count, sizeof *binding->scores);
    bool good = binding->candidates && binding->scores;
    if (good && binding->same_for_all)
        good = (binding->order = forage_alloc(count, sizeof *binding->order)) != NULL;
    for (size_t f = 0; good && f < binding_field_count(binding); f++) {
        const forage_field *field = binding->columns.columns[f].field;
        if (field->owner != FORAGE_OF_ITEM)
            continue;
        if (field->type == FORAGE_CATEGORICAL)
            good = (binding->item_codes[f] = forage_alloc(count, sizeof **binding->item_codes)) != NULL;
        else
            good = (binding->item_values[f] = forage_alloc(count, sizeof **binding->item_values)) != NULL;
    }
    return good;
}

forage_status binding_prepare_items(forage_binding *binding, forage_error *error)
{
    const forage_dataset *dataset = binding->dataset;
    const model_column *ids = binding->item_id == SIZE_MAX ? NULL : &binding->columns.columns[binding->item_id];
    if (!make_room(binding))
        return no_memory(error);
    binding->candidate_count = 0;
    binding->unknown_item = FORAGE_NONE;
    binding->ordered = false;
    for (uint32_t item = 0; item < binding->item_count; item++) {
        bool there =
            (!dataset->item_known || dataset->item_known[item]) && (!binding->available || binding->available[item]);
        bool known = !ids || model_column_code(ids, item) != FORAGE_NONE;
        if (there && !known && binding->unknown == FORAGE_UNKNOWN_ERROR && binding->unknown_item == FORAGE_NONE)
            binding->unknown_item = item;
        if (there && (known || binding->unknown == FORAGE_UNKNOWN_AVERAGE))
            binding->candidates[binding->candidate_count++] = item;
    }
    for (size_t f = 0; f < binding_field_count(binding); f++) {
        const model_column *column = &binding->columns.columns[f];
        for (size_t i = 0; i < binding->candidate_count; i++) {
            if (binding->item_codes[f])
                binding->item_codes[f][i] = model_column_code(column, binding->candidates[i]);
            else if (binding->item_values[f])
                binding->item_values[f][i] = model_column_value(column, binding->candidates[i]);
        }
    }
    return binding_catalogue_prepare(binding, error);
}

forage_status forage_binding_available(forage_binding *binding, const bool *available, forage_error *error)
{
    if (available && !binding->available) {
        binding->available = forage_alloc(binding->item_count + 1, sizeof *binding->available);
        if (!binding->available)
            return no_memory(error);
    }
    if (available)
        memcpy(binding->available, available, binding->item_count * sizeof *available);
    else {
        forage_free(binding->available);
        binding->available = NULL;
    }
    return binding_prepare_items(binding, error);
}

/* A walk through rising exclusions beside rising candidates. */
typedef struct exclusions {
    const uint32_t *items;
    size_t count, next;
} exclusions;

static bool is_excluded(exclusions *list, uint32_t item)
{
    while (list->next < list->count && list->items[list->next] < item)
        list->next++;
    return list->next < list->count && list->items[list->next] == item;
}

/* ---- scores of candidates ---- */

/* Scores candidates [begin, begin + count); user and context columns were filled before. */
static void score_block(const forage_binding *binding, binding_worker *worker, size_t begin, size_t count, float *mean)
{
    const forage_model *model = binding->model;
    for (size_t f = 0; f < binding_field_count(binding); f++) {
        worker->use_codes[f] = binding->item_codes[f] ? binding->item_codes[f] + begin : worker->codes[f];
        worker->use_values[f] = binding->item_values[f] ? binding->item_values[f] + begin : worker->values[f];
    }
    forage_examples examples = {.count = count, .codes = worker->use_codes, .values = worker->use_values};
    binding_history_show(binding, worker, &examples);
    model->type->score(model->state, &examples, worker->scratch, mean, NULL);
}

static size_t block_size(const forage_binding *binding, size_t begin)
{
    size_t left = binding->candidate_count - begin;
    return left < MODEL_BLOCK ? left : MODEL_BLOCK;
}

static void score_candidates_chunk(void *context, size_t chunk, int worker)
{
    forage_binding *binding = context;
    size_t begin = chunk * MODEL_BLOCK;
    score_block(binding, &binding->workers[worker], begin, block_size(binding, begin), binding->scores + begin);
}

/* binding->scores for one user, or for the history that was listed, on all threads. */
static void score_candidates(forage_binding *binding, uint32_t user, bool listed)
{
    for (int w = 0; w < binding->worker_count; w++) {
        binding_fill_constant(binding, &binding->workers[w], FORAGE_OF_CONTEXT, 0);
        binding_fill_constant(binding, &binding->workers[w], FORAGE_OF_USER, user);
        binding_history_constant(binding, &binding->workers[w], user, listed);
    }
    forage_parallel_for(binding->worker_count, (binding->candidate_count + MODEL_BLOCK - 1) / MODEL_BLOCK,
                        score_candidates_chunk, binding);
}

/* Sorts places among the candidates, best first, in place (heap sort: allocates nothing). */
static void sort_order(const forage_binding *binding, uint32_t *order, size_t count)
{
    const float *scores = binding->scores;
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t start = count / 2, end = count; end > 1;) {
        if (start > 0) {
            start--;
        } else {
            end--;
            uint32_t last = order[end];
            order[end] = order[0];
            order[0] = last;
        }
        size_t place = start;
        uint32_t moved = order[place];
        for (size_t child; (child = 2 * place + 1) < end; place = child) {
            if (child + 1 < end &&
                model_top_worse(scores[order[child + 1]], order[child + 1], scores[order[child]], order[child]))
                child++;
            if (!model_top_worse(scores[order[child]], order[child], scores[moved], moved))
                break;
            order[place] = order[child];
        }
        order[place] = moved;
    }
}

static void prepare_order(forage_binding *binding)
{
    if (!binding->same_for_all || binding->ordered)
        return;
    score_candidates(binding, FORAGE_NONE, false);
    sort_order(binding, binding->order, binding->candidate_count);
    binding->ordered = true;
}

/* The first of the common order that are not excluded. */
static void take_from_order(const forage_binding *binding, model_top *top)
{
    for (size_t i = 0; i < binding->candidate_count && top->count < top->limit; i++) {
        uint32_t place = binding->order[i], item = binding->candidates[place];
        if (model_top_excludes(top, item))
            continue;
        top->items[top->count] = item;
        top->scores[top->count++] = binding->scores[place];
    }
    model_top_clear_rest(top);
}

/* Offers candidates [begin, begin + count), whose scores are given. */
static void offer_block(const forage_binding *binding, exclusions *list, size_t begin, size_t count,
                        const float *scores, model_top *top)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_excluded(list, binding->candidates[begin + i]))
            model_top_put(top, scores[i], binding->candidates[begin + i]);
    }
}

/* ---- public ---- */

forage_status binding_check_user(const forage_binding *binding, uint32_t user, bool *skip, forage_error *error)
{
    *skip = false;
    if (user == FORAGE_NONE)
        return FORAGE_OK;
    if (user >= binding->user_count)
        return forage_fail(error, FORAGE_INVALID, "the dataset has no user of index %" PRIu32, user);
    if (binding->user_id == SIZE_MAX || binding->unknown == FORAGE_UNKNOWN_AVERAGE ||
        binding->unknown == FORAGE_UNKNOWN_FOLD_IN ||
        model_column_code(&binding->columns.columns[binding->user_id], user) != FORAGE_NONE)
        return FORAGE_OK;
    *skip = binding->unknown == FORAGE_UNKNOWN_SKIP;
    return *skip ? FORAGE_OK : binding_unknown(binding, binding->user_id, user, FORAGE_NONE, error);
}

forage_status binding_check_items(const forage_binding *binding, forage_error *error)
{
    if (binding->unknown_item == FORAGE_NONE)
        return FORAGE_OK;
    return binding_unknown(binding, binding->item_id, binding->unknown_item, FORAGE_NONE, error);
}

forage_status forage_model_rank(forage_binding *binding, uint32_t user, size_t k, const uint32_t *excluded,
                                size_t excluded_count, uint32_t *items, float *scores, size_t *found,
                                forage_error *error)
{
    model_top top;
    bool skip;
    *found = 0;
    FORAGE_TRY(binding_check_items(binding, error));
    FORAGE_TRY(binding_check_user(binding, user, &skip, error));
    model_top_begin(&top, items, scores, k, excluded, excluded_count);
    if (skip) {
        model_top_clear_rest(&top);
    } else if (binding->catalogue.usable) {
        binding_catalogue_rank(binding, user, &top);
    } else if (binding->same_for_all) {
        prepare_order(binding);
        take_from_order(binding, &top);
    } else {
        exclusions list = {excluded, excluded_count, 0};
        score_candidates(binding, user, false);
        offer_block(binding, &list, 0, binding->candidate_count, binding->scores, &top);
        model_top_finish(&top);
    }
    *found = top.count;
    return FORAGE_OK;
}

void binding_rank_listed(forage_binding *binding, model_top *top)
{
    exclusions list = {top->excluded, top->excluded_count, 0};
    score_candidates(binding, FORAGE_NONE, true);
    offer_block(binding, &list, 0, binding->candidate_count, binding->scores, top);
    model_top_finish(top);
}

static void rank_user(void *context, size_t chunk, int number)
{
    const binding_ranking *task = context;
    const forage_binding *binding = task->binding;
    binding_worker *worker = &binding->workers[number];
    size_t i = task->first + chunk;
    model_top top;
    bool skip = binding_ranking_begin(task, i, &top);
    if (skip) {
        model_top_clear_rest(&top);
    } else if (binding->same_for_all) {
        take_from_order(binding, &top);
    } else {
        exclusions list = {top.excluded, top.excluded_count, 0};
        binding_fill_constant(binding, worker, FORAGE_OF_USER, task->users[i]);
        binding_history_constant(binding, worker, task->users[i], false);
        for (size_t begin = 0; begin < binding->candidate_count; begin += MODEL_BLOCK) {
            size_t count = block_size(binding, begin);
            score_block(binding, worker, begin, count, worker->mean);
            offer_block(binding, &list, begin, count, worker->mean, &top);
        }
        model_top_finish(&top);
    }
    task->found[i] = top.count;
}

bool binding_ranking_begin(const binding_ranking *task, size_t i, model_top *top)
{
    const forage_seen *seen = task->seen;
    uint32_t user = task->users[i];
    bool skip, has = seen && user < seen->user_count;
    (void)binding_check_user(task->binding, user, &skip, NULL); /* errors were found before */
    model_top_begin(top, task->items + i * task->k, task->scores + i * task->k, task->k,
                    has ? seen->items + seen->offsets[user] : NULL,
                    has ? seen->offsets[user + 1] - seen->offsets[user] : 0);
    return skip;
}

enum { USERS_PER_REPORT = 1024 };

forage_status forage_model_rank_users(forage_binding *binding, const uint32_t *users, size_t count, size_t k,
                                      const forage_seen *seen, const forage_progress *progress, uint32_t *items,
                                      float *scores, size_t *found, forage_error *error)
{
    binding_ranking task = {binding, users, seen, k, 0, 0, items, scores, found};
    bool skip, catalogue = binding->catalogue.usable;
    FORAGE_TRY(binding_check_items(binding, error));
    for (size_t i = 0; i < count; i++)
        FORAGE_TRY(binding_check_user(binding, users[i], &skip, error));
    prepare_order(binding);
    for (int w = 0; w < binding->worker_count; w++)
        binding_fill_constant(binding, &binding->workers[w], FORAGE_OF_CONTEXT, 0);
    /* Enough at a time that all threads have several blocks of users to do. */
    size_t slab = (size_t)binding->worker_count * 8 * MODEL_SUBJECTS;
    slab = catalogue && slab > USERS_PER_REPORT ? slab : USERS_PER_REPORT;
    for (; task.first < count; task.first += slab) {
        task.count = count - task.first < slab ? count - task.first : slab;
        if (catalogue)
            binding_catalogue_rank_users(&task);
        else
            forage_parallel_for(binding->worker_count, task.count, rank_user, &task);
        if (!forage_progress_report(progress, "ranking", task.first + task.count, count, NULL))
            return forage_fail(error, FORAGE_INTERRUPTED, "stopped after ranking for %zu of %zu users",
                               task.first + task.count, count);
    }
    return FORAGE_OK;
}
