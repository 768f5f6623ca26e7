/*
 * test_target.c: the last tokens of an encoder of one block: what the whole encoder makes of them, forward, backward
 * and in scoring; with dropout, against finite differences.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../must.h"
#include "learned.h"
#include "nn/nn.h"

enum { LENGTH = 24, SEQUENCES = 70 };

static float *floats(size_t count)
{
    float *values = forage_calloc(count + 1, sizeof *values);
    assert_non_null(values);
    return values;
}

static void close_to(const char *what, const float *have, const float *want, size_t count, double relative,
                     double absolute)
{
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)have[i] - (double)want[i]);
        if (!(difference <= absolute + relative * fabs((double)want[i])))
            fail_msg("%s: number %zu is %.9g, not %.9g", what, i, (double)have[i], (double)want[i]);
    }
}

static const nn_encoder_spec specs[] = {
    {.width = 12, .heads = 3, .inner = 20, .blocks = 1, .length = LENGTH, .activation = NN_LEAKY_RELU, .epsilon = 1e-5},
    {.width = 32, .heads = 2, .inner = 48, .blocks = 1, .length = LENGTH, .activation = NN_RELU, .epsilon = 1e-5},
    {.width = 5, .heads = 1, .inner = 3, .blocks = 1, .length = LENGTH, .activation = NN_LEAKY_RELU, .epsilon = 1e-5},
};

/* Sequences of 1 to LENGTH tokens, an encoder whose norms and biases are not what they begin with. */
typedef struct fixture {
    nn_encoder *encoder;
    forage_rng rng;
    uint32_t starts[SEQUENCES + 1];
    nn_pack pack;
    size_t tokens;
    float *x; /* [tokens][stride] */
} fixture;

static float *random_rows(fixture *f, size_t rows)
{
    float *made = floats(rows * f->encoder->stride);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < f->encoder->spec.width; j++)
            made[i * f->encoder->stride + j] = (float)forage_rng_normal(&f->rng);
    }
    return made;
}

static void open_fixture(fixture *f, size_t spec, size_t sequences)
{
    forage_error error = {0};
    forage_device device;
    must(forage_device_open("auto", 1, &device, &error), &error);
    must(nn_encoder_create(&specs[spec], device.isa, &f->encoder, &error), &error);
    assert_true(nn_target_fits(f->encoder));
    forage_rng_seed(&f->rng, 17 + spec);
    nn_encoder_initialise(f->encoder, &f->rng);
    const nn_encoder_block *block = &f->encoder->blocks[0];
    size_t s = f->encoder->stride, width = specs[spec].width, inner = specs[spec].inner;
    const struct {
        size_t at, count;
    } vectors[] = {{block->in_bias, width},  {block->in_bias + s, width}, {block->in_bias + 2 * s, width},
                   {block->out_bias, width}, {block->bias1, inner},       {block->bias2, width},
                   {block->gain[0], width},  {block->gain[1], width},     {block->shift[0], width},
                   {block->shift[1], width}};
    for (size_t v = 0; v < sizeof vectors / sizeof vectors[0]; v++) {
        for (size_t i = 0; i < vectors[v].count; i++)
            f->encoder->values[vectors[v].at + i] += (float)(0.3 * forage_rng_normal(&f->rng));
    }
    nn_encoder_refresh(f->encoder);
    f->starts[0] = 0;
    for (size_t i = 0; i < sequences; i++)
        f->starts[i + 1] = f->starts[i] + 1 + (uint32_t)(i < 3 ? 0 : forage_rng_integers(&f->rng, LENGTH));
    f->pack = (nn_pack){sequences, f->starts};
    f->tokens = f->starts[sequences];
    f->x = random_rows(f, f->tokens);
}

static void close_fixture(fixture *f)
{
    forage_free(f->x);
    nn_encoder_free(f->encoder);
}

static void training_is_the_encoders(void **state)
{
    (void)state;
    for (size_t spec = 0; spec < sizeof specs / sizeof specs[0]; spec++) {
        fixture f;
        forage_error error = {0};
        nn_tape *whole;
        nn_target_tape *tape;
        open_fixture(&f, spec, SEQUENCES);
        size_t s = f.encoder->stride, values = f.encoder->value_count;
        float *all = floats(f.tokens * s), *out = floats(SEQUENCES * s), *want = floats(SEQUENCES * s);
        float *d_out = random_rows(&f, SEQUENCES), *d_all = floats(f.tokens * s);
        float *dx = floats(f.tokens * s), *want_dx = floats(f.tokens * s);
        float *gradient = floats(values), *want_gradient = floats(values);
        must(nn_tape_create(f.encoder, f.tokens, SEQUENCES, &whole, &error), &error);
        must(nn_target_tape_create(f.encoder, f.tokens, SEQUENCES, &tape, &error), &error);
        for (int round = 0; round < 2; round++) { /* again, over what the first has left behind */
            memset(gradient, 0, values * sizeof *gradient);
            memset(want_gradient, 0, values * sizeof *gradient);
            nn_encoder_forward(f.encoder, &f.pack, 0, 0, 0, whole, f.x, all);
            for (size_t i = 0; i < SEQUENCES; i++) {
                size_t last = f.starts[i + 1] - 1;
                memcpy(want + i * s, all + last * s, s * sizeof *want);
                memcpy(d_all + last * s, d_out + i * s, s * sizeof *want);
            }
            nn_encoder_backward(f.encoder, whole, d_all, want_dx, want_gradient);
            nn_target_forward(f.encoder, &f.pack, 0, 0, 0, tape, f.x, out);
            nn_target_backward(f.encoder, tape, d_out, dx, gradient);
            close_to("output", out, want, SEQUENCES * s, 1e-4, 1e-5);
            close_to("gradient by x", dx, want_dx, f.tokens * s, 1e-3, 1e-5);
            close_to("gradient by the weights", gradient, want_gradient, values, 1e-3, 1e-4);
        }
        nn_tape_free(whole);
        nn_target_tape_free(tape);
        float *blocks[] = {all, out, want, d_out, d_all, dx, want_dx, gradient, want_gradient};
        for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
            forage_free(blocks[i]);
        close_fixture(&f);
    }
}

/* <d_out, out>, with dropout. */
static double projected(const fixture *f, nn_target_tape *tape, const float *d_out, float *out)
{
    double sum = 0.0;
    nn_target_forward(f->encoder, &f->pack, 0.3F, 99, 7, tape, f->x, out);
    for (size_t i = 0; i < f->pack.count * f->encoder->stride; i++)
        sum += (double)d_out[i] * (double)out[i];
    return sum;
}

static void check_differences(size_t spec)
{
    enum { FEW = 6 };
    fixture f;
    forage_error error = {0};
    nn_target_tape *tape;
    open_fixture(&f, spec, FEW);
    size_t s = f.encoder->stride, values = f.encoder->value_count;
    float *out = floats(FEW * s), *d_out = random_rows(&f, FEW), *dx = floats(f.tokens * s), *gradient = floats(values);
    must(nn_target_tape_create(f.encoder, f.tokens, FEW, &tape, &error), &error);
    float *learned = learned_of(f.encoder);
    (void)projected(&f, tape, d_out, out);
    nn_target_backward(f.encoder, tape, d_out, dx, gradient);
    const float h = 0x1p-9F;
    size_t checked = 0, off = 0, flat = 0;
    for (size_t i = 0; i < values + f.tokens * s; i++) {
        bool weight = i < values;
        float *at = weight ? f.encoder->values + i : f.x + (i - values), kept = *at;
        if (weight ? learned[i] == 0 : (i - values) % s >= f.encoder->spec.width)
            continue;
        *at = kept + h;
        nn_encoder_refresh(f.encoder);
        double above = projected(&f, tape, d_out, out);
        *at = kept - h;
        nn_encoder_refresh(f.encoder);
        double slope = (above - projected(&f, tape, d_out, out)) / (2.0 * (double)h);
        double have = (double)(weight ? gradient[i] : dx[i - values]);
        *at = kept;
        checked++;
        flat += have == 0;
        off += fabs(have - slope) > 0.01 + 0.02 * fabs(slope);
    }
    /* Single precision, and a kink now and then. */
    if (checked < f.encoder->weight_count || off > checked / 50 || flat > checked / 2)
        fail_msg("encoder %zu: %zu of %zu gradients (%zu zero) are not those of finite differences", spec, off, checked,
                 flat);
    nn_target_tape_free(tape);
    forage_free(learned);
    forage_free(out);
    forage_free(d_out);
    forage_free(dx);
    forage_free(gradient);
    close_fixture(&f);
}

static void the_gradient_is_that_of_what_dropout_left(void **state)
{
    (void)state;
    for (size_t spec = 0; spec < sizeof specs / sizeof specs[0]; spec++)
        check_differences(spec);
}

static void scoring_is_the_encoders(void **state)
{
    (void)state;
    for (size_t spec = 0; spec < sizeof specs / sizeof specs[0]; spec++) {
        fixture f;
        open_fixture(&f, spec, SEQUENCES);
        size_t s = f.encoder->stride, most = NN_TARGET_ROWS;
        float *copy = floats(f.tokens * s), *want = floats(SEQUENCES * s), *targets = floats(most * s);
        void *scratch = forage_alloc(nn_encoder_scratch_size(f.encoder, f.tokens), 1);
        void *own = forage_alloc(nn_target_scratch_size(f.encoder), 1);
        assert_true(scratch && own);
        memcpy(copy, f.x, f.tokens * s * sizeof *copy);
        nn_encoder_last(f.encoder, &f.pack, scratch, copy, want);
        for (size_t i = 0; i < most; i++)
            memcpy(targets + i * s, f.x + (f.starts[i + 1] - 1) * s, s * sizeof *targets);
        nn_target_begin(f.encoder, most, targets, own);
        for (size_t i = 0; i < most; i++) {
            size_t before = f.starts[i + 1] - f.starts[i] - 1;
            nn_target_history(f.encoder, before, f.x + f.starts[i] * s, own);
            nn_target_attend(f.encoder, i, 1, before, own);
        }
        nn_target_end(f.encoder, most, own, targets);
        close_to("score", targets, want, most * s, 1e-4, 1e-5);

        /* Many behind one history give the bytes of each alone. */
        size_t last = SEQUENCES - 1, before = f.starts[last + 1] - f.starts[last] - 1;
        float *together = random_rows(&f, most), *alone = floats(s);
        memcpy(targets, together, most * s * sizeof *targets);
        nn_target_history(f.encoder, before, f.x + f.starts[last] * s, own);
        nn_target_begin(f.encoder, most, together, own);
        nn_target_attend(f.encoder, 0, most, before, own);
        nn_target_end(f.encoder, most, own, together);
        for (size_t i = 0; i < most; i++) {
            memcpy(alone, targets + i * s, s * sizeof *alone);
            nn_target_begin(f.encoder, 1, alone, own);
            nn_target_attend(f.encoder, 0, 1, before, own);
            nn_target_end(f.encoder, 1, own, alone);
            assert_memory_equal(alone, together + i * s, s * sizeof *alone);
        }
        forage_free(alone);
        forage_free(together);
        forage_free(scratch);
        forage_free(own);
        forage_free(copy);
        forage_free(want);
        forage_free(targets);
        close_fixture(&f);
    }
}

static void other_encoders_do_not_fit(void **state)
{
    (void)state;
    forage_error error = {0};
    for (int what = 0; what < 4; what++) {
        nn_encoder_spec spec = specs[0];
        nn_encoder *encoder;
        spec.blocks += what == 0;
        spec.pre_norm = what == 1;
        spec.last_norm = what == 2;
        spec.activation = what == 3 ? NN_GELU : NN_RELU;
        must(nn_encoder_create(&spec, FORAGE_ISA_PORTABLE, &encoder, &error), &error);
        assert_false(nn_target_fits(encoder));
        nn_encoder_free(encoder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_is_the_encoders),
        cmocka_unit_test(the_gradient_is_that_of_what_dropout_left),
        cmocka_unit_test(scoring_is_the_encoders),
        cmocka_unit_test(other_encoders_do_not_fit),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
