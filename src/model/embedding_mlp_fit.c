/*
 * embedding_mlp_fit.c: the loop of fitting.
 *
 * Objective: mean binary cross-entropy over the training rows, by Adam on
 * batches in an order that is drawn afresh for every epoch. Rewards between 0 and
 * 1 are read as probabilities.
 *
 * Stops after `epochs`, or, with `patience`, when the validation loss has not
 * fallen for so many epochs; then the weights of the best epoch are kept.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "model/embedding_mlp.h"
#include "model/training.h"

enum {
    LOSS_ROWS = 2048, /* validation rows per chunk */
};

static const double WORK_PER_CALL = 1e9; /* multiply-adds per call of fit_step, so that someone who waits is heard */
static const double GUESS = 0.69314718055994531; /* log 2: the loss of saying 1/2 */

/* Numbers of a fit that go into its state file as they are. */
enum { AT_EPOCH, AT_STEP, AT_ADAM, AT_BEST_EPOCH, AT_STALE, AT_RNG, AT_COUNT = AT_RNG + MODEL_RNG_WORDS };
enum { LOSS_SUM, LOSS_TRAIN, LOSS_VALIDATION, LOSS_BEST, LOSS_RUNNING, LOSS_COUNT };

struct model_fit {
    model_state *state;
    const model_fit_input *input;
    nn_trainer *trainer;
    size_t epochs, batch, patience, steps; /* steps per epoch */
    model_rate rate;
    model_pace pace;
    model_guard guard;
    bool diverged;
    double work;             /* of a step, about: multiply-adds */
    forage_rng order, after; /* as it is before and after the permutation of epoch at[AT_EPOCH] */
    nn_epoch *epoch;         /* its rows, once `drawn` */
    bool drawn;
    float *best; /* [value_count] as of epoch at[AT_BEST_EPOCH] */
    uint64_t dropout_seed;
    const void **pointers;
    embedding_mlp_columns train, validation;
    double *chunk_losses; /* of the validation rows */
    char *scratch;        /* per thread: scratch_size bytes, LOSS_ROWS logits, LOSS_ROWS of what the loss leaves */
    size_t scratch_size;
    uint64_t at[AT_COUNT]; /* epochs done, steps of this epoch done ... */
    double losses[LOSS_COUNT];
};

static void fit_free(model_fit *fit)
{
    if (!fit)
        return;
    nn_trainer_free(fit->trainer);
    nn_epoch_free(fit->epoch);
    forage_free(fit->best);
    forage_free(fit->pointers);
    forage_free(fit->chunk_losses);
    forage_free(fit->scratch);
    forage_free(fit);
}

/* Forward, and twice as much backward; Adam moves bytes, which takes its time for each weight. */
static double work_of(const nn_mlp *mlp, size_t rows)
{
    double row = 0;
    for (size_t l = 0; l < mlp->layer_count; l++)
        row += (double)mlp->layers[l].in_stride * (double)mlp->layers[l].out_stride;
    return 3 * (double)rows * row + 32 * (double)mlp->value_count;
}

/* Everything of a fit that is allocated here. False when memory runs out. */
static bool fit_allocate(model_fit *fit)
{
    const nn_mlp *mlp = fit->state->mlp;
    size_t tables = mlp->table_count, total = tables + mlp->number_count;
    fit->best = forage_calloc(mlp->value_count, sizeof *fit->best);
    fit->pointers = forage_calloc(2 * total, sizeof *fit->pointers);
    fit->chunk_losses = forage_calloc(fit->input->validation->count / LOSS_ROWS + 1, sizeof *fit->chunk_losses);
    fit->scratch_size = nn_mlp_scratch_size(mlp);
    fit->scratch =
        forage_calloc((size_t)fit->state->device->threads, fit->scratch_size + 2 * LOSS_ROWS * sizeof(float));
    if (!fit->best || !fit->pointers || !fit->chunk_losses || !fit->scratch)
        return false;
    fit->train = (embedding_mlp_columns){(const uint32_t **)fit->pointers, (const float **)(fit->pointers + tables)};
    fit->validation = (embedding_mlp_columns){(const uint32_t **)(fit->pointers + total),
                                              (const float **)(fit->pointers + total + tables)};
    embedding_mlp_sort_columns(fit->state, fit->input->train, &fit->train);
    embedding_mlp_sort_columns(fit->state, fit->input->validation, &fit->validation);
    return true;
}

forage_status embedding_mlp_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit,
                                      forage_error *error)
{
    const forage_params *values = state->params;
    *fit = NULL;
    if (input->train->count > UINT32_MAX - 1)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%zu training rows are more than embedding-mlp can number",
                           input->train->count);
    model_fit *made = forage_calloc(1, sizeof *made);
    if (!made)
        return embedding_mlp_out_of_memory(error);
    made->state = state;
    made->input = input;
    made->epochs = (size_t)forage_params_integer(values, "epochs");
    made->batch = (size_t)forage_params_integer(values, "batch-size");
    if (made->batch > input->train->count)
        made->batch = input->train->count;
    made->steps = (input->train->count + made->batch - 1) / made->batch;
    made->work = work_of(state->mlp, made->batch);
    made->patience = input->validation->count ? (size_t)forage_params_integer(values, "patience") : 0;
    made->rate = model_rate_read(values);
    made->pace = model_pace_begin(input);
    made->guard = (model_guard){GUESS, made->rate.rate};
    made->losses[LOSS_RUNNING] = GUESS;
    made->losses[LOSS_BEST] = INFINITY;
    made->losses[LOSS_VALIDATION] = NAN;
    forage_rng_seed_stream(&made->order, state->seed, EMBEDDING_MLP_STREAM_DROPOUT);
    made->dropout_seed = forage_rng_u64(&made->order);
    forage_rng_seed_stream(&made->order, state->seed, EMBEDDING_MLP_STREAM_ORDER);
    nn_settings settings = {.beta1 = forage_params_real(values, "beta1"),
                            .beta2 = forage_params_real(values, "beta2"),
                            .epsilon = forage_params_real(values, "epsilon"),
                            .decay = forage_params_real(values, "weight-decay"),
                            .table_decay = forage_params_real(values, "embedding-decay"),
                            .decoupled = strcmp(forage_params_text(values, "decay"), "decoupled") == 0,
                            .lazy = strcmp(forage_params_text(values, "embedding-updates"), "lazy") == 0,
                            .dropout = forage_params_real(values, "dropout"),
                            .input_dropout = forage_params_real(values, "embedding-dropout")};
    forage_status status =
        nn_trainer_create(state->mlp, &settings, made->batch, state->device->threads, &made->trainer, error);
    if (status == FORAGE_OK && !fit_allocate(made))
        status = embedding_mlp_out_of_memory(error);
    if (status == FORAGE_OK) {
        nn_inputs all = {.codes = made->train.codes, .numbers = made->train.numbers};
        status = nn_epoch_create(state->mlp, &all, input->train->reward, input->train->count, made->batch,
                                 state->device->threads, &made->epoch, error);
    }
    if (status != FORAGE_OK) {
        fit_free(made);
        return status;
    }
    *fit = made;
    return FORAGE_OK;
}

/* The summed loss of one chunk of validation rows. */
static void work_loss(void *context, size_t chunk, int worker)
{
    model_fit *fit = context;
    const nn_mlp *mlp = fit->state->mlp;
    const forage_examples *examples = fit->input->validation;
    char *scratch = fit->scratch + (size_t)worker * (fit->scratch_size + 2 * LOSS_ROWS * sizeof(float));
    float *z = (float *)(scratch + fit->scratch_size), *rewards = z + LOSS_ROWS;
    nn_inputs inputs = {.codes = fit->validation.codes, .numbers = fit->validation.numbers};
    inputs.first = chunk * LOSS_ROWS;
    inputs.count = examples->count - inputs.first < LOSS_ROWS ? examples->count - inputs.first : LOSS_ROWS;
    nn_mlp_logits(mlp, &inputs, scratch, z);
    double sum = 0.0;
    for (size_t i = 0; i < inputs.count; i++)
        rewards[i] = examples->reward ? examples->reward[inputs.first + i] : 1.0F;
    for (size_t i = 0; i < inputs.count; i += NN_LOSS_ROWS) {
        float gradient[NN_LOSS_ROWS];
        size_t rows = inputs.count - i < NN_LOSS_ROWS ? inputs.count - i : NN_LOSS_ROWS;
        sum += mlp->kernels->loss(rows, z + i, rewards + i, 1.0F, gradient);
    }
    fit->chunk_losses[chunk] = sum;
}

/* Mean loss of the validation rows, NaN without any. */
static double validation_loss(model_fit *fit)
{
    size_t count = fit->input->validation->count, chunks = (count + LOSS_ROWS - 1) / LOSS_ROWS;
    if (count == 0)
        return NAN;
    forage_parallel_for(fit->state->device->threads, chunks, work_loss, fit);
    double sum = 0.0;
    for (size_t i = 0; i < chunks; i++)
        sum += fit->chunk_losses[i];
    return sum / (double)count;
}

/* The epoch whose weights are kept when the fit ends. */
static size_t kept_epoch(const model_fit *fit)
{
    return (size_t)fit->at[fit->patience || fit->diverged ? AT_BEST_EPOCH : AT_EPOCH];
}

/* Losses, the best weights, and whether to go on. The epoch may have ended before its time. */
static forage_status epoch_end(model_fit *fit, forage_error *error)
{
    nn_mlp *mlp = fit->state->mlp;
    size_t count = fit->input->train->count, done = (size_t)fit->at[AT_STEP] * fit->batch;
    size_t rows = done < count ? done : count;
    nn_mlp_average_rows(mlp);
    fit->order = fit->after;
    fit->drawn = false;
    fit->at[AT_EPOCH]++;
    fit->at[AT_STEP] = 0;
    fit->losses[LOSS_TRAIN] = fit->losses[LOSS_SUM] / (double)rows;
    fit->losses[LOSS_SUM] = 0.0;
    fit->losses[LOSS_VALIDATION] = validation_loss(fit);
    double worth = model_guard_worth(&fit->guard, fit->losses[LOSS_TRAIN], fit->losses[LOSS_RUNNING]);
    if (fit->input->validation->count) {
        worth = fit->losses[LOSS_VALIDATION];
        FORAGE_TRY(
            model_guard_validation(&fit->guard, worth, fit->losses[LOSS_BEST], (size_t)fit->at[AT_EPOCH], error));
    }
    if (worth < fit->losses[LOSS_BEST]) {
        fit->losses[LOSS_BEST] = worth;
        fit->at[AT_BEST_EPOCH] = fit->at[AT_EPOCH];
        fit->at[AT_STALE] = 0;
        memcpy(fit->best, mlp->values, mlp->value_count * sizeof *fit->best);
    } else {
        fit->at[AT_STALE]++;
    }
    return FORAGE_OK;
}

/* The seed of the next step's dropout. */
static uint64_t dropout_key(const model_fit *fit)
{
    return fit->dropout_seed + nn_trainer_steps(fit->trainer) * 0xd1342543de82ef95U;
}

static forage_status take_step(model_fit *fit, forage_error *error)
{
    const float *reward;
    nn_inputs inputs = nn_epoch_batch(fit->epoch, (size_t)fit->at[AT_STEP], &reward);
    double begun = forage_clock(), all = (double)fit->epochs * (double)fit->steps;
    double share = model_pace_share(&fit->pace, (double)nn_trainer_steps(fit->trainer) / all);
    double loss =
        nn_trainer_step(fit->trainer, &inputs, reward, model_rate_at(&fit->rate, share, 1 / all), dropout_key(fit));
    FORAGE_TRY(model_guard_step(&fit->guard, loss / (double)inputs.count, inputs.count, &fit->losses[LOSS_RUNNING],
                                (size_t)fit->at[AT_EPOCH] + 1, (size_t)fit->at[AT_STEP] + 1, error));
    fit->losses[LOSS_SUM] += loss;
    fit->at[AT_STEP]++;
    model_pace_step(&fit->pace, begun);
    return FORAGE_OK;
}

/* Steps of the epoch, until it ends or there is something to tell, and what comes at its end. */
static forage_status take_steps(model_fit *fit, bool *late, forage_error *error)
{
    *late = false;
    if (!fit->drawn) {
        fit->after = fit->order;
        nn_epoch_draw(fit->epoch, &fit->after);
        fit->drawn = true;
    }
    for (double work = 0; work < WORK_PER_CALL && fit->at[AT_STEP] < fit->steps && !*late; work += fit->work) {
        FORAGE_TRY(take_step(fit, error));
        *late = model_pace_late(&fit->pace);
    }
    if (!*late && fit->at[AT_STEP] < fit->steps)
        return FORAGE_OK;
    double begun = forage_clock();
    FORAGE_TRY(epoch_end(fit, error));
    model_pace_end(&fit->pace, begun);
    return FORAGE_OK;
}

forage_status embedding_mlp_fit_step(model_fit *fit, model_progress *progress, forage_error *error)
{
    size_t count = fit->input->train->count;
    bool late;
    forage_status status = take_steps(fit, &late, error);
    fit->diverged = status == FORAGE_DIVERGED;
    progress->best_epoch = kept_epoch(fit);
    progress->guess = GUESS;
    FORAGE_TRY(status);
    progress->stopped_early = fit->patience && fit->at[AT_STALE] >= fit->patience && fit->at[AT_EPOCH] < fit->epochs;
    progress->out_of_time = late && fit->at[AT_EPOCH] < fit->epochs;
    progress->finished = progress->stopped_early || late || fit->at[AT_EPOCH] >= fit->epochs;
    progress->done = fit->at[AT_EPOCH] * count + (fit->at[AT_STEP] * fit->batch);
    progress->total = (uint64_t)fit->epochs * count;
    progress->epochs = (size_t)fit->at[AT_EPOCH];
    progress->train_loss = fit->losses[LOSS_TRAIN];
    progress->validation_loss = fit->losses[LOSS_VALIDATION];
    /* What fit_save adds must lie somewhere until the next step. */
    fit->at[AT_ADAM] = nn_trainer_steps(fit->trainer);
    model_rng_save(&fit->order, &fit->at[AT_RNG]);
    return FORAGE_OK;
}

void embedding_mlp_fit_end(model_fit *fit, bool keep)
{
    if (!fit)
        return;
    nn_mlp *mlp = fit->state->mlp;
    if (keep && (fit->patience || fit->diverged) && fit->at[AT_BEST_EPOCH] > 0)
        memcpy(mlp->values, fit->best, mlp->value_count * sizeof *fit->best);
    if (keep)
        nn_mlp_refresh(mlp);
    fit_free(fit);
}

/* ---- interruption ------------------------------------------------------------------ */

/* The tensors of a state: whole blocks as they lie in memory, padding and all. */
forage_status embedding_mlp_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error)
{
    size_t count = fit->state->mlp->value_count, numbers = AT_COUNT, losses = LOSS_COUNT;
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.values", NN_F32, 1, &count, fit->state->mlp->values, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.mean", NN_F32, 1, &count, nn_trainer_mean(fit->trainer), error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.square", NN_F32, 1, &count, nn_trainer_square(fit->trainer), error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.best", NN_F32, 1, &count, fit->best, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.losses", NN_F64, 1, &losses, fit->losses, error));
    return nn_checkpoint_add(checkpoint, "fit.at", NN_I64, 1, &numbers, fit->at, error);
}

forage_status embedding_mlp_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error)
{
    nn_mlp *mlp = fit->state->mlp;
    size_t count = mlp->value_count, numbers = AT_COUNT, losses = LOSS_COUNT;
    const char *path = nn_checkpoint_path(checkpoint);
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "fit.values", 1, &count, mlp->values, error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "fit.mean", 1, &count, nn_trainer_mean(fit->trainer), error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "fit.square", 1, &count, nn_trainer_square(fit->trainer), error));
    FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, "fit.best", 1, &count, fit->best, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.losses", NN_F64, 1, &losses, fit->losses, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.at", NN_I64, 1, &numbers, fit->at, error));
    const uint64_t *at = fit->at;
    if (at[AT_EPOCH] > fit->epochs || at[AT_STEP] >= fit->steps || at[AT_BEST_EPOCH] > at[AT_EPOCH] ||
        at[AT_ADAM] != at[AT_EPOCH] * fit->steps + at[AT_STEP] || !isfinite(fit->losses[LOSS_SUM]) ||
        !model_rng_load(&at[AT_RNG], &fit->order))
        return forage_fail_at(error, FORAGE_FORMAT, path, 0, "fit.at", "these numbers are not those of this fit");
    nn_trainer_set_steps(fit->trainer, at[AT_ADAM]);
    for (size_t l = 0; l < mlp->layer_count; l++)
        nn_mlp_transpose(mlp, l, 0, mlp->layers[l].out_stride);
    fit->drawn = false;
    return FORAGE_OK;
}
