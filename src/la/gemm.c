/*
 * gemm.c: the table of engines, and the plain C product that is the reference.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/engines.h"

static const char *const names[] = {
#define LA_ENGINE_NAME(name, text) text,
    LA_ENGINE_LIST(LA_ENGINE_NAME)
#undef LA_ENGINE_NAME
};

const char *la_engine_name(la_engine engine)
{
    return (unsigned)engine < LA_ENGINE_COUNT ? names[engine] : "unknown";
}

bool la_engine_available(la_engine engine, forage_isa isa)
{
    switch (engine) {
    case LA_PORTABLE:
        return true;
#if defined(__x86_64__)
    case LA_AVX2:
        return isa >= FORAGE_ISA_AVX2;
    case LA_AVX512:
        return isa >= FORAGE_ISA_AVX512;
    case LA_BLAS: /* it looks at the CPU itself, so it cannot be held to less */
        return la_blas_available() && isa > FORAGE_ISA_PORTABLE;
#else
    case LA_BLAS:
        return la_blas_available();
#endif
    case LA_XSMM:
        return la_xsmm_available(isa);
    default:
        return false;
    }
}

la_engine la_engine_best(forage_isa isa)
{
    static const la_engine order[] = {LA_XSMM, LA_AVX512, LA_AVX2, LA_BLAS};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (la_engine_available(order[i], isa))
            return order[i];
    }
    return LA_PORTABLE;
}

la_engine la_engine_steady(forage_isa isa)
{
    if (la_engine_available(LA_AVX512, isa))
        return LA_AVX512;
    return la_engine_available(LA_AVX2, isa) ? LA_AVX2 : LA_PORTABLE;
}

/* The order of the sums is that of k, which is what the other engines do too. */
void la_gemm_portable(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    const la_shape *s = &gemm->shape;
    size_t row_step = s->transpose == LA_TN ? 1 : s->lda;
    size_t k_step = s->transpose == LA_TN ? s->lda : 1;
    for (size_t i = 0; i < s->m; i++) {
        float *row = c + i * s->ldc;
        if (!s->accumulate) {
            for (size_t j = 0; j < s->n; j++)
                row[j] = 0.0F;
        }
        for (size_t k = 0; k < s->k; k++) {
            float left = a[i * row_step + k * k_step];
            const float *right = b + k * s->ldb;
            for (size_t j = 0; j < s->n; j++)
                row[j] += left * right[j];
        }
    }
}

void la_gemm_init(la_gemm *gemm, la_engine engine, const la_shape *shape)
{
    *gemm = (la_gemm){.shape = *shape, .engine = engine, .run = la_gemm_portable};
    if (engine == LA_XSMM) {
        if (la_xsmm_generate(gemm)) {
            gemm->run = la_gemm_xsmm;
            return;
        }
        forage_isa isa = la_xsmm_available(FORAGE_ISA_AVX512) ? FORAGE_ISA_AVX512 : FORAGE_ISA_AVX2;
        gemm->engine = isa == FORAGE_ISA_AVX512 ? LA_AVX512 : LA_AVX2;
    }
    switch (gemm->engine) {
#if defined(__x86_64__)
    case LA_AVX512:
        gemm->run = la_gemm_avx512;
        break;
    case LA_AVX2:
        gemm->run = la_gemm_avx2;
        break;
#endif
    case LA_BLAS:
        if (la_blas_available())
            gemm->run = la_gemm_blas;
        break;
    default:
        gemm->engine = LA_PORTABLE;
        break;
    }
}
