/*
 * environment.c: the front of all environments: which kind a name means, what all kinds have in
 * common, and the checks of what callers say.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/environment.h"
#include "sim/shop.h"

#include <math.h>
#include <string.h>

typedef struct prefix {
    const char *text;
    const sim_environment_type *type;
} prefix;

static const prefix prefixes[] = {
    {"classification:", &sim_environment_classification},
    {"replay:", &sim_environment_replay},
    {"log:", &sim_environment_log},
};

/* ---- Opening ---- */

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; names && i < count; i++)
        forage_free(names[i]);
    forage_free(names);
}

void sim_environment_discard(forage_environment *environment)
{
    free_names(environment->event_labels, environment->event_count);
    forage_free(environment->events);
    free_names(environment->user_group_names, environment->user_group_count);
    free_names(environment->item_group_names, environment->item_group_count);
    forage_free(environment->item_group);
    forage_free(environment->name);
    forage_free(environment);
}

void forage_environment_free(forage_environment *environment)
{
    if (!environment)
        return;
    if (environment->type->release)
        environment->type->release(environment);
    sim_environment_discard(environment);
}

/* The kind that `name` asks for; *rest is what follows its prefix. */
static forage_status find_type(const char *name, const char **rest, const sim_environment_type **type,
                               forage_error *error)
{
    *rest = name;
    *type = &sim_environment_shop;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t length = strlen(prefixes[i].text);
        if (strncmp(name, prefixes[i].text, length) != 0)
            continue;
        *rest = name + length;
        *type = prefixes[i].type;
        if (!**rest)
            return forage_fail(error, FORAGE_INVALID, "'%s' wants the name of a file behind it", name);
    }
    return FORAGE_OK;
}

/* An option that the kind does not look at is a misunderstanding: it is better said than ignored. */
static forage_status check_options(const sim_environment_type *type, const forage_environment_options *options,
                                   forage_error *error)
{
    bool shop = type->kind == FORAGE_ENVIRONMENT_SHOP, table = type->kind == FORAGE_ENVIRONMENT_CLASSIFICATION;
    const struct {
        const char *field;
        bool given, possible;
        const char *kinds;
    } rules[] = {
        {"users", options->users != 0, shop, "simulated shops"},
        {"items", options->items != 0, shop, "simulated shops"},
        {"label", options->label != NULL, table, "labelled tables (classification:FILE)"},
        {"rewards", options->rewards != NULL, table, "labelled tables (classification:FILE)"},
        {"scale", options->scale != NULL, table, "labelled tables (classification:FILE)"},
        {"order", options->order != NULL, !shop, "files"},
        {"uniform", options->uniform, type->kind == FORAGE_ENVIRONMENT_REPLAY, "replays (replay:FILE)"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].given && !rules[i].possible)
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, rules[i].field, "is for %s alone", rules[i].kinds);
    }
    return FORAGE_OK;
}

forage_status forage_environment_open(const char *name, const forage_environment_options *options,
                                      forage_environment **environment, forage_error *error)
{
    static const forage_environment_options defaults = {0};
    const sim_environment_type *type;
    const char *rest;
    *environment = NULL;
    if (!name || !*name)
        return forage_fail(error, FORAGE_INVALID, "an environment needs a name");
    FORAGE_TRY(find_type(name, &rest, &type, error));
    options = options ? options : &defaults;
    FORAGE_TRY(check_options(type, options, error));
    char *copy = forage_strdup(name);
    if (!copy)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for an environment");
    forage_status status = type->open(rest, options, environment, error);
    if (status != FORAGE_OK) {
        forage_free(copy);
        *environment = NULL;
        return status;
    }
    (*environment)->type = type;
    (*environment)->name = copy;
    return FORAGE_OK;
}

forage_status forage_environment_create(forage_scenario *scenario, const forage_progress *progress,
                                        forage_environment **environment, forage_error *error)
{
    *environment = NULL;
    char *name = forage_strdup(scenario->name ? scenario->name : "shop");
    if (!name) {
        forage_scenario_release(scenario);
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for an environment");
    }
    forage_status status = sim_shop_open(scenario, progress, environment, error);
    if (status != FORAGE_OK)
        forage_free(name);
    else
        (*environment)->name = name;
    return status;
}

/* ---- What it consists of ---- */

forage_environment_kind forage_environment_kind_of(const forage_environment *environment)
{
    return environment->type->kind;
}

const char *forage_environment_name(const forage_environment *environment)
{
    return environment->name;
}

uint64_t forage_environment_visits(const forage_environment *environment)
{
    return environment->visits;
}

size_t forage_environment_positions(const forage_environment *environment)
{
    return environment->positions;
}

const forage_catalogue *forage_environment_catalogue(const forage_environment *environment)
{
    return &environment->catalogue;
}

const forage_environment_event *forage_environment_events(const forage_environment *environment, size_t *count)
{
    *count = environment->event_count;
    return environment->events;
}

size_t forage_environment_user_groups(const forage_environment *environment)
{
    return environment->user_group_count;
}

const char *forage_environment_user_group_name(const forage_environment *environment, uint32_t group)
{
    if (group >= environment->user_group_count)
        return NULL;
    return environment->user_group_names ? environment->user_group_names[group] : "everyone";
}

size_t forage_environment_item_groups(const forage_environment *environment)
{
    return environment->item_group_count;
}

const char *forage_environment_item_group_name(const forage_environment *environment, uint32_t group)
{
    return group < environment->item_group_count ? environment->item_group_names[group] : NULL;
}

uint32_t forage_environment_item_group(const forage_environment *environment, uint32_t item)
{
    if (item >= environment->catalogue.items)
        return FORAGE_NONE;
    return environment->item_group ? environment->item_group[item] : item;
}

static const forage_sessions *sessions_of(const forage_environment *environment)
{
    static const forage_sessions none;
    return environment->type == &sim_environment_shop ? &sim_shop_of(environment)->scenario.dynamics.sessions : &none;
}

size_t forage_environment_intents(const forage_environment *environment)
{
    return sessions_of(environment)->intent_count;
}

const char *forage_environment_intent_name(const forage_environment *environment, uint32_t intent)
{
    const forage_sessions *sessions = sessions_of(environment);
    return intent < sessions->intent_count ? sessions->intents[intent] : NULL;
}

/* ---- Plays ---- */

forage_status forage_play_create(const forage_environment *environment, uint64_t seed, forage_play **play,
                                 forage_error *error)
{
    *play = NULL;
    FORAGE_TRY(environment->type->play(environment, seed, play, error));
    (*play)->environment = environment;
    (*play)->seed = seed;
    return FORAGE_OK;
}

void forage_play_free(forage_play *play)
{
    if (!play)
        return;
    if (play->environment->type->release_play)
        play->environment->type->release_play(play);
    forage_free(play);
}

forage_status forage_play_next(forage_play *play, forage_visit *visit, bool *more, forage_error *error)
{
    const forage_environment *environment = play->environment;
    play->under_way = false;
    *more = play->next < environment->visits;
    if (!*more)
        return FORAGE_OK;
    play->visit = (forage_visit){
        .request = {.id = play->next,
                    .user = FORAGE_NONE,
                    .time = (int64_t)play->next,
                    .positions = environment->positions},
        .intent = FORAGE_NONE,
        .logged_item = FORAGE_NONE,
        .logged_propensity = NAN,
        .logged_reward = NAN,
    };
    FORAGE_TRY(environment->type->next(play, more, error));
    if (*more) {
        play->next++;
        play->under_way = true;
        *visit = play->visit;
    }
    return FORAGE_OK;
}

static forage_status check_slate(const forage_play *play, const uint32_t *items, size_t positions, forage_error *error)
{
    size_t most = play->visit.request.positions, known = play->environment->catalogue.items;
    if (!play->under_way)
        return forage_fail(error, FORAGE_INVALID, "no visit is under way");
    if (positions < 1 || positions > most)
        return forage_fail(error, FORAGE_INVALID, "a slate of %zu items; this visit takes 1 to %zu", positions, most);
    for (size_t i = 0; i < positions; i++) {
        if (items[i] >= known)
            return forage_fail(error, FORAGE_INVALID, "no item %u (there are %zu)", items[i], known);
        for (size_t j = 0; j < i; j++) {
            if (items[i] == items[j])
                return forage_fail(error, FORAGE_INVALID, "item %u is in the slate twice", items[i]);
        }
    }
    return FORAGE_OK;
}

forage_status forage_play_answer(forage_play *play, const uint32_t *items, size_t positions,
                                 const forage_feedback **feedback, size_t *count, bool *accepted, double *earned,
                                 forage_error *error)
{
    bool answered = true;
    double sum = 0.0;
    *feedback = NULL;
    *count = 0;
    FORAGE_TRY(check_slate(play, items, positions, error));
    FORAGE_TRY(play->environment->type->answer(play, items, positions, feedback, count, &answered, &sum, error));
    play->under_way = false;
    if (accepted)
        *accepted = answered;
    if (earned)
        *earned = sum;
    return FORAGE_OK;
}

double forage_play_value(const forage_play *play, const uint32_t *items, size_t positions)
{
    const sim_environment_type *type = play->environment->type;
    return type->value ? type->value(play, items, positions) : NAN;
}

double forage_play_best(const forage_play *play)
{
    const sim_environment_type *type = play->environment->type;
    return type->best ? type->best(play, NULL) : NAN;
}
