/*
 * Memory for the time of one report.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/pool.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

typedef struct pool_block {
    struct pool_block *next;
    size_t used, room;
} pool_block;

enum { BLOCK = 32 * 1024, HEADER = 64 };

_Static_assert(sizeof(pool_block) <= HEADER, "the header of a block keeps the alignment of what follows");

void pool_release(report_pool *pool)
{
    while (pool->blocks) {
        pool_block *next = pool->blocks->next;
        forage_free(pool->blocks);
        pool->blocks = next;
    }
    *pool = (report_pool){0};
}

void *pool_take(report_pool *pool, size_t count, size_t size)
{
    if (pool->failed || (size > 0 && count > SIZE_MAX / 2 / size)) {
        pool->failed = true;
        return NULL;
    }
    size_t bytes = (count * size + 15) & ~(size_t)15;
    pool_block *block = pool->blocks;
    if (!block || block->room - block->used < bytes) {
        size_t room = bytes > BLOCK ? bytes : BLOCK;
        block = forage_alloc(HEADER + room, 1);
        if (!block) {
            pool->failed = true;
            return NULL;
        }
        *block = (pool_block){.next = pool->blocks, .room = room};
        pool->blocks = block;
    }
    char *taken = (char *)block + HEADER + block->used;
    block->used += bytes;
    memset(taken, 0, bytes);
    return taken;
}

/* Moves a text into the pool. */
static const char *keep(report_pool *pool, report_text *text)
{
    char *copy = text->failed ? NULL : pool_take(pool, text->used + 1, 1);
    if (copy && text->bytes)
        memcpy(copy, text->bytes, text->used);
    pool->failed = pool->failed || text->failed;
    report_text_release(text);
    return copy ? copy : "";
}

const char *pool_format(report_pool *pool, const char *format, ...)
{
    report_text text = {0};
    va_list values;
    va_start(values, format);
    report_vformat(&text, format, values);
    va_end(values);
    return keep(pool, &text);
}

const char *pool_count(report_pool *pool, uint64_t value)
{
    report_text text = {0};
    report_count(&text, value);
    return keep(pool, &text);
}

const char *pool_fixed(report_pool *pool, double value, int decimals)
{
    report_text text = {0};
    report_fixed(&text, value, decimals);
    return keep(pool, &text);
}

/* Rates below one percent need more digits. */
static int decimals_of(double rate)
{
    return isfinite(rate) && rate != 0 && fabs(rate) < 0.01 ? 2 : 1;
}

const char *pool_percent(report_pool *pool, double value)
{
    report_text text = {0};
    report_percent(&text, value, decimals_of(value));
    return keep(pool, &text);
}

const char *pool_points(report_pool *pool, double value)
{
    report_text text = {0};
    report_fixed(&text, 100 * value, decimals_of(value));
    report_add(&text, "\u00a0points");
    return keep(pool, &text);
}

static void interval(report_text *text, const forage_estimate *estimate, double factor, int decimals)
{
    if (!isfinite(estimate->low) || !isfinite(estimate->high))
        return;
    report_add(text, " (");
    report_fixed(text, factor * estimate->low, decimals);
    report_add(text, " to ");
    report_fixed(text, factor * estimate->high, decimals);
    report_add(text, ")");
}

const char *pool_percent_estimate(report_pool *pool, const forage_estimate *estimate)
{
    report_text text = {0};
    report_percent(&text, estimate->value, decimals_of(estimate->value));
    interval(&text, estimate, 100, decimals_of(estimate->value));
    return keep(pool, &text);
}

const char *pool_fixed_estimate(report_pool *pool, const forage_estimate *estimate, int decimals)
{
    report_text text = {0};
    report_fixed(&text, estimate->value, decimals);
    interval(&text, estimate, 1, decimals);
    return keep(pool, &text);
}

const char *pool_html(report_pool *pool, const char *plain)
{
    report_text text = {0};
    report_html(&text, plain);
    return keep(pool, &text);
}

const char *pool_printable(report_pool *pool, const char *plain)
{
    report_text text = {0};
    for (uint32_t character; (character = report_safe_character(&plain)) != 0;)
        report_add_character(&text, character);
    return keep(pool, &text);
}
