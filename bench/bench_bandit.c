/*
 * Speed of bandits: decisions and updates per second of linear-ridge under a policy, one event after the other: all
 * candidates are estimated, one is chosen with its probability, and its reward is learned.
 *
 *     bench_bandit [SECONDS [DEVICE]]
 *
 * Requests are random; rewards follow weights of each arm. Beside the figures stands what share of the machine's own
 * speed, measured first, the estimates take: of the arithmetic of its best matrix product, and of reading memory where
 * the numbers of all arms are more than the caches hold. The hash is of all choices and of the last estimates: it is
 * the same on every run and with every instruction set; SECONDS does not change it, for it covers the first events
 * alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"
#include "la/la.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { REQUESTS = 4096, HASHED = 2000, LARGE = 100000, LARGE_WIDTH = 64, PARTS = 100 };

static double seconds = 1, peak, bandwidth;
static const char *device_name = "auto";

/* ---- the machine ---- */

static void measure_machine(forage_isa isa)
{
    enum { M = 512, N = 64, BYTES = 1 << 28 };
    static float a[M * N], b[N * N], c[M * N];
    la_gemm gemm;
    la_shape shape = {.m = M, .n = N, .k = N, .lda = N, .ldb = N, .ldc = N};
    la_gemm_init(&gemm, la_engine_best(isa), &shape);
    for (int pass = 0; pass < 20; pass++) {
        double start = forage_clock();
        for (int i = 0; i < 100; i++)
            la_gemm_run(&gemm, a, b, c);
        peak = fmax(peak, 100 * 2.0 * M * N * N / (forage_clock() - start));
    }
    size_t pitch = 1024, rows = BYTES / sizeof(float) / pitch;
    float *large = forage_calloc(BYTES / sizeof(float), sizeof *large), *out = forage_alloc(rows, sizeof *out);
    uint32_t *index = forage_alloc(rows, sizeof *index);
    for (size_t i = 0; large && out && index && i < rows; i++)
        index[i] = (uint32_t)i;
    for (int pass = 0; large && out && index && pass < 3; pass++) {
        double start = forage_clock();
        la_kernels_for(isa)->dots(large, pitch, index, rows, a, out);
        bandwidth = fmax(bandwidth, BYTES / (forage_clock() - start));
    }
    forage_free(large);
    forage_free(out);
    forage_free(index);
    printf("one core: %.1f GFLOP/s in float32 products, %.1f GB/s read from memory\n\n", peak / 1e9, bandwidth / 1e9);
}

/* ---- a bandit ---- */

typedef struct bandit {
    forage_learner_shape shape;
    forage_learner *learner;
    forage_policy *policy;
    float *requests, *features, *truth, *mean, *deviation;
    uint32_t *arms;
    bool thompson;
    forage_candidates question; /* whose values are drawn */
} bandit;

static void draw(void *context, forage_rng *rng, float *values)
{
    bandit *one = context;
    forage_learner_draw(one->learner, &one->question, rng, values);
}

static void release(bandit *one)
{
    forage_learner_free(one->learner);
    forage_policy_free(one->policy);
    forage_free(one->requests);
    forage_free(one->features);
    forage_free(one->truth);
    forage_free(one->mean);
    forage_free(one->deviation);
    forage_free(one->arms);
}

static float *random_floats(forage_rng *rng, size_t count)
{
    float *made = forage_alloc(count + 1, sizeof *made);
    for (size_t i = 0; made && i < count; i++)
        made[i] = (float)(forage_rng_double(rng) - 0.5);
    return made;
}

static bool prepare(bandit *one, const char *form, const char *policy, size_t arms, size_t request, size_t candidate,
                    int threads, forage_error *error)
{
    const forage_model_info *model;
    const forage_policy_info *chooser;
    forage_params *params = NULL;
    forage_device device;
    forage_rng rng;
    *one = (bandit){.shape = {request, candidate, strcmp(form, "shared") == 0 ? 1 : arms, 0, arms},
                    .thompson = strcmp(policy, "thompson") == 0};
    forage_rng_seed(&rng, 7);
    one->requests = random_floats(&rng, REQUESTS * request);
    one->features = random_floats(&rng, arms * candidate);
    one->truth = random_floats(&rng, arms * (request + candidate));
    one->mean = forage_calloc(arms, sizeof *one->mean);
    one->deviation = forage_calloc(arms, sizeof *one->deviation);
    one->arms = forage_calloc(arms, sizeof *one->arms);
    if (!one->requests || !one->features || !one->truth || !one->mean || !one->deviation || !one->arms)
        return false;
    for (size_t i = 0; i < arms; i++)
        one->arms[i] = one->shape.arms == 1 ? 0 : (uint32_t)i;
    bool good = forage_device_open(device_name, threads, &device, error) == FORAGE_OK &&
                forage_model_find("linear-ridge", &model, error) == FORAGE_OK &&
                forage_policy_find(policy, &chooser, error) == FORAGE_OK &&
                forage_params_create(&model->table, &params, error) == FORAGE_OK &&
                forage_params_set(params, "form", form, error) == FORAGE_OK &&
                forage_learner_create(model, params, &one->shape, &device, 1, &one->learner, error) == FORAGE_OK &&
                forage_policy_create(chooser, NULL, arms, 1, &one->policy, error) == FORAGE_OK;
    forage_params_free(params);
    return good;
}

/* One decision and its lesson; the candidate chosen. */
static uint32_t step(bandit *one, size_t number, forage_rng *rng, forage_error *error)
{
    size_t width = one->shape.request_width, more = one->shape.candidate_width;
    const float *request = one->requests + number % REQUESTS * width;
    const forage_candidates question = {one->shape.candidates, FORAGE_NONE, request, more ? one->features : NULL,
                                        one->arms};
    forage_estimates estimates = {.count = question.count, .mean = one->mean, .deviation = one->deviation};
    uint32_t chosen = 0;
    double propensity = 0, reward = 0.3 * (forage_rng_double(rng) - 0.5);
    if (one->thompson) {
        one->question = question;
        estimates.draw = draw;
        estimates.context = one;
        if (forage_learner_draws_normals(one->learner))
            estimates.draw = NULL;
    }
    if (!estimates.draw)
        forage_learner_estimate(one->learner, &question, one->mean, one->deviation);
    if (forage_policy_choose(one->policy, &estimates, 1, number, rng, &chosen, &propensity, NULL, error) != FORAGE_OK)
        return FORAGE_NONE;
    const float *truth = one->truth + chosen * (width + more), *features = one->features + chosen * more;
    for (size_t i = 0; i < width; i++)
        reward += (double)(truth[i] * request[i]);
    for (size_t i = 0; i < more; i++)
        reward += (double)(one->truth[i] * features[i]);
    const forage_lesson lesson = {.user = FORAGE_NONE,
                                  .arm = one->arms[chosen],
                                  .request = request,
                                  .features = features,
                                  .reward = (float)reward,
                                  .weight = 1,
                                  .propensity = (float)propensity};
    return forage_learner_learn(one->learner, &lesson, 1, error) == FORAGE_OK ? chosen : FORAGE_NONE;
}

/* Events per second; *hash of the choices of the first `hashed` and of the estimates then. */
static double run(bandit *one, size_t hashed, uint64_t *hash, forage_error *error)
{
    forage_rng rng;
    XXH64_state_t *state = XXH64_createState();
    double best = 0;
    size_t number = 0;
    forage_rng_seed(&rng, 3);
    XXH64_reset(state, 0);
    for (; number < hashed; number++) {
        uint32_t chosen = step(one, number, &rng, error);
        if (chosen == FORAGE_NONE)
            break;
        XXH64_update(state, &chosen, sizeof chosen);
    }
    const forage_candidates question = {one->shape.candidates, FORAGE_NONE, one->requests, one->features, one->arms};
    forage_learner_estimate(one->learner, &question, one->mean, one->deviation);
    XXH64_update(state, one->mean, one->shape.candidates * sizeof *one->mean);
    XXH64_update(state, one->deviation, one->shape.candidates * sizeof *one->deviation);
    *hash = XXH64_digest(state);
    XXH64_freeState(state);
    /* The best of many short parts: other work on the machine slows some of them. */
    for (int part = 0; part < PARTS; part++) {
        size_t done = 0;
        double start = forage_clock(), now;
        do {
            for (size_t i = 0; i < (one->shape.candidates < LARGE ? 16 : 1); i++, done++)
                (void)step(one, number++, &rng, error);
            now = forage_clock();
        } while (now - start < seconds / PARTS);
        best = fmax(best, (double)done / (now - start));
    }
    return best;
}

static bool measure(const char *form, const char *policy, size_t arms, size_t request, size_t candidate)
{
    bandit one;
    forage_error error = {0};
    uint64_t hash = 0;
    bool good = prepare(&one, form, policy, arms, request, candidate, 1, &error);
    if (good) {
        double rate = run(&one, HASHED, &hash, &error);
        double packed = (double)la_packed(request), flops = 2 * (double)arms * packed * rate;
        printf("%-9s %-9s %5zu arms %3zu + %2zu  %9.0f/s  %5.2f us", form, policy, arms, request, candidate, rate,
               1e6 / rate);
        if (!candidate)
            printf("  %4.0f %% of peak, %4.0f %% of bandwidth", 100 * flops / peak,
                   100 * 4 * (double)arms * packed * rate / bandwidth);
        printf("  %7.1f MB  %016llx\n", (double)forage_learner_memory(one.learner) / 1e6, (unsigned long long)hash);
    }
    good = good && !error.status;
    if (!good)
        fprintf(stderr, "%s\n", error.message);
    release(&one);
    return good;
}

/* A hundred thousand candidates and one weight vector. */
static bool measure_large(const char *policy, int threads)
{
    bandit one;
    forage_error error = {0};
    uint64_t hash = 0;
    bool good = prepare(&one, "shared", policy, LARGE, 0, LARGE_WIDTH, threads, &error);
    if (good) {
        double rate = run(&one, 100, &hash, &error), estimate = INFINITY;
        const forage_candidates question = {LARGE, FORAGE_NONE, one.requests, one.features, one.arms};
        for (int i = 0; i < 40; i++) {
            double start = forage_clock();
            forage_learner_estimate(one.learner, &question, one.mean, one.deviation);
            estimate = fmin(estimate, forage_clock() - start);
        }
        double flops = (double)LARGE * LARGE_WIDTH * (LARGE_WIDTH + 1), bytes = 4.0 * LARGE * LARGE_WIDTH;
        printf(
            "shared %-9s %d candidates, %d features, %d thread%s: %6.2f ms a decision and its lesson; estimates alone "
            "%.2f ms, %.0f %% of peak, %.0f %% of bandwidth  %016llx\n",
            policy, LARGE, LARGE_WIDTH, threads, threads == 1 ? "" : "s", 1e3 / rate, 1e3 * estimate,
            100 * flops / estimate / peak / threads, 100 * bytes / estimate / bandwidth, (unsigned long long)hash);
    }
    good = good && !error.status;
    if (!good)
        fprintf(stderr, "%s\n", error.message);
    release(&one);
    return good;
}

int main(int argc, char **argv)
{
    static const size_t grid_arms[] = {10, 50, 200, 1000}, grid_widths[] = {5, 10, 20, 40};
    forage_device device;
    bool good = true;
    if (argc > 1)
        seconds = strtod(argv[1], NULL);
    if (argc > 2)
        device_name = argv[2];
    if (forage_device_open(device_name, 1, &device, NULL) != FORAGE_OK)
        return 1;
    printf("%s\n", device.name);
    measure_machine(device.isa);
    for (size_t a = 0; a < 4; a++) {
        for (size_t w = 0; w < 4; w++)
            good = measure("disjoint", "ucb", grid_arms[a], grid_widths[w], 0) && good;
    }
    good = measure("disjoint", "thompson", 50, 20, 0) && good;
    good = measure("hybrid", "ucb", 50, 20, 10) && good;
    good = measure("hybrid", "thompson", 50, 20, 10) && good;
    good = measure("shared", "ucb", 50, 20, 20) && good;
    printf("\n");
    for (int threads = 1; threads <= 2; threads++)
        good = measure_large("ucb", threads) && measure_large("thompson", threads) && good;
    return good ? 0 : 1;
}
