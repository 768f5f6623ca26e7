/*
 * rewards.h: a table of rewards: what each action earns where the label is this or that, for
 * certain or by a lottery.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_REWARDS_H
#define SIM_REWARDS_H

#include "forage/data.h"

/* One possible reward. `above`: the probability of this outcome and all before it; the last one's is 1. */
typedef struct sim_outcome {
    float reward;
    double above;
} sim_outcome;

typedef struct sim_rewards {
    size_t label_count, action_count;
    forage_vocabulary *actions;
    size_t *first; /* [label_count * action_count + 1] into outcomes: of label l and action a at l * actions + a */
    sim_outcome *outcomes; /* at least one for each */
    double *expected;      /* [label_count * action_count] */
    uint32_t *best;        /* [label_count] the action that is expected to earn most, the first of equals */
} sim_rewards;

/* 1 for the label itself, 0 for others: the actions are the labels (`labels` is copied). */
forage_status sim_rewards_identity(const forage_vocabulary *labels, sim_rewards *rewards, forage_error *error);
/* The table of that name, else from that file; it must have every one of `labels`. On failure *rewards is empty. */
forage_status sim_rewards_load(const char *name_or_path, const forage_vocabulary *labels, sim_rewards *rewards,
                               forage_error *error);
void sim_rewards_release(sim_rewards *rewards);

/* What the action earns there with the luck of [0, 1). */
float sim_rewards_draw(const sim_rewards *rewards, uint32_t label, uint32_t action, double luck);

#endif
