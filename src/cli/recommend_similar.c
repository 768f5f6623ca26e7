/*
 * forage recommend --similar-items, --similar-users: what a model with vectors holds to be alike.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/recommend.h"

#include <stdio.h>
#include <string.h>

static forage_status find(const recommendation *r, bool user, const char *id, uint32_t *index, forage_error *error)
{
    const forage_dataset *dataset = r->dataset;
    const uint8_t *known = user ? dataset->user_known : dataset->item_known;
    *index = forage_vocabulary_find(user ? dataset->users : dataset->items, id, strlen(id));
    if (*index != FORAGE_NONE && (!known || known[*index]))
        return FORAGE_OK;
    return forage_fail_at(error, FORAGE_UNKNOWN, r->data, 0, user ? dataset->user_name : dataset->item_name,
                          "there is no %s '%.100s' in the log", user ? "user" : "item", id);
}

static forage_status similar_to(recommendation *r, bool user, const char *id, json_t *lists, forage_error *error)
{
    uint32_t index;
    size_t found;
    const char *what = user ? "user" : "item";
    FORAGE_TRY(find(r, user, id, &index, error));
    FORAGE_TRY(forage_model_similar(r->binding, user ? FORAGE_OF_USER : FORAGE_OF_ITEM, index, (size_t)r->k, NULL, 0,
                                    r->items, r->scores, &found, error));
    cli_progress_end();
    if (lists) {
        json_t *list = json_array();
        for (size_t i = 0; i < found; i++)
            json_array_append_new(list, user ? recommend_user_json(r, i) : recommend_item_json(r, FORAGE_NONE, i));
        json_array_append_new(
            lists, json_pack("{s:o, s:o}", what, recommend_id_json(id, strlen(id)), user ? "users" : "items", list));
        return FORAGE_OK;
    }
    const char *name = user ? r->dataset->user_name : r->dataset->item_name;
    char shown[CLI_SHOWN_SIZE], text[CLI_SHOWN_SIZE];
    printf("like %s %s, by cosine\n", cli_shown(name ? name : what, shown), cli_shown(id, text));
    for (size_t i = 0; i < found; i++) {
        if (user)
            recommend_print_user(r, i);
        else
            recommend_print_item(r, FORAGE_NONE, i);
    }
    if (found < (size_t)r->k)
        printf("      (there are no more)\n");
    return FORAGE_OK;
}

forage_status recommend_similar(recommendation *r, json_t *lists, forage_error *error)
{
    for (size_t i = 0; i < r->similar_items.count; i++)
        FORAGE_TRY(similar_to(r, false, r->similar_items.values[i], lists, error));
    for (size_t i = 0; i < r->similar_users.count; i++)
        FORAGE_TRY(similar_to(r, true, r->similar_users.values[i], lists, error));
    return FORAGE_OK;
}
