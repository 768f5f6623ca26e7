/*
 * bst.h: what the files of bst share.
 *
 *   bst.c         descriptor, shape, checkpoints
 *   bst_batch.c   examples as sequences of tokens, and what the network over them reads
 *   bst_fit.c     the loop of fitting
 *   bst_train.c   one step: forward, backward, Adam
 *   bst_score.c   scoring
 *   bst_extend.c  going on in a world that has grown
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MODEL_BST_H
#define MODEL_BST_H

#include "model/descriptor.h"
#include "nn/nn.h"

enum {
    BST_NAME = 128,     /* bytes of a tensor's name */
    BST_GAPS = 66,      /* rows of the table of time gaps: the target's, and 1 + log2 of what fits 64 bits */
    BST_ROWS = NN_BLOCK /* examples that are scored together */
};

/* Streams of random numbers of one seed. */
enum { BST_STREAM_WEIGHTS, BST_STREAM_ORDER, BST_STREAM_DROPOUT };

/* What makes a part of a token: a category's embedding; a number times its vector; when it was; what became of it. */
typedef enum bst_kind { BST_CATEGORY, BST_NUMBER, BST_POSITION, BST_OUTCOME } bst_kind;

/* What the outcome's rows stand for. */
enum { BST_TARGET, BST_REFUSED, BST_CHOSEN, BST_OUTCOMES };

typedef struct bst_table {
    char name[BST_NAME];
    bst_kind kind;
    size_t field; /* of the schema, of a category or a number */
    size_t rows, width;
    size_t refused; /* of a category that was refused: added to its code, which has a row of its own; 0: it has not */
    size_t column;  /* in a token */
    size_t offset;  /* in values: [rows + 1][width], the last row being the average of the others, for unknown codes */
} bst_table;

typedef enum bst_encoder { BST_TRANSFORMER, BST_MEAN, BST_NONE } bst_encoder;
typedef enum bst_output { BST_CONCAT, BST_LAST, BST_POOLED } bst_output;

struct model_state {
    const forage_params *params;
    const forage_schema *schema;
    const forage_device *device;
    uint64_t seed;
    bst_encoder kind;
    bst_output output;
    bool timed;     /* positions are gaps of time, else places */
    bool settled;   /* and that is so, because an older model had it so */
    size_t length;  /* events of a history at most */
    size_t limit;   /* tokens of a sequence at most: those, and the target */
    size_t width;   /* of a token */
    size_t stride;  /* nn_padded */
    size_t bags;    /* means of the history, without a transformer: of what was chosen, and of what was refused */
    size_t outputs; /* columns that the sequence gives to the network: the first of its numbers */
    size_t table_count;
    bst_table *tables;
    size_t value_count;
    float *values;       /* of the tables */
    nn_encoder *encoder; /* NULL without a transformer */
    bool last_alone;     /* of the encoder's one block the target's output is all that is wanted (nn/target.h) */
    nn_mlp *mlp;
    size_t *mlp_fields; /* [tables, then the other numbers] which field of the schema */
    float *packed_mlp;  /* tensors that a checkpoint under way needs in one piece */
    float *packed_encoder;
};

/* ---- bst_batch.c ---- */

/* Examples on their way through the model. */
typedef struct bst_batch {
    const forage_examples *examples;
    const uint32_t *rows; /* which, in this order; NULL: first, first + 1 ... */
    size_t first, count, tokens;
    bool without_history; /* the targets alone */
    double crop;          /* share of examples, in training, whose history is cut to its last events */
    uint64_t key;         /* decides which, and where */
    uint32_t *starts;     /* [count + 1] sequence i is tokens [starts[i], starts[i + 1]), the last one the target */
    uint32_t **codes;     /* [table][token]; NULL for numbers */
    float **values;       /* [table][token]; NULL for all but numbers */
    float *x;             /* [token][stride] */
    uint32_t **mlp_codes; /* [table of the network][example] */
    float *matrix;        /* [example][numbers of the network] */
} bst_batch;

/* Bytes that a batch of up to `count` examples of up to `limit` tokens takes, a multiple of 64 (as a double it may be
 * anything). */
double bst_batch_size(const model_state *state, size_t count, size_t limit);
/* One in `memory` of that size, aligned to 64. With a limit of 1 it holds targets without their history. */
void bst_batch_place(const model_state *state, size_t count, size_t limit, void *memory, bst_batch *batch);
/* Which examples it has, and where their tokens will lie. */
void bst_batch_begin(const model_state *state, const forage_examples *examples, const uint32_t *rows, size_t first,
                     size_t count, bst_batch *batch);
/* Fills in examples [begin, end): codes, numbers, x, and what the network reads beside the sequence. */
void bst_batch_fill(const model_state *state, bst_batch *batch, size_t begin, size_t end);
/* From the encoder's output h [token][stride] (x itself where there is none) to what the network reads of it. */
void bst_batch_pool(const model_state *state, bst_batch *batch, size_t begin, size_t end, const float *h);
/* The same from the targets' outputs alone, h [example][stride]. */
void bst_batch_put(const model_state *state, bst_batch *batch, size_t begin, size_t end, const float *h);
/* And back: from the gradient by the network's numbers, one row per example and `pitch` apart, to dh. */
void bst_batch_unpool(const model_state *state, const bst_batch *batch, size_t begin, size_t end, const float *dx,
                      size_t pitch, float *dh);
void bst_batch_unput(const model_state *state, size_t begin, size_t end, const float *dx, size_t pitch, float *dh);

/* ---- bst_score.c ---- */

size_t bst_scratch_size(const model_state *state);
/* Logits of examples [first, first + count). */
void bst_logits(const model_state *state, const forage_examples *examples, size_t first, size_t count, void *scratch,
                float *z);

/* ---- bst_train.c ---- */

typedef struct bst_settings {
    nn_settings mlp; /* decay and the like are those of the encoder, too */
    double dropout, embedding_dropout, crop;
} bst_settings;

typedef struct bst_trainer bst_trainer;

forage_status bst_trainer_create(model_state *state, const bst_settings *settings, size_t batch_limit, int threads,
                                 bst_trainer **trainer, forage_error *error);
void bst_trainer_free(bst_trainer *trainer);
/* Bytes that it takes, the model not included. */
double bst_trainer_memory(const model_state *state, size_t batch_limit);
/* One step on examples rows[0 ... count): the gradient of the mean cross-entropy, then Adam. Returns the summed loss
 * before it. `key` is the seed of this step's dropout. */
double bst_trainer_step(bst_trainer *trainer, const forage_examples *examples, const uint32_t *rows, size_t count,
                        double rate, uint64_t key);
/* The first half of a step, for tests: the loss, and the gradients of its mean by state->values and the encoder's and
 * the network's values, laid out as these. */
double bst_trainer_gradient(bst_trainer *trainer, const forage_examples *examples, const uint32_t *rows, size_t count,
                            uint64_t key, float *tables, float *encoder, float *mlp);

/* All weights, and Adam's memory of each, in blocks: for checkpoints, and to keep the best. */
typedef struct bst_block {
    const char *name;
    size_t count;
    float *values, *mean, *square;
} bst_block;

enum { BST_BLOCKS = 3 };

/* The blocks that there are, at most BST_BLOCKS. */
size_t bst_trainer_blocks(bst_trainer *trainer, bst_block blocks[BST_BLOCKS]);
uint64_t bst_trainer_steps(const bst_trainer *trainer);
void bst_trainer_set_steps(bst_trainer *trainer, uint64_t steps);

/* ---- bst.c ---- */

/* The average row of every table. */
void bst_average(model_state *state);
/* After weights changed: transposed copies; and those and the average rows. */
void bst_refresh_copies(model_state *state);
void bst_refresh(model_state *state);
/* Before the first step of a fit: whether positions are times. */
forage_status bst_resolve(model_state *state, const forage_examples *examples, forage_error *error);

/* ---- bst_extend.c ---- */

forage_status bst_extend(model_state *state, const model_state *old, const uint32_t *user_map, const uint32_t *item_map,
                         const forage_examples *events, forage_error *error);

/* ---- bst_fit.c ---- */

forage_status bst_fit_begin(model_state *state, const model_fit_input *input, model_fit **fit, forage_error *error);
forage_status bst_fit_step(model_fit *fit, model_progress *progress, forage_error *error);
void bst_fit_end(model_fit *fit, bool keep);
forage_status bst_fit_save(const model_fit *fit, nn_checkpoint *checkpoint, forage_error *error);
forage_status bst_fit_resume(model_fit *fit, const nn_checkpoint *checkpoint, forage_error *error);

#endif
