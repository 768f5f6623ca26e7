/*
 * gram.c: X'X of a tall matrix.
 *
 * The upper triangle is cut into strips of rows, each of which one thread sums over all rows of X: in single precision
 * over some hundred of them, these sums in double precision. The same bytes for any number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/la.h"

#include <string.h>

enum {
    STRIP = 48,     /* rows of the result that are summed together */
    SUM_ROWS = 256, /* products that are summed in single precision */
};

typedef struct gram {
    forage_isa isa;
    const float *x;
    size_t rows, width, pitch;
    float *scratch;
    double *out;
} gram;

size_t la_gram_scratch(size_t width)
{
    return la_padded(3 * STRIP * width); /* doubles and floats */
}

static void sum_strip(void *context, size_t chunk, int worker)
{
    const gram *task = context;
    size_t first = chunk * STRIP, n = task->width - first, strip = n < STRIP ? n : STRIP;
    double *sum = (double *)(void *)(task->scratch + (size_t)worker * la_gram_scratch(task->width));
    float *part = (float *)(sum + STRIP * task->width);
    la_shape shape = {LA_TN, strip, n, SUM_ROWS, task->pitch, task->pitch, n, false};
    la_gemm gemm;
    memset(sum, 0, strip * n * sizeof *sum);
    la_gemm_init(&gemm, la_engine_steady(task->isa), &shape);
    for (size_t r = 0; r < task->rows; r += SUM_ROWS) {
        const float *x = task->x + r * task->pitch + first;
        if (task->rows - r < SUM_ROWS) {
            shape.k = task->rows - r;
            la_gemm_init(&gemm, la_engine_steady(task->isa), &shape);
        }
        la_gemm_run(&gemm, x, x, part);
        for (size_t i = 0; i < strip * n; i++)
            sum[i] += (double)part[i];
    }
    for (size_t i = 0; i < strip; i++) {
        double *row = task->out + la_packed(task->width) - la_packed(n - i);
        memcpy(row, sum + i * n + i, (n - i) * sizeof *row);
    }
}

void la_gram(forage_isa isa, int threads, const float *x, size_t rows, size_t width, size_t pitch, float *scratch,
             double *out)
{
    gram task = {isa, x, rows, width, pitch, scratch, out};
    forage_parallel_for(threads, (width + STRIP - 1) / STRIP, sum_strip, &task);
}
