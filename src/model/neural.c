/*
 * neural.c: a network over users, arms and features, refitted beside the traffic (the plan stands in neural.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/neural.h"

#include <math.h>
#include <string.h>

enum {
    NEURAL_BLOCK = 1024, /* lessons per block of the ring; blocks are made when they are reached */
    MOST_HEADS = 256,    /* that "auto" gives arms of their own */
};

/* Streams of random numbers of one seed: weights, refits (one each), arms (one each). */
enum { STREAM_WEIGHTS = 0, STREAM_REFITS = 1 << 10, STREAM_ARMS = 1 << 28 };

/* What follows the features of a lesson in the ring. */
enum { AT_REWARD, AT_WEIGHT, AT_USER, AT_ARM, ROW_EXTRA };

forage_status neural_out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the network and its last lessons");
}

/* ---- construction ---- */

bool neural_wants_arm_heads(const model_online_setup *setup)
{
    const char *heads = forage_params_text(setup->params, "heads");
    if (strcmp(heads, "auto") == 0)
        return setup->shape->candidate_width == 0 && setup->shape->arms <= MOST_HEADS;
    return strcmp(heads, "arms") == 0;
}

static forage_status network(const neural *net, size_t arms, size_t users, nn_mlp **mlp, forage_error *error)
{
    nn_table_spec tables[2];
    nn_mlp_spec spec = {
        .tables = tables, .number_count = net->numbers, .layer_count = net->layer_count, .layers = net->layers};
    if (net->user_size)
        tables[spec.table_count++] = (nn_table_spec){NEURAL_USER_TABLE, users ? users : 1, net->user_size};
    if (!net->arm_heads)
        tables[spec.table_count++] = (nn_table_spec){NEURAL_ARM_TABLE, arms ? arms : 1, net->arm_size};
    spec.head_count = net->arm_heads && arms ? arms : 1;
    return nn_mlp_create(&spec, net->setup->device->isa, mlp, error);
}

void neural_refresh(const neural *net, nn_mlp *mlp)
{
    nn_mlp_refresh(mlp);
    if (!net->arm_heads) {
        const nn_table *table = &mlp->tables[mlp->table_count - 1];
        memset(mlp->values + table->offset + table->rows * table->width, 0, table->width * sizeof *mlp->values);
    }
    if (!net->user_size)
        return;
    const nn_table *table = &mlp->tables[0];
    const float *row = mlp->values + table->offset;
    float *average = mlp->values + table->offset + table->rows * table->width;
    size_t met = 0;
    memset(average, 0, table->width * sizeof *average);
    for (size_t i = 0; i < table->rows; i++, row += table->width) {
        bool zero = true;
        for (size_t j = 0; j < table->width; j++)
            zero = zero && row[j] == 0.0F;
        for (size_t j = 0; !zero && j < table->width; j++)
            average[j] += row[j];
        met += !zero;
    }
    for (size_t j = 0; met && j < table->width; j++)
        average[j] /= (float)met;
}

/* The embeddings of arms. Each arm has a stream of its own, so it begins alike whenever it comes. */
static void draw_arms(const neural *net, nn_mlp *mlp)
{
    const nn_table *table = &mlp->tables[mlp->table_count - 1];
    for (size_t a = 0; !net->arm_heads && a < table->rows; a++) {
        forage_rng rng;
        forage_rng_seed_stream(&rng, net->setup->seed, (uint32_t)(STREAM_ARMS + a % STREAM_ARMS));
        for (size_t j = 0; j < table->width; j++)
            mlp->values[table->offset + a * table->width + j] = (float)forage_rng_normal(&rng);
    }
}

/* Layers as PyTorch draws them. Users begin alike, at 0: nothing is known that tells them apart. So does the output:
 * every arm is worth the mean reward. */
static void initialise(const neural *net, nn_mlp *mlp)
{
    forage_rng rng;
    forage_rng_seed_stream(&rng, net->setup->seed, STREAM_WEIGHTS);
    for (size_t l = 0; l < mlp->layer_count; l++) {
        const nn_layer *layer = &mlp->layers[l];
        double bound = 1.0 / sqrt((double)layer->in);
        for (size_t o = 0; o < layer->out; o++) {
            for (size_t j = 0; j < layer->in; j++)
                mlp->values[layer->weight + o * layer->in_stride + j] =
                    (float)((2.0 * forage_rng_double(&rng) - 1.0) * bound);
        }
        for (size_t o = 0; o < layer->out; o++)
            mlp->values[layer->bias + o] = (float)((2.0 * forage_rng_double(&rng) - 1.0) * bound);
    }
    draw_arms(net, mlp);
    neural_refresh(net, mlp);
}

static forage_status read_params(neural *net, forage_error *error)
{
    const forage_params *values = net->setup->params;
    const int64_t *units = forage_params_list(values, "layers", &net->layer_count);
    if (net->layer_count == 0 || net->layer_count > NN_LAYER_LIMIT)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "layers", "%zu hidden layers; possible is 1 to %d",
                              net->layer_count, NN_LAYER_LIMIT);
    for (size_t l = 0; l < net->layer_count; l++)
        net->layers[l] = (size_t)units[l];
    net->user_size = (size_t)forage_params_integer(values, "user-size");
    net->arm_size = (size_t)forage_params_integer(values, "arm-size");
    net->logistic = strcmp(forage_params_text(values, "loss"), "logistic") == 0;
    net->in_thread = forage_params_boolean(values, "background");
    net->rate = forage_params_real(values, "learning-rate");
    net->growth = forage_params_real(values, "refit-growth");
    net->batch = (size_t)forage_params_integer(values, "batch-size");
    net->epochs = (size_t)forage_params_integer(values, "epochs");
    net->steps = (size_t)forage_params_integer(values, "steps");
    net->keep = (size_t)forage_params_integer(values, "buffer");
    net->every = (uint64_t)forage_params_integer(values, "refit-every");
    net->lag = (size_t)forage_params_integer(values, "refit-lag");
    net->settings = (nn_settings){.beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-8,
                                  .decay = forage_params_real(values, "weight-decay"),
                                  .table_decay = forage_params_real(values, "embedding-decay"),
                                  .lazy = true,
                                  .squared = !net->logistic};
    if (net->lag >= net->every)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "refit-lag",
                              "a refit that takes effect %zu lessons after it began, with the next one due after "
                              "%zu: refit-lag must be less than refit-every",
                              net->lag, (size_t)net->every);
    if (net->numbers + net->user_size + (net->arm_heads ? 0 : net->arm_size) == 0)
        return forage_fail(error, FORAGE_INVALID, "there are no features and no users for a network to see");
    return FORAGE_OK;
}

static bool allocate(neural *net)
{
    net->ring = net->keep + net->lag;
    net->block_count = (net->ring + NEURAL_BLOCK - 1) / NEURAL_BLOCK;
    net->stride = net->numbers + ROW_EXTRA;
    net->blocks = forage_calloc(net->block_count, sizeof *net->blocks);
    net->drawn.matrix = forage_alloc(net->batch, (net->numbers + 1) * sizeof(float));
    net->drawn.reward = forage_alloc(net->batch, sizeof(float));
    net->drawn.weight = forage_alloc(net->batch, sizeof(float));
    net->drawn.user = forage_alloc(net->batch, sizeof(uint32_t));
    net->drawn.arm = forage_alloc(net->batch, sizeof(uint32_t));
    net->scratch.matrix = forage_alloc(NEURAL_ROWS, (net->numbers + 1) * sizeof(float));
    net->scratch.user = forage_alloc(NEURAL_ROWS, sizeof(uint32_t));
    net->scratch.arm = forage_alloc(NEURAL_ROWS, sizeof(uint32_t));
    net->scratch.row = forage_alloc(net->numbers + 1, sizeof(float));
    size_t forward = nn_mlp_scratch_size(net->mlp);
    net->scratch.forward = forage_calloc(forward, 1);
    net->scratch.settle = forage_calloc(forward, 1);
    size_t t = 0;
    if (net->user_size) {
        net->drawn.codes[t] = net->drawn.user;
        net->scratch.codes[t++] = net->scratch.user;
    }
    net->drawn.codes[t] = net->drawn.arm;
    net->scratch.codes[t] = net->scratch.arm;
    return net->blocks && net->drawn.matrix && net->drawn.reward && net->drawn.weight && net->drawn.user &&
           net->drawn.arm && net->scratch.matrix && net->scratch.user && net->scratch.arm && net->scratch.row &&
           net->scratch.forward && net->scratch.settle;
}

forage_status neural_create(const model_online_setup *setup, bool arm_heads, const neural_hooks *hooks, neural **net,
                            forage_error *error)
{
    const forage_learner_shape *shape = setup->shape;
    forage_status status;
    *net = NULL;
    neural *made = forage_calloc(1, sizeof *made);
    if (!made)
        return neural_out_of_memory(error);
    made->setup = setup;
    made->hooks = *hooks;
    made->arm_heads = arm_heads;
    made->one_pass = arm_heads && shape->candidate_width == 0;
    made->request = shape->request_width;
    made->candidate = shape->candidate_width;
    made->numbers = made->request + made->candidate;
    made->arms = shape->arms;
    made->users = shape->users;
    made->next_scale = made->reward_scale = 1.0;
    FORAGE_TRY_GOTO(read_params(made, error), fail);
    made->mark = made->every;
    FORAGE_TRY_GOTO(network(made, made->arms, made->users, &made->mlp, error), fail);
    FORAGE_TRY_GOTO(network(made, made->arms, made->users, &made->next, error), fail);
    FORAGE_TRY_GOTO(network(made, made->arms, made->users, &made->origin, error), fail);
    FORAGE_TRY_GOTO(nn_trainer_create(made->next, &made->settings, made->batch, 1, &made->trainer, error), fail);
    if (!allocate(made)) {
        status = neural_out_of_memory(error);
        goto fail;
    }
    initialise(made, made->origin);
    initialise(made, made->mlp);
    *net = made;
    return FORAGE_OK;
fail:
    neural_free(made);
    return status;
}

/* ---- the ring ---- */

static float *ring_place(const neural *net, uint64_t event)
{
    size_t at = (size_t)(event % net->ring);
    return net->blocks[at / NEURAL_BLOCK] + at % NEURAL_BLOCK * net->stride;
}

neural_row neural_row_at(const neural *net, uint64_t event)
{
    const float *x = ring_place(net, event), *extra = x + net->numbers;
    neural_row row = {.x = x, .reward = extra[AT_REWARD], .weight = extra[AT_WEIGHT]};
    memcpy(&row.user, &extra[AT_USER], sizeof row.user);
    memcpy(&row.arm, &extra[AT_ARM], sizeof row.arm);
    return row;
}

static float squash(float x)
{
    const float linear = 3.0F;
    float size = fabsf(x);
    return size <= linear ? x : copysignf(linear + log1pf(size - linear), x);
}

static void squash_all(const float *from, size_t count, float *to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = squash(from[i]);
}

neural_row neural_lesson_row(neural *net, const forage_lesson *lesson)
{
    squash_all(lesson->request, net->request, net->scratch.row);
    squash_all(lesson->features, net->candidate, net->scratch.row + net->request);
    return (neural_row){.x = net->scratch.row,
                        .reward = lesson->reward,
                        .weight = lesson->weight,
                        .user = lesson->user,
                        .arm = lesson->arm};
}

nn_inputs neural_row_inputs(const neural *net, const neural_row *row, const uint32_t *codes[2])
{
    codes[0] = net->user_size ? &row->user : &row->arm;
    codes[1] = &row->arm;
    return (nn_inputs){.codes = codes, .matrix = row->x, .count = 1};
}

nn_inputs neural_inputs(neural *net, const forage_candidates *candidates, size_t first, size_t count)
{
    float *matrix = net->scratch.matrix;
    if (net->one_pass)
        count = 1;
    squash_all(candidates->request, net->request, matrix);
    for (size_t i = 0; i < count; i++) {
        float *row = matrix + i * net->numbers;
        if (i > 0)
            memcpy(row, matrix, net->request * sizeof *row);
        if (net->candidate)
            squash_all(candidates->features + (first + i) * net->candidate, net->candidate, row + net->request);
        net->scratch.user[i] = candidates->user;
        net->scratch.arm[i] = candidates->arms[first + i];
    }
    return (nn_inputs){.codes = net->scratch.codes, .matrix = matrix, .count = count};
}

/* ---- refits ---- */

static uint64_t window_first(const neural *net)
{
    return net->started > net->keep ? net->started - net->keep : 0;
}

/* What the network's output stands for: rewards are learned with mean 0 and deviation 1, whatever their unit. */
static void measure_rewards(neural *net, uint64_t first, uint64_t end)
{
    double sum = 0.0, squares = 0.0, count = (double)(end - first);
    net->next_mean = 0.0;
    net->next_scale = 1.0;
    if (net->logistic)
        return;
    for (uint64_t e = first; e < end; e++)
        sum += (double)neural_row_at(net, e).reward;
    for (uint64_t e = first; e < end; e++) {
        double rest = (double)neural_row_at(net, e).reward - sum / count;
        squares += rest * rest;
    }
    net->next_mean = sum / count;
    if (squares > 0.0)
        net->next_scale = sqrt(squares / count);
}

/* What the output should be. */
static float target(const neural *net, const neural_row *row)
{
    float reward = (float)(((double)row->reward - net->next_mean) / net->next_scale);
    if (net->logistic)
        reward = reward < 0.0F ? 0.0F : reward > 1.0F ? 1.0F : reward;
    return reward;
}

/* A batch of the lessons [first, end), drawn with replacement. */
static nn_inputs draw_batch(neural *net, uint64_t first, uint64_t end, forage_rng *rng)
{
    bool weighted = false;
    for (size_t i = 0; i < net->batch; i++) {
        uint64_t event = first + forage_rng_integers(rng, end - first);
        if (neural_held_out(event))
            event = event > first ? event - 1 : event + 1 < end ? event + 1 : event;
        neural_row row = neural_row_at(net, event);
        memcpy(net->drawn.matrix + i * net->numbers, row.x, net->numbers * sizeof *row.x);
        net->drawn.reward[i] = target(net, &row);
        net->drawn.weight[i] = row.weight;
        net->drawn.user[i] = row.user;
        net->drawn.arm[i] = row.arm;
        weighted = weighted || row.weight != 1.0F;
    }
    return (nn_inputs){.codes = net->drawn.codes,
                       .matrix = net->drawn.matrix,
                       .heads = net->arm_heads ? net->drawn.arm : NULL,
                       .weights = weighted ? net->drawn.weight : NULL,
                       .count = net->batch};
}

bool neural_weights_are_sane(const nn_mlp *mlp)
{
    for (size_t i = 0; i < mlp->value_count; i++) {
        if (!(fabsf(mlp->values[i]) <= 1e6F))
            return false;
    }
    return true;
}

/* The mean squared error over (some of) the lessons [first, end) that are held out, as a share of the rewards'
 * variance: how much of them is noise as far as the network knows. */
static double noise_share(neural *net, uint64_t first, uint64_t end)
{
    enum { MOST = 2048 };
    uint64_t stride = ((end - first) / NEURAL_HELD_OUT / MOST + 1) * NEURAL_HELD_OUT;
    double sum = 0.0, weight = 0.0;
    for (uint64_t event = first - first % NEURAL_HELD_OUT + NEURAL_HELD_OUT - 1; event < end; event += stride) {
        const uint32_t *codes[2];
        neural_row row = neural_row_at(net, event);
        nn_inputs inputs = neural_row_inputs(net, &row, codes);
        float z = 0.0F;
        inputs.heads = net->arm_heads ? &row.arm : NULL;
        nn_mlp_logits(net->next, &inputs, net->scratch.settle, &z);
        double error = (double)z - (double)target(net, &row);
        sum += (double)row.weight * error * error;
        weight += (double)row.weight;
    }
    return weight > 0.0 ? sum / weight : 1.0;
}

/* In the thread: train `next`, which is a copy of the network, then let the model draw its conclusions. */
static void refit(void *context)
{
    neural *net = context;
    uint64_t first = window_first(net), end = net->started, count = end - first;
    uint64_t whole = (count * net->epochs + net->batch - 1) / net->batch;
    size_t total = whole < net->steps ? (size_t)whole : net->steps;
    forage_rng rng;
    forage_rng_seed_stream(&rng, net->setup->seed, (uint32_t)(STREAM_REFITS + net->refits % STREAM_ARMS));
    measure_rewards(net, first, end);
    double strength = (net->logistic ? 1.0 : noise_share(net, first, end)) / (double)count;
    nn_trainer_restart(net->trainer, strength * net->settings.decay, strength * net->settings.table_decay,
                       net->origin->values);
    for (size_t step = 0; step < total; step++) {
        if (atomic_load(&net->give_up))
            return;
        nn_inputs inputs = draw_batch(net, first, end, &rng);
        double rate = net->rate * (1.0 - (double)step / (double)total);
        (void)nn_trainer_step(net->trainer, &inputs, net->drawn.reward, rate, 0);
    }
    neural_refresh(net, net->next);
    net->failed = !neural_weights_are_sane(net->next);
    if (!net->failed && net->hooks.settle)
        net->hooks.settle(net->hooks.context, first, end);
}

static void refit_begin(neural *net)
{
    net->refitting = true;
    nn_mlp_copy(net->next, net->next->values, net->mlp, net->mlp->values);
    neural_refresh(net, net->next);
    nn_background_start(&net->background, refit, net, net->in_thread);
}

static void refit_end(neural *net)
{
    nn_background_wait(&net->background);
    net->refitting = false;
    if (net->failed)
        return;
    nn_mlp_copy(net->mlp, net->mlp->values, net->next, net->next->values);
    neural_refresh(net, net->mlp);
    net->reward_mean = net->next_mean;
    net->reward_scale = net->next_scale;
    if (net->hooks.swap)
        net->hooks.swap(net->hooks.context, net->started, net->events);
}

bool neural_ring_write(neural *net, uint64_t event, const neural_row *row)
{
    float **block = &net->blocks[event % net->ring / NEURAL_BLOCK];
    if (!*block)
        *block = forage_alloc(NEURAL_BLOCK, net->stride * sizeof **block);
    if (!*block)
        return false;
    float *x = ring_place(net, event), *extra = x + net->numbers;
    memcpy(x, row->x, net->numbers * sizeof *x);
    extra[AT_REWARD] = row->reward;
    extra[AT_WEIGHT] = row->weight;
    memcpy(&extra[AT_USER], &row->user, sizeof row->user);
    memcpy(&extra[AT_ARM], &row->arm, sizeof row->arm);
    return true;
}

void neural_keep(neural *net, const neural_row *row)
{
    if (!neural_ring_write(net, net->events, row))
        return; /* memory has run out: this lesson takes no part in refits */
    net->events++;
    if (net->events == net->mark) {
        double grown = ceil((double)net->mark * net->growth);
        net->started = net->events;
        net->refits++;
        net->mark += net->every;
        if (grown > (double)net->mark && grown < 1e18)
            net->mark = (uint64_t)grown;
        refit_begin(net);
    }
    if (net->refitting && net->events == net->started + net->lag)
        refit_end(net);
}

/* Stops what is under way, so that it can begin anew. */
static void refit_abandon(neural *net)
{
    atomic_store(&net->give_up, true);
    nn_background_wait(&net->background);
    atomic_store(&net->give_up, false);
}

void neural_free(neural *net)
{
    if (!net)
        return;
    refit_abandon(net);
    nn_trainer_free(net->trainer);
    nn_mlp_free(net->mlp);
    nn_mlp_free(net->next);
    nn_mlp_free(net->origin);
    for (size_t b = 0; net->blocks && b < net->block_count; b++)
        forage_free(net->blocks[b]);
    forage_free(net->blocks);
    forage_free(net->drawn.matrix);
    forage_free(net->drawn.reward);
    forage_free(net->drawn.weight);
    forage_free(net->drawn.user);
    forage_free(net->drawn.arm);
    forage_free(net->scratch.matrix);
    forage_free(net->scratch.user);
    forage_free(net->scratch.arm);
    forage_free(net->scratch.row);
    forage_free(net->scratch.forward);
    forage_free(net->scratch.settle);
    neural_packed_free(net->packed);
    forage_free(net);
}

/* ---- growth ---- */

void neural_growth_release(neural_growth *growth)
{
    nn_trainer_free(growth->trainer);
    nn_mlp_free(growth->mlp);
    nn_mlp_free(growth->next);
    nn_mlp_free(growth->origin);
    *growth = (neural_growth){0};
}

forage_status neural_growth_create(const neural *net, size_t arms, size_t users, neural_growth *growth,
                                   forage_error *error)
{
    forage_status status;
    *growth = (neural_growth){.arms = arms, .users = users};
    FORAGE_TRY_GOTO(network(net, arms, users, &growth->mlp, error), fail);
    FORAGE_TRY_GOTO(network(net, arms, users, &growth->next, error), fail);
    FORAGE_TRY_GOTO(network(net, arms, users, &growth->origin, error), fail);
    FORAGE_TRY_GOTO(nn_trainer_create(growth->next, &net->settings, net->batch, 1, &growth->trainer, error), fail);
    initialise(net, growth->origin);
    initialise(net, growth->mlp);
    nn_mlp_copy(growth->mlp, growth->mlp->values, net->mlp, net->mlp->values);
    neural_refresh(net, growth->mlp);
    return FORAGE_OK;
fail:
    neural_growth_release(growth);
    return status;
}

void neural_grow(neural *net, neural_growth *growth)
{
    refit_abandon(net);
    neural_growth old = {.mlp = net->mlp, .next = net->next, .origin = net->origin, .trainer = net->trainer};
    net->mlp = growth->mlp;
    net->next = growth->next;
    net->origin = growth->origin;
    net->trainer = growth->trainer;
    net->arms = growth->arms;
    net->users = growth->users;
    *growth = old;
    neural_growth_release(growth);
}

void neural_resume(neural *net)
{
    if (net->refitting)
        refit_begin(net);
}

size_t neural_memory(const neural *net)
{
    size_t blocks = 0;
    for (size_t b = 0; b < net->block_count; b++)
        blocks += net->blocks[b] != NULL;
    /* Two networks, Adam's two moments and the sums of gradients, the lessons, scratch. */
    return sizeof *net + net->next->value_count * 5 * sizeof(float) +
           (net->mlp->value_count - net->mlp->dense_offset) * 2 * sizeof(float) +
           blocks * NEURAL_BLOCK * net->stride * sizeof(float) +
           (net->batch + NEURAL_ROWS) * net->stride * sizeof(float) + 2 * nn_mlp_scratch_size(net->mlp);
}
