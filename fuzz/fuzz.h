/*
 * fuzz.h: the entry that every fuzzer has, for libFuzzer and for the corpus test alike.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_FUZZ_H
#define FORAGE_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Puts the bytes into a file in memory; its path is valid until the next call. Aborts on failure. */
const char *fuzz_file(const uint8_t *bytes, size_t size);

/* Aborts with the text if `condition` does not hold: a property was broken. */
void fuzz_check(int condition, const char *text);

#endif
