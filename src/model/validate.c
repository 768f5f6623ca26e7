/*
 * validate.c: see validate.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/validate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct model_validation {
    model_ranking ranking;
    size_t k;
    bool *allowed;   /* [items]: those that train */
    uint32_t *users; /* [count] their codes; by histories: rows of the examples */
    size_t count;
    forage_seen seen, wanted; /* by code of the user; by histories `seen` alone, by place among the rows judged */
    const forage_examples *examples; /* by histories */
    size_t item_field;
    uint32_t *items; /* [count, k] */
    float *scores;
    size_t *found;
    double discount[MODEL_VALIDATION_K], ideal[MODEL_VALIDATION_K + 1];
};

void model_validation_free(model_validation *validation)
{
    if (!validation)
        return;
    forage_seen_release(&validation->seen);
    forage_seen_release(&validation->wanted);
    forage_free(validation->allowed);
    forage_free(validation->users);
    forage_free(validation->items);
    forage_free(validation->scores);
    forage_free(validation->found);
    forage_free(validation->ranking.scratch);
    forage_free(validation);
}

/* What each user has chosen, by codes. */
static forage_status list_chosen(const forage_schema *schema, const forage_examples *examples, forage_seen *seen,
                                 forage_error *error)
{
    size_t user = model_schema_id(schema, FORAGE_OF_USER), item = model_schema_id(schema, FORAGE_OF_ITEM);
    const forage_graph_events events = {
        .users = schema->fields[user].cardinality,
        .items = schema->fields[item].cardinality,
        .count = examples->count,
        .user = examples->codes[user],
        .item = examples->codes[item],
        .value = examples->reward,
    };
    forage_graph graph;
    FORAGE_TRY(forage_graph_create(&events, NULL, &graph, error));
    for (size_t e = 0; e < graph.edges; e++)
        graph.neighbours[e] -= (uint32_t)graph.users;
    *seen = (forage_seen){graph.users, graph.offsets, graph.neighbours};
    forage_free(graph.weights);
    return FORAGE_OK;
}

/* Which items may be ranked, and which users have one of them to be found. */
static void list_users(model_validation *v)
{
    size_t possible = 0, users = v->wanted.user_count;
    for (size_t e = 0; e < v->seen.offsets[users]; e++)
        v->allowed[v->seen.items[e]] = true;
    for (int pass = 0; pass < 2; pass++) {
        size_t step = possible / MODEL_VALIDATION_USERS + 1, at = 0;
        for (size_t u = 0; u < users; u++) {
            bool good = false;
            for (size_t e = v->wanted.offsets[u]; e < v->wanted.offsets[u + 1]; e++)
                good |= v->allowed[v->wanted.items[e]];
            if (!good || v->seen.offsets[u] == v->seen.offsets[u + 1])
                continue;
            if (pass == 0)
                possible++;
            else if (at++ % step == 0)
                v->users[v->count++] = (uint32_t)u;
        }
    }
}

/* Room for judging `most` users or rows, and what discounts there are. */
static forage_status make_room(model_validation *v, const model_setup *setup, size_t most, forage_error *error)
{
    size_t items = setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_ITEM)].cardinality;
    int threads = setup->device->threads;
    v->allowed = forage_calloc(items + 1, sizeof *v->allowed);
    v->users = forage_alloc(most, sizeof *v->users);
    v->items = forage_alloc(most, v->k * sizeof *v->items);
    v->scores = forage_alloc(most, v->k * sizeof *v->scores);
    v->found = forage_alloc(most, sizeof *v->found);
    v->ranking.item_count = items;
    v->ranking.allowed = v->allowed;
    v->ranking.isa = setup->device->isa;
    v->ranking.threads = threads;
    v->ranking.scratch = forage_alloc((size_t)threads, model_ranking_scratch(v->ranking.catalogue, v->ranking.state));
    if (!v->allowed || !v->users || !v->items || !v->scores || !v->found || !v->ranking.scratch)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to validate by %zu rankings", most);
    for (size_t i = 0; i < v->k; i++) {
        v->discount[i] = 1 / log2((double)i + 2);
        v->ideal[i + 1] = v->ideal[i] + v->discount[i];
    }
    return FORAGE_OK;
}

/* Hands over what was made, or nothing where there is nobody to judge by. */
static forage_status finish(model_validation *v, forage_status status, model_validation **validation)
{
    if (status == FORAGE_OK && v->count > 0)
        *validation = v;
    else
        model_validation_free(v);
    return status;
}

static size_t at_most(size_t possible)
{
    return possible < 2 * MODEL_VALIDATION_USERS ? possible : 2 * MODEL_VALIDATION_USERS;
}

forage_status model_validation_create(const model_setup *setup, const model_fit_input *input,
                                      const model_catalogue *catalogue, const model_state *state,
                                      model_validation **validation, forage_error *error)
{
    size_t users = setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_USER)].cardinality;
    forage_status status;
    *validation = NULL;
    if (input->validation->count == 0)
        return FORAGE_OK;
    model_validation *v = forage_calloc(1, sizeof *v);
    if (!v)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to validate");
    v->k = MODEL_VALIDATION_K;
    v->ranking = (model_ranking){.catalogue = catalogue, .state = state};
    FORAGE_TRY_GOTO(list_chosen(setup->schema, input->train, &v->seen, error), end);
    FORAGE_TRY_GOTO(list_chosen(setup->schema, input->validation, &v->wanted, error), end);
    FORAGE_TRY_GOTO(make_room(v, setup, at_most(users), error), end);
    list_users(v);
end:
    return finish(v, status, validation);
}

/* ---- by histories ---- */

/* Is this row one to judge by? */
static bool is_row_good(const model_validation *v, size_t row)
{
    const forage_examples *examples = v->examples;
    const forage_past *past = examples->past;
    uint32_t item = examples->codes[v->item_field][row];
    size_t at = past->begin[row];
    if (item >= v->ranking.item_count || !v->allowed[item] || (examples->reward && !(examples->reward[row] > 0)))
        return false;
    while (at < past->end[row] && past->codes[v->item_field][at] != item)
        at++;
    return at == past->end[row] && past->begin[row] < past->end[row];
}

static void list_rows(model_validation *v, const forage_past *train)
{
    size_t possible = 0;
    for (size_t e = 0; e < train->offsets[train->sequences]; e++)
        v->allowed[train->codes[v->item_field][e]] = true;
    for (int pass = 0; pass < 2; pass++) {
        size_t step = possible / MODEL_VALIDATION_USERS + 1, at = 0;
        for (size_t row = 0; row < v->examples->count; row++) {
            if (!is_row_good(v, row))
                continue;
            if (pass == 0)
                possible++;
            else if (at++ % step == 0)
                v->users[v->count++] = (uint32_t)row;
        }
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* What came before each row that is judged. */
static forage_status list_seen(model_validation *v, forage_error *error)
{
    const forage_past *past = v->examples->past;
    size_t total = 0;
    for (size_t i = 0; i < v->count; i++)
        total += past->end[v->users[i]] - past->begin[v->users[i]];
    v->seen.user_count = v->count;
    v->seen.offsets = forage_calloc(v->count + 1, sizeof *v->seen.offsets);
    v->seen.items = forage_alloc(total + 1, sizeof *v->seen.items);
    if (!v->seen.offsets || !v->seen.items)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to validate by %zu rows", v->count);
    for (size_t i = 0; i < v->count; i++) {
        size_t begin = past->begin[v->users[i]], count = past->end[v->users[i]] - begin, at = v->seen.offsets[i];
        memcpy(v->seen.items + at, past->codes[v->item_field] + begin, count * sizeof *v->seen.items);
        qsort(v->seen.items + at, count, sizeof *v->seen.items, compare);
        v->seen.offsets[i + 1] = at + count;
    }
    return FORAGE_OK;
}

forage_status model_validation_create_next(const model_setup *setup, const model_fit_input *input,
                                           const model_catalogue *catalogue, const model_state *state,
                                           model_validation **validation, forage_error *error)
{
    forage_status status;
    *validation = NULL;
    if (input->validation->count == 0)
        return FORAGE_OK;
    model_validation *v = forage_calloc(1, sizeof *v);
    if (!v)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to validate");
    v->k = MODEL_VALIDATION_NEXT_K;
    v->examples = input->validation;
    v->item_field = model_schema_id(setup->schema, FORAGE_OF_ITEM);
    v->ranking = (model_ranking){.catalogue = catalogue, .state = state};
    FORAGE_TRY_GOTO(make_room(v, setup, at_most(input->validation->count), error), end);
    list_rows(v, input->train->past);
    FORAGE_TRY_GOTO(list_seen(v, error), end);
end:
    return finish(v, status, validation);
}

static void rank_chunk(void *context, size_t chunk, int worker)
{
    const model_validation *v = context;
    const forage_past *past = v->examples->past;
    size_t begin = chunk * MODEL_SUBJECTS, rest = v->count - begin;
    size_t count = rest < MODEL_SUBJECTS ? rest : MODEL_SUBJECTS;
    model_subject subjects[MODEL_SUBJECTS] = {0};
    model_top tops[MODEL_SUBJECTS];
    for (size_t s = 0; s < count; s++) {
        size_t i = begin + s, row = v->users[i], first = past->begin[row];
        subjects[s] = (model_subject){.user = FORAGE_NONE,
                                      .items = past->codes[v->item_field] + first,
                                      .weights = past->reward ? past->reward + first : NULL,
                                      .count = past->end[row] - first};
        model_top_begin(&tops[s], v->items + i * v->k, v->scores + i * v->k, v->k, v->seen.items + v->seen.offsets[i],
                        v->seen.offsets[i + 1] - v->seen.offsets[i]);
    }
    model_rank_block(&v->ranking, worker, subjects, tops, count);
    for (size_t s = 0; s < count; s++)
        v->found[begin + s] = tops[s].count;
}

static double run_next(model_validation *v)
{
    double sum = 0;
    forage_parallel_for(v->ranking.threads, (v->count + MODEL_SUBJECTS - 1) / MODEL_SUBJECTS, rank_chunk, v);
    for (size_t i = 0; i < v->count; i++) {
        uint32_t wanted = v->examples->codes[v->item_field][v->users[i]];
        for (size_t r = 0; r < v->found[i]; r++)
            sum += v->items[i * v->k + r] == wanted ? v->discount[r] : 0;
    }
    return sum / (double)v->count;
}

/* ---- judging ---- */

double model_validation_run(model_validation *v)
{
    double sum = 0;
    const model_rank_request request = {v->users, v->count, v->k, &v->seen, v->items, v->scores, v->found};
    if (v->examples)
        return run_next(v);
    model_rank_users(&v->ranking, &request);
    for (size_t i = 0; i < v->count; i++) {
        size_t wanted = v->wanted.offsets[v->users[i] + 1] - v->wanted.offsets[v->users[i]];
        double gain = 0;
        for (size_t r = 0; r < v->found[i]; r++)
            gain += forage_seen_has(&v->wanted, v->users[i], v->items[i * v->k + r]) ? v->discount[r] : 0;
        sum += gain / v->ideal[wanted < v->k ? wanted : v->k];
    }
    return sum / (double)v->count;
}
