/*
 * kernels_body.h: the kernels of linear models (la.h) in plain C, included once per
 * instruction set with KERNEL_TARGET (an attribute) and KERNEL(name) defined.
 *
 * Sums of float32 run in 16 lanes, those of doubles in 8, whatever the width of a vector is, and the lanes are
 * added up in one order; so every instruction set gives the same bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* 16 floats: one vector, or two, or four. */
typedef struct KERNEL(lanes) {
    VECTOR part[LA_LANES * sizeof(float) / sizeof(VECTOR)];
} KERNEL(lanes);

#define LANES KERNEL(lanes)
#define PARTS (sizeof(LANES) / sizeof(VECTOR))
#define EACH_PART for (size_t p = 0; p < PARTS; p++)
#define KERNEL_INLINE KERNEL_TARGET static inline __attribute__((always_inline))

KERNEL_INLINE void KERNEL(load)(LANES *to, const float *from)
{
    EACH_PART to->part[p] = *(const LOOSE_VECTOR *)(from + p * sizeof(VECTOR) / sizeof(float));
}

/* sum += x y */
KERNEL_INLINE void KERNEL(step)(LANES *sum, const float *x, const float *y)
{
    LANES left, right;
    KERNEL(load)(&left, x);
    KERNEL(load)(&right, y);
    EACH_PART sum->part[p] += left.part[p] * right.part[p];
}

/* Lane l and lane l + 8, then 4, 2, 1. */
KERNEL_INLINE float KERNEL(fold)(const LANES *sum)
{
    wide_vector eight[2];
    memcpy(eight, sum, sizeof eight);
    eight[0] += eight[1];
    narrow_vector four[2];
    memcpy(four, eight, sizeof four);
    four[0] += four[1];
    return (four[0][0] + four[0][2]) + (four[0][1] + four[0][3]);
}

KERNEL_TARGET static void KERNEL(dots)(const float *rows, size_t pitch, const uint32_t *index, size_t count,
                                       const float *x, float *out)
{
    for (size_t i = 0; i < count; i++) {
        const float *row = rows + index[i] * pitch;
        LANES even = {0}, odd = {0}; /* two chains: an addition waits for the one before it */
        size_t j = 0;
        for (; j + 2 * LA_LANES <= pitch; j += 2 * LA_LANES) {
            KERNEL(step)(&even, row + j, x + j);
            KERNEL(step)(&odd, row + j + LA_LANES, x + j + LA_LANES);
        }
        if (j < pitch)
            KERNEL(step)(&even, row + j, x + j);
        EACH_PART even.part[p] += odd.part[p];
        out[i] = KERNEL(fold)(&even);
    }
}

/* square[0 ... rows) of the rows from `first` on; `rows` is a constant where this is inlined. */
KERNEL_INLINE void KERNEL(forms_some)(const la_forms *forms, size_t first, size_t rows, float *square)
{
    size_t width = forms->width, blocks = la_padded(width) / LA_LANES;
    const float *f = forms->rows + first * width;
    LANES squares[FORM_ROWS];
    for (size_t r = 0; r < rows; r++)
        squares[r] = (LANES){0};
    for (size_t b = 0; b < blocks; b++) {
        size_t last = width < (b + 1) * LA_LANES ? width : (b + 1) * LA_LANES;
        const float *factor = forms->factor + la_factor_at(b, 0);
        LANES sum[FORM_ROWS];
        for (size_t r = 0; r < rows; r++) {
            size_t slot = forms->slots ? forms->slots[first + r] : 0;
            KERNEL(load)(&sum[r], forms->offsets + (slot * blocks + b) * LA_LANES);
        }
        for (size_t i = 0; i < last; i++) {
            LANES right;
            KERNEL(load)(&right, factor + i * LA_LANES);
            for (size_t r = 0; r < rows; r++) {
                float left = f[r * width + i];
                EACH_PART sum[r].part[p] += left * right.part[p];
            }
        }
        for (size_t r = 0; r < rows; r++)
            EACH_PART squares[r].part[p] += sum[r].part[p] * sum[r].part[p];
    }
    for (size_t r = 0; r < rows; r++)
        square[first + r] = KERNEL(fold)(&squares[r]);
}

KERNEL_INLINE float KERNEL(forms_dot)(const float *row, const float *weights, size_t width)
{
    size_t whole = width / LA_LANES * LA_LANES;
    LANES sum = {0};
    for (size_t j = 0; j < whole; j += LA_LANES)
        KERNEL(step)(&sum, row + j, weights + j);
    if (whole < width) {
        float left[LA_LANES] = {0}, right[LA_LANES] = {0};
        memcpy(left, row + whole, (width - whole) * sizeof(float));
        memcpy(right, weights + whole, (width - whole) * sizeof(float));
        KERNEL(step)(&sum, left, right);
    }
    return KERNEL(fold)(&sum);
}

/* Rows are read from memory once, for both results. */
KERNEL_TARGET static void KERNEL(forms)(const la_forms *forms, float *dot, float *square)
{
    size_t width = forms->width;
    for (size_t i = 0; i < forms->count;) {
        size_t rows = i + FORM_ROWS <= forms->count ? FORM_ROWS : 1;
        for (size_t r = i; dot && r < i + rows; r++)
            dot[r] = KERNEL(forms_dot)(forms->rows + r * width, forms->weights, width);
        if (square && rows == FORM_ROWS)
            KERNEL(forms_some)(forms, i, FORM_ROWS, square);
        else if (square)
            KERNEL(forms_some)(forms, i, 1, square);
        i += rows;
    }
}

/* to[0 ... 16) = sum over i of x_i from[i pitch ...], in two chains. */
KERNEL_INLINE void KERNEL(combine_lanes)(size_t rows, size_t pitch, const float *from, const float *x, float *to)
{
    LANES even = {0}, odd = {0}, row;
    size_t i = 0;
    for (; i + 2 <= rows; i += 2) {
        KERNEL(load)(&row, from + i * pitch);
        EACH_PART even.part[p] += x[i] * row.part[p];
        KERNEL(load)(&row, from + (i + 1) * pitch);
        EACH_PART odd.part[p] += x[i + 1] * row.part[p];
    }
    if (i < rows) {
        KERNEL(load)(&row, from + i * pitch);
        EACH_PART even.part[p] += x[i] * row.part[p];
    }
    EACH_PART even.part[p] += odd.part[p];
    memcpy(to, &even, sizeof even);
}

KERNEL_TARGET static void KERNEL(combine)(size_t rows, size_t pitch, const float *matrix, const float *x, float *out)
{
    for (size_t j = 0; j < pitch; j += LA_LANES)
        KERNEL(combine_lanes)(rows, pitch, matrix + j, x, out + j);
}

KERNEL_TARGET static void KERNEL(transform)(size_t n, const float *factor, const float *x, float *out)
{
    for (size_t b = 0; b * LA_LANES < n; b++) {
        size_t rows = n < (b + 1) * LA_LANES ? n : (b + 1) * LA_LANES;
        KERNEL(combine_lanes)(rows, LA_LANES, factor + la_factor_at(b, 0), x, out + b * LA_LANES);
    }
}

KERNEL_TARGET static void KERNEL(outer)(size_t n, const double *restrict x, double *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++)
            out[j - i] = x[i] * x[j];
        out += n - i;
    }
}

KERNEL_TARGET static void KERNEL(outer_float)(size_t n, const float *restrict x, float *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++)
            out[j - i] = x[i] * x[j];
        out += n - i;
    }
}

KERNEL_TARGET static inline __attribute__((always_inline)) double KERNEL(fold_double)(const double *sum)
{
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

KERNEL_TARGET static double KERNEL(dot)(size_t n, const double *restrict x, const double *restrict y)
{
    double sum[8] = {0};
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        for (size_t l = 0; l < 8; l++)
            sum[l] += x[j + l] * y[j + l];
    }
    for (size_t l = 0; j + l < n; l++)
        sum[l] += x[j + l] * y[j + l];
    return KERNEL(fold_double)(sum);
}

KERNEL_TARGET static double KERNEL(multiply)(size_t n, const double *restrict m, const double *restrict x,
                                             double *restrict y)
{
    double square = 0;
    for (size_t i = 0; i < n; i++)
        y[i] = 0;
    /* Row i of the triangle is its part of row i and of column i. */
    for (size_t i = 0; i < n; i++) {
        double left = x[i], sum[8] = {0};
        size_t rest = n - i, j = 0;
        y[i] += m[0] * left;
        for (j = 1; j + 8 <= rest; j += 8) {
            for (size_t l = 0; l < 8; l++) {
                sum[l] += m[j + l] * x[i + j + l];
                y[i + j + l] += m[j + l] * left;
            }
        }
        for (size_t l = 0; j + l < rest; l++) {
            sum[l] += m[j + l] * x[i + j + l];
            y[i + j + l] += m[j + l] * left;
        }
        y[i] += KERNEL(fold_double)(sum);
        square += y[i] * left;
        m += rest;
    }
    return square;
}

KERNEL_TARGET static void KERNEL(add)(size_t n, double a, const double *restrict x, double *restrict y)
{
    for (size_t j = 0; j < n; j++)
        y[j] += a * x[j];
}

KERNEL_TARGET static void KERNEL(narrow)(size_t n, const double *restrict x, const double *restrict scale,
                                         float *restrict out)
{
    for (size_t j = 0; j < n; j++)
        out[j] = (float)(x[j] * scale[j]);
}

KERNEL_TARGET static void KERNEL(measure)(size_t n, double ratio, double lambda, double v, double *restrict column,
                                          double *restrict gain)
{
    for (size_t i = 0; i < n; i++) {
        double old = column[i];
        column[i] = ratio * (old + lambda * gain[i]);
        gain[i] += old * v;
    }
}

static const la_kernels KERNEL(table) = {
    .dots = KERNEL(dots),
    .forms = KERNEL(forms),
    .combine = KERNEL(combine),
    .transform = KERNEL(transform),
    .outer = KERNEL(outer),
    .outer_float = KERNEL(outer_float),
    .multiply = KERNEL(multiply),
    .add = KERNEL(add),
    .dot = KERNEL(dot),
    .narrow = KERNEL(narrow),
    .measure = KERNEL(measure),
};

#undef LANES
#undef PARTS
#undef EACH_PART
#undef KERNEL_INLINE
