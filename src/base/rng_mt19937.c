/*
 * rng_mt19937.c: numpy.random.RandomState's generator, which scikit-learn uses
 * for its splits. Matsumoto and Nishimura (1998), "Mersenne Twister".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

enum { WORDS = 624, MIDDLE = 397 };

void forage_mt19937_seed(forage_mt19937 *rng, uint32_t seed)
{
    for (uint32_t i = 0; i < WORDS; i++) {
        rng->key[i] = seed;
        seed = 1812433253U * (seed ^ (seed >> 30)) + i + 1;
    }
    rng->position = WORDS;
}

/* 624 new words: each mixes the top bit of one with the rest of the next. */
static void twist(uint32_t *key)
{
    for (size_t i = 0; i < WORDS; i++) {
        uint32_t joined = (key[i] & 0x80000000U) | (key[(i + 1) % WORDS] & 0x7fffffffU);

        key[i] = key[(i + MIDDLE) % WORDS] ^ (joined >> 1) ^ (joined & 1 ? 0x9908b0dfU : 0);
    }
}

uint32_t forage_mt19937_u32(forage_mt19937 *rng)
{
    uint32_t word;

    if (rng->position >= WORDS) {
        twist(rng->key);
        rng->position = 0;
    }
    word = rng->key[rng->position++];
    word ^= word >> 11;
    word ^= word << 7 & 0x9d2c5680U;
    word ^= word << 15 & 0xefc60000U;
    return word ^ (word >> 18);
}

/* A number in [0, limit] by masking and drawing again, as the legacy generator does. */
static uint64_t limited(forage_mt19937 *rng, uint64_t limit, uint64_t mask)
{
    uint64_t value;

    do {
        value = forage_mt19937_u32(rng);
        if (limit > UINT32_MAX)
            value = value << 32 | forage_mt19937_u32(rng);
        value &= mask;
    } while (value > limit);
    return value;
}

void forage_mt19937_permute(forage_mt19937 *rng, uint32_t *values, size_t count)
{
    for (size_t i = count; i-- > 1;) {
        size_t other = (size_t)limited(rng, i, UINT64_MAX >> __builtin_clzll(i));
        uint32_t value = values[i];

        values[i] = values[other];
        values[other] = value;
    }
}
