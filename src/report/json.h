/*
 * json.h: parts of records as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_JSON_H
#define REPORT_JSON_H

#include "forage/report.h"

#include <jansson.h>

/* null where the number is not finite. */
json_t *json_number(double value);
/* {"value": ..., "low": ..., "high": ...}; the ends only where there is an interval. */
json_t *json_estimate(const forage_estimate *estimate);
json_t *json_numbers(const double *values, size_t count);
/* Never NULL for want of valid UTF-8: what is not becomes U+FFFD. */
json_t *json_text(const char *plain);
/* As text where JSON's integers end. */
json_t *json_seed(uint64_t seed);
json_t *json_estimates(const forage_estimate *estimates, size_t count);
json_t *json_metrics(const forage_metrics *metrics);
json_t *json_training(const forage_training_record *training);
/* The whole record; NULL when memory ran out. */
json_t *json_arena(const forage_arena *arena);
/* The text of `object`, which is released (NULL: out of memory), with a line end; forage_free *text. */
forage_status json_finish(json_t *object, char **text, forage_error *error);

#endif
