/*
 * appeal.c: items of one arm are alike, more or less; how much is learned.
 *
 * Where the arms are categories, a model says what f a user's reward would be for any item of a category. Each item i
 * has an appeal of its own on top, which multiplies it:
 *
 *   reward = f (1 + l_i) + noise,  l_i ~ N(0, tau^2),  noise ~ (0, sigma^2)
 *
 * so with S_i = sum w f^2 and R_i = sum w f (reward - f) over the impressions of item i (f: what the model expected
 * then; w: the weight of the impression),
 *
 *   1 / v_i = S_i / sigma^2 + 1 / tau^2,   l_i = v_i R_i / sigma^2,
 *
 * the posterior mean and its variance v_i. sigma^2 is the mean square of reward - f. tau^2 is the variance of the
 * items' own effects, by moments: that of the raw effects R_i / S_i beyond what their sampling variances sigma^2 / S_i
 * explain, each item weighing as its information, but none more than WEIGHT_LIMIT, so that the favourites, which are
 * shown all the time, do not speak for all (the method of DerSimonian and Laird 1986, with bounded weights). It begins
 * at GUESS^2, which weighs as much as GUESS_WEIGHT items, and is computed anew when the number of events has grown by
 * an eighth or by the number of items.
 *
 * The model itself learns reward - f l_i where it takes any number: then f stays what an item of no particular appeal
 * would earn, and what was measured against it long ago still holds when better items are shown now.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "pipeline/appeal.h"

#define GUESS 0.1
#define GUESS_WEIGHT 20.0
#define WEIGHT_LIMIT 25.0 /* information of an effect known to 20 % */

struct pipeline_appeal {
    size_t items;
    double *squares, *residuals; /* [items] S_i, R_i */
    float *lift, *deviation;     /* [items] l_i, sqrt(v_i) */
    double events, noise;        /* how many, and the sum of (reward - f)^2 */
    double variance;             /* tau^2 */
    double width;                /* that deviations are multiplied by */
    double settled;              /* events when it was computed last */
};

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the appeal of items");
}

void pipeline_appeal_free(pipeline_appeal *appeal)
{
    if (!appeal)
        return;
    forage_free(appeal->squares);
    forage_free(appeal->residuals);
    forage_free(appeal->lift);
    forage_free(appeal->deviation);
    forage_free(appeal);
}

static double sigma2(const pipeline_appeal *appeal)
{
    return appeal->events > 0 ? fmax(appeal->noise / appeal->events, 1e-12) : 1;
}

static void update(pipeline_appeal *appeal, size_t item)
{
    double noise = sigma2(appeal), prior = 1 / fmax(appeal->variance, 1e-9);
    double precision = appeal->squares[item] / noise + prior;
    appeal->lift[item] = (float)(appeal->residuals[item] / noise / precision);
    appeal->deviation[item] = (float)(appeal->width * sqrt(1 / precision));
}

forage_status pipeline_appeal_grow(pipeline_appeal *appeal, size_t items, forage_error *error)
{
    size_t old = appeal->items;
#define GROW(field)                                                                         \
    do {                                                                                    \
        void *grown = forage_realloc(appeal->field, old, items + 1, sizeof *appeal->field); \
        if (!grown)                                                                         \
            return no_memory(error);                                                        \
        appeal->field = grown;                                                              \
    } while (0)
    GROW(squares);
    GROW(residuals);
    GROW(lift);
    GROW(deviation);
#undef GROW
    for (size_t i = old; i < items; i++) {
        appeal->squares[i] = appeal->residuals[i] = 0;
        update(appeal, i);
    }
    appeal->items = items;
    return FORAGE_OK;
}

forage_status pipeline_appeal_create(size_t items, double width, pipeline_appeal **result, forage_error *error)
{
    pipeline_appeal *appeal = forage_calloc(1, sizeof *appeal);
    *result = appeal; /* freed by the pipeline, on failure too */
    if (!appeal)
        return no_memory(error);
    appeal->variance = GUESS * GUESS;
    appeal->width = width;
    return pipeline_appeal_grow(appeal, items, error);
}

/* tau^2, and every item's appeal with it. */
static void settle(pipeline_appeal *appeal)
{
    double noise = sigma2(appeal), weight = GUESS_WEIGHT * WEIGHT_LIMIT, sum = weight * GUESS * GUESS;
    for (size_t i = 0; i < appeal->items; i++) {
        double information = appeal->squares[i] / noise, own = fmin(information, WEIGHT_LIMIT);
        if (information <= 0)
            continue;
        double effect = appeal->residuals[i] / appeal->squares[i];
        sum += own * (effect * effect - 1 / information);
        weight += own;
    }
    appeal->variance = fmax(sum / weight, 0);
    appeal->settled = appeal->events;
    for (size_t i = 0; i < appeal->items; i++)
        update(appeal, i);
}

void pipeline_appeal_learn(pipeline_appeal *appeal, uint32_t item, float expected, float reward, float weight)
{
    double f = (double)expected, residual = (double)reward - f, w = (double)weight;
    appeal->squares[item] += w * f * f;
    appeal->residuals[item] += w * f * residual;
    appeal->noise += w * residual * residual;
    appeal->events += w;
    double since = appeal->events - appeal->settled;
    if (8 * since >= appeal->settled || since >= (double)appeal->items)
        settle(appeal);
    else
        update(appeal, item);
}

float pipeline_appeal_lift(const pipeline_appeal *appeal, uint32_t item, float *deviation)
{
    *deviation = appeal->deviation[item];
    return appeal->lift[item];
}

size_t pipeline_appeal_memory(const pipeline_appeal *appeal)
{
    return appeal->items * 2 * (sizeof(double) + sizeof(float));
}
