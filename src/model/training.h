/*
 * training.h: what fits that run through their rows epoch by epoch share: how the learning rate falls, when they are
 * out of time, how they notice that they diverge, and the generator's state among the numbers of a state file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_TRAINING_H
#define MODEL_TRAINING_H

#include "model/descriptor.h"

/* The learning rate over a fit: it rises in a line over `warmup` of it, and falls to `last` of itself. */
typedef struct model_rate {
    double rate, last, warmup; /* warmup and last are shares, 0 to 1 */
    enum { MODEL_RATE_CONSTANT, MODEL_RATE_LINEAR, MODEL_RATE_COSINE } schedule;
} model_rate;

/* By the parameters learning-rate, schedule, final-rate and, in models that have it, warmup. */
model_rate model_rate_read(const forage_params *params);
/* The rate of a step that begins when the share `done` of the fit is behind it, and takes `step` of it. */
double model_rate_at(const model_rate *rate, double done, double step);

/* The time that there is for a fit. */
typedef struct model_pace {
    double started, limit; /* clock; seconds from then, 0: as long as it takes */
    double step, end;      /* seconds of the longest step, and of what the end of an epoch took at most */
} model_pace;

model_pace model_pace_begin(const model_fit_input *input);
/* The share of the fit that is behind it, in [0, 1], when that of its steps is `steps`: by time, if that is more. */
double model_pace_share(const model_pace *pace, double steps);
/* Call it when a step, or the end of an epoch, that began at this clock is over. */
void model_pace_step(model_pace *pace, double begun);
void model_pace_end(model_pace *pace, double begun);
/* Is there no time for another step, and for the end of an epoch? */
bool model_pace_late(const model_pace *pace);
bool model_pace_over(const model_pace *pace); /* no time at all */

/* A fit diverges when a loss is no finite number, or over ten times what guessing costs and 1 more. A step's loss
 * counts by its examples, as a running mean over some 256, so that one odd row in a small batch is no divergence. */
typedef struct model_guard {
    double guess; /* mean loss of a model that only guesses */
    double rate;  /* learning rate, for the message */
} model_guard;

/* The running mean before the first step is `guess`. `epoch` and `step` count from 1. FORAGE_DIVERGED. */
forage_status model_guard_step(const model_guard *guard, double loss, size_t examples, double *running, size_t epoch,
                               size_t step, forage_error *error);
/* The mean loss of validation rows after an epoch, where the least before it was `best` (infinite: there was none, and
 * the loss need only be finite, as rows that are nothing like those that train may cost anything). FORAGE_DIVERGED. */
forage_status model_guard_validation(const model_guard *guard, double loss, double best, size_t epoch,
                                     forage_error *error);
/* What to call an epoch by that has no validation rows, the lower the better: its mean loss; infinite where it ended
 * worse than that, so that its weights are not to be kept against a divergence. */
double model_guard_worth(const model_guard *guard, double loss, double running);

enum { MODEL_RNG_WORDS = 6 };

void model_rng_save(const forage_rng *rng, uint64_t words[MODEL_RNG_WORDS]);
/* False for words that no generator has. */
bool model_rng_load(const uint64_t words[MODEL_RNG_WORDS], forage_rng *rng);

#endif
