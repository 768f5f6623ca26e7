/*
 * mlp.c: the network's shape, its weights, and the way forward through it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/mlp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Rows per block of the three kernels of a layer that score. */
static const size_t block_rows[3] = {NN_BLOCK, 12, 1};

static forage_status out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the network's weights");
}

/* Sizes within limits, and the sum of all weights within a size_t. */
static forage_status check_spec(const nn_mlp_spec *spec, forage_error *error)
{
    size_t width = spec->number_count, values = 0;
    if (spec->layer_count > NN_LAYER_LIMIT)
        return forage_fail(error, FORAGE_INVALID, "%zu hidden layers; at most %d", spec->layer_count, NN_LAYER_LIMIT);
    for (size_t t = 0; t < spec->table_count; t++) {
        const nn_table_spec *table = &spec->tables[t];
        size_t size = 0;
        width += table->width;
        if (table->rows == 0 || table->rows >= FORAGE_NONE || table->width == 0 || table->width > NN_WIDTH_LIMIT ||
            width > NN_INPUT_LIMIT)
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, table->name,
                                  "%zu rows of %zu numbers: a table needs 1 to %u rows, and the inputs together at "
                                  "most %d columns",
                                  table->rows, table->width, FORAGE_NONE - 1, NN_INPUT_LIMIT);
        if (__builtin_mul_overflow(table->rows + 1, table->width, &size) ||
            __builtin_add_overflow(values, size + NN_LANES, &values) || values > SIZE_MAX / 64)
            return out_of_memory(error);
    }
    if (width == 0 || width > NN_INPUT_LIMIT)
        return forage_fail(error, FORAGE_INVALID, "%zu input columns; the network takes 1 to %d", width,
                           NN_INPUT_LIMIT);
    for (size_t l = 0; l < spec->layer_count; l++) {
        if (spec->layers[l] == 0 || spec->layers[l] > NN_WIDTH_LIMIT)
            return forage_fail(error, FORAGE_INVALID, "a layer of %zu units; a layer has 1 to %d", spec->layers[l],
                               NN_WIDTH_LIMIT);
    }
    if (spec->head_count > SIZE_MAX / 64 / (NN_WIDTH_LIMIT + 1) || values > SIZE_MAX / 128)
        return out_of_memory(error);
    return FORAGE_OK;
}

/* Places everything in `values`, in the order in which it is initialised. */
static size_t place(nn_mlp *mlp)
{
    size_t at = 0;
    for (size_t t = 0; t < mlp->table_count; t++) {
        mlp->tables[t].offset = at;
        at += nn_padded((mlp->tables[t].rows + 1) * mlp->tables[t].width);
        mlp->weight_count += mlp->tables[t].rows * mlp->tables[t].width;
    }
    mlp->dense_offset = at;
    for (size_t l = 0; l < mlp->layer_count; l++) {
        nn_layer *layer = &mlp->layers[l];
        layer->weight = at;
        at += layer->out_stride * layer->in_stride; /* whole vectors of rows, for the transposed copy */
        layer->bias = at;
        at += layer->out_stride;
        mlp->weight_count += layer->out * (layer->in + 1);
    }
    mlp->head_weight = at;
    at += mlp->head_count * mlp->head_stride;
    mlp->head_bias = at;
    mlp->weight_count += mlp->head_count * (mlp->head_in + 1);
    return at + nn_padded(mlp->head_count);
}

static forage_status allocate(nn_mlp *mlp, forage_isa isa, forage_error *error)
{
    mlp->value_count = place(mlp);
    mlp->values = forage_calloc(mlp->value_count, sizeof(float));
    size_t transposed = 0;
    for (size_t l = 0; l < mlp->layer_count; l++)
        transposed += mlp->layers[l].in_stride * mlp->layers[l].out_stride;
    mlp->transposed = forage_calloc(transposed ? transposed : 1, sizeof(float));
    if (!mlp->values || !mlp->transposed)
        return out_of_memory(error);
    float *at = mlp->transposed;
    for (size_t l = 0; l < mlp->layer_count; l++) {
        nn_layer *layer = &mlp->layers[l];
        layer->transposed = at;
        at += layer->in_stride * layer->out_stride;
        la_shape shape = {.transpose = LA_NN,
                          .m = NN_BLOCK,
                          .n = layer->out_stride,
                          .k = layer->in_stride,
                          .lda = layer->in_stride,
                          .ldb = layer->out_stride,
                          .ldc = layer->out_stride};
        la_gemm_init(&layer->forward, mlp->engine, &shape);
        for (size_t i = 0; i < 3; i++) {
            shape.m = block_rows[i];
            la_gemm_init(&layer->predict[i], la_engine_steady(isa), &shape);
        }
    }
    return FORAGE_OK;
}

forage_status nn_mlp_create(const nn_mlp_spec *spec, forage_isa isa, nn_mlp **mlp, forage_error *error)
{
    *mlp = NULL;
    FORAGE_TRY(check_spec(spec, error));
    nn_mlp *made = forage_calloc(1, sizeof *made);
    if (!made)
        return out_of_memory(error);
    forage_status status = FORAGE_NO_MEMORY;
    made->number_count = spec->number_count;
    made->head_count = spec->head_count ? spec->head_count : 1;
    made->leak = spec->leak;
    made->kernels = nn_kernels_for(isa);
    made->engine = la_engine_best(isa);
    made->tables = forage_calloc(spec->table_count ? spec->table_count : 1, sizeof *made->tables);
    made->layers = forage_calloc(spec->layer_count ? spec->layer_count : 1, sizeof *made->layers);
    if (!made->tables || !made->layers)
        goto memory;
    for (size_t t = 0; t < spec->table_count; t++) {
        nn_table *table = &made->tables[t];
        *table = (nn_table){.rows = spec->tables[t].rows, .width = spec->tables[t].width, .column = made->input_width};
        table->name = forage_strdup(spec->tables[t].name);
        made->table_count++;
        if (!table->name)
            goto memory;
        made->input_width += table->width;
    }
    made->input_width += spec->number_count;
    made->input_stride = nn_padded(made->input_width);
    made->widest = made->input_stride;
    size_t in = made->input_width;
    for (size_t l = 0; l < spec->layer_count; l++) {
        nn_layer *layer = &made->layers[made->layer_count++];
        *layer = (nn_layer){.in = in, .out = spec->layers[l]};
        layer->in_stride = nn_padded(layer->in);
        layer->out_stride = nn_padded(layer->out);
        if (layer->out_stride > made->widest)
            made->widest = layer->out_stride;
        in = layer->out;
    }
    made->head_in = in;
    made->head_stride = nn_padded(in);
    FORAGE_TRY_GOTO(allocate(made, isa, error), failed);
    *mlp = made;
    return FORAGE_OK;
memory:
    status = out_of_memory(error);
failed:
    nn_mlp_free(made);
    return status;
}

void nn_mlp_free(nn_mlp *mlp)
{
    if (!mlp)
        return;
    for (size_t t = 0; t < mlp->table_count; t++)
        forage_free(mlp->tables[t].name);
    forage_free(mlp->tables);
    forage_free(mlp->layers);
    forage_free(mlp->values);
    forage_free(mlp->transposed);
    forage_free(mlp);
}

/* Uniform in [-bound, bound). */
static void fill_uniform(forage_rng *rng, double bound, size_t rows, size_t width, size_t stride, float *out)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < width; j++)
            out[i * stride + j] = (float)((2.0 * forage_rng_double(rng) - 1.0) * bound);
    }
}

void nn_mlp_initialise(nn_mlp *mlp, forage_rng *rng)
{
    for (size_t t = 0; t < mlp->table_count; t++) {
        float *rows = mlp->values + mlp->tables[t].offset;
        for (size_t i = 0; i < mlp->tables[t].rows * mlp->tables[t].width; i++)
            rows[i] = (float)forage_rng_normal(rng);
    }
    for (size_t l = 0; l < mlp->layer_count; l++) {
        const nn_layer *layer = &mlp->layers[l];
        double bound = 1.0 / sqrt((double)layer->in);
        fill_uniform(rng, bound, layer->out, layer->in, layer->in_stride, mlp->values + layer->weight);
        fill_uniform(rng, bound, 1, layer->out, layer->out_stride, mlp->values + layer->bias);
    }
    double bound = 1.0 / sqrt((double)mlp->head_in);
    fill_uniform(rng, bound, mlp->head_count, mlp->head_in, mlp->head_stride, mlp->values + mlp->head_weight);
    fill_uniform(rng, bound, 1, mlp->head_count, mlp->head_count, mlp->values + mlp->head_bias);
    nn_mlp_refresh(mlp);
}

void nn_mlp_copy(const nn_mlp *mlp, float *values, const nn_mlp *from, const float *from_values)
{
    for (size_t t = 0; t < from->table_count; t++) {
        const nn_table *table = &from->tables[t];
        memcpy(values + mlp->tables[t].offset, from_values + table->offset,
               table->rows * table->width * sizeof *values);
    }
    memcpy(values + mlp->dense_offset, from_values + from->dense_offset,
           (from->head_bias - from->dense_offset) * sizeof *values);
    memcpy(values + mlp->head_bias, from_values + from->head_bias, from->head_count * sizeof *values);
}

size_t nn_mlp_moved(const nn_mlp *mlp, const nn_mlp *from, size_t offset)
{
    for (size_t t = 0; t < from->table_count; t++) {
        const nn_table *table = &from->tables[t];
        if (offset >= table->offset && offset - table->offset < table->rows * table->width)
            return mlp->tables[t].offset + (offset - table->offset);
    }
    if (offset < from->head_bias)
        return mlp->dense_offset + (offset - from->dense_offset);
    return mlp->head_bias + (offset - from->head_bias);
}

void nn_mlp_transpose(nn_mlp *mlp, size_t l, size_t first, size_t count)
{
    const nn_layer *layer = &mlp->layers[l];
    const float *weight = mlp->values + layer->weight;
    size_t in_stride = layer->in_stride, out_stride = layer->out_stride;
    for (size_t j = 0; j < in_stride; j++) {
        for (size_t i = first; i < first + count; i++)
            layer->transposed[j * out_stride + i] = weight[i * in_stride + j];
    }
}

void nn_mlp_average_rows(nn_mlp *mlp)
{
    for (size_t t = 0; t < mlp->table_count; t++) {
        const nn_table *table = &mlp->tables[t];
        float *rows = mlp->values + table->offset, *average = rows + table->rows * table->width;
        for (size_t j = 0; j < table->width; j++) {
            double sum = 0.0;
            for (size_t i = 0; i < table->rows; i++)
                sum += (double)rows[i * table->width + j];
            average[j] = (float)(sum / (double)table->rows);
        }
    }
}

void nn_mlp_refresh(nn_mlp *mlp)
{
    for (size_t l = 0; l < mlp->layer_count; l++)
        nn_mlp_transpose(mlp, l, 0, mlp->layers[l].out_stride);
    nn_mlp_average_rows(mlp);
}

/* ---- forward --------------------------------------------------------------- */

void nn_mlp_activate(const nn_mlp *mlp, size_t l, size_t rows, float *h)
{
    const nn_layer *layer = &mlp->layers[l];
    const float *bias = mlp->values + layer->bias;
    if (mlp->leak == 0.0F)
        mlp->kernels->bias_relu(rows, layer->out_stride, bias, h);
    else
        mlp->kernels->bias_leaky(rows, layer->out_stride, mlp->leak, bias, h);
}

void nn_mlp_gather(const nn_mlp *mlp, const nn_inputs *inputs, size_t begin, size_t count, uint32_t *codes, float *x)
{
    size_t stride = mlp->input_stride, first = inputs->first + begin;
    const uint32_t *rows = inputs->rows ? inputs->rows + begin : NULL;
    for (size_t t = 0; t < mlp->table_count; t++) {
        const nn_table *table = &mlp->tables[t];
        const uint32_t *column = inputs->codes[t] + (rows ? 0 : first);
        if (rows) {
            for (size_t i = 0; i < count; i++)
                codes[i] = column[rows[i]];
            column = codes;
        }
        mlp->kernels->gather(count, column, (uint32_t)table->rows, table->width, mlp->values + table->offset, stride,
                             x + table->column);
    }
    size_t at = mlp->input_width - mlp->number_count;
    for (size_t i = 0; mlp->number_count && !inputs->numbers && i < count; i++)
        memcpy(x + i * stride + at, inputs->matrix + (rows ? rows[i] : first + i) * mlp->number_count,
               mlp->number_count * sizeof *x);
    for (size_t n = 0; inputs->numbers && n < mlp->number_count; n++) {
        for (size_t i = 0; i < count; i++)
            x[i * stride + at + n] = inputs->numbers[n][rows ? rows[i] : first + i];
    }
    for (size_t i = 0; mlp->input_width < stride && i < count; i++)
        memset(x + i * stride + mlp->input_width, 0, (stride - mlp->input_width) * sizeof *x);
}

/* Scratch: two activations of a block, turn about, and the codes. */
size_t nn_mlp_scratch_size(const nn_mlp *mlp)
{
    return (2 * mlp->widest * NN_BLOCK + NN_BLOCK) * sizeof(float);
}

/* The next block's rows [begin, begin + the result) through the hidden layers; *h is where they end up in `scratch`. */
static size_t block_features(const nn_mlp *mlp, const nn_inputs *inputs, size_t begin, void *scratch, float **h)
{
    float *here = scratch, *there = here + mlp->widest * NN_BLOCK;
    uint32_t *codes = (uint32_t *)(there + mlp->widest * NN_BLOCK);
    size_t kind = 0;
    while (inputs->count - begin < block_rows[kind])
        kind++;
    size_t rows = block_rows[kind];
    nn_mlp_gather(mlp, inputs, begin, rows, codes, here);
    for (size_t l = 0; l < mlp->layer_count; l++) {
        const nn_layer *layer = &mlp->layers[l];
        la_gemm_run(&layer->predict[kind], here, layer->transposed, there);
        nn_mlp_activate(mlp, l, rows, there);
        float *swap = here;
        here = there;
        there = swap;
    }
    *h = here;
    return rows;
}

void nn_mlp_logits(const nn_mlp *mlp, const nn_inputs *inputs, void *scratch, float *z)
{
    const float *weight = mlp->values + mlp->head_weight, *bias = mlp->values + mlp->head_bias;
    float *h;
    for (size_t begin = 0, rows = 0; begin < inputs->count; begin += rows) {
        rows = block_features(mlp, inputs, begin, scratch, &h);
        if (!inputs->heads)
            mlp->kernels->head(rows, mlp->head_stride, h, weight, bias[0], z + begin);
        for (size_t i = 0; inputs->heads && i < rows; i++) {
            size_t head = inputs->heads[inputs->rows ? inputs->rows[begin + i] : inputs->first + begin + i];
            mlp->kernels->head(1, mlp->head_stride, h + i * mlp->head_stride, weight + head * mlp->head_stride,
                               bias[head], z + begin + i);
        }
    }
}

void nn_mlp_features(const nn_mlp *mlp, const nn_inputs *inputs, void *scratch, float *h)
{
    float *block;
    for (size_t begin = 0, rows = 0; begin < inputs->count; begin += rows) {
        rows = block_features(mlp, inputs, begin, scratch, &block);
        memcpy(h + begin * mlp->head_stride, block, rows * mlp->head_stride * sizeof *h);
    }
}

void nn_mlp_predict(const nn_mlp *mlp, const nn_inputs *inputs, void *scratch, float *p)
{
    nn_mlp_logits(mlp, inputs, scratch, p);
    for (size_t begin = 0; begin < inputs->count; begin += NN_BLOCK) {
        size_t rows = inputs->count - begin < NN_BLOCK ? inputs->count - begin : NN_BLOCK;
        float z[NN_BLOCK];
        memcpy(z, p + begin, rows * sizeof *z);
        mlp->kernels->sigmoid(rows, z, p + begin);
    }
}

/* ---- checkpoints ------------------------------------------------------------ */

/* One tensor of the network: where it lies in values and how it is shaped. */
typedef struct tensor_place {
    char name[160];
    size_t rank, shape[2];
    size_t offset, stride; /* of rows of shape[rank - 1] numbers */
} tensor_place;

static size_t tensor_total(const nn_mlp *mlp)
{
    return mlp->table_count + 2 * mlp->layer_count + 2;
}

/* The `index`th tensor, in PyTorch's order; false when its name is too long. */
static bool tensor_at(const nn_mlp *mlp, const char *prefix, size_t index, tensor_place *place)
{
    int length;
    if (index < mlp->table_count) {
        const nn_table *table = &mlp->tables[index];
        length = snprintf(place->name, sizeof place->name, "%s%s", prefix, table->name);
        place->rank = 2;
        place->shape[0] = table->rows;
        place->shape[1] = place->stride = table->width;
        place->offset = table->offset;
        return length > 0 && (size_t)length < sizeof place->name;
    }
    index -= mlp->table_count;
    bool is_bias = index % 2 == 1, is_head = index / 2 == mlp->layer_count;
    const nn_layer *layer = is_head ? NULL : &mlp->layers[index / 2];
    size_t out = layer ? layer->out : mlp->head_count;
    if (layer)
        length =
            snprintf(place->name, sizeof place->name, "%sfc%zu.%s", prefix, index / 2 + 1, is_bias ? "bias" : "weight");
    else
        length = snprintf(place->name, sizeof place->name, "%soutput.%s", prefix, is_bias ? "bias" : "weight");
    if (is_bias) {
        place->rank = 1;
        place->shape[0] = place->stride = out;
        place->offset = layer ? layer->bias : mlp->head_bias;
    } else {
        place->rank = 2;
        place->shape[0] = out;
        place->shape[1] = layer ? layer->in : mlp->head_in;
        place->stride = layer ? layer->in_stride : mlp->head_stride;
        place->offset = layer ? layer->weight : mlp->head_weight;
    }
    return length > 0 && (size_t)length < sizeof place->name;
}

forage_status nn_mlp_save(const nn_mlp *mlp, const float *values, const char *prefix, nn_checkpoint *checkpoint,
                          float **packed, forage_error *error)
{
    *packed = forage_alloc(mlp->value_count - mlp->dense_offset, sizeof(float));
    if (!*packed)
        return out_of_memory(error);
    float *at = *packed;
    for (size_t i = 0; i < tensor_total(mlp); i++) {
        tensor_place place;
        if (!tensor_at(mlp, prefix, i, &place))
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, place.name, "this name is too long for a tensor");
        const float *data = values + place.offset;
        if (place.rank == 2 && place.stride != place.shape[1]) {
            for (size_t row = 0; row < place.shape[0]; row++)
                memcpy(at + row * place.shape[1], data + row * place.stride, place.shape[1] * sizeof *at);
            data = at;
            at += place.shape[0] * place.shape[1];
        }
        FORAGE_TRY(nn_checkpoint_add(checkpoint, place.name, NN_F32, place.rank, place.shape, data, error));
    }
    return FORAGE_OK;
}

forage_status nn_mlp_load(const nn_mlp *mlp, const nn_checkpoint *checkpoint, const char *prefix, float *values,
                          forage_error *error)
{
    memset(values, 0, mlp->value_count * sizeof *values);
    for (size_t i = 0; i < tensor_total(mlp); i++) {
        tensor_place place;
        if (!tensor_at(mlp, prefix, i, &place))
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, place.name, "this name is too long for a tensor");
        float *data = values + place.offset;
        FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, place.name, place.rank, place.shape, data, error));
        /* Spread the rows to their stride, from the last on so that none is overwritten before it moved. */
        for (size_t row = place.rank == 2 && place.stride != place.shape[1] ? place.shape[0] : 0; row-- > 0;) {
            memmove(data + row * place.stride, data + row * place.shape[1], place.shape[1] * sizeof *data);
            memset(data + row * place.stride + place.shape[1], 0, (place.stride - place.shape[1]) * sizeof *data);
        }
    }
    return FORAGE_OK;
}
