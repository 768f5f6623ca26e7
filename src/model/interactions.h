/*
 * interactions.h: who met what, by user and by item, for models that keep it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_INTERACTIONS_H
#define MODEL_INTERACTIONS_H

#include "model/descriptor.h"

/* Compressed rows, those of the users and behind them those of the items: row r has others[e] with weights[e] for e
 * from offsets[r] up to offsets[r + 1], rising, each once. Start with {0}. */
typedef struct interactions {
    size_t users, items;
    size_t count;     /* pairs; each stands twice in the arrays below, first by user, then by item */
    size_t *offsets;  /* [users + items + 1] */
    uint32_t *others; /* [2 count] items in the rows of users, users in the rows of items */
    float *weights;   /* [2 count] above 0 */
    bool binary;      /* all weights are 1 */
    uint32_t *counts; /* [users] entries of each user's row */
} interactions;

/* From rows of training, whose user and item are the fields `user` and `item`, with codes below `users` and `items`.
 * Rows with a reward not above 0 and unknown ids make no pair. FORAGE_FORMAT when there is none at all. */
forage_status interactions_create(const forage_examples *examples, size_t user, size_t item, size_t users, size_t items,
                                  forage_edge_weight weight, interactions *pairs, forage_error *error);
/* The same of `examples` and of all pairs of `old` that these do not name: those by the codes of old, of which
 * user_map[code] and item_map[code] are the new ones' (FORAGE_NONE: they are new). What old has of others is left out.
 */
forage_status interactions_extend(const interactions *old, const uint32_t *user_map, const uint32_t *item_map,
                                  const forage_examples *examples, size_t user, size_t item, size_t users, size_t items,
                                  forage_edge_weight weight, interactions *pairs, forage_error *error);
void interactions_release(interactions *pairs);

/* As tensors: interactions.counts U32 [users], interactions.items U32 [count], user by user, and, unless all are 1,
 * interactions.weights F32 [count]. */
forage_status interactions_save(const interactions *pairs, nn_checkpoint *checkpoint, forage_error *error);
/* Checks everything. */
forage_status interactions_load(const nn_checkpoint *checkpoint, size_t users, size_t items, interactions *pairs,
                                forage_error *error);

/* The fields of user and item in *user and *item; FORAGE_INVALID, naming the model, if either is not there. */
forage_status interactions_fields(const char *model, const forage_schema *schema, size_t *user, size_t *item,
                                  forage_error *error);

/* The choice of the parameter "weight", one of binary|count|value. */
forage_edge_weight interactions_weight(const forage_params *params);

/* What a subject met: a known user's row, or the history that it brings. Nothing of a user who is not known and brings
 * none. */
static inline model_subject interactions_of(const interactions *pairs, const model_subject *subject)
{
    model_subject found = *subject;
    if (subject->user < pairs->users) {
        size_t first = pairs->offsets[subject->user];
        found.items = pairs->others + first;
        found.weights = pairs->binary ? NULL : pairs->weights + first;
        found.count = pairs->offsets[subject->user + 1] - first;
    }
    return found;
}

#endif
