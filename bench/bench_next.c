/*
 * Speed of the losses over a catalogue, at the size of Amazon's Beauty (54,542 items, 64 columns), as a share of the
 * product of small matrices on as many threads, measured in between: counted are the three products that the full
 * softmax needs (scores, gradient in the outputs, gradient in the table).
 *
 *     bench_next [POSITIONS [ITEMS [THREADS]]]
 *
 * The hash of the gradients shows that the same work was done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"
#include "nn/next.h"
#include "peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 64, ROUNDS = 9 };

typedef struct data {
    size_t positions, items, negatives;
    float *h, *table, *d_h, *d_table, *log_q;
    uint32_t *targets, *drawn;
} data;

static bool take(data *d, size_t positions, size_t items)
{
    forage_rng rng;
    d->positions = positions;
    d->items = items;
    d->h = forage_alloc(positions, WIDTH * sizeof *d->h);
    d->table = forage_alloc(items, WIDTH * sizeof *d->table);
    d->d_h = forage_alloc(positions, WIDTH * sizeof *d->d_h);
    d->d_table = forage_calloc(items, WIDTH * sizeof *d->d_table);
    d->log_q = forage_alloc(items, sizeof *d->log_q);
    d->targets = forage_alloc(positions, sizeof *d->targets);
    d->drawn = forage_alloc(positions, 256 * sizeof *d->drawn);
    if (!d->h || !d->table || !d->d_h || !d->d_table || !d->log_q || !d->targets || !d->drawn)
        return false;
    forage_rng_seed(&rng, 1);
    for (size_t i = 0; i < positions * WIDTH; i++)
        d->h[i] = (float)forage_rng_normal(&rng);
    for (size_t i = 0; i < items * WIDTH; i++)
        d->table[i] = (float)(0.2 * forage_rng_normal(&rng));
    for (size_t i = 0; i < items; i++)
        d->log_q[i] = (float)(-10 + forage_rng_normal(&rng));
    for (size_t i = 0; i < positions; i++)
        d->targets[i] = (uint32_t)forage_rng_integers(&rng, items);
    for (size_t i = 0; i < positions * 256; i++)
        d->drawn[i] = (uint32_t)forage_rng_integers(&rng, items);
    return true;
}

static void give(data *d)
{
    forage_free(d->h);
    forage_free(d->table);
    forage_free(d->d_h);
    forage_free(d->d_table);
    forage_free(d->log_q);
    forage_free(d->targets);
    forage_free(d->drawn);
}

/* `products`: what the work is counted as. */
static bool measure(const char *name, const forage_device *device, nn_next_spec spec, data *d, double products,
                    double fastest)
{
    forage_error error = {0};
    nn_next *next = NULL;
    spec.positions = d->positions;
    spec.items = d->items;
    spec.width = WIDTH;
    spec.isa = device->isa;
    spec.threads = device->threads;
    if (nn_next_create(&spec, &next, &error) != FORAGE_OK) {
        fprintf(stderr, "%s\n", error.message);
        return false;
    }
    const nn_next_negatives negatives = {spec.negatives, d->drawn, d->log_q};
    double best = 1e9, loss = 0, work = 2.0 * (double)d->positions * WIDTH * products;
    memset(d->d_table, 0, d->items * WIDTH * sizeof *d->d_table);
    for (int round = 0; round < ROUNDS; round++) {
        double start = forage_clock();
        loss = nn_next_run(next, d->positions, d->h, d->targets, &negatives, d->table, d->d_h, d->d_table);
        double seconds = forage_clock() - start;
        best = seconds < best ? seconds : best;
    }
    printf("%-28s %8.2f ms  %6.1f GFLOP/s  %3.0f %%   %6.1f MB   loss %.6f   hash %016llx\n", name, best * 1e3,
           work / best / 1e9, 100 * work / best / fastest, nn_next_memory(&spec) / 1e6, loss,
           (unsigned long long)forage_checksum(d->d_table, d->items * WIDTH * sizeof *d->d_table,
                                               forage_checksum(d->d_h, d->positions * WIDTH * sizeof *d->d_h, 0)));
    if (spec.kind == NN_NEXT_SOFTMAX) {
        best = 1e9;
        for (int round = 0; round < ROUNDS; round++) {
            double start = forage_clock();
            loss = nn_next_evaluate(next, d->positions, d->h, d->targets, d->table);
            double seconds = forage_clock() - start;
            best = seconds < best ? seconds : best;
        }
        printf("%-28s %8.2f ms  %6.1f GFLOP/s  %3.0f %%                loss %.6f\n", "its loss alone", best * 1e3,
               work / 3 / best / 1e9, 100 * work / 3 / best / fastest, loss);
    }
    nn_next_free(next);
    return true;
}

int main(int argc, char **argv)
{
    forage_device device;
    data d = {0};
    size_t positions = argc > 1 ? strtoul(argv[1], NULL, 10) : 900;
    size_t items = argc > 2 ? strtoul(argv[2], NULL, 10) : 54542;
    if (forage_device_open("auto", argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0, &device, NULL) != FORAGE_OK)
        return 1;
    bool good = take(&d, positions, items);
    double fastest = peak_measure(&device), p = (double)items;
    printf("%s; %zu positions, %zu items, %d columns; peak %.1f GFLOP/s\n", device.name, positions, items, WIDTH,
           fastest / 1e9);
    good =
        good && measure("softmax", &device, (nn_next_spec){.kind = NN_NEXT_SOFTMAX}, &d, 3 * p, fastest) &&
        measure("sampled, 1024 shared", &device, (nn_next_spec){.kind = NN_NEXT_SAMPLED, .negatives = 1024}, &d,
                3 * 1024, fastest) &&
        measure("gbce, 1024 shared", &device, (nn_next_spec){.kind = NN_NEXT_GBCE, .negatives = 1024, .t = 0.75}, &d,
                3 * 1024, fastest) &&
        measure("gbce, 256 of each", &device,
                (nn_next_spec){.kind = NN_NEXT_GBCE, .negatives = 256, .own = true, .t = 0.75}, &d, 3 * 256, fastest) &&
        measure("bce, 1 of each", &device, (nn_next_spec){.kind = NN_NEXT_BCE, .negatives = 1, .own = true}, &d, 3 * 1,
                fastest);
    give(&d);
    return good ? 0 : 1;
}
