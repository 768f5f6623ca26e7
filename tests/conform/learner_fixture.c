/*
 * learner_fixture.c: events for the conformance tests of models that learn from each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "learner_fixture.h"
#include "fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

const forage_learner_shape small_shape = {REQUEST_WIDTH, CANDIDATE_WIDTH, ARMS, USERS, CANDIDATES};

/* What defaults leave out. */
static const struct {
    const char *model;
    const char *settings[4][2];
    bool fades;
} further[] = {
    {"linear-ridge", {{"form", "disjoint"}}, false},
    {"linear-ridge", {{"form", "shared"}}, false},
    {"linear-ridge", {{"form", "disjoint"}, {"estimate-noise", "true"}, {"refresh", "3"}}, false},
    {"linear-ridge", {{"form", "shared"}, {"estimate-noise", "true"}}, false},
    {"linear-ridge", {{"form", "hybrid"}, {"estimate-noise", "true"}, {"ridge", "0.1"}}, false},
    {"linear-ridge", {{"form", "disjoint"}, {"discount", "0.99"}}, true},
    {"linear-ridge", {{"form", "hybrid"}, {"discount", "0.9"}, {"window", "70"}}, true},
    {"linear-ridge", {{"form", "shared"}, {"window", "50"}}, true},
    {"neural-linear", {{"heads", "arms"}, {"user-size", "3"}, {"refit-every", "60"}, {"refit-lag", "20"}}, false},
    {"neural-linear", {{"loss", "logistic"}, {"user-size", "3"}, {"refit-every", "30"}, {"refit-lag", "29"}}, false},
    {"neural-ucb", {{"covariance", "exact"}, {"layers", "6,4"}, {"arm-size", "2"}, {"refit-lag", "0"}}, false},
    {"neural-ucb", {{"heads", "arms"}, {"loss", "logistic"}, {"refit-every", "30"}, {"refit-lag", "20"}}, false},
};

const learner_case *next_case(size_t *index)
{
    static learner_case one;
    size_t count;
    const forage_model_info *const *all = forage_models(&count);
    while (*index < count) {
        one = (learner_case){.info = all[(*index)++]};
        if (one.info->capabilities & FORAGE_CAN_LEARN)
            return &one;
    }
    size_t next = (*index)++ - count;
    if (next >= sizeof further / sizeof further[0])
        return NULL;
    one = (learner_case){.fades = further[next].fades};
    assert_int_equal(forage_model_find(further[next].model, &one.info, NULL), FORAGE_OK);
    memcpy(one.settings, further[next].settings, sizeof one.settings);
    return &one;
}

const char *case_name(const learner_case *one)
{
    static char name[200];
    size_t used = 0;
    forage_append(name, sizeof name, &used, "%s", one->info->name);
    for (size_t i = 0; i < 4 && one->settings[i][0]; i++)
        forage_append(name, sizeof name, &used, ":%s=%s", one->settings[i][0], one->settings[i][1]);
    return name;
}

forage_params *case_params(const learner_case *one)
{
    forage_error error = {0};
    forage_params *params;
    must(forage_params_create(&one->info->table, &params, &error), &error);
    for (size_t i = 0; i < 4 && one->settings[i][0]; i++)
        must(forage_params_set(params, one->settings[i][0], one->settings[i][1], &error), &error);
    return params;
}

forage_learner *new_learner(const learner_case *one, const forage_learner_shape *shape, uint64_t seed)
{
    forage_error error = {0};
    forage_device device;
    forage_learner *learner;
    forage_params *params = case_params(one);
    must(forage_device_open("auto", 1, &device, &error), &error);
    must(forage_learner_create(one->info, params, shape, &device, seed, &learner, &error), &error);
    forage_params_free(params);
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
