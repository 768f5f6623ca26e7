/*
 * fold.c: FORAGE_UNKNOWN_FOLD_IN: users about whom a model has learned nothing are known by what they chose in the log.
 *
 * Their items are listed once, as the model's codes, and handed to its catalogue as the history of nobody in
 * particular.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/binding.h"

#include <inttypes.h>
#include <stdlib.h>

static uint32_t code_of_user(const forage_binding *binding, uint32_t user)
{
    return model_column_code(&binding->columns.columns[binding->user_id], user);
}

static uint32_t code_of_item(const forage_binding *binding, uint32_t item)
{
    return model_column_code(&binding->columns.columns[binding->item_id], item);
}

/* Users without a code, and those with one that only fills a gap or never chose anything. */
static bool is_new(const forage_binding *binding, uint32_t user)
{
    const forage_model *model = binding->model;
    uint32_t code = code_of_user(binding, user);
    return code == FORAGE_NONE || (model->type->knows && !model->type->knows(model->state, code));
}

static int rising(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

/* The dataset's items to the model's codes, rising again. */
static void code_items(const forage_binding *binding, forage_seen *items)
{
    for (size_t user = 0; user < items->user_count; user++) {
        size_t first = items->offsets[user], end = items->offsets[user + 1];
        for (size_t i = first; i < end; i++)
            items->items[i] = code_of_item(binding, items->items[i]);
        qsort(items->items + first, end - first, sizeof *items->items, rising);
    }
}

forage_status forage_binding_history(forage_binding *binding, const uint32_t *rows, size_t count, forage_error *error)
{
    const forage_dataset *dataset = binding->dataset;
    forage_seen made = {0};
    size_t kept_count = 0;
    if (binding->history.read)
        return binding_history_choose(binding, rows, count, error);
    if (binding->unknown != FORAGE_UNKNOWN_FOLD_IN)
        return FORAGE_OK;
    if (!binding_has_catalogue(binding))
        return forage_fail(error, FORAGE_UNSUPPORTED,
                           "%s cannot tell from their events what unknown users would like (they can be skipped, or "
                           "scored as the average)",
                           binding->model->type->info.name);
    if (!rows)
        count = dataset->train_rows;
    uint32_t *kept = forage_alloc(count + 1, sizeof *kept);
    if (!kept)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the histories of %zu rows", count);
    for (size_t i = 0; i < count; i++) {
        uint32_t row = rows ? rows[i] : (uint32_t)i;
        if (row >= dataset->count) {
            forage_free(kept);
            return forage_fail(error, FORAGE_INVALID, "there is no row %" PRIu32 " in a log of %zu rows", row + 1,
                               dataset->count);
        }
        if ((!dataset->value || dataset->value[row] > 0) && is_new(binding, dataset->user[row]) &&
            code_of_item(binding, dataset->item[row]) != FORAGE_NONE)
            kept[kept_count++] = row;
    }
    forage_status status = forage_seen_create(dataset, kept, kept_count, false, &made, error);
    forage_free(kept);
    FORAGE_TRY(status);
    code_items(binding, &made);
    forage_seen_release(&binding->folded);
    binding->folded = made;
    return FORAGE_OK;
}

size_t forage_binding_folded(const forage_binding *binding, uint32_t user)
{
    const forage_seen *folded = &binding->folded;
    if (binding->history.read && binding->user_id != SIZE_MAX && code_of_user(binding, user) != FORAGE_NONE)
        return 0;
    if (binding->history.read)
        return binding_history_length(binding, user);
    return user < folded->user_count ? folded->offsets[user + 1] - folded->offsets[user] : 0;
}

model_subject binding_subject(const forage_binding *binding, uint32_t user)
{
    if (binding->history.read)
        return binding_history_subject(binding, user);
    size_t count = forage_binding_folded(binding, user);
    if (count)
        return (model_subject){
            .user = FORAGE_NONE, .items = binding->folded.items + binding->folded.offsets[user], .count = count};
    return (model_subject){.user = code_of_user(binding, user)};
}

float binding_fold_score(const forage_binding *binding, int worker, uint32_t user, uint32_t item)
{
    const model_subject subject = binding_subject(binding, user);
    return model_rank_score(&binding->catalogue.ranking, worker, &subject, code_of_item(binding, item));
}
