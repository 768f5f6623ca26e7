/*
 * time.c: moments: what a text means as one, and a log as it was at one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/builder.h"

#include <math.h>
#include <string.h>

enum { SECONDS_TO_MICROSECONDS = 1000000 };

data_time_kind data_time_of(forage_text text, int64_t *time)
{
    double real;
    if (forage_parse_i64(text.bytes, text.length, time))
        return DATA_TIME_WHOLE;
    if (forage_parse_real(text.bytes, text.length, &real)) {
        if (real == floor(real) && fabs(real) < 9.2e18) {
            *time = (int64_t)real; /* "978300760.0", "1.5e15" */
            return DATA_TIME_WHOLE;
        }
        double scaled = real * SECONDS_TO_MICROSECONDS;
        if (!(fabs(scaled) < 9.2e18))
            return DATA_TIME_NONE;
        *time = llround(scaled);
        return DATA_TIME_FRACTION;
    }
    return data_parse_iso8601(text.bytes, text.length, time) ? DATA_TIME_CALENDAR : DATA_TIME_NONE;
}

forage_status forage_time_parse(const char *text, const forage_dataset *dataset, int64_t *time, forage_error *error)
{
    const char *name = dataset->time_name;
    data_time_kind kind = data_time_of((forage_text){text, strlen(text)}, time);
    if (!dataset->time)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, name, "the log has no times");
    if (kind == DATA_TIME_NONE)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, name,
                              "'%.60s' is neither a number nor a time as 2019-11-24 00:03:13+00:00", text);
    if ((kind == DATA_TIME_CALENDAR) != dataset->time_is_calendar)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, name, "'%.60s' is %s, but the log's times are %s", text,
                              dataset->time_is_calendar ? "a number" : "a date",
                              dataset->time_is_calendar ? "dates" : "numbers");
    for (size_t row = 0; row < dataset->count; row++) {
        if (dataset->time[row] <= *time)
            return FORAGE_OK;
    }
    return forage_fail_at(error, FORAGE_INVALID, NULL, 0, name, "'%.60s' is before all events of the log", text);
}

/* Columns of events keep the rows until `now`, in their order. */
static void keep_rows(forage_table *table, const int64_t *time, int64_t now, size_t left)
{
    for (size_t c = 0; c < table->column_count; c++) {
        forage_column *column = &table->columns[c];
        for (size_t row = 0, to = 0; row < table->rows; row++) {
            if (time[row] > now)
                continue;
            if (column->codes)
                column->codes[to] = column->codes[row];
            if (column->values)
                column->values[to] = column->values[row];
            to++;
        }
    }
    table->rows = left;
}

size_t forage_dataset_until(forage_dataset *dataset, int64_t now)
{
    size_t left = 0, parts[3] = {0}, count = dataset->count;
    if (!dataset->time)
        return 0;
    for (size_t row = 0; row < count; row++) {
        size_t validates = dataset->train_rows, tests = validates + dataset->validation_rows;
        bool stays = dataset->time[row] <= now;
        parts[row < validates ? 0 : row < tests ? 1 : 2] += stays;
        left += stays;
    }
    keep_rows(&dataset->context, dataset->time, now, left);
    for (size_t row = 0, to = 0; row < count; row++) { /* times last: they say which */
        if (dataset->time[row] > now)
            continue;
        if (dataset->user)
            dataset->user[to] = dataset->user[row];
        dataset->item[to] = dataset->item[row];
        if (dataset->value)
            dataset->value[to] = dataset->value[row];
        if (dataset->propensity)
            dataset->propensity[to] = dataset->propensity[row];
        dataset->time[to++] = dataset->time[row];
    }
    dataset->count = left;
    dataset->train_rows = parts[0];
    dataset->validation_rows = parts[1];
    dataset->test_rows = parts[2];
    return count - left;
}
