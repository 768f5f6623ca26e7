/*
 * latent_class.c: every user is of one of a few hidden classes, each with a click rate for every arm
 * (latent bandits: Maillard and Mannor 2014; Hong et al. 2020, "Latent bandits revisited").
 *
 *   class of a user ~ shares of the classes, drawn anew before an event with probability `hazard`
 *   click of a user of class k on arm a ~ Bernoulli(theta[a][k]),  theta[a][k] ~ Beta(a, b)
 *
 *   mean      = sum_k P(k | user) E[theta[a][k]]
 *   deviation = of the mixture: of classes and of rates
 *
 * A lesson moves the user's belief by Bayes's rule and counts for each class what that belief says. Beliefs and counts
 * of earlier lessons are put right by sweeps over what all users did, one whenever there are 2 % more lessons; classes
 * are found, split, joined and given up by searches (classes.h), at first whenever there are an eighth more. Both have
 * a bounded cost per lesson on average.
 *
 * What a user did is kept in a window of entries. When it is full, the older half's entries of one arm become one
 * entry: of a user who stays of one class nothing is lost. What a user did when of another class, and rare arms if
 * there are too many, leave the window for the past: counts of the classes alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/latent_class.h"

#include <math.h>
#include <string.h>

/* Classes that a user is less likely of are left out of draws. */
static const float LEAST_BELIEF = 0.01F;

static const double GREATEST_HAZARD = 0.1;

static const forage_param params[] = {
    {"classes", FORAGE_PARAM_INTEGER, "8", 1, CLASSES_LIMIT, NULL, "there are at most this many classes of users"},
    {"a", FORAGE_PARAM_REAL, "1", 1e-2, 1e6, NULL, "clicks that each class is taken to have given each arm beforehand"},
    {"b", FORAGE_PARAM_REAL, "1", 1e-2, 1e6, NULL, "the same of impressions without a click"},
    {"pool", FORAGE_PARAM_BOOLEAN, "true", 0, 0, NULL,
     "the prior's mean follows that of all rewards so far; a + b stays"},
    {"hazard", FORAGE_PARAM_REAL, "0.0003", 0, 0.1, NULL,
     "probability that a user changes class before an event, in quiet times; ten and a hundred times as much is "
     "reckoned with where that explains better what happens"},
    {"concentration", FORAGE_PARAM_REAL, "1", 1e-3, 1e6, NULL,
     "weight of the prior of the classes' shares, in users; small: what is not needed dies out"},
    {"draw", FORAGE_PARAM_CHOICE, "rates", 0, 0, "rates|class",
     "what a draw from the posterior leaves to chance: rates, averaged over the classes a user may be of; or the "
     "class, "
     "too"},
    {"window", FORAGE_PARAM_INTEGER, "32", 4, 1024, NULL, "entries of each user that are kept to be looked at again"},
    {"tries", FORAGE_PARAM_INTEGER, "4", 1, 100, NULL, "starts of each search for classes"},
};

static void release(model_learner *l)
{
    if (!l)
        return;
    classes_release(&l->now);
    classes_release(&l->past);
    for (size_t i = 0; i < 3; i++)
        classes_release(&l->spare[i]);
    classes_scratch_release(&l->scratch);
    forage_free(l->progress);
    forage_free(l->length);
    forage_free(l->arm);
    forage_free(l->reward);
    forage_free(l->weight);
    for (size_t j = 0; j < BANK; j++)
        forage_free(l->belief[j]);
    forage_free(l->trust);
    forage_free(l->rounds);
    forage_free(l->drawn);
    forage_free(l);
}

/* A block for more elements, zeros behind the old ones; what has no room stays as it is. */
static bool extend(void **block, size_t old, size_t count, size_t size)
{
    void *grown = forage_realloc(*block, old, count + 1, size);
    if (!grown)
        return false;
    memset((char *)grown + old * size, 0, (count + 1 - old) * size);
    *block = grown;
    return true;
}

static bool reserve_users(model_learner *l, size_t users)
{
    size_t old = l->users, w = l->window, most = l->now.most;
    void *blocks[4] = {l->length, l->arm, l->reward, l->weight};
    bool done = users < SIZE_MAX / 64 / w / most && extend(&blocks[0], old, users, sizeof *l->length) &&
                extend(&blocks[1], old * w, users * w, sizeof *l->arm) &&
                extend(&blocks[2], old * w, users * w, sizeof *l->reward) &&
                extend(&blocks[3], old * w, users * w, sizeof *l->weight);
    l->length = blocks[0];
    l->arm = blocks[1];
    l->reward = blocks[2];
    l->weight = blocks[3];
    for (size_t j = 0; j < BANK && done; j++) {
        void *belief = l->belief[j];
        done = extend(&belief, old * most, users * most, sizeof **l->belief);
        l->belief[j] = belief;
    }
    return done;
}

static bool reserve_arms(model_learner *l, size_t old, size_t arms)
{
    void *rounds = l->rounds, *drawn = l->drawn;
    bool done = extend(&rounds, old, arms, sizeof *l->rounds) && extend(&drawn, old, arms, sizeof *l->drawn);
    l->rounds = rounds;
    l->drawn = drawn;
    return done;
}

static forage_status no_memory(size_t arms, size_t users, forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for classes of %zu users over %zu arms", users, arms);
}

static forage_status grow(model_learner *l, size_t arms, size_t users, forage_error *error)
{
    classes *all[5] = {&l->now, &l->past, &l->spare[0], &l->spare[1], &l->spare[2]};
    size_t old = l->now.arms;
    for (size_t i = 0; i < 5; i++)
        FORAGE_TRY(classes_reserve(all[i], arms, error));
    if (!reserve_arms(l, old, arms) || !reserve_users(l, users))
        return no_memory(arms, users, error);
    for (size_t i = 0; i < 5; i++)
        all[i]->arms = arms;
    l->users = users;
    for (size_t arm = old; arm < arms; arm++)
        classes_expect_arm(&l->now, &l->prior, arm);
    return FORAGE_OK;
}

static forage_status create(const model_online_setup *setup, model_learner **learner, forage_error *error)
{
    const forage_params *given = setup->params;
    size_t most = (size_t)forage_params_integer(given, "classes"), arms = setup->shape->arms;
    forage_status status = FORAGE_OK;
    *learner = NULL;
    model_learner *l = forage_calloc(1, sizeof *l);
    if (!l)
        return no_memory(arms, setup->shape->users, error);
    l->prior = (classes_prior){forage_params_real(given, "a"), forage_params_real(given, "b"),
                               forage_params_real(given, "concentration"), forage_params_real(given, "hazard")};
    l->a = l->prior.a;
    l->b = l->prior.b;
    l->pooled = forage_params_boolean(given, "pool");
    l->draws_class = strcmp(forage_params_text(given, "draw"), "class") == 0;
    l->window = (size_t)forage_params_integer(given, "window");
    l->tries = (size_t)forage_params_integer(given, "tries");
    l->progress = forage_calloc(WHOLE, sizeof *l->progress);
    l->trust = forage_calloc(BANK + 2, sizeof *l->trust);
    if (!l->progress || !l->trust) {
        release(l);
        return no_memory(arms, setup->shape->users, error);
    }
    for (size_t j = 0; j < BANK; j++) {
        l->hazards[j] = fmin(l->prior.hazard * (j == 0 ? 1 : j == 1 ? 10 : 100), GREATEST_HAZARD);
        l->trust[j] = 1. / BANK;
    }
    l->trust[BANK] = l->a;
    l->trust[BANK + 1] = l->b;
    l->parting = 3 * l->prior.hazard;
    l->prior.hazard /= 3;
    l->progress[COUNT] = 1;
    l->progress[NEXT_SWEEP] = FIRST_SWEEP;
    l->progress[NEXT_SEARCH] = FIRST_SEARCH;
    l->seed = setup->seed;
    classes *all[5] = {&l->now, &l->past, &l->spare[0], &l->spare[1], &l->spare[2]};
    for (size_t i = 0; i < 5 && status == FORAGE_OK; i++)
        status = classes_create(all[i], arms, most, error);
    if (status == FORAGE_OK)
        status = classes_scratch_create(&l->scratch, l->window, most, error);
    if (status == FORAGE_OK && (!reserve_arms(l, 0, arms) || !reserve_users(l, setup->shape->users)))
        status = no_memory(arms, setup->shape->users, error);
    if (status != FORAGE_OK) {
        release(l);
        return status;
    }
    l->users = setup->shape->users;
    classes_expect(&l->now, &l->prior);
    *learner = l;
    return FORAGE_OK;
}

/* ---- estimates ---- */

void model_latent_belief(const model_learner *l, uint32_t user, float *belief)
{
    const classes *c = &l->now;
    bool known = user < l->users && l->length[user] > 0;
    for (size_t k = 0; k < c->count; k++) {
        double sum = 0;
        for (size_t j = 0; j < BANK && known; j++)
            sum += l->trust[j] * ((1 - l->hazards[j]) * (double)l->belief[j][user * c->most + k] +
                                  l->hazards[j] * (double)c->share[k]);
        belief[k] = known ? (float)sum : c->share[k];
    }
}

/* The rate's mean, and its mean square over classes and rates. */
static void mix(const model_learner *l, size_t arm, const float *belief, double *mean, double *square)
{
    const classes *c = &l->now;
    double prior = l->prior.a + l->prior.b, rate = l->prior.a / prior;
    *mean = rate;
    *square = rate * rate + rate * (1 - rate) / (prior + 1);
    if (arm >= c->arms)
        return;
    *mean = *square = 0;
    for (size_t k = 0; k < c->count; k++) {
        size_t cell = arm * c->most + k;
        rate = (double)c->click[cell];
        *mean += (double)belief[k] * rate;
        *square += (double)belief[k] *
                   (rate * rate + rate * (double)c->pass[cell] / (prior + c->hits[cell] + c->misses[cell] + 1));
    }
}

static void estimate(model_learner *l, const forage_candidates *candidates, float *mean, float *deviation)
{
    float belief[CLASSES_LIMIT];
    model_latent_belief(l, candidates->user, belief);
    for (size_t i = 0; i < candidates->count; i++) {
        double middle, square;
        mix(l, candidates->arms[i], belief, &middle, &square);
        mean[i] = (float)middle;
        if (deviation)
            deviation[i] = (float)sqrt(fmax(square - middle * middle, 0));
    }
}

static double draw_rate(const model_learner *l, size_t arm, size_t k, forage_rng *rng)
{
    double a = l->prior.a, b = l->prior.b;
    if (arm < l->now.arms) {
        a += l->now.hits[arm * l->now.most + k];
        b += l->now.misses[arm * l->now.most + k];
    }
    return forage_rng_beta(rng, a, b);
}

static void draw(model_learner *l, const forage_candidates *candidates, forage_rng *rng, float *values)
{
    const classes *c = &l->now;
    float belief[CLASSES_LIMIT];
    model_latent_belief(l, candidates->user, belief);
    if (l->draws_class) {
        double left = forage_rng_double(rng);
        size_t class = 0;
        while (class + 1 < c->count && left >= (double)belief[class])
            left -= (double)belief[class ++];
        for (size_t k = 0; k < c->count; k++)
            belief[k] = k == class;
    }
    l->round++;
    for (size_t i = 0; i < candidates->count; i++) {
        size_t arm = candidates->arms[i];
        bool known = arm < c->arms;
        if (known && l->rounds[arm] == l->round) {
            values[i] = l->drawn[arm];
            continue;
        }
        double sum = 0, used = 0;
        for (size_t k = 0; k < c->count; k++) {
            if (belief[k] < LEAST_BELIEF)
                continue;
            sum += (double)belief[k] * draw_rate(l, arm, k, rng);
            used += (double)belief[k];
        }
        values[i] = (float)(sum / used);
        if (known) {
            l->rounds[arm] = l->round;
            l->drawn[arm] = values[i];
        }
    }
}

/* ---- checkpoints ---- */

/* Every tensor of the state, for saving and for loading alike. */
typedef struct part {
    const char *name;
    nn_dtype dtype;
    size_t rank, shape[2];
    void *data;
} part;

enum { PARTS = 15 };

static void parts_of(const model_learner *l, part parts[PARTS])
{
    const classes *now = &l->now, *past = &l->past;
    size_t most = now->most;
    const part list[PARTS] = {
        {"hits", NN_F64, 2, {now->arms, most}, now->hits},
        {"misses", NN_F64, 2, {now->arms, most}, now->misses},
        {"past.hits", NN_F64, 2, {now->arms, most}, past->hits},
        {"past.misses", NN_F64, 2, {now->arms, most}, past->misses},
        {"users", NN_F64, 1, {most, 0}, now->users},
        {"progress", NN_U64, 1, {WHOLE, 0}, l->progress},
        {"window.length", NN_U32, 1, {l->users, 0}, l->length},
        {"window.arm", NN_U32, 2, {l->users, l->window}, l->arm},
        {"window.reward", NN_F32, 2, {l->users, l->window}, l->reward},
        {"window.weight", NN_F32, 2, {l->users, l->window}, l->weight},
        {"trust", NN_F64, 1, {BANK, 0}, l->trust},
        {"prior", NN_F64, 1, {2, 0}, l->trust + BANK},
        {"belief.0", NN_F32, 2, {l->users, most}, l->belief[0]},
        {"belief.1", NN_F32, 2, {l->users, most}, l->belief[1]},
        {"belief.2", NN_F32, 2, {l->users, most}, l->belief[2]},
    };
    memcpy(parts, list, sizeof list);
}

static forage_status save(const model_learner *learner, nn_checkpoint *checkpoint, forage_error *error)
{
    part parts[PARTS];
    parts_of(learner, parts);
    for (size_t i = 0; i < PARTS; i++)
        FORAGE_TRY(nn_checkpoint_add(checkpoint, parts[i].name, parts[i].dtype, parts[i].rank, parts[i].shape,
                                     parts[i].data, error));
    return FORAGE_OK;
}

static bool all_within(const void *numbers, nn_dtype dtype, size_t count, double low, double high)
{
    for (size_t i = 0; i < count; i++) {
        double value = dtype == NN_F64 ? ((const double *)numbers)[i] : (double)((const float *)numbers)[i];
        if (!(value >= low && value <= high))
            return false;
    }
    return true;
}

/* Nothing in the windows that a lesson could not have put there. */
static bool windows_are_sound(const model_learner *l)
{
    for (size_t u = 0; u < l->users; u++) {
        if (l->length[u] >= l->window)
            return false;
        for (size_t e = u * l->window; e < u * l->window + l->length[u]; e++) {
            if (l->arm[e] >= l->now.arms || !(l->reward[e] >= 0 && l->reward[e] <= 1) || !(l->weight[e] > 0))
                return false;
        }
    }
    return true;
}

static forage_status load(model_learner *l, const nn_checkpoint *checkpoint, forage_error *error)
{
    const double most = 1e18; /* above any sum of weights */
    const char *wrong = NULL;
    part parts[PARTS];
    parts_of(l, parts);
    for (size_t i = 0; i < PARTS; i++) {
        const part *p = &parts[i];
        size_t count = p->shape[0] * (p->rank == 2 ? p->shape[1] : 1);
        FORAGE_TRY(nn_checkpoint_read(checkpoint, p->name, p->dtype, p->rank, p->shape, p->data, error));
        if ((p->dtype == NN_F64 || p->dtype == NN_F32) && !all_within(p->data, p->dtype, count, 0, most))
            wrong = p->name;
    }
    const uint64_t *whole = l->progress;
    if (whole[COUNT] < 1 || whole[COUNT] > l->now.most || whole[LESSONS] >= whole[NEXT_SWEEP] ||
        whole[LESSONS] >= whole[NEXT_SEARCH])
        wrong = "progress";
    if (!(l->trust[BANK] > 0 && l->trust[BANK + 1] > 0))
        wrong = "prior";
    if (!windows_are_sound(l))
        wrong = "window";
    if (wrong)
        return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, wrong,
                              "'%s' has numbers that cannot be", wrong);
    l->now.count = l->past.count = (size_t)whole[COUNT];
    l->prior.a = l->trust[BANK];
    l->prior.b = l->trust[BANK + 1];
    classes_expect(&l->now, &l->prior);
    return FORAGE_OK;
}

static double saved_size(const model_online_setup *setup)
{
    double most = (double)forage_params_integer(setup->params, "classes");
    double window = (double)forage_params_integer(setup->params, "window");
    return (double)setup->shape->arms * most * 4 * sizeof(double) +
           (double)setup->shape->users * (4 + 12 * window + 4 * BANK * most);
}

static size_t memory(const model_learner *l)
{
    return sizeof *l + classes_memory(&l->now) * 5 + l->now.arms * (sizeof *l->rounds + sizeof *l->drawn) +
           l->users * (4 + 12 * l->window + 4 * BANK * l->now.most) + l->window * (8 * l->now.most + 12);
}

static const model_online online = {
    .create = create,
    .free = release,
    .estimate = estimate,
    .draw = draw,
    .learn = model_latent_learn,
    .grow = grow,
    .save = save,
    .load = load,
    .memory = memory,
    .saved_size = saved_size,
};

const model_type model_latent_class = {
    .info =
        {
            .name = "latent-class",
            .version = 1,
            .summary = "hidden classes of users, found on the way, each with a click rate for every arm",
            .capabilities = FORAGE_CAN_LEARN | FORAGE_HAS_DEVIATION | FORAGE_GIVES_PROBABILITY,
            .table = {.owner = "latent-class", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .online = &online,
    .minimum_reward = 0,
    .maximum_reward = 1,
};
