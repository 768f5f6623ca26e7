/*
 * Vocabulary: string ids to dense indices and back.
 *
 * A vocabulary is in one of three states and moves between them as ids come:
 *
 *   NUMBERED  index == number, for the ids "0" ... "count-1": nothing is stored
 *   NUMBERS   all ids are plain numbers: `numbers` by index, `table` by number
 *   STRINGS   anything: the bytes one behind the other, and a hash table
 *
 * NUMBERS is left when an id is not a plain number, or so large that the table
 * would be out of proportion; STRINGS becomes NUMBERS when its hash table is full and by then
 * all ids are numbers in proportion.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

typedef enum vocabulary_state { NUMBERED, NUMBERS, STRINGS } vocabulary_state;

/* An entry of the hash table; index FORAGE_NONE where free. */
typedef struct vocabulary_slot {
    uint32_t hash;
    uint32_t index;
} vocabulary_slot;

struct forage_vocabulary {
    vocabulary_state state;
    size_t count;
    size_t capacity; /* entries in numbers (NUMBERS) or ends (STRINGS) */

    uint32_t *numbers; /* NUMBERS: [capacity] */
    uint32_t *table;   /* NUMBERS: [table_size] index of a number, FORAGE_NONE where absent */
    size_t table_size;

    char *bytes;  /* STRINGS: every id with a NUL behind it */
    size_t *ends; /* STRINGS: [capacity] where the id's NUL lies in bytes */
    size_t bytes_capacity;
    vocabulary_slot *slots; /* STRINGS: [slot_mask + 1], at most 3/4 full */
    size_t slot_mask;
    bool all_numbers; /* STRINGS: every id is a plain number */
    uint32_t largest; /* NUMBERS, and STRINGS with all_numbers: the largest number */
};

enum {
    LONGEST_NUMBER = 10,    /* digits of 2^32 */
    TABLE_ALWAYS = 1 << 16, /* numbers below this may always use the table (256 KiB) */
    TABLE_FACTOR = 16,      /* and those below TABLE_FACTOR x count: 64 bytes an id, no more than strings take */
    SLACK_FACTOR = 4,       /* index == number for numbers below SLACK_FACTOR x count + SLACK_CONSTANT */
    SLACK_CONSTANT = 1024,
};

/* True if `id` is how a number below FORAGE_NONE is written: no sign, no leading zero. */
static inline bool plain_number(const char *id, size_t length, uint32_t *number)
{
    uint64_t sum = 0;
    if (length - 1 >= LONGEST_NUMBER || (id[0] == '0' && length > 1)) /* length 0 wraps around */
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)(unsigned char)id[i] - '0';
        if (digit > 9)
            return false;
        sum = sum * 10 + digit;
    }
    *number = (uint32_t)sum;
    return sum < FORAGE_NONE;
}

/* Writes a number in decimal, terminated; returns its length. */
static size_t write_number(uint32_t number, char buffer[24])
{
    char digits[LONGEST_NUMBER];
    size_t length = 0;
    do {
        digits[length++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    for (size_t i = 0; i < length; i++)
        buffer[i] = digits[length - 1 - i];
    buffer[length] = '\0';
    return length;
}

static bool in_proportion(uint64_t number, size_t count)
{
    return number < (uint64_t)count * SLACK_FACTOR + SLACK_CONSTANT;
}

static bool fits_table(uint64_t number, size_t count)
{
    return number < TABLE_ALWAYS || number < (uint64_t)count * TABLE_FACTOR;
}

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for more ids");
}

forage_status forage_vocabulary_create(forage_vocabulary **vocabulary, forage_error *error)
{
    return forage_vocabulary_create_numbered(0, vocabulary, error);
}

forage_status forage_vocabulary_create_numbered(size_t count, forage_vocabulary **vocabulary, forage_error *error)
{
    *vocabulary = NULL;
    if (count > FORAGE_NONE)
        return forage_fail(error, FORAGE_INVALID, "%zu ids are too many: at most %u", count, FORAGE_NONE);
    *vocabulary = forage_calloc(1, sizeof **vocabulary);
    if (!*vocabulary)
        return no_memory(error);
    (*vocabulary)->state = NUMBERED;
    (*vocabulary)->count = count;
    return FORAGE_OK;
}

static void release(forage_vocabulary *vocabulary)
{
    forage_free(vocabulary->numbers);
    forage_free(vocabulary->table);
    forage_free(vocabulary->bytes);
    forage_free(vocabulary->ends);
    forage_free(vocabulary->slots);
}

void forage_vocabulary_free(forage_vocabulary *vocabulary)
{
    if (!vocabulary)
        return;
    release(vocabulary);
    forage_free(vocabulary);
}

/* ---- growing ---- */

static size_t next_capacity(size_t capacity)
{
    return capacity < 16 ? 16 : capacity * 2;
}

/* Room for one more index in NUMBERS. */
static bool grow_numbers(forage_vocabulary *vocabulary)
{
    size_t capacity = next_capacity(vocabulary->capacity);
    uint32_t *numbers = forage_realloc(vocabulary->numbers, vocabulary->count, capacity, sizeof *numbers);
    if (!numbers)
        return false;
    vocabulary->numbers = numbers;
    vocabulary->capacity = capacity;
    return true;
}

/* Makes the table long enough for `number`. */
static bool grow_table(forage_vocabulary *vocabulary, uint32_t number)
{
    size_t size = vocabulary->table_size ? vocabulary->table_size : 64;
    while (size <= number)
        size *= 2;
    uint32_t *table = forage_realloc(vocabulary->table, vocabulary->table_size, size, sizeof *table);
    if (!table)
        return false;
    memset(table + vocabulary->table_size, 0xff, (size - vocabulary->table_size) * sizeof *table);
    vocabulary->table = table;
    vocabulary->table_size = size;
    return true;
}

static const char *string_at(const forage_vocabulary *vocabulary, size_t index, size_t *length)
{
    size_t start = index ? vocabulary->ends[index - 1] + 1 : 0;
    *length = vocabulary->ends[index] - start;
    return vocabulary->bytes + start;
}

static uint32_t hash_of(const char *id, size_t length)
{
    return (uint32_t)XXH3_64bits(id, length);
}

static void insert_slot(vocabulary_slot *slots, size_t mask, uint32_t hash, uint32_t index)
{
    size_t place = hash & mask;
    while (slots[place].index != FORAGE_NONE)
        place = (place + 1) & mask;
    slots[place].hash = hash;
    slots[place].index = index;
}

static bool slots_full(const forage_vocabulary *vocabulary)
{
    return !vocabulary->slots || vocabulary->count >= (vocabulary->slot_mask + 1) / 4 * 3;
}

static bool grow_slots(forage_vocabulary *vocabulary)
{
    size_t size = vocabulary->slots ? (vocabulary->slot_mask + 1) * 2 : 64;
    vocabulary_slot *slots = forage_alloc(size, sizeof *slots);
    if (!slots)
        return false;
    memset(slots, 0xff, size * sizeof *slots);
    for (size_t i = 0; vocabulary->slots && i <= vocabulary->slot_mask; i++)
        if (vocabulary->slots[i].index != FORAGE_NONE)
            insert_slot(slots, size - 1, vocabulary->slots[i].hash, vocabulary->slots[i].index);
    forage_free(vocabulary->slots);
    vocabulary->slots = slots;
    vocabulary->slot_mask = size - 1;
    return true;
}

static bool grow_bytes(forage_vocabulary *vocabulary, size_t used, size_t needed)
{
    size_t capacity = vocabulary->bytes_capacity ? vocabulary->bytes_capacity : 256;
    while (capacity < needed)
        if (__builtin_mul_overflow(capacity, (size_t)2, &capacity))
            return false;
    char *bytes = forage_realloc(vocabulary->bytes, used, capacity, 1);
    if (!bytes)
        return false;
    vocabulary->bytes = bytes;
    vocabulary->bytes_capacity = capacity;
    return true;
}

/* ---- STRINGS ---- */

static uint32_t find_string(const forage_vocabulary *vocabulary, const char *id, size_t length, uint32_t hash)
{
    if (!vocabulary->slots)
        return FORAGE_NONE;
    for (size_t place = hash & vocabulary->slot_mask;; place = (place + 1) & vocabulary->slot_mask) {
        const vocabulary_slot *slot = &vocabulary->slots[place];
        size_t found_length;
        if (slot->index == FORAGE_NONE)
            return FORAGE_NONE;
        if (slot->hash != hash)
            continue;
        const char *found = string_at(vocabulary, slot->index, &found_length);
        if (found_length == length && memcmp(found, id, length) == 0)
            return slot->index;
    }
}

/* Adds an id that is not there yet. */
static bool append_string(forage_vocabulary *vocabulary, const char *id, size_t length, uint32_t hash)
{
    size_t used = vocabulary->count ? vocabulary->ends[vocabulary->count - 1] + 1 : 0;
    size_t needed;
    uint32_t number;
    if (__builtin_add_overflow(used, length, &needed) || ++needed == 0)
        return false;
    if (needed > vocabulary->bytes_capacity && !grow_bytes(vocabulary, used, needed))
        return false;
    if (vocabulary->count == vocabulary->capacity) {
        size_t capacity = next_capacity(vocabulary->capacity);
        size_t *ends = forage_realloc(vocabulary->ends, vocabulary->count, capacity, sizeof *ends);
        if (!ends)
            return false;
        vocabulary->ends = ends;
        vocabulary->capacity = capacity;
    }
    if (slots_full(vocabulary) && !grow_slots(vocabulary))
        return false;

    if (length)
        memcpy(vocabulary->bytes + used, id, length);
    vocabulary->bytes[used + length] = '\0';
    vocabulary->ends[vocabulary->count] = used + length;
    insert_slot(vocabulary->slots, vocabulary->slot_mask, hash, (uint32_t)vocabulary->count);
    vocabulary->count++;
    if (!plain_number(id, length, &number))
        vocabulary->all_numbers = false;
    else if (number > vocabulary->largest)
        vocabulary->largest = number;
    return true;
}

/* Turns `vocabulary`, in any state, into STRINGS. As it was on failure. */
static bool become_strings(forage_vocabulary *vocabulary)
{
    forage_vocabulary strings = {.state = STRINGS, .all_numbers = true};
    for (size_t i = 0; i < vocabulary->count; i++) {
        char buffer[24];
        size_t length = write_number(vocabulary->state == NUMBERED ? (uint32_t)i : vocabulary->numbers[i], buffer);
        if (!append_string(&strings, buffer, length, hash_of(buffer, length))) {
            release(&strings);
            return false;
        }
    }
    release(vocabulary);
    *vocabulary = strings;
    return true;
}

/* ---- NUMBERS ---- */

/* The number that the id at `index` is; all ids are numbers. */
static uint32_t number_at(const forage_vocabulary *vocabulary, size_t index)
{
    uint32_t number = (uint32_t)index;
    size_t length;
    if (vocabulary->state == NUMBERS)
        return vocabulary->numbers[index];
    if (vocabulary->state == STRINGS) {
        const char *id = string_at(vocabulary, index, &length);
        plain_number(id, length, &number);
    }
    return number;
}

/* Turns NUMBERED, or STRINGS that are all numbers, into NUMBERS. As it was on failure. */
static bool become_numbers(forage_vocabulary *vocabulary)
{
    size_t count = vocabulary->count;
    forage_vocabulary numbers = {.state = NUMBERS, .count = count, .capacity = count};
    if (count) {
        numbers.largest = vocabulary->state == NUMBERED ? (uint32_t)count - 1 : vocabulary->largest;
        numbers.numbers = forage_alloc(count, sizeof *numbers.numbers);
        if (!numbers.numbers || !grow_table(&numbers, numbers.largest)) {
            release(&numbers);
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            numbers.numbers[i] = number_at(vocabulary, i);
            numbers.table[numbers.numbers[i]] = (uint32_t)i;
        }
    }
    release(vocabulary);
    *vocabulary = numbers;
    return true;
}

/* Adds a number that is not there yet; false when memory is short. */
static bool append_number(forage_vocabulary *vocabulary, uint32_t number)
{
    if (vocabulary->count == vocabulary->capacity && !grow_numbers(vocabulary))
        return false;
    if (number >= vocabulary->table_size && !grow_table(vocabulary, number))
        return false;
    vocabulary->table[number] = (uint32_t)vocabulary->count;
    vocabulary->numbers[vocabulary->count++] = number;
    if (number > vocabulary->largest)
        vocabulary->largest = number;
    return true;
}

/* ---- the face ---- */

/* The way of a new id, or of one that changes the state. */
static forage_status add_slowly(forage_vocabulary *vocabulary, const char *id, size_t length, uint32_t *index,
                                forage_error *error)
{
    uint32_t number = 0;
    bool is_number = plain_number(id, length, &number);
    bool fits = is_number && fits_table(number, vocabulary->count);
    uint32_t hash = 0;

    if (vocabulary->state == NUMBERED && is_number && number < vocabulary->count) {
        *index = number;
        return FORAGE_OK;
    }
    if (vocabulary->count == FORAGE_NONE)
        return forage_fail(error, FORAGE_INVALID, "more than %u different ids", FORAGE_NONE);
    if (vocabulary->state == NUMBERED && is_number && number == vocabulary->count) {
        *index = (uint32_t)vocabulary->count++;
        return FORAGE_OK;
    }
    if (vocabulary->state == NUMBERED && fits && !become_numbers(vocabulary))
        return no_memory(error);
    if (vocabulary->state != STRINGS && !fits && !become_strings(vocabulary))
        return no_memory(error);

    if (vocabulary->state == STRINGS && vocabulary->all_numbers && fits && slots_full(vocabulary) &&
        fits_table(vocabulary->largest, vocabulary->count) && !become_numbers(vocabulary))
        return no_memory(error);

    *index = (uint32_t)vocabulary->count;
    if (vocabulary->state == NUMBERS)
        return append_number(vocabulary, number) ? FORAGE_OK : no_memory(error);
    hash = hash_of(id, length);
    return append_string(vocabulary, id, length, hash) ? FORAGE_OK : no_memory(error);
}

uint32_t forage_vocabulary_find(const forage_vocabulary *vocabulary, const char *id, size_t length)
{
    uint32_t number;
    if (vocabulary->state == STRINGS)
        return find_string(vocabulary, id, length, hash_of(id, length));
    if (!plain_number(id, length, &number))
        return FORAGE_NONE;
    if (vocabulary->state == NUMBERED)
        return number < vocabulary->count ? number : FORAGE_NONE;
    return number < vocabulary->table_size ? vocabulary->table[number] : FORAGE_NONE;
}

forage_status forage_vocabulary_add(forage_vocabulary *vocabulary, const char *id, size_t length, uint32_t *index,
                                    forage_error *error)
{
    uint32_t found = forage_vocabulary_find(vocabulary, id, length);
    if (found == FORAGE_NONE)
        return add_slowly(vocabulary, id, length, index, error);
    *index = found;
    return FORAGE_OK;
}

size_t forage_vocabulary_count(const forage_vocabulary *vocabulary)
{
    return vocabulary->count;
}

const char *forage_vocabulary_id(const forage_vocabulary *vocabulary, uint32_t index, char buffer[24], size_t *length)
{
    size_t own_length;
    if (!length)
        length = &own_length;
    if (vocabulary->state == STRINGS)
        return string_at(vocabulary, index, length);
    *length = write_number(vocabulary->state == NUMBERED ? index : vocabulary->numbers[index], buffer);
    return buffer;
}

bool forage_vocabulary_numbered(const forage_vocabulary *vocabulary)
{
    return vocabulary->state == NUMBERED;
}

forage_status forage_vocabulary_number(forage_vocabulary *vocabulary, uint32_t **map, forage_error *error)
{
    size_t count = vocabulary->count;
    *map = NULL;
    if (vocabulary->state == STRINGS && !vocabulary->all_numbers)
        return FORAGE_OK;
    if (vocabulary->state != NUMBERED && !in_proportion(vocabulary->largest, count))
        return FORAGE_OK;

    uint32_t *numbers = forage_alloc(count, sizeof *numbers);
    if (!numbers)
        return no_memory(error);
    for (size_t i = 0; i < count; i++)
        numbers[i] = number_at(vocabulary, i);
    if (vocabulary->state != NUMBERED) {
        forage_vocabulary numbered = {.state = NUMBERED, .count = count ? (size_t)vocabulary->largest + 1 : 0};
        release(vocabulary);
        *vocabulary = numbered;
    }
    *map = numbers;
    return FORAGE_OK;
}
