/*
 * latent_class_learn.c: lessons, sweeps and searches; latent_class.c says how they go together.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/latent_class.h"

#include <math.h>
#include <string.h>

enum {
    SWEEP_WORK = 200, /* a sweep of this much work is worth the wait of a lesson */
    SEARCH_WORK = 1000,
    PATIENCE = 20, /* searches in vain, after which they become rarer */
};

/* Trust in a hazard follows from how likely it made the last thousand lessons or so, and never falls below a little. */
static const double TRUST_MEMORY = 0.999, LEAST_TRUST = 1e-3;

/* ---- sweeps and searches ---- */

static classes_events events_of(const model_learner *l)
{
    return (classes_events){l->window, l->length, l->arm, l->reward, l->weight};
}

/* Each user's belief, from what is expected now. */
static void renew_beliefs(model_learner *l)
{
    const classes *c = &l->now;
    for (size_t u = 0; u < l->users * BANK; u++) {
        size_t j = u % BANK, user = u / BANK;
        float *belief = l->belief[j] + user * c->most;
        memcpy(belief, c->share, c->most * sizeof *belief);
        for (size_t e = user * l->window; e < user * l->window + l->length[user]; e++)
            (void)classes_filter(c, l->hazards[j], l->arm[e], l->reward[e], l->weight[e], belief);
    }
}

static void wait_for(uint64_t lessons, uint64_t more, uint64_t worth, uint64_t *next)
{
    *next = lessons + (more > worth ? more : worth) + FIRST_SWEEP / 4;
}

/* The mean of the rates' prior follows that of all rewards so far, which count as much as the prior itself and more. */
static void follow_mean(model_learner *l)
{
    const classes *c = &l->now;
    double strength = l->a + l->b, hits = l->a, all = strength;
    for (size_t arm = 0; arm < c->arms && l->pooled; arm++) {
        for (size_t k = 0; k < c->count; k++) {
            hits += c->hits[arm * c->most + k];
            all += c->hits[arm * c->most + k] + c->misses[arm * c->most + k];
        }
    }
    l->prior.a = l->trust[BANK] = fmax(strength * hits / all, 1e-3);
    l->prior.b = l->trust[BANK + 1] = fmax(strength - l->prior.a, 1e-3);
}

/* One turn of variational Bayes over everybody. */
static void sweep(model_learner *l)
{
    classes *c = &l->now, *fresh = &l->spare[0];
    classes_events events = events_of(l);
    uint64_t work = c->arms * c->count * 8;
    classes_weigh(c, &l->prior);
    classes_copy(fresh, &l->past);
    memset(fresh->users, 0, c->most * sizeof *fresh->users);
    fresh->count = c->count;
    for (size_t u = 0; u < l->users; u++) {
        size_t length = l->length[u], at = u * l->window;
        if (!length)
            continue;
        (void)classes_smooth(c, l->prior.hazard, &events, u, &l->scratch);
        for (size_t e = 0; e < length; e++)
            classes_count(fresh, l->arm[at + e], l->reward[at + e], l->weight[at + e], l->scratch.belief + e * c->most);
        for (size_t k = 0; k < c->count; k++)
            fresh->users[k] += (double)l->scratch.belief[(length - 1) * c->most + k];
        work += length * c->count * 2;
    }
    classes_copy(c, fresh);
    follow_mean(l);
    classes_expect(c, &l->prior);
    renew_beliefs(l);
    wait_for(l->progress[LESSONS], l->progress[LESSONS] / 50, work / SWEEP_WORK, &l->progress[NEXT_SWEEP]);
}

/* The past's counts move to the classes that the users went over to. */
static void move_past(model_learner *l, size_t old_count)
{
    classes *past = &l->past;
    past->count = l->now.count;
    l->progress[COUNT] = past->count;
    for (size_t arm = 0; arm < past->arms; arm++) {
        double *counts[2] = {past->hits + arm * past->most, past->misses + arm * past->most};
        for (size_t i = 0; i < 2; i++) {
            double moved[CLASSES_LIMIT] = {0};
            for (size_t j = 0; j < old_count; j++) {
                for (size_t k = 0; k < l->now.count; k++)
                    moved[k] += counts[i][j] * l->went[j][k];
            }
            memcpy(counts[i], moved, past->most * sizeof *moved);
        }
    }
}

/* Users with two entries at least, if there are too many every so manieth. */
static size_t choose_users(model_learner *l)
{
    size_t able = 0, count = 0, seen = 0;
    for (size_t u = 0; u < l->users; u++)
        able += l->length[u] >= 2;
    size_t stride = able / SEARCH_USERS + 1;
    for (size_t u = 0; u < l->users; u++) {
        if (l->length[u] >= 2 && seen++ % stride == 0)
            l->chosen[count++] = (uint32_t)u;
    }
    return count;
}

static void find_classes(model_learner *l)
{
    classes_events events = events_of(l);
    size_t old_count = l->now.count;
    forage_rng rng;
    classes_search search = {.prior = &l->prior,
                             .hazard = l->prior.hazard,
                             .events = &events,
                             .users = l->chosen,
                             .count = choose_users(l),
                             .past = &l->past,
                             .belief = l->belief[0],
                             .scratch = &l->scratch,
                             .spare = l->spare,
                             .went = l->went};
    forage_rng_seed_stream(&rng, l->seed, (uint32_t)l->progress[SEARCHES]++);
    l->progress[VAIN]++;
    if (search.count > 1 && l->now.most > 1 && classes_find(&search, &l->now, l->tries, &rng)) {
        move_past(l, old_count);
        sweep(l);
        sweep(l);
        l->progress[VAIN] = 0;
    }
    /* The longer nothing new is found, the less often is it looked for. */
    wait_for(l->progress[LESSONS], l->progress[LESSONS] / (l->progress[VAIN] < PATIENCE ? 8 : 2),
             search.work / SEARCH_WORK, &l->progress[NEXT_SEARCH]);
}

/* ---- lessons ---- */

/* Beliefs about the user after a lesson, and the trust in the hazards that they stand on. */
static void update_beliefs(model_learner *l, const forage_lesson *lesson)
{
    double likely[BANK], total = 0, most = 0;
    for (size_t j = 0; j < BANK; j++) {
        float *belief = l->belief[j] + lesson->user * l->now.most;
        likely[j] = classes_filter(&l->now, l->hazards[j], lesson->arm, lesson->reward, lesson->weight, belief);
        most = fmax(most, likely[j]);
    }
    for (size_t j = 0; j < BANK; j++) {
        l->trust[j] = pow(l->trust[j], TRUST_MEMORY) * likely[j] / most;
        total += l->trust[j];
    }
    for (size_t j = 0; j < BANK; j++)
        l->trust[j] = (l->trust[j] / total + LEAST_TRUST) / (1 + BANK * LEAST_TRUST);
}

static void learn_of_user(model_learner *l, const forage_lesson *lesson)
{
    size_t user = lesson->user, at = user * l->window + l->length[user]++;
    float belief[CLASSES_LIMIT];
    for (size_t j = 0; j < BANK && l->length[user] == 1; j++)
        memcpy(l->belief[j] + user * l->now.most, l->now.share, l->now.most * sizeof *belief);
    l->arm[at] = lesson->arm;
    l->reward[at] = lesson->reward;
    l->weight[at] = lesson->weight;
    update_beliefs(l, lesson);
    model_latent_belief(l, lesson->user, belief);
    classes_count(&l->now, lesson->arm, lesson->reward, lesson->weight, belief);
    if (l->length[user] == l->window) {
        classes_events events = events_of(l);
        classes_condense(&l->now, &l->past, l->parting, &events, user, &l->scratch);
    }
}

void model_latent_learn(model_learner *l, const forage_lesson *lesson)
{
    l->progress[LESSONS]++;
    if (lesson->user < l->users) {
        learn_of_user(l, lesson);
    } else {
        float belief[CLASSES_LIMIT];
        memcpy(belief, l->now.share, l->now.most * sizeof *belief);
        (void)classes_filter(&l->now, 0, lesson->arm, lesson->reward, lesson->weight, belief);
        classes_count(&l->now, lesson->arm, lesson->reward, lesson->weight, belief);
        classes_count(&l->past, lesson->arm, lesson->reward, lesson->weight, belief);
    }
    classes_expect_arm(&l->now, &l->prior, lesson->arm);
    if (l->progress[LESSONS] >= l->progress[NEXT_SEARCH])
        find_classes(l);
    if (l->progress[LESSONS] >= l->progress[NEXT_SWEEP])
        sweep(l);
}
