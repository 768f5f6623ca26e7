/*
 * heads.c: see heads.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/heads.h"

#include <math.h>
#include <string.h>

/* Growth is taken out of a head's numbers when it has come so far. */
static const double GREATEST_GROWTH = 1e6;

void model_heads_release(model_heads *heads)
{
    forage_free(heads->mean);
    forage_free(heads->factor);
    forage_free(heads->ridges);
    forage_free(heads->numbers);
    forage_free(heads->gain);
    forage_free(heads->product);
    forage_free(heads->unit);
    forage_free(heads->normals);
    *heads = (model_heads){0};
}

forage_status model_heads_create(model_heads *heads, const la_kernels *kernels, size_t width, double ridge,
                                 double discount, forage_error *error)
{
    *heads = (model_heads){.kernels = kernels,
                           .width = width,
                           .packed = la_packed(width),
                           .ridge = ridge,
                           .discount = discount,
                           .gain = forage_calloc(width + 1, sizeof(double)),
                           .product = forage_calloc(width + 1, sizeof(double)),
                           .unit = forage_calloc(width + 1, sizeof(double)),
                           .normals = forage_calloc(width + 1, sizeof(double))};
    /* So many that no ridge falls below nine tenths of what it should be before its turn. */
    if (discount < 1)
        heads->fill = (size_t)fmin(fmax(ceil((double)width * log(discount) / log(0.9)), 1), (double)width);
    if (heads->gain && heads->product && heads->unit && heads->normals)
        return FORAGE_OK;
    model_heads_release(heads);
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu weights", width);
}

static bool stretch(double **rows, size_t from, size_t to, size_t width)
{
    double *grown = forage_realloc(*rows, from * width, to * width + 1, sizeof **rows);
    if (!grown)
        return false;
    memset(grown + from * width, 0, ((to - from) * width + 1) * sizeof *grown);
    *rows = grown;
    return true;
}

forage_status model_heads_grow(model_heads *heads, size_t count, forage_error *error)
{
    size_t old = heads->count, n = heads->width;
    if (model_heads_bytes((double)n) * (double)count > (double)(SIZE_MAX / 4) ||
        !stretch(&heads->mean, old, count, n) || !stretch(&heads->factor, old, count, heads->packed) ||
        (heads->discount < 1 && !stretch(&heads->ridges, old, count, n)) ||
        !stretch(&heads->numbers, old, count, HEAD_NUMBERS))
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu heads of %zu weights", count, n);
    for (size_t h = old; h < count; h++) {
        heads->numbers[h * HEAD_NUMBERS + HEAD_GROWTH] = 1;
        for (size_t j = 0; j < n; j++) {
            heads->factor[h * heads->packed + j * (j + 1) / 2 + j] = sqrt(1 / heads->ridge);
            if (heads->ridges)
                heads->ridges[h * n + j] = heads->ridge;
        }
    }
    heads->count = count;
    return FORAGE_OK;
}

double model_heads_bytes(double width)
{
    return sizeof(double) * (width + width * (width + 1) / 2 + HEAD_NUMBERS);
}

size_t model_heads_memory(const model_heads *heads)
{
    size_t row = heads->width * (heads->ridges ? 2 : 1) + heads->packed + HEAD_NUMBERS;
    return (heads->count * row + 4 * heads->width) * sizeof(double);
}

/* ---- lessons ---- */

/* C'x into product; returns x'P x. */
static double project(model_heads *heads, const double *factor, const double *x)
{
    double square = 0;
    for (size_t j = 0; j < heads->width; j++) {
        heads->product[j] = heads->kernels->dot(j + 1, factor + j * (j + 1) / 2, x);
        square += heads->product[j] * heads->product[j];
    }
    return square;
}

double model_sigma(double a)
{
    return a >= 0 ? 1 / (1 + exp(-a)) : exp(a) / (1 + exp(a));
}

/* t = w (r - sigma(a + s t)): the left side rises, the right one falls, so there is one t, between 0 and w (r -
 * sigma(a)). Newton's steps, halving where they leave the bracket. */
static double solve(double a, double s, double reward, double weight)
{
    double low = 0, high = weight * (reward - model_sigma(a)), t = high / (1 + weight * s * 0.25);
    if (low > high) {
        low = high;
        high = 0;
    }
    for (int i = 0; i < 60 && high - low > 1e-13 * (fabs(low) + fabs(high)); i++) {
        double p = model_sigma(a + s * t), off = t - weight * (reward - p);
        if (off > 0)
            high = t;
        else
            low = t;
        double next = t - off / (1 + weight * s * p * (1 - p));
        if (fabs(next - t) <= 1e-15 * fabs(t))
            break;
        t = next > low && next < high ? next : 0.5 * (low + high);
    }
    return t;
}

/* The growth of a head whose next lesson comes. */
static double grown(model_heads *heads, size_t head)
{
    double *growth = heads->numbers + head * HEAD_NUMBERS + HEAD_GROWTH;
    if (heads->discount >= 1)
        return 1;
    *growth /= heads->discount;
    if (*growth > GREATEST_GROWTH) {
        double *factor = heads->factor + head * heads->packed, *ridges = heads->ridges + head * heads->width;
        for (size_t i = 0; i < heads->packed; i++)
            factor[i] *= sqrt(*growth);
        for (size_t i = 0; i < heads->width; i++)
            ridges[i] /= *growth;
        *growth = 1;
    }
    return *growth;
}

/* P takes in x with `weight`; m moves by `step`, or to where a measurement of `value` moves it. */
static void measure(model_heads *heads, size_t head, const double *x, double weight, const double *step, double value)
{
    double *mean = model_heads_mean(heads, head), innovation, off = value - heads->kernels->dot(heads->width, x, mean);
    if (!la_factor_measure(heads->kernels, heads->width, heads->factor + head * heads->packed, x, weight, heads->gain,
                           heads->product, &innovation))
        return;
    heads->kernels->add(heads->width, step ? *step : off / innovation, heads->gain, mean);
}

/* Fills up the ridges whose turn it is: measurements that a weight is what the prior says, 0. */
static void fill(model_heads *heads, size_t head, double growth)
{
    double *next = heads->numbers + head * HEAD_NUMBERS + HEAD_NEXT;
    for (size_t i = 0; i < heads->fill; i++) {
        size_t at = (size_t)*next;
        double missing = heads->ridge * growth - heads->ridges[head * heads->width + at];
        *next = at + 1 < heads->width ? (double)(at + 1) : 0;
        if (!(missing > 0))
            continue;
        heads->ridges[head * heads->width + at] += missing;
        heads->unit[at] = 1;
        measure(heads, head, heads->unit, missing, NULL, 0);
        heads->unit[at] = 0;
    }
}

void model_heads_learn_linear(model_heads *heads, size_t head, const double *x, double reward, double weight)
{
    double growth = grown(heads, head);
    measure(heads, head, x, weight * growth, NULL, reward);
    fill(heads, head, growth);
}

void model_heads_learn_logistic(model_heads *heads, size_t head, const double *x, double reward, double weight)
{
    double growth = grown(heads, head), own = weight * growth;
    double a = heads->kernels->dot(heads->width, x, model_heads_mean(heads, head));
    double s = project(heads, heads->factor + head * heads->packed, x);
    double t = solve(a, s, reward, own), p = model_sigma(a + s * t), information = own * p * (1 - p);
    if (information > 1e-12 * own) { /* else the lesson says nothing that was not known */
        measure(heads, head, x, information, &t, 0);
    } else {
        /* P x itself, without a change of P */
        for (size_t j = 0; j < heads->width; j++)
            heads->kernels->add(j + 1, t * heads->product[j], heads->factor + head * heads->packed + j * (j + 1) / 2,
                                model_heads_mean(heads, head));
    }
    fill(heads, head, growth);
}

/* ---- estimates ---- */

double model_heads_predict(model_heads *heads, size_t head, const double *x, double *square)
{
    if (square)
        *square =
            project(heads, heads->factor + head * heads->packed, x) * heads->numbers[head * HEAD_NUMBERS + HEAD_GROWTH];
    return heads->kernels->dot(heads->width, x, model_heads_mean(heads, head));
}

double model_heads_prior_square(const model_heads *heads, const double *x)
{
    return heads->kernels->dot(heads->width, x, x) / heads->ridge;
}

void model_heads_draw(model_heads *heads, size_t head, forage_rng *rng, double *theta)
{
    const double *factor = heads->factor + head * heads->packed;
    double spread = sqrt(heads->numbers[head * HEAD_NUMBERS + HEAD_GROWTH]);
    memcpy(theta, model_heads_mean(heads, head), heads->width * sizeof *theta);
    for (size_t j = 0; j < heads->width; j++)
        heads->kernels->add(j + 1, spread * forage_rng_normal(rng), factor + j * (j + 1) / 2, theta);
}

/* ---- checkpoints ---- */

forage_status model_heads_save(const model_heads *heads, nn_checkpoint *checkpoint, forage_error *error)
{
    size_t weights[2] = {heads->count, heads->width}, factors[2] = {heads->count, heads->packed};
    size_t numbers[2] = {heads->count, HEAD_NUMBERS};
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "mean", NN_F64, 2, weights, heads->mean, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "factor", NN_F64, 2, factors, heads->factor, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "numbers", NN_F64, 2, numbers, heads->numbers, error));
    if (!heads->ridges)
        return FORAGE_OK;
    return nn_checkpoint_add(checkpoint, "ridges", NN_F64, 2, weights, heads->ridges, error);
}

/* And far below what overflows once it is squared and multiplied with the largest features. */
static bool all_finite(const double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(fabs(numbers[i]) <= 1e25))
            return false;
    }
    return true;
}

forage_status model_heads_load(model_heads *heads, const nn_checkpoint *checkpoint, forage_error *error)
{
    size_t weights[2] = {heads->count, heads->width}, factors[2] = {heads->count, heads->packed};
    size_t numbers[2] = {heads->count, HEAD_NUMBERS};
    const char *wrong = NULL;
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "mean", NN_F64, 2, weights, heads->mean, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "factor", NN_F64, 2, factors, heads->factor, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "numbers", NN_F64, 2, numbers, heads->numbers, error));
    if (heads->ridges) {
        FORAGE_TRY(nn_checkpoint_read(checkpoint, "ridges", NN_F64, 2, weights, heads->ridges, error));
        wrong = all_finite(heads->ridges, heads->count * heads->width) ? NULL : "ridges";
    }
    for (size_t h = 0; h < heads->count; h++) {
        const double *own = heads->numbers + h * HEAD_NUMBERS;
        if (!(own[HEAD_GROWTH] >= 1 && own[HEAD_GROWTH] <= GREATEST_GROWTH && own[HEAD_NEXT] >= 0 &&
              own[HEAD_NEXT] < (double)heads->width && own[HEAD_NEXT] == floor(own[HEAD_NEXT])))
            wrong = "numbers";
    }
    wrong = all_finite(heads->mean, heads->count * heads->width) ? wrong : "mean";
    wrong = all_finite(heads->factor, heads->count * heads->packed) ? wrong : "factor";
    if (wrong)
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, wrong,
                              "'%s' has numbers that cannot be", wrong);
    return FORAGE_OK;
}
