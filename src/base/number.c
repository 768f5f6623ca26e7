/*
 * Numbers in text, the same in every locale.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The C locale, made once: a host program may have set another one. */
static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

bool forage_parse_u64(const char *text, size_t length, uint64_t *value)
{
    uint64_t sum = 0;
    if (length == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(sum, (uint64_t)10, &sum) || __builtin_add_overflow(sum, digit, &sum))
            return false;
    }
    *value = sum;
    return true;
}

bool forage_parse_i64(const char *text, size_t length, int64_t *value)
{
    bool negative = length > 0 && text[0] == '-';
    uint64_t size;
    if (length > 0 && (text[0] == '-' || text[0] == '+')) {
        text++;
        length--;
    }
    if (!forage_parse_u64(text, length, &size) || size > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *value = negative ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}

/* Digits with at most one point, of at most 2^53 and 18 digits: one exact
 * division gives the correctly rounded value (Clinger 1990). False: not such. */
static bool parse_simple(const char *text, size_t length, double *value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
                                    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};
    size_t i = 0, digits = 0, decimals = 0;
    bool point = false, negative = false;
    uint64_t mantissa = 0;
    if (i < length && text[i] == '-') {
        negative = true;
        i++;
    }
    for (; i < length; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit <= 9) {
            mantissa = mantissa * 10 + digit;
            digits++;
            decimals += point;
        } else if (text[i] == '.' && !point) {
            point = true;
        } else {
            return false;
        }
        if (digits > 18)
            return false;
    }
    if (digits == 0 || mantissa > (uint64_t)1 << 53)
        return false;
    double number = (double)mantissa / powers[decimals];
    *value = negative ? -number : number;
    return true;
}

bool forage_parse_real(const char *text, size_t length, double *value)
{
    char buffer[512], *end;
    if (parse_simple(text, length, value))
        return true;
    if (length == 0 || length >= sizeof buffer)
        return false;
    /* strtod also takes leading blanks and hexadecimal; a log's numbers are neither. */
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] <= ' ' || text[i] == 'x' || text[i] == 'X' || text[i] == '(')
            return false;
    }
    memcpy(buffer, text, length);
    buffer[length] = '\0';
    pthread_once(&c_locale_once, make_c_locale);
    *value = c_locale ? strtod_l(buffer, &end, c_locale) : strtod(buffer, &end);
    return end == buffer + length;
}

size_t forage_format_real(double value, char buffer[32])
{
    if (isnan(value))
        return (size_t)snprintf(buffer, 32, "nan");
    if (isinf(value))
        return (size_t)snprintf(buffer, 32, value < 0 ? "-inf" : "inf");
    if (fabs(value) < 1e15 && value == floor(value) && !(value == 0 && signbit(value)))
        return (size_t)snprintf(buffer, 32, "%.0f", value); /* 20, not 2e+01 */
    for (int precision = 1;; precision++) {
        double back;
        int length = snprintf(buffer, 32, "%.*g", precision, value);
        char *comma = strchr(buffer, ','); /* the decimal sign of the host's locale */
        if (comma)
            *comma = '.';
        if (precision == 17 || (forage_parse_real(buffer, (size_t)length, &back) && back == value))
            return (size_t)length;
    }
}

void forage_append(char *buffer, size_t size, size_t *used, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(*used < size ? buffer + *used : NULL, *used < size ? size - *used : 0, format, arguments);
    va_end(arguments);
    if (length > 0)
        *used += (size_t)length;
}
