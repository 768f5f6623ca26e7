/*
 * rng_distributions.c: NumPy's binomial, normal, exponential, gamma and beta numbers, bit for bit.
 *
 * To consume the stream as NumPy does, each step draws in NumPy's order, and
 * each floating-point expression is rounded in NumPy's order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>

#include "forage/base.h"

#include "base/rng_ziggurat.h" /* written at build time by rng_ziggurat.py */

/* ---- Binomial ----
 *
 * Kachitvichyanukul and Schmeiser (1988), "Binomial random variate generation":
 * inversion where n*p is at most 30, else BTPE (Triangle, Parallelogram,
 * Exponential tails). Both work with p <= 1/2 and mirror the rest. */

/* Walks up the distribution from 0 until the uniform number is used up.
 * Beyond ten standard deviations only rounding can have led there: start anew. */
static int64_t binomial_inversion(forage_rng *rng, int64_t n, double p)
{
    double q = 1.0 - p;
    double at_zero = exp((double)n * log(q));
    double mean = (double)n * p;
    double far = mean + 10.0 * sqrt(mean * q + 1);
    int64_t bound = (int64_t)((double)n < far ? (double)n : far);
    int64_t x = 0;
    double mass = at_zero;
    double left = forage_rng_double(rng);

    while (left > mass) {
        x++;
        if (x > bound) {
            x = 0;
            mass = at_zero;
            left = forage_rng_double(rng);
        } else {
            left -= mass;
            mass = ((double)(n - x + 1) * p * mass) / ((double)x * q);
        }
    }
    return x;
}

/* The four regions under the majorising curve, in the paper's notation. */
typedef struct btpe {
    double r, q, fm, p1, xm, xl, xr, c, laml, lamr, p2, p3, p4, nrq;
    int64_t n, m;
} btpe;

static void btpe_setup(btpe *b, int64_t n, double p)
{
    double a;

    b->n = n;
    b->r = p < 1.0 - p ? p : 1.0 - p;
    b->q = 1.0 - b->r;
    b->fm = (double)n * b->r + b->r;
    b->m = (int64_t)floor(b->fm);
    b->p1 = floor(2.195 * sqrt((double)n * b->r * b->q) - 4.6 * b->q) + 0.5;
    b->xm = (double)b->m + 0.5;
    b->xl = b->xm - b->p1;
    b->xr = b->xm + b->p1;
    b->c = 0.134 + 20.5 / (15.3 + (double)b->m);
    a = (b->fm - b->xl) / (b->fm - b->xl * b->r);
    b->laml = a * (1.0 + a / 2.0);
    a = (b->xr - b->fm) / (b->xr * b->q);
    b->lamr = a * (1.0 + a / 2.0);
    b->p2 = b->p1 * (1.0 + 2.0 * b->c);
    b->p3 = b->p2 + b->c / b->laml;
    b->p4 = b->p3 + b->c / b->lamr;
    b->nrq = (double)n * b->r * b->q;
}

/* What Stirling's series adds to log(x!) beyond its leading terms: the paper's five fractions. */
static double stirling_tail(double x)
{
    double square = x * x;

    return (13680. - (462. - (132. - (99. - 140. / square) / square) / square) / square) / x / 166320.;
}

/* Is v at most f(y)/f(m), the ratio of probabilities at y and at the mode? */
static bool btpe_accept(const btpe *b, int64_t y, double v)
{
    int64_t k = llabs(y - b->m);

    if (k <= 20 || (double)k >= b->nrq / 2.0 - 1) { /* few terms, or far out: the product itself */
        double s = b->r / b->q, a = s * (double)(b->n + 1), ratio = 1.0;

        for (int64_t i = b->m + 1; i <= y; i++)
            ratio *= a / (double)i - s;
        for (int64_t i = y + 1; i <= b->m; i++)
            ratio /= a / (double)i - s;
        return !(v > ratio);
    }

    /* A squeeze decides most of the rest, Stirling's formula what is left. */
    double d = (double)k;
    double rho = (d / b->nrq) * ((d * (d / 3.0 + 0.625) + 0.16666666666666666) / b->nrq + 0.5);
    double t = (double)(-k * k) / (2 * b->nrq);
    double height = log(v);

    if (height < t - rho)
        return true;
    if (height > t + rho)
        return false;

    double x1 = (double)(y + 1), f1 = (double)(b->m + 1), z = (double)(b->n + 1 - b->m), w = (double)(b->n - y + 1);
    double limit = b->xm * log(f1 / x1) + ((double)(b->n - b->m) + 0.5) * log(z / w) +
                   (double)(y - b->m) * log(w * b->r / (x1 * b->q)) + stirling_tail(f1) + stirling_tail(z) +
                   stirling_tail(x1) + stirling_tail(w);

    return !(height > limit);
}

static int64_t binomial_btpe(forage_rng *rng, int64_t n, double p)
{
    btpe b;

    btpe_setup(&b, n, p);
    for (;;) {
        double u = forage_rng_double(rng) * b.p4;
        double v = forage_rng_double(rng);
        int64_t y;

        if (u <= b.p1) /* triangle: accepted as it is */
            return (int64_t)floor(b.xm - b.p1 * v + u);
        if (u <= b.p2) { /* parallelogram */
            double x = b.xl + (u - b.p1) / b.c;

            v = v * b.c + 1.0 - fabs((double)b.m - x + 0.5) / b.p1;
            if (v > 1.0)
                continue;
            y = (int64_t)floor(x);
        } else if (u <= b.p3) { /* left tail */
            double x = v == 0.0 ? -1.0 : floor(b.xl + log(v) / b.laml);

            if (x < 0)
                continue;
            y = (int64_t)x;
            v = v * (u - b.p2) * b.laml;
        } else { /* right tail */
            double x = v == 0.0 ? INFINITY : floor(b.xr - log(v) / b.lamr);

            if (x > (double)n)
                continue;
            y = (int64_t)x;
            v = v * (u - b.p3) * b.lamr;
        }
        if (btpe_accept(&b, y, v))
            return y;
    }
}

static int64_t binomial_lower(forage_rng *rng, int64_t n, double p)
{
    return p * (double)n <= 30.0 ? binomial_inversion(rng, n, p) : binomial_btpe(rng, n, p);
}

int64_t forage_rng_binomial(forage_rng *rng, int64_t n, double p)
{
    if (n <= 0 || !(p > 0.0))
        return 0; /* certain: NumPy draws nothing */
    if (p <= 0.5)
        return binomial_lower(rng, n, p);
    return n - binomial_lower(rng, n, p < 1.0 ? 1.0 - p : 0.0);
}

/* ---- Normal ---- */

/* Beyond ziggurat_r: Marsaglia's (1964) exponential wedge. */
static double normal_tail(forage_rng *rng)
{
    for (;;) {
        double x = -0.27366123732975828 * log1p(-forage_rng_double(rng)); /* 1 / ziggurat_r */
        double y = -log1p(-forage_rng_double(rng));

        if (y + y > x * x)
            return ziggurat_r + x;
    }
}

double forage_rng_normal(forage_rng *rng)
{
    for (;;) {
        uint64_t draw = forage_rng_u64(rng);
        size_t strip = draw & 0xff;
        bool negative = draw >> 8 & 1;
        uint64_t place = draw >> 9 & 0xfffffffffffffU;
        double x = (double)place * ziggurat_width[strip];

        if (negative)
            x = -x;
        if (place < ziggurat_inside[strip])
            return x; /* 99 of 100 times */
        if (strip == 0) {
            double tail = normal_tail(rng);

            return place >> 8 & 1 ? -tail : tail;
        }
        if ((ziggurat_height[strip - 1] - ziggurat_height[strip]) * forage_rng_double(rng) + ziggurat_height[strip] <
            exp(-0.5 * x * x))
            return x;
    }
}

/* ---- Exponential, gamma, beta ---- */

double forage_rng_exponential(forage_rng *rng)
{
    for (;;) {
        uint64_t draw = forage_rng_u64(rng) >> 3;
        size_t strip = draw & 0xff;
        uint64_t place = draw >> 8;
        double x = (double)place * exponential_width[strip];

        if (place < exponential_inside[strip])
            return x;   /* 99 of 100 times */
        if (strip == 0) /* the tail is the distribution itself, moved */
            return exponential_r - log1p(-forage_rng_double(rng));
        if ((exponential_height[strip - 1] - exponential_height[strip]) * forage_rng_double(rng) +
                exponential_height[strip] <
            exp(-x))
            return x;
    }
}

/* Below 1: rejection from two pieces (Ahrens and Dieter 1974, with an exponential number for the test). */
static double gamma_small(forage_rng *rng, double shape)
{
    for (;;) {
        double u = forage_rng_double(rng), limit = forage_rng_exponential(rng);

        if (u <= 1.0 - shape) {
            double x = pow(u, 1. / shape);

            if (x <= limit)
                return x;
        } else {
            double y = -log((1 - u) / shape), x = pow(1.0 - shape + shape * y, 1. / shape);

            if (x <= limit + y)
                return x;
        }
    }
}

double forage_rng_gamma(forage_rng *rng, double shape)
{
    double b = shape - 1. / 3., c;

    if (!(shape > 0.0))
        return 0.0;
    if (shape < 1.0)
        return gamma_small(rng, shape);
    if (!(shape > 1.0))
        return forage_rng_exponential(rng);

    /* Marsaglia and Tsang (2000), "A simple method for generating gamma variables". */
    c = 1. / sqrt(9 * b);
    for (;;) {
        double x, v, u;

        do {
            x = forage_rng_normal(rng);
            v = 1.0 + c * x;
        } while (v <= 0.0);
        v = v * v * v;
        u = forage_rng_double(rng);
        if (u < 1.0 - 0.0331 * (x * x) * (x * x))
            return b * v;
        if (log(u) < 0.5 * x * x + b * (1. - v + log(v)))
            return b * v;
    }
}

/* Johnk (1964), for both at most 1, where gamma numbers may underflow together. */
static double beta_small(forage_rng *rng, double a, double b)
{
    for (;;) {
        double u = forage_rng_double(rng), v = forage_rng_double(rng);
        double x = pow(u, 1.0 / a), y = pow(v, 1.0 / b), sum = x + y;

        if (!(sum <= 1.0) || !(u + v > 0.0))
            continue;
        if (sum > 0)
            return x / sum;
        double log_x = log(u) / a, log_y = log(v) / b, larger = log_x > log_y ? log_x : log_y;

        return exp(log_x - larger - log(exp(log_x - larger) + exp(log_y - larger)));
    }
}

double forage_rng_beta(forage_rng *rng, double a, double b)
{
    if (a <= 1.0 && b <= 1.0)
        return beta_small(rng, a, b);

    double x = forage_rng_gamma(rng, a), y = forage_rng_gamma(rng, b);

    return x / (x + y);
}
