/*
 * classes.c: see classes.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/classes.h"

#include <math.h>
#include <string.h>

/* ---- memory ---- */

void classes_release(classes *c)
{
    forage_free(c->hits);
    forage_free(c->misses);
    forage_free(c->users);
    forage_free(c->click);
    forage_free(c->pass);
    forage_free(c->share);
    *c = (classes){0};
}

static bool extend(void **block, size_t old, size_t count, size_t size)
{
    void *grown = forage_realloc(*block, old, count, size);
    if (!grown)
        return false;
    memset((char *)grown + old * size, 0, (count - old) * size);
    *block = grown;
    return true;
}

forage_status classes_reserve(classes *c, size_t arms, forage_error *error)
{
    size_t old = c->arms * c->most, cells = arms * c->most + 1;
    void *hits = c->hits, *misses = c->misses, *click = c->click, *pass = c->pass;
    bool done = arms < SIZE_MAX / 64 / c->most && extend(&hits, old, cells, sizeof *c->hits) &&
                extend(&misses, old, cells, sizeof *c->misses) && extend(&click, old, cells, sizeof *c->click) &&
                extend(&pass, old, cells, sizeof *c->pass);
    c->hits = hits;
    c->misses = misses;
    c->click = click;
    c->pass = pass;
    if (!done)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu arms of %zu classes", arms, c->most);
    return FORAGE_OK;
}

forage_status classes_create(classes *c, size_t arms, size_t most, forage_error *error)
{
    *c = (classes){.most = most, .count = 1};
    c->users = forage_calloc(most, sizeof *c->users);
    c->share = forage_calloc(most, sizeof *c->share);
    if (!c->users || !c->share)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu classes", most);
    FORAGE_TRY(classes_reserve(c, arms, error));
    c->arms = arms;
    return FORAGE_OK;
}

size_t classes_memory(const classes *c)
{
    return c->arms * c->most * 2 * (sizeof *c->hits + sizeof *c->click) +
           c->most * (sizeof *c->users + sizeof *c->share);
}

void classes_copy(classes *to, const classes *from)
{
    size_t cells = from->arms * from->most;
    to->count = from->count;
    memcpy(to->hits, from->hits, cells * sizeof *to->hits);
    memcpy(to->misses, from->misses, cells * sizeof *to->misses);
    memcpy(to->click, from->click, cells * sizeof *to->click);
    memcpy(to->pass, from->pass, cells * sizeof *to->pass);
    memcpy(to->users, from->users, from->most * sizeof *to->users);
    memcpy(to->share, from->share, from->most * sizeof *to->share);
}

void classes_clear(classes *c)
{
    memset(c->hits, 0, c->arms * c->most * sizeof *c->hits);
    memset(c->misses, 0, c->arms * c->most * sizeof *c->misses);
    memset(c->users, 0, c->most * sizeof *c->users);
    c->count = 1;
}

forage_status classes_scratch_create(classes_scratch *scratch, size_t window, size_t most, forage_error *error)
{
    *scratch = (classes_scratch){.belief = forage_calloc(window * most, sizeof *scratch->belief),
                                 .likely = forage_calloc(window * most, sizeof *scratch->likely),
                                 .scale = forage_calloc(window, sizeof *scratch->scale),
                                 .same = forage_calloc(window, sizeof *scratch->same)};
    if (scratch->belief && scratch->likely && scratch->scale && scratch->same)
        return FORAGE_OK;
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for windows of %zu events of %zu classes", window, most);
}

void classes_scratch_release(classes_scratch *scratch)
{
    forage_free(scratch->belief);
    forage_free(scratch->likely);
    forage_free(scratch->scale);
    forage_free(scratch->same);
    *scratch = (classes_scratch){0};
}

/* ---- what an event weighs ---- */

/* psi(x) for x > 0: moved up to where the asymptotic series has 12 digits (Abramowitz and Stegun 6.3.18). */
double classes_digamma(double x)
{
    double moved = 0;
    while (x < 8) {
        moved -= 1 / x;
        x += 1;
    }
    double s = 1 / (x * x);
    return moved + log(x) - 0.5 / x - s * (1. / 12 - s * (1. / 120 - s * (1. / 252 - s * (1. / 240 - s / 132))));
}

double classes_log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

void classes_expect_arm(classes *c, const classes_prior *prior, size_t arm)
{
    for (size_t k = 0; k < c->count; k++) {
        size_t cell = arm * c->most + k;
        double a = prior->a + c->hits[cell], b = prior->b + c->misses[cell];
        c->click[cell] = (float)(a / (a + b));
        c->pass[cell] = (float)(b / (a + b));
    }
}

/* The part of the Dirichlet's prior that one class has; *total: of all, with their users. */
static double own_part(const classes *c, const classes_prior *prior, double *total)
{
    double own = prior->concentration / (double)c->most;
    *total = 0;
    for (size_t k = 0; k < c->count; k++)
        *total += own + c->users[k];
    return own;
}

void classes_expect(classes *c, const classes_prior *prior)
{
    double total, own = own_part(c, prior, &total);
    for (size_t arm = 0; arm < c->arms; arm++)
        classes_expect_arm(c, prior, arm);
    for (size_t k = 0; k < c->most; k++)
        c->share[k] = k < c->count ? (float)((own + c->users[k]) / total) : 0;
}

void classes_weigh(classes *c, const classes_prior *prior)
{
    double total, own = own_part(c, prior, &total), none = classes_digamma(prior->a + prior->b);
    float click = (float)exp(classes_digamma(prior->a) - none), pass = (float)exp(classes_digamma(prior->b) - none);
    for (size_t arm = 0; arm < c->arms; arm++) {
        for (size_t k = 0; k < c->count; k++) {
            size_t cell = arm * c->most + k;
            double a = prior->a + c->hits[cell], b = prior->b + c->misses[cell];
            bool met = c->hits[cell] > 0 || c->misses[cell] > 0;
            double both = met ? classes_digamma(a + b) : 0;
            c->click[cell] = met ? (float)exp(classes_digamma(a) - both) : click;
            c->pass[cell] = met ? (float)exp(classes_digamma(b) - both) : pass;
        }
    }
    for (size_t k = 0; k < c->most; k++)
        c->share[k] = k < c->count ? (float)exp(classes_digamma(own + c->users[k]) - classes_digamma(total)) : 0;
}

void classes_count(classes *c, uint32_t arm, float reward, float weight, const float *belief)
{
    double *hits = c->hits + arm * c->most, *misses = c->misses + arm * c->most;
    double click = (double)weight * (double)reward, pass = (double)weight - click;
    for (size_t k = 0; k < c->count; k++) {
        hits[k] += click * (double)belief[k];
        misses[k] += pass * (double)belief[k];
    }
}

/* likely[k]: of the entry under class k, up to a factor whose logarithm is returned. */
static double emit(const classes *c, uint32_t arm, float reward, float weight, float *likely)
{
    const float *click = c->click + arm * c->most, *pass = c->pass + arm * c->most;
    float most = -INFINITY;
    if (weight == 1 && (reward == 0 || reward == 1)) {
        memcpy(likely, reward == 1 ? click : pass, c->count * sizeof *likely);
        return 0;
    }
    for (size_t k = 0; k < c->count; k++) {
        /* a rate may be so near 0 or 1 that a float calls it that */
        likely[k] = weight * (reward * logf(fmaxf(click[k], 1e-30F)) + (1 - reward) * logf(fmaxf(pass[k], 1e-30F)));
        most = fmaxf(most, likely[k]);
    }
    for (size_t k = 0; k < c->count; k++)
        likely[k] = expf(likely[k] - most);
    return (double)most;
}

/* ---- a user's class over time ---- */

/* next = belief after the hazard times what the entry weighs, normalised. Returns the sum before. */
static double step(const classes *c, double hazard, const float *belief, const float *likely, float *next)
{
    float stay = (float)(1 - hazard), change = (float)hazard, sum = 0;
    for (size_t k = 0; k < c->count; k++) {
        next[k] = (stay * belief[k] + change * c->share[k]) * likely[k];
        sum += next[k];
    }
    if (!(sum > 1e-30F)) { /* no class that the user could be of explains this: anything is possible */
        for (size_t k = 0; k < c->count; k++)
            next[k] = c->share[k];
        return 1e-30;
    }
    for (size_t k = 0; k < c->count; k++)
        next[k] /= sum;
    return (double)sum;
}

double classes_filter(const classes *c, double hazard, uint32_t arm, float reward, float weight, float *belief)
{
    float likely[CLASSES_LIMIT];
    (void)emit(c, arm, reward, weight, likely);
    return step(c, hazard, belief, likely, belief);
}

static double forward(const classes *c, double hazard, const classes_events *events, size_t user,
                      classes_scratch *scratch)
{
    size_t at = user * events->window, most = c->most;
    double evidence = 0, product = 1;
    for (size_t i = 0; i < events->length[user]; i++) {
        float *likely = scratch->likely + i * most, *now = scratch->belief + i * most;
        evidence += emit(c, events->arm[at + i], events->reward[at + i], events->weight[at + i], likely);
        scratch->scale[i] = step(c, hazard, i ? now - most : c->share, likely, now);
        product *= scratch->scale[i];
        if (product < 1e-200) { /* one logarithm for many factors */
            evidence += log(product);
            product = 1;
        }
    }
    return evidence + log(product);
}

static void normalise(float *belief, size_t count)
{
    float sum = 0;
    for (size_t k = 0; k < count; k++)
        sum += belief[k];
    for (size_t k = 0; k < count; k++)
        belief[k] = sum > 0 ? belief[k] / sum : 1 / (float)count;
}

double classes_smooth(const classes *c, double hazard, const classes_events *events, size_t user,
                      classes_scratch *scratch)
{
    double evidence = forward(c, hazard, events, user, scratch);
    float later[CLASSES_LIMIT], stay = (float)(1 - hazard), change = (float)hazard;
    for (size_t k = 0; k < c->count; k++)
        later[k] = 1; /* how likely the entries behind i are, from each class at i */
    for (size_t i = events->length[user]; i-- > 1;) {
        const float *likely = scratch->likely + i * c->most;
        float *before = scratch->belief + (i - 1) * c->most, scale = (float)(1 / scratch->scale[i]), any = 0;
        for (size_t k = 0; k < c->count; k++) {
            later[k] *= likely[k] * scale;
            any += c->share[k] * later[k];
        }
        for (size_t k = 0; k < c->count; k++) {
            later[k] = stay * later[k] + change * any;
            before[k] *= later[k];
        }
        normalise(before, c->count);
    }
    return evidence;
}

void classes_compare(const classes *c, double hazard, const classes_events *events, size_t user,
                     classes_scratch *scratch)
{
    /* later[k][j]: how likely the entries behind i are, ending in class j, from class k at i */
    float later[CLASSES_LIMIT][CLASSES_LIMIT], stay = (float)(1 - hazard), change = (float)hazard;
    size_t count = c->count, length = events->length[user];
    (void)forward(c, hazard, events, user, scratch);
    for (size_t k = 0; k < count; k++) {
        for (size_t j = 0; j < count; j++)
            later[k][j] = k == j;
    }
    scratch->same[length - 1] = 1;
    for (size_t i = length; i-- > 1;) {
        const float *likely = scratch->likely + i * c->most;
        float *before = scratch->belief + (i - 1) * c->most, scale = (float)(1 / scratch->scale[i]), same = 0, all = 0;
        float any[CLASSES_LIMIT] = {0};
        for (size_t k = 0; k < count; k++) {
            for (size_t j = 0; j < count; j++) {
                later[k][j] *= likely[k] * scale;
                any[j] += c->share[k] * later[k][j];
            }
        }
        for (size_t k = 0; k < count; k++) {
            float sum = 0;
            for (size_t j = 0; j < count; j++) {
                later[k][j] = stay * later[k][j] + change * any[j];
                sum += later[k][j];
            }
            same += before[k] * later[k][k];
            before[k] *= sum;
            all += before[k];
        }
        scratch->same[i - 1] = all > 0 ? fminf(same / all, 1) : 0;
        normalise(before, count);
    }
}

/* ---- windows ---- */

static void move_entries(classes_events *e, size_t to, size_t from, size_t count)
{
    memmove(e->arm + to, e->arm + from, count * sizeof *e->arm);
    memmove(e->reward + to, e->reward + from, count * sizeof *e->reward);
    memmove(e->weight + to, e->weight + from, count * sizeof *e->weight);
}

/* Adds an entry to that of its arm among the `kept` first of a window; returns how many there are then. */
static size_t join(classes_events *e, size_t at, size_t kept, uint32_t arm, float reward, float weight)
{
    for (size_t i = at; i < at + kept; i++) {
        if (e->arm[i] == arm) {
            float both = e->weight[i] + weight;
            e->reward[i] = fminf((e->reward[i] * e->weight[i] + reward * weight) / both, 1);
            e->weight[i] = both;
            return kept;
        }
    }
    e->arm[at + kept] = arm;
    e->reward[at + kept] = reward;
    e->weight[at + kept] = weight;
    return kept + 1;
}

void classes_condense(const classes *c, classes *past, double hazard, classes_events *events, size_t user,
                      classes_scratch *scratch)
{
    size_t half = events->window / 2, rest = events->length[user] - half, at = user * events->window, kept = 0;
    const float *last = scratch->belief + (events->length[user] - 1) * c->most;
    classes_compare(c, hazard, events, user, scratch);
    for (size_t e = 0; e < half; e++) {
        uint32_t arm = events->arm[at + e];
        float reward = events->reward[at + e], weight = events->weight[at + e], same = scratch->same[e];
        if (same > 0.99F || weight * same > 0.01F)
            kept = join(events, at, kept, arm, reward, weight * same);
        else
            same = 0;
        if (same < 1)
            classes_count(past, arm, reward, weight * (1 - same), scratch->belief + e * c->most);
    }
    while (kept > half / 2) {
        size_t rarest = at;
        for (size_t i = at; i < at + kept; i++)
            rarest = events->weight[i] < events->weight[rarest] ? i : rarest;
        classes_count(past, events->arm[rarest], events->reward[rarest], events->weight[rarest], last);
        move_entries(events, rarest, rarest + 1, at + --kept - rarest);
    }
    move_entries(events, at + kept, at + half, rest);
    events->length[user] = (uint32_t)(kept + rest);
}
