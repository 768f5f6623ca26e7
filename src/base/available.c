/*
 * How much memory is there to be had: what the kernel says of the machine, the control group and the process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The first line of a small file of the kernel's that begins with `key`, what follows it into `text`. */
static bool read_line(const char *path, const char *key, char *text, size_t size)
{
    char line[1024];
    bool found = false;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        const char *rest = line + strlen(key);
        rest += strspn(rest, " \t");
        snprintf(text, size, "%.*s", (int)strcspn(rest, " \t\n"), rest);
        found = true;
    }
    fclose(file);
    return found;
}

static bool read_number(const char *path, const char *key, uint64_t *value)
{
    char text[64];
    return read_line(path, key, text, sizeof text) && forage_parse_u64(text, strlen(text), value);
}

static void lower(uint64_t *least, uint64_t limit, uint64_t used)
{
    uint64_t left = limit > used ? limit - used : 1;
    if (*least == 0 || left < *least)
        *least = left;
}

/* Version 2 of control groups: the process's own group. What files in cache take can be had back. */
static void within_group(uint64_t *least)
{
    char group[512], path[640];
    uint64_t limit, used, cache = 0;
    if (!read_line("/proc/self/cgroup", "0::", group, sizeof group))
        return;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
    if (!read_number(path, "", &limit))
        return; /* "max": no limit */
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", group);
    if (!read_number(path, "", &used))
        return;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.stat", group);
    (void)read_number(path, "inactive_file ", &cache);
    lower(least, limit, used > cache ? used - cache : 0);
}

uint64_t forage_available_memory(void)
{
    uint64_t least = 0, kilobytes, pages;
    struct rlimit limit;
    if (read_number("/proc/meminfo", "MemAvailable:", &kilobytes))
        lower(&least, kilobytes * 1024, 0);
    within_group(&least);
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        read_number("/proc/self/statm", "", &pages))
        lower(&least, limit.rlim_cur, pages * (uint64_t)sysconf(_SC_PAGESIZE));
    return least;
}
