/*
 * Progress on standard error: a bar on a terminal, a line now and then elsewhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 30 };

static volatile sig_atomic_t stop_wanted;

static struct {
    bool quiet, terminal, drawn;
    char stage[64];
    double stage_start, last;
} bar;

static void on_signal(int number)
{
    (void)number;
    stop_wanted = 1;
}

bool cli_interrupted(void)
{
    return stop_wanted != 0;
}

void cli_progress_end(void)
{
    if (bar.drawn && bar.terminal)
        fputs("\r\033[K", stderr);
    bar.drawn = false;
}

static void draw(const char *stage, uint64_t done, uint64_t total, const char *note, double elapsed)
{
    double share = total ? (double)done / (double)total : 0;
    share = share > 1 ? 1 : share;
    if (total == 0) { /* a pipe: nobody knows how much will come */
        fprintf(stderr, bar.terminal ? "\r\033[K%s%s%s" : "%s%s%s\n", stage, note ? ", " : " ...", note ? note : "");
        fflush(stderr);
    } else if (bar.terminal) {
        char cells[BAR_WIDTH + 1];
        int filled = (int)(share * BAR_WIDTH);
        memset(cells, '.', BAR_WIDTH);
        memset(cells, '#', (size_t)filled);
        cells[BAR_WIDTH] = '\0';
        fprintf(stderr, "\r\033[K%s [%s] %3.0f %%", stage, cells, 100 * share);
        if (share > 0 && share < 1 && elapsed > 1)
            fprintf(stderr, ", %.0f s left", elapsed / share - elapsed);
        fprintf(stderr, "%s%s", note ? ", " : "", note ? note : "");
        fflush(stderr);
    } else {
        fprintf(stderr, "%s: %3.0f %%", stage, 100 * share);
        if (share > 0 && share < 1 && elapsed > 1)
            fprintf(stderr, ", %.0f s left", elapsed / share - elapsed);
        fprintf(stderr, "%s%s\n", note ? ", " : "", note ? note : "");
    }
    bar.drawn = true;
}

static bool report(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    (void)context;
    if (!bar.quiet) {
        double now = forage_clock();
        if (strncmp(stage, bar.stage, sizeof bar.stage - 1) != 0) {
            snprintf(bar.stage, sizeof bar.stage, "%s", stage);
            bar.stage_start = bar.last = now;
        }
        /* Short work shows nothing; long work ten times a second, or every five seconds in a log. */
        if (now - bar.last >= (bar.terminal ? 0.1 : 5.0) && now - bar.stage_start > 0.3) {
            bar.last = now;
            draw(stage, done, total, note, now - bar.stage_start);
        }
    }
    return !stop_wanted;
}

const forage_progress *cli_progress(bool quiet)
{
    static const forage_progress progress = {report, NULL};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND; /* a second Ctrl-C ends the program at once */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    bar.quiet = quiet;
    bar.terminal = isatty(STDERR_FILENO) == 1;
    return &progress;
}
