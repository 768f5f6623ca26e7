/*
 * embedding_mlp.c: one embedding per category and a tower of layers over them.
 *
 * Model: the network of nn/mlp.h. Every categorical field has a table of embeddings, numeric
 * fields enter as they are (standardised), hidden layers are ReLU, the output is
 * one logit; the mean is its sigmoid, the probability of a reward of 1.
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
#include <stdio.h>
#include <string.h>

#include "model/descriptor.h"
#include "model/training.h"
#include "nn/nn.h"

enum {
    LOSS_ROWS = 2048, /* validation rows per chunk */
};

static const double WORK_PER_CALL = 1e9; /* multiply-adds per call of fit_step, so that someone who waits is heard */
static const double GUESS = 0.69314718055994531; /* log 2: the loss of saying 1/2 */

/* Streams of random numbers of one seed. */
enum { STREAM_WEIGHTS, STREAM_ORDER, STREAM_DROPOUT };

static const forage_param params[] = {
    {"recipe", FORAGE_PARAM_CHOICE, "plain", 0, 0, "plain|tuned",
     "tuned: settings against overfitting (docs/models/embedding-mlp.md) for every parameter that is not given"},
    {"epochs", FORAGE_PARAM_INTEGER, "10", 1, 100000, NULL, "passes over the training rows"},
    {"batch-size", FORAGE_PARAM_INTEGER, "512", 1, 1 << 20, NULL, "rows per step"},
    {"learning-rate", FORAGE_PARAM_REAL, "0.001", 0, 10, NULL, "step size of Adam"},
    {"schedule", FORAGE_PARAM_CHOICE, "constant", 0, 0, "constant|linear|cosine",
     "how the learning rate falls over the epochs, to final-rate of itself"},
    {"final-rate", FORAGE_PARAM_REAL, "0", 0, 1, NULL, "share of the learning rate that a schedule ends with"},
    {"warmup", FORAGE_PARAM_REAL, "0", 0, 1, NULL, "share of the steps over which the learning rate rises from 0"},
    {"embedding-size", FORAGE_PARAM_LIST, "32", 1, NN_WIDTH_LIMIT, NULL,
     "numbers per embedding: one size for all categorical fields, or one for each"},
    {"layers", FORAGE_PARAM_LIST, "64,32", 1, NN_WIDTH_LIMIT, NULL, "units of each hidden layer"},
    {"dropout", FORAGE_PARAM_REAL, "0", 0, 0.99, NULL, "probability of dropping a hidden unit while training"},
    {"embedding-dropout", FORAGE_PARAM_REAL, "0", 0, 0.99, NULL, "probability of dropping an input while training"},
    {"weight-decay", FORAGE_PARAM_REAL, "0", 0, 100, NULL, "weight decay of the layers"},
    {"embedding-decay", FORAGE_PARAM_REAL, "0", 0, 100, NULL, "weight decay of the embeddings"},
    {"decay", FORAGE_PARAM_CHOICE, "l2", 0, 0, "l2|decoupled",
     "l2: a term of the gradient, as torch.optim.Adam; decoupled: shrinks the weights, as AdamW"},
    {"embedding-updates", FORAGE_PARAM_CHOICE, "dense", 0, 0, "dense|lazy",
     "dense: Adam moves every embedding in every step; lazy: only those that the batch names"},
    {"patience", FORAGE_PARAM_INTEGER, "0", 0, 100000, NULL,
     "epochs without a lower validation loss before stopping; 0: never stop early, keep the last weights"},
    {"beta1", FORAGE_PARAM_REAL, "0.9", 0, 0.999999, NULL, "Adam: memory of the mean gradient"},
    {"beta2", FORAGE_PARAM_REAL, "0.999", 0, 0.99999999, NULL, "Adam: memory of the squared gradient"},
    {"epsilon", FORAGE_PARAM_REAL, "1e-8", 1e-30, 1, NULL, "Adam: added to the root of the squared gradient"},
};

/* The recipe "tuned": what it sets. Chosen on inner splits of the pet shop's training rows alone. The embeddings
 * are what overfits: dropping most of their numbers in every step makes each user's
 * fall into a few groups, which is what there is to learn. */
static const forage_preset presets[] = {
    {"recipe", "tuned", "epochs", "40"},
    {"recipe", "tuned", "learning-rate", "0.005"},
    {"recipe", "tuned", "schedule", "cosine"},
    {"recipe", "tuned", "layers", "64,64,64,32"},
    {"recipe", "tuned", "embedding-dropout", "0.7"},
    {"recipe", "tuned", "embedding-decay", "0.0005"},
    {"recipe", "tuned", "dropout", "0.05"},
};

struct model_state {
    const forage_params *params;
    const forage_schema *schema;
    const forage_device *device;
    uint64_t seed;
    nn_mlp *mlp;
    float *packed; /* tensors that a checkpoint under way needs in one piece */
};

/* Columns of examples, sorted into those of the network's tables and those of its numbers. */
typedef struct columns {
    const uint32_t **codes;
    const float **numbers;
} columns;

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
    columns train, validation;
    double *chunk_losses; /* of the validation rows */
    char *scratch;        /* per thread: scratch_size bytes, LOSS_ROWS logits, LOSS_ROWS of what the loss leaves */
    size_t scratch_size;
    uint64_t at[AT_COUNT]; /* epochs done, steps of this epoch done ... */
    double losses[LOSS_COUNT];
};

static forage_status out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for embedding-mlp");
}

/* ---- the network of a schema ---------------------------------------------------- */

/* "user_id" -> "user_embedding.weight"; other fields keep all of their name. */
static bool table_name(const forage_field *field, char buffer[128])
{
    size_t length = strlen(field->name);
    if (field->is_id && length > 3 && strcmp(field->name + length - 3, "_id") == 0)
        length -= 3;
    int n = snprintf(buffer, 128, "%.*s_embedding.weight", (int)(length < 1000 ? length : 1000), field->name);
    return n > 0 && n < 128;
}

/* The name under which `checkpoint` (may be NULL) holds the field's table: PyTorch's item may be called
 * "product" or "item" whatever the column is called. */
static bool table_name_in(const forage_field *field, const nn_checkpoint *checkpoint, char buffer[128])
{
    if (!table_name(field, buffer))
        return false;
    if (!checkpoint || !field->is_id || nn_checkpoint_find(checkpoint, buffer))
        return true;
    static const char *const usual[] = {"user_embedding.weight", "product_embedding.weight", "item_embedding.weight"};
    for (size_t i = 0; i < 3; i++) {
        if ((field->owner == FORAGE_OF_USER) == (i == 0) && nn_checkpoint_find(checkpoint, usual[i])) {
            (void)snprintf(buffer, 128, "%s", usual[i]);
            return true;
        }
    }
    return true;
}

/* Tables and numbers in the order of the fields. The arrays have room for all fields. */
static forage_status read_schema(const model_setup *setup, const nn_checkpoint *checkpoint, nn_table_spec *tables,
                                 char (*names)[128], nn_mlp_spec *spec, forage_error *error)
{
    size_t size_count = 0;
    const int64_t *sizes = forage_params_list(setup->params, "embedding-size", &size_count);
    spec->tables = tables;
    for (size_t f = 0; f < setup->schema->field_count; f++) {
        const forage_field *field = &setup->schema->fields[f];
        if (field->type == FORAGE_NUMERIC) {
            spec->number_count++;
            continue;
        }
        size_t t = spec->table_count++;
        if (!table_name_in(field, checkpoint, names[t]))
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, field->name, "this column's name is too long");
        tables[t].name = names[t];
        tables[t].rows = field->cardinality ? field->cardinality : 1;
        tables[t].width = (size_t)sizes[size_count == 1 ? 0 : t < size_count ? t : size_count - 1];
    }
    if (size_count != 1 && size_count != spec->table_count)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "embedding-size",
                              "%zu sizes for %zu categorical fields; give one for all, or one for each", size_count,
                              spec->table_count);
    return FORAGE_OK;
}

static void free_state(model_state *state)
{
    if (!state)
        return;
    nn_mlp_free(state->mlp);
    forage_free(state->packed);
    forage_free(state);
}

/* A state with all weights zero. */
static forage_status build(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                           forage_error *error)
{
    *state = NULL;
    size_t fields = setup->schema->field_count, layer_count = 0;
    size_t layers[NN_LAYER_LIMIT];
    nn_mlp_spec spec = {.layers = layers};
    nn_table_spec *tables = forage_calloc(fields + 1, sizeof *tables);
    char(*names)[128] = forage_calloc(fields + 1, sizeof *names);
    model_state *made = forage_calloc(1, sizeof *made);
    forage_status status = FORAGE_OK;
    if (!tables || !names || !made) {
        status = out_of_memory(error);
        goto done;
    }
    made->params = setup->params;
    made->schema = setup->schema;
    made->device = setup->device;
    made->seed = setup->seed;
    const int64_t *units = forage_params_list(setup->params, "layers", &layer_count);
    if (layer_count > NN_LAYER_LIMIT) {
        status = forage_fail_at(error, FORAGE_INVALID, NULL, 0, "layers", "%zu layers; at most %d", layer_count,
                                NN_LAYER_LIMIT);
        goto done;
    }
    for (size_t l = 0; l < layer_count; l++)
        layers[l] = (size_t)units[l];
    spec.layer_count = layer_count;
    FORAGE_TRY_GOTO(read_schema(setup, checkpoint, tables, names, &spec, error), done);
    FORAGE_TRY_GOTO(nn_mlp_create(&spec, setup->device->isa, &made->mlp, error), done);
    *state = made;
    made = NULL;
done:
    free_state(made);
    forage_free(names);
    forage_free(tables);
    return status;
}

static forage_status create(const model_setup *setup, model_state **state, forage_error *error)
{
    FORAGE_TRY(build(setup, NULL, state, error));
    forage_rng rng;
    forage_rng_seed_stream(&rng, setup->seed, STREAM_WEIGHTS);
    nn_mlp_initialise((*state)->mlp, &rng);
    return FORAGE_OK;
}

/* ---- fitting --------------------------------------------------------------------- */

static void sort_columns(const model_state *state, const forage_examples *examples, const columns *into)
{
    size_t tables = state->mlp->table_count, total = tables + state->mlp->number_count;
    for (size_t f = 0, t = 0; f < total; f++) {
        if (examples->codes[f])
            into->codes[t++] = examples->codes[f];
        else
            into->numbers[f - t] = examples->values[f];
    }
}

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
    fit->train = (columns){(const uint32_t **)fit->pointers, (const float **)(fit->pointers + tables)};
    fit->validation =
        (columns){(const uint32_t **)(fit->pointers + total), (const float **)(fit->pointers + total + tables)};
    sort_columns(fit->state, fit->input->train, &fit->train);
    sort_columns(fit->state, fit->input->validation, &fit->validation);
    return true;
}

static forage_status fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error)
{
    const forage_params *values = state->params;
    *fit = NULL;
    if (input->train->count > UINT32_MAX - 1)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%zu training rows are more than embedding-mlp can number",
                           input->train->count);
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
    made->work = work_of(state->mlp, made->batch);
    made->patience = input->validation->count ? (size_t)forage_params_integer(values, "patience") : 0;
    made->rate = model_rate_read(values);
    made->pace = model_pace_begin(input);
    made->guard = (model_guard){GUESS, made->rate.rate};
    made->losses[LOSS_RUNNING] = GUESS;
    made->losses[LOSS_BEST] = INFINITY;
    made->losses[LOSS_VALIDATION] = NAN;
    forage_rng_seed_stream(&made->order, state->seed, STREAM_DROPOUT);
    made->dropout_seed = forage_rng_u64(&made->order);
    forage_rng_seed_stream(&made->order, state->seed, STREAM_ORDER);
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
        status = out_of_memory(error);
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

static forage_status fit_step(model_fit *fit, model_progress *progress, forage_error *error)
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

static void fit_end(model_fit *fit, bool keep)
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
static forage_status fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error)
{
    size_t count = fit->state->mlp->value_count, numbers = AT_COUNT, losses = LOSS_COUNT;
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.values", NN_F32, 1, &count, fit->state->mlp->values, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.mean", NN_F32, 1, &count, nn_trainer_mean(fit->trainer), error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.square", NN_F32, 1, &count, nn_trainer_square(fit->trainer), error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.best", NN_F32, 1, &count, fit->best, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.losses", NN_F64, 1, &losses, fit->losses, error));
    return nn_checkpoint_add(checkpoint, "fit.at", NN_I64, 1, &numbers, fit->at, error);
}

static forage_status fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error)
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

/* ---- scoring ------------------------------------------------------------------------ */

static size_t pointers_size(const model_state *state)
{
    return ((state->mlp->table_count + state->mlp->number_count) * sizeof(void *) + 63) / 64 * 64;
}

static size_t scratch_size(const model_state *state)
{
    return pointers_size(state) + nn_mlp_scratch_size(state->mlp);
}

static void score(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                  float *deviation)
{
    const void **pointers = scratch;
    columns into = {(const uint32_t **)pointers, (const float **)(pointers + state->mlp->table_count)};
    sort_columns(state, examples, &into);
    nn_inputs inputs = {.codes = into.codes, .numbers = into.numbers, .count = examples->count};
    nn_mlp_predict(state->mlp, &inputs, (char *)scratch + pointers_size(state), mean);
    for (size_t i = 0; i < examples->count; i++) {
        if (isnan(mean[i])) /* weights so large that they overflow on the way */
            mean[i] = 0.5F;
        if (deviation)
            deviation[i] = NAN;
    }
}

/* The table of the user's or the item's id, or NULL. Tables are in the order of the categorical fields. */
static const nn_table *id_table(const model_state *state, forage_owner owner)
{
    size_t id = model_schema_id(state->schema, owner), t = 0;
    for (size_t f = 0; id != SIZE_MAX && f < id; f++)
        t += state->schema->fields[f].type == FORAGE_CATEGORICAL;
    return id == SIZE_MAX ? NULL : &state->mlp->tables[t];
}

static void vectors(const model_state *state, model_vectors *out)
{
    const nn_table *users = id_table(state, FORAGE_OF_USER), *items = id_table(state, FORAGE_OF_ITEM);
    *out = (model_vectors){0};
    if (users) {
        out->users = state->mlp->values + users->offset;
        out->width = out->pitch = users->width;
    }
    if (items) {
        out->items = state->mlp->values + items->offset;
        out->item_width = out->item_pitch = items->width;
    }
}

/* ---- checkpoints --------------------------------------------------------------------- */

static forage_status save(const model_state *state, nn_checkpoint *checkpoint, forage_error *error)
{
    /* The block for tensors that are padded in memory lives in the state, which outlives the checkpoint. */
    model_state *owner = (model_state *)(uintptr_t)state;
    forage_free(owner->packed);
    owner->packed = NULL;
    return nn_mlp_save(state->mlp, state->mlp->values, "", checkpoint, &owner->packed, error);
}

static forage_status load(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                          forage_error *error)
{
    FORAGE_TRY(build(setup, checkpoint, state, error));
    forage_status status = nn_mlp_load((*state)->mlp, checkpoint, "", (*state)->mlp->values, error);
    if (status == FORAGE_OK) {
        nn_mlp_refresh((*state)->mlp);
        return FORAGE_OK;
    }
    free_state(*state);
    *state = NULL;
    return status;
}

/* The first of these tensors that is a table, or NULL. */
static const nn_tensor *find_table(const nn_checkpoint *checkpoint, const char *name, const char *other)
{
    const nn_tensor *tensor = nn_checkpoint_find(checkpoint, name);
    if (!tensor && other)
        tensor = nn_checkpoint_find(checkpoint, other);
    return tensor && tensor->dtype == NN_F32 && tensor->rank == 2 && tensor->shape[0] && tensor->shape[1] ? tensor
                                                                                                          : NULL;
}

/* A state_dict of the notebook's network: user_embedding, product_embedding (or item_embedding), fc1 ..., output. */
static forage_status recognise(const nn_checkpoint *checkpoint, forage_params *values, size_t *users, size_t *items,
                               bool *mine, forage_error *error)
{
    const nn_tensor *user = find_table(checkpoint, "user_embedding.weight", NULL);
    const nn_tensor *item = find_table(checkpoint, "product_embedding.weight", "item_embedding.weight");
    *mine = false;
    if (!user || !item || !find_table(checkpoint, "output.weight", NULL))
        return FORAGE_OK;
    char layers[NN_LAYER_LIMIT * 24 + 1] = "", sizes[64];
    size_t used = 0;
    for (size_t l = 0; l < NN_LAYER_LIMIT; l++) {
        char name[32];
        (void)snprintf(name, sizeof name, "fc%zu.weight", l + 1);
        const nn_tensor *layer = find_table(checkpoint, name, NULL);
        if (!layer)
            break;
        used += (size_t)snprintf(layers + used, sizeof layers - used, "%s%zu", l ? "," : "", layer->shape[0]);
    }
    (void)snprintf(sizes, sizeof sizes, "%zu,%zu", user->shape[1], item->shape[1]);
    FORAGE_TRY(forage_params_set(values, "embedding-size", sizes, error));
    FORAGE_TRY(forage_params_set(values, "layers", layers, error));
    *users = user->shape[0];
    *items = item->shape[0];
    *mine = true;
    return FORAGE_OK;
}

static size_t describe(const model_state *state, char *buffer, size_t size)
{
    const nn_mlp *mlp = state->mlp;
    size_t used = 0;
    for (size_t i = 0; i < mlp->table_count + mlp->layer_count + 2; i++) {
        char *at = used < size ? buffer + used : NULL;
        size_t left = used < size ? size - used : 0;
        int n;
        if (i < mlp->table_count)
            n = snprintf(at, left, "%.*s: %zu x %zu\n", (int)strcspn(mlp->tables[i].name, "."), mlp->tables[i].name,
                         mlp->tables[i].rows, mlp->tables[i].width);
        else if (i < mlp->table_count + mlp->layer_count)
            n = snprintf(at, left, "fc%zu: %zu -> %zu, ReLU\n", i - mlp->table_count + 1,
                         mlp->layers[i - mlp->table_count].in, mlp->layers[i - mlp->table_count].out);
        else if (i == mlp->table_count + mlp->layer_count)
            n = snprintf(at, left, "output: %zu -> 1, sigmoid\n", mlp->head_in);
        else
            n = snprintf(at, left, "products by %s", la_engine_name(mlp->engine));
        used += n > 0 ? (size_t)n : 0;
    }
    return used;
}

static size_t weight_count(const model_state *state)
{
    return state->mlp->weight_count;
}

const model_type model_embedding_mlp = {
    .info = {.name = "embedding-mlp",
             .version = 1,
             .summary = "embeddings of user, item and further fields under a small network (batched)",
             .capabilities = FORAGE_CAN_FIT | FORAGE_HAS_EMBEDDINGS | FORAGE_GIVES_PROBABILITY,
             .table = {.owner = "embedding-mlp",
                       .params = params,
                       .count = sizeof params / sizeof params[0],
                       .presets = presets,
                       .preset_count = sizeof presets / sizeof presets[0]}},
    .reads = MODEL_READS_USER | MODEL_READS_ITEM | MODEL_READS_ATTRIBUTES | MODEL_READS_CONTEXT | MODEL_NEEDS_REWARD,
    .unit = "rows",
    .minimum_reward = 0.0F,
    .maximum_reward = 1.0F,
    .create = create,
    .free = free_state,
    .fit_begin = fit_begin,
    .fit_step = fit_step,
    .fit_end = fit_end,
    .fit_save = fit_save,
    .fit_resume = fit_resume,
    .scratch_size = scratch_size,
    .score = score,
    .save = save,
    .load = load,
    .recognise = recognise,
    .vectors = vectors,
    .describe = describe,
    .weight_count = weight_count,
};
