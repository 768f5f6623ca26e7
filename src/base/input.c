/*
 * Whole small files into memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_BLOCK = 1 << 16 };

/* Reads to the end of `file`; on failure *block holds what the caller must free. */
static forage_status read_all(int file, const char *path, size_t limit, size_t capacity, char **block, size_t *size,
                              forage_error *error)
{
    size_t used = 0;
    *block = forage_alloc(capacity + 1, 1);
    for (;;) {
        if (*block && used == capacity) {
            char *grown = forage_realloc(*block, used, capacity * 2 + 1, 1);
            if (grown)
                *block = grown;
            else
                forage_free(*block), *block = NULL;
            capacity *= 2;
        }
        if (!*block)
            return forage_fail_at(error, FORAGE_NO_MEMORY, path, 0, NULL, "no memory for %zu bytes", capacity);
        ssize_t got = read(file, *block + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return forage_fail_at(error, FORAGE_IO, path, 0, NULL, "cannot read: %s", strerror(errno));
        used += (size_t)got;
        if (used > limit)
            return forage_fail_at(error, FORAGE_FORMAT, path, 0, NULL, "larger than %zu bytes", limit);
        if (got == 0)
            break;
    }
    (*block)[used] = '\0';
    *size = used;
    return FORAGE_OK;
}

forage_status forage_read_file(const char *path, size_t limit, char **bytes, size_t *size, forage_error *error)
{
    bool standard = strcmp(path, "-") == 0;
    int file = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat facts;
    char *block = NULL;
    *bytes = NULL;
    *size = 0;
    if (file < 0)
        return forage_fail_at(error, FORAGE_IO, path, 0, NULL, "cannot open: %s", strerror(errno));
    forage_status status;
    if (fstat(file, &facts) != 0) {
        status = forage_fail_at(error, FORAGE_IO, path, 0, NULL, "cannot read: %s", strerror(errno));
    } else if (S_ISDIR(facts.st_mode)) {
        status = forage_fail_at(error, FORAGE_IO, path, 0, NULL, "is a folder, not a file");
    } else if (facts.st_size > 0 && (uint64_t)facts.st_size > limit) {
        status = forage_fail_at(error, FORAGE_FORMAT, path, 0, NULL, "larger than %zu bytes", limit);
    } else {
        /* One byte more than the file has, so that its end is seen without growing. */
        size_t capacity = S_ISREG(facts.st_mode) && facts.st_size > 0 ? (size_t)facts.st_size + 1 : FIRST_BLOCK;
        status = read_all(file, path, limit, capacity, &block, size, error);
    }
    if (!standard)
        close(file);
    if (status == FORAGE_OK)
        *bytes = block;
    else
        forage_free(block);
    return status;
}
