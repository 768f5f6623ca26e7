/*
 * text.h: text that grows, and strings made safe for the place they go to.
 *
 * Private to the room. What users and files bring (names of categories, ids,
 * paths) passes through one of the escaping functions here before it reaches
 * a page, a chart or a table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_TEXT_H
#define REPORT_TEXT_H

#include "forage/base.h"

#include <stdarg.h>

/* Grows as needed. After a failed allocation it stays `failed` and ignores what
 * is added, so that callers check once, at the end. Always terminated. */
typedef struct report_text {
    char *bytes;
    size_t used, room;
    bool failed;
} report_text;

void report_text_release(report_text *text);
void report_bytes(report_text *text, const char *bytes, size_t size);
void report_add(report_text *text, const char *plain);
/* printf's, but never with %f, %e or %g: those follow the locale. */
void report_format(report_text *text, const char *format, ...) FORAGE_PRINTF(2, 3);
void report_vformat(report_text *text, const char *format, va_list values) FORAGE_PRINTF(2, 0);
/* `plain`, and blanks up to `columns` characters. */
void report_padded(report_text *text, const char *plain, size_t columns);
/* The shortest text of `value` that reads back the same. */
void report_real(report_text *text, double value);
/* `value` with that many decimals (at most 9), "-" for what is not finite; the same in every locale. */
void report_fixed(report_text *text, double value, int decimals);
/* 0.2101 -> "21.0 %". */
void report_percent(report_text *text, double value, int decimals);
/* 200000 -> "200,000". */
void report_count(report_text *text, uint64_t value);

/* HTML text and attribute values; bytes that are not UTF-8 become U+FFFD, control characters blanks. */
void report_html(report_text *text, const char *plain);
/* The first `size` bytes of it. */
void report_html_part(report_text *text, const char *plain, size_t size);
/* A gnuplot string with its quotes: single-quoted, so that nothing in it is a command, an escape or a
 * substitution. At most `limit` characters, then an ellipsis; 0 means no limit. */
void report_quote(report_text *text, const char *plain, size_t limit);
/* The same for a label of tics, where gnuplot would also take % for a number format. */
void report_quote_tic(report_text *text, const char *plain, size_t limit);
/* One field of a CSV row, quoted where necessary (RFC 4180). */
void report_csv(report_text *text, const char *plain);
/* One JSON string with its quotes. */
void report_json(report_text *text, const char *plain);

/* The next character of a terminated string, U+FFFD for a byte that is not UTF-8; moves *at. 0 at the end. */
uint32_t report_character(const char **at);
/* Characters as above, with control characters and directional overrides made visible or blank. */
uint32_t report_safe_character(const char **at);
void report_add_character(report_text *text, uint32_t character);
/* How wide `plain` is in ems of a usual sans-serif face, about. */
double report_width(const char *plain);

/* Leaves nothing but ASCII, in place. */
void report_plain(report_text *text);

/* Writes the whole of `text` to `path`, or nothing. */
forage_status report_save(const report_text *text, const char *path, forage_error *error);

#endif
