/*
 * dataset.c: visits as a dataset in memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/simulator.h"

#include <string.h>

enum { BLOCK = 4096, REPORT_BLOCKS = 64 };

/* The item attribute "category". */
static forage_status add_categories(const forage_simulator *s, forage_dataset *data, forage_error *error)
{
    forage_column *column;
    data->item_attributes.rows = s->item_count;
    FORAGE_TRY(forage_table_add(&data->item_attributes, "category", FORAGE_CATEGORICAL, &column, error));
    for (size_t c = 0; c < s->category_count; c++) {
        uint32_t code;
        FORAGE_TRY(forage_vocabulary_add(column->vocabulary, s->categories[c], strlen(s->categories[c]), &code, error));
    }
    for (size_t i = 0; i < s->item_count; i++)
        column->codes[i] = s->category[i] < s->category_count ? s->category[i] : FORAGE_NONE;
    return FORAGE_OK;
}

static forage_status prepare_dataset(const forage_simulator *s, size_t count, forage_dataset *data, forage_error *error)
{
    FORAGE_TRY(forage_vocabulary_create_numbered(s->user_count, &data->users, error));
    FORAGE_TRY(forage_vocabulary_create_numbered(s->item_count, &data->items, error));
    data->user = forage_alloc(count ? count : 1, sizeof *data->user);
    data->item = forage_alloc(count ? count : 1, sizeof *data->item);
    data->value = forage_alloc(count ? count : 1, sizeof *data->value);
    data->user_name = forage_strdup("user_id");
    data->item_name = forage_strdup("product_id");
    data->value_name = forage_strdup("clicked");
    if (!data->user || !data->item || !data->value || !data->user_name || !data->item_name || !data->value_name)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu visits", count);
    data->count = data->train_rows = data->context.rows = count;
    data->user_attributes.rows = s->user_count;
    return add_categories(s, data, error);
}

forage_status forage_simulator_dataset(forage_simulator *s, size_t count, const forage_progress *progress,
                                       forage_dataset **dataset, forage_error *error)
{
    uint8_t click[BLOCK];
    forage_dataset *data;
    forage_status status;

    *dataset = NULL;
    if (count > FORAGE_MAX_ROWS)
        return forage_fail(error, FORAGE_INVALID, "%zu visits; a dataset holds at most %zu", count, FORAGE_MAX_ROWS);
    FORAGE_TRY(forage_dataset_create(&data, error));
    FORAGE_TRY_GOTO(prepare_dataset(s, count, data, error), fail);
    for (size_t done = 0, block = 0; done < count; block++) {
        size_t part = count - done < BLOCK ? count - done : BLOCK;
        if (block % REPORT_BLOCKS == 0 && !forage_progress_report(progress, "simulating", done, count, NULL)) {
            status = forage_fail(error, FORAGE_INTERRUPTED, "stopped on request");
            goto fail;
        }
        forage_simulator_visits(s, part, data->user + done, data->item + done, click);
        for (size_t i = 0; i < part; i++)
            data->value[done + i] = click[i];
        done += part;
    }
    *dataset = data;
    return FORAGE_OK;
fail:
    forage_dataset_free(data);
    return status;
}
