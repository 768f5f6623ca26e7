/*
 * gf_cf.c: GF-CF, collaborative filtering by graph filters in closed form (Shen et al. 2021, "How powerful is graph
 * convolution for recommendation?", CIKM, section 5). With the interactions R [users, items], the sums D_U and D_I of
 * its rows and columns, and N = D_U^-1/2 R D_I^-1/2, the scores of someone with the interactions r are
 *
 *   r N'N  +  alpha r D_I^-1/2 V V' D_I^1/2,
 *
 * V being the right singular vectors of N's `rank` largest singular values: a linear filter of the neighbourhood and an
 * ideal low-pass filter. Nothing is trained; the work is the decomposition of N (la_svd; gf_cf_fit.c).
 *
 * N'N is never made. For a block of subjects the first hop, w = r N', is a sum over the rows of what they met; the
 * second, w N, and the product with V go item by item. Every number is summed in one order, that of an item's users,
 * whether subjects come alone, in blocks or in pairs with items.
 *
 * The filter is linear, so the average user is one who met each item as often as users do on average; and the average
 * item has the mean of all items' columns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/gf_cf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_RANK = 1024 };

static const forage_param params[] = {
    {"rank", FORAGE_PARAM_INTEGER, "256", 1, MOST_RANK, NULL,
     "singular vectors of the low-pass filter; a catalogue of fewer items or users has fewer"},
    {"alpha", FORAGE_PARAM_REAL, "0.3", 0, 1e6, NULL, "weight of the low-pass filter beside the neighbourhood's"},
    {"weight", FORAGE_PARAM_CHOICE, "binary", 0, 0, "binary|count|value",
     "what a user's interaction with an item weighs: 1, how often they met, or the sum of the rewards"},
};

void gf_cf_release_parts(model_state *state)
{
    interactions_release(&state->pairs);
    forage_free(state->values);
    forage_free(state->item_vectors);
    forage_free(state->singular);
    forage_free(state->root);
    forage_free(state->average_hop);
    forage_free(state->average_filter);
    forage_free(state->average_column);
    forage_free(state->average_vector);
    state->values = state->item_vectors = state->singular = state->root = NULL;
    state->average_hop = state->average_filter = state->average_column = state->average_vector = NULL;
}

static void release(model_state *state)
{
    if (!state)
        return;
    gf_cf_release_parts(state);
    forage_free(state);
}

forage_status gf_cf_no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for gf-cf");
}

static forage_status create(const model_setup *setup, model_state **state, forage_error *error)
{
    size_t user, item;
    *state = NULL;
    FORAGE_TRY(interactions_fields("gf-cf", setup->schema, &user, &item, error));
    model_state *made = forage_calloc(1, sizeof *made);
    if (!made)
        return gf_cf_no_memory(error);
    made->user_field = user;
    made->item_field = item;
    made->wanted = (size_t)forage_params_integer(setup->params, "rank");
    made->alpha = forage_params_real(setup->params, "alpha");
    made->weight = interactions_weight(setup->params);
    made->setup = setup;
    made->users = setup->schema->fields[user].cardinality;
    made->items = setup->schema->fields[item].cardinality;
    *state = made;
    return FORAGE_OK;
}

/* ---- what follows from interactions and vectors ---- */

la_csr gf_cf_by_item(const model_state *state)
{
    const interactions *pairs = &state->pairs;
    return (la_csr){pairs->items, pairs->offsets + pairs->users, pairs->others, state->values};
}

la_csr gf_cf_by_user(const model_state *state)
{
    const interactions *pairs = &state->pairs;
    return (la_csr){pairs->users, pairs->offsets, pairs->others, state->values};
}

/* N and D_I^1/2 from the interactions. */
forage_status gf_cf_normalise(model_state *state, forage_error *error)
{
    const interactions *pairs = &state->pairs;
    size_t rows = pairs->users + pairs->items;
    double *sums = forage_calloc(rows + 1, sizeof *sums);
    state->values = forage_alloc(2 * pairs->count + 1, sizeof *state->values);
    state->root = forage_alloc(pairs->items + 1, sizeof *state->root);
    if (!sums || !state->values || !state->root) {
        forage_free(sums);
        return gf_cf_no_memory(error);
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t e = pairs->offsets[r]; e < pairs->offsets[r + 1]; e++)
            sums[r] += (double)pairs->weights[e];
    }
    for (size_t r = 0; r < rows; r++) {
        size_t other = r < pairs->users ? pairs->users : 0; /* where the rows of the other side begin */
        for (size_t e = pairs->offsets[r]; e < pairs->offsets[r + 1]; e++)
            state->values[e] = (float)((double)pairs->weights[e] / sqrt(sums[r] * sums[other + pairs->others[e]]));
    }
    for (size_t i = 0; i < pairs->items; i++)
        state->root[i] = (float)sqrt(sums[pairs->users + i]);
    forage_free(sums);
    return FORAGE_OK;
}

/* Adds w = r N' of what a subject met to hop[user * stride]; filter[rank] = alpha r D_I^-1/2 V. False if that is
 * nothing. */
static bool apply(const model_state *state, const model_subject *met, float *hop, size_t stride, float *filter)
{
    bool any = false;
    const la_csr rows = gf_cf_by_item(state);
    float alpha = (float)state->alpha;
    memset(filter, 0, state->rank * sizeof *filter);
    for (size_t i = 0; i < met->count; i++) {
        size_t item = met->items[i];
        if (item >= rows.rows || !(state->root[item] > 0))
            continue;
        any = true;
        float weight = met->weights ? met->weights[i] : 1, part = alpha * weight / state->root[item];
        const float *vector = state->item_vectors + item * state->rank;
        for (size_t e = rows.offsets[item]; e < rows.offsets[item + 1]; e++)
            hop[rows.columns[e] * stride] += weight * rows.values[e];
        for (size_t k = 0; k < state->rank; k++)
            filter[k] += part * vector[k];
    }
    return any;
}

/* Room for `rank` singular vectors and what follows from them. */
forage_status gf_cf_make_room(model_state *state, size_t rank, forage_error *error)
{
    state->rank = rank;
    state->item_vectors = forage_calloc(state->items, rank * sizeof *state->item_vectors);
    state->singular = forage_calloc(rank, sizeof *state->singular);
    state->average_hop = forage_calloc(state->users, sizeof *state->average_hop);
    state->average_filter = forage_calloc(rank, sizeof *state->average_filter);
    state->average_column = forage_calloc(state->users, sizeof *state->average_column);
    state->average_vector = forage_calloc(rank, sizeof *state->average_vector);
    if (state->item_vectors && state->singular && state->average_hop && state->average_filter &&
        state->average_column && state->average_vector)
        return FORAGE_OK;
    return gf_cf_no_memory(error);
}

void gf_cf_make_averages(model_state *state)
{
    enum { TOGETHER = 16 };
    const la_csr rows = gf_cf_by_user(state);
    double users = (double)state->users, items = (double)state->items;
    for (size_t u = 0; u < state->users; u++) {
        double hop = 0, column = 0;
        for (size_t e = rows.offsets[u]; e < rows.offsets[u + 1]; e++) {
            double root = (double)state->root[rows.columns[e]];
            hop += root * root * (double)rows.values[e];
            column += (double)rows.values[e];
        }
        state->average_hop[u] = (float)(hop / users);
        state->average_column[u] = (float)(column / items);
    }
    for (size_t k = 0; k < state->rank; k += TOGETHER) {
        size_t count = state->rank - k < TOGETHER ? state->rank - k : TOGETHER;
        double sum[TOGETHER] = {0};
        for (size_t i = 0; i < state->items; i++) {
            for (size_t l = 0; l < count; l++)
                sum[l] += (double)state->root[i] * (double)state->item_vectors[i * state->rank + k + l];
        }
        for (size_t l = 0; l < count; l++) {
            state->average_vector[k + l] = (float)(sum[l] / items);
            state->average_filter[k + l] = (float)(state->alpha * sum[l] / users);
        }
    }
}

/* ---- scoring ---- */

/* The subject's first hop and filter; nothing met: those of the average user. hop[users] is cleared beforehand. */
static void prepare_one(const model_state *state, const model_subject *subject, float *hop, size_t stride,
                        float *filter)
{
    const model_subject met = interactions_of(&state->pairs, subject);
    if (apply(state, &met, hop, stride, filter))
        return;
    for (size_t u = 0; u < state->users; u++)
        hop[u * stride] = state->average_hop[u];
    memcpy(filter, state->average_filter, state->rank * sizeof *filter);
}

/* Scores of items [first, first + count) for one subject. */
static void score_items(const model_state *state, const float *hop, const float *filter, size_t first, size_t count,
                        float *out)
{
    const la_csr rows = gf_cf_by_item(state);
    la_dots(state->setup->device->isa, state->item_vectors + first * state->rank, state->rank, count, state->rank,
            filter, out);
    for (size_t i = 0; i < count; i++) {
        float sum = out[i] * state->root[first + i];
        for (size_t e = rows.offsets[first + i]; e < rows.offsets[first + i + 1]; e++)
            sum += rows.values[e] * hop[rows.columns[e]];
        out[i] = sum;
    }
}

static float score_average_item(const model_state *state, const float *hop, const float *filter)
{
    float sum;
    la_dots(state->setup->device->isa, state->average_vector, state->rank, 1, state->rank, filter, &sum);
    for (size_t u = 0; u < state->users; u++)
        sum += state->average_column[u] * hop[u];
    return sum;
}

static size_t scratch_size(const model_state *state)
{
    return (state->users + state->rank) * sizeof(float);
}

static void score(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                  float *deviation)
{
    const uint32_t *users = examples->codes[state->user_field], *items = examples->codes[state->item_field];
    float *hop = scratch, *filter = hop + state->users;
    (void)deviation;
    for (size_t i = 0; i < examples->count; i++) {
        if (i == 0 || users[i] != users[i - 1]) {
            const model_subject subject = {.user = users[i]};
            memset(hop, 0, state->users * sizeof *hop);
            prepare_one(state, &subject, hop, 1, filter);
        }
        if (items[i] < state->items)
            score_items(state, hop, filter, items[i], 1, mean + i);
        else
            mean[i] = score_average_item(state, hop, filter);
    }
}

/* Scratch: the subjects' hops [users, lanes], their filters [rank, lanes], one filter [rank]. */
static size_t lanes_of(size_t count)
{
    return count > 1 ? MODEL_SUBJECTS : 1;
}

static size_t catalogue_scratch_size(const model_state *state, size_t count)
{
    return ((state->users + state->rank) * lanes_of(count) + state->rank) * sizeof(float);
}

static void catalogue_prepare(const model_state *state, const model_subject *subjects, size_t count, void *scratch)
{
    size_t lanes = lanes_of(count);
    float *hops = scratch, *filters = hops + state->users * lanes, *one = filters + state->rank * lanes;
    memset(hops, 0, (state->users + state->rank) * lanes * sizeof *hops);
    for (size_t s = 0; s < count; s++) {
        prepare_one(state, &subjects[s], hops + s, lanes, one);
        for (size_t k = 0; k < state->rank; k++)
            filters[k * lanes + s] = one[k];
    }
}

static void catalogue_score(const model_state *state, void *scratch, size_t count, size_t first, size_t items,
                            float *out)
{
    const float *hops = scratch, *filters = hops + state->users * lanes_of(count);
    if (count == 1) {
        score_items(state, hops, filters, first, items, out);
        return;
    }
    const la_shape shape = {.m = items,
                            .n = MODEL_SUBJECTS,
                            .k = state->rank,
                            .lda = state->rank,
                            .ldb = MODEL_SUBJECTS,
                            .ldc = MODEL_SUBJECTS};
    la_gemm gemm;
    la_gemm_init(&gemm, la_engine_steady(state->setup->device->isa), &shape);
    la_gemm_run(&gemm, state->item_vectors + first * state->rank, filters, out);
    for (size_t i = 0; i < items; i++) {
        for (size_t s = 0; s < MODEL_SUBJECTS; s++)
            out[i * MODEL_SUBJECTS + s] *= state->root[first + i];
    }
    la_csr rows = gf_cf_by_item(state);
    rows.rows = items;
    rows.offsets += first;
    const la_spmm task = {.matrix = rows, .width = MODEL_SUBJECTS, .in = hops, .add = out, .out = out, .scale = 1};
    la_spmm_part(&task, state->setup->device->isa, 0, items, out);
}

static bool knows(const model_state *state, uint32_t user)
{
    return state->pairs.counts[user] > 0;
}

const model_catalogue gf_cf_catalogue = {catalogue_scratch_size, catalogue_prepare, catalogue_score};

/* ---- checkpoints ---- */

static forage_status save(const model_state *state, nn_checkpoint *checkpoint, forage_error *error)
{
    size_t shape[2] = {state->items, state->rank};
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "item_vectors", NN_F32, 2, shape, state->item_vectors, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "singular_values", NN_F32, 1, &state->rank, state->singular, error));
    return interactions_save(&state->pairs, checkpoint, error);
}

static forage_status read_all(model_state *state, const nn_checkpoint *checkpoint, forage_error *error)
{
    const nn_tensor *singular;
    FORAGE_TRY(nn_checkpoint_need(checkpoint, "singular_values", NN_F32, 1, &singular, error));
    size_t rank = singular->shape[0], shape[2] = {state->items, rank};
    if (rank == 0 || rank > state->wanted)
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "singular_values",
                              "there are %zu, and rank is %zu", rank, state->wanted);
    FORAGE_TRY(gf_cf_make_room(state, rank, error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "singular_values", 1, &rank, state->singular, error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "item_vectors", 2, shape, state->item_vectors, error));
    FORAGE_TRY(interactions_load(checkpoint, state->users, state->items, &state->pairs, error));
    FORAGE_TRY(gf_cf_normalise(state, error));
    gf_cf_make_averages(state);
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

/* ---- a world that has grown ---- */

/* rows [count, rank] to rows of `pitch`, taken from row from[i] (FORAGE_NONE: 0). */
static void spread(const float *rows, size_t rank, const uint32_t *from, size_t count, size_t pitch, float *out)
{
    memset(out, 0, count * pitch * sizeof *out);
    for (size_t i = 0; i < count; i++) {
        if (from[i] != FORAGE_NONE)
            memcpy(out + i * pitch, rows + from[i] * rank, rank * sizeof *out);
    }
}

/* V = N'N V / s^2 for the items that have no row in V yet: what the others' rows say of them. */
static void place(model_state *state, const float *known, size_t pitch, float *users, float *placed)
{
    const forage_device *device = state->setup->device;
    const la_spmm across = {.matrix = gf_cf_by_user(state), .width = pitch, .in = known, .out = users, .scale = 1};
    const la_spmm back = {.matrix = gf_cf_by_item(state), .width = pitch, .in = users, .out = placed, .scale = 1};
    la_spmm_run(&across, device->isa, device->threads);
    la_spmm_run(&back, device->isa, device->threads);
    for (size_t i = 0; i < state->items; i++) {
        float *vector = state->item_vectors + i * state->rank;
        bool is_known = false;
        for (size_t k = 0; k < state->rank; k++)
            is_known |= known[i * pitch + k] != 0;
        for (size_t k = 0; k < state->rank; k++)
            vector[k] =
                is_known ? known[i * pitch + k] : placed[i * pitch + k] / (state->singular[k] * state->singular[k]);
    }
}

static forage_status extend(model_state *state, const model_state *old, const uint32_t *user_map,
                            const uint32_t *item_map, const forage_examples *events, forage_error *error)
{
    size_t rank = old->rank, pitch = la_padded(rank);
    FORAGE_TRY(interactions_extend(&old->pairs, user_map, item_map, events, state->user_field, state->item_field,
                                   state->users, state->items, state->weight, &state->pairs, error));
    FORAGE_TRY(gf_cf_normalise(state, error));
    FORAGE_TRY(gf_cf_make_room(state, rank, error));
    memcpy(state->singular, old->singular, rank * sizeof *state->singular);
    float *known = forage_alloc(state->items, pitch * sizeof *known);
    float *users = forage_alloc(state->users, pitch * sizeof *users);
    float *placed = forage_alloc(state->items, pitch * sizeof *placed);
    bool good = known && users && placed;
    if (good) {
        spread(old->item_vectors, rank, item_map, state->items, pitch, known);
        place(state, known, pitch, users, placed);
        gf_cf_make_averages(state);
    }
    forage_free(known);
    forage_free(users);
    forage_free(placed);
    return good ? FORAGE_OK : gf_cf_no_memory(error);
}

static size_t describe(const model_state *state, char *buffer, size_t size)
{
    size_t rank = state->rank ? state->rank : state->wanted;
    int length = snprintf(buffer, size,
                          "GraphFilter(\n  (interactions): %zu of %zu users and %zu items\n"
                          "  (low_pass): %zu singular vector%s, alpha %g\n)\n",
                          state->pairs.count, state->users, state->items, rank, rank == 1 ? "" : "s", state->alpha);
    return length > 0 ? (size_t)length : 0;
}

static size_t weight_count(const model_state *state)
{
    return state->pairs.count + state->rank * (state->items + 1);
}

const model_type model_gf_cf = {
    .info =
        {
            .name = "gf-cf",
            .version = 1,
            .summary = "graph filters in closed form: items near to what a user chose, and a low-pass filter of "
                       "singular vectors; nothing to train",
            .capabilities = FORAGE_CAN_FIT,
            .table = {.owner = "gf-cf", .params = params, .count = sizeof params / sizeof params[0]},
            .metric = "ndcg@20",
        },
    .reads = MODEL_READS_USER | MODEL_READS_ITEM | MODEL_NEEDS_USER,
    .minimum_reward = -INFINITY,
    .maximum_reward = INFINITY,
    .create = create,
    .free = release,
    .fit_begin = gf_cf_fit_begin,
    .fit_step = gf_cf_fit_step,
    .fit_end = gf_cf_fit_end,
    .fit_save = gf_cf_fit_save,
    .fit_resume = gf_cf_fit_resume,
    .fit_memory = gf_cf_fit_memory,
    .scratch_size = scratch_size,
    .score = score,
    .catalogue = &gf_cf_catalogue,
    .knows = knows,
    .extend = extend,
    .save = save,
    .load = load,
    .describe = describe,
    .weight_count = weight_count,
};
