/*
 * sasrec_train.c: one step of the next-item transformer.
 *
 * The sequences of a batch lie one behind the other, without padding, and are cut into groups of about as many items,
 * the same whatever the number of threads. Each group goes forward with a tape of its own; the loss looks at all
 * positions at once (nn/next.h); each group goes backward, into a sum of its own. Where positions have negatives of
 * their own, their losses know nothing of each other: then a group goes forward and backward in one go, with its
 * thread's tape, which stays in cache. The groups' sums, and what the inputs leave to the items' vectors, are added in
 * a fixed order. Item vectors are inputs and outputs (tied), so that their gradient
 * has two parts:
 *
 *   x_t = dropout(scale E[item_t] + P[t])     h = encoder(x)     z_tj = <h_t, E_j>
 *   dE_j = sum_t dz_tj h_t + scale sum_{t: item_t = j} dx_t      dP_t = sum over sequences of dx_t
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/sasrec_train.h"

#include <math.h>
#include <string.h>

enum {
    GROUPS = 32,        /* at most */
    GROUP_TOKENS = 128, /* of a usual one: see nn/encoder.h */
    BLOCK_ROWS = 128,   /* of them that Adam moves at a time: what is read is then still in cache when it is cleared */
    AHEAD = 4,          /* rows that are fetched before one is moved */
    PIECE = 8192,       /* other numbers in a chunk */
    TRIES = 64,         /* for a negative that somebody has not met, who may have met all */
};

/* A group's sequences, and what it does in the step at hand. */
struct sasrec_group {
    uint32_t *starts; /* [sequences + 1], from 0 */
    size_t sequences, first, tokens;
};

/* ---- making ready ---- */

static size_t group_room(size_t tokens, size_t length)
{
    size_t room = tokens / GROUPS + 1;
    room = (room < GROUP_TOKENS ? GROUP_TOKENS : room) + length;
    return room < tokens ? room : tokens;
}

/* An even number, for two cores, of groups of GROUP_TOKENS or a little less; as many as there may be of larger ones. */
static size_t count_groups(size_t tokens)
{
    size_t pairs = (tokens + 2 * GROUP_TOKENS - 1) / (2 * GROUP_TOKENS);
    if (tokens < GROUP_TOKENS)
        return 1;
    return 2 * pairs < GROUPS ? 2 * pairs : GROUPS;
}

static nn_next_spec loss_spec(const model_state *state, size_t tokens)
{
    const char *loss = forage_params_text(state->params, "loss");
    nn_next_spec spec = {
        .kind = strcmp(loss, "softmax") == 0   ? NN_NEXT_SOFTMAX
                : strcmp(loss, "sampled") == 0 ? NN_NEXT_SAMPLED
                : strcmp(loss, "bce") == 0     ? NN_NEXT_BCE
                                               : NN_NEXT_GBCE,
        .positions = tokens,
        .items = state->items,
        .width = state->width,
        .target_as_is = true,
        .t = forage_params_real(state->params, "calibration"),
        .isa = state->device->isa,
        .threads = state->device->threads,
    };
    spec.own = spec.kind == NN_NEXT_BCE;
    spec.negatives = spec.kind == NN_NEXT_SOFTMAX ? 0 : (size_t)forage_params_integer(state->params, "negatives");
    return spec;
}

/* Draws of a step. */
static size_t draw_count(const nn_next_spec *spec)
{
    return spec->own ? spec->negatives * spec->positions : spec->negatives;
}

/* One of each thread where groups go forward and backward in one go, else of each group. */
static size_t count_tapes(const nn_next_spec *spec)
{
    return spec->own && spec->threads < GROUPS ? (size_t)spec->threads : GROUPS;
}

/* Rows of the table that a step can look at. */
static size_t most_rows(const nn_next_spec *spec)
{
    size_t most = 2 * spec->positions + draw_count(spec);
    return most < spec->items ? most : spec->items;
}

double sasrec_trainer_memory(const model_state *state, size_t sequences, size_t tokens)
{
    nn_next_spec spec = loss_spec(state, tokens);
    double row = (double)state->pitch * 4;
    double dense = (double)state->encoder->value_count + (double)(state->length * state->pitch);
    size_t room = group_room(tokens, state->length);
    return 3 * (double)state->items * row + (GROUPS + 3) * dense * 4 + 3 * (double)tokens * row +
           (double)count_tapes(&spec) * nn_tape_memory(state->encoder, room) + GROUPS * 4 * (double)sequences +
           nn_next_memory(&spec) + 4 * (double)draw_count(&spec) + 12 * (double)tokens +
           (spec.kind == NN_NEXT_SOFTMAX ? 0 : sasrec_rows_memory(state->items, most_rows(&spec), tokens));
}

void sasrec_trainer_free(sasrec_trainer *trainer)
{
    if (!trainer)
        return;
    nn_next_free(trainer->loss);
    forage_free(trainer->mean);
    forage_free(trainer->square);
    forage_free(trainer->gradient);
    forage_free(trainer->dense);
    forage_free(trainer->sums);
    forage_free(trainer->x);
    forage_free(trainer->h);
    forage_free(trainer->d_h);
    forage_free(trainer->inputs);
    forage_free(trainer->targets);
    forage_free(trainer->places);
    forage_free(trainer->drawn);
    sasrec_rows_release(&trainer->rows);
    forage_free(trainer->norms);
    for (size_t g = 0; trainer->groups && g < GROUPS; g++) {
        forage_free(trainer->groups[g].starts);
    }
    for (size_t t = 0; trainer->tapes && t < GROUPS; t++)
        nn_tape_free(trainer->tapes[t]);
    forage_free((void *)trainer->tapes);
    forage_free(trainer->groups);
    forage_free(trainer);
}

static size_t table_chunks(const sasrec_trainer *trainer)
{
    return (trainer->state->items + SASREC_ROWS - 1) / SASREC_ROWS;
}

static size_t encoder_chunks(const sasrec_trainer *trainer)
{
    return (trainer->state->encoder->value_count + PIECE - 1) / PIECE;
}

static size_t dense_chunks(const sasrec_trainer *trainer)
{
    return (trainer->dense_count + PIECE - 1) / PIECE;
}

static bool allocate(sasrec_trainer *trainer, const nn_next_spec *spec)
{
    size_t row = trainer->state->pitch * sizeof(float), tokens = trainer->tokens;
    trainer->mean = forage_calloc(trainer->table_count + trainer->dense_count, sizeof(float));
    trainer->square = forage_calloc(trainer->table_count + trainer->dense_count, sizeof(float));
    trainer->gradient = forage_calloc(trainer->table_count, sizeof(float));
    trainer->dense = forage_calloc(trainer->dense_count, sizeof(float));
    trainer->sums = forage_calloc(GROUPS * trainer->dense_count, sizeof(float));
    trainer->x = forage_calloc(tokens, row);
    trainer->h = forage_calloc(tokens, row);
    trainer->d_h = forage_calloc(tokens, row);
    trainer->inputs = forage_alloc(tokens, sizeof *trainer->inputs);
    trainer->targets = forage_alloc(tokens, sizeof *trainer->targets);
    trainer->places = forage_alloc(tokens, sizeof *trainer->places);
    trainer->drawn = forage_alloc(draw_count(spec) + 1, sizeof *trainer->drawn);
    trainer->norms = forage_calloc(table_chunks(trainer) + dense_chunks(trainer), sizeof *trainer->norms);
    return trainer->mean && trainer->square && trainer->gradient && trainer->dense && trainer->sums && trainer->x &&
           trainer->h && trainer->d_h && trainer->inputs && trainer->targets && trainer->places && trainer->drawn &&
           trainer->norms &&
           (trainer->rows.all || sasrec_rows_create(&trainer->rows, trainer->state->items, most_rows(spec), tokens));
}

static forage_status create_groups(sasrec_trainer *trainer, size_t tapes, forage_error *error)
{
    size_t room = trainer->group_tokens, sequences = trainer->sequences < room ? trainer->sequences : room;
    trainer->groups = forage_calloc(GROUPS, sizeof *trainer->groups);
    trainer->tapes = forage_calloc(GROUPS, sizeof *trainer->tapes);
    if (!trainer->groups || !trainer->tapes)
        return sasrec_out_of_memory(trainer->state, error);
    for (size_t g = 0; g < GROUPS; g++) {
        sasrec_group *group = &trainer->groups[g];
        group->starts = forage_alloc(sequences + 1, sizeof *group->starts);
        if (!group->starts)
            return sasrec_out_of_memory(trainer->state, error);
    }
    for (size_t t = 0; t < tapes; t++)
        FORAGE_TRY(nn_tape_create(trainer->state->encoder, room, sequences, &trainer->tapes[t], error));
    return FORAGE_OK;
}

forage_status sasrec_trainer_create(model_state *state, size_t sequences, size_t tokens, double dropout,
                                    const sasrec_negatives *source, sasrec_trainer **trainer, forage_error *error)
{
    const forage_params *values = state->params;
    nn_next_spec spec = loss_spec(state, tokens);
    sasrec_trainer *made = forage_calloc(1, sizeof *made);
    forage_status status;
    *trainer = NULL;
    if (!made)
        return sasrec_out_of_memory(state, error);
    *made = (sasrec_trainer){
        .state = state,
        .kernels = nn_kernels_for(state->device->isa),
        .sequences = sequences,
        .tokens = tokens,
        .group_tokens = group_room(tokens, state->length),
        .kind = spec.kind,
        .negatives = spec.negatives,
        .own_negatives = spec.own,
        .source = source,
        .rows.all = spec.kind == NN_NEXT_SOFTMAX,
        .rows.put_off = strcmp(forage_params_text(values, "embedding-updates"), "lazy") != 0,
        .decoupled = strcmp(forage_params_text(values, "decay"), "decoupled") == 0,
        .decay = forage_params_real(values, "weight-decay"),
        .table_decay = forage_params_real(values, "embedding-decay"),
        .clip = forage_params_real(values, "clip"),
        .beta1 = forage_params_real(values, "beta1"),
        .beta2 = forage_params_real(values, "beta2"),
        .dropout = (float)dropout,
        .table_count = state->items * state->pitch,
        .dense_count = state->encoder->value_count + state->length * state->pitch,
    };
    made->threshold = (uint32_t)(dropout * 4294967296.0);
    made->adam = (nn_adam_step){.beta1 = (float)made->beta1,
                                .beta2 = (float)made->beta2,
                                .epsilon = (float)forage_params_real(values, "epsilon"),
                                .shrink = 1};
    forage_rng rng;
    forage_rng_seed_stream(&rng, state->seed, SASREC_STREAM_DROPOUT);
    made->seed = forage_rng_u64(&rng);
    if (!allocate(made, &spec)) {
        status = sasrec_out_of_memory(state, error);
        goto fail;
    }
    FORAGE_TRY_GOTO(create_groups(made, count_tapes(&spec), error), fail);
    FORAGE_TRY_GOTO(nn_next_create(&spec, &made->loss, error), fail);
    *trainer = made;
    return FORAGE_OK;
fail:
    sasrec_trainer_free(made);
    return status;
}

double sasrec_trainer_guess(const sasrec_trainer *trainer)
{
    bool binary = trainer->kind == NN_NEXT_BCE || trainer->kind == NN_NEXT_GBCE;
    return log(binary ? 2 : (double)trainer->state->items + 1);
}

/* ---- the batch ---- */

/* Lays the parts one behind the other, and shares them out among the groups. */
static void lay_out(sasrec_trainer *trainer, const sasrec_part *const *parts, size_t count)
{
    size_t total = 0, at = 0;
    for (size_t p = 0; p < count; p++)
        total += parts[p]->count;
    trainer->count = total;
    trainer->group_count = count_groups(total);
    for (size_t g = 0; g < trainer->group_count; g++)
        trainer->groups[g].sequences = trainer->groups[g].tokens = 0;
    for (size_t p = 0; p < count; p++) {
        const sasrec_part *part = parts[p];
        sasrec_group *group = &trainer->groups[at * trainer->group_count / total];
        if (group->sequences == 0)
            group->first = at;
        group->starts[group->sequences++] = (uint32_t)group->tokens;
        group->tokens += part->count;
        group->starts[group->sequences] = (uint32_t)group->tokens;
        memcpy(trainer->inputs + at, part->items, part->count * sizeof *part->items);
        memcpy(trainer->targets + at, part->items + 1, part->count * sizeof *part->items);
        for (uint32_t i = 0; i < part->count; i++)
            trainer->places[at + i] = i;
        at += part->count;
    }
}

static bool owns(const sasrec_part *part, uint32_t item)
{
    size_t low = 0, high = part->owned_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (part->owned[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < part->owned_count && part->owned[low] == item;
}

static uint32_t draw(const sasrec_negatives *source, forage_rng *rng)
{
    size_t i = forage_rng_integers(rng, source->count);
    if (source->chance && forage_rng_double(rng) >= (double)source->chance[i])
        i = source->alias[i];
    return source->items[i];
}

/* Negatives of the step: one list for all positions, or for each some that its user has not met. */
static void draw_negatives(sasrec_trainer *trainer, const sasrec_part *const *parts, size_t count)
{
    forage_rng rng;
    uint32_t *to = trainer->drawn;
    if (!trainer->negatives)
        return;
    forage_rng_seed_stream(&rng, trainer->seed + trainer->steps, SASREC_STREAM_NEGATIVES);
    for (size_t i = 0; !trainer->own_negatives && i < trainer->negatives; i++)
        *to++ = draw(trainer->source, &rng);
    for (size_t p = 0; trainer->own_negatives && p < count; p++) {
        for (size_t i = 0; i < parts[p]->count * trainer->negatives; i++) {
            size_t tries = 0;
            do {
                *to = draw(trainer->source, &rng);
            } while (owns(parts[p], *to) && ++tries < TRIES);
            to++;
        }
    }
}

/* ---- forward and backward ---- */

/* The seed of the dropout of a group's inputs. */
static uint32_t input_key(const sasrec_trainer *trainer, size_t group)
{
    uint64_t mixed = (trainer->key + group) * 0x9e3779b97f4a7c15U;
    return (uint32_t)(mixed >> 32);
}

static void drop_inputs(const sasrec_trainer *trainer, size_t group, float *x)
{
    if (trainer->threshold)
        trainer->kernels->dropout(trainer->groups[group].tokens, trainer->state->pitch, trainer->threshold,
                                  1 / (1 - trainer->dropout), input_key(trainer, group), x);
}

static void forward(const sasrec_trainer *trainer, size_t g, nn_tape *tape)
{
    const model_state *state = trainer->state;
    const sasrec_group *group = &trainer->groups[g];
    const nn_pack pack = {group->sequences, group->starts};
    size_t at = group->first * state->pitch;
    for (size_t s = 0; s < group->sequences; s++)
        sasrec_embed(state, trainer->inputs + group->first + group->starts[s], 0,
                     group->starts[s + 1] - group->starts[s], trainer->x + at + group->starts[s] * state->pitch);
    drop_inputs(trainer, g, trainer->x + at);
    nn_encoder_forward(state->encoder, &pack, trainer->dropout, trainer->key, group->first, tape, trainer->x + at,
                       trainer->h + at);
}

/* Leaves the gradient of the inputs, times the items' scale, in `x`. */
static void backward(const sasrec_trainer *trainer, size_t g, nn_tape *tape)
{
    const model_state *state = trainer->state;
    const sasrec_group *group = &trainer->groups[g];
    size_t at = group->first * state->pitch, weights = state->encoder->value_count;
    float *sum = trainer->sums + g * trainer->dense_count, *dx = trainer->x + at;
    memset(sum, 0, trainer->dense_count * sizeof *sum);
    nn_encoder_backward(state->encoder, tape, trainer->d_h + at, dx, sum);
    drop_inputs(trainer, g, dx);
    trainer->kernels->scatter(group->tokens, trainer->places + group->first, 0, (uint32_t)state->length, state->pitch,
                              state->pitch, dx, sum + weights);
    trainer->kernels->scale(group->tokens * state->pitch, state->scale, dx);
}

static void forward_group(void *context, size_t g, int worker)
{
    const sasrec_trainer *trainer = context;
    (void)worker;
    if (trainer->groups[g].sequences)
        forward(trainer, g, trainer->tapes[g]);
}

static void backward_group(void *context, size_t g, int worker)
{
    const sasrec_trainer *trainer = context;
    (void)worker;
    if (trainer->groups[g].sequences)
        backward(trainer, g, trainer->tapes[g]);
}

/* Both, and the loss of its positions in between. */
static void do_group(void *context, size_t g, int worker)
{
    const sasrec_trainer *trainer = context;
    const sasrec_group *group = &trainer->groups[g];
    if (group->sequences == 0)
        return;
    forward(trainer, g, trainer->tapes[worker]);
    nn_next_positions(trainer->loss, group->first, group->tokens);
    backward(trainer, g, trainer->tapes[worker]);
}

/* The mean loss of the step, and all gradients but for what the inputs leave to the table. */
static double learn(sasrec_trainer *trainer)
{
    int threads = trainer->state->device->threads;
    const nn_next_negatives negatives = {trainer->negatives, trainer->drawn,
                                         trainer->source ? trainer->source->log_q : NULL};
    if (trainer->own_negatives) {
        nn_next_begin(trainer->loss, trainer->count, trainer->h, trainer->targets, &negatives, trainer->state->table,
                      trainer->d_h, trainer->gradient);
        forage_parallel_for(threads < GROUPS ? threads : GROUPS, trainer->group_count, do_group, trainer);
        return nn_next_end(trainer->loss);
    }
    forage_parallel_for(threads, trainer->group_count, forward_group, trainer);
    double loss =
        nn_next_run(trainer->loss, trainer->count, trainer->h, trainer->targets, trainer->negatives ? &negatives : NULL,
                    trainer->state->table, trainer->d_h, trainer->gradient);
    if (isfinite(loss))
        forage_parallel_for(threads, trainer->group_count, backward_group, trainer);
    return loss;
}

/* ---- gradients ---- */

static void add_squares(const float *numbers, size_t count, double sums[NN_LANES])
{
    for (size_t i = 0; i < count; i += NN_LANES) {
        for (size_t l = 0; l < NN_LANES; l++)
            sums[l] += (double)numbers[i + l] * (double)numbers[i + l];
    }
}

static double sum_of(const double sums[NN_LANES])
{
    double sum = sums[0];
    for (size_t l = 1; l < NN_LANES; l++)
        sum += sums[l];
    return sum;
}

/* What inputs leave to the rows of a chunk; the squares of their gradient, where they are asked for. */
static void gather_rows(const sasrec_trainer *trainer, size_t chunk)
{
    const sasrec_rows *rows = &trainer->rows;
    size_t pitch = trainer->state->pitch, begin, end;
    double sums[NN_LANES] = {0};
    sasrec_rows_chunk(trainer, chunk, &begin, &end);
    for (size_t r = begin; r < end; r++) {
        float *gradient = trainer->gradient + rows->list[r] * pitch;
        trainer->kernels->add_chain(rows->first[r], rows->next, pitch, pitch, trainer->x, gradient);
        if (trainer->clip > 0)
            add_squares(gradient, pitch, sums);
    }
    trainer->norms[chunk] = sum_of(sums);
}

/* A chunk of the table's gradient, or of the others'. */
static void gather_chunk(void *context, size_t chunk, int worker)
{
    const sasrec_trainer *trainer = context;
    const model_state *state = trainer->state;
    size_t tables = table_chunks(trainer), pitch = state->pitch, first, count;
    double sums[NN_LANES] = {0};
    float *gradient;
    (void)worker;
    if (chunk < tables && !trainer->rows.all) {
        gather_rows(trainer, chunk);
        return;
    }
    if (chunk < tables) {
        first = chunk * SASREC_ROWS;
        count = state->items - first < SASREC_ROWS ? state->items - first : SASREC_ROWS;
        gradient = trainer->gradient + first * pitch;
        trainer->kernels->scatter(trainer->count, trainer->inputs, (uint32_t)first, (uint32_t)count, pitch, pitch,
                                  trainer->x, gradient);
        count *= pitch;
    } else {
        first = (chunk - tables) * PIECE;
        count = trainer->dense_count - first < PIECE ? trainer->dense_count - first : PIECE;
        gradient = trainer->dense + first;
        memset(gradient, 0, count * sizeof *gradient);
        for (size_t g = 0; g < trainer->group_count; g++) {
            if (trainer->groups[g].sequences)
                trainer->kernels->add(count, trainer->sums + g * trainer->dense_count + first, gradient);
        }
    }
    if (trainer->clip > 0)
        add_squares(gradient, count, sums);
    trainer->norms[chunk] = sum_of(sums);
}

/* No gradient in the table. */
static void forget_gradient(const sasrec_trainer *trainer)
{
    size_t pitch = trainer->state->pitch;
    if (trainer->rows.all)
        memset(trainer->gradient, 0, trainer->table_count * sizeof *trainer->gradient);
    for (size_t r = 0; r < trainer->rows.count; r++)
        memset(trainer->gradient + trainer->rows.list[r] * pitch, 0, pitch * sizeof *trainer->gradient);
}

double sasrec_trainer_gradient(sasrec_trainer *trainer, const sasrec_part *const *parts, size_t count)
{
    trainer->key = trainer->seed + trainer->steps * 0xd1342543de82ef95U;
    lay_out(trainer, parts, count);
    draw_negatives(trainer, parts, count);
    sasrec_rows_look(trainer);
    double loss = learn(trainer);
    if (isfinite(loss))
        forage_parallel_for(trainer->state->device->threads, table_chunks(trainer) + dense_chunks(trainer),
                            gather_chunk, trainer);
    else
        forget_gradient(trainer);
    return loss;
}

/* ---- the update ---- */

/* Numbers [first, first + count) of all that Adam knows. */
static void update(const sasrec_trainer *trainer, const nn_adam_step *step, size_t first, size_t count, float *gradient,
                   float *weights)
{
    if (trainer->shrink < 1)
        trainer->kernels->scale(count, trainer->shrink, gradient);
    trainer->kernels->adam(count, step, gradient, NULL, weights, trainer->mean + first, trainer->square + first);
}

/* Rows [first, first + count) of the table, and their gradient goes back to 0. */
static void update_rows(const sasrec_trainer *trainer, size_t first, size_t count)
{
    size_t at = first * trainer->state->pitch, numbers = count * trainer->state->pitch;
    update(trainer, &trainer->table_step, at, numbers, trainer->gradient + at, trainer->state->table + at);
    memset(trainer->gradient + at, 0, numbers * sizeof *trainer->gradient);
}

static void update_table(const sasrec_trainer *trainer, size_t chunk)
{
    size_t begin, end, last = (chunk + 1) * SASREC_ROWS, items = trainer->state->items;
    if (!trainer->rows.all) {
        sasrec_rows_chunk(trainer, chunk, &begin, &end);
        for (size_t r = begin; r < end; r++) {
            if (r + AHEAD < end)
                sasrec_rows_fetch(trainer, trainer->rows.list[r + AHEAD]);
            update_rows(trainer, trainer->rows.list[r], 1);
        }
        return;
    }
    last = last < items ? last : items;
    for (size_t row = chunk * SASREC_ROWS; row < last; row += BLOCK_ROWS)
        update_rows(trainer, row, last - row < BLOCK_ROWS ? last - row : BLOCK_ROWS);
}

static void update_chunk(void *context, size_t chunk, int worker)
{
    const sasrec_trainer *trainer = context;
    const model_state *state = trainer->state;
    size_t tables = table_chunks(trainer), encoder = encoder_chunks(trainer), weights = state->encoder->value_count;
    (void)worker;
    if (chunk < tables) {
        update_table(trainer, chunk);
    } else if (chunk < tables + encoder) {
        size_t first = (chunk - tables) * PIECE, count = weights - first < PIECE ? weights - first : PIECE;
        update(trainer, &trainer->dense_step, trainer->table_count + first, count, trainer->dense + first,
               state->encoder->values + first);
    } else {
        update(trainer, &trainer->table_step, trainer->table_count + weights, state->length * state->pitch,
               trainer->dense + weights, state->positions);
    }
}

static nn_adam_step with_decay(const sasrec_trainer *trainer, double decay, double rate)
{
    nn_adam_step step = trainer->adam;
    if (trainer->decoupled)
        step.shrink = (float)(1 - rate * decay);
    else
        step.l2 = (float)decay;
    return step;
}

double sasrec_trainer_step(sasrec_trainer *trainer, const sasrec_part *const *parts, size_t count, double rate)
{
    model_state *state = trainer->state;
    double loss = sasrec_trainer_gradient(trainer, parts, count);
    if (!isfinite(loss))
        return loss;
    double t = (double)++trainer->steps;
    trainer->adam.rate = (float)(rate / (1 - pow(trainer->beta1, t)));
    trainer->adam.root = (float)(1 / sqrt(1 - pow(trainer->beta2, t)));
    trainer->table_step = with_decay(trainer, trainer->table_decay, rate);
    trainer->dense_step = with_decay(trainer, trainer->decay, rate);
    trainer->shrink = 1;
    if (trainer->clip > 0) {
        double norm = 0;
        for (size_t c = 0; c < table_chunks(trainer) + dense_chunks(trainer); c++)
            norm += trainer->norms[c];
        norm = sqrt(norm);
        trainer->shrink = norm > trainer->clip ? (float)(trainer->clip / (norm + 1e-6)) : 1; /* as PyTorch has it */
    }
    forage_parallel_for(state->device->threads, table_chunks(trainer) + encoder_chunks(trainer) + 1, update_chunk,
                        trainer);
    sasrec_rows_moved(trainer, &trainer->table_step);
    nn_encoder_refresh(state->encoder);
    return loss;
}
