/*
 * engines.h: what the engines of la show to each other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LA_ENGINES_H
#define LA_ENGINES_H

#include "la/la.h"

/* One kernel per engine; all compute what la_transpose says. */
void la_gemm_portable(const la_gemm *gemm, const float *a, const float *b, float *c);
#if defined(__x86_64__)
void la_gemm_avx2(const la_gemm *gemm, const float *a, const float *b, float *c);
void la_gemm_avx512(const la_gemm *gemm, const float *a, const float *b, float *c);
#endif

/* OpenBLAS: stubs that say no where it was not found. */
bool la_blas_available(void);
void la_gemm_blas(const la_gemm *gemm, const float *a, const float *b, float *c);

/* Rows of B that a product takes at a time where B is large. */
enum { LA_PANEL = 64 };

/* libxsmm: the instruction set it would generate code for, and the code itself
 * (false where it has none for this shape). */
bool la_xsmm_available(forage_isa isa);
/* To generated[which]: the shape's, but for k and accumulate. */
bool la_xsmm_generate(la_gemm *gemm, size_t which, size_t k, bool accumulate);
void la_gemm_xsmm(const la_gemm *gemm, const float *a, const float *b, float *c);
/* The same by panels: generated[0] for the first, [1] for those behind it, [2] for what is left. */
void la_gemm_xsmm_panels(const la_gemm *gemm, const float *a, const float *b, float *c);

#endif
