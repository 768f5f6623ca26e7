/*
 * reference.c: players who know more than a learner can, for comparison.
 *
 * oracle: sees the persona of who comes and the intent of the session, and shows the best slate.
 *
 * bayes: knows all but the personas and the intents. For each user it keeps the posterior
 *
 *     b(p) = P(persona p | what was told of this user's clicks)
 *
 * which begins with the share of p among the users of the opening day (evenly for newcomers, as they are drawn), is
 * multiplied by the likelihood of each impression that it is told of (in the position-based model those
 * of a slate are independent given the persona: P(click) = examination x rate), and moves as tastes do: b <- b T with
 * the transition matrix T of a drift rule, for all users at a rule's time, for one user before each visit where drift
 * is slow. It shows what has the highest expected reward, sum over p of b(p) x rate(p, item): it does not explore,
 * which costs little here because a persona shows itself by any click. Feedback that comes late is taken as if it were
 * about the persona now. Of equal items the first is shown: equal ones tell equally much.
 *
 * Where sessions have intents, it is the forward filter of a hidden Markov model whose state is a taste, persona and
 * intent together (sessions.c): b(p, i) is multiplied by the likelihood of what happened; when a session begins, it
 * becomes b(p) P(i) with b(p) the sum over i; before each further visit a share `change` of it does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/shop.h"

#include <math.h>
#include <string.h>

typedef struct reference_type {
    const char *name;
    forage_status (*open)(forage_reference *reference, forage_error *error);
    void (*choose)(forage_reference *reference, const forage_visit *visit, uint32_t *items);
    void (*expect)(forage_reference *reference, const forage_visit *visit, const uint32_t *items, size_t positions,
                   double *probability);
    void (*observe)(forage_reference *reference, const forage_feedback *feedback, size_t count);
} reference_type;

struct forage_reference {
    const reference_type *type;
    const forage_play *play;
    /* bayes */
    const sim_shop *shop;
    float *belief;   /* [users][tastes] */
    double *value;   /* [categories]: expected click rates of the visitor */
    double *moved;   /* [tastes]: scratch */
    size_t change;   /* the next change of tastes */
    uint32_t *user;  /* [span]: whose visit it was; visit v at v % span */
    uint32_t *items; /* [span][positions]: what it was shown */
};

/* ---- oracle ---- */

static forage_status oracle_open(forage_reference *reference, forage_error *error)
{
    if (reference->play->environment->type->best)
        return FORAGE_OK;
    return forage_fail(error, FORAGE_UNSUPPORTED, "'%s' has no oracle: nobody knows what would have been best",
                       forage_environment_name(reference->play->environment));
}

static void oracle_choose(forage_reference *reference, const forage_visit *visit, uint32_t *items)
{
    (void)visit;
    reference->play->environment->type->best(reference->play, items);
}

/* In a table or a log a slate has one position, whose value is its probability. */
static void oracle_expect(forage_reference *reference, const forage_visit *visit, const uint32_t *items,
                          size_t positions, double *probability)
{
    const forage_play *play = reference->play;
    const sim_shop *shop = sim_shop_of(play->environment);
    (void)visit;
    for (size_t k = 0; k < positions; k++)
        probability[k] =
            play->environment->type == &sim_environment_shop
                ? shop->examination[k] * sim_shop_rate(shop, ((const sim_shop_play *)play)->taste, items[k])
                : play->environment->type->value(play, &items[k], 1);
}

/* ---- bayes ---- */

static void begin_beliefs(forage_reference *r)
{
    const sim_shop *shop = r->shop;
    size_t personas = shop->scenario.persona_count, there = (size_t)shop->scenario.users, width = shop->taste_width;
    memset(r->moved, 0, personas * sizeof *r->moved);
    for (size_t user = 0; user < there; user++)
        r->moved[shop->simulator->persona[user]] += 1.0 / (double)there;
    for (size_t user = 0; user < shop->base.catalogue.users; user++) {
        for (size_t t = 0; t < shop->taste_count; t++)
            r->belief[user * shop->taste_count + t] =
                (float)((user < there ? r->moved[t / width] : 1.0 / (double)personas) * shop->intent_share[t % width]);
    }
}

static forage_status bayes_open(forage_reference *r, forage_error *error)
{
    if (r->play->environment->type != &sim_environment_shop)
        return forage_fail(error, FORAGE_UNSUPPORTED, "'%s' has no personas that 'bayes' could know",
                           forage_environment_name(r->play->environment));
    const sim_shop *shop = r->shop = sim_shop_of(r->play->environment);
    size_t span = (size_t)shop->scenario.dynamics.delay + 1, tastes = shop->taste_count;
    r->belief = forage_alloc(shop->base.catalogue.users, tastes * sizeof *r->belief);
    r->value = forage_alloc(shop->scenario.category_count, sizeof *r->value);
    r->moved = forage_alloc(tastes, sizeof *r->moved);
    r->user = forage_alloc(span, sizeof *r->user);
    r->items = forage_alloc(span, shop->base.positions * sizeof *r->items);
    if (!r->belief || !r->value || !r->moved || !r->user || !r->items)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for beliefs about %zu users",
                           shop->base.catalogue.users);
    begin_beliefs(r);
    return FORAGE_OK;
}

/* b <- b T for one user: a share of what is believed of `from` moves to `to`. Intents stay what they are. */
static void move(forage_reference *r, float *belief, const forage_drift_rule *rule, double share)
{
    size_t personas = r->shop->scenario.persona_count, width = r->shop->taste_width;
    memset(r->moved, 0, r->shop->taste_count * sizeof *r->moved);
    for (size_t t = 0; t < r->shop->taste_count; t++) {
        size_t p = t / width, intent = t % width;
        double leaves = (double)belief[t] * share;
        if (rule->from != FORAGE_NONE && rule->from != p)
            continue;
        if (rule->to != FORAGE_NONE)
            r->moved[rule->to * width + intent] += leaves;
        for (size_t q = 0; rule->to == FORAGE_NONE && q < personas; q++)
            r->moved[q * width + intent] += q != p ? leaves / (double)(personas - 1) : 0.0;
        if (rule->to != FORAGE_NONE || personas > 1)
            r->moved[t] -= leaves;
    }
    for (size_t t = 0; t < r->shop->taste_count; t++)
        belief[t] += (float)r->moved[t];
}

/* A share of what is believed of a persona's intents is what is known of them beforehand: all of it when a session
 * begins. */
static void redraw_intent(forage_reference *r, float *belief, double share)
{
    const sim_shop *shop = r->shop;
    size_t width = shop->taste_width;
    for (size_t p = 0; p < shop->scenario.persona_count; p++) {
        float *of = belief + p * width;
        double sum = 0.0;
        for (size_t i = 0; i < width; i++)
            sum += (double)of[i];
        for (size_t i = 0; i < width; i++)
            of[i] = (float)((1.0 - share) * (double)of[i] + share * sum * shop->intent_share[i]);
    }
}

static void move_with_time(forage_reference *r, const forage_visit *visit)
{
    const sim_shop *shop = r->shop;
    const forage_dynamics *d = &shop->scenario.dynamics;
    float *belief = r->belief + visit->request.user * shop->taste_count;
    for (; r->change < shop->change_count && shop->changes[r->change].visit <= visit->request.id; r->change++) {
        const forage_drift_rule *rule = shop->changes[r->change].rule;
        size_t arrived = ((const sim_shop_play *)r->play)->arrived + (size_t)shop->scenario.users;
        for (size_t user = 0; user < arrived; user++)
            move(r, r->belief + user * shop->taste_count, rule, rule->share);
    }
    for (size_t i = 0; shop->slow && i < d->drift_count; i++) {
        if (d->drifts[i].per_visit > 0.0)
            move(r, belief, &d->drifts[i], d->drifts[i].per_visit);
    }
    if (d->sessions.intent_count > 0 && visit->session_visit == 0)
        redraw_intent(r, belief, 1.0);
    else if (d->sessions.intent_count > 0 && d->sessions.change > 0.0)
        redraw_intent(r, belief, d->sessions.change);
}

/* What the visit is shown, for when feedback comes. */
static void remember(forage_reference *r, const forage_visit *visit, const uint32_t *items, size_t positions)
{
    size_t place = (size_t)(visit->request.id % (r->shop->scenario.dynamics.delay + 1));
    r->user[place] = visit->request.user;
    memcpy(r->items + place * r->shop->base.positions, items, positions * sizeof *items);
}

static void bayes_choose(forage_reference *r, const forage_visit *visit, uint32_t *items)
{
    const sim_shop *shop = r->shop;
    size_t categories = shop->scenario.category_count, row = categories + 1, width = shop->base.positions;
    move_with_time(r, visit);
    const float *belief = r->belief + visit->request.user * shop->taste_count;
    memset(r->value, 0, categories * sizeof *r->value);
    for (size_t t = 0; t < shop->taste_count; t++) {
        double share = (double)belief[t];
        if (share < 1e-9)
            continue;
        for (size_t c = 0; c < categories; c++)
            r->value[c] += share * shop->rates[t * row + c];
    }
    sim_assortment_best(shop, &shop->epochs[((const sim_shop_play *)r->play)->epoch], r->value, width, items);
    remember(r, visit, items, width);
}

static void bayes_expect(forage_reference *r, const forage_visit *visit, const uint32_t *items, size_t positions,
                         double *probability)
{
    const sim_shop *shop = r->shop;
    move_with_time(r, visit);
    const float *belief = r->belief + visit->request.user * shop->taste_count;
    for (size_t k = 0; k < positions; k++) {
        double click = 0.0, sum = 0.0; /* beliefs add up to 1 but for rounding */
        for (size_t t = 0; t < shop->taste_count; t++) {
            click += (double)belief[t] * sim_shop_rate(shop, t, items[k]);
            sum += (double)belief[t];
        }
        probability[k] = sum > 0.0 ? shop->examination[k] * click / sum : 0.0;
    }
    remember(r, visit, items, positions);
}

/* b(p) <- b(p) P(what happened | p), normalised. */
static void bayes_observe(forage_reference *r, const forage_feedback *feedback, size_t count)
{
    const sim_shop *shop = r->shop;
    size_t tastes = shop->taste_count;
    for (size_t i = 0; i < count; i++) {
        size_t place = (size_t)(feedback[i].decision % (shop->scenario.dynamics.delay + 1));
        uint32_t item = r->items[place * shop->base.positions + feedback[i].position];
        float *belief = r->belief + r->user[place] * tastes;
        double sum = 0.0;
        for (size_t t = 0; t < tastes; t++) {
            double click = shop->examination[feedback[i].position] * sim_shop_rate(shop, t, item);
            r->moved[t] = (double)belief[t] * (feedback[i].reward > 0.0F ? click : 1.0 - click);
            sum += r->moved[t];
        }
        for (size_t t = 0; t < tastes && sum > 0.0; t++)
            belief[t] = (float)(r->moved[t] / sum);
    }
}

/* ---- The front ---- */

static const reference_type references[] = {
    {"bayes", bayes_open, bayes_choose, bayes_expect, bayes_observe},
    {"oracle", oracle_open, oracle_choose, oracle_expect, NULL},
};

void forage_reference_free(forage_reference *reference)
{
    if (!reference)
        return;
    forage_free(reference->belief);
    forage_free(reference->value);
    forage_free(reference->moved);
    forage_free(reference->user);
    forage_free(reference->items);
    forage_free(reference);
}

forage_status forage_reference_create(const char *name, const forage_play *play, forage_reference **reference,
                                      forage_error *error)
{
    const reference_type *type = NULL;
    *reference = NULL;
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
        type = strcmp(references[i].name, name) == 0 ? &references[i] : type;
    if (!type)
        return forage_fail(error, FORAGE_UNKNOWN, "no reference '%s'; there are bayes, oracle", name);
    forage_reference *r = forage_calloc(1, sizeof *r);
    if (!r)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a reference");
    r->type = type;
    r->play = play;
    forage_status status = type->open(r, error);
    if (status != FORAGE_OK) {
        forage_reference_free(r);
        return status;
    }
    *reference = r;
    return FORAGE_OK;
}

void forage_reference_choose(forage_reference *reference, const forage_visit *visit, uint32_t *items)
{
    reference->type->choose(reference, visit, items);
}

void forage_reference_expect(forage_reference *reference, const forage_visit *visit, const uint32_t *items,
                             size_t positions, double *probability)
{
    reference->type->expect(reference, visit, items, positions, probability);
}

void forage_reference_observe(forage_reference *reference, const forage_feedback *feedback, size_t count)
{
    if (reference->type->observe)
        reference->type->observe(reference, feedback, count);
}
