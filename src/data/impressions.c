/*
 * impressions.c: a log of what people chose as a log of impressions with clicks, by the recipe of Deep Interest
 * Networks (Zhou et al. 2018, the Amazon data): every choice was shown beside an item that they never chose.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "data/data.h"

#include <inttypes.h>
#include <string.h>

static forage_status no_memory(size_t rows, forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for %zu impressions", rows);
}

static forage_status check(const forage_dataset *dataset, forage_error *error)
{
    if (!dataset->users || !dataset->user)
        return forage_fail(error, FORAGE_INVALID, "the log names no users: there is nobody who was shown anything");
    if (dataset->train_rows < dataset->count)
        return forage_fail(error, FORAGE_INVALID,
                           "impressions are made of one log: the last ones of each user test, see the split "
                           "leave-last-time-out");
    return FORAGE_OK;
}

/* The new columns, and what drawing needs. */
typedef struct making {
    const forage_dataset *dataset;
    forage_histories histories;
    uint32_t *pool; /* [pool_count] items that there are */
    size_t pool_count;
    uint32_t *stamp; /* [items]: 1 + the last user who chose the item */
    size_t count;
    uint32_t *user, *item;
    float *value;
    int64_t *time;
} making;

static void release(making *m)
{
    forage_histories_release(&m->histories);
    forage_free(m->pool);
    forage_free(m->stamp);
    forage_free(m->user);
    forage_free(m->item);
    forage_free(m->value);
    forage_free(m->time);
}

static forage_status prepare(making *m, forage_error *error)
{
    const forage_dataset *dataset = m->dataset;
    size_t items = forage_vocabulary_count(dataset->items);
    FORAGE_TRY(forage_histories_create(dataset, NULL, 0, true, &m->histories, error));
    size_t events = m->histories.offsets[m->histories.users];
    if (events == 0)
        return forage_fail(error, FORAGE_INVALID, "nobody chose anything in this log");
    if (events > FORAGE_MAX_ROWS / 2)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%zu choices make more impressions than a log can have", events);
    m->count = 2 * events;
    m->pool = forage_alloc(items + 1, sizeof *m->pool);
    m->stamp = forage_calloc(items + 1, sizeof *m->stamp);
    m->user = forage_alloc(m->count, sizeof *m->user);
    m->item = forage_alloc(m->count, sizeof *m->item);
    m->value = forage_alloc(m->count, sizeof *m->value);
    m->time = forage_alloc(m->count, sizeof *m->time);
    if (!m->pool || !m->stamp || !m->user || !m->item || !m->value || !m->time)
        return no_memory(m->count, error);
    for (size_t item = 0; item < items; item++) {
        if (!dataset->item_known || dataset->item_known[item])
            m->pool[m->pool_count++] = (uint32_t)item;
    }
    return FORAGE_OK;
}

/* One user's impressions: at each place of their history the item and another. */
static forage_status show(making *m, uint32_t user, uint64_t seed, forage_error *error)
{
    const forage_dataset *dataset = m->dataset;
    size_t first = m->histories.offsets[user], end = m->histories.offsets[user + 1], chosen = 0;
    forage_rng rng;
    forage_rng_seed_stream(&rng, seed, user);
    for (size_t i = first; i < end; i++) {
        uint32_t item = dataset->item[m->histories.rows[i]];
        chosen += m->stamp[item] != user + 1;
        m->stamp[item] = user + 1;
    }
    if (end > first && chosen == m->pool_count) {
        char buffer[24];
        return forage_fail(error, FORAGE_INVALID, "'%.80s' chose every item of the log: nothing is left to be refused",
                           forage_vocabulary_id(dataset->users, user, buffer, NULL));
    }
    for (size_t i = first; i < end; i++) {
        uint32_t other;
        do {
            other = m->pool[forage_rng_integers(&rng, m->pool_count)];
        } while (m->stamp[other] == user + 1);
        for (size_t row = 2 * i; row < 2 * i + 2; row++) {
            m->user[row] = user;
            m->time[row] = (int64_t)(i - first + 1);
        }
        m->item[2 * i] = dataset->item[m->histories.rows[i]];
        m->item[2 * i + 1] = other;
        m->value[2 * i] = 1;
        m->value[2 * i + 1] = 0;
    }
    return FORAGE_OK;
}

#define SWAP(dataset, making, field)        \
    do {                                    \
        void *old = (dataset)->field;       \
        (dataset)->field = (making)->field; \
        (making)->field = old;              \
    } while (0)

forage_status forage_dataset_impressions(forage_dataset *dataset, uint64_t seed, forage_error *error)
{
    making m = {.dataset = dataset};
    forage_status status = FORAGE_OK;
    FORAGE_TRY(check(dataset, error));
    char *value_name = forage_strdup("clicked"), *time_name = forage_strdup("time");
    if (!value_name || !time_name)
        status = no_memory(dataset->count, error);
    if (status == FORAGE_OK)
        status = prepare(&m, error);
    for (uint32_t user = 0; status == FORAGE_OK && user < m.histories.users; user++)
        status = show(&m, user, seed, error);
    if (status != FORAGE_OK) {
        forage_free(value_name);
        forage_free(time_name);
        release(&m);
        return status;
    }
    SWAP(dataset, &m, user);
    SWAP(dataset, &m, item);
    SWAP(dataset, &m, value);
    SWAP(dataset, &m, time);
    dataset->count = dataset->train_rows = m.count;
    dataset->time_is_calendar = false;
    forage_free(dataset->propensity);
    forage_free(dataset->propensity_name);
    forage_free(dataset->value_name);
    forage_free(dataset->time_name);
    dataset->propensity = NULL;
    dataset->propensity_name = NULL;
    dataset->value_name = value_name;
    dataset->time_name = time_name;
    forage_table_release(&dataset->context);
    dataset->context.rows = m.count;
    release(&m);
    return FORAGE_OK;
}
