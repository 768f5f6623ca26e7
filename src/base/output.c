/*
 * Files written whole or not at all.
 *
 * Bytes go to a temporary file beside the final one. Commit flushes, syncs,
 * renames, and syncs the folder, so that after a crash the name holds either
 * the old file or the new one. Whatever is not a regular file (a pipe, a
 * device, standard output) has no name to protect and is written directly.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_SIZE = 1 << 18 };

struct forage_output {
    int file;
    char *path;
    char *temporary; /* NULL when written directly */
    size_t used;
    forage_status status; /* of the first failure, kept so that commit cannot succeed after it */
    char buffer[BUFFER_SIZE];
};

static forage_status fail_io(forage_output *output, const char *what, forage_error *error)
{
    output->status = FORAGE_IO;
    return forage_fail_at(error, FORAGE_IO, output->path, 0, NULL, "cannot %s: %s", what, strerror(errno));
}

static void release(forage_output *output)
{
    if (output->file >= 0)
        close(output->file);
    forage_free(output->path);
    forage_free(output->temporary);
    forage_free(output);
}

/* Opens a new temporary file beside the final one, with the mode that open() would have given that. (Not by
 * mkstemp, whose mode is narrower: to learn umask() is to change it for a moment, under other threads' feet.) */
static forage_status open_temporary(forage_output *output, forage_error *error)
{
    static atomic_uint serial;
    struct stat old;
    bool replaces = stat(output->path, &old) == 0;
    size_t length = strlen(output->path) + 48;
    char *name = forage_alloc(length, 1);
    if (!name)
        return forage_fail_at(error, FORAGE_NO_MEMORY, output->path, 0, NULL, "no memory for its name");
    do { /* a process that was killed may have left one of this name */
        snprintf(name, length, "%s.%ld-%u.tmp", output->path, (long)getpid(), atomic_fetch_add(&serial, 1));
        output->file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (output->file < 0 && errno == EEXIST);
    if (output->file < 0) {
        forage_status status = fail_io(output, "create", error);
        forage_free(name);
        return status;
    }
    output->temporary = name;
    if (replaces && fchmod(output->file, old.st_mode & 07777) != 0) {
        forage_status status = fail_io(output, "set the mode of", error);
        unlink(name);
        return status;
    }
    return FORAGE_OK;
}

/* Fills in path and file. */
static forage_status open_target(forage_output *output, const char *path, forage_error *error)
{
    bool standard = strcmp(path, "-") == 0;
    /* Through a symbolic link the file it names is replaced, not the link. */
    char *real = standard ? NULL : realpath(path, NULL);
    output->path = forage_strdup(standard ? "standard output" : real ? real : path);
    free(real);
    if (!output->path)
        return forage_fail_at(error, FORAGE_NO_MEMORY, path, 0, NULL, "no memory for its name");
    if (standard) {
        output->file = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    } else {
        struct stat facts;
        bool exists = stat(output->path, &facts) == 0;
        if (exists && S_ISDIR(facts.st_mode))
            return forage_fail_at(error, FORAGE_IO, path, 0, NULL, "is a folder, not a file");
        if (!exists && lstat(output->path, &facts) == 0)
            return forage_fail_at(error, FORAGE_IO, path, 0, NULL, "is a symbolic link to a file that does not exist");
        if (!exists || S_ISREG(facts.st_mode))
            return open_temporary(output, error);
        output->file = open(output->path, O_WRONLY | O_CLOEXEC);
    }
    return output->file < 0 ? fail_io(output, "open", error) : FORAGE_OK;
}

forage_status forage_output_open(const char *path, forage_output **result, forage_error *error)
{
    *result = NULL;
    if (path[0] == '\0')
        return forage_fail(error, FORAGE_INVALID, "the name of a file to write is empty");
    forage_output *output = forage_alloc(1, sizeof *output);
    if (!output)
        return forage_fail_at(error, FORAGE_NO_MEMORY, path, 0, NULL, "no memory for a buffer");
    output->file = -1;
    output->path = NULL;
    output->temporary = NULL;
    output->used = 0;
    output->status = FORAGE_OK;
    forage_status status = open_target(output, path, error);
    if (status != FORAGE_OK)
        release(output);
    else
        *result = output;
    return status;
}

static forage_status write_all(forage_output *output, const char *bytes, size_t size, forage_error *error)
{
    while (size > 0) {
        ssize_t done = write(output->file, bytes, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail_io(output, "write", error);
        bytes += done;
        size -= (size_t)done;
    }
    return FORAGE_OK;
}

static forage_status flush(forage_output *output, forage_error *error)
{
    size_t used = output->used;
    output->used = 0;
    return write_all(output, output->buffer, used, error);
}

forage_status forage_output_write(forage_output *output, const void *bytes, size_t size, forage_error *error)
{
    if (output->status != FORAGE_OK)
        return forage_fail_at(error, output->status, output->path, 0, NULL, "an earlier write failed");
    if (size > BUFFER_SIZE - output->used)
        FORAGE_TRY(flush(output, error));
    if (size >= BUFFER_SIZE)
        return write_all(output, bytes, size, error);
    if (size) /* nothing may be NULL */
        memcpy(output->buffer + output->used, bytes, size);
    output->used += size;
    return FORAGE_OK;
}

forage_status forage_output_print(forage_output *output, forage_error *error, const char *format, ...)
{
    char line[1024], *text = line;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof line) {
        text = forage_alloc((size_t)length + 1, 1);
        if (text)
            vsnprintf(text, (size_t)length + 1, format, again);
    }
    va_end(again);
    if (length < 0 || !text) {
        output->status = text ? FORAGE_INVALID : FORAGE_NO_MEMORY;
        return forage_fail_at(error, output->status, output->path, 0, NULL, "text cannot be formatted");
    }
    forage_status status = forage_output_write(output, text, (size_t)length, error);
    if (text != line)
        forage_free(text);
    return status;
}

/* So that the new name itself survives a power cut. Some file systems cannot sync a folder: no failure. */
static void sync_folder(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path ? 1 : 0] = '\0';
    int file = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file >= 0) {
        (void)fsync(file);
        close(file);
    }
}

forage_status forage_output_commit(forage_output *output, forage_error *error)
{
    forage_status status = output->status;
    if (status != FORAGE_OK)
        forage_fail_at(error, status, output->path, 0, NULL, "an earlier write failed");
    else
        status = flush(output, error);
    if (status == FORAGE_OK && output->temporary && fsync(output->file) != 0)
        status = fail_io(output, "sync", error);
    if (close(output->file) != 0 && status == FORAGE_OK)
        status = fail_io(output, "close", error);
    output->file = -1;
    if (output->temporary) {
        if (status == FORAGE_OK && rename(output->temporary, output->path) != 0)
            status = fail_io(output, "rename to its final name", error);
        if (status == FORAGE_OK)
            sync_folder(output->path);
        else
            unlink(output->temporary);
    }
    release(output);
    return status;
}

void forage_output_discard(forage_output *output)
{
    if (!output)
        return;
    if (output->temporary)
        unlink(output->temporary);
    release(output);
}
