/*
 * normal_best.c: which of several independent normals is the largest.
 *
 *     P(X_i is the largest) = integral phi((x - m_i) / s_i) / s_i  prod over j != i of Phi((x - m_j) / s_j)  dx
 *
 * One dimension, whatever the number of normals. The integral is taken over panels with Gauss and Legendre's eight
 * nodes. The largest lies above low = max_j (m_j - REACH s_j) but for a probability of 1e-16: what never gets there is
 * left out, and nothing is integrated below. A panel is halved until it is no longer than PANEL times the smallest s_j
 * whose normal lives in it: then every factor is smooth there. Those with s_j = 0 are fixed numbers: the largest of
 * them bounds the range, and wins when all others fall below.
 *
 * Phi comes from a table of steps of 1/32 with four terms of Taylor's series, phi' = -z phi: errors below 1e-11, at a
 * tenth of the cost of erfc().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/normal_best.h"

#include <math.h>
#include <string.h>

enum { NODES = 16, STEPS = 32, REACH_STEPS = 9, TABLE = 2 * REACH_STEPS * STEPS + 1, DEPTH = 60 };

static const double REACH = 8.25, LIVES = 6.5, PANEL = 4, NEGLIGIBLE = 1e-14;

static const double node[NODES / 2] = {0.09501250983763745, 0.2816035507792589, 0.45801677765722737,
                                       0.6178762444026438,  0.755404408355003,  0.8656312023878318,
                                       0.9445750230732326,  0.9894009349916499};
static const double weight[NODES / 2] = {0.18945061045506859,  0.1826034150449236,  0.16915651939500262,
                                         0.14959598881657676,  0.12462897125553403, 0.09515851168249259,
                                         0.062253523938647706, 0.027152459411754037};

forage_status policy_normals_init(policy_normals *normals, size_t capacity, forage_error *error)
{
    *normals = (policy_normals){.capacity = capacity};
    normals->table = forage_alloc(2 * (size_t)TABLE, sizeof(double));
    normals->center = forage_alloc(capacity, sizeof(double));
    normals->width = forage_alloc(capacity, sizeof(double));
    normals->mass = forage_alloc(capacity, sizeof(double));
    normals->who = forage_alloc(capacity, sizeof(uint32_t));
    if (!normals->table || !normals->center || !normals->width || !normals->mass || !normals->who) {
        policy_normals_release(normals);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the probabilities of %zu candidates", capacity);
    }
    for (int k = 0; k < TABLE; k++) {
        double z = (double)k / STEPS - REACH_STEPS;
        normals->table[2 * k] = 0.5 * erfc(-z * M_SQRT1_2);
        normals->table[2 * k + 1] = exp(-0.5 * z * z) * (0.5 * M_SQRT1_2 * M_2_SQRTPI);
    }
    return FORAGE_OK;
}

void policy_normals_release(policy_normals *normals)
{
    forage_free(normals->table);
    forage_free(normals->center);
    forage_free(normals->width);
    forage_free(normals->mass);
    forage_free(normals->who);
    *normals = (policy_normals){0};
}

/* Phi(z). */
static inline double below(const double *table, double z)
{
    z = z < -REACH_STEPS ? -REACH_STEPS : z > REACH_STEPS ? REACH_STEPS : z;
    int k = (int)((z + REACH_STEPS) * STEPS + 0.5);
    double at = (double)k / STEPS - REACH_STEPS, d = z - at;
    double series = 1 - d * (at / 2 - d * ((at * at - 1) / 6 - d * (at * (at * at - 3) / 24)));
    return table[2 * k] + table[2 * k + 1] * d * series;
}

static double density(double z)
{
    return exp(-0.5 * z * z) * (0.5 * M_SQRT1_2 * M_2_SQRTPI);
}

/* prod_j Phi at x, or something below NEGLIGIBLE when it is that. */
static double all_below_at(const policy_normals *normals, double x)
{
    double product = 1;
    for (size_t j = 0; j < normals->count && product >= NEGLIGIBLE; j++)
        product *= below(normals->table, (x - normals->center[j]) / normals->width[j]);
    return product;
}

/* Raises `low` to where the largest lies above but for a negligible probability, and drops who never gets there. */
static size_t lift(policy_normals *normals, size_t one)
{
    double high = normals->high;
    size_t kept = 0, place = SIZE_MAX;
    for (int step = 0; step < 10; step++) {
        double middle = normals->low + (high - normals->low) / 2;
        if (all_below_at(normals, middle) < NEGLIGIBLE)
            normals->low = middle;
        else
            high = middle;
    }
    for (size_t j = 0; j < normals->count; j++) {
        if (!(normals->center[j] + REACH * normals->width[j] > normals->low))
            continue;
        place = j == one ? kept : place;
        normals->center[kept] = normals->center[j];
        normals->width[kept] = normals->width[j];
        normals->who[kept++] = normals->who[j];
    }
    normals->count = kept;
    return place;
}

/* Keeps those that can be the largest. The place of `keep` among them is returned (SIZE_MAX: not there). */
static size_t gather(policy_normals *normals, const float *mean, const float *deviation, double scale, size_t count,
                     size_t keep)
{
    size_t place = SIZE_MAX;
    normals->count = normals->fixed = 0;
    normals->low = normals->fixed_at = normals->high = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        double m = (double)mean[i], s = scale * (double)deviation[i], low = m - REACH * s;
        if (low > normals->low) {
            normals->low = low;
            normals->origin = m;
        }
        if (!(s > 0) && m >= normals->fixed_at && m > -INFINITY) {
            normals->fixed = m > normals->fixed_at ? 1 : normals->fixed + 1;
            normals->fixed_at = m;
        }
    }
    normals->low -= normals->origin;
    normals->fixed_at -= normals->origin;
    for (size_t i = 0; i < count; i++) {
        double m = (double)mean[i] - normals->origin, s = scale * (double)deviation[i], high = m + REACH * s;
        if (!(s > 0) || !(high > normals->low))
            continue;
        if (i == keep)
            place = normals->count;
        normals->high = high > normals->high ? high : normals->high;
        normals->center[normals->count] = m;
        normals->width[normals->count] = s;
        normals->who[normals->count++] = (uint32_t)i;
    }
    return normals->count && normals->high > normals->low ? lift(normals, place) : place;
}

/* The smallest deviation of those that live in [a, b]. */
static double finest(const policy_normals *normals, double a, double b)
{
    double least = INFINITY;
    for (size_t j = 0; j < normals->count; j++) {
        double m = normals->center[j], s = normals->width[j], reach = LIVES * s;
        if (s < least && m - reach < b && m + reach > a)
            least = s;
    }
    return least;
}

/* product[n] = prod over j != without of Phi at the nodes x; false when that is negligible everywhere. */
static bool all_below(const policy_normals *normals, size_t without, const double x[NODES], double product[NODES])
{
    for (int n = 0; n < NODES; n++)
        product[n] = 1;
    for (size_t j = 0; j < normals->count; j++) {
        double m = normals->center[j], s = normals->width[j], narrow = 1 / s;
        if (j == without || m + REACH * s < x[0])
            continue;
        for (int n = 0; n < NODES; n++)
            product[n] *= below(normals->table, (x[n] - m) * narrow);
        if (product[NODES - 1] < NEGLIGIBLE)
            return false;
    }
    return true;
}

static void panel_one(const policy_normals *normals, size_t one, const double x[NODES], const double w[NODES],
                      double *sum)
{
    double product[NODES], m = normals->center[one], s = normals->width[one];
    if (!all_below(normals, one, x, product))
        return;
    for (int n = 0; n < NODES; n++)
        *sum += w[n] / s * density((x[n] - m) / s) * product[n];
}

static void panel_all(policy_normals *normals, const double x[NODES], const double w[NODES])
{
    double product[NODES];
    if (!all_below(normals, SIZE_MAX, x, product))
        return;
    for (size_t i = 0; i < normals->count; i++) {
        double m = normals->center[i], s = normals->width[i], sum = 0;
        if (m + REACH * s < x[0])
            continue;
        for (int n = 0; n < NODES; n++) {
            double z = (x[n] - m) / s;
            sum += w[n] / s * density(z) * product[n] / fmax(below(normals->table, z), 1e-300);
        }
        normals->mass[i] += sum;
    }
}

/* Integrates from `a` to `b`, for `one` of them or, SIZE_MAX, for all of them into `mass`. */
static double integrate(policy_normals *normals, size_t one, double a, double b)
{
    double ends[DEPTH + 1], sum = 0; /* right ends of the panels to come, the nearest last */
    int depth = 0;
    ends[0] = b;
    while (depth >= 0) {
        double right = ends[depth], length = right - a, parts = ceil(length / (PANEL * finest(normals, a, right)));
        double cut = a + length / (parts > 2 && parts < 8 ? parts : 2), middle = a + length / 2;
        if (parts > 1 && depth < DEPTH && cut > a && cut < right) {
            ends[++depth] = cut;
            continue;
        }
        double x[NODES], w[NODES], half = (right - a) / 2;
        for (int n = 0; n < NODES / 2; n++) {
            x[NODES / 2 + n] = middle + half * node[n];
            x[NODES / 2 - 1 - n] = middle - half * node[n];
            w[NODES / 2 + n] = w[NODES / 2 - 1 - n] = half * weight[n];
        }
        if (one == SIZE_MAX)
            panel_all(normals, x, w);
        else
            panel_one(normals, one, x, w, &sum);
        a = right;
        depth--;
    }
    return sum;
}

/* The probability that all that move stay below the fixed ones. */
static double fixed_wins(const policy_normals *normals)
{
    double product = 1;
    for (size_t j = 0; j < normals->count; j++)
        product *= below(normals->table, (normals->fixed_at - normals->center[j]) / normals->width[j]);
    return product;
}

void policy_normals_best(policy_normals *normals, const float *mean, const float *deviation, double scale, size_t count,
                         double *probabilities)
{
    double total = 0;
    gather(normals, mean, deviation, scale, count, SIZE_MAX);
    memset(normals->mass, 0, normals->count * sizeof *normals->mass);
    memset(probabilities, 0, count * sizeof *probabilities);
    if (normals->count && normals->high > normals->low)
        integrate(normals, SIZE_MAX, normals->low, normals->high);
    for (size_t j = 0; j < normals->count; j++)
        probabilities[normals->who[j]] = normals->mass[j];
    if (normals->fixed) {
        double share = fixed_wins(normals) / (double)normals->fixed;
        for (size_t i = 0; i < count; i++) {
            if ((double)mean[i] - normals->origin == normals->fixed_at && !(scale * (double)deviation[i] > 0))
                probabilities[i] = share;
        }
    }
    for (size_t i = 0; i < count; i++)
        total += probabilities[i];
    for (size_t i = 0; i < count; i++)
        probabilities[i] /= total;
}

double policy_normals_best_one(policy_normals *normals, const float *mean, const float *deviation, double scale,
                               size_t count, uint32_t index)
{
    size_t one = gather(normals, mean, deviation, scale, count, index);
    if (!(scale * (double)deviation[index] > 0)) {
        if (!normals->fixed || (double)mean[index] - normals->origin < normals->fixed_at)
            return 0;
        return fixed_wins(normals) / (double)normals->fixed;
    }
    if (one == SIZE_MAX)
        return 0;
    double reach = REACH * normals->width[one], a = normals->center[one] - reach, b = normals->center[one] + reach;
    a = a > normals->low ? a : normals->low;
    return b > a ? fmin(integrate(normals, one, a, b), 1) : 0;
}
