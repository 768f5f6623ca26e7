/*
 * The record of chapter 1 as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/json.h"

#include <math.h>

static json_t *rate(const char *name, const forage_rate *found)
{
    return json_pack("{so sI sI so so}", "name", json_text(name), "impressions", (json_int_t)found->impressions,
                     "clicks", (json_int_t)found->clicks, "observed", json_number(found->observed), "truth",
                     json_number(found->truth));
}

static json_t *log_json(const forage_log_record *log)
{
    json_t *categories = json_array(), *personas = json_array(), *cells = json_array();
    for (size_t c = 0; c < log->category_count; ++c)
        json_array_append_new(categories, rate(log->categories[c], &log->category[c]));
    for (size_t p = 0; p < log->persona_count; ++p) {
        json_array_append_new(personas, rate(log->personas[p], &log->persona[p]));
        for (size_t c = 0; c < log->category_count; ++c) {
            json_t *cell = rate(log->categories[c], &log->cell[p * log->category_count + c]);
            json_object_set_new(cell, "persona", json_text(log->personas[p]));
            json_array_append_new(cells, cell);
        }
    }
    return json_pack("{sI sI sI sI so so so so}", "users", (json_int_t)log->users, "items", (json_int_t)log->items,
                     "interactions", (json_int_t)log->interactions, "clicks", (json_int_t)log->clicks, "click_rate",
                     json_number(log->click_rate), "categories", categories, "personas", personas, "cells", cells);
}

static json_t *box_json(const forage_box *box)
{
    if (box->count == 0)
        return json_null();
    return json_pack("{sI so so so so so so so so}", "count", (json_int_t)box->count, "minimum",
                     json_number(box->minimum), "whisker_low", json_number(box->whisker_low), "quartile_low",
                     json_number(box->quartile_low), "median", json_number(box->median), "quartile_high",
                     json_number(box->quartile_high), "whisker_high", json_number(box->whisker_high), "maximum",
                     json_number(box->maximum), "mean", json_number(box->mean));
}

static json_t *predictions_json(const forage_persona_predictions *found)
{
    json_t *list = json_array();
    for (size_t p = 0; p < found->persona_count; ++p) {
        for (size_t c = 0; c < found->category_count; ++c) {
            size_t cell = p * found->category_count + c;
            bool none = found->representative[p] == FORAGE_NONE;
            json_array_append_new(list,
                                  json_pack("{so so so so so so}", "persona", json_text(found->personas[p]), "category",
                                            json_text(found->categories[c]), "user",
                                            none ? json_null() : json_integer((json_int_t)found->representative[p]),
                                            "predicted", box_json(&found->one[cell]), "predicted_all_users",
                                            box_json(&found->all[cell]), "truth", json_number(found->truth[cell])));
        }
    }
    return list;
}

static json_t *arms_json(const forage_arm *arms, size_t count)
{
    json_t *list = json_array();
    for (size_t a = 0; a < count; ++a)
        json_array_append_new(list, json_pack("{so so so so}", "name", json_text(arms[a].name), "note",
                                              json_text(arms[a].note), "click_rate", json_estimate(&arms[a].click_rate),
                                              "lost", json_estimate(&arms[a].lost)));
    return list;
}

static json_t *cold_json(const forage_cold_start *cold)
{
    return json_pack("{sI sI sI sI sI sI so so so so so so so}", "seeds", (json_int_t)cold->seeds, "users_known",
                     (json_int_t)cold->users_known, "users_new", (json_int_t)cold->users_new, "items_known",
                     (json_int_t)cold->items_known, "items_new", (json_int_t)cold->items_new, "interactions",
                     (json_int_t)cold->interactions, "users", arms_json(cold->user_arms, cold->user_arm_count), "items",
                     arms_json(cold->item_arms, cold->item_arm_count), "rmse_known", json_estimate(&cold->rmse_known),
                     "rmse_new_user", json_estimate(&cold->rmse_new_user), "rmse_new_item",
                     json_estimate(&cold->rmse_new_item), "new_item_share", json_estimate(&cold->new_item_share),
                     "new_item_fair_share", json_number(cold->new_item_fair_share));
}

static json_t *drift_json(const forage_drift *drift)
{
    json_t *curves = json_array();
    for (size_t s = 0; s < drift->series_count; ++s) {
        json_t *points = json_array();
        for (size_t i = 0; i < drift->series[s].count; ++i)
            json_array_append_new(points, json_estimate(&drift->series[s].y[i]));
        json_array_append_new(curves, json_pack("{so so so so}", "name", json_text(drift->series[s].name), "note",
                                                json_text(drift->series[s].note), "day",
                                                json_numbers(drift->series[s].x, drift->series[s].count), "click_rate",
                                                points));
    }
    return json_pack("{sI sI sI sI sI so so so so so so so so so so sI}", "seeds", (json_int_t)drift->seeds, "users",
                     (json_int_t)drift->users, "items", (json_int_t)drift->items, "visits_per_day",
                     (json_int_t)drift->visits_per_day, "window_days", (json_int_t)drift->window_days, "drifted_share",
                     json_number(drift->drifted_share), "event_day", json_number(drift->event_day), "curves", curves,
                     "before", json_estimate(&drift->before), "after", json_estimate(&drift->after), "recovered",
                     json_estimate(&drift->recovered), "before_drifted", json_estimate(&drift->before_drifted),
                     "after_drifted", json_estimate(&drift->after_drifted), "recovered_drifted",
                     json_estimate(&drift->recovered_drifted), "oracle_after", json_estimate(&drift->oracle_after),
                     "days_to_recover", (json_int_t)drift->days_to_recover);
}

static json_t *loop_json(const forage_feedback_loop *loop)
{
    json_t *arms = json_array();
    for (size_t a = 0; a < loop->arm_count; ++a) {
        json_t *rounds = json_array();
        for (size_t r = 0; r < loop->round_count; ++r) {
            const forage_loop_round *found = &loop->arms[a].rounds[r];
            json_array_append_new(
                rounds, json_pack("{so so so so so so}", "click_rate", json_estimate(&found->click_rate), "lost",
                                  json_estimate(&found->lost), "distinct", json_estimate(&found->distinct), "coverage",
                                  json_estimate(&found->coverage), "spread", json_estimate(&found->spread), "rmse",
                                  json_estimate(&found->rmse)));
        }
        json_array_append_new(arms, json_pack("{so so so}", "name", json_text(loop->arms[a].name), "note",
                                              json_text(loop->arms[a].note), "rounds", rounds));
    }
    return json_pack("{sI sI sI sI sI so so}", "seeds", (json_int_t)loop->seeds, "users", (json_int_t)loop->users,
                     "items", (json_int_t)loop->items, "first_interactions", (json_int_t)loop->first_interactions,
                     "round_interactions", (json_int_t)loop->round_interactions, "oracle", json_number(loop->oracle),
                     "arms", arms);
}

forage_status forage_chapter1_json(const forage_chapter1 *chapter, char **text, forage_error *error)
{
    json_t *object = json_pack(
        "{si so so so so so so so so so so so so}", "chapter", 1, "scenario", json_text(chapter->scenario), "seed",
        json_seed(chapter->seed), "log", log_json(&chapter->log), "training", json_training(&chapter->training),
        "metrics", json_metrics(&chapter->metrics), "rmse_pairs", json_number(chapter->rmse_pairs), "choice",
        json_pack("{so so so so sI}", "model", json_number(chapter->choice.model), "oracle",
                  json_number(chapter->choice.oracle), "popular", json_number(chapter->choice.popular), "random",
                  json_number(chapter->choice.random), "distinct", (json_int_t)chapter->choice.distinct),
        "predictions", predictions_json(&chapter->predictions), "cold_start", cold_json(&chapter->cold_start), "drift",
        drift_json(&chapter->drift), "feedback_loop", loop_json(&chapter->feedback_loop), "seconds",
        json_number(chapter->seconds));
    return json_finish(object, text, error);
}
