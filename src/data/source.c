/*
 * A file as a sequence of bytes, block by block in one buffer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void data_source_close(data_source *source)
{
    if (source->descriptor > STDERR_FILENO)
        close(source->descriptor);
    forage_free(source->path);
    forage_free(source->buffer);
    *source = (data_source){.descriptor = -1};
}

/* Marks of what is not text in UTF-8, told apart at the file's first bytes. */
static forage_status check_first_bytes(data_source *source, forage_error *error)
{
    const unsigned char *bytes = (const unsigned char *)source->buffer;
    if (source->end >= 2 && ((bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] == 0xfe && bytes[1] == 0xff)))
        return forage_fail_at(error, FORAGE_FORMAT, source->path, 1, NULL,
                              "this is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8");
    if (source->end >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b)
        return forage_fail_at(error, FORAGE_FORMAT, source->path, 0, NULL,
                              "this is compressed by gzip; unpack it first, or pipe it: zcat FILE | forage import -");
    if (source->end >= 3 && bytes[0] == 0xef && bytes[1] == 0xbb && bytes[2] == 0xbf)
        source->start = 3; /* the byte order mark of UTF-8 */
    return FORAGE_OK;
}

forage_status data_source_open(data_source *source, const char *path, size_t record_limit, forage_error *error)
{
    struct stat status;
    *source = (data_source){.descriptor = -1, .line = 1};
    source->record_limit = record_limit ? record_limit : DATA_RECORD_LIMIT;
    if (__builtin_add_overflow(source->record_limit, (size_t)2 * DATA_BLOCK, &source->capacity))
        return forage_fail(error, FORAGE_INVALID, "a record limit of %zu bytes is too large", record_limit);
    bool standard_input = strcmp(path, "-") == 0;
    source->path = forage_strdup(standard_input ? "standard input" : path);
    source->buffer = forage_alloc(source->capacity + DATA_PADDING + 1, 1);
    if (!source->path || !source->buffer) {
        data_source_close(source);
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory to read %s", path);
    }
    source->descriptor = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (source->descriptor < 0 || fstat(source->descriptor, &status) != 0 || S_ISDIR(status.st_mode)) {
        int number = source->descriptor < 0 ? errno : EISDIR;
        data_source_close(source);
        return forage_fail_at(error, FORAGE_IO, path, 0, NULL, "cannot be read: %s", strerror(number));
    }
    if (S_ISREG(status.st_mode) && status.st_size > 0)
        source->total = (uint64_t)status.st_size;
    while (source->end < 3 && !source->ended) {
        forage_status filled = data_source_fill(source, error);
        if (filled == FORAGE_OK)
            filled = source->start == 0 ? check_first_bytes(source, error) : FORAGE_OK;
        if (filled != FORAGE_OK) {
            data_source_close(source);
            return filled;
        }
    }
    return FORAGE_OK;
}

bool data_can_reread(const char *path)
{
    struct stat status;
    /* What cannot be found is said when it is opened. */
    return strcmp(path, "-") != 0 && (stat(path, &status) != 0 || S_ISREG(status.st_mode));
}

forage_status data_source_fill(data_source *source, forage_error *error)
{
    size_t rest = source->end - source->start;
    if (rest > source->record_limit)
        return forage_fail_at(error, FORAGE_FORMAT, source->path, source->line, NULL,
                              "a line or quoted record is longer than %zu bytes (the limit can be raised)",
                              source->record_limit);
    if (source->ended)
        return FORAGE_OK;
    memmove(source->buffer, source->buffer + source->start, rest);
    source->start = 0;
    source->end = rest;
    ssize_t got;
    do
        got = read(source->descriptor, source->buffer + rest, DATA_BLOCK);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return forage_fail_at(error, FORAGE_IO, source->path, source->line, NULL, "cannot be read: %s",
                              strerror(errno));
    source->end += (size_t)got;
    source->read += (uint64_t)got;
    if (got == 0) {
        source->ended = true;
        if (source->end > 0 && source->buffer[source->end - 1] != '\n')
            source->buffer[source->end++] = '\n';
    }
    memset(source->buffer + source->end, 0, DATA_PADDING);
    return FORAGE_OK;
}

forage_status data_source_peek(data_source *source, size_t lines, forage_error *error)
{
    for (;;) {
        const char *at = source->buffer + source->start, *end = source->buffer + source->end;
        size_t found = 0;
        while (found < lines && at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
            found++;
            at++;
        }
        if (found == lines || source->ended || source->end - source->start > source->record_limit)
            return FORAGE_OK;
        FORAGE_TRY(data_source_fill(source, error));
    }
}
