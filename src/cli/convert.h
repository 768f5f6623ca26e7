/*
 * convert.h: what import and export share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_CLI_CONVERT_H
#define FORAGE_CLI_CONVERT_H

#include "cli/cli.h"

/* The format of plain logs that the name's ending says ("-": CSV); false if it says none of them. */
bool cli_output_format(const char *path, forage_file_format *format);

/* Converts, and prints the summary: as JSON, or for a person. It goes to
 * standard error if the log goes to standard output. Returns an exit code. */
int cli_convert(const char *input, const forage_read_options *read, const forage_convert_target *target, bool json,
                bool quiet);

#endif
