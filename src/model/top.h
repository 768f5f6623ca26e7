/*
 * top.h: the best of many items, kept in a heap.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_TOP_H
#define MODEL_TOP_H

#include "forage/base.h"

#include <stddef.h>

/* A heap, the worst of the best at its root, in memory of the caller. Its result does not depend on the order in which
 * items were offered. */
typedef struct model_top {
    uint32_t *items;
    float *scores;
    size_t count, limit;
    const uint32_t *excluded; /* [excluded_count], rising: never taken */
    size_t excluded_count;
} model_top;

/* Is entry (score, item) worse than the other? */
static inline bool model_top_worse(float score, uint32_t item, float other_score, uint32_t other_item)
{
    return score < other_score || (score == other_score && item > other_item);
}

/* An empty heap for `limit` items; `excluded` may be NULL. */
static inline void model_top_begin(model_top *top, uint32_t *items, float *scores, size_t limit,
                                   const uint32_t *excluded, size_t excluded_count)
{
    *top = (model_top){items, scores, 0, limit, excluded, excluded_count};
}

bool model_top_excludes(const model_top *top, uint32_t item);
/* Takes the item, whatever is excluded, if it is among the best so far. */
void model_top_put(model_top *top, float score, uint32_t item);
/* Turns the heap into a list, best first; what is beyond it is FORAGE_NONE and NaN. */
void model_top_finish(model_top *top);
void model_top_clear_rest(const model_top *top);

/* Takes the item if it is among the best so far and not excluded. */
static inline void model_top_offer(model_top *top, float score, uint32_t item)
{
    if (top->count == top->limit && (!top->limit || !model_top_worse(top->scores[0], top->items[0], score, item)))
        return;
    if (!model_top_excludes(top, item))
        model_top_put(top, score, item);
}

#endif
