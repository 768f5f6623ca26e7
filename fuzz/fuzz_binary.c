/*
 * Any bytes as a binary log. Checksums are put right first, wherever the file still has parts, so that it is
 * what they protect that is tried. Loading fails with a message, or gives a sound dataset, which saved and loaded again
 * is the same; streaming gives as many rows, or fails.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/binary.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put_checksums_right(uint8_t *bytes, size_t size)
{
    uint64_t checksum, length;
    uint32_t tag;
    if (size < DATA_BINARY_HEADER)
        return;
    checksum = forage_checksum(bytes, 24, 0);
    memcpy(bytes + 24, &checksum, 8);
    for (size_t at = DATA_BINARY_HEADER; size - at >= DATA_BINARY_CHUNK; at += DATA_BINARY_CHUNK + (size_t)length) {
        memcpy(&tag, bytes + at, 4);
        memcpy(&length, bytes + at + 8, 8);
        if (length > size - at - DATA_BINARY_CHUNK)
            return;
        checksum = forage_checksum(bytes + at + DATA_BINARY_CHUNK, (size_t)length, tag);
        memcpy(bytes + at + 16, &checksum, 8);
    }
}

static void check_again(const forage_dataset *log)
{
    static char path[64];
    forage_error error = {0};
    forage_dataset *again;
    snprintf(path, sizeof path, "/dev/shm/forage-fuzz-binary-%d", (int)getpid());
    fuzz_check(forage_dataset_save(log, path, NULL, &error) == FORAGE_OK, "a sound dataset can be saved");
    const forage_read_options binary = {.format = FORAGE_FILE_BINARY};
    fuzz_check(forage_dataset_load(path, &binary, NULL, &again, &error) == FORAGE_OK, "what was saved can be loaded");
    unlink(path);
    fuzz_check(again->count == log->count && memcmp(again->item, log->item, log->count * sizeof *log->item) == 0,
               "a dataset is saved as it is");
    fuzz_check(again->context.column_count == log->context.column_count, "a dataset is saved with its columns");
    forage_dataset_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    const forage_read_options options = {.format = FORAGE_FILE_BINARY};
    forage_error error = {0};
    forage_dataset *log;
    forage_reader *reader;
    forage_rows rows = {.count = 1};
    if (!copy)
        return 0;
    memcpy(copy, bytes, size);
    put_checksums_right(copy, size);
    const char *path = fuzz_file(copy, size);
    free(copy);
    forage_status status = forage_dataset_load(path, &options, NULL, &log, &error);
    size_t count = 0;
    if (forage_reader_open(path, &options, &reader, NULL) == FORAGE_OK) {
        while (rows.count && forage_reader_next(reader, &rows, NULL) == FORAGE_OK)
            count += rows.count;
        forage_reader_free(reader);
    }
    if (status != FORAGE_OK) {
        fuzz_check(log == NULL && error.message[0] != '\0', "a failure has a message");
        return 0;
    }
    fuzz_check(forage_dataset_validate(log, NULL) == FORAGE_OK, "a dataset that was loaded is sound");
    fuzz_check(rows.count || count == log->count, "streaming gives all rows, or fails");
    check_again(log);
    forage_dataset_free(log);
    return 0;
}
