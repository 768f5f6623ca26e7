/*
 * Sessions and what they are about: who comes when, what is clicked, what can be known of an intent, bad input.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/sim.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SHOP                                                               \
    "products: 12\nusers: 40\nseed: 3\ncategories: [A, B, C]\npersonas:\n" \
    "  p: {A: 0.6, B: 0.3, C: 0.05}\n  q: {A: 0.1, B: 0.2, C: 0.7}\n"
#define SHOP_LINES 8 /* the next line */
#define INTENTS "intents:\n  x: {A: 0.9, B: 0.05}\n  y: {C: 0.8, A: 0.0}\n"

enum { PERSONAS = 2, KINDS = 3 /* none, x, y */, CATEGORIES = 3 };

static const double persona_rates[PERSONAS][CATEGORIES] = {{0.6, 0.3, 0.05}, {0.1, 0.2, 0.7}};

static double rate_of(size_t persona, size_t kind, size_t category)
{
    static const double intents[KINDS][CATEGORIES] = {{-1, -1, -1}, {0.9, 0.05, -1}, {0.0, -1, 0.8}};
    return intents[kind][category] >= 0 ? intents[kind][category] : persona_rates[persona][category];
}

static forage_environment *open_text(const char *text, uint64_t visits)
{
    forage_environment *environment;
    forage_scenario scenario;
    forage_error error = {0};
    if (forage_scenario_parse(text, strlen(text), "s.yaml", &scenario, &error) != FORAGE_OK)
        fail_msg("%d: %s: %s", (int)error.line, error.field, error.message);
    assert_false(forage_scenario_is_plain(&scenario));
    scenario.interactions = visits;
    if (forage_environment_create(&scenario, NULL, &environment, &error) != FORAGE_OK)
        fail_msg("%s: %s", error.field, error.message);
    return environment;
}

static forage_play *open_play(const forage_environment *environment, uint64_t seed)
{
    forage_play *play;
    assert_int_equal(forage_play_create(environment, seed, &play, NULL), FORAGE_OK);
    return play;
}

static bool next(forage_play *play, forage_visit *visit)
{
    bool more;
    assert_int_equal(forage_play_next(play, visit, &more, NULL), FORAGE_OK);
    return more;
}

/* Shows one item; true for a click. */
static bool show(forage_play *play, uint32_t item, forage_reference *reference)
{
    const forage_feedback *feedback;
    size_t count;
    double earned;
    assert_int_equal(forage_play_answer(play, &item, 1, &feedback, &count, NULL, &earned, NULL), FORAGE_OK);
    if (reference)
        forage_reference_observe(reference, feedback, count);
    return earned > 0;
}

/* ---- Who comes ---- */

/* Each session has its visits, but for the first ones, which are shorter; nobody is in two at once, and a few are under
 * way at any time. */
static void sessions_last(void **state)
{
    (void)state;
    enum { VISITS = 20000, USERS = 40, LENGTH = 7, ACTIVE = 5 };
    forage_environment *environment = open_text(SHOP "sessions: {visits: 7, active: 5}\n", VISITS);
    forage_play *play = open_play(environment, 4);
    uint64_t last[USERS] = {0}, begun = 0, short_ones = 0, gaps = 0, within = 0;
    size_t of[USERS] = {0}, sessions[USERS] = {0};
    forage_visit visit;
    assert_int_equal(forage_environment_intents(environment), 0);
    while (next(play, &visit)) {
        uint32_t user = visit.request.user;
        assert_int_equal(visit.intent, FORAGE_NONE);
        if (visit.session_visit == 0) {
            short_ones += of[user] > 0 && of[user] < LENGTH;
            of[user] = 0;
            sessions[user]++;
            begun++;
        } else {
            gaps += visit.request.id - last[user];
            within++;
        }
        assert_int_equal(visit.session_visit, of[user]);
        of[user]++;
        assert_true(of[user] <= LENGTH);
        last[user] = visit.request.id;
        show(play, 0, NULL);
    }
    assert_true(short_ones <= ACTIVE && begun >= VISITS / LENGTH && begun < VISITS / LENGTH + 2 * ACTIVE);
    assert_true(fabs((double)gaps / (double)within - ACTIVE) < 0.3);
    for (size_t user = 0; user < USERS; user++)
        assert_true(fabs((double)sessions[user] - (double)begun / USERS) < 5 * sqrt((double)begun / USERS));
    forage_play_free(play);
    forage_environment_free(environment);
}

/* Newcomers come in sessions, too, and stay away afterwards. */
static void newcomers_have_sessions(void **state)
{
    (void)state;
    enum { VISITS = 20000 };
    forage_environment *environment =
        open_text(SHOP "sessions: {visits: 10, active: 3}\narrivals: {share: 0.4, visits: 25, active: 6}\n", VISITS);
    forage_play *play = open_play(environment, 1);
    uint64_t fresh = 0, most = 0;
    uint32_t people = 0;
    forage_visit visit;
    while (next(play, &visit)) {
        fresh += visit.new_user;
        people = visit.request.user >= people ? visit.request.user + 1 : people;
        most = visit.new_user && visit.user_visit > most ? visit.user_visit : most;
        show(play, 0, NULL);
    }
    assert_true(fabs((double)fresh / VISITS - 0.4) < 0.05);
    assert_true(most >= 25 && most < 35);
    assert_true(people > 40 + 200 && people <= forage_environment_catalogue(environment)->users);
    forage_play_free(play);
    forage_environment_free(environment);
}

/* The twins: intents change what is clicked, not who comes. */
static void twins_have_the_same_visitors(void **state)
{
    (void)state;
    const forage_environment_options options = {.visits = 5000};
    forage_environment *environment[2];
    forage_play *play[2];
    forage_visit visit[2];
    size_t intended = 0;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(forage_environment_open(i ? "sessions" : "intents", &options, &environment[i], NULL),
                         FORAGE_OK);
        play[i] = open_play(environment[i], 3);
    }
    while (next(play[0], &visit[0]) && next(play[1], &visit[1])) {
        assert_int_equal(visit[0].request.user, visit[1].request.user);
        assert_int_equal(visit[0].user_group, visit[1].user_group);
        assert_int_equal(visit[0].session_visit, visit[1].session_visit);
        if (visit[0].intent == FORAGE_NONE)
            assert_true(forage_play_best(play[0]) == forage_play_best(play[1]));
        else
            intended++;
    }
    assert_true(intended > 2000 && intended < 3000);
    assert_int_equal(forage_environment_intents(environment[0]), 3);
    assert_string_equal(forage_environment_intent_name(environment[0], 0), "aquarium");
    assert_null(forage_environment_intent_name(environment[0], 3));
    assert_null(forage_environment_intent_name(environment[1], 0));
    for (size_t i = 0; i < 2; i++) {
        forage_play_free(play[i]);
        forage_environment_free(environment[i]);
    }
}

/* ---- What is clicked ---- */

/* The truth is the table's; intents are as frequent, and last as long, as was said. */
static void intents_rule_a_session(void **state)
{
    (void)state;
    enum { VISITS = 60000 };
    forage_environment *environment =
        open_text(SHOP "sessions: {visits: 20, active: 4, intent: 0.6, change: 0.1}\n" INTENTS, VISITS);
    forage_play *play = open_play(environment, 2);
    uint64_t begun[KINDS] = {0}, all = 0, stayed = 0, went_on = 0;
    double clicks = 0, expected = 0;
    uint32_t before[40] = {0};
    forage_visit visit;
    while (next(play, &visit)) {
        uint32_t item = (uint32_t)(visit.request.id % 12), user = visit.request.user;
        size_t kind = visit.intent == FORAGE_NONE ? 0 : 1 + visit.intent;
        double best = 0, p = rate_of(visit.user_group, kind, forage_environment_item_group(environment, item));
        for (size_t c = 0; c < CATEGORIES; c++)
            best = fmax(best, rate_of(visit.user_group, kind, c));
        assert_true(fabs(forage_play_value(play, &item, 1) - p) < 1e-12);
        assert_true(fabs(forage_play_best(play) - best) < 1e-12);
        if (visit.session_visit == 0) {
            begun[kind]++;
            all++;
        } else {
            went_on++;
            stayed += before[user] == visit.intent;
        }
        before[user] = visit.intent;
        clicks += show(play, item, NULL);
        expected += p;
    }
    assert_true(fabs((double)begun[0] / (double)all - 0.4) < 0.04);
    assert_true(fabs((double)begun[1] / (double)all - 0.3) < 0.04);
    /* Of those drawn anew (a tenth), 0.4^2 + 2 x 0.3^2 are the same as before. */
    assert_true(fabs((double)stayed / (double)went_on - (0.9 + 0.1 * 0.34)) < 0.005);
    assert_true(fabs(clicks - expected) < 4 * sqrt(VISITS * 0.25));
    forage_play_free(play);
    forage_environment_free(environment);
}

/* ---- What can be known ---- */

typedef struct seen {
    size_t category;
    bool click, begins;
} seen;

enum { MOST_SEEN = 1000 };

/* P(what was seen | persona) by going through all courses that intents may have taken: of a session from `at` on, which
 * was about `kind` just before. */
static double course(const seen *events, size_t at, size_t count, size_t persona, size_t kind, double change)
{
    static const double share[KINDS] = {0.4, 0.3, 0.3};
    double sum = 0;
    if (at == count)
        return 1;
    if (events[at].begins && kind < KINDS) /* another session: by itself, see below */
        return 1;
    for (size_t now = 0; now < KINDS; now++) {
        double way = kind == KINDS ? share[now] : (now == kind ? 1 - change : 0) + change * share[now];
        double p = rate_of(persona, now, events[at].category);
        if (way > 0)
            sum += way * (events[at].click ? p : 1 - p) * course(events, at + 1, count, persona, now, change);
    }
    return sum;
}

/* log P(events and persona), over sessions, which are independent given the persona. */
static double joint(const seen *events, size_t count, size_t persona, double prior, double change)
{
    double sum = log(prior);
    for (size_t at = 0; at < count; at++)
        if (events[at].begins)
            sum += log(course(events, at, count, persona, KINDS, change));
    return sum;
}

static void bayes_filters_persona_and_intent(void **state)
{
    (void)state;
    enum { VISITS = 4000, USERS = 40 };
    static seen events[USERS][MOST_SEEN];
    size_t count[USERS] = {0};
    const double change = 0.15;
    forage_environment *environment =
        open_text(SHOP "sessions: {visits: 5, active: 4, intent: 0.6, change: 0.15}\n" INTENTS, VISITS);
    forage_play *play = open_play(environment, 2), *other = open_play(environment, 2);
    forage_reference *bayes, *oracle;
    double prior[PERSONAS] = {0}, loss = 0, least = 0;
    forage_visit visit;
    assert_int_equal(forage_reference_create("bayes", play, &bayes, NULL), FORAGE_OK);
    assert_int_equal(forage_reference_create("oracle", play, &oracle, NULL), FORAGE_OK);
    bool counted[USERS] = {false};
    while (next(other, &visit)) { /* everybody comes: so many are of each persona */
        prior[visit.user_group] += counted[visit.request.user] ? 0 : 1.0 / USERS;
        counted[visit.request.user] = true;
    }
    while (next(play, &visit)) {
        uint32_t item = (uint32_t)(visit.request.id * 5 % 12), user = visit.request.user;
        seen *mine = events[user];
        size_t n = count[user]++;
        double p, truth, with = 0, all = 0, most;
        mine[n] = (seen){forage_environment_item_group(environment, item), true, visit.session_visit == 0};
        forage_reference_expect(bayes, &visit, &item, 1, &p);
        forage_reference_expect(oracle, &visit, &item, 1, &truth);
        assert_true(truth == forage_play_value(play, &item, 1));
        /* P(click | before) = P(before, click) / P(before), both in units of the more probable persona. */
        most = fmax(joint(mine, n, 0, prior[0], change), joint(mine, n, 1, prior[1], change));
        for (size_t persona = 0; persona < PERSONAS; persona++) {
            with += exp(joint(mine, n + 1, persona, prior[persona], change) - most);
            all += exp(joint(mine, n, persona, prior[persona], change) - most);
        }
        if (fabs(p - with / all) > 1e-5)
            fail_msg("visit %d: %.7f, by enumeration %.7f", (int)visit.request.id, p, with / all);
        mine[n].click = show(play, item, bayes);
        loss -= mine[n].click ? log(p) : log1p(-p);
        least -= mine[n].click ? log(truth) : log1p(-truth);
    }
    assert_true(loss > least);
    forage_reference_free(bayes);
    forage_reference_free(oracle);
    forage_play_free(play);
    forage_play_free(other);
    forage_environment_free(environment);
}

/* In pages of several positions a click needs a look. */
static void expectations_know_positions(void **state)
{
    (void)state;
    forage_environment *environment = open_text(SHOP "sessions: {visits: 5}\npositions: [1, 0.5]\n", 10);
    forage_play *play = open_play(environment, 2);
    forage_reference *bayes;
    forage_visit visit;
    const uint32_t items[2] = {3, 7};
    double p[2], q;
    assert_int_equal(forage_reference_create("bayes", play, &bayes, NULL), FORAGE_OK);
    assert_true(next(play, &visit));
    forage_reference_expect(bayes, &visit, items, 2, p);
    forage_reference_expect(bayes, &visit, &items[1], 1, &q);
    assert_true(p[0] > 0 && p[0] < 1 && fabs(p[1] - q / 2) < 1e-12);
    forage_reference_free(bayes);
    forage_play_free(play);
    forage_environment_free(environment);
}

/* ---- Bad input ---- */

static void refuse(const char *text, uint64_t line, const char *field, const char *part)
{
    forage_scenario scenario;
    forage_error error = {0};
    if (forage_scenario_parse(text, strlen(text), "s.yaml", &scenario, &error) == FORAGE_OK)
        fail_msg("accepted: %s", text);
    if (error.line != line || strcmp(error.field, field) != 0 || !strstr(error.message, part))
        fail_msg("%s\nexpected %d, %s, '%s'; got %d: %s: %s", text, (int)line, field, part, (int)error.line,
                 error.field, error.message);
    assert_null(scenario.dynamics.sessions.intents);
    assert_null(scenario.dynamics.sessions.rates);
}

static void bad_sessions_are_refused(void **state)
{
    (void)state;
    const uint64_t n = SHOP_LINES;
#define SESSIONS "sessions: {visits: 3}\n"
    refuse(SHOP "sessions: 3\n", n, "sessions", "expected a map");
    refuse(SHOP "sessions: {active: 3}\n", n, "sessions", "'visits' is missing");
    refuse(SHOP "sessions: {visits: 0}\n", n, "sessions.visits", "not between 1");
    refuse(SHOP "sessions: {visits: 3, active: 0}\n", n, "sessions.active", "not between 1");
    refuse(SHOP "sessions: {visits: 3, active: 40}\n", 0, "sessions", "fewer than users (40)");
    refuse(SHOP "sessions: {visits: 3, active: 4}\narrivals: {share: 0.5, active: 4}\n", 0, "sessions",
           "fewer than newcomers who are about (4)");
    refuse(SHOP "sessions: {visits: 3, length: 4}\n", n, "sessions.length", "unknown key");
    refuse(SHOP "sessions: {visits: 3, intent: 0.5}\n", n, "sessions.intent", "unknown key");
    refuse(SHOP "sessions: {visits: 3, intent: 1.5}\n" INTENTS, n, "sessions.intent", "not between 0 and 1");
    refuse(SHOP "sessions: {visits: 3, change: -1}\n" INTENTS, n, "sessions.change", "not between 0 and 1");
    refuse(SHOP INTENTS, n, "intents", "add 'sessions'");
    refuse(SHOP SESSIONS "intents: [x]\n", n + 1, "intents", "expected a map");
    refuse(SHOP SESSIONS "intents: {}\n", n + 1, "intents", "0 intents");
    refuse(SHOP SESSIONS "intents: {x: 3}\n", n + 1, "intents.x", "expected a map");
    refuse(SHOP SESSIONS "intents: {x: {D: 1}}\n", n + 1, "intents.x.D", "no category 'D'; there are A, B, C");
    refuse(SHOP SESSIONS "intents: {x: {A: 1.5}}\n", n + 1, "intents.x.A", "not between 0 and 1");
    refuse(SHOP SESSIONS "intents: {\"\": {A: 1}}\n", n + 1, "", "an empty key");
#undef SESSIONS
}

/* One's own scenario, not from YAML. */
static void own_sessions_are_checked(void **state)
{
    (void)state;
    static const char text[] = SHOP "sessions: {visits: 3}\n" INTENTS;
    forage_scenario scenario;
    forage_error error = {0};
    assert_int_equal(forage_scenario_parse(text, strlen(text), "s.yaml", &scenario, &error), FORAGE_OK);
    assert_true(isnan(scenario.dynamics.sessions.rates[2]) && scenario.dynamics.sessions.intent == 1.0);
    scenario.dynamics.sessions.rates[2] = 2.0;
    assert_int_equal(forage_scenario_validate(&scenario, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "x's click rate for C"));
    scenario.dynamics.sessions.rates[2] = 1.0;
    char last = scenario.dynamics.sessions.intents[1][0];
    scenario.dynamics.sessions.intents[1][0] = 'x';
    assert_int_equal(forage_scenario_validate(&scenario, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "'x' is there twice"));
    scenario.dynamics.sessions.intents[1][0] = last;
    scenario.dynamics.sessions.visits = 0;
    assert_int_equal(forage_scenario_validate(&scenario, &error), FORAGE_INVALID);
    scenario.dynamics.sessions.visits = 3;
    scenario.dynamics.sessions.intent = NAN;
    assert_int_equal(forage_scenario_validate(&scenario, &error), FORAGE_INVALID);
    scenario.dynamics.sessions.intent = 0.5;
    assert_int_equal(forage_scenario_validate(&scenario, &error), FORAGE_OK);
    forage_scenario_release(&scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_last),
        cmocka_unit_test(newcomers_have_sessions),
        cmocka_unit_test(twins_have_the_same_visitors),
        cmocka_unit_test(intents_rule_a_session),
        cmocka_unit_test(bayes_filters_persona_and_intent),
        cmocka_unit_test(expectations_know_positions),
        cmocka_unit_test(bad_sessions_are_refused),
        cmocka_unit_test(own_sessions_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
