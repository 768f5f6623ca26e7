/*
 * test_heads.c: what neural-linear and neural-ucb stand on: heads of a network, the gradient of one row, Bayesian
 * regression; against PyTorch and NumPy, and finite differences.
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

#include "../must.h"
#include "model/ridge.h"
#include "nn/nn.h"

static float *floats(size_t count)
{
    float *values = forage_calloc(count, sizeof *values);
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

static nn_checkpoint *golden(void)
{
    char path[512];
    const char *source = getenv("FORAGE_SOURCE");
    nn_checkpoint *file = NULL;
    forage_error error = {0};
    (void)snprintf(path, sizeof path, "%s/tests/golden/neural.safetensors", source ? source : "..");
    must(nn_checkpoint_load(path, &file, &error), &error);
    return file;
}

/* ---- a network with heads, against PyTorch ---- */

enum { ROWS = 70, USERS = 11, ARMS = 6, NUMBERS = 4 };

typedef struct fixture {
    nn_checkpoint *file;
    nn_mlp *mlp;
    uint32_t users[ROWS], arms[ROWS];
    float matrix[ROWS * NUMBERS], reward[ROWS], weight[ROWS];
    const uint32_t *codes[1];
    nn_inputs inputs;
} fixture;

static void read_codes(const nn_checkpoint *file, const char *name, uint32_t *codes)
{
    int64_t numbers[ROWS];
    forage_error error = {0};
    must(nn_checkpoint_read(file, name, NN_I64, 1, (size_t[]){ROWS}, numbers, &error), &error);
    for (size_t i = 0; i < ROWS; i++)
        codes[i] = (uint32_t)numbers[i];
}

static void open_fixture(fixture *f, forage_isa isa)
{
    static const nn_table_spec table = {"user_embedding.weight", USERS, 3};
    static const size_t layers[] = {7, 5}, shape[] = {ROWS, NUMBERS};
    nn_mlp_spec spec = {.table_count = 1,
                        .tables = &table,
                        .number_count = NUMBERS,
                        .layer_count = 2,
                        .layers = layers,
                        .head_count = ARMS};
    forage_error error = {0};
    f->file = golden();
    must(nn_mlp_create(&spec, isa, &f->mlp, &error), &error);
    must(nn_mlp_load(f->mlp, f->file, "init.", f->mlp->values, &error), &error);
    nn_mlp_refresh(f->mlp);
    read_codes(f->file, "batch.users", f->users);
    read_codes(f->file, "batch.arms", f->arms);
    must(nn_checkpoint_read(f->file, "batch.numbers", NN_F32, 2, shape, f->matrix, &error), &error);
    must(nn_checkpoint_read(f->file, "batch.reward", NN_F32, 1, shape, f->reward, &error), &error);
    must(nn_checkpoint_read(f->file, "batch.weight", NN_F32, 1, shape, f->weight, &error), &error);
    f->codes[0] = f->users;
    f->inputs =
        (nn_inputs){.codes = f->codes, .matrix = f->matrix, .heads = f->arms, .weights = f->weight, .count = ROWS};
}

static void close_fixture(fixture *f)
{
    nn_mlp_free(f->mlp);
    nn_checkpoint_free(f->file);
}

static float *torchs(fixture *f, const char *prefix)
{
    forage_error error = {0};
    float *values = floats(f->mlp->value_count);
    must(nn_mlp_load(f->mlp, f->file, prefix, values, &error), &error);
    return values;
}

static void heads_weights_and_squared_loss_are_pytorchs(void **state)
{
    (void)state;
    forage_device device;
    assert_int_equal(forage_device_open("auto", 2, &device, NULL), FORAGE_OK);
    for (int isa = FORAGE_ISA_PORTABLE; isa <= (int)device.isa; isa++) {
        static fixture f;
        forage_error error = {0};
        float z[ROWS], want[ROWS];
        nn_trainer *trainer;
        const nn_settings settings = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .squared = true};
        open_fixture(&f, (forage_isa)isa);
        void *scratch = forage_alloc(nn_mlp_scratch_size(f.mlp), 1);
        nn_mlp_logits(f.mlp, &f.inputs, scratch, z);
        must(nn_checkpoint_read(f.file, "z", NN_F32, 1, (size_t[]){ROWS}, want, &error), &error);
        close_to("z", z, want, ROWS, 2e-6, 5e-7);
        float *gradient = floats(f.mlp->value_count), *torch = torchs(&f, "grad.");
        must(nn_trainer_create(f.mlp, &settings, ROWS, 2, &trainer, &error), &error);
        double loss = nn_trainer_gradient(trainer, &f.inputs, f.reward, 0, gradient), sum = 0.0;
        close_to("gradient", gradient, torch, f.mlp->value_count, 1e-5, 1e-7);
        for (size_t i = 0; i < ROWS; i++)
            sum += (double)f.weight[i] * pow((double)(z[i] - f.reward[i]), 2) / 2;
        assert_true(fabs(loss - sum) < 1e-5 * sum);
        nn_trainer_free(trainer);
        forage_free(gradient);
        forage_free(torch);
        forage_free(scratch);
        close_fixture(&f);
    }
}

static void decay_pulls_towards_its_origin(void **state)
{
    (void)state;
    static fixture f;
    forage_error error = {0};
    nn_trainer *trainer;
    const nn_settings settings = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .squared = true, .lazy = true};
    open_fixture(&f, FORAGE_ISA_PORTABLE);
    must(nn_trainer_create(f.mlp, &settings, ROWS, 1, &trainer, &error), &error);
    float *origin = floats(f.mlp->value_count);
    memcpy(origin, f.mlp->values, f.mlp->value_count * sizeof *origin);
    nn_trainer_restart(trainer, 1e6, 1e6, origin); /* nothing but the origin counts */
    for (size_t i = f.mlp->dense_offset; i < f.mlp->head_bias; i++)
        f.mlp->values[i] += origin[i] != 0.0F ? 0.3F : 0.0F;
    nn_mlp_refresh(f.mlp);
    for (int step = 0; step < 2000; step++)
        (void)nn_trainer_step(trainer, &f.inputs, f.reward, 0.01 * (1 - step / 2000.0), 0);
    close_to("origin", f.mlp->values + f.mlp->dense_offset, origin + f.mlp->dense_offset,
             f.mlp->head_bias - f.mlp->dense_offset, 0.0, 1e-3);
    forage_free(origin);
    nn_trainer_free(trainer);
    close_fixture(&f);
}

/* ---- the gradient of one row ---- */

static void a_rows_gradient_is_pytorchs(void **state)
{
    (void)state;
    forage_device device;
    assert_int_equal(forage_device_open("auto", 1, &device, NULL), FORAGE_OK);
    for (int isa = FORAGE_ISA_PORTABLE; isa <= (int)device.isa; isa++) {
        static fixture f;
        forage_error error = {0};
        nn_row row;
        float z[ROWS];
        open_fixture(&f, (forage_isa)isa);
        size_t count = f.mlp->value_count;
        must(nn_checkpoint_read(f.file, "z", NN_F32, 1, (size_t[]){ROWS}, z, &error), &error);
        must(nn_row_create(f.mlp, &row, &error), &error);
        float *gradient = floats(count), *factor = floats(count), *sums = floats(count), *other = floats(count);
        forage_rng rng;
        forage_rng_seed(&rng, 3);
        for (size_t i = 0; i < count; i++)
            factor[i] = (float)forage_rng_double(&rng);
        for (size_t r = 0; r < 3; r++) {
            char prefix[16];
            (void)snprintf(prefix, sizeof prefix, "row.%zu.", r);
            float *torch = torchs(&f, prefix);
            double sum = 0.0;
            nn_row_forward(f.mlp, &f.inputs, r, &row);
            float output = nn_row_output(f.mlp, &row, f.arms[r]);
            close_to("z", &output, &z[r], 1, 2e-6, 5e-7);
            nn_row_cover(f.mlp, &row, factor);
            nn_row_backward(f.mlp, &row, f.arms[r]);
            nn_row_gradient(f.mlp, &row, f.arms[r], gradient);
            close_to(prefix, gradient, torch, count, 1e-5, 1e-7);
            for (size_t i = 0; i < count; i++)
                sum += (double)factor[i] * (double)torch[i] * (double)torch[i];
            float square = nn_row_square(f.mlp, &row, f.arms[r], factor), want = (float)sum;
            close_to("square", &square, &want, 1, 1e-5, 0.0);
            for (size_t i = 0; i < count; i++) {
                sums[i] = 2.0F;
                other[i] = 0.0F;
            }
            nn_row_add_square(f.mlp, &row, f.arms[r], 0.5F, sums, other);
            for (size_t i = 0; i < count; i++) {
                double g = (double)torch[i];
                assert_true(fabs((double)sums[i] - (2 + 0.5 * g * g)) < 1e-5 * (2 + g * g));
                assert_true(other[i] == 0.0F || fabsf(other[i] * sums[i] - 1.0F) < 1e-5F);
            }
            forage_free(torch);
        }
        forage_free(gradient);
        forage_free(factor);
        forage_free(sums);
        forage_free(other);
        nn_row_release(&row);
        close_fixture(&f);
    }
}

static void a_rows_gradient_is_that_of_its_output(void **state)
{
    (void)state;
    static fixture f;
    forage_error error = {0};
    nn_row row;
    open_fixture(&f, FORAGE_ISA_PORTABLE);
    must(nn_row_create(f.mlp, &row, &error), &error);
    size_t count = f.mlp->value_count, checked = 0;
    float *gradient = floats(count), *before = floats(count);
    f.users[9] = FORAGE_NONE; /* the average row */
    memcpy(before, f.mlp->values, count * sizeof *before);
    for (size_t r = 9; r < 15; r++) {
        nn_row_forward(f.mlp, &f.inputs, r, &row);
        nn_row_backward(f.mlp, &row, 4);
        nn_row_gradient(f.mlp, &row, 4, gradient);
        for (size_t i = 0; i < count; i++) {
            float z[2];
            for (int side = 0; side < 2; side++) {
                f.mlp->values[i] = before[i] + (side ? 0.01F : -0.01F);
                for (size_t l = 0; l < f.mlp->layer_count; l++)
                    nn_mlp_transpose(f.mlp, l, 0, f.mlp->layers[l].out_stride);
                nn_row_forward(f.mlp, &f.inputs, r, &row);
                z[side] = nn_row_output(f.mlp, &row, 4);
            }
            f.mlp->values[i] = before[i];
            double slope = (double)(z[1] - z[0]) / 0.02;
            checked += fabs(slope) > 1e-3;
            /* What lies between the widths meets zeros or units that do not exist. */
            if (fabs((double)gradient[i] - slope) > 2e-3 + 0.02 * fabs(slope))
                fail_msg("row %zu, weight %zu: gradient %.9g, finite difference %.9g", r, i, (double)gradient[i],
                         slope);
        }
    }
    assert_true(checked > 60);
    forage_free(gradient);
    forage_free(before);
    nn_row_release(&row);
    close_fixture(&f);
}

/* ---- Bayesian regression ---- */

enum { EVENTS = 60, WIDTH = 9, PACKED = WIDTH * (WIDTH + 1) / 2, STATE = PACKED + 2 * WIDTH + 2 };

static void regression_is_numpys(void **state)
{
    (void)state;
    nn_checkpoint *file = golden();
    forage_error error = {0};
    static const size_t events[] = {EVENTS, WIDTH}, both_widths[] = {WIDTH, WIDTH};
    float x[EVENTS * WIDTH], reward[EVENTS], weight[EVENTS], inverse[WIDTH * WIDTH], mean[WIDTH], noise[2];
    must(nn_checkpoint_read(file, "ridge.x", NN_F32, 2, events, x, &error), &error);
    must(nn_checkpoint_read(file, "ridge.reward", NN_F32, 1, events, reward, &error), &error);
    must(nn_checkpoint_read(file, "ridge.weight", NN_F32, 1, events, weight, &error), &error);
    must(nn_checkpoint_read(file, "ridge.inverse", NN_F32, 2, both_widths, inverse, &error), &error);
    must(nn_checkpoint_read(file, "ridge.mean", NN_F32, 1, both_widths, mean, &error), &error);
    must(nn_checkpoint_read(file, "ridge.noise", NN_F32, 1, (size_t[]){2}, noise, &error), &error);
    double online[STATE], batch[STATE], scratch[PACKED], m[WIDTH];
    const model_ridge ridge = {la_kernels_for(FORAGE_ISA_PORTABLE), WIDTH, 0.7};
    assert_int_equal(model_ridge_size(WIDTH), STATE);
    model_ridge_clear(&ridge, online);
    model_ridge_begin(&ridge, batch);
    for (size_t i = 0; i < EVENTS; i++) {
        model_ridge_learn(&ridge, online, x + i * WIDTH, (double)reward[i], (double)weight[i], scratch);
        model_ridge_add(&ridge, batch, x + i * WIDTH, (double)reward[i], (double)weight[i], scratch);
    }
    model_ridge_try(&ridge, batch, 4, 1.0, m, scratch);
    for (size_t i = 0; i < WIDTH; i++)
        assert_true(fabs(m[i] - (double)mean[i]) < 1e-6);
    model_ridge_settle(&ridge, batch, scratch);
    const double *both[] = {online, batch};
    for (size_t b = 0; b < 2; b++) {
        double a, spread;
        for (size_t i = 0, at = 0; i < WIDTH; i++) {
            for (size_t j = i; j < WIDTH; j++, at++)
                assert_true(fabs(both[b][at] - (double)inverse[i * WIDTH + j]) < 1e-7);
        }
        for (size_t i = 0; i < WIDTH; i++)
            assert_true(fabs(both[b][PACKED + WIDTH + i] - (double)mean[i]) < 1e-6);
        model_ridge_noise(&ridge, both[b], 3, 2, &a, &spread);
        assert_true(fabs(a - (double)noise[0]) < 1e-4 && fabs(spread - (double)noise[1]) < 1e-4);
        double square = 0.0;
        for (size_t i = 0; i < WIDTH * WIDTH; i++)
            square += (double)inverse[i] * (double)x[i / WIDTH] * (double)x[i % WIDTH];
        assert_true(fabs(model_ridge_square(&ridge, both[b], x, scratch) - square) < 1e-6);
    }
    nn_checkpoint_free(file);
}

/* Scaling features afterwards is as if they had been scaled before; the root gives draws with covariance P. */
static void regression_scales_and_draws(void **state)
{
    (void)state;
    enum { DRAWS = 40000 };
    double plain[STATE], scaled[STATE], scratch[PACKED], m[WIDTH], inverse[WIDTH * WIDTH] = {0};
    const model_ridge ridge = {la_kernels_for(FORAGE_ISA_PORTABLE), WIDTH, 0.3};
    double root[PACKED], beta[WIDTH], sum[WIDTH] = {0}, product[WIDTH * WIDTH] = {0};
    forage_rng rng;
    forage_rng_seed(&rng, 8);
    model_ridge_begin(&ridge, plain);
    model_ridge_begin(&ridge, scaled);
    for (size_t e = 0; e < 30; e++) {
        float x[WIDTH];
        for (size_t i = 0; i < WIDTH; i++)
            x[i] = (float)forage_rng_normal(&rng);
        double reward = forage_rng_normal(&rng);
        model_ridge_add(&ridge, plain, x, reward, 1.5, scratch);
        for (size_t i = 5; i < WIDTH; i++)
            x[i] *= 0.25F;
        model_ridge_add(&ridge, scaled, x, reward, 1.5, scratch);
    }
    model_ridge_try(&ridge, plain, 5, 0.25, m, scratch);
    model_ridge_rescale(&ridge, plain, 5, 0.25);
    for (size_t i = 0; i < model_ridge_size(WIDTH); i++)
        assert_true(fabs(plain[i] - scaled[i]) < 1e-12);
    model_ridge_settle(&ridge, plain, scratch);
    const double *mean = plain + PACKED + WIDTH;
    for (size_t i = 0, at = 0; i < WIDTH; i++) {
        for (size_t j = i; j < WIDTH; j++, at++)
            inverse[i * WIDTH + j] = inverse[j * WIDTH + i] = plain[at];
    }
    for (size_t i = 0; i < WIDTH; i++)
        assert_true(fabs(m[i] - mean[i] * (i < 5 ? 1.0 : 0.25)) < 1e-10);
    model_ridge_root(&ridge, plain, root);
    for (size_t d = 0; d < DRAWS; d++) {
        model_ridge_draw(&ridge, plain, root, 2.0, &rng, beta);
        for (size_t i = 0; i < WIDTH; i++) {
            sum[i] += beta[i] - mean[i];
            for (size_t j = 0; j < WIDTH; j++)
                product[i * WIDTH + j] += (beta[i] - mean[i]) * (beta[j] - mean[j]);
        }
    }
    for (size_t i = 0; i < WIDTH; i++) {
        for (size_t j = 0; j < WIDTH; j++) {
            double size = 4.0 * sqrt(inverse[i * WIDTH + i] * inverse[j * WIDTH + j]);
            assert_true(fabs(product[i * WIDTH + j] / DRAWS - 4.0 * inverse[i * WIDTH + j]) < 0.04 * size);
        }
        assert_true(fabs(sum[i] / DRAWS) < 5 * 2.0 * sqrt(inverse[i * WIDTH + i] / DRAWS));
    }
    /* The mean of InvGamma(a, b) is b / (a - 1). */
    double total = 0.0;
    for (size_t d = 0; d < DRAWS; d++)
        total += model_ridge_draw_variance(6.0, 10.0, &rng);
    assert_true(fabs(total / DRAWS - model_ridge_variance(6.0, 10.0)) < 0.03);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_weights_and_squared_loss_are_pytorchs),
        cmocka_unit_test(decay_pulls_towards_its_origin),
        cmocka_unit_test(a_rows_gradient_is_pytorchs),
        cmocka_unit_test(a_rows_gradient_is_that_of_its_output),
        cmocka_unit_test(regression_is_numpys),
        cmocka_unit_test(regression_scales_and_draws),
    };
    return cmocka_run_group_tests_name("heads", tests, NULL, NULL);
}
