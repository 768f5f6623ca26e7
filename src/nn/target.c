/*
 * target.c: the last tokens of sequences in an encoder of one block, in scoring (target.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/target.h"

#include <math.h>
#include <string.h>

#include "nn/encoder_parts.h"

bool nn_target_fits(const nn_encoder *encoder)
{
    const nn_encoder_spec *spec = &encoder->spec;
    return spec->blocks == 1 && !spec->pre_norm && !spec->last_norm && spec->activation != NN_GELU;
}

typedef struct room {
    float *qkv;      /* [NN_TARGET_ROWS][3 s] */
    float *attended; /* [NN_TARGET_ROWS][s] */
    float *narrow;   /* [NN_TARGET_ROWS][s] */
    float *wide;     /* [NN_TARGET_ROWS][f] */
    float *kv;       /* [length][2 s] of the history */
    float *turned;   /* [head][head's width][nn_padded(length)] its keys, transposed */
    float *chances;  /* [NN_TARGET_ROWS][nn_padded(length)] */
} room;

/* Lays it out in `memory` (NULL: only counts); returns floats. */
static size_t lay_out_room(const nn_encoder *encoder, float *memory, room *made)
{
    const nn_encoder_spec *spec = &encoder->spec;
    size_t s = encoder->stride, length = nn_padded(spec->length), at = 0;
    const struct {
        float **to;
        size_t count;
    } parts[] = {
        {&made->qkv, NN_TARGET_ROWS * 3 * s},
        {&made->attended, NN_TARGET_ROWS * s},
        {&made->narrow, NN_TARGET_ROWS * s},
        {&made->wide, NN_TARGET_ROWS * encoder->inner_stride},
        {&made->kv, length * 2 * s},
        {&made->turned, spec->width * length},
        {&made->chances, NN_TARGET_ROWS * length},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].to = memory ? memory + at : NULL;
        at += parts[i].count;
    }
    return at;
}

size_t nn_target_scratch_size(const nn_encoder *encoder)
{
    room unused;
    return lay_out_room(encoder, NULL, &unused) * sizeof(float);
}

/* A product of our own of any shape. */
static void multiply(const nn_encoder *encoder, size_t m, size_t n, size_t k, size_t lda, size_t ldb, size_t ldc,
                     const float *a, const float *b, float *c)
{
    la_gemm gemm;
    la_gemm_init(&gemm, la_engine_steady(encoder->isa),
                 &(la_shape){.m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc});
    la_gemm_run(&gemm, a, b, c);
}

static void norm(const nn_encoder *encoder, size_t n, size_t rows, const float *x, float *xhat, float *scale, float *y)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    encoder->kernels->norm(rows, encoder->spec.width, encoder->stride, (float)encoder->spec.epsilon,
                           encoder->values + block->gain[n], encoder->values + block->shift[n], x, xhat, scale, y);
}

void nn_target_begin(const nn_encoder *encoder, size_t count, const float *x, void *scratch)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    size_t s = encoder->stride;
    room own;
    (void)lay_out_room(encoder, scratch, &own);
    multiply(encoder, count, 3 * s, s, s, 3 * s, 3 * s, x, block->in_t, own.qkv);
    encoder->kernels->bias(count, 3 * s, encoder->values + block->in_bias, own.qkv);
}

void nn_target_history(const nn_encoder *encoder, size_t tokens, const float *x, void *scratch)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    size_t s = encoder->stride, width = encoder->spec.width / encoder->spec.heads, pitch = nn_padded(tokens + 1);
    room own;
    if (tokens == 0)
        return;
    (void)lay_out_room(encoder, scratch, &own);
    multiply(encoder, tokens, 2 * s, s, s, 3 * s, 2 * s, x, block->in_t + s, own.kv);
    encoder->kernels->bias(tokens, 2 * s, encoder->values + block->in_bias + s, own.kv);
    for (size_t head = 0; head < encoder->spec.heads; head++)
        encoder->kernels->turn(tokens, width, 2 * s, own.kv + head * width, pitch, own.turned + head * width * pitch);
}

void nn_target_attend(const nn_encoder *encoder, size_t first, size_t count, size_t tokens, void *scratch)
{
    size_t s = encoder->stride, width = encoder->spec.width / encoder->spec.heads, pitch = nn_padded(tokens + 1);
    room own;
    (void)lay_out_room(encoder, scratch, &own);
    memset(own.attended + first * s, 0, count * s * sizeof(float));
    for (size_t head = 0; head < encoder->spec.heads; head++) {
        const float *q = own.qkv + first * 3 * s + head * width, *k = q + s, *v = k + s;
        float *attended = own.attended + first * s + head * width;
        if (tokens)
            multiply(encoder, count, pitch, width, 3 * s, pitch, pitch, q, own.turned + head * width * pitch,
                     own.chances);
        for (size_t i = 0; i < count; i++) /* and to itself */
            la_dots(encoder->isa, k + i * 3 * s, 3 * s, 1, width, q + i * 3 * s, own.chances + i * pitch + tokens);
        encoder->kernels->softmax(count, tokens + 1, 0, pitch, (float)(1 / sqrt((double)width)), own.chances);
        if (tokens)
            multiply(encoder, count, width, tokens, pitch, 2 * s, s, own.chances, own.kv + s + head * width, attended);
        for (size_t i = 0; i < count; i++) {
            float chance = own.chances[i * pitch + tokens];
            for (size_t j = 0; j < width; j++)
                attended[i * s + j] += chance * v[i * 3 * s + j];
        }
    }
}

void nn_target_end(const nn_encoder *encoder, size_t count, void *scratch, float *x)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    const float *values = encoder->values;
    size_t s = encoder->stride, f = encoder->inner_stride;
    room own;
    (void)lay_out_room(encoder, scratch, &own);
    multiply(encoder, count, s, s, s, s, s, own.attended, block->out_t, own.narrow);
    encoder->kernels->residual(count, s, values + block->out_bias, NULL, own.narrow, x, x);
    norm(encoder, 0, count, x, NULL, NULL, x);
    multiply(encoder, count, f, s, s, f, f, x, block->weight1_t, own.wide);
    nn_encoder_activate(encoder, count, values + block->bias1, NULL, own.wide);
    multiply(encoder, count, s, f, f, s, s, own.wide, block->weight2_t, own.narrow);
    encoder->kernels->residual(count, s, values + block->bias2, NULL, own.narrow, x, x);
    norm(encoder, 1, count, x, NULL, NULL, x);
}
