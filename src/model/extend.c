/*
 * extend.c: what a model has learned, for a world with further users and items: as a model of its own, or as where a
 * fit begins.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"
#include "model/grow.h"

#include <string.h>

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
        if (field == SIZE_MAX && other == SIZE_MAX && model_reads_history(model->type))
            continue;
        if (field == SIZE_MAX || other == SIZE_MAX) {
            status = forage_fail(error, FORAGE_UNSUPPORTED, "the ids of %s must be read by both models",
                                 owner == FORAGE_OF_ITEM ? "items" : "users");
            goto end;
        }
        FORAGE_TRY_GOTO(model_map_codes(&model->schema.fields[field], &from->schema.fields[other], &maps[i], error),
                        end);
    }
    status = model->type->extend(model->state, from->state, maps[0], maps[1], events, error);
end:
    forage_free(maps[0]);
    forage_free(maps[1]);
    return status;
}

/* ---- a model that knows more ---- */

/* All of a dataset's rows, where none were named. */
static forage_status all_rows(const forage_dataset *dataset, uint32_t **rows, forage_error *error)
{
    *rows = forage_alloc(dataset->count + 1, sizeof **rows);
    if (!*rows)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu rows", dataset->count);
    for (size_t i = 0; i < dataset->count; i++)
        (*rows)[i] = (uint32_t)i;
    return FORAGE_OK;
}

static forage_status extend(const forage_model *from, const forage_dataset *dataset, const uint32_t *rows, size_t count,
                            const char *source, forage_model *model, forage_error *error)
{
    const model_type *type = model->type;
    bool with_time = (type->reads & MODEL_READS_TIME) != 0;
    model_columns columns = {0};
    model_coded coded = {0};
    model_past past = {0};
    forage_status status;
    FORAGE_TRY(model_schema_extend(&from->schema, dataset, rows, count, source, &model->schema, error));
    model->setup = (model_setup){model->params, &model->schema, &model->device, model->seed};
    FORAGE_TRY(type->create(&model->setup, &model->state, error));
    FORAGE_TRY_GOTO(model_columns_create(&model->schema, dataset, source, &columns, error), end);
    FORAGE_TRY_GOTO(model_coded_create(&columns, dataset, rows, count, with_time, model->device.threads, &coded, error),
                    end);
    if (model_reads_history(type)) {
        const model_past_task task = {type, model->params, &columns, dataset, model->device.threads};
        FORAGE_TRY_GOTO(model_past_create(&task, rows, count, &past, error), end);
        FORAGE_TRY_GOTO(model_past_place(&past, &task, rows, count, error), end);
        coded.examples.past = &past.past;
    }
    status = model_extend_state(model, from, &coded.examples, error);
end:
    model_past_release(&past);
    model_coded_release(&coded, columns.count);
    model_columns_release(&columns);
    return status;
}

forage_status forage_model_extend(const forage_model *model, const forage_dataset *dataset, const uint32_t *rows,
                                  size_t count, const char *source, forage_model **extended, forage_error *error)
{
    uint32_t *all = NULL;
    forage_status status;
    *extended = NULL;
    if (!model->type->extend)
        return forage_fail(error, FORAGE_UNSUPPORTED,
                           "%s cannot take in new users and items without being trained again", model->type->info.name);
    if (!rows) {
        FORAGE_TRY(all_rows(dataset, &all, error));
        rows = all;
        count = dataset->count;
    }
    FORAGE_TRY_GOTO(model_check_rows(model->type, dataset, rows, count, source, error), end);
    FORAGE_TRY_GOTO(model_empty(model->type, model->params, &model->device, model->seed, extended, error), end);
    status = extend(model, dataset, rows, count, source, *extended, error);
    if (status != FORAGE_OK) {
        forage_model_free(*extended);
        *extended = NULL;
    }
end:
    forage_free(all);
    return status;
}
