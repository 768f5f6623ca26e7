/*
 * test_inbatch.c: softmax losses over a batch against PyTorch, against sums in double precision and against
 * differences.
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
#include "nn/checkpoint.h"
#include "nn/inbatch.h"

static forage_device device_of(const char *name)
{
    forage_device device;
    forage_error error = {0};
    must(forage_device_open(name, 1, &device, &error), &error);
    return device;
}

static float *floats(size_t count)
{
    float *made = forage_calloc(count, sizeof *made);
    assert_non_null(made);
    return made;
}

typedef struct pairs {
    size_t count, width;
    float *users, *items, *d_users, *d_items;
    double loss;
} pairs;

static pairs make_pairs(size_t count, size_t width)
{
    size_t size = count * width;
    return (pairs){count, width, floats(size), floats(size), floats(size), floats(size), 0};
}

static void free_pairs(pairs *p)
{
    forage_free(p->users);
    forage_free(p->items);
    forage_free(p->d_users);
    forage_free(p->d_items);
}

/* The loss of these pairs, in an object for `batch` of them. */
static void run(pairs *p, nn_inbatch_spec spec, size_t batch)
{
    forage_error error = {0};
    nn_inbatch *loss = NULL;
    spec.batch = batch;
    spec.width = p->width;
    must(nn_inbatch_create(&spec, &loss, &error), &error);
    p->loss = nn_inbatch_run(loss, p->count, p->users, p->items, p->d_users, p->d_items);
    nn_inbatch_free(loss);
}

/* Within `tolerance` of the largest, which is above 0 if it matters. */
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

/* ---- PyTorch's numbers (tests/golden/lightgcn.py) ---- */

static void read_floats(const nn_checkpoint *file, size_t number, const char *name, float *to)
{
    forage_error error = {0};
    char key[64];
    (void)snprintf(key, sizeof key, "%zu.%s", number, name);
    const nn_tensor *tensor = nn_checkpoint_find(file, key);
    assert_non_null(tensor);
    must(nn_checkpoint_read_weights(file, key, tensor->rank, tensor->shape, to, &error), &error);
}

static void losses_are_those_of_pytorch(void **state)
{
    (void)state;
    static const char *const devices[] = {"cpu:portable", "cpu"};
    const char *source = getenv("FORAGE_SOURCE");
    char path[512];
    float cases[8][5];
    nn_checkpoint *file = NULL;
    forage_error error = {0};
    (void)snprintf(path, sizeof path, "%s/tests/golden/inbatch.safetensors", source ? source : "..");
    must(nn_checkpoint_load(path, &file, &error), &error);
    must(nn_checkpoint_read_weights(file, "cases", 2, (size_t[]){8, 5}, &cases[0][0], &error), &error);
    for (size_t i = 0; i < 8; i++) {
        pairs p = make_pairs((size_t)cases[i][0], (size_t)cases[i][1]);
        float *want = floats(p.count * p.width), want_loss;
        read_floats(file, i, "users", p.users);
        read_floats(file, i, "items", p.items);
        read_floats(file, i, "loss", &want_loss);
        for (size_t d = 0; d < 2; d++) {
            const nn_inbatch_spec spec = {.temperature = cases[i][2],
                                          .exponent = cases[i][3],
                                          .with_positive = cases[i][4] != 0,
                                          .isa = device_of(devices[d]).isa,
                                          .threads = 2};
            run(&p, spec, p.count + 64 * d);
            if (!(fabs(p.loss - (double)want_loss) <= 1e-6 * (1 + fabs((double)want_loss))))
                fail_msg("case %zu: the loss is %.9g, not %.9g", i, p.loss, (double)want_loss);
            (void)snprintf(path, sizeof path, "case %zu", i);
            read_floats(file, i, "d_users", want);
            compare(path, p.d_users, want, p.count * p.width, 2e-5F);
            read_floats(file, i, "d_items", want);
            compare(path, p.d_items, want, p.count * p.width, 2e-5F);
        }
        forage_free(want);
        free_pairs(&p);
    }
    nn_checkpoint_free(file);
}

/* ---- plainly ---- */

static double cosine(const float *a, const float *b, size_t width)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t j = 0; j < width; j++) {
        ab += (double)a[j] * (double)b[j];
        aa += (double)a[j] * (double)a[j];
        bb += (double)b[j] * (double)b[j];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static double plain_loss(const pairs *p, const nn_inbatch_spec *spec)
{
    double total = 0;
    for (size_t b = 0; b < p->count; b++) {
        const float *u = p->users + b * p->width;
        double most = -INFINITY, sum = 0, own = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (size_t o = 0; o < p->count; o++) {
                double z = cosine(u, p->items + o * p->width, p->width) / (double)spec->temperature;
                own = o == b ? z : own;
                if (o == b && !spec->with_positive)
                    continue;
                if (pass == 0)
                    most = fmax(most, z);
                else
                    sum += exp(z - most);
            }
        }
        total += -own + (sum > 0 ? (double)spec->exponent * (most + log(sum)) : 0);
    }
    return total / (double)p->count;
}

static void fill(forage_rng *rng, float *to, size_t count, double size)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (float)(size * forage_rng_normal(rng));
}

/* Differences of the plain loss in some of the numbers. */
static void check_slopes(forage_rng *rng, pairs *p, const nn_inbatch_spec *spec)
{
    for (size_t n = 0; n < (p->count > 10 ? 6 : 30); n++) {
        bool item = n % 2;
        size_t at = forage_rng_integers(rng, p->count * p->width);
        float *number = (item ? p->items : p->users) + at, before = *number, step = fabsf(before) * 1e-3F + 1e-4F;
        float have = (item ? p->d_items : p->d_users)[at], up = before + step, down = before - step;
        *number = up;
        double above = plain_loss(p, spec);
        *number = down;
        double slope = (above - plain_loss(p, spec)) / ((double)up - (double)down);
        *number = before;
        double tolerance = 1e-4 / (double)spec->temperature / (double)p->count;
        if (!(fabs((double)have - slope) <= tolerance))
            fail_msg("%zu pairs, temperature %g: a gradient is %.9g, not %.9g", p->count, (double)spec->temperature,
                     (double)have, slope);
    }
}

static void any_batch_and_temperature(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 3, 63, 64, 65, 130};
    static const float temperatures[] = {0.01F, 0.02F, 0.05F, 0.12F, 1, 10};
    forage_rng rng;
    forage_rng_seed(&rng, 7);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (size_t t = 0; t < 6; t++) {
            pairs p = make_pairs(counts[i], i % 2 ? 16 : 48);
            nn_inbatch_spec spec = {.temperature = temperatures[t],
                                    .exponent = t % 2 ? 0.8F : 1.3F,
                                    .with_positive = (i + t) % 3 == 0,
                                    .isa = device_of("cpu").isa,
                                    .threads = 2};
            fill(&rng, p.users, p.count * p.width, 0.3);
            fill(&rng, p.items, p.count * p.width, 3);
            for (size_t b = 2; b < p.count; b += 5) /* items that come twice */
                memcpy(p.items + b * p.width, p.items + (b - 2) * p.width, p.width * sizeof *p.items);
            run(&p, spec, i % 2 ? p.count : 200);
            double want = plain_loss(&p, &spec);
            if (!(fabs(p.loss - want) <= 2e-6 * (1 / (double)spec.temperature + fabs(want))))
                fail_msg("%zu pairs, temperature %g: the loss is %.9g, not %.9g", p.count, (double)spec.temperature,
                         p.loss, want);
            check_slopes(&rng, &p, &spec);
            free_pairs(&p);
        }
    }
}

static void vectors_of_length_0_have_no_gradient(void **state)
{
    (void)state;
    forage_rng rng;
    pairs p = make_pairs(70, 16);
    const nn_inbatch_spec spec = {.temperature = 0.2F, .exponent = 0.7F, .isa = device_of("cpu").isa, .threads = 1};
    forage_rng_seed(&rng, 8);
    fill(&rng, p.users, p.count * p.width, 1);
    fill(&rng, p.items, p.count * p.width, 1);
    memset(p.users + 3 * p.width, 0, p.width * sizeof *p.users);
    memset(p.users + 65 * p.width, 0, p.width * sizeof *p.users);
    memset(p.items + 3 * p.width, 0, p.width * sizeof *p.items);
    memset(p.items + 9 * p.width, 0, p.width * sizeof *p.items);
    run(&p, spec, 70);
    assert_true(fabs(p.loss - plain_loss(&p, &spec)) < 1e-5);
    for (size_t j = 0; j < p.width; j++) {
        assert_true(p.d_users[3 * p.width + j] == 0 && p.d_users[65 * p.width + j] == 0);
        assert_true(p.d_items[3 * p.width + j] == 0 && p.d_items[9 * p.width + j] == 0);
    }
    for (size_t i = 0; i < p.count * p.width; i++)
        assert_true(isfinite(p.d_users[i]) && isfinite(p.d_items[i]));
    free_pairs(&p);
}

/* Cosines know no size, but squares of large numbers are infinite: that must not look like nothing. */
static void what_is_no_number_shows(void **state)
{
    (void)state;
    static const float bad[] = {INFINITY, NAN, 3e38F};
    const nn_inbatch_spec spec = {.temperature = 0.2F, .exponent = 1, .isa = device_of("cpu").isa, .threads = 1};
    for (size_t i = 0; i < 3; i++) {
        forage_rng rng;
        pairs p = make_pairs(20, 16);
        forage_rng_seed(&rng, 9);
        fill(&rng, p.users, p.count * p.width, 1);
        fill(&rng, p.items, p.count * p.width, 1);
        (i % 2 ? p.users : p.items)[5] = bad[i];
        run(&p, spec, 20);
        assert_false(isfinite(p.loss));
        free_pairs(&p);
    }
}

/* The object is used for batches of several sizes, and by any number of threads. */
static void threads_and_earlier_batches_change_nothing(void **state)
{
    (void)state;
    enum { MOST = 1300, WIDTH = 32 };
    static const size_t counts[] = {MOST, 5, 700, 64, 1, MOST - 1};
    forage_error error = {0};
    forage_rng rng;
    pairs p = make_pairs(MOST, WIDTH);
    forage_rng_seed(&rng, 10);
    fill(&rng, p.users, MOST * WIDTH, 1);
    fill(&rng, p.items, MOST * WIDTH, 1);
    for (int with = 0; with < 2; with++) {
        nn_inbatch *losses[3];
        for (int threads = 1; threads <= 3; threads++) {
            nn_inbatch_spec spec = {.batch = MOST,
                                    .width = WIDTH,
                                    .temperature = 0.1F,
                                    .exponent = 0.9F,
                                    .with_positive = with != 0,
                                    .isa = device_of("cpu").isa,
                                    .threads = threads};
            must(nn_inbatch_create(&spec, &losses[threads - 1], &error), &error);
        }
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            pairs other = make_pairs(counts[i], WIDTH);
            double first = nn_inbatch_run(losses[0], counts[i], p.users, p.items, p.d_users, p.d_items);
            for (size_t t = 1; t < 3; t++) {
                double again = nn_inbatch_run(losses[t], counts[i], p.users, p.items, other.d_users, other.d_items);
                assert_memory_equal(&first, &again, sizeof first);
                assert_memory_equal(p.d_users, other.d_users, counts[i] * WIDTH * sizeof *p.d_users);
                assert_memory_equal(p.d_items, other.d_items, counts[i] * WIDTH * sizeof *p.d_items);
            }
            free_pairs(&other);
        }
        for (size_t t = 0; t < 3; t++)
            nn_inbatch_free(losses[t]);
    }
    free_pairs(&p);
}

static void allocations_may_fail(void **state)
{
    (void)state;
    const nn_inbatch_spec spec = {
        .batch = 65, .width = 16, .temperature = 1, .exponent = 1, .isa = device_of("cpu").isa, .threads = 2};
    for (uint64_t nth = 1;; nth++) {
        forage_error error = {0};
        nn_inbatch *loss = NULL;
        forage_alloc_fail_at(nth);
        forage_status status = nn_inbatch_create(&spec, &loss, &error);
        uint64_t asked = forage_alloc_fail_at(0);
        if (status == FORAGE_OK) {
            assert_true(asked < nth && nth > 8);
            nn_inbatch_free(loss);
            return;
        }
        assert_int_equal(status, FORAGE_NO_MEMORY);
        assert_null(loss);
        assert_true(error.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_those_of_pytorch),
        cmocka_unit_test(any_batch_and_temperature),
        cmocka_unit_test(vectors_of_length_0_have_no_gradient),
        cmocka_unit_test(what_is_no_number_shows),
        cmocka_unit_test(threads_and_earlier_batches_change_nothing),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("inbatch", tests, NULL, NULL);
}
