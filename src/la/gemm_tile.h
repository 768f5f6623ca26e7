/*
 * gemm_tile.h: a product in registers, written once for every vector width.
 * The including file defines
 *   TILE_TARGET   the attribute that switches the instructions on
 *   TILE_VECTOR   the vector type, TILE_LANES floats wide
 *   TILE_WIDE     vectors side by side in a tile
 *   TILE_MASK     the type that selects lanes, and tile_mask(lanes)
 *   tile_zero, tile_load(p, mask), tile_store(p, mask, v), tile_fma(scalar, v, sum)
 *   TILE_NAME     the name of the resulting kernel
 *
 * A tile is up to TILE_ROWS rows of C by TILE_WIDE vectors; all of its sums stay in
 * registers while k runs. Each number of C is one chain of fused products in the order
 * of k, so a row of C does not depend on its place or on how many rows there are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

enum { TILE_ROWS = 6 };

/* One tile of `rows` x `vectors`; both are constants where this is inlined. The
 * last vector is cut to `mask`. */
TILE_TARGET static inline __attribute__((always_inline)) void
tile_run(const la_shape *s, size_t rows, size_t vectors, TILE_MASK mask, const float *a, const float *b, float *c)
{
    size_t row_step = s->transpose == LA_TN ? 1 : s->lda;
    size_t k_step = s->transpose == LA_TN ? s->lda : 1;
    TILE_VECTOR sum[TILE_ROWS][TILE_WIDE];
    TILE_MASK all = tile_mask(TILE_LANES);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < vectors; j++)
            sum[i][j] =
                s->accumulate ? tile_load(c + i * s->ldc + j * TILE_LANES, j + 1 < vectors ? all : mask) : tile_zero();
    }
    for (size_t k = 0; k < s->k; k++) {
        TILE_VECTOR right[TILE_WIDE];
        for (size_t j = 0; j < vectors; j++)
            right[j] = tile_load(b + k * s->ldb + j * TILE_LANES, j + 1 < vectors ? all : mask);
        for (size_t i = 0; i < rows; i++) {
            float left = a[i * row_step + k * k_step];
            for (size_t j = 0; j < vectors; j++)
                sum[i][j] = tile_fma(left, right[j], sum[i][j]);
        }
    }
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < vectors; j++)
            tile_store(c + i * s->ldc + j * TILE_LANES, j + 1 < vectors ? all : mask, sum[i][j]);
    }
}

/* One column of tiles: all rows of C, `vectors` vectors from column `j` on. */
TILE_TARGET static inline __attribute__((always_inline)) void
tile_column(const la_shape *s, size_t vectors, TILE_MASK mask, const float *a, const float *b, float *c)
{
    size_t row_step = s->transpose == LA_TN ? 1 : s->lda;
    size_t i = 0;
    for (; i + TILE_ROWS <= s->m; i += TILE_ROWS)
        tile_run(s, TILE_ROWS, vectors, mask, a + i * row_step, b, c + i * s->ldc);
    /* What is left over, with as many chains side by side as there can be. */
    if (i + 4 <= s->m) {
        tile_run(s, 4, vectors, mask, a + i * row_step, b, c + i * s->ldc);
        i += 4;
    }
    if (i + 2 <= s->m) {
        tile_run(s, 2, vectors, mask, a + i * row_step, b, c + i * s->ldc);
        i += 2;
    }
    if (i < s->m)
        tile_run(s, 1, vectors, mask, a + i * row_step, b, c + i * s->ldc);
}

TILE_TARGET void TILE_NAME(const la_gemm *gemm, const float *a, const float *b, float *c)
{
    const la_shape *s = &gemm->shape;
    size_t j = 0;
    for (; j + (size_t)TILE_WIDE * TILE_LANES <= s->n; j += (size_t)TILE_WIDE * TILE_LANES)
        tile_column(s, TILE_WIDE, tile_mask(TILE_LANES), a, b + j, c + j);
    for (; TILE_WIDE > 2 && j + (size_t)2 * TILE_LANES <= s->n; j += (size_t)2 * TILE_LANES)
        tile_column(s, 2, tile_mask(TILE_LANES), a, b + j, c + j);
    for (; j < s->n; j += TILE_LANES) {
        size_t left = s->n - j;
        tile_column(s, 1, tile_mask(left < TILE_LANES ? left : TILE_LANES), a, b + j, c + j);
    }
}
