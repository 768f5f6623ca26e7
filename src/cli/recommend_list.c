/* Lists of forage recommend: items with scores, attributes and reasons; users. */
#include "cli/recommend.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 400 };

/* ---- reasons ---- */

bool recommend_chosen(const forage_dataset *dataset, size_t row)
{
    return !dataset->value || dataset->value[row] > 0;
}

void recommend_count_kinds(recommendation *r, uint32_t user)
{
    const forage_dataset *dataset = r->dataset;
    size_t kinds = r->kind ? forage_vocabulary_count(r->kind->vocabulary) : 0;
    memset(r->by_kind, 0, (kinds + 1) * sizeof *r->by_kind);
    for (size_t row = 0; user != FORAGE_NONE && r->kind && row < dataset->count; row++) {
        uint32_t kind = r->kind->codes[dataset->item[row]];
        if (dataset->user[row] != user || kind == FORAGE_NONE)
            continue;
        r->by_kind[kind].shown++;
        r->by_kind[kind].chosen += recommend_chosen(dataset, row);
    }
}

/* "clicked" where the log says so. */
static const char *verb(const recommendation *r)
{
    const char *name = r->dataset->value_name;
    return name && strstr(name, "click") ? "clicked" : "chose";
}

static void write_reason(const recommendation *r, uint32_t user, uint32_t item, char *text, size_t size)
{
    const tally *all = &r->by_item[item];
    uint32_t kind = r->kind ? r->kind->codes[item] : FORAGE_NONE;
    const tally *own = kind == FORAGE_NONE || user == FORAGE_NONE ? NULL : &r->by_kind[kind];
    char own_text[TEXT_SIZE / 2] = "", buffer[24];
    if (own && own->shown) {
        const char *name = forage_vocabulary_id(r->kind->vocabulary, kind, buffer, NULL);
        if (r->binary)
            snprintf(own_text, sizeof own_text, "this user %s %" PRIu64 " of %" PRIu64 " in %.40s '%.80s'; ", verb(r),
                     own->chosen, own->shown, r->kind->name, name);
        else
            snprintf(own_text, sizeof own_text, "this user has met %" PRIu64 " in %.40s '%.80s'; ", own->shown,
                     r->kind->name, name);
    }
    if (!all->shown)
        snprintf(text, size, "%snobody in the log has met it", own_text);
    else if (r->binary)
        snprintf(text, size, "%sall users together %s it %" PRIu64 " of %" PRIu64 " times (%.1f %%)", own_text, verb(r),
                 all->chosen, all->shown, 100 * (double)all->chosen / (double)all->shown);
    else
        snprintf(text, size, "%s%" PRIu64 " events of all users together", own_text, all->shown);
}

/* ---- lines ---- */

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

json_t *recommend_item_json(const recommendation *r, uint32_t user, size_t rank)
{
    char buffer[24], reason[TEXT_SIZE];
    size_t length;
    const char *id = forage_vocabulary_id(r->dataset->items, r->items[rank], buffer, &length);
    write_reason(r, user, r->items[rank], reason, sizeof reason);
    return json_pack("{s:i, s:o, s:o, s:o, s:s}", "rank", (int)rank + 1, "item", recommend_id_json(id, length), "score",
                     cli_json_real((double)r->scores[rank]), "attributes",
                     attributes_json(&r->dataset->item_attributes, r->items[rank]), "reason", reason);
}

void recommend_print_item(const recommendation *r, uint32_t user, size_t rank)
{
    char buffer[24], reason[TEXT_SIZE], text[CLI_SHOWN_SIZE];
    const char *id = forage_vocabulary_id(r->dataset->items, r->items[rank], buffer, NULL);
    write_reason(r, user, r->items[rank], reason, sizeof reason);
    printf("%4zu. %-12s %8.4f", rank + 1, cli_shown(id, text), (double)r->scores[rank]);
    print_attributes(&r->dataset->item_attributes, r->items[rank]);
    for (char *c = reason; *c; c++) /* names of columns and categories are in it */
        *c = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
    printf("\n      %s\n", reason);
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
