/*
 * peak.h: what speeds are compared with: products of 512 x 64 by 64 x 64, single precision, in cache, by the fastest
 * engine there is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

#include "forage/base.h"
#include "la/la.h"

#include <time.h>

enum { PEAK_ROWS = 512, PEAK_WIDTH = 64, PEAK_TIMES = 1000, PEAK_ROUNDS = 3 };

typedef struct peak_task {
    la_gemm gemm;
    float *a, *b, *c; /* of each thread */
} peak_task;

/* Seconds: with one thread of processor time, so that other programs do not count; with more, on the clock. */
static double peak_clock(const forage_device *device)
{
    struct timespec time;
    if (device->threads > 1 || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0)
        return forage_clock();
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void peak_work(void *context, size_t chunk, int worker)
{
    const peak_task *task = context;
    size_t at = chunk * PEAK_ROWS * PEAK_WIDTH;
    (void)worker;
    for (size_t i = 0; i < PEAK_TIMES; i++)
        la_gemm_run(&task->gemm, task->a + at, task->b, task->c + at);
}

/* Operations per second of all threads together: the best of a few rounds; 0 without memory. */
static double peak_measure(const forage_device *device)
{
    peak_task task;
    size_t threads = (size_t)device->threads, floats = PEAK_ROWS * PEAK_WIDTH;
    double best = 0;
    la_gemm_init(
        &task.gemm, la_engine_best(device->isa),
        &(la_shape){
            .m = PEAK_ROWS, .n = PEAK_WIDTH, .k = PEAK_WIDTH, .lda = PEAK_WIDTH, .ldb = PEAK_WIDTH, .ldc = PEAK_WIDTH});
    task.a = forage_calloc(threads, floats * sizeof *task.a);
    task.b = forage_calloc(PEAK_WIDTH, PEAK_WIDTH * sizeof *task.b);
    task.c = forage_calloc(threads, floats * sizeof *task.c);
    for (int round = 0; task.a && task.b && task.c && round < PEAK_ROUNDS; round++) {
        double start = peak_clock(device);
        forage_parallel_for(device->threads, threads, peak_work, &task);
        double speed = 2.0 * (double)floats * PEAK_WIDTH * PEAK_TIMES * (double)threads / (peak_clock(device) - start);
        best = speed > best ? speed : best;
    }
    forage_free(task.a);
    forage_free(task.b);
    forage_free(task.c);
    return best;
}

#endif
