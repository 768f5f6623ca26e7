/*
 * catalogue.c: exact retrieval. Scores of a tile of items for a block of subjects are compared, a vector at a time,
 * with what each subject's worst of the best has; only what passes is looked at more closely.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/catalogue.h"

#include "la/la.h"

#include <math.h>
#include <string.h>

/* Rows of a tile that are compared with the same limits: these rise fast at the beginning. */
enum { STRIP = 16 };

/* The memory of one thread; the model's own scratch lies behind it. */
typedef struct block_memory {
    float tile[MODEL_BLOCK * MODEL_SUBJECTS];
    float limits[MODEL_SUBJECTS];
    uint64_t hits[STRIP];
    uint64_t prepared[8]; /* model_rank_one: the model's scratch is filled */
} block_memory;

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

size_t model_ranking_scratch(const model_catalogue *catalogue, const model_state *state)
{
    size_t one = catalogue->scratch_size(state, 1), many = catalogue->scratch_size(state, MODEL_SUBJECTS);
    return rounded(sizeof(block_memory)) + rounded(one > many ? one : many);
}

static block_memory *memory_of(const model_ranking *ranking, int worker, void **scratch)
{
    size_t size = model_ranking_scratch(ranking->catalogue, ranking->state);
    char *memory = (char *)ranking->scratch + (size_t)worker * size;
    *scratch = memory + rounded(sizeof(block_memory));
    return (block_memory *)(void *)memory;
}

/* The next run of items that are worth scoring: at most `most`, the first of them and the last allowed. */
static size_t next_run(const model_ranking *ranking, size_t *first, size_t most)
{
    size_t left = ranking->item_count - *first;
    if (!left || !ranking->allowed)
        return left < most ? left : most;
    const bool *allowed = ranking->allowed + *first, *next = memchr(allowed, 1, left);
    if (!next)
        return 0;
    *first += (size_t)(next - allowed);
    left = ranking->item_count - *first;
    size_t count = left < most ? left : most;
    while (!ranking->allowed[*first + count - 1])
        count--;
    return count;
}

/* The score that an item must exceed to be looked at. NaN lets everything through. Among equals the lower name counts,
 * which a later item has only if names do not rise. */
static float limit_of(const model_ranking *ranking, const model_top *top)
{
    if (!top->limit)
        return INFINITY;
    if (top->count < top->limit)
        return NAN;
    bool rising = !ranking->names || ranking->rising;
    return rising ? top->scores[0] : nextafterf(top->scores[0], -INFINITY);
}

static void offer(const model_ranking *ranking, model_top *top, size_t code, float score)
{
    model_top_offer(top, score, ranking->names ? ranking->names[code] : (uint32_t)code);
}

/* ---- many subjects ---- */

/* Offers `rows` rows of the tile (at most STRIP), which are the items from `first` on. */
static void offer_strip(const model_ranking *ranking, block_memory *memory, const float *tile, size_t first,
                        size_t rows, model_top *tops)
{
    la_above(ranking->isa, tile, rows, memory->limits, memory->hits);
    for (size_t r = 0; r < rows; r++) {
        if (!memory->hits[r] || (ranking->allowed && !ranking->allowed[first + r]))
            continue;
        for (uint64_t hits = memory->hits[r]; hits; hits &= hits - 1) {
            size_t s = (size_t)__builtin_ctzll(hits);
            offer(ranking, &tops[s], first + r, tile[r * MODEL_SUBJECTS + s]);
            memory->limits[s] = limit_of(ranking, &tops[s]);
        }
    }
}

static void rank_many(const model_ranking *ranking, block_memory *memory, void *scratch, model_top *tops, size_t count)
{
    for (size_t s = 0; s < MODEL_SUBJECTS; s++)
        memory->limits[s] = s < count ? limit_of(ranking, &tops[s]) : INFINITY;
    for (size_t first = 0, items; (items = next_run(ranking, &first, MODEL_BLOCK)) > 0; first += items) {
        ranking->catalogue->score(ranking->state, scratch, count, first, items, memory->tile);
        /* What lies beyond the subjects is undefined, and may be NaN, which no limit stops. */
        for (size_t i = 0; count < MODEL_SUBJECTS && i < items; i++)
            memset(memory->tile + i * MODEL_SUBJECTS + count, 0, (MODEL_SUBJECTS - count) * sizeof(float));
        for (size_t i = 0; i < items; i += STRIP)
            offer_strip(ranking, memory, memory->tile + i * MODEL_SUBJECTS, first + i,
                        items - i < STRIP ? items - i : STRIP, tops);
    }
}

/* ---- one subject ---- */

/* Offers items [first, first + items), whose scores are given. */
static void offer_line(const model_ranking *ranking, block_memory *memory, const float *scores, size_t first,
                       size_t items, model_top *top)
{
    for (size_t begin = 0; begin < items; begin += (size_t)STRIP * MODEL_SUBJECTS) {
        size_t rest = items - begin, rows = rest / MODEL_SUBJECTS < STRIP ? rest / MODEL_SUBJECTS : STRIP;
        float limit = limit_of(ranking, top);
        for (size_t s = 0; s < MODEL_SUBJECTS; s++)
            memory->limits[s] = limit;
        la_above(ranking->isa, scores + begin, rows, memory->limits, memory->hits);
        size_t whole = rows * MODEL_SUBJECTS;
        for (size_t r = 0; r < rows; r++) {
            for (uint64_t hits = memory->hits[r]; hits; hits &= hits - 1) {
                size_t i = begin + r * MODEL_SUBJECTS + (size_t)__builtin_ctzll(hits);
                if (!ranking->allowed || ranking->allowed[first + i])
                    offer(ranking, top, first + i, scores[i]);
            }
        }
        for (size_t i = begin + whole; rows < STRIP && i < items; i++) {
            if (!ranking->allowed || ranking->allowed[first + i])
                offer(ranking, top, first + i, scores[i]);
        }
    }
}

void model_rank_block(const model_ranking *ranking, int worker, const model_subject *subjects, model_top *tops,
                      size_t count)
{
    void *scratch;
    block_memory *memory = memory_of(ranking, worker, &scratch);
    if (!count)
        return;
    ranking->catalogue->prepare(ranking->state, subjects, count, scratch);
    if (count > 1)
        rank_many(ranking, memory, scratch, tops, count);
    for (size_t first = 0, items; count == 1 && (items = next_run(ranking, &first, MODEL_BLOCK)) > 0; first += items) {
        ranking->catalogue->score(ranking->state, scratch, 1, first, items, memory->tile);
        offer_line(ranking, memory, memory->tile, first, items, tops);
    }
    for (size_t s = 0; s < count; s++)
        model_top_finish(&tops[s]);
}

/* Items that one thread scores at a time for one subject. */
enum { LINE = 8 * MODEL_BLOCK };

typedef struct one_task {
    const model_ranking *ranking;
    const model_subject *subject;
    float *scores;
} one_task;

static void score_line(void *context, size_t chunk, int worker)
{
    const one_task *task = context;
    const model_ranking *ranking = task->ranking;
    const model_ranking part = {.item_count =
                                    (chunk + 1) * LINE < ranking->item_count ? (chunk + 1) * LINE : ranking->item_count,
                                .allowed = ranking->allowed};
    void *scratch;
    block_memory *memory = memory_of(ranking, worker, &scratch);
    if (!memory->prepared[0]) /* each thread on its own: that nobody waits for another */
        ranking->catalogue->prepare(ranking->state, task->subject, 1, scratch);
    memory->prepared[0] = 1;
    for (size_t first = chunk * LINE, items; (items = next_run(&part, &first, MODEL_BLOCK)) > 0; first += items) {
        /* `out` is aligned: a run begins anywhere. */
        ranking->catalogue->score(ranking->state, scratch, 1, first, items, memory->tile);
        memcpy(task->scores + first, memory->tile, items * sizeof *task->scores);
    }
}

void model_rank_one(const model_ranking *ranking, const model_subject *subject, float *scores, model_top *top)
{
    one_task task = {ranking, subject, scores};
    void *scratch;
    for (int w = 0; w < ranking->threads; w++)
        memory_of(ranking, w, &scratch)->prepared[0] = 0;
    forage_parallel_for(ranking->threads, (ranking->item_count + LINE - 1) / LINE, score_line, &task);
    block_memory *memory = memory_of(ranking, 0, &scratch);
    for (size_t first = 0, items; (items = next_run(ranking, &first, ranking->item_count)) > 0; first += items)
        offer_line(ranking, memory, scores + first, first, items, top);
    model_top_finish(top);
}

void model_rank_prepare(const model_ranking *ranking, int worker, const model_subject *subjects, size_t count)
{
    void *scratch;
    (void)memory_of(ranking, worker, &scratch);
    ranking->catalogue->prepare(ranking->state, subjects, count, scratch);
}

float model_rank_prepared(const model_ranking *ranking, int worker, size_t count, size_t s, size_t code)
{
    void *scratch;
    block_memory *memory = memory_of(ranking, worker, &scratch);
    ranking->catalogue->score(ranking->state, scratch, count, code, 1, memory->tile);
    return memory->tile[s];
}

float model_rank_score(const model_ranking *ranking, int worker, const model_subject *subject, size_t code)
{
    model_rank_prepare(ranking, worker, subject, 1);
    return model_rank_prepared(ranking, worker, 1, 0, code);
}

/* ---- users by code ---- */

typedef struct users_task {
    const model_ranking *ranking;
    const model_rank_request *request;
} users_task;

static void rank_chunk(void *context, size_t chunk, int worker)
{
    const users_task *task = context;
    const model_rank_request *request = task->request;
    const forage_seen *excluded = request->excluded;
    model_subject subjects[MODEL_SUBJECTS] = {0};
    model_top tops[MODEL_SUBJECTS];
    size_t begin = chunk * MODEL_SUBJECTS, rest = request->count - begin,
           count = rest < MODEL_SUBJECTS ? rest : MODEL_SUBJECTS;
    for (size_t s = 0; s < count; s++) {
        size_t i = begin + s;
        uint32_t user = request->users ? request->users[i] : (uint32_t)i;
        bool has = excluded && user < excluded->user_count;
        subjects[s] = (model_subject){.user = user};
        model_top_begin(&tops[s], request->items + i * request->k, request->scores + i * request->k, request->k,
                        has ? excluded->items + excluded->offsets[user] : NULL,
                        has ? excluded->offsets[user + 1] - excluded->offsets[user] : 0);
    }
    model_rank_block(task->ranking, worker, subjects, tops, count);
    for (size_t s = 0; s < count; s++)
        request->found[begin + s] = tops[s].count;
}

void model_rank_users(const model_ranking *ranking, const model_rank_request *request)
{
    users_task task = {ranking, request};
    forage_parallel_for(ranking->threads, (request->count + MODEL_SUBJECTS - 1) / MODEL_SUBJECTS, rank_chunk, &task);
}

/* ---- inner products ---- */

size_t model_dot_scratch_size(size_t width, size_t count)
{
    return rounded(width * (count > 1 ? MODEL_SUBJECTS : 1) * sizeof(float));
}

void model_dot_prepare(const model_dot *dot, const float *const *vectors, size_t count, void *scratch)
{
    float *to = scratch;
    if (count == 1) {
        memcpy(to, vectors[0], dot->width * sizeof *to);
        return;
    }
    for (size_t j = 0; j < dot->width; j++) {
        for (size_t s = 0; s < MODEL_SUBJECTS; s++)
            to[j * MODEL_SUBJECTS + s] = s < count ? vectors[s][j] : 0.0F;
    }
}

void model_dot_score(const model_dot *dot, const void *scratch, size_t count, size_t first, size_t items, float *out)
{
    if (count == 1) {
        la_dots(dot->isa, dot->items + first * dot->pitch, dot->pitch, items, dot->width, scratch, out);
        return;
    }
    la_gemm gemm;
    const la_shape shape = {.m = items,
                            .n = MODEL_SUBJECTS,
                            .k = dot->width,
                            .lda = dot->pitch,
                            .ldb = MODEL_SUBJECTS,
                            .ldc = MODEL_SUBJECTS};
    la_gemm_init(&gemm, la_engine_steady(dot->isa), &shape);
    la_gemm_run(&gemm, dot->items + first * dot->pitch, scratch, out);
}

void model_dot_pairs(const model_dot *dot, const float *const *left, const float *const *right, size_t count,
                     float *out)
{
    for (size_t i = 0; i < count; i++)
        la_dots(dot->isa, right[i], dot->pitch, 1, dot->width, left[i], out + i);
}
