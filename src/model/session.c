/*
 * Sessions: histories that grow, for models that keep what they worked out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/binding.h"

#include <inttypes.h>

struct forage_session {
    forage_binding *binding;
    const model_session_type *type;
    model_session *own;
    size_t length;
};

forage_status forage_session_create(forage_binding *binding, forage_session **session, forage_error *error)
{
    const forage_model *model = binding->model;
    *session = NULL;
    if (!model->type->session || !binding_has_catalogue(binding))
        return forage_fail(error, FORAGE_UNSUPPORTED, "%s keeps no sessions: rank by the whole history",
                           model->type->info.name);
    forage_session *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a session");
    made->binding = binding;
    made->type = model->type->session;
    forage_status status = made->type->create(model->state, &made->own, error);
    if (status == FORAGE_OK)
        *session = made;
    else
        forage_free(made);
    return status;
}

void forage_session_free(forage_session *session)
{
    if (!session)
        return;
    session->type->free(session->own);
    forage_free(session);
}

void forage_session_clear(forage_session *session)
{
    session->type->clear(session->own);
    session->length = 0;
}

forage_status forage_session_append(forage_session *session, uint32_t item, forage_error *error)
{
    const forage_binding *binding = session->binding;
    if (item >= binding->item_count)
        return forage_fail(error, FORAGE_INVALID, "the dataset has no item of index %" PRIu32, item);
    uint32_t code = model_column_code(&binding->columns.columns[binding->item_id], item);
    if (code == FORAGE_NONE && binding->unknown == FORAGE_UNKNOWN_ERROR)
        return binding_unknown(binding, binding->item_id, item, FORAGE_NONE, error);
    if (code == FORAGE_NONE)
        return FORAGE_OK;
    session->type->append(session->own, code);
    session->length++;
    return FORAGE_OK;
}

size_t forage_session_length(const forage_session *session)
{
    return session->length;
}

forage_status forage_session_rank(forage_session *session, size_t k, const uint32_t *excluded, size_t excluded_count,
                                  uint32_t *items, float *scores, size_t *found, forage_error *error)
{
    binding_catalogue *catalogue = &session->binding->catalogue;
    const model_subject subject = {.user = FORAGE_NONE, .session = session->own};
    model_top top;
    *found = 0;
    FORAGE_TRY(binding_check_items(session->binding, error));
    if (!catalogue->usable)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%s ranks in a session only items that it knows: skip the others",
                           session->binding->model->type->info.name);
    model_top_begin(&top, items, scores, k, excluded, excluded_count);
    model_rank_one(&catalogue->ranking, &subject, catalogue->scores, &top);
    *found = top.count;
    return FORAGE_OK;
}
