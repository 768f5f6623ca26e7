/*
 * simulator.c: the shop is built, and changes.
 *
 * The order of draws is the notebook's: the categories that are left over when
 * the catalogue is divided evenly (choice), their shuffling (permutation), then
 * a persona for each user (choice, one by one).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/simulator.h"

#include <math.h>
#include <string.h>

enum { REPORT_EVERY = 1 << 20 };

/* ---- Clicks as comparisons ---- */

/* The smallest k at which NumPy's inversion starts anew; 2^53 when there is none. `zero` and
 * `one` are the probabilities of 0 and 1 as it computes them. */
static uint64_t first_redraw(double zero, double one)
{
    uint64_t low = 0, high = (uint64_t)1 << 53;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        double u = (double)middle * 0x1p-53;
        if (u > zero && u - zero > one)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

sim_rule sim_rule_of(double p)
{
    sim_rule rule = {.above = UINT64_MAX, .redraw = UINT64_MAX};
    if (!(p > 0.0))
        return rule;
    double lower = p <= 0.5 ? p : 1.0 - p; /* the probability that is inverted */
    double q = 1.0 - lower;
    double zero = exp(1.0 * log(q)); /* as NumPy rounds it: q^n for n = 1 */
    double one = (lower * zero) / q;
    rule.draws = 1;
    rule.flip = p > 0.5;
    rule.above = (uint64_t)(zero * 0x1p53); /* u > zero exactly when k > floor(2^53 zero) */
    rule.redraw = first_redraw(zero, one);
    return rule;
}

/* ---- Building ---- */

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a shop of this size");
}

static bool copy_names(char ***copies, char *const *names, size_t count)
{
    *copies = forage_calloc(count, sizeof **copies);
    for (size_t i = 0; *copies && i < count; i++) {
        (*copies)[i] = forage_strdup(names[i]);
        if (!(*copies)[i])
            return false;
    }
    return *copies != NULL;
}

static bool allocate(forage_simulator *s, const forage_scenario *scenario)
{
    size_t cells = scenario->persona_count * (scenario->category_count + 1);
    s->persona_count = scenario->persona_count;
    s->category_count = scenario->category_count;
    s->user_count = s->user_room = (size_t)scenario->users;
    s->item_count = s->item_room = (size_t)scenario->products;
    s->trials = scenario->trials;
    s->persona = forage_alloc(s->user_room, sizeof *s->persona);
    s->category = forage_alloc(s->item_room, sizeof *s->category);
    s->rates = forage_alloc(cells, sizeof *s->rates);
    s->rules = forage_alloc(cells, sizeof *s->rules);
    s->first_item = forage_alloc(s->category_count + 1, sizeof *s->first_item);
    return s->persona && s->category && s->rates && s->rules && s->first_item &&
           copy_names(&s->personas, scenario->personas, s->persona_count) &&
           copy_names(&s->categories, scenario->categories, s->category_count);
}

static void fill_rates(forage_simulator *s, const forage_scenario *scenario)
{
    size_t row = s->category_count + 1;
    s->all_draw = true;
    for (size_t p = 0; p < s->persona_count; p++) {
        for (size_t c = 0; c < row; c++) {
            double rate = c < s->category_count ? scenario->rates[p * s->category_count + c] : scenario->default_rate;
            s->rates[p * row + c] = rate;
            s->rules[p * row + c] = sim_rule_of(rate);
            s->all_draw = s->all_draw && s->rules[p * row + c].draws;
        }
    }
}

static bool report(const forage_progress *progress, const forage_simulator *s, size_t done)
{
    return forage_progress_report(progress, "opening the shop", done, s->item_count + s->user_count, NULL);
}

static forage_status interrupted(forage_error *error)
{
    return forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
}

/* Equally many products of each category, the rest drawn; then shuffled. */
static forage_status draw_catalogue(forage_simulator *s, const forage_progress *progress, forage_error *error)
{
    size_t each = s->item_count / s->category_count, filled = 0;
    for (size_t c = 0; c < s->category_count; c++)
        for (size_t i = 0; i < each; i++)
            s->category[filled++] = (uint16_t)c;
    while (filled < s->item_count)
        s->category[filled++] = (uint16_t)forage_rng_integers(&s->rng, s->category_count);
    for (size_t i = s->item_count; i-- > 1;) {
        size_t other = (size_t)forage_rng_interval(&s->rng, i);
        uint16_t category = s->category[i];
        s->category[i] = s->category[other];
        s->category[other] = category;
        if (i % REPORT_EVERY == 0 && !report(progress, s, s->item_count - i))
            return interrupted(error);
    }
    for (size_t c = 0; c <= s->category_count; c++)
        s->first_item[c] = FORAGE_NONE;
    for (size_t i = s->item_count; i-- > 0;)
        s->first_item[s->category[i]] = (uint32_t)i;
    return FORAGE_OK;
}

static forage_status draw_population(forage_simulator *s, const forage_progress *progress, forage_error *error)
{
    for (size_t i = 0; i < s->user_count; i++) {
        s->persona[i] = (uint16_t)forage_rng_integers(&s->rng, s->persona_count);
        if ((i + 1) % REPORT_EVERY == 0 && !report(progress, s, s->item_count + i))
            return interrupted(error);
    }
    return FORAGE_OK;
}

forage_status forage_simulator_create(const forage_scenario *scenario, const forage_progress *progress,
                                      forage_simulator **simulator, forage_error *error)
{
    forage_status status;
    *simulator = NULL;
    FORAGE_TRY(forage_scenario_validate(scenario, error));
    forage_simulator *s = forage_calloc(1, sizeof *s);
    if (!s)
        return no_memory(error);
    if (!allocate(s, scenario)) {
        forage_simulator_free(s);
        return no_memory(error);
    }
    fill_rates(s, scenario);
    forage_rng_seed(&s->rng, scenario->seed);
    FORAGE_TRY_GOTO(draw_catalogue(s, progress, error), fail);
    FORAGE_TRY_GOTO(draw_population(s, progress, error), fail);
    *simulator = s;
    return FORAGE_OK;
fail:
    forage_simulator_free(s);
    return status;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; names && i < count; i++)
        forage_free(names[i]);
    forage_free(names);
}

void forage_simulator_free(forage_simulator *s)
{
    if (!s)
        return;
    free_names(s->personas, s->persona_count);
    free_names(s->categories, s->category_count);
    forage_free(s->persona);
    forage_free(s->category);
    forage_free(s->rates);
    forage_free(s->rules);
    forage_free(s->first_item);
    forage_free(s);
}

/* ---- What it consists of ---- */

size_t forage_simulator_users(const forage_simulator *s)
{
    return s->user_count;
}

size_t forage_simulator_items(const forage_simulator *s)
{
    return s->item_count;
}

size_t forage_simulator_personas(const forage_simulator *s)
{
    return s->persona_count;
}

size_t forage_simulator_categories(const forage_simulator *s)
{
    return s->category_count;
}

const char *forage_simulator_persona_name(const forage_simulator *s, uint32_t persona)
{
    return persona < s->persona_count ? s->personas[persona] : NULL;
}

const char *forage_simulator_category_name(const forage_simulator *s, uint32_t category)
{
    return category < s->category_count ? s->categories[category] : NULL;
}

static uint32_t find_name(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return (uint32_t)i;
    }
    return FORAGE_NONE;
}

uint32_t forage_simulator_find_persona(const forage_simulator *s, const char *name)
{
    return find_name(s->personas, s->persona_count, name);
}

uint32_t forage_simulator_find_category(const forage_simulator *s, const char *name)
{
    return find_name(s->categories, s->category_count, name);
}

uint32_t forage_simulator_persona(const forage_simulator *s, uint32_t user)
{
    return user < s->user_count ? s->persona[user] : FORAGE_NONE;
}

uint32_t forage_simulator_category(const forage_simulator *s, uint32_t item)
{
    return item < s->item_count && s->category[item] < s->category_count ? s->category[item] : FORAGE_NONE;
}

/* ---- Changes ---- */

forage_status forage_simulator_set_persona(forage_simulator *s, uint32_t user, uint32_t persona, forage_error *error)
{
    if (user >= s->user_count || persona >= s->persona_count)
        return forage_fail(error, FORAGE_INVALID, "no user %u or no persona %u (there are %zu and %zu)", user, persona,
                           s->user_count, s->persona_count);
    s->persona[user] = (uint16_t)persona;
    return FORAGE_OK;
}

/* Appends to one of the two lists, which grow by half. */
static forage_status append(uint16_t **list, size_t *count, size_t *room, size_t most, uint16_t value, uint32_t *index,
                            forage_error *error)
{
    if (*count >= most)
        return forage_fail(error, FORAGE_INVALID, "more than %zu", most);
    if (*count == *room) {
        size_t larger = *room + *room / 2 + 16;
        uint16_t *moved = forage_realloc(*list, *room, larger, sizeof **list);
        if (!moved)
            return no_memory(error);
        *list = moved;
        *room = larger;
    }
    (*list)[*count] = value;
    if (index)
        *index = (uint32_t)*count;
    (*count)++;
    return FORAGE_OK;
}

forage_status forage_simulator_add_item(forage_simulator *s, uint32_t category, uint32_t *item, forage_error *error)
{
    uint32_t place = category == FORAGE_NONE ? (uint32_t)s->category_count : category;
    if (place > s->category_count || (place == s->category_count && category != FORAGE_NONE))
        return forage_fail(error, FORAGE_INVALID, "no category %u (there are %zu)", category, s->category_count);
    FORAGE_TRY(append(&s->category, &s->item_count, &s->item_room, FORAGE_MAX_PRODUCTS, (uint16_t)place, item, error));
    if (s->first_item[place] == FORAGE_NONE)
        s->first_item[place] = (uint32_t)(s->item_count - 1);
    return FORAGE_OK;
}

forage_status forage_simulator_add_user(forage_simulator *s, uint32_t persona, uint32_t *user, forage_error *error)
{
    if (persona >= s->persona_count)
        return forage_fail(error, FORAGE_INVALID, "no persona %u (there are %zu)", persona, s->persona_count);
    return append(&s->persona, &s->user_count, &s->user_room, FORAGE_MAX_USERS, (uint16_t)persona, user, error);
}

void forage_simulator_reseed(forage_simulator *s, uint64_t seed, uint32_t stream)
{
    forage_rng_seed_stream(&s->rng, seed, stream);
}

forage_rng *forage_simulator_rng(forage_simulator *s)
{
    return &s->rng;
}
