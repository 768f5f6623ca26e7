/*
 * The fuzzer's entry as an ordinary test: every file of the seed corpus, then mutations of them
 * by a generator with a fixed seed. A broken property aborts; so do the sanitizers, in a build that has them.
 *
 *     run_corpus FOLDER ROUNDS
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 64, LONGEST = 1 << 16 };

typedef struct seed {
    uint8_t *bytes;
    size_t size;
} seed;

static size_t read_seeds(const char *folder, seed seeds[SEEDS])
{
    struct dirent **entries;
    size_t count = 0;
    int found = scandir(folder, &entries, NULL, alphasort); /* sorted: the same run everywhere */
    for (int i = 0; i < found; i++) {
        char path[1024], *bytes;
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && count < SEEDS &&
            forage_read_file(path, LONGEST / 2, &bytes, &seeds[count].size, NULL) == FORAGE_OK)
            seeds[count++].bytes = (uint8_t *)bytes;
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
    return count;
}

static size_t below(forage_rng *rng, size_t bound)
{
    return bound ? (size_t)forage_rng_integers(rng, bound) : 0;
}

/* One change of bytes[0, size) (room for LONGEST); returns the new size. */
static size_t mutate(forage_rng *rng, uint8_t *bytes, size_t size, const seed *other)
{
    static const uint8_t telling[] = ",\t\n\r\"{}:;|-+.eE0123456789 \0\xff\xef\x80#&[]'";
    size_t at = below(rng, size), length = 1 + below(rng, 16);
    switch (forage_rng_integers(rng, 7)) {
    case 0: /* one bit */
        if (size)
            bytes[at] ^= (uint8_t)(1U << forage_rng_integers(rng, 8));
        return size;
    case 1: /* a byte that means something */
        if (size)
            bytes[at] = telling[below(rng, sizeof telling - 1)];
        return size;
    case 2: /* leave some out */
        length = length < size - at ? length : size - at;
        memmove(bytes + at, bytes + at + length, size - at - length);
        return size - length;
    case 3: /* put one in */
        if (size >= LONGEST)
            return size;
        memmove(bytes + at + 1, bytes + at, size - at);
        bytes[at] = telling[below(rng, sizeof telling - 1)];
        return size + 1;
    case 4: /* say some twice */
        length = length < size - at ? length : size - at;
        if (size + length > LONGEST)
            return size;
        memmove(bytes + at + length, bytes + at, size - at);
        return size + length;
    case 5: /* cut */
        return at;
    default: /* the rest of another seed */
        length = below(rng, other->size);
        length = length < LONGEST - at ? length : LONGEST - at;
        memcpy(bytes + at, other->bytes + other->size - length, length);
        return at + length;
    }
}

int main(int argc, char **argv)
{
    seed seeds[SEEDS];
    static uint8_t bytes[LONGEST];
    size_t count = argc == 3 ? read_seeds(argv[1], seeds) : 0;
    size_t rounds = argc == 3 ? (size_t)strtoull(argv[2], NULL, 10) : 0;
    forage_rng rng;
    if (count == 0) {
        fprintf(stderr, "usage: run_corpus FOLDER ROUNDS (the folder needs files)\n");
        return 2;
    }
    for (size_t i = 0; i < count; i++)
        LLVMFuzzerTestOneInput(seeds[i].bytes, seeds[i].size);
    forage_rng_seed(&rng, 1);
    for (size_t round = 0; round < rounds; round++) {
        const seed *first = &seeds[below(&rng, count)];
        size_t size = first->size, changes = 1 + below(&rng, 6);
        memcpy(bytes, first->bytes, size);
        while (changes--)
            size = mutate(&rng, bytes, size, &seeds[below(&rng, count)]);
        /* An exact block, so that a read behind its end is seen. */
        uint8_t *exact = malloc(size ? size : 1);
        if (!exact)
            return 1;
        memcpy(exact, bytes, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    for (size_t i = 0; i < count; i++)
        forage_free(seeds[i].bytes);
    printf("%zu seeds and %zu mutations of them\n", count, rounds);
    return 0;
}
