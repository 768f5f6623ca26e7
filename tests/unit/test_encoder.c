/*
 * test_encoder.c: transformer blocks, forward and backward, against PyTorch and against differences; dropout.
 *
 *     test_encoder FILE      writes an encoder, and what it makes of some sequences, for tests/golden/encoder.py
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "encoder_case.h"

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

typedef struct slope_case {
    nn_encoder *encoder;
    batch b;
    nn_tape *tape;
    float *weight, *out; /* the loss is sum of weight * out */
    float dropout;
    bool edges; /* the activation has some: then a step may cross one */
    size_t slopes, off;
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
    const double step = c->edges ? 1e-3 : 2e-3;
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
    bool off = !(fabs(have - want) <= (c->edges ? 1e-2 : 4e-3) * (1 + fabs(want)));
    c->slopes++;
    c->off += off;
    if (off && !c->edges)
        fail_msg("%s %zu to %zu: the gradient gives %.6g, differences %.6g", what, begin, end, want, have);
    forage_free(direction);
}

static void the_gradient_is_that_of_the_loss(void **state)
{
    (void)state;
    static const nn_activation activations[] = {NN_GELU, NN_RELU, NN_LEAKY_RELU};
    size_t slopes[3] = {0}, off[3] = {0};
    for (size_t i = 0; i < 48; i++) {
        size_t which = i % 16;
        forage_rng rng;
        forage_rng_seed(&rng, which);
        nn_encoder_spec spec = spec_of(which);
        spec.activation = activations[i / 16];
        slope_case c = {.encoder = encoder_of(&spec, best_isa()),
                        .dropout = which % 3 ? 0.3F : 0,
                        .edges = spec.activation != NN_GELU};
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
        for (size_t v = 0; v < values; v++)
            assert_true(isfinite(gradient[v]));
        slopes[i / 16] += c.slopes;
        off[i / 16] += c.off;
        forage_free(d_x);
        forage_free(gradient);
        forage_free(c.weight);
        forage_free(c.out);
        forage_free(c.b.x);
        nn_tape_free(c.tape);
        nn_encoder_free(c.encoder);
    }
    for (size_t a = 0; a < 3; a++) {
        if (off[a] > slopes[a] / 20)
            fail_msg("activation %zu: %zu of %zu slopes are not those of the gradient", a, off[a], slopes[a]);
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
    };
    if (argc == 2)
        return write_file(argv[1]);
    return cmocka_run_group_tests_name("encoder", tests, NULL, NULL);
}
