/*
 * solve_body.h: systems of linear equations, included once per instruction set with KERNEL_TARGET (an attribute) and
 * KERNEL(name) defined.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* a = R'R, row by row: R_pp = sqrt(a_pp), R_pj = a_pj / R_pp, and a_ij -= R_pi R_pj for all that follows (Golub and Van
 * Loan, algorithm 4.2.2), GROUP rows at a time for what follows. The diagonal becomes 1 / R_pp. Numbers left of the
 * diagonal are carried along where that fills a vector, and mean nothing. */
KERNEL_TARGET static void KERNEL(factor)(size_t n, size_t pitch, float *restrict a)
{
    float greatest = 0;
    for (size_t p = 0; p < n; p++)
        greatest = a[p * pitch + p] > greatest ? a[p * pitch + p] : greatest;
    float least = greatest * LEAST_PIVOT + FLT_MIN;
    for (size_t first = 0; first < n; first += GROUP) {
        size_t end = n - first < GROUP ? n : first + GROUP;
        for (size_t p = first; p < end; p++) {
            float *row = a + p * pitch, root = 1 / sqrtf(row[p] < least ? least : row[p]);
            for (size_t j = p / LA_LANES * LA_LANES; j < pitch; j++)
                row[j] *= root;
            row[p] = root;
            for (size_t q = p + 1; q < end; q++) {
                float *to = a + q * pitch, part = row[q];
                for (size_t j = q / LA_LANES * LA_LANES; j < pitch; j++)
                    to[j] -= part * row[j];
            }
        }
        for (size_t q = end; q < n; q++) { /* only behind a whole group */
            const float *rows = a + first * pitch;
            float *restrict to = a + q * pitch;
            float r0 = rows[q], r1 = rows[pitch + q], r2 = rows[2 * pitch + q], r3 = rows[3 * pitch + q];
            for (size_t j = q / LA_LANES * LA_LANES; j < pitch; j++)
                to[j] -= (r0 * rows[j] + r1 * rows[pitch + j]) + (r2 * rows[2 * pitch + j] + r3 * rows[3 * pitch + j]);
        }
    }
}

/* x := R^-1 R'^-1 x */
KERNEL_TARGET static void KERNEL(substitute)(size_t n, size_t pitch, const float *restrict a, float *restrict x)
{
    for (size_t p = 0; p < n; p++) {
        const float *row = a + p * pitch;
        float value = x[p] *= row[p];
        for (size_t j = p + 1; j < n; j++)
            x[j] -= value * row[j];
    }
    for (size_t p = n; p-- > 0;) {
        const float *row = a + p * pitch;
        float sum[LA_LANES] = {0}, total = 0;
        size_t j = p + 1;
        for (; j < n && j % LA_LANES; j++)
            total += row[j] * x[j];
        for (; j + LA_LANES <= n; j += LA_LANES) {
            for (size_t l = 0; l < LA_LANES; l++)
                sum[l] += row[j + l] * x[j + l];
        }
        for (size_t l = 0; l < LA_LANES; l++)
            total += sum[l];
        for (; j < n; j++)
            total += row[j] * x[j];
        x[p] = (x[p] - total) * row[p];
    }
}
