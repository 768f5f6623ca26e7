/*
 * The best of many items: a binary heap in the memory of the result.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/top.h"

#include <math.h>

bool model_top_excludes(const model_top *top, uint32_t item)
{
    size_t low = 0, high = top->excluded_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (top->excluded[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < top->excluded_count && top->excluded[low] == item;
}

/* Moves (score, item) down from `place` to where it belongs. */
static void sift_down(model_top *top, size_t place, size_t count, float score, uint32_t item)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= count)
            break;
        if (child + 1 < count &&
            model_top_worse(top->scores[child + 1], top->items[child + 1], top->scores[child], top->items[child]))
            child++;
        if (!model_top_worse(top->scores[child], top->items[child], score, item))
            break;
        top->scores[place] = top->scores[child];
        top->items[place] = top->items[child];
        place = child;
    }
    top->scores[place] = score;
    top->items[place] = item;
}

void model_top_put(model_top *top, float score, uint32_t item)
{
    if (top->count == top->limit) {
        if (top->limit && model_top_worse(top->scores[0], top->items[0], score, item))
            sift_down(top, 0, top->count, score, item);
        return;
    }
    size_t place = top->count++;
    while (place > 0) { /* up: the worse of the two is nearer to the root */
        size_t parent = (place - 1) / 2;
        if (!model_top_worse(score, item, top->scores[parent], top->items[parent]))
            break;
        top->scores[place] = top->scores[parent];
        top->items[place] = top->items[parent];
        place = parent;
    }
    top->scores[place] = score;
    top->items[place] = item;
}

void model_top_clear_rest(const model_top *top)
{
    for (size_t i = top->count; i < top->limit; i++) {
        top->items[i] = FORAGE_NONE;
        top->scores[i] = NAN;
    }
}

void model_top_finish(model_top *top)
{
    for (size_t count = top->count; count > 1; count--) {
        float score = top->scores[0], last_score = top->scores[count - 1];
        uint32_t item = top->items[0], last_item = top->items[count - 1];
        sift_down(top, 0, count - 1, last_score, last_item);
        top->scores[count - 1] = score;
        top->items[count - 1] = item;
    }
    model_top_clear_rest(top);
}
