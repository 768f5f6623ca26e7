/*
 * checkpoint.c: safetensors files (the format stands in checkpoint.h).
 *
 * Whatever comes from a file is hostile: every length is checked against what is
 * there before it is used, and nothing is handed out before all of it is checked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "nn/checkpoint.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors are little-endian, and so must this machine be"
#endif

#define METADATA "__metadata__"

struct nn_checkpoint {
    char *path;
    char *file; /* the bytes of a loaded file, NULL for one that is being built */
    nn_tensor *tensors;
    size_t count, capacity;
    json_t *metadata; /* object of strings */
};

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
#define NN_DTYPE_ROW(name, text, size) {text, size},
    NN_DTYPE_LIST(NN_DTYPE_ROW)
#undef NN_DTYPE_ROW
};

const char *nn_dtype_name(nn_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t nn_dtype_size(nn_dtype dtype)
{
    return dtypes[dtype].size;
}

static bool dtype_parse(const char *name, nn_dtype *dtype)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *dtype = (nn_dtype)i;
            return true;
        }
    }
    return false;
}

static forage_status out_of_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a checkpoint");
}

/* The size in bytes of a tensor; false when it does not fit a size_t. */
static bool tensor_size(nn_dtype dtype, size_t rank, const size_t *shape, size_t *size)
{
    size_t bytes = dtypes[dtype].size;
    for (size_t i = 0; i < rank; i++) {
        if (__builtin_mul_overflow(bytes, shape[i], &bytes))
            return false;
    }
    *size = bytes;
    return true;
}

/* "[50, 32]" into a fixed buffer, for messages. */
static const char *shape_text(size_t rank, const size_t *shape, char buffer[128])
{
    size_t at = 0;
    buffer[at++] = '[';
    for (size_t i = 0; i < rank && at < 100; i++) {
        int n = snprintf(buffer + at, 128 - at, "%s%zu", i ? ", " : "", shape[i]);
        at += n > 0 ? (size_t)n : 0;
    }
    buffer[at++] = ']';
    buffer[at] = '\0';
    return buffer;
}

forage_status nn_checkpoint_create(nn_checkpoint **checkpoint, forage_error *error)
{
    *checkpoint = NULL;
    nn_checkpoint *made = forage_calloc(1, sizeof *made);
    if (!made)
        return out_of_memory(error);
    made->path = forage_strdup("");
    made->metadata = json_object();
    if (!made->path || !made->metadata) {
        nn_checkpoint_free(made);
        return out_of_memory(error);
    }
    *checkpoint = made;
    return FORAGE_OK;
}

void nn_checkpoint_free(nn_checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    for (size_t i = 0; i < checkpoint->count; i++)
        forage_free(checkpoint->tensors[i].name);
    forage_free(checkpoint->tensors);
    json_decref(checkpoint->metadata);
    forage_free(checkpoint->file);
    forage_free(checkpoint->path);
    forage_free(checkpoint);
}

/* Room for one more tensor, zeroed, with its name; not counted yet. */
static nn_tensor *tensor_append(nn_checkpoint *checkpoint, const char *name, forage_error *error)
{
    if (checkpoint->count == checkpoint->capacity) {
        size_t capacity = checkpoint->capacity ? 2 * checkpoint->capacity : 16;
        nn_tensor *grown = forage_realloc(checkpoint->tensors, checkpoint->capacity, capacity, sizeof *grown);
        if (!grown) {
            (void)out_of_memory(error);
            return NULL;
        }
        checkpoint->tensors = grown;
        checkpoint->capacity = capacity;
    }
    nn_tensor *tensor = &checkpoint->tensors[checkpoint->count];
    *tensor = (nn_tensor){.name = forage_strdup(name)};
    if (!tensor->name) {
        (void)out_of_memory(error);
        return NULL;
    }
    checkpoint->count++;
    return tensor;
}

/* ---- writing ------------------------------------------------------------- */

forage_status nn_checkpoint_add(nn_checkpoint *checkpoint, const char *name, nn_dtype dtype, size_t rank,
                                const size_t *shape, const void *data, forage_error *error)
{
    size_t size = 0;
    if (rank > NN_RANK_LIMIT || !tensor_size(dtype, rank, shape, &size))
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, name, "this tensor is too large for a checkpoint");
    if (name[0] == '\0' || strcmp(name, METADATA) == 0 || nn_checkpoint_find(checkpoint, name))
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, name, "this tensor's name is empty or taken");
    nn_tensor *tensor = tensor_append(checkpoint, name, error);
    if (!tensor)
        return FORAGE_NO_MEMORY;
    tensor->dtype = dtype;
    tensor->rank = rank;
    if (rank > 0)
        memcpy(tensor->shape, shape, rank * sizeof *shape);
    tensor->bytes = data;
    tensor->size = size;
    return FORAGE_OK;
}

forage_status nn_checkpoint_set_metadata(nn_checkpoint *checkpoint, const char *key, const char *value,
                                         forage_error *error)
{
    json_t *text = json_string(value);
    if (!text)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, key, "metadata must be UTF-8");
    if (json_object_set_new(checkpoint->metadata, key, text) != 0)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, key, "metadata keys must be UTF-8");
    return FORAGE_OK;
}

/* The JSON header as text that the caller frees with free(); NULL on failure. */
static char *header_text(const nn_checkpoint *checkpoint, forage_error *error)
{
    char *text = NULL;
    json_t *root = json_object();
    if (!root)
        goto memory;
    if (json_object_size(checkpoint->metadata) > 0 && json_object_set(root, METADATA, checkpoint->metadata) != 0)
        goto memory;
    size_t offset = 0;
    for (size_t i = 0; i < checkpoint->count; i++) {
        const nn_tensor *tensor = &checkpoint->tensors[i];
        json_t *shape = json_array();
        for (size_t d = 0; shape && d < tensor->rank; d++) {
            if (json_array_append_new(shape, json_integer((json_int_t)tensor->shape[d])) != 0) {
                json_decref(shape);
                goto memory;
            }
        }
        size_t end = offset + tensor->size;
        json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[tensor->dtype].name, "shape", shape,
                                  "data_offsets", (json_int_t)offset, (json_int_t)end);
        if (!entry)
            goto memory;
        if (json_object_set_new(root, tensor->name, entry) != 0) {
            (void)forage_fail_at(error, FORAGE_INVALID, NULL, 0, tensor->name, "tensor names must be UTF-8");
            json_decref(root);
            return NULL;
        }
        offset = end;
    }
    text = json_dumps(root, JSON_COMPACT);
memory:
    if (!text)
        (void)out_of_memory(error);
    json_decref(root);
    return text;
}

forage_status nn_checkpoint_save(const nn_checkpoint *checkpoint, const char *path, forage_error *error)
{
    forage_output *output = NULL;
    forage_error local = {0};
    char *header = header_text(checkpoint, &local);
    if (!header) {
        if (error)
            *error = local;
        return local.status;
    }
    /* Spaces behind the JSON bring the data to a multiple of 8, as the format's own writer does. */
    size_t length = strlen(header), padded = (length + 7) / 8 * 8;
    forage_status status = FORAGE_OK;
    if (padded > NN_HEADER_LIMIT) {
        free(header);
        return forage_fail(error, FORAGE_UNSUPPORTED,
                           "the checkpoint's header (names and ids) would be %zu bytes, more than the format's %d",
                           padded, NN_HEADER_LIMIT);
    }
    uint64_t prefix = padded;
    FORAGE_TRY_GOTO(forage_output_open(path, &output, error), done);
    FORAGE_TRY_GOTO(forage_output_write(output, &prefix, sizeof prefix, error), done);
    FORAGE_TRY_GOTO(forage_output_write(output, header, length, error), done);
    FORAGE_TRY_GOTO(forage_output_write(output, "        ", padded - length, error), done);
    for (size_t i = 0; i < checkpoint->count; i++) {
        const nn_tensor *tensor = &checkpoint->tensors[i];
        FORAGE_TRY_GOTO(forage_output_write(output, tensor->bytes, tensor->size, error), done);
    }
    status = forage_output_commit(output, error);
    output = NULL;
done:
    forage_output_discard(output);
    free(header);
    return status;
}

/* ---- reading ------------------------------------------------------------- */

/* A JSON integer that is a size; false for anything else. */
static bool json_size(const json_t *value, size_t *size)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *size = (size_t)json_integer_value(value);
    return true;
}

/* One entry of the header against `data_size` bytes of data. Returns what is wrong, or NULL. */
static const char *entry_parse(const json_t *entry, const unsigned char *data, size_t data_size, nn_tensor *tensor)
{
    const json_t *dtype = json_object_get(entry, "dtype");
    const json_t *shape = json_object_get(entry, "shape");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (!json_is_object(entry) || !json_is_string(dtype) || !json_is_array(shape) || !json_is_array(offsets) ||
        json_array_size(offsets) != 2 || json_object_size(entry) != 3)
        return "needs exactly dtype, shape and two data_offsets";
    if (!dtype_parse(json_string_value(dtype), &tensor->dtype))
        return "has an unknown dtype";
    tensor->rank = json_array_size(shape);
    if (tensor->rank > NN_RANK_LIMIT)
        return "has too many dimensions";
    for (size_t d = 0; d < tensor->rank; d++) {
        if (!json_size(json_array_get(shape, d), &tensor->shape[d]))
            return "has a shape that is not made of whole numbers";
    }
    size_t begin = 0, end = 0;
    if (!json_size(json_array_get(offsets, 0), &begin) || !json_size(json_array_get(offsets, 1), &end))
        return "has data_offsets that are not whole numbers";
    if (begin > end || end > data_size)
        return "lies outside the file";
    if (!tensor_size(tensor->dtype, tensor->rank, tensor->shape, &tensor->size) || tensor->size != end - begin)
        return "has data_offsets that do not fit its shape";
    tensor->bytes = data + begin;
    return NULL;
}

/* By position in the data; empty tensors before the one that starts at the same place. */
static int tensor_compare(const void *left, const void *right)
{
    const nn_tensor *a = left, *b = right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? -1 : 1;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Takes the header's tensors and metadata over into `made`. */
static forage_status header_parse(nn_checkpoint *made, const json_t *root, const unsigned char *data, size_t data_size,
                                  const char *file, forage_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)root, key, value)
    {
        if (strcmp(key, METADATA) == 0) {
            const char *name;
            json_t *text;
            if (!json_is_object(value))
                return forage_fail_at(error, FORAGE_FORMAT, file, 0, METADATA, "must be an object of strings");
            json_object_foreach(value, name, text)
            {
                if (!json_is_string(text))
                    return forage_fail_at(error, FORAGE_FORMAT, file, 0, name, "metadata must be a string");
            }
            if (json_object_update(made->metadata, value) != 0)
                return out_of_memory(error);
            continue;
        }
        nn_tensor *tensor = tensor_append(made, key, error);
        if (!tensor)
            return FORAGE_NO_MEMORY;
        const char *wrong = entry_parse(value, data, data_size, tensor);
        if (wrong)
            return forage_fail_at(error, FORAGE_FORMAT, file, 0, key, "this tensor %s", wrong);
    }
    if (made->count > 0)
        qsort(made->tensors, made->count, sizeof *made->tensors, tensor_compare);
    const unsigned char *at = data;
    for (size_t i = 0; i < made->count; i++) {
        if (made->tensors[i].bytes != at)
            return forage_fail_at(error, FORAGE_FORMAT, file, 0, made->tensors[i].name,
                                  "this tensor overlaps another, or a hole lies before it");
        at += made->tensors[i].size;
    }
    if (at != data + data_size)
        return forage_fail_at(error, FORAGE_FORMAT, file, 0, NULL, "%zu bytes behind the last tensor",
                              (size_t)(data + data_size - at));
    return FORAGE_OK;
}

forage_status nn_checkpoint_parse(char *bytes, size_t size, const char *name, nn_checkpoint **checkpoint,
                                  forage_error *error)
{
    *checkpoint = NULL;
    uint64_t length = 0;
    if (size < sizeof length)
        return forage_fail_at(error, FORAGE_FORMAT, name, 0, NULL, "too short for a safetensors file");
    memcpy(&length, bytes, sizeof length);
    if (length > NN_HEADER_LIMIT)
        return forage_fail_at(error, FORAGE_FORMAT, name, 0, NULL, "not a safetensors file");
    if (length > size - sizeof length)
        return forage_fail_at(error, FORAGE_FORMAT, name, 0, NULL, "the file is cut short in its header");
    json_error_t json_error;
    json_t *root = json_loadb(bytes + sizeof length, (size_t)length, JSON_REJECT_DUPLICATES, &json_error);
    if (!root)
        return forage_fail_at(error, FORAGE_FORMAT, name, 0, NULL, "the header is not valid JSON: %s", json_error.text);
    const unsigned char *data = (const unsigned char *)bytes + sizeof length + length;
    size_t data_size = size - sizeof length - (size_t)length;
    nn_checkpoint *made = NULL;
    forage_status status = FORAGE_OK;
    if (!json_is_object(root)) {
        status = forage_fail_at(error, FORAGE_FORMAT, name, 0, NULL, "the header is not a JSON object");
        goto failed;
    }
    FORAGE_TRY_GOTO(nn_checkpoint_create(&made, error), failed);
    forage_free(made->path);
    made->path = forage_strdup(name);
    if (!made->path) {
        status = out_of_memory(error);
        goto failed;
    }
    FORAGE_TRY_GOTO(header_parse(made, root, data, data_size, name, error), failed);
    json_decref(root);
    made->file = bytes;
    *checkpoint = made;
    return FORAGE_OK;
failed:
    json_decref(root);
    nn_checkpoint_free(made);
    return status;
}

forage_status nn_checkpoint_load(const char *path, nn_checkpoint **checkpoint, forage_error *error)
{
    *checkpoint = NULL;
    char *bytes = NULL;
    size_t size = 0;
    FORAGE_TRY(forage_read_file(path, SIZE_MAX / 2, &bytes, &size, error));
    forage_status status = nn_checkpoint_parse(bytes, size, path, checkpoint, error);
    if (status != FORAGE_OK)
        forage_free(bytes);
    return status;
}

/* ---- looking things up ---------------------------------------------------- */

const char *nn_checkpoint_path(const nn_checkpoint *checkpoint)
{
    return checkpoint->path;
}

size_t nn_checkpoint_count(const nn_checkpoint *checkpoint)
{
    return checkpoint->count;
}

const nn_tensor *nn_checkpoint_at(const nn_checkpoint *checkpoint, size_t index)
{
    return index < checkpoint->count ? &checkpoint->tensors[index] : NULL;
}

const nn_tensor *nn_checkpoint_find(const nn_checkpoint *checkpoint, const char *name)
{
    for (size_t i = 0; i < checkpoint->count; i++) {
        if (strcmp(checkpoint->tensors[i].name, name) == 0)
            return &checkpoint->tensors[i];
    }
    return NULL;
}

const char *nn_checkpoint_metadata(const nn_checkpoint *checkpoint, const char *key)
{
    return json_string_value(json_object_get(checkpoint->metadata, key));
}

forage_status nn_checkpoint_need(const nn_checkpoint *checkpoint, const char *name, nn_dtype dtype, size_t rank,
                                 const nn_tensor **tensor, forage_error *error)
{
    const nn_tensor *found = nn_checkpoint_find(checkpoint, name);
    if (!found)
        return forage_fail_at(error, FORAGE_FORMAT, checkpoint->path, 0, name, "the checkpoint has no such tensor");
    if (found->dtype != dtype)
        return forage_fail_at(error, FORAGE_FORMAT, checkpoint->path, 0, name, "this tensor is %s, not %s",
                              dtypes[found->dtype].name, dtypes[dtype].name);
    if (found->rank != rank)
        return forage_fail_at(error, FORAGE_FORMAT, checkpoint->path, 0, name,
                              "this tensor has %zu dimensions, not %zu", found->rank, rank);
    *tensor = found;
    return FORAGE_OK;
}

forage_status nn_checkpoint_read(const nn_checkpoint *checkpoint, const char *name, nn_dtype dtype, size_t rank,
                                 const size_t *shape, void *data, forage_error *error)
{
    const nn_tensor *tensor = NULL;
    FORAGE_TRY(nn_checkpoint_need(checkpoint, name, dtype, rank, &tensor, error));
    for (size_t d = 0; d < rank; d++) {
        if (tensor->shape[d] != shape[d]) {
            char have[128], want[128];
            return forage_fail_at(error, FORAGE_FORMAT, checkpoint->path, 0, name,
                                  "this tensor has the shape %s, not %s", shape_text(rank, tensor->shape, have),
                                  shape_text(rank, shape, want));
        }
    }
    if (tensor->size > 0)
        memcpy(data, tensor->bytes, tensor->size);
    return FORAGE_OK;
}

forage_status nn_checkpoint_read_weights(const nn_checkpoint *checkpoint, const char *name, size_t rank,
                                         const size_t *shape, float *data, forage_error *error)
{
    FORAGE_TRY(nn_checkpoint_read(checkpoint, name, NN_F32, rank, shape, data, error));
    size_t count = 1;
    for (size_t d = 0; d < rank; d++)
        count *= shape[d];
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(data[i]))
            return forage_fail_at(error, FORAGE_FORMAT, checkpoint->path, 0, name, "number %zu is not finite", i);
    }
    return FORAGE_OK;
}
