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

/* Rows of the item table: which ones a step looks at (inputs, targets, negatives), and the steps that others have not
 * had yet. */
typedef struct sasrec_rows {
    bool all;         /* every step looks at every row: nothing below is there */
    bool put_off;     /* rows that a step does not look at have it later; else (lazy) never */
    uint64_t *looked; /* [items / 64, rounded up] a bit for each row */
    uint32_t *before; /* beside them: rows of the words before */
    uint32_t *list;   /* [most] rows of the step, rising */
    uint32_t *first;  /* [most] the first input that is the row, or FORAGE_NONE */
    uint32_t *next;   /* [tokens] the next input that is the same row */
    size_t count;     /* of `list` */

    nn_adam_step *steps; /* [SASREC_STEPS_KEPT] that some rows have not had */
    uint32_t *had;       /* [items] steps of these that a row has had */
    size_t kept;
} sasrec_rows;

enum {
    SASREC_ROWS = 1024,       /* of the table, in a chunk; whole words of bits */
    SASREC_STEPS_KEPT = 1024, /* before all rows have them */
};

typedef struct sasrec_trainer {
    model_state *state;
    const nn_kernels *kernels;
    size_t sequences, tokens, group_tokens; /* of a batch, of a group at most */
    nn_next *loss;
    nn_next_kind kind;
    size_t negatives; /* drawn for a step (each position, own_negatives) */
    bool own_negatives;
    const sasrec_negatives *source;
    bool decoupled;
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
    double *norms;                               /* [chunks] */
    sasrec_rows rows;
    sasrec_group *groups;
    nn_tape **tapes; /* of groups, or of threads */

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
 * weights are left as they were. Rows of the item table that the step does not look at move when they are next looked
 * at, by the very operations that would have moved them in the step. */
double sasrec_trainer_step(sasrec_trainer *trainer, const sasrec_part *const *parts, size_t count, double rate);
/* The first half of a step, for tests: the loss, and the gradients in trainer->gradient and trainer->dense. */
double sasrec_trainer_gradient(sasrec_trainer *trainer, const sasrec_part *const *parts, size_t count);
/* Moves all rows of the item table (and what Adam knows of them) to where the steps so far lead. To be called before
 * anything else reads them; it changes no byte of what later steps do. */
void sasrec_trainer_settle(sasrec_trainer *trainer);
/* The loss of a model that only guesses. */
double sasrec_trainer_guess(const sasrec_trainer *trainer);

/* sasrec_rows.c: `most` rows are looked at in a step; nothing is left allocated where it fails. */
bool sasrec_rows_create(sasrec_rows *rows, size_t items, size_t most, size_t tokens);
void sasrec_rows_release(sasrec_rows *rows);
double sasrec_rows_memory(size_t items, size_t most, size_t tokens);
/* Lists what the step looks at, and brings it up to date. */
void sasrec_rows_look(sasrec_trainer *trainer);
/* The places in `list` of the rows of a chunk: [*begin, *end). */
void sasrec_rows_chunk(const sasrec_trainer *trainer, size_t chunk, size_t *begin, size_t *end);
/* Fetches what Adam will read of a row, from places that no processor foresees. */
void sasrec_rows_fetch(const sasrec_trainer *trainer, size_t row);
/* The rows of the list have had this step; the others have it to come. */
void sasrec_rows_moved(sasrec_trainer *trainer, const nn_adam_step *step);

#endif
