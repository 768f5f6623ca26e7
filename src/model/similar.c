/*
 * similar.c: users and items as vectors, and those that lie nearest to one of them by the angle between them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/binding.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

forage_status forage_model_embedding(const forage_model *model, forage_owner owner, forage_embedding *embedding,
                                     forage_error *error)
{
    const char *what = owner == FORAGE_OF_USER ? "users" : "items";
    size_t id = owner == FORAGE_OF_CONTEXT ? SIZE_MAX : model_schema_id(&model->schema, owner);
    model_vectors vectors = {0};
    *embedding = (forage_embedding){0};
    if (owner == FORAGE_OF_CONTEXT)
        return forage_fail(error, FORAGE_INVALID, "users and items have vectors, contexts have none");
    if (model->type->vectors)
        model->type->vectors(model->state, &vectors);
    bool differ = owner == FORAGE_OF_ITEM && vectors.item_width;
    embedding->values = owner == FORAGE_OF_USER ? vectors.users : vectors.items;
    if (!embedding->values || id == SIZE_MAX)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%s has no vectors of %s", model->type->info.name, what);
    embedding->width = differ ? vectors.item_width : vectors.width;
    embedding->pitch = differ ? vectors.item_pitch : vectors.pitch;
    embedding->count = model->schema.fields[id].cardinality;
    embedding->ids = model->schema.fields[id].vocabulary;
    return FORAGE_OK;
}

/* ---- vectors as a model whose score is the cosine ---- */

struct model_state {
    forage_embedding vectors;
    model_dot dot;
    float *inverse; /* [count] 1 / length of a vector, or 0 */
};

static size_t cosine_scratch_size(const model_state *state, size_t count)
{
    return model_dot_scratch_size(state->vectors.width, count) + 64;
}

/* One subject at a time: `user` is the code of the entity. Its own length lies behind its vector. */
static void cosine_prepare(const model_state *state, const model_subject *subjects, size_t count, void *scratch)
{
    const float *vector = state->vectors.values + subjects[0].user * state->vectors.pitch;
    (void)count;
    model_dot_prepare(&state->dot, &vector, 1, scratch);
    *(float *)(void *)((char *)scratch + model_dot_scratch_size(state->vectors.width, 1)) =
        state->inverse[subjects[0].user];
}

static void cosine_score(const model_state *state, void *scratch, size_t count, size_t first, size_t items, float *out)
{
    float own = *(const float *)(const void *)((char *)scratch + model_dot_scratch_size(state->vectors.width, 1));
    model_dot_score(&state->dot, scratch, count, first, items, out);
    for (size_t i = 0; i < items; i++) {
        float cosine = out[i] * own * state->inverse[first + i];
        out[i] = cosine > 1 ? 1 : cosine > -1 ? cosine : -1;
    }
}

static const model_catalogue cosine = {cosine_scratch_size, cosine_prepare, cosine_score};

void binding_neighbours_release(binding_neighbours *neighbours)
{
    if (neighbours->own)
        forage_free(neighbours->own->inverse);
    forage_free(neighbours->own);
    forage_free(neighbours->allowed);
    forage_free(neighbours->names);
    forage_free(neighbours->scores);
    forage_free(neighbours->ranking.scratch);
    *neighbours = (binding_neighbours){0};
}

static float inverse_length(const float *vector, size_t width)
{
    double sum = 0;
    for (size_t j = 0; j < width; j++)
        sum += (double)vector[j] * (double)vector[j];
    return sum > 0 && isfinite(1 / sum) ? (float)(1 / sqrt(sum)) : 0;
}

static forage_status no_memory(const forage_embedding *vectors, forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory to compare %zu vectors", vectors->count);
}

static forage_status make_neighbours(const forage_binding *binding, const forage_embedding *vectors,
                                     binding_neighbours *made, forage_error *error)
{
    const forage_device *device = &binding->model->device;
    model_state *state = made->own = forage_calloc(1, sizeof *state);
    if (!state)
        return no_memory(vectors, error);
    state->vectors = *vectors;
    state->dot = (model_dot){vectors->values, vectors->width, vectors->pitch, device->isa};
    state->inverse = forage_alloc(vectors->count + 1, sizeof *state->inverse);
    made->allowed = forage_alloc(vectors->count + 1, sizeof *made->allowed);
    made->names = forage_alloc(vectors->count + 1, sizeof *made->names);
    made->scores = forage_calloc(vectors->count + 1, sizeof *made->scores);
    void *scratch = forage_calloc((size_t)binding->worker_count, model_ranking_scratch(&cosine, state));
    made->ranking = (model_ranking){
        .catalogue = &cosine,
        .state = state,
        .item_count = vectors->count,
        .allowed = made->allowed,
        .names = made->names,
        .isa = device->isa,
        .threads = binding->worker_count,
        .scratch = scratch,
    };
    if (!state->inverse || !made->allowed || !made->names || !made->scores || !scratch) {
        binding_neighbours_release(made);
        return no_memory(vectors, error);
    }
    for (size_t i = 0; i < vectors->count; i++)
        state->inverse[i] = inverse_length(vectors->values + i * vectors->pitch, vectors->width);
    made->ready = true;
    return FORAGE_OK;
}

/* Who may be named: all that the dataset and the model both know, but `self`. */
static void allow(const forage_binding *binding, forage_owner owner, uint32_t self, binding_neighbours *neighbours)
{
    bool user = owner == FORAGE_OF_USER;
    const model_column *ids = &binding->columns.columns[user ? binding->user_id : binding->item_id];
    const uint8_t *known = user ? binding->dataset->user_known : binding->dataset->item_known;
    const bool *available = user ? NULL : binding->available;
    size_t count = user ? binding->user_count : binding->item_count;
    uint32_t next = 0;
    memset(neighbours->allowed, 0, neighbours->ranking.item_count * sizeof *neighbours->allowed);
    neighbours->ranking.rising = true;
    for (uint32_t index = 0; index < count; index++) {
        uint32_t code = model_column_code(ids, index);
        if (code == FORAGE_NONE || index == self || (known && !known[index]) || (available && !available[index]))
            continue;
        neighbours->allowed[code] = true;
        neighbours->names[code] = index;
        neighbours->ranking.rising = neighbours->ranking.rising && code >= next;
        next = code + 1;
    }
}

forage_status forage_model_similar(forage_binding *binding, forage_owner owner, uint32_t index, size_t k,
                                   const uint32_t *excluded, size_t excluded_count, uint32_t *indices, float *cosines,
                                   size_t *found, forage_error *error)
{
    forage_embedding vectors;
    model_top top;
    *found = 0;
    FORAGE_TRY(forage_model_embedding(binding->model, owner, &vectors, error));
    bool user = owner == FORAGE_OF_USER;
    size_t field = user ? binding->user_id : binding->item_id;
    if (index >= (user ? binding->user_count : binding->item_count))
        return forage_fail(error, FORAGE_INVALID, "the dataset has no %s of index %" PRIu32, user ? "user" : "item",
                           index);
    const model_subject subject = {.user = model_column_code(&binding->columns.columns[field], index)};
    model_top_begin(&top, indices, cosines, k, excluded, excluded_count);
    if (subject.user == FORAGE_NONE) {
        model_top_clear_rest(&top);
        return binding->unknown == FORAGE_UNKNOWN_SKIP ? FORAGE_OK
                                                       : binding_unknown(binding, field, index, FORAGE_NONE, error);
    }
    binding_neighbours *neighbours = &binding->neighbours[user ? 0 : 1];
    if (!neighbours->ready)
        FORAGE_TRY(make_neighbours(binding, &vectors, neighbours, error));
    allow(binding, owner, index, neighbours);
    model_rank_one(&neighbours->ranking, &subject, neighbours->scores, &top);
    *found = top.count;
    return FORAGE_OK;
}
