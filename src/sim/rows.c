/*
 * rows.c: events of a file in an order, and requests made of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/rows.h"

#include <math.h>
#include <string.h>

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the rows of a play");
}

/* ---- the order ---- */

static forage_status numpy_order(sim_rows *rows, const char *text, forage_error *error)
{
    uint64_t seed;
    size_t count = rows->dataset->count;
    forage_mt19937 rng;
    if (!forage_parse_u64(text, strlen(text), &seed) || seed > UINT32_MAX)
        return forage_fail(error, FORAGE_INVALID, "the order numpy:SEED takes a whole number below 2^32, not '%s'",
                           text);
    rows->order = SIM_ORDER_NUMPY;
    rows->fixed = forage_alloc(count, sizeof *rows->fixed);
    if (!rows->fixed)
        return no_memory(error);
    for (size_t i = 0; i < count; i++)
        rows->fixed[i] = (uint32_t)i;
    forage_mt19937_seed(&rng, (uint32_t)seed);
    forage_mt19937_permute(&rng, rows->fixed, count);
    return FORAGE_OK;
}

static forage_status read_order(sim_rows *rows, const char *text, forage_error *error)
{
    rows->order = SIM_ORDER_FILE;
    if (!text || strcmp(text, "file") == 0)
        return FORAGE_OK;
    if (strncmp(text, "numpy:", 6) == 0)
        return numpy_order(rows, text + 6, error);
    if (strcmp(text, "random") == 0)
        rows->order = SIM_ORDER_RANDOM;
    else if (strcmp(text, "bootstrap") == 0)
        rows->order = SIM_ORDER_BOOTSTRAP;
    else
        return forage_fail(error, FORAGE_INVALID, "unknown order '%s'; there are file, numpy:SEED, random, bootstrap",
                           text);
    return FORAGE_OK;
}

/* ---- opening ---- */

forage_status sim_rows_open(sim_rows *rows, forage_dataset *dataset, const forage_environment_options *options,
                            forage_environment *environment, forage_error *error)
{
    rows->dataset = dataset;
    FORAGE_TRY(read_order(rows, options->order, error));
    environment->visits = options->visits ? options->visits : dataset->count;
    if (environment->visits > dataset->count && rows->order != SIM_ORDER_BOOTSTRAP)
        return forage_fail(error, FORAGE_INVALID,
                           "%llu visits, but the file has %zu rows; rows come more than once only with the order "
                           "bootstrap",
                           (unsigned long long)environment->visits, dataset->count);
    environment->positions = 1;
    environment->user_group_count = 1;
    environment->catalogue = (forage_catalogue){
        .users = dataset->users ? forage_vocabulary_count(dataset->users) : 0,
        .items = forage_vocabulary_count(dataset->items),
        .user_attributes = &dataset->user_attributes,
        .item_attributes = &dataset->item_attributes,
        .context = &dataset->context,
        .user_ids = dataset->users,
        .item_ids = dataset->items,
    };
    return FORAGE_OK;
}

void sim_rows_release(sim_rows *rows)
{
    forage_dataset_free(rows->dataset);
    forage_free(rows->fixed);
    forage_free(rows->candidates);
    forage_free(rows->can_choose);
    *rows = (sim_rows){0};
}

forage_status sim_rows_name_items(forage_environment *environment, const forage_vocabulary *ids, forage_error *error)
{
    size_t count = forage_vocabulary_count(ids);
    environment->item_group_names = forage_calloc(count, sizeof *environment->item_group_names);
    if (!environment->item_group_names)
        return no_memory(error);
    environment->item_group_count = count;
    for (uint32_t i = 0; i < count; i++) {
        char buffer[24];
        environment->item_group_names[i] = forage_strdup(forage_vocabulary_id(ids, i, buffer, NULL));
        if (!environment->item_group_names[i])
            return no_memory(error);
    }
    return FORAGE_OK;
}

/* ---- walking ---- */

forage_status sim_walk_init(sim_walk *walk, const sim_rows *rows, uint64_t seed, forage_error *error)
{
    size_t count = rows->dataset->count, columns = rows->dataset->context.column_count;
    *walk = (sim_walk){.rows = rows};
    forage_rng_seed_stream(&walk->order, seed, SIM_ROWS_ORDER_STREAM);
    walk->codes = forage_alloc(columns, sizeof *walk->codes);
    walk->values = forage_alloc(columns, sizeof *walk->values);
    if (rows->order == SIM_ORDER_RANDOM)
        walk->own = forage_alloc(count, sizeof *walk->own);
    if (!walk->codes || !walk->values || (rows->order == SIM_ORDER_RANDOM && !walk->own)) {
        sim_walk_release(walk);
        return no_memory(error);
    }
    for (size_t c = 0; c < columns; c++) {
        walk->codes[c] = FORAGE_NONE;
        walk->values[c] = NAN;
    }
    for (size_t i = 0; walk->own && i < count; i++)
        walk->own[i] = (uint32_t)i;
    if (walk->own)
        forage_rng_permute(&walk->order, walk->own, count);
    return FORAGE_OK;
}

void sim_walk_release(sim_walk *walk)
{
    forage_free(walk->own);
    forage_free(walk->codes);
    forage_free(walk->values);
    *walk = (sim_walk){0};
}

static uint32_t row_of(sim_walk *walk, uint64_t visit)
{
    switch (walk->rows->order) {
    case SIM_ORDER_NUMPY:
        return walk->rows->fixed[visit];
    case SIM_ORDER_RANDOM:
        return walk->own[visit];
    case SIM_ORDER_BOOTSTRAP:
        return (uint32_t)forage_rng_integers(&walk->order, walk->rows->dataset->count);
    default:
        return (uint32_t)visit;
    }
}

void sim_walk_next(sim_walk *walk, forage_play *play)
{
    const forage_dataset *dataset = walk->rows->dataset;
    forage_request *request = &play->visit.request;
    uint32_t row = walk->row = row_of(walk, play->next);
    for (size_t c = 0; c < dataset->context.column_count; c++) {
        const forage_column *column = &dataset->context.columns[c];
        if (column->type == FORAGE_NUMERIC)
            walk->values[c] = column->values[row];
        else
            walk->codes[c] = column->codes[row];
    }
    request->codes = walk->codes;
    request->values = walk->values;
    if (dataset->user)
        request->user = dataset->user[row];
    /* In any other order the file's times would not rise. */
    if (dataset->time && walk->rows->order == SIM_ORDER_FILE)
        request->time = dataset->time[row];
    request->candidates = walk->rows->candidates;
    request->candidate_count = walk->rows->candidate_count;
}

/* ---- logs ---- */

/* Ids that only fill gaps between numbers are no items. */
static forage_status find_candidates(sim_rows *rows, forage_error *error)
{
    const forage_dataset *dataset = rows->dataset;
    size_t items = forage_vocabulary_count(dataset->items);
    if (!dataset->item_known)
        return FORAGE_OK;
    rows->candidates = forage_alloc(items, sizeof *rows->candidates);
    if (!rows->candidates)
        return no_memory(error);
    for (uint32_t i = 0; i < items; i++)
        if (dataset->item_known[i])
            rows->candidates[rows->candidate_count++] = i;
    return FORAGE_OK;
}

forage_status sim_rows_load_log(sim_rows *rows, const char *path, const forage_environment_options *options,
                                forage_environment *environment, forage_error *error)
{
    forage_dataset *dataset;
    FORAGE_TRY(forage_dataset_load(path, &options->read, options->progress, &dataset, error));
    FORAGE_TRY(sim_rows_open(rows, dataset, options, environment, error));
    if (!dataset->value)
        return forage_fail_at(error, FORAGE_FORMAT, path, 0, NULL,
                              "this log has no rewards; name their column with --value-column");
    FORAGE_TRY(find_candidates(rows, error));
    return sim_rows_name_items(environment, dataset->items, error);
}

void sim_walk_logged(const sim_walk *walk, forage_visit *visit)
{
    const forage_dataset *dataset = walk->rows->dataset;
    visit->logged_item = dataset->item[walk->row];
    visit->logged_reward = dataset->value[walk->row];
    visit->logged_propensity = dataset->propensity ? dataset->propensity[walk->row] : NAN;
}
