/*
 * trainer.h: one step of learning: forward, backward, Adam.
 *
 * A batch is cut into blocks of NN_BLOCK rows and these into at most
 * NN_GROUP_LIMIT groups of two blocks or more, whatever the number of threads. A group goes forward
 * and backward block by block and keeps its own sum of the layers' gradients; the
 * groups' sums are added in their order. The gradient of a table's row is the sum
 * over the batch's rows that name it, in their order, added up where the row is
 * updated: it is never stored for the whole table. So the same batch gives the same
 * bytes for any number of threads.
 *
 * Memory beside the network: 8 bytes per weight for Adam's moments; batch rows x
 * (input_stride + 2 x tables + 1) floats; NN_GROUP_LIMIT (or fewer) sums of the layers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_TRAINER_H
#define NN_TRAINER_H

#include "nn/mlp.h"

enum { NN_GROUP_LIMIT = 32 };

typedef struct nn_settings {
    double beta1, beta2, epsilon; /* Adam: 0.9, 0.999, 1e-8 */
    double decay;                 /* weight decay of the layers' weights and biases */
    double table_decay;           /* and of the tables */
    bool decoupled;               /* AdamW: shrinks the weights; otherwise a term of the gradient (torch.optim.Adam) */
    bool lazy;                    /* only rows of tables that the batch names move (torch.optim.SparseAdam) */
    double dropout;               /* probability of zeroing a hidden unit */
    double input_dropout;         /* and an input */
    bool squared;                 /* loss: half the squared error of z, instead of the cross-entropy of its sigmoid */
} nn_settings;

typedef struct nn_trainer nn_trainer;

/* The numbers of Adam's step `step` (from 1) with these settings and this decay. */
nn_adam_step nn_adam_at(const nn_settings *settings, double learning_rate, double decay, uint64_t step);

/* For batches of at most `batch_limit` rows. The network must outlive the trainer; between steps it may
 * be scored, not changed. */
forage_status nn_trainer_create(nn_mlp *mlp, const nn_settings *settings, size_t batch_limit, int threads,
                                nn_trainer **trainer, forage_error *error);
void nn_trainer_free(nn_trainer *trainer);

/* One step on a batch with `reward`, indexed as the inputs are: the gradient of the mean loss (of binary
 * cross-entropy as a rule; each row times its weight), then Adam with `learning_rate`. `key` is the seed of this step's
 * dropout. Returns the batch's summed loss before the step. */
double nn_trainer_step(nn_trainer *trainer, const nn_inputs *inputs, const float *reward, double learning_rate,
                       uint64_t key);
/* The first half of a step, for tests: the loss, and the gradient of its mean with respect to every weight, laid
 * out as mlp->values. */
double nn_trainer_gradient(nn_trainer *trainer, const nn_inputs *inputs, const float *reward, uint64_t key,
                           float *gradient);

/* The gradient of the mean loss with respect to the inputs of the last batch, row by row in its order: [batch]
 * [input_stride], numbers behind the tables' columns. For whoever made these numbers by a network of their own. Valid
 * until the next step. */
const float *nn_trainer_input_gradient(const nn_trainer *trainer);

/* Forgets Adam's moments and the steps taken, and sets the decays: another training with the same memory. Decay that is
 * a term of the gradient pulls towards `origin`, laid out as mlp->values (NULL: towards 0; borrowed). */
void nn_trainer_restart(nn_trainer *trainer, double decay, double table_decay, const float *origin);
/* Adam's memory, for checkpoints: both laid out as mlp->values, and the number of steps taken. */
float *nn_trainer_mean(nn_trainer *trainer);
float *nn_trainer_square(nn_trainer *trainer);
uint64_t nn_trainer_steps(const nn_trainer *trainer);
void nn_trainer_set_steps(nn_trainer *trainer, uint64_t steps);

#endif
