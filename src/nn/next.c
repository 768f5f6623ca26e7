/*
 * next.c: see next.h. Positions come in groups, for what is kept of a group grows with the number of items.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "nn/next_parts.h"

enum {
    GROUP = 512, /* positions */
    STRIP = 4,   /* rows of a product, between which as many cache lines are fetched as a core waits for at once */
};

static bool shared(const nn_next_spec *spec)
{
    return spec->kind != NN_NEXT_SOFTMAX && !spec->own;
}

static size_t group_of(const nn_next_spec *spec)
{
    size_t tiles = (spec->positions + NEXT_TILE - 1) / NEXT_TILE;
    return (tiles * NEXT_TILE < GROUP ? tiles * NEXT_TILE : GROUP);
}

/* Rows whose powers are kept. */
static size_t kept_rows(const nn_next_spec *spec)
{
    if (spec->kind == NN_NEXT_SOFTMAX)
        return spec->items;
    return spec->own ? 0 : spec->negatives;
}

/* Uses of rows by positions' own targets and negatives; 0 where the product is too large. */
static size_t uses_of(const nn_next_spec *spec)
{
    size_t uses = 0, each = spec->own ? spec->negatives + 1 : 1;
    if (spec->kind == NN_NEXT_SOFTMAX || __builtin_mul_overflow(spec->positions, each, &uses))
        return 0;
    return uses;
}

/* Rows that a step can touch. */
static size_t touched_of(const nn_next_spec *spec)
{
    size_t most = uses_of(spec) + (shared(spec) ? spec->negatives : 0);
    return most < spec->items ? most : spec->items;
}

double nn_next_memory(const nn_next_spec *spec)
{
    double stride = (double)nn_padded(spec->width), group = (double)group_of(spec), uses = (double)uses_of(spec);
    double chunks = NEXT_CHUNKS, rows = (double)next_grid_of(kept_rows(spec)).blocks * NEXT_ROWS;
    double bytes = group * (4 * stride + 12 * chunks + 4) + 12 * (double)spec->positions + 4 * rows * group +
                   4 * NEXT_ROWS * (stride + (double)spec->threads * (stride + NEXT_TILE));
    if (rows > 0)
        bytes += 4 * chunks * group * stride;
    if (spec->kind != NN_NEXT_SOFTMAX)
        bytes += 4 * (double)spec->items + 4 * (double)touched_of(spec);
    if (shared(spec))
        bytes += (double)spec->negatives * (8 * stride + 8);
    if (spec->kind != NN_NEXT_SOFTMAX && spec->own)
        bytes += 4 * (double)spec->positions * (double)nn_padded(spec->negatives + 1) + 8 * uses +
                 8 * ((double)touched_of(spec) + 1);
    return bytes;
}

void nn_next_free(nn_next *next)
{
    if (!next)
        return;
    forage_free(next->turned);
    forage_free(next->shift);
    forage_free(next->sums);
    forage_free(next->parts);
    forage_free(next->powers);
    forage_free(next->scratch);
    forage_free(next->tail);
    forage_free(next->target_scores);
    forage_free(next->pull);
    forage_free(next->losses);
    forage_free(next->checks);
    forage_free(next->panel);
    forage_free(next->d_panel);
    forage_free(next->bias);
    forage_free(next->chain);
    forage_free(next->slopes);
    forage_free(next->starts);
    forage_free(next->uses);
    forage_free(next->use_slopes);
    forage_free(next->slots);
    forage_free(next->touched);
    forage_free(next);
}

static bool take_tiles(nn_next *made)
{
    const nn_next_spec *spec = &made->spec;
    size_t stride = made->stride, group = made->group, blocks = next_grid_of(kept_rows(spec)).blocks;
    made->turned = forage_alloc(group, stride * sizeof *made->turned);
    made->shift = forage_alloc(NEXT_CHUNKS * group, sizeof *made->shift);
    made->sums = forage_alloc(NEXT_CHUNKS * group, sizeof *made->sums);
    made->scratch = forage_alloc((size_t)spec->threads * NEXT_ROWS, (stride + NEXT_TILE) * sizeof *made->scratch);
    made->tail = forage_alloc(NEXT_ROWS, stride * sizeof *made->tail);
    made->target_scores = forage_alloc(group, sizeof *made->target_scores);
    made->checks = forage_alloc(NEXT_CHUNKS, sizeof *made->checks);
    if (!made->turned || !made->shift || !made->sums || !made->scratch || !made->tail || !made->target_scores ||
        !made->checks)
        return false;
    if (blocks == 0)
        return true;
    made->parts = forage_alloc(NEXT_CHUNKS * group, stride * sizeof *made->parts);
    made->powers = forage_alloc(blocks, NEXT_ROWS * group * sizeof *made->powers);
    return made->parts && made->powers;
}

static bool take_negatives(nn_next *made)
{
    const nn_next_spec *spec = &made->spec;
    size_t stride = made->stride, negatives = spec->negatives;
    made->pull = forage_alloc(spec->positions, sizeof *made->pull);
    made->losses = forage_alloc(spec->positions, sizeof *made->losses);
    if (!made->pull || !made->losses)
        return false;
    if (spec->kind == NN_NEXT_SOFTMAX)
        return true;
    made->slots = forage_alloc(spec->items, sizeof *made->slots);
    made->touched = forage_alloc(touched_of(spec), sizeof *made->touched);
    if (!made->slots || !made->touched)
        return false;
    memset(made->slots, 0xff, spec->items * sizeof *made->slots); /* FORAGE_NONE */
    if (spec->own) {
        size_t uses = uses_of(spec);
        made->pitch = nn_padded(negatives + 1);
        made->slopes = uses ? forage_alloc(spec->positions, made->pitch * sizeof *made->slopes) : NULL;
        made->starts = forage_alloc(touched_of(spec) + 1, sizeof *made->starts);
        made->uses = uses ? forage_alloc(uses, sizeof *made->uses) : NULL;
        made->use_slopes = uses ? forage_alloc(uses, sizeof *made->use_slopes) : NULL;
        return made->slopes && made->starts && made->uses && made->use_slopes;
    }
    made->panel = forage_alloc(negatives, stride * sizeof *made->panel);
    made->d_panel = forage_alloc(negatives, stride * sizeof *made->d_panel);
    made->bias = forage_alloc(negatives, sizeof *made->bias);
    made->chain = forage_alloc(negatives, sizeof *made->chain);
    return made->panel && made->d_panel && made->bias && made->chain;
}

forage_status nn_next_create(const nn_next_spec *spec, nn_next **next, forage_error *error)
{
    nn_next *made = forage_calloc(1, sizeof *made);
    *next = NULL;
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a loss");
    made->spec = *spec;
    made->kernels = next_kernels_for(spec->isa);
    made->linear = la_kernels_for(spec->isa);
    made->stride = nn_padded(spec->width);
    made->group = group_of(spec);
    if (!take_tiles(made) || !take_negatives(made)) {
        nn_next_free(made);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the loss of %zu positions over %zu items",
                           spec->positions, spec->items);
    }
    la_engine engine = la_engine_best(spec->isa);
    size_t stride = made->stride;
    la_gemm_init(
        &made->scores, engine,
        &(la_shape){.m = NEXT_ROWS, .n = NEXT_TILE, .k = stride, .lda = stride, .ldb = NEXT_TILE, .ldc = NEXT_TILE});
    la_gemm_init(&made->to_h, engine,
                 &(la_shape){.transpose = LA_TN,
                             .m = NEXT_TILE,
                             .n = stride,
                             .k = NEXT_ROWS,
                             .lda = NEXT_TILE,
                             .ldb = stride,
                             .ldc = stride,
                             .accumulate = true});
    made->strip = engine == LA_XSMM ? STRIP : NEXT_ROWS; /* others are slow at so few rows */
    la_gemm_init(&made->to_rows, engine,
                 &(la_shape){.m = made->strip,
                             .n = stride,
                             .k = NEXT_TILE,
                             .lda = NEXT_TILE,
                             .ldb = stride,
                             .ldc = stride,
                             .accumulate = true});
    *next = made;
    return FORAGE_OK;
}

double next_softplus(double z)
{
    return fmax(z, 0) + log1p(exp(-fabs(z)));
}

double next_beta(const nn_next *next)
{
    double alpha = next->spec.items > 1 ? (double)next->negatives->count / (double)(next->spec.items - 1) : 1;
    if (next->spec.kind != NN_NEXT_GBCE)
        return 1;
    alpha = fmin(alpha, 1);
    return alpha * (next->spec.t * (1 - 1 / alpha) + 1 / alpha);
}

/* ---- negatives that all positions share ---- */

/* Their rows to the panel. */
static double gather(nn_next *next)
{
    const nn_next_negatives *negatives = next->negatives;
    size_t stride = next->stride, count = negatives->count;
    double check = 0;
    next->touched_count = 0;
    for (size_t j = count; j-- > 0;) {
        uint32_t item = negatives->items[j];
        if (next->slots[item] == FORAGE_NONE)
            next->touched[next->touched_count++] = item;
        next->chain[j] = next->slots[item];
        next->slots[item] = (uint32_t)j;
        memcpy(next->panel + j * stride, next->table + item * stride, stride * sizeof *next->panel);
        if (next->log_q) {
            next->bias[j] = next->log_q[item];
            check += (double)next->bias[j] * 0;
        }
    }
    memset(next->d_panel, 0, count * stride * sizeof *next->d_panel);
    return check;
}

/* The panel's gradient to the table's, and the targets'. */
static void scatter(nn_next *next)
{
    const nn_next_negatives *negatives = next->negatives;
    size_t stride = next->stride;
    for (size_t j = 0; j < negatives->count; j++) {
        float *to = next->d_table + negatives->items[j] * stride, *from = next->d_panel + j * stride;
        for (size_t i = 0; i < stride; i++)
            to[i] += from[i];
    }
    for (size_t p = 0; p < next->count; p++) {
        uint32_t item = next->targets[p];
        if (next->slots[item] == FORAGE_NONE) {
            next->touched[next->touched_count++] = item;
            next->slots[item] = 0; /* until the list is made */
        }
    }
    for (size_t i = 0; i < next->touched_count; i++)
        next->slots[next->touched[i]] = FORAGE_NONE;
}

static void add_targets(const nn_next *next)
{
    size_t stride = next->stride;
    for (size_t p = 0; p < next->count; p++) {
        float *to = next->d_table + next->targets[p] * stride;
        const float *h = next->h + p * stride;
        for (size_t j = 0; j < stride; j++)
            to[j] += next->pull[p] * h[j];
    }
}

/* ---- */

/* Group by group; the sum of the losses. */
static double run_groups(nn_next *next)
{
    double total = 0;
    for (next->first = 0; next->first < next->count; next->first += next->group) {
        size_t left = next->count - next->first;
        next->tiles = ((left < next->group ? left : next->group) + NEXT_TILE - 1) / NEXT_TILE;
        next_tiles_run(next);
    }
    for (size_t p = 0; p < next->count; p++)
        total += next->losses[p];
    for (size_t c = 0; c < next->grid.chunks; c++)
        total += next->checks[c] * 0; /* NaN if it is not finite */
    return total;
}

void nn_next_begin(nn_next *next, size_t count, const float *h, const uint32_t *targets,
                   const nn_next_negatives *negatives, const float *table, float *d_h, float *d_table)
{
    next->count = count;
    next->h = h;
    next->targets = targets;
    next->negatives = negatives;
    next->table = table;
    next->d_h = d_h;
    next->d_table = d_table;
    next->gradients = true;
    next->full = next->spec.kind == NN_NEXT_SOFTMAX;
    next->log_q = next->spec.kind == NN_NEXT_SAMPLED ? negatives->log_q : NULL;
}

double nn_next_end(nn_next *next)
{
    return next_own_end(next) / (double)next->count;
}

double nn_next_run(nn_next *next, size_t count, const float *h, const uint32_t *targets,
                   const nn_next_negatives *negatives, const float *table, float *d_h, float *d_table)
{
    double total;
    nn_next_begin(next, count, h, targets, negatives, table, d_h, d_table);
    if (next->full) {
        next->grid = next_grid_of(next->spec.items);
        next->rows = table;
        next->d_rows = d_table;
        total = run_groups(next);
        add_targets(next);
    } else if (next->spec.own) {
        total = next_own_run(next);
    } else {
        total = gather(next);
        next->grid = next_grid_of(negatives->count);
        next->rows = next->panel;
        next->d_rows = next->d_panel;
        total += run_groups(next);
        scatter(next);
        add_targets(next);
    }
    return total / (double)count;
}

const uint32_t *nn_next_touched(const nn_next *next, size_t *count)
{
    bool all = next->spec.kind == NN_NEXT_SOFTMAX;
    *count = all ? next->spec.items : next->touched_count;
    return all ? NULL : next->touched;
}

double nn_next_evaluate(nn_next *next, size_t count, const float *h, const uint32_t *targets, const float *table)
{
    double total = 0;
    next->gradients = false;
    next->full = true;
    next->log_q = NULL;
    next->grid = next_grid_of(next->spec.items);
    next->table = next->rows = table;
    for (size_t begin = 0; begin < count; begin += next->count) {
        next->count = count - begin < next->spec.positions ? count - begin : next->spec.positions;
        next->h = h + begin * next->stride;
        next->targets = targets + begin;
        total += run_groups(next);
    }
    return total / (double)count;
}
