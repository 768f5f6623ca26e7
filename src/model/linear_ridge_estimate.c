/*
 * linear_ridge_estimate.c: means, deviations and draws (linear_ridge.h has the formulas).
 *
 * All candidates of a request have the same x, so what an arm says of it is computed once for each arm that occurs:
 * x' A_a^-1 x is the product of the packed A_a^-1 with the packed x x'. The shared part is |C' u|^2, a product of all
 * candidates' features with the triangular C, block by block (la_kernels.forms).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/linear_ridge.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* In float32, x' A^-1 x has an error of about this times its upper bound, trace(A^-1) |x|^2: where it is no larger than
 * some such errors it is computed again in double precision. */
static const double COARSE = 2e-5;

/* Candidates of one task of a parallel loop, and multiplications that are worth one. */
enum { TASK_ROWS = 4096, TASK_WORK = 1 << 18 };

/* Variance of the noise over that of the square's unit: the noise of a reward, or what is known of it. */
static double variance(const model_learner *learner, double events, double residual)
{
    double growth = learner->state[RIDGE_GROWTH];
    if (!learner->estimated)
        return learner->noise * learner->noise;
    /* The mean of an inverse gamma distribution. */
    return (learner->scale + fmax(residual, 0) / growth / 2) / (learner->shape + fmax(events, 0) / growth / 2 - 1);
}

static double drawn_variance(const model_learner *learner, double events, double residual, forage_rng *rng)
{
    double growth = learner->state[RIDGE_GROWTH];
    if (!learner->estimated)
        return learner->noise * learner->noise;
    double gamma = forage_rng_gamma(rng, learner->shape + fmax(events, 0) / growth / 2);
    return (learner->scale + fmax(residual, 0) / growth / 2) / fmax(gamma, DBL_MIN);
}

/* Of all arms together: what no arm's noise is below, where they share what is known of it; else 0. */
static double common_variance(const model_learner *learner, forage_rng *rng)
{
    double events = 0, residual = 0;
    if (!learner->pooled)
        return 0;
    for (size_t a = 0; a < learner->arms; a++) {
        events += learner->numbers[a * ARM_NUMBERS + ARM_EVENTS];
        residual += learner->numbers[a * ARM_NUMBERS + ARM_RESIDUAL];
    }
    return rng ? drawn_variance(learner, events, residual, rng) : variance(learner, events, residual);
}

/* Which different arms there are, and which of them each candidate has. */
static size_t list_arms(model_learner *learner, const forage_candidates *candidates)
{
    size_t found = 0, arms = learner->arms;
    if (++learner->stamp == 0) {
        memset(learner->stamps, 0, (arms + 1) * sizeof *learner->stamps);
        learner->stamp = 1;
    }
    for (size_t c = 0; c < candidates->count; c++) {
        size_t arm = candidates->arms[c] < arms ? candidates->arms[c] : arms;
        if (learner->stamps[arm] != learner->stamp) {
            learner->stamps[arm] = learner->stamp;
            learner->slots_of_arms[arm] = (uint32_t)found;
            learner->distinct[found++] = (uint32_t)arm;
        }
        learner->slots[c] = learner->slots_of_arms[arm];
    }
    return found;
}

/* x' e and, if wanted, x' A^-1 x of the `count` different arms. */
static void estimate_arms(model_learner *learner, const float *request, size_t count, bool squares)
{
    size_t d = learner->d;
    double norm = 0;
    memcpy(learner->x_padded, request, d * sizeof(float));
    learner->kernels->dots(learner->slopes, learner->width_pitch, learner->distinct, count, learner->x_padded,
                           learner->arm_means);
    if (!squares)
        return;
    learner->kernels->outer_float(d, request, learner->x_form);
    learner->kernels->dots(learner->forms, learner->pitch, learner->distinct, count, learner->x_form,
                           learner->arm_squares);
    for (size_t i = 0; i < d; i++) {
        learner->x[i] = (double)request[i];
        norm += learner->x[i] * learner->x[i];
    }
    for (size_t s = 0; s < count; s++) {
        size_t arm = learner->distinct[s];
        if (arm == learner->arms)
            learner->arm_squares[s] = (float)(norm / learner->ridge / learner->state[RIDGE_GROWTH]);
        else if (!((double)learner->arm_squares[s] > COARSE * norm * learner->numbers[arm * ARM_NUMBERS + ARM_TRACE]))
            learner->arm_squares[s] =
                (float)learner->kernels->multiply(d, learner->inverse + arm * learner->packed, learner->x, learner->p);
    }
}

/* ---- the shared part ---- */

/* The float32 copies for `forms`, of what z has from the candidate. */
static void bring_up(model_learner *learner)
{
    size_t lead = learner->lead, tail = learner->tail;
    if (!learner->stale)
        return;
    for (size_t j = 0; j < tail; j++) {
        const double *column = learner->factor + (lead + j) * (lead + j + 1) / 2 + lead;
        float *to = learner->tail_factor + la_factor_at(j / LA_LANES, 0) + j % LA_LANES;
        for (size_t i = 0; i <= j; i++)
            to[i * LA_LANES] = (float)column[i];
        learner->tail_beta[j] = (float)learner->beta[lead + j];
    }
    learner->stale = false;
}

/* Of a model without own parts: what the request's features alone say. Writes C'(request, 0) for the tail to
 * `offset` (NULL: not wanted), the square of the lead's part to *square, and returns the mean. */
static double lead_on(model_learner *learner, const float *request, float *offset, float *square)
{
    size_t lead = learner->lead;
    double sum = 0;
    for (size_t i = 0; i < lead; i++)
        learner->u[i] = (double)request[i];
    for (size_t j = 0; offset && j < learner->k; j++) {
        size_t rows = j < lead ? j + 1 : lead;
        double part = learner->kernels->dot(rows, learner->factor + j * (j + 1) / 2, learner->u);
        if (j < lead)
            sum += part * part;
        else
            offset[j - lead] = (float)part;
    }
    *square = (float)sum;
    return learner->kernels->dot(lead, learner->u, learner->beta);
}

/* Of a model with both parts: t = D'x of a request's different arm, which is 0 for one that nobody knows. */
static void lean_on(const model_learner *learner, const float *request, size_t arm, float *t)
{
    size_t d = learner->d, pitch = la_padded(learner->k);
    learner->kernels->combine(d, pitch, learner->leans + arm * d * pitch, request, t);
}

typedef struct forms_task {
    la_forms forms;
    const la_kernels *kernels;
    float *dot, *square;
} forms_task;

static void run_forms(void *context, size_t chunk, int worker)
{
    const forms_task *task = context;
    size_t first = chunk * TASK_ROWS, left = task->forms.count - first;
    (void)worker;
    la_forms part = task->forms;
    part.count = left < TASK_ROWS ? left : TASK_ROWS;
    part.rows += first * part.width;
    if (part.slots)
        part.slots += first;
    task->kernels->forms(&part, task->dot ? task->dot + first : NULL, task->square ? task->square + first : NULL);
}

/* dot[i] = weights' f_i and square[i] = |offset + C' f_i|^2 for the candidates' own features f; either may be NULL. */
static void run_tail(model_learner *learner, const forage_candidates *candidates, const float *weights, float *dot,
                     float *square)
{
    size_t count = candidates->count, tail = learner->tail;
    forms_task task = {
        .forms = {.count = count,
                  .width = tail,
                  .rows = candidates->features,
                  .factor = learner->tail_factor,
                  .offsets = learner->offsets,
                  .slots = learner->d ? learner->slots : NULL,
                  .weights = weights},
        .kernels = learner->kernels,
        .dot = dot,
        .square = square,
    };
    size_t work = count * tail * (square ? tail : 1), chunks = (count + TASK_ROWS - 1) / TASK_ROWS;
    int threads = work < TASK_WORK ? 1 : learner->setup->device->threads;
    forage_parallel_for(threads, chunks, run_forms, &task);
}

/* Every number is finite whatever came in. */
static inline float tame(float number)
{
    float high = number < 1e30F ? number : 1e30F;
    return high > -1e30F ? high : -1e30F;
}

/* The deviation for a square, which rounding may have brought below 0. */
static inline float deviate(float spread, float square)
{
    return tame(sqrtf(spread * (square > 0 ? square : 0.0F)));
}

/* Adds what an arm has for itself, and turns squares into deviations. */
static void finish(const model_learner *learner, size_t count, float spread, float *restrict mean,
                   float *restrict deviation)
{
    const uint32_t *slots = learner->slots;
    const float *means = learner->arm_means, *squares = learner->arm_squares;
    if (!learner->tail) {
        memset(mean, 0, count * sizeof *mean);
        if (deviation)
            memset(deviation, 0, count * sizeof *deviation);
    }
    if (!learner->d) { /* one for all: a loop for vector instructions */
        float known = means[0], square = deviation ? squares[0] : 0.0F;
        for (size_t c = 0; c < count; c++)
            mean[c] = tame(mean[c] + known);
        for (size_t c = 0; deviation && c < count; c++)
            deviation[c] = deviate(spread, deviation[c] + square);
        return;
    }
    for (size_t c = 0; c < count; c++)
        mean[c] = tame(mean[c] + means[slots[c]]);
    for (size_t c = 0; deviation && c < count; c++)
        deviation[c] = deviate(spread, deviation[c] + squares[slots[c]]);
}

/* Estimates of a model with a shared part. */
static void estimate_shared(model_learner *learner, const forage_candidates *candidates, size_t arms, float *mean,
                            float *deviation)
{
    size_t pitch = la_padded(learner->tail);
    bring_up(learner);
    if (!learner->d)
        learner->arm_means[0] =
            (float)lead_on(learner, candidates->request, deviation ? learner->offsets : NULL, &learner->arm_squares[0]);
    for (size_t s = 0; s < arms; s++) {
        float *t = learner->t, *offset = learner->offsets + s * pitch;
        double known = 0;
        lean_on(learner, candidates->request, learner->distinct[s], t);
        for (size_t j = 0; j < learner->k; j++) {
            known += (double)t[j] * learner->beta[j];
            t[j] = -t[j];
        }
        learner->arm_means[s] -= (float)known;
        if (deviation)
            learner->kernels->transform(learner->k, learner->tail_factor, t, offset);
    }
    if (learner->tail)
        run_tail(learner, candidates, learner->tail_beta, mean, deviation);
    float spread = (float)(variance(learner, learner->state[RIDGE_EVENTS], learner->state[RIDGE_RESIDUAL]) *
                           learner->state[RIDGE_GROWTH]);
    finish(learner, candidates->count, spread, mean, deviation);
}

/* The squares of `count` different arms become deviations, where each arm has a noise of its own. */
static void deviate_arms(model_learner *learner, size_t count)
{
    float growth = (float)learner->state[RIDGE_GROWTH], fixed = (float)(learner->noise * learner->noise) * growth;
    float *restrict squares = learner->arm_squares;
    if (!learner->estimated) {
        for (size_t s = 0; s < count; s++)
            squares[s] = deviate(fixed, squares[s]);
        return;
    }
    double common = common_variance(learner, NULL);
    for (size_t s = 0; s < count; s++) {
        size_t arm = learner->distinct[s];
        const double *numbers = arm < learner->arms ? learner->numbers + arm * ARM_NUMBERS : NULL;
        double spread = variance(learner, numbers ? numbers[ARM_EVENTS] : 0, numbers ? numbers[ARM_RESIDUAL] : 0);
        squares[s] = deviate((float)fmax(spread, common) * growth, squares[s]);
    }
}

void model_linear_estimate(model_learner *learner, const forage_candidates *candidates, float *mean, float *deviation)
{
    size_t arms = 0;
    if (learner->d) {
        arms = list_arms(learner, candidates);
        estimate_arms(learner, candidates->request, arms, deviation);
    }
    if (learner->k) {
        estimate_shared(learner, candidates, arms, mean, deviation);
        return;
    }
    for (size_t s = 0; s < arms; s++)
        learner->arm_means[s] = tame(learner->arm_means[s]);
    if (deviation)
        deviate_arms(learner, arms);
    for (size_t c = 0; c < candidates->count; c++)
        mean[c] = learner->arm_means[learner->slots[c]];
    for (size_t c = 0; deviation && c < candidates->count; c++)
        deviation[c] = learner->arm_squares[learner->slots[c]];
}

/* ---- draws ---- */

/* The shared weights: beta + sqrt(spread) C epsilon, into `gain`. */
static void draw_beta(model_learner *learner, double spread, forage_rng *rng)
{
    size_t k = learner->k;
    memcpy(learner->gain, learner->beta, k * sizeof *learner->gain);
    for (size_t j = 0; j < k; j++)
        learner->kernels->add(j + 1, sqrt(spread) * forage_rng_normal(rng), learner->factor + j * (j + 1) / 2,
                              learner->gain);
}

/* Given the shared weights, an arm's x' theta is normal around x' e - (D'x)' beta with variance x' A^-1 x: one number
 * for each different arm, whose candidates share it. Arms that nobody knows are as many as there are candidates. */
void model_linear_draw(model_learner *learner, const forage_candidates *candidates, forage_rng *rng, float *values)
{
    size_t arms = 0, k = learner->k;
    double growth = learner->state[RIDGE_GROWTH], spread = 0, common = 0;
    if (learner->d) {
        arms = list_arms(learner, candidates);
        estimate_arms(learner, candidates->request, arms, true);
    }
    if (k) {
        spread = growth * drawn_variance(learner, learner->state[RIDGE_EVENTS], learner->state[RIDGE_RESIDUAL], rng);
        draw_beta(learner, spread, rng);
    } else {
        common = common_variance(learner, rng);
    }
    for (size_t s = 0; s < (learner->d ? arms : 1); s++) {
        size_t arm = learner->d ? learner->distinct[s] : 0;
        double value = 0;
        if (learner->d && arm < learner->arms) {
            const double *numbers = learner->numbers + arm * ARM_NUMBERS;
            double alone = k ? 0 : drawn_variance(learner, numbers[ARM_EVENTS], numbers[ARM_RESIDUAL], rng);
            double own = k ? spread : growth * fmax(alone, common);
            value = (double)learner->arm_means[s] +
                    sqrt(own * fmax((double)learner->arm_squares[s], 0)) * forage_rng_normal(rng);
        }
        for (size_t i = 0; i < learner->lead; i++)
            value += (double)candidates->request[i] * learner->gain[i];
        if (k && learner->d)
            lean_on(learner, candidates->request, arm, learner->t);
        for (size_t j = 0; j < k && learner->d; j++)
            value -= (double)learner->t[j] * learner->gain[j];
        learner->arm_means[s] = tame((float)value);
    }
    if (learner->tail) {
        float *weights = learner->offsets; /* at least as long */
        for (size_t i = 0; i < learner->tail; i++)
            weights[i] = (float)learner->gain[learner->lead + i];
        run_tail(learner, candidates, weights, values, NULL);
    }
    for (size_t c = 0; c < candidates->count; c++) {
        size_t s = learner->d ? learner->slots[c] : 0;
        double value = (learner->tail ? (double)values[c] : 0) + (double)learner->arm_means[s];
        if (learner->d && learner->distinct[s] == learner->arms) {
            double own = k ? spread : growth * fmax(drawn_variance(learner, 0, 0, rng), common);
            value += sqrt(own * (double)learner->arm_squares[s]) * forage_rng_normal(rng);
        }
        values[c] = tame((float)value);
    }
}
