/*
 * sasrec_negatives.c: what the next-item transformer tells the next item from, where that is not all items.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/sasrec_train.h"

#include <math.h>
#include <string.h>

void sasrec_negatives_release(sasrec_negatives *negatives)
{
    forage_free(negatives->items);
    forage_free(negatives->chance);
    forage_free(negatives->alias);
    forage_free(negatives->log_q);
}

/* Walker's aliases for weights that sum up to `sum`: place i is item i with chance[i], else alias[i]. */
static void make_aliases(sasrec_negatives *n, const double *weights, double sum, uint32_t *stack)
{
    size_t small = 0, large = n->count; /* stacks from both ends */
    for (size_t i = 0; i < n->count; i++) {
        n->chance[i] = (float)(weights[i] * (double)n->count / sum);
        n->alias[i] = (uint32_t)i;
        stack[n->chance[i] < 1 ? small++ : --large] = (uint32_t)i;
    }
    while (small > 0 && large < n->count) {
        uint32_t low = stack[--small], high = stack[large];
        n->alias[low] = high;
        n->chance[high] -= 1 - n->chance[low];
        if (n->chance[high] < 1) {
            large++;
            stack[small++] = high;
        }
    }
    while (small > 0) /* what rounding leaves over */
        n->chance[stack[--small]] = 1;
    for (; large < n->count; large++)
        n->chance[stack[large]] = 1;
}

static forage_status fill(const model_state *state, sasrec_negatives *n, const uint32_t *counts, double *weights,
                          uint32_t *stack)
{
    bool popular = strcmp(forage_params_text(state->params, "sampling"), "popularity") == 0;
    double draws = (double)forage_params_integer(state->params, "negatives"), sum = 0;
    for (size_t i = 0; i < state->items; i++) {
        if (!counts[i])
            continue;
        weights[n->count] = popular ? pow(counts[i], 0.75) : 1;
        sum += weights[n->count];
        n->items[n->count++] = (uint32_t)i;
    }
    for (size_t i = 0; i < n->count; i++)
        n->log_q[n->items[i]] = (float)log(draws * weights[i] / sum);
    if (!popular)
        return FORAGE_OK;
    n->chance = forage_alloc(n->count, sizeof *n->chance);
    n->alias = forage_alloc(n->count, sizeof *n->alias);
    if (!n->chance || !n->alias)
        return FORAGE_NO_MEMORY;
    make_aliases(n, weights, sum, stack);
    return FORAGE_OK;
}

forage_status sasrec_negatives_create(const model_state *state, const forage_past *past, sasrec_negatives *negatives,
                                      forage_error *error)
{
    const uint32_t *events = past->codes[state->item_field];
    *negatives = (sasrec_negatives){0};
    if (strcmp(forage_params_text(state->params, "loss"), "softmax") == 0)
        return FORAGE_OK;
    uint32_t *counts = forage_calloc(state->items, sizeof *counts), *stack = forage_alloc(state->items, sizeof *stack);
    double *weights = forage_alloc(state->items, sizeof *weights);
    negatives->items = forage_alloc(state->items, sizeof *negatives->items);
    negatives->log_q = forage_calloc(state->items, sizeof *negatives->log_q);
    forage_status status =
        counts && stack && weights && negatives->items && negatives->log_q ? FORAGE_OK : FORAGE_NO_MEMORY;
    for (size_t e = 0; status == FORAGE_OK && e < past->offsets[past->sequences]; e++)
        counts[events[e]]++;
    if (status == FORAGE_OK)
        status = fill(state, negatives, counts, weights, stack);
    forage_free(counts);
    forage_free(stack);
    forage_free(weights);
    return status == FORAGE_OK ? FORAGE_OK : sasrec_out_of_memory(state, error);
}
