/*
 * feedback_loop.c: flaw 3, measured. The model decides what is shown, and is trained again on what came of
 * it; beside that, the same amounts of random traffic.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/world.h"

#include <math.h>
#include <string.h>

enum {
    USERS = 100,
    ITEMS = 50,
    ROWS = 10000,    /* random visits before the first training, and rows of every later one */
    EACH = ROWS / 2, /* visits of each round */
    ROUNDS = 6,      /* trainings; the first is on the first log, the same in every arm */
    EPOCHS = 10,
    STREAM = 400,
};

enum { RANDOM_TRAFFIC, OWN_AND_FIRST, OWN_ALONE, ARMS };
enum { RATE, ORACLE, DISTINCT, SPREAD, RMSE, MEASURES };

static size_t place(size_t arm, size_t round, size_t measure)
{
    return (arm * ROUNDS + round) * MEASURES + measure;
}

size_t eval_feedback_size(void)
{
    return ARMS * ROUNDS * MEASURES;
}

/* What the model's choice shows to one visit of every user. */
static void note_round(const eval_world *world, const uint32_t *choice, double *found)
{
    size_t shown[ITEMS] = {0}, distinct = 0;
    double entropy = 0;
    for (size_t user = 0; user < USERS; ++user)
        ++shown[choice[user]];
    for (size_t item = 0; item < ITEMS; ++item)
        if (shown[item] > 0) {
            double share = (double)shown[item] / USERS;
            /* cppcheck-suppress invalidFunctionArg ; share > 0 here */
            entropy -= share * log(share);
            ++distinct;
        }
    found[RATE] = eval_world_rate(world, choice, 0, USERS, NULL);
    found[ORACLE] = eval_world_oracle(world, 0, USERS, ITEMS, NULL);
    found[DISTINCT] = (double)distinct;
    found[SPREAD] = exp(entropy);
    found[RMSE] = eval_world_rmse(world, 0, USERS, 0, ITEMS);
}

/* What an arm is trained on, the same number of rows in all: the last ROWS visits, or the first EACH and the last EACH.
 */
static void choose_rows(const eval_world *world, size_t arm, uint32_t rows[ROWS])
{
    size_t kept = arm == OWN_AND_FIRST ? EACH : 0, last = world->log->count - (ROWS - kept);
    for (size_t i = 0; i < ROWS; ++i)
        rows[i] = (uint32_t)(i < kept ? i : last + i - kept);
}

/* All arms of a world start from the same generator, so from the same first log and the same first
 * model: `first_choice` is made by the first arm and used by the others. */
static forage_status play(eval_world *world, size_t arm, size_t index, uint32_t *first_choice, double *found,
                          forage_error *error)
{
    const eval_study *study = world->study;
    uint32_t choice[USERS], rows[ROWS];
    eval_world_clear(world);
    eval_world_visits(world, ROWS, NULL);
    for (size_t round = 0; round < ROUNDS; ++round) {
        if (round == 0 && arm > 0) {
            memcpy(choice, first_choice, sizeof choice);
            memcpy(found + place(arm, 0, 0), found + place(0, 0, 0), MEASURES * sizeof *found);
        } else {
            choose_rows(world, arm, rows);
            FORAGE_TRY(eval_world_fit(world, study->info, rows, ROWS, EPOCHS, index + 1000 * round, error));
            eval_world_choose(world, world->scores, 0, USERS, ITEMS, choice);
            note_round(world, choice, found + place(arm, round, 0));
        }
        if (round == 0)
            memcpy(first_choice, choice, sizeof choice);
        eval_world_visits(world, EACH, arm == RANDOM_TRAFFIC ? NULL : choice);
    }
    return FORAGE_OK;
}

forage_status eval_feedback_world(const eval_study *study, size_t index, double *found, forage_error *error)
{
    eval_world_options options = {USERS, ITEMS, 0, 0, FORAGE_NONE, ROWS + ROUNDS * EACH, STREAM + (uint32_t)index};
    uint32_t first_choice[USERS];
    eval_world world;
    FORAGE_TRY(eval_world_create(study, &options, &world, error));
    forage_rng start = world.rng;
    forage_status status = FORAGE_OK;
    for (size_t arm = 0; arm < ARMS && status == FORAGE_OK; ++arm) {
        world.rng = start;
        status = play(&world, arm, index, first_choice, found, error);
    }
    eval_world_release(&world);
    return status;
}

/* ------------------------------------------------------------------ *
 * The record
 * ------------------------------------------------------------------ */

static forage_loop_round round_of(const double *found, size_t worlds, size_t arm, size_t round)
{
    size_t size = eval_feedback_size(), count = worlds < 64 ? worlds : 64;
    double lost[64], coverage[64];
    for (size_t w = 0; w < count; ++w) {
        const double *here = found + w * size + place(arm, round, 0);
        lost[w] = here[ORACLE] - here[RATE];
        coverage[w] = here[DISTINCT] / ITEMS;
    }
    return (forage_loop_round){
        .click_rate = eval_over_worlds(found, worlds, size, place(arm, round, RATE)),
        .lost = forage_estimate_of(lost, count, 0.95),
        .distinct = eval_over_worlds(found, worlds, size, place(arm, round, DISTINCT)),
        .coverage = forage_estimate_of(coverage, count, 0.95),
        .spread = eval_over_worlds(found, worlds, size, place(arm, round, SPREAD)),
        .rmse = eval_over_worlds(found, worlds, size, place(arm, round, RMSE)),
    };
}

forage_status eval_feedback_record(const eval_study *study, const double *found, size_t worlds,
                                   forage_feedback_loop *record, forage_error *error)
{
    static const char *const names[ARMS] = {"random traffic", "own traffic beside the first log", "own traffic alone"};
    static const char *const notes[ARMS] = {
        "visits are shown random products; trained on the last 10,000 visits",
        "visits are shown the model's choice; trained on 5,000 random visits of the first log and the last 5,000 of "
        "its own",
        "visits are shown the model's choice; trained on the last 10,000 visits: from the second round on all are its "
        "own",
    };
    (void)study;
    *record = (forage_feedback_loop){.seeds = worlds,
                                     .users = USERS,
                                     .items = ITEMS,
                                     .first_interactions = ROWS,
                                     .round_interactions = EACH,
                                     .round_count = ROUNDS};
    record->arms = forage_calloc(ARMS, sizeof *record->arms);
    if (!record->arms)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
    record->arm_count = ARMS;
    record->oracle = eval_over_worlds(found, worlds, eval_feedback_size(), ORACLE).value;
    for (size_t arm = 0; arm < ARMS; ++arm) {
        forage_loop_arm *out = &record->arms[arm];
        eval_name(out->name, sizeof out->name, names[arm]);
        eval_name(out->note, sizeof out->note, notes[arm]);
        out->rounds = forage_calloc(ROUNDS, sizeof *out->rounds);
        if (!out->rounds)
            return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
        for (size_t round = 0; round < ROUNDS; ++round)
            out->rounds[round] = round_of(found, worlds, arm, round);
    }
    return FORAGE_OK;
}
