/*
 * neural_linear.c: Bayesian linear regression on what a network's last hidden layer sees (Snoek et al. 2015;
 * Riquelme, Tucker and Snoek 2018, "NeuralLinear").
 *
 *   phi(request, user, candidate, arm) = [ 1 | features, with `skip` | s h_L ]
 *   r = phi' beta + noise, beta and the noise's variance with a normal-inverse-gamma posterior (ridge.h)
 *   mean = phi' m,  deviation^2 = E[sigma^2] phi' P phi
 *
 * One posterior for each arm, or one for all (`heads`, see neural.h). h_L is scaled by s so that its mean square over
 * the buffer is 1: the prior then means the same whatever the network made of it. The posterior is exact for the
 * present phi; after a refit of the network it is computed anew from the buffer, and lessons that the buffer no
 * longer holds are forgotten with the old phi.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/neural.h"
#include "model/ridge.h"

#include <math.h>
#include <string.h>

static const forage_param params[] = {
    {"ridge", FORAGE_PARAM_REAL, "0.5", 1e-6, 1e9, NULL,
     "strength of the prior: weights are near 0 with variance sigma^2 / ridge"},
    {"a0", FORAGE_PARAM_REAL, "2", 1e-3, 1e9, NULL, "prior of the noise: shape; worth 2 a0 lessons"},
    {"b0", FORAGE_PARAM_REAL, "0.25", 1e-12, 1e18, NULL, "prior of the noise: scale; its variance is about b0 / a0"},
    {"skip", FORAGE_PARAM_BOOLEAN, "true", 0, 0, NULL, "the regression sees the features themselves, too"},
    NEURAL_PARAMS("64,16", "200", "1.25"),
};

struct model_learner {
    const model_online_setup *setup;
    neural *net;
    bool skip;
    model_ridge ridge;
    double a0, b0;
    size_t width, size;   /* of phi, of a state (ridge.h) */
    size_t states;        /* one for each arm, or 1 */
    double *state, *next; /* [states][size], of the network in use and of the one that is being trained */
    double scale, next_scale;
    float *hidden;          /* [NEURAL_ROWS][head_stride], the owner's */
    float *settle_hidden;   /* [head_stride], of whoever settles */
    float *settle_phi;      /* [width], the same */
    double *settle_square;  /* packed, the same */
    double *settle_weights; /* [states][width], the same */
    double *scratch;        /* [2][width] */
    float *phi;             /* [NEURAL_ROWS][width] of the candidates that were met last */

    /* The candidates that were met last, so that many draws for the same ones run the network once. */
    struct {
        bool valid, squared, rooted;
        size_t count;
        uint32_t user;
        float *request, *features;
        uint32_t *arms;
        double *mean, *square; /* [NEURAL_ROWS] phi' m, phi' P phi */
    } last;
    double *root; /* packed, of a state's P */
    double
        *drawn; /* [states][width] the weights of this draw; with net->one_pass [states] a normal number times sigma */
    uint64_t *stamp; /* [states] the draw that they belong to */
    uint64_t draws;
};

static forage_status out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for neural-linear");
}

/* ---- what the regression sees ---- */

/* phi of one row, whose hidden layer is `hidden`. */
static void compose(const model_learner *learner, const float *x, const float *hidden, double scale, float *phi)
{
    size_t numbers = learner->skip ? learner->net->numbers : 0;
    phi[0] = 1.0F;
    memcpy(phi + 1, x, numbers * sizeof *phi);
    for (size_t j = 0; j < learner->net->mlp->head_in; j++)
        phi[1 + numbers + j] = (float)scale * hidden[j];
}

/* phi of the candidates [first, first + count), at most NEURAL_ROWS. */
static void compose_candidates(model_learner *learner, const forage_candidates *candidates, size_t first, size_t count)
{
    neural *net = learner->net;
    nn_inputs inputs = neural_inputs(net, candidates, first, count);
    nn_mlp_features(net->mlp, &inputs, net->scratch.forward, learner->hidden);
    for (size_t i = 0; i < inputs.count; i++)
        compose(learner, inputs.matrix + i * net->numbers, learner->hidden + i * net->mlp->head_stride, learner->scale,
                learner->phi + i * learner->width);
}

static void compose_row(const model_learner *learner, const neural_row *row, float *phi)
{
    const neural *net = learner->net;
    const uint32_t *codes[2];
    nn_inputs inputs = neural_row_inputs(net, row, codes);
    nn_mlp_features(net->mlp, &inputs, net->scratch.forward, learner->hidden);
    compose(learner, row->x, learner->hidden, learner->scale, phi);
}

static double *state_of(const model_learner *learner, uint32_t arm)
{
    if (learner->states == 1 && !learner->net->arm_heads)
        return learner->state;
    return arm < learner->states ? learner->state + arm * learner->size : NULL;
}

static const float *phi_of(const model_learner *learner, size_t i)
{
    return learner->phi + (learner->net->one_pass ? 0 : i) * learner->width;
}

/* ---- estimates ---- */

/* Mean and square of the chunk's candidates; `square` NULL: not wanted. An arm that nobody knows has the prior's. */
static void measure(const model_learner *learner, const uint32_t *arms, size_t count, double *mean, double *square)
{
    for (size_t i = 0; i < count; i++) {
        const double *state = state_of(learner, arms[i]);
        const float *phi = phi_of(learner, i);
        double sum = 0.0;
        mean[i] = state ? model_ridge_mean(&learner->ridge, state, phi) : 0.0;
        if (!square)
            continue;
        for (size_t j = 0; !state && j < learner->width; j++)
            sum += (double)phi[j] * (double)phi[j];
        square[i] =
            state ? model_ridge_square(&learner->ridge, state, phi, learner->scratch) : sum / learner->ridge.prior;
    }
}

/* a and b of a state's noise. */
static void noise_of(const model_learner *learner, const double *state, double *a, double *b)
{
    *a = learner->a0;
    *b = learner->b0;
    if (state)
        model_ridge_noise(&learner->ridge, state, learner->a0, learner->b0, a, b);
}

static bool same(const void *left, const void *right, size_t size)
{
    return size == 0 || memcmp(left, right, size) == 0;
}

static void keep(void *to, const void *from, size_t size)
{
    if (size)
        memcpy(to, from, size);
}

static bool met_last(const model_learner *learner, const forage_candidates *candidates)
{
    const forage_learner_shape *shape = learner->setup->shape;
    size_t count = candidates->count;
    return learner->last.valid && learner->last.count == count && learner->last.user == candidates->user &&
           same(learner->last.request, candidates->request, shape->request_width * sizeof(float)) &&
           same(learner->last.arms, candidates->arms, count * sizeof(uint32_t)) &&
           same(learner->last.features, candidates->features, count * shape->candidate_width * sizeof(float));
}

/* Sees to it that phi, mean and (if wanted) square of at most NEURAL_ROWS candidates are there. */
static void meet(model_learner *learner, const forage_candidates *candidates, bool square)
{
    const forage_learner_shape *shape = learner->setup->shape;
    size_t count = candidates->count;
    if (!met_last(learner, candidates)) {
        compose_candidates(learner, candidates, 0, count);
        learner->last.valid = true;
        learner->last.squared = false;
        learner->last.count = count;
        learner->last.user = candidates->user;
        keep(learner->last.request, candidates->request, shape->request_width * sizeof(float));
        keep(learner->last.arms, candidates->arms, count * sizeof(uint32_t));
        keep(learner->last.features, candidates->features, count * shape->candidate_width * sizeof(float));
        measure(learner, candidates->arms, count, learner->last.mean, square ? learner->last.square : NULL);
        learner->last.squared = square;
    } else if (square && !learner->last.squared) {
        measure(learner, candidates->arms, count, learner->last.mean, learner->last.square);
        learner->last.squared = true;
    }
}

/* The candidates [first, first + count) of a longer list. */
static forage_candidates part_of(const model_learner *learner, const forage_candidates *candidates, size_t first,
                                 size_t count)
{
    forage_candidates part = *candidates;
    part.count = count;
    part.arms += first;
    if (part.features)
        part.features += first * learner->setup->shape->candidate_width;
    return part;
}

static void estimate(model_learner *learner, const forage_candidates *candidates, float *mean, float *deviation)
{
    for (size_t first = 0; first < candidates->count; first += NEURAL_ROWS) {
        size_t left = candidates->count - first, count = left < NEURAL_ROWS ? left : NEURAL_ROWS;
        forage_candidates part = part_of(learner, candidates, first, count);
        meet(learner, &part, deviation != NULL);
        double a = 0.0, b = 0.0;
        const double *known = NULL;
        for (size_t i = 0; i < count; i++) {
            const double *state = state_of(learner, part.arms[i]);
            mean[first + i] = (float)learner->last.mean[i];
            if (!deviation)
                continue;
            if (i == 0 || state != known)
                noise_of(learner, state, &a, &b);
            known = state;
            deviation[first + i] = (float)sqrt(model_ridge_variance(a, b) * learner->last.square[i]);
        }
    }
}

/* ---- draws ---- */

static double draw_sigma(const model_learner *learner, const double *state, forage_rng *rng)
{
    double a, b;
    noise_of(learner, state, &a, &b);
    return sqrt(model_ridge_draw_variance(a, b, rng));
}

/* With net->one_pass all candidates have the same phi and each its arm's weights, so arms are independent and a
 * single normal number stands for an arm's weights. */
static double draw_arm(model_learner *learner, const double *state, size_t i, forage_rng *rng)
{
    double *own = NULL;
    if (state) {
        size_t s = (size_t)(state - learner->state) / learner->size;
        own = learner->drawn + s;
        if (learner->stamp[s] != learner->draws)
            *own = draw_sigma(learner, state, rng) * forage_rng_normal(rng);
        learner->stamp[s] = learner->draws;
    }
    double normal = own ? *own : draw_sigma(learner, NULL, rng) * forage_rng_normal(rng);
    return learner->last.mean[i] + sqrt(learner->last.square[i]) * normal;
}

/* The weights of `state` in this draw. */
static const double *draw_weights(model_learner *learner, const double *state, forage_rng *rng)
{
    size_t s = (size_t)(state - learner->state) / learner->size;
    double *weights = learner->drawn + s * learner->width;
    if (learner->stamp[s] == learner->draws)
        return weights;
    if (learner->states > 1 || !learner->last.rooted)
        model_ridge_root(&learner->ridge, state, learner->root);
    learner->last.rooted = true;
    model_ridge_draw(&learner->ridge, state, learner->root, draw_sigma(learner, state, rng), rng, weights);
    learner->stamp[s] = learner->draws;
    return weights;
}

static void draw(model_learner *learner, const forage_candidates *candidates, forage_rng *rng, float *values)
{
    learner->draws++;
    for (size_t first = 0; first < candidates->count; first += NEURAL_ROWS) {
        size_t left = candidates->count - first, count = left < NEURAL_ROWS ? left : NEURAL_ROWS;
        forage_candidates part = part_of(learner, candidates, first, count);
        meet(learner, &part, learner->net->arm_heads);
        for (size_t i = 0; i < count; i++) {
            const double *state = state_of(learner, part.arms[i]);
            if (learner->net->one_pass || !state) {
                values[first + i] = (float)draw_arm(learner, state, i, rng);
                continue;
            }
            const double *weights = draw_weights(learner, state, rng);
            const float *phi = phi_of(learner, i);
            double sum = 0.0;
            for (size_t j = 0; j < learner->width; j++)
                sum += weights[j] * (double)phi[j];
            values[first + i] = (float)sum;
        }
    }
}

/* ---- learning ---- */

static void absorb(model_learner *learner, const neural_row *row)
{
    compose_row(learner, row, learner->phi);
    model_ridge_learn(&learner->ridge, state_of(learner, row->arm), learner->phi, (double)row->reward,
                      (double)row->weight, learner->scratch);
}

static void learn(model_learner *learner, const forage_lesson *lesson)
{
    neural_row row = neural_lesson_row(learner->net, lesson);
    learner->last.valid = learner->last.rooted = false;
    absorb(learner, &row);
    neural_keep(learner->net, &row);
}

/* In the thread: h_L of one lesson under the new network. */
static neural_row settle_row(const model_learner *learner, uint64_t event)
{
    const neural *net = learner->net;
    const uint32_t *codes[2];
    neural_row row = neural_row_at(net, event);
    nn_inputs inputs = neural_row_inputs(net, &row, codes);
    nn_mlp_features(net->next, &inputs, net->scratch.settle, learner->settle_hidden);
    return row;
}

/* s: one over the root mean square of h_L over some of the lessons. */
static double settle_scale(const model_learner *learner, uint64_t first, uint64_t end)
{
    enum { SAMPLE = 1024 };
    size_t units = learner->net->next->head_in;
    uint64_t stride = (end - first) / SAMPLE + 1;
    double sum = 0.0, count = 0.0;
    for (uint64_t e = first; e < end; e += stride, count += (double)units) {
        (void)settle_row(learner, e);
        for (size_t j = 0; j < units; j++)
            sum += (double)learner->settle_hidden[j] * (double)learner->settle_hidden[j];
    }
    return sum > 1e-12 * count ? 1.0 / sqrt(sum / count) : 1.0;
}

/* Adds the lessons [first, end) that are held out, or the others, to the sums of `next`. */
static void settle_add(model_learner *learner, uint64_t first, uint64_t end, bool held)
{
    for (uint64_t e = first; e < end; e++) {
        if (neural_held_out(e) != held)
            continue;
        neural_row row = settle_row(learner, e);
        double *state = learner->next + (learner->net->arm_heads ? row.arm * learner->size : 0);
        compose(learner, row.x, learner->settle_hidden, learner->next_scale, learner->settle_phi);
        model_ridge_add(&learner->ridge, state, learner->settle_phi, (double)row.reward, (double)row.weight,
                        learner->settle_square);
    }
}

/* What the lessons that are held out say against multiplying h_L by `scale`. */
static double settle_error(model_learner *learner, uint64_t first, uint64_t end, double scale)
{
    size_t width = learner->width, linear = width - learner->net->next->head_in;
    double sum = 0.0;
    for (size_t s = 0; s < learner->states; s++)
        model_ridge_try(&learner->ridge, learner->next + s * learner->size, linear, scale,
                        learner->settle_weights + s * width, learner->settle_square);
    for (uint64_t e = first; e < end; e++) {
        if (!neural_held_out(e))
            continue;
        neural_row row = settle_row(learner, e);
        const double *m = learner->settle_weights + (learner->net->arm_heads ? row.arm * width : 0);
        compose(learner, row.x, learner->settle_hidden, learner->next_scale, learner->settle_phi);
        double error = (double)row.reward;
        for (size_t i = 0; i < width; i++)
            error -= m[i] * (double)learner->settle_phi[i];
        sum += (double)row.weight * error * error;
    }
    return sum;
}

/* How much of the prior's variance h_L deserves beside the plain features: where rewards are nearly linear or mostly
 * noise, a wide prior on many hidden units costs more exploration than they are worth. The largest factor that the
 * lessons held out do not speak against. */
static double settle_factor(model_learner *learner, uint64_t first, uint64_t end)
{
    static const double factors[] = {1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125};
    enum { COUNT = sizeof factors / sizeof factors[0] };
    const double tolerance = 1.02;
    double error[COUNT], least = INFINITY;
    size_t chosen = 0;
    for (size_t i = 0; i < COUNT; i++) {
        error[i] = settle_error(learner, first, end, factors[i]);
        if (error[i] < least)
            least = error[i];
    }
    while (chosen + 1 < COUNT && error[chosen] > tolerance * least)
        chosen++;
    return factors[chosen];
}

/* In the thread: the posterior over lessons [first, end) under the new network. */
static void settle(void *context, uint64_t first, uint64_t end)
{
    model_learner *learner = context;
    size_t width = learner->width, linear = width - learner->net->next->head_in;
    learner->next_scale = settle_scale(learner, first, end);
    for (size_t s = 0; s < learner->states; s++)
        model_ridge_begin(&learner->ridge, learner->next + s * learner->size);
    settle_add(learner, first, end, false);
    double factor = settle_factor(learner, first, end);
    settle_add(learner, first, end, true);
    learner->next_scale *= factor;
    for (size_t s = 0; s < learner->states; s++) {
        model_ridge_rescale(&learner->ridge, learner->next + s * learner->size, linear, factor);
        model_ridge_settle(&learner->ridge, learner->next + s * learner->size, learner->settle_square);
    }
}

static void swap(void *context, uint64_t from, uint64_t end)
{
    model_learner *learner = context;
    double *old = learner->state;
    learner->state = learner->next;
    learner->next = old;
    learner->scale = learner->next_scale;
    for (uint64_t e = from; e < end; e++) {
        neural_row row = neural_row_at(learner->net, e);
        absorb(learner, &row);
    }
}

/* ---- construction ---- */

static void release_parts(model_learner *learner)
{
    neural_free(learner->net); /* first: it waits for whoever settles */
    forage_free(learner->state);
    forage_free(learner->next);
    forage_free(learner->hidden);
    forage_free(learner->settle_hidden);
    forage_free(learner->settle_phi);
    forage_free(learner->settle_square);
    forage_free(learner->settle_weights);
    forage_free(learner->scratch);
    forage_free(learner->phi);
    forage_free(learner->last.request);
    forage_free(learner->last.features);
    forage_free(learner->last.arms);
    forage_free(learner->last.mean);
    forage_free(learner->last.square);
    forage_free(learner->root);
    forage_free(learner->drawn);
    forage_free(learner->stamp);
    *learner = (model_learner){.setup = learner->setup};
}

static void release(model_learner *learner)
{
    if (!learner)
        return;
    release_parts(learner);
    forage_free(learner);
}

/* Blocks whose size depends on the number of states. */
typedef struct growing {
    double *state, *next, *drawn, *weights;
    uint64_t *stamp;
} growing;

static bool growing_create(const model_learner *learner, size_t states, growing *made)
{
    size_t drawn = learner->net->one_pass ? 1 : learner->width;
    made->state = forage_alloc(states, learner->size * sizeof *made->state);
    made->next = forage_alloc(states, learner->size * sizeof *made->next);
    made->drawn = forage_calloc(states, drawn * sizeof *made->drawn);
    made->weights = forage_alloc(states, learner->width * sizeof *made->weights);
    made->stamp = forage_calloc(states, sizeof *made->stamp);
    return made->state && made->next && made->drawn && made->weights && made->stamp;
}

static void growing_free(growing *made)
{
    forage_free(made->state);
    forage_free(made->next);
    forage_free(made->drawn);
    forage_free(made->weights);
    forage_free(made->stamp);
}

/* Takes the blocks over; states that were there keep what they know. */
static void growing_take(model_learner *learner, size_t states, const growing *made)
{
    growing old = {learner->state, learner->next, learner->drawn, learner->settle_weights, learner->stamp};
    size_t kept = old.state ? learner->states : 0;
    if (kept)
        memcpy(made->state, old.state, kept * learner->size * sizeof *made->state);
    for (size_t s = kept; s < states; s++)
        model_ridge_clear(&learner->ridge, made->state + s * learner->size);
    learner->state = made->state;
    learner->next = made->next;
    learner->drawn = made->drawn;
    learner->settle_weights = made->weights;
    learner->stamp = made->stamp;
    learner->states = states;
    learner->last.valid = learner->last.rooted = false;
    growing_free(&old);
}

static bool allocate(model_learner *learner)
{
    const forage_learner_shape *shape = learner->setup->shape;
    size_t width = learner->width, stride = learner->net->mlp->head_stride;
    learner->hidden = forage_alloc(NEURAL_ROWS, stride * sizeof(float));
    learner->settle_hidden = forage_alloc(stride, sizeof(float));
    learner->settle_phi = forage_alloc(width, sizeof(float));
    learner->settle_square = forage_alloc(la_packed(width), sizeof(double));
    learner->scratch = forage_alloc(width, 2 * sizeof(double));
    learner->phi = forage_alloc(NEURAL_ROWS, width * sizeof(float));
    learner->last.request = forage_alloc(shape->request_width + 1, sizeof(float));
    learner->last.features = forage_alloc(NEURAL_ROWS, (shape->candidate_width + 1) * sizeof(float));
    learner->last.arms = forage_alloc(NEURAL_ROWS, sizeof(uint32_t));
    learner->last.mean = forage_alloc(NEURAL_ROWS, sizeof(double));
    learner->last.square = forage_alloc(NEURAL_ROWS, sizeof(double));
    learner->root = forage_alloc(la_packed(width), sizeof(double));
    return learner->hidden && learner->settle_hidden && learner->settle_phi && learner->settle_square &&
           learner->scratch && learner->phi && learner->last.request && learner->last.features && learner->last.arms &&
           learner->last.mean && learner->last.square && learner->root;
}

static forage_status build(model_learner *learner, bool arm_heads, forage_error *error)
{
    const model_online_setup *setup = learner->setup;
    const neural_hooks hooks = {.context = learner, .settle = settle, .swap = swap};
    learner->skip = forage_params_boolean(setup->params, "skip");
    learner->a0 = forage_params_real(setup->params, "a0");
    learner->b0 = forage_params_real(setup->params, "b0");
    learner->scale = 0.25; /* before anything is known */
    FORAGE_TRY(neural_create(setup, arm_heads, &hooks, &learner->net, error));
    learner->width = 1 + (learner->skip ? learner->net->numbers : 0) + learner->net->mlp->head_in;
    learner->size = model_ridge_size(learner->width);
    learner->ridge = (model_ridge){.kernels = la_kernels_for(setup->device->isa),
                                   .width = learner->width,
                                   .prior = forage_params_real(setup->params, "ridge")};
    growing made = {0};
    size_t states = arm_heads && setup->shape->arms ? setup->shape->arms : 1;
    if (!allocate(learner) || !growing_create(learner, states, &made)) {
        growing_free(&made);
        return out_of_memory(error);
    }
    growing_take(learner, states, &made);
    return FORAGE_OK;
}

static forage_status create(const model_online_setup *setup, model_learner **learner, forage_error *error)
{
    *learner = NULL;
    model_learner *made = forage_calloc(1, sizeof *made);
    if (!made)
        return out_of_memory(error);
    made->setup = setup;
    forage_status status = build(made, neural_wants_arm_heads(setup), error);
    if (status != FORAGE_OK) {
        release(made);
        return status;
    }
    *learner = made;
    return FORAGE_OK;
}

static forage_status grow(model_learner *learner, size_t arms, size_t users, forage_error *error)
{
    size_t states = learner->net->arm_heads && arms ? arms : 1;
    neural_growth growth;
    growing made = {0};
    FORAGE_TRY(neural_growth_create(learner->net, arms, users, &growth, error));
    if (!growing_create(learner, states, &made)) {
        growing_free(&made);
        neural_growth_release(&growth);
        return out_of_memory(error);
    }
    neural_grow(learner->net, &growth);
    growing_take(learner, states, &made);
    neural_resume(learner->net);
    return FORAGE_OK;
}

/* ---- checkpoints ---- */

static forage_status save(const model_learner *learner, nn_checkpoint *checkpoint, forage_error *error)
{
    size_t shape[2] = {learner->states, learner->size};
    FORAGE_TRY(neural_save(learner->net, checkpoint, error));
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "head.scale", NN_F64, 1, (size_t[]){1}, &learner->scale, error));
    return nn_checkpoint_add(checkpoint, "head.state", NN_F64, 2, shape, learner->state, error);
}

static forage_status load(model_learner *learner, const nn_checkpoint *checkpoint, forage_error *error)
{
    bool arm_heads = neural_saved_arm_heads(checkpoint);
    if (arm_heads != learner->net->arm_heads) { /* "auto" has seen another number of arms when it was made */
        release_parts(learner);
        FORAGE_TRY(build(learner, arm_heads, error));
    }
    size_t shape[2] = {learner->states, learner->size};
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "head.scale", NN_F64, 1, (size_t[]){1}, &learner->scale, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "head.state", NN_F64, 2, shape, learner->state, error));
    bool good = learner->scale >= 1e-12 && learner->scale <= 1e12;
    for (size_t i = 0; i < learner->states * learner->size; i++)
        good = good && fabs(learner->state[i]) <= 1e25; /* what follows is finite in float32 */
    if (!good)
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "head.state",
                              "there are numbers that are not finite, or too large");
    FORAGE_TRY(neural_load(learner->net, checkpoint, error));
    neural_resume(learner->net);
    return FORAGE_OK;
}

static double saved_size(const model_online_setup *setup)
{
    double width = forage_params_boolean(setup->params, "skip")
                       ? (double)setup->shape->request_width + (double)setup->shape->candidate_width
                       : 0.0;
    double states = neural_wants_arm_heads(setup) ? (double)setup->shape->arms : 1.0;
    return neural_saved_size(setup) + 4.0 * width * width * states;
}

static size_t memory(const model_learner *learner)
{
    const forage_learner_shape *shape = learner->setup->shape;
    size_t drawn = learner->net->one_pass ? 1 : learner->width;
    return sizeof *learner + neural_memory(learner->net) +
           learner->states * (2 * learner->size + drawn + 1) * sizeof(double) +
           2 * la_packed(learner->width) * sizeof(double) +
           NEURAL_ROWS * (learner->width + learner->net->mlp->head_stride + shape->candidate_width + 5) * sizeof(float);
}

static const model_online online = {
    .create = create,
    .free = release,
    .estimate = estimate,
    .draw = draw,
    .learn = learn,
    .grow = grow,
    .save = save,
    .load = load,
    .memory = memory,
    .saved_size = saved_size,
};

const model_type model_neural_linear = {
    .info =
        {
            .name = "neural-linear",
            .version = 1,
            .summary = "Bayesian linear regression on a network's last hidden layer, refitted beside the traffic",
            .capabilities = FORAGE_CAN_LEARN | FORAGE_HAS_DEVIATION,
            .table = {"neural-linear", params, sizeof params / sizeof params[0], NULL, 0},
        },
    .online = &online,
    .minimum_reward = -1e9F,
    .maximum_reward = 1e9F,
};
