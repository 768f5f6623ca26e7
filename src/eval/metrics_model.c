/*
 * metrics_model.c: metrics of a model that is bound to a dataset.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "eval/intern.h"

enum { CHUNK = 65536 }; /* rows or pairs scored at once */

/* The rows that the model does not skip. */
typedef struct scored_rows {
    size_t count;
    float *prediction, *label, *truth;
    uint32_t *group;
} scored_rows;

static void scored_release(scored_rows *rows)
{
    forage_free(rows->prediction);
    forage_free(rows->label);
    forage_free(rows->truth);
    forage_free(rows->group);
}

static forage_status label_of(const forage_dataset *dataset, double positive, uint32_t row, float *label,
                              forage_error *error)
{
    float value = dataset->value[row];
    if (isnan(value))
        return forage_fail_at(error, FORAGE_FORMAT, NULL, 0, dataset->value_name, "row %zu of the log has no value",
                              (size_t)row + 1);
    if (positive != 0)
        *label = (double)value >= positive ? 1 : 0;
    else if (value == 0 || value == 1)
        *label = value;
    else
        return forage_fail_at(error, FORAGE_FORMAT, NULL, 0, dataset->value_name,
                              "row %zu of the log has the value %g, not 0 or 1: say from which value on a row counts "
                              "as positive",
                              (size_t)row + 1, (double)value);
    return FORAGE_OK;
}

/* Scores and labels all rows, and moves those that count to the front. */
static forage_status score_rows(forage_binding *binding, const forage_dataset *dataset, const uint32_t *rows,
                                size_t count, double positive, const float *truth, scored_rows *out,
                                forage_error *error)
{
    out->prediction = forage_alloc(count, sizeof *out->prediction);
    out->label = forage_alloc(count, sizeof *out->label);
    bool failed = !out->prediction || !out->label;
    if (truth)
        failed |= !(out->truth = forage_alloc(count, sizeof *out->truth));
    if (dataset->user)
        failed |= !(out->group = forage_alloc(count, sizeof *out->group));
    if (failed)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to evaluate %zu rows", count);
    FORAGE_TRY(forage_model_score(binding, rows, count, out->prediction, NULL, error));
    for (size_t i = 0; i < count; ++i) {
        if (isnan(out->prediction[i]))
            continue;
        size_t at = out->count++;
        out->prediction[at] = out->prediction[i];
        FORAGE_TRY(label_of(dataset, positive, rows[i], &out->label[at], error));
        if (truth)
            out->truth[at] = truth[i];
        if (out->group)
            out->group[at] = dataset->user[rows[i]];
    }
    return FORAGE_OK;
}

forage_status forage_metrics_of_model(const forage_model *model, forage_binding *binding, const forage_dataset *dataset,
                                      const uint32_t *rows, size_t count, double positive, const float *truth,
                                      const forage_metrics_options *options, forage_metrics *metrics,
                                      forage_error *error)
{
    if (!dataset->value)
        return forage_fail(error, FORAGE_INVALID,
                           "the log has no value column (clicked, rating ...), so predictions have nothing to be "
                           "compared with; rankings have");
    if (count == 0)
        return forage_fail(error, FORAGE_INVALID, "there are no rows to evaluate");
    scored_rows scored = {0};
    forage_status status = score_rows(binding, dataset, rows, count, positive, truth, &scored, error);
    if (status == FORAGE_OK && scored.count == 0)
        status =
            forage_fail(error, FORAGE_UNKNOWN, "the model knows the user and the item of none of the %zu rows", count);
    if (status == FORAGE_OK) {
        unsigned capabilities = forage_model_info_of(model)->capabilities;
        forage_predictions predictions = {
            .count = scored.count,
            .prediction = scored.prediction,
            .label = scored.label,
            .group = scored.group,
            .truth = scored.truth,
            .probability = capabilities & FORAGE_GIVES_PROBABILITY,
        };
        status = forage_metrics_compute(&predictions, options, metrics, error);
        metrics->skipped = count - scored.count;
    }
    scored_release(&scored);
    return status;
}

forage_status forage_rmse_of_model(forage_binding *binding, const forage_simulator *simulator, size_t users,
                                   size_t items, double *rmse, size_t *skipped, forage_error *error)
{
    uint32_t *user = forage_alloc(CHUNK, sizeof *user), *item = forage_alloc(CHUNK, sizeof *item);
    float *score = forage_alloc(CHUNK, sizeof *score);
    forage_status status = FORAGE_OK;
    double sum = 0;
    uint64_t pairs = (uint64_t)users * items, counted = 0;
    if (!user || !item || !score) {
        status = forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to score pairs");
        goto end;
    }
    for (uint64_t first = 0; first < pairs; first += CHUNK) {
        size_t count = pairs - first < CHUNK ? (size_t)(pairs - first) : CHUNK;
        for (size_t i = 0; i < count; ++i) {
            user[i] = (uint32_t)((first + i) / items);
            item[i] = (uint32_t)((first + i) % items);
        }
        FORAGE_TRY_GOTO(forage_model_score_pairs(binding, user, item, count, score, NULL, error), end);
        for (size_t i = 0; i < count; ++i) {
            if (isnan(score[i]))
                continue;
            double difference = (double)score[i] - forage_simulator_probability(simulator, user[i], item[i]);
            sum += difference * difference;
            ++counted;
        }
    }
    *rmse = counted ? sqrt(sum / (double)counted) : (double)NAN;
    if (skipped)
        *skipped = (size_t)(pairs - counted);
end:
    forage_free(user);
    forage_free(item);
    forage_free(score);
    return status;
}
