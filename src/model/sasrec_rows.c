/*
 * sasrec_rows.c: which rows of the item table a step looks at, and when Adam moves the others.
 *
 * Adam moves all rows in every step. But what it does to a row without a gradient depends on that row's own numbers and
 * the step's rates alone, so that it can wait until somebody reads the row: then all the steps that it has not had are
 * done one after the other, in registers. Where a step looks at few of many rows, this saves the way of all of them
 * through memory. The operations are those of a pass over the whole table, and so are the bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/sasrec_train.h"

#include <string.h>

enum {
    WORD = 64, /* rows of a word of bits */
    AHEAD = 6, /* rows that are fetched before one is moved */
};

static size_t words(size_t items)
{
    return (items + WORD - 1) / WORD;
}

double sasrec_rows_memory(size_t items, size_t most, size_t tokens)
{
    return 12 * (double)words(items) + 8 * (double)most + 4 * (double)tokens + 4 * (double)items +
           SASREC_STEPS_KEPT * (double)sizeof(nn_adam_step);
}

void sasrec_rows_release(sasrec_rows *rows)
{
    forage_free(rows->looked);
    forage_free(rows->before);
    forage_free(rows->list);
    forage_free(rows->first);
    forage_free(rows->next);
    forage_free(rows->steps);
    forage_free(rows->had);
    rows->looked = NULL;
    rows->before = rows->list = rows->first = rows->next = rows->had = NULL;
    rows->steps = NULL;
}

bool sasrec_rows_create(sasrec_rows *rows, size_t items, size_t most, size_t tokens)
{
    rows->looked = forage_calloc(words(items), sizeof *rows->looked);
    rows->before = forage_calloc(words(items), sizeof *rows->before);
    rows->list = forage_alloc(most, sizeof *rows->list);
    rows->first = forage_alloc(most, sizeof *rows->first);
    rows->next = forage_alloc(tokens, sizeof *rows->next);
    rows->steps = forage_alloc(SASREC_STEPS_KEPT, sizeof *rows->steps);
    rows->had = forage_calloc(items, sizeof *rows->had);
    if (rows->looked && rows->before && rows->list && rows->first && rows->next && rows->steps && rows->had)
        return true;
    sasrec_rows_release(rows);
    return false;
}

/* ---- what a step looks at ---- */

static void mark(sasrec_rows *rows, const uint32_t *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rows->looked[items[i] / WORD] |= (uint64_t)1 << items[i] % WORD;
}

/* The marked rows in order. */
static void list(sasrec_rows *rows, size_t items)
{
    rows->count = 0;
    for (size_t w = 0; w < words(items); w++) {
        rows->before[w] = (uint32_t)rows->count;
        for (uint64_t left = rows->looked[w]; left; left &= left - 1)
            rows->list[rows->count++] = (uint32_t)(w * WORD) + (uint32_t)__builtin_ctzll(left);
    }
}

/* The place of a marked row in the list. */
static size_t place_of(const sasrec_rows *rows, uint32_t item)
{
    uint64_t below = rows->looked[item / WORD] & (((uint64_t)1 << item % WORD) - 1);
    return rows->before[item / WORD] + (size_t)__builtin_popcountll(below);
}

void sasrec_rows_chunk(const sasrec_trainer *trainer, size_t chunk, size_t *begin, size_t *end)
{
    const sasrec_rows *rows = &trainer->rows;
    size_t after = (chunk + 1) * (SASREC_ROWS / WORD);
    *begin = rows->before[chunk * (SASREC_ROWS / WORD)];
    *end = after < words(trainer->state->items) ? rows->before[after] : rows->count;
}

/* ---- what was put off ---- */

static void catch_up(const sasrec_trainer *trainer, size_t row)
{
    const sasrec_rows *rows = &trainer->rows;
    size_t pitch = trainer->state->pitch, at = row * pitch, had = rows->had[row];
    trainer->kernels->adam_idle(pitch, rows->kept - had, rows->steps + had, trainer->state->table + at,
                                trainer->mean + at, trainer->square + at);
    rows->had[row] = (uint32_t)rows->kept;
}

static void fetch_row(size_t pitch, const float *row)
{
    for (size_t j = 0; j < pitch; j += NN_LANES)
        __builtin_prefetch(row + j, 1, 2);
}

void sasrec_rows_fetch(const sasrec_trainer *trainer, size_t row)
{
    size_t pitch = trainer->state->pitch, at = row * pitch;
    fetch_row(pitch, trainer->state->table + at);
    fetch_row(pitch, trainer->mean + at);
    fetch_row(pitch, trainer->square + at);
}

static void catch_up_chunk(void *context, size_t chunk, int worker)
{
    const sasrec_trainer *trainer = context;
    const uint32_t *rows = trainer->rows.list;
    size_t begin, end;
    (void)worker;
    sasrec_rows_chunk(trainer, chunk, &begin, &end);
    for (size_t r = begin, fetched = begin; r < end; r++) {
        for (; fetched < end && fetched <= r + AHEAD; fetched++)
            sasrec_rows_fetch(trainer, rows[fetched]);
        catch_up(trainer, rows[r]);
    }
}

void sasrec_rows_look(sasrec_trainer *trainer)
{
    sasrec_rows *rows = &trainer->rows;
    size_t items = trainer->state->items, draws = trainer->own_negatives ? trainer->count : 1;
    if (rows->all)
        return;
    memset(rows->looked, 0, words(items) * sizeof *rows->looked);
    mark(rows, trainer->inputs, trainer->count);
    mark(rows, trainer->targets, trainer->count);
    mark(rows, trainer->drawn, draws * trainer->negatives);
    list(rows, items);
    memset(rows->first, 0xff, rows->count * sizeof *rows->first); /* FORAGE_NONE */
    for (size_t i = trainer->count; i-- > 0;) {
        size_t place = place_of(rows, trainer->inputs[i]);
        rows->next[i] = rows->first[place];
        rows->first[place] = (uint32_t)i;
    }
    for (size_t r = 0; !rows->put_off && r < rows->count; r++)
        fetch_row(trainer->state->pitch, trainer->state->table + rows->list[r] * trainer->state->pitch);
    if (rows->put_off && rows->kept > 0)
        forage_parallel_for(trainer->state->device->threads, (items + SASREC_ROWS - 1) / SASREC_ROWS, catch_up_chunk,
                            trainer);
}

static void settle_chunk(void *context, size_t chunk, int worker)
{
    const sasrec_trainer *trainer = context;
    size_t last = (chunk + 1) * SASREC_ROWS, items = trainer->state->items;
    (void)worker;
    for (size_t row = chunk * SASREC_ROWS; row < (last < items ? last : items); row++)
        catch_up(trainer, row);
}

void sasrec_trainer_settle(sasrec_trainer *trainer)
{
    sasrec_rows *rows = &trainer->rows;
    size_t items = trainer->state->items;
    if (rows->kept == 0)
        return;
    forage_parallel_for(trainer->state->device->threads, (items + SASREC_ROWS - 1) / SASREC_ROWS, settle_chunk,
                        trainer);
    memset(rows->had, 0, items * sizeof *rows->had);
    rows->kept = 0;
}

void sasrec_rows_moved(sasrec_trainer *trainer, const nn_adam_step *step)
{
    sasrec_rows *rows = &trainer->rows;
    if (rows->all || !rows->put_off)
        return;
    rows->steps[rows->kept++] = *step;
    for (size_t r = 0; r < rows->count; r++)
        rows->had[rows->list[r]] = (uint32_t)rows->kept;
    if (rows->kept == SASREC_STEPS_KEPT)
        sasrec_trainer_settle(trainer);
}
