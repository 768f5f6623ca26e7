/*
 * Parameters: a table of what is possible in, checked values out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LIST_LIMIT = 64 };

/* One checked value. */
typedef struct param_value {
    char *text; /* in one spelling */
    int64_t integer;
    double real;
    bool boolean;
    int64_t *list;
    size_t list_count;
    bool given; /* somebody set it: presets leave it alone */
} param_value;

struct forage_params {
    const forage_param_table *table;
    param_value *values; /* [table->count] */
};

static void release_value(param_value *value)
{
    forage_free(value->text);
    forage_free(value->list);
    *value = (param_value){0};
}

/* "1 to 1000", "at least 0", for messages and help. */
static void range_text(const forage_param *param, char *buffer, size_t size)
{
    char low[32], high[32];
    size_t used = 0;
    forage_format_real(param->minimum, low);
    forage_format_real(param->maximum, high);
    buffer[0] = '\0';
    if (isfinite(param->minimum) && isfinite(param->maximum))
        forage_append(buffer, size, &used, "%s to %s", low, high);
    else if (isfinite(param->minimum))
        forage_append(buffer, size, &used, "at least %s", low);
    else if (isfinite(param->maximum))
        forage_append(buffer, size, &used, "at most %s", high);
}

size_t forage_param_possible(const forage_param *param, char *buffer, size_t size)
{
    char range[80];
    size_t used = 0;
    range_text(param, range, sizeof range);
    const char *comma = range[0] ? ", " : "";
    switch (param->type) {
    case FORAGE_PARAM_INTEGER:
        forage_append(buffer, size, &used, "a whole number%s%s", comma, range);
        break;
    case FORAGE_PARAM_REAL:
        forage_append(buffer, size, &used, "a number%s%s", comma, range);
        break;
    case FORAGE_PARAM_BOOLEAN:
        forage_append(buffer, size, &used, "true or false");
        break;
    case FORAGE_PARAM_CHOICE:
        forage_append(buffer, size, &used, "one of %s", param->choices);
        break;
    case FORAGE_PARAM_LIST:
        forage_append(buffer, size, &used, "whole numbers joined by commas%s%s%s", range[0] ? ", each " : "", range,
                      ", at most 64");
        break;
    case FORAGE_PARAM_TEXT:
        forage_append(buffer, size, &used, "any text");
        break;
    }
    return used;
}

static bool in_range(const forage_param *param, double value)
{
    return value >= param->minimum && value <= param->maximum;
}

static bool is_choice(const char *choices, const char *text, size_t length)
{
    for (const char *at = choices; length && at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        if (strcspn(at, "|") == length && strncmp(at, text, length) == 0)
            return true;
    }
    return false;
}

/* "64,32" to numbers; "" is the empty list. False when it is none, FORAGE_NO_MEMORY through `status`. */
static bool parse_list(const forage_param *param, const char *text, param_value *value, forage_status *status)
{
    char canonical[LIST_LIMIT * 21 + 1] = "";
    size_t used = 0;
    value->list = forage_alloc(LIST_LIMIT, sizeof *value->list);
    if (!value->list) {
        *status = FORAGE_NO_MEMORY;
        return false;
    }
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, ",");
        int64_t entry;
        if (value->list_count == LIST_LIMIT || !forage_parse_i64(at, length, &entry) ||
            !in_range(param, (double)entry) || (at[length] == ',' && !at[length + 1]))
            return false;
        forage_append(canonical, sizeof canonical, &used, "%s%lld", value->list_count ? "," : "", (long long)entry);
        value->list[value->list_count++] = entry;
        at += length + (at[length] == ',');
    }
    value->text = forage_strdup(canonical);
    if (!value->text)
        *status = FORAGE_NO_MEMORY;
    return value->text != NULL;
}

/* Fills `value` from text; FORAGE_INVALID when it does not fit. */
static forage_status parse_value(const forage_param *param, const char *text, param_value *value)
{
    forage_status status = FORAGE_INVALID;
    size_t length = strlen(text);
    char canonical[40] = "";
    const char *keep = canonical;
    bool good = false;
    switch (param->type) {
    case FORAGE_PARAM_INTEGER:
        good = forage_parse_i64(text, length, &value->integer) && in_range(param, (double)value->integer);
        snprintf(canonical, sizeof canonical, "%lld", (long long)value->integer);
        break;
    case FORAGE_PARAM_REAL:
        good = forage_parse_real(text, length, &value->real) && in_range(param, value->real);
        if (good)
            forage_format_real(value->real, canonical);
        break;
    case FORAGE_PARAM_BOOLEAN:
        value->boolean = strcmp(text, "true") == 0;
        good = value->boolean || strcmp(text, "false") == 0;
        keep = text;
        break;
    case FORAGE_PARAM_CHOICE:
        good = is_choice(param->choices, text, length);
        keep = text;
        break;
    case FORAGE_PARAM_LIST:
        return parse_list(param, text, value, &status) ? FORAGE_OK : status;
    case FORAGE_PARAM_TEXT:
        good = !strpbrk(text, "\n\r");
        keep = text;
        break;
    }
    if (!good)
        return FORAGE_INVALID;
    value->text = forage_strdup(keep);
    return value->text ? FORAGE_OK : FORAGE_NO_MEMORY;
}

static size_t index_of(const forage_param_table *table, const char *name)
{
    size_t index = 0;
    while (index < table->count && strcmp(table->params[index].name, name) != 0)
        index++;
    return index;
}

static forage_status store(forage_params *params, size_t index, const char *value, forage_error *error)
{
    const forage_param_table *table = params->table;
    const forage_param *param = &table->params[index];
    param_value parsed = {.given = false};
    forage_status status = parse_value(param, value, &parsed);
    if (status != FORAGE_OK) {
        release_value(&parsed);
        if (status == FORAGE_NO_MEMORY)
            return forage_fail(error, status, "no memory for parameter %s", param->name);
        char possible[200];
        forage_param_possible(param, possible, sizeof possible);
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, param->name,
                              "'%.60s' is not possible for %s; it takes %s", value, table->owner, possible);
    }
    release_value(&params->values[index]);
    params->values[index] = parsed;
    return FORAGE_OK;
}

/* Parameter `index` has changed: those that nobody set take what its presets say, or their defaults again. */
static forage_status apply_presets(forage_params *params, size_t index, forage_error *error)
{
    const forage_param_table *table = params->table;
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < table->preset_count; i++) {
            const forage_preset *preset = &table->presets[i];
            size_t target = index_of(table, preset->name);
            bool holds = strcmp(params->values[index].text, preset->is) == 0;
            if (strcmp(preset->when, table->params[index].name) != 0 || target == table->count ||
                params->values[target].given || (pass == 1 && !holds))
                continue;
            FORAGE_TRY(store(params, target, pass ? preset->value : table->params[target].default_value, error));
        }
    }
    return FORAGE_OK;
}

forage_status forage_params_set(forage_params *params, const char *name, const char *value, forage_error *error)
{
    const forage_param_table *table = params->table;
    size_t index = index_of(table, name);
    if (index == table->count) {
        char names[400] = "";
        size_t used = 0;
        for (size_t i = 0; i < table->count; i++)
            forage_append(names, sizeof names, &used, "%s%s", i ? ", " : "", table->params[i].name);
        return forage_fail(error, FORAGE_UNKNOWN, "%s has no parameter '%.60s'; it has: %s", table->owner, name, names);
    }
    FORAGE_TRY(store(params, index, value, error));
    params->values[index].given = true;
    return apply_presets(params, index, error);
}

forage_status forage_params_create(const forage_param_table *table, forage_params **params, forage_error *error)
{
    *params = NULL;
    forage_params *made = forage_calloc(1, sizeof *made);
    if (made) {
        made->table = table;
        made->values = forage_calloc(table->count + 1, sizeof *made->values);
    }
    if (!made || !made->values) {
        forage_params_free(made);
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the parameters of %s", table->owner);
    }
    for (size_t i = 0; i < table->count; i++) {
        forage_status status = store(made, i, table->params[i].default_value, error);
        if (status != FORAGE_OK) {
            forage_params_free(made);
            return status;
        }
    }
    *params = made;
    return FORAGE_OK;
}

void forage_params_free(forage_params *params)
{
    if (!params)
        return;
    for (size_t i = 0; params->values && i < params->table->count; i++)
        release_value(&params->values[i]);
    forage_free(params->values);
    forage_free(params);
}

forage_status forage_params_copy(const forage_params *params, forage_params **copy, forage_error *error)
{
    FORAGE_TRY(forage_params_create(params->table, copy, error));
    for (size_t i = 0; i < params->table->count; i++) {
        forage_status status = forage_params_set(*copy, params->table->params[i].name, params->values[i].text, error);
        if (status != FORAGE_OK) {
            forage_params_free(*copy);
            *copy = NULL;
            return status;
        }
    }
    for (size_t i = 0; i < params->table->count; i++)
        (*copy)->values[i].given = params->values[i].given;
    return FORAGE_OK;
}

static const param_value *get(const forage_params *params, const char *name, int type)
{
    size_t index = index_of(params->table, name);
    if (index == params->table->count || (type >= 0 && (int)params->table->params[index].type != type))
        return NULL;
    return &params->values[index];
}

const char *forage_params_text(const forage_params *params, const char *name)
{
    const param_value *value = get(params, name, -1);
    return value ? value->text : NULL;
}

int64_t forage_params_integer(const forage_params *params, const char *name)
{
    const param_value *value = get(params, name, FORAGE_PARAM_INTEGER);
    return value ? value->integer : 0;
}

double forage_params_real(const forage_params *params, const char *name)
{
    const param_value *value = get(params, name, FORAGE_PARAM_REAL);
    return value ? value->real : 0;
}

bool forage_params_boolean(const forage_params *params, const char *name)
{
    const param_value *value = get(params, name, FORAGE_PARAM_BOOLEAN);
    return value && value->boolean;
}

const int64_t *forage_params_list(const forage_params *params, const char *name, size_t *count)
{
    const param_value *value = get(params, name, FORAGE_PARAM_LIST);
    *count = value ? value->list_count : 0;
    return value ? value->list : NULL;
}

const forage_param_table *forage_params_table(const forage_params *params)
{
    return params->table;
}
