/*
 * chapter2.h: the parts of chapter 2's report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_CHAPTER2_H
#define REPORT_CHAPTER2_H

#include "report/story.h"

/* In the order in which the page shows them. */
enum chapter2_chart {
    CHAPTER2_REGRET,
    CHAPTER2_STUCK,
    CHAPTER2_PERSONAS,
    CHAPTER2_NEWCOMERS,
    CHAPTER2_ANNA,
    CHAPTER2_CHANGES,
    CHAPTER2_LOOP,
    CHAPTER2_OTHERS,
    CHAPTER2_CHARTS,
};

bool chapter2_describe(const void *record, report_pool *pool, forage_chart *charts);

/* Whether an agent is one of that short name, with whatever parameters. */
bool chapter2_is(const char *agent, const char *name);
/* The agent of that short name, or NULL. */
const forage_arena_agent *chapter2_agent(const forage_arena *arena, const char *name);
/* Of the diaries that the arena has, those worth a page: the best learner's and linucb's. Returns how many. */
enum { CHAPTER2_DIARIES = 2 };
size_t chapter2_diaries(const forage_arena *arena, const forage_arena_agent *agents[CHAPTER2_DIARIES]);

#endif
