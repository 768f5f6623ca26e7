/*
 * bst_train.c: one step of learning.
 *
 * A batch is cut into groups of examples, whatever the number of threads. Each group makes its tokens and takes
 * them through the encoder; the network above them learns from the whole batch (nn/trainer.h) and says what the
 * gradient of its inputs is; then each group goes back through the encoder with a gradient of its own, and these are
 * added in their order. The gradient of a table's row is the sum over the batch's tokens that name it, in their order,
 * added up where the row is updated. So the same batch gives the same bytes for any number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "model/bst.h"

enum {
    GROUP_LIMIT = 32,
    GROUP_EXAMPLES = 16, /* of a group, at least */
    PIECE_FLOATS = 2048, /* weights that are updated together */
};

/* A piece of the update: rows [first, first + count) of a table, or so many of the encoder's weights. */
typedef struct piece {
    size_t table; /* SIZE_MAX: the encoder */
    size_t first, count;
} piece;

struct bst_trainer {
    model_state *state;
    bst_settings settings;
    nn_trainer *above;
    int threads;
    size_t batch_limit, group_limit;
    void *memory;
    bst_batch batch;
    float *h, *dx;    /* [token][stride]: what the encoder gives; gradients */
    float *d_last;    /* [example][stride], where the targets' outputs alone are wanted */
    float *reward;    /* [example] */
    uint32_t *starts; /* [group][examples + 1]: where its sequences begin among its own tokens */
    nn_tape **tapes;  /* [group], or, for the targets alone: */
    nn_target_tape **targets;
    float *sums;             /* [group][value_count of the encoder] */
    uint32_t **head, **next; /* [table][row], [table][token]: the batch's tokens that name a table's row */
    float *mean, *square;    /* of the tables' values */
    float *encoder_mean, *encoder_square;
    piece *pieces;
    size_t piece_count;
    float *scratch; /* per thread: the gradient of a piece */
    size_t scratch_floats;
    uint32_t threshold;
    float scale;

    /* The step that is under way. */
    size_t groups, group_examples;
    uint64_t key;
    nn_adam_step dense_step, table_step;
    float *to_tables, *to_encoder; /* where bst_trainer_gradient wants them, else NULL */
};

static size_t group_count(size_t examples, size_t *each)
{
    *each = (examples + GROUP_LIMIT - 1) / GROUP_LIMIT;
    if (*each < GROUP_EXAMPLES)
        *each = GROUP_EXAMPLES;
    return (examples + *each - 1) / *each;
}

/* ---- construction ---- */

/* The list of pieces of the update; with `list` NULL only counts them. */
static size_t list_pieces(const model_state *state, piece *list)
{
    size_t count = 0;
    for (size_t at = 0; state->encoder && at < state->encoder->value_count; at += PIECE_FLOATS, count++) {
        size_t left = state->encoder->value_count - at;
        if (list)
            list[count] = (piece){SIZE_MAX, at, left < PIECE_FLOATS ? left : PIECE_FLOATS};
    }
    for (size_t t = 0; t < state->table_count; t++) {
        size_t rows = PIECE_FLOATS / state->tables[t].width, total = state->tables[t].rows;
        if (rows == 0)
            rows = 1;
        for (size_t row = 0; row < total; row += rows, count++) {
            if (list)
                list[count] = (piece){t, row, total - row < rows ? total - row : rows};
        }
    }
    return count;
}

static bool create_chains(bst_trainer *trainer)
{
    const model_state *state = trainer->state;
    size_t tokens = trainer->batch_limit * state->limit;
    trainer->head = forage_calloc(state->table_count, sizeof *trainer->head);
    trainer->next = forage_calloc(state->table_count, sizeof *trainer->next);
    if (!trainer->head || !trainer->next)
        return false;
    for (size_t t = 0; t < state->table_count; t++) {
        if (state->tables[t].kind == BST_NUMBER)
            continue;
        trainer->head[t] = forage_alloc(state->tables[t].rows, sizeof **trainer->head);
        trainer->next[t] = forage_alloc(tokens, sizeof **trainer->next);
        if (!trainer->head[t] || !trainer->next[t])
            return false;
        memset(trainer->head[t], 0xff, state->tables[t].rows * sizeof **trainer->head);
    }
    return true;
}

static bool allocate(bst_trainer *trainer)
{
    const model_state *state = trainer->state;
    size_t values = state->encoder ? state->encoder->value_count : 0, widest = PIECE_FLOATS;
    size_t tokens = trainer->batch_limit * state->limit;
    double bytes = bst_batch_size(state, trainer->batch_limit, state->limit);
    for (size_t t = 0; t < state->table_count; t++)
        widest = state->tables[t].width > widest ? state->tables[t].width : widest;
    trainer->scratch_floats = nn_padded(widest);
    trainer->memory = bytes < (double)(SIZE_MAX / 2) ? forage_alloc((size_t)bytes, 1) : NULL;
    trainer->dx = forage_alloc(tokens, state->stride * sizeof *trainer->dx);
    trainer->reward = forage_alloc(trainer->batch_limit, sizeof *trainer->reward);
    trainer->starts = forage_alloc(trainer->batch_limit + trainer->group_limit, sizeof *trainer->starts);
    trainer->mean = forage_calloc(state->value_count, sizeof *trainer->mean);
    trainer->square = forage_calloc(state->value_count, sizeof *trainer->square);
    trainer->piece_count = list_pieces(state, NULL);
    trainer->pieces = forage_calloc(trainer->piece_count, sizeof *trainer->pieces);
    trainer->scratch = forage_calloc((size_t)trainer->threads, trainer->scratch_floats * sizeof *trainer->scratch);
    if (!trainer->memory || !trainer->dx || !trainer->reward || !trainer->starts || !trainer->mean ||
        !trainer->square || !trainer->pieces || !trainer->scratch || !create_chains(trainer))
        return false;
    bst_batch_place(state, trainer->batch_limit, state->limit, trainer->memory, &trainer->batch);
    (void)list_pieces(state, trainer->pieces);
    if (!state->encoder)
        return true;
    if (state->last_alone)
        tokens = trainer->batch_limit;
    trainer->h = forage_alloc(tokens, state->stride * sizeof *trainer->h);
    trainer->d_last = forage_alloc(state->last_alone ? tokens : 1, state->stride * sizeof *trainer->d_last);
    trainer->sums = forage_calloc(trainer->group_limit, values * sizeof *trainer->sums);
    trainer->encoder_mean = forage_calloc(values, sizeof *trainer->encoder_mean);
    trainer->encoder_square = forage_calloc(values, sizeof *trainer->encoder_square);
    trainer->tapes = forage_calloc(trainer->group_limit, sizeof *trainer->tapes);
    trainer->targets = forage_calloc(trainer->group_limit, sizeof *trainer->targets);
    return trainer->h && trainer->d_last && trainer->targets && trainer->sums && trainer->encoder_mean &&
           trainer->encoder_square && trainer->tapes;
}

double bst_trainer_memory(const model_state *state, size_t batch_limit)
{
    size_t each, groups = group_count(batch_limit, &each);
    double tokens = (double)batch_limit * (double)state->limit, stride = (double)state->stride;
    double bytes =
        bst_batch_size(state, batch_limit, state->limit) + 4.0 * tokens * (stride + (double)state->table_count);
    bytes += 8.0 * (double)state->value_count + 12.0 * (double)state->mlp->value_count;
    bytes += 4.0 * (double)batch_limit * (double)state->mlp->input_stride;
    if (state->encoder)
        bytes += (4.0 * (double)groups + 8.0) * (double)state->encoder->value_count;
    if (state->last_alone)
        bytes += (double)groups * nn_target_tape_memory(state->encoder, each * state->limit, each);
    else if (state->encoder)
        bytes += 4.0 * tokens * stride + (double)groups * nn_tape_memory(state->encoder, each * state->limit);
    return bytes;
}

forage_status bst_trainer_create(model_state *state, const bst_settings *settings, size_t batch_limit, int threads,
                                 bst_trainer **trainer, forage_error *error)
{
    forage_status status = FORAGE_OK;
    size_t each;
    *trainer = NULL;
    if (batch_limit > UINT32_MAX / state->limit)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "batch-size",
                              "%zu examples of up to %zu tokens are more than a step can number", batch_limit,
                              state->limit);
    bst_trainer *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for training bst");
    made->state = state;
    made->settings = *settings;
    made->threads = threads;
    made->batch_limit = batch_limit;
    made->group_limit = group_count(batch_limit, &each);
    made->threshold = (uint32_t)(settings->embedding_dropout * 4294967296.0);
    made->scale = (float)(1.0 / (1.0 - settings->embedding_dropout));
    if (!allocate(made))
        status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for training bst");
    if (status == FORAGE_OK)
        status = nn_trainer_create(state->mlp, &settings->mlp, batch_limit, threads, &made->above, error);
    for (size_t g = 0; status == FORAGE_OK && state->encoder && g < made->group_limit; g++)
        status = state->last_alone
                     ? nn_target_tape_create(state->encoder, each * state->limit, each, &made->targets[g], error)
                     : nn_tape_create(state->encoder, each * state->limit, each, &made->tapes[g], error);
    if (status != FORAGE_OK) {
        bst_trainer_free(made);
        return status;
    }
    *trainer = made;
    return FORAGE_OK;
}

void bst_trainer_free(bst_trainer *trainer)
{
    if (!trainer)
        return;
    for (size_t g = 0; trainer->tapes && g < trainer->group_limit; g++)
        nn_tape_free(trainer->tapes[g]);
    for (size_t g = 0; trainer->targets && g < trainer->group_limit; g++)
        nn_target_tape_free(trainer->targets[g]);
    for (size_t t = 0; t < trainer->state->table_count; t++) {
        if (trainer->head)
            forage_free(trainer->head[t]);
        if (trainer->next)
            forage_free(trainer->next[t]);
    }
    nn_trainer_free(trainer->above);
    forage_free(trainer->head);
    forage_free(trainer->next);
    forage_free(trainer->tapes);
    forage_free(trainer->targets);
    forage_free(trainer->d_last);
    forage_free(trainer->sums);
    forage_free(trainer->h);
    forage_free(trainer->dx);
    forage_free(trainer->reward);
    forage_free(trainer->starts);
    forage_free(trainer->mean);
    forage_free(trainer->square);
    forage_free(trainer->encoder_mean);
    forage_free(trainer->encoder_square);
    forage_free(trainer->pieces);
    forage_free(trainer->scratch);
    forage_free(trainer->memory);
    forage_free(trainer);
}

/* ---- forward and backward ---- */

/* splitmix64's finaliser. */
static uint64_t mix(uint64_t hash)
{
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
    return hash ^ (hash >> 31);
}

static void group_of(const bst_trainer *trainer, size_t g, size_t *begin, size_t *end)
{
    *begin = g * trainer->group_examples;
    *end = *begin + trainer->group_examples < trainer->batch.count ? *begin + trainer->group_examples
                                                                   : trainer->batch.count;
}

static void work_forward(void *context, size_t g, int worker)
{
    bst_trainer *trainer = context;
    const model_state *state = trainer->state;
    bst_batch *batch = &trainer->batch;
    size_t begin, end;
    (void)worker;
    group_of(trainer, g, &begin, &end);
    bst_batch_fill(state, batch, begin, end);
    size_t first = batch->starts[begin], tokens = batch->starts[end] - first;
    float *x = batch->x + first * state->stride;
    if (trainer->threshold)
        state->mlp->kernels->dropout(tokens, state->stride, trainer->threshold, trainer->scale,
                                     (uint32_t)(mix(trainer->key + g) >> 32), x);
    uint32_t *starts = trainer->starts + begin + g;
    for (size_t i = begin; i <= end; i++)
        starts[i - begin] = batch->starts[i] - (uint32_t)first;
    nn_pack pack = {end - begin, starts};
    float dropout = (float)trainer->settings.dropout;
    uint64_t key = mix(trainer->key + GROUP_LIMIT);
    if (state->last_alone) {
        nn_target_forward(state->encoder, &pack, dropout, key, begin, trainer->targets[g], x,
                          trainer->h + begin * state->stride);
        bst_batch_put(state, batch, begin, end, trainer->h);
    } else if (state->encoder) {
        nn_encoder_forward(state->encoder, &pack, dropout, key, first, trainer->tapes[g], x,
                           trainer->h + first * state->stride);
        bst_batch_pool(state, batch, begin, end, trainer->h);
    } else {
        bst_batch_pool(state, batch, begin, end, batch->x);
    }
}

static void work_backward(void *context, size_t g, int worker)
{
    bst_trainer *trainer = context;
    const model_state *state = trainer->state;
    const bst_batch *batch = &trainer->batch;
    const nn_mlp *mlp = state->mlp;
    size_t begin, end;
    (void)worker;
    group_of(trainer, g, &begin, &end);
    size_t first = batch->starts[begin], tokens = batch->starts[end] - first;
    float *dx = trainer->dx + first * state->stride, *sum = NULL;
    const float *above = nn_trainer_input_gradient(trainer->above) + mlp->input_width - mlp->number_count;
    if (state->encoder) {
        sum = trainer->sums + g * state->encoder->value_count;
        memset(sum, 0, state->encoder->value_count * sizeof *sum);
    }
    if (state->last_alone) {
        bst_batch_unput(state, begin, end, above, mlp->input_stride, trainer->d_last);
        nn_target_backward(state->encoder, trainer->targets[g], trainer->d_last + begin * state->stride, dx, sum);
    } else {
        bst_batch_unpool(state, batch, begin, end, above, mlp->input_stride, trainer->dx);
        if (state->encoder)
            nn_encoder_backward(state->encoder, trainer->tapes[g], dx, dx, sum);
    }
    if (trainer->threshold)
        mlp->kernels->mask(tokens, state->stride, trainer->scale, batch->x + first * state->stride, dx);
}

/* ---- update ---- */

/* Links the batch's tokens by the row of table `t` that they name, in their order. */
static void work_link(void *context, size_t t, int worker)
{
    bst_trainer *trainer = context;
    const bst_table *table = &trainer->state->tables[t];
    const uint32_t *codes = trainer->batch.codes[t];
    uint32_t *head = trainer->head[t], *next = trainer->next[t];
    (void)worker;
    for (size_t i = table->kind == BST_NUMBER ? 0 : trainer->batch.tokens; i-- > 0;) {
        if (codes[i] < table->rows) {
            next[i] = head[codes[i]];
            head[codes[i]] = (uint32_t)i;
        }
    }
}

/* Adds the gradient of a table's row to `out`. False where no token names it. */
static bool row_gradient(bst_trainer *trainer, size_t t, size_t row, float *out)
{
    const model_state *state = trainer->state;
    const bst_table *table = &state->tables[t];
    const float *dx = trainer->dx + table->column;
    if (table->kind == BST_NUMBER) {
        for (size_t i = 0; i < trainer->batch.tokens; i++) {
            float value = trainer->batch.values[t][i];
            for (size_t j = 0; j < table->width; j++)
                out[j] += value * dx[i * state->stride + j];
        }
        return true;
    }
    uint32_t *head = trainer->head[t];
    if (head[row] == FORAGE_NONE)
        return false;
    state->mlp->kernels->add_chain(head[row], trainer->next[t], table->width, state->stride, dx, out);
    head[row] = FORAGE_NONE;
    return true;
}

static void update_table(bst_trainer *trainer, const piece *part, float *gradient)
{
    const model_state *state = trainer->state;
    const bst_table *table = &state->tables[part->table];
    size_t width = table->width, count = part->count * width, at = table->offset + part->first * width;
    bool lazy = trainer->settings.mlp.lazy && !trainer->to_tables;
    memset(gradient, 0, count * sizeof *gradient);
    for (size_t row = 0; row < part->count; row++) {
        bool named = row_gradient(trainer, part->table, part->first + row, gradient + row * width);
        if (lazy && named)
            state->mlp->kernels->adam(width, &trainer->table_step, gradient + row * width, NULL,
                                      state->values + at + row * width, trainer->mean + at + row * width,
                                      trainer->square + at + row * width);
    }
    if (trainer->to_tables)
        memcpy(trainer->to_tables + at, gradient, count * sizeof *gradient);
    else if (!lazy)
        state->mlp->kernels->adam(count, &trainer->table_step, gradient, NULL, state->values + at, trainer->mean + at,
                                  trainer->square + at);
}

static void work_update(void *context, size_t index, int worker)
{
    bst_trainer *trainer = context;
    const model_state *state = trainer->state;
    const piece *part = &trainer->pieces[index];
    float *gradient = trainer->scratch + (size_t)worker * trainer->scratch_floats;
    if (part->table != SIZE_MAX) {
        update_table(trainer, part, gradient);
        return;
    }
    size_t at = part->first;
    memcpy(gradient, trainer->sums + at, part->count * sizeof *gradient);
    for (size_t g = 1; g < trainer->groups; g++)
        state->mlp->kernels->add(part->count, trainer->sums + g * state->encoder->value_count + at, gradient);
    if (trainer->to_encoder)
        memcpy(trainer->to_encoder + at, gradient, part->count * sizeof *gradient);
    else
        state->mlp->kernels->adam(part->count, &trainer->dense_step, gradient, NULL, state->encoder->values + at,
                                  trainer->encoder_mean + at, trainer->encoder_square + at);
}

/* ---- a step ---- */

/* The examples up to the network. */
static nn_inputs go_up(bst_trainer *trainer, const forage_examples *examples, const uint32_t *rows, size_t count,
                       uint64_t key)
{
    bst_batch *batch = &trainer->batch;
    trainer->key = key;
    batch->crop = trainer->settings.crop;
    batch->key = mix(key + GROUP_LIMIT + 1);
    trainer->groups = group_count(count, &trainer->group_examples);
    bst_batch_begin(trainer->state, examples, rows, 0, count, batch);
    for (size_t i = 0; i < count; i++)
        trainer->reward[i] = examples->reward ? examples->reward[rows[i]] : 1.0F;
    forage_parallel_for(trainer->threads, trainer->groups, work_forward, trainer);
    return (nn_inputs){.codes = (const uint32_t *const *)batch->mlp_codes, .matrix = batch->matrix, .count = count};
}

/* The gradient of the network's inputs down to all weights below it. */
static void come_down(bst_trainer *trainer)
{
    model_state *state = trainer->state;
    forage_parallel_for(trainer->threads, trainer->groups, work_backward, trainer);
    forage_parallel_for(trainer->threads, state->table_count, work_link, trainer);
    forage_parallel_for(trainer->threads, trainer->piece_count, work_update, trainer);
    if (state->encoder && !trainer->to_encoder)
        nn_encoder_refresh(state->encoder);
}

double bst_trainer_step(bst_trainer *trainer, const forage_examples *examples, const uint32_t *rows, size_t count,
                        double rate, uint64_t key)
{
    if (count == 0)
        return 0.0;
    const nn_settings *settings = &trainer->settings.mlp;
    nn_inputs inputs = go_up(trainer, examples, rows, count, key);
    double loss = nn_trainer_step(trainer->above, &inputs, trainer->reward, rate, key);
    uint64_t steps = nn_trainer_steps(trainer->above);
    trainer->dense_step = nn_adam_at(settings, rate, settings->decay, steps);
    trainer->table_step = nn_adam_at(settings, rate, settings->table_decay, steps);
    come_down(trainer);
    return loss;
}

double bst_trainer_gradient(bst_trainer *trainer, const forage_examples *examples, const uint32_t *rows, size_t count,
                            uint64_t key, float *tables, float *encoder, float *mlp)
{
    memset(tables, 0, trainer->state->value_count * sizeof *tables);
    nn_inputs inputs = go_up(trainer, examples, rows, count, key);
    double loss = nn_trainer_gradient(trainer->above, &inputs, trainer->reward, key, mlp);
    trainer->to_tables = tables;
    trainer->to_encoder = encoder;
    come_down(trainer);
    trainer->to_tables = trainer->to_encoder = NULL;
    return loss;
}

/* ---- for checkpoints ---- */

size_t bst_trainer_blocks(bst_trainer *trainer, bst_block blocks[BST_BLOCKS])
{
    model_state *state = trainer->state;
    size_t count = 0;
    blocks[count++] = (bst_block){"tables", state->value_count, state->values, trainer->mean, trainer->square};
    blocks[count++] = (bst_block){"mlp", state->mlp->value_count, state->mlp->values, nn_trainer_mean(trainer->above),
                                  nn_trainer_square(trainer->above)};
    if (state->encoder)
        blocks[count++] = (bst_block){"encoder", state->encoder->value_count, state->encoder->values,
                                      trainer->encoder_mean, trainer->encoder_square};
    return count;
}

uint64_t bst_trainer_steps(const bst_trainer *trainer)
{
    return nn_trainer_steps(trainer->above);
}

void bst_trainer_set_steps(bst_trainer *trainer, uint64_t steps)
{
    nn_trainer_set_steps(trainer->above, steps);
}
