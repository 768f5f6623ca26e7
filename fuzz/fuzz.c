/*
 * What the fuzzers share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_check(int condition, const char *text)
{
    if (condition)
        return;
    fprintf(stderr, "broken: %s\n", text);
    abort();
}

const char *fuzz_file(const uint8_t *bytes, size_t size)
{
    static int file = -1;
    static char path[64];
    if (file < 0) {
        file = memfd_create("fuzz", MFD_CLOEXEC);
        fuzz_check(file >= 0, "no file in memory");
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    fuzz_check(ftruncate(file, 0) == 0 && pwrite(file, bytes, size, 0) == (ssize_t)size, "cannot write to memory");
    return path;
}
