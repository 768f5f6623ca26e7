/*
 * kernels.c: the tables of kernels, one per instruction set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/kernels.h"

#include <math.h>

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
