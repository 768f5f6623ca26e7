/*
 * evaluate_ope.h: the part of `forage evaluate` that judges policies on the log of another.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_CLI_EVALUATE_OPE_H
#define FORAGE_CLI_EVALUATE_OPE_H

#include "cli/cli.h"

typedef struct cli_ope_settings {
    bool chosen; /* --ope */
    cli_list policies;
    const char *position, *reward_model;
    double clip, switch_at, least_ess;
    uint64_t folds;

    /* Shared with the rest of the command. */
    const char *data;
    double level;
    uint64_t resamples, seed;
    int threads;
    bool json, quiet;
} cli_ope_settings;

/* After the options were read; returns an exit code. */
int cli_evaluate_ope(const cli_ope_settings *settings);

#endif
