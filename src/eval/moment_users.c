/*
 * moment_users.c: users whom no model has seen. Models learn from a log of random traffic; then others come, who are
 * shown random products as well, and each of their clicks is predicted from what they did before it, and from nothing
 * else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/chapter3.h"

#include <string.h>

enum {
    NEWCOMERS = 1000,
    LIFE = 50, /* visits of each */
    LATE = 20, /* the first point that counts as late: 20 visits came before it */
};

enum { BAYES, BLIND, BAG, SEQUENCE, ORACLE, ARMS };

static const moment_arm *const arms[ARMS] = {
    [BAYES] = &moment_bayes,       [BLIND] = &moment_blind,   [BAG] = &moment_bag,
    [SEQUENCE] = &moment_sequence, [ORACLE] = &moment_oracle,
};

size_t moment_users_size(void)
{
    return moment_size(ARMS, LIFE);
}

/* The log as `forage simulate` writes it: visits after the preliminary trials, if there are any. */
static forage_status visit(forage_simulator *simulator, const forage_scenario *scenario, moment_log *log,
                           forage_error *error)
{
    uint8_t *click = forage_alloc(log->learned, 1);
    forage_trial_result trials;
    if (!click)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for an experiment");
    forage_status status = FORAGE_OK;
    if (scenario->trials.count > 0)
        status = forage_simulator_trials(simulator, scenario->trials.count, &trials, error);
    if (status == FORAGE_OK)
        forage_simulator_visits(simulator, log->learned, log->data->user, log->data->item, click);
    for (size_t row = 0; row < log->learned && status == FORAGE_OK; ++row)
        log->data->value[row] = click[row];
    forage_free(click);
    return status;
}

/* P(click) under a belief about the persona, which then learns of the click. */
static double expect(const forage_simulator *simulator, uint32_t category, const double *belief, size_t personas)
{
    double sum = 0, all = 0;
    for (uint32_t p = 0; p < personas; ++p) {
        sum += belief[p] * forage_simulator_rate(simulator, p, category);
        all += belief[p];
    }
    return sum / all;
}

static void learn(const forage_simulator *simulator, uint32_t category, bool click, double *belief, size_t personas)
{
    double all = 0;
    for (uint32_t p = 0; p < personas; ++p) {
        double rate = forage_simulator_rate(simulator, p, category);
        all += belief[p] *= click ? rate : 1 - rate;
    }
    for (uint32_t p = 0; p < personas; ++p)
        belief[p] /= all;
}

static forage_status arrive(forage_simulator *simulator, moment_log *log, forage_error *error)
{
    double belief[FORAGE_MAX_PERSONAS];
    size_t personas = forage_simulator_personas(simulator), items = forage_simulator_items(simulator);
    forage_rng *rng = forage_simulator_rng(simulator);
    for (size_t row = log->learned, n = 0; n < NEWCOMERS; ++n) {
        uint32_t user;
        FORAGE_TRY(forage_simulator_add_user(simulator, (uint32_t)forage_rng_integers(rng, personas), &user, error));
        for (size_t p = 0; p < personas; ++p)
            belief[p] = 1.0 / (double)personas;
        for (uint32_t visit = 0; visit < LIFE; ++visit, ++row) {
            uint32_t item = (uint32_t)forage_rng_integers(rng, items);
            uint32_t category = forage_simulator_category(simulator, item);
            bool click = forage_simulator_click(simulator, user, item);
            log->data->user[row] = user;
            log->data->item[row] = item;
            log->data->value[row] = click;
            log->place[row] = visit;
            log->truth[row] = (float)forage_simulator_probability(simulator, user, item);
            log->bayes[row] = (float)expect(simulator, category, belief, personas);
            learn(simulator, category, click, belief, personas);
        }
    }
    return FORAGE_OK;
}

static forage_status open_log(const eval_study *study, forage_simulator *simulator, moment_log *log,
                              forage_error *error)
{
    const forage_scenario *scenario = study->scenario;
    size_t items = forage_simulator_items(simulator), visits = study->visits;
    uint32_t *code = forage_alloc(items, sizeof *code);
    if (!code)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for an experiment");
    for (uint32_t item = 0; item < items; ++item)
        code[item] = forage_simulator_category(simulator, item);
    forage_status status =
        moment_log_create(forage_simulator_users(simulator) + NEWCOMERS, items, code, scenario->categories,
                          scenario->category_count, visits + (size_t)NEWCOMERS * LIFE, false, log, error);
    log->learned = visits;
    forage_free(code);
    return status;
}

forage_status moment_users_world(const eval_study *study, size_t index, double *found, forage_error *error)
{
    forage_scenario scenario = *study->scenario; /* borrows its strings */
    forage_simulator *simulator;
    moment_log log = {0};
    forage_status status;
    /* World 0 is the very log that `forage simulate` writes. */
    scenario.seed = study->seed + (index ? (MOMENT_STREAM_USERS + (uint64_t)index) * 7919 : 0);
    FORAGE_TRY(forage_simulator_create(&scenario, NULL, &simulator, error));
    FORAGE_TRY_GOTO(open_log(study, simulator, &log, error), end);
    FORAGE_TRY_GOTO(visit(simulator, &scenario, &log, error), end);
    FORAGE_TRY_GOTO(arrive(simulator, &log, error), end);
    FORAGE_TRY_GOTO(moment_measure(study, &log, arms, ARMS, BAYES, LIFE, LATE, index, found, error), end);
end:
    moment_log_release(&log);
    forage_simulator_free(simulator);
    return status;
}

forage_status moment_users_record(const eval_study *study, const double *found, size_t worlds,
                                  forage_moment_users *record, forage_error *error)
{
    *record = (forage_moment_users){.visits = study->visits,
                                    .users = (size_t)study->scenario->users,
                                    .items = (size_t)study->scenario->products,
                                    .newcomers = NEWCOMERS};
    return moment_table(found, worlds, moment_users_size(), 0, arms, ARMS, SEQUENCE, LIFE, LATE, &record->table, error);
}
