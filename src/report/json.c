/*
 * Parts of records as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/json.h"

#include "report/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_text(const char *plain)
{
    report_text clean = {0};
    for (uint32_t character; (character = report_character(&plain)) != 0;)
        report_add_character(&clean, character);
    json_t *text = clean.failed ? NULL : json_stringn(clean.bytes ? clean.bytes : "", clean.used);
    report_text_release(&clean);
    return text;
}

json_t *json_estimate(const forage_estimate *estimate)
{
    json_t *object = json_pack("{so}", "value", json_number(estimate->value));
    if (isfinite(estimate->low) && isfinite(estimate->high)) {
        json_object_set_new(object, "low", json_real(estimate->low));
        json_object_set_new(object, "high", json_real(estimate->high));
    }
    return object;
}

json_t *json_estimates(const forage_estimate *estimates, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; ++i)
        json_array_append_new(list, json_estimate(&estimates[i]));
    return list;
}

json_t *json_seed(uint64_t seed)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    return seed <= INT64_MAX ? json_integer((json_int_t)seed) : json_string(text);
}

json_t *json_numbers(const double *values, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; ++i)
        json_array_append_new(list, json_number(values[i]));
    return list;
}

static json_t *reliability(const forage_reliability_bin *bins, size_t count)
{
    json_t *list = json_array();
    for (size_t b = 0; b < count; ++b)
        json_array_append_new(list, json_pack("{so so sI so so so}", "low", json_number(bins[b].low), "high",
                                              json_number(bins[b].high), "count", (json_int_t)bins[b].count,
                                              "mean_prediction", json_number(bins[b].mean_prediction), "positive_rate",
                                              json_number(bins[b].positive_rate), "deviation",
                                              json_number(bins[b].deviation)));
    return list;
}

/* As forage evaluate prints them: numbers under the metrics' names, intervals apart. */
json_t *json_metrics(const forage_metrics *metrics)
{
    const struct {
        const char *key;
        const forage_estimate *estimate;
    } list[] = {
        {"log_loss", &metrics->log_loss},
        {"oracle_log_loss", &metrics->oracle_log_loss},
        {"excess_log_loss", &metrics->excess_log_loss},
        {"auc", &metrics->auc},
        {"grouped_auc", &metrics->grouped_auc},
        {"brier", &metrics->brier},
        {"ece", &metrics->ece},
        {"ece_mass", &metrics->ece_mass},
        {"rmse", &metrics->rmse},
    };
    json_t *intervals = json_object();
    json_t *object =
        json_pack("{sI sI so so so so so}", "rows", (json_int_t)metrics->count, "positives",
                  (json_int_t)metrics->positives, "base_rate", json_number(metrics->base_rate), "mean_prediction",
                  json_number(metrics->mean_prediction), "base_log_loss", json_number(metrics->base_log_loss),
                  "reliability", reliability(metrics->bins, metrics->bin_count), "reliability_mass",
                  reliability(metrics->bins_mass, metrics->mass_bin_count));
    for (size_t i = 0; i < sizeof list / sizeof *list; ++i) {
        const forage_estimate *estimate = list[i].estimate;
        json_object_set_new(object, list[i].key, json_number(estimate->value));
        if (isfinite(estimate->low) && isfinite(estimate->high))
            json_object_set_new(intervals, list[i].key,
                                json_pack("[o,o]", json_real(estimate->low), json_real(estimate->high)));
    }
    json_object_set_new(object, "intervals", intervals);
    return object;
}

json_t *json_training(const forage_training_record *training)
{
    return json_pack("{so so so so sI sI sI so so so so}", "model", json_text(training->model), "device",
                     json_text(training->device), "train_loss", json_numbers(training->train_loss, training->epochs),
                     "validation_loss", json_numbers(training->validation_loss, training->epochs), "best_epoch",
                     (json_int_t)training->best_epoch, "train_rows", (json_int_t)training->train_rows,
                     "validation_rows", (json_int_t)training->validation_rows, "seconds",
                     json_number(training->seconds), "oracle_validation", json_number(training->oracle_validation),
                     "oracle_pairs", json_number(training->oracle_pairs), "base_validation",
                     json_number(training->base_validation));
}

forage_status json_finish(json_t *object, char **text, forage_error *error)
{
    *text = NULL;
    char *dump = object ? json_dumps(object, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(object);
    report_text whole = {0};
    if (dump) {
        report_add(&whole, dump);
        report_add(&whole, "\n");
    }
    free(dump);
    if (!dump || whole.failed) {
        report_text_release(&whole);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the results as JSON");
    }
    *text = whole.bytes;
    return FORAGE_OK;
}
