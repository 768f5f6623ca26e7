/*
 * forage import: checks a log of any format, turns it into the canonical log, and says how it was understood.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/convert.h"
#include "cli/log_options.h"

static forage_convert_target target;
static bool json, quiet;

static const cli_option options[] = {
    {"output", CLI_TEXT, &target.output, "FILE",
     "the canonical log: CSV, or JSON Lines if the name ends in .jsonl (default: only check)"},
    {"catalogue", CLI_TEXT, &target.catalogue, "FILE", "the items with their attributes (for --item-attributes)"},
    {"population", CLI_TEXT, &target.population, "FILE", "the users with their attributes (for --user-attributes)"},
    {"json", CLI_FLAG, &json, NULL, "print the summary as one JSON object"},
    {"quiet", CLI_FLAG, &quiet, NULL, "no progress"},
};

static int run(int argc, char **argv)
{
    const cli_group groups[] = {{"Options", options, sizeof options / sizeof *options}, cli_log_group};
    const cli_syntax syntax = {
        .usage = "forage import FILE [options]",
        .description = "Reads a log (CSV, TSV, RecBole, adjacency lists, pair lists, JSON Lines; \"-\" is standard "
                       "input), checks every row, says what it found, and writes it as a plain log with a header.",
        .groups = groups,
        .group_count = 2,
        .examples = "  forage import ratings.csv\n"
                    "  forage import u.data --header user_id,item_id,rating,timestamp --output log.csv\n"
                    "  zcat big.csv.gz | forage import - --output log.jsonl",
        .least = 1,
        .most = 1,
    };
    forage_error error = {0};
    forage_read_options read;
    size_t count;
    int code;
    if (!cli_parse(&syntax, argc, argv, &count, &code))
        return code;
    if (cli_log_options(&read, &error) != FORAGE_OK)
        return cli_fail(&error);
    if (target.output && !cli_output_format(target.output, &target.format))
        return cli_misused("import writes CSV, TSV or JSON Lines (.csv, .tsv, .jsonl); 'forage export' writes others");
    return cli_convert(argv[1], &read, &target, json, quiet);
}

const cli_command cli_import = {"import", "check a log of any format, and write it as a plain one", run};
