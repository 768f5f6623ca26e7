/*
 * Any bytes as a log: the first byte chooses the format (0 auto, 1 CSV, 2 TSV, 3 RecBole, 4 adjacency,
 * 5 pairs, 6 JSON Lines, 7 auto with a tiny record limit), the others are the file. Loading fails
 * with a message, or gives a sound dataset; what conversion makes of the file reads back as the same events.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/data.h"
#include "fuzz.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void check_same_ids(const forage_vocabulary *a, uint32_t a_index, const forage_vocabulary *b, uint32_t b_index)
{
    char a_buffer[24], b_buffer[24];
    size_t a_length, b_length;
    const char *a_id = forage_vocabulary_id(a, a_index, a_buffer, &a_length);
    const char *b_id = forage_vocabulary_id(b, b_index, b_buffer, &b_length);
    fuzz_check(a_length == b_length && memcmp(a_id, b_id, a_length) == 0, "conversion keeps ids");
}

static void check_conversion(const char *path, const forage_read_options *options, const forage_dataset *log,
                             forage_file_format format)
{
    static char output[64];
    forage_error error = {0};
    forage_dataset *again;
    const forage_read_options plain = {.format = format};
    snprintf(output, sizeof output, "/dev/shm/forage-fuzz-%d", (int)getpid());
    const forage_convert_target target = {.output = output, .format = format};
    if (forage_convert(path, options, &target, NULL, NULL, &error) != FORAGE_OK) {
        fuzz_check(error.message[0] != '\0', "a failure has a message");
        return;
    }
    fuzz_check(forage_dataset_load(output, &plain, NULL, &again, &error) == FORAGE_OK, "what was written can be read");
    unlink(output);
    fuzz_check(again->count == log->count, "conversion keeps rows");
    for (size_t i = 0; i < log->count; i++) {
        check_same_ids(log->items, log->item[i], again->items, again->item[i]);
        fuzz_check((log->user == NULL) == (again->user == NULL), "conversion keeps users");
        if (log->user)
            check_same_ids(log->users, log->user[i], again->users, again->user[i]);
        fuzz_check((log->value == NULL) == (again->value == NULL), "conversion keeps values");
        if (log->value)
            fuzz_check(log->value[i] == again->value[i], "conversion keeps each value");
    }
    forage_dataset_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return 0;
    const char *path = fuzz_file(bytes + 1, size - 1);
    unsigned choice = bytes[0] & 7;
    const forage_read_options options = {.format = (forage_file_format)(choice < 7 ? choice : 0),
                                         .record_limit = choice == 7 ? 64 : 0,
                                         .no_quotes = (bytes[0] & 8) != 0};
    forage_error error = {0};
    forage_dataset *log;
    if (forage_dataset_load(path, &options, NULL, &log, &error) != FORAGE_OK) {
        fuzz_check(log == NULL && error.status != FORAGE_OK && error.message[0] != '\0', "a failure has a message");
        return 0;
    }
    fuzz_check(forage_dataset_validate(log, NULL) == FORAGE_OK, "a dataset that was loaded is sound");
    check_conversion(path, &options, log, FORAGE_FILE_CSV);
    check_conversion(path, &options, log, FORAGE_FILE_JSONL);
    forage_dataset_free(log);
    return 0;
}
