/*
 * A library to preload: makes the nth file operation of the program fail.
 *
 *   FAULT_FOLDER   only files below this folder count
 *   FAULT_NTH      which operation fails, from 1; 0: none
 *   FAULT_ERRNO    with which error number (default EIO)
 *   FAULT_SIGNAL   send this signal to the process instead of failing
 *   FAULT_LASTING  if set, every later operation of the same kind fails, too
 *   FAULT_COUNT    a file that gets one line per operation: its kind
 *
 * Only the process named by FAULT_PROGRAM counts, not those it starts. What libc
 * calls inside itself (fopen, fwrite) is not seen, so programs under test use
 * open and write.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#undef _FILE_OFFSET_BITS /* which would make open another name of open64 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 1024 };

static bool watched[FILES]; /* by descriptor */
static bool active;
static char folder[4096];
static long nth, signal_number;
static int error_number, log_file = -1;
static bool lasting;
static const char *failed_kind;
static long count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* NOLINTNEXTLINE(bugprone-macro-parentheses): the name is one, not an expression */
#define REAL(name) (__extension__(__typeof__(&name)) dlsym(RTLD_NEXT, #name))

static long number_of(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void start(void)
{
    const char *program = getenv("FAULT_PROGRAM"), *below = getenv("FAULT_FOLDER"), *record = getenv("FAULT_COUNT");
    if (!program || !below || strcmp(program, program_invocation_short_name) != 0)
        return;
    snprintf(folder, sizeof folder, "%s", below);
    nth = number_of("FAULT_NTH", 0);
    error_number = (int)number_of("FAULT_ERRNO", EIO);
    signal_number = number_of("FAULT_SIGNAL", 0);
    lasting = getenv("FAULT_LASTING") != NULL;
    if (record)
        log_file = REAL(open)(record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    active = true;
}

static bool counts(const char *path)
{
    if (!active || !path)
        return false;
    return path[0] != '/' || strncmp(path, folder, strlen(folder)) == 0;
}

/* True when this operation is to fail; errno is set. */
static bool fails(const char *kind)
{
    pthread_mutex_lock(&lock);
    bool now = ++count == nth || (lasting && failed_kind && strcmp(kind, failed_kind) == 0);
    if (now)
        failed_kind = kind;
    if (log_file >= 0) {
        char line[64];
        int length = snprintf(line, sizeof line, "%s\n", kind);
        (void)!REAL(write)(log_file, line, (size_t)length);
    }
    pthread_mutex_unlock(&lock);
    if (now && signal_number) {
        raise((int)signal_number);
        return false;
    }
    if (now)
        errno = error_number;
    return now;
}

static bool watches(int file)
{
    return file >= 0 && file < FILES && watched[file];
}

static int watch(int file)
{
    if (file >= 0 && file < FILES)
        watched[file] = true;
    return file;
}

/* The names of libc's own parameters are reserved ones. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
#define OPEN(name)                                                                                     \
    int name(const char *path, int flags, ...)                                                         \
    {                                                                                                  \
        va_list arguments;                                                                             \
        va_start(arguments, flags);                                                                    \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;                   \
        va_end(arguments);                                                                             \
        if (!counts(path))                                                                             \
            return REAL(name)(path, flags, mode);                                                      \
        return fails(flags & O_CREAT ? "create" : "open") ? -1 : watch(REAL(name)(path, flags, mode)); \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int file, const void *bytes, size_t size)
{
    return watches(file) && fails("write") ? -1 : REAL(write)(file, bytes, size);
}

ssize_t read(int file, void *bytes, size_t size)
{
    return watches(file) && fails("read") ? -1 : REAL(read)(file, bytes, size);
}

int fsync(int file)
{
    return watches(file) && fails("fsync") ? -1 : REAL(fsync)(file);
}

int fchmod(int file, mode_t mode)
{
    return watches(file) && fails("chmod") ? -1 : REAL(fchmod)(file, mode);
}

int rename(const char *from, const char *to)
{
    return counts(to) && fails("rename") ? -1 : REAL(rename)(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    return counts(path) && fails("mkdir") ? -1 : REAL(mkdir)(path, mode);
}

/* As on Linux, the descriptor is gone even when close fails. */
int close(int file)
{
    if (!watches(file))
        return REAL(close)(file);
    watched[file] = false;
    bool failed = fails("close");
    int error = errno, result = REAL(close)(file);
    if (!failed)
        return result;
    errno = error;
    return -1;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
