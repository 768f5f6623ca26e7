/*
 * chapter1.h: the parts of chapter 1's report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_CHAPTER1_H
#define REPORT_CHAPTER1_H

#include "forage/report.h"
#include "report/pool.h"

/* In the order in which the page shows them. */
enum chapter1_chart {
    CHAPTER1_LOSS,
    CHAPTER1_PERSONAS,
    CHAPTER1_CALIBRATION,
    CHAPTER1_NEW_USERS,
    CHAPTER1_NEW_PRODUCTS,
    CHAPTER1_DRIFT,
    CHAPTER1_LOOP,
    CHAPTER1_CHARTS,
};

/* Describes the charts; what they point to lives in the pool and in the chapter. False when memory ran out. */
bool chapter1_describe(const forage_chapter1 *chapter, report_pool *pool, forage_chart charts[CHAPTER1_CHARTS]);

#endif
