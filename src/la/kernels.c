/*
 * kernels.c: the tables of the kernels of linear models, one per instruction set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/la.h"

#include <string.h>

/* Vectors of 16, 32 and 64 bytes; the loose ones are read from where floats lie. */
typedef float narrow_vector __attribute__((vector_size(16)));
typedef float wide_vector __attribute__((vector_size(32)));
typedef float widest_vector __attribute__((vector_size(64)));
typedef float loose_narrow __attribute__((vector_size(16), aligned(4), may_alias));
typedef float loose_wide __attribute__((vector_size(32), aligned(4), may_alias));
typedef float loose_widest __attribute__((vector_size(64), aligned(4), may_alias));

/* FORM_ROWS: rows whose sums stay in registers together. */
#define KERNEL_TARGET
#define KERNEL(name) portable_##name
#define VECTOR narrow_vector
#define LOOSE_VECTOR loose_narrow
#define FORM_ROWS 2
#include "la/kernels_body.h"
#undef KERNEL_TARGET
#undef KERNEL
#undef VECTOR
#undef LOOSE_VECTOR
#undef FORM_ROWS

#if defined(__x86_64__)

#define KERNEL_TARGET __attribute__((target("avx2")))
#define KERNEL(name) avx2_##name
#define VECTOR wide_vector
#define LOOSE_VECTOR loose_wide
#define FORM_ROWS 4
#include "la/kernels_body.h"
#undef KERNEL_TARGET
#undef KERNEL
#undef VECTOR
#undef LOOSE_VECTOR
#undef FORM_ROWS

/* gcc prefers half of a 64-byte vector unless told; clang knows the attribute by another name. */
#if defined(__clang__)
#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), min_vector_width(512)))
#else
#define KERNEL_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif
#define KERNEL(name) avx512_##name
#define VECTOR widest_vector
#define LOOSE_VECTOR loose_widest
#define FORM_ROWS 12
#include "la/kernels_body.h"
#undef KERNEL_TARGET
#undef KERNEL
#undef VECTOR
#undef LOOSE_VECTOR
#undef FORM_ROWS

#endif

const la_kernels *la_kernels_for(forage_isa isa)
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
