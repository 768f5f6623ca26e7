/*
 * Reasons of forage recommend: what in the log speaks for an item.
 *
 * First, where the ranking is personal, the choices of the user that lead to the item: "because of 17 (23 users chose
 * both)", the strongest paths through the graph of the log (forage_graph_paths). Then, where the log knows what was
 * shown and not chosen, rates: the user's own in the item's category, everyone's for the item. Where it knows only what
 * was chosen, counts, which say little: the user's own are left out beside paths.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/recommend.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PATHS_SHOWN = 2 };

/* ---- getting ready ---- */

static bool chosen(const forage_dataset *dataset, size_t row)
{
    return !dataset->value || dataset->value[row] > 0;
}

/* How often each item was shown and chosen. */
static forage_status count_items(recommendation *r, forage_error *error)
{
    const forage_dataset *dataset = r->dataset;
    size_t items = forage_vocabulary_count(dataset->items), kinds = 1, zeros = 0;
    for (size_t c = 0; c < dataset->item_attributes.column_count && !r->kind; c++) {
        if (dataset->item_attributes.columns[c].type == FORAGE_CATEGORICAL)
            r->kind = &dataset->item_attributes.columns[c];
    }
    if (r->kind)
        kinds = forage_vocabulary_count(r->kind->vocabulary);
    r->by_item = forage_calloc(items + 1, sizeof *r->by_item);
    r->by_kind = forage_calloc(kinds + 1, sizeof *r->by_kind);
    if (!r->by_item || !r->by_kind)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to count what the log shows");
    r->rates = dataset->value != NULL;
    for (size_t row = 0; row < dataset->count; row++) {
        r->by_item[dataset->item[row]].shown++;
        r->by_item[dataset->item[row]].chosen += chosen(dataset, row);
        r->rates = r->rates && (dataset->value[row] == 0 || dataset->value[row] == 1);
        zeros += !chosen(dataset, row);
    }
    r->rates = r->rates && zeros;
    return FORAGE_OK;
}

forage_status recommend_prepare_reasons(recommendation *r, bool personal, forage_error *error)
{
    const forage_dataset *dataset = r->dataset;
    FORAGE_TRY(count_items(r, error));
    if (!personal || !dataset->users)
        return FORAGE_OK;
    const forage_graph_events events = {forage_vocabulary_count(dataset->users),
                                        forage_vocabulary_count(dataset->items),
                                        dataset->count,
                                        dataset->user,
                                        dataset->item,
                                        dataset->value,
                                        NULL};
    FORAGE_TRY(forage_graph_create(&events, NULL, &r->graph, error));
    r->edges = forage_alloc(2 * r->graph.edges + 1, sizeof *r->edges);
    if (!r->edges)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a graph of %zu edges", r->graph.edges);
    FORAGE_TRY(forage_graph_normalise(&r->graph, r->edges, error));
    r->personal = true;
    return FORAGE_OK;
}

void recommend_release_reasons(recommendation *r)
{
    forage_free(r->by_item);
    forage_free(r->by_kind);
    forage_free(r->edges);
    forage_graph_release(&r->graph);
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
        r->by_kind[kind].chosen += chosen(dataset, row);
    }
}

/* ---- texts ---- */

/* "clicked" where the log says so. */
static const char *verb(const recommendation *r)
{
    const char *name = r->dataset->value_name;
    return name && strstr(name, "click") ? "clicked" : "chose";
}

enum { NAME = 80 };

/* A name of any length as a piece of a sentence: cut, if it must be, between characters (JSON takes nothing less). */
static const char *brief(const char *name, char buffer[NAME])
{
    size_t length = strlen(name);
    if (length < NAME)
        return name;
    for (length = NAME - 4; length > 0 && ((unsigned char)name[length] & 0xC0) == 0x80;)
        length--;
    memcpy(buffer, name, length);
    memcpy(buffer + length, "...", 4);
    return buffer;
}

/* What this user did with items of the same kind. */
static void add_kind(const recommendation *r, uint32_t user, uint32_t item, char *text, size_t *used)
{
    uint32_t kind = r->kind && user != FORAGE_NONE ? r->kind->codes[item] : FORAGE_NONE;
    char buffer[24], short_name[NAME], short_column[NAME];
    if (kind == FORAGE_NONE || !r->by_kind[kind].shown)
        return;
    const tally *own = &r->by_kind[kind];
    const char *name = brief(forage_vocabulary_id(r->kind->vocabulary, kind, buffer, NULL), short_name);
    const char *column = brief(r->kind->name, short_column);
    if (r->rates)
        forage_append(text, REASON_TEXT, used, "this user %s %" PRIu64 " of %" PRIu64 " in %s '%s'; ", verb(r),
                      own->chosen, own->shown, column, name);
    else
        forage_append(text, REASON_TEXT, used, "this user has met %" PRIu64 " in %s '%s'; ", own->shown, column, name);
}

/* "because of 17 (23 users chose both) and 40 (9); " */
static void add_paths(const recommendation *r, const recommend_reason *reason, char *text, size_t *used)
{
    for (size_t i = 0; i < reason->path_count && i < PATHS_SHOWN; i++) {
        const forage_path *path = &reason->paths[i];
        char buffer[24], name[NAME];
        const char *id = brief(forage_vocabulary_id(r->dataset->items, path->item, buffer, NULL), name);
        if (i == 0)
            forage_append(text, REASON_TEXT, used, "because of %s (%zu user%s %s both)", id, path->users,
                          path->users == 1 ? "" : "s", verb(r));
        else
            forage_append(text, REASON_TEXT, used, " and %s (%zu)", id, path->users);
    }
    forage_append(text, REASON_TEXT, used, "; ");
}

static void find_paths(const recommendation *r, uint32_t user, uint32_t item, recommend_reason *reason)
{
    const forage_path_start start = {user, r->past, NULL, user == FORAGE_NONE ? r->past_count : 0};
    if (r->personal)
        (void)forage_graph_paths(&r->graph, r->edges, &start, item, REASON_PATHS, reason->paths, &reason->path_count,
                                 NULL); /* all indices are the log's own */
}

void recommend_find_reason(const recommendation *r, uint32_t user, uint32_t item, recommend_reason *reason)
{
    const tally *all = &r->by_item[item];
    size_t used = 0;
    *reason = (recommend_reason){0};
    find_paths(r, user, item, reason);
    if (reason->path_count)
        add_paths(r, reason, reason->text, &used);
    if (r->rates || !reason->path_count)
        add_kind(r, user, item, reason->text, &used);
    if (!all->shown)
        forage_append(reason->text, REASON_TEXT, &used, "nobody in the log has met it");
    else if (r->rates)
        forage_append(reason->text, REASON_TEXT, &used,
                      "all users together %s it %" PRIu64 " of %" PRIu64 " times (%.1f %%)", verb(r), all->chosen,
                      all->shown, 100 * (double)all->chosen / (double)all->shown);
    else
        forage_append(reason->text, REASON_TEXT, &used, "%" PRIu64 " event%s of all users together", all->shown,
                      all->shown == 1 ? "" : "s");
}
