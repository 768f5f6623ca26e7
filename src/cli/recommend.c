/*
 * forage recommend: the best items for users, with scores and reasons.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/recommend.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { K_LIMIT = 1000000 };

static void release(recommendation *r)
{
    forage_free(r->users.values);
    forage_free(r->context.values);
    forage_free(r->history.values);
    forage_free(r->similar_items.values);
    forage_free(r->similar_users.values);
    forage_free(r->only.values);
    forage_free(r->exclude.values);
    forage_free(r->past);
    forage_free(r->listed);
    forage_free(r->items);
    forage_free(r->scores);
    recommend_release_reasons(r);
    forage_seen_release(&r->seen);
    forage_binding_free(r->binding);
    forage_dataset_free(r->dataset);
    forage_model_free(r->model);
}

static bool similar(const recommendation *r)
{
    return r->similar_items.count > 0 || r->similar_users.count > 0;
}

static bool parse(recommendation *r, int argc, char **argv, int *code)
{
    const cli_option options[] = {
        {"data", CLI_TEXT, &r->data, "FILE", "the log with the users and items (required)"},
        {"user", CLI_LIST, &r->users, "ID",
         "for whom; may be given several times. Not needed where the model reads no user"},
        {"history", CLI_LIST, &r->history, "ITEM,...",
         "for someone of whom nothing is known but these items of the log, joined by commas, the oldest first (a model "
         "of sequences goes by their order); '' for someone who has met nothing yet; not every model can"},
        {"similar-items", CLI_LIST, &r->similar_items, "ITEM",
         "instead: the items whose vectors are most like this one's, by cosine; may be given several times"},
        {"similar-users", CLI_LIST, &r->similar_users, "ID", "the same for users"},
        {"k", CLI_INTEGER, &r->k, "N", "how many items (default: 10)"},
        {"only", CLI_LIST, &r->only, "NAME=VALUE",
         "only items with this attribute, such as 'category=Dog Toy'; may be given several times: of one attribute "
         "any of the values, of several attributes each"},
        {"exclude", CLI_LIST, &r->exclude, "ITEM", "leave out this item; may be given several times"},
        {"exclude-seen", CLI_FLAG, &r->exclude_seen, NULL,
         "leave out what the user has met in the log, or the items of --history"},
        {"exclude-chosen", CLI_FLAG, &r->exclude_chosen, NULL, "leave out what the user has met with a value above 0"},
        {"unknown", CLI_TEXT, &r->unknown_text, "WHAT",
         "for a user or an item that the model has not met: error (default), skip, average, which scores it as the "
         "average of what is known, or fold-in, which knows a user by what they chose in the log and skips items; not "
         "every model can"},
        {"context", CLI_LIST, &r->context, "NAME=VALUE",
         "a context column that the model reads, such as position=1; may be given several times. Others count as "
         "missing"},
        {"now", CLI_TEXT, &r->now_text, "TIME",
         "when items are ranked, in the log's own unit of time, or a date where it has dates: the log counts as it was "
         "then, later events are left out; default: the time of the latest event"},
        {"device", CLI_TEXT, &r->device_name, "NAME", "auto or cpu"},
        {"threads", CLI_INTEGER, &r->threads, "N", "threads; default: one per core"},
        {"json", CLI_FLAG, &r->json, NULL, "print one JSON object"},
        {"quiet", CLI_FLAG, &r->quiet, NULL, "no progress bar"},
    };
    const cli_group groups[] = {{"Options", options, sizeof options / sizeof options[0]}, cli_log_group};
    const cli_syntax syntax = {
        .usage = "forage recommend MODELFILE --data FILE --user ID [options]\n"
                 "       forage recommend MODELFILE --data FILE --history ITEM,... [options]\n"
                 "       forage recommend MODELFILE --data FILE --similar-items ITEM [options]",
        .description =
            "Ranks all items of the log for each user: score, attributes, and what speaks for it in the log. Or finds "
            "the items, or the users, that a model with vectors holds to be most alike.",
        .groups = groups,
        .group_count = 2,
        .examples =
            "  forage recommend mlp.safetensors --data log.csv --user 17 --k 5\n"
            "  forage recommend graph.safetensors --data train.txt --history 17,4,256 --exclude-seen\n"
            "  forage recommend mlp.safetensors --data log.csv --user 17 --only 'category=Dog Toy' --exclude 4\n"
            "  forage recommend graph.safetensors --data train.txt --similar-items 17\n"
            "  forage recommend next.safetensors --data log.csv --user 17 --now 2019-11-24T18:30Z\n"
            "  forage recommend obd.safetensors --data men.csv --context position=1",
        .least = 1,
        .most = 1,
    };
    size_t count;
    if (!cli_parse(&syntax, argc, argv, &count, code))
        return false;
    r->path = argv[1];
    if (!r->data)
        *code = cli_misused("option --data is missing; 'forage help recommend' explains");
    else if (r->k < 1 || r->k > K_LIMIT)
        *code = cli_misused("option --k: %" PRId64 " is not 1 to %d", r->k, K_LIMIT);
    else if (r->threads < 0 || r->threads > 4096)
        *code = cli_misused("option --threads: %" PRId64 " is not a number of threads", r->threads);
    else if ((r->users.count > 0) + (r->history.count > 0) + similar(r) > 1)
        *code =
            cli_misused("--user, --history and --similar-items or --similar-users ask different things: one at a time");
    else if (r->now_text && similar(r))
        *code = cli_misused("option --now: vectors that are alike are so at any time");
    else
        return true;
    return false;
}

/* ---- getting ready ---- */

static forage_status set_context(recommendation *r, forage_error *error)
{
    for (size_t i = 0; i < r->context.count; i++) {
        char name[256];
        const char *text = r->context.values[i], *equals = strchr(text, '=');
        if (!equals || equals == text || (size_t)(equals - text) >= sizeof name)
            return forage_fail(error, FORAGE_INVALID, "option --context: '%.100s' is not NAME=VALUE", text);
        memcpy(name, text, (size_t)(equals - text));
        name[equals - text] = '\0';
        FORAGE_TRY(forage_binding_context(r->binding, name, equals + 1, error));
    }
    return FORAGE_OK;
}

/* The log as it was at the moment of --now. */
static forage_status go_back(recommendation *r, int64_t *now, forage_error *error)
{
    if (!r->now_text)
        return FORAGE_OK;
    forage_error inner = {0};
    forage_status status = forage_time_parse(r->now_text, r->dataset, now, &inner);
    if (status != FORAGE_OK)
        return forage_fail_at(error, status, r->data, 0, r->dataset->time_name, "option --now: %s", inner.message);
    (void)forage_dataset_until(r->dataset, *now);
    return FORAGE_OK;
}

static bool reads_users(const forage_model *model)
{
    const forage_schema *schema = forage_model_schema(model);
    for (size_t f = 0; f < schema->field_count; f++) {
        if (schema->fields[f].owner == FORAGE_OF_USER)
            return true;
    }
    return forage_model_capabilities(forage_model_info_of(model)) & FORAGE_READS_HISTORY;
}

static forage_status prepare(recommendation *r, forage_error *error)
{
    const forage_progress *progress = cli_progress(r->quiet);
    int64_t now = 0;
    FORAGE_TRY(cli_log_options(&r->read, error));
    if (r->unknown_text)
        FORAGE_TRY(forage_unknown_parse(r->unknown_text, &r->unknown, error));
    FORAGE_TRY(forage_device_open(r->device_name ? r->device_name : "auto", (int)r->threads, &r->device, error));
    FORAGE_TRY(forage_model_load(r->path, &r->device, &r->model, error));
    FORAGE_TRY(forage_dataset_load(r->data, &r->read, progress, &r->dataset, error));
    FORAGE_TRY(go_back(r, &now, error));
    FORAGE_TRY(forage_model_bind(r->model, r->dataset, r->unknown, r->data, &r->binding, error));
    if (r->now_text)
        FORAGE_TRY(forage_binding_time(r->binding, now, error));
    r->reads_history = forage_model_capabilities(forage_model_info_of(r->model)) & FORAGE_READS_HISTORY;
    FORAGE_TRY(set_context(r, error));
    FORAGE_TRY(recommend_filter(r, error));
    FORAGE_TRY(recommend_find_history(r, error));
    if (!r->users.count && !r->history.count && !similar(r) && reads_users(r->model))
        return forage_fail(error, FORAGE_INVALID,
                           "this model is about users: name one with --user, or what someone has met with --history");
    if ((r->users.count > 0 || r->similar_users.count > 0) && !r->dataset->users)
        return forage_fail_at(error, FORAGE_INVALID, r->data, 0, NULL, "the log names no users; leave out --%s",
                              r->users.count ? "user" : "similar-users");
    r->has_seen = (r->exclude_seen || r->exclude_chosen) && r->dataset->users;
    if (r->has_seen)
        FORAGE_TRY(forage_seen_create(r->dataset, NULL, 0, !r->exclude_seen, &r->seen, error));
    r->items = forage_alloc((size_t)r->k, sizeof *r->items);
    r->scores = forage_alloc((size_t)r->k, sizeof *r->scores);
    if (!r->items || !r->scores)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for %" PRId64 " items", r->k);
    return recommend_prepare_reasons(r, r->history.count > 0 || (r->users.count > 0 && reads_users(r->model)), error);
}

/* False for a user who is in the log, but was not in the one that the model learned from. */
static bool model_knows(const recommendation *r, const char *id)
{
    const forage_schema *schema = forage_model_schema(r->model);
    for (size_t f = 0; f < schema->field_count; f++) {
        const forage_field *field = &schema->fields[f];
        if (field->is_id && field->owner == FORAGE_OF_USER)
            return forage_vocabulary_find(field->vocabulary, id, strlen(id)) != FORAGE_NONE;
    }
    return true;
}

/* The user's index; *skip for one to be left out. An unknown one may count as the average user (FORAGE_NONE). */
static forage_status find_user(const recommendation *r, const char *id, uint32_t *user, bool *skip, forage_error *error)
{
    *skip = false;
    *user = FORAGE_NONE;
    if (!id)
        return FORAGE_OK;
    *user = forage_vocabulary_find(r->dataset->users, id, strlen(id));
    if (*user != FORAGE_NONE && (!r->dataset->user_known || r->dataset->user_known[*user])) {
        *skip = r->unknown == FORAGE_UNKNOWN_SKIP && !model_knows(r, id);
        return FORAGE_OK; /* an error, where that is wanted, comes from the ranking */
    }
    *user = FORAGE_NONE;
    *skip = r->unknown == FORAGE_UNKNOWN_SKIP;
    if (r->unknown == FORAGE_UNKNOWN_ERROR)
        return forage_fail_at(
            error, FORAGE_UNKNOWN, r->data, 0, r->dataset->user_name,
            "there is no user '%.100s' in the log; --unknown skip or --unknown average are other ways", id);
    return FORAGE_OK;
}

/* Ranks for a user, or for whoever has met r->past. */
static forage_status rank(recommendation *r, uint32_t user, size_t *found, size_t *excluded, forage_error *error)
{
    const uint32_t *seen = NULL;
    size_t k = (size_t)r->k;
    *excluded = 0;
    if (r->history.count) {
        if (r->exclude_seen || r->exclude_chosen) {
            seen = r->past;
            *excluded = r->past_count;
        }
        return forage_model_rank_history(r->binding, r->listed, NULL, r->listed_count, k, seen, *excluded, r->items,
                                         r->scores, found, error);
    }
    if (r->has_seen && user != FORAGE_NONE) {
        seen = r->seen.items + r->seen.offsets[user];
        *excluded = r->seen.offsets[user + 1] - r->seen.offsets[user];
    }
    return forage_model_rank(r->binding, user, k, seen, *excluded, r->items, r->scores, found, error);
}

static json_t *history_json(const recommendation *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->listed_count; i++) {
        char buffer[24];
        size_t length;
        const char *id = forage_vocabulary_id(r->dataset->items, r->listed[i], buffer, &length);
        json_array_append_new(list, recommend_id_json(id, length));
    }
    return list;
}

/* How many items of --history the model has met; the others say nothing to it. */
static size_t past_known(const recommendation *r)
{
    const forage_schema *schema = forage_model_schema(r->model);
    size_t known = 0;
    for (size_t f = 0; f < schema->field_count; f++) {
        const forage_field *field = &schema->fields[f];
        if (!field->is_id || field->owner != FORAGE_OF_ITEM)
            continue;
        for (size_t i = 0; i < r->listed_count; i++) {
            char buffer[24];
            size_t length;
            const char *id = forage_vocabulary_id(r->dataset->items, r->listed[i], buffer, &length);
            known += forage_vocabulary_find(field->vocabulary, id, length) != FORAGE_NONE;
        }
    }
    return known;
}

static void print_heading(const recommendation *r, const char *id, bool known, bool skip, size_t folded)
{
    char name[CLI_SHOWN_SIZE], text[CLI_SHOWN_SIZE];
    if (id)
        printf("%s %s", cli_shown(r->dataset->user_name ? r->dataset->user_name : "user", name), cli_shown(id, text));
    if (id && folded && r->reads_history)
        printf(": by what they did, %zu event%s of the log\n", folded, folded == 1 ? "" : "s");
    else if (id && folded)
        printf(" is new to the model: by %zu item%s of the log\n", folded, folded == 1 ? "" : "s");
    else if (id)
        printf("%s\n", skip ? " is unknown: skipped" : !known ? " is unknown: what the average user gets" : "");
    else if (r->history.count && !r->listed_count)
        printf("someone of whom nothing is known\n");
    else if (r->history.count)
        printf("someone who has met %zu item%s%s\n", r->listed_count, r->listed_count == 1 ? "" : "s",
               past_known(r) ? "" : ", none of which the model knows: what the average user gets");
}

static forage_status recommend(recommendation *r, const char *id, json_t *users, forage_error *error)
{
    uint32_t user;
    bool skip, known;
    size_t found = 0, excluded = 0;
    FORAGE_TRY(find_user(r, id, &user, &skip, error));
    size_t folded = forage_binding_folded(r->binding, user);
    known = user != FORAGE_NONE && model_knows(r, id) && (!folded || r->reads_history);
    if (!skip)
        FORAGE_TRY(rank(r, user, &found, &excluded, error));
    recommend_count_kinds(r, user);
    cli_progress_end();
    if (users) {
        json_t *list = json_array();
        for (size_t i = 0; i < found; i++)
            json_array_append_new(list, recommend_item_json(r, user, i));
        json_t *object =
            json_pack("{s:o, s:b, s:b, s:I, s:o}", "user", id ? recommend_id_json(id, strlen(id)) : json_null(),
                      "known", known, "skipped", skip, "folded_in", (json_int_t)folded, "items", list);
        if (r->history.count)
            json_object_set_new(object, "history", history_json(r));
        json_array_append_new(users, object);
        return FORAGE_OK;
    }
    print_heading(r, id, known, skip, folded);
    for (size_t i = 0; i < found; i++)
        recommend_print_item(r, user, i);
    if (!skip && found < (size_t)r->k)
        printf("      (there are no more items%s)\n", excluded ? " that this user has not met" : "");
    return FORAGE_OK;
}

static forage_status recommend_all(recommendation *r, json_t *users, forage_error *error)
{
    if (similar(r))
        return recommend_similar(r, users, error);
    if (r->users.count == 0)
        return recommend(r, NULL, users, error);
    for (size_t i = 0; i < r->users.count; i++)
        FORAGE_TRY(recommend(r, r->users.values[i], users, error));
    return FORAGE_OK;
}

static int run(int argc, char **argv)
{
    recommendation r = {.k = 10};
    forage_error error = {0};
    int code;
    if (parse(&r, argc, argv, &code)) {
        json_t *users = r.json ? json_array() : NULL;
        forage_status status = prepare(&r, &error);
        if (status == FORAGE_OK)
            status = recommend_all(&r, users, &error);
        if (status != FORAGE_OK) {
            json_decref(users);
            code = cli_fail(&error);
        } else if (users) {
            code = cli_print_json(json_pack("{s:s, s:s, s:I, s:s?, s:o}", "model", forage_model_info_of(r.model)->name,
                                            "device", r.device.name, "k", (json_int_t)r.k, "now", r.now_text,
                                            similar(&r) ? "similar" : "users", users));
        } else {
            code = CLI_GOOD;
        }
    }
    release(&r);
    return code;
}

const cli_command cli_recommend = {"recommend", "the best items for users, with scores and reasons", run};
