/*
 * lightgcn_fit.c: fitting LightGCN.
 *
 * A step takes a batch of edges (u, i), and with BPR a drawn item j that u never chose:
 *
 *   bpr      softplus(<E_u, E_j> - <E_u, E_i>)                    (He et al. 2020, equation 15)
 *   softmax  over the batch's items, see nn/inbatch.h; epochs run through all edges in a new order
 *   and      l2 / 2 (|E(0)_u|^2 + |E(0)_i|^2 + |E(0)_j|^2), all as means over the batch
 *
 * BPR's edges are drawn as published: a user that has some, then one of its items, then an item that it has not;
 * as many a epoch as there are edges.
 *
 * Only what a batch needs is computed. Forward, the last layer's rows are those of the batch (K - 1 products with
 * all rows and one with some); backward, the gradient g of E enters the first product as those few rows, by
 * Horner's rule: dE(0) = (g + A (g + A (...))) / (K + 1). The last product goes straight into Adam, chunk by chunk, so
 * that the gradient of all embeddings never stands in memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/lightgcn.h"
#include "model/validate.h"

#include <math.h>
#include <string.h>

#include "nn/nn.h"

enum {
    STEPS_PER_CALL = 16, /* so that someone who waits is heard */
    BLOCK_ROWS = 64,     /* of a chunk of the last product */
    PAIRS = 256,         /* of a chunk of BPR */
};

/* Numbers of a fit that go into its state file as they are. */
enum { AT_EPOCH, AT_STEP, AT_ADAM, AT_BEST_EPOCH, AT_STALE, AT_RNG, AT_COUNT = AT_RNG + 6 };
enum { LOSS_SUM, LOSS_TRAIN, LOSS_METRIC, LOSS_BEST, LOSS_COUNT };

struct model_fit {
    model_state *state;
    const model_fit_input *input;
    const nn_kernels *kernels;
    bool pairwise; /* BPR */
    enum { CONSTANT, LINEAR, COSINE } schedule;
    size_t epochs, batch, patience, steps; /* steps of an epoch */
    size_t parts;                          /* nodes of an edge of the batch: 2, with BPR 3 */
    double learning_rate, final_rate, l2;
    nn_adam_step adam;
    double started; /* clock */

    uint32_t *users, *items; /* that have edges; users (BPR) that do not have all items */
    size_t user_count, item_count;
    uint32_t *edge_user; /* [edges] */
    uint32_t *order;     /* [edges] softmax: the order of this epoch, once drawn */
    bool drawn;
    forage_rng rng, after; /* as it is before this epoch's draws (BPR: this step's), and after the order's */

    float *mean, *square; /* [nodes, pitch] of Adam */
    float *best;          /* [nodes, pitch], with validation rows */
    float *layers[2];     /* [nodes, pitch], as many as there are layers less one */

    /* Of the batch at hand. */
    uint32_t *slots; /* [nodes] place in `list`, or FORAGE_NONE */
    uint32_t *list;  /* [parts x batch] nodes, each once */
    uint32_t *times; /* [parts x batch] how often each occurs */
    size_t list_count;
    uint32_t *nodes;  /* [parts, batch] of the edges */
    float *rows;      /* [parts x batch, pitch] E, by place in `list`; then its gradient */
    float *vectors;   /* [parts, batch, pitch] E of the edges' nodes */
    float *gradients; /* the same */
    double *losses;   /* [chunks of PAIRS] */
    size_t count;     /* edges */
    nn_inbatch *softmax;
    model_validation *validation; /* NULL: nothing to watch */
    float *blocks;                /* [threads, BLOCK_ROWS, pitch] */

    uint64_t at[AT_COUNT];
    double loss[LOSS_COUNT];
};

static forage_status out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to fit lightgcn");
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

double lightgcn_fit_memory(const model_state *state, const model_fit_input *input)
{
    double edges = (double)input->train->count, table = (double)state->nodes * (double)state->pitch * 4;
    size_t batch = (size_t)forage_params_integer(state->params, "batch-size");
    batch = batch < input->train->count ? batch : input->train->count;
    bool pairwise = strcmp(forage_params_text(state->params, "loss"), "bpr") == 0;
    double tables = 2 + (input->validation->count ? 1 : 0) +
                    (double)(state->layers > 2   ? 2
                             : state->layers > 1 ? 1
                                                 : 0);
    double rows = (pairwise ? 9.0 : 6.0) * (double)batch * (double)state->pitch * 4;
    nn_inbatch_spec spec = softmax_spec(state, batch);
    return lightgcn_memory(state, edges) + tables * table + edges * 8 + rows +
           (pairwise ? 0 : nn_inbatch_memory(&spec));
}

/* ---- making ready ---- */

static void fit_free(model_fit *fit)
{
    if (!fit)
        return;
    forage_free(fit->users);
    forage_free(fit->items);
    forage_free(fit->edge_user);
    forage_free(fit->order);
    forage_free(fit->mean);
    forage_free(fit->square);
    forage_free(fit->best);
    forage_free(fit->layers[0]);
    forage_free(fit->layers[1]);
    forage_free(fit->slots);
    forage_free(fit->list);
    forage_free(fit->times);
    forage_free(fit->nodes);
    forage_free(fit->rows);
    forage_free(fit->vectors);
    forage_free(fit->gradients);
    forage_free(fit->losses);
    nn_inbatch_free(fit->softmax);
    model_validation_free(fit->validation);
    forage_free(fit->blocks);
    forage_free(fit);
}

static bool allocate(model_fit *fit)
{
    const model_state *state = fit->state;
    size_t edges = state->graph.edges, row = state->pitch * sizeof(float), entries = fit->parts * fit->batch;
    fit->users = forage_alloc(state->users, sizeof *fit->users);
    fit->items = forage_alloc(state->items, sizeof *fit->items);
    fit->edge_user = forage_alloc(edges, sizeof *fit->edge_user);
    fit->order = forage_alloc(edges, sizeof *fit->order);
    fit->mean = forage_calloc(state->nodes, row);
    fit->square = forage_calloc(state->nodes, row);
    fit->slots = forage_alloc(state->nodes, sizeof *fit->slots);
    fit->list = forage_alloc(entries, sizeof *fit->list);
    fit->times = forage_alloc(entries, sizeof *fit->times);
    fit->nodes = forage_alloc(entries, sizeof *fit->nodes);
    fit->rows = forage_alloc(entries, row);
    fit->vectors = forage_alloc(entries, row);
    fit->gradients = forage_alloc(entries, row);
    fit->losses = forage_alloc(fit->batch / PAIRS + 1, sizeof *fit->losses);
    fit->blocks = forage_alloc((size_t)state->device->threads * BLOCK_ROWS, row);
    bool good = fit->users && fit->items && fit->edge_user && fit->order && fit->mean && fit->square && fit->slots &&
                fit->list && fit->times && fit->nodes && fit->rows && fit->vectors && fit->gradients && fit->losses &&
                fit->blocks;
    for (size_t i = 0; good && i < 2 && i + 1 < state->layers; i++)
        good = (fit->layers[i] = forage_alloc(state->nodes, row)) != NULL;
    if (good && fit->input->validation->count)
        good = (fit->best = forage_alloc(state->nodes, row)) != NULL;
    return good;
}

static void list_edges(model_fit *fit)
{
    const forage_graph *graph = &fit->state->graph;
    for (size_t i = 0; i < graph->items; i++) {
        if (graph->offsets[graph->users + i] < graph->offsets[graph->users + i + 1])
            fit->items[fit->item_count++] = (uint32_t)(graph->users + i);
    }
    for (size_t u = 0; u < graph->users; u++) {
        size_t degree = graph->offsets[u + 1] - graph->offsets[u];
        if (degree > 0 && (!fit->pairwise || degree < fit->item_count))
            fit->users[fit->user_count++] = (uint32_t)u;
        for (size_t e = graph->offsets[u]; e < graph->offsets[u + 1]; e++)
            fit->edge_user[e] = (uint32_t)u;
    }
    memset(fit->slots, 0xff, (graph->users + graph->items) * sizeof *fit->slots);
}

static forage_status read_params(model_fit *fit, forage_error *error)
{
    const model_state *state = fit->state;
    const forage_params *values = state->params;
    const char *schedule = forage_params_text(values, "schedule");
    size_t edges = state->graph.edges;
    fit->pairwise = strcmp(forage_params_text(values, "loss"), "bpr") == 0;
    fit->parts = fit->pairwise ? 3 : 2;
    fit->schedule = strcmp(schedule, "cosine") == 0 ? COSINE : strcmp(schedule, "linear") == 0 ? LINEAR : CONSTANT;
    fit->epochs = (size_t)forage_params_integer(values, "epochs");
    fit->patience = (size_t)forage_params_integer(values, "patience");
    fit->learning_rate = forage_params_real(values, "learning-rate");
    fit->final_rate = forage_params_real(values, "final-rate");
    fit->l2 = forage_params_real(values, "l2");
    fit->adam = (nn_adam_step){.beta1 = (float)forage_params_real(values, "beta1"),
                               .beta2 = (float)forage_params_real(values, "beta2"),
                               .epsilon = (float)forage_params_real(values, "epsilon"),
                               .shrink = 1};
    if (edges == 0)
        return forage_fail(error, FORAGE_FORMAT, "no training row has a value above 0: the graph has no edges");
    if (edges > UINT32_MAX - 1)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%zu edges are more than lightgcn can number", edges);
    fit->batch = (size_t)forage_params_integer(values, "batch-size");
    fit->batch = fit->batch < edges ? fit->batch : edges;
    fit->steps = (edges + fit->batch - 1) / fit->batch;
    return FORAGE_OK;
}

forage_status lightgcn_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error)
{
    model_fit *made = forage_calloc(1, sizeof *made);
    forage_status status;
    *fit = NULL;
    if (!made)
        return out_of_memory(error);
    made->state = state;
    made->input = input;
    made->started = forage_clock();
    made->kernels = nn_kernels_for(state->device->isa);
    FORAGE_TRY_GOTO(lightgcn_connect(state, input->train, error), fail);
    FORAGE_TRY_GOTO(read_params(made, error), fail);
    if (!allocate(made)) {
        status = out_of_memory(error);
        goto fail;
    }
    list_edges(made);
    lightgcn_wake(state);
    if (made->user_count == 0) {
        status = forage_fail(error, FORAGE_FORMAT, "every user has chosen every item: there is nothing to tell apart");
        goto fail;
    }
    if (!made->pairwise) {
        nn_inbatch_spec spec = softmax_spec(state, made->batch);
        FORAGE_TRY_GOTO(nn_inbatch_create(&spec, &made->softmax, error), fail);
    }
    FORAGE_TRY_GOTO(model_validation_create(state->setup, input, &lightgcn_catalogue, state, &made->validation, error),
                    fail);
    forage_rng_seed_stream(&made->rng, state->seed, LIGHTGCN_STREAM_ORDER);
    made->loss[LOSS_METRIC] = NAN;
    made->loss[LOSS_BEST] = -INFINITY;
    *fit = made;
    return FORAGE_OK;
fail:
    fit_free(made);
    return status;
}

/* ---- the batch ---- */

bool lightgcn_has(const forage_graph *graph, size_t node, uint32_t other)
{
    size_t low = graph->offsets[node], end = graph->offsets[node + 1], high = end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (graph->neighbours[middle] < other)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && graph->neighbours[low] == other;
}

static void draw_pairs(model_fit *fit)
{
    const forage_graph *graph = &fit->state->graph;
    for (size_t b = 0; b < fit->count; b++) {
        uint32_t user = fit->users[forage_rng_integers(&fit->rng, fit->user_count)], other;
        size_t first = graph->offsets[user], degree = graph->offsets[user + 1] - first;
        fit->nodes[b] = user;
        fit->nodes[fit->batch + b] = graph->neighbours[first + forage_rng_integers(&fit->rng, degree)];
        do {
            other = fit->items[forage_rng_integers(&fit->rng, fit->item_count)];
        } while (lightgcn_has(graph, user, other));
        fit->nodes[2 * fit->batch + b] = other;
    }
}

static void take_edges(model_fit *fit)
{
    const forage_graph *graph = &fit->state->graph;
    if (!fit->drawn) {
        fit->after = fit->rng;
        for (size_t e = 0; e < graph->edges; e++)
            fit->order[e] = (uint32_t)e;
        forage_rng_permute(&fit->after, fit->order, graph->edges);
        fit->drawn = true;
    }
    const uint32_t *order = fit->order + fit->at[AT_STEP] * fit->batch;
    for (size_t b = 0; b < fit->count; b++) {
        fit->nodes[b] = fit->edge_user[order[b]];
        fit->nodes[fit->batch + b] = graph->neighbours[order[b]];
    }
}

static void list_nodes(model_fit *fit)
{
    fit->list_count = 0;
    for (size_t p = 0; p < fit->parts; p++) {
        for (size_t b = 0; b < fit->count; b++) {
            uint32_t node = fit->nodes[p * fit->batch + b];
            if (fit->slots[node] == FORAGE_NONE) {
                fit->slots[node] = (uint32_t)fit->list_count;
                fit->times[fit->list_count] = 0;
                fit->list[fit->list_count++] = node;
            }
            fit->times[fit->slots[node]]++;
        }
    }
}

static void unlist_nodes(model_fit *fit)
{
    for (size_t i = 0; i < fit->list_count; i++)
        fit->slots[fit->list[i]] = FORAGE_NONE;
}

/* ---- forward ---- */

/* rows += (or =) those of the list from a table of all nodes. */
static void gather(const model_fit *fit, const float *table, bool first)
{
    size_t pitch = fit->state->pitch;
    for (size_t i = 0; i < fit->list_count; i++) {
        const float *row = table + fit->list[i] * pitch;
        if (first)
            memcpy(fit->rows + i * pitch, row, pitch * sizeof *row);
        else
            fit->kernels->add(pitch, row, fit->rows + i * pitch);
    }
}

static void forward(model_fit *fit)
{
    const model_state *state = fit->state;
    const forage_device *device = state->device;
    const float *from = state->base;
    la_spmm task = {.matrix = lightgcn_matrix(state), .width = state->pitch, .scale = 1};
    gather(fit, state->base, true);
    for (size_t k = 0; k + 1 < state->layers; k++) {
        task.in = from;
        task.out = fit->layers[k % 2];
        la_spmm_run(&task, device->isa, device->threads);
        from = task.out;
        gather(fit, from, false);
    }
    if (state->layers == 0)
        return;
    task.in = from;
    task.add = task.out = fit->rows;
    task.list = fit->list;
    task.list_count = fit->list_count;
    task.scale = 1.0F / (float)(state->layers + 1);
    la_spmm_run(&task, device->isa, device->threads);
}

/* ---- the loss ---- */

/* Vectors of the edges' nodes. */
static void spread(model_fit *fit)
{
    size_t pitch = fit->state->pitch;
    for (size_t p = 0; p < fit->parts; p++) {
        for (size_t b = 0; b < fit->count; b++) {
            size_t at = p * fit->batch + b;
            memcpy(fit->vectors + at * pitch, fit->rows + fit->slots[fit->nodes[at]] * pitch,
                   pitch * sizeof *fit->vectors);
        }
    }
}

/* The gradients of the edges' nodes to those of the list, divided by the number of tables that E is the mean of. */
static void collect(model_fit *fit)
{
    size_t pitch = fit->state->pitch;
    memset(fit->rows, 0, fit->list_count * pitch * sizeof *fit->rows);
    for (size_t p = 0; p < fit->parts; p++) {
        for (size_t b = 0; b < fit->count; b++) {
            size_t at = p * fit->batch + b;
            fit->kernels->add(pitch, fit->gradients + at * pitch, fit->rows + fit->slots[fit->nodes[at]] * pitch);
        }
    }
    fit->kernels->scale(fit->list_count * pitch, 1.0F / (float)(fit->state->layers + 1), fit->rows);
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
    model_fit *fit = context;
    size_t pitch = fit->state->pitch, begin = chunk * PAIRS;
    size_t end = fit->count - begin < PAIRS ? fit->count : begin + PAIRS;
    double sum = 0;
    (void)worker;
    for (size_t b = begin; b < end; b++) {
        size_t u = b * pitch, i = (fit->batch + b) * pitch, j = (2 * fit->batch + b) * pitch;
        const float *v = fit->vectors;
        float x = inner(v + u, v + j, pitch) - inner(v + u, v + i, pitch);
        float e = expf(-fabsf(x));
        float g = (x >= 0 ? 1.0F : e) / (1.0F + e) / (float)fit->count;
        sum += (double)(x > 0 ? x : 0) + log1p((double)e);
        for (size_t l = 0; l < pitch; l++) {
            fit->gradients[u + l] = g * (v[j + l] - v[i + l]);
            fit->gradients[i + l] = -g * v[u + l];
            fit->gradients[j + l] = g * v[u + l];
        }
    }
    fit->losses[chunk] = sum;
}

/* The mean loss of the batch; leaves its gradient in `rows`. */
static double loss_of_batch(model_fit *fit)
{
    size_t pitch = fit->state->pitch, part = fit->batch * pitch;
    double sum = 0;
    spread(fit);
    if (fit->pairwise) {
        size_t chunks = (fit->count + PAIRS - 1) / PAIRS;
        forage_parallel_for(fit->state->device->threads, chunks, pairwise_chunk, fit);
        for (size_t c = 0; c < chunks; c++)
            sum += fit->losses[c];
        sum /= (double)fit->count;
    } else {
        sum = nn_inbatch_run(fit->softmax, fit->count, fit->vectors, fit->vectors + part, fit->gradients,
                             fit->gradients + part);
    }
    collect(fit);
    return sum;
}

/* l2 / 2 times the squares of the batch's layer 0, as a mean over its edges. */
static double penalty(const model_fit *fit)
{
    const model_state *state = fit->state;
    double sum = 0;
    for (size_t i = 0; fit->l2 > 0 && i < fit->list_count; i++) {
        const float *row = state->base + fit->list[i] * state->pitch;
        sum += fit->times[i] * (double)inner(row, row, state->pitch);
    }
    return 0.5 * fit->l2 * sum / (double)fit->count;
}

/* ---- backward ---- */

typedef struct last_product {
    model_fit *fit;
    la_spmm task;
} last_product;

/* Adam on the rows of one chunk, as soon as their gradient is there. */
static void update_chunk(void *context, size_t chunk, int worker)
{
    const last_product *last = context;
    model_fit *fit = last->fit;
    model_state *state = fit->state;
    size_t pitch = state->pitch, end = la_csr_chunk(&last->task.matrix, chunk + 1);
    float *block = fit->blocks + (size_t)worker * BLOCK_ROWS * pitch;
    for (size_t begin = la_csr_chunk(&last->task.matrix, chunk); begin < end; begin += BLOCK_ROWS) {
        size_t rows = end - begin < BLOCK_ROWS ? end - begin : BLOCK_ROWS;
        if (state->layers == 0)
            memset(block, 0, rows * pitch * sizeof *block);
        else
            la_spmm_part(&last->task, state->device->isa, begin, begin + rows, block);
        for (size_t r = 0; r < rows; r++) {
            uint32_t slot = fit->slots[begin + r];
            if (slot == FORAGE_NONE)
                continue;
            float decay = (float)(fit->l2 * fit->times[slot] / (double)fit->count);
            const float *weights = state->base + (begin + r) * pitch, *own = fit->rows + slot * pitch;
            for (size_t j = 0; j < pitch; j++)
                block[r * pitch + j] += own[j] + decay * weights[j];
        }
        size_t at = begin * pitch;
        fit->kernels->adam(rows * pitch, &fit->adam, block, NULL, state->base + at, fit->mean + at, fit->square + at);
    }
}

static void backward(model_fit *fit)
{
    const model_state *state = fit->state;
    const forage_device *device = state->device;
    la_spmm task = {
        .matrix = lightgcn_matrix(state), .width = state->pitch, .in = fit->rows, .scale = 1, .slots = fit->slots};
    for (size_t k = 0; k + 1 < state->layers; k++) {
        task.out = fit->layers[k % 2];
        la_spmm_run(&task, device->isa, device->threads);
        for (size_t i = 0; i < fit->list_count; i++)
            fit->kernels->add(state->pitch, fit->rows + i * state->pitch, task.out + fit->list[i] * state->pitch);
        task.in = task.out;
        task.slots = NULL;
    }
    last_product last = {fit, task};
    forage_parallel_for(device->threads, la_csr_chunks(&task.matrix), update_chunk, &last);
}

/* ---- steps ---- */

/* How far the fit is, in [0, 1]: by steps, or by the time there is. */
static double share_done(const model_fit *fit)
{
    double share = (double)fit->at[AT_ADAM] / ((double)fit->epochs * (double)fit->steps);
    if (fit->input->seconds > 0)
        share = fmax(share, (forage_clock() - fit->started) / fit->input->seconds);
    return fmin(share, 1);
}

static double rate(const model_fit *fit)
{
    double done = share_done(fit), share = 1;
    if (fit->schedule == LINEAR)
        share = 1 - done;
    else if (fit->schedule == COSINE)
        share = 0.5 * (1 + cos(3.14159265358979323846 * done));
    return fit->learning_rate * (fit->final_rate + (1 - fit->final_rate) * share);
}

static void draw(model_fit *fit)
{
    size_t edges = fit->state->graph.edges, begin = (size_t)fit->at[AT_STEP] * fit->batch;
    fit->count = edges - begin < fit->batch ? edges - begin : fit->batch;
    if (fit->pairwise)
        draw_pairs(fit);
    else
        take_edges(fit);
}

static forage_status learn(model_fit *fit, double *loss, forage_error *error)
{
    double lr = rate(fit);
    list_nodes(fit);
    forward(fit);
    *loss = loss_of_batch(fit) + penalty(fit);
    if (!isfinite(*loss)) {
        unlist_nodes(fit);
        return forage_fail(error, FORAGE_DIVERGED,
                           "the loss is no longer a number in epoch %zu, step %zu; a smaller learning rate may help",
                           (size_t)fit->at[AT_EPOCH] + 1, (size_t)fit->at[AT_STEP] + 1);
    }
    fit->at[AT_ADAM]++;
    fit->adam.rate = (float)(lr / (1 - pow((double)fit->adam.beta1, (double)fit->at[AT_ADAM])));
    fit->adam.root = (float)(1 / sqrt(1 - pow((double)fit->adam.beta2, (double)fit->at[AT_ADAM])));
    backward(fit);
    unlist_nodes(fit);
    fit->loss[LOSS_SUM] += *loss * (double)fit->count;
    fit->at[AT_STEP]++;
    return FORAGE_OK;
}

/* The validation metric of the weights as they are, which are kept if they are the best so far. */
static void judge(model_fit *fit)
{
    if (!fit->validation) {
        fit->at[AT_BEST_EPOCH] = fit->at[AT_EPOCH];
        return;
    }
    lightgcn_propagate(fit->state, fit->layers);
    fit->loss[LOSS_METRIC] = model_validation_run(fit->validation);
    fit->at[AT_STALE]++;
    if (fit->loss[LOSS_METRIC] <= fit->loss[LOSS_BEST])
        return;
    fit->loss[LOSS_BEST] = fit->loss[LOSS_METRIC];
    fit->at[AT_BEST_EPOCH] = fit->at[AT_EPOCH];
    fit->at[AT_STALE] = 0;
    memcpy(fit->best, fit->state->base, fit->state->nodes * fit->state->pitch * sizeof *fit->best);
}

static void epoch_end(model_fit *fit)
{
    if (!fit->pairwise)
        fit->rng = fit->after;
    fit->drawn = false;
    fit->at[AT_EPOCH]++;
    fit->at[AT_STEP] = 0;
    fit->loss[LOSS_TRAIN] = fit->loss[LOSS_SUM] / (double)fit->state->graph.edges;
    fit->loss[LOSS_SUM] = 0;
    judge(fit);
}

void lightgcn_fit_draw(model_fit *fit, lightgcn_batch *batch)
{
    draw(fit);
    *batch = (lightgcn_batch){.count = fit->count};
    for (size_t p = 0; p < fit->parts; p++)
        batch->nodes[p] = fit->nodes + p * fit->batch;
}

forage_status lightgcn_fit_learn(model_fit *fit, const lightgcn_batch *batch, double *loss, forage_error *error)
{
    fit->count = batch->count;
    for (size_t p = 0; p < fit->parts; p++)
        memmove(fit->nodes + p * fit->batch, batch->nodes[p], batch->count * sizeof *fit->nodes);
    FORAGE_TRY(learn(fit, loss, error));
    if (fit->at[AT_STEP] == fit->steps)
        epoch_end(fit);
    return FORAGE_OK;
}

forage_status lightgcn_fit_step(model_fit *fit, model_progress *progress, forage_error *error)
{
    size_t edges = fit->state->graph.edges;
    bool late = false;
    double loss;
    for (size_t i = 0; i < STEPS_PER_CALL && fit->at[AT_STEP] < fit->steps && !late; i++) {
        draw(fit);
        FORAGE_TRY(learn(fit, &loss, error));
        late = fit->input->seconds > 0 && forage_clock() - fit->started >= fit->input->seconds;
    }
    if (fit->at[AT_STEP] == fit->steps)
        epoch_end(fit);
    else if (late)
        judge(fit); /* of the epoch that there is no time for */
    progress->done = fit->at[AT_EPOCH] * edges + fit->at[AT_STEP] * fit->batch;
    progress->total = (uint64_t)((double)progress->done / fmax(share_done(fit), 1e-9));
    progress->epochs = (size_t)fit->at[AT_EPOCH];
    progress->train_loss = fit->loss[LOSS_TRAIN];
    progress->validation_metric = fit->loss[LOSS_METRIC];
    progress->best_epoch = (size_t)fit->at[AT_BEST_EPOCH];
    progress->stopped_early = fit->patience && fit->at[AT_STALE] >= fit->patience && fit->at[AT_EPOCH] < fit->epochs;
    progress->finished = progress->stopped_early || late || fit->at[AT_EPOCH] >= fit->epochs;
    return FORAGE_OK;
}

void lightgcn_fit_end(model_fit *fit, bool keep)
{
    if (!fit)
        return;
    if (keep && fit->validation && fit->at[AT_BEST_EPOCH] > 0)
        memcpy(fit->state->base, fit->best, fit->state->nodes * fit->state->pitch * sizeof *fit->best);
    if (keep) {
        lightgcn_forget(fit->state);
        lightgcn_propagate(fit->state, fit->layers);
    }
    fit_free(fit);
}

/* ---- interruption ---- */

static void save_rng(const forage_rng *rng, uint64_t *to)
{
    memcpy(to,
           (const uint64_t[6]){rng->state_high, rng->state_low, rng->increment_high, rng->increment_low, rng->spare,
                               rng->has_spare},
           6 * sizeof *to);
}

static bool load_rng(const uint64_t *from, forage_rng *rng)
{
    *rng = (forage_rng){from[0], from[1], from[2], from[3], (uint32_t)from[4], (uint32_t)from[5]};
    return from[4] <= UINT32_MAX && from[5] <= 1;
}

forage_status lightgcn_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error)
{
    model_fit *owner = (model_fit *)(uintptr_t)fit; /* its numbers live as long as the fit */
    size_t count = fit->state->nodes * fit->state->pitch, numbers = AT_COUNT, losses = LOSS_COUNT;
    save_rng(&fit->rng, owner->at + AT_RNG);
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.values", NN_F32, 1, &count, fit->state->base, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.mean", NN_F32, 1, &count, fit->mean, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.square", NN_F32, 1, &count, fit->square, error));
    if (fit->best)
        FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.best", NN_F32, 1, &count, fit->best, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.losses", NN_F64, 1, &losses, fit->loss, error));
    return nn_checkpoint_add(checkpoint, "fit.at", NN_I64, 1, &numbers, fit->at, error);
}

forage_status lightgcn_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error)
{
    size_t count = fit->state->nodes * fit->state->pitch, numbers = AT_COUNT, losses = LOSS_COUNT;
    const char *path = nn_checkpoint_path(checkpoint);
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "fit.values", 1, &count, fit->state->base, error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "fit.mean", 1, &count, fit->mean, error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "fit.square", 1, &count, fit->square, error));
    if (fit->best)
        FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "fit.best", 1, &count, fit->best, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.losses", NN_F64, 1, &losses, fit->loss, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.at", NN_I64, 1, &numbers, fit->at, error));
    const uint64_t *at = fit->at;
    if (at[AT_EPOCH] > fit->epochs || at[AT_STEP] >= fit->steps || at[AT_BEST_EPOCH] > at[AT_EPOCH] ||
        at[AT_ADAM] != at[AT_EPOCH] * fit->steps + at[AT_STEP] || !isfinite(fit->loss[LOSS_SUM]) ||
        !load_rng(at + AT_RNG, &fit->rng))
        return forage_fail_at(error, FORAGE_FORMAT, path, 0, "fit.at", "these numbers are not those of this fit");
    fit->drawn = false;
    return FORAGE_OK;
}
