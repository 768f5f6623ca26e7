/*
 * The record of chapter 3 as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/json.h"

static void set_table(json_t *object, const forage_predictor_table *table)
{
    json_t *predictors = json_array();
    for (size_t a = 0; a < table->predictor_count; ++a) {
        const forage_predictor *one = &table->predictors[a];
        json_array_append_new(predictors,
                              json_pack("{so so so so so so so so so so}", "name", json_text(one->name), "note",
                                        json_text(one->note), "log_loss", json_estimate(&one->loss), "auc",
                                        json_estimate(&one->auc), "excess", json_estimate(&one->more), "late_excess",
                                        json_estimate(&one->late), "log_loss_behind", json_estimate(&one->loss_behind),
                                        "auc_behind", json_estimate(&one->auc_behind), "log_loss_by_visit",
                                        json_estimates(one->log_loss, table->point_count), "excess_by_visit",
                                        json_estimates(one->excess, table->point_count)));
    }
    json_object_set_new(object, "visit", json_numbers(table->points, table->point_count));
    json_object_set_new(object, "late_from", json_number(table->late));
    json_object_set_new(object, "predictors", predictors);
}

static json_t *users(const forage_moment_users *found)
{
    json_t *object = json_pack("{sI sI sI sI}", "visits", (json_int_t)found->visits, "users", (json_int_t)found->users,
                               "items", (json_int_t)found->items, "new_users", (json_int_t)found->newcomers);
    if (object)
        set_table(object, &found->table);
    return object;
}

static json_t *sessions(const forage_moment_sessions *found)
{
    json_t *object = json_pack("{so sI sI sI sI sI so}", "scenario", json_text(found->scenario), "visits",
                               (json_int_t)found->visits, "test_visits", (json_int_t)found->test_visits, "users",
                               (json_int_t)found->users, "items", (json_int_t)found->items, "active",
                               (json_int_t)found->active, "intended", json_number(found->intended));
    if (object)
        set_table(object, &found->table);
    return object;
}

forage_status forage_chapter3_json(const forage_chapter3 *chapter, char **text, forage_error *error)
{
    json_t *object =
        json_pack("{si so so sI so so so so}", "chapter", 3, "scenario", json_text(chapter->scenario), "seed",
                  json_seed(chapter->seed), "seeds", (json_int_t)chapter->seeds, "new_users", users(&chapter->users),
                  "intents", sessions(&chapter->sessions[FORAGE_CHAPTER3_INTENTS]), "steady",
                  sessions(&chapter->sessions[FORAGE_CHAPTER3_STEADY]), "seconds", json_number(chapter->seconds));
    return json_finish(object, text, error);
}
