/*
 * next_own.c: logistic losses of positions that have negatives of their own.
 *
 * A position's scores are products of its output with a few rows of the table: too few for a matrix product. The rows'
 * gradients are gathered by row: each row's uses stand together, in the order of positions, so that one thread adds
 * them up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "nn/next_parts.h"

enum {
    PIECE = 16,      /* positions that one thread takes at a time */
    ROWS_PIECE = 64, /* touched rows */
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Scores, loss and gradient of a position; its slopes are those of the target, then of the negatives. */
static double position(const nn_next *next, size_t p)
{
    size_t stride = next->stride, count = next->negatives->count, pitch = nn_padded(count + 1);
    const uint32_t *negatives = next->negatives->items + p * count;
    const float *h = next->h + p * stride, *target = next->table + next->targets[p] * stride;
    float *z = next->slopes + p * next->pitch, *d_h = next->d_h + p * stride, sums[NN_LANES];
    double each = 1 / (double)(count + 1), beta = next_beta(next), own, total, check = 0;
    next->linear->dots(next->table, stride, &next->targets[p], 1, h, &z[0]);
    next->linear->dots(next->table, stride, negatives, count, h, z + 1);
    own = (double)z[0];
    total = beta * next_softplus(-own);
    for (size_t i = 1; i <= count; i++) {
        check += (double)z[i] * 0;
        if (negatives[i - 1] == next->targets[p])
            z[i] = -INFINITY;
    }
    z[0] = -INFINITY;
    for (size_t i = count + 1; i < pitch; i++)
        z[i] = -INFINITY;
    for (size_t i = 0; i < pitch; i += NEXT_ROWS * NN_LANES) {
        next->kernels->logistic(least(pitch - i, NEXT_ROWS * NN_LANES) / NN_LANES, NN_LANES, z + i, sums);
        for (size_t l = 0; l < NN_LANES; l++)
            total += (double)sums[l];
    }
    z[0] = (float)(-beta / (1 + exp(own)));
    for (size_t i = 0; i <= count; i++)
        z[i] *= (float)(each / (double)next->count);
    for (size_t j = 0; j < stride; j++)
        d_h[j] = z[0] * target[j];
    next->kernels->combine(count, negatives, z + 1, stride, next->table, d_h);
    check += (double)next->kernels->squares(stride, h) * 0 + (double)next->kernels->squares(stride, d_h) * 0 + own * 0;
    return total * each + check;
}

void nn_next_positions(nn_next *next, size_t first, size_t count)
{
    for (size_t p = first; p < first + count; p++)
        next->losses[p] = position(next, p);
}

static void do_positions(void *context, size_t piece, int worker)
{
    nn_next *next = context;
    (void)worker;
    nn_next_positions(next, piece * PIECE, least(next->count - piece * PIECE, PIECE));
}

static void do_rows(void *context, size_t piece, int worker)
{
    const nn_next *next = context;
    (void)worker;
    for (size_t r = piece * ROWS_PIECE; r < least((piece + 1) * ROWS_PIECE, next->touched_count); r++)
        next->kernels->combine(next->starts[r + 1] - next->starts[r], next->uses + next->starts[r],
                               next->use_slopes + next->starts[r], next->stride, next->h,
                               next->d_table + next->touched[r] * next->stride);
}

/* Counts a use of `item`, which begins the list where it is new. */
static void count_use(nn_next *next, uint32_t item)
{
    if (next->slots[item] == FORAGE_NONE) {
        next->slots[item] = (uint32_t)next->touched_count;
        next->touched[next->touched_count++] = item;
        next->starts[next->touched_count] = 0;
    }
    next->starts[next->slots[item] + 1]++;
}

static void put_use(const nn_next *next, uint32_t item, size_t p, float slope)
{
    size_t at = next->starts[next->slots[item]]++;
    next->uses[at] = (uint32_t)p;
    next->use_slopes[at] = slope;
}

/* Which rows are used by which positions. */
static void sort_uses(nn_next *next)
{
    size_t count = next->negatives->count;
    const uint32_t *negatives = next->negatives->items;
    next->touched_count = 0;
    for (size_t p = 0; p < next->count; p++) {
        count_use(next, next->targets[p]);
        for (size_t i = 0; i < count; i++)
            count_use(next, negatives[p * count + i]);
    }
    next->starts[0] = 0;
    for (size_t r = 0; r < next->touched_count; r++)
        next->starts[r + 1] += next->starts[r];
    for (size_t p = 0; p < next->count; p++) {
        const float *slopes = next->slopes + p * next->pitch;
        put_use(next, next->targets[p], p, slopes[0]);
        for (size_t i = 0; i < count; i++)
            put_use(next, negatives[p * count + i], p, slopes[1 + i]);
    }
    /* Each start has moved to the next one's place. */
    memmove(next->starts + 1, next->starts, next->touched_count * sizeof *next->starts);
    next->starts[0] = 0;
    for (size_t r = 0; r < next->touched_count; r++)
        next->slots[next->touched[r]] = FORAGE_NONE;
}

double next_own_run(nn_next *next)
{
    forage_parallel_for(next->spec.threads, (next->count + PIECE - 1) / PIECE, do_positions, next);
    return next_own_end(next);
}

double next_own_end(nn_next *next)
{
    double total = 0;
    sort_uses(next);
    forage_parallel_for(next->spec.threads, (next->touched_count + ROWS_PIECE - 1) / ROWS_PIECE, do_rows, next);
    for (size_t p = 0; p < next->count; p++)
        total += next->losses[p];
    return total;
}
