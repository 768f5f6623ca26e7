/*
 * few_clicks.c: users of few clicks, in a shop whose other users have clicked more. How good are rankings for them
 * after one click, after two, after twenty: by models that were trained again with their clicks, and by those that were
 * not.
 *
 * A user with c clicks visits at random until the c-th click; all these visits, clicked or not, are in the log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/chapter4.h"

#include <math.h>
#include <string.h>

enum {
    OTHERS = 500,
    LOGS = 2,
    GROUPS = 6,
    GROUP = 50,     /* users of each number of clicks */
    PATIENCE = 400, /* visits of a user at most for each click wanted; who then has too few is left out */
};

static const size_t others_visits[LOGS] = {20, 40}; /* of each of the others, on average */
static const double clicks[GROUPS] = {1, 2, 3, 5, 10, 20};

enum {
    POPULAR,
    BATCHED_BEFORE,
    BATCHED,
    TUNED,
    NEIGHBOURS,
    SQUARES,
    FILTER,
    NO_GRAPH,
    FOLDED,
    GRAPH,
    PERSONAS_CLICKS,
    PERSONAS,
    ORACLE,
    ARMS,
    VISITS = ARMS, /* that it took to click so often */
    NUMBERS        /* of a group */
};

static const crowd_arm arms[ARMS] = {
    [POPULAR] = {"bestsellers", "the products with the best click rates in the log, the same for everyone"},
    [BATCHED_BEFORE] = {"embedding-mlp, not retrained",
                        "tuned; has not met these users, who are the average user to it"},
    [BATCHED] = {"embedding-mlp", "chapter 1’s batched model, trained again with their visits"},
    [TUNED] = {"embedding-mlp, tuned", "the same with the settings that were tuned for this shop"},
    [NEIGHBOURS] = {"item-knn", "products near those clicked, made again with their clicks"},
    [SQUARES] = {"ials", "vectors by least squares, no graph, made again with their clicks"},
    [FILTER] = {"gf-cf", "filters over the graph in closed form, made again with their clicks"},
    [NO_GRAPH] = {"no graph", "lightgcn with 0 layers, trained again with their clicks"},
    [FOLDED] = {"lightgcn, not retrained", "has not met these users, but places each by the products clicked"},
    [GRAPH] = {"lightgcn", "3 layers, trained again with their clicks"},
    [PERSONAS_CLICKS] = {"limit, from clicks alone",
                         "knows the personas’ rates, and guesses each user’s persona from what they clicked"},
    [PERSONAS] = {"limit, from all visits", "the same, from what they did not click, too"},
    [ORACLE] = {"oracle", "knows every click probability"},
};

size_t few_clicks_size(void)
{
    return LOGS * GROUPS * NUMBERS;
}

/* One world, and the rows of the newcomers in it. */
typedef struct newcomers {
    eval_world world;
    size_t before; /* rows of the others */
    bool *chosen;  /* [users x items] */
    bool *there;   /* [users]: has clicked as often as wanted */
    double *found;
} newcomers;

static size_t first_of(size_t group)
{
    return OTHERS + group * GROUP;
}

static double *place(const newcomers *n, size_t group, size_t what)
{
    return &n->found[group * NUMBERS + what];
}

/* Visits of one user until there are so many clicks. Returns the visits, 0 if patience or the log came to an end. */
static size_t visit(eval_world *world, uint32_t user, size_t wanted)
{
    forage_dataset *log = world->log;
    size_t first = log->count, row = first, left = wanted;
    for (; left > 0 && row < world->capacity && row - first < PATIENCE * wanted; ++row) {
        uint32_t item = (uint32_t)forage_rng_integers(&world->rng, world->items);
        bool click = forage_rng_double(&world->rng) < (double)world->truth[user * world->items + item];
        log->user[row] = user;
        log->item[row] = item;
        log->value[row] = click ? 1 : 0;
        left -= click;
    }
    eval_world_set_count(world, row);
    return left == 0 ? row - first : 0;
}

static void arrive(newcomers *n)
{
    for (size_t group = 0; group < GROUPS; ++group) {
        size_t there = 0, visits = 0;
        for (size_t user = first_of(group); user < first_of(group + 1); ++user) {
            size_t took = visit(&n->world, (uint32_t)user, (size_t)clicks[group]);
            n->there[user] = took > 0;
            there += took > 0;
            visits += took;
        }
        *place(n, group, VISITS) = there ? (double)visits / (double)there : (double)NAN;
    }
}

static void measure(const newcomers *n, const float *scores, size_t arm)
{
    for (size_t group = 0; group < GROUPS; ++group)
        *place(n, group, arm) =
            crowd_rate(&n->world, scores, n->chosen, first_of(group), first_of(group + 1), n->there);
}

/* What a user has clicked, rising. */
static size_t history_of(const newcomers *n, size_t user, uint32_t *items)
{
    size_t count = 0;
    for (size_t item = 0; item < n->world.items; ++item)
        if (n->chosen[user * n->world.items + item])
            items[count++] = (uint32_t)item;
    return count;
}

/* Rankings for people of whom the model knows nothing but what they clicked. */
static forage_status measure_folded(const newcomers *n, const forage_model *model, forage_error *error)
{
    const eval_world *world = &n->world;
    forage_binding *binding;
    forage_status status = FORAGE_OK;
    FORAGE_TRY(forage_model_bind(model, world->all, FORAGE_UNKNOWN_SKIP, NULL, &binding, error));
    for (size_t group = 0; group < GROUPS && status == FORAGE_OK; ++group) {
        double sum = 0;
        size_t users = 0;
        for (size_t user = first_of(group); user < first_of(group + 1) && status == FORAGE_OK; ++user) {
            uint32_t history[CROWD_ITEMS], top[CROWD_TOP];
            float scores[CROWD_TOP];
            size_t found = 0, count = history_of(n, user, history);
            if (!n->there[user])
                continue;
            status = forage_model_rank_history(binding, history, NULL, count, CROWD_TOP, history, count, top, scores,
                                               &found, error);
            if (status == FORAGE_OK && found > 0) {
                sum += crowd_truth(world, user, top, found);
                ++users;
            }
        }
        *place(n, group, FOLDED) = users ? sum / (double)users : (double)NAN;
    }
    forage_binding_free(binding);
    return status;
}

/* Models that were made before the newcomers came. */
static forage_status before(newcomers *n, uint64_t seed, forage_model **batched, forage_model **graph,
                            forage_error *error)
{
    FORAGE_TRY(crowd_fit(&n->world, &crowd_tuned, n->before, seed, batched, error));
    return crowd_graph_model(&n->world, CROWD_LAYERS, true, n->before, seed, graph, error);
}

static forage_status measure_graph(newcomers *n, size_t layers, uint64_t seed, size_t arm, forage_error *error)
{
    forage_model *model;
    FORAGE_TRY(crowd_graph_model(&n->world, layers, true, n->world.log->count, seed, &model, error));
    forage_status status = eval_world_score(&n->world, model, error);
    forage_model_free(model);
    if (status == FORAGE_OK)
        measure(n, n->world.scores, arm);
    return status;
}

/* Models that are made again with what the newcomers did. */
static forage_status after(newcomers *n, uint64_t seed, forage_error *error)
{
    const struct {
        const crowd_model *model;
        size_t arm;
    } models[] = {{&crowd_popular, POPULAR},       {&crowd_batched, BATCHED}, {&crowd_tuned, TUNED},
                  {&crowd_neighbours, NEIGHBOURS}, {&crowd_squares, SQUARES}, {&crowd_filter, FILTER}};
    for (size_t m = 0; m < sizeof models / sizeof *models; ++m) {
        FORAGE_TRY(crowd_score(&n->world, models[m].model, n->world.log->count, seed, error));
        measure(n, n->world.scores, models[m].arm);
    }
    FORAGE_TRY(measure_graph(n, 0, seed, NO_GRAPH, error));
    FORAGE_TRY(measure_graph(n, CROWD_LAYERS, seed, GRAPH, error));
    for (size_t arm = PERSONAS_CLICKS; arm <= PERSONAS; ++arm) {
        FORAGE_TRY(crowd_score_personas(&n->world, n->world.log->count, arm == PERSONAS_CLICKS, error));
        measure(n, n->world.scores, arm);
    }
    measure(n, n->world.truth, ORACLE);
    return FORAGE_OK;
}

static forage_status play(newcomers *n, uint64_t seed, forage_error *error)
{
    forage_model *batched = NULL, *graph = NULL;
    forage_status status;
    eval_world_visits(&n->world, n->before, NULL);
    FORAGE_TRY_GOTO(before(n, seed, &batched, &graph, error), end);
    FORAGE_TRY_GOTO(eval_world_open(&n->world, error), end);
    arrive(n);
    crowd_chosen(&n->world, n->world.log->count, n->chosen);
    FORAGE_TRY_GOTO(eval_world_score(&n->world, batched, error), end);
    measure(n, n->world.scores, BATCHED_BEFORE);
    FORAGE_TRY_GOTO(measure_folded(n, graph, error), end);
    FORAGE_TRY_GOTO(after(n, seed, error), end);
end:
    forage_model_free(batched);
    forage_model_free(graph);
    return status;
}

static forage_status world_of(const eval_study *study, size_t index, size_t log, double *found, forage_error *error)
{
    const size_t users = OTHERS + GROUPS * GROUP, room = 40 * GROUP * 41; /* 40 visits for each of 41 clicks */
    newcomers n = {.found = found, .before = OTHERS * others_visits[log]};
    const eval_world_options options = {
        users, CROWD_ITEMS, GROUPS * GROUP, 0, FORAGE_NONE, n.before + room, CROWD_STREAM_FEW + (uint32_t)index};
    FORAGE_TRY(eval_world_create(study, &options, &n.world, error));
    n.chosen = forage_alloc(users, CROWD_ITEMS * sizeof *n.chosen);
    n.there = forage_calloc(users, sizeof *n.there);
    forage_status status = n.chosen && n.there
                               ? play(&n, index, error)
                               : forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for an experiment");
    forage_free(n.chosen);
    forage_free(n.there);
    eval_world_release(&n.world);
    return status;
}

forage_status few_clicks_world(const eval_study *study, size_t index, double *found, forage_error *error)
{
    for (size_t log = 0; log < LOGS; ++log)
        FORAGE_TRY(world_of(study, index, log, found + log * GROUPS * NUMBERS, error));
    return FORAGE_OK;
}

/* ------------------------------------------------------------------ *
 * The record
 * ------------------------------------------------------------------ */

static forage_status fill(const double *found, size_t worlds, size_t log, forage_few_clicks *record,
                          forage_error *error)
{
    *record = (forage_few_clicks){.others = OTHERS, .others_visits = others_visits[log], .group = GROUP};
    FORAGE_TRY(crowd_table_create(ARMS, clicks, GROUPS, false, true, &record->arms, error));
    record->visits = forage_alloc(GROUPS, sizeof *record->visits);
    if (!record->visits)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
    for (size_t a = 0; a < ARMS; ++a)
        crowd_name(&record->arms.arms[a], &arms[a]);
    for (size_t group = 0; group < GROUPS; ++group) {
        size_t first = (log * GROUPS + group) * NUMBERS;
        record->visits[group] = eval_over_worlds(found, worlds, few_clicks_size(), first + VISITS);
        record->arms.ahead[group] =
            eval_difference_over_worlds(found, worlds, few_clicks_size(), first + GRAPH, first + TUNED);
        for (size_t a = 0; a < ARMS; ++a)
            record->arms.arms[a].click_rate[group] = eval_over_worlds(found, worlds, few_clicks_size(), first + a);
    }
    return FORAGE_OK;
}

forage_status few_clicks_record(const double *found, size_t worlds, forage_chapter4 *chapter, forage_error *error)
{
    chapter->few_clicks = forage_calloc(LOGS, sizeof *chapter->few_clicks);
    if (!chapter->few_clicks)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
    for (size_t log = 0; log < LOGS; ++log)
        FORAGE_TRY(fill(found, worlds, log, &chapter->few_clicks[chapter->few_clicks_count++], error));
    return FORAGE_OK;
}
