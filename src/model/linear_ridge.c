/*
 * linear_ridge.c: ridge regression of the reward, one weight vector for each arm over the
 * request's features, kept exact event by event.
 *
 *   A = ridge I + sum w x x',  b = sum w r x,  theta = A^-1 b
 *   mean = x' theta,  deviation = noise sqrt(x' A^-1 x)
 *
 * A^-1 follows each event by Sherman and Morrison's rank-1 update.
 */
#include "model/descriptor.h"

#include <math.h>
#include <string.h>

struct model_learner {
    const model_online_setup *setup;
    size_t width, arms;
    double ridge, noise;
    double *inverse; /* [arms, width, width] */
    double *target;  /* [arms, width] */
    double *theta;   /* [arms, width] */
    double *product; /* [width] scratch */
};

static const forage_param params[] = {
    {"ridge", FORAGE_PARAM_REAL, "1", 1e-6, 1e9, NULL,
     "strength of the prior: weights are near 0 with variance 1 / ridge"},
    {"noise", FORAGE_PARAM_REAL, "1", 0, 1e9, NULL,
     "standard deviation of a reward around its mean: scales the deviation"},
};

static void release(model_learner *learner)
{
    if (!learner)
        return;
    forage_free(learner->inverse);
    forage_free(learner->target);
    forage_free(learner->theta);
    forage_free(learner->product);
    forage_free(learner);
}

static double saved_size(const model_online_setup *setup)
{
    double width = (double)setup->shape->request_width;
    return 8 * (double)setup->shape->arms * width * (width + 1);
}

/* Arms from `first` on know nothing. */
static void begin(model_learner *learner, size_t first, size_t arms)
{
    size_t d = learner->width;
    for (size_t a = first; a < arms; a++) {
        memset(learner->target + a * d, 0, d * sizeof(double));
        memset(learner->theta + a * d, 0, d * sizeof(double));
        memset(learner->inverse + a * d * d, 0, d * d * sizeof(double));
        for (size_t i = 0; i < d; i++)
            learner->inverse[a * d * d + i * d + i] = 1 / learner->ridge;
    }
}

static forage_status grow(model_learner *learner, size_t arms, size_t users, forage_error *error)
{
    size_t d = learner->width, old = learner->arms;
    (void)users;
    if (d && arms > SIZE_MAX / 16 / d / d)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu arms of %zu features", arms, d);
    double *inverse = forage_realloc(learner->inverse, old * d * d, arms * d * d + 1, sizeof *inverse);
    learner->inverse = inverse ? inverse : learner->inverse;
    double *target = forage_realloc(learner->target, old * d, arms * d + 1, sizeof *target);
    learner->target = target ? target : learner->target;
    double *theta = forage_realloc(learner->theta, old * d, arms * d + 1, sizeof *theta);
    learner->theta = theta ? theta : learner->theta;
    if (!inverse || !target || !theta)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %zu arms of %zu features", arms, d);
    begin(learner, old, arms);
    learner->arms = arms;
    return FORAGE_OK;
}

static forage_status create(const model_online_setup *setup, model_learner **learner, forage_error *error)
{
    *learner = NULL;
    if (setup->shape->request_width == 0)
        return forage_fail(error, FORAGE_INVALID, "linear-ridge needs features of the request");
    model_learner *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for linear-ridge");
    made->setup = setup;
    made->width = setup->shape->request_width;
    made->ridge = forage_params_real(setup->params, "ridge");
    made->noise = forage_params_real(setup->params, "noise");
    made->product = forage_alloc(made->width, sizeof *made->product);
    forage_status status = made->product ? grow(made, setup->shape->arms, 0, error)
                                         : forage_fail(error, FORAGE_NO_MEMORY, "no memory for linear-ridge");
    if (status != FORAGE_OK) {
        release(made);
        return status;
    }
    *learner = made;
    return FORAGE_OK;
}

/* product = A^-1 x; returns x' A^-1 x */
static double multiply(const model_learner *learner, size_t arm, const float *x, double *product)
{
    size_t d = learner->width;
    double square = 0;
    for (size_t i = 0; i < d; i++) {
        const double *row = learner->inverse + (arm * d + i) * d;
        double sum = 0;
        for (size_t j = 0; j < d; j++)
            sum += row[j] * (double)x[j];
        product[i] = sum;
        square += sum * (double)x[i];
    }
    return square;
}

static void estimate(model_learner *learner, const forage_candidates *candidates, float *mean, float *deviation)
{
    size_t d = learner->width;
    double norm = 0;
    for (size_t i = 0; i < d; i++)
        norm += (double)candidates->request[i] * (double)candidates->request[i];
    for (size_t c = 0; c < candidates->count; c++) {
        size_t arm = candidates->arms[c];
        double sum = 0;
        if (arm < learner->arms) {
            for (size_t i = 0; i < d; i++)
                sum += learner->theta[arm * d + i] * (double)candidates->request[i];
        }
        mean[c] = (float)sum;
        if (deviation) {
            double square = arm < learner->arms ? multiply(learner, arm, candidates->request, learner->product)
                                                : norm / learner->ridge;
            deviation[c] = (float)(learner->noise * sqrt(fmax(square, 0)));
        }
    }
}

/* A += weight x x', b += weight reward x, for a weight of either sign. */
static void update(model_learner *learner, const forage_lesson *lesson, double weight)
{
    size_t d = learner->width, arm = lesson->arm;
    double *inverse = learner->inverse + arm * d * d, *target = learner->target + arm * d;
    double *theta = learner->theta + arm * d, *product = learner->product;
    double square = multiply(learner, arm, lesson->request, product);
    double factor = weight / (1 + weight * square);
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j < d; j++)
            inverse[i * d + j] -= factor * product[i] * product[j];
        target[i] += weight * (double)lesson->reward * (double)lesson->request[i];
    }
    for (size_t i = 0; i < d; i++) {
        double sum = 0;
        for (size_t j = 0; j < d; j++)
            sum += inverse[i * d + j] * target[j];
        theta[i] = sum;
    }
}

static void learn(model_learner *learner, const forage_lesson *lesson)
{
    update(learner, lesson, (double)lesson->weight);
}

static void forget(model_learner *learner, const forage_lesson *lesson)
{
    update(learner, lesson, -(double)lesson->weight);
}

static forage_status save(const model_learner *learner, nn_checkpoint *checkpoint, forage_error *error)
{
    size_t shape[3] = {learner->arms, learner->width, learner->width};
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "inverse", NN_F64, 3, shape, learner->inverse, error));
    return nn_checkpoint_add(checkpoint, "target", NN_F64, 2, shape, learner->target, error);
}

static forage_status load(model_learner *learner, const nn_checkpoint *checkpoint, forage_error *error)
{
    size_t d = learner->width, shape[3] = {learner->arms, d, d};
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "inverse", NN_F64, 3, shape, learner->inverse, error));
    FORAGE_TRY(nn_checkpoint_read(checkpoint, "target", NN_F64, 2, shape, learner->target, error));
    for (size_t i = 0; i < learner->arms * d * d; i++) {
        if (!isfinite(learner->inverse[i]) || !isfinite(learner->target[i / d]))
            return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "inverse",
                                  "arm %zu has numbers that are not finite", i / d / d);
    }
    for (size_t i = 0; i < learner->arms * d; i++) {
        double sum = 0;
        for (size_t j = 0; j < d; j++)
            sum += learner->inverse[i * d + j] * learner->target[i / d * d + j];
        learner->theta[i] = sum;
    }
    return FORAGE_OK;
}

static size_t memory(const model_learner *learner)
{
    return sizeof *learner + (learner->arms * learner->width * (learner->width + 2) + learner->width) * sizeof(double);
}

static const model_online online = {
    .create = create,
    .free = release,
    .estimate = estimate,
    .learn = learn,
    .forget = forget,
    .grow = grow,
    .save = save,
    .load = load,
    .memory = memory,
    .saved_size = saved_size,
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
