/*
 * shop.c: the simulated shop as an environment.
 *
 * A customer who is shown a slate looks at each position with that position's probability, and clicks on what they
 * look at with the probability of their persona for the product's category times the product's appeal. Positions
 * are independent of each other (the position-based model: Chuklin, Markov and de Rijke, "Click Models for Web
 * Search", 2015, section 3.3), so the best slate is the best products in order.
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

/* ---- Opening ---- */

static forage_status copy_names(char ***copies, size_t *count, char *const *names, size_t name_count,
                                forage_error *error)
{
    *copies = forage_calloc(name_count, sizeof **copies);
    *count = name_count;
    for (size_t i = 0; *copies && i < name_count; i++) {
        (*copies)[i] = forage_strdup(names[i]);
        if (!(*copies)[i])
            return no_memory(error);
    }
    return *copies ? FORAGE_OK : no_memory(error);
}

/* Departments where there are any, else categories. */
static forage_status open_groups(sim_shop *shop, forage_error *error)
{
    const forage_scenario *s = &shop->scenario;
    const forage_dynamics *d = &s->dynamics;
    forage_environment *base = &shop->base;
    FORAGE_TRY(copy_names(&base->user_group_names, &base->user_group_count, s->personas, s->persona_count, error));
    if (d->department_count > 0)
        FORAGE_TRY(
            copy_names(&base->item_group_names, &base->item_group_count, d->departments, d->department_count, error));
    else
        FORAGE_TRY(
            copy_names(&base->item_group_names, &base->item_group_count, s->categories, s->category_count, error));
    base->item_group = forage_alloc(base->catalogue.items, sizeof *base->item_group);
    if (!base->item_group)
        return no_memory(error);
    for (size_t i = 0; i < base->catalogue.items; i++) {
        uint32_t category = shop->simulator->category[i];
        base->item_group[i] = d->department_count > 0 ? d->department[category] : category;
    }
    return FORAGE_OK;
}

/* An item attribute: codes[category of the item], called names[code]. */
static forage_status add_attribute(sim_shop *shop, const char *name, char *const *names, size_t count,
                                   const uint32_t *codes, forage_error *error)
{
    forage_column *column;
    FORAGE_TRY(forage_table_add(&shop->item_attributes, name, FORAGE_CATEGORICAL, &column, error));
    for (size_t i = 0; i < count; i++) {
        uint32_t code;
        FORAGE_TRY(forage_vocabulary_add(column->vocabulary, names[i], strlen(names[i]), &code, error));
    }
    for (size_t i = 0; i < shop->item_attributes.rows; i++) {
        uint32_t category = shop->simulator->category[i];
        column->codes[i] = codes ? codes[category] : category;
    }
    return FORAGE_OK;
}

static forage_status open_catalogue(sim_shop *shop, forage_error *error)
{
    const forage_scenario *s = &shop->scenario;
    const forage_dynamics *d = &s->dynamics;
    uint64_t users = sim_dynamics_users(s, shop->base.visits);
    if (users > FORAGE_MAX_USERS)
        return forage_fail(error, FORAGE_INVALID, "%llu users with all newcomers; at most %u are possible",
                           (unsigned long long)users, FORAGE_MAX_USERS);
    shop->base.catalogue.users = (size_t)users;
    shop->base.catalogue.items = (size_t)s->products;
    shop->base.catalogue.item_attributes = &shop->item_attributes;
    shop->item_attributes.rows = (size_t)s->products;
    FORAGE_TRY(add_attribute(shop, "category", s->categories, s->category_count, NULL, error));
    if (d->department_count > 0)
        FORAGE_TRY(add_attribute(shop, "department", d->departments, d->department_count, d->department, error));
    return FORAGE_OK;
}

static forage_status open_positions(sim_shop *shop, forage_error *error)
{
    const forage_dynamics *d = &shop->scenario.dynamics;
    size_t positions = d->positions ? d->positions : 1;
    if (positions > shop->scenario.products)
        return forage_fail(error, FORAGE_INVALID, "%zu positions, but %llu products", positions,
                           (unsigned long long)shop->scenario.products);
    shop->base.positions = positions;
    shop->examination = forage_alloc(positions, sizeof *shop->examination);
    if (!shop->examination)
        return no_memory(error);
    for (size_t k = 0; k < positions; k++)
        shop->examination[k] = d->examination ? d->examination[k] : 1.0;
    return FORAGE_OK;
}

/* What is marked in charts: changes of taste, launches, and what the scenario marks itself. */
static forage_status add_event(sim_shop *shop, double at, const char *label, const char *otherwise, forage_error *error)
{
    forage_environment *base = &shop->base;
    size_t place = base->event_count;
    if (sim_visit_at(at, base->visits) >= base->visits)
        return FORAGE_OK; /* the play is over before */
    char *copy = forage_strdup(label ? label : otherwise);
    if (!copy)
        return no_memory(error);
    forage_environment_event event = {sim_visit_at(at, base->visits), copy};
    for (; place > 0 && base->events[place - 1].visit > event.visit; place--)
        base->events[place] = base->events[place - 1];
    base->events[place] = event;
    base->event_labels[base->event_count++] = copy;
    return FORAGE_OK;
}

static forage_status open_events(sim_shop *shop, forage_error *error)
{
    const forage_dynamics *d = &shop->scenario.dynamics;
    size_t most = d->drift_count + d->launch_count + d->mark_count;
    if (most == 0)
        return FORAGE_OK;
    shop->base.events = forage_alloc(most, sizeof *shop->base.events);
    shop->base.event_labels = forage_alloc(most, sizeof *shop->base.event_labels);
    if (!shop->base.events || !shop->base.event_labels)
        return no_memory(error);
    for (size_t i = 0; i < d->drift_count; i++) {
        if (d->drifts[i].share > 0.0)
            FORAGE_TRY(add_event(shop, d->drifts[i].at, d->drifts[i].label, "tastes change", error));
    }
    for (size_t i = 0; i < d->launch_count; i++)
        FORAGE_TRY(add_event(shop, d->launches[i].at, d->launches[i].label, "new products", error));
    for (size_t i = 0; i < d->mark_count; i++)
        FORAGE_TRY(add_event(shop, d->marks[i].at, d->marks[i].label, "", error));
    return FORAGE_OK;
}

static void shop_release(forage_environment *environment)
{
    sim_shop *shop = (sim_shop *)environment;
    sim_assortment_release(shop);
    sim_dynamics_release(shop);
    sim_sessions_release(shop);
    forage_free(shop->examination);
    forage_table_release(&shop->item_attributes);
    forage_simulator_free(shop->simulator);
    forage_scenario_release(&shop->scenario);
}

static forage_status build(sim_shop *shop, const forage_progress *progress, forage_error *error)
{
    shop->base.visits = shop->scenario.interactions;
    FORAGE_TRY(forage_simulator_create(&shop->scenario, progress, &shop->simulator, error));
    FORAGE_TRY(open_catalogue(shop, error));
    FORAGE_TRY(open_positions(shop, error));
    FORAGE_TRY(sim_sessions_open(shop, error));
    FORAGE_TRY(sim_assortment_open(shop, error));
    FORAGE_TRY(sim_dynamics_open(shop, error));
    FORAGE_TRY(open_groups(shop, error));
    return open_events(shop, error);
}

forage_status sim_shop_open(forage_scenario *scenario, const forage_progress *progress,
                            forage_environment **environment, forage_error *error)
{
    sim_shop *shop = forage_calloc(1, sizeof *shop);
    if (!shop) {
        forage_scenario_release(scenario);
        return no_memory(error);
    }
    shop->base.type = &sim_environment_shop;
    shop->scenario = *scenario;
    memset(scenario, 0, sizeof *scenario);
    forage_status status = build(shop, progress, error);
    if (status != FORAGE_OK) {
        forage_environment_free(&shop->base);
        return status;
    }
    *environment = &shop->base;
    return FORAGE_OK;
}

static forage_status shop_open(const char *name, const forage_environment_options *options,
                               forage_environment **environment, forage_error *error)
{
    forage_scenario scenario;
    FORAGE_TRY(forage_scenario_load(name, &scenario, error));
    if (options->visits)
        scenario.interactions = options->visits;
    if (options->users)
        scenario.users = options->users;
    if (options->items)
        scenario.products = options->items;
    if (options->seed)
        scenario.seed = options->seed;
    return sim_shop_open(&scenario, options->progress, environment, error);
}

/* ---- A play ---- */

static void shop_release_play(forage_play *base)
{
    sim_shop_play *play = (sim_shop_play *)base;
    sim_dynamics_release_play(play);
    sim_sessions_release_play(play);
    sim_waiting_release(&play->waiting);
}

static forage_status open_play(sim_shop_play *play, uint64_t seed, forage_error *error)
{
    const sim_shop *shop = play->shop;
    forage_rng_seed_stream(&play->visitors, seed, SIM_STREAM_VISITORS);
    forage_rng_seed_stream(&play->luck, seed, SIM_STREAM_LUCK);
    forage_rng_seed_stream(&play->tastes, seed, SIM_STREAM_TASTES);
    forage_rng_seed_stream(&play->delays, seed, SIM_STREAM_DELAYS);
    forage_rng_seed_stream(&play->intents, seed, SIM_STREAM_INTENTS);
    FORAGE_TRY(sim_waiting_open(&play->waiting, shop->scenario.dynamics.delay, shop->base.positions, error));
    FORAGE_TRY(sim_dynamics_play(play, error));
    return sim_sessions_play(play, error);
}

static forage_status shop_play(const forage_environment *environment, uint64_t seed, forage_play **result,
                               forage_error *error)
{
    sim_shop_play *play = forage_calloc(1, sizeof *play);
    if (!play)
        return no_memory(error);
    play->shop = sim_shop_of(environment);
    forage_status status = open_play(play, seed, error);
    if (status != FORAGE_OK) {
        shop_release_play(&play->base);
        forage_free(play);
        return status;
    }
    *result = &play->base;
    return FORAGE_OK;
}

/* How late what happens becomes known, FORAGE_NONE for never. Delays around 1, 10, 100 ... are equally many. */
static uint64_t draw_delay(sim_shop_play *play)
{
    const forage_dynamics *d = &play->shop->scenario.dynamics;
    bool never = d->never_told > 0.0 && forage_rng_double(&play->delays) < d->never_told;
    uint64_t late = 0;
    if (d->delay > 0) {
        late = (uint64_t)pow((double)d->delay + 1.0, forage_rng_double(&play->delays)) - 1;
        late = late < d->delay ? late : d->delay;
    }
    return never ? FORAGE_NONE : late;
}

static forage_status shop_next(forage_play *base, bool *more, forage_error *error)
{
    sim_shop_play *play = (sim_shop_play *)base;
    const sim_shop *shop = play->shop;
    forage_visit *visit = &base->visit;
    (void)more;
    (void)error;
    const sim_session *session;
    uint32_t user = sim_dynamics_visit(play, base->next, &session);
    const sim_epoch *epoch = &shop->epochs[play->epoch];
    visit->request.user = user;
    visit->request.candidates = epoch->items < shop->base.catalogue.items ? shop->every_item : NULL;
    visit->request.candidate_count = epoch->items;
    visit->user_group = play->persona[user];
    play->taste = play->persona[user] * shop->taste_width + (session ? session->intent : 0);
    if (session && session->intent > 0)
        visit->intent = session->intent - 1;
    visit->session_visit = session ? session->count - 1 : 0;
    visit->new_user = user >= shop->scenario.users;
    visit->user_visit = play->visits[user]++;
    for (size_t k = 0; k < shop->base.positions; k++) {
        play->draw[k] = forage_rng_double(&play->luck);
        play->late[k] = draw_delay(play);
    }
    return FORAGE_OK;
}

static forage_status shop_answer(forage_play *base, const uint32_t *items, size_t positions,
                                 const forage_feedback **feedback, size_t *count, bool *accepted, double *earned,
                                 forage_error *error)
{
    sim_shop_play *play = (sim_shop_play *)base;
    const sim_shop *shop = play->shop;
    const forage_visit *visit = &base->visit;
    (void)accepted;
    for (size_t k = 0; k < positions; k++) {
        if (items[k] >= visit->request.candidate_count)
            return forage_fail(error, FORAGE_INVALID, "item %u is not for sale yet", items[k]);
    }
    sim_waiting_begin(&play->waiting, visit->request.id);
    for (size_t k = 0; k < positions; k++) {
        double p = shop->examination[k] * sim_shop_rate(shop, play->taste, items[k]);
        forage_feedback told = {visit->request.id, k, play->draw[k] < p ? 1.0F : 0.0F};
        *earned += (double)told.reward;
        if (play->late[k] != FORAGE_NONE)
            sim_waiting_add(&play->waiting, shop->base.positions, &told, play->late[k]);
    }
    *count = sim_waiting_end(&play->waiting, visit->request.id);
    *feedback = play->waiting.told;
    return FORAGE_OK;
}

/* ---- The truth ---- */

static double shop_value(const forage_play *base, const uint32_t *items, size_t positions)
{
    const sim_shop *shop = sim_shop_of(base->environment);
    size_t taste = ((const sim_shop_play *)base)->taste;
    double sum = 0.0;
    for (size_t k = 0; k < positions; k++)
        sum += shop->examination[k] * sim_shop_rate(shop, taste, items[k]);
    return sum;
}

static double shop_best(const forage_play *base, uint32_t *items)
{
    const sim_shop *shop = sim_shop_of(base->environment);
    const sim_epoch *epoch = &shop->epochs[((const sim_shop_play *)base)->epoch];
    size_t width = shop->base.positions, taste = ((const sim_shop_play *)base)->taste;
    if (items)
        memcpy(items, epoch->best + taste * width, width * sizeof *items);
    return epoch->best_value[taste];
}

const sim_environment_type sim_environment_shop = {
    .kind = FORAGE_ENVIRONMENT_SHOP,
    .open = shop_open,
    .release = shop_release,
    .play = shop_play,
    .release_play = shop_release_play,
    .next = shop_next,
    .answer = shop_answer,
    .value = shop_value,
    .best = shop_best,
};
