/*
 * latent_class.h: the state of latent-class, for its own files alone. latent_class.c says what it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_LATENT_CLASS_H
#define MODEL_LATENT_CLASS_H

#include "model/classes.h"
#include "model/descriptor.h"

enum {
    BANK = 3,           /* hazards that beliefs are kept for: the parameter, ten times, a hundred times as much */
    SEARCH_USERS = 512, /* a search looks at this many users at most */
    FIRST_SWEEP = 64,   /* lessons */
    FIRST_SEARCH = 250,
};

/* Whole numbers of the state, in one array so that they are saved together. VAIN: searches since the last that found
 * something; COUNT: of classes. */
enum { LESSONS, NEXT_SWEEP, NEXT_SEARCH, SEARCHES, VAIN, COUNT, WHOLE };

struct model_learner {
    classes_prior
        prior; /* its hazard is that of finding classes: a high one would let one user be explained by several */
    double hazards[BANK], parting; /* parting: the hazard by which entries are told to be of another class */
    bool draws_class, pooled;
    double a, b; /* of the prior before the first lesson */
    size_t users, window, tries;
    classes now;  /* all counts, and what they make expect */
    classes past; /* those of them that stem from no window */
    uint64_t seed;
    uint64_t *progress; /* [WHOLE] */

    uint32_t *length, *arm; /* [users], [users x window] */
    float *reward, *weight; /* [users x window] */
    float *belief[BANK];    /* [users x most] */
    double *trust;          /* [BANK] in each hazard, sums to 1; then a and b of the prior as it is now */

    /* Scratch. */
    classes spare[3];
    classes_scratch scratch;
    uint32_t chosen[SEARCH_USERS];
    double went[CLASSES_LIMIT][CLASSES_LIMIT];
    uint64_t round;   /* number of the draw: candidates of one arm share their value in it */
    uint64_t *rounds; /* [arms] */
    float *drawn;     /* [arms] */
};

/* latent_class_learn.c */
void model_latent_learn(model_learner *l, const forage_lesson *lesson);

/* The user's class at the next event, whichever hazard is the right one: belief[classes]. */
void model_latent_belief(const model_learner *l, uint32_t user, float *belief);

#endif
