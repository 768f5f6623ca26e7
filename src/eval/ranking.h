/*
 * ranking.h: what judging users' rankings one by one leaves, and means and intervals over the users.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVAL_RANKING_H
#define EVAL_RANKING_H

#include "forage/eval.h"

enum { RANKING_PRECISION, RANKING_RECALL, RANKING_NDCG, RANKING_MRR, RANKING_HIT, RANKING_MEASURES };

typedef struct eval_rankings {
    const forage_ranking_task *task;
    const forage_ranking_options *options;
    size_t count;              /* users */
    double *value;             /* [count x cutoffs x RANKING_MEASURES]; NaN: the user is left out */
    const uint32_t *best_rank; /* [task->items]: the best rank that an item got in any list, from 0; NULL: lists of
                                  sampled items, which have no coverage */
    size_t skipped;            /* users left out */
} eval_rankings;

/* Checks cutoffs, intervals and that the parts of a task fit together. */
forage_status eval_rankings_check(const forage_ranking_task *task, const forage_ranking_options *options,
                                  forage_error *error);
/* Drops users whose first value is NaN, and counts them. */
void eval_rankings_drop(eval_rankings *rankings);
/* Fills metrics[cutoff_count]. */
forage_status eval_rankings_summarise(const eval_rankings *rankings, forage_ranking_metrics *metrics,
                                      forage_error *error);

#endif
