/*
 * visits.c: random traffic, as fast as the generator.
 *
 * A visit of the notebook is integers(0, users), integers(0, items), and
 * binomial(1, p): two halves of one 64-bit draw and a whole one (a population
 * or catalogue of one draws nothing, p = 0 draws nothing, a rejected half is
 * drawn again). Draws are made in blocks; the quick loop takes two per visit
 * for as long as nothing unusual happens, the careful one does the visit where
 * something did.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/simulator.h"

enum { BLOCK = 2048, FEW = 8 };

/* Draws that were made ahead. The generator itself stays where the block began
 * until it is put to where reading has come. */
typedef struct stream {
    forage_rng *rng;
    size_t next, filled;
    uint64_t draws[BLOCK];
} stream;

/* Moves the generator over what was read. */
static void settle(stream *ahead)
{
    uint32_t spare = ahead->rng->spare, has_spare = ahead->rng->has_spare;
    forage_rng_advance(ahead->rng, ahead->next);
    ahead->rng->spare = spare;
    ahead->rng->has_spare = has_spare;
    ahead->next = ahead->filled = 0;
}

static void refill(stream *ahead, size_t visits)
{
    forage_rng copy;
    settle(ahead);
    copy = *ahead->rng;
    ahead->filled = visits < BLOCK / 2 ? 2 * visits : BLOCK;
    forage_rng_fill(&copy, ahead->draws, ahead->filled);
}

static bool click_by_rule(forage_rng *rng, const sim_rule *rule)
{
    uint64_t k;
    if (!rule->draws)
        return false;
    do
        k = forage_rng_u64(rng) >> 11;
    while (k >= rule->redraw);
    return (k > rule->above) ^ rule->flip;
}

/* One visit, draw by draw. */
static void visit(forage_simulator *s, uint32_t *user, uint32_t *item, uint8_t *click)
{
    *user = (uint32_t)forage_rng_integers(&s->rng, s->user_count);
    *item = (uint32_t)forage_rng_integers(&s->rng, s->item_count);
    *click = click_by_rule(&s->rng, sim_rule_at(s, *user, *item));
}

/* Visits out of the block until it is used up or something unusual happens; returns how many.
 * `shifted`: a half is left over from before, so that the user comes from it and the item from
 * the low half. `all_draw`: no click probability is 0. Both are constants in each copy. */
static inline __attribute__((always_inline)) size_t quick(const forage_simulator *s, stream *ahead, size_t count,
                                                          uint32_t *user, uint32_t *item, uint8_t *click, bool shifted,
                                                          bool all_draw)
{
    const uint64_t users = s->user_count, items = s->item_count;
    const uint32_t user_reject = -(uint32_t)users % (uint32_t)users;
    const uint32_t item_reject = -(uint32_t)items % (uint32_t)items;
    uint32_t spare = ahead->rng->spare;
    size_t next = ahead->next, last = ahead->filled, i;

    for (i = 0; i < count && next + 2 <= last; i++) {
        uint64_t halves = ahead->draws[next], k = ahead->draws[next + 1] >> 11;
        uint32_t low = (uint32_t)halves, high = (uint32_t)(halves >> 32);
        uint64_t of_user = (shifted ? spare : low) * users;
        uint64_t of_item = (shifted ? low : high) * items;
        if ((uint32_t)of_user < user_reject || (uint32_t)of_item < item_reject)
            break;
        const sim_rule *rule = sim_rule_at(s, (uint32_t)(of_user >> 32), (uint32_t)(of_item >> 32));
        if (k >= rule->redraw)
            break;
        user[i] = (uint32_t)(of_user >> 32);
        item[i] = (uint32_t)(of_item >> 32);
        click[i] = (uint8_t)((k > rule->above) ^ rule->flip);
        spare = high;
        next += all_draw ? 2 : 1 + rule->draws;
    }
    ahead->rng->spare = spare;
    ahead->next = next;
    return i;
}

static size_t quick_visits(const forage_simulator *s, stream *ahead, size_t count, uint32_t *user, uint32_t *item,
                           uint8_t *click)
{
    if (ahead->rng->has_spare)
        return s->all_draw ? quick(s, ahead, count, user, item, click, true, true)
                           : quick(s, ahead, count, user, item, click, true, false);
    return s->all_draw ? quick(s, ahead, count, user, item, click, false, true)
                       : quick(s, ahead, count, user, item, click, false, false);
}

void forage_simulator_visits(forage_simulator *s, size_t count, uint32_t *user, uint32_t *item, uint8_t *click)
{
    /* With one user or one item there is no draw for it: never mind speed. */
    bool usual = s->user_count > 1 && s->item_count > 1;
    stream ahead;
    size_t done = 0;

    ahead.rng = &s->rng;
    ahead.next = ahead.filled = 0;
    while (done < count) {
        size_t made = 0;
        if (usual && count - done >= FEW) {
            if (ahead.next + 2 > ahead.filled)
                refill(&ahead, count - done);
            made = quick_visits(s, &ahead, count - done, user + done, item + done, click + done);
            done += made;
        }
        if (done < count && (made == 0 || ahead.next + 2 <= ahead.filled)) {
            settle(&ahead);
            visit(s, user + done, item + done, click + done);
            done++;
        }
    }
    settle(&ahead);
}

uint32_t forage_simulator_visitor(forage_simulator *s)
{
    return (uint32_t)forage_rng_integers(&s->rng, s->user_count);
}

bool forage_simulator_click(forage_simulator *s, uint32_t user, uint32_t item)
{
    return user < s->user_count && item < s->item_count && click_by_rule(&s->rng, sim_rule_at(s, user, item));
}

/* ---- Preliminary trials ---- */

forage_status forage_simulator_trials(forage_simulator *s, uint64_t count, forage_trial_result *result,
                                      forage_error *error)
{
    const forage_trials *trials = &s->trials;
    if (trials->persona == FORAGE_NONE)
        return forage_fail(error, FORAGE_INVALID, "the scenario has no preliminary trials");
    result->count = count;
    result->user = FORAGE_NONE;
    for (size_t i = s->user_count; i-- > 0;) {
        if (s->persona[i] == trials->persona)
            result->user = (uint32_t)i;
    }
    result->high_item = s->first_item[trials->high];
    result->low_item = s->first_item[trials->low];
    if (result->high_item == FORAGE_NONE || result->low_item == FORAGE_NONE) {
        result->high_item = trials->high_item;
        result->low_item = trials->low_item;
    }
    result->high_clicks = result->low_clicks = 0;
    for (uint64_t i = 0; i < count; i++) {
        result->high_clicks += forage_simulator_click(s, result->user, result->high_item);
        result->low_clicks += forage_simulator_click(s, result->user, result->low_item);
    }
    result->high_rate = forage_simulator_probability(s, result->user, result->high_item);
    result->low_rate = forage_simulator_probability(s, result->user, result->low_item);
    return FORAGE_OK;
}
