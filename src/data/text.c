/*
 * Small things about text: excerpts for messages, UTF-8, ISO 8601.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <stdio.h>
#include <string.h>

data_excerpt data_excerpt_of(const char *bytes, size_t length)
{
    enum { LONGEST = 40 };
    data_excerpt excerpt;
    size_t shown = length > LONGEST ? LONGEST : length;
    /* Never end within a character of several bytes. */
    while (shown < length && shown > 0 && ((unsigned char)bytes[shown] & 0xc0) == 0x80)
        shown--;
    bool utf8 = data_valid_utf8(bytes, shown);
    for (size_t i = 0; i < shown; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        excerpt.text[i] = byte < ' ' || byte == 0x7f || (byte >= 0x80 && !utf8) ? '?' : bytes[i];
    }
    memcpy(excerpt.text + shown, shown < length ? "..." : "", shown < length ? 4 : 1);
    return excerpt;
}

bool data_valid_utf8(const char *bytes, size_t length)
{
    const unsigned char *text = (const unsigned char *)bytes;
    size_t i = 0;
    while (i < length) {
        unsigned char first = text[i++];
        if (first < 0x80)
            continue;
        size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || length - i < more)
            return false;
        /* The second byte rules out overlong forms, surrogates and what lies above U+10FFFF. */
        unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if (text[i] < least || text[i] > most)
            return false;
        for (size_t k = 1; k < more; k++)
            if ((text[i + k] & 0xc0) != 0x80)
                return false;
        i += more;
    }
    return true;
}

/* ---- ISO 8601 ---- */

/* Takes exactly `digits` digits at *at. */
static bool take_number(const char **at, const char *end, int digits, int *number)
{
    *number = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (*at == end || **at < '0' || **at > '9')
            return false;
        *number = *number * 10 + (**at - '0');
    }
    return true;
}

static bool take(const char **at, const char *end, char wanted)
{
    if (*at == end || **at != wanted)
        return false;
    (*at)++;
    return true;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar (counted in years that begin in March). */
static int64_t days_from_civil(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* "13.442536": seconds with up to nine decimals, cut to microseconds. */
static bool take_seconds(const char **at, const char *end, int *second, int64_t *microseconds)
{
    *microseconds = 0;
    if (!take_number(at, end, 2, second))
        return false;
    if (*at == end || (**at != '.' && **at != ','))
        return true;
    (*at)++;
    int decimals = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++, decimals++)
        if (decimals < 6)
            *microseconds = *microseconds * 10 + (**at - '0');
    for (int i = decimals; i < 6; i++)
        *microseconds *= 10;
    return decimals > 0 && decimals <= 9;
}

/* "Z", "+09", "+0900" or "+09:00"; nothing is UTC. */
static bool take_zone(const char **at, const char *end, int *minutes)
{
    int hour, minute = 0;
    *minutes = 0;
    if (*at == end || take(at, end, 'Z') || take(at, end, 'z'))
        return true;
    int sign = **at == '+' ? 1 : **at == '-' ? -1 : 0;
    if (sign == 0)
        return false;
    (*at)++;
    if (!take_number(at, end, 2, &hour))
        return false;
    take(at, end, ':');
    if (*at < end && !take_number(at, end, 2, &minute))
        return false;
    *minutes = sign * (hour * 60 + minute);
    return hour <= 23 && minute <= 59;
}

bool data_parse_iso8601(const char *text, size_t length, int64_t *microseconds)
{
    const char *at = text, *end = text + length;
    int year, month, day, hour = 0, minute = 0, second = 0, zone = 0;
    int64_t fraction = 0;
    if (!take_number(&at, end, 4, &year) || !take(&at, end, '-') || !take_number(&at, end, 2, &month) ||
        !take(&at, end, '-') || !take_number(&at, end, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    if (at < end) {
        if (!take(&at, end, 'T') && !take(&at, end, ' ') && !take(&at, end, 't'))
            return false;
        if (!take_number(&at, end, 2, &hour) || !take(&at, end, ':') || !take_number(&at, end, 2, &minute))
            return false;
        if (take(&at, end, ':') && !take_seconds(&at, end, &second, &fraction))
            return false;
        take(&at, end, ' ');
        if (!take_zone(&at, end, &zone) || at != end)
            return false;
    }
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + (minute - zone) * 60 + second;
    *microseconds = seconds * 1000000 + fraction;
    return true;
}

/* The date that is so many days after 1970-01-01 (the inverse of days_from_civil). */
static void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

size_t data_format_iso8601(int64_t microseconds, char buffer[40])
{
    int64_t seconds = microseconds / 1000000, fraction = microseconds % 1000000, year;
    int month, day;
    if (fraction < 0) {
        fraction += 1000000;
        seconds--;
    }
    int64_t days = seconds / 86400, second = seconds % 86400;
    if (second < 0) {
        second += 86400;
        days--;
    }
    civil_from_days(days, &year, &month, &day);
    if (year < 0 || year > 9999)
        return 0;
    return (size_t)snprintf(buffer, 40, "%04d-%02d-%02d %02d:%02d:%02d.%06d+00:00", (int)year, month, day,
                            (int)(second / 3600), (int)(second / 60 % 60), (int)(second % 60), (int)fraction);
}

size_t data_format_float(float value, char buffer[32])
{
    for (int digits = 6; digits < 9; digits++) {
        double real;
        int length = snprintf(buffer, 32, "%.*g", digits, (double)value);
        if (forage_parse_real(buffer, (size_t)length, &real) && (float)real == value)
            return (size_t)length;
    }
    return forage_format_real((double)value, buffer);
}
