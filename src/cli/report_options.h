/*
 * report_options.h: the options of every command that writes a report into a folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_CLI_REPORT_OPTIONS_H
#define FORAGE_CLI_REPORT_OPTIONS_H

#include "cli/cli.h"

typedef struct cli_report_settings {
    const char *output, *device, *gnuplot; /* gnuplot NULL: the usual one */
    uint64_t threads;                      /* 0: one for every core */
    bool json, quiet;
} cli_report_settings;

/* Put this group into a command's syntax, then ask after cli_parse. */
extern const cli_group cli_report_group;

/* What the group's options gave. The strings live as long as argv. */
const cli_report_settings *cli_report_options(void);
/* Opens the device that they name. FORAGE_INVALID for one that is not possible. */
forage_status cli_report_device(forage_device *device, forage_error *error);
/* Tells where the report is, unless --json wants nothing else on standard output, and on standard error what is
 * missing in it. */
void cli_report_written(const forage_report_result *result);

#endif
