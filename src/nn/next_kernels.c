/*
 * next_kernels.c: the tables of next_kernels.h, one per instruction set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/next_kernels.h"

#include <math.h>

#define KERNEL_TARGET
#define KERNEL(name) portable_##name
#define FUSED(a, b, c) ((a) * (b) + (c))
#include "nn/next_kernels_body.h"
#undef KERNEL_TARGET
#undef KERNEL
#undef FUSED

#if defined(__x86_64__)

#define FUSED(a, b, c) __builtin_fmaf(a, b, c)

#define KERNEL_TARGET __attribute__((target("avx2,fma")))
#define KERNEL(name) avx2_##name
#include "nn/next_kernels_body.h"
#undef KERNEL_TARGET
#undef KERNEL

/* gcc prefers half of a 64-byte vector unless told; clang knows the attribute by another name. */
#if defined(__clang__)
#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"), min_vector_width(512)))
#else
#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")))
#endif
#define KERNEL(name) avx512_##name
#include "nn/next_kernels_body.h"
#undef KERNEL_TARGET
#undef KERNEL

#endif

const next_kernels *next_kernels_for(forage_isa isa)
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
