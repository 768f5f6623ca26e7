/*
 * Generation alone, in exact mode, on one core: visits per second for shops of several
 * sizes, beside the generator's own speed, which no simulator that draws the
 * notebook's numbers can pass; then plays of the built-in scenarios, visit by visit. The sum at the end of a line
 * proves what was made.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* A play by a reference (NULL: the first products of all), visit by visit. */
static int measure_play(const char *name, const char *reference_name, uint64_t visits)
{
    const forage_environment_options options = {.visits = visits};
    forage_environment *environment = NULL;
    forage_play *play = NULL;
    forage_reference *reference = NULL;
    uint32_t items[FORAGE_MAX_POSITIONS];
    uint64_t sum = 0;
    double earned, total = 0;
    forage_visit visit;
    bool more = true;
    double start = forage_clock();
    forage_status status = forage_environment_open(name, &options, &environment, NULL);
    double opened = forage_clock() - start;
    if (status == FORAGE_OK)
        status = forage_play_create(environment, 1, &play, NULL);
    if (status == FORAGE_OK && reference_name)
        status = forage_reference_create(reference_name, play, &reference, NULL);
    for (uint32_t k = 0; k < FORAGE_MAX_POSITIONS; k++)
        items[k] = k;
    start = forage_clock();
    while (status == FORAGE_OK && forage_play_next(play, &visit, &more, NULL) == FORAGE_OK && more) {
        const forage_feedback *feedback;
        size_t count;
        if (reference)
            forage_reference_choose(reference, &visit, items);
        status = forage_play_answer(play, items, visit.request.positions, &feedback, &count, NULL, &earned, NULL);
        if (reference)
            forage_reference_observe(reference, feedback, count);
        total += earned;
        sum = sum * 31 + visit.request.user + items[0] + count;
    }
    double elapsed = forage_clock() - start;
    printf("play, %-14s %-8s %9.1f ns per visit  (opened in %.3f s)  %.0f clicks  sum %016llx\n", name,
           reference_name ? reference_name : "fixed", 1e9 * elapsed / (double)visits, opened, total,
           (unsigned long long)sum);
    forage_reference_free(reference);
    forage_play_free(play);
    forage_environment_free(environment);
    return status != FORAGE_OK;
}

static int measure_plays(void)
{
    const char *name;
    for (size_t i = 0; (name = forage_scenario_builtin_name(i)); i++) {
        uint64_t visits = strcmp(name, "large") == 0 ? 50000 : 1000000;
        if (measure_play(name, NULL, visits) || measure_play(name, "oracle", visits) ||
            measure_play(name, "bayes", visits))
            return 1;
    }
    return 0;
}

int main(void)
{
    double draws = generator_speed(0.1);
    /* A visit takes two 64-bit draws: halves of one for user and item, one for the click. */
    printf("generator alone                         %7.1f M draws/s, so at most %.1f M visits/s\n", draws / 1e6,
           draws / 2e6);
    return measure(50, 1000, draws / 2) || measure(5000, 100000, draws / 2) || measure(1000000, 1000000, draws / 2) ||
           measure_plays();
}
