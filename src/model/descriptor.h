/*
 * descriptor.h: what a model is to the rest of the room. One algorithm is one
 * constant `model_type`, listed in models.c, in the file of its name (a large one
 * has several); nothing else in the library knows its name.
 *
 * The front (model.c) does what is the same for all: it checks parameters, builds
 * the schema, codes the dataset's columns, runs the loop of fitting, writes
 * and reads the metadata of checkpoints, maps ids, ranks. A model sees
 * numbers only: codes, standardised values, rewards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_DESCRIPTOR_H
#define MODEL_DESCRIPTOR_H

#include "forage/model.h"
#include "nn/checkpoint.h"

/* What a model can make use of. `auto` fields are chosen among these. */
enum {
    MODEL_READS_USER = 1 << 0,       /* the user's id */
    MODEL_READS_ITEM = 1 << 1,       /* the item's id */
    MODEL_READS_ATTRIBUTES = 1 << 2, /* further columns of users and items */
    MODEL_READS_CONTEXT = 1 << 3,    /* columns of the event */
    MODEL_NEEDS_REWARD = 1 << 4,     /* cannot be fitted on a log without values */
    MODEL_NEEDS_USER = 1 << 6,       /* the same without users */
    MODEL_READS_TIME = 1 << 5,       /* when each event was, if the log knows, to be fitted */
    /* What the user did before (forage_examples.past), to be fitted and to score: it cannot be fitted to a log without
     * users. Everybody is known by their history, so the user's id need not be among the fields. Examples that train
     * see what trains, examples that validate what trains or validates; rows that are scored through a binding see all
     * that came before them in its log. With MODEL_READS_TIME, times are told when scoring, too. */
    MODEL_READS_HISTORY = 1 << 7,
    /* It is there for users whom it has never met: `auto` is all that can be known of them, every field but the user's
     * id. */
    MODEL_FOR_STRANGERS = 1 << 8,
};

/* What a model is made for. It and all that it points to stay valid as long as the state. */
typedef struct model_setup {
    const forage_params *params;
    const forage_schema *schema;
    const forage_device *device;
    uint64_t seed;
} model_setup;

/* The fitted numbers, and a fit that is under way: optimiser, generator, place in the data, best weights so
 * far. Each model's file defines these two structs for itself; nobody else looks inside. */
typedef struct model_state model_state;
typedef struct model_fit model_fit;

typedef struct model_fit_input {
    const forage_examples *train;
    const forage_examples *validation; /* count may be 0 */
    double seconds;                    /* the fit is to end within this time from its start; 0: no limit */
} model_fit_input;

/* Where a fit stands after a step. */
typedef struct model_progress {
    uint64_t done, total;     /* in any unit, for a progress bar; a guess of `total` will do */
    size_t epochs;            /* epochs completed since the very first start */
    double train_loss;        /* of the epoch that the last step completed */
    double validation_loss;   /* the same; NaN without validation rows */
    double validation_metric; /* the same; NaN without validation rows or info.metric */
    size_t best_epoch;        /* from 1; 0 as long as there is none */
    double guess;             /* the loss of a model that only guesses; NaN where it does not say so */
    bool stopped_early;
    bool out_of_time; /* finished before its end, as model_fit_input.seconds wants it */
    bool finished;
} model_progress;

/* ---- learning event by event ---- */

/* What a learner is made for; valid as long as its state. `shape` changes by `grow` alone. */
typedef struct model_online_setup {
    const forage_params *params;
    const forage_learner_shape *shape;
    const forage_device *device;
    uint64_t seed;
} model_online_setup;

/* Each model's file defines this struct for itself. It holds its scratch memory, too. */
typedef struct model_learner model_learner;

/* The front (learner.c) has checked all that can be checked from outside: finite numbers, arms in range (or FORAGE_NONE
 * when estimating), at most shape->candidates of them, rewards within minimum_reward and maximum_reward. */
typedef struct model_online {
    forage_status (*create)(const model_online_setup *setup, model_learner **learner, forage_error *error);
    void (*free)(model_learner *learner); /* NULL is fine */
    /* `deviation` may be NULL. */
    void (*estimate)(model_learner *learner, const forage_candidates *candidates, float *mean, float *deviation);
    /* NULL: independent normals, which the front draws. */
    void (*draw)(model_learner *learner, const forage_candidates *candidates, forage_rng *rng, float *values);
    void (*learn)(model_learner *learner, const forage_lesson *lesson);
    void (*forget)(model_learner *learner, const forage_lesson *lesson); /* NULL: cannot */
    void (*merge)(model_learner *learner, const model_learner *other);   /* NULL: cannot */
    /* The setup's shape has the old sizes until this returns FORAGE_OK; on failure all is as it was. */
    forage_status (*grow)(model_learner *learner, size_t arms, size_t users, forage_error *error);
    forage_status (*save)(const model_learner *learner, nn_checkpoint *checkpoint, forage_error *error);
    /* Into a learner that was just created: checks every name, type, shape and value. */
    forage_status (*load)(model_learner *learner, const nn_checkpoint *checkpoint, forage_error *error);
    size_t (*memory)(const model_learner *learner);
    /* How many bytes of tensors `save` writes at least for such a learner (as a double: sizes may be anything): the
     * front refuses a file that has fewer before it makes room for what the file claims. NULL: 8 for each arm. */
    double (*saved_size)(const model_online_setup *setup);
    /* Asked before `forget` and `merge`, which cannot fail; NULL: always possible where there is such a function. */
    forage_status (*check_forget)(model_learner *learner, const forage_lesson *lesson, forage_error *error);
    forage_status (*check_merge)(const model_learner *learner, const model_learner *other, forage_error *error);
} model_online;

/* ---- the whole catalogue at once ---- */

/* Somebody to rank items for: a user that the model knows, or someone of whom only a history is known.
 *
 * For a model with MODEL_READS_HISTORY it is always a history: all that happened up to now, oldest first, repetitions
 * kept (`user` is FORAGE_NONE, or their code if the schema has the user's id and the model has met it). It may be
 * longer than what the model looks at: the last ones count. */
typedef struct model_subject {
    uint32_t user;         /* code, or FORAGE_NONE: then the history counts */
    const uint32_t *items; /* [count] codes of what they met, rising, each once; nothing: the average user */
    const float *weights;  /* [count]; NULL: 1 each. Of a model that reads histories: the reward of each event */
    size_t count;
    /* For models that read histories: */
    const int64_t *times; /* [count] of each event, as in forage_past; NULL: not known */
    int64_t now;          /* with `times`: when items are ranked, no earlier than the last event */
    /* What their history is kept as (model_type.session): then nothing else of the above is looked at. NULL: nothing.
     */
    const struct model_session *session;
} model_subject;

enum { MODEL_SUBJECTS = 64 }; /* scored at once at most */

/* For models that score all items of a user faster than one by one. Nothing allocates or fails; results are never NaN,
 * those of `score` of the model for the same pair (but for rounding), and do not depend on the other subjects. Called
 * from several threads at once, each with its own scratch. */
typedef struct model_catalogue {
    /* Bytes of scratch (aligned to 64) for up to `count` subjects. */
    size_t (*scratch_size)(const model_state *state, size_t count);
    /* Works out all that scoring needs of `count` subjects (at most MODEL_SUBJECTS). */
    void (*prepare)(const model_state *state, const model_subject *subjects, size_t count, void *scratch);
    /* Scores of items [first, first + items) by code, for the subjects that were prepared: that of item first + i for
     * subject s at out[i * stride + s], stride being 1 for one subject, else MODEL_SUBJECTS (what lies at s >= count is
     * left undefined). At most MODEL_BLOCK items; `out` is aligned to 64. */
    void (*score)(const model_state *state, void *scratch, size_t count, size_t first, size_t items, float *out);
} model_catalogue;

/* For models that read histories and have a catalogue: a history that grows by one event at a time, so that an event
 * costs less than all that came before it. A subject with such a session is scored as one with the whole history, to
 * the very bytes. Each model's file defines this struct for itself; it belongs to one thread at a time, of which many
 * may score. */
typedef struct model_session model_session;

typedef struct model_session_type {
    /* An empty history. */
    forage_status (*create)(const model_state *state, model_session **session, forage_error *error);
    void (*free)(model_session *session); /* NULL is fine */
    void (*clear)(model_session *session);
    /* One event more, of an item that the model knows. Allocates nothing. */
    void (*append)(model_session *session, uint32_t item);
} model_session_type;

/* Users and items as vectors: row `code` begins at `code` x pitch floats. */
typedef struct model_vectors {
    const float *users, *items;    /* NULL where the model has none */
    size_t width, pitch;           /* pitch is at least the width */
    size_t item_width, item_pitch; /* of items, where they differ from those of users; 0: the same */
} model_vectors;

typedef struct model_type {
    forage_model_info info;
    const model_online *online; /* with FORAGE_CAN_LEARN, else NULL; what follows is for FORAGE_CAN_FIT */
    unsigned reads;             /* of MODEL_READS_... and MODEL_NEEDS_... */
    const char *unit;           /* what model_progress.done counts, for a speed that a person understands; NULL: none */
    float minimum_reward, maximum_reward; /* rewards outside are refused before the model sees them */

    /* A model that has learned nothing yet: initial weights drawn from setup->seed. */
    forage_status (*create)(const model_setup *setup, model_state **state, forage_error *error);
    void (*free)(model_state *state); /* NULL is fine */

    /* Fitting. `begin` allocates all that fitting needs; input and examples stay valid until `end`. `step` does a
     * bounded piece of work (well under a second if it can, at most one epoch) and says where it stands; the
     * front calls it until `finished`, and may save or give up in between. `end` puts the weights that are
     * to be kept (the best) into the state and frees the fit; with `keep` false it only frees. A step that fails with
     * FORAGE_DIVERGED and says a best_epoch has kept the weights of that epoch: `end` with `keep` takes them then. */
    forage_status (*fit_begin)(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error);
    forage_status (*fit_step)(model_fit *fit, model_progress *progress, forage_error *error);
    void (*fit_end)(model_fit *fit, bool keep);
    /* Optional: everything that `step` needs to go on exactly where it stands (weights too) as tensors and metadata,
     * and back, into a fit that was just begun with the same setup and examples. What `fit_save` adds
     * stays in place until the next step. NULL for a model that fits in one go. */
    forage_status (*fit_save)(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error);
    forage_status (*fit_resume)(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error);

    /* Scoring: mean[count], deviation[count] (may be NULL). Allocates nothing, fails never: no result is NaN. At most
     * MODEL_BLOCK examples at a time; `scratch` has scratch_size(state) bytes, aligned to 64. Called from several
     * threads at once, each with its own scratch. A row's result must not depend on the rows around it. */
    size_t (*scratch_size)(const model_state *state);
    void (*score)(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                  float *deviation);

    /* Adds the tensors (they need not be copied: the state outlives the checkpoint). */
    forage_status (*save)(const model_state *state, nn_checkpoint *checkpoint, forage_error *error);
    /* A state from tensors: checks every name, type, shape and value. No field has more codes than the file has bytes.
     */
    forage_status (*load)(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                          forage_error *error);
    /* Optional: is this checkpoint, which has no metadata of ours, one of this model? If so sets the parameters
     * that its shapes tell and the numbers of users and items (ids are row numbers; 0: does not read them), and
     * *mine = true. */
    forage_status (*recognise)(const nn_checkpoint *checkpoint, forage_params *params, size_t *users, size_t *items,
                               bool *mine, forage_error *error);

    const model_catalogue *catalogue;  /* optional */
    const model_session_type *session; /* optional, with MODEL_READS_HISTORY and a catalogue */
    /* Optional, with a catalogue: has it learned anything about the user of that code? NULL: about all. */
    bool (*knows)(const model_state *state, uint32_t user);
    /* Optional, with FORAGE_HAS_EMBEDDINGS: borrowed as long as the state. */
    void (*vectors)(const model_state *state, model_vectors *vectors);
    /* Optional: bytes that fitting will take at its peak, the model included, the examples and the log not. The front
     * refuses to begin where the machine has not that much. */
    double (*fit_memory)(const model_setup *setup, const model_fit_input *input);
    /* Optional: takes over what `old` has learned into a state that was just created for a schema that knows further
     * users and items. user_map[code of new] is the code of old, or FORAGE_NONE (NULL where a model that reads
     * histories has no field of them); the same of items. Other fields are the model's to compare (grow.h). `events`
     * are to be known of from now on, beside what `old` knows of events; one that both know counts once, as `events`
     * have it. Without fitting, new users and items are placed as well as their events allow; a fit that begins from
     * there is an incremental one, which learns from its examples alone. Users and items of `old` that the schema has
     * not are left behind. */
    forage_status (*extend)(model_state *state, const model_state *old, const uint32_t *user_map,
                            const uint32_t *item_map, const forage_examples *events, forage_error *error);

    /* Optional, with MODEL_READS_HISTORY: are events whose value is not above 0 (shown, not clicked) part of a history?
     * NULL: they are not. */
    bool (*reads_refusals)(const forage_params *params);

    /* The architecture for a person, as snprintf. */
    size_t (*describe)(const model_state *state, char *buffer, size_t size);
    size_t (*weight_count)(const model_state *state);
} model_type;

/* Examples per call of `score`. */
enum { MODEL_BLOCK = 512 };

/* Does a log have so many items, and so few events of each, that vectors of items are soon learned by heart? For models
 * whose defaults follow the log. */
static inline bool model_log_is_sparse(size_t items, size_t events)
{
    return items >= 1000 && events / items < 64;
}

/* The models that there are (models.c lists them in alphabetical order). */
extern const model_type model_beta_bernoulli;
extern const model_type model_bootstrap;
extern const model_type model_bst;
extern const model_type model_embedding_mlp;
extern const model_type model_gaussian;
extern const model_type model_gf_cf;
extern const model_type model_ials;
extern const model_type model_item_knn;
extern const model_type model_latent_class;
extern const model_type model_lightgcn;
extern const model_type model_linear_ridge;
extern const model_type model_logistic;
extern const model_type model_neural_linear;
extern const model_type model_neural_ucb;
extern const model_type model_popular;
extern const model_type model_sasrec;

/* The index of the user's or item's id among the fields of a schema, or SIZE_MAX. */
size_t model_schema_id(const forage_schema *schema, forage_owner owner);

#endif
