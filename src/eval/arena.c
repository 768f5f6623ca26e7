/*
 * arena.c: agents against an environment. Every pair of agent and seed is a task of its own, with its own play, its
 * own pipeline and one thread; tasks run side by side and what they find is put together in a fixed order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/arena.h"

#include <string.h>

enum { MOST_SEEDS = 10000, MOST_AGENTS = 1000, MOST_POINTS = 100000, MOST_DIARY = 10000 };

typedef struct arena_run {
    eval_table table;
    forage_environment *environment;
    eval_agent *agents;
    size_t agent_count, seeds;
    uint64_t *points;
    uint32_t *item_group;
    eval_outcome *outcomes; /* [agents x seeds] */
    forage_status *status;
    forage_error *errors;
} arena_run;

static forage_status check(const forage_arena_options *options, forage_error *error)
{
    if (!options->environment)
        return forage_fail(error, FORAGE_INVALID, "the arena needs an environment");
    if (options->seeds > MOST_SEEDS)
        return forage_fail(error, FORAGE_INVALID, "at most %d seeds, not %zu", MOST_SEEDS, options->seeds);
    if (options->agent_count > MOST_AGENTS)
        return forage_fail(error, FORAGE_INVALID, "at most %d agents, not %zu", MOST_AGENTS, options->agent_count);
    if (options->points > MOST_POINTS)
        return forage_fail(error, FORAGE_INVALID, "at most %d points, not %zu", MOST_POINTS, options->points);
    if (options->diary > MOST_DIARY)
        return forage_fail(error, FORAGE_INVALID, "a diary has at most %d pages, not %zu", MOST_DIARY, options->diary);
    return FORAGE_OK;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static forage_status measure(arena_run *run, const forage_arena_options *options, forage_error *error)
{
    const forage_environment *environment = run->environment;
    const forage_catalogue *catalogue = forage_environment_catalogue(environment);
    uint64_t visits = forage_environment_visits(environment);
    size_t points = (size_t)least(options->points ? options->points : 200, visits);
    if (visits == 0)
        return forage_fail(error, FORAGE_INVALID, "%s has no visits", options->environment);
    run->points = forage_alloc(points, sizeof *run->points);
    run->item_group = forage_alloc(catalogue->items + 1, sizeof *run->item_group);
    if (!run->points || !run->item_group)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the arena");
    for (size_t i = 0; i < points; ++i) /* without a product that could overflow */
        run->points[i] = visits / points * (i + 1) + visits % points * (i + 1) / points;
    for (size_t i = 0; i < catalogue->items; ++i)
        run->item_group[i] = forage_environment_item_group(environment, (uint32_t)i);
    eval_track_shape *shape = &run->table.shape;
    *shape = (eval_track_shape){.visits = visits,
                                .settle = options->settle ? options->settle : least(50000, visits / 4),
                                .window = options->window ? options->window : least(1000, visits / 50 + 1),
                                .users = catalogue->users,
                                .items = catalogue->items,
                                .positions = forage_environment_positions(environment),
                                .user_groups = forage_environment_user_groups(environment),
                                .item_groups = forage_environment_item_groups(environment),
                                .item_group = run->item_group,
                                .point_count = points,
                                .points = run->points};
    shape->events = forage_environment_events(environment, &shape->event_count);
    run->table.environment = environment;
    run->table.kind = forage_environment_kind_of(environment);
    run->table.catalogue = catalogue;
    run->table.seed = options->seed;
    run->table.diary = options->diary;
    run->table.progress = options->progress;
    return FORAGE_OK;
}

/* Every agent must be able to play here: said before the first play rather than after the tenth. */
static forage_status try_agents(arena_run *run, forage_error *error)
{
    forage_play *play;
    forage_status status = FORAGE_OK;
    bool logged = run->table.kind == FORAGE_ENVIRONMENT_LOG;
    FORAGE_TRY(forage_play_create(run->environment, run->table.seed, &play, error));
    for (size_t a = 0; a < run->agent_count && status == FORAGE_OK; ++a) {
        const eval_agent *agent = &run->agents[a];
        eval_player player;
        uint64_t pretrain = agent->spec ? forage_pipeline_spec_pretrain(agent->spec) : 0;
        status = eval_player_create(agent, run->environment, play, run->table.seed, &player, error);
        eval_player_release(&player);
        if (status == FORAGE_OK && logged && agent->reference)
            status = forage_fail(error, FORAGE_UNSUPPORTED, "%s cannot play a log", agent->name);
        run->table.work += run->seeds * (run->table.shape.visits + pretrain);
    }
    forage_play_free(play);
    return status;
}

static void play(void *context, size_t task, int worker)
{
    arena_run *run = context;
    /* Seed by seed, so that no core is left with all plays of the slowest agent. */
    size_t agent = task % run->agent_count, seed = task / run->agent_count, place = agent * run->seeds + seed;
    if (atomic_load(&run->table.stop)) {
        run->status[place] = FORAGE_INTERRUPTED;
        return;
    }
    run->status[place] = eval_arena_play(&run->table, &run->agents[agent], seed, worker == 0, &run->outcomes[place],
                                         &run->errors[place]);
    if (run->status[place] != FORAGE_OK)
        atomic_store(&run->table.stop, true);
}

static forage_status play_all(arena_run *run, int threads, forage_error *error)
{
    size_t tasks = run->agent_count * run->seeds;
    run->outcomes = forage_calloc(tasks, sizeof *run->outcomes);
    run->status = forage_calloc(tasks, sizeof *run->status);
    run->errors = forage_calloc(tasks, sizeof *run->errors);
    if (!run->outcomes || !run->status || !run->errors)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu plays", tasks);
    forage_parallel_for(threads, tasks, play, run);
    forage_status found = FORAGE_OK;
    for (size_t i = 0; i < tasks; ++i) {
        forage_status status = run->status[i];
        /* What failed comes before those that stopped because of it. */
        if (status == FORAGE_OK || (found != FORAGE_OK && status == FORAGE_INTERRUPTED))
            continue;
        if (found != FORAGE_OK && found != FORAGE_INTERRUPTED)
            continue;
        found = status;
        if (error)
            *error = run->errors[i];
    }
    if (found == FORAGE_INTERRUPTED)
        return forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
    return found;
}

static void release(arena_run *run)
{
    for (size_t i = 0; run->outcomes && i < run->agent_count * run->seeds; ++i)
        eval_outcome_release(&run->outcomes[i]);
    forage_free(run->outcomes);
    forage_free(run->status);
    forage_free(run->errors);
    forage_free(run->points);
    forage_free(run->item_group);
    eval_agents_free(run->agents, run->agent_count);
    forage_environment_free(run->environment);
}

forage_status forage_arena_run(const forage_arena_options *options, forage_arena *arena, forage_error *error)
{
    arena_run run = {.seeds = options->seeds ? options->seeds : 1};
    forage_device device;
    forage_status status;
    double start = forage_clock();
    *arena = (forage_arena){0};
    FORAGE_TRY(check(options, error));
    FORAGE_TRY(forage_device_open("auto", options->threads, &device, error));
    FORAGE_TRY_GOTO(
        forage_environment_open(options->environment, &options->environment_options, &run.environment, error), end);
    arena->load_seconds = forage_clock() - start;
    FORAGE_TRY_GOTO(eval_agents_parse(options, run.environment, &run.agents, &run.agent_count, error), end);
    if (run.agent_count == 0) {
        status = forage_fail(error, FORAGE_INVALID, "the arena needs an agent");
        goto end;
    }
    FORAGE_TRY_GOTO(measure(&run, options, error), end);
    FORAGE_TRY_GOTO(try_agents(&run, error), end);
    FORAGE_TRY_GOTO(play_all(&run, device.threads, error), end);
    FORAGE_TRY_GOTO(eval_arena_record(&run.table, run.agents, run.agent_count, run.seeds, run.outcomes, arena, error),
                    end);
end:
    release(&run);
    arena->seconds = forage_clock() - start;
    return status;
}
