/*
 * chapter3.h: the experiments of chapter 3 and what they leave for its record.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVAL_CHAPTER3_H
#define EVAL_CHAPTER3_H

#include "eval/world.h"

enum { MOMENT_STREAM_USERS = 600, MOMENT_STREAM_SESSIONS = 700 };
enum { MOMENT_VISITS = 200000, MOMENT_LEAST_VISITS = 1000 }; /* of a log to learn from */

/* ------------------------------------------------------------------ *
 * Logs of random traffic and who predicts them (moment.c)
 * ------------------------------------------------------------------ */

/* Models learn from the first rows, and everybody predicts those after them. */
typedef struct moment_log {
    forage_dataset *data; /* users and items by number, the item attribute "category", perhaps times */
    size_t capacity;
    size_t learned;  /* rows to learn from */
    float *bayes;    /* [capacity] click probabilities: what can be expected by what came before */
    float *truth;    /* [capacity] and as they are; both of the rows to predict */
    uint32_t *place; /* [capacity] which point a row to predict counts for */
} moment_log;

/* Room for so many rows; of each item's category code[item], called names[code]. */
forage_status moment_log_create(size_t users, size_t items, const uint32_t *code, char *const *names, size_t name_count,
                                size_t capacity, bool timed, moment_log *log, forage_error *error);
void moment_log_release(moment_log *log);

/* Somebody who predicts: a model with its settings, or (`model` NULL) a reference. */
typedef struct moment_arm {
    const char *name, *note;
    const char *model;
    const char *const (*settings)[2];
    size_t count;
} moment_arm;

/* Who takes part in both experiments. */
extern const moment_arm moment_bayes, moment_oracle, moment_blind, moment_bag, moment_sequence;

/* What is found of a table's arm: log loss and its excess at each point, then these of all rows. */
enum { MOMENT_LOSS, MOMENT_MORE, MOMENT_LATE, MOMENT_AUC, MOMENT_TOTALS };
size_t moment_size(size_t arms, size_t points);

/* Fits and judges everybody; `arms[bayes]` is the reference for excesses. found[moment_size(count, points)]. */
forage_status moment_measure(const eval_study *study, const moment_log *log, const moment_arm *const *arms,
                             size_t count, size_t bayes, size_t points, size_t late, uint64_t seed, double *found,
                             forage_error *error);

/* The table out of all worlds' findings: those of a world begin at `first` of its `size` numbers. `sequence`: the arm
 * that others are behind. Point p is called p + 1. */
forage_status moment_table(const double *found, size_t worlds, size_t size, size_t first, const moment_arm *const *arms,
                           size_t count, size_t sequence, size_t points, size_t late, forage_predictor_table *table,
                           forage_error *error);
void moment_table_release(forage_predictor_table *table);

/* ------------------------------------------------------------------ *
 * The experiments: users that nobody has seen (moment_users.c), sessions with and without intents (moment_sessions.c)
 * ------------------------------------------------------------------ */

size_t moment_users_size(void);
forage_status moment_users_world(const eval_study *study, size_t index, double *found, forage_error *error);
forage_status moment_users_record(const eval_study *study, const double *found, size_t worlds,
                                  forage_moment_users *record, forage_error *error);

size_t moment_sessions_size(void);
/* The shop with intents, and its twin without: one experiment each, so that cores share them. */
forage_status moment_intents_world(const eval_study *study, size_t index, double *found, forage_error *error);
forage_status moment_steady_world(const eval_study *study, size_t index, double *found, forage_error *error);
forage_status moment_sessions_record(const eval_study *study, const double *found, size_t worlds, size_t which,
                                     forage_moment_sessions *record, forage_error *error);

#endif
