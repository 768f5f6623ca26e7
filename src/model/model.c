/*
 * The model in hand: saving, loading, and what can be asked of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"

#include <stdio.h>
#include <string.h>

void forage_model_free(forage_model *model)
{
    if (!model)
        return;
    if (model->type)
        model->type->free(model->state);
    forage_params_free(model->params);
    model_schema_release(&model->schema);
    forage_free(model);
}

forage_status forage_model_save(const forage_model *model, const char *path, forage_error *error)
{
    nn_checkpoint *checkpoint;
    forage_status status;
    FORAGE_TRY(nn_checkpoint_create(&checkpoint, error));
    FORAGE_TRY_GOTO(model_metadata_write(model->type, model->params, &model->schema, checkpoint, error), end);
    FORAGE_TRY_GOTO(model->type->save(model->state, checkpoint, error), end);
    status = nn_checkpoint_save(checkpoint, path, error);
end:
    nn_checkpoint_free(checkpoint);
    return status;
}

/* No metadata of ours: asks each model whether it knows these tensors. */
static forage_status recognise(const nn_checkpoint *checkpoint, forage_model *model, forage_error *error)
{
    for (size_t i = 0; model_type_at(i); i++) {
        const model_type *type = model_type_at(i);
        size_t users = 0, items = 0;
        bool mine = false;
        if (!type->recognise)
            continue;
        FORAGE_TRY(forage_params_create(&type->info.table, &model->params, error));
        FORAGE_TRY(type->recognise(checkpoint, model->params, &users, &items, &mine, error));
        if (mine) {
            FORAGE_TRY(model_schema_numbered(users, items, &model->schema, error));
            model->type = type;
            return FORAGE_OK;
        }
        forage_params_free(model->params);
        model->params = NULL;
    }
    return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, NULL,
                          "this file has tensors, but of no model that Forage knows");
}

/* A number of codes is only a claim until the tensors bear it out. Models keep at least a byte for each code, so one
 * that the file has no room for is refused before a model makes room for it in memory. */
static forage_status check_codes(const nn_checkpoint *checkpoint, const forage_schema *schema, forage_error *error)
{
    size_t bytes = 0;
    for (size_t t = 0; t < nn_checkpoint_count(checkpoint); t++)
        bytes += nn_checkpoint_at(checkpoint, t)->size;
    for (size_t f = 0; f < schema->field_count; f++) {
        if (schema->fields[f].cardinality > bytes)
            return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, schema->fields[f].name,
                                  "%zu codes are more than the file has numbers for", schema->fields[f].cardinality);
    }
    return FORAGE_OK;
}

static forage_status read_model(const nn_checkpoint *checkpoint, forage_model *model, forage_error *error)
{
    const model_type *type;
    FORAGE_TRY(model_metadata_read(checkpoint, &type, &model->params, &model->schema, error));
    if (nn_checkpoint_metadata(checkpoint, "forage.fit"))
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, NULL,
                              "this is the state of an unfinished fit, not a model; resume the fit");
    model->type = type;
    if (!type)
        FORAGE_TRY(recognise(checkpoint, model, error));
    FORAGE_TRY(check_codes(checkpoint, &model->schema, error));
    model->setup = (model_setup){model->params, &model->schema, &model->device, 0};
    forage_error own = {0};
    forage_status status = model->type->load(&model->setup, checkpoint, &model->state, &own);
    if (status == FORAGE_INVALID) /* parameters that do not go together: here the file's fault, nobody else's */
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, own.field, "%s", own.message);
    if (status != FORAGE_OK && error)
        *error = own;
    return status;
}

forage_status model_device(const forage_device *wanted, forage_device *device, forage_error *error)
{
    if (!wanted)
        return forage_device_open("auto", 0, device, error);
    *device = *wanted;
    return FORAGE_OK;
}

forage_status model_empty(const model_type *type, const forage_params *params, const forage_device *device,
                          uint64_t seed, forage_model **model, forage_error *error)
{
    forage_model *made = forage_calloc(1, sizeof *made);
    forage_status status;
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a model");
    made->type = type;
    made->seed = seed;
    FORAGE_TRY_GOTO(model_device(device, &made->device, error), fail);
    if (params)
        status = forage_params_copy(params, &made->params, error);
    else
        status = forage_params_create(&type->info.table, &made->params, error);
    if (status != FORAGE_OK)
        goto fail;
    *model = made;
    return FORAGE_OK;
fail:
    forage_model_free(made);
    return status;
}

forage_status forage_model_load(const char *path, const forage_device *device, forage_model **model,
                                forage_error *error)
{
    nn_checkpoint *checkpoint;
    forage_status status = FORAGE_NO_MEMORY;
    *model = NULL;
    FORAGE_TRY(nn_checkpoint_load(path, &checkpoint, error));
    forage_model *made = forage_calloc(1, sizeof *made);
    if (!made) {
        forage_fail(error, status, "no memory for a model");
        goto end;
    }
    FORAGE_TRY_GOTO(model_device(device, &made->device, error), end);
    FORAGE_TRY_GOTO(read_model(checkpoint, made, error), end);
    *model = made;
end:
    nn_checkpoint_free(checkpoint);
    if (status != FORAGE_OK)
        forage_model_free(made);
    return status;
}

const forage_model_info *forage_model_info_of(const forage_model *model)
{
    return &model->type->info;
}

const forage_schema *forage_model_schema(const forage_model *model)
{
    return &model->schema;
}

const forage_params *forage_model_params(const forage_model *model)
{
    return model->params;
}

const forage_device *forage_model_device(const forage_model *model)
{
    return &model->device;
}

size_t forage_model_describe(const forage_model *model, char *buffer, size_t size)
{
    return model->type->describe(model->state, buffer, size);
}

size_t forage_model_weight_count(const forage_model *model)
{
    return model->type->weight_count(model->state);
}
