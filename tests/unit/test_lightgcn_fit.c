/*
 * test_lightgcn_fit.c: fits of LightGCN as users meet them: interrupted, in threads, in little time, from a model that
 * is there; and how new users, odd logs and other programs' files come out.
 *
 *     test_lightgcn_fit                      runs the tests
 *     test_lightgcn_fit CHECKPOINT SCORES    fits a model, writes it and its scores of all pairs, for PyTorch
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
#include "nn/checkpoint.h"

static void must(forage_status status, const forage_error *error)
{
    char text[1024];
    if (status == FORAGE_OK)
        return;
    (void)forage_error_text(error, text, sizeof text);
    fail_msg("%s: %s", forage_status_name(status), text);
}

static void says(const forage_error *error, const char *part)
{
    if (!strstr(error->message, part))
        fail_msg("'%s' is not in: %s", part, error->message);
}

/* ---- logs ---- */

static void *array(size_t count, size_t size)
{
    void *made = forage_calloc(count + 1, size);
    assert_non_null(made);
    return made;
}

/* Ids are numbers, or (named) "u0", "u1" ..., of which the vocabulary has `users` and `items` in this order. */
static forage_dataset *log_create(size_t users, size_t items, size_t count, bool named)
{
    forage_error error = {0};
    forage_dataset *log = array(1, sizeof *log);
    log->count = log->train_rows = log->context.rows = count;
    log->user_attributes.rows = users;
    log->item_attributes.rows = items;
    log->user = array(count, sizeof *log->user);
    log->item = array(count, sizeof *log->item);
    for (int kind = 0; kind < 2; kind++) {
        forage_vocabulary **to = kind ? &log->items : &log->users;
        if (!named) {
            must(forage_vocabulary_create_numbered(kind ? items : users, to, &error), &error);
            continue;
        }
        must(forage_vocabulary_create(to, &error), &error);
        for (size_t i = 0; i < (kind ? items : users); i++) {
            char id[24];
            uint32_t index;
            int length = snprintf(id, sizeof id, "%c%zu", kind ? 'i' : 'u', i);
            must(forage_vocabulary_add(*to, id, (size_t)length, &index, &error), &error);
        }
    }
    return log;
}

/* Random events of the first `active` users: two groups with tastes of their own. */
static forage_dataset *random_log(uint64_t seed, size_t users, size_t items, size_t count)
{
    forage_dataset *log = log_create(users, items, count, false);
    forage_rng rng;
    forage_rng_seed(&rng, seed);
    for (size_t row = 0; row < count; row++) {
        uint32_t user = (uint32_t)forage_rng_integers(&rng, users), half = (uint32_t)(items / 2);
        bool own = forage_rng_double(&rng) < 0.85;
        log->user[row] = user;
        log->item[row] = (uint32_t)forage_rng_integers(&rng, half) + ((user % 2 == 0) == own ? 0 : half);
    }
    return log;
}

/* ---- fits ---- */

typedef struct task {
    const forage_dataset *log;
    size_t train;       /* first rows; the others validate; 0: all */
    const char *params; /* "name=value name=value" */
    forage_fit_options options;
    int threads;
    uint64_t fail_at, asked; /* the allocation that fails, of so many; 0: none */
    forage_fit_report report;
    forage_model *model;
} task;

static forage_status fit(task *t, forage_error *error)
{
    const forage_model_info *info = NULL;
    forage_params *params = NULL;
    forage_device device;
    char text[512], *rest = text, *entry;
    uint32_t *rows = array(t->log->count, sizeof *rows);
    for (uint32_t row = 0; row < t->log->count; row++)
        rows[row] = row;
    size_t train = t->train ? t->train : t->log->count;
    const forage_split split = {
        .train = rows, .train_count = train, .validation = rows + train, .validation_count = t->log->count - train};
    must(forage_model_find("lightgcn", &info, error), error);
    must(forage_params_create(&info->table, &params, error), error);
    (void)snprintf(text, sizeof text, "%s", t->params);
    while ((entry = strtok_r(rest, " ", &rest)) != NULL) {
        char *value = strchr(entry, '=');
        assert_non_null(value);
        *value = '\0';
        must(forage_params_set(params, entry, value + 1, error), error);
    }
    must(forage_device_open("auto", t->threads ? t->threads : 1, &device, error), error);
    t->options.device = &device;
    t->options.seed = 3;
    forage_alloc_fail_at(t->fail_at);
    forage_status status = forage_model_fit(info, params, t->log, &split, &t->options, &t->report, &t->model, error);
    t->asked = forage_alloc_fail_at(0);
    t->options.device = NULL;
    forage_params_free(params);
    forage_free(rows);
    return status;
}

static void release(task *t)
{
    forage_fit_report_release(&t->report);
    forage_model_free(t->model);
    t->model = NULL;
}

static const char *scratch_path(const char *name)
{
    static char paths[4][100];
    static size_t next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "test_lightgcn_fit.%ld.%s", (long)getpid(), name);
    return path;
}

/* The bytes of the model as a file. */
static char *bytes_of(const forage_model *model, size_t *size)
{
    forage_error error = {0};
    char *bytes;
    const char *path = scratch_path("model");
    must(forage_model_save(model, path, &error), &error);
    must(forage_read_file(path, (size_t)1 << 28, &bytes, size, &error), &error);
    (void)remove(path);
    return bytes;
}

static void same_bytes(const forage_model *a, const forage_model *b)
{
    size_t sizes[2];
    char *bytes[2] = {bytes_of(a, &sizes[0]), bytes_of(b, &sizes[1])};
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    forage_free(bytes[0]);
    forage_free(bytes[1]);
}

static forage_embedding vectors_of(const forage_model *model, forage_owner owner)
{
    forage_embedding made;
    forage_error error = {0};
    must(forage_model_embedding(model, owner, &made, &error), &error);
    return made;
}

/* A tensor of the model's file as floats, [*count]. */
static float *tensor_of(const forage_model *model, const char *name, size_t *count)
{
    forage_error error = {0};
    size_t size;
    char *bytes = bytes_of(model, &size);
    nn_checkpoint *file = NULL;
    must(nn_checkpoint_parse(bytes, size, "model", &file, &error), &error);
    const nn_tensor *tensor = nn_checkpoint_find(file, name);
    assert_non_null(tensor);
    *count = tensor->size / sizeof(float);
    float *numbers = array(*count, sizeof *numbers);
    must(nn_checkpoint_read_weights(file, name, tensor->rank, tensor->shape, numbers, &error), &error);
    nn_checkpoint_free(file);
    return numbers;
}

/* ---- interruption, threads ---- */

static bool stop(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    size_t *calls = context;
    (void)stage, (void)done, (void)total, (void)note;
    ++*calls;
    return false;
}

static const char *const kinds[] = {
    "loss=bpr layers=3 embedding-size=12 batch-size=20 epochs=3",
    "loss=softmax layers=0 embedding-size=16 batch-size=20 epochs=3 schedule=linear",
    "loss=bsl layers=2 embedding-size=33 batch-size=20 epochs=3",
};

/* Steps come 16 at a time, so that epochs of 20 and more are left in their middle. */
static void resumed_to_the_same_bytes(void **state)
{
    (void)state;
    forage_dataset *log = random_log(1, 40, 30, 700);
    for (size_t i = 0; i < 6; i++) {
        forage_error error = {0};
        size_t train = i % 2 ? 600 : 700, calls = 0, stops = 0;
        const char *path = scratch_path("state");
        task whole = {.log = log, .train = train, .params = kinds[i / 2]};
        (void)remove(path); /* of a process of this number that failed */
        must(fit(&whole, &error), &error);
        forage_progress progress = {stop, &calls};
        for (;; stops++) {
            task part = {.log = log,
                         .train = train,
                         .params = kinds[i / 2],
                         .threads = 1 + (int)(stops % 3),
                         .options = {.state_path = path, .resume = true, .progress = &progress}};
            forage_status status = fit(&part, &error);
            if (status == FORAGE_OK) {
                assert_int_equal(part.report.epoch_count, whole.report.epoch_count);
                assert_int_equal(part.report.best_epoch, whole.report.best_epoch);
                for (size_t e = 0; e < part.report.epoch_count; e++)
                    assert_memory_equal(&part.report.epochs[e], &whole.report.epochs[e],
                                        offsetof(forage_epoch, seconds));
                same_bytes(part.model, whole.model);
                release(&part);
                break;
            }
            if (status != FORAGE_INTERRUPTED)
                must(status, &error);
            release(&part);
        }
        assert_true(stops >= 4 && calls == stops + 1);
        (void)remove(path);
        release(&whole);
    }
    forage_dataset_free(log);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    forage_dataset *log = random_log(2, 150, 100, 2500);
    for (size_t i = 0; i < 3; i++) {
        forage_error error = {0};
        task one = {.log = log, .train = 2200, .params = kinds[i]};
        must(fit(&one, &error), &error);
        for (int threads = 2; threads <= 3; threads++) {
            task more = {.log = log, .train = 2200, .params = kinds[i], .threads = threads};
            must(fit(&more, &error), &error);
            same_bytes(one.model, more.model);
            release(&more);
        }
        release(&one);
    }
    forage_dataset_free(log);
}

/* What else decides a fit's result is part of its state, too: the times behind the weights, the model at its start. */
static void the_state_of_another_fit_is_refused(void **state)
{
    (void)state;
    forage_error error = {0};
    size_t calls = 0;
    const char *path = scratch_path("state");
    forage_progress progress = {stop, &calls};
    forage_dataset *log = random_log(1, 40, 30, 700);
    log->time = array(log->count, sizeof *log->time);
    for (size_t row = 0; row < log->count; row++)
        log->time[row] = (int64_t)row;
    task start = {.log = log, .params = kinds[0]}, other = {.log = log, .params = kinds[0], .train = 500};
    must(fit(&start, &error), &error);
    must(fit(&other, &error), &error);
    task part = {
        .log = log, .params = kinds[0], .options = {.state_path = path, .progress = &progress, .start = start.model}};
    assert_int_equal(fit(&part, &error), FORAGE_INTERRUPTED);
    part.options.resume = true;
    for (int i = 0; i < 2; i++) {
        part.options.start = i ? other.model : NULL;
        assert_int_equal(fit(&part, &error), FORAGE_INVALID);
        says(&error, "another model to begin from");
    }
    part.options.start = start.model;
    log->time[5]++;
    assert_int_equal(fit(&part, &error), FORAGE_INVALID);
    says(&error, "other data");
    log->time[5]--;
    part.options.progress = NULL;
    must(fit(&part, &error), &error);
    assert_true(part.report.resumed);
    (void)remove(path);
    release(&part);
    release(&start);
    release(&other);
    forage_dataset_free(log);
}

/* ---- validation, patience, time ---- */

static bool in_rows(const forage_dataset *log, size_t begin, size_t end, uint32_t user, uint32_t item)
{
    for (size_t row = begin; row < end; row++) {
        if (log->user[row] == user && log->item[row] == item && (!log->value || log->value[row] > 0))
            return true;
    }
    return false;
}

/* NDCG@20 plainly: all items that were trained on, but for those of the user's training rows. */
static double plain_ndcg(const forage_model *model, const forage_dataset *log, size_t train)
{
    forage_embedding users = vectors_of(model, FORAGE_OF_USER), items = vectors_of(model, FORAGE_OF_ITEM);
    double total = 0;
    size_t judged = 0;
    bool *trained = array(items.count, sizeof *trained);
    double *scores = array(items.count, sizeof *scores);
    for (size_t row = 0; row < train; row++)
        trained[log->item[row]] |= !log->value || log->value[row] > 0;
    for (uint32_t u = 0; u < users.count; u++) {
        size_t wanted = 0, findable = 0, seen = 0;
        double gain = 0, ideal = 0;
        for (uint32_t i = 0; i < items.count; i++) {
            bool want = in_rows(log, train, log->count, u, i), had = in_rows(log, 0, train, u, i);
            wanted += want;
            findable += want && trained[i];
            seen += had;
            scores[i] = had || !trained[i] ? -INFINITY : 0;
            for (size_t j = 0; j < users.width && scores[i] == 0; j++)
                scores[i] = 0;
            if (scores[i] == 0) {
                for (size_t j = 0; j < users.width; j++)
                    scores[i] += (double)users.values[u * users.pitch + j] * (double)items.values[i * items.pitch + j];
            }
        }
        if (!findable || !seen)
            continue;
        judged++;
        for (size_t r = 0; r < 20; r++) {
            uint32_t best = 0;
            for (uint32_t i = 0; i < items.count; i++)
                best = scores[i] > scores[best] ? i : best;
            ideal += r < wanted ? 1 / log2((double)r + 2) : 0;
            if (scores[best] > -INFINITY && in_rows(log, train, log->count, u, best))
                gain += 1 / log2((double)r + 2);
            scores[best] = -INFINITY;
        }
        total += gain / ideal;
    }
    forage_free(trained);
    forage_free(scores);
    return total / (double)judged;
}

static void patience_stops_and_keeps_the_best(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = random_log(4, 60, 80, 500);
    log->value = array(log->count, sizeof *log->value);
    for (size_t row = 0; row < log->count; row++)
        log->value[row] = row % 9 ? 1 : row % 2 ? 0 : -1; /* was seen, was not chosen */
    for (size_t i = 0; i < 2; i++) {
        task t = {.log = log,
                  .train = 400,
                  .params = i ? "loss=bpr epochs=300 patience=5 batch-size=64 learning-rate=0.02"
                              : "epochs=300 patience=5 batch-size=64 learning-rate=0.02"};
        must(fit(&t, &error), &error);
        assert_true(t.report.stopped_early && t.report.epoch_count < 300);
        assert_int_equal(t.report.epoch_count, t.report.best_epoch + 5);
        double best = t.report.epochs[t.report.best_epoch - 1].validation_metric;
        for (size_t e = 0; e < t.report.epoch_count; e++)
            assert_true(t.report.epochs[e].validation_metric <= best && isnan(t.report.epochs[e].validation_loss));
        assert_true(fabs(plain_ndcg(t.model, log, 400) - best) < 1e-9);
        release(&t);
    }
    forage_dataset_free(log);
}

static void a_limit_of_time_ends_it(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = random_log(5, 90, 80, 2000);
    for (size_t i = 0; i < 3; i++) {
        task t = {.log = log,
                  .train = i ? 1800 : 0,
                  .params = i ? "epochs=100000 batch-size=100 embedding-size=16"
                              : "epochs=100000 batch-size=100 loss=bpr embedding-size=16",
                  .options = {.seconds_limit = i == 2 ? 1e-9 : 0.1}};
        double before = forage_clock();
        must(fit(&t, &error), &error);
        assert_true(forage_clock() - before < 20); /* a busy machine; all epochs would take an hour */
        assert_true(t.report.out_of_time && !t.report.stopped_early && t.report.epoch_count < 100000);
        if (i) {
            double best = -1;
            for (size_t e = 0; e < t.report.epoch_count; e++)
                best = fmax(best, t.report.epochs[e].validation_metric);
            assert_true(plain_ndcg(t.model, log, 1800) >= best - 1e-9);
        }
        release(&t);
    }
    forage_dataset_free(log);
}

/* ---- going on from a model ---- */

/* Layer 0 in a file as PyTorch would write it. */
static forage_status load_torch(size_t users, size_t items, size_t width, float value, forage_model **model,
                                forage_error *error)
{
    nn_checkpoint *file = NULL;
    const char *path = scratch_path("torch");
    float *numbers = array((users + items) * width, sizeof *numbers);
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    for (size_t i = 0; i < (users + items) * width; i++)
        numbers[i] = value * (float)forage_rng_normal(&rng);
    must(nn_checkpoint_create(&file, error), error);
    must(nn_checkpoint_add(file, "embedding_user.weight", NN_F32, 2, (size_t[]){users, width}, numbers, error), error);
    must(nn_checkpoint_add(file, "embedding_item.weight", NN_F32, 2, (size_t[]){items, width}, numbers + users * width,
                           error),
         error);
    must(nn_checkpoint_save(file, path, error), error);
    nn_checkpoint_free(file);
    forage_free(numbers);
    forage_status status = forage_model_load(path, NULL, model, error);
    (void)remove(path);
    return status;
}

static forage_model *torch_model(size_t users, size_t items, size_t width, float value)
{
    forage_error error = {0};
    forage_model *model = NULL;
    must(load_torch(users, items, width, value, &model, &error), &error);
    return model;
}

/* 40 users and 30 items. Those before 38 and 28 are in the first rows; then user 38 meets old items and new ones, in
 * the last ten rows user 39 old ones alone. */
static forage_dataset *growing_log(size_t *before)
{
    forage_dataset *log = log_create(40, 30, 420, true);
    forage_rng rng;
    forage_rng_seed(&rng, 12);
    *before = 400;
    for (size_t row = 0; row < log->count; row++) {
        log->user[row] = row < 400 ? (uint32_t)forage_rng_integers(&rng, 38) : row < 410 ? 38 : 39;
        log->item[row] = row < 400   ? (uint32_t)forage_rng_integers(&rng, 28)
                         : row < 410 ? (uint32_t)row - 380
                                     : (uint32_t)(row - 410) * 2;
    }
    return log;
}

static float *layer_0(const forage_model *model)
{
    size_t users, items;
    float *user = tensor_of(model, "embedding_user.weight", &users);
    float *item = tensor_of(model, "embedding_item.weight", &items), *both = array(users + items, sizeof *both);
    memcpy(both, user, users * sizeof *user);
    memcpy(both + users, item, items * sizeof *item);
    forage_free(user);
    forage_free(item);
    return both;
}

static void a_fit_goes_on_from_a_model(void **state)
{
    (void)state;
    enum { WIDTH = 16 };
    forage_error error = {0};
    size_t before;
    forage_dataset *log = growing_log(&before);
    for (size_t layers = 0; layers < 4; layers++) {
        char params[128];
        (void)snprintf(params, sizeof params, "layers=%zu embedding-size=%d epochs=20 batch-size=64", layers, WIDTH);
        log->count = before; /* as if the log ended there */
        task first = {.log = log, .params = params};
        must(fit(&first, &error), &error);

        /* The same ids, and no step to speak of: the same numbers. */
        task again = {.log = log, .params = params, .options = {.start = first.model}};
        (void)snprintf(params, sizeof params, "layers=%zu embedding-size=%d epochs=1 batch-size=64 learning-rate=0",
                       layers, WIDTH);
        must(fit(&again, &error), &error);
        float *old = layer_0(first.model), *new = layer_0(again.model);
        forage_embedding users = vectors_of(first.model, FORAGE_OF_USER);
        assert_int_equal(users.count, 38);
        assert_memory_equal(old, new, (38 + 28) * WIDTH * sizeof *old);
        assert_memory_equal(users.values, vectors_of(again.model, FORAGE_OF_USER).values,
                            users.count * users.pitch * sizeof(float));
        forage_free(new);

        /* Further ids: who was known keeps layer 0, who is new has what their items bring. */
        log->count = 420;
        task more = {.log = log, .params = params, .options = {.start = first.model}};
        must(fit(&more, &error), &error);
        new = layer_0(more.model);
        assert_memory_equal(old, new, 38 * WIDTH * sizeof *old);
        assert_memory_equal(old + 38 * WIDTH, new + 40 * WIDTH, 28 * WIDTH * sizeof *old);
        users = vectors_of(more.model, FORAGE_OF_USER);
        for (size_t n = 38; n < 40; n++) {
            double row = 0, length = 0;
            for (size_t j = 0; j < WIDTH; j++) {
                row += fabs((double)new[n * WIDTH + j]);
                length += fabs((double)users.values[n * users.pitch + j]);
            }
            assert_true((row == 0) == (layers > 0) && length > 0);
        }
        forage_free(old);
        forage_free(new);
        release(&more);
        release(&again);
        release(&first);
    }
    forage_dataset_free(log);
}

/* New users who met new items alone have no vector to begin with, and a cosine no gradient for them. */
static void strangers_among_themselves_learn(void **state)
{
    (void)state;
    static const char *const params[] = {
        "embedding-size=16 epochs=60 batch-size=32 learning-rate=0.05",
        "embedding-size=16 epochs=60 batch-size=32 learning-rate=0.05 layers=0",
        "embedding-size=16 epochs=60 batch-size=32 learning-rate=0.05 loss=bpr",
    };
    for (size_t i = 0; i < 3; i++) {
        forage_error error = {0};
        forage_dataset *log = random_log(7, 24, 20, 200);
        for (size_t row = 0; row < 200; row++) {
            log->user[row] = log->user[row] % 20;
            log->item[row] = log->item[row] % 16;
            if (row >= 180) { /* 20 and 22 met 16 and 18, 21 and 23 met 17 and 19 */
                log->user[row] = 20 + (uint32_t)(row % 4);
                log->item[row] = 16 + (uint32_t)(row % 2) + 2 * (uint32_t)(row % 8 / 4);
            }
        }
        task first = {.log = log, .train = 180, .params = params[i]};
        must(fit(&first, &error), &error);
        /* The first model knows the ids of all; the second is to learn as if it did not. */
        forage_model *known = torch_model(20, 16, 16, 0.1F);
        task second = {.log = log, .params = params[i], .options = {.start = known}};
        must(fit(&second, &error), &error);
        forage_binding *binding = NULL;
        must(forage_model_bind(second.model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
        for (uint32_t user = 20; user < 24; user++) {
            uint32_t items[2];
            float scores[2];
            size_t found;
            must(forage_model_rank(binding, user, 2, NULL, 0, items, scores, &found, &error), &error);
            assert_true(found == 2 && scores[1] > 0);
            for (size_t r = 0; r < 2; r++)
                assert_true(items[r] >= 16 && items[r] % 2 == user % 2);
        }
        forage_binding_free(binding);
        forage_model_free(known);
        release(&second);
        release(&first);
        forage_dataset_free(log);
    }
}

static void models_that_cannot_be_gone_on_from(void **state)
{
    (void)state;
    forage_error error = {0};
    const forage_model_info *info = NULL;
    forage_model *popular = NULL;
    forage_dataset *log = random_log(8, 10, 10, 60);
    uint32_t rows[60];
    for (uint32_t row = 0; row < 60; row++)
        rows[row] = row;
    const forage_split split = {.train = rows, .train_count = 60};
    must(forage_model_find("popular", &info, &error), &error);
    must(forage_model_fit(info, NULL, log, &split, NULL, NULL, &popular, &error), &error);
    task t = {.log = log, .params = "embedding-size=16", .options = {.start = popular}};
    assert_int_equal(fit(&t, &error), FORAGE_UNSUPPORTED);
    says(&error, "lightgcn");
    says(&error, "popular");
    forage_model *narrow = torch_model(10, 10, 8, 1);
    t.options.start = narrow;
    assert_int_equal(fit(&t, &error), FORAGE_INVALID);
    says(&error, "embeddings of 8 numbers, not of 16");
    assert_string_equal(error.field, "embedding-size");
    forage_model *again = NULL;
    assert_int_equal(
        forage_model_fit(info, NULL, log, &split, &(forage_fit_options){.start = popular}, NULL, &again, &error),
        FORAGE_UNSUPPORTED);
    says(&error, "popular cannot go on");
    release(&t);
    forage_model_free(narrow);
    forage_model_free(popular);
    forage_dataset_free(log);
}

/* With one layer folding somebody in is what extending the model does; with more, their items' vectors would change
 * with their coming, too. */
static void who_is_folded_in_has_the_vector_of_an_extension(void **state)
{
    (void)state;
    forage_error error = {0};
    size_t before;
    forage_dataset *log = growing_log(&before);
    const uint32_t history[] = {18, 16, 14, 12, 10, 8, 6, 4, 2, 0};
    for (size_t layers = 1; layers < 4; layers++) {
        char params[128];
        (void)snprintf(params, sizeof params, "layers=%zu embedding-size=20 epochs=20 batch-size=64 weight=count",
                       layers);
        log->count = before;
        task old = {.log = log, .params = params};
        must(fit(&old, &error), &error);
        log->count = 420;
        task new = {.log = log, .params = params, .options = {.start = old.model}};
        (void)snprintf(params, sizeof params,
                       "layers=%zu embedding-size=20 epochs=1 batch-size=64 weight=count learning-rate=0", layers);
        /* Of the new rows, those of user 39 alone. */
        memmove(log->user + before, log->user + 410, 10 * sizeof *log->user);
        memmove(log->item + before, log->item + 410, 10 * sizeof *log->item);
        log->count = 410;
        must(fit(&new, &error), &error);
        forage_embedding user = vectors_of(new.model, FORAGE_OF_USER), item = vectors_of(old.model, FORAGE_OF_ITEM);
        forage_binding *binding = NULL;
        uint32_t items[28];
        float scores[28];
        size_t found, at = user.count - 1;
        double both = 0, ours = 0, theirs = 0;
        must(forage_model_bind(old.model, log, FORAGE_UNKNOWN_SKIP, NULL, &binding, &error), &error);
        must(forage_model_rank_history(binding, history, NULL, 10, 28, NULL, 0, items, scores, &found, &error), &error);
        assert_int_equal(found, 28);
        for (size_t r = 0; r < found; r++) {
            double want = 0, have = (double)scores[r];
            for (size_t j = 0; j < user.width; j++)
                want += (double)user.values[at * user.pitch + j] * (double)item.values[items[r] * item.pitch + j];
            if (layers == 1)
                assert_true(fabs(want - have) < 1e-6 * (1 + fabs(want)));
            both += want * have;
            ours += have * have;
            theirs += want * want;
        }
        assert_true(both / sqrt(ours * theirs) > (layers == 1 ? 0.999999 : 0.97));
        memmove(log->user + 410, log->user + before, 10 * sizeof *log->user);
        memmove(log->item + 410, log->item + before, 10 * sizeof *log->item);
        forage_binding_free(binding);
        release(&new);
        release(&old);
    }
    forage_dataset_free(log);
}

/* ---- odd logs ---- */

static void duplicates_make_one_edge(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *twice = log_create(9, 7, 40, false), *once = log_create(9, 7, 20, false);
    for (size_t row = 0; row < 20; row++) {
        once->user[row] = (uint32_t)(row * 4 % 9);
        once->item[row] = (uint32_t)(row * 3 % 7);
        for (size_t copy = 0; copy < 2; copy++) {
            twice->user[2 * row + copy] = once->user[row];
            twice->item[2 * row + copy] = once->item[row];
        }
    }
    for (size_t i = 0; i < 2; i++) {
        task a = {.log = twice, .params = i ? "epochs=5 weight=count" : "epochs=5"};
        task b = {.log = once, .params = a.params};
        must(fit(&a, &error), &error);
        must(fit(&b, &error), &error);
        size_t counts[2];
        float *weights[2] = {tensor_of(a.model, "graph.weights", &counts[0]),
                             tensor_of(b.model, "graph.weights", &counts[1])};
        assert_true(counts[0] == 20 && counts[1] == 20);
        for (size_t e = 0; e < 20; e++)
            assert_true(weights[1][e] == 1 && weights[0][e] == (i ? 2 : 1));
        if (i == 0)
            same_bytes(a.model, b.model);
        forage_free(weights[0]);
        forage_free(weights[1]);
        release(&a);
        release(&b);
    }
    forage_dataset_free(once);
    forage_dataset_free(twice);
}

/* Users without items, items that occur in the test alone, numbers that only fill a gap: the average of the others. */
static void who_has_no_edges_is_average(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = log_create(12, 10, 60, false);
    for (size_t row = 0; row < 60; row++) {
        log->user[row] = (uint32_t)(row * 7 % 11 / 2 * 2); /* even ones */
        log->item[row] = (uint32_t)(row * 5 % 9);
    }
    log->user[59] = 11; /* beyond the training rows */
    log->item[59] = 9;
    task t = {.log = log, .train = 59, .params = "epochs=5 embedding-size=8"};
    must(fit(&t, &error), &error);
    assert_true(isnan(t.report.epochs[4].validation_metric)); /* nobody to judge by */
    for (int kind = 0; kind < 2; kind++) {
        forage_embedding vectors = vectors_of(t.model, kind ? FORAGE_OF_ITEM : FORAGE_OF_USER);
        double average[8] = {0};
        size_t known = 0;
        for (size_t i = 0; i < vectors.count; i++) {
            bool has_edges = kind ? i < 9 : i % 2 == 0 && i < 11;
            known += has_edges;
            for (size_t j = 0; j < 8 && has_edges; j++)
                average[j] += (double)vectors.values[i * vectors.pitch + j];
        }
        for (size_t i = 0; i < vectors.count; i++) {
            bool has_edges = kind ? i < 9 : i % 2 == 0 && i < 11;
            for (size_t j = 0; j < 8 && !has_edges; j++)
                assert_true(fabs((double)vectors.values[i * vectors.pitch + j] - average[j] / (double)known) < 1e-6);
        }
    }
    release(&t);
    forage_dataset_free(log);
}

static void half_lives_need_times(void **state)
{
    (void)state;
    forage_error error = {0};
    const int64_t day = (int64_t)86400 * 1000000;
    forage_dataset *log = log_create(3, 3, 4, false);
    log->user[1] = log->item[1] = 1;
    log->user[2] = log->item[2] = 2;
    log->user[3] = log->item[3] = 2;
    task t = {.log = log, .params = "epochs=1 half-life=10 batch-size=2"};
    assert_int_equal(fit(&t, &error), FORAGE_INVALID);
    says(&error, "half-life");
    says(&error, "times");
    log->time = array(4, sizeof *log->time);
    for (int calendar = 0; calendar < 2; calendar++) {
        const int64_t ages[] = {20, 5, 100, 0};
        size_t count;
        log->time_is_calendar = calendar != 0;
        for (size_t row = 0; row < 4; row++)
            log->time[row] = 1000 * day - ages[row] * (calendar ? day : 1);
        must(fit(&t, &error), &error);
        float *weights = tensor_of(t.model, "graph.weights", &count);
        assert_int_equal(count, 3);
        assert_true(weights[0] == 0.25F && fabsf(weights[1] - 0.70710678F) < 1e-6F && weights[2] == 1);
        forage_free(weights);
        release(&t);
    }
    forage_dataset_free(log);
}

static void logs_without_edges_are_refused(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = log_create(3, 3, 6, false);
    log->value = array(6, sizeof *log->value);
    for (size_t row = 0; row < 6; row++)
        log->value[row] = row % 2 ? -1 : 0;
    task t = {.log = log, .params = "epochs=1"};
    assert_int_equal(fit(&t, &error), FORAGE_FORMAT);
    says(&error, "no edges");
    log->value[2] = NAN;
    assert_int_equal(fit(&t, &error), FORAGE_FORMAT);
    says(&error, "row 3");
    log->value[2] = 4; /* one edge is enough */
    must(fit(&t, &error), &error);
    release(&t);
    forage_dataset_free(log);
}

static void allocations_may_fail(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = random_log(14, 9, 8, 60);
    for (size_t i = 0; i < 3; i++) {
        const char *path = scratch_path("state");
        task start = {.log = log, .train = 50, .params = kinds[i]};
        must(fit(&start, &error), &error);
        for (uint64_t nth = 1;; nth++) {
            task t = {.log = log,
                      .train = 50,
                      .params = kinds[i],
                      .fail_at = nth,
                      .options = {.start = start.model, .state_path = path, .state_every = 1}};
            error = (forage_error){0};
            forage_status status = fit(&t, &error);
            release(&t);
            if (t.asked < nth) {
                must(status, &error);
                assert_true(nth > 40);
                break;
            }
            assert_int_equal(status, FORAGE_NO_MEMORY);
            assert_true(error.status == FORAGE_NO_MEMORY && error.message[0]);
        }
        (void)remove(path);
        release(&start);
    }
    forage_dataset_free(log);
}

/* ---- files ---- */

static void the_authors_files_are_recognised(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_model *model = torch_model(5, 4, 6, 1);
    assert_string_equal(forage_model_info_of(model)->name, "lightgcn");
    assert_int_equal(forage_model_weight_count(model), 9 * 6);
    forage_embedding users = vectors_of(model, FORAGE_OF_USER), items = vectors_of(model, FORAGE_OF_ITEM);
    assert_true(users.count == 5 && items.count == 4 && users.width == 6);
    float *layer = layer_0(model);
    forage_dataset *log = log_create(5, 4, 0, false);
    forage_binding *binding = NULL;
    must(forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    for (uint32_t u = 0; u < 5; u++) { /* without a graph, what is scored by is layer 0 */
        for (uint32_t i = 0; i < 4; i++) {
            double want = 0;
            float have;
            for (size_t j = 0; j < 6; j++)
                want += (double)layer[u * 6 + j] * (double)layer[(5 + i) * 6 + j];
            must(forage_model_score_pairs(binding, &u, &i, 1, &have, NULL, &error), &error);
            assert_true(fabs((double)have - want) < 1e-5);
        }
    }
    forage_free(layer);
    forage_binding_free(binding);
    forage_dataset_free(log);
    forage_model_free(model);

    /* Not with numbers that scores would overflow from. */
    forage_model_free(torch_model(5, 4, 6, 1e11F));
    assert_int_equal(load_torch(5, 4, 6, 1e25F, &model, &error), FORAGE_FORMAT);
    assert_string_equal(error.field, "embedding_user.weight");
    says(&error, "no embedding is that large");
}

typedef enum damage {
    UNSORTED,
    TWICE,
    NO_ITEM,
    A_USER,
    FALLING,
    TOO_FAR,
    ENDS_EARLY,
    NOT_AT_0,
    NO_WEIGHT,
    BELOW_0,
    DAMAGES
} damage;

/* A model's file with its graph changed. */
static forage_status load_damaged(const forage_model *model, damage what, forage_error *error)
{
    static const char *const names[] = {"graph.offsets", "graph.nodes", "graph.weights"};
    size_t size, at[3];
    char *bytes = bytes_of(model, &size), *copy = array(size, 1);
    const char *path = scratch_path("damaged");
    nn_checkpoint *file = NULL;
    forage_model *loaded = NULL;
    forage_output *output = NULL;
    uint64_t offsets[4];
    uint32_t nodes[5];
    float weights[5];
    void *const tensors[] = {offsets, nodes, weights};
    static const size_t sizes[] = {sizeof offsets, sizeof nodes, sizeof weights};
    memcpy(copy, bytes, size);
    must(nn_checkpoint_parse(bytes, size, "model", &file, error), error);
    for (size_t i = 0; i < 3; i++) {
        const nn_tensor *tensor = nn_checkpoint_find(file, names[i]);
        assert_true(tensor && tensor->size == sizes[i]);
        at[i] = (size_t)(tensor->bytes - (const unsigned char *)bytes);
        memcpy(tensors[i], tensor->bytes, sizes[i]);
    }
    nn_checkpoint_free(file);
    assert_true(offsets[1] == 2 && nodes[0] == 3 && nodes[1] == 4); /* user 0 has items 0 and 1 */
    nodes[0] += what == UNSORTED;
    nodes[1] -= what == UNSORTED || what == TWICE;
    nodes[4] = what == NO_ITEM ? 6 : nodes[4];
    nodes[0] = what == A_USER ? 2 : nodes[0];
    offsets[1] = what == FALLING ? 5 : offsets[1];
    offsets[2] = what == TOO_FAR ? (uint64_t)1 << 63 : offsets[2];
    offsets[3] -= what == ENDS_EARLY;
    offsets[0] += what == NOT_AT_0;
    weights[2] = what == NO_WEIGHT ? 0 : what == BELOW_0 ? -1 : weights[2];
    for (size_t i = 0; i < 3; i++)
        memcpy(copy + at[i], tensors[i], sizes[i]);
    must(forage_output_open(path, &output, error), error);
    must(forage_output_write(output, copy, size, error), error);
    must(forage_output_commit(output, error), error);
    forage_free(copy);
    forage_status status = forage_model_load(path, NULL, &loaded, error);
    (void)remove(path);
    if (status == FORAGE_OK)
        same_bytes(model, loaded);
    forage_model_free(loaded);
    return status;
}

static void damaged_graphs_are_refused(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_dataset *log = log_create(3, 3, 5, false);
    const uint32_t item[] = {0, 1, 0, 2, 1};
    for (size_t row = 0; row < 5; row++) {
        log->user[row] = row < 2 ? 0 : row < 4 ? 1 : 2;
        log->item[row] = item[row];
    }
    task t = {.log = log, .params = "epochs=1 embedding-size=4"};
    must(fit(&t, &error), &error);
    must(load_damaged(t.model, DAMAGES, &error), &error); /* nothing changed: it loads */
    for (int what = 0; what < DAMAGES; what++) {
        if (load_damaged(t.model, (damage)what, &error) != FORAGE_FORMAT)
            fail_msg("damage %d was not refused", what);
        says(&error, "not the edges of a graph");
        assert_string_equal(error.field, "graph.nodes");
    }
    release(&t);
    forage_dataset_free(log);
}

/* For PyTorch to read. */
static int write_files(const char *checkpoint, const char *path)
{
    enum { ALL = 25, KINDS = 19 };
    forage_error error = {0};
    forage_binding *binding = NULL;
    nn_checkpoint *file = NULL;
    uint32_t users[ALL * KINDS], items[ALL * KINDS];
    float scores[ALL * KINDS];
    forage_dataset *log = random_log(13, ALL, KINDS, 130);
    for (size_t row = 0; row < 130; row++)
        log->user[row] -= log->user[row] == 4; /* has nothing */
    task t = {.log = log,
              .params = "layers=2 embedding-size=12 epochs=30 batch-size=32 learning-rate=0.01 weight=count"};
    must(fit(&t, &error), &error);
    must(forage_model_save(t.model, checkpoint, &error), &error);
    must(forage_model_bind(t.model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    for (uint32_t i = 0; i < ALL * KINDS; i++) {
        users[i] = i / KINDS;
        items[i] = i % KINDS;
    }
    must(forage_model_score_pairs(binding, users, items, (size_t)ALL * KINDS, scores, NULL, &error), &error);
    must(nn_checkpoint_create(&file, &error), &error);
    must(nn_checkpoint_add(file, "scores", NN_F32, 2, (size_t[]){ALL, KINDS}, scores, &error), &error);
    must(nn_checkpoint_save(file, path, &error), &error);
    nn_checkpoint_free(file);
    forage_binding_free(binding);
    release(&t);
    forage_dataset_free(log);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumed_to_the_same_bytes),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(the_state_of_another_fit_is_refused),
        cmocka_unit_test(patience_stops_and_keeps_the_best),
        cmocka_unit_test(a_limit_of_time_ends_it),
        cmocka_unit_test(a_fit_goes_on_from_a_model),
        cmocka_unit_test(strangers_among_themselves_learn),
        cmocka_unit_test(models_that_cannot_be_gone_on_from),
        cmocka_unit_test(who_is_folded_in_has_the_vector_of_an_extension),
        cmocka_unit_test(duplicates_make_one_edge),
        cmocka_unit_test(who_has_no_edges_is_average),
        cmocka_unit_test(half_lives_need_times),
        cmocka_unit_test(logs_without_edges_are_refused),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(the_authors_files_are_recognised),
        cmocka_unit_test(damaged_graphs_are_refused),
    };
    if (argc == 3)
        return write_files(argv[1], argv[2]);
    return cmocka_run_group_tests_name("lightgcn-fit", tests, NULL, NULL);
}
