/*
 * ope_log.h: judging a policy on a log, row by row: what the files of off-policy evaluation share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVAL_OPE_LOG_H
#define EVAL_OPE_LOG_H

#include "forage/eval.h"

/* The log as this sees it. */
typedef struct ope_log {
    const forage_ope_task *task;
    const forage_dataset *dataset;
    size_t candidate_count;            /* items that were shown at all */
    uint32_t *candidates;              /* [candidate_count], rising */
    uint32_t *index;                   /* [items] place among the candidates, FORAGE_NONE */
    const forage_column *place_column; /* NULL: one place for all */
    forage_vocabulary *places;         /* texts of the positions */
    size_t place_count;
    uint32_t *place; /* [count] position of each row */
    size_t folds;
    uint16_t *fold; /* [count] */
    uint32_t *seen; /* [place_count x candidate_count] rows */
} ope_log;

/* Something that has probabilities: for a fold, learns from the rows of all others; then speaks about rows of the fold.
 * probabilities[candidate_count] may be NULL, and so may mean[candidate_count], what is expected of each. */
typedef struct ope_judged {
    forage_status (*learn)(void *context, const ope_log *log, size_t fold, forage_error *error);
    forage_status (*ask)(void *context, const ope_log *log, size_t row, double *probabilities, float *mean,
                         forage_error *error);
    void *context;
} ope_judged;

/* Estimates the value of `policy`; `model` (may be NULL: none) is the reward model. */
forage_status ope_judge(const ope_log *log, const ope_judged *policy, const ope_judged *model, forage_ope *result,
                        forage_error *error);

forage_status ope_log_create(const forage_ope_task *task, ope_log *log, forage_error *error);
void ope_log_release(ope_log *log);

/* Position codes of a dataset's rows by the text of `column` (NULL: all 0): places[count] (forage_free), new texts are
 * added to `texts`. */
forage_status ope_places(const forage_dataset *dataset, const forage_column *column, const char *source,
                         forage_vocabulary *texts, uint32_t **places, forage_error *error);
/* The column with the positions, by task->position; NULL when there is none. */
forage_status ope_place_column(const forage_ope_task *task, const forage_dataset *dataset, const forage_column **column,
                               forage_error *error);

#endif
