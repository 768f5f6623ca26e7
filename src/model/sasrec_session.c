/*
 * sasrec_session.c: a history that grows. As long as it is not longer than the window, an item more leaves the places
 * of those before it as they are, and with them all that was worked out (nn_cache). Then the window moves on, and all
 * places with it: each item costs a whole window.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/sasrec.h"

#include <string.h>

struct model_session {
    const model_state *state;
    nn_cache *cache;
    uint32_t *items; /* [length] the newest */
    size_t count;    /* of them */
    float *x;        /* [pitch] */
    float *vector;   /* [pitch] */
    void *scratch;   /* for a whole window */
};

static void clear_session(model_session *session)
{
    session->count = 0;
    nn_cache_clear(session->cache);
    memcpy(session->vector, session->state->average, session->state->pitch * sizeof *session->vector);
}

static void free_session(model_session *session)
{
    if (!session)
        return;
    nn_cache_free(session->cache);
    forage_free(session->items);
    forage_free(session->x);
    forage_free(session->vector);
    forage_free(session->scratch);
    forage_free(session);
}

static forage_status create_session(const model_state *state, model_session **session, forage_error *error)
{
    model_session *made = forage_calloc(1, sizeof *made);
    *session = NULL;
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a session");
    made->state = state;
    made->items = forage_alloc(state->length, sizeof *made->items);
    made->x = forage_alloc(state->pitch, sizeof *made->x);
    made->vector = forage_alloc(state->pitch, sizeof *made->vector);
    made->scratch = forage_alloc(1, sasrec_encode_size(state, 1));
    forage_status status = FORAGE_OK;
    if (!made->items || !made->x || !made->vector || !made->scratch)
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for a session");
    if (status == FORAGE_OK)
        status = nn_cache_create(state->encoder, &made->cache, error);
    if (status != FORAGE_OK) {
        free_session(made);
        return status;
    }
    clear_session(made);
    *session = made;
    return FORAGE_OK;
}

static void append(model_session *session, uint32_t item)
{
    const model_state *state = session->state;
    if (session->count < state->length) {
        session->items[session->count] = item;
        sasrec_embed(state, &item, session->count++, 1, session->x);
        nn_cache_append(state->encoder, session->cache, session->x, session->vector);
        return;
    }
    memmove(session->items, session->items + 1, (session->count - 1) * sizeof *session->items);
    session->items[session->count - 1] = item;
    const sasrec_history history = {session->items, NULL, session->count};
    sasrec_encode(state, &history, 1, 1, session->scratch, session->vector);
}

const float *sasrec_session_vector(const model_session *session)
{
    return session->vector;
}

const model_session_type sasrec_session = {create_session, free_session, clear_session, append};
