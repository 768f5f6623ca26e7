/*
 * ridge.c: Bayesian linear regression (the formulas stand in ridge.h).
 *
 * Features that come from rectified units are zero about half of the time, so products run over rows of P and skip
 * those of zeros.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/ridge.h"

#include <math.h>
#include <string.h>

/* Where the parts of a state lie. */
typedef struct parts {
    double *inverse, *moment, *mean;
    double *squares, *weight;
} parts;

static parts parts_of(double *state, size_t width)
{
    double *moment = state + width * width, *mean = moment + width;
    return (parts){state, moment, mean, mean + width, mean + width + 1};
}

void model_ridge_clear(double *state, size_t width, double ridge)
{
    memset(state, 0, model_ridge_size(width) * sizeof *state);
    for (size_t i = 0; i < width; i++)
        state[i * width + i] = 1.0 / ridge;
}

/* product = P x; returns x' P x. */
static double multiply(const double *inverse, size_t width, const float *x, double *restrict product)
{
    double square = 0.0;
    memset(product, 0, width * sizeof *product);
    for (size_t i = 0; i < width; i++) {
        double factor = (double)x[i];
        const double *row = inverse + i * width;
        if (x[i] == 0.0F)
            continue;
        for (size_t j = 0; j < width; j++)
            product[j] += factor * row[j];
    }
    for (size_t i = 0; i < width; i++)
        square += product[i] * (double)x[i];
    return square;
}

void model_ridge_learn(double *state, size_t width, const float *x, double reward, double weight, double *scratch)
{
    parts p = parts_of(state, width);
    double square = multiply(p.inverse, width, x, scratch);
    double factor = weight / (1.0 + weight * square), error = reward - model_ridge_mean(state, width, x);
    for (size_t i = 0; i < width; i++) {
        double *restrict row = p.inverse + i * width, scaled = factor * scratch[i];
        for (size_t j = 0; j < width; j++)
            row[j] -= scaled * scratch[j];
        p.mean[i] += scaled * error;
        p.moment[i] += weight * reward * (double)x[i];
    }
    *p.squares += weight * reward * reward;
    *p.weight += weight;
}

void model_ridge_begin(double *state, size_t width)
{
    memset(state, 0, model_ridge_size(width) * sizeof *state);
}

void model_ridge_add(double *state, size_t width, const float *x, double reward, double weight)
{
    parts p = parts_of(state, width);
    for (size_t i = 0; i < width; i++) {
        double *restrict row = p.inverse + i * width, factor = weight * (double)x[i];
        if (x[i] == 0.0F)
            continue;
        for (size_t j = 0; j <= i; j++)
            row[j] += factor * (double)x[j];
        p.moment[i] += factor * reward;
    }
    *p.squares += weight * reward * reward;
    *p.weight += weight;
}

/* The lower triangle of `a` becomes its Cholesky factor. A pivot that rounding made too small stays at `least`. */
static void factorise(double *a, size_t width, double least)
{
    for (size_t i = 0; i < width; i++) {
        double *row = a + i * width;
        for (size_t j = 0; j <= i; j++) {
            const double *other = a + j * width;
            double sum = row[j];
            for (size_t k = 0; k < j; k++)
                sum -= row[k] * other[k];
            row[j] = j < i ? sum / other[j] : sqrt(sum > least ? sum : least);
        }
    }
}

void model_ridge_rescale(double *state, size_t width, size_t first, double scale)
{
    parts p = parts_of(state, width);
    for (size_t i = first; i < width; i++) {
        for (size_t j = 0; j <= i; j++)
            p.inverse[i * width + j] *= j < first ? scale : scale * scale;
        p.moment[i] *= scale;
    }
}

void model_ridge_try(const double *state, size_t width, double ridge, size_t first, double scale, double *m,
                     double *scratch)
{
    const double *moment = state + width * width;
    for (size_t i = 0; i < width; i++) {
        double own = i < first ? 1.0 : scale;
        for (size_t j = 0; j <= i; j++)
            scratch[i * width + j] = state[i * width + j] * own * (j < first ? 1.0 : scale) + (i == j ? ridge : 0.0);
        m[i] = moment[i] * own;
    }
    factorise(scratch, width, ridge * 1e-3);
    for (size_t i = 0; i < width; i++) {
        for (size_t j = 0; j < i; j++)
            m[i] -= scratch[i * width + j] * m[j];
        m[i] /= scratch[i * width + i];
    }
    for (size_t i = width; i-- > 0;) {
        m[i] /= scratch[i * width + i];
        for (size_t j = 0; j < i; j++)
            m[j] -= scratch[i * width + j] * m[i];
    }
    for (size_t i = first; i < width; i++)
        m[i] *= scale;
}

/* With L the factor of the sums plus ridge, in `p.inverse`: P = L^-T L^-1. The rows of L^-1 come one by one, as row i
 * needs those before it. */
void model_ridge_settle(double *state, size_t width, double ridge, double *scratch)
{
    parts p = parts_of(state, width);
    for (size_t i = 0; i < width; i++)
        p.inverse[i * width + i] += ridge;
    factorise(p.inverse, width, ridge * 1e-3);
    memset(scratch, 0, width * width * sizeof *scratch);
    for (size_t i = 0; i < width; i++) {
        const double *row = p.inverse + i * width;
        double *out = scratch + i * width;
        for (size_t k = 0; k < i; k++) {
            const double *done = scratch + k * width;
            for (size_t j = 0; j <= k; j++)
                out[j] -= row[k] * done[j];
        }
        for (size_t j = 0; j < i; j++)
            out[j] /= row[i];
        out[i] = 1.0 / row[i];
    }
    memset(p.inverse, 0, width * width * sizeof *p.inverse);
    for (size_t k = 0; k < width; k++) {
        const double *row = scratch + k * width;
        for (size_t i = 0; i <= k; i++) {
            double *restrict out = p.inverse + i * width, factor = row[i];
            for (size_t j = 0; j <= i; j++)
                out[j] += factor * row[j];
        }
    }
    for (size_t i = 0; i < width; i++) {
        for (size_t j = 0; j < i; j++)
            p.inverse[j * width + i] = p.inverse[i * width + j];
    }
    for (size_t i = 0; i < width; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < width; j++)
            sum += p.inverse[i * width + j] * p.moment[j];
        p.mean[i] = sum;
    }
}

double model_ridge_mean(const double *state, size_t width, const float *x)
{
    const double *mean = state + width * (width + 1);
    double sum = 0.0;
    for (size_t i = 0; i < width; i++)
        sum += mean[i] * (double)x[i];
    return sum;
}

double model_ridge_square(const double *state, size_t width, const float *x, double *scratch)
{
    double square = multiply(state, width, x, scratch);
    return square > 0.0 ? square : 0.0;
}

void model_ridge_noise(const double *state, size_t width, double a0, double b0, double *a, double *b)
{
    const double *moment = state + width * width, *mean = moment + width;
    double explained = 0.0;
    for (size_t i = 0; i < width; i++)
        explained += moment[i] * mean[i];
    double rest = mean[width] - explained; /* at least 0 but for rounding */
    *a = a0 + 0.5 * mean[width + 1];
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

void model_ridge_root(const double *state, size_t width, double *root)
{
    double least = 1e-300;
    for (size_t i = 0; i < width; i++)
        least = fmax(least, state[i * width + i] * 1e-14);
    memcpy(root, state, width * width * sizeof *root);
    factorise(root, width, least);
}

void model_ridge_draw(const double *state, size_t width, const double *root, double sigma, forage_rng *rng,
                      double *beta, double *scratch)
{
    const double *mean = state + width * (width + 1);
    for (size_t i = 0; i < width; i++)
        scratch[i] = sigma * forage_rng_normal(rng);
    for (size_t i = 0; i < width; i++) {
        double sum = mean[i];
        for (size_t j = 0; j <= i; j++)
            sum += root[i * width + j] * scratch[j];
        beta[i] = sum;
    }
}
