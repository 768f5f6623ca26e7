/*
 * Speed of bst with both of its sizes: training on rows whose history fills the window, as tokens per second and as a
 * share of the product of small matrices measured in between, and scoring one user with such a history against 1,000
 * candidates, by one thread and by all.
 *
 *     bench_bst [ROWS [small|full [THREADS]]]
 *
 * Operations: two for each multiplication of the products that a row with n tokens (its history and itself) takes, of
 * real sizes, and three times that for training: forward, gradient by the weights, gradient by what they are applied
 * to. Of `small`, whose layers look at the target alone, there is one query and no keys and values are computed
 * (nn/target.h); what a step with keys and values for all tokens would do in the same time is said beside it. Nothing
 * else is counted: norms, softmax, dropout, embeddings and Adam are time without operations. The hash proves that the
 * same lists were found: it depends on ROWS and on nothing else. One thread's time is processor time, so that other
 * programs do not count.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"
#include "peak.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { ITEMS = 1000, USERS = 100, K = 20, TIMES = 21, EPOCHS = 5, LAYERS = 3 };

/* What a size stands for (docs/models/bst.md), in a log of items without times. */
typedef struct preset {
    const char *name;
    size_t window, width, heads, inner, layers[LAYERS];
    bool target_alone;
} preset;

static const preset presets[] = {
    {"small", 50, 32, 2, 64, {64, 32}, true},
    {"full", 20, 64, 8, 256, {1024, 512, 256}, false},
};

static forage_dataset *random_log(size_t rows)
{
    forage_dataset *log;
    forage_rng rng;
    if (forage_dataset_create(&log, NULL) != FORAGE_OK)
        return NULL;
    forage_vocabulary_free(log->users);
    forage_vocabulary_free(log->items);
    log->users = log->items = NULL;
    log->count = log->train_rows = rows;
    log->user = forage_alloc(rows, sizeof *log->user);
    log->item = forage_alloc(rows, sizeof *log->item);
    log->value = forage_alloc(rows, sizeof *log->value);
    log->user_attributes.rows = USERS;
    log->item_attributes.rows = ITEMS;
    log->context.rows = rows;
    if (!log->user || !log->item || !log->value ||
        forage_vocabulary_create_numbered(USERS, &log->users, NULL) != FORAGE_OK ||
        forage_vocabulary_create_numbered(ITEMS, &log->items, NULL) != FORAGE_OK)
        return NULL;
    forage_rng_seed(&rng, 42);
    for (size_t row = 0; row < rows; row++) {
        log->user[row] = (uint32_t)(row % USERS);
        log->item[row] = (uint32_t)forage_rng_integers(&rng, ITEMS);
        log->value[row] = (float)(forage_rng_double(&rng) < 0.5);
    }
    return log;
}

/* What an epoch takes: tokens that go through the transformer, and operations; and these with keys and values. */
typedef struct work {
    double tokens, operations, by_the_book;
} work;

/* Adds a row with so many tokens. */
static void add_row(const preset *size, double tokens, work *all)
{
    double width = (double)size->width, inner = (double)size->inner, heads = (double)size->heads;
    double in = size->target_alone ? width : width * (double)(size->window + 1);
    double queries = size->target_alone ? 1.0 : tokens, layers = 0.0;
    for (size_t l = 0; l < LAYERS && size->layers[l]; l++) {
        layers += in * (double)size->layers[l];
        in = (double)size->layers[l];
    }
    layers += in + queries * (2 * width * width + 2 * width * inner); /* queries, W_o, and what follows */
    double book = layers + tokens * 2 * width * width + queries * tokens * 2 * width;
    double done = size->target_alone ? layers + 2 * width * width + tokens * 2 * heads * width : book;
    all->tokens += tokens;
    all->operations += 3 * 2 * done;
    all->by_the_book += 3 * 2 * book;
}

static work work_of(const forage_dataset *log, const preset *size)
{
    size_t clicks[USERS] = {0};
    work all = {0};
    for (size_t row = 0; row < log->count; row++) {
        size_t *own = &clicks[log->user[row]];
        add_row(size, 1.0 + (double)(*own < size->window ? *own : size->window), &all);
        *own += log->value[row] > 0;
    }
    return all;
}

/* The shortest epoch of a fit, and the fastest products between epochs. */
typedef struct stopwatch {
    const forage_device *device;
    double start, seconds, peak;
} stopwatch;

static void started(void *context, const forage_model *model)
{
    stopwatch *c = context;
    (void)model;
    c->peak = fmax(c->peak, peak_measure(c->device));
    c->start = peak_clock(c->device);
}

static void epoch_done(void *context, size_t epoch, const forage_epoch *result)
{
    stopwatch *c = context;
    (void)epoch;
    (void)result;
    c->seconds = fmin(c->seconds, peak_clock(c->device) - c->start);
    started(context, NULL);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool bench(const forage_dataset *log, const preset *size, int threads)
{
    const forage_model_info *info;
    forage_device device;
    forage_params *params = NULL;
    forage_split split = {0};
    forage_model *model = NULL;
    forage_binding *binding = NULL;
    stopwatch c = {.device = &device, .seconds = INFINITY};
    forage_fit_options options = {.device = &device, .started = started, .epoch_done = epoch_done, .context = &c};
    uint32_t items[K];
    float scores[K];
    size_t found;
    forage_error error = {0};
    uint64_t hash = 0;
    char epochs[16];
    (void)snprintf(epochs, sizeof epochs, "%d", EPOCHS);
    bool good = forage_device_open("auto", threads, &device, &error) == FORAGE_OK &&
                forage_model_find("bst", &info, &error) == FORAGE_OK &&
                forage_params_create(&info->table, &params, &error) == FORAGE_OK &&
                forage_params_set(params, "size", size->name, &error) == FORAGE_OK &&
                forage_params_set(params, "epochs", epochs, &error) == FORAGE_OK &&
                forage_split_parse("none", log, &split, &error) == FORAGE_OK &&
                forage_model_fit(info, params, log, &split, &options, NULL, &model, &error) == FORAGE_OK &&
                forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error) == FORAGE_OK;
    work all = work_of(log, size);
    if (good)
        printf("%s, %d thread%s: training %8.0f rows/s, %10.0f tokens/s, %6.1f GFLOP/s = %.0f %% of %.1f (by the book "
               "%.0f %%)   %s\n",
               size->name, device.threads, device.threads == 1 ? "" : "s", (double)log->count / c.seconds,
               all.tokens / c.seconds, 1e-9 * all.operations / c.seconds, 100 * all.operations / c.seconds / c.peak,
               1e-9 * c.peak, 100 * all.by_the_book / c.seconds / c.peak, device.name);
    double times[TIMES] = {0};
    for (size_t i = 0; good && i < TIMES; i++) {
        double start = peak_clock(&device);
        good =
            forage_model_rank(binding, (uint32_t)(i % USERS), K, NULL, 0, items, scores, &found, &error) == FORAGE_OK;
        times[i] = peak_clock(&device) - start;
        hash = XXH3_64bits_withSeed(items, sizeof items, hash);
    }
    qsort(times, TIMES, sizeof *times, compare);
    if (good)
        printf("  scoring a history of %zu against %d candidates: %.2f ms (median)   hash %016llx\n", size->window,
               ITEMS, 1e3 * times[TIMES / 2], (unsigned long long)hash);
    else
        fprintf(stderr, "bst: %s\n", error.message);
    forage_binding_free(binding);
    forage_model_free(model);
    forage_split_release(&split);
    forage_params_free(params);
    return good;
}

int main(int argc, char **argv)
{
    uint64_t rows = 20000, threads = 0;
    if ((argc > 1 && (!forage_parse_u64(argv[1], strlen(argv[1]), &rows) || rows < 1 || rows > 10000000)) ||
        (argc > 3 && (!forage_parse_u64(argv[3], strlen(argv[3]), &threads) || threads > 255)))
        return 2;
    forage_dataset *log = random_log((size_t)rows);
    bool good = log != NULL;
    for (size_t p = 0; good && p < sizeof presets / sizeof presets[0]; p++) {
        if (argc > 2 && strcmp(argv[2], presets[p].name) != 0)
            continue;
        if (argc > 3)
            good = bench(log, &presets[p], (int)threads);
        else
            good = bench(log, &presets[p], 1) && bench(log, &presets[p], 0);
    }
    forage_dataset_free(log);
    return good ? 0 : 1;
}
