/*
 * la.h: dense products of small fixed shapes, by the fastest kernel that the
 * device offers. The face of the room `la` to other rooms; users do not meet it.
 *
 * A product is looked up once (la_gemm_init: which may generate code) and then
 * run many times; running allocates nothing and is safe from any number of
 * threads at once. Matrices are row-major float32.
 *
 * Engines: a plain C kernel is the reference and always there; AVX2 and AVX-512
 * kernels of our own; OpenBLAS and libxsmm where they were found at build time.
 * One engine gives the same bytes every time; two engines differ by rounding.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LA_LA_H
#define LA_LA_H

#include "forage/base.h"

/* One list makes the enum and the names. */
#define LA_ENGINE_LIST(X)  \
    X(PORTABLE, "plain C") \
    X(AVX2, "AVX2")        \
    X(AVX512, "AVX-512")   \
    X(BLAS, "OpenBLAS")    \
    X(XSMM, "libxsmm")

typedef enum la_engine {
#define LA_ENGINE_ENUM(name, text) LA_##name,
    LA_ENGINE_LIST(LA_ENGINE_ENUM)
#undef LA_ENGINE_ENUM
        LA_ENGINE_COUNT,
} la_engine;

/* "libxsmm" */
const char *la_engine_name(la_engine engine);
/* Whether this build and this CPU can run it within `isa`. */
bool la_engine_available(la_engine engine, forage_isa isa);
/* The fastest that is available within `isa`. */
la_engine la_engine_best(forage_isa isa);
/* Our own kernel for `isa`: a little slower than libxsmm, but a row of C comes out the same
 * wherever it lies and however many rows there are, which the others do not promise. */
la_engine la_engine_steady(forage_isa isa);

typedef enum la_transpose {
    LA_NN, /* C[m,n] = A[m,k] B[k,n] */
    LA_TN, /* C[m,n] = A[k,m]^T B[k,n] */
} la_transpose;

/* The shape of a product. Leading dimensions count elements from one row to the next. */
typedef struct la_shape {
    la_transpose transpose;
    size_t m, n, k;
    size_t lda, ldb, ldc;
    bool accumulate; /* C += instead of C = */
} la_shape;

typedef struct la_gemm la_gemm;
struct la_gemm {
    la_shape shape;
    la_engine engine;
    void (*run)(const la_gemm *gemm, const float *a, const float *b, float *c);
    void (*generated)(const float *a, const float *b, float *c, ...); /* libxsmm's code */
};

/* Chooses the kernel for `shape`: that of `engine`, or, where it has none for
 * this shape, our own of the same instruction set. Nothing to release. */
void la_gemm_init(la_gemm *gemm, la_engine engine, const la_shape *shape);

/* C = A B (or C += A B), see la_transpose. `c` overlaps neither `a` nor `b`. */
static inline void la_gemm_run(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    gemm->run(gemm, a, b, c);
}

#endif
