/* validate.c: see validate.h. */
#include "model/validate.h"

#include <math.h>
#include <string.h>

struct model_validation {
    model_ranking ranking;
    forage_seen seen, wanted; /* by code of the user */
    bool *allowed;            /* [items]: those of the training rows */
    uint32_t *users;          /* [count] */
    size_t count;
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

forage_status model_validation_create(const model_setup *setup, const model_fit_input *input,
                                      const model_catalogue *catalogue, const model_state *state,
                                      model_validation **validation, forage_error *error)
{
    size_t items = setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_ITEM)].cardinality;
    size_t users = setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_USER)].cardinality;
    size_t most = users < 2 * MODEL_VALIDATION_USERS ? users : 2 * MODEL_VALIDATION_USERS;
    forage_status status;
    *validation = NULL;
    if (input->validation->count == 0)
        return FORAGE_OK;
    model_validation *v = forage_calloc(1, sizeof *v);
    if (!v)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to validate");
    FORAGE_TRY_GOTO(list_chosen(setup->schema, input->train, &v->seen, error), fail);
    FORAGE_TRY_GOTO(list_chosen(setup->schema, input->validation, &v->wanted, error), fail);
    int threads = setup->device->threads;
    v->allowed = forage_calloc(items + 1, sizeof *v->allowed);
    v->users = forage_alloc(most, sizeof *v->users);
    v->items = forage_alloc(most, MODEL_VALIDATION_K * sizeof *v->items);
    v->scores = forage_alloc(most, MODEL_VALIDATION_K * sizeof *v->scores);
    v->found = forage_alloc(most, sizeof *v->found);
    v->ranking = (model_ranking){.catalogue = catalogue,
                                 .state = state,
                                 .item_count = items,
                                 .allowed = v->allowed,
                                 .isa = setup->device->isa,
                                 .threads = threads};
    v->ranking.scratch = forage_alloc((size_t)threads, model_ranking_scratch(catalogue, state));
    if (!v->allowed || !v->users || !v->items || !v->scores || !v->found || !v->ranking.scratch) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory to validate %zu users", most);
        goto fail;
    }
    list_users(v);
    for (size_t i = 0; i < MODEL_VALIDATION_K; i++) {
        v->discount[i] = 1 / log2((double)i + 2);
        v->ideal[i + 1] = v->ideal[i] + v->discount[i];
    }
    if (v->count == 0)
        model_validation_free(v);
    else
        *validation = v;
    return FORAGE_OK;
fail:
    model_validation_free(v);
    return status;
}

double model_validation_run(model_validation *v)
{
    double sum = 0;
    const model_rank_request request = {
        v->users, v->count, MODEL_VALIDATION_K, &v->seen, v->items, v->scores, v->found,
    };
    model_rank_users(&v->ranking, &request);
    for (size_t i = 0; i < v->count; i++) {
        size_t wanted = v->wanted.offsets[v->users[i] + 1] - v->wanted.offsets[v->users[i]];
        double gain = 0;
        for (size_t r = 0; r < v->found[i]; r++)
            gain += forage_seen_has(&v->wanted, v->users[i], v->items[i * MODEL_VALIDATION_K + r]) ? v->discount[r] : 0;
        sum += gain / v->ideal[wanted < MODEL_VALIDATION_K ? wanted : MODEL_VALIDATION_K];
    }
    return sum / (double)v->count;
}
