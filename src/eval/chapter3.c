/*
 * chapter3.c: runs chapter 3: the worlds of its experiments side by side, one thread each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/chapter3.h"

enum { DEFAULT_WORLDS = 3, USERS = 0, INTENTS, STEADY, EXPERIMENTS };

static const eval_experiment experiments[EXPERIMENTS] = {
    [USERS] = {"users never seen", moment_users_size, moment_users_world},
    [INTENTS] = {"sessions with intents", moment_sessions_size, moment_intents_world},
    [STEADY] = {"sessions without", moment_sessions_size, moment_steady_world},
};

static forage_status run(const forage_chapter3_options *options, const forage_scenario *scenario,
                         forage_chapter3 *chapter, forage_error *error)
{
    forage_device device = options->device;
    double *found[EXPERIMENTS] = {0};
    forage_status status;
    if (device.threads < 1)
        FORAGE_TRY(forage_device_open("auto", 0, &device, error));
    eval_name(chapter->device, sizeof chapter->device, device.name);
    eval_study study = {.scenario = scenario, .device = device, .seed = scenario->seed, .visits = options->visits};
    study.device.threads = 1;
    FORAGE_TRY_GOTO(eval_play_worlds(&study, experiments, EXPERIMENTS, options->seeds, device.threads,
                                     options->progress, found, error),
                    end);
    FORAGE_TRY_GOTO(moment_users_record(&study, found[USERS], options->seeds, &chapter->users, error), end);
    for (size_t which = 0; which < FORAGE_CHAPTER3_SHOPS; ++which)
        FORAGE_TRY_GOTO(moment_sessions_record(&study, found[INTENTS + which], options->seeds, which,
                                               &chapter->sessions[which], error),
                        end);
end:
    for (size_t e = 0; e < EXPERIMENTS; ++e)
        forage_free(found[e]);
    return status;
}

forage_status forage_chapter3_run(const forage_chapter3_options *options, forage_chapter3 *chapter, forage_error *error)
{
    forage_chapter3_options chosen = {0};
    forage_scenario scenario = {0};
    double start = forage_clock();
    *chapter = (forage_chapter3){0};
    if (options)
        chosen = *options;
    if (chosen.seeds == 0)
        chosen.seeds = DEFAULT_WORLDS;
    if (chosen.visits == 0)
        chosen.visits = MOMENT_VISITS;
    FORAGE_TRY(eval_check_worlds(chosen.seeds, error));
    if (chosen.visits < MOMENT_LEAST_VISITS || chosen.visits > FORAGE_MAX_ROWS / 2)
        return forage_fail(error, FORAGE_INVALID, "%zu visits to learn from; there must be at least %d", chosen.visits,
                           MOMENT_LEAST_VISITS);
    const char *name = chosen.scenario ? chosen.scenario : "petshop";
    FORAGE_TRY(forage_scenario_load(name, &scenario, error));
    if (chosen.seed)
        scenario.seed = chosen.seed;
    eval_name(chapter->scenario, sizeof chapter->scenario, scenario.name ? scenario.name : name);
    chapter->seed = scenario.seed;
    chapter->seeds = chosen.seeds;
    forage_status status = run(&chosen, &scenario, chapter, error);
    forage_scenario_release(&scenario);
    chapter->seconds = forage_clock() - start;
    if (status != FORAGE_OK)
        forage_chapter3_release(chapter);
    return status;
}

void forage_chapter3_release(forage_chapter3 *chapter)
{
    moment_table_release(&chapter->users.table);
    for (size_t which = 0; which < FORAGE_CHAPTER3_SHOPS; ++which)
        moment_table_release(&chapter->sessions[which].table);
    *chapter = (forage_chapter3){0};
}
