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

/* A kernel goes through all of B for every few rows of C. Where B does not stay in a core's cache beside other things,
 * its rows are taken LA_PANEL at a time, for all rows of C each. */
enum { LARGE_FLOATS = 1 << 17, FEW_ROWS = 12 };

static bool by_panels(const la_shape *s)
{
    return s->k > LA_PANEL && s->m > FEW_ROWS && s->k > LARGE_FLOATS / (s->n ? s->n : 1);
}

/* The sums go on where the last panel left them, so the bytes are those of the product in one piece. */
static void run_panels(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    const la_shape *s = &gemm->shape;
    size_t k_step = s->transpose == LA_TN ? s->lda : 1;
    la_gemm part = *gemm;
    for (size_t k = 0; k < s->k; k += LA_PANEL) {
        part.shape.k = s->k - k < LA_PANEL ? s->k - k : LA_PANEL;
        part.shape.accumulate = s->accumulate || k > 0;
        gemm->part(&part, a + k * k_step, b + k * s->ldb, c);
    }
}

/* libxsmm's code for the first panel, those behind it, and what is left. */
static bool generate(la_gemm *gemm)
{
    const la_shape *s = &gemm->shape;
    if (!by_panels(s)) {
        gemm->run = la_gemm_xsmm;
        return la_xsmm_generate(gemm, 0, s->k, s->accumulate);
    }
    gemm->run = la_gemm_xsmm_panels;
    return la_xsmm_generate(gemm, 0, LA_PANEL, s->accumulate) && la_xsmm_generate(gemm, 1, LA_PANEL, true) &&
           (s->k % LA_PANEL == 0 || la_xsmm_generate(gemm, 2, s->k % LA_PANEL, true));
}

void la_gemm_init(la_gemm *gemm, la_engine engine, const la_shape *shape)
{
    *gemm = (la_gemm){.shape = *shape, .engine = engine, .run = la_gemm_portable};
    if (engine == LA_XSMM) {
        if (generate(gemm))
            return;
        forage_isa isa = la_xsmm_available(FORAGE_ISA_AVX512) ? FORAGE_ISA_AVX512 : FORAGE_ISA_AVX2;
        gemm->engine = isa == FORAGE_ISA_AVX512 ? LA_AVX512 : LA_AVX2;
        gemm->run = la_gemm_portable;
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
    if ((gemm->engine == LA_AVX512 || gemm->engine == LA_AVX2) && by_panels(shape)) {
        gemm->part = gemm->run;
        gemm->run = run_panels;
    }
}
