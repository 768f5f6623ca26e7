/*
 * gemm_avx512.c: the product with AVX-512.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/engines.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TILE_TARGET __attribute__((target("avx512f")))
#define TILE_VECTOR __m512
#define TILE_LANES 16
#define TILE_WIDE 4
#define TILE_MASK __mmask16
#define TILE_NAME la_gemm_avx512

TILE_TARGET static inline __attribute__((always_inline)) __mmask16 tile_mask(size_t lanes)
{
    return (__mmask16)((1U << lanes) - 1U);
}

TILE_TARGET static inline __attribute__((always_inline)) __m512 tile_zero(void)
{
    return _mm512_setzero_ps();
}

TILE_TARGET static inline __attribute__((always_inline)) __m512 tile_load(const float *p, __mmask16 mask)
{
    return _mm512_maskz_loadu_ps(mask, p);
}

TILE_TARGET static inline __attribute__((always_inline)) void tile_store(float *p, __mmask16 mask, __m512 v)
{
    _mm512_mask_storeu_ps(p, mask, v);
}

TILE_TARGET static inline __attribute__((always_inline)) __m512 tile_fma(float left, __m512 right, __m512 sum)
{
    return _mm512_fmadd_ps(_mm512_set1_ps(left), right, sum);
}

#include "la/gemm_tile.h"
#else
typedef int la_no_avx512; /* nothing to compile for other processors */
#endif
