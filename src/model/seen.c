/*
 * Seen: which items each user has met, in compressed rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"

#include <stdlib.h>

void forage_seen_release(forage_seen *seen)
{
    forage_free(seen->offsets);
    forage_free(seen->items);
    *seen = (forage_seen){0};
}

static int rising(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

/* Sorts each user's items and drops repetitions. */
static void sort_and_unite(forage_seen *seen)
{
    size_t kept = 0, begin = 0;
    for (size_t user = 0; user < seen->user_count; user++) {
        size_t end = seen->offsets[user + 1], first = kept;
        qsort(seen->items + begin, end - begin, sizeof *seen->items, rising);
        for (size_t i = begin; i < end; i++) {
            if (kept == first || seen->items[kept - 1] != seen->items[i])
                seen->items[kept++] = seen->items[i];
        }
        begin = end;
        seen->offsets[user + 1] = kept;
    }
}

forage_status forage_seen_create(const forage_dataset *dataset, const uint32_t *rows, size_t count, bool positive_only,
                                 forage_seen *seen, forage_error *error)
{
    *seen = (forage_seen){0};
    if (!dataset->users || !dataset->user)
        return forage_fail(error, FORAGE_INVALID, "the log names no users: there is nothing that they have seen");
    if (!rows)
        count = dataset->count;
    seen->user_count = forage_vocabulary_count(dataset->users);
    seen->offsets = forage_calloc(seen->user_count + 2, sizeof *seen->offsets);
    seen->items = forage_alloc(count + 1, sizeof *seen->items);
    if (!seen->offsets || !seen->items) {
        forage_seen_release(seen);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for what %zu rows show", count);
    }
    /* Counting sort: offsets[user + 2] counts, then offsets[user + 1] walks. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            size_t row = rows ? rows[i] : i;
            if (positive_only && dataset->value && !(dataset->value[row] > 0))
                continue;
            if (pass == 0)
                seen->offsets[dataset->user[row] + 2]++;
            else
                seen->items[seen->offsets[dataset->user[row] + 1]++] = dataset->item[row];
        }
        for (size_t user = 0; pass == 0 && user < seen->user_count; user++)
            seen->offsets[user + 2] += seen->offsets[user + 1];
    }
    sort_and_unite(seen);
    return FORAGE_OK;
}

bool forage_seen_has(const forage_seen *seen, uint32_t user, uint32_t item)
{
    if (user >= seen->user_count)
        return false;
    size_t low = seen->offsets[user], end = seen->offsets[user + 1], high = end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (seen->items[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && seen->items[low] == item;
}
