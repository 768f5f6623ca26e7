/*
 * sequence_body.h: the kernels of transformer blocks (kernels.h), included by kernels_body.h once per instruction
 * set.
 *
 * Whatever is read of a vector is read before any of it is written, so that results may take the place of what they
 * are made of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* The sum of lanes, in one order. */
KERNEL_TARGET static inline __attribute__((always_inline)) float KERNEL(fold)(float *sum)
{
    for (size_t half = NN_LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++)
            sum[l] += sum[l + half];
    }
    return sum[0];
}

/* Which places fall: a hash of the row's key and the column, as in `dropout`. */
KERNEL_TARGET static inline __attribute__((always_inline)) uint32_t KERNEL(place)(uint32_t key, uint32_t column)
{
    uint32_t hash = column * 0x9e3779b9U + key;
    hash = (hash ^ (hash >> 16)) * 0x85ebca6bU;
    hash = (hash ^ (hash >> 13)) * 0xc2b2ae35U;
    return hash ^ (hash >> 16);
}

KERNEL_TARGET static void KERNEL(norm)(size_t rows, size_t width, size_t stride, float epsilon, const float *gain,
                                       const float *shift, const float *x, float *xhat, float *scale, float *y)
{
    size_t whole = width / NN_LANES * NN_LANES;
    float each = 1.0F / (float)width;
    for (size_t i = 0; i < rows; i++) {
        const float *row = x + i * stride;
        float sum[NN_LANES] = {0}, square[NN_LANES] = {0};
        for (size_t j = 0; j < stride; j += NN_LANES) {
            for (size_t l = 0; l < NN_LANES; l++)
                sum[l] += row[j + l];
        }
        float mean = KERNEL(fold)(sum) * each;
        for (size_t j = 0; j < whole; j += NN_LANES) {
            for (size_t l = 0; l < NN_LANES; l++)
                square[l] += (row[j + l] - mean) * (row[j + l] - mean);
        }
        for (size_t j = whole; j < width; j++)
            square[j - whole] += (row[j] - mean) * (row[j] - mean);
        float by = 1.0F / sqrtf(KERNEL(fold)(square) * each + epsilon);
        for (size_t j = 0; j < stride; j += NN_LANES) {
            float part[NN_LANES], out[NN_LANES];
            for (size_t l = 0; l < NN_LANES; l++)
                part[l] = (row[j + l] - mean) * by;
            for (size_t l = width - j; l < NN_LANES; l++)
                part[l] = 0.0F;
            for (size_t l = 0; l < NN_LANES; l++)
                out[l] = part[l] * gain[j + l] + shift[j + l];
            if (xhat) {
                for (size_t l = 0; l < NN_LANES; l++)
                    xhat[i * stride + j + l] = part[l];
            }
            for (size_t l = 0; l < NN_LANES; l++)
                y[i * stride + j + l] = out[l];
        }
        if (scale)
            scale[i] = by;
    }
}

KERNEL_TARGET static void KERNEL(norm_back)(size_t rows, size_t width, size_t stride, const float *restrict gain,
                                            const float *restrict xhat, const float *restrict scale, float *restrict d,
                                            float *restrict dgain, float *restrict dshift, float *restrict sum)
{
    float each = 1.0F / (float)width;
    for (size_t i = 0; i < rows; i++) {
        float *row = d + i * stride, *to = sum ? sum + i * stride : NULL;
        const float *hat = xhat + i * stride;
        float first[NN_LANES] = {0}, second[NN_LANES] = {0};
        for (size_t j = 0; j < stride; j += NN_LANES) {
            for (size_t l = 0; l < NN_LANES; l++) {
                float by = row[j + l], of = hat[j + l], inner = by * gain[j + l];
                dgain[j + l] += by * of;
                dshift[j + l] += by;
                first[l] += inner;
                second[l] += inner * of;
            }
        }
        float mean = KERNEL(fold)(first) * each, slope = KERNEL(fold)(second) * each, by = scale[i];
        for (size_t j = 0; j < stride; j += NN_LANES) {
            float part[NN_LANES];
            for (size_t l = 0; l < NN_LANES; l++)
                part[l] = (row[j + l] * gain[j + l] - mean - hat[j + l] * slope) * by;
            for (size_t l = width - j; l < NN_LANES; l++)
                part[l] = 0.0F;
            for (size_t l = 0; to && l < NN_LANES; l++)
                to[j + l] += part[l];
            for (size_t l = 0; !to && l < NN_LANES; l++)
                row[j + l] = part[l];
        }
    }
}

KERNEL_TARGET static void KERNEL(bias)(size_t rows, size_t stride, const float *restrict bias, float *restrict y)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < stride; j++)
            y[i * stride + j] += bias[j];
    }
}

/* With P the normal distribution and e = exp(-z^2 / 2): P(-|z|) = e t q(t), t = 1 / (1 + |z| / 3), for q a polynomial
 * fitted to that for |z| up to 7; P is within 1e-7. */
KERNEL_TARGET static void KERNEL(bias_gelu)(size_t rows, size_t stride, const float *restrict bias,
                                            float *restrict slope, float *restrict y)
{
    for (size_t i = 0; i < rows; i++) {
        float *row = y + i * stride;
        for (size_t j = 0; j < stride; j++) {
            float z = row[j] + bias[j], size = z < 0.0F ? -z : z;
            float e = KERNEL(exp_negative)(z * z * 0.5F), t = 1.0F / (1.0F + size * 0.333333333F);
            float q = 0.0436232947F;
            q = q * t + -0.205590978F;
            q = q * t + 0.291502029F;
            q = q * t + -0.0509555042F;
            q = q * t + 0.161803782F;
            q = q * t + 0.126293868F;
            q = q * t + 0.13332352F;
            float tail = e * t * q, p = z > 0.0F ? 1.0F - tail : tail;
            row[j] = z * p;
            if (slope)
                slope[i * stride + j] = p + z * e * 0.398942280F;
        }
    }
}

KERNEL_TARGET static void KERNEL(drop)(size_t rows, size_t stride, const nn_drop *drop, float *restrict y)
{
    uint32_t threshold = drop->threshold;
    float scale = drop->scale;
    for (size_t i = 0; i < rows; i++) {
        uint32_t key = drop->keys[i];
        for (uint32_t j = 0; j < (uint32_t)stride; j++)
            y[i * stride + j] = KERNEL(place)(key, j) < threshold ? 0.0F : y[i * stride + j] * scale;
    }
}

KERNEL_TARGET static void KERNEL(residual)(size_t rows, size_t stride, const float *bias, const nn_drop *drop,
                                           const float *in, const float *base, float *out)
{
    for (size_t i = 0; i < rows; i++) {
        uint32_t key = drop ? drop->keys[i] : 0, threshold = drop ? drop->threshold : 0;
        float scale = drop ? drop->scale : 1.0F;
        for (size_t j = 0; j < stride; j += NN_LANES) {
            float part[NN_LANES];
            for (size_t l = 0; l < NN_LANES; l++)
                part[l] = in[i * stride + j + l] + bias[j + l];
            for (size_t l = 0; threshold && l < NN_LANES; l++)
                part[l] = KERNEL(place)(key, (uint32_t)(j + l)) < threshold ? 0.0F : part[l] * scale;
            for (size_t l = 0; l < NN_LANES; l++)
                part[l] += base[i * stride + j + l];
            for (size_t l = 0; l < NN_LANES; l++)
                out[i * stride + j + l] = part[l];
        }
    }
}

KERNEL_TARGET static void KERNEL(residual_back)(size_t rows, size_t stride, const nn_drop *drop,
                                                const float *restrict d, float *restrict dbias, float *restrict out)
{
    for (size_t i = 0; i < rows; i++) {
        uint32_t key = drop ? drop->keys[i] : 0, threshold = drop ? drop->threshold : 0;
        float scale = drop ? drop->scale : 1.0F;
        for (size_t j = 0; j < stride; j += NN_LANES) {
            float part[NN_LANES];
            for (size_t l = 0; l < NN_LANES; l++)
                part[l] = d[i * stride + j + l];
            for (size_t l = 0; threshold && l < NN_LANES; l++)
                part[l] = KERNEL(place)(key, (uint32_t)(j + l)) < threshold ? 0.0F : part[l] * scale;
            for (size_t l = 0; l < NN_LANES; l++) {
                out[i * stride + j + l] = part[l];
                dbias[j + l] += part[l];
            }
        }
    }
}

KERNEL_TARGET static void KERNEL(slope_back)(size_t rows, size_t stride, const float *restrict slope,
                                             float *restrict dy, float *restrict dbias)
{
    for (size_t j = 0; j < stride; j += NN_LANES) {
        float sum[NN_LANES] = {0};
        for (size_t i = 0; i < rows; i++) {
            for (size_t l = 0; l < NN_LANES; l++) {
                float value = dy[i * stride + j + l] * slope[i * stride + j + l];
                dy[i * stride + j + l] = value;
                sum[l] += value;
            }
        }
        for (size_t l = 0; l < NN_LANES; l++)
            dbias[j + l] += sum[l];
    }
}

KERNEL_TARGET static void KERNEL(add_rows)(size_t rows, size_t stride, const float *restrict in, float *restrict sums)
{
    for (size_t j = 0; j < stride; j += NN_LANES) {
        float sum[NN_LANES] = {0};
        for (size_t i = 0; i < rows; i++) {
            for (size_t l = 0; l < NN_LANES; l++)
                sum[l] += in[i * stride + j + l];
        }
        for (size_t l = 0; l < NN_LANES; l++)
            sums[j + l] += sum[l];
    }
}

KERNEL_TARGET static void KERNEL(turn)(size_t rows, size_t columns, size_t pitch, const float *restrict in,
                                       size_t stride, float *restrict out)
{
    for (size_t c = 0; c < columns; c++) {
        for (size_t i = 0; i < rows; i++)
            out[c * stride + i] = in[i * pitch + c];
        for (size_t i = rows; i < stride; i++)
            out[c * stride + i] = 0.0F;
    }
}

KERNEL_TARGET static void KERNEL(softmax)(size_t rows, size_t count, size_t step, size_t stride, float scale,
                                          float *restrict s)
{
    for (size_t i = 0; i < rows; i++, count += step) {
        float *row = s + i * stride;
        float most[NN_LANES], sum[NN_LANES] = {0};
        for (size_t l = 0; l < NN_LANES; l++)
            most[l] = -INFINITY;
        size_t j = 0;
        for (; j < count; j += NN_LANES) {
            for (size_t l = 0; l < NN_LANES; l++) {
                float value = j + l < count ? row[j + l] * scale : -INFINITY;
                row[j + l] = value;
                most[l] = value > most[l] ? value : most[l];
            }
        }
        for (size_t half = NN_LANES / 2; half > 0; half /= 2) {
            for (size_t l = 0; l < half; l++)
                most[l] = most[l] > most[l + half] ? most[l] : most[l + half];
        }
        for (j = 0; j < count; j += NN_LANES) {
            for (size_t l = 0; l < NN_LANES; l++) {
                float e = KERNEL(exp_negative)(row[j + l] - most[0]);
                e = j + l < count ? e : 0.0F;
                row[j + l] = e;
                sum[l] += e;
            }
        }
        float by = 1.0F / KERNEL(fold)(sum);
        for (j = 0; j < count; j += NN_LANES) {
            for (size_t l = 0; l < NN_LANES; l++)
                row[j + l] *= by;
        }
        for (; j < stride; j++)
            row[j] = 0.0F;
    }
}

KERNEL_TARGET static void KERNEL(drop_marked)(size_t rows, size_t stride, const nn_drop *drop, float *restrict p,
                                              float *restrict out)
{
    uint32_t threshold = drop->threshold;
    float scale = drop->scale;
    for (size_t i = 0; i < rows; i++) {
        uint32_t key = drop->keys[i];
        for (uint32_t j = 0; j < (uint32_t)stride; j++) {
            bool falls = KERNEL(place)(key, j) < threshold;
            float value = p[i * stride + j];
            p[i * stride + j] = falls ? -value : value;
            out[i * stride + j] = falls ? 0.0F : value * scale;
        }
    }
}

KERNEL_TARGET static void KERNEL(softmax_back)(size_t rows, size_t stride, float scale, float kept_scale,
                                               float *restrict p, float *restrict d)
{
    for (size_t i = 0; i < rows; i++) {
        float *chance = p + i * stride, *row = d + i * stride;
        float sum[NN_LANES] = {0};
        for (size_t j = 0; j < stride; j += NN_LANES) {
            for (size_t l = 0; l < NN_LANES; l++) {
                float kept = chance[j + l] > 0.0F ? chance[j + l] * kept_scale : 0.0F;
                sum[l] += kept * row[j + l];
            }
        }
        float mean = KERNEL(fold)(sum);
        for (size_t j = 0; j < stride; j += NN_LANES) {
            for (size_t l = 0; l < NN_LANES; l++) {
                float of = chance[j + l], kept = of > 0.0F ? of * kept_scale : 0.0F;
                float size = of > 0.0F ? of : -of;
                row[j + l] = (kept * row[j + l] - size * mean) * scale;
                chance[j + l] = kept;
            }
        }
    }
}
