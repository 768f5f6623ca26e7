/*
 * sessions.c: visits that belong together, and what they are about.
 *
 * A taste is what click rates follow: a persona with an intent, or with none. Tastes are numbered
 * persona x (intents + 1) + (0: none, else 1 + intent), so that without intents a taste is a persona.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/shop.h"

#include <math.h>
#include <string.h>

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a shop of this size");
}

/* ---- Tastes ---- */

/* Click rates of every persona with every intent; the row of products without a category is the persona's own. */
static void fill_rates(sim_shop *shop, double *rates)
{
    const forage_simulator *s = shop->simulator;
    const forage_sessions *sessions = &shop->scenario.dynamics.sessions;
    size_t row = s->category_count + 1;
    for (size_t taste = 0; taste < shop->taste_count; taste++) {
        size_t persona = taste / shop->taste_width, intent = taste % shop->taste_width;
        memcpy(rates + taste * row, s->rates + persona * row, row * sizeof *rates);
        for (size_t c = 0; intent > 0 && c < s->category_count; c++) {
            double rate = sessions->rates[(intent - 1) * s->category_count + c];
            if (!isnan(rate))
                rates[taste * row + c] = rate;
        }
    }
}

forage_status sim_sessions_open(sim_shop *shop, forage_error *error)
{
    const forage_simulator *s = shop->simulator;
    const forage_sessions *sessions = &shop->scenario.dynamics.sessions;
    shop->taste_width = sessions->intent_count + 1;
    shop->taste_count = s->persona_count * shop->taste_width;
    shop->rates = s->rates;
    shop->intent_share = forage_alloc(shop->taste_width, sizeof *shop->intent_share);
    if (!shop->intent_share)
        return no_memory(error);
    for (size_t i = 1; i < shop->taste_width; i++)
        shop->intent_share[i] = sessions->intent / (double)sessions->intent_count;
    shop->intent_share[0] = sessions->intent_count ? 1.0 - sessions->intent : 1.0;
    if (sessions->intent_count == 0)
        return FORAGE_OK;
    shop->own_rates = forage_alloc(shop->taste_count, (s->category_count + 1) * sizeof *shop->own_rates);
    if (!shop->own_rates)
        return no_memory(error);
    fill_rates(shop, shop->own_rates);
    shop->rates = shop->own_rates;
    return FORAGE_OK;
}

void sim_sessions_release(sim_shop *shop)
{
    forage_free(shop->intent_share);
    forage_free(shop->own_rates);
}

/* ---- A play ---- */

static void draw_intent(sim_shop_play *play, sim_session *session)
{
    const forage_sessions *sessions = &play->shop->scenario.dynamics.sessions;
    session->intent = 0;
    if (sessions->intent_count > 0 && forage_rng_double(&play->intents) < sessions->intent)
        session->intent = 1 + (uint32_t)forage_rng_integers(&play->intents, sessions->intent_count);
}

static void begin(sim_shop_play *play, sim_session *session, uint64_t visits)
{
    *session = (sim_session){.user = sim_dynamics_visitor(play), .visits = visits};
    play->busy[session->user] = true;
    draw_intent(play, session);
}

/* Of the first sessions number i has i / active of its visits only, so that they do not all end at once. */
forage_status sim_sessions_play(sim_shop_play *play, forage_error *error)
{
    const forage_sessions *sessions = &play->shop->scenario.dynamics.sessions;
    if (sessions->visits == 0)
        return FORAGE_OK;
    play->sessions = forage_alloc((size_t)sessions->active, sizeof *play->sessions);
    play->busy = forage_calloc(play->shop->base.catalogue.users, sizeof *play->busy);
    if (!play->sessions || !play->busy)
        return no_memory(error);
    for (size_t i = 0; i < sessions->active; i++)
        begin(play, &play->sessions[i],
              1 + (uint64_t)((double)i / (double)sessions->active * (double)sessions->visits));
    return FORAGE_OK;
}

void sim_sessions_release_play(sim_shop_play *play)
{
    forage_free(play->sessions);
    forage_free(play->busy);
}

const sim_session *sim_sessions_visit(sim_shop_play *play)
{
    const forage_sessions *sessions = &play->shop->scenario.dynamics.sessions;
    sim_session *session = &play->sessions[forage_rng_integers(&play->visitors, sessions->active)];
    session->count++;
    if (session->count > session->visits) {
        play->busy[session->user] = false;
        begin(play, session, sessions->visits);
        session->count = 1;
    } else if (session->count > 1 && sessions->change > 0.0 && forage_rng_double(&play->intents) < sessions->change) {
        draw_intent(play, session);
    }
    return session;
}
