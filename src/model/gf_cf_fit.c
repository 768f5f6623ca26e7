/*
 * gf_cf_fit.c: fitting GF-CF: N's singular value decomposition, in steps. Of users and items the fewer have the smaller
 * matrix: where these are the items, what is decomposed is N'.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/gf_cf.h"
#include "model/validate.h"

#include <math.h>

struct model_fit {
    model_state *state;
    const model_fit_input *input;
    la_svd *svd;
    model_validation *validation;
    double started, longest; /* by the clock; seconds of a step */
    double norm;             /* the sum of all squares of N */
    bool by_items;           /* of the two sides the items are fewer: the decomposition is that of N' */
    bool finished;
};

static forage_status begin(model_fit *fit, forage_error *error)
{
    model_state *state = fit->state;
    interactions *pairs = &state->pairs;
    gf_cf_release_parts(state); /* of a model to go on from: nothing of it is needed */
    FORAGE_TRY(interactions_create(fit->input->train, state->user_field, state->item_field, state->users, state->items,
                                   state->weight, pairs, error));
    FORAGE_TRY(gf_cf_normalise(state, error));
    for (size_t e = 0; e < pairs->count; e++)
        fit->norm += (double)state->values[e] * (double)state->values[e];
    fit->by_items = pairs->items < pairs->users;
    size_t fewer = fit->by_items ? pairs->items : pairs->users;
    FORAGE_TRY(gf_cf_make_room(state, state->wanted < fewer ? state->wanted : fewer, error));
    FORAGE_TRY(model_validation_create(state->setup, fit->input, &gf_cf_catalogue, state, &fit->validation, error));
    const la_svd_task task = {.matrix = fit->by_items ? gf_cf_by_item(state) : gf_cf_by_user(state),
                              .transposed = fit->by_items ? gf_cf_by_user(state) : gf_cf_by_item(state),
                              .rank = state->rank,
                              .seed = state->setup->seed,
                              .isa = state->setup->device->isa,
                              .threads = state->setup->device->threads};
    return la_svd_create(&task, &fit->svd, error);
}

/* Puts what was found into the state. */
static void finish(model_fit *fit)
{
    model_state *state = fit->state;
    const la_svd *svd = fit->svd;
    fit->finished = true;
    state->rank = svd->rank;
    la_svd_vectors(svd, !fit->by_items, state->rank, state->item_vectors);
    for (size_t k = 0; k < state->rank; k++)
        state->singular[k] = (float)sqrt(svd->values[k]);
    gf_cf_make_averages(state);
}

/* Given up between two rounds the block is no basis yet; one more step makes it one. */
void gf_cf_fit_end(model_fit *fit, bool keep)
{
    if (keep && !fit->finished) {
        fit->svd->last = true;
        if (la_svd_step(fit->svd))
            finish(fit);
        else
            gf_cf_make_averages(fit->state); /* of vectors that are 0: the neighbourhood alone */
    }
    la_svd_free(fit->svd);
    model_validation_free(fit->validation);
    forage_free(fit);
}

forage_status gf_cf_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error)
{
    *fit = forage_calloc(1, sizeof **fit);
    if (!*fit)
        return gf_cf_no_memory(error);
    **fit = (model_fit){.state = state, .input = input, .started = forage_clock()};
    forage_status status = begin(*fit, error);
    if (status != FORAGE_OK) {
        gf_cf_fit_end(*fit, false);
        *fit = NULL;
    }
    return status;
}

static void report(const model_fit *fit, model_progress *progress)
{
    enum { USUAL_ROUNDS = 6, STEPS = 8 }; /* a guess */
    const la_svd *svd = fit->svd;
    double left = fit->norm;
    for (size_t k = 0; k < svd->task.rank && k < svd->place[LA_SVD_WIDTH]; k++)
        left -= fmax(svd->values[k], 0);
    progress->epochs = progress->best_epoch = (size_t)svd->place[LA_SVD_ROUND];
    progress->train_loss = fmax(left / fit->norm, 0);
    progress->validation_loss = NAN;
    progress->finished = svd->finished;
    progress->done = svd->place[LA_SVD_ROUND] * STEPS + svd->place[LA_SVD_STEP];
    progress->total = svd->finished                           ? progress->done
                      : progress->done < USUAL_ROUNDS * STEPS ? USUAL_ROUNDS * STEPS
                                                              : progress->done + STEPS;
}

forage_status gf_cf_fit_step(model_fit *fit, model_progress *progress, forage_error *error)
{
    double limit = fit->input->seconds, begun = forage_clock();
    /* The last step takes no longer than the longest so far. */
    fit->svd->last = limit > 0 && begun - fit->started + fit->longest > limit;
    if (!la_svd_step(fit->svd))
        return forage_fail(error, FORAGE_DIVERGED, "the singular values of these interactions are no longer numbers");
    fit->longest = fmax(fit->longest, forage_clock() - begun);
    report(fit, progress);
    if (!progress->finished)
        return FORAGE_OK;
    progress->out_of_time = fit->svd->last;
    finish(fit);
    if (fit->validation)
        progress->validation_metric = model_validation_run(fit->validation);
    return FORAGE_OK;
}

forage_status gf_cf_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error)
{
    const la_svd *svd = fit->svd;
    size_t places = LA_SVD_PLACES, shape[2] = {svd->task.matrix.rows, svd->pitch};
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.place", NN_U64, 1, &places, svd->place, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.values", NN_F64, 1, &svd->pitch, svd->values, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "fit.block", NN_F32, 2, shape, svd->block, error));
    return nn_checkpoint_add(checkpoint, "fit.previous", NN_F32, 2, shape, svd->previous, error);
}

forage_status gf_cf_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error)
{
    la_svd *svd = fit->svd;
    size_t places = LA_SVD_PLACES, shape[2] = {svd->task.matrix.rows, svd->pitch};
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.place", NN_U64, 1, &places, svd->place, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.values", NN_F64, 1, &svd->pitch, svd->values, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.block", NN_F32, 2, shape, svd->block, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "fit.previous", NN_F32, 2, shape, svd->previous, error));
    if (!la_svd_restore(svd))
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "fit.place",
                              "no decomposition stands like that");
    return FORAGE_OK;
}

double gf_cf_fit_memory(const model_setup *setup, const model_fit_input *input)
{
    double users = (double)setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_USER)].cardinality;
    double items = (double)setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_ITEM)].cardinality;
    double fewer = fmin(users, items), rank = (double)forage_params_integer(setup->params, "rank");
    double width = (double)la_padded(la_svd_width((size_t)fewer, (size_t)rank));
    return 24 * (double)input->train->count + 40 * (users + items) + 4 * width * (2 * fewer + fmax(users, items)) +
           24 * width * width + 4 * fmin(rank, width) * items;
}
