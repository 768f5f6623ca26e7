/*
 * delay.c: feedback that comes late. A calendar of as many days as the longest delay: each visit is a
 * day, each day has a list, and each impression a slot of its own, so nothing is searched or allocated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/shop.h"

#include <string.h>

forage_status sim_waiting_open(sim_waiting *waiting, uint64_t delay, size_t positions, forage_error *error)
{
    waiting->span = delay + 1;
    size_t slots = (size_t)waiting->span * positions; /* both have small limits */
    waiting->first = forage_alloc((size_t)waiting->span, sizeof *waiting->first);
    waiting->next = forage_alloc(slots, sizeof *waiting->next);
    waiting->slot = forage_alloc(slots, sizeof *waiting->slot);
    waiting->told = forage_alloc(slots, sizeof *waiting->told);
    if (!waiting->first || !waiting->next || !waiting->slot || !waiting->told)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for rewards that come %llu visits late",
                           (unsigned long long)delay);
    memset(waiting->first, 0xff, (size_t)waiting->span * sizeof *waiting->first); /* FORAGE_NONE */
    return FORAGE_OK;
}

void sim_waiting_release(sim_waiting *waiting)
{
    forage_free(waiting->first);
    forage_free(waiting->next);
    forage_free(waiting->slot);
    forage_free(waiting->told);
}

/* What was to be known on one day, behind what is told already. */
static void take(sim_waiting *waiting, uint64_t day)
{
    uint32_t *list = &waiting->first[day % waiting->span];
    size_t from = waiting->count, to;
    for (uint32_t slot = *list; slot != FORAGE_NONE; slot = waiting->next[slot])
        waiting->told[waiting->count++] = waiting->slot[slot];
    *list = FORAGE_NONE;
    /* The last that came stands first in a list; what was shown first shall be told first. */
    for (to = waiting->count; from + 1 < to; from++, to--) {
        forage_feedback feedback = waiting->told[from];
        waiting->told[from] = waiting->told[to - 1];
        waiting->told[to - 1] = feedback;
    }
}

/* The days before this one were taken when they came, unless their visits were left without an answer. */
void sim_waiting_begin(sim_waiting *waiting, uint64_t visit)
{
    waiting->count = 0;
    if (visit - waiting->day > waiting->span)
        waiting->day = visit - waiting->span;
    for (; waiting->day < visit; waiting->day++)
        take(waiting, waiting->day);
}

void sim_waiting_add(sim_waiting *waiting, size_t positions, const forage_feedback *feedback, uint64_t after)
{
    uint32_t slot = (uint32_t)((feedback->decision % waiting->span) * positions + feedback->position);
    uint32_t *list = &waiting->first[(feedback->decision + after) % waiting->span];
    waiting->slot[slot] = *feedback;
    waiting->next[slot] = *list;
    *list = slot;
}

size_t sim_waiting_end(sim_waiting *waiting, uint64_t visit)
{
    take(waiting, visit);
    waiting->day = visit + 1;
    return waiting->count;
}
