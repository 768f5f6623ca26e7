/*
 * online.h: learners for tests, from names and texts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_ONLINE_H
#define TESTS_ONLINE_H

#include "../must.h"
#include "forage/forage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

/* `settings`: name, value, name, value ... NULL; may be NULL itself. */
static inline forage_learner *online_make(const char *model, const char *const *settings,
                                          const forage_learner_shape *shape, uint64_t seed)
{
    const forage_model_info *info;
    forage_params *params;
    forage_device device;
    forage_learner *learner;
    forage_error error = {0};
    must(forage_device_open("cpu", 1, &device, &error), &error);
    must(forage_model_find(model, &info, &error), &error);
    must(forage_params_create(&info->table, &params, &error), &error);
    for (; settings && *settings; settings += 2)
        must(forage_params_set(params, settings[0], settings[1], &error), &error);
    must(forage_learner_create(info, params, shape, &device, seed, &learner, &error), &error);
    forage_params_free(params);
    return learner;
}

/* The same with the settings of a JSON object: numbers and texts. */
static inline forage_learner *online_golden(const json_t *golden, const forage_learner_shape *shape, uint64_t seed)
{
    const char *settings[32], *name;
    char texts[15][32];
    size_t used = 0;
    json_t *value;
    json_object_foreach(json_object_get(golden, "params"), name, value)
    {
        settings[2 * used] = name;
        if (!json_is_string(value))
            forage_format_real(json_number_value(value), texts[used]);
        settings[2 * used + 1] = json_is_string(value) ? json_string_value(value) : texts[used];
        used++;
    }
    settings[2 * used] = NULL;
    return online_make(json_string_value(json_object_get(golden, "model")), settings, shape, seed);
}

static inline double golden_at(const json_t *array, size_t index)
{
    return json_number_value(json_array_get(array, index));
}

static inline void online_teach(forage_learner *learner, const forage_lesson *lesson)
{
    forage_error error = {0};
    must(forage_learner_learn(learner, lesson, 1, &error), &error);
}

#endif
