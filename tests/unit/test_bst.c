/*
 * test_bst.c: the behaviour sequence transformer: forward and backward against PyTorch's numbers, the same bytes for
 * any number of threads, no look into the future, and that it learns what only a history tells.
 *
 *     test_bst                              runs the tests
 *     test_bst MODEL CHECKPOINT SCORES      fits model a, b or c, writes it, and the log with its scores, for PyTorch
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
#include "model/bst.h"
#include "model/front.h"

/* Sizes of tests/golden/bst.py. */
enum { ITEMS = 9, CATEGORIES = 4, GENDERS = 2, DEVICES = 3, USERS = 6, EVENTS = 40, EXAMPLES = 37 };

static void *array(size_t count, size_t size)
{
    void *made = forage_calloc(count + 1, size);
    assert_non_null(made);
    return made;
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

/* ---- against PyTorch -------------------------------------------------------------------------- */

enum { ITEM, CATEGORY, PRICE, GENDER, AGE, DEVICE, FIELDS };

/* The golden log as a model sees it, and a model over it. */
typedef struct fixture {
    nn_checkpoint *file;
    forage_field fields[FIELDS];
    forage_schema schema;
    forage_device device;
    forage_params *params;
    model_setup setup;
    model_state *state;
    size_t events; /* that are history: all, or the clicks */
    size_t offsets[USERS + 1], begin[EXAMPLES], end[EXAMPLES];
    uint32_t past_codes[FIELDS][EVENTS], codes[FIELDS][EXAMPLES], rows[EXAMPLES];
    float past_values[FIELDS][EVENTS], values[FIELDS][EXAMPLES];
    float past_reward[EVENTS], reward[EXAMPLES];
    int64_t past_time[EVENTS], time[EXAMPLES];
    const uint32_t *past_code_columns[FIELDS], *code_columns[FIELDS];
    const float *past_value_columns[FIELDS], *value_columns[FIELDS];
    forage_past past;
    forage_examples examples;
} fixture;

static void read_whole(const fixture *f, const char *name, size_t count, int64_t *out)
{
    forage_error error = {0};
    must(nn_checkpoint_read(f->file, name, NN_I64, 1, &count, out, &error), &error);
}

static void read_real(const fixture *f, const char *name, size_t count, float *out)
{
    forage_error error = {0};
    must(nn_checkpoint_read(f->file, name, NN_F32, 1, &count, out, &error), &error);
}

static void read_codes(const fixture *f, const char *name, size_t count, uint32_t *out)
{
    int64_t whole[EVENTS];
    read_whole(f, name, count, whole);
    for (size_t i = 0; i < count; i++)
        out[i] = (uint32_t)whole[i];
}

/* What came before, with or without the refusals. */
static void read_past(fixture *f, bool refusals)
{
    int64_t offsets[USERS + 1], begin[EXAMPLES], end[EXAMPLES], time[EVENTS], reward[EVENTS];
    uint32_t item[EVENTS], category[EVENTS];
    float price[EVENTS];
    size_t place[EVENTS + 1]; /* how many of the events before this one are history */
    read_whole(f, "past.offsets", USERS + 1, offsets);
    read_whole(f, "past.begin", EXAMPLES, begin);
    read_whole(f, "past.end", EXAMPLES, end);
    read_whole(f, "past.time", EVENTS, time);
    read_whole(f, "past.reward", EVENTS, reward);
    read_codes(f, "past.item", EVENTS, item);
    read_codes(f, "past.category", EVENTS, category);
    read_real(f, "past.price", EVENTS, price);
    f->events = 0;
    for (size_t e = 0; e < EVENTS; e++) {
        place[e] = f->events;
        if (!refusals && !reward[e])
            continue;
        f->past_codes[ITEM][f->events] = item[e];
        f->past_codes[CATEGORY][f->events] = category[e];
        f->past_values[PRICE][f->events] = price[e];
        f->past_reward[f->events] = (float)reward[e];
        f->past_time[f->events++] = time[e];
    }
    place[EVENTS] = f->events;
    for (size_t u = 0; u <= USERS; u++)
        f->offsets[u] = place[offsets[u]];
    for (size_t i = 0; i < EXAMPLES; i++) {
        f->begin[i] = place[begin[i]];
        f->end[i] = place[end[i]];
    }
    f->past_code_columns[ITEM] = f->past_codes[ITEM];
    f->past_code_columns[CATEGORY] = f->past_codes[CATEGORY];
    f->past_value_columns[PRICE] = f->past_values[PRICE];
    f->past = (forage_past){.sequences = USERS,
                            .offsets = f->offsets,
                            .codes = f->past_code_columns,
                            .values = f->past_value_columns,
                            .reward = f->past_reward,
                            .time = f->past_time,
                            .begin = f->begin,
                            .end = f->end};
}

static void read_examples(fixture *f)
{
    static const struct {
        int field;
        const char *name;
    } words[] = {{ITEM, "item"}, {CATEGORY, "category"}, {GENDER, "gender"}, {DEVICE, "device"}},
      numbers[] = {{PRICE, "price"}, {AGE, "age"}};
    for (size_t i = 0; i < 4; i++) {
        read_codes(f, words[i].name, EXAMPLES, f->codes[words[i].field]);
        f->code_columns[words[i].field] = f->codes[words[i].field];
    }
    for (size_t i = 0; i < 2; i++) {
        read_real(f, numbers[i].name, EXAMPLES, f->values[numbers[i].field]);
        f->value_columns[numbers[i].field] = f->values[numbers[i].field];
    }
    read_real(f, "reward", EXAMPLES, f->reward);
    read_whole(f, "time", EXAMPLES, f->time);
    for (uint32_t i = 0; i < EXAMPLES; i++)
        f->rows[i] = i;
    f->examples = (forage_examples){.count = EXAMPLES,
                                    .codes = f->code_columns,
                                    .values = f->value_columns,
                                    .reward = f->reward,
                                    .time = f->time,
                                    .past = &f->past};
}

/* Settings as "name=value" joined by spaces. */
static void set_params(forage_params *params, const char *settings)
{
    char text[400];
    (void)snprintf(text, sizeof text, "%s", settings);
    for (char *save = NULL, *at = strtok_r(text, " ", &save); at; at = strtok_r(NULL, " ", &save)) {
        char *equals = strchr(at, '=');
        forage_error error = {0};
        assert_non_null(equals);
        *equals = 0;
        must(forage_params_set(params, at, equals + 1, &error), &error);
    }
}

static void open_fixture(fixture *f, const char *settings, int threads)
{
    static char names[FIELDS][10] = {"item_id", "category", "price", "gender", "age", "device"};
    static const size_t cardinality[FIELDS] = {ITEMS, CATEGORIES, 0, GENDERS, 0, DEVICES};
    static const forage_owner owners[FIELDS] = {FORAGE_OF_ITEM, FORAGE_OF_ITEM, FORAGE_OF_ITEM,
                                                FORAGE_OF_USER, FORAGE_OF_USER, FORAGE_OF_CONTEXT};
    forage_error error = {0};
    char path[512];
    const char *source = getenv("FORAGE_SOURCE");
    *f = (fixture){.schema = {FIELDS, f->fields}};
    for (size_t i = 0; i < FIELDS; i++)
        f->fields[i] = (forage_field){.name = names[i],
                                      .owner = owners[i],
                                      .type = cardinality[i] ? FORAGE_CATEGORICAL : FORAGE_NUMERIC,
                                      .is_id = i == ITEM,
                                      .cardinality = cardinality[i]};
    (void)snprintf(path, sizeof path, "%s/tests/golden/bst.safetensors", source ? source : "..");
    must(nn_checkpoint_load(path, &f->file, &error), &error);
    must(forage_device_open("auto", threads, &f->device, &error), &error);
    must(forage_params_create(&model_bst.info.table, &f->params, &error), &error);
    set_params(f->params, settings);
    f->setup = (model_setup){f->params, &f->schema, &f->device, 1};
    read_past(f, model_bst.reads_refusals(f->params));
    read_examples(f);
    must(model_bst.create(&f->setup, &f->state, &error), &error);
    must(bst_resolve(f->state, &f->examples, &error), &error);
}

static void close_fixture(fixture *f)
{
    model_bst.free(f->state);
    forage_params_free(f->params);
    nn_checkpoint_free(f->file);
}

/* Weights (or, "a.grad.", gradients) of the file into blocks laid out as the state's. */
static void read_weights(const fixture *f, const char *prefix, float *tables, float *encoder, float *mlp)
{
    const model_state *state = f->state;
    forage_error error = {0};
    char name[200];
    for (size_t t = 0; t < state->table_count; t++) {
        const bst_table *table = &state->tables[t];
        size_t shape[2] = {table->rows, table->width};
        (void)snprintf(name, sizeof name, "%s%s", prefix, table->name);
        must(nn_checkpoint_read_weights(f->file, name, 2, shape, tables + table->offset, &error), &error);
    }
    (void)snprintf(name, sizeof name, "%sencoder.", prefix);
    if (state->encoder)
        must(nn_encoder_load(state->encoder, f->file, name, encoder, &error), &error);
    (void)snprintf(name, sizeof name, "%smlp.", prefix);
    must(nn_mlp_load(state->mlp, f->file, name, mlp, &error), &error);
}

static void compare_gradients(fixture *f, const char *prefix, const bst_settings *settings, double loss)
{
    model_state *state = f->state;
    forage_error error = {0};
    bst_trainer *trainer;
    size_t encoder_count = state->encoder ? state->encoder->value_count : 0;
    float *have[3] = {array(state->value_count, sizeof(float)), array(encoder_count, sizeof(float)),
                      array(state->mlp->value_count, sizeof(float))};
    float *want[3] = {array(state->value_count, sizeof(float)), array(encoder_count, sizeof(float)),
                      array(state->mlp->value_count, sizeof(float))};
    must(bst_trainer_create(state, settings, EXAMPLES, f->device.threads, &trainer, &error), &error);
    double sum = bst_trainer_gradient(trainer, &f->examples, f->rows, EXAMPLES, 0, have[0], have[1], have[2]);
    assert_true(fabs(sum / EXAMPLES - loss) < 1e-5);
    read_weights(f, prefix, want[0], want[1], want[2]);
    close_to("gradient of a table", have[0], want[0], state->value_count, 2e-3, 2e-6);
    close_to("gradient of the encoder", have[1], want[1], encoder_count, 2e-3, 2e-6);
    close_to("gradient of the layers", have[2], want[2], state->mlp->value_count, 2e-3, 2e-6);
    for (size_t i = 0; i < 3; i++) {
        forage_free(have[i]);
        forage_free(want[i]);
    }
    bst_trainer_free(trainer);
}

static void forward_and_backward_are_pytorchs(void **state)
{
    (void)state;
    static const struct {
        const char *name, *settings;
    } models[] = {
        {"a", "embedding-size=6 combine=sum position=time readout=target max-length=5 heads=2 inner=11 layers=7,5"},
        {"b", "embedding-size=4 combine=concat position=order readout=concat history=all max-length=4 blocks=2 heads=4 "
              "inner=9 layers=8"},
        {"c", "embedding-size=5 encoder=mean max-length=6 layers=6,3"},
        {"d", "embedding-size=5 encoder=mean history=all max-length=6 layers=6,3"},
        {"e",
         "embedding-size=6 combine=sum position=order readout=mean max-length=5 blocks=2 heads=3 inner=7 layers=6"},
        {"f", "embedding-size=4 combine=concat position=time readout=target history=all max-length=6 heads=4 inner=9 "
              "layers=7,4"},
    };
    static const bst_settings plain = {.mlp = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}};
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++) {
        fixture f;
        char name[40];
        float want[EXAMPLES], have[EXAMPLES], loss;
        open_fixture(&f, models[m].settings, 2);
        (void)snprintf(name, sizeof name, "%s.", models[m].name);
        read_weights(&f, name, f.state->values, f.state->encoder ? f.state->encoder->values : NULL,
                     f.state->mlp->values);
        bst_refresh(f.state);
        (void)snprintf(name, sizeof name, "%s.logits", models[m].name);
        read_real(&f, name, EXAMPLES, want);
        (void)snprintf(name, sizeof name, "%s.loss", models[m].name);
        read_real(&f, name, 1, &loss);
        void *scratch = forage_alloc(bst_scratch_size(f.state), 1);
        assert_non_null(scratch);
        bst_logits(f.state, &f.examples, 0, EXAMPLES, scratch, have);
        close_to("logit", have, want, EXAMPLES, 1e-4, 1e-5);
        /* And one by one: the same bytes. */
        for (size_t i = 0; i < EXAMPLES; i++) {
            float alone;
            bst_logits(f.state, &f.examples, i, 1, scratch, &alone);
            assert_memory_equal(&alone, &have[i], sizeof alone);
        }
        forage_free(scratch);
        (void)snprintf(name, sizeof name, "%s.grad.", models[m].name);
        compare_gradients(&f, name, &plain, (double)loss);
        close_fixture(&f);
    }
}

/* ---- differences of the loss ------------------------------------------------------------------- */

/* Ones where the state's tables have weights. */
static float *learned_of_tables(const model_state *state)
{
    float *learned = array(state->value_count, sizeof *learned);
    for (size_t t = 0; t < state->table_count; t++) {
        const bst_table *table = &state->tables[t];
        for (size_t i = 0; i < table->rows * table->width; i++)
            learned[table->offset + i] = 1;
    }
    return learned;
}

/* How often the gradient's share of random directions is not what the loss on both sides says, in ten: a step may cross
 * an edge of the activation. Every kind of dropout is that of the step, the same in all three. */
static size_t count_off(fixture *f, bst_trainer *trainer, float *values, size_t count, const float *learned,
                        const float *gradient, float *const unwanted[3])
{
    const double step = 1e-5; /* there are many edges, and norms behind them */
    forage_rng rng;
    float *direction = array(count, sizeof *direction), *kept = array(count, sizeof *kept);
    size_t off = 0;
    forage_rng_seed(&rng, count);
    memcpy(kept, values, count * sizeof *kept);
    for (int n = 0; n < 10; n++) {
        double along = 0, square = 1e-30, losses[2];
        for (size_t i = 0; i < count; i++) {
            direction[i] = learned[i] != 0 ? (float)forage_rng_normal(&rng) : 0;
            square += (double)direction[i] * (double)direction[i];
            assert_true(learned[i] != 0 || gradient[i] == 0);
        }
        for (size_t i = 0; i < count; i++) {
            direction[i] /= (float)sqrt(square / (double)count); /* about 1 each */
            along += (double)direction[i] * (double)gradient[i];
        }
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < count; i++)
                values[i] = kept[i] + (float)(side ? step : -step) * direction[i];
            bst_refresh(f->state);
            losses[side] = bst_trainer_gradient(trainer, &f->examples, f->rows, EXAMPLES, 9, unwanted[0], unwanted[1],
                                                unwanted[2]) /
                           EXAMPLES;
        }
        double slope = (losses[1] - losses[0]) / (2 * step);
        off += !(fabs(slope - along) < 0.03 * fabs(along) + 6e-3);
        assert_true(along != 0);
        memcpy(values, kept, count * sizeof *kept);
        bst_refresh(f->state);
    }
    forage_free(direction);
    forage_free(kept);
    return off;
}

static void gradients_are_differences_of_the_loss(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "embedding-size=6 position=time max-length=5 inner=11 layers=7,5",
        "embedding-size=4 combine=concat readout=concat history=all max-length=4 blocks=2 heads=4 inner=9 layers=8",
        "embedding-size=6 readout=mean position=order history=all max-length=6 heads=3 inner=9 layers=8",
        "embedding-size=5 encoder=mean max-length=6 layers=6,3",
        "embedding-size=5 encoder=mean history=all max-length=6 layers=6,3",
        "embedding-size=5 encoder=none layers=6,3",
    };
    enum { SETTINGS = sizeof settings / sizeof settings[0] };
    size_t off = 0;
    for (size_t i = 0; i < 2 * SETTINGS; i++) {
        const bst_settings dropped = {.mlp = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .dropout = 0.2},
                                      .dropout = 0.3,
                                      .embedding_dropout = 0.25,
                                      .crop = 0.4},
                           plain = {.mlp = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}};
        fixture f;
        forage_error error = {0};
        forage_rng rng;
        bst_trainer *trainer;
        open_fixture(&f, settings[i / 2], 2);
        model_state *s = f.state;
        size_t counts[3] = {s->value_count, s->encoder ? s->encoder->value_count : 0, s->mlp->value_count};
        float *values[3] = {s->values, s->encoder ? s->encoder->values : NULL, s->mlp->values};
        float *learned[3] = {learned_of_tables(s), s->encoder ? learned_of(s->encoder) : NULL, learned_of_mlp(s->mlp)};
        float *gradient[3], *unwanted[3];
        forage_rng_seed(&rng, i);
        for (size_t k = 0; k < 3; k++) {
            gradient[k] = array(counts[k], sizeof(float));
            unwanted[k] = array(counts[k], sizeof(float));
            for (size_t v = 0; v < counts[k]; v++) /* so that no gradient is tiny */
                values[k][v] += learned[k][v] * (float)(0.2 * forage_rng_normal(&rng));
        }
        bst_refresh(s);
        must(bst_trainer_create(s, i % 2 ? &dropped : &plain, EXAMPLES, 2, &trainer, &error), &error);
        (void)bst_trainer_gradient(trainer, &f.examples, f.rows, EXAMPLES, 9, gradient[0], gradient[1], gradient[2]);
        for (size_t k = 0; k < 3; k++) {
            size_t wrong =
                counts[k] ? count_off(&f, trainer, values[k], counts[k], learned[k], gradient[k], unwanted) : 0;
            if (wrong > 3)
                fail_msg("%s: weights %zu: %zu of 10 slopes are not the gradient's", settings[i / 2], k, wrong);
            off += wrong;
        }
        for (size_t k = 0; k < 3; k++) {
            forage_free(gradient[k]);
            forage_free(unwanted[k]);
            forage_free(learned[k]);
        }
        bst_trainer_free(trainer);
        close_fixture(&f);
    }
    if (off > 2 * SETTINGS * 30 / 20)
        fail_msg("%zu slopes are not the gradient's", off);
}

/* ---- the same bytes --------------------------------------------------------------------------- */

/* The weights after some steps with every kind of dropout; the caller frees them. */
static float *trained(const char *settings, bool lazy, int threads, size_t *count)
{
    fixture f;
    forage_error error = {0};
    bst_trainer *trainer;
    bst_block blocks[BST_BLOCKS];
    const bst_settings options = {.mlp = {.beta1 = 0.9,
                                          .beta2 = 0.999,
                                          .epsilon = 1e-8,
                                          .decay = 0.01,
                                          .table_decay = 0.001,
                                          .lazy = lazy,
                                          .dropout = 0.2},
                                  .dropout = 0.3,
                                  .embedding_dropout = 0.25,
                                  .crop = 0.4};
    open_fixture(&f, settings, threads);
    must(bst_trainer_create(f.state, &options, EXAMPLES, threads, &trainer, &error), &error);
    for (uint64_t step = 0; step < 12; step++) {
        size_t first = step % 3 * 5;
        double loss = bst_trainer_step(trainer, &f.examples, f.rows + first, EXAMPLES - 2 * first, 0.01, 100 + step);
        assert_true(isfinite(loss));
    }
    *count = 0;
    size_t block_count = bst_trainer_blocks(trainer, blocks);
    for (size_t b = 0; b < block_count; b++)
        *count += blocks[b].count;
    float *values = array(*count, sizeof *values), *at = values;
    for (size_t b = 0; b < block_count; at += blocks[b++].count)
        memcpy(at, blocks[b].values, blocks[b].count * sizeof *at);
    bst_trainer_free(trainer);
    close_fixture(&f);
    return values;
}

static void any_number_of_threads_gives_the_same_bytes(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "embedding-size=6 position=time max-length=5 inner=11 layers=7,5",
        "embedding-size=4 combine=concat readout=mean history=all max-length=4 blocks=2 heads=4 inner=9 layers=8",
        "embedding-size=5 encoder=mean max-length=6 layers=6,3",
        "embedding-size=5 encoder=none layers=6,3",
    };
    for (size_t s = 0; s < sizeof settings / sizeof settings[0]; s++) {
        for (int lazy = 0; lazy < 2; lazy++) {
            size_t count, same;
            float *first = trained(settings[s], lazy, 1, &count);
            for (int threads = 2; threads <= 5; threads += 3) {
                float *other = trained(settings[s], lazy, threads, &same);
                assert_int_equal(count, same);
                assert_memory_equal(first, other, count * sizeof *first);
                forage_free(other);
            }
            forage_free(first);
        }
    }
}

/* ---- a log of visits -------------------------------------------------------------------------- */

enum { VISITORS = 60, VISITS = 2000, SHELVES = 4, GOODS = 12 };

static forage_vocabulary *numbered(size_t count)
{
    forage_vocabulary *made;
    forage_error error = {0};
    must(forage_vocabulary_create_numbered(count, &made, &error), &error);
    return made;
}

/* Whether an item is clicked depends on what was clicked last: always the same shelf (item modulo SHELVES) again. Every
 * 40th click or so comes out of nowhere, so that there is a first one. Two visits of a user share each moment. */
static forage_dataset *visits(void)
{
    forage_dataset *log = array(1, sizeof *log);
    uint32_t last[VISITORS], next = 0;
    forage_rng rng;
    forage_rng_seed(&rng, 3);
    log->count = log->train_rows = VISITS;
    log->users = numbered(VISITORS);
    log->items = numbered(GOODS);
    log->user = array(VISITS, sizeof *log->user);
    log->item = array(VISITS, sizeof *log->item);
    log->value = array(VISITS, sizeof *log->value);
    log->time = array(VISITS, sizeof *log->time);
    log->context.rows = VISITS;
    log->item_attributes.rows = GOODS;
    log->user_attributes.rows = VISITORS;
    for (uint32_t u = 0; u < VISITORS; u++)
        last[u] = u % GOODS;
    for (size_t row = 0; row < VISITS; row++) {
        uint32_t user = (uint32_t)(row / 2 % VISITORS), item = (uint32_t)forage_rng_integers(&rng, GOODS);
        bool clicked = item % SHELVES == last[user] % SHELVES;
        if (forage_rng_double(&rng) < 0.05)
            clicked = !clicked;
        log->user[row] = user;
        log->item[row] = item;
        log->value[row] = clicked;
        log->time[row] = (int64_t)(row / 2);
        next = clicked ? item : row % 2 ? next : last[user];
        if (row % 2)
            last[user] = next;
    }
    return log;
}

static forage_model *fit_visits(const forage_dataset *log, const char *settings, double *loss)
{
    forage_error error = {0};
    forage_model *model;
    forage_params *params;
    forage_fit_report report = {0};
    forage_split split = {.train_count = VISITS * 4 / 5, .validation_count = VISITS / 5};
    split.train = array(VISITS, sizeof *split.train);
    split.validation = split.train + split.train_count;
    for (uint32_t row = 0; row < VISITS; row++)
        split.train[row] = row;
    must(forage_params_create(&model_bst.info.table, &params, &error), &error);
    set_params(params, settings);
    must(forage_model_fit(&model_bst.info, params, log, &split, NULL, &report, &model, &error), &error);
    if (loss)
        *loss = report.epochs[report.best_epoch - 1].validation_loss;
    forage_fit_report_release(&report);
    forage_params_free(params);
    forage_free(split.train);
    return model;
}

static void score_visits(const forage_model *model, const forage_dataset *log, float *mean)
{
    static uint32_t rows[VISITS];
    forage_error error = {0};
    forage_binding *binding;
    for (uint32_t row = 0; row < VISITS; row++)
        rows[row] = row;
    must(forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    must(forage_model_score(binding, rows, VISITS, mean, NULL, &error), &error);
    forage_binding_free(binding);
}

static void what_comes_later_changes_nothing(void **state)
{
    (void)state;
    static float before[VISITS], after[VISITS];
    static const char *const settings[] = {
        "epochs=1 embedding-size=8 max-length=12 layers=8",
        "epochs=1 embedding-size=8 max-length=12 layers=8 history=all combine=concat readout=concat blocks=2",
        "epochs=1 embedding-size=8 max-length=12 layers=8 encoder=mean",
    };
    for (size_t s = 0; s < sizeof settings / sizeof settings[0]; s++) {
        forage_dataset *log = visits();
        forage_model *model = fit_visits(log, settings[s], NULL);
        score_visits(model, log, before);
        size_t changed = 0, seen = 0;
        for (size_t row = 1000; row < 1005; row++) {
            /* A row becomes a click of another item: its own score changes with the item, but no score of a row that is
             * not later in the same user's life. */
            uint32_t item = log->item[row];
            float value = log->value[row];
            log->item[row] = (item + 1) % GOODS;
            log->value[row] = 1;
            score_visits(model, log, after);
            for (size_t i = 0; i < VISITS; i++) {
                bool later = log->user[i] == log->user[row] && log->time[i] > log->time[row];
                bool differs = memcmp(&before[i], &after[i], sizeof(float)) != 0;
                if (!later && i != row && differs)
                    fail_msg("row %zu knew of row %zu, which came no earlier", i, row);
                seen += later && log->time[i] < log->time[row] + 5 * VISITORS;
                changed += differs && later && log->time[i] < log->time[row] + 5 * VISITORS;
            }
            log->item[row] = item;
            log->value[row] = value;
        }
        if (changed < seen * 9 / 10) /* what came before counts */
            fail_msg("%zu of %zu scores changed with their past", changed, seen);
        forage_model_free(model);
        forage_dataset_free(log);
    }
}

static void a_history_tells_what_nothing_else_does(void **state)
{
    (void)state;
    forage_dataset *log = visits();
    double with = 0, without = 0;
    forage_model_free(
        fit_visits(log, "epochs=12 batch-size=32 learning-rate=0.01 embedding-size=16 max-length=10 layers=16", &with));
    forage_model_free(fit_visits(
        log, "epochs=12 batch-size=32 learning-rate=0.01 embedding-size=16 max-length=10 layers=16 encoder=none",
        &without));
    print_message("# log loss of clicks: %.3f with their history, %.3f without\n", with, without);
    assert_true(without > 0.5); /* a quarter of the items is clicked */
    assert_true(with < 0.45);   /* and the noise alone costs 0.2 */
    forage_dataset_free(log);
}

/* ---- histories that are kept elsewhere --------------------------------------------------------- */

static void a_history_may_be_told(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "epochs=1 embedding-size=8 max-length=12 layers=8 history=all position=order",
        "epochs=1 embedding-size=8 max-length=5 layers=8 position=order"};
    for (size_t s = 0; s < 2; s++) {
        forage_dataset *log = visits();
        forage_free(log->time); /* told histories have no times */
        log->time = NULL;
        forage_model *model = fit_visits(log, settings[s], NULL);
        forage_binding *binding;
        forage_error error = {0};
        uint32_t users[GOODS], items[GOODS], history[VISITS];
        float want[GOODS], have[GOODS], rewards[VISITS];
        must(forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, "log.csv", &binding, &error), &error);
        for (uint32_t user = 0; user < VISITORS; user += 7) {
            size_t events = 0;
            for (size_t row = 0; row < VISITS; row++) {
                history[events] = log->item[row];
                rewards[events] = log->value[row];
                events += log->user[row] == user;
            }
            for (uint32_t i = 0; i < GOODS; i++) {
                users[i] = user;
                items[i] = GOODS - 1 - i;
            }
            must(forage_model_score_pairs(binding, users, items, GOODS, want, NULL, &error), &error);
            must(forage_model_score_history(binding, user, history, rewards, events, items, GOODS, have, &error),
                 &error);
            assert_memory_equal(have, want, sizeof want);
        }
        history[0] = GOODS;
        assert_int_equal(forage_model_score_history(binding, 0, history, NULL, 1, items, GOODS, have, &error),
                         FORAGE_INVALID);
        assert_non_null(strstr(error.message, "no item of index 12"));
        history[0] = 0;
        rewards[0] = NAN;
        assert_int_equal(forage_model_score_history(binding, 0, history, rewards, 1, items, GOODS, have, &error),
                         FORAGE_INVALID);
        assert_non_null(strstr(error.message, "not finite"));
        /* Nothing happened yet: as good as someone of whom nothing is known. */
        must(forage_model_score_history(binding, FORAGE_NONE, NULL, NULL, 0, items, GOODS, have, &error), &error);
        must(forage_model_score_pairs(binding, NULL, items, GOODS, want, NULL, &error), &error);
        assert_memory_equal(have, want, sizeof want);
        forage_binding_free(binding);
        forage_model_free(model);
        forage_dataset_free(log);
    }
}

/* ---- bad input -------------------------------------------------------------------------------- */

static void impossible_settings_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *settings, *says;
    } cases[] = {
        {"embedding-size=6 heads=4", "do not divide"},
        {"layers=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "at most 16"},
        {"readout=concat max-length=2000", "input columns"},
        {"position=time", "does not say when"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        forage_error error = {0};
        forage_model *model;
        forage_params *params;
        forage_dataset *log = visits();
        forage_free(log->time);
        log->time = NULL;
        uint32_t rows[100];
        forage_split split = {.train = rows, .train_count = 100};
        for (uint32_t row = 0; row < 100; row++)
            rows[row] = row;
        must(forage_params_create(&model_bst.info.table, &params, &error), &error);
        set_params(params, cases[i].settings);
        assert_int_equal(forage_model_fit(&model_bst.info, params, log, &split, NULL, NULL, &model, &error),
                         FORAGE_INVALID);
        if (!strstr(error.message, cases[i].says))
            fail_msg("%s", error.message);
        forage_params_free(params);
        forage_dataset_free(log);
    }
}

/* ---- for PyTorch to read ---------------------------------------------------------------------- */

static int write_files(const char *which, const char *checkpoint, const char *path)
{
    static const char *const settings[] = {
        "embedding-size=12 heads=3 max-length=12 inner=20 layers=8,6 position=time epochs=12 batch-size=32 "
        "learning-rate=0.01",
        "embedding-size=8 combine=concat position=order readout=concat history=all blocks=2 heads=2 inner=11 "
        "max-length=6 layers=9 epochs=12 batch-size=32 learning-rate=0.01",
        "embedding-size=8 readout=mean heads=2 max-length=5 inner=9 layers=5 position=time epochs=12 batch-size=32 "
        "learning-rate=0.01",
    };
    static float mean[VISITS];
    static int64_t user[VISITS], item[VISITS], value[VISITS];
    const size_t count = VISITS;
    forage_error error = {0};
    nn_checkpoint *file = NULL;
    assert_true(which[0] >= 'a' && which[0] <= 'c');
    forage_dataset *log = visits();
    forage_model *model = fit_visits(log, settings[which[0] - 'a'], NULL);
    must(forage_model_save(model, checkpoint, &error), &error);
    score_visits(model, log, mean);
    for (size_t row = 0; row < VISITS; row++) {
        user[row] = log->user[row];
        item[row] = log->item[row];
        value[row] = log->value[row] > 0;
    }
    must(nn_checkpoint_create(&file, &error), &error);
    must(nn_checkpoint_add(file, "scores", NN_F32, 1, &count, mean, &error), &error);
    must(nn_checkpoint_add(file, "user", NN_I64, 1, &count, user, &error), &error);
    must(nn_checkpoint_add(file, "item", NN_I64, 1, &count, item, &error), &error);
    must(nn_checkpoint_add(file, "value", NN_I64, 1, &count, value, &error), &error);
    must(nn_checkpoint_add(file, "time", NN_I64, 1, &count, log->time, &error), &error);
    must(nn_checkpoint_save(file, path, &error), &error);
    nn_checkpoint_free(file);
    forage_model_free(model);
    forage_dataset_free(log);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return write_files(argv[1], argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_and_backward_are_pytorchs),
        cmocka_unit_test(gradients_are_differences_of_the_loss),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(what_comes_later_changes_nothing),
        cmocka_unit_test(a_history_tells_what_nothing_else_does),
        cmocka_unit_test(a_history_may_be_told),
        cmocka_unit_test(impossible_settings_are_refused),
    };
    return cmocka_run_group_tests_name("bst", tests, NULL, NULL);
}
