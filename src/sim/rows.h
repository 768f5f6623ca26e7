/*
 * rows.h: what the environments made of files share: events in memory, the order
 * in which a play meets them, and the requests that they are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_ROWS_H
#define SIM_ROWS_H

#include "sim/environment.h"

/* Streams of a play's seed: default_rng(SeedSequence(seed, spawn_key=(stream,))). */
enum { SIM_ROWS_ORDER_STREAM, SIM_ROWS_LUCK_STREAM };

typedef enum sim_order {
    SIM_ORDER_FILE,
    SIM_ORDER_NUMPY,     /* RandomState(seed).permutation(rows) */
    SIM_ORDER_RANDOM,    /* permutation(rows) of the play's order stream */
    SIM_ORDER_BOOTSTRAP, /* integers(0, rows) of it at each visit */
} sim_order;

typedef struct sim_rows {
    forage_dataset *dataset; /* owned */
    sim_order order;
    uint32_t *fixed;      /* NUMPY: [rows], else NULL */
    uint32_t *candidates; /* the items that can be chosen; NULL: all */
    size_t candidate_count;
    uint8_t *can_choose; /* [items]: replay, else NULL */
} sim_rows;

/* Takes `dataset` over, on failure too. Reads the option `order`, fills in environment->visits and the catalogue of
 * contexts, users and items; one group of users. */
forage_status sim_rows_open(sim_rows *rows, forage_dataset *dataset, const forage_environment_options *options,
                            forage_environment *environment, forage_error *error);
void sim_rows_release(sim_rows *rows);

/* A play's way through the rows. */
typedef struct sim_walk {
    const sim_rows *rows;
    uint32_t *own; /* RANDOM: [rows] */
    forage_rng order;
    uint32_t *codes; /* [context columns] of the visit under way */
    float *values;
    uint32_t row;
} sim_walk;

forage_status sim_walk_init(sim_walk *walk, const sim_rows *rows, uint64_t seed, forage_error *error);
void sim_walk_release(sim_walk *walk);
/* Goes to the row of visit play->next and fills in the request: user, time, context, candidates. */
void sim_walk_next(sim_walk *walk, forage_play *play);

/* Labels of the groups of items: the ids of the items themselves. */
forage_status sim_rows_name_items(forage_environment *environment, const forage_vocabulary *ids, forage_error *error);

/* ---- logs: replay.c and logged.c ---- */

/* Loads a log with rewards. `environment` is the kind's own struct, whose rows these are. */
forage_status sim_rows_load_log(sim_rows *rows, const char *path, const forage_environment_options *options,
                                forage_environment *environment, forage_error *error);
/* What the log says of the row under way. */
void sim_walk_logged(const sim_walk *walk, forage_visit *visit);

#endif
