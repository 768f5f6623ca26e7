/*
 * factor.c: Cholesky factors of small symmetric matrices in double precision, and their
 * update by one measurement.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/la.h"

#include <float.h>
#include <math.h>

/* Where row i of a packed triangle begins. */
static size_t row_of(size_t n, size_t i)
{
    return i * (2 * n - i + 1) / 2;
}

/* Row by row, upward looking: R_ii = sqrt(A_ii - sum_k R_ki^2), R_ij = (A_ij - sum_k R_ki R_kj) / R_ii, with the sums
 * subtracted from the rows below as soon as a row of R is known (Golub and Van Loan, algorithm 4.2.2). */
bool la_cholesky(size_t n, double *a)
{
    double *row = a, greatest = 0;
    for (size_t k = 0; k < n; k++)
        greatest = fmax(greatest, a[row_of(n, k)]);
    for (size_t k = 0; k < n; k++) {
        double pivot = row[0];
        if (!(pivot > fmax(DBL_EPSILON * greatest, DBL_MIN)) || !isfinite(pivot))
            return false;
        pivot = sqrt(pivot);
        for (size_t j = 0; j < n - k; j++)
            row[j] = j ? row[j] / pivot : pivot;
        double *below = row + (n - k);
        for (size_t i = k + 1; i < n; i++) {
            double left = row[i - k];
            for (size_t j = i; j < n; j++)
                below[j - i] -= left * row[j - k];
            below += n - i;
        }
        row += n - k;
    }
    return true;
}

/* Row i of the inverse follows from the rows below it: X_ij = -(sum_{i < k <= j} R_ik X_kj) / R_ii. */
void la_triangle_invert(size_t n, double *r)
{
    for (size_t i = n; i-- > 0;) {
        double *row = r + row_of(n, i), scale = 1 / row[0];
        /* From the right, so that R_ik is still there when it is needed. */
        for (size_t j = n; j-- > i + 1;) {
            double sum = 0;
            for (size_t k = i + 1; k <= j; k++)
                sum += row[k - i] * r[row_of(n, k) + (j - k)];
            row[j - i] = -sum * scale;
        }
        row[0] = scale;
    }
}

void la_triangle_square(size_t n, const double *r, double *out)
{
    for (size_t i = 0; i < n; i++) {
        const double *left = r + row_of(n, i);
        for (size_t j = i; j < n; j++) {
            const double *right = r + row_of(n, j);
            double sum = 0;
            for (size_t k = j; k < n; k++)
                sum += left[k - i] * right[k - j];
            *out++ = sum;
        }
    }
}

/* With a(0) = 1 / weight, v = C'z, a(j) = a(j - 1) + v_j^2, and b(j) = the sum of C_k v_k for k <= j (C_k: column k),
 *   C_j := sqrt(a(j - 1) / a(j)) (C_j - v_j / a(j - 1) b(j - 1)).
 * Taking back, all a are negative, and the same formulas hold. */
bool la_factor_measure(const la_kernels *kernels, size_t n, double *factor, const double *z, double weight,
                       double *gain, double *product, double *innovation)
{
    double alpha = 1 / weight, total = alpha;
    for (size_t j = 0; j < n; j++) {
        product[j] = kernels->dot(j + 1, factor + j * (j + 1) / 2, z);
        total += product[j] * product[j];
        gain[j] = 0;
    }
    if (weight < 0 && !(total < DBL_EPSILON * alpha))
        return false;
    *innovation = total;
    for (size_t j = 0; j < n; j++) {
        double *column = factor + j * (j + 1) / 2, v = product[j], next = alpha + v * v;
        kernels->measure(j + 1, sqrt(alpha / next), -v / alpha, v, column, gain);
        alpha = next;
    }
    return true;
}
