/*
 * bench_arena: how fast agents play.
 *
 *   bench_arena [VISITS]     of each play of the pet shop (default 200000)
 *
 * Every agent of the arena's usual table plays alone, on one thread; then all of them at once, on every core. "agent"
 * counts the agent's own time, "play" also what the shop and the scores take. The hash is that of all choices: the same
 * in every run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int fail(const forage_error *error)
{
    char text[1024];
    forage_error_text(error, text, sizeof text);
    fprintf(stderr, "bench_arena: %s\n", text);
    return 1;
}

int main(int argc, char **argv)
{
    forage_arena_options options = {.environment = "petshop", .threads = 1};
    forage_error error = {0};
    forage_arena arena;
    uint64_t visits = 200000;
    if (argc > 1 && !forage_parse_u64(argv[1], strlen(argv[1]), &visits))
        return 2;
    options.environment_options.visits = visits;
    if (forage_arena_run(&options, &arena, &error) != FORAGE_OK)
        return fail(&error);
    printf("%-16s %14s %14s %14s %10s\n", "", "decisions/s", "lessons/s", "play visits/s", "memory");
    for (size_t a = 0; a < arena.agent_count; ++a) {
        const forage_arena_agent *agent = &arena.agents[a];
        printf("%-16s %14.0f %14.0f %14.0f %7zu kB   hash %016" PRIx64 "\n", agent->name, agent->decisions_per_second,
               agent->lessons_per_second, agent->visits_per_second, agent->memory / 1024, agent->hash);
    }
    double one = arena.seconds, plays = (double)arena.agent_count * (double)visits;
    forage_arena_release(&arena);
    options.threads = 0;
    if (forage_arena_run(&options, &arena, &error) != FORAGE_OK)
        return fail(&error);
    printf("all agents: %.0f visits/s on one thread, %.0f on every core\n", plays / one, plays / arena.seconds);
    forage_arena_release(&arena);
    return 0;
}
