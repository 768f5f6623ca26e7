/*
 * epoch.c: shuffle, sort within batches, copy (the reasons stand in epoch.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/epoch.h"

#include <string.h>

struct nn_epoch {
    const uint32_t *const *codes; /* the columns as they were given */
    const float *const *numbers;
    const float *reward;
    size_t tables, number_count, count, batch;
    int threads;
    uint32_t sort_rows; /* of the table that batches are sorted by; 0: of none */
    uint32_t *order;    /* [count] */
    uint32_t *keys;     /* [threads][batch][4]: keys and rows, twice */
    uint32_t **drawn_codes;
    float **drawn_numbers;
    float *drawn_reward;
};

void nn_epoch_free(nn_epoch *epoch)
{
    if (!epoch)
        return;
    for (size_t t = 0; epoch->drawn_codes && t < epoch->tables; t++)
        forage_free(epoch->drawn_codes[t]);
    for (size_t n = 0; epoch->drawn_numbers && n < epoch->number_count; n++)
        forage_free(epoch->drawn_numbers[n]);
    forage_free(epoch->drawn_codes);
    forage_free(epoch->drawn_numbers);
    forage_free(epoch->drawn_reward);
    forage_free(epoch->order);
    forage_free(epoch->keys);
    forage_free(epoch);
}

static bool allocate(nn_epoch *epoch)
{
    epoch->order = forage_alloc(epoch->count, sizeof *epoch->order);
    epoch->keys = forage_alloc((size_t)epoch->threads * 4, epoch->batch * sizeof *epoch->keys);
    epoch->drawn_codes = forage_calloc(epoch->tables + 1, sizeof *epoch->drawn_codes);
    epoch->drawn_numbers = forage_calloc(epoch->number_count + 1, sizeof *epoch->drawn_numbers);
    if (!epoch->order || !epoch->keys || !epoch->drawn_codes || !epoch->drawn_numbers)
        return false;
    for (size_t t = 0; t < epoch->tables; t++) {
        epoch->drawn_codes[t] = forage_alloc(epoch->count, sizeof **epoch->drawn_codes);
        if (!epoch->drawn_codes[t])
            return false;
    }
    for (size_t n = 0; n < epoch->number_count; n++) {
        epoch->drawn_numbers[n] = forage_alloc(epoch->count, sizeof **epoch->drawn_numbers);
        if (!epoch->drawn_numbers[n])
            return false;
    }
    if (epoch->reward)
        epoch->drawn_reward = forage_alloc(epoch->count, sizeof *epoch->drawn_reward);
    return !epoch->reward || epoch->drawn_reward;
}

forage_status nn_epoch_create(const nn_mlp *mlp, const nn_inputs *columns, const float *reward, size_t count,
                              size_t batch, int threads, nn_epoch **epoch, forage_error *error)
{
    *epoch = NULL;
    nn_epoch *made = forage_calloc(1, sizeof *made);
    if (made) {
        *made = (nn_epoch){.codes = columns->codes,
                           .numbers = columns->numbers,
                           .reward = reward,
                           .tables = mlp->table_count,
                           .number_count = mlp->number_count,
                           .count = count,
                           .batch = batch < count ? batch : count,
                           .threads = threads,
                           .sort_rows = mlp->table_count ? (uint32_t)mlp->tables[0].rows : 0};
        if (made->batch == 0)
            made->batch = 1;
    }
    if (!made || !allocate(made)) {
        nn_epoch_free(made);
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for an epoch of %zu rows", count);
    }
    *epoch = made;
    return FORAGE_OK;
}

/* Sorts `rows` by the first table's code, rows of equal codes in the order they have, and leaves the codes in `sorted`:
 * radix sort in as few passes as digits of at most DIGIT_BITS allow, from the lowest. `keys` has room for 4 x count. */
static void sort_batch(const nn_epoch *epoch, uint32_t *rows, size_t count, uint32_t *keys, uint32_t *sorted)
{
    enum { DIGIT_BITS = 11 };
    uint32_t *key = keys, *row = keys + count, *next_key = keys + 2 * count, *next_row = keys + 3 * count;
    const uint32_t *codes = epoch->codes[0];
    for (size_t i = 0; i < count; i++) {
        key[i] = codes[rows[i]] < epoch->sort_rows ? codes[rows[i]] : epoch->sort_rows;
        row[i] = rows[i];
    }
    unsigned bits = 32U - (unsigned)__builtin_clz(epoch->sort_rows), passes = (bits + DIGIT_BITS - 1) / DIGIT_BITS;
    unsigned digit = (bits + passes - 1) / passes;
    uint32_t mask = (1U << digit) - 1U;
    for (unsigned shift = 0; shift < bits; shift += digit) {
        uint32_t start[(1 << DIGIT_BITS) + 1];
        memset(start, 0, (mask + 2) * sizeof *start);
        for (size_t i = 0; i < count; i++)
            start[(key[i] >> shift & mask) + 1]++;
        for (size_t b = 0; b < mask; b++)
            start[b + 1] += start[b];
        for (size_t i = 0; i < count; i++) {
            uint32_t at = start[key[i] >> shift & mask]++;
            next_key[at] = key[i];
            next_row[at] = row[i];
        }
        uint32_t *swap = key;
        key = next_key;
        next_key = swap;
        swap = row;
        row = next_row;
        next_row = swap;
    }
    memcpy(rows, row, count * sizeof *rows);
    memcpy(sorted, key, count * sizeof *sorted);
}

/* Work item: one batch. */
static void draw_batch(void *context, size_t batch, int worker)
{
    nn_epoch *epoch = context;
    size_t begin = batch * epoch->batch, left = epoch->count - begin;
    size_t count = left < epoch->batch ? left : epoch->batch;
    uint32_t *rows = epoch->order + begin;
    if (epoch->sort_rows)
        sort_batch(epoch, rows, count, epoch->keys + (size_t)worker * 4 * epoch->batch, epoch->drawn_codes[0] + begin);
    for (size_t t = epoch->sort_rows ? 1 : 0; t < epoch->tables; t++) {
        for (size_t i = 0; i < count; i++)
            epoch->drawn_codes[t][begin + i] = epoch->codes[t][rows[i]];
    }
    for (size_t n = 0; n < epoch->number_count; n++) {
        for (size_t i = 0; i < count; i++)
            epoch->drawn_numbers[n][begin + i] = epoch->numbers[n][rows[i]];
    }
    for (size_t i = 0; epoch->reward && i < count; i++)
        epoch->drawn_reward[begin + i] = epoch->reward[rows[i]];
}

void nn_epoch_draw(nn_epoch *epoch, forage_rng *rng)
{
    for (size_t i = 0; i < epoch->count; i++)
        epoch->order[i] = (uint32_t)i;
    for (size_t i = epoch->count; i-- > 1;) { /* Fisher and Yates 1938, as Durstenfeld 1964 puts it */
        size_t other = (size_t)forage_rng_integers(rng, i + 1);
        uint32_t kept = epoch->order[i];
        epoch->order[i] = epoch->order[other];
        epoch->order[other] = kept;
    }
    forage_parallel_for(epoch->threads, nn_epoch_batches(epoch), draw_batch, epoch);
}

size_t nn_epoch_batches(const nn_epoch *epoch)
{
    return (epoch->count + epoch->batch - 1) / epoch->batch;
}

nn_inputs nn_epoch_batch(const nn_epoch *epoch, size_t index, const float **reward)
{
    size_t begin = index * epoch->batch, left = epoch->count - begin;
    *reward = epoch->drawn_reward;
    return (nn_inputs){.codes = (const uint32_t *const *)epoch->drawn_codes,
                       .numbers = (const float *const *)epoch->drawn_numbers,
                       .first = begin,
                       .count = left < epoch->batch ? left : epoch->batch,
                       .sorted = epoch->sort_rows > 0};
}
