/*
 * ials.c: matrix factorisation of who chose what by alternating least squares (Hu, Koren and Volinsky 2008,
 * "Collaborative filtering for implicit feedback datasets"), with the loss and the scaled regularisation of Rendle,
 * Krichene, Zhang and Koren (2022, "Revisiting the performance of iALS on item recommendation benchmarks"):
 *
 *   sum over chosen pairs of c_ui (<w_u, h_i> - 1)^2  +  a sum over all pairs of <w_u, h_i>^2
 *     +  l2 (sum over u of (c_u + a I)^v |w_u|^2  +  sum over i of (c_i + a U)^v |h_i|^2)
 *
 * c_ui is an interaction's weight, c_u and c_i are sums of them, U and I numbers of users and items that have any, a
 * the weight of a pair that was not chosen (`unobserved-weight`), v the `exponent`. Given all h, each w_u is the
 * solution of `width` linear equations,
 *
 *   (a H'H + sum of c_ui h_i h_i' + l2 (c_u + a I)^v) w_u = sum of c_ui h_i,
 *
 * in which H'H is common to all users; and the other way round. ials_fit.c does so in turns, users last: a user who
 * comes with a history later is solved for in the same way, and has the very vector of a user with that history.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/ials.h"
#include "model/catalogue.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GATHERED = 128 }; /* rows of the other side that are multiplied together */

static const forage_param params[] = {
    {"embedding-size", FORAGE_PARAM_INTEGER, "64", 1, 1024, NULL, "numbers per user and item"},
    {"epochs", FORAGE_PARAM_INTEGER, "8", 1, 100000, NULL, "turns of solving for all items, then for all users"},
    {"unobserved-weight", FORAGE_PARAM_REAL, "0", 0, 1e6, NULL,
     "weight of a pair that was not chosen beside one that was; 0: 20 times the share of pairs that were"},
    {"l2", FORAGE_PARAM_REAL, "0.003", 0, 1e6, NULL, "how strongly vectors are drawn to 0"},
    {"exponent", FORAGE_PARAM_REAL, "1", 0, 2, NULL,
     "how l2 grows with the weight of all that a vector is fitted to; 0: the same for all"},
    {"weight", FORAGE_PARAM_CHOICE, "binary", 0, 0, "binary|count|value",
     "what a user's interaction with an item weighs: 1, how often they met, or the sum of the rewards"},
    {"patience", FORAGE_PARAM_INTEGER, "0", 0, 100000, NULL,
     "epochs without a better validation metric before stopping; 0: all epochs. The best epoch's vectors are kept "
     "wherever there are validation rows"},
};

static forage_status no_memory(const model_state *state, forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for ials over %zu users and %zu items of %zu numbers",
                       state->users, state->items, state->width);
}

static void release(model_state *state)
{
    if (!state)
        return;
    interactions_release(&state->pairs);
    forage_free(state->user);
    forage_free(state->item);
    forage_free(state->base);
    forage_free(state->packed);
    forage_free(state);
}

/* All zero. */
static forage_status build(const model_setup *setup, model_state **state, forage_error *error)
{
    size_t user, item;
    *state = NULL;
    FORAGE_TRY(interactions_fields("ials", setup->schema, &user, &item, error));
    model_state *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for ials");
    made->setup = setup;
    made->user_field = user;
    made->item_field = item;
    made->users = setup->schema->fields[user].cardinality;
    made->items = setup->schema->fields[item].cardinality;
    made->width = (size_t)forage_params_integer(setup->params, "embedding-size");
    made->pitch = la_padded(made->width);
    made->l2 = forage_params_real(setup->params, "l2");
    made->exponent = forage_params_real(setup->params, "exponent");
    made->weight = interactions_weight(setup->params);
    made->user = forage_calloc(made->users + 1, made->pitch * sizeof *made->user);
    made->item = forage_calloc(made->items + 1, made->pitch * sizeof *made->item);
    made->base = forage_calloc(made->width, made->pitch * sizeof *made->base);
    if (!made->user || !made->item || !made->base) {
        forage_status status = no_memory(made, error);
        release(made);
        return status;
    }
    *state = made;
    return FORAGE_OK;
}

/* Rendle et al. begin with deviation 0.1 / sqrt(width). Users alone are drawn: items follow from them. */
static forage_status create(const model_setup *setup, model_state **state, forage_error *error)
{
    forage_rng rng;
    FORAGE_TRY(build(setup, state, error));
    model_state *made = *state;
    double deviation = 0.1 / sqrt((double)made->width);
    forage_rng_seed(&rng, setup->seed);
    for (size_t u = 0; u < made->users; u++) {
        for (size_t j = 0; j < made->width; j++)
            made->user[u * made->pitch + j] = (float)(deviation * forage_rng_normal(&rng));
    }
    return FORAGE_OK;
}

/* ---- equations ---- */

/* The matrix, rows of the other side, and these times their weights. */
size_t ials_scratch(const model_state *state)
{
    return (state->width + (size_t)2 * GATHERED) * state->pitch;
}

double ials_regular(const model_state *state, const ials_side *side, double weight)
{
    return state->l2 * pow(weight + side->crowd, state->exponent);
}

void ials_solve(const model_state *state, const ials_side *side, const uint32_t *columns, const float *weights,
                size_t count, float *scratch, float *out)
{
    size_t width = state->width, pitch = state->pitch;
    float *matrix = scratch, *rows = matrix + width * pitch, *weighted = weights ? rows + GATHERED * pitch : rows;
    la_shape shape = {LA_TN, width, pitch, 0, pitch, pitch, pitch, true};
    double total = 0;
    memset(out, 0, pitch * sizeof *out);
    if (count == 0)
        return;
    memcpy(matrix, side->base, width * pitch * sizeof *matrix);
    for (size_t e = 0; e < count; e += shape.k) {
        shape.k = count - e < GATHERED ? count - e : GATHERED;
        for (size_t i = 0; i < shape.k; i++) {
            const float *row = side->others + columns[e + i] * pitch;
            float weight = weights ? weights[e + i] : 1;
            total += (double)weight;
            memcpy(rows + i * pitch, row, pitch * sizeof *row);
            for (size_t j = 0; j < pitch; j++) {
                weighted[i * pitch + j] = weight * row[j];
                out[j] += weight * row[j];
            }
        }
        la_gemm gemm;
        la_gemm_init(&gemm, la_engine_steady(state->setup->device->isa), &shape);
        la_gemm_run(&gemm, weighted, rows, matrix);
    }
    for (size_t j = 0; j < width; j++)
        matrix[j * pitch + j] += (float)ials_regular(state, side, total);
    la_solve(state->setup->device->isa, width, pitch, matrix, out);
}

void ials_base(const model_state *state, const float *table, size_t rows, float *scratch, double *gram, float *base)
{
    size_t width = state->width, pitch = state->pitch;
    const forage_device *device = state->setup->device;
    const double *from = gram;
    la_gram(device->isa, device->threads, table, rows, width, pitch, scratch, gram);
    for (size_t i = 0; i < width; i++) {
        for (size_t j = i; j < width; j++)
            base[i * pitch + j] = base[j * pitch + i] = (float)(state->facts[IALS_UNOBSERVED] * *from++);
    }
}

bool ials_is_zero(const model_state *state, const float *row)
{
    for (size_t j = 0; j < state->width; j++) {
        if (row[j] != 0)
            return false;
    }
    return true;
}

/* The mean of the rows that are not all 0, behind the table. */
static void average(const model_state *state, float *table, size_t rows)
{
    size_t pitch = state->pitch, count = 0;
    for (size_t j = 0; j < pitch; j += LA_LANES) {
        double sum[LA_LANES] = {0};
        count = 0;
        for (size_t r = 0; r < rows; r++) {
            const float *row = table + r * pitch;
            count += !ials_is_zero(state, row);
            for (size_t l = 0; l < LA_LANES; l++)
                sum[l] += (double)row[j + l];
        }
        for (size_t l = 0; l < LA_LANES; l++)
            table[rows * pitch + j + l] = count ? (float)(sum[l] / (double)count) : 0;
    }
}

void ials_settle(model_state *state, float *scratch, double *gram)
{
    ials_base(state, state->item, state->items, scratch, gram, state->base);
    average(state, state->user, state->users);
    average(state, state->item, state->items);
    state->begun = true;
}

/* The same with memory of its own. */
static forage_status settle(model_state *state, forage_error *error)
{
    float *scratch =
        forage_alloc((size_t)state->setup->device->threads, la_gram_scratch(state->width) * sizeof *scratch);
    double *gram = forage_alloc(la_packed(state->width), sizeof *gram);
    forage_status status = FORAGE_OK;
    if (scratch && gram)
        ials_settle(state, scratch, gram);
    else
        status = no_memory(state, error);
    forage_free(scratch);
    forage_free(gram);
    return status;
}

void ials_note(model_state *state)
{
    const interactions *pairs = &state->pairs;
    double users = 0, items = 0, given = forage_params_real(state->setup->params, "unobserved-weight");
    for (size_t u = 0; u < pairs->users; u++)
        users += pairs->counts[u] > 0;
    for (size_t i = pairs->users; i < pairs->users + pairs->items; i++)
        items += pairs->offsets[i + 1] > pairs->offsets[i];
    state->facts[IALS_ITEMS] = items;
    state->facts[IALS_UNOBSERVED] = given > 0 ? given : 20 * (double)pairs->count / (users * items);
}

/* ---- scoring ---- */

static size_t scratch_size(const model_state *state)
{
    (void)state;
    return 0;
}

/* Who chose nothing is the average user. */
static const float *user_vector(const model_state *state, uint32_t code)
{
    const float *average = state->user + state->users * state->pitch;
    const float *row = code < state->users ? state->user + code * state->pitch : average;
    return ials_is_zero(state, row) ? average : row;
}

static model_dot dot_of(const model_state *state)
{
    return (model_dot){state->item, state->width, state->pitch, state->setup->device->isa};
}

static void score(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                  float *deviation)
{
    const uint32_t *users = examples->codes[state->user_field], *items = examples->codes[state->item_field];
    const float *left[MODEL_BLOCK], *right[MODEL_BLOCK];
    const model_dot dot = dot_of(state);
    (void)scratch;
    (void)deviation;
    for (size_t i = 0; i < examples->count; i++) {
        left[i] = user_vector(state, users[i]);
        right[i] = state->item + (items[i] < state->items ? items[i] : state->items) * state->pitch;
    }
    model_dot_pairs(&dot, left, right, examples->count, mean);
}

/* Scratch: the subjects' vectors, one equation, what products need. */
static size_t fold_floats(const model_state *state, size_t count)
{
    return count * state->pitch + ials_scratch(state);
}

static size_t catalogue_scratch(const model_state *state, size_t count)
{
    return fold_floats(state, count) * sizeof(float) + model_dot_scratch_size(state->width, count);
}

/* A vector that is solved for may come out as 0: items that nobody chose. */
static const float *fold_in(const model_state *state, const model_subject *subject, float *scratch, float *vector)
{
    const ials_side side = {state->item, state->base, state->facts[IALS_UNOBSERVED] * state->facts[IALS_ITEMS]};
    ials_solve(state, &side, subject->items, subject->weights, subject->count, scratch, vector);
    return ials_is_zero(state, vector) ? user_vector(state, FORAGE_NONE) : vector;
}

static void prepare(const model_state *state, const model_subject *subjects, size_t count, void *scratch)
{
    const float *of[MODEL_SUBJECTS];
    const model_dot dot = dot_of(state);
    float *vectors = scratch, *equation = vectors + count * state->pitch;
    for (size_t s = 0; s < count; s++) {
        if (subjects[s].user < state->users || subjects[s].count == 0)
            of[s] = user_vector(state, subjects[s].user);
        else
            of[s] = fold_in(state, &subjects[s], equation, vectors + s * state->pitch);
    }
    model_dot_prepare(&dot, of, count, (float *)scratch + fold_floats(state, count));
}

static void score_items(const model_state *state, void *scratch, size_t count, size_t first, size_t items, float *out)
{
    const model_dot dot = dot_of(state);
    model_dot_score(&dot, (const float *)scratch + fold_floats(state, count), count, first, items, out);
}

const model_catalogue ials_catalogue = {catalogue_scratch, prepare, score_items};

static void vectors(const model_state *state, model_vectors *out)
{
    *out = (model_vectors){.users = state->user, .items = state->item, .width = state->width, .pitch = state->pitch};
}

/* ---- checkpoints ---- */

static forage_status save(const model_state *state, nn_checkpoint *checkpoint, forage_error *error)
{
    /* The block for rows without their padding lives in the state, which outlives the checkpoint. */
    model_state *owner = (model_state *)(uintptr_t)state;
    size_t width = state->width, users[2] = {state->users, width}, items[2] = {state->items, width}, facts = IALS_FACTS;
    const float *user = state->user, *item = state->item;
    if (state->pitch != width) {
        if (!owner->packed)
            owner->packed = forage_alloc(state->users + state->items, width * sizeof *owner->packed);
        if (!owner->packed)
            return no_memory(state, error);
        for (size_t r = 0; r < state->users + state->items; r++) {
            const float *row = r < state->users ? user + r * state->pitch : item + (r - state->users) * state->pitch;
            memcpy(owner->packed + r * width, row, width * sizeof *row);
        }
        user = owner->packed;
        item = owner->packed + state->users * width;
    }
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "user_embedding.weight", NN_F32, 2, users, user, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "item_embedding.weight", NN_F32, 2, items, item, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "facts", NN_F64, 1, &facts, state->facts, error));
    return interactions_save(&state->pairs, checkpoint, error);
}

/* [rows, width] of a checkpoint into rows of `pitch`. */
/* A number beyond which products of what follows from it might be infinite, and their sums no numbers. */
static const float LARGEST = 1e12F;

static forage_status read_table(const model_state *state, const nn_checkpoint *checkpoint, const char *name,
                                size_t rows, float *table, forage_error *error)
{
    size_t width = state->width, shape[2] = {rows, width};
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, name, 2, shape, table, error));
    for (size_t i = 0; i < rows * width; i++) {
        if (fabsf(table[i]) > LARGEST)
            return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, name,
                                  "number %zu is %g: no embedding is that large", i + 1, (double)table[i]);
    }
    for (size_t r = rows; width != state->pitch && r-- > 0;) {
        memmove(table + r * state->pitch, table + r * width, width * sizeof *table);
        memset(table + r * state->pitch + width, 0, (state->pitch - width) * sizeof *table);
    }
    return FORAGE_OK;
}

static forage_status read_all(model_state *state, const nn_checkpoint *checkpoint, forage_error *error)
{
    size_t facts = IALS_FACTS;
    FORAGE_TRY(read_table(state, checkpoint, "user_embedding.weight", state->users, state->user, error));
    FORAGE_TRY(read_table(state, checkpoint, "item_embedding.weight", state->items, state->item, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "facts", NN_F64, 1, &facts, state->facts, error));
    for (size_t i = 0; i < IALS_FACTS; i++) {
        if (!(state->facts[i] >= 0 && state->facts[i] <= 1e30))
            return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "facts",
                                  "the weight of what was not chosen, or the number of items, cannot be");
    }
    FORAGE_TRY(interactions_load(checkpoint, state->users, state->items, &state->pairs, error));
    return settle(state, error);
}

static forage_status load(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                          forage_error *error)
{
    FORAGE_TRY(build(setup, state, error));
    forage_status status = read_all(*state, checkpoint, error);
    if (status != FORAGE_OK) {
        release(*state);
        *state = NULL;
    }
    return status;
}

/* ---- a world that has grown ---- */

static void take_rows(const model_state *state, const float *from, const uint32_t *map, size_t rows, float *to)
{
    for (size_t r = 0; r < rows; r++) {
        if (map[r] != FORAGE_NONE)
            memcpy(to + r * state->pitch, from + map[r] * state->pitch, state->pitch * sizeof *to);
        else
            memset(to + r * state->pitch, 0, state->pitch * sizeof *to);
    }
}

static forage_status extend(model_state *state, const model_state *old, const uint32_t *user_map,
                            const uint32_t *item_map, const forage_examples *events, forage_error *error)
{
    if (old->width != state->width)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "embedding-size",
                              "the model to go on from has embeddings of %zu numbers, not of %zu", old->width,
                              state->width);
    FORAGE_TRY(interactions_extend(&old->pairs, user_map, item_map, events, state->user_field, state->item_field,
                                   state->users, state->items, state->weight, &state->pairs, error));
    take_rows(state, old->user, user_map, state->users, state->user);
    take_rows(state, old->item, item_map, state->items, state->item);
    FORAGE_TRY(ials_place(state, error));
    return settle(state, error);
}

static bool knows(const model_state *state, uint32_t user)
{
    return state->pairs.counts[user] > 0;
}

static size_t describe(const model_state *state, char *buffer, size_t size)
{
    char weight[40] = "";
    if (state->begun)
        snprintf(weight, sizeof weight, ", unobserved weight %.4g", state->facts[IALS_UNOBSERVED]);
    int length = snprintf(buffer, size,
                          "ImplicitALS(\n  (user_embedding): Embedding(%zu, %zu)\n"
                          "  (item_embedding): Embedding(%zu, %zu)\n  l2 %g%s\n)\n",
                          state->users, state->width, state->items, state->width, state->l2, weight);
    return length > 0 ? (size_t)length : 0;
}

static size_t weight_count(const model_state *state)
{
    return (state->users + state->items) * state->width;
}

const model_type model_ials = {
    .info =
        {
            .name = "ials",
            .version = 1,
            .summary = "matrix factorisation of who chose what, by alternating least squares",
            .capabilities = FORAGE_CAN_FIT | FORAGE_HAS_EMBEDDINGS,
            .table = {.owner = "ials", .params = params, .count = sizeof params / sizeof params[0]},
            .metric = "ndcg@20",
        },
    .reads = MODEL_READS_USER | MODEL_READS_ITEM | MODEL_NEEDS_USER,
    .unit = "vectors",
    .minimum_reward = -INFINITY,
    .maximum_reward = INFINITY,
    .create = create,
    .free = release,
    .fit_begin = ials_fit_begin,
    .fit_step = ials_fit_step,
    .fit_end = ials_fit_end,
    .fit_save = ials_fit_save,
    .fit_resume = ials_fit_resume,
    .fit_memory = ials_fit_memory,
    .scratch_size = scratch_size,
    .score = score,
    .catalogue = &ials_catalogue,
    .knows = knows,
    .vectors = vectors,
    .extend = extend,
    .save = save,
    .load = load,
    .describe = describe,
    .weight_count = weight_count,
};
