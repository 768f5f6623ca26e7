/*
 * encoder_train.c: the encoder forward and backward over a group of sequences.
 *
 * Layers take rows in blocks of up to NN_ENCODER_ROWS, whatever sequence they belong to; rows beyond the group's
 * tokens, up to a multiple of NN_LANES, hold finite numbers whose gradient is zero. Attention takes sequence by
 * sequence.
 *
 * Backward of attention, per sequence and head, with P the softmax's probabilities and D what dropout left of them:
 *   dV = D' dO,  dD = dO V',  dS = P (dP - <P, dP>) / sqrt(head's width) by rows,  dQ = dS K,  dK = dS' Q
 * P, D and S lie turned, a column per query, so that softmax runs down columns, NN_LANES queries at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/encoder.h"

#include <math.h>
#include <string.h>

#include "nn/encoder_parts.h"

/* What is kept of a block. [rows] are those of the group, rounded up. */
typedef struct block_tape {
    float *in;       /* [rows][s] what W_in is applied to: norm1's output, or the block's input */
    float *qkv;      /* [rows][3 s] */
    float *chances;  /* per sequence and head [key][nn_padded(tokens)]: a column per query; marked where dropped */
    float *attended; /* [rows][s] what W_o is applied to */
    float *mid;      /* [rows][s] what W_1 is applied to */
    float *hidden;   /* [rows][f] what W_2 is applied to */
    float *slope;    /* [rows][f] GELU's derivative, times what dropout made of it */
    float *xhat[2];  /* [rows][s] of norm1 and norm2 */
    float *scale[2]; /* [rows] */
} block_tape;

struct nn_tape {
    size_t tokens, sequences; /* room */
    block_tape *blocks;
    float *stream; /* [rows][s] what runs through the blocks */
    float *last_xhat, *last_scale;
    float *d;       /* [rows][s] its gradient */
    float *d_heads; /* [rows][s] gradient of `attended` */
    float *d_qkv;   /* [rows][3 s] */
    float *narrow;  /* [NN_ENCODER_ROWS][s] */
    float *wide;    /* [NN_ENCODER_ROWS][f] */
    float *turned;  /* [head's width][nn_padded(length)] */
    float *scores;  /* [length][nn_padded(length)] */
    float *memory;
    uint32_t *starts;
    uint32_t *keys; /* [max(NN_ENCODER_ROWS, nn_padded(length))] */

    /* The group that went forward. */
    size_t count, rows;
    float dropout;
    uint64_t key, first_token;
};

enum { ATTEND_ROWS = 24 }; /* whole tiles of our own product */

/* The places of dropout in a block; attention's head h is AT_HEADS + h. */
enum { AT_ATTEND, AT_INNER, AT_FEED, AT_HEADS, PLACES = AT_HEADS + NN_ENCODER_WIDTH_LIMIT };

/* ---- construction ------------------------------------------------------------ */

/* Floats of one block, and of what blocks share. */
static double block_floats(const nn_encoder *encoder, double rows)
{
    const nn_encoder_spec *spec = &encoder->spec;
    double s = (double)encoder->stride, f = (double)encoder->inner_stride;
    double chances = (double)spec->heads * (double)nn_padded(spec->length);
    return rows * (8 * s + f * (spec->activation == NN_GELU ? 2 : 1) + chances + 2);
}

static double shared_floats(const nn_encoder *encoder, double rows)
{
    const nn_encoder_spec *spec = &encoder->spec;
    double s = (double)encoder->stride, f = (double)encoder->inner_stride, length = (double)nn_padded(spec->length);
    double head = (double)spec->width / (double)spec->heads;
    return rows * (7 * s + 1) + NN_ENCODER_ROWS * (s + f) + length * (head + length);
}

double nn_tape_memory(const nn_encoder *encoder, size_t tokens)
{
    double rows = (double)tokens + NN_LANES;
    return (block_floats(encoder, rows) * (double)encoder->spec.blocks + shared_floats(encoder, rows)) * sizeof(float);
}

/* The next `count` floats of the tape's memory; counts are kept to whole cache lines. */
static float *take(float **at, size_t count)
{
    float *block = *at;
    *at += nn_padded(count);
    return block;
}

static void lay_out(const nn_encoder *encoder, nn_tape *tape, size_t rows)
{
    const nn_encoder_spec *spec = &encoder->spec;
    size_t s = encoder->stride, f = encoder->inner_stride, length = nn_padded(spec->length);
    float *at = tape->memory;
    for (size_t b = 0; b < spec->blocks; b++) {
        block_tape *block = &tape->blocks[b];
        block->in = take(&at, rows * s);
        block->qkv = take(&at, rows * 3 * s);
        block->chances = take(&at, rows * spec->heads * length);
        block->attended = take(&at, rows * s);
        block->mid = take(&at, rows * s);
        block->hidden = take(&at, rows * f);
        if (spec->activation == NN_GELU)
            block->slope = take(&at, rows * f);
        for (size_t n = 0; n < 2; n++) {
            block->xhat[n] = take(&at, rows * s);
            block->scale[n] = take(&at, rows);
        }
    }
    tape->stream = take(&at, rows * s);
    tape->last_xhat = take(&at, rows * s);
    tape->last_scale = take(&at, rows);
    tape->d = take(&at, rows * s);
    tape->d_heads = take(&at, rows * s);
    tape->d_qkv = take(&at, rows * 3 * s);
    tape->narrow = take(&at, NN_ENCODER_ROWS * s);
    tape->wide = take(&at, NN_ENCODER_ROWS * f);
    tape->turned = take(&at, spec->width / spec->heads * length);
    tape->scores = take(&at, length * length);
}

forage_status nn_tape_create(const nn_encoder *encoder, size_t tokens, size_t sequences, nn_tape **tape,
                             forage_error *error)
{
    *tape = NULL;
    nn_tape *made = NULL;
    if (tokens >= UINT32_MAX - NN_LANES || sequences >= UINT32_MAX ||
        nn_tape_memory(encoder, tokens) > (double)(SIZE_MAX / 4))
        goto memory;
    made = forage_calloc(1, sizeof *made);
    if (!made)
        goto memory;
    size_t rows = nn_padded(tokens), keys = nn_padded(encoder->spec.length);
    made->tokens = tokens;
    made->sequences = sequences;
    made->blocks = forage_calloc(encoder->spec.blocks, sizeof *made->blocks);
    made->memory = forage_calloc((size_t)(block_floats(encoder, (double)rows) * (double)encoder->spec.blocks +
                                          shared_floats(encoder, (double)rows)) +
                                     4 * NN_LANES,
                                 sizeof *made->memory);
    made->starts = forage_calloc(sequences + 1, sizeof *made->starts);
    made->keys = forage_calloc(keys > NN_ENCODER_ROWS ? keys : NN_ENCODER_ROWS, sizeof *made->keys);
    if (!made->blocks || !made->memory || !made->starts || !made->keys)
        goto memory;
    lay_out(encoder, made, rows);
    *tape = made;
    return FORAGE_OK;
memory:
    nn_tape_free(made);
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for training on %zu tokens at a time", tokens);
}

void nn_tape_free(nn_tape *tape)
{
    if (!tape)
        return;
    forage_free(tape->blocks);
    forage_free(tape->memory);
    forage_free(tape->starts);
    forage_free(tape->keys);
    forage_free(tape);
}

/* ---- rows and dropout -------------------------------------------------------- */

/* How many of the rows from `first` on go together, and by which of the kinds of products. */
static size_t next_rows(const nn_tape *tape, size_t first, size_t *kind)
{
    size_t left = tape->rows - first, rows = left < NN_ENCODER_ROWS ? left : NN_ENCODER_ROWS;
    *kind = (NN_ENCODER_ROWS - rows) / NN_LANES;
    return rows;
}

/* splitmix64's finaliser. */
static uint64_t mixed(uint64_t hash)
{
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
    return hash ^ (hash >> 31);
}

/* What drops at one place in tokens [first, first + count), NULL if nothing does. `drop` is filled in. */
static const nn_drop *dropping(nn_tape *tape, size_t block, size_t place, size_t first, size_t count, nn_drop *drop)
{
    if (tape->dropout <= 0)
        return NULL;
    uint64_t key = mixed(tape->key + 0x9e3779b97f4a7c15U * (block * PLACES + place + 1));
    for (size_t i = 0; i < count; i++)
        tape->keys[i] = (uint32_t)(mixed(key + 0x9e3779b97f4a7c15U * (tape->first_token + first + i)) >> 32);
    *drop = (nn_drop){.keys = tape->keys,
                      .threshold = (uint32_t)((double)tape->dropout * 4294967296.0),
                      .scale = (float)(1.0 / (1.0 - (double)tape->dropout))};
    return drop;
}

/* ---- forward ----------------------------------------------------------------- */

/* Queries [i, i + rows) of a sequence go together, and so do keys: in a causal encoder, products leave out what is zero
 * by blocks. */
static size_t next_block(size_t i, size_t tokens)
{
    return tokens - i < ATTEND_ROWS ? tokens - i : ATTEND_ROWS;
}

/* out [tokens][nn_padded(tokens)]: each of a sequence's rows (`pitch` apart, of one head) times each column of
 * `turned`, where a query of that column sees the row. */
static void score_keys(const nn_encoder *encoder, size_t tokens, const float *rows, size_t pitch, const float *turned,
                       float *out)
{
    size_t stride = nn_padded(tokens), width = encoder->spec.width / encoder->spec.heads;
    la_shape shape = {.n = stride, .k = width, .lda = pitch, .ldb = stride, .ldc = stride};
    for (size_t j = 0; j < tokens; j += shape.m) {
        size_t from = encoder->spec.causal ? j / NN_LANES * NN_LANES : 0;
        shape.m = next_block(j, tokens);
        shape.n = stride - from;
        nn_encoder_multiply(encoder->isa, &shape, rows + j * pitch, turned + from, out + j * stride + from);
    }
}

/* One sequence's attention in one head: its columns of q, k, v (3 s apart) to those of `attended` (s apart). */
static void attend(const nn_encoder *encoder, nn_tape *tape, size_t b, size_t head, size_t first, size_t tokens,
                   float *chances)
{
    const nn_kernels *kernels = encoder->kernels;
    bool causal = encoder->spec.causal;
    size_t s = encoder->stride, width = encoder->spec.width / encoder->spec.heads, pitch = nn_padded(tokens);
    const float *q = tape->blocks[b].qkv + first * 3 * s + head * width, *k = q + s, *v = k + s;
    kernels->turn(tokens, width, 3 * s, q, pitch, tape->turned);
    score_keys(encoder, tokens, k, 3 * s, tape->turned, chances);
    nn_drop room;
    const nn_drop *drop = dropping(tape, b, AT_HEADS + head, first, tokens, &room);
    kernels->attention(tokens, 0, causal, pitch, (float)(1 / sqrt((double)width)), drop, chances, tape->scores);
    la_shape shape = {.transpose = LA_TN, .n = width, .k = tokens, .lda = pitch, .ldb = 3 * s, .ldc = s};
    for (size_t i = 0; i < tokens; i += shape.m) {
        shape.m = next_block(i, tokens);
        if (causal)
            shape.k = i + shape.m;
        nn_encoder_multiply(encoder->isa, &shape, (drop ? tape->scores : chances) + i, v,
                            tape->blocks[b].attended + (first + i) * s + head * width);
    }
}

static void attend_all(const nn_encoder *encoder, nn_tape *tape, size_t b)
{
    float *chances = tape->blocks[b].chances;
    for (size_t i = 0; i < tape->count; i++) {
        size_t first = tape->starts[i], tokens = tape->starts[i + 1] - first;
        for (size_t head = 0; tokens && head < encoder->spec.heads; head++) {
            attend(encoder, tape, b, head, first, tokens, chances);
            chances += tokens * nn_padded(tokens);
        }
    }
}

/* Rows [first, first + rows) of `x` to keys, queries and values. */
static void enter_rows(const nn_encoder *encoder, nn_tape *tape, size_t b, size_t first, float *x)
{
    const nn_encoder_block *block = &encoder->blocks[b];
    const block_tape *t = &tape->blocks[b];
    const float *values = encoder->values;
    size_t s = encoder->stride, at = first * s, kind, rows = next_rows(tape, first, &kind);
    if (encoder->spec.pre_norm)
        encoder->kernels->norm(rows, encoder->spec.width, s, (float)encoder->spec.epsilon, values + block->gain[0],
                               values + block->shift[0], x + at, t->xhat[0] + at, t->scale[0] + first, t->in + at);
    la_gemm_run(&encoder->products->in.forward[kind], t->in + at, block->in_t, t->qkv + 3 * at);
    encoder->kernels->bias(rows, 3 * s, values + block->in_bias, t->qkv + 3 * at);
}

/* The rest of a block after attention: from `attended`, and x, what ran into the block, to y. */
static void leave_rows(const nn_encoder *encoder, nn_tape *tape, size_t b, size_t first, const float *x, float *y)
{
    const nn_encoder_block *block = &encoder->blocks[b];
    const nn_encoder_products *products = encoder->products;
    const block_tape *t = &tape->blocks[b];
    const nn_kernels *kernels = encoder->kernels;
    const float *values = encoder->values;
    bool pre = encoder->spec.pre_norm;
    size_t s = encoder->stride, f = encoder->inner_stride, width = encoder->spec.width;
    size_t at = first * s, kind, rows = next_rows(tape, first, &kind), n = pre ? 1 : 0;
    float epsilon = (float)encoder->spec.epsilon, *slope = t->slope ? t->slope + first * f : NULL;
    float *hidden = t->hidden + first * f, *middle = pre ? y + at : tape->narrow;
    nn_drop room;
    la_gemm_run(&products->out.forward[kind], t->attended + at, block->out_t, tape->narrow);
    kernels->residual(rows, s, values + block->out_bias, dropping(tape, b, AT_ATTEND, first, rows, &room), tape->narrow,
                      x + at, middle);
    kernels->norm(rows, width, s, epsilon, values + block->gain[n], values + block->shift[n], middle, t->xhat[n] + at,
                  t->scale[n] + first, t->mid + at);
    la_gemm_run(&products->up.forward[kind], t->mid + at, block->weight1_t, hidden);
    nn_encoder_activate(encoder, rows, values + block->bias1, slope, hidden);
    const nn_drop *drop = dropping(tape, b, AT_INNER, first, rows, &room);
    if (drop)
        kernels->drop(rows, f, drop, hidden);
    if (drop && slope)
        kernels->drop(rows, f, drop, slope);
    la_gemm_run(&products->down.forward[kind], hidden, block->weight2_t, tape->narrow);
    kernels->residual(rows, s, values + block->bias2, dropping(tape, b, AT_FEED, first, rows, &room), tape->narrow,
                      pre ? y + at : t->mid + at, pre ? y + at : tape->narrow);
    if (!pre)
        kernels->norm(rows, width, s, epsilon, values + block->gain[1], values + block->shift[1], tape->narrow,
                      t->xhat[1] + at, t->scale[1] + first, y + at);
}

/* Where the input of block `b` lies (of the number of blocks: what comes out). */
static float *input_of(const nn_encoder *encoder, nn_tape *tape, size_t b)
{
    return encoder->spec.pre_norm || b == encoder->spec.blocks ? tape->stream : tape->blocks[b].in;
}

void nn_encoder_forward(const nn_encoder *encoder, const nn_pack *pack, float dropout, uint64_t key,
                        uint64_t first_token, nn_tape *tape, const float *x, float *out)
{
    size_t s = encoder->stride, tokens = pack->count ? pack->starts[pack->count] : 0, kind;
    tape->count = pack->count;
    tape->rows = nn_padded(tokens);
    tape->dropout = dropout;
    tape->key = key;
    tape->first_token = first_token;
    if (tokens == 0)
        return;
    memcpy(tape->starts, pack->starts, (pack->count + 1) * sizeof *tape->starts);
    float *to = input_of(encoder, tape, 0);
    memcpy(to, x, tokens * s * sizeof *to);
    memset(to + tokens * s, 0, (tape->rows - tokens) * s * sizeof *to);
    for (size_t b = 0; b < encoder->spec.blocks; b++) {
        float *from = input_of(encoder, tape, b);
        for (size_t first = 0; first < tape->rows; first += next_rows(tape, first, &kind))
            enter_rows(encoder, tape, b, first, from);
        attend_all(encoder, tape, b);
        memset(tape->blocks[b].attended + tokens * s, 0, (tape->rows - tokens) * s * sizeof *to);
        for (size_t first = 0; first < tape->rows; first += next_rows(tape, first, &kind))
            leave_rows(encoder, tape, b, first, from, input_of(encoder, tape, b + 1));
    }
    if (encoder->spec.last_norm)
        encoder->kernels->norm(tokens, encoder->spec.width, s, (float)encoder->spec.epsilon,
                               encoder->values + encoder->last_gain, encoder->values + encoder->last_shift,
                               tape->stream, tape->last_xhat, tape->last_scale, out);
    else
        memcpy(out, tape->stream, tokens * s * sizeof *out);
}

/* ---- backward ---------------------------------------------------------------- */

/* From the gradient of a block's output to that of `attended`; tape->d becomes the gradient of what attention's result
 * was added to. */
static void leave_rows_back(const nn_encoder *encoder, nn_tape *tape, size_t b, size_t first, float *gradient)
{
    const nn_encoder_block *block = &encoder->blocks[b];
    const nn_encoder_products *products = encoder->products;
    const block_tape *t = &tape->blocks[b];
    const nn_kernels *kernels = encoder->kernels;
    const float *values = encoder->values;
    bool pre = encoder->spec.pre_norm;
    size_t s = encoder->stride, f = encoder->inner_stride, width = encoder->spec.width;
    size_t at = first * s, kind, rows = next_rows(tape, first, &kind), n = pre ? 1 : 0;
    float *d = tape->d + at, *hidden = t->hidden + first * f;
    nn_drop room;
    if (!pre)
        kernels->norm_back(rows, width, s, values + block->gain[1], t->xhat[1] + at, t->scale[1] + first, d,
                           gradient + block->gain[1], gradient + block->shift[1], NULL);
    kernels->residual_back(rows, s, dropping(tape, b, AT_FEED, first, rows, &room), d, gradient + block->bias2,
                           tape->narrow);
    la_gemm_run(&products->down.weight[kind], tape->narrow, hidden, gradient + block->weight2);
    la_gemm_run(&products->down.back[kind], tape->narrow, values + block->weight2, tape->wide);
    if (t->slope)
        kernels->slope_back(rows, f, t->slope + first * f, tape->wide, gradient + block->bias1);
    else
        kernels->mask_leaky(rows, f, (float)(1.0 / (1.0 - (double)tape->dropout)), NN_ENCODER_LEAK, hidden, tape->wide,
                            gradient + block->bias1);
    la_gemm_run(&products->up.weight[kind], tape->wide, t->mid + at, gradient + block->weight1);
    la_gemm_run(&products->up.back[kind], tape->wide, values + block->weight1, tape->narrow);
    if (!pre)
        kernels->add(rows * s, tape->narrow, d);
    kernels->norm_back(rows, width, s, values + block->gain[n], t->xhat[n] + at, t->scale[n] + first,
                       pre ? tape->narrow : d, gradient + block->gain[n], gradient + block->shift[n], pre ? d : NULL);
    kernels->residual_back(rows, s, dropping(tape, b, AT_ATTEND, first, rows, &room), d, gradient + block->out_bias,
                           tape->narrow);
    la_gemm_run(&products->out.weight[kind], tape->narrow, t->attended + at, gradient + block->out_weight);
    la_gemm_run(&products->out.back[kind], tape->narrow, values + block->out_weight, tape->d_heads + at);
}

static void attend_back(const nn_encoder *encoder, nn_tape *tape, size_t b, size_t head, size_t first, size_t tokens,
                        float *chances)
{
    bool causal = encoder->spec.causal;
    size_t s = encoder->stride, width = encoder->spec.width / encoder->spec.heads, pitch = nn_padded(tokens);
    const float *q = tape->blocks[b].qkv + first * 3 * s + head * width, *k = q + s, *v = k + s;
    float *dq = tape->d_qkv + first * 3 * s + head * width, *dk = dq + s, *dv = dk + s, *scores = tape->scores;
    const float *d = tape->d_heads + first * s + head * width;
    encoder->kernels->turn(tokens, width, s, d, pitch, tape->turned);
    score_keys(encoder, tokens, v, 3 * s, tape->turned, scores);
    encoder->kernels->attention_back(tokens, causal, pitch, (float)(1 / sqrt((double)width)),
                                     (float)(1.0 / (1.0 - (double)tape->dropout)), chances, scores);
    la_shape by_query = {.transpose = LA_TN, .n = width, .k = tokens, .lda = pitch, .ldb = 3 * s, .ldc = 3 * s};
    la_shape by_key = {.transpose = LA_NN, .n = width, .lda = pitch, .ldc = 3 * s};
    for (size_t i = 0; i < tokens; i += by_key.m) {
        size_t from = causal ? i : 0;
        by_query.m = by_key.m = next_block(i, tokens);
        by_key.k = tokens - from;
        if (causal)
            by_query.k = i + by_query.m;
        nn_encoder_multiply(encoder->isa, &by_query, scores + i, k, dq + i * 3 * s);
        by_key.ldb = 3 * s;
        nn_encoder_multiply(encoder->isa, &by_key, scores + i * pitch + from, q + from * 3 * s, dk + i * 3 * s);
        by_key.ldb = s;
        nn_encoder_multiply(encoder->isa, &by_key, chances + i * pitch + from, d + from * s, dv + i * 3 * s);
    }
}

static void attend_all_back(const nn_encoder *encoder, nn_tape *tape, size_t b)
{
    float *chances = tape->blocks[b].chances;
    for (size_t i = 0; i < tape->count; i++) {
        size_t first = tape->starts[i], tokens = tape->starts[i + 1] - first;
        for (size_t head = 0; tokens && head < encoder->spec.heads; head++) {
            attend_back(encoder, tape, b, head, first, tokens, chances);
            chances += tokens * nn_padded(tokens);
        }
    }
}

static void enter_rows_back(const nn_encoder *encoder, nn_tape *tape, size_t b, size_t first, float *gradient)
{
    const nn_encoder_block *block = &encoder->blocks[b];
    const block_tape *t = &tape->blocks[b];
    const nn_kernels *kernels = encoder->kernels;
    size_t s = encoder->stride, at = first * s, kind, rows = next_rows(tape, first, &kind);
    float *d_qkv = tape->d_qkv + 3 * at;
    kernels->add_rows(rows, 3 * s, d_qkv, gradient + block->in_bias);
    la_gemm_run(&encoder->products->in.weight[kind], d_qkv, t->in + at, gradient + block->in_weight);
    la_gemm_run(&encoder->products->in.back[kind], d_qkv, encoder->values + block->in_weight, tape->narrow);
    if (encoder->spec.pre_norm)
        kernels->norm_back(rows, encoder->spec.width, s, encoder->values + block->gain[0], t->xhat[0] + at,
                           t->scale[0] + first, tape->narrow, gradient + block->gain[0], gradient + block->shift[0],
                           tape->d + at);
    else
        kernels->add(rows * s, tape->narrow, tape->d + at);
}

void nn_encoder_backward(const nn_encoder *encoder, nn_tape *tape, const float *d_out, float *d_x, float *gradient)
{
    size_t s = encoder->stride, tokens = tape->rows ? tape->starts[tape->count] : 0, kind;
    if (tokens == 0)
        return;
    memcpy(tape->d, d_out, tokens * s * sizeof *d_x);
    memset(tape->d + tokens * s, 0, (tape->rows - tokens) * s * sizeof *d_x);
    if (encoder->spec.last_norm)
        encoder->kernels->norm_back(tokens, encoder->spec.width, s, encoder->values + encoder->last_gain,
                                    tape->last_xhat, tape->last_scale, tape->d, gradient + encoder->last_gain,
                                    gradient + encoder->last_shift, NULL);
    for (size_t b = encoder->spec.blocks; b-- > 0;) {
        for (size_t first = 0; first < tape->rows; first += next_rows(tape, first, &kind))
            leave_rows_back(encoder, tape, b, first, gradient);
        attend_all_back(encoder, tape, b);
        memset(tape->d_qkv + tokens * 3 * s, 0, (tape->rows - tokens) * 3 * s * sizeof *d_x);
        for (size_t first = 0; first < tape->rows; first += next_rows(tape, first, &kind))
            enter_rows_back(encoder, tape, b, first, gradient);
    }
    memcpy(d_x, tape->d, tokens * s * sizeof *d_x);
}
