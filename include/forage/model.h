/*
 * model.h: models estimate the reward of (request, item). One algorithm is one
 * constant descriptor in src/model/; this header is how everyone else meets them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_MODEL_H
#define FORAGE_MODEL_H

#include "forage/base.h"
#include "forage/data.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ *
 * What there is
 * ------------------------------------------------------------------ */

typedef enum forage_capability {
    FORAGE_CAN_FIT = 1 << 0,           /* learns a batch */
    FORAGE_CAN_LEARN = 1 << 1,         /* learns one event at a time */
    FORAGE_HAS_DEVIATION = 1 << 2,     /* gives a standard error beside the mean */
    FORAGE_HAS_EMBEDDINGS = 1 << 3,    /* users and items as vectors */
    FORAGE_GIVES_PROBABILITY = 1 << 4, /* the mean is a probability of reward (log loss makes sense) */
    FORAGE_CAN_FOLD_IN = 1 << 5,       /* ranks by a history: forage_model_rank_history, FORAGE_UNKNOWN_FOLD_IN */
    FORAGE_CAN_EXTEND = 1 << 6,        /* takes in new users, items and events: forage_model_extend, options.start */
    FORAGE_READS_HISTORY = 1 << 7,     /* goes by what each user did before, in order, whether it has met them or not */
} forage_capability;

typedef struct forage_model_info {
    const char *name; /* "embedding-mlp" */
    unsigned version;
    const char *summary;
    unsigned capabilities; /* of forage_capability, but for the last three: ask forage_model_capabilities */
    forage_param_table table;
    const char *metric; /* "ndcg@20": what validation rows are judged by while fitting; NULL: the loss alone */
} forage_model_info;

/* All models, in alphabetical order; *count of them. Never NULL. */
FORAGE_API const forage_model_info *const *forage_models(size_t *count);
/* All that the model can do, of forage_capability: info->capabilities, and what follows from the functions it has. Any
 * thread. */
FORAGE_API unsigned forage_model_capabilities(const forage_model_info *info);
/* The model of that name; fails with a message that lists what is possible. */
FORAGE_API forage_status forage_model_find(const char *name, const forage_model_info **info, forage_error *error);

/* ------------------------------------------------------------------ *
 * Schema: what a model reads of an example
 * ------------------------------------------------------------------ */

typedef enum forage_owner { FORAGE_OF_USER, FORAGE_OF_ITEM, FORAGE_OF_CONTEXT } forage_owner;

typedef struct forage_field {
    char *name; /* "user_id", "product_id", "position" ... */
    forage_owner owner;
    forage_column_type type;
    bool is_id;                    /* the user's or the item's own id */
    size_t cardinality;            /* categorical: number of codes */
    forage_vocabulary *vocabulary; /* categorical: what the codes mean; owned */
    float mean, deviation;         /* numeric: of the training rows, for scaling; missing counts as the mean */
} forage_field;

typedef struct forage_schema {
    size_t field_count;
    forage_field *fields;
} forage_schema;

/* What the users of some examples did before them: events, user by user, oldest first, as the model sees them. Fields
 * are those of the schema; of each event the fields of its item are told. An event whose item the model has never met
 * is left out where the model reads the ids of items. Everything is borrowed. */
typedef struct forage_past {
    size_t sequences;             /* users */
    const size_t *offsets;        /* [sequences + 1]: the events of sequence s are [offsets[s], offsets[s + 1]) */
    const uint32_t *const *codes; /* [field][event] categorical fields of items, FORAGE_NONE where missing; NULL entry
                                   * for all other fields */
    const float *const *values;   /* [field][event] numeric fields of items, standardised; NULL entry for others */
    const float *reward;          /* [event]; NULL: 1 each */
    const int64_t *time;          /* [event] rising within a sequence; NULL: not known */
    const size_t *begin, *end;    /* [example]: what came before it are the events [begin, end), which lie in one
                                   * sequence; begin == end: nothing did, or nobody in particular is asked for. They
                                   * are strictly earlier than the example: what happened at the same time is not
                                   * among them; in a log without times, further up in the log */
} forage_past;

/* Columns over a schema: what models are fitted on and score.
 * Codes are the model's own (see schema->fields[f].vocabulary); FORAGE_NONE
 * means unknown or missing, for which a model uses the average of what it knows. */
typedef struct forage_examples {
    size_t count;
    const uint32_t *const *codes; /* [field][count]; NULL entry for numeric fields */
    const float *const *values;   /* [field][count], standardised (missing is 0); NULL entry for categorical fields */
    const float *reward;          /* [count]; NULL when scoring, or when each row simply happened (an implicit 1) */
    const int64_t *time;          /* [count] as the log has them, for a model that reads times when it is fitted, and
                                   * when it scores if it reads histories as well; else NULL, and where not known */
    bool time_is_calendar;        /* `time` (and that of `past`) is microseconds since 1970 UTC */
    const forage_past *past;      /* for a model that reads histories; else NULL */
} forage_examples;

/* ------------------------------------------------------------------ *
 * Fitting
 * ------------------------------------------------------------------ */

/* Rows to learn from and to watch: see data.h. */
typedef struct forage_split forage_split;

/* A model that is fitted and can score. Belongs to one thread at a time while it is
 * fitted; any number of threads may score it otherwise, each through its own binding. */
typedef struct forage_model forage_model;

typedef struct forage_epoch {
    double train_loss;        /* what the model minimises, over this epoch */
    double validation_loss;   /* at its end; NaN without validation rows */
    double validation_metric; /* what the model judges itself by at its end, the higher the better (see
                                 forage_model_info.metric); NaN without validation rows, or if it has none */
    double seconds;           /* since the fit (or its resumption) began */
} forage_epoch;

/* What happened while fitting. Start it with {0}; release it afterwards, on failure too. */
typedef struct forage_fit_report {
    forage_epoch *epochs;
    size_t epoch_count;
    size_t best_epoch;   /* the epoch, from 1, whose weights were kept. After FORAGE_DIVERGED the best one that was
                          * better than guessing, 0 if there is none */
    size_t resumed_from; /* epochs that were done before this call took over; 0 for a fresh start */
    bool resumed;        /* a state file was found and used */
    bool stopped_early;
    bool out_of_time;                     /* ended by seconds_limit */
    size_t train_count, validation_count; /* rows */
    double seconds;
} forage_fit_report;

FORAGE_API void forage_fit_report_release(forage_fit_report *report);

typedef struct forage_fit_options {
    const forage_device *device; /* NULL: "auto" with one thread per core */
    uint64_t seed;
    const char *fields; /* "auto" (also NULL), "all", or names joined by commas; see docs/models */
    const forage_progress *progress;

    /* Called, if given, when all is ready to begin (or to go on), and after each epoch. */
    void (*started)(void *context, const forage_model *model);
    void (*epoch_done)(void *context, size_t epoch, const forage_epoch *result); /* epoch counts from 1 */
    void *context;

    /* Where the state of an unfinished fit is saved, NULL for nowhere. Written after every `state_every` epochs
     * (0: when ten seconds have passed since the last) and when progress asks to stop. It stays
     * until you delete it, best after the model was saved. With `resume`, a state that is there is continued
     * from: the result is byte for byte that of a fit that was never interrupted. FORAGE_INVALID if it
     * stems from other data, fields, parameters or another seed. */
    const char *state_path;
    size_t state_every;
    bool resume;

    const char *source; /* name of the log for messages ("log.csv"); may be NULL */

    /* Above 0: fitting ends when so many seconds have passed since this call began, with the best weights so far. A
     * learning rate that falls does so over this time, if all epochs would take longer; what comes out then depends on
     * how fast the machine is. */
    double seconds_limit;

    /* When the fit diverges, and an epoch before that was better than guessing: *model is then the one of the best such
     * epoch (report->best_epoch), beside FORAGE_DIVERGED. Else *model is NULL after any failure. */
    bool keep_good;

    /* A fitted model of the same kind to go on from, or NULL: what it learned about users and items is where fitting
     * begins (an incremental refit). With `fields` "auto" the new model reads what that one reads, numbers scaled as
     * there. Borrowed. FORAGE_UNSUPPORTED for a model that cannot; FORAGE_INVALID, naming the parameter, where both
     * have not the same shape. */
    const forage_model *start;
} forage_fit_options;

/* Creates a model and fits it on the rows `split->train` of `dataset`, watching `split->validation`
 * (which may be empty). `params` NULL means all defaults, `options` NULL the same. `report` may be NULL.
 * The same input, seed and build give the same bytes for any number of threads.
 * FORAGE_FORMAT for a log that cannot be learned from (no rows, rewards that the model cannot take: names the row);
 * FORAGE_DIVERGED when the loss is no longer a number, or has become far worse than guessing (see keep_good);
 * FORAGE_INTERRUPTED when progress asked to stop: then the state is in `state_path`, if one was given. */
FORAGE_API forage_status forage_model_fit(const forage_model_info *info, const forage_params *params,
                                          const forage_dataset *dataset, const forage_split *split,
                                          const forage_fit_options *options, forage_fit_report *report,
                                          forage_model **model, forage_error *error);

/* Writes a safetensors file, whole or not at all (docs/models/checkpoints.md). */
FORAGE_API forage_status forage_model_save(const forage_model *model, const char *path, forage_error *error);
/* Reads one, also one by PyTorch without our metadata if a model recognises its tensors (ids are then row
 * numbers). Everything is checked before use. `device` NULL as in forage_fit_options. */
FORAGE_API forage_status forage_model_load(const char *path, const forage_device *device, forage_model **model,
                                           forage_error *error);
/* A model that knows all that `model` knows, and the users and items of `count` rows of `dataset` (NULL: of all rows)
 * as well, without being fitted again: who is new is placed by their events as well as those allow, and so is who is
 * known, by what was added to theirs. (A model that reads histories knows users by theirs; new items of it count as the
 * average of the others until it is fitted again.) Nobody is lost: ids that the rows do not name keep their places,
 * their codes and what the model knew of their events. An event that is named again counts once, so rows may hold the
 * new ones alone or all that there are; an edge of a graph weighs what the rows say where they name it. Device and
 * parameters are those of `model`, which stays as it is. `source` names the log in messages (may be NULL).
 * FORAGE_UNSUPPORTED for a model that must be fitted again; else as forage_model_fit. */
FORAGE_API forage_status forage_model_extend(const forage_model *model, const forage_dataset *dataset,
                                             const uint32_t *rows, size_t count, const char *source,
                                             forage_model **extended, forage_error *error);
/* NULL is fine. No binding of the model may be used afterwards. */
FORAGE_API void forage_model_free(forage_model *model);

FORAGE_API const forage_model_info *forage_model_info_of(const forage_model *model);
FORAGE_API const forage_schema *forage_model_schema(const forage_model *model);
FORAGE_API const forage_params *forage_model_params(const forage_model *model);
FORAGE_API const forage_device *forage_model_device(const forage_model *model);
/* The architecture for a person, several lines; returns the full length as snprintf does. */
FORAGE_API size_t forage_model_describe(const forage_model *model, char *buffer, size_t size);
/* Numbers that were learned. */
FORAGE_API size_t forage_model_weight_count(const forage_model *model);

/* ------------------------------------------------------------------ *
 * Scoring and ranking: a model bound to a dataset
 * ------------------------------------------------------------------ */

/* What to do with a user or an item that the model has never met. Unknown
 * attribute and context values always count as missing. */
typedef enum forage_unknown {
    FORAGE_UNKNOWN_ERROR,   /* fail, naming the id and the row */
    FORAGE_UNKNOWN_SKIP,    /* score NaN: leave it out of what you compute; never ranked */
    FORAGE_UNKNOWN_AVERAGE, /* score as the average of what the model knows */
    FORAGE_UNKNOWN_FOLD_IN, /* users by what they chose in the dataset (see forage_binding_history); items as by SKIP */
} forage_unknown;

/* "error", "skip", "average", "fold-in"; the message lists them. */
FORAGE_API forage_status forage_unknown_parse(const char *text, forage_unknown *policy, forage_error *error);

/* Maps a dataset's users, items and columns to a model's, and holds the scratch memory of scoring: scoring
 * and ranking allocate nothing. Uses the threads of the model's device. Belongs to one thread at a time;
 * model and dataset must outlive it and stay unchanged. */
typedef struct forage_binding forage_binding;

/* FORAGE_UNKNOWN names the column that the model needs and the dataset lacks. FORAGE_UNSUPPORTED for
 * FORAGE_UNKNOWN_FOLD_IN and a model that cannot rank by a history (see forage_model_rank_history). `source` names the
 * log in messages (may be NULL). */
FORAGE_API forage_status forage_model_bind(const forage_model *model, const forage_dataset *dataset,
                                           forage_unknown unknown, const char *source, forage_binding **binding,
                                           forage_error *error);
/* NULL is fine. */
FORAGE_API void forage_binding_free(forage_binding *binding);

/* The estimate for each of `count` rows of the dataset's log: mean[count], and its standard error deviation[count]
 * (may be NULL; NaN if the model has none). */
FORAGE_API forage_status forage_model_score(forage_binding *binding, const uint32_t *rows, size_t count, float *mean,
                                            float *deviation, forage_error *error);
/* The same for pairs of the dataset's users and items, in the context that was set (see below). `users` may be
 * NULL for a model that reads no user. */
FORAGE_API forage_status forage_model_score_pairs(forage_binding *binding, const uint32_t *users, const uint32_t *items,
                                                  size_t count, float *mean, float *deviation, forage_error *error);

/* Sets a context column for pairs and rankings from text, until it is set again; a column that was
 * never set is missing. NULL or "" makes it missing again. Fails on a name that the model does not read as
 * context, and on a category that it has not met (the message lists what it knows). */
FORAGE_API forage_status forage_binding_context(forage_binding *binding, const char *name, const char *value,
                                                forage_error *error);
/* Restricts rankings to the items with available[item] true (dataset's items); NULL: all. Copied. */
FORAGE_API forage_status forage_binding_available(forage_binding *binding, const bool *available, forage_error *error);

/* What FORAGE_UNKNOWN_FOLD_IN goes by: the items that a user chose (with a value above 0) in `count` rows of the
 * dataset, each item once; a NULL `rows` means those that train (all, where nothing validates or tests in files of its
 * own), which is what it goes by until this is called. Rows that are to judge by must not be among them. Users about
 * whom the model has learned nothing, with or without a code, are scored and ranked by these; one who chose nothing
 * that the model knows, as the average. Takes 8 bytes for each user and 4 for each item of one. Does nothing under
 * another policy.
 *
 * A model that reads histories knows everybody by them, under any policy: rankings and scores of pairs go by what each
 * user did in these rows, in order of time (or of the log, where it has no times), repetitions and all, up to the
 * moment of forage_binding_time. What the model has not met is left out of it, and so is what has a value not above 0,
 * unless the model learns from refusals, too. Scores of rows of the log (forage_model_score) do not depend on this:
 * each goes by all rows of the dataset that came strictly before it. */
FORAGE_API forage_status forage_binding_history(forage_binding *binding, const uint32_t *rows, size_t count,
                                                forage_error *error);
/* When rankings are made and pairs scored, for a model that reads histories: what happened later is left out of them.
 * In the unit of the dataset's times; until this is called it is the latest of them. FORAGE_INVALID for a dataset
 * without times. */
FORAGE_API forage_status forage_binding_time(forage_binding *binding, int64_t now, forage_error *error);
/* How many items `user` is folded in by: 0 for one whom the model knows, for one who is as good as the average, and
 * under another policy. Of a model that reads histories: how many events of theirs it goes by, if it has not learned
 * about them otherwise. */
FORAGE_API size_t forage_binding_folded(const forage_binding *binding, uint32_t user);

/* Items by user in compressed rows: those of user u are items[offsets[u]] up to items[offsets[u + 1]], rising,
 * each once. */
typedef struct forage_seen {
    size_t user_count;
    size_t *offsets;
    uint32_t *items;
} forage_seen;

/* What each user of the dataset has met in `count` of its rows (NULL: in all rows). `positive_only`
 * counts rows with a value above 0 alone. */
FORAGE_API forage_status forage_seen_create(const forage_dataset *dataset, const uint32_t *rows, size_t count,
                                            bool positive_only, forage_seen *seen, forage_error *error);
FORAGE_API void forage_seen_release(forage_seen *seen);
/* Has the user met the item? O(log of the number of their items). False for a user beyond user_count. */
FORAGE_API bool forage_seen_has(const forage_seen *seen, uint32_t user, uint32_t item);

/* The `k` best items for a user, best first: higher score, then lower index. All items of the dataset are scored;
 * `excluded` (rising, `excluded_count` of them) and those that the model skips are left out. `user` may be
 * FORAGE_NONE: nobody in particular, the average user. *found <= k says how many there are. */
FORAGE_API forage_status forage_model_rank(forage_binding *binding, uint32_t user, size_t k, const uint32_t *excluded,
                                           size_t excluded_count, uint32_t *items, float *scores, size_t *found,
                                           forage_error *error);
/* The same for many users, in parallel: user i's ranking starts at items[i * k] and scores[i * k]; what is
 * beyond found[i] is FORAGE_NONE and NaN. Under FORAGE_UNKNOWN_SKIP an unknown user has found 0.
 * `seen` may be NULL. Progress counts users. */
FORAGE_API forage_status forage_model_rank_users(forage_binding *binding, const uint32_t *users, size_t count, size_t k,
                                                 const forage_seen *seen, const forage_progress *progress,
                                                 uint32_t *items, float *scores, size_t *found, forage_error *error);

/* The scores that rankings would give to some items alone: those of user i are items[offsets[i]] up to
 * items[offsets[i + 1]] (offsets[0] is 0), scores[] beside them; FORAGE_NONE is nobody in particular. In parallel, and
 * each user's history is looked at once. NaN where a ranking would skip the user or the item; whether an item is
 * available does not matter. */
FORAGE_API forage_status forage_model_score_lists(forage_binding *binding, const uint32_t *users, size_t count,
                                                  const size_t *offsets, const uint32_t *items, float *scores,
                                                  forage_error *error);

/* The scores of `count` items for `user` of the dataset (or FORAGE_NONE), in the context that was set, if these
 * `events` items, oldest first, repetitions and all, are what they have done up to now, instead of what the dataset
 * tells of them: for whoever keeps histories elsewhere. `rewards` is what came of each event (NULL: 1 each); refusals,
 * not above 0, are left out unless the model learns from them, and so are items that it has not met. When they happened
 * is not known. Results as in forage_model_score_lists. A history longer than any before allocates. FORAGE_UNSUPPORTED
 * for a model that reads no histories; FORAGE_INVALID for an index beyond the dataset's, a reward that is not finite.
 */
FORAGE_API forage_status forage_model_score_history(forage_binding *binding, uint32_t user, const uint32_t *history,
                                                    const float *rewards, size_t events, const uint32_t *items,
                                                    size_t count, float *scores, forage_error *error);

/* The `k` best items for someone of whom the model knows nothing but these `count` items of the dataset, in any order,
 * each with a weight above 0 (`weights` NULL: 1 each; an item that is named twice has the sum). They count as if the
 * model had learned about them, as far as it can tell without being fitted again; without any, this is the average
 * user. The items themselves may be ranked, unless they are among `excluded` (rising). A history item that the model
 * has not met is an error under FORAGE_UNKNOWN_ERROR, and counts nothing otherwise. Results as in forage_model_rank.
 * For a model that reads histories the items are events, oldest first, repetitions and all; the weights are their
 * rewards, and when they happened is not known. It looks at the last of them, as many as it was made for, and a history
 * longer than any before allocates.
 * FORAGE_UNSUPPORTED for a model that cannot, or where unknown items are to be ranked as the average (but for a model
 * that reads histories). */
FORAGE_API forage_status forage_model_rank_history(forage_binding *binding, const uint32_t *history,
                                                   const float *weights, size_t count, size_t k,
                                                   const uint32_t *excluded, size_t excluded_count, uint32_t *items,
                                                   float *scores, size_t *found, forage_error *error);

/* ------------------------------------------------------------------ *
 * A session: a history that grows, click by click
 *
 * What was worked out for the events so far is kept, so that one more costs what one costs, not what all do, and a
 * ranking is the same, byte for byte, as forage_model_rank_history of all events (each with weight 1) gives. Once a
 * history is longer than what the model looks at, each event costs as much as that many do.
 *
 * A session belongs to one thread at a time, the one that uses its binding. Any number may stand on one binding.
 * ------------------------------------------------------------------ */

typedef struct forage_session forage_session;

/* An empty one. The binding must outlive it. FORAGE_UNSUPPORTED for a model that keeps nothing of a history (see
 * docs/models for those that do). */
FORAGE_API forage_status forage_session_create(forage_binding *binding, forage_session **session, forage_error *error);
/* NULL is fine. */
FORAGE_API void forage_session_free(forage_session *session);
/* Forgets all events: for the next visitor. */
FORAGE_API void forage_session_clear(forage_session *session);
/* One event more: an item of the dataset. One that the model has not met is an error under FORAGE_UNKNOWN_ERROR, and
 * counts nothing otherwise. Allocates nothing. */
FORAGE_API forage_status forage_session_append(forage_session *session, uint32_t item, forage_error *error);
/* Events that count. */
FORAGE_API size_t forage_session_length(const forage_session *session);
/* The `k` best items now; all as in forage_model_rank_history. Allocates nothing. */
FORAGE_API forage_status forage_session_rank(forage_session *session, size_t k, const uint32_t *excluded,
                                             size_t excluded_count, uint32_t *items, float *scores, size_t *found,
                                             forage_error *error);

/* ------------------------------------------------------------------ *
 * Users and items as vectors: models with FORAGE_HAS_EMBEDDINGS
 * ------------------------------------------------------------------ */

/* The vectors that a model has learned of its users or of its items. Borrowed: valid as long as the model. */
typedef struct forage_embedding {
    size_t count, width;
    size_t pitch;                 /* floats from one vector to the next, at least the width */
    const float *values;          /* vector i begins at values[i * pitch] */
    const forage_vocabulary *ids; /* [count] whose vector it is */
} forage_embedding;

/* `owner` is FORAGE_OF_USER or FORAGE_OF_ITEM. FORAGE_UNSUPPORTED for a model without such vectors. */
FORAGE_API forage_status forage_model_embedding(const forage_model *model, forage_owner owner,
                                                forage_embedding *embedding, forage_error *error);

/* Writes the vectors to a file, whole or not at all (docs/models/embeddings.md):
 *   .safetensors  tensors user_embedding and item_embedding [count, width]; ids in the metadata, user_ids and item_ids:
 *                 one per line, escaped as in checkpoints; absent where the ids are the numbers of the rows
 *   .npz          (NumPy) the same arrays, and user_ids and item_ids as arrays: of int64 where ids are the numbers of
 *                 the rows, else of bytes. Up to 4 GB
 * A model with vectors of one kind alone writes those. FORAGE_INVALID for another ending, FORAGE_UNSUPPORTED for a
 * model without vectors. */
FORAGE_API forage_status forage_model_export_embeddings(const forage_model *model, const char *path,
                                                        forage_error *error);

/* The `k` users (or items) of the dataset whose vectors point most nearly where that of user (or item) `index` does: by
 * cosine, -1 to 1 (0 where a vector is all zero), highest first, then lower index; `index` itself is left out, as are
 * `excluded` (rising), what the model has not met, and items that are not available. What is beyond *found is
 * FORAGE_NONE and NaN. Under FORAGE_UNKNOWN_SKIP an `index` that the model has not met has found 0, else it is an
 * error. The first call for users, and that for items, allocates 13 bytes for each and works out lengths. */
FORAGE_API forage_status forage_model_similar(forage_binding *binding, forage_owner owner, uint32_t index, size_t k,
                                              const uint32_t *excluded, size_t excluded_count, uint32_t *indices,
                                              float *cosines, size_t *found, forage_error *error);

/* ------------------------------------------------------------------ *
 * Learning event by event
 *
 * A learner is a model with FORAGE_CAN_LEARN at work. It sees numbers alone: features
 * of the request and of each candidate, and an arm: the code of the item, or of
 * the group of items (its category) that shares what is learned. What the
 * numbers mean is the pipeline's business (pipeline.h).
 *
 * A learner belongs to one thread at a time. Estimating and learning allocate
 * nothing. The same lessons in the same order give the same bytes.
 * ------------------------------------------------------------------ */

typedef struct forage_learner forage_learner;

/* The sizes of what a learner sees. */
typedef struct forage_learner_shape {
    size_t request_width;   /* features of a request, the same for all its candidates (a bias among them) */
    size_t candidate_width; /* further features of each candidate */
    size_t arms;            /* codes of arms are below this, until forage_learner_grow */
    size_t users;           /* the same of users */
    size_t candidates;      /* a request has at most this many */
} forage_learner_shape;

/* A request, as a learner sees it. Everything is borrowed for the time of the call. */
typedef struct forage_candidates {
    size_t count;
    uint32_t user;         /* FORAGE_NONE: nobody knows */
    const float *request;  /* [request_width] */
    const float *features; /* [count x candidate_width], candidate by candidate; NULL when the width is 0 */
    const uint32_t *arms;  /* [count]; FORAGE_NONE: an arm that nobody knows */
} forage_candidates;

/* What became of one candidate that was shown. */
typedef struct forage_lesson {
    uint32_t user;         /* as in forage_candidates */
    uint32_t arm;          /* must be known */
    const float *request;  /* [request_width] */
    const float *features; /* [candidate_width] */
    float reward;          /* any finite number that the model takes */
    float weight;          /* importance, above 0; 1 as a rule */
    float propensity;      /* with which it was shown; NaN: not known */
} forage_lesson;

/* `params` NULL means all defaults; `device` NULL as in forage_fit_options. FORAGE_UNSUPPORTED for a model that cannot
 * learn event by event; FORAGE_INVALID for parameters or a shape that do not go together (the message says which). */
FORAGE_API forage_status forage_learner_create(const forage_model_info *info, const forage_params *params,
                                               const forage_learner_shape *shape, const forage_device *device,
                                               uint64_t seed, forage_learner **learner, forage_error *error);
/* NULL is fine. */
FORAGE_API void forage_learner_free(forage_learner *learner);
FORAGE_API const forage_model_info *forage_learner_info_of(const forage_learner *learner);
FORAGE_API const forage_learner_shape *forage_learner_shape_of(const forage_learner *learner);

/* mean[count] and deviation[count], the standard error of the mean (not of a single reward); deviation may be NULL, and
 * is filled with 0 by a model without FORAGE_HAS_DEVIATION. Arms and users that nobody knows get what the prior says.
 * Features must be finite, which is not checked here (a pipeline has done so). Never fails, nothing is NaN. */
FORAGE_API void forage_learner_estimate(forage_learner *learner, const forage_candidates *candidates, float *mean,
                                        float *deviation);
/* One joint draw of the candidates' mean rewards from the posterior: values[count]. */
FORAGE_API void forage_learner_draw(forage_learner *learner, const forage_candidates *candidates, forage_rng *rng,
                                    float *values);
/* True when a draw is nothing but independent normals with mean and deviation of forage_learner_estimate. */
FORAGE_API bool forage_learner_draws_normals(const forage_learner *learner);

/* Learns from `count` lessons, in their order: all of them or, when one is refused, none. FORAGE_INVALID names the
 * lesson and what is wrong: a reward, feature or weight that is not finite or not possible, an unknown arm. */
FORAGE_API forage_status forage_learner_learn(forage_learner *learner, const forage_lesson *lessons, size_t count,
                                              forage_error *error);
/* Takes a lesson back that was learned before (its sums are subtracted). FORAGE_UNSUPPORTED where a model cannot. */
FORAGE_API forage_status forage_learner_forget(forage_learner *learner, const forage_lesson *lesson,
                                               forage_error *error);
/* Adds what `other`, of the same model, parameters and shape, has learned (the prior counts once). FORAGE_UNSUPPORTED
 * where a model cannot. On failure the learner is as it was. */
FORAGE_API forage_status forage_learner_merge(forage_learner *learner, const forage_learner *other,
                                              forage_error *error);
/* Makes room for more arms and users, which begin with the prior. Allocates; on failure all is as it was. */
FORAGE_API forage_status forage_learner_grow(forage_learner *learner, size_t arms, size_t users, forage_error *error);

/* Writes a safetensors file, whole or not at all; reads one back to the same bytes of estimates. */
FORAGE_API forage_status forage_learner_save(const forage_learner *learner, const char *path, forage_error *error);
FORAGE_API forage_status forage_learner_load(const char *path, const forage_device *device, forage_learner **learner,
                                             forage_error *error);
/* Bytes it holds. */
FORAGE_API size_t forage_learner_memory(const forage_learner *learner);

#ifdef __cplusplus
}
#endif

#endif
