/*
 * chapter2.c: runs chapter 2: one arena for each scenario, the batched model at the
 * table wherever its flaws matter.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/eval.h"

#include <stdio.h>
#include <string.h>

enum { DIARY = 20, MOST_AGENTS = 14 };

/* Visits and plays are chosen so that the whole chapter takes less than a minute on two cores. */
typedef struct arena_plan {
    const char *environment; /* NULL: the scenario on trial */
    uint64_t visits;
    size_t seeds;
    size_t diary;
    const char *agents[MOST_AGENTS]; /* up to the first NULL */
} arena_plan;

/* Retrained four times in a play. */
#define NIGHTLY "batched-nightly:refit=50000"
#define NIGHTLY_SHORT "batched-nightly:refit=25000"

static const arena_plan plans[FORAGE_CHAPTER2_PLAYS] = {
    [FORAGE_CHAPTER2_SHOP] = {NULL,
                              200000,
                              3,
                              0,
                              {"random", "popular", "batched", NIGHTLY, "greedy", "egreedy", "linucb", "lints",
                               "squarecb", "neural-linear", "latent", "bayes", "oracle"}},
    [FORAGE_CHAPTER2_NEW_USERS] = {"new-users",
                                   200000,
                                   3,
                                   DIARY,
                                   {"popular", "batched", NIGHTLY, "linucb", "lints", "latent", "bayes", "oracle"}},
    [FORAGE_CHAPTER2_NEW_ITEMS] =
        {"new-items", 100000, 3, 0, {"popular", "batched", "greedy", "linucb", "lints", "latent", "oracle"}},
    [FORAGE_CHAPTER2_DRIFT] =
        {"drift", 100000, 3, 0, {"popular", "batched", NIGHTLY_SHORT, "linucb", "lints", "latent", "bayes", "oracle"}},
    [FORAGE_CHAPTER2_FEEDBACK_LOOP] = {"feedback-loop",
                                       100000,
                                       3,
                                       0,
                                       {"popular", "batched", NIGHTLY_SHORT, "greedy", "linucb", "lints", "latent",
                                        "oracle"}},
    [FORAGE_CHAPTER2_SLATE] = {"slate", 100000, 3, 0, {"random", "popular", "linucb", "lints", "latent", "oracle"}},
    [FORAGE_CHAPTER2_DELAYED] =
        {"delayed", 100000, 3, 0, {"random", "popular", "linucb", "lints", "latent", "bayes", "oracle"}},
    [FORAGE_CHAPTER2_LARGE] = {"large", 5000, 1, 0, {"random", "popular", "linucb", "oracle"}},
};

/* Progress of the whole chapter out of that of its arenas. */
typedef struct chapter_progress {
    const forage_progress *outer;
    const char *name;
    size_t arena;
} chapter_progress;

static bool report(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    const chapter_progress *progress = context;
    char text[160];
    (void)stage;
    snprintf(text, sizeof text, "%s%s%s", progress->name, note ? ", " : "", note ? note : "");
    uint64_t part = total ? done * 100 / total : 0;
    return forage_progress_report(progress->outer, "arenas", progress->arena * 100 + part, FORAGE_CHAPTER2_PLAYS * 100,
                                  text);
}

enum { RANDOM_ROWS = 200000 }; /* that the batched model reads beforehand; as many as visits in shorter plays */

/* The agents of a plan; names that are not the plan's own are written to `texts`. */
static size_t agents_of(const arena_plan *plan, uint64_t visits, char texts[MOST_AGENTS][64],
                        const char *agents[MOST_AGENTS])
{
    size_t count = 0;
    for (; count < MOST_AGENTS && plan->agents[count]; count++) {
        agents[count] = plan->agents[count];
        if (visits == 0 || visits >= RANDOM_ROWS || strncmp(agents[count], "batched", 7) != 0)
            continue;
        snprintf(texts[count], sizeof texts[count], "%s:pretrain=%llu", plan->agents[count],
                 (unsigned long long)visits);
        agents[count] = texts[count];
    }
    return count;
}

static forage_status play(const forage_chapter2_options *options, size_t which, forage_arena *arena,
                          forage_error *error)
{
    const arena_plan *plan = &plans[which];
    char texts[MOST_AGENTS][64];
    const char *agents[MOST_AGENTS];
    const char *scenario = options->scenario ? options->scenario : "petshop";
    const char *name = plan->environment ? plan->environment : scenario;
    chapter_progress progress = {options->progress, name, which};
    const forage_progress inner = {report, &progress};
    const size_t count = agents_of(plan, options->visits, texts, agents);
    const forage_arena_options arena_options = {
        .environment = name,
        .environment_options = {.visits = options->visits ? options->visits : plan->visits},
        .agents = agents,
        .agent_count = count,
        .seeds = options->seeds ? options->seeds : plan->seeds,
        .seed = options->seed ? options->seed : 1,
        .diary = plan->diary,
        .threads = options->threads,
        .progress = &inner};
    return forage_arena_run(&arena_options, arena, error);
}

forage_status forage_chapter2_run(const forage_chapter2_options *options, forage_chapter2 *chapter, forage_error *error)
{
    forage_chapter2_options chosen = {0};
    double start = forage_clock();
    if (options)
        chosen = *options;
    *chapter = (forage_chapter2){0};
    for (size_t i = 0; i < FORAGE_CHAPTER2_PLAYS; i++)
        FORAGE_TRY(play(&chosen, i, &chapter->arenas[i], error));
    chapter->seconds = forage_clock() - start;
    return FORAGE_OK;
}

void forage_chapter2_release(forage_chapter2 *chapter)
{
    for (size_t i = 0; i < FORAGE_CHAPTER2_PLAYS; i++)
        forage_arena_release(&chapter->arenas[i]);
    *chapter = (forage_chapter2){0};
}
