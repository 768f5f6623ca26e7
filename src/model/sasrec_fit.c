/*
 * sasrec_fit.c: fitting the next-item transformer: which parts of histories a step learns from (sasrec_train.c does
 * it), how the learning rate goes, which weights are kept, and how an interrupted fit goes on.
 *
 * A history of n items has n - 1 next items. It is cut into parts of max-length of them, from the newest on, so that
 * only the oldest part may be shorter. An epoch runs through all parts in a new order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/sasrec_train.h"
#include "model/training.h"
#include "model/validate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEPS_PER_CALL = 4, /* so that someone who waits is heard */
    AVERAGED = 512,     /* histories behind the average */
    USUAL_BATCH = 128,
    USUAL_TOKENS = 2048, /* of a step: long histories make a batch of 128 so large that an epoch has too few steps */
    SMALL_BATCH = 4,
    SMALL_STEPS = 64, /* of an epoch at least, where batches would not become too small */
};

/* Numbers of a fit that go into its state file as they are. */
enum { AT_EPOCH, AT_STEP, AT_ADAM, AT_TOKENS, AT_BEST_EPOCH, AT_STALE, AT_RNG, AT_COUNT = AT_RNG + MODEL_RNG_WORDS };
enum { LOSS_SUM, LOSS_POSITIONS, LOSS_TRAIN, LOSS_METRIC, LOSS_BEST, LOSS_RUNNING, LOSS_COUNT };

struct model_fit {
    model_state *state;
    const model_fit_input *input;
    sasrec_trainer *trainer;
    size_t epochs, batch, patience, steps; /* steps of an epoch */
    model_rate rate;
    model_pace pace;
    model_guard guard;
    bool diverged;

    sasrec_part *parts; /* [part_count] */
    size_t part_count;
    uint32_t *owned;            /* [events] bce: items of each history, rising */
    uint32_t *order;            /* [part_count] of this epoch, once drawn */
    const sasrec_part **chosen; /* [batch] */
    bool drawn;
    forage_rng rng, after; /* as it is before, and after, this epoch's order is drawn */
    sasrec_negatives negatives;

    float *averaged; /* [AVERAGED, pitch] */
    char *scratch;   /* of each thread */
    size_t scratch_size;

    model_validation *validation; /* NULL: nothing to watch */
    float *best;                  /* items, encoder, positions of epoch at[AT_BEST_EPOCH] */

    uint64_t at[AT_COUNT];
    double loss[LOSS_COUNT];
};

static forage_status out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to fit sasrec");
}

/* ---- parts ---- */

static const uint32_t *items_of(const model_state *state, const forage_past *past)
{
    return past->codes[state->item_field];
}

/* The parts of all histories, and how many inputs they have together; with `parts` NULL only counts them. */
static size_t list_parts(const model_state *state, const forage_past *past, bool all, sasrec_part *parts,
                         size_t *tokens)
{
    size_t count = 0;
    *tokens = 0;
    for (size_t s = 0; s < past->sequences; s++) {
        size_t begin = past->offsets[s], left = past->offsets[s + 1] - begin;
        for (left = left ? left - 1 : 0; left > 0; count++) {
            size_t take = left < state->length ? left : state->length;
            left -= take;
            *tokens += take;
            if (parts)
                parts[count] = (sasrec_part){.items = items_of(state, past) + begin + left, .count = (uint32_t)take};
            if (!all)
                left = 0;
        }
    }
    return count;
}

static bool takes_all_parts(const model_state *state)
{
    return strcmp(forage_params_text(state->params, "parts"), "all") == 0;
}

/* Histories of a step. Where the parameter leaves it to the log: the usual number, but fewer of long ones, and in a
 * small log. */
static size_t batch_size(const model_state *state, size_t parts, size_t tokens)
{
    size_t batch = (size_t)forage_params_integer(state->params, "batch-size");
    if (batch == 0) {
        size_t by_tokens = tokens ? (size_t)((double)USUAL_TOKENS * (double)parts / (double)tokens) : USUAL_BATCH;
        batch = parts / SMALL_STEPS;
        batch = batch < by_tokens ? batch : by_tokens;
        batch = batch < SMALL_BATCH ? SMALL_BATCH : batch > USUAL_BATCH ? USUAL_BATCH : batch;
    }
    return batch < parts ? batch : parts;
}

/* Where the parameter leaves it to the log: what is published for sparse logs, which are soon learned by heart, and for
 * others. */
static double dropout(const model_state *state, const forage_past *past)
{
    double given = forage_params_real(state->params, "dropout");
    bool sparse = model_log_is_sparse(state->items, past->offsets[past->sequences]);
    return given >= 0 ? given : sparse ? 0.5 : 0.2;
}

static bool needs_owned(const model_state *state)
{
    return strcmp(forage_params_text(state->params, "loss"), "bce") == 0;
}

/* No batch has more inputs: those of parts of full length, or of all parts. */
static size_t most_tokens(const model_state *state, const forage_past *past, size_t batch)
{
    size_t tokens = 0, full = batch * state->length;
    for (size_t s = 0; s < past->sequences && tokens < full; s++) {
        size_t count = past->offsets[s + 1] - past->offsets[s];
        tokens += count ? count - 1 : 0;
    }
    return tokens < full ? tokens : full;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Each part's list of what its user owns. */
static void list_owned(model_fit *fit)
{
    const forage_past *past = fit->input->train->past;
    const uint32_t *items = items_of(fit->state, past);
    size_t part = 0;
    memcpy(fit->owned, items, past->offsets[past->sequences] * sizeof *fit->owned);
    for (size_t s = 0; s < past->sequences; s++) {
        size_t begin = past->offsets[s], count = past->offsets[s + 1] - begin;
        qsort(fit->owned + begin, count, sizeof *fit->owned, compare);
        for (; part < fit->part_count && fit->parts[part].items < items + past->offsets[s + 1]; part++) {
            fit->parts[part].owned = fit->owned + begin;
            fit->parts[part].owned_count = (uint32_t)count;
        }
    }
}

/* ---- making ready ---- */

double sasrec_fit_memory(const model_setup *setup, const model_fit_input *input)
{
    const forage_past *past = input->train->past;
    model_state sizes;
    nn_encoder_spec spec;
    if (!past || sasrec_measure(setup, &sizes, &spec, NULL) != FORAGE_OK ||
        nn_encoder_create(&spec, setup->device->isa, &sizes.encoder, NULL) != FORAGE_OK)
        return 0;
    size_t tokens, parts = list_parts(&sizes, past, takes_all_parts(&sizes), NULL, &tokens);
    size_t batch = batch_size(&sizes, parts, tokens);
    double events = (double)past->offsets[past->sequences], items = (double)sizes.items;
    double table = (items + (double)sizes.length) * (double)sizes.pitch * 4 + (double)sizes.encoder->value_count * 4;
    double bytes = table * 2 + (double)parts * (4 + sizeof(sasrec_part)) + (needs_owned(&sizes) ? 4 * events : 0) +
                   32 * items + setup->device->threads * (double)sasrec_encode_size(&sizes, SASREC_TOGETHER) +
                   AVERAGED * (double)sizes.pitch * 4;
    if (parts)
        bytes += sasrec_trainer_memory(&sizes, batch, most_tokens(&sizes, past, batch));
    nn_encoder_free(sizes.encoder);
    return bytes;
}

static void fit_free(model_fit *fit)
{
    if (!fit)
        return;
    sasrec_trainer_free(fit->trainer);
    model_validation_free(fit->validation);
    sasrec_negatives_release(&fit->negatives);
    forage_free(fit->parts);
    forage_free(fit->owned);
    forage_free(fit->order);
    forage_free((void *)fit->chosen);
    forage_free(fit->averaged);
    forage_free(fit->scratch);
    forage_free(fit->best);
    forage_free(fit);
}

static forage_status read_params(model_fit *fit, forage_error *error)
{
    const model_state *state = fit->state;
    const forage_params *values = state->params;
    fit->epochs = (size_t)forage_params_integer(values, "epochs");
    fit->patience = (size_t)forage_params_integer(values, "patience");
    fit->rate = model_rate_read(values);
    size_t tokens;
    fit->part_count = list_parts(state, fit->input->train->past, takes_all_parts(state), NULL, &tokens);
    if (fit->part_count == 0)
        return forage_fail(error, FORAGE_FORMAT,
                           "no user has two training rows with a value above 0: there is nothing that comes next");
    if (fit->part_count > UINT32_MAX - 1)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%zu histories are more than sasrec can number", fit->part_count);
    fit->batch = batch_size(state, fit->part_count, tokens);
    fit->steps = (fit->part_count + fit->batch - 1) / fit->batch;
    return FORAGE_OK;
}

static bool allocate(model_fit *fit)
{
    const model_state *state = fit->state;
    const forage_past *past = fit->input->train->past;
    bool owned = needs_owned(state);
    fit->parts = forage_alloc(fit->part_count, sizeof *fit->parts);
    fit->order = forage_alloc(fit->part_count, sizeof *fit->order);
    fit->chosen = forage_alloc(fit->batch, sizeof *fit->chosen);
    fit->averaged = forage_alloc(AVERAGED, state->pitch * sizeof *fit->averaged);
    fit->scratch_size = sasrec_encode_size(state, SASREC_TOGETHER);
    fit->scratch = forage_alloc((size_t)state->device->threads, fit->scratch_size);
    if (owned)
        fit->owned = forage_alloc(past->offsets[past->sequences], sizeof *fit->owned);
    fit->best =
        forage_alloc((state->items + state->length) * state->pitch + state->encoder->value_count, sizeof *fit->best);
    return fit->parts && fit->order && fit->chosen && fit->averaged && fit->scratch && fit->best &&
           (fit->owned || !owned);
}

forage_status sasrec_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error)
{
    model_fit *made = forage_calloc(1, sizeof *made);
    forage_status status;
    *fit = NULL;
    if (!made)
        return out_of_memory(error);
    made->state = state;
    made->input = input;
    made->pace = model_pace_begin(input);
    FORAGE_TRY_GOTO(read_params(made, error), fail);
    if (!allocate(made)) {
        status = out_of_memory(error);
        goto fail;
    }
    size_t tokens;
    (void)list_parts(state, input->train->past, takes_all_parts(state), made->parts, &tokens);
    if (made->owned)
        list_owned(made);
    FORAGE_TRY_GOTO(sasrec_negatives_create(state, input->train->past, &made->negatives, error), fail);
    FORAGE_TRY_GOTO(sasrec_trainer_create(state, made->batch, most_tokens(state, input->train->past, made->batch),
                                          dropout(state, input->train->past), &made->negatives, &made->trainer, error),
                    fail);
    FORAGE_TRY_GOTO(
        model_validation_create_next(state->setup, input, &sasrec_catalogue, state, &made->validation, error), fail);
    forage_rng_seed_stream(&made->rng, state->seed, SASREC_STREAM_ORDER);
    made->guard = (model_guard){sasrec_trainer_guess(made->trainer), made->rate.rate};
    made->loss[LOSS_RUNNING] = made->guard.guess;
    made->loss[LOSS_METRIC] = NAN;
    made->loss[LOSS_BEST] = INFINITY;
    *fit = made;
    return FORAGE_OK;
fail:
    fit_free(made);
    return status;
}

/* ---- steps ---- */

static double step_share(const model_fit *fit)
{
    return 1 / ((double)fit->epochs * (double)fit->steps);
}

/* How far the fit is, in [0, 1]: by steps, or by the time there is. */
static double share_done(const model_fit *fit)
{
    return model_pace_share(&fit->pace, (double)fit->trainer->steps * step_share(fit));
}

static forage_status learn(model_fit *fit, forage_error *error)
{
    if (!fit->drawn) {
        fit->after = fit->rng;
        for (size_t p = 0; p < fit->part_count; p++)
            fit->order[p] = (uint32_t)p;
        forage_rng_permute(&fit->after, fit->order, fit->part_count);
        fit->drawn = true;
    }
    size_t begin = (size_t)fit->at[AT_STEP] * fit->batch, left = fit->part_count - begin;
    size_t count = left < fit->batch ? left : fit->batch, tokens = 0;
    for (size_t b = 0; b < count; b++) {
        fit->chosen[b] = &fit->parts[fit->order[begin + b]];
        tokens += fit->chosen[b]->count;
    }
    double loss = sasrec_trainer_step(fit->trainer, fit->chosen, count,
                                      model_rate_at(&fit->rate, share_done(fit), step_share(fit)));
    FORAGE_TRY(model_guard_step(&fit->guard, loss, tokens, &fit->loss[LOSS_RUNNING], (size_t)fit->at[AT_EPOCH] + 1,
                                (size_t)fit->at[AT_STEP] + 1, error));
    fit->loss[LOSS_SUM] += loss * (double)tokens;
    fit->loss[LOSS_POSITIONS] += (double)tokens;
    fit->at[AT_TOKENS] += tokens;
    fit->at[AT_STEP]++;
    return FORAGE_OK;
}

/* ---- what is kept ---- */

/* The weights to a block that holds them all, or back. */
static void copy_weights(const model_fit *fit, float *block, bool back)
{
    model_state *state = fit->state;
    float *const weights[] = {state->table, state->encoder->values, state->positions};
    const size_t counts[] = {state->items * state->pitch, state->encoder->value_count, state->length * state->pitch};
    for (size_t i = 0; i < 3; block += counts[i], i++)
        memcpy(back ? weights[i] : block, back ? block : weights[i], counts[i] * sizeof *block);
}

/* Weights are kept if they are the best so far, by the validation metric or, against a divergence, by the loss. */
static void judge(model_fit *fit)
{
    double worth = model_guard_worth(&fit->guard, fit->loss[LOSS_TRAIN], fit->loss[LOSS_RUNNING]);
    if (fit->validation) {
        fit->loss[LOSS_METRIC] = model_validation_run(fit->validation);
        worth = -fit->loss[LOSS_METRIC];
    }
    fit->at[AT_STALE]++;
    if (!(worth < fit->loss[LOSS_BEST]))
        return;
    fit->loss[LOSS_BEST] = worth;
    fit->at[AT_BEST_EPOCH] = fit->at[AT_EPOCH];
    fit->at[AT_STALE] = 0;
    copy_weights(fit, fit->best, false);
}

/* The end of an epoch, or of as much of it as there was time for. */
static void epoch_end(model_fit *fit)
{
    double begun = forage_clock();
    fit->rng = fit->after;
    fit->drawn = false;
    fit->at[AT_EPOCH]++;
    fit->at[AT_STEP] = 0;
    fit->loss[LOSS_TRAIN] = fit->loss[LOSS_SUM] > 0 ? fit->loss[LOSS_SUM] / fit->loss[LOSS_POSITIONS] : 0;
    fit->loss[LOSS_SUM] = fit->loss[LOSS_POSITIONS] = 0;
    sasrec_trainer_settle(fit->trainer);
    judge(fit);
    model_pace_end(&fit->pace, begun);
}

forage_status sasrec_fit_step(model_fit *fit, model_progress *progress, forage_error *error)
{
    bool late = false;
    for (size_t i = 0; i < STEPS_PER_CALL && fit->at[AT_STEP] < fit->steps && !late; i++) {
        double begun = forage_clock();
        forage_status status = learn(fit, error);
        if (status == FORAGE_DIVERGED) {
            fit->diverged = true;
            progress->best_epoch = (size_t)fit->at[AT_BEST_EPOCH];
            progress->guess = fit->guard.guess;
        }
        FORAGE_TRY(status);
        model_pace_step(&fit->pace, begun);
        late = model_pace_late(&fit->pace);
    }
    if (late || fit->at[AT_STEP] == fit->steps)
        epoch_end(fit);
    progress->done = fit->at[AT_TOKENS];
    progress->total = (uint64_t)((double)progress->done / fmax(share_done(fit), 1e-9));
    progress->epochs = (size_t)fit->at[AT_EPOCH];
    progress->train_loss = fit->loss[LOSS_TRAIN];
    progress->validation_metric = fit->loss[LOSS_METRIC];
    progress->best_epoch = (size_t)fit->at[fit->validation ? AT_BEST_EPOCH : AT_EPOCH];
    progress->stopped_early =
        fit->validation && fit->patience && fit->at[AT_STALE] >= fit->patience && fit->at[AT_EPOCH] < fit->epochs;
    progress->out_of_time = late && fit->at[AT_EPOCH] < fit->epochs;
    progress->finished = progress->stopped_early || late || fit->at[AT_EPOCH] >= fit->epochs;
    return FORAGE_OK;
}

/* ---- the average ---- */

static size_t averaged(const model_fit *fit)
{
    return fit->part_count < AVERAGED ? fit->part_count : AVERAGED;
}

static void average_chunk(void *context, size_t chunk, int worker)
{
    const model_fit *fit = context;
    size_t first = chunk * SASREC_TOGETHER, rest = averaged(fit) - first;
    size_t count = rest < SASREC_TOGETHER ? rest : SASREC_TOGETHER;
    sasrec_history histories[SASREC_TOGETHER];
    for (size_t i = 0; i < count; i++) {
        const sasrec_part *part = &fit->parts[(first + i) * fit->part_count / averaged(fit)];
        histories[i] = (sasrec_history){part->items, NULL, (size_t)part->count + 1};
    }
    sasrec_encode(fit->state, histories, count, SASREC_TOGETHER, fit->scratch + (size_t)worker * fit->scratch_size,
                  fit->averaged + first * fit->state->pitch);
}

/* Somebody without a history has the mean of those who have one. */
static void take_average(model_fit *fit)
{
    model_state *state = fit->state;
    size_t count = averaged(fit);
    forage_parallel_for(state->device->threads, (count + SASREC_TOGETHER - 1) / SASREC_TOGETHER, average_chunk, fit);
    for (size_t j = 0; j < state->pitch; j++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += (double)fit->averaged[i * state->pitch + j];
        state->average[j] = (float)(sum / (double)count);
    }
}

void sasrec_fit_end(model_fit *fit, bool keep)
{
    if (!fit)
        return;
    if (keep)
        sasrec_trainer_settle(fit->trainer);
    if (keep && (fit->validation || fit->diverged) && fit->at[AT_BEST_EPOCH] > 0)
        copy_weights(fit, fit->best, true);
    if (keep) {
        sasrec_refresh(fit->state);
        take_average(fit);
    }
    fit_free(fit);
}

/* ---- interruption ---- */

/* A block of a fit's numbers in its state file. */
typedef struct block {
    const char *name;
    float *numbers;
    size_t count;
} block;

enum { BLOCKS = 6 };

static void list_blocks(const model_fit *fit, block blocks[BLOCKS])
{
    const model_state *state = fit->state;
    const sasrec_trainer *trainer = fit->trainer;
    size_t all = trainer->table_count + trainer->dense_count;
    const block list[BLOCKS] = {
        {"fit.items", state->table, trainer->table_count},
        {"fit.positions", state->positions, state->length * state->pitch},
        {"fit.encoder", state->encoder->values, state->encoder->value_count},
        {"fit.mean", trainer->mean, all},
        {"fit.square", trainer->square, all},
        {"fit.best", fit->best, all},
    };
    memcpy(blocks, list, sizeof list);
}

forage_status sasrec_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error)
{
    model_fit *owner = (model_fit *)(uintptr_t)fit; /* its numbers live as long as the fit */
    size_t numbers = AT_COUNT, losses = LOSS_COUNT;
    block blocks[BLOCKS];
    sasrec_trainer_settle(fit->trainer);
    model_rng_save(&fit->rng, owner->at + AT_RNG);
    owner->at[AT_ADAM] = fit->trainer->steps;
    if (fit->at[AT_BEST_EPOCH] == 0) /* nothing yet: what is there shall not be chance */
        memset(owner->best, 0, (fit->trainer->table_count + fit->trainer->dense_count) * sizeof *fit->best);
    list_blocks(fit, blocks);
    for (size_t b = 0; b < BLOCKS; b++) {
        FORAGE_TRY(
            nn_checkpoint_add(checkpoint, blocks[b].name, NN_F32, 1, &blocks[b].count, blocks[b].numbers, error));
    }
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.losses", NN_F64, 1, &losses, fit->loss, error));
    return nn_checkpoint_add(checkpoint, "fit.at", NN_I64, 1, &numbers, fit->at, error);
}

forage_status sasrec_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error)
{
    size_t numbers = AT_COUNT, losses = LOSS_COUNT;
    const char *path = nn_checkpoint_path(checkpoint);
    block blocks[BLOCKS];
    list_blocks(fit, blocks);
    for (size_t b = 0; b < BLOCKS; b++) {
        FORAGE_TRY(
            nn_checkpoint_read_weights(checkpoint, blocks[b].name, 1, &blocks[b].count, blocks[b].numbers, error));
    }
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.losses", NN_F64, 1, &losses, fit->loss, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.at", NN_I64, 1, &numbers, fit->at, error));
    const uint64_t *at = fit->at;
    if (at[AT_EPOCH] > fit->epochs || at[AT_STEP] >= fit->steps || at[AT_BEST_EPOCH] > at[AT_EPOCH] ||
        at[AT_ADAM] != at[AT_EPOCH] * fit->steps + at[AT_STEP] || !isfinite(fit->loss[LOSS_SUM]) ||
        !isfinite(fit->loss[LOSS_POSITIONS]) || !model_rng_load(at + AT_RNG, &fit->rng))
        return forage_fail_at(error, FORAGE_FORMAT, path, 0, "fit.at", "these numbers are not those of this fit");
    fit->trainer->steps = at[AT_ADAM];
    fit->drawn = false;
    sasrec_refresh(fit->state);
    return FORAGE_OK;
}
