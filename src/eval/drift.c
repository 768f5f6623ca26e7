/*
 * drift.c: flaw 2, measured. At half time a share of the users changes persona; the click rate of the model's
 * choice, day by day, for a model that stays as it is and for one that is trained again every night.
 *
 * The log is random traffic, a constant amount each day, so that what is measured is the lag of
 * training on a log alone, and not also the feedback loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/world.h"

#include <math.h>
#include <string.h>

enum {
    USERS = 100,
    ITEMS = 50,
    VISITS = 3000,    /* a day */
    WINDOW = 6,       /* days that each night's training sees */
    DAYS = 14,        /* measured; WINDOW more go before them */
    EVENT = DAYS / 2, /* half time: the first day with new tastes */
    EPOCHS = 4,
    STREAM = 300,
};

/* Per day: first over all users, then over those who change. */
enum { ORACLE, FROZEN, NIGHTLY, CURVES };

static size_t place(size_t drifted, size_t curve, size_t day)
{
    return (drifted * CURVES + curve) * DAYS + day;
}

size_t eval_drift_size(void)
{
    return 2 * CURVES * DAYS;
}

/* Every second user takes another persona, drawn among the others. */
static forage_status change_tastes(eval_world *world, const bool *drifted, forage_error *error)
{
    size_t personas = forage_simulator_personas(world->simulator);
    for (uint32_t user = 0; user < world->users; ++user) {
        if (!drifted[user] || personas < 2)
            continue;
        uint32_t before = forage_simulator_persona(world->simulator, user);
        uint32_t step = 1 + (uint32_t)forage_rng_integers(&world->rng, personas - 1);
        FORAGE_TRY(forage_simulator_set_persona(world->simulator, user, (uint32_t)((before + step) % personas), error));
    }
    eval_world_look(world);
    return FORAGE_OK;
}

static void note_day(const eval_world *world, size_t day, const uint32_t *frozen, const uint32_t *nightly,
                     const bool *drifted, double *found)
{
    for (size_t which = 0; which < 2; ++which) {
        const bool *among = which ? drifted : NULL;
        found[place(which, ORACLE, day)] = eval_world_oracle(world, 0, USERS, ITEMS, among);
        found[place(which, FROZEN, day)] = eval_world_rate(world, frozen, 0, USERS, among);
        found[place(which, NIGHTLY, day)] = eval_world_rate(world, nightly, 0, USERS, among);
    }
}

forage_status eval_drift_world(const eval_study *study, size_t index, double *found, forage_error *error)
{
    eval_world_options options = {USERS, ITEMS, 0, 0, FORAGE_NONE, (WINDOW + DAYS) * VISITS, STREAM + (uint32_t)index};
    uint32_t frozen[USERS], nightly[USERS];
    bool drifted[USERS];
    eval_world world;
    FORAGE_TRY(eval_world_create(study, &options, &world, error));
    forage_status status = FORAGE_OK;
    for (size_t user = 0; user < USERS; ++user)
        drifted[user] = user % 2 == 0; /* personas are drawn at random, so any half will do */
    eval_world_visits(&world, WINDOW * VISITS, NULL);
    for (size_t day = 0; day < DAYS; ++day) {
        if (day == EVENT)
            FORAGE_TRY_GOTO(change_tastes(&world, drifted, error), end);
        FORAGE_TRY_GOTO(eval_world_fit(&world, study->info, world.rows + day * VISITS, WINDOW * VISITS, EPOCHS,
                                       index + 1000 * day, error),
                        end);
        eval_world_choose(&world, world.scores, 0, USERS, ITEMS, nightly);
        if (day == 0)
            memcpy(frozen, nightly, sizeof frozen);
        note_day(&world, day, frozen, nightly, drifted, found);
        eval_world_visits(&world, VISITS, NULL);
    }
end:
    eval_world_release(&world);
    return status;
}

/* ------------------------------------------------------------------ *
 * The record
 * ------------------------------------------------------------------ */

static forage_status fill_series(const double *found, size_t worlds, size_t which, size_t curve, forage_series *series,
                                 forage_error *error)
{
    static const char *const names[2][CURVES] = {
        {"oracle", "trained once", "trained every night"},
        {"oracle, drifted users", "trained once, drifted users", "trained every night, drifted users"},
    };
    static const char *const notes[CURVES] = {
        "the truly best product for the tastes of the day",
        "the model of day 0, never touched again",
        "the same model, trained from scratch each night on the last days of the log",
    };
    eval_name(series->name, sizeof series->name, names[which][curve]);
    eval_name(series->note, sizeof series->note, notes[curve]);
    series->x = forage_alloc(DAYS, sizeof *series->x);
    series->y = forage_alloc(DAYS, sizeof *series->y);
    if (!series->x || !series->y)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
    series->count = DAYS;
    for (size_t day = 0; day < DAYS; ++day) {
        series->x[day] = (double)day;
        series->y[day] = eval_over_worlds(found, worlds, eval_drift_size(), place(which, curve, day));
    }
    return FORAGE_OK;
}

/* Mean over the worlds of a curve's mean over the days [first, last). */
static forage_estimate over_days(const double *found, size_t worlds, size_t which, size_t curve, size_t first,
                                 size_t last)
{
    double values[64];
    size_t count = worlds < 64 ? worlds : 64;
    for (size_t w = 0; w < count; ++w) {
        values[w] = 0;
        for (size_t day = first; day < last; ++day)
            values[w] += found[w * eval_drift_size() + place(which, curve, day)] / (double)(last - first);
    }
    return forage_estimate_of(values, count, 0.95);
}

/* Nights until the retrained model has won back 90 % of what the drifted users lost, on the mean curve. */
static size_t nights_to_recover(const forage_drift *record)
{
    const forage_series *frozen = &record->series[CURVES + FROZEN], *nightly = &record->series[CURVES + NIGHTLY];
    double before = record->before_drifted.value;
    for (size_t day = EVENT + 1; day < DAYS; ++day) {
        double fallen = frozen->y[day].value;
        if (nightly->y[day].value >= fallen + 0.9 * (before - fallen))
            return day - EVENT;
    }
    return 0;
}

forage_status eval_drift_record(const eval_study *study, const double *found, size_t worlds, forage_drift *record,
                                forage_error *error)
{
    (void)study;
    *record = (forage_drift){.seeds = worlds,
                             .users = USERS,
                             .items = ITEMS,
                             .visits_per_day = VISITS,
                             .window_days = WINDOW,
                             .drifted_share = 0.5,
                             .event_day = EVENT,
                             .overall_count = CURVES};
    record->series = forage_calloc(2 * CURVES, sizeof *record->series);
    if (!record->series)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
    record->series_count = 2 * CURVES;
    for (size_t which = 0; which < 2; ++which)
        for (size_t curve = 0; curve < CURVES; ++curve)
            FORAGE_TRY(fill_series(found, worlds, which, curve, &record->series[which * CURVES + curve], error));
    forage_estimate *const before[] = {&record->before, &record->before_drifted};
    forage_estimate *const after[] = {&record->after, &record->after_drifted};
    forage_estimate *const recovered[] = {&record->recovered, &record->recovered_drifted};
    for (size_t which = 0; which < 2; ++which) {
        *before[which] = over_days(found, worlds, which, FROZEN, 0, EVENT);
        *after[which] = over_days(found, worlds, which, FROZEN, EVENT, DAYS);
        *recovered[which] = over_days(found, worlds, which, NIGHTLY, DAYS - 1, DAYS);
    }
    record->oracle_after = over_days(found, worlds, 0, ORACLE, EVENT, DAYS);
    record->days_to_recover = nights_to_recover(record);
    return FORAGE_OK;
}
