/*
 * inbatch.c: see inbatch.h.
 *
 * The cosines of 64 users with all items are one product; they become exponentials, then the gradient
 * of the loss in the cosines, in place; two more products carry that to the users and to the items. Users are
 * cut into at most 16 chunks, whatever the number of threads; each has a sum of its own for the items'
 * gradients, and the sums are added in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "la/la.h"
#include "nn/inbatch.h"
#include "nn/kernels.h"

enum {
    TILE = 64, /* users per product */
    CHUNKS = 16,
    ADD_ROWS = 64, /* items whose sums one thread adds at a time */
};

struct nn_inbatch {
    nn_inbatch_spec spec;
    const nn_kernels *kernels;
    size_t padded;     /* batch, rounded up to whole tiles */
    size_t chunk_rows; /* users of a chunk, whole tiles */
    size_t chunks;
    la_gemm cosines, to_users, to_items;
    float *users, *items;               /* [padded, width] of length 1 */
    float *turned;                      /* [width, padded]: items transposed */
    float *user_lengths, *item_lengths; /* [padded] 1 / length, 0 for a vector of length 0 */
    float *sums;                        /* [chunks, padded, width] gradients of the items */
    float *tiles;                       /* [threads, TILE, padded + width] */
    double *losses;                     /* [chunks] */

    /* Of the call at hand. */
    size_t count;
    const float *in_users, *in_items;
    float *d_users, *d_items;
};

static void shape_of(const nn_inbatch_spec *spec, size_t *padded, size_t *chunk_rows, size_t *chunks)
{
    size_t tiles = (spec->batch + TILE - 1) / TILE, each = (tiles + CHUNKS - 1) / CHUNKS;
    *padded = tiles * TILE;
    *chunk_rows = each * TILE;
    *chunks = (tiles + each - 1) / each;
}

double nn_inbatch_memory(const nn_inbatch_spec *spec)
{
    size_t padded, rows, chunks;
    shape_of(spec, &padded, &rows, &chunks);
    return 4.0 * (double)padded * ((double)spec->width * (double)(3 + chunks) + TILE * (double)spec->threads + 2);
}

void nn_inbatch_free(nn_inbatch *loss)
{
    if (!loss)
        return;
    forage_free(loss->users);
    forage_free(loss->items);
    forage_free(loss->turned);
    forage_free(loss->user_lengths);
    forage_free(loss->item_lengths);
    forage_free(loss->sums);
    forage_free(loss->tiles);
    forage_free(loss->losses);
    forage_free(loss);
}

forage_status nn_inbatch_create(const nn_inbatch_spec *spec, nn_inbatch **loss, forage_error *error)
{
    nn_inbatch *made = forage_calloc(1, sizeof *made);
    *loss = NULL;
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a loss");
    made->spec = *spec;
    made->kernels = nn_kernels_for(spec->isa);
    shape_of(spec, &made->padded, &made->chunk_rows, &made->chunks);
    size_t n = made->padded, width = spec->width;
    made->users = forage_calloc(n, width * sizeof *made->users);
    made->items = forage_calloc(n, width * sizeof *made->items);
    made->turned = forage_calloc(n, width * sizeof *made->turned);
    made->user_lengths = forage_calloc(n, sizeof *made->user_lengths);
    made->item_lengths = forage_calloc(n, sizeof *made->item_lengths);
    made->sums = forage_calloc(made->chunks * n, width * sizeof *made->sums);
    made->tiles = forage_calloc((size_t)spec->threads * TILE, (n + width) * sizeof *made->tiles);
    made->losses = forage_calloc(made->chunks, sizeof *made->losses);
    if (!made->users || !made->items || !made->turned || !made->user_lengths || !made->item_lengths || !made->sums ||
        !made->tiles || !made->losses) {
        nn_inbatch_free(made);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the softmax over batches of %zu", spec->batch);
    }
    la_engine engine = la_engine_best(spec->isa);
    la_gemm_init(&made->cosines, engine, &(la_shape){.m = TILE, .n = n, .k = width, .lda = width, .ldb = n, .ldc = n});
    la_gemm_init(&made->to_users, engine,
                 &(la_shape){.m = TILE, .n = width, .k = n, .lda = n, .ldb = width, .ldc = width});
    la_gemm_init(&made->to_items, engine,
                 &(la_shape){.transpose = LA_TN,
                             .m = n,
                             .n = width,
                             .k = TILE,
                             .lda = n,
                             .ldb = width,
                             .ldc = width,
                             .accumulate = true});
    *loss = made;
    return FORAGE_OK;
}

static float dot(const float *a, const float *b, size_t width)
{
    float sum[NN_LANES] = {0};
    for (size_t j = 0; j < width; j += NN_LANES) {
        for (size_t l = 0; l < NN_LANES; l++)
            sum[l] += a[j + l] * b[j + l];
    }
    for (size_t half = NN_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++)
            sum[l] += sum[l + half];
    }
    return sum[0];
}

/* Rows of a tile to length 1; what is beyond the batch becomes 0. */
static void normalise(const nn_inbatch *loss, size_t first, const float *in, float *out, float *lengths)
{
    size_t width = loss->spec.width;
    for (size_t i = first; i < first + TILE; i++) {
        float square = i < loss->count ? dot(in + i * width, in + i * width, width) : 0.0F;
        lengths[i] = square > 1e-30F ? 1.0F / sqrtf(square) : 0.0F;
        if (!isfinite(square)) /* must not pass for nothing */
            lengths[i] = NAN;
        for (size_t j = 0; j < width; j++)
            out[i * width + j] = i < loss->count ? in[i * width + j] * lengths[i] : 0.0F;
    }
}

static void prepare_tile(void *context, size_t tile, int worker)
{
    nn_inbatch *loss = context;
    size_t width = loss->spec.width, n = loss->padded, first = tile * TILE;
    (void)worker;
    normalise(loss, first, loss->in_users, loss->users, loss->user_lengths);
    normalise(loss, first, loss->in_items, loss->items, loss->item_lengths);
    for (size_t j = 0; j < width; j++) {
        for (size_t i = first; i < first + TILE; i++)
            loss->turned[j * n + i] = loss->items[i * width + j];
    }
}

/* A cosine that adds nothing to a sum of exponentials. */
static const float NOTHING = -1e4F;
/* Up to this 1 / temperature no exponential of a cosine less 1 comes near the least that the kernel tells from 0. */
static const float STEEP = 20;

/* Moves cosines so that the largest becomes 1; returns what it was. */
static float raise_to_1(size_t count, float *z)
{
    float most[NN_LANES], top;
    memcpy(most, z, sizeof most);
    for (size_t j = NN_LANES; j < count; j += NN_LANES) {
        for (size_t l = 0; l < NN_LANES; l++)
            most[l] = z[j + l] > most[l] ? z[j + l] : most[l];
    }
    top = most[0];
    for (size_t l = 1; l < NN_LANES; l++)
        top = most[l] > top ? most[l] : top;
    for (size_t j = 0; j < count; j++)
        z[j] += 1.0F - top;
    return top;
}

/* Cosines of user b with all items to the gradient of the mean loss in them; returns the user's loss. */
static double row(const nn_inbatch *loss, size_t b, float *z)
{
    const nn_inbatch_spec *spec = &loss->spec;
    float scale = 1.0F / spec->temperature, own = z[b], each = 1.0F / (float)loss->count;
    size_t lanes = nn_padded(loss->count);
    if (!spec->with_positive)
        z[b] = NOTHING;
    for (size_t j = loss->count; j < lanes; j++)
        z[j] = NOTHING;
    float top = scale > STEEP ? raise_to_1(lanes, z) : 1.0F;
    float sum = loss->kernels->exp_cosine(lanes, scale, z);
    bool any = spec->with_positive || loss->count > 1;
    loss->kernels->scale(lanes, any ? spec->exponent * scale * each / sum : 0.0F, z);
    memset(z + loss->count, 0, (loss->padded - loss->count) * sizeof *z);
    z[b] = (spec->with_positive ? z[b] : 0.0F) - scale * each;
    return (double)((any ? spec->exponent * (scale * top + logf(sum)) : 0.0F) - own * scale);
}

/* d = (g - <g, x> x) / length for x of length 1. */
static void through_length(const float *g, const float *x, float inverse, size_t width, float *d)
{
    float along = dot(g, x, width);
    for (size_t j = 0; j < width; j++)
        d[j] = (g[j] - along * x[j]) * inverse;
}

static void do_chunk(void *context, size_t chunk, int worker)
{
    nn_inbatch *loss = context;
    size_t width = loss->spec.width, n = loss->padded;
    float *z = loss->tiles + (size_t)worker * TILE * (n + width), *tile = z + TILE * n;
    float *sums = loss->sums + chunk * n * width, *users = loss->users;
    double total = 0;
    memset(sums, 0, n * width * sizeof *sums);
    for (size_t first = chunk * loss->chunk_rows; first < (chunk + 1) * loss->chunk_rows && first < loss->count;
         first += TILE) {
        size_t rows = loss->count - first < TILE ? loss->count - first : TILE;
        la_gemm_run(&loss->cosines, users + first * width, loss->turned, z);
        for (size_t i = 0; i < rows; i++)
            total += row(loss, first + i, z + i * n);
        memset(z + rows * n, 0, (TILE - rows) * n * sizeof *z);
        la_gemm_run(&loss->to_users, z, loss->items, tile);
        la_gemm_run(&loss->to_items, z, users + first * width, sums);
        for (size_t i = 0; i < rows; i++)
            through_length(tile + i * width, users + (first + i) * width, loss->user_lengths[first + i], width,
                           loss->d_users + (first + i) * width);
    }
    loss->losses[chunk] = total;
}

static void add_sums(void *context, size_t chunk, int worker)
{
    nn_inbatch *loss = context;
    size_t width = loss->spec.width, n = loss->padded, first = chunk * ADD_ROWS;
    size_t rows = loss->count - first < ADD_ROWS ? loss->count - first : ADD_ROWS;
    float *sums = loss->sums + first * width;
    (void)worker;
    for (size_t c = 1; c < loss->chunks && c * loss->chunk_rows < loss->count; c++)
        loss->kernels->add(rows * width, sums + c * n * width, sums);
    for (size_t i = 0; i < rows; i++)
        through_length(sums + i * width, loss->items + (first + i) * width, loss->item_lengths[first + i], width,
                       loss->d_items + (first + i) * width);
}

double nn_inbatch_run(nn_inbatch *loss, size_t count, const float *users, const float *items, float *d_users,
                      float *d_items)
{
    int threads = loss->spec.threads;
    size_t chunks = (count + loss->chunk_rows - 1) / loss->chunk_rows;
    double total = 0;
    loss->count = count;
    loss->in_users = users;
    loss->in_items = items;
    loss->d_users = d_users;
    loss->d_items = d_items;
    forage_parallel_for(threads, loss->padded / TILE, prepare_tile, loss);
    forage_parallel_for(threads, chunks, do_chunk, loss);
    forage_parallel_for(threads, (count + ADD_ROWS - 1) / ADD_ROWS, add_sums, loss);
    for (size_t c = 0; c < chunks; c++)
        total += loss->losses[c];
    return total / (double)count;
}
