/*
 * grow.h: what models share that take over what another one of their kind has learned, in a world that has grown: which
 * code is whose, rows of tables, and whether both have one shape.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_GROW_H
#define MODEL_GROW_H

#include "forage/model.h"

/* (*map)[code of `field`] = the code of the same id or value in `from`, or FORAGE_NONE; to be freed. */
forage_status model_map_codes(const forage_field *field, const forage_field *from, uint32_t **map, forage_error *error);

/* Copies rows of `width` floats that lie `pitch` apart: row r of `to` is row map[r] of `from`, and `other` where that
 * is FORAGE_NONE. */
void model_take_rows(const float *from, const uint32_t *map, size_t rows, size_t width, size_t pitch,
                     const float *other, float *to);

/* Fails naming the first of these parameters that is not what the model to go on from was fitted with. */
forage_status model_check_shape(const forage_params *now, const forage_params *old, const char *const *names,
                                size_t count, forage_error *error);
/* That failure: the parameter has `before` in the model to go on from, and `now` here. */
forage_status model_other_shape(const char *name, const char *before, const char *now, forage_error *error);

#endif
