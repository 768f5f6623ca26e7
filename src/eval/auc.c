/*
 * auc.c: rows in order of score, and the area under the ROC curve from that order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "eval/intern.h"

/* Maps a float to an integer of the same order: negative numbers have all bits
 * flipped, the others the sign bit. Adding zero turns -0 into +0. */
static inline uint32_t sortable(float score)
{
    uint32_t bits;
    score += 0.0f;
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

void eval_sort_scores(const float *scores, size_t count, uint64_t *order, uint64_t *scratch)
{
    enum { DIGIT = 11, BUCKETS = 1 << DIGIT, PASSES = 3 };
    size_t histogram[PASSES][BUCKETS] = {{0}};
    for (size_t i = 0; i < count; ++i) {
        uint32_t key = sortable(scores[i]);
        order[i] = (uint64_t)key << 32 | (uint32_t)i;
        for (unsigned pass = 0; pass < PASSES; ++pass)
            ++histogram[pass][key >> (pass * DIGIT) & (BUCKETS - 1)];
    }
    /* Three passes and then one copy: an odd number of moves ends in `scratch`. */
    uint64_t *from = order, *to = scratch;
    for (unsigned pass = 0; pass < PASSES; ++pass) {
        size_t next = 0;
        for (size_t bucket = 0; bucket < BUCKETS; ++bucket) {
            size_t here = histogram[pass][bucket];
            histogram[pass][bucket] = next;
            next += here;
        }
        for (size_t i = 0; i < count; ++i) {
            size_t bucket = from[i] >> (32 + pass * DIGIT) & (BUCKETS - 1);
            to[histogram[pass][bucket]++] = from[i];
        }
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    memcpy(order, from, count * sizeof *order);
}

/* Twice the number of (positive, negative) pairs in the right order, ties counting
 * half, is a whole number: counted without rounding (Hanley and McNeil 1982). */
double eval_auc_sorted(const uint64_t *order, const float *labels, size_t count)
{
    uint64_t negatives = 0, positives = 0, twice = 0;
    for (size_t first = 0; first < count;) {
        uint64_t block_positives = 0, block_negatives = 0;
        uint32_t key = (uint32_t)(order[first] >> 32);
        size_t i = first;
        for (; i < count && (uint32_t)(order[i] >> 32) == key; ++i) {
            bool positive = labels[(uint32_t)order[i]] > 0.5f;
            block_positives += positive;
            block_negatives += !positive;
        }
        twice += block_positives * (2 * negatives + block_negatives);
        positives += block_positives;
        negatives += block_negatives;
        first = i;
    }
    if (positives == 0 || negatives == 0)
        return NAN;
    return 0.5 * (double)twice / ((double)positives * (double)negatives);
}

forage_status eval_check_rows(const float *scores, const float *labels, size_t count, bool probability,
                              forage_error *error)
{
    if (count == 0)
        return forage_fail(error, FORAGE_INVALID, "there are no rows to evaluate");
    if (count >= UINT32_MAX)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%zu rows are too many to evaluate at once", count);
    for (size_t i = 0; i < count; ++i) {
        if (!isfinite(scores[i]))
            return forage_fail(error, FORAGE_DIVERGED, "the prediction for row %zu is not a finite number", i);
        if (probability && !(scores[i] >= 0 && scores[i] <= 1))
            return forage_fail(error, FORAGE_INVALID, "the prediction for row %zu, %g, is not a probability", i,
                               (double)scores[i]);
        if (labels[i] != 0 && labels[i] != 1)
            return forage_fail(error, FORAGE_INVALID, "the label of row %zu is %g, not 0 or 1", i, (double)labels[i]);
    }
    return FORAGE_OK;
}

forage_status forage_auc(const float *scores, const float *labels, size_t count, double *auc, forage_error *error)
{
    FORAGE_TRY(eval_check_rows(scores, labels, count, false, error));
    uint64_t *order = forage_alloc(count, sizeof *order);
    uint64_t *scratch = forage_alloc(count, sizeof *scratch);
    forage_status status = FORAGE_OK;
    if (order && scratch) {
        eval_sort_scores(scores, count, order, scratch);
        *auc = eval_auc_sorted(order, labels, count);
    } else {
        status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to sort %zu scores", count);
    }
    forage_free(order);
    forage_free(scratch);
    return status;
}
