/*
 * checkpoint.h: named tensors in a safetensors file, for reading and writing.
 *
 * Format (huggingface/safetensors, README "Format"): 8 bytes, the length N of the
 * header, unsigned little-endian; N bytes of JSON, which map each tensor's name to
 * {"dtype", "shape", "data_offsets": [begin, end]} and "__metadata__" to strings;
 * then the tensors' bytes, row-major, little-endian, without holes.
 *
 * A checkpoint belongs to one thread at a time while it is built; reading one that
 * is complete is fine from any number of threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NN_CHECKPOINT_H
#define NN_CHECKPOINT_H

#include "forage/base.h"

/* Element types: our name, the file's name, bytes per element. */
#define NN_DTYPE_LIST(X) \
    X(F32, "F32", 4)     \
    X(F64, "F64", 8)     \
    X(F16, "F16", 2)     \
    X(BF16, "BF16", 2)   \
    X(I64, "I64", 8)     \
    X(I32, "I32", 4)     \
    X(I16, "I16", 2)     \
    X(I8, "I8", 1)       \
    X(U64, "U64", 8)     \
    X(U32, "U32", 4)     \
    X(U16, "U16", 2)     \
    X(U8, "U8", 1)       \
    X(BOOL, "BOOL", 1)

typedef enum nn_dtype {
#define NN_DTYPE_ENUM(name, text, size) NN_##name,
    NN_DTYPE_LIST(NN_DTYPE_ENUM)
#undef NN_DTYPE_ENUM
} nn_dtype;

/* "F32" */
const char *nn_dtype_name(nn_dtype dtype);
/* Bytes per element. */
size_t nn_dtype_size(nn_dtype dtype);

enum {
    NN_RANK_LIMIT = 8,                   /* dimensions of a tensor */
    NN_HEADER_LIMIT = 100 * 1000 * 1000, /* bytes of JSON, the limit of the format's own reader */
};

/* One tensor of a checkpoint. `bytes` need not be aligned in a file that was read:
 * copy it out (nn_checkpoint_read) rather than cast it. */
typedef struct nn_tensor {
    char *name;
    nn_dtype dtype;
    size_t rank;
    size_t shape[NN_RANK_LIMIT];
    const unsigned char *bytes;
    size_t size; /* in bytes: the product of `shape` times the element's size */
} nn_tensor;

typedef struct nn_checkpoint nn_checkpoint;

/* An empty one, to be filled and saved. */
forage_status nn_checkpoint_create(nn_checkpoint **checkpoint, forage_error *error);
/* NULL is fine. */
void nn_checkpoint_free(nn_checkpoint *checkpoint);

/* Adds a tensor. `name` and `shape` are copied; `data` is not: it must stay as it is
 * until the checkpoint is saved. Tensors are written in the order they were added.
 * FORAGE_INVALID for a name that is taken, empty or not UTF-8, or too many dimensions. */
forage_status nn_checkpoint_add(nn_checkpoint *checkpoint, const char *name, nn_dtype dtype, size_t rank,
                                const size_t *shape, const void *data, forage_error *error);
/* Sets a text of the file's metadata (both are copied, UTF-8); a second value replaces the first. */
forage_status nn_checkpoint_set_metadata(nn_checkpoint *checkpoint, const char *key, const char *value,
                                         forage_error *error);
/* Writes the file whole or not at all. Same tensors and metadata, in the same order: same bytes. */
forage_status nn_checkpoint_save(const nn_checkpoint *checkpoint, const char *path, forage_error *error);

/* Reads a file and checks all of it before anything can be used: lengths, JSON, types,
 * shapes, and that the tensors tile the data exactly. FORAGE_FORMAT says what is wrong. */
forage_status nn_checkpoint_load(const char *path, nn_checkpoint **checkpoint, forage_error *error);
/* The same from memory. On success the checkpoint owns `bytes` (a forage_alloc block);
 * on failure the caller still does. `name` stands for the file in messages. */
forage_status nn_checkpoint_parse(char *bytes, size_t size, const char *name, nn_checkpoint **checkpoint,
                                  forage_error *error);

/* The path it was loaded from, for messages; "" for one that was created. */
const char *nn_checkpoint_path(const nn_checkpoint *checkpoint);
size_t nn_checkpoint_count(const nn_checkpoint *checkpoint);
/* The tensor at `index` (< count), in the order of the data; NULL beyond. */
const nn_tensor *nn_checkpoint_at(const nn_checkpoint *checkpoint, size_t index);
/* The tensor of that name, or NULL. */
const nn_tensor *nn_checkpoint_find(const nn_checkpoint *checkpoint, const char *name);
/* The metadata's value for `key`, or NULL. Valid as long as the checkpoint. */
const char *nn_checkpoint_metadata(const nn_checkpoint *checkpoint, const char *key);

/* Copies the tensor `name` to `data` after checking that it is there with this type and
 * exactly this shape. FORAGE_FORMAT with the file, the name and both shapes otherwise. */
forage_status nn_checkpoint_read(const nn_checkpoint *checkpoint, const char *name, nn_dtype dtype, size_t rank,
                                 const size_t *shape, void *data, forage_error *error);
/* The same for weights: float32, and every number finite. */
forage_status nn_checkpoint_read_weights(const nn_checkpoint *checkpoint, const char *name, size_t rank,
                                         const size_t *shape, float *data, forage_error *error);
/* Finds `name` as a tensor of this type and rank whatever its shape, to learn sizes from it. */
forage_status nn_checkpoint_need(const nn_checkpoint *checkpoint, const char *name, nn_dtype dtype, size_t rank,
                                 const nn_tensor **tensor, forage_error *error);

#endif
