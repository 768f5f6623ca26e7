/*
 * intern.h: what the files of this room share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EVAL_INTERN_H
#define EVAL_INTERN_H

#include "forage/eval.h"

/* Checks what every metric of predictions needs: some rows, finite scores (probabilities), labels 0 or 1. */
forage_status eval_check_rows(const float *scores, const float *labels, size_t count, bool probability,
                              forage_error *error);

/* Rows in ascending order of score: each entry is (sortable bits of the score) << 32 | row.
 * `order` and `scratch` have `count` entries; equal scores stay in order of rows; -0 equals 0.
 * Radix sort, O(n). */
void eval_sort_scores(const float *scores, size_t count, uint64_t *order, uint64_t *scratch);

/* AUC of rows that are in order; NaN with one class. */
double eval_auc_sorted(const uint64_t *order, const float *labels, size_t count);

/* `count` independent Poisson(1) draws, exact to 2^-32, nothing above 12. */
void eval_poisson_weights(forage_rng *rng, uint8_t *weights, size_t count);

/* The q-quantile of values[0 .. count), which must be sorted: linear interpolation, as numpy.quantile. NaN when empty.
 */
double eval_quantile(const double *sorted, size_t count, double q);

/* Sorts ascending, NaN dropped; returns how many are left. */
size_t eval_sort_finite(double *values, size_t count);

/* The percentile interval of a metric's resampled values, which are sorted in place. */
forage_estimate eval_percentile_interval(double value, double *resampled, size_t count, double level);

/* The q-quantile of Student's t distribution with `freedom` > 0 degrees of freedom. */
double eval_student_quantile(double q, double freedom);

/* Checks and completes a request for intervals. */
forage_status eval_check_bootstrap(const forage_bootstrap *bootstrap, forage_error *error);
double eval_level(double level);

/* How long the lists are that a ranker is asked for, and for how many users at once. */
size_t eval_ranking_length(const forage_ranking_task *task, const forage_ranking_options *options);
size_t eval_ranking_slab(size_t users, size_t length);

#endif
