/*
 * kernels.h: the loops of a network that are not products, in one table per
 * instruction set. The plain C table is the reference; the others are the same C
 * compiled for wider vectors: every sum runs in the same order, so all of them
 * give the same bytes.
 *
 * Matrices are row-major with `stride` floats from row to row, a multiple of
 * NN_LANES; what lies between a row's width and its stride is zero and stays zero.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_KERNELS_H
#define NN_KERNELS_H

#include "forage/base.h"

enum {
    NN_LANES = 16,
    NN_LOSS_ROWS = 512, /* rows per call of `loss` */
};

/* The next multiple of NN_LANES. */
static inline size_t nn_padded(size_t width)
{
    return (width + NN_LANES - 1) / NN_LANES * NN_LANES;
}

/* One step of Adam (Kingma and Ba 2015, algorithm 1), as torch.optim.Adam does it:
 *   g += l2 (w - origin);  w *= shrink;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
 *   w -= rate m / (sqrt(v) * root + epsilon)
 * with rate = lr / (1 - beta1^t), root = 1 / sqrt(1 - beta2^t). */
typedef struct nn_adam_step {
    float beta1, beta2, epsilon;
    float rate, root;
    float l2;     /* weight decay as a term of the loss */
    float shrink; /* 1, or 1 - lr x decay for decoupled weight decay (Loshchilov and Hutter 2019) */
} nn_adam_step;

/* What dropout does to rows: each number falls with probability threshold / 2^32, the others are scaled; a hash of
 * (keys[row], column) decides. */
typedef struct nn_drop {
    const uint32_t *keys;
    uint32_t threshold;
    float scale;
} nn_drop;

typedef struct nn_kernels {
    /* Copies row codes[i] (of `width` floats) of `table` to out[i * stride]; codes beyond `last` read row `last`. */
    void (*gather)(size_t rows, const uint32_t *codes, uint32_t last, size_t width, const float *table, size_t stride,
                   float *out);
    /* y = max(y + bias, 0) */
    void (*bias_relu)(size_t rows, size_t stride, const float *bias, float *y);
    /* y + bias where that is above 0, else `leak` times it. */
    void (*bias_leaky)(size_t rows, size_t stride, float leak, const float *bias, float *y);
    /* Zeroes each y with probability `threshold` / 2^32 and scales the others: a hash of (key, place) decides,
     * so the same place falls whatever thread comes by. */
    void (*dropout)(size_t rows, size_t stride, uint32_t threshold, float scale, uint32_t key, float *y);
    /* dy = y != 0 ? dy * scale : 0, for y the output of ReLU (and dropout with that scale). */
    void (*mask)(size_t rows, size_t stride, float scale, const float *y, float *dy);
    /* The same, and dbias += column sums of dy. */
    void (*mask_bias)(size_t rows, size_t stride, float scale, const float *y, float *dy, float *dbias);
    /* dy *= scale where y > 0, leak * scale where y < 0, else 0; dbias += column sums of dy. */
    void (*mask_leaky)(size_t rows, size_t stride, float scale, float leak, const float *y, float *dy, float *dbias);
    /* z[i] = <h[i], w> + bias */
    void (*head)(size_t rows, size_t stride, const float *h, const float *w, float bias, float *z);
    /* p = 1 / (1 + exp(-z)) */
    void (*sigmoid)(size_t rows, const float *z, float *p);
    /* Binary cross-entropy of the logits, in its stable form max(z, 0) - z y + log(1 + exp(-|z|)): returns
     * the sum over rows (at most NN_LOSS_ROWS); dz = (sigmoid(z) - y) * scale. */
    double (*loss)(size_t rows, const float *z, const float *y, float scale, float *dz);
    /* The squared error, half of it: the sum over rows of (z - y)^2 / 2; dz = (z - y) * scale. */
    double (*squared)(size_t rows, const float *z, const float *y, float scale, float *dz);
    /* z[i] = exp((z[i] - 1) * scale), for z at most 1 (a cosine) and scale above 0; returns their sum. `count` is a
     * multiple of NN_LANES. */
    float (*exp_cosine)(size_t count, float scale, float *z);
    /* dh[i] = dz[i] w; dw += sum over rows of dz[i] h[i]; returns the sum of dz. `rows` is a multiple of NN_LANES. */
    float (*head_back)(size_t rows, size_t stride, const float *dz, const float *h, const float *w, float *dh,
                       float *dw);
    /* Row codes[i] - first of `out` [count][width] += in[i * stride ...], for i in order; other codes are passed over.
     */
    void (*scatter)(size_t rows, const uint32_t *codes, uint32_t first, uint32_t count, size_t width, size_t stride,
                    const float *in, float *out);
    /* out[0 ... width) += in[i * stride ...] for i = first, next[first] ... until FORAGE_NONE. */
    void (*add_chain)(uint32_t first, const uint32_t *next, size_t width, size_t stride, const float *in, float *out);
    /* out *= by */
    void (*scale)(size_t count, float by, float *out);
    /* out += in */
    void (*add)(size_t count, const float *in, float *out);
    /* ---- of transformer blocks (sequence_body.h); a `drop` that is NULL drops nothing ---- */

    /* xhat = (x - mean) * scale, scale = 1 / sqrt(variance + epsilon), of each row's `width` numbers; y = xhat * gain +
     * shift. xhat and scale [rows] may be NULL; y may be x. */
    void (*norm)(size_t rows, size_t width, size_t stride, float epsilon, const float *gain, const float *shift,
                 const float *x, float *xhat, float *scale, float *y);
    /* The way back: d, the gradient by y, becomes that by x, or, if `sum` is given, sum += that. dgain and dshift
     * [stride] += theirs. */
    void (*norm_back)(size_t rows, size_t width, size_t stride, const float *gain, const float *xhat,
                      const float *scale, float *d, float *dgain, float *dshift, float *sum);
    /* y += bias */
    void (*bias)(size_t rows, size_t stride, const float *bias, float *y);
    /* y = z P(z), for z = y + bias and P the normal distribution; slope (NULL: not wanted) is its derivative. */
    void (*bias_gelu)(size_t rows, size_t stride, const float *bias, float *slope, float *y);
    void (*drop)(size_t rows, size_t stride, const nn_drop *drop, float *y);
    /* out = base + drop(in + bias); out may be base or in. */
    void (*residual)(size_t rows, size_t stride, const float *bias, const nn_drop *drop, const float *in,
                     const float *base, float *out);
    /* The way back to `in`: out = drop(d), dbias += its column sums. */
    void (*residual_back)(size_t rows, size_t stride, const nn_drop *drop, const float *d, float *dbias, float *out);
    /* dy *= slope; dbias += column sums. */
    void (*slope_back)(size_t rows, size_t stride, const float *slope, float *dy, float *dbias);
    /* sums += column sums of `in`. */
    void (*add_rows)(size_t rows, size_t stride, const float *in, float *sums);
    /* out [columns][stride] = in [rows][pitch] transposed, zero beyond `rows`. */
    void (*turn)(size_t rows, size_t columns, size_t pitch, const float *in, size_t stride, float *out);
    /* s [keys][stride] is turned: a column holds what one query gives for each key, and queries, of which column 0 has
     * number `first`, lie side by side. Each column becomes the softmax of scale times itself; where `causal`, query i
     * sees keys 0 to i, and the other places, which may hold anything, become 0. With `drop`, whose keys are the
     * columns', out = drop(s), and what falls is marked: its s changes sign. */
    void (*attention)(size_t keys, size_t first, bool causal, size_t stride, float scale, const nn_drop *drop, float *s,
                      float *out);
    /* The same for one query that sees all of s [keys]: the same bytes. */
    void (*attention_one)(size_t keys, float scale, float *s);
    /* The way back of `attention` for queries 0, 1 ...: p, perhaps marked, becomes drop(p), and d, the gradient by
     * that, becomes the gradient by what s was. */
    void (*attention_back)(size_t keys, bool causal, size_t stride, float scale, float drop_scale, float *p, float *d);
    /* Row i: softmax of scale times its first count + i step numbers; the others become 0. */
    void (*softmax)(size_t rows, size_t count, size_t step, size_t stride, float scale, float *s);
    /* out = drop(p) for p not negative; what falls is marked: its p changes sign. */
    void (*drop_marked)(size_t rows, size_t stride, const nn_drop *drop, float *p, float *out);
    /* For p from `softmax`, perhaps marked: p = drop(p), and d, the gradient by drop(p), becomes that by s. */
    void (*softmax_back)(size_t rows, size_t stride, float scale, float drop_scale, float *p, float *d);
    /* `origin` NULL: 0. */
    void (*adam)(size_t count, const nn_adam_step *step, const float *g, const float *origin, float *w, float *m,
                 float *v);
    /* `steps` of it one after the other, which differ in rate, root and shrink alone, where g is 0: the same bytes as
     * from so many calls of `adam` without an origin, for finite numbers. `count` is a multiple of NN_LANES. */
    void (*adam_idle)(size_t count, size_t steps, const nn_adam_step *step, float *w, float *m, float *v);
} nn_kernels;

/* The table for `isa` (never NULL). */
const nn_kernels *nn_kernels_for(forage_isa isa);

#endif
