/*
 * dynamics.c: who comes, and how tastes change.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/shop.h"

#include <math.h>
#include <string.h>

uint64_t sim_visit_at(double at, uint64_t visits)
{
    return at < 1.0 ? (uint64_t)(at * (double)visits) : (uint64_t)at;
}

/* ---- Opening ---- */

/* Changes at given times, in their order; those of the same time in the scenario's. */
static forage_status open_changes(sim_shop *shop, forage_error *error)
{
    const forage_dynamics *d = &shop->scenario.dynamics;
    if (d->drift_count == 0)
        return FORAGE_OK;
    shop->changes = forage_alloc(d->drift_count, sizeof *shop->changes);
    if (!shop->changes)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a shop of this size");
    for (size_t i = 0; i < d->drift_count; i++) {
        const forage_drift_rule *rule = &d->drifts[i];
        shop->slow = shop->slow || rule->per_visit > 0.0;
        if (!(rule->share > 0.0))
            continue;
        sim_change change = {sim_visit_at(rule->at, shop->base.visits), rule};
        size_t place = shop->change_count++;
        for (; place > 0 && shop->changes[place - 1].visit > change.visit; place--)
            shop->changes[place] = shop->changes[place - 1];
        shop->changes[place] = change;
    }
    return FORAGE_OK;
}

/* Cumulative shares of visits by user. */
static forage_status open_activity(sim_shop *shop, forage_error *error)
{
    size_t users = (size_t)shop->scenario.users;
    double exponent = shop->scenario.dynamics.activity, sum = 0.0;
    if (!(exponent > 0.0))
        return FORAGE_OK;
    shop->activity = forage_alloc(users, sizeof *shop->activity);
    if (!shop->activity)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a shop of this size");
    for (size_t i = 0; i < users; i++) {
        sum += pow((double)i + 1.0, -exponent);
        shop->activity[i] = sum;
    }
    for (size_t i = 0; i < users; i++)
        shop->activity[i] /= sum;
    return FORAGE_OK;
}

forage_status sim_dynamics_open(sim_shop *shop, forage_error *error)
{
    FORAGE_TRY(open_changes(shop, error));
    return open_activity(shop, error);
}

void sim_dynamics_release(sim_shop *shop)
{
    forage_free(shop->changes);
    forage_free(shop->activity);
}

/* ---- Newcomers ---- */

/* The first ones leave early, one after the other, so that later ones do not all come at once; hence twice `active`.
 * Their visits (in sessions: visits of each, times their sessions) are a binomial number, eight standard deviations
 * above its mean at most. */
uint64_t sim_dynamics_users(const forage_scenario *scenario, uint64_t visits)
{
    const forage_arrivals *arrivals = &scenario->dynamics.arrivals;
    if (!(arrivals->share > 0.0))
        return scenario->users;
    double each = scenario->dynamics.sessions.visits ? (double)scenario->dynamics.sessions.visits : 1.0;
    double theirs = arrivals->share * (double)visits + 8.0 * sqrt((double)visits * each);
    theirs = theirs < (double)visits ? theirs : (double)visits;
    return scenario->users + 2 * arrivals->active + (uint64_t)(theirs / (double)arrivals->visits);
}

static uint32_t arrive(sim_shop_play *play)
{
    const sim_shop *shop = play->shop;
    uint32_t user = (uint32_t)(shop->scenario.users + play->arrived++);
    play->persona[user] = (uint16_t)forage_rng_integers(&play->tastes, shop->scenario.persona_count);
    return user;
}

/* One of those who are about; after their last visit another takes the place. */
static uint32_t newcomer(sim_shop_play *play)
{
    const sim_shop *shop = play->shop;
    const forage_arrivals *arrivals = &shop->scenario.dynamics.arrivals;
    uint64_t place = forage_rng_integers(&play->visitors, arrivals->active);
    while (play->busy && play->busy[play->active[place]]) /* the next in line, then */
        place = (place + 1) % arrivals->active;
    uint32_t user = play->active[place];
    uint64_t index = user - shop->scenario.users, stay = arrivals->visits;
    if (index < arrivals->active) /* of the first ones, number i has i / active of a stay */
        stay = 1 + (uint64_t)((double)index / (double)arrivals->active * (double)arrivals->visits);
    if (play->visits[user] < stay || shop->scenario.users + play->arrived >= shop->base.catalogue.users)
        return user;
    return play->active[place] = arrive(play);
}

/* ---- Tastes ---- */

static void change_persona(sim_shop_play *play, uint32_t user, const forage_drift_rule *rule)
{
    uint64_t personas = play->shop->scenario.persona_count;
    if (rule->to != FORAGE_NONE)
        play->persona[user] = (uint16_t)rule->to;
    else if (personas > 1)
        play->persona[user] =
            (uint16_t)((play->persona[user] + 1 + forage_rng_integers(&play->tastes, personas - 1)) % personas);
}

static bool concerns(const forage_drift_rule *rule, uint16_t persona)
{
    return rule->from == FORAGE_NONE || rule->from == persona;
}

static void change_many(sim_shop_play *play, const forage_drift_rule *rule)
{
    size_t users = (size_t)play->shop->scenario.users + play->arrived;
    for (size_t user = 0; user < users; user++) {
        if (concerns(rule, play->persona[user]) && forage_rng_double(&play->tastes) < rule->share)
            change_persona(play, (uint32_t)user, rule);
    }
}

/* Slow drift of the one who comes: one number decides which rule, if any, takes effect. */
static void change_slowly(sim_shop_play *play, uint32_t user)
{
    const forage_dynamics *d = &play->shop->scenario.dynamics;
    double draw = forage_rng_double(&play->tastes);
    for (size_t i = 0; i < d->drift_count; i++) {
        if (!(d->drifts[i].per_visit > 0.0) || !concerns(&d->drifts[i], play->persona[user]))
            continue;
        if (draw < d->drifts[i].per_visit) {
            change_persona(play, user, &d->drifts[i]);
            return;
        }
        draw -= d->drifts[i].per_visit;
    }
}

/* ---- A play ---- */

forage_status sim_dynamics_play(sim_shop_play *play, forage_error *error)
{
    const sim_shop *shop = play->shop;
    const forage_arrivals *arrivals = &shop->scenario.dynamics.arrivals;
    size_t users = shop->base.catalogue.users;
    play->persona = forage_calloc(users, sizeof *play->persona);
    play->visits = forage_calloc(users, sizeof *play->visits);
    play->active = arrivals->share > 0.0 ? forage_alloc((size_t)arrivals->active, sizeof *play->active) : NULL;
    if (!play->persona || !play->visits || (arrivals->share > 0.0 && !play->active))
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a play of %zu users", users);
    memcpy(play->persona, shop->simulator->persona, (size_t)shop->scenario.users * sizeof *play->persona);
    for (size_t i = 0; play->active && i < arrivals->active; i++)
        play->active[i] = arrive(play);
    return FORAGE_OK;
}

void sim_dynamics_release_play(sim_shop_play *play)
{
    forage_free(play->persona);
    forage_free(play->visits);
    forage_free(play->active);
}

/* Somebody of those who were there when the shop opened. */
static uint32_t draw_regular(sim_shop_play *play)
{
    const sim_shop *shop = play->shop;
    size_t low = 0, high = (size_t)shop->scenario.users - 1;
    if (!shop->activity)
        return (uint32_t)forage_rng_integers(&play->visitors, shop->scenario.users);
    double draw = forage_rng_double(&play->visitors);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (draw < shop->activity[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return (uint32_t)low;
}

static uint32_t regular(sim_shop_play *play)
{
    uint32_t user = draw_regular(play);
    while (play->busy && play->busy[user]) /* the next in line, then: there are fewer sessions than users */
        user = user + 1 < play->shop->scenario.users ? user + 1 : 0;
    return user;
}

uint32_t sim_dynamics_visitor(sim_shop_play *play)
{
    bool fresh = play->active && forage_rng_double(&play->visitors) < play->shop->scenario.dynamics.arrivals.share;
    return fresh ? newcomer(play) : regular(play);
}

uint32_t sim_dynamics_visit(sim_shop_play *play, uint64_t visit, const sim_session **session)
{
    const sim_shop *shop = play->shop;
    while (play->epoch + 1 < shop->epoch_count && shop->epochs[play->epoch + 1].from <= visit)
        play->epoch++;
    while (play->change < shop->change_count && shop->changes[play->change].visit <= visit)
        change_many(play, shop->changes[play->change++].rule);
    *session = play->sessions ? sim_sessions_visit(play) : NULL;
    uint32_t user = *session ? (*session)->user : sim_dynamics_visitor(play);
    if (shop->slow)
        change_slowly(play, user);
    return user;
}
