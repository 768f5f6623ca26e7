/*
 * metadata.c: what a checkpoint says about itself, in the texts of its header, all
 * keys beginning with "forage." (docs/models/checkpoints.md):
 *
 *   forage.model           embedding-mlp
 *   forage.model_version   1
 *   forage.parameters      one "name=value" per line
 *   forage.fields          number of fields
 *   forage.field.0         "name=", "owner=user|item|context", "type=categorical|numeric", "id=true|false",
 *                          then "codes=N" and "numbered=true|false", or "mean=" and "deviation="
 *   forage.field.0.codes   what the codes mean, one per line, in order; absent when code N means "N"
 *
 * A learner's (learner.c) has instead of the fields:
 *
 *   forage.learner         "request-width=N", "candidate-width=N", "arms=N", "users=N", "candidates=N"
 *   forage.learner.seed    N
 *
 * In names and codes a byte that would break a line, '%', and what is not UTF-8 is written %XX.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/front.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FIELD_LIMIT = 10000, KEY_SIZE = 64 };

/* ---- text that grows ---- */

typedef struct text {
    char *bytes;
    size_t length, capacity;
    bool failed;
} text;

static void put(text *to, const char *bytes, size_t length)
{
    if (to->failed)
        return;
    if (length >= to->capacity - to->length) {
        size_t capacity = 2 * to->capacity + length + 256;
        char *grown = forage_realloc(to->bytes, to->capacity, capacity, 1);
        if (!grown) {
            to->failed = true;
            return;
        }
        to->bytes = grown;
        to->capacity = capacity;
    }
    memcpy(to->bytes + to->length, bytes, length);
    to->length += length;
    to->bytes[to->length] = '\0';
}

static void put_text(text *to, const char *string)
{
    put(to, string, strlen(string));
}

/* Bytes of the UTF-8 character at `bytes`; 0 if there is none. */
static size_t character(const unsigned char *bytes, size_t length)
{
    unsigned char first = bytes[0];
    if (first < 0x80)
        return 1;
    size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || size > length)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
    }
    /* Overlong forms, surrogates, beyond the last plane. */
    bool bad = (first == 0xE0 && bytes[1] < 0xA0) || (first == 0xED && bytes[1] > 0x9F) ||
               (first == 0xF0 && bytes[1] < 0x90) || (first == 0xF4 && bytes[1] > 0x8F);
    return bad ? 0 : size;
}

static void put_escaped(text *to, const char *bytes, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < length;) {
        unsigned char byte = (unsigned char)bytes[i];
        size_t size = character((const unsigned char *)bytes + i, length - i);
        if (size && byte >= 0x20 && byte != '%' && byte != 0x7F) {
            put(to, bytes + i, size);
            i += size;
        } else {
            char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
            put(to, escape, 3);
            i++;
        }
    }
}

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Undoes put_escaped into `to` (emptied first). False for a broken escape. */
static bool get_escaped(text *to, const char *bytes, size_t length)
{
    to->length = 0;
    put(to, "", 0);
    for (size_t i = 0; i < length; i++) {
        char byte = bytes[i];
        if (byte == '%') {
            int high = i + 2 < length ? hex(bytes[i + 1]) : -1, low = i + 2 < length ? hex(bytes[i + 2]) : -1;
            if (i + 2 >= length || high < 0 || low < 0)
                return false;
            byte = (char)(unsigned char)(high * 16 + low);
            i += 2;
        }
        put(to, &byte, 1);
    }
    return true;
}

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the metadata of a model");
}

/* ---- writing ---- */

static forage_status set(nn_checkpoint *checkpoint, const char *key, text *value, forage_error *error)
{
    forage_status status = FORAGE_OK;
    put(value, "", 0);
    if (value->failed)
        status = no_memory(error);
    else
        status = nn_checkpoint_set_metadata(checkpoint, key, value->bytes, error);
    forage_free(value->bytes);
    *value = (text){0};
    return status;
}

static const char *const owner_words[] = {"user", "item", "context"};

forage_status model_metadata_write_ids(const forage_vocabulary *ids, size_t count, const char *key,
                                       nn_checkpoint *checkpoint, forage_error *error)
{
    text value = {0};
    if (forage_vocabulary_numbered(ids))
        return FORAGE_OK;
    for (size_t code = 0; code < count; code++) {
        char buffer[24];
        size_t length;
        const char *id = forage_vocabulary_id(ids, (uint32_t)code, buffer, &length);
        if (code)
            put(&value, "\n", 1);
        put_escaped(&value, id, length);
    }
    return set(checkpoint, key, &value, error);
}

static forage_status write_field(size_t number, const forage_field *field, nn_checkpoint *checkpoint,
                                 forage_error *error)
{
    char key[KEY_SIZE], line[128], mean[32], deviation[32];
    text value = {0};
    bool numbered = field->vocabulary && forage_vocabulary_numbered(field->vocabulary);
    put_text(&value, "name=");
    put_escaped(&value, field->name, strlen(field->name));
    snprintf(line, sizeof line, "\nowner=%s\ntype=%s\nid=%s\n", owner_words[field->owner],
             field->type == FORAGE_NUMERIC ? "numeric" : "categorical", field->is_id ? "true" : "false");
    put_text(&value, line);
    if (field->type == FORAGE_NUMERIC) {
        forage_format_real((double)field->mean, mean);
        forage_format_real((double)field->deviation, deviation);
        snprintf(line, sizeof line, "mean=%s\ndeviation=%s\n", mean, deviation);
    } else {
        snprintf(line, sizeof line, "codes=%zu\nnumbered=%s\n", field->cardinality, numbered ? "true" : "false");
    }
    put_text(&value, line);
    snprintf(key, sizeof key, "forage.field.%zu", number);
    FORAGE_TRY(set(checkpoint, key, &value, error));
    if (field->type == FORAGE_NUMERIC)
        return FORAGE_OK;
    snprintf(key, sizeof key, "forage.field.%zu.codes", number);
    return model_metadata_write_ids(field->vocabulary, field->cardinality, key, checkpoint, error);
}

/* Model, version, parameters. */
static forage_status write_head(const model_type *type, const forage_params *params, nn_checkpoint *checkpoint,
                                forage_error *error)
{
    char number[32];
    text value = {0};
    FORAGE_TRY(nn_checkpoint_set_metadata(checkpoint, "forage.model", type->info.name, error));
    snprintf(number, sizeof number, "%u", type->info.version);
    FORAGE_TRY(nn_checkpoint_set_metadata(checkpoint, "forage.model_version", number, error));
    for (size_t i = 0; i < type->info.table.count; i++) {
        const char *name = type->info.table.params[i].name, *held = forage_params_text(params, name);
        put_text(&value, name);
        put_text(&value, "=");
        put_escaped(&value, held, strlen(held));
        put_text(&value, "\n");
    }
    return set(checkpoint, "forage.parameters", &value, error);
}

forage_status model_metadata_write(const model_type *type, const forage_params *params, const forage_schema *schema,
                                   nn_checkpoint *checkpoint, forage_error *error)
{
    char number[32];
    FORAGE_TRY(write_head(type, params, checkpoint, error));
    snprintf(number, sizeof number, "%zu", schema->field_count);
    FORAGE_TRY(nn_checkpoint_set_metadata(checkpoint, "forage.fields", number, error));
    for (size_t f = 0; f < schema->field_count; f++)
        FORAGE_TRY(write_field(f, &schema->fields[f], checkpoint, error));
    return FORAGE_OK;
}

forage_status model_metadata_write_learner(const model_type *type, const forage_params *params,
                                           const forage_learner_shape *shape, uint64_t seed, nn_checkpoint *checkpoint,
                                           forage_error *error)
{
    char lines[256];
    FORAGE_TRY(write_head(type, params, checkpoint, error));
    snprintf(lines, sizeof lines, "request-width=%zu\ncandidate-width=%zu\narms=%zu\nusers=%zu\ncandidates=%zu\n",
             shape->request_width, shape->candidate_width, shape->arms, shape->users, shape->candidates);
    FORAGE_TRY(nn_checkpoint_set_metadata(checkpoint, "forage.learner", lines, error));
    snprintf(lines, sizeof lines, "%" PRIu64, seed);
    return nn_checkpoint_set_metadata(checkpoint, "forage.learner.seed", lines, error);
}

/* ---- reading ---- */

static forage_status malformed(const nn_checkpoint *checkpoint, const char *key, const char *what, forage_error *error)
{
    return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, key, "%s", what);
}

/* The value of the line "name=..." in `lines`; NULL if there is none. */
static const char *find_line(const char *lines, const char *name, size_t *length)
{
    size_t size = strlen(name);
    for (const char *at = lines; *at;) {
        size_t line = strcspn(at, "\n");
        if (line > size && strncmp(at, name, size) == 0 && at[size] == '=') {
            *length = line - size - 1;
            return at + size + 1;
        }
        at += line + (at[line] == '\n');
    }
    return NULL;
}

/* Which of `count` words a line holds; -1 for none. */
static int find_word(const char *lines, const char *name, const char *const *words, int count)
{
    size_t length;
    const char *value = find_line(lines, name, &length);
    for (int i = 0; value && i < count; i++) {
        if (strlen(words[i]) == length && strncmp(words[i], value, length) == 0)
            return i;
    }
    return -1;
}

static bool find_real(const char *lines, const char *name, float *real)
{
    size_t length;
    double value;
    const char *found = find_line(lines, name, &length);
    if (!found || !forage_parse_real(found, length, &value) || !isfinite(value) || !isfinite((float)value))
        return false;
    *real = (float)value;
    return true;
}

static bool find_count(const char *lines, const char *name, size_t *count)
{
    size_t length;
    uint64_t value;
    const char *found = find_line(lines, name, &length);
    if (!found || !forage_parse_u64(found, length, &value) || value >= FORAGE_NONE)
        return false;
    *count = (size_t)value;
    return true;
}

static forage_status read_codes(const nn_checkpoint *checkpoint, const char *key, forage_field *field,
                                forage_error *error)
{
    const char *at = nn_checkpoint_metadata(checkpoint, key);
    text id = {0};
    forage_status status;
    if (!at)
        return malformed(checkpoint, key, "what the codes of this field mean is missing", error);
    FORAGE_TRY(forage_vocabulary_create(&field->vocabulary, error));
    for (size_t code = 0; code < field->cardinality; code++) {
        size_t length = strcspn(at, "\n");
        uint32_t index;
        if (!get_escaped(&id, at, length) || (at[length] == '\0') != (code + 1 == field->cardinality)) {
            status = malformed(checkpoint, key, "these are not as many codes as the field has", error);
            goto end;
        }
        if (id.failed) {
            status = no_memory(error);
            goto end;
        }
        FORAGE_TRY_GOTO(forage_vocabulary_add(field->vocabulary, id.bytes, id.length, &index, error), end);
        if (index != code) {
            status = malformed(checkpoint, key, "a code is named twice", error);
            goto end;
        }
        at += length + 1;
    }
    status = FORAGE_OK;
end:
    forage_free(id.bytes);
    return status;
}

static forage_status read_field(const nn_checkpoint *checkpoint, size_t number, forage_field *field,
                                forage_error *error)
{
    static const char *const types[] = {"categorical", "numeric"}, *const truth[] = {"false", "true"};
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "forage.field.%zu", number);
    const char *lines = nn_checkpoint_metadata(checkpoint, key);
    if (!lines)
        return malformed(checkpoint, key, "the description of this field is missing", error);
    size_t length = 0;
    const char *name = find_line(lines, "name", &length);
    int owner = find_word(lines, "owner", owner_words, 3), type = find_word(lines, "type", types, 2);
    int id = find_word(lines, "id", truth, 2);
    text plain = {0};
    if (!name || owner < 0 || type < 0 || id < 0 || (id && (type || owner > 1)) || !get_escaped(&plain, name, length)) {
        forage_free(plain.bytes);
        return malformed(checkpoint, key, "this does not describe a field", error);
    }
    if (plain.failed || !(field->name = forage_strdup(plain.bytes))) {
        forage_free(plain.bytes);
        return no_memory(error);
    }
    forage_free(plain.bytes);
    field->owner = (forage_owner)owner;
    field->type = type ? FORAGE_NUMERIC : FORAGE_CATEGORICAL;
    field->is_id = id == 1;
    if (field->type == FORAGE_NUMERIC) {
        if (!find_real(lines, "mean", &field->mean) || !find_real(lines, "deviation", &field->deviation) ||
            field->deviation < 0)
            return malformed(checkpoint, key, "mean or deviation is missing or not a number", error);
        return FORAGE_OK;
    }
    int numbered = find_word(lines, "numbered", truth, 2);
    if (!find_count(lines, "codes", &field->cardinality) || field->cardinality == 0 || numbered < 0)
        return malformed(checkpoint, key, "the number of codes is missing or not possible", error);
    if (numbered)
        return forage_vocabulary_create_numbered(field->cardinality, &field->vocabulary, error);
    snprintf(key, sizeof key, "forage.field.%zu.codes", number);
    return read_codes(checkpoint, key, field, error);
}

static forage_status read_schema(const nn_checkpoint *checkpoint, forage_schema *schema, forage_error *error)
{
    const char *number = nn_checkpoint_metadata(checkpoint, "forage.fields");
    uint64_t count;
    if (!number || !forage_parse_u64(number, strlen(number), &count) || count == 0 || count > FIELD_LIMIT)
        return malformed(checkpoint, "forage.fields", "the number of fields is missing or not possible", error);
    schema->fields = forage_calloc((size_t)count, sizeof *schema->fields);
    if (!schema->fields)
        return no_memory(error);
    schema->field_count = (size_t)count;
    for (size_t f = 0; f < schema->field_count; f++) {
        FORAGE_TRY(read_field(checkpoint, f, &schema->fields[f], error));
        if (schema->fields[f].is_id && model_schema_id(schema, schema->fields[f].owner) != f)
            return malformed(checkpoint, "forage.fields", "two fields are the same id", error);
    }
    return FORAGE_OK;
}

static forage_status read_params(const nn_checkpoint *checkpoint, forage_params *params, forage_error *error)
{
    const char *key = "forage.parameters", *lines = nn_checkpoint_metadata(checkpoint, key);
    const forage_param_table *table = forage_params_table(params);
    if (!lines)
        return malformed(checkpoint, key, "the model's parameters are missing", error);
    for (size_t i = 0; i < table->count; i++) {
        size_t length;
        const char *found = find_line(lines, table->params[i].name, &length);
        text value = {0};
        if (!found) /* a parameter younger than the file: the default is what was done then */
            continue;
        bool good = get_escaped(&value, found, length);
        if (value.failed)
            return no_memory(error);
        forage_error inner = {0};
        forage_status status =
            good ? forage_params_set(params, table->params[i].name, value.bytes, &inner) : FORAGE_FORMAT;
        forage_free(value.bytes);
        if (status == FORAGE_NO_MEMORY)
            return no_memory(error);
        if (status != FORAGE_OK)
            return forage_fail_at(error, FORAGE_FORMAT, nn_checkpoint_path(checkpoint), 0, key, "%s: %s",
                                  table->params[i].name, inner.message[0] ? inner.message : "broken text");
    }
    return FORAGE_OK;
}

/* Model and parameters. The checkpoint names a model (`name`). */
static forage_status read_head(const nn_checkpoint *checkpoint, const char *name, const forage_model_info **info,
                               forage_params **params, forage_error *error)
{
    const char *version = nn_checkpoint_metadata(checkpoint, "forage.model_version");
    uint64_t number;
    forage_error inner = {0};
    *params = NULL;
    if (forage_model_find(name, info, &inner) != FORAGE_OK)
        return malformed(checkpoint, "forage.model", inner.message, error);
    if (!version || !forage_parse_u64(version, strlen(version), &number) || number == 0)
        return malformed(checkpoint, "forage.model_version", "the model's version is missing or not a number", error);
    if (number > (*info)->version)
        return malformed(checkpoint, "forage.model_version", "a newer version of Forage wrote this model", error);
    FORAGE_TRY(forage_params_create(&(*info)->table, params, error));
    forage_status status = read_params(checkpoint, *params, error);
    if (status != FORAGE_OK) {
        forage_params_free(*params);
        *params = NULL;
    }
    return status;
}

forage_status model_metadata_read(const nn_checkpoint *checkpoint, const model_type **type, forage_params **params,
                                  forage_schema *schema, forage_error *error)
{
    const char *name = nn_checkpoint_metadata(checkpoint, "forage.model");
    const forage_model_info *info;
    *type = NULL;
    *params = NULL;
    *schema = (forage_schema){0};
    if (!name)
        return FORAGE_OK;
    if (nn_checkpoint_metadata(checkpoint, "forage.learner"))
        return malformed(checkpoint, "forage.learner",
                         "this is what a learner knows, which learns event by event, not a model that was fitted to a "
                         "log",
                         error);
    FORAGE_TRY(read_head(checkpoint, name, &info, params, error));
    forage_status status = FORAGE_OK;
    if (!(info->capabilities & FORAGE_CAN_FIT))
        status = malformed(checkpoint, "forage.model", "a model of this kind is never fitted to a log", error);
    else
        status = read_schema(checkpoint, schema, error);
    if (status != FORAGE_OK) {
        forage_params_free(*params);
        *params = NULL;
        model_schema_release(schema);
        return status;
    }
    *type = model_type_of(info);
    return FORAGE_OK;
}

forage_status model_metadata_read_learner(const nn_checkpoint *checkpoint, const model_type **type,
                                          forage_params **params, forage_learner_shape *shape, uint64_t *seed,
                                          forage_error *error)
{
    const char *name = nn_checkpoint_metadata(checkpoint, "forage.model");
    const char *lines = nn_checkpoint_metadata(checkpoint, "forage.learner");
    const char *number = nn_checkpoint_metadata(checkpoint, "forage.learner.seed");
    const forage_model_info *info;
    *type = NULL;
    *params = NULL;
    if (!name || !lines)
        return malformed(checkpoint, "forage.learner", "this file is no learner's", error);
    if (!number || !forage_parse_u64(number, strlen(number), seed))
        return malformed(checkpoint, "forage.learner.seed", "the learner's seed is missing or not a number", error);
    if (!find_count(lines, "request-width", &shape->request_width) ||
        !find_count(lines, "candidate-width", &shape->candidate_width) || !find_count(lines, "arms", &shape->arms) ||
        !find_count(lines, "users", &shape->users) || !find_count(lines, "candidates", &shape->candidates))
        return malformed(checkpoint, "forage.learner", "a size is missing or not a number", error);
    FORAGE_TRY(read_head(checkpoint, name, &info, params, error));
    if (!(info->capabilities & FORAGE_CAN_LEARN)) {
        forage_params_free(*params);
        *params = NULL;
        return malformed(checkpoint, "forage.model", "a model of this kind does not learn event by event", error);
    }
    *type = model_type_of(info);
    return FORAGE_OK;
}
