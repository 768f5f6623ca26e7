/*
 * trainer.c: forward, backward and Adam over a batch (the plan stands in trainer.h).
 *
 * Backward, for dz_i = (p_i - y_i) / batch at the logit (z_i - y_i for the squared error, times the row's weight):
 *   dw = sum_i dz_i h_L,i    db = sum_i dz_i    dh_L,i = dz_i w
 *   per layer from the last:  dh_l *= (h_l != 0) / keep (times the leak where h_l < 0)
 *                             dW_l = dh_l^T h_(l-1)    db_l = column sums of dh_l    dh_(l-1) = dh_l W_l
 *   dx is cut into the tables' columns and added to their rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/trainer.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum {
    GROUP_BLOCKS = 2,     /* at least: every group's sums must be read by whoever updates the layers */
    UPDATE_FLOATS = 2048, /* weights of a table that are updated together: 4 arrays of 8 KiB */
    UPDATE_ROWS = 16,     /* rows of a layer that are updated together: one vector of its transposed copy */
};

/* What a worker needs of its own. */
typedef struct scratch {
    float *x;                      /* [NN_BLOCK][input_stride] */
    float *hidden[NN_LAYER_LIMIT]; /* [NN_BLOCK][out_stride] */
    float *gradient, *next;        /* [NN_BLOCK][widest] */
    float *z, *dz, *y;             /* [NN_BLOCK] */
    uint32_t *codes;               /* [NN_BLOCK] */
    float *update;                 /* gradients of rows that are being updated */
    float *memory;
} scratch;

/* A piece of the update: rows [first, first + count) of table or layer `index`, or so many floats of the output. */
typedef struct update {
    enum { OF_TABLE, OF_LAYER, OF_HEAD } kind;
    size_t index, first, count;
} update;

/* Work items shared out so that a worker meets the same weights in every step, which are then in its core's
 * cache: each worker has a range of items of its own, and takes from the others' when it is through. */
typedef struct share {
    _Atomic size_t next;
    size_t end;
    char apart[64 - 2 * sizeof(size_t)]; /* each in a cache line of its own */
} share;

typedef void work_item(nn_trainer *trainer, size_t item, int worker);

/* The two products of a layer's way back. */
typedef struct back {
    la_gemm weight[2]; /* dW = dh^T h, and dW += dh^T h */
    la_gemm input;     /* dx = dh W */
} back;

struct nn_trainer {
    nn_mlp *mlp;
    nn_settings settings;
    int threads;
    size_t batch_limit, group_limit;
    uint64_t steps;
    float *mean, *square; /* [value_count] */
    const float *origin;  /* [value_count] that decay pulls towards; NULL: 0 */
    float *sums;          /* [group][dense_count] */
    double losses[NN_GROUP_LIMIT];
    size_t dense_count;
    float *dx;               /* [batch][input_stride] */
    uint32_t **head, **next; /* [table][rows], [table][batch]: the batch's rows that name a table's row */
    back *backs;
    scratch *scratches;
    update *updates;
    size_t update_count;
    size_t *update_cost; /* cumulated */
    size_t *pass_cost;   /* the same of tables to link and groups */
    share *shares;       /* [threads] */
    work_item *work;     /* what is being shared out */
    uint32_t threshold, input_threshold;
    float scale, input_scale;

    /* The step that is under way. */
    const nn_inputs *inputs;
    const float *reward;
    uint64_t key;
    size_t groups, group_rows;
    nn_adam_step dense_step, table_step;
    float *gradient; /* where nn_trainer_gradient wants it, else NULL */
};

/* ---- construction ------------------------------------------------------------ */

static bool scratch_create(const nn_mlp *mlp, scratch *made)
{
    size_t hidden = 0, update_floats = UPDATE_FLOATS;
    for (size_t l = 0; l < mlp->layer_count; l++)
        hidden += mlp->layers[l].out_stride;
    if (update_floats < UPDATE_ROWS * mlp->widest)
        update_floats = UPDATE_ROWS * mlp->widest;
    size_t rows = mlp->input_stride + hidden + 2 * mlp->widest + 4;
    made->memory = forage_calloc(rows * NN_BLOCK + update_floats, sizeof(float));
    if (!made->memory)
        return false;
    float *at = made->memory;
    made->x = at;
    at += mlp->input_stride * NN_BLOCK;
    for (size_t l = 0; l < mlp->layer_count; l++) {
        made->hidden[l] = at;
        at += mlp->layers[l].out_stride * NN_BLOCK;
    }
    made->gradient = at;
    made->next = at += mlp->widest * NN_BLOCK;
    made->z = at += mlp->widest * NN_BLOCK;
    made->dz = at += NN_BLOCK;
    made->y = at += NN_BLOCK;
    made->codes = (uint32_t *)(at += NN_BLOCK);
    made->update = at + NN_BLOCK;
    return true;
}

/* The list of pieces of the update; with `list` NULL only counts them. */
static size_t list_updates(const nn_mlp *mlp, update *list)
{
    size_t count = 0;
    for (size_t l = 0; l < mlp->layer_count; l++) {
        for (size_t row = 0; row < mlp->layers[l].out_stride; row += UPDATE_ROWS, count++) {
            if (list)
                list[count] = (update){OF_LAYER, l, row, UPDATE_ROWS};
        }
    }
    size_t floats = mlp->value_count - mlp->head_weight;
    for (size_t at = 0; at < floats; at += UPDATE_FLOATS, count++) {
        if (list)
            list[count] = (update){OF_HEAD, 0, at, floats - at < UPDATE_FLOATS ? floats - at : UPDATE_FLOATS};
    }
    for (size_t t = 0; t < mlp->table_count; t++) {
        size_t rows = UPDATE_FLOATS / mlp->tables[t].width;
        for (size_t row = 0; row < mlp->tables[t].rows; row += rows, count++) {
            size_t left = mlp->tables[t].rows - row;
            if (list)
                list[count] = (update){OF_TABLE, t, row, left < rows ? left : rows};
        }
    }
    return count;
}

/* About how long a piece takes, in weights that Adam passes over. */
static size_t update_cost(const nn_trainer *trainer, const update *piece)
{
    const nn_mlp *mlp = trainer->mlp;
    if (piece->kind == OF_TABLE) {
        size_t rows = mlp->tables[piece->index].rows, width = mlp->tables[piece->index].width;
        return piece->count * width + trainer->batch_limit * piece->count / rows * (16 + width / 2);
    }
    if (piece->kind == OF_LAYER)
        return piece->count * mlp->layers[piece->index].in_stride * (2 + trainer->group_limit / 8);
    return piece->count;
}

static bool chains_create(nn_trainer *trainer)
{
    const nn_mlp *mlp = trainer->mlp;
    size_t tables = mlp->table_count ? mlp->table_count : 1;
    trainer->head = forage_calloc(tables, sizeof *trainer->head);
    trainer->next = forage_calloc(tables, sizeof *trainer->next);
    if (!trainer->head || !trainer->next)
        return false;
    for (size_t t = 0; t < mlp->table_count; t++) {
        trainer->head[t] = forage_alloc(mlp->tables[t].rows, sizeof **trainer->head);
        trainer->next[t] = forage_alloc(trainer->batch_limit, sizeof **trainer->next);
        if (!trainer->head[t] || !trainer->next[t])
            return false;
        memset(trainer->head[t], 0xff, mlp->tables[t].rows * sizeof **trainer->head);
    }
    return true;
}

static void backs_create(nn_trainer *trainer)
{
    const nn_mlp *mlp = trainer->mlp;
    for (size_t l = 0; l < mlp->layer_count; l++) {
        const nn_layer *layer = &mlp->layers[l];
        la_shape weight = {.transpose = LA_TN,
                           .m = layer->out_stride,
                           .n = layer->in_stride,
                           .k = NN_BLOCK,
                           .lda = layer->out_stride,
                           .ldb = layer->in_stride,
                           .ldc = layer->in_stride};
        la_shape input = {.transpose = LA_NN,
                          .m = NN_BLOCK,
                          .n = layer->in_stride,
                          .k = layer->out_stride,
                          .lda = layer->out_stride,
                          .ldb = layer->in_stride,
                          .ldc = layer->in_stride};
        for (size_t i = 0; i < 2; i++) {
            weight.accumulate = i == 1;
            la_gemm_init(&trainer->backs[l].weight[i], mlp->engine, &weight);
        }
        la_gemm_init(&trainer->backs[l].input, mlp->engine, &input);
    }
}

forage_status nn_trainer_create(nn_mlp *mlp, const nn_settings *settings, size_t batch_limit, int threads,
                                nn_trainer **trainer, forage_error *error)
{
    *trainer = NULL;
    nn_trainer *made = forage_calloc(1, sizeof *made);
    if (!made)
        goto memory;
    made->mlp = mlp;
    made->settings = *settings;
    made->threads = threads;
    made->batch_limit = batch_limit;
    made->group_limit = (batch_limit + GROUP_BLOCKS * NN_BLOCK - 1) / (GROUP_BLOCKS * NN_BLOCK);
    if (made->group_limit > NN_GROUP_LIMIT)
        made->group_limit = NN_GROUP_LIMIT;
    made->dense_count = mlp->value_count - mlp->dense_offset;
    made->threshold = (uint32_t)(settings->dropout * 4294967296.0);
    made->input_threshold = (uint32_t)(settings->input_dropout * 4294967296.0);
    made->scale = (float)(1.0 / (1.0 - settings->dropout));
    made->input_scale = (float)(1.0 / (1.0 - settings->input_dropout));
    made->mean = forage_calloc(mlp->value_count, sizeof *made->mean);
    made->square = forage_calloc(mlp->value_count, sizeof *made->square);
    made->sums = forage_calloc(made->group_limit * made->dense_count, sizeof *made->sums);
    made->dx = forage_calloc((batch_limit + NN_BLOCK - 1) / NN_BLOCK * NN_BLOCK * mlp->input_stride, sizeof *made->dx);
    made->backs = forage_calloc(mlp->layer_count ? mlp->layer_count : 1, sizeof *made->backs);
    made->scratches = forage_calloc((size_t)threads, sizeof *made->scratches);
    made->update_count = list_updates(mlp, NULL);
    made->updates = forage_calloc(made->update_count, sizeof *made->updates);
    made->update_cost = forage_calloc(made->update_count + 1, sizeof *made->update_cost);
    made->pass_cost = forage_calloc(mlp->table_count + NN_GROUP_LIMIT + 1, sizeof *made->pass_cost);
    made->shares = forage_calloc((size_t)threads, sizeof *made->shares);
    if (!made->mean || !made->square || !made->sums || !made->dx || !made->backs || !made->scratches ||
        !made->updates || !made->update_cost || !made->pass_cost || !made->shares || !chains_create(made))
        goto memory;
    for (int i = 0; i < threads; i++) {
        if (!scratch_create(mlp, &made->scratches[i]))
            goto memory;
    }
    (void)list_updates(mlp, made->updates);
    for (size_t i = 0; i < made->update_count; i++)
        made->update_cost[i + 1] = made->update_cost[i] + update_cost(made, &made->updates[i]);
    backs_create(made);
    *trainer = made;
    return FORAGE_OK;
memory:
    nn_trainer_free(made);
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for training");
}

void nn_trainer_free(nn_trainer *trainer)
{
    if (!trainer)
        return;
    for (int i = 0; trainer->scratches && i < trainer->threads; i++)
        forage_free(trainer->scratches[i].memory);
    for (size_t t = 0; t < trainer->mlp->table_count; t++) {
        if (trainer->head)
            forage_free(trainer->head[t]);
        if (trainer->next)
            forage_free(trainer->next[t]);
    }
    forage_free(trainer->head);
    forage_free(trainer->next);
    forage_free(trainer->scratches);
    forage_free(trainer->backs);
    forage_free(trainer->updates);
    forage_free(trainer->update_cost);
    forage_free(trainer->pass_cost);
    forage_free(trainer->shares);
    forage_free(trainer->dx);
    forage_free(trainer->sums);
    forage_free(trainer->mean);
    forage_free(trainer->square);
    forage_free(trainer);
}

/* ---- sharing out work ---------------------------------------------------------- */

/* The next item for `worker`, SIZE_MAX when none is left: its own first, then those of others. */
static size_t claim(nn_trainer *trainer, int worker)
{
    size_t threads = (size_t)trainer->threads;
    for (size_t w = 0; w < threads; w++) {
        share *from = &trainer->shares[((size_t)worker + w) % threads];
        if (atomic_load_explicit(&from->next, memory_order_relaxed) >= from->end)
            continue;
        size_t item = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed);
        if (item < from->end)
            return item;
    }
    return SIZE_MAX;
}

/* A worker at work. One that comes late finds nothing left and goes. */
static void work_shares(void *context, size_t ticket, int worker)
{
    nn_trainer *trainer = context;
    (void)ticket;
    for (size_t item = claim(trainer, worker); item != SIZE_MAX; item = claim(trainer, worker))
        trainer->work(trainer, item, worker);
}

/* Runs work(trainer, item, worker) for `count` items whose cumulated costs are `cost`. */
static void share_out(nn_trainer *trainer, size_t count, const size_t *cost, work_item *work)
{
    size_t threads = (size_t)trainer->threads, at = 0, total = cost[count];
    for (size_t w = 0; w < threads; w++) {
        size_t limit = total / threads * (w + 1) + total % threads * (w + 1) / threads;
        atomic_store_explicit(&trainer->shares[w].next, at, memory_order_relaxed);
        while (at < count && (w + 1 == threads || cost[at] + cost[at + 1] < 2 * limit))
            at++;
        trainer->shares[w].end = at;
    }
    trainer->work = work;
    forage_parallel_for(trainer->threads, threads, work_shares, trainer);
}

/* ---- forward and backward ----------------------------------------------------- */

/* A seed for the dropout of one layer in one block: splitmix64's finaliser over what names them. */
static uint32_t dropout_key(uint64_t key, size_t block, size_t layer)
{
    uint64_t hash = key + 0x9e3779b97f4a7c15U * (block * (NN_LAYER_LIMIT + 1) + layer + 1);
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
    return (uint32_t)(hash >> 32);
}

/* Where the columns hold row `i` of the batch. */
static size_t input_row(const nn_inputs *inputs, size_t i)
{
    return inputs->rows ? inputs->rows[i] : inputs->first + i;
}

/* Rows [begin, begin + rows) of the batch, padded with zeros to a block: x and all hidden layers. */
static void block_forward(const nn_trainer *trainer, scratch *own, size_t begin, size_t rows)
{
    const nn_mlp *mlp = trainer->mlp;
    const nn_kernels *kernels = mlp->kernels;
    nn_mlp_gather(mlp, trainer->inputs, begin, rows, own->codes, own->x);
    if (rows < NN_BLOCK)
        memset(own->x + rows * mlp->input_stride, 0, (NN_BLOCK - rows) * mlp->input_stride * sizeof *own->x);
    if (trainer->input_threshold)
        kernels->dropout(NN_BLOCK, mlp->input_stride, trainer->input_threshold, trainer->input_scale,
                         dropout_key(trainer->key, begin / NN_BLOCK, NN_LAYER_LIMIT), own->x);
    const float *here = own->x;
    for (size_t l = 0; l < mlp->layer_count; l++) {
        const nn_layer *layer = &mlp->layers[l];
        la_gemm_run(&layer->forward, here, layer->transposed, own->hidden[l]);
        nn_mlp_activate(mlp, l, NN_BLOCK, own->hidden[l]);
        if (trainer->threshold)
            kernels->dropout(NN_BLOCK, layer->out_stride, trainer->threshold, trainer->scale,
                             dropout_key(trainer->key, begin / NN_BLOCK, l), own->hidden[l]);
        here = own->hidden[l];
    }
    if (!trainer->inputs->heads)
        kernels->head(NN_BLOCK, mlp->head_stride, here, mlp->values + mlp->head_weight, mlp->values[mlp->head_bias],
                      own->z);
    for (size_t i = 0; trainer->inputs->heads && i < rows; i++) {
        size_t head = trainer->inputs->heads[input_row(trainer->inputs, begin + i)];
        kernels->head(1, mlp->head_stride, here + i * mlp->head_stride,
                      mlp->values + mlp->head_weight + head * mlp->head_stride, mlp->values[mlp->head_bias + head],
                      own->z + i);
    }
}

/* The loss of the `rows` rows of the block that begins at `begin`, and dz; padding has none. */
static double block_loss(const nn_trainer *trainer, const scratch *own, size_t begin, size_t rows, const float *y)
{
    const nn_inputs *inputs = trainer->inputs;
    const nn_kernels *kernels = trainer->mlp->kernels;
    double (*loss)(size_t, const float *, const float *, float, float *) =
        trainer->settings.squared ? kernels->squared : kernels->loss;
    float scale = (float)(1.0 / (double)inputs->count);
    double sum = inputs->weights ? 0.0 : loss(rows, own->z, y, scale, own->dz);
    for (size_t i = 0; inputs->weights && i < rows; i++) {
        float weight = inputs->weights[input_row(inputs, begin + i)];
        sum += (double)weight * loss(1, own->z + i, y + i, scale * weight, own->dz + i);
    }
    for (size_t i = rows; i < NN_BLOCK; i++)
        own->dz[i] = 0.0F;
    return sum;
}

/* The output's part of the way back: dh to `here`, and its own gradients. */
static void head_backward(const nn_trainer *trainer, scratch *own, size_t begin, size_t rows, float *sum, float *here)
{
    const nn_mlp *mlp = trainer->mlp;
    const nn_inputs *inputs = trainer->inputs;
    const float *h = mlp->layer_count ? own->hidden[mlp->layer_count - 1] : own->x;
    const float *weight = mlp->values + mlp->head_weight;
    float *to_weight = sum + (mlp->head_weight - mlp->dense_offset), *bias = sum + (mlp->head_bias - mlp->dense_offset);
    size_t stride = mlp->head_stride;
    if (!inputs->heads) {
        *bias += mlp->kernels->head_back(NN_BLOCK, stride, own->dz, h, weight, here, to_weight);
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        size_t head = inputs->heads[input_row(inputs, begin + i)];
        const float *w = weight + head * stride, *kept = h + i * stride;
        float *dw = to_weight + head * stride, dz = own->dz[i];
        for (size_t j = 0; j < stride; j++) {
            here[i * stride + j] = dz * w[j];
            dw[j] += dz * kept[j];
        }
        bias[head] += dz;
    }
    memset(here + rows * stride, 0, (NN_BLOCK - rows) * stride * sizeof *here);
}

/* From dz back to dx; adds the layers' gradients to `sum`, of which only the vectors are zero at the `first` block. */
static void block_backward(const nn_trainer *trainer, scratch *own, size_t begin, size_t rows, bool first, float *sum)
{
    const nn_mlp *mlp = trainer->mlp;
    const nn_kernels *kernels = mlp->kernels;
    size_t layers = mlp->layer_count, dense = mlp->dense_offset;
    float *dx = trainer->dx + begin * mlp->input_stride, *here = layers ? own->gradient : dx, *there = own->next;
    head_backward(trainer, own, begin, rows, sum, here);
    for (size_t l = layers; l-- > 0;) {
        const nn_layer *layer = &mlp->layers[l];
        float *bias = sum + layer->bias - dense;
        if (mlp->leak == 0.0F)
            kernels->mask_bias(NN_BLOCK, layer->out_stride, trainer->scale, own->hidden[l], here, bias);
        else
            kernels->mask_leaky(NN_BLOCK, layer->out_stride, trainer->scale, mlp->leak, own->hidden[l], here, bias);
        la_gemm_run(&trainer->backs[l].weight[first ? 0 : 1], here, l ? own->hidden[l - 1] : own->x,
                    sum + layer->weight - dense);
        float *below = l ? there : dx;
        la_gemm_run(&trainer->backs[l].input, here, mlp->values + layer->weight, below);
        there = here;
        here = below;
    }
    if (trainer->input_threshold)
        kernels->mask(NN_BLOCK, mlp->input_stride, trainer->input_scale, own->x, dx);
}

/* The rewards of rows [begin, begin + rows) of the batch, where they lie if they lie together. */
static const float *block_rewards(const nn_trainer *trainer, scratch *own, size_t begin, size_t rows)
{
    const nn_inputs *inputs = trainer->inputs;
    if (trainer->reward && !inputs->rows)
        return trainer->reward + inputs->first + begin;
    for (size_t i = 0; i < rows; i++)
        own->y[i] = trainer->reward ? trainer->reward[inputs->rows[begin + i]] : 1.0F;
    return own->y;
}

/* Links the batch's rows by the row of table `t` that they name, in their order. */
static void link_rows(nn_trainer *trainer, size_t t)
{
    const nn_inputs *inputs = trainer->inputs;
    uint32_t *head = trainer->head[t], *next = trainer->next[t];
    size_t rows = trainer->mlp->tables[t].rows;
    for (size_t i = inputs->count; i-- > 0;) {
        uint32_t code = inputs->codes[t][input_row(inputs, i)];
        if (code < rows) {
            next[i] = head[code];
            head[code] = (uint32_t)i;
        }
    }
}

/* Zeroes the sums of the biases and of the output; those of the matrices are overwritten by the first block. */
static void clear_vectors(const nn_mlp *mlp, float *sum)
{
    for (size_t l = 0; l < mlp->layer_count; l++)
        memset(sum + mlp->layers[l].bias - mlp->dense_offset, 0, mlp->layers[l].out_stride * sizeof *sum);
    memset(sum + mlp->head_weight - mlp->dense_offset, 0, (mlp->value_count - mlp->head_weight) * sizeof *sum);
}

/* Can the pieces of table `t` find their rows of the batch without links? Where the batch is sorted by the table they
 * are a range of it; a table of one piece takes all of them as they come. */
static bool finds_directly(const nn_trainer *trainer, size_t t)
{
    const nn_inputs *inputs = trainer->inputs;
    bool one_piece = trainer->mlp->tables[t].rows <= UPDATE_FLOATS / trainer->mlp->tables[t].width;
    return !trainer->settings.lazy && !inputs->rows && (one_piece || (t == 0 && inputs->sorted));
}

/* Work item: the first ones link a table's rows each, the others are groups of blocks. */
static void work_pass(nn_trainer *trainer, size_t item, int worker)
{
    const nn_mlp *mlp = trainer->mlp;
    if (item < mlp->table_count) {
        if (!finds_directly(trainer, item))
            link_rows(trainer, item);
        return;
    }
    item -= mlp->table_count;
    scratch *own = &trainer->scratches[worker];
    float *sum = trainer->sums + item * trainer->dense_count;
    clear_vectors(mlp, sum);
    size_t begin = item * trainer->group_rows, first = begin, end = begin + trainer->group_rows,
           count = trainer->inputs->count;
    if (end > count)
        end = count;
    double loss = 0.0;
    for (; begin < end; begin += NN_BLOCK) {
        size_t rows = end - begin < NN_BLOCK ? end - begin : NN_BLOCK;
        block_forward(trainer, own, begin, rows);
        const float *y = block_rewards(trainer, own, begin, rows);
        loss += block_loss(trainer, own, begin, rows, y);
        block_backward(trainer, own, begin, rows, begin == first, sum);
    }
    trainer->losses[item] = loss;
}

/* ---- update -------------------------------------------------------------------- */

/* The groups' sums of `count` dense weights from `offset` (in values) on, added in their order. */
static void reduce(const nn_trainer *trainer, size_t offset, size_t count, float *out)
{
    size_t at = offset - trainer->mlp->dense_offset;
    memcpy(out, trainer->sums + at, count * sizeof *out);
    for (size_t g = 1; g < trainer->groups; g++)
        trainer->mlp->kernels->add(count, trainer->sums + g * trainer->dense_count + at, out);
}

/* Adam on `count` weights from `offset` on, or, for tests, their gradient to where it is wanted. */
static void apply(nn_trainer *trainer, const nn_adam_step *step, size_t offset, size_t count, const float *gradient)
{
    if (trainer->gradient)
        memcpy(trainer->gradient + offset, gradient, count * sizeof *gradient);
    else
        trainer->mlp->kernels->adam(count, step, gradient, trainer->origin ? trainer->origin + offset : NULL,
                                    trainer->mlp->values + offset, trainer->mean + offset, trainer->square + offset);
}

/* Adds dx of the batch's rows that name table `t`'s row `row` to `out`, and unlinks them. True if there were any. */
static bool row_gradient(nn_trainer *trainer, size_t t, size_t row, float *out)
{
    const nn_table *table = &trainer->mlp->tables[t];
    uint32_t *head = trainer->head[t];
    const uint32_t *next = trainer->next[t];
    size_t stride = trainer->mlp->input_stride;
    if (head[row] == FORAGE_NONE)
        return false;
    trainer->mlp->kernels->add_chain(head[row], next, table->width, stride, trainer->dx + table->column, out);
    head[row] = FORAGE_NONE;
    return true;
}

/* The place of the first of `count` rising codes that is `code` or more. */
static size_t lower_bound(const uint32_t *codes, size_t count, uint32_t code)
{
    size_t low = 0;
    while (count > 0) {
        size_t half = count / 2;
        if (codes[low + half] < code) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low;
}

/* Adds dx of the batch's rows that name a row of this piece of a table to `gradient`, where finds_directly. */
static void piece_gradient(const nn_trainer *trainer, const update *piece, float *gradient)
{
    const nn_inputs *inputs = trainer->inputs;
    const nn_table *table = &trainer->mlp->tables[piece->index];
    const uint32_t *codes = inputs->codes[piece->index] + inputs->first;
    size_t stride = trainer->mlp->input_stride, begin = 0, end = inputs->count;
    if (piece->index == 0 && inputs->sorted) {
        begin = lower_bound(codes, end, (uint32_t)piece->first);
        end = begin + lower_bound(codes + begin, end - begin, (uint32_t)(piece->first + piece->count));
    }
    trainer->mlp->kernels->scatter(end - begin, codes + begin, (uint32_t)piece->first, (uint32_t)piece->count,
                                   table->width, stride, trainer->dx + begin * stride + table->column, gradient);
}

static void work_update(nn_trainer *trainer, size_t item, int worker)
{
    nn_mlp *mlp = trainer->mlp;
    const update *piece = &trainer->updates[item];
    float *gradient = trainer->scratches[worker].update;
    if (piece->kind == OF_TABLE) {
        const nn_table *table = &mlp->tables[piece->index];
        memset(gradient, 0, piece->count * table->width * sizeof *gradient);
        bool direct = finds_directly(trainer, piece->index);
        if (direct)
            piece_gradient(trainer, piece, gradient);
        for (size_t row = piece->first; !direct && row < piece->first + piece->count; row++) {
            float *own = gradient + (row - piece->first) * table->width;
            if (row_gradient(trainer, piece->index, row, own) && trainer->settings.lazy)
                apply(trainer, &trainer->table_step, table->offset + row * table->width, table->width, own);
        }
        if (!trainer->settings.lazy)
            apply(trainer, &trainer->table_step, table->offset + piece->first * table->width,
                  piece->count * table->width, gradient);
    } else if (piece->kind == OF_LAYER) {
        const nn_layer *layer = &mlp->layers[piece->index];
        size_t offset = layer->weight + piece->first * layer->in_stride, count = piece->count * layer->in_stride;
        reduce(trainer, offset, count, gradient);
        apply(trainer, &trainer->dense_step, offset, count, gradient);
        nn_mlp_transpose(mlp, piece->index, piece->first, piece->count);
        reduce(trainer, layer->bias + piece->first, piece->count, gradient);
        apply(trainer, &trainer->dense_step, layer->bias + piece->first, piece->count, gradient);
    } else {
        reduce(trainer, mlp->head_weight + piece->first, piece->count, gradient);
        apply(trainer, &trainer->dense_step, mlp->head_weight + piece->first, piece->count, gradient);
    }
}

/* Both halves of a step over the batch that `trainer` holds. Returns the summed loss. */
static double run(nn_trainer *trainer, const nn_inputs *inputs, const float *reward, uint64_t key)
{
    trainer->inputs = inputs;
    trainer->reward = reward;
    trainer->key = key;
    size_t blocks = (inputs->count + NN_BLOCK - 1) / NN_BLOCK;
    size_t per_group = (blocks + trainer->group_limit - 1) / trainer->group_limit;
    trainer->group_rows = per_group * NN_BLOCK;
    trainer->groups = (inputs->count + trainer->group_rows - 1) / trainer->group_rows;
    size_t tables = trainer->mlp->table_count, items = tables + trainer->groups;
    for (size_t i = 0; i < items; i++) /* a group takes about 32 times as long as a table */
        trainer->pass_cost[i + 1] = trainer->pass_cost[i] + (i < tables ? 1 : 32);
    share_out(trainer, items, trainer->pass_cost, work_pass);
    share_out(trainer, trainer->update_count, trainer->update_cost, work_update);
    double loss = 0.0;
    for (size_t g = 0; g < trainer->groups; g++)
        loss += trainer->losses[g];
    return loss;
}

nn_adam_step nn_adam_at(const nn_settings *settings, double learning_rate, double decay, uint64_t step)
{
    double correction1 = 1.0 - pow(settings->beta1, (double)step),
           correction2 = 1.0 - pow(settings->beta2, (double)step);
    return (nn_adam_step){.beta1 = (float)settings->beta1,
                          .beta2 = (float)settings->beta2,
                          .epsilon = (float)settings->epsilon,
                          .rate = (float)(learning_rate / correction1),
                          .root = (float)(1.0 / sqrt(correction2)),
                          .l2 = settings->decoupled ? 0.0F : (float)decay,
                          .shrink = settings->decoupled ? (float)(1.0 - learning_rate * decay) : 1.0F};
}

double nn_trainer_step(nn_trainer *trainer, const nn_inputs *inputs, const float *reward, double learning_rate,
                       uint64_t key)
{
    if (inputs->count == 0)
        return 0.0;
    const nn_settings *settings = &trainer->settings;
    trainer->steps++;
    trainer->dense_step = nn_adam_at(settings, learning_rate, settings->decay, trainer->steps);
    trainer->table_step = nn_adam_at(settings, learning_rate, settings->table_decay, trainer->steps);
    return run(trainer, inputs, reward, key);
}

double nn_trainer_gradient(nn_trainer *trainer, const nn_inputs *inputs, const float *reward, uint64_t key,
                           float *gradient)
{
    memset(gradient, 0, trainer->mlp->value_count * sizeof *gradient);
    trainer->gradient = gradient;
    double loss = run(trainer, inputs, reward, key);
    trainer->gradient = NULL;
    return loss;
}

const float *nn_trainer_input_gradient(const nn_trainer *trainer)
{
    return trainer->dx;
}

void nn_trainer_restart(nn_trainer *trainer, double decay, double table_decay, const float *origin)
{
    size_t count = trainer->mlp->value_count;
    memset(trainer->mean, 0, count * sizeof *trainer->mean);
    memset(trainer->square, 0, count * sizeof *trainer->square);
    trainer->steps = 0;
    trainer->settings.decay = decay;
    trainer->settings.table_decay = table_decay;
    trainer->origin = origin;
}

float *nn_trainer_mean(nn_trainer *trainer)
{
    return trainer->mean;
}

float *nn_trainer_square(nn_trainer *trainer)
{
    return trainer->square;
}

uint64_t nn_trainer_steps(const nn_trainer *trainer)
{
    return trainer->steps;
}

void nn_trainer_set_steps(nn_trainer *trainer, uint64_t steps)
{
    trainer->steps = steps;
}
