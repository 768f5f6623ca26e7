/*
 * The arena's record as JSON and as CSV.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/arena.h"
#include "report/json.h"
#include "report/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* ------------------------------------------------------------------ *
 * JSON
 * ------------------------------------------------------------------ */

/* "regret": 3981.2, and its interval beside it where there is one. */
static void set_estimate(json_t *object, const char *key, const forage_estimate *estimate)
{
    char name[64];
    json_object_set_new(object, key, json_number(estimate->value));
    if (!isfinite(estimate->low) || !isfinite(estimate->high))
        return;
    snprintf(name, sizeof name, "%s_low", key);
    json_object_set_new(object, name, json_real(estimate->low));
    snprintf(name, sizeof name, "%s_high", key);
    json_object_set_new(object, name, json_real(estimate->high));
}

static void set_text(json_t *object, const char *key, const char *plain)
{
    json_object_set_new(object, key, json_text(plain));
}

/* `names` as keys, each once; what is no UTF-8 gets its number as a key. */
static void set_named(json_t *object, const char *name, size_t index, json_t *value)
{
    char number[32];
    snprintf(number, sizeof number, "#%zu", index);
    json_t *safe = json_text(name);
    const char *key = safe ? json_string_value(safe) : number;
    json_object_set_new(object, json_object_get(object, key) ? number : key, value);
    json_decref(safe);
}

static json_t *user_groups(const forage_arena *arena, const forage_arena_agent *agent)
{
    json_t *groups = json_object();
    for (size_t g = 0; g < arena->user_group_count; ++g) {
        json_t *group = json_object();
        set_estimate(group, "ctr", &agent->user_group[g]);
        set_named(groups, arena->user_groups[g], g, group);
    }
    return groups;
}

static json_t *item_groups(const forage_arena *arena, const forage_arena_agent *agent)
{
    json_t *groups = json_object();
    for (size_t g = 0; g < arena->item_group_count; ++g) {
        json_t *group = json_object();
        set_estimate(group, "ctr", &agent->item_group[g]);
        json_object_set_new(group, "exposure", json_number(agent->exposure[g]));
        set_named(groups, arena->item_groups[g], g, group);
    }
    return groups;
}

static json_t *recoveries(const forage_arena *arena, const forage_arena_agent *agent)
{
    json_t *list = json_array();
    for (size_t e = 0; e < arena->event_count; ++e) {
        json_t *event = json_object();
        set_text(event, "event", arena->events[e].label);
        json_object_set_new(event, "visit", json_integer((json_int_t)arena->events[e].visit));
        set_estimate(event, "visits", &agent->recovery[e]);
        json_object_set_new(event, "recovered", json_number(agent->recovered[e]));
        json_array_append_new(list, event);
    }
    return list;
}

static json_t *floats(const float *values, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; ++i)
        json_array_append_new(list, json_number((double)values[i]));
    return list;
}

static const char *group_name(char (*names)[64], size_t count, uint32_t group)
{
    return group < count ? names[group] : "";
}

static json_t *diary(const forage_arena *arena, const forage_arena_agent *agent)
{
    json_t *list = json_array();
    for (size_t i = 0; i < agent->page_count; ++i) {
        const forage_arena_page *page = &agent->pages[i];
        json_t *object = json_pack(
            "{sI sI so sI so so so so so so so}", "visit", (json_int_t)page->visit, "user", (json_int_t)page->user,
            "persona", json_text(group_name(arena->user_groups, arena->user_group_count, page->user_group)), "item",
            (json_int_t)page->item, "category",
            json_text(group_name(arena->item_groups, arena->item_group_count, page->item_group)), "mean",
            json_number((double)page->mean), "deviation", json_number((double)page->deviation), "propensity",
            json_number(page->propensity), "truth", json_number(page->truth), "best", json_number(page->best), "reward",
            json_number((double)page->reward));
        if (page->belief) {
            json_object_set_new(object, "belief", floats(page->belief, arena->item_group_count));
            json_object_set_new(object, "chance", floats(page->chance, arena->item_group_count));
        }
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *curves(const forage_arena *arena, const forage_arena_agent *agent)
{
    size_t count = arena->point_count;
    return json_pack("{so so so so so so so}", "regret", json_numbers(agent->regret_curve, count), "regret_low",
                     json_numbers(agent->regret_low, count), "regret_high", json_numbers(agent->regret_high, count),
                     "ctr", json_numbers(agent->rate_curve, count), "share", json_numbers(agent->share_curve, count),
                     "newcomer_share", json_numbers(agent->newcomer_curve, FORAGE_ARENA_NEWCOMER), "newcomer_regret",
                     json_numbers(agent->newcomer_regret, FORAGE_ARENA_NEWCOMER));
}

static json_t *agent_json(const forage_arena *arena, const forage_arena_agent *agent)
{
    char hash[32];
    json_t *object = json_object();
    if (!object)
        return NULL;
    set_text(object, "model", agent->model);
    set_text(object, "policy", agent->policy);
    for (size_t s = 0; s < arena_score_count; ++s)
        set_estimate(object, arena_scores[s].key, arena_score_of(agent, &arena_scores[s]));
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"reached_90", agent->reached_90},
        {"accepted", agent->accepted},
        {"decisions_per_second", agent->decisions_per_second},
        {"lessons_per_second", agent->lessons_per_second},
        {"visits_per_second", agent->visits_per_second},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i)
        json_object_set_new(object, numbers[i].key, json_number(numbers[i].value));
    json_object_set_new(object, "memory", json_integer((json_int_t)agent->memory));
    json_object_set_new(object, "lost", json_integer((json_int_t)agent->lost));
    snprintf(hash, sizeof hash, "%016" PRIx64, agent->hash);
    set_text(object, "hash", hash);
    json_object_set_new(object, "recovery", recoveries(arena, agent));
    json_object_set_new(object, "personas", user_groups(arena, agent));
    json_object_set_new(object, "categories", item_groups(arena, agent));
    json_object_set_new(object, "curves", curves(arena, agent));
    json_object_set_new(object, "diary", diary(arena, agent));
    return object;
}

static json_t *whole_numbers(const uint64_t *values, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; ++i)
        json_array_append_new(list, json_integer((json_int_t)values[i]));
    return list;
}

static json_t *events(const forage_arena *arena)
{
    json_t *list = json_array();
    for (size_t e = 0; e < arena->event_count; ++e)
        json_array_append_new(list, json_pack("{sI so}", "visit", (json_int_t)arena->events[e].visit, "label",
                                              json_text(arena->events[e].label)));
    return list;
}

static json_t *number_text(uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value); /* where JSON's integers end */
    return value <= INT64_MAX ? json_integer((json_int_t)value) : json_string(text);
}

json_t *json_arena(const forage_arena *arena)
{
    json_t *agents = json_object();
    for (size_t a = 0; a < arena->agent_count; ++a)
        set_named(agents, arena->agents[a].name, a, agent_json(arena, &arena->agents[a]));
    return json_pack("{so ss sI sI so sI sI sI sI sI so so sI so so so so so}", "environment",
                     json_text(arena->environment), "kind", arena_kind_name(arena->kind), "visits",
                     (json_int_t)arena->visits, "seeds", (json_int_t)arena->seeds, "seed", number_text(arena->seed),
                     "users", (json_int_t)arena->users, "items", (json_int_t)arena->items, "positions",
                     (json_int_t)arena->positions, "settle", (json_int_t)arena->settle, "window",
                     (json_int_t)arena->window, "oracle_ctr", json_number(arena->oracle_rate), "logged_ctr",
                     json_number(arena->logged_rate), "newcomers", (json_int_t)arena->newcomers, "events",
                     events(arena), "points", whole_numbers(arena->points, arena->point_count), "agents", agents,
                     "load_seconds", json_number(arena->load_seconds), "seconds", json_number(arena->seconds));
}

forage_status forage_arena_json(const forage_arena *arena, char **text, forage_error *error)
{
    return json_finish(json_arena(arena), text, error);
}

/* ------------------------------------------------------------------ *
 * CSV
 * ------------------------------------------------------------------ */

typedef struct csv_row {
    const char *agent, *quantity, *of;
    double value, low, high;
} csv_row;

static void number(report_text *text, double value)
{
    report_add(text, ",");
    if (isfinite(value))
        report_real(text, value);
}

static void write_row(report_text *text, const csv_row *row)
{
    report_csv(text, row->agent);
    report_format(text, ",%s,", row->quantity);
    report_csv(text, row->of);
    number(text, row->value);
    number(text, row->low);
    number(text, row->high);
    report_add(text, "\n");
}

static void estimate_row(report_text *text, const char *agent, const char *quantity, const char *of,
                         const forage_estimate *estimate)
{
    write_row(text, &(csv_row){agent, quantity, of, estimate->value, estimate->low, estimate->high});
}

static void value_row(report_text *text, const char *agent, const char *quantity, uint64_t of, double value)
{
    char place[32];
    snprintf(place, sizeof place, "%" PRIu64, of);
    write_row(text, &(csv_row){agent, quantity, place, value, NAN, NAN});
}

static void csv_scores(const forage_arena *arena, const forage_arena_agent *agent, report_text *text)
{
    const char *name = agent->name;
    for (size_t s = 0; s < arena_score_count; ++s)
        estimate_row(text, name, arena_scores[s].key, "", arena_score_of(agent, &arena_scores[s]));
    for (size_t e = 0; e < arena->event_count; ++e)
        estimate_row(text, name, "recovery", arena->events[e].label, &agent->recovery[e]);
    for (size_t g = 0; g < arena->user_group_count; ++g)
        estimate_row(text, name, "persona_ctr", arena->user_groups[g], &agent->user_group[g]);
    for (size_t g = 0; g < arena->item_group_count; ++g) {
        estimate_row(text, name, "category_ctr", arena->item_groups[g], &agent->item_group[g]);
        write_row(text, &(csv_row){name, "exposure", arena->item_groups[g], agent->exposure[g], NAN, NAN});
    }
}

static void csv_curves(const forage_arena *arena, const forage_arena_agent *agent, report_text *text)
{
    for (size_t i = 0; i < arena->point_count; ++i) {
        char place[32];
        snprintf(place, sizeof place, "%" PRIu64, arena->points[i]);
        write_row(text, &(csv_row){agent->name, "regret_curve", place, agent->regret_curve[i], agent->regret_low[i],
                                   agent->regret_high[i]});
    }
    for (size_t i = 0; i < arena->point_count; ++i)
        value_row(text, agent->name, "ctr_curve", arena->points[i], agent->rate_curve[i]);
    for (size_t i = 0; i < arena->point_count; ++i)
        value_row(text, agent->name, "share_curve", arena->points[i], agent->share_curve[i]);
    for (size_t n = 0; n < FORAGE_ARENA_NEWCOMER; ++n)
        value_row(text, agent->name, "newcomer_share", n + 1, agent->newcomer_curve[n]);
}

forage_status forage_arena_csv(const forage_arena *arena, char **result, forage_error *error)
{
    report_text text = {0};
    *result = NULL;
    report_add(&text, "agent,quantity,of,value,low,high\n");
    for (size_t a = 0; a < arena->agent_count; ++a) {
        csv_scores(arena, &arena->agents[a], &text);
        csv_curves(arena, &arena->agents[a], &text);
    }
    if (text.failed) {
        report_text_release(&text);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the arena's CSV");
    }
    *result = text.bytes;
    return FORAGE_OK;
}
