/*
 * Speed of bst with its small preset: training on rows whose history fills the window, and scoring one user with a
 * history of 50 against 1,000 candidates, by one thread and by all.
 *
 *     bench_bst [ROWS]
 *
 * The hash proves that the same lists were found: it depends on ROWS and on nothing else.
 */
#include "forage/forage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { ITEMS = 1000, USERS = 100, K = 20, TIMES = 200, WINDOW = 50 };

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

/* Rows that train, with what came before each within the window: tokens that go through the encoder. */
static double tokens_of(const forage_dataset *log)
{
    size_t clicks[USERS] = {0};
    double tokens = 0;
    for (size_t row = 0; row < log->count; row++) {
        size_t *own = &clicks[log->user[row]];
        tokens += 1.0 + (double)(*own < WINDOW ? *own : WINDOW);
        *own += log->value[row] > 0;
    }
    return tokens;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool bench(const forage_dataset *log, int threads)
{
    const forage_model_info *info;
    forage_device device;
    forage_params *params = NULL;
    forage_split split = {0};
    forage_model *model = NULL;
    forage_binding *binding = NULL;
    forage_fit_options options = {.device = &device};
    forage_fit_report report = {0};
    uint32_t items[K];
    float scores[K];
    size_t found;
    forage_error error = {0};
    uint64_t hash = 0;
    bool good = forage_device_open("auto", threads, &device, &error) == FORAGE_OK &&
                forage_model_find("bst", &info, &error) == FORAGE_OK &&
                forage_params_create(&info->table, &params, &error) == FORAGE_OK &&
                forage_params_set(params, "epochs", "1", &error) == FORAGE_OK &&
                forage_split_parse("none", log, &split, &error) == FORAGE_OK &&
                forage_model_fit(info, params, log, &split, &options, &report, &model, &error) == FORAGE_OK &&
                forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error) == FORAGE_OK;
    if (good)
        printf("%d thread%s: training %8.0f rows/s, %10.0f tokens/s\n", device.threads, device.threads == 1 ? "" : "s",
               (double)log->count / report.epochs[0].seconds, tokens_of(log) / report.epochs[0].seconds);
    double times[TIMES] = {0};
    for (size_t i = 0; good && i < TIMES; i++) {
        double start = forage_clock();
        good =
            forage_model_rank(binding, (uint32_t)(i % USERS), K, NULL, 0, items, scores, &found, &error) == FORAGE_OK;
        times[i] = forage_clock() - start;
        hash = XXH3_64bits_withSeed(items, sizeof items, hash);
    }
    qsort(times, TIMES, sizeof *times, compare);
    if (good)
        printf("           scoring a history of %d against %d candidates: %.2f ms (median)   %s   hash %016llx\n",
               WINDOW, ITEMS, 1e3 * times[TIMES / 2], device.name, (unsigned long long)hash);
    else
        fprintf(stderr, "bst: %s\n", error.message);
    forage_binding_free(binding);
    forage_model_free(model);
    forage_split_release(&split);
    forage_params_free(params);
    forage_fit_report_release(&report);
    return good;
}

int main(int argc, char **argv)
{
    uint64_t rows = 50000;
    if (argc > 1 && (!forage_parse_u64(argv[1], strlen(argv[1]), &rows) || rows < 1 || rows > 10000000))
        return 2;
    forage_dataset *log = random_log((size_t)rows);
    bool good = log && bench(log, 1) && bench(log, 0);
    forage_dataset_free(log);
    return good ? 0 : 1;
}
