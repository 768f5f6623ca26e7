/*
 * lightgcn.c: LightGCN (He et al. 2020, "LightGCN: simplifying and powering graph convolution network for
 * recommendation"): embeddings smoothed over the graph of who chose what.
 *
 *   E(k + 1) = A E(k),   A = D^-1/2 W D^-1/2 of the bipartite graph, no self loops     (equations 3, 7, 8)
 *   E = (E(0) + ... + E(K)) / (K + 1),   score of u and i = <E_u, E_i>                  (equations 4, 5)
 *
 * E(0) alone is learned. Nothing else has weights, so that users and items that come later are placed by their
 * edges: the vector of someone new is the same sum over the items they chose, with E(0) = 0 of their own.
 *
 * lightgcn_fit.c minimises one of three losses: BPR as published, or a softmax over the batch (nn/inbatch.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/lightgcn.h"
#include "model/catalogue.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const forage_param params[] = {
    {"loss", FORAGE_PARAM_CHOICE, "softmax", 0, 0, "bpr|softmax|bsl",
     "bpr: pairs of a chosen and another item, as published; softmax: the chosen item among those of the batch; bsl: "
     "the same with a second temperature, as published"},
    {"layers", FORAGE_PARAM_INTEGER, "1", 0, LIGHTGCN_LAYERS, NULL,
     "how often the graph is applied; 0: plain matrix factorisation"},
    {"embedding-size", FORAGE_PARAM_INTEGER, "64", 1, 1024, NULL, "numbers per user and item"},
    {"epochs", FORAGE_PARAM_INTEGER, "40", 1, 100000, NULL, "passes over the edges"},
    {"batch-size", FORAGE_PARAM_INTEGER, "0", 0, 1 << 16, NULL,
     "edges per step; 0: 2048, but in a small log as many as make 128 steps an epoch, and at least 64"},
    {"learning-rate", FORAGE_PARAM_REAL, "0.0005", 0, 10, NULL, "step size of Adam"},
    {"schedule", FORAGE_PARAM_CHOICE, "constant", 0, 0, "constant|linear|cosine",
     "how the learning rate falls over the epochs (or the minutes that there are), to final-rate of itself"},
    {"final-rate", FORAGE_PARAM_REAL, "0", 0, 1, NULL, "share of the learning rate that a schedule ends with"},
    {"temperature", FORAGE_PARAM_REAL, "0.12", 0.01, 10, NULL,
     "softmax, bsl: divides cosines; low values look at the hardest other items alone"},
    {"second-temperature", FORAGE_PARAM_REAL, "0.84", 0.01, 10, NULL,
     "bsl: weight of the other items against the chosen one (exponent of their sum)"},
    {"l2", FORAGE_PARAM_REAL, "1e-05", 0, 100, NULL,
     "penalty on the layer-0 embeddings of the batch: half their squares, per edge"},
    {"init", FORAGE_PARAM_CHOICE, "xavier", 0, 0, "normal|xavier",
     "first embeddings: normal with deviation 0.1, or uniform as Glorot and Bengio (2010)"},
    {"patience", FORAGE_PARAM_INTEGER, "0", 0, 100000, NULL,
     "epochs without a better validation metric before stopping; 0: all epochs. The best epoch's weights are kept "
     "wherever there are validation rows"},
    {"weight", FORAGE_PARAM_CHOICE, "binary", 0, 0, "binary|count|value",
     "what an edge weighs in the graph: 1, how often the two met, or the sum of the values"},
    {"half-life", FORAGE_PARAM_REAL, "0", 0, 1e18, NULL,
     "above 0: an event counts half as much after this time (days; in a log whose times are plain numbers, in their "
     "unit)"},
    {"beta1", FORAGE_PARAM_REAL, "0.9", 0, 0.999999, NULL, "Adam: memory of the mean gradient"},
    {"beta2", FORAGE_PARAM_REAL, "0.999", 0, 0.99999999, NULL, "Adam: memory of the squared gradient"},
    {"epsilon", FORAGE_PARAM_REAL, "1e-8", 1e-30, 1, NULL, "Adam: added to the root of the squared gradient"},
};

/* BPR and BSL as published (docs/models/lightgcn.md says where); what softmax has was chosen on held-out tenths. */
static const forage_preset presets[] = {
    {"loss", "bsl", "learning-rate", "0.001"}, {"loss", "bsl", "epochs", "200"}, {"loss", "bpr", "layers", "3"},
    {"loss", "bpr", "learning-rate", "0.001"}, {"loss", "bpr", "l2", "0.0001"},  {"loss", "bpr", "init", "normal"},
    {"loss", "bpr", "epochs", "200"},
};

forage_status lightgcn_out_of_memory(const model_state *state, forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for LightGCN over %zu users and %zu items of %zu numbers",
                       state->users, state->items, state->width);
}

/* ---- the state ---- */

void lightgcn_free(model_state *state)
{
    if (!state)
        return;
    forage_graph_release(&state->graph);
    forage_free(state->values);
    forage_free(state->base);
    forage_free(state->final);
    forage_free(state->folded);
    forage_free(state->degrees);
    forage_free(state->packed);
    forage_free(state);
}

/* Sizes; nothing allocated. */
static forage_status measure(const model_setup *setup, model_state *state, forage_error *error)
{
    *state = (model_state){.setup = setup, .params = setup->params, .device = setup->device, .seed = setup->seed};
    state->user_field = model_schema_id(setup->schema, FORAGE_OF_USER);
    state->item_field = model_schema_id(setup->schema, FORAGE_OF_ITEM);
    if (state->user_field == SIZE_MAX || state->item_field == SIZE_MAX)
        return forage_fail(error, FORAGE_INVALID, "lightgcn needs the ids of users and items among its fields");
    state->users = setup->schema->fields[state->user_field].cardinality;
    state->items = setup->schema->fields[state->item_field].cardinality;
    state->nodes = state->users + state->items;
    if (state->users > UINT32_MAX - 3 || state->items > UINT32_MAX - 3 - state->users)
        return forage_fail(error, FORAGE_UNSUPPORTED, "%zu users and %zu items are more nodes than a graph can number",
                           state->users, state->items);
    state->width = (size_t)forage_params_integer(setup->params, "embedding-size");
    state->pitch = la_padded(state->width);
    state->layers = (size_t)forage_params_integer(setup->params, "layers");
    return FORAGE_OK;
}

/* All zero. */
forage_status lightgcn_build(const model_setup *setup, model_state **state, forage_error *error)
{
    model_state sizes;
    *state = NULL;
    FORAGE_TRY(measure(setup, &sizes, error));
    model_state *made = forage_calloc(1, sizeof *made);
    if (!made)
        return lightgcn_out_of_memory(&sizes, error);
    *made = sizes;
    made->base = forage_calloc(made->nodes, made->pitch * sizeof *made->base);
    made->final = forage_calloc(made->nodes + 2, made->pitch * sizeof *made->final);
    made->folded = forage_calloc(made->items, made->pitch * sizeof *made->folded);
    made->degrees = forage_calloc(made->items + 1, sizeof *made->degrees);
    if (!made->base || !made->final || !made->folded || !made->degrees) {
        lightgcn_free(made);
        return lightgcn_out_of_memory(&sizes, error);
    }
    *state = made;
    return FORAGE_OK;
}

/* Draws layer 0 of a node. */
static void draw(model_state *state, forage_rng *rng, size_t node)
{
    bool normal = strcmp(forage_params_text(state->params, "init"), "normal") == 0;
    double bound = sqrt(6.0 / (double)((node < state->users ? state->users : state->items) + state->width));
    for (size_t j = 0; j < state->width; j++)
        state->base[node * state->pitch + j] =
            (float)(normal ? 0.1 * forage_rng_normal(rng) : bound * (2 * forage_rng_double(rng) - 1));
}

static forage_status create(const model_setup *setup, model_state **state, forage_error *error)
{
    forage_rng rng;
    FORAGE_TRY(lightgcn_build(setup, state, error));
    forage_rng_seed_stream(&rng, setup->seed, LIGHTGCN_STREAM_WEIGHTS);
    for (size_t n = 0; n < (*state)->nodes; n++)
        draw(*state, &rng, n);
    return FORAGE_OK;
}

/* Takes over a graph and what follows from it. */
static void adopt(model_state *state, const forage_graph *graph, float *values)
{
    forage_graph_release(&state->graph);
    forage_free(state->values);
    state->graph = *graph;
    state->values = values;
    for (size_t i = 0; i < state->items; i++) {
        state->degrees[i] = 0;
        for (size_t e = graph->offsets[state->users + i]; e < graph->offsets[state->users + i + 1]; e++)
            state->degrees[i] += (double)graph->weights[e];
    }
}

la_csr lightgcn_matrix(const model_state *state)
{
    return (la_csr){state->nodes, state->graph.offsets, state->graph.neighbours, state->values};
}

static double half_life(const model_state *state, const forage_examples *examples)
{
    double microseconds_a_day = 86400e6;
    return forage_params_real(state->params, "half-life") * (examples->time_is_calendar ? microseconds_a_day : 1);
}

forage_status lightgcn_graph(const model_state *state, const forage_examples *examples, forage_graph *graph,
                             forage_error *error)
{
    const char *weight = forage_params_text(state->params, "weight");
    const forage_graph_options options = {
        .weight = strcmp(weight, "count") == 0   ? FORAGE_EDGE_COUNT
                  : strcmp(weight, "value") == 0 ? FORAGE_EDGE_VALUE
                                                 : FORAGE_EDGE_BINARY,
        .half_life = half_life(state, examples),
    };
    const forage_graph_events events = {
        .users = state->users,
        .items = state->items,
        .count = examples->count,
        .user = examples->codes[state->user_field],
        .item = examples->codes[state->item_field],
        .value = examples->reward,
        .time = examples->time,
    };
    return forage_graph_create(&events, &options, graph, error);
}

forage_status lightgcn_connect(model_state *state, forage_graph *graph, forage_error *error)
{
    float *values = forage_alloc(2 * graph->edges + 1, sizeof *values);
    forage_status status = values ? forage_graph_normalise(graph, values, error) : lightgcn_out_of_memory(state, error);
    if (status == FORAGE_OK) {
        adopt(state, graph, values);
        *graph = (forage_graph){0};
        return FORAGE_OK;
    }
    forage_graph_release(graph);
    forage_free(values);
    return status;
}

/* Where there is no graph at all nobody is. */
static bool isolated(const model_state *state, size_t node)
{
    return state->graph.edges && state->graph.offsets[node] == state->graph.offsets[node + 1];
}

static bool all_zero(const float *numbers, size_t count)
{
    size_t i = 0;
    while (i < count && numbers[i] == 0)
        i++;
    return i == count;
}

/* Nothing says where it is in `final`: it has no edges, or none that lead to anybody with a vector. */
static bool placeless(const model_state *state, size_t node)
{
    return isolated(state, node) || (state->graph.edges && all_zero(state->final + node * state->pitch, state->width));
}

void lightgcn_wake(model_state *state)
{
    size_t row = state->pitch * sizeof *state->final;
    forage_rng rng;
    forage_rng_seed_stream(&rng, state->seed, LIGHTGCN_STREAM_NEW);
    for (size_t n = 0; n < state->nodes; n++) {
        const float *average = state->final + (state->nodes + (n >= state->users)) * state->pitch;
        if (!isolated(state, n) && all_zero(state->base + n * state->pitch, state->width) &&
            memcmp(state->final + n * state->pitch, average, row) == 0)
            draw(state, &rng, n);
    }
}

void lightgcn_forget(model_state *state)
{
    for (size_t n = 0; n < state->nodes; n++) {
        if (isolated(state, n))
            memset(state->base + n * state->pitch, 0, state->pitch * sizeof *state->base);
    }
}

/* The mean of the rows of `final` that have a place, among [first, end), to row `to` and to those that have none. */
static void fill_average(model_state *state, size_t first, size_t end, size_t to)
{
    size_t pitch = state->pitch, count = 0;
    float *average = state->final + to * pitch;
    for (size_t j = 0; j < pitch; j += LA_LANES) {
        double sum[LA_LANES] = {0};
        count = 0;
        for (size_t n = first; n < end; n++) {
            if (placeless(state, n))
                continue;
            count++;
            for (size_t l = 0; l < LA_LANES; l++)
                sum[l] += (double)state->final[n * pitch + j + l];
        }
        for (size_t l = 0; l < LA_LANES; l++)
            average[j + l] = count ? (float)(sum[l] / (double)count) : 0;
    }
    for (size_t n = first; n < end; n++) {
        if (placeless(state, n))
            memcpy(state->final + n * pitch, average, pitch * sizeof *average);
    }
}

/* The final table takes in one more layer. */
typedef struct layer_sum {
    const float *layer;
    float *final;
    size_t count; /* floats */
} layer_sum;

enum { SUM_CHUNK = 1 << 16 };

static void add_layer(void *context, size_t chunk, int worker)
{
    const layer_sum *task = context;
    size_t begin = chunk * SUM_CHUNK, end = task->count - begin < SUM_CHUNK ? task->count : begin + SUM_CHUNK;
    (void)worker;
    for (size_t i = begin; i < end; i++)
        task->final[i] += task->layer[i];
}

void lightgcn_propagate(model_state *state, float *const layers[2])
{
    size_t count = state->nodes * state->pitch, depth = state->graph.edges ? state->layers : 0;
    const forage_device *device = state->device;
    const float *items = state->final + state->users * state->pitch, *from = state->base;
    la_spmm task = {.matrix = lightgcn_matrix(state), .width = state->pitch, .scale = 1};
    memcpy(state->final, state->base, count * sizeof *state->final);
    for (size_t k = 0; k + 1 < depth; k++) {
        task.in = from;
        task.out = layers[k % 2];
        la_spmm_run(&task, device->isa, device->threads);
        from = task.out;
        layer_sum sum = {from, state->final, count};
        forage_parallel_for(device->threads, (count + SUM_CHUNK - 1) / SUM_CHUNK, add_layer, &sum);
    }
    for (size_t i = 0; i < state->items * state->pitch; i++)
        state->folded[i] = depth ? items[i] / (float)(depth + 1) : 0;
    if (depth) {
        task.in = from;
        task.add = task.out = state->final;
        task.scale = 1.0F / (float)(depth + 1);
        la_spmm_run(&task, device->isa, device->threads);
    }
    fill_average(state, 0, state->users, state->nodes);
    fill_average(state, state->users, state->nodes, state->nodes + 1);
}

forage_status lightgcn_settle(model_state *state, forage_error *error)
{
    float *layers[2] = {NULL, NULL};
    forage_status status = FORAGE_OK;
    for (size_t i = 0; i < 2 && i + 1 < state->layers && status == FORAGE_OK; i++) {
        layers[i] = forage_alloc(state->nodes, state->pitch * sizeof **layers);
        if (!layers[i])
            status = lightgcn_out_of_memory(state, error);
    }
    if (status == FORAGE_OK)
        lightgcn_propagate(state, layers);
    forage_free(layers[0]);
    forage_free(layers[1]);
    return status;
}

/* ---- scoring ---- */

static size_t scratch_size(const model_state *state)
{
    (void)state;
    return 0;
}

static const float *user_vector(const model_state *state, uint32_t code)
{
    return state->final + (code < state->users ? code : state->nodes) * state->pitch;
}

static const float *item_vector(const model_state *state, uint32_t code)
{
    return state->final + (code < state->items ? state->users + code : state->nodes + 1) * state->pitch;
}

static model_dot dot_of(const model_state *state)
{
    return (model_dot){state->final + state->users * state->pitch, state->width, state->pitch, state->device->isa};
}

static void score(const model_state *state, const forage_examples *examples, void *scratch, float *mean,
                  float *deviation)
{
    const uint32_t *users = examples->codes[state->user_field], *items = examples->codes[state->item_field];
    const float *left[MODEL_BLOCK], *right[MODEL_BLOCK];
    const model_dot dot = dot_of(state);
    (void)scratch;
    for (size_t i = 0; i < examples->count; i++) {
        left[i] = user_vector(state, users[i]);
        right[i] = item_vector(state, items[i]);
        if (deviation)
            deviation[i] = NAN;
    }
    model_dot_pairs(&dot, left, right, examples->count, mean);
}

/* ---- the whole catalogue ---- */

/* Room for the vectors of those who come with a history, before what the product needs. */
static size_t fold_size(const model_state *state, size_t count)
{
    return count * state->pitch * sizeof(float);
}

static size_t catalogue_scratch(const model_state *state, size_t count)
{
    return fold_size(state, count) + model_dot_scratch_size(state->width, count);
}

/* The vector of somebody new who chose these items: layers 1 to K of a node with such edges, whose own layer 0 is 0. */
static const float *fold_in(const model_state *state, const model_subject *subject, float *vector)
{
    double degree = 0;
    memset(vector, 0, state->pitch * sizeof *vector);
    for (size_t i = 0; i < subject->count; i++)
        degree += subject->weights ? (double)subject->weights[i] : 1;
    for (size_t i = 0; i < subject->count; i++) {
        size_t node = state->users + subject->items[i];
        double weight = subject->weights ? (double)subject->weights[i] : 1;
        if (!state->graph.edges || isolated(state, node) || !(weight > 0))
            continue;
        float share = (float)(weight / sqrt(degree * (state->degrees[subject->items[i]] + weight))); /* one edge more */
        const float *row = state->folded + subject->items[i] * state->pitch;
        for (size_t j = 0; j < state->pitch; j++)
            vector[j] += share * row[j];
    }
    return all_zero(vector, state->pitch) ? user_vector(state, FORAGE_NONE) : vector; /* nothing that the graph knows */
}

static void prepare(const model_state *state, const model_subject *subjects, size_t count, void *scratch)
{
    const float *of[MODEL_SUBJECTS];
    const model_dot dot = dot_of(state);
    float *folded = scratch;
    for (size_t s = 0; s < count; s++) {
        of[s] = user_vector(state, subjects[s].user);
        if (subjects[s].user == FORAGE_NONE && subjects[s].count)
            of[s] = fold_in(state, &subjects[s], folded + s * state->pitch);
    }
    model_dot_prepare(&dot, of, count, (char *)scratch + fold_size(state, count));
}

static void score_items(const model_state *state, void *scratch, size_t count, size_t first, size_t items, float *out)
{
    const model_dot dot = dot_of(state);
    model_dot_score(&dot, (const char *)scratch + fold_size(state, count), count, first, items, out);
}

const model_catalogue lightgcn_catalogue = {catalogue_scratch, prepare, score_items};

static bool knows(const model_state *state, uint32_t user)
{
    return !isolated(state, user);
}

static void vectors(const model_state *state, model_vectors *out)
{
    *out = (model_vectors){.users = state->final,
                           .items = state->final + state->users * state->pitch,
                           .width = state->width,
                           .pitch = state->pitch};
}

/* ---- what can be asked of it ---- */

double lightgcn_memory(const model_state *state, double edges)
{
    double tables = (double)state->nodes * (double)state->pitch * 4;
    return 3 * tables + 2 * edges * 12 + (double)state->nodes * 16;
}

static size_t describe(const model_state *state, char *buffer, size_t size)
{
    int n = snprintf(buffer, size,
                     "embedding_user: %zu x %zu\nembedding_item: %zu x %zu\ngraph: %zu edges, applied %zu time%s\n",
                     state->users, state->width, state->items, state->width, state->graph.edges, state->layers,
                     state->layers == 1 ? "" : "s");
    return n > 0 ? (size_t)n : 0;
}

static size_t weight_count(const model_state *state)
{
    return state->nodes * state->width;
}

static double fit_memory(const model_setup *setup, const model_fit_input *input)
{
    model_state sizes;
    if (measure(setup, &sizes, NULL) != FORAGE_OK)
        return 0;
    return lightgcn_fit_memory(&sizes, input);
}

const model_type model_lightgcn = {
    .info = {.name = "lightgcn",
             .version = 1,
             .metric = "ndcg@20",
             .summary = "embeddings of users and items, smoothed over the graph of who chose what (batched)",
             .capabilities = FORAGE_CAN_FIT | FORAGE_HAS_EMBEDDINGS,
             .table = {.owner = "lightgcn",
                       .params = params,
                       .count = sizeof params / sizeof params[0],
                       .presets = presets,
                       .preset_count = sizeof presets / sizeof presets[0]}},
    .reads = MODEL_READS_USER | MODEL_READS_ITEM | MODEL_NEEDS_USER | MODEL_READS_TIME,
    .unit = "edges",
    .minimum_reward = -INFINITY,
    .maximum_reward = INFINITY,
    .create = create,
    .free = lightgcn_free,
    .fit_begin = lightgcn_fit_begin,
    .fit_step = lightgcn_fit_step,
    .fit_end = lightgcn_fit_end,
    .fit_save = lightgcn_fit_save,
    .fit_resume = lightgcn_fit_resume,
    .scratch_size = scratch_size,
    .score = score,
    .save = lightgcn_save,
    .load = lightgcn_load,
    .recognise = lightgcn_recognise,
    .catalogue = &lightgcn_catalogue,
    .knows = knows,
    .vectors = vectors,
    .fit_memory = fit_memory,
    .extend = lightgcn_extend,
    .describe = describe,
    .weight_count = weight_count,
};
