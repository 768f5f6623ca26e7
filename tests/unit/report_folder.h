/*
 * report_folder.h: the folder that a test writes reports to. Include after cmocka.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_FOLDER_H
#define REPORT_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "forage/base.h"

static char folder[64];

/* False when there is none to be had. */
static inline bool make_folder(void)
{
    (void)snprintf(folder, sizeof folder, "report-test-XXXXXX");
    return mkdtemp(folder) != NULL;
}

static inline int remove_folder(void **state)
{
    char command[160];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static inline char *read_whole(const char *name)
{
    char path[256], *bytes;
    size_t size;
    forage_error error = {0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (forage_read_file(path, 1 << 24, &bytes, &size, &error) != FORAGE_OK)
        fail_msg("%s: %s", name, error.message);
    return bytes;
}

#endif
