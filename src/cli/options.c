/*
 * Options: a table in, values in their places out; help from the same table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { HELP = 1, FIRST_OPTION = 256, HELP_COLUMN = 30, HELP_WIDTH = 100 };

/* Text from the column `indent` on, wrapped at words; '\n' starts a new line. */
static void print_wrapped(FILE *to, const char *text, int indent)
{
    int column = indent;
    while (*text) {
        int word = (int)strcspn(text, " \n");
        if (column > indent && column + word > HELP_WIDTH) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        }
        fprintf(to, "%.*s", word, text);
        column += word;
        text += word;
        if (*text == '\n') {
            fprintf(to, "\n%*s", text[1] ? indent : 0, "");
            column = indent;
            text++;
        } else if (*text == ' ') {
            fputc(' ', to);
            column++;
            text++;
        }
    }
    fputc('\n', to);
}

static void print_option(FILE *to, const cli_option *option)
{
    if (!option->help)
        return;
    int length =
        fprintf(to, "  --%s%s%s", option->name, option->argument ? " " : "", option->argument ? option->argument : "");
    if (length >= HELP_COLUMN - 1) {
        fputc('\n', to);
        length = 0;
    }
    fprintf(to, "%*s", HELP_COLUMN - length, "");
    print_wrapped(to, option->help, HELP_COLUMN);
}

static void print_help(FILE *to, const cli_syntax *syntax)
{
    fprintf(to, "usage: %s\n", syntax->usage);
    if (syntax->description) {
        fputc('\n', to);
        print_wrapped(to, syntax->description, 0);
    }
    for (size_t g = 0; g < syntax->group_count; g++) {
        fprintf(to, "\n%s:\n", syntax->groups[g].title);
        for (size_t i = 0; i < syntax->groups[g].count; i++)
            print_option(to, &syntax->groups[g].options[i]);
    }
    if (syntax->examples)
        fprintf(to, "\nExamples:\n%s\n", syntax->examples);
}

/* Digits, with '_' between them if one likes, or a whole number in scientific notation. */
static bool parse_count(const char *text, uint64_t *value)
{
    char digits[40];
    size_t length = 0;
    double real;
    for (const char *c = text; *c; c++) {
        if (length + 1 >= sizeof digits)
            return false;
        if (*c != '_')
            digits[length++] = *c;
    }
    digits[length] = '\0';
    if (forage_parse_u64(digits, length, value))
        return true;
    if (!forage_parse_real(digits, length, &real) || !(real >= 0 && real <= 9007199254740992.0) || real != floor(real))
        return false;
    *value = (uint64_t)real;
    return true;
}

static bool append(cli_list *list, const char *text)
{
    const char **values = forage_realloc(list->values, list->count, list->count + 1, sizeof *values);
    if (!values)
        return false;
    values[list->count++] = text;
    list->values = values;
    return true;
}

/* Puts `text` in its place. True when it fits the type. */
static bool set_value(const cli_option *option, const char *text, forage_error *error)
{
    bool good = false;
    const char *wanted = "";
    switch (option->type) {
    case CLI_FLAG:
        *(bool *)option->target = true;
        return true;
    case CLI_TEXT:
        *(const char **)option->target = text;
        return true;
    case CLI_INTEGER:
        good = forage_parse_i64(text, strlen(text), option->target);
        wanted = "a whole number";
        break;
    case CLI_COUNT:
        good = parse_count(text, option->target);
        wanted = "a whole number of 0 or more";
        break;
    case CLI_REAL:
        good = forage_parse_real(text, strlen(text), option->target) && isfinite(*(double *)option->target);
        wanted = "a number";
        break;
    case CLI_LIST:
        good = append(option->target, text);
        wanted = "held in memory";
        break;
    case CLI_CALL: {
        const cli_call *call = option->target;
        return call->set(call->context, option->name, text, error) == FORAGE_OK;
    }
    }
    if (!good)
        forage_fail(error, FORAGE_INVALID, "option --%s: '%s' is not %s", option->name, text, wanted);
    return good;
}

static const cli_option *option_at(const cli_syntax *syntax, size_t index)
{
    for (size_t g = 0; g < syntax->group_count; g++) {
        if (index < syntax->groups[g].count)
            return &syntax->groups[g].options[index];
        index -= syntax->groups[g].count;
    }
    return NULL;
}

/* The table in the form getopt_long wants, plus --help; NULL without memory. */
static struct option *make_table(const cli_syntax *syntax)
{
    size_t count = 0;
    for (size_t g = 0; g < syntax->group_count; g++)
        count += syntax->groups[g].count;
    struct option *table = forage_calloc(count + 2, sizeof *table);
    if (!table)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const cli_option *option = option_at(syntax, i);
        table[i] = (struct option){option->name, option->type == CLI_FLAG ? no_argument : required_argument, NULL,
                                   FIRST_OPTION + (int)i};
    }
    table[count] = (struct option){"help", no_argument, NULL, HELP};
    return table;
}

static int report_misuse(const char *command, int found, char **argv)
{
    const char *given = optind > 1 ? argv[optind - 1] : "";
    if (found == ':')
        return cli_misused("option %s needs a value; 'forage help %s' explains", given, command);
    if (optopt >= FIRST_OPTION)
        return cli_misused("option %s takes no value", given);
    return cli_misused("unknown option '%s'; 'forage help %s' lists what is possible", given, command);
}

bool cli_parse(const cli_syntax *syntax, int argc, char **argv, size_t *count, int *code)
{
    struct option *table = make_table(syntax);
    forage_error error = {0};
    bool go_on = false;
    if (!table) {
        forage_fail(&error, FORAGE_NO_MEMORY, "no memory for the table of options");
        *code = cli_fail(&error);
        return false;
    }
    optind = 0; /* glibc: start afresh */
    opterr = 0;
    for (;;) {
        int found = getopt_long(argc, argv, ":h", table, NULL);
        if (found == -1)
            break;
        if (found == HELP || found == 'h') {
            print_help(stdout, syntax);
            *code = CLI_GOOD;
            goto end;
        }
        if (found == '?' || found == ':') {
            *code = report_misuse(argv[0], found, argv);
            goto end;
        }
        if (!set_value(option_at(syntax, (size_t)(found - FIRST_OPTION)), optarg, &error)) {
            *code = cli_fail(&error);
            goto end;
        }
    }
    *count = (size_t)(argc - optind);
    memmove(argv + 1, argv + optind, *count * sizeof *argv);
    if (*count < syntax->least || *count > syntax->most) {
        int line = (int)strcspn(syntax->usage, "\n"); /* the first way to use it */
        *code = *count > syntax->most
                    ? cli_misused("what is '%s' for? usage: %.*s", argv[1 + syntax->most], line, syntax->usage)
                    : cli_misused("something is missing; usage: %.*s", line, syntax->usage);
        goto end;
    }
    go_on = true;
end:
    forage_free(table);
    return go_on;
}

int cli_fail(const forage_error *error)
{
    char text[1024];
    forage_error_text(error, text, sizeof text);
    cli_progress_end();
    fprintf(stderr, "forage: %s\n", text);
    return error->status == FORAGE_INVALID ? CLI_MISUSED : CLI_FAILED;
}

int cli_misused(const char *format, ...)
{
    va_list arguments;
    cli_progress_end();
    fputs("forage: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return CLI_MISUSED;
}

json_t *cli_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

const char *cli_shown(const char *text, char buffer[CLI_SHOWN_SIZE])
{
    size_t length = strlen(text), shown = length < CLI_SHOWN_SIZE ? length : CLI_SHOWN_SIZE - sizeof "...";
    /* Never end within a character of several bytes. */
    while (shown < length && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80)
        shown--;
    for (size_t i = 0; i < shown; i++)
        buffer[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    memcpy(buffer + shown, shown < length ? "..." : "", shown < length ? 4 : 1);
    return buffer;
}

json_t *cli_json_seed(uint64_t seed)
{
    char text[32];
    if (seed <= (uint64_t)INT64_MAX)
        return json_integer((json_int_t)seed);
    snprintf(text, sizeof text, "%" PRIu64, seed);
    return json_string(text);
}

int cli_print_json(json_t *object)
{
    if (!object) {
        forage_error error = {.status = FORAGE_NO_MEMORY};
        return cli_fail(&error);
    }
    cli_progress_end();
    int failed = json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(object);
    fputc('\n', stdout);
    return failed ? CLI_FAILED : CLI_GOOD;
}
