/* forage recommend: the best items for users, with scores and reasons. */
#include "cli/log_options.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 400, K_LIMIT = 1000000 };

/* What a log says about an item, or about a user and a kind of item. */
typedef struct tally {
    uint64_t shown, chosen;
} tally;

typedef struct recommendation {
    forage_read_options read;
    const char *path, *data, *unknown_text, *device_name;
    cli_list users, context;
    int64_t k, threads;
    bool exclude_seen, exclude_chosen, json, quiet;

    forage_device device;
    forage_model *model;
    forage_dataset *dataset;
    forage_unknown unknown;
    forage_binding *binding;
    forage_seen seen;
    bool has_seen;

    uint32_t *items;           /* [k] */
    float *scores;             /* [k] */
    tally *by_item;            /* [items] */
    tally *by_kind;            /* [kinds] of one user */
    const forage_column *kind; /* the items' first categorical attribute, or NULL */
    bool binary;
} recommendation;

static void release(recommendation *r)
{
    forage_free(r->users.values);
    forage_free(r->context.values);
    forage_free(r->items);
    forage_free(r->scores);
    forage_free(r->by_item);
    forage_free(r->by_kind);
    forage_seen_release(&r->seen);
    forage_binding_free(r->binding);
    forage_dataset_free(r->dataset);
    forage_model_free(r->model);
}

static bool parse(recommendation *r, int argc, char **argv, int *code)
{
    const cli_option options[] = {
        {"data", CLI_TEXT, &r->data, "FILE", "the log with the users and items (required)"},
        {"user", CLI_LIST, &r->users, "ID",
         "for whom; may be given several times. Not needed where the model reads no user"},
        {"k", CLI_INTEGER, &r->k, "N", "how many items (default: 10)"},
        {"exclude-seen", CLI_FLAG, &r->exclude_seen, NULL, "leave out what the user has met in the log"},
        {"exclude-chosen", CLI_FLAG, &r->exclude_chosen, NULL, "leave out what the user has met with a value above 0"},
        {"unknown", CLI_TEXT, &r->unknown_text, "WHAT",
         "for a user or an item that the model has not met: error (default), skip, or average, which scores it as the "
         "average of what is known"},
        {"context", CLI_LIST, &r->context, "NAME=VALUE",
         "a context column that the model reads, such as position=1; may be given several times. Others count as "
         "missing"},
        {"device", CLI_TEXT, &r->device_name, "NAME", "auto or cpu"},
        {"threads", CLI_INTEGER, &r->threads, "N", "threads; default: one per core"},
        {"json", CLI_FLAG, &r->json, NULL, "print one JSON object"},
        {"quiet", CLI_FLAG, &r->quiet, NULL, "no progress bar"},
    };
    const cli_group groups[] = {{"Options", options, sizeof options / sizeof options[0]}, cli_log_group};
    const cli_syntax syntax = {
        .usage = "forage recommend MODELFILE --data FILE --user ID [options]",
        .description =
            "Ranks all items of the log for each user: score, attributes, and what speaks for it in the log.",
        .groups = groups,
        .group_count = 2,
        .examples = "  forage recommend mlp.safetensors --data log.csv --user 17 --k 5\n"
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

static bool reads_users(const forage_model *model)
{
    const forage_schema *schema = forage_model_schema(model);
    for (size_t f = 0; f < schema->field_count; f++) {
        if (schema->fields[f].owner == FORAGE_OF_USER)
            return true;
    }
    return false;
}

static bool chosen(const forage_dataset *dataset, size_t row)
{
    return !dataset->value || dataset->value[row] > 0;
}

/* How often each item was shown and chosen, for the reasons. */
static forage_status count_items(recommendation *r, forage_error *error)
{
    const forage_dataset *dataset = r->dataset;
    size_t items = forage_vocabulary_count(dataset->items), kinds = 1;
    for (size_t c = 0; c < dataset->item_attributes.column_count && !r->kind; c++) {
        if (dataset->item_attributes.columns[c].type == FORAGE_CATEGORICAL)
            r->kind = &dataset->item_attributes.columns[c];
    }
    if (r->kind)
        kinds = forage_vocabulary_count(r->kind->vocabulary);
    r->by_item = forage_calloc(items + 1, sizeof *r->by_item);
    r->by_kind = forage_calloc(kinds + 1, sizeof *r->by_kind);
    r->items = forage_alloc((size_t)r->k, sizeof *r->items);
    r->scores = forage_alloc((size_t)r->k, sizeof *r->scores);
    if (!r->by_item || !r->by_kind || !r->items || !r->scores)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory to count what the log shows");
    r->binary = dataset->value != NULL;
    for (size_t row = 0; row < dataset->count; row++) {
        r->by_item[dataset->item[row]].shown++;
        r->by_item[dataset->item[row]].chosen += chosen(dataset, row);
        r->binary = r->binary && (dataset->value[row] == 0 || dataset->value[row] == 1);
    }
    return FORAGE_OK;
}

static forage_status prepare(recommendation *r, forage_error *error)
{
    const forage_progress *progress = cli_progress(r->quiet);
    FORAGE_TRY(cli_log_options(&r->read, error));
    if (r->unknown_text)
        FORAGE_TRY(forage_unknown_parse(r->unknown_text, &r->unknown, error));
    FORAGE_TRY(forage_device_open(r->device_name ? r->device_name : "auto", (int)r->threads, &r->device, error));
    FORAGE_TRY(forage_model_load(r->path, &r->device, &r->model, error));
    FORAGE_TRY(forage_dataset_load(r->data, &r->read, progress, &r->dataset, error));
    FORAGE_TRY(forage_model_bind(r->model, r->dataset, r->unknown, r->data, &r->binding, error));
    FORAGE_TRY(set_context(r, error));
    if (r->users.count == 0 && reads_users(r->model))
        return forage_fail(error, FORAGE_INVALID, "this model is about users: name one with --user");
    if (r->users.count > 0 && !r->dataset->users)
        return forage_fail_at(error, FORAGE_INVALID, r->data, 0, NULL, "the log names no users; leave out --user");
    r->has_seen = (r->exclude_seen || r->exclude_chosen) && r->dataset->users;
    if (r->has_seen)
        FORAGE_TRY(forage_seen_create(r->dataset, NULL, 0, !r->exclude_seen, &r->seen, error));
    return count_items(r, error);
}

/* ---- reasons ---- */

/* What the user did with each kind of item. */
static void count_kinds(recommendation *r, uint32_t user)
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

/* ---- one user ---- */

/* Ids may be any bytes, JSON only UTF-8: what is not is shown as '?'. */
static json_t *json_of_id(const char *id, size_t length)
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

static json_t *attributes_json(const recommendation *r, uint32_t item)
{
    const forage_table *table = &r->dataset->item_attributes;
    json_t *object = json_object();
    for (size_t c = 0; c < table->column_count; c++) {
        const forage_column *column = &table->columns[c];
        char buffer[24];
        size_t length;
        if (column->type == FORAGE_NUMERIC) {
            json_object_set_new(object, column->name, cli_json_real((double)column->values[item]));
        } else if (column->codes[item] == FORAGE_NONE) {
            json_object_set_new(object, column->name, json_null());
        } else {
            const char *id = forage_vocabulary_id(column->vocabulary, column->codes[item], buffer, &length);
            json_object_set_new(object, column->name, json_of_id(id, length));
        }
    }
    return object;
}

static void print_attributes(const recommendation *r, uint32_t item)
{
    const forage_table *table = &r->dataset->item_attributes;
    for (size_t c = 0; c < table->column_count && c < 4; c++) {
        const forage_column *column = &table->columns[c];
        char buffer[24], text[CLI_SHOWN_SIZE];
        if (column->type == FORAGE_NUMERIC && isfinite(column->values[item]))
            printf("  %s %g", cli_shown(column->name, text), (double)column->values[item]);
        else if (column->type == FORAGE_CATEGORICAL && column->codes[item] != FORAGE_NONE)
            printf("  %s",
                   cli_shown(forage_vocabulary_id(column->vocabulary, column->codes[item], buffer, NULL), text));
    }
}

static json_t *item_json(const recommendation *r, uint32_t user, size_t rank)
{
    char buffer[24], reason[TEXT_SIZE];
    size_t length;
    const char *id = forage_vocabulary_id(r->dataset->items, r->items[rank], buffer, &length);
    write_reason(r, user, r->items[rank], reason, sizeof reason);
    return json_pack("{s:i, s:o, s:o, s:o, s:s}", "rank", (int)rank + 1, "item", json_of_id(id, length), "score",
                     cli_json_real((double)r->scores[rank]), "attributes", attributes_json(r, r->items[rank]), "reason",
                     reason);
}

static void print_item(const recommendation *r, uint32_t user, size_t rank)
{
    char buffer[24], reason[TEXT_SIZE], text[CLI_SHOWN_SIZE];
    const char *id = forage_vocabulary_id(r->dataset->items, r->items[rank], buffer, NULL);
    write_reason(r, user, r->items[rank], reason, sizeof reason);
    printf("%4zu. %-12s %8.4f", rank + 1, cli_shown(id, text), (double)r->scores[rank]);
    print_attributes(r, r->items[rank]);
    for (char *c = reason; *c; c++) /* names of columns and categories are in it */
        *c = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
    printf("\n      %s\n", reason);
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

static forage_status recommend(recommendation *r, const char *id, json_t *users, forage_error *error)
{
    uint32_t user;
    bool skip, known;
    size_t found = 0, excluded = 0;
    const uint32_t *seen = NULL;
    char name[CLI_SHOWN_SIZE], text[CLI_SHOWN_SIZE];
    FORAGE_TRY(find_user(r, id, &user, &skip, error));
    known = user != FORAGE_NONE && model_knows(r, id);
    if (r->has_seen && user != FORAGE_NONE) {
        seen = r->seen.items + r->seen.offsets[user];
        excluded = r->seen.offsets[user + 1] - r->seen.offsets[user];
    }
    if (!skip)
        FORAGE_TRY(
            forage_model_rank(r->binding, user, (size_t)r->k, seen, excluded, r->items, r->scores, &found, error));
    count_kinds(r, user);
    cli_progress_end();
    if (users) {
        json_t *list = json_array();
        for (size_t i = 0; i < found; i++)
            json_array_append_new(list, item_json(r, user, i));
        json_array_append_new(users,
                              json_pack("{s:o, s:b, s:b, s:o}", "user", id ? json_of_id(id, strlen(id)) : json_null(),
                                        "known", known, "skipped", skip, "items", list));
        return FORAGE_OK;
    }
    if (id)
        printf("%s %s%s\n", cli_shown(r->dataset->user_name ? r->dataset->user_name : "user", name),
               cli_shown(id, text),
               skip     ? " is unknown: skipped"
               : !known ? " is unknown: what the average user gets"
                        : "");
    for (size_t i = 0; i < found; i++)
        print_item(r, user, i);
    if (!skip && found < (size_t)r->k)
        printf("      (there are no more items%s)\n", excluded ? " that this user has not met" : "");
    return FORAGE_OK;
}

static forage_status recommend_all(recommendation *r, json_t *users, forage_error *error)
{
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
            code = cli_print_json(json_pack("{s:s, s:s, s:I, s:o}", "model", forage_model_info_of(r.model)->name,
                                            "device", r.device.name, "k", (json_int_t)r.k, "users", users));
        } else {
            code = CLI_GOOD;
        }
    }
    release(&r);
    return code;
}

const cli_command cli_recommend = {"recommend", "the best items for users, with scores and reasons", run};
