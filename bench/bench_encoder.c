/*
 * Speed of transformer blocks on one core: a group of sequences forward and backward, as in a step of training, against
 * the peak of libxsmm in the same run; and scored.
 *
 *     bench_encoder [RUNS]
 *
 * Peak: products of 512 x 64 by 64 x 64, single precision, in cache; the median over passes between the runs. Time is
 * the processor time of the thread. Where libxsmm is absent, our best engine stands in. Operations: 3 x the forward
 * pass's for training, per token and block 2 x (4 width^2 + 2 width inner) and, per pair of tokens of which one attends
 * to the other, 2 x 2 width; nothing else is counted. The hash is that of the gradient, or of what came out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"
#include "la/la.h"
#include "nn/nn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

enum { RUNS_LIMIT = 100, SEQUENCES_LIMIT = 200, GROUP_TOKENS = 256 };

/* Seconds that this thread has run: all of the work is on one, and other programs shall not count. */
static double processor_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

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

/* GFLOP/s of one pass of about 1 ms. */
static double peak_pass(forage_isa isa)
{
    enum { PRODUCTS = 40 };
    static float a[512 * 64], b[64 * 64], c[512 * 64];
    la_gemm gemm;
    la_shape shape = {.transpose = LA_NN, .m = 512, .n = 64, .k = 64, .lda = 64, .ldb = 64, .ldc = 64};
    la_gemm_init(&gemm, la_engine_best(isa), &shape);
    double start = processor_time();
    for (size_t i = 0; i < PRODUCTS; i++)
        la_gemm_run(&gemm, a, b, c);
    return PRODUCTS * 2.0 * 512 * 64 * 64 / (processor_time() - start) / 1e9;
}

typedef struct work {
    nn_encoder *encoder;
    nn_tape *tape;
    nn_pack pack;
    uint32_t starts[SEQUENCES_LIMIT + 1];
    size_t tokens;
    double operations; /* of the way forward */
    float *x, *out, *d_out, *d_x, *gradient;
    void *scratch;
} work;

static void release(work *w)
{
    nn_tape_free(w->tape);
    nn_encoder_free(w->encoder);
    forage_free(w->x);
    forage_free(w->out);
    forage_free(w->d_out);
    forage_free(w->d_x);
    forage_free(w->gradient);
    forage_free(w->scratch);
}

/* Lengths are uniform between 1 and twice `mean`, at most spec->length. */
static bool prepare(work *w, const nn_encoder_spec *spec, forage_isa isa, size_t mean)
{
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    *w = (work){.pack = {.starts = w->starts}};
    if (nn_encoder_create(spec, isa, &w->encoder, NULL) != FORAGE_OK ||
        nn_tape_create(w->encoder, GROUP_TOKENS, SEQUENCES_LIMIT, &w->tape, NULL) != FORAGE_OK)
        return false;
    nn_encoder_initialise(w->encoder, &rng);
    double pairs = 0;
    while (w->pack.count < SEQUENCES_LIMIT) {
        size_t length = 1 + (size_t)forage_rng_integers(&rng, 2 * mean - 1);
        length = length < spec->length ? length : spec->length;
        if (w->tokens + length > GROUP_TOKENS)
            break;
        w->tokens += length;
        w->starts[++w->pack.count] = (uint32_t)w->tokens;
        pairs += spec->causal ? (double)length * (double)(length + 1) / 2 : (double)length * (double)length;
    }
    double width = (double)spec->width, inner = (double)spec->inner;
    w->operations =
        (double)spec->blocks * 2 * ((double)w->tokens * (4 * width * width + 2 * width * inner) + pairs * 2 * width);
    size_t size = w->tokens * w->encoder->stride;
    w->x = forage_calloc(size, sizeof *w->x);
    w->out = forage_calloc(size, sizeof *w->out);
    w->d_out = forage_calloc(size, sizeof *w->d_out);
    w->d_x = forage_calloc(size, sizeof *w->d_x);
    w->gradient = forage_calloc(w->encoder->value_count, sizeof *w->gradient);
    w->scratch = forage_alloc(1, nn_encoder_scratch_size(w->encoder, w->tokens));
    if (!w->x || !w->out || !w->d_out || !w->d_x || !w->gradient || !w->scratch)
        return false;
    for (size_t i = 0; i < size; i++) {
        w->x[i] = (float)forage_rng_normal(&rng);
        w->d_out[i] = (float)forage_rng_normal(&rng);
    }
    return true;
}

enum { FORWARD, TRAIN, DROPOUT, SCORE, KINDS };

static void once(work *w, int kind)
{
    float dropout = kind == DROPOUT ? 0.2F : 0;
    switch (kind) {
    case SCORE:
        memcpy(w->out, w->x, w->tokens * w->encoder->stride * sizeof *w->x);
        nn_encoder_run(w->encoder, &w->pack, w->scratch, w->out);
        break;
    default:
        nn_encoder_forward(w->encoder, &w->pack, dropout, 1, 0, w->tape, w->x, w->out);
        if (kind != FORWARD)
            nn_encoder_backward(w->encoder, w->tape, w->d_out, w->d_x, w->gradient);
        break;
    }
}

static bool measure(const nn_encoder_spec *spec, size_t mean, size_t runs, forage_isa isa)
{
    static const char *const names[] = {"forward", "forward, backward", "with dropout", "scored"};
    static double speeds[RUNS_LIMIT], peaks[RUNS_LIMIT];
    work w;
    bool made = prepare(&w, spec, isa, mean);
    for (int kind = 0; made && kind < KINDS; kind++) {
        memset(w.gradient, 0, w.encoder->value_count * sizeof *w.gradient);
        once(&w, kind);
        bool back = kind == TRAIN || kind == DROPOUT;
        unsigned long long hash = XXH3_64bits(
            back ? w.gradient : w.out, (back ? w.encoder->value_count : w.tokens * w.encoder->stride) * sizeof *w.out);
        for (size_t run = 0; run < runs; run++) {
            enum { TIMES = 5 };
            peaks[run] = peak_pass(isa);
            double start = processor_time();
            for (size_t i = 0; i < TIMES; i++)
                once(&w, kind);
            speeds[run] = TIMES * (double)w.tokens / (processor_time() - start);
        }
        double speed = median(speeds, runs), peak = median(peaks, runs);
        double passes = back ? 3 : 1;
        double rate = speed / (double)w.tokens * passes * w.operations / 1e9;
        printf("  %-18s %9.0f tokens/s %7.1f GFLOP/s, %4.1f %% of %.1f   hash %016llx\n", names[kind], speed, rate,
               100 * rate / peak, peak, hash);
    }
    release(&w);
    return made;
}

int main(int argc, char **argv)
{
    static const struct {
        size_t inner, mean;
        nn_activation activation;
        bool causal, pre_norm;
    } cases[] = {
        {256, 25, NN_RELU, true, true}, {64, 25, NN_RELU, true, true}, {256, 50, NN_GELU, false, true},
        {256, 7, NN_RELU, true, true},  {64, 7, NN_RELU, true, true},  {256, 25, NN_LEAKY_RELU, false, false},
    };
    static const char *const activations[] = {"ReLU", "GELU", "leaky ReLU"};
    size_t runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 40;
    forage_device device;
    if (runs < 1 || runs > RUNS_LIMIT || forage_device_open("auto", 1, &device, NULL) != FORAGE_OK)
        return 1;
    printf("%s\n", device.name);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const nn_encoder_spec spec = {.width = 64,
                                      .heads = 2,
                                      .inner = cases[i].inner,
                                      .blocks = 2,
                                      .length = 50,
                                      .activation = cases[i].activation,
                                      .causal = cases[i].causal,
                                      .pre_norm = cases[i].pre_norm,
                                      .last_norm = cases[i].pre_norm,
                                      .epsilon = 1e-5};
        printf("2 blocks of 64, 2 heads, %zu inner, %s, %s, %s-norm; lengths of 1 to %zu\n", spec.inner,
               activations[spec.activation], spec.causal ? "causal" : "both ways", spec.pre_norm ? "pre" : "post",
               2 * cases[i].mean - 1 < spec.length ? 2 * cases[i].mean - 1 : spec.length);
        if (!measure(&spec, cases[i].mean, runs, device.isa))
            return 1;
    }
    return 0;
}
