/*
 * next_parts.h: what the files of next.h share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_NEXT_PARTS_H
#define NN_NEXT_PARTS_H

#include "la/la.h"
#include "nn/next.h"
#include "nn/next_kernels.h"

enum {
    NEXT_CHUNKS = 16, /* parts that the items are cut into at most */
    NEXT_EACH = 8,    /* blocks of a chunk at least */
    NEXT_SLAB = 4,    /* tiles of positions in one piece of work */
};

/* Items in blocks of NEXT_ROWS, blocks in chunks; the same for any number of threads. */
typedef struct next_grid {
    size_t rows, blocks;
    size_t each; /* blocks of a chunk */
    size_t chunks;
} next_grid;

static inline next_grid next_grid_of(size_t rows)
{
    next_grid grid = {.rows = rows, .blocks = (rows + NEXT_ROWS - 1) / NEXT_ROWS};
    grid.each = (grid.blocks + NEXT_CHUNKS - 1) / NEXT_CHUNKS;
    grid.each = grid.each < NEXT_EACH ? NEXT_EACH : grid.each;
    grid.chunks = (grid.blocks + grid.each - 1) / grid.each;
    return grid;
}

struct nn_next {
    nn_next_spec spec;
    const next_kernels *kernels;
    const la_kernels *linear;
    size_t stride, group; /* positions at a time, whole tiles */
    size_t strip;         /* rows of one product `to_rows`; below NEXT_ROWS: what comes next is fetched in between */
    la_gemm scores, to_h, to_rows;

    /* Of a group of positions. */
    float *turned;        /* [group / NEXT_TILE, stride, NEXT_TILE] outputs, transposed tile by tile; 0 beyond them */
    float *shift;         /* [NEXT_CHUNKS, group] what keeps a chunk's powers of 2 in range */
    double *sums;         /* [NEXT_CHUNKS, group] sums over a chunk's items */
    float *parts;         /* [NEXT_CHUNKS, group, stride] gradients in h of a chunk; then h times the weight of the */
                          /* chunk's powers */
    float *powers;        /* [blocks, group / NEXT_TILE, NEXT_ROWS, NEXT_TILE] */
    float *scratch;       /* [threads, NEXT_ROWS, stride + NEXT_TILE] */
    float *tail;          /* [NEXT_ROWS, stride] the last block, filled up with 0 */
    float *target_scores; /* [group] corrected, where they are */
    float *pull;          /* [positions] the loss's slope in the target's score */
    double *losses;       /* [positions] */
    double *checks;       /* [NEXT_CHUNKS] not finite where a number of a chunk's items is not */

    /* Of negatives that all positions share. */
    float *panel, *d_panel; /* [negatives, stride] their rows, and the gradient */
    float *bias;            /* [negatives] log q */
    uint32_t *chain;        /* [negatives] the next negative that is the same item */

    /* Of negatives of each position's own. */
    size_t pitch;      /* nn_padded(negatives + 1) */
    float *slopes;     /* [positions, pitch] the loss's slopes in the scores of target and negatives */
    size_t *starts;    /* [touched + 1] of a row's uses */
    uint32_t *uses;    /* [positions x (negatives + 1)] positions, row by row */
    float *use_slopes; /* beside them */

    uint32_t *slots;   /* [items] first negative that is the item, or its place in `touched`; else FORAGE_NONE */
    uint32_t *touched; /* [positions x (negatives + 1), items at most] */
    size_t touched_count;

    /* Of the call at hand. */
    size_t count, first, tiles; /* positions; the group's first and its tiles */
    bool gradients, full;       /* full: softmax over all items */
    next_grid grid;
    const float *h, *rows, *table; /* rows: the table or the panel */
    const float *log_q;            /* NULL: no correction */
    const uint32_t *targets;
    const nn_next_negatives *negatives;
    float *d_h, *d_rows, *d_table;
};

/* Scores, losses and gradients of the group's positions with all rows of the grid. */
void next_tiles_run(nn_next *next);
/* The sum of the losses, where positions have their own negatives: all of it, or what is left when positions are done.
 */
double next_own_run(nn_next *next);
double next_own_end(nn_next *next);
/* The weight of the positive's term. */
double next_beta(const nn_next *next);
/* log(1 + exp(z)) */
double next_softplus(double z);

#endif
