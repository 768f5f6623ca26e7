/*
 * Speed of ranking: the 20 best of 20,000 items for each of 1,000 users, all items scored, by every
 * model that can be fitted.
 *
 *     bench_rank [USERS]
 *
 * The hash proves that the same lists were found: it depends on USERS and on nothing else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { ITEMS = 20000, ROWS = 100000, K = 20 };

static forage_dataset *random_log(size_t users)
{
    forage_dataset *log;
    forage_rng rng;
    if (forage_dataset_create(&log, NULL) != FORAGE_OK)
        return NULL;
    forage_vocabulary_free(log->users);
    forage_vocabulary_free(log->items);
    log->users = log->items = NULL;
    log->count = log->train_rows = ROWS;
    log->user = forage_alloc(ROWS, sizeof *log->user);
    log->item = forage_alloc(ROWS, sizeof *log->item);
    log->value = forage_alloc(ROWS, sizeof *log->value);
    log->user_attributes.rows = users;
    log->item_attributes.rows = ITEMS;
    log->context.rows = ROWS;
    if (!log->user || !log->item || !log->value ||
        forage_vocabulary_create_numbered(users, &log->users, NULL) != FORAGE_OK ||
        forage_vocabulary_create_numbered(ITEMS, &log->items, NULL) != FORAGE_OK)
        return NULL;
    forage_rng_seed(&rng, 42);
    for (size_t row = 0; row < ROWS; row++) {
        log->user[row] = (uint32_t)forage_rng_integers(&rng, users);
        log->item[row] = (uint32_t)forage_rng_integers(&rng, ITEMS);
        log->value[row] = (float)(forage_rng_double(&rng) < 0.2);
    }
    return log;
}

static bool bench(const forage_model_info *info, const forage_dataset *log, size_t users)
{
    forage_params *params = NULL;
    forage_split split = {0};
    forage_model *model = NULL;
    forage_binding *binding = NULL;
    uint32_t *ids = forage_alloc(users, sizeof *ids), *items = forage_alloc(users * K, sizeof *items);
    float *scores = forage_alloc(users * K, sizeof *scores);
    size_t *found = forage_alloc(users, sizeof *found);
    forage_error error = {0};
    bool good = ids && items && scores && found && forage_params_create(&info->table, &params, &error) == FORAGE_OK;
    if (good && forage_params_text(params, "epochs"))
        good = forage_params_set(params, "epochs", "1", &error) == FORAGE_OK;
    good = good && forage_split_parse("none", log, &split, &error) == FORAGE_OK &&
           forage_model_fit(info, params, log, &split, NULL, NULL, &model, &error) == FORAGE_OK &&
           forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, &error) == FORAGE_OK;
    for (uint32_t user = 0; good && user < users; user++)
        ids[user] = user;
    double start = forage_clock();
    good =
        good && forage_model_rank_users(binding, ids, users, K, NULL, NULL, items, scores, found, &error) == FORAGE_OK;
    double seconds = forage_clock() - start;
    if (good)
        printf("%-16s %10.0f users/s %10.1f million items/s   %s   hash %016llx\n", info->name, (double)users / seconds,
               (double)users * ITEMS / seconds / 1e6, forage_model_device(model)->name,
               (unsigned long long)XXH3_64bits(items, users * K * sizeof *items));
    else
        fprintf(stderr, "%s: %s\n", info->name, error.message);
    forage_binding_free(binding);
    forage_model_free(model);
    forage_split_release(&split);
    forage_params_free(params);
    forage_free(ids);
    forage_free(items);
    forage_free(scores);
    forage_free(found);
    return good;
}

int main(int argc, char **argv)
{
    uint64_t users = 1000;
    if (argc > 1 && (!forage_parse_u64(argv[1], strlen(argv[1]), &users) || users == 0 || users > 10000000))
        return 2;
    forage_dataset *log = random_log(users);
    size_t count;
    const forage_model_info *const *models = forage_models(&count);
    bool good = log != NULL;
    for (size_t i = 0; good && i < count; i++)
        good = bench(models[i], log, users);
    forage_dataset_free(log);
    return good ? 0 : 1;
}
