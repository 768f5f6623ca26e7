/*
 * What policies share: the largest with ties broken at random, a weighted choice, any of what is left.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/descriptor.h"

#include <math.h>

enum { LANES = 32 }; /* independent maxima, so that the loop becomes vector instructions */

static float largest(const float *values, size_t count)
{
    float lanes[LANES];
    size_t i = 0;
    for (size_t l = 0; l < LANES; l++)
        lanes[l] = -INFINITY;
    for (; i + LANES <= count; i += LANES) {
        for (size_t l = 0; l < LANES; l++)
            lanes[l] = values[i + l] > lanes[l] ? values[i + l] : lanes[l];
    }
    for (; i < count; i++)
        lanes[0] = values[i] > lanes[0] ? values[i] : lanes[0];
    for (size_t l = 1; l < LANES; l++)
        lanes[0] = lanes[l] > lanes[0] ? lanes[l] : lanes[0];
    return lanes[0];
}

static size_t count_equal(const float *values, size_t count, float value)
{
    size_t equal = 0;
    while (count) {
        size_t block = count < 65536 ? count : 65536;
        uint32_t sum = 0; /* of 32 bits: as wide as the values, which helps the vectoriser */
        for (size_t i = 0; i < block; i++)
            sum += values[i] == value;
        equal += sum;
        values += block;
        count -= block;
    }
    return equal;
}

uint32_t policy_pick_best(const float *values, size_t count, forage_rng *rng, float *best, size_t *ties)
{
    float most = largest(values, count);
    size_t equal = count_equal(values, count, most), i = 0;
    size_t skip = equal > 1 ? (size_t)forage_rng_integers(rng, equal) : 0;
    for (;; i++) {
        if (values[i] == most && skip-- == 0)
            break;
    }
    *best = most;
    *ties = equal;
    return (uint32_t)i;
}

uint32_t policy_pick_best_real(const double *values, size_t count, forage_rng *rng, size_t *ties)
{
    double most = -INFINITY;
    size_t equal = 0, i = 0;
    for (size_t j = 0; j < count; j++) {
        if (values[j] > most) {
            most = values[j];
            equal = 1;
            i = j;
        } else {
            equal += values[j] == most;
        }
    }
    if (equal > 1) {
        size_t skip = (size_t)forage_rng_integers(rng, equal);
        for (;; i++) {
            if (values[i] == most && skip-- == 0)
                break;
        }
    }
    *ties = equal;
    return (uint32_t)i;
}

uint32_t policy_pick_weighted(const double *weights, size_t count, double total, forage_rng *rng)
{
    double aim = forage_rng_double(rng) * total, sum = 0;
    size_t last = 0; /* rounding may leave the aim beyond the sum: then the last that is possible */
    for (size_t i = 0; i < count; i++) {
        if (!(weights[i] > 0))
            continue;
        sum += weights[i];
        last = i;
        if (aim < sum)
            break;
    }
    return (uint32_t)last;
}

uint32_t policy_pick_any(const policy_round *round, forage_rng *rng)
{
    uint32_t index = (uint32_t)forage_rng_integers(rng, round->left);
    for (size_t t = 0; t < round->count - round->left; t++)
        index += index >= round->taken[t];
    return index;
}

uint32_t policy_choose_any(const policy_round *round, forage_rng *rng)
{
    double share = 1 / (double)round->left;
    if (round->propensity)
        *round->propensity = share;
    if (round->probabilities) {
        for (size_t i = 0; i < round->count; i++)
            round->probabilities[i] = share;
        for (size_t t = 0; t < round->count - round->left; t++)
            round->probabilities[round->taken[t]] = 0;
    }
    return policy_pick_any(round, rng);
}

uint32_t policy_choose_best(const policy_round *round, const float *score, forage_rng *rng)
{
    float best;
    size_t ties;
    uint32_t chosen = policy_pick_best(score, round->count, rng, &best, &ties);
    if (round->propensity)
        *round->propensity = 1 / (double)ties;
    if (round->probabilities) {
        for (size_t i = 0; i < round->count; i++)
            round->probabilities[i] = score[i] == best ? 1 / (double)ties : 0;
    }
    return chosen;
}
