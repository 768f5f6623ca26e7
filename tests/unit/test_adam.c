/*
 * test_adam.c: steps of Adam without a gradient, done one after the other, against as many whole ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "forage/forage.h"
#include "nn/kernels.h"

enum { COUNT = 5 * NN_LANES, MOST = 300 };

static const char *const devices[] = {"cpu:portable", "cpu:avx2", "cpu"};

static const nn_kernels *kernels_of(size_t which)
{
    forage_device device;
    if (forage_device_open(devices[which], 1, &device, NULL) != FORAGE_OK)
        return NULL;
    return nn_kernels_for(device.isa);
}

/* Weights, first and second moments: of usual sizes, or (`odd`) with zeros of both signs and numbers of all sizes. */
static void fill(forage_rng *rng, bool odd, float *w, float *m, float *v)
{
    for (size_t i = 0; i < COUNT; i++) {
        w[i] = (float)(0.02 * forage_rng_normal(rng));
        m[i] = (float)(1e-4 * forage_rng_normal(rng));
        v[i] = (float)(1e-8 * forage_rng_double(rng));
        if (odd && i >= COUNT / 2) {
            w[i] = i % 3 ? w[i] : 0.0F;
            m[i] = i % 5 ? ldexpf(m[i], (int)forage_rng_integers(rng, 160) - 130) : -0.0F;
            v[i] = i % 7 ? ldexpf(v[i], (int)forage_rng_integers(rng, 260) - 120) : 0.0F;
        }
    }
}

static void idle_steps_are_those_of_a_gradient_of_zero(void **state)
{
    (void)state;
    static const nn_adam_step kinds[] = {
        {.beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F, .shrink = 1},
        {.beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F, .shrink = 0.9999F},
        {.beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F, .shrink = 1, .l2 = 0.01F},
        {.beta1 = 0.3F, .beta2 = 0.5F, .epsilon = 1e-6F, .shrink = 1},
        {.beta1 = 0.0F, .beta2 = 0.99F, .epsilon = 1e-3F, .shrink = 1},
    };
    static const size_t counts[] = {0, 1, 2, 25, 128, 129, MOST};
    const float zero[COUNT] = {0};
    forage_rng rng;
    forage_rng_seed(&rng, 5);
    for (size_t round = 0; round < 5 * 7 * 2; round++) {
        float start[3][COUNT], want[3][COUNT], have[3][COUNT];
        nn_adam_step steps[MOST];
        size_t count = counts[round % 7];
        fill(&rng, round % 2, start[0], start[1], start[2]);
        memcpy(want, start, sizeof want);
        for (size_t t = 0; t < count; t++) {
            steps[t] = kinds[round / 14];
            steps[t].rate = (float)(0.01 * forage_rng_double(&rng));
            steps[t].root = (float)(1 + forage_rng_double(&rng));
            nn_kernels_for(FORAGE_ISA_PORTABLE)->adam(COUNT, &steps[t], zero, NULL, want[0], want[1], want[2]);
        }
        for (size_t d = 0; d < 3; d++) {
            const nn_kernels *kernels = kernels_of(d);
            if (!kernels)
                continue;
            memcpy(have, start, sizeof have);
            kernels->adam_idle(COUNT, count, steps, have[0], have[1], have[2]);
            if (memcmp(have, want, sizeof have) != 0)
                fail_msg("%s, round %zu: not the same bytes", devices[d], round);
        }
    }
}

/* The root of x shows in the weight, 0 - mean / root, where mean is the float below the root: another root gives
 * another quotient, for floats just below 1 lie closer than those from 1 to 2 do. */
static void check_roots(const nn_kernels *kernels, uint32_t bits)
{
    const nn_adam_step step = {.beta1 = 1, .beta2 = 1, .rate = 1, .root = 1, .shrink = 1};
    float weight[COUNT] = {0}, mean[COUNT], square[COUNT], want[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t at = bits + i;
        memcpy(&square[i], &at, sizeof at);
        mean[i] = nextafterf(sqrtf(square[i]), 0);
        want[i] = 0.0F - mean[i] / sqrtf(square[i]);
    }
    kernels->adam_idle(COUNT, 1, &step, weight, mean, square);
    if (memcmp(weight, want, sizeof want) != 0)
        fail_msg("a root of the numbers from bits %u on is not that of sqrtf", bits);
}

/* Every number from 1 to 4, of which others are the product with a power of 4; and some of all sizes. */
static void roots_are_exact(void **state)
{
    (void)state;
    const nn_kernels *kernels = kernels_of(2);
    assert_non_null(kernels);
    for (uint32_t bits = (uint32_t)127 << 23; bits < (uint32_t)129 << 23; bits += COUNT)
        check_roots(kernels, bits);
    for (uint32_t power = 0; power < 254; power++) {
        for (uint32_t part = 0; part < 16; part++)
            check_roots(kernels, (power << 23) + part * 0x7ffffU + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_steps_are_those_of_a_gradient_of_zero),
        cmocka_unit_test(roots_are_exact),
    };
    return cmocka_run_group_tests_name("adam", tests, NULL, NULL);
}
