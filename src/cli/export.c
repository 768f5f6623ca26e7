/*
 * forage export: a log in another format.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/convert.h"
#include "cli/log_options.h"

#include <string.h>

static const char *output, *format_text, *din_text;
static bool json, quiet;

static const cli_option options[] = {
    {"output", CLI_TEXT, &output, "FILE", "where to; .csv, .tsv, .jsonl, .inter or .forage says the format"},
    {"to", CLI_TEXT, &format_text, "FORMAT", "csv, tsv, jsonl, recbole or binary, if the name does not say it"},
    {"din", CLI_TEXT, &din_text, "SEED",
     "impressions with clicks instead of what users chose, by DIN's recipe: each choice beside an item that they never "
     "chose; as FILE.forage"},
    {"json", CLI_FLAG, &json, NULL, "print the summary as one JSON object"},
    {"quiet", CLI_FLAG, &quiet, NULL, "no progress"},
};

static bool ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), part = strlen(ending);
    return length > part && strcmp(name + length - part, ending) == 0;
}

/* Makes impressions of the whole log in memory, and sums up the file that they are written to. */
static int export_impressions(const char *input, const forage_read_options *read)
{
    forage_dataset *dataset = NULL;
    forage_error error = {0};
    uint64_t seed;
    if (!forage_parse_u64(din_text, strlen(din_text), &seed))
        return cli_misused("--din takes a seed, a whole number, not '%s'", din_text);
    if (!ends_with(output, ".forage"))
        return cli_misused("--din writes FILE.forage; 'forage export' makes any other format of that");
    forage_status status = forage_dataset_load(input, read, cli_progress(quiet || json), &dataset, &error);
    if (status == FORAGE_OK)
        status = forage_dataset_impressions(dataset, seed, &error);
    if (status == FORAGE_OK)
        status = forage_dataset_save(dataset, output, cli_progress(quiet || json), &error);
    cli_progress_end();
    forage_dataset_free(dataset);
    if (status != FORAGE_OK)
        return cli_fail(&error);
    const forage_read_options plain = {0};
    return cli_convert(output, &plain, &(forage_convert_target){0}, json, quiet);
}

static int run(int argc, char **argv)
{
    const cli_group groups[] = {{"Options", options, sizeof options / sizeof *options}, cli_log_group};
    const cli_syntax syntax = {
        .usage = "forage export FILE --output FILE [options]",
        .description = "Writes a log in another format: CSV, TSV, JSON Lines, RecBole's atomic files (FILE.inter, "
                       "with the attributes of users and items in FILE.user and FILE.item), or the binary form "
                       "(FILE.forage), which every command reads many times faster than text.",
        .groups = groups,
        .group_count = 2,
        .examples = "  forage export log.csv --output log.jsonl\n"
                    "  forage export log.csv --output petshop.inter\n"
                    "  forage export log.csv --output log.forage\n"
                    "  forage export log.txt --din 0 --output clicks.forage",
        .least = 1,
        .most = 1,
    };
    forage_error error = {0};
    forage_read_options read;
    forage_file_format format = FORAGE_FILE_AUTO;
    size_t count;
    int code;
    if (!cli_parse(&syntax, argc, argv, &count, &code))
        return code;
    if (!output)
        return cli_misused("export needs --output FILE");
    if (cli_log_options(&read, &error) != FORAGE_OK)
        return cli_fail(&error);
    if (din_text && format_text)
        return cli_misused("--din writes FILE.forage: leave out --to");
    if (din_text)
        return export_impressions(argv[1], &read);
    if (format_text && forage_file_format_find(format_text, &format, &error) != FORAGE_OK)
        return cli_fail(&error);
    if (format == FORAGE_FILE_AUTO && ends_with(output, ".inter"))
        format = FORAGE_FILE_RECBOLE;
    else if (format == FORAGE_FILE_AUTO && ends_with(output, ".forage"))
        format = FORAGE_FILE_BINARY;
    else if (format == FORAGE_FILE_AUTO && !cli_output_format(output, &format))
        return cli_misused("the name '%s' says no format; give one with --to csv, tsv, jsonl, recbole or binary",
                           output);
    return cli_convert(argv[1], &read, &(forage_convert_target){.output = output, .format = format}, json, quiet);
}

const cli_command cli_export = {"export", "write a log in another format (JSON Lines, RecBole ...)", run};
