/*
 * next_tiles.c: scores of a group of positions with all rows of a table, their losses and gradients.
 *
 * Items are rows, positions columns. A block of 64 items meets a tile of 64 positions:
 *
 *   scores = rows x outputs'           one product of the block with the transposed tile
 *   powers = 2^(scores / ln 2 + shift) in place, with their sums over the items
 *   parts += powers' x rows            the gradient in h, but for the factor that the whole sum gives
 *
 * and the powers are kept. The shift is minus the score of the position's target, so that sums are those of exp(z -
 * z_target); if a score is far above it (2^NEXT_MOST times), what its chunk of items has so far is scaled down and
 * the score itself becomes the shift. When all items are done every position's sum is known, and with it the factor
 * of each chunk: w = 2^(-shift) / sum. Then
 *
 *   gradient in the rows of a block += powers x (w h)
 *
 * is one long product for each block. Keeping the powers takes 4 / 5 of the time of computing scores and powers
 * again (bench_next, 900 x 54,542 x 64). Chunks are as many whatever the number of threads; their sums are added in
 * order. The logistic losses go the same way with sigma(score) for powers, softplus for the sums and one factor for
 * all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "nn/next_parts.h"

/* A score that adds nothing. */
static const float NOTHING = -1e30F;
static const double LN2 = 0.69314718055994530942;

static bool is_softmax(const nn_next *next)
{
    return next->full || next->spec.kind == NN_NEXT_SAMPLED;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static float *tile_of(const nn_next *next, size_t block, size_t tile)
{
    return next->powers + (block * next->tiles + tile) * NEXT_ROWS * NEXT_TILE;
}

/* ---- before ---- */

/* Outputs of a tile transposed, the scores of its targets and the first shift. */
static void prepare_tile(void *context, size_t tile, int worker)
{
    nn_next *next = context;
    size_t stride = next->stride;
    float *turned = next->turned + tile * NEXT_TILE * stride;
    (void)worker;
    for (size_t i = 0; i < NEXT_TILE; i++) {
        size_t in_group = tile * NEXT_TILE + i, p = next->first + in_group;
        float score = 0;
        if (p < next->count) {
            const float *h = next->h + p * stride;
            next->linear->dots(next->table, stride, &next->targets[p], 1, h, &score);
            if (next->log_q && !next->spec.target_as_is)
                score -= next->log_q[next->targets[p]];
            for (size_t j = 0; j < stride; j++)
                turned[j * NEXT_TILE + i] = h[j];
        } else {
            for (size_t j = 0; j < stride; j++)
                turned[j * NEXT_TILE + i] = 0;
        }
        next->target_scores[in_group] = score;
        for (size_t c = 0; c < next->grid.chunks; c++) {
            next->shift[c * next->group + in_group] = -(score * NEXT_LOG2E);
            next->sums[c * next->group + in_group] = 0;
        }
    }
}

/* ---- a block of items with a tile of positions ---- */

static void find_scores(const nn_next *next, size_t block, size_t tile, const float *rows, float *z)
{
    size_t from = block * NEXT_ROWS, count = least(next->grid.rows - from, NEXT_ROWS);
    la_gemm_run(&next->scores, rows, next->turned + tile * NEXT_TILE * next->stride, z);
    if (next->full)
        return;
    if (next->log_q) {
        for (size_t i = 0; i < count; i++) {
            for (size_t c = 0; c < NEXT_TILE; c++)
                z[i * NEXT_TILE + c] -= next->bias[from + i];
        }
    }
    /* What is the position's own target is none of its negatives. */
    size_t begin = next->first + tile * NEXT_TILE, end = least(begin + NEXT_TILE, next->count);
    for (size_t p = begin; p < end; p++) {
        for (uint32_t j = next->slots[next->targets[p]]; j != FORAGE_NONE; j = next->chain[j]) {
            if (j >= from && j < from + count)
                z[(j - from) * NEXT_TILE + p - begin] = NOTHING;
        }
    }
}

/* Shifts columns of these scores whose powers went too far so that the greatest becomes 1, and scales what the chunk
 * has of them so far. */
static void shift_down(const nn_next *next, size_t chunk, size_t block, size_t tile, const float *z, const float *sums)
{
    size_t count = least(next->grid.rows - block * NEXT_ROWS, NEXT_ROWS), stride = next->stride;
    for (size_t c = 0; c < NEXT_TILE; c++) {
        size_t at = chunk * next->group + tile * NEXT_TILE + c;
        float most = z[c];
        if (sums[c] < NEXT_FAR)
            continue;
        for (size_t i = 1; i < count; i++)
            most = z[i * NEXT_TILE + c] > most ? z[i * NEXT_TILE + c] : most;
        float by = exp2f(-(most * NEXT_LOG2E) - next->shift[at]);
        next->shift[at] = -(most * NEXT_LOG2E);
        next->sums[at] *= (double)by;
        if (!next->gradients)
            continue;
        for (size_t j = 0; j < stride; j++)
            next->parts[at * stride + j] *= by;
        for (size_t b = chunk * next->grid.each; b < block; b++) {
            float *before = tile_of(next, b, tile) + c;
            for (size_t i = 0; i < NEXT_ROWS; i++)
                before[i * NEXT_TILE] *= by;
        }
    }
}

static void do_tile(const nn_next *next, size_t chunk, size_t block, size_t tile, const float *rows, float *z)
{
    size_t count = least(next->grid.rows - block * NEXT_ROWS, NEXT_ROWS), stride = next->stride;
    size_t at = chunk * next->group + tile * NEXT_TILE;
    float sums[NEXT_TILE];
    find_scores(next, block, tile, rows, z);
    if (is_softmax(next)) {
        bool far = false;
        next->kernels->powers(count, NEXT_MOST, next->shift + at, z, sums);
        for (size_t c = 0; c < NEXT_TILE; c++)
            far |= sums[c] >= NEXT_FAR;
        if (far) {
            find_scores(next, block, tile, rows, z);
            shift_down(next, chunk, block, tile, z, sums);
            next->kernels->powers(count, NEXT_MOST, next->shift + at, z, sums);
        }
    } else {
        next->kernels->logistic(count, NEXT_TILE, z, sums);
    }
    for (size_t c = 0; c < NEXT_TILE; c++)
        next->sums[at + c] += (double)sums[c];
    if (!next->gradients)
        return;
    memset(z + count * NEXT_TILE, 0, (NEXT_ROWS - count) * NEXT_TILE * sizeof *z);
    la_gemm_run(&next->to_h, z, rows, next->parts + at * stride);
}

/* A chunk of items with a slab of positions. */
static void do_piece(void *context, size_t piece, int worker)
{
    nn_next *next = context;
    size_t stride = next->stride, chunk = piece % next->grid.chunks, slab = piece / next->grid.chunks * NEXT_SLAB;
    size_t end = least((chunk + 1) * next->grid.each, next->grid.blocks);
    size_t last = least(slab + NEXT_SLAB, next->tiles);
    float *scratch = next->scratch + (size_t)worker * NEXT_ROWS * (stride + NEXT_TILE);
    double check = 0;
    if (next->gradients)
        memset(next->parts + (chunk * next->group + slab * NEXT_TILE) * stride, 0,
               (last - slab) * NEXT_TILE * stride * sizeof *next->parts);
    for (size_t block = chunk * next->grid.each; block < end; block++) {
        bool whole = (block + 1) * NEXT_ROWS <= next->grid.rows;
        const float *rows = whole ? next->rows + block * NEXT_ROWS * stride : next->tail;
        if (slab == 0)
            check += (double)next->kernels->squares(NEXT_ROWS * stride, rows);
        for (size_t tile = slab; tile < last; tile++)
            do_tile(next, chunk, block, tile, rows, next->gradients ? tile_of(next, block, tile) : scratch);
    }
    if (slab == 0)
        next->checks[chunk] = check;
}

/* ---- when every sum is known ---- */

/* The loss of a position; weights[chunks] of its chunks' powers in the gradient, *pull the slope in its target's
 * score. */
static double finish_softmax(const nn_next *next, size_t in_group, double *weights, double *pull)
{
    double own = (double)next->target_scores[in_group] * (double)NEXT_LOG2E, top = next->full ? -INFINITY : own,
           total = 0;
    for (size_t c = 0; c < next->grid.chunks; c++)
        top = fmax(top, -(double)next->shift[c * next->group + in_group]);
    for (size_t c = 0; c < next->grid.chunks; c++) {
        weights[c] = exp2(-(double)next->shift[c * next->group + in_group] - top);
        total += next->sums[c * next->group + in_group] * weights[c];
    }
    double alone = next->full ? 0 : exp2(own - top);
    total += alone;
    for (size_t c = 0; c < next->grid.chunks; c++)
        weights[c] /= total * (double)next->count;
    *pull = (alone / total - 1) / (double)next->count;
    return log(total) + (top - own) * LN2;
}

static double finish_logistic(const nn_next *next, size_t in_group, double *weights, double *pull)
{
    double z = (double)next->target_scores[in_group], beta = next_beta(next);
    double each = 1 / (double)(next->negatives->count + 1), total = beta * next_softplus(-z);
    for (size_t c = 0; c < next->grid.chunks; c++) {
        total += next->sums[c * next->group + in_group];
        weights[c] = each / (double)next->count;
    }
    *pull = -beta * each / (1 + exp(z)) / (double)next->count;
    return total * each;
}

static void finish_tile(void *context, size_t tile, int worker)
{
    nn_next *next = context;
    size_t stride = next->stride, begin = tile * NEXT_TILE;
    (void)worker;
    for (size_t at = begin; at < begin + NEXT_TILE; at++) {
        size_t p = next->first + at;
        double weights[NEXT_CHUNKS] = {0}, pull = 0;
        if (p >= next->count) {
            for (size_t c = 0; next->gradients && c < next->grid.chunks; c++)
                memset(next->parts + (c * next->group + at) * stride, 0, stride * sizeof *next->parts);
            continue;
        }
        const float *h = next->h + p * stride, *target = next->table + next->targets[p] * stride;
        double loss =
            is_softmax(next) ? finish_softmax(next, at, weights, &pull) : finish_logistic(next, at, weights, &pull);
        double check = (double)next->kernels->squares(stride, h) + (double)next->kernels->squares(stride, target);
        next->losses[p] = isfinite(check) ? loss : (double)NAN;
        if (!next->gradients)
            continue;
        float *d_h = next->d_h + p * stride;
        next->pull[p] = (float)pull;
        for (size_t j = 0; j < stride; j++)
            d_h[j] = next->pull[p] * target[j];
        for (size_t c = 0; c < next->grid.chunks; c++) {
            float *part = next->parts + (c * next->group + at) * stride, weight = (float)weights[c];
            for (size_t j = 0; j < stride; j++) {
                d_h[j] += weight * part[j];
                part[j] = weight * h[j];
            }
        }
        if (!isfinite(next->kernels->squares(stride, d_h)))
            next->losses[p] = (double)NAN;
    }
}

/* Powers come from far away, and page by page, which hides them from the processor's own foresight. (No address is
 * wrong for that.) */
static inline void fetch(const float *from, size_t count)
{
    for (size_t i = 0; i < count; i += 16)
        __builtin_prefetch(from + i, 0, 2);
}

static void do_rows(void *context, size_t block, int worker)
{
    const nn_next *next = context;
    size_t stride = next->stride, chunk = block / next->grid.each;
    size_t count = least(next->grid.rows - block * NEXT_ROWS, NEXT_ROWS);
    float *out = next->d_rows + block * NEXT_ROWS * stride, *to = out;
    if (count < NEXT_ROWS) {
        to = next->scratch + (size_t)worker * NEXT_ROWS * (stride + NEXT_TILE);
        memset(to, 0, NEXT_ROWS * stride * sizeof *to);
    }
    for (size_t tile = 0; tile < next->tiles; tile++) {
        const float *powers = tile_of(next, block, tile);
        const float *parts = next->parts + (chunk * next->group + tile * NEXT_TILE) * stride;
        for (size_t i = 0; i < NEXT_ROWS; i += next->strip, powers += next->strip * NEXT_TILE) {
            if (next->strip < NEXT_ROWS)
                fetch(powers + NEXT_ROWS * NEXT_TILE, next->strip * NEXT_TILE);
            la_gemm_run(&next->to_rows, powers, parts, to + i * stride);
        }
    }
    for (size_t j = 0; to != out && j < count * stride; j++)
        out[j] += to[j];
}

void next_tiles_run(nn_next *next)
{
    int threads = next->spec.threads;
    size_t stride = next->stride, left = next->grid.rows % NEXT_ROWS;
    size_t slabs = (next->tiles + NEXT_SLAB - 1) / NEXT_SLAB;
    if (left > 0) {
        memset(next->tail, 0, NEXT_ROWS * stride * sizeof *next->tail);
        memcpy(next->tail, next->rows + (next->grid.rows - left) * stride, left * stride * sizeof *next->tail);
    }
    forage_parallel_for(threads, next->tiles, prepare_tile, next);
    forage_parallel_for(threads, next->grid.chunks * slabs, do_piece, next);
    forage_parallel_for(threads, next->tiles, finish_tile, next);
    if (next->gradients)
        forage_parallel_for(threads, next->grid.blocks, do_rows, next);
}
