/*
 * config.c: YAML as a tree that knows its lines.
 *
 * libyaml's events are taken one by one, so that limits hold while the file is
 * being read, and anchors and aliases (with which a short file can stand for a
 * huge one) are refused where they appear.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "forage/data.h"

enum { MAX_SIZE = 4 << 20, MAX_DEPTH = 16, MAX_NODES = 100000, MAX_KEYS = 4096 };

struct forage_config_node {
    forage_config_kind kind;
    uint64_t line;
    forage_config *config;
    forage_config_node *parent; /* NULL for the root */
    forage_config_node *first, *last, *next;
    size_t count;
    char *key;                  /* NULL unless in a map */
    char *text;                 /* NULL unless a text */
    forage_config_node **index; /* [count]: the entries by number; made when the tree is whole */
    forage_config_node *newer;  /* the node that was made before it, for freeing */
};

struct forage_config {
    char *file;
    forage_config_node *root;
    forage_config_node *newest;
    size_t nodes;
};

/* ---- Building ---- */

typedef struct builder {
    forage_config *config;
    yaml_parser_t parser;
    forage_config_node *open; /* the list or map that is being filled */
    char *key;                /* of the entry that comes next in an open map */
    uint64_t key_line;
    size_t depth;
    forage_error *error;
} builder;

static forage_status fail_line(const builder *b, forage_status status, uint64_t line, const char *field,
                               const char *message)
{
    return forage_fail_at(b->error, status, b->config->file, line, field, "%s", message);
}

static forage_status no_memory(const builder *b)
{
    return fail_line(b, FORAGE_NO_MEMORY, 0, NULL, "not enough memory to read it");
}

/* What libyaml says, with the line where it noticed. */
static forage_status fail_parser(const builder *b)
{
    const yaml_parser_t *parser = &b->parser;
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    if (parser->error == YAML_MEMORY_ERROR)
        return no_memory(b);
    if (parser->error == YAML_READER_ERROR)
        return forage_fail_at(b->error, FORAGE_FORMAT, b->config->file, parser->mark.line + 1, NULL,
                              "not YAML in UTF-8: %s (at byte %zu)", problem, parser->problem_offset);
    return forage_fail_at(b->error, FORAGE_FORMAT, b->config->file, parser->problem_mark.line + 1, NULL,
                          "not YAML: %s%s%s", problem, parser->context ? ", " : "",
                          parser->context ? parser->context : "");
}

static forage_status add_node(builder *b, forage_config_kind kind, uint64_t line, forage_config_node **result)
{
    forage_config_node *node;
    if (b->config->nodes >= MAX_NODES)
        return fail_line(b, FORAGE_FORMAT, line, NULL, "more than 100000 values");
    if (b->open && b->open->kind == FORAGE_CONFIG_MAP && !b->key)
        return fail_line(b, FORAGE_FORMAT, line, NULL, "a key must be plain text");
    node = forage_calloc(1, sizeof *node);
    if (!node)
        return no_memory(b);
    node->kind = kind;
    node->line = b->key ? b->key_line : line;
    node->config = b->config;
    node->parent = b->open;
    node->key = b->key;
    b->key = NULL;
    node->newer = b->config->newest;
    b->config->newest = node;
    b->config->nodes++;
    if (!b->open) {
        b->config->root = node;
    } else {
        if (b->open->last)
            b->open->last->next = node;
        else
            b->open->first = node;
        b->open->last = node;
        b->open->count++;
    }
    *result = node;
    return FORAGE_OK;
}

static forage_status add_key(builder *b, char *key, uint64_t line)
{
    b->key = key;
    b->key_line = line;
    if (key[0] == '\0')
        return fail_line(b, FORAGE_FORMAT, line, NULL, "an empty key");
    if (b->open->count >= MAX_KEYS)
        return fail_line(b, FORAGE_FORMAT, line, NULL, "more than 4096 keys in one map");
    for (const forage_config_node *other = b->open->first; other; other = other->next) {
        if (strcmp(other->key, key) == 0)
            return forage_fail_at(b->error, FORAGE_FORMAT, b->config->file, line, key,
                                  "given twice, first on line %llu", (unsigned long long)other->line);
    }
    return FORAGE_OK;
}

static forage_status add_text(builder *b, const yaml_event_t *event)
{
    const char *bytes = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    uint64_t line = event->start_mark.line + 1;
    forage_config_node *node;
    char *text;
    if (memchr(bytes, '\0', length))
        return fail_line(b, FORAGE_FORMAT, line, b->key, "a NUL character");
    text = forage_strndup(bytes, length);
    if (!text)
        return no_memory(b);
    if (b->open && b->open->kind == FORAGE_CONFIG_MAP && !b->key)
        return add_key(b, text, line); /* takes the text in every case */
    forage_status status = add_node(b, FORAGE_CONFIG_TEXT, line, &node);
    if (status == FORAGE_OK)
        node->text = text;
    else
        forage_free(text);
    return status;
}

static forage_status open_node(builder *b, forage_config_kind kind, const yaml_event_t *event)
{
    forage_config_node *node;
    uint64_t line = event->start_mark.line + 1;
    if (b->depth >= MAX_DEPTH)
        return fail_line(b, FORAGE_FORMAT, line, b->key, "nested more than 16 levels deep");
    FORAGE_TRY(add_node(b, kind, line, &node));
    b->open = node;
    b->depth++;
    return FORAGE_OK;
}

/* Entries can be asked for by number from here on. */
static forage_status close_node(builder *b)
{
    forage_config_node *node = b->open;
    size_t i = 0;
    node->index = forage_alloc(node->count + 1, sizeof(void *));
    if (!node->index)
        return no_memory(b);
    for (forage_config_node *entry = node->first; entry; entry = entry->next)
        node->index[i++] = entry;
    b->open = node->parent;
    b->depth--;
    return FORAGE_OK;
}

static bool anchored(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return true;
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL;
    default:
        return false;
    }
}

static forage_status take_event(builder *b, const yaml_event_t *event)
{
    uint64_t line = event->start_mark.line + 1;
    if (anchored(event))
        return fail_line(b, FORAGE_FORMAT, line, b->key, "anchors and aliases are not allowed here");
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return b->config->root ? fail_line(b, FORAGE_FORMAT, line, NULL, "a second document begins; one is expected")
                               : FORAGE_OK;
    case YAML_SCALAR_EVENT:
        return add_text(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(b, FORAGE_CONFIG_LIST, event);
    case YAML_MAPPING_START_EVENT:
        return open_node(b, FORAGE_CONFIG_MAP, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_node(b);
    default:
        return FORAGE_OK;
    }
}

static forage_status build(builder *b)
{
    for (bool more = true; more;) {
        yaml_event_t event;
        forage_status status;
        if (!yaml_parser_parse(&b->parser, &event))
            return fail_parser(b);
        more = event.type != YAML_STREAM_END_EVENT;
        status = take_event(b, &event);
        yaml_event_delete(&event);
        if (status != FORAGE_OK)
            return status;
    }
    if (!b->config->root)
        return fail_line(b, FORAGE_FORMAT, 0, NULL, "the file is empty");
    return FORAGE_OK;
}

/* True when the bytes before `at` end a line, in any of YAML's ways. */
static bool begins_line(const char *text, size_t at)
{
    const unsigned char *before = (const unsigned char *)text + at;
    if (at == 0 || before[-1] == '\n' || before[-1] == '\r')
        return true;
    if (at >= 2 && before[-2] == 0xc2 && before[-1] == 0x85)
        return true; /* next line */
    if (at < 3)
        return false;
    if (before[-3] == 0xe2 && before[-2] == 0x80 && (before[-1] == 0xa8 || before[-1] == 0xa9))
        return true;                                                                  /* line and paragraph separator */
    return at == 3 && before[-3] == 0xef && before[-2] == 0xbb && before[-1] == 0xbf; /* byte order mark */
}

/* Directives say nothing that is needed here, and libyaml compares each with all before it. */
static forage_status check_directives(const char *text, size_t size, const char *file, forage_error *error)
{
    uint64_t line = 1;
    for (size_t i = 0; i < size; i++) {
        line += text[i] == '\n';
        if (text[i] == '%' && begins_line(text, i))
            return forage_fail_at(error, FORAGE_FORMAT, file, line, NULL, "directives (%%...) are not allowed here");
    }
    return FORAGE_OK;
}

forage_status forage_config_parse(const char *text, size_t size, const char *file, forage_config **config,
                                  forage_error *error)
{
    builder b = {.error = error};
    forage_status status;
    *config = NULL;
    if (size > MAX_SIZE)
        return forage_fail_at(error, FORAGE_FORMAT, file, 0, NULL, "larger than 4 MiB");
    FORAGE_TRY(check_directives(text, size, file, error));
    b.config = forage_calloc(1, sizeof *b.config);
    if (!b.config || !(b.config->file = forage_strdup(file)) || !yaml_parser_initialize(&b.parser)) {
        forage_config_free(b.config);
        return forage_fail_at(error, FORAGE_NO_MEMORY, file, 0, NULL, "not enough memory to read it");
    }
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, size);
    status = build(&b);
    yaml_parser_delete(&b.parser);
    forage_free(b.key);
    if (status != FORAGE_OK)
        forage_config_free(b.config);
    else
        *config = b.config;
    return status;
}

forage_status forage_config_load(const char *path, forage_config **config, forage_error *error)
{
    char *text;
    size_t size;
    forage_status status;
    *config = NULL;
    FORAGE_TRY(forage_read_file(path, MAX_SIZE, &text, &size, error));
    status = forage_config_parse(text, size, path, config, error);
    forage_free(text);
    return status;
}

void forage_config_free(forage_config *config)
{
    if (!config)
        return;
    for (forage_config_node *node = config->newest, *next; node; node = next) {
        next = node->newer;
        forage_free(node->key);
        forage_free(node->text);
        forage_free(node->index);
        forage_free(node);
    }
    forage_free(config->file);
    forage_free(config);
}

/* ---- The tree ---- */

const forage_config_node *forage_config_root(const forage_config *config)
{
    return config->root;
}

forage_config_kind forage_config_kind_of(const forage_config_node *node)
{
    return node->kind;
}

size_t forage_config_count(const forage_config_node *node)
{
    return node->count;
}

const forage_config_node *forage_config_at(const forage_config_node *node, size_t index)
{
    return index < node->count ? node->index[index] : NULL;
}

const char *forage_config_key(const forage_config_node *node)
{
    return node->key;
}

uint64_t forage_config_line(const forage_config_node *node)
{
    return node->line;
}

const forage_config_node *forage_config_find(const forage_config_node *map, const char *key)
{
    if (map->kind != FORAGE_CONFIG_MAP)
        return NULL;
    for (const forage_config_node *entry = map->first; entry; entry = entry->next) {
        if (strcmp(entry->key, key) == 0)
            return entry;
    }
    return NULL;
}

/* ---- Errors with a place ---- */

/* "personas.budget_shopper.Dog Food", "categories[3]": as much of its end as fits. */
static void write_path(const forage_config_node *node, char *path, size_t size)
{
    char step[64], whole[256] = "";
    for (; node->parent; node = node->parent) {
        const forage_config_node *parent = node->parent;
        size_t length = strlen(whole), used;
        if (node->key) {
            snprintf(step, sizeof step, "%s%.60s", parent->parent ? "." : "", node->key);
        } else {
            size_t number = 0;
            for (const forage_config_node *other = parent->first; other != node; other = other->next)
                number++;
            snprintf(step, sizeof step, "[%zu]", number);
        }
        used = strlen(step);
        if (length + used + 1 > sizeof whole)
            break;
        memmove(whole + used, whole, length + 1);
        memcpy(whole, step, used);
    }
    size_t length = strlen(whole);
    if (length < size)
        memcpy(path, whole, length + 1);
    else
        snprintf(path, size, "...%s", whole + length - (size - 4));
}

forage_status forage_config_fail(const forage_config_node *node, forage_status status, forage_error *error,
                                 const char *format, ...)
{
    char message[512], path[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    write_path(node, path, sizeof path);
    return forage_fail_at(error, status, node->config->file, node->line, path, "%s", message);
}

forage_status forage_config_want(const forage_config_node *node, forage_config_kind kind, forage_error *error)
{
    static const char *const names[] = {"a value", "a list ([a, b, ...])", "a map (key: value)"};
    if (node->kind == kind)
        return FORAGE_OK;
    return forage_config_fail(node, FORAGE_FORMAT, error, "expected %s, found %s", names[kind], names[node->kind]);
}

static bool listed(const char *keys, const char *key)
{
    size_t length = strlen(key);
    while (*keys) {
        size_t word = strcspn(keys, ",");
        if (word == length && memcmp(keys, key, word) == 0)
            return true;
        keys += word + (keys[word] == ',');
    }
    return false;
}

forage_status forage_config_check_keys(const forage_config_node *node, const char *keys, forage_error *error)
{
    FORAGE_TRY(forage_config_want(node, FORAGE_CONFIG_MAP, error));
    for (const forage_config_node *entry = node->first; entry; entry = entry->next) {
        if (!listed(keys, entry->key))
            return forage_config_fail(entry, FORAGE_UNKNOWN, error, "unknown key; possible are %s", keys);
    }
    return FORAGE_OK;
}

forage_status forage_config_need(const forage_config_node *map, const char *key, const forage_config_node **node,
                                 forage_error *error)
{
    FORAGE_TRY(forage_config_want(map, FORAGE_CONFIG_MAP, error));
    *node = forage_config_find(map, key);
    return *node ? FORAGE_OK : forage_config_fail(map, FORAGE_FORMAT, error, "the key '%s' is missing", key);
}

/* ---- Values ---- */

forage_status forage_config_text(const forage_config_node *node, const char **text, forage_error *error)
{
    FORAGE_TRY(forage_config_want(node, FORAGE_CONFIG_TEXT, error));
    *text = node->text;
    return FORAGE_OK;
}

forage_status forage_config_real(const forage_config_node *node, double minimum, double maximum, double *value,
                                 forage_error *error)
{
    char low[32], high[32];
    FORAGE_TRY(forage_config_want(node, FORAGE_CONFIG_TEXT, error));
    if (!forage_parse_real(node->text, strlen(node->text), value))
        return forage_config_fail(node, FORAGE_FORMAT, error, "'%.60s' is not a number", node->text);
    if (*value >= minimum && *value <= maximum)
        return FORAGE_OK;
    forage_format_real(minimum, low);
    forage_format_real(maximum, high);
    return forage_config_fail(node, FORAGE_FORMAT, error, "%.60s is not between %s and %s", node->text, low, high);
}

forage_status forage_config_whole(const forage_config_node *node, uint64_t minimum, uint64_t maximum, uint64_t *value,
                                  forage_error *error)
{
    char digits[32];
    size_t length = 0;
    bool good = true;
    FORAGE_TRY(forage_config_want(node, FORAGE_CONFIG_TEXT, error));
    for (const char *c = node->text; *c && good; c++) {
        good = length < sizeof digits;
        if (good && *c != '_')
            digits[length++] = *c;
    }
    if (!good || !forage_parse_u64(digits, length, value))
        return forage_config_fail(node, FORAGE_FORMAT, error,
                                  "'%.60s' is not a whole number of 0 or more that a computer can hold", node->text);
    if (*value < minimum || *value > maximum)
        return forage_config_fail(node, FORAGE_FORMAT, error, "%.60s is not between %llu and %llu", node->text,
                                  (unsigned long long)minimum, (unsigned long long)maximum);
    return FORAGE_OK;
}

forage_status forage_config_boolean(const forage_config_node *node, bool *value, forage_error *error)
{
    FORAGE_TRY(forage_config_want(node, FORAGE_CONFIG_TEXT, error));
    *value = strcmp(node->text, "true") == 0;
    return *value || strcmp(node->text, "false") == 0
               ? FORAGE_OK
               : forage_config_fail(node, FORAGE_FORMAT, error, "'%.60s' is neither true nor false", node->text);
}
