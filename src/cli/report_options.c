/*
 * Where a report goes and who computes it: one table for every command that writes one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/report_options.h"

#include <limits.h>
#include <stdio.h>

static cli_report_settings given = {.output = "report", .device = "auto"};

static const cli_option table[] = {
    {"output", CLI_TEXT, &given.output, "FOLDER", "where the report goes (default: report)"},
    {"device", CLI_TEXT, &given.device, "NAME", "auto, cpu, cpu:portable ... (default: auto)"},
    {"threads", CLI_COUNT, &given.threads, "N", "threads (default: one for every core)"},
    {"gnuplot", CLI_TEXT, &given.gnuplot, "PROGRAM", "the program that draws (default: gnuplot)"},
    {"json", CLI_FLAG, &given.json, NULL, "print all results as one JSON object"},
    {"quiet", CLI_FLAG, &given.quiet, NULL, "no progress, no charts: only the report's path"},
};

const cli_group cli_report_group = {"Other options", table, sizeof table / sizeof *table};

const cli_report_settings *cli_report_options(void)
{
    return &given;
}

forage_status cli_report_device(forage_device *device, forage_error *error)
{
    int threads = given.threads > INT_MAX ? INT_MAX : (int)given.threads; /* which is refused like any other excess */
    return forage_device_open(given.device, threads, device, error);
}

void cli_report_written(const forage_report_result *result)
{
    if (!result->charts)
        fprintf(stderr, "forage: the report has tables instead of charts: %s\n", result->problem);
    if (!given.json)
        printf("%s%s\n", given.quiet ? "" : "\nThe report: ", result->page);
}
