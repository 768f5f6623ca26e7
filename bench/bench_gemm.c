/*
 * Speed of the small matrix products that training is made of, by every engine
 * that this build and this CPU have, on one core. The sum of the product shows
 * that all of them computed it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/la.h"

#include <stdio.h>

static void measure(la_engine engine, size_t m, size_t n, size_t k)
{
    la_shape shape = {.m = m, .n = n, .k = k, .lda = k, .ldb = n, .ldc = n};
    la_gemm gemm;
    float *a = forage_alloc(m * k, sizeof *a), *b = forage_alloc(k * n, sizeof *b),
          *c = forage_calloc(m * n, sizeof *c);
    double best = 0, sum = 0;
    if (!a || !b || !c)
        goto end;
    for (size_t i = 0; i < m * k; i++)
        a[i] = (float)(i % 7) - 3;
    for (size_t i = 0; i < k * n; i++)
        b[i] = (float)(i % 5) - 1;
    la_gemm_init(&gemm, engine, &shape);
    size_t repeats = 1 + 100000000 / (m * n * k);
    for (int pass = 0; pass < 5; pass++) {
        double start = forage_clock();
        for (size_t r = 0; r < repeats; r++)
            la_gemm_run(&gemm, a, b, c);
        double speed = 2.0 * (double)(m * n * k) * (double)repeats / (forage_clock() - start) / 1e9;
        best = speed > best ? speed : best;
    }
    for (size_t i = 0; i < m * n; i++)
        sum += (double)c[i];
    printf("%4zu x %2zu x %2zu  %-8s %8.1f GFLOP/s   sum %.0f\n", m, n, k, la_engine_name(gemm.engine), best, sum);
end:
    forage_free(a);
    forage_free(b);
    forage_free(c);
}

int main(void)
{
    static const size_t shapes[][3] = {{512, 64, 64}, {64, 64, 64}, {64, 32, 64}, {1, 64, 64}};
    forage_device device;
    if (forage_device_open("auto", 1, &device, NULL) != FORAGE_OK)
        return 1;
    printf("%s\n", device.name);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (la_engine engine = 0; engine < LA_ENGINE_COUNT; engine++) {
            if (la_engine_available(engine, device.isa))
                measure(engine, shapes[s][0], shapes[s][1], shapes[s][2]);
        }
    }
    return 0;
}
