/*
 * scaling.c: numeric columns to a common scale, online and without peeking.
 *
 * A learner that keeps sums of x x' relies on a column meaning the same all the time, so a scale may
 * not follow every value. It is settled from the values seen so far when there are 2, 4, 8 ... of them,
 * and for good at PIPELINE_SCALE_ROWS: the sums of the few rows before then are soon outweighed, and
 * from there on the statistics are exact. A column that has shown one value only stays 0 and is settled as soon as
 * it shows another.
 *
 * With the mean m and the deviation s of those values, x becomes z = (x - m) / s, and beyond 3
 * deviations sign(z) (3 + log(|z| - 2)): what lies far out keeps its order and loses its leverage.
 *
 * Pieces are a curve for a linear model: with quantiles q_0 < ... < q_k, the i-th of k numbers is
 * clip((x - q_i) / (q_{i+1} - q_i), 0, 1) (piecewise linear encoding; Gorishniy, Rubachev, Babenko 2022, On
 * embeddings for numerical features in tabular deep learning, equation 1), here also clipped at both ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pipeline/intern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

forage_status pipeline_scale_create(pipeline_scale *scale, forage_error *error)
{
    *scale = (pipeline_scale){.values = forage_alloc(2 * PIPELINE_SCALE_ROWS, sizeof *scale->values)};
    return scale->values ? FORAGE_OK : forage_fail(error, FORAGE_NO_MEMORY, "no memory for the scale of a column");
}

void pipeline_scale_release(pipeline_scale *scale)
{
    forage_free(scale->values);
    *scale = (pipeline_scale){0};
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Mean, deviation and quantiles of `count` values, which are sorted on the way. */
static void settle(pipeline_scale *scale, float *values, size_t count, size_t knots)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        mean += (double)values[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += ((double)values[i] - mean) * ((double)values[i] - mean);
    double deviation = sqrt(squares / (double)count);
    scale->mean = (float)mean;
    scale->inverse = deviation > 1e-6 * fabs(mean) && deviation > 1e-30 ? (float)(1 / deviation) : 0;
    if (!isfinite(scale->inverse))
        scale->inverse = 0;
    if (!knots)
        return;
    qsort(values, count, sizeof *values, ascending);
    for (size_t k = 0; k <= knots; k++)
        scale->edges[k] = values[(count - 1) * k / knots];
}

void pipeline_scale_see(pipeline_scale *scale, float value, size_t knots)
{
    if (scale->seen == PIPELINE_SCALE_ROWS || isnan(value))
        return;
    bool flat = scale->inverse == 0;
    scale->values[scale->seen++] = value;
    bool varies = flat && scale->seen > 1 && value != scale->values[scale->seen - 2];
    if ((scale->seen & (scale->seen - 1)) == 0 || varies) {
        memcpy(scale->values + PIPELINE_SCALE_ROWS, scale->values, scale->seen * sizeof value);
        settle(scale, scale->values + PIPELINE_SCALE_ROWS, scale->seen, knots);
    }
    /* As long as nothing varies, the last value is all that needs to be kept. */
    if (scale->seen == PIPELINE_SCALE_ROWS && scale->inverse == 0)
        scale->seen--;
}

forage_status pipeline_scale_settle(pipeline_scale *scale, const float *values, size_t count, size_t knots,
                                    forage_error *error)
{
    float *known = forage_alloc(count + 1, sizeof *known);
    size_t found = 0;
    if (!known)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the scale of a column");
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            known[found++] = values[i];
    if (found)
        settle(scale, known, found, knots);
    scale->seen = PIPELINE_SCALE_ROWS;
    forage_free(known);
    return FORAGE_OK;
}

float pipeline_scale_value(const pipeline_scale *scale, float value)
{
    if (isnan(value))
        return 0;
    float z = (value - scale->mean) * scale->inverse;
    if (fabsf(z) <= 3)
        return z;
    return copysignf(3 + logf(fminf(fabsf(z), 1e30F) - 2), z);
}

void pipeline_scale_pieces(const pipeline_scale *scale, float value, size_t knots, float *pieces)
{
    for (size_t k = 0; k < knots; k++) {
        float low = scale->edges[k], high = scale->edges[k + 1];
        if (isnan(value) || scale->inverse == 0)
            pieces[k] = 0;
        else if (value >= high)
            pieces[k] = 1;
        else
            pieces[k] = value > low ? (value - low) / (high - low) : 0;
    }
}
