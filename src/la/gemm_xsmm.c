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

bool la_xsmm_generate(la_gemm *gemm)
{
    const la_shape *s = &gemm->shape;
    if (s->m == 0 || s->n == 0 || s->k == 0 || s->m > 4096 || s->n > 4096 || s->k > 4096)
        return false;
    libxsmm_blasint lda = (libxsmm_blasint)s->ldb, ldb = (libxsmm_blasint)s->lda, ldc = (libxsmm_blasint)s->ldc;
    float alpha = 1.0F, beta = s->accumulate ? 1.0F : 0.0F;
    int flags = s->transpose == LA_TN ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;
    gemm->generated = libxsmm_smmdispatch((libxsmm_blasint)s->n, (libxsmm_blasint)s->m, (libxsmm_blasint)s->k, &lda,
                                          &ldb, &ldc, &alpha, &beta, &flags, NULL);
    return gemm->generated != NULL;
}

void la_gemm_xsmm(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    gemm->generated(b, a, c);
}
#else
bool la_xsmm_available(forage_isa isa)
{
    (void)isa;
    return false;
}

bool la_xsmm_generate(la_gemm *gemm)
{
    (void)gemm;
    return false;
}

void la_gemm_xsmm(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    la_gemm_portable(gemm, a, b, c);
}
#endif
