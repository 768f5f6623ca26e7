/*
 * binding.h: a model bound to a dataset; what scoring and ranking share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_BINDING_H
#define MODEL_BINDING_H

#include "model/catalogue.h"
#include "model/front.h"

/* The memory of one thread that scores: columns of a block, and the model's own scratch. */
typedef struct binding_worker {
    uint32_t **codes;           /* [field][MODEL_BLOCK]; NULL for numeric fields */
    float **values;             /* [field][MODEL_BLOCK]; NULL for categorical fields */
    const uint32_t **use_codes; /* [field] what the examples of a call point to */
    const float **use_values;
    void *scratch;
    float mean[MODEL_BLOCK];
    /* Of a model that reads histories: what the examples of a call see of them. */
    forage_past past;
    size_t begin[MODEL_BLOCK], end[MODEL_BLOCK];
    int64_t time[MODEL_BLOCK];
} binding_worker;

/* What a model that reads histories is told of them (look_back.c). */
typedef struct binding_history {
    bool read;                /* the model reads histories; all else is empty if not */
    bool tells_time;          /* and times, which the dataset has */
    int64_t now;              /* when items are ranked: what happened later is left out */
    model_past all;           /* in all rows of the dataset: what came before those that are scored */
    model_past some;          /* in the rows that were chosen for rankings */
    const model_past *ranked; /* one of the two */
    model_past listed;        /* the history of nobody in particular that was given last */
} binding_history;

/* Ranking through the model's catalogue (rank_catalogue.c). */
typedef struct binding_catalogue {
    bool usable;           /* the model has one, and what may be ranked now is all in it */
    model_ranking ranking; /* by the model's codes; names are the dataset's items */
    bool *allowed;         /* [codes] */
    uint32_t *names;       /* [codes] */
    float *scores;         /* [codes] of one subject */
    uint32_t *history;     /* [codes] of one who is known by a history, whose order does not count: codes, rising */
    float *weights;        /* [codes] 0 but while a history is at work */
} binding_catalogue;

/* Entities beside an entity (similar.c); made when first asked for. */
typedef struct binding_neighbours {
    bool ready;
    model_ranking ranking;
    bool *allowed;    /* [codes] */
    uint32_t *names;  /* [codes] the dataset's index, or FORAGE_NONE */
    float *scores;    /* [codes] */
    model_state *own; /* the vectors as a model */
} binding_neighbours;

struct forage_binding {
    const forage_model *model;
    const forage_dataset *dataset;
    forage_unknown unknown;
    char *source;
    model_columns columns;
    size_t user_id, item_id; /* fields; SIZE_MAX where the model does not read them */
    size_t user_count, item_count;
    uint32_t *context_codes; /* [field] the context that was set, for pairs and rankings */
    float *context_values;   /* [field] */
    binding_worker *workers; /* [worker_count] */
    int worker_count;

    /* Ranking. */
    bool *available;      /* [item_count]; NULL: all */
    uint32_t *candidates; /* [candidate_count] items that may be ranked, rising */
    size_t candidate_count;
    uint32_t unknown_item; /* the first candidate that the model has not met, under FORAGE_UNKNOWN_ERROR */
    uint32_t **item_codes; /* [field][candidate] the model's codes of item fields; NULL for others */
    float **item_values;   /* [field][candidate] */
    float *scores;         /* [candidate] for one user, or, same_for_all, for everyone */
    uint32_t *order;       /* [candidate] same_for_all: places among the candidates, best first */
    bool same_for_all;     /* the model reads neither user nor context: one order serves everyone */
    bool ordered;          /* `order` and `scores` are filled */

    binding_catalogue catalogue;
    forage_seen folded; /* FORAGE_UNKNOWN_FOLD_IN: codes of items by user, of users that the model does not know */
    binding_history history;
    binding_neighbours neighbours[2]; /* by owner: users, items */
};

static inline size_t binding_field_count(const forage_binding *binding)
{
    return binding->columns.count;
}

/* rank.c: which items may be ranked, and their columns; called when binding and when availability changes. */
forage_status binding_prepare_items(forage_binding *binding, forage_error *error);
/* rank_catalogue.c: makes the catalogue of a model that has one fit the candidates. */
forage_status binding_catalogue_prepare(forage_binding *binding, forage_error *error);
void binding_catalogue_release(binding_catalogue *catalogue);
/* Has the model a catalogue, and is it all that it goes by? (Attributes and contexts may tell more than ids do.) */
bool binding_has_catalogue(const forage_binding *binding);
/* similar.c */
void binding_neighbours_release(binding_neighbours *neighbours);

/* Rankings for many users. */
typedef struct binding_ranking {
    forage_binding *binding;
    const uint32_t *users;
    const forage_seen *seen;
    size_t k, first, count; /* at work: users [first, first + count) */
    uint32_t *items;
    float *scores;
    size_t *found;
} binding_ranking;

/* rank.c: the empty ranking of user i; true when there is nothing to be ranked for an unknown one. */
bool binding_ranking_begin(const binding_ranking *task, size_t i, model_top *top);
/* Fails for an index that the dataset has not, or, where that is wanted, a user that the model does not know; *skip
 * for one that is to be left out. FORAGE_NONE is fine. */
forage_status binding_check_user(const forage_binding *binding, uint32_t user, bool *skip, forage_error *error);
/* Fails for a candidate that the model does not know, where that is wanted. */
forage_status binding_check_items(const forage_binding *binding, forage_error *error);
/* rank_catalogue.c: both fill whole rankings. */
void binding_catalogue_rank(forage_binding *binding, uint32_t user, model_top *top);
void binding_catalogue_rank_users(binding_ranking *task);

/* look_back.c: for models that read histories. When binding; what rankings go by (see forage_binding_history). */
forage_status binding_look_back(forage_binding *binding, forage_error *error);
forage_status binding_history_choose(forage_binding *binding, const uint32_t *rows, size_t count, forage_error *error);
void binding_history_release(binding_history *history);
/* Events of a user's history up to now. */
size_t binding_history_length(const forage_binding *binding, uint32_t user);
/* Looks up what the examples of a call may see: what came before rows of the log; what these users have done by now
 * (NULL: nobody in particular); a whole block of one user, or of the history that was `listed`. Nothing happens for
 * other models, nor in what shows it to them. */
void binding_history_rows(const forage_binding *binding, binding_worker *worker, const uint32_t *rows, size_t count);
void binding_history_users(const forage_binding *binding, binding_worker *worker, const uint32_t *users, size_t count);
void binding_history_constant(const forage_binding *binding, binding_worker *worker, uint32_t user, bool listed);
void binding_history_show(const forage_binding *binding, const binding_worker *worker, forage_examples *examples);
/* For a catalogue: a user with what they have done by now; the history that was listed. */
model_subject binding_history_subject(const forage_binding *binding, uint32_t user);
model_subject binding_history_listed(const forage_binding *binding);
/* Lists a history of nobody in particular, in order. */
forage_status binding_history_list(forage_binding *binding, const uint32_t *items, const float *weights, size_t count,
                                   forage_error *error);
/* The same for forage_model_score_history: rewards of any kind, and items that the model has not met are left out. */
forage_status binding_history_told(forage_binding *binding, const uint32_t *items, const float *rewards, size_t count,
                                   forage_error *error);
/* rank_catalogue.c: is entry i of a history an item of the dataset, with a weight that is possible? */
forage_status binding_check_listed(const forage_binding *binding, const uint32_t *items, const float *weights, size_t i,
                                   forage_error *error);
/* rank.c: the ranking by the history that was listed, of a model without a catalogue. */
void binding_rank_listed(forage_binding *binding, model_top *top);

/* fold.c: who `user` is to the catalogue: a code, what they are folded in by, or nobody in particular. */
model_subject binding_subject(const forage_binding *binding, uint32_t user);
/* The score of an item that the model knows, for a user who is folded in, on the thread `worker`. */
float binding_fold_score(const forage_binding *binding, int worker, uint32_t user, uint32_t item);

/* binding.c: fails naming the user or the item, and the row (FORAGE_NONE: there is none). */
forage_status binding_unknown(const forage_binding *binding, size_t field, uint32_t index, uint32_t row,
                              forage_error *error);
/* Fills the columns of the fields that `owner` owns with one value for a whole block. */
void binding_fill_constant(const forage_binding *binding, binding_worker *worker, forage_owner owner, uint32_t index);

#endif
