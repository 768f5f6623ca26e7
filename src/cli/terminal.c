/*
 * What kind of terminal standard output is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Has the terminal a character set without block characters? Without a word about it UTF-8 is assumed. */
static bool plain_terminal(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *terminal = getenv("TERM");
    if (terminal && strcmp(terminal, "dumb") == 0)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && value[0])
            return !strstr(value, "UTF-8") && !strstr(value, "utf8") && !strstr(value, "utf-8");
    }
    return false;
}

forage_terminal cli_terminal(void)
{
    const char *columns = getenv("COLUMNS");
    uint64_t width = 0;
    if (columns)
        (void)forage_parse_u64(columns, strlen(columns), &width);
    bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    return (forage_terminal){.columns = (size_t)width, .plain = plain_terminal(), .colour = colour};
}

static void append(char *text, size_t size, size_t *used, char letter)
{
    if (*used + 1 < size) {
        text[(*used)++] = letter;
        text[*used] = '\0';
    }
}

void cli_command_line(int argc, char *const *argv, char *text, size_t size)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
    size_t used = 0;
    snprintf(text, size, "forage");
    used = strlen(text);
    for (int i = 0; i < argc; i++) {
        bool plain = argv[i][0] && argv[i][strspn(argv[i], safe)] == '\0';
        append(text, size, &used, ' ');
        if (!plain)
            append(text, size, &used, '\'');
        for (const char *at = argv[i]; *at; at++) {
            if (*at == '\'') {
                append(text, size, &used, '\'');
                append(text, size, &used, '\\');
                append(text, size, &used, '\'');
            }
            append(text, size, &used, *at);
        }
        if (!plain)
            append(text, size, &used, '\'');
    }
}
