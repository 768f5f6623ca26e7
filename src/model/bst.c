/*
 * bst.c: the behaviour sequence transformer (Chen et al. 2019, "Behavior sequence transformer for e-commerce
 * recommendation in Alibaba"): will this user, who did this before, click that item?
 *
 * Model: the tokens of bst_batch.c, the target being the last of them, go through transformer blocks (nn/encoder.h:
 * every token attends to all, LeakyReLU, normalisation behind each sublayer). What comes out (of all positions, side by
 * side and padded with zeros, as in the paper; of the target alone; or their mean) goes, beside the embeddings and
 * numbers of the user and the context, into layers of LeakyReLU (nn/mlp.h) and their one logit. With `encoder` mean the
 * tokens' mean and the target's token take the transformer's place (with `history` all, the mean of what was chosen and
 * that of what was refused), with none the target's token alone.
 *
 * Objective: mean binary cross-entropy over the training rows, by Adam on batches in an order that is drawn afresh for
 * every epoch. Rewards between 0 and 1 are read as probabilities.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/bst.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SIZES "small|full"

static const forage_param params[] = {
    {"size", FORAGE_PARAM_CHOICE, "small", 0, 0, SIZES,
     "full: the paper's; small: quick to train and to score; both set what is not given (docs/models/bst.md)"},
    {"encoder", FORAGE_PARAM_CHOICE, "transformer", 0, 0, "transformer|mean|none",
     "what reads the history: a transformer; the mean of its embeddings; nothing"},
    {"history", FORAGE_PARAM_CHOICE, "positive", 0, 0, "positive|all",
     "which events: those with a value above 0, or all, with an embedding of what became of them"},
    {"position", FORAGE_PARAM_CHOICE, "auto", 0, 0, "auto|time|order|none",
     "time: how long before the target (powers of two); order: how many events; auto: time if the log knows it"},
    {"combine", FORAGE_PARAM_CHOICE, "sum", 0, 0, "sum|concat",
     "the embeddings of a token are added up or stand side by side"},
    {"readout", FORAGE_PARAM_CHOICE, "target", 0, 0, "target|concat|mean",
     "what of the transformer goes into the layers: the target's place, all places side by side, or their mean"},
    {"max-length", FORAGE_PARAM_INTEGER, "50", 1, 2000, NULL, "events of a history at most: the last ones"},
    {"embedding-size", FORAGE_PARAM_INTEGER, "32", 1, NN_ENCODER_WIDTH_LIMIT, NULL, "numbers per embedding"},
    {"blocks", FORAGE_PARAM_INTEGER, "1", 1, 16, NULL, "transformer blocks, one above the other"},
    {"heads", FORAGE_PARAM_INTEGER, "2", 1, 64, NULL, "attention heads; they divide the width of a token"},
    {"inner", FORAGE_PARAM_INTEGER, "64", 1, 4 * NN_ENCODER_WIDTH_LIMIT, NULL,
     "units between the two layers behind attention"},
    {"layers", FORAGE_PARAM_LIST, "64,32", 1, NN_WIDTH_LIMIT, NULL, "units of each layer above the transformer"},
    {"dropout", FORAGE_PARAM_REAL, "0", 0, 0.99, NULL, "probability of dropping a number in the transformer"},
    {"layer-dropout", FORAGE_PARAM_REAL, "0", 0, 0.99, NULL, "and a unit of the layers"},
    {"embedding-dropout", FORAGE_PARAM_REAL, "0", 0, 0.99, NULL, "and a number of a token"},
    {"crop", FORAGE_PARAM_REAL, "0", 0, 1, NULL,
     "share of training rows whose history is cut to its last events, as many as chance has it"},
    {"epochs", FORAGE_PARAM_INTEGER, "30", 1, 100000, NULL, "passes over the training rows"},
    {"batch-size", FORAGE_PARAM_INTEGER, "256", 1, 1 << 20, NULL, "rows per step"},
    {"learning-rate", FORAGE_PARAM_REAL, "0.001", 0, 10, NULL, "step size of Adam"},
    {"schedule", FORAGE_PARAM_CHOICE, "constant", 0, 0, "constant|linear|cosine",
     "how the learning rate falls over the epochs, to final-rate of itself"},
    {"final-rate", FORAGE_PARAM_REAL, "0", 0, 1, NULL, "share of the learning rate that a schedule ends with"},
    {"warmup", FORAGE_PARAM_REAL, "0.02", 0, 1, NULL, "share of the steps over which the learning rate rises from 0"},
    {"patience", FORAGE_PARAM_INTEGER, "6", 0, 100000, NULL,
     "epochs without a lower validation loss before stopping; 0: never stop early, keep the last weights"},
    {"averaging", FORAGE_PARAM_REAL, "0.7", 0, 0.99, NULL,
     "what validates and is kept is an average of the weights at the ends of the epochs, in which what was counts this "
     "much and the latest the rest; 0: the latest alone"},
    {"weight-decay", FORAGE_PARAM_REAL, "0", 0, 100, NULL, "weight decay of the transformer and the layers"},
    {"embedding-decay", FORAGE_PARAM_REAL, "-1", -1, 100, NULL,
     "weight decay of the embeddings; below 0: 0, but 0.001 (combine concat: 0.0003) in a log of 1000 items and more "
     "with fewer than 64 rows each"},
    {"decay", FORAGE_PARAM_CHOICE, "l2", 0, 0, "l2|decoupled",
     "l2: a term of the gradient, as torch.optim.Adam; decoupled: shrinks the weights, as AdamW"},
    {"embedding-updates", FORAGE_PARAM_CHOICE, "dense", 0, 0, "dense|lazy",
     "dense: Adam moves every embedding in every step; lazy: only those that the batch names"},
    {"embedding-deviation", FORAGE_PARAM_REAL, "0.1", 0, 10, NULL,
     "standard deviation of the embeddings before the first step"},
    {"beta1", FORAGE_PARAM_REAL, "0.9", 0, 0.999999, NULL, "Adam: memory of the mean gradient"},
    {"beta2", FORAGE_PARAM_REAL, "0.999", 0, 0.99999999, NULL, "Adam: memory of the squared gradient"},
    {"epsilon", FORAGE_PARAM_REAL, "1e-8", 1e-30, 1, NULL, "Adam: added to the root of the squared gradient"},
};

/* clang-format off */
static const forage_preset presets[] = {
    {"history", "all", "heads", "4"},
    {"history", "all", "learning-rate", "0.003"},
    {"history", "all", "epochs", "8"},
    {"history", "all", "schedule", "cosine"},
    {"history", "all", "patience", "2"},
    {"history", "all", "averaging", "0"},
    {"history", "all", "crop", "0.3"},
    {"size", "full", "combine", "concat"},
    {"size", "full", "readout", "concat"},
    {"size", "full", "max-length", "20"},
    {"size", "full", "heads", "8"},
    {"size", "full", "inner", "256"},
    {"size", "full", "layers", "1024,512,256"},
    {"size", "full", "dropout", "0.2"},
    {"size", "full", "epochs", "10"},
    {"size", "full", "schedule", "cosine"},
    {"size", "full", "patience", "2"},
    {"size", "full", "averaging", "0"},
};
/* clang-format on */

static forage_status out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for bst");
}

static bool chosen(const forage_params *values, const char *name, const char *value)
{
    return strcmp(forage_params_text(values, name), value) == 0;
}

/* ---- the shape of a schema ---- */

/* "product_id" -> "product_embedding.weight"; other fields keep all of their name. */
static forage_status table_name(const forage_field *field, char buffer[BST_NAME], forage_error *error)
{
    size_t length = strlen(field->name);
    if (field->is_id && length > 3 && strcmp(field->name + length - 3, "_id") == 0)
        length -= 3;
    int n = snprintf(buffer, BST_NAME, "%.*s_embedding.weight", (int)(length < 1000 ? length : 1000), field->name);
    if (n > 0 && n < BST_NAME)
        return FORAGE_OK;
    return forage_fail_at(error, FORAGE_INVALID, NULL, 0, field->name, "this column's name is too long");
}

static bst_table *add_table(model_state *state, bst_kind kind, size_t rows, const char *name)
{
    bst_table *table = &state->tables[state->table_count++];
    table->kind = kind;
    table->rows = rows;
    if (name)
        (void)snprintf(table->name, sizeof table->name, "%s", name);
    return table;
}

/* The parts of a token. */
static forage_status read_parts(model_state *state, const nn_checkpoint *checkpoint, forage_error *error)
{
    const forage_params *values = state->params;
    bool outcomes = state->kind == BST_TRANSFORMER && chosen(values, "history", "all");
    for (size_t f = 0; f < state->schema->field_count; f++) {
        const forage_field *field = &state->schema->fields[f];
        if (field->owner != FORAGE_OF_ITEM)
            continue;
        bool number = field->type == FORAGE_NUMERIC;
        size_t rows = number || !field->cardinality ? 1 : field->cardinality;
        bst_table *table = add_table(state, number ? BST_NUMBER : BST_CATEGORY, rows, NULL);
        table->field = f;
        table->refused = outcomes && !number ? rows : 0;
        table->rows += table->refused;
        FORAGE_TRY(table_name(field, table->name, error));
    }
    if (state->table_count == 0)
        return forage_fail(error, FORAGE_INVALID, "bst needs the items' id or an attribute of theirs among its fields");
    state->timed =
        chosen(values, "position", "time") || (checkpoint && nn_checkpoint_find(checkpoint, "sequence_time.weight"));
    if (state->kind == BST_TRANSFORMER && !chosen(values, "position", "none")) {
        size_t rows = state->timed ? BST_GAPS : state->limit;
        if (!checkpoint && chosen(values, "position", "auto")) /* room for either: see bst_resolve */
            rows = rows > BST_GAPS ? rows : BST_GAPS;
        (void)add_table(state, BST_POSITION, rows, state->timed ? "sequence_time.weight" : "sequence_position.weight");
    }
    if (outcomes)
        (void)add_table(state, BST_OUTCOME, BST_OUTCOMES, "sequence_outcome.weight");
    return FORAGE_OK;
}

/* Where the parts stand in a token, and their weights in `values`. */
static forage_status place_parts(model_state *state, forage_error *error)
{
    size_t size = (size_t)forage_params_integer(state->params, "embedding-size"), at = 0;
    bool side_by_side = chosen(state->params, "combine", "concat");
    for (size_t t = 0; t < state->table_count; t++) {
        bst_table *table = &state->tables[t];
        size_t floats;
        table->width = size;
        table->column = side_by_side ? t * size : 0;
        table->offset = at;
        if (table->rows >= FORAGE_NONE || __builtin_mul_overflow(table->rows + 1, size, &floats) ||
            __builtin_add_overflow(at, floats + NN_LANES, &at) || at > SIZE_MAX / 64)
            return out_of_memory(error);
        at = nn_padded(table->offset + floats);
    }
    state->value_count = at;
    state->width = side_by_side ? state->table_count * size : size;
    state->stride = nn_padded(state->width);
    state->values = forage_calloc(state->value_count, sizeof *state->values);
    return state->values ? FORAGE_OK : out_of_memory(error);
}

static forage_status build_encoder(model_state *state, forage_error *error)
{
    const forage_params *values = state->params;
    nn_encoder_spec spec = {.width = state->width,
                            .heads = (size_t)forage_params_integer(values, "heads"),
                            .inner = (size_t)forage_params_integer(values, "inner"),
                            .blocks = (size_t)forage_params_integer(values, "blocks"),
                            .length = state->limit,
                            .activation = NN_LEAKY_RELU,
                            .epsilon = 1e-5};
    if (state->width % spec.heads)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "heads", "%zu heads do not divide a token of %zu numbers",
                              spec.heads, state->width);
    return nn_encoder_create(&spec, state->device->isa, &state->encoder, error);
}

/* The network above: fields of users and contexts beside what the sequence gives. */
static forage_status build_mlp(model_state *state, forage_error *error)
{
    const forage_schema *schema = state->schema;
    size_t fields = schema->field_count, layers[NN_LAYER_LIMIT], numbers = 0;
    nn_mlp_spec spec = {.layers = layers, .leak = 0.01F};
    nn_table_spec *tables = forage_calloc(fields + 1, sizeof *tables);
    char(*names)[BST_NAME] = forage_calloc(fields + 1, sizeof *names);
    forage_status status = FORAGE_OK;
    state->mlp_fields = forage_calloc(fields + 1, sizeof *state->mlp_fields);
    if (!tables || !names || !state->mlp_fields) {
        status = out_of_memory(error);
        goto done;
    }
    const int64_t *units = forage_params_list(state->params, "layers", &spec.layer_count);
    if (spec.layer_count > NN_LAYER_LIMIT) {
        status = forage_fail_at(error, FORAGE_INVALID, NULL, 0, "layers", "%zu layers; at most %d", spec.layer_count,
                                NN_LAYER_LIMIT);
        goto done;
    }
    for (size_t l = 0; l < spec.layer_count; l++)
        layers[l] = (size_t)units[l];
    for (size_t f = 0; f < fields; f++) {
        const forage_field *field = &schema->fields[f];
        if (field->owner == FORAGE_OF_ITEM || field->type != FORAGE_CATEGORICAL)
            continue;
        size_t t = spec.table_count++;
        FORAGE_TRY_GOTO(table_name(field, names[t], error), done);
        tables[t] = (nn_table_spec){names[t], field->cardinality ? field->cardinality : 1,
                                    (size_t)forage_params_integer(state->params, "embedding-size")};
        state->mlp_fields[t] = f;
    }
    for (size_t f = 0; f < fields; f++) {
        if (schema->fields[f].owner != FORAGE_OF_ITEM && schema->fields[f].type == FORAGE_NUMERIC)
            state->mlp_fields[spec.table_count + numbers++] = f;
    }
    spec.tables = tables;
    spec.number_count = state->outputs + numbers;
    status = nn_mlp_create(&spec, state->device->isa, &state->mlp, error);
done:
    forage_free(names);
    forage_free(tables);
    return status;
}

static void free_state(model_state *state)
{
    if (!state)
        return;
    nn_encoder_free(state->encoder);
    nn_mlp_free(state->mlp);
    forage_free(state->tables);
    forage_free(state->values);
    forage_free(state->mlp_fields);
    forage_free(state->packed_mlp);
    forage_free(state->packed_encoder);
    forage_free(state);
}

/* A state with all weights zero. */
static forage_status build(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                           forage_error *error)
{
    forage_status status = FORAGE_OK;
    *state = NULL;
    model_state *made = forage_calloc(1, sizeof *made);
    if (!made)
        return out_of_memory(error);
    made->params = setup->params;
    made->schema = setup->schema;
    made->device = setup->device;
    made->seed = setup->seed;
    made->kind = chosen(setup->params, "encoder", "mean")   ? BST_MEAN
                 : chosen(setup->params, "encoder", "none") ? BST_NONE
                                                            : BST_TRANSFORMER;
    made->output = chosen(setup->params, "readout", "concat") ? BST_CONCAT
                   : chosen(setup->params, "readout", "mean") ? BST_POOLED
                                                              : BST_LAST;
    made->length = (size_t)forage_params_integer(setup->params, "max-length");
    made->limit = made->kind == BST_NONE ? 1 : made->length + 1;
    made->tables = forage_calloc(setup->schema->field_count + 2, sizeof *made->tables);
    if (!made->tables) {
        status = out_of_memory(error);
        goto failed;
    }
    FORAGE_TRY_GOTO(read_parts(made, checkpoint, error), failed);
    FORAGE_TRY_GOTO(place_parts(made, error), failed);
    size_t slots = 1;
    if (made->kind == BST_MEAN) {
        made->bags = chosen(made->params, "history", "all") ? 2 : 1;
        slots = made->bags + 1;
    } else if (made->kind == BST_TRANSFORMER && made->output == BST_CONCAT) {
        slots = made->limit;
    }
    made->outputs = slots * made->width;
    if (made->kind == BST_TRANSFORMER)
        FORAGE_TRY_GOTO(build_encoder(made, error), failed);
    made->last_alone = made->encoder && made->output == BST_LAST && nn_target_fits(made->encoder);
    FORAGE_TRY_GOTO(build_mlp(made, error), failed);
    *state = made;
    return FORAGE_OK;
failed:
    free_state(made);
    return status;
}

static forage_status create(const model_setup *setup, model_state **state, forage_error *error)
{
    double deviation = forage_params_real(setup->params, "embedding-deviation");
    FORAGE_TRY(build(setup, NULL, state, error));
    model_state *made = *state;
    forage_rng rng;
    forage_rng_seed_stream(&rng, setup->seed, BST_STREAM_WEIGHTS);
    for (size_t t = 0; t < made->table_count; t++) {
        float *rows = made->values + made->tables[t].offset;
        for (size_t i = 0; i < made->tables[t].rows * made->tables[t].width; i++)
            rows[i] = (float)(forage_rng_normal(&rng) * deviation);
    }
    if (made->encoder)
        nn_encoder_initialise(made->encoder, &rng);
    nn_mlp_initialise(made->mlp, &rng);
    for (size_t t = 0; t < made->mlp->table_count; t++) {
        float *rows = made->mlp->values + made->mlp->tables[t].offset;
        for (size_t i = 0; i < made->mlp->tables[t].rows * made->mlp->tables[t].width; i++)
            rows[i] *= (float)deviation;
    }
    bst_refresh(made);
    return FORAGE_OK;
}

forage_status bst_resolve(model_state *state, const forage_examples *examples, forage_error *error)
{
    const char *position = forage_params_text(state->params, "position");
    bool known = examples->time && examples->past && examples->past->time;
    if (!state->settled)
        state->timed = strcmp(position, "time") == 0 || (strcmp(position, "auto") == 0 && known);
    if (state->timed && state->kind == BST_TRANSFORMER && !known)
        return forage_fail_at(
            error, FORAGE_INVALID, NULL, 0, "position", "this log does not say when its events were%s",
            state->settled ? ", by which the model to go on from knows them" : "; order and none need no times");
    for (size_t t = 0; t < state->table_count; t++) {
        bst_table *table = &state->tables[t];
        if (table->kind != BST_POSITION)
            continue;
        table->rows = state->timed ? BST_GAPS : state->limit;
        (void)snprintf(table->name, sizeof table->name, "sequence_%s.weight", state->timed ? "time" : "position");
    }
    bst_average(state);
    return FORAGE_OK;
}

void bst_average(model_state *state)
{
    for (size_t t = 0; t < state->table_count; t++) {
        const bst_table *table = &state->tables[t];
        float *rows = state->values + table->offset, *average = rows + table->rows * table->width;
        for (size_t j = 0; j < table->width; j++) {
            double sum = 0.0;
            for (size_t i = 0; i < table->rows; i++)
                sum += (double)rows[i * table->width + j];
            average[j] = (float)(sum / (double)table->rows);
        }
    }
    nn_mlp_average_rows(state->mlp);
}

void bst_refresh_copies(model_state *state)
{
    for (size_t l = 0; l < state->mlp->layer_count; l++)
        nn_mlp_transpose(state->mlp, l, 0, state->mlp->layers[l].out_stride);
    if (state->encoder)
        nn_encoder_refresh(state->encoder);
}

void bst_refresh(model_state *state)
{
    bst_refresh_copies(state);
    bst_average(state);
}

/* ---- fitting ---- */

static bool reads_refusals(const forage_params *values)
{
    return chosen(values, "history", "all");
}

static double fit_memory(const model_setup *setup, const model_fit_input *input)
{
    model_state *state;
    double weights, batch = (double)forage_params_integer(setup->params, "batch-size");
    if (build(setup, NULL, &state, NULL) != FORAGE_OK)
        return 0; /* what is wrong will be said when the model is made */
    size_t rows = (double)input->train->count < batch ? input->train->count : (size_t)batch;
    weights = (double)(state->value_count + state->mlp->value_count) +
              (state->encoder ? (double)state->encoder->value_count : 0.0);
    double copies = forage_params_real(setup->params, "averaging") > 0 ? 3 : 2;
    double bytes = 4.0 * copies * weights + bst_trainer_memory(state, rows) + 4.0 * (double)input->train->count +
                   (double)setup->device->threads * (double)bst_scratch_size(state);
    free_state(state);
    return bytes;
}

/* ---- scoring ---- */

static size_t scratch_size(const model_state *state)
{
    return bst_scratch_size(state);
}

static void score(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                  float *deviation)
{
    float z[MODEL_BLOCK];
    bst_logits(state, examples, 0, examples->count, scratch, z);
    state->mlp->kernels->sigmoid(examples->count, z, mean);
    for (size_t i = 0; i < examples->count; i++) {
        if (isnan(mean[i])) /* weights so large that they overflow on the way */
            mean[i] = 0.5F;
        if (deviation)
            deviation[i] = NAN;
    }
}

static void vectors(const model_state *state, model_vectors *out)
{
    size_t id = model_schema_id(state->schema, FORAGE_OF_ITEM);
    *out = (model_vectors){0};
    for (size_t t = 0; id != SIZE_MAX && t < state->table_count; t++) {
        const bst_table *table = &state->tables[t];
        if (table->kind == BST_CATEGORY && table->field == id) {
            out->items = state->values + table->offset;
            out->item_width = out->item_pitch = table->width;
        }
    }
}

/* ---- checkpoints ---- */

static forage_status save(const model_state *state, nn_checkpoint *checkpoint, forage_error *error)
{
    /* Blocks for tensors that are padded in memory live in the state, which outlives the checkpoint. */
    model_state *owner = (model_state *)(uintptr_t)state;
    forage_free(owner->packed_mlp);
    forage_free(owner->packed_encoder);
    owner->packed_mlp = owner->packed_encoder = NULL;
    for (size_t t = 0; t < state->table_count; t++) {
        const bst_table *table = &state->tables[t];
        size_t shape[2] = {table->rows, table->width};
        FORAGE_TRY(nn_checkpoint_add(checkpoint, table->name, NN_F32, 2, shape, state->values + table->offset, error));
    }
    if (state->encoder)
        FORAGE_TRY(nn_encoder_save(state->encoder, state->encoder->values, "encoder.", checkpoint,
                                   &owner->packed_encoder, error));
    return nn_mlp_save(state->mlp, state->mlp->values, "mlp.", checkpoint, &owner->packed_mlp, error);
}

static forage_status read_weights(model_state *state, const nn_checkpoint *checkpoint, forage_error *error)
{
    for (size_t t = 0; t < state->table_count; t++) {
        const bst_table *table = &state->tables[t];
        size_t shape[2] = {table->rows, table->width};
        FORAGE_TRY(nn_checkpoint_read_weights(checkpoint, table->name, 2, shape, state->values + table->offset, error));
    }
    if (state->encoder)
        FORAGE_TRY(nn_encoder_load(state->encoder, checkpoint, "encoder.", state->encoder->values, error));
    FORAGE_TRY(nn_mlp_load(state->mlp, checkpoint, "mlp.", state->mlp->values, error));
    bst_refresh(state);
    return FORAGE_OK;
}

static forage_status load(const model_setup *setup, const nn_checkpoint *checkpoint, model_state **state,
                          forage_error *error)
{
    FORAGE_TRY(build(setup, checkpoint, state, error));
    forage_status status = read_weights(*state, checkpoint, error);
    if (status != FORAGE_OK) {
        free_state(*state);
        *state = NULL;
    }
    return status;
}

static size_t weight_count(const model_state *state)
{
    size_t count = state->mlp->weight_count + (state->encoder ? state->encoder->weight_count : 0);
    for (size_t t = 0; t < state->table_count; t++)
        count += state->tables[t].rows * state->tables[t].width;
    return count;
}

static size_t describe(const model_state *state, char *buffer, size_t size)
{
    const nn_mlp *mlp = state->mlp;
    size_t used = 0;
    for (size_t t = 0; t < state->table_count; t++) {
        const bst_table *table = &state->tables[t];
        forage_append(buffer, size, &used, "token: %.*s: %zu x %zu\n", (int)strcspn(table->name, "."), table->name,
                      table->rows, table->width);
    }
    if (state->encoder) {
        const nn_encoder_spec *spec = &state->encoder->spec;
        forage_append(buffer, size, &used,
                      "transformer: %zu block%s of width %zu, %zu head%s, inner %zu, over %zu events and the target\n",
                      spec->blocks, spec->blocks == 1 ? "" : "s", spec->width, spec->heads, spec->heads == 1 ? "" : "s",
                      spec->inner, state->length);
    } else if (state->kind == BST_MEAN) {
        forage_append(buffer, size, &used, "mean of %zu events%s, beside the target\n", state->length,
                      state->bags > 1 ? ", chosen and refused apart" : "");
    } else {
        forage_append(buffer, size, &used, "no history: the target alone\n");
    }
    for (size_t t = 0; t < mlp->table_count; t++)
        forage_append(buffer, size, &used, "%.*s: %zu x %zu\n", (int)strcspn(mlp->tables[t].name, "."),
                      mlp->tables[t].name, mlp->tables[t].rows, mlp->tables[t].width);
    for (size_t l = 0; l < mlp->layer_count; l++)
        forage_append(buffer, size, &used, "fc%zu: %zu -> %zu, LeakyReLU\n", l + 1, mlp->layers[l].in,
                      mlp->layers[l].out);
    forage_append(buffer, size, &used, "output: %zu -> 1, sigmoid\nproducts by %s", mlp->head_in,
                  la_engine_name(mlp->engine));
    return used;
}

const model_type model_bst = {
    .info = {.name = "bst",
             .version = 1,
             .summary = "behaviour sequence transformer: clicks from what somebody did before (batched)",
             .capabilities = FORAGE_CAN_FIT | FORAGE_HAS_EMBEDDINGS | FORAGE_GIVES_PROBABILITY,
             .table = {.owner = "bst",
                       .params = params,
                       .count = sizeof params / sizeof params[0],
                       .presets = presets,
                       .preset_count = sizeof presets / sizeof presets[0]}},
    .reads = MODEL_READS_USER | MODEL_READS_ITEM | MODEL_READS_ATTRIBUTES | MODEL_READS_CONTEXT | MODEL_NEEDS_REWARD |
             MODEL_READS_TIME | MODEL_READS_HISTORY | MODEL_FOR_STRANGERS,
    .unit = "rows",
    .minimum_reward = 0.0F,
    .maximum_reward = 1.0F,
    .create = create,
    .free = free_state,
    .fit_begin = bst_fit_begin,
    .fit_step = bst_fit_step,
    .fit_end = bst_fit_end,
    .fit_save = bst_fit_save,
    .fit_resume = bst_fit_resume,
    .fit_memory = fit_memory,
    .scratch_size = scratch_size,
    .score = score,
    .save = save,
    .load = load,
    .vectors = vectors,
    .extend = bst_extend,
    .reads_refusals = reads_refusals,
    .describe = describe,
    .weight_count = weight_count,
};
