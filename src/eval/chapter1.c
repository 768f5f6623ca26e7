/*
 * chapter1.c: runs chapter 1: the baseline with all threads, then the worlds of the three experiments side by
 * side, one thread each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/world.h"

enum { DEFAULT_WORLDS = 5, FEEDBACK = 0, DRIFT, COLD_START, EXPERIMENTS };

/* The longest first, so that no core waits for it at the end. */
static const eval_experiment experiments[EXPERIMENTS] = {
    [FEEDBACK] = {"feedback loop", eval_feedback_size, eval_feedback_world},
    [DRIFT] = {"drift", eval_drift_size, eval_drift_world},
    [COLD_START] = {"cold start", eval_cold_start_size, eval_cold_start_world},
};

static forage_status play_all(const eval_study *study, const forage_chapter1_options *options, int threads,
                              forage_chapter1 *chapter, forage_error *error)
{
    size_t worlds = options->seeds;
    double *found[EXPERIMENTS] = {0};
    forage_status status =
        eval_play_worlds(study, experiments, EXPERIMENTS, worlds, threads, options->progress, found, error);
    if (status == FORAGE_OK)
        status = eval_cold_start_record(study, found[COLD_START], worlds, &chapter->cold_start, error);
    if (status == FORAGE_OK)
        status = eval_drift_record(study, found[DRIFT], worlds, &chapter->drift, error);
    if (status == FORAGE_OK)
        status = eval_feedback_record(study, found[FEEDBACK], worlds, &chapter->feedback_loop, error);
    for (size_t e = 0; e < EXPERIMENTS; ++e)
        forage_free(found[e]);
    return status;
}

static forage_status run(const forage_chapter1_options *options, const forage_scenario *scenario,
                         forage_chapter1 *chapter, forage_error *error)
{
    const forage_model_info *info;
    forage_device device = options->device;
    FORAGE_TRY(forage_model_find(options->model ? options->model : "embedding-mlp", &info, error));
    if (device.threads < 1)
        FORAGE_TRY(forage_device_open("auto", 0, &device, error));
    FORAGE_TRY(eval_baseline(options, scenario, info, &device, chapter, error));
    eval_study study = {.scenario = scenario, .info = info, .device = device, .seed = scenario->seed};
    study.device.threads = 1;
    return play_all(&study, options, device.threads, chapter, error);
}

forage_status forage_chapter1_run(const forage_chapter1_options *options, forage_chapter1 *chapter, forage_error *error)
{
    forage_chapter1_options chosen = {0};
    forage_scenario scenario = {0};
    double start = forage_clock();
    if (options)
        chosen = *options;
    if (chosen.seeds == 0)
        chosen.seeds = DEFAULT_WORLDS;
    FORAGE_TRY(eval_check_worlds(chosen.seeds, error));
    const char *name = chosen.scenario ? chosen.scenario : "petshop";
    *chapter = (forage_chapter1){0};
    FORAGE_TRY(forage_scenario_load(name, &scenario, error));
    if (chosen.seed)
        scenario.seed = chosen.seed;
    eval_name(chapter->scenario, sizeof chapter->scenario, scenario.name ? scenario.name : name);
    chapter->seed = scenario.seed;
    forage_status status = run(&chosen, &scenario, chapter, error);
    forage_scenario_release(&scenario);
    chapter->seconds = forage_clock() - start;
    if (status != FORAGE_OK)
        forage_chapter1_release(chapter);
    return status;
}

void forage_chapter1_release(forage_chapter1 *chapter)
{
    forage_log_record *log = &chapter->log;
    void *const blocks[] = {
        log->categories,
        log->personas,
        log->category_items,
        log->persona_users,
        log->category,
        log->persona,
        log->cell,
        chapter->training.train_loss,
        chapter->training.validation_loss,
        chapter->predictions.categories,
        chapter->predictions.personas,
        chapter->predictions.representative,
        chapter->predictions.item_category,
        chapter->predictions.predicted,
        chapter->predictions.one,
        chapter->predictions.all,
        chapter->predictions.truth,
        chapter->cold_start.user_arms,
        chapter->cold_start.item_arms,
        chapter->cold_start.launches,
    };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; ++i)
        forage_free(blocks[i]);
    for (size_t s = 0; s < chapter->drift.series_count; ++s) {
        forage_free(chapter->drift.series[s].x);
        forage_free(chapter->drift.series[s].y);
    }
    forage_free(chapter->drift.series);
    for (size_t a = 0; a < chapter->feedback_loop.arm_count; ++a)
        forage_free(chapter->feedback_loop.arms[a].rounds);
    forage_free(chapter->feedback_loop.arms);
    *chapter = (forage_chapter1){0};
}
