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
#include "nn/kernels_body.h"
#undef KERNEL_TARGET
#undef KERNEL

#endif

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
