/*
 * popular.c: the plain baseline. An item is worth what it was worth on average, for
 * everyone alike.
 *
 * by = mean:   item i was shown n_i times and earned r_i in [0, 1] each time; with the mean
 *              reward m of the whole log and the weight s of that prior (`smoothing`),
 *                  score_i = (sum r_i + s m) / (n_i + s)
 *              which is the posterior mean of a Beta(s m, s (1 - m)) prior for clicks, a click
 *              probability. Its standard error is the posterior deviation,
 *                  sqrt(score (1 - score) / (n_i + s + 1)).
 * by = count:  c_i is how many events with a reward above 0 item i had, of C in all, N items:
 *                  score_i = (c_i + s / N) / (C + s)
 *              the probability that the next such event is of item i (a Dirichlet prior).
 * by = auto:   mean where the log has rewards that all lie in [0, 1], else count.
 *
 * Counts and sums are taken in order of rows, in double precision, by one thread: a pass
 * over 100 million rows takes under a second.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/descriptor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct model_state {
    size_t items;
    size_t field; /* the item's id among the fields */
    double smoothing;
    bool by_count, automatic; /* automatic: not decided yet */
    double *count;            /* [items] events; by count: with a reward */
    double *reward;           /* [items] sum of rewards; not kept by count */
    float *score;             /* [items + 1], the last for items that are not known */
    float *deviation;         /* [items + 1] */
};

struct model_fit {
    model_state *state;
    const model_fit_input *input;
};

static const forage_param params[] = {
    {"by", FORAGE_PARAM_CHOICE, "auto", 0, 0, "auto|mean|count",
     "what makes an item popular: its mean reward (click rate), or how often it was chosen; auto: the mean if the log "
     "has rewards and all lie in [0, 1]"},
    {"smoothing", FORAGE_PARAM_REAL, "20", 0, 1e9, NULL,
     "weight of the overall mean, in events: an item seen this often counts half by itself"},
};

static void release(model_state *state)
{
    if (!state)
        return;
    forage_free(state->count);
    forage_free(state->reward);
    forage_free(state->score);
    forage_free(state->deviation);
    forage_free(state);
}

static forage_status create(const model_setup *setup, model_state **state, forage_error *error)
{
    size_t field = model_schema_id(setup->schema, FORAGE_OF_ITEM);
    *state = NULL;
    if (field == SIZE_MAX)
        return forage_fail(error, FORAGE_INVALID, "popular needs the item's id among its fields");
    model_state *made = forage_calloc(1, sizeof *made);
    if (!made)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the model");
    made->field = field;
    made->items = setup->schema->fields[field].cardinality;
    made->smoothing = forage_params_real(setup->params, "smoothing");
    made->automatic = strcmp(forage_params_text(setup->params, "by"), "auto") == 0;
    made->by_count = strcmp(forage_params_text(setup->params, "by"), "count") == 0;
    made->count = forage_calloc(made->items + 1, sizeof *made->count);
    made->reward = forage_calloc(made->items + 1, sizeof *made->reward);
    made->score = forage_calloc(made->items + 1, sizeof *made->score);
    made->deviation = forage_calloc(made->items + 1, sizeof *made->deviation);
    if (!made->count || !made->reward || !made->score || !made->deviation) {
        release(made);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the popularity of %zu items",
                           setup->schema->fields[field].cardinality);
    }
    *state = made;
    return FORAGE_OK;
}

/* Scores from counts. */
static void finish(model_state *state)
{
    double events = 0, rewards = 0, s = state->smoothing, items = (double)state->items;
    for (size_t i = 0; i < state->items; i++) {
        events += state->count[i];
        rewards += state->reward[i];
    }
    double prior = state->by_count ? 1 / items : (events > 0 ? rewards / events : 0.5);
    for (size_t i = 0; i <= state->items; i++) {
        double n = i < state->items ? state->count[i] : 0, r = i < state->items ? state->reward[i] : 0;
        double good = state->by_count ? n : r, tries = state->by_count ? events : n;
        if (state->by_count && i == state->items)
            good = events / items; /* the average item */
        double mean = tries + s > 0 ? (good + s * prior) / (tries + s) : prior;
        state->score[i] = (float)mean;
        state->deviation[i] = (float)sqrt(fmax(mean * (1 - mean), 0) / (tries + s + 1));
    }
}

/* Are there rewards, and do all lie in [0, 1]? */
static bool within_unit(const forage_examples *examples)
{
    for (size_t i = 0; i < examples->count; i++) {
        if (!examples->reward || !(examples->reward[i] >= 0 && examples->reward[i] <= 1))
            return false;
    }
    return true;
}

static forage_status fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error)
{
    if (state->automatic) {
        state->by_count = !within_unit(input->train);
        state->automatic = false;
    }
    if (!state->by_count && (!within_unit(input->train) || !within_unit(input->validation)))
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "by",
                              "popular by mean needs rewards in [0, 1]; by count takes any log");
    *fit = forage_calloc(1, sizeof **fit);
    if (!*fit)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to fit popular");
    **fit = (struct model_fit){state, input};
    return FORAGE_OK;
}

/* Mean loss: by mean, the log loss of the rewards; by count, of the item among all items. */
static double loss(const model_state *state, const forage_examples *examples)
{
    double sum = 0;
    size_t rows = 0;
    for (size_t i = 0; i < examples->count; i++) {
        uint32_t code = examples->codes[state->field][i];
        double p = (double)state->score[code < state->items ? code : state->items];
        double reward = examples->reward ? (double)examples->reward[i] : 1;
        p = fmin(fmax(p, 1e-12), 1 - 1e-12);
        if (state->by_count) {
            sum -= reward > 0 ? log(p) : 0;
            rows += reward > 0;
        } else {
            sum -= reward * log(p) + (1 - reward) * log1p(-p);
            rows++;
        }
    }
    return rows ? sum / (double)rows : NAN;
}

static forage_status fit_step(model_fit *fit, model_progress *progress, forage_error *error)
{
    model_state *state = fit->state;
    const forage_examples *train = fit->input->train;
    for (size_t i = 0; i < train->count; i++) {
        uint32_t code = train->codes[state->field][i];
        double reward = train->reward ? (double)train->reward[i] : 1;
        if (code >= state->items)
            continue;
        if (state->by_count) {
            state->count[code] += reward > 0;
        } else {
            state->count[code] += 1;
            state->reward[code] += reward;
        }
    }
    finish(state);
    *progress = (model_progress){.done = train->count,
                                 .total = train->count,
                                 .epochs = 1,
                                 .train_loss = loss(state, train),
                                 .validation_loss = loss(state, fit->input->validation),
                                 .validation_metric = NAN,
                                 .best_epoch = 1,
                                 .guess = NAN,
                                 .finished = true};
    if (!isfinite(progress->train_loss)) /* by count, and nothing was ever chosen */
        return forage_fail(error, FORAGE_INVALID, "no training row has a reward above 0: no item is popular");
    return FORAGE_OK;
}

static void fit_end(model_fit *fit, bool keep)
{
    (void)keep;
    forage_free(fit);
}

static size_t scratch_size(const model_state *state)
{
    (void)state;
    return 0;
}

static void score(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                  float *deviation)
{
    const uint32_t *codes = examples->codes[state->field];
    (void)scratch;
    for (size_t i = 0; i < examples->count; i++) {
        size_t item = codes[i] < state->items ? codes[i] : state->items;
        mean[i] = state->score[item];
        if (deviation)
            deviation[i] = state->deviation[item];
    }
}

static forage_status save(const model_state *state, nn_checkpoint *checkpoint, forage_error *error)
{
    FORAGE_TRY(nn_checkpoint_add(checkpoint, "item_count", NN_F64, 1, &state->items, state->count, error));
    if (state->by_count)
        return FORAGE_OK;
    return nn_checkpoint_add(checkpoint, "item_reward", NN_F64, 1, &state->items, state->reward, error);
}

static forage_status load(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                          forage_error *error)
{
    model_state *made;
    forage_status status;
    FORAGE_TRY(create(setup, &made, error));
    made->automatic = false;
    made->by_count = !nn_checkpoint_find(checkpoint, "item_reward");
    FORAGE_TRY_GOTO(nn_checkpoint_read(checkpoint, "item_count", NN_F64, 1, &made->items, made->count, error), fail);
    if (!made->by_count)
        FORAGE_TRY_GOTO(nn_checkpoint_read(checkpoint, "item_reward", NN_F64, 1, &made->items, made->reward, error),
                        fail);
    for (size_t i = 0; i < made->items; i++) {
        double n = made->count[i], r = made->reward[i];
        if (!(n >= 0 && n < 1e15 && r >= 0 && r <= n * (1 + 1e-9))) {
            status = forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, "item_count",
                                    "item %zu has counts that cannot be", i);
            goto fail;
        }
    }
    finish(made);
    *state = made;
    return FORAGE_OK;
fail:
    release(made);
    *state = NULL;
    return status;
}

static size_t describe(const model_state *state, char *buffer, size_t size)
{
    int length = snprintf(buffer, size, "Popular(\n  (items): %zu, by %s, smoothing %g\n)\n", state->items,
                          state->by_count    ? "count"
                          : state->automatic ? "mean or count, as the log allows"
                                             : "mean",
                          state->smoothing);
    return length > 0 ? (size_t)length : 0;
}

static size_t weight_count(const model_state *state)
{
    return state->items;
}

const model_type model_popular = {
    .info =
        {
            .name = "popular",
            .version = 1,
            .summary = "popularity: the mean reward of each item, or how often it was chosen; the same for everyone",
            .capabilities = FORAGE_CAN_FIT | FORAGE_HAS_DEVIATION | FORAGE_GIVES_PROBABILITY,
            .table = {.owner = "popular", .params = params, .count = sizeof params / sizeof params[0]},
        },
    .reads = MODEL_READS_ITEM,
    .minimum_reward = -INFINITY,
    .maximum_reward = INFINITY,
    .create = create,
    .free = release,
    .fit_begin = fit_begin,
    .fit_step = fit_step,
    .fit_end = fit_end,
    .scratch_size = scratch_size,
    .score = score,
    .save = save,
    .load = load,
    .describe = describe,
    .weight_count = weight_count,
};
