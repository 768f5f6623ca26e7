/*
 * encoder.c: the encoder's shape, its weights, and its checkpoints.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/encoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/encoder_parts.h"

static forage_status out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the encoder's weights");
}

static forage_status check_spec(const nn_encoder_spec *spec, forage_error *error)
{
    if (spec->width == 0 || spec->width > NN_ENCODER_WIDTH_LIMIT)
        return forage_fail(error, FORAGE_INVALID, "an encoder of width %zu; it takes 1 to %d", spec->width,
                           NN_ENCODER_WIDTH_LIMIT);
    if (spec->heads == 0 || spec->width % spec->heads != 0)
        return forage_fail(error, FORAGE_INVALID, "%zu heads do not divide a width of %zu", spec->heads, spec->width);
    if (spec->inner == 0 || spec->inner > (size_t)4 * NN_ENCODER_WIDTH_LIMIT)
        return forage_fail(error, FORAGE_INVALID, "%zu inner units; an encoder has 1 to %d", spec->inner,
                           4 * NN_ENCODER_WIDTH_LIMIT);
    if (spec->blocks == 0 || spec->blocks > NN_ENCODER_BLOCK_LIMIT)
        return forage_fail(error, FORAGE_INVALID, "%zu blocks; an encoder has 1 to %d", spec->blocks,
                           NN_ENCODER_BLOCK_LIMIT);
    if (spec->length == 0 || spec->length > NN_ENCODER_LENGTH_LIMIT)
        return forage_fail(error, FORAGE_INVALID, "sequences of %zu tokens; an encoder takes 1 to %d", spec->length,
                           NN_ENCODER_LENGTH_LIMIT);
    if (!(spec->epsilon > 0 && spec->epsilon < 1))
        return forage_fail(error, FORAGE_INVALID, "an epsilon of %g in norms; it lies between 0 and 1", spec->epsilon);
    return FORAGE_OK;
}

/* Places everything in `values`. */
static void place(nn_encoder *encoder)
{
    const nn_encoder_spec *spec = &encoder->spec;
    size_t s = encoder->stride, f = encoder->inner_stride, at = 0;
    for (size_t b = 0; b < spec->blocks; b++) {
        nn_encoder_block *block = &encoder->blocks[b];
        block->in_weight = at;
        block->in_bias = at += 3 * s * s;
        block->out_weight = at += 3 * s;
        block->out_bias = at += s * s;
        block->weight1 = at += s;
        block->bias1 = at += f * s;
        block->weight2 = at += f;
        block->bias2 = at += s * f;
        at += s;
        for (size_t n = 0; n < 2; n++) {
            block->gain[n] = at;
            block->shift[n] = at += s;
            at += s;
        }
    }
    encoder->weight_count = spec->blocks * (4 * spec->width * (spec->width + 1) + 2 * spec->width * spec->inner +
                                            spec->inner + 5 * spec->width);
    if (spec->last_norm) {
        encoder->last_gain = at;
        encoder->last_shift = at += s;
        at += s;
        encoder->weight_count += 2 * spec->width;
    }
    encoder->value_count = at;
}

/* The products with a matrix W [out][in]. */
static void prepare(const nn_encoder *encoder, nn_encoder_product *product, size_t out, size_t in)
{
    la_engine best = la_engine_best(encoder->isa);
    la_shape forward = {.transpose = LA_NN, .n = out, .k = in, .lda = in, .ldb = out, .ldc = out};
    la_shape back = {.transpose = LA_NN, .n = in, .k = out, .lda = out, .ldb = in, .ldc = in};
    la_shape weight = {.transpose = LA_TN, .m = out, .n = in, .lda = out, .ldb = in, .ldc = in, .accumulate = true};
    for (size_t kind = 0; kind < NN_ENCODER_ROW_KINDS; kind++) {
        forward.m = back.m = weight.k = NN_ENCODER_ROWS - NN_LANES * kind;
        la_gemm_init(&product->forward[kind], best, &forward);
        la_gemm_init(&product->back[kind], best, &back);
        la_gemm_init(&product->weight[kind], best, &weight);
    }
    forward.m = NN_ENCODER_SCORE_ROWS;
    la_gemm_init(&product->score, la_engine_steady(encoder->isa), &forward);
}

static void fill(float *to, size_t count, float value)
{
    for (size_t i = 0; i < count; i++)
        to[i] = value;
}

forage_status nn_encoder_create(const nn_encoder_spec *spec, forage_isa isa, nn_encoder **encoder, forage_error *error)
{
    *encoder = NULL;
    FORAGE_TRY(check_spec(spec, error));
    nn_encoder *made = forage_calloc(1, sizeof *made);
    if (!made)
        return out_of_memory(error);
    made->spec = *spec;
    made->stride = nn_padded(spec->width);
    made->inner_stride = nn_padded(spec->inner);
    made->isa = isa;
    made->kernels = nn_kernels_for(isa);
    size_t s = made->stride, f = made->inner_stride, matrices = 4 * s * s + 2 * s * f;
    made->blocks = forage_calloc(spec->blocks, sizeof *made->blocks);
    made->products = forage_calloc(1, sizeof *made->products);
    if (!made->blocks || !made->products)
        goto memory;
    place(made);
    made->values = forage_calloc(made->value_count, sizeof *made->values);
    made->transposed = forage_calloc(spec->blocks * matrices, sizeof *made->transposed);
    if (!made->values || !made->transposed)
        goto memory;
    prepare(made, &made->products->in, 3 * s, s);
    prepare(made, &made->products->out, s, s);
    prepare(made, &made->products->up, f, s);
    prepare(made, &made->products->down, s, f);
    for (size_t b = 0; b < spec->blocks; b++) {
        nn_encoder_block *block = &made->blocks[b];
        block->in_t = made->transposed + b * matrices;
        block->out_t = block->in_t + 3 * s * s;
        block->weight1_t = block->out_t + s * s;
        block->weight2_t = block->weight1_t + s * f;
        for (size_t n = 0; n < 2; n++)
            fill(made->values + block->gain[n], spec->width, 1);
    }
    if (spec->last_norm)
        fill(made->values + made->last_gain, spec->width, 1);
    *encoder = made;
    return FORAGE_OK;
memory:
    nn_encoder_free(made);
    return out_of_memory(error);
}

void nn_encoder_free(nn_encoder *encoder)
{
    if (!encoder)
        return;
    forage_free(encoder->blocks);
    forage_free(encoder->products);
    forage_free(encoder->values);
    forage_free(encoder->transposed);
    forage_free(encoder);
}

static void fill_uniform(forage_rng *rng, double bound, size_t rows, size_t width, size_t stride, float *out)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < width; j++)
            out[i * stride + j] = (float)((2.0 * forage_rng_double(rng) - 1.0) * bound);
    }
}

void nn_encoder_initialise(nn_encoder *encoder, forage_rng *rng)
{
    size_t width = encoder->spec.width, inner = encoder->spec.inner, s = encoder->stride, f = encoder->inner_stride;
    float *values = encoder->values;
    memset(values, 0, encoder->value_count * sizeof *values);
    for (size_t b = 0; b < encoder->spec.blocks; b++) {
        const nn_encoder_block *block = &encoder->blocks[b];
        double in = sqrt(6.0 / (double)(4 * width)), feed = sqrt(6.0 / (double)(width + inner));
        for (size_t part = 0; part < 3; part++)
            fill_uniform(rng, in, width, width, s, values + block->in_weight + part * s * s);
        fill_uniform(rng, sqrt(6.0 / (double)(2 * width)), width, width, s, values + block->out_weight);
        fill_uniform(rng, feed, inner, width, s, values + block->weight1);
        fill_uniform(rng, feed, width, inner, f, values + block->weight2);
        for (size_t n = 0; n < 2; n++)
            fill(values + block->gain[n], width, 1);
    }
    if (encoder->spec.last_norm)
        fill(values + encoder->last_gain, width, 1);
    nn_encoder_refresh(encoder);
}

void nn_encoder_refresh(nn_encoder *encoder)
{
    size_t s = encoder->stride, f = encoder->inner_stride, at = 0;
    for (size_t b = 0; b < encoder->spec.blocks; b++) {
        const nn_encoder_block *block = &encoder->blocks[b];
        const struct {
            size_t from, rows, columns;
        } matrices[] = {
            {block->in_weight, 3 * s, s}, {block->out_weight, s, s}, {block->weight1, f, s}, {block->weight2, s, f}};
        for (size_t m = 0; m < 4; m++) {
            encoder->kernels->turn(matrices[m].rows, matrices[m].columns, matrices[m].columns,
                                   encoder->values + matrices[m].from, matrices[m].rows, encoder->transposed + at);
            at += matrices[m].rows * matrices[m].columns;
        }
    }
}

void nn_encoder_activate(const nn_encoder *encoder, size_t rows, const float *bias, float *slope, float *y)
{
    size_t f = encoder->inner_stride;
    switch (encoder->spec.activation) {
    case NN_GELU:
        encoder->kernels->bias_gelu(rows, f, bias, slope, y);
        break;
    case NN_LEAKY_RELU:
        encoder->kernels->bias_leaky(rows, f, NN_ENCODER_LEAK, bias, y);
        break;
    default:
        encoder->kernels->bias_relu(rows, f, bias, y);
        break;
    }
}

/* ---- checkpoints ------------------------------------------------------------ */

enum { BLOCK_TENSORS = 12 };

/* One tensor: where its rows lie in values and how it is shaped. W_in and b_in have three parts of shape[0] / 3 rows
 * (or numbers), each padded. */
typedef struct tensor_place {
    char name[160];
    size_t rank, shape[2];
    size_t parts;                /* 1, or 3 */
    size_t offset, part, stride; /* from one part to the next; from one row to the next */
} tensor_place;

static size_t tensor_total(const nn_encoder *encoder)
{
    return encoder->spec.blocks * BLOCK_TENSORS + (encoder->spec.last_norm ? 2 : 0);
}

/* The `index`th tensor, in PyTorch's order; false when its name is too long. */
static bool tensor_at(const nn_encoder *encoder, const char *prefix, size_t index, tensor_place *place)
{
    size_t width = encoder->spec.width, inner = encoder->spec.inner, s = encoder->stride, f = encoder->inner_stride;
    size_t b = index / BLOCK_TENSORS;
    int length;
    if (b >= encoder->spec.blocks) {
        bool is_shift = index % BLOCK_TENSORS != 0;
        *place = (tensor_place){
            .rank = 1, .shape = {width}, .parts = 1, .offset = is_shift ? encoder->last_shift : encoder->last_gain};
        length = snprintf(place->name, sizeof place->name, "%snorm.%s", prefix, is_shift ? "bias" : "weight");
        return length > 0 && (size_t)length < sizeof place->name;
    }
    const nn_encoder_block *block = &encoder->blocks[b];
    const struct {
        const char *name;
        tensor_place place;
    } tensors[BLOCK_TENSORS] = {
        {"self_attn.in_proj_weight",
         {.rank = 2, .shape = {3 * width, width}, .parts = 3, .offset = block->in_weight, .part = s * s, .stride = s}},
        {"self_attn.in_proj_bias", {.rank = 1, .shape = {3 * width}, .parts = 3, .offset = block->in_bias, .part = s}},
        {"self_attn.out_proj.weight",
         {.rank = 2, .shape = {width, width}, .parts = 1, .offset = block->out_weight, .stride = s}},
        {"self_attn.out_proj.bias", {.rank = 1, .shape = {width}, .parts = 1, .offset = block->out_bias}},
        {"linear1.weight", {.rank = 2, .shape = {inner, width}, .parts = 1, .offset = block->weight1, .stride = s}},
        {"linear1.bias", {.rank = 1, .shape = {inner}, .parts = 1, .offset = block->bias1}},
        {"linear2.weight", {.rank = 2, .shape = {width, inner}, .parts = 1, .offset = block->weight2, .stride = f}},
        {"linear2.bias", {.rank = 1, .shape = {width}, .parts = 1, .offset = block->bias2}},
        {"norm1.weight", {.rank = 1, .shape = {width}, .parts = 1, .offset = block->gain[0]}},
        {"norm1.bias", {.rank = 1, .shape = {width}, .parts = 1, .offset = block->shift[0]}},
        {"norm2.weight", {.rank = 1, .shape = {width}, .parts = 1, .offset = block->gain[1]}},
        {"norm2.bias", {.rank = 1, .shape = {width}, .parts = 1, .offset = block->shift[1]}},
    };
    *place = tensors[index % BLOCK_TENSORS].place;
    length =
        snprintf(place->name, sizeof place->name, "%slayers.%zu.%s", prefix, b, tensors[index % BLOCK_TENSORS].name);
    return length > 0 && (size_t)length < sizeof place->name;
}

/* Copies a tensor's numbers from their places in values to a block without padding, or, to `spread` them, back. */
static void move_tensor(const tensor_place *place, bool spread, const float *from, float *to)
{
    size_t rows = place->rank == 2 ? place->shape[0] / place->parts : 1, packed = 0;
    size_t width = place->rank == 2 ? place->shape[1] : place->shape[0] / place->parts;
    for (size_t part = 0; part < place->parts; part++) {
        for (size_t row = 0; row < rows; row++, packed += width) {
            size_t at = place->offset + part * place->part + row * place->stride;
            memcpy(to + (spread ? at : packed), from + (spread ? packed : at), width * sizeof *to);
        }
    }
}

forage_status nn_encoder_save(const nn_encoder *encoder, const float *values, const char *prefix,
                              nn_checkpoint *checkpoint, float **packed, forage_error *error)
{
    *packed = forage_alloc(encoder->weight_count, sizeof **packed);
    if (!*packed)
        return out_of_memory(error);
    float *at = *packed;
    for (size_t i = 0; i < tensor_total(encoder); i++) {
        tensor_place place;
        if (!tensor_at(encoder, prefix, i, &place))
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, place.name, "this name is too long for a tensor");
        move_tensor(&place, false, values, at);
        FORAGE_TRY(nn_checkpoint_add(checkpoint, place.name, NN_F32, place.rank, place.shape, at, error));
        at += place.shape[0] * (place.rank == 2 ? place.shape[1] : 1);
    }
    return FORAGE_OK;
}

forage_status nn_encoder_load(const nn_encoder *encoder, const nn_checkpoint *checkpoint, const char *prefix,
                              float *values, forage_error *error)
{
    float *packed = forage_alloc(encoder->weight_count, sizeof *packed);
    if (!packed)
        return out_of_memory(error);
    forage_status status = FORAGE_OK;
    memset(values, 0, encoder->value_count * sizeof *values);
    for (size_t i = 0; i < tensor_total(encoder); i++) {
        tensor_place place;
        if (!tensor_at(encoder, prefix, i, &place)) {
            status = forage_fail_at(error, FORAGE_INVALID, NULL, 0, place.name, "this name is too long for a tensor");
            break;
        }
        status = nn_checkpoint_read_weights(checkpoint, place.name, place.rank, place.shape, packed, error);
        if (status != FORAGE_OK)
            break;
        move_tensor(&place, true, packed, values);
    }
    forage_free(packed);
    return status;
}
