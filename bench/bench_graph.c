/*
 * Speed of the graph room: building the graph of a log, normalising it, and the product of its matrix
 * with 64 columns, beside the time that the same reads would take in order; and reasons: the strongest paths from a
 * user to an item. The log is Gowalla's training part where $FORAGE_DATA has it, else one made up of its size.
 * Checksums show that all threads agree.
 *
 *   bench_graph [FILE]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/data.h"
#include "la/la.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 64, REPEATS = 9 };

static int fail(const forage_error *error)
{
    fprintf(stderr, "bench_graph: %s\n", error->message);
    return 1;
}

/* Users and items with popularity as steep as Gowalla's, about. */
static forage_status make_up(forage_graph *graph, forage_error *error)
{
    enum { USERS = 29858, ITEMS = 40981, EVENTS = 1000000 };
    uint32_t *user = forage_alloc(EVENTS, sizeof *user), *item = forage_alloc(EVENTS, sizeof *item);
    forage_status status = FORAGE_NO_MEMORY;
    forage_rng rng;
    forage_rng_seed(&rng, 0);
    for (size_t e = 0; user && item && e < EVENTS; e++) {
        double a = forage_rng_double(&rng), b = forage_rng_double(&rng);
        user[e] = (uint32_t)(a * a * USERS);
        item[e] = (uint32_t)(b * b * b * ITEMS);
    }
    if (user && item)
        status = forage_graph_create(&(forage_graph_events){USERS, ITEMS, EVENTS, user, item, NULL, NULL}, NULL, graph,
                                     error);
    forage_free(user);
    forage_free(item);
    return status;
}

static forage_status read_log(const char *path, forage_graph *graph, forage_error *error)
{
    forage_dataset *log;
    FORAGE_TRY(forage_dataset_load(path, NULL, NULL, &log, error));
    double start = forage_clock();
    forage_status status = forage_graph_create(&(forage_graph_events){forage_vocabulary_count(log->users),
                                                                      forage_vocabulary_count(log->items), log->count,
                                                                      log->user, log->item, NULL, NULL},
                                               NULL, graph, error);
    printf("graph of %zu events made in %.1f ms\n", log->count, 1e3 * (forage_clock() - start));
    forage_dataset_free(log);
    return status;
}

static void product(const la_spmm *task, size_t nodes, forage_isa isa, int threads, const char *what)
{
    double best = 1e9;
    for (int r = 0; r < REPEATS; r++) {
        double start = forage_clock();
        la_spmm_run(task, isa, threads);
        double seconds = forage_clock() - start;
        best = seconds < best ? seconds : best;
    }
    double entries = (double)task->matrix.offsets[nodes];
    printf("%-24s %d thread%s %7.2f ms  %6.1f M entries/s  %5.1f GB/s gathered   checksum %016llx\n", what, threads,
           threads == 1 ? " " : "s", 1e3 * best, entries / best / 1e6, entries * WIDTH * 4 / best / 1e9,
           (unsigned long long)forage_checksum(task->out, nodes * WIDTH * sizeof(float), 0));
}

/* Users at even distances, each with items that others chose: as often as an item was chosen, as rankings would be. */
static void reasons(const forage_graph *graph, const float *values)
{
    enum { USERS = 1000, ITEMS = 10, PATHS = 3 };
    forage_path paths[PATHS];
    size_t found, users = 0, named = 0;
    double worst = 0, sum = 0;
    forage_rng rng;
    forage_rng_seed(&rng, 2);
    for (size_t i = 0; i < USERS * ITEMS; i++) {
        const forage_path_start start = {.user = (uint32_t)(i / ITEMS * graph->users / USERS)};
        size_t edge = forage_rng_integers(&rng, graph->edges);
        uint32_t item = graph->neighbours[edge] - (uint32_t)graph->users;
        double begin = forage_clock();
        (void)forage_graph_paths(graph, values, &start, item, PATHS, paths, &found, NULL);
        double seconds = forage_clock() - begin;
        worst = seconds > worst ? seconds : worst;
        sum += seconds;
        named += found;
        for (size_t p = 0; p < found; p++)
            users += paths[p].users;
    }
    printf("reasons                  1 thread  %7.2f us an item, at worst %.2f ms; %zu named, by %zu users\n",
           1e6 * sum / (USERS * ITEMS), 1e3 * worst, named, users);
}

int main(int argc, char **argv)
{
    const char *folder = getenv("FORAGE_DATA");
    char path[4096] = "";
    forage_error error = {0};
    forage_graph graph = {0};
    forage_device device;
    if (argc > 1)
        snprintf(path, sizeof path, "%s", argv[1]);
    else if (folder)
        snprintf(path, sizeof path, "%s/gowalla/train.txt", folder);
    if (forage_device_open("auto", 0, &device, &error) != FORAGE_OK ||
        (path[0] ? read_log(path, &graph, &error) : make_up(&graph, &error)) != FORAGE_OK)
        return fail(&error);
    size_t nodes = graph.users + graph.items;
    float *values = forage_alloc(2 * graph.edges, sizeof *values);
    float *in = forage_alloc(nodes * WIDTH, sizeof *in), *out = forage_alloc(nodes * WIDTH, sizeof *out);
    if (!values || !in || !out || forage_graph_normalise(&graph, values, &error) != FORAGE_OK)
        return fail(&error);
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    for (size_t i = 0; i < nodes * WIDTH; i++)
        in[i] = (float)forage_rng_normal(&rng);
    printf("%s; %zu nodes, %zu entries, %d columns\n", device.name, nodes, 2 * graph.edges, WIDTH);
    la_spmm task = {
        .matrix = {nodes, graph.offsets, graph.neighbours, values}, .width = WIDTH, .in = in, .out = out, .scale = 1};
    product(&task, nodes, FORAGE_ISA_PORTABLE, 1, "plain C");
    if (device.isa >= FORAGE_ISA_AVX2)
        product(&task, nodes, FORAGE_ISA_AVX2, 1, "AVX2");
    for (int threads = 1; threads <= device.threads; threads++)
        product(&task, nodes, device.isa, threads, "best");
    reasons(&graph, values);
    forage_free(values);
    forage_free(in);
    forage_free(out);
    forage_graph_release(&graph);
    return 0;
}
