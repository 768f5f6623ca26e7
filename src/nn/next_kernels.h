/*
 * next_kernels.h: the loops of next.c that are not products, in one table per instruction set. All are the same C;
 * where the processor fuses a product and a sum they do, so that the tables differ by rounding.
 *
 * A tile holds the scores of some items (rows) for NEXT_TILE positions (columns), column by column independent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_NEXT_KERNELS_H
#define NN_NEXT_KERNELS_H

#include "forage/base.h"
#include "nn/kernels.h"

enum {
    NEXT_TILE = 64, /* positions of a tile */
    NEXT_ROWS = 64, /* items of a tile at most */
};

/* Powers of 2 are held to this range: 2^-64 is nothing beside 1, and 2^32 of the greatest are no float's end. */
#define NEXT_LEAST (-64.0F)
#define NEXT_MOST 60.0F
#define NEXT_FAR 0x1p60F

#define NEXT_LOG2E 1.44269504F

typedef struct next_kernels {
    /* z = 2^y with y = z log2(e) + shift of the column, y held between NEXT_LEAST and `most` (where NaN goes, too), at
     * most NEXT_MOST; sums[NEXT_TILE] = sums over the rows: 2^most or more if a y was beyond it, or was none. (With a
     * constant for `most` gcc makes comparisons and masks of what should be a minimum and a maximum.) */
    void (*powers)(size_t rows, float most, const float *shift, float *z, float *sums);
    /* z = sigma(z), sums[columns] = sums over the rows (at most NEXT_ROWS) of softplus(z); columns is a multiple of
     * NN_LANES, at most NEXT_TILE. */
    void (*logistic)(size_t rows, size_t columns, float *z, float *sums);
    /* out [stride] += sum over i of by[i] times row index[i] of `rows`, in order. */
    void (*combine)(size_t count, const uint32_t *index, const float *by, size_t stride, const float *rows, float *out);
    /* The sum of squares: not finite if one of the numbers is not. `count` is a multiple of NN_LANES. */
    float (*squares)(size_t count, const float *x);
} next_kernels;

/* The table for `isa` (never NULL). */
const next_kernels *next_kernels_for(forage_isa isa);

#endif
