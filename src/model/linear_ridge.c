/*
 * linear_ridge.c: ridge regression of the reward, exact after every lesson: what LinUCB and linear Thompson
 * sampling stand on. linear_ridge.h has the formulas; this file makes, grows, saves and loads a learner.
 *
 * Sources: Li, Chu, Langford, Schapire 2010, "A contextual-bandit approach to personalized news article
 * recommendation" (algorithms 1 and 2); Agrawal and Goyal 2013 (draws); Riquelme, Tucker, Snoek 2018, "Deep Bayesian
 * bandits showdown" (the estimated noise); Russac, Vernade, Cappe 2019 (discount).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/linear_ridge.h"

#include <math.h>
#include <string.h>

static const forage_param params[] = {
    {"form", FORAGE_PARAM_CHOICE, "auto", 0, 0, "auto|disjoint|shared|hybrid",
     "disjoint: each arm has weights of its own for the request's features; shared: one weight vector for features of "
     "request and candidate; hybrid: shared weights for the candidate's features and own ones for the request's; auto: "
     "what the features there are allow, hybrid for both"},
    {"ridge", FORAGE_PARAM_REAL, "1", 1e-6, 1e9, NULL,
     "strength of the prior, in lessons: weights begin at 0 with variance noise^2 / ridge; 0 is not possible, since "
     "nothing could be said before all directions were seen"},
    {"noise", FORAGE_PARAM_REAL, "1", 0, 1e9, NULL,
     "standard deviation of a reward around its mean: scales the deviation and the spread of draws"},
    {"estimate-noise", FORAGE_PARAM_BOOLEAN, "false", 0, 0, NULL,
     "learn the variance of the noise, too, from an inverse gamma prior (a0, b0); noise is then not used"},
    {"pool-noise", FORAGE_PARAM_BOOLEAN, "false", 0, 0, NULL,
     "with estimate-noise: no arm has less than all arms together; else one that was unlucky a few times may believe "
     "that there is none, and is never tried again"},
    {"a0", FORAGE_PARAM_REAL, "6", 1.001, 1e9, NULL, "shape of the prior of the noise's variance"},
    {"b0", FORAGE_PARAM_REAL, "6", 1e-9, 1e9, NULL, "scale of the prior of the noise's variance"},
    {"discount", FORAGE_PARAM_REAL, "1", 0.5, 1, NULL,
     "what a lesson's weight is multiplied by with every later lesson; 1: nothing fades. The prior does not fade"},
    {"window", FORAGE_PARAM_INTEGER, "0", 0, 1e8, NULL, "learn from this many latest lessons alone; 0: from all"},
    {"refresh", FORAGE_PARAM_INTEGER, "10000", 1, 1e12, NULL,
     "lessons after which an inverse is computed anew from the sums, against the drift of rounding"},
};

/* ---- memory ---- */

static void release(model_learner *learner)
{
    if (!learner)
        return;
    void *const blocks[] = {
        learner->gram,
        learner->target,
        learner->cross,
        learner->ridges,
        learner->numbers,
        learner->inverse,
        learner->weights,
        learner->lean,
        learner->forms,
        learner->slopes,
        learner->leans,
        learner->t,
        learner->doubled,
        learner->shared_gram,
        learner->shared_target,
        learner->shared_ridges,
        learner->factor,
        learner->beta,
        learner->tail_factor,
        learner->tail_beta,
        learner->held_features,
        learner->held_rewards,
        learner->held_weights,
        learner->held_arms,
        learner->x,
        learner->z,
        learner->p,
        learner->u,
        learner->gain,
        learner->product,
        learner->triangle,
        learner->other_triangle,
        learner->x_form,
        learner->x_padded,
        learner->stamps,
        learner->slots_of_arms,
        learner->distinct,
        learner->slots,
        learner->arm_means,
        learner->arm_squares,
        learner->offsets,
    };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        forage_free(blocks[i]);
    forage_free(learner);
}

static forage_status no_memory(const model_learner *learner, size_t arms, forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY,
                       "no memory for linear-ridge of %zu arms with %zu own and %zu shared features", arms, learner->d,
                       learner->k);
}

/* Numbers that are kept for each arm, and in all, in bytes and as a double, for sizes may be anything. */
static double arm_bytes(double d, double k)
{
    return 8 * (d * (d + 1) + 2 * d + 2 * d * k + ARM_NUMBERS);
}

static double shared_bytes(double k)
{
    return 8 * (k * (k + 1) + 3 * k);
}

/* Room for `to` rows where there were `from`; new rows are 0. */
static bool stretch_doubles(double **rows, size_t from, size_t to, size_t width)
{
    double *grown = forage_realloc(*rows, from * width + 1, to * width + 1, sizeof **rows);
    if (!grown)
        return false;
    memset(grown + from * width, 0, ((to - from) * width + 1) * sizeof *grown);
    *rows = grown;
    return true;
}

static bool stretch_floats(float **rows, size_t from, size_t to, size_t width)
{
    float *grown = forage_realloc(*rows, from * width + 1, to * width + 1, sizeof **rows);
    if (!grown)
        return false;
    memset(grown + from * width, 0, ((to - from) * width + 1) * sizeof *grown);
    *rows = grown;
    return true;
}

static bool stretch_words(uint32_t **rows, size_t from, size_t to)
{
    uint32_t *grown = forage_realloc(*rows, from + 1, to + 1, sizeof **rows);
    if (!grown)
        return false;
    memset(grown + from, 0, (to - from + 1) * sizeof *grown);
    *rows = grown;
    return true;
}

/* An arm that knows nothing, its ridge full. */
static void begin_arm(model_learner *learner, size_t arm)
{
    size_t d = learner->d;
    double ridge = learner->ridge * learner->state[RIDGE_GROWTH];
    for (size_t i = 0; i < d; i++) {
        if (learner->ridges)
            learner->ridges[arm * d + i] = ridge;
        learner->inverse[arm * learner->packed + i * (2 * d - i + 1) / 2] = 1 / ridge;
    }
    learner->numbers[arm * ARM_NUMBERS + ARM_TRACE] = (double)d / ridge;
    model_linear_narrow(learner, arm);
}

/* So many coordinates that no ridge falls to less than nine tenths before its turn. */
static void count_fill(model_learner *learner)
{
    double coordinates = (double)(learner->arms * learner->d + learner->k);
    double fill = ceil(coordinates * log(learner->discount) / log(0.9));
    learner->fill = learner->discount < 1 ? (size_t)fmin(fmax(fill, 1), coordinates) : 0;
}

static forage_status grow(model_learner *learner, size_t arms, size_t users, forage_error *error)
{
    size_t d = learner->d, k = learner->k, old = learner->arms, packed = learner->packed;
    (void)users;
    if (!d) /* all arms are alike */
        return FORAGE_OK;
    if (arm_bytes((double)d, (double)k) * (double)arms > (double)(SIZE_MAX / 4) ||
        !stretch_doubles(&learner->gram, old, arms, packed) || !stretch_doubles(&learner->target, old, arms, d) ||
        !stretch_doubles(&learner->cross, old, arms, d * k) ||
        (learner->discount < 1 && !stretch_doubles(&learner->ridges, old, arms, d)) ||
        !stretch_doubles(&learner->numbers, old, arms, ARM_NUMBERS) ||
        !stretch_doubles(&learner->inverse, old, arms, packed) || !stretch_doubles(&learner->weights, old, arms, d) ||
        !stretch_doubles(&learner->lean, old, arms, d * k) ||
        !stretch_floats(&learner->forms, old + (old > 0), arms + 1, learner->pitch) ||
        !stretch_floats(&learner->slopes, old + (old > 0), arms + 1, learner->width_pitch) ||
        !stretch_floats(&learner->leans, old + (old > 0), arms + 1, k ? d * la_padded(k) : 0) ||
        !stretch_words(&learner->stamps, old, arms) || !stretch_words(&learner->slots_of_arms, old, arms))
        return no_memory(learner, arms, error);
    learner->arms = arms;
    for (size_t arm = old; arm < arms; arm++)
        begin_arm(learner, arm);
    count_fill(learner);
    return FORAGE_OK;
}

static forage_status create_scratch(model_learner *learner, size_t candidates, forage_error *error)
{
    size_t d = learner->d, k = learner->k, larger = d > k ? d : k, tail_pitch = la_padded(learner->tail);
    learner->offset_rows = d ? candidates : 1;
    learner->x = forage_calloc(d + 1, sizeof *learner->x);
    learner->z = forage_calloc(k + 1, sizeof *learner->z);
    learner->p = forage_calloc(d + 1, sizeof *learner->p);
    learner->u = forage_calloc(k + 1, sizeof *learner->u);
    learner->gain = forage_calloc(k + 1, sizeof *learner->gain);
    learner->product = forage_calloc(k + 1, sizeof *learner->product);
    learner->triangle = forage_calloc(la_packed(larger) + 1, sizeof *learner->triangle);
    learner->other_triangle = forage_calloc(la_packed(larger) + 1, sizeof *learner->other_triangle);
    learner->x_form = forage_calloc(learner->pitch + 1, sizeof *learner->x_form);
    learner->t = forage_calloc(la_padded(k) + 1, sizeof *learner->t);
    learner->x_padded = forage_calloc(learner->width_pitch + 1, sizeof *learner->x_padded);
    learner->distinct = forage_alloc(candidates + 1, sizeof *learner->distinct);
    learner->slots = forage_alloc(candidates + 1, sizeof *learner->slots);
    learner->arm_means = forage_alloc(candidates + 1, sizeof *learner->arm_means);
    learner->arm_squares = forage_alloc(candidates + 1, sizeof *learner->arm_squares);
    learner->doubled = forage_alloc(learner->packed + 1, sizeof *learner->doubled);
    if ((double)learner->offset_rows * (double)tail_pitch < (double)(SIZE_MAX / 8))
        learner->offsets = forage_calloc(learner->offset_rows * tail_pitch + 1, sizeof *learner->offsets);
    if (!learner->x || !learner->z || !learner->p || !learner->u || !learner->gain || !learner->product ||
        !learner->triangle || !learner->other_triangle || !learner->x_form || !learner->x_padded || !learner->t ||
        !learner->distinct || !learner->slots || !learner->arm_means || !learner->arm_squares || !learner->doubled ||
        !learner->offsets)
        return no_memory(learner, learner->setup->shape->arms, error);
    for (size_t i = 0, at = 0; i < d; i++) {
        for (size_t j = i; j < d; j++)
            learner->doubled[at++] = j == i ? 1 : 2;
    }
    return FORAGE_OK;
}

static forage_status create_shared(model_learner *learner, forage_error *error)
{
    size_t k = learner->k, packed = la_packed(k);
    learner->shared_gram = forage_calloc(packed + 1, sizeof *learner->shared_gram);
    learner->shared_target = forage_calloc(k + 1, sizeof *learner->shared_target);
    learner->shared_ridges = forage_calloc(k + 1, sizeof *learner->shared_ridges);
    learner->factor = forage_calloc(packed + 1, sizeof *learner->factor);
    learner->beta = forage_calloc(k + 1, sizeof *learner->beta);
    learner->tail_factor = forage_calloc(la_factor_size(learner->tail) + 1, sizeof *learner->tail_factor);
    learner->tail_beta = forage_calloc(learner->tail + 1, sizeof *learner->tail_beta);
    if (!learner->shared_gram || !learner->shared_target || !learner->shared_ridges || !learner->factor ||
        !learner->beta || !learner->tail_factor || !learner->tail_beta)
        return no_memory(learner, learner->setup->shape->arms, error);
    for (size_t j = 0; j < k; j++) {
        learner->shared_ridges[j] = learner->ridge;
        learner->factor[j * (j + 1) / 2 + j] = sqrt(1 / learner->ridge);
    }
    learner->stale = true;
    return FORAGE_OK;
}

static forage_status create_window(model_learner *learner, forage_error *error)
{
    size_t width = learner->setup->shape->request_width + learner->tail, window = learner->window;
    if (!window)
        return FORAGE_OK;
    learner->held_features = forage_calloc(window, (width + 1) * sizeof *learner->held_features);
    learner->held_rewards = forage_calloc(window, sizeof *learner->held_rewards);
    learner->held_weights = forage_calloc(window, sizeof *learner->held_weights);
    learner->held_arms = forage_calloc(window, sizeof *learner->held_arms);
    if (!learner->held_features || !learner->held_rewards || !learner->held_weights || !learner->held_arms)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a window of %zu lessons of %zu features", window,
                           width);
    return FORAGE_OK;
}

/* Which features are the arms' own and which are shared. */
typedef struct widths {
    size_t d, lead, tail;
} widths;

static widths choose_form(const model_online_setup *setup)
{
    size_t request = setup->shape->request_width, candidate = setup->shape->candidate_width;
    const char *form = forage_params_text(setup->params, "form");
    if (strcmp(form, "auto") == 0)
        form = !candidate ? "disjoint" : request ? "hybrid" : "shared";
    if (strcmp(form, "disjoint") == 0)
        return (widths){request, 0, 0};
    if (strcmp(form, "shared") == 0)
        return (widths){0, request, candidate};
    return (widths){request, 0, candidate};
}

static forage_status check_form(const model_online_setup *setup, widths w, forage_error *error)
{
    const char *form = forage_params_text(setup->params, "form");
    const char *lacks = NULL;
    if (strcmp(form, "disjoint") == 0 && !w.d)
        lacks = "features of the request";
    else if (strcmp(form, "hybrid") == 0 && (!w.d || !w.tail))
        lacks = w.d ? "features of the candidates" : "features of the request";
    else if (w.d + w.lead + w.tail == 0)
        lacks = "features";
    if (lacks)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "form",
                              "linear-ridge of form %s needs %s; there are %zu of the request and %zu of the candidate",
                              form, lacks, setup->shape->request_width, setup->shape->candidate_width);
    return FORAGE_OK;
}

static forage_status create(const model_online_setup *setup, model_learner **learner, forage_error *error)
{
    widths w = choose_form(setup);
    forage_status status;
    *learner = NULL;
    FORAGE_TRY(check_form(setup, w, error));
    model_learner *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for linear-ridge");
    made->setup = setup;
    made->kernels = la_kernels_for(setup->device->isa);
    made->d = w.d;
    made->lead = w.lead;
    made->tail = w.tail;
    made->k = w.lead + w.tail;
    made->packed = la_packed(made->d);
    made->pitch = la_padded(made->packed);
    made->width_pitch = la_padded(made->d);
    made->ridge = forage_params_real(setup->params, "ridge");
    made->noise = forage_params_real(setup->params, "noise");
    made->discount = forage_params_real(setup->params, "discount");
    made->estimated = forage_params_boolean(setup->params, "estimate-noise");
    made->pooled = made->estimated && forage_params_boolean(setup->params, "pool-noise");
    made->shape = forage_params_real(setup->params, "a0");
    made->scale = forage_params_real(setup->params, "b0");
    made->window = (size_t)forage_params_integer(setup->params, "window");
    made->refresh = (size_t)forage_params_integer(setup->params, "refresh");
    made->state[RIDGE_GROWTH] = 1;
    FORAGE_TRY_GOTO(create_scratch(made, setup->shape->candidates, error), fail);
    FORAGE_TRY_GOTO(create_shared(made, error), fail);
    FORAGE_TRY_GOTO(create_window(made, error), fail);
    FORAGE_TRY_GOTO(grow(made, setup->shape->arms, 0, error), fail);
    count_fill(made);
    *learner = made;
    return FORAGE_OK;
fail:
    release(made);
    return status;
}

static size_t memory(const model_learner *learner)
{
    size_t d = learner->d, k = learner->k, candidates = learner->setup->shape->candidates;
    size_t width = learner->setup->shape->request_width + learner->tail, arms = d ? learner->arms : 0;
    size_t bytes = sizeof *learner + (size_t)(arm_bytes((double)d, (double)k) * (double)arms + shared_bytes((double)k));
    bytes += arms * ((learner->ridges ? d * sizeof(double) : 0) + 2 * sizeof(uint32_t));
    bytes += (arms + 1) * (learner->pitch + learner->width_pitch + (k ? d * la_padded(k) : 0)) * sizeof(float);
    bytes += (la_factor_size(learner->tail) + learner->offset_rows * la_padded(learner->tail)) * sizeof(float);
    bytes += learner->window * (width * sizeof(float) + sizeof(float) + sizeof(double) + sizeof(uint32_t));
    return bytes + candidates * 4 * sizeof(float) + 2 * la_packed(d > k ? d : k) * sizeof(double);
}

/* ---- checkpoints ---- */

static double saved_size(const model_online_setup *setup)
{
    widths w = choose_form(setup);
    double k = (double)(w.lead + w.tail), bytes = shared_bytes(k), window;
    if (w.d)
        bytes += arm_bytes((double)w.d, k) * (double)setup->shape->arms;
    window = (double)forage_params_integer(setup->params, "window");
    return bytes + window * (4 * (double)(setup->shape->request_width + w.tail) + 16);
}

/* Every array that is saved, for saving and for loading alike. */
typedef struct saved {
    const char *name;
    nn_dtype dtype;
    size_t rank, shape[3];
    void *data;
} saved;

enum { SAVED_LIMIT = 20 };

static size_t list_saved(const model_learner *learner, saved *list)
{
    size_t arms = learner->arms, d = learner->d, k = learner->k, packed = learner->packed, window = learner->window;
    size_t width = learner->setup->shape->request_width + learner->tail, n = 0;
    model_learner *own = (model_learner *)(uintptr_t)learner; /* saving only reads */
    list[n++] = (saved){"state", NN_F64, 1, {RIDGE_NUMBERS}, own->state};
    if (d) {
        list[n++] = (saved){"arms.numbers", NN_F64, 2, {arms, ARM_NUMBERS}, own->numbers};
        list[n++] = (saved){"arms.gram", NN_F64, 2, {arms, packed}, own->gram};
        list[n++] = (saved){"arms.target", NN_F64, 2, {arms, d}, own->target};
        list[n++] = (saved){"arms.inverse", NN_F64, 2, {arms, packed}, own->inverse};
        list[n++] = (saved){"arms.weights", NN_F64, 2, {arms, d}, own->weights};
    }
    if (d && learner->ridges)
        list[n++] = (saved){"arms.ridges", NN_F64, 2, {arms, d}, own->ridges};
    if (d && k) {
        list[n++] = (saved){"arms.cross", NN_F64, 3, {arms, d, k}, own->cross};
        list[n++] = (saved){"arms.lean", NN_F64, 3, {arms, d, k}, own->lean};
    }
    if (k) {
        list[n++] = (saved){"shared.gram", NN_F64, 1, {la_packed(k)}, own->shared_gram};
        list[n++] = (saved){"shared.target", NN_F64, 1, {k}, own->shared_target};
        list[n++] = (saved){"shared.ridges", NN_F64, 1, {k}, own->shared_ridges};
        list[n++] = (saved){"shared.factor", NN_F64, 1, {la_packed(k)}, own->factor};
        list[n++] = (saved){"shared.weights", NN_F64, 1, {k}, own->beta};
    }
    if (window) {
        list[n++] = (saved){"window.features", NN_F32, 2, {window, width}, own->held_features};
        list[n++] = (saved){"window.rewards", NN_F32, 1, {window}, own->held_rewards};
        list[n++] = (saved){"window.weights", NN_F64, 1, {window}, own->held_weights};
        list[n++] = (saved){"window.arms", NN_U32, 1, {window}, own->held_arms};
    }
    return n;
}

static forage_status save(const model_learner *learner, nn_checkpoint *checkpoint, forage_error *error)
{
    saved list[SAVED_LIMIT];
    size_t count = list_saved(learner, list);
    for (size_t i = 0; i < count; i++)
        FORAGE_TRY(nn_checkpoint_add(checkpoint, list[i].name, list[i].dtype, list[i].rank, list[i].shape, list[i].data,
                                     error));
    return FORAGE_OK;
}

/* No number that lessons could not have led to (far from it): then none that follows is other than finite. */
static forage_status check_numbers(const nn_checkpoint *checkpoint, const saved *tensor, forage_error *error)
{
    static const double GREATEST = 1e40;
    size_t count = 1;
    bool good = true;
    for (size_t i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    for (size_t i = 0; i < count && tensor->dtype == NN_F64; i++)
        good = good && fabs(((const double *)tensor->data)[i]) <= GREATEST;
    for (size_t i = 0; i < count && tensor->dtype == NN_F32; i++)
        good = good && fabsf(((const float *)tensor->data)[i]) <= 1e9F;
    if (!good)
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, tensor->name,
                              "a number here is not finite, or too large");
    return FORAGE_OK;
}

static bool is_count(double number, double limit)
{
    return number >= 0 && number <= limit && number == floor(number);
}

static forage_status check_state(const model_learner *learner, const nn_checkpoint *checkpoint, forage_error *error)
{
    const double *state = learner->state;
    double window = (double)learner->window;
    bool good = state[RIDGE_GROWTH] >= 1 && state[RIDGE_GROWTH] <= 1e7 && is_count(state[RIDGE_AGE], 1e15) &&
                is_count(state[RIDGE_NEXT], 1e15) && is_count(state[RIDGE_HELD], window) &&
                (state[RIDGE_HEAD] == 0 || is_count(state[RIDGE_HEAD], window - 1));
    for (size_t i = 0; i < learner->k; i++)
        good = good && learner->shared_ridges[i] > 0;
    for (size_t i = 0; i < learner->arms * learner->d && learner->ridges; i++)
        good = good && learner->ridges[i] > 0;
    for (size_t i = 0; i < learner->window; i++)
        good = good && learner->held_weights[i] >= 0 &&
               (!learner->held_weights[i] || learner->held_arms[i] < learner->setup->shape->arms);
    if (!good)
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "state",
                              "these numbers do not go together");
    return FORAGE_OK;
}

/* Keeps what was loaded where it is what the sums say but for rounding; `loaded` and `exact` hold `count`. */
static bool agree(const double *loaded, const double *exact, size_t count)
{
    double greatest = 0, off = 0;
    for (size_t i = 0; i < count; i++) {
        greatest = fmax(greatest, fabs(exact[i]));
        off = fmax(off, fabs(loaded[i] - exact[i]));
    }
    return off <= 1e-3 * greatest + 1e-9;
}

/* What follows from the sums is computed again; what was loaded is kept if it is the same but for rounding, so that
 * a learner goes on to the same bytes, and no file can make it say what its sums do not. `room` has space for all. */
static void check_derived(model_learner *learner, double *room)
{
    size_t d = learner->d, k = learner->k, packed = learner->packed;
    for (size_t arm = 0; arm < learner->arms && d; arm++) {
        double *parts[] = {learner->inverse + arm * packed, learner->weights + arm * d, learner->lean + arm * d * k,
                           learner->numbers + arm * ARM_NUMBERS};
        size_t sizes[] = {packed, d, d * k, ARM_NUMBERS}, at = 0;
        bool same = true;
        for (size_t i = 0; i < 4; at += sizes[i++])
            memcpy(room + at, parts[i], sizes[i] * sizeof *room);
        model_linear_refresh_arm(learner, arm);
        double trace = parts[3][ARM_TRACE];
        at = 0;
        for (size_t i = 0; i < 3; at += sizes[i++])
            same = same && agree(room + at, parts[i], sizes[i]);
        same = same && agree(room + at + ARM_TRACE, &trace, 1) && is_count(room[at + ARM_AGE], 1e15);
        at = 0;
        for (size_t i = 0; i < 4 && same; at += sizes[i++])
            memcpy(parts[i], room + at, sizes[i] * sizeof *room);
        model_linear_narrow(learner, arm);
    }
    if (!k)
        return;
    double age = learner->state[RIDGE_AGE];
    memcpy(room, learner->factor, la_packed(k) * sizeof *room);
    memcpy(room + la_packed(k), learner->beta, k * sizeof *room);
    model_linear_refresh_shared(learner);
    if (agree(room, learner->factor, la_packed(k)) && agree(room + la_packed(k), learner->beta, k)) {
        memcpy(learner->factor, room, la_packed(k) * sizeof *room);
        memcpy(learner->beta, room + la_packed(k), k * sizeof *room);
        learner->state[RIDGE_AGE] = age;
    }
}

static forage_status load(model_learner *learner, const nn_checkpoint *checkpoint, forage_error *error)
{
    saved list[SAVED_LIMIT];
    size_t count = list_saved(learner, list), d = learner->d, k = learner->k;
    for (size_t i = 0; i < count; i++) {
        FORAGE_TRY(nn_checkpoint_read(checkpoint, list[i].name, list[i].dtype, list[i].rank, list[i].shape,
                                      list[i].data, error));
        FORAGE_TRY(check_numbers(checkpoint, &list[i], error));
    }
    FORAGE_TRY(check_state(learner, checkpoint, error));
    double *room = forage_alloc(learner->packed + d + d * k + ARM_NUMBERS + la_packed(k) + k, sizeof *room);
    if (!room)
        return no_memory(learner, learner->arms, error);
    check_derived(learner, room);
    forage_free(room);
    return FORAGE_OK;
}

static const model_online online = {
    .create = create,
    .free = release,
    .estimate = model_linear_estimate,
    .draw = model_linear_draw,
    .learn = model_linear_learn,
    .forget = model_linear_forget,
    .merge = model_linear_merge,
    .grow = grow,
    .save = save,
    .load = load,
    .memory = memory,
    .saved_size = saved_size,
    .check_forget = model_linear_check_forget,
    .check_merge = model_linear_check_merge,
};

const model_type model_linear_ridge = {
    .info =
        {
            .name = "linear-ridge",
            .version = 1,
            .summary = "ridge regression, exact after every event; LinUCB's and linear Thompson sampling's model",
            .capabilities = FORAGE_CAN_LEARN | FORAGE_HAS_DEVIATION,
            .table = {"linear-ridge", params, sizeof params / sizeof params[0], NULL, 0},
        },
    .online = &online,
    .minimum_reward = -1e9F,
    .maximum_reward = 1e9F,
};
