/*
 * param_options.h: a model's parameters as options of a command; tables of parameters as text and JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_CLI_PARAM_OPTIONS_H
#define FORAGE_CLI_PARAM_OPTIONS_H

#include "cli/cli.h"

enum { CLI_PARAM_HELP = 600, CLI_PARAM_TITLE = 100 };

typedef struct cli_param_options {
    forage_params *params; /* what the options set */
    cli_call set;
    cli_option *options; /* one for each parameter */
    char (*help)[CLI_PARAM_HELP];
    char title[CLI_PARAM_TITLE];
    cli_group group; /* put this into the command's syntax */
} cli_param_options;

/* `options` must stay where it is until it is released. */
forage_status cli_param_options_init(cli_param_options *options, const forage_model_info *info, forage_error *error);
void cli_param_options_release(cli_param_options *options);

/* Says that this model learns event by event and where it is used; returns CLI_MISUSED. */
int cli_refuse_online(const forage_model_info *info);

/* A table of parameters as a JSON array, and as the lists of models and policies show it. */
json_t *cli_params_json(const forage_param_table *table);
/* What presets of the table set: a list of {parameter, value, defaults: {name: text}}. */
json_t *cli_presets_json(const forage_param_table *table);
void cli_print_params(const forage_param_table *table);

#endif
