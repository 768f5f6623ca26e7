/*
 * crowd_sizes.c: how much the crowd has clicked. The same shop with a thin log and a thick one: what smoothing over the
 * graph does to rankings, and how the graph model stands beside others. At one size, how the vectors of users and
 * products lie.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/chapter4.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval/vectors.h"

/* Visits of each user on average that models learn from; the next so many are what rankings should find. */
const double crowd_sizes[CROWD_SIZES] = {10, 20, 40, 80};
enum { TEST_VISITS = 10 };

static const crowd_arm arms[CROWD_ARMS] = {
    [CROWD_POPULAR] = {"bestsellers", "the products with the best click rates in the log, the same for everyone"},
    [CROWD_BATCHED] = {"embedding-mlp", "chapter 1’s batched model, with the settings of its worlds"},
    [CROWD_TUNED] = {"embedding-mlp, tuned", "the same with the settings that were tuned for this shop"},
    [CROWD_NEIGHBOURS_OF_ITEMS] = {"item-knn", "who clicked on this also clicked on that: products near those clicked"},
    [CROWD_SQUARES] = {"ials", "vectors whose products fit clicks and gaps by least squares; no graph"},
    [CROWD_FILTER] = {"gf-cf", "two filters over the graph in closed form: nothing is trained"},
    [CROWD_LAYER_0] = {"no graph", "lightgcn with 0 layers: the same embeddings, loss and steps, not smoothed"},
    [CROWD_LAYER_1] = {"1 layer", ""},
    [CROWD_LAYER_2] = {"2 layers", ""},
    [CROWD_LAYER_3] = {"lightgcn", "embeddings smoothed over the graph, 3 layers as published"},
    [CROWD_LAYER_4] = {"4 layers", ""},
    [CROWD_PERSONAS_CLICKS] = {"limit, from clicks alone",
                               "knows the personas’ rates, and guesses each user’s persona from what they clicked"},
    [CROWD_PERSONAS] = {"limit, from all visits", "the same, from what they did not click, too"},
    [CROWD_ORACLE] = {"oracle", "knows every click probability"},
};

static const crowd_arm views[CROWD_VIEWS] = {
    [CROWD_RANDOM] = {"At random", "embeddings as they are drawn, before any training"},
    [CROWD_SMOOTHED] = {"Smoothed, not trained", "the same random numbers, smoothed over the graph three times"},
    [CROWD_TRAINED] = {"Trained, no graph", "trained on the clicks, not smoothed (0 layers)"},
    [CROWD_BOTH] = {"Trained with the graph", "trained and smoothed (3 layers)"},
};

enum { SIZE = CROWD_SIZES * CROWD_ARMS * CROWD_MEASURES + CROWD_VIEWS * CROWD_LOOKS };

size_t crowd_sizes_size(void)
{
    return SIZE;
}

static size_t place_of(size_t size, size_t arm, size_t measure)
{
    return (size * CROWD_ARMS + arm) * CROWD_MEASURES + measure;
}

static size_t look_place(size_t view, size_t look)
{
    return CROWD_SIZES * CROWD_ARMS * CROWD_MEASURES + view * CROWD_LOOKS + look;
}

forage_status crowd_sizes_open(const eval_study *study, size_t index, eval_world *world, forage_error *error)
{
    size_t visits = (size_t)(crowd_sizes[CROWD_SIZES - 1] + TEST_VISITS) * CROWD_USERS;
    const eval_world_options options = {
        CROWD_USERS, CROWD_ITEMS, 0, 0, FORAGE_NONE, visits, CROWD_STREAM_SIZES + (uint32_t)index};
    FORAGE_TRY(eval_world_create(study, &options, world, error));
    eval_world_visits(world, visits, NULL);
    return FORAGE_OK;
}

size_t crowd_sizes_rows(size_t size)
{
    return (size_t)crowd_sizes[size] * CROWD_USERS;
}

/* ------------------------------------------------------------------ *
 * Rankings at one size
 * ------------------------------------------------------------------ */

typedef struct ranker {
    eval_world *world;
    size_t rows;
    bool *chosen;
    forage_seen test; /* clicks of the next visits on what was not chosen before */
} ranker;

/* forage_rank_function: by world->scores. */
static forage_status rank(void *context, const uint32_t *users, size_t count, size_t k, const forage_seen *seen,
                          uint32_t *items, size_t *found, forage_error *error)
{
    const ranker *r = context;
    (void)seen, (void)error;
    for (size_t i = 0; i < count; ++i) {
        size_t at = users[i] * r->world->items;
        found[i] = crowd_top(r->world->scores + at, r->chosen + at, r->world->items, k, items + i * k);
    }
    return FORAGE_OK;
}

/* The measures of world->scores, to found[CROWD_MEASURES]. */
static forage_status measure(ranker *r, double *found, forage_error *error)
{
    const size_t cutoff = CROWD_CUTOFF;
    const forage_ranking_task task = {.test = &r->test, .items = r->world->items};
    const forage_ranking_options options = {.cutoffs = &cutoff, .cutoff_count = 1};
    forage_ranking_metrics metrics;
    found[CROWD_RATE] = crowd_rate(r->world, r->world->scores, r->chosen, 0, r->world->users, NULL);
    found[CROWD_RECALL] = found[CROWD_NDCG] = NAN;
    if (r->test.offsets[r->test.user_count] == 0)
        return FORAGE_OK; /* nothing was clicked that could be found */
    FORAGE_TRY(forage_ranking_compute(rank, r, &task, &options, &metrics, error));
    found[CROWD_RECALL] = metrics.recall.value;
    found[CROWD_NDCG] = metrics.ndcg.value;
    return FORAGE_OK;
}

static forage_status find_test(ranker *r, forage_error *error)
{
    forage_seen *test = &r->test;
    size_t count = TEST_VISITS * CROWD_USERS, kept = 0, first = 0;
    FORAGE_TRY(forage_seen_create(r->world->log, r->world->rows + r->rows, count, true, test, error));
    for (size_t user = 0; user < test->user_count; ++user) {
        size_t end = test->offsets[user + 1];
        for (size_t i = first; i < end; ++i)
            if (!r->chosen[user * r->world->items + test->items[i]])
                test->items[kept++] = test->items[i];
        test->offsets[user + 1] = kept;
        first = end;
    }
    return FORAGE_OK;
}

static forage_status rank_models(ranker *r, uint64_t seed, double *found, forage_error *error)
{
    const struct {
        const crowd_model *model;
        size_t arm;
    } models[] = {{&crowd_popular, CROWD_POPULAR}, {&crowd_batched, CROWD_BATCHED},
                  {&crowd_tuned, CROWD_TUNED},     {&crowd_neighbours, CROWD_NEIGHBOURS_OF_ITEMS},
                  {&crowd_squares, CROWD_SQUARES}, {&crowd_filter, CROWD_FILTER}};
    for (size_t m = 0; m < sizeof models / sizeof *models; ++m) {
        FORAGE_TRY(crowd_score(r->world, models[m].model, r->rows, seed, error));
        FORAGE_TRY(measure(r, found + models[m].arm * CROWD_MEASURES, error));
    }
    for (size_t layers = 0; layers <= CROWD_MOST_LAYERS; ++layers) {
        forage_model *model;
        FORAGE_TRY(crowd_graph_model(r->world, layers, true, r->rows, seed, &model, error));
        forage_status status = eval_world_score(r->world, model, error);
        forage_model_free(model);
        if (status == FORAGE_OK)
            status = measure(r, found + (CROWD_LAYER_0 + layers) * CROWD_MEASURES, error);
        FORAGE_TRY(status);
    }
    return FORAGE_OK;
}

static forage_status rank_all(ranker *r, uint64_t seed, double *found, forage_error *error)
{
    eval_world *world = r->world;
    crowd_chosen(world, r->rows, r->chosen);
    FORAGE_TRY(find_test(r, error));
    FORAGE_TRY(rank_models(r, seed, found, error));
    for (size_t arm = CROWD_PERSONAS_CLICKS; arm <= CROWD_PERSONAS; ++arm) {
        FORAGE_TRY(crowd_score_personas(world, r->rows, arm == CROWD_PERSONAS_CLICKS, error));
        FORAGE_TRY(measure(r, found + arm * CROWD_MEASURES, error));
    }
    memcpy(world->scores, world->truth, world->users * world->items * sizeof *world->scores);
    return measure(r, found + CROWD_ORACLE * CROWD_MEASURES, error);
}

/* ------------------------------------------------------------------ *
 * How vectors lie
 * ------------------------------------------------------------------ */

forage_status crowd_view_model(eval_world *world, size_t view, size_t rows, uint64_t seed, forage_model **model,
                               forage_error *error)
{
    size_t layers = view == CROWD_SMOOTHED || view == CROWD_BOTH ? CROWD_LAYERS : 0;
    return crowd_graph_model(world, layers, view >= CROWD_TRAINED, rows, seed, model, error);
}

static forage_status look_at(const forage_model *model, forage_owner owner, const uint32_t *group, size_t groups,
                             double *found, forage_error *error)
{
    forage_embedding table;
    double *unit;
    FORAGE_TRY(forage_model_embedding(model, owner, &table, error));
    FORAGE_TRY(eval_unit_rows(&table, &unit, error));
    forage_status status = eval_same_group(unit, table.count, table.width, group, CROWD_NEIGHBOURS, &found[0], error);
    if (status == FORAGE_OK)
        status = eval_silhouette(unit, table.count, table.width, group, groups, &found[1], error);
    forage_free(unit);
    return status;
}

static forage_status look(eval_world *world, uint64_t seed, double *found, forage_error *error)
{
    uint32_t persona[CROWD_USERS], category[CROWD_ITEMS];
    crowd_groups(world, persona, category);
    for (size_t view = 0; view < CROWD_VIEWS; ++view) {
        double *here = found + look_place(view, 0);
        forage_model *model;
        FORAGE_TRY(crowd_view_model(world, view, crowd_sizes_rows(CROWD_SHOWN), seed, &model, error));
        forage_status status = look_at(model, FORAGE_OF_USER, persona, forage_simulator_personas(world->simulator),
                                       here + CROWD_USER_NEIGHBOURS, error);
        if (status == FORAGE_OK)
            status = look_at(model, FORAGE_OF_ITEM, category, forage_simulator_categories(world->simulator),
                             here + CROWD_ITEM_NEIGHBOURS, error);
        forage_model_free(model);
        FORAGE_TRY(status);
    }
    return FORAGE_OK;
}

void crowd_groups(const eval_world *world, uint32_t *persona, uint32_t *category)
{
    for (uint32_t user = 0; user < world->users; ++user)
        persona[user] = forage_simulator_persona(world->simulator, user);
    for (size_t item = 0; item < world->items; ++item)
        category[item] = forage_simulator_category(world->simulator, world->shop_item[item]);
}

forage_status crowd_sizes_world(const eval_study *study, size_t index, double *found, forage_error *error)
{
    eval_world world;
    FORAGE_TRY(crowd_sizes_open(study, index, &world, error));
    ranker r = {.world = &world, .chosen = forage_alloc(world.users, world.items * sizeof *r.chosen)};
    forage_status status = r.chosen ? FORAGE_OK : forage_fail(error, FORAGE_NO_MEMORY, "no memory for an experiment");
    for (size_t size = 0; size < CROWD_SIZES && status == FORAGE_OK; ++size) {
        r.rows = crowd_sizes_rows(size);
        status = rank_all(&r, index, found + place_of(size, 0, 0), error);
        forage_seen_release(&r.test);
    }
    if (status == FORAGE_OK)
        status = look(&world, index, found, error);
    forage_free(r.chosen);
    eval_world_release(&world);
    return status;
}

/* ------------------------------------------------------------------ *
 * The record
 * ------------------------------------------------------------------ */

static forage_estimate estimate(const double *found, size_t worlds, size_t place)
{
    return eval_over_worlds(found, worlds, SIZE, place);
}

static void fill_point(const double *found, size_t worlds, size_t size, size_t from, forage_ranked_arm *arm,
                       size_t point)
{
    arm->click_rate[point] = estimate(found, worlds, place_of(size, from, CROWD_RATE));
    arm->recall[point] = estimate(found, worlds, place_of(size, from, CROWD_RECALL));
    arm->ndcg[point] = estimate(found, worlds, place_of(size, from, CROWD_NDCG));
}

static forage_status fill_smoothing(const double *found, size_t worlds, forage_arm_table *table, forage_error *error)
{
    static const double layers[CROWD_MOST_LAYERS + 1] = {0, 1, 2, 3, 4};
    FORAGE_TRY(crowd_table_create(CROWD_SIZES, layers, CROWD_MOST_LAYERS + 1, true, false, table, error));
    for (size_t size = 0; size < CROWD_SIZES; ++size) {
        forage_ranked_arm *arm = &table->arms[size];
        snprintf(arm->name, sizeof arm->name, "%.0f visits", crowd_sizes[size]);
        for (size_t l = 0; l <= CROWD_MOST_LAYERS; ++l)
            fill_point(found, worlds, size, CROWD_LAYER_0 + l, arm, l);
    }
    return FORAGE_OK;
}

/* Everyone but the layers that are only there to be compared with each other. */
static forage_status fill_crowd(const double *found, size_t worlds, forage_arm_table *table, forage_error *error)
{
    static const size_t shown[] = {CROWD_POPULAR,         CROWD_BATCHED,  CROWD_TUNED,   CROWD_NEIGHBOURS_OF_ITEMS,
                                   CROWD_SQUARES,         CROWD_FILTER,   CROWD_LAYER_0, CROWD_LAYER_3,
                                   CROWD_PERSONAS_CLICKS, CROWD_PERSONAS, CROWD_ORACLE};
    size_t count = sizeof shown / sizeof *shown;
    FORAGE_TRY(crowd_table_create(count, crowd_sizes, CROWD_SIZES, true, true, table, error));
    for (size_t size = 0; size < CROWD_SIZES; ++size)
        table->ahead[size] = eval_difference_over_worlds(found, worlds, SIZE, place_of(size, CROWD_LAYER_3, CROWD_RATE),
                                                         place_of(size, CROWD_TUNED, CROWD_RATE));
    for (size_t a = 0; a < count; ++a) {
        crowd_name(&table->arms[a], &arms[shown[a]]);
        for (size_t size = 0; size < CROWD_SIZES; ++size)
            fill_point(found, worlds, size, shown[a], &table->arms[a], size);
    }
    return FORAGE_OK;
}

forage_status crowd_sizes_record(const double *found, size_t worlds, forage_chapter4 *chapter, forage_error *error)
{
    forage_graph_map *map = &chapter->map;
    chapter->shown = CROWD_SHOWN;
    chapter->test_visits = TEST_VISITS;
    map->neighbours = CROWD_NEIGHBOURS;
    map->view_count = CROWD_VIEWS;
    map->views = forage_calloc(CROWD_VIEWS, sizeof *map->views);
    if (!map->views)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
    for (size_t v = 0; v < CROWD_VIEWS; ++v) {
        forage_map_view *view = &map->views[v];
        eval_name(view->name, sizeof view->name, views[v].name);
        eval_name(view->note, sizeof view->note, views[v].note);
        view->user_neighbours = estimate(found, worlds, look_place(v, CROWD_USER_NEIGHBOURS));
        view->user_silhouette = estimate(found, worlds, look_place(v, CROWD_USER_SILHOUETTE));
        view->item_neighbours = estimate(found, worlds, look_place(v, CROWD_ITEM_NEIGHBOURS));
        view->item_silhouette = estimate(found, worlds, look_place(v, CROWD_ITEM_SILHOUETTE));
    }
    FORAGE_TRY(fill_smoothing(found, worlds, &chapter->smoothing, error));
    return fill_crowd(found, worlds, &chapter->crowd, error);
}
