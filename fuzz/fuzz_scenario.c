/*
 * Any text as a scenario: refused with a message, or a scenario that passes its own checks; and a shop of it, where
 * that is small, which can be played and knows what is best.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/sim.h"
#include "fuzz.h"

enum { MOST = 1000, VISITS = 40 };

static void play(const forage_environment *environment)
{
    forage_play *play;
    forage_visit visit;
    uint32_t items[FORAGE_MAX_POSITIONS];
    bool more;
    if (forage_play_create(environment, 1, &play, NULL) != FORAGE_OK)
        return;
    while (forage_play_next(play, &visit, &more, NULL) == FORAGE_OK && more) {
        const forage_feedback *feedback;
        size_t count, positions = visit.request.positions;
        for (size_t k = 0; k < positions; k++)
            items[k] = (uint32_t)((visit.request.id + k) % visit.request.candidate_count);
        fuzz_check(visit.request.user < forage_environment_catalogue(environment)->users, "a visitor is a user");
        fuzz_check(forage_play_value(play, items, positions) <= forage_play_best(play) + 1e-9,
                   "nothing is better than the best");
        fuzz_check(forage_play_answer(play, items, positions, &feedback, &count, NULL, NULL, NULL) == FORAGE_OK,
                   "what is for sale can be shown");
    }
    forage_play_free(play);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    forage_error error = {0};
    forage_scenario scenario;
    forage_environment *environment;
    if (forage_scenario_parse((const char *)bytes, size, "scenario.yaml", &scenario, &error) != FORAGE_OK) {
        fuzz_check(error.message[0] != '\0', "a failure has a message");
        return 0;
    }
    fuzz_check(forage_scenario_validate(&scenario, NULL) == FORAGE_OK, "a scenario that was read is valid");
    if (scenario.products > MOST || scenario.users > MOST || scenario.dynamics.delay > MOST ||
        scenario.dynamics.arrivals.active > MOST) {
        forage_scenario_release(&scenario);
        return 0;
    }
    scenario.interactions = VISITS;
    if (forage_environment_create(&scenario, NULL, &environment, &error) != FORAGE_OK) {
        fuzz_check(error.message[0] != '\0', "a failure has a message");
        return 0;
    }
    play(environment);
    forage_environment_free(environment);
    return 0;
}
