/*
 * forage: finds the command and runs it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* Each in its own file. */
extern const cli_command cli_arena;
extern const cli_command cli_embeddings;
extern const cli_command cli_evaluate;
extern const cli_command cli_export;
extern const cli_command cli_import;
extern const cli_command cli_models;
extern const cli_command cli_policies;
extern const cli_command cli_recommend;
extern const cli_command cli_report;
extern const cli_command cli_simulate;
extern const cli_command cli_study;
extern const cli_command cli_train;
extern const cli_command cli_update;

/* clang-format off */
const cli_command *const cli_commands[] = {
    &cli_simulate,
    &cli_study,
    &cli_import,
    &cli_export,
    &cli_train,
    &cli_update,
    &cli_evaluate,
    &cli_report,
    &cli_recommend,
    &cli_embeddings,
    &cli_arena,
    &cli_models,
    &cli_policies,
    NULL,
};
/* clang-format on */

static void print_help(FILE *to)
{
    fprintf(to,
            "forage %s: a recommendation engine that learns from every click\n\n"
            "usage: forage COMMAND [options]\n\ncommands:\n",
            forage_version());
    for (const cli_command *const *command = cli_commands; *command; command++)
        fprintf(to, "  %-10s %s\n", (*command)->name, (*command)->summary);
    fprintf(to, "\n'forage help COMMAND' explains one; 'forage --version' prints the version.\n");
}

static const cli_command *find(const char *name)
{
    for (const cli_command *const *command = cli_commands; *command; command++) {
        if (strcmp((*command)->name, name) == 0)
            return *command;
    }
    return NULL;
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        print_help(stderr);
        return CLI_MISUSED;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("forage %s\n", forage_version());
        return CLI_GOOD;
    }
    bool help = strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    if (help && argc < 3) {
        print_help(stdout);
        return CLI_GOOD;
    }
    const cli_command *command = find(help ? argv[2] : name);
    if (!command)
        return cli_misused("no command '%s'; 'forage help' lists them", help ? argv[2] : name);
    if (help) {
        char option[] = "--help", *arguments[] = {argv[2], option, NULL};
        return command->run(2, arguments);
    }
    return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    int code = run(argc, argv);
    /* Output that never arrived (a full disk behind a redirection) is a failure, too. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_GOOD) {
        perror("forage: cannot write to standard output");
        code = CLI_FAILED;
    }
    return code;
}
