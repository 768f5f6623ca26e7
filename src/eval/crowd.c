/*
 * crowd.c: who takes part in the experiments of chapter 4, and what becomes of their rankings.
 *
 * Settings were chosen in other worlds, by the same measure (docs/evaluation.md says how).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/crowd.h"

#include <math.h>
#include <string.h>

static const char *const batched[][2] = {{"epochs", "4"}, {"batch-size", "128"}, {"learning-rate", "0.005"}};
static const char *const tuned[][2] = {{"recipe", "tuned"}};

const crowd_model crowd_batched = {"embedding-mlp", batched, sizeof batched / sizeof *batched};
const crowd_model crowd_tuned = {"embedding-mlp", tuned, sizeof tuned / sizeof *tuned};
const crowd_model crowd_popular = {"popular", NULL, 0};
const crowd_model crowd_neighbours = {"item-knn", NULL, 0};
const crowd_model crowd_squares = {"ials", NULL, 0};
const crowd_model crowd_filter = {"gf-cf", NULL, 0};

forage_status crowd_graph_model(eval_world *world, size_t layers, bool trained, size_t rows, uint64_t seed,
                                forage_model **model, forage_error *error)
{
    static const char *const names[CROWD_MOST_LAYERS + 1] = {"0", "1", "2", "3", "4"};
    const char *const settings[][2] = {
        {"loss", "bpr"},       {"layers", names[layers]},        {"embedding-size", "32"},
        {"batch-size", "256"}, {"epochs", trained ? "15" : "1"}, {"learning-rate", trained ? "0.005" : "0"},
    };
    const crowd_model spec = {"lightgcn", settings, sizeof settings / sizeof *settings};
    return crowd_fit(world, &spec, rows, seed, model, error);
}

forage_status crowd_fit(eval_world *world, const crowd_model *spec, size_t rows, uint64_t seed, forage_model **model,
                        forage_error *error)
{
    const forage_model_info *info;
    forage_params *params = NULL;
    FORAGE_TRY(forage_model_find(spec->name, &info, error));
    forage_status status = forage_params_create(&info->table, &params, error);
    for (size_t i = 0; status == FORAGE_OK && i < spec->count; ++i)
        status = forage_params_set(params, spec->settings[i][0], spec->settings[i][1], error);
    if (status == FORAGE_OK)
        status = eval_world_model(world, info, params, world->rows, rows, seed, model, error);
    forage_params_free(params);
    return status;
}

forage_status crowd_score(eval_world *world, const crowd_model *spec, size_t rows, uint64_t seed, forage_error *error)
{
    forage_model *model;
    FORAGE_TRY(crowd_fit(world, spec, rows, seed, &model, error));
    forage_status status = eval_world_score(world, model, error);
    forage_model_free(model);
    return status;
}

/* ------------------------------------------------------------------ *
 * Who knows the personas
 * ------------------------------------------------------------------ */

/* What an event says of a persona: log P(click or not | shown), or, of clicks alone, log P(this product | a click). */
static double evidence(double rate, bool click, bool clicks_alone, double all)
{
    if (clicks_alone)
        return click ? log(rate / all) : 0;
    return click ? log(rate) : log1p(-rate);
}

/* The sum of a persona's rates over all products. */
static double rates_of(const eval_world *world, uint32_t persona)
{
    double sum = 0;
    for (size_t item = 0; item < world->items; ++item)
        sum += forage_simulator_rate(world->simulator, persona,
                                     forage_simulator_category(world->simulator, world->shop_item[item]));
    return sum;
}

/* log P(persona and the user's events), but for a constant: belief[users x personas]. */
static void believe(const eval_world *world, size_t rows, bool clicks_alone, size_t personas, double *belief)
{
    const forage_simulator *simulator = world->simulator;
    const forage_dataset *events = world->log;
    for (uint32_t p = 0; p < personas; ++p) {
        double all = rates_of(world, p);
        size_t count = 0;
        for (uint32_t user = 0; user < world->users; ++user)
            count += forage_simulator_persona(simulator, user) == p;
        for (size_t user = 0; user < world->users; ++user)
            belief[user * personas + p] = log((double)count / (double)world->users);
        for (size_t row = 0; row < rows; ++row) {
            uint32_t category = forage_simulator_category(simulator, world->shop_item[events->item[row]]);
            belief[events->user[row] * personas + p] +=
                evidence(forage_simulator_rate(simulator, p, category), events->value[row] > 0, clicks_alone, all);
        }
    }
}

forage_status crowd_score_personas(eval_world *world, size_t rows, bool clicks_alone, forage_error *error)
{
    const forage_simulator *simulator = world->simulator;
    size_t personas = forage_simulator_personas(simulator);
    double *belief = forage_alloc(world->users, personas * sizeof *belief);
    if (!belief)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for an experiment");
    believe(world, rows, clicks_alone, personas, belief);
    for (size_t user = 0; user < world->users; ++user) {
        double *mine = belief + user * personas, most = mine[0], sum = 0;
        for (size_t p = 1; p < personas; ++p)
            most = fmax(most, mine[p]);
        for (size_t p = 0; p < personas; ++p)
            sum += mine[p] = exp(mine[p] - most);
        for (size_t item = 0; item < world->items; ++item) {
            uint32_t category = forage_simulator_category(simulator, world->shop_item[item]);
            double rate = 0;
            for (uint32_t p = 0; p < personas; ++p)
                rate += mine[p] * forage_simulator_rate(simulator, p, category);
            world->scores[user * world->items + item] = (float)(rate / sum);
        }
    }
    forage_free(belief);
    return FORAGE_OK;
}

/* ------------------------------------------------------------------ *
 * What rankings are worth
 * ------------------------------------------------------------------ */

void crowd_chosen(const eval_world *world, size_t rows, bool *chosen)
{
    const forage_dataset *log = world->log;
    memset(chosen, 0, world->users * world->items * sizeof *chosen);
    for (size_t row = 0; row < rows; ++row)
        if (log->value[row] > 0)
            chosen[log->user[row] * world->items + log->item[row]] = true;
}

size_t crowd_top(const float *scores, const bool *chosen, size_t items, size_t k, uint32_t *top)
{
    size_t count = 0;
    for (size_t item = 0; item < items; ++item) {
        if (chosen[item] || (count == k && !(scores[item] > scores[top[k - 1]])))
            continue;
        size_t at = count < k ? count++ : k - 1;
        for (; at > 0 && scores[item] > scores[top[at - 1]]; --at)
            top[at] = top[at - 1];
        top[at] = (uint32_t)item;
    }
    return count;
}

double crowd_truth(const eval_world *world, size_t user, const uint32_t *items, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; ++i)
        sum += (double)world->truth[user * world->items + items[i]];
    return count ? sum / (double)count : (double)NAN;
}

double crowd_rate(const eval_world *world, const float *scores, const bool *chosen, size_t first, size_t last,
                  const bool *among)
{
    double sum = 0;
    size_t users = 0;
    for (size_t user = first; user < last; ++user) {
        uint32_t top[CROWD_TOP];
        if (among && !among[user])
            continue;
        size_t at = user * world->items, count = crowd_top(scores + at, chosen + at, world->items, CROWD_TOP, top);
        if (count > 0) {
            sum += crowd_truth(world, user, top, count);
            ++users;
        }
    }
    return users ? sum / (double)users : (double)NAN;
}
