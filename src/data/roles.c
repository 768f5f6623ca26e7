/*
 * What the columns of a file are for: by usual names, unless the options say it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <stdio.h>
#include <string.h>

/* Usual names, the most telling first: lower case, without '_', '-' and ' '. */
static const char *const usual_user[] = {"userid", "user", "uid", "visitorid", "customerid", "customer", NULL};
static const char *const usual_item[] = {"itemid", "productid", "item",   "product",   "movieid",
                                         "movie",  "iid",       "bookid", "articleid", "trackid",
                                         "songid", "videoid",   "sku",    "asin",      NULL};
static const char *const usual_value[] = {"clicked", "click", "rating", "value", "label", "reward", NULL};
static const char *const usual_time[] = {"timestamp", "time", "ts", "datetime", "date", "unixtime", NULL};
static const char *const usual_propensity[] = {"propensity", "propensityscore", "pscore", NULL};
static const char *const usual_attribute[] = {"category", "itemcategory", "productcategory", "categoryid",
                                              "genre",    "genres",       "brand",           NULL};

static const char *const *usual_names(forage_role role)
{
    switch (role) {
    case FORAGE_ROLE_USER:
        return usual_user;
    case FORAGE_ROLE_ITEM:
        return usual_item;
    case FORAGE_ROLE_VALUE:
        return usual_value;
    case FORAGE_ROLE_TIME:
        return usual_time;
    case FORAGE_ROLE_PROPENSITY:
        return usual_propensity;
    case FORAGE_ROLE_ITEM_ATTRIBUTE:
        return usual_attribute;
    default:
        return NULL;
    }
}

/* True if `name` is `usual` but for letter case and '_', '-', ' '. */
static bool same_name(const char *name, const char *usual)
{
    for (; *name; name++) {
        char c = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
        if (c == '_' || c == '-' || c == ' ')
            continue;
        if (c != *usual++)
            return false;
    }
    return *usual == '\0';
}

bool data_usual_name(forage_role role, const char *name)
{
    const char *const *usual = usual_names(role);
    for (size_t i = 0; usual && usual[i]; i++)
        if (same_name(name, usual[i]))
            return true;
    return false;
}

bool data_list_has(const char *list, const char *name)
{
    size_t length = strlen(name);
    while (list && *list) {
        size_t part = strcspn(list, ",");
        if (part == length && memcmp(list, name, length) == 0)
            return true;
        list += part + (list[part] == ',');
    }
    return false;
}

const char *forage_role_name(forage_role role)
{
    static const char *const names[] = {"ignored",    "user",    "item",           "value",         "time",
                                        "propensity", "context", "user attribute", "item attribute"};
    return (unsigned)role < sizeof names / sizeof *names ? names[role] : "unknown";
}

/* ---- names ---- */

forage_status data_names_add(data_names *names, const char *name, size_t length, int declared_type, bool ignored,
                             forage_error *error)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 16;
        data_column_name *list = forage_realloc(names->list, names->count, capacity, sizeof *list);
        if (!list)
            return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the names of columns");
        names->list = list;
        names->capacity = capacity;
    }
    char *copy = forage_strndup(name, length);
    if (!copy)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the names of columns");
    names->list[names->count++] = (data_column_name){copy, declared_type, ignored};
    return FORAGE_OK;
}

forage_status data_names_from_text(data_names *names, const char *list, forage_error *error)
{
    for (const char *at = list;; at++) {
        size_t length = strcspn(at, ",");
        FORAGE_TRY(data_names_add(names, at, length, -1, false, error));
        at += length;
        if (*at == '\0')
            return FORAGE_OK;
    }
}

/* True if two of the fields are the same, as names cannot be. */
static bool has_twins(const forage_text *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            if (fields[i].length && fields[i].length == fields[k].length &&
                memcmp(fields[i].bytes, fields[k].bytes, fields[i].length) == 0)
                return true;
    return false;
}

forage_status data_names_of_line(const forage_reader *reader, const forage_read_options *options,
                                 const forage_text *fields, size_t count, data_names *names, bool *header,
                                 forage_error *error)
{
    size_t numbers = 0, empty = 0;
    double number;
    char text[24];
    for (size_t i = 0; i < count; i++) {
        numbers += forage_parse_real(fields[i].bytes, fields[i].length, &number);
        empty += fields[i].length == 0;
    }
    *header = !options->no_header && !(reader->labelled && (numbers > 0 || has_twins(fields, count)));
    if (*header && numbers > 0 && numbers + empty == count)
        return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, reader->source.line, NULL,
                              "the first line looks like data, not like a header; name the columns with --header");
    for (size_t i = 0; i < count; i++) {
        size_t length = *header ? fields[i].length : (size_t)snprintf(text, sizeof text, "%zu", i + 1);
        FORAGE_TRY(data_names_add(names, *header ? fields[i].bytes : text, length, -1, false, error));
    }
    return FORAGE_OK;
}

void data_names_release(data_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        forage_free(names->list[i].name);
    forage_free(names->list);
    *names = (data_names){0};
}

/* ---- assignment ---- */

/* pandas writes the index of a table as a column without a name, and reads that as "Unnamed: 0". */
static bool is_index_name(const char *name)
{
    return name[0] == '\0' || strncmp(name, "Unnamed: ", 9) == 0;
}

static forage_status missing_column(const forage_reader *reader, const data_names *names, const char *what,
                                    const char *name, const char *option, forage_error *error)
{
    char list[300];
    size_t used = 0;
    list[0] = '\0';
    for (size_t i = 0; i < names->count && used < sizeof list - 50; i++) {
        data_excerpt excerpt = data_excerpt_of(names->list[i].name, strlen(names->list[i].name));
        size_t length = strlen(excerpt.text);
        if (length == 0)
            continue;
        if (used) {
            list[used++] = ',';
            list[used++] = ' ';
        }
        memcpy(list + used, excerpt.text, length + 1);
        used += length;
    }
    if (name)
        return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 0, data_excerpt_of(name, strlen(name)).text,
                              "there is no such column; there are: %s", list);
    if (reader->purpose != DATA_EVENTS)
        return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 0, NULL,
                              "no column is the %s; it must have the name that it has in the log. There are: %s", what,
                              list);
    return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 0, NULL,
                          "no column is the %s; name it with --%s-column. There are: %s", what, option, list);
}

static size_t find_name(const data_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

/* Gives `role` to the column that the option names, or to the best of the usual names. */
static forage_status assign(forage_reader *reader, const data_names *names, forage_role role, const char *wanted,
                            forage_error *error)
{
    const char *const *usual = usual_names(role);
    if (wanted && *wanted == '\0')
        return FORAGE_OK;
    /* A file of attributes may call the id as the log does, or as is usual. */
    if (wanted && reader->purpose != DATA_EVENTS && find_name(names, wanted) == SIZE_MAX)
        wanted = NULL;
    if (wanted) {
        size_t at = find_name(names, wanted);
        if (at == SIZE_MAX)
            return missing_column(reader, names, NULL, wanted, NULL, error);
        if (reader->columns[at].role != FORAGE_ROLE_CONTEXT)
            return forage_fail_at(error, FORAGE_INVALID, reader->source.path, 0, wanted,
                                  "this column cannot be both %s and %s", forage_role_name(reader->columns[at].role),
                                  forage_role_name(role));
        reader->columns[at].role = role;
        return FORAGE_OK;
    }
    for (size_t u = 0; usual[u]; u++)
        for (size_t i = 0; i < names->count; i++)
            if (reader->columns[i].role == FORAGE_ROLE_CONTEXT && same_name(names->list[i].name, usual[u])) {
                reader->columns[i].role = role;
                return FORAGE_OK;
            }
    return FORAGE_OK;
}

/* Checks that every name of a list is a column. */
static forage_status check_list(const forage_reader *reader, const data_names *names, const char *list,
                                forage_error *error)
{
    char name[256];
    while (list && *list) {
        size_t length = strcspn(list, ",");
        if (length >= sizeof name)
            return forage_fail(error, FORAGE_INVALID, "a column name of %zu bytes is too long", length);
        memcpy(name, list, length);
        name[length] = '\0';
        if (length && find_name(names, name) == SIZE_MAX)
            return missing_column(reader, names, NULL, name, NULL, error);
        list += length + (list[length] == ',');
    }
    return FORAGE_OK;
}

static forage_status check_names(const forage_reader *reader, const data_names *names, forage_error *error)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->list[i].name;
        if (!data_valid_utf8(name, strlen(name)))
            return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 1,
                                  data_excerpt_of(name, strlen(name)).text, "the name of column %zu is not UTF-8",
                                  i + 1);
        size_t first = find_name(names, name);
        if (first < i && !is_index_name(name))
            return forage_fail_at(error, FORAGE_FORMAT, reader->source.path, 1,
                                  data_excerpt_of(name, strlen(name)).text, "columns %zu and %zu have the same name",
                                  first + 1, i + 1);
    }
    return FORAGE_OK;
}

/* The role of a column that is none of the five. */
static forage_role other_role(data_purpose purpose, const forage_read_options *options, const char *name)
{
    if (purpose == DATA_USERS)
        return FORAGE_ROLE_USER_ATTRIBUTE;
    if (purpose == DATA_ITEMS)
        return FORAGE_ROLE_ITEM_ATTRIBUTE;
    if (data_list_has(options->context, name) || purpose == DATA_LABELLED)
        return FORAGE_ROLE_CONTEXT;
    if (data_list_has(options->user_columns, name))
        return FORAGE_ROLE_USER_ATTRIBUTE;
    if (data_list_has(options->item_columns, name) || data_usual_name(FORAGE_ROLE_ITEM_ATTRIBUTE, name))
        return FORAGE_ROLE_ITEM_ATTRIBUTE;
    return FORAGE_ROLE_CONTEXT;
}

/* The column of the label: by name, "first", "last", or number. */
static size_t find_label(const data_names *names, const char *label)
{
    uint64_t number;
    size_t named = find_name(names, label);
    if (named != SIZE_MAX)
        return named;
    if (strcmp(label, "first") == 0)
        return 0;
    if (strcmp(label, "last") == 0)
        return names->count - 1;
    return forage_parse_u64(label, strlen(label), &number) && number >= 1 && number <= names->count ? (size_t)number - 1
                                                                                                    : SIZE_MAX;
}

/* A labelled table has a label; all else is context. */
static forage_status assign_label(forage_reader *reader, const forage_read_options *options, const data_names *names,
                                  forage_error *error)
{
    FORAGE_TRY(check_list(reader, names, options->ignore, error));
    size_t label = find_label(names, options->item);
    if (label == SIZE_MAX)
        return missing_column(reader, names, NULL, options->item, NULL, error);
    if (reader->columns[label].role == FORAGE_ROLE_IGNORED && data_list_has(options->ignore, names->list[label].name))
        return forage_fail_at(error, FORAGE_INVALID, reader->source.path, 0, names->list[label].name,
                              "the column of the label cannot be ignored");
    reader->columns[label].role = FORAGE_ROLE_ITEM;
    return FORAGE_OK;
}

static forage_status assign_all(forage_reader *reader, const forage_read_options *options, const data_names *names,
                                forage_error *error)
{
    bool events = reader->purpose == DATA_EVENTS;
    if (reader->labelled)
        return assign_label(reader, options, names, error);
    if (reader->purpose != DATA_ITEMS)
        FORAGE_TRY(assign(reader, names, FORAGE_ROLE_USER, options->user, error));
    if (reader->purpose != DATA_USERS)
        FORAGE_TRY(assign(reader, names, FORAGE_ROLE_ITEM, options->item, error));
    if (!events)
        return FORAGE_OK;
    FORAGE_TRY(assign(reader, names, FORAGE_ROLE_VALUE, options->value, error));
    FORAGE_TRY(assign(reader, names, FORAGE_ROLE_TIME, options->time, error));
    FORAGE_TRY(assign(reader, names, FORAGE_ROLE_PROPENSITY, options->propensity, error));
    FORAGE_TRY(check_list(reader, names, options->context, error));
    FORAGE_TRY(check_list(reader, names, options->user_columns, error));
    FORAGE_TRY(check_list(reader, names, options->item_columns, error));
    return check_list(reader, names, options->ignore, error);
}

forage_status data_assign_roles(forage_reader *reader, const forage_read_options *options, const data_names *names,
                                forage_error *error)
{
    FORAGE_TRY(check_names(reader, names, error));
    reader->columns = forage_calloc(names->count, sizeof *reader->columns);
    if (!reader->columns)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu columns", names->count);
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->list[i].name;
        bool listed =
            !reader->labelled && (data_list_has(options->context, name) || data_list_has(options->user_columns, name) ||
                                  data_list_has(options->item_columns, name));
        forage_reader_column *column = &reader->columns[i];
        column->name = forage_strdup(name);
        if (!column->name)
            return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the names of columns");
        reader->column_count = i + 1;
        column->declared_type = data_list_has(options->categorical, name) ? FORAGE_CATEGORICAL
                                : data_list_has(options->numeric, name)   ? FORAGE_NUMERIC
                                                                          : names->list[i].declared_type;
        bool ignored = names->list[i].ignored || is_index_name(name) || data_list_has(options->ignore, name);
        /* While roles are given, CONTEXT marks what can still have one. */
        column->role = ignored  ? FORAGE_ROLE_IGNORED
                       : listed ? other_role(reader->purpose, options, name)
                                : FORAGE_ROLE_CONTEXT;
    }
    FORAGE_TRY(assign_all(reader, options, names, error));
    bool has_user = false, has_item = false;
    for (size_t i = 0; i < names->count; i++) {
        forage_reader_column *column = &reader->columns[i];
        if (column->role == FORAGE_ROLE_CONTEXT)
            column->role = other_role(reader->labelled ? DATA_LABELLED : reader->purpose, options, column->name);
        has_user |= column->role == FORAGE_ROLE_USER;
        has_item |= column->role == FORAGE_ROLE_ITEM;
    }
    if (reader->purpose != DATA_USERS && !has_item)
        return missing_column(reader, names, "item", NULL, "item", error);
    if (reader->purpose == DATA_USERS && !has_user)
        return missing_column(reader, names, "user", NULL, "user", error);
    for (size_t i = 0; i < names->count && !has_user; i++)
        if (reader->columns[i].role == FORAGE_ROLE_USER_ATTRIBUTE)
            return forage_fail_at(error, FORAGE_INVALID, reader->source.path, 0, reader->columns[i].name,
                                  "a log without users cannot have a user attribute");
    return FORAGE_OK;
}
