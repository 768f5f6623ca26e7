/*
 * Histories: what each user did, in order of time.
 *
 * Rows are dealt out to their users as they come (a counting sort), and those of a user are sorted where they did not
 * come in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <inttypes.h>

void forage_histories_release(forage_histories *histories)
{
    forage_free(histories->offsets);
    forage_free(histories->rows);
    *histories = (forage_histories){0};
}

static forage_status no_memory(size_t count, forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the histories of %zu rows", count);
}

/* Deals rows out to their users, in the order of `rows`. */
static void deal(const forage_dataset *dataset, const uint32_t *rows, size_t count, bool positive_only,
                 forage_histories *made)
{
    /* offsets[user + 2] counts, then offsets[user + 1] walks. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            uint32_t row = rows ? rows[i] : (uint32_t)i, user = dataset->user[row];
            if (positive_only && dataset->value && !(dataset->value[row] > 0))
                continue;
            if (pass == 0)
                made->offsets[user + 2]++;
            else
                made->rows[made->offsets[user + 1]++] = row;
        }
        for (size_t user = 0; pass == 0 && user < made->users; user++)
            made->offsets[user + 2] += made->offsets[user + 1];
    }
}

/* Is a before b? A total order: rows that are the same row are neither. */
static bool precedes(const forage_dataset *dataset, uint32_t a, uint32_t b)
{
    if (dataset->time && dataset->time[a] != dataset->time[b])
        return dataset->time[a] < dataset->time[b];
    return a < b;
}

static bool is_sorted(const forage_dataset *dataset, const uint32_t *rows, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (precedes(dataset, rows[i], rows[i - 1]))
            return false;
    }
    return true;
}

/* Merge sort from short runs upwards; `scratch` has `count` entries too. */
static void sort(const forage_dataset *dataset, uint32_t *rows, uint32_t *scratch, size_t count)
{
    uint32_t *from = rows, *to = scratch;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = start + 2 * width < count ? start + 2 * width : count;
            size_t a = start, b = middle;
            for (size_t out = start; out < end; out++)
                to[out] = b >= end || (a < middle && !precedes(dataset, from[b], from[a])) ? from[a++] : from[b++];
        }
        uint32_t *other = from;
        from = to;
        to = other;
    }
    for (size_t i = 0; from != rows && i < count; i++)
        rows[i] = from[i];
}

/* Every user's rows in order; allocates if one is not. */
static forage_status sort_all(const forage_dataset *dataset, forage_histories *made, forage_error *error)
{
    uint32_t *scratch = NULL;
    for (size_t user = 0; user < made->users; user++) {
        uint32_t *rows = made->rows + made->offsets[user];
        size_t count = made->offsets[user + 1] - made->offsets[user];
        if (is_sorted(dataset, rows, count))
            continue;
        if (!scratch && !(scratch = forage_alloc(made->offsets[made->users], sizeof *scratch)))
            return no_memory(made->offsets[made->users], error);
        sort(dataset, rows, scratch, count);
    }
    forage_free(scratch);
    return FORAGE_OK;
}

forage_status forage_histories_create(const forage_dataset *dataset, const uint32_t *rows, size_t count,
                                      bool positive_only, forage_histories *histories, forage_error *error)
{
    forage_histories made = {0};
    *histories = made;
    if (!dataset->users || !dataset->user)
        return forage_fail(error, FORAGE_INVALID, "the log names no users: there is nobody who could have a history");
    if (!rows)
        count = dataset->count;
    for (size_t i = 0; rows && i < count; i++) {
        if (rows[i] >= dataset->count)
            return forage_fail(error, FORAGE_INVALID, "there is no row %" PRIu32 " in a log of %zu rows", rows[i] + 1,
                               dataset->count);
    }
    made.users = forage_vocabulary_count(dataset->users);
    made.offsets = forage_calloc(made.users + 2, sizeof *made.offsets);
    made.rows = forage_alloc(count + 1, sizeof *made.rows);
    if (!made.offsets || !made.rows) {
        forage_histories_release(&made);
        return no_memory(count, error);
    }
    deal(dataset, rows, count, positive_only, &made);
    forage_status status = sort_all(dataset, &made, error);
    if (status == FORAGE_OK)
        *histories = made;
    else
        forage_histories_release(&made);
    return status;
}

size_t forage_histories_before(const forage_histories *histories, const forage_dataset *dataset, uint32_t user,
                               uint32_t row)
{
    if (user >= histories->users)
        return 0;
    size_t first = histories->offsets[user], low = first, high = histories->offsets[user + 1];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t other = histories->rows[middle];
        bool before = dataset->time ? dataset->time[other] < dataset->time[row] : other < row;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low - first;
}
