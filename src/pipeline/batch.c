/*
 * batch.c: models that are fitted now and then on what was stored.
 *
 * Every event is kept (or the latest of them, `refit-window`), and the model is fitted anew on all of them when
 * teaching has reached `pretrain`, and every `refit` events from then on: the nightly training of a shop. The model
 * does not change in between, so what it thinks of a user's items is scored once and kept until the next
 * fit. Users it has not met get what it knows of the average user.
 *
 * A model that reads histories does not change either, but what a user did since counts from the next decision on:
 * each event knows the one before it of the same user, and a user's items are scored again after each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pipeline/intern.h"

#include <math.h>
#include <string.h>

enum {
    CACHE_LIMIT = 64 << 20, /* bytes of scores that are kept */
    HISTORY_LIMIT = 4096,   /* events that a user's scores go by, the latest */
};

struct pipeline_batch {
    const forage_pipeline_spec *spec;
    const forage_catalogue *catalogue;
    const forage_device *device;
    forage_device own_device;
    uint64_t seed, pretrain, refit, window, stored, fitted_at, refits;
    bool users, deviates;

    /* The log: event i of the context column c is at [c * capacity + i]. */
    size_t count, capacity, columns;
    uint32_t *user, *item, *codes;
    float *reward, *values;

    /* For a model that reads histories. */
    bool ordered;
    uint32_t *before;   /* [capacity] the event before of the same user, or FORAGE_NONE */
    uint32_t *latest;   /* [users] each user's last event, or FORAGE_NONE */
    size_t known_users; /* entries of it */
    uint32_t *history;  /* [HISTORY_LIMIT] items of one user, filled from behind */
    float *rewards;     /* [HISTORY_LIMIT] */

    forage_model *model;
    forage_dataset *shop; /* without events: what the model is bound to */
    forage_binding *binding;
    float *mean, *deviation; /* [slots x items] */
    uint32_t *holder;        /* [slots] user + 1 */
    size_t slots, items;
    uint32_t *pair_users, *pair_items; /* [items] */
};

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the stored events");
}

static void free_shop(forage_dataset *shop)
{
    if (!shop)
        return;
    forage_table *tables[] = {&shop->user_attributes, &shop->item_attributes, &shop->context};
    /* Names and vocabularies of columns are the catalogue's, events the batch's; all else was made here. */
    forage_vocabulary_free(shop->users);
    forage_vocabulary_free(shop->items);
    for (size_t t = 0; t < 3; t++) {
        for (size_t i = 0; i < tables[t]->column_count; i++) {
            forage_free(tables[t]->columns[i].codes);
            forage_free(tables[t]->columns[i].values);
        }
        forage_free(tables[t]->columns);
    }
    forage_free(shop);
}

static void drop_model(pipeline_batch *batch)
{
    forage_binding_free(batch->binding);
    forage_model_free(batch->model);
    free_shop(batch->shop);
    batch->binding = NULL;
    batch->model = NULL;
    batch->shop = NULL;
}

static void release_scores(pipeline_batch *batch)
{
    forage_free(batch->mean);
    forage_free(batch->deviation);
    forage_free(batch->holder);
    forage_free(batch->pair_users);
    forage_free(batch->pair_items);
}

void pipeline_batch_free(pipeline_batch *batch)
{
    if (!batch)
        return;
    drop_model(batch);
    forage_free(batch->user);
    forage_free(batch->item);
    forage_free(batch->codes);
    forage_free(batch->reward);
    forage_free(batch->values);
    forage_free(batch->before);
    forage_free(batch->latest);
    forage_free(batch->history);
    forage_free(batch->rewards);
    release_scores(batch);
    forage_free(batch);
}

forage_status pipeline_batch_create(const forage_pipeline_spec *spec, const forage_pipeline_options *options,
                                    pipeline_batch **result, forage_error *error)
{
    const forage_catalogue *catalogue = options->catalogue;
    pipeline_batch *batch = forage_calloc(1, sizeof *batch);
    *result = batch; /* freed by the pipeline, on failure too */
    if (!batch)
        return no_memory(error);
    *batch = (pipeline_batch){.spec = spec,
                              .catalogue = catalogue,
                              .device = options->device,
                              .seed = options->seed,
                              .pretrain = (uint64_t)forage_params_integer(spec->params, "pretrain"),
                              .refit = (uint64_t)forage_params_integer(spec->params, "refit"),
                              .window = (uint64_t)forage_params_integer(spec->params, "refit-window"),
                              .users = catalogue->users > 0,
                              .deviates = spec->model->capabilities & FORAGE_HAS_DEVIATION,
                              .ordered = forage_model_capabilities(spec->model) & FORAGE_READS_HISTORY,
                              .columns = catalogue->context ? catalogue->context->column_count : 0};
    if (!batch->device) {
        FORAGE_TRY(forage_device_open("auto", 1, &batch->own_device, error));
        batch->device = &batch->own_device;
    }
    if (batch->ordered) {
        batch->history = forage_alloc(HISTORY_LIMIT, sizeof *batch->history);
        batch->rewards = forage_alloc(HISTORY_LIMIT, sizeof *batch->rewards);
        if (!batch->history || !batch->rewards)
            return no_memory(error);
    }
    return pipeline_batch_grow(batch, error);
}

/* New users have done nothing yet. */
static forage_status grow_users(pipeline_batch *batch, forage_error *error)
{
    size_t users = batch->catalogue->users;
    if (!batch->ordered || users <= batch->known_users)
        return FORAGE_OK;
    uint32_t *latest = forage_realloc(batch->latest, batch->known_users, users, sizeof *latest);
    if (!latest)
        return no_memory(error);
    for (size_t user = batch->known_users; user < users; user++)
        latest[user] = FORAGE_NONE;
    batch->latest = latest;
    batch->known_users = users;
    return FORAGE_OK;
}

forage_status pipeline_batch_grow(pipeline_batch *batch, forage_error *error)
{
    FORAGE_TRY(grow_users(batch, error));
    size_t items = batch->catalogue->items, users = batch->catalogue->users;
    size_t slots = CACHE_LIMIT / (items * 2 * sizeof(float));
    slots = slots > users + 1 ? users + 1 : slots < 1 ? 1 : slots;
    float *mean = forage_alloc(slots, items * sizeof *mean);
    float *deviation = forage_alloc(slots, items * sizeof *deviation);
    uint32_t *holder = forage_calloc(slots, sizeof *holder);
    uint32_t *pair_users = forage_alloc(items, sizeof *pair_users),
             *pair_items = forage_alloc(items, sizeof *pair_items);
    bool good = mean && deviation && holder && pair_users && pair_items;
    if (good) { /* nothing is kept of what was scored: users may have moved to another slot */
        release_scores(batch);
        batch->slots = slots;
        batch->items = items;
        batch->mean = mean;
        batch->deviation = deviation;
        batch->holder = holder;
        batch->pair_users = pair_users;
        batch->pair_items = pair_items;
        return FORAGE_OK;
    }
    forage_free(mean);
    forage_free(deviation);
    forage_free(holder);
    forage_free(pair_users);
    forage_free(pair_items);
    return no_memory(error);
}

/* ---- events ---- */

/* Who did what before: event `index` is its user's last. */
static void link_event(pipeline_batch *batch, size_t index)
{
    uint32_t user = batch->user[index];
    if (!batch->ordered || user >= batch->known_users)
        return;
    batch->before[index] = batch->latest[user];
    batch->latest[user] = (uint32_t)index;
}

/* Forgets what the window has left behind: half of the room at a time. */
static void slide(pipeline_batch *batch)
{
    size_t keep = (size_t)batch->window, from = batch->count - keep;
    memmove(batch->user, batch->user + from, keep * sizeof *batch->user);
    memmove(batch->item, batch->item + from, keep * sizeof *batch->item);
    memmove(batch->reward, batch->reward + from, keep * sizeof *batch->reward);
    for (size_t c = 0; c < batch->columns; c++) {
        memmove(batch->codes + c * batch->capacity, batch->codes + c * batch->capacity + from,
                keep * sizeof *batch->codes);
        memmove(batch->values + c * batch->capacity, batch->values + c * batch->capacity + from,
                keep * sizeof *batch->values);
    }
    batch->count = keep;
    for (size_t user = 0; user < batch->known_users; user++)
        batch->latest[user] = FORAGE_NONE;
    for (size_t index = 0; index < keep; index++)
        link_event(batch, index);
}

static forage_status grow(pipeline_batch *batch, forage_error *error)
{
    size_t old = batch->capacity, capacity = old ? 2 * old : 1024;
    size_t columns = batch->columns;
    void *user = forage_realloc(batch->user, old, capacity, sizeof *batch->user);
    batch->user = user ? user : batch->user;
    void *item = forage_realloc(batch->item, old, capacity, sizeof *batch->item);
    batch->item = item ? item : batch->item;
    void *reward = forage_realloc(batch->reward, old, capacity, sizeof *batch->reward);
    batch->reward = reward ? reward : batch->reward;
    void *before = batch->ordered ? forage_realloc(batch->before, old, capacity, sizeof *batch->before) : NULL;
    batch->before = before ? before : batch->before;
    uint32_t *codes = columns ? forage_alloc(capacity * columns, sizeof *codes) : NULL;
    float *values = columns ? forage_alloc(capacity * columns, sizeof *values) : NULL;
    if (!user || !item || !reward || (batch->ordered && !before) || (columns && (!codes || !values)) ||
        capacity > FORAGE_MAX_ROWS) {
        forage_free(codes);
        forage_free(values);
        return no_memory(error);
    }
    for (size_t c = 0; c < columns && batch->count; c++) {
        memcpy(codes + c * capacity, batch->codes + c * old, batch->count * sizeof *codes);
        memcpy(values + c * capacity, batch->values + c * old, batch->count * sizeof *values);
    }
    forage_free(batch->codes);
    forage_free(batch->values);
    batch->codes = codes;
    batch->values = values;
    batch->capacity = capacity;
    return FORAGE_OK;
}

forage_status pipeline_batch_reserve(pipeline_batch *batch, size_t count, forage_error *error)
{
    if (batch->count + count > batch->capacity && batch->window && batch->count >= 2 * batch->window)
        slide(batch);
    while (batch->count + count > batch->capacity)
        FORAGE_TRY(grow(batch, error));
    return FORAGE_OK;
}

void pipeline_batch_store(pipeline_batch *batch, uint32_t user, uint32_t item, float reward, const uint32_t *codes,
                          const float *values)
{
    batch->stored++;
    if (batch->users && user == FORAGE_NONE)
        return; /* a log that names users has no rows without one */
    batch->user[batch->count] = user;
    batch->item[batch->count] = item;
    batch->reward[batch->count] = reward;
    for (size_t c = 0; c < batch->columns; c++) {
        batch->codes[c * batch->capacity + batch->count] = codes ? codes[c] : FORAGE_NONE;
        batch->values[c * batch->capacity + batch->count] = values ? values[c] : NAN;
    }
    link_event(batch, batch->count++);
    size_t slot = user % batch->slots;
    if (batch->ordered && batch->holder[slot] == user + 1)
        batch->holder[slot] = 0; /* this user is to be scored anew */
}

bool pipeline_batch_due(const pipeline_batch *batch)
{
    if (batch->stored <= batch->pretrain)
        return batch->pretrain && batch->stored == batch->pretrain;
    uint64_t last = batch->fitted_at > batch->pretrain ? batch->fitted_at : batch->pretrain;
    return batch->refit && batch->stored - last >= batch->refit;
}

/* ---- fitting ---- */

/* Columns like those of `like`, of `rows` rows, from blocks of codes and values where column c begins at c x pitch, or,
 * without blocks, from `like` itself. */
static forage_status copy_columns(const forage_table *like, size_t rows, const uint32_t *codes, const float *values,
                                  size_t pitch, forage_table *table, forage_error *error)
{
    table->rows = rows;
    if (!like || !like->column_count)
        return FORAGE_OK;
    table->columns = forage_calloc(like->column_count, sizeof *table->columns);
    if (!table->columns)
        return no_memory(error);
    for (size_t c = 0; c < like->column_count; c++) {
        const forage_column *from = &like->columns[c];
        forage_column *column = &table->columns[c];
        column->name = from->name;
        column->type = from->type;
        column->vocabulary = from->vocabulary;
        table->column_count = c + 1;
        void *copy = forage_alloc(rows + 1, sizeof(float));
        if (!copy)
            return no_memory(error);
        if (column->type == FORAGE_NUMERIC)
            column->values = memcpy(copy, values ? values + c * pitch : from->values, rows * sizeof(float));
        else
            column->codes = memcpy(copy, codes ? codes + c * pitch : from->codes, rows * sizeof(uint32_t));
    }
    return FORAGE_OK;
}

/* The stored events from `from` on as a dataset. It borrows the events; attributes are copied, for the model reads
 * them as long as it serves, and the catalogue may grow into others. */
static forage_status make_shop(const pipeline_batch *batch, size_t from, size_t count, forage_dataset **result,
                               forage_error *error)
{
    const forage_catalogue *catalogue = batch->catalogue;
    forage_dataset *shop = forage_calloc(1, sizeof *shop);
    *result = shop;
    if (!shop)
        return no_memory(error);
    if (batch->users)
        FORAGE_TRY(forage_vocabulary_create_numbered(catalogue->users, &shop->users, error));
    FORAGE_TRY(forage_vocabulary_create_numbered(catalogue->items, &shop->items, error));
    shop->count = shop->train_rows = count;
    shop->user = batch->users ? batch->user + from : NULL;
    shop->item = batch->item + from;
    shop->value = batch->reward + from;
    FORAGE_TRY(copy_columns(batch->users ? catalogue->user_attributes : NULL, batch->users ? catalogue->users : 0, NULL,
                            NULL, 0, &shop->user_attributes, error));
    FORAGE_TRY(
        copy_columns(catalogue->item_attributes, catalogue->items, NULL, NULL, 0, &shop->item_attributes, error));
    if (!batch->columns) {
        shop->context.rows = count;
        return FORAGE_OK;
    }
    return copy_columns(catalogue->context, count, batch->codes + from, batch->values + from, batch->capacity,
                        &shop->context, error);
}

static forage_status fit(const pipeline_batch *batch, const forage_dataset *shop, const forage_progress *progress,
                         forage_model **model, forage_error *error)
{
    forage_split split;
    const forage_fit_options options = {.device = batch->device,
                                        .seed = batch->seed + batch->refits,
                                        .progress = progress,
                                        .source = "the events of the pipeline"};
    FORAGE_TRY(forage_split_parse("none", shop, &split, error));
    forage_status status =
        forage_model_fit(batch->spec->model, batch->spec->model_params, shop, &split, &options, NULL, model, error);
    forage_split_release(&split);
    return status;
}

forage_status pipeline_batch_fit(pipeline_batch *batch, const forage_progress *progress, forage_error *error)
{
    size_t count = batch->count, from = 0;
    forage_dataset *shop = NULL;
    forage_model *model = NULL;
    forage_binding *binding = NULL;
    if (batch->stored == batch->fitted_at || !count)
        return FORAGE_OK;
    if (batch->window && count > batch->window) {
        from = count - (size_t)batch->window;
        count = (size_t)batch->window;
    }
    batch->fitted_at = batch->stored; /* also when it fails: then the next time is as far off */
    forage_status status = make_shop(batch, from, count, &shop, error);
    if (status == FORAGE_OK)
        status = fit(batch, shop, progress, &model, error);
    if (status == FORAGE_OK)
        status = forage_model_bind(model, shop, FORAGE_UNKNOWN_AVERAGE, NULL, &binding, error);
    if (status != FORAGE_OK) {
        forage_model_free(model);
        free_shop(shop);
        return status;
    }
    drop_model(batch);
    batch->model = model;
    batch->shop = shop;
    batch->binding = binding;
    batch->refits++;
    memset(batch->holder, 0, batch->slots * sizeof *batch->holder);
    return FORAGE_OK;
}

/* ---- estimates ---- */

/* What the model thinks of all known items for a user who has done what is stored. */
static forage_status score_known(pipeline_batch *batch, uint32_t user, size_t known, float *mean, float *deviation,
                                 forage_error *error)
{
    size_t users = batch->users ? forage_vocabulary_count(batch->shop->users) : 0, at = HISTORY_LIMIT;
    uint32_t event = user < batch->known_users ? batch->latest[user] : FORAGE_NONE;
    for (size_t i = 0; i < known; i++) {
        batch->pair_users[i] = user < users ? user : FORAGE_NONE;
        batch->pair_items[i] = (uint32_t)i;
    }
    if (!batch->ordered)
        return forage_model_score_pairs(batch->binding, batch->users ? batch->pair_users : NULL, batch->pair_items,
                                        known, mean, deviation, error);
    for (; event != FORAGE_NONE && at > 0; event = batch->before[event]) {
        if (batch->item[event] >= known) /* an item that came after the fit */
            continue;
        batch->history[--at] = batch->item[event];
        batch->rewards[at] = batch->reward[event];
    }
    return forage_model_score_history(batch->binding, user < users ? user : FORAGE_NONE, batch->history + at,
                                      batch->rewards + at, HISTORY_LIMIT - at, batch->pair_items, known, mean, error);
}

/* Scores all items for a user into a slot of the cache. Users and items that turned up after the fit are worth what
 * the average of all is. */
static forage_status score(pipeline_batch *batch, uint32_t user, size_t slot, forage_error *error)
{
    size_t items = batch->items, known = forage_vocabulary_count(batch->shop->items);
    float *mean = batch->mean + slot * items, *deviation = batch->deviation + slot * items;
    double sum = 0, wide = 0;
    FORAGE_TRY(score_known(batch, user, known, mean, batch->deviates ? deviation : NULL, error));
    for (size_t i = 0; i < known && known < items; i++) {
        sum += (double)mean[i];
        wide = batch->deviates ? fmax(wide, (double)deviation[i]) : 0;
    }
    for (size_t i = known; i < items; i++) {
        mean[i] = (float)(sum / (double)known);
        deviation[i] = (float)wide;
    }
    batch->holder[slot] = user + 1;
    return FORAGE_OK;
}

forage_status pipeline_batch_estimate(pipeline_batch *batch, const forage_request *request, const uint32_t *items,
                                      size_t count, float *mean, float *deviation, forage_error *error)
{
    if (!batch->model) { /* nothing is known yet: all are the same, and the policy leaves it to chance */
        for (size_t i = 0; i < count; i++)
            mean[i] = 0;
        for (size_t i = 0; deviation && i < count; i++)
            deviation[i] = 1;
        return FORAGE_OK;
    }
    uint32_t user = request->user;
    size_t slot = user == FORAGE_NONE ? batch->slots - 1 : user % batch->slots;
    if (batch->holder[slot] != user + 1 || user == FORAGE_NONE)
        FORAGE_TRY(score(batch, user, slot, error));
    const float *means = batch->mean + slot * batch->items, *deviations = batch->deviation + slot * batch->items;
    for (size_t i = 0; i < count; i++) {
        size_t item = items ? items[i] : i;
        mean[i] = means[item];
        if (deviation)
            deviation[i] = batch->deviates ? deviations[item] : 0;
    }
    return FORAGE_OK;
}

uint64_t pipeline_batch_refits(const pipeline_batch *batch)
{
    return batch->refits;
}

size_t pipeline_batch_memory(const pipeline_batch *batch)
{
    return batch->capacity * ((batch->ordered ? 4 : 3) * sizeof(float) + batch->columns * 2 * sizeof(float)) +
           batch->known_users * sizeof(uint32_t) + (batch->ordered ? HISTORY_LIMIT * 2 * sizeof(float) : 0) +
           batch->slots * (batch->catalogue->items * 2 * sizeof(float) + sizeof(uint32_t)) +
           (batch->model ? forage_model_weight_count(batch->model) * sizeof(float) : 0);
}
