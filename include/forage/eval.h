/*
 * eval.h: how good is a model? Metrics of predictions and of rankings, intervals
 * around them, and the experiments of the study as plain result records.
 *
 * Formulas, conventions and sources stand in docs/evaluation.md.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_EVAL_H
#define FORAGE_EVAL_H

#include "forage/base.h"
#include "forage/data.h"
#include "forage/model.h"
#include "forage/pipeline.h"
#include "forage/sim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ *
 * Estimates and intervals
 * ------------------------------------------------------------------ */

/* A number and how far to trust it. `value` is NaN where the metric is not
 * defined (AUC of one class); `low` and `high` are NaN where no interval was
 * asked for or none can be given. */
typedef struct forage_estimate {
    double value;
    double low, high;
} forage_estimate;

/* Poisson bootstrap (Chamandy et al. 2012): in each resample every row, or every
 * group of rows, counts Poisson(1) times. Resample r draws from the stream
 * (seed, r), so the interval does not depend on the number of threads. */
typedef struct forage_bootstrap {
    size_t resamples; /* 0: no intervals; at most 1,000,000 */
    double level;     /* 0 means 0.95 */
    uint64_t seed;
    bool by_group; /* resample whole groups (users) instead of rows */
} forage_bootstrap;

/* Mean of `count` independent values (one per seed) with Student's t interval
 * at `level` (0 means 0.95). One value has no interval. NaN values are left out. */
FORAGE_API forage_estimate forage_estimate_of(const double *values, size_t count, double level);

/* ------------------------------------------------------------------ *
 * Metrics of predictions
 * ------------------------------------------------------------------ */

#define FORAGE_RELIABILITY_BINS_MAX 100

/* One bar of a reliability curve: the rows whose prediction lies in (low, high], the first bin's in [low, high]
 * (Guo et al. 2017; the edges are scikit-learn's in calibration_curve). */
typedef struct forage_reliability_bin {
    double low, high;
    size_t count;           /* rows; all below are 0 when this is */
    double mean_prediction; /* of the rows in the bin */
    double positive_rate;   /* observed */
    double deviation;       /* standard error of positive_rate: sqrt(r (1 - r) / count) */
} forage_reliability_bin;

/* What to judge. All arrays have `count` entries. */
typedef struct forage_predictions {
    size_t count;
    const float *prediction; /* a probability in [0, 1], or any score if not `probability` */
    const float *label;      /* 0 or 1 */
    const uint32_t *group;   /* the user of each row, for grouped AUC; NULL: none */
    const float *truth;      /* the true probability of a positive label, where it is known; NULL: not known */
    bool probability;        /* predictions are probabilities: log loss, Brier score and calibration make sense */
} forage_predictions;

typedef struct forage_metrics_options {
    size_t bins; /* of the reliability curve and ECE; 0 means 15 */
    forage_bootstrap bootstrap;
    int threads; /* 0 means 1 */
} forage_metrics_options;

typedef struct forage_metrics {
    size_t count, positives;
    size_t skipped;         /* rows left out because the model does not know their user or item */
    double base_rate;       /* share of positive labels */
    double mean_prediction; /* NaN unless probabilities, as is all else that needs them */

    forage_estimate
        log_loss; /* mean of -log p(label), nats; p clipped to [2^-23, 1 - 2^-23] as scikit-learn does for float32 */
    double base_log_loss;     /* log loss of predicting the base rate for every row */
    forage_estimate brier;    /* mean of (prediction - label)^2 */
    forage_estimate ece;      /* expected calibration error, bins of equal width */
    forage_estimate ece_mass; /* the same over bins of equal numbers of rows */

    forage_estimate auc;         /* area under the ROC curve; ties count one half; NaN with one class */
    forage_estimate grouped_auc; /* mean of the groups' AUC, weighted by their rows; groups of one class left out */
    size_t groups, groups_used;  /* groups seen, and those with both classes */
    double grouped_share;        /* share of the rows that lie in groups_used */

    /* Where the truth is known, else NaN. */
    forage_estimate rmse;            /* root mean square of prediction - truth over the rows */
    forage_estimate oracle_log_loss; /* log loss of the truth itself on these rows: the best a model can expect */
    forage_estimate excess_log_loss; /* log_loss - oracle_log_loss, row by row */

    size_t bin_count;
    forage_reliability_bin bins[FORAGE_RELIABILITY_BINS_MAX];      /* equal width */
    forage_reliability_bin bins_mass[FORAGE_RELIABILITY_BINS_MAX]; /* equal mass; may be fewer: see mass_bin_count */
    size_t mass_bin_count;
} forage_metrics;

/* Fills `metrics`. Fails with FORAGE_INVALID when there is no row, a prediction is
 * not finite (or, with `probability`, outside [0, 1]) or a label is not 0 or 1, naming the row.
 * O(n log n) and about 40 bytes a row. Any number of threads may call it at once. */
FORAGE_API forage_status forage_metrics_compute(const forage_predictions *predictions,
                                                const forage_metrics_options *options, forage_metrics *metrics,
                                                forage_error *error);

/* The same for a model on `count` rows of the dataset that `binding` binds it to: scores them, takes as label
 * whether the row's value is at least `positive` (0: values must be 0 or 1 as they are), as group the
 * row's user, and leaves out and counts what the model skips. `truth` (may be NULL) is by place in `rows`.
 * FORAGE_INVALID for a dataset without values. */
FORAGE_API forage_status forage_metrics_of_model(const forage_model *model, forage_binding *binding,
                                                 const forage_dataset *dataset, const uint32_t *rows, size_t count,
                                                 double positive, const float *truth,
                                                 const forage_metrics_options *options, forage_metrics *metrics,
                                                 forage_error *error);

/* Root mean square of (predicted - true click probability) over all pairs of the simulator's first `users` users and
 * `items` items, which must be those of the bound dataset. `skipped` (may be NULL) counts pairs left out. */
FORAGE_API forage_status forage_rmse_of_model(forage_binding *binding, const forage_simulator *simulator, size_t users,
                                              size_t items, double *rmse, size_t *skipped, forage_error *error);

/* Area under the ROC curve alone: P(score of a positive > score of a negative), ties one
 * half. NaN when a class is missing. `scores` must be finite, `labels` 0 or 1. */
FORAGE_API forage_status forage_auc(const float *scores, const float *labels, size_t count, double *auc,
                                    forage_error *error);

/* ------------------------------------------------------------------ *
 * Metrics of rankings
 * ------------------------------------------------------------------ */

/* Something that ranks: the `k` best items for each of `count` users, best first, those they have in
 * `seen` left out (NULL: none). User i's list starts at items[i * k] and has found[i] <= k entries. */
typedef forage_status forage_rank_function(void *context, const uint32_t *users, size_t count, size_t k,
                                           const forage_seen *seen, uint32_t *items, size_t *found,
                                           forage_error *error);

typedef struct forage_ranking_options {
    const size_t *cutoffs;      /* the k's, each at least 1 */
    size_t cutoff_count;        /* at least 1 */
    forage_bootstrap bootstrap; /* over users */
    int threads;                /* 0 means 1 */
    const forage_progress *progress;
} forage_ranking_options;

/* Means over the users that have at least one test item and got a list. */
typedef struct forage_ranking_metrics {
    size_t k;
    size_t users;              /* with test items, and a list that is not empty */
    size_t skipped;            /* users with test items whose list was empty: unknown ones, under FORAGE_UNKNOWN_SKIP */
    forage_estimate precision; /* hits / k */
    forage_estimate recall;    /* hits / |test items| */
    forage_estimate ndcg;     /* sum over hits of 1 / log2(rank + 1), over the same of min(k, |test|) hits at the top */
    forage_estimate mrr;      /* 1 / rank of the first hit, 0 if there is none among k */
    forage_estimate hit_rate; /* 1 if there is a hit */
    double coverage;          /* share of the catalogue that is in at least one list */
    size_t distinct;          /* the items counted there */
} forage_ranking_metrics;

/* What the rankings are compared with. Users and items are those that the ranker speaks of. */
typedef struct forage_ranking_task {
    const forage_seen *seen; /* left out of the rankings (training items); NULL: nothing */
    const forage_seen *test; /* what should be found */
    const uint32_t *misses;  /* [test->user_count], NULL: none: further test items of the user that no list can hold,
                              * because no one knows them */
    const bool *catalogue;   /* [items]: what coverage is a share of; NULL: all items */
    size_t items;            /* indices of items are below this */
} forage_ranking_task;

/* Has all items ranked for every user with test items and fills metrics[cutoff_count]. The
 * same for any number of threads. A list shorter than k counts misses for the rest. */
FORAGE_API forage_status forage_ranking_compute(forage_rank_function *rank, void *context,
                                                const forage_ranking_task *task, const forage_ranking_options *options,
                                                forage_ranking_metrics *metrics, forage_error *error);
/* The same for a model bound to a dataset, whose users and items the task speaks of. */
FORAGE_API forage_status forage_ranking_of_model(forage_binding *binding, const forage_ranking_task *task,
                                                 const forage_ranking_options *options, forage_ranking_metrics *metrics,
                                                 forage_error *error);

/* Something that scores: for each of `count` users the items items[offsets[i]] up to items[offsets[i + 1]] (offsets[0]
 * = 0), higher is better; NaN: cannot. */
typedef forage_status forage_score_function(void *context, const uint32_t *users, size_t count, const size_t *offsets,
                                            const uint32_t *items, float *scores, forage_error *error);

/* The sampled protocol of many papers: what should be found is ranked among a few items that were drawn for it, not
 * among all. It flatters, and weak models more than strong ones (Krichene and Rendle 2020): good for comparing with
 * what was published so. */
typedef struct forage_sampling {
    size_t negatives;       /* items beside each test item: as many of those that the user has never met, all if there
                             * are not so many; at least 1 */
    uint64_t seed;          /* user u draws from the stream (seed, u) */
    const forage_seen *met; /* what each user has met in any part: never a negative. The test items are none anyway */
} forage_sampling;

/* Every test item of every user is ranked among negatives that are drawn for it alone: uniformly, each once, from
 * task->catalogue (NULL: from all items). Items with equal scores are taken to be in random order, and what counts is
 * the mean over these orders; an item without a score is below all others. Of several test items of a user the mean
 * counts. Fills hit_rate (hits within k), ndcg (1 / log2(rank + 1) within k), mrr (1 / rank within k) and recall (as
 * hit_rate) of metrics[cutoff_count], precision as hit_rate / k; coverage is NaN. task->seen and ->misses are not
 * looked at. A user without any score is skipped. The same for any number of threads. */
FORAGE_API forage_status forage_ranking_sampled(forage_score_function *score, void *context,
                                                const forage_ranking_task *task, const forage_sampling *sampling,
                                                const forage_ranking_options *options, forage_ranking_metrics *metrics,
                                                forage_error *error);
/* The same for a model bound to a dataset, whose users and items the task speaks of. */
FORAGE_API forage_status forage_ranking_sampled_of_model(forage_binding *binding, const forage_ranking_task *task,
                                                         const forage_sampling *sampling,
                                                         const forage_ranking_options *options,
                                                         forage_ranking_metrics *metrics, forage_error *error);

/* ------------------------------------------------------------------ *
 * Chapter 1: the batched baseline and its three flaws, measured
 *
 * Every click rate here is an expected one: the mean of the simulator's true
 * click probability of what was shown, so that no noise of clicking is in it.
 * "lost" is the oracle's click rate minus that, on the same users.
 * Estimates with intervals are means over seeds with Student's t interval at 95 %;
 * each seed is a world of its own: catalogue, personas, log and initial weights.
 * ------------------------------------------------------------------ */

/* A way of choosing, and what it earns. */
typedef struct forage_arm {
    char name[64];  /* "new users, bestsellers" */
    char note[200]; /* what it does, one sentence */
    forage_estimate click_rate;
    forage_estimate lost;
} forage_arm;

/* Counts of a log for one category, one persona, or one cell of both. */
typedef struct forage_rate {
    size_t impressions, clicks;
    double observed; /* clicks / impressions; NaN without impressions */
    double truth;    /* mean true click probability: over all pairs of users and items that belong here */
} forage_rate;

/* What the log looks like. Names are in the order of the scenario. */
typedef struct forage_log_record {
    size_t users, items, interactions, clicks;
    double click_rate;
    forage_trial_result trials;                               /* made before the log began; count 0: none */
    char trials_persona[64], trials_high[64], trials_low[64]; /* names of persona and categories */
    size_t category_count, persona_count;
    char (*categories)[64];
    char (*personas)[64];
    size_t *category_items; /* [category_count] */
    size_t *persona_users;  /* [persona_count] */
    forage_rate *category;  /* [category_count] */
    forage_rate *persona;   /* [persona_count] */
    forage_rate *cell;      /* [persona_count x category_count], persona by persona */
} forage_log_record;

/* Training, epoch by epoch. */
typedef struct forage_training_record {
    char model[64];
    char device[64]; /* "CPU (AVX-512), 2 threads" */
    size_t epochs;
    double *train_loss;      /* [epochs] */
    double *validation_loss; /* [epochs] */
    size_t best_epoch;       /* counts from 1 */
    size_t train_rows, validation_rows;
    double seconds;
    double oracle_validation; /* log loss of the true rates on the validation rows */
    double oracle_pairs;      /* mean entropy of the true rates over all pairs of users and items */
    double base_validation;   /* log loss of the base rate on the validation rows */
} forage_training_record;

/* Five numbers of a box plot: quartiles by linear interpolation, whiskers at the last value within 1.5 quartile
 * distances. */
typedef struct forage_box {
    size_t count;
    double minimum, whisker_low, quartile_low, median, quartile_high, whisker_high, maximum;
    double mean;
} forage_box;

/* Predicted click rates, persona by category. */
typedef struct forage_persona_predictions {
    size_t persona_count, category_count, items;
    char (*categories)[64]; /* in the scenario's order */
    char (*personas)[64];
    uint32_t *representative; /* [persona_count]: the first user of each persona, as in the document; FORAGE_NONE if
                                 there is none */
    uint32_t *item_category;  /* [items] */
    float *predicted;         /* [persona_count x items]: of the representative */
    forage_box *one;          /* [persona_count x category_count]: of the representative's predictions over the items */
    forage_box *all;          /* the same over all users of the persona and the items of the category */
    double *truth;            /* [persona_count x category_count]: the true rate */
} forage_persona_predictions;

/* The model at its work: what greedy choice earns, beside the others. */
typedef struct forage_choice_record {
    size_t users;                          /* that were asked: all, or the first so many of very many */
    double model, oracle, popular, random; /* expected click rates over these users */
    size_t distinct;                       /* items that are some user's greedy choice */
} forage_choice_record;

/* One category that was launched after the training, and the click rate lost to the oracle. */
typedef struct forage_launch {
    char category[64];
    forage_estimate lost_before; /* to the best product of the old catalogue */
    forage_estimate lost_after;  /* to the best product of the new one, when the model cannot score the new products */
    forage_estimate lost_retrained; /* the same, trained again after new_interactions of random traffic */
} forage_launch;

/* Flaw 1. New users come, new products are launched; the model was trained without them. */
typedef struct forage_cold_start {
    size_t seeds;
    size_t users_known, users_new, items_known, items_new; /* in each world */
    size_t interactions;                                   /* rows of each log */
    size_t new_interactions; /* random visits after a launch, before the model is trained again */
    size_t user_arm_count;
    forage_arm *user_arms; /* known users first, then what can be done for new ones */
    size_t item_arm_count;
    forage_arm *item_arms; /* before the launch of a new category, after it, and what can be done: means over
                            * the categories, each launched in turn */
    size_t launch_count;
    forage_launch *launches; /* one by one */
    /* Error of the predicted rates (RMSE against the truth): a known user and product, and
     * a new one for which the model uses the average of what it knows. */
    forage_estimate rmse_known, rmse_new_user, rmse_new_item;
    /* Share of greedy choices that fall on new products, scored as the average; and what their share
     * of the catalogue would give them. */
    forage_estimate new_item_share;
    double new_item_fair_share;
} forage_cold_start;

/* One curve over time. */
typedef struct forage_series {
    char name[64];
    char note[200];
    size_t count;
    double *x;          /* [count] */
    forage_estimate *y; /* [count] */
} forage_series;

/* Flaw 2. A share of the users changes persona; the click rate of greedy choice, day by day. */
typedef struct forage_drift {
    size_t seeds, users, items;
    size_t visits_per_day, window_days; /* each night's training sees the last window_days days */
    double drifted_share;               /* of the users */
    double event_day;                   /* x at which tastes change: the first day with the new tastes */
    size_t series_count;
    forage_series *series; /* over all users: oracle, frozen model, retrained every night; then the same for the drifted
                              users alone */
    size_t overall_count;  /* the first so many series are over all users */
    /* The three numbers of the story, over all users and over the drifted ones. */
    forage_estimate before, after, recovered; /* frozen before, frozen after, retrained on the last day */
    forage_estimate before_drifted, after_drifted, recovered_drifted; /* the same for those who changed */
    forage_estimate oracle_after;
    size_t days_to_recover; /* nights until the retrained model is back within 90 % of what was lost (mean curve); 0:
                               not within the days measured */
} forage_drift;

/* Flaw 3. Training round after round on the traffic that the model itself directed. */
typedef struct forage_loop_round {
    forage_estimate click_rate, lost;
    forage_estimate distinct; /* different products shown in the round's traffic */
    forage_estimate coverage; /* the same as a share of the catalogue */
    forage_estimate
        spread; /* exp(entropy of the impressions over products): the number of products that get real exposure */
    forage_estimate rmse; /* of predicted click rates over all pairs */
} forage_loop_round;

typedef struct forage_loop_arm {
    char name[64];
    char note[200];
    forage_loop_round *rounds; /* [round_count] */
} forage_loop_arm;

typedef struct forage_feedback_loop {
    size_t seeds, users, items;
    size_t first_interactions; /* random traffic before the first training, the same for every arm; every later
                                * training has as many rows */
    size_t round_interactions; /* traffic added in each round */
    size_t round_count;        /* round 0 is the model trained on the first log */
    size_t arm_count;
    forage_loop_arm *arms;
    double oracle; /* the oracle's click rate, mean over seeds */
} forage_feedback_loop;

/* Everything that chapter 1 found. */
typedef struct forage_chapter1 {
    char scenario[64];
    uint64_t seed;
    forage_log_record log;
    forage_training_record training;
    forage_metrics metrics; /* on the validation rows, with the truth */
    double rmse_pairs;      /* against the truth over all pairs of users and items */
    forage_choice_record choice;
    forage_persona_predictions predictions;
    forage_cold_start cold_start;
    forage_drift drift;
    forage_feedback_loop feedback_loop;
    double seconds; /* all of it */
} forage_chapter1;

typedef struct forage_chapter1_options {
    const char *scenario; /* name or path; NULL means "petshop" */
    const char *model;    /* NULL means "embedding-mlp" */
    uint64_t seed;        /* of the scenario; 0 means the scenario's own */
    uint64_t model_seed;  /* of the first training */
    size_t interactions;  /* 0 means 200,000 */
    size_t seeds;         /* worlds per experiment; 0 means the default */
    forage_device device; /* threads 0: opened as "auto" */
    const forage_progress *progress;
} forage_chapter1_options;

/* Runs the chapter. `options` may be NULL. The same options give the same record
 * (times apart) whatever the number of threads. */
FORAGE_API forage_status forage_chapter1_run(const forage_chapter1_options *options, forage_chapter1 *chapter,
                                             forage_error *error);
/* Frees what the record holds; a record of zeros is fine. */
FORAGE_API void forage_chapter1_release(forage_chapter1 *chapter);

/* ------------------------------------------------------------------ *
 * A log of one's own: what is in it, and how well a model predicts it
 * ------------------------------------------------------------------ */

/* Events of one kind (a position, an item), and what the model makes of them. */
typedef struct forage_log_group {
    char name[96];
    size_t rows, positives;
    forage_estimate observed; /* share of positives, with its Wilson interval */
    double predicted;         /* mean prediction over these rows; NaN without predictions */
} forage_log_group;

/* The groups of one column. */
typedef struct forage_log_breakdown {
    char column[64];
    size_t distinct; /* values in the log */
    size_t count;    /* groups here: all of them, or the largest */
    forage_log_group *groups;
} forage_log_breakdown;

typedef struct forage_log_study {
    char source[256], split[96], part[16]; /* the log, how it was split, and the part that was judged */
    size_t rows, users, items, positives;  /* users 0: the log names none */
    double rate;                           /* share of positive rows; NaN without values */
    bool has_values;
    double propensity_low, propensity_high; /* NaN without propensities */
    size_t field_count;                     /* what the model reads */
    char (*fields)[64];
    size_t weights;
    forage_training_record training; /* the oracle is not known here */
    bool has_metrics;                /* the log has values and the model predicts them */
    forage_metrics metrics;          /* on the judged rows */
    bool has_ranking;                /* the log names users, and some of them have judged rows */
    forage_ranking_metrics ranking;  /* all items ranked, those of the other rows left out */
    size_t breakdown_count;          /* position first, then other context columns of few values */
    forage_log_breakdown *breakdowns;
    forage_log_breakdown items_by_prediction; /* the items with the highest mean prediction (or most rows) */
    double seconds;
} forage_log_study;

typedef struct forage_log_study_options {
    const char *source;          /* name of the log; may be NULL */
    const char *split_name;      /* as it was given; may be NULL */
    const forage_params *params; /* NULL: all defaults */
    forage_fit_options fit;      /* seed, fields, device, progress */
    double positive;             /* values from here on are positive; 0: they must be 0 or 1 as they are */
    size_t ranking_cutoff;       /* 0 means 20 */
    forage_bootstrap bootstrap;  /* resamples 0: no intervals */
} forage_log_study_options;

/* Fits a model of that kind on the training rows of the split, and judges it on the test rows, else on the validation
 * rows, else on all. Groups count all rows of the log. Release the record, on failure too. */
FORAGE_API forage_status forage_log_study_run(const forage_model_info *info, const forage_dataset *dataset,
                                              const forage_split *split, const forage_log_study_options *options,
                                              forage_log_study *study, forage_error *error);
FORAGE_API void forage_log_study_release(forage_log_study *study);

/* ------------------------------------------------------------------ *
 * Off-policy evaluation: what would a policy have earned on the log of another?
 *
 * A log of (context x, action a, reward r) was collected by a policy that showed a with the propensity p. The policy to
 * be judged would have shown it with the probability q(a | x); w = q / p is the row's weight. docs/evaluation.md has
 * the formulas, the sources, and when each estimator is to be believed.
 * ------------------------------------------------------------------ */

/* One list makes the enum, the keys and the texts. */
#define FORAGE_OPE_LIST(X)                                                                     \
    X(DM, "dm", "direct method: the reward model alone; biased as the model is")               \
    X(IPS, "ips", "inverse propensity scores; unbiased")                                       \
    X(CLIPPED_IPS, "clipped_ips", "the same, no weight above the clip; low rather than noisy") \
    X(SNIPS, "snips", "self-normalised: weights sum to the number of rows; nearly unbiased")   \
    X(DR, "dr", "doubly robust: the model, and the weighted rest that it misses; unbiased")    \
    X(SWITCH_DR, "switch_dr", "doubly robust where the weight is at most the switch, else model")

typedef enum forage_ope_kind {
#define FORAGE_OPE_ENUM(name, key, text) FORAGE_OPE_##name,
    FORAGE_OPE_LIST(FORAGE_OPE_ENUM)
#undef FORAGE_OPE_ENUM
        FORAGE_OPE_COUNT,
} forage_ope_kind;

/* "switch_dr" and what that is; NULL outside the list. */
FORAGE_API const char *forage_ope_key(forage_ope_kind kind);
FORAGE_API const char *forage_ope_text(forage_ope_kind kind);

/* What is known of each of `count` rows. */
typedef struct forage_ope_rows {
    size_t count;
    const float *propensity; /* p, in (0, 1] */
    const double *target;    /* q(a | x), in [0, 1], of the action that was shown */
    const float *reward;     /* finite */
    const double *predicted; /* the reward model's estimate for the action that was shown; NULL: there is no model, and
                              * the estimators that need one are NaN */
    const double *expected;  /* sum over all actions of q times the model's estimate; NULL as `predicted` is */
    const uint32_t *group;   /* rows of a group (a user, a visit) are not independent of each other: standard errors and
                              * resamples are those of whole groups; NULL: rows are independent */
} forage_ope_rows;

typedef struct forage_ope_options {
    double clip;                /* largest weight of clipped IPS; 0: sqrt(count), Ionides 2008 */
    double switch_at;           /* largest weight at which switch-DR trusts weights; 0: sqrt(count) */
    double least_ess;           /* less effective rows than this: refused; 0: 100 */
    double most_lost;           /* more of the policy's choices than this without support: refused; 0: 0.05 */
    forage_bootstrap bootstrap; /* behind the intervals; without resamples they are normal. by_group is not looked at */
    int threads;                /* 0 means 1 */
} forage_ope_options;

typedef struct forage_ope_estimate {
    double value;
    double deviation; /* standard error */
    double low, high; /* NaN where resamples cannot tell, because hardly a row has a reward */
} forage_ope_estimate;

typedef struct forage_ope {
    size_t count, groups;       /* groups: `count` where rows are independent */
    forage_ope_estimate logged; /* mean reward of the log: what the policy that collected it earned */
    double ess;                 /* effective sample size (sum w)^2 / sum w^2 (Kish 1965) */
    double largest_weight;
    double mean_weight, mean_weight_deviation; /* 1 where the log supports all that the policy does */
    double lost; /* share of the policy's choices that the log cannot speak for: 1 - mean weight - 3 standard errors of
                  * it, at least 0 */
    double zero_share;        /* rows that the policy would never have shown */
    double clip, switch_at;   /* as they were used */
    double clipped, switched; /* shares of rows beyond them */
    double unseen;            /* mean share of the policy's choices that are no row of the log at all; NaN: not known */
    bool refused;             /* the log is not able to answer; estimates are NaN */
    char reason[256];
    forage_ope_estimate estimates[FORAGE_OPE_COUNT];
} forage_ope;

/* Fills `result`. Where the effective sample size is too small or support is missing, FORAGE_OK with result->refused
 * and the reason. FORAGE_INVALID when there is no row, or something outside its range: names the row.
 * Any number of threads may call it at once. */
FORAGE_API forage_status forage_ope_compute(const forage_ope_rows *rows, const forage_ope_options *options,
                                            forage_ope *result, forage_error *error);

typedef struct forage_ope_task {
    const forage_dataset *dataset; /* the log: values and propensities */
    const char *source;            /* its name, for messages; may be NULL */
    const char *position;     /* context column with the place at which an item was shown, each place a problem of its
                               * own; NULL: "position" if there is such a column; "": none */
    const char *reward_model; /* NULL: click rates by item and position; "": none; else the specification of a pipeline
                               * whose model is taken (its policy does not matter) */
    size_t folds;             /* at least 2; 0: 2 */
    uint64_t seed;            /* of folds and pipelines */
    forage_ope_options options;
    const forage_progress *progress;
} forage_ope_task;

/* Judges a pipeline. Candidates are all items of the log, one position at a time. Rows are put into folds, users as a
 * whole; for each fold a pipeline is taught the rows of all others in their order (forage_pipeline_teach) and then
 * asked for its probabilities on the rows of the fold, learning nothing; so nothing is judged on what it has learned
 * from. The reward model's estimates come from the other folds in the same way. FORAGE_FORMAT for a log without
 * propensities or values. Memory: 40 bytes a row. */
FORAGE_API forage_status forage_ope_of_pipeline(const forage_ope_task *task, const forage_pipeline_spec *spec,
                                                forage_ope *result, forage_error *error);
/* Judges the policy that collected another log and looked at no context: its probabilities of items at each position
 * are read off that log's propensities, brought to sum 1 at each position. Where both logs have times, those nearest in
 * time are taken (a policy that learns changes); else, or with `average`, an item's mean probability over all of that
 * log, which is the harmonic mean of its propensities. */
FORAGE_API forage_status forage_ope_of_log(const forage_ope_task *task, const forage_dataset *collected, bool average,
                                           forage_ope *result, forage_error *error);

/* ------------------------------------------------------------------ *
 * The arena: pipelines against an environment, under the same luck
 *
 * Every agent plays every seed. Plays of one seed see the same visitors and the same luck whatever is
 * shown (common random numbers), so differences between agents are not differences of luck.
 * docs/arena.md defines every score.
 * ------------------------------------------------------------------ */

#define FORAGE_ARENA_NEWCOMER 60 /* visits of a new user that are looked at one by one */

typedef struct forage_arena_options {
    const char *environment; /* as in forage_environment_open */
    forage_environment_options environment_options;
    const char *const *agents; /* "random", "oracle", "bayes", or specifications of pipelines; each name once */
    size_t agent_count;
    const char *agents_file; /* further pipelines, all of a YAML file; NULL: none. Neither: forage_arena_defaults */
    size_t seeds;            /* plays of each; 0: 1 */
    uint64_t seed;           /* of the first; the others follow one by one */
    size_t points;           /* of curves; 0: 200 */
    size_t diary;            /* visits of the first new user that are written down; 0: none */
    uint64_t settle; /* new users count in scores from this visit on, when learners have seen some others; 0: 50,000,
                      * or a quarter of the visits if that is less */
    uint64_t window; /* five times so many visits before an event say what the share of the oracle was; 0: 1,000, or
                      * a fiftieth of the visits if that is less */
    int threads;     /* 0: one for every core; results are the same for any number */
    const forage_progress *progress;
} forage_arena_options;

/* Agents that make a good table in such an environment: names[*count], constant. Those among them that an environment
 * has not (bayes without personas) are left out by forage_arena_run. */
FORAGE_API const char *const *forage_arena_defaults(forage_environment_kind kind, size_t *count);

/* One visit of the diary: what was shown, and what was believed of it. */
typedef struct forage_arena_page {
    uint64_t visit; /* of all */
    uint32_t user, item;
    uint32_t user_group, item_group;
    float mean, deviation; /* of the item at the first position; NaN: none */
    double propensity;     /* NaN: a reference */
    double truth, best;    /* expected rewards of what was shown, and of the best */
    float reward;
    /* Before the visit, by group of items; NaN without a model or without candidates of the group. Both NULL in
     * environments with more than 64 groups. */
    float *belief; /* [item groups]: the highest mean of the group's candidates */
    float *chance; /* [item groups]: the probability that the first position shows the group */
} forage_arena_page;

/* Estimates are means over seeds with Student's t interval at 95 %. Regret is what the oracle's slates earn more on
 * average (free of noise), summed over visits; in environments that know no truth, all that needs it is NaN. Rates are
 * rewards per visit. */
typedef struct forage_arena_agent {
    char name[96];
    char model[64], policy[64]; /* "" for references */
    forage_estimate regret;     /* at the end */
    forage_estimate rate; /* mean reward per visit: the click rate. Replay: per visit that was answered. Log: ips */
    forage_estimate rate_last;  /* in the last tenth */
    forage_estimate share;      /* expected reward as a share of the oracle's */
    forage_estimate share_last; /* in the last tenth */
    forage_estimate
        loss; /* classification: progressive 0/1 loss, the share of choices that were not the best; else NaN */
    forage_estimate exponent;     /* b of regret ~ a t^b, fitted over the second half on a log scale */
    forage_estimate first60;      /* regret of a new user in their first 60 visits, mean over new users */
    forage_estimate visits_to_90; /* visits of a new user until the share of the oracle is 90 % for good */
    double reached_90;            /* share of the plays in which it is within 60 visits; the others count as 60 above */
    /* By event: visits until the share of the oracle over a window is back at 95 % of what it was before the event, and
     * the share of the plays in which it comes back before the next event or the end; the others count as lasting so
     * long. NaN where none comes back. */
    forage_estimate *recovery;                       /* [events] */
    double *recovered;                               /* [events] */
    forage_estimate *user_group, *item_group;        /* [groups]: rate where they were visitor, or per impression */
    double *exposure;                                /* [item groups]: share of impressions */
    forage_estimate coverage;                        /* share of the catalogue shown at least once */
    forage_estimate gini;                            /* of impressions over items: 0 all the same, 1 one item alone */
    double *regret_curve, *regret_low, *regret_high; /* [points]: since the beginning */
    double *rate_curve;                              /* [points]: reward per visit since the point before */
    double *share_curve;                           /* [points]: expected reward since then as a share of the oracle's */
    double newcomer_curve[FORAGE_ARENA_NEWCOMER];  /* share of the oracle's rate on the nth visit of new users */
    double newcomer_regret[FORAGE_ARENA_NEWCOMER]; /* regret of the nth visit */
    size_t page_count;
    forage_arena_page *pages;    /* the diary, of the first seed */
    double accepted;             /* replay: share of the visits that could be answered; else 1 */
    forage_estimate ips, snips;  /* log: reward per visit that its choices are estimated to earn, as it learned */
    double decisions_per_second; /* of one thread, time of the pipeline alone; NaN: none made */
    double lessons_per_second;   /* the same of rewards learned */
    double visits_per_second;    /* the same with all that the environment and the scores take */
    size_t memory;               /* bytes of a pipeline at the end, the largest over seeds; 0 for references */
    uint64_t lost;               /* rewards that came after the agent had stopped waiting for them, all seeds */
    uint64_t hash;               /* of all choices, for comparing runs */
} forage_arena_agent;

typedef struct forage_arena {
    char environment[96];
    forage_environment_kind kind;
    uint64_t visits, seed, settle, window;
    size_t seeds, users, items, positions;
    size_t point_count;
    uint64_t *points;   /* visits at which curves are sampled */
    double logged_rate; /* log: its own reward per row; else NaN */
    double oracle_rate; /* expected reward per visit of the best slates; NaN where nobody knows */
    uint64_t newcomers; /* new users who count in scores, all seeds */
    size_t event_count;
    forage_environment_event *events; /* labels owned */
    size_t user_group_count, item_group_count;
    char (*user_groups)[64], (*item_groups)[64];
    size_t agent_count;
    forage_arena_agent *agents; /* in the order they were named */
    double load_seconds;        /* opening the environment: reading its file */
    double seconds;             /* all of it */
} forage_arena;

/* Runs it. FORAGE_INVALID for an agent named twice, a wrong option, a pipeline that the environment cannot serve;
 * FORAGE_UNKNOWN for an agent that does not exist (the message lists those there are); FORAGE_UNSUPPORTED for a
 * reference that the environment has not, and for pretraining outside a shop. The same options give the same record
 * (times apart), whatever the number of threads. Memory does not grow with visits. Release the record, on failure too.
 */
FORAGE_API forage_status forage_arena_run(const forage_arena_options *options, forage_arena *arena,
                                          forage_error *error);
/* Frees what the record holds; a record of zeros is fine. */
FORAGE_API void forage_arena_release(forage_arena *arena);

/* ------------------------------------------------------------------ *
 * Chapter 2: learners that learn from every click, in the arena
 * ------------------------------------------------------------------ */

/* The plays of the chapter, in its order. */
typedef enum forage_chapter2_play {
    FORAGE_CHAPTER2_SHOP,      /* the scenario on trial (petshop): nothing changes, nothing is known beforehand */
    FORAGE_CHAPTER2_NEW_USERS, /* with a diary of the first newcomer */
    FORAGE_CHAPTER2_NEW_ITEMS,
    FORAGE_CHAPTER2_DRIFT,
    FORAGE_CHAPTER2_FEEDBACK_LOOP, /* what remains on the shelf */
    FORAGE_CHAPTER2_SLATE,
    FORAGE_CHAPTER2_DELAYED,
    FORAGE_CHAPTER2_LARGE,
    FORAGE_CHAPTER2_PLAYS,
} forage_chapter2_play;

typedef struct forage_chapter2 {
    forage_arena arenas[FORAGE_CHAPTER2_PLAYS];
    double seconds; /* all of it */
} forage_chapter2;

typedef struct forage_chapter2_options {
    const char *scenario; /* of the first play; NULL means "petshop" */
    uint64_t seed;        /* of the first play of each arena; 0 means 1 */
    uint64_t visits;      /* of each play; 0 means what fits into a minute: 200,000, or less */
    size_t seeds;         /* plays of each agent; 0 means the same: 2, or 1 where a play is long */
    int threads;          /* 0 means one for every core */
    const forage_progress *progress;
} forage_chapter2_options;

/* Runs the chapter. `options` may be NULL. The same options give the same record (times apart) whatever the number of
 * threads. Release the record, on failure too. */
FORAGE_API forage_status forage_chapter2_run(const forage_chapter2_options *options, forage_chapter2 *chapter,
                                             forage_error *error);
/* Frees what the record holds; a record of zeros is fine. */
FORAGE_API void forage_chapter2_release(forage_chapter2 *chapter);

/* ------------------------------------------------------------------ *
 * Chapter 3: the session in the moment
 *
 * What a click prediction gains from what somebody has just done: `bst`, a behaviour-sequence transformer, beside the
 * same model without attention (a bag of the history) and without the history. Everybody predicts the same rows, which
 * no model has learned from; `bayes` predicts them knowing the personas, the intents and their click rates, but not who
 * is of which persona, nor what a session is about. Log losses are expected ones, -(t log p + (1 - t) log(1 - p)) for a
 * true probability t and a predicted p: the luck of the single click is left out, what users did before is not. AUC is
 * about the clicks that happened. Estimates are means over worlds, each with catalogue, users, log
 * and initial numbers of its own, with Student's t interval at 95 %. docs/evaluation.md says what is compared.
 * ------------------------------------------------------------------ */

/* Somebody who predicts clicks, at several points of a life or of a session. */
typedef struct forage_predictor {
    char name[64];
    char note[200];                          /* what it does, one sentence */
    forage_estimate *log_loss;               /* [points] */
    forage_estimate *excess;                 /* [points] its log loss by that of `bayes` on the same rows, less 1 */
    forage_estimate loss, auc;               /* of all rows */
    forage_estimate more;                    /* as excess, of all rows */
    forage_estimate late;                    /* as excess, of the rows from the table's point `late` on */
    forage_estimate loss_behind, auc_behind; /* of all rows, world by world: its log loss less that of the sequence
                                              * model, and the AUC of that less its own */
} forage_predictor;

typedef struct forage_predictor_table {
    size_t point_count, predictor_count;
    double *points;               /* the visit of the user's life, or of the session, from 1 */
    forage_predictor *predictors; /* one of them is called "bst", and one "bayes" */
    double late;                  /* the first point that counts as late */
} forage_predictor_table;

/* Users whom no model has seen, known by nothing but what they did so far. */
typedef struct forage_moment_users {
    size_t visits, users, items; /* of the log that models learn from */
    size_t newcomers;            /* in each world; each comes as often as there are points */
    forage_predictor_table table;
} forage_moment_users;

/* A shop of sessions: models learn from the log up to a moment, and predict what comes after it. */
typedef struct forage_moment_sessions {
    char scenario[64];
    size_t visits, test_visits, users, items;
    size_t active;   /* sessions under way at the same time; each has as many visits as there are points */
    double intended; /* share of the test's visits whose session had an intent, mean of worlds */
    forage_predictor_table table;
} forage_moment_sessions;

enum { FORAGE_CHAPTER3_INTENTS, FORAGE_CHAPTER3_STEADY, FORAGE_CHAPTER3_SHOPS };

typedef struct forage_chapter3 {
    char scenario[64]; /* of the users that no model has seen */
    char device[64];
    uint64_t seed;
    size_t seeds;
    forage_moment_users users;
    forage_moment_sessions sessions[FORAGE_CHAPTER3_SHOPS]; /* with intents, and the twin without */
    double seconds;                                         /* all of it */
} forage_chapter3;

typedef struct forage_chapter3_options {
    const char *scenario; /* of the users that no model has seen; NULL means "petshop" */
    uint64_t seed;        /* of the shops; 0 means the scenario's */
    size_t visits;        /* of each log that models learn from; 0 means 200,000; at least 1,000 */
    size_t seeds;         /* worlds in each experiment; 0 means 3; at most 50 */
    forage_device device; /* threads 0: one for every core */
    const forage_progress *progress;
} forage_chapter3_options;

/* Runs the chapter. `options` may be NULL. The same options give the same record (times apart) whatever the number of
 * threads. FORAGE_INTERRUPTED when progress asks to stop. Release the record, on failure too. */
FORAGE_API forage_status forage_chapter3_run(const forage_chapter3_options *options, forage_chapter3 *chapter,
                                             forage_error *error);
/* Frees what the record holds; a record of zeros is fine. */
FORAGE_API void forage_chapter3_release(forage_chapter3 *chapter);

/* ------------------------------------------------------------------ *
 * Chapter 4: what a graph of clicks knows
 *
 * Users and products are nodes, clicks are edges, LightGCN is the model. Every user is offered the best
 * products among those that they have not clicked yet; click rates are the mean of the true click
 * probability of these. Estimates are means over worlds, each with catalogue, users, log and initial
 * numbers of its own, with Student's t interval at 95 %. docs/evaluation.md says what is compared.
 * ------------------------------------------------------------------ */

/* Somebody who ranks, at several points of what is varied. NaN where a number is not defined. */
typedef struct forage_ranked_arm {
    char name[64];
    char note[200];              /* what it does, one sentence; may be empty */
    forage_estimate *click_rate; /* [points] of the products offered */
    forage_estimate *recall;     /* [points] of the user's next clicks among the first `cutoff`; NULL: not measured */
    forage_estimate *ndcg;       /* [points] the same */
} forage_ranked_arm;

typedef struct forage_arm_table {
    size_t point_count, arm_count;
    double *points; /* visits, clicks or layers */
    forage_ranked_arm *arms;
    forage_estimate *ahead; /* [points] click rate of the graph model less that of the tuned batched one, world by
                             * world; NULL: they are not both there */
} forage_arm_table;

/* How many edges nodes have. */
typedef struct forage_degrees {
    size_t nodes, none; /* all, and those without an edge */
    double mean;
    size_t median, most;
    size_t *count; /* [most + 1]: nodes by their number of edges */
} forage_degrees;

enum { FORAGE_GRAPH_HOPS = 3 };

/* The graph of one shop. */
typedef struct forage_graph_facts {
    size_t users, items, visits, clicks;
    size_t edges; /* pairs of a user and a product clicked by them */
    forage_degrees user, item;
    double
        reach[FORAGE_GRAPH_HOPS]; /* share of the catalogue that a user can reach in 1, 3, 5 steps, mean over users */
    /* From a user to a product clicked, to another user who clicked on it, all evenly: the probability that both are of
     * the same persona, mean over users; and that of any two users. Of products (by category) the same. */
    double same_persona, same_persona_chance, same_category, same_category_chance;
} forage_graph_facts;

/* A user or a product on the plane. */
typedef struct forage_map_point {
    float x, y;
    uint32_t index, group; /* persona or category */
} forage_map_point;

/* One way in which vectors come about. */
typedef struct forage_map_view {
    char name[64];
    char note[200];
    double explained[2];             /* share of the users' variance along x and y */
    forage_map_point *users, *items; /* [map's user_count], [map's item_count], in the shop that is shown */
    forage_estimate user_neighbours, item_neighbours; /* share of the nearest that are of the same group */
    forage_estimate user_silhouette, item_silhouette;
} forage_map_view;

/* Vectors of users and products, brought to length 1, on the plane of the users' two principal components. */
typedef struct forage_graph_map {
    size_t user_count, item_count; /* points drawn: the first so many users, all products */
    size_t neighbours;             /* that are looked at of each user or product */
    size_t view_count;
    forage_map_view *views;
} forage_graph_map;

/* A product offered, and what speaks for it. */
typedef struct forage_graph_offer {
    uint32_t item, category;
    double truth; /* click probability */
    size_t reason_count;
    struct {
        uint32_t item, category; /* because this was clicked */
        size_t users;            /* and so it was by so many others who clicked on what is offered */
        double share;            /* of all such paths, by strength: see forage_graph_paths */
    } reasons[2];
} forage_graph_offer;

enum { FORAGE_GRAPH_OFFERS = 5 };

/* One user of a persona: what they clicked, and what they are offered. */
typedef struct forage_graph_customer {
    uint32_t user, persona;
    size_t chosen;    /* different products clicked */
    size_t *category; /* [categories] of these by category */
    size_t offer_count;
    forage_graph_offer offers[FORAGE_GRAPH_OFFERS];
    double click_rate, best; /* mean truth of the offers, and of the best that could be offered */
} forage_graph_customer;

/* Users with so many clicks (points), in a shop whose other users have clicked more. */
typedef struct forage_few_clicks {
    size_t others, others_visits; /* users, and visits of each on average */
    size_t group;                 /* users of each number of clicks */
    forage_estimate *visits;      /* [points] that it took to click so often */
    forage_arm_table arms;
} forage_few_clicks;

typedef struct forage_chapter4 {
    char scenario[64];
    char device[64];
    uint64_t seed;
    size_t seeds;
    size_t offered, cutoff; /* products that click rates are about, and that recall and NDCG look at */
    size_t test_visits;     /* of each user, in which rankings should find the clicks */
    size_t persona_count, category_count;
    char (*personas)[64];
    char (*categories)[64];
    forage_graph_facts graph;
    forage_graph_map map;
    size_t customer_count;
    forage_graph_customer *customers; /* the first of each persona that has one with clicks */
    forage_arm_table smoothing;       /* points: layers; arms: logs of some visits per user */
    forage_arm_table crowd;           /* points: visits per user; arms: who ranks */
    size_t shown;                     /* of crowd's points: the shop of graph, map and customers */
    size_t few_clicks_count;
    forage_few_clicks *few_clicks; /* points: clicks; others with a thin log, and with a thicker one */
    double seconds;                /* all of it */
} forage_chapter4;

typedef struct forage_chapter4_options {
    const char *scenario; /* NULL means "petshop". Its sizes and what changes in it do not matter */
    uint64_t seed;        /* 0 means the scenario's */
    size_t seeds;         /* worlds in each experiment; 0 means 5; at most 50 */
    forage_device device; /* threads 0: one for every core */
    const forage_progress *progress;
} forage_chapter4_options;

/* Runs the chapter. `options` may be NULL. The same options give the same record (times apart) whatever the number of
 * threads. FORAGE_INTERRUPTED when progress asks to stop. Release the record, on failure too. */
FORAGE_API forage_status forage_chapter4_run(const forage_chapter4_options *options, forage_chapter4 *chapter,
                                             forage_error *error);
/* Frees what the record holds; a record of zeros is fine. */
FORAGE_API void forage_chapter4_release(forage_chapter4 *chapter);

#ifdef __cplusplus
}
#endif

#endif
