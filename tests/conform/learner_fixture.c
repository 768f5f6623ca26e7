#include "learner_fixture.h"
#include "fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

const forage_learner_shape small_shape = {REQUEST_WIDTH, CANDIDATE_WIDTH, ARMS, USERS, CANDIDATES};

const forage_model_info *next_learner(size_t *index)
{
    size_t count;
    const forage_model_info *const *all = forage_models(&count);
    while (*index < count) {
        const forage_model_info *info = all[(*index)++];
        if (info->capabilities & FORAGE_CAN_LEARN)
            return info;
    }
    return NULL;
}

forage_learner *new_learner(const forage_model_info *info, const forage_params *params,
                            const forage_learner_shape *shape, uint64_t seed)
{
    forage_error error = {0};
    forage_device device;
    forage_learner *learner;
    must(forage_device_open("auto", 1, &device, &error), &error);
    must(forage_learner_create(info, params, shape, &device, seed, &learner, &error), &error);
    return learner;
}

static void fill(forage_rng *rng, float *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        numbers[i] = (float)forage_rng_normal(rng);
}

void course_make(course *made, uint64_t seed)
{
    forage_rng rng;
    forage_rng_seed(&rng, seed);
    for (size_t i = 0; i < LESSONS; i++) {
        fill(&rng, made->request[i], REQUEST_WIDTH);
        fill(&rng, made->features[i], CANDIDATE_WIDTH);
        made->request[i][0] = 1;
        uint32_t arm = (uint32_t)forage_rng_integers(&rng, ARMS), user = (uint32_t)forage_rng_integers(&rng, USERS + 1);
        double better = 0.2 + 0.1 * arm + 0.1 * (double)(made->request[i][1] + made->features[i][0]);
        made->lessons[i] = (forage_lesson){
            .user = user == USERS ? FORAGE_NONE : user,
            .arm = arm,
            .request = made->request[i],
            .features = made->features[i],
            .reward = forage_rng_double(&rng) < better ? 1 : 0,
            .weight = i % 7 == 3 ? 2.5F : 1,
            .propensity = i % 2 ? NAN : 0.25F,
        };
    }
}

void question_make(question *made, uint64_t seed)
{
    forage_rng rng;
    forage_rng_seed(&rng, seed);
    fill(&rng, made->request, REQUEST_WIDTH);
    fill(&rng, made->features, (size_t)CANDIDATES * CANDIDATE_WIDTH);
    made->request[0] = 1;
    for (uint32_t c = 0; c < CANDIDATES; c++)
        made->arms[c] = c < ARMS ? c : 0;
    made->arms[CANDIDATES - 2] = FORAGE_NONE;
    made->candidates = (forage_candidates){.count = CANDIDATES,
                                           .user = seed % 2 ? (uint32_t)(seed % USERS) : FORAGE_NONE,
                                           .request = made->request,
                                           .features = made->features,
                                           .arms = made->arms};
}

void answer(forage_learner *learner, answers *given)
{
    memset(given, 0, sizeof *given);
    for (size_t q = 0; q < QUESTIONS; q++) {
        question asked;
        question_make(&asked, 100 + q);
        forage_learner_estimate(learner, &asked.candidates, given->mean[q], given->deviation[q]);
        for (size_t c = 0; c < CANDIDATES; c++) {
            assert_true(isfinite(given->mean[q][c]));
            assert_true(isfinite(given->deviation[q][c]) && given->deviation[q][c] >= 0);
        }
    }
}
