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
#define FORAGE_MAX_POSITIONS 64
#define FORAGE_MAX_SCENARIO_EVENTS 1024 /* of each kind */
#define FORAGE_MAX_INTENTS 64

/* Trials that a shop makes before its log begins: one user of `persona` looks, in
 * turns, at the first product of the `high` and of the `low` category. They say
 * how noisy clicks are, and they move the random stream on. */
typedef struct forage_trials {
    uint64_t count;               /* of each product; 0: none */
    uint32_t persona;             /* FORAGE_NONE when the scenario has no trials */
    uint32_t high, low;           /* categories */
    uint32_t high_item, low_item; /* both are used when either category has no product at all */
} forage_trials;

/*
 * What makes a shop more than one that stays as it is. Environments play all of it; a
 * forage_simulator is the shop without. All zero: there is nothing of the kind.
 * Times `at` are shares of all visits below 1, numbers of visits from 1 on.
 */

/* A share of all visits is by people who were not there when the shop opened: newcomers. Some of them are
 * about at any time; each comes `visits` times, then another takes the place. */
typedef struct forage_arrivals {
    double share;    /* in [0, 1] */
    uint64_t visits; /* of each, at least 1 */
    uint64_t active; /* newcomers who are about at the same time, at least 1 */
} forage_arrivals;

/* Users change persona: a share of them at a given time, or each with a probability before each of their own visits. */
typedef struct forage_drift_rule {
    uint32_t from, to; /* personas; FORAGE_NONE: any, and any other, evenly */
    double at, share;  /* at a given time; share 0: does not happen */
    double per_visit;  /* slowly; 0: does not happen */
    char *label;       /* of the event; may be NULL */
} forage_drift_rule;

/* The last products of the catalogue come later: `share` of all products at once. */
typedef struct forage_launch_rule {
    double at, share;
    double appeal_low, appeal_high; /* both 0: like that of the others */
    char *label;                    /* may be NULL */
} forage_launch_rule;

/* Visits come in sessions: some are under way at any time, one of which goes on with the next visit; after its last
 * visit another user's begins. A session may have an intent: for as long as that lasts, its click rates stand in the
 * place of the persona's. */
typedef struct forage_sessions {
    uint64_t visits; /* of each session; 0: there are no sessions, everybody comes for a single visit */
    uint64_t active; /* sessions under way at the same time, at least 1 */
    double intent;   /* probability that a session begins with one of the intents (drawn evenly); else it has none */
    double change;   /* before each further visit of a session: probability that this is drawn anew */
    size_t intent_count;
    char **intents;
    double *rates; /* [intent][category]: click probability in [0, 1]; NaN: the persona's own */
} forage_sessions;

/* Something without effect in the shop, to be marked in charts. */
typedef struct forage_event_rule {
    double at;
    char *label;
} forage_event_rule;

typedef struct forage_dynamics {
    double appeal_low, appeal_high; /* each product multiplies click rates by a factor of its own, spread evenly
                                     * between these; both 0: 1 for all */
    double activity;                /* the visits of user n are in proportion to (n + 1)^-activity; 0: all alike */
    size_t positions;               /* of slates; 0: 1 */
    double *examination;            /* [positions]: probability that a customer looks there; NULL: 1 everywhere */
    forage_arrivals arrivals;
    forage_sessions sessions;
    uint64_t delay;    /* what became of a product is known up to so many visits later */
    double never_told; /* share of impressions of which nobody ever learns what became of them */
    size_t drift_count, launch_count, mark_count;
    forage_drift_rule *drifts;
    forage_launch_rule *launches;
    forage_event_rule *marks;
    size_t department_count; /* of a tree of categories; 0: there is none */
    char **departments;
    uint32_t *department; /* [category] */
} forage_dynamics;

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
    forage_dynamics dynamics;
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
/* True when a forage_simulator is all of it: nothing in `dynamics` but a tree of categories. */
FORAGE_API bool forage_scenario_is_plain(const forage_scenario *scenario);

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

/* ------------------------------------------------------------------ *
 * Environments: what produces requests and answers choices with rewards
 *
 *   NAME or FILE.yaml       a scenario: the simulated shop, with its events (docs/simulator.md)
 *   classification:FILE     a labelled table: arms are the labels, the reward is 1 for the right one
 *                           or what a table of rewards says
 *   replay:FILE             a log of uniformly chosen items, by rejection (Li et al. 2011): where the
 *                           log shows another item than was chosen, nothing happens
 *   log:FILE                a log as it is: what was shown is given, and can only be learned from
 *
 * An environment is loaded once and never changes; any number of threads may
 * play it at once. A play is one run through it: it belongs to one thread at
 * a time. Two plays of the same seed see the same visitors at the same times and, whatever is chosen, the same
 * luck: a click happens when the visit's own random number is below the click
 * probability (common random numbers).
 * ------------------------------------------------------------------ */

typedef enum forage_environment_kind {
    FORAGE_ENVIRONMENT_SHOP,           /* answers any choice; knows the truth */
    FORAGE_ENVIRONMENT_CLASSIFICATION, /* answers any choice; the best reward is known */
    FORAGE_ENVIRONMENT_REPLAY,         /* answers some choices */
    FORAGE_ENVIRONMENT_LOG,            /* dictates them */
} forage_environment_kind;

typedef struct forage_environment_options {
    uint64_t visits;          /* 0: the scenario's own number; one pass over the rows of a file */
    uint64_t users, items;    /* 0: the scenario's own */
    uint64_t seed;            /* of the shop's catalogue and population; 0: the scenario's own */
    forage_read_options read; /* of files */
    const char *
        label; /* classification: the column of the label by name, number (from 1) or "last" or "first"; NULL: "last" */
    const char *order;   /* files: "file" (NULL), "numpy:SEED" (RandomState(SEED).permutation), "random" (by the play's
                          * seed),   "bootstrap" (drawn with replacement, by the play's seed) */
    const char *rewards; /* classification: a YAML file with a table of rewards, or the name of a built-in one
                          * ("mushroom"); NULL: 1 for the label, 0 else */
    const char *scale;   /* classification: "none" (NULL), or "standard": numeric columns minus their mean, by their
                          * standard deviation, both over the whole file beforehand. That is peeking, and what some
                          * published protocols do */
    bool uniform;        /* replay: items were chosen uniformly, although the log has no propensities to show it */
    const forage_progress *progress;
} forage_environment_options;

typedef struct forage_environment forage_environment;

/* `name`: a scenario (built-in or a file), "classification:FILE", "replay:FILE" or "log:FILE". An option that is not
 * for this kind of environment is FORAGE_INVALID, and names the field. `options` may be NULL. */
FORAGE_API forage_status forage_environment_open(const char *name, const forage_environment_options *options,
                                                 forage_environment **environment, forage_error *error);
/* The shop of a scenario of one's own. Takes the scenario over: *scenario is empty afterwards, on failure too. */
FORAGE_API forage_status forage_environment_create(forage_scenario *scenario, const forage_progress *progress,
                                                   forage_environment **environment, forage_error *error);
FORAGE_API void forage_environment_free(forage_environment *environment);
FORAGE_API forage_environment_kind forage_environment_kind_of(const forage_environment *environment);
FORAGE_API const char *forage_environment_name(const forage_environment *environment);
FORAGE_API uint64_t forage_environment_visits(const forage_environment *environment);
/* Slates have this many positions. */
FORAGE_API size_t forage_environment_positions(const forage_environment *environment);
/* All users and items that will ever turn up, those too that are launched later. */
FORAGE_API const forage_catalogue *forage_environment_catalogue(const forage_environment *environment);

/* Something that happens at a known time: marked in charts, and where recovery is measured from. */
typedef struct forage_environment_event {
    uint64_t visit;
    const char *label; /* "a third of the puppies grow up" */
} forage_environment_event;
FORAGE_API const forage_environment_event *forage_environment_events(const forage_environment *environment,
                                                                     size_t *count);

/* Groups of users and of items by which scores are told apart. Shops: personas and categories; otherwise there is
 * one group of users, and labels are the groups of items. */
FORAGE_API size_t forage_environment_user_groups(const forage_environment *environment);
FORAGE_API const char *forage_environment_user_group_name(const forage_environment *environment, uint32_t group);
FORAGE_API size_t forage_environment_item_groups(const forage_environment *environment);
FORAGE_API const char *forage_environment_item_group_name(const forage_environment *environment, uint32_t group);
FORAGE_API uint32_t forage_environment_item_group(const forage_environment *environment, uint32_t item);

typedef struct forage_play forage_play;

FORAGE_API forage_status forage_play_create(const forage_environment *environment, uint64_t seed, forage_play **play,
                                            forage_error *error);
FORAGE_API void forage_play_free(forage_play *play);

typedef struct forage_visit {
    forage_request request;  /* id: the visit's number, from 0; valid until the next visit */
    uint32_t user_group;     /* the visitor's persona now */
    uint64_t user_visit;     /* how many visits of this user came before; 0: never seen */
    bool new_user;           /* this user was not there when the play began */
    uint64_t session_visit;  /* how many visits of this session came before; 0: it begins, or there are none */
    uint32_t intent;         /* of the session now; FORAGE_NONE: it has none, the visitor's own tastes decide */
    uint32_t logged_item;    /* LOG and REPLAY: what the log shows, else FORAGE_NONE */
    float logged_propensity; /* NaN: not known */
    float logged_reward;
} forage_visit;

/* The next visit; *more false at the end. Allocates nothing. */
FORAGE_API forage_status forage_play_next(forage_play *play, forage_visit *visit, bool *more, forage_error *error);

/* Answers the visit under way with a slate. What becomes known now, of this and of earlier visits (rewards may come
 * late, or never), is feedback[*count], valid until the next call. `accepted` (may be NULL) is false when a log cannot
 * say what would have happened. `earned` (may be NULL): the sum of this slate's rewards, known to nobody in the shop
 * yet. */
FORAGE_API forage_status forage_play_answer(forage_play *play, const uint32_t *items, size_t positions,
                                            const forage_feedback **feedback, size_t *count, bool *accepted,
                                            double *earned, forage_error *error);

/* The intents that sessions may have; 0 where there are none. NULL out of range. */
FORAGE_API size_t forage_environment_intents(const forage_environment *environment);
FORAGE_API const char *forage_environment_intent_name(const forage_environment *environment, uint32_t intent);

/* The truth of the visit under way, or just answered, free of noise: the expected sum of a slate's rewards; NaN where
 * nobody knows. */
FORAGE_API double forage_play_value(const forage_play *play, const uint32_t *items, size_t positions);
/* That of the best slate: the oracle's. */
FORAGE_API double forage_play_best(const forage_play *play);

/* A whole play of random slates as CSV, user_id,product_id,clicked,category (and department, where there is a tree),
 * time (the visit), position (from 0, where slates have several). What became known late stands where it was shown,
 * what nobody is ever told is left out. FORAGE_UNSUPPORTED when the environment is no shop. Otherwise like
 * forage_simulator_write_log. */
FORAGE_API forage_status forage_environment_write_log(const forage_environment *environment, uint64_t seed,
                                                      const char *path, const forage_progress *progress,
                                                      forage_log_summary *summary, forage_error *error);

/* ---- references: players who know more than a learner can ---- */

/* "oracle" knows the truth of every visit. "bayes" knows the table of click rates, of every persona, intent and item,
 * how many users are of which persona and how often they change, when a session begins and how often it has which
 * intent; but it must infer each user's persona and each session's intent from what it was told of their clicks. It
 * shows what has the highest expected reward. */
typedef struct forage_reference forage_reference;

/* FORAGE_UNSUPPORTED when the environment has no such reference (no personas; a log). */
FORAGE_API forage_status forage_reference_create(const char *name, const forage_play *play,
                                                 forage_reference **reference, forage_error *error);
FORAGE_API void forage_reference_free(forage_reference *reference);
/* The slate for the visit under way. */
FORAGE_API void forage_reference_choose(forage_reference *reference, const forage_visit *visit, uint32_t *items);
/* Instead of choosing: what it expects of a slate that somebody else has chosen for the visit under way. probability[k]
 * is that of a click on items[k] at position k, for `bayes` given what was told before. Once per visit, like choosing;
 * `positions` at most those of the visit. What is observed later counts as about these items. */
FORAGE_API void forage_reference_expect(forage_reference *reference, const forage_visit *visit, const uint32_t *items,
                                        size_t positions, double *probability);
FORAGE_API void forage_reference_observe(forage_reference *reference, const forage_feedback *feedback, size_t count);

#ifdef __cplusplus
}
#endif

#endif
