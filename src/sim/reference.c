/*
 * reference.c: players who know more than a learner can, for comparison.
 *
 * oracle: sees the persona of who comes, and shows the best slate.
 *
 * bayes: knows all but the personas. For each user it keeps the posterior
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
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/shop.h"

#include <math.h>
#include <string.h>

typedef struct reference_type {
    const char *name;
    forage_status (*open)(forage_reference *reference, forage_error *error);
    void (*choose)(forage_reference *reference, const forage_visit *visit, uint32_t *items);
    void (*observe)(forage_reference *reference, const forage_feedback *feedback, size_t count);
} reference_type;

struct forage_reference {
    const reference_type *type;
    const forage_play *play;
    /* bayes */
    const sim_shop *shop;
    float *belief;   /* [users][personas] */
    double *value;   /* [categories]: expected click rates of the visitor */
    double *moved;   /* [personas]: scratch */
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

/* ---- bayes ---- */

static void begin_beliefs(forage_reference *r)
{
    const sim_shop *shop = r->shop;
    size_t personas = shop->scenario.persona_count, there = (size_t)shop->scenario.users;
    memset(r->moved, 0, personas * sizeof *r->moved);
    for (size_t user = 0; user < there; user++)
        r->moved[shop->simulator->persona[user]] += 1.0 / (double)there;
    for (size_t user = 0; user < shop->base.catalogue.users; user++) {
        for (size_t p = 0; p < personas; p++)
            r->belief[user * personas + p] = (float)(user < there ? r->moved[p] : 1.0 / (double)personas);
    }
}

static forage_status bayes_open(forage_reference *r, forage_error *error)
{
    if (r->play->environment->type != &sim_environment_shop)
        return forage_fail(error, FORAGE_UNSUPPORTED, "'%s' has no personas that 'bayes' could know",
                           forage_environment_name(r->play->environment));
    const sim_shop *shop = r->shop = sim_shop_of(r->play->environment);
    size_t span = (size_t)shop->scenario.dynamics.delay + 1, personas = shop->scenario.persona_count;
    r->belief = forage_alloc(shop->base.catalogue.users, personas * sizeof *r->belief);
    r->value = forage_alloc(shop->scenario.category_count, sizeof *r->value);
    r->moved = forage_alloc(personas, sizeof *r->moved);
    r->user = forage_alloc(span, sizeof *r->user);
    r->items = forage_alloc(span, shop->base.positions * sizeof *r->items);
    if (!r->belief || !r->value || !r->moved || !r->user || !r->items)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for beliefs about %zu users",
                           shop->base.catalogue.users);
    begin_beliefs(r);
    return FORAGE_OK;
}

/* b <- b T for one user: a share of what is believed of `from` moves to `to`. */
static void move(forage_reference *r, float *belief, const forage_drift_rule *rule, double share)
{
    size_t personas = r->shop->scenario.persona_count;
    memset(r->moved, 0, personas * sizeof *r->moved);
    for (size_t p = 0; p < personas; p++) {
        double leaves = (double)belief[p] * share;
        if (rule->from != FORAGE_NONE && rule->from != p)
            continue;
        if (rule->to != FORAGE_NONE)
            r->moved[rule->to] += leaves;
        for (size_t q = 0; rule->to == FORAGE_NONE && q < personas; q++)
            r->moved[q] += q != p ? leaves / (double)(personas - 1) : 0.0;
        if (rule->to != FORAGE_NONE || personas > 1)
            r->moved[p] -= leaves;
    }
    for (size_t p = 0; p < personas; p++)
        belief[p] += (float)r->moved[p];
}

static void move_with_time(forage_reference *r, const forage_visit *visit)
{
    const sim_shop *shop = r->shop;
    const forage_dynamics *d = &shop->scenario.dynamics;
    size_t personas = shop->scenario.persona_count;
    for (; r->change < shop->change_count && shop->changes[r->change].visit <= visit->request.id; r->change++) {
        const forage_drift_rule *rule = shop->changes[r->change].rule;
        size_t arrived = ((const sim_shop_play *)r->play)->arrived + (size_t)shop->scenario.users;
        for (size_t user = 0; user < arrived; user++)
            move(r, r->belief + user * personas, rule, rule->share);
    }
    for (size_t i = 0; shop->slow && i < d->drift_count; i++) {
        if (d->drifts[i].per_visit > 0.0)
            move(r, r->belief + visit->request.user * personas, &d->drifts[i], d->drifts[i].per_visit);
    }
}

static void bayes_choose(forage_reference *r, const forage_visit *visit, uint32_t *items)
{
    const sim_shop *shop = r->shop;
    const forage_simulator *s = shop->simulator;
    size_t row = s->category_count + 1, width = shop->base.positions;
    size_t place = (size_t)(visit->request.id % (shop->scenario.dynamics.delay + 1));
    move_with_time(r, visit);
    const float *belief = r->belief + visit->request.user * s->persona_count;
    memset(r->value, 0, s->category_count * sizeof *r->value);
    for (size_t p = 0; p < s->persona_count; p++) {
        double share = (double)belief[p];
        if (share < 1e-9)
            continue;
        for (size_t c = 0; c < s->category_count; c++)
            r->value[c] += share * s->rates[p * row + c];
    }
    sim_assortment_best(shop, &shop->epochs[((const sim_shop_play *)r->play)->epoch], r->value, width, items);
    r->user[place] = visit->request.user;
    memcpy(r->items + place * width, items, width * sizeof *items);
}

/* b(p) <- b(p) P(what happened | p), normalised. */
static void bayes_observe(forage_reference *r, const forage_feedback *feedback, size_t count)
{
    const sim_shop *shop = r->shop;
    size_t personas = shop->scenario.persona_count;
    for (size_t i = 0; i < count; i++) {
        size_t place = (size_t)(feedback[i].decision % (shop->scenario.dynamics.delay + 1));
        uint32_t item = r->items[place * shop->base.positions + feedback[i].position];
        float *belief = r->belief + r->user[place] * personas;
        double sum = 0.0;
        for (size_t p = 0; p < personas; p++) {
            double click = shop->examination[feedback[i].position] * sim_shop_rate(shop, p, item);
            r->moved[p] = (double)belief[p] * (feedback[i].reward > 0.0F ? click : 1.0 - click);
            sum += r->moved[p];
        }
        for (size_t p = 0; p < personas && sum > 0.0; p++)
            belief[p] = (float)(r->moved[p] / sum);
    }
}

/* ---- The front ---- */

static const reference_type references[] = {
    {"bayes", bayes_open, bayes_choose, bayes_observe},
    {"oracle", oracle_open, oracle_choose, NULL},
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

void forage_reference_observe(forage_reference *reference, const forage_feedback *feedback, size_t count)
{
    if (reference->type->observe)
        reference->type->observe(reference, feedback, count);
}
