/*
 * gemm_xsmm.c: the product by code that libxsmm generates for the very shape.
 *
 * libxsmm is column-major: our row-major C = A B is its C^T = B^T A^T, so the
 * operands change places and no matrix is moved.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/engines.h"

#ifdef FORAGE_WITH_LIBXSMM
#include <libxsmm.h>
#include <pthread.h>

static int target; /* what it generates for; 0: nothing */

/* Where it got no memory for its registry, generating would crash. */
static void look(void)
{
    libxsmm_registry_info info;
    libxsmm_init();
    target = libxsmm_get_registry_info(&info) == EXIT_SUCCESS ? libxsmm_get_target_archid() : 0;
}

bool la_xsmm_available(forage_isa isa)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, look);
    /* It generates for the best that the CPU has; a device held to less must not get that. */
    if (target >= LIBXSMM_X86_AVX512)
        return isa >= FORAGE_ISA_AVX512;
    return target >= LIBXSMM_X86_AVX2 && isa >= FORAGE_ISA_AVX2;
}

bool la_xsmm_generate(la_gemm *gemm, size_t which, size_t k, bool accumulate)
{
    const la_shape *s = &gemm->shape;
    if (s->m == 0 || s->n == 0 || k == 0 || s->m > 4096 || s->n > 4096 || k > 4096)
        return false;
    libxsmm_blasint lda = (libxsmm_blasint)s->ldb, ldb = (libxsmm_blasint)s->lda, ldc = (libxsmm_blasint)s->ldc;
    float alpha = 1.0F, beta = accumulate ? 1.0F : 0.0F;
    int flags = s->transpose == LA_TN ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;
    gemm->generated[which] = libxsmm_smmdispatch((libxsmm_blasint)s->n, (libxsmm_blasint)s->m, (libxsmm_blasint)k, &lda,
                                                 &ldb, &ldc, &alpha, &beta, &flags, NULL);
    return gemm->generated[which] != NULL;
}

void la_gemm_xsmm(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    gemm->generated[0](b, a, c);
}

void la_gemm_xsmm_panels(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    const la_shape *s = &gemm->shape;
    size_t k_step = s->transpose == LA_TN ? s->lda : 1, k = 0;
    for (; k + LA_PANEL <= s->k; k += LA_PANEL)
        gemm->generated[k > 0](b + k * s->ldb, a + k * k_step, c);
    if (k < s->k)
        gemm->generated[2](b + k * s->ldb, a + k * k_step, c);
}
#else
bool la_xsmm_available(forage_isa isa)
{
    (void)isa;
    return false;
}

bool la_xsmm_generate(la_gemm *gemm, size_t which, size_t k, bool accumulate)
{
    (void)gemm;
    (void)which;
    (void)k;
    (void)accumulate;
    return false;
}

void la_gemm_xsmm(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    la_gemm_portable(gemm, a, b, c);
}

void la_gemm_xsmm_panels(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    la_gemm_portable(gemm, a, b, c);
}
#endif
