/*
 * Speed of reading: a plain log as the simulator writes it (user_id, product_id, clicked, category;
 * about 20 bytes a row) is tokenized, and loaded with interning and numbers.
 *
 *     bench_read [ROWS]
 *
 * libcsv, when it was there to build against, tokenizes the same bytes for comparison. The hash
 * proves that everything was read: it is the same in all runs with the same ROWS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>
#ifdef HAVE_LIBCSV
#include <csv.h>
#endif

/* Time of this process alone, so that what else runs on the machine does not count as much. */
static double seconds_of_cpu(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static const char *const categories[] = {"Cat Food", "Cat Toy", "Dog Food", "Dog Toy", "Fish Supplies"};

static bool write_log(const char *path, size_t rows)
{
    forage_rng rng;
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    forage_rng_seed(&rng, 42);
    fprintf(file, "user_id,product_id,clicked,category\n");
    for (size_t i = 0; i < rows; i++) {
        unsigned user = (unsigned)forage_rng_integers(&rng, 1000), item = (unsigned)forage_rng_integers(&rng, 50);
        fprintf(file, "%u,%u,%d,%s\n", user, item, forage_rng_double(&rng) < 0.21, categories[item / 10]);
    }
    return fclose(file) == 0;
}

static void show(const char *what, size_t rows, uint64_t bytes, double seconds, uint64_t hash)
{
    printf("%-34s %8.2f million rows/s %7.3f GB/s   hash %016llx\n", what, (double)rows / seconds / 1e6,
           (double)bytes / seconds / 1e9, (unsigned long long)hash);
}

static bool bench_tokenize(const char *path)
{
    forage_reader *reader;
    forage_rows rows;
    size_t count = 0;
    uint64_t hash = 0, total = 0;
    double start = seconds_of_cpu();
    if (forage_reader_open(path, NULL, &reader, NULL) != FORAGE_OK)
        return false;
    const forage_reader_column *columns = forage_reader_columns(reader, &count);
    for (size_t c = 0; c < count; c++)
        hash += strlen(columns[c].name) * (c + 1); /* the header counts, as it does for libcsv */
    count = 0;
    while (forage_reader_next(reader, &rows, NULL) == FORAGE_OK && rows.count) {
        count += rows.count;
        for (size_t c = 0; c < rows.column_count; c++)
            for (size_t r = 0; r < rows.count; r++)
                hash += rows.fields[c * rows.stride + r].length * (c + 1);
    }
    forage_reader_position(reader, &total);
    forage_reader_free(reader);
    show("tokenizing", count, total, seconds_of_cpu() - start, hash);
    return true;
}

static bool bench_load(const char *path, uint64_t bytes)
{
    forage_dataset *log;
    double start = seconds_of_cpu();
    if (forage_dataset_load(path, NULL, NULL, &log, NULL) != FORAGE_OK)
        return false;
    double seconds = seconds_of_cpu() - start;
    uint64_t hash = XXH3_64bits(log->user, log->count * sizeof *log->user) ^
                    XXH3_64bits(log->item, log->count * sizeof *log->item) * 3 ^
                    XXH3_64bits(log->value, log->count * sizeof *log->value) * 5;
    show("loading (ids interned, checked)", log->count, bytes, seconds, hash);
    forage_dataset_free(log);
    return true;
}

#ifdef HAVE_LIBCSV
typedef struct csv_counts {
    size_t rows, fields;
    uint64_t hash;
} csv_counts;

static void csv_field(void *bytes, size_t length, void *context)
{
    csv_counts *counts = context;
    (void)bytes;
    counts->hash += length * (counts->fields++ % 4 + 1);
}

static void csv_row(int character, void *context)
{
    csv_counts *counts = context;
    (void)character;
    counts->rows++;
}

static bool bench_libcsv(const char *path)
{
    static char block[256 * 1024];
    struct csv_parser parser;
    csv_counts counts = {0};
    uint64_t bytes = 0;
    size_t got;
    FILE *file = fopen(path, "r");
    if (!file || csv_init(&parser, CSV_STRICT) != 0)
        return false;
    double start = seconds_of_cpu();
    while ((got = fread(block, 1, sizeof block, file)) > 0) {
        bytes += got;
        csv_parse(&parser, block, got, csv_field, csv_row, &counts);
    }
    csv_fini(&parser, csv_field, csv_row, &counts);
    show("libcsv, tokenizing alone", counts.rows, bytes, seconds_of_cpu() - start, counts.hash);
    csv_free(&parser);
    fclose(file);
    return true;
}
#endif

int main(int argc, char **argv)
{
    char path[] = "/tmp/forage-bench-read-XXXXXX";
    size_t rows = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 4000000;
    int descriptor = mkstemp(path);
    uint64_t bytes = 0;
    bool good = descriptor >= 0 && write_log(path, rows);
    if (good)
        bytes = (uint64_t)lseek(descriptor, 0, SEEK_END);
    for (int repeat = 0; good && repeat < 3; repeat++) {
        good = bench_tokenize(path) && bench_load(path, bytes);
#ifdef HAVE_LIBCSV
        good = good && bench_libcsv(path);
#endif
    }
    unlink(path);
    return good ? 0 : 1;
}
