/* The best of many items: a binary heap in the memory of the result. */
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
static void sift_down(model_top *heap, size_t place, size_t count, float score, uint32_t item)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= count)
            break;
        if (child + 1 < count &&
            model_top_worse(heap->scores[child + 1], heap->items[child + 1], heap->scores[child], heap->items[child]))
            child++;
        if (!model_top_worse(heap->scores[child], heap->items[child], score, item))
            break;
        heap->scores[place] = heap->scores[child];
        heap->items[place] = heap->items[child];
        place = child;
    }
    heap->scores[place] = score;
    heap->items[place] = item;
}

void model_top_put(model_top *heap, float score, uint32_t item)
{
    if (heap->count == heap->limit) {
        if (heap->limit && model_top_worse(heap->scores[0], heap->items[0], score, item))
            sift_down(heap, 0, heap->count, score, item);
        return;
    }
    size_t place = heap->count++;
    while (place > 0) { /* up: the worse of the two is nearer to the root */
        size_t parent = (place - 1) / 2;
        if (!model_top_worse(score, item, heap->scores[parent], heap->items[parent]))
            break;
        heap->scores[place] = heap->scores[parent];
        heap->items[place] = heap->items[parent];
        place = parent;
    }
    heap->scores[place] = score;
    heap->items[place] = item;
}

void model_top_clear_rest(const model_top *heap)
{
    for (size_t i = heap->count; i < heap->limit; i++) {
        heap->items[i] = FORAGE_NONE;
        heap->scores[i] = NAN;
    }
}

void model_top_finish(model_top *heap)
{
    for (size_t count = heap->count; count > 1; count--) {
        float score = heap->scores[0], last_score = heap->scores[count - 1];
        uint32_t item = heap->items[0], last_item = heap->items[count - 1];
        sift_down(heap, 0, count - 1, last_score, last_item);
        heap->scores[count - 1] = score;
        heap->items[count - 1] = item;
    }
    model_top_clear_rest(heap);
}
