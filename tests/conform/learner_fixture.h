/*
 * learner_fixture.h: small learners and lessons, for the suite that every model that learns event by event must
 * pass.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFORM_LEARNER_FIXTURE_H
#define CONFORM_LEARNER_FIXTURE_H

#include "forage/forage.h"

enum { REQUEST_WIDTH = 4, CANDIDATE_WIDTH = 3, ARMS = 6, USERS = 5, CANDIDATES = 9, LESSONS = 200 };

extern const forage_learner_shape small_shape;

/* A model with settings under which it works in another way. */
typedef struct learner_case {
    const forage_model_info *info;
    const char *settings[4][2]; /* names and values; NULL behind the last */
    bool fades;                 /* old lessons count less: parts do not add up to the whole */
} learner_case;

/* The next case, from *index on: every model that learns event by event by default, then some with other settings; NULL
 * behind the last. Valid until the next call. */
const learner_case *next_case(size_t *index);
/* The case in words, for messages. */
const char *case_name(const learner_case *one);
forage_params *case_params(const learner_case *one);
forage_learner *new_learner(const learner_case *one, const forage_learner_shape *shape, uint64_t seed);

/* Requests and lessons, the same for the same seed: numbers around 0, a bias in front, rewards 0 and 1. */
typedef struct course {
    float request[LESSONS][REQUEST_WIDTH], features[LESSONS][CANDIDATE_WIDTH];
    forage_lesson lessons[LESSONS];
} course;

void course_make(course *made, uint64_t seed);

/* A request with CANDIDATES candidates; the last two arms are unknown and one that occurs twice. */
typedef struct question {
    float request[REQUEST_WIDTH], features[CANDIDATES * CANDIDATE_WIDTH];
    uint32_t arms[CANDIDATES];
    forage_candidates candidates;
} question;

void question_make(question *made, uint64_t seed);

/* Estimates for a few questions: what can be seen of a learner. */
enum { QUESTIONS = 5 };
typedef struct answers {
    float mean[QUESTIONS][CANDIDATES], deviation[QUESTIONS][CANDIDATES];
} answers;

void answer(forage_learner *learner, answers *given);

#endif
