/*
 * environment.h: environments as the files of this room see them. One kind is one file and one
 * constant table of functions; environment.c stands before them all and checks what callers say.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_ENVIRONMENT_H
#define SIM_ENVIRONMENT_H

#include "forage/sim.h"

/* The front has checked every argument. An environment never changes after `open`, and may be played by any number of
 * threads; a play belongs to one. */
typedef struct sim_environment_type {
    forage_environment_kind kind;
    /* `name` without the prefix that chose this kind; `options` is never NULL. Allocates a struct of its own that
     * begins with a forage_environment, and fills in both but `type`. On failure nothing is left. */
    forage_status (*open)(const char *name, const forage_environment_options *options, forage_environment **environment,
                          forage_error *error);
    /* Frees what the kind's own part holds, not the environment, whose plain members the front frees. */
    void (*release)(forage_environment *environment);

    /* Allocates a struct of its own that begins with a forage_play, whose members the front fills in. */
    forage_status (*play)(const forage_environment *environment, uint64_t seed, forage_play **play,
                          forage_error *error);
    /* As `release`, of a play. NULL: there is nothing. */
    void (*release_play)(forage_play *play);
    /* Fills in play->visit, whose request has its id, its time (the same), no user, no candidates and all positions
     * already, and else says "not known". *more is true already; false ends the play. */
    forage_status (*next)(forage_play *play, bool *more, forage_error *error);
    /* items[positions] are different, in range and at most play->visit.request.positions. *accepted is true already,
     * *earned and *count are 0. FORAGE_INVALID, with the visit still under way, for an item that is not among the
     * candidates. */
    forage_status (*answer)(forage_play *play, const uint32_t *items, size_t positions,
                            const forage_feedback **feedback, size_t *count, bool *accepted, double *earned,
                            forage_error *error);
    /* The expected sum of a slate's rewards; `best` may be NULL or else writes the slate that has most
     * (visit.request.positions items) and returns its value. NULL, both: nobody knows the truth. */
    double (*value)(const forage_play *play, const uint32_t *items, size_t positions);
    double (*best)(const forage_play *play, uint32_t *items);
} sim_environment_type;

/* Calloc'ed by `open`. Blocks and strings come from forage_alloc and belong to the environment. */
struct forage_environment {
    const sim_environment_type *type;
    char *name; /* as it was opened, with the prefix; the front's */
    uint64_t visits;
    size_t positions; /* at least 1 */
    forage_catalogue catalogue;
    size_t event_count;
    forage_environment_event *events; /* in order of visits */
    char **event_labels;              /* [event_count] their labels, in any order */
    size_t user_group_count, item_group_count;
    char **user_group_names; /* NULL: there is one group, "everyone" (user_group_count is 1) */
    char **item_group_names;
    uint32_t *item_group; /* [catalogue.items]; NULL: each item is its own group */
};

struct forage_play {
    const forage_environment *environment;
    uint64_t seed;
    uint64_t next; /* number of the next visit */
    bool under_way;
    forage_visit visit;
};

/* Frees an environment whose own part holds nothing (any more): the plain members and the struct. */
void sim_environment_discard(forage_environment *environment);

extern const sim_environment_type sim_environment_classification;
extern const sim_environment_type sim_environment_log;
extern const sim_environment_type sim_environment_replay;
extern const sim_environment_type sim_environment_shop;

#endif
