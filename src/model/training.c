/*
 * training.c: how the learning rate of a fit falls, and its generator in a state file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/training.h"

#include <math.h>
#include <string.h>

model_rate model_rate_read(const forage_params *params)
{
    const char *schedule = forage_params_text(params, "schedule");
    model_rate rate = {
        .rate = forage_params_real(params, "learning-rate"),
        .last = forage_params_real(params, "final-rate"),
        .warmup = forage_params_text(params, "warmup") ? forage_params_real(params, "warmup") : 0,
        .schedule = strcmp(schedule, "cosine") == 0   ? MODEL_RATE_COSINE
                    : strcmp(schedule, "linear") == 0 ? MODEL_RATE_LINEAR
                                                      : MODEL_RATE_CONSTANT,
    };
    return rate;
}

double model_rate_at(const model_rate *rate, double done, double step)
{
    double share = 1;
    if (done < rate->warmup)
        return rate->rate * fmin((done + step) / rate->warmup, 1);
    if (rate->schedule == MODEL_RATE_LINEAR)
        share = 1 - done;
    else if (rate->schedule == MODEL_RATE_COSINE)
        share = 0.5 * (1 + cos(3.14159265358979323846 * done));
    return rate->rate * (rate->last + (1 - rate->last) * share);
}

void model_rng_save(const forage_rng *rng, uint64_t words[MODEL_RNG_WORDS])
{
    words[0] = rng->state_high;
    words[1] = rng->state_low;
    words[2] = rng->increment_high;
    words[3] = rng->increment_low;
    words[4] = rng->spare;
    words[5] = rng->has_spare;
}

bool model_rng_load(const uint64_t words[MODEL_RNG_WORDS], forage_rng *rng)
{
    *rng = (forage_rng){words[0], words[1], words[2], words[3], (uint32_t)words[4], (uint32_t)words[5]};
    return words[4] <= UINT32_MAX && words[5] <= 1;
}
