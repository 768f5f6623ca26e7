/*
 * classes.h: hidden classes of users, found in what each user did.
 *
 * A user belongs to one of K classes; class k clicks on arm a with rate theta[a][k]. With a small probability,
 * the hazard, a user draws a class anew before an event. The posterior of rates (Beta), shares of classes
 * (Dirichlet) and each user's class over time is found by variational Bayes (Beal 2003, "Variational algorithms for
 * approximate Bayesian inference", chapter 3): a forward-backward pass over every user's events and new counts,
 * in turns.
 *
 * Plain arrays, no schedule: latent_class.c decides what is done when.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_CLASSES_H
#define MODEL_CLASSES_H

#include "forage/base.h"

enum { CLASSES_LIMIT = 64 };

/* What users did, oldest first: entries of user u are at [u x window ... + length[u]). An entry with a weight of n and
 * a reward r stands for n events of which the part r were clicks. */
typedef struct classes_events {
    size_t window;
    uint32_t *length; /* [users] */
    uint32_t *arm;    /* [users x window] */
    float *reward;    /* the same, within 0 and 1 */
    float *weight;    /* the same, above 0 */
} classes_events;

typedef struct classes_prior {
    double a, b;          /* of every rate */
    double concentration; /* of the Dirichlet: each of `most` classes has its part of it */
    double hazard;
} classes_prior;

/* Rates and shares of `count` classes; the cell of arm a and class k is [a x most + k]. */
typedef struct classes {
    size_t arms, most, count;
    double *hits, *misses; /* [arms x most] expected clicks, and impressions without, beyond the prior */
    double *users;         /* [most] expected users of each class */
    float *click, *pass;   /* [arms x most] what an event with and without click weighs for each class */
    float *share;          /* [most] of a user before the first event */
} classes;

/* Start from {0}. */
forage_status classes_create(classes *c, size_t arms, size_t most, forage_error *error);
void classes_release(classes *c);
/* Room for more arms, which nobody has met; `arms` itself stays as it is. */
forage_status classes_reserve(classes *c, size_t arms, forage_error *error);
size_t classes_memory(const classes *c);
void classes_copy(classes *to, const classes *from);
/* No counts at all, of one class. */
void classes_clear(classes *c);

/* Scratch memory of passes over one user. */
typedef struct classes_scratch {
    float *belief, *likely; /* [window x most] */
    double *scale;          /* [window] */
    float *same;            /* [window] */
} classes_scratch;
forage_status classes_scratch_create(classes_scratch *scratch, size_t window, size_t most, forage_error *error);
void classes_scratch_release(classes_scratch *scratch);

/* click, pass and share from counts, as expectations: what an event's probability is. */
void classes_expect(classes *c, const classes_prior *prior);
void classes_expect_arm(classes *c, const classes_prior *prior, size_t arm);
/* The same as geometric means, exp(E[log theta]): what variational Bayes weighs with. */
void classes_weigh(classes *c, const classes_prior *prior);
/* Adds an entry to counts, shared out by belief[count]. */
void classes_count(classes *c, uint32_t arm, float reward, float weight, const float *belief);

/* belief[count] after one more entry: the hazard, then Bayes's rule. Returns how likely the entry was beforehand, up to
 * a factor that depends on entry and rates alone. */
double classes_filter(const classes *c, double hazard, uint32_t arm, float reward, float weight, float *belief);
/* scratch->belief[i x most + k]: the probability that `user` was of class k at entry i, given all entries. Returns the
 * log probability of the entries. */
double classes_smooth(const classes *c, double hazard, const classes_events *events, size_t user,
                      classes_scratch *scratch);
/* The same, and scratch->same[i]: the probability that the class at entry i was that at the last one. */
void classes_compare(const classes *c, double hazard, const classes_events *events, size_t user,
                     classes_scratch *scratch);

/* Makes room in the user's window, which is full: among its older half, entries of one arm become one, as far as the
 * user was of the same class then as now. What the user did when of another class goes into the counts of `past`, and
 * so do the rarest arms if there are too many. */
void classes_condense(const classes *c, classes *past, double hazard, classes_events *events, size_t user,
                      classes_scratch *scratch);

/* psi(x) and log Gamma(x) for x > 0. */
double classes_digamma(double x);
double classes_log_gamma(double x);

/* A search: by the variational bound, are there better classes than c's? */
typedef struct classes_search {
    const classes_prior *prior;
    double hazard; /* instead of the prior's */
    const classes_events *events;
    const uint32_t *users; /* whose events are looked at */
    size_t count;
    const classes *past; /* counts of c's classes whose events are no longer there */
    const float *belief; /* [all users x most] of c's classes */
    classes_scratch *scratch;
    classes *spare;                /* three more of the same sizes */
    double (*went)[CLASSES_LIMIT]; /* out: the part of old class j (first) that went over into new class k */
    uint64_t work;                 /* out: what was done, in steps of one entry for one class */
} classes_search;

/* Tries c as it is, improved, and `tries` other starts drawn from `rng`. True when one of these won: then c is that and
 * `went` is set; else c is as it was. */
bool classes_find(classes_search *search, classes *c, size_t tries, forage_rng *rng);

#endif
