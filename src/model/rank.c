/*
 * rank.c: the best items for a user. All candidates are scored in blocks; a heap of
 * k keeps the best, its root the worst of them. The order is total (higher score,
 * then lower index), so the result does not depend on blocks or threads. The columns of
 * items are coded once per binding and handed to the model where they lie.
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
    return FORAGE_OK;
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

/* ---- the best k ---- */

typedef struct top {
    uint32_t *items;
    float *scores;
    size_t count, limit;
} top;

/* Is entry (score, item) worse than the other? */
static bool worse(float score, uint32_t item, float other_score, uint32_t other_item)
{
    return score < other_score || (score == other_score && item > other_item);
}

static void sift_down(top *heap, size_t place, size_t count)
{
    float score = heap->scores[place];
    uint32_t item = heap->items[place];
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= count)
            break;
        if (child + 1 < count &&
            worse(heap->scores[child + 1], heap->items[child + 1], heap->scores[child], heap->items[child]))
            child++;
        if (!worse(heap->scores[child], heap->items[child], score, item))
            break;
        heap->scores[place] = heap->scores[child];
        heap->items[place] = heap->items[child];
        place = child;
    }
    heap->scores[place] = score;
    heap->items[place] = item;
}

static void offer(top *heap, float score, uint32_t item)
{
    if (heap->count == heap->limit) {
        if (!heap->limit || !worse(heap->scores[0], heap->items[0], score, item))
            return;
        heap->scores[0] = score;
        heap->items[0] = item;
        sift_down(heap, 0, heap->count);
        return;
    }
    size_t place = heap->count++;
    while (place > 0) { /* up: the worse of the two is nearer to the root */
        size_t parent = (place - 1) / 2;
        if (!worse(score, item, heap->scores[parent], heap->items[parent]))
            break;
        heap->scores[place] = heap->scores[parent];
        heap->items[place] = heap->items[parent];
        place = parent;
    }
    heap->scores[place] = score;
    heap->items[place] = item;
}

/* Turns the heap into a list, best first. */
static void unwind(top *heap)
{
    for (size_t count = heap->count; count > 1; count--) {
        float score = heap->scores[0];
        uint32_t item = heap->items[0];
        heap->scores[0] = heap->scores[count - 1];
        heap->items[0] = heap->items[count - 1];
        sift_down(heap, 0, count - 1);
        heap->scores[count - 1] = score;
        heap->items[count - 1] = item;
    }
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

static bool contains(const uint32_t *items, size_t count, uint32_t item)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (items[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && items[low] == item;
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
    const forage_examples examples = {count, worker->use_codes, worker->use_values, NULL};
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

/* binding->scores for one user, on all threads. */
static void score_candidates(forage_binding *binding, uint32_t user)
{
    for (int w = 0; w < binding->worker_count; w++) {
        binding_fill_constant(binding, &binding->workers[w], FORAGE_OF_CONTEXT, 0);
        binding_fill_constant(binding, &binding->workers[w], FORAGE_OF_USER, user);
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
                worse(scores[order[child + 1]], order[child + 1], scores[order[child]], order[child]))
                child++;
            if (!worse(scores[order[child]], order[child], scores[moved], moved))
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
    score_candidates(binding, FORAGE_NONE);
    sort_order(binding, binding->order, binding->candidate_count);
    binding->ordered = true;
}

/* The first k of the common order that are not excluded. */
static void take_from_order(const forage_binding *binding, const uint32_t *excluded, size_t excluded_count, top *heap)
{
    for (size_t i = 0; i < binding->candidate_count && heap->count < heap->limit; i++) {
        uint32_t place = binding->order[i], item = binding->candidates[place];
        if (contains(excluded, excluded_count, item))
            continue;
        heap->items[heap->count] = item;
        heap->scores[heap->count++] = binding->scores[place];
    }
}

/* ---- public ---- */

static forage_status check_user(const forage_binding *binding, uint32_t user, bool *skip, forage_error *error)
{
    *skip = false;
    if (user == FORAGE_NONE)
        return FORAGE_OK;
    if (user >= binding->user_count)
        return forage_fail(error, FORAGE_INVALID, "the dataset has no user of index %" PRIu32, user);
    if (binding->user_id == SIZE_MAX || binding->unknown == FORAGE_UNKNOWN_AVERAGE ||
        model_column_code(&binding->columns.columns[binding->user_id], user) != FORAGE_NONE)
        return FORAGE_OK;
    *skip = binding->unknown == FORAGE_UNKNOWN_SKIP;
    return *skip ? FORAGE_OK : binding_unknown(binding, binding->user_id, user, FORAGE_NONE, error);
}

static forage_status check_items(const forage_binding *binding, forage_error *error)
{
    if (binding->unknown_item == FORAGE_NONE)
        return FORAGE_OK;
    return binding_unknown(binding, binding->item_id, binding->unknown_item, FORAGE_NONE, error);
}

static void clear_rest(const top *heap, size_t k)
{
    for (size_t i = heap->count; i < k; i++) {
        heap->items[i] = FORAGE_NONE;
        heap->scores[i] = NAN;
    }
}

forage_status forage_model_rank(forage_binding *binding, uint32_t user, size_t k, const uint32_t *excluded,
                                size_t excluded_count, uint32_t *items, float *scores, size_t *found,
                                forage_error *error)
{
    top heap = {items, scores, 0, k};
    bool skip;
    *found = 0;
    FORAGE_TRY(check_items(binding, error));
    FORAGE_TRY(check_user(binding, user, &skip, error));
    if (binding->same_for_all && !skip) {
        prepare_order(binding);
        take_from_order(binding, excluded, excluded_count, &heap);
    } else if (!skip) {
        exclusions list = {excluded, excluded_count, 0};
        score_candidates(binding, user);
        for (size_t i = 0; i < binding->candidate_count; i++) {
            if (!is_excluded(&list, binding->candidates[i]))
                offer(&heap, binding->scores[i], binding->candidates[i]);
        }
        unwind(&heap);
    }
    clear_rest(&heap, k);
    *found = heap.count;
    return FORAGE_OK;
}

typedef struct ranking {
    forage_binding *binding;
    const uint32_t *users;
    const forage_seen *seen;
    size_t k, first; /* user of chunk 0 */
    uint32_t *items;
    float *scores;
    size_t *found;
} ranking;

static void rank_user(void *context, size_t chunk, int number)
{
    const ranking *task = context;
    const forage_binding *binding = task->binding;
    binding_worker *worker = &binding->workers[number];
    size_t i = task->first + chunk;
    uint32_t user = task->users[i];
    top heap = {task->items + i * task->k, task->scores + i * task->k, 0, task->k};
    exclusions list = {0};
    bool skip;
    if (task->seen && user < task->seen->user_count) {
        list.items = task->seen->items + task->seen->offsets[user];
        list.count = task->seen->offsets[user + 1] - task->seen->offsets[user];
    }
    (void)check_user(binding, user, &skip, NULL); /* errors were found before */
    if (binding->same_for_all && !skip) {
        take_from_order(binding, list.items, list.count, &heap);
    } else if (!skip) {
        binding_fill_constant(binding, worker, FORAGE_OF_USER, user);
        for (size_t begin = 0; begin < binding->candidate_count; begin += MODEL_BLOCK) {
            size_t count = block_size(binding, begin);
            score_block(binding, worker, begin, count, worker->mean);
            for (size_t j = 0; j < count; j++) {
                if (!is_excluded(&list, binding->candidates[begin + j]))
                    offer(&heap, worker->mean[j], binding->candidates[begin + j]);
            }
        }
        unwind(&heap);
    }
    clear_rest(&heap, task->k);
    task->found[i] = heap.count;
}

enum { USERS_PER_REPORT = 1024 };

forage_status forage_model_rank_users(forage_binding *binding, const uint32_t *users, size_t count, size_t k,
                                      const forage_seen *seen, const forage_progress *progress, uint32_t *items,
                                      float *scores, size_t *found, forage_error *error)
{
    ranking task = {binding, users, seen, k, 0, items, scores, found};
    bool skip;
    FORAGE_TRY(check_items(binding, error));
    for (size_t i = 0; i < count; i++)
        FORAGE_TRY(check_user(binding, users[i], &skip, error));
    prepare_order(binding);
    for (int w = 0; w < binding->worker_count; w++)
        binding_fill_constant(binding, &binding->workers[w], FORAGE_OF_CONTEXT, 0);
    for (; task.first < count; task.first += USERS_PER_REPORT) {
        size_t users_now = count - task.first < USERS_PER_REPORT ? count - task.first : USERS_PER_REPORT;
        forage_parallel_for(binding->worker_count, users_now, rank_user, &task);
        if (!forage_progress_report(progress, "ranking", task.first + users_now, count, NULL))
            return forage_fail(error, FORAGE_INTERRUPTED, "stopped after ranking for %zu of %zu users",
                               task.first + users_now, count);
    }
    return FORAGE_OK;
}
