/*
 * ials_fit.c: alternating least squares. An epoch solves for all items given the users, then for all users given the
 * items; a step does so for some of them. Every vector is worked out by one thread, from the other side's table alone:
 * the same bytes for any number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/ials.h"
#include "model/validate.h"

#include <math.h>
#include <string.h>

enum {
    ROWS = 32,        /* vectors that a thread solves for at a time */
    LOSS_ROWS = 256,  /* users whose losses are summed together */
    STEP_WORK = 1000, /* millions of multiplications of a step, about */
};

/* Solves for one side given the other. */
typedef struct ials_solver {
    model_state *state;
    double users;   /* that chose something */
    float *scratch; /* of each thread */
    double *gram;   /* packed: of the table that was last given */
    float *base;    /* [width, pitch] */
    ials_side side;
    bool items;        /* items are solved for */
    bool new_alone;    /* those whose vector is 0 */
    size_t first, end; /* rows, at work */
} ials_solver;

struct model_fit {
    ials_solver solver;
    const model_fit_input *input;
    model_validation *validation;
    double *losses;                /* of LOSS_ROWS users each */
    float *best_user, *best_item;  /* of the best epoch; NULL without validation */
    double metric;                 /* of the best epoch */
    double started, epoch_started; /* by the clock */
    double longest;                /* seconds of an epoch */
    uint64_t place[4];
    bool finished;
};

enum { EPOCH, USERS_TURN, NEXT_ROW, BEST_EPOCH, PLACES };

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory to fit ials");
}

/* ---- solving ---- */

static size_t thread_scratch(const model_state *state)
{
    size_t one = ials_scratch(state), other = la_gram_scratch(state->width);
    return one > other ? one : other;
}

static void solver_release(ials_solver *solver)
{
    forage_free(solver->scratch);
    forage_free(solver->gram);
    forage_free(solver->base);
}

/* For the state's interactions. */
static forage_status solver_create(model_state *state, ials_solver *solver, forage_error *error)
{
    size_t threads = (size_t)state->setup->device->threads;
    solver->state = state;
    for (size_t u = 0; u < state->users; u++)
        solver->users += state->pairs.counts[u] > 0;
    solver->scratch = forage_alloc(threads, thread_scratch(state) * sizeof *solver->scratch);
    solver->gram = forage_alloc(2 * la_packed(state->width), sizeof *solver->gram);
    solver->base = forage_calloc(state->width, state->pitch * sizeof *solver->base);
    return solver->scratch && solver->gram && solver->base ? FORAGE_OK : no_memory(error);
}

static size_t row_count(const ials_solver *solver)
{
    return solver->items ? solver->state->items : solver->state->users;
}

/* What all equations of a side have in common. */
static void turn_to(ials_solver *solver, bool items)
{
    model_state *state = solver->state;
    const float *others = items ? state->user : state->item;
    solver->items = items;
    ials_base(state, others, items ? state->users : state->items, solver->scratch, solver->gram, solver->base);
    solver->side = (ials_side){others, solver->base,
                               state->facts[IALS_UNOBSERVED] * (items ? solver->users : state->facts[IALS_ITEMS])};
}

static void solve_rows(void *context, size_t chunk, int worker)
{
    const ials_solver *solver = context;
    const model_state *state = solver->state;
    const interactions *pairs = &state->pairs;
    float *table = solver->items ? state->item : state->user;
    float *scratch = solver->scratch + (size_t)worker * thread_scratch(state);
    size_t begin = solver->first + chunk * ROWS, end = begin + ROWS < solver->end ? begin + ROWS : solver->end;
    for (size_t r = begin; r < end; r++) {
        size_t row = solver->items ? pairs->users + r : r, first = pairs->offsets[row];
        if (solver->new_alone && !ials_is_zero(state, table + r * state->pitch))
            continue;
        ials_solve(state, &solver->side, pairs->others + first, pairs->binary ? NULL : pairs->weights + first,
                   pairs->offsets[row + 1] - first, scratch, table + r * state->pitch);
    }
}

/* Solves for rows [first, end). */
static void solve(ials_solver *solver, size_t first, size_t end)
{
    solver->first = first;
    solver->end = end;
    forage_parallel_for(solver->state->setup->device->threads, (end - first + ROWS - 1) / ROWS, solve_rows, solver);
}

forage_status ials_place(model_state *state, forage_error *error)
{
    ials_solver solver = {.new_alone = true};
    forage_status status = solver_create(state, &solver, error);
    if (status == FORAGE_OK) {
        ials_note(state);
        turn_to(&solver, true);
        solve(&solver, 0, state->items);
        solver.new_alone = false;
        turn_to(&solver, false);
        solve(&solver, 0, state->users);
    }
    solver_release(&solver);
    return status;
}

/* ---- the loss ---- */

typedef struct loss_task {
    const ials_solver *solver;
    double *losses;
} loss_task;

static double squared_length(const float *row, size_t width)
{
    double sum = 0;
    for (size_t j = 0; j < width; j++)
        sum += (double)row[j] * (double)row[j];
    return sum;
}

/* Of a row of either side: what draws its vector to 0. */
static double penalty(const ials_solver *solver, bool items, size_t r)
{
    const model_state *state = solver->state;
    const interactions *pairs = &state->pairs;
    const ials_side side = {.crowd =
                                state->facts[IALS_UNOBSERVED] * (items ? solver->users : state->facts[IALS_ITEMS])};
    size_t row = items ? pairs->users + r : r;
    double weight = 0;
    for (size_t e = pairs->offsets[row]; e < pairs->offsets[row + 1]; e++)
        weight += (double)pairs->weights[e];
    return ials_regular(state, &side, weight) *
           squared_length((items ? state->item : state->user) + r * state->pitch, state->width);
}

static void add_losses(void *context, size_t chunk, int worker)
{
    const loss_task *task = context;
    const ials_solver *solver = task->solver;
    const model_state *state = solver->state;
    const interactions *pairs = &state->pairs;
    size_t begin = chunk * LOSS_ROWS, end = begin + LOSS_ROWS < state->users ? begin + LOSS_ROWS : state->users;
    double sum = 0;
    (void)worker;
    for (size_t u = begin; u < end; u++) {
        for (size_t e = pairs->offsets[u]; e < pairs->offsets[u + 1]; e++) {
            float score;
            la_dots(state->setup->device->isa, state->item + pairs->others[e] * state->pitch, state->pitch, 1,
                    state->width, state->user + u * state->pitch, &score);
            sum += (double)pairs->weights[e] * ((double)score - 1) * ((double)score - 1);
        }
        sum += penalty(solver, false, u);
    }
    task->losses[chunk] = sum;
}

/* What is minimised, divided by the weight of all that was chosen. `gram` has the items' matrix, as after their users
 * were solved for. */
static double loss(model_fit *fit)
{
    ials_solver *solver = &fit->solver;
    const model_state *state = solver->state;
    size_t chunks = (state->users + LOSS_ROWS - 1) / LOSS_ROWS, packed = la_packed(state->width);
    double *users = solver->gram + packed, sum = 0, weight = 0;
    loss_task task = {solver, fit->losses};
    const forage_device *device = state->setup->device;
    forage_parallel_for(device->threads, chunks, add_losses, &task);
    for (size_t c = 0; c < chunks; c++)
        sum += fit->losses[c];
    for (size_t i = 0; i < state->items; i++)
        sum += penalty(solver, true, i);
    la_gram(device->isa, device->threads, state->user, state->users, state->width, state->pitch, solver->scratch,
            users);
    const double *left = solver->gram, *right = users;
    for (size_t i = 0; i < state->width; i++) { /* the trace of the product: of all pairs, the scores' squares */
        for (size_t j = i; j < state->width; j++)
            sum += (i == j ? 1 : 2) * state->facts[IALS_UNOBSERVED] * *left++ * *right++;
    }
    for (size_t e = 0; e < solver->state->pairs.count; e++)
        weight += (double)solver->state->pairs.weights[e];
    return sum / weight;
}

/* ---- the fit ---- */

double ials_fit_memory(const model_setup *setup, const model_fit_input *input)
{
    double users = (double)setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_USER)].cardinality;
    double items = (double)setup->schema->fields[model_schema_id(setup->schema, FORAGE_OF_ITEM)].cardinality;
    double width = (double)la_padded((size_t)forage_params_integer(setup->params, "embedding-size"));
    return 24 * (double)input->train->count + (users + items) * (16 + 4 * width * (input->validation->count ? 2 : 1)) +
           (double)setup->device->threads * 4 * width * (width + 256) + 24 * width * width;
}

static forage_status begin(model_fit *fit, model_state *state, forage_error *error)
{
    const model_fit_input *input = fit->input;
    interactions_release(&state->pairs); /* of a model to go on from */
    FORAGE_TRY(interactions_create(input->train, state->user_field, state->item_field, state->users, state->items,
                                   state->weight, &state->pairs, error));
    FORAGE_TRY(solver_create(state, &fit->solver, error));
    ials_note(state);
    for (size_t u = 0; u < state->users; u++) {
        if (state->pairs.counts[u] == 0) /* nobody whom anything could be learned from */
            memset(state->user + u * state->pitch, 0, state->pitch * sizeof *state->user);
    }
    FORAGE_TRY(model_validation_create(state->setup, input, &ials_catalogue, state, &fit->validation, error));
    fit->losses = forage_alloc(state->users / LOSS_ROWS + 1, sizeof *fit->losses);
    if (fit->validation) {
        fit->best_user = forage_calloc(state->users, state->pitch * sizeof *fit->best_user);
        fit->best_item = forage_calloc(state->items, state->pitch * sizeof *fit->best_item);
    }
    if (!fit->losses || (fit->validation && (!fit->best_user || !fit->best_item)))
        return no_memory(error);
    turn_to(&fit->solver, true);
    return FORAGE_OK;
}

static void release(model_fit *fit)
{
    solver_release(&fit->solver);
    model_validation_free(fit->validation);
    forage_free(fit->losses);
    forage_free(fit->best_user);
    forage_free(fit->best_item);
    forage_free(fit);
}

forage_status ials_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error)
{
    double now = forage_clock();
    *fit = forage_calloc(1, sizeof **fit);
    if (!*fit)
        return no_memory(error);
    **fit = (model_fit){.input = input, .started = now, .epoch_started = now};
    forage_status status = begin(*fit, state, error);
    if (status != FORAGE_OK) {
        release(*fit);
        *fit = NULL;
    }
    return status;
}

static size_t table_size(const model_state *state, bool items)
{
    return (items ? state->items : state->users) * state->pitch * sizeof(float);
}

/* Ended in the middle of an epoch, by a clock that nothing foretold, one side would not fit the other: it is completed.
 */
static void complete(ials_solver *solver, const uint64_t *place)
{
    size_t first = (size_t)place[NEXT_ROW];
    if (!place[USERS_TURN]) {
        solve(solver, first, solver->state->items);
        turn_to(solver, false);
        first = 0;
    }
    solve(solver, first, solver->state->users);
}

void ials_fit_end(model_fit *fit, bool keep)
{
    model_state *state = fit->solver.state;
    bool has_best = fit->place[BEST_EPOCH] && fit->best_user;
    bool between = !fit->place[NEXT_ROW] && !fit->place[USERS_TURN] && fit->place[EPOCH];
    if (keep && has_best) {
        memcpy(state->user, fit->best_user, table_size(state, false));
        memcpy(state->item, fit->best_item, table_size(state, true));
    } else if (keep && !between) {
        complete(&fit->solver, fit->place);
    }
    if (keep)
        ials_settle(state, fit->solver.scratch, fit->solver.gram);
    release(fit);
}

/* How far a step that begins at row `first` gets. */
static size_t step_end(const ials_solver *solver, size_t first)
{
    const model_state *state = solver->state;
    const size_t *offsets = solver->state->pairs.offsets + (solver->items ? solver->state->pairs.users : 0);
    double width = (double)state->width, work = 0;
    size_t end = first;
    for (; end < row_count(solver) && work < STEP_WORK * 1e6; end++)
        work += width * width * ((double)(offsets[end + 1] - offsets[end]) + width / 6 + 2);
    return end;
}

static forage_status end_epoch(model_fit *fit, model_progress *progress, forage_error *error)
{
    model_state *state = fit->solver.state;
    uint64_t epoch = ++fit->place[EPOCH];
    int64_t patience = forage_params_integer(state->setup->params, "patience");
    progress->train_loss = loss(fit);
    if (!isfinite(progress->train_loss))
        return forage_fail(error, FORAGE_DIVERGED,
                           "the loss of epoch %zu is no longer a number; rewards may be too large", (size_t)epoch);
    if (fit->validation) {
        progress->validation_metric = model_validation_run(fit->validation);
        if (fit->place[BEST_EPOCH] == 0 || progress->validation_metric > fit->metric) {
            fit->metric = progress->validation_metric;
            fit->place[BEST_EPOCH] = epoch;
            memcpy(fit->best_user, state->user, table_size(state, false));
            memcpy(fit->best_item, state->item, table_size(state, true));
        }
        progress->stopped_early = patience && epoch - fit->place[BEST_EPOCH] >= (uint64_t)patience;
    } else {
        fit->place[BEST_EPOCH] = epoch;
    }
    double now = forage_clock();
    fit->longest = fmax(fit->longest, now - fit->epoch_started);
    fit->epoch_started = now;
    /* No epoch that would not come to its end. */
    bool late = fit->input->seconds > 0 && now - fit->started + fit->longest > fit->input->seconds;
    progress->out_of_time = late;
    fit->finished =
        late || progress->stopped_early || epoch >= (uint64_t)forage_params_integer(state->setup->params, "epochs");
    return FORAGE_OK;
}

forage_status ials_fit_step(model_fit *fit, model_progress *progress, forage_error *error)
{
    ials_solver *solver = &fit->solver;
    const model_state *state = solver->state;
    size_t end = step_end(solver, fit->place[NEXT_ROW]);
    solve(solver, fit->place[NEXT_ROW], end);
    fit->place[NEXT_ROW] = end;
    if (end == row_count(solver)) {
        bool users = fit->place[USERS_TURN];
        fit->place[NEXT_ROW] = 0;
        fit->place[USERS_TURN] = !users;
        if (users)
            FORAGE_TRY(end_epoch(fit, progress, error));
        turn_to(solver, users);
    }
    size_t all = state->users + state->items, done = fit->place[NEXT_ROW];
    done += fit->place[USERS_TURN] ? state->items : 0;
    progress->epochs = (size_t)fit->place[EPOCH];
    progress->best_epoch = (size_t)fit->place[BEST_EPOCH];
    progress->done = progress->epochs * all + done;
    progress->total = (uint64_t)forage_params_integer(state->setup->params, "epochs") * all;
    progress->finished = fit->finished;
    return FORAGE_OK;
}

/* ---- a fit that is interrupted ---- */

typedef struct part {
    const char *name;
    nn_dtype dtype;
    size_t rank, shape[2];
    void *data;
} part;

enum { PARTS = 6 };

static size_t parts_of(const model_fit *fit, part parts[PARTS])
{
    const model_state *state = fit->solver.state;
    const part list[PARTS] = {
        {"fit.place", NN_U64, 1, {PLACES, 0}, (void *)(uintptr_t)fit->place},
        {"fit.metric", NN_F64, 1, {1, 0}, (void *)(uintptr_t)&fit->metric},
        {"fit.user", NN_F32, 2, {state->users, state->pitch}, state->user},
        {"fit.item", NN_F32, 2, {state->items, state->pitch}, state->item},
        {"fit.best_user", NN_F32, 2, {state->users, state->pitch}, fit->best_user},
        {"fit.best_item", NN_F32, 2, {state->items, state->pitch}, fit->best_item},
    };
    memcpy(parts, list, sizeof list);
    return fit->validation ? PARTS : PARTS - 2;
}

forage_status ials_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error)
{
    part parts[PARTS];
    size_t count = parts_of(fit, parts);
    for (size_t i = 0; i < count; i++)
        FORAGE_TRY(nn_checkpoint_add(checkpoint, parts[i].name, parts[i].dtype, parts[i].rank, parts[i].shape,
                                     parts[i].data, error));
    return FORAGE_OK;
}

forage_status ials_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error)
{
    part parts[PARTS];
    size_t count = parts_of(fit, parts);
    for (size_t i = 0; i < count; i++) {
        const part *p = &parts[i];
        if (p->dtype == NN_F32)
            FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, p->name, p->rank, p->shape, p->data, error));
        else
            FORAGE_TRY(nn_checkpoint_read(checkpoint, p->name, p->dtype, p->rank, p->shape, p->data, error));
    }
    const uint64_t *place = fit->place;
    const model_state *state = fit->solver.state;
    if (place[USERS_TURN] > 1 || place[NEXT_ROW] >= (place[USERS_TURN] ? state->users : state->items) ||
        place[BEST_EPOCH] > place[EPOCH] || !isfinite(fit->metric) ||
        place[EPOCH] >= (uint64_t)forage_params_integer(state->setup->params, "epochs"))
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "fit.place",
                              "no fit stands like that");
    turn_to(&fit->solver, place[USERS_TURN] == 0);
    return FORAGE_OK;
}
