/*
 * list.c: the list of features in a specification.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pipeline/intern.h"

#include <math.h>
#include <string.h>

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the list of features");
}

pipeline_feature pipeline_feature_default(pipeline_feature_kind kind)
{
    pipeline_feature feature = {.kind = kind, .scale = true, .half_life = -1, .prior = -1};
    if (kind == PIPELINE_HISTORY || kind == PIPELINE_ACTIVITY || kind == PIPELINE_POPULARITY)
        feature.measures = PIPELINE_RATE | PIPELINE_COUNT;
    return feature;
}

static void release_feature(pipeline_feature *feature)
{
    for (size_t i = 0; i < feature->name_count; i++)
        forage_free(feature->names[i]);
}

void pipeline_list_release(pipeline_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        release_feature(&list->entries[i]);
    forage_free(list->entries);
    *list = (pipeline_list){0};
}

forage_status pipeline_list_add(pipeline_list *list, const pipeline_feature *feature, forage_error *error)
{
    if (list->count == list->capacity) {
        size_t capacity = 2 * list->capacity + 8;
        pipeline_feature *grown = forage_realloc(list->entries, list->capacity, capacity, sizeof *grown);
        if (!grown)
            return no_memory(error);
        list->entries = grown;
        list->capacity = capacity;
    }
    pipeline_feature *entry = &list->entries[list->count];
    *entry = *feature;
    entry->name_count = 0;
    for (size_t i = 0; i < feature->name_count; i++) {
        entry->names[i] = forage_strdup(feature->names[i]);
        if (!entry->names[i]) {
            release_feature(entry);
            return no_memory(error);
        }
        entry->name_count++;
    }
    list->count++;
    return FORAGE_OK;
}

/* ---- words: "bias", "user.age" ---- */

typedef struct named {
    const char *word;
    pipeline_feature_kind kind;
} named;

static const named words[] = {
    {"auto", PIPELINE_AUTO},
    {"bias", PIPELINE_BIAS},
    {"activity", PIPELINE_ACTIVITY},
    {"popularity", PIPELINE_POPULARITY},
};

#define FEATURE_WORDS "auto, bias, activity, popularity, user.NAME, item.NAME, context.NAME, history.NAME"

static const char *after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) == 0 && text[length] ? text + length : NULL;
}

/* The owner that a name such as "user.age" begins with; *rest is "age". */
static bool owner_of(const char *text, forage_owner *owner, const char **rest)
{
    static const char *const prefixes[] = {"user.", "item.", "context."};
    for (size_t i = 0; i < 3; i++) {
        *rest = after(text, prefixes[i]);
        *owner = (forage_owner)i;
        if (*rest)
            return true;
    }
    return false;
}

static forage_status add_word(pipeline_list *list, const char *text, uint64_t line, forage_error *error)
{
    const char *rest;
    forage_owner owner;
    pipeline_feature feature;
    char name[256];
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, text) != 0)
            continue;
        feature = pipeline_feature_default(words[i].kind);
        feature.line = line;
        return pipeline_list_add(list, &feature, error);
    }
    if (owner_of(text, &owner, &rest)) {
        feature = pipeline_feature_default(PIPELINE_COLUMN);
        feature.owner = owner;
    } else if ((rest = after(text, "history."))) {
        feature = pipeline_feature_default(PIPELINE_HISTORY);
    } else {
        return forage_fail(error, FORAGE_UNKNOWN, "there is no feature '%.60s'; possible are %s", text, FEATURE_WORDS);
    }
    if (strlen(rest) >= sizeof name)
        return forage_fail(error, FORAGE_INVALID, "a name of a column longer than 255 bytes");
    memcpy(name, rest, strlen(rest) + 1);
    feature.names[0] = name;
    feature.name_count = 1;
    feature.line = line;
    return pipeline_list_add(list, &feature, error);
}

forage_status pipeline_list_words(const char *text, pipeline_list *list, forage_error *error)
{
    char word[256];
    while (*text) {
        size_t length = strcspn(text, "+");
        if (length == 0 || length >= sizeof word || list->count == PIPELINE_FEATURE_LIMIT)
            return forage_fail(error, FORAGE_INVALID, "features are words joined by +: %s", FEATURE_WORDS);
        memcpy(word, text, length);
        word[length] = '\0';
        FORAGE_TRY(add_word(list, word, 0, error));
        text += length + (text[length] == '+' && text[length + 1]);
        if (*text == '+')
            return forage_fail(error, FORAGE_INVALID, "features are words joined by +: %s", FEATURE_WORDS);
    }
    return FORAGE_OK;
}

/* ---- YAML ---- */

/* The key that says what a map is about. */
typedef struct map_form {
    const char *key, *keys;
    pipeline_feature_kind kind;
    forage_owner owner;
} map_form;

static const map_form forms[] = {
    {"user", "user,scale,knots,limit,buckets", PIPELINE_COLUMN, FORAGE_OF_USER},
    {"item", "item,scale,knots,limit,buckets", PIPELINE_COLUMN, FORAGE_OF_ITEM},
    {"context", "context,scale,knots,limit,buckets", PIPELINE_COLUMN, FORAGE_OF_CONTEXT},
    {"cross", "cross,limit,buckets", PIPELINE_CROSS, FORAGE_OF_USER},
    {"history", "history,of,measures,half-life,prior", PIPELINE_HISTORY, FORAGE_OF_USER},
    {"activity", "activity,half-life,prior", PIPELINE_ACTIVITY, FORAGE_OF_USER},
    {"popularity", "popularity,half-life,prior", PIPELINE_POPULARITY, FORAGE_OF_ITEM},
};

/* The texts of a node that is one text or a list of them. */
static size_t text_count(const forage_config_node *node)
{
    return forage_config_kind_of(node) == FORAGE_CONFIG_LIST ? forage_config_count(node) : 1;
}

static forage_status text_at(const forage_config_node *node, size_t index, const char **text, forage_error *error)
{
    const forage_config_node *entry =
        forage_config_kind_of(node) == FORAGE_CONFIG_LIST ? forage_config_at(node, index) : node;
    FORAGE_TRY(forage_config_text(entry, text, error));
    if (!**text || strlen(*text) > 255)
        return forage_config_fail(entry, FORAGE_FORMAT, error, "a name of 1 to 255 bytes is wanted");
    return FORAGE_OK;
}

static forage_status read_measures(const forage_config_node *node, unsigned *measures, forage_error *error)
{
    static const char *const names[] = {"rate", "count", "recency", "clicks", "shown", "bound"};
    *measures = 0;
    for (size_t i = 0; i < text_count(node); i++) {
        const char *text;
        size_t bit = 0;
        FORAGE_TRY(text_at(node, i, &text, error));
        while (bit < sizeof names / sizeof names[0] && strcmp(names[bit], text) != 0)
            bit++;
        if (bit == sizeof names / sizeof names[0])
            return forage_config_fail(node, FORAGE_UNKNOWN, error, "there is no measure '%.60s'; possible are %s", text,
                                      PIPELINE_MEASURES);
        *measures |= 1U << bit;
    }
    return *measures
               ? FORAGE_OK
               : forage_config_fail(node, FORAGE_FORMAT, error, "no measures; possible are %s", PIPELINE_MEASURES);
}

static forage_status read_whole(const forage_config_node *map, const char *key, uint64_t minimum, uint64_t maximum,
                                size_t *value, forage_error *error)
{
    uint64_t number;
    const forage_config_node *node = forage_config_find(map, key);
    if (!node)
        return FORAGE_OK;
    FORAGE_TRY(forage_config_whole(node, minimum, maximum, &number, error));
    *value = (size_t)number;
    return FORAGE_OK;
}

static forage_status read_options(const forage_config_node *map, pipeline_feature *feature, forage_error *error)
{
    const forage_config_node *node;
    FORAGE_TRY(read_whole(map, "limit", 0, PIPELINE_WIDTH_LIMIT, &feature->limit, error));
    FORAGE_TRY(read_whole(map, "buckets", 1, PIPELINE_WIDTH_LIMIT, &feature->buckets, error));
    FORAGE_TRY(read_whole(map, "knots", 0, PIPELINE_KNOT_LIMIT, &feature->knots, error));
    if ((node = forage_config_find(map, "scale")))
        FORAGE_TRY(forage_config_boolean(node, &feature->scale, error));
    if ((node = forage_config_find(map, "half-life")))
        FORAGE_TRY(forage_config_real(node, 0, 1e9, &feature->half_life, error));
    if ((node = forage_config_find(map, "prior")))
        FORAGE_TRY(forage_config_real(node, 1e-3, 1e9, &feature->prior, error));
    if ((node = forage_config_find(map, "measures")))
        FORAGE_TRY(read_measures(node, &feature->measures, error));
    if ((node = forage_config_find(map, "of"))) {
        const char *text;
        FORAGE_TRY(forage_config_text(node, &text, error));
        feature->own = strcmp(text, "candidate") == 0;
        if (!feature->own && strcmp(text, "all") != 0)
            return forage_config_fail(node, FORAGE_UNKNOWN, error, "'%.60s' is neither all nor candidate", text);
    }
    return FORAGE_OK;
}

static forage_status read_cross(const forage_config_node *value, const pipeline_feature *parts, pipeline_list *list,
                                forage_error *error)
{
    char names[PIPELINE_CROSS_LIMIT][256];
    pipeline_feature feature = *parts;
    FORAGE_TRY(forage_config_want(value, FORAGE_CONFIG_LIST, error));
    if (forage_config_count(value) < 2 || forage_config_count(value) > PIPELINE_CROSS_LIMIT)
        return forage_config_fail(value, FORAGE_FORMAT, error, "a cross is of two or three, as [user.age, item.price]");
    for (size_t i = 0; i < forage_config_count(value); i++) {
        const char *text, *rest;
        forage_owner owner;
        FORAGE_TRY(text_at(value, i, &text, error));
        if (strcmp(text, "arm") != 0 && !owner_of(text, &owner, &rest))
            return forage_config_fail(value, FORAGE_UNKNOWN, error,
                                      "'%.60s' cannot be crossed; possible are user.NAME, item.NAME, context.NAME, "
                                      "user.id, item.id, arm",
                                      text);
        memcpy(names[i], text, strlen(text) + 1);
        feature.names[i] = names[i];
        feature.name_count = i + 1;
    }
    return pipeline_list_add(list, &feature, error);
}

static forage_status read_map(const forage_config_node *map, uint64_t line, pipeline_list *list, forage_error *error)
{
    char name[256];
    const map_form *form = NULL;
    const forage_config_node *value = NULL;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0] && !value; i++) {
        value = forage_config_find(map, forms[i].key);
        form = &forms[i];
    }
    if (!value)
        return forage_config_fail(map, FORAGE_FORMAT, error,
                                  "a feature is a word or has one of the keys user, item, context, cross, history, "
                                  "activity, popularity");
    FORAGE_TRY(forage_config_check_keys(map, form->keys, error));
    pipeline_feature feature = pipeline_feature_default(form->kind);
    feature.owner = form->owner;
    feature.line = line;
    FORAGE_TRY(read_options(map, &feature, error));
    if (form->kind == PIPELINE_CROSS)
        return read_cross(value, &feature, list, error);
    if (form->kind == PIPELINE_ACTIVITY || form->kind == PIPELINE_POPULARITY) {
        FORAGE_TRY(read_measures(value, &feature.measures, error));
        return pipeline_list_add(list, &feature, error);
    }
    for (size_t i = 0; i < text_count(value); i++) {
        const char *text;
        FORAGE_TRY(text_at(value, i, &text, error));
        memcpy(name, text, strlen(text) + 1);
        feature.names[0] = name;
        feature.name_count = 1;
        FORAGE_TRY(pipeline_list_add(list, &feature, error));
    }
    return FORAGE_OK;
}

forage_status pipeline_list_read(const forage_config_node *node, pipeline_list *list, forage_error *error)
{
    const char *text;
    if (forage_config_kind_of(node) == FORAGE_CONFIG_TEXT) {
        FORAGE_TRY(forage_config_text(node, &text, error));
        forage_error inner = {0};
        forage_status status = pipeline_list_words(text, list, &inner);
        return status == FORAGE_OK ? status : forage_config_fail(node, status, error, "%s", inner.message);
    }
    FORAGE_TRY(forage_config_want(node, FORAGE_CONFIG_LIST, error));
    for (size_t i = 0; i < forage_config_count(node); i++) {
        const forage_config_node *entry = forage_config_at(node, i);
        if (list->count >= PIPELINE_FEATURE_LIMIT)
            return forage_config_fail(entry, FORAGE_FORMAT, error, "more than %d features", PIPELINE_FEATURE_LIMIT);
        if (forage_config_kind_of(entry) == FORAGE_CONFIG_MAP) {
            FORAGE_TRY(read_map(entry, forage_config_line(entry), list, error));
            continue;
        }
        forage_error inner = {0};
        FORAGE_TRY(forage_config_text(entry, &text, error));
        forage_status status = add_word(list, text, forage_config_line(entry), &inner);
        if (status != FORAGE_OK)
            return forage_config_fail(entry, status, error, "%s", inner.message);
    }
    return FORAGE_OK;
}
