/*
 * ranking_model.c: rankings by a model that is bound to a dataset.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/intern.h"

typedef struct model_ranker {
    forage_binding *binding;
    float *scores;
} model_ranker;

static forage_status rank_by_model(void *context, const uint32_t *users, size_t count, size_t k,
                                   const forage_seen *seen, uint32_t *items, size_t *found, forage_error *error)
{
    model_ranker *ranker = context;
    return forage_model_rank_users(ranker->binding, users, count, k, seen, NULL, items, ranker->scores, found, error);
}

forage_status forage_ranking_of_model(forage_binding *binding, const forage_ranking_task *task,
                                      const forage_ranking_options *options, forage_ranking_metrics *metrics,
                                      forage_error *error)
{
    size_t length = eval_ranking_length(task, options);
    size_t slab = eval_ranking_slab(task->test->user_count, length);
    model_ranker ranker = {binding, forage_alloc(slab * length, sizeof(float))};
    if (!ranker.scores)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for rankings of %zu items", length);
    forage_status status = forage_ranking_compute(rank_by_model, &ranker, task, options, metrics, error);
    forage_free(ranker.scores);
    return status;
}
