/*
 * neural_ucb.c: a network's mean, and how sure it is from the gradient of its output (NeuralUCB: Zhou, Li and Gu 2020;
 * with draws NeuralTS: Zhang, Zhou, Li and Gu 2021).
 *
 *   g = df(x; theta)/dtheta,  Z = lambda I + sum w g g' / m
 *   mean = f(x; theta),  deviation = noise sqrt(g' Z^-1 g / m)
 *
 * f is the network of neural.h, m the units of its last hidden layer; both are in units of the rewards' deviation. Z is
 * kept as its diagonal, or exactly for small networks (Sherman and Morrison, ridge.h). With the logistic loss f is a
 * logit: a lesson counts p (1 - p), the mean is p, the deviation p (1 - p) times as large.
 *
 * Gradients are taken where the lesson was learned, as in the papers; after a refit those of earlier lessons stay
 * in Z as they were.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/neural.h"
#include "model/ridge.h"

#include <math.h>
#include <string.h>

enum {
    EXACT_AUTO = 256,  /* weights up to which "auto" keeps all of Z */
    EXACT_MOST = 4096, /* and up to which it may be asked for: 64 MiB */
};

static const forage_param params[] = {
    {"lambda", FORAGE_PARAM_REAL, "1", 1e-6, 1e9, NULL, "strength of the prior on the weights"},
    {"noise", FORAGE_PARAM_REAL, "1", 0, 1e9, NULL,
     "standard deviation of a reward around its mean, in deviations of the rewards: scales the deviation"},
    {"covariance", FORAGE_PARAM_CHOICE, "auto", 0, 0, "auto|diagonal|exact",
     "what is kept of Z; auto: exact for networks of at most 256 weights"},
    NEURAL_PARAMS("64,16", "100", "1.1"),
};

struct model_learner {
    const model_online_setup *setup;
    neural *net;
    double lambda, noise;
    nn_row row;
    bool exact;
    float *sums, *factor; /* diagonal: Z and 1 / Z, laid out as mlp->values */
    size_t weights;       /* exact: numbers of the gradient */
    size_t *places;       /* [weights] where they lie in values */
    model_ridge ridge;    /* of so many features: the gradient's numbers */
    double *state;
    double *scratch; /* [2][weights] */
    float *gradient; /* [value_count] */
    float *packed;   /* [weights] */
};

static forage_status out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for neural-ucb");
}

/* ---- estimates ---- */

static double units(const model_learner *learner)
{
    return (double)learner->net->mlp->head_in;
}

/* The gradient over sqrt(m) without what lies between, after nn_row_backward. */
static const float *packed_gradient(model_learner *learner, size_t head)
{
    const nn_mlp *mlp = learner->net->mlp;
    float scale = (float)(1.0 / sqrt(units(learner)));
    nn_row_gradient(mlp, &learner->row, head, learner->gradient);
    for (size_t i = 0; i < learner->weights; i++)
        learner->packed[i] = scale * learner->gradient[learner->places[i]];
    return learner->packed;
}

/* g' Z^-1 g / m of a row that went forward and was covered. */
static double square_of(model_learner *learner, size_t head)
{
    nn_row_backward(learner->net->mlp, &learner->row, head);
    if (learner->exact)
        return model_ridge_square(&learner->ridge, learner->state, packed_gradient(learner, head), learner->scratch);
    return (double)nn_row_square(learner->net->mlp, &learner->row, head, learner->factor) / units(learner);
}

/* The same for an arm that nobody knows, whose output is still 0: the gradient is that of its own weights. */
static double square_of_unknown(const model_learner *learner)
{
    const nn_mlp *mlp = learner->net->mlp;
    const float *h = learner->row.hidden[mlp->layer_count - 1];
    double sum = 1.0;
    for (size_t j = 0; j < mlp->head_in; j++)
        sum += (double)h[j] * (double)h[j];
    return sum / learner->lambda / units(learner);
}

static double sigmoid(double z)
{
    return 1.0 / (1.0 + exp(-z));
}

static void estimate(model_learner *learner, const forage_candidates *candidates, float *mean, float *deviation)
{
    neural *net = learner->net;
    const nn_mlp *mlp = net->mlp;
    for (size_t first = 0; first < candidates->count; first += NEURAL_ROWS) {
        size_t left = candidates->count - first, count = left < NEURAL_ROWS ? left : NEURAL_ROWS;
        nn_inputs inputs = neural_inputs(net, candidates, first, count);
        for (size_t i = 0; i < count; i++) {
            uint32_t arm = candidates->arms[first + i];
            size_t head = net->arm_heads ? arm : 0;
            bool known = head < mlp->head_count && (!net->arm_heads || arm < net->arms);
            if (i == 0 || !net->one_pass) {
                nn_row_forward(mlp, &inputs, i, &learner->row);
                if (deviation && !learner->exact)
                    nn_row_cover(mlp, &learner->row, learner->factor);
            }
            double z = known ? (double)nn_row_output(mlp, &learner->row, head) : 0.0, p = sigmoid(z);
            mean[first + i] = (float)(net->logistic ? p : net->reward_mean + net->reward_scale * z);
            if (!deviation)
                continue;
            double square = known ? square_of(learner, head) : square_of_unknown(learner);
            double unit = net->logistic ? p * (1.0 - p) : net->reward_scale;
            deviation[first + i] = (float)(learner->noise * unit * sqrt(square > 0.0 ? square : 0.0));
        }
    }
}

/* ---- learning ---- */

static void learn(model_learner *learner, const forage_lesson *lesson)
{
    neural *net = learner->net;
    const uint32_t *codes[2];
    neural_row row = neural_lesson_row(net, lesson);
    nn_inputs inputs = neural_row_inputs(net, &row, codes);
    size_t head = net->arm_heads ? row.arm : 0;
    double weight = (double)row.weight;
    nn_row_forward(net->mlp, &inputs, 0, &learner->row);
    nn_row_backward(net->mlp, &learner->row, head);
    if (net->logistic) {
        double p = sigmoid((double)nn_row_output(net->mlp, &learner->row, head));
        weight *= p * (1.0 - p) > 1e-6 ? p * (1.0 - p) : 1e-6;
    }
    if (learner->exact)
        model_ridge_learn(&learner->ridge, learner->state, packed_gradient(learner, head), 0.0, weight,
                          learner->scratch);
    else
        nn_row_add_square(net->mlp, &learner->row, head, (float)(weight / units(learner)), learner->sums,
                          learner->factor);
    neural_keep(net, &row);
}

/* ---- construction ---- */

static model_ridge ridge_of(const model_learner *learner, size_t weights)
{
    return (model_ridge){
        .kernels = la_kernels_for(learner->setup->device->isa), .width = weights, .prior = learner->lambda};
}

/* Blocks whose size depends on the numbers of arms and users. */
typedef struct growing {
    float *sums, *factor, *gradient, *packed;
    size_t weights, *places;
    double *state, *scratch;
} growing;

static void growing_free(growing *made)
{
    forage_free(made->sums);
    forage_free(made->factor);
    forage_free(made->gradient);
    forage_free(made->packed);
    forage_free(made->places);
    forage_free(made->state);
    forage_free(made->scratch);
}

/* Where the weights lie in values, table by table, layer by layer; `places` NULL counts them. */
static size_t list_places(const nn_mlp *mlp, size_t *places)
{
    size_t count = 0;
    for (size_t t = 0; t < mlp->table_count; t++) {
        for (size_t i = 0; i < mlp->tables[t].rows * mlp->tables[t].width; i++, count++) {
            if (places)
                places[count] = mlp->tables[t].offset + i;
        }
    }
    for (size_t l = 0; l <= mlp->layer_count; l++) {
        const nn_layer *layer = l < mlp->layer_count ? &mlp->layers[l] : NULL;
        size_t rows = layer ? layer->out : mlp->head_count, width = layer ? layer->in : mlp->head_in;
        size_t stride = layer ? layer->in_stride : mlp->head_stride;
        for (size_t i = 0; i < rows * width; i++, count++) {
            if (places)
                places[count] = (layer ? layer->weight : mlp->head_weight) + i / width * stride + i % width;
        }
        for (size_t i = 0; i < rows; i++, count++) {
            if (places)
                places[count] = (layer ? layer->bias : mlp->head_bias) + i;
        }
    }
    return count;
}

/* For a network like `mlp`, of which nothing has been learned. */
static forage_status growing_create(const model_learner *learner, const nn_mlp *mlp, growing *made, forage_error *error)
{
    *made = (growing){.weights = list_places(mlp, NULL)};
    if (!learner->exact) {
        made->sums = forage_alloc(mlp->value_count, sizeof(float));
        made->factor = forage_alloc(mlp->value_count, sizeof(float));
        if (!made->sums || !made->factor)
            return out_of_memory(error);
        for (size_t i = 0; i < mlp->value_count; i++) {
            made->sums[i] = (float)learner->lambda;
            made->factor[i] = 1.0F / made->sums[i];
        }
        return FORAGE_OK;
    }
    if (made->weights > EXACT_MOST)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "covariance",
                              "a network of %zu weights is too large for covariance exact, which takes at most %d; "
                              "make layers smaller, or take diagonal",
                              made->weights, EXACT_MOST);
    made->places = forage_alloc(made->weights, sizeof *made->places);
    made->state = forage_alloc(model_ridge_size(made->weights), sizeof *made->state);
    made->scratch = forage_alloc(made->weights, 2 * sizeof *made->scratch);
    made->gradient = forage_alloc(mlp->value_count, sizeof *made->gradient);
    made->packed = forage_alloc(made->weights, sizeof *made->packed);
    if (!made->places || !made->state || !made->scratch || !made->gradient || !made->packed)
        return out_of_memory(error);
    (void)list_places(mlp, made->places);
    model_ridge ridge = ridge_of(learner, made->weights);
    model_ridge_clear(&ridge, made->state);
    return FORAGE_OK;
}

static void growing_take(model_learner *learner, const growing *made)
{
    growing old = {.sums = learner->sums,
                   .factor = learner->factor,
                   .gradient = learner->gradient,
                   .packed = learner->packed,
                   .places = learner->places,
                   .state = learner->state,
                   .scratch = learner->scratch};
    growing_free(&old);
    learner->sums = made->sums;
    learner->factor = made->factor;
    learner->gradient = made->gradient;
    learner->packed = made->packed;
    learner->weights = made->weights;
    learner->ridge = ridge_of(learner, made->weights);
    learner->places = made->places;
    learner->state = made->state;
    learner->scratch = made->scratch;
}

static void release_parts(model_learner *learner)
{
    growing_take(learner, &(growing){0});
    nn_row_release(&learner->row);
    neural_free(learner->net);
    learner->net = NULL;
}

static void release(model_learner *learner)
{
    if (!learner)
        return;
    release_parts(learner);
    forage_free(learner);
}

/* `exact` NULL: what the parameter says. */
static forage_status build(model_learner *learner, bool arm_heads, const bool *exact, forage_error *error)
{
    const forage_params *values = learner->setup->params;
    const char *covariance = forage_params_text(values, "covariance");
    growing made;
    learner->lambda = forage_params_real(values, "lambda");
    learner->noise = forage_params_real(values, "noise");
    FORAGE_TRY(neural_create(learner->setup, arm_heads, &(neural_hooks){0}, &learner->net, error));
    learner->exact = strcmp(covariance, "exact") == 0 ||
                     (strcmp(covariance, "auto") == 0 && learner->net->mlp->weight_count <= EXACT_AUTO);
    if (exact)
        learner->exact = *exact;
    FORAGE_TRY(nn_row_create(learner->net->mlp, &learner->row, error));
    forage_status status = growing_create(learner, learner->net->mlp, &made, error);
    if (status != FORAGE_OK) {
        growing_free(&made);
        return status;
    }
    growing_take(learner, &made);
    return FORAGE_OK;
}

static forage_status create(const model_online_setup *setup, model_learner **learner, forage_error *error)
{
    *learner = NULL;
    model_learner *made = forage_calloc(1, sizeof *made);
    if (!made)
        return out_of_memory(error);
    made->setup = setup;
    forage_status status = build(made, neural_wants_arm_heads(setup), NULL, error);
    if (status != FORAGE_OK) {
        release(made);
        return status;
    }
    *learner = made;
    return FORAGE_OK;
}

/* P of the old network's weights among those of the new one; those that are new are independent, with the prior's
 * variance. `index` has room for growth->mlp->value_count. */
static void move_exact(const model_learner *learner, const nn_mlp *mlp, const growing *made, size_t *index)
{
    size_t old = learner->weights, width = made->weights;
    for (size_t i = 0; i < width; i++)
        index[made->places[i]] = i;
    for (size_t i = 0, at = 0; i < old; i++) {
        size_t row = index[nn_mlp_moved(mlp, learner->net->mlp, learner->places[i])];
        for (size_t j = i; j < old; j++, at++) {
            size_t column = index[nn_mlp_moved(mlp, learner->net->mlp, learner->places[j])];
            size_t least = row < column ? row : column, most = row < column ? column : row;
            made->state[least * width - least * (least + 1) / 2 + most] = learner->state[at];
        }
    }
}

static forage_status grow(model_learner *learner, size_t arms, size_t users, forage_error *error)
{
    neural_growth growth;
    growing made = {0};
    size_t *index = NULL;
    FORAGE_TRY(neural_growth_create(learner->net, arms, users, &growth, error));
    forage_status status = growing_create(learner, growth.mlp, &made, error);
    if (status == FORAGE_OK && learner->exact) {
        index = forage_alloc(growth.mlp->value_count, sizeof *index);
        status = index ? FORAGE_OK : out_of_memory(error);
    }
    if (status != FORAGE_OK) {
        growing_free(&made);
        neural_growth_release(&growth);
        return status;
    }
    if (learner->exact) {
        move_exact(learner, growth.mlp, &made, index);
    } else {
        nn_mlp_copy(growth.mlp, made.sums, learner->net->mlp, learner->sums);
        nn_mlp_copy(growth.mlp, made.factor, learner->net->mlp, learner->factor);
    }
    neural_grow(learner->net, &growth);
    growing_take(learner, &made);
    neural_resume(learner->net);
    forage_free(index);
    return FORAGE_OK;
}

/* ---- checkpoints ---- */

static forage_status save(const model_learner *learner, nn_checkpoint *checkpoint, forage_error *error)
{
    FORAGE_TRY(neural_save(learner->net, checkpoint, error));
    if (learner->exact) {
        size_t count = la_packed(learner->weights);
        return nn_checkpoint_add(checkpoint, "covariance.inverse", NN_F64, 1, &count, learner->state, error);
    }
    return nn_checkpoint_add(checkpoint, "covariance.diagonal", NN_F32, 1, &learner->net->mlp->value_count,
                             learner->sums, error);
}

static forage_status load(model_learner *learner, const nn_checkpoint *checkpoint, forage_error *error)
{
    bool arm_heads = neural_saved_arm_heads(checkpoint);
    bool exact = nn_checkpoint_find(checkpoint, "covariance.inverse") != NULL, good = true;
    if (arm_heads != learner->net->arm_heads || exact != learner->exact) { /* "auto" was made for another size */
        release_parts(learner);
        FORAGE_TRY(build(learner, arm_heads, &exact, error));
    }
    if (exact) {
        size_t count = la_packed(learner->weights);
        FORAGE_TRY(nn_checkpoint_read(checkpoint, "covariance.inverse", NN_F64, 1, &count, learner->state, error));
        for (size_t i = 0; i < count; i++)
            good = good && fabs(learner->state[i]) <= 1e25; /* what follows is finite in float32 */
    } else {
        size_t count = learner->net->mlp->value_count;
        FORAGE_TRY(nn_checkpoint_read(checkpoint, "covariance.diagonal", NN_F32, 1, &count, learner->sums, error));
        for (size_t i = 0; i < count; i++) {
            good = good && learner->sums[i] >= 1e-12F && learner->sums[i] <= 1e30F;
            learner->factor[i] = 1.0F / learner->sums[i];
        }
    }
    if (!good)
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "covariance",
                              "there are numbers that are not possible");
    FORAGE_TRY(neural_load(learner->net, checkpoint, error));
    neural_resume(learner->net);
    return FORAGE_OK;
}

static size_t memory(const model_learner *learner)
{
    size_t width = learner->weights;
    size_t covariance = learner->exact ? (la_packed(width) + 5 * width) * sizeof(double) + width * sizeof(size_t)
                                       : 2 * learner->net->mlp->value_count * sizeof(float);
    return sizeof *learner + neural_memory(learner->net) + covariance;
}

static const model_online online = {
    .create = create,
    .free = release,
    .estimate = estimate,
    .learn = learn,
    .grow = grow,
    .save = save,
    .load = load,
    .memory = memory,
    .saved_size = neural_saved_size,
};

const model_type model_neural_ucb = {
    .info =
        {
            .name = "neural-ucb",
            .version = 1,
            .summary = "a network, with deviations from the gradient of its output",
            .capabilities = FORAGE_CAN_LEARN | FORAGE_HAS_DEVIATION,
            .table = {"neural-ucb", params, sizeof params / sizeof params[0], NULL, 0},
        },
    .online = &online,
    .minimum_reward = -1e9F,
    .maximum_reward = 1e9F,
};
