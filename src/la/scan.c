/*
 * scan.c: what a search through a table of vectors does with each row.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/engines.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define SCAN_TARGET __attribute__((target("avx2,fma")))
#define SCAN(name) avx2_##name
#define SCAN_VECTOR __m256
#define SCAN_LANES 8
#define SCAN_LOW _mm256_unpacklo_ps
#define SCAN_HIGH _mm256_unpackhi_ps
#define SCAN_PAIRS(which, a, b) _mm256_castpd_ps(_mm256_unpack##which##_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)))
#define SCAN_LOW_PAIRS(a, b) SCAN_PAIRS(lo, a, b)
#define SCAN_HIGH_PAIRS(a, b) SCAN_PAIRS(hi, a, b)
#define SCAN_LOAD _mm256_loadu_ps
#define SCAN_FMA _mm256_fmadd_ps
#define SCAN_SET _mm256_set1_ps
#define SCAN_STORE _mm256_storeu_ps
#define SCAN_ABOVE(s, l) (uint32_t) _mm256_movemask_ps(_mm256_cmp_ps(s, l, _CMP_NLE_UQ))

SCAN_TARGET static inline __m256 avx2_four(const float *p, size_t step)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1);
}

#include "la/scan_body.h"
#undef SCAN_PAIRS

#define SCAN_TARGET __attribute__((target("avx512f")))
#define SCAN(name) avx512_##name
#define SCAN_VECTOR __m512
#define SCAN_LANES 16
#define SCAN_LOW _mm512_unpacklo_ps
#define SCAN_HIGH _mm512_unpackhi_ps
#define SCAN_PAIRS(which, a, b) _mm512_castpd_ps(_mm512_unpack##which##_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
#define SCAN_LOW_PAIRS(a, b) SCAN_PAIRS(lo, a, b)
#define SCAN_HIGH_PAIRS(a, b) SCAN_PAIRS(hi, a, b)
#define SCAN_LOAD _mm512_loadu_ps
#define SCAN_FMA _mm512_fmadd_ps
#define SCAN_SET _mm512_set1_ps
#define SCAN_STORE _mm512_storeu_ps
#define SCAN_ABOVE(s, l) _mm512_cmp_ps_mask(s, l, _CMP_NLE_UQ)

SCAN_TARGET static inline __m512 avx512_four(const float *p, size_t step)
{
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(p));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + step), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 2 * step), 2);
    return _mm512_insertf32x4(v, _mm_loadu_ps(p + 3 * step), 3);
}

#include "la/scan_body.h"
#undef SCAN_PAIRS

#endif

void la_dots(forage_isa isa, const float *rows, size_t pitch, size_t count, size_t width, const float *x, float *out)
{
    size_t done = 0;
#if defined(__x86_64__)
    if (isa >= FORAGE_ISA_AVX512)
        done = avx512_all_dots(rows, pitch, count, width, x, out);
    else if (isa >= FORAGE_ISA_AVX2)
        done = avx2_all_dots(rows, pitch, count, width, x, out);
#endif
    if (done == count)
        return;
    la_gemm gemm;
    const la_shape shape = {.m = count - done, .n = 1, .k = width, .lda = pitch, .ldb = 1, .ldc = 1};
    la_gemm_init(&gemm, la_engine_steady(isa), &shape);
    la_gemm_run(&gemm, rows + done * pitch, x, out + done);
}

static void portable_above(const float *scores, size_t rows, const float *limits, uint64_t *hits)
{
    for (size_t r = 0; r < rows; r++) {
        uint64_t bits = 0;
        for (size_t l = 0; l < LA_ABOVE; l++)
            bits |= (uint64_t) !(scores[r * LA_ABOVE + l] <= limits[l]) << l;
        hits[r] = bits;
    }
}

void la_above(forage_isa isa, const float *scores, size_t rows, const float *limits, uint64_t *hits)
{
#if defined(__x86_64__)
    if (isa >= FORAGE_ISA_AVX512) {
        avx512_above(scores, rows, limits, hits);
        return;
    }
    if (isa >= FORAGE_ISA_AVX2) {
        avx2_above(scores, rows, limits, hits);
        return;
    }
#endif
    (void)isa;
    portable_above(scores, rows, limits, hits);
}
