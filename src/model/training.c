/*
 * training.c: how the learning rate of a fit falls, its time, its divergence, and its generator in a state file.
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

/* ---- time ---- */

model_pace model_pace_begin(const model_fit_input *input)
{
    return (model_pace){.started = forage_clock(), .limit = input->seconds};
}

double model_pace_share(const model_pace *pace, double steps)
{
    if (pace->limit > 0)
        steps = fmax(steps, (forage_clock() - pace->started) / pace->limit);
    return fmin(steps, 1);
}

void model_pace_step(model_pace *pace, double begun)
{
    pace->step = fmax(pace->step, forage_clock() - begun);
}

void model_pace_end(model_pace *pace, double begun)
{
    pace->end = fmax(pace->end, forage_clock() - begun);
}

bool model_pace_late(const model_pace *pace)
{
    return pace->limit > 0 && forage_clock() - pace->started + pace->step + pace->end >= pace->limit;
}

bool model_pace_over(const model_pace *pace)
{
    return pace->limit > 0 && forage_clock() - pace->started >= pace->limit;
}

/* ---- divergence ---- */

enum { RUNNING = 256 }; /* examples */

static const double RUNAWAY = 10;

forage_status model_guard_step(const model_guard *guard, double loss, size_t examples, double *running, size_t epoch,
                               size_t step, forage_error *error)
{
    if (!isfinite(loss))
        return forage_fail(error, FORAGE_DIVERGED,
                           "the loss is no longer a number in epoch %zu, step %zu; the learning rate of %g is the "
                           "likely cause: a smaller learning rate may help",
                           epoch, step, guard->rate);
    *running += (loss - *running) * fmin((double)examples / RUNNING, 1);
    if (*running <= RUNAWAY * (guard->guess + 1))
        return FORAGE_OK;
    return forage_fail(error, FORAGE_DIVERGED,
                       "the loss has risen to %.4g in epoch %zu, step %zu, where guessing costs %.3g; the learning "
                       "rate of %g is the likely cause: a smaller learning rate may help",
                       loss, epoch, step, guard->guess, guard->rate);
}

forage_status model_guard_validation(const model_guard *guard, double loss, double best, size_t epoch,
                                     forage_error *error)
{
    if (loss <= RUNAWAY * (fmax(best, guard->guess) + 1) && isfinite(loss))
        return FORAGE_OK;
    if (!isfinite(loss))
        return forage_fail(error, FORAGE_DIVERGED,
                           "the validation loss after epoch %zu is no longer a number; the learning rate of %g is the "
                           "likely cause: a smaller learning rate may help",
                           epoch, guard->rate);
    return forage_fail(error, FORAGE_DIVERGED,
                       "the validation loss has risen to %.4g after epoch %zu, where guessing costs %.3g; the learning "
                       "rate of %g is the likely cause: a smaller learning rate may help",
                       loss, epoch, guard->guess, guard->rate);
}

double model_guard_worth(const model_guard *guard, double loss, double running)
{
    return running <= 2 * guard->guess ? loss : INFINITY;
}

/* ---- the generator ---- */

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
