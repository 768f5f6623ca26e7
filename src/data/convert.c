/*
 * Converting a log into another format, and summing it up, row by row. RecBole's
 * header needs the types of columns, so the log is read once to find them and a second time to be
 * written, and so is a binary log, which is made in memory; the other formats take one pass.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct conversion {
    const char *input;
    const forage_read_options *options;
    forage_convert_target target;
    const forage_progress *progress;

    data_builder *builder;
    forage_reader *reader;
    forage_writer *writer;
    size_t *order;                 /* [kept] which of the reader's columns */
    forage_reader_column *columns; /* [kept] as they are written */
    forage_text *fields;           /* [kept x stride] */
    size_t kept;
} conversion;

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to convert the log");
}

/* ---- what is written ---- */

/* The name under which a role's column is found again without options. */
static const char *canonical_name(forage_role role, const char *name)
{
    static const char *const names[] = {[FORAGE_ROLE_USER] = "user_id",
                                        [FORAGE_ROLE_ITEM] = "item_id",
                                        [FORAGE_ROLE_VALUE] = "value",
                                        [FORAGE_ROLE_TIME] = "timestamp",
                                        [FORAGE_ROLE_PROPENSITY] = "propensity"};
    bool named = role >= FORAGE_ROLE_USER && role <= FORAGE_ROLE_PROPENSITY;
    return named && !data_usual_name(role, name) ? names[role] : name;
}

static void keep(conversion *run, size_t c)
{
    const forage_reader_column *column = &run->reader->columns[c];
    run->order[run->kept] = c;
    run->columns[run->kept] = *column;
    run->columns[run->kept].name = canonical_name(column->role, column->name);
    run->kept++;
}

/* User, item, value, time, propensity, then the others as they come. */
static forage_status choose_columns(conversion *run, forage_error *error)
{
    size_t count = run->reader->column_count;
    run->kept = 0;
    run->order = forage_alloc(count, sizeof *run->order);
    run->columns = forage_alloc(count, sizeof *run->columns);
    run->fields = forage_alloc(count * run->reader->stride, sizeof *run->fields);
    if (!run->order || !run->columns || !run->fields)
        return no_memory(error);
    for (int role = FORAGE_ROLE_USER; role <= FORAGE_ROLE_PROPENSITY; role++)
        for (size_t c = 0; c < count; c++)
            if ((int)run->reader->columns[c].role == role)
                keep(run, c);
    for (size_t c = 0; c < count; c++) {
        bool attribute = run->reader->columns[c].role > FORAGE_ROLE_CONTEXT;
        if (run->reader->columns[c].role >= FORAGE_ROLE_CONTEXT &&
            !(attribute && run->target.format == FORAGE_FILE_RECBOLE))
            keep(run, c);
    }
    for (size_t i = 0; i < run->kept; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(run->columns[i].name, run->columns[k].name) == 0)
                return forage_fail_at(error, FORAGE_INVALID, run->input, 0, run->columns[i].name,
                                      "two columns would have this name in the output; ignore one of them");
    return FORAGE_OK;
}

/* What the first pass found out about a column. */
static void declare_types(conversion *run)
{
    for (size_t i = 0; i < run->kept; i++)
        for (size_t k = 0; k < run->builder->column_count; k++)
            if (strcmp(run->columns[i].name, run->builder->columns[k].name) == 0)
                run->columns[i].declared_type =
                    run->builder->columns[k].state == DATA_VALUES ? FORAGE_NUMERIC : FORAGE_CATEGORICAL;
}

static forage_status write_rows(conversion *run, const forage_rows *rows, forage_error *error)
{
    forage_rows chosen = *rows;
    chosen.column_count = run->kept;
    chosen.fields = run->fields;
    for (size_t i = 0; i < run->kept; i++)
        memcpy(run->fields + i * rows->stride, rows->fields + run->order[i] * rows->stride,
               rows->count * sizeof *run->fields);
    return forage_writer_rows(run->writer, &chosen, error);
}

/* ---- a pass over the input ---- */

static void end_pass(conversion *run)
{
    forage_reader_free(run->reader);
    forage_writer_discard(run->writer);
    forage_free(run->order);
    forage_free(run->columns);
    forage_free(run->fields);
    run->reader = NULL;
    run->writer = NULL;
    run->order = NULL;
    run->columns = NULL;
    run->fields = NULL;
}

static forage_status report(const conversion *run, const char *stage, uint64_t *reported, forage_error *error)
{
    uint64_t total, position = forage_reader_position(run->reader, &total);
    if (position - *reported < 16 * (uint64_t)DATA_BLOCK)
        return FORAGE_OK;
    *reported = position;
    return forage_progress_report(run->progress, stage, position, total, NULL)
               ? FORAGE_OK
               : forage_fail_at(error, FORAGE_INTERRUPTED, run->input, 0, NULL, "reading was stopped");
}

/* Reads all rows: checks them, writes them, or both. Leaves the writer open. */
static forage_status pass(conversion *run, bool check, bool write, forage_error *error)
{
    forage_rows rows;
    uint64_t reported = 0, count = 0;
    FORAGE_TRY(data_reader_open(run->input, run->options, DATA_EVENTS, &run->reader, error));
    if (check)
        FORAGE_TRY(data_builder_bind(run->builder, run->reader, error));
    if (write) {
        FORAGE_TRY(choose_columns(run, error));
        if (!check)
            declare_types(run);
        FORAGE_TRY(
            forage_writer_open(run->target.output, run->target.format, run->columns, run->kept, &run->writer, error));
    }
    for (;;) {
        FORAGE_TRY(forage_reader_next(run->reader, &rows, error));
        if (rows.count == 0)
            break;
        count += rows.count;
        if (check)
            FORAGE_TRY(data_builder_rows(run->builder, &rows, error));
        if (write)
            FORAGE_TRY(write_rows(run, &rows, error));
        FORAGE_TRY(report(run, write ? "converting" : "reading", &reported, error));
    }
    if (count == 0)
        return forage_fail_at(error, FORAGE_FORMAT, run->input, 0, NULL, "there are no rows in this file");
    if (!check)
        return FORAGE_OK;
    FORAGE_TRY(data_builder_attributes(run->builder, run->input, run->options, run->progress, error));
    return data_builder_finish(run->builder, error);
}

/* A pass that checks, begun again where a column of numbers turned out to have text. */
static forage_status checking_pass(conversion *run, bool write, forage_error *error)
{
    for (;;) {
        forage_status status = pass(run, true, write, error);
        if (status == FORAGE_OK || !run->builder->restart)
            return status;
        if (!data_can_reread(run->input))
            return forage_fail(
                error, FORAGE_FORMAT,
                "an attribute that began with numbers has text further on, and what comes through a pipe "
                "cannot be read again; name the column with --categorical");
        end_pass(run);
        data_builder_reset(run->builder);
    }
}

/* ---- attributes in files of their own ---- */

static forage_text text_of_entry(const data_column *column, size_t index, char buffer[32])
{
    size_t length = 0;
    if (index >= column->filled)
        return (forage_text){"", 0};
    if (column->state == DATA_VALUES)
        return isnan(column->values[index]) ? (forage_text){"", 0}
                                            : (forage_text){buffer, data_format_float(column->values[index], buffer)};
    if (column->codes[index] == FORAGE_NONE)
        return (forage_text){"", 0};
    const char *text = forage_vocabulary_id(column->vocabulary, column->codes[index], buffer, &length);
    return (forage_text){text, length};
}

/* Users or items with their attributes. `*writer` is left open, NULL if there are no attributes and they are not asked
 * for. */
static forage_status write_entities(const data_builder *builder, forage_role role, const char *path,
                                    forage_file_format format, bool always, forage_writer **result, forage_error *error)
{
    bool users = role == FORAGE_ROLE_USER_ATTRIBUTE;
    const forage_vocabulary *ids = users ? builder->users : builder->items;
    if (!ids)
        return FORAGE_OK;
    forage_reader_column *columns = forage_calloc(builder->column_count + 1, sizeof *columns);
    const data_column **sources = forage_calloc(builder->column_count + 1, sizeof *sources);
    forage_text *fields = forage_calloc(builder->column_count + 1, sizeof *fields);
    char(*buffers)[32] = forage_calloc(builder->column_count + 1, sizeof *buffers);
    forage_writer *writer = NULL;
    size_t count = 1;
    forage_status status = FORAGE_OK;
    if (!columns || !sources || !fields || !buffers) {
        status = no_memory(error);
        goto done;
    }
    forage_role id_role = users ? FORAGE_ROLE_USER : FORAGE_ROLE_ITEM;
    columns[0] = (forage_reader_column){canonical_name(id_role, users ? builder->user_name : builder->item_name),
                                        id_role, FORAGE_CATEGORICAL};
    for (size_t i = 0; i < builder->column_count; i++) {
        const data_column *column = &builder->columns[i];
        if (column->role != role)
            continue;
        columns[count] = (forage_reader_column){column->name, role,
                                                column->state == DATA_VALUES ? FORAGE_NUMERIC : FORAGE_CATEGORICAL};
        sources[count++] = column;
    }
    if (count == 1 && !always)
        goto done;
    FORAGE_TRY_GOTO(forage_writer_open(path, format, columns, count, &writer, error), done);
    for (uint32_t index = 0; index < forage_vocabulary_count(ids); index++) {
        const forage_rows row = {.count = 1, .column_count = count, .stride = 1, .fields = fields};
        size_t length;
        const char *text = forage_vocabulary_id(ids, index, buffers[0], &length);
        fields[0] = (forage_text){text, length};
        for (size_t c = 1; c < count; c++)
            fields[c] = text_of_entry(sources[c], index, buffers[c]);
        FORAGE_TRY_GOTO(forage_writer_rows(writer, &row, error), done);
    }
    *result = writer;
    writer = NULL;
done:
    forage_writer_discard(writer);
    forage_free(columns);
    forage_free(sources);
    forage_free(fields);
    forage_free(buffers);
    return status;
}

/* "x.inter" -> "x.item". */
static forage_status write_sibling(const conversion *run, forage_role role, forage_writer **writer, forage_error *error)
{
    const char *ending = role == FORAGE_ROLE_USER_ATTRIBUTE ? ".user" : ".item";
    size_t length = strlen(run->target.output), inter = strlen(".inter");
    if (length > inter && strcmp(run->target.output + length - inter, ".inter") == 0)
        length -= inter;
    char *path = forage_alloc(length + strlen(ending) + 1, 1);
    if (!path)
        return no_memory(error);
    memcpy(path, run->target.output, length);
    memcpy(path + length, ending, strlen(ending) + 1);
    forage_status status = write_entities(run->builder, role, path, FORAGE_FILE_RECBOLE, false, writer, error);
    forage_free(path);
    return status;
}

/* ---- the summary ---- */

void forage_summary_release(forage_summary *summary)
{
    for (size_t i = 0; i < summary->column_count; i++)
        forage_free(summary->columns[i].name);
    forage_free(summary->columns);
    *summary = (forage_summary){0};
}

static void sum_up_column(const data_builder *builder, forage_column_summary *column)
{
    column->type = FORAGE_NUMERIC;
    column->minimum = column->maximum = NAN;
    switch (column->role) {
    case FORAGE_ROLE_USER:
    case FORAGE_ROLE_ITEM:
        column->type = FORAGE_CATEGORICAL;
        column->distinct = forage_vocabulary_count(column->role == FORAGE_ROLE_USER ? builder->users : builder->items);
        return;
    case FORAGE_ROLE_VALUE:
        column->minimum = builder->value_minimum;
        column->maximum = builder->value_maximum;
        return;
    case FORAGE_ROLE_PROPENSITY:
        column->minimum = builder->propensity_minimum;
        column->maximum = builder->propensity_maximum;
        return;
    case FORAGE_ROLE_TIME:
    case FORAGE_ROLE_IGNORED:
        return;
    default:
        break;
    }
    for (size_t i = 0; i < builder->column_count; i++) {
        const data_column *found = &builder->columns[i];
        if (found->role != column->role || strcmp(found->name, column->name) != 0)
            continue;
        column->missing = found->missing;
        column->type = found->state == DATA_VALUES ? FORAGE_NUMERIC : FORAGE_CATEGORICAL;
        if (found->vocabulary)
            column->distinct = forage_vocabulary_count(found->vocabulary);
        if (found->state == DATA_VALUES && found->minimum <= found->maximum) {
            column->minimum = found->minimum;
            column->maximum = found->maximum;
        }
    }
}

/* True if the builder's column came with the log itself. */
static bool in_log(const conversion *run, const data_column *column)
{
    for (size_t c = 0; c < run->reader->column_count; c++)
        if (run->reader->columns[c].role == column->role && strcmp(run->reader->columns[c].name, column->name) == 0)
            return true;
    return false;
}

static forage_status add_summary(const data_builder *builder, forage_summary *summary, const char *name,
                                 forage_role role, forage_error *error)
{
    forage_column_summary *column = &summary->columns[summary->column_count];
    column->name = forage_strdup(name);
    column->role = role;
    if (!column->name) {
        forage_summary_release(summary);
        return no_memory(error);
    }
    summary->column_count++;
    sum_up_column(builder, column);
    return FORAGE_OK;
}

static forage_status sum_up(const conversion *run, forage_summary *summary, forage_error *error)
{
    const data_builder *builder = run->builder;
    *summary = (forage_summary){.format = run->reader->format,
                                .rows = builder->count,
                                .users = builder->users ? forage_vocabulary_count(builder->users) : 0,
                                .items = forage_vocabulary_count(builder->items),
                                .binary = builder->value_name && builder->binary,
                                .value_mean = builder->value_name ? builder->value_sum / (double)builder->count : NAN,
                                .has_time = builder->time_name != NULL,
                                .time_is_calendar = builder->time_kind == DATA_TIME_CALENDAR,
                                .first_time = builder->first_time,
                                .last_time = builder->last_time};
    summary->columns = forage_calloc(run->reader->column_count + builder->column_count, sizeof *summary->columns);
    if (!summary->columns)
        return no_memory(error);
    for (size_t c = 0; c < run->reader->column_count; c++)
        FORAGE_TRY(add_summary(builder, summary, run->reader->columns[c].name, run->reader->columns[c].role, error));
    for (size_t i = 0; i < builder->column_count; i++)
        if (!in_log(run, &builder->columns[i]))
            FORAGE_TRY(add_summary(builder, summary, builder->columns[i].name, builder->columns[i].role, error));
    return FORAGE_OK;
}

/* ---- the face ---- */

enum { WRITERS = 3 };

/* The binary form is made of a log in memory. */
static forage_status write_binary(const conversion *run, forage_error *error)
{
    forage_dataset *dataset;
    forage_read_options options = *run->options;
    options.validation = options.test = NULL;
    FORAGE_TRY(forage_dataset_load(run->input, &options, run->progress, &dataset, error));
    forage_status status = forage_dataset_save(dataset, run->target.output, run->progress, error);
    forage_dataset_free(dataset);
    return status;
}

/* Writes everything, and leaves it uncommitted: the log in run->writer, the others in `writers`. */
static forage_status convert(conversion *run, forage_writer *writers[WRITERS], forage_summary *summary,
                             forage_error *error)
{
    const forage_convert_target *target = &run->target;
    bool recbole = target->output && target->format == FORAGE_FILE_RECBOLE;
    bool binary = target->output && target->format == FORAGE_FILE_BINARY;
    if ((recbole || binary) && !data_can_reread(run->input))
        return forage_fail(error, FORAGE_UNSUPPORTED,
                           "to write the format %s the log is read twice, which cannot be done through a pipe",
                           forage_file_format_name(target->format));
    FORAGE_TRY(checking_pass(run, target->output && !recbole && !binary, error));
    if (target->population && !run->builder->users)
        return forage_fail_at(error, FORAGE_INVALID, run->input, 0, NULL,
                              "the log names no users who could be written to %s", target->population);
    if (summary)
        FORAGE_TRY(sum_up(run, summary, error));
    if (recbole) {
        end_pass(run);
        FORAGE_TRY(pass(run, false, true, error));
        FORAGE_TRY(write_sibling(run, FORAGE_ROLE_USER_ATTRIBUTE, &writers[1], error));
        FORAGE_TRY(write_sibling(run, FORAGE_ROLE_ITEM_ATTRIBUTE, &writers[2], error));
    }
    if (binary)
        FORAGE_TRY(write_binary(run, error));
    if (target->population && !writers[1])
        FORAGE_TRY(write_entities(run->builder, FORAGE_ROLE_USER_ATTRIBUTE, target->population, FORAGE_FILE_AUTO, true,
                                  &writers[1], error));
    if (target->catalogue && !writers[2])
        FORAGE_TRY(write_entities(run->builder, FORAGE_ROLE_ITEM_ATTRIBUTE, target->catalogue, FORAGE_FILE_AUTO, true,
                                  &writers[2], error));
    writers[0] = run->writer;
    run->writer = NULL;
    return FORAGE_OK;
}

forage_status forage_convert(const char *input, const forage_read_options *options, const forage_convert_target *target,
                             const forage_progress *progress, forage_summary *summary, forage_error *error)
{
    static const forage_read_options defaults = {0};
    conversion run = {.input = input, .options = options ? options : &defaults, .progress = progress};
    forage_writer *writers[WRITERS] = {NULL};
    if (summary)
        *summary = (forage_summary){0};
    if (target)
        run.target = *target;
    if (run.target.output && run.target.format == FORAGE_FILE_AUTO)
        run.target.format = data_format_of_name(run.target.output);
    FORAGE_TRY(data_builder_create(false, &run.builder, error));
    forage_status status = convert(&run, writers, summary, error);
    for (size_t i = 0; i < WRITERS; i++) {
        if (writers[i] && status == FORAGE_OK)
            status = forage_writer_commit(writers[i], error);
        else
            forage_writer_discard(writers[i]);
    }
    end_pass(&run);
    data_builder_free(run.builder);
    if (status != FORAGE_OK && summary)
        forage_summary_release(summary);
    if (status == FORAGE_OK && error)
        *error = (forage_error){0};
    return status;
}
