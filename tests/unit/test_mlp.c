/*
 * test_mlp.c: the network forward, backward and through Adam, against PyTorch's numbers,
 * against finite differences, and for every instruction set and number of threads.
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
#include "nn/nn.h"

enum { BATCH = 70, STEPS = 5 };

static const nn_settings plain = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};

static const char *golden(const char *name)
{
    static char path[512];
    const char *source = getenv("FORAGE_SOURCE");
    (void)snprintf(path, sizeof path, "%s/tests/golden/%s", source ? source : "..", name);
    return path;
}

static nn_mlp *network(const nn_table_spec *tables, size_t table_count, size_t number_count, const size_t *layers,
                       size_t layer_count, float leak, forage_isa isa)
{
    nn_mlp_spec spec = {.table_count = table_count,
                        .tables = tables,
                        .number_count = number_count,
                        .layer_count = layer_count,
                        .layers = layers,
                        .leak = leak};
    nn_mlp *mlp = NULL;
    forage_error error = {0};
    must(nn_mlp_create(&spec, isa, &mlp, &error), &error);
    return mlp;
}

static float *floats(size_t count)
{
    float *values = forage_calloc(count, sizeof *values);
    assert_non_null(values);
    return values;
}

/* Fails when two blocks differ by more than `relative` of the larger and `absolute`. */
static void close_to(const char *what, const float *have, const float *want, size_t count, double relative,
                     double absolute)
{
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)have[i] - (double)want[i]);
        if (!(difference <= absolute + relative * fabs((double)want[i])))
            fail_msg("%s: number %zu is %.9g, not %.9g", what, i, (double)have[i], (double)want[i]);
    }
}

/* ---- against PyTorch ------------------------------------------------------------------ */

typedef struct fixture {
    nn_checkpoint *file;
    nn_mlp *mlp;
    uint32_t users[STEPS * BATCH], products[STEPS * BATCH];
    float labels[STEPS * BATCH];
    const uint32_t *codes[2];
} fixture;

static void open_fixture(fixture *f, forage_isa isa)
{
    static const nn_table_spec tables[] = {{"user_embedding.weight", 11, 5}, {"product_embedding.weight", 6, 5}};
    static const size_t layers[] = {9, 3};
    forage_error error = {0};
    int64_t numbers[STEPS * BATCH];
    size_t shape[2] = {STEPS, BATCH};
    f->mlp = network(tables, 2, 0, layers, 2, 0, isa);
    must(nn_checkpoint_load(golden("embedding_mlp_steps.safetensors"), &f->file, &error), &error);
    must(nn_checkpoint_read(f->file, "batch.users", NN_I64, 2, shape, numbers, &error), &error);
    for (size_t i = 0; i < STEPS * BATCH; i++)
        f->users[i] = (uint32_t)numbers[i];
    must(nn_checkpoint_read(f->file, "batch.products", NN_I64, 2, shape, numbers, &error), &error);
    for (size_t i = 0; i < STEPS * BATCH; i++)
        f->products[i] = (uint32_t)numbers[i];
    must(nn_checkpoint_read(f->file, "batch.labels", NN_F32, 2, shape, f->labels, &error), &error);
    f->codes[0] = f->users;
    f->codes[1] = f->products;
}

static void restart(fixture *f)
{
    forage_error error = {0};
    must(nn_mlp_load(f->mlp, f->file, "init.", f->mlp->values, &error), &error);
    nn_mlp_refresh(f->mlp);
}

static void close_fixture(fixture *f)
{
    nn_mlp_free(f->mlp);
    nn_checkpoint_free(f->file);
}

/* The weights that PyTorch had, laid out as ours (no average rows: those are copied from ours). */
static float *torch_weights(fixture *f, const char *prefix)
{
    forage_error error = {0};
    float *values = floats(f->mlp->value_count);
    must(nn_mlp_load(f->mlp, f->file, prefix, values, &error), &error);
    for (size_t t = 0; t < 2; t++) {
        const nn_table *table = &f->mlp->tables[t];
        size_t at = table->offset + table->rows * table->width;
        if (strcmp(prefix, "grad.") != 0)
            memcpy(values + at, f->mlp->values + at, table->width * sizeof *values);
    }
    return values;
}

static void steps_are_torchs(fixture *f, const char *name, const nn_settings *settings)
{
    forage_error error = {0};
    nn_trainer *trainer = NULL;
    float losses[STEPS];
    char key[64];
    restart(f);
    (void)snprintf(key, sizeof key, "losses.%s", name);
    must(nn_checkpoint_read(f->file, key, NN_F32, 1, (size_t[]){STEPS}, losses, &error), &error);
    must(nn_trainer_create(f->mlp, settings, BATCH, 2, &trainer, &error), &error);
    for (size_t step = 0; step < STEPS; step++) {
        nn_inputs inputs = {.codes = f->codes, .first = step * BATCH, .count = BATCH};
        float loss = (float)(nn_trainer_step(trainer, &inputs, f->labels, 0.01, 0) / BATCH);
        close_to(key, &loss, &losses[step], 1, 2e-6, 0.0);
        if (step == 0 && strcmp(name, "adam") == 0) {
            float *want = torch_weights(f, "adam.1.");
            close_to("adam.1", f->mlp->values, want, f->mlp->value_count, 1e-5, 2e-6);
            forage_free(want);
        }
    }
    (void)snprintf(key, sizeof key, "%s.5.", name);
    float *want = torch_weights(f, key);
    close_to(key, f->mlp->values, want, f->mlp->value_count, 1e-5, 5e-6);
    forage_free(want);
    nn_trainer_free(trainer);
}

static void forward_backward_and_adam_are_pytorchs(void **state)
{
    (void)state;
    forage_device device;
    assert_int_equal(forage_device_open("auto", 2, &device, NULL), FORAGE_OK);
    for (int isa = FORAGE_ISA_PORTABLE; isa <= (int)device.isa; isa++) {
        forage_error error = {0};
        fixture f = {0};
        open_fixture(&f, (forage_isa)isa);
        restart(&f);
        float logits[BATCH], want[BATCH];
        void *scratch = forage_alloc(nn_mlp_scratch_size(f.mlp), 1);
        assert_non_null(scratch);
        nn_inputs inputs = {.codes = f.codes, .count = BATCH};
        nn_mlp_logits(f.mlp, &inputs, scratch, logits);
        must(nn_checkpoint_read(f.file, "logits", NN_F32, 1, (size_t[]){BATCH}, want, &error), &error);
        close_to("logits", logits, want, BATCH, 2e-6, 2e-7);
        forage_free(scratch);

        nn_trainer *trainer = NULL;
        float *gradient = floats(f.mlp->value_count), *torch = torch_weights(&f, "grad.");
        must(nn_trainer_create(f.mlp, &plain, BATCH, 2, &trainer, &error), &error);
        (void)nn_trainer_gradient(trainer, &inputs, f.labels, 0, gradient);
        close_to("gradient", gradient, torch, f.mlp->value_count, 1e-5, 1e-8);
        forage_free(gradient);
        forage_free(torch);
        nn_trainer_free(trainer);

        nn_settings settings = plain;
        steps_are_torchs(&f, "adam", &settings);
        settings.decay = settings.table_decay = 0.05;
        steps_are_torchs(&f, "l2", &settings);
        settings.decay = settings.table_decay = 0.5;
        settings.decoupled = true;
        steps_are_torchs(&f, "adamw", &settings);
        close_fixture(&f);
    }
}

/* ---- against finite differences ---------------------------------------------------------- */

enum { ROWS = 150, TABLES = 3, NUMBERS = 2 };

static const nn_table_spec odd_tables[TABLES] = {{"a", 7, 3}, {"b", 100, 16}, {"c", 2, 21}};
static const size_t odd_layers[] = {17, 40, 5};

typedef struct sample {
    uint32_t codes[TABLES][ROWS];
    float numbers[NUMBERS][ROWS], labels[ROWS];
    const uint32_t *code_columns[TABLES];
    const float *number_columns[NUMBERS];
    nn_inputs inputs;
} sample;

static void draw_sample(sample *s, uint64_t seed)
{
    forage_rng rng;
    forage_rng_seed(&rng, seed);
    for (size_t t = 0; t < TABLES; t++) {
        s->code_columns[t] = s->codes[t];
        for (size_t i = 0; i < ROWS; i++)
            s->codes[t][i] = (uint32_t)forage_rng_integers(&rng, odd_tables[t].rows);
    }
    s->codes[1][3] = s->codes[1][149] = FORAGE_NONE; /* unknown: the average row, which learns nothing */
    for (size_t n = 0; n < NUMBERS; n++) {
        s->number_columns[n] = s->numbers[n];
        for (size_t i = 0; i < ROWS; i++)
            s->numbers[n][i] = (float)forage_rng_normal(&rng);
    }
    for (size_t i = 0; i < ROWS; i++)
        s->labels[i] = (float)forage_rng_integers(&rng, 2);
    s->labels[0] = 0.25F;
    s->inputs = (nn_inputs){.codes = s->code_columns, .numbers = s->number_columns, .count = ROWS};
}

static nn_mlp *odd_network(float leak, forage_isa isa)
{
    nn_mlp *mlp = network(odd_tables, TABLES, NUMBERS, odd_layers, 3, leak, isa);
    forage_rng rng;
    forage_rng_seed(&rng, 11);
    nn_mlp_initialise(mlp, &rng);
    return mlp;
}

/* The mean loss in double precision, written as plainly as can be. */
static double plain_loss(const nn_mlp *mlp, const double *values, const sample *s)
{
    double total = 0.0;
    for (size_t i = 0; i < ROWS; i++) {
        double here[NN_BLOCK] = {0}, there[NN_BLOCK] = {0};
        size_t width = 0;
        for (size_t t = 0; t < TABLES; t++) {
            size_t row = s->codes[t][i] < odd_tables[t].rows ? s->codes[t][i] : odd_tables[t].rows;
            for (size_t j = 0; j < odd_tables[t].width; j++)
                here[width++] = values[mlp->tables[t].offset + row * odd_tables[t].width + j];
        }
        for (size_t n = 0; n < NUMBERS; n++)
            here[width++] = (double)s->numbers[n][i];
        for (size_t l = 0; l < mlp->layer_count; l++) {
            const nn_layer *layer = &mlp->layers[l];
            for (size_t o = 0; o < layer->out; o++) {
                double sum = values[layer->bias + o];
                for (size_t j = 0; j < layer->in; j++)
                    sum += values[layer->weight + o * layer->in_stride + j] * here[j];
                there[o] = sum > 0.0 ? sum : (double)mlp->leak * sum;
            }
            memcpy(here, there, sizeof here);
        }
        double z = values[mlp->head_bias];
        for (size_t j = 0; j < mlp->head_in; j++)
            z += values[mlp->head_weight + j] * here[j];
        total += (z > 0.0 ? z : 0.0) - z * (double)s->labels[i] + log1p(exp(-fabs(z)));
    }
    return total / ROWS;
}

static void gradient_is_that_of_the_loss(float leak)
{
    static sample s;
    draw_sample(&s, 5);
    nn_mlp *mlp = odd_network(leak, FORAGE_ISA_PORTABLE);
    nn_trainer *trainer = NULL;
    forage_error error = {0};
    must(nn_trainer_create(mlp, &plain, ROWS, 1, &trainer, &error), &error);
    float *gradient = floats(mlp->value_count);
    double loss = nn_trainer_gradient(trainer, &s.inputs, s.labels, 0, gradient) / ROWS;
    double *values = forage_alloc(mlp->value_count, sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < mlp->value_count; i++)
        values[i] = (double)mlp->values[i];
    assert_true(fabs(loss - plain_loss(mlp, values, &s)) < 1e-6);

    size_t checked = 0;
    for (size_t i = 0; i < mlp->value_count; i++) {
        double kept = values[i], h = 1e-7; /* less often across a kink than more */
        bool is_average = false;
        for (size_t t = 0; t < TABLES; t++) {
            size_t at = mlp->tables[t].offset + mlp->tables[t].rows * mlp->tables[t].width;
            is_average = is_average || (i >= at && i < at + mlp->tables[t].width);
        }
        values[i] = kept + h;
        double above = plain_loss(mlp, values, &s);
        values[i] = kept - h;
        double slope = is_average ? 0.0 : (above - plain_loss(mlp, values, &s)) / (2.0 * h);
        values[i] = kept;
        if (fabs((double)gradient[i] - slope) > 1e-7 + 1e-4 * fabs(slope))
            fail_msg("weight %zu: gradient %.9g, finite difference %.9g", i, (double)gradient[i], slope);
        checked += slope != 0.0;
    }
    assert_true(checked > 1000);

    /* And with respect to the numbers that go in. */
    const float *dx = nn_trainer_input_gradient(trainer);
    for (size_t i = 0; i < mlp->value_count; i++)
        values[i] = (double)mlp->values[i];
    for (size_t i = 0; i < ROWS; i += 7) {
        for (size_t n = 0; n < NUMBERS; n++) {
            const float kept = s.numbers[n][i], h = 0x1p-10F;
            s.numbers[n][i] = kept + h;
            double above = plain_loss(mlp, values, &s), up = (double)s.numbers[n][i];
            s.numbers[n][i] = kept - h;
            double slope = (above - plain_loss(mlp, values, &s)) / (up - (double)s.numbers[n][i]);
            double have = (double)dx[i * mlp->input_stride + mlp->input_width - NUMBERS + n];
            s.numbers[n][i] = kept;
            if (fabs(have - slope) > 1e-6 + 0.02 * fabs(slope))
                fail_msg("number %zu of row %zu: gradient %.9g, finite difference %.9g", n, i, have, slope);
        }
    }
    forage_free(values);
    forage_free(gradient);
    nn_trainer_free(trainer);
    nn_mlp_free(mlp);
}

static void the_gradient_is_that_of_the_loss(void **state)
{
    (void)state;
    gradient_is_that_of_the_loss(0.0F);
    gradient_is_that_of_the_loss(0.3F);
}

/* ---- the same bytes ------------------------------------------------------------------------ */

/* A few steps; returns the weights, which the caller frees. */
static float *trained(forage_isa isa, int threads, const nn_settings *settings, double *loss)
{
    static sample s;
    draw_sample(&s, 6);
    nn_mlp *mlp = odd_network(0, isa);
    nn_trainer *trainer = NULL;
    forage_error error = {0};
    must(nn_trainer_create(mlp, settings, ROWS, threads, &trainer, &error), &error);
    for (uint64_t step = 0; step < 20; step++) {
        nn_inputs inputs = s.inputs;
        inputs.first = step % 2 ? 80 : 0; /* batches of 80 and 70: neither fills its blocks */
        inputs.count = step % 2 ? 70 : 80;
        *loss = nn_trainer_step(trainer, &inputs, s.labels, 0.01, 1000 + step);
    }
    float *values = floats(mlp->value_count);
    memcpy(values, mlp->values, mlp->value_count * sizeof *values);
    for (size_t l = 0; l < mlp->layer_count; l++) { /* what lies between the widths stays zero */
        const nn_layer *layer = &mlp->layers[l];
        for (size_t o = 0; o < layer->out_stride; o++) {
            for (size_t j = 0; j < layer->in_stride; j++)
                assert_true((o < layer->out && j < layer->in) ||
                            values[layer->weight + o * layer->in_stride + j] == 0.0F);
        }
    }
    nn_trainer_free(trainer);
    nn_mlp_free(mlp);
    return values;
}

static void any_number_of_threads_gives_the_same_bytes(void **state)
{
    (void)state;
    nn_settings settings = plain;
    settings.dropout = 0.2;
    settings.input_dropout = 0.1;
    for (int lazy = 0; lazy < 2; lazy++) {
        settings.lazy = lazy == 1;
        forage_device device;
        assert_int_equal(forage_device_open("auto", 1, &device, NULL), FORAGE_OK);
        nn_mlp *mlp = odd_network(0, device.isa);
        double loss = 0.0, other = 0.0;
        float *one = trained(device.isa, 1, &settings, &loss);
        for (int threads = 2; threads < 9; threads += 3) {
            float *many = trained(device.isa, threads, &settings, &other);
            assert_memory_equal(one, many, mlp->value_count * sizeof *one);
            assert_true(loss == other);
            forage_free(many);
        }
        forage_free(one);
        nn_mlp_free(mlp);
    }
}

static void instruction_sets_agree(void **state)
{
    (void)state;
    forage_device device;
    assert_int_equal(forage_device_open("auto", 1, &device, NULL), FORAGE_OK);
    nn_mlp *mlp = odd_network(0, device.isa);
    double loss = 0.0, other = 0.0;
    nn_settings settings = plain;
    settings.epsilon = 1e-3; /* so that a gradient that is all rounding does not decide a direction */
    float *reference = trained(FORAGE_ISA_PORTABLE, 1, &settings, &loss);
    for (int isa = FORAGE_ISA_AVX2; isa <= (int)device.isa; isa++) {
        float *values = trained((forage_isa)isa, 1, &settings, &other);
        close_to("weights", values, reference, mlp->value_count, 1e-4, 1e-5);
        assert_true(fabs(loss - other) < 1e-4 * loss);
        forage_free(values);
    }
    forage_free(reference);
    nn_mlp_free(mlp);
}

static void kernels_give_the_same_bytes(void **state)
{
    (void)state;
    enum { COUNT = 64 * 48 };
    forage_device device;
    assert_int_equal(forage_device_open("auto", 1, &device, NULL), FORAGE_OK);
    forage_rng rng;
    forage_rng_seed(&rng, 8);
    float *input = floats(COUNT), *first[4], *second[4];
    for (size_t i = 0; i < COUNT; i++)
        input[i] = (float)(forage_rng_normal(&rng) * 8.0);
    for (size_t i = 0; i < 4; i++) {
        first[i] = floats(COUNT);
        second[i] = floats(COUNT);
    }
    const nn_adam_step step = {0.9F, 0.99F, 1e-8F, 0.01F, 1.5F, 0.1F, 0.99F};
    for (int isa = FORAGE_ISA_PORTABLE; isa <= (int)device.isa; isa++) {
        float **out = isa == FORAGE_ISA_PORTABLE ? first : second;
        const nn_kernels *kernels = nn_kernels_for((forage_isa)isa);
        for (size_t i = 0; i < 4; i++)
            memcpy(out[i], input, COUNT * sizeof **out);
        for (size_t i = 0; i < COUNT; i++)
            out[3][i] = fabsf(out[3][i]);
        kernels->bias_relu(64, 48, input, out[0]);
        kernels->dropout(64, 48, 0x40000000U, 4.0F / 3.0F, 99, out[0]);
        kernels->mask_bias(64, 48, 2.0F, out[0], out[1], out[2]);
        kernels->mask(64, 48, 0.5F, out[0], out[1]);
        kernels->bias_leaky(64, 48, 0.125F, input, out[1]);
        kernels->mask_leaky(64, 48, 0.5F, 0.125F, out[1], out[0], out[2]);
        kernels->adam(COUNT, &step, out[1], NULL, out[0], out[2], out[3]);
        kernels->adam(COUNT, &step, out[1], input, out[0], out[2], out[3]);
        kernels->head(64, 48, out[0], input, 0.5F, out[1]);
        kernels->sigmoid(100, input, out[1] + 64);
        double loss = kernels->loss(70, input, out[1] + 64, 0.25F, out[1] + 200);
        out[1][300] = (float)loss;
        kernels->head_back(64, 48, out[1], input, out[2], out[3], out[1] + 512);
        if (isa != FORAGE_ISA_PORTABLE) {
            for (size_t i = 0; i < 4; i++)
                assert_memory_equal(first[i], second[i], COUNT * sizeof **out);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        forage_free(first[i]);
        forage_free(second[i]);
    }
    forage_free(input);
}

/* ---- epochs ------------------------------------------------------------------------------------ */

static void an_epoch_has_every_row_once_sorted_in_batches(void **state)
{
    (void)state;
    enum { COUNT = 1234, BATCH_ROWS = 100, BIG = 70000 };
    static uint32_t user[COUNT];
    static float place[COUNT];
    static const nn_table_spec tables[] = {{"user", BIG, 2}};
    const uint32_t *codes[1] = {user};
    const float *numbers[1] = {place};
    forage_rng rng, again;
    forage_rng_seed(&rng, 3);
    for (size_t i = 0; i < COUNT; i++) {
        user[i] = i % 50 == 7 ? FORAGE_NONE : (uint32_t)forage_rng_integers(&rng, i % 2 ? BIG : 20);
        place[i] = (float)i;
    }
    nn_mlp *mlp = network(tables, 1, 1, NULL, 0, 0, FORAGE_ISA_PORTABLE);
    nn_inputs columns = {.codes = codes, .numbers = numbers};
    nn_epoch *epoch = NULL, *other = NULL;
    forage_error error = {0};
    must(nn_epoch_create(mlp, &columns, place, COUNT, BATCH_ROWS, 3, &epoch, &error), &error);
    must(nn_epoch_create(mlp, &columns, place, COUNT, BATCH_ROWS, 1, &other, &error), &error);
    nn_epoch_draw(epoch, &rng); /* the order before must not matter */
    again = rng;
    nn_epoch_draw(epoch, &rng);
    nn_epoch_draw(other, &again);
    bool met[COUNT] = {false};
    size_t rows = 0;
    assert_int_equal(nn_epoch_batches(epoch), 13);
    for (size_t b = 0; b < 13; b++) {
        const float *reward, *same;
        nn_inputs batch = nn_epoch_batch(epoch, b, &reward), twin = nn_epoch_batch(other, b, &same);
        assert_true(batch.count == twin.count && batch.sorted);
        for (size_t i = batch.first; i < batch.first + batch.count; i++, rows++) {
            size_t row = (size_t)batch.numbers[0][i];
            assert_true(row < COUNT && !met[row] && reward[i] == place[row]);
            met[row] = true;
            assert_true(batch.codes[0][i] == (user[row] < BIG ? user[row] : BIG));
            assert_true(i == batch.first || batch.codes[0][i - 1] <= batch.codes[0][i]);
            assert_true(batch.numbers[0][i] == twin.numbers[0][i] && same[i] == reward[i]);
        }
    }
    assert_int_equal(rows, COUNT);
    nn_epoch_free(epoch);
    nn_epoch_free(other);
    nn_mlp_free(mlp);
}

static void sorted_batches_have_the_gradient_of_any_others(void **state)
{
    (void)state;
    static sample s;
    draw_sample(&s, 21);
    static const nn_table_spec tables[] = {{"a", 300, 32}, {"b", 200, 32}, {"c", 40, 5}};
    static const size_t layers[] = {16};
    forage_rng rng;
    forage_rng_seed(&rng, 22);
    for (size_t t = 0; t < TABLES; t++) {
        for (size_t i = 0; i < ROWS; i++)
            s.codes[t][i] = (uint32_t)forage_rng_integers(&rng, tables[t].rows + 1);
    }
    nn_mlp *mlp = network(tables, TABLES, NUMBERS, layers, 1, 0, FORAGE_ISA_PORTABLE);
    nn_mlp_initialise(mlp, &rng);
    forage_error error = {0};
    nn_epoch *epoch = NULL;
    nn_trainer *trainer = NULL;
    must(nn_epoch_create(mlp, &s.inputs, s.labels, ROWS, ROWS, 2, &epoch, &error), &error);
    must(nn_trainer_create(mlp, &plain, ROWS, 2, &trainer, &error), &error);
    nn_epoch_draw(epoch, &rng);
    const float *reward;
    nn_inputs sorted = nn_epoch_batch(epoch, 0, &reward), linked = sorted;
    uint32_t identity[ROWS];
    for (uint32_t i = 0; i < ROWS; i++)
        identity[i] = i;
    linked.rows = identity; /* the same rows, which must now be found by links */
    linked.sorted = false;
    float *first = floats(mlp->value_count), *second = floats(mlp->value_count), *third = floats(mlp->value_count);
    (void)nn_trainer_gradient(trainer, &sorted, reward, 0, first);
    (void)nn_trainer_gradient(trainer, &linked, reward, 0, second);
    assert_memory_equal(first, second, mlp->value_count * sizeof *first);
    (void)nn_trainer_gradient(trainer, &s.inputs, s.labels, 0, third); /* another order: the same but for rounding */
    close_to("gradient", third, first, mlp->value_count, 1e-4, 1e-7);
    forage_free(first);
    forage_free(second);
    forage_free(third);
    nn_trainer_free(trainer);
    nn_epoch_free(epoch);
    nn_mlp_free(mlp);
}

/* ---- single pieces --------------------------------------------------------------------------- */

static void sigmoid_and_loss_hold_at_the_extremes(void **state)
{
    (void)state;
    static const float z[] = {0.0F, 1.0F, -1.0F, 3.7F, -12.5F, 40.0F, -40.0F, 87.5F, -87.5F, 1e4F, -1e4F, INFINITY};
    enum { COUNT = sizeof z / sizeof z[0] };
    const nn_kernels *kernels = nn_kernels_for(FORAGE_ISA_PORTABLE);
    float p[COUNT];
    kernels->sigmoid(COUNT, z, p);
    for (size_t i = 0; i < COUNT; i++) {
        double want = 1.0 / (1.0 + exp(-(double)z[i]));
        assert_true(fabs((double)p[i] - want) <= 2e-7 * want + 1e-37);
        for (int label = 0; label < 2 && isfinite(z[i]); label++) {
            float y = (float)label, dz = 0.0F;
            double x = (double)z[i];
            want = (x > 0.0 ? x : 0.0) - x * label + log1p(exp(-fabs(x)));
            double loss = kernels->loss(1, &z[i], &y, 1.0F, &dz);
            assert_true(fabs(loss - want) <= 3e-7 * (want + 1e-3));
            assert_true(fabs((double)dz - (1.0 / (1.0 + exp(-x)) - label)) < 2e-7);
        }
    }
}

static void dropout_keeps_the_expectation(void **state)
{
    (void)state;
    enum { COUNT = 64 * 1024 };
    float *y = floats(COUNT);
    for (size_t i = 0; i < COUNT; i++)
        y[i] = 1.0F;
    nn_kernels_for(FORAGE_ISA_PORTABLE)->dropout(64, 1024, (uint32_t)(0.3 * 4294967296.0), (float)(1.0 / 0.7), 7, y);
    double sum = 0.0;
    size_t dropped = 0;
    for (size_t i = 0; i < COUNT; i++) {
        sum += (double)y[i];
        dropped += y[i] == 0.0F;
    }
    assert_true(fabs(sum / COUNT - 1.0) < 0.01);
    assert_true(fabs((double)dropped / COUNT - 0.3) < 0.01);
    forage_free(y);
}

static void rows_stand_alone_and_unknown_is_average(void **state)
{
    (void)state;
    static sample s;
    draw_sample(&s, 9);
    forage_device device;
    assert_int_equal(forage_device_open("auto", 1, &device, NULL), FORAGE_OK);
    nn_mlp *mlp = odd_network(0, device.isa);
    void *scratch = forage_alloc(nn_mlp_scratch_size(mlp), 1);
    assert_non_null(scratch);
    float all[ROWS], some[ROWS];
    nn_mlp_predict(mlp, &s.inputs, scratch, all);
    for (size_t count = 1; count < 140; count += 23) {
        nn_inputs inputs = s.inputs;
        inputs.first = 150 - count;
        inputs.count = count;
        nn_mlp_predict(mlp, &inputs, scratch, some);
        assert_memory_equal(some, all + 150 - count, count * sizeof *some);
    }
    /* A table of two equal rows has them as its average. */
    float *rows = mlp->values + mlp->tables[2].offset;
    memcpy(rows, rows + mlp->tables[2].width, mlp->tables[2].width * sizeof *rows);
    nn_mlp_refresh(mlp);
    nn_mlp_predict(mlp, &s.inputs, scratch, all);
    for (size_t i = 0; i < ROWS; i++)
        s.codes[2][i] = FORAGE_NONE;
    nn_mlp_predict(mlp, &s.inputs, scratch, some);
    close_to("unknown", some, all, ROWS, 1e-6, 0.0);
    forage_free(scratch);
    nn_mlp_free(mlp);
}

static void lazy_leaves_alone_what_the_batch_does_not_name(void **state)
{
    (void)state;
    static sample s;
    draw_sample(&s, 10);
    for (size_t i = 0; i < ROWS; i++)
        s.codes[1][i] = (uint32_t)(i % 2);
    nn_settings settings = plain;
    settings.lazy = true;
    nn_mlp *mlp = odd_network(0, FORAGE_ISA_PORTABLE);
    nn_trainer *trainer = NULL;
    forage_error error = {0};
    must(nn_trainer_create(mlp, &settings, ROWS, 1, &trainer, &error), &error);
    float *rows = mlp->values + mlp->tables[1].offset, before[100 * 16];
    memcpy(before, rows, sizeof before);
    (void)nn_trainer_step(trainer, &s.inputs, s.labels, 0.01, 0);
    assert_memory_equal(before + 2 * 16, rows + 2 * 16, 98 * 16 * sizeof *rows);
    assert_memory_not_equal(before, rows, 16 * sizeof *rows);
    nn_trainer_free(trainer);
    nn_mlp_free(mlp);
}

static void weights_go_to_a_file_and_back(void **state)
{
    (void)state;
    forage_error error = {0};
    nn_mlp *mlp = odd_network(0, FORAGE_ISA_PORTABLE);
    nn_checkpoint *checkpoint = NULL;
    float *packed = NULL, *values = floats(mlp->value_count);
    must(nn_checkpoint_create(&checkpoint, &error), &error);
    must(nn_mlp_save(mlp, mlp->values, "", checkpoint, &packed, &error), &error);
    const nn_tensor *tensor = nn_checkpoint_find(checkpoint, "fc2.weight");
    assert_non_null(tensor);
    assert_true(tensor->rank == 2 && tensor->shape[0] == 40 && tensor->shape[1] == 17);
    must(nn_mlp_load(mlp, checkpoint, "", values, &error), &error);
    for (size_t t = 0; t < TABLES; t++) {
        const nn_table *table = &mlp->tables[t];
        size_t at = table->offset + table->rows * table->width;
        memcpy(values + at, mlp->values + at, table->width * sizeof *values);
    }
    assert_memory_equal(values, mlp->values, mlp->value_count * sizeof *values);
    nn_checkpoint_free(checkpoint);
    forage_free(packed);
    forage_free(values);
    nn_mlp_free(mlp);
}

static void impossible_shapes_are_refused(void **state)
{
    (void)state;
    static const nn_table_spec huge = {"a", 4000000000U, 4096}, none = {"a", 0, 4}, wide = {"a", 4, 5000};
    static const size_t layers[] = {4, 0};
    nn_mlp *mlp = NULL;
    nn_mlp_spec spec = {.table_count = 1, .tables = &none};
    assert_int_equal(nn_mlp_create(&spec, FORAGE_ISA_PORTABLE, &mlp, NULL), FORAGE_INVALID);
    spec.tables = &wide;
    assert_int_equal(nn_mlp_create(&spec, FORAGE_ISA_PORTABLE, &mlp, NULL), FORAGE_INVALID);
    spec.tables = &huge;
    (void)forage_alloc_fail_at(1);
    assert_int_equal(nn_mlp_create(&spec, FORAGE_ISA_PORTABLE, &mlp, NULL), FORAGE_NO_MEMORY);
    (void)forage_alloc_fail_at(0);
    spec = (nn_mlp_spec){.number_count = 1, .layer_count = 2, .layers = layers};
    assert_int_equal(nn_mlp_create(&spec, FORAGE_ISA_PORTABLE, &mlp, NULL), FORAGE_INVALID);
    assert_null(mlp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_backward_and_adam_are_pytorchs),
        cmocka_unit_test(the_gradient_is_that_of_the_loss),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(instruction_sets_agree),
        cmocka_unit_test(kernels_give_the_same_bytes),
        cmocka_unit_test(an_epoch_has_every_row_once_sorted_in_batches),
        cmocka_unit_test(sorted_batches_have_the_gradient_of_any_others),
        cmocka_unit_test(sigmoid_and_loss_hold_at_the_extremes),
        cmocka_unit_test(dropout_keeps_the_expectation),
        cmocka_unit_test(rows_stand_alone_and_unknown_is_average),
        cmocka_unit_test(lazy_leaves_alone_what_the_batch_does_not_name),
        cmocka_unit_test(weights_go_to_a_file_and_back),
        cmocka_unit_test(impossible_shapes_are_refused),
    };
    return cmocka_run_group_tests_name("mlp", tests, NULL, NULL);
}
