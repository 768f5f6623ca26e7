/*
 * replay.c: a log of uniformly chosen items played again by rejection. Where the choice is what the log
 * shows, its reward is what would have been; everything else is passed over. For a log that was made by choosing
 * uniformly and independently of everything, the accepted visits are distributed as if the player had been there
 * (Li, Chu, Langford & Wang 2011, "Unbiased offline evaluation of contextual-bandit-based news article
 * recommendation algorithms", theorem 1).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/rows.h"

#include <math.h>

#define TOLERANCE 1e-3 /* relative, of propensities written with few digits */

typedef struct replay {
    forage_environment base;
    sim_rows rows;
} replay;

typedef struct replay_play {
    forage_play base;
    sim_walk walk;
    forage_feedback feedback;
} replay_play;

/* Only what was shown can be chosen: with uniform choice these are all items there were. */
static forage_status shown_items(sim_rows *rows, forage_error *error)
{
    const forage_dataset *dataset = rows->dataset;
    size_t items = forage_vocabulary_count(dataset->items);
    forage_free(rows->candidates);
    rows->candidate_count = 0;
    rows->candidates = forage_alloc(items, sizeof *rows->candidates);
    rows->can_choose = forage_calloc(items, 1);
    if (!rows->candidates || !rows->can_choose)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a replay");
    for (size_t r = 0; r < dataset->count; r++)
        rows->can_choose[dataset->item[r]] = 1;
    for (uint32_t i = 0; i < items; i++)
        if (rows->can_choose[i])
            rows->candidates[rows->candidate_count++] = i;
    return FORAGE_OK;
}

static forage_status check_uniform(const sim_rows *rows, const char *path, bool declared, forage_error *error)
{
    const forage_dataset *dataset = rows->dataset;
    double low = INFINITY, high = -INFINITY, even = 1 / (double)rows->candidate_count;
    if (rows->candidate_count < 2)
        return forage_fail_at(error, FORAGE_FORMAT, path, 0, dataset->item_name,
                              "the log shows one item only: there is nothing to choose");
    if (!dataset->propensity && declared)
        return FORAGE_OK;
    if (!dataset->propensity)
        return forage_fail_at(error, FORAGE_FORMAT, path, 0, NULL,
                              "rejection wants a log of uniformly chosen items, and this one has no propensities to "
                              "show it; name their column with --propensity-column, or say --uniform if it is one");
    for (size_t r = 0; r < dataset->count; r++) {
        low = fmin(low, (double)dataset->propensity[r]);
        high = fmax(high, (double)dataset->propensity[r]);
    }
    if (fabs(low - even) <= TOLERANCE * even && fabs(high - even) <= TOLERANCE * even)
        return FORAGE_OK;
    return forage_fail_at(error, FORAGE_FORMAT, path, 0, dataset->propensity_name,
                          "rejection wants a log of uniformly chosen items: with %zu of them each propensity would be "
                          "%.6g, here they range from %.6g to %.6g. Estimates from such a log: forage evaluate --ope",
                          rows->candidate_count, even, low, high);
}

static void release(forage_environment *environment)
{
    sim_rows_release(&((replay *)environment)->rows);
}

static forage_status fill_in(replay *made, const char *path, const forage_environment_options *options,
                             forage_error *error)
{
    FORAGE_TRY(sim_rows_load_log(&made->rows, path, options, &made->base, error));
    FORAGE_TRY(shown_items(&made->rows, error));
    return check_uniform(&made->rows, path, options->uniform, error);
}

static forage_status open_replay(const char *name, const forage_environment_options *options,
                                 forage_environment **environment, forage_error *error)
{
    replay *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a replay");
    forage_status status = fill_in(made, name, options, error);
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
    sim_walk_release(&((replay_play *)play)->walk);
}

static forage_status make_play(const forage_environment *environment, uint64_t seed, forage_play **play,
                               forage_error *error)
{
    replay_play *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a play");
    forage_status status = sim_walk_init(&made->walk, &((const replay *)environment)->rows, seed, error);
    if (status == FORAGE_OK)
        *play = &made->base;
    else
        forage_free(made);
    return status;
}

static forage_status next(forage_play *play, bool *more, forage_error *error)
{
    replay_play *own = (replay_play *)play;
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
    replay_play *own = (replay_play *)play;
    (void)positions;
    if (!own->walk.rows->can_choose[items[0]])
        return forage_fail(error, FORAGE_INVALID, "the log never shows item %u", items[0]);
    *accepted = items[0] == play->visit.logged_item;
    if (!*accepted)
        return FORAGE_OK;
    own->feedback = (forage_feedback){.decision = play->visit.request.id, .reward = play->visit.logged_reward};
    *feedback = &own->feedback;
    *count = 1;
    *earned = (double)play->visit.logged_reward;
    return FORAGE_OK;
}

const sim_environment_type sim_environment_replay = {
    .kind = FORAGE_ENVIRONMENT_REPLAY,
    .open = open_replay,
    .release = release,
    .play = make_play,
    .release_play = release_play,
    .next = next,
    .answer = answer,
};
