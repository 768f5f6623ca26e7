/*
 * builtin.h: the scenarios and the tables of rewards that are part of the library, written at build time
 * from src/sim/scenarios and src/sim/rewards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_BUILTIN_H
#define SIM_BUILTIN_H

typedef struct sim_builtin {
    const char *name;
    const char *text; /* YAML */
} sim_builtin;

extern const sim_builtin sim_builtins[]; /* scenarios; ends with a NULL name */
extern const sim_builtin sim_reward_tables[];

#endif
