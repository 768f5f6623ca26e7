/*
 * sasrec_train.h: one step of Adam on a batch of sequences.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_SASREC_TRAIN_H
#define MODEL_SASREC_TRAIN_H

#include "model/sasrec.h"

/* A piece of what somebody met, to learn from: items[0] ... items[count], of which all but the last go in, and all but
 * the first are to be told from those before them. */
typedef struct sasrec_part {
    const uint32_t *items;
    const uint32_t *owned; /* [owned_count] all that they met, rising: no negatives of their own */
    uint32_t count, owned_count;
} sasrec_part;

/* What negatives are drawn from: every item that occurs, alike or by a power of how often (by aliases: Walker 1977). */
typedef struct sasrec_negatives {
    size_t count;
    uint32_t *items; /* [count] */
    float *chance;   /* [count] NULL: all alike */
    uint32_t *alias; /* [count] */
    float *log_q;    /* [items of the state] NULL: all alike */
} sasrec_negatives;

/* sasrec_negatives.c: those that the parameters ask for; nothing for the softmax over all items. */
forage_status sasrec_negatives_create(const model_state *state, const forage_past *past, sasrec_negatives *negatives,
                                      forage_error *error);
/* What there is of them, after a failure too. */
void sasrec_negatives_release(sasrec_negatives *negatives);

typedef struct sasrec_group sasrec_group;

typedef struct sasrec_trainer {
    model_state *state;
    const nn_kernels *kernels;
    size_t sequences, tokens, group_tokens; /* of a batch, of a group at most */
    nn_next *loss;
    nn_next_kind kind;
    size_t negatives; /* drawn for a step (each position, own_negatives) */
    bool own_negatives;
    const sasrec_negatives *source;
    bool lazy, decoupled;
    double decay, table_decay, clip;
    nn_adam_step adam;
    double beta1, beta2;
    float dropout;
    uint32_t threshold;
    uint64_t seed;  /* of dropout and negatives */
    uint64_t steps; /* of Adam so far */

    size_t table_count, dense_count;             /* floats of the table; of positions and encoder */
    float *mean, *square;                        /* [table_count + dense_count] of Adam */
    float *gradient;                             /* [table_count] zero between steps */
    float *dense;                                /* [dense_count] */
    float *sums;                                 /* [groups, dense_count] */
    float *x, *h, *d_h;                          /* [tokens, pitch] */
    uint32_t *inputs, *targets, *places, *drawn; /* [tokens] and the negatives */
    bool *touched;                               /* [items] lazy: has a gradient in this step */
    double *norms;                               /* [chunks] */
    sasrec_group *groups;

    /* Of the step at hand. */
    size_t count, group_count; /* tokens */
    uint64_t key;
    nn_adam_step table_step, dense_step;
    float shrink; /* of the gradient, where it is too long */
} sasrec_trainer;

/* For batches of up to `sequences` parts with `tokens` inputs in all, none longer than state->length. `source` is
 * borrowed; not looked at with the softmax over all items. */
forage_status sasrec_trainer_create(model_state *state, size_t sequences, size_t tokens, double dropout,
                                    const sasrec_negatives *source, sasrec_trainer **trainer, forage_error *error);
void sasrec_trainer_free(sasrec_trainer *trainer); /* NULL is fine */
/* Bytes that it takes; of the state its sizes and an encoder are enough. */
double sasrec_trainer_memory(const model_state *state, size_t sequences, size_t tokens);
/* One step with this learning rate; the mean loss of the positions before it. Where that is no finite number the
 * weights are left as they were. */
double sasrec_trainer_step(sasrec_trainer *trainer, const sasrec_part *const *parts, size_t count, double rate);
/* The first half of a step, for tests: the loss, and the gradients in trainer->gradient and trainer->dense. */
double sasrec_trainer_gradient(sasrec_trainer *trainer, const sasrec_part *const *parts, size_t count);
/* The loss of a model that only guesses. */
double sasrec_trainer_guess(const sasrec_trainer *trainer);

#endif
