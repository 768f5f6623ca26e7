/*
 * chapter4.h: the parts of chapter 4's report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_CHAPTER4_H
#define REPORT_CHAPTER4_H

#include "report/story.h"

/* In the order in which the page shows them. */
enum chapter4_chart {
    CHAPTER4_DEGREES,
    CHAPTER4_LAYERS,
    CHAPTER4_USERS,
    CHAPTER4_PRODUCTS,
    CHAPTER4_LOGS,
    CHAPTER4_FEW_CLICKS,
    CHAPTER4_CHARTS,
};

bool chapter4_describe(const void *record, report_pool *pool, forage_chart *charts);

/* The arm of that name, or NULL. */
const forage_ranked_arm *chapter4_arm(const forage_arm_table *table, const char *name);
/* Its click rate at a point; NaN where there is none. */
double chapter4_rate(const forage_arm_table *table, const char *name, size_t point);

#endif
