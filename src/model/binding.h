/*
 * binding.h: a model bound to a dataset; what scoring and ranking share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_BINDING_H
#define MODEL_BINDING_H

#include "model/front.h"

/* The memory of one thread that scores: columns of a block, and the model's own scratch. */
typedef struct binding_worker {
    uint32_t **codes;           /* [field][MODEL_BLOCK]; NULL for numeric fields */
    float **values;             /* [field][MODEL_BLOCK]; NULL for categorical fields */
    const uint32_t **use_codes; /* [field] what the examples of a call point to */
    const float **use_values;
    void *scratch;
    float mean[MODEL_BLOCK];
} binding_worker;

struct forage_binding {
    const forage_model *model;
    const forage_dataset *dataset;
    forage_unknown unknown;
    char *source;
    model_columns columns;
    size_t user_id, item_id; /* fields; SIZE_MAX where the model does not read them */
    size_t user_count, item_count;
    uint32_t *context_codes; /* [field] the context that was set, for pairs and rankings */
    float *context_values;   /* [field] */
    binding_worker *workers; /* [worker_count] */
    int worker_count;

    /* Ranking. */
    bool *available;      /* [item_count]; NULL: all */
    uint32_t *candidates; /* [candidate_count] items that may be ranked, rising */
    size_t candidate_count;
    uint32_t unknown_item; /* the first candidate that the model has not met, under FORAGE_UNKNOWN_ERROR */
    uint32_t **item_codes; /* [field][candidate] the model's codes of item fields; NULL for others */
    float **item_values;   /* [field][candidate] */
    float *scores;         /* [candidate] for one user, or, same_for_all, for everyone */
    uint32_t *order;       /* [candidate] same_for_all: places among the candidates, best first */
    bool same_for_all;     /* the model reads neither user nor context: one order serves everyone */
    bool ordered;          /* `order` and `scores` are filled */
};

static inline size_t binding_field_count(const forage_binding *binding)
{
    return binding->columns.count;
}

/* rank.c: which items may be ranked, and their columns; called when binding and when availability changes. */
forage_status binding_prepare_items(forage_binding *binding, forage_error *error);
/* binding.c: fails naming the user or the item, and the row (FORAGE_NONE: there is none). */
forage_status binding_unknown(const forage_binding *binding, size_t field, uint32_t index, uint32_t row,
                              forage_error *error);
/* Fills the columns of the fields that `owner` owns with one value for a whole block. */
void binding_fill_constant(const forage_binding *binding, binding_worker *worker, forage_owner owner, uint32_t index);

#endif
