/*
 * intern.h: what the files of room `pipeline` share.
 *
 *   names.c      short names, and the YAML that each stands for
 *   spec.c       short names and files to specifications
 *   list.c       the list of features in a specification
 *   plan.c       features tied to a catalogue: what `auto` means, where each number goes
 *   features.c   a request and its candidates to numbers
 *   scaling.c    numeric columns to a common scale, online
 *   history.c    what was shown to whom, and what came of it
 *   waiting.c    decisions whose feedback has not come yet
 *   batch.c      models that are fitted now and then on what was stored
 *   pipeline.c   decide, observe, teach
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PIPELINE_INTERN_H
#define PIPELINE_INTERN_H

#include "forage/pipeline.h"

/* ---- spec.c, list.c: what was asked for ---- */

typedef enum pipeline_feature_kind {
    PIPELINE_AUTO,
    PIPELINE_BIAS,
    PIPELINE_COLUMN,     /* an attribute of the user or the item, or a column of the context */
    PIPELINE_CROSS,      /* two or three of them multiplied */
    PIPELINE_HISTORY,    /* what this user saw and liked, by a group of items */
    PIPELINE_ACTIVITY,   /* what this user did in all */
    PIPELINE_POPULARITY, /* what became of the candidate with everyone */
} pipeline_feature_kind;

enum {
    PIPELINE_RATE = 1 << 0,    /* rewards per impression, shrunken */
    PIPELINE_COUNT = 1 << 1,   /* impressions n, as n / (n + prior) */
    PIPELINE_RECENCY = 1 << 2, /* how long ago the last impression was */
    PIPELINE_CLICKS = 1 << 3,  /* rewards c, as log(1 + c) */
    PIPELINE_SHOWN = 1 << 4,   /* impressions n, as log(1 + n) */
    PIPELINE_BOUND = 1 << 5,   /* the rate and two of its standard errors */
};
#define PIPELINE_MEASURES "rate,count,recency,clicks,shown,bound"

enum {
    PIPELINE_POSITION_LIMIT = 1000,
    PIPELINE_CROSS_LIMIT = 3,
    PIPELINE_WIDTH_LIMIT = 4096,
    PIPELINE_FEATURE_LIMIT = 256
};

/* One entry of the list. Texts belong to it. */
typedef struct pipeline_feature {
    pipeline_feature_kind kind;
    forage_owner owner;                /* COLUMN */
    char *names[PIPELINE_CROSS_LIMIT]; /* COLUMN: the column, "*" for all; CROSS: "user.age"; HISTORY: an item
                                          attribute, or "item" */
    size_t name_count;
    size_t limit, buckets; /* one-hot up to so many codes, else hashed into so many places */
    bool scale;
    size_t knots;      /* numeric: pieces of a piecewise linear curve; 0: a straight line */
    unsigned measures; /* of PIPELINE_RATE ... */
    double half_life;  /* in impressions of this user; 0: nothing is forgotten; below 0: the pipeline's */
    double prior;      /* impressions that the average of all counts for; below 0: the pipeline's */
    bool own;          /* HISTORY: of the candidate's own group alone */
    uint64_t line;     /* in the file; 0: none */
} pipeline_feature;

typedef struct pipeline_list {
    pipeline_feature *entries;
    size_t count, capacity;
} pipeline_list;

struct forage_pipeline_spec {
    char *name, *file; /* file: NULL for a short name */
    const forage_model_info *model;
    const forage_policy_info *policy;
    forage_params *model_params, *policy_params, *params;
    pipeline_list features;
};

forage_status pipeline_list_read(const forage_config_node *node, pipeline_list *list, forage_error *error);
forage_status pipeline_list_words(const char *text, pipeline_list *list, forage_error *error);
void pipeline_list_release(pipeline_list *list);
/* Adds a copy of `feature` with names of its own. */
forage_status pipeline_list_add(pipeline_list *list, const pipeline_feature *feature, forage_error *error);
/* What a kind of feature has where nothing is said. */
pipeline_feature pipeline_feature_default(pipeline_feature_kind kind);

/* The pipeline's own parameters. */
extern const forage_param_table pipeline_params;

/* ---- scaling.c ---- */

enum { PIPELINE_SCALE_FIRST = 16, PIPELINE_SCALE_ROWS = 1024, PIPELINE_KNOT_LIMIT = 16 };

/* The scale of one numeric column: settled after PIPELINE_SCALE_ROWS values, and anew at every power of two before
 * (see scaling.c for why). */
typedef struct pipeline_scale {
    uint32_t seen;                        /* values, up to PIPELINE_SCALE_ROWS */
    float mean, inverse;                  /* of the deviation; 0: all values were the same */
    float edges[PIPELINE_KNOT_LIMIT + 1]; /* quantiles */
    float *values;                        /* [PIPELINE_SCALE_ROWS] */
} pipeline_scale;

forage_status pipeline_scale_create(pipeline_scale *scale, forage_error *error);
void pipeline_scale_release(pipeline_scale *scale);
void pipeline_scale_see(pipeline_scale *scale, float value, size_t knots);
/* Settles the scale from the values of a whole column, NaN ones left out. */
forage_status pipeline_scale_settle(pipeline_scale *scale, const float *values, size_t count, size_t knots,
                                    forage_error *error);
/* The value on the scale; missing is 0. */
float pipeline_scale_value(const pipeline_scale *scale, float value);
/* The same as `knots` numbers in [0, 1]: how far the value is through each piece. */
void pipeline_scale_pieces(const pipeline_scale *scale, float value, size_t knots, float *pieces);

/* ---- history.c ---- */

/* What one user did with one group of items, as of that user's own impression number `stamp`. */
typedef struct pipeline_memory {
    uint32_t group, stamp;
    float shown, reward;
} pipeline_memory;

typedef struct pipeline_history pipeline_history;

/* `group` NULL: one group for all. Codes are read anew on every use: the catalogue may grow. */
forage_status pipeline_history_create(size_t users, size_t groups, double half_life, double prior,
                                      pipeline_history **result, forage_error *error);
void pipeline_history_free(pipeline_history *history);
forage_status pipeline_history_grow(pipeline_history *history, size_t users, size_t groups, forage_error *error);
/* Makes sure that the next `count` calls of `add` for this user find room. */
forage_status pipeline_history_reserve(pipeline_history *history, uint32_t user, size_t count, forage_error *error);
/* An impression of `group`, of that weight, that earned `reward`. Either may be FORAGE_NONE: then it counts where it
 * can. */
void pipeline_history_add(pipeline_history *history, uint32_t user, uint32_t group, float reward, float weight);
/* Looks at a user: what follows is about them. */
void pipeline_history_look(pipeline_history *history, uint32_t user);
size_t pipeline_history_groups(const pipeline_history *history);
/* Writes the measures of `group` (FORAGE_NONE: as if nothing were known), one number for each bit of `measures`. */
void pipeline_history_measure(const pipeline_history *history, uint32_t group, unsigned measures, float *values);
/* Of the first `groups` groups: group by group, each with all its measures. */
void pipeline_history_measure_all(const pipeline_history *history, size_t groups, unsigned measures, float *values);
size_t pipeline_history_memory(const pipeline_history *history);
size_t pipeline_measure_count(unsigned measures);

/* ---- plan.c, features.c ---- */

typedef enum pipeline_source_kind { PIPELINE_OF_COLUMN, PIPELINE_OF_ID, PIPELINE_OF_ARM } pipeline_source_kind;

/* Where a code or a value comes from. */
typedef struct pipeline_source {
    pipeline_source_kind kind;
    forage_owner owner;
    size_t column; /* of the owner's table */
    bool numeric;
    size_t codes; /* categorical: how many */
    size_t scale; /* numeric: which of the plan's scales, SIZE_MAX: as it is */
} pipeline_source;

/* One step of computing features: writes `width` numbers from `offset` on. */
typedef struct pipeline_step {
    pipeline_feature_kind kind;
    size_t offset, width;
    pipeline_source sources[PIPELINE_CROSS_LIMIT];
    size_t source_count;
    bool hashed;
    size_t knots;
    unsigned measures;
    size_t history; /* which of the plan's */
    bool own;
    uint64_t salt;
} pipeline_step;

/* By what a history groups items. */
typedef struct pipeline_grouping {
    bool all, item; /* one group; each item by itself; else by `column` of the item attributes */
    size_t column;
    pipeline_history *history;
    double half_life, prior;
    bool popularity; /* items take the place of users: the user is always the candidate */
} pipeline_grouping;

typedef struct pipeline_plan {
    const forage_catalogue *catalogue;
    bool arm_is_item;
    size_t arm_column; /* of the item attributes */
    size_t arms, missing_arm;
    uint32_t *arm_of; /* [items] */
    size_t items, users;

    pipeline_step *request, *fixed, *varying; /* steps: of the request; of an item alone; of both */
    size_t request_count, fixed_count, varying_count;
    size_t request_width, fixed_width, candidate_width;
    bool by_arm; /* candidates of one arm have the same features */

    pipeline_scale *scales;
    pipeline_source *scale_sources; /* [scale_count] columns that they are of */
    size_t *scale_knots;
    size_t scale_count;
    pipeline_grouping *groupings;
    size_t grouping_count;
    float *fixed_block; /* [items x fixed_width] */
} pipeline_plan;

/* `shared`: the model has one set of weights for all arms. */
forage_status pipeline_plan_create(const forage_pipeline_spec *spec, const forage_catalogue *catalogue,
                                   pipeline_plan *plan, forage_error *error);
void pipeline_plan_release(pipeline_plan *plan);
/* The catalogue has grown: items, users, arms. On failure all is as it was, but for room. */
forage_status pipeline_plan_grow(pipeline_plan *plan, forage_error *error);
/* Arms that the catalogue makes as it is now. */
size_t pipeline_plan_arms(const pipeline_plan *plan);
size_t pipeline_plan_memory(const pipeline_plan *plan);

/* Turns the histories to the request's user. Before the next two. */
void pipeline_plan_look(pipeline_plan *plan, const forage_request *request);
void pipeline_request_features(const pipeline_plan *plan, const forage_request *request, float *features);
/* Of one candidate: candidate_width numbers. */
void pipeline_candidate_features(const pipeline_plan *plan, const forage_request *request, uint32_t item,
                                 float *features);
/* The request was seen: scales take note. */
void pipeline_plan_see(pipeline_plan *plan, const forage_request *request);
/* An item was shown to a user and earned a reward. */
forage_status pipeline_plan_reserve(pipeline_plan *plan, uint32_t user, uint32_t item, size_t count,
                                    forage_error *error);
void pipeline_plan_happened(pipeline_plan *plan, uint32_t user, uint32_t item, float reward, float weight);

/* ---- waiting.c ---- */

/* What is kept of one decision. Everything points into the pool, until the next call. */
typedef struct pipeline_kept {
    uint64_t id, number;
    uint32_t user;
    uint32_t positions, open;     /* open: whose feedback has not come */
    float *request;               /* [request_width] */
    float *features;              /* [positions x candidate_width] */
    uint32_t *items;              /* [positions] */
    float *propensity, *expected; /* [positions]; expected of its arm */
    uint8_t *given;               /* [positions] */
    uint32_t *codes;              /* [context columns] */
    float *values;
} pipeline_kept;

typedef struct pipeline_waiting pipeline_waiting;

forage_status pipeline_waiting_create(size_t request_width, size_t candidate_width, size_t positions, size_t columns,
                                      uint64_t wait, pipeline_waiting **result, forage_error *error);
void pipeline_waiting_free(pipeline_waiting *waiting);
/* Makes sure that `keep` finds room. */
forage_status pipeline_waiting_reserve(pipeline_waiting *waiting, forage_error *error);
/* Is a decision of that id remembered, done or not? *open: feedback may still come. */
bool pipeline_waiting_knows(const pipeline_waiting *waiting, uint64_t id, pipeline_kept *kept);
/* Room for a decision that is not known: to be filled in. */
void pipeline_waiting_keep(pipeline_waiting *waiting, uint64_t id, uint64_t number, uint32_t user, size_t positions,
                           pipeline_kept *kept);
/* The feedback of one more position came. */
void pipeline_waiting_give(pipeline_waiting *waiting, uint64_t id, size_t position);
/* The oldest decision, if at `number` its time is over; drop it afterwards. */
bool pipeline_waiting_expired(const pipeline_waiting *waiting, uint64_t number, pipeline_kept *kept);
void pipeline_waiting_drop(pipeline_waiting *waiting);
uint64_t pipeline_waiting_count(const pipeline_waiting *waiting);
size_t pipeline_waiting_memory(const pipeline_waiting *waiting);

/* ---- batch.c ---- */

typedef struct pipeline_batch pipeline_batch;

forage_status pipeline_batch_create(const forage_pipeline_spec *spec, const forage_pipeline_options *options,
                                    pipeline_batch **result, forage_error *error);
void pipeline_batch_free(pipeline_batch *batch);
/* Makes sure that `count` events find room. */
forage_status pipeline_batch_reserve(pipeline_batch *batch, size_t count, forage_error *error);
/* The catalogue has grown. */
forage_status pipeline_batch_grow(pipeline_batch *batch, forage_error *error);
/* Stores an event; there is room. */
void pipeline_batch_store(pipeline_batch *batch, uint32_t user, uint32_t item, float reward, const uint32_t *codes,
                          const float *values);
/* Is it time to fit? */
bool pipeline_batch_due(const pipeline_batch *batch);
forage_status pipeline_batch_fit(pipeline_batch *batch, const forage_progress *progress, forage_error *error);
/* The estimates of the candidates. */
forage_status pipeline_batch_estimate(pipeline_batch *batch, const forage_request *request, const uint32_t *items,
                                      size_t count, float *mean, float *deviation, forage_error *error);
uint64_t pipeline_batch_refits(const pipeline_batch *batch);
size_t pipeline_batch_memory(const pipeline_batch *batch);

#endif
