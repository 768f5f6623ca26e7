/*
 * chapter3.h: the parts of chapter 3's report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_CHAPTER3_H
#define REPORT_CHAPTER3_H

#include "report/story.h"

/* In the order in which the page shows them. */
enum chapter3_chart {
    CHAPTER3_LIFE,
    CHAPTER3_EXCESS,
    CHAPTER3_SESSIONS,
    CHAPTER3_ORDER,
    CHAPTER3_CHARTS,
};

#define CHAPTER3_SEQUENCE "bst"
#define CHAPTER3_BAG "bag of history"
#define CHAPTER3_BLIND "history-blind"
#define CHAPTER3_KNOWN "embedding-mlp, tuned"
#define CHAPTER3_BAYES "bayes"
#define CHAPTER3_ORACLE "oracle"

bool chapter3_describe(const void *record, report_pool *pool, forage_chart *charts);

/* The predictor of that name; one whose numbers are all NaN where there is none. */
const forage_predictor *chapter3_predictor(const forage_predictor_table *table, const char *name);
enum { CHAPTER3_WINDOW = 5 };
/* The first visit from which on the predictor's excess stays within `share`, as means of CHAPTER3_WINDOW visits in a
 * row; 0: none. */
size_t chapter3_within(const forage_predictor_table *table, const char *name, double share);
/* "1.3 %" of a share of a log loss, with as many digits as small ones need. */
const char *chapter3_share(report_pool *pool, double share);

#endif
