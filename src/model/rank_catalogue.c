/*
 * Ranking through a model's catalogue: the dataset's users and items to codes and back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/binding.h"

#include <inttypes.h>
#include <string.h>

void binding_catalogue_release(binding_catalogue *catalogue)
{
    forage_free(catalogue->allowed);
    forage_free(catalogue->names);
    forage_free(catalogue->scores);
    forage_free(catalogue->history);
    forage_free(catalogue->weights);
    forage_free(catalogue->ranking.scratch);
    *catalogue = (binding_catalogue){0};
}

bool binding_has_catalogue(const forage_binding *binding)
{
    size_t ids = (binding->user_id != SIZE_MAX) + (binding->item_id != SIZE_MAX);
    bool all = ids == 2 || (binding->history.read && binding->item_id != SIZE_MAX);
    return binding->model->type->catalogue && all && binding_field_count(binding) == ids;
}

static forage_status allocate(forage_binding *binding, forage_error *error)
{
    binding_catalogue *made = &binding->catalogue;
    const forage_model *model = binding->model;
    size_t codes = model->schema.fields[binding->item_id].cardinality;
    if (made->ranking.scratch)
        return FORAGE_OK;
    size_t scratch = model_ranking_scratch(model->type->catalogue, model->state);
    made->allowed = forage_alloc(codes + 1, sizeof *made->allowed);
    made->names = forage_alloc(codes + 1, sizeof *made->names);
    made->scores = forage_calloc(codes + 1, sizeof *made->scores);
    made->history = forage_alloc(codes + 1, sizeof *made->history);
    made->weights = forage_calloc(codes + 1, sizeof *made->weights);
    void *memory = forage_calloc((size_t)binding->worker_count, scratch);
    made->ranking = (model_ranking){
        .catalogue = model->type->catalogue,
        .state = model->state,
        .item_count = codes,
        .allowed = made->allowed,
        .names = made->names,
        .isa = model->device.isa,
        .threads = binding->worker_count,
        .scratch = memory,
    };
    if (made->allowed && made->names && made->scores && made->history && made->weights && memory)
        return FORAGE_OK;
    binding_catalogue_release(made);
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory to rank %zu items", codes);
}

forage_status binding_catalogue_prepare(forage_binding *binding, forage_error *error)
{
    binding_catalogue *catalogue = &binding->catalogue;
    if (!binding_has_catalogue(binding))
        return FORAGE_OK;
    FORAGE_TRY(allocate(binding, error));
    const model_column *ids = &binding->columns.columns[binding->item_id];
    uint32_t next = 0; /* code that keeps the names rising */
    memset(catalogue->allowed, 0, catalogue->ranking.item_count * sizeof *catalogue->allowed);
    catalogue->usable = catalogue->ranking.rising = true;
    for (size_t i = 0; i < binding->candidate_count; i++) {
        uint32_t item = binding->candidates[i], code = model_column_code(ids, item);
        if (code == FORAGE_NONE) { /* counts as the average item, which no catalogue has */
            catalogue->usable = false;
            continue;
        }
        catalogue->allowed[code] = true;
        catalogue->names[code] = item;
        catalogue->ranking.rising = catalogue->ranking.rising && code >= next;
        next = code + 1;
    }
    return FORAGE_OK;
}

void binding_catalogue_rank(forage_binding *binding, uint32_t user, model_top *top)
{
    const model_subject subject = binding_subject(binding, user);
    model_rank_one(&binding->catalogue.ranking, &subject, binding->catalogue.scores, top);
}

/* ---- many users ---- */

static void rank_chunk(void *context, size_t chunk, int worker)
{
    const binding_ranking *task = context;
    model_subject subjects[MODEL_SUBJECTS] = {0};
    model_top tops[MODEL_SUBJECTS];
    size_t begin = chunk * MODEL_SUBJECTS, count = 0,
           end = begin + MODEL_SUBJECTS < task->count ? begin + MODEL_SUBJECTS : task->count;
    size_t *found[MODEL_SUBJECTS];
    for (size_t i = task->first + begin; i < task->first + end; i++) {
        if (binding_ranking_begin(task, i, &tops[count])) {
            model_top_clear_rest(&tops[count]);
            task->found[i] = 0;
            continue;
        }
        found[count] = &task->found[i];
        subjects[count++] = binding_subject(task->binding, task->users[i]);
    }
    model_rank_block(&task->binding->catalogue.ranking, worker, subjects, tops, count);
    for (size_t s = 0; s < count; s++)
        *found[s] = tops[s].count;
}

void binding_catalogue_rank_users(binding_ranking *task)
{
    forage_parallel_for(task->binding->worker_count, (task->count + MODEL_SUBJECTS - 1) / MODEL_SUBJECTS, rank_chunk,
                        task);
}

/* ---- someone known by a history ---- */

forage_status binding_check_listed(const forage_binding *binding, const uint32_t *items, const float *weights, size_t i,
                                   forage_error *error)
{
    if (items[i] >= binding->item_count)
        return forage_fail(error, FORAGE_INVALID, "the dataset has no item of index %" PRIu32, items[i]);
    if (weights && !(weights[i] > 0 && weights[i] <= 1e6F))
        return forage_fail(error, FORAGE_INVALID,
                           "item %zu of a history has the weight %g; weights are above 0, at most 1e6", i + 1,
                           (double)weights[i]);
    return FORAGE_OK;
}

/* Sums the weights by code; gather_history takes them out again. */
static forage_status add_history(forage_binding *binding, const uint32_t *items, const float *weights, size_t count,
                                 forage_error *error)
{
    binding_catalogue *catalogue = &binding->catalogue;
    const model_column *ids = &binding->columns.columns[binding->item_id];
    for (size_t i = 0; i < count; i++) {
        FORAGE_TRY(binding_check_listed(binding, items, weights, i, error));
        uint32_t code = model_column_code(ids, items[i]);
        if (code == FORAGE_NONE && binding->unknown == FORAGE_UNKNOWN_ERROR)
            return binding_unknown(binding, binding->item_id, items[i], FORAGE_NONE, error);
        if (code != FORAGE_NONE)
            catalogue->weights[code] += weights ? weights[i] : 1;
    }
    return FORAGE_OK;
}

static model_subject gather_history(binding_catalogue *catalogue)
{
    size_t count = 0;
    for (size_t code = 0; code < catalogue->ranking.item_count; code++) {
        float weight = catalogue->weights[code];
        if (weight == 0)
            continue;
        catalogue->weights[code] = 0;
        catalogue->weights[count] = weight;
        catalogue->history[count++] = (uint32_t)code;
    }
    return (model_subject){
        .user = FORAGE_NONE, .items = catalogue->history, .weights = catalogue->weights, .count = count};
}

/* By a history in order. */
static forage_status rank_listed(forage_binding *binding, const uint32_t *history, const float *weights, size_t count,
                                 model_top *top, forage_error *error)
{
    FORAGE_TRY(binding_history_list(binding, history, weights, count, error));
    if (binding->catalogue.usable) {
        const model_subject subject = binding_history_listed(binding);
        model_rank_one(&binding->catalogue.ranking, &subject, binding->catalogue.scores, top);
    } else {
        binding_rank_listed(binding, top);
    }
    return FORAGE_OK;
}

forage_status forage_model_rank_history(forage_binding *binding, const uint32_t *history, const float *weights,
                                        size_t count, size_t k, const uint32_t *excluded, size_t excluded_count,
                                        uint32_t *items, float *scores, size_t *found, forage_error *error)
{
    binding_catalogue *catalogue = &binding->catalogue;
    const char *name = binding->model->type->info.name;
    model_top top;
    *found = 0;
    if (!binding_has_catalogue(binding) && !binding->history.read)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%s cannot rank items for someone it has not learned about",
                           name);
    FORAGE_TRY(binding_check_items(binding, error));
    if (binding->history.read) {
        model_top_begin(&top, items, scores, k, excluded, excluded_count);
        FORAGE_TRY(rank_listed(binding, history, weights, count, &top, error));
        *found = top.count;
        return FORAGE_OK;
    }
    if (!catalogue->usable)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%s ranks by a history only items that it knows: skip the others",
                           name);
    forage_status status = add_history(binding, history, weights, count, error);
    const model_subject subject = gather_history(catalogue);
    if (status == FORAGE_OK) {
        model_top_begin(&top, items, scores, k, excluded, excluded_count);
        model_rank_one(&catalogue->ranking, &subject, catalogue->scores, &top);
        *found = top.count;
    }
    memset(catalogue->weights, 0, subject.count * sizeof *catalogue->weights);
    return status;
}
