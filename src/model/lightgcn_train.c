/*
 * lightgcn_train.c: one step of Adam on a batch of edges (u, i), with BPR of an item j each that u never chose:
 *
 *   bpr      softplus(<E_u, E_j> - <E_u, E_i>)                    (He et al. 2020, equation 15)
 *   softmax  over the batch's items, see nn/inbatch.h
 *   and      l2 / 2 (|E(0)_u|^2 + |E(0)_i|^2 + |E(0)_j|^2), all as means over the batch
 *
 * Only what a batch needs is computed. Forward, the last layer's rows are those of the batch (K - 1 products with
 * all rows and one with some); backward, the gradient g of E enters the first product as those few rows, by
 * Horner's rule: dE(0) = (g + A (g + A (...))) / (K + 1). The last product goes straight into Adam, chunk by chunk, so
 * that the gradient of all embeddings never stands in memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/lightgcn_train.h"

#include <math.h>
#include <string.h>

enum {
    BLOCK_ROWS = 64, /* of a chunk of the last product */
    PAIRS = 256,     /* of a chunk of BPR */
    USUAL_BATCH = 2048,
    SMALL_BATCH = 64,
    SMALL_STEPS = 128, /* of an epoch at least, where batches would not become too small */
};

/* ---- making ready ---- */

size_t lightgcn_batch_size(const model_state *state, size_t edges)
{
    size_t wanted = (size_t)forage_params_integer(state->params, "batch-size");
    if (wanted == 0) {
        wanted = edges / SMALL_STEPS / SMALL_BATCH * SMALL_BATCH;
        wanted = wanted < SMALL_BATCH ? SMALL_BATCH : wanted > USUAL_BATCH ? USUAL_BATCH : wanted;
    }
    return wanted < edges ? wanted : edges;
}

bool lightgcn_pairwise(const model_state *state)
{
    return strcmp(forage_params_text(state->params, "loss"), "bpr") == 0;
}

static nn_inbatch_spec softmax_spec(const model_state *state, size_t batch)
{
    bool bilateral = strcmp(forage_params_text(state->params, "loss"), "bsl") == 0;
    return (nn_inbatch_spec){
        .batch = batch,
        .width = state->pitch,
        .temperature = (float)forage_params_real(state->params, "temperature"),
        .exponent = bilateral ? (float)forage_params_real(state->params, "second-temperature") : 1,
        .with_positive = !bilateral,
        .isa = state->device->isa,
        .threads = state->device->threads,
    };
}

static size_t layer_count(const model_state *state)
{
    return state->layers > 2 ? 2 : state->layers > 1 ? 1 : 0;
}

double lightgcn_trainer_memory(const model_state *state, size_t batch)
{
    bool pairwise = lightgcn_pairwise(state);
    double row = (double)state->pitch * 4, tables = 2 + (double)layer_count(state);
    nn_inbatch_spec spec = softmax_spec(state, batch);
    return tables * (double)state->nodes * row + (pairwise ? 9.0 : 6.0) * (double)batch * row +
           (pairwise ? 0 : nn_inbatch_memory(&spec));
}

void lightgcn_trainer_free(lightgcn_trainer *trainer)
{
    if (!trainer)
        return;
    forage_free(trainer->mean);
    forage_free(trainer->square);
    forage_free(trainer->layers[0]);
    forage_free(trainer->layers[1]);
    nn_inbatch_free(trainer->softmax);
    forage_free(trainer->slots);
    forage_free(trainer->list);
    forage_free(trainer->times);
    forage_free(trainer->rows);
    forage_free(trainer->vectors);
    forage_free(trainer->gradients);
    forage_free(trainer->losses);
    forage_free(trainer->blocks);
    forage_free(trainer);
}

static bool allocate(lightgcn_trainer *trainer)
{
    const model_state *state = trainer->state;
    size_t row = state->pitch * sizeof(float), entries = trainer->parts * trainer->batch;
    trainer->mean = forage_calloc(state->nodes, row);
    trainer->square = forage_calloc(state->nodes, row);
    trainer->slots = forage_alloc(state->nodes, sizeof *trainer->slots);
    trainer->list = forage_alloc(entries, sizeof *trainer->list);
    trainer->times = forage_alloc(entries, sizeof *trainer->times);
    trainer->rows = forage_alloc(entries, row);
    trainer->vectors = forage_alloc(entries, row);
    trainer->gradients = forage_alloc(entries, row);
    trainer->losses = forage_alloc(trainer->batch / PAIRS + 1, sizeof *trainer->losses);
    trainer->blocks = forage_alloc((size_t)state->device->threads * BLOCK_ROWS, row);
    bool good = trainer->mean && trainer->square && trainer->slots && trainer->list && trainer->times &&
                trainer->rows && trainer->vectors && trainer->gradients && trainer->losses && trainer->blocks;
    for (size_t i = 0; good && i < layer_count(state); i++)
        good = (trainer->layers[i] = forage_alloc(state->nodes, row)) != NULL;
    if (good)
        memset(trainer->slots, 0xff, state->nodes * sizeof *trainer->slots);
    return good;
}

forage_status lightgcn_trainer_create(model_state *state, size_t batch, lightgcn_trainer **trainer, forage_error *error)
{
    const forage_params *values = state->params;
    lightgcn_trainer *made = forage_calloc(1, sizeof *made);
    forage_status status;
    *trainer = NULL;
    if (!made)
        return lightgcn_out_of_memory(state, error);
    *made = (lightgcn_trainer){
        .state = state,
        .kernels = nn_kernels_for(state->device->isa),
        .batch = batch,
        .parts = lightgcn_pairwise(state) ? 3 : 2,
        .l2 = forage_params_real(values, "l2"),
        .adam = {.beta1 = (float)forage_params_real(values, "beta1"),
                 .beta2 = (float)forage_params_real(values, "beta2"),
                 .epsilon = (float)forage_params_real(values, "epsilon"),
                 .shrink = 1},
    };
    status = allocate(made) ? FORAGE_OK : lightgcn_out_of_memory(state, error);
    if (status == FORAGE_OK && made->parts == 2) {
        nn_inbatch_spec spec = softmax_spec(state, batch);
        status = nn_inbatch_create(&spec, &made->softmax, error);
    }
    if (status == FORAGE_OK)
        *trainer = made;
    else
        lightgcn_trainer_free(made);
    return status;
}

/* ---- the batch ---- */

static void list_nodes(lightgcn_trainer *trainer)
{
    trainer->list_count = 0;
    for (size_t p = 0; p < trainer->parts; p++) {
        for (size_t b = 0; b < trainer->count; b++) {
            uint32_t node = trainer->nodes[p][b];
            if (trainer->slots[node] == FORAGE_NONE) {
                trainer->slots[node] = (uint32_t)trainer->list_count;
                trainer->times[trainer->list_count] = 0;
                trainer->list[trainer->list_count++] = node;
            }
            trainer->times[trainer->slots[node]]++;
        }
    }
}

static void unlist_nodes(lightgcn_trainer *trainer)
{
    for (size_t i = 0; i < trainer->list_count; i++)
        trainer->slots[trainer->list[i]] = FORAGE_NONE;
}

/* ---- forward ---- */

/* rows += (or =) those of the list from a table of all nodes. */
static void gather(const lightgcn_trainer *trainer, const float *table, bool first)
{
    size_t pitch = trainer->state->pitch;
    for (size_t i = 0; i < trainer->list_count; i++) {
        const float *row = table + trainer->list[i] * pitch;
        if (first)
            memcpy(trainer->rows + i * pitch, row, pitch * sizeof *row);
        else
            trainer->kernels->add(pitch, row, trainer->rows + i * pitch);
    }
}

static void forward(lightgcn_trainer *trainer)
{
    const model_state *state = trainer->state;
    const forage_device *device = state->device;
    const float *from = state->base;
    la_spmm task = {.matrix = lightgcn_matrix(state), .width = state->pitch, .scale = 1};
    gather(trainer, state->base, true);
    for (size_t k = 0; k + 1 < state->layers; k++) {
        task.in = from;
        task.out = trainer->layers[k % 2];
        la_spmm_run(&task, device->isa, device->threads);
        from = task.out;
        gather(trainer, from, false);
    }
    if (state->layers == 0)
        return;
    task.in = from;
    task.add = task.out = trainer->rows;
    task.list = trainer->list;
    task.list_count = trainer->list_count;
    task.scale = 1.0F / (float)(state->layers + 1);
    la_spmm_run(&task, device->isa, device->threads);
}

/* ---- the loss ---- */

/* Vectors of the edges' nodes. */
static void spread(lightgcn_trainer *trainer)
{
    size_t pitch = trainer->state->pitch;
    for (size_t p = 0; p < trainer->parts; p++) {
        for (size_t b = 0; b < trainer->count; b++) {
            size_t at = p * trainer->batch + b;
            memcpy(trainer->vectors + at * pitch, trainer->rows + trainer->slots[trainer->nodes[p][b]] * pitch,
                   pitch * sizeof *trainer->vectors);
        }
    }
}

/* The gradients of the edges' nodes to those of the list, divided by the number of tables that E is the mean of. */
static void collect(lightgcn_trainer *trainer)
{
    size_t pitch = trainer->state->pitch;
    memset(trainer->rows, 0, trainer->list_count * pitch * sizeof *trainer->rows);
    for (size_t p = 0; p < trainer->parts; p++) {
        for (size_t b = 0; b < trainer->count; b++) {
            size_t at = p * trainer->batch + b;
            trainer->kernels->add(pitch, trainer->gradients + at * pitch,
                                  trainer->rows + trainer->slots[trainer->nodes[p][b]] * pitch);
        }
    }
    trainer->kernels->scale(trainer->list_count * pitch, 1.0F / (float)(trainer->state->layers + 1), trainer->rows);
}

static float inner(const float *a, const float *b, size_t pitch)
{
    float sum[LA_LANES] = {0};
    for (size_t j = 0; j < pitch; j += LA_LANES) {
        for (size_t l = 0; l < LA_LANES; l++)
            sum[l] += a[j + l] * b[j + l];
    }
    for (size_t half = LA_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++)
            sum[l] += sum[l + half];
    }
    return sum[0];
}

static void pairwise_chunk(void *context, size_t chunk, int worker)
{
    lightgcn_trainer *trainer = context;
    size_t pitch = trainer->state->pitch, begin = chunk * PAIRS;
    size_t end = trainer->count - begin < PAIRS ? trainer->count : begin + PAIRS;
    double sum = 0;
    (void)worker;
    for (size_t b = begin; b < end; b++) {
        size_t u = b * pitch, i = (trainer->batch + b) * pitch, j = (2 * trainer->batch + b) * pitch;
        const float *v = trainer->vectors;
        float x = inner(v + u, v + j, pitch) - inner(v + u, v + i, pitch);
        float e = expf(-fabsf(x));
        float g = (x >= 0 ? 1.0F : e) / (1.0F + e) / (float)trainer->count;
        sum += (double)(x > 0 ? x : 0) + log1p((double)e);
        for (size_t l = 0; l < pitch; l++) {
            trainer->gradients[u + l] = g * (v[j + l] - v[i + l]);
            trainer->gradients[i + l] = -g * v[u + l];
            trainer->gradients[j + l] = g * v[u + l];
        }
    }
    trainer->losses[chunk] = sum;
}

/* The mean loss of the batch; leaves its gradient in `rows`. */
static double loss_of_batch(lightgcn_trainer *trainer)
{
    size_t pitch = trainer->state->pitch, part = trainer->batch * pitch;
    double sum = 0;
    spread(trainer);
    if (trainer->parts == 3) {
        size_t chunks = (trainer->count + PAIRS - 1) / PAIRS;
        forage_parallel_for(trainer->state->device->threads, chunks, pairwise_chunk, trainer);
        for (size_t c = 0; c < chunks; c++)
            sum += trainer->losses[c];
        sum /= (double)trainer->count;
    } else {
        sum = nn_inbatch_run(trainer->softmax, trainer->count, trainer->vectors, trainer->vectors + part,
                             trainer->gradients, trainer->gradients + part);
    }
    collect(trainer);
    return sum;
}

/* l2 / 2 times the squares of the batch's layer 0, as a mean over its edges. */
static double penalty(const lightgcn_trainer *trainer)
{
    const model_state *state = trainer->state;
    double sum = 0;
    for (size_t i = 0; trainer->l2 > 0 && i < trainer->list_count; i++) {
        const float *row = state->base + trainer->list[i] * state->pitch;
        sum += trainer->times[i] * (double)inner(row, row, state->pitch);
    }
    return 0.5 * trainer->l2 * sum / (double)trainer->count;
}

/* ---- backward ---- */

typedef struct last_product {
    lightgcn_trainer *trainer;
    la_spmm task;
} last_product;

/* Adam on the rows of one chunk, as soon as their gradient is there. */
static void update_chunk(void *context, size_t chunk, int worker)
{
    const last_product *last = context;
    lightgcn_trainer *trainer = last->trainer;
    model_state *state = trainer->state;
    size_t pitch = state->pitch, end = la_csr_chunk(&last->task.matrix, chunk + 1);
    float *block = trainer->blocks + (size_t)worker * BLOCK_ROWS * pitch;
    for (size_t begin = la_csr_chunk(&last->task.matrix, chunk); begin < end; begin += BLOCK_ROWS) {
        size_t rows = end - begin < BLOCK_ROWS ? end - begin : BLOCK_ROWS;
        if (state->layers == 0)
            memset(block, 0, rows * pitch * sizeof *block);
        else
            la_spmm_part(&last->task, state->device->isa, begin, begin + rows, block);
        for (size_t r = 0; r < rows; r++) {
            uint32_t slot = trainer->slots[begin + r];
            if (slot == FORAGE_NONE)
                continue;
            float decay = (float)(trainer->l2 * trainer->times[slot] / (double)trainer->count);
            const float *weights = state->base + (begin + r) * pitch, *own = trainer->rows + slot * pitch;
            for (size_t j = 0; j < pitch; j++)
                block[r * pitch + j] += own[j] + decay * weights[j];
        }
        size_t at = begin * pitch;
        trainer->kernels->adam(rows * pitch, &trainer->adam, block, NULL, state->base + at, trainer->mean + at,
                               trainer->square + at);
    }
}

static void backward(lightgcn_trainer *trainer)
{
    const model_state *state = trainer->state;
    const forage_device *device = state->device;
    la_spmm task = {.matrix = lightgcn_matrix(state),
                    .width = state->pitch,
                    .in = trainer->rows,
                    .scale = 1,
                    .slots = trainer->slots};
    for (size_t k = 0; k + 1 < state->layers; k++) {
        task.out = trainer->layers[k % 2];
        la_spmm_run(&task, device->isa, device->threads);
        for (size_t i = 0; i < trainer->list_count; i++)
            trainer->kernels->add(state->pitch, trainer->rows + i * state->pitch,
                                  task.out + trainer->list[i] * state->pitch);
        task.in = task.out;
        task.slots = NULL;
    }
    last_product last = {trainer, task};
    forage_parallel_for(device->threads, la_csr_chunks(&task.matrix), update_chunk, &last);
}

/* ---- the step ---- */

double lightgcn_trainer_step(lightgcn_trainer *trainer, const lightgcn_batch *batch, double rate)
{
    trainer->count = batch->count;
    trainer->nodes = batch->nodes;
    list_nodes(trainer);
    forward(trainer);
    double loss = loss_of_batch(trainer) + penalty(trainer);
    if (isfinite(loss)) {
        double t = (double)++trainer->steps;
        trainer->adam.rate = (float)(rate / (1 - pow((double)trainer->adam.beta1, t)));
        trainer->adam.root = (float)(1 / sqrt(1 - pow((double)trainer->adam.beta2, t)));
        backward(trainer);
    }
    unlist_nodes(trainer);
    return loss;
}
