/*
 * spec.c: short names and YAML files to specifications.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "pipeline/intern.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A user's history fades. Of the half-lives 0 (never), 12, 15, 16, 20, 25, 30 and 50, with linucb and lints on petshop,
 * drift and new-users (seeds 500 to 505 and 600 to 609), 20 impressions lost least where nothing changes, or as little
 * as any, and was back soonest but for shorter ones where tastes change; without forgetting both lose an eighth more at
 * the pet shop, and twice as much in drift. */
static const forage_param params[] = {
    {"arm", FORAGE_PARAM_TEXT, "auto", 0, 0, NULL,
     "what learns for itself: item, or an item attribute whose values are the arms; auto: an attribute if there is one "
     "with several items to each value, else item"},
    {"initial-pulls", FORAGE_PARAM_INTEGER, "0", 0, 1e6, NULL,
     "every arm is tried this often before the policy decides"},
    {"wait", FORAGE_PARAM_INTEGER, "20000", 1, 1e8, NULL,
     "decisions for which feedback is waited for; what has not come by then counts as no reward"},
    {"pretrain", FORAGE_PARAM_INTEGER, "0", 0, 1e9, NULL,
     "rows of random traffic to learn from before the first decision"},
    {"refit", FORAGE_PARAM_INTEGER, "0", 0, 1e9, NULL,
     "events between two fits of a model that learns in batches; 0: it is fitted after `pretrain` alone"},
    {"refit-window", FORAGE_PARAM_INTEGER, "0", 0, 1e9, NULL, "a fit looks at so many events, the latest; 0: at all"},
    {"history-half-life", FORAGE_PARAM_REAL, "20", 0, 1e9, NULL,
     "history of a user: impressions after which an impression counts half; 0: nothing is forgotten"},
    {"history-prior", FORAGE_PARAM_REAL, "20", 1e-3, 1e9, NULL,
     "history of a user: impressions for which the average of all users counts"},
    {"limit", FORAGE_PARAM_INTEGER, "32", 0, PIPELINE_WIDTH_LIMIT, NULL,
     "categories up to this many get a place each, more are hashed"},
    {"buckets", FORAGE_PARAM_INTEGER, "64", 1, PIPELINE_WIDTH_LIMIT, NULL, "places into which categories are hashed"},
    {"appeal", FORAGE_PARAM_BOOLEAN, "true", 0, 0, NULL,
     "where arms are groups of items: learn what each item is worth beyond its arm"},
    {"appeal-width", FORAGE_PARAM_REAL, "1", 0, 100, NULL,
     "what the standard error of an item's appeal is multiplied by: how eagerly new items are tried"},
    {"knots", FORAGE_PARAM_INTEGER, "-1", -1, PIPELINE_KNOT_LIMIT, NULL,
     "numeric columns become a curve of this many straight pieces; 0: a straight line; -1: features auto take as many "
     "as are cheap (8 at most), others 0"},
};
const forage_param_table pipeline_params = {
    .owner = "pipeline", .params = params, .count = sizeof params / sizeof params[0]};

void forage_pipeline_spec_free(forage_pipeline_spec *spec)
{
    if (!spec)
        return;
    forage_free(spec->name);
    forage_free(spec->file);
    forage_params_free(spec->model_params);
    forage_params_free(spec->policy_params);
    forage_params_free(spec->params);
    pipeline_list_release(&spec->features);
    forage_free(spec);
}

const char *forage_pipeline_spec_name(const forage_pipeline_spec *spec)
{
    return spec->name;
}

const forage_model_info *forage_pipeline_spec_model(const forage_pipeline_spec *spec)
{
    return spec->model;
}

const forage_policy_info *forage_pipeline_spec_policy(const forage_pipeline_spec *spec)
{
    return spec->policy;
}

uint64_t forage_pipeline_spec_pretrain(const forage_pipeline_spec *spec)
{
    return (uint64_t)forage_params_integer(spec->params, "pretrain");
}

/* ---- parameters, told apart by their names ---- */

static bool has(const forage_params *values, const char *name)
{
    return values && forage_params_text(values, name) != NULL;
}

static void list_names(const forage_params *values, const char *whose, char *text, size_t size, size_t *used)
{
    if (!values || forage_params_table(values)->count == 0)
        return;
    const forage_param_table *table = forage_params_table(values);
    forage_append(text, size, used, "%s%s: ", *used ? "; " : "", whose);
    for (size_t i = 0; i < table->count; i++)
        forage_append(text, size, used, "%s%s", i ? ", " : "", table->params[i].name);
}

/* A schedule of fits says nothing to a model that learns each event: whoever sets one meant something else. */
static forage_status check_schedule(const forage_pipeline_spec *spec, const char *name, forage_error *error)
{
    bool schedule = strcmp(name, "refit") == 0 || strcmp(name, "refit-window") == 0;
    if (!schedule || (spec->model && !(spec->model->capabilities & FORAGE_CAN_LEARN)))
        return FORAGE_OK;
    return forage_fail_at(error, FORAGE_INVALID, NULL, 0, name, "is for models that are fitted in batches; %s %s",
                          spec->model ? spec->model->name : spec->policy->name,
                          spec->model ? "learns each event as it comes" : "has no model");
}

static forage_status set(forage_pipeline_spec *spec, const char *name, const char *value, forage_error *error)
{
    forage_params *const owners[] = {spec->model_params, spec->policy_params, spec->params};
    static const char *const prefixes[] = {"model.", "policy.", "pipeline."};
    const char *bare = name;
    size_t found = 0, only = SIZE_MAX;
    forage_params *owner = NULL;
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], length) == 0) {
            only = i;
            bare = name + length;
        }
    }
    for (size_t i = 0; i < 3; i++) {
        if ((only != SIZE_MAX && only != i) || !has(owners[i], bare))
            continue;
        owner = owners[i];
        found++;
    }
    if (found == 1 && owner == spec->params)
        FORAGE_TRY(check_schedule(spec, bare, error));
    if (found == 1)
        return forage_params_set(owner, bare, value, error);
    if (found > 1)
        return forage_fail(error, FORAGE_INVALID,
                           "both the model and the policy have a parameter '%.60s': write model.%.60s or policy.%.60s",
                           bare, bare, bare);
    char possible[400] = "";
    size_t used = 0;
    list_names(spec->model_params, spec->model ? spec->model->name : "", possible, sizeof possible, &used);
    list_names(spec->policy_params, spec->policy ? spec->policy->name : "", possible, sizeof possible, &used);
    list_names(spec->params, "pipeline", possible, sizeof possible, &used);
    return forage_fail(error, FORAGE_UNKNOWN, "there is no parameter '%.60s'; possible are %s", name, possible);
}

/* ---- one specification ---- */

static forage_status check(const forage_pipeline_spec *spec, forage_error *error)
{
    if (!spec->model && spec->policy->needs & FORAGE_POLICY_USES_MEAN)
        return forage_fail(error, FORAGE_INVALID, "policy %s needs a model", spec->policy->name);
    if (!spec->model)
        return FORAGE_OK;
    unsigned can = spec->model->capabilities;
    bool deviation = can & FORAGE_HAS_DEVIATION;
    if (spec->policy->needs & FORAGE_POLICY_USES_DEVIATION && !deviation)
        return forage_fail(error, FORAGE_INVALID, "policy %s needs standard errors, which model %s does not give",
                           spec->policy->name, spec->model->name);
    if (spec->policy->needs & FORAGE_POLICY_USES_DRAWS && !deviation && !(can & FORAGE_CAN_LEARN))
        return forage_fail(error, FORAGE_INVALID, "policy %s needs draws or standard errors; model %s has neither",
                           spec->policy->name, spec->model->name);
    return FORAGE_OK;
}

/* An empty specification with a name. */
static forage_status create(const char *name, const char *file, forage_pipeline_spec **result, forage_error *error)
{
    *result = NULL;
    forage_pipeline_spec *spec = forage_calloc(1, sizeof *spec);
    forage_status status = FORAGE_OK;
    if (spec) {
        spec->name = forage_strdup(name);
        spec->file = file ? forage_strdup(file) : NULL;
    }
    if (!spec || !spec->name || (file && !spec->file))
        status = forage_fail(error, FORAGE_NO_MEMORY, "no memory for a specification");
    if (status == FORAGE_OK)
        status = forage_params_create(&pipeline_params, &spec->params, error);
    if (status != FORAGE_OK)
        forage_pipeline_spec_free(spec);
    else
        *result = spec;
    return status;
}

/* A value as a parameter's text; lists are joined by commas. */
static forage_status value_text(const forage_config_node *node, char *text, size_t size, forage_error *error)
{
    size_t used = 0;
    size_t count = forage_config_kind_of(node) == FORAGE_CONFIG_LIST ? forage_config_count(node) : 1;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *part;
        const forage_config_node *entry =
            forage_config_kind_of(node) == FORAGE_CONFIG_LIST ? forage_config_at(node, i) : node;
        FORAGE_TRY(forage_config_text(entry, &part, error));
        forage_append(text, size, &used, "%s%s", i ? "," : "", part);
    }
    if (used >= size)
        return forage_config_fail(node, FORAGE_FORMAT, error, "this is too long");
    return FORAGE_OK;
}

static forage_status find_parts(forage_pipeline_spec *spec, const forage_config_node *map, forage_error *error)
{
    const char *text;
    forage_error inner = {0};
    forage_status status;
    const forage_config_node *node = forage_config_find(map, "model");
    if (node) {
        FORAGE_TRY(forage_config_text(node, &text, error));
        if ((status = forage_model_find(text, &spec->model, &inner)) != FORAGE_OK)
            return forage_config_fail(node, status, error, "%s", inner.message);
        FORAGE_TRY(forage_params_create(&spec->model->table, &spec->model_params, error));
    }
    FORAGE_TRY(forage_config_need(map, "policy", &node, error));
    FORAGE_TRY(forage_config_text(node, &text, error));
    if ((status = forage_policy_find(text, &spec->policy, &inner)) != FORAGE_OK)
        return forage_config_fail(node, status, error, "%s", inner.message);
    FORAGE_TRY(forage_params_create(&spec->policy->table, &spec->policy_params, error));
    if ((status = check(spec, &inner)) != FORAGE_OK)
        return forage_config_fail(node, status, error, "%s", inner.message);
    return FORAGE_OK;
}

/* One pipeline of a file. */
static forage_status read_map(forage_pipeline_spec *spec, const forage_config_node *map, forage_error *error)
{
    FORAGE_TRY(forage_config_want(map, FORAGE_CONFIG_MAP, error));
    FORAGE_TRY(find_parts(spec, map, error));
    for (size_t i = 0; i < forage_config_count(map); i++) {
        const forage_config_node *node = forage_config_at(map, i);
        const char *key = forage_config_key(node);
        char value[256];
        forage_error inner = {0};
        if (strcmp(key, "model") == 0 || strcmp(key, "policy") == 0)
            continue;
        if (strcmp(key, "features") == 0) {
            FORAGE_TRY(pipeline_list_read(node, &spec->features, error));
            continue;
        }
        FORAGE_TRY(value_text(node, value, sizeof value, error));
        forage_status status = set(spec, key, value, &inner);
        if (status != FORAGE_OK)
            return forage_config_fail(node, status, error, "%s", inner.message);
    }
    return FORAGE_OK;
}

/* ":alpha=0.3:ridge=2", to be set on top. */
static forage_status read_tail(forage_pipeline_spec *spec, const char *text, forage_error *error)
{
    while (*text) {
        char name[64], value[256];
        size_t length = strcspn(++text, ":"), equals = strcspn(text, "=:");
        if (equals == 0 || equals >= length || equals >= sizeof name || length - equals > sizeof value)
            return forage_fail(error, FORAGE_INVALID, "'%.*s' in '%.100s' is not parameter=value",
                               (int)(length > 60 ? 60 : length), text, spec->name);
        memcpy(name, text, equals);
        name[equals] = '\0';
        memcpy(value, text + equals + 1, length - equals - 1);
        value[length - equals - 1] = '\0';
        text += length;
        if (strcmp(name, "features") == 0) {
            pipeline_list_release(&spec->features);
            FORAGE_TRY(pipeline_list_words(value, &spec->features, error));
        } else {
            FORAGE_TRY(set(spec, name, value, error));
        }
    }
    return FORAGE_OK;
}

static forage_status finish(forage_status status, forage_pipeline_spec *made, forage_pipeline_spec **spec)
{
    if (status == FORAGE_OK)
        *spec = made;
    else
        forage_pipeline_spec_free(made);
    return status;
}

/* ---- short names ---- */

static forage_status unknown_name(const char *text, size_t length, forage_error *error)
{
    char possible[400] = "";
    size_t used = 0, count;
    const forage_pipeline_name *names = forage_pipeline_names(&count);
    for (size_t i = 0; i < count; i++)
        forage_append(possible, sizeof possible, &used, "%s%s", i ? ", " : "", names[i].name);
    return forage_fail(error, FORAGE_UNKNOWN, "there is no pipeline '%.*s'; possible are %s, or FILE.yaml:NAME",
                       (int)(length > 60 ? 60 : length), text, possible);
}

static forage_status parse_short(const char *text, forage_pipeline_spec **spec, forage_error *error)
{
    size_t count, length = strcspn(text, ":");
    const forage_pipeline_name *names = forage_pipeline_names(&count), *name = NULL;
    forage_pipeline_spec *made;
    forage_config *config;
    for (size_t i = 0; i < count && !name; i++)
        if (strlen(names[i].name) == length && strncmp(names[i].name, text, length) == 0)
            name = &names[i];
    if (!name)
        return unknown_name(text, length, error);
    FORAGE_TRY(create(text, NULL, &made, error));
    forage_status status = forage_config_parse(name->yaml, strlen(name->yaml), name->name, &config, error);
    if (status == FORAGE_OK) {
        status = read_map(made, forage_config_root(config), error);
        forage_config_free(config);
    }
    if (status == FORAGE_OK)
        status = read_tail(made, text + length, error);
    for (size_t i = 0; i < made->features.count; i++)
        made->features.entries[i].line = 0;
    return finish(status, made, spec);
}

/* ---- files ---- */

static forage_status find_pipelines(const forage_config *config, const forage_config_node **pipelines,
                                    forage_error *error)
{
    const forage_config_node *root = forage_config_root(config);
    FORAGE_TRY(forage_config_check_keys(root, "pipelines", error));
    FORAGE_TRY(forage_config_need(root, "pipelines", pipelines, error));
    FORAGE_TRY(forage_config_want(*pipelines, FORAGE_CONFIG_MAP, error));
    return forage_config_count(*pipelines)
               ? FORAGE_OK
               : forage_config_fail(*pipelines, FORAGE_FORMAT, error, "there are no pipelines");
}

static forage_status read_entry(const forage_config_node *node, const char *name, const char *path, const char *tail,
                                forage_pipeline_spec **spec, forage_error *error)
{
    forage_pipeline_spec *made;
    FORAGE_TRY(create(name, path, &made, error));
    forage_status status = read_map(made, node, error);
    if (status == FORAGE_OK)
        status = read_tail(made, tail, error);
    return finish(status, made, spec);
}

/* The entry of that name; the only one where no name is given. */
static forage_status find_entry(const forage_config_node *pipelines, const char *name, size_t length,
                                const forage_config_node **node, forage_error *error)
{
    char possible[300] = "";
    size_t used = 0;
    *node = length == 0 && forage_config_count(pipelines) == 1 ? forage_config_at(pipelines, 0) : NULL;
    for (size_t i = 0; i < forage_config_count(pipelines) && !*node; i++) {
        const char *key = forage_config_key(forage_config_at(pipelines, i));
        if (strlen(key) == length && strncmp(key, name, length) == 0)
            *node = forage_config_at(pipelines, i);
        forage_append(possible, sizeof possible, &used, "%s%s", i ? ", " : "", key);
    }
    if (*node)
        return FORAGE_OK;
    return forage_config_fail(pipelines, FORAGE_UNKNOWN, error, "there is no pipeline '%.*s' here; there are %s",
                              (int)(length > 60 ? 60 : length), name, possible);
}

/* "mine.yaml:name:alpha=1". `path_length` ends the path. */
static forage_status parse_file(const char *text, size_t path_length, forage_pipeline_spec **spec, forage_error *error)
{
    const char *name = text + path_length + (text[path_length] == ':');
    size_t length = strcspn(name, ":");
    const forage_config_node *pipelines, *node;
    forage_config *config = NULL;
    char *path = forage_strndup(text, path_length);
    if (!path)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for a specification");
    forage_status status = forage_config_load(path, &config, error);
    if (status == FORAGE_OK)
        status = find_pipelines(config, &pipelines, error);
    if (status == FORAGE_OK)
        status = find_entry(pipelines, name, length, &node, error);
    if (status == FORAGE_OK)
        status = read_entry(node, text, path, name + length, spec, error);
    forage_config_free(config);
    forage_free(path);
    return status;
}

forage_status forage_pipeline_spec_parse(const char *text, forage_pipeline_spec **spec, forage_error *error)
{
    static const char *const endings[] = {".yaml", ".yml"};
    *spec = NULL;
    for (size_t i = 0; i < 2; i++) {
        size_t length = strlen(endings[i]);
        for (const char *at = strstr(text, endings[i]); at; at = strstr(at + 1, endings[i]))
            if (at[length] == '\0' || at[length] == ':')
                return parse_file(text, (size_t)(at - text) + length, spec, error);
    }
    return parse_short(text, spec, error);
}

static forage_status read_all(const forage_config *config, const char *file, forage_pipeline_spec ***specs,
                              size_t *count, forage_error *error)
{
    const forage_config_node *pipelines;
    FORAGE_TRY(find_pipelines(config, &pipelines, error));
    size_t total = forage_config_count(pipelines), made = 0;
    forage_status status = FORAGE_OK;
    forage_pipeline_spec **list = forage_calloc(total, sizeof(void *));
    if (!list)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the pipelines of a file");
    for (; status == FORAGE_OK && made < total; made += status == FORAGE_OK) {
        const forage_config_node *node = forage_config_at(pipelines, made);
        status = read_entry(node, forage_config_key(node), file, "", &list[made], error);
    }
    if (status == FORAGE_OK) {
        *specs = list;
        *count = total;
        return FORAGE_OK;
    }
    for (size_t i = 0; i < made; i++)
        forage_pipeline_spec_free(list[i]);
    forage_free(list);
    return status;
}

forage_status forage_pipeline_specs_parse(const char *text, size_t size, const char *file,
                                          forage_pipeline_spec ***specs, size_t *count, forage_error *error)
{
    forage_config *config;
    *specs = NULL;
    *count = 0;
    FORAGE_TRY(forage_config_parse(text, size, file, &config, error));
    forage_status status = read_all(config, file, specs, count, error);
    forage_config_free(config);
    return status;
}

forage_status forage_pipeline_specs_load(const char *path, forage_pipeline_spec ***specs, size_t *count,
                                         forage_error *error)
{
    forage_config *config;
    *specs = NULL;
    *count = 0;
    FORAGE_TRY(forage_config_load(path, &config, error));
    forage_status status = read_all(config, path, specs, count, error);
    forage_config_free(config);
    return status;
}
