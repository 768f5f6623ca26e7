/*
 * next_kernels_body.h: the kernels of next_kernels.h in plain C, included once per instruction set with
 * KERNEL_TARGET (an attribute), KERNEL(name) and FUSED(a, b, c) (a b + c) defined.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* 2^y for |y| < 126 with a relative error below 2e-7: 2^n times the polynomial of degree 5 that has 1 at 0 and
 * otherwise the least greatest relative error for |y - n| <= 1/2 (9.2e-8, by Lawson's iteration). */
KERNEL_TARGET static inline __attribute__((always_inline)) float KERNEL(power)(float y)
{
    float shifted = y + 12582912.0F; /* 1.5 x 2^23: rounds to a whole number, which the last bits hold */
    float f = y - (shifted - 12582912.0F);
    float p = 0.0013264727F;
    p = FUSED(p, f, 0.0096715130F);
    p = FUSED(p, f, 0.055507336F);
    p = FUSED(p, f, 0.24022242F);
    p = FUSED(p, f, 0.69314700F);
    p = FUSED(p, f, 1.0F);
    union {
        float value;
        uint32_t bits;
    } whole = {.value = shifted}, scaled = {.value = p};
    scaled.bits += whole.bits << 23;
    return scaled.value;
}

KERNEL_TARGET static void KERNEL(powers)(size_t rows, float most, const float *restrict shift, float *restrict z,
                                         float *restrict sums)
{
    for (size_t c = 0; c < NEXT_TILE; c += NN_LANES) {
        float sum[NN_LANES] = {0};
        for (size_t i = 0; i < rows; i++) {
            for (size_t l = 0; l < NN_LANES; l++) {
                float y = FUSED(z[i * NEXT_TILE + c + l], NEXT_LOG2E, shift[c + l]);
                y = y < most ? y : most;
                y = y > NEXT_LEAST ? y : NEXT_LEAST;
                float e = KERNEL(power)(y);
                z[i * NEXT_TILE + c + l] = e;
                sum[l] += e;
            }
        }
        for (size_t l = 0; l < NN_LANES; l++)
            sums[c + l] = sum[l];
    }
}

KERNEL_TARGET static void KERNEL(logistic)(size_t rows, size_t columns, float *restrict z, float *restrict sums)
{
    for (size_t c = 0; c < columns; c += NN_LANES) {
        /* The sum of log(1 + e) is the log of a product of factors from 1 to 2; 64 of them overflow no float. */
        float sum[NN_LANES] = {0}, product[NN_LANES];
        for (size_t l = 0; l < NN_LANES; l++)
            product[l] = 1.0F;
        for (size_t i = 0; i < rows; i++) {
            float *row = z + i * columns + c;
            for (size_t l = 0; l < NN_LANES; l++) {
                float x = row[l], y = (x < 0.0F ? x : -x) * NEXT_LOG2E;
                y = y > NEXT_LEAST ? y : NEXT_LEAST;
                float e = KERNEL(power)(y), one = 1.0F + e;
                row[l] = (x >= 0.0F ? 1.0F : e) / one;
                sum[l] += x > 0.0F ? x : 0.0F;
                product[l] *= one;
            }
        }
        for (size_t l = 0; l < NN_LANES; l++)
            sums[c + l] = sum[l] + logf(product[l]);
    }
}

/* `vectors` of NN_LANES columns, a constant where this is inlined, so that rows are met once. */
KERNEL_TARGET static inline __attribute__((always_inline)) void
KERNEL(combine_columns)(size_t count, const uint32_t *restrict index, const float *restrict by, size_t stride,
                        size_t vectors, const float *restrict rows, float *restrict out)
{
    float sum[4][NN_LANES] = {{0}};
    for (size_t i = 0; i < count; i++) {
        const float *row = rows + index[i] * stride;
        float factor = by[i];
        for (size_t v = 0; v < vectors; v++) {
            for (size_t l = 0; l < NN_LANES; l++)
                sum[v][l] = FUSED(factor, row[v * NN_LANES + l], sum[v][l]);
        }
    }
    for (size_t v = 0; v < vectors; v++) {
        for (size_t l = 0; l < NN_LANES; l++)
            out[v * NN_LANES + l] += sum[v][l];
    }
}

KERNEL_TARGET static void KERNEL(combine)(size_t count, const uint32_t *restrict index, const float *restrict by,
                                          size_t stride, const float *restrict rows, float *restrict out)
{
    size_t j = 0;
    for (; j + (size_t)4 * NN_LANES <= stride; j += (size_t)4 * NN_LANES)
        KERNEL(combine_columns)(count, index, by, stride, 4, rows + j, out + j);
    for (; j < stride; j += NN_LANES)
        KERNEL(combine_columns)(count, index, by, stride, 1, rows + j, out + j);
}

KERNEL_TARGET static float KERNEL(squares)(size_t count, const float *restrict x)
{
    float sum[NN_LANES] = {0};
    for (size_t i = 0; i < count; i += NN_LANES) {
        for (size_t l = 0; l < NN_LANES; l++)
            sum[l] = FUSED(x[i + l], x[i + l], sum[l]);
    }
    for (size_t half = NN_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++)
            sum[l] += sum[l + half];
    }
    return sum[0];
}

static const next_kernels KERNEL(table) = {
    .powers = KERNEL(powers),
    .logistic = KERNEL(logistic),
    .combine = KERNEL(combine),
    .squares = KERNEL(squares),
};
