/*
 * scan.c: what a search through a whole table of vectors does with each row.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/engines.h"

void la_dots(forage_isa isa, const float *rows, size_t pitch, size_t count, size_t width, const float *x, float *out)
{
    la_gemm gemm;
    const la_shape shape = {.m = count, .n = 1, .k = width, .lda = pitch, .ldb = 1, .ldc = 1};
    la_gemm_init(&gemm, la_engine_steady(isa), &shape);
    la_gemm_run(&gemm, rows, x, out);
}

void la_above(forage_isa isa, const float *scores, size_t rows, const float *limits, uint64_t *hits)
{
    (void)isa;
    for (size_t r = 0; r < rows; r++) {
        uint64_t bits = 0;
        for (size_t l = 0; l < LA_ABOVE; l++)
            bits |= (uint64_t) !(scores[r * LA_ABOVE + l] <= limits[l]) << l;
        hits[r] = bits;
    }
}
