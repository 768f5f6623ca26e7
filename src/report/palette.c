/*
 * The palette: Okabe and Ito's colours, deepened a little where letters need
 * the contrast, and their twins for dark screens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/palette.h"

const palette_colour palette[] = {
    {"blue", 0x0072B2, 0x4FA8E0},        {"vermillion", 0xD55E00, 0xF0803C},
    {"green", 0x009E73, 0x2FC49A},       {"purple", 0xB65C91, 0xDB8FBA},
    {"orange", 0xE69F00, 0xF0B429},      {"sky", 0x56B4E9, 0x7CC6F0},
    {"grey", 0x8A8F98, 0x868D98},        {"black", 0x2B2F36, 0xD9DDE3},
    {"blue-text", 0x00629A, 0x6CB8EA},   {"vermillion-text", 0xB34F00, 0xF59A61},
    {"green-text", 0x00795A, 0x4FD1AC},  {"purple-text", 0x994A78, 0xE3A5C8},
    {"orange-text", 0x8F6300, 0xF3C04C}, {"sky-text", 0x2A79A8, 0x93D1F4},
    {"grey-text", 0x646A73, 0xA4ABB5},   {"black-text", 0x1C1F25, 0xE8EAEE},
    {"grid", 0xE3E6EA, 0x2E333B},        {"axis", 0x9AA0A8, 0x6C737D},
    {"muted", 0x5A606A, 0xA9B0BA},       {"text", 0x1C1F24, 0xE8EAED},
};
const size_t palette_count = sizeof palette / sizeof *palette;

_Static_assert(sizeof palette / sizeof *palette == PALETTE_COUNT, "one row for each index");

const char *palette_name(uint32_t light)
{
    for (size_t i = 0; i < palette_count; ++i) {
        if (palette[i].light == light)
            return palette[i].name;
    }
    return 0;
}
