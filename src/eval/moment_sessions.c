/*
 * moment_sessions.c: sessions that are about something, and sessions that are not. Random traffic of the scenarios
 * `intents` and `sessions`; models learn from the log up to a moment, and predict every click after it from what its
 * user did before, in this session and in earlier ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/chapter3.h"

#include <math.h>
#include <string.h>

enum {
    SESSION = 20, /* visits of each, in both scenarios */
    LATE = 10,    /* the first point that counts as late */
    TESTED = 4,   /* for each visit to predict there are so many to learn from */
    TRAFFIC = 1   /* stream of a world's seed for what is shown */
};

enum { BAYES, BLIND, USERS, BAG, SEQUENCE, ORACLE, ARMS };

static const char *const tuned[][2] = {{"recipe", "tuned"}};
static const moment_arm known_user = {"embedding-mlp, tuned",
                                      "chapter 1’s batched model: knows each user by name, not by what they just did",
                                      "embedding-mlp", tuned, sizeof tuned / sizeof *tuned};

static const moment_arm *const arms[ARMS] = {
    [BAYES] = &moment_bayes, [BLIND] = &moment_blind,       [USERS] = &known_user,
    [BAG] = &moment_bag,     [SEQUENCE] = &moment_sequence, [ORACLE] = &moment_oracle,
};

static const char *const scenarios[FORAGE_CHAPTER3_SHOPS] = {
    [FORAGE_CHAPTER3_INTENTS] = "intents",
    [FORAGE_CHAPTER3_STEADY] = "sessions",
};

enum { INTENDED, FOUND }; /* before the table's numbers */

size_t moment_sessions_size(void)
{
    return FOUND + moment_size(ARMS, SESSION);
}

static size_t tested(const eval_study *study)
{
    return study->visits / TESTED;
}

/* The same for both scenarios, so that twins are twins. */
static forage_status open_shop(const eval_study *study, size_t index, const char *name, forage_scenario *scenario,
                               forage_environment **shop, forage_error *error)
{
    FORAGE_TRY(forage_scenario_load(name, scenario, error));
    scenario->interactions = study->visits + tested(study);
    scenario->seed = study->seed + (MOMENT_STREAM_SESSIONS + (uint64_t)index) * 7919;
    return forage_environment_create(scenario, NULL, shop, error);
}

static forage_status open_log(const eval_study *study, const forage_environment *shop, moment_log *log,
                              forage_error *error)
{
    const forage_catalogue *catalogue = forage_environment_catalogue(shop);
    const forage_column *category = &catalogue->item_attributes->columns[0];
    size_t names = forage_vocabulary_count(category->vocabulary);
    char **list = forage_calloc(names, sizeof *list);
    forage_status status = list ? FORAGE_OK : forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a log");
    for (uint32_t i = 0; i < names && status == FORAGE_OK; ++i) {
        char buffer[24];
        list[i] = forage_strdup(forage_vocabulary_id(category->vocabulary, i, buffer, NULL));
        if (!list[i])
            status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a log");
    }
    if (status == FORAGE_OK)
        status = moment_log_create(catalogue->users, catalogue->items, category->codes, list, names,
                                   (size_t)forage_environment_visits(shop), true, log, error);
    log->learned = study->visits;
    for (size_t i = 0; list && i < names; ++i)
        forage_free(list[i]);
    forage_free(list);
    return status;
}

/* One visit: somebody is shown any product. */
static forage_status visit(forage_play *play, forage_reference *bayes, forage_rng *traffic, const forage_visit *visitor,
                           moment_log *log, size_t row, forage_error *error)
{
    uint32_t item = (uint32_t)forage_rng_integers(traffic, visitor->request.candidate_count);
    const forage_feedback *feedback;
    double expected, earned;
    size_t count;
    forage_reference_expect(bayes, visitor, &item, 1, &expected);
    log->bayes[row] = (float)expected;
    log->truth[row] = (float)forage_play_value(play, &item, 1);
    log->place[row] = (uint32_t)visitor->session_visit;
    FORAGE_TRY(forage_play_answer(play, &item, 1, &feedback, &count, NULL, &earned, error));
    forage_reference_observe(bayes, feedback, count);
    log->data->user[row] = visitor->request.user;
    log->data->item[row] = item;
    log->data->value[row] = earned > 0 ? 1 : 0;
    log->data->time[row] = visitor->request.time;
    return FORAGE_OK;
}

static forage_status fill_log(const forage_environment *shop, uint64_t seed, moment_log *log, double *intended,
                              forage_error *error)
{
    forage_play *play = NULL;
    forage_reference *bayes = NULL;
    forage_visit visitor;
    forage_rng traffic;
    bool more;
    size_t about = 0;
    forage_status status;
    forage_rng_seed_stream(&traffic, seed, TRAFFIC);
    FORAGE_TRY_GOTO(forage_play_create(shop, seed, &play, error), end);
    FORAGE_TRY_GOTO(forage_reference_create("bayes", play, &bayes, error), end);
    for (size_t row = 0; row < log->data->count; ++row) {
        FORAGE_TRY_GOTO(forage_play_next(play, &visitor, &more, error), end);
        about += row >= log->learned && visitor.intent != FORAGE_NONE;
        FORAGE_TRY_GOTO(visit(play, bayes, &traffic, &visitor, log, row, error), end);
    }
    *intended = (double)about / (double)(log->data->count - log->learned);
end:
    forage_reference_free(bayes);
    forage_play_free(play);
    return status;
}

static forage_status play_world(const eval_study *study, size_t index, size_t which, double *found, forage_error *error)
{
    forage_scenario scenario;
    forage_environment *shop;
    moment_log log = {0};
    forage_status status;
    FORAGE_TRY(open_shop(study, index, scenarios[which], &scenario, &shop, error));
    FORAGE_TRY_GOTO(open_log(study, shop, &log, error), end);
    FORAGE_TRY_GOTO(fill_log(shop, study->seed + index, &log, &found[INTENDED], error), end);
    FORAGE_TRY_GOTO(moment_measure(study, &log, arms, ARMS, BAYES, SESSION, LATE, index, found + FOUND, error), end);
end:
    moment_log_release(&log);
    forage_environment_free(shop);
    return status;
}

forage_status moment_intents_world(const eval_study *study, size_t index, double *found, forage_error *error)
{
    return play_world(study, index, FORAGE_CHAPTER3_INTENTS, found, error);
}

forage_status moment_steady_world(const eval_study *study, size_t index, double *found, forage_error *error)
{
    return play_world(study, index, FORAGE_CHAPTER3_STEADY, found, error);
}

forage_status moment_sessions_record(const eval_study *study, const double *found, size_t worlds, size_t which,
                                     forage_moment_sessions *record, forage_error *error)
{
    forage_scenario scenario;
    FORAGE_TRY(forage_scenario_load(scenarios[which], &scenario, error));
    *record = (forage_moment_sessions){.visits = study->visits,
                                       .test_visits = tested(study),
                                       .users = (size_t)scenario.users,
                                       .items = (size_t)scenario.products,
                                       .active = (size_t)scenario.dynamics.sessions.active};
    forage_scenario_release(&scenario);
    eval_name(record->scenario, sizeof record->scenario, scenarios[which]);
    record->intended = eval_over_worlds(found, worlds, moment_sessions_size(), INTENDED).value;
    return moment_table(found, worlds, moment_sessions_size(), FOUND, arms, ARMS, SEQUENCE, SESSION, LATE,
                        &record->table, error);
}
