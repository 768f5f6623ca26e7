/*
 * Splits: which rows train, which validate, which test.
 *
 * scikit-learn's (model_selection/_split.py, ShuffleSplit): a permutation of the rows by
 * RandomState(seed); the first ceil(size x rows) of it are the held-out part, the others train, both in
 * the order of the permutation.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void forage_split_release(forage_split *split)
{
    forage_free(split->train);
    forage_free(split->validation);
    forage_free(split->test);
    *split = (forage_split){0};
}

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to split the log");
}

/* ---- the specification ---- */

typedef struct split_spec {
    const char *text;
    size_t validation, test; /* rows */
    uint64_t seed;
} split_spec;

static forage_status bad_spec(const split_spec *spec, const char *what, forage_error *error)
{
    return forage_fail(error, FORAGE_INVALID,
                       "split '%s': %s; there are none, sklearn:SIZE:SEED, random:SIZE:SEED, time:SIZE, tail:SIZE, "
                       "leave-last-out, leave-last-time-out, files, file:PATH",
                       data_excerpt_of(spec->text, strlen(spec->text)).text, what);
}

/* "0.2" of the rows, rounded up, or "1000" rows. */
static bool parse_size(const char *text, size_t length, size_t rows, size_t *size)
{
    double value;
    uint64_t whole;
    if (forage_parse_u64(text, length, &whole) && whole >= 1) {
        *size = whole < rows ? (size_t)whole : rows;
        return true;
    }
    if (!forage_parse_real(text, length, &value) || !(value > 0.0 && value < 1.0))
        return false;
    *size = (size_t)ceil(value * (double)rows);
    return true;
}

/* What stands behind the name: "0.2:42", "0.1,0.2". */
static forage_status parse_sizes(split_spec *spec, const char *text, size_t rows, bool seeded, forage_error *error)
{
    size_t size = strcspn(text, ":"), first = strcspn(text, ",:");
    if (!parse_size(text, first, rows, &spec->validation))
        return bad_spec(spec, "its size must be a fraction between 0 and 1 or a number of rows", error);
    if (first < size && !parse_size(text + first + 1, size - first - 1, rows, &spec->test))
        return bad_spec(spec, "its second size must be a fraction between 0 and 1 or a number of rows", error);
    if (text[size] == ':' && (!seeded || !forage_parse_u64(text + size + 1, strlen(text + size + 1), &spec->seed)))
        return bad_spec(spec, seeded ? "its seed must be a whole number" : "it takes no seed", error);
    if (spec->validation + spec->test >= rows)
        return bad_spec(spec, "nothing would be left to train on", error);
    return FORAGE_OK;
}

/* ---- making the parts ---- */

static forage_status allocate(forage_split *split, size_t train, size_t validation, size_t test, forage_error *error)
{
    split->train = forage_alloc(train, sizeof *split->train);
    split->validation = forage_alloc(validation, sizeof *split->validation);
    split->test = forage_alloc(test, sizeof *split->test);
    if (!split->train || !split->validation || !split->test)
        return no_memory(error);
    split->train_count = train;
    split->validation_count = validation;
    split->test_count = test;
    return FORAGE_OK;
}

static void fill(uint32_t *rows, size_t count, size_t first)
{
    for (size_t i = 0; i < count; i++)
        rows[i] = (uint32_t)(first + i);
}

/* `order` is cut into test (first), validation, train. */
static forage_status cut_front(const split_spec *spec, const uint32_t *order, size_t rows, forage_split *split,
                               forage_error *error)
{
    size_t held = spec->test + spec->validation;
    FORAGE_TRY(allocate(split, rows - held, spec->validation, spec->test, error));
    memcpy(split->test, order, spec->test * sizeof *order);
    memcpy(split->validation, order + spec->test, spec->validation * sizeof *order);
    memcpy(split->train, order + held, (rows - held) * sizeof *order);
    return FORAGE_OK;
}

/* `order` is cut into train, validation, test (last). */
static forage_status cut_back(const split_spec *spec, const uint32_t *order, size_t rows, forage_split *split,
                              forage_error *error)
{
    size_t train = rows - spec->validation - spec->test;
    FORAGE_TRY(allocate(split, train, spec->validation, spec->test, error));
    memcpy(split->train, order, train * sizeof *order);
    memcpy(split->validation, order + train, spec->validation * sizeof *order);
    memcpy(split->test, order + train + spec->validation, spec->test * sizeof *order);
    return FORAGE_OK;
}

static forage_status split_random(const split_spec *spec, bool sklearn, uint32_t *order, size_t rows,
                                  forage_split *split, forage_error *error)
{
    if (sklearn) {
        forage_mt19937 rng;
        if (spec->test)
            return bad_spec(spec, "train_test_split has one size", error);
        if (spec->seed > UINT32_MAX)
            return bad_spec(spec, "its seed must be below 2^32", error);
        forage_mt19937_seed(&rng, (uint32_t)spec->seed);
        forage_mt19937_permute(&rng, order, rows);
    } else {
        forage_rng rng;
        forage_rng_seed(&rng, spec->seed);
        forage_rng_permute(&rng, order, rows);
    }
    return cut_front(spec, order, rows, split, error);
}

/* Sorts rows by time, stably: merge sort from short runs upwards. `scratch` has `count` entries too. */
static void sort_by_time(uint32_t *rows, uint32_t *scratch, size_t count, const int64_t *time)
{
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = start + 2 * width < count ? start + 2 * width : count;
            size_t a = start, b = middle;
            for (size_t out = start; out < end; out++)
                scratch[out] = b >= end || (a < middle && time[rows[a]] <= time[rows[b]]) ? rows[a++] : rows[b++];
        }
        memcpy(rows, scratch, count * sizeof *rows);
    }
}

/* Rows by time; as they are if the log has none. */
static forage_status order_by_time(const forage_dataset *dataset, uint32_t *order, forage_error *error)
{
    bool sorted = true;
    for (size_t i = 1; dataset->time && sorted && i < dataset->count; i++)
        sorted = dataset->time[i - 1] <= dataset->time[i];
    if (!dataset->time || sorted)
        return FORAGE_OK;
    uint32_t *scratch = forage_alloc(dataset->count, sizeof *scratch);
    if (!scratch)
        return no_memory(error);
    sort_by_time(order, scratch, dataset->count, dataset->time);
    forage_free(scratch);
    return FORAGE_OK;
}

/* Rows in order of the log by their part: 0 train, 1 test, 2 validation. */
static void take_parts(const uint8_t *part, size_t count, forage_split *split)
{
    size_t train = 0, validation = 0, test = 0;
    for (size_t i = 0; i < count; i++) {
        if (part[i] == 0)
            split->train[train++] = (uint32_t)i;
        else if (part[i] == 1)
            split->test[test++] = (uint32_t)i;
        else
            split->validation[validation++] = (uint32_t)i;
    }
}

/* The last two rows of each user, in `order`: of users with three or more. */
static forage_status split_last_out(const forage_dataset *dataset, const uint32_t *order, forage_split *split,
                                    forage_error *error)
{
    enum { SHORTEST = 3 };
    size_t users = forage_vocabulary_count(dataset->users), held = 0;
    uint32_t *left = forage_calloc(users, sizeof *left);
    uint8_t *part = forage_calloc(dataset->count, 1); /* 0 train, 1 test, 2 validation */
    forage_status status = FORAGE_OK;
    if (!left || !part) {
        status = no_memory(error);
        goto done;
    }
    for (size_t i = 0; i < dataset->count; i++)
        left[dataset->user[i]]++;
    for (size_t u = 0; u < users; u++) {
        held += left[u] >= SHORTEST;
        left[u] = left[u] >= SHORTEST ? 2 : 0;
    }
    for (size_t i = dataset->count; i-- > 0;) {
        uint32_t *waiting = &left[dataset->user[order[i]]];
        if (*waiting)
            part[order[i]] = (*waiting)-- == 2 ? 1 : 2;
    }
    FORAGE_TRY_GOTO(allocate(split, dataset->count - 2 * held, held, held, error), done);
    take_parts(part, dataset->count, split);
done:
    forage_free(left);
    forage_free(part);
    return status;
}

/* The rows of each user's last time test, those of the time before it validate: of users with three times or more.
 * `order` is by time. */
static forage_status split_last_time(const forage_dataset *dataset, const uint32_t *order, forage_split *split,
                                     forage_error *error)
{
    enum { SHORTEST = 3 };
    size_t users = forage_vocabulary_count(dataset->users), counts[3] = {0};
    uint32_t *times = forage_calloc(users, sizeof *times); /* different ones; then, which it is from the end */
    int64_t *last = forage_calloc(users, sizeof *last);
    uint8_t *part = forage_calloc(dataset->count, 1); /* 0 train, 1 test, 2 validation */
    forage_status status = FORAGE_OK;
    if (!times || !last || !part) {
        status = no_memory(error);
        goto done;
    }
    for (size_t i = 0; i < dataset->count; i++) {
        uint32_t user = dataset->user[order[i]];
        times[user] += times[user] == 0 || last[user] != dataset->time[order[i]];
        last[user] = dataset->time[order[i]];
    }
    for (size_t u = 0; u < users; u++)
        times[u] = times[u] >= SHORTEST ? 1 : SHORTEST;
    for (size_t i = dataset->count; i-- > 0;) {
        uint32_t row = order[i], user = dataset->user[row];
        times[user] += times[user] < SHORTEST && last[user] != dataset->time[row];
        last[user] = dataset->time[row];
        part[row] = times[user] < SHORTEST ? (uint8_t)times[user] : 0;
        counts[part[row]]++;
    }
    FORAGE_TRY_GOTO(allocate(split, counts[0], counts[2], counts[1], error), done);
    take_parts(part, dataset->count, split);
done:
    forage_free(times);
    forage_free(last);
    forage_free(part);
    return status;
}

static forage_status split_files(const forage_dataset *dataset, forage_split *split, forage_error *error)
{
    FORAGE_TRY(allocate(split, dataset->train_rows, dataset->validation_rows, dataset->test_rows, error));
    fill(split->train, split->train_count, 0);
    fill(split->validation, split->validation_count, dataset->train_rows);
    fill(split->test, split->test_count, dataset->train_rows + dataset->validation_rows);
    return FORAGE_OK;
}

/* ---- parts from a file ---- */

static forage_status read_part(data_source *source, uint8_t *part, bool *end, forage_error *error)
{
    static const char *const words[] = {"-", "train", "validation", "test"};
    const char *stop;
    *end = false;
    while (!(stop = memchr(source->buffer + source->start, '\n', source->end - source->start))) {
        if (source->ended) {
            *end = true;
            return FORAGE_OK;
        }
        FORAGE_TRY(data_source_fill(source, error));
    }
    const char *start = source->buffer + source->start;
    size_t length = (size_t)(stop - start);
    length -= length && start[length - 1] == '\r';
    for (uint8_t i = 0; i < 4; i++)
        if (strlen(words[i]) == length && memcmp(words[i], start, length) == 0) {
            *part = i;
            source->start = (size_t)(stop + 1 - source->buffer);
            source->line++;
            return FORAGE_OK;
        }
    return forage_fail_at(error, FORAGE_FORMAT, source->path, source->line, NULL,
                          "'%s' is none of train, validation, test, -", data_excerpt_of(start, length).text);
}

static forage_status split_file(const char *path, const forage_dataset *dataset, forage_split *split,
                                forage_error *error)
{
    data_source source;
    forage_status status;
    size_t counts[4] = {0}, at[4] = {0};
    uint8_t more;
    bool end = false;
    uint8_t *parts = forage_alloc(dataset->count, 1);
    if (!parts)
        return no_memory(error);
    FORAGE_TRY_GOTO(data_source_open(&source, path, 0, error), closed);
    for (size_t i = 0; i < dataset->count; i++) {
        FORAGE_TRY_GOTO(read_part(&source, &parts[i], &end, error), done);
        if (end) {
            status = forage_fail_at(error, FORAGE_FORMAT, path, source.line, NULL,
                                    "the file ends after %zu lines, the log has %zu rows", i, dataset->count);
            goto done;
        }
        counts[parts[i]]++;
    }
    FORAGE_TRY_GOTO(read_part(&source, &more, &end, error), done);
    if (!end) {
        status = forage_fail_at(error, FORAGE_FORMAT, path, source.line - 1, NULL,
                                "there are more lines than the log has rows (%zu)", dataset->count);
        goto done;
    }
    FORAGE_TRY_GOTO(allocate(split, counts[1], counts[2], counts[3], error), done);
    uint32_t *const rows[] = {NULL, split->train, split->validation, split->test};
    for (size_t i = 0; i < dataset->count; i++)
        if (parts[i])
            rows[parts[i]][at[parts[i]]++] = (uint32_t)i;
done:
    data_source_close(&source);
closed:
    forage_free(parts);
    return status;
}

/* ---- the face ---- */

/* What stands behind "name" or "name:", or NULL if `spec` is not that. */
static const char *after(const char *spec, const char *name)
{
    size_t length = strlen(name);
    return strncmp(spec, name, length) == 0 ? spec + length : NULL;
}

static forage_status parse(split_spec *spec, const forage_dataset *dataset, uint32_t *order, forage_split *split,
                           forage_error *error)
{
    const char *rest;
    size_t rows = dataset->count;
    if (strcmp(spec->text, "files") == 0)
        return split_files(dataset, split, error);
    if ((rest = after(spec->text, "file:")))
        return split_file(rest, dataset, split, error);
    /* A cut through all rows would mix the events of those files into training. */
    if (dataset->validation_rows || dataset->test_rows)
        return bad_spec(spec, "the events of validation or test come from files of their own, so only 'files' fits",
                        error);
    if (strcmp(spec->text, "none") == 0)
        return cut_back(spec, order, rows, split, error);
    if (strcmp(spec->text, "leave-last-out") == 0) {
        if (!dataset->user)
            return forage_fail(error, FORAGE_INVALID, "split leave-last-out: the log names no users");
        FORAGE_TRY(order_by_time(dataset, order, error));
        return split_last_out(dataset, order, split, error);
    }
    if (strcmp(spec->text, "leave-last-time-out") == 0) {
        if (!dataset->user || !dataset->time)
            return forage_fail(error, FORAGE_INVALID, "split leave-last-time-out: the log has no %s",
                               dataset->user ? "column of times" : "users");
        FORAGE_TRY(order_by_time(dataset, order, error));
        return split_last_time(dataset, order, split, error);
    }
    bool sklearn = after(spec->text, "sklearn:") != NULL;
    if ((rest = after(spec->text, "sklearn:")) || (rest = after(spec->text, "random:"))) {
        FORAGE_TRY(parse_sizes(spec, rest, rows, true, error));
        return split_random(spec, sklearn, order, rows, split, error);
    }
    if ((rest = after(spec->text, "time:"))) {
        if (!dataset->time)
            return forage_fail(error, FORAGE_INVALID,
                               "split '%s': the log has no column of times (tail:SIZE takes its last rows)",
                               spec->text);
        FORAGE_TRY(parse_sizes(spec, rest, rows, false, error));
        FORAGE_TRY(order_by_time(dataset, order, error));
        return cut_back(spec, order, rows, split, error);
    }
    if ((rest = after(spec->text, "tail:"))) {
        FORAGE_TRY(parse_sizes(spec, rest, rows, false, error));
        return cut_back(spec, order, rows, split, error);
    }
    return bad_spec(spec, "there is no such split", error);
}

forage_status forage_split_parse(const char *spec, const forage_dataset *dataset, forage_split *split,
                                 forage_error *error)
{
    split_spec own = {.text = spec};
    *split = (forage_split){0};
    uint32_t *order = forage_alloc(dataset->count, sizeof *order);
    if (!order)
        return no_memory(error);
    fill(order, dataset->count, 0);
    forage_status status = parse(&own, dataset, order, split, error);
    forage_free(order);
    if (status != FORAGE_OK)
        forage_split_release(split);
    return status;
}
