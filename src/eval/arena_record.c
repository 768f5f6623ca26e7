/*
 * arena_record.c: the outcomes of all plays become the record. Always in the order of agents and seeds, so that sums
 * come out the same whoever played first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/arena.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The outcomes of one agent. */
typedef struct plays {
    const eval_table *table;
    eval_outcome *of; /* [seeds] */
    size_t seeds;
    double *values, *limits; /* [seeds] scratch */
} plays;

/* The number at `offset` within an outcome, over the seeds. */
static forage_estimate over_seeds(const plays *p, size_t offset)
{
    for (size_t s = 0; s < p->seeds; ++s)
        memcpy(&p->values[s], (const char *)&p->of[s] + offset, sizeof *p->values);
    return forage_estimate_of(p->values, p->seeds, 0);
}

/* The same of entry `index` of an array there. */
static forage_estimate over_arrays(const plays *p, size_t offset, size_t index)
{
    for (size_t s = 0; s < p->seeds; ++s) {
        double *array;
        memcpy(&array, (const char *)&p->of[s] + offset, sizeof array);
        p->values[s] = array[index];
    }
    return forage_estimate_of(p->values, p->seeds, 0);
}

#define OVER_SEEDS(member) over_seeds(p, offsetof(eval_outcome, member))
#define OVER_ARRAYS(member, index) over_arrays(p, offsetof(eval_outcome, member), index)

static void record_curves(const plays *p, forage_arena_agent *agent)
{
    for (size_t i = 0; i < p->table->shape.point_count; ++i) {
        forage_estimate regret = OVER_ARRAYS(regret_at, i);
        double reward = 0, answered = 0, value = 0, best = 0;
        agent->regret_curve[i] = regret.value;
        agent->regret_low[i] = regret.low;
        agent->regret_high[i] = regret.high;
        for (size_t s = 0; s < p->seeds; ++s) {
            const eval_outcome *o = &p->of[s];
            reward += o->reward_at[i] - (i ? o->reward_at[i - 1] : 0);
            answered += o->answered_at[i] - (i ? o->answered_at[i - 1] : 0);
            value += o->value_at[i] - (i ? o->value_at[i - 1] : 0);
            best += o->best_at[i] - (i ? o->best_at[i - 1] : 0);
        }
        agent->rate_curve[i] = answered > 0 ? reward / answered : NAN;
        agent->share_curve[i] = best > 0 ? value / best : NAN;
    }
}

static void record_newcomers(const plays *p, forage_arena_agent *agent)
{
    for (size_t n = 0; n < FORAGE_ARENA_NEWCOMER; ++n) {
        double value = 0, best = 0, count = 0;
        for (size_t s = 0; s < p->seeds; ++s) {
            value += p->of[s].newcomer_value[n];
            best += p->of[s].newcomer_best[n];
            count += (double)p->of[s].newcomer_count[n];
        }
        agent->newcomer_curve[n] = best > 0 ? value / best : NAN;
        agent->newcomer_regret[n] = count > 0 ? (best - value) / count : NAN;
    }
    for (size_t s = 0; s < p->seeds; ++s) {
        p->values[s] = p->of[s].visits_to_90;
        p->limits[s] = FORAGE_ARENA_NEWCOMER;
    }
    agent->visits_to_90 = eval_censored(p->values, p->limits, p->seeds, &agent->reached_90);
}

static void record_recovery(const plays *p, forage_arena_agent *agent)
{
    const eval_track_shape *shape = &p->table->shape;
    for (size_t e = 0; e < shape->event_count; ++e) {
        uint64_t end = e + 1 < shape->event_count ? shape->events[e + 1].visit : shape->visits;
        for (size_t s = 0; s < p->seeds; ++s) {
            p->values[s] = p->of[s].recovery[e];
            p->limits[s] = end > shape->events[e].visit ? (double)(end - shape->events[e].visit) : 0;
        }
        agent->recovery[e] = eval_censored(p->values, p->limits, p->seeds, &agent->recovered[e]);
    }
}

static void record_groups(const plays *p, forage_arena_agent *agent)
{
    for (size_t g = 0; g < p->table->shape.user_groups; ++g)
        agent->user_group[g] = OVER_ARRAYS(user_group, g);
    for (size_t g = 0; g < p->table->shape.item_groups; ++g) {
        agent->item_group[g] = OVER_ARRAYS(item_group, g);
        agent->exposure[g] = OVER_ARRAYS(exposure, g).value;
    }
}

static double per_second(double count, double seconds)
{
    return count > 0 && seconds > 0 ? count / seconds : NAN;
}

static void record_speed(const plays *p, forage_arena_agent *agent)
{
    double decide = 0, learn = 0, seconds = 0, decisions = 0, lessons = 0, visits = 0;
    agent->hash = 0;
    for (size_t s = 0; s < p->seeds; ++s) {
        const eval_outcome *o = &p->of[s];
        decide += o->decide_seconds;
        learn += o->learn_seconds;
        seconds += o->seconds;
        decisions += (double)o->decisions;
        lessons += (double)o->lessons;
        visits += (double)o->visits;
        agent->lost += o->lost;
        agent->memory = o->memory > agent->memory ? o->memory : agent->memory;
        agent->hash = (agent->hash * 0x9e3779b97f4a7c15) ^ o->hash;
    }
    agent->decisions_per_second = per_second(decisions, decide);
    agent->lessons_per_second = per_second(lessons, learn);
    agent->visits_per_second = per_second(visits, seconds);
}

static forage_status take_pages(eval_outcome *outcome, forage_arena_agent *agent, size_t groups, forage_error *error)
{
    agent->page_count = outcome->page_count;
    agent->pages = outcome->pages;
    outcome->pages = NULL;
    for (size_t i = 0; i < agent->page_count; ++i) {
        forage_arena_page *page = &agent->pages[i];
        const float *belief = page->belief;
        page->belief = page->chance = NULL;
        if (!belief)
            continue;
        /* Each page owns its beliefs: one block for both arrays. */
        page->belief = forage_alloc(2 * groups, sizeof *page->belief);
        if (!page->belief) {
            agent->page_count = i; /* those behind still point into the outcome's */
            return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a diary");
        }
        memcpy(page->belief, belief, 2 * groups * sizeof *page->belief);
        page->chance = page->belief + groups;
    }
    return FORAGE_OK;
}

static forage_status take_arrays(const eval_track_shape *shape, forage_arena_agent *agent, forage_error *error)
{
    size_t points = shape->point_count;
    double **const curves[] = {&agent->regret_curve, &agent->regret_low, &agent->regret_high, &agent->rate_curve,
                               &agent->share_curve};
    bool failed = false;
    for (size_t i = 0; i < sizeof curves / sizeof *curves; ++i)
        failed |= !(*curves[i] = forage_calloc(points, sizeof(double)));
    failed |= !(agent->recovery = forage_calloc(shape->event_count + 1, sizeof *agent->recovery));
    failed |= !(agent->recovered = forage_calloc(shape->event_count + 1, sizeof *agent->recovered));
    failed |= !(agent->user_group = forage_calloc(shape->user_groups + 1, sizeof *agent->user_group));
    failed |= !(agent->item_group = forage_calloc(shape->item_groups + 1, sizeof *agent->item_group));
    failed |= !(agent->exposure = forage_calloc(shape->item_groups + 1, sizeof *agent->exposure));
    return failed ? forage_fail(error, FORAGE_NO_MEMORY, "no memory for the arena's record") : FORAGE_OK;
}

static void describe(const eval_agent *from, forage_arena_agent *agent)
{
    snprintf(agent->name, sizeof agent->name, "%s", from->name);
    if (!from->spec)
        return;
    const forage_model_info *model = forage_pipeline_spec_model(from->spec);
    const forage_policy_info *policy = forage_pipeline_spec_policy(from->spec);
    snprintf(agent->model, sizeof agent->model, "%s", model ? model->name : "");
    snprintf(agent->policy, sizeof agent->policy, "%s", policy ? policy->name : "");
}

static forage_status record_agent(const plays *p, const eval_agent *from, forage_arena_agent *agent,
                                  forage_error *error)
{
    static const forage_estimate unknown = {NAN, NAN, NAN};
    describe(from, agent);
    FORAGE_TRY(take_arrays(&p->table->shape, agent, error));
    agent->regret = OVER_SEEDS(regret);
    agent->rate = OVER_SEEDS(rate);
    agent->rate_last = OVER_SEEDS(rate_last);
    agent->share = OVER_SEEDS(share);
    agent->share_last = OVER_SEEDS(share_last);
    agent->loss = OVER_SEEDS(loss);
    if (p->table->kind != FORAGE_ENVIRONMENT_CLASSIFICATION)
        agent->loss = unknown;
    agent->exponent = OVER_SEEDS(exponent);
    agent->first60 = OVER_SEEDS(first60);
    agent->coverage = OVER_SEEDS(coverage);
    agent->gini = OVER_SEEDS(gini);
    if (p->table->kind == FORAGE_ENVIRONMENT_LOG) /* those of the log are no merit of the agent */
        agent->coverage = agent->gini = unknown;
    agent->ips = OVER_SEEDS(ips);
    agent->snips = OVER_SEEDS(snips);
    agent->accepted = OVER_SEEDS(accepted).value;
    record_newcomers(p, agent);
    record_recovery(p, agent);
    record_groups(p, agent);
    record_curves(p, agent);
    record_speed(p, agent);
    return take_pages(&p->of[0], agent, p->table->shape.item_groups, error);
}

static forage_status take_names(size_t count, const char *(*name)(const forage_environment *, uint32_t),
                                const forage_environment *environment, char (**names)[64], size_t *taken,
                                forage_error *error)
{
    *names = forage_calloc(count + 1, sizeof **names);
    if (!*names)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the arena's record");
    *taken = count;
    for (size_t i = 0; i < count; ++i)
        snprintf((*names)[i], sizeof **names, "%s", name(environment, (uint32_t)i));
    return FORAGE_OK;
}

static forage_status record_environment(const eval_table *table, forage_arena *arena, forage_error *error)
{
    const eval_track_shape *shape = &table->shape;
    const forage_environment *environment = table->environment;
    snprintf(arena->environment, sizeof arena->environment, "%s", forage_environment_name(environment));
    arena->kind = table->kind;
    arena->visits = shape->visits;
    arena->settle = shape->settle;
    arena->window = shape->window;
    arena->seed = table->seed;
    arena->users = shape->users;
    arena->items = shape->items;
    arena->positions = shape->positions;
    FORAGE_TRY(take_names(shape->user_groups, forage_environment_user_group_name, environment, &arena->user_groups,
                          &arena->user_group_count, error));
    FORAGE_TRY(take_names(shape->item_groups, forage_environment_item_group_name, environment, &arena->item_groups,
                          &arena->item_group_count, error));
    arena->points = forage_alloc(shape->point_count, sizeof *arena->points);
    arena->events = forage_calloc(shape->event_count + 1, sizeof *arena->events);
    if (!arena->points || !arena->events)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the arena's record");
    memcpy(arena->points, shape->points, shape->point_count * sizeof *arena->points);
    arena->point_count = shape->point_count;
    for (size_t e = 0; e < shape->event_count; ++e) {
        arena->events[e] = (forage_environment_event){shape->events[e].visit, forage_strdup(shape->events[e].label)};
        arena->event_count = e + 1;
        if (!arena->events[e].label)
            return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the arena's record");
    }
    return FORAGE_OK;
}

forage_status eval_arena_record(const eval_table *table, const eval_agent *agents, size_t agent_count, size_t seeds,
                                eval_outcome *outcomes, forage_arena *arena, forage_error *error)
{
    plays p = {.table = table, .of = outcomes, .seeds = seeds};
    forage_status status;
    FORAGE_TRY_GOTO(record_environment(table, arena, error), end);
    arena->seeds = seeds;
    arena->agents = forage_calloc(agent_count, sizeof *arena->agents);
    p.values = forage_calloc(seeds, sizeof *p.values);
    p.limits = forage_calloc(seeds, sizeof *p.limits);
    if (!arena->agents || !p.values || !p.limits) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for the arena's record");
        goto end;
    }
    arena->oracle_rate = over_seeds(&p, offsetof(eval_outcome, best)).value;
    arena->logged_rate = over_seeds(&p, offsetof(eval_outcome, logged)).value;
    for (size_t s = 0; s < seeds; ++s)
        arena->newcomers += outcomes[s].newcomer_count[0];
    for (size_t a = 0; a < agent_count; ++a, p.of += seeds) {
        arena->agent_count = a + 1;
        FORAGE_TRY_GOTO(record_agent(&p, &agents[a], &arena->agents[a], error), end);
    }
end:
    forage_free(p.values);
    forage_free(p.limits);
    return status;
}

static void release_agent(forage_arena_agent *agent)
{
    for (size_t i = 0; i < agent->page_count; ++i)
        forage_free(agent->pages[i].belief);
    void *const blocks[] = {agent->pages,       agent->recovery,   agent->recovered,    agent->user_group,
                            agent->item_group,  agent->exposure,   agent->regret_curve, agent->regret_low,
                            agent->regret_high, agent->rate_curve, agent->share_curve};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i)
        forage_free(blocks[i]);
}

void forage_arena_release(forage_arena *arena)
{
    for (size_t a = 0; a < arena->agent_count; ++a)
        release_agent(&arena->agents[a]);
    for (size_t e = 0; e < arena->event_count; ++e)
        forage_free((char *)(uintptr_t)arena->events[e].label);
    forage_free(arena->agents);
    forage_free(arena->events);
    forage_free(arena->points);
    forage_free(arena->user_groups);
    forage_free(arena->item_groups);
    *arena = (forage_arena){0};
}
