/*
 * embeddings.c: the vectors of a model in files that others read: safetensors, and NumPy's .npz.
 *
 * An .npz is a ZIP archive (PKWARE's APPNOTE, 4.3) of .npy files (NumPy Enhancement Proposal 1), here not compressed.
 * Each member is made twice: once for its size and checksum, which stand before it, and once to be written.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct table {
    const char *name, *ids; /* of the tensors, and of what says whose they are */
    forage_embedding embedding;
} table;

/* Users, items, or both. */
typedef struct tables {
    table table[2];
    size_t count;
} tables;

static forage_status find_tables(const forage_model *model, tables *found, forage_error *error)
{
    static const char *const names[2][2] = {{"user_embedding", "user_ids"}, {"item_embedding", "item_ids"}};
    found->count = 0;
    for (int owner = FORAGE_OF_USER; owner <= FORAGE_OF_ITEM; owner++) {
        table *next = &found->table[found->count];
        next->name = names[owner][0];
        next->ids = names[owner][1];
        found->count += forage_model_embedding(model, (forage_owner)owner, &next->embedding, NULL) == FORAGE_OK;
    }
    return found->count
               ? FORAGE_OK
               : forage_fail(error, FORAGE_UNSUPPORTED, "%s has no vectors of users or items", model->type->info.name);
}

/* ---- safetensors ---- */

/* Rows one behind the other; *packed is a copy to be freed, or NULL where they lie like that already. */
static const float *pack(const forage_embedding *embedding, float **packed)
{
    *packed = NULL;
    if (embedding->pitch == embedding->width)
        return embedding->values;
    *packed = forage_alloc(embedding->count * embedding->width + 1, sizeof **packed);
    for (size_t i = 0; *packed && i < embedding->count; i++)
        memcpy(*packed + i * embedding->width, embedding->values + i * embedding->pitch,
               embedding->width * sizeof **packed);
    return *packed;
}

static forage_status write_safetensors(const forage_model *model, const tables *all, const char *path,
                                       forage_error *error)
{
    nn_checkpoint *checkpoint = NULL;
    float *packed[2] = {0};
    forage_status status;
    FORAGE_TRY_GOTO(nn_checkpoint_create(&checkpoint, error), end);
    FORAGE_TRY_GOTO(nn_checkpoint_set_metadata(checkpoint, "model", model->type->info.name, error), end);
    for (size_t t = 0; t < all->count; t++) {
        const table *one = &all->table[t];
        const size_t shape[] = {one->embedding.count, one->embedding.width};
        const float *rows = pack(&one->embedding, &packed[t]);
        if (!rows) {
            status = forage_fail(error, FORAGE_NO_MEMORY, "no memory to write %zu vectors", one->embedding.count);
            goto end;
        }
        FORAGE_TRY_GOTO(nn_checkpoint_add(checkpoint, one->name, NN_F32, 2, shape, rows, error), end);
        FORAGE_TRY_GOTO(model_metadata_write_ids(one->embedding.ids, one->embedding.count, one->ids, checkpoint, error),
                        end);
    }
    status = nn_checkpoint_save(checkpoint, path, error);
end:
    nn_checkpoint_free(checkpoint);
    forage_free(packed[0]);
    forage_free(packed[1]);
    return status;
}

/* ---- .npy ---- */

/* Where the bytes of a member go: counted and checked, and, with `output`, written. */
typedef struct sink {
    forage_output *output;
    uint32_t checksum;
    uint64_t size;
    forage_status status;
    forage_error *error;
} sink;

/* CRC-32 as in ZIP: the reflected polynomial 0xEDB88320, four bits at a time. */
static uint32_t checksum(uint32_t crc, const void *bytes, size_t size)
{
    static const uint32_t steps[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
                                       0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    const unsigned char *at = bytes;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        crc = steps[crc & 15] ^ crc >> 4;
        crc = steps[crc & 15] ^ crc >> 4;
    }
    return ~crc;
}

static void put(sink *to, const void *bytes, size_t size)
{
    if (to->output && to->status == FORAGE_OK)
        to->status = forage_output_write(to->output, bytes, size, to->error);
    else if (!to->output)
        to->checksum = checksum(to->checksum, bytes, size);
    to->size += size;
}

/* The header of an array; `columns` 0: it has one dimension. Data begin at a multiple of 64. */
static void put_header(sink *to, const char *type, size_t rows, size_t columns)
{
    char text[256] = "", shape[64];
    size_t used = 10;
    if (columns)
        snprintf(shape, sizeof shape, "%zu, %zu", rows, columns);
    else
        snprintf(shape, sizeof shape, "%zu,", rows);
    forage_append(text, sizeof text, &used, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type, shape);
    size_t whole = (used + 1 + 63) / 64 * 64;
    memset(text + used, ' ', whole - used);
    text[whole - 1] = '\n';
    memcpy(text, "\x93NUMPY\x01", 8); /* and the 0 behind it: version 1.0 */
    text[8] = (char)((whole - 10) & 255);
    text[9] = (char)((whole - 10) >> 8);
    put(to, text, whole);
}

static void put_vectors(sink *to, const forage_embedding *embedding)
{
    put_header(to, "<f4", embedding->count, embedding->width);
    for (size_t i = 0; i < embedding->count; i++)
        put(to, embedding->values + i * embedding->pitch, embedding->width * sizeof(float));
}

static size_t longest_id(const forage_embedding *embedding)
{
    size_t longest = 1;
    for (size_t i = 0; i < embedding->count && !forage_vocabulary_numbered(embedding->ids); i++) {
        char buffer[24];
        size_t length;
        (void)forage_vocabulary_id(embedding->ids, (uint32_t)i, buffer, &length);
        longest = length > longest ? length : longest;
    }
    return longest;
}

/* Numbers where all ids are such, else bytes, each as long as the longest and filled up with 0. */
static void put_ids(sink *to, const forage_embedding *embedding, size_t longest)
{
    static const char zeros[64];
    char type[32];
    if (forage_vocabulary_numbered(embedding->ids)) {
        put_header(to, "<i8", embedding->count, 0);
        for (uint64_t i = 0; i < embedding->count; i++)
            put(to, &i, sizeof i);
        return;
    }
    snprintf(type, sizeof type, "|S%zu", longest);
    put_header(to, type, embedding->count, 0);
    for (size_t i = 0; i < embedding->count; i++) {
        char buffer[24];
        size_t length;
        const char *id = forage_vocabulary_id(embedding->ids, (uint32_t)i, buffer, &length);
        put(to, id, length);
        for (size_t left = longest - length, some; left; left -= some) {
            some = left < sizeof zeros ? left : sizeof zeros;
            put(to, zeros, some);
        }
    }
}

/* ---- .npz ---- */

/* Sizes are kept in 32 bits; what is larger would be another format, ZIP64. */
static const uint64_t archive_limit = 0xF0000000U;

/* Of the archive's members: for each table its vectors, then its ids. */
typedef struct member {
    const table *table;
    size_t longest;
    uint32_t checksum, size, offset;
    bool ids;
    char name[32];
} member;

static void put_member(sink *to, const member *one)
{
    if (one->ids)
        put_ids(to, &one->table->embedding, one->longest);
    else
        put_vectors(to, &one->table->embedding);
}

static unsigned char *put_number(unsigned char *at, uint32_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        *at++ = (unsigned char)(value >> 8 * i & 255);
    return at;
}

/* What the header before a member and its entry in the directory have in common. Its time is the earliest that there
 * is: the same model gives the same bytes. */
static unsigned char *put_description(unsigned char *at, const member *one)
{
    at = put_number(at, 10, 2);         /* version that can read it: 1.0 */
    at = put_number(at, 0, 2);          /* flags */
    at = put_number(at, 0, 2);          /* stored as it is */
    at = put_number(at, 0, 2);          /* 0:00 */
    at = put_number(at, 1 << 5 | 1, 2); /* 1980-01-01 */
    at = put_number(at, one->checksum, 4);
    at = put_number(at, one->size, 4);
    at = put_number(at, one->size, 4);
    at = put_number(at, (uint32_t)strlen(one->name), 2);
    return put_number(at, 0, 2); /* nothing extra */
}

static void put_archive(sink *to, member *members, size_t count)
{
    unsigned char bytes[64], *end;
    for (size_t m = 0; m < count; m++) {
        members[m].offset = (uint32_t)to->size;
        end = put_description(put_number(bytes, 0x04034b50, 4), &members[m]);
        put(to, bytes, (size_t)(end - bytes));
        put(to, members[m].name, strlen(members[m].name));
        put_member(to, &members[m]);
    }
    uint32_t directory = (uint32_t)to->size;
    for (size_t m = 0; m < count; m++) {
        end = put_description(put_number(put_number(bytes, 0x02014b50, 4), 10, 2), &members[m]);
        for (int i = 0; i < 5; i++) /* no comment, the first disk, no attributes: 2 + 2 + 2 + 4 bytes */
            end = put_number(end, 0, 2);
        end = put_number(end, members[m].offset, 4);
        put(to, bytes, (size_t)(end - bytes));
        put(to, members[m].name, strlen(members[m].name));
    }
    uint32_t size = (uint32_t)to->size - directory;
    end = put_number(put_number(bytes, 0x06054b50, 4), 0, 4);
    end = put_number(put_number(end, (uint32_t)count, 2), (uint32_t)count, 2);
    end = put_number(put_number(put_number(end, size, 4), directory, 4), 0, 2);
    put(to, bytes, (size_t)(end - bytes));
}

static forage_status write_npz(const tables *all, const char *path, forage_error *error)
{
    member members[4];
    size_t count = 0;
    uint64_t total = 0;
    for (size_t t = 0; t < all->count; t++) {
        for (int ids = 0; ids < 2; ids++) {
            member *one = &members[count++];
            const table *of = &all->table[t];
            *one = (member){.table = of, .ids = ids, .longest = longest_id(&of->embedding)};
            snprintf(one->name, sizeof one->name, "%s.npy", ids ? of->ids : of->name);
            /* Known before it is counted, so that nothing absurd is. */
            uint64_t width = ids ? (one->longest > 8 ? one->longest : 8) : of->embedding.width * sizeof(float);
            total += width * of->embedding.count;
            if (total > archive_limit || width > archive_limit)
                return forage_fail(error, FORAGE_UNSUPPORTED,
                                   "more than 4 GB (the longest id has %zu bytes) do not go into an .npz; write "
                                   ".safetensors",
                                   one->longest);
        }
    }
    for (size_t m = 0; m < count; m++) {
        sink counted = {0};
        put_member(&counted, &members[m]);
        members[m].checksum = counted.checksum;
        members[m].size = (uint32_t)counted.size;
    }
    sink to = {.error = error};
    FORAGE_TRY(forage_output_open(path, &to.output, error));
    put_archive(&to, members, count);
    if (to.status == FORAGE_OK)
        return forage_output_commit(to.output, error);
    forage_output_discard(to.output);
    return to.status;
}

/* ---- the face ---- */

static bool ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), part = strlen(ending);
    return length > part && strcmp(name + length - part, ending) == 0;
}

forage_status forage_model_export_embeddings(const forage_model *model, const char *path, forage_error *error)
{
    tables all;
    FORAGE_TRY(find_tables(model, &all, error));
    if (ends_with(path, ".safetensors"))
        return write_safetensors(model, &all, path, error);
    if (ends_with(path, ".npz"))
        return write_npz(&all, path, error);
    return forage_fail(error, FORAGE_INVALID, "'%.200s' says no format: vectors are written to .safetensors or .npz",
                       path);
}
