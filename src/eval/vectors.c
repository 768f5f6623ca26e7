/*
 * vectors.c: tables of vectors looked at from outside.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/vectors.h"

#include <math.h>
#include <string.h>

#include "la/la.h"

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to look at vectors");
}

forage_status eval_unit_rows(const forage_embedding *table, double **unit, forage_error *error)
{
    size_t width = table->width;
    *unit = forage_alloc(table->count, width * sizeof **unit);
    if (!*unit)
        return no_memory(error);
    for (size_t i = 0; i < table->count; ++i) {
        double *row = *unit + i * width, squares = 0;
        for (size_t j = 0; j < width; ++j) {
            row[j] = (double)table->values[i * table->pitch + j];
            squares += row[j] * row[j];
        }
        for (size_t j = 0; squares > 0 && j < width; ++j)
            row[j] /= sqrt(squares);
    }
    return FORAGE_OK;
}

static double dot(const double *a, const double *b, size_t width)
{
    double sum = 0;
    for (size_t j = 0; j < width; ++j)
        sum += a[j] * b[j];
    return sum;
}

/* ------------------------------------------------------------------ *
 * Groups
 * ------------------------------------------------------------------ */

/* The rows nearest to one, nearest first: at most `k` of them, other than itself. */
static size_t nearest(const double *unit, size_t count, size_t width, size_t row, size_t k, uint32_t *best,
                      double *cosine)
{
    size_t found = 0;
    for (size_t i = 0; i < count; ++i) {
        double here = i == row ? -INFINITY : dot(unit + row * width, unit + i * width, width);
        if (i == row || (found == k && !(here > cosine[k - 1])))
            continue;
        size_t at = found < k ? found++ : k - 1;
        for (; at > 0 && here > cosine[at - 1]; --at) {
            best[at] = best[at - 1];
            cosine[at] = cosine[at - 1];
        }
        best[at] = (uint32_t)i;
        cosine[at] = here;
    }
    return found;
}

forage_status eval_same_group(const double *unit, size_t count, size_t width, const uint32_t *group, size_t k,
                              double *share, forage_error *error)
{
    uint32_t *best = forage_alloc(k, sizeof *best);
    double *cosine = forage_alloc(k, sizeof *cosine), sum = 0;
    *share = NAN;
    if (best && cosine) {
        for (size_t row = 0; row < count; ++row) {
            size_t same = 0, found = nearest(unit, count, width, row, k, best, cosine);
            for (size_t i = 0; i < found; ++i)
                same += group[best[i]] == group[row];
            sum += found ? (double)same / (double)found : (double)NAN;
        }
        *share = count ? sum / (double)count : (double)NAN;
    }
    bool failed = !best || !cosine;
    forage_free(best);
    forage_free(cosine);
    return failed ? no_memory(error) : FORAGE_OK;
}

/* Of one row, from the sums of its distances to the rows of each group. */
static double silhouette_of(const double *sums, const size_t *sizes, size_t groups, uint32_t own)
{
    double other = INFINITY;
    if (sizes[own] < 2)
        return 0;
    for (size_t g = 0; g < groups; ++g)
        if (g != own && sizes[g] > 0)
            other = fmin(other, sums[g] / (double)sizes[g]);
    double inner = sums[own] / (double)(sizes[own] - 1), most = fmax(inner, other);
    return most > 0 ? (other - inner) / most : 0;
}

forage_status eval_silhouette(const double *unit, size_t count, size_t width, const uint32_t *group, size_t groups,
                              double *mean, forage_error *error)
{
    double *sums = forage_alloc(groups, sizeof *sums), sum = 0;
    size_t *sizes = forage_calloc(groups, sizeof *sizes), there = 0;
    bool failed = !sums || !sizes;
    for (size_t i = 0; !failed && i < count; ++i)
        there += sizes[group[i]]++ == 0;
    for (size_t row = 0; !failed && there > 1 && row < count; ++row) {
        memset(sums, 0, groups * sizeof *sums);
        for (size_t i = 0; i < count; ++i) {
            double squares = 0;
            for (size_t j = 0; j < width; ++j) {
                double difference = unit[row * width + j] - unit[i * width + j];
                squares += difference * difference;
            }
            sums[group[i]] += sqrt(squares);
        }
        sum += silhouette_of(sums, sizes, groups, group[row]);
    }
    *mean = there > 1 ? sum / (double)count : (double)NAN;
    forage_free(sums);
    forage_free(sizes);
    return failed ? no_memory(error) : FORAGE_OK;
}

/* ------------------------------------------------------------------ *
 * The plane
 * ------------------------------------------------------------------ */

/* The covariance of the rows, packed. */
static void covariance(const double *unit, size_t count, size_t width, const double *centre, double *packed)
{
    memset(packed, 0, la_packed(width) * sizeof *packed);
    for (size_t i = 0; i < count; ++i) {
        const double *row = unit + i * width;
        double *to = packed;
        for (size_t a = 0; a < width; ++a)
            for (size_t b = a; b < width; ++b)
                *to++ += (row[a] - centre[a]) * (row[b] - centre[b]) / (double)count;
    }
}

/* The two axes out of all eigenvectors, falling. */
static void take_axes(const double *values, const double *vectors, eval_plane *plane)
{
    size_t width = plane->width;
    double all = 0;
    for (size_t j = 0; j < width; ++j)
        all += fmax(0, values[j]);
    for (size_t a = 0; a < 2; ++a) {
        const double *vector = vectors + a * width;
        size_t most = 0;
        for (size_t j = 1; a < width && j < width; ++j)
            most = fabs(vector[j]) > fabs(vector[most]) ? j : most;
        for (size_t j = 0; a < width && j < width; ++j)
            plane->axes[a * width + j] = vector[most] < 0 ? -vector[j] : vector[j];
        plane->explained[a] = a < width && all > 0 ? fmax(0, values[a]) / all : 0;
    }
}

forage_status eval_plane_fit(const double *unit, size_t count, size_t width, eval_plane *plane, forage_error *error)
{
    *plane = (eval_plane){.width = width,
                          .centre = forage_calloc(width, sizeof *plane->centre),
                          .axes = forage_calloc(2 * width, sizeof *plane->axes)};
    double *packed = forage_alloc(la_packed(width), sizeof *packed);
    double *values = forage_alloc(width, sizeof *values), *scratch = forage_alloc(3 * width, sizeof *scratch);
    double *vectors = forage_alloc(width, width * sizeof *vectors);
    forage_status status = FORAGE_OK;
    if (!plane->centre || !plane->axes || !packed || !values || !vectors || !scratch) {
        status = no_memory(error);
        goto end;
    }
    for (size_t i = 0; i < count; ++i)
        for (size_t j = 0; j < width; ++j)
            plane->centre[j] += unit[i * width + j] / (double)count;
    covariance(unit, count, width, plane->centre, packed);
    if (la_eigen(la_kernels_for(FORAGE_ISA_PORTABLE), width, packed, values, vectors, scratch))
        take_axes(values, vectors, plane);
    else
        status = forage_fail(error, FORAGE_DIVERGED, "the vectors have numbers that are not finite");
end:
    forage_free(packed);
    forage_free(values);
    forage_free(scratch);
    forage_free(vectors);
    if (status != FORAGE_OK)
        eval_plane_release(plane);
    return status;
}

void eval_plane_release(eval_plane *plane)
{
    forage_free(plane->centre);
    forage_free(plane->axes);
    *plane = (eval_plane){0};
}

void eval_plane_place(const eval_plane *plane, const double *row, double place[2])
{
    for (size_t a = 0; a < 2; ++a) {
        place[a] = 0;
        for (size_t j = 0; j < plane->width; ++j)
            place[a] += plane->axes[a * plane->width + j] * (row[j] - plane->centre[j]);
    }
}
