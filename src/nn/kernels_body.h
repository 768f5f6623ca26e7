/*
 * kernels_body.h: the kernels of kernels.h in plain C, included once per
 * instruction set with KERNEL_TARGET (an attribute) and KERNEL(name) defined.
 *
 * Loops run over whole vectors of NN_LANES and keep NN_LANES separate sums, so
 * that the compiler may use vectors of any width without changing an order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

KERNEL_TARGET static void KERNEL(gather)(size_t rows, const uint32_t *restrict codes, uint32_t last, size_t width,
                                         const float *restrict table, size_t stride, float *restrict out)
{
    if (width % NN_LANES == 0) {
        for (size_t i = 0; i < rows; i++) {
            const float *row = table + (size_t)(codes[i] < last ? codes[i] : last) * width;
            for (size_t j = 0; j < width; j += NN_LANES) {
                for (size_t l = 0; l < NN_LANES; l++)
                    out[i * stride + j + l] = row[j + l];
            }
        }
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        const float *row = table + (size_t)(codes[i] < last ? codes[i] : last) * width;
        for (size_t j = 0; j < width; j++)
            out[i * stride + j] = row[j];
    }
}

KERNEL_TARGET static void KERNEL(bias_relu)(size_t rows, size_t stride, const float *restrict bias, float *restrict y)
{
    for (size_t i = 0; i < rows; i++) {
        float *row = y + i * stride;
        for (size_t j = 0; j < stride; j++) {
            float sum = row[j] + bias[j];
            row[j] = sum > 0.0F ? sum : 0.0F;
        }
    }
}

KERNEL_TARGET static void KERNEL(bias_leaky)(size_t rows, size_t stride, float leak, const float *restrict bias,
                                             float *restrict y)
{
    for (size_t i = 0; i < rows; i++) {
        float *row = y + i * stride;
        for (size_t j = 0; j < stride; j++) {
            float sum = row[j] + bias[j], low = sum * leak;
            row[j] = sum > 0.0F ? sum : low;
        }
    }
}

KERNEL_TARGET static void KERNEL(dropout)(size_t rows, size_t stride, uint32_t threshold, float scale, uint32_t key,
                                          float *restrict y)
{
    uint32_t count = (uint32_t)(rows * stride);
    for (uint32_t i = 0; i < count; i++) {
        /* The finaliser of MurmurHash3 (Appleby): every bit of the place moves every bit of the hash. */
        uint32_t hash = i * 0x9e3779b9U + key;
        hash = (hash ^ (hash >> 16)) * 0x85ebca6bU;
        hash = (hash ^ (hash >> 13)) * 0xc2b2ae35U;
        hash ^= hash >> 16;
        y[i] = hash < threshold ? 0.0F : y[i] * scale;
    }
}

KERNEL_TARGET static void KERNEL(mask)(size_t rows, size_t stride, float scale, const float *restrict y,
                                       float *restrict dy)
{
    size_t count = rows * stride;
    for (size_t i = 0; i < count; i++) {
        float scaled = dy[i] * scale;
        dy[i] = y[i] != 0.0F ? scaled : 0.0F;
    }
}

KERNEL_TARGET static void KERNEL(mask_bias)(size_t rows, size_t stride, float scale, const float *restrict y,
                                            float *restrict dy, float *restrict dbias)
{
    for (size_t j = 0; j < stride; j += NN_LANES) {
        float sum[NN_LANES] = {0};
        for (size_t i = 0; i < rows; i++) {
            const float *kept = y + i * stride + j;
            float *row = dy + i * stride + j;
            for (size_t l = 0; l < NN_LANES; l++) {
                float scaled = row[l] * scale;
                float value = kept[l] != 0.0F ? scaled : 0.0F;
                row[l] = value;
                sum[l] += value;
            }
        }
        for (size_t l = 0; l < NN_LANES; l++)
            dbias[j + l] += sum[l];
    }
}

KERNEL_TARGET static void KERNEL(mask_leaky)(size_t rows, size_t stride, float scale, float leak,
                                             const float *restrict y, float *restrict dy, float *restrict dbias)
{
    float low = scale * leak;
    for (size_t j = 0; j < stride; j += NN_LANES) {
        float sum[NN_LANES] = {0};
        for (size_t i = 0; i < rows; i++) {
            const float *kept = y + i * stride + j;
            float *row = dy + i * stride + j;
            for (size_t l = 0; l < NN_LANES; l++) {
                float above = row[l] * scale, below = kept[l] < 0.0F ? row[l] * low : 0.0F;
                float value = kept[l] > 0.0F ? above : below;
                row[l] = value;
                sum[l] += value;
            }
        }
        for (size_t l = 0; l < NN_LANES; l++)
            dbias[j + l] += sum[l];
    }
}

KERNEL_TARGET static void KERNEL(head)(size_t rows, size_t stride, const float *restrict h, const float *restrict w,
                                       float bias, float *restrict z)
{
    for (size_t i = 0; i < rows; i++) {
        float sum[NN_LANES] = {0};
        for (size_t j = 0; j < stride; j += NN_LANES) {
            for (size_t l = 0; l < NN_LANES; l++)
                sum[l] += h[i * stride + j + l] * w[j + l];
        }
        for (size_t half = NN_LANES / 2; half > 0; half /= 2) {
            for (size_t l = 0; l < half; l++)
                sum[l] += sum[l + half];
        }
        z[i] = sum[0] + bias;
    }
}

/* exp(-|z|) to 2 units in the last place: 2^n times a polynomial on |r| <= ln(2) / 2, whose coefficients are those
 * of the Taylor series; below exp(-87) it gives that floor, which no sum of ours can tell from zero. */
KERNEL_TARGET static inline __attribute__((always_inline)) float KERNEL(exp_negative)(float z)
{
    float x = z < 0.0F ? z : -z;
    x = x > -87.0F ? x : -87.0F;
    float shifted = x * 1.44269504F + 12582912.0F; /* 1.5 x 2^23: rounds to a whole number */
    float n = shifted - 12582912.0F;
    float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
    float p = 1.0F / 5040.0F;
    p = p * r + 1.0F / 720.0F;
    p = p * r + 1.0F / 120.0F;
    p = p * r + 1.0F / 24.0F;
    p = p * r + 1.0F / 6.0F;
    p = p * r + 0.5F;
    p = p * r + 1.0F;
    p = p * r + 1.0F;
    union {
        int32_t bits;
        float value;
    } power = {.bits = ((int32_t)n + 127) * (1 << 23)};
    return p * power.value;
}

KERNEL_TARGET static void KERNEL(sigmoid)(size_t rows, const float *restrict z, float *restrict p)
{
    for (size_t i = 0; i < rows; i++) {
        float e = KERNEL(exp_negative)(z[i]);
        p[i] = (z[i] >= 0.0F ? 1.0F : e) / (1.0F + e);
    }
}

KERNEL_TARGET static double KERNEL(loss)(size_t rows, const float *restrict z, const float *restrict y, float scale,
                                         float *restrict dz)
{
    float e[NN_LOSS_ROWS];
    for (size_t i = 0; i < rows; i++) {
        e[i] = KERNEL(exp_negative)(z[i]);
        dz[i] = ((z[i] >= 0.0F ? 1.0F : e[i]) / (1.0F + e[i]) - y[i]) * scale;
    }
    /* The sum of log(1 + e) is the log of a product of factors between 1 and 2, which overflows no double
     * before the 1024th. Four of each run side by side. */
    double linear[4] = {0}, product[4] = {1.0, 1.0, 1.0, 1.0};
    for (size_t i = 0; i < rows; i++) {
        linear[i % 4] += (double)((z[i] > 0.0F ? z[i] : 0.0F) - z[i] * y[i]);
        product[i % 4] *= 1.0 + (double)e[i];
    }
    double sum = (linear[0] + linear[1]) + (linear[2] + linear[3]);
    double all = (product[0] * product[1]) * (product[2] * product[3]);
    return sum + log(all);
}

KERNEL_TARGET static double KERNEL(squared)(size_t rows, const float *restrict z, const float *restrict y, float scale,
                                            float *restrict dz)
{
    double sum[4] = {0};
    for (size_t i = 0; i < rows; i++) {
        float error = z[i] - y[i];
        dz[i] = error * scale;
        sum[i % 4] += 0.5 * (double)error * (double)error;
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

KERNEL_TARGET static float KERNEL(exp_cosine)(size_t count, float scale, float *restrict z)
{
    float sum[NN_LANES] = {0};
    for (size_t i = 0; i < count; i += NN_LANES) {
        for (size_t l = 0; l < NN_LANES; l++) {
            float e = KERNEL(exp_negative)((z[i + l] - 1.0F) * scale);
            z[i + l] = e;
            sum[l] += e;
        }
    }
    for (size_t half = NN_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++)
            sum[l] += sum[l + half];
    }
    return sum[0];
}

KERNEL_TARGET static float KERNEL(head_back)(size_t rows, size_t stride, const float *restrict dz,
                                             const float *restrict h, const float *restrict w, float *restrict dh,
                                             float *restrict dw)
{
    for (size_t j = 0; j < stride; j += NN_LANES) {
        float sum[NN_LANES] = {0};
        for (size_t i = 0; i < rows; i++) {
            for (size_t l = 0; l < NN_LANES; l++) {
                dh[i * stride + j + l] = dz[i] * w[j + l];
                sum[l] += dz[i] * h[i * stride + j + l];
            }
        }
        for (size_t l = 0; l < NN_LANES; l++)
            dw[j + l] += sum[l];
    }
    float sum[NN_LANES] = {0};
    for (size_t i = 0; i < rows; i += NN_LANES) {
        for (size_t l = 0; l < NN_LANES; l++)
            sum[l] += dz[i + l];
    }
    for (size_t half = NN_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++)
            sum[l] += sum[l + half];
    }
    return sum[0];
}

KERNEL_TARGET static void KERNEL(scatter)(size_t rows, const uint32_t *restrict codes, uint32_t first, uint32_t count,
                                          size_t width, size_t stride, const float *restrict in, float *restrict out)
{
    size_t whole = width / NN_LANES * NN_LANES;
    for (size_t i = 0; i < rows; i++) {
        if (codes[i] - first >= count) /* below `first` wraps around to large */
            continue;
        const float *from = in + i * stride;
        float *to = out + (size_t)(codes[i] - first) * width;
        for (size_t j = 0; j < whole; j += NN_LANES) {
            for (size_t l = 0; l < NN_LANES; l++)
                to[j + l] += from[j + l];
        }
        for (size_t j = whole; j < width; j++)
            to[j] += from[j];
    }
}

KERNEL_TARGET static void KERNEL(add_chain)(uint32_t first, const uint32_t *restrict next, size_t width, size_t stride,
                                            const float *restrict in, float *restrict out)
{
    size_t whole = width / NN_LANES * NN_LANES;
    for (uint32_t i = first; i != FORAGE_NONE; i = next[i]) {
        const float *row = in + i * stride;
        for (size_t j = 0; j < whole; j += NN_LANES) {
            for (size_t l = 0; l < NN_LANES; l++)
                out[j + l] += row[j + l];
        }
        for (size_t j = whole; j < width; j++)
            out[j] += row[j];
    }
}

KERNEL_TARGET static void KERNEL(scale)(size_t count, float by, float *restrict out)
{
    for (size_t i = 0; i < count; i++)
        out[i] *= by;
}

KERNEL_TARGET static void KERNEL(add)(size_t count, const float *restrict in, float *restrict out)
{
    for (size_t i = 0; i < count; i++)
        out[i] += in[i];
}

KERNEL_TARGET static void KERNEL(adam)(size_t count, const nn_adam_step *step, const float *restrict g,
                                       const float *restrict origin, float *restrict w, float *restrict m,
                                       float *restrict v)
{
    const nn_adam_step s = *step;
    float rest1 = 1.0F - s.beta1, rest2 = 1.0F - s.beta2;
    for (size_t i = 0; i < count; i++) {
        float gradient = g[i] + s.l2 * (origin ? w[i] - origin[i] : w[i]);
        float mean = m[i] * s.beta1 + gradient * rest1;
        float square = v[i] * s.beta2 + gradient * gradient * rest2;
        m[i] = mean;
        v[i] = square;
        w[i] = w[i] * s.shrink - s.rate * mean / (sqrtf(square) * s.root + s.epsilon);
    }
}

/* Steps [first, last) of NN_LANES numbers without a gradient and without l2; `near`: their squares stay near 1. */
KERNEL_TARGET static inline __attribute__((always_inline)) void
KERNEL(idle)(size_t first, size_t last, const nn_adam_step *restrict step, bool near, float *restrict weight,
             float *restrict mean, float *restrict square)
{
    (void)near;
    const float beta1 = step->beta1, beta2 = step->beta2, epsilon = step->epsilon;
    for (size_t t = first; t < last; t++) {
        float rate = step[t].rate, root = step[t].root, shrink = step[t].shrink;
#pragma GCC unroll 1 /* or gcc unrolls it, and takes one number at a time */
        for (size_t l = 0; l < NN_LANES; l++) {
            mean[l] = mean[l] * beta1 + 0.0F; /* -0 becomes 0, as in `adam` */
            square[l] *= beta2;
            float size = KERNEL_ROOT(near, square[l]);
            weight[l] = weight[l] * shrink - rate * mean[l] / (size * root + epsilon);
        }
    }
}

/* The same with l2. */
KERNEL_TARGET static inline __attribute__((always_inline)) void
KERNEL(decay)(size_t steps, const nn_adam_step *restrict step, float *restrict weight, float *restrict mean,
              float *restrict square)
{
    const float beta1 = step->beta1, beta2 = step->beta2, epsilon = step->epsilon, l2 = step->l2;
    const float rest1 = 1.0F - beta1, rest2 = 1.0F - beta2;
    for (size_t t = 0; t < steps; t++) {
        float rate = step[t].rate, root = step[t].root, shrink = step[t].shrink;
#pragma GCC unroll 1
        for (size_t l = 0; l < NN_LANES; l++) {
            float gradient = 0.0F + l2 * weight[l];
            mean[l] = mean[l] * beta1 + gradient * rest1;
            square[l] = square[l] * beta2 + gradient * gradient * rest2;
            weight[l] = weight[l] * shrink - rate * mean[l] / (sqrtf(square[l]) * root + epsilon);
        }
    }
}

KERNEL_TARGET static void KERNEL(adam_idle)(size_t count, size_t steps, const nn_adam_step *restrict step,
                                            float *restrict w, float *restrict m, float *restrict v)
{
    for (size_t i = 0; i < count && steps; i += NN_LANES) {
        float weight[NN_LANES], mean[NN_LANES], square[NN_LANES];
        memcpy(weight, w + i, sizeof weight);
        memcpy(mean, m + i, sizeof mean);
        memcpy(square, v + i, sizeof square);
        if (step->l2 != 0.0F)
            KERNEL(decay)(steps, step, weight, mean, square);
        for (size_t t = 0, last; step->l2 == 0.0F && t < steps; t = last) {
            /* What is near at first is near NN_NEAR_STEPS later. */
            uint32_t far = step->beta2 < 0.99F, bits[NN_LANES];
            last = steps - t < NN_NEAR_STEPS ? steps : t + NN_NEAR_STEPS;
            memcpy(bits, square, sizeof bits);
#pragma GCC unroll 1
            for (size_t l = 0; l < NN_LANES; l++)
                far |= (bits[l] - NN_NEAR_LEAST > NN_NEAR_MOST - NN_NEAR_LEAST) & (bits[l] != 0);
            if (far)
                KERNEL(idle)(t, last, step, false, weight, mean, square);
            else
                KERNEL(idle)(t, last, step, true, weight, mean, square);
        }
        memcpy(w + i, weight, sizeof weight);
        memcpy(m + i, mean, sizeof mean);
        memcpy(v + i, square, sizeof square);
    }
}

#include "nn/sequence_body.h"

static const nn_kernels KERNEL(table) = {
    .gather = KERNEL(gather),
    .bias_relu = KERNEL(bias_relu),
    .bias_leaky = KERNEL(bias_leaky),
    .dropout = KERNEL(dropout),
    .mask = KERNEL(mask),
    .mask_bias = KERNEL(mask_bias),
    .mask_leaky = KERNEL(mask_leaky),
    .head = KERNEL(head),
    .sigmoid = KERNEL(sigmoid),
    .loss = KERNEL(loss),
    .squared = KERNEL(squared),
    .exp_cosine = KERNEL(exp_cosine),
    .head_back = KERNEL(head_back),
    .scatter = KERNEL(scatter),
    .add_chain = KERNEL(add_chain),
    .scale = KERNEL(scale),
    .add = KERNEL(add),
    .adam = KERNEL(adam),
    .adam_idle = KERNEL(adam_idle),
    .norm = KERNEL(norm),
    .norm_back = KERNEL(norm_back),
    .bias = KERNEL(bias),
    .bias_gelu = KERNEL(bias_gelu),
    .drop = KERNEL(drop),
    .residual = KERNEL(residual),
    .residual_back = KERNEL(residual_back),
    .slope_back = KERNEL(slope_back),
    .add_rows = KERNEL(add_rows),
    .turn = KERNEL(turn),
    .attention = KERNEL(attention),
    .attention_one = KERNEL(attention_one),
    .attention_back = KERNEL(attention_back),
    .softmax = KERNEL(softmax),
    .drop_marked = KERNEL(drop_marked),
    .softmax_back = KERNEL(softmax_back),
};
