/*
 * places.c: what stands further down a slate is looked at less often.
 *
 * The position-based model (Craswell, Zoeter, Taylor, Ramsey 2008): an item in place k is clicked when it is looked at,
 * with probability e_k, e_0 = 1, and liked, with the probability p that the model is after. Of an item that was not
 * clicked it is not known whether it was looked at; the probability that it was, given no click, is
 *
 *   w = e_k (1 - p) / (1 - e_k p),
 *
 * and that is the weight of the lesson (the expectation step of an EM algorithm, done once for each event with the
 * model as it is); a click weighs 1. e_k is (clicks in place k / clicks expected there) relative to the same of place
 * 0, both beginning with PRIOR clicks as expected. Rewards outside [0, 1] are taken as they are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "pipeline/appeal.h"

#define PRIOR 20.0

forage_status pipeline_places_create(size_t count, pipeline_places *places, forage_error *error)
{
    *places = (pipeline_places){
        .count = count,
        .expected = forage_alloc(count, sizeof *places->expected),
        .earned = forage_alloc(count, sizeof *places->earned),
    };
    if (!places->expected || !places->earned)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the places of a slate");
    for (size_t i = 0; i < count; i++)
        places->expected[i] = places->earned[i] = PRIOR;
    return FORAGE_OK;
}

void pipeline_places_release(pipeline_places *places)
{
    forage_free(places->expected);
    forage_free(places->earned);
    *places = (pipeline_places){0};
}

float pipeline_places_weight(const pipeline_places *places, size_t place, float expected, float reward)
{
    if (place == 0 || place >= places->count || !(reward >= 0 && reward <= 1))
        return 1;
    double p = fmin(fmax((double)expected, 0), 0.99);
    double looked = places->earned[place] * places->expected[0] / (places->expected[place] * places->earned[0]);
    looked = fmin(fmax(looked, 1e-3), 1);
    double missed = looked * (1 - p) / (1 - looked * p);
    return (float)((double)reward + (1 - (double)reward) * missed);
}

void pipeline_places_learn(pipeline_places *places, size_t place, float expected, float reward)
{
    if (place >= places->count || !(reward >= 0 && reward <= 1) || !(expected > 0))
        return;
    places->expected[place] += fmin((double)expected, 1);
    places->earned[place] += (double)reward;
}
