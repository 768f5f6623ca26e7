/*
 * scan_body.h: kernels of a search through a table of vectors, written once for every vector width.
 * The including file defines
 *   SCAN_TARGET   the attribute that switches the instructions on
 *   SCAN(name)    the names of the kernels
 *   SCAN_VECTOR   the vector type, SCAN_LANES floats wide, and of the intrinsics on it:
 *   SCAN_LOW, SCAN_HIGH, SCAN_LOW_PAIRS, SCAN_HIGH_PAIRS   interleave two vectors within every four lanes
 *   SCAN_LOAD, SCAN_FMA, SCAN_SET, SCAN_STORE
 *   SCAN_ABOVE(s, l)         bits: not s <= l
 *   SCAN(four)(p, step)      four lanes from p, four from p + step, and so on
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* out[i] = <row i, x> for SCAN_LANES rows: lane i is row i, and each lane one chain of fused products in the order of
 * the columns, as in gemm_tile.h. Four columns of four rows at a time are turned in registers. */
SCAN_TARGET static inline void SCAN(dots)(const float *rows, size_t pitch, size_t width, const float *x, float *out)
{
    SCAN_VECTOR sum = SCAN_SET(0.0F);
    for (size_t k = 0; k + 4 <= width; k += 4) {
        SCAN_VECTOR first = SCAN(four)(rows + k, 4 * pitch), second = SCAN(four)(rows + pitch + k, 4 * pitch);
        SCAN_VECTOR third = SCAN(four)(rows + 2 * pitch + k, 4 * pitch);
        SCAN_VECTOR fourth = SCAN(four)(rows + 3 * pitch + k, 4 * pitch);
        SCAN_VECTOR low = SCAN_LOW(first, second), low_after = SCAN_LOW(third, fourth);
        SCAN_VECTOR high = SCAN_HIGH(first, second), high_after = SCAN_HIGH(third, fourth);
        sum = SCAN_FMA(SCAN_LOW_PAIRS(low, low_after), SCAN_SET(x[k]), sum);
        sum = SCAN_FMA(SCAN_HIGH_PAIRS(low, low_after), SCAN_SET(x[k + 1]), sum);
        sum = SCAN_FMA(SCAN_LOW_PAIRS(high, high_after), SCAN_SET(x[k + 2]), sum);
        sum = SCAN_FMA(SCAN_HIGH_PAIRS(high, high_after), SCAN_SET(x[k + 3]), sum);
    }
    for (size_t k = width / 4 * 4; k < width; k++) {
        float column[SCAN_LANES];
        for (size_t i = 0; i < SCAN_LANES; i++)
            column[i] = rows[i * pitch + k];
        sum = SCAN_FMA(SCAN_LOAD(column), SCAN_SET(x[k]), sum);
    }
    SCAN_STORE(out, sum);
}

/* Whole groups of SCAN_LANES rows; returns how many rows that were. */
SCAN_TARGET static size_t SCAN(all_dots)(const float *rows, size_t pitch, size_t count, size_t width, const float *x,
                                         float *out)
{
    size_t i = 0;
    for (; i + SCAN_LANES <= count; i += SCAN_LANES)
        SCAN(dots)(rows + i * pitch, pitch, width, x, out + i);
    return i;
}

SCAN_TARGET static void SCAN(above)(const float *scores, size_t rows, const float *limits, uint64_t *hits)
{
    SCAN_VECTOR limit[LA_ABOVE / SCAN_LANES];
    for (size_t v = 0; v < LA_ABOVE / SCAN_LANES; v++)
        limit[v] = SCAN_LOAD(limits + v * SCAN_LANES);
    for (size_t r = 0; r < rows; r++) {
        uint64_t bits = 0;
        for (size_t v = 0; v < LA_ABOVE / SCAN_LANES; v++)
            bits |= (uint64_t)SCAN_ABOVE(SCAN_LOAD(scores + r * LA_ABOVE + v * SCAN_LANES), limit[v]) << v * SCAN_LANES;
        hits[r] = bits;
    }
}

#undef SCAN_TARGET
#undef SCAN
#undef SCAN_VECTOR
#undef SCAN_LANES
#undef SCAN_LOW
#undef SCAN_HIGH
#undef SCAN_LOW_PAIRS
#undef SCAN_HIGH_PAIRS
#undef SCAN_LOAD
#undef SCAN_FMA
#undef SCAN_SET
#undef SCAN_STORE
#undef SCAN_ABOVE
