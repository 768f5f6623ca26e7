/*
 * rng.c: NumPy's default generator, bit for bit.
 *
 * PCG64 is the 128-bit linear congruential generator s <- a*s + c whose output
 * is XSL-RR: the two halves of the state xored and rotated by its top six bits
 * (O'Neill 2014, "PCG: A family of simple fast space-efficient statistically
 * good algorithms for random number generation"). Its state comes from
 * NumPy's SeedSequence, a hash that spreads a seed of any length over a pool
 * of four words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

__extension__ typedef unsigned __int128 u128;

#define PCG_MULTIPLIER (((u128)0x2360ed051fc65da4U << 64) | 0x4385df649fccf645U)

static inline u128 join(uint64_t high, uint64_t low)
{
    return ((u128)high << 64) | low;
}

static inline uint64_t xsl_rr(u128 state)
{
    uint64_t folded = (uint64_t)(state >> 64) ^ (uint64_t)state;
    unsigned turn = (unsigned)(state >> 122);

    return (folded >> turn) | (folded << (-turn & 63));
}

static inline u128 state_of(const forage_rng *rng)
{
    return join(rng->state_high, rng->state_low);
}

static inline void set_state(forage_rng *rng, u128 state)
{
    rng->state_high = (uint64_t)(state >> 64);
    rng->state_low = (uint64_t)state;
}

/* ---- SeedSequence ---- */

enum { POOL = 4, STATE_WORDS = 8 };

/* A word goes through xor and multiplication with a constant that moves on at each use. */
static uint32_t scramble(uint32_t word, uint32_t *constant, uint32_t multiplier)
{
    word ^= *constant;
    *constant *= multiplier;
    word *= *constant;
    return word ^ (word >> 16);
}

static uint32_t blend(uint32_t left, uint32_t right)
{
    uint32_t word = 0xca01f9ddU * left - 0x4973f715U * right;

    return word ^ (word >> 16);
}

static void seed_sequence(const uint32_t *entropy, size_t count, uint32_t out[STATE_WORDS])
{
    uint32_t pool[POOL];
    uint32_t constant = 0x43b0d7e5U;

    for (size_t i = 0; i < POOL; i++)
        pool[i] = scramble(i < count ? entropy[i] : 0, &constant, 0x931e8875U);
    for (size_t from = 0; from < POOL; from++)
        for (size_t to = 0; to < POOL; to++)
            if (from != to)
                pool[to] = blend(pool[to], scramble(pool[from], &constant, 0x931e8875U));
    for (size_t from = POOL; from < count; from++)
        for (size_t to = 0; to < POOL; to++)
            pool[to] = blend(pool[to], scramble(entropy[from], &constant, 0x931e8875U));

    constant = 0x8b51f9ddU;
    for (size_t i = 0; i < STATE_WORDS; i++)
        out[i] = scramble(pool[i % POOL], &constant, 0x58f38dedU);
}

static void seed_from(forage_rng *rng, const uint32_t *entropy, size_t count)
{
    uint32_t words[STATE_WORDS];
    uint64_t value[4];
    u128 increment;

    seed_sequence(entropy, count, words);
    for (size_t i = 0; i < 4; i++)
        value[i] = (uint64_t)words[2 * i + 1] << 32 | words[2 * i];

    /* PCG's own seeding: the increment made odd, two steps around the initial state. */
    increment = join(value[2], value[3]) << 1 | 1;
    rng->increment_high = (uint64_t)(increment >> 64);
    rng->increment_low = (uint64_t)increment;
    set_state(rng, (increment + join(value[0], value[1])) * PCG_MULTIPLIER + increment);
    rng->spare = 0;
    rng->has_spare = 0;
}

void forage_rng_seed(forage_rng *rng, uint64_t seed)
{
    uint32_t entropy[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};

    /* A pool that is not full is filled with zeros, so leading zero words make no difference. */
    seed_from(rng, entropy, 2);
}

void forage_rng_seed_stream(forage_rng *rng, uint64_t seed, uint32_t stream)
{
    uint32_t entropy[POOL + 1] = {(uint32_t)seed, (uint32_t)(seed >> 32), 0, 0, stream};

    seed_from(rng, entropy, POOL + 1);
}

/* ---- The stream ---- */

uint64_t forage_rng_u64(forage_rng *rng)
{
    u128 state = state_of(rng) * PCG_MULTIPLIER + join(rng->increment_high, rng->increment_low);

    set_state(rng, state);
    return xsl_rr(state);
}

uint32_t forage_rng_u32(forage_rng *rng)
{
    uint64_t draw;

    if (rng->has_spare) {
        rng->has_spare = 0;
        return rng->spare;
    }
    draw = forage_rng_u64(rng);
    rng->has_spare = 1;
    rng->spare = (uint32_t)(draw >> 32);
    return (uint32_t)draw;
}

double forage_rng_double(forage_rng *rng)
{
    return (double)(forage_rng_u64(rng) >> 11) * 0x1p-53;
}

/* `steps` steps at once are again a linear map s <- a*s + c, found by repeated
 * squaring (Brown 1994, "Random number generation with arbitrary strides"). */
static void stride(u128 increment, uint64_t steps, u128 *multiplier, u128 *addend)
{
    u128 step_multiplier = PCG_MULTIPLIER, step_addend = increment;

    *multiplier = 1;
    *addend = 0;
    for (; steps > 0; steps >>= 1) {
        if (steps & 1) {
            *multiplier *= step_multiplier;
            *addend = *addend * step_multiplier + step_addend;
        }
        step_addend *= step_multiplier + 1;
        step_multiplier *= step_multiplier;
    }
}

void forage_rng_advance(forage_rng *rng, uint64_t steps)
{
    u128 multiplier, addend;

    stride(join(rng->increment_high, rng->increment_low), steps, &multiplier, &addend);
    set_state(rng, state_of(rng) * multiplier + addend);
    rng->has_spare = 0;
    rng->spare = 0;
}

void forage_rng_fill(forage_rng *rng, uint64_t *draws, size_t count)
{
    u128 increment = join(rng->increment_high, rng->increment_low);
    u128 state = state_of(rng);
    size_t i = 0;

    /* Four lanes, each four steps at a time: a single lane would wait for its own multiplication. */
    if (count >= 16) {
        u128 multiplier, addend, lane[4];

        stride(increment, 4, &multiplier, &addend);
        for (size_t k = 0; k < 4; k++)
            lane[k] = state = state * PCG_MULTIPLIER + increment;
        for (; i + 4 <= count; i += 4) {
            for (size_t k = 0; k < 4; k++)
                draws[i + k] = xsl_rr(lane[k]);
            state = lane[3];
            for (size_t k = 0; k < 4; k++)
                lane[k] = lane[k] * multiplier + addend;
        }
    }
    for (; i < count; i++) {
        state = state * PCG_MULTIPLIER + increment;
        draws[i] = xsl_rr(state);
    }
    set_state(rng, state);
}

/* ---- Whole numbers and order ---- */

/* Lemire (2019), "Fast random integer generation in an interval": the high half
 * of draw x bound is the number; a draw whose low half falls below
 * 2^bits mod bound would favour some numbers and is taken again. */
static uint64_t bounded32(forage_rng *rng, uint32_t bound)
{
    uint64_t product = (uint64_t)forage_rng_u32(rng) * bound;

    if ((uint32_t)product < bound) {
        uint32_t threshold = -bound % bound;

        while ((uint32_t)product < threshold)
            product = (uint64_t)forage_rng_u32(rng) * bound;
    }
    return product >> 32;
}

static uint64_t bounded64(forage_rng *rng, uint64_t bound)
{
    u128 product = (u128)forage_rng_u64(rng) * bound;

    if ((uint64_t)product < bound) {
        uint64_t threshold = -bound % bound;

        while ((uint64_t)product < threshold)
            product = (u128)forage_rng_u64(rng) * bound;
    }
    return (uint64_t)(product >> 64);
}

uint64_t forage_rng_integers(forage_rng *rng, uint64_t bound)
{
    if (bound <= 1)
        return 0; /* one possibility: NumPy draws nothing */
    if (bound <= UINT32_MAX)
        return bounded32(rng, (uint32_t)bound);
    if (bound == (uint64_t)UINT32_MAX + 1)
        return forage_rng_u32(rng);
    return bounded64(rng, bound);
}

/* shuffle() is older in NumPy than integers(): it masks a draw to the bits that
 * `limit` needs and draws again while it is above. */
uint64_t forage_rng_interval(forage_rng *rng, uint64_t limit)
{
    uint64_t mask, value;

    if (limit == 0)
        return 0;
    mask = UINT64_MAX >> __builtin_clzll(limit);
    do
        value = (limit <= UINT32_MAX ? forage_rng_u32(rng) : forage_rng_u64(rng)) & mask;
    while (value > limit);
    return value;
}

void forage_rng_permute(forage_rng *rng, uint32_t *values, size_t count)
{
    for (size_t i = count; i-- > 1;) {
        size_t other = (size_t)forage_rng_interval(rng, i);
        uint32_t value = values[i];

        values[i] = values[other];
        values[other] = value;
    }
}
