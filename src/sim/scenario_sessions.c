/*
 * scenario_sessions.c: sessions and what they are about, from YAML.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/scenario.h"

#include <math.h>

enum { MAX_SESSION_VISITS = 1000000000 };

void sim_release_sessions(forage_sessions *sessions)
{
    for (size_t i = 0; sessions->intents && i < sessions->intent_count; i++)
        forage_free(sessions->intents[i]);
    forage_free(sessions->intents);
    forage_free(sessions->rates);
}

/* ---- Checks ---- */

static forage_status bad(forage_error *error, const char *field, const char *message)
{
    return forage_fail_at(error, FORAGE_INVALID, NULL, 0, field, "%s", message);
}

static bool is_share(double value)
{
    return value >= 0.0 && value <= 1.0;
}

static forage_status check_intents(const forage_scenario *scenario, forage_error *error)
{
    const forage_sessions *s = &scenario->dynamics.sessions;
    if (s->intent_count > FORAGE_MAX_INTENTS || !s->intents || !s->rates)
        return bad(error, "intents", "more than 64, or none where there should be some");
    for (size_t i = 0; i < s->intent_count; i++) {
        const char *problem = sim_name_problem(s->intents[i]);
        if (problem)
            return bad(error, "intents", problem);
        if (sim_find_name(s->intents, i, s->intents[i]) != FORAGE_NONE)
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "intents", "'%s' is there twice", s->intents[i]);
        for (size_t c = 0; c < scenario->category_count; c++) {
            double rate = s->rates[i * scenario->category_count + c];
            if (!isnan(rate) && !is_share(rate))
                return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "intents",
                                      "%s's click rate for %s is not between 0 and 1", s->intents[i],
                                      scenario->categories[c]);
        }
    }
    return FORAGE_OK;
}

/* Nobody is in two sessions at once, so there are more people than sessions. */
forage_status sim_check_sessions(const forage_scenario *scenario, forage_error *error)
{
    const forage_sessions *s = &scenario->dynamics.sessions;
    const forage_arrivals *arrivals = &scenario->dynamics.arrivals;
    if (s->visits == 0)
        return s->intent_count == 0 ? FORAGE_OK : bad(error, "intents", "only sessions have intents: add 'sessions'");
    if (s->visits > MAX_SESSION_VISITS || s->active < 1 || s->active > SIM_MAX_ACTIVE)
        return bad(error, "sessions", "a number of visits or of sessions that is not possible");
    if (!is_share(s->intent) || !is_share(s->change))
        return bad(error, "sessions", "a probability that is not between 0 and 1");
    if (s->active >= scenario->users)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "sessions",
                              "%llu sessions at the same time; there must be fewer than users (%llu)",
                              (unsigned long long)s->active, (unsigned long long)scenario->users);
    if (arrivals->share > 0.0 && s->active >= arrivals->active)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "sessions",
                              "%llu sessions at the same time; there must be fewer than newcomers who are about (%llu)",
                              (unsigned long long)s->active, (unsigned long long)arrivals->active);
    if (s->intent_count == 0)
        return s->intent == 0.0 && s->change == 0.0 ? FORAGE_OK
                                                    : bad(error, "sessions", "the scenario does not say which intents");
    return check_intents(scenario, error);
}

/* ---- From YAML ---- */

static forage_status read_intents(const forage_config_node *map, forage_scenario *scenario, forage_error *error)
{
    forage_sessions *s = &scenario->dynamics.sessions;
    FORAGE_TRY(forage_config_want(map, FORAGE_CONFIG_MAP, error));
    size_t count = forage_config_count(map);
    if (count < 1 || count > FORAGE_MAX_INTENTS)
        return forage_config_fail(map, FORAGE_FORMAT, error, "%zu intents; there must be 1 to %d", count,
                                  FORAGE_MAX_INTENTS);
    s->intents = forage_calloc(count, sizeof *s->intents);
    s->rates = forage_alloc(count, scenario->category_count * sizeof *s->rates);
    if (!s->intents || !s->rates)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a scenario");
    for (size_t i = 0; i < count; i++) {
        const forage_config_node *node = forage_config_at(map, i);
        double *rates = s->rates + i * scenario->category_count;
        FORAGE_TRY(sim_copy_name(node, forage_config_key(node), &s->intents[i], error));
        s->intent_count = i + 1;
        for (size_t c = 0; c < scenario->category_count; c++)
            rates[c] = NAN;
        FORAGE_TRY(sim_read_rates(node, scenario, rates, error));
    }
    return FORAGE_OK;
}

forage_status sim_read_sessions(const forage_config_node *root, forage_scenario *scenario, forage_error *error)
{
    forage_sessions *s = &scenario->dynamics.sessions;
    const forage_config_node *map = forage_config_find(root, "sessions"), *visits;
    const forage_config_node *intents = forage_config_find(root, "intents");
    if (!map)
        return intents ? forage_config_fail(intents, FORAGE_FORMAT, error, "only sessions have intents: add 'sessions'")
                       : FORAGE_OK;
    s->active = 10;
    s->intent = intents ? 1.0 : 0.0;
    FORAGE_TRY(forage_config_check_keys(map, intents ? "visits,active,intent,change" : "visits,active", error));
    FORAGE_TRY(forage_config_need(map, "visits", &visits, error));
    FORAGE_TRY(forage_config_whole(visits, 1, MAX_SESSION_VISITS, &s->visits, error));
    FORAGE_TRY(sim_read_whole(map, "active", 1, SIM_MAX_ACTIVE, &s->active, error));
    FORAGE_TRY(sim_read_real(map, "intent", 0.0, 1.0, &s->intent, error));
    FORAGE_TRY(sim_read_real(map, "change", 0.0, 1.0, &s->change, error));
    return intents ? read_intents(intents, scenario, error) : FORAGE_OK;
}
