/*
 * test_neural.c: neural-linear and neural-ucb, and what they stand on: heads of a network, the gradient of one row,
 * Bayesian regression; against PyTorch and NumPy, finite differences and each other.
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
#include <unistd.h>

#include "forage/forage.h"
#include "model/ridge.h"
#include "nn/nn.h"

static void must(forage_status status, const forage_error *error)
{
    if (status != FORAGE_OK)
        fail_msg("%s: %s", forage_status_name(status), error->message);
}

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
    double plain[STATE], scaled[STATE], scratch[PACKED], m[WIDTH], inverse[WIDTH * WIDTH];
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

/* ---- learners at work ---- */

static forage_learner *learner_of(const char *model, const char *const *settings, const forage_learner_shape *shape,
                                  int threads)
{
    const forage_model_info *info;
    forage_params *params;
    forage_device device;
    forage_learner *learner;
    forage_error error = {0};
    must(forage_model_find(model, &info, &error), &error);
    must(forage_params_create(&info->table, &params, &error), &error);
    for (size_t i = 0; settings && settings[i]; i += 2)
        must(forage_params_set(params, settings[i], settings[i + 1], &error), &error);
    must(forage_device_open("auto", threads, &device, &error), &error);
    must(forage_learner_create(info, params, shape, &device, 3, &learner, &error), &error);
    forage_params_free(params);
    return learner;
}

/* Rewards of a few arms and users that no linear model explains: arm 0 pays where x and y have one sign, arm 1
 * where they have not, arm 2 half of the time. */
enum { WORLD_ARMS = 3, WORLD_USERS = 4 };

typedef struct world {
    forage_rng rng;
    float request[3], features[2 * WORLD_ARMS];
    double mean[WORLD_ARMS];
    uint32_t user;
} world;

static const uint32_t world_arms[WORLD_ARMS] = {0, 1, 2};

static void world_next(world *w)
{
    w->request[0] = 1.0F;
    for (size_t i = 1; i < 3; i++)
        w->request[i] = (float)forage_rng_normal(&w->rng);
    for (size_t i = 0; i < 2 * WORLD_ARMS; i++)
        w->features[i] = (float)forage_rng_normal(&w->rng);
    w->user = (uint32_t)forage_rng_integers(&w->rng, WORLD_USERS + 1);
    if (w->user == WORLD_USERS)
        w->user = FORAGE_NONE;
    for (size_t a = 0; a < WORLD_ARMS; a++)
        w->mean[a] = a == 2 ? 0.5 : (w->request[1] * w->request[2] > 0.0F) == (a == 0) ? 0.9 : 0.1;
}

static forage_candidates world_candidates(const world *w, bool features)
{
    return (forage_candidates){.count = WORLD_ARMS,
                               .user = w->user,
                               .request = w->request,
                               .features = features ? w->features : NULL,
                               .arms = world_arms};
}

/* Teaches arm `a` of the request. */
static void world_teach(world *w, forage_learner *learner, uint32_t a)
{
    forage_error error = {0};
    size_t width = forage_learner_shape_of(learner)->candidate_width;
    forage_lesson lesson = {.user = w->user,
                            .arm = a,
                            .request = w->request,
                            .features = width ? w->features + a * width : NULL,
                            .reward = forage_rng_double(&w->rng) < w->mean[a] ? 1.0F : 0.0F,
                            .weight = 1.0F,
                            .propensity = NAN};
    must(forage_learner_learn(learner, &lesson, 1, &error), &error);
}

/* Teaches `count` lessons and sums what was believed before each. */
static double world_run(world *w, forage_learner *learner, size_t count)
{
    double sum = 0.0;
    bool features = forage_learner_shape_of(learner)->candidate_width > 0;
    for (size_t i = 0; i < count; i++) {
        float mean[WORLD_ARMS], deviation[WORLD_ARMS];
        world_next(w);
        forage_candidates candidates = world_candidates(w, features);
        forage_learner_estimate(learner, &candidates, mean, deviation);
        for (size_t a = 0; a < WORLD_ARMS; a++)
            sum += (double)mean[a] + 3.0 * (double)deviation[a];
        world_teach(w, learner, (uint32_t)(i % WORLD_ARMS));
    }
    return sum;
}

static const forage_learner_shape arms_shape = {3, 0, WORLD_ARMS, WORLD_USERS, WORLD_ARMS},
                                  shared_shape = {3, 2, WORLD_ARMS, WORLD_USERS, WORLD_ARMS};

static const char *const models[] = {"neural-linear", "neural-ucb"};

static double regret_of(const char *model, const forage_learner_shape *shape, double width)
{
    forage_learner *learner = learner_of(model, NULL, shape, 1);
    world w = {0};
    double regret = 0.0, uniform = 0.0;
    forage_rng_seed(&w.rng, 21);
    for (size_t i = 0; i < 4000; i++) {
        float mean[WORLD_ARMS], deviation[WORLD_ARMS];
        uint32_t best = 0;
        world_next(&w);
        forage_candidates candidates = world_candidates(&w, shape->candidate_width > 0);
        forage_learner_estimate(learner, &candidates, mean, deviation);
        for (uint32_t a = 0; a < WORLD_ARMS; a++) {
            mean[a] += (float)width * deviation[a];
            best = mean[a] > mean[best] ? a : best;
            uniform += (0.9 - w.mean[a]) / WORLD_ARMS;
        }
        regret += 0.9 - w.mean[best];
        world_teach(&w, learner, best);
    }
    forage_learner_free(learner);
    return 100.0 * regret / uniform;
}

static void what_no_linear_model_learns(void **state)
{
    (void)state;
    double linear = regret_of("linear-ridge", &arms_shape, 0.5);
    assert_true(linear > 50.0);
    for (size_t m = 0; m < 2; m++) {
        double arms = regret_of(models[m], &arms_shape, 0.5), shared = regret_of(models[m], &shared_shape, 0.5);
        printf("# regret, uniform is 100: linear %.1f, %s %.1f, with features of candidates %.1f\n", linear, models[m],
               arms, shared);
        assert_true(arms < 25.0);
        assert_true(shared < 45.0);
    }
}

/* Users whose taste nothing but their own clicks tells: each likes one arm. */
static void what_users_like(void **state)
{
    (void)state;
    enum { PEOPLE = 30, CHOICES = 3, LESSONS = 6000 };
    static const forage_learner_shape shape = {1, 0, CHOICES, PEOPLE, CHOICES};
    static const char *const settings[] = {"user-size", "8", NULL};
    for (size_t m = 0; m < 2; m++) {
        forage_learner *learner = learner_of(models[m], settings, &shape, 1);
        forage_error error = {0};
        forage_rng rng;
        const float bias = 1.0F;
        size_t right = 0;
        forage_rng_seed(&rng, 31);
        for (size_t i = 0; i < LESSONS; i++) {
            uint32_t user = (uint32_t)forage_rng_integers(&rng, PEOPLE), arm = (uint32_t)(i % CHOICES);
            forage_lesson lesson = {.user = user, .arm = arm, .request = &bias, .weight = 1.0F, .propensity = NAN};
            lesson.reward = forage_rng_double(&rng) < (user % CHOICES == arm ? 0.8 : 0.2) ? 1.0F : 0.0F;
            must(forage_learner_learn(learner, &lesson, 1, &error), &error);
        }
        for (uint32_t user = 0; user <= PEOPLE; user++) {
            float mean[CHOICES];
            forage_candidates candidates = {
                .count = CHOICES, .user = user < PEOPLE ? user : FORAGE_NONE, .request = &bias, .arms = world_arms};
            forage_learner_estimate(learner, &candidates, mean, NULL);
            for (size_t a = 0; user == PEOPLE && a < CHOICES; a++) /* nobody in particular */
                assert_true(fabsf(mean[a] - 0.4F) < 0.2F);
            size_t like = user % CHOICES;
            right +=
                user < PEOPLE && mean[like] > mean[(like + 1) % CHOICES] && mean[like] > mean[(like + 2) % CHOICES];
        }
        printf("# %s: %zu of %d users understood\n", models[m], right, PEOPLE);
        assert_true(right >= 25);
        forage_learner_free(learner);
    }
}

static char *slurp(const char *path, size_t *size)
{
    char *bytes = NULL;
    forage_error error = {0};
    must(forage_read_file(path, 1 << 28, &bytes, size, &error), &error);
    return bytes;
}

static const char *scratch_path(const char *name)
{
    static char paths[2][64];
    static size_t turn;
    turn = 1 - turn;
    (void)snprintf(paths[turn], sizeof paths[turn], "/tmp/forage-%ld-%s", (long)getpid(), name);
    return paths[turn];
}

/* What is known, as the bytes of a file. */
static char *known(const forage_learner *learner, size_t *size)
{
    const char *path = scratch_path("known");
    forage_error error = {0};
    must(forage_learner_save(learner, path, &error), &error);
    char *bytes = slurp(path, size);
    unlink(path);
    return bytes;
}

static const char *const few[] = {"refit-every", "64",  "refit-lag", "40", "steps", "60",
                                  "buffer",      "150", "user-size", "4",  NULL};
static const char *const logistic[] = {"refit-every", "64",     "refit-lag", "40",   "steps",
                                       "60",          "buffer", "150",       "loss", "logistic",
                                       "covariance",  "exact",  "layers",    "9,5",  NULL};

static void any_speed_gives_the_same_bytes(void **state)
{
    (void)state;
    for (size_t m = 0; m < 4; m++) {
        const forage_learner_shape *shape = m < 2 ? &arms_shape : &shared_shape;
        double sums[3];
        char *bytes[3];
        size_t size[3];
        for (size_t i = 0; i < 3; i++) {
            const char *settings[32] = {0};
            size_t n = 0;
            const char *const *from = m == 3 ? logistic : few;
            for (; from[n]; n++)
                settings[n] = from[n];
            forage_learner *learner = learner_of(models[m % 2], settings, shape, i == 1 ? 5 : 1);
            world w = {0};
            forage_rng_seed(&w.rng, 4);
            sums[i] = world_run(&w, learner, 700);
            if (i == 2) { /* slowly, so that whatever is trained is trained long before it is used */
                for (size_t step = 0; step < 5; step++) {
                    sums[i] += world_run(&w, learner, 30);
                    usleep(3000);
                }
            } else {
                sums[i] += world_run(&w, learner, 30);
                for (size_t step = 1; step < 5; step++)
                    sums[i] += world_run(&w, learner, 30);
            }
            bytes[i] = known(learner, &size[i]);
            forage_learner_free(learner);
        }
        for (size_t i = 1; i < 3; i++) {
            assert_true(sums[i] == sums[0]);
            assert_int_equal(size[i], size[0]);
            assert_memory_equal(bytes[i], bytes[0], size[0]);
        }
        for (size_t i = 0; i < 3; i++)
            forage_free(bytes[i]);
    }
}

static void in_a_thread_or_not_is_the_same(void **state)
{
    (void)state;
    static const char *const here[] = {"refit-every", "64",         "refit-lag", "40",        "steps", "60", "buffer",
                                       "150",         "background", "false",     "user-size", "4",     NULL};
    for (size_t m = 0; m < 2; m++) {
        double sums[2];
        for (size_t i = 0; i < 2; i++) {
            forage_learner *learner = learner_of(models[m], i ? here : few, &arms_shape, 1);
            world w = {0};
            forage_rng_seed(&w.rng, 5);
            sums[i] = world_run(&w, learner, 1000);
            forage_learner_free(learner);
        }
        assert_true(sums[0] == sums[1]);
    }
}

/* Between the start of a refit and the lesson at which its result is used, all is as if there were none. */
static void nobody_waits_for_a_refit(void **state)
{
    (void)state;
    static const char *const never[] = {"refit-every", "1000000",   "steps", "60", "buffer",
                                        "150",         "user-size", "4",     NULL};
    for (size_t m = 0; m < 2; m++) {
        forage_learner *learner = learner_of(models[m], few, &arms_shape, 1),
                       *other = learner_of(models[m], never, &arms_shape, 1);
        world w = {0}, same = {0};
        forage_rng_seed(&w.rng, 6);
        forage_rng_seed(&same.rng, 6);
        for (size_t i = 0; i < 64 + 40;
             i++) /* the last of these is the first that sees the result, once it is learned */
            assert_true(world_run(&w, learner, 1) == world_run(&same, other, 1));
        assert_true(world_run(&w, learner, 1) != world_run(&same, other, 1));
        forage_learner_free(learner);
        forage_learner_free(other);
    }
}

static void saved_in_the_middle_of_a_refit(void **state)
{
    (void)state;
    for (size_t m = 0; m < 4; m++) {
        const forage_learner_shape *shape = m < 2 ? &arms_shape : &shared_shape;
        forage_learner *learner = learner_of(models[m % 2], m == 3 ? logistic : few, shape, 1), *loaded;
        world w = {0}, same;
        forage_error error = {0};
        const char *path = scratch_path("half");
        forage_rng_seed(&w.rng, 7);
        (void)world_run(&w, learner, 64 * 5 + 20);
        must(forage_learner_save(learner, path, &error), &error);
        must(forage_learner_load(path, NULL, &loaded, &error), &error);
        same = w;
        assert_true(world_run(&w, learner, 500) == world_run(&same, loaded, 500));
        size_t size, again;
        char *bytes = known(learner, &size), *others = known(loaded, &again);
        assert_int_equal(size, again);
        assert_memory_equal(bytes, others, size);
        forage_free(bytes);
        forage_free(others);
        unlink(path);
        forage_learner_free(learner);
        forage_learner_free(loaded);
    }
}

/* Growth does not disturb what is known or under way, and a file of a learner that has grown is read. */
static void grown_in_the_middle_of_a_refit(void **state)
{
    (void)state;
    for (size_t m = 0; m < 4; m++) {
        const forage_learner_shape *shape = m < 2 ? &arms_shape : &shared_shape;
        forage_learner *learner = learner_of(models[m % 2], m == 3 ? logistic : few, shape, 1),
                       *other = learner_of(models[m % 2], m == 3 ? logistic : few, shape, 1), *loaded;
        world w = {0}, same = {0};
        forage_error error = {0};
        const char *path = scratch_path("grown");
        forage_rng_seed(&w.rng, 9);
        forage_rng_seed(&same.rng, 9);
        assert_true(world_run(&w, learner, 64 * 2 + 20) == world_run(&same, other, 64 * 2 + 20));
        must(forage_learner_grow(learner, m == 3 ? 20 : 300, 7, &error), &error);
        double grown = world_run(&w, learner, 600), plain = world_run(&same, other, 600);
        /* More weights change the order of sums, and so their rounding, not more. */
        assert_true(fabs(grown - plain) < 1e-3 * fabs(plain));
        must(forage_learner_save(learner, path, &error), &error);
        must(forage_learner_load(path, NULL, &loaded, &error), &error);
        same = w;
        assert_true(world_run(&w, learner, 200) == world_run(&same, loaded, 200));
        unlink(path);
        forage_learner_free(learner);
        forage_learner_free(other);
        forage_learner_free(loaded);
    }
}

/* Draws of neural-linear have the estimate's mean and deviation; candidates that are the same have the same value. */
static void draws_are_of_the_posterior(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    static const char *const by_arm[] = {"heads", "arms", "refit-every", "64", "steps", "60", NULL};
    for (size_t kind = 0; kind < 3; kind++) {
        const forage_learner_shape *shape = kind == 0 ? &arms_shape : &shared_shape;
        forage_learner *learner = learner_of("neural-linear", kind == 2 ? by_arm : few, shape, 1);
        world w = {0};
        uint32_t arms[WORLD_ARMS] = {1, 0, 1};
        float mean[WORLD_ARMS], deviation[WORLD_ARMS], values[WORLD_ARMS];
        double sum[WORLD_ARMS] = {0}, square[WORLD_ARMS] = {0};
        forage_rng_seed(&w.rng, 10);
        (void)world_run(&w, learner, 150);
        world_next(&w);
        forage_candidates candidates = world_candidates(&w, kind > 0);
        memcpy(w.features + 4, w.features, 2 * sizeof *w.features);
        candidates.arms = arms;
        assert_false(forage_learner_draws_normals(learner));
        forage_learner_estimate(learner, &candidates, mean, deviation);
        for (size_t d = 0; d < DRAWS; d++) {
            forage_learner_draw(learner, &candidates, &w.rng, values);
            assert_true(values[0] == values[2] && values[0] != values[1]);
            for (size_t c = 0; c < WORLD_ARMS; c++) {
                double rest = (double)values[c] - (double)mean[c];
                sum[c] += rest;
                square[c] += rest * rest;
            }
        }
        for (size_t c = 0; c < WORLD_ARMS; c++) {
            double spread = (double)deviation[c];
            assert_true(fabs(sum[c] / DRAWS) < 5 * spread / sqrt(DRAWS));
            assert_true(fabs(sqrt(square[c] / DRAWS) - spread) < 0.04 * spread);
        }
        forage_learner_free(learner);
    }
}

static void impossible_settings_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *says;
        forage_learner_shape shape;
    } cases[] = {
        {"refit-lag", "5000", "refit-lag", {3, 0, 2, 0, 2}},
        {"layers", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "16", {3, 0, 2, 0, 2}},
        {"user-size", "0", "no features", {0, 0, 2, 0, 2}},
    };
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const forage_model_info *info;
            forage_params *params;
            forage_learner *learner;
            forage_error error = {0};
            must(forage_model_find(models[m], &info, &error), &error);
            must(forage_params_create(&info->table, &params, &error), &error);
            must(forage_params_set(params, cases[i].name, cases[i].value, &error), &error);
            assert_int_equal(forage_learner_create(info, params, &cases[i].shape, NULL, 1, &learner, &error),
                             FORAGE_INVALID);
            if (!strstr(error.message, cases[i].says))
                fail_msg("%s", error.message);
            forage_params_free(params);
        }
    }
    const forage_model_info *info;
    forage_params *params;
    forage_learner *learner;
    forage_error error = {0};
    forage_learner_shape wide = {5000, 0, 2, 0, 2};
    must(forage_model_find("neural-ucb", &info, &error), &error);
    assert_int_equal(forage_learner_create(info, NULL, &wide, NULL, 1, &learner, &error), FORAGE_INVALID);
    must(forage_params_create(&info->table, &params, &error), &error);
    must(forage_params_set(params, "covariance", "exact", &error), &error);
    must(forage_params_set(params, "layers", "64,64", &error), &error);
    assert_int_equal(forage_learner_create(info, params, &arms_shape, NULL, 1, &learner, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "diagonal"));
    forage_params_free(params);
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
        cmocka_unit_test(what_no_linear_model_learns),
        cmocka_unit_test(what_users_like),
        cmocka_unit_test(any_speed_gives_the_same_bytes),
        cmocka_unit_test(in_a_thread_or_not_is_the_same),
        cmocka_unit_test(nobody_waits_for_a_refit),
        cmocka_unit_test(saved_in_the_middle_of_a_refit),
        cmocka_unit_test(grown_in_the_middle_of_a_refit),
        cmocka_unit_test(draws_are_of_the_posterior),
        cmocka_unit_test(impossible_settings_are_refused),
    };
    return cmocka_run_group_tests_name("neural", tests, NULL, NULL);
}
