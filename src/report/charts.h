/*
 * charts.h: charts that more than one report has, and what building them takes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_CHARTS_H
#define REPORT_CHARTS_H

#include "forage/report.h"
#include "report/pool.h"

/* The parts of one panel, in the pool, to be filled in. */
typedef struct charts_part {
    forage_chart_panel *panel;
    forage_chart_series *series;
    forage_chart_reference *references;
} charts_part;

/* All false when memory ran out. */

/* `panels` panels, each with that many series and references; parts[panels]. */
bool charts_start(report_pool *pool, forage_chart *chart, size_t panels, size_t series, size_t references,
                  charts_part *parts);
/* A list of names. */
const char **charts_names(report_pool *pool, char (*names)[64], size_t count);
/* first, first + 1, ... */
double *charts_counting(report_pool *pool, size_t count, double first);
/* Values and ends of estimates that lie `stride` bytes apart, along x or y. */
bool charts_estimates(report_pool *pool, const forage_estimate *first, size_t stride, size_t count,
                      forage_chart_series *series, bool along_x);
/* Loss by epoch, with the lines of the oracle and of one rate for all where they are known. */
bool charts_loss(const forage_training_record *training, report_pool *pool, forage_chart *chart);
/* Predicted and observed rates by groups of equally many rows. */
bool charts_calibration(const forage_metrics *metrics, report_pool *pool, forage_chart *chart);

#endif
