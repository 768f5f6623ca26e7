/*
 * target_train.c: the last tokens of sequences in an encoder of one block, in training (target.h).
 *
 * A sequence has one query q, so neither keys nor values are computed. Per head, with W_k and W_v its rows of these
 * matrices, x_j the tokens and p' what dropout left of the probabilities p:
 *
 *   asked = W_k' q,  p = softmax of <x_j, asked> / sqrt(head's width)      what b_k adds is the same for all tokens
 *   mixed = sum of p'_j x_j,  attended = W_v mixed + (sum of p'_j) b_v
 *
 * and back, for d the gradient of `attended`:
 *
 *   d_mixed = W_v' d,  dp'_j = <x_j, d_mixed> + <d, b_v>,  ds = p (dp - <p, dp>) / sqrt(head's width)
 *   d_asked = sum of ds_j x_j,  dq = W_k d_asked,  dx_j += p'_j d_mixed + ds_j asked
 *   dW_v += d mixed',  dW_k += q d_asked',  db_v += (sum of p'_j) d,  db_k = 0
 *
 * So a token takes 6 products of its width in each head, instead of 6 of its width for each number of itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/target.h"

#include <math.h>
#include <string.h>

#include "nn/encoder_parts.h"

enum {
    ROWS = NN_ENCODER_ROWS, /* sequences that go through a product together: or 48, 32, 16 */
    KINDS = NN_ENCODER_ROW_KINDS,
};

/* The places of dropout; head h is AT_HEADS + h. */
enum { AT_ATTEND, AT_INNER, AT_FEED, AT_HEADS };

/* Products with rows of a matrix W [out][in] of the encoder. */
typedef struct product {
    la_gemm forward[KINDS]; /* y = x W' */
    la_gemm back[KINDS];    /* dx = dy W */
    la_gemm weight[KINDS];  /* dW += dy' x */
} product;

/* In the comments H is the number of heads; [H][s] are rows of x's width for each. */
struct nn_target_tape {
    size_t tokens, sequences; /* room */
    product query, out, up, down;
    product head;        /* of one head's rows of W_k or W_v, [head's width][s] */
    la_gemm mix, spread; /* of one sequence: its shape depends on the tokens */
    float *in;           /* [sequences][s] targets */
    float *q;            /* [sequences][s] */
    float *chances;      /* per sequence [2 H][nn_padded(tokens)]: p, marked where dropped, then room for ds */
    float *pairs;        /* [sequences][2 H][s]: d_mixed, and asked */
    float *mixed;        /* [sequences][H][s] */
    float *sums;         /* [sequences][H] of p' */
    float *attended;     /* [sequences][s] */
    float *mid;          /* [sequences][s] what W_1 is applied to */
    float *hidden;       /* [sequences][f] what W_2 is applied to */
    float *xhat[2];      /* [sequences][s] */
    float *scale[2];     /* [sequences] */
    float *d;            /* [sequences][s] gradient of what runs through the block */
    float *d_heads;      /* [sequences][s] gradient of `attended` */
    float *dq;           /* [sequences][s] */
    float *d_asked;      /* [sequences][H][s] */
    float *narrow;       /* [ROWS][s] */
    float *wide;         /* [ROWS][f] */
    float *memory;
    uint32_t *starts, *keys;

    /* The group that went forward. */
    const float *x;
    size_t count;
    float dropout;
    uint64_t key, first;
};

/* ---- construction ------------------------------------------------------------ */

/* W [out][in], whose rows and those of its transposed copy lie `in` and `pitch` apart; those of what it is applied to
 * and of what comes out lie from_pitch and to_pitch apart. */
static void prepare(const nn_encoder *encoder, size_t out, size_t in, size_t pitch, size_t from_pitch, size_t to_pitch,
                    product *made)
{
    la_engine best = la_engine_best(encoder->isa);
    la_shape forward = {.transpose = LA_NN, .n = out, .k = in, .lda = from_pitch, .ldb = pitch, .ldc = to_pitch};
    la_shape back = {.transpose = LA_NN, .n = in, .k = out, .lda = to_pitch, .ldb = in, .ldc = from_pitch};
    la_shape weight = {
        .transpose = LA_TN, .m = out, .n = in, .lda = to_pitch, .ldb = from_pitch, .ldc = in, .accumulate = true};
    for (size_t kind = 0; kind < KINDS; kind++) {
        forward.m = back.m = weight.k = ROWS - NN_LANES * kind;
        la_gemm_init(&made->forward[kind], best, &forward);
        la_gemm_init(&made->back[kind], best, &back);
        la_gemm_init(&made->weight[kind], best, &weight);
    }
}

static void prepare_all(const nn_encoder *encoder, nn_target_tape *tape)
{
    size_t s = encoder->stride, f = encoder->inner_stride, heads = encoder->spec.heads;
    la_engine steady = la_engine_steady(encoder->isa);
    prepare(encoder, s, s, 3 * s, s, s, &tape->query);
    prepare(encoder, s, s, s, s, s, &tape->out);
    prepare(encoder, f, s, f, s, f, &tape->up);
    prepare(encoder, s, f, s, f, s, &tape->down);
    prepare(encoder, encoder->spec.width / heads, s, 3 * s, heads * s, s, &tape->head);
    la_engine best = la_engine_best(encoder->isa);
    for (size_t kind = 0; kind < KINDS; kind++) { /* what comes out goes to `pairs` */
        la_shape back = tape->head.back[kind].shape;
        back.ldc = 2 * heads * s;
        la_gemm_init(&tape->head.back[kind], best, &back);
    }
    la_gemm_init(&tape->mix, steady, &(la_shape){.m = heads, .n = s, .k = 1, .lda = NN_LANES, .ldb = s, .ldc = s});
    la_gemm_init(&tape->spread, steady,
                 &(la_shape){.transpose = LA_TN, .m = 1, .n = s, .k = 2 * heads, .lda = NN_LANES, .ldb = s, .ldc = s});
}

/* Lays a tape out in `memory` (NULL: only counts); returns floats. */
static double lay_out(const nn_encoder *encoder, size_t tokens, size_t sequences, float *memory, nn_target_tape *made)
{
    size_t s = encoder->stride, f = encoder->inner_stride, heads = encoder->spec.heads;
    size_t t = nn_padded(tokens), n = nn_padded(sequences);
    const struct {
        float **to;
        size_t rows, columns;
    } parts[] = {
        {&made->in, n, s},
        {&made->q, n, s},
        {&made->chances, t + NN_LANES * n, 2 * heads},
        {&made->pairs, n, 2 * heads * s},
        {&made->mixed, n, heads * s},
        {&made->sums, n, heads},
        {&made->attended, n, s},
        {&made->mid, n, s},
        {&made->hidden, n, f},
        {&made->xhat[0], n, s},
        {&made->xhat[1], n, s},
        {&made->scale[0], n, 1},
        {&made->scale[1], n, 1},
        {&made->d, n, s},
        {&made->d_heads, n, s},
        {&made->dq, n, s},
        {&made->d_asked, n, heads * s},
        {&made->narrow, ROWS, s},
        {&made->wide, ROWS, f},
    };
    double at = 0.0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].to = memory ? memory + (size_t)at : NULL;
        at += (double)parts[i].rows * (double)parts[i].columns;
    }
    return at;
}

double nn_target_tape_memory(const nn_encoder *encoder, size_t tokens, size_t sequences)
{
    nn_target_tape unused;
    return 4.0 * lay_out(encoder, tokens, sequences, NULL, &unused);
}

forage_status nn_target_tape_create(const nn_encoder *encoder, size_t tokens, size_t sequences, nn_target_tape **tape,
                                    forage_error *error)
{
    double bytes = nn_target_tape_memory(encoder, tokens, sequences);
    size_t keys = encoder->spec.heads > ROWS ? encoder->spec.heads : ROWS;
    *tape = NULL;
    nn_target_tape *made = forage_calloc(1, sizeof *made);
    if (made && tokens < UINT32_MAX - NN_LANES && bytes < (double)(SIZE_MAX / 4)) {
        made->memory = forage_calloc((size_t)(bytes / 4.0), sizeof *made->memory);
        made->starts = forage_calloc(sequences + 1, sizeof *made->starts);
        made->keys = forage_calloc(keys, sizeof *made->keys);
    }
    if (!made || !made->memory || !made->starts || !made->keys) {
        nn_target_tape_free(made);
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for training on %zu tokens at a time", tokens);
    }
    made->tokens = tokens;
    made->sequences = sequences;
    (void)lay_out(encoder, tokens, sequences, made->memory, made);
    prepare_all(encoder, made);
    *tape = made;
    return FORAGE_OK;
}

void nn_target_tape_free(nn_target_tape *tape)
{
    if (!tape)
        return;
    forage_free(tape->memory);
    forage_free(tape->starts);
    forage_free(tape->keys);
    forage_free(tape);
}

/* ---- rows and dropout -------------------------------------------------------- */

/* How many of `left` rows go together, and by which of the kinds of products: rows beyond `left` are padding. */
static size_t next_rows(size_t left, size_t *kind)
{
    size_t rows = left < ROWS ? nn_padded(left) : ROWS;
    *kind = (ROWS - rows) / NN_LANES;
    return rows;
}

/* splitmix64's finaliser. */
static uint64_t mixed_bits(uint64_t hash)
{
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
    return hash ^ (hash >> 31);
}

static uint32_t drop_key(const nn_target_tape *tape, size_t place, size_t sequence)
{
    uint64_t key = mixed_bits(tape->key + 0x9e3779b97f4a7c15U * (place + 1));
    return (uint32_t)(mixed_bits(key + 0x9e3779b97f4a7c15U * (tape->first + sequence)) >> 32);
}

static nn_drop drop_of(const nn_target_tape *tape)
{
    return (nn_drop){.keys = tape->keys,
                     .threshold = (uint32_t)((double)tape->dropout * 4294967296.0),
                     .scale = (float)(1.0 / (1.0 - (double)tape->dropout))};
}

/* What drops at one place in sequences [first, first + count), NULL if nothing does. `drop` is filled in. */
static const nn_drop *dropping(nn_target_tape *tape, size_t place, size_t first, size_t count, nn_drop *drop)
{
    if (tape->dropout <= 0)
        return NULL;
    for (size_t i = 0; i < count; i++)
        tape->keys[i] = drop_key(tape, place, first + i);
    *drop = drop_of(tape);
    return drop;
}

static void norm(const nn_encoder *encoder, size_t n, size_t rows, const float *x, float *xhat, float *scale, float *y)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    encoder->kernels->norm(rows, encoder->spec.width, encoder->stride, (float)encoder->spec.epsilon,
                           encoder->values + block->gain[n], encoder->values + block->shift[n], x, xhat, scale, y);
}

/* ---- one sequence ------------------------------------------------------------- */

/* A sequence, and where its heads' rows lie. */
typedef struct view {
    size_t index, tokens, pitch; /* pitch: of rows of chances */
    const float *x;
    float *chances, *slopes; /* [H][pitch]: p, and room: in the end ds */
    float *d_mixed, *asked;  /* [H][s] */
} view;

/* Sequence i, whose chances begin at `*chances`, which moves on to the next one's. */
static view view_of(const nn_encoder *encoder, nn_target_tape *tape, size_t i, float **chances)
{
    size_t s = encoder->stride, heads = encoder->spec.heads, first = tape->starts[i];
    size_t tokens = tape->starts[i + 1] - first, pitch = nn_padded(tokens);
    float *pairs = tape->pairs + i * 2 * heads * s;
    view made = {i, tokens, pitch, tape->x + first * s, *chances, *chances + heads * pitch, pairs, pairs + heads * s};
    *chances += 2 * heads * pitch;
    return made;
}

/* out [H][s] = for each head the sum of its chances times the tokens. */
static void mix(const nn_target_tape *tape, const view *of, const float *chances, float *out)
{
    la_gemm gemm = tape->mix;
    gemm.shape.k = of->tokens;
    gemm.shape.lda = of->pitch;
    la_gemm_run(&gemm, chances, of->x, out);
}

/* out [H][pitch] = <token, row> for each head's row [s]. */
static void score(const nn_encoder *encoder, const view *of, const float *rows, float *out)
{
    size_t s = encoder->stride;
    for (size_t head = 0; head < encoder->spec.heads; head++, out += of->pitch) {
        la_dots(encoder->isa, of->x, s, of->tokens, s, rows + head * s, out);
        memset(out + of->tokens, 0, (of->pitch - of->tokens) * sizeof *out);
    }
}

static float root(const nn_encoder *encoder)
{
    return (float)(1 / sqrt((double)encoder->spec.width / (double)encoder->spec.heads));
}

static void attend(const nn_encoder *encoder, nn_target_tape *tape, const view *of)
{
    size_t heads = encoder->spec.heads;
    float *sums = tape->sums + of->index * heads;
    const float *kept = of->chances;
    score(encoder, of, of->asked, of->chances);
    encoder->kernels->softmax(heads, of->tokens, 0, of->pitch, root(encoder), of->chances);
    if (tape->dropout > 0) {
        nn_drop drop = drop_of(tape);
        for (size_t head = 0; head < heads; head++)
            tape->keys[head] = drop_key(tape, AT_HEADS + head, of->index);
        encoder->kernels->drop_marked(heads, of->pitch, &drop, of->chances, of->slopes);
        kept = of->slopes;
    }
    for (size_t head = 0; head < heads; head++) {
        sums[head] = tape->dropout > 0 ? 0.0F : 1.0F;
        for (size_t j = 0; tape->dropout > 0 && j < of->tokens; j++)
            sums[head] += kept[head * of->pitch + j];
    }
    mix(tape, of, kept, tape->mixed + of->index * heads * encoder->stride);
}

/* To d_asked, and d_x of the sequence's tokens. */
static void attend_back(const nn_encoder *encoder, nn_target_tape *tape, const view *of, float *d_x)
{
    size_t s = encoder->stride, heads = encoder->spec.heads, width = encoder->spec.width / heads;
    const float *bias = encoder->values + encoder->blocks[0].in_bias + 2 * s, *d = tape->d_heads + of->index * s;
    score(encoder, of, of->d_mixed, of->slopes);
    for (size_t head = 0; tape->dropout > 0 && head < heads; head++) { /* else it is the same for all, and no matter */
        float add = 0.0F;
        for (size_t c = head * width; c < (head + 1) * width; c++)
            add += d[c] * bias[c];
        for (size_t j = 0; j < of->tokens; j++)
            of->slopes[head * of->pitch + j] += add;
    }
    encoder->kernels->softmax_back(heads, of->pitch, root(encoder), (float)(1.0 / (1.0 - (double)tape->dropout)),
                                   of->chances, of->slopes);
    mix(tape, of, of->slopes, tape->d_asked + of->index * heads * s);
    la_gemm gemm = tape->spread; /* of p' and ds, one behind the other, with d_mixed and asked */
    gemm.shape.m = of->tokens;
    gemm.shape.lda = of->pitch;
    la_gemm_run(&gemm, of->chances, of->d_mixed, d_x);
}

/* ---- forward ----------------------------------------------------------------- */

/* Targets to queries, and to what these ask of tokens. */
static void enter(const nn_encoder *encoder, nn_target_tape *tape)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    const float *bias = encoder->values + block->in_bias, *keys = encoder->values + block->in_weight;
    size_t s = encoder->stride, heads = encoder->spec.heads, width = encoder->spec.width / heads, kind, rows;
    for (size_t i = 0; i < tape->count; i++)
        memcpy(tape->in + i * s, tape->x + (tape->starts[i + 1] - 1) * s, s * sizeof *tape->in);
    memset(tape->in + tape->count * s, 0, (nn_padded(tape->count) - tape->count) * s * sizeof *tape->in);
    for (size_t first = 0; first < tape->count; first += rows) {
        rows = next_rows(tape->count - first, &kind);
        float *q = tape->q + first * s;
        la_gemm_run(&tape->query.forward[kind], tape->in + first * s, block->in_t, q);
        encoder->kernels->bias(rows, s, bias, q);
        for (size_t head = 0; head < heads; head++)
            la_gemm_run(&tape->head.back[kind], q + head * width, keys + (s + head * width) * s,
                        tape->pairs + (first * 2 * heads + heads + head) * s);
    }
}

/* What was mixed of the tokens to what attention gives. */
static void give(const nn_encoder *encoder, nn_target_tape *tape, size_t first)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    const float *bias = encoder->values + block->in_bias;
    size_t s = encoder->stride, heads = encoder->spec.heads, width = encoder->spec.width / heads, kind;
    size_t rows = next_rows(tape->count - first, &kind);
    for (size_t head = 0; head < heads; head++) {
        float *to = tape->attended + first * s + head * width;
        la_gemm_run(&tape->head.forward[kind], tape->mixed + (first * heads + head) * s,
                    block->in_t + 2 * s + head * width, to);
        for (size_t i = 0; i < rows; i++) {
            float sum = tape->sums[(first + i) * heads + head];
            for (size_t c = 0; c < width; c++)
                to[i * s + c] += sum * bias[2 * s + head * width + c];
        }
    }
}

static void leave(const nn_encoder *encoder, nn_target_tape *tape, size_t first, float *out)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    const nn_kernels *kernels = encoder->kernels;
    const float *values = encoder->values;
    size_t s = encoder->stride, f = encoder->inner_stride, kind, left = tape->count - first;
    size_t rows = next_rows(left, &kind), at = first * s;
    float *hidden = tape->hidden + first * f;
    nn_drop room;
    la_gemm_run(&tape->out.forward[kind], tape->attended + at, block->out_t, tape->narrow);
    kernels->residual(rows, s, values + block->out_bias, dropping(tape, AT_ATTEND, first, rows, &room), tape->narrow,
                      tape->in + at, tape->narrow);
    norm(encoder, 0, rows, tape->narrow, tape->xhat[0] + at, tape->scale[0] + first, tape->mid + at);
    la_gemm_run(&tape->up.forward[kind], tape->mid + at, block->weight1_t, hidden);
    nn_encoder_activate(encoder, rows, values + block->bias1, NULL, hidden);
    const nn_drop *drop = dropping(tape, AT_INNER, first, rows, &room);
    if (drop)
        kernels->drop(rows, f, drop, hidden);
    la_gemm_run(&tape->down.forward[kind], hidden, block->weight2_t, tape->narrow);
    kernels->residual(rows, s, values + block->bias2, dropping(tape, AT_FEED, first, rows, &room), tape->narrow,
                      tape->mid + at, tape->narrow);
    norm(encoder, 1, rows, tape->narrow, tape->xhat[1] + at, tape->scale[1] + first, tape->narrow);
    memcpy(out + at, tape->narrow, (left < rows ? left : rows) * s * sizeof *out);
}

void nn_target_forward(const nn_encoder *encoder, const nn_pack *pack, float dropout, uint64_t key,
                       uint64_t first_sequence, nn_target_tape *tape, const float *x, float *out)
{
    float *chances = tape->chances;
    tape->x = x;
    tape->count = pack->count;
    tape->dropout = dropout;
    tape->key = key;
    tape->first = first_sequence;
    memcpy(tape->starts, pack->starts, (pack->count + 1) * sizeof *tape->starts);
    enter(encoder, tape);
    for (size_t i = 0; i < pack->count; i++) {
        view of = view_of(encoder, tape, i, &chances);
        attend(encoder, tape, &of);
    }
    for (size_t first = 0; first < pack->count; first += ROWS) {
        give(encoder, tape, first);
        leave(encoder, tape, first, out);
    }
}

/* ---- backward ---------------------------------------------------------------- */

/* From the gradient of the outputs to that of `attended`; tape->d becomes that of what attention was added to. */
static void leave_back(const nn_encoder *encoder, nn_target_tape *tape, size_t first, float *gradient)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    const nn_kernels *kernels = encoder->kernels;
    const float *values = encoder->values;
    size_t s = encoder->stride, f = encoder->inner_stride, width = encoder->spec.width, kind;
    size_t rows = next_rows(tape->count - first, &kind), at = first * s;
    float *d = tape->d + at, *hidden = tape->hidden + first * f, *to_bias1 = gradient + block->bias1;
    float kept_scale = (float)(1.0 / (1.0 - (double)tape->dropout));
    nn_drop room;
    kernels->norm_back(rows, width, s, values + block->gain[1], tape->xhat[1] + at, tape->scale[1] + first, d,
                       gradient + block->gain[1], gradient + block->shift[1], NULL);
    kernels->residual_back(rows, s, dropping(tape, AT_FEED, first, rows, &room), d, gradient + block->bias2,
                           tape->narrow);
    la_gemm_run(&tape->down.weight[kind], tape->narrow, hidden, gradient + block->weight2);
    la_gemm_run(&tape->down.back[kind], tape->narrow, values + block->weight2, tape->wide);
    if (encoder->spec.activation == NN_LEAKY_RELU)
        kernels->mask_leaky(rows, f, kept_scale, NN_ENCODER_LEAK, hidden, tape->wide, to_bias1);
    else
        kernels->mask_bias(rows, f, kept_scale, hidden, tape->wide, to_bias1);
    la_gemm_run(&tape->up.weight[kind], tape->wide, tape->mid + at, gradient + block->weight1);
    la_gemm_run(&tape->up.back[kind], tape->wide, values + block->weight1, tape->narrow);
    kernels->add(rows * s, tape->narrow, d);
    kernels->norm_back(rows, width, s, values + block->gain[0], tape->xhat[0] + at, tape->scale[0] + first, d,
                       gradient + block->gain[0], gradient + block->shift[0], NULL);
    kernels->residual_back(rows, s, dropping(tape, AT_ATTEND, first, rows, &room), d, gradient + block->out_bias,
                           tape->narrow);
    la_gemm_run(&tape->out.weight[kind], tape->narrow, tape->attended + at, gradient + block->out_weight);
    la_gemm_run(&tape->out.back[kind], tape->narrow, values + block->out_weight, tape->d_heads + at);
}

/* From the gradient of `attended` to d_mixed, W_v's and its bias's. */
static void give_back(const nn_encoder *encoder, nn_target_tape *tape, size_t first, float *gradient)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    size_t s = encoder->stride, heads = encoder->spec.heads, width = encoder->spec.width / heads, kind;
    size_t rows = next_rows(tape->count - first, &kind);
    float *to_bias = gradient + block->in_bias + 2 * s;
    for (size_t head = 0; head < heads; head++) {
        const float *d = tape->d_heads + first * s + head * width;
        size_t at = block->in_weight + (2 * s + head * width) * s;
        la_gemm_run(&tape->head.back[kind], d, encoder->values + at, tape->pairs + (first * 2 * heads + head) * s);
        la_gemm_run(&tape->head.weight[kind], d, tape->mixed + (first * heads + head) * s, gradient + at);
        for (size_t i = 0; i < rows; i++) {
            float sum = tape->sums[(first + i) * heads + head];
            for (size_t c = 0; c < width; c++)
                to_bias[head * width + c] += sum * d[i * s + c];
        }
    }
}

/* From d_asked to the gradients of queries, W_k, W_q and the targets. */
static void enter_back(const nn_encoder *encoder, nn_target_tape *tape, size_t first, float *gradient)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    size_t s = encoder->stride, heads = encoder->spec.heads, width = encoder->spec.width / heads, kind;
    size_t left = tape->count - first, rows = next_rows(left, &kind);
    float *dq = tape->dq + first * s;
    for (size_t head = 0; head < heads; head++) {
        const float *d = tape->d_asked + (first * heads + head) * s;
        la_gemm_run(&tape->head.forward[kind], d, block->in_t + s + head * width, dq + head * width);
        la_gemm_run(&tape->head.weight[kind], tape->q + first * s + head * width, d,
                    gradient + block->in_weight + (s + head * width) * s);
    }
    encoder->kernels->add_rows(rows, s, dq, gradient + block->in_bias);
    la_gemm_run(&tape->query.weight[kind], dq, tape->in + first * s, gradient + block->in_weight);
    la_gemm_run(&tape->query.back[kind], dq, encoder->values + block->in_weight, tape->narrow);
    encoder->kernels->add((left < rows ? left : rows) * s, tape->narrow, tape->d + first * s);
}

void nn_target_backward(const nn_encoder *encoder, nn_target_tape *tape, const float *d_out, float *d_x,
                        float *gradient)
{
    size_t s = encoder->stride, row = encoder->spec.heads * s, count = tape->count, rows = nn_padded(count);
    float *chances = tape->chances;
    memcpy(tape->d, d_out, count * s * sizeof *d_x);
    memset(tape->d + count * s, 0, (rows - count) * s * sizeof *d_x);
    for (size_t first = 0; first < count; first += ROWS) {
        leave_back(encoder, tape, first, gradient);
        give_back(encoder, tape, first, gradient);
    }
    for (size_t i = 0; i < count; i++) {
        view of = view_of(encoder, tape, i, &chances);
        attend_back(encoder, tape, &of, d_x + tape->starts[i] * s);
    }
    memset(tape->d_asked + count * row, 0, (rows - count) * row * sizeof *d_x);
    for (size_t first = 0; first < count; first += ROWS)
        enter_back(encoder, tape, first, gradient);
    for (size_t i = 0; i < count; i++)
        encoder->kernels->add(s, tape->d + i * s, d_x + (tape->starts[i + 1] - 1) * s);
}
