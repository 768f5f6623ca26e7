/*
 * scenario.h: what the files that read scenarios share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "forage/sim.h"

enum { SIM_MAX_DELAY = 1000000, SIM_MAX_ACTIVE = 1000000, SIM_MAX_TASTES = 64 };

/* Names go into files: something to see, no control characters, of reasonable length. NULL: good. */
const char *sim_name_problem(const char *name);
/* The index of `name`, or FORAGE_NONE. */
uint32_t sim_find_name(char *const *names, size_t count, const char *name);
forage_status sim_copy_name(const forage_config_node *node, const char *text, char **copy, forage_error *error);
/* FORAGE_UNKNOWN with a list of what is possible. */
forage_status sim_unknown_name(const forage_config_node *node, const char *kind, const char *name, char *const *names,
                               size_t count, forage_error *error);
/* The value of `key`, if it is there; otherwise *value stays as it is. */
forage_status sim_read_whole(const forage_config_node *map, const char *key, uint64_t minimum, uint64_t maximum,
                             uint64_t *value, forage_error *error);
forage_status sim_read_real(const forage_config_node *map, const char *key, double minimum, double maximum,
                            double *value, forage_error *error);

/* categories.c: categories as a list, as a tree, or with the personas out of a generator */
forage_status sim_read_categories(const forage_config_node *node, forage_scenario *scenario, forage_error *error);
forage_status sim_read_latent(const forage_config_node *map, forage_scenario *scenario, forage_error *error);

/* scenario_dynamics.c */
#define SIM_DYNAMICS_KEYS "appeal,activity,positions,arrivals,sessions,intents,delay,drift,launches,events"
forage_status sim_read_dynamics(const forage_config_node *root, forage_scenario *scenario, forage_error *error);
forage_status sim_check_dynamics(const forage_scenario *scenario, forage_error *error);
void sim_release_dynamics(forage_dynamics *dynamics);

/* scenario_sessions.c */
forage_status sim_read_sessions(const forage_config_node *root, forage_scenario *scenario, forage_error *error);
forage_status sim_check_sessions(const forage_scenario *scenario, forage_error *error);
void sim_release_sessions(forage_sessions *sessions);

/* scenario.c: click rates by category. rates[category_count] are what is not named already. */
forage_status sim_read_rates(const forage_config_node *map, const forage_scenario *scenario, double *rates,
                             forage_error *error);

#endif
