/*
 * arena.h: the scores of the arena, as tables, JSON and CSV name them.
 *
 * Private to the room.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_ARENA_H
#define REPORT_ARENA_H

#include "forage/report.h"

#include <stddef.h>

typedef enum arena_form {
    ARENA_COUNT,   /* 3,981 */
    ARENA_REAL,    /* 2.35 */
    ARENA_RATE,    /* 0.0834 */
    ARENA_PERCENT, /* 46.8 % */
} arena_form;

/* One score that is an estimate over seeds. */
typedef struct arena_score {
    const char *key;   /* in JSON and CSV */
    const char *title; /* of a column; NULL: not in the table */
    size_t offset;     /* of the estimate within forage_arena_agent */
    arena_form form;
    int better; /* 1: higher, -1: lower, 0: neither */
} arena_score;

extern const arena_score arena_scores[];
extern const size_t arena_score_count;

const forage_estimate *arena_score_of(const forage_arena_agent *agent, const arena_score *score);
/* "shop", "classification", "replay", "log". */
const char *arena_kind_name(forage_environment_kind kind);
/* A limit rather than a competitor: oracle, bayes. */
bool arena_is_reference(const forage_arena_agent *agent);

#endif
