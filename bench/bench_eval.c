/*
 * bench_eval: metrics of predictions, their intervals, and metrics of rankings.
 *
 *   bench_eval [SECONDS]     at least so long each (default 0.5)
 *
 * Prints millions of rows, of resampled rows, and of judged list entries per second, one core each, and a
 * sum over what was computed, which is the same in every run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 40000, RESAMPLES = 100, USERS = 20000, ITEMS = 40000, CUTOFF = 20, WANTED = 7 };

static float prediction[ROWS], label[ROWS];
static uint32_t group[ROWS], lists[USERS * CUTOFF];

static void fail(const forage_error *error)
{
    fprintf(stderr, "bench_eval: %s\n", error->message);
    exit(1);
}

static double metrics(size_t resamples)
{
    forage_error error = {0};
    forage_metrics got;
    forage_predictions in = {ROWS, prediction, label, group, NULL, true};
    forage_metrics_options options = {.bootstrap = {.resamples = resamples}, .threads = 1};
    if (forage_metrics_compute(&in, &options, &got, &error) != FORAGE_OK)
        fail(&error);
    return got.auc.value + got.log_loss.value + (resamples ? got.auc.low : 0);
}

static forage_status fixed_lists(void *context, const uint32_t *users, size_t count, size_t k, const forage_seen *seen,
                                 uint32_t *items, size_t *found, forage_error *error)
{
    (void)context, (void)seen, (void)error;
    for (size_t i = 0; i < count; ++i) {
        for (size_t rank = 0; rank < k; ++rank)
            items[i * k + rank] = lists[users[i] * CUTOFF + rank];
        found[i] = k;
    }
    return FORAGE_OK;
}

static double rankings(const forage_seen *test)
{
    forage_error error = {0};
    forage_ranking_metrics got;
    size_t cutoffs[] = {CUTOFF};
    forage_ranking_task task = {.test = test, .items = ITEMS};
    forage_ranking_options options = {.cutoffs = cutoffs, .cutoff_count = 1, .threads = 1};
    if (forage_ranking_compute(fixed_lists, NULL, &task, &options, &got, &error) != FORAGE_OK)
        fail(&error);
    return got.ndcg.value + got.recall.value;
}

static forage_seen wanted_items(void)
{
    forage_seen test = {.user_count = USERS};
    test.offsets = calloc(USERS + 1, sizeof *test.offsets);
    test.items = calloc((size_t)USERS * WANTED, sizeof *test.items);
    if (!test.offsets || !test.items)
        exit(1);
    for (uint32_t user = 0; user < USERS; ++user) {
        test.offsets[user + 1] = (size_t)(user + 1) * WANTED;
        for (uint32_t i = 0; i < WANTED; ++i) /* rising; the first is on the list */
            test.items[user * WANTED + i] =
                lists[user * CUTOFF + user % CUTOFF] % (ITEMS / WANTED) + i * (ITEMS / WANTED);
    }
    return test;
}

int main(int argc, char **argv)
{
    double least = argc > 1 ? strtod(argv[1], NULL) : 0.5, sum = 0;
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    for (size_t i = 0; i < ROWS; ++i) {
        prediction[i] = (float)forage_rng_double(&rng);
        label[i] = forage_rng_double(&rng) < (double)prediction[i];
        group[i] = (uint32_t)forage_rng_integers(&rng, 1000);
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; ++i)
        lists[i] = (uint32_t)forage_rng_integers(&rng, ITEMS);
    forage_seen test = wanted_items();
    const char *const names[] = {"metrics, million rows/s", "bootstrap, million rows/s", "rankings, million entries/s"};
    const double work[] = {ROWS, (double)ROWS * RESAMPLES, (double)USERS * CUTOFF};
    for (size_t what = 0; what < 3; ++what) {
        double start = forage_clock(), seconds = 0, once = 0;
        size_t times = 0;
        for (; times == 0 || seconds < least; ++times, seconds = forage_clock() - start)
            once = what == 0 ? metrics(0) : what == 1 ? metrics(RESAMPLES) : rankings(&test);
        sum += once;
        printf("%-30s %8.1f\n", names[what], work[what] * (double)times / seconds / 1e6);
    }
    printf("%-30s %.12f\n", "sum", sum);
    free(test.offsets);
    free(test.items);
    return 0;
}
