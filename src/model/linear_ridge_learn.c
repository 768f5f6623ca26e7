/*
 * linear_ridge_learn.c: lessons, one rank at a time (linear_ridge.h has the formulas), and everything
 * from the sums again: against the drift of rounding, and after learners were merged.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/linear_ridge.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Growth is taken out of all numbers when it has come so far. */
static const double GREATEST_GROWTH = 1e6;
/* A part of a matrix that taking back has brought down to this is factorised anew rather than divided by. */
static const double SMALLEST_REST = 1e-6;

void model_linear_narrow(model_learner *learner, size_t arm)
{
    size_t d = learner->d, packed = learner->packed;
    learner->kernels->narrow(packed, learner->inverse + arm * packed, learner->doubled,
                             learner->forms + arm * learner->pitch);
    for (size_t i = 0; i < d; i++)
        learner->slopes[arm * learner->width_pitch + i] = (float)learner->weights[arm * d + i];
    for (size_t i = 0; i < d && learner->k; i++) {
        const double *lean = learner->lean + (arm * d + i) * learner->k;
        float *to = learner->leans + (arm * d + i) * la_padded(learner->k);
        for (size_t j = 0; j < learner->k; j++)
            to[j] = (float)lean[j];
    }
}

/* ---- from the sums ---- */

/* out = the inverse triangle of R in matrix = R'R. Where rounding has left a matrix that is not positive
 * definite, as little as helps is added to its diagonal. Spoils `matrix`' copy only. */
static void factorise(size_t n, const double *matrix, double *out)
{
    double trace = 0, added = 0;
    for (size_t i = 0; i < n; i++)
        trace += fabs(matrix[i * (2 * n - i + 1) / 2]);
    for (int attempt = 0; true; attempt++) {
        memcpy(out, matrix, la_packed(n) * sizeof *out);
        for (size_t i = 0; i < n; i++)
            out[i * (2 * n - i + 1) / 2] += added;
        if (la_cholesky(n, out) || attempt > 40)
            break;
        added = added > 0 ? 10 * added : fmax(1e-14 * trace, DBL_MIN * 1e20);
    }
    la_triangle_invert(n, out);
}

void model_linear_refresh_arm(model_learner *learner, size_t arm)
{
    size_t d = learner->d, k = learner->k, packed = learner->packed;
    double *inverse = learner->inverse + arm * packed, *triangle = learner->triangle, trace = 0;
    double *lean = learner->lean + arm * d * k;
    const double *cross = learner->cross + arm * d * k;
    memcpy(learner->other_triangle, learner->gram + arm * packed, packed * sizeof *inverse);
    for (size_t i = 0; i < d; i++)
        learner->other_triangle[i * (2 * d - i + 1) / 2] += model_linear_of(learner, arm, i);
    factorise(d, learner->other_triangle, triangle);
    la_triangle_square(d, triangle, inverse);
    (void)learner->kernels->multiply(d, inverse, learner->target + arm * d, learner->weights + arm * d);
    for (size_t i = 0; i < d; i++)
        trace += inverse[i * (2 * d - i + 1) / 2];
    if (k) {
        memset(lean, 0, d * k * sizeof *lean);
        for (size_t i = 0; i < d; i++) {
            const double *row = inverse + i * (2 * d - i + 1) / 2;
            for (size_t j = i; j < d; j++) {
                learner->kernels->add(k, row[j - i], cross + j * k, lean + i * k);
                if (j > i)
                    learner->kernels->add(k, row[j - i], cross + i * k, lean + j * k);
            }
        }
    }
    learner->numbers[arm * ARM_NUMBERS + ARM_TRACE] = trace;
    learner->numbers[arm * ARM_NUMBERS + ARM_AGE] = 0;
    model_linear_narrow(learner, arm);
}

void model_linear_refresh_shared(model_learner *learner)
{
    size_t d = learner->d, k = learner->k;
    double *matrix = learner->other_triangle, *right = learner->u;
    memcpy(matrix, learner->shared_gram, la_packed(k) * sizeof *matrix);
    memcpy(right, learner->shared_target, k * sizeof *right);
    for (size_t i = 0; i < k; i++)
        matrix[i * (2 * k - i + 1) / 2] += learner->shared_ridges[i];
    for (size_t row = 0; row < learner->arms * d; row++) {
        const double *cross = learner->cross + row * k, *lean = learner->lean + row * k;
        double *out = matrix;
        for (size_t i = 0; i < k; i++) {
            if (cross[i] != 0)
                learner->kernels->add(k - i, -cross[i], lean + i, out);
            out += k - i;
        }
        learner->kernels->add(k, -learner->weights[row], cross, right);
    }
    factorise(k, matrix, learner->triangle);
    /* From rows to columns. */
    for (size_t i = 0; i < k; i++) {
        for (size_t j = i; j < k; j++)
            learner->factor[j * (j + 1) / 2 + i] = learner->triangle[i * (2 * k - i + 1) / 2 + j - i];
    }
    memset(learner->beta, 0, k * sizeof *learner->beta);
    for (size_t j = 0; j < k; j++) {
        const double *column = learner->factor + j * (j + 1) / 2;
        learner->kernels->add(j + 1, learner->kernels->dot(j + 1, column, right), column, learner->beta);
    }
    learner->state[RIDGE_AGE] = 0;
    learner->stale = true;
}

/* The residuals, from the sums and what follows from them. */
static void refresh_residuals(model_learner *learner)
{
    size_t d = learner->d, k = learner->k;
    double *right = learner->u, explained = 0;
    memcpy(right, learner->shared_target, k * sizeof *right);
    for (size_t arm = 0; arm < learner->arms; arm++) {
        double *numbers = learner->numbers + arm * ARM_NUMBERS;
        double own = learner->kernels->dot(d, learner->target + arm * d, learner->weights + arm * d);
        numbers[ARM_RESIDUAL] = fmax(numbers[ARM_SQUARES] - own, 0);
        explained += own;
        for (size_t i = 0; i < d && k; i++)
            learner->kernels->add(k, -learner->weights[arm * d + i], learner->cross + (arm * d + i) * k, right);
    }
    explained += learner->kernels->dot(k, right, learner->beta);
    learner->state[RIDGE_RESIDUAL] = fmax(learner->state[RIDGE_SQUARES] - explained, 0);
}

static void refresh_all(model_learner *learner)
{
    for (size_t arm = 0; arm < learner->arms && learner->d; arm++)
        model_linear_refresh_arm(learner, arm);
    if (learner->k)
        model_linear_refresh_shared(learner);
    refresh_residuals(learner);
}

/* ---- one rank ---- */

/* Takes the measurement z' beta = y into the shared part. False when taking back would leave nothing. */
static bool measure_shared(model_learner *learner, const double *z, double y, double weight)
{
    size_t k = learner->k;
    double innovation, off = y - learner->kernels->dot(k, z, learner->beta);
    if (!la_factor_measure(learner->kernels, k, learner->factor, z, weight, learner->gain, learner->product,
                           &innovation))
        return false;
    learner->kernels->add(k, off / innovation, learner->gain, learner->beta);
    learner->state[RIDGE_RESIDUAL] += off * off / innovation;
    learner->state[RIDGE_AGE]++;
    learner->stale = true;
    return true;
}

/* Takes (x, z, y) into what follows from the sums. Where an arm's features were `unit` (below d) alone, x is the unit
 * vector of that coordinate. False when taking back would leave too little to divide by. */
static bool measure(model_learner *learner, size_t arm, const double *x, const double *z, double y, double weight)
{
    size_t d = learner->d, k = learner->k, packed = learner->packed;
    const la_kernels *kernels = learner->kernels;
    if (!d)
        return measure_shared(learner, z, y, weight);
    double *inverse = learner->inverse + arm * packed, *weights = learner->weights + arm * d, *p = learner->p;
    double *numbers = learner->numbers + arm * ARM_NUMBERS;
    double square = kernels->multiply(d, inverse, x, p), rest = 1 + weight * square;
    if (!(rest > SMALLEST_REST))
        return false;
    double gain = weight / rest, off = y - kernels->dot(d, x, weights);
    if (k) {
        double *lean = learner->lean + arm * d * k;
        memcpy(learner->u, z, k * sizeof *z);
        for (size_t i = 0; i < d; i++)
            kernels->add(k, -x[i], lean + i * k, learner->u);
        if (!measure_shared(learner, learner->u, off, gain))
            return false;
        for (size_t i = 0; i < d; i++)
            kernels->add(k, gain * p[i], learner->u, lean + i * k);
    }
    kernels->outer(d, p, learner->triangle);
    kernels->add(packed, -gain, learner->triangle, inverse);
    kernels->add(d, gain * off, p, weights);
    numbers[ARM_TRACE] -= gain * kernels->dot(d, p, p);
    numbers[ARM_RESIDUAL] += gain * off * off;
    numbers[ARM_AGE]++;
    return true;
}

/* Everything from the sums when an update could not be made. */
static void repair(model_learner *learner, size_t arm)
{
    if (learner->d)
        model_linear_refresh_arm(learner, arm);
    if (learner->k)
        model_linear_refresh_shared(learner);
    refresh_residuals(learner);
}

/* The lesson in hand, as doubles. */
static void unpack(model_learner *learner, const float *request, const float *features)
{
    for (size_t i = 0; i < learner->d; i++)
        learner->x[i] = (double)request[i];
    for (size_t i = 0; i < learner->lead; i++)
        learner->z[i] = (double)request[i];
    for (size_t i = 0; i < learner->tail; i++)
        learner->z[learner->lead + i] = (double)features[i];
}

/* Adds the lesson in `x` and `z` with a weight of either sign to the sums. */
static void add_to_sums(model_learner *learner, size_t arm, double reward, double weight)
{
    size_t d = learner->d, k = learner->k;
    const la_kernels *kernels = learner->kernels;
    double *events = learner->state + RIDGE_EVENTS, *squares = learner->state + RIDGE_SQUARES;
    if (d) {
        double *numbers = learner->numbers + arm * ARM_NUMBERS;
        kernels->outer(d, learner->x, learner->triangle);
        kernels->add(learner->packed, weight, learner->triangle, learner->gram + arm * learner->packed);
        kernels->add(d, weight * reward, learner->x, learner->target + arm * d);
        for (size_t i = 0; i < d && k; i++)
            kernels->add(k, weight * learner->x[i], learner->z, learner->cross + (arm * d + i) * k);
        numbers[ARM_EVENTS] += weight;
        numbers[ARM_SQUARES] += weight * reward * reward;
    }
    if (k) {
        kernels->outer(k, learner->z, learner->triangle);
        kernels->add(la_packed(k), weight, learner->triangle, learner->shared_gram);
        kernels->add(k, weight * reward, learner->z, learner->shared_target);
    }
    *events += weight;
    *squares += weight * reward * reward;
}

static void take_in(model_learner *learner, size_t arm, const float *request, const float *features, double reward,
                    double weight)
{
    unpack(learner, request, features);
    add_to_sums(learner, arm, reward, weight);
    if (!measure(learner, arm, learner->x, learner->z, reward, weight)) {
        repair(learner, arm);
        return;
    }
    if (learner->d && learner->numbers[arm * ARM_NUMBERS + ARM_AGE] >= (double)learner->refresh)
        model_linear_refresh_arm(learner, arm);
    /* The shared part's own sums run over all arms, so that it waits for as many lessons as there are arms. */
    if (learner->k && learner->state[RIDGE_AGE] >= (double)learner->refresh + (double)learner->arms)
        model_linear_refresh_shared(learner);
}

/* ---- forgetting ---- */

static void scale(double *numbers, size_t count, double by)
{
    for (size_t i = 0; i < count; i++)
        numbers[i] *= by;
}

/* Takes the growth out of all numbers. */
static void settle(model_learner *learner)
{
    size_t arms = learner->arms, d = learner->d, k = learner->k, packed = learner->packed;
    double by = 1 / learner->state[RIDGE_GROWTH];
    scale(learner->gram, arms * packed, by);
    scale(learner->target, arms * d, by);
    scale(learner->cross, arms * d * k, by);
    scale(learner->ridges, arms * d, by);
    scale(learner->inverse, arms * packed, 1 / by);
    for (size_t arm = 0; arm < arms; arm++) {
        double *numbers = learner->numbers + arm * ARM_NUMBERS;
        scale(numbers + ARM_EVENTS, 3, by);
        numbers[ARM_TRACE] /= by;
        if (d)
            model_linear_narrow(learner, arm);
    }
    scale(learner->shared_gram, la_packed(k), by);
    scale(learner->shared_target, k, by);
    scale(learner->shared_ridges, k, by);
    scale(learner->factor, la_packed(k), sqrt(1 / by));
    scale(learner->held_weights, learner->window, by);
    scale(learner->state + RIDGE_EVENTS, 3, by);
    learner->state[RIDGE_GROWTH] = 1;
    learner->stale = true;
}

/* Fills up the ridge of the next coordinate: a measurement that its weight is 0. */
static void fill_one(model_learner *learner)
{
    size_t d = learner->d, k = learner->k, own = learner->arms * d, next = (size_t)learner->state[RIDGE_NEXT];
    if (next >= own + k)
        next = 0;
    learner->state[RIDGE_NEXT] = (double)(next + 1);
    double *ridge = next < own ? &learner->ridges[next] : &learner->shared_ridges[next - own];
    double missing = learner->ridge * learner->state[RIDGE_GROWTH] - *ridge;
    if (!(missing > 0))
        return;
    *ridge += missing;
    memset(learner->x, 0, d * sizeof *learner->x);
    memset(learner->z, 0, k * sizeof *learner->z);
    if (next < own) {
        learner->x[next % d] = 1;
        (void)measure(learner, next / d, learner->x, learner->z, 0, missing);
        model_linear_narrow(learner, next / d);
    } else {
        learner->z[next - own] = 1;
        (void)measure_shared(learner, learner->z, 0, missing);
    }
}

static void take_oldest_back(model_learner *learner)
{
    size_t at = (size_t)learner->state[RIDGE_HEAD], width = learner->setup->shape->request_width + learner->tail;
    const float *features = learner->held_features + at * width;
    learner->state[RIDGE_HEAD] = at + 1 < learner->window ? (double)(at + 1) : 0;
    learner->state[RIDGE_HELD]--;
    if (learner->held_weights[at] == 0)
        return;
    size_t arm = learner->held_arms[at];
    take_in(learner, arm, features, features + width - learner->tail, (double)learner->held_rewards[at],
            -learner->held_weights[at]);
    if (learner->d)
        model_linear_narrow(learner, arm);
}

static void hold(model_learner *learner, const forage_lesson *lesson, double weight)
{
    size_t request = learner->setup->shape->request_width, width = request + learner->tail;
    size_t at = (size_t)learner->state[RIDGE_HEAD] + (size_t)learner->state[RIDGE_HELD];
    if (at >= learner->window)
        at -= learner->window;
    memcpy(learner->held_features + at * width, lesson->request, request * sizeof(float));
    if (learner->tail)
        memcpy(learner->held_features + at * width + request, lesson->features, learner->tail * sizeof(float));
    learner->held_rewards[at] = lesson->reward;
    learner->held_weights[at] = weight;
    learner->held_arms[at] = lesson->arm;
    learner->state[RIDGE_HELD]++;
}

void model_linear_learn(model_learner *learner, const forage_lesson *lesson)
{
    if (learner->discount < 1) {
        learner->state[RIDGE_GROWTH] /= learner->discount;
        if (learner->state[RIDGE_GROWTH] > GREATEST_GROWTH)
            settle(learner);
    }
    double weight = (double)lesson->weight * learner->state[RIDGE_GROWTH];
    if (learner->window) {
        if ((size_t)learner->state[RIDGE_HELD] == learner->window)
            take_oldest_back(learner);
        hold(learner, lesson, weight);
    }
    take_in(learner, lesson->arm, lesson->request, lesson->features, (double)lesson->reward, weight);
    for (size_t i = 0; i < learner->fill; i++)
        fill_one(learner);
    if (learner->d)
        model_linear_narrow(learner, lesson->arm);
}

/* ---- taking back, and adding another's ---- */

/* Where the window holds that lesson, or SIZE_MAX. */
static size_t find_held(const model_learner *learner, const forage_lesson *lesson)
{
    size_t request = learner->setup->shape->request_width, width = request + learner->tail;
    size_t at = (size_t)learner->state[RIDGE_HEAD];
    for (size_t i = 0; i < (size_t)learner->state[RIDGE_HELD]; i++, at++) {
        if (at >= learner->window)
            at = 0;
        const float *features = learner->held_features + at * width;
        if (learner->held_arms[at] == lesson->arm && learner->held_rewards[at] == lesson->reward &&
            learner->held_weights[at] == (double)lesson->weight &&
            memcmp(features, lesson->request, request * sizeof(float)) == 0 &&
            (!learner->tail || memcmp(features + request, lesson->features, learner->tail * sizeof(float)) == 0))
            return at;
    }
    return SIZE_MAX;
}

forage_status model_linear_check_forget(model_learner *learner, const forage_lesson *lesson, forage_error *error)
{
    size_t d = learner->d, k = learner->k;
    if (learner->discount < 1)
        return forage_fail(error, FORAGE_UNSUPPORTED,
                           "linear-ridge cannot take a lesson back once it has faded (discount below 1)");
    if (learner->window) /* what has left the window is forgotten already */
        return FORAGE_OK;
    /* What is left must be positive definite: 1 - weight x (its square) > 0. */
    double square = 0;
    unpack(learner, lesson->request, lesson->features);
    memcpy(learner->u, learner->z, k * sizeof *learner->u);
    if (d) {
        square =
            learner->kernels->multiply(d, learner->inverse + lesson->arm * learner->packed, learner->x, learner->p);
        for (size_t i = 0; i < d && k; i++)
            learner->kernels->add(k, -learner->x[i], learner->lean + (lesson->arm * d + i) * k, learner->u);
    }
    for (size_t j = 0; j < k; j++) {
        double part = learner->kernels->dot(j + 1, learner->factor + j * (j + 1) / 2, learner->u);
        square += part * part;
    }
    double events = d ? learner->numbers[lesson->arm * ARM_NUMBERS + ARM_EVENTS] : learner->state[RIDGE_EVENTS];
    double weight = (double)lesson->weight;
    if (weight > events * (1 + 1e-9) || !(weight * square < 1))
        return forage_fail(error, FORAGE_INVALID, "this lesson was never learned, so it cannot be taken back");
    return FORAGE_OK;
}

void model_linear_forget(model_learner *learner, const forage_lesson *lesson)
{
    if (learner->window) {
        size_t at = find_held(learner, lesson);
        if (at == SIZE_MAX)
            return;
        learner->held_weights[at] = 0;
    }
    take_in(learner, lesson->arm, lesson->request, lesson->features, (double)lesson->reward, -(double)lesson->weight);
    if (learner->d)
        model_linear_narrow(learner, lesson->arm);
}

forage_status model_linear_check_merge(const model_learner *learner, const model_learner *other, forage_error *error)
{
    (void)other;
    if (learner->window)
        return forage_fail(error, FORAGE_UNSUPPORTED,
                           "linear-ridge with a window cannot take over from another: whose lessons are older is not "
                           "known");
    return FORAGE_OK;
}

static void add_all(double *to, const double *from, size_t count, double by)
{
    for (size_t i = 0; i < count; i++)
        to[i] += by * from[i];
}

void model_linear_merge(model_learner *learner, const model_learner *other)
{
    size_t arms = learner->arms, d = learner->d, k = learner->k;
    double by = learner->state[RIDGE_GROWTH] / other->state[RIDGE_GROWTH];
    add_all(learner->gram, other->gram, arms * learner->packed, by);
    add_all(learner->target, other->target, arms * d, by);
    add_all(learner->cross, other->cross, arms * d * k, by);
    for (size_t arm = 0; arm < arms; arm++)
        add_all(learner->numbers + arm * ARM_NUMBERS + ARM_EVENTS, other->numbers + arm * ARM_NUMBERS + ARM_EVENTS, 2,
                by);
    add_all(learner->shared_gram, other->shared_gram, la_packed(k), by);
    add_all(learner->shared_target, other->shared_target, k, by);
    add_all(learner->state + RIDGE_EVENTS, other->state + RIDGE_EVENTS, 2, by);
    refresh_all(learner);
}
