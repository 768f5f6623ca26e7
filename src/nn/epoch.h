/*
 * epoch.h: the rows of an epoch, in the order in which they are learned from.
 *
 * An epoch's order is a fresh shuffle of all rows, cut into batches. Within a batch the order
 * makes no difference but to speed: the rows are sorted by the code of the first table (its users), so that
 * a worker reads and later updates neighbouring rows of that table, which stay in its core's cache.
 * The columns are copied into that order, so that a step reads them from front to back.
 *
 * Memory: 4 bytes per row for every column and the reward, and 4 for the order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_EPOCH_H
#define NN_EPOCH_H

#include "nn/mlp.h"

typedef struct nn_epoch nn_epoch;

/* For the rows of `columns` (of which rows, first and count are ignored): `count` of them, at most 2^32 - 2, with their
 * `reward` (NULL: all 1). The columns must stay as they are as long as the epoch. */
forage_status nn_epoch_create(const nn_mlp *mlp, const nn_inputs *columns, const float *reward, size_t count,
                              size_t batch, int threads, nn_epoch **epoch, forage_error *error);
void nn_epoch_free(nn_epoch *epoch);

/* Draws a new order from `rng`. It depends on `rng` alone, not on the order before. */
void nn_epoch_draw(nn_epoch *epoch, forage_rng *rng);

/* Batches of an epoch; the last one may be smaller. */
size_t nn_epoch_batches(const nn_epoch *epoch);
/* Batch `index` of the order that was drawn last; `*reward` is indexed as the inputs are. */
nn_inputs nn_epoch_batch(const nn_epoch *epoch, size_t index, const float **reward);

#endif
