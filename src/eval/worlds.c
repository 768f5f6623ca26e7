/*
 * worlds.c: experiments that are repeated in worlds of their own, side by side, one thread each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/world.h"

#include <stdatomic.h>

typedef struct pool {
    const eval_study *study;
    const eval_experiment *experiments;
    const forage_progress *progress;
    size_t count, worlds;
    double **found;
    forage_status *status; /* [count x worlds] */
    forage_error *errors;
    atomic_size_t done;
    atomic_bool stop;
} pool;

/* Who looks whether there is to be an end while a world is played. */
typedef struct lookout {
    pool *pool;
    const char *name;
    int worker;
} lookout;

static bool go_on(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    const lookout *l = context;
    pool *p = l->pool;
    (void)stage, (void)done, (void)total, (void)note;
    /* The first worker is the thread that called: only it may speak to the caller. */
    if (l->worker == 0 &&
        !forage_progress_report(p->progress, "experiments", atomic_load(&p->done), p->count * p->worlds, l->name))
        atomic_store(&p->stop, true);
    return !atomic_load(&p->stop);
}

static void play(void *context, size_t job, int worker)
{
    pool *p = context;
    const eval_experiment *what = &p->experiments[job / p->worlds];
    size_t world = job % p->worlds;
    lookout l = {p, what->name, worker};
    const forage_progress watch = {go_on, &l};
    eval_study study = *p->study;
    study.watch = &watch;
    p->status[job] = FORAGE_OK;
    if (atomic_load(&p->stop))
        return;
    p->status[job] = what->world(&study, world, p->found[job / p->worlds] + world * what->size(), &p->errors[job]);
    if (p->status[job] != FORAGE_OK) {
        atomic_store(&p->stop, true);
        return;
    }
    atomic_fetch_add(&p->done, 1);
    go_on(&l, NULL, 0, 0, NULL);
}

static forage_status collect(const pool *p, forage_error *error)
{
    /* What went wrong somewhere stopped the others. */
    for (size_t job = 0; job < p->count * p->worlds; ++job)
        if (p->status[job] != FORAGE_OK && p->status[job] != FORAGE_INTERRUPTED) {
            if (error)
                *error = p->errors[job];
            return p->status[job];
        }
    if (atomic_load(&p->stop))
        return forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
    return FORAGE_OK;
}

forage_status eval_check_worlds(size_t worlds, forage_error *error)
{
    if (worlds > EVAL_MOST_WORLDS)
        return forage_fail(error, FORAGE_INVALID, "at most %d worlds for each experiment, not %zu", EVAL_MOST_WORLDS,
                           worlds);
    return FORAGE_OK;
}

forage_status eval_play_worlds(const eval_study *study, const eval_experiment *experiments, size_t count, size_t worlds,
                               int threads, const forage_progress *progress, double **found, forage_error *error)
{
    pool p = {.study = study,
              .experiments = experiments,
              .progress = progress,
              .count = count,
              .worlds = worlds,
              .found = found,
              .status = forage_calloc(count * worlds, sizeof *p.status),
              .errors = forage_calloc(count * worlds, sizeof *p.errors)};
    bool failed = !p.status || !p.errors;
    for (size_t e = 0; e < count; ++e)
        failed |= !(found[e] = forage_calloc(worlds * experiments[e].size(), sizeof **found));
    forage_status status = FORAGE_OK;
    if (failed) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for experiments");
    } else {
        forage_parallel_for(threads, count * worlds, play, &p);
        status = collect(&p, error);
    }
    forage_free(p.status);
    forage_free(p.errors);
    return status;
}

forage_estimate eval_over_worlds(const double *found, size_t worlds, size_t size, size_t place)
{
    double values[EVAL_MOST_WORLDS];
    size_t count = worlds < EVAL_MOST_WORLDS ? worlds : EVAL_MOST_WORLDS;
    for (size_t w = 0; w < count; ++w)
        values[w] = found[w * size + place];
    return forage_estimate_of(values, count, 0.95);
}

forage_estimate eval_difference_over_worlds(const double *found, size_t worlds, size_t size, size_t place, size_t less)
{
    double values[EVAL_MOST_WORLDS];
    size_t count = worlds < EVAL_MOST_WORLDS ? worlds : EVAL_MOST_WORLDS;
    for (size_t w = 0; w < count; ++w)
        values[w] = found[w * size + place] - found[w * size + less];
    return forage_estimate_of(values, count, 0.95);
}
