/*
 * Speed of exact retrieval, on all cores:
 *   the 20 best of a million items of 64 dimensions for one subject, beside the time that reading the table of items
 *   from memory takes, in turn;
 *   the 20 best of 40,981 items for each of 29,858 users (the size of Gowalla), beside the time of the bare products.
 *
 *     bench_retrieval [ITEMS [USERS]]
 *
 * The hashes prove that the same lists were found. Scores, and so lists, depend on the instruction set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "la/la.h"
#include "model/catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { WIDTH = 64, K = 20, ROUNDS = 15, CATALOGUE = 40981, CHUNK = 4096 };

struct model_state {
    model_dot dot;
    const float *users;
};

static size_t scratch_size(const model_state *state, size_t count)
{
    (void)state;
    return model_dot_scratch_size(WIDTH, count);
}

static void prepare(const model_state *state, const model_subject *subjects, size_t count, void *scratch)
{
    const float *vectors[MODEL_SUBJECTS];
    for (size_t s = 0; s < count; s++)
        vectors[s] = state->users + (size_t)subjects[s].user * WIDTH;
    model_dot_prepare(&state->dot, vectors, count, scratch);
}

static void score(const model_state *state, void *scratch, size_t count, size_t first, size_t items, float *out)
{
    model_dot_score(&state->dot, scratch, count, first, items, out);
}

static const model_catalogue hooks = {scratch_size, prepare, score};

static float *random_table(forage_rng *rng, size_t rows)
{
    float *table = forage_alloc(rows * WIDTH, sizeof *table);
    for (size_t i = 0; table && i < rows * WIDTH; i++) /* nearly normal, and quick */
        table[i] = (float)(forage_rng_double(rng) + forage_rng_double(rng) + forage_rng_double(rng) - 1.5);
    return table;
}

/* ---- reading a table ---- */

typedef struct reading {
    const float *table;
    size_t rows;
    double *sums; /* [chunks] */
} reading;

typedef float lanes __attribute__((vector_size(64)));

static void read_chunk(void *context, size_t chunk, int worker)
{
    const reading *task = context;
    size_t begin = chunk * CHUNK, end = begin + CHUNK < task->rows ? begin + CHUNK : task->rows;
    const lanes *from = (const lanes *)(const void *)(task->table + begin * WIDTH);
    lanes sum[4] = {{0}};
    (void)worker;
    for (size_t row = begin; row < end; row++, from += 4) {
        for (size_t i = 0; i < 4; i++)
            sum[i] += from[i];
    }
    double total = 0;
    for (size_t i = 0; i < 64; i++)
        total += (double)sum[i / 16][i % 16];
    task->sums[chunk] = total;
}

/* ---- one subject ---- */

static double least(double a, double b)
{
    return a < b ? a : b;
}

static void bench_one(const forage_device *device, const float *table, size_t items, const float *users)
{
    const model_state state = {{table, WIDTH, WIDTH, device->isa}, users};
    size_t chunks = (items + CHUNK - 1) / CHUNK, memory = model_ranking_scratch(&hooks, &state);
    model_ranking ranking = {.catalogue = &hooks,
                             .state = &state,
                             .item_count = items,
                             .isa = device->isa,
                             .threads = device->threads,
                             .scratch = forage_calloc((size_t)device->threads, memory)};
    reading task = {table, items, forage_alloc(chunks, sizeof *task.sums)};
    float *line = forage_calloc(items, sizeof *line), scores[K];
    uint32_t best[K];
    double read = 1e9, rank = 1e9, sum = 0;
    XXH64_hash_t hash = 0;
    if (!ranking.scratch || !task.sums || !line)
        goto end;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const model_subject subject = {.user = round};
        model_top top;
        double start = forage_clock();
        forage_parallel_for(device->threads, chunks, read_chunk, &task);
        read = least(read, forage_clock() - start);
        start = forage_clock();
        model_top_begin(&top, best, scores, K, NULL, 0);
        model_rank_one(&ranking, &subject, line, &top);
        rank = least(rank, forage_clock() - start);
        hash = XXH3_64bits_withSeed(best, sizeof best, hash);
    }
    for (size_t chunk = 0; chunk < chunks; chunk++)
        sum += task.sums[chunk];
    double bytes = (double)items * WIDTH * sizeof(float) / 1e9;
    printf(
        "one subject, %zu items: read %.2f ms (%.1f GB/s), ranked in %.2f ms (%.1f GB/s): %.2f times   sum %.6g, hash "
        "%016llx\n",
        items, 1e3 * read, bytes / read, 1e3 * rank, bytes / rank, rank / read, sum, (unsigned long long)hash);
end:
    forage_free(ranking.scratch);
    forage_free(task.sums);
    forage_free(line);
}

/* ---- many users ---- */

static void multiply_chunk(void *context, size_t chunk, int worker)
{
    const model_ranking *ranking = context;
    const model_state *state = ranking->state;
    const float *vectors[MODEL_SUBJECTS];
    char *scratch = (char *)ranking->scratch + (size_t)worker * model_ranking_scratch(&hooks, state);
    float *tile = (float *)(void *)(scratch + model_dot_scratch_size(WIDTH, MODEL_SUBJECTS));
    for (size_t s = 0; s < MODEL_SUBJECTS; s++)
        vectors[s] = state->users + (chunk * MODEL_SUBJECTS + s) * WIDTH;
    model_dot_prepare(&state->dot, vectors, MODEL_SUBJECTS, scratch);
    for (size_t first = 0; first < ranking->item_count; first += MODEL_BLOCK) {
        size_t rest = ranking->item_count - first, items = rest < MODEL_BLOCK ? rest : MODEL_BLOCK;
        model_dot_score(&state->dot, scratch, MODEL_SUBJECTS, first, items, tile);
    }
}

static void bench_many(const forage_device *device, const float *table, const float *users, size_t count)
{
    const model_state state = {{table, WIDTH, WIDTH, device->isa}, users};
    size_t memory = model_ranking_scratch(&hooks, &state);
    model_ranking ranking = {.catalogue = &hooks,
                             .state = &state,
                             .item_count = CATALOGUE,
                             .isa = device->isa,
                             .threads = device->threads,
                             .scratch = forage_calloc((size_t)device->threads, memory)};
    uint32_t *items = forage_alloc(count * K, sizeof *items);
    float *scores = forage_alloc(count * K, sizeof *scores);
    size_t *found = forage_alloc(count, sizeof *found);
    if (ranking.scratch && items && scores && found) {
        const model_rank_request request = {NULL, count, K, NULL, items, scores, found};
        double start = forage_clock();
        forage_parallel_for(device->threads, count / MODEL_SUBJECTS, multiply_chunk, &ranking);
        size_t blocks = count / MODEL_SUBJECTS;
        double bare = (forage_clock() - start) * (double)count / (double)(blocks * MODEL_SUBJECTS);
        start = forage_clock();
        model_rank_users(&ranking, &request);
        double rank = forage_clock() - start;
        printf("%zu users, %d items: products %.3f s (%.0f GFLOP/s), ranked in %.3f s: %.2f times   hash %016llx\n",
               count, CATALOGUE, bare, 2e-9 * WIDTH * CATALOGUE * (double)count / bare, rank, rank / bare,
               (unsigned long long)XXH3_64bits(items, count * K * sizeof *items));
    }
    forage_free(ranking.scratch);
    forage_free(items);
    forage_free(scores);
    forage_free(found);
}

int main(int argc, char **argv)
{
    uint64_t items = 1000000, users = 29858;
    forage_device device;
    forage_rng rng;
    if ((argc > 1 && (!forage_parse_u64(argv[1], strlen(argv[1]), &items) || items < CATALOGUE || items > 100000000)) ||
        (argc > 2 && (!forage_parse_u64(argv[2], strlen(argv[2]), &users) || users < 64 || users > 10000000)) ||
        forage_device_open("auto", 0, &device, NULL) != FORAGE_OK)
        return 2;
    forage_rng_seed(&rng, 1);
    float *table = random_table(&rng, items), *vectors = random_table(&rng, users);
    if (table && vectors) {
        printf("%s\n", device.name);
        bench_one(&device, table, items, vectors);
        bench_many(&device, table, vectors, users);
    }
    forage_free(table);
    forage_free(vectors);
    return table && vectors ? 0 : 1;
}
