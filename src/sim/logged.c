/*
 * logged.c: a log as it is. What was shown is given with its reward and its propensity; a play
 * cannot show anything else, so whoever plays can only learn from it, and estimate on the way what it would have
 * earned.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/rows.h"

typedef struct logged {
    forage_environment base;
    sim_rows rows;
} logged;

typedef struct logged_play {
    forage_play base;
    sim_walk walk;
} logged_play;

static void release(forage_environment *environment)
{
    sim_rows_release(&((logged *)environment)->rows);
}

static forage_status open_log(const char *name, const forage_environment_options *options,
                              forage_environment **environment, forage_error *error)
{
    logged *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a log");
    forage_status status = sim_rows_load_log(&made->rows, name, options, &made->base, error);
    if (status == FORAGE_OK) {
        *environment = &made->base;
        return FORAGE_OK;
    }
    release(&made->base);
    sim_environment_discard(&made->base);
    return status;
}

static void release_play(forage_play *play)
{
    sim_walk_release(&((logged_play *)play)->walk);
}

static forage_status make_play(const forage_environment *environment, uint64_t seed, forage_play **play,
                               forage_error *error)
{
    logged_play *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a play");
    forage_status status = sim_walk_init(&made->walk, &((const logged *)environment)->rows, seed, error);
    if (status == FORAGE_OK)
        *play = &made->base;
    else
        forage_free(made);
    return status;
}

static forage_status next(forage_play *play, bool *more, forage_error *error)
{
    logged_play *own = (logged_play *)play;
    (void)more;
    (void)error;
    sim_walk_next(&own->walk, play);
    sim_walk_logged(&own->walk, &play->visit);
    return FORAGE_OK;
}

static forage_status answer(forage_play *play, const uint32_t *items, size_t positions,
                            const forage_feedback **feedback, size_t *count, bool *accepted, double *earned,
                            forage_error *error)
{
    (void)play;
    (void)items;
    (void)positions;
    (void)feedback;
    (void)count;
    (void)earned;
    (void)error;
    *accepted = false;
    return FORAGE_OK;
}

const sim_environment_type sim_environment_log = {
    .kind = FORAGE_ENVIRONMENT_LOG,
    .open = open_log,
    .release = release,
    .play = make_play,
    .release_play = release_play,
    .next = next,
    .answer = answer,
};
