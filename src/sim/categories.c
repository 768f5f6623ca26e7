/*
 * categories.c: categories as a list, as a tree of departments, or with the personas out of a generator.
 *
 * Latent personas: persona p has a taste u_p, department d a character w_d and category c in it the character
 * v_c = (w_d + z_c) / sqrt 2, all standard normal in `tastes` dimensions, and
 *
 *     logit rate(p, c) = logit(rate) + spread x u_p . v_c / sqrt(tastes)
 *
 * so the table of rates has that rank on the scale of logits, and categories of a department are alike.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/scenario.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a scenario");
}

/* ---- As they are listed ---- */

/* Adds the categories of a list. */
static forage_status add_categories(const forage_config_node *list, forage_scenario *scenario, forage_error *error)
{
    FORAGE_TRY(forage_config_want(list, FORAGE_CONFIG_LIST, error));
    size_t count = forage_config_count(list);
    if (count < 1 || scenario->category_count + count > FORAGE_MAX_CATEGORIES)
        return forage_config_fail(list, FORAGE_FORMAT, error, "%zu categories; there must be 1 to %d",
                                  scenario->category_count + count, FORAGE_MAX_CATEGORIES);
    for (size_t i = 0; i < count; i++) {
        const forage_config_node *node = forage_config_at(list, i);
        const char *text;
        FORAGE_TRY(forage_config_text(node, &text, error));
        if (sim_find_name(scenario->categories, scenario->category_count, text) != FORAGE_NONE)
            return forage_config_fail(node, FORAGE_FORMAT, error, "the category '%.100s' is there twice", text);
        FORAGE_TRY(sim_copy_name(node, text, &scenario->categories[scenario->category_count], error));
        scenario->category_count++;
    }
    return FORAGE_OK;
}

static bool make_tree(forage_scenario *scenario, size_t departments)
{
    forage_dynamics *d = &scenario->dynamics;
    d->departments = forage_calloc(departments, sizeof *d->departments);
    d->department = forage_calloc(FORAGE_MAX_CATEGORIES, sizeof *d->department);
    return d->departments && d->department;
}

static forage_status read_tree(const forage_config_node *map, forage_scenario *scenario, forage_error *error)
{
    forage_dynamics *d = &scenario->dynamics;
    size_t count = forage_config_count(map);
    if (count < 1 || count > FORAGE_MAX_CATEGORIES)
        return forage_config_fail(map, FORAGE_FORMAT, error, "%zu departments; there must be 1 to %d", count,
                                  FORAGE_MAX_CATEGORIES);
    if (!make_tree(scenario, count))
        return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        const forage_config_node *node = forage_config_at(map, i);
        size_t from = scenario->category_count;
        FORAGE_TRY(sim_copy_name(node, forage_config_key(node), &d->departments[i], error));
        d->department_count = i + 1;
        FORAGE_TRY(add_categories(node, scenario, error));
        for (size_t c = from; c < scenario->category_count; c++)
            d->department[c] = (uint32_t)i;
    }
    return FORAGE_OK;
}

forage_status sim_read_categories(const forage_config_node *node, forage_scenario *scenario, forage_error *error)
{
    scenario->categories = forage_calloc(FORAGE_MAX_CATEGORIES, sizeof *scenario->categories);
    if (!scenario->categories)
        return no_memory(error);
    if (forage_config_kind_of(node) == FORAGE_CONFIG_MAP)
        return read_tree(node, scenario, error);
    return add_categories(node, scenario, error);
}

/* ---- Out of a generator ---- */

typedef struct latent {
    uint64_t seed, departments, categories, personas, tastes;
    double rate, spread;
} latent;

static forage_status make_names(const latent *l, forage_scenario *scenario, forage_error *error)
{
    forage_dynamics *d = &scenario->dynamics;
    char name[64];
    scenario->categories = forage_calloc((size_t)(l->departments * l->categories), sizeof *scenario->categories);
    scenario->personas = forage_calloc((size_t)l->personas, sizeof *scenario->personas);
    if (!scenario->categories || !scenario->personas || !make_tree(scenario, (size_t)l->departments))
        return no_memory(error);
    for (size_t i = 0; i < l->departments; i++) {
        snprintf(name, sizeof name, "department %zu", i + 1);
        d->departments[i] = forage_strdup(name);
        d->department_count = i + 1;
        if (!d->departments[i])
            return no_memory(error);
        for (size_t j = 0; j < l->categories; j++) {
            size_t c = scenario->category_count++;
            snprintf(name, sizeof name, "category %zu.%zu", i + 1, j + 1);
            scenario->categories[c] = forage_strdup(name);
            d->department[c] = (uint32_t)i;
            if (!scenario->categories[c])
                return no_memory(error);
        }
    }
    for (size_t i = 0; i < l->personas; i++) {
        snprintf(name, sizeof name, "persona %zu", i + 1);
        scenario->personas[scenario->persona_count++] = forage_strdup(name);
        if (!scenario->personas[i])
            return no_memory(error);
    }
    return FORAGE_OK;
}

static void draw_normals(forage_rng *rng, double *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = forage_rng_normal(rng);
}

/* Draws, in this order: tastes of personas, characters of departments, those of categories. */
static forage_status make_rates(const latent *l, forage_scenario *scenario, forage_error *error)
{
    size_t rank = (size_t)l->tastes, personas = scenario->persona_count, categories = scenario->category_count;
    size_t departments = scenario->dynamics.department_count;
    scenario->rates = forage_alloc(personas, categories * sizeof *scenario->rates);
    double *tastes = forage_alloc(personas + departments + categories, rank * sizeof *tastes);
    if (!scenario->rates || !tastes) {
        forage_free(tastes);
        return no_memory(error);
    }
    double *characters = tastes + personas * rank, *own = characters + departments * rank;
    forage_rng rng;
    forage_rng_seed(&rng, l->seed);
    draw_normals(&rng, tastes, (personas + departments + categories) * rank);
    for (size_t c = 0; c < categories; c++) {
        const double *w = characters + scenario->dynamics.department[c] * rank;
        for (size_t k = 0; k < rank; k++)
            own[c * rank + k] = (own[c * rank + k] + w[k]) * sqrt(0.5);
    }
    for (size_t p = 0; p < personas; p++) {
        for (size_t c = 0; c < categories; c++) {
            double match = 0.0;
            for (size_t k = 0; k < rank; k++)
                match += tastes[p * rank + k] * own[c * rank + k];
            double logit = log(l->rate / (1.0 - l->rate)) + l->spread * match / sqrt((double)rank);
            scenario->rates[p * categories + c] = 1.0 / (1.0 + exp(-logit));
        }
    }
    forage_free(tastes);
    return FORAGE_OK;
}

forage_status sim_read_latent(const forage_config_node *map, forage_scenario *scenario, forage_error *error)
{
    latent l = {.departments = 1, .categories = 10, .personas = 10, .tastes = 4, .rate = 0.05, .spread = 1.0};
    FORAGE_TRY(forage_config_check_keys(map, "seed,departments,categories,personas,tastes,rate,spread", error));
    FORAGE_TRY(sim_read_whole(map, "seed", 0, UINT64_MAX, &l.seed, error));
    FORAGE_TRY(sim_read_whole(map, "departments", 1, FORAGE_MAX_CATEGORIES, &l.departments, error));
    FORAGE_TRY(sim_read_whole(map, "categories", 1, FORAGE_MAX_CATEGORIES, &l.categories, error));
    FORAGE_TRY(sim_read_whole(map, "personas", 1, FORAGE_MAX_PERSONAS, &l.personas, error));
    FORAGE_TRY(sim_read_whole(map, "tastes", 1, SIM_MAX_TASTES, &l.tastes, error));
    FORAGE_TRY(sim_read_real(map, "rate", 1e-6, 1.0 - 1e-6, &l.rate, error));
    FORAGE_TRY(sim_read_real(map, "spread", 0.0, 100.0, &l.spread, error));
    if (l.departments * l.categories > FORAGE_MAX_CATEGORIES)
        return forage_config_fail(map, FORAGE_FORMAT, error, "%d categories in all; at most %d are possible",
                                  (int)(l.departments * l.categories), FORAGE_MAX_CATEGORIES);
    FORAGE_TRY(make_names(&l, scenario, error));
    return make_rates(&l, scenario, error);
}
