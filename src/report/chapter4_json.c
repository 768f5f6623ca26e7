/*
 * The record of chapter 4 as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/json.h"

static json_t *degrees(const forage_degrees *found)
{
    json_t *counts = json_array();
    for (size_t d = 0; found->count && d <= found->most; ++d)
        json_array_append_new(counts, json_integer((json_int_t)found->count[d]));
    return json_pack("{sI sI so sI sI so}", "nodes", (json_int_t)found->nodes, "none", (json_int_t)found->none, "mean",
                     json_number(found->mean), "median", (json_int_t)found->median, "most", (json_int_t)found->most,
                     "count", counts);
}

static json_t *graph(const forage_graph_facts *found)
{
    return json_pack("{sI sI sI sI sI so so so so so so so}", "users", (json_int_t)found->users, "items",
                     (json_int_t)found->items, "visits", (json_int_t)found->visits, "clicks", (json_int_t)found->clicks,
                     "edges", (json_int_t)found->edges, "user_degrees", degrees(&found->user), "item_degrees",
                     degrees(&found->item), "reach", json_numbers(found->reach, FORAGE_GRAPH_HOPS), "same_persona",
                     json_number(found->same_persona), "same_persona_chance", json_number(found->same_persona_chance),
                     "same_category", json_number(found->same_category), "same_category_chance",
                     json_number(found->same_category_chance));
}

static json_t *points(const forage_map_point *found, size_t count, char (*groups)[64])
{
    json_t *list = json_array();
    for (size_t i = 0; found && i < count; ++i)
        json_array_append_new(list, json_pack("{sI so so so}", "index", (json_int_t)found[i].index, "group",
                                              json_text(groups[found[i].group]), "x", json_number((double)found[i].x),
                                              "y", json_number((double)found[i].y)));
    return list;
}

static json_t *map(const forage_chapter4 *chapter)
{
    json_t *views = json_array();
    for (size_t v = 0; v < chapter->map.view_count; ++v) {
        const forage_map_view *view = &chapter->map.views[v];
        json_array_append_new(views, json_pack("{so so so so so so so so}", "name", json_text(view->name), "explained",
                                               json_numbers(view->explained, 2), "user_neighbours",
                                               json_estimate(&view->user_neighbours), "item_neighbours",
                                               json_estimate(&view->item_neighbours), "user_silhouette",
                                               json_estimate(&view->user_silhouette), "item_silhouette",
                                               json_estimate(&view->item_silhouette), "users",
                                               points(view->users, chapter->map.user_count, chapter->personas), "items",
                                               points(view->items, chapter->map.item_count, chapter->categories)));
    }
    return json_pack("{sI so}", "neighbours", (json_int_t)chapter->map.neighbours, "views", views);
}

static json_t *offer(const forage_chapter4 *chapter, const forage_graph_offer *found)
{
    json_t *reasons = json_array();
    for (size_t r = 0; r < found->reason_count; ++r)
        json_array_append_new(reasons, json_pack("{sI so sI so}", "item", (json_int_t)found->reasons[r].item,
                                                 "category", json_text(chapter->categories[found->reasons[r].category]),
                                                 "users", (json_int_t)found->reasons[r].users, "share",
                                                 json_number(found->reasons[r].share)));
    return json_pack("{sI so so so}", "item", (json_int_t)found->item, "category",
                     json_text(chapter->categories[found->category]), "truth", json_number(found->truth), "because",
                     reasons);
}

static json_t *customers(const forage_chapter4 *chapter)
{
    json_t *list = json_array();
    for (size_t c = 0; c < chapter->customer_count; ++c) {
        const forage_graph_customer *customer = &chapter->customers[c];
        json_t *offers = json_array(), *chosen = json_array();
        for (size_t i = 0; i < customer->offer_count; ++i)
            json_array_append_new(offers, offer(chapter, &customer->offers[i]));
        for (size_t i = 0; i < chapter->category_count; ++i)
            if (customer->category[i] > 0)
                json_array_append_new(chosen, json_pack("{so sI}", "category", json_text(chapter->categories[i]),
                                                        "items", (json_int_t)customer->category[i]));
        json_array_append_new(list, json_pack("{sI so so so so so}", "user", (json_int_t)customer->user, "persona",
                                              json_text(chapter->personas[customer->persona]), "chosen", chosen,
                                              "offers", offers, "click_rate", json_number(customer->click_rate), "best",
                                              json_number(customer->best)));
    }
    return list;
}

static json_t *table(const forage_arm_table *found, const char *points_name)
{
    json_t *arms = json_array();
    for (size_t a = 0; a < found->arm_count; ++a) {
        const forage_ranked_arm *arm = &found->arms[a];
        json_t *object = json_pack("{so so so}", "name", json_text(arm->name), "note", json_text(arm->note),
                                   "click_rate", json_estimates(arm->click_rate, found->point_count));
        if (object && arm->recall) {
            json_object_set_new(object, "recall", json_estimates(arm->recall, found->point_count));
            json_object_set_new(object, "ndcg", json_estimates(arm->ndcg, found->point_count));
        }
        json_array_append_new(arms, object);
    }
    json_t *object = json_pack("{so so}", points_name, json_numbers(found->points, found->point_count), "arms", arms);
    if (object && found->ahead)
        json_object_set_new(object, "ahead", json_estimates(found->ahead, found->point_count));
    return object;
}

static json_t *few_clicks(const forage_chapter4 *chapter)
{
    json_t *list = json_array();
    for (size_t l = 0; l < chapter->few_clicks_count; ++l) {
        const forage_few_clicks *few = &chapter->few_clicks[l];
        json_t *object = table(&few->arms, "clicks");
        if (object) {
            json_object_set_new(object, "others", json_integer((json_int_t)few->others));
            json_object_set_new(object, "others_visits", json_integer((json_int_t)few->others_visits));
            json_object_set_new(object, "users", json_integer((json_int_t)few->group));
            json_object_set_new(object, "visits", json_estimates(few->visits, few->arms.point_count));
        }
        json_array_append_new(list, object);
    }
    return list;
}

forage_status forage_chapter4_json(const forage_chapter4 *chapter, char **text, forage_error *error)
{
    json_t *object = json_pack(
        "{si so so sI sI sI so so so so so so so}", "chapter", 4, "scenario", json_text(chapter->scenario), "seed",
        json_seed(chapter->seed), "seeds", (json_int_t)chapter->seeds, "offered", (json_int_t)chapter->offered,
        "cutoff", (json_int_t)chapter->cutoff, "graph", graph(&chapter->graph), "map", map(chapter), "customers",
        customers(chapter), "smoothing", table(&chapter->smoothing, "layers"), "crowd",
        table(&chapter->crowd, "visits"), "few_clicks", few_clicks(chapter), "seconds", json_number(chapter->seconds));
    return json_finish(object, text, error);
}
