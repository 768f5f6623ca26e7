/*
 * palette.h: every colour that a picture may have, with its name in the page's CSS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPORT_PALETTE_H
#define REPORT_PALETTE_H

#include <stddef.h>
#include <stdint.h>

typedef struct palette_colour {
    const char *name;
    uint32_t light, dark; /* on white paper, on a dark screen */
} palette_colour;

extern const palette_colour palette[];
extern const size_t palette_count;

enum palette_index { /* the inks come first, lines then letters, in the order of forage_ink */
                     PALETTE_LINES = 0,
                     PALETTE_LETTERS = 8,
                     PALETTE_GRID = 16,
                     PALETTE_AXIS,
                     PALETTE_MUTED,
                     PALETTE_TEXT,
                     PALETTE_COUNT,
};

/* The name of a light colour, or NULL. */
const char *palette_name(uint32_t light);

#endif
