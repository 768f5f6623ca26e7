/*
 * What an epoch of LightGCN costs by its edges: 1/8, 1/4, 1/2 and all of a graph's, drawn at random, with all of its
 * users and items. The graph is a random one of Gowalla's size and, where $FORAGE_DATA has it, Gowalla's training part.
 *
 *   bench_lightgcn [FILE]
 *
 * A step is linear in edges, users and items. So is an epoch of as many steps whatever its edges: with batches in
 * proportion to them, as the automatic size has it in logs of fewer than 262,144. With batches of one size an epoch has
 * the more steps the more edges there are: what a step costs for its batch, for users and for items is linear then, but
 * products with the whole matrix grow with the square of the edges. With one layer there is one of them in a step, and
 * few of its rows are read; with three there are five.
 *
 * The last column is the time per edge, as a multiple of that of all edges: 1 all the way down is linear. One thread;
 * the quickest of several steps, times the steps of an epoch, and its shuffling.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"
#include "model/lightgcn.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { USERS = 29858, ITEMS = 40981, EVENTS = 1000000, SHARES = 4, STEPS = 9 };

/* Seconds of this thread at work: a busy machine disturbs them less. */
static double at_work(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Edges in random order. */
typedef struct edges {
    size_t users, items, count;
    uint32_t *user, *item;
} edges;

/* One state and one fit over the first edges. */
typedef struct trial {
    const uint32_t *codes[2];
    forage_schema schema;
    forage_params *params;
    forage_device device;
    forage_examples train, nothing;
    model_fit_input input;
    model_setup setup;
    model_state *state;
    model_fit *fit;
} trial;

static void release(edges *list)
{
    forage_free(list->user);
    forage_free(list->item);
    *list = (edges){0};
}

/* The edges of a graph, which is released. */
static forage_status list_edges(forage_graph *graph, edges *list, forage_error *error)
{
    uint32_t *order = forage_alloc(graph->edges, sizeof *order);
    *list = (edges){graph->users, graph->items, graph->edges, forage_alloc(graph->edges, sizeof *list->user),
                    forage_alloc(graph->edges, sizeof *list->item)};
    bool good = order && list->user && list->item;
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    for (size_t e = 0; good && e < graph->edges; e++)
        order[e] = (uint32_t)e;
    if (good)
        forage_rng_permute(&rng, order, graph->edges);
    for (size_t u = 0; good && u < graph->users; u++) {
        for (size_t e = graph->offsets[u]; e < graph->offsets[u + 1]; e++) {
            list->user[order[e]] = (uint32_t)u;
            list->item[order[e]] = graph->neighbours[e] - (uint32_t)graph->users;
        }
    }
    forage_free(order);
    forage_graph_release(graph);
    if (good)
        return FORAGE_OK;
    release(list);
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for edges");
}

/* Users and items with popularity as steep as Gowalla's, about. */
static forage_status make_up(edges *list, forage_error *error)
{
    uint32_t *user = forage_alloc(EVENTS, sizeof *user), *item = forage_alloc(EVENTS, sizeof *item);
    forage_graph graph = {0};
    forage_status status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for events");
    forage_rng rng;
    forage_rng_seed(&rng, 0);
    for (size_t e = 0; user && item && e < EVENTS; e++) {
        double a = forage_rng_double(&rng), b = forage_rng_double(&rng);
        user[e] = (uint32_t)(a * a * USERS);
        item[e] = (uint32_t)(b * b * b * ITEMS);
    }
    if (user && item)
        status = forage_graph_create(&(forage_graph_events){USERS, ITEMS, EVENTS, user, item, NULL, NULL}, NULL, &graph,
                                     error);
    forage_free(user);
    forage_free(item);
    return status == FORAGE_OK ? list_edges(&graph, list, error) : status;
}

static forage_status read_log(const char *path, edges *list, forage_error *error)
{
    forage_dataset *log;
    forage_graph graph;
    FORAGE_TRY(forage_dataset_load(path, NULL, NULL, &log, error));
    const forage_graph_events events = {.users = forage_vocabulary_count(log->users),
                                        .items = forage_vocabulary_count(log->items),
                                        .count = log->count,
                                        .user = log->user,
                                        .item = log->item};
    forage_status status = forage_graph_create(&events, NULL, &graph, error);
    forage_dataset_free(log);
    return status == FORAGE_OK ? list_edges(&graph, list, error) : status;
}

static forage_status begin(trial *t, const edges *list, size_t count, size_t batch, const char *loss,
                           forage_error *error)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%zu", batch);
    FORAGE_TRY(model_schema_numbered(list->users, list->items, &t->schema, error));
    FORAGE_TRY(forage_params_create(&model_lightgcn.info.table, &t->params, error));
    FORAGE_TRY(forage_params_set(t->params, "loss", loss, error));
    FORAGE_TRY(forage_params_set(t->params, "batch-size", text, error));
    FORAGE_TRY(forage_device_open("auto", 1, &t->device, error));
    t->codes[0] = list->user;
    t->codes[1] = list->item;
    t->train = (forage_examples){.count = count, .codes = t->codes};
    t->nothing = (forage_examples){.codes = t->codes};
    t->input = (model_fit_input){.train = &t->train, .validation = &t->nothing};
    t->setup = (model_setup){t->params, &t->schema, &t->device, 0};
    FORAGE_TRY(model_lightgcn.create(&t->setup, &t->state, error));
    return model_lightgcn.fit_begin(t->state, &t->input, &t->fit, error);
}

static void end(trial *t)
{
    if (t->fit)
        model_lightgcn.fit_end(t->fit, false);
    model_lightgcn.free(t->state);
    forage_params_free(t->params);
    model_schema_release(&t->schema);
}

/* Seconds of an epoch over the first `count` edges; batch 0: automatic. */
static forage_status measure(const edges *list, size_t count, const char *loss, size_t *batch, double *step,
                             double *epoch, forage_error *error)
{
    trial t = {0};
    lightgcn_batch drawn;
    double value, shuffling = 0;
    forage_status status = begin(&t, list, count, *batch, loss, error);
    *step = 1e9;
    for (size_t i = 0; status == FORAGE_OK && i <= STEPS; i++) {
        double start = at_work();
        lightgcn_fit_draw(t.fit, &drawn);
        double draw = at_work() - start;
        status = lightgcn_fit_learn(t.fit, &drawn, &value, error);
        double seconds = at_work() - start;
        if (i == 0) {
            shuffling = draw;
            *batch = drawn.count;
        } else if (seconds < *step) {
            *step = seconds;
        }
    }
    size_t steps = *batch ? (count + *batch - 1) / *batch : 0; /* batch 0: it failed */
    *epoch = shuffling + *step * (double)steps;
    end(&t);
    return status;
}

static forage_status sweep(const edges *list, const char *loss, bool in_proportion, forage_error *error)
{
    double seconds[SHARES], steps[SHARES];
    size_t batches[SHARES];
    printf("  %s, batches %s\n      edges  batch  steps  ms a step  s an epoch  us an edge  of all edges'\n", loss,
           in_proportion ? "in proportion to the edges" : "of the automatic size");
    for (size_t i = 0; i < SHARES; i++) {
        size_t count = list->count >> i;
        batches[i] = in_proportion ? (size_t)2048 >> i : 0;
        FORAGE_TRY(measure(list, count, loss, &batches[i], &steps[i], &seconds[i], error));
    }
    for (size_t i = SHARES; i-- > 0;) {
        size_t count = list->count >> i;
        double edge = seconds[i] / (double)count, all = seconds[0] / (double)list->count;
        printf("    %7zu  %5zu  %5zu  %9.2f  %10.2f  %10.2f  %13.2f\n", count, batches[i],
               (count + batches[i] - 1) / batches[i], 1e3 * steps[i], seconds[i], 1e6 * edge, edge / all);
    }
    return FORAGE_OK;
}

static forage_status run(const char *name, edges *list, forage_error *error)
{
    forage_status status = FORAGE_OK;
    printf("%s: %zu users, %zu items, %zu edges\n", name, list->users, list->items, list->count);
    for (int i = 0; i < 4 && status == FORAGE_OK; i++)
        status = sweep(list, i < 2 ? "softmax" : "bpr", i % 2 == 1, error);
    release(list);
    return status;
}

int main(int argc, char **argv)
{
    const char *folder = getenv("FORAGE_DATA");
    char path[4096] = "";
    forage_error error = {0};
    edges list = {0};
    if (argc > 1)
        snprintf(path, sizeof path, "%s", argv[1]);
    else if (folder)
        snprintf(path, sizeof path, "%s/gowalla/train.txt", folder);
    forage_status status = make_up(&list, &error);
    if (status == FORAGE_OK)
        status = run("random", &list, &error);
    if (status == FORAGE_OK && path[0]) {
        status = read_log(path, &list, &error);
        if (status == FORAGE_OK)
            status = run(path, &list, &error);
    }
    if (status != FORAGE_OK)
        fprintf(stderr, "bench_lightgcn: %s\n", error.message);
    return status != FORAGE_OK;
}
