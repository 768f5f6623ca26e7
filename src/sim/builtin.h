/*
 * builtin.h: the scenarios that are part of the library, written at build time
 * from src/sim/scenarios.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_BUILTIN_H
#define SIM_BUILTIN_H

typedef struct sim_builtin {
    const char *name;
    const char *text; /* YAML */
} sim_builtin;

extern const sim_builtin sim_builtins[]; /* ends with a NULL name */

#endif
