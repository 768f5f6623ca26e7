/* param_options.h: a model's parameters as options of a command. */
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

#endif
