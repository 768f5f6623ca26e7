/*
 * pool.h: memory for as long as a report is being made, and short texts in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_POOL_H
#define REPORT_POOL_H

#include "forage/eval.h"
#include "report/text.h"

/* Everything taken from a pool goes at once. After a failed allocation it stays `failed` and texts are "". */
typedef struct report_pool {
    struct pool_block *blocks;
    bool failed;
} report_pool;

void pool_release(report_pool *pool);
/* Zeroed; NULL on failure. */
void *pool_take(report_pool *pool, size_t count, size_t size);

/* Texts for sentences; they live as long as the pool. */
const char *pool_format(report_pool *pool, const char *format, ...) FORAGE_PRINTF(2, 3);
const char *pool_count(report_pool *pool, uint64_t value);
const char *pool_fixed(report_pool *pool, double value, int decimals);
const char *pool_percent(report_pool *pool, double value); /* "21.0 %" */
const char *pool_points(report_pool *pool, double value);  /* a difference of two rates: "3.4 points" */
/* "48.7 % (48.0 to 49.5)", without the brackets when there is no interval. */
const char *pool_percent_estimate(report_pool *pool, const forage_estimate *estimate);
const char *pool_fixed_estimate(report_pool *pool, const forage_estimate *estimate, int decimals);
/* Without control characters and the like; still plain text. */
const char *pool_printable(report_pool *pool, const char *plain);
const char *pool_html(report_pool *pool, const char *plain);

#endif
