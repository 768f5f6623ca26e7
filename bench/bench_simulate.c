/*
 * Generation alone, in exact mode, on one core: visits per second for shops of several
 * sizes, beside the generator's own speed, which no simulator that draws the
 * notebook's numbers can pass. The sum at the end of a line proves what was made.
 */
#include "forage/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { BLOCK = 1 << 14, REPEATS = 5 };

static uint32_t user[BLOCK], item[BLOCK];
static uint8_t click[BLOCK];

/* Draws per second, the best of a few runs. */
static double generator_speed(double seconds)
{
    static uint64_t draws[2 * BLOCK];
    double best = 0;
    forage_rng rng;
    forage_rng_seed(&rng, 42);
    for (int run = 0; run < REPEATS; run++) {
        double start = forage_clock(), elapsed;
        uint64_t count = 0;
        do {
            forage_rng_fill(&rng, draws, 2 * BLOCK);
            count += 2 * BLOCK;
            elapsed = forage_clock() - start;
        } while (elapsed < seconds);
        best = (double)count / elapsed > best ? (double)count / elapsed : best;
    }
    return best;
}

static int measure(uint64_t products, uint64_t users, double limit)
{
    const uint64_t visits = (uint64_t)400 * BLOCK;
    forage_scenario scenario;
    forage_simulator *simulator;
    forage_error error = {0};
    uint64_t sum = 0;
    double best = 0;

    if (forage_scenario_load("petshop", &scenario, &error) != FORAGE_OK)
        return 1;
    scenario.products = products;
    scenario.users = users;
    double start = forage_clock();
    forage_status status = forage_simulator_create(&scenario, NULL, &simulator, &error);
    double opened = forage_clock() - start;
    forage_scenario_release(&scenario);
    if (status != FORAGE_OK)
        return 1;
    for (int run = 0; run < REPEATS; run++) {
        start = forage_clock();
        for (uint64_t done = 0; done < visits; done += BLOCK) {
            forage_simulator_visits(simulator, BLOCK, user, item, click);
            sum = sum * 31 + user[7] + item[8] + click[9];
        }
        double speed = (double)visits / (forage_clock() - start);
        best = speed > best ? speed : best;
    }
    printf("visits, %8llu products x %8llu users   %7.1f M/s  %3.0f %% of the generator  (opened in %.3f s)  sum "
           "%016llx\n",
           (unsigned long long)products, (unsigned long long)users, best / 1e6, 100 * best / limit, opened,
           (unsigned long long)sum);
    start = forage_clock();
    status = forage_simulator_write_log(simulator, visits, "/dev/null", NULL, NULL, &error);
    printf("the same as a CSV log to /dev/null      %7.1f M/s\n", (double)visits / (forage_clock() - start) / 1e6);
    forage_simulator_free(simulator);
    return status != FORAGE_OK;
}

int main(void)
{
    double draws = generator_speed(0.1);
    /* A visit takes two 64-bit draws: halves of one for user and item, one for the click. */
    printf("generator alone                         %7.1f M draws/s, so at most %.1f M visits/s\n", draws / 1e6,
           draws / 2e6);
    return measure(50, 1000, draws / 2) || measure(5000, 100000, draws / 2) || measure(1000000, 1000000, draws / 2);
}
