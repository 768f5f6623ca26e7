/*
 * terminal.h: what kind of terminal standard output is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_CLI_TERMINAL_H
#define FORAGE_CLI_TERMINAL_H

#include "cli/cli.h"

/* Colours on a terminal (unless NO_COLOR is set); ASCII where the environment names a character set other than
 * UTF-8; as wide as COLUMNS says. */
forage_terminal cli_terminal(void);

/* The command line as one could type it again, quoted where a shell needs it; cut at `size`. */
void cli_command_line(int argc, char *const *argv, char *text, size_t size);

#endif
