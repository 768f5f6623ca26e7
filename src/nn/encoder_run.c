/*
 * encoder_run.c: scoring: whole sequences, their last tokens, one token more.
 *
 * Every product is la_engine_steady's, in which each number is one chain of sums, and a probability of 0 adds nothing
 * to such a chain: so a token's bytes depend on nothing but what it attends to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "nn/encoder_parts.h"

enum { ROWS = NN_ENCODER_SCORE_ROWS };

typedef struct buffers {
    float *qkv;      /* [tokens][3 s] */
    float *attended; /* [tokens][s] */
    float *narrow;   /* [ROWS][s] */
    float *normed;   /* [ROWS][s] */
    float *wide;     /* [ROWS][f] */
    float *turned;   /* [head's width][ROWS] */
    float *chances;  /* [nn_padded(length)][ROWS] */
} buffers;

/* Lays it out in `memory`; returns floats. */
static size_t lay_out(const nn_encoder *encoder, size_t tokens, float *memory, buffers *made)
{
    const nn_encoder_spec *spec = &encoder->spec;
    size_t s = encoder->stride, f = encoder->inner_stride, length = nn_padded(spec->length), at = 0;
    const struct {
        float **to;
        size_t count;
    } parts[] = {
        {&made->qkv, tokens * 3 * s},    {&made->attended, tokens * s},
        {&made->narrow, ROWS * s},       {&made->normed, ROWS * s},
        {&made->wide, ROWS * f},         {&made->turned, spec->width / spec->heads * ROWS},
        {&made->chances, ROWS * length},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].to = memory ? memory + at : NULL;
        at += parts[i].count;
    }
    return at;
}

size_t nn_encoder_scratch_size(const nn_encoder *encoder, size_t tokens)
{
    buffers unused;
    return lay_out(encoder, tokens, NULL, &unused) * sizeof(float);
}

/* Columns [from, to) of queries, keys and values, of `rows` (at most ROWS) rows of x. */
static void enter(const nn_encoder *encoder, size_t b, size_t rows, const float *x, float *normed, float *qkv)
{
    const nn_encoder_block *block = &encoder->blocks[b];
    const float *values = encoder->values;
    size_t s = encoder->stride;
    if (encoder->spec.pre_norm) {
        encoder->kernels->norm(rows, encoder->spec.width, s, (float)encoder->spec.epsilon, values + block->gain[0],
                               values + block->shift[0], x, NULL, NULL, normed);
        x = normed;
    }
    nn_encoder_score(&encoder->products->in, rows, x, block->in_t, qkv);
    encoder->kernels->bias(rows, 3 * s, values + block->in_bias, qkv);
}

/* The rest of a block after attention, in place: x is what ran into it. */
static void leave(const nn_encoder *encoder, size_t b, size_t rows, const float *attended, const buffers *room,
                  float *x)
{
    const nn_encoder_block *block = &encoder->blocks[b];
    const nn_encoder_products *products = encoder->products;
    const nn_kernels *kernels = encoder->kernels;
    const float *values = encoder->values, *mid = x;
    size_t s = encoder->stride, width = encoder->spec.width;
    float epsilon = (float)encoder->spec.epsilon;
    bool pre = encoder->spec.pre_norm;
    nn_encoder_score(&products->out, rows, attended, block->out_t, room->narrow);
    kernels->residual(rows, s, values + block->out_bias, NULL, room->narrow, x, x);
    kernels->norm(rows, width, s, epsilon, values + block->gain[pre], values + block->shift[pre], x, NULL, NULL,
                  pre ? room->normed : x);
    if (pre)
        mid = room->normed;
    nn_encoder_score(&products->up, rows, mid, block->weight1_t, room->wide);
    nn_encoder_activate(encoder, rows, values + block->bias1, NULL, room->wide);
    nn_encoder_score(&products->down, rows, room->wide, block->weight2_t, room->narrow);
    kernels->residual(rows, s, values + block->bias2, NULL, room->narrow, x, x);
    if (!pre)
        kernels->norm(rows, width, s, epsilon, values + block->gain[1], values + block->shift[1], x, NULL, NULL, x);
    if (encoder->spec.last_norm && b + 1 == encoder->spec.blocks)
        kernels->norm(rows, width, s, epsilon, values + encoder->last_gain, values + encoder->last_shift, x, NULL, NULL,
                      x);
}

/* Attention of all tokens of a sequence in one head. Scores lie turned, a column per query. */
static void attend(const nn_encoder *encoder, size_t head, size_t tokens, const float *qkv, const buffers *room,
                   float *attended)
{
    const nn_encoder_spec *spec = &encoder->spec;
    size_t s = encoder->stride, width = spec->width / spec->heads;
    const float *q = qkv + head * width, *k = q + s, *v = k + s;
    for (size_t first = 0, rows = 0; first < tokens; first += rows) {
        rows = tokens - first < ROWS ? tokens - first : ROWS;
        size_t seen = spec->causal ? first + rows : tokens, pitch = nn_padded(rows);
        encoder->kernels->turn(rows, width, 3 * s, q + first * 3 * s, pitch, room->turned);
        nn_encoder_multiply(encoder->isa,
                            &(la_shape){.m = seen, .n = pitch, .k = width, .lda = 3 * s, .ldb = pitch, .ldc = pitch}, k,
                            room->turned, room->chances);
        encoder->kernels->attention(seen, first, spec->causal, pitch, (float)(1 / sqrt((double)width)), NULL,
                                    room->chances, NULL);
        nn_encoder_multiply(
            encoder->isa,
            &(la_shape){.transpose = LA_TN, .m = rows, .n = width, .k = seen, .lda = pitch, .ldb = 3 * s, .ldc = s},
            room->chances, v, attended + first * s + head * width);
    }
}

/* Attention of one query, q and `attended` [s], over `seen` tokens whose keys and values are `pitch` apart. */
static void attend_one(const nn_encoder *encoder, size_t seen, const float *q, const float *k, const float *v,
                       size_t pitch, float *chances, float *attended)
{
    size_t width = encoder->spec.width / encoder->spec.heads;
    for (size_t head = 0; head < encoder->spec.heads; head++) {
        size_t at = head * width;
        la_dots(encoder->isa, k + at, pitch, seen, width, q + at, chances);
        encoder->kernels->attention_one(seen, (float)(1 / sqrt((double)width)), chances);
        nn_encoder_multiply(encoder->isa,
                            &(la_shape){.m = 1, .n = width, .k = seen, .lda = seen, .ldb = pitch, .ldc = width},
                            chances, v + at, attended + at);
    }
}

static size_t tokens_of(const nn_pack *pack)
{
    return pack->count ? pack->starts[pack->count] : 0;
}

/* Queries, keys and values of all tokens. */
static void enter_all(const nn_encoder *encoder, size_t b, size_t tokens, const buffers *room, const float *x)
{
    size_t s = encoder->stride;
    for (size_t first = 0; first < tokens; first += ROWS)
        enter(encoder, b, tokens - first < ROWS ? tokens - first : ROWS, x + first * s, room->normed,
              room->qkv + first * 3 * s);
}

static void run_block(const nn_encoder *encoder, size_t b, const nn_pack *pack, const buffers *room, float *x)
{
    size_t s = encoder->stride, tokens = tokens_of(pack);
    enter_all(encoder, b, tokens, room, x);
    for (size_t i = 0; i < pack->count; i++) {
        size_t first = pack->starts[i], count = pack->starts[i + 1] - first;
        for (size_t head = 0; head < encoder->spec.heads; head++)
            attend(encoder, head, count, room->qkv + first * 3 * s, room, room->attended + first * s);
    }
    for (size_t first = 0; first < tokens; first += ROWS)
        leave(encoder, b, tokens - first < ROWS ? tokens - first : ROWS, room->attended + first * s, room,
              x + first * s);
}

/* What is beyond the width in `attended` is never written by attention. */
static void clear_attended(const nn_encoder *encoder, size_t tokens, const buffers *room)
{
    if (encoder->spec.width < encoder->stride)
        memset(room->attended, 0, tokens * encoder->stride * sizeof *room->attended);
}

void nn_encoder_run(const nn_encoder *encoder, const nn_pack *pack, void *scratch, float *x)
{
    buffers room;
    size_t tokens = tokens_of(pack);
    (void)lay_out(encoder, tokens, scratch, &room);
    clear_attended(encoder, tokens, &room);
    for (size_t b = 0; b < encoder->spec.blocks; b++)
        run_block(encoder, b, pack, &room, x);
}

void nn_encoder_last(const nn_encoder *encoder, const nn_pack *pack, void *scratch, float *x, float *out)
{
    buffers room;
    size_t s = encoder->stride, tokens = tokens_of(pack), b = encoder->spec.blocks - 1;
    (void)lay_out(encoder, tokens, scratch, &room);
    clear_attended(encoder, tokens, &room);
    for (size_t i = 0; i < b; i++)
        run_block(encoder, i, pack, &room, x);
    enter_all(encoder, b, tokens, &room, x);
    /* The last tokens' attention goes to the first rows of `attended`, of which there are enough, and their inputs to
     * `out`. */
    size_t found = 0;
    for (size_t i = 0; i < pack->count; i++) {
        size_t first = pack->starts[i], count = pack->starts[i + 1] - first;
        if (count == 0)
            continue;
        const float *k = room.qkv + first * 3 * s + s;
        attend_one(encoder, count, k - s + (count - 1) * 3 * s, k, k + s, 3 * s, room.chances,
                   room.attended + found * s);
        memcpy(out + found * s, x + (first + count - 1) * s, s * sizeof *out);
        found++;
    }
    for (size_t first = 0; first < found; first += ROWS)
        leave(encoder, b, found - first < ROWS ? found - first : ROWS, room.attended + first * s, &room,
              out + first * s);
    /* Apart, from the last on, where sequences are empty. */
    for (size_t i = pack->count; i-- > 0;) {
        if (pack->starts[i] == pack->starts[i + 1])
            memset(out + i * s, 0, s * sizeof *out);
        else if (--found != i)
            memcpy(out + i * s, out + found * s, s * sizeof *out);
    }
}

/* ---- one token more ------------------------------------------------------------ */

struct nn_cache {
    size_t length;
    float *kept; /* [block][length][2 s]: keys and values */
    float *room; /* [s] x 2, [3 s] and the scratch of one token */
};

forage_status nn_cache_create(const nn_encoder *encoder, nn_cache **cache, forage_error *error)
{
    *cache = NULL;
    if (!encoder->spec.causal)
        return forage_fail(error, FORAGE_INVALID,
                           "keys and values can be kept for an encoder that is causal alone: in others, a new token "
                           "changes what all tokens are");
    nn_cache *made = forage_calloc(1, sizeof *made);
    if (made) {
        made->kept = forage_calloc(encoder->spec.blocks * encoder->spec.length, 2 * encoder->stride * sizeof(float));
        made->room = forage_calloc(1, nn_encoder_scratch_size(encoder, 1));
    }
    if (!made || !made->kept || !made->room) {
        nn_cache_free(made);
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for the keys and values of %zu tokens",
                           encoder->spec.length);
    }
    *cache = made;
    return FORAGE_OK;
}

void nn_cache_free(nn_cache *cache)
{
    if (!cache)
        return;
    forage_free(cache->kept);
    forage_free(cache->room);
    forage_free(cache);
}

void nn_cache_clear(nn_cache *cache)
{
    cache->length = 0;
}

size_t nn_cache_length(const nn_cache *cache)
{
    return cache->length;
}

void nn_cache_append(const nn_encoder *encoder, nn_cache *cache, const float *x, float *out)
{
    buffers room;
    size_t s = encoder->stride, length = encoder->spec.length;
    (void)lay_out(encoder, 1, cache->room, &room);
    clear_attended(encoder, 1, &room);
    memmove(out, x, s * sizeof *out);
    for (size_t b = 0; b < encoder->spec.blocks; b++) {
        float *kept = cache->kept + b * length * 2 * s;
        enter(encoder, b, 1, out, room.normed, room.qkv);
        memcpy(kept + cache->length * 2 * s, room.qkv + s, 2 * s * sizeof *kept);
        attend_one(encoder, cache->length + 1, room.qkv, kept, kept + s, 2 * s, room.chances, room.attended);
        leave(encoder, b, 1, room.attended, &room, out);
    }
    cache->length++;
}
