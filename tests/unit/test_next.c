/*
 * test_next.c: losses over the catalogue against PyTorch, against sums in double precision and against differences.
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
#include "nn/kernels.h"
#include "nn/next.h"

static forage_device device_of(const char *name)
{
    forage_device device;
    forage_error error = {0};
    must(forage_device_open(name, 1, &device, &error), &error);
    return device;
}

static void *zeros(size_t count, size_t size)
{
    void *made = forage_calloc(count ? count : 1, size);
    assert_non_null(made);
    return made;
}

/* ---- a step ---- */

typedef struct step {
    nn_next_spec spec; /* positions: as many as there are */
    size_t stride, negative_count;
    float *h, *table, *log_q, *d_h, *d_table;
    uint32_t *targets, *drawn;
    nn_next_negatives negatives;
    double loss;
    double *want_h, *want_table; /* of plain_step */
} step;

static step make_step(nn_next_spec spec)
{
    step s = {.spec = spec, .stride = nn_padded(spec.width)};
    s.negative_count = spec.negatives * (spec.own ? spec.positions : 1);
    s.h = zeros(spec.positions * s.stride, sizeof *s.h);
    s.d_h = zeros(spec.positions * s.stride, sizeof *s.d_h);
    s.want_h = zeros(spec.positions * s.stride, sizeof *s.want_h);
    s.table = zeros(spec.items * s.stride, sizeof *s.table);
    s.d_table = zeros(spec.items * s.stride, sizeof *s.d_table);
    s.want_table = zeros(spec.items * s.stride, sizeof *s.want_table);
    s.log_q = zeros(spec.items, sizeof *s.log_q);
    s.targets = zeros(spec.positions, sizeof *s.targets);
    s.drawn = zeros(s.negative_count, sizeof *s.drawn);
    s.negatives = (nn_next_negatives){spec.negatives, s.drawn, s.log_q};
    return s;
}

static void free_step(step *s)
{
    forage_free(s->h);
    forage_free(s->d_h);
    forage_free(s->want_h);
    forage_free(s->table);
    forage_free(s->d_table);
    forage_free(s->want_table);
    forage_free(s->log_q);
    forage_free(s->targets);
    forage_free(s->drawn);
}

static void fill_rows(forage_rng *rng, const step *s, float *to, size_t rows, double size)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < s->spec.width; j++)
            to[i * s->stride + j] = (float)(size * forage_rng_normal(rng));
    }
}

/* Random numbers; few items, so that many negatives are somebody's target or come twice. */
static void fill(forage_rng *rng, step *s, double h, double table)
{
    fill_rows(rng, s, s->h, s->spec.positions, h);
    fill_rows(rng, s, s->table, s->spec.items, table);
    for (size_t i = 0; i < s->spec.items; i++)
        s->log_q[i] = (float)forage_rng_normal(rng);
    for (size_t i = 0; i < s->spec.positions; i++)
        s->targets[i] = (uint32_t)forage_rng_integers(rng, s->spec.items);
    for (size_t i = 0; i < s->negative_count; i++)
        s->drawn[i] = (uint32_t)forage_rng_integers(rng, s->spec.items);
}

static nn_next *loss_for(nn_next_spec spec)
{
    forage_error error = {0};
    nn_next *next = NULL;
    must(nn_next_create(&spec, &next, &error), &error);
    return next;
}

static void run_on(step *s, nn_next *next)
{
    memset(s->d_table, 0, s->spec.items * s->stride * sizeof *s->d_table);
    s->loss = nn_next_run(next, s->spec.positions, s->h, s->targets, s->spec.negatives ? &s->negatives : NULL, s->table,
                          s->d_h, s->d_table);
}

/* In an object for `more` positions and negatives than there are. */
static void run(step *s, forage_isa isa, int threads, size_t more)
{
    nn_next_spec spec = s->spec;
    spec.positions += more;
    spec.negatives += spec.negatives ? more : 0;
    spec.isa = isa;
    spec.threads = threads;
    nn_next *next = loss_for(spec);
    run_on(s, next);
    nn_next_free(next);
}

/* ---- plainly ---- */

static double score(const step *s, size_t p, uint32_t item)
{
    double sum = 0;
    for (size_t j = 0; j < s->stride; j++)
        sum += (double)s->h[p * s->stride + j] * (double)s->table[item * s->stride + j];
    return sum;
}

static void add_slope(const step *s, size_t p, uint32_t item, double slope)
{
    for (size_t j = 0; j < s->stride; j++) {
        s->want_h[p * s->stride + j] += slope * (double)s->table[item * s->stride + j];
        s->want_table[item * s->stride + j] += slope * (double)s->h[p * s->stride + j];
    }
}

static double softplus(double z)
{
    return fmax(z, 0) + log1p(exp(-fabs(z)));
}

static double plain_logistic(const step *s, size_t p)
{
    size_t k = s->spec.negatives;
    double alpha = fmin(1, (double)k / (double)(s->spec.items - 1));
    double beta = s->spec.kind == NN_NEXT_GBCE ? alpha * (s->spec.t * (1 - 1 / alpha) + 1 / alpha) : 1;
    double z = score(s, p, s->targets[p]), loss = beta * softplus(-z);
    double each = 1 / (double)(k + 1) / (double)s->spec.positions;
    add_slope(s, p, s->targets[p], -beta * each / (1 + exp(z)));
    for (size_t i = 0; i < k; i++) {
        uint32_t item = s->drawn[s->spec.own ? p * k + i : i];
        if (item == s->targets[p])
            continue;
        z = score(s, p, item);
        loss += softplus(z);
        add_slope(s, p, item, each / (1 + exp(-z)));
    }
    return loss * each;
}

/* Of a list of items, the first of which is the target. */
static double plain_softmax(const step *s, size_t p)
{
    bool full = s->spec.kind == NN_NEXT_SOFTMAX;
    size_t count = 0, most = full ? s->spec.items : s->spec.negatives;
    uint32_t *list = zeros(most + 1, sizeof *list);
    double *z = zeros(most + 1, sizeof *z), top = -INFINITY, sum = 0, each = 1 / (double)s->spec.positions;
    list[count++] = s->targets[p];
    for (size_t i = 0; i < most; i++) {
        uint32_t item = full ? (uint32_t)i : s->drawn[i];
        if (item != s->targets[p])
            list[count++] = item;
    }
    for (size_t i = 0; i < count; i++) {
        bool corrected = !full && s->negatives.log_q && !(i == 0 && s->spec.target_as_is);
        z[i] = score(s, p, list[i]) - (corrected ? (double)s->log_q[list[i]] : 0);
        top = fmax(top, z[i]);
    }
    for (size_t i = 0; i < count; i++)
        sum += exp(z[i] - top);
    for (size_t i = 0; i < count; i++)
        add_slope(s, p, list[i], each * (exp(z[i] - top) / sum - (i == 0)));
    double loss = top + log(sum) - z[0];
    forage_free(list);
    forage_free(z);
    return loss * each;
}

static double plain_step(step *s)
{
    double total = 0;
    memset(s->want_h, 0, s->spec.positions * s->stride * sizeof *s->want_h);
    memset(s->want_table, 0, s->spec.items * s->stride * sizeof *s->want_table);
    for (size_t p = 0; p < s->spec.positions; p++)
        total += s->spec.kind >= NN_NEXT_BCE ? plain_logistic(s, p) : plain_softmax(s, p);
    return total;
}

/* Within `tolerance` of the largest, or of what is small for a gradient. */
static void compare(const char *what, const float *have, const double *want, size_t count, double tolerance)
{
    double largest = 0.01;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(want[i]));
    for (size_t i = 0; i < count; i++) {
        if (!(fabs((double)have[i] - want[i]) <= tolerance * largest))
            fail_msg("%s: number %zu is %.9g, not %.9g (largest %.9g)", what, i, (double)have[i], want[i], largest);
    }
}

static void check_plain(step *s, const char *what, double tolerance)
{
    double want = plain_step(s);
    char text[200];
    (void)snprintf(text, sizeof text, "%s: kind %d, %zu positions, %zu items, %zu negatives, width %zu", what,
                   (int)s->spec.kind, s->spec.positions, s->spec.items, s->spec.negatives, s->spec.width);
    if (!(fabs(s->loss - want) <= tolerance * (0.1 + fabs(want))))
        fail_msg("%s: the loss is %.9g, not %.9g", text, s->loss, want);
    compare(text, s->d_h, s->want_h, s->spec.positions * s->stride, tolerance);
    compare(text, s->d_table, s->want_table, s->spec.items * s->stride, tolerance);
}

/* ---- PyTorch's numbers (tests/golden/next.py) ---- */

static size_t read_floats(const nn_checkpoint *file, size_t number, const char *name, float *to)
{
    forage_error error = {0};
    char key[64];
    size_t count = 1;
    (void)snprintf(key, sizeof key, "%zu.%s", number, name);
    const nn_tensor *tensor = nn_checkpoint_find(file, key);
    assert_non_null(tensor);
    must(nn_checkpoint_read_weights(file, key, tensor->rank, tensor->shape, to, &error), &error);
    for (size_t i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

static void read_rows(const nn_checkpoint *file, size_t number, const char *name, const step *s, size_t rows, float *to)
{
    float *tight = zeros(rows * s->spec.width, sizeof *tight);
    assert_int_equal(read_floats(file, number, name, tight), rows * s->spec.width);
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * s->stride, tight + i * s->spec.width, s->spec.width * sizeof *to);
    forage_free(tight);
}

static void read_codes(const nn_checkpoint *file, size_t number, const char *name, size_t count, uint32_t *to)
{
    float *numbers = zeros(count, sizeof *numbers);
    if (count > 0)
        assert_int_equal(read_floats(file, number, name, numbers), count);
    for (size_t i = 0; i < count; i++)
        to[i] = (uint32_t)numbers[i];
    forage_free(numbers);
}

static void check_golden(const nn_checkpoint *file, size_t number, const float *shape, const char *device)
{
    step s = make_step((nn_next_spec){.kind = (nn_next_kind)shape[0],
                                      .positions = (size_t)shape[1],
                                      .items = (size_t)shape[2],
                                      .width = (size_t)shape[3],
                                      .negatives = (size_t)shape[4],
                                      .own = shape[5] != 0,
                                      .target_as_is = shape[6] != 0,
                                      .t = (double)shape[7]});
    size_t h_size = s.spec.positions * s.stride, table_size = s.spec.items * s.stride;
    float want_loss, *want = zeros(h_size + table_size, sizeof *want);
    char text[64];
    read_rows(file, number, "h", &s, s.spec.positions, s.h);
    read_rows(file, number, "table", &s, s.spec.items, s.table);
    (void)read_floats(file, number, "log_q", s.log_q);
    (void)read_floats(file, number, "loss", &want_loss);
    read_codes(file, number, "targets", s.spec.positions, s.targets);
    read_codes(file, number, "negatives", s.negative_count, s.drawn);
    run(&s, device_of(device).isa, 2, number % 2 * 100);
    if (!(fabs(s.loss - (double)want_loss) <= 1e-6 * (1 + fabs((double)want_loss))))
        fail_msg("case %zu on %s: the loss is %.9g, not %.9g", number, device, s.loss, (double)want_loss);
    (void)snprintf(text, sizeof text, "case %zu on %s", number, device);
    read_rows(file, number, "d_h", &s, s.spec.positions, want);
    read_rows(file, number, "d_table", &s, s.spec.items, want + h_size);
    for (size_t i = 0; i < h_size; i++)
        s.want_h[i] = (double)want[i];
    for (size_t i = 0; i < table_size; i++)
        s.want_table[i] = (double)want[h_size + i];
    compare(text, s.d_h, s.want_h, h_size, 3e-6);
    compare(text, s.d_table, s.want_table, table_size, 3e-6);
    forage_free(want);
    free_step(&s);
}

static void losses_are_those_of_pytorch(void **state)
{
    (void)state;
    const char *source = getenv("FORAGE_SOURCE");
    char path[512];
    float cases[12][8];
    nn_checkpoint *file = NULL;
    forage_error error = {0};
    (void)snprintf(path, sizeof path, "%s/tests/golden/next.safetensors", source ? source : "..");
    must(nn_checkpoint_load(path, &file, &error), &error);
    must(nn_checkpoint_read_weights(file, "cases", 2, (size_t[]){12, 8}, &cases[0][0], &error), &error);
    for (size_t i = 0; i < 12; i++) {
        check_golden(file, i, cases[i], "cpu:portable");
        check_golden(file, i, cases[i], "cpu");
    }
    nn_checkpoint_free(file);
}

/* ---- sizes ---- */

/* Kinds, with and without their options. */
static const nn_next_spec kinds[] = {
    {.kind = NN_NEXT_SOFTMAX},
    {.kind = NN_NEXT_SAMPLED},
    {.kind = NN_NEXT_SAMPLED, .target_as_is = true},
    {.kind = NN_NEXT_BCE},
    {.kind = NN_NEXT_BCE, .own = true},
    {.kind = NN_NEXT_GBCE, .t = 0.3},
    {.kind = NN_NEXT_GBCE, .t = 1, .own = true},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static step step_of(size_t kind, size_t positions, size_t items, size_t width, size_t negatives)
{
    nn_next_spec spec = kinds[kind];
    spec.positions = positions;
    spec.items = items;
    spec.width = width;
    spec.negatives = spec.kind == NN_NEXT_SOFTMAX ? 0 : negatives;
    return make_step(spec);
}

static void any_size(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 63, 64, 65, 130}, catalogues[] = {2, 63, 64, 65, 3, 1100};
    static const size_t draws[] = {1, 65, 64, 63, 2, 200}, widths[] = {1, 16, 17, 48, 64, 5};
    static const char *const devices[] = {"cpu", "cpu:avx2", "cpu:portable"};
    forage_rng rng;
    forage_rng_seed(&rng, 7);
    for (size_t kind = 0; kind < KINDS; kind++) {
        for (size_t i = 0; i < 36; i++) {
            forage_device device;
            if (forage_device_open(devices[i % 3], 1, &device, NULL) != FORAGE_OK)
                continue;
            step s = step_of(kind, counts[i % 6], catalogues[i / 6], widths[(i + 1) % 6], draws[(i + i / 6) % 6]);
            fill(&rng, &s, 1, 0.7);
            if (i % 5 == 0)
                s.negatives.log_q = NULL;
            run(&s, device.isa, 2, i % 4 ? 0 : 150);
            check_plain(&s, devices[i % 3], 3e-5);
            free_step(&s);
        }
    }
}

/* Differences of the plain loss in some of the numbers. */
static void gradients_are_slopes(void **state)
{
    (void)state;
    forage_rng rng;
    forage_rng_seed(&rng, 8);
    for (size_t kind = 0; kind < KINDS; kind++) {
        step s = step_of(kind, 13, 30, 7, 9);
        fill(&rng, &s, 1, 0.7);
        run(&s, device_of("cpu").isa, 1, 0);
        for (size_t n = 0; n < 60; n++) {
            bool item = n % 2;
            size_t row = forage_rng_integers(&rng, item ? 30 : 13), at = row * s.stride + forage_rng_integers(&rng, 7);
            float *number = (item ? s.table : s.h) + at, before = *number, by = 1e-3F;
            float have = (item ? s.d_table : s.d_h)[at], up = before + by, down = before - by;
            *number = up;
            double above = plain_step(&s);
            *number = down;
            double slope = (above - plain_step(&s)) / ((double)up - (double)down);
            *number = before;
            if (!(fabs((double)have - slope) <= 2e-6))
                fail_msg("kind %zu: a gradient is %.9g, not %.9g", kind, (double)have, slope);
        }
        free_step(&s);
    }
}

/* More positions than are done at once. */
static void many_positions(void **state)
{
    (void)state;
    forage_rng rng;
    forage_rng_seed(&rng, 9);
    for (size_t kind = 0; kind < KINDS; kind++) {
        step s = step_of(kind, 1217, 150, 16, 70);
        fill(&rng, &s, 1, 0.7);
        run(&s, device_of("cpu").isa, 2, 0);
        check_plain(&s, "many", 1e-5);
        free_step(&s);
    }
}

/* Scores of some hundreds: powers leave their range, and the greatest stand anywhere. */
static void great_scores(void **state)
{
    (void)state;
    static const double sizes[] = {5, 15, 40, 200};
    forage_rng rng;
    forage_rng_seed(&rng, 10);
    for (size_t kind = 0; kind < KINDS; kind++) {
        for (size_t i = 0; i < 12; i++) {
            step s = step_of(kind, 70, i < 8 ? 1300 : 3000, 16, 200);
            fill(&rng, &s, sizes[i % 4], 1);
            if (i >= 4) { /* later items have ever greater scores */
                for (size_t j = 0; j < s.spec.items; j++) {
                    for (size_t l = 0; l < s.stride; l++)
                        s.table[j * s.stride + l] *= (float)j / (float)s.spec.items;
                }
            }
            run(&s, device_of("cpu").isa, 2, 0);
            check_plain(&s, "great", 1e-5 * sizes[i % 4]);
            free_step(&s);
        }
    }
}

static void what_is_no_number_shows(void **state)
{
    (void)state;
    static const float bad[] = {INFINITY, -INFINITY, NAN, 3e38F, -3e38F};
    for (size_t kind = 0; kind < KINDS; kind++) {
        for (size_t i = 0; i < 15; i++) {
            forage_rng rng;
            step s = step_of(kind, 20, 70, 16, 10);
            nn_next_spec spec = s.spec;
            forage_rng_seed(&rng, 9);
            fill(&rng, &s, 1, 1);
            spec.isa = device_of("cpu").isa;
            spec.threads = 1;
            nn_next *next = loss_for(spec);
            float *number = i < 5 ? s.h + 37 : s.table + (i < 10 ? s.targets[7] * s.stride + 3 : 0);
            if (i >= 10) { /* a negative's, which for softmax all are */
                uint32_t item = s.spec.negatives ? s.drawn[3] : 69;
                if (s.spec.own)
                    item = s.drawn[13 * 10 + 3];
                number = s.table + item * s.stride + 5;
                for (size_t p = 0; p < 20; p++) { /* nobody's target, and every score has the same sign */
                    s.targets[p] = s.targets[p] == item ? (item + 1) % 70 : s.targets[p];
                    s.h[p * s.stride + 5] = fabsf(s.h[p * s.stride + 5]);
                }
            }
            float before = *number;
            *number = bad[i % 5];
            run_on(&s, next);
            bool harmless = s.spec.own && i >= 13; /* a negative that is hopeless, but has a score */
            if (isfinite(s.loss) && !harmless)
                fail_msg("kind %zu, case %zu: the loss is %.9g", kind, i, s.loss);
            if (s.spec.kind == NN_NEXT_SOFTMAX)
                assert_false(isfinite(nn_next_evaluate(next, 20, s.h, s.targets, s.table)));
            *number = before; /* and nothing of it stays */
            run_on(&s, next);
            check_plain(&s, "after what is none", 1e-5);
            nn_next_free(next);
            free_step(&s);
        }
    }
}

/* The object is used for steps of several sizes, and by any number of threads. */
static void threads_and_earlier_steps_change_nothing(void **state)
{
    (void)state;
    enum { MOST = 700, ITEMS = 2500, NEGATIVES = 300 };
    static const size_t counts[] = {MOST, 5, 600, 64, 1, MOST - 1}, draws[] = {NEGATIVES, 7, 65, 128, 1, 200};
    forage_rng rng;
    forage_rng_seed(&rng, 10);
    for (size_t kind = 0; kind < KINDS; kind++) {
        step s = step_of(kind, MOST, ITEMS, 24, NEGATIVES), o = step_of(kind, MOST, ITEMS, 24, NEGATIVES);
        size_t h_size = MOST * s.stride, table_size = ITEMS * s.stride;
        nn_next *all[3];
        fill(&rng, &s, 6, 1);
        memcpy(o.h, s.h, h_size * sizeof *s.h);
        memcpy(o.table, s.table, table_size * sizeof *s.table);
        memcpy(o.log_q, s.log_q, ITEMS * sizeof *s.log_q);
        memcpy(o.targets, s.targets, MOST * sizeof *s.targets);
        memcpy(o.drawn, s.drawn, s.negative_count * sizeof *s.drawn);
        for (size_t t = 0; t < 3; t++) {
            nn_next_spec spec = s.spec;
            spec.isa = device_of("cpu").isa;
            spec.threads = (int)t + 1;
            all[t] = loss_for(spec);
        }
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            s.spec.positions = o.spec.positions = counts[i];
            if (s.spec.negatives)
                s.spec.negatives = o.spec.negatives = s.negatives.count = o.negatives.count = draws[i];
            run_on(&s, all[0]);
            for (size_t t = 1; t < 3; t++) {
                run_on(&o, all[t]);
                assert_memory_equal(&s.loss, &o.loss, sizeof s.loss);
                assert_memory_equal(s.d_h, o.d_h, counts[i] * s.stride * sizeof *s.d_h);
                assert_memory_equal(s.d_table, o.d_table, table_size * sizeof *s.d_table);
            }
            double value = nn_next_evaluate(all[0], MOST, s.h, s.targets, s.table);
            for (size_t t = 1; t < 3; t++) {
                double again = nn_next_evaluate(all[t], MOST, s.h, s.targets, s.table);
                assert_memory_equal(&value, &again, sizeof value);
            }
        }
        for (size_t t = 0; t < 3; t++)
            nn_next_free(all[t]);
        free_step(&s);
        free_step(&o);
    }
}

/* Rows that are listed have a gradient added; the others are not written. */
/* Positions in pieces, the last ones first. */
static void parts_are_the_whole(void **state)
{
    (void)state;
    forage_rng rng;
    forage_rng_seed(&rng, 12);
    for (size_t kind = 0; kind < KINDS; kind++) {
        if (!kinds[kind].own)
            continue;
        enum { POSITIONS = 53, PIECE = 10 };
        step s = step_of(kind, POSITIONS, 40, 20, 3);
        nn_next_spec spec = s.spec;
        spec.threads = 1;
        nn_next *next = loss_for(spec);
        fill(&rng, &s, 1, 0.7);
        run_on(&s, next);
        float *d_h = zeros(POSITIONS * s.stride, sizeof *d_h), *d_table = zeros(40 * s.stride, sizeof *d_table);
        nn_next_begin(next, POSITIONS, s.h, s.targets, &s.negatives, s.table, d_h, d_table);
        for (size_t end = POSITIONS, first; end > 0; end = first) {
            first = end > PIECE ? end - PIECE : 0;
            nn_next_positions(next, first, end - first);
        }
        assert_true(nn_next_end(next) == s.loss);
        assert_memory_equal(d_h, s.d_h, POSITIONS * s.stride * sizeof *d_h);
        assert_memory_equal(d_table, s.d_table, 40 * s.stride * sizeof *d_table);
        forage_free(d_h);
        forage_free(d_table);
        nn_next_free(next);
        free_step(&s);
    }
}

static void touched_rows_are_listed(void **state)
{
    (void)state;
    enum { ITEMS = 400 };
    forage_rng rng;
    forage_rng_seed(&rng, 11);
    for (size_t kind = 0; kind < KINDS; kind++) {
        step s = step_of(kind, 66, ITEMS, 16, 5);
        bool listed[ITEMS] = {false};
        nn_next_spec spec = s.spec;
        size_t count = 0, want = 0;
        fill(&rng, &s, 1, 1);
        spec.isa = device_of("cpu").isa;
        spec.threads = 2;
        nn_next *next = loss_for(spec);
        (void)plain_step(&s);
        for (int round = 0; round < 2; round++) {
            for (size_t i = 0; i < ITEMS * s.stride; i++)
                s.d_table[i] = 0.125F;
            s.loss = nn_next_run(next, 66, s.h, s.targets, &s.negatives, s.table, s.d_h, s.d_table);
        }
        const uint32_t *rows = nn_next_touched(next, &count);
        if (s.spec.kind == NN_NEXT_SOFTMAX) {
            assert_null(rows);
            assert_int_equal(count, ITEMS);
        } else {
            for (size_t i = 0; i < count; i++) {
                assert_true(rows[i] < ITEMS && !listed[rows[i]]);
                listed[rows[i]] = true;
            }
        }
        for (size_t i = 0; i < ITEMS; i++) {
            bool used = rows == NULL;
            for (size_t p = 0; p < 66; p++)
                used |= s.targets[p] == i;
            for (size_t j = 0; j < s.negative_count; j++)
                used |= s.drawn[j] == i;
            want += used;
            assert_true(rows == NULL || used == listed[i]);
            for (size_t j = 0; j < s.stride; j++) {
                double more = (double)s.d_table[i * s.stride + j] - 0.125;
                assert_true(used ? fabs(more - s.want_table[i * s.stride + j]) < 1e-6 : more == 0);
            }
        }
        assert_int_equal(count, want);
        nn_next_free(next);
        free_step(&s);
    }
}

static void evaluation_is_the_full_softmax(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 64, 65, 777};
    forage_rng rng;
    forage_rng_seed(&rng, 12);
    for (size_t kind = 0; kind < KINDS; kind++) {
        for (size_t i = 0; i < 4; i++) {
            step s = step_of(0, counts[i], 321, 20, 0);
            nn_next_spec spec = kinds[kind];
            spec.positions = 100; /* fewer than there are */
            spec.items = 321;
            spec.width = 20;
            spec.negatives = 3;
            spec.isa = device_of(i % 2 ? "cpu" : "cpu:portable").isa;
            spec.threads = 2;
            fill(&rng, &s, i == 3 ? 20 : 1, 1);
            nn_next *next = loss_for(spec);
            double want = plain_step(&s), have = nn_next_evaluate(next, counts[i], s.h, s.targets, s.table);
            assert_true(fabs(have - want) <= 3e-6 * (0.1 + fabs(want)));
            nn_next_free(next);
            free_step(&s);
        }
    }
}

static void allocations_may_fail(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        nn_next_spec spec = kinds[kind];
        spec.positions = 65;
        spec.items = 70;
        spec.width = 16;
        spec.negatives = 3;
        spec.isa = device_of("cpu").isa;
        spec.threads = 2;
        for (uint64_t nth = 1;; nth++) {
            forage_error error = {0};
            nn_next *next = NULL;
            forage_alloc_fail_at(nth);
            forage_status status = nn_next_create(&spec, &next, &error);
            uint64_t asked = forage_alloc_fail_at(0);
            if (status == FORAGE_OK) {
                assert_true(asked < nth && nth > 8);
                nn_next_free(next);
                break;
            }
            assert_int_equal(status, FORAGE_NO_MEMORY);
            assert_null(next);
            assert_true(error.message[0] != '\0');
        }
        /* What no machine has. */
        forage_error error = {0};
        nn_next *next = NULL;
        spec.positions = spec.own ? SIZE_MAX / 8 : 64;
        spec.negatives = SIZE_MAX / 64;
        spec.items = spec.kind == NN_NEXT_SOFTMAX ? SIZE_MAX / 64 : 70;
        assert_int_equal(nn_next_create(&spec, &next, &error), FORAGE_NO_MEMORY);
        assert_null(next);
    }
    nn_next_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_those_of_pytorch),
        cmocka_unit_test(any_size),
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(many_positions),
        cmocka_unit_test(great_scores),
        cmocka_unit_test(what_is_no_number_shows),
        cmocka_unit_test(threads_and_earlier_steps_change_nothing),
        cmocka_unit_test(parts_are_the_whole),
        cmocka_unit_test(touched_rows_are_listed),
        cmocka_unit_test(evaluation_is_the_full_softmax),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests_name("next", tests, NULL, NULL);
}
