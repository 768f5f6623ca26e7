/*
 * Speed of training: the document's log (1000 users, 50 products, 200,000 rows, of which
 * 160,000 are learned from) through embedding-mlp for 10 epochs, against the peak of libxsmm in the same
 * run, and of predicting with the result.
 *
 *     bench_train [RUNS]
 *
 * Peak: products of 512 x 64 by 64 x 64, single precision, in cache, on one core; the
 * median over passes that surround the runs. Where libxsmm is absent, our best engine stands in and the
 * output says so. Operations: 3 x the forward pass's, 2 x (64 x 64 + 64 x 32 + 32) per row; nothing else is
 * counted. Time: all of the fit, with coding of columns, initialisation and shuffling; "with validation" also
 * a pass over the 40,000 validation rows after each epoch.
 *
 * The hash is that of the checkpoint: it must be the same for any number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"
#include "la/la.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { ROWS = 200000, EPOCHS = 10, RUNS_LIMIT = 100, PASSES_LIMIT = 20000 };

static const double FLOP_PER_ROW = 3.0 * 2.0 * (64 * 64 + 64 * 32 + 32);

/* What is measured several times: noise only ever adds time, so the best is nearest to the truth; the median says
 * how much noise there was. */
static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

typedef struct peak {
    la_gemm gemm;
    float *a, *b, *c;
    double rates[PASSES_LIMIT];
    size_t count;
} peak;

static bool peak_start(peak *p, forage_isa isa)
{
    la_shape shape = {.transpose = LA_NN, .m = 512, .n = 64, .k = 64, .lda = 64, .ldb = 64, .ldc = 64};
    la_gemm_init(&p->gemm, la_engine_available(LA_XSMM, isa) ? LA_XSMM : la_engine_best(isa), &shape);
    p->a = forage_calloc(512 * 64, sizeof *p->a);
    p->b = forage_calloc(64 * 64, sizeof *p->b);
    p->c = forage_calloc(512 * 64, sizeof *p->c);
    return p->a && p->b && p->c;
}

/* 20 passes of about 1 ms each. */
static void peak_measure(peak *p)
{
    enum { PRODUCTS = 40 };
    for (size_t pass = 0; pass < 20 && p->count < PASSES_LIMIT; pass++) {
        double start = forage_clock();
        for (size_t i = 0; i < PRODUCTS; i++)
            la_gemm_run(&p->gemm, p->a, p->b, p->c);
        p->rates[p->count++] = PRODUCTS * 2.0 * 512 * 64 * 64 / (forage_clock() - start) / 1e9;
    }
}

static void peak_end(peak *p)
{
    forage_free(p->a);
    forage_free(p->b);
    forage_free(p->c);
}

static bool make_log(forage_dataset **log, forage_split *split, forage_error *error)
{
    forage_scenario scenario = {0};
    forage_simulator *simulator = NULL;
    forage_trial_result trials;
    bool good = forage_scenario_load("petshop", &scenario, error) == FORAGE_OK &&
                forage_simulator_create(&scenario, NULL, &simulator, error) == FORAGE_OK &&
                (scenario.trials.count == 0 ||
                 forage_simulator_trials(simulator, scenario.trials.count, &trials, error) == FORAGE_OK) &&
                forage_simulator_dataset(simulator, ROWS, NULL, log, error) == FORAGE_OK &&
                forage_split_parse("sklearn:0.2:42", *log, split, error) == FORAGE_OK;
    forage_simulator_free(simulator);
    forage_scenario_release(&scenario);
    return good;
}

/* One training; fills its seconds, the last validation loss and the checkpoint's hash. */
static bool train(const forage_dataset *log, const forage_split *split, const forage_device *device, double *seconds,
                  double *loss, unsigned long long *hash, forage_model **model, forage_error *error)
{
    const forage_model_info *info;
    forage_fit_report report = {0};
    forage_fit_options options = {.device = device, .seed = 0};
    bool good = forage_model_find("embedding-mlp", &info, error) == FORAGE_OK &&
                forage_model_fit(info, NULL, log, split, &options, &report, model, error) == FORAGE_OK;
    if (good) {
        *seconds = report.seconds;
        *loss = report.epochs[report.epoch_count - 1].validation_loss;
        char path[] = "bench_train.XXXXXX", *bytes = NULL;
        size_t size = 0;
        int file = mkstemp(path);
        good = file >= 0 && forage_model_save(*model, path, error) == FORAGE_OK &&
               forage_read_file(path, SIZE_MAX / 2, &bytes, &size, error) == FORAGE_OK;
        *hash = good ? (unsigned long long)XXH3_64bits(bytes, size) : 0;
        forage_free(bytes);
        (void)remove(path);
    }
    forage_fit_report_release(&report);
    return good;
}

/* Rows per second of predicting every row of the log. */
static bool predict(const forage_model *model, const forage_dataset *log, double *rate, forage_error *error)
{
    forage_binding *binding = NULL;
    uint32_t *rows = forage_alloc(ROWS, sizeof *rows);
    float *mean = forage_alloc(ROWS, sizeof *mean);
    bool good = rows && mean && forage_model_bind(model, log, FORAGE_UNKNOWN_ERROR, NULL, &binding, error) == FORAGE_OK;
    *rate = 0.0;
    for (uint32_t i = 0; good && i < ROWS; i++)
        rows[i] = i;
    for (size_t run = 0; good && run < 10; run++) {
        double start = forage_clock();
        good = forage_model_score(binding, rows, ROWS, mean, NULL, error) == FORAGE_OK;
        double now = ROWS / (forage_clock() - start);
        *rate = now > *rate ? now : *rate;
    }
    forage_binding_free(binding);
    forage_free(rows);
    forage_free(mean);
    return good;
}

/* Best against best and median against median. */
static void print_times(const char *what, double *seconds, size_t runs, double flop, double top, double fastest,
                        int threads)
{
    double middle = median(seconds, runs), best = seconds[0];
    printf("  %-15s  best of %zu: %.3f s, %.0f GFLOP/s = %.0f %% of peak x %d; median: %.3f s = %.0f %%\n", what, runs,
           best, flop / best, 100.0 * flop / best / (fastest * threads), threads, middle,
           100.0 * flop / middle / (top * threads));
}

/* `runs` trainings on `threads` threads and what they say. */
static bool bench(const forage_dataset *log, const forage_split *split, int threads, size_t runs, peak *p,
                  forage_error *error)
{
    forage_device device;
    double seconds[RUNS_LIMIT], watched[RUNS_LIMIT], loss = 0.0, rate = 0.0;
    unsigned long long hash = 0;
    forage_model *model = NULL;
    forage_split alone = *split; /* no validation rows */
    alone.validation_count = 0;
    bool good = forage_device_open("auto", threads, &device, error) == FORAGE_OK;
    p->count = 0;
    if (good)
        peak_measure(p);
    for (size_t run = 0; good && run < 2 * runs; run++) {
        forage_model_free(model);
        model = NULL;
        good = run % 2 ? train(log, split, &device, &watched[run / 2], &loss, &hash, &model, error)
                       : train(log, &alone, &device, &seconds[run / 2], &loss, &hash, &model, error);
        peak_measure(p);
    }
    good = good && predict(model, log, &rate, error);
    if (good) {
        double flop = FLOP_PER_ROW * (double)split->train_count * EPOCHS / 1e9;
        double top = median(p->rates, p->count), fastest = p->rates[p->count - 1];
        printf("%s: peak of %s %.0f GFLOP/s per core (median; best %.0f)\n", device.name,
               la_engine_name(p->gemm.engine), top, fastest);
        print_times("training", seconds, runs, flop, top, fastest, device.threads);
        print_times("with validation", watched, runs, flop, top, fastest, device.threads);
        printf("  predicting %.1f million rows/s; validation loss %.6f; hash %016llx\n", rate / 1e6, loss, hash);
    }
    forage_model_free(model);
    return good;
}

int main(int argc, char **argv)
{
    static peak p;
    uint64_t runs = 5;
    forage_device device;
    forage_error error = {0};
    forage_dataset *log = NULL;
    forage_split split = {0};
    if (argc > 1 && (!forage_parse_u64(argv[1], strlen(argv[1]), &runs) || runs == 0 || runs > RUNS_LIMIT))
        return 2;
    bool good = forage_device_open("auto", 0, &device, &error) == FORAGE_OK && peak_start(&p, device.isa) &&
                make_log(&log, &split, &error);
    for (int threads = 1; good && threads <= device.threads; threads *= 2)
        good = bench(log, &split, threads, (size_t)runs, &p, &error);
    if (!good)
        fprintf(stderr, "%s\n", error.message);
    peak_end(&p);
    forage_split_release(&split);
    forage_dataset_free(log);
    return good ? 0 : 1;
}
