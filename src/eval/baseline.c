/*
 * baseline.c: the batched baseline as the document has it: a log of random traffic, one training, and what the
 * model then predicts for whom.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/intern.h"
#include "eval/world.h"

enum { MOST_PAIRS = 4000000 }; /* pairs of users and items that are looked at one by one */

static const char no_memory[] = "not enough memory for the record of a chapter";

typedef struct baseline {
    const forage_chapter1_options *options;
    const forage_device *device;
    forage_simulator *simulator;
    forage_dataset *log;
    forage_split split;
    forage_model *model;
    forage_binding *binding;
    size_t users, items; /* that are looked at */
    float *scores;       /* [users x items] */
} baseline;

/* ------------------------------------------------------------------ *
 * The log
 * ------------------------------------------------------------------ */

static void rate_of(forage_rate *rate)
{
    rate->observed = rate->impressions ? (double)rate->clicks / (double)rate->impressions : (double)NAN;
}

static void count_event(forage_rate *rate, bool click)
{
    ++rate->impressions;
    rate->clicks += click;
}

/* Impressions, clicks and true rates by persona and category. */
static void fill_rates(const baseline *b, forage_log_record *log)
{
    const forage_simulator *simulator = b->simulator;
    size_t categories = log->category_count, personas = log->persona_count;
    for (size_t i = 0; i < b->log->count; ++i) {
        uint32_t persona = forage_simulator_persona(simulator, b->log->user[i]);
        uint32_t category = forage_simulator_category(simulator, b->log->item[i]);
        bool click = b->log->value[i] > 0;
        log->clicks += click;
        count_event(&log->persona[persona], click);
        if (category >= categories)
            continue;
        count_event(&log->category[category], click);
        count_event(&log->cell[persona * categories + category], click);
    }
    for (size_t p = 0; p < personas; ++p)
        for (size_t c = 0; c < categories; ++c) {
            forage_rate *cell = &log->cell[p * categories + c];
            cell->truth = forage_simulator_rate(simulator, (uint32_t)p, (uint32_t)c);
            rate_of(cell);
            log->persona[p].truth += cell->truth * (double)log->category_items[c] / (double)log->items;
            log->category[c].truth += cell->truth * (double)log->persona_users[p] / (double)log->users;
        }
    for (size_t p = 0; p < personas; ++p)
        rate_of(&log->persona[p]);
    for (size_t c = 0; c < categories; ++c)
        rate_of(&log->category[c]);
    log->click_rate = (double)log->clicks / (double)log->interactions;
}

static forage_status fill_log(const baseline *b, forage_log_record *log, forage_error *error)
{
    const forage_simulator *simulator = b->simulator;
    size_t categories = forage_simulator_categories(simulator), personas = forage_simulator_personas(simulator);
    log->users = forage_simulator_users(simulator);
    log->items = forage_simulator_items(simulator);
    log->interactions = b->log->count;
    log->category_count = categories;
    log->persona_count = personas;
    log->categories = forage_calloc(categories, sizeof *log->categories);
    log->personas = forage_calloc(personas, sizeof *log->personas);
    log->category_items = forage_calloc(categories, sizeof *log->category_items);
    log->persona_users = forage_calloc(personas, sizeof *log->persona_users);
    log->category = forage_calloc(categories, sizeof *log->category);
    log->persona = forage_calloc(personas, sizeof *log->persona);
    log->cell = forage_calloc(categories * personas, sizeof *log->cell);
    if (!log->categories || !log->personas || !log->category_items || !log->persona_users || !log->category ||
        !log->persona || !log->cell)
        return forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    for (uint32_t c = 0; c < categories; ++c)
        eval_name(log->categories[c], sizeof log->categories[c], forage_simulator_category_name(simulator, c));
    for (uint32_t p = 0; p < personas; ++p)
        eval_name(log->personas[p], sizeof log->personas[p], forage_simulator_persona_name(simulator, p));
    for (uint32_t item = 0; item < log->items; ++item) {
        uint32_t category = forage_simulator_category(simulator, item);
        if (category < categories)
            ++log->category_items[category];
    }
    for (uint32_t user = 0; user < log->users; ++user)
        ++log->persona_users[forage_simulator_persona(simulator, user)];
    fill_rates(b, log);
    return FORAGE_OK;
}

static forage_status make_log(baseline *b, const forage_scenario *scenario, forage_log_record *log, forage_error *error)
{
    size_t interactions = b->options->interactions ? b->options->interactions : (size_t)scenario->interactions;
    FORAGE_TRY(forage_simulator_create(scenario, NULL, &b->simulator, error));
    if (scenario->trials.count > 0 && scenario->trials.persona != FORAGE_NONE) {
        const forage_trials *trials = &scenario->trials;
        FORAGE_TRY(forage_simulator_trials(b->simulator, trials->count, &log->trials, error));
        eval_name(log->trials_persona, sizeof log->trials_persona, scenario->personas[trials->persona]);
        eval_name(log->trials_high, sizeof log->trials_high, scenario->categories[trials->high]);
        eval_name(log->trials_low, sizeof log->trials_low, scenario->categories[trials->low]);
    }
    FORAGE_TRY(forage_simulator_dataset(b->simulator, interactions ? interactions : 200000, b->options->progress,
                                        &b->log, error));
    return fill_log(b, log, error);
}

/* ------------------------------------------------------------------ *
 * Training
 * ------------------------------------------------------------------ */

static forage_status fill_training(const baseline *b, const forage_fit_report *report, forage_training_record *record,
                                   forage_error *error)
{
    eval_name(record->model, sizeof record->model, forage_model_info_of(b->model)->name);
    eval_name(record->device, sizeof record->device, forage_model_device(b->model)->name);
    record->epochs = report->epoch_count;
    record->best_epoch = report->best_epoch;
    record->train_rows = report->train_count;
    record->validation_rows = report->validation_count;
    record->seconds = report->seconds;
    record->oracle_pairs = forage_simulator_entropy(b->simulator, 0, NULL, NULL);
    record->train_loss = forage_alloc(report->epoch_count + 1, sizeof *record->train_loss);
    record->validation_loss = forage_alloc(report->epoch_count + 1, sizeof *record->validation_loss);
    if (!record->train_loss || !record->validation_loss)
        return forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    for (size_t e = 0; e < report->epoch_count; ++e) {
        record->train_loss[e] = report->epochs[e].train_loss;
        record->validation_loss[e] = report->epochs[e].validation_loss;
    }
    return FORAGE_OK;
}

static forage_status train(baseline *b, const forage_model_info *info, forage_training_record *record,
                           forage_error *error)
{
    forage_fit_options options = {
        .device = b->device, .seed = b->options->model_seed, .progress = b->options->progress};
    forage_fit_report report = {0};
    FORAGE_TRY(forage_split_parse("sklearn:0.2:42", b->log, &b->split, error));
    forage_status status = forage_model_fit(info, NULL, b->log, &b->split, &options, &report, &b->model, error);
    if (status == FORAGE_OK)
        status = fill_training(b, &report, record, error);
    forage_fit_report_release(&report);
    FORAGE_TRY(status);
    return forage_model_bind(b->model, b->log, FORAGE_UNKNOWN_AVERAGE, NULL, &b->binding, error);
}

static forage_status judge(const baseline *b, forage_chapter1 *chapter, forage_error *error)
{
    const uint32_t *rows = b->split.validation;
    size_t count = b->split.validation_count;
    float *truth = forage_alloc(count, sizeof *truth);
    if (!truth)
        return forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    for (size_t i = 0; i < count; ++i)
        truth[i] = (float)forage_simulator_probability(b->simulator, b->log->user[rows[i]], b->log->item[rows[i]]);
    forage_metrics_options options = {.bootstrap = {.resamples = 400, .seed = chapter->seed},
                                      .threads = b->device->threads};
    forage_status status = forage_metrics_of_model(b->model, b->binding, b->log, rows, count, 0, truth, &options,
                                                   &chapter->metrics, error);
    forage_free(truth);
    chapter->training.oracle_validation = chapter->metrics.oracle_log_loss.value;
    chapter->training.base_validation = chapter->metrics.base_log_loss;
    return status;
}

/* ------------------------------------------------------------------ *
 * What is predicted, and what is chosen
 * ------------------------------------------------------------------ */

static forage_status score_pairs(baseline *b, forage_error *error)
{
    size_t pairs;
    b->items = forage_simulator_items(b->simulator);
    b->users = forage_simulator_users(b->simulator);
    if (b->items > MOST_PAIRS)
        b->items = MOST_PAIRS;
    if (b->users > MOST_PAIRS / b->items)
        b->users = MOST_PAIRS / b->items;
    pairs = b->users * b->items;
    b->scores = forage_alloc(pairs, sizeof *b->scores);
    uint32_t *user = forage_alloc(pairs, sizeof *user), *item = forage_alloc(pairs, sizeof *item);
    forage_status status = FORAGE_OK;
    if (b->scores && user && item) {
        for (size_t pair = 0; pair < pairs; ++pair) {
            user[pair] = (uint32_t)(pair / b->items);
            item[pair] = (uint32_t)(pair % b->items);
        }
        status = forage_model_score_pairs(b->binding, user, item, pairs, b->scores, NULL, error);
    } else {
        status = forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    }
    forage_free(user);
    forage_free(item);
    return status;
}

/* The item that the popularity model puts first. */
static forage_status bestseller(const baseline *b, uint32_t *item, forage_error *error)
{
    const forage_model_info *popular;
    forage_model *model = NULL;
    forage_binding *binding = NULL;
    float score;
    size_t found = 0;
    forage_fit_options options = {.device = b->device};
    FORAGE_TRY(forage_model_find("popular", &popular, error));
    forage_status status = forage_model_fit(popular, NULL, b->log, &b->split, &options, NULL, &model, error);
    if (status == FORAGE_OK)
        status = forage_model_bind(model, b->log, FORAGE_UNKNOWN_AVERAGE, NULL, &binding, error);
    if (status == FORAGE_OK)
        status = forage_model_rank(binding, FORAGE_NONE, 1, NULL, 0, item, &score, &found, error);
    if (status == FORAGE_OK && found == 0)
        status = forage_fail(error, FORAGE_UNKNOWN, "the popularity model ranks nothing");
    forage_binding_free(binding);
    forage_model_free(model);
    return status;
}

static forage_status fill_choice(const baseline *b, forage_choice_record *choice, double *rmse, forage_error *error)
{
    uint32_t best_seller = 0;
    bool *chosen = forage_calloc(b->items, sizeof *chosen);
    if (!chosen)
        return forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory);
    forage_status status = bestseller(b, &best_seller, error);
    double model = 0, oracle = 0, popular = 0, everything = 0, squares = 0;
    for (uint32_t user = 0; user < b->users; ++user) {
        const float *scores = b->scores + user * b->items;
        uint32_t best = 0;
        for (uint32_t item = 0; item < b->items; ++item) {
            double truth = forage_simulator_probability(b->simulator, user, item);
            double difference = (double)scores[item] - truth;
            squares += difference * difference;
            everything += truth;
            best = scores[item] > scores[best] ? item : best;
        }
        chosen[best] = true;
        model += forage_simulator_probability(b->simulator, user, best);
        popular += forage_simulator_probability(b->simulator, user, best_seller);
        oracle += forage_simulator_probability(b->simulator, user, forage_simulator_best_item(b->simulator, user));
    }
    double users = (double)b->users, pairs = users * (double)b->items;
    *choice = (forage_choice_record){b->users, model / users, oracle / users, popular / users, everything / pairs, 0};
    for (size_t item = 0; item < b->items; ++item)
        choice->distinct += chosen[item];
    *rmse = sqrt(squares / pairs);
    forage_free(chosen);
    return status;
}

static forage_box box_of(double *values, size_t count)
{
    forage_box box = {.count = count};
    if (count == 0) {
        box.minimum = box.whisker_low = box.quartile_low = box.median = box.quartile_high = NAN;
        box.whisker_high = box.maximum = box.mean = NAN;
        return box;
    }
    eval_sort_finite(values, count);
    box.minimum = values[0];
    box.maximum = values[count - 1];
    box.quartile_low = eval_quantile(values, count, 0.25);
    box.median = eval_quantile(values, count, 0.5);
    box.quartile_high = eval_quantile(values, count, 0.75);
    double reach = 1.5 * (box.quartile_high - box.quartile_low);
    box.whisker_low = box.quartile_low;
    box.whisker_high = box.quartile_high;
    for (size_t i = 0; i < count; ++i) {
        box.mean += values[i] / (double)count;
        if (values[i] >= box.quartile_low - reach)
            box.whisker_low = fmin(box.whisker_low, values[i]);
        if (values[i] <= box.quartile_high + reach)
            box.whisker_high = fmax(box.whisker_high, values[i]);
    }
    return box;
}

/* Predictions for the users [first, last) of a persona and the items of a category. */
static size_t gather(const baseline *b, size_t first, size_t last, uint32_t persona, uint32_t category, double *values)
{
    size_t count = 0;
    for (uint32_t user = (uint32_t)first; user < last; ++user) {
        if (forage_simulator_persona(b->simulator, user) != persona)
            continue;
        for (uint32_t item = 0; item < b->items; ++item)
            if (forage_simulator_category(b->simulator, item) == category)
                values[count++] = (double)b->scores[user * b->items + item];
    }
    return count;
}

static void fill_boxes(const baseline *b, forage_persona_predictions *record, double *values)
{
    size_t categories = record->category_count;
    for (uint32_t p = 0; p < record->persona_count; ++p) {
        uint32_t user = 0;
        while (user < b->users && forage_simulator_persona(b->simulator, user) != p)
            ++user;
        record->representative[p] = user < b->users ? user : FORAGE_NONE;
        for (size_t item = 0; item < b->items; ++item)
            record->predicted[p * b->items + item] = user < b->users ? b->scores[user * b->items + item] : NAN;
        for (uint32_t c = 0; c < categories; ++c) {
            size_t cell = p * categories + c;
            record->truth[cell] = forage_simulator_rate(b->simulator, p, c);
            record->one[cell] = box_of(values, gather(b, user, user < b->users ? user + 1 : user, p, c, values));
            record->all[cell] = box_of(values, gather(b, 0, b->users, p, c, values));
        }
    }
}

static forage_status fill_predictions(const baseline *b, const forage_log_record *log,
                                      forage_persona_predictions *record, forage_error *error)
{
    size_t personas = log->persona_count, categories = log->category_count, cells = personas * categories;
    *record = (forage_persona_predictions){.persona_count = personas, .category_count = categories, .items = b->items};
    record->categories = forage_calloc(categories, sizeof *record->categories);
    record->personas = forage_calloc(personas, sizeof *record->personas);
    record->representative = forage_alloc(personas, sizeof *record->representative);
    record->item_category = forage_alloc(b->items, sizeof *record->item_category);
    record->predicted = forage_alloc(personas * b->items, sizeof *record->predicted);
    record->one = forage_calloc(cells, sizeof *record->one);
    record->all = forage_calloc(cells, sizeof *record->all);
    record->truth = forage_calloc(cells, sizeof *record->truth);
    double *values = forage_alloc(b->users * b->items, sizeof *values);
    bool failed = !record->categories || !record->personas || !record->representative || !record->item_category ||
                  !record->predicted || !record->one || !record->all || !record->truth || !values;
    if (!failed) {
        memcpy(record->categories, log->categories, categories * sizeof *log->categories);
        memcpy(record->personas, log->personas, personas * sizeof *log->personas);
        for (uint32_t item = 0; item < b->items; ++item)
            record->item_category[item] = forage_simulator_category(b->simulator, item);
        fill_boxes(b, record, values);
    }
    forage_free(values);
    return failed ? forage_fail(error, FORAGE_NO_MEMORY, "%s", no_memory) : FORAGE_OK;
}

static forage_status run(baseline *b, const forage_scenario *scenario, const forage_model_info *info,
                         forage_chapter1 *chapter, forage_error *error)
{
    FORAGE_TRY(make_log(b, scenario, &chapter->log, error));
    FORAGE_TRY(train(b, info, &chapter->training, error));
    FORAGE_TRY(judge(b, chapter, error));
    FORAGE_TRY(score_pairs(b, error));
    FORAGE_TRY(fill_choice(b, &chapter->choice, &chapter->rmse_pairs, error));
    return fill_predictions(b, &chapter->log, &chapter->predictions, error);
}

forage_status eval_baseline(const forage_chapter1_options *options, const forage_scenario *scenario,
                            const forage_model_info *info, const forage_device *device, forage_chapter1 *chapter,
                            forage_error *error)
{
    baseline b = {.options = options, .device = device};
    forage_status status = run(&b, scenario, info, chapter, error);
    forage_binding_free(b.binding);
    forage_model_free(b.model);
    forage_split_release(&b.split);
    forage_dataset_free(b.log);
    forage_simulator_free(b.simulator);
    forage_free(b.scores);
    return status;
}
