/*
 * forage models: what models there are, and their parameters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"
#include "cli/param_options.h"

#include <stdio.h>
#include <string.h>

static const struct {
    unsigned bit;
    const char *key, *text;
} capabilities[] = {
    {FORAGE_CAN_FIT, "fit", "learns from a log"},
    {FORAGE_CAN_LEARN, "learn", "learns from single events"},
    {FORAGE_HAS_DEVIATION, "deviation", "gives a standard error"},
    {FORAGE_HAS_EMBEDDINGS, "embeddings", "has vectors for users and items"},
    {FORAGE_GIVES_PROBABILITY, "probability", "scores are probabilities"},
    {FORAGE_CAN_FOLD_IN, "fold-in", "ranks by a history alone (recommend --history, --unknown fold-in)"},
    {FORAGE_CAN_EXTEND, "extend", "takes in new users, items and events (forage update, train --from)"},
    {FORAGE_READS_HISTORY, "history", "goes by what each user did before, in order, whether it has met them or not"},
};

enum { CAPABILITIES = sizeof capabilities / sizeof capabilities[0] };

/* What a person is told. Models that know everybody by their history have no vectors of users. */
static const char *text_of(size_t capability, unsigned can)
{
    if (capabilities[capability].bit == FORAGE_HAS_EMBEDDINGS && (can & FORAGE_READS_HISTORY))
        return "has vectors for items";
    return capabilities[capability].text;
}

static json_t *model_json(const forage_model_info *info)
{
    json_t *able = json_array();
    unsigned can = forage_model_capabilities(info);
    for (size_t c = 0; c < CAPABILITIES; c++) {
        if (can & capabilities[c].bit)
            json_array_append_new(able, json_string(capabilities[c].key));
    }
    return json_pack("{s:s, s:i, s:s, s:o, s:o, s:o}", "name", info->name, "version", (int)info->version, "summary",
                     info->summary, "capabilities", able, "parameters", cli_params_json(&info->table), "presets",
                     cli_presets_json(&info->table));
}

static void print_model(const forage_model_info *info)
{
    unsigned can = forage_model_capabilities(info);
    printf("%s (version %u): %s\n", info->name, info->version, info->summary);
    for (size_t c = 0; c < CAPABILITIES; c++) {
        if (can & capabilities[c].bit)
            printf("  * %s\n", text_of(c, can));
    }
    cli_print_params(&info->table);
}

/* A line of the list, and what the model can do in the words of --json. */
static void print_line(const forage_model_info *info)
{
    unsigned can = forage_model_capabilities(info);
    const char *separator = "[";
    printf("%-16s %s\n%-16s ", info->name, info->summary, "");
    for (size_t c = 0; c < CAPABILITIES; c++) {
        if (!(can & capabilities[c].bit))
            continue;
        printf("%s%s", separator, capabilities[c].key);
        separator = ", ";
    }
    printf("]\n");
}

static int run(int argc, char **argv)
{
    bool json = false;
    size_t count, models;
    int code;
    const cli_option options[] = {{"json", CLI_FLAG, &json, NULL, "print one JSON object"}};
    const cli_group groups[] = {{"Options", options, 1}};
    const cli_syntax syntax = {
        .usage = "forage models [NAME] [--json]",
        .description = "Lists the models, or one model with its parameters, their defaults and what they take.",
        .groups = groups,
        .group_count = 1,
        .most = 1,
    };
    if (!cli_parse(&syntax, argc, argv, &count, &code))
        return code;
    if (count) {
        const forage_model_info *info;
        forage_error error = {0};
        if (forage_model_find(argv[1], &info, &error) != FORAGE_OK)
            return cli_misused("%s", error.message);
        if (json)
            return cli_print_json(model_json(info));
        print_model(info);
        return CLI_GOOD;
    }
    const forage_model_info *const *all = forage_models(&models);
    if (json) {
        json_t *list = json_array();
        for (size_t i = 0; i < models; i++)
            json_array_append_new(list, model_json(all[i]));
        return cli_print_json(json_pack("{s:o}", "models", list));
    }
    for (size_t i = 0; i < models; i++)
        print_line(all[i]);
    printf("\n'forage models NAME' says what the words in brackets mean and lists the parameters of one.\n");
    return CLI_GOOD;
}

const cli_command cli_models = {"models", "list the models and their parameters", run};
