/*
 * embedding_mlp.c: one embedding per category and a tower of layers over them.
 *
 * Model: the network of nn/mlp.h. Every categorical field has a table of embeddings, numeric
 * fields enter as they are (standardised), hidden layers are ReLU, the output is
 * one logit; the mean is its sigmoid, the probability of a reward of 1.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/embedding_mlp.h"

static const forage_param params[] = {
    {"recipe", FORAGE_PARAM_CHOICE, "plain", 0, 0, "plain|tuned",
     "tuned: settings against overfitting (docs/models/embedding-mlp.md) for every parameter that is not given"},
    {"epochs", FORAGE_PARAM_INTEGER, "10", 1, 100000, NULL, "passes over the training rows"},
    {"batch-size", FORAGE_PARAM_INTEGER, "512", 1, 1 << 20, NULL, "rows per step"},
    {"learning-rate", FORAGE_PARAM_REAL, "0.001", 0, 10, NULL, "step size of Adam"},
    {"schedule", FORAGE_PARAM_CHOICE, "constant", 0, 0, "constant|linear|cosine",
     "how the learning rate falls over the epochs, to final-rate of itself"},
    {"final-rate", FORAGE_PARAM_REAL, "0", 0, 1, NULL, "share of the learning rate that a schedule ends with"},
    {"warmup", FORAGE_PARAM_REAL, "0", 0, 1, NULL, "share of the steps over which the learning rate rises from 0"},
    {"embedding-size", FORAGE_PARAM_LIST, "32", 1, NN_WIDTH_LIMIT, NULL,
     "numbers per embedding: one size for all categorical fields, or one for each"},
    {"layers", FORAGE_PARAM_LIST, "64,32", 1, NN_WIDTH_LIMIT, NULL, "units of each hidden layer"},
    {"dropout", FORAGE_PARAM_REAL, "0", 0, 0.99, NULL, "probability of dropping a hidden unit while training"},
    {"embedding-dropout", FORAGE_PARAM_REAL, "0", 0, 0.99, NULL, "probability of dropping an input while training"},
    {"weight-decay", FORAGE_PARAM_REAL, "0", 0, 100, NULL, "weight decay of the layers"},
    {"embedding-decay", FORAGE_PARAM_REAL, "0", 0, 100, NULL, "weight decay of the embeddings"},
    {"decay", FORAGE_PARAM_CHOICE, "l2", 0, 0, "l2|decoupled",
     "l2: a term of the gradient, as torch.optim.Adam; decoupled: shrinks the weights, as AdamW"},
    {"embedding-updates", FORAGE_PARAM_CHOICE, "dense", 0, 0, "dense|lazy",
     "dense: Adam moves every embedding in every step; lazy: only those that the batch names"},
    {"patience", FORAGE_PARAM_INTEGER, "0", 0, 100000, NULL,
     "epochs without a lower validation loss before stopping; 0: never stop early, keep the last weights"},
    {"beta1", FORAGE_PARAM_REAL, "0.9", 0, 0.999999, NULL, "Adam: memory of the mean gradient"},
    {"beta2", FORAGE_PARAM_REAL, "0.999", 0, 0.99999999, NULL, "Adam: memory of the squared gradient"},
    {"epsilon", FORAGE_PARAM_REAL, "1e-8", 1e-30, 1, NULL, "Adam: added to the root of the squared gradient"},
};

/* The recipe "tuned": what it sets. Chosen on inner splits of the pet shop's training rows alone. The embeddings
 * are what overfits: dropping most of their numbers in every step makes each user's
 * fall into a few groups, which is what there is to learn. */
static const forage_preset presets[] = {
    {"recipe", "tuned", "epochs", "40"},
    {"recipe", "tuned", "learning-rate", "0.005"},
    {"recipe", "tuned", "schedule", "cosine"},
    {"recipe", "tuned", "layers", "64,64,64,32"},
    {"recipe", "tuned", "embedding-dropout", "0.7"},
    {"recipe", "tuned", "embedding-decay", "0.0005"},
    {"recipe", "tuned", "dropout", "0.05"},
};

forage_status embedding_mlp_out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for embedding-mlp");
}

/* ---- the network of a schema ---------------------------------------------------- */

/* "user_id" -> "user_embedding.weight"; other fields keep all of their name. */
static bool table_name(const forage_field *field, char buffer[128])
{
    size_t length = strlen(field->name);
    if (field->is_id && length > 3 && strcmp(field->name + length - 3, "_id") == 0)
        length -= 3;
    int n = snprintf(buffer, 128, "%.*s_embedding.weight", (int)(length < 1000 ? length : 1000), field->name);
    return n > 0 && n < 128;
}

/* The name under which `checkpoint` (may be NULL) holds the field's table: PyTorch's item may be called
 * "product" or "item" whatever the column is called. */
static bool table_name_in(const forage_field *field, const nn_checkpoint *checkpoint, char buffer[128])
{
    if (!table_name(field, buffer))
        return false;
    if (!checkpoint || !field->is_id || nn_checkpoint_find(checkpoint, buffer))
        return true;
    static const char *const usual[] = {"user_embedding.weight", "product_embedding.weight", "item_embedding.weight"};
    for (size_t i = 0; i < 3; i++) {
        if ((field->owner == FORAGE_OF_USER) == (i == 0) && nn_checkpoint_find(checkpoint, usual[i])) {
            (void)snprintf(buffer, 128, "%s", usual[i]);
            return true;
        }
    }
    return true;
}

/* Tables and numbers in the order of the fields. The arrays have room for all fields. */
static forage_status read_schema(const model_setup *setup, const nn_checkpoint *checkpoint, nn_table_spec *tables,
                                 char (*names)[128], nn_mlp_spec *spec, forage_error *error)
{
    size_t size_count = 0;
    const int64_t *sizes = forage_params_list(setup->params, "embedding-size", &size_count);
    spec->tables = tables;
    for (size_t f = 0; f < setup->schema->field_count; f++) {
        const forage_field *field = &setup->schema->fields[f];
        if (field->type == FORAGE_NUMERIC) {
            spec->number_count++;
            continue;
        }
        size_t t = spec->table_count++;
        if (!table_name_in(field, checkpoint, names[t]))
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, field->name, "this column's name is too long");
        tables[t].name = names[t];
        tables[t].rows = field->cardinality ? field->cardinality : 1;
        tables[t].width = (size_t)sizes[size_count == 1 ? 0 : t < size_count ? t : size_count - 1];
    }
    if (size_count != 1 && size_count != spec->table_count)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "embedding-size",
                              "%zu sizes for %zu categorical fields; give one for all, or one for each", size_count,
                              spec->table_count);
    return FORAGE_OK;
}

static void free_state(model_state *state)
{
    if (!state)
        return;
    nn_mlp_free(state->mlp);
    forage_free(state->packed);
    forage_free(state);
}

/* A state with all weights zero. */
static forage_status build(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                           forage_error *error)
{
    *state = NULL;
    size_t fields = setup->schema->field_count, layer_count = 0;
    size_t layers[NN_LAYER_LIMIT];
    nn_mlp_spec spec = {.layers = layers};
    nn_table_spec *tables = forage_calloc(fields + 1, sizeof *tables);
    char(*names)[128] = forage_calloc(fields + 1, sizeof *names);
    model_state *made = forage_calloc(1, sizeof *made);
    forage_status status = FORAGE_OK;
    if (!tables || !names || !made) {
        status = embedding_mlp_out_of_memory(error);
        goto done;
    }
    made->params = setup->params;
    made->schema = setup->schema;
    made->device = setup->device;
    made->seed = setup->seed;
    const int64_t *units = forage_params_list(setup->params, "layers", &layer_count);
    if (layer_count > NN_LAYER_LIMIT) {
        status = forage_fail_at(error, FORAGE_INVALID, NULL, 0, "layers", "%zu layers; at most %d", layer_count,
                                NN_LAYER_LIMIT);
        goto done;
    }
    for (size_t l = 0; l < layer_count; l++)
        layers[l] = (size_t)units[l];
    spec.layer_count = layer_count;
    FORAGE_TRY_GOTO(read_schema(setup, checkpoint, tables, names, &spec, error), done);
    FORAGE_TRY_GOTO(nn_mlp_create(&spec, setup->device->isa, &made->mlp, error), done);
    *state = made;
    made = NULL;
done:
    free_state(made);
    forage_free(names);
    forage_free(tables);
    return status;
}

static forage_status create(const model_setup *setup, model_state **state, forage_error *error)
{
    FORAGE_TRY(build(setup, NULL, state, error));
    forage_rng rng;
    forage_rng_seed_stream(&rng, setup->seed, EMBEDDING_MLP_STREAM_WEIGHTS);
    nn_mlp_initialise((*state)->mlp, &rng);
    return FORAGE_OK;
}

/* ---- scoring ------------------------------------------------------------------------ */

void embedding_mlp_sort_columns(const model_state *state, const forage_examples *examples,
                                const embedding_mlp_columns *into)
{
    size_t tables = state->mlp->table_count, total = tables + state->mlp->number_count;
    for (size_t f = 0, t = 0; f < total; f++) {
        if (examples->codes[f])
            into->codes[t++] = examples->codes[f];
        else
            into->numbers[f - t] = examples->values[f];
    }
}

static size_t pointers_size(const model_state *state)
{
    return ((state->mlp->table_count + state->mlp->number_count) * sizeof(void *) + 63) / 64 * 64;
}

static size_t scratch_size(const model_state *state)
{
    return pointers_size(state) + nn_mlp_scratch_size(state->mlp);
}

static void score(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                  float *deviation)
{
    const void **pointers = scratch;
    embedding_mlp_columns into = {(const uint32_t **)pointers, (const float **)(pointers + state->mlp->table_count)};
    embedding_mlp_sort_columns(state, examples, &into);
    nn_inputs inputs = {.codes = into.codes, .numbers = into.numbers, .count = examples->count};
    nn_mlp_predict(state->mlp, &inputs, (char *)scratch + pointers_size(state), mean);
    for (size_t i = 0; i < examples->count; i++) {
        if (isnan(mean[i])) /* weights so large that they overflow on the way */
            mean[i] = 0.5F;
        if (deviation)
            deviation[i] = NAN;
    }
}

/* The table of the user's or the item's id, or NULL. Tables are in the order of the categorical fields. */
static const nn_table *id_table(const model_state *state, forage_owner owner)
{
    size_t id = model_schema_id(state->schema, owner), t = 0;
    for (size_t f = 0; id != SIZE_MAX && f < id; f++)
        t += state->schema->fields[f].type == FORAGE_CATEGORICAL;
    return id == SIZE_MAX ? NULL : &state->mlp->tables[t];
}

static void vectors(const model_state *state, model_vectors *out)
{
    const nn_table *users = id_table(state, FORAGE_OF_USER), *items = id_table(state, FORAGE_OF_ITEM);
    *out = (model_vectors){0};
    if (users) {
        out->users = state->mlp->values + users->offset;
        out->width = out->pitch = users->width;
    }
    if (items) {
        out->items = state->mlp->values + items->offset;
        out->item_width = out->item_pitch = items->width;
    }
}

/* ---- checkpoints --------------------------------------------------------------------- */

static forage_status save(const model_state *state, nn_checkpoint *checkpoint, forage_error *error)
{
    /* The block for tensors that are padded in memory lives in the state, which outlives the checkpoint. */
    model_state *owner = (model_state *)(uintptr_t)state;
    forage_free(owner->packed);
    owner->packed = NULL;
    return nn_mlp_save(state->mlp, state->mlp->values, "", checkpoint, &owner->packed, error);
}

static forage_status load(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                          forage_error *error)
{
    FORAGE_TRY(build(setup, checkpoint, state, error));
    forage_status status = nn_mlp_load((*state)->mlp, checkpoint, "", (*state)->mlp->values, error);
    if (status == FORAGE_OK) {
        nn_mlp_refresh((*state)->mlp);
        return FORAGE_OK;
    }
    free_state(*state);
    *state = NULL;
    return status;
}

/* The first of these tensors that is a table, or NULL. */
static const nn_tensor *find_table(const nn_checkpoint *checkpoint, const char *name, const char *other)
{
    const nn_tensor *tensor = nn_checkpoint_find(checkpoint, name);
    if (!tensor && other)
        tensor = nn_checkpoint_find(checkpoint, other);
    return tensor && tensor->dtype == NN_F32 && tensor->rank == 2 && tensor->shape[0] && tensor->shape[1] ? tensor
                                                                                                          : NULL;
}

/* A state_dict of the notebook's network: user_embedding, product_embedding (or item_embedding), fc1 ..., output. */
static forage_status recognise(const nn_checkpoint *checkpoint, forage_params *values, size_t *users, size_t *items,
                               bool *mine, forage_error *error)
{
    const nn_tensor *user = find_table(checkpoint, "user_embedding.weight", NULL);
    const nn_tensor *item = find_table(checkpoint, "product_embedding.weight", "item_embedding.weight");
    *mine = false;
    if (!user || !item || !find_table(checkpoint, "output.weight", NULL))
        return FORAGE_OK;
    char layers[NN_LAYER_LIMIT * 24 + 1] = "", sizes[64];
    size_t used = 0;
    for (size_t l = 0; l < NN_LAYER_LIMIT; l++) {
        char name[32];
        (void)snprintf(name, sizeof name, "fc%zu.weight", l + 1);
        const nn_tensor *layer = find_table(checkpoint, name, NULL);
        if (!layer)
            break;
        used += (size_t)snprintf(layers + used, sizeof layers - used, "%s%zu", l ? "," : "", layer->shape[0]);
    }
    (void)snprintf(sizes, sizeof sizes, "%zu,%zu", user->shape[1], item->shape[1]);
    FORAGE_TRY(forage_params_set(values, "embedding-size", sizes, error));
    FORAGE_TRY(forage_params_set(values, "layers", layers, error));
    *users = user->shape[0];
    *items = item->shape[0];
    *mine = true;
    return FORAGE_OK;
}

static size_t describe(const model_state *state, char *buffer, size_t size)
{
    const nn_mlp *mlp = state->mlp;
    size_t used = 0;
    for (size_t i = 0; i < mlp->table_count + mlp->layer_count + 2; i++) {
        char *at = used < size ? buffer + used : NULL;
        size_t left = used < size ? size - used : 0;
        int n;
        if (i < mlp->table_count)
            n = snprintf(at, left, "%.*s: %zu x %zu\n", (int)strcspn(mlp->tables[i].name, "."), mlp->tables[i].name,
                         mlp->tables[i].rows, mlp->tables[i].width);
        else if (i < mlp->table_count + mlp->layer_count)
            n = snprintf(at, left, "fc%zu: %zu -> %zu, ReLU\n", i - mlp->table_count + 1,
                         mlp->layers[i - mlp->table_count].in, mlp->layers[i - mlp->table_count].out);
        else if (i == mlp->table_count + mlp->layer_count)
            n = snprintf(at, left, "output: %zu -> 1, sigmoid\n", mlp->head_in);
        else
            n = snprintf(at, left, "products by %s", la_engine_name(mlp->engine));
        used += n > 0 ? (size_t)n : 0;
    }
    return used;
}

static size_t weight_count(const model_state *state)
{
    return state->mlp->weight_count;
}

const model_type model_embedding_mlp = {
    .info = {.name = "embedding-mlp",
             .version = 1,
             .summary = "embeddings of user, item and further fields under a small network (batched)",
             .capabilities = FORAGE_CAN_FIT | FORAGE_HAS_EMBEDDINGS | FORAGE_GIVES_PROBABILITY,
             .table = {.owner = "embedding-mlp",
                       .params = params,
                       .count = sizeof params / sizeof params[0],
                       .presets = presets,
                       .preset_count = sizeof presets / sizeof presets[0]}},
    .reads = MODEL_READS_USER | MODEL_READS_ITEM | MODEL_READS_ATTRIBUTES | MODEL_READS_CONTEXT | MODEL_NEEDS_REWARD,
    .unit = "rows",
    .minimum_reward = 0.0F,
    .maximum_reward = 1.0F,
    .create = create,
    .free = free_state,
    .fit_begin = embedding_mlp_fit_begin,
    .fit_step = embedding_mlp_fit_step,
    .fit_end = embedding_mlp_fit_end,
    .fit_save = embedding_mlp_fit_save,
    .fit_resume = embedding_mlp_fit_resume,
    .scratch_size = scratch_size,
    .score = score,
    .save = save,
    .load = load,
    .recognise = recognise,
    .vectors = vectors,
    .describe = describe,
    .weight_count = weight_count,
};
