/*
 * evaluate.h: what the files of forage evaluate share: what was asked for, and what came out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_CLI_EVALUATE_H
#define FORAGE_CLI_EVALUATE_H

#include "cli/cli.h"
#include "cli/evaluate_ope.h"

typedef struct evaluate_settings {
    const char *data, *split, *part, *unknown, *device, *over, *scenario, *cutoffs;
    const char *validation, *test;
    double positive, level;
    uint64_t bins, resamples, seed, negatives, scenario_seed, scenario_users, scenario_items;
    int64_t threads;
    bool json, keep_seen, quiet;
    cli_ope_settings ope;
} evaluate_settings;

typedef struct evaluation {
    const evaluate_settings *settings;
    const char *path;
    forage_device device;
    forage_model *model;
    forage_dataset *dataset;
    forage_split split;
    const char *part;
    uint32_t *rows, *other_rows; /* of the part; and the rest of the split. Own memory only in all_rows */
    size_t row_count, other_count;
    uint32_t *own_rows;
    forage_binding *binding;
    forage_simulator *simulator;
    float *truth; /* [row_count] */

    bool has_predictions;
    forage_metrics metrics;
    double rmse_pairs, oracle_pairs;

    size_t cutoff_count;
    size_t cutoffs[16];
    forage_ranking_metrics rankings[16];
} evaluation;

/* evaluate_print.c: both return an exit code. */
int evaluate_print_json(const evaluation *e);
int evaluate_print_text(const evaluation *e);

#endif
