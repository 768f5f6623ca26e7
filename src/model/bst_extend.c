/*
 * bst_extend.c: the behaviour sequence transformer for a world with further items, users and values of attributes.
 * What is known keeps its embeddings; those of the rest are the average of the others (with refusals: of what was
 * chosen, and of what was refused).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "model/bst.h"
#include "model/grow.h"

/* ---- do they fit together? ---- */

static void list_fields(const forage_schema *schema, char text[400])
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t f = 0; f < schema->field_count; f++)
        forage_append(text, 400, &used, "%s%s", f ? "," : "", schema->fields[f].name);
}

static forage_status check_fields(const forage_schema *now, const forage_schema *old, forage_error *error)
{
    bool same = now->field_count == old->field_count;
    for (size_t f = 0; same && f < now->field_count; f++) {
        const forage_field *a = &now->fields[f], *b = &old->fields[f];
        same = a->owner == b->owner && a->is_id == b->is_id && a->type == b->type &&
               (a->is_id || strcmp(a->name, b->name) == 0);
    }
    if (same)
        return FORAGE_OK;
    char before[400], here[400];
    list_fields(old, before);
    list_fields(now, here);
    return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "fields",
                          "the model to go on from reads %s, in this order, and not %s", before, here);
}

static const bst_table *positions_of(const model_state *state)
{
    for (size_t t = 0; t < state->table_count; t++) {
        if (state->tables[t].kind == BST_POSITION)
            return &state->tables[t];
    }
    return NULL;
}

/* auto is what the old model found. */
static forage_status check_position(const model_state *state, const model_state *old, forage_error *error)
{
    const char *wanted = forage_params_text(state->params, "position");
    const char *before = !positions_of(old) ? "none" : old->timed ? "time" : "order";
    bool auto_fits = strcmp(wanted, "auto") == 0 && positions_of(old);
    if (state->kind != BST_TRANSFORMER || auto_fits || strcmp(wanted, before) == 0)
        return FORAGE_OK;
    return model_other_shape("position", before, wanted, error);
}

static forage_status check_shape(const model_state *state, const model_state *old, forage_error *error)
{
    static const char *const names[] = {"encoder",        "history", "combine", "readout", "max-length",
                                        "embedding-size", "blocks",  "heads",   "inner",   "layers"};
    FORAGE_TRY(model_check_shape(state->params, old->params, names, sizeof names / sizeof names[0], error));
    FORAGE_TRY(check_position(state, old, error));
    return check_fields(state->schema, old->schema, error);
}

/* ---- taking over ---- */

static void average(const float *rows, size_t count, size_t width, float *to)
{
    for (size_t j = 0; j < width; j++) {
        double sum = 0.0;
        for (size_t i = 0; i < count; i++)
            sum += (double)rows[i * width + j];
        to[j] = (float)(sum / (double)count);
    }
}

/* A table of `rows` categories from one of `old_rows`, behind which lies its average; a field without any value has one
 * row all the same. */
static forage_status take_categories(const model_state *state, const model_state *old, size_t field, size_t rows,
                                     size_t halves, const float *from, size_t old_rows, size_t width, float *to,
                                     forage_error *error)
{
    const forage_field *now = &state->schema->fields[field];
    float other[NN_WIDTH_LIMIT];
    uint32_t *map;
    FORAGE_TRY(model_map_codes(now, &old->schema->fields[field], &map, error));
    for (size_t h = 0; h < halves; h++, from += old_rows * width, to += rows * width) {
        average(from, old_rows, width, other);
        if (now->cardinality)
            model_take_rows(from, map, rows, width, width, other, to);
        else
            memcpy(to, other, width * sizeof *to);
    }
    forage_free(map);
    return FORAGE_OK;
}

static forage_status take_tables(model_state *state, const model_state *old, forage_error *error)
{
    for (size_t t = 0; t < state->table_count; t++) {
        bst_table *table = &state->tables[t];
        const bst_table *was = &old->tables[t];
        const float *from = old->values + was->offset;
        float *to = state->values + table->offset;
        size_t halves = table->refused ? 2 : 1;
        if (table->kind == BST_CATEGORY) {
            FORAGE_TRY(take_categories(state, old, table->field, table->rows / halves, halves, from, was->rows / halves,
                                       table->width, to, error));
            continue;
        }
        if (table->kind == BST_POSITION) { /* there is room for either kind */
            table->rows = was->rows;
            memcpy(table->name, was->name, sizeof table->name);
        }
        memcpy(to, from, table->rows * table->width * sizeof *to);
    }
    state->timed = old->timed;
    return FORAGE_OK;
}

static forage_status take_network(model_state *state, const model_state *old, forage_error *error)
{
    nn_mlp *mlp = state->mlp;
    const nn_mlp *was = old->mlp;
    for (size_t t = 0; t < mlp->table_count; t++) {
        const nn_table *table = &mlp->tables[t], *before = &was->tables[t];
        FORAGE_TRY(take_categories(state, old, state->mlp_fields[t], table->rows, 1, was->values + before->offset,
                                   before->rows, table->width, mlp->values + table->offset, error));
    }
    memcpy(mlp->values + mlp->dense_offset, was->values + was->dense_offset,
           (was->value_count - was->dense_offset) * sizeof *mlp->values);
    return FORAGE_OK;
}

forage_status bst_extend(model_state *state, const model_state *old, const uint32_t *user_map, const uint32_t *item_map,
                         const forage_examples *events, forage_error *error)
{
    (void)user_map; /* ids are categories as others are */
    (void)item_map;
    (void)events;
    FORAGE_TRY(check_shape(state, old, error));
    FORAGE_TRY(take_tables(state, old, error));
    FORAGE_TRY(take_network(state, old, error));
    if (state->encoder)
        memcpy(state->encoder->values, old->encoder->values, state->encoder->value_count * sizeof(float));
    state->settled = true;
    bst_refresh(state);
    return FORAGE_OK;
}
