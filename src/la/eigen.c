/*
 * eigen.c: eigenvalues and eigenvectors of a symmetric matrix of some hundred rows, in double precision.
 *
 * Householder reflections make the matrix tridiagonal; implicit QR steps with Wilkinson's shift make that diagonal
 * (Golub and Van Loan, "Matrix computations", algorithms 8.3.1 to 8.3.3). Vectors are kept as rows, so that every
 * inner loop runs along memory: about 7 n^3 operations.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/la.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { STEPS_PER_VALUE = 60 }; /* two are usual */

/* T = Q' A Q: the diagonal into `diagonal`, what is beside it into `beside`. Where row k of `a` was behind its diagonal
 * lies then the vector v of reflection k, I - factor[k] v v'. */
static void make_tridiagonal(const la_kernels *kernels, size_t n, double *a, double *diagonal, double *beside,
                             double *factor, double *product)
{
    double *row = a;
    for (size_t k = 0; k < n; k++) {
        size_t m = n - k - 1;
        double *v = row + 1, *rest = row + m + 1, tail = 0;
        diagonal[k] = row[0];
        for (size_t i = 1; i < m; i++)
            tail += v[i] * v[i];
        beside[k] = m ? v[0] : 0;
        factor[k] = 0;
        if (tail > 0) {
            double length = sqrt(v[0] * v[0] + tail);
            beside[k] = v[0] > 0 ? -length : length;
            v[0] -= beside[k];
            factor[k] = 2 / (v[0] * v[0] + tail);
            /* A := A - v w' - w v' with w = p - (f / 2) (p'v) v, p = f A v. */
            double half = kernels->multiply(m, rest, v, product) * factor[k] * factor[k] / 2;
            for (size_t i = 0; i < m; i++)
                product[i] = factor[k] * product[i] - half * v[i];
            for (size_t i = 0; i < m; i++) {
                kernels->add(m - i, -v[i], product + i, rest);
                kernels->add(m - i, -product[i], v + i, rest);
                rest += m - i;
            }
        }
        row += m + 1;
    }
}

/* vectors = Q', the product of the reflections, from the last to the first. */
static void collect(const la_kernels *kernels, size_t n, const double *a, const double *factor, double *vectors)
{
    memset(vectors, 0, n * n * sizeof *vectors);
    for (size_t k = n; k-- > 0;) {
        const double *v = a + k * (2 * n - k + 1) / 2 + 1;
        size_t m = n - k - 1;
        vectors[k * n + k] = 1;
        for (size_t i = k + 1; i < n && factor[k] > 0; i++) {
            double *row = vectors + i * n + k + 1;
            kernels->add(m, -factor[k] * kernels->dot(m, row, v), v, row);
        }
    }
}

static void rotate(size_t n, double c, double s, double *restrict x, double *restrict y)
{
    for (size_t i = 0; i < n; i++) {
        double old = x[i];
        x[i] = c * old + s * y[i];
        y[i] = c * y[i] - s * old;
    }
}

/* One implicit QR step on rows [first, last] of the tridiagonal matrix. */
static void step(size_t n, size_t first, size_t last, double *d, double *e, double *vectors)
{
    double middle = (d[last - 1] - d[last]) / 2, b = e[last - 1];
    double shift = d[last] - b * b / (middle + copysign(hypot(middle, b), middle));
    double x = d[first] - shift, z = e[first];
    for (size_t k = first; k < last; k++) {
        double r = hypot(x, z), c = r > 0 ? x / r : 1, s = r > 0 ? z / r : 0;
        if (k > first)
            e[k - 1] = r;
        double upper = d[k], lower = d[k + 1], side = e[k];
        d[k] = c * c * upper + 2 * c * s * side + s * s * lower;
        d[k + 1] = s * s * upper - 2 * c * s * side + c * c * lower;
        e[k] = c * s * (lower - upper) + (c * c - s * s) * side;
        rotate(n, c, s, vectors + k * n, vectors + (k + 1) * n);
        x = e[k];
        if (k + 1 < last) {
            z = s * e[k + 1];
            e[k + 1] *= c;
        }
    }
}

static bool make_diagonal(size_t n, double *d, double *e, double *vectors)
{
    double greatest = 0;
    size_t last = n - 1, steps = 0;
    for (size_t i = 0; i < n; i++)
        greatest = fmax(greatest, fabs(d[i]) + fabs(e[i]));
    if (!isfinite(greatest))
        return false;
    while (last > 0) {
        size_t first = last;
        while (first > 0 && fabs(e[first - 1]) > DBL_EPSILON * greatest)
            first--;
        if (first == last) {
            last--;
            continue;
        }
        if (steps++ == STEPS_PER_VALUE * n)
            return false;
        step(n, first, last, d, e, vectors);
    }
    return true;
}

static void sort_falling(size_t n, double *values, double *vectors)
{
    for (size_t i = 0; i + 1 < n; i++) {
        size_t best = i;
        for (size_t j = i + 1; j < n; j++)
            best = values[j] > values[best] ? j : best;
        if (best == i)
            continue;
        double value = values[i];
        values[i] = values[best];
        values[best] = value;
        for (size_t k = 0; k < n; k++) {
            double old = vectors[i * n + k];
            vectors[i * n + k] = vectors[best * n + k];
            vectors[best * n + k] = old;
        }
    }
}

bool la_eigen(const la_kernels *kernels, size_t n, double *a, double *values, double *vectors, double *scratch)
{
    double *beside = scratch, *factor = scratch + n, *product = scratch + 2 * n;
    if (n == 0)
        return true;
    for (size_t i = 0; i < la_packed(n); i++) {
        if (!isfinite(a[i]))
            return false;
    }
    make_tridiagonal(kernels, n, a, values, beside, factor, product);
    collect(kernels, n, a, factor, vectors);
    if (!make_diagonal(n, values, beside, vectors))
        return false;
    sort_falling(n, values, vectors);
    return true;
}
