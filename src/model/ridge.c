/*
 * ridge.c: Bayesian linear regression (the formulas stand in ridge.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/ridge.h"

#include <math.h>
#include <string.h>

/* Where the parts of a state lie. */
typedef struct parts {
    double *inverse, *moment, *mean, *squares, *weight;
} parts;

static parts parts_of(const model_ridge *ridge, double *state)
{
    double *moment = state + la_packed(ridge->width), *mean = moment + ridge->width;
    return (parts){state, moment, mean, mean + ridge->width, mean + ridge->width + 1};
}

/* Where row i of a packed matrix begins, with the number on the diagonal. */
static size_t row_at(size_t width, size_t i)
{
    return i * width - i * (i + 1) / 2 + i;
}

void model_ridge_clear(const model_ridge *ridge, double *state)
{
    memset(state, 0, model_ridge_size(ridge->width) * sizeof *state);
    for (size_t i = 0; i < ridge->width; i++)
        state[row_at(ridge->width, i)] = 1.0 / ridge->prior;
}

static void widen(const float *x, size_t width, double *out)
{
    for (size_t i = 0; i < width; i++)
        out[i] = (double)x[i];
}

void model_ridge_learn(const model_ridge *ridge, double *state, const float *x, double reward, double weight,
                       double *scratch)
{
    parts p = parts_of(ridge, state);
    size_t width = ridge->width;
    double *wide = scratch, *gain = scratch + width;
    widen(x, width, wide);
    double square = ridge->kernels->multiply(width, p.inverse, wide, gain);
    double factor = weight / (1.0 + weight * square), error = reward - ridge->kernels->dot(width, p.mean, wide);
    for (size_t i = 0; i < width; i++)
        ridge->kernels->add(width - i, -factor * gain[i], gain + i, p.inverse + row_at(width, i));
    ridge->kernels->add(width, factor * error, gain, p.mean);
    ridge->kernels->add(width, weight * reward, wide, p.moment);
    *p.squares += weight * reward * reward;
    *p.weight += weight;
}

void model_ridge_begin(const model_ridge *ridge, double *state)
{
    memset(state, 0, model_ridge_size(ridge->width) * sizeof *state);
}

void model_ridge_add(const model_ridge *ridge, double *state, const float *x, double reward, double weight,
                     double *scratch)
{
    parts p = parts_of(ridge, state);
    size_t width = ridge->width;
    double *wide = scratch;
    widen(x, width, wide);
    for (size_t i = 0; i < width; i++) {
        if (wide[i] != 0.0) /* as units at rest are */
            ridge->kernels->add(width - i, weight * wide[i], wide + i, p.inverse + row_at(width, i));
    }
    ridge->kernels->add(width, weight * reward, wide, p.moment);
    *p.squares += weight * reward * reward;
    *p.weight += weight;
}

void model_ridge_rescale(const model_ridge *ridge, double *state, size_t first, double scale)
{
    parts p = parts_of(ridge, state);
    for (size_t i = 0; i < ridge->width; i++) {
        double *row = p.inverse + row_at(ridge->width, i), own = i < first ? 1.0 : scale;
        for (size_t j = i; j < ridge->width; j++)
            row[j - i] *= own * (j < first ? 1.0 : scale);
        p.moment[i] *= own;
    }
}

/* R with R'R = `from` with more on its diagonal: at least `more`, and more than that only where rounding has left
 * `from` without a root. */
static void factorise(size_t width, const double *from, double more, double *root)
{
    for (;; more *= 10.0) {
        memcpy(root, from, la_packed(width) * sizeof *root);
        for (size_t i = 0; i < width; i++)
            root[row_at(width, i)] += more;
        if (la_cholesky(width, root))
            return;
    }
}

void model_ridge_try(const model_ridge *ridge, const double *state, size_t first, double scale, double *m,
                     double *packed)
{
    size_t width = ridge->width;
    const double *moment = state + la_packed(width);
    /* With S the scales, (S A S + prior I)^-1 S b, times S, is (A + prior S^-2)^-1 b. */
    memcpy(packed, state, la_packed(width) * sizeof *packed);
    for (size_t i = first; i < width; i++)
        packed[row_at(width, i)] += ridge->prior * (1.0 / (scale * scale) - 1.0);
    for (size_t i = 0; i < width; i++)
        packed[row_at(width, i)] += ridge->prior;
    if (!la_cholesky(width, packed)) {
        memset(m, 0, width * sizeof *m);
        return;
    }
    memcpy(m, moment, width * sizeof *m);
    for (size_t i = 0; i < width; i++) { /* R' y = b */
        const double *row = packed + row_at(width, i);
        m[i] /= row[0];
        ridge->kernels->add(width - i - 1, -m[i], row + 1, m + i + 1);
    }
    for (size_t i = width; i-- > 0;) { /* R m = y */
        const double *row = packed + row_at(width, i);
        m[i] = (m[i] - ridge->kernels->dot(width - i - 1, row + 1, m + i + 1)) / row[0];
    }
}

void model_ridge_settle(const model_ridge *ridge, double *state, double *packed)
{
    parts p = parts_of(ridge, state);
    factorise(ridge->width, p.inverse, ridge->prior, packed);
    la_triangle_invert(ridge->width, packed);
    la_triangle_square(ridge->width, packed, p.inverse);
    (void)ridge->kernels->multiply(ridge->width, p.inverse, p.moment, p.mean);
}

double model_ridge_mean(const model_ridge *ridge, const double *state, const float *x)
{
    const double *mean = state + la_packed(ridge->width) + ridge->width;
    double sum = 0.0;
    for (size_t i = 0; i < ridge->width; i++)
        sum += mean[i] * (double)x[i];
    return sum;
}

double model_ridge_square(const model_ridge *ridge, const double *state, const float *x, double *scratch)
{
    widen(x, ridge->width, scratch);
    double square = ridge->kernels->multiply(ridge->width, state, scratch, scratch + ridge->width);
    return square > 0.0 ? square : 0.0;
}

void model_ridge_noise(const model_ridge *ridge, const double *state, double a0, double b0, double *a, double *b)
{
    const double *moment = state + la_packed(ridge->width), *mean = moment + ridge->width;
    /* What is left is at least 0 but for rounding. */
    double rest = mean[ridge->width] - ridge->kernels->dot(ridge->width, moment, mean);
    *a = a0 + 0.5 * mean[ridge->width + 1];
    *b = b0 + 0.5 * (rest > 0.0 ? rest : 0.0);
}

double model_ridge_variance(double a, double b)
{
    return a > 1.0 ? b / (a - 1.0) : b / a;
}

double model_ridge_draw_variance(double a, double b, forage_rng *rng)
{
    double gamma = forage_rng_gamma(rng, a);
    return b / (gamma > 1e-300 ? gamma : 1e-300);
}

void model_ridge_root(const model_ridge *ridge, const double *state, double *root)
{
    double largest = 0.0;
    for (size_t i = 0; i < ridge->width; i++)
        largest = fmax(largest, state[row_at(ridge->width, i)]);
    factorise(ridge->width, state, fmax(1e-15 * largest, 1e-100), root);
}

void model_ridge_draw(const model_ridge *ridge, const double *state, const double *root, double sigma, forage_rng *rng,
                      double *beta)
{
    memcpy(beta, state + la_packed(ridge->width) + ridge->width, ridge->width * sizeof *beta);
    for (size_t i = 0; i < ridge->width; i++)
        ridge->kernels->add(ridge->width - i, sigma * forage_rng_normal(rng), root + row_at(ridge->width, i), beta + i);
}
