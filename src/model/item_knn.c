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
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/item_knn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_NEIGHBOURS = 10000 };

static const forage_param params[] = {
    {"neighbours", FORAGE_PARAM_INTEGER, "100", 1, MOST_NEIGHBOURS, NULL, "similar items that an item keeps"},
    {"shrinkage", FORAGE_PARAM_REAL, "20", 0, 1e9, NULL,
     "makes items that few have chosen less similar to all others: added to the product of the lengths of both"},
    {"weight", FORAGE_PARAM_CHOICE, "binary", 0, 0, "binary|count|value",
     "what a user's interaction with an item weighs: 1, how often they met, or the sum of the rewards"},
};

forage_status item_knn_no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for item-knn");
}

static void release_links(item_links *rows)
{
    forage_free(rows->offsets);
    forage_free(rows->others);
    forage_free(rows->similarity);
    *rows = (item_links){0};
}

void item_knn_release_parts(model_state *state)
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
    item_knn_release_parts(state);
    forage_free(state);
}

static forage_status create(const model_setup *setup, model_state **state, forage_error *error)
{
    size_t user, item;
    *state = NULL;
    FORAGE_TRY(interactions_fields("item-knn", setup->schema, &user, &item, error));
    model_state *made = forage_calloc(1, sizeof *made);
    if (!made)
        return item_knn_no_memory(error);
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
forage_status item_knn_make_room(model_state *state, size_t count, forage_error *error)
{
    item_links *both[2] = {&state->neighbours, &state->back};
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
    return good && state->counts && state->average_scores && state->average_link ? FORAGE_OK
                                                                                 : item_knn_no_memory(error);
}

/* The links the other way round, by counting: their rows come out rising. */
void item_knn_turn(const item_links *from, size_t items, item_links *to)
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
void item_knn_settle(model_state *state)
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

const model_catalogue item_knn_catalogue = {catalogue_scratch, prepare, score_items};

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
    item_links *rows = &state->neighbours;
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
    FORAGE_TRY(item_knn_make_room(state, count, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "neighbours.counts", NN_U32, 1, &state->items, state->counts, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "neighbours.items", NN_U32, 1, &count, state->neighbours.others, error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "neighbours.similarities", 1, &count,
                                          state->neighbours.similarity, error));
    FORAGE_TRY(interactions_load(checkpoint, state->users, state->items, &state->pairs, error));
    if (!check_rows(state, count))
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "neighbours.items",
                              "these are not the neighbours of %zu items", state->items);
    item_knn_turn(&state->neighbours, state->items, &state->back);
    item_knn_settle(state);
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
    .fit_begin = item_knn_fit_begin,
    .fit_step = item_knn_fit_step,
    .fit_end = item_knn_fit_end,
    .fit_save = item_knn_fit_save,
    .fit_resume = item_knn_fit_resume,
    .fit_memory = item_knn_fit_memory,
    .scratch_size = scratch_size,
    .score = score,
    .catalogue = &item_knn_catalogue,
    .knows = knows,
    .extend = item_knn_extend,
    .save = save,
    .load = load,
    .describe = describe,
    .weight_count = weight_count,
};
