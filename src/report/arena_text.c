/*
 * The arena on a terminal: a table with the best of each column marked, and small charts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/arena.h"
#include "report/pool.h"

#include <math.h>
#include <string.h>

enum { MOST_COLUMNS = 24, MOST_LINES = 6, MOST_SHOWN_POINTS = 60, TOO_BAD = 6 };

/* ------------------------------------------------------------------ *
 * The table
 * ------------------------------------------------------------------ */

typedef struct column {
    const char *title;
    const char **cells; /* [agents] */
    double *values;     /* [agents] for the mark */
    int better;
    size_t width;
} column;

typedef struct table {
    const forage_arena *arena;
    report_pool *pool;
    bool plain;
    column columns[MOST_COLUMNS];
    size_t count;
} table;

static const char *shown(report_pool *pool, double value, arena_form form)
{
    if (!isfinite(value))
        return "-";
    switch (form) {
    case ARENA_COUNT:
        return fabs(value) < 100
                   ? pool_fixed(pool, value, 1)
                   : pool_format(pool, "%s%s", value < 0 ? "-" : "", pool_count(pool, (uint64_t)llround(fabs(value))));
    case ARENA_RATE:
        return pool_fixed(pool, value, 4);
    case ARENA_PERCENT:
        return pool_percent(pool, value);
    default:
        return pool_fixed(pool, value, 2);
    }
}

/* Half the interval's width, behind the number. */
static const char *with_band(report_pool *pool, const forage_estimate *estimate, arena_form form, bool plain)
{
    const char *value = shown(pool, estimate->value, form);
    if (form != ARENA_COUNT || !isfinite(estimate->high))
        return value;
    return pool_format(pool, "%s %s%s", value, plain ? "+-" : "±", shown(pool, estimate->high - estimate->value, form));
}

static column *add_column(table *t, const char *title, int better)
{
    size_t agents = t->arena->agent_count;
    if (t->count == MOST_COLUMNS)
        return NULL;
    column *c = &t->columns[t->count];
    *c = (column){.title = title, .better = better};
    c->cells = pool_take(t->pool, agents, sizeof *c->cells);
    c->values = pool_take(t->pool, agents, sizeof *c->values);
    if (!c->cells || !c->values)
        return NULL;
    t->count += 1;
    return c;
}

/* Characters, not bytes. */
static size_t length_of(const char *text)
{
    size_t length = 0;
    while (report_character(&text) != 0)
        ++length;
    return length;
}

/* A column that says nothing is taken back. */
static void finish_column(table *t, column *c)
{
    bool any = false;
    c->width = length_of(c->title);
    for (size_t a = 0; a < t->arena->agent_count; ++a) {
        size_t length = length_of(c->cells[a]);
        any |= strcmp(c->cells[a], "-") != 0;
        c->width = length > c->width ? length : c->width;
    }
    t->count -= !any;
}

static void add_scores(table *t)
{
    for (size_t s = 0; s < arena_score_count; ++s) {
        const arena_score *score = &arena_scores[s];
        column *c = score->title ? add_column(t, score->title, score->better) : NULL;
        if (!c)
            continue;
        for (size_t a = 0; a < t->arena->agent_count; ++a) {
            const forage_arena_agent *agent = &t->arena->agents[a];
            const forage_estimate *estimate = arena_score_of(agent, score);
            c->values[a] = arena_is_reference(agent) ? NAN : estimate->value;
            c->cells[a] = with_band(t->pool, estimate, score->form, t->plain);
            /* Some plays did not get there. */
            if (strcmp(score->key, "visits_to_90") == 0 && isfinite(estimate->value))
                c->cells[a] = pool_format(t->pool, "%s%s", agent->reached_90 < 1 ? ">" : "",
                                          pool_fixed(t->pool, estimate->value, 1));
        }
        finish_column(t, c);
    }
}

static void add_recoveries(table *t)
{
    for (size_t e = 0; e < t->arena->event_count && e < 4; ++e) {
        column *c = add_column(t, pool_format(t->pool, "back %zu", e + 1), -1);
        if (!c)
            return;
        for (size_t a = 0; a < t->arena->agent_count; ++a) {
            const forage_arena_agent *agent = &t->arena->agents[a];
            double value = agent->recovery[e].value, share = agent->recovered[e];
            c->values[a] = arena_is_reference(agent) || !(share >= 1) ? NAN : value;
            c->cells[a] = isfinite(value) ? pool_format(t->pool, "%s%s", share < 1 ? ">" : "",
                                                        pool_count(t->pool, (uint64_t)llround(value)))
                          : share == 0    ? "never"
                                          : "-";
        }
        finish_column(t, c);
    }
}

static void add_speed(table *t)
{
    const forage_arena *arena = t->arena;
    bool logged = arena->kind == FORAGE_ENVIRONMENT_LOG;
    column *c = add_column(t, logged ? "events/s" : "decisions/s", 1);
    if (!c)
        return;
    for (size_t a = 0; a < arena->agent_count; ++a) {
        double value = logged ? arena->agents[a].visits_per_second : arena->agents[a].decisions_per_second;
        c->values[a] = NAN; /* to be the fastest is no merit of a choice */
        c->cells[a] = isfinite(value) ? pool_count(t->pool, (uint64_t)llround(value)) : "-";
    }
    finish_column(t, c);
}

/* The best of a column, alone; FORAGE_NONE as a size: there is no contest. */
static size_t best_of(const table *t, const column *c)
{
    size_t best = SIZE_MAX, others = 0;
    for (size_t a = 0; a < t->arena->agent_count; ++a) {
        if (c->better == 0 || !isfinite(c->values[a]))
            continue;
        ++others;
        if (best == SIZE_MAX || c->better * (c->values[a] - c->values[best]) > 0)
            best = a;
    }
    return others > 1 ? best : SIZE_MAX;
}

static void blanks(report_text *text, size_t count)
{
    report_padded(text, "", count);
}

static void write_cell(report_text *text, const column *c, const char *cell, bool marked, bool colour)
{
    size_t length = length_of(cell);
    blanks(text, 2 + c->width - (length < c->width ? length : c->width));
    report_add(text, marked && colour ? "\033[1m" : "");
    report_add(text, cell);
    report_add(text, marked && colour ? "\033[0m" : "");
    report_add(text, marked ? "*" : " ");
}

static void write_table(const table *t, report_text *text, bool colour)
{
    const forage_arena *arena = t->arena;
    size_t name_width = 5;
    for (size_t a = 0; a < arena->agent_count; ++a) {
        size_t length = length_of(pool_printable(t->pool, arena->agents[a].name));
        name_width = length > name_width ? length : name_width;
    }
    report_padded(text, "agent", name_width);
    for (size_t i = 0; i < t->count; ++i)
        write_cell(text, &t->columns[i], t->columns[i].title, false, false);
    report_add(text, "\n");
    for (size_t a = 0; a < arena->agent_count; ++a) {
        report_padded(text, pool_printable(t->pool, arena->agents[a].name), name_width);
        for (size_t i = 0; i < t->count; ++i)
            write_cell(text, &t->columns[i], t->columns[i].cells[a], best_of(t, &t->columns[i]) == a, colour);
        report_add(text, "\n");
    }
}

/* ------------------------------------------------------------------ *
 * Charts
 * ------------------------------------------------------------------ */

typedef struct picture {
    forage_chart chart;
    forage_chart_panel panel;
    forage_chart_series series[MOST_LINES];
    forage_chart_reference references[8];
} picture;

/* The agents that a chart can hold: the limits that say something, and the best by regret, else by rate. Who loses many
 * times what the best one loses would press all others flat. */
static size_t choose_lines(const forage_arena *arena, bool with_oracle, const forage_arena_agent *lines[MOST_LINES])
{
    size_t count = 0;
    bool taken_all = false, truth = isfinite(arena->oracle_rate);
    double most = INFINITY;
    for (size_t a = 0; a < arena->agent_count; ++a)
        if (!arena_is_reference(&arena->agents[a]))
            most = fmin(most, TOO_BAD * arena->agents[a].regret.value);
    for (size_t a = 0; a < arena->agent_count; ++a) {
        const forage_arena_agent *agent = &arena->agents[a];
        if (arena_is_reference(agent) && (with_oracle || strcmp(agent->name, "oracle") != 0) && count < MOST_LINES)
            lines[count++] = agent;
    }
    while (count < MOST_LINES && !taken_all) {
        const forage_arena_agent *next = NULL;
        for (size_t a = 0; a < arena->agent_count; ++a) {
            const forage_arena_agent *agent = &arena->agents[a];
            bool taken = arena_is_reference(agent) || (truth && agent->regret.value > most);
            for (size_t i = 0; i < count; ++i)
                taken |= lines[i] == agent;
            bool known = next && isfinite(next->regret.value);
            if (!taken &&
                (!next || (known ? agent->regret.value < next->regret.value : agent->rate.value > next->rate.value)))
                next = agent;
        }
        taken_all = !next;
        if (next)
            lines[count++] = next;
    }
    return count;
}

static void begin(picture *p, const char *name, const char *title, const char *x, const char *y)
{
    *p = (picture){.chart = {.name = name, .title = title, .summary = title, .panel_count = 1, .columns = 1}};
    p->chart.panels = &p->panel;
    p->panel =
        (forage_chart_panel){.x = {.label = x}, .y = {.label = y}, .series = p->series, .references = p->references};
}

static void mark_events(picture *p, const forage_arena *arena)
{
    size_t most = sizeof p->references / sizeof *p->references;
    for (size_t e = 0; e < arena->event_count && e < most; ++e)
        p->references[p->panel.reference_count++] =
            (forage_chart_reference){'x', (double)arena->events[e].visit, arena->events[e].label, FORAGE_INK_GREY};
}

static void add_line(picture *p, const char *name, size_t count, const double *x, const double *y)
{
    size_t i = p->panel.series_count++;
    p->series[i] = (forage_chart_series){
        .name = name, .mark = FORAGE_MARK_LINE, .ink = (forage_ink)i, .count = count, .x = x, .y = y};
}

static forage_status draw(const picture *p, const forage_terminal *terminal, report_text *text, forage_error *error)
{
    char *drawn;
    FORAGE_TRY(forage_chart_text(&p->chart, terminal, &drawn, error));
    report_add(text, "\n");
    report_add(text, drawn);
    forage_free(drawn);
    return FORAGE_OK;
}

/* A curve at fewer points: each is the mean of those it stands for, or the last of them. */
static const double *thinned(report_pool *pool, const double *y, size_t count, size_t points, bool mean)
{
    double *values = pool_take(pool, points, sizeof *values);
    for (size_t i = 0; values && i < points; ++i) {
        size_t first = i * count / points, last = (i + 1) * count / points, known = 0;
        double sum = 0;
        for (size_t k = first; k < last; ++k) {
            if (isfinite(y[k])) {
                sum += y[k];
                ++known;
            }
        }
        values[i] = !mean ? y[last - 1] : known ? sum / (double)known : NAN;
    }
    return values;
}

typedef const double *curve_of(const forage_arena_agent *agent);

static const double *regret_curve(const forage_arena_agent *agent)
{
    return agent->regret_curve;
}

static const double *share_curve(const forage_arena_agent *agent)
{
    return agent->share_curve;
}

static const double *rate_curve(const forage_arena_agent *agent)
{
    return agent->rate_curve;
}

static bool any_known(const double *values, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        if (isfinite(values[i]))
            return true;
    }
    return false;
}

static void add_curves(picture *p, const forage_arena *arena, report_pool *pool, curve_of *curve, bool mean)
{
    const forage_arena_agent *lines[MOST_LINES];
    size_t count = arena->point_count, points = count < MOST_SHOWN_POINTS ? count : MOST_SHOWN_POINTS;
    size_t line_count = choose_lines(arena, false, lines);
    double *x = pool_take(pool, points, sizeof *x);
    for (size_t i = 0; x && i < points; ++i) {
        size_t last = (i + 1) * count / points - 1;
        x[i] = (double)arena->points[last];
    }
    for (size_t i = 0; i < line_count; ++i) {
        const double *y = thinned(pool, curve(lines[i]), count, points, mean);
        if (x && y && any_known(y, points)) /* nothing is known of rewards in a log without propensities */
            add_line(p, lines[i]->name, points, x, y);
    }
}

static forage_status draw_newcomers(const forage_arena *arena, report_pool *pool, const forage_terminal *terminal,
                                    report_text *text, forage_error *error)
{
    picture p;
    const forage_arena_agent *lines[MOST_LINES];
    size_t count = choose_lines(arena, false, lines);
    double *x = pool_take(pool, FORAGE_ARENA_NEWCOMER, sizeof *x);
    begin(&p, "newcomers", "What new users get, as a share of the oracle's click rate", "visit of a new user", NULL);
    p.panel.y.percent = true;
    for (size_t n = 0; x && n < FORAGE_ARENA_NEWCOMER; ++n)
        x[n] = (double)(n + 1);
    for (size_t i = 0; x && i < count; ++i)
        add_line(&p, lines[i]->name, FORAGE_ARENA_NEWCOMER, x, lines[i]->newcomer_curve);
    p.references[p.panel.reference_count++] = (forage_chart_reference){'y', 0.9, "90 %", FORAGE_INK_GREY};
    return draw(&p, terminal, text, error);
}

static forage_status draw_charts(const forage_arena *arena, report_pool *pool, const forage_terminal *terminal,
                                 report_text *text, forage_error *error)
{
    picture p;
    bool truth = isfinite(arena->oracle_rate);
    if (truth) {
        begin(&p, "regret", "Regret: what the oracle would have earned more", "visits", NULL);
        add_curves(&p, arena, pool, regret_curve, false);
    } else {
        begin(&p, "rate", "Reward per visit", "visits", NULL);
        add_curves(&p, arena, pool, rate_curve, true);
    }
    mark_events(&p, arena);
    if (p.panel.series_count > 0)
        FORAGE_TRY(draw(&p, terminal, text, error));
    if (truth && arena->event_count > 0) {
        begin(&p, "share", "Share of the oracle's click rate over time", "visits", NULL);
        p.panel.y.percent = true;
        add_curves(&p, arena, pool, share_curve, true);
        mark_events(&p, arena);
        FORAGE_TRY(draw(&p, terminal, text, error));
    }
    if (truth && arena->newcomers > 0)
        FORAGE_TRY(draw_newcomers(arena, pool, terminal, text, error));
    return FORAGE_OK;
}

static bool judged(const forage_arena *arena)
{
    for (size_t a = 0; a < arena->agent_count; ++a) {
        if (isfinite(arena->agents[a].rate.value))
            return true;
    }
    return false;
}

static void head(const forage_arena *arena, report_pool *pool, report_text *text)
{
    report_format(text, "%s: %s visits, ", pool_printable(pool, arena->environment), pool_count(pool, arena->visits));
    if (arena->users > 0)
        report_format(text, "%s user%s, ", pool_count(pool, arena->users), arena->users == 1 ? "" : "s");
    report_format(text, "%s items, %zu seed%s\n", pool_count(pool, arena->items), arena->seeds,
                  arena->seeds == 1 ? "" : "s");
    if (isfinite(arena->logged_rate))
        report_format(text, "The log's own: %s per visit. It was read in %s s.\n",
                      pool_fixed(pool, arena->logged_rate, 4), pool_fixed(pool, arena->load_seconds, 2));
    if (arena->kind == FORAGE_ENVIRONMENT_LOG && !judged(arena))
        report_add(text,
                   "It has no propensities: agents learn from it, but what they would have earned is not known.\n");
    if (isfinite(arena->oracle_rate))
        report_format(text, "The best that is possible: %s per visit.\n", pool_fixed(pool, arena->oracle_rate, 4));
    for (size_t e = 0; e < arena->event_count; ++e)
        report_format(text, "Event %zu, visit %s: %s\n", e + 1, pool_count(pool, arena->events[e].visit),
                      pool_printable(pool, arena->events[e].label));
    report_add(text, "\n");
}

forage_status forage_arena_text(const forage_arena *arena, const forage_terminal *terminal, char **result,
                                forage_error *error)
{
    report_pool pool = {0};
    report_text text = {0};
    table t = {.arena = arena, .pool = &pool, .plain = terminal && terminal->plain};
    forage_status status;
    *result = NULL;
    head(arena, &pool, &text);
    add_scores(&t);
    add_recoveries(&t);
    add_speed(&t);
    if (!pool.failed)
        write_table(&t, &text, terminal && terminal->colour);
    FORAGE_TRY_GOTO(draw_charts(arena, &pool, terminal, &text, error), end);
    if (text.failed || pool.failed) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for the arena's table");
        goto end;
    }
    if (terminal && terminal->plain)
        report_plain(&text);
    *result = text.bytes;
    text = (report_text){0};
end:
    report_text_release(&text);
    pool_release(&pool);
    return status;
}
