/*
 * kernels.c: the tables of kernels, one per instruction set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/kernels.h"

#include <math.h>
#include <string.h>

/* Four floats side by side, and four of those of two: the first's are 0 to 3, the second's 4 to 7. */
typedef float nn_four __attribute__((vector_size(16)));
#if defined(__clang__)
#define NN_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int nn_four_places __attribute__((vector_size(16)));
#define NN_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (nn_four_places){i, j, k, l})
#endif

/* The bits of 2^-96 and 2^96: numbers between them are near 1, and still are within 2^98 of it when they have shrunk to
 * 0.99 times themselves so many times. */
enum { NN_NEAR_LEAST = 31 << 23, NN_NEAR_MOST = 223 << 23, NN_NEAR_STEPS = 128 };

/* The square root of x; `near`: which is near, or 0. */
#define KERNEL_ROOT(near, x) sqrtf(x)

#define KERNEL_TARGET
#define KERNEL(name) portable_##name
#include "nn/kernels_body.h"
#undef KERNEL_TARGET
#undef KERNEL

#if defined(__x86_64__)

#define KERNEL_TARGET __attribute__((target("avx2")))
#define KERNEL(name) avx2_##name
#include "nn/kernels_body.h"
#undef KERNEL_TARGET
#undef KERNEL

/* gcc prefers half of a 64-byte vector unless told; clang knows the attribute by another name. */
#if defined(__clang__)
#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), min_vector_width(512)))
#elif defined(__SANITIZE_ADDRESS__)
/* gcc before 13 puts locals of 64 bytes where AddressSanitizer's stack is not aligned to them, and faults on its own
 * (its bug 110027). The same C is checked as avx2 and portable. */
#define KERNEL_TARGET \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"), no_sanitize_address))
#else
#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif
#define KERNEL(name) avx512_##name

/* The same number as sqrtf's, without the divider, which has enough to do where this is called: a guess from the bits,
 * two steps of Newton's for 1 / sqrt(x), and a last one for the root and its half inverse, of which the remainder is
 * exact (Markstein 1990, "Computation of elementary functions on the IBM RISC System/6000 processor"). Powers of 4 go
 * through unchanged, so that a test can try every number. */
KERNEL_TARGET static inline __attribute__((always_inline)) float near_root(float x)
{
    union {
        float value;
        uint32_t bits;
    } guess = {.value = x};
    guess.bits = 0x5f3759dfU - (guess.bits >> 1);
    float y = guess.value, half = 0.5F * x;
    y *= __builtin_fmaf(-half * y, y, 1.5F);
    y *= __builtin_fmaf(-half * y, y, 1.5F);
    float root = x * y, inverse = 0.5F * y, rest = __builtin_fmaf(-root, inverse, 0.5F);
    root = __builtin_fmaf(root, rest, root);
    inverse = __builtin_fmaf(inverse, rest, inverse);
    return __builtin_fmaf(__builtin_fmaf(-root, root, x), inverse, root);
}
#undef KERNEL_ROOT
#define KERNEL_ROOT(near, x) ((near) ? near_root(x) : sqrtf(x))
#include "nn/kernels_body.h"
#undef KERNEL_TARGET
#undef KERNEL

#endif

#undef KERNEL_ROOT

const nn_kernels *nn_kernels_for(forage_isa isa)
{
#if defined(__x86_64__)
    if (isa >= FORAGE_ISA_AVX512)
        return &avx512_table;
    if (isa >= FORAGE_ISA_AVX2)
        return &avx2_table;
#endif
    (void)isa;
    return &portable_table;
}
