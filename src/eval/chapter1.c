/*
 * chapter1.c: runs chapter 1: the baseline with all threads, then the worlds of the three experiments side by
 * side, one thread each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/world.h"

#include <stdatomic.h>
#include <string.h>

enum { DEFAULT_WORLDS = 5, MOST_WORLDS = 50, EXPERIMENTS = 3 };

typedef struct experiment {
    const char *name;
    size_t (*size)(void);
    forage_status (*world)(const eval_study *, size_t, double *, forage_error *);
} experiment;

/* The longest first, so that no core waits for it at the end. */
static const experiment experiments[EXPERIMENTS] = {
    {"feedback loop", eval_feedback_size, eval_feedback_world},
    {"drift", eval_drift_size, eval_drift_world},
    {"cold start", eval_cold_start_size, eval_cold_start_world},
};

enum { FEEDBACK, DRIFT, COLD_START };

typedef struct pool {
    const eval_study *study;
    const forage_progress *progress;
    size_t worlds;
    double *found[EXPERIMENTS]; /* [worlds x size] */
    forage_status *status;      /* [EXPERIMENTS x worlds] */
    forage_error *errors;
    atomic_size_t done;
    atomic_bool stop;
} pool;

static void play(void *context, size_t job, int worker)
{
    pool *p = context;
    const experiment *what = &experiments[job / p->worlds];
    size_t world = job % p->worlds;
    p->status[job] = FORAGE_OK;
    if (atomic_load(&p->stop))
        return;
    p->status[job] = what->world(p->study, world, p->found[job / p->worlds] + world * what->size(), &p->errors[job]);
    if (p->status[job] != FORAGE_OK)
        atomic_store(&p->stop, true);
    size_t done = atomic_fetch_add(&p->done, 1) + 1;
    /* The first worker is the thread that called: only it may speak to the caller. */
    if (worker == 0 && !forage_progress_report(p->progress, "experiments", done, EXPERIMENTS * p->worlds, what->name))
        atomic_store(&p->stop, true);
}

static forage_status collect(const pool *p, forage_error *error)
{
    for (size_t job = 0; job < EXPERIMENTS * p->worlds; ++job)
        if (p->status[job] != FORAGE_OK) {
            if (error)
                *error = p->errors[job];
            return p->status[job];
        }
    if (atomic_load(&p->stop))
        return forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
    return FORAGE_OK;
}

static forage_status play_all(const eval_study *study, const forage_chapter1_options *options, int threads,
                              forage_chapter1 *chapter, forage_error *error)
{
    pool p = {.study = study, .progress = options->progress, .worlds = options->seeds};
    size_t jobs = EXPERIMENTS * p.worlds;
    forage_status status = FORAGE_OK;
    p.status = forage_calloc(jobs, sizeof *p.status);
    p.errors = forage_calloc(jobs, sizeof *p.errors);
    bool failed = !p.status || !p.errors;
    for (size_t e = 0; e < EXPERIMENTS; ++e)
        failed |= !(p.found[e] = forage_calloc(p.worlds * experiments[e].size(), sizeof **p.found));
    if (failed) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for experiments");
        goto end;
    }
    forage_parallel_for(threads, jobs, play, &p);
    FORAGE_TRY_GOTO(collect(&p, error), end);
    FORAGE_TRY_GOTO(eval_cold_start_record(study, p.found[COLD_START], p.worlds, &chapter->cold_start, error), end);
    FORAGE_TRY_GOTO(eval_drift_record(study, p.found[DRIFT], p.worlds, &chapter->drift, error), end);
    FORAGE_TRY_GOTO(eval_feedback_record(study, p.found[FEEDBACK], p.worlds, &chapter->feedback_loop, error), end);
end:
    forage_free(p.status);
    forage_free(p.errors);
    for (size_t e = 0; e < EXPERIMENTS; ++e)
        forage_free(p.found[e]);
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
    eval_study study = {scenario, info, device, scenario->seed};
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
    if (chosen.seeds > MOST_WORLDS)
        return forage_fail(error, FORAGE_INVALID, "at most %d worlds for each experiment, not %zu", MOST_WORLDS,
                           chosen.seeds);
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
