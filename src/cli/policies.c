/*
 * forage policies: what policies there are, and their parameters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"
#include "cli/param_options.h"

#include <stdio.h>

static const struct {
    unsigned bit;
    const char *key, *text;
} needs[] = {
    {FORAGE_POLICY_USES_MEAN, "mean", "uses the estimate of each candidate's reward"},
    {FORAGE_POLICY_USES_DEVIATION, "deviation", "uses the standard error of each estimate"},
    {FORAGE_POLICY_USES_DRAWS, "draws", "uses draws from the model's posterior, or else estimates and standard errors"},
    {FORAGE_POLICY_IS_ESTIMATED, "estimated", "propensities may be Monte Carlo estimates"},
};

enum { NEEDS = sizeof needs / sizeof needs[0] };

static json_t *policy_json(const forage_policy_info *info)
{
    json_t *list = json_array();
    for (size_t n = 0; n < NEEDS; n++) {
        if (info->needs & needs[n].bit)
            json_array_append_new(list, json_string(needs[n].key));
    }
    return json_pack("{s:s, s:i, s:s, s:o, s:o}", "name", info->name, "version", (int)info->version, "summary",
                     info->summary, "needs", list, "parameters", cli_params_json(&info->table));
}

static void print_policy(const forage_policy_info *info)
{
    printf("%s (version %u): %s\n", info->name, info->version, info->summary);
    for (size_t n = 0; n < NEEDS; n++) {
        if (info->needs & needs[n].bit)
            printf("  * %s\n", needs[n].text);
    }
    cli_print_params(&info->table);
}

static int run(int argc, char **argv)
{
    bool json = false;
    size_t count, policies;
    int code;
    const cli_option options[] = {{"json", CLI_FLAG, &json, NULL, "print one JSON object"}};
    const cli_group groups[] = {{"Options", options, 1}};
    const cli_syntax syntax = {
        .usage = "forage policies [NAME] [--json]",
        .description = "Lists the policies, or one policy with its parameters, their defaults and what they take.",
        .groups = groups,
        .group_count = 1,
        .most = 1,
    };
    if (!cli_parse(&syntax, argc, argv, &count, &code))
        return code;
    if (count) {
        const forage_policy_info *info;
        forage_error error = {0};
        if (forage_policy_find(argv[1], &info, &error) != FORAGE_OK)
            return cli_misused("%s", error.message);
        if (json)
            return cli_print_json(policy_json(info));
        print_policy(info);
        return CLI_GOOD;
    }
    const forage_policy_info *const *all = forage_policies(&policies);
    if (json) {
        json_t *list = json_array();
        for (size_t i = 0; i < policies; i++)
            json_array_append_new(list, policy_json(all[i]));
        return cli_print_json(json_pack("{s:o}", "policies", list));
    }
    for (size_t i = 0; i < policies; i++)
        printf("%-16s %s\n", all[i]->name, all[i]->summary);
    printf("\n'forage policies NAME' lists the parameters of one.\n");
    return CLI_GOOD;
}

const cli_command cli_policies = {"policies", "list the policies and their parameters", run};
