/*
 * sasrec.c: a transformer that says which item comes next (Kang and McAuley 2018, "Self-attentive sequential
 * recommendation").
 *
 *   x_t = s E[item_t] + P[t],  t = 0, 1, ... from the oldest item that counts;  s = sqrt(width) as published
 *   h_t = encoder(x_0 ... x_t)         causal, nn/encoder.h
 *   score of item j after item t = <h_t, E_j>
 *
 * Items are all that it reads, so whoever has a history is known. The newest `max-length` items of a history count.
 * Places are counted from the oldest of them (published: from the newest), so that a click more leaves the places of
 * those before it as they are: what was worked out for them stays true (nn_cache), and batches need no padding.
 *
 * sasrec_fit.c minimises one of four losses over the next items of all sequences (nn/next.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/sasrec.h"
#include "model/catalogue.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* First vectors are drawn from N(0, 0.02^2), as in BERT and what came after it: scores begin near 0. */
static const double FIRST_DEVIATION = 0.02;

static const forage_param params[] = {
    {"loss", FORAGE_PARAM_CHOICE, "softmax", 0, 0, "softmax|sampled|bce|gbce",
     "softmax: the next item among all; sampled: among some; bce: against negatives one by one, as published; gbce: "
     "the "
     "same, calibrated (gSASRec)"},
    {"negatives", FORAGE_PARAM_INTEGER, "1024", 1, 1 << 20, NULL,
     "items to tell the next one from: of a step (sampled, gbce), or of each position (bce)"},
    {"sampling", FORAGE_PARAM_CHOICE, "uniform", 0, 0, "uniform|popularity",
     "how negatives are drawn: all items alike, or by how often they occur, to the power of 0.75"},
    {"calibration", FORAGE_PARAM_REAL, "0.75", 0, 1, NULL, "gbce: 0 is bce; 1: scores as if nothing had been left out"},
    {"max-length", FORAGE_PARAM_INTEGER, "200", 1, NN_ENCODER_LENGTH_LIMIT, NULL,
     "items of a history that count, the newest ones"},
    {"parts", FORAGE_PARAM_CHOICE, "all", 0, 0, "all|last",
     "what is learned from histories that are longer: all of them, cut into parts, or the newest part"},
    {"embedding-size", FORAGE_PARAM_INTEGER, "64", 1, NN_ENCODER_WIDTH_LIMIT, NULL,
     "numbers per item, and width of the transformer"},
    {"blocks", FORAGE_PARAM_INTEGER, "2", 1, NN_ENCODER_BLOCK_LIMIT, NULL, "layers of the transformer"},
    {"heads", FORAGE_PARAM_INTEGER, "1", 1, NN_ENCODER_WIDTH_LIMIT, NULL,
     "heads of attention; must divide embedding-size"},
    {"inner-size", FORAGE_PARAM_INTEGER, "0", 0, 4 * NN_ENCODER_WIDTH_LIMIT, NULL,
     "units inside the feed-forward layers; 0: embedding-size"},
    {"activation", FORAGE_PARAM_CHOICE, "relu", 0, 0, "relu|gelu|leaky-relu", "of those units"},
    {"norm", FORAGE_PARAM_CHOICE, "pre", 0, 0, "pre|post",
     "layer norms before attention and feed-forward (and one at the end), or behind them"},
    {"input-scale", FORAGE_PARAM_CHOICE, "root", 0, 0, "root|one",
     "what items' vectors are multiplied by where they go in: the root of embedding-size, as published, or 1"},
    {"dropout", FORAGE_PARAM_REAL, "-1", -1, 0.95, NULL,
     "probability of dropping a number while training: inputs, attention, inner units, outputs of layers; below 0: "
     "0.2, "
     "but 0.5 in a log of 1000 items and more with fewer than 64 events each"},
    {"epochs", FORAGE_PARAM_INTEGER, "100", 1, 100000, NULL, "passes over all histories"},
    {"batch-size", FORAGE_PARAM_INTEGER, "0", 0, 1 << 16, NULL,
     "histories (or parts of them) per step; 0: 128, but of long ones as many as have 2048 items, in a small log as "
     "many as make 64 steps an epoch, and at least 4"},
    {"learning-rate", FORAGE_PARAM_REAL, "0.001", 0, 10, NULL, "step size of Adam"},
    {"schedule", FORAGE_PARAM_CHOICE, "constant", 0, 0, "constant|linear|cosine",
     "how the learning rate falls over the epochs (or the minutes that there are), to final-rate of itself"},
    {"final-rate", FORAGE_PARAM_REAL, "0", 0, 1, NULL, "share of the learning rate that a schedule ends with"},
    {"warmup", FORAGE_PARAM_REAL, "0", 0, 1, NULL, "share of the steps over which the learning rate rises from 0"},
    {"clip", FORAGE_PARAM_REAL, "0", 0, 1e6, NULL, "length that a gradient is cut to; 0: as long as it is"},
    {"weight-decay", FORAGE_PARAM_REAL, "0", 0, 100, NULL, "weight decay of the transformer"},
    {"embedding-decay", FORAGE_PARAM_REAL, "0", 0, 100, NULL, "weight decay of the vectors of items and places"},
    {"decay", FORAGE_PARAM_CHOICE, "l2", 0, 0, "l2|decoupled",
     "l2: a term of the gradient, as torch.optim.Adam; decoupled: shrinks the weights, as AdamW"},
    {"embedding-updates", FORAGE_PARAM_CHOICE, "dense", 0, 0, "dense|lazy",
     "dense: Adam moves every item in every step; lazy: those that the step's loss looks at"},
    {"patience", FORAGE_PARAM_INTEGER, "10", 0, 100000, NULL,
     "epochs without a better validation metric before stopping; 0: all epochs. The best epoch's weights are kept "
     "wherever there are validation rows"},
    {"beta1", FORAGE_PARAM_REAL, "0.9", 0, 0.999999, NULL, "Adam: memory of the mean gradient"},
    {"beta2", FORAGE_PARAM_REAL, "0.999", 0, 0.99999999, NULL, "Adam: memory of the squared gradient"},
    {"epsilon", FORAGE_PARAM_REAL, "1e-8", 1e-30, 1, NULL, "Adam: added to the root of the squared gradient"},
};

/* As published: bce with one negative of each position; gSASRec with 256. */
static const forage_preset presets[] = {
    {"loss", "bce", "negatives", "1"},
    {"loss", "gbce", "negatives", "256"},
};

forage_status sasrec_out_of_memory(const model_state *state, forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for sasrec over %zu items of %zu numbers", state->items,
                       state->width);
}

/* ---- the state ---- */

void sasrec_free(model_state *state)
{
    if (!state)
        return;
    nn_encoder_free(state->encoder);
    forage_free(state->table);
    forage_free(state->positions);
    forage_free(state->average);
    forage_free(state->packed);
    forage_free(state->packed_encoder);
    forage_free(state);
}

forage_status sasrec_measure(const model_setup *setup, model_state *state, nn_encoder_spec *spec, forage_error *error)
{
    const forage_params *values = setup->params;
    const char *activation = forage_params_text(values, "activation");
    *state = (model_state){.setup = setup, .params = values, .device = setup->device, .seed = setup->seed};
    state->item_field = model_schema_id(setup->schema, FORAGE_OF_ITEM);
    if (state->item_field == SIZE_MAX)
        return forage_fail(error, FORAGE_INVALID, "sasrec needs the ids of items among its fields");
    state->items = setup->schema->fields[state->item_field].cardinality;
    if (state->items == 0 || state->items > UINT32_MAX - 2)
        return forage_fail(error, FORAGE_UNSUPPORTED, "sasrec cannot tell %zu items apart", state->items);
    state->width = (size_t)forage_params_integer(values, "embedding-size");
    state->pitch = nn_padded(state->width);
    state->length = (size_t)forage_params_integer(values, "max-length");
    bool root = strcmp(forage_params_text(values, "input-scale"), "root") == 0;
    state->scale = root ? (float)sqrt((double)state->width) : 1;
    size_t heads = (size_t)forage_params_integer(values, "heads");
    size_t inner = (size_t)forage_params_integer(values, "inner-size");
    if (state->width % heads != 0)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, "heads",
                              "%zu heads cannot share embedding-size %zu: they must divide it", heads, state->width);
    bool pre = strcmp(forage_params_text(values, "norm"), "pre") == 0;
    *spec = (nn_encoder_spec){
        .width = state->width,
        .heads = heads,
        .inner = inner ? inner : state->width,
        .blocks = (size_t)forage_params_integer(values, "blocks"),
        .length = state->length,
        .activation = strcmp(activation, "relu") == 0   ? NN_RELU
                      : strcmp(activation, "gelu") == 0 ? NN_GELU
                                                        : NN_LEAKY_RELU,
        .causal = true,
        .pre_norm = pre,
        .last_norm = pre,
        .epsilon = 1e-5,
    };
    return FORAGE_OK;
}

forage_status sasrec_build(const model_setup *setup, model_state **state, forage_error *error)
{
    model_state sizes;
    nn_encoder_spec spec;
    *state = NULL;
    FORAGE_TRY(sasrec_measure(setup, &sizes, &spec, error));
    model_state *made = forage_calloc(1, sizeof *made);
    if (!made)
        return sasrec_out_of_memory(&sizes, error);
    *made = sizes;
    made->table = forage_calloc(made->items + 1, made->pitch * sizeof *made->table);
    made->positions = forage_calloc(made->length, made->pitch * sizeof *made->positions);
    made->average = forage_calloc(made->pitch, sizeof *made->average);
    forage_status status =
        made->table && made->positions && made->average ? FORAGE_OK : sasrec_out_of_memory(made, error);
    if (status == FORAGE_OK)
        status = nn_encoder_create(&spec, setup->device->isa, &made->encoder, error);
    if (status == FORAGE_OK)
        *state = made;
    else
        sasrec_free(made);
    return status;
}

/* Draws [rows, pitch] of N(0, FIRST_DEVIATION^2). */
static void draw(forage_rng *rng, size_t rows, size_t width, size_t pitch, float *to)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < width; j++)
            to[r * pitch + j] = (float)(FIRST_DEVIATION * forage_rng_normal(rng));
    }
}

static forage_status create(const model_setup *setup, model_state **state, forage_error *error)
{
    forage_rng rng;
    FORAGE_TRY(sasrec_build(setup, state, error));
    model_state *made = *state;
    forage_rng_seed_stream(&rng, setup->seed, SASREC_STREAM_WEIGHTS);
    nn_encoder_initialise(made->encoder, &rng);
    draw(&rng, made->length, made->width, made->pitch, made->positions);
    draw(&rng, made->items, made->width, made->pitch, made->table);
    sasrec_refresh(made);
    return FORAGE_OK;
}

void sasrec_refresh(model_state *state)
{
    size_t pitch = state->pitch;
    float *mean = state->table + state->items * pitch;
    nn_encoder_refresh(state->encoder);
    for (size_t j = 0; j < pitch; j += NN_LANES) {
        double sum[NN_LANES] = {0};
        for (size_t i = 0; i < state->items; i++) {
            for (size_t l = 0; l < NN_LANES; l++)
                sum[l] += (double)state->table[i * pitch + j + l];
        }
        for (size_t l = 0; l < NN_LANES; l++)
            mean[j + l] = (float)(sum[l] / (double)state->items);
    }
}

void sasrec_embed(const model_state *state, const uint32_t *items, size_t first, size_t count, float *x)
{
    size_t pitch = state->pitch;
    for (size_t t = 0; t < count; t++) {
        const float *row = state->table + items[t] * pitch, *place = state->positions + (first + t) * pitch;
        for (size_t j = 0; j < pitch; j++)
            x[t * pitch + j] = state->scale * row[j] + place[j];
    }
}

/* ---- histories to vectors ---- */

/* Scratch for up to SASREC_TOGETHER histories. */
typedef struct run_memory {
    uint32_t *items; /* [length] */
    float *x, *out;  /* [SASREC_TOGETHER x length, pitch], [SASREC_TOGETHER, pitch] */
    void *encoder;
} run_memory;

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

size_t sasrec_encode_size(const model_state *state, size_t sequences)
{
    size_t tokens = sequences * state->length, row = state->pitch * sizeof(float);
    return rounded(state->length * sizeof(uint32_t)) + (tokens + sequences) * row +
           nn_encoder_scratch_size(state->encoder, tokens);
}

static run_memory run_memory_at(const model_state *state, size_t sequences, void *scratch)
{
    char *at = scratch;
    run_memory memory = {.items = scratch};
    at += rounded(state->length * sizeof(uint32_t));
    memory.x = (float *)(void *)at;
    memory.out = memory.x + sequences * state->length * state->pitch;
    memory.encoder = memory.out + sequences * state->pitch;
    return memory;
}

/* The newest items that count, [length] at most; how many. */
static size_t newest(const model_state *state, const sasrec_history *from, uint32_t *items)
{
    size_t count = 0;
    for (size_t i = from->count; i-- > 0 && count < state->length;) {
        if (from->items[i] < state->items && (!from->weights || from->weights[i] > 0))
            items[count++] = from->items[i];
    }
    for (size_t i = 0; i < count / 2; i++) {
        uint32_t swap = items[i];
        items[i] = items[count - 1 - i];
        items[count - 1 - i] = swap;
    }
    return count;
}

void sasrec_encode(const model_state *state, const sasrec_history *histories, size_t count, size_t sequences,
                   void *scratch, float *vectors)
{
    run_memory memory = run_memory_at(state, sequences, scratch);
    size_t pitch = state->pitch, row = pitch * sizeof(float);
    uint32_t starts[SASREC_TOGETHER + 1] = {0};
    for (size_t first = 0; first < count; first += sequences) {
        size_t here = count - first < sequences ? count - first : sequences;
        for (size_t s = 0; s < here; s++) {
            size_t known = newest(state, &histories[first + s], memory.items);
            sasrec_embed(state, memory.items, 0, known, memory.x + starts[s] * pitch);
            starts[s + 1] = starts[s] + (uint32_t)known;
        }
        const nn_pack pack = {here, starts};
        nn_encoder_last(state->encoder, &pack, memory.encoder, memory.x, memory.out);
        for (size_t s = 0; s < here; s++)
            memcpy(vectors + (first + s) * pitch, starts[s] < starts[s + 1] ? memory.out + s * pitch : state->average,
                   row);
    }
}

/* ---- scoring ---- */

static model_dot dot_of(const model_state *state)
{
    return (model_dot){state->table, state->width, state->pitch, state->device->isa};
}

static size_t scratch_size(const model_state *state)
{
    return sasrec_encode_size(state, SASREC_TOGETHER) + MODEL_BLOCK * state->pitch * sizeof(float);
}

/* Examples that share their past, as candidates for one user do, share its vector. */
static void score(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                  float *deviation)
{
    const forage_past *past = examples->past;
    const uint32_t *items = examples->codes[state->item_field];
    const float *left[MODEL_BLOCK], *right[MODEL_BLOCK];
    sasrec_history histories[MODEL_BLOCK];
    const model_dot dot = dot_of(state);
    float *vectors = (float *)(void *)((char *)scratch + sasrec_encode_size(state, SASREC_TOGETHER));
    size_t count = 0;
    for (size_t i = 0; i < examples->count; i++) {
        size_t begin = past ? past->begin[i] : 0, end = past ? past->end[i] : 0;
        sasrec_history one = {past ? past->codes[state->item_field] + begin : NULL,
                              past && past->reward ? past->reward + begin : NULL, end - begin};
        if (i == 0 || one.items != histories[count - 1].items || one.count != histories[count - 1].count)
            histories[count++] = one;
        left[i] = vectors + (count - 1) * state->pitch;
        right[i] = state->table + (items[i] < state->items ? items[i] : state->items) * state->pitch;
        if (deviation)
            deviation[i] = NAN;
    }
    sasrec_encode(state, histories, count, SASREC_TOGETHER, scratch, vectors);
    model_dot_pairs(&dot, left, right, examples->count, mean);
}

/* ---- the whole catalogue ---- */

static size_t together(size_t count)
{
    return count < SASREC_TOGETHER ? count : SASREC_TOGETHER;
}

/* Room for the vectors, then what the product needs, then what the encoder needs. */
static size_t vectors_size(const model_state *state, size_t count)
{
    return count * state->pitch * sizeof(float);
}

static size_t catalogue_scratch(const model_state *state, size_t count)
{
    return vectors_size(state, count) + model_dot_scratch_size(state->width, count) +
           sasrec_encode_size(state, together(count));
}

static void prepare(const model_state *state, const model_subject *subjects, size_t count, void *scratch)
{
    const float *of[MODEL_SUBJECTS];
    sasrec_history histories[MODEL_SUBJECTS];
    const model_dot dot = dot_of(state);
    float *vectors = scratch;
    char *product = (char *)scratch + vectors_size(state, count);
    size_t listed = 0;
    for (size_t s = 0; s < count; s++) {
        if (subjects[s].session) {
            of[s] = sasrec_session_vector(subjects[s].session);
            continue;
        }
        of[s] = vectors + listed * state->pitch;
        histories[listed++] = (sasrec_history){subjects[s].items, subjects[s].weights, subjects[s].count};
    }
    sasrec_encode(state, histories, listed, together(count), product + model_dot_scratch_size(state->width, count),
                  vectors);
    model_dot_prepare(&dot, of, count, product);
}

static void score_items(const model_state *state, void *scratch, size_t count, size_t first, size_t items, float *out)
{
    const model_dot dot = dot_of(state);
    model_dot_score(&dot, (const char *)scratch + vectors_size(state, count), count, first, items, out);
}

const model_catalogue sasrec_catalogue = {catalogue_scratch, prepare, score_items};

static void vectors(const model_state *state, model_vectors *out)
{
    *out = (model_vectors){.items = state->table, .item_width = state->width, .item_pitch = state->pitch};
}

/* ---- what can be asked of it ---- */

static size_t describe(const model_state *state, char *buffer, size_t size)
{
    static const char *const activations[] = {"ReLU", "GELU", "leaky ReLU"};
    const nn_encoder_spec *spec = &state->encoder->spec;
    int n =
        snprintf(buffer, size,
                 "item_embedding: %zu x %zu, input and output\nposition_embedding: %zu x %zu\nencoder: %zu block%s, "
                 "%zu head%s, %zu inner units, %s, layer norm %s\n",
                 state->items, state->width, state->length, state->width, spec->blocks, spec->blocks == 1 ? "" : "s",
                 spec->heads, spec->heads == 1 ? "" : "s", spec->inner, activations[spec->activation],
                 spec->pre_norm ? "first" : "last");
    return n > 0 ? (size_t)n : 0;
}

static size_t weight_count(const model_state *state)
{
    return (state->items + state->length) * state->width + state->encoder->weight_count;
}

const model_type model_sasrec = {
    .info = {.name = "sasrec",
             .version = 1,
             .metric = "ndcg@10",
             .summary = "a transformer over what somebody met, which says what comes next (batched)",
             .capabilities = FORAGE_CAN_FIT | FORAGE_HAS_EMBEDDINGS,
             .table = {.owner = "sasrec",
                       .params = params,
                       .count = sizeof params / sizeof params[0],
                       .presets = presets,
                       .preset_count = sizeof presets / sizeof presets[0]}},
    .reads = MODEL_READS_ITEM | MODEL_READS_HISTORY | MODEL_NEEDS_USER,
    .unit = "tokens",
    .minimum_reward = -INFINITY,
    .maximum_reward = INFINITY,
    .create = create,
    .free = sasrec_free,
    .fit_begin = sasrec_fit_begin,
    .fit_step = sasrec_fit_step,
    .fit_end = sasrec_fit_end,
    .fit_save = sasrec_fit_save,
    .fit_resume = sasrec_fit_resume,
    .scratch_size = scratch_size,
    .score = score,
    .save = sasrec_save,
    .load = sasrec_load,
    .recognise = sasrec_recognise,
    .catalogue = &sasrec_catalogue,
    .session = &sasrec_session,
    .vectors = vectors,
    .extend = sasrec_extend,
    .fit_memory = sasrec_fit_memory,
    .describe = describe,
    .weight_count = weight_count,
};
