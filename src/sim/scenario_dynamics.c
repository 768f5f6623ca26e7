/*
 * scenario_dynamics.c: what makes a shop more than one that stays as it is, from YAML.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/scenario.h"

#include <math.h>
#include <string.h>

#define MAX_AT 1e15
#define MAX_APPEAL 1000.0
#define MAX_ACTIVITY 10.0

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a scenario");
}

void sim_release_dynamics(forage_dynamics *d)
{
    for (size_t i = 0; d->drifts && i < d->drift_count; i++)
        forage_free(d->drifts[i].label);
    for (size_t i = 0; d->launches && i < d->launch_count; i++)
        forage_free(d->launches[i].label);
    for (size_t i = 0; d->marks && i < d->mark_count; i++)
        forage_free(d->marks[i].label);
    for (size_t i = 0; d->departments && i < d->department_count; i++)
        forage_free(d->departments[i]);
    forage_free(d->drifts);
    forage_free(d->launches);
    forage_free(d->marks);
    forage_free(d->departments);
    forage_free(d->department);
    forage_free(d->examination);
    sim_release_sessions(&d->sessions);
}

bool forage_scenario_is_plain(const forage_scenario *scenario)
{
    const forage_dynamics *d = &scenario->dynamics;
    bool alike = d->appeal_low == d->appeal_high && (d->appeal_high == 0.0 || d->appeal_high == 1.0);
    bool glimpsed = d->positions > 1 || (d->positions == 1 && d->examination && d->examination[0] < 1.0);
    return alike && !glimpsed && d->activity == 0.0 && d->arrivals.share == 0.0 && d->sessions.visits == 0 &&
           d->delay == 0 && d->never_told == 0.0 && d->drift_count == 0 && d->launch_count == 0;
}

/* ---- Checks ---- */

static forage_status bad(forage_error *error, const char *field, const char *message)
{
    return forage_fail_at(error, FORAGE_INVALID, NULL, 0, field, "%s", message);
}

static bool within(double value, double low, double high)
{
    return value >= low && value <= high;
}

static bool label_is_fine(const char *label)
{
    return !label || !sim_name_problem(label);
}

static bool appeal_is_fine(double low, double high)
{
    return within(low, 0.0, high) && high <= MAX_APPEAL;
}

static forage_status check_drifts(const forage_scenario *scenario, forage_error *error)
{
    const forage_dynamics *d = &scenario->dynamics;
    if (d->drift_count > FORAGE_MAX_SCENARIO_EVENTS || (d->drift_count > 0 && !d->drifts))
        return bad(error, "drift", "too many, or none where there should be some");
    for (size_t i = 0; i < d->drift_count; i++) {
        const forage_drift_rule *rule = &d->drifts[i];
        if ((rule->from != FORAGE_NONE && rule->from >= scenario->persona_count) ||
            (rule->to != FORAGE_NONE && rule->to >= scenario->persona_count))
            return bad(error, "drift", "a persona that does not exist");
        if (!within(rule->at, 0.0, MAX_AT) || !within(rule->share, 0.0, 1.0) || !within(rule->per_visit, 0.0, 1.0))
            return bad(error, "drift", "a time, a share or a probability that is not possible");
        if (!label_is_fine(rule->label))
            return bad(error, "drift", sim_name_problem(rule->label));
    }
    return FORAGE_OK;
}

static forage_status check_launches(const forage_dynamics *d, forage_error *error)
{
    double shares = 0.0;
    if (d->launch_count > FORAGE_MAX_SCENARIO_EVENTS || (d->launch_count > 0 && !d->launches))
        return bad(error, "launches", "too many, or none where there should be some");
    for (size_t i = 0; i < d->launch_count; i++) {
        const forage_launch_rule *rule = &d->launches[i];
        if (!within(rule->at, 0.0, MAX_AT) || !within(rule->share, 0.0, 1.0) ||
            !appeal_is_fine(rule->appeal_low, rule->appeal_high))
            return bad(error, "launches", "a time, a share or an appeal that is not possible");
        if (!label_is_fine(rule->label))
            return bad(error, "launches", sim_name_problem(rule->label));
        shares += rule->share;
    }
    return shares < 1.0 ? FORAGE_OK : bad(error, "launches", "nothing is left to be there before");
}

forage_status sim_check_dynamics(const forage_scenario *scenario, forage_error *error)
{
    const forage_dynamics *d = &scenario->dynamics;
    const forage_arrivals *arrivals = &d->arrivals;
    if (!appeal_is_fine(d->appeal_low, d->appeal_high))
        return bad(error, "appeal", "not possible");
    if (!within(d->activity, 0.0, MAX_ACTIVITY))
        return bad(error, "activity", "not between 0 and 10");
    if (d->positions > FORAGE_MAX_POSITIONS)
        return bad(error, "positions", "more than 64");
    for (size_t i = 0; d->examination && i < d->positions; i++) {
        if (!within(d->examination[i], 0.0, 1.0))
            return bad(error, "positions", "a probability that is not between 0 and 1");
    }
    if (!within(arrivals->share, 0.0, 1.0))
        return bad(error, "arrivals", "a share that is not between 0 and 1");
    if (arrivals->share > 0.0 && (arrivals->visits < 1 || arrivals->visits > UINT32_MAX || arrivals->active < 1 ||
                                  arrivals->active > SIM_MAX_ACTIVE))
        return bad(error, "arrivals", "a number of visits or of newcomers that is not possible");
    if (d->delay > SIM_MAX_DELAY || !within(d->never_told, 0.0, 1.0))
        return bad(error, "delay", "more than 1000000 visits, or a share that is not between 0 and 1");
    FORAGE_TRY(sim_check_sessions(scenario, error));
    FORAGE_TRY(check_drifts(scenario, error));
    FORAGE_TRY(check_launches(d, error));
    if (d->mark_count > FORAGE_MAX_SCENARIO_EVENTS || (d->mark_count > 0 && !d->marks))
        return bad(error, "events", "too many, or none where there should be some");
    for (size_t i = 0; i < d->mark_count; i++) {
        if (!within(d->marks[i].at, 0.0, MAX_AT) || sim_name_problem(d->marks[i].label))
            return bad(error, "events", "a time or a label that is not possible");
    }
    for (size_t c = 0; d->department_count > 0 && c < scenario->category_count; c++) {
        if (!d->department || !d->departments || d->department[c] >= d->department_count)
            return bad(error, "categories", "a department that does not exist");
    }
    return FORAGE_OK;
}

/* ---- From YAML ---- */

/* {low, high} under `key`; both must be there. */
static forage_status read_appeal(const forage_config_node *map, double *low, double *high, forage_error *error)
{
    const forage_config_node *node = forage_config_find(map, "appeal"), *end;
    if (!node)
        return FORAGE_OK;
    FORAGE_TRY(forage_config_check_keys(node, "low,high", error));
    FORAGE_TRY(forage_config_need(node, "low", &end, error));
    FORAGE_TRY(forage_config_real(end, 0.0, MAX_APPEAL, low, error));
    FORAGE_TRY(forage_config_need(node, "high", &end, error));
    FORAGE_TRY(forage_config_real(end, *low, MAX_APPEAL, high, error));
    return *high > 0.0 ? FORAGE_OK : forage_config_fail(end, FORAGE_FORMAT, error, "nobody would ever click");
}

static forage_status read_at(const forage_config_node *map, double *at, forage_error *error)
{
    const forage_config_node *node;
    FORAGE_TRY(forage_config_need(map, "at", &node, error));
    return forage_config_real(node, 0.0, MAX_AT, at, error);
}

static forage_status read_label(const forage_config_node *map, char **label, forage_error *error)
{
    const forage_config_node *node = forage_config_find(map, "label");
    const char *text;
    if (!node)
        return FORAGE_OK;
    FORAGE_TRY(forage_config_text(node, &text, error));
    return sim_copy_name(node, text, label, error);
}

static forage_status read_positions(const forage_config_node *list, forage_dynamics *d, forage_error *error)
{
    FORAGE_TRY(forage_config_want(list, FORAGE_CONFIG_LIST, error));
    size_t count = forage_config_count(list);
    if (count < 1 || count > FORAGE_MAX_POSITIONS)
        return forage_config_fail(list, FORAGE_FORMAT, error, "%zu positions; there must be 1 to %d", count,
                                  FORAGE_MAX_POSITIONS);
    d->examination = forage_alloc(count, sizeof *d->examination);
    if (!d->examination)
        return no_memory(error);
    d->positions = count;
    for (size_t i = 0; i < count; i++)
        d->examination[i] = 0.0;
    for (size_t i = 0; i < count; i++)
        FORAGE_TRY(forage_config_real(forage_config_at(list, i), 0.0, 1.0, &d->examination[i], error));
    return FORAGE_OK;
}

static forage_status read_arrivals(const forage_config_node *map, forage_arrivals *arrivals, forage_error *error)
{
    const forage_config_node *node;
    arrivals->visits = arrivals->active = 100;
    FORAGE_TRY(forage_config_check_keys(map, "share,visits,active", error));
    FORAGE_TRY(forage_config_need(map, "share", &node, error));
    FORAGE_TRY(forage_config_real(node, 0.0, 1.0, &arrivals->share, error));
    FORAGE_TRY(sim_read_whole(map, "visits", 1, UINT32_MAX, &arrivals->visits, error));
    return sim_read_whole(map, "active", 1, SIM_MAX_ACTIVE, &arrivals->active, error);
}

static forage_status read_delay(const forage_config_node *map, forage_dynamics *d, forage_error *error)
{
    FORAGE_TRY(forage_config_check_keys(map, "most,never", error));
    FORAGE_TRY(sim_read_whole(map, "most", 0, SIM_MAX_DELAY, &d->delay, error));
    return sim_read_real(map, "never", 0.0, 1.0, &d->never_told, error);
}

/* The persona under `key`; FORAGE_NONE where there is none. */
static forage_status read_persona(const forage_config_node *map, const char *key, const forage_scenario *scenario,
                                  uint32_t *persona, forage_error *error)
{
    const forage_config_node *node = forage_config_find(map, key);
    const char *name;
    *persona = FORAGE_NONE;
    if (!node)
        return FORAGE_OK;
    FORAGE_TRY(forage_config_text(node, &name, error));
    *persona = sim_find_name(scenario->personas, scenario->persona_count, name);
    if (*persona != FORAGE_NONE)
        return FORAGE_OK;
    return sim_unknown_name(node, "persona", name, scenario->personas, scenario->persona_count, error);
}

/* One of the lists: how many, and room for them. */
static forage_status open_list(const forage_config_node *list, size_t size, void **entries, size_t *count,
                               forage_error *error)
{
    FORAGE_TRY(forage_config_want(list, FORAGE_CONFIG_LIST, error));
    *count = forage_config_count(list);
    if (*count < 1 || *count > FORAGE_MAX_SCENARIO_EVENTS)
        return forage_config_fail(list, FORAGE_FORMAT, error, "%zu entries; there must be 1 to %d", *count,
                                  FORAGE_MAX_SCENARIO_EVENTS);
    *entries = forage_calloc(*count, size);
    return *entries ? FORAGE_OK : no_memory(error);
}

static forage_status read_drift(const forage_config_node *map, const forage_scenario *scenario, forage_drift_rule *rule,
                                forage_error *error)
{
    const forage_config_node *slowly = forage_config_find(map, "per_visit");
    FORAGE_TRY(forage_config_check_keys(map, slowly ? "per_visit,from,to" : "at,share,from,to,label", error));
    FORAGE_TRY(read_persona(map, "from", scenario, &rule->from, error));
    FORAGE_TRY(read_persona(map, "to", scenario, &rule->to, error));
    if (slowly)
        return forage_config_real(slowly, 0.0, 1.0, &rule->per_visit, error);
    const forage_config_node *share;
    FORAGE_TRY(read_at(map, &rule->at, error));
    FORAGE_TRY(forage_config_need(map, "share", &share, error));
    FORAGE_TRY(forage_config_real(share, 0.0, 1.0, &rule->share, error));
    return read_label(map, &rule->label, error);
}

static forage_status read_launch(const forage_config_node *map, forage_launch_rule *rule, forage_error *error)
{
    const forage_config_node *share;
    FORAGE_TRY(forage_config_check_keys(map, "at,share,appeal,label", error));
    FORAGE_TRY(read_at(map, &rule->at, error));
    FORAGE_TRY(forage_config_need(map, "share", &share, error));
    FORAGE_TRY(forage_config_real(share, 0.0, 1.0, &rule->share, error));
    FORAGE_TRY(read_appeal(map, &rule->appeal_low, &rule->appeal_high, error));
    return read_label(map, &rule->label, error);
}

static forage_status read_mark(const forage_config_node *map, forage_event_rule *rule, forage_error *error)
{
    const forage_config_node *node;
    FORAGE_TRY(forage_config_check_keys(map, "at,label", error));
    FORAGE_TRY(read_at(map, &rule->at, error));
    FORAGE_TRY(forage_config_need(map, "label", &node, error));
    return read_label(map, &rule->label, error);
}

static forage_status read_lists(const forage_config_node *root, forage_scenario *scenario, forage_error *error)
{
    forage_dynamics *d = &scenario->dynamics;
    const forage_config_node *list = forage_config_find(root, "drift");
    void *entries = NULL;
    if (list) {
        FORAGE_TRY(open_list(list, sizeof *d->drifts, &entries, &d->drift_count, error));
        d->drifts = entries;
        for (size_t i = 0; i < d->drift_count; i++)
            FORAGE_TRY(read_drift(forage_config_at(list, i), scenario, &d->drifts[i], error));
    }
    list = forage_config_find(root, "launches");
    if (list) {
        FORAGE_TRY(open_list(list, sizeof *d->launches, &entries, &d->launch_count, error));
        d->launches = entries;
        for (size_t i = 0; i < d->launch_count; i++)
            FORAGE_TRY(read_launch(forage_config_at(list, i), &d->launches[i], error));
    }
    list = forage_config_find(root, "events");
    if (list) {
        FORAGE_TRY(open_list(list, sizeof *d->marks, &entries, &d->mark_count, error));
        d->marks = entries;
        for (size_t i = 0; i < d->mark_count; i++)
            FORAGE_TRY(read_mark(forage_config_at(list, i), &d->marks[i], error));
    }
    return FORAGE_OK;
}

forage_status sim_read_dynamics(const forage_config_node *root, forage_scenario *scenario, forage_error *error)
{
    forage_dynamics *d = &scenario->dynamics;
    const forage_config_node *node;
    FORAGE_TRY(read_appeal(root, &d->appeal_low, &d->appeal_high, error));
    FORAGE_TRY(sim_read_real(root, "activity", 0.0, MAX_ACTIVITY, &d->activity, error));
    node = forage_config_find(root, "positions");
    if (node)
        FORAGE_TRY(read_positions(node, d, error));
    node = forage_config_find(root, "arrivals");
    if (node)
        FORAGE_TRY(read_arrivals(node, &d->arrivals, error));
    FORAGE_TRY(sim_read_sessions(root, scenario, error));
    node = forage_config_find(root, "delay");
    if (node)
        FORAGE_TRY(read_delay(node, d, error));
    return read_lists(root, scenario, error);
}
