/*
 * bst_fit.c: the loop of fitting: epochs of batches in an order that is drawn afresh for each, a learning rate that may
 * fall, an end when the validation loss no longer does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/bst.h"
#include "model/training.h"

enum {
    LOSS_ROWS = NN_LOSS_ROWS, /* validation rows per chunk */
};

static const double WORK_PER_CALL = 1e9; /* multiply-adds per call of fit_step, so that someone who waits is heard */
static const double GUESS = 0.69314718055994531; /* log 2: the loss of saying 1/2 */

/* Numbers of a fit that go into its state file as they are. */
enum { AT_EPOCH, AT_STEP, AT_ADAM, AT_BEST_EPOCH, AT_STALE, AT_AVERAGED, AT_RNG, AT_COUNT = AT_RNG + MODEL_RNG_WORDS };
enum { LOSS_SUM, LOSS_TRAIN, LOSS_VALIDATION, LOSS_BEST, LOSS_RUNNING, LOSS_COUNT };

struct model_fit {
    model_state *state;
    const model_fit_input *input;
    bst_trainer *trainer;
    bst_block blocks[BST_BLOCKS];
    size_t block_count;
    size_t epochs, batch, patience, steps; /* steps per epoch */
    model_rate rate;
    model_pace pace;
    model_guard guard;
    bool diverged, late;   /* no time is left for another step */
    double ending;         /* clock when the validation of this epoch began; 0: it has not */
    size_t validated;      /* chunks of it so far */
    forage_rng rng, after; /* as it is before and after the permutation of epoch at[AT_EPOCH] */
    uint32_t *order;       /* the rows in that permutation, once `drawn` */
    bool drawn;
    float *best[BST_BLOCKS]; /* the values of epoch at[AT_BEST_EPOCH] */
    /* Steps of a rate that does not fall leave the weights on a walk about what is best. So what is validated and kept
     * may be an average: of at[AT_AVERAGED] epochs' ends, the older ones counting less. */
    double averaging;
    float *average[BST_BLOCKS]; /* NULL without */
    bool exchanged;             /* while it is validated the average stands in the model, and the weights here */
    uint64_t dropout_seed;
    double *chunk_losses; /* of the validation rows */
    char *scratch;        /* per thread: scratch_size bytes, then the logits and rewards of a chunk */
    size_t scratch_size;
    uint64_t at[AT_COUNT]; /* epochs done, steps of this epoch done ... */
    double losses[LOSS_COUNT];
};

static forage_status out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for fitting bst");
}

static void fit_free(model_fit *fit)
{
    if (!fit)
        return;
    bst_trainer_free(fit->trainer);
    for (size_t b = 0; b < BST_BLOCKS; b++) {
        forage_free(fit->best[b]);
        forage_free(fit->average[b]);
    }
    forage_free(fit->order);
    forage_free(fit->chunk_losses);
    forage_free(fit->scratch);
    forage_free(fit);
}

static bool fit_allocate(model_fit *fit)
{
    fit->block_count = bst_trainer_blocks(fit->trainer, fit->blocks);
    fit->order = forage_alloc(fit->input->train->count, sizeof *fit->order);
    fit->chunk_losses = forage_calloc(fit->input->validation->count / LOSS_ROWS + 1, sizeof *fit->chunk_losses);
    fit->scratch_size = bst_scratch_size(fit->state) + 2 * LOSS_ROWS * sizeof(float);
    fit->scratch = forage_alloc((size_t)fit->state->device->threads, fit->scratch_size);
    for (size_t b = 0; b < fit->block_count; b++) {
        if (!(fit->best[b] = forage_calloc(fit->blocks[b].count, sizeof(float))))
            return false;
        if (fit->averaging > 0 && !(fit->average[b] = forage_calloc(fit->blocks[b].count, sizeof(float))))
            return false;
    }
    return fit->order && fit->chunk_losses && fit->scratch;
}

/* Where the parameter leaves it to the log. Adam moves an embedding that nothing but the decay pulls at by a whole
 * step, however small the decay is. So where the layers above are large and slow to say something about embeddings, as
 * those over parts side by side are, a decay of 0.001 takes all embeddings to zero before they do, and nothing ever
 * comes back. */
static double table_decay(const model_state *state, size_t events)
{
    double given = forage_params_real(state->params, "embedding-decay");
    size_t id = model_schema_id(state->schema, FORAGE_OF_ITEM);
    bool sparse = id != SIZE_MAX && model_log_is_sparse(state->schema->fields[id].cardinality, events);
    bool side_by_side = strcmp(forage_params_text(state->params, "combine"), "concat") == 0;
    return given >= 0 ? given : !sparse ? 0 : side_by_side ? 0.0003 : 0.001;
}

static bst_settings read_settings(const forage_params *values, double embedding_decay)
{
    bst_settings settings = {.dropout = forage_params_real(values, "dropout"),
                             .embedding_dropout = forage_params_real(values, "embedding-dropout"),
                             .crop = forage_params_real(values, "crop")};
    settings.mlp = (nn_settings){.beta1 = forage_params_real(values, "beta1"),
                                 .beta2 = forage_params_real(values, "beta2"),
                                 .epsilon = forage_params_real(values, "epsilon"),
                                 .decay = forage_params_real(values, "weight-decay"),
                                 .table_decay = embedding_decay,
                                 .decoupled = strcmp(forage_params_text(values, "decay"), "decoupled") == 0,
                                 .lazy = strcmp(forage_params_text(values, "embedding-updates"), "lazy") == 0,
                                 .dropout = forage_params_real(values, "layer-dropout")};
    return settings;
}

forage_status bst_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error)
{
    const forage_params *values = state->params;
    *fit = NULL;
    if (input->train->count > UINT32_MAX - 1)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%zu training rows are more than bst can number",
                           input->train->count);
    FORAGE_TRY(bst_resolve(state, input->train, error));
    model_fit *made = forage_calloc(1, sizeof *made);
    if (!made)
        return out_of_memory(error);
    made->state = state;
    made->input = input;
    made->epochs = (size_t)forage_params_integer(values, "epochs");
    made->batch = (size_t)forage_params_integer(values, "batch-size");
    if (made->batch > input->train->count)
        made->batch = input->train->count;
    made->steps = (input->train->count + made->batch - 1) / made->batch;
    made->patience = input->validation->count ? (size_t)forage_params_integer(values, "patience") : 0;
    made->averaging = forage_params_real(values, "averaging");
    made->rate = model_rate_read(values);
    made->pace = model_pace_begin(input);
    made->guard = (model_guard){GUESS, made->rate.rate};
    made->losses[LOSS_RUNNING] = GUESS;
    made->losses[LOSS_BEST] = INFINITY;
    made->losses[LOSS_VALIDATION] = NAN;
    forage_rng_seed_stream(&made->rng, state->seed, BST_STREAM_DROPOUT);
    made->dropout_seed = forage_rng_u64(&made->rng);
    forage_rng_seed_stream(&made->rng, state->seed, BST_STREAM_ORDER);
    bst_settings settings = read_settings(values, table_decay(state, input->train->count));
    forage_status status =
        bst_trainer_create(state, &settings, made->batch, state->device->threads, &made->trainer, error);
    if (status == FORAGE_OK && !fit_allocate(made))
        status = out_of_memory(error);
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
    const forage_examples *examples = fit->input->validation;
    char *scratch = fit->scratch + (size_t)worker * fit->scratch_size;
    float *z = (float *)(scratch + fit->scratch_size) - 2 * LOSS_ROWS, *rewards = z + LOSS_ROWS;
    float gradient[LOSS_ROWS];
    chunk += fit->validated;
    size_t first = chunk * LOSS_ROWS;
    size_t count = examples->count - first < LOSS_ROWS ? examples->count - first : LOSS_ROWS;
    bst_logits(fit->state, examples, first, count, scratch, z);
    for (size_t i = 0; i < count; i++)
        rewards[i] = examples->reward ? examples->reward[first + i] : 1.0F;
    fit->chunk_losses[chunk] = fit->state->mlp->kernels->loss(count, z, rewards, 1.0F, gradient);
}

/* About how many multiply-adds it takes to score examples rows[0 ... count) (NULL: first, first + 1 ...). */
static double work_of(const model_fit *fit, const forage_examples *examples, const uint32_t *rows, size_t first,
                      size_t count)
{
    const model_state *state = fit->state;
    double token = state->encoder ? (double)state->encoder->value_count : (double)state->stride, row = 0;
    size_t tokens = count;
    for (size_t i = 0; i < count; i++) {
        size_t at = rows ? rows[i] : first + i, events = examples->past->end[at] - examples->past->begin[at];
        tokens += events < state->length ? events : state->length;
    }
    for (size_t l = 0; l < state->mlp->layer_count; l++)
        row += (double)state->mlp->layers[l].in_stride * (double)state->mlp->layers[l].out_stride;
    return (double)tokens * token + (double)count * row;
}

static size_t validation_chunks(const model_fit *fit)
{
    return (fit->input->validation->count + LOSS_ROWS - 1) / LOSS_ROWS;
}

/* Works out losses of some more validation rows. */
static void validate(model_fit *fit)
{
    const forage_examples *examples = fit->input->validation;
    size_t threads = (size_t)fit->state->device->threads, chunks = 0, left = validation_chunks(fit) - fit->validated;
    for (double work = 0; chunks < left && (work < WORK_PER_CALL || chunks % threads); chunks++) {
        size_t first = (fit->validated + chunks) * LOSS_ROWS, rest = examples->count - first;
        work += work_of(fit, examples, NULL, first, rest < LOSS_ROWS ? rest : LOSS_ROWS);
    }
    forage_parallel_for((int)threads, chunks, work_loss, fit);
    fit->validated += chunks;
}

/* Mean loss of the validation rows, NaN without any, or if there was no time for all. */
static double validation_loss(const model_fit *fit)
{
    size_t chunks = validation_chunks(fit);
    if (chunks == 0 || fit->validated < chunks)
        return NAN;
    double sum = 0.0;
    for (size_t i = 0; i < chunks; i++)
        sum += fit->chunk_losses[i];
    return sum / (double)fit->input->validation->count;
}

/* The epoch whose weights are kept when the fit ends. */
static size_t kept_epoch(const model_fit *fit)
{
    return (size_t)fit->at[fit->patience || fit->diverged ? AT_BEST_EPOCH : AT_EPOCH];
}

/* Losses, the best weights, and whether to go on. The epoch may have ended before its time. */
static forage_status epoch_end(model_fit *fit, forage_error *error)
{
    size_t count = fit->input->train->count, done = (size_t)fit->at[AT_STEP] * fit->batch;
    size_t rows = done < count ? done : count;
    bool whole = fit->validated == validation_chunks(fit);
    fit->rng = fit->after;
    fit->drawn = false;
    fit->at[AT_EPOCH]++;
    fit->at[AT_STEP] = 0;
    fit->losses[LOSS_TRAIN] = fit->losses[LOSS_SUM] / (double)rows;
    fit->losses[LOSS_SUM] = 0.0;
    fit->losses[LOSS_VALIDATION] = validation_loss(fit);
    double worth = model_guard_worth(&fit->guard, fit->losses[LOSS_TRAIN], fit->losses[LOSS_RUNNING]);
    if (!whole) { /* nothing is known of it */
        worth = INFINITY;
    } else if (fit->input->validation->count) {
        worth = fit->losses[LOSS_VALIDATION];
        FORAGE_TRY(
            model_guard_validation(&fit->guard, worth, fit->losses[LOSS_BEST], (size_t)fit->at[AT_EPOCH], error));
    }
    if (worth < fit->losses[LOSS_BEST]) {
        fit->losses[LOSS_BEST] = worth;
        fit->at[AT_BEST_EPOCH] = fit->at[AT_EPOCH];
        fit->at[AT_STALE] = 0;
        for (size_t b = 0; b < fit->block_count; b++)
            memcpy(fit->best[b], fit->blocks[b].values, fit->blocks[b].count * sizeof(float));
    } else {
        fit->at[AT_STALE]++;
    }
    return FORAGE_OK;
}

static void exchange(model_fit *fit)
{
    for (size_t b = 0; b < fit->block_count; b++) {
        float *values = fit->blocks[b].values, *average = fit->average[b];
        for (size_t i = 0; i < fit->blocks[b].count; i++) {
            float kept = values[i];
            values[i] = average[i];
            average[i] = kept;
        }
    }
    fit->exchanged = !fit->exchanged;
    bst_refresh(fit->state);
}

/* The weights that the epoch ends with become part of the average. */
static void average(model_fit *fit)
{
    float share = fit->at[AT_AVERAGED] ? (float)(1 - fit->averaging) : 1.0F;
    for (size_t b = 0; b < fit->block_count; b++) {
        for (size_t i = 0; i < fit->blocks[b].count; i++) /* weights that stay are their own average, to the bit */
            fit->average[b][i] += share * (fit->blocks[b].values[i] - fit->average[b][i]);
    }
    fit->at[AT_AVERAGED]++;
}

/* All steps of the epoch are done: makes ready what is to be validated. */
static void validation_begin(model_fit *fit)
{
    fit->ending = forage_clock();
    fit->validated = 0;
    if (fit->averaging > 0) {
        if (fit->at[AT_AVERAGED] == fit->at[AT_EPOCH]) /* else a fit that was interrupted here goes on */
            average(fit);
        exchange(fit);
    } else {
        bst_average(fit->state);
    }
}

static void draw_order(model_fit *fit)
{
    size_t count = fit->input->train->count;
    for (size_t i = 0; i < count; i++)
        fit->order[i] = (uint32_t)i;
    fit->after = fit->rng;
    forage_rng_permute(&fit->after, fit->order, count);
    fit->drawn = true;
}

/* One step; its work: forward, and twice as much backward; Adam moves bytes, which takes its time for each weight. */
static forage_status take_step(model_fit *fit, double *work, forage_error *error)
{
    size_t begin = (size_t)fit->at[AT_STEP] * fit->batch, left = fit->input->train->count - begin;
    size_t rows = left < fit->batch ? left : fit->batch;
    uint64_t step = bst_trainer_steps(fit->trainer);
    double begun = forage_clock(), all = (double)fit->epochs * (double)fit->steps;
    double rate = model_rate_at(&fit->rate, model_pace_share(&fit->pace, (double)step / all), 1 / all);
    double loss = bst_trainer_step(fit->trainer, fit->input->train, fit->order + begin, rows, rate,
                                   fit->dropout_seed + step * 0xd1342543de82ef95U);
    FORAGE_TRY(model_guard_step(&fit->guard, loss / (double)rows, rows, &fit->losses[LOSS_RUNNING],
                                (size_t)fit->at[AT_EPOCH] + 1, (size_t)fit->at[AT_STEP] + 1, error));
    fit->losses[LOSS_SUM] += loss;
    fit->at[AT_STEP]++;
    *work += 3 * work_of(fit, fit->input->train, fit->order + begin, 0, rows);
    for (size_t b = 0; b < fit->block_count; b++)
        *work += 32 * (double)fit->blocks[b].count;
    model_pace_step(&fit->pace, begun);
    return FORAGE_OK;
}

/* Steps of the epoch, until it ends or there is something to tell, and what comes at its end. */
static forage_status take_steps(model_fit *fit, forage_error *error)
{
    if (!fit->drawn)
        draw_order(fit);
    for (double work = 0; work < WORK_PER_CALL && fit->at[AT_STEP] < fit->steps && !fit->ending && !fit->late;) {
        FORAGE_TRY(take_step(fit, &work, error));
        fit->late = model_pace_late(&fit->pace);
    }
    if (!fit->late && fit->at[AT_STEP] < fit->steps)
        return FORAGE_OK;
    if (!fit->ending)
        validation_begin(fit);
    validate(fit);
    if (fit->validated < validation_chunks(fit)) {
        if (!model_pace_over(&fit->pace))
            return FORAGE_OK;
        fit->late = true;
    }
    FORAGE_TRY(epoch_end(fit, error));
    if (fit->exchanged)
        exchange(fit);
    model_pace_end(&fit->pace, fit->ending);
    fit->ending = 0;
    return FORAGE_OK;
}

forage_status bst_fit_step(model_fit *fit, model_progress *progress, forage_error *error)
{
    size_t count = fit->input->train->count;
    forage_status status = take_steps(fit, error);
    bool late = fit->late && !fit->ending;
    fit->diverged = status == FORAGE_DIVERGED;
    progress->best_epoch = kept_epoch(fit);
    progress->guess = GUESS;
    FORAGE_TRY(status);
    progress->stopped_early = fit->patience && fit->at[AT_STALE] >= fit->patience && fit->at[AT_EPOCH] < fit->epochs;
    progress->out_of_time = late && fit->at[AT_EPOCH] < fit->epochs;
    progress->finished = progress->stopped_early || late || fit->at[AT_EPOCH] >= fit->epochs;
    size_t done = (size_t)fit->at[AT_STEP] * fit->batch;
    progress->done = fit->at[AT_EPOCH] * count + (done < count ? done : count);
    progress->total = (uint64_t)fit->epochs * count;
    progress->epochs = (size_t)fit->at[AT_EPOCH];
    progress->train_loss = fit->losses[LOSS_TRAIN];
    progress->validation_loss = fit->losses[LOSS_VALIDATION];
    /* What fit_save adds must lie somewhere until the next step. */
    fit->at[AT_ADAM] = bst_trainer_steps(fit->trainer);
    model_rng_save(&fit->rng, &fit->at[AT_RNG]);
    return FORAGE_OK;
}

void bst_fit_end(model_fit *fit, bool keep)
{
    if (!fit)
        return;
    bool best = keep && (fit->patience || fit->diverged) && fit->at[AT_BEST_EPOCH] > 0;
    for (size_t b = 0; best && b < fit->block_count; b++)
        memcpy(fit->blocks[b].values, fit->best[b], fit->blocks[b].count * sizeof(float));
    if (keep && !best && fit->at[AT_AVERAGED] && !fit->exchanged)
        exchange(fit);
    if (keep)
        bst_refresh(fit->state);
    fit_free(fit);
}

/* ---- interruption ---- */

/* The tensors of a block: as they lie in memory, padding and all. */
static const char *const parts[] = {"values", "mean", "square", "best", "average"};

static size_t part_count(const model_fit *fit)
{
    return fit->averaging > 0 ? 5 : 4;
}

static float *part_of(const model_fit *fit, size_t b, size_t part)
{
    const bst_block *block = &fit->blocks[b];
    switch (part) {
    case 0:
        return fit->exchanged ? fit->average[b] : block->values;
    case 1:
        return block->mean;
    case 2:
        return block->square;
    case 3:
        return fit->best[b];
    default:
        return fit->exchanged ? block->values : fit->average[b];
    }
}

forage_status bst_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error)
{
    size_t numbers = AT_COUNT, losses = LOSS_COUNT;
    for (size_t b = 0; b < fit->block_count; b++) {
        for (size_t part = 0; part < part_count(fit); part++) {
            char name[64];
            (void)snprintf(name, sizeof name, "fit.%s.%s", fit->blocks[b].name, parts[part]);
            FORAGE_TRY(
                nn_checkpoint_add(checkpoint, name, NN_F32, 1, &fit->blocks[b].count, part_of(fit, b, part), error));
        }
    }
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.losses", NN_F64, 1, &losses, fit->losses, error));
    return nn_checkpoint_add(checkpoint, "fit.at", NN_I64, 1, &numbers, fit->at, error);
}

forage_status bst_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error)
{
    size_t numbers = AT_COUNT, losses = LOSS_COUNT;
    const char *path = nn_checkpoint_path(checkpoint);
    for (size_t b = 0; b < fit->block_count; b++) {
        for (size_t part = 0; part < part_count(fit); part++) {
            char name[64];
            (void)snprintf(name, sizeof name, "fit.%s.%s", fit->blocks[b].name, parts[part]);
            FORAGE_TRY(
                nn_checkpoint_read_weights(checkpoint, name, 1, &fit->blocks[b].count, part_of(fit, b, part), error));
        }
    }
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.losses", NN_F64, 1, &losses, fit->losses, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.at", NN_I64, 1, &numbers, fit->at, error));
    const uint64_t *at = fit->at;
    if (at[AT_EPOCH] > fit->epochs || at[AT_STEP] > fit->steps || at[AT_BEST_EPOCH] > at[AT_EPOCH] ||
        at[AT_ADAM] != at[AT_EPOCH] * fit->steps + at[AT_STEP] ||
        (fit->averaging > 0 ? at[AT_AVERAGED] - at[AT_EPOCH] > 1 : at[AT_AVERAGED] > 0) ||
        !isfinite(fit->losses[LOSS_SUM]) || !model_rng_load(&at[AT_RNG], &fit->rng))
        return forage_fail_at(error, FORAGE_FORMAT, path, 0, "fit.at", "these numbers are not those of this fit");
    bst_trainer_set_steps(fit->trainer, at[AT_ADAM]);
    bst_refresh_copies(fit->state);
    fit->drawn = false;
    return FORAGE_OK;
}
