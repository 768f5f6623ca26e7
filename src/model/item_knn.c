/*
 * item_knn.c: items beside items (Sarwar, Karypis, Konstan and Riedl 2001, "Item-based collaborative filtering
 * recommendation algorithms"; Deshpande and Karypis 2004, "Item-based top-N recommendation algorithms"). With the
 * interactions R [users, items] and r_i their column of item i,
 *
 *   similarity of i and j = <r_i, r_j> / (|r_i| |r_j| + shrinkage),
 *
 * each item i keeps the `neighbours` others that are most similar, N_i (among equals those of lower code), and a user
 * with the interactions r has for it the score
 *
 *   sum over j in N_i of r_j times the similarity of i and j.
 *
 * All similarities of an item are worked out at once, in a row of numbers that each thread has: it takes the sum over
 * users of the squares of their numbers of items, and no matrix of items by items. Scores are summed in the order of
 * j, whether items come one by one or a whole catalogue is scored: then from j to those whose neighbour it is.
 */
#include "model/interactions.h"
#include "model/validate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_NEIGHBOURS = 10000 };

/* Neighbours, or those whose neighbour an item is: of item i, others[e] with similarity[e] for e from offsets[i] up to
 * offsets[i + 1], rising. */
typedef struct links {
    size_t *offsets; /* [items + 1] */
    uint32_t *others;
    float *similarity;
} links;

struct model_state {
    const model_setup *setup;
    size_t user_field, item_field, users, items;
    size_t most; /* neighbours */
    double shrinkage;
    forage_edge_weight weight;
    bool settled; /* all that follows is there */
    interactions pairs;
    links neighbours, back;
    uint32_t *counts;      /* [items] of neighbours */
    float *average_scores; /* [items + 1] of the average user; behind them, for the average item */
    float *average_link;   /* [items] what an interaction with an item adds to the score of the average item */
};

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

static const forage_param params[] = {
    {"neighbours", FORAGE_PARAM_INTEGER, "100", 1, MOST_NEIGHBOURS, NULL, "similar items that an item keeps"},
    {"shrinkage", FORAGE_PARAM_REAL, "20", 0, 1e9, NULL,
     "makes items that few have chosen less similar to all others: added to the product of the lengths of both"},
    {"weight", FORAGE_PARAM_CHOICE, "binary", 0, 0, "binary|count|value",
     "what a user's interaction with an item weighs: 1, how often they met, or the sum of the rewards"},
};

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for item-knn");
}

static void release_links(links *rows)
{
    forage_free(rows->offsets);
    forage_free(rows->others);
    forage_free(rows->similarity);
    *rows = (links){0};
}

static void release_parts(model_state *state)
{
    interactions_release(&state->pairs);
    release_links(&state->neighbours);
    release_links(&state->back);
    forage_free(state->counts);
    forage_free(state->average_scores);
    forage_free(state->average_link);
    state->settled = false;
    state->counts = NULL;
    state->average_scores = state->average_link = NULL;
}

static void release(model_state *state)
{
    if (!state)
        return;
    release_parts(state);
    forage_free(state);
}

static forage_status create(const model_setup *setup, model_state **state, forage_error *error)
{
    size_t user, item;
    *state = NULL;
    FORAGE_TRY(interactions_fields("item-knn", setup->schema, &user, &item, error));
    model_state *made = forage_calloc(1, sizeof *made);
    if (!made)
        return no_memory(error);
    made->setup = setup;
    made->user_field = user;
    made->item_field = item;
    made->users = setup->schema->fields[user].cardinality;
    made->items = setup->schema->fields[item].cardinality;
    made->most = (size_t)forage_params_integer(setup->params, "neighbours");
    made->most = made->most < made->items ? made->most : made->items;
    made->shrinkage = forage_params_real(setup->params, "shrinkage");
    made->weight = interactions_weight(setup->params);
    *state = made;
    return FORAGE_OK;
}

/* ---- links ---- */

/* For `count` links in all, and for averages. */
static forage_status make_room(model_state *state, size_t count, forage_error *error)
{
    links *both[2] = {&state->neighbours, &state->back};
    bool good = count <= SIZE_MAX / 16;
    for (size_t i = 0; i < 2 && good; i++) {
        both[i]->offsets = forage_calloc(state->items + 2, sizeof *both[i]->offsets);
        both[i]->others = forage_calloc(count + 1, sizeof *both[i]->others);
        both[i]->similarity = forage_calloc(count + 1, sizeof *both[i]->similarity);
        good = both[i]->offsets && both[i]->others && both[i]->similarity;
    }
    state->counts = forage_calloc(state->items + 1, sizeof *state->counts);
    state->average_scores = forage_calloc(state->items + 1, sizeof *state->average_scores);
    state->average_link = forage_calloc(state->items + 1, sizeof *state->average_link);
    return good && state->counts && state->average_scores && state->average_link ? FORAGE_OK : no_memory(error);
}

/* The links the other way round, by counting: their rows come out rising. */
static void turn(const links *from, size_t items, links *to)
{
    memset(to->offsets, 0, (items + 2) * sizeof *to->offsets);
    for (size_t e = 0; e < from->offsets[items]; e++)
        to->offsets[from->others[e] + 2]++;
    for (size_t i = 0; i < items; i++)
        to->offsets[i + 2] += to->offsets[i + 1];
    for (size_t i = 0; i < items; i++) {
        for (size_t e = from->offsets[i]; e < from->offsets[i + 1]; e++) {
            size_t at = to->offsets[from->others[e] + 1]++;
            to->others[at] = (uint32_t)i;
            to->similarity[at] = from->similarity[e];
        }
    }
}

/* What the average user and the average item have, from the links. */
static void settle(model_state *state)
{
    const interactions *pairs = &state->pairs;
    double all = 0;
    for (size_t i = 0; i < state->items; i++) {
        double sum = 0;
        for (size_t e = state->back.offsets[i]; e < state->back.offsets[i + 1]; e++)
            sum += (double)state->back.similarity[e];
        state->average_link[i] = (float)(sum / (double)state->items);
    }
    for (size_t i = 0; i < state->items; i++) {
        double score = 0;
        for (size_t e = state->neighbours.offsets[i]; e < state->neighbours.offsets[i + 1]; e++) {
            size_t row = pairs->users + state->neighbours.others[e];
            double often = 0;
            for (size_t f = pairs->offsets[row]; f < pairs->offsets[row + 1]; f++)
                often += (double)pairs->weights[f];
            score += often / (double)state->users * (double)state->neighbours.similarity[e];
        }
        state->average_scores[i] = (float)score;
        all += score;
    }
    state->average_scores[state->items] = (float)(all / (double)state->items);
    state->settled = true;
}

/* ---- scoring ---- */

static bool any_met(const model_state *state, const model_subject *met)
{
    for (size_t i = 0; i < met->count; i++) {
        size_t row = state->pairs.users + met->items[i];
        if (met->items[i] < state->items && state->pairs.offsets[row] < state->pairs.offsets[row + 1])
            return true;
    }
    return false;
}

/* The score of one item, by the items that both lists have. */
static float score_one(const model_state *state, const model_subject *met, uint32_t item)
{
    size_t e = state->neighbours.offsets[item], end = state->neighbours.offsets[item + 1];
    float sum = 0;
    for (size_t i = 0; i < met->count && e < end; i++) {
        while (e < end && state->neighbours.others[e] < met->items[i])
            e++;
        if (e < end && state->neighbours.others[e] == met->items[i])
            sum += (met->weights ? met->weights[i] : 1) * state->neighbours.similarity[e];
    }
    return sum;
}

static float score_average_item(const model_state *state, const model_subject *met)
{
    float sum = 0;
    for (size_t i = 0; i < met->count; i++)
        sum += (met->weights ? met->weights[i] : 1) * state->average_link[met->items[i]];
    return sum;
}

static size_t scratch_size(const model_state *state)
{
    (void)state;
    return 0;
}

static void score(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                  float *deviation)
{
    const uint32_t *users = examples->codes[state->user_field], *items = examples->codes[state->item_field];
    (void)scratch;
    (void)deviation;
    for (size_t i = 0; i < examples->count; i++) {
        const model_subject subject = {.user = users[i]}, met = interactions_of(&state->pairs, &subject);
        size_t item = items[i] < state->items ? items[i] : state->items;
        if (met.count == 0)
            mean[i] = state->average_scores[item];
        else
            mean[i] = item < state->items ? score_one(state, &met, items[i]) : score_average_item(state, &met);
    }
}

/* Scratch: scores [items, lanes]. */
static size_t lanes_of(size_t count)
{
    return count > 1 ? MODEL_SUBJECTS : 1;
}

static size_t catalogue_scratch(const model_state *state, size_t count)
{
    return state->items * lanes_of(count) * sizeof(float);
}

static void prepare(const model_state *state, const model_subject *subjects, size_t count, void *scratch)
{
    size_t lanes = lanes_of(count);
    float *scores = scratch;
    memset(scores, 0, state->items * lanes * sizeof *scores);
    for (size_t s = 0; s < count; s++) {
        const model_subject met = interactions_of(&state->pairs, &subjects[s]);
        if (!any_met(state, &met)) {
            for (size_t i = 0; i < state->items; i++)
                scores[i * lanes + s] = state->average_scores[i];
            continue;
        }
        for (size_t i = 0; i < met.count; i++) {
            float weight = met.weights ? met.weights[i] : 1;
            for (size_t e = state->back.offsets[met.items[i]]; e < state->back.offsets[met.items[i] + 1]; e++)
                scores[state->back.others[e] * lanes + s] += weight * state->back.similarity[e];
        }
    }
}

static void score_items(const model_state *state, void *scratch, size_t count, size_t first, size_t items, float *out)
{
    size_t lanes = lanes_of(count);
    (void)state;
    memcpy(out, (const float *)scratch + first * lanes, items * lanes * sizeof *out);
}

static const model_catalogue catalogue = {catalogue_scratch, prepare, score_items};

/* ---- fitting ---- */

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
    FORAGE_TRY(make_room(state, items * state->most, error));
    fit->norms = forage_calloc(items, sizeof *fit->norms);
    fit->lost = forage_calloc(items, sizeof *fit->lost);
    fit->sums = forage_calloc(threads * items, sizeof *fit->sums);
    fit->touched = forage_alloc(threads * (items + 1), sizeof *fit->touched);
    if (!fit->norms || !fit->lost || !fit->sums || !fit->touched)
        return no_memory(error);
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
    release_parts(state); /* of a model to go on from: nothing of it is needed */
    FORAGE_TRY(interactions_create(fit->input->train, state->user_field, state->item_field, state->users, state->items,
                                   state->weight, &state->pairs, error));
    FORAGE_TRY(begin_search(fit, error));
    return model_validation_create(state->setup, fit->input, &catalogue, state, &fit->validation, error);
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
    links *rows = &state->neighbours;
    for (size_t i = 0; i < state->items; i++) {
        size_t to = rows->offsets[i], count = state->counts[i];
        memmove(rows->others + to, rows->others + i * state->most, count * sizeof *rows->others);
        memmove(rows->similarity + to, rows->similarity + i * state->most, count * sizeof *rows->similarity);
        rows->offsets[i + 1] = to + count;
    }
    turn(rows, state->items, &state->back);
    turn(&state->back, state->items, rows);
    settle(state);
    fit->finished = true;
}

static void fit_end(model_fit *fit, bool keep)
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

static forage_status fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error)
{
    *fit = forage_calloc(1, sizeof **fit);
    if (!*fit)
        return no_memory(error);
    **fit = (model_fit){.state = state, .input = input};
    forage_status status = begin(*fit, error);
    if (status != FORAGE_OK) {
        fit_end(*fit, false);
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

static forage_status fit_step(model_fit *fit, model_progress *progress, forage_error *error)
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

static forage_status fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error)
{
    const model_state *state = fit->state;
    size_t one = 1, shape[2] = {state->items, state->most};
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.next", NN_U64, 1, &one, &fit->next, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.lost", NN_F64, 1, &state->items, fit->lost, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.counts", NN_U32, 1, &state->items, state->counts, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.items", NN_U32, 2, shape, state->neighbours.others, error));
    return nn_checkpoint_add(checkpoint, "fit.similarities", NN_F32, 2, shape, state->neighbours.similarity, error);
}

static forage_status fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error)
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

static double fit_memory(const model_setup *setup, const model_fit_input *input)
{
    double users = (double)setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_USER)].cardinality;
    double items = (double)setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_ITEM)].cardinality;
    double most = fmin((double)forage_params_integer(setup->params, "neighbours"), items);
    return 24 * (double)input->train->count + 16 * users + items * (60 + 16 * most) +
           12 * items * (double)setup->device->threads;
}

/* ---- checkpoints ---- */

static forage_status save(const model_state *state, nn_checkpoint *checkpoint, forage_error *error)
{
    size_t count = state->neighbours.offsets[state->items];
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "neighbours.counts", NN_U32, 1, &state->items, state->counts, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "neighbours.items", NN_U32, 1, &count, state->neighbours.others, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "neighbours.similarities", NN_F32, 1, &count, state->neighbours.similarity,
                                 error));
    return interactions_save(&state->pairs, checkpoint, error);
}

/* Rows that add up, rising, of items that there are, and of no item itself. */
static bool check_rows(model_state *state, size_t count)
{
    links *rows = &state->neighbours;
    for (size_t i = 0; i < state->items; i++) {
        size_t first = rows->offsets[i];
        if (state->counts[i] > count - first)
            return false;
        rows->offsets[i + 1] = first + state->counts[i];
        for (size_t e = first; e < rows->offsets[i + 1]; e++) {
            if (rows->others[e] >= state->items || rows->others[e] == i || !(rows->similarity[e] > 0) ||
                (e > first && rows->others[e] <= rows->others[e - 1]))
                return false;
        }
    }
    return rows->offsets[state->items] == count;
}

static forage_status read_all(model_state *state, const nn_checkpoint *checkpoint, forage_error *error)
{
    const nn_tensor *list;
    FORAGE_TRY(nn_checkpoint_need(checkpoint, "neighbours.items", NN_U32, 1, &list, error));
    size_t count = list->shape[0];
    FORAGE_TRY(make_room(state, count, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "neighbours.counts", NN_U32, 1, &state->items, state->counts, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "neighbours.items", NN_U32, 1, &count, state->neighbours.others, error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "neighbours.similarities", 1, &count,
                                          state->neighbours.similarity, error));
    FORAGE_TRY(interactions_load(checkpoint, state->users, state->items, &state->pairs, error));
    if (!check_rows(state, count))
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "neighbours.items",
                              "these are not the neighbours of %zu items", state->items);
    turn(&state->neighbours, state->items, &state->back);
    settle(state);
    return FORAGE_OK;
}

static forage_status load(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                          forage_error *error)
{
    FORAGE_TRY(create(setup, state, error));
    forage_status status = read_all(*state, checkpoint, error);
    if (status != FORAGE_OK) {
        release(*state);
        *state = NULL;
    }
    return status;
}

/* Everything anew: it takes no longer than finding out what is new. */
static forage_status extend(model_state *state, const model_state *old, const uint32_t *user_map,
                            const uint32_t *item_map, const forage_examples *events, forage_error *error)
{
    FORAGE_TRY(interactions_extend(&old->pairs, user_map, item_map, events, state->user_field, state->item_field,
                                   state->users, state->items, state->weight, &state->pairs, error));
    model_fit *fit = forage_calloc(1, sizeof *fit);
    if (!fit)
        return no_memory(error);
    fit->state = state;
    forage_status status = begin_search(fit, error);
    if (status == FORAGE_OK)
        search(fit, state->items);
    fit_end(fit, status == FORAGE_OK);
    return status;
}

static bool knows(const model_state *state, uint32_t user)
{
    return state->pairs.counts[user] > 0;
}

static size_t describe(const model_state *state, char *buffer, size_t size)
{
    int length =
        snprintf(buffer, size, "ItemNeighbours(\n  (items): %zu, at most %zu neighbours each, shrinkage %g\n)\n",
                 state->items, state->most, state->shrinkage);
    return length > 0 ? (size_t)length : 0;
}

static size_t weight_count(const model_state *state)
{
    return state->settled ? state->neighbours.offsets[state->items] : state->items * state->most;
}

const model_type model_item_knn = {
    .info =
        {
            .name = "item-knn",
            .version = 1,
            .summary =
                "items that are chosen by the same users: a score is the sum of similarities to what a user chose",
            .capabilities = FORAGE_CAN_FIT,
            .table = {.owner = "item-knn", .params = params, .count = sizeof params / sizeof params[0]},
            .metric = "ndcg@20",
        },
    .reads = MODEL_READS_USER | MODEL_READS_ITEM | MODEL_NEEDS_USER,
    .unit = "items",
    .minimum_reward = -INFINITY,
    .maximum_reward = INFINITY,
    .create = create,
    .free = release,
    .fit_begin = fit_begin,
    .fit_step = fit_step,
    .fit_end = fit_end,
    .fit_save = fit_save,
    .fit_resume = fit_resume,
    .fit_memory = fit_memory,
    .scratch_size = scratch_size,
    .score = score,
    .catalogue = &catalogue,
    .knows = knows,
    .extend = extend,
    .save = save,
    .load = load,
    .describe = describe,
    .weight_count = weight_count,
};
