/*
 * Speed of gf-cf: the decomposition, and rankings of all users over all items through the graph filter.
 *
 *     bench_graph_filter [TRAIN-FILE]        adjacency lists; without one a random graph of Gowalla's size
 *
 * Times are of all cores that this process may use. The hash of the rankings proves that the same work was done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { USERS = 29858, ITEMS = 40981, EDGES = 810000, K = 20 };

static double least(double a, double b)
{
    return a < b ? a : b;
}

/* A few items are met by many, most by few; neighbouring numbers by the same users. */
static forage_dataset *random_log(void)
{
    forage_dataset *log;
    forage_rng rng;
    if (forage_dataset_create(&log, NULL) != FORAGE_OK)
        return NULL;
    forage_vocabulary_free(log->users);
    forage_vocabulary_free(log->items);
    log->users = log->items = NULL;
    log->count = log->train_rows = EDGES;
    log->user = forage_alloc(EDGES, sizeof *log->user);
    log->item = forage_alloc(EDGES, sizeof *log->item);
    log->user_attributes.rows = USERS;
    log->item_attributes.rows = ITEMS;
    log->context.rows = EDGES;
    if (!log->user || !log->item || forage_vocabulary_create_numbered(USERS, &log->users, NULL) != FORAGE_OK ||
        forage_vocabulary_create_numbered(ITEMS, &log->items, NULL) != FORAGE_OK) {
        forage_dataset_free(log);
        return NULL;
    }
    forage_rng_seed(&rng, 42);
    for (size_t row = 0; row < EDGES; row++) {
        double user = forage_rng_double(&rng), far = forage_rng_double(&rng);
        double item = forage_rng_double(&rng) < 0.3 ? pow(far, 4) : user + 0.02 * pow(far, 3);
        log->user[row] = (uint32_t)(user * USERS);
        log->item[row] = (uint32_t)(least(item - floor(item), 0.999999) * ITEMS);
    }
    return log;
}

typedef struct results {
    uint32_t *users, *items;
    float *scores;
    size_t *found;
} results;

static bool bench(const forage_dataset *log, results *out, forage_error *error)
{
    const forage_model_info *info;
    forage_fit_report report = {0};
    forage_split split = {0};
    forage_model *model = NULL;
    forage_binding *binding = NULL;
    size_t users = forage_vocabulary_count(log->users);
    forage_seen seen = {0};
    out->users = forage_alloc(users, sizeof *out->users);
    out->items = forage_alloc(users, K * sizeof *out->items);
    out->scores = forage_alloc(users, K * sizeof *out->scores);
    out->found = forage_alloc(users, sizeof *out->found);
    bool good = out->users && out->items && out->scores && out->found &&
                forage_model_find("gf-cf", &info, error) == FORAGE_OK &&
                forage_split_parse("none", log, &split, error) == FORAGE_OK &&
                forage_seen_create(log, NULL, 0, false, &seen, error) == FORAGE_OK &&
                forage_model_fit(info, NULL, log, &split, NULL, &report, &model, error) == FORAGE_OK &&
                forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, error) == FORAGE_OK;
    for (size_t u = 0; good && u < users; u++)
        out->users[u] = (uint32_t)u;
    double start = forage_clock();
    good = good && forage_model_rank_users(binding, out->users, users, K, &seen, NULL, out->items, out->scores,
                                           out->found, error) == FORAGE_OK;
    if (good)
        printf("decomposition %.2f s in %zu rounds, ranking of %zu users over %zu items %.2f s   %s   peak %.0f MB   "
               "hash %016llx\n",
               report.seconds, report.epoch_count, users, forage_vocabulary_count(log->items), forage_clock() - start,
               forage_model_device(model)->name, (double)forage_peak_memory() / 1e6,
               (unsigned long long)forage_checksum(out->items, users * K * sizeof *out->items, 0));
    forage_binding_free(binding);
    forage_model_free(model);
    forage_fit_report_release(&report);
    forage_seen_release(&seen);
    forage_split_release(&split);
    return good;
}

int main(int argc, char **argv)
{
    forage_error error = {0};
    forage_dataset *log = NULL;
    results out = {0};
    if (argc == 1)
        log = random_log();
    else
        (void)forage_dataset_load(argv[1], NULL, NULL, &log, &error);
    bool good = log && bench(log, &out, &error);
    if (!good)
        fprintf(stderr, "%s\n", error.message[0] ? error.message : "no memory");
    forage_free(out.users);
    forage_free(out.items);
    forage_free(out.scores);
    forage_free(out.found);
    forage_dataset_free(log);
    return good ? 0 : 1;
}
