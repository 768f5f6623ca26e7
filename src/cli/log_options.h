/*
 * log_options.h: the options that say how a log is to be read, the same in every command that reads one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_CLI_LOG_OPTIONS_H
#define FORAGE_CLI_LOG_OPTIONS_H

#include "cli/cli.h"

/* Put this group into a command's syntax, then call cli_log_options after cli_parse. */
extern const cli_group cli_log_group;

/* What the group's options gave, for forage_dataset_load and its kin. The
 * strings live as long as argv. FORAGE_INVALID for a value that is none of the possible ones. */
forage_status cli_log_options(forage_read_options *options, forage_error *error);

/* Found out before the work: can a model be written there at all, and is it not the log itself? */
forage_status cli_check_output(const char *path, const char *data, forage_error *error);

#endif
