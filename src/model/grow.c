/*
 * grow.c: what models share that take over what another one has learned.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/grow.h"

#include <string.h>

forage_status model_map_codes(const forage_field *field, const forage_field *from, uint32_t **map, forage_error *error)
{
    *map = forage_alloc(field->cardinality + 1, sizeof **map);
    if (!*map)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to compare %zu ids", field->cardinality);
    for (uint32_t code = 0; code < field->cardinality; code++) {
        char buffer[24];
        size_t length;
        const char *id = forage_vocabulary_id(field->vocabulary, code, buffer, &length);
        uint32_t old = forage_vocabulary_find(from->vocabulary, id, length);
        (*map)[code] = old < from->cardinality ? old : FORAGE_NONE;
    }
    return FORAGE_OK;
}

void model_take_rows(const float *from, const uint32_t *map, size_t rows, size_t width, size_t pitch,
                     const float *other, float *to)
{
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * pitch, map[r] == FORAGE_NONE ? other : from + map[r] * pitch, width * sizeof *to);
}

forage_status model_other_shape(const char *name, const char *before, const char *now, forage_error *error)
{
    return forage_fail_at(error, FORAGE_INVALID, NULL, 0, name,
                          "the model to go on from was fitted with %.60s, not with %.60s", before, now);
}

forage_status model_check_shape(const forage_params *now, const forage_params *old, const char *const *names,
                                size_t count, forage_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const char *before = forage_params_text(old, names[i]), *here = forage_params_text(now, names[i]);
        if (strcmp(before, here) != 0)
            return model_other_shape(names[i], before, here, error);
    }
    return FORAGE_OK;
}
