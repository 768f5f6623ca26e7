/*
 * gemm_avx2.c: the product with AVX2 and FMA.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/engines.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TILE_TARGET __attribute__((target("avx2,fma")))
#define TILE_VECTOR __m256
#define TILE_LANES 8
#define TILE_WIDE 2
#define TILE_MASK __m256i
#define TILE_NAME la_gemm_avx2

/* The first `lanes` lanes all ones. */
TILE_TARGET static inline __attribute__((always_inline)) __m256i tile_mask(size_t lanes)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

TILE_TARGET static inline __attribute__((always_inline)) __m256 tile_zero(void)
{
    return _mm256_setzero_ps();
}

TILE_TARGET static inline __attribute__((always_inline)) __m256 tile_load(const float *p, __m256i mask)
{
    return _mm256_maskload_ps(p, mask);
}

TILE_TARGET static inline __attribute__((always_inline)) void tile_store(float *p, __m256i mask, __m256 v)
{
    _mm256_maskstore_ps(p, mask, v);
}

TILE_TARGET static inline __attribute__((always_inline)) __m256 tile_fma(float left, __m256 right, __m256 sum)
{
    return _mm256_fmadd_ps(_mm256_set1_ps(left), right, sum);
}

#include "la/gemm_tile.h"
#else
typedef int la_no_avx2; /* nothing to compile for other processors */
#endif
