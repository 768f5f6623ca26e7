/*
 * vectors.h: tables of vectors looked at from outside: how well groups of their rows are told apart, and where they lie
 * on a plane. All of it is about directions: rows are brought to length 1 first (rows of zeros stay).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVAL_VECTORS_H
#define EVAL_VECTORS_H

#include "forage/model.h"

/* Rows of unit length, [count x width]; forage_free *unit. */
forage_status eval_unit_rows(const forage_embedding *table, double **unit, forage_error *error);

/* Of the `k` nearest other rows of a row, by cosine (the first of equals), the share that are of its group; the mean
 * over all rows. NaN without other rows. */
forage_status eval_same_group(const double *unit, size_t count, size_t width, const uint32_t *group, size_t k,
                              double *share, forage_error *error);

/* The mean silhouette (Rousseeuw 1987) with Euclidean distances: (b - a) / max(a, b) with a the mean distance of a row
 * to those of its own group and b the least mean distance to those of another one; 0 for a row alone in its group. NaN
 * with fewer than two groups. Groups are below `groups`. */
forage_status eval_silhouette(const double *unit, size_t count, size_t width, const uint32_t *group, size_t groups,
                              double *mean, forage_error *error);

/* The plane of two principal components: the two directions in which rows vary most. */
typedef struct eval_plane {
    size_t width;
    double *centre; /* [width] mean of the rows */
    double *axes;   /* [2 x width] orthonormal; the number of largest magnitude is positive, which fixes the sign */
    double explained[2]; /* share of the variance along each */
} eval_plane;

forage_status eval_plane_fit(const double *unit, size_t count, size_t width, eval_plane *plane, forage_error *error);
void eval_plane_release(eval_plane *plane);
/* Where a row lies. */
void eval_plane_place(const eval_plane *plane, const double *row, double place[2]);

#endif
