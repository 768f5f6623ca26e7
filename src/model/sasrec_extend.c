/*
 * sasrec_extend.c: the next-item transformer for a world with further items. Items that are known keep their vectors;
 * those of the others are their average, which is what an unknown item counts as.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/grow.h"
#include "model/sasrec.h"

#include <stdio.h>
#include <string.h>

static forage_status check_shape(const model_state *state, const model_state *old, forage_error *error)
{
    static const char *const names[] = {"embedding-size", "max-length", "blocks",     "heads",
                                        "activation",     "norm",       "input-scale"};
    size_t before = old->encoder->spec.inner, now = state->encoder->spec.inner;
    FORAGE_TRY(model_check_shape(state->params, old->params, names, sizeof names / sizeof names[0], error));
    if (before != now) { /* the parameter may say 0 for one of them */
        char texts[2][24];
        (void)snprintf(texts[0], sizeof texts[0], "%zu", before);
        (void)snprintf(texts[1], sizeof texts[1], "%zu", now);
        return model_other_shape("inner-size", texts[0], texts[1], error);
    }
    return FORAGE_OK;
}

forage_status sasrec_extend(model_state *state, const model_state *old, const uint32_t *user_map,
                            const uint32_t *item_map, const forage_examples *events, forage_error *error)
{
    size_t pitch = state->pitch;
    (void)user_map; /* everybody is known by their history, */
    (void)events;   /* which the log has */
    FORAGE_TRY(check_shape(state, old, error));
    model_take_rows(old->table, item_map, state->items, pitch, pitch, old->table + old->items * pitch, state->table);
    memcpy(state->positions, old->positions, state->length * pitch * sizeof *state->positions);
    memcpy(state->average, old->average, pitch * sizeof *state->average);
    memcpy(state->encoder->values, old->encoder->values, state->encoder->value_count * sizeof(float));
    sasrec_refresh(state);
    return FORAGE_OK;
}
