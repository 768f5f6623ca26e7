/*
 * classes_find.c: the search for classes.
 *
 * Each start is improved by turns of variational Bayes and judged by its bound on the log probability of the events,
 * to which log K! is added for the K! orders in which the same classes may be named (Bishop 2006, section 10.2.4). Many
 * starts are made because one alone may end in a poor local optimum; classes that nobody belongs to are
 * taken out on the way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/classes.h"

#include <math.h>
#include <string.h>

enum { TURNS = 20, CHECK = 5 }; /* turns of one start; the bound is looked at after every so many */

/* A start that is better by less is not worth a change. */
static const double MARGIN = 1;

static double log_beta(double a, double b)
{
    return classes_log_gamma(a) + classes_log_gamma(b) - classes_log_gamma(a + b);
}

/* How far the posterior of rates and shares is from the prior (Kullback and Leibler's divergence). */
static double divergence(const classes *c, const classes_prior *prior)
{
    double own = prior->concentration / (double)c->most, far = 0, total = 0;
    for (size_t arm = 0; arm < c->arms; arm++) {
        for (size_t k = 0; k < c->count; k++) {
            double h = c->hits[arm * c->most + k], m = c->misses[arm * c->most + k];
            if (h > 0 || m > 0)
                far += log_beta(prior->a, prior->b) - log_beta(prior->a + h, prior->b + m) +
                       h * classes_digamma(prior->a + h) + m * classes_digamma(prior->b + m) -
                       (h + m) * classes_digamma(prior->a + prior->b + h + m);
        }
    }
    for (size_t k = 0; k < c->count; k++)
        total += own + c->users[k];
    far += classes_log_gamma(total) - classes_log_gamma(own * (double)c->count);
    for (size_t k = 0; k < c->count; k++)
        far += classes_log_gamma(own) - classes_log_gamma(own + c->users[k]) +
               c->users[k] * (classes_digamma(own + c->users[k]) - classes_digamma(total));
    return far;
}

/* One turn: from counts to weights to users to new counts in `next`. Returns the bound of the old counts, if wanted. */
static double turn(classes_search *s, classes *c, classes *next, bool wanted)
{
    double far = wanted ? divergence(c, s->prior) : 0, evidence = 0;
    classes_weigh(c, s->prior);
    classes_clear(next);
    next->count = c->count;
    for (size_t i = 0; i < s->count; i++) {
        size_t user = s->users[i], at = user * s->events->window, length = s->events->length[user];
        evidence += classes_smooth(c, s->hazard, s->events, user, s->scratch);
        for (size_t e = 0; e < length; e++)
            classes_count(next, s->events->arm[at + e], s->events->reward[at + e], s->events->weight[at + e],
                          s->scratch->belief + e * c->most);
        for (size_t k = 0; k < c->count; k++)
            next->users[k] += (double)s->scratch->belief[k];
        s->work += length * c->count;
    }
    s->work += c->arms * c->count * 8;
    return evidence - far + classes_log_gamma((double)c->count + 1);
}

/* Takes out classes that hardly anybody belongs to, but for one. */
static void prune(classes *c)
{
    size_t kept = 0, old = c->count;
    for (size_t k = 0; k < old; k++) {
        if (c->users[k] < 1 && kept + (old - k) > 1)
            continue;
        c->users[kept] = c->users[k];
        for (size_t arm = 0; kept != k && arm < c->arms; arm++) {
            c->hits[arm * c->most + kept] = c->hits[arm * c->most + k];
            c->misses[arm * c->most + kept] = c->misses[arm * c->most + k];
        }
        kept++;
    }
    for (size_t k = kept; k < old; k++) {
        c->users[k] = 0;
        for (size_t arm = 0; arm < c->arms; arm++)
            c->hits[arm * c->most + k] = c->misses[arm * c->most + k] = 0;
    }
    c->count = kept;
}

/* went[j][k]: of the users of c's old class j, the part that is of class k now. */
static void follow(classes_search *s, const classes *now, size_t old_count, double (*went)[CLASSES_LIMIT])
{
    memset(went, 0, sizeof(double[CLASSES_LIMIT][CLASSES_LIMIT]));
    for (size_t i = 0; i < s->count; i++) {
        size_t user = s->users[i], length = s->events->length[user];
        const float *old = s->belief + user * now->most, *last = s->scratch->belief + (length - 1) * now->most;
        (void)classes_smooth(now, s->hazard, s->events, user, s->scratch);
        for (size_t j = 0; j < old_count; j++) {
            for (size_t k = 0; k < now->count; k++)
                went[j][k] += (double)(old[j] * last[k]);
        }
        s->work += length * now->count;
    }
    for (size_t j = 0; j < old_count; j++) {
        double sum = 0;
        for (size_t k = 0; k < now->count; k++)
            sum += went[j][k] += 1e-6;
        for (size_t k = 0; k < now->count; k++)
            went[j][k] /= sum;
    }
}

/* The log probability of the past counts, given those of c: what rates that were learned long ago say about these
 * classes. Without it, classes would be joined that have not been seen to differ for long only because everybody is
 * shown what they like. */
static double recall(const classes_search *s, const classes *c, size_t old_count, double (*went)[CLASSES_LIMIT])
{
    double sum = 0;
    for (size_t arm = 0; arm < c->arms; arm++) {
        for (size_t k = 0; k < c->count; k++) {
            double h = 0, m = 0, a = s->prior->a + c->hits[arm * c->most + k];
            double b = s->prior->b + c->misses[arm * c->most + k];
            for (size_t j = 0; j < old_count; j++) {
                h += s->past->hits[arm * c->most + j] * went[j][k];
                m += s->past->misses[arm * c->most + j] * went[j][k];
            }
            if (h > 0 || m > 0)
                sum += log_beta(a + h, b + m) - log_beta(a, b);
        }
    }
    return sum;
}

/* Turns until the bound hardly moves, at most `turns`. Returns it, with what the past says. */
static double improve(classes_search *s, classes *c, classes *spare, size_t turns, size_t old_count,
                      double (*went)[CLASSES_LIMIT])
{
    double last = -INFINITY;
    for (size_t t = 1; t <= turns; t++) {
        double bound = turn(s, c, spare, t % CHECK == 0);
        classes_copy(c, spare);
        prune(c);
        if (t % CHECK == 0 && bound - last < 0.1)
            break;
        last = t % CHECK == 0 ? bound : last;
    }
    double bound = turn(s, c, spare, true);
    follow(s, c, old_count, went);
    return bound + recall(s, c, old_count, went);
}

/* All users in one class. */
static void gather(const classes_search *s, classes *c)
{
    static const float everybody[1] = {1};
    classes_clear(c);
    c->users[0] = (double)s->count;
    for (size_t i = 0; i < s->count; i++) {
        size_t at = s->users[i] * s->events->window;
        for (size_t e = at; e < at + s->events->length[s->users[i]]; e++)
            classes_count(c, s->events->arm[e], s->events->reward[e], s->events->weight[e], everybody);
    }
}

/* From all users in one class to `count` classes with rates drawn around theirs, as sure as a few events make them. */
static void scatter(const classes_search *s, classes *c, size_t count, forage_rng *rng)
{
    const double sure = 8;
    for (size_t arm = 0; arm < c->arms; arm++) {
        double *hits = c->hits + arm * c->most, *misses = c->misses + arm * c->most;
        double rate = (s->prior->a + hits[0]) / (s->prior->a + s->prior->b + hits[0] + misses[0]);
        bool met = hits[0] > 0 || misses[0] > 0;
        for (size_t k = 0; met && k < count; k++) {
            double own = forage_rng_beta(rng, 2 * rate, 2 * (1 - rate));
            hits[k] = sure * own;
            misses[k] = sure * (1 - own);
        }
    }
    for (size_t k = 0; k < count; k++)
        c->users[k] = (double)s->count / (double)count;
    c->count = count;
}

/* Another user who is rather of class k than not, from a random place on; SIZE_MAX where there is none. */
static size_t someone(const classes_search *s, const classes *c, size_t k, size_t not_this, forage_rng *rng)
{
    size_t at = (size_t)forage_rng_integers(rng, s->count);
    for (size_t i = 0; i < s->count; i++, at = at + 1 < s->count ? at + 1 : 0) {
        if (s->users[at] != not_this && s->belief[s->users[at] * c->most + k] > 0.5F)
            return s->users[at];
    }
    return SIZE_MAX;
}

/* Class k becomes what one of its users did, and its rates as far as a few events make them. */
static void resemble(const classes_search *s, classes *c, size_t k, size_t from, size_t user, double users)
{
    const double sure = 8;
    for (size_t arm = 0; arm < c->arms; arm++) {
        double h = c->hits[arm * c->most + from], m = c->misses[arm * c->most + from], n = fmax(h + m, 1e-9);
        c->hits[arm * c->most + k] = fmin(sure / n, 1) * h;
        c->misses[arm * c->most + k] = fmin(sure / n, 1) * m;
    }
    for (size_t e = user * s->events->window; e < user * s->events->window + s->events->length[user]; e++) {
        double click = (double)(s->events->weight[e] * s->events->reward[e]);
        c->hits[s->events->arm[e] * c->most + k] += click;
        c->misses[s->events->arm[e] * c->most + k] += (double)s->events->weight[e] - click;
    }
    c->users[k] = users;
}

/* One class of c's, the larger the likelier, becomes two that look like two of its users. False where it cannot. */
static bool split(const classes_search *s, classes *c, forage_rng *rng)
{
    double total = 0, left;
    size_t k = 0, one, two;
    for (size_t j = 0; j < c->count; j++)
        total += c->users[j];
    left = total * forage_rng_double(rng);
    while (k + 1 < c->count && left >= c->users[k])
        left -= c->users[k++];
    if (c->count == c->most || (one = someone(s, c, k, SIZE_MAX, rng)) == SIZE_MAX ||
        (two = someone(s, c, k, one, rng)) == SIZE_MAX)
        return false;
    resemble(s, c, c->count, k, one, c->users[k] / 2);
    resemble(s, c, k, k, two, c->users[k] / 2);
    c->count++;
    return true;
}

/* What the evidence of the rates loses when two classes become one. */
static double loss_of_joining(const classes_search *s, const classes *c, size_t j, size_t k)
{
    double a = s->prior->a, b = s->prior->b, none = log_beta(a, b), sum = 0;
    for (size_t arm = 0; arm < c->arms; arm++) {
        const double *h = c->hits + arm * c->most, *m = c->misses + arm * c->most;
        if (h[j] + m[j] > 0 && h[k] + m[k] > 0)
            sum += log_beta(a + h[j], b + m[j]) + log_beta(a + h[k], b + m[k]) - none -
                   log_beta(a + h[j] + h[k], b + m[j] + m[k]);
    }
    return sum;
}

/* The two classes that are most alike become one. False where there is one alone. */
static bool unite(classes_search *s, classes *c)
{
    size_t first = 0, second = 0, last = c->count - 1;
    double least = INFINITY;
    for (size_t j = 0; j < c->count; j++) {
        for (size_t k = j + 1; k < c->count; k++) {
            double lost = loss_of_joining(s, c, j, k);
            if (lost < least) {
                least = lost;
                first = j;
                second = k;
            }
        }
    }
    s->work += c->arms * c->count * c->count * 8;
    if (second == 0)
        return false;
    for (size_t arm = 0; arm < c->arms; arm++) {
        double *h = c->hits + arm * c->most, *m = c->misses + arm * c->most;
        h[first] += h[second];
        m[first] += m[second];
        h[second] = h[last];
        m[second] = m[last];
        h[last] = m[last] = 0;
    }
    c->users[first] += c->users[second];
    c->users[second] = c->users[last];
    c->users[last] = 0;
    c->count--;
    return true;
}

/* The start of a try: classes of before split or united, in turns; where that cannot be, and every fourth time, new
 * ones. */
static void start(classes_search *s, const classes *c, classes *tried, size_t number, forage_rng *rng)
{
    classes_copy(tried, c);
    if (number % 4 == 1 ? unite(s, tried) : number % 4 < 3 && split(s, tried, rng))
        return;
    gather(s, tried);
    scatter(s, tried, c->most, rng);
}

bool classes_find(classes_search *search, classes *c, size_t tries, forage_rng *rng)
{
    classes *best = &search->spare[0], *other = &search->spare[1], *next = &search->spare[2];
    double went[CLASSES_LIMIT][CLASSES_LIMIT];
    size_t old_count = c->count;
    bool won = false;
    search->work = 0;
    classes_copy(best, c);
    double bound = improve(search, best, next, TURNS, old_count, went);
    for (size_t t = 0; t < tries; t++) {
        start(search, c, other, t, rng);
        double reached = improve(search, other, next, TURNS, old_count, went);
        if (reached > bound + MARGIN) {
            classes *swap = best;
            best = other;
            other = swap;
            bound = reached;
            won = true;
            memcpy(search->went, went, sizeof went);
        }
    }
    if (won)
        classes_copy(c, best);
    return won;
}
