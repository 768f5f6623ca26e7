/*
 * la.h: dense products of small fixed shapes, by the fastest kernel that the
 * device offers, products of sparse matrices, and the kernels of linear models. The face of the room `la` to other
 * rooms; users do not meet it.
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
    void (*part)(const la_gemm *gemm, const float *a, const float *b, float *c); /* of `run` where B is large */
    void (*generated[3])(const float *a, const float *b, float *c, ...);         /* libxsmm's code: see gemm.c */
};

/* Chooses the kernel for `shape`: that of `engine`, or, where it has none for
 * this shape, our own of the same instruction set. Nothing to release. */
void la_gemm_init(la_gemm *gemm, la_engine engine, const la_shape *shape);

/* C = A B (or C += A B), see la_transpose. `c` overlaps neither `a` nor `b`. */
static inline void la_gemm_run(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    gemm->run(gemm, a, b, c);
}

/* ------------------------------------------------------------------ *
 * Kernels of linear models: quadratic forms, rank-1 updates
 *
 * One table per instruction set. All are the same C, compiled for vectors of different
 * widths, with every sum in the same order: all of them give the same bytes. Nothing
 * is allocated; safe from any number of threads at once.
 *
 * A symmetric matrix of n rows is kept packed: its upper triangle row by row, n (n + 1) / 2
 * numbers. A triangular factor for scoring is kept in blocks of LA_LANES columns, see la_factor_size.
 * ------------------------------------------------------------------ */

enum { LA_LANES = 16 };

/* The next multiple of LA_LANES. */
static inline size_t la_padded(size_t width)
{
    return (width + LA_LANES - 1) / LA_LANES * LA_LANES;
}

/* Numbers of a packed symmetric matrix. */
static inline size_t la_packed(size_t n)
{
    return n * (n + 1) / 2;
}

/* Floats of an upper triangular factor of n columns for `forms`: block b has columns 16 b to 16 b + 15, row by row,
 * its first min(16 b + 16, n) rows; what is below the diagonal or beyond column n is 0. */
static inline size_t la_factor_size(size_t n)
{
    size_t blocks = la_padded(n) / LA_LANES;
    return blocks ? (blocks * (blocks - 1) / 2 * LA_LANES + n) * LA_LANES : 0;
}

/* Where row i of block b begins in such a factor. */
static inline size_t la_factor_at(size_t b, size_t i)
{
    return (b * (b + 1) / 2 * LA_LANES + i) * LA_LANES;
}

/* What `forms` computes: for each row f of `rows`
 *   square = |offset + factor' f|^2,  dot = weights' f */
typedef struct la_forms {
    size_t count, width;   /* rows, and numbers in each */
    const float *rows;     /* [count, width] */
    const float *factor;   /* upper triangular, width columns */
    const float *offsets;  /* [any, la_padded(width)], padded with 0 */
    const uint32_t *slots; /* [count] which of the offsets; NULL: always the first */
    const float *weights;  /* [width] */
} la_forms;

typedef struct la_kernels {
    /* out[i] = <rows + index[i] pitch, x>; pitch is a multiple of LA_LANES, what is beyond the width 0. */
    void (*dots)(const float *rows, size_t pitch, const uint32_t *index, size_t count, const float *x, float *out);
    /* dot and square may be NULL. A row comes out the same wherever it lies. */
    void (*forms)(const la_forms *forms, float *dot, float *square);
    /* out [pitch] = sum over i of x_i times row i of `matrix` [rows, pitch]; pitch is a multiple of LA_LANES. */
    void (*combine)(size_t rows, size_t pitch, const float *matrix, const float *x, float *out);
    /* out [la_padded(n)] = factor' x for an upper triangular factor in blocks. */
    void (*transform)(size_t n, const float *factor, const float *x, float *out);
    /* out = the packed x x' */
    void (*outer)(size_t n, const double *x, double *out);
    void (*outer_float)(size_t n, const float *x, float *out);
    /* y = m x for a packed m; returns x'y. */
    double (*multiply)(size_t n, const double *m, const double *x, double *y);
    /* y += a x */
    void (*add)(size_t n, double a, const double *x, double *y);
    /* <x, y> */
    double (*dot)(size_t n, const double *x, const double *y);
    /* out = x scale, number by number, rounded to float32. */
    void (*narrow)(size_t n, const double *x, const double *scale, float *out);
    /* column = ratio (column + lambda gain), gain += v column (of before): one column of la_factor_measure. */
    void (*measure)(size_t n, double ratio, double lambda, double v, double *column, double *gain);
} la_kernels;

/* The table for `isa` (never NULL). */
const la_kernels *la_kernels_for(forage_isa isa);

/* ------------------------------------------------------------------ *
 * Searching a table of vectors
 * ------------------------------------------------------------------ */

/* out[i] = <row i, x>, rows being `width` floats and `pitch` apart: the very bytes of that product by
 * la_engine_steady(isa), whatever its shape. */
void la_dots(forage_isa isa, const float *rows, size_t pitch, size_t count, size_t width, const float *x, float *out);

enum { LA_ABOVE = 64 };

/* Which of LA_ABOVE lanes exceed their limit, row by row: bit l of hits[r] says whether scores[LA_ABOVE r + l] >
 * limits[l], or one of the two is NaN. */
void la_above(forage_isa isa, const float *scores, size_t rows, const float *limits, uint64_t *hits);

/* ------------------------------------------------------------------ *
 * Sparse matrices times dense ones
 * ------------------------------------------------------------------ */

/* A sparse matrix in compressed rows: row r has values[e] in column columns[e] for e from offsets[r] up to
 * offsets[r + 1]. Borrowed. */
typedef struct la_csr {
    size_t rows;
    const size_t *offsets;
    const uint32_t *columns;
    const float *values;
} la_csr;

/* out = scale (add + A in), row by row. Dense rows are `width` floats, a multiple of LA_LANES, one behind the other.
 * Everything is borrowed; `out` overlaps neither `in` nor the matrix, and may be `add`. */
typedef struct la_spmm {
    la_csr matrix;
    size_t width;
    const float *in;  /* [columns, width]; with slots [any, width] */
    const float *add; /* as `out`; NULL: zero */
    float *out;       /* [rows, width]; with a list [list_count, width] */
    float scale;
    const uint32_t *list; /* only these rows of A, row list[i] to row i of `out`; NULL: all */
    size_t list_count;
    const uint32_t *slots; /* column c is row slots[c] of `in`; FORAGE_NONE: zero. NULL: c itself */
} la_spmm;

/* The whole product on up to `threads` threads, in chunks of about equal work. Each number is summed in the order of
 * its row's columns, and every product and sum is rounded: the same bytes for any number of threads and any `isa`. */
void la_spmm_run(const la_spmm *task, forage_isa isa, int threads);
/* Rows [begin, end) of the result, on this thread, to `out` [end - begin, width] instead of task->out. */
void la_spmm_part(const la_spmm *task, forage_isa isa, size_t begin, size_t end, float *out);
/* Cuts a matrix into chunks of about equal work, the same whatever runs them: how many, and the first row of one (of
 * the number of chunks: all rows). For loops of one's own over la_spmm_part. */
size_t la_csr_chunks(const la_csr *matrix);
size_t la_csr_chunk(const la_csr *matrix, size_t chunk);

/* Symmetric positive definite matrices in double precision, packed as above. */

/* Overwrites a = L L' by R = L', its packed upper triangular factor. False, with `a` spoilt, when it is not (by more
 * than rounding) positive definite. */
bool la_cholesky(size_t n, double *a);
/* Overwrites the packed upper triangular R by its inverse, upper triangular too. */
void la_triangle_invert(size_t n, double *r);
/* out = r r' (packed) for a packed upper triangular r: with r the inverse of R it is the inverse of R'R. */
void la_triangle_square(size_t n, const double *r, double *out);

/* A factor C of a covariance C C', upper triangular, packed by columns: column j has j + 1 numbers. The covariance
 * takes in one measurement z' beta = y with weight `weight` (1 / variance; negative: takes it back) as in Carlson
 * (1973, "Fast triangular formulation of the square root filter"): O(n^2), and positive definite whatever is rounded.
 * `gain` [n] is C C' z, of before; *innovation = 1 / weight + z' C C' z, so that beta += gain (y - z' beta) /
 * innovation. Returns false, and changes nothing, when taking back would leave nothing. `product` [n] is scratch. */
bool la_factor_measure(const la_kernels *kernels, size_t n, double *factor, const double *z, double weight,
                       double *gain, double *product, double *innovation);

/* x[n] := a^-1 x for a symmetric positive definite a[n, pitch], of which the part on and above the diagonal is looked
 * at and all is spoilt; pitch is a multiple of LA_LANES, and what lies beyond column n finite. Single precision, n^3 /
 * 3 operations. A pivot that is not positive, or vanishes beside the greatest element, is raised to 1e-7 of that: the
 * answer is then that for a slightly greater matrix. The same bytes for every `isa`. */
void la_solve(forage_isa isa, size_t n, size_t pitch, float *a, float *x);

/* out = x'x, packed, for x[rows, pitch] of `width` columns. `scratch`: la_gram_scratch(width) floats for each thread,
 * aligned to 64. The same bytes for any number of threads. */
void la_gram(forage_isa isa, int threads, const float *x, size_t rows, size_t width, size_t pitch, float *scratch,
             double *out);
/* A multiple of LA_LANES. */
size_t la_gram_scratch(size_t width);

/* All eigenvalues of a packed symmetric matrix `a`, which is spoilt: values[n], falling, and their orthonormal vectors
 * as rows of vectors[n, n]. `scratch` [3 n]. About 7 n^3 operations. False if a number is not finite. */
bool la_eigen(const la_kernels *kernels, size_t n, double *a, double *values, double *vectors, double *scratch);

/* ------------------------------------------------------------------ *
 * The largest singular values of a sparse matrix
 * ------------------------------------------------------------------ */

typedef struct la_svd_task {
    la_csr matrix;     /* A, with no more rows than columns; borrowed */
    la_csr transposed; /* A' */
    size_t rank;       /* how many are sought, at least 1 */
    uint64_t seed;     /* of the space to begin with */
    forage_isa isa;
    int threads;
} la_svd_task;

/* Where a decomposition stands. */
enum { LA_SVD_ROUND, LA_SVD_DEGREE, LA_SVD_STEP, LA_SVD_WIDTH, LA_SVD_PLACES };

/* A decomposition under way, for the caller to look at. To go on from one that was saved, fill the first four members
 * of one that was just created for the same task. Same task, same bytes, for any number of threads. */
typedef struct la_svd {
    uint64_t place[LA_SVD_PLACES];
    float *block, *previous; /* [rows, pitch] */
    double *values;          /* [pitch] estimates of the largest squared singular values, falling */
    size_t pitch;
    bool last; /* set it when there is no more time: the next step finishes, with what there is by then */
    bool finished;
    size_t rank; /* when finished: how many there are, fewer than sought in a matrix of lower rank */
    double left; /* the error that values may still have, as a part of them */

    la_svd_task task;
    double edge;
    float *image, *turn, *scratch; /* the transpose times the block; a small matrix; of each thread */
    double *gram, *vectors, *small;
} la_svd;

/* Columns of the block for `rank` of a matrix of `rows`: memory is 4 (2 rows + columns) of them bytes, and some
 * matrices of their square. */
size_t la_svd_width(size_t rows, size_t rank);
forage_status la_svd_create(const la_svd_task *task, la_svd **svd, forage_error *error);
/* NULL is fine. */
void la_svd_free(la_svd *svd);
/* A bounded piece of work: two sparse products of the whole block, or the dense ones between. False when numbers are
 * not finite, or all zero. */
bool la_svd_step(la_svd *svd);
/* After the first four members were filled in from a file: false if they cannot be. */
bool la_svd_restore(la_svd *svd);
/* When finished: the left singular vectors, out[rows, pitch], or the right ones, out[columns, pitch], in the order of
 * their values; column svd->rank and beyond is 0. */
void la_svd_vectors(const la_svd *svd, bool right, size_t pitch, float *out);

#endif
