/*
 * A model's parameters as options of a command; tables of parameters as text and JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/param_options.h"

#include <stdio.h>
#include <string.h>

static forage_status set_param(void *context, const char *option, const char *text, forage_error *error)
{
    return forage_params_set(context, option, text, error);
}

forage_status cli_param_options_init(cli_param_options *options, const forage_model_info *info, forage_error *error)
{
    *options = (cli_param_options){0};
    FORAGE_TRY(forage_params_create(&info->table, &options->params, error));
    options->options = forage_calloc(info->table.count + 1, sizeof *options->options);
    options->help = forage_calloc(info->table.count + 1, sizeof *options->help);
    if (!options->options || !options->help)
        return forage_fail(error, FORAGE_NO_MEMORY, "no memory for the options of %s", info->name);
    options->set = (cli_call){set_param, options->params};
    for (size_t i = 0; i < info->table.count; i++) {
        const forage_param *param = &info->table.params[i];
        char possible[200];
        forage_param_possible(param, possible, sizeof possible);
        snprintf(options->help[i], CLI_PARAM_HELP, "%s (%s; default: %s)", param->doc, possible,
                 param->default_value[0] ? param->default_value : "none");
        options->options[i] = (cli_option){param->name, CLI_CALL, &options->set, "VALUE", options->help[i]};
    }
    snprintf(options->title, sizeof options->title, "Parameters of %s", info->name);
    options->group = (cli_group){options->title, options->options, info->table.count};
    return FORAGE_OK;
}

void cli_param_options_release(cli_param_options *options)
{
    forage_params_free(options->params);
    forage_free(options->options);
    forage_free(options->help);
    *options = (cli_param_options){0};
}

int cli_refuse_online(const forage_model_info *info)
{
    return cli_misused("%s is not fitted to a log: it learns event by event, in a pipeline ('forage help arena')",
                       info->name);
}

json_t *cli_params_json(const forage_param_table *table)
{
    static const char *const types[] = {"integer", "real", "boolean", "choice", "list", "text"};
    json_t *params = json_array();
    for (size_t i = 0; i < table->count; i++) {
        const forage_param *param = &table->params[i];
        json_t *entry = json_pack("{s:s, s:s, s:s, s:s}", "name", param->name, "type", types[param->type], "default",
                                  param->default_value, "doc", param->doc);
        bool ranged =
            param->type == FORAGE_PARAM_INTEGER || param->type == FORAGE_PARAM_REAL || param->type == FORAGE_PARAM_LIST;
        if (ranged) {
            json_object_set_new(entry, "minimum", cli_json_real(param->minimum));
            json_object_set_new(entry, "maximum", cli_json_real(param->maximum));
        }
        if (param->type == FORAGE_PARAM_CHOICE)
            json_object_set_new(entry, "choices", json_string(param->choices));
        json_array_append_new(params, entry);
    }
    return params;
}

static bool same_preset(const forage_preset *a, const forage_preset *b)
{
    return strcmp(a->when, b->when) == 0 && strcmp(a->is, b->is) == 0;
}

/* Is preset `i` the first for its value of its parameter? */
static bool first_preset(const forage_param_table *table, size_t i)
{
    for (size_t before = 0; before < i; before++) {
        if (same_preset(&table->presets[before], &table->presets[i]))
            return false;
    }
    return true;
}

json_t *cli_presets_json(const forage_param_table *table)
{
    json_t *list = json_array();
    for (size_t i = 0; i < table->preset_count; i++) {
        const forage_preset *preset = &table->presets[i];
        if (!first_preset(table, i))
            continue;
        json_t *sets = json_object();
        for (size_t other = i; other < table->preset_count; other++) {
            if (same_preset(&table->presets[other], preset))
                json_object_set_new(sets, table->presets[other].name, json_string(table->presets[other].value));
        }
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:o}", "parameter", preset->when, "value", preset->is, "defaults", sets));
    }
    return list;
}

static void print_presets(const forage_param_table *table)
{
    for (size_t i = 0; i < table->preset_count; i++) {
        const forage_preset *preset = &table->presets[i];
        const char *separator = "";
        if (!first_preset(table, i))
            continue;
        printf("\n  With --%s %s these are the defaults: ", preset->when, preset->is);
        for (size_t other = i; other < table->preset_count; other++) {
            if (!same_preset(&table->presets[other], preset))
                continue;
            printf("%s%s %s", separator, table->presets[other].name, table->presets[other].value);
            separator = ", ";
        }
        printf("\n");
    }
}

void cli_print_params(const forage_param_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const forage_param *param = &table->params[i];
        char possible[200];
        forage_param_possible(param, possible, sizeof possible);
        printf("\n  --%s %s\n      %s\n      (%s)\n", param->name,
               param->default_value[0] ? param->default_value : "''", param->doc, possible);
    }
    print_presets(table);
}
