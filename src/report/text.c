/*
 * Text that grows, and strings made safe for the place they go to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void report_text_release(report_text *text)
{
    forage_free(text->bytes);
    *text = (report_text){0};
}

/* Room for `size` more bytes and the terminator. */
static bool make_room(report_text *text, size_t size)
{
    if (text->failed)
        return false;
    if (text->room - text->used > size)
        return true;
    size_t room = text->room ? text->room : 256;
    while (room - text->used <= size && room < SIZE_MAX / 2)
        room *= 2;
    char *bytes = forage_realloc(text->bytes, text->room, room, 1);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->room = room;
    return true;
}

void report_bytes(report_text *text, const char *bytes, size_t size)
{
    if (!make_room(text, size))
        return;
    memcpy(text->bytes + text->used, bytes, size);
    text->used += size;
    text->bytes[text->used] = '\0';
}

void report_add(report_text *text, const char *plain)
{
    report_bytes(text, plain, strlen(plain));
}

void report_vformat(report_text *text, const char *format, va_list values)
{
    va_list again;
    va_copy(again, values);
    int length = vsnprintf(NULL, 0, format, values);
    if (length < 0)
        text->failed = true;
    else if (make_room(text, (size_t)length)) {
        vsnprintf(text->bytes + text->used, (size_t)length + 1, format, again);
        text->used += (size_t)length;
    }
    va_end(again);
}

void report_format(report_text *text, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    report_vformat(text, format, values);
    va_end(values);
}

/* ------------------------------------------------------------------ *
 * Numbers
 * ------------------------------------------------------------------ */

void report_padded(report_text *text, const char *plain, size_t columns)
{
    size_t used = 0;
    report_add(text, plain);
    while (report_character(&plain) != 0)
        ++used;
    for (; used < columns; ++used)
        report_add(text, " ");
}

void report_real(report_text *text, double value)
{
    char buffer[32];
    size_t length = forage_format_real(value, buffer);
    report_bytes(text, buffer, length);
}

void report_fixed(report_text *text, double value, int decimals)
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    if (!isfinite(value)) {
        report_add(text, "–");
        return;
    }
    if (fabs(value) >= 1e9) {
        report_real(text, value);
        return;
    }
    uint64_t scale = (uint64_t)powers[decimals];
    uint64_t whole = (uint64_t)llround(fabs(value) * powers[decimals]);
    if (value < 0 && whole > 0)
        report_add(text, "−");
    report_format(text, "%llu", (unsigned long long)(whole / scale));
    if (decimals > 0)
        report_format(text, ".%0*llu", decimals, (unsigned long long)(whole % scale));
}

void report_percent(report_text *text, double value, int decimals)
{
    report_fixed(text, 100 * value, decimals);
    if (isfinite(value))
        report_add(text, "\u00a0%");
}

void report_count(report_text *text, uint64_t value)
{
    if (value >= 1000) {
        report_count(text, value / 1000);
        report_format(text, ",%03u", (unsigned)(value % 1000));
    } else {
        report_format(text, "%u", (unsigned)value);
    }
}

/* ------------------------------------------------------------------ *
 * Characters
 * ------------------------------------------------------------------ */

enum { REPLACEMENT = 0xFFFD };

uint32_t report_character(const char **at)
{
    const unsigned char *bytes = (const unsigned char *)*at;
    if (bytes[0] == 0)
        return 0;
    *at += 1;
    if (bytes[0] < 0x80)
        return bytes[0];
    int more = bytes[0] >= 0xF0 && bytes[0] < 0xF5 ? 3 : bytes[0] >= 0xE0 ? 2 : bytes[0] >= 0xC2 ? 1 : 0;
    if (more == 0 || bytes[0] >= 0xF5)
        return REPLACEMENT;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint32_t character = bytes[0] & (0x3Fu >> more);
    for (int i = 1; i <= more; ++i) {
        if ((bytes[i] & 0xC0) != 0x80)
            return REPLACEMENT;
        character = character << 6 | (bytes[i] & 0x3Fu);
    }
    bool surrogate = character >= 0xD800 && character < 0xE000;
    if (character < least[more] || character > 0x10FFFF || surrogate || (character & 0xFFFE) == 0xFFFE)
        return REPLACEMENT;
    *at += more;
    return character;
}

uint32_t report_safe_character(const char **at)
{
    uint32_t character = report_character(at);
    if (character == 0)
        return 0;
    bool control = character < 0x20 || (character >= 0x7F && character < 0xA0);
    bool line = character == 0x2028 || character == 0x2029;
    bool directional = (character >= 0x202A && character <= 0x202E) || (character >= 0x2066 && character <= 0x2069) ||
                       character == 0x200E || character == 0x200F;
    if (control || line)
        return ' ';
    return directional ? REPLACEMENT : character;
}

void report_add_character(report_text *text, uint32_t c)
{
    char bytes[4];
    size_t size;
    if (c < 0x80) {
        bytes[0] = (char)c;
        size = 1;
    } else if (c < 0x800) {
        bytes[0] = (char)(0xC0 | c >> 6);
        bytes[1] = (char)(0x80 | (c & 0x3F));
        size = 2;
    } else if (c < 0x10000) {
        bytes[0] = (char)(0xE0 | c >> 12);
        bytes[1] = (char)(0x80 | (c >> 6 & 0x3F));
        bytes[2] = (char)(0x80 | (c & 0x3F));
        size = 3;
    } else {
        bytes[0] = (char)(0xF0 | c >> 18);
        bytes[1] = (char)(0x80 | (c >> 12 & 0x3F));
        bytes[2] = (char)(0x80 | (c >> 6 & 0x3F));
        bytes[3] = (char)(0x80 | (c & 0x3F));
        size = 4;
    }
    report_bytes(text, bytes, size);
}

double report_width(const char *plain)
{
    double width = 0;
    for (uint32_t c; (c = report_safe_character(&plain)) != 0;) {
        if (c < 0x80 && strchr("ijl.,:;'|!()[]f t", (int)c))
            width += 0.36;
        else if (c >= 'A' && c <= 'Z')
            width += 0.71;
        else if (c == 'm' || c == 'w' || c == '%')
            width += 0.85;
        else
            width += c >= 0x1100 && (c < 0x2000 || c > 0x2BFF) ? 1.05 : 0.63;
    }
    return width;
}

/* ------------------------------------------------------------------ *
 * Escaping
 * ------------------------------------------------------------------ */

void report_html(report_text *text, const char *plain)
{
    report_html_part(text, plain, SIZE_MAX);
}

void report_html_part(report_text *text, const char *plain, size_t size)
{
    const char *start = plain;
    for (uint32_t c; (size_t)(plain - start) < size && (c = report_safe_character(&plain)) != 0;) {
        switch (c) {
        case '&':
            report_add(text, "&amp;");
            break;
        case '<':
            report_add(text, "&lt;");
            break;
        case '>':
            report_add(text, "&gt;");
            break;
        case '"':
            report_add(text, "&quot;");
            break;
        case '\'':
            report_add(text, "&#39;");
            break;
        default:
            report_add_character(text, c);
        }
    }
}

static void quote(report_text *text, const char *plain, size_t limit, bool tic)
{
    report_add(text, "'");
    size_t count = 0;
    for (uint32_t c; (c = report_safe_character(&plain)) != 0; ++count) {
        if (limit > 0 && count + 1 >= limit && *plain != '\0') {
            report_add(text, "…");
            break;
        }
        if (c == '\'')
            report_add(text, "''");
        else if (c == '%' && tic)
            report_add(text, "%%");
        else
            report_add_character(text, c);
    }
    report_add(text, "'");
}

void report_quote(report_text *text, const char *plain, size_t limit)
{
    quote(text, plain, limit, false);
}

void report_quote_tic(report_text *text, const char *plain, size_t limit)
{
    quote(text, plain, limit, true);
}

void report_csv(report_text *text, const char *plain)
{
    if (!plain[strcspn(plain, "\",\r\n")]) {
        report_add(text, plain);
        return;
    }
    report_add(text, "\"");
    for (; *plain; ++plain) {
        if (*plain == '"')
            report_add(text, "\"");
        report_bytes(text, plain, 1);
    }
    report_add(text, "\"");
}

void report_json(report_text *text, const char *plain)
{
    report_add(text, "\"");
    for (uint32_t c; (c = report_character(&plain)) != 0;) {
        if (c == '"' || c == '\\')
            report_format(text, "\\%c", (int)c);
        else if (c < 0x20 || c == 0x7F)
            report_format(text, "\\u%04x", (unsigned)c);
        else
            report_add_character(text, c);
    }
    report_add(text, "\"");
}

void report_plain(report_text *text)
{
    const char *at = text->bytes;
    char *out = text->bytes;
    for (uint32_t c; at && (c = report_character(&at)) != 0;) {
        bool dash = c == 0x2212 || c == 0x2013, quote = c == 0x2019;
        *out++ = c < 0x80 ? (char)c : dash ? '-' : quote ? '\'' : c == 0xA0 ? ' ' : '?';
    }
    if (out) {
        *out = '\0';
        text->used = (size_t)(out - text->bytes);
    }
}

forage_status report_save(const report_text *text, const char *path, forage_error *error)
{
    if (text->failed)
        return forage_fail_at(error, FORAGE_NO_MEMORY, path, 0, NULL, "no memory for its text");
    forage_output *output;
    FORAGE_TRY(forage_output_open(path, &output, error));
    forage_status status = forage_output_write(output, text->bytes ? text->bytes : "", text->used, error);
    if (status != FORAGE_OK) {
        forage_output_discard(output);
        return status;
    }
    return forage_output_commit(output, error);
}
