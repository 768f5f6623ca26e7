/*
 * Any bytes as what a learner knows: refused with a message, or a learner that learns on, and whose estimates are
 * numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/model.h"
#include "fuzz.h"

#include <math.h>
#include <string.h>

enum { WIDTH_LIMIT = 64, CANDIDATES = 3 };

static void use(forage_learner *learner)
{
    const forage_learner_shape *shape = forage_learner_shape_of(learner);
    float request[WIDTH_LIMIT], features[CANDIDATES * WIDTH_LIMIT], mean[CANDIDATES], deviation[CANDIDATES];
    const uint32_t arms[CANDIDATES] = {0, 1, FORAGE_NONE};
    if (shape->request_width > WIDTH_LIMIT || shape->candidate_width > WIDTH_LIMIT || shape->candidates < CANDIDATES)
        return;
    for (size_t i = 0; i < WIDTH_LIMIT; i++)
        request[i] = (float)i - 3;
    for (size_t i = 0; i < (size_t)CANDIDATES * WIDTH_LIMIT; i++)
        features[i] = (float)(i % 7) - 2;
    const forage_candidates question = {CANDIDATES, 0, request, features, arms};
    const forage_lesson lesson = {FORAGE_NONE, 0, request, features, 1, 1, NAN};
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    for (int round = 0; round < 3; round++) {
        forage_learner_estimate(learner, &question, mean, deviation);
        for (size_t c = 0; c < CANDIDATES; c++)
            fuzz_check(isfinite(mean[c]) && isfinite(deviation[c]) && deviation[c] >= 0, "an estimate is a number");
        forage_learner_draw(learner, &question, &rng, mean);
        for (size_t c = 0; c < CANDIDATES; c++)
            fuzz_check(isfinite(mean[c]), "a draw is a number");
        (void)forage_learner_learn(learner, &lesson, 1, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    forage_error error = {0};
    forage_device device;
    forage_learner *learner;
    const char *path = fuzz_file(bytes, size);
    if (forage_device_open("auto", 1, &device, &error) != FORAGE_OK)
        return 0;
    if (forage_learner_load(path, &device, &learner, &error) != FORAGE_OK) {
        fuzz_check(error.message[0] != '\0', "a failure has a message");
        return 0;
    }
    use(learner);
    forage_learner_free(learner);
    return 0;
}
