/*
 * front.h: what the files of the front share: the model in hand, the coding of a
 * dataset's columns, the text of a checkpoint's metadata. Models do not see it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_FRONT_H
#define MODEL_FRONT_H

#include "model/descriptor.h"

#include <math.h>

struct forage_model {
    const model_type *type;
    forage_params *params;
    forage_schema schema;
    forage_device device;
    uint64_t seed;
    model_setup setup; /* what `state` was made with, as long as it lives */
    model_state *state;
};

/* models.c: the descriptor around `info`, or NULL; the one at `index`, or NULL behind the last. */
const model_type *model_type_of(const forage_model_info *info);
const model_type *model_type_at(size_t index);

/* model.c: the device to use; NULL means "auto". */
forage_status model_device(const forage_device *wanted, forage_device *device, forage_error *error);
/* model.c: a model without schema and state. `params` NULL: all defaults. */
forage_status model_empty(const model_type *type, const forage_params *params, const forage_device *device,
                          uint64_t seed, forage_model **model, forage_error *error);

/* fit.c: are these rows of the dataset, and can such a model learn from them? */
forage_status model_check_rows(const model_type *type, const forage_dataset *dataset, const uint32_t *rows,
                               size_t count, const char *source, forage_error *error);

/* extend.c: what `from` has learned into the new model's state, by the ids of users and items; `events` are the new
 * model's examples. FORAGE_UNSUPPORTED where the models are not of one kind, or cannot. */
forage_status model_extend_state(forage_model *model, const forage_model *from, const forage_examples *events,
                                 forage_error *error);

/* schema.c: which columns of `dataset` a model of `type` reads ("auto", "all", a list), and what their codes mean:
 * known is what occurs in the `count` rows of training. */
forage_status model_schema_build(const model_type *type, const char *fields, const forage_dataset *dataset,
                                 const uint32_t *rows, size_t count, forage_schema *schema, forage_error *error);
/* Users and items as row numbers, for a checkpoint that says nothing more. */
forage_status model_schema_numbered(size_t users, size_t items, forage_schema *schema, forage_error *error);
/* The schema `from` with the users and items of `count` rows of `dataset` beside those that it knows, which keep their
 * codes: new numbers follow where all ids are numbers, else new ids in the dataset's order. Other fields are as they
 * were. */
forage_status model_schema_extend(const forage_schema *from, const forage_dataset *dataset, const uint32_t *rows,
                                  size_t count, const char *source, forage_schema *schema, forage_error *error);
/* The schema of a fit that goes on from a model of the same type with the schema `from`. With `fields` NULL or "auto"
 * it reads what that one reads. Fields stand in its order. What ids and categories mean is settled by the rows, as
 * always; numbers are scaled as they were, so that what was learned of them holds. */
typedef struct model_schema_start {
    const forage_schema *from;
    const model_type *type;
    const char *fields, *source;
} model_schema_start;

forage_status model_schema_again(const model_schema_start *start, const forage_dataset *dataset, const uint32_t *rows,
                                 size_t count, forage_schema *schema, forage_error *error);
void model_schema_release(forage_schema *schema);
/* The column of the dataset behind a field (NULL for ids); fails naming it if it is not there. */
forage_status model_schema_column(const forage_field *field, const forage_dataset *dataset, const char *source,
                                  const forage_column **column, forage_error *error);

/* metadata.c: model name, version, parameters and schema as texts of a checkpoint, and back. */
forage_status model_metadata_write(const model_type *type, const forage_params *params, const forage_schema *schema,
                                   nn_checkpoint *checkpoint, forage_error *error);
/* The first `count` ids under `key`, one per line, escaped; nothing where they are their own numbers. */
forage_status model_metadata_write_ids(const forage_vocabulary *ids, size_t count, const char *key,
                                       nn_checkpoint *checkpoint, forage_error *error);
/* *type stays NULL when the checkpoint has no metadata of ours. */
forage_status model_metadata_read(const nn_checkpoint *checkpoint, const model_type **type, forage_params **params,
                                  forage_schema *schema, forage_error *error);

/* The same for a learner: model, version, parameters, shape, seed. */
forage_status model_metadata_write_learner(const model_type *type, const forage_params *params,
                                           const forage_learner_shape *shape, uint64_t seed, nn_checkpoint *checkpoint,
                                           forage_error *error);
forage_status model_metadata_read_learner(const nn_checkpoint *checkpoint, const model_type **type,
                                          forage_params **params, forage_learner_shape *shape, uint64_t *seed,
                                          forage_error *error);

/* columns.c: how one field of a model is found in a dataset. A field's index is a row of the log (context),
 * or the user or the item of that row. */
typedef struct model_column {
    const forage_field *field;
    const uint32_t *codes; /* [index] the dataset's codes; NULL: the index itself (ids) */
    const uint32_t *map;   /* [dataset's code] the model's code; NULL: the same */
    size_t limit;          /* entries of `map`, or of the model's codes */
    const float *values;   /* [index] numbers */
    const float *lookup;   /* [dataset's code] numbers, where text is read as such */
    float mean, scale;
    uint32_t *owned_codes, *owned_map;
    float *owned_lookup;
} model_column;

typedef struct model_columns {
    size_t count;
    model_column *columns;
} model_columns;

forage_status model_columns_create(const forage_schema *schema, const forage_dataset *dataset, const char *source,
                                   model_columns *columns, forage_error *error);
void model_columns_release(model_columns *columns);

static inline uint32_t model_column_code(const model_column *column, size_t index)
{
    uint32_t code = FORAGE_NONE;
    if (index != FORAGE_NONE) /* nobody has no attributes */
        code = column->codes ? column->codes[index] : (uint32_t)index;
    if (code >= column->limit) /* FORAGE_NONE, too */
        return FORAGE_NONE;
    return column->map ? column->map[code] : code;
}

static inline float model_column_value(const model_column *column, size_t index)
{
    float value = NAN;
    if (index != FORAGE_NONE && column->values)
        value = column->values[index];
    else if (index != FORAGE_NONE && column->codes[index] < column->limit)
        value = column->lookup[column->codes[index]];
    /* Missing counts as the mean, which is 0 after scaling; a value a million deviations away is an accident. */
    float scaled = isfinite(value) ? (value - column->mean) * column->scale : 0.0F;
    return scaled > 1e6F ? 1e6F : scaled < -1e6F ? -1e6F : scaled;
}

/* The index of `field` for one event. */
static inline size_t model_column_index(const forage_field *field, const forage_dataset *dataset, size_t row)
{
    if (field->owner == FORAGE_OF_USER)
        return dataset->user[row];
    return field->owner == FORAGE_OF_ITEM ? dataset->item[row] : row;
}

/* past.c: what came before, as a model that reads histories sees it. */
typedef struct model_past {
    forage_past past;           /* what the model is told; begin and end are the front's business */
    forage_histories histories; /* by the dataset's users: those of the past's sequences, event by event */
    size_t field_count;
    uint32_t **codes; /* [field][event] of items' fields; NULL for others */
    float **values;
    float *reward;
    int64_t *time;
    size_t *begin, *end; /* [example], by model_past_place */
    size_t room;         /* of model_past_list */
    size_t bounds[2];    /* offsets of its one sequence */
} model_past;

/* For whom. All is borrowed. */
typedef struct model_past_task {
    const model_type *type;
    const forage_params *params;
    const model_columns *columns;
    const forage_dataset *dataset;
    int threads;
} model_past_task;

/* The histories of all users of the dataset in some of its rows (NULL: in all), but for what says nothing to the model:
 * items that it has not met, and values not above 0, unless it reads refusals. A log without users has none. 4 bytes
 * for each event and for each of its fields, 8 for its time. */
forage_status model_past_create(const model_past_task *task, const uint32_t *rows, size_t count, model_past *past,
                                forage_error *error);
/* One history of nobody in particular, given as `count` of the dataset's items (`rewards` NULL: 1 each); times are not
 * known. `past` is {0} or an earlier result of this function; allocates only if the history is longer than any so far.
 * On failure it is as it was. */
forage_status model_past_list(const model_past_task *task, const uint32_t *items, const float *rewards, size_t count,
                              model_past *past, forage_error *error);
/* Says of `count` rows of the dataset, examples, what came before them. */
forage_status model_past_place(model_past *past, const model_past_task *task, const uint32_t *rows, size_t count,
                               forage_error *error);
/* Both for the parts of a split: examples that train see what trains, those that validate what trains or validates
 * (nothing, if none does). On failure both are to be released. */
forage_status model_past_split(const model_past_task *task, const forage_split *split, model_past *train,
                               model_past *validation, forage_error *error);
/* The events of `user` before a row of the dataset; up to `now`, that moment included (all in a log without times).
 * None for FORAGE_NONE. */
void model_past_before(const model_past *past, const forage_dataset *dataset, uint32_t user, uint32_t row,
                       size_t *begin, size_t *end);
void model_past_until(const model_past *past, const forage_dataset *dataset, uint32_t user, int64_t now, size_t *begin,
                      size_t *end);
/* Of a past from model_past_create; {0} is fine. */
void model_past_release(model_past *past);

static inline bool model_reads_history(const model_type *type)
{
    return (type->reads & MODEL_READS_HISTORY) != 0;
}

/* Examples of a fit: columns coded for `count` rows, 4 bytes per row and field, 4 for the reward, 8 for the time. */
typedef struct model_coded {
    forage_examples examples;
    uint32_t **codes;
    float **values;
    float *reward;
    int64_t *time;
} model_coded;

forage_status model_coded_create(const model_columns *columns, const forage_dataset *dataset, const uint32_t *rows,
                                 size_t count, bool with_time, int threads, model_coded *coded, forage_error *error);
void model_coded_release(model_coded *coded, size_t field_count);

#endif
