/*
 * history.c: what was shown to whom, and what came of it.
 *
 * Of every user and every group of items (a category, an item) that was shown to them: impressions n and
 * rewards c, both decayed by 2^(-k / h) when the user has had k further impressions of anything (h: the
 * half-life). Kept only where there was an impression, so memory follows what happened and not
 * users x groups. From them come the features:
 *
 *   rate     (c + s m) / (n + s) - m, with m the mean reward of the group with everyone and s the prior's
 *            weight: 0 for who has no history, positive for who likes the group more than others
 *   count    n / (n + s): how much of the rate is the user's own
 *   recency  2^(-k / 8), k impressions after the last one of this group; 0 where there was none
 *   clicks   log(1 + |c|), with the sign of c
 *   shown    log(1 + n)
 *
 * m is shrunken in its turn toward the mean reward of everything, with the weight of 10 impressions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pipeline/intern.h"

#include <math.h>
#include <string.h>

enum { DECAY_TABLE = 512, CLASSES = 26 };

#define TOTAL_PRIOR 10.0
#define RECENCY_HALF_LIFE 8.0F
#define BOUND 2.0F

/* The memories of one user: a block of 2^class places, of which `count` are taken. */
typedef struct owner {
    uint32_t offset, count;
    uint8_t class;  /* 0: no block yet; else 2^(class - 1) places */
    uint32_t stamp; /* impressions so far */
} owner;

struct pipeline_history {
    size_t users, groups;
    double half_life, prior;
    float decay[DECAY_TABLE];
    owner *owners; /* [users] */
    pipeline_memory *pool;
    size_t pool_used, pool_capacity;
    uint32_t free[CLASSES];          /* heads of lists of free blocks; linked by `group` of their first place */
    double *shown, *reward, *square; /* [groups + 1]: of everyone; the last: all groups together */

    /* The user who is looked at: their memories, decayed to now, by group. */
    uint32_t look; /* number of the look: view_look[g] == look where there is one */
    uint32_t *view_look;
    pipeline_memory *view; /* [groups]: stamp is the number of impressions since */
};

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the history of users");
}

void pipeline_history_free(pipeline_history *history)
{
    if (!history)
        return;
    forage_free(history->owners);
    forage_free(history->pool);
    forage_free(history->shown);
    forage_free(history->reward);
    forage_free(history->square);
    forage_free(history->view_look);
    forage_free(history->view);
    forage_free(history);
}

/* A block that holds `count` elements of `size`, the new ones zero; NULL without memory. */
static void *widen(void *block, size_t old_count, size_t count, size_t size)
{
    char *grown = forage_realloc(block, old_count, count, size);
    if (grown)
        memset(grown + old_count * size, 0, (count - old_count) * size);
    return grown;
}

#define WIDEN(field, old_count, new_count)                                                   \
    do {                                                                                     \
        void *widened = widen(history->field, old_count, new_count, sizeof *history->field); \
        if (!widened)                                                                        \
            return no_memory(error);                                                         \
        history->field = widened;                                                            \
    } while (0)

forage_status pipeline_history_grow(pipeline_history *history, size_t users, size_t groups, forage_error *error)
{
    if (users > history->users) {
        WIDEN(owners, history->users, users);
        history->users = users;
    }
    if (groups > history->groups) {
        size_t old = history->groups;
        WIDEN(shown, old + 1, groups + 1);
        WIDEN(reward, old + 1, groups + 1);
        WIDEN(square, old + 1, groups + 1);
        WIDEN(view_look, old, groups);
        WIDEN(view, old, groups);
        history->shown[groups] = history->shown[old];
        history->reward[groups] = history->reward[old];
        history->square[groups] = history->square[old];
        history->shown[old] = history->reward[old] = history->square[old] = 0;
        history->groups = groups;
    }
    return FORAGE_OK;
}

forage_status pipeline_history_create(size_t users, size_t groups, double half_life, double prior,
                                      pipeline_history **result, forage_error *error)
{
    pipeline_history *history = forage_calloc(1, sizeof *history);
    *result = NULL;
    if (!history)
        return no_memory(error);
    history->half_life = half_life;
    history->prior = prior;
    for (size_t k = 0; k < DECAY_TABLE; k++)
        history->decay[k] = half_life > 0 ? exp2f(-(float)k / (float)half_life) : 1;
    for (size_t i = 0; i < CLASSES; i++)
        history->free[i] = FORAGE_NONE;
    history->shown = forage_calloc(1, sizeof *history->shown);
    history->reward = forage_calloc(1, sizeof *history->reward);
    history->square = forage_calloc(1, sizeof *history->square);
    bool good = history->shown && history->reward && history->square;
    forage_status status = good ? pipeline_history_grow(history, users, groups, error) : no_memory(error);
    if (status != FORAGE_OK)
        pipeline_history_free(history);
    else
        *result = history;
    return status;
}

static float decay(const pipeline_history *history, uint32_t steps)
{
    if (steps < DECAY_TABLE)
        return history->decay[steps];
    return history->half_life > 0 ? exp2f(-(float)steps / (float)history->half_life) : 1;
}

/* ---- memories ---- */

static size_t places(uint8_t class)
{
    return class ? (size_t)1 << (class - 1) : 0;
}

forage_status pipeline_history_reserve(pipeline_history *history, uint32_t user, size_t count, forage_error *error)
{
    if (user >= history->users)
        return FORAGE_OK;
    const owner *who = &history->owners[user];
    /* Doubling up to what `count` further groups need takes less than this, also for as many different owners. */
    size_t wanted = 4 * (who->count + count), capacity = 2 * history->pool_capacity + wanted;
    if (who->count + count <= places(who->class) || history->pool_used + wanted <= history->pool_capacity)
        return FORAGE_OK;
    if (who->class + 3 >= CLASSES || capacity >= FORAGE_NONE)
        return no_memory(error);
    pipeline_memory *pool = forage_realloc(history->pool, history->pool_capacity, capacity, sizeof *pool);
    if (!pool)
        return no_memory(error);
    history->pool = pool;
    history->pool_capacity = capacity;
    return FORAGE_OK;
}

/* A block of twice the size, which `reserve` found room for. */
static void enlarge(pipeline_history *history, owner *who)
{
    uint8_t next = (uint8_t)(who->class + 1);
    uint32_t offset = history->free[next];
    if (offset != FORAGE_NONE) {
        history->free[next] = history->pool[offset].group;
    } else {
        offset = (uint32_t)history->pool_used;
        history->pool_used += places(next);
    }
    if (who->count)
        memcpy(history->pool + offset, history->pool + who->offset, who->count * sizeof *history->pool);
    if (who->class) {
        history->pool[who->offset].group = history->free[who->class];
        history->free[who->class] = who->offset;
    }
    who->offset = offset;
    who->class = next;
}

void pipeline_history_add(pipeline_history *history, uint32_t user, uint32_t group, float reward, float weight)
{
    if (group >= history->groups)
        return;
    history->shown[group] += (double)weight;
    history->reward[group] += (double)reward;
    history->square[group] += (double)reward * (double)reward;
    history->square[history->groups] += (double)reward * (double)reward;
    history->shown[history->groups] += (double)weight;
    history->reward[history->groups] += (double)reward;
    if (user >= history->users)
        return;
    owner *who = &history->owners[user];
    size_t at = 0;
    const pipeline_memory *known = history->pool + who->offset;
    while (at < who->count && known[at].group != group)
        at++;
    if (at == who->count) {
        if (who->count == places(who->class))
            enlarge(history, who);
        history->pool[who->offset + who->count++] = (pipeline_memory){.group = group, .stamp = who->stamp};
    }
    pipeline_memory *memory = &history->pool[who->offset + at];
    who->stamp++;
    float left = decay(history, who->stamp - memory->stamp);
    memory->shown = memory->shown * left + weight;
    memory->reward = memory->reward * left + reward;
    memory->stamp = who->stamp;
}

/* ---- features ---- */

void pipeline_history_look(pipeline_history *history, uint32_t user)
{
    if (++history->look == 0) { /* after four billion looks, old marks must not count as new ones */
        memset(history->view_look, 0, history->groups * sizeof *history->view_look);
        history->look = 1;
    }
    if (user >= history->users)
        return;
    const owner *who = &history->owners[user];
    const pipeline_memory *known = history->pool + who->offset;
    for (size_t i = 0; i < who->count; i++) {
        uint32_t since = who->stamp - known[i].stamp;
        float left = decay(history, since);
        history->view[known[i].group] =
            (pipeline_memory){known[i].group, since, known[i].shown * left, known[i].reward * left};
        history->view_look[known[i].group] = history->look;
    }
}

size_t pipeline_history_groups(const pipeline_history *history)
{
    return history->groups;
}

size_t pipeline_measure_count(unsigned measures)
{
    return (size_t)__builtin_popcount(measures);
}

/* Mean and variance of a group's rewards with everyone, each shrunken toward that of all groups. */
static void everyone(const pipeline_history *history, uint32_t group, float *mean, float *variance)
{
    double count = history->shown[history->groups], weight = TOTAL_PRIOR / fmax(count, 1);
    double n = history->shown[group] + (count > 0 ? TOTAL_PRIOR : 1);
    double first = (history->reward[group] + weight * history->reward[history->groups]) / n;
    double second = (history->square[group] + weight * history->square[history->groups]) / n;
    *mean = (float)first;
    *variance = (float)fmax(second - first * first, 0);
}

void pipeline_history_measure(const pipeline_history *history, uint32_t group, unsigned measures, float *values)
{
    static const pipeline_memory nothing = {.stamp = UINT32_MAX};
    bool possible = group < history->groups, known = possible && history->view_look[group] == history->look;
    const pipeline_memory *memory = known ? &history->view[group] : &nothing;
    float n = memory->shown, c = memory->reward, prior = (float)history->prior, mean = 0, variance = 0, rate = 0;
    if (possible && (known || measures & PIPELINE_BOUND)) {
        everyone(history, group, &mean, &variance);
        rate = (c - mean * n) / (n + prior);
    }
    if (measures & PIPELINE_RATE)
        *values++ = rate;
    if (measures & PIPELINE_COUNT)
        *values++ = n > 0 ? n / (n + prior) : 0;
    if (measures & PIPELINE_RECENCY)
        *values++ = known ? exp2f(-(float)memory->stamp / RECENCY_HALF_LIFE) : 0;
    if (measures & PIPELINE_CLICKS)
        *values++ = copysignf(log1pf(fabsf(c)), c);
    if (measures & PIPELINE_SHOWN)
        *values++ = log1pf(n);
    if (measures & PIPELINE_BOUND)
        *values = rate + BOUND * sqrtf(variance / (n + prior));
}

void pipeline_history_measure_all(const pipeline_history *history, size_t groups, unsigned measures, float *values)
{
    size_t width = pipeline_measure_count(measures);
    for (size_t group = 0; group < groups; group++)
        pipeline_history_measure(history, (uint32_t)group, measures, values + group * width);
}

size_t pipeline_history_memory(const pipeline_history *history)
{
    return sizeof *history + history->users * sizeof *history->owners + history->pool_capacity * sizeof *history->pool +
           history->groups * (2 * sizeof(double) + sizeof(uint32_t) + sizeof(pipeline_memory));
}
