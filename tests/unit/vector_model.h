/*
 * vector_model.h: a model of vectors, as its own file would have it, for tests of retrieval. The score is the inner
 * product; a history is the sum of its items, the average user a vector of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VECTOR_MODEL_H
#define VECTOR_MODEL_H

#include "la/la.h"
#include "model/catalogue.h"

#include <math.h>
#include <string.h>

enum { WIDTH_MOST = 80 };

/* A model of vectors, as its own file would have it. */
struct model_state {
    size_t users, items, width, pitch;
    float *user, *item;        /* [users, pitch], [items, pitch] */
    float average[WIDTH_MOST]; /* of the users */
    forage_isa isa;
};

static model_dot dot_of(const model_state *state)
{
    return (model_dot){state->item, state->width, state->pitch, state->isa};
}

static size_t scratch_size(const model_state *state, size_t count)
{
    return model_dot_scratch_size(state->width, count);
}

static void prepare(const model_state *state, const model_subject *subjects, size_t count, void *scratch)
{
    static _Thread_local float history[MODEL_SUBJECTS][WIDTH_MOST];
    const float *vectors[MODEL_SUBJECTS];
    const model_dot dot = dot_of(state);
    for (size_t s = 0; s < count; s++) {
        const model_subject *subject = &subjects[s];
        vectors[s] = subject->user == FORAGE_NONE ? state->average : state->user + subject->user * state->pitch;
        if (!subject->count)
            continue;
        memset(history[s], 0, sizeof history[s]);
        for (size_t i = 0; i < subject->count; i++) {
            for (size_t j = 0; j < state->width; j++)
                history[s][j] +=
                    (subject->weights ? subject->weights[i] : 1) * state->item[subject->items[i] * state->pitch + j];
        }
        vectors[s] = history[s];
    }
    model_dot_prepare(&dot, vectors, count, scratch);
}

static void score_tile(const model_state *state, void *scratch, size_t count, size_t first, size_t items, float *out)
{
    const model_dot dot = dot_of(state);
    assert_true(items > 0 && items <= MODEL_BLOCK && first + items <= state->items);
    assert_int_equal((uintptr_t)out % 64, 0);
    model_dot_score(&dot, scratch, count, first, items, out);
    for (size_t i = 0; count > 1 && count < MODEL_SUBJECTS && i < items; i++)
        out[i * MODEL_SUBJECTS + count] = NAN; /* undefined means anything */
}

static const model_catalogue hooks = {scratch_size, prepare, score_tile};

static void *array(size_t count, size_t size)
{
    void *made = forage_calloc(count + 1, size);
    assert_non_null(made);
    return made;
}

/* Small integers: sums are exact in any order, and there are many ties. */
static void model_create(model_state *state, forage_rng *rng, size_t users, size_t items, size_t width)
{
    *state = (model_state){.users = users, .items = items, .width = width, .pitch = la_padded(width)};
    forage_device device;
    assert_int_equal(forage_device_open("auto", 1, &device, NULL), FORAGE_OK);
    state->isa = device.isa;
    state->user = array(users * state->pitch, sizeof(float));
    state->item = array(items * state->pitch, sizeof(float));
    for (size_t i = 0; i < users; i++) {
        for (size_t j = 0; j < width; j++)
            state->user[i * state->pitch + j] = (float)forage_rng_integers(rng, 5) - 2;
    }
    for (size_t i = 0; i < items; i++) {
        for (size_t j = 0; j < width; j++)
            state->item[i * state->pitch + j] = (float)forage_rng_integers(rng, 3) - 1;
    }
    for (size_t j = 0; j < width; j++)
        state->average[j] = (float)(j % 3) - 1;
}

static void model_release(model_state *state)
{
    forage_free(state->user);
    forage_free(state->item);
}

#endif
