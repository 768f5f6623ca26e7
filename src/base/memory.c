/*
 * Memory: aligned blocks, checked sizes, and failure on demand for tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static atomic_uint_fast64_t asked;   /* allocations since the last forage_alloc_fail_at */
static atomic_uint_fast64_t fail_at; /* 0: never */

uint64_t forage_alloc_fail_at(uint64_t nth)
{
    atomic_store(&fail_at, nth);
    return atomic_exchange(&asked, 0);
}

/* Bytes of a block of count x size, rounded up to the alignment; 0 if that cannot be had. */
static size_t block_size(size_t count, size_t size)
{
    size_t bytes;
    uint64_t number = atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed) + 1;
    uint64_t limit = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (limit && number >= limit)
        return 0;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - ALIGNMENT)
        return 0;
    return bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
}

void *forage_alloc(size_t count, size_t size)
{
    size_t bytes = block_size(count, size);
    return bytes ? aligned_alloc(ALIGNMENT, bytes) : NULL;
}

void *forage_calloc(size_t count, size_t size)
{
    void *block = forage_alloc(count, size);
    if (block)
        memset(block, 0, count * size);
    return block;
}

void *forage_realloc(void *block, size_t old_count, size_t count, size_t size)
{
    void *larger = forage_alloc(count, size);
    if (!larger)
        return NULL;
    if (block)
        memcpy(larger, block, (old_count < count ? old_count : count) * size);
    free(block);
    return larger;
}

void forage_free(void *block)
{
    free(block);
}

char *forage_strndup(const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? forage_alloc(length + 1, 1) : NULL;
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *forage_strdup(const char *text)
{
    return forage_strndup(text, strlen(text));
}
