/*
 * encoder_case.h: encoders and sequences for tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENCODER_CASE_H
#define ENCODER_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../must.h"
#include "nn/nn.h"

static inline forage_isa best_isa(void)
{
    forage_device device;
    forage_error error = {0};
    must(forage_device_open("auto", 1, &device, &error), &error);
    return device.isa;
}

static inline float *floats(size_t count)
{
    float *made = forage_calloc(count ? count : 1, sizeof *made);
    assert_non_null(made);
    return made;
}

static inline nn_encoder *encoder_of(const nn_encoder_spec *spec, forage_isa isa)
{
    nn_encoder *encoder = NULL;
    forage_error error = {0};
    must(nn_encoder_create(spec, isa, &encoder, &error), &error);
    return encoder;
}

/* Within `tolerance` of the largest. */
static inline void compare(const char *what, const float *have, const float *want, size_t count, float tolerance)
{
    float largest = 1e-6F;
    for (size_t i = 0; i < count; i++)
        largest = fmaxf(largest, fabsf(want[i]));
    for (size_t i = 0; i < count; i++) {
        if (!(fabsf(have[i] - want[i]) <= tolerance * largest))
            fail_msg("%s: number %zu is %.9g, not %.9g", what, i, (double)have[i], (double)want[i]);
    }
}

/* ---- sequences ---- */

enum { MOST = 40 };

typedef struct batch {
    nn_pack pack;
    uint32_t starts[MOST + 1];
    size_t tokens;
    float *x; /* [tokens][stride] */
} batch;

static inline void draw(forage_rng *rng, const nn_encoder *encoder, float *to, size_t tokens, double size)
{
    for (size_t i = 0; i < tokens; i++) {
        for (size_t j = 0; j < encoder->spec.width; j++)
            to[i * encoder->stride + j] = (float)(size * forage_rng_normal(rng));
    }
}

static inline void make_batch(batch *made, const nn_encoder *encoder, const size_t *lengths, size_t count,
                              forage_rng *rng)
{
    *made = (batch){.pack = {.count = count, .starts = made->starts}};
    for (size_t i = 0; i < count; i++)
        made->starts[i + 1] = made->starts[i] + (uint32_t)lengths[i];
    made->tokens = made->starts[count];
    made->x = floats(made->tokens * encoder->stride);
    draw(rng, encoder, made->x, made->tokens, 1);
}

/* All weights, biases and gains, too. */
static inline void draw_weights(nn_encoder *encoder, forage_rng *rng)
{
    nn_encoder_initialise(encoder, rng);
    float *noise = floats(encoder->value_count), *packed = NULL;
    nn_checkpoint *file = NULL;
    forage_error error = {0};
    for (size_t i = 0; i < encoder->value_count; i++)
        noise[i] = (float)(0.2 * forage_rng_normal(rng));
    /* Through a checkpoint, which leaves the padding alone. */
    for (size_t i = 0; i < encoder->value_count; i++)
        noise[i] += encoder->values[i];
    must(nn_checkpoint_create(&file, &error), &error);
    must(nn_encoder_save(encoder, noise, "", file, &packed, &error), &error);
    must(nn_encoder_load(encoder, file, "", encoder->values, &error), &error);
    nn_encoder_refresh(encoder);
    nn_checkpoint_free(file);
    forage_free(packed);
    forage_free(noise);
}

static inline void *scratch_of(const nn_encoder *encoder, size_t tokens)
{
    void *scratch = forage_alloc(1, nn_encoder_scratch_size(encoder, tokens));
    assert_non_null(scratch);
    memset(scratch, 0x7f, nn_encoder_scratch_size(encoder, tokens)); /* large numbers: whoever reads them is seen */
    return scratch;
}

static inline nn_tape *tape_of(const nn_encoder *encoder, size_t tokens, size_t sequences)
{
    nn_tape *tape = NULL;
    forage_error error = {0};
    must(nn_tape_create(encoder, tokens, sequences, &tape, &error), &error);
    return tape;
}

static const size_t ragged[] = {0, 1, 9, 3, 0, 12, 12, 1, 7, 12, 10, 2, 0};
enum { RAGGED = sizeof ragged / sizeof ragged[0] };

static inline nn_encoder_spec spec_of(size_t which)
{
    return (nn_encoder_spec){.width = which % 3 == 0 ? 18 : 32,
                             .heads = which % 2 + 1,
                             .inner = which % 3 == 1 ? 32 : 21,
                             .blocks = 1 + which % 2,
                             .length = 12,
                             .activation = which % 2 ? NN_GELU : NN_LEAKY_RELU,
                             .causal = which % 4 < 2,
                             .pre_norm = which % 8 < 4,
                             .last_norm = which % 5 < 3,
                             .epsilon = 1e-5};
}

#endif
