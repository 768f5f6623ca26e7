/*
 * model.h: models estimate the reward of (request, item). One algorithm is one
 * file in src/model/ and one constant descriptor; this header is how everyone
 * else meets them.
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

typedef enum forage_param_type {
    FORAGE_PARAM_INTEGER,
    FORAGE_PARAM_REAL,
    FORAGE_PARAM_BOOLEAN, /* true, false */
    FORAGE_PARAM_CHOICE,  /* one of `choices`, "a|b|c" */
    FORAGE_PARAM_LIST,    /* integers joined by commas: "64,32" */
    FORAGE_PARAM_TEXT,
} forage_param_type;

/* One parameter of a model: feeds the command line, files, HTTP and docs alike. */
typedef struct forage_param {
    const char *name; /* "learning-rate" */
    forage_param_type type;
    const char *default_value; /* as text */
    double minimum, maximum;   /* inclusive, for numbers and list entries */
    const char *choices;
    const char *doc; /* one line */
} forage_param;

typedef enum forage_capability {
    FORAGE_CAN_FIT = 1 << 0,           /* learns a batch */
    FORAGE_CAN_LEARN = 1 << 1,         /* learns one event at a time */
    FORAGE_HAS_DEVIATION = 1 << 2,     /* gives a standard error beside the mean */
    FORAGE_HAS_EMBEDDINGS = 1 << 3,    /* users and items as vectors */
    FORAGE_GIVES_PROBABILITY = 1 << 4, /* the mean is a probability of reward (log loss makes sense) */
} forage_capability;

typedef struct forage_model_info {
    const char *name; /* "embedding-mlp" */
    unsigned version;
    const char *summary;
    unsigned capabilities; /* of forage_capability */
    const forage_param *params;
    size_t param_count;
} forage_model_info;

/* All models, in alphabetical order; *count of them. Never NULL. */
FORAGE_API const forage_model_info *const *forage_models(size_t *count);
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

/* Columns over a schema: what models are fitted on and score.
 * Codes are the model's own (see schema->fields[f].vocabulary); FORAGE_NONE
 * means unknown or missing, for which a model uses the average of what it knows. */
typedef struct forage_examples {
    size_t count;
    const uint32_t *const *codes; /* [field][count]; NULL entry for numeric fields */
    const float *const *values;   /* [field][count], standardised; NULL entry for categorical fields */
    const float *reward;          /* [count]; NULL when scoring */
} forage_examples;

/* ------------------------------------------------------------------ *
 * A model in hand
 * ------------------------------------------------------------------ */

/* Belongs to one thread at a time while it is fitted or learns; any number of
 * threads may score it otherwise. */
typedef struct forage_model forage_model;

#ifdef __cplusplus
}
#endif

#endif
