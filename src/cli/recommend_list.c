/*
 * Lists of forage recommend: items with scores, attributes and reasons; users.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/recommend.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Ids may be any bytes, JSON only UTF-8: what is not is shown as '?'. */
json_t *recommend_id_json(const char *id, size_t length)
{
    json_t *text = json_stringn(id, length);
    if (text)
        return text;
    char *copy = forage_strndup(id, length);
    for (size_t i = 0; copy && i < length; i++)
        copy[i] = (unsigned char)copy[i] < 0x80 ? copy[i] : '?';
    text = json_stringn(copy ? copy : "", copy ? length : 0);
    forage_free(copy);
    return text;
}

static json_t *attributes_json(const forage_table *table, uint32_t index)
{
    json_t *object = json_object();
    for (size_t c = 0; c < table->column_count; c++) {
        const forage_column *column = &table->columns[c];
        char buffer[24];
        size_t length;
        if (column->type == FORAGE_NUMERIC) {
            json_object_set_new(object, column->name, cli_json_real((double)column->values[index]));
        } else if (column->codes[index] == FORAGE_NONE) {
            json_object_set_new(object, column->name, json_null());
        } else {
            const char *id = forage_vocabulary_id(column->vocabulary, column->codes[index], buffer, &length);
            json_object_set_new(object, column->name, recommend_id_json(id, length));
        }
    }
    return object;
}

static void print_attributes(const forage_table *table, uint32_t index)
{
    for (size_t c = 0; c < table->column_count && c < 4; c++) {
        const forage_column *column = &table->columns[c];
        char buffer[24], text[CLI_SHOWN_SIZE];
        if (column->type == FORAGE_NUMERIC && isfinite(column->values[index]))
            printf("  %s %g", cli_shown(column->name, text), (double)column->values[index]);
        else if (column->type == FORAGE_CATEGORICAL && column->codes[index] != FORAGE_NONE)
            printf("  %s",
                   cli_shown(forage_vocabulary_id(column->vocabulary, column->codes[index], buffer, NULL), text));
    }
}

static json_t *paths_json(const recommendation *r, const recommend_reason *reason)
{
    json_t *list = json_array();
    for (size_t i = 0; i < reason->path_count; i++) {
        const forage_path *path = &reason->paths[i];
        char buffer[24];
        size_t length;
        const char *id = forage_vocabulary_id(r->dataset->items, path->item, buffer, &length);
        json_array_append_new(list, json_pack("{s:o, s:o, s:I}", "item", recommend_id_json(id, length), "share",
                                              cli_json_real(path->share), "users", (json_int_t)path->users));
    }
    return list;
}

json_t *recommend_item_json(const recommendation *r, uint32_t user, size_t rank)
{
    char buffer[24];
    size_t length;
    recommend_reason reason;
    const char *id = forage_vocabulary_id(r->dataset->items, r->items[rank], buffer, &length);
    recommend_find_reason(r, user, r->items[rank], &reason);
    return json_pack("{s:i, s:o, s:o, s:o, s:s, s:o}", "rank", (int)rank + 1, "item", recommend_id_json(id, length),
                     "score", cli_json_real((double)r->scores[rank]), "attributes",
                     attributes_json(&r->dataset->item_attributes, r->items[rank]), "reason", reason.text, "because",
                     paths_json(r, &reason));
}

void recommend_print_item(const recommendation *r, uint32_t user, size_t rank)
{
    char buffer[24], text[CLI_SHOWN_SIZE];
    recommend_reason reason;
    const char *id = forage_vocabulary_id(r->dataset->items, r->items[rank], buffer, NULL);
    recommend_find_reason(r, user, r->items[rank], &reason);
    printf("%4zu. %-12s %8.4f", rank + 1, cli_shown(id, text), (double)r->scores[rank]);
    print_attributes(&r->dataset->item_attributes, r->items[rank]);
    for (char *c = reason.text; *c; c++) /* names of columns and categories are in it */
        *c = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
    printf("\n      %s\n", reason.text);
}

json_t *recommend_user_json(const recommendation *r, size_t rank)
{
    char buffer[24];
    size_t length;
    const char *id = forage_vocabulary_id(r->dataset->users, r->items[rank], buffer, &length);
    return json_pack("{s:i, s:o, s:o, s:o}", "rank", (int)rank + 1, "user", recommend_id_json(id, length), "score",
                     cli_json_real((double)r->scores[rank]), "attributes",
                     attributes_json(&r->dataset->user_attributes, r->items[rank]));
}

void recommend_print_user(const recommendation *r, size_t rank)
{
    char buffer[24], text[CLI_SHOWN_SIZE];
    const char *id = forage_vocabulary_id(r->dataset->users, r->items[rank], buffer, NULL);
    printf("%4zu. %-12s %8.4f", rank + 1, cli_shown(id, text), (double)r->scores[rank]);
    print_attributes(&r->dataset->user_attributes, r->items[rank]);
    printf("\n");
}
