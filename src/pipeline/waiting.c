/*
 * waiting.c: decisions whose feedback has not come yet.
 *
 * A ring holds the latest decisions, oldest first, at most `wait` of them, done or not, so that feedback given
 * twice can be told from feedback for a decision never made. What a decision was made of lies in a block of a
 * pool, for as long as feedback may come. A table with open addressing leads from ids to places in the ring.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pipeline/intern.h"

#include <string.h>

typedef struct entry {
    uint64_t id, number;
    uint32_t block; /* FORAGE_NONE: all feedback has come */
    uint32_t user;
    uint32_t positions, open;
} entry;

struct pipeline_waiting {
    size_t request_width, candidate_width, positions, columns;
    uint64_t wait;
    entry *ring;
    size_t first, count, capacity; /* of the ring; capacity is a power of two */
    uint32_t *table;               /* [2 x capacity]: place in the ring + 1 */

    size_t floats, integers; /* of one block */
    float *reals;            /* [blocks x floats] */
    uint32_t *wholes;        /* [blocks x integers] */
    uint8_t *given;          /* [blocks x positions] */
    uint32_t *free;          /* blocks that are free */
    size_t free_count, blocks;
    uint64_t open;
};

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for decisions that wait for feedback");
}

forage_status pipeline_waiting_create(size_t request_width, size_t candidate_width, size_t positions, size_t columns,
                                      uint64_t wait, pipeline_waiting **result, forage_error *error)
{
    pipeline_waiting *waiting = forage_calloc(1, sizeof *waiting);
    *result = waiting;
    if (!waiting)
        return no_memory(error);
    *waiting = (pipeline_waiting){.request_width = request_width,
                                  .candidate_width = candidate_width,
                                  .positions = positions,
                                  .columns = columns,
                                  .wait = wait,
                                  .floats = request_width + positions * (candidate_width + 2) + columns,
                                  .integers = positions + columns};
    return FORAGE_OK;
}

void pipeline_waiting_free(pipeline_waiting *waiting)
{
    if (!waiting)
        return;
    forage_free(waiting->ring);
    forage_free(waiting->table);
    forage_free(waiting->reals);
    forage_free(waiting->wholes);
    forage_free(waiting->given);
    forage_free(waiting->free);
    forage_free(waiting);
}

/* ---- ids to places ---- */

static size_t home(const pipeline_waiting *waiting, uint64_t id)
{
    uint64_t x = id * 0x9e3779b97f4a7c15U;
    return (size_t)(x ^ (x >> 32)) & (2 * waiting->capacity - 1);
}

/* The slot of an id, or the free one where it would go. */
static size_t slot_of(const pipeline_waiting *waiting, uint64_t id)
{
    size_t mask = 2 * waiting->capacity - 1, slot = home(waiting, id);
    while (waiting->table[slot] && waiting->ring[waiting->table[slot] - 1].id != id)
        slot = (slot + 1) & mask;
    return slot;
}

/* Empties a slot, and moves up what was pushed behind it. */
static void clear_slot(pipeline_waiting *waiting, size_t slot)
{
    size_t mask = 2 * waiting->capacity - 1, next = slot;
    for (;;) {
        next = (next + 1) & mask;
        if (!waiting->table[next])
            break;
        size_t wanted = home(waiting, waiting->ring[waiting->table[next] - 1].id);
        if (((next - wanted) & mask) >= ((next - slot) & mask)) {
            waiting->table[slot] = waiting->table[next];
            slot = next;
        }
    }
    waiting->table[slot] = 0;
}

static forage_status grow_ring(pipeline_waiting *waiting, forage_error *error)
{
    size_t capacity = waiting->capacity ? 2 * waiting->capacity : 64;
    entry *ring = forage_calloc(capacity, sizeof *ring);
    uint32_t *table = forage_calloc(2 * capacity, sizeof *table);
    if (!ring || !table || capacity >= FORAGE_NONE / 2) {
        forage_free(ring);
        forage_free(table);
        return no_memory(error);
    }
    for (size_t i = 0; i < waiting->count; i++)
        ring[i] = waiting->ring[(waiting->first + i) & (waiting->capacity - 1)];
    forage_free(waiting->ring);
    forage_free(waiting->table);
    waiting->ring = ring;
    waiting->table = table;
    waiting->capacity = capacity;
    waiting->first = 0;
    for (size_t i = 0; i < waiting->count; i++)
        table[slot_of(waiting, ring[i].id)] = (uint32_t)i + 1;
    return FORAGE_OK;
}

static forage_status grow_pool(pipeline_waiting *waiting, forage_error *error)
{
    size_t old = waiting->blocks, blocks = 2 * old + 16;
    if (blocks >= FORAGE_NONE)
        return no_memory(error);
#define GROW(field, width)                                                                                         \
    do {                                                                                                           \
        void *grown = forage_realloc(waiting->field, old * (width), blocks * (width) + 1, sizeof *waiting->field); \
        if (!grown)                                                                                                \
            return no_memory(error);                                                                               \
        waiting->field = grown;                                                                                    \
    } while (0)
    GROW(reals, waiting->floats);
    GROW(wholes, waiting->integers);
    GROW(given, waiting->positions);
    GROW(free, 1);
#undef GROW
    for (size_t i = blocks; i > old; i--)
        waiting->free[waiting->free_count++] = (uint32_t)i - 1;
    waiting->blocks = blocks;
    return FORAGE_OK;
}

forage_status pipeline_waiting_reserve(pipeline_waiting *waiting, forage_error *error)
{
    if (waiting->count == waiting->capacity)
        FORAGE_TRY(grow_ring(waiting, error));
    return waiting->free_count ? FORAGE_OK : grow_pool(waiting, error);
}

/* ---- decisions ---- */

static void point(const pipeline_waiting *waiting, const entry *from, pipeline_kept *kept)
{
    *kept = (pipeline_kept){
        .id = from->id, .number = from->number, .user = from->user, .positions = from->positions, .open = from->open};
    if (from->block == FORAGE_NONE)
        return;
    kept->request = waiting->reals + from->block * waiting->floats;
    kept->features = kept->request + waiting->request_width;
    kept->propensity = kept->features + waiting->positions * waiting->candidate_width;
    kept->expected = kept->propensity + waiting->positions;
    kept->values = kept->expected + waiting->positions;
    kept->items = waiting->wholes + from->block * waiting->integers;
    kept->codes = kept->items + waiting->positions;
    kept->given = waiting->given + from->block * waiting->positions;
}

bool pipeline_waiting_knows(const pipeline_waiting *waiting, uint64_t id, pipeline_kept *kept)
{
    if (!waiting->count)
        return false;
    uint32_t place = waiting->table[slot_of(waiting, id)];
    if (place)
        point(waiting, &waiting->ring[place - 1], kept);
    return place != 0;
}

void pipeline_waiting_keep(pipeline_waiting *waiting, uint64_t id, uint64_t number, uint32_t user, size_t positions,
                           pipeline_kept *kept)
{
    size_t place = (waiting->first + waiting->count) & (waiting->capacity - 1);
    entry *made = &waiting->ring[place];
    *made = (entry){id, number, waiting->free[--waiting->free_count], user, (uint32_t)positions, (uint32_t)positions};
    waiting->table[slot_of(waiting, id)] = (uint32_t)place + 1;
    waiting->count++;
    waiting->open++;
    point(waiting, made, kept);
    memset(kept->given, 0, positions);
}

static void finish(pipeline_waiting *waiting, entry *done)
{
    if (done->block == FORAGE_NONE)
        return;
    waiting->free[waiting->free_count++] = done->block;
    done->block = FORAGE_NONE;
    done->open = 0;
    waiting->open--;
}

void pipeline_waiting_give(pipeline_waiting *waiting, uint64_t id, size_t position)
{
    entry *known = &waiting->ring[waiting->table[slot_of(waiting, id)] - 1];
    waiting->given[known->block * waiting->positions + position] = 1;
    if (--known->open == 0)
        finish(waiting, known);
}

bool pipeline_waiting_expired(const pipeline_waiting *waiting, uint64_t number, pipeline_kept *kept)
{
    if (!waiting->count || number - waiting->ring[waiting->first].number <= waiting->wait)
        return false;
    point(waiting, &waiting->ring[waiting->first], kept);
    return true;
}

void pipeline_waiting_drop(pipeline_waiting *waiting)
{
    finish(waiting, &waiting->ring[waiting->first]);
    clear_slot(waiting, slot_of(waiting, waiting->ring[waiting->first].id));
    waiting->first = (waiting->first + 1) & (waiting->capacity - 1);
    waiting->count--;
}

uint64_t pipeline_waiting_count(const pipeline_waiting *waiting)
{
    return waiting->open;
}

size_t pipeline_waiting_memory(const pipeline_waiting *waiting)
{
    return waiting->capacity * (sizeof(entry) + 2 * sizeof(uint32_t)) +
           waiting->blocks * (waiting->floats * sizeof(float) + waiting->integers * sizeof(uint32_t) +
                              waiting->positions + sizeof(uint32_t));
}
