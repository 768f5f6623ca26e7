/*
 * Any text as a split of a small log: refused with a message, or three parts of different rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/data.h"
#include "fuzz.h"

#include <string.h>

enum { ROWS = 23 };

static void mark(uint8_t seen[ROWS], const uint32_t *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fuzz_check(rows[i] < ROWS && !seen[rows[i]], "a row is in one part, once");
        seen[rows[i]] = 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char text[] = "user,item,time\na,1,3\na,2,2\na,3,1\na,4,2\nb,1,9\nb,2,8\nc,1,7\nc,2,7\nc,3,7\nd,1,1\n"
                               "a,1,3\na,2,2\na,3,1\na,4,2\nb,1,9\nb,2,8\nc,1,7\nc,2,7\nc,3,7\nd,1,1\nd,2,2\nd,3,3\n"
                               "e,1,1\n";
    static forage_dataset *log;
    char spec[256];
    uint8_t seen[ROWS] = {0};
    forage_split split;
    forage_error error = {0};
    if (!log) {
        forage_status status =
            forage_dataset_load(fuzz_file((const uint8_t *)text, sizeof text - 1), NULL, NULL, &log, NULL);
        fuzz_check(status == FORAGE_OK && log->count == ROWS, "the log is sound");
    }
    if (size >= sizeof spec || (size >= 5 && memcmp(bytes, "file:", 5) == 0))
        return 0;
    memcpy(spec, bytes, size);
    spec[size] = '\0';
    if (forage_split_parse(spec, log, &split, &error) != FORAGE_OK) {
        fuzz_check(error.message[0] != '\0', "a failure has a message");
        return 0;
    }
    mark(seen, split.train, split.train_count);
    mark(seen, split.validation, split.validation_count);
    mark(seen, split.test, split.test_count);
    fuzz_check(split.train_count + split.validation_count + split.test_count == ROWS, "every row is in a part");
    forage_split_release(&split);
    return 0;
}
