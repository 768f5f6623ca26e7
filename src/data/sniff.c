/*
 * Which format a file has: by the name's ending; where that says nothing
 * (".txt", none, standard input), by the first lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/binary.h"

#include <string.h>

forage_file_format data_format_of_name(const char *path)
{
    static const struct {
        const char *ending;
        forage_file_format format;
    } endings[] = {
        {".csv", FORAGE_FILE_CSV},       {".tsv", FORAGE_FILE_TSV},      {".tab", FORAGE_FILE_TSV},
        {".inter", FORAGE_FILE_RECBOLE}, {".user", FORAGE_FILE_RECBOLE}, {".item", FORAGE_FILE_RECBOLE},
        {".jsonl", FORAGE_FILE_JSONL},   {".ndjson", FORAGE_FILE_JSONL}, {".forage", FORAGE_FILE_BINARY},
    };
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending = strlen(endings[i].ending);
        if (length > ending && strcmp(path + length - ending, endings[i].ending) == 0)
            return endings[i].format;
    }
    return FORAGE_FILE_AUTO;
}

/* One line of the text that was peeked at, without its end. */
static bool next_line(const char **at, const char *end, forage_text *line)
{
    const char *stop = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
    if (!stop)
        return false;
    *line = (forage_text){*at, (size_t)(stop - *at)};
    if (line->length && line->bytes[line->length - 1] == '\r')
        line->length--;
    *at = stop + 1;
    return true;
}

static bool first_filled_line(const data_source *source, forage_text *line)
{
    const char *at = source->buffer + source->start, *end = source->buffer + source->end;
    while (next_line(&at, end, line))
        if (line->length)
            return true;
    return false;
}

static size_t count_byte(forage_text text, char byte)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += text.bytes[i] == byte;
    return count;
}

/* Words between spaces or tabs. */
static size_t count_words(forage_text text)
{
    size_t count = 0;
    bool inside = false;
    for (size_t i = 0; i < text.length; i++) {
        bool space = text.bytes[i] == ' ' || text.bytes[i] == '\t';
        count += !space && !inside;
        inside = !space;
    }
    return count;
}

/* True if nothing but digits, signs and spaces or tabs is in the line. */
static bool only_numbers(forage_text text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!(text.bytes[i] >= '0' && text.bytes[i] <= '9') && !strchr(" \t+-", text.bytes[i]))
            return false;
    return text.length > 0;
}

static bool has_typed_names(forage_text line)
{
    static const char *const types[] = {":token", ":float", ":token_seq", ":float_seq"};
    size_t length = 0;
    while (length < line.length && line.bytes[length] != '\t')
        length++;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t type = strlen(types[i]);
        if (length > type && memcmp(line.bytes + length - type, types[i], type) == 0)
            return true;
    }
    return false;
}

/* True if a word of the line is a usual name of the item's column: then it is a header. */
static bool names_item(forage_text line)
{
    char word[32];
    size_t length = 0;
    for (size_t i = 0; i <= line.length; i++) {
        bool end = i == line.length || line.bytes[i] == ' ' || line.bytes[i] == '\t';
        if (!end && length < sizeof word)
            word[length++] = line.bytes[i];
        if (!end)
            continue;
        if (length && length < sizeof word) {
            word[length] = '\0';
            if (data_usual_name(FORAGE_ROLE_ITEM, word))
                return true;
        }
        length = 0;
    }
    return false;
}

/* Lines of words without a header: a pair on each, or lists. AUTO: as many words on every line, as a
 * table without header has, and not as lists have. */
static forage_file_format lists_or_pairs(const data_source *source)
{
    const char *at = source->buffer + source->start, *end = source->buffer + source->end;
    forage_text line;
    size_t least = SIZE_MAX, most = 0, lines = 0, tabs = 0;
    while (lines < DATA_SNIFF_LINES && next_line(&at, end, &line)) {
        size_t words = count_words(line);
        if (words == 0)
            continue;
        least = words < least ? words : least;
        most = words > most ? words : most;
        tabs += count_byte(line, '\t') > 0;
        lines++;
    }
    if (least == 2 && most == 2)
        return FORAGE_FILE_PAIRS;
    return least == most && (lines >= 3 || tabs == lines) ? FORAGE_FILE_AUTO : FORAGE_FILE_ADJACENCY;
}

/* AUTO: not to be told. */
static forage_file_format sniff_format(const data_source *source, bool header_given)
{
    forage_text line;
    if (!first_filled_line(source, &line))
        return FORAGE_FILE_CSV;
    if (line.bytes[0] == '{')
        return FORAGE_FILE_JSONL;
    if (has_typed_names(line))
        return FORAGE_FILE_RECBOLE;
    if (!header_given && only_numbers(line))
        return lists_or_pairs(source);
    if (count_byte(line, '\t') && !count_byte(line, ','))
        return FORAGE_FILE_TSV;
    if (!header_given && !count_byte(line, ',') && !count_byte(line, ';') && !count_byte(line, '|') &&
        count_words(line) >= 2 && !names_item(line))
        return lists_or_pairs(source);
    return FORAGE_FILE_CSV;
}

/* The format of a labelled table, whose columns are separated by anything. */
static forage_file_format sniff_table(const data_source *source)
{
    forage_text line;
    if (!first_filled_line(source, &line))
        return FORAGE_FILE_CSV;
    if (line.bytes[0] == '{')
        return FORAGE_FILE_JSONL;
    if (has_typed_names(line))
        return FORAGE_FILE_RECBOLE;
    bool delimited = count_byte(line, ',') || count_byte(line, ';') || count_byte(line, '\t') || count_byte(line, '|');
    return delimited ? FORAGE_FILE_CSV : FORAGE_FILE_WORDS;
}

/* The delimiter of a .csv file: the most frequent candidate of the first line, outside quotation marks. */
static char sniff_delimiter(const data_source *source)
{
    static const char candidates[] = ",;\t|";
    size_t counts[sizeof candidates] = {0}, best = 0;
    forage_text line;
    bool quoted = false;
    if (!first_filled_line(source, &line))
        return ',';
    for (size_t i = 0; i < line.length; i++) {
        const char *found = line.bytes[i] ? strchr(candidates, line.bytes[i]) : NULL;
        quoted ^= line.bytes[i] == '"';
        if (found && !quoted)
            counts[found - candidates]++;
    }
    for (size_t i = 1; i < sizeof candidates - 1; i++)
        if (counts[i] > counts[best])
            best = i;
    /* Names may have blanks in them, so these separate fields only where nothing else does. */
    return counts[best] || !count_byte(line, ' ') ? candidates[best] : ' ';
}

bool data_is_binary(const data_source *source)
{
    const char *at = source->buffer + source->start;
    return source->end - source->start >= 8 && memcmp(at, DATA_BINARY_MAGIC, 8) == 0;
}

forage_status data_sniff(forage_reader *reader, const forage_read_options *options, forage_error *error)
{
    data_source *source = &reader->source;
    reader->format = options->format;
    reader->quotes = !options->no_quotes;
    reader->delimiter = options->delimiter;
    if (reader->delimiter && strchr("\n\r\"", reader->delimiter))
        return forage_fail(error, FORAGE_INVALID, "this delimiter cannot be used");
    if (reader->format == FORAGE_FILE_AUTO && data_is_binary(source))
        reader->format = FORAGE_FILE_BINARY;
    if (reader->format == FORAGE_FILE_BINARY)
        return FORAGE_OK;
    FORAGE_TRY(data_source_peek(source, DATA_SNIFF_LINES, error));
    forage_text line;
    if (source->ended && !first_filled_line(source, &line))
        return forage_fail_at(error, FORAGE_FORMAT, source->path, 0, NULL, "this file is empty");
    if (reader->format == FORAGE_FILE_AUTO)
        reader->format = data_format_of_name(source->path);
    if (reader->format == FORAGE_FILE_AUTO && reader->delimiter)
        reader->format = FORAGE_FILE_CSV;
    if (reader->format == FORAGE_FILE_AUTO && reader->labelled)
        reader->format = sniff_table(source);
    if (reader->format == FORAGE_FILE_AUTO)
        reader->format = sniff_format(source, options->header || options->no_header);
    if (reader->format == FORAGE_FILE_AUTO)
        return forage_fail_at(error, FORAGE_FORMAT, source->path, source->line, NULL,
                              "is this a table without a header (then name its columns with --header), or are these "
                              "lists of a user and its items (then say --format adjacency)?");
    if (reader->format == FORAGE_FILE_BINARY)
        return forage_fail_at(error, FORAGE_FORMAT, source->path, 0, NULL, "this is not a binary log");
    if (reader->format == FORAGE_FILE_RECBOLE)
        reader->quotes = false;
    if (!reader->delimiter)
        reader->delimiter = reader->format == FORAGE_FILE_CSV ? sniff_delimiter(source) : '\t';
    return FORAGE_OK;
}
