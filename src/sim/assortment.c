/*
 * assortment.c: what is for sale when, how appealing it is, and what is best of it.
 *
 * Products of a category differ by a factor alone, so the best slate for any tastes is found in the
 * most appealing few of each category.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/shop.h"

#include <string.h>

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a shop of this size");
}

/* ---- Appeal ---- */

/* Values spread evenly over [low, high], in random order. */
static void spread(float *appeal, size_t count, double low, double high, forage_rng *rng)
{
    for (size_t i = 0; i < count; i++)
        appeal[i] = (float)(low + (high - low) * ((double)i + 0.5) / (double)count);
    for (size_t i = count; i-- > 1;) {
        size_t other = (size_t)forage_rng_interval(rng, i);
        float value = appeal[i];
        appeal[i] = appeal[other];
        appeal[other] = value;
    }
}

/* Both 0 is how a scenario says that nothing was said. */
static bool said(double low, double high)
{
    return low > 0.0 || high > 0.0;
}

static void draw_appeal(sim_shop *shop)
{
    const forage_dynamics *d = &shop->scenario.dynamics;
    double low = d->appeal_low, high = d->appeal_high;
    forage_rng rng;
    forage_rng_seed_stream(&rng, shop->scenario.seed, SIM_STREAM_APPEAL);
    if (!said(low, high))
        low = high = 1.0;
    for (size_t e = 0; e < shop->epoch_count; e++) {
        const forage_launch_rule *launch = e > 0 ? &d->launches[e - 1] : NULL;
        size_t from = e > 0 ? shop->epochs[e - 1].items : 0, count = shop->epochs[e].items - from;
        if (launch && said(launch->appeal_low, launch->appeal_high))
            spread(shop->appeal + from, count, launch->appeal_low, launch->appeal_high, &rng);
        else
            spread(shop->appeal + from, count, low, high, &rng);
    }
}

/* ---- The best ---- */

void sim_assortment_best(const sim_shop *shop, const sim_epoch *epoch, const double *value, size_t positions,
                         uint32_t *items)
{
    size_t categories = shop->scenario.category_count, width = shop->base.positions;
    uint16_t taken[FORAGE_MAX_CATEGORIES] = {0};
    for (size_t k = 0; k < positions; k++) {
        uint32_t best = FORAGE_NONE;
        size_t best_category = 0;
        double best_value = -1.0;
        for (size_t c = 0; c < categories; c++) {
            uint32_t item = taken[c] < width ? epoch->top[c * width + taken[c]] : FORAGE_NONE;
            if (item == FORAGE_NONE)
                continue;
            double worth = value[c] * (double)shop->appeal[item];
            if (worth > best_value || (worth == best_value && item < best)) {
                best_value = worth;
                best = item;
                best_category = c;
            }
        }
        items[k] = best;
        taken[best_category]++;
    }
}

/* The few most appealing items of each category, the first of equals first. */
static void find_top(const sim_shop *shop, sim_epoch *epoch)
{
    size_t width = shop->base.positions, categories = shop->scenario.category_count;
    memset(epoch->top, 0xff, categories * width * sizeof *epoch->top); /* FORAGE_NONE */
    for (size_t i = 0; i < epoch->items; i++) {
        uint32_t *top = epoch->top + shop->simulator->category[i] * width;
        size_t place = width;
        while (place > 0 && (top[place - 1] == FORAGE_NONE || shop->appeal[i] > shop->appeal[top[place - 1]]))
            place--;
        if (place == width)
            continue;
        memmove(top + place + 1, top + place, (width - place - 1) * sizeof *top);
        top[place] = (uint32_t)i;
    }
}

static forage_status find_best(const sim_shop *shop, sim_epoch *epoch, forage_error *error)
{
    const forage_simulator *s = shop->simulator;
    size_t width = shop->base.positions, tastes = shop->taste_count;
    epoch->top = forage_alloc(s->category_count, width * sizeof *epoch->top);
    epoch->best = forage_alloc(tastes, width * sizeof *epoch->best);
    epoch->best_value = forage_alloc(tastes, sizeof *epoch->best_value);
    if (!epoch->top || !epoch->best || !epoch->best_value)
        return no_memory(error);
    find_top(shop, epoch);
    for (size_t t = 0; t < tastes; t++) {
        uint32_t *best = epoch->best + t * width;
        sim_assortment_best(shop, epoch, shop->rates + t * (s->category_count + 1), width, best);
        epoch->best_value[t] = 0.0;
        for (size_t k = 0; k < width; k++)
            epoch->best_value[t] += shop->examination[k] * sim_shop_rate(shop, t, best[k]);
    }
    return FORAGE_OK;
}

/* ---- Opening ---- */

/* The first epoch has what no launch brings. */
static forage_status cut_epochs(sim_shop *shop, forage_error *error)
{
    const forage_dynamics *d = &shop->scenario.dynamics;
    size_t items = shop->base.catalogue.items, left = items;
    shop->epoch_count = d->launch_count + 1;
    shop->epochs = forage_calloc(shop->epoch_count, sizeof *shop->epochs);
    if (!shop->epochs)
        return no_memory(error);
    for (size_t e = d->launch_count; e > 0; e--) {
        size_t count = (size_t)(d->launches[e - 1].share * (double)items + 0.5);
        shop->epochs[e].items = left;
        shop->epochs[e].from = sim_visit_at(d->launches[e - 1].at, shop->base.visits);
        left -= count < left ? count : left;
    }
    shop->epochs[0].items = left;
    if (left < shop->base.positions)
        return forage_fail(error, FORAGE_INVALID,
                           "%zu of %zu products are there before the first launch; a visit shows %zu", left, items,
                           shop->base.positions);
    for (size_t e = 1; e < shop->epoch_count; e++) {
        if (shop->epochs[e].from < shop->epochs[e - 1].from)
            return forage_fail(error, FORAGE_INVALID, "with %llu visits, launches are not in order of time",
                               (unsigned long long)shop->base.visits);
    }
    return FORAGE_OK;
}

forage_status sim_assortment_open(sim_shop *shop, forage_error *error)
{
    size_t items = shop->base.catalogue.items;
    FORAGE_TRY(cut_epochs(shop, error));
    shop->appeal = forage_alloc(items, sizeof *shop->appeal);
    shop->every_item = shop->epoch_count > 1 ? forage_alloc(items, sizeof *shop->every_item) : NULL;
    if (!shop->appeal || (shop->epoch_count > 1 && !shop->every_item))
        return no_memory(error);
    for (size_t i = 0; shop->every_item && i < items; i++)
        shop->every_item[i] = (uint32_t)i;
    draw_appeal(shop);
    for (size_t e = 0; e < shop->epoch_count; e++)
        FORAGE_TRY(find_best(shop, &shop->epochs[e], error));
    return FORAGE_OK;
}

void sim_assortment_release(sim_shop *shop)
{
    for (size_t e = 0; shop->epochs && e < shop->epoch_count; e++) {
        forage_free(shop->epochs[e].top);
        forage_free(shop->epochs[e].best);
        forage_free(shop->epochs[e].best_value);
    }
    forage_free(shop->epochs);
    forage_free(shop->appeal);
    forage_free(shop->every_item);
}
