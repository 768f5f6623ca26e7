/*
 * Speed of learning from a stored log, as `forage arena --env log:FILE` does it: 200,000 events, 50
 * items, ten features of the visitor and ten of the item, uniformly logged. Reading it as text and in the binary form;
 * then everything: reading, features, what the agent would have chosen (its probability of every item), learning, and
 * the progressive estimate of what it would have earned. One thread, time of this process.
 *
 *     bench_log [EVENTS]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ITEMS = 50, FEATURES = 10 };

static double seconds_of_cpu(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Clicks follow a logistic model of the visitor's and the item's features, so that there is something to learn. */
static bool write_logs(const char *events, const char *items, size_t count)
{
    double attributes[ITEMS][FEATURES], visitor[FEATURES];
    forage_rng rng;
    forage_rng_seed(&rng, 42);
    FILE *file = fopen(items, "w");
    if (!file)
        return false;
    fprintf(file, "item_id");
    for (int f = 0; f < FEATURES; f++)
        fprintf(file, ",i%d", f);
    for (int i = 0; i < ITEMS; i++) {
        fprintf(file, "\n%d", i);
        for (int f = 0; f < FEATURES; f++)
            fprintf(file, ",%.4f", attributes[i][f] = forage_rng_normal(&rng));
    }
    fprintf(file, "\n");
    if (fclose(file) != 0 || !(file = fopen(events, "w")))
        return false;
    fprintf(file, "item_id,clicked,propensity");
    for (int f = 0; f < FEATURES; f++)
        fprintf(file, ",u%d", f);
    for (size_t e = 0; e < count; e++) {
        uint64_t item = forage_rng_integers(&rng, ITEMS);
        double score = -1.5;
        for (int f = 0; f < FEATURES; f++) {
            visitor[f] = forage_rng_normal(&rng);
            score += 0.4 * visitor[f] * attributes[item][f] + 0.2 * attributes[item][f];
        }
        fprintf(file, "\n%d,%d,0.02", (int)item, forage_rng_double(&rng) < 1 / (1 + exp(-score)));
        for (int f = 0; f < FEATURES; f++)
            fprintf(file, ",%.4f", visitor[f]);
    }
    fprintf(file, "\n");
    return fclose(file) == 0;
}

static bool bench_load(const char *what, const char *path, const forage_read_options *options)
{
    forage_dataset *log;
    forage_error error = {0};
    double start = seconds_of_cpu();
    if (forage_dataset_load(path, options, NULL, &log, &error) != FORAGE_OK) {
        fprintf(stderr, "%s\n", error.message);
        return false;
    }
    double seconds = seconds_of_cpu() - start;
    uint64_t hash = forage_checksum(log->item, log->count * sizeof *log->item, 0) ^
                    forage_checksum(log->context.columns[9].values, log->count * sizeof(float), 1);
    printf("%-44s %9.0f events/s   hash %016llx\n", what, (double)log->count / seconds, (unsigned long long)hash);
    forage_dataset_free(log);
    return true;
}

static bool bench_arena(const char *agent, const char *kind, const char *path, const forage_read_options *options)
{
    char environment[300], what[80];
    snprintf(environment, sizeof environment, "log:%s", path);
    const forage_arena_options arena_options = {.environment = environment,
                                                .environment_options = {.read = *options},
                                                .agents = &agent,
                                                .agent_count = 1,
                                                .threads = 1};
    forage_arena arena = {0};
    forage_error error = {0};
    double start = seconds_of_cpu();
    if (forage_arena_run(&arena_options, &arena, &error) != FORAGE_OK) {
        fprintf(stderr, "%s: %s\n", agent, error.message);
        return false;
    }
    double seconds = seconds_of_cpu() - start;
    snprintf(what, sizeof what, "%s, %s", agent, kind);
    printf("%-44s %9.0f events/s   hash %016llx   estimate %.4f (the log: %.4f)\n", what,
           (double)arena.visits / seconds,
           (unsigned long long)forage_checksum(&arena.agents[0].snips.value, sizeof(double), 0),
           arena.agents[0].snips.value, arena.agents[0].rate.value);
    forage_arena_release(&arena);
    return true;
}

int main(int argc, char **argv)
{
    static const char *const agents[] = {"squarecb", "linucb", "shared", "hybrid"};
    size_t count = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 200000;
    char folder[] = "/tmp/forage-bench-XXXXXX", text[64], items[64], binary[64];
    forage_error error = {0};
    if (!mkdtemp(folder))
        return 1;
    snprintf(text, sizeof text, "%s/log.csv", folder);
    snprintf(items, sizeof items, "%s/items.csv", folder);
    snprintf(binary, sizeof binary, "%s/log.forage", folder);
    const forage_read_options options = {.item_attributes = items}, none = {0};
    const forage_convert_target target = {.output = binary};
    bool good = write_logs(text, items, count) &&
                forage_convert(text, &options, &target, NULL, NULL, &error) == FORAGE_OK &&
                bench_load("reading text", text, &options) && bench_load("reading the binary form", binary, &none);
    for (size_t i = 0; good && i < sizeof agents / sizeof *agents; i++)
        good = bench_arena(agents[i], "whole, from the binary form", binary, &none);
    good = good && bench_arena(agents[0], "whole, from text", text, &options);
    unlink(text);
    unlink(items);
    unlink(binary);
    rmdir(folder);
    return good ? 0 : 1;
}
