/*
 * test_encoder.c: transformer blocks against PyTorch, against differences, and against themselves: scored whole, by
 * their last tokens, and one token at a time.
 *
 *     test_encoder FILE      writes an encoder, and what it makes of some sequences, for tests/golden/encoder.py
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
#include <stdlib.h>
#include <string.h>

#include "nn/nn.h"

static void must(forage_status status, const forage_error *error)
{
    char text[1024];
    if (status == FORAGE_OK)
        return;
    (void)forage_error_text(error, text, sizeof text);
    fail_msg("%s: %s", forage_status_name(status), text);
}

static forage_isa best_isa(void)
{
    forage_device device;
    forage_error error = {0};
    must(forage_device_open("auto", 1, &device, &error), &error);
    return device.isa;
}

static float *floats(size_t count)
{
    float *made = forage_calloc(count ? count : 1, sizeof *made);
    assert_non_null(made);
    return made;
}

static nn_encoder *encoder_of(const nn_encoder_spec *spec, forage_isa isa)
{
    nn_encoder *encoder = NULL;
    forage_error error = {0};
    must(nn_encoder_create(spec, isa, &encoder, &error), &error);
    return encoder;
}

/* Within `tolerance` of the largest. */
static void compare(const char *what, const float *have, const float *want, size_t count, float tolerance)
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

static void draw(forage_rng *rng, const nn_encoder *encoder, float *to, size_t tokens, double size)
{
    for (size_t i = 0; i < tokens; i++) {
        for (size_t j = 0; j < encoder->spec.width; j++)
            to[i * encoder->stride + j] = (float)(size * forage_rng_normal(rng));
    }
}

static void make_batch(batch *made, const nn_encoder *encoder, const size_t *lengths, size_t count, forage_rng *rng)
{
    *made = (batch){.pack = {.count = count, .starts = made->starts}};
    for (size_t i = 0; i < count; i++)
        made->starts[i + 1] = made->starts[i] + (uint32_t)lengths[i];
    made->tokens = made->starts[count];
    made->x = floats(made->tokens * encoder->stride);
    draw(rng, encoder, made->x, made->tokens, 1);
}

/* All weights, biases and gains, too. */
static void draw_weights(nn_encoder *encoder, forage_rng *rng)
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

static void *scratch_of(const nn_encoder *encoder, size_t tokens)
{
    void *scratch = forage_alloc(1, nn_encoder_scratch_size(encoder, tokens));
    assert_non_null(scratch);
    memset(scratch, 0x7f, nn_encoder_scratch_size(encoder, tokens)); /* large numbers: whoever reads them is seen */
    return scratch;
}

static nn_tape *tape_of(const nn_encoder *encoder, size_t tokens, size_t sequences)
{
    nn_tape *tape = NULL;
    forage_error error = {0};
    must(nn_tape_create(encoder, tokens, sequences, &tape, &error), &error);
    return tape;
}

/* ---- PyTorch's numbers ---- */

static const nn_tensor *tensor(const nn_checkpoint *file, size_t number, const char *name)
{
    char key[64];
    (void)snprintf(key, sizeof key, "%zu.%s", number, name);
    const nn_tensor *found = nn_checkpoint_find(file, key);
    assert_non_null(found);
    return found;
}

static void integers(const nn_checkpoint *file, size_t number, const char *name, int64_t *to)
{
    const nn_tensor *found = tensor(file, number, name);
    assert_true(found->dtype == NN_I64 && found->rank == 1 && found->shape[0] <= MOST);
    memcpy(to, found->bytes, found->size);
}

/* [tokens][width], each row to its place. */
static float *rows_of(const nn_checkpoint *file, size_t number, const char *name, const nn_encoder *encoder)
{
    const nn_tensor *found = tensor(file, number, name);
    float *made = floats(found->shape[0] * encoder->stride);
    assert_int_equal(found->shape[1], encoder->spec.width);
    for (size_t i = 0; i < found->shape[0]; i++)
        memcpy(made + i * encoder->stride, found->bytes + i * found->shape[1] * sizeof *made,
               found->shape[1] * sizeof *made);
    return made;
}

static void check_case(const nn_checkpoint *file, size_t number, forage_isa isa)
{
    int64_t spec[MOST], starts[MOST];
    forage_error error = {0};
    char key[64];
    integers(file, number, "spec", spec);
    integers(file, number, "starts", starts);
    nn_encoder *encoder = encoder_of(&(nn_encoder_spec){.width = (size_t)spec[0],
                                                        .heads = (size_t)spec[1],
                                                        .inner = (size_t)spec[2],
                                                        .blocks = (size_t)spec[3],
                                                        .length = (size_t)spec[4],
                                                        .activation = (nn_activation)spec[5],
                                                        .causal = spec[6],
                                                        .pre_norm = spec[7],
                                                        .last_norm = spec[8],
                                                        .epsilon = 1e-5},
                                     isa);
    batch b = {.pack = {.count = tensor(file, number, "starts")->shape[0] - 1, .starts = b.starts}};
    for (size_t i = 0; i <= b.pack.count; i++)
        b.starts[i] = (uint32_t)starts[i];
    b.tokens = b.starts[b.pack.count];
    size_t size = b.tokens * encoder->stride;
    b.x = rows_of(file, number, "x", encoder);
    float *d = rows_of(file, number, "d_out", encoder), *want = rows_of(file, number, "out", encoder);
    float *want_d = rows_of(file, number, "d_x", encoder), *out = floats(size);
    float *gradient = floats(encoder->value_count), *want_gradient = floats(encoder->value_count);
    (void)snprintf(key, sizeof key, "%zu.init.", number);
    must(nn_encoder_load(encoder, file, key, encoder->values, &error), &error);
    nn_encoder_refresh(encoder);
    (void)snprintf(key, sizeof key, "%zu.grad.", number);
    must(nn_encoder_load(encoder, file, key, want_gradient, &error), &error);

    nn_tape *tape = tape_of(encoder, b.tokens + number, b.pack.count);
    for (size_t again = 0; again < 2; again++) {
        nn_encoder_forward(encoder, &b.pack, 0, 0, 0, tape, b.x, out);
        compare("out", out, want, size, 3e-6F);
    }
    nn_encoder_backward(encoder, tape, d, d, gradient);
    compare("d_x", d, want_d, size, 1e-5F);
    compare("gradient", gradient, want_gradient, encoder->value_count, 1e-5F);
    void *scratch = scratch_of(encoder, b.tokens);
    nn_encoder_run(encoder, &b.pack, scratch, b.x);
    compare("run", b.x, want, size, 3e-6F);
    forage_free(scratch);
    nn_tape_free(tape);
    forage_free(b.x);
    forage_free(d);
    forage_free(want);
    forage_free(want_d);
    forage_free(out);
    forage_free(gradient);
    forage_free(want_gradient);
    nn_encoder_free(encoder);
}

static void forward_and_backward_are_pytorchs(void **state)
{
    (void)state;
    const char *source = getenv("FORAGE_SOURCE");
    char path[512];
    nn_checkpoint *file = NULL;
    forage_error error = {0};
    int64_t cases;
    (void)snprintf(path, sizeof path, "%s/tests/golden/encoder.safetensors", source ? source : "..");
    must(nn_checkpoint_load(path, &file, &error), &error);
    must(nn_checkpoint_read(file, "cases", NN_I64, 1, (size_t[]){1}, &cases, &error), &error);
    for (int isa = FORAGE_ISA_PORTABLE; isa <= (int)best_isa(); isa++) {
        for (size_t number = 0; number < (size_t)cases; number++)
            check_case(file, number, (forage_isa)isa);
    }
    nn_checkpoint_free(file);
}

/* ---- differences ---- */

static const size_t ragged[] = {0, 1, 9, 3, 0, 12, 12, 1, 7, 12, 10, 2, 0};
enum { RAGGED = sizeof ragged / sizeof ragged[0] };

static nn_encoder_spec spec_of(size_t which)
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

typedef struct slope_case {
    nn_encoder *encoder;
    batch b;
    nn_tape *tape;
    float *weight, *out; /* the loss is sum of weight * out */
    float dropout;
} slope_case;

static double loss_of(slope_case *c)
{
    double sum = 0;
    nn_encoder_refresh(c->encoder);
    nn_encoder_forward(c->encoder, &c->b.pack, c->dropout, 77, 1000, c->tape, c->b.x, c->out);
    for (size_t i = 0; i < c->b.tokens * c->encoder->stride; i++)
        sum += (double)c->weight[i] * (double)c->out[i];
    return sum;
}

/* The derivative along `direction` of what moves `values`. */
static double slope_along(slope_case *c, float *values, size_t count, const float *direction)
{
    const double step = 2e-3;
    float *kept = floats(count);
    double loss[2];
    memcpy(kept, values, count * sizeof *kept);
    for (size_t side = 0; side < 2; side++) {
        for (size_t i = 0; i < count; i++)
            values[i] = kept[i] + (float)(side ? -step : step) * direction[i];
        loss[side] = loss_of(c);
    }
    memcpy(values, kept, count * sizeof *kept);
    forage_free(kept);
    return (loss[0] - loss[1]) / (2 * step);
}

static void check_slope(slope_case *c, const char *what, float *values, const float *gradient, size_t count,
                        size_t begin, size_t end, forage_rng *rng)
{
    float *direction = floats(count);
    double want = 0, square = 0;
    for (size_t i = begin; i < end; i++) {
        direction[i] = values[i] != 0 ? (float)forage_rng_normal(rng) : 0;
        square += (double)direction[i] * (double)direction[i];
    }
    for (size_t i = begin; i < end; i++) {
        direction[i] = (float)((double)direction[i] / sqrt(square + 1e-30));
        want += (double)direction[i] * (double)gradient[i];
    }
    double have = slope_along(c, values, count, direction);
    if (!(fabs(have - want) <= 4e-3 * (1 + fabs(want))))
        fail_msg("%s %zu to %zu: the gradient gives %.6g, differences %.6g", what, begin, end, want, have);
    forage_free(direction);
}

static void the_gradient_is_that_of_the_loss(void **state)
{
    (void)state;
    for (size_t which = 0; which < 16; which++) {
        forage_rng rng;
        forage_rng_seed(&rng, which);
        nn_encoder_spec spec = spec_of(which);
        spec.activation = NN_GELU; /* the others have edges; PyTorch's numbers are enough for them */
        slope_case c = {.encoder = encoder_of(&spec, best_isa()), .dropout = which % 3 ? 0.3F : 0};
        draw_weights(c.encoder, &rng);
        make_batch(&c.b, c.encoder, ragged, RAGGED, &rng);
        size_t size = c.b.tokens * c.encoder->stride, values = c.encoder->value_count;
        c.tape = tape_of(c.encoder, c.b.tokens, RAGGED);
        c.weight = floats(size);
        c.out = floats(size);
        draw(&rng, c.encoder, c.weight, c.b.tokens, 0.3);
        float *d_x = floats(size), *gradient = floats(values);
        (void)loss_of(&c);
        nn_encoder_backward(c.encoder, c.tape, c.weight, d_x, gradient);
        for (size_t n = 0; n < 5; n++)
            check_slope(&c, "x", c.b.x, d_x, size, 0, size, &rng);
        for (size_t n = 0; n < 40; n++) {
            size_t begin = values * n / 40;
            check_slope(&c, "weights", c.encoder->values, gradient, values, begin, values * (n + 1) / 40, &rng);
        }
        for (size_t i = 0; i < values; i++)
            assert_true(isfinite(gradient[i]));
        forage_free(d_x);
        forage_free(gradient);
        forage_free(c.weight);
        forage_free(c.out);
        forage_free(c.b.x);
        nn_tape_free(c.tape);
        nn_encoder_free(c.encoder);
    }
}

/* ---- dropout ---- */

static void groups_make_no_difference(void **state)
{
    (void)state;
    for (size_t which = 0; which < 8; which++) {
        forage_rng rng;
        forage_rng_seed(&rng, which);
        nn_encoder_spec spec = spec_of(which);
        nn_encoder *encoder = encoder_of(&spec, best_isa());
        draw_weights(encoder, &rng);
        batch b;
        make_batch(&b, encoder, ragged, RAGGED, &rng);
        size_t s = encoder->stride, size = b.tokens * s;
        float *out = floats(size), *d = floats(size), *d_x = floats(size), *gradient = floats(encoder->value_count);
        float *parts = floats(size), *d_parts = floats(size), *sum = floats(encoder->value_count);
        draw(&rng, encoder, d, b.tokens, 1);
        nn_tape *tape = tape_of(encoder, b.tokens, RAGGED);
        nn_encoder_forward(encoder, &b.pack, 0.4F, 5, 300, tape, b.x, out);
        nn_encoder_backward(encoder, tape, d, d_x, gradient);
        for (size_t i = 0; i < RAGGED; i += 4) {
            uint32_t starts[5];
            size_t count = RAGGED - i < 4 ? RAGGED - i : 4, first = b.starts[i] * s;
            for (size_t j = 0; j <= count; j++)
                starts[j] = b.starts[i + j] - b.starts[i];
            nn_pack pack = {.count = count, .starts = starts};
            nn_encoder_forward(encoder, &pack, 0.4F, 5, 300 + b.starts[i], tape, b.x + first, parts + first);
            nn_encoder_backward(encoder, tape, d + first, d_parts + first, sum);
        }
        compare("out", parts, out, size, 2e-6F);
        compare("d_x", d_parts, d_x, size, 1e-5F);
        compare("gradient", sum, gradient, encoder->value_count, 1e-5F);
        nn_encoder_forward(encoder, &b.pack, 0.4F, 6, 300, tape, b.x, parts); /* another key, other places */
        assert_memory_not_equal(parts, out, size * sizeof *out);
        nn_pack none = {0};
        nn_encoder_forward(encoder, &none, 0.4F, 5, 0, tape, NULL, NULL);
        nn_encoder_backward(encoder, tape, NULL, NULL, sum);
        forage_free(out);
        forage_free(d);
        forage_free(d_x);
        forage_free(gradient);
        forage_free(parts);
        forage_free(d_parts);
        forage_free(sum);
        forage_free(b.x);
        nn_tape_free(tape);
        nn_encoder_free(encoder);
    }
}

static void as_many_fall_as_should(void **state)
{
    (void)state;
    enum { ROWS = 64, STRIDE = 64 };
    static float y[ROWS * STRIDE], zero[STRIDE], out[ROWS * STRIDE], marked[ROWS * STRIDE];
    uint32_t keys[ROWS];
    forage_rng rng;
    forage_rng_seed(&rng, 3);
    const nn_kernels *kernels = nn_kernels_for(best_isa());
    for (double p = 0.1; p < 0.95; p += 0.2) {
        const nn_drop drop = {.keys = keys, .threshold = (uint32_t)(p * 4294967296.0), .scale = (float)(1 / (1 - p))};
        size_t fallen = 0;
        for (size_t i = 0; i < ROWS; i++)
            keys[i] = (uint32_t)forage_rng_integers(&rng, UINT32_MAX);
        for (size_t i = 0; i < (size_t)ROWS * STRIDE; i++)
            y[i] = marked[i] = 1;
        kernels->drop(ROWS, STRIDE, &drop, y);
        /* Scores that are all the same, turned: each of 64 keys has a chance of 1 in 64. */
        kernels->attention(STRIDE, 0, false, ROWS, 1, &drop, marked, out);
        for (size_t i = 0; i < (size_t)ROWS * STRIDE; i++) {
            float turned = out[i % STRIDE * ROWS + i / STRIDE], mark = marked[i % STRIDE * ROWS + i / STRIDE];
            fallen += y[i] == 0;
            assert_true(y[i] == 0 || y[i] == drop.scale);
            assert_true(turned == y[i] / STRIDE && mark == (y[i] == 0 ? -1.0F : 1.0F) / STRIDE);
        }
        assert_true(fabs((double)fallen / (ROWS * STRIDE) - p) < 5 * sqrt(p * (1 - p) / (ROWS * STRIDE)));
        memset(out, 0, sizeof out);
        for (size_t i = 0; i < (size_t)ROWS * STRIDE; i++)
            marked[i] = 1;
        kernels->residual(ROWS, STRIDE, zero, &drop, marked, out, out); /* the same places */
        assert_memory_equal(out, y, sizeof y);
    }
}

/* ---- scoring ---- */

static void any_way_of_scoring_gives_the_same_bytes(void **state)
{
    (void)state;
    for (int isa = FORAGE_ISA_PORTABLE; isa <= (int)best_isa(); isa++) {
        for (size_t which = 0; which < 16; which++) {
            forage_rng rng;
            forage_rng_seed(&rng, which);
            nn_encoder_spec spec = spec_of(which);
            spec.length = which % 2 ? 12 : 70;
            nn_encoder *encoder = encoder_of(&spec, (forage_isa)isa);
            draw_weights(encoder, &rng);
            size_t lengths[RAGGED];
            memcpy(lengths, ragged, sizeof lengths);
            lengths[5] = spec.length;
            batch b;
            make_batch(&b, encoder, lengths, RAGGED, &rng);
            size_t s = encoder->stride, row = s * sizeof(float);
            float *all = floats(b.tokens * s), *x = floats(b.tokens * s), *last = floats(RAGGED * s);
            void *scratch = scratch_of(encoder, b.tokens);
            memcpy(all, b.x, b.tokens * row);
            nn_encoder_run(encoder, &b.pack, scratch, all);
            memcpy(x, b.x, b.tokens * row);
            nn_encoder_last(encoder, &b.pack, scratch, x, last);
            nn_cache *cache = NULL;
            forage_error error = {0};
            if (spec.causal)
                must(nn_cache_create(encoder, &cache, &error), &error);
            for (size_t i = 0; i < RAGGED; i++) {
                size_t first = b.starts[i], count = lengths[i];
                uint32_t starts[2] = {0, (uint32_t)count};
                nn_pack one = {.count = 1, .starts = starts};
                float zero[64] = {0};
                assert_memory_equal(last + i * s, count ? all + (first + count - 1) * s : zero, row);
                memcpy(x, b.x + first * s, count * row);
                nn_encoder_run(encoder, &one, scratch, x);
                assert_memory_equal(x, all + first * s, count * row);
                for (size_t t = 0; spec.causal && t < count; t++) {
                    nn_cache_append(encoder, cache, b.x + (first + t) * s, x);
                    assert_memory_equal(x, all + (first + t) * s, row);
                    assert_int_equal(nn_cache_length(cache), t + 1);
                }
                if (spec.causal)
                    nn_cache_clear(cache);
            }
            nn_cache_free(cache);
            forage_free(scratch);
            forage_free(all);
            forage_free(x);
            forage_free(last);
            forage_free(b.x);
            nn_encoder_free(encoder);
        }
    }
}

static void a_causal_encoder_sees_no_future(void **state)
{
    (void)state;
    for (size_t which = 0; which < 16; which++) {
        forage_rng rng;
        forage_rng_seed(&rng, which);
        nn_encoder_spec spec = spec_of(which);
        nn_encoder *encoder = encoder_of(&spec, best_isa());
        draw_weights(encoder, &rng);
        static const size_t lengths[] = {12, 12};
        batch b;
        make_batch(&b, encoder, lengths, 2, &rng);
        size_t s = encoder->stride;
        float *before = floats(b.tokens * s);
        void *scratch = scratch_of(encoder, b.tokens);
        memcpy(before, b.x, b.tokens * s * sizeof *before);
        float *after = floats(b.tokens * s);
        memcpy(after, b.x, b.tokens * s * sizeof *after);
        draw(&rng, encoder, after + 7 * s, 1, 9);
        nn_encoder_run(encoder, &b.pack, scratch, before);
        nn_encoder_run(encoder, &b.pack, scratch, after);
        size_t same = spec.causal ? 7 : 0;
        assert_memory_equal(before, after, same * s * sizeof *before);
        assert_memory_equal(before + 12 * s, after + 12 * s, 12 * s * sizeof *before);
        for (size_t t = same; t < 12; t++)
            assert_memory_not_equal(before + t * s, after + t * s, s * sizeof *before);
        forage_free(scratch);
        forage_free(before);
        forage_free(after);
        forage_free(b.x);
        nn_encoder_free(encoder);
    }
}

/* ---- kernels ---- */

/* Runs everything that is not a product on numbers of `seed`; returns what came out. */
static float *kernel_results(const nn_kernels *kernels, size_t width, uint64_t seed, size_t *count)
{
    enum { ROWS = 19, ARRAYS = 29 };
    size_t stride = nn_padded(width), size = ROWS * stride;
    float *room = floats(ARRAYS * size), *a[ARRAYS];
    uint32_t keys[128];
    forage_rng rng;
    forage_rng_seed(&rng, seed);
    for (size_t i = 0; i < ARRAYS; i++) {
        a[i] = room + i * size;
        for (size_t r = 0; r < ROWS; r++) {
            for (size_t j = 0; j < width; j++)
                a[i][r * stride + j] = (float)(3 * forage_rng_normal(&rng));
        }
    }
    for (size_t i = 0; i < 128; i++)
        keys[i] = (uint32_t)forage_rng_integers(&rng, UINT32_MAX);
    const nn_drop drop = {.keys = keys, .threshold = 1000000000, .scale = 1.3F};
    kernels->norm(ROWS, width, stride, 1e-5F, a[0], a[1], a[2], a[3], a[4], a[5]);
    kernels->norm_back(ROWS, width, stride, a[0], a[3], a[4], a[6], a[7], a[8], NULL);
    kernels->norm_back(ROWS, width, stride, a[0], a[3], a[4], a[9], a[7], a[8], a[10]);
    kernels->bias(ROWS, stride, a[0], a[11]);
    kernels->bias_leaky(ROWS, stride, 0.01F, a[0], a[12]);
    kernels->bias_gelu(ROWS, stride, a[0], a[13], a[14]);
    kernels->residual(ROWS, stride, a[0], &drop, a[1], a[2], a[15]);
    kernels->residual_back(ROWS, stride, &drop, a[1], a[0], a[16]);
    kernels->mask_leaky(ROWS, stride, 1.2F, 0.01F, a[12], a[17], a[0]);
    kernels->slope_back(ROWS, stride, a[13], a[18], a[0]);
    kernels->add_rows(ROWS, stride, a[2], a[0]);
    kernels->attention(ROWS, 3, true, stride, 0.7F, NULL, a[19], NULL);
    kernels->attention(ROWS, 0, width > ROWS, stride, 0.7F, &drop, a[20], a[21]);
    kernels->attention_back(ROWS, width > ROWS, stride, 0.6F, 1.3F, a[20], a[22]);
    kernels->attention_one(ROWS * stride, 0.7F, a[24]);
    kernels->turn(ROWS, width, stride, a[2], 48, a[25]);
    kernels->drop(ROWS, stride, &drop, a[23]);
    *count = ARRAYS * size;
    return room;
}

static void every_instruction_set_gives_the_same_bytes(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 7, 16, 33, 64, 100};
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        size_t count;
        float *want = kernel_results(nn_kernels_for(FORAGE_ISA_PORTABLE), widths[w], w, &count);
        for (size_t i = 0; i < count; i++)
            assert_true(isfinite(want[i]));
        for (int isa = FORAGE_ISA_PORTABLE + 1; isa <= (int)best_isa(); isa++) {
            float *have = kernel_results(nn_kernels_for((forage_isa)isa), widths[w], w, &count);
            compare("kernels", have, want, count, 0);
            assert_memory_equal(have, want, count * sizeof *have);
            forage_free(have);
        }
        forage_free(want);
    }
}

static void gelu_is_that_of_the_normal_distribution(void **state)
{
    (void)state;
    enum { COUNT = 4096 };
    static float z[COUNT], zero[COUNT], slope[COUNT], y[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        z[i] = y[i] = ((float)i - COUNT / 2) * 0.01F;
    nn_kernels_for(best_isa())->bias_gelu(1, COUNT, zero, slope, y);
    for (size_t i = 0; i < COUNT; i++) {
        double of = (double)z[i], p = 0.5 * erfc(-of / sqrt(2)), density = exp(-of * of / 2) / sqrt(2 * acos(-1));
        assert_true(fabs((double)y[i] - of * p) <= 2e-7 * fmax(1, fabs(of)));
        assert_true(fabs((double)slope[i] - (p + of * density)) <= 5e-7);
    }
}

/* ---- bad input and memory ---- */

static void specs_are_checked(void **state)
{
    (void)state;
    const nn_encoder_spec good = {.width = 8, .heads = 2, .inner = 8, .blocks = 1, .length = 4, .epsilon = 1e-5};
    struct {
        nn_encoder_spec spec;
        const char *message;
    } cases[9];
    for (size_t i = 0; i < 9; i++)
        cases[i].spec = good;
    cases[0].spec.width = 0, cases[0].message = "an encoder of width 0; it takes 1 to 1024";
    cases[1].spec.width = 1025, cases[1].message = "an encoder of width 1025; it takes 1 to 1024";
    cases[2].spec.heads = 3, cases[2].message = "3 heads do not divide a width of 8";
    cases[3].spec.heads = 0, cases[3].message = "0 heads do not divide a width of 8";
    cases[4].spec.inner = 5000, cases[4].message = "5000 inner units; an encoder has 1 to 4096";
    cases[5].spec.blocks = 0, cases[5].message = "0 blocks; an encoder has 1 to 64";
    cases[6].spec.length = 5000, cases[6].message = "sequences of 5000 tokens; an encoder takes 1 to 4096";
    cases[7].spec.epsilon = 0, cases[7].message = "an epsilon of 0 in norms; it lies between 0 and 1";
    cases[8].spec.epsilon = NAN, cases[8].message = "an epsilon of nan in norms; it lies between 0 and 1";
    for (size_t i = 0; i < 9; i++) {
        forage_error error = {0};
        nn_encoder *encoder = NULL;
        assert_int_equal(nn_encoder_create(&cases[i].spec, best_isa(), &encoder, &error), FORAGE_INVALID);
        assert_null(encoder);
        assert_string_equal(error.message, cases[i].message);
    }
    forage_error error = {0};
    nn_encoder *encoder = encoder_of(&good, best_isa());
    nn_cache *cache = NULL;
    assert_int_equal(nn_cache_create(encoder, &cache, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "causal"));
    nn_tape *tape = NULL;
    assert_int_equal(nn_tape_create(encoder, SIZE_MAX / 2, 1, &tape, &error), FORAGE_NO_MEMORY);
    assert_null(tape);
    assert_true(nn_tape_memory(encoder, 1000) > 1000 * 8 * 16 * 4);
    nn_encoder_free(encoder);
}

static void checkpoints_come_back(void **state)
{
    (void)state;
    for (size_t which = 0; which < 8; which++) {
        forage_rng rng;
        forage_rng_seed(&rng, which);
        forage_error error = {0};
        nn_encoder_spec spec = spec_of(which);
        nn_encoder *encoder = encoder_of(&spec, best_isa());
        draw_weights(encoder, &rng);
        nn_checkpoint *file = NULL;
        float *packed = NULL, *back = floats(encoder->value_count);
        must(nn_checkpoint_create(&file, &error), &error);
        must(nn_encoder_save(encoder, encoder->values, "e.", file, &packed, &error), &error);
        must(nn_encoder_load(encoder, file, "e.", back, &error), &error);
        assert_memory_equal(back, encoder->values, encoder->value_count * sizeof *back);
        const nn_tensor *in = nn_checkpoint_find(file, "e.layers.0.self_attn.in_proj_weight");
        assert_true(in && in->shape[0] == 3 * spec.width && in->shape[1] == spec.width);
        size_t numbers = 0;
        for (size_t i = 0; i < nn_checkpoint_count(file); i++)
            numbers += nn_checkpoint_at(file, i)->size / sizeof(float);
        assert_int_equal(numbers, encoder->weight_count);
        assert_int_equal(nn_encoder_load(encoder, file, "f.", back, &error), FORAGE_FORMAT);
        assert_non_null(strstr(error.message, "f.layers.0.self_attn.in_proj_weight") ||
                        strstr(error.field, "f.layers.0.self_attn.in_proj_weight"));
        nn_checkpoint_free(file);
        forage_free(packed);
        forage_free(back);
        nn_encoder_free(encoder);
    }
}

static forage_status make_everything(nn_encoder **encoder, nn_tape **tape, nn_cache **cache, nn_checkpoint **file,
                                     float **packed, forage_error *error)
{
    nn_encoder_spec spec = spec_of(1);
    FORAGE_TRY(nn_encoder_create(&spec, best_isa(), encoder, error));
    FORAGE_TRY(nn_tape_create(*encoder, 40, 4, tape, error));
    FORAGE_TRY(nn_cache_create(*encoder, cache, error));
    FORAGE_TRY(nn_checkpoint_create(file, error));
    FORAGE_TRY(nn_encoder_save(*encoder, (*encoder)->values, "", *file, packed, error));
    return nn_encoder_load(*encoder, *file, "", (*encoder)->values, error);
}

static void allocations_may_fail(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        forage_error error = {0};
        nn_encoder *encoder = NULL;
        nn_tape *tape = NULL;
        nn_cache *cache = NULL;
        nn_checkpoint *file = NULL;
        float *packed = NULL;
        forage_alloc_fail_at(nth);
        forage_status status = make_everything(&encoder, &tape, &cache, &file, &packed, &error);
        uint64_t asked = forage_alloc_fail_at(0);
        nn_cache_free(cache);
        nn_tape_free(tape);
        nn_encoder_free(encoder);
        nn_checkpoint_free(file);
        forage_free(packed);
        if (status == FORAGE_OK) {
            assert_true(asked < nth && nth > 15);
            return;
        }
        assert_int_equal(status, FORAGE_NO_MEMORY);
        assert_true(error.message[0] != '\0');
    }
}

/* ---- for PyTorch to read ---- */

static int write_file(const char *path)
{
    static const size_t lengths[] = {5, 0, 1, 30, 17};
    const nn_encoder_spec spec = {.width = 40,
                                  .heads = 4,
                                  .inner = 56,
                                  .blocks = 2,
                                  .length = 30,
                                  .activation = NN_GELU,
                                  .causal = true,
                                  .pre_norm = true,
                                  .last_norm = true,
                                  .epsilon = 1e-5};
    const int64_t numbers[] = {40, 4, 56, 2, 30, 1, 1, 1, 1};
    forage_error error = {0};
    forage_rng rng;
    forage_rng_seed(&rng, 4);
    nn_encoder *encoder = encoder_of(&spec, best_isa());
    draw_weights(encoder, &rng);
    batch b;
    make_batch(&b, encoder, lengths, 5, &rng);
    int64_t starts[6];
    for (size_t i = 0; i < 6; i++)
        starts[i] = b.starts[i];
    float *rows[2] = {floats(b.tokens * 40), floats(b.tokens * 40)}, *packed = NULL;
    void *scratch = scratch_of(encoder, b.tokens);
    for (size_t side = 0; side < 2; side++) {
        for (size_t i = 0; i < b.tokens; i++)
            memcpy(rows[side] + i * 40, b.x + i * encoder->stride, 40 * sizeof(float));
        if (side == 0)
            nn_encoder_run(encoder, &b.pack, scratch, b.x);
    }
    nn_checkpoint *file = NULL;
    must(nn_checkpoint_create(&file, &error), &error);
    must(nn_checkpoint_add(file, "spec", NN_I64, 1, (size_t[]){9}, numbers, &error), &error);
    must(nn_checkpoint_add(file, "starts", NN_I64, 1, (size_t[]){6}, starts, &error), &error);
    must(nn_checkpoint_add(file, "x", NN_F32, 2, (size_t[]){b.tokens, 40}, rows[0], &error), &error);
    must(nn_checkpoint_add(file, "out", NN_F32, 2, (size_t[]){b.tokens, 40}, rows[1], &error), &error);
    must(nn_encoder_save(encoder, encoder->values, "encoder.", file, &packed, &error), &error);
    must(nn_checkpoint_save(file, path, &error), &error);
    nn_checkpoint_free(file);
    forage_free(packed);
    forage_free(rows[0]);
    forage_free(rows[1]);
    forage_free(scratch);
    forage_free(b.x);
    nn_encoder_free(encoder);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_and_backward_are_pytorchs),
        cmocka_unit_test(the_gradient_is_that_of_the_loss),
        cmocka_unit_test(groups_make_no_difference),
        cmocka_unit_test(as_many_fall_as_should),
        cmocka_unit_test(any_way_of_scoring_gives_the_same_bytes),
        cmocka_unit_test(a_causal_encoder_sees_no_future),
        cmocka_unit_test(every_instruction_set_gives_the_same_bytes),
        cmocka_unit_test(gelu_is_that_of_the_normal_distribution),
        cmocka_unit_test(specs_are_checked),
        cmocka_unit_test(checkpoints_come_back),
        cmocka_unit_test(allocations_may_fail),
    };
    if (argc == 2)
        return write_file(argv[1]);
    return cmocka_run_group_tests_name("encoder", tests, NULL, NULL);
}
