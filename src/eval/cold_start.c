/*
 * cold_start.c: flaw 1, measured. New users arrive and new products are launched; the model was trained
 * without them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "eval/world.h"

#include <math.h>
#include <string.h>

enum {
    KNOWN_USERS = 100,
    NEW_USERS = 50,
    KNOWN_ITEMS = 50,
    NEW_ITEMS = 10,
    EVENTS = 20000, /* of random traffic before the news */
    EPOCHS = 4,
    NEW_EVENTS = 5000,   /* of random traffic after a launch, before the model is trained again */
    STREAM_NEWS = 100,   /* worlds with new users and new products of known categories */
    STREAM_LAUNCH = 200, /* worlds where a whole category is launched */
    MOST_LAUNCHES = 8    /* categories that are launched in turn */
};

enum {
    KNOWN_MODEL,
    KNOWN_ORACLE,
    NEW_AVERAGE,
    NEW_POPULAR,
    NEW_RANDOM,
    NEW_ORACLE,
    RMSE_KNOWN,
    RMSE_NEW_USER,
    RMSE_NEW_ITEM,
    NEW_ITEM_SHARE,
    BEFORE_MODEL,
    BEFORE_ORACLE,
    AFTER_AVERAGE,
    AFTER_RETRAINED,
    AFTER_ORACLE,
    FOUND, /* and then, for each launched category, what it cost: */
};

/* lost click rate before, right after, and once trained again */
enum { LOST_BEFORE, LOST_AFTER, LOST_RETRAINED, PER_LAUNCH };

enum { SIZE = FOUND + MOST_LAUNCHES * PER_LAUNCH };

size_t eval_cold_start_size(void)
{
    return SIZE;
}

/* Trained on 100 users and 50 products; 50 users and 10 products are new. */
static forage_status news(const eval_study *study, size_t index, double *found, forage_error *error)
{
    eval_world_options options = {
        KNOWN_USERS + NEW_USERS,      KNOWN_ITEMS + NEW_ITEMS, NEW_USERS, NEW_ITEMS, FORAGE_NONE, EVENTS,
        STREAM_NEWS + (uint32_t)index};
    uint32_t choice[KNOWN_USERS + NEW_USERS];
    const size_t known = KNOWN_USERS, users = KNOWN_USERS + NEW_USERS, items = KNOWN_ITEMS + NEW_ITEMS;
    const forage_model_info *popular;
    eval_world world;
    FORAGE_TRY(forage_model_find("popular", &popular, error));
    FORAGE_TRY(eval_world_create(study, &options, &world, error));
    eval_world_visits(&world, EVENTS, NULL);
    forage_status status = FORAGE_OK;
    FORAGE_TRY_GOTO(eval_world_fit(&world, popular, world.rows, EVENTS, EPOCHS, index, error), end);
    eval_world_choose(&world, world.scores, known, users, KNOWN_ITEMS, choice);
    found[NEW_POPULAR] = eval_world_rate(&world, choice, known, users, NULL);

    FORAGE_TRY_GOTO(eval_world_fit(&world, study->info, world.rows, EVENTS, EPOCHS, index, error), end);
    eval_world_choose(&world, world.scores, 0, users, KNOWN_ITEMS, choice);
    found[KNOWN_MODEL] = eval_world_rate(&world, choice, 0, known, NULL);
    found[NEW_AVERAGE] = eval_world_rate(&world, choice, known, users, NULL);
    found[KNOWN_ORACLE] = eval_world_oracle(&world, 0, known, KNOWN_ITEMS, NULL);
    found[NEW_ORACLE] = eval_world_oracle(&world, known, users, KNOWN_ITEMS, NULL);
    found[NEW_RANDOM] = eval_world_random(&world, known, users, KNOWN_ITEMS);
    found[RMSE_KNOWN] = eval_world_rmse(&world, 0, known, 0, KNOWN_ITEMS);
    found[RMSE_NEW_USER] = eval_world_rmse(&world, known, users, 0, KNOWN_ITEMS);
    found[RMSE_NEW_ITEM] = eval_world_rmse(&world, 0, known, KNOWN_ITEMS, items);

    eval_world_choose(&world, world.scores, 0, known, items, choice);
    size_t fresh = 0;
    for (size_t user = 0; user < known; ++user)
        fresh += choice[user] >= KNOWN_ITEMS;
    found[NEW_ITEM_SHARE] = (double)fresh / (double)known;
end:
    eval_world_release(&world);
    return status;
}

/* Trained while one category was not yet sold, which is launched then. */
static forage_status launch(const eval_study *study, size_t index, uint32_t category, double *found,
                            forage_error *error)
{
    eval_world_options options = {
        KNOWN_USERS, KNOWN_ITEMS, 0, SIZE_MAX, category, EVENTS + NEW_EVENTS, STREAM_LAUNCH + (uint32_t)index};
    uint32_t choice[KNOWN_USERS];
    eval_world world;
    FORAGE_TRY(eval_world_create(study, &options, &world, error));
    forage_status status = FORAGE_OK;
    size_t before = world.known_items;
    eval_world_visits(&world, EVENTS, NULL);
    FORAGE_TRY_GOTO(eval_world_fit(&world, study->info, world.rows, EVENTS, EPOCHS, index, error), end);
    eval_world_choose(&world, world.scores, 0, KNOWN_USERS, before, choice);
    found[BEFORE_MODEL] = eval_world_rate(&world, choice, 0, KNOWN_USERS, NULL);
    found[BEFORE_ORACLE] = eval_world_oracle(&world, 0, KNOWN_USERS, before, NULL);
    eval_world_choose(&world, world.scores, 0, KNOWN_USERS, KNOWN_ITEMS, choice);
    found[AFTER_AVERAGE] = eval_world_rate(&world, choice, 0, KNOWN_USERS, NULL);
    found[AFTER_ORACLE] = eval_world_oracle(&world, 0, KNOWN_USERS, KNOWN_ITEMS, NULL);

    FORAGE_TRY_GOTO(eval_world_open(&world, error), end);
    eval_world_visits(&world, NEW_EVENTS, NULL);
    FORAGE_TRY_GOTO(eval_world_fit(&world, study->info, world.rows, EVENTS + NEW_EVENTS, EPOCHS, index, error), end);
    eval_world_choose(&world, world.scores, 0, KNOWN_USERS, KNOWN_ITEMS, choice);
    found[AFTER_RETRAINED] = eval_world_rate(&world, choice, 0, KNOWN_USERS, NULL);
end:
    eval_world_release(&world);
    return status;
}

static size_t launches(const eval_study *study)
{
    size_t categories = study->scenario->category_count;
    return categories < 2 ? 0 : categories < MOST_LAUNCHES ? categories : MOST_LAUNCHES;
}

/* Each category in turn is the one that is launched; what is common to all is their mean. */
static forage_status launch_each(const eval_study *study, size_t index, double *found, forage_error *error)
{
    size_t count = launches(study);
    for (size_t c = 0; c < count; ++c) {
        double here[FOUND] = {0}, *lost = found + FOUND + c * PER_LAUNCH;
        FORAGE_TRY(launch(study, index, (uint32_t)c, here, error));
        for (size_t m = BEFORE_MODEL; m <= AFTER_ORACLE; ++m)
            found[m] += here[m] / (double)count;
        lost[LOST_BEFORE] = here[BEFORE_ORACLE] - here[BEFORE_MODEL];
        lost[LOST_AFTER] = here[AFTER_ORACLE] - here[BEFORE_MODEL];
        lost[LOST_RETRAINED] = here[AFTER_ORACLE] - here[AFTER_RETRAINED];
    }
    for (size_t m = BEFORE_MODEL; count == 0 && m <= AFTER_ORACLE; ++m)
        found[m] = NAN;
    return FORAGE_OK;
}

forage_status eval_cold_start_world(const eval_study *study, size_t index, double *found, forage_error *error)
{
    FORAGE_TRY(news(study, index, found, error));
    return launch_each(study, index, found, error);
}

/* ------------------------------------------------------------------ *
 * The record
 * ------------------------------------------------------------------ */

typedef struct arm_text {
    const char *name, *note;
    int rate, oracle;
} arm_text;

static forage_status fill_arms(const arm_text *texts, size_t count, const double *found, size_t worlds,
                               forage_arm **arms, size_t *arm_count, forage_error *error)
{
    *arms = forage_calloc(count, sizeof **arms);
    if (!*arms)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
    *arm_count = count;
    for (size_t a = 0; a < count; ++a) {
        eval_name((*arms)[a].name, sizeof(*arms)[a].name, texts[a].name);
        eval_name((*arms)[a].note, sizeof(*arms)[a].note, texts[a].note);
        (*arms)[a].click_rate = eval_over_worlds(found, worlds, SIZE, (size_t)texts[a].rate);
        (*arms)[a].lost =
            eval_difference_over_worlds(found, worlds, SIZE, (size_t)texts[a].oracle, (size_t)texts[a].rate);
    }
    return FORAGE_OK;
}

static forage_status fill_launches(const eval_study *study, const double *found, size_t worlds,
                                   forage_cold_start *record, forage_error *error)
{
    record->launches = forage_calloc(launches(study) + 1, sizeof *record->launches);
    if (!record->launches)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a record");
    record->launch_count = launches(study);
    for (size_t c = 0; c < record->launch_count; ++c) {
        size_t first = FOUND + c * PER_LAUNCH;
        forage_launch *out = &record->launches[c];
        eval_name(out->category, sizeof out->category, study->scenario->categories[c]);
        out->lost_before = eval_over_worlds(found, worlds, SIZE, first + LOST_BEFORE);
        out->lost_after = eval_over_worlds(found, worlds, SIZE, first + LOST_AFTER);
        out->lost_retrained = eval_over_worlds(found, worlds, SIZE, first + LOST_RETRAINED);
    }
    return FORAGE_OK;
}

forage_status eval_cold_start_record(const eval_study *study, const double *found, size_t worlds,
                                     forage_cold_start *record, forage_error *error)
{
    static const arm_text users[] = {
        {"known users, the model", "the model's best product for users whom it was trained on", KNOWN_MODEL,
         KNOWN_ORACLE},
        {"new users, as the average user", "the model has no row for them and takes the mean of all users' embeddings",
         NEW_AVERAGE, NEW_ORACLE},
        {"new users, bestseller", "the product with the best click rate in the log, the same for everyone", NEW_POPULAR,
         NEW_ORACLE},
        {"new users, at random", "any product", NEW_RANDOM, NEW_ORACLE},
        {"new users, oracle", "the truly best product: what could be earned", NEW_ORACLE, NEW_ORACLE},
    };
    static const arm_text items[] = {
        {"before the launch", "the model's choice, compared with the best product that was on sale", BEFORE_MODEL,
         BEFORE_ORACLE},
        {"after it, new products not scored",
         "the model cannot score them: its choice stays, but better is on sale now", BEFORE_MODEL, AFTER_ORACLE},
        {"after it, scored as the average", "the new products get the mean of all products' embeddings", AFTER_AVERAGE,
         AFTER_ORACLE},
        {"after it, trained again", "trained again once random traffic has shown the new products, too",
         AFTER_RETRAINED, AFTER_ORACLE},
        {"after it, oracle", "the truly best product", AFTER_ORACLE, AFTER_ORACLE},
    };
    *record = (forage_cold_start){
        .seeds = worlds,
        .users_known = KNOWN_USERS,
        .users_new = NEW_USERS,
        .items_known = KNOWN_ITEMS,
        .items_new = NEW_ITEMS,
        .interactions = EVENTS,
        .new_interactions = NEW_EVENTS,
        .new_item_fair_share = (double)NEW_ITEMS / (KNOWN_ITEMS + NEW_ITEMS),
    };
    record->rmse_known = eval_over_worlds(found, worlds, SIZE, RMSE_KNOWN);
    record->rmse_new_user = eval_over_worlds(found, worlds, SIZE, RMSE_NEW_USER);
    record->rmse_new_item = eval_over_worlds(found, worlds, SIZE, RMSE_NEW_ITEM);
    record->new_item_share = eval_over_worlds(found, worlds, SIZE, NEW_ITEM_SHARE);
    FORAGE_TRY(fill_arms(users, sizeof users / sizeof users[0], found, worlds, &record->user_arms,
                         &record->user_arm_count, error));
    FORAGE_TRY(fill_arms(items, sizeof items / sizeof items[0], found, worlds, &record->item_arms,
                         &record->item_arm_count, error));
    return fill_launches(study, found, worlds, record, error);
}
