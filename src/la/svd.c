/*
 * svd.c: the largest singular values of a sparse matrix and their vectors, by subspace iteration with Chebyshev filters
 * (Rutishauser 1970, "Simultaneous iteration method for symmetric matrices"; Zhou, Saad, Tiago and Chelikowsky 2006,
 * "Self-consistent-field calculations using Chebyshev-filtered subspace iteration").
 *
 * Sought is the space of the `rank` largest eigenvalues of A A'. A block X of more columns than that (random at
 * first) is, in turns,
 *
 *   settled   X := an orthonormal basis of its space for which X' A A' X is diagonal: estimates of the eigenvalues, the
 *             least of which is `edge`;
 *   filtered  X := T_m(2 A A' / edge - 1) X. The Chebyshev polynomial T_m stays within [-1, 1] on [0, edge], where the
 *             unwanted eigenvalues lie, and grows fast above: they shrink against the sought ones.
 *
 * A round divides the error of an estimate by about the square of the filter's gain at the least eigenvalue sought, so
 * how much the last round changed tells how much there is left. The degree m keeps the gain at the largest eigenvalue
 * below GREATEST_GAIN: rounding is magnified by it, too.
 *
 * All that is large is a sparse product of the whole block, or dense products of chunks of rows with fixed bounds: the
 * same bytes for any number of threads. Small dense matrices are in double precision.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/la.h"

#include <math.h>
#include <string.h>

enum {
    ROWS = 128, /* of a dense product at a time */
    MOST_DEGREE = 10,
    FIRST_DEGREE = 2, /* of the first filter: a random block underestimates the largest eigenvalue by far */
    MOST_ROUNDS = 40, /* where singular values lie so close together that nothing tells them apart */
};

static const double GREATEST_GAIN = 1e9;
/* Errors and changes of eigenvalues, as parts of them: what may be left; what a round may change for such an error to
 * be foretold from it; what is no change at all but rounding. */
static const double TOLERANCE = 1e-7, SMALL_CHANGE = 1e-3, NO_CHANGE = 1e-6;
static const double LEAST_SHARE = 1e-6; /* of the largest eigenvalue of a Gram matrix: below is rounding */
static const double LEAST_VALUE = 1e-6; /* of the largest eigenvalue: below is rounding */

/* Floats of a thread's scratch: what la_gram needs, or ROWS rows. */
static size_t scratch_floats(size_t pitch)
{
    return la_gram_scratch(pitch) > ROWS * pitch ? la_gram_scratch(pitch) : ROWS * pitch;
}

void la_svd_free(la_svd *svd)
{
    if (!svd)
        return;
    forage_free(svd->block);
    forage_free(svd->previous);
    forage_free(svd->image);
    forage_free(svd->values);
    forage_free(svd->gram);
    forage_free(svd->vectors);
    forage_free(svd->small);
    forage_free(svd->turn);
    forage_free(svd->scratch);
    forage_free(svd);
}

static bool make_room(la_svd *svd)
{
    size_t rows = svd->task.matrix.rows, columns = svd->task.transposed.rows, pitch = svd->pitch;
    return (svd->block = forage_calloc(rows, pitch * sizeof *svd->block)) &&
           (svd->previous = forage_calloc(rows, pitch * sizeof *svd->previous)) &&
           (svd->image = forage_alloc(columns, pitch * sizeof *svd->image)) &&
           (svd->values = forage_calloc(pitch, sizeof *svd->values)) &&
           (svd->gram = forage_alloc(la_packed(pitch), sizeof *svd->gram)) &&
           (svd->vectors = forage_alloc(pitch, pitch * sizeof *svd->vectors)) &&
           (svd->small = forage_alloc(5 * pitch, sizeof *svd->small)) &&
           (svd->turn = forage_alloc(pitch, pitch * sizeof *svd->turn)) &&
           (svd->scratch = forage_alloc((size_t)svd->task.threads, scratch_floats(pitch) * sizeof *svd->scratch));
}

size_t la_svd_width(size_t rows, size_t rank)
{
    size_t more = rank / 4 < LA_LANES ? LA_LANES : rank / 4;
    return rank < rows && more < rows - rank ? rank + more : rows;
}

forage_status la_svd_create(const la_svd_task *task, la_svd **svd, forage_error *error)
{
    size_t rows = task->matrix.rows;
    forage_rng rng;
    *svd = NULL;
    la_svd *made = forage_calloc(1, sizeof *made);
    if (made) {
        made->task = *task;
        made->place[LA_SVD_WIDTH] = la_svd_width(rows, task->rank);
        made->pitch = la_padded((size_t)made->place[LA_SVD_WIDTH]);
    }
    if (!made || !make_room(made)) {
        la_svd_free(made);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu singular vectors of %zu rows", task->rank, rows);
    }
    forage_rng_seed(&rng, task->seed);
    for (size_t r = 0; r < rows; r++) {
        if (task->matrix.offsets[r] == task->matrix.offsets[r + 1])
            continue; /* has no part in any vector that is sought */
        for (size_t j = 0; j < made->place[LA_SVD_WIDTH]; j++)
            made->block[r * made->pitch + j] = (float)forage_rng_normal(&rng);
    }
    *svd = made;
    return FORAGE_OK;
}

/* ---- tall dense matrices, [rows, pitch] ---- */

typedef struct tall {
    la_svd *svd;
    float *x;
    size_t rows;
} tall;

static float *scratch_of(const la_svd *svd, int worker)
{
    return svd->scratch + (size_t)worker * scratch_floats(svd->pitch);
}

/* svd->gram = X'X, packed. */
static void make_gram(la_svd *svd, const float *x, size_t rows)
{
    la_gram(svd->task.isa, svd->task.threads, x, rows, (size_t)svd->place[LA_SVD_WIDTH], svd->pitch, svd->scratch,
            svd->gram);
}

static void turn_rows(void *context, size_t chunk, int worker)
{
    const tall *task = context;
    const la_svd *svd = task->svd;
    size_t pitch = svd->pitch, begin = chunk * ROWS, rows = task->rows - begin < ROWS ? task->rows - begin : ROWS;
    float *out = scratch_of(svd, worker), *x = task->x + begin * pitch;
    const la_shape shape = {LA_NN, rows, pitch, pitch, pitch, pitch, pitch, false};
    la_gemm gemm;
    la_gemm_init(&gemm, la_engine_steady(svd->task.isa), &shape);
    la_gemm_run(&gemm, x, svd->turn, out);
    memcpy(x, out, rows * pitch * sizeof *x);
}

/* X := X times svd->turn. */
static void turn(la_svd *svd, float *x, size_t rows)
{
    tall task = {svd, x, rows};
    forage_parallel_for(svd->task.threads, (rows + ROWS - 1) / ROWS, turn_rows, &task);
}

/* svd->turn = the first `count` of svd->vectors as columns, number k of each times left[k], column i times right[i]. */
static void set_turn(la_svd *svd, size_t count, const double *left, const double *right)
{
    size_t width = (size_t)svd->place[LA_SVD_WIDTH], pitch = svd->pitch;
    memset(svd->turn, 0, pitch * pitch * sizeof *svd->turn);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < width; k++)
            svd->turn[k * pitch + i] =
                (float)(svd->vectors[i * width + k] * (left ? left[k] : 1) * (right ? right[i] : 1));
    }
}

static bool find_eigenvalues(la_svd *svd, double *values)
{
    return la_eigen(la_kernels_for(svd->task.isa), (size_t)svd->place[LA_SVD_WIDTH], svd->gram, values, svd->vectors,
                    svd->small + 2 * svd->pitch);
}

/* ---- settling ---- */

/* X := X Q L^-1/2 with the eigenvectors Q and eigenvalues L of its Gram matrix (that of columns of length 1), but for
 * those that are no more than rounding: then the space has fewer dimensions than the block has columns. */
static bool straighten(la_svd *svd)
{
    size_t width = (size_t)svd->place[LA_SVD_WIDTH], count = 0, rows = svd->task.matrix.rows, pitch = svd->pitch;
    double *lengths = svd->small, *values = svd->small + pitch;
    make_gram(svd, svd->block, rows);
    double *row = svd->gram;
    for (size_t i = 0; i < width; i++, row += width + 1 - i)
        lengths[i] = row[0] > 0 ? 1 / sqrt(row[0]) : 0;
    row = svd->gram;
    for (size_t i = 0; i < width; i++) {
        for (size_t j = i; j < width; j++)
            *row++ *= lengths[i] * lengths[j];
    }
    if (!find_eigenvalues(svd, values))
        return false;
    for (; count < width && values[count] > LEAST_SHARE * values[0]; count++)
        values[count] = 1 / sqrt(values[count]);
    set_turn(svd, count, lengths, values);
    turn(svd, svd->block, rows);
    svd->place[LA_SVD_WIDTH] = count;
    return count > 0;
}

/* X := an orthonormal basis of its space. What rounding leaves of the first time is gone after the second. */
static bool make_orthonormal(la_svd *svd)
{
    uint64_t before;
    if (!straighten(svd))
        return false;
    do {
        before = svd->place[LA_SVD_WIDTH];
        if (!straighten(svd))
            return false;
    } while (svd->place[LA_SVD_WIDTH] < before);
    return true;
}

/* T_m takes x to cosh(m acosh(x)): this is the acosh for an eigenvalue. */
static double growth(double value, double edge)
{
    return acosh(fmax(2 * value / edge - 1, 1));
}

/* From the block's eigenvalues: the filter that comes next. */
static void choose_filter(la_svd *svd)
{
    svd->edge = fmax(svd->values[svd->place[LA_SVD_WIDTH] - 1], LEAST_VALUE * svd->values[0]);
    double degree = acosh(GREATEST_GAIN) / fmax(growth(svd->values[0], svd->edge), 1e-9);
    size_t most = svd->place[LA_SVD_ROUND] > 1 ? MOST_DEGREE : FIRST_DEGREE;
    svd->place[LA_SVD_DEGREE] = degree < 1 ? 1 : degree > (double)most ? most : (uint64_t)degree;
    svd->place[LA_SVD_STEP] = 0;
}

/* How much a round changed, `new` being the estimates after the filter and svd->values before; svd->left becomes the
 * error that is foretold: what is left of an error e after a round is e / gain^2, what went is the change. */
static double measure(la_svd *svd, const double *new, size_t width, size_t rank)
{
    double change = 0, edge = fmax(new[width - 1], LEAST_VALUE * new[0]), degree = (double)svd->place[LA_SVD_DEGREE];
    for (size_t i = 0; i < rank; i++)
        change = fmax(change, fabs(new[i] - svd->values[i]) / fmax(new[i], LEAST_VALUE * new[0]));
    double gain = cosh(degree * growth(new[rank - 1], edge));
    svd->left = fmin(change / fmax(gain * gain - 1, 1e-9), 1);
    return change;
}

static bool settle(la_svd *svd)
{
    size_t rows = svd->task.matrix.rows, columns = svd->task.transposed.rows, pitch = svd->pitch;
    double *values = svd->small;
    uint64_t before = svd->place[LA_SVD_WIDTH];
    if (!make_orthonormal(svd))
        return false;
    size_t width = (size_t)svd->place[LA_SVD_WIDTH], rank = svd->task.rank < width ? svd->task.rank : width;
    const la_spmm across = {
        .matrix = svd->task.transposed, .width = pitch, .in = svd->block, .out = svd->image, .scale = 1};
    la_spmm_run(&across, svd->task.isa, svd->task.threads);
    make_gram(svd, svd->image, columns);
    if (!find_eigenvalues(svd, values) || !(values[0] > 0))
        return false;
    set_turn(svd, width, NULL, NULL);
    turn(svd, svd->block, rows);
    bool compares = svd->place[LA_SVD_ROUND] > 0 && width == before;
    double change = compares ? measure(svd, values, width, rank) : 1;
    memcpy(svd->values, values, width * sizeof *values);
    svd->finished = svd->last || width == rows || svd->place[LA_SVD_ROUND] == MOST_ROUNDS || change <= NO_CHANGE ||
                    (change <= SMALL_CHANGE && svd->left <= TOLERANCE);
    if (svd->finished)
        turn(svd, svd->image, columns);
    while (rank > 1 && !(values[rank - 1] > LEAST_VALUE * values[0]))
        rank--;
    svd->rank = rank;
    svd->place[LA_SVD_ROUND]++;
    choose_filter(svd);
    return true;
}

/* ---- filtering ---- */

/* previous := -edge/4 (2 block + previous), or -edge/2 block at the first step. */
static void prepare_rows(void *context, size_t chunk, int worker)
{
    const tall *task = context;
    const la_svd *svd = task->svd;
    size_t begin = chunk * ROWS, rows = task->rows - begin < ROWS ? task->rows - begin : ROWS;
    const float *x = svd->block + begin * svd->pitch;
    float *out = svd->previous + begin * svd->pitch, part = (float)(-svd->edge / 4);
    (void)worker;
    for (size_t i = 0; i < rows * svd->pitch; i++)
        out[i] = part * (svd->place[LA_SVD_STEP] ? 2 * x[i] + out[i] : 2 * x[i]);
}

/* T_1 = y T_0 and T_{j+1} = 2 y T_j - T_{j-1} with y = 2 A A' / edge - 1. */
static void filter(la_svd *svd)
{
    size_t rows = svd->task.matrix.rows;
    tall task = {svd, NULL, rows};
    const la_spmm across = {
        .matrix = svd->task.transposed, .width = svd->pitch, .in = svd->block, .out = svd->image, .scale = 1};
    const la_spmm back = {.matrix = svd->task.matrix,
                          .width = svd->pitch,
                          .in = svd->image,
                          .add = svd->previous,
                          .out = svd->previous,
                          .scale = (float)((svd->place[LA_SVD_STEP] ? 4 : 2) / svd->edge)};
    la_spmm_run(&across, svd->task.isa, svd->task.threads);
    forage_parallel_for(svd->task.threads, (rows + ROWS - 1) / ROWS, prepare_rows, &task);
    la_spmm_run(&back, svd->task.isa, svd->task.threads);
    float *newest = svd->previous;
    svd->previous = svd->block;
    svd->block = newest;
    svd->place[LA_SVD_STEP]++;
}

bool la_svd_step(la_svd *svd)
{
    if (svd->finished)
        return true;
    if (svd->last || svd->place[LA_SVD_STEP] == svd->place[LA_SVD_DEGREE])
        return settle(svd);
    filter(svd);
    return true;
}

bool la_svd_restore(la_svd *svd)
{
    const uint64_t *place = svd->place;
    size_t rows = svd->task.matrix.rows * svd->pitch;
    if (place[LA_SVD_WIDTH] == 0 || place[LA_SVD_WIDTH] > svd->pitch || place[LA_SVD_ROUND] > MOST_ROUNDS ||
        place[LA_SVD_DEGREE] > MOST_DEGREE || place[LA_SVD_STEP] > place[LA_SVD_DEGREE] ||
        (place[LA_SVD_ROUND] > 0 && place[LA_SVD_DEGREE] == 0))
        return false;
    for (size_t i = 0; i < svd->pitch; i++) {
        if (!(svd->values[i] >= -1e30 && svd->values[i] <= 1e30))
            return false;
    }
    for (size_t i = 0; i < rows; i++) {
        if (!isfinite(svd->block[i]) || !isfinite(svd->previous[i]))
            return false;
    }
    if (place[LA_SVD_ROUND] == 0)
        return true;
    if (!(svd->values[0] > 0))
        return false;
    svd->edge = fmax(svd->values[place[LA_SVD_WIDTH] - 1], LEAST_VALUE * svd->values[0]);
    return true;
}

void la_svd_vectors(const la_svd *svd, bool right, size_t pitch, float *out)
{
    size_t rows = right ? svd->task.transposed.rows : svd->task.matrix.rows;
    const float *from = right ? svd->image : svd->block;
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < pitch; j++) {
            double scale = j >= svd->rank ? 0 : right ? 1 / sqrt(svd->values[j]) : 1;
            out[r * pitch + j] = j < svd->rank ? (float)((double)from[r * svd->pitch + j] * scale) : 0.0F;
        }
    }
}
