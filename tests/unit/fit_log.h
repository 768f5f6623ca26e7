/*
 * fit_log.h: small logs, fits of a model to them through the public functions, and what must hold of every fit that can
 * be interrupted. Include after cmocka.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FIT_LOG_H
#define FIT_LOG_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../must.h"
#include "forage/forage.h"
#include "nn/checkpoint.h"

/* ---- logs ---- */

static inline void *array(size_t count, size_t size)
{
    void *made = forage_calloc(count + 1, size);
    assert_non_null(made);
    return made;
}

/* Ids are numbers, or (named) "u0", "u1" ..., of which the vocabulary has `users` and `items` in this order. */
static inline forage_dataset *log_create(size_t users, size_t items, size_t count, bool named)
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
static inline forage_dataset *random_log(uint64_t seed, size_t users, size_t items, size_t count)
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
    const char *kind; /* name of the model; NULL: lightgcn */
    const forage_dataset *log;
    size_t train;       /* first rows; the others validate; 0: all */
    const char *params; /* "name=value name=value" */
    forage_fit_options options;
    int threads;
    uint64_t fail_at, asked; /* the allocation that fails, of so many; 0: none */
    forage_fit_report report;
    forage_model *model;
} task;

static inline forage_status fit(task *t, forage_error *error)
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
    must(forage_model_find(t->kind ? t->kind : "lightgcn", &info, error), error);
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

static inline void release(task *t)
{
    forage_fit_report_release(&t->report);
    forage_model_free(t->model);
    t->model = NULL;
}

static inline const char *scratch_path(const char *name)
{
    static char paths[4][100];
    static size_t next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "test_fit.%ld.%s", (long)getpid(), name);
    return path;
}

/* The bytes of the model as a file. */
static inline char *bytes_of(const forage_model *model, size_t *size)
{
    forage_error error = {0};
    char *bytes;
    const char *path = scratch_path("model");
    must(forage_model_save(model, path, &error), &error);
    must(forage_read_file(path, (size_t)1 << 28, &bytes, size, &error), &error);
    (void)remove(path);
    return bytes;
}

static inline void same_bytes(const forage_model *a, const forage_model *b)
{
    size_t sizes[2];
    char *bytes[2] = {bytes_of(a, &sizes[0]), bytes_of(b, &sizes[1])};
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    forage_free(bytes[0]);
    forage_free(bytes[1]);
}

/* A progress that asks to stop at every call, and counts them. */
static inline bool stop(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    size_t *calls = context;
    (void)stage, (void)done, (void)total, (void)note;
    ++*calls;
    return false;
}

/* A fit that is stopped at every occasion and resumed, with 1, 2 and 3 threads in turn, comes to the bytes of one that
 * was not, after at least so many stops. */
static inline void check_resumed(const task *fresh, size_t least)
{
    forage_error error = {0};
    size_t calls = 0, stops = 0;
    const char *path = scratch_path("state");
    forage_progress progress = {stop, &calls};
    forage_status status = FORAGE_INTERRUPTED;
    task whole = *fresh;
    (void)remove(path); /* of a process of this number that failed */
    must(fit(&whole, &error), &error);
    for (; status == FORAGE_INTERRUPTED; stops += status == FORAGE_INTERRUPTED) {
        task part = *fresh;
        part.threads = 1 + (int)(stops % 3);
        part.options = (forage_fit_options){
            .state_path = path, .resume = true, .progress = &progress, .start = fresh->options.start};
        status = fit(&part, &error);
        if (status == FORAGE_OK) {
            assert_int_equal(part.report.epoch_count, whole.report.epoch_count);
            assert_int_equal(part.report.best_epoch, whole.report.best_epoch);
            for (size_t e = 0; e < part.report.epoch_count; e++)
                assert_memory_equal(&part.report.epochs[e], &whole.report.epochs[e], offsetof(forage_epoch, seconds));
            same_bytes(part.model, whole.model);
        }
        release(&part);
    }
    must(status, &error);
    assert_true(stops >= least && calls == stops + 1);
    (void)remove(path);
    release(&whole);
}

/* One, two and three threads come to the same bytes. */
static inline void check_threads(const task *fresh)
{
    forage_error error = {0};
    task one = *fresh;
    must(fit(&one, &error), &error);
    for (int threads = 2; threads <= 3; threads++) {
        task more = *fresh;
        more.threads = threads;
        must(fit(&more, &error), &error);
        same_bytes(one.model, more.model);
        release(&more);
    }
    release(&one);
}

static inline forage_embedding vectors_of(const forage_model *model, forage_owner owner)
{
    forage_embedding made;
    forage_error error = {0};
    must(forage_model_embedding(model, owner, &made, &error), &error);
    return made;
}

/* A tensor of the model's file as floats, [*count]. */
static inline float *tensor_of(const forage_model *model, const char *name, size_t *count)
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

/* The mean loss that a click model's scores of the rows from `train` on have. */
static inline double loss_of(const forage_model *model, const forage_dataset *events, size_t train)
{
    forage_error error = {0};
    forage_binding *binding = NULL;
    size_t count = events->count - train;
    uint32_t *rows = array(count, sizeof *rows);
    float *mean = array(count, sizeof *mean);
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        rows[i] = (uint32_t)(train + i);
    must(forage_model_bind(model, events, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error), &error);
    must(forage_model_score(binding, rows, count, mean, NULL, &error), &error);
    for (size_t i = 0; i < count; i++)
        sum -= log((double)(events->value[rows[i]] > 0 ? mean[i] : 1 - mean[i]));
    forage_binding_free(binding);
    forage_free(rows);
    forage_free(mean);
    return sum / (double)count;
}

#endif
