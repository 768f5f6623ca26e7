/*
 * recommend.h: what the files of forage recommend share: what was asked for, and what is at hand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_CLI_RECOMMEND_H
#define FORAGE_CLI_RECOMMEND_H

#include "cli/log_options.h"

/* What a log says about an item, or about a user and a kind of item. */
typedef struct tally {
    uint64_t shown, chosen;
} tally;

typedef struct recommendation {
    forage_read_options read;
    const char *path, *data, *unknown_text, *device_name, *now_text;
    cli_list users, context, history, similar_items, similar_users, only, exclude;
    int64_t k, threads;
    bool exclude_seen, exclude_chosen, json, quiet;

    forage_device device;
    forage_model *model;
    forage_dataset *dataset;
    forage_unknown unknown;
    forage_binding *binding;
    forage_seen seen;
    bool has_seen;

    bool reads_history; /* the model goes by what users did, in order */
    uint32_t *past;     /* [past_count] the items of --history, rising, each once */
    size_t past_count;
    uint32_t *listed; /* [listed_count] what the model is told of them: as they were named, if it reads histories */
    size_t listed_count;
    uint32_t *items; /* [k] */
    float *scores;   /* [k] */

    /* For the reasons. */
    tally *by_item;            /* [items] */
    tally *by_kind;            /* [kinds] of one user */
    const forage_column *kind; /* the items' first categorical attribute, or NULL */
    bool rates;                /* values are 0 and 1, and both occur: what was shown and not chosen is known */
    bool personal;             /* the ranking depends on whom it is for: then there is a graph */
    forage_graph graph;        /* who chose what in the log, by its indices */
    float *edges;              /* [2 x graph.edges] its normalised values */
} recommendation;

/* REASON_TEXT has room for all pieces with the longest names that they show: nothing is cut within a character. */
enum { REASON_TEXT = 800, REASON_PATHS = 5 };

/* What in the log speaks for an item. */
typedef struct recommend_reason {
    char text[REASON_TEXT];
    forage_path paths[REASON_PATHS]; /* what the user chose that leads to it, strongest first */
    size_t path_count;
} recommend_reason;

/* recommend_list.c: one line, or one JSON object, for an item in r->items, and for a user there. */
json_t *recommend_id_json(const char *id, size_t length);
json_t *recommend_item_json(const recommendation *r, uint32_t user, size_t rank);
void recommend_print_item(const recommendation *r, uint32_t user, size_t rank);
json_t *recommend_user_json(const recommendation *r, size_t rank);
void recommend_print_user(const recommendation *r, size_t rank);

/* recommend_reasons.c: looks through the log for what reasons are made of. */
forage_status recommend_prepare_reasons(recommendation *r, bool personal, forage_error *error);
void recommend_release_reasons(recommendation *r);
/* The same for one user (FORAGE_NONE: nobody in particular), before reasons for them are asked for. */
void recommend_count_kinds(recommendation *r, uint32_t user);
/* Why `item`, for this user or, with FORAGE_NONE, for whoever has met r->past. */
void recommend_find_reason(const recommendation *r, uint32_t user, uint32_t item, recommend_reason *reason);

/* recommend_filter.c: restricts rankings as --only and --exclude say; the items of --history. */
forage_status recommend_filter(recommendation *r, forage_error *error);
forage_status recommend_find_history(recommendation *r, forage_error *error);

/* recommend_similar.c: --similar-items and --similar-users; appends to `lists` where that is not NULL, else prints. */
forage_status recommend_similar(recommendation *r, json_t *lists, forage_error *error);

#endif
