/*
 * training.h: what fits that run through their rows epoch by epoch share: how the learning rate falls, and the
 * generator's state among the numbers of a state file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_TRAINING_H
#define MODEL_TRAINING_H

#include "forage/base.h"

/* The learning rate over a fit: it rises in a line over `warmup` of it, and falls to `last` of itself. */
typedef struct model_rate {
    double rate, last, warmup; /* warmup and last are shares, 0 to 1 */
    enum { MODEL_RATE_CONSTANT, MODEL_RATE_LINEAR, MODEL_RATE_COSINE } schedule;
} model_rate;

/* By the parameters learning-rate, schedule, final-rate and, in models that have it, warmup. */
model_rate model_rate_read(const forage_params *params);
/* The rate of a step that begins when the share `done` of the fit is behind it, and takes `step` of it. */
double model_rate_at(const model_rate *rate, double done, double step);

enum { MODEL_RNG_WORDS = 6 };

void model_rng_save(const forage_rng *rng, uint64_t words[MODEL_RNG_WORDS]);
/* False for words that no generator has. */
bool model_rng_load(const uint64_t words[MODEL_RNG_WORDS], forage_rng *rng);

#endif
