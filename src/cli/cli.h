/*
 * cli.h: what the commands of the program share. A command is one file with
 * one constant `cli_command`; it reads its options through a table, calls the
 * library, prints, and returns an exit code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_CLI_H
#define FORAGE_CLI_H

#include "forage/forage.h"

#include <jansson.h>

enum cli_exit { CLI_GOOD = 0, CLI_FAILED = 1, CLI_MISUSED = 2 };

typedef struct cli_command {
    const char *name;
    const char *summary;               /* one line for the list of commands */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns an exit code */
} cli_command;

extern const cli_command *const cli_commands[]; /* ends with NULL */

/* ---- options ---- */

typedef enum cli_type {
    CLI_FLAG,    /* bool: present or not */
    CLI_TEXT,    /* const char * */
    CLI_INTEGER, /* int64_t */
    CLI_COUNT,   /* uint64_t: seeds and sizes; digits, also as 200_000 or 2e5 */
    CLI_REAL,    /* double */
    CLI_LIST,    /* cli_list: may be given several times */
    CLI_CALL,    /* cli_call: handed to a function, for options that are not known beforehand */
} cli_type;

typedef struct cli_list {
    const char **values; /* forage_free */
    size_t count;
} cli_list;

typedef struct cli_call {
    forage_status (*set)(void *context, const char *option, const char *text, forage_error *error);
    void *context;
} cli_call;

typedef struct cli_option {
    const char *name; /* without the dashes */
    cli_type type;
    void *target;         /* of the type named above; holds the default before parsing */
    const char *argument; /* what stands for its value in the help, "FILE" */
    const char *help;     /* what it does, and its default; NULL hides it */
} cli_option;

/* A titled group of options, as the help shows them. */
typedef struct cli_group {
    const char *title; /* "Options", "Parameters of embedding-mlp" */
    const cli_option *options;
    size_t count;
} cli_group;

typedef struct cli_syntax {
    const char *usage;       /* "forage train MODEL --data FILE [options]" */
    const char *description; /* a paragraph, may be NULL */
    const cli_group *groups;
    size_t group_count;
    const char *examples; /* lines, may be NULL */
    size_t least, most;   /* how many arguments that are not options */
} cli_syntax;

/* Parses argv[1...]. The arguments that are not options are moved to the front:
 * argv[1 ... *count]. Returns true to go on; false when the command should
 * return *code at once (help was printed, or a mistake was reported). */
bool cli_parse(const cli_syntax *syntax, int argc, char **argv, size_t *count, int *code);

/* ---- printing ---- */

/* Prints "forage: ..." on standard error. Returns the exit code that fits the error. */
int cli_fail(const forage_error *error);
/* The same for a mistake in the call; returns CLI_MISUSED. */
int cli_misused(const char *format, ...) FORAGE_PRINTF(1, 2);
/* Prints `object` on standard output as one JSON object and releases it (NULL: out of memory).
 * Real numbers have 15 digits. Returns an exit code. */
int cli_print_json(json_t *object);

/* A real number for JSON: null where it is not finite. */
json_t *cli_json_real(double value);
enum { CLI_SHOWN_SIZE = 256 };
/* `text` as a terminal may show it: without what would break the line or steer the terminal, and cut
 * where it is longer than the buffer. For what comes from files. Returns `buffer`. */
const char *cli_shown(const char *text, char buffer[CLI_SHOWN_SIZE]);
/* A seed for JSON: as text above 2^63 - 1, which no JSON integer here can hold. */
json_t *cli_json_seed(uint64_t seed);

/* ---- progress ---- */

/* A bar on a terminal, a line every few seconds elsewhere, on standard error; nothing when `quiet`.
 * It answers false after Ctrl-C, so that work stops in order. */
const forage_progress *cli_progress(bool quiet);
/* Removes the bar, so that other text can be printed. */
void cli_progress_end(void);
/* True once Ctrl-C (or SIGTERM) was seen. */
bool cli_interrupted(void);

#endif
