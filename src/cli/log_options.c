/*
 * How a log is to be read: one table for every command.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/log_options.h"

#include <string.h>
#include <sys/stat.h>

static forage_read_options given;
static const char *format_text, *delimiter_text;
static uint64_t record_limit;

static const cli_option table[] = {
    {"format", CLI_TEXT, &format_text, "NAME",
     "auto, csv, tsv, recbole, adjacency, pairs, jsonl, words or binary (default auto: by name and first lines)"},
    {"delimiter", CLI_TEXT, &delimiter_text, "CHAR", "between fields: one character, or tab (default: by the format)"},
    {"header", CLI_TEXT, &given.header, "NAMES", "names of the columns of a file that has no header, with commas"},
    {"no-header", CLI_FLAG, &given.no_header, NULL, "the first line is data: columns are named 1, 2, 3 ..."},
    {"no-quotes", CLI_FLAG, &given.no_quotes, NULL, "quotation marks are ordinary characters"},
    {"user-column", CLI_TEXT, &given.user, "NAME", "column of users (default: user_id, user, uid ...; empty: none)"},
    {"item-column", CLI_TEXT, &given.item, "NAME", "column of items (default: item_id, product_id, movie_id ...)"},
    {"value-column", CLI_TEXT, &given.value, "NAME",
     "column of clicks or ratings (default: clicked, rating, label ...)"},
    {"time-column", CLI_TEXT, &given.time, "NAME", "column of times (default: timestamp, time, date ...)"},
    {"propensity-column", CLI_TEXT, &given.propensity, "NAME",
     "column of the probabilities with which items were shown (default: propensity_score ...)"},
    {"context-columns", CLI_TEXT, &given.context, "NAMES", "columns that may differ from row to row"},
    {"user-columns", CLI_TEXT, &given.user_columns, "NAMES", "columns that are attributes of the user"},
    {"item-columns", CLI_TEXT, &given.item_columns, "NAMES",
     "columns that are attributes of the item (default: category, genre, brand ...)"},
    {"ignore-columns", CLI_TEXT, &given.ignore, "NAMES", "columns to leave out"},
    {"categorical", CLI_TEXT, &given.categorical, "NAMES",
     "columns that are categories even if they look like numbers"},
    {"numeric", CLI_TEXT, &given.numeric, "NAMES", "columns that are numbers"},
    {"item-attributes", CLI_TEXT, &given.item_attributes, "FILE", "attributes of items, joined by the item's id"},
    {"user-attributes", CLI_TEXT, &given.user_attributes, "FILE", "attributes of users, joined by the user's id"},
    {"record-limit", CLI_COUNT, &record_limit, "BYTES", "longest line or quoted record (default 1048576)"},
};

const cli_group cli_log_group = {"How the log is read", table, sizeof table / sizeof *table};

forage_status cli_log_options(forage_read_options *options, forage_error *error)
{
    if (format_text && forage_file_format_find(format_text, &given.format, error) != FORAGE_OK)
        return error->status = FORAGE_INVALID; /* a misused option, not a file of unknown format */
    if (delimiter_text) {
        bool tab = strcmp(delimiter_text, "tab") == 0 || strcmp(delimiter_text, "\\t") == 0;
        if (!tab && strlen(delimiter_text) != 1)
            return forage_fail(error, FORAGE_INVALID, "--delimiter must be one character, or tab");
        given.delimiter = tab ? '\t' : delimiter_text[0];
    }
    given.record_limit = (size_t)record_limit;
    *options = given;
    return FORAGE_OK;
}

forage_status cli_check_output(const char *path, const char *data, forage_error *error)
{
    forage_output *output;
    struct stat model, log;
    if (stat(path, &model) == 0 && stat(data, &log) == 0 && S_ISREG(log.st_mode) && model.st_dev == log.st_dev &&
        model.st_ino == log.st_ino)
        return forage_fail_at(error, FORAGE_INVALID, path, 0, NULL, "the model would replace the log");
    FORAGE_TRY(forage_output_open(path, &output, error));
    forage_output_discard(output);
    return FORAGE_OK;
}
