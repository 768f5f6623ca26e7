/*
 * lightgcn_fit.c: fitting LightGCN: which edges a step learns from (lightgcn_train.c does it), how the learning rate
 * falls, which weights are kept, and how an interrupted fit goes on.
 *
 * BPR's edges are drawn as published: a user that has some, then one of its items, then an item that it has not;
 * as many an epoch as there are edges. With the softmax losses an epoch runs through all edges in a new order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/lightgcn_train.h"
#include "model/training.h"
#include "model/validate.h"

#include <math.h>
#include <string.h>

enum { STEPS_PER_CALL = 16 }; /* so that someone who waits is heard */

/* Numbers of a fit that go into its state file as they are. */
enum { AT_EPOCH, AT_STEP, AT_ADAM, AT_BEST_EPOCH, AT_STALE, AT_RNG, AT_COUNT = AT_RNG + MODEL_RNG_WORDS };
enum { LOSS_SUM, LOSS_TRAIN, LOSS_METRIC, LOSS_BEST, LOSS_COUNT };

struct model_fit {
    model_state *state;
    const model_fit_input *input;
    lightgcn_trainer *trainer;
    size_t epochs, batch, patience, steps; /* steps of an epoch */
    model_rate rate;
    double started;                   /* clock */
    double longest_step, longest_end; /* seconds of a step, and of what the end of an epoch takes */

    uint32_t *users, *items; /* that have edges; users (BPR) that do not have all items */
    size_t user_count, item_count;
    uint32_t *edge_user; /* [edges] */
    uint32_t *order;     /* [edges] softmax: the order of this epoch, once drawn */
    bool drawn;
    forage_rng rng, after; /* as it is before this epoch's draws (BPR: this step's), and after the order's */
    uint32_t *nodes;       /* [parts, batch] of the edges at hand */

    model_validation *validation; /* NULL: nothing to watch */
    float *best;                  /* [nodes, pitch], with validation rows */

    uint64_t at[AT_COUNT];
    double loss[LOSS_COUNT];
};

static forage_status out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to fit lightgcn");
}

double lightgcn_fit_memory(const model_state *state, const model_fit_input *input)
{
    size_t edges = input->train->count;
    double best = input->validation->count ? (double)state->nodes * (double)state->pitch * 4 : 0;
    return lightgcn_memory(state, (double)edges) + best + (double)edges * 8 +
           lightgcn_trainer_memory(state, lightgcn_batch_size(state, edges));
}

/* ---- making ready ---- */

static void fit_free(model_fit *fit)
{
    if (!fit)
        return;
    lightgcn_trainer_free(fit->trainer);
    model_validation_free(fit->validation);
    forage_free(fit->users);
    forage_free(fit->items);
    forage_free(fit->edge_user);
    forage_free(fit->order);
    forage_free(fit->nodes);
    forage_free(fit->best);
    forage_free(fit);
}

static bool allocate(model_fit *fit)
{
    const model_state *state = fit->state;
    size_t edges = state->graph.edges;
    fit->users = forage_alloc(state->users, sizeof *fit->users);
    fit->items = forage_alloc(state->items, sizeof *fit->items);
    fit->edge_user = forage_alloc(edges, sizeof *fit->edge_user);
    fit->order = forage_alloc(edges, sizeof *fit->order);
    fit->nodes = forage_alloc(3 * fit->batch, sizeof *fit->nodes);
    if (fit->input->validation->count)
        fit->best = forage_alloc(state->nodes, state->pitch * sizeof *fit->best);
    return fit->users && fit->items && fit->edge_user && fit->order && fit->nodes &&
           (fit->best || !fit->input->validation->count);
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
        if (degree > 0 && (fit->trainer->parts == 2 || degree < fit->item_count))
            fit->users[fit->user_count++] = (uint32_t)u;
        for (size_t e = graph->offsets[u]; e < graph->offsets[u + 1]; e++)
            fit->edge_user[e] = (uint32_t)u;
    }
}

static forage_status read_params(model_fit *fit, forage_error *error)
{
    const model_state *state = fit->state;
    const forage_params *values = state->params;
    size_t edges = state->graph.edges;
    fit->epochs = (size_t)forage_params_integer(values, "epochs");
    fit->patience = (size_t)forage_params_integer(values, "patience");
    fit->rate = model_rate_read(values);
    if (edges == 0)
        return forage_fail(error, FORAGE_FORMAT, "no training row has a value above 0: the graph has no edges");
    if (edges > UINT32_MAX - 1)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%zu edges are more than lightgcn can number", edges);
    fit->batch = lightgcn_batch_size(state, edges);
    fit->steps = (edges + fit->batch - 1) / fit->batch;
    return FORAGE_OK;
}

forage_status lightgcn_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error)
{
    model_fit *made = forage_calloc(1, sizeof *made);
    forage_graph graph;
    forage_status status;
    *fit = NULL;
    if (!made)
        return out_of_memory(error);
    made->state = state;
    made->input = input;
    made->started = forage_clock();
    FORAGE_TRY_GOTO(lightgcn_graph(state, input->train, &graph, error), fail);
    FORAGE_TRY_GOTO(lightgcn_connect(state, &graph, error), fail);
    FORAGE_TRY_GOTO(read_params(made, error), fail);
    FORAGE_TRY_GOTO(lightgcn_trainer_create(state, made->batch, &made->trainer, error), fail);
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

static void draw_pairs(model_fit *fit, size_t count)
{
    const forage_graph *graph = &fit->state->graph;
    for (size_t b = 0; b < count; b++) {
        uint32_t user = fit->users[forage_rng_integers(&fit->rng, fit->user_count)], other;
        size_t first = graph->offsets[user], degree = graph->offsets[user + 1] - first;
        fit->nodes[b] = user;
        fit->nodes[fit->batch + b] = graph->neighbours[first + forage_rng_integers(&fit->rng, degree)];
        do {
            other = fit->items[forage_rng_integers(&fit->rng, fit->item_count)];
        } while (forage_graph_has(graph, user, other));
        fit->nodes[2 * fit->batch + b] = other;
    }
}

static void take_edges(model_fit *fit, size_t count)
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
    for (size_t b = 0; b < count; b++) {
        fit->nodes[b] = fit->edge_user[order[b]];
        fit->nodes[fit->batch + b] = graph->neighbours[order[b]];
    }
}

/* ---- steps ---- */

static double step_share(const model_fit *fit)
{
    return 1 / ((double)fit->epochs * (double)fit->steps);
}

/* How far the fit is, in [0, 1]: by steps, or by the time there is. */
static double share_done(const model_fit *fit)
{
    double share = (double)fit->trainer->steps / ((double)fit->epochs * (double)fit->steps);
    if (fit->input->seconds > 0)
        share = fmax(share, (forage_clock() - fit->started) / fit->input->seconds);
    return fmin(share, 1);
}

/* The edges whose turn it is. */
static lightgcn_batch draw(model_fit *fit)
{
    size_t edges = fit->state->graph.edges, begin = (size_t)fit->at[AT_STEP] * fit->batch;
    lightgcn_batch batch = {.count = edges - begin < fit->batch ? edges - begin : fit->batch};
    for (size_t p = 0; p < fit->trainer->parts; p++)
        batch.nodes[p] = fit->nodes + p * fit->batch;
    if (fit->trainer->parts == 3)
        draw_pairs(fit, batch.count);
    else
        take_edges(fit, batch.count);
    return batch;
}

static forage_status learn(model_fit *fit, const lightgcn_batch *batch, double *loss, forage_error *error)
{
    *loss = lightgcn_trainer_step(fit->trainer, batch, model_rate_at(&fit->rate, share_done(fit), step_share(fit)));
    if (!isfinite(*loss))
        return forage_fail(error, FORAGE_DIVERGED,
                           "the loss is no longer a number in epoch %zu, step %zu; a smaller learning rate may help",
                           (size_t)fit->at[AT_EPOCH] + 1, (size_t)fit->at[AT_STEP] + 1);
    fit->loss[LOSS_SUM] += *loss * (double)batch->count;
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
    lightgcn_propagate(fit->state, fit->trainer->layers);
    fit->loss[LOSS_METRIC] = model_validation_run(fit->validation);
    fit->at[AT_STALE]++;
    if (fit->loss[LOSS_METRIC] <= fit->loss[LOSS_BEST])
        return;
    fit->loss[LOSS_BEST] = fit->loss[LOSS_METRIC];
    fit->at[AT_BEST_EPOCH] = fit->at[AT_EPOCH];
    fit->at[AT_STALE] = 0;
    memcpy(fit->best, fit->state->base, fit->state->nodes * fit->state->pitch * sizeof *fit->best);
}

/* The end of an epoch, or of as much of it as there was time for. */
static void epoch_end(model_fit *fit)
{
    double begun = forage_clock();
    size_t edges = fit->state->graph.edges, done = (size_t)fit->at[AT_STEP] * fit->batch;
    if (fit->trainer->parts == 2)
        fit->rng = fit->after;
    fit->drawn = false;
    fit->at[AT_EPOCH]++;
    fit->at[AT_STEP] = 0;
    fit->loss[LOSS_TRAIN] = fit->loss[LOSS_SUM] / (double)(done < edges ? done : edges);
    fit->loss[LOSS_SUM] = 0;
    judge(fit);
    fit->longest_end = fmax(fit->longest_end, forage_clock() - begun);
}

/* Is there no time for another step, and for what comes after the last one? */
static bool is_late(const model_fit *fit)
{
    double ahead = fit->longest_step + (fit->validation ? fit->longest_end : 0);
    return fit->input->seconds > 0 && forage_clock() - fit->started + ahead >= fit->input->seconds;
}

void lightgcn_fit_draw(model_fit *fit, lightgcn_batch *batch)
{
    *batch = draw(fit);
}

forage_status lightgcn_fit_learn(model_fit *fit, const lightgcn_batch *batch, double *loss, forage_error *error)
{
    FORAGE_TRY(learn(fit, batch, loss, error));
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
        double begun = forage_clock();
        const lightgcn_batch batch = draw(fit);
        FORAGE_TRY(learn(fit, &batch, &loss, error));
        fit->longest_step = fmax(fit->longest_step, forage_clock() - begun);
        late = is_late(fit);
    }
    if (late || fit->at[AT_STEP] == fit->steps)
        epoch_end(fit);
    progress->done = fit->at[AT_EPOCH] * edges + fit->at[AT_STEP] * fit->batch;
    progress->total = (uint64_t)((double)progress->done / fmax(share_done(fit), 1e-9));
    progress->epochs = (size_t)fit->at[AT_EPOCH];
    progress->train_loss = fit->loss[LOSS_TRAIN];
    progress->validation_metric = fit->loss[LOSS_METRIC];
    progress->best_epoch = (size_t)fit->at[AT_BEST_EPOCH];
    progress->stopped_early = fit->patience && fit->at[AT_STALE] >= fit->patience && fit->at[AT_EPOCH] < fit->epochs;
    progress->out_of_time = late && fit->at[AT_EPOCH] < fit->epochs;
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
        lightgcn_propagate(fit->state, fit->trainer->layers);
    }
    fit_free(fit);
}

/* ---- interruption ---- */

forage_status lightgcn_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error)
{
    model_fit *owner = (model_fit *)(uintptr_t)fit; /* its numbers live as long as the fit */
    size_t count = fit->state->nodes * fit->state->pitch, numbers = AT_COUNT, losses = LOSS_COUNT;
    model_rng_save(&fit->rng, owner->at + AT_RNG);
    owner->at[AT_ADAM] = fit->trainer->steps;
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.values", NN_F32, 1, &count, fit->state->base, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.mean", NN_F32, 1, &count, fit->trainer->mean, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.square", NN_F32, 1, &count, fit->trainer->square, error));
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
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "fit.mean", 1, &count, fit->trainer->mean, error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "fit.square", 1, &count, fit->trainer->square, error));
    if (fit->best)
        FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "fit.best", 1, &count, fit->best, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.losses", NN_F64, 1, &losses, fit->loss, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.at", NN_I64, 1, &numbers, fit->at, error));
    const uint64_t *at = fit->at;
    if (at[AT_EPOCH] > fit->epochs || at[AT_STEP] >= fit->steps || at[AT_BEST_EPOCH] > at[AT_EPOCH] ||
        at[AT_ADAM] != at[AT_EPOCH] * fit->steps + at[AT_STEP] || !isfinite(fit->loss[LOSS_SUM]) ||
        !model_rng_load(at + AT_RNG, &fit->rng))
        return forage_fail_at(error, FORAGE_FORMAT, path, 0, "fit.at", "these numbers are not those of this fit");
    fit->trainer->steps = at[AT_ADAM];
    fit->drawn = false;
    return FORAGE_OK;
}
