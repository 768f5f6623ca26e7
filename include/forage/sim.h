/*
 * sim.h: a simulated shop with known truth. A scenario says how many products
 * and users there are, which categories and personas, and how often each
 * persona clicks on each category; a simulator is that shop, open for visits.
 *
 * The random stream is that of NumPy's default_rng, consumed call by call as
 * the notebook of docs/simulator.md does it: catalogue, population and every click
 * come out the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FORAGE_SIM_H
#define FORAGE_SIM_H

#include "forage/base.h"
#include "forage/data.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ *
 * Scenarios
 *
 * docs/simulator.md lists every key of a scenario file.
 * ------------------------------------------------------------------ */

#define FORAGE_MAX_CATEGORIES 1024
#define FORAGE_MAX_PERSONAS 1024
#define FORAGE_MAX_PRODUCTS 1000000000U
#define FORAGE_MAX_USERS 1000000000U

/* Trials that a shop makes before its log begins: one user of `persona` looks, in
 * turns, at the first product of the `high` and of the `low` category. They say
 * how noisy clicks are, and they move the random stream on. */
typedef struct forage_trials {
    uint64_t count;               /* of each product; 0: none */
    uint32_t persona;             /* FORAGE_NONE when the scenario has no trials */
    uint32_t high, low;           /* categories */
    uint32_t high_item, low_item; /* both are used when either category has no product at all */
} forage_trials;

/* Plain data; load one, or fill in one of your own (strings and arrays from
 * forage_alloc) and check it with forage_scenario_validate. */
typedef struct forage_scenario {
    char *name;
    char *description;     /* may be NULL */
    uint64_t seed;         /* any */
    uint64_t products;     /* 1 ... FORAGE_MAX_PRODUCTS */
    uint64_t users;        /* 1 ... FORAGE_MAX_USERS */
    uint64_t interactions; /* rows of the log, unless a caller wants another number */
    size_t category_count; /* 1 ... FORAGE_MAX_CATEGORIES */
    char **categories;     /* the order in which the catalogue is filled */
    size_t persona_count;  /* 1 ... FORAGE_MAX_PERSONAS */
    char **personas;       /* the order in which users are drawn */
    double *rates;         /* [persona][category]: click probability in [0, 1] */
    double default_rate;   /* of a category that a persona does not name, and of items without a category */
    forage_trials trials;
} forage_scenario;

/* `name_or_path`: a built-in scenario, or else a YAML file. Errors name file, line
 * and key. On failure *scenario is empty. Free with forage_scenario_release. */
FORAGE_API forage_status forage_scenario_load(const char *name_or_path, forage_scenario *scenario, forage_error *error);
/* The same from text; `file` is what errors call it. */
FORAGE_API forage_status forage_scenario_parse(const char *text, size_t size, const char *file,
                                               forage_scenario *scenario, forage_error *error);
/* Checks all that a simulator relies on. FORAGE_INVALID names the field. */
FORAGE_API forage_status forage_scenario_validate(const forage_scenario *scenario, forage_error *error);
FORAGE_API void forage_scenario_release(forage_scenario *scenario);

/* The name of a built-in scenario, NULL from `index` = their number on. */
FORAGE_API const char *forage_scenario_builtin_name(size_t index);
/* The YAML text of a built-in scenario, terminated; NULL when there is none of that name. */
FORAGE_API const char *forage_scenario_builtin_text(const char *name);

/* ------------------------------------------------------------------ *
 * The shop
 *
 * One thread at a time for what draws random numbers or changes the shop;
 * any number of threads may ask for the truth meanwhile nobody changes it.
 * Indices are the ids: user 17 is "17". An index out of range clicks never
 * (probability 0), as in the notebook.
 * ------------------------------------------------------------------ */

typedef struct forage_simulator forage_simulator;

/* Draws catalogue and population. 2 bytes per product and per user. The
 * scenario may be released afterwards. `progress` counts products, then users. */
FORAGE_API forage_status forage_simulator_create(const forage_scenario *scenario, const forage_progress *progress,
                                                 forage_simulator **simulator, forage_error *error);
FORAGE_API void forage_simulator_free(forage_simulator *simulator);

FORAGE_API size_t forage_simulator_users(const forage_simulator *simulator);
FORAGE_API size_t forage_simulator_items(const forage_simulator *simulator);
FORAGE_API size_t forage_simulator_personas(const forage_simulator *simulator);
FORAGE_API size_t forage_simulator_categories(const forage_simulator *simulator);
/* NULL out of range. */
FORAGE_API const char *forage_simulator_persona_name(const forage_simulator *simulator, uint32_t persona);
FORAGE_API const char *forage_simulator_category_name(const forage_simulator *simulator, uint32_t category);
/* The persona of that name, the category of that name, or FORAGE_NONE. */
FORAGE_API uint32_t forage_simulator_find_persona(const forage_simulator *simulator, const char *name);
FORAGE_API uint32_t forage_simulator_find_category(const forage_simulator *simulator, const char *name);
/* FORAGE_NONE out of range; also for an item without a category. */
FORAGE_API uint32_t forage_simulator_persona(const forage_simulator *simulator, uint32_t user);
FORAGE_API uint32_t forage_simulator_category(const forage_simulator *simulator, uint32_t item);

/* ---- visits ---- */

typedef struct forage_trial_result {
    uint64_t count;
    uint32_t user; /* FORAGE_NONE when nobody has the persona */
    uint32_t high_item, low_item;
    uint64_t high_clicks, low_clicks;
    double high_rate, low_rate; /* the truth */
} forage_trial_result;

/* The scenario's trials, `count` of each product. FORAGE_INVALID when it has none.
 * Creating a simulator makes none by itself: do this before the first visit, if the scenario's
 * `trials.count` asks for it. */
FORAGE_API forage_status forage_simulator_trials(forage_simulator *simulator, uint64_t count,
                                                 forage_trial_result *result, forage_error *error);
/* `count` visits of random traffic: a random user sees a random item, and clicks (1) or not (0). */
FORAGE_API void forage_simulator_visits(forage_simulator *simulator, size_t count, uint32_t *user, uint32_t *item,
                                        uint8_t *click);
/* The user who comes next: integers(0, users). */
FORAGE_API uint32_t forage_simulator_visitor(forage_simulator *simulator);
/* Shows an item to a user: true for a click. */
FORAGE_API bool forage_simulator_click(forage_simulator *simulator, uint32_t user, uint32_t item);
/* Goes on with another stream, default_rng(SeedSequence(seed, spawn_key=(stream,))); the shop stays as it is. */
FORAGE_API void forage_simulator_reseed(forage_simulator *simulator, uint64_t seed, uint32_t stream);
/* The generator itself, for what else shall come from the same stream. */
FORAGE_API forage_rng *forage_simulator_rng(forage_simulator *simulator);

/* ---- changes ---- */

/* From now on `user` behaves as `persona`: tastes drift. FORAGE_INVALID out of range. */
FORAGE_API forage_status forage_simulator_set_persona(forage_simulator *simulator, uint32_t user, uint32_t persona,
                                                      forage_error *error);
/* A new product, at the end of the catalogue; `category` FORAGE_NONE: of no category (everybody's
 * default rate). `item` may be NULL. No random number is drawn. */
FORAGE_API forage_status forage_simulator_add_item(forage_simulator *simulator, uint32_t category, uint32_t *item,
                                                   forage_error *error);
FORAGE_API forage_status forage_simulator_add_user(forage_simulator *simulator, uint32_t persona, uint32_t *user,
                                                   forage_error *error);

/* ---- the truth ---- */

/* The click probability, free of noise. */
FORAGE_API double forage_simulator_probability(const forage_simulator *simulator, uint32_t user, uint32_t item);
/* The same by persona and category; `category` FORAGE_NONE gives the default rate. 0 out of range. */
FORAGE_API double forage_simulator_rate(const forage_simulator *simulator, uint32_t persona, uint32_t category);
/* The item with the highest probability for the user, the first of equals: the oracle's choice.
 * FORAGE_NONE for a user out of range. Constant time in items. */
FORAGE_API uint32_t forage_simulator_best_item(const forage_simulator *simulator, uint32_t user);

/* The log loss of the truth itself: what the best model reaches, in nats.
 *
 * Over rows that happened: the mean of -log(probability of what the user did).
 * A model may score lower on few rows by luck, on many by overfitting only.
 * NaN for no rows. */
FORAGE_API double forage_simulator_log_loss(const forage_simulator *simulator, size_t count, const uint32_t *user,
                                            const uint32_t *item, const uint8_t *click);
/* Before it happened: the mean entropy of the clicks of these pairs; of all pairs of users and
 * items when `user` and `item` are NULL (`count` is ignored then), in time users + items. */
FORAGE_API double forage_simulator_entropy(const forage_simulator *simulator, size_t count, const uint32_t *user,
                                           const uint32_t *item);

/* ------------------------------------------------------------------ *
 * Logs
 * ------------------------------------------------------------------ */

/* The next `count` visits as a dataset: user ids "0" ..., item ids "0" ..., value 0 or 1, the
 * item attribute "category"; columns named user_id, product_id, clicked. At most
 * FORAGE_MAX_ROWS. Users and items that no visit met are part of it as well. */
FORAGE_API forage_status forage_simulator_dataset(forage_simulator *simulator, size_t count,
                                                  const forage_progress *progress, forage_dataset **dataset,
                                                  forage_error *error);

typedef struct forage_log_summary {
    uint64_t rows, clicks;
    double log_loss; /* of the truth on these rows; NaN without rows */
} forage_log_summary;

/* The next `count` visits as CSV, "user_id,product_id,clicked,category", in memory that does
 * not grow with `count`. The file appears only when it is whole. `path` "-": standard output;
 * NULL: nothing is written, only summed up. `summary` may be NULL. */
FORAGE_API forage_status forage_simulator_write_log(forage_simulator *simulator, uint64_t count, const char *path,
                                                    const forage_progress *progress, forage_log_summary *summary,
                                                    forage_error *error);
/* "product_id,category" of every item. */
FORAGE_API forage_status forage_simulator_write_catalogue(const forage_simulator *simulator, const char *path,
                                                          forage_error *error);
/* "user_id,persona" of every user. */
FORAGE_API forage_status forage_simulator_write_population(const forage_simulator *simulator, const char *path,
                                                           forage_error *error);

#ifdef __cplusplus
}
#endif

#endif
