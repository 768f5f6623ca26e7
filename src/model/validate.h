/*
 * validate.h: how well a model ranks what its validation rows hold, while it is being fitted (docs/evaluation.md):
 *
 *   for models of users        NDCG@20 over all items, those of the training rows left out, as a mean over users
 *   for those of histories     NDCG@10 of the item of each validation row, over all items but for those that came
 *                              before it, as a mean over rows
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_VALIDATE_H
#define MODEL_VALIDATE_H

#include "model/catalogue.h"

enum {
    MODEL_VALIDATION_K = 20,
    MODEL_VALIDATION_NEXT_K = 10,
    MODEL_VALIDATION_USERS = 8192, /* or rows, judged at most: if there are more, as many at even distances */
};

typedef struct model_validation model_validation;

/* `user_field` and `item_field` are those of the ids. Rows with a reward not above 0 do not count. *validation is NULL,
 * with FORAGE_OK, where nobody has anything to be found: every user and item of the rows must be one that has training
 * rows. */
forage_status model_validation_create(const model_setup *setup, const model_fit_input *input,
                                      const model_catalogue *catalogue, const model_state *state,
                                      model_validation **validation, forage_error *error);
/* The same by histories: a row counts if its item is one that trains and is none of those that came before it, of which
 * there must be some. */
forage_status model_validation_create_next(const model_setup *setup, const model_fit_input *input,
                                           const model_catalogue *catalogue, const model_state *state,
                                           model_validation **validation, forage_error *error);
void model_validation_free(model_validation *validation);
/* The mean NDCG by the state as it is. Allocates nothing. */
double model_validation_run(model_validation *validation);

#endif
