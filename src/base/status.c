/*
 * Status codes, their names and texts, and the error object.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number

const char *forage_version(void)
{
    return TEXT_OF(FORAGE_VERSION_MAJOR) "." TEXT_OF(FORAGE_VERSION_MINOR) "." TEXT_OF(FORAGE_VERSION_PATCH);
}

const char *forage_status_name(forage_status status)
{
    switch (status) {
#define CASE(name, text) \
    case FORAGE_##name:  \
        return "FORAGE_" #name;
        FORAGE_STATUS_LIST(CASE)
#undef CASE
    }
    return "unknown status";
}

const char *forage_status_text(forage_status status)
{
    switch (status) {
#define CASE(name, text) \
    case FORAGE_##name:  \
        return text;
        FORAGE_STATUS_LIST(CASE)
#undef CASE
    }
    return "unknown status";
}

/* Copies the end of a long path: its last part names the file. */
static void copy_tail(char *to, size_t size, const char *from)
{
    size_t length = from ? strlen(from) : 0;
    if (length >= size) {
        from += length - (size - 1) + 3;
        snprintf(to, size, "...%s", from);
    } else {
        snprintf(to, size, "%s", from ? from : "");
    }
}

/* Ids and names come from files: what would break the line, or steer a terminal, is shown as '?'. */
static void tame(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = '?';
    }
}

#undef forage_fail
#undef forage_fail_at

FORAGE_PRINTF(6, 0)
static forage_status fail_v(forage_error *error, forage_status status, const char *file, uint64_t line,
                            const char *field, const char *format, va_list arguments)
{
    if (!error)
        return status;
    error->status = status;
    error->line = line;
    error->column = 0;
    copy_tail(error->file, sizeof error->file, file);
    snprintf(error->field, sizeof error->field, "%s", field ? field : "");
    vsnprintf(error->message, sizeof error->message, format, arguments);
    tame(error->field);
    tame(error->message);
    return status;
}

forage_status forage_fail(forage_error *error, forage_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail_v(error, status, NULL, 0, NULL, format, arguments);
    va_end(arguments);
    return status;
}

forage_status forage_fail_at(forage_error *error, forage_status status, const char *file, uint64_t line,
                             const char *field, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail_v(error, status, file, line, field, format, arguments);
    va_end(arguments);
    return status;
}

size_t forage_error_text(const forage_error *error, char *buffer, size_t size)
{
    char place[320] = "";
    char field[80] = "";
    if (error->file[0] && error->line && error->column)
        snprintf(place, sizeof place, "%s:%llu:%llu: ", error->file, (unsigned long long)error->line,
                 (unsigned long long)error->column);
    else if (error->file[0] && error->line)
        snprintf(place, sizeof place, "%s:%llu: ", error->file, (unsigned long long)error->line);
    else if (error->file[0])
        snprintf(place, sizeof place, "%s: ", error->file);
    if (error->field[0])
        snprintf(field, sizeof field, "field '%s': ", error->field);
    const char *message = error->message[0] ? error->message : forage_status_text(error->status);
    int length = snprintf(buffer, size, "%s%s%s", place, field, message);
    return length < 0 ? 0 : (size_t)length;
}
