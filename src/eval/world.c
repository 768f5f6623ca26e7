/*
 * world.c: a small shop of known truth, its log, and models trained on that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/world.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/intern.h"

static const char no_memory[] = "not enough memory for an experiment";

/* An empty log with room for `capacity` events. */
static forage_status log_of(size_t users, size_t items, size_t capacity, forage_dataset **dataset, forage_error *error)
{
    FORAGE_TRY(forage_dataset_create(dataset, error));
    forage_vocabulary_free((*dataset)->users);
    forage_vocabulary_free((*dataset)->items);
    (*dataset)->users = (*dataset)->items = NULL;
    FORAGE_TRY(forage_vocabulary_create_numbered(users, &(*dataset)->users, error));
    FORAGE_TRY(forage_vocabulary_create_numbered(items, &(*dataset)->items, error));
    forage_free((*dataset)->user_name);
    forage_free((*dataset)->item_name);
    forage_free((*dataset)->value_name);
    (*dataset)->user_name = forage_strdup("user_id");
    (*dataset)->item_name = forage_strdup("product_id");
    (*dataset)->value_name = forage_strdup("clicked");
    (*dataset)->user_attributes.rows = users;
    (*dataset)->item_attributes.rows = items;
    (*dataset)->user = forage_alloc(capacity, sizeof *(*dataset)->user);
    (*dataset)->item = forage_alloc(capacity, sizeof *(*dataset)->item);
    (*dataset)->value = forage_alloc(capacity, sizeof *(*dataset)->value);
    if (!(*dataset)->user || !(*dataset)->item || !(*dataset)->value || !(*dataset)->user_name ||
        !(*dataset)->item_name || !(*dataset)->value_name)
        return forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    return FORAGE_OK;
}

static void set_count(forage_dataset *log, size_t count)
{
    log->count = log->train_rows = log->context.rows = count;
}

static forage_status log_create(eval_world *world, forage_error *error)
{
    return log_of(world->known_users, world->known_items, world->capacity, &world->log, error);
}

/* Items of other categories first, then those of `last`; each in the shop's order. Returns how many come first. */
static size_t order_items(eval_world *world, uint32_t last)
{
    size_t next = 0;
    for (uint32_t item = 0; item < world->items; ++item)
        if (last == FORAGE_NONE || forage_simulator_category(world->simulator, item) != last)
            world->shop_item[next++] = item;
    size_t others = next;
    for (uint32_t item = 0; item < world->items && last != FORAGE_NONE; ++item)
        if (forage_simulator_category(world->simulator, item) == last)
            world->shop_item[next++] = item;
    return others;
}

static forage_status world_fill(eval_world *world, const eval_world_options *options, forage_error *error)
{
    forage_scenario scenario = *world->study->scenario; /* borrows its strings */
    scenario.users = options->users;
    scenario.products = options->items;
    scenario.seed = world->study->seed + (uint64_t)options->stream * 7919;
    FORAGE_TRY(forage_simulator_create(&scenario, NULL, &world->simulator, error));
    forage_rng_seed_stream(&world->rng, scenario.seed, 1);
    size_t pairs = world->users * world->items;
    world->shop_item = forage_alloc(world->items, sizeof *world->shop_item);
    world->truth = forage_alloc(pairs, sizeof *world->truth);
    world->scores = forage_alloc(pairs, sizeof *world->scores);
    world->pair_user = forage_alloc(pairs, sizeof *world->pair_user);
    world->pair_item = forage_alloc(pairs, sizeof *world->pair_item);
    world->rows = forage_alloc(world->capacity, sizeof *world->rows);
    if (!world->shop_item || !world->truth || !world->scores || !world->pair_user || !world->pair_item || !world->rows)
        return forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    size_t others = order_items(world, options->last_category);
    if (options->new_items == SIZE_MAX)
        world->known_items = others;
    if (world->known_items == 0)
        return forage_fail(error, FORAGE_UNSUPPORTED,
                           "the scenario '%s' has too few categories for an experiment that launches one",
                           scenario.name ? scenario.name : "");
    for (size_t pair = 0; pair < pairs; ++pair) {
        world->pair_user[pair] = (uint32_t)(pair / world->items);
        world->pair_item[pair] = (uint32_t)(pair % world->items);
    }
    for (size_t row = 0; row < world->capacity; ++row)
        world->rows[row] = (uint32_t)row;
    eval_world_look(world);
    FORAGE_TRY(log_create(world, error));
    return log_of(world->users, world->items, 1, &world->all, error);
}

forage_status eval_world_create(const eval_study *study, const eval_world_options *options, eval_world *world,
                                forage_error *error)
{
    *world = (eval_world){
        .study = study,
        .users = options->users,
        .items = options->items,
        .known_users = options->users - options->new_users,
        .known_items = options->new_items == SIZE_MAX ? 0 : options->items - options->new_items,
        .capacity = options->capacity,
    };
    forage_status status = world_fill(world, options, error);
    if (status != FORAGE_OK)
        eval_world_release(world);
    return status;
}

void eval_world_release(eval_world *world)
{
    forage_simulator_free(world->simulator);
    forage_dataset_free(world->log);
    forage_dataset_free(world->all);
    forage_free(world->shop_item);
    forage_free(world->truth);
    forage_free(world->scores);
    forage_free(world->pair_user);
    forage_free(world->pair_item);
    forage_free(world->rows);
    *world = (eval_world){0};
}

void eval_world_look(eval_world *world)
{
    for (size_t pair = 0; pair < world->users * world->items; ++pair)
        world->truth[pair] = (float)forage_simulator_probability(world->simulator, world->pair_user[pair],
                                                                 world->shop_item[world->pair_item[pair]]);
}

void eval_world_clear(eval_world *world)
{
    set_count(world->log, 0);
}

void eval_world_set_count(eval_world *world, size_t count)
{
    set_count(world->log, count);
}

forage_status eval_world_open(eval_world *world, forage_error *error)
{
    world->known_users = world->users;
    world->known_items = world->items;
    forage_dataset *before = world->log;
    world->log = NULL;
    forage_status status = log_create(world, error);
    if (status == FORAGE_OK) {
        size_t count = before->count;
        memcpy(world->log->user, before->user, count * sizeof *before->user);
        memcpy(world->log->item, before->item, count * sizeof *before->item);
        memcpy(world->log->value, before->value, count * sizeof *before->value);
        set_count(world->log, count);
    }
    forage_dataset_free(before);
    return status;
}

void eval_world_visits(eval_world *world, size_t count, const uint32_t *choice)
{
    forage_dataset *log = world->log;
    for (size_t i = 0; i < count && log->count < world->capacity; ++i) {
        uint32_t user = (uint32_t)forage_rng_integers(&world->rng, world->known_users);
        uint32_t item = choice ? choice[user] : (uint32_t)forage_rng_integers(&world->rng, world->known_items);
        double rate = (double)world->truth[user * world->items + item];
        log->user[log->count] = user;
        log->item[log->count] = item;
        log->value[log->count++] = forage_rng_double(&world->rng) < rate ? 1 : 0;
    }
    set_count(log, log->count);
}

/* These logs are a tenth of the document's and smaller: to come as far in a second, a model that is trained step
 * by step takes smaller batches and larger steps. A model without such parameters keeps what it has. */
static forage_status small_log_params(const forage_model_info *info, unsigned epochs, forage_params **params,
                                      forage_error *error)
{
    char text[32];
    snprintf(text, sizeof text, "%u", epochs);
    const char *const settings[][2] = {{"epochs", text}, {"batch-size", "128"}, {"learning-rate", "0.005"}};
    FORAGE_TRY(forage_params_create(&info->table, params, error));
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; ++i)
        if (forage_params_text(*params, settings[i][0]))
            FORAGE_TRY(forage_params_set(*params, settings[i][0], settings[i][1], error));
    return FORAGE_OK;
}

forage_status eval_world_model(eval_world *world, const forage_model_info *info, const forage_params *params,
                               const uint32_t *rows, size_t count, uint64_t seed, forage_model **model,
                               forage_error *error)
{
    uint32_t *train = forage_alloc(count, sizeof *train); /* a split's rows are its own to order */
    if (!train)
        return forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    memcpy(train, rows, count * sizeof *train);
    forage_split split = {.train = train, .train_count = count};
    forage_fit_options options = {.device = &world->study->device, .seed = seed, .progress = world->study->watch};
    forage_status status = forage_model_fit(info, params, world->log, &split, &options, NULL, model, error);
    forage_free(train);
    return status;
}

forage_status eval_world_score(eval_world *world, const forage_model *model, forage_error *error)
{
    forage_binding *binding;
    FORAGE_TRY(forage_model_bind(model, world->all, FORAGE_UNKNOWN_AVERAGE, NULL, &binding, error));
    forage_status status = forage_model_score_pairs(binding, world->pair_user, world->pair_item,
                                                    world->users * world->items, world->scores, NULL, error);
    forage_binding_free(binding);
    return status;
}

forage_status eval_world_fit(eval_world *world, const forage_model_info *info, const uint32_t *rows, size_t count,
                             unsigned epochs, uint64_t seed, forage_error *error)
{
    forage_params *params = NULL;
    forage_model *model = NULL;
    forage_status status = small_log_params(info, epochs, &params, error);
    if (status == FORAGE_OK)
        status = eval_world_model(world, info, params, rows, count, seed, &model, error);
    if (status == FORAGE_OK)
        status = eval_world_score(world, model, error);
    forage_model_free(model);
    forage_params_free(params);
    return status;
}

/* ------------------------------------------------------------------ *
 * What a choice earns
 * ------------------------------------------------------------------ */

static uint32_t best_of(const float *values, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; ++i)
        if (values[i] > values[best])
            best = i;
    return (uint32_t)best;
}

void eval_world_choose(const eval_world *world, const float *scores, size_t first, size_t last, size_t items,
                       uint32_t *choice)
{
    for (size_t user = first; user < last; ++user)
        choice[user] = best_of(scores + user * world->items, items);
}

double eval_world_rate(const eval_world *world, const uint32_t *choice, size_t first, size_t last, const bool *among)
{
    double sum = 0;
    size_t count = 0;
    for (size_t user = first; user < last; ++user)
        if (!among || among[user]) {
            sum += (double)world->truth[user * world->items + choice[user]];
            ++count;
        }
    return count ? sum / (double)count : (double)NAN;
}

double eval_world_oracle(const eval_world *world, size_t first, size_t last, size_t items, const bool *among)
{
    double sum = 0;
    size_t count = 0;
    for (size_t user = first; user < last; ++user)
        if (!among || among[user]) {
            const float *rates = world->truth + user * world->items;
            sum += (double)rates[best_of(rates, items)];
            ++count;
        }
    return count ? sum / (double)count : (double)NAN;
}

double eval_world_random(const eval_world *world, size_t first, size_t last, size_t items)
{
    double sum = 0;
    for (size_t user = first; user < last; ++user)
        for (size_t item = 0; item < items; ++item)
            sum += (double)world->truth[user * world->items + item];
    return sum / (double)((last - first) * items);
}

double eval_world_rmse(const eval_world *world, size_t u0, size_t u1, size_t i0, size_t i1)
{
    double sum = 0;
    for (size_t user = u0; user < u1; ++user)
        for (size_t item = i0; item < i1; ++item) {
            size_t pair = user * world->items + item;
            double difference = (double)world->scores[pair] - (double)world->truth[pair];
            sum += difference * difference;
        }
    size_t count = (u1 - u0) * (i1 - i0);
    return count ? sqrt(sum / (double)count) : (double)NAN;
}

void eval_name(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text);
}
