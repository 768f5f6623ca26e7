/*
 * log_report.h: the parts of a report on a log of one's own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_LOG_REPORT_H
#define REPORT_LOG_REPORT_H

#include "forage/report.h"
#include "report/pool.h"

enum { LOG_REPORT_GROUPS = 4, LOG_REPORT_CHARTS = 3 + LOG_REPORT_GROUPS };

/* The charts that this log allows, and where they are in the list; LOG_REPORT_CHARTS: not there. */
typedef struct log_report_charts {
    forage_chart list[LOG_REPORT_CHARTS];
    size_t count, loss, calibration, group_count, items; /* the groups come first */
} log_report_charts;

bool log_report_describe(const forage_log_study *study, report_pool *pool, log_report_charts *charts);

/* The page. `pictures` NULL: not drawn, because of `problem`. */
void log_report_page(const forage_log_study *study, const log_report_charts *charts,
                     const forage_chart_pictures *pictures, const char *problem, const char *command, report_pool *pool,
                     report_text *html);

#endif
