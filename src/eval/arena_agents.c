/*
 * arena_agents.c: who plays: references, uniform choice, and pipelines by their specifications.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/arena.h"

#include <stdio.h>
#include <string.h>

/* Simple ones first, the limits last. */
static const char *const shop_agents[] = {"random", "popular",  "greedy",      "egreedy", "linucb", "hybrid",
                                          "lints",  "squarecb", "logistic-ts", "bayes",   "oracle"};
static const char *const table_agents[] = {"random", "greedy",   "egreedy",      "linucb",
                                           "lints",  "squarecb", "neural-linear"};
static const char *const replay_agents[] = {"random", "popular", "egreedy", "linucb", "lints"};
static const char *const log_agents[] = {"random", "popular", "linucb", "squarecb"};

const char *const *forage_arena_defaults(forage_environment_kind kind, size_t *count)
{
    static const struct {
        const char *const *names;
        size_t count;
    } lists[] = {[FORAGE_ENVIRONMENT_SHOP] = {shop_agents, sizeof shop_agents / sizeof *shop_agents},
                 [FORAGE_ENVIRONMENT_CLASSIFICATION] = {table_agents, sizeof table_agents / sizeof *table_agents},
                 [FORAGE_ENVIRONMENT_REPLAY] = {replay_agents, sizeof replay_agents / sizeof *replay_agents},
                 [FORAGE_ENVIRONMENT_LOG] = {log_agents, sizeof log_agents / sizeof *log_agents}};
    *count = lists[kind].count;
    return lists[kind].names;
}

static bool is_reference(const char *name)
{
    return strcmp(name, "oracle") == 0 || strcmp(name, "bayes") == 0;
}

static bool is_name(const char *text)
{
    size_t count, length = strcspn(text, ":");
    const forage_pipeline_name *names = forage_pipeline_names(&count);
    for (size_t i = 0; i < count; ++i)
        if (strlen(names[i].name) == length && memcmp(names[i].name, text, length) == 0)
            return true;
    return false;
}

static forage_status fail_unknown(const char *text, forage_error *error)
{
    char list[400];
    size_t used = 0, count;
    const forage_pipeline_name *names = forage_pipeline_names(&count);
    list[0] = '\0';
    for (size_t i = 0; i < count; ++i)
        if (strcmp(names[i].name, "random") != 0)
            forage_append(list, sizeof list, &used, ", %s", names[i].name);
    return forage_fail(error, FORAGE_UNKNOWN,
                       "there is no agent '%.60s'; possible: random, oracle, bayes%s, FILE.yaml:NAME", text, list);
}

static forage_status parse_agent(const char *text, eval_agent *agent, forage_error *error)
{
    if (strlen(text) >= sizeof agent->name)
        return forage_fail(error, FORAGE_INVALID, "agent '%.40s...' is longer than %zu characters: put it into a file",
                           text, sizeof agent->name - 1);
    snprintf(agent->name, sizeof agent->name, "%s", text);
    agent->reference = is_reference(text);
    agent->random = strcmp(text, "random") == 0;
    if (agent->reference || agent->random)
        return FORAGE_OK;
    if (!is_name(text) && !strstr(text, ".yaml") && !strstr(text, ".yml"))
        return fail_unknown(text, error);
    FORAGE_TRY(forage_pipeline_spec_parse(text, &agent->owned, error));
    agent->spec = agent->owned;
    return FORAGE_OK;
}

/* Room for so many more agents. */
static forage_status more(eval_agent **agents, size_t count, size_t further, forage_error *error)
{
    eval_agent *all = forage_realloc(*agents, count, count + further, sizeof *all);
    if (!all)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for agents");
    memset(all + count, 0, further * sizeof *all);
    *agents = all;
    return FORAGE_OK;
}

static forage_status load_file(const char *path, eval_agent **agents, size_t *count, forage_error *error)
{
    forage_pipeline_spec **specs;
    size_t found;
    FORAGE_TRY(forage_pipeline_specs_load(path, &specs, &found, error));
    forage_status status = more(agents, *count, found, error);
    for (size_t i = 0; i < found; ++i) {
        if (status != FORAGE_OK) {
            forage_pipeline_spec_free(specs[i]);
            continue;
        }
        eval_agent *agent = &(*agents)[(*count)++];
        agent->spec = agent->owned = specs[i];
        snprintf(agent->name, sizeof agent->name, "%s", forage_pipeline_spec_name(specs[i]));
    }
    forage_free(specs);
    return status;
}

/* Can the environment play the reference? */
static bool has_reference(const char *name, const forage_environment *environment)
{
    forage_play *play;
    forage_reference *reference;
    if (forage_play_create(environment, 0, &play, NULL) != FORAGE_OK)
        return false;
    bool found = forage_reference_create(name, play, &reference, NULL) == FORAGE_OK;
    if (found)
        forage_reference_free(reference);
    forage_play_free(play);
    return found;
}

static forage_status parse_defaults(const forage_environment *environment, eval_agent **agents, size_t *count,
                                    forage_error *error)
{
    size_t most;
    const char *const *names = forage_arena_defaults(forage_environment_kind_of(environment), &most);
    FORAGE_TRY(more(agents, 0, most, error));
    for (size_t i = 0; i < most; ++i) {
        bool there = is_reference(names[i]) ? has_reference(names[i], environment)
                                            : strcmp(names[i], "random") == 0 || is_name(names[i]);
        if (there)
            FORAGE_TRY(parse_agent(names[i], &(*agents)[(*count)++], error));
    }
    return FORAGE_OK;
}

static forage_status parse_all(const forage_arena_options *options, const forage_environment *environment,
                               eval_agent **agents, size_t *count, forage_error *error)
{
    if (options->agent_count == 0 && !options->agents_file)
        return parse_defaults(environment, agents, count, error);
    FORAGE_TRY(more(agents, 0, options->agent_count, error));
    for (size_t i = 0; i < options->agent_count; ++i)
        FORAGE_TRY(parse_agent(options->agents[i], &(*agents)[(*count)++], error));
    if (options->agents_file)
        FORAGE_TRY(load_file(options->agents_file, agents, count, error));
    for (size_t i = 0; i < *count; ++i)
        for (size_t j = 0; j < i; ++j)
            if (strcmp((*agents)[i].name, (*agents)[j].name) == 0)
                return forage_fail(error, FORAGE_INVALID, "agent '%s' is named twice", (*agents)[i].name);
    return FORAGE_OK;
}

forage_status eval_agents_parse(const forage_arena_options *options, const forage_environment *environment,
                                eval_agent **agents, size_t *count, forage_error *error)
{
    *agents = NULL;
    *count = 0;
    forage_status status = parse_all(options, environment, agents, count, error);
    if (status != FORAGE_OK) {
        eval_agents_free(*agents, *count);
        *agents = NULL;
        *count = 0;
    }
    return status;
}

void eval_agents_free(eval_agent *agents, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        forage_pipeline_spec_free(agents[i].owned);
    forage_free(agents);
}
