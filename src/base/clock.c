/*
 * Time, memory in use, and progress.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <sys/resource.h>
#include <time.h>

double forage_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

uint64_t forage_peak_memory(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (uint64_t)usage.ru_maxrss * 1024;
}

bool forage_progress_report(const forage_progress *progress, const char *stage, uint64_t done, uint64_t total,
                            const char *note)
{
    return !progress || !progress->report || progress->report(progress->context, stage, done, total, note);
}
