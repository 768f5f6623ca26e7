/*
 * sums.c: see sums.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/sums.h"

#include <math.h>
#include <string.h>

enum { MOST_COLUMNS = 4 };

/* The unit is brought back to 1 before numbers could leave double precision's range. */
static const double GREATEST_UNIT = 1e100;

void model_sums_release(model_sums *sums)
{
    forage_free(sums->values);
    forage_free(sums->rounds);
    forage_free(sums->drawn);
    *sums = (model_sums){0};
}

forage_status model_sums_grow(model_sums *sums, size_t arms, forage_error *error)
{
    size_t old = sums->arms, columns = sums->columns;
    double *values = arms < SIZE_MAX / columns
                         ? forage_realloc(sums->values, old * columns, arms * columns + 1, sizeof *values)
                         : NULL;
    sums->values = values ? values : sums->values;
    uint64_t *rounds = forage_realloc(sums->rounds, old, arms + 1, sizeof *rounds);
    sums->rounds = rounds ? rounds : sums->rounds;
    float *drawn = forage_realloc(sums->drawn, old, arms + 1, sizeof *drawn);
    sums->drawn = drawn ? drawn : sums->drawn;
    if (!values || !rounds || !drawn)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu arms", arms);
    memset(values + old * columns, 0, (arms - old) * columns * sizeof *values);
    memset(rounds + old, 0, (arms - old) * sizeof *rounds);
    memset(drawn + old, 0, (arms - old) * sizeof *drawn);
    sums->arms = arms;
    return FORAGE_OK;
}

forage_status model_sums_create(model_sums *sums, size_t arms, size_t columns, double discount, forage_error *error)
{
    *sums = (model_sums){.columns = columns, .discount = discount, .unit = 1};
    forage_status status = model_sums_grow(sums, arms, error);
    if (status != FORAGE_OK)
        model_sums_release(sums);
    return status;
}

void model_sums_add(model_sums *sums, size_t arm, const double *amounts)
{
    if (sums->discount < 1)
        sums->unit /= sums->discount;
    for (size_t k = 0; k < sums->columns; k++)
        sums->values[arm * sums->columns + k] += sums->unit * amounts[k];
    if (sums->unit < GREATEST_UNIT)
        return;
    for (size_t i = 0; i < sums->arms * sums->columns; i++)
        sums->values[i] /= sums->unit;
    sums->unit = 1;
}

forage_status model_sums_check_subtract(const model_sums *sums, forage_error *error)
{
    if (sums->discount < 1)
        return forage_fail(error, FORAGE_UNSUPPORTED,
                           "a lesson that has faded (discount below 1) cannot be taken back");
    return FORAGE_OK;
}

void model_sums_subtract(model_sums *sums, size_t arm, const double *amounts)
{
    for (size_t k = 0; k < sums->columns; k++)
        sums->values[arm * sums->columns + k] -= sums->unit * amounts[k];
}

void model_sums_merge(model_sums *sums, const model_sums *other)
{
    double ratio = sums->unit / other->unit;
    for (size_t i = 0; i < sums->arms * sums->columns; i++)
        sums->values[i] += ratio * other->values[i];
}

void model_sums_get(const model_sums *sums, size_t arm, double *values)
{
    for (size_t k = 0; k < sums->columns; k++)
        values[k] = arm < sums->arms ? sums->values[arm * sums->columns + k] / sums->unit : 0;
}

forage_status model_sums_save(const model_sums *sums, nn_checkpoint *checkpoint, forage_error *error)
{
    size_t shape[2] = {sums->arms, sums->columns}, one = 1;
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "sums", NN_F64, 2, shape, sums->values, error));
    return nn_checkpoint_add(checkpoint, "unit", NN_F64, 1, &one, &sums->unit, error);
}

forage_status model_sums_load(model_sums *sums, const nn_checkpoint *checkpoint, forage_error *error)
{
    size_t shape[2] = {sums->arms, sums->columns}, one = 1;
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "sums", NN_F64, 2, shape, sums->values, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "unit", NN_F64, 1, &one, &sums->unit, error));
    if (!(sums->unit >= 1 && sums->unit <= GREATEST_UNIT))
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "unit",
                              "the unit of the sums is not between 1 and %g", GREATEST_UNIT);
    for (size_t i = 0; i < sums->arms * sums->columns; i++) {
        if (!isfinite(sums->values[i]))
            return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "sums",
                                  "arm %zu has a sum that is not finite", i / sums->columns);
    }
    return FORAGE_OK;
}

size_t model_sums_memory(const model_sums *sums)
{
    return sums->arms * (sums->columns * sizeof *sums->values + sizeof *sums->rounds + sizeof *sums->drawn);
}

void model_sums_draw(model_sums *sums, const forage_candidates *candidates, model_sums_sampler *sampler,
                     const void *context, forage_rng *rng, float *values)
{
    double own[MOST_COLUMNS];
    sums->round++;
    for (size_t i = 0; i < candidates->count; i++) {
        size_t arm = candidates->arms[i];
        bool known = arm < sums->arms;
        if (known && sums->rounds[arm] == sums->round) {
            values[i] = sums->drawn[arm];
            continue;
        }
        model_sums_get(sums, arm, own);
        values[i] = (float)sampler(context, own, rng);
        if (known) {
            sums->rounds[arm] = sums->round;
            sums->drawn[arm] = values[i];
        }
    }
}
