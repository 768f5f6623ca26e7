/*
 * target.c: the last tokens of sequences in an encoder of one block (target.h).
 *
 * Backward of attention, for a target with query q, probabilities p (what dropout left: p') over its tokens, and d the
 * gradient of what it attended to, per head:
 *   dv_j = p'_j d,  dp'_j = <d, v_j>,  ds = p (dp - <p, dp>) / sqrt(head's width),  dq = sum ds_j k_j,  dk_j = ds_j q
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/target.h"

#include <math.h>
#include <string.h>

enum {
    ROWS = 64, /* that go through a product together: or 48, 32, 16 */
    KINDS = 4,
};

static const float LEAK = 0.01F; /* of NN_LEAKY_RELU */

/* The places of dropout; head h is AT_HEADS + h. */
enum { AT_ATTEND, AT_INNER, AT_FEED, AT_HEADS, PLACES = AT_HEADS + NN_ENCODER_WIDTH_LIMIT };

/* Products with rows of a matrix W [out][in] of the encoder. */
typedef struct product {
    la_gemm forward[KINDS]; /* y = x W' */
    la_gemm back[KINDS];    /* dx = dy W */
    la_gemm weight[KINDS];  /* dW += dy' x */
} product;

struct nn_target_tape {
    size_t tokens, sequences; /* room */
    product keys_values, query, out, up, down;
    float *kv;       /* [tokens][2 s] */
    float *in;       /* [sequences][s] targets */
    float *q;        /* [sequences][s] */
    float *chances;  /* per sequence and head [nn_padded(tokens)]; marked where dropped */
    float *attended; /* [sequences][s] */
    float *mid;      /* [sequences][s] what W_1 is applied to */
    float *hidden;   /* [sequences][f] what W_2 is applied to */
    float *xhat[2];  /* [sequences][s] */
    float *scale[2]; /* [sequences] */
    float *d;        /* [sequences][s] gradient of what runs through the block */
    float *d_heads;  /* [sequences][s] gradient of `attended` */
    float *dq;       /* [sequences][s] */
    float *d_kv;     /* [tokens][2 s] */
    float *narrow;   /* [ROWS][s] */
    float *tail;     /* [ROWS][s] the last rows, with zeros behind */
    float *wide;     /* [ROWS][f] */
    float *scores;   /* [nn_padded(length)] */
    float *memory;
    uint32_t *starts, *keys;

    /* The group that went forward. */
    const float *x;
    size_t count;
    float dropout;
    uint64_t key, first;
};

bool nn_target_fits(const nn_encoder *encoder)
{
    const nn_encoder_spec *spec = &encoder->spec;
    return spec->blocks == 1 && !spec->pre_norm && !spec->last_norm && spec->activation != NN_GELU;
}

/* ---- construction ------------------------------------------------------------ */

static void prepare(const nn_encoder *encoder, size_t out, size_t in, size_t ldb, product *made)
{
    la_engine best = la_engine_best(encoder->isa);
    la_shape forward = {.transpose = LA_NN, .n = out, .k = in, .lda = in, .ldb = ldb, .ldc = out};
    la_shape back = {.transpose = LA_NN, .n = in, .k = out, .lda = out, .ldb = in, .ldc = in};
    la_shape weight = {.transpose = LA_TN, .m = out, .n = in, .lda = out, .ldb = in, .ldc = in, .accumulate = true};
    for (size_t kind = 0; kind < KINDS; kind++) {
        forward.m = back.m = weight.k = ROWS - NN_LANES * kind;
        la_gemm_init(&made->forward[kind], best, &forward);
        la_gemm_init(&made->back[kind], best, &back);
        la_gemm_init(&made->weight[kind], best, &weight);
    }
}

/* Lays a tape out in `memory` (NULL: only counts); returns floats. */
static double lay_out(const nn_encoder *encoder, size_t tokens, size_t sequences, float *memory, nn_target_tape *made)
{
    size_t s = encoder->stride, f = encoder->inner_stride, t = nn_padded(tokens), n = nn_padded(sequences);
    const struct {
        float **to;
        size_t rows, columns;
    } parts[] = {
        {&made->kv, t, 2 * s},
        {&made->in, n, s},
        {&made->q, n, s},
        {&made->chances, t + NN_LANES * n, encoder->spec.heads},
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
        {&made->d_kv, t, 2 * s},
        {&made->narrow, ROWS, s},
        {&made->tail, ROWS, s},
        {&made->wide, ROWS, f},
        {&made->scores, 1, nn_padded(encoder->spec.length)},
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
    size_t s = encoder->stride, f = encoder->inner_stride;
    *tape = NULL;
    nn_target_tape *made = forage_calloc(1, sizeof *made);
    if (made && tokens < UINT32_MAX - NN_LANES && bytes < (double)(SIZE_MAX / 4)) {
        made->memory = forage_calloc((size_t)(bytes / 4.0), sizeof *made->memory);
        made->starts = forage_calloc(sequences + 1, sizeof *made->starts);
        made->keys = forage_calloc(ROWS, sizeof *made->keys);
    }
    if (!made || !made->memory || !made->starts || !made->keys) {
        nn_target_tape_free(made);
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for training on %zu tokens at a time", tokens);
    }
    made->tokens = tokens;
    made->sequences = sequences;
    (void)lay_out(encoder, tokens, sequences, made->memory, made);
    prepare(encoder, 2 * s, s, 3 * s, &made->keys_values);
    prepare(encoder, s, s, 3 * s, &made->query);
    prepare(encoder, s, s, s, &made->out);
    prepare(encoder, f, s, f, &made->up);
    prepare(encoder, s, f, s, &made->down);
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
static uint64_t mixed(uint64_t hash)
{
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
    return hash ^ (hash >> 31);
}

/* What drops at one place in sequences [first, first + count), NULL if nothing does. `drop` is filled in. */
static const nn_drop *dropping(nn_target_tape *tape, size_t place, size_t first, size_t count, nn_drop *drop)
{
    if (tape->dropout <= 0)
        return NULL;
    uint64_t key = mixed(tape->key + 0x9e3779b97f4a7c15U * (place + 1));
    for (size_t i = 0; i < count; i++)
        tape->keys[i] = (uint32_t)(mixed(key + 0x9e3779b97f4a7c15U * (tape->first + first + i)) >> 32);
    *drop = (nn_drop){.keys = tape->keys,
                      .threshold = (uint32_t)((double)tape->dropout * 4294967296.0),
                      .scale = (float)(1.0 / (1.0 - (double)tape->dropout))};
    return drop;
}

/* A product of our own of any shape. */
static void multiply(const nn_encoder *encoder, size_t m, size_t n, size_t k, size_t lda, size_t ldb, size_t ldc,
                     const float *a, const float *b, float *c)
{
    la_gemm gemm;
    la_gemm_init(&gemm, la_engine_steady(encoder->isa),
                 &(la_shape){.m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc});
    la_gemm_run(&gemm, a, b, c);
}

static void activate(const nn_encoder *encoder, size_t rows, float *y)
{
    const float *bias = encoder->values + encoder->blocks[0].bias1;
    if (encoder->spec.activation == NN_LEAKY_RELU)
        encoder->kernels->bias_leaky(rows, encoder->inner_stride, LEAK, bias, y);
    else
        encoder->kernels->bias_relu(rows, encoder->inner_stride, bias, y);
}

static void norm(const nn_encoder *encoder, size_t n, size_t rows, const float *x, float *xhat, float *scale, float *y)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    encoder->kernels->norm(rows, encoder->spec.width, encoder->stride, (float)encoder->spec.epsilon,
                           encoder->values + block->gain[n], encoder->values + block->shift[n], x, xhat, scale, y);
}

/* ---- forward ----------------------------------------------------------------- */

/* Rows [first, first + rows) of x: where they lie, or, the last ones, with zeros behind them. */
static const float *rows_of(const nn_encoder *encoder, nn_target_tape *tape, size_t first, size_t rows, size_t tokens)
{
    size_t s = encoder->stride, left = tokens - first;
    if (rows <= left)
        return tape->x + first * s;
    memcpy(tape->tail, tape->x + first * s, left * s * sizeof *tape->tail);
    memset(tape->tail + left * s, 0, (rows - left) * s * sizeof *tape->tail);
    return tape->tail;
}

static void enter(const nn_encoder *encoder, nn_target_tape *tape)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    const float *bias = encoder->values + block->in_bias;
    size_t s = encoder->stride, tokens = tape->starts[tape->count], kind, rows;
    for (size_t first = 0; first < tokens; first += rows) {
        rows = next_rows(tokens - first, &kind);
        float *kv = tape->kv + first * 2 * s;
        la_gemm_run(&tape->keys_values.forward[kind], rows_of(encoder, tape, first, rows, tokens), block->in_t + s, kv);
        encoder->kernels->bias(rows, 2 * s, bias + s, kv);
    }
    for (size_t i = 0; i < tape->count; i++)
        memcpy(tape->in + i * s, tape->x + (tape->starts[i + 1] - 1) * s, s * sizeof *tape->in);
    memset(tape->in + tape->count * s, 0, (nn_padded(tape->count) - tape->count) * s * sizeof *tape->in);
    for (size_t first = 0; first < tape->count; first += rows) {
        rows = next_rows(tape->count - first, &kind);
        la_gemm_run(&tape->query.forward[kind], tape->in + first * s, block->in_t, tape->q + first * s);
        encoder->kernels->bias(rows, s, bias, tape->q + first * s);
    }
}

/* One target's attention in one head. */
static void attend(const nn_encoder *encoder, nn_target_tape *tape, size_t i, size_t head, float *chances)
{
    size_t s = encoder->stride, width = encoder->spec.width / encoder->spec.heads, first = tape->starts[i];
    size_t tokens = tape->starts[i + 1] - first, pitch = nn_padded(tokens);
    const float *k = tape->kv + first * 2 * s + head * width, *kept = chances;
    nn_drop room;
    la_dots(encoder->isa, k, 2 * s, tokens, width, tape->q + i * s + head * width, chances);
    encoder->kernels->softmax(1, tokens, 0, pitch, (float)(1 / sqrt((double)width)), chances);
    const nn_drop *drop = dropping(tape, AT_HEADS + head, i, 1, &room);
    if (drop) {
        encoder->kernels->drop_marked(1, pitch, drop, chances, tape->scores);
        kept = tape->scores;
    }
    multiply(encoder, 1, width, tokens, pitch, 2 * s, s, kept, k + s, tape->attended + i * s + head * width);
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
    activate(encoder, rows, hidden);
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
    size_t s = encoder->stride, rows = nn_padded(pack->count);
    float *chances = tape->chances;
    tape->x = x;
    tape->count = pack->count;
    tape->dropout = dropout;
    tape->key = key;
    tape->first = first_sequence;
    memcpy(tape->starts, pack->starts, (pack->count + 1) * sizeof *tape->starts);
    enter(encoder, tape);
    memset(tape->attended, 0, rows * s * sizeof *tape->attended);
    for (size_t i = 0; i < pack->count; i++) {
        for (size_t head = 0; head < encoder->spec.heads; head++) {
            attend(encoder, tape, i, head, chances);
            chances += nn_padded(tape->starts[i + 1] - tape->starts[i]);
        }
    }
    for (size_t first = 0; first < pack->count; first += ROWS)
        leave(encoder, tape, first, out);
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
        kernels->mask_leaky(rows, f, kept_scale, LEAK, hidden, tape->wide, to_bias1);
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

static void attend_back(const nn_encoder *encoder, nn_target_tape *tape, size_t i, size_t head, float *chances)
{
    size_t s = encoder->stride, width = encoder->spec.width / encoder->spec.heads, first = tape->starts[i];
    size_t tokens = tape->starts[i + 1] - first, at = first * 2 * s + head * width, place = i * s + head * width;
    const float *k = tape->kv + at, *v = k + s, *d = tape->d_heads + place;
    float *dk = tape->d_kv + at, *dv = dk + s, *scores = tape->scores;
    la_dots(encoder->isa, v, 2 * s, tokens, width, d, scores);
    memset(scores + tokens, 0, (nn_padded(tokens) - tokens) * sizeof *scores);
    encoder->kernels->softmax_back(1, nn_padded(tokens), (float)(1 / sqrt((double)width)),
                                   (float)(1.0 / (1.0 - (double)tape->dropout)), chances, scores);
    multiply(encoder, tokens, width, 1, 1, width, 2 * s, chances, d, dv);
    multiply(encoder, tokens, width, 1, 1, width, 2 * s, scores, tape->q + place, dk);
    multiply(encoder, 1, width, tokens, tokens, 2 * s, width, scores, k, tape->dq + place);
}

/* From the gradients of keys, values and queries to those of x and W_in. */
static void enter_back(const nn_encoder *encoder, nn_target_tape *tape, float *d_x, float *gradient)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    const float *weight = encoder->values + block->in_weight;
    float *to_weight = gradient + block->in_weight, *to_bias = gradient + block->in_bias;
    size_t s = encoder->stride, tokens = tape->starts[tape->count], kind, rows;
    for (size_t first = 0; first < tokens; first += rows) {
        rows = next_rows(tokens - first, &kind);
        size_t left = tokens - first < rows ? tokens - first : rows;
        const float *d = tape->d_kv + first * 2 * s, *x = rows_of(encoder, tape, first, rows, tokens);
        encoder->kernels->add_rows(rows, 2 * s, d, to_bias + s);
        la_gemm_run(&tape->keys_values.weight[kind], d, x, to_weight + s * s);
        la_gemm_run(&tape->keys_values.back[kind], d, weight + s * s, left < rows ? tape->narrow : d_x + first * s);
        if (left < rows)
            memcpy(d_x + first * s, tape->narrow, left * s * sizeof *d_x);
    }
    for (size_t first = 0; first < tape->count; first += rows) {
        rows = next_rows(tape->count - first, &kind);
        size_t left = tape->count - first < rows ? tape->count - first : rows;
        const float *d = tape->dq + first * s;
        encoder->kernels->add_rows(rows, s, d, to_bias);
        la_gemm_run(&tape->query.weight[kind], d, tape->in + first * s, to_weight);
        la_gemm_run(&tape->query.back[kind], d, weight, tape->narrow);
        encoder->kernels->add(left * s, tape->narrow, tape->d + first * s);
    }
    for (size_t i = 0; i < tape->count; i++)
        encoder->kernels->add(s, tape->d + i * s, d_x + (tape->starts[i + 1] - 1) * s);
}

void nn_target_backward(const nn_encoder *encoder, nn_target_tape *tape, const float *d_out, float *d_x,
                        float *gradient)
{
    size_t s = encoder->stride, count = tape->count, rows = nn_padded(count), tokens = tape->starts[count];
    float *chances = tape->chances;
    memcpy(tape->d, d_out, count * s * sizeof *d_x);
    memset(tape->d + count * s, 0, (rows - count) * s * sizeof *d_x);
    for (size_t first = 0; first < count; first += ROWS)
        leave_back(encoder, tape, first, gradient);
    memset(tape->dq, 0, rows * s * sizeof *tape->dq);
    memset(tape->d_kv, 0, nn_padded(tokens) * 2 * s * sizeof *tape->d_kv);
    for (size_t i = 0; i < count; i++) {
        for (size_t head = 0; head < encoder->spec.heads; head++) {
            attend_back(encoder, tape, i, head, chances);
            chances += nn_padded(tape->starts[i + 1] - tape->starts[i]);
        }
    }
    enter_back(encoder, tape, d_x, gradient);
}

/* ---- scoring ------------------------------------------------------------------ */

typedef struct room {
    float *qkv;      /* [NN_TARGET_ROWS][3 s] */
    float *attended; /* [NN_TARGET_ROWS][s] */
    float *narrow;   /* [NN_TARGET_ROWS][s] */
    float *wide;     /* [NN_TARGET_ROWS][f] */
    float *kv;       /* [length][2 s] of the history */
    float *turned;   /* [head][head's width][nn_padded(length)] its keys, transposed */
    float *chances;  /* [NN_TARGET_ROWS][nn_padded(length)] */
} room;

/* Lays it out in `memory` (NULL: only counts); returns floats. */
static size_t lay_out_room(const nn_encoder *encoder, float *memory, room *made)
{
    const nn_encoder_spec *spec = &encoder->spec;
    size_t s = encoder->stride, length = nn_padded(spec->length), at = 0;
    const struct {
        float **to;
        size_t count;
    } parts[] = {
        {&made->qkv, NN_TARGET_ROWS * 3 * s},
        {&made->attended, NN_TARGET_ROWS * s},
        {&made->narrow, NN_TARGET_ROWS * s},
        {&made->wide, NN_TARGET_ROWS * encoder->inner_stride},
        {&made->kv, length * 2 * s},
        {&made->turned, spec->width * length},
        {&made->chances, NN_TARGET_ROWS * length},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].to = memory ? memory + at : NULL;
        at += parts[i].count;
    }
    return at;
}

size_t nn_target_scratch_size(const nn_encoder *encoder)
{
    room unused;
    return lay_out_room(encoder, NULL, &unused) * sizeof(float);
}

void nn_target_begin(const nn_encoder *encoder, size_t count, const float *x, void *scratch)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    size_t s = encoder->stride;
    room own;
    (void)lay_out_room(encoder, scratch, &own);
    multiply(encoder, count, 3 * s, s, s, 3 * s, 3 * s, x, block->in_t, own.qkv);
    encoder->kernels->bias(count, 3 * s, encoder->values + block->in_bias, own.qkv);
}

void nn_target_history(const nn_encoder *encoder, size_t tokens, const float *x, void *scratch)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    size_t s = encoder->stride, width = encoder->spec.width / encoder->spec.heads, pitch = nn_padded(tokens + 1);
    room own;
    if (tokens == 0)
        return;
    (void)lay_out_room(encoder, scratch, &own);
    multiply(encoder, tokens, 2 * s, s, s, 3 * s, 2 * s, x, block->in_t + s, own.kv);
    encoder->kernels->bias(tokens, 2 * s, encoder->values + block->in_bias + s, own.kv);
    for (size_t head = 0; head < encoder->spec.heads; head++)
        encoder->kernels->turn(tokens, width, 2 * s, own.kv + head * width, pitch, own.turned + head * width * pitch);
}

void nn_target_attend(const nn_encoder *encoder, size_t first, size_t count, size_t tokens, void *scratch)
{
    size_t s = encoder->stride, width = encoder->spec.width / encoder->spec.heads, pitch = nn_padded(tokens + 1);
    room own;
    (void)lay_out_room(encoder, scratch, &own);
    memset(own.attended + first * s, 0, count * s * sizeof(float));
    for (size_t head = 0; head < encoder->spec.heads; head++) {
        const float *q = own.qkv + first * 3 * s + head * width, *k = q + s, *v = k + s;
        float *attended = own.attended + first * s + head * width;
        if (tokens)
            multiply(encoder, count, pitch, width, 3 * s, pitch, pitch, q, own.turned + head * width * pitch,
                     own.chances);
        for (size_t i = 0; i < count; i++) /* and to itself */
            la_dots(encoder->isa, k + i * 3 * s, 3 * s, 1, width, q + i * 3 * s, own.chances + i * pitch + tokens);
        encoder->kernels->softmax(count, tokens + 1, 0, pitch, (float)(1 / sqrt((double)width)), own.chances);
        if (tokens)
            multiply(encoder, count, width, tokens, pitch, 2 * s, s, own.chances, own.kv + s + head * width, attended);
        for (size_t i = 0; i < count; i++) {
            float chance = own.chances[i * pitch + tokens];
            for (size_t j = 0; j < width; j++)
                attended[i * s + j] += chance * v[i * 3 * s + j];
        }
    }
}

void nn_target_end(const nn_encoder *encoder, size_t count, void *scratch, float *x)
{
    const nn_encoder_block *block = &encoder->blocks[0];
    const float *values = encoder->values;
    size_t s = encoder->stride, f = encoder->inner_stride;
    room own;
    (void)lay_out_room(encoder, scratch, &own);
    multiply(encoder, count, s, s, s, s, s, own.attended, block->out_t, own.narrow);
    encoder->kernels->residual(count, s, values + block->out_bias, NULL, own.narrow, x, x);
    norm(encoder, 0, count, x, NULL, NULL, x);
    multiply(encoder, count, f, s, s, f, f, x, block->weight1_t, own.wide);
    activate(encoder, count, own.wide);
    multiply(encoder, count, s, f, f, s, s, own.wide, block->weight2_t, own.narrow);
    encoder->kernels->residual(count, s, values + block->bias2, NULL, own.narrow, x, x);
    norm(encoder, 1, count, x, NULL, NULL, x);
}
