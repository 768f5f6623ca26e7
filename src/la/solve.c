/*
 * solve.c: systems of linear equations with a symmetric positive definite matrix, many of them, in single precision.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/la.h"

#include <float.h>
#include <math.h>

enum { GROUP = 4 };

static const float LEAST_PIVOT = 1e-7F; /* of the greatest element: below is rounding */

#define KERNEL_TARGET
#define KERNEL(name) portable_##name
#include "la/solve_body.h"
#undef KERNEL_TARGET
#undef KERNEL

#if defined(__x86_64__)

#define KERNEL_TARGET __attribute__((target("avx2")))
#define KERNEL(name) avx2_##name
#include "la/solve_body.h"
#undef KERNEL_TARGET
#undef KERNEL

#if defined(__clang__)
#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), min_vector_width(512)))
#else
#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif
#define KERNEL(name) avx512_##name
#include "la/solve_body.h"
#undef KERNEL_TARGET
#undef KERNEL

#endif

void la_solve(forage_isa isa, size_t n, size_t pitch, float *a, float *x)
{
#if defined(__x86_64__)
    if (isa >= FORAGE_ISA_AVX512) {
        avx512_factor(n, pitch, a);
        avx512_substitute(n, pitch, a, x);
        return;
    }
    if (isa >= FORAGE_ISA_AVX2) {
        avx2_factor(n, pitch, a);
        avx2_substitute(n, pitch, a, x);
        return;
    }
#endif
    (void)isa;
    portable_factor(n, pitch, a);
    portable_substitute(n, pitch, a, x);
}
