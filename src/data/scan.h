/*
 * scan.h: where, among 64 bytes, those are that matter to the tokenizer.
 *
 * A bit for each byte at `text` that is the delimiter, the quotation mark (pass a line feed where there
 * is none), a line feed, a carriage return or a NUL; the first byte is the lowest bit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DATA_SCAN_H
#define DATA_SCAN_H

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* 0x80 in each byte of `word` that equals the byte of which `pattern` is made. */
static inline uint64_t data_equal_bytes(uint64_t word, uint64_t pattern)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7fU;
    uint64_t x = word ^ pattern;
    return ~(((x & low) + low) | x | low);
}

/* The reference, eight bytes at a time. */
static inline uint64_t data_special_bytes_portable(const char *text, char delimiter, char quote)
{
    const uint64_t ones = 0x0101010101010101U;
    uint64_t mask = 0;
    for (int part = 0; part < 8; part++) {
        uint64_t word;
        memcpy(&word, text + 8 * part, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        uint64_t found = data_equal_bytes(word, ones * (unsigned char)delimiter) |
                         data_equal_bytes(word, ones * (unsigned char)quote) | data_equal_bytes(word, ones * '\n') |
                         data_equal_bytes(word, ones * '\r') | data_equal_bytes(word, 0);
        /* The product gathers bit 0 of byte k as bit 56 + k. */
        mask |= ((found >> 7) * 0x0102040810204080U >> 56) << (8 * part);
    }
    return mask;
}

#ifdef __SSE2__
static inline uint64_t data_special_bytes(const char *text, char delimiter, char quote)
{
    const __m128i wanted[] = {_mm_set1_epi8(delimiter), _mm_set1_epi8(quote), _mm_set1_epi8('\n'), _mm_set1_epi8('\r'),
                              _mm_setzero_si128()};
    uint64_t mask = 0;
    for (int part = 0; part < 4; part++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + 16 * part));
        __m128i found = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, wanted[0]), _mm_cmpeq_epi8(bytes, wanted[1])),
                                     _mm_or_si128(_mm_cmpeq_epi8(bytes, wanted[2]), _mm_cmpeq_epi8(bytes, wanted[3])));
        found = _mm_or_si128(found, _mm_cmpeq_epi8(bytes, wanted[4]));
        mask |= (uint64_t)(uint16_t)_mm_movemask_epi8(found) << (16 * part);
    }
    return mask;
}
#else
static inline uint64_t data_special_bytes(const char *text, char delimiter, char quote)
{
    return data_special_bytes_portable(text, delimiter, quote);
}
#endif

#endif
