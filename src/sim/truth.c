/*
 * truth.c: what the simulator knows and models have to guess.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/simulator.h"

#include <math.h>

double forage_simulator_probability(const forage_simulator *s, uint32_t user, uint32_t item)
{
    return user < s->user_count && item < s->item_count ? sim_rate_at(s, user, item) : 0.0;
}

double forage_simulator_rate(const forage_simulator *s, uint32_t persona, uint32_t category)
{
    size_t place = category == FORAGE_NONE ? s->category_count : category;
    if (persona >= s->persona_count || (place >= s->category_count && category != FORAGE_NONE))
        return 0.0;
    return s->rates[persona * (s->category_count + 1) + place];
}

uint32_t forage_simulator_best_item(const forage_simulator *s, uint32_t user)
{
    uint32_t best = FORAGE_NONE;
    double best_rate = -1.0;
    if (user >= s->user_count)
        return FORAGE_NONE;
    for (size_t c = 0; c <= s->category_count; c++) {
        double rate = s->rates[s->persona[user] * (s->category_count + 1) + c];
        uint32_t item = s->first_item[c];
        if (item != FORAGE_NONE && (rate > best_rate || (rate == best_rate && item < best))) {
            best = item;
            best_rate = rate;
        }
    }
    return best;
}

double forage_simulator_log_loss(const forage_simulator *s, size_t count, const uint32_t *user, const uint32_t *item,
                                 const uint8_t *click)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        double p = forage_simulator_probability(s, user[i], item[i]);
        sum -= click[i] ? log(p) : log1p(-p);
    }
    return count ? sum / (double)count : NAN;
}

static double entropy_of(double p)
{
    return p > 0.0 && p < 1.0 ? -p * log(p) - (1.0 - p) * log1p(-p) : 0.0;
}

/* All pairs: each cell of personas and categories weighs users of one times items of the other. */
static double entropy_of_all(const forage_simulator *s)
{
    size_t row = s->category_count + 1;
    double sum = 0.0;
    size_t *items = forage_calloc(row + s->persona_count, sizeof *items);
    if (!items)
        return NAN;
    size_t *users = items + row;
    for (size_t i = 0; i < s->item_count; i++)
        items[s->category[i]]++;
    for (size_t i = 0; i < s->user_count; i++)
        users[s->persona[i]]++;
    for (size_t p = 0; p < s->persona_count; p++)
        for (size_t c = 0; c < row; c++)
            sum += (double)users[p] * (double)items[c] * entropy_of(s->rates[p * row + c]);
    forage_free(items);
    return sum / ((double)s->user_count * (double)s->item_count);
}

double forage_simulator_entropy(const forage_simulator *s, size_t count, const uint32_t *user, const uint32_t *item)
{
    double sum = 0.0;
    if (!user || !item)
        return entropy_of_all(s);
    for (size_t i = 0; i < count; i++)
        sum += entropy_of(forage_simulator_probability(s, user[i], item[i]));
    return count ? sum / (double)count : NAN;
}
