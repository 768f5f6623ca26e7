/*
 * Checksums, by xxHash.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t forage_checksum(const void *bytes, size_t size, uint64_t seed)
{
    return XXH64(bytes, size, seed);
}
