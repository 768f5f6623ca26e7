/*
 * What import and export share: converting, and the summary.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/convert.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

bool cli_output_format(const char *path, forage_file_format *format)
{
    static const struct {
        const char *ending;
        forage_file_format format;
    } endings[] = {{".csv", FORAGE_FILE_CSV},
                   {".tsv", FORAGE_FILE_TSV},
                   {".jsonl", FORAGE_FILE_JSONL},
                   {".ndjson", FORAGE_FILE_JSONL}};
    size_t length = strlen(path);
    *format = FORAGE_FILE_CSV;
    if (strcmp(path, "-") == 0 || strncmp(path, "/dev/", 5) == 0)
        return true;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending = strlen(endings[i].ending);
        *format = endings[i].format;
        if (length > ending && strcmp(path + length - ending, endings[i].ending) == 0)
            return true;
    }
    return false;
}

/* ---- times ---- */

/* How many units of `time` make a second; 0 if it is no time since 1970 as far as can be told. */
static double units_per_second(const forage_summary *summary)
{
    static const double units[] = {1, 1e3, 1e6, 1e9};
    if (summary->time_is_calendar)
        return 1e6;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) /* from 1980 to 2100 */
        if ((double)summary->first_time >= 3.2e8 * units[i] && (double)summary->last_time < 4.1e9 * units[i])
            return units[i];
    return 0;
}

static void format_time(const forage_summary *summary, int64_t time, char text[40])
{
    double units = units_per_second(summary);
    struct tm parts;
    time_t seconds = units > 0 ? (time_t)floor((double)time / units) : 0;
    if (units > 0 && gmtime_r(&seconds, &parts))
        strftime(text, 40, "%Y-%m-%d %H:%M:%S", &parts);
    else
        snprintf(text, 40, "%" PRId64, time);
}

/* ---- for a person ---- */

/* 1234567 as "1,234,567". */
static const char *grouped(uint64_t number, char text[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, number), at = 0;
    for (int i = 0; i < length; i++) {
        text[at++] = digits[i];
        if ((length - 1 - i) % 3 == 0 && i + 1 < length)
            text[at++] = ',';
    }
    text[at] = '\0';
    return text;
}

static void print_column(FILE *to, const forage_summary *summary, const forage_column_summary *column)
{
    char text[32], other[40], range[80] = "", shown[CLI_SHOWN_SIZE];
    const char *name = cli_shown(column->name, shown);
    const char *type = column->type == FORAGE_NUMERIC ? "numbers" : "categories";
    bool id = column->role == FORAGE_ROLE_USER || column->role == FORAGE_ROLE_ITEM;
    if (column->role == FORAGE_ROLE_IGNORED) {
        fprintf(to, "  %-24s ignored\n", name[0] ? name : "(no name)");
        return;
    }
    if (column->role == FORAGE_ROLE_TIME) {
        format_time(summary, summary->first_time, range);
        format_time(summary, summary->last_time, other);
        fprintf(to, "  %-24s %-15s %s to %s\n", name, forage_role_name(column->role), range, other);
        return;
    }
    if (column->type == FORAGE_CATEGORICAL && column->distinct)
        snprintf(range, sizeof range, "%s %s", grouped(column->distinct, text), id ? "different ids" : "different");
    else if (column->type == FORAGE_CATEGORICAL)
        snprintf(range, sizeof range, "too many different to count");
    else if (column->minimum <= column->maximum)
        snprintf(range, sizeof range, "from %.6g to %.6g", column->minimum, column->maximum);
    fprintf(to, "  %-24s %-15s %s%s%s", name, forage_role_name(column->role), id ? "" : type, id ? "" : ", ", range);
    if (column->missing)
        fprintf(to, ", %s missing", grouped(column->missing, text));
    fputc('\n', to);
}

static void print_summary(FILE *to, const char *input, const char *output, const forage_summary *summary)
{
    enum { COLUMNS_SHOWN = 40 };
    char text[32];
    fprintf(to, "%s: %s\n", strcmp(input, "-") == 0 ? "standard input" : input,
            forage_file_format_name(summary->format));
    fprintf(to, "  rows   %s\n", grouped(summary->rows, text));
    if (summary->users)
        fprintf(to, "  users  %s\n", grouped(summary->users, text));
    else
        fprintf(to, "  users  none: the log names no users\n");
    fprintf(to, "  items  %s\n", grouped(summary->items, text));
    if (summary->binary)
        fprintf(to, "  click rate %.4g %%\n", 100 * summary->value_mean);
    else if (!isnan(summary->value_mean))
        fprintf(to, "  mean value %.6g\n", summary->value_mean);
    fprintf(to, "columns:\n");
    for (size_t i = 0; i < summary->column_count && i < COLUMNS_SHOWN; i++)
        print_column(to, summary, &summary->columns[i]);
    if (summary->column_count > COLUMNS_SHOWN)
        fprintf(to, "  ... and %zu more\n", summary->column_count - COLUMNS_SHOWN);
    if (output)
        fprintf(to, "written to %s\n", output);
}

/* ---- for machines ---- */

static json_t *column_to_json(const forage_column_summary *column)
{
    json_t *object = json_pack("{s:s, s:s, s:s}", "name", column->name, "role", forage_role_name(column->role), "type",
                               column->type == FORAGE_NUMERIC ? "numeric" : "categorical");
    if (column->role == FORAGE_ROLE_IGNORED)
        json_object_del(object, "type");
    if (column->distinct)
        json_object_set_new(object, "distinct", json_integer((json_int_t)column->distinct));
    if (column->missing)
        json_object_set_new(object, "missing", json_integer((json_int_t)column->missing));
    if (column->minimum <= column->maximum) {
        json_object_set_new(object, "minimum", cli_json_real(column->minimum));
        json_object_set_new(object, "maximum", cli_json_real(column->maximum));
    }
    return object;
}

static json_t *summary_to_json(const char *output, const forage_summary *summary)
{
    char first[40], last[40];
    json_t *columns = json_array();
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:I}", "format", forage_file_format_name(summary->format), "rows",
                  (json_int_t)summary->rows, "users", (json_int_t)summary->users, "items", (json_int_t)summary->items);
    if (!isnan(summary->value_mean))
        json_object_set_new(object, summary->binary ? "click_rate" : "value_mean", cli_json_real(summary->value_mean));
    if (summary->has_time) {
        format_time(summary, summary->first_time, first);
        format_time(summary, summary->last_time, last);
        json_object_set_new(object, "first_time", json_string(first));
        json_object_set_new(object, "last_time", json_string(last));
    }
    for (size_t i = 0; i < summary->column_count; i++)
        json_array_append_new(columns, column_to_json(&summary->columns[i]));
    json_object_set_new(object, "columns", columns);
    if (output)
        json_object_set_new(object, "output", json_string(output));
    return object;
}

int cli_convert(const char *input, const forage_read_options *read, const forage_convert_target *target, bool json,
                bool quiet)
{
    forage_summary summary;
    forage_error error = {0};
    bool to_standard_output = target->output && strcmp(target->output, "-") == 0;
    if (json && to_standard_output)
        return cli_misused("--json and --output - would both write to standard output");
    forage_status status = forage_convert(input, read, target, cli_progress(quiet || json), &summary, &error);
    cli_progress_end();
    if (status != FORAGE_OK)
        return cli_fail(&error);
    int code = CLI_GOOD;
    if (json)
        code = cli_print_json(summary_to_json(target->output, &summary));
    else
        print_summary(to_standard_output ? stderr : stdout, input, target->output, &summary);
    forage_summary_release(&summary);
    return code;
}
