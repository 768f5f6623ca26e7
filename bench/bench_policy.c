/*
 * bench_policy: how long a choice takes, by every policy, among few and among many candidates.
 *
 *   bench_policy [SECONDS]     at least so long each (default 0.2)
 *
 * Prints microseconds per choice: without propensity, with that of the chosen one, and with everyone's. The hash is
 * that of the choices of a fixed number of steps: the same in every run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/forage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FEW = 50, MANY = 100000, HASHED = 20 };

static float mean[MANY], deviation[MANY];
static double rows[MANY];

static double time_of(forage_policy *policy, size_t count, int wanted, double seconds, uint64_t *hash)
{
    const forage_estimates estimates = {.count = count, .mean = mean, .deviation = deviation};
    forage_error error = {0};
    forage_rng rng;
    uint64_t step = 0;
    forage_rng_seed(&rng, 42);
    double start = forage_clock(), spent = 0;
    while (step < HASHED || spent < seconds) {
        uint32_t chosen;
        double propensity;
        if (forage_policy_choose(policy, &estimates, 1, step, &rng, &chosen, wanted ? &propensity : NULL,
                                 wanted > 1 ? rows : NULL, &error) != FORAGE_OK) {
            fprintf(stderr, "bench_policy: %s\n", error.message);
            exit(1);
        }
        if (step < HASHED)
            *hash = XXH3_64bits_withSeed(&chosen, sizeof chosen, *hash);
        if (++step % 16 == 0 || count == MANY)
            spent = forage_clock() - start;
    }
    return spent / (double)step * 1e6;
}

int main(int argc, char **argv)
{
    double seconds = 0.2;
    size_t count;
    forage_rng rng;
    if (argc > 1 && (!forage_parse_real(argv[1], strlen(argv[1]), &seconds) || !(seconds >= 0 && seconds < 1000)))
        return 2;
    forage_rng_seed(&rng, 1);
    for (size_t i = 0; i < MANY; i++) {
        mean[i] = (float)forage_rng_double(&rng) * 0.2F;
        deviation[i] = (float)forage_rng_double(&rng) * 0.05F + 0.001F;
    }
    const forage_policy_info *const *policies = forage_policies(&count);
    printf("%-16s %10s  %28s\n", "", "candidates", "us/choice: alone, its P, all P");
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < 2; k++) {
            size_t candidates = k ? MANY : FEW;
            forage_policy *policy;
            double spent[3];
            uint64_t hash = 0;
            if (forage_policy_create(policies[i], NULL, candidates, 1, &policy, NULL) != FORAGE_OK)
                return 1;
            for (int wanted = 0; wanted < 3; wanted++)
                spent[wanted] = time_of(policy, candidates, wanted, seconds, &hash);
            printf("%-16s %10zu  %9.2f %9.2f %9.2f   hash %016llx\n", policies[i]->name, candidates, spent[0], spent[1],
                   spent[2], (unsigned long long)hash);
            forage_policy_free(policy);
        }
    }
    return 0;
}
