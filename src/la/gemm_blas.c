/*
 * gemm_blas.c: the product by OpenBLAS, one thread per call (parallel work lies above).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/engines.h"

#ifdef FORAGE_WITH_OPENBLAS
#include <cblas.h>
#include <pthread.h>

static void one_thread(void)
{
    openblas_set_num_threads(1);
}

bool la_blas_available(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, one_thread);
    return true;
}

void la_gemm_blas(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    const la_shape *s = &gemm->shape;
    cblas_sgemm(CblasRowMajor, s->transpose == LA_TN ? CblasTrans : CblasNoTrans, CblasNoTrans, (blasint)s->m,
                (blasint)s->n, (blasint)s->k, 1.0F, a, (blasint)s->lda, b, (blasint)s->ldb, s->accumulate ? 1.0F : 0.0F,
                c, (blasint)s->ldc);
}
#else
bool la_blas_available(void)
{
    return false;
}

void la_gemm_blas(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    la_gemm_portable(gemm, a, b, c);
}
#endif
