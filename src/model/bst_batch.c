/*
 * bst_batch.c: examples as sequences of tokens.
 *
 * The sequence of an example is what its user did before it, at most `length` events, oldest first, and then the
 * example's own item, the target. A token is made of its parts: the embedding of the item's id and of each of its
 * attributes (a number is a vector times it), of when it was, seen from the target, and of what became of it. They are
 * added up or stand side by side. Sequences lie one behind the other, without padding.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "model/bst.h"

enum { TOKENS = 8, WIDTH_LIMIT = NN_ENCODER_WIDTH_LIMIT };

/* ---- memory ---- */

/* Hands out pieces of a block of memory, each aligned to 64; without a block it only counts. */
typedef struct piece {
    char *memory;
    double used;
} piece;

static void *take(piece *from, double bytes)
{
    void *at = from->memory ? from->memory + (size_t)from->used : NULL;
    double lines = (double)(uint64_t)(bytes / 64.0) + 1.0;
    from->used += 64.0 * lines;
    return at;
}

static void lay_out(const model_state *state, size_t count, size_t limit, piece *from, bst_batch *batch)
{
    double examples = (double)count, tokens = examples * (double)limit;
    const nn_mlp *mlp = state->mlp;
    batch->starts = take(from, 4.0 * (examples + 1.0));
    batch->codes = take(from, (double)(state->table_count * sizeof(void *)));
    batch->values = take(from, (double)(state->table_count * sizeof(void *)));
    batch->x = take(from, 4.0 * tokens * (double)state->stride);
    batch->mlp_codes = take(from, (double)(mlp->table_count * sizeof(void *)));
    batch->matrix = take(from, 4.0 * examples * (double)mlp->number_count);
    for (size_t t = 0; t < state->table_count; t++) {
        bool number = state->tables[t].kind == BST_NUMBER;
        void *column = take(from, 4.0 * tokens);
        if (!from->memory)
            continue;
        batch->codes[t] = number ? NULL : column;
        batch->values[t] = number ? column : NULL;
    }
    for (size_t t = 0; t < mlp->table_count; t++) {
        void *column = take(from, 4.0 * examples);
        if (from->memory)
            batch->mlp_codes[t] = column;
    }
}

double bst_batch_size(const model_state *state, size_t count, size_t limit)
{
    piece counted = {0};
    bst_batch unused;
    lay_out(state, count, limit, &counted, &unused);
    return counted.used;
}

void bst_batch_place(const model_state *state, size_t count, size_t limit, void *memory, bst_batch *batch)
{
    piece from = {.memory = memory};
    *batch = (bst_batch){.without_history = limit == 1};
    lay_out(state, count, limit, &from, batch);
}

/* ---- sequences ---- */

static size_t row_of(const bst_batch *batch, size_t i)
{
    return batch->rows ? batch->rows[i] : batch->first + i;
}

/* How many events of its past an example looks at: the last ones. */
static size_t history_of(const model_state *state, const bst_batch *batch, size_t i)
{
    const forage_past *past = batch->examples->past;
    size_t row = row_of(batch, i), count = past && !batch->without_history ? past->end[row] - past->begin[row] : 0;
    count = count < state->length ? count : state->length;
    if (batch->crop > 0.0) {
        uint64_t hash = batch->key + 0x9e3779b97f4a7c15U * (row + 1); /* splitmix64 */
        hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
        hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
        hash ^= hash >> 31;
        if ((double)(uint32_t)hash < batch->crop * 4294967296.0)
            count = (size_t)((hash >> 32) * (count + 1) >> 32);
    }
    return count;
}

void bst_batch_begin(const model_state *state, const forage_examples *examples, const uint32_t *rows, size_t first,
                     size_t count, bst_batch *batch)
{
    batch->examples = examples;
    batch->rows = rows;
    batch->first = first;
    batch->count = count;
    batch->starts[0] = 0;
    for (size_t i = 0; i < count; i++)
        batch->starts[i + 1] = batch->starts[i] + (uint32_t)history_of(state, batch, i) + 1;
    batch->tokens = batch->starts[count];
}

/* 1 + the whole part of log2(gap + 1), which is 1 for a gap of 0: seconds, or the log's own unit of time. */
static uint32_t gap_code(const forage_examples *examples, int64_t target, int64_t event)
{
    uint64_t gap = target > event ? (uint64_t)target - (uint64_t)event : 0;
    if (examples->time_is_calendar)
        gap /= 1000000;
    return gap == UINT64_MAX ? BST_GAPS - 1 : 64 - (uint32_t)__builtin_clzll(gap + 1);
}

/* When the history's events were, as the target sees them. */
static void fill_positions(const model_state *state, const forage_examples *examples, size_t row, size_t first,
                           size_t count, uint32_t *codes)
{
    const int64_t *event = examples->past ? examples->past->time : NULL;
    for (size_t k = 0; k < count && !state->timed; k++)
        codes[k] = (uint32_t)(count - k);
    for (size_t k = 0; k < count && state->timed; k++)
        codes[k] = event && examples->time ? gap_code(examples, examples->time[row], event[first + k]) : FORAGE_NONE;
    codes[count] = 0;
}

static void fill_outcomes(const forage_examples *examples, size_t first, size_t count, uint32_t *codes)
{
    const float *reward = examples->past ? examples->past->reward : NULL;
    for (size_t k = 0; k < count; k++)
        codes[k] = !reward || reward[first + k] > 0.0F ? BST_CHOSEN : BST_REFUSED;
    codes[count] = BST_TARGET;
}

/* An item that was refused says something else than one that was chosen: its categories have other rows. */
static void mark_refused(const bst_table *table, const float *reward, size_t count, uint32_t *codes)
{
    for (size_t k = 0; reward && k < count; k++)
        codes[k] += codes[k] < table->refused && !(reward[k] > 0.0F) ? (uint32_t)table->refused : 0;
}

static void fill_sequence(const model_state *state, bst_batch *batch, size_t i)
{
    const forage_examples *examples = batch->examples;
    const forage_past *past = examples->past;
    size_t row = row_of(batch, i), at = batch->starts[i], count = batch->starts[i + 1] - at - 1;
    size_t first = count ? past->end[row] - count : 0;
    for (size_t t = 0; t < state->table_count; t++) {
        const bst_table *table = &state->tables[t];
        if (table->kind == BST_CATEGORY) {
            if (count) {
                memcpy(batch->codes[t] + at, past->codes[table->field] + first, count * sizeof(uint32_t));
                mark_refused(table, past->reward ? past->reward + first : NULL, count, batch->codes[t] + at);
            }
            batch->codes[t][at + count] = examples->codes[table->field][row];
        } else if (table->kind == BST_NUMBER) {
            if (count)
                memcpy(batch->values[t] + at, past->values[table->field] + first, count * sizeof(float));
            batch->values[t][at + count] = examples->values[table->field][row];
        } else if (table->kind == BST_POSITION) {
            fill_positions(state, examples, row, first, count, batch->codes[t] + at);
        } else {
            fill_outcomes(examples, first, count, batch->codes[t] + at);
        }
    }
}

/* One part of `count` tokens from `at` on, to out [count][stride]. */
static void part_of(const model_state *state, const bst_batch *batch, size_t t, size_t at, size_t count, float *out)
{
    const bst_table *table = &state->tables[t];
    const float *rows = state->values + table->offset;
    if (table->kind != BST_NUMBER) {
        state->mlp->kernels->gather(count, batch->codes[t] + at, (uint32_t)table->rows, table->width, rows,
                                    state->stride, out);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < table->width; j++)
            out[i * state->stride + j] = batch->values[t][at + i] * rows[j];
    }
}

/* x of tokens [begin, end). */
static void fill_tokens(const model_state *state, const bst_batch *batch, size_t begin, size_t end)
{
    float part[TOKENS * WIDTH_LIMIT];
    size_t stride = state->stride;
    bool side_by_side = state->table_count > 1 && state->tables[1].column > 0;
    if (!side_by_side)
        memset(part, 0, TOKENS * stride * sizeof *part);
    for (size_t at = begin; at < end; at += TOKENS) {
        size_t count = end - at < TOKENS ? end - at : TOKENS;
        float *x = batch->x + at * stride;
        memset(x, 0, count * stride * sizeof *x);
        for (size_t t = 0; t < state->table_count; t++) {
            if (t == 0 || side_by_side) {
                part_of(state, batch, t, at, count, x + state->tables[t].column);
                continue;
            }
            part_of(state, batch, t, at, count, part);
            state->mlp->kernels->add(count * stride, part, x);
        }
    }
}

/* What the network reads beside the sequence. */
static void fill_others(const model_state *state, bst_batch *batch, size_t i)
{
    const nn_mlp *mlp = state->mlp;
    size_t row = row_of(batch, i);
    for (size_t t = 0; t < mlp->table_count; t++)
        batch->mlp_codes[t][i] = batch->examples->codes[state->mlp_fields[t]][row];
    float *numbers = batch->matrix + i * mlp->number_count + state->outputs;
    for (size_t n = 0; n < mlp->number_count - state->outputs; n++)
        numbers[n] = batch->examples->values[state->mlp_fields[mlp->table_count + n]][row];
}

void bst_batch_fill(const model_state *state, bst_batch *batch, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        fill_sequence(state, batch, i);
        fill_others(state, batch, i);
    }
    fill_tokens(state, batch, batch->starts[begin], batch->starts[end]);
}

/* ---- from sequences to the network, and back ---- */

/* Which of an example's events were chosen, from the first that it looks at on; NULL: all are as good as that. */
static const float *outcomes_of(const model_state *state, const bst_batch *batch, size_t i)
{
    const forage_past *past = batch->examples->past;
    size_t count = batch->starts[i + 1] - batch->starts[i] - 1;
    return state->bags > 1 && past && past->reward ? past->reward + past->end[row_of(batch, i)] - count : NULL;
}

/* Is event k in bag `bag`: 0 of what was chosen, 1 of what was refused? */
static bool in_bag(const float *outcomes, size_t k, size_t bag)
{
    return (!outcomes || outcomes[k] > 0.0F ? 0 : 1) == bag;
}

/* What each row of a bag counts in its mean. */
static float share_of(const float *outcomes, size_t count, size_t bag)
{
    size_t rows = 0;
    for (size_t k = 0; k < count; k++)
        rows += in_bag(outcomes, k, bag);
    return rows ? 1.0F / (float)rows : 0.0F;
}

/* out [width] = the mean of those of `count` rows that are in the bag; zero without any. */
static void mean_of(const model_state *state, const float *h, const float *outcomes, size_t count, size_t bag,
                    float *out)
{
    memset(out, 0, state->width * sizeof *out);
    float by = share_of(outcomes, count, bag);
    for (size_t k = 0; k < count; k++) {
        for (size_t j = 0; in_bag(outcomes, k, bag) && j < state->width; j++)
            out[j] += h[k * state->stride + j];
    }
    for (size_t j = 0; j < state->width; j++)
        out[j] *= by;
}

void bst_batch_pool(const model_state *state, bst_batch *batch, size_t begin, size_t end, const float *h)
{
    size_t width = state->width, stride = state->stride;
    for (size_t i = begin; i < end; i++) {
        const float *first = h + batch->starts[i] * stride;
        size_t count = batch->starts[i + 1] - batch->starts[i];
        float *out = batch->matrix + i * state->mlp->number_count;
        if (state->kind == BST_MEAN) {
            for (size_t bag = 0; bag < state->bags; bag++, out += width)
                mean_of(state, first, outcomes_of(state, batch, i), count - 1, bag, out);
        } else if (state->output == BST_POOLED && state->kind == BST_TRANSFORMER) {
            mean_of(state, first, NULL, count, 0, out);
            continue;
        } else if (state->output == BST_CONCAT && state->kind == BST_TRANSFORMER) {
            size_t missing = state->limit - count; /* the target comes last, what is missing first */
            memset(out, 0, missing * width * sizeof *out);
            out += missing * width;
            for (size_t k = 0; k + 1 < count; k++, out += width)
                memcpy(out, first + k * stride, width * sizeof *out);
        }
        memcpy(out, first + (count - 1) * stride, width * sizeof *out);
    }
}

void bst_batch_put(const model_state *state, bst_batch *batch, size_t begin, size_t end, const float *h)
{
    for (size_t i = begin; i < end; i++)
        memcpy(batch->matrix + i * state->mlp->number_count, h + i * state->stride, state->width * sizeof *h);
}

void bst_batch_unput(const model_state *state, size_t begin, size_t end, const float *dx, size_t pitch, float *dh)
{
    for (size_t i = begin; i < end; i++) {
        memcpy(dh + i * state->stride, dx + i * pitch, state->width * sizeof *dh);
        memset(dh + i * state->stride + state->width, 0, (state->stride - state->width) * sizeof *dh);
    }
}

/* And back: dh [count][stride] of the bag's rows. */
static void spread(const model_state *state, const float *dx, const float *outcomes, size_t count, size_t bag,
                   float *dh)
{
    float by = share_of(outcomes, count, bag);
    for (size_t k = 0; k < count; k++) {
        for (size_t j = 0; in_bag(outcomes, k, bag) && j < state->width; j++)
            dh[k * state->stride + j] = dx[j] * by;
    }
}

void bst_batch_unpool(const model_state *state, const bst_batch *batch, size_t begin, size_t end, const float *dx,
                      size_t pitch, float *dh)
{
    size_t width = state->width, stride = state->stride;
    memset(dh + batch->starts[begin] * stride, 0, (batch->starts[end] - batch->starts[begin]) * stride * sizeof *dh);
    for (size_t i = begin; i < end; i++) {
        float *first = dh + batch->starts[i] * stride;
        size_t count = batch->starts[i + 1] - batch->starts[i];
        const float *in = dx + i * pitch;
        if (state->kind == BST_MEAN) {
            for (size_t bag = 0; bag < state->bags; bag++, in += width)
                spread(state, in, outcomes_of(state, batch, i), count - 1, bag, first);
        } else if (state->output == BST_POOLED && state->kind == BST_TRANSFORMER) {
            spread(state, in, NULL, count, 0, first);
            continue;
        } else if (state->output == BST_CONCAT && state->kind == BST_TRANSFORMER) {
            in += (state->limit - count) * width;
            for (size_t k = 0; k + 1 < count; k++, in += width)
                memcpy(first + k * stride, in, width * sizeof *in);
        }
        memcpy(first + (count - 1) * stride, in, width * sizeof *in);
    }
}
