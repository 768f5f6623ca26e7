/*
 * sample_chapter.h: a record of chapter 1 as if it had been measured, for tests
 * of what is made of it. Every string is the given one, or ends with it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SAMPLE_CHAPTER_H
#define SAMPLE_CHAPTER_H

#include "forage/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SAMPLE_PERSONAS = 4, SAMPLE_CATEGORIES = 5, SAMPLE_EPOCHS = 10, SAMPLE_DAYS = 24, SAMPLE_ROUNDS = 6 };

static const double sample_truth[SAMPLE_PERSONAS][SAMPLE_CATEGORIES] = {
    {.02, .10, .40, .50, .05}, {.05, .55, .05, .02, .45}, {.20, .40, .25, .15, .20}, {.60, .10, .02, .02, .08}};

typedef struct sample_chapter {
    char categories[SAMPLE_CATEGORIES][64], personas[SAMPLE_PERSONAS][64];
    size_t category_items[SAMPLE_CATEGORIES], persona_users[SAMPLE_PERSONAS];
    forage_rate category[SAMPLE_CATEGORIES], persona[SAMPLE_PERSONAS], cell[SAMPLE_PERSONAS * SAMPLE_CATEGORIES];
    double train[SAMPLE_EPOCHS], validation[SAMPLE_EPOCHS], days[SAMPLE_DAYS];
    uint32_t representative[SAMPLE_PERSONAS];
    forage_box boxes[SAMPLE_PERSONAS * SAMPLE_CATEGORIES];
    forage_arm users[5], items[5];
    forage_estimate curves[6][SAMPLE_DAYS];
    forage_series series[6];
    forage_loop_round rounds[3][SAMPLE_ROUNDS];
    forage_loop_arm arms[3];
    forage_chapter1 chapter;
} sample_chapter;

static forage_estimate sample_estimate(double value, double half)
{
    return (forage_estimate){value, value - half, value + half};
}

static void sample_name(char *to, size_t size, const char *name, const char *ending)
{
    snprintf(to, size, "%s%s", name, ending);
}

static void sample_log(sample_chapter *s, const char *ending)
{
    static const char *const categories[] = {"Fish Supplies", "Cat Food", "Dog Food", "Dog Toy", "Cat Toy"};
    static const char *const personas[] = {"new_puppy_parent", "cat_connoisseur", "budget_shopper", "fish_hobbyist"};
    for (size_t p = 0; p < SAMPLE_PERSONAS; ++p) {
        sample_name(s->personas[p], 64, personas[p], ending);
        s->persona_users[p] = 240 + 5 * p;
        s->persona[p] = (forage_rate){50000, 10000, 0.2, 0.21};
        s->representative[p] = (uint32_t)p;
        for (size_t c = 0; c < SAMPLE_CATEGORIES; ++c) {
            size_t i = p * SAMPLE_CATEGORIES + c;
            double truth = sample_truth[p][c], at = truth * (0.93 + 0.03 * (double)(i % 6)), width = 0.01 + 0.1 * at;
            s->cell[i] = (forage_rate){10000, (size_t)(10000 * truth), truth + 0.002, truth};
            s->boxes[i] = (forage_box){10,
                                       fmax(0.001, at - 2 * width),
                                       fmax(0.002, at - 1.5 * width),
                                       fmax(0.003, at - 0.5 * width),
                                       at,
                                       at + 0.6 * width,
                                       at + 1.4 * width,
                                       at + 2 * width,
                                       at};
        }
    }
    for (size_t c = 0; c < SAMPLE_CATEGORIES; ++c) {
        sample_name(s->categories[c], 64, categories[c], ending);
        s->category_items[c] = 10;
        s->category[c] = (forage_rate){40000, 8000, 0.2, 0.21};
    }
    s->chapter.log = (forage_log_record){.users = 1000,
                                         .items = 50,
                                         .interactions = 200000,
                                         .clicks = 42020,
                                         .click_rate = 0.2101,
                                         .trials = {100, 0, 4, 3, 53, 6, 0.5, 0.05},
                                         .category_count = SAMPLE_CATEGORIES,
                                         .persona_count = SAMPLE_PERSONAS,
                                         .categories = s->categories,
                                         .personas = s->personas,
                                         .category_items = s->category_items,
                                         .persona_users = s->persona_users,
                                         .category = s->category,
                                         .persona = s->persona,
                                         .cell = s->cell};
    sample_name(s->chapter.log.trials_persona, 64, "new_puppy_parent", ending);
    sample_name(s->chapter.log.trials_high, 64, "Dog Toy", ending);
    sample_name(s->chapter.log.trials_low, 64, "Cat Toy", ending);
    s->chapter.predictions = (forage_persona_predictions){.persona_count = SAMPLE_PERSONAS,
                                                          .category_count = SAMPLE_CATEGORIES,
                                                          .items = 50,
                                                          .categories = s->categories,
                                                          .personas = s->personas,
                                                          .representative = s->representative,
                                                          .one = s->boxes,
                                                          .all = s->boxes,
                                                          .truth = (double *)(uintptr_t)sample_truth};
}

static void sample_training(sample_chapter *s, const char *ending)
{
    static const double train[] = {.5243, .5089, .5051, .4921, .4574, .4289, .4148, .4073, .4025, .3990};
    static const double validation[] = {.5079, .5063, .5021, .4827, .4466, .4306, .4225, .4192, .4164, .4156};
    memcpy(s->train, train, sizeof train);
    memcpy(s->validation, validation, sizeof validation);
    s->chapter.training = (forage_training_record){.epochs = SAMPLE_EPOCHS,
                                                   .train_loss = s->train,
                                                   .validation_loss = s->validation,
                                                   .best_epoch = 10,
                                                   .train_rows = 160000,
                                                   .validation_rows = 40000,
                                                   .seconds = 0.61,
                                                   .oracle_validation = 0.39973,
                                                   .oracle_pairs = 0.40092,
                                                   .base_validation = 0.5142};
    sample_name(s->chapter.training.model, 64, "embedding-mlp", ending);
    sample_name(s->chapter.training.device, 64, "CPU (AVX-512), 2 threads", ending);
    forage_metrics *metrics = &s->chapter.metrics;
    *metrics = (forage_metrics){.count = 40000,
                                .positives = 8404,
                                .base_rate = 0.2101,
                                .mean_prediction = 0.2093,
                                .log_loss = {0.4156, 0.4115, 0.4198},
                                .base_log_loss = 0.5142,
                                .brier = {0.134, 0.132, 0.136},
                                .ece = {0.0093, 0.0071, 0.0120},
                                .ece_mass = {0.0101, NAN, NAN},
                                .auc = {0.7912, 0.7863, 0.7959},
                                .grouped_auc = {0.7815, 0.7761, 0.7868},
                                .rmse = {0.071, NAN, NAN},
                                .oracle_log_loss = {0.39973, 0.3960, 0.4034},
                                .excess_log_loss = {0.01587, 0.0141, 0.0177},
                                .bin_count = 15};
    metrics->mass_bin_count = 11;
    for (size_t b = 0; b < 15; ++b) {
        double at = ((double)b + 0.5) / 15;
        metrics->bins[b] = (forage_reliability_bin){.low = (double)b / 15,
                                                    .high = (double)(b + 1) / 15,
                                                    .count = b < 11 ? 12000 >> b : 0,
                                                    .mean_prediction = at,
                                                    .positive_rate = at * (b % 2 ? 1.04 : 0.95),
                                                    .deviation = 0.002 * (double)(b + 1)};
        metrics->bins_mass[b] = metrics->bins[b];
    }
}

static void sample_flaws(sample_chapter *s, const char *ending)
{
    static const char *const users[] = {"known users, the model", "new users, as the average user",
                                        "new users, bestseller", "new users, at random", "new users, oracle"};
    static const char *const items[] = {"before the launch", "after it, new products not scored",
                                        "after it, scored as the average", "after it, trained again",
                                        "after it, oracle"};
    static const double user_rates[] = {.492, .345, .352, .21, .513}, item_rates[] = {.431, .431, .428, .488, .513};
    for (size_t a = 0; a < 5; ++a) {
        sample_name(s->users[a].name, 64, users[a], ending);
        sample_name(s->users[a].note, 200, "what is done, in a sentence", ending);
        s->users[a].click_rate = sample_estimate(user_rates[a], 0.008);
        s->users[a].lost = sample_estimate(0.513 - user_rates[a], 0.008);
        sample_name(s->items[a].name, 64, items[a], ending);
        sample_name(s->items[a].note, 200, "what is done, in a sentence", ending);
        s->items[a].click_rate = sample_estimate(item_rates[a], 0.006);
        s->items[a].lost = sample_estimate(0.513 - item_rates[a], 0.006);
    }
    s->chapter.cold_start = (forage_cold_start){.seeds = 5,
                                                .users_known = 500,
                                                .users_new = 200,
                                                .items_known = 40,
                                                .items_new = 10,
                                                .interactions = 100000,
                                                .user_arm_count = 5,
                                                .user_arms = s->users,
                                                .item_arm_count = 5,
                                                .item_arms = s->items,
                                                .rmse_known = sample_estimate(.07, .004),
                                                .rmse_new_user = sample_estimate(.19, .01),
                                                .rmse_new_item = sample_estimate(.2, .01),
                                                .new_item_share = sample_estimate(.02, .01),
                                                .new_item_fair_share = .2};
    static const char *const curves[] = {"oracle", "trained once", "trained every night"};
    for (size_t c = 0; c < 6; ++c) {
        for (size_t d = 0; d < SAMPLE_DAYS; ++d) {
            s->days[d] = (double)d;
            bool after = d >= 10;
            double fall = c < 3 ? 0.5 : 1, lost = 0.24 * fall, back = fmin(1, ((double)d - 9) / 8);
            double value = c % 3 == 0   ? 0.513
                           : !after     ? 0.487
                           : c % 3 == 1 ? 0.487 - lost
                                        : 0.487 - lost * (1 - 0.93 * back);
            s->curves[c][d] = sample_estimate(value, c % 3 == 0 ? 0.002 : 0.009);
        }
        sample_name(s->series[c].name, 64, curves[c % 3], ending);
        s->series[c].count = SAMPLE_DAYS;
        s->series[c].x = s->days;
        s->series[c].y = s->curves[c];
    }
    s->chapter.drift = (forage_drift){.seeds = 5,
                                      .users = 500,
                                      .items = 50,
                                      .visits_per_day = 10000,
                                      .window_days = 8,
                                      .drifted_share = 0.5,
                                      .event_day = 10,
                                      .series_count = 6,
                                      .series = s->series,
                                      .overall_count = 3,
                                      .before = sample_estimate(.487, .009),
                                      .after = sample_estimate(.367, .009),
                                      .recovered = sample_estimate(.479, .009),
                                      .before_drifted = sample_estimate(.487, .009),
                                      .after_drifted = sample_estimate(.247, .009),
                                      .recovered_drifted = sample_estimate(.47, .009),
                                      .oracle_after = sample_estimate(.513, .002),
                                      .days_to_recover = 8};
    static const char *const arms[] = {"random traffic", "own traffic beside the first log", "own traffic alone"};
    static const double distinct[3][SAMPLE_ROUNDS] = {
        {50, 50, 50, 50, 50, 50}, {31, 27, 24, 23, 22, 21.4}, {31, 17, 11, 8.4, 7.2, 6.6}};
    static const double lost[3][SAMPLE_ROUNDS] = {{.058, .032, .024, .019, .016, .014},
                                                  {.058, .052, .050, .049, .049, .048},
                                                  {.058, .081, .102, .124, .139, .151}};
    for (size_t a = 0; a < 3; ++a) {
        sample_name(s->arms[a].name, 64, arms[a], ending);
        sample_name(s->arms[a].note, 200, "how it goes on, in a sentence", ending);
        s->arms[a].rounds = s->rounds[a];
        for (size_t r = 0; r < SAMPLE_ROUNDS; ++r)
            s->rounds[a][r] = (forage_loop_round){.click_rate = sample_estimate(.513 - lost[a][r], .006),
                                                  .lost = sample_estimate(lost[a][r], .006),
                                                  .distinct = sample_estimate(distinct[a][r], 1.2),
                                                  .coverage = sample_estimate(distinct[a][r] / 50, .02),
                                                  .spread = sample_estimate(distinct[a][r] * 0.7, 1),
                                                  .rmse = sample_estimate(.09 + .02 * (double)(a * r), .004)};
    }
    s->chapter.feedback_loop = (forage_feedback_loop){.seeds = 5,
                                                      .users = 500,
                                                      .items = 50,
                                                      .first_interactions = 30000,
                                                      .round_interactions = 30000,
                                                      .round_count = SAMPLE_ROUNDS,
                                                      .arm_count = 3,
                                                      .arms = s->arms,
                                                      .oracle = .513};
}

static void sample_chapter_fill(sample_chapter *s, const char *ending)
{
    memset(s, 0, sizeof *s);
    sample_log(s, ending);
    sample_training(s, ending);
    sample_flaws(s, ending);
    sample_name(s->chapter.scenario, 64, "petshop", ending);
    s->chapter.seed = 42;
    s->chapter.rmse_pairs = 0.0712;
    s->chapter.choice = (forage_choice_record){
        .users = 1000, .model = 0.487, .oracle = 0.513, .popular = 0.286, .random = 0.2101, .distinct = 38};
    s->chapter.seconds = 6.4;
}

#endif
