/* Extending: what a model has learned, for a world with further users and items. */
#include "model/front.h"

#include <string.h>

/* The code in `from` of each code of `field`, FORAGE_NONE for those that it has not. */
static forage_status map_codes(const forage_field *field, const forage_field *from, uint32_t **map, forage_error *error)
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

forage_status model_extend_state(forage_model *model, const forage_model *from, const forage_examples *events,
                                 forage_error *error)
{
    uint32_t *maps[2] = {NULL, NULL};
    forage_status status = FORAGE_OK;
    if (from->type != model->type)
        return forage_fail(error, FORAGE_UNSUPPORTED, "a fit of %s cannot begin from a model of %s",
                           model->type->info.name, from->type->info.name);
    if (!model->type->extend)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%s cannot go on from a fitted model", model->type->info.name);
    for (size_t i = 0; i < 2; i++) {
        forage_owner owner = i ? FORAGE_OF_ITEM : FORAGE_OF_USER;
        size_t field = model_schema_id(&model->schema, owner), other = model_schema_id(&from->schema, owner);
        if (field == SIZE_MAX || other == SIZE_MAX) {
            status = forage_fail(error, FORAGE_UNSUPPORTED, "both models must read the ids of users and items");
            goto end;
        }
        FORAGE_TRY_GOTO(map_codes(&model->schema.fields[field], &from->schema.fields[other], &maps[i], error), end);
    }
    status = model->type->extend(model->state, from->state, maps[0], maps[1], events, error);
end:
    forage_free(maps[0]);
    forage_free(maps[1]);
    return status;
}
