/*
 * Speed of sasrec at the size of Amazon's Beauty: steps of training by loss, as tokens per second and as a share of the
 * product of small matrices measured in between (counted: the products of the encoder's weights, and the three with the
 * rows of all items, for softmax, or of the negatives that positions share); and what a click more, a list of 20 and a
 * list by a whole history of 50 take.
 *
 * Each step learns from other histories, of items that are drawn alike, after as many steps that all items have
 * learned. A step is the median of many, with its share of what brings all rows of the table up to date at the end.
 *
 *     bench_sasrec [ITEMS [THREADS]]
 *
 * The hash of the lists proves that the same were found: it depends on ITEMS alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"
#include "model/front.h"
#include "model/sasrec_train.h"
#include "peak.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { BATCH = 128, LONGEST = 20, LENGTH = 50, WIDTH = 64, LISTS = 101, K = 20 };
enum { STEPS = 61, BEFORE = 100, FEW_STEPS = 7 /* of all items */ };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times, size_t count)
{
    qsort(times, count, sizeof *times, compare);
    return times[count / 2];
}

/* Histories of 3 to 20 items, as most of them are. */
typedef struct batch {
    uint32_t items[BATCH * (LONGEST + 1)];
    sasrec_part parts[BATCH];
    const sasrec_part *chosen[BATCH];
    size_t tokens;
} batch;

static void fill(batch *b, size_t items, forage_rng *rng)
{
    size_t at = 0;
    b->tokens = 0;
    for (size_t p = 0; p < BATCH; p++) {
        double share = forage_rng_double(rng);
        uint32_t count = 2 + (uint32_t)((LONGEST - 2) * share * share);
        b->parts[p] = (sasrec_part){.items = b->items + at, .count = count};
        b->chosen[p] = &b->parts[p];
        for (uint32_t i = 0; i <= count; i++)
            b->items[at++] = (uint32_t)forage_rng_integers(rng, items);
        b->tokens += count;
    }
}

static bool train(const char *loss, const char *updates, const forage_device *device, size_t items, double fastest)
{
    forage_error error = {0};
    forage_schema schema = {0};
    forage_params *params = NULL;
    model_state *state = NULL;
    sasrec_trainer *trainer = NULL;
    sasrec_negatives source = {.count = items};
    source.items = forage_alloc(items, sizeof *source.items);
    source.log_q = forage_calloc(items, sizeof *source.log_q);
    static batch b;
    forage_rng rng;
    bool good = source.items && source.log_q && model_schema_numbered(0, items, &schema, &error) == FORAGE_OK &&
                forage_params_create(&model_sasrec.info.table, &params, &error) == FORAGE_OK &&
                forage_params_set(params, "loss", loss, &error) == FORAGE_OK &&
                forage_params_set(params, "embedding-updates", updates, &error) == FORAGE_OK;
    const model_setup setup = {params, &schema, device, 1};
    for (size_t i = 0; good && i < items; i++)
        source.items[i] = (uint32_t)i;
    forage_rng_seed(&rng, 3);
    good = good && model_sasrec.create(&setup, &state, &error) == FORAGE_OK &&
           sasrec_trainer_create(state, BATCH, BATCH * LONGEST, 0.2, &source, &trainer, &error) == FORAGE_OK;
    double times[STEPS] = {0}, tokens = 0, weights = good ? (double)state->encoder->weight_count : 0;
    bool all = strcmp(loss, "softmax") == 0, shared = strcmp(loss, "sampled") == 0;
    size_t steps = all ? FEW_STEPS : STEPS, before = all ? 1 : BEFORE;
    for (size_t step = 0; good && step < before + steps; step++) {
        fill(&b, items, &rng);
        if (step == before)
            sasrec_trainer_settle(trainer);
        double start = forage_clock();
        good = isfinite(sasrec_trainer_step(trainer, b.chosen, BATCH, 1e-3));
        if (step >= before)
            times[step - before] = forage_clock() - start;
        tokens += step >= before ? (double)b.tokens / (double)steps : 0;
    }
    double seconds = good ? median(times, steps) : 0, start = forage_clock();
    if (good)
        sasrec_trainer_settle(trainer);
    seconds += (forage_clock() - start) / (double)steps;
    double rows = all ? (double)items : shared && good ? (double)trainer->negatives : 0;
    double work = 6 * tokens * (weights + rows * WIDTH);
    if (good)
        printf("%-8s %-5s %2d thread%s %8.0f tokens/s  %6.1f GFLOP/s, %3.0f %% of the product's\n", loss, updates,
               device->threads, device->threads == 1 ? ": " : "s:", tokens / seconds, 1e-9 * work / seconds,
               100 * work / seconds / fastest);
    else
        fprintf(stderr, "sasrec: %s\n", error.message);
    sasrec_trainer_free(trainer);
    model_sasrec.free(state);
    forage_params_free(params);
    model_schema_release(&schema);
    forage_free(source.items);
    forage_free(source.log_q);
    return good;
}

/* ---- lists ---- */

/* Two users with a few items, of many. */
static forage_dataset *small_log(size_t items)
{
    forage_dataset *log;
    if (forage_dataset_create(&log, NULL) != FORAGE_OK)
        return NULL;
    forage_vocabulary_free(log->users);
    forage_vocabulary_free(log->items);
    log->users = log->items = NULL;
    log->count = log->train_rows = log->context.rows = 200;
    log->user = forage_alloc(log->count, sizeof *log->user);
    log->item = forage_alloc(log->count, sizeof *log->item);
    log->user_attributes.rows = 2;
    log->item_attributes.rows = items;
    if (!log->user || !log->item || forage_vocabulary_create_numbered(2, &log->users, NULL) != FORAGE_OK ||
        forage_vocabulary_create_numbered(items, &log->items, NULL) != FORAGE_OK)
        return NULL;
    for (size_t row = 0; row < log->count; row++) {
        log->user[row] = (uint32_t)(row % 2);
        log->item[row] = (uint32_t)(row * 7919 % items);
    }
    return log;
}

static bool rank(const forage_device *device, size_t items)
{
    forage_error error = {0};
    const forage_model_info *info;
    forage_params *params = NULL;
    forage_split split = {0};
    forage_model *model = NULL;
    forage_binding *binding = NULL;
    forage_session *session = NULL;
    forage_dataset *log = small_log(items);
    const forage_fit_options options = {.device = device};
    bool good = log && forage_model_find("sasrec", &info, &error) == FORAGE_OK &&
                forage_params_create(&info->table, &params, &error) == FORAGE_OK &&
                forage_params_set(params, "epochs", "1", &error) == FORAGE_OK &&
                forage_split_parse("none", log, &split, &error) == FORAGE_OK &&
                forage_model_fit(info, params, log, &split, &options, NULL, &model, &error) == FORAGE_OK &&
                forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error) == FORAGE_OK &&
                forage_session_create(binding, &session, &error) == FORAGE_OK;
    double clicks[LISTS], lists[LISTS], whole[LISTS];
    uint32_t history[LISTS + LENGTH], found_items[K];
    float scores[K];
    size_t found;
    uint64_t hash = 0;
    for (size_t i = 0; i < LISTS + LENGTH; i++)
        history[i] = (uint32_t)(i * 104729 % items);
    for (size_t i = 0; good && i < LISTS; i++) {
        if (forage_session_length(session) == LENGTH)
            forage_session_clear(session);
        double start = forage_clock();
        good = forage_session_append(session, history[i], &error) == FORAGE_OK;
        clicks[i] = forage_clock() - start;
        start = forage_clock();
        good = good && forage_session_rank(session, K, NULL, 0, found_items, scores, &found, &error) == FORAGE_OK;
        lists[i] = forage_clock() - start;
        hash = XXH3_64bits_withSeed(found_items, sizeof found_items, hash);
        start = forage_clock();
        good = good && forage_model_rank_history(binding, history + i, NULL, LENGTH, K, NULL, 0, found_items, scores,
                                                 &found, &error) == FORAGE_OK;
        whole[i] = forage_clock() - start;
        hash = XXH3_64bits_withSeed(found_items, sizeof found_items, hash);
    }
    if (good)
        printf(
            "%2d thread%s a click more %.1f us; the best %d of %zu items %.2f ms, by a whole history of %d %.2f ms   "
            "hash %016llx\n",
            device->threads, device->threads == 1 ? ": " : "s:", 1e6 * median(clicks, LISTS), K, items,
            1e3 * median(lists, LISTS), LENGTH, 1e3 * median(whole, LISTS), (unsigned long long)hash);
    else
        fprintf(stderr, "sasrec: %s\n", error.message);
    forage_session_free(session);
    forage_binding_free(binding);
    forage_model_free(model);
    forage_split_release(&split);
    forage_params_free(params);
    forage_dataset_free(log);
    return good;
}

static bool bench(size_t items, int threads)
{
    forage_device device;
    if (forage_device_open("auto", threads, &device, NULL) != FORAGE_OK)
        return false;
    double fastest = peak_measure(&device);
    printf("%d thread%s of %s: products of %d x %d x %d at %.1f GFLOP/s\n", device.threads,
           device.threads == 1 ? "" : "s", device.name, PEAK_ROWS, PEAK_WIDTH, PEAK_WIDTH, 1e-9 * fastest);
    return train("softmax", "dense", &device, items, fastest) && train("sampled", "dense", &device, items, fastest) &&
           train("sampled", "lazy", &device, items, fastest) && train("bce", "dense", &device, items, fastest) &&
           train("bce", "lazy", &device, items, fastest) && rank(&device, items);
}

int main(int argc, char **argv)
{
    uint64_t items = 54542, threads = 0;
    if ((argc > 1 && (!forage_parse_u64(argv[1], strlen(argv[1]), &items) || items < 200 || items > 10000000)) ||
        (argc > 2 && (!forage_parse_u64(argv[2], strlen(argv[2]), &threads) || threads > 255)))
        return 2;
    if (argc > 2)
        return bench((size_t)items, (int)threads) ? 0 : 1;
    return bench((size_t)items, 1) && bench((size_t)items, 0) ? 0 : 1;
}
