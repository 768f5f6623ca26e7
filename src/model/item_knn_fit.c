/*
 * item_knn_fit.c: finding the neighbours of every item, some items a step. An item's are found by one thread: the same
 * bytes for any number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/item_knn.h"
#include "model/validate.h"

#include <math.h>
#include <string.h>

struct model_fit {
    model_state *state; /* row i of its neighbours has `most` places from i x most on, until the fit ends */
    const model_fit_input *input;
    model_validation *validation;
    double *norms;     /* [items] lengths of the columns of R */
    double *lost;      /* [items] share of the similarities to others that were too small to be kept */
    double *sums;      /* of each thread [items], 0 between items */
    uint32_t *touched; /* of each thread [items + 1] */
    uint64_t next;     /* item */
    size_t first, end; /* at work */
    bool finished;
};

enum { ITEMS_AT_ONCE = 16, STEP_WORK = 50 * 1000 * 1000 };

/* Keeps the neighbours of one item. */
static void find_neighbours(model_fit *fit, size_t item, int worker)
{
    model_state *state = fit->state;
    const interactions *pairs = &state->pairs;
    double *sums = fit->sums + (size_t)worker * state->items, kept = 0, all = 0;
    uint32_t *touched = fit->touched + (size_t)worker * (state->items + 1);
    size_t row = pairs->users + item, count = 0;
    model_top top;
    for (size_t e = pairs->offsets[row]; e < pairs->offsets[row + 1]; e++) {
        size_t user = pairs->others[e];
        double weight = (double)pairs->weights[e];
        for (size_t f = pairs->offsets[user]; f < pairs->offsets[user + 1]; f++) {
            uint32_t other = pairs->others[f];
            touched[count] = other;
            count += sums[other] == 0;
            sums[other] += weight * (double)pairs->weights[f]; /* above 0: weights are floats */
        }
    }
    model_top_begin(&top, state->neighbours.others + item * state->most,
                    state->neighbours.similarity + item * state->most, state->most, NULL, 0);
    for (size_t i = 0; i < count; i++) {
        uint32_t other = touched[i];
        float similarity = (float)(sums[other] / (fit->norms[item] * fit->norms[other] + state->shrinkage));
        sums[other] = 0;
        if (other == item || !(similarity > 0))
            continue;
        all += (double)similarity;
        model_top_offer(&top, similarity, other);
    }
    for (size_t i = 0; i < top.count; i++)
        kept += (double)top.scores[i];
    fit->lost[item] = all > 0 ? fmax(1 - kept / all, 0) : 0;
    state->counts[item] = (uint32_t)top.count;
}

static void find_some(void *context, size_t chunk, int worker)
{
    model_fit *fit = context;
    size_t begin = fit->first + chunk * ITEMS_AT_ONCE;
    size_t end = begin + ITEMS_AT_ONCE < fit->end ? begin + ITEMS_AT_ONCE : fit->end;
    for (size_t item = begin; item < end; item++)
        find_neighbours(fit, item, worker);
}

/* For the state's interactions. */
static forage_status begin_search(model_fit *fit, forage_error *error)
{
    model_state *state = fit->state;
    const interactions *pairs = &state->pairs;
    size_t threads = (size_t)state->setup->device->threads, items = state->items;
    FORAGE_TRY(item_knn_make_room(state, items * state->most, error));
    fit->norms = forage_calloc(items, sizeof *fit->norms);
    fit->lost = forage_calloc(items, sizeof *fit->lost);
    fit->sums = forage_calloc(threads * items, sizeof *fit->sums);
    fit->touched = forage_alloc(threads * (items + 1), sizeof *fit->touched);
    if (!fit->norms || !fit->lost || !fit->sums || !fit->touched)
        return item_knn_no_memory(error);
    for (size_t i = 0; i < items; i++) {
        double sum = 0;
        for (size_t e = pairs->offsets[pairs->users + i]; e < pairs->offsets[pairs->users + i + 1]; e++)
            sum += (double)pairs->weights[e] * (double)pairs->weights[e];
        fit->norms[i] = sqrt(sum);
    }
    return FORAGE_OK;
}

static forage_status begin(model_fit *fit, forage_error *error)
{
    model_state *state = fit->state;
    item_knn_release_parts(state); /* of a model to go on from: nothing of it is needed */
    FORAGE_TRY(interactions_create(fit->input->train, state->user_field, state->item_field, state->users, state->items,
                                   state->weight, &state->pairs, error));
    FORAGE_TRY(begin_search(fit, error));
    return model_validation_create(state->setup, fit->input, &item_knn_catalogue, state, &fit->validation, error);
}

/* Finds the neighbours of the items from the next one up to `end`. */
static void search(model_fit *fit, size_t end)
{
    fit->first = fit->next;
    fit->end = end;
    forage_parallel_for(fit->state->setup->device->threads, (end - fit->first + ITEMS_AT_ONCE - 1) / ITEMS_AT_ONCE,
                        find_some, fit);
    fit->next = end;
}

/* The rows of neighbours one behind the other, and rising: turned twice. */
static void finish(model_fit *fit)
{
    model_state *state = fit->state;
    item_links *rows = &state->neighbours;
    for (size_t i = 0; i < state->items; i++) {
        size_t to = rows->offsets[i], count = state->counts[i];
        memmove(rows->others + to, rows->others + i * state->most, count * sizeof *rows->others);
        memmove(rows->similarity + to, rows->similarity + i * state->most, count * sizeof *rows->similarity);
        rows->offsets[i + 1] = to + count;
    }
    item_knn_turn(rows, state->items, &state->back);
    item_knn_turn(&state->back, state->items, rows);
    item_knn_settle(state);
    fit->finished = true;
}

void item_knn_fit_end(model_fit *fit, bool keep)
{
    if (keep && !fit->finished) /* there was no more time: the other items have no neighbours */
        finish(fit);
    model_validation_free(fit->validation);
    forage_free(fit->norms);
    forage_free(fit->lost);
    forage_free(fit->sums);
    forage_free(fit->touched);
    forage_free(fit);
}

forage_status item_knn_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error)
{
    *fit = forage_calloc(1, sizeof **fit);
    if (!*fit)
        return item_knn_no_memory(error);
    **fit = (model_fit){.state = state, .input = input};
    forage_status status = begin(*fit, error);
    if (status != FORAGE_OK) {
        item_knn_fit_end(*fit, false);
        *fit = NULL;
    }
    return status;
}

/* How far a step that begins at item `first` gets. */
static size_t step_end(const model_fit *fit, size_t first)
{
    const interactions *pairs = &fit->state->pairs;
    size_t end = first, work = 0;
    for (; end < fit->state->items && work < STEP_WORK; end++) {
        size_t row = pairs->users + end;
        for (size_t e = pairs->offsets[row]; e < pairs->offsets[row + 1]; e++)
            work += pairs->counts[pairs->others[e]];
    }
    return end;
}

/* The mean share of an item's similarities that was not kept. */
static double loss(const model_fit *fit)
{
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < fit->state->items; i++) {
        sum += fit->lost[i];
        count += fit->state->counts[i] > 0;
    }
    return count ? sum / (double)count : 0;
}

forage_status item_knn_fit_step(model_fit *fit, model_progress *progress, forage_error *error)
{
    size_t items = fit->state->items;
    (void)error;
    search(fit, step_end(fit, fit->next));
    progress->done = fit->next;
    progress->total = items;
    if (fit->next < items)
        return FORAGE_OK;
    finish(fit);
    progress->epochs = progress->best_epoch = 1;
    progress->train_loss = loss(fit);
    progress->finished = true;
    if (fit->validation)
        progress->validation_metric = model_validation_run(fit->validation);
    return FORAGE_OK;
}

forage_status item_knn_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error)
{
    const model_state *state = fit->state;
    size_t one = 1, shape[2] = {state->items, state->most};
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.next", NN_U64, 1, &one, &fit->next, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.lost", NN_F64, 1, &state->items, fit->lost, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.counts", NN_U32, 1, &state->items, state->counts, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.items", NN_U32, 2, shape, state->neighbours.others, error));
    return nn_checkpoint_add(checkpoint, "fit.similarities", NN_F32, 2, shape, state->neighbours.similarity, error);
}

forage_status item_knn_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error)
{
    const model_state *state = fit->state;
    size_t one = 1, shape[2] = {state->items, state->most};
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.next", NN_U64, 1, &one, &fit->next, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.lost", NN_F64, 1, &state->items, fit->lost, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.counts", NN_U32, 1, &state->items, state->counts, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.items", NN_U32, 2, shape, state->neighbours.others, error));
    FORAGE_TRY(
        nn_checkpoint_read_weights(checkpoint, "fit.similarities", 2, shape, state->neighbours.similarity, error));
    bool good = fit->next < state->items;
    for (size_t i = 0; good && i < state->items; i++)
        good = state->counts[i] <= state->most && isfinite(fit->lost[i]);
    for (size_t e = 0; good && e < state->items * state->most; e++)
        good = state->neighbours.others[e] < state->items || state->neighbours.others[e] == FORAGE_NONE;
    if (!good)
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "fit.next",
                              "no fit stands like that");
    return FORAGE_OK;
}

double item_knn_fit_memory(const model_setup *setup, const model_fit_input *input)
{
    double users = (double)setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_USER)].cardinality;
    double items = (double)setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_ITEM)].cardinality;
    double most = fmin((double)forage_params_integer(setup->params, "neighbours"), items);
    return 24 * (double)input->train->count + 16 * users + items * (60 + 16 * most) +
           12 * items * (double)setup->device->threads;
}

/* ---- a world that has grown ---- */

/* Everything anew: it takes no longer than finding out what is new. */
forage_status item_knn_extend(model_state *state, const model_state *old, const uint32_t *user_map,
                              const uint32_t *item_map, const forage_examples *events, forage_error *error)
{
    FORAGE_TRY(interactions_extend(&old->pairs, user_map, item_map, events, state->user_field, state->item_field,
                                   state->users, state->items, state->weight, &state->pairs, error));
    model_fit *fit = forage_calloc(1, sizeof *fit);
    if (!fit)
        return item_knn_no_memory(error);
    fit->state = state;
    forage_status status = begin_search(fit, error);
    if (status == FORAGE_OK)
        search(fit, state->items);
    item_knn_fit_end(fit, status == FORAGE_OK);
    return status;
}
