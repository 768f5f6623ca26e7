/*
 * test_sasrec.c: steps of the next-item transformer against PyTorch (tests/golden/sasrec.py) and against differences of
 * the loss; what it draws; how histories are read.
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
#include "learned.h"
#include "model/front.h"
#include "model/sasrec_train.h"

/* ---- a state, and histories to learn from ---- */

enum { PARTS = 8, LONGEST = 8 };

typedef struct bench {
    forage_schema schema;
    forage_params *params;
    forage_device device;
    model_setup setup;
    model_state *state;
    sasrec_negatives negatives;
    sasrec_trainer *trainer;
    size_t count;
    uint32_t items[PARTS * LONGEST], sorted[PARTS * LONGEST];
    sasrec_part parts[PARTS];
    const sasrec_part *chosen[PARTS];
} bench;

static void set_params(forage_params *params, const char *list)
{
    forage_error error = {0};
    char text[512], *rest = text, *entry;
    (void)snprintf(text, sizeof text, "%s", list);
    while ((entry = strtok_r(rest, " ", &rest)) != NULL) {
        char *value = strchr(entry, '=');
        assert_non_null(value);
        *value = '\0';
        must(forage_params_set(params, entry, value + 1, &error), &error);
    }
}

/* A schema of `items`, and parameters; no state yet. */
static void bench_open(bench *b, size_t items, const char *params, int threads)
{
    forage_error error = {0};
    *b = (bench){0};
    must(model_schema_numbered(0, items, &b->schema, &error), &error);
    must(forage_params_create(&model_sasrec.info.table, &b->params, &error), &error);
    set_params(b->params, params);
    must(forage_device_open("auto", threads, &b->device, &error), &error);
    b->setup = (model_setup){b->params, &b->schema, &b->device, 7};
}

static int rising(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Histories of lengths[count], one behind the other. */
static void bench_learn_from(bench *b, const uint32_t *items, const uint32_t *lengths, size_t count)
{
    forage_error error = {0};
    size_t at = 0;
    b->count = count;
    for (size_t p = 0; p < count; at += lengths[p], p++) {
        memcpy(b->items + at, items + at, lengths[p] * sizeof *items);
        memcpy(b->sorted + at, items + at, lengths[p] * sizeof *items);
        qsort(b->sorted + at, lengths[p], sizeof *items, rising);
        b->parts[p] = (sasrec_part){b->items + at, b->sorted + at, lengths[p] - 1, lengths[p]};
        b->chosen[p] = &b->parts[p];
    }
    double given = forage_params_real(b->state->params, "dropout");
    must(sasrec_trainer_create(b->state, PARTS, at, given < 0 ? 0.2 : given, &b->negatives, &b->trainer, &error),
         &error);
}

static void bench_close(bench *b)
{
    sasrec_trainer_free(b->trainer);
    model_sasrec.free(b->state);
    forage_params_free(b->params);
    model_schema_release(&b->schema);
}

/* Rows of `have`, `pitch` apart, against [rows, width]: within `tolerance` of the largest number. */
static void compare(const char *what, const float *have, size_t pitch, const float *want, size_t rows, size_t width,
                    float tolerance)
{
    float largest = 0;
    for (size_t i = 0; i < rows * width; i++)
        largest = fmaxf(largest, fabsf(want[i]));
    assert_true(largest > 0);
    for (size_t i = 0; i < rows * width; i++) {
        float number = have[i / width * pitch + i % width];
        if (!(fabsf(number - want[i]) <= tolerance * largest))
            fail_msg("%s: row %zu, column %zu is %.9g, not %.9g", what, i / width, i % width, (double)number,
                     (double)want[i]);
    }
}

/* ---- PyTorch's numbers ---- */

static nn_checkpoint *golden(const char *name)
{
    const char *source = getenv("FORAGE_SOURCE");
    char path[512];
    nn_checkpoint *file = NULL;
    forage_error error = {0};
    (void)snprintf(path, sizeof path, "%s/tests/golden/%s", source ? source : "..", name);
    must(nn_checkpoint_load(path, &file, &error), &error);
    return file;
}

static float *floats_of(const nn_checkpoint *file, const char *name)
{
    forage_error error = {0};
    const nn_tensor *tensor = nn_checkpoint_find(file, name);
    assert_non_null(tensor);
    float *made = forage_alloc(tensor->size / sizeof *made, sizeof *made);
    assert_non_null(made);
    must(nn_checkpoint_read_weights(file, name, tensor->rank, tensor->shape, made, &error), &error);
    return made;
}

static size_t codes_of(const nn_checkpoint *file, const char *name, uint32_t *codes)
{
    forage_error error = {0};
    int64_t wide[PARTS * LONGEST];
    const nn_tensor *tensor = nn_checkpoint_find(file, name);
    assert_true(tensor && tensor->size <= sizeof wide);
    size_t count = tensor->size / sizeof *wide;
    must(nn_checkpoint_read(file, name, NN_I64, 1, &count, wide, &error), &error);
    for (size_t i = 0; i < count; i++)
        codes[i] = (uint32_t)wide[i];
    return count;
}

/* All weights, or something laid out as they are, against tensors behind `prefix`. */
static void compare_weights(const bench *b, const nn_checkpoint *file, const char *prefix, const float *table,
                            const float *encoder, const float *positions, float tolerance)
{
    const model_state *state = b->state;
    forage_error error = {0};
    char name[100];
    const char *names[2] = {"item_embedding.weight", "position_embedding.weight"};
    const float *have[2] = {table, positions};
    size_t rows[2] = {state->items, state->length};
    for (size_t t = 0; t < 2; t++) {
        (void)snprintf(name, sizeof name, "%s%s", prefix, names[t]);
        float *want = floats_of(file, name);
        compare(name, have[t], state->pitch, want, rows[t], state->width, tolerance);
        forage_free(want);
    }
    (void)snprintf(name, sizeof name, "%sencoder.", prefix);
    float *want = forage_calloc(state->encoder->value_count, sizeof *want);
    assert_non_null(want);
    must(nn_encoder_load(state->encoder, file, name, want, &error), &error);
    compare(name, encoder, state->encoder->value_count, want, 1, state->encoder->value_count, tolerance);
    forage_free(want);
}

static void check_scores(const bench *b, const nn_checkpoint *file, const uint32_t *lengths, size_t count)
{
    const model_state *state = b->state;
    model_subject subjects[PARTS] = {0};
    const uint32_t *at = b->items;
    for (size_t p = 0; p < count; at += lengths[p], p++)
        subjects[p] = (model_subject){.user = FORAGE_NONE, .items = at, .count = lengths[p]};
    void *scratch = forage_alloc(1, model_sasrec.catalogue->scratch_size(state, count));
    float *out = forage_alloc(state->items, MODEL_SUBJECTS * sizeof *out), have[PARTS * 13];
    assert_true(scratch && out && state->items == 13);
    model_sasrec.catalogue->prepare(state, subjects, count, scratch);
    model_sasrec.catalogue->score(state, scratch, count, 0, state->items, out);
    for (size_t p = 0; p < count; p++) {
        for (size_t i = 0; i < state->items; i++)
            have[p * state->items + i] = out[i * MODEL_SUBJECTS + p];
    }
    float *want = floats_of(file, "scores");
    compare("scores", have, state->items, want, count, state->items, 1e-5F);
    forage_free(want);
    forage_free(scratch);
    forage_free(out);
}

static void check_torch(const char *name, const char *params, int threads)
{
    forage_error error = {0};
    uint32_t items[PARTS * LONGEST], lengths[PARTS * LONGEST];
    nn_checkpoint *file = golden(name);
    size_t users = 1, item_count = 0, count = codes_of(file, "lengths", lengths);
    bool mine = false;
    bench b;
    (void)codes_of(file, "items", items);
    bench_open(&b, 13, params, threads);
    must(model_sasrec.recognise(file, b.params, &users, &item_count, &mine, &error), &error);
    assert_true(mine && users == 0 && item_count == 13);
    must(model_sasrec.load(&b.setup, file, &b.state, &error), &error);
    bench_learn_from(&b, items, lengths, count);
    check_scores(&b, file, lengths, count);

    float *losses = floats_of(file, "losses");
    double loss = sasrec_trainer_gradient(b.trainer, b.chosen, count);
    assert_true(fabs(loss - (double)losses[0]) < 2e-6 * (double)losses[0]);
    compare_weights(&b, file, "gradient.", b.trainer->gradient, b.trainer->dense,
                    b.trainer->dense + b.state->encoder->value_count, 5e-6F);
    memset(b.trainer->gradient, 0, b.trainer->table_count * sizeof(float));
    for (size_t step = 0; step < 3; step++) {
        loss = sasrec_trainer_step(b.trainer, b.chosen, count, 0.01);
        assert_true(fabs(loss - (double)losses[step]) < 2e-5 * (double)losses[step]);
    }
    compare_weights(&b, file, "after.", b.state->table, b.state->encoder->values, b.state->positions, 1e-4F);
    forage_free(losses);
    bench_close(&b);
    nn_checkpoint_free(file);
}

static void steps_are_those_of_pytorch(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        check_torch("sasrec_pre.safetensors", "heads=2 dropout=0 epsilon=1e-4", threads);
        check_torch(
            "sasrec_post.safetensors",
            "activation=gelu input-scale=one dropout=0 epsilon=1e-4 clip=0.5 weight-decay=0.03 embedding-decay=0.03",
            threads);
    }
}

/* ---- differences of the loss ---- */

/* Uniform negatives among all items. */
static void give_negatives(bench *b, size_t items, size_t draws)
{
    b->negatives = (sasrec_negatives){.count = items};
    b->negatives.items = forage_alloc(items, sizeof(uint32_t));
    b->negatives.log_q = forage_alloc(items, sizeof(float));
    assert_true(b->negatives.items && b->negatives.log_q);
    for (size_t i = 0; i < items; i++) {
        b->negatives.items[i] = (uint32_t)i;
        b->negatives.log_q[i] = logf((float)draws / (float)items);
    }
}

/* The gradient's share of a random direction against the loss on both sides. Dropout and negatives are those of the
 * step, the same in all three. `step`: small where the activation has edges, which a larger one would cross. */
static void check_difference(const char *params, int threads, double step)
{
    static const uint32_t lengths[] = {2, 5, 8, 3};
    enum { ITEMS = 19 };
    uint32_t items[18];
    forage_error error = {0};
    forage_rng rng;
    bench b;
    bench_open(&b, ITEMS, params, threads);
    must(model_sasrec.create(&b.setup, &b.state, &error), &error);
    forage_rng_seed(&rng, 4);
    for (size_t i = 0; i < 18; i++)
        items[i] = (uint32_t)forage_rng_integers(&rng, ITEMS);
    give_negatives(&b, ITEMS, 6);
    model_state *state = b.state;
    for (size_t i = 0; i < state->items * state->pitch; i++) /* scores that are not all alike */
        state->table[i] *= 20;
    bench_learn_from(&b, items, lengths, 4);
    float *const weights[] = {state->table, state->encoder->values, state->positions};
    const size_t counts[] = {state->items * state->pitch, state->encoder->value_count, state->length * state->pitch};
    float *learned = learned_of(state->encoder);
    for (size_t kind = 0; kind < 3; kind++) {
        double losses[2], along = 0;
        size_t moved = 0;
        float *direction = forage_calloc(counts[kind], sizeof *direction), *kept = forage_alloc(counts[kind], 4);
        (void)sasrec_trainer_gradient(b.trainer, b.chosen, 4);
        const float *gradient = kind == 0   ? b.trainer->gradient
                                : kind == 1 ? b.trainer->dense
                                            : b.trainer->dense + counts[1];
        assert_true(direction && kept);
        memcpy(kept, weights[kind], counts[kind] * sizeof *kept);
        for (size_t i = 0; i < counts[kind]; i++) {
            bool padding = kind == 1 ? learned[i] == 0 : i % state->pitch >= state->width;
            if (padding)
                assert_true(gradient[i] == 0);
            else
                direction[i] = (float)forage_rng_normal(&rng);
            moved += !padding;
            along += (double)direction[i] * (double)gradient[i];
        }
        assert_true(moved > 0 && fabs(along) > 1e-3);
        memset(b.trainer->gradient, 0, counts[0] * sizeof(float));
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < counts[kind]; i++)
                weights[kind][i] = kept[i] + (float)(side ? step : -step) * direction[i];
            sasrec_refresh(state);
            losses[side] = sasrec_trainer_gradient(b.trainer, b.chosen, 4);
            memset(b.trainer->gradient, 0, counts[0] * sizeof(float));
        }
        double slope = (losses[1] - losses[0]) / (2 * step);
        if (!(fabs(slope - along) < 0.02 * fabs(along) + 2e-3))
            fail_msg("%s: weights %zu: slope %g, gradient %g", params, kind, slope, along);
        memcpy(weights[kind], kept, counts[kind] * sizeof *kept);
        sasrec_refresh(state);
        forage_free(direction);
        forage_free(kept);
    }
    forage_free(learned);
    forage_free(b.negatives.items);
    forage_free(b.negatives.log_q);
    bench_close(&b);
}

static void gradients_are_differences_of_the_loss(void **state)
{
    (void)state;
    check_difference("embedding-size=12 heads=3 max-length=8 dropout=0 activation=gelu", 1, 2e-3);
    check_difference("embedding-size=16 max-length=8 dropout=0.3 activation=gelu norm=post inner-size=20", 2, 2e-3);
    check_difference("loss=sampled negatives=6 embedding-size=20 max-length=8 dropout=0.1 activation=gelu", 1, 2e-3);
    check_difference("loss=bce negatives=2 embedding-size=20 max-length=8 dropout=0 activation=gelu", 2, 2e-3);
    check_difference("loss=gbce negatives=6 embedding-size=16 max-length=8 dropout=0 activation=gelu", 1, 2e-3);
    check_difference("embedding-size=12 heads=3 max-length=8 dropout=0", 1, 2e-4);
    check_difference("embedding-size=16 blocks=1 max-length=8 dropout=0.2 activation=leaky-relu", 2, 2e-4);
}

/* ---- lazy updates ---- */

/* Rows that a step does not look at stay where they are, and only with lazy updates. */
static void lazy_updates_move_what_was_looked_at(void **state)
{
    (void)state;
    for (int lazy = 0; lazy < 2; lazy++) {
        static const uint32_t items[] = {1, 4, 2, 7, 4, 9}, lengths[] = {3, 3};
        forage_error error = {0};
        bench b;
        bench_open(&b, 40,
                   lazy ? "loss=bce negatives=1 max-length=8 embedding-updates=lazy embedding-decay=0.01"
                        : "loss=bce negatives=1 max-length=8 embedding-decay=0.01",
                   2);
        must(model_sasrec.create(&b.setup, &b.state, &error), &error);
        give_negatives(&b, 12, 1);
        bench_learn_from(&b, items, lengths, 2);
        size_t row = b.state->pitch, moved = 0;
        float *before = forage_alloc(40 * row, sizeof *before);
        assert_non_null(before);
        memcpy(before, b.state->table, 40 * row * sizeof *before);
        (void)sasrec_trainer_step(b.trainer, b.chosen, 2, 0.01);
        sasrec_trainer_settle(b.trainer);
        for (size_t i = 0; i < 40; i++) {
            bool same = memcmp(before + i * row, b.state->table + i * row, row * sizeof *before) == 0;
            moved += !same;
            for (size_t e = 0; e < 6; e++)
                assert_true(!same || i != items[e]);
            assert_true(!lazy || i < 12 || same);
        }
        assert_true(lazy ? moved <= 9 : moved == 40);
        for (size_t i = 0; i < b.trainer->table_count; i++) /* what the next step adds to */
            assert_true(b.trainer->gradient[i] == 0);
        forage_free(before);
        forage_free(b.negatives.items);
        forage_free(b.negatives.log_q);
        bench_close(&b);
    }
}

/* ---- rows that wait ---- */

enum { WAITING_ITEMS = 70, WAITING_PARTS = 4 };

static void open_waiting(bench *b, const char *params, int threads)
{
    static const uint32_t lengths[WAITING_PARTS] = {2, 5, 8, 3};
    forage_error error = {0};
    uint32_t items[PARTS * LONGEST] = {0};
    bench_open(b, WAITING_ITEMS, params, threads);
    must(model_sasrec.create(&b->setup, &b->state, &error), &error);
    give_negatives(b, WAITING_ITEMS, 3);
    bench_learn_from(b, items, lengths, WAITING_PARTS);
}

/* Others in each step, never all. */
static void other_items(bench *b, forage_rng *rng)
{
    for (size_t i = 0; i < 18; i++)
        b->items[i] = (uint32_t)(forage_rng_integers(rng, 8) * forage_rng_integers(rng, 8));
}

static void close_waiting(bench *b)
{
    forage_free(b->negatives.items);
    forage_free(b->negatives.log_q);
    bench_close(b);
}

/* A step, and a pass over the whole table beside it. */
static void step_densely(bench *b, double rate)
{
    sasrec_trainer *trainer = b->trainer;
    size_t numbers = trainer->table_count, bytes = numbers * sizeof(float);
    float *copies[4];
    float *const of[4] = {b->state->table, trainer->mean, trainer->square, trainer->gradient};
    (void)sasrec_trainer_gradient(trainer, b->chosen, WAITING_PARTS);
    for (size_t i = 0; i < 4; i++) {
        copies[i] = forage_alloc(numbers, sizeof(float));
        assert_non_null(copies[i]);
        memcpy(copies[i], of[i], bytes);
    }
    memset(trainer->gradient, 0, bytes);
    assert_true(isfinite(sasrec_trainer_step(trainer, b->chosen, WAITING_PARTS, rate)));
    sasrec_trainer_settle(trainer);
    trainer->kernels->scale(numbers, trainer->shrink, copies[3]);
    trainer->kernels->adam(numbers, &trainer->table_step, copies[3], NULL, copies[0], copies[1], copies[2]);
    for (size_t i = 0; i < 4; i++) {
        if (i < 3)
            assert_memory_equal(copies[i], of[i], bytes);
        forage_free(copies[i]);
    }
}

/* Rows that move when they are looked at end where passes over the whole table lead, to the byte. */
static void rows_that_wait_miss_nothing(void **state)
{
    (void)state;
    static const char *const kinds[] = {
        "loss=bce negatives=1 embedding-size=12",
        "loss=sampled negatives=3 embedding-size=16 clip=0.05",
        "loss=gbce negatives=3 embedding-size=20 embedding-decay=0.02",
        "loss=bce negatives=2 embedding-size=16 embedding-decay=0.02 decay=decoupled beta2=0.9",
    };
    for (size_t k = 0; k < 4; k++) {
        char params[200];
        forage_rng rng, same;
        bench dense, waiting;
        (void)snprintf(params, sizeof params, "%s max-length=8 inner-size=8 blocks=1", kinds[k]);
        open_waiting(&dense, params, 1);
        open_waiting(&waiting, params, 2);
        forage_rng_seed(&rng, k);
        same = rng;
        size_t steps = k ? 40 : SASREC_STEPS_KEPT + 40; /* more than are kept */
        for (size_t step = 0; step < steps; step++) {
            double rate = 0.01 / (1 + 0.1 * (double)step);
            other_items(&dense, &rng);
            other_items(&waiting, &same);
            step_densely(&dense, rate);
            (void)sasrec_trainer_step(waiting.trainer, waiting.chosen, WAITING_PARTS, rate);
            if (step == 17)
                sasrec_trainer_settle(waiting.trainer);
        }
        size_t bytes = dense.trainer->table_count * sizeof(float);
        assert_true(memcmp(dense.state->table, waiting.state->table, bytes) != 0);
        sasrec_trainer_settle(waiting.trainer);
        assert_memory_equal(dense.state->table, waiting.state->table, bytes);
        assert_memory_equal(dense.trainer->mean, waiting.trainer->mean, bytes);
        assert_memory_equal(dense.trainer->square, waiting.trainer->square, bytes);
        close_waiting(&dense);
        close_waiting(&waiting);
    }
}

/* ---- histories ---- */

static float score_of(const model_state *state, const uint32_t *items, const float *weights, size_t count,
                      uint32_t item)
{
    const model_subject subject = {.user = FORAGE_NONE, .items = items, .weights = weights, .count = count};
    void *scratch = forage_alloc(1, model_sasrec.catalogue->scratch_size(state, 1));
    float *out = forage_alloc(MODEL_BLOCK, sizeof *out);
    assert_true(scratch && out);
    model_sasrec.catalogue->prepare(state, &subject, 1, scratch);
    model_sasrec.catalogue->score(state, scratch, 1, item, 1, out);
    float score = out[0];
    forage_free(scratch);
    forage_free(out);
    return score;
}

static void the_newest_items_count(void **unused)
{
    static const uint32_t history[] = {3, 1, 4, 1, 5, 9, 2, 6};
    forage_error error = {0};
    bench b;
    (void)unused;
    bench_open(&b, 10, "embedding-size=12 heads=2 max-length=5", 1);
    must(model_sasrec.create(&b.setup, &b.state, &error), &error);
    float *table = b.state->table;
    for (size_t i = 0; i < b.state->items * b.state->pitch; i++)
        table[i] *= 20;
    sasrec_refresh(b.state);
    const float whole = score_of(b.state, history, NULL, 8, 7);
    assert_true(whole == score_of(b.state, history + 3, NULL, 5, 7)); /* a history longer than the window */
    assert_true(whole != score_of(b.state, history + 4, NULL, 4, 7)); /* which counts from its beginning */
    const uint32_t swapped[] = {3, 1, 4, 1, 5, 9, 6, 2}, odd[] = {1, 5, 99, 9, FORAGE_NONE, 2, 6, 8};
    const float rewards[] = {1, 1, 1, 1, 1, 1, 1, 0};
    assert_true(whole != score_of(b.state, swapped, NULL, 8, 7)); /* order matters */
    assert_true(whole == score_of(b.state, odd, rewards, 8, 7));  /* unknown, or not chosen: not there */
    assert_true(score_of(b.state, NULL, NULL, 0, 7) == 0);        /* nothing was fitted: no average */
    for (size_t j = 0; j < b.state->width; j++)
        b.state->average[j] = 1;
    float sum = score_of(b.state, odd + 2, NULL, 1, 7), want = 0;
    for (size_t j = 0; j < b.state->width; j++)
        want += table[7 * b.state->pitch + j];
    assert_true(fabsf(sum - want) < 1e-6F); /* nothing that is known: the average */
    bench_close(&b);
}

/* Rows as they are scored one by one have the bytes of the catalogue, whatever stands beside them. */
static void rows_score_as_the_catalogue_does(void **unused)
{
    enum { EVENTS = 40, ROWS = 60, ITEMS = 10 };
    forage_error error = {0};
    forage_rng rng;
    uint32_t events[EVENTS], items[ROWS];
    size_t begin[ROWS] = {0}, end[ROWS] = {0}, offsets[2] = {0, EVENTS};
    float mean[ROWS], deviation[ROWS];
    bench b;
    (void)unused;
    bench_open(&b, ITEMS, "embedding-size=12 heads=2 max-length=7", 1);
    must(model_sasrec.create(&b.setup, &b.state, &error), &error);
    forage_rng_seed(&rng, 8);
    for (size_t e = 0; e < EVENTS; e++)
        events[e] = (uint32_t)forage_rng_integers(&rng, ITEMS);
    for (size_t i = 0; i < ROWS; i++) {
        items[i] = (uint32_t)forage_rng_integers(&rng, ITEMS + 1); /* one of them unknown */
        begin[i] = i % 4 ? begin[i - 1] : forage_rng_integers(&rng, EVENTS - 12);
        end[i] = i % 4 ? end[i - 1] : begin[i] + forage_rng_integers(&rng, 12);
    }
    const uint32_t *codes[] = {events}, *columns[] = {items};
    const forage_past past = {.sequences = 1, .offsets = offsets, .codes = codes, .begin = begin, .end = end};
    const forage_examples examples = {.count = ROWS, .codes = columns, .past = &past};
    void *scratch = forage_alloc(1, model_sasrec.scratch_size(b.state));
    assert_non_null(scratch);
    model_sasrec.score(b.state, &examples, scratch, mean, deviation);
    for (size_t i = 0; i < ROWS; i++) {
        assert_true(isnan(deviation[i]) && isfinite(mean[i]));
        if (items[i] < ITEMS)
            assert_true(mean[i] == score_of(b.state, events + begin[i], NULL, end[i] - begin[i], items[i]));
    }
    forage_free(scratch);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_those_of_pytorch),           cmocka_unit_test(gradients_are_differences_of_the_loss),
        cmocka_unit_test(lazy_updates_move_what_was_looked_at), cmocka_unit_test(the_newest_items_count),
        cmocka_unit_test(rows_score_as_the_catalogue_does),     cmocka_unit_test(rows_that_wait_miss_nothing),
    };
    return cmocka_run_group_tests_name("sasrec", tests, NULL, NULL);
}
