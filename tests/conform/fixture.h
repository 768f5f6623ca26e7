/*
 * fixture.h: small logs in memory, and fits of them, for the suite that every model must pass.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFORM_FIXTURE_H
#define CONFORM_FIXTURE_H

#include "forage/forage.h"

typedef enum log_kind {
    LOG_NUMBERED,      /* users and items are numbers; clicks */
    LOG_NAMED,         /* users and items are strings; clicks; attributes and context */
    LOG_WITHOUT_USERS, /* items, attributes and context alone; clicks */
} log_kind;

extern const log_kind kinds[3];

enum { LOG_USERS = 15, LOG_ITEMS = 9, LOG_ROWS = 700, LOG_TRAIN = 560 };

/* How many models there are. */
size_t model_count(void);

/* Stops the test unless the call went well. */
void must(forage_status status, const forage_error *error);
/* A failure says what is wrong, in one line. */
void clear_message(const forage_error *error, forage_status wanted);

/* A log of LOG_ROWS rows. Users and items beyond `users` and `items` (at most LOG_USERS, LOG_ITEMS) do not occur. */
forage_dataset *log_create(log_kind kind, size_t users, size_t items);
/* The first LOG_TRAIN rows train, the others validate. */
forage_split log_split(void);
void log_split_free(forage_split *split);

/* Parameters that make a fit short, where the model has them. */
forage_params *short_params(const forage_model_info *info);
/* Can this model be fitted to a log of that kind? */
bool fits(const forage_model_info *info, log_kind kind);
/* Fits, and stops the test if that fails. */
forage_model *fit(const forage_model_info *info, const forage_dataset *dataset, uint64_t seed, int threads);

forage_binding *bind_to(const forage_model *model, const forage_dataset *log, forage_unknown unknown);
/* 0, 1, ... LOG_ROWS - 1 */
const uint32_t *all_rows(void);
/* The score of every row; every id is known. */
void score_all(const forage_model *model, const forage_dataset *log, float *mean);

/* A path in a folder of this run's own. */
const char *scratch_path(const char *name);
/* A whole file; the caller frees it with forage_free. */
char *slurp(const char *path, size_t *size);
void spill(const char *path, const char *bytes, size_t size);

#endif
