/*
 * sample_chapter3.h: a record of chapter 3 as if it had been measured, for tests of what is made of it. Every string
 * that comes from a scenario ends with a given one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SAMPLE_CHAPTER3_H
#define SAMPLE_CHAPTER3_H

#include "forage/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { S3_LIFE = 50, S3_SESSION = 20, S3_ARMS = 6 };

typedef struct sample_predictors {
    double points[S3_LIFE];
    forage_estimate numbers[S3_ARMS][2][S3_LIFE];
    forage_predictor arms[S3_ARMS];
} sample_predictors;

typedef struct sample_chapter3 {
    sample_predictors life, sessions[2];
    forage_chapter3 chapter;
} sample_chapter3;

static forage_estimate s3_estimate(double value)
{
    return (forage_estimate){value, value - 0.004, value + 0.004};
}

/* Losses that fall from 0.51, each arm's to what it ends with; arms with an end of 0 do not take part. */
static forage_predictor_table s3_table(sample_predictors *table, const double ends[S3_ARMS], size_t points, double late)
{
    static const char *const names[S3_ARMS] = {"bayes",          "history-blind", "embedding-mlp, tuned",
                                               "bag of history", "bst",           "oracle"};
    size_t count = 0;
    for (size_t p = 0; p < points; ++p)
        table->points[p] = (double)p + 1;
    for (size_t a = 0; a < S3_ARMS; ++a) {
        forage_predictor *arm = &table->arms[count];
        if (!(ends[a] > 0))
            continue;
        for (size_t p = 0; p < points; ++p) {
            double fall = 1 - exp(-(double)p / 8), bayes = 0.51 + (ends[0] - 0.51) * fall;
            double mine = a == 5 ? ends[a] : 0.51 + (ends[a] - 0.51) * fall;
            table->numbers[count][0][p] = s3_estimate(mine);
            table->numbers[count][1][p] = s3_estimate(mine / bayes - 1);
        }
        *arm = (forage_predictor){.log_loss = table->numbers[count][0],
                                  .excess = table->numbers[count][1],
                                  .loss = s3_estimate(ends[a] + 0.02),
                                  .auc = s3_estimate(1 - ends[a] / 2),
                                  .more = s3_estimate(ends[a] / ends[0] - 1),
                                  .late = s3_estimate(ends[a] / ends[0] - 1.002),
                                  .loss_behind = s3_estimate(ends[a] - ends[4]),
                                  .auc_behind = s3_estimate((ends[a] - ends[4]) / 2)};
        snprintf(arm->name, sizeof arm->name, "%s", names[a]);
        snprintf(arm->note, sizeof arm->note, "what it does, in a sentence");
        ++count;
    }
    return (forage_predictor_table){.point_count = points,
                                    .predictor_count = count,
                                    .points = table->points,
                                    .predictors = table->arms,
                                    .late = late};
}

static void sample_chapter3_fill(sample_chapter3 *s, const char *ending)
{
    static const double life[S3_ARMS] = {0.40, 0.51, 0, 0.42, 0.403, 0.398};
    static const double intents[S3_ARMS] = {0.36, 0.53, 0.50, 0.47, 0.372, 0.335};
    static const double steady[S3_ARMS] = {0.40, 0.51, 0.404, 0.409, 0.408, 0.398};
    *s = (sample_chapter3){.chapter = {.seed = 42, .seeds = 3, .seconds = 61.5}};
    snprintf(s->chapter.scenario, sizeof s->chapter.scenario, "petshop%s", ending);
    snprintf(s->chapter.device, sizeof s->chapter.device, "CPU (AVX2), 2 threads%s", ending);
    s->chapter.users = (forage_moment_users){.visits = 200000,
                                             .users = 1000,
                                             .items = 50,
                                             .newcomers = 1000,
                                             .table = s3_table(&s->life, life, S3_LIFE, 21)};
    for (size_t w = 0; w < 2; ++w) {
        s->chapter.sessions[w] =
            (forage_moment_sessions){.visits = 200000,
                                     .test_visits = 50000,
                                     .users = 1000,
                                     .items = 50,
                                     .active = 10,
                                     .intended = w ? 0 : 0.4987,
                                     .table = s3_table(&s->sessions[w], w ? steady : intents, S3_SESSION, 11)};
        snprintf(s->chapter.sessions[w].scenario, sizeof s->chapter.sessions[w].scenario, "%s%s",
                 w ? "sessions" : "intents", ending);
    }
}

#endif
