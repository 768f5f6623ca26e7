/*
 * shop.h: the shop as an environment. A simulator says who is of which persona when the shop opens,
 * of which category a product is, and how often that leads to a click; what changes with time stands here.
 *
 * Everything in a sim_shop is fixed when it is opened. What happens in a play is drawn from streams of
 * the play's seed, one for each purpose, and in amounts that no choice has an influence on, so that two plays of
 * a seed share visitors, tastes, luck and delays.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_SHOP_H
#define SIM_SHOP_H

#include "sim/environment.h"
#include "sim/simulator.h"

/* Streams of a play's seed (docs/simulator.md). */
enum {
    SIM_STREAM_VISITORS,
    SIM_STREAM_LUCK,
    SIM_STREAM_TASTES,
    SIM_STREAM_DELAYS,
    SIM_STREAM_TRAFFIC,
    SIM_STREAM_INTENTS
};
/* Streams of the shop's own seed. */
enum { SIM_STREAM_APPEAL = 1 };

/* A span of time in which the same products are for sale. */
typedef struct sim_epoch {
    uint64_t from;      /* first visit */
    size_t items;       /* products 0 ... items - 1 are for sale */
    uint32_t *top;      /* [category][positions]: the most appealing first; FORAGE_NONE behind the last */
    uint32_t *best;     /* [taste][positions]: the best slate */
    double *best_value; /* [taste]: the clicks it earns on average */
} sim_epoch;

/* A drift rule with its time as a visit. */
typedef struct sim_change {
    uint64_t visit;
    const forage_drift_rule *rule;
} sim_change;

typedef struct sim_shop {
    forage_environment base;
    forage_scenario scenario;
    forage_simulator *simulator;
    forage_table item_attributes;
    size_t taste_count;   /* personas x taste_width (sessions.c) */
    size_t taste_width;   /* intents + 1 */
    const double *rates;  /* [taste][category_count + 1] */
    double *own_rates;    /* the same where there are intents, else NULL: the simulator's */
    double *intent_share; /* [taste_width]: of sessions, of those without an intent first */
    float *appeal;        /* [items] */
    double *examination;  /* [positions] */
    uint32_t *every_item; /* [items] 0, 1, 2 ...; NULL: nothing is launched */
    double *activity;     /* [users]: cumulative shares of visits; NULL: all alike */
    size_t epoch_count;   /* at least 1 */
    sim_epoch *epochs;    /* in order; the first begins with visit 0 */
    size_t change_count;  /* drift at given times, in order */
    sim_change *changes;  /* point into the scenario */
    bool slow;            /* some drift is slow */
} sim_shop;

/* Feedback that waits. What visit v showed at position p waits in slot (v % (delay + 1)) x positions + p,
 * which is free again by then. */
typedef struct sim_waiting {
    uint64_t span;         /* delay + 1 visits */
    uint32_t *first;       /* [span]: the list of what becomes known at visit v is at v % span */
    uint32_t *next;        /* [span x positions] */
    forage_feedback *slot; /* [span x positions] */
    forage_feedback *told; /* [span x positions]: the answer's feedback */
    size_t count;          /* of it */
    uint64_t day;          /* the first that was not taken */
} sim_waiting;

/* A session under way. */
typedef struct sim_session {
    uint32_t user;
    uint32_t intent; /* 0: none, else 1 + intent */
    uint64_t visits; /* it will have had when it ends */
    uint64_t count;  /* it has had, with the one under way */
} sim_session;

typedef struct sim_shop_play {
    forage_play base;
    const sim_shop *shop;
    forage_rng visitors, luck, tastes, delays, intents;
    uint16_t *persona;     /* [users] now */
    uint32_t *visits;      /* [users] so far */
    uint32_t *active;      /* [arrivals.active] newcomers who are about */
    size_t arrived;        /* newcomers so far */
    sim_session *sessions; /* [sessions.active]; NULL: there are none */
    bool *busy;            /* [users]: in a session; NULL: there are none */
    size_t taste;          /* of the visitor now */
    size_t epoch;
    size_t change;                       /* the next */
    double draw[FORAGE_MAX_POSITIONS];   /* the visit's luck */
    uint64_t late[FORAGE_MAX_POSITIONS]; /* and delays; FORAGE_NONE: nobody is ever told */
    sim_waiting waiting;
} sim_shop_play;

static inline const sim_shop *sim_shop_of(const forage_environment *environment)
{
    return (const sim_shop *)environment;
}

/* The probability that a customer of this taste who looks at the product clicks. */
static inline double sim_shop_rate(const sim_shop *shop, size_t taste, uint32_t item)
{
    const forage_simulator *s = shop->simulator;
    double rate = shop->rates[taste * (s->category_count + 1) + s->category[item]] * (double)shop->appeal[item];
    return rate < 1.0 ? rate : 1.0;
}

/* shop.c. Takes the scenario over, on failure too. */
forage_status sim_shop_open(forage_scenario *scenario, const forage_progress *progress,
                            forage_environment **environment, forage_error *error);

/* `at` of a scenario as a visit. */
uint64_t sim_visit_at(double at, uint64_t visits);

/* assortment.c: what is for sale when, and what is best of it */
forage_status sim_assortment_open(sim_shop *shop, forage_error *error);
void sim_assortment_release(sim_shop *shop);
/* The k items with the highest values, one list of `top` per category merged: value[category] times appeal. */
void sim_assortment_best(const sim_shop *shop, const sim_epoch *epoch, const double *value, size_t positions,
                         uint32_t *items);

/* dynamics.c: who comes, and how tastes change */
forage_status sim_dynamics_open(sim_shop *shop, forage_error *error);
void sim_dynamics_release(sim_shop *shop);
/* Users who may turn up in a play: those who are there and all newcomers. */
uint64_t sim_dynamics_users(const forage_scenario *scenario, uint64_t visits);
forage_status sim_dynamics_play(sim_shop_play *play, forage_error *error);
void sim_dynamics_release_play(sim_shop_play *play);
/* Somebody who is in no session. */
uint32_t sim_dynamics_visitor(sim_shop_play *play);
/* Time has come to `visit`: what happens then, happens. Returns who comes; *session: in which session, NULL where there
 * are none. */
uint32_t sim_dynamics_visit(sim_shop_play *play, uint64_t visit, const sim_session **session);

/* sessions.c: visits that belong together, and what they are about. After the simulator is there, before the
 * assortment. */
forage_status sim_sessions_open(sim_shop *shop, forage_error *error);
void sim_sessions_release(sim_shop *shop);
/* After sim_dynamics_play. */
forage_status sim_sessions_play(sim_shop_play *play, forage_error *error);
void sim_sessions_release_play(sim_shop_play *play);
/* The session that goes on with the next visit. Only where there are sessions. */
const sim_session *sim_sessions_visit(sim_shop_play *play);

/* delay.c: for each visit that is answered, in order: begin, an add for each position, end */
forage_status sim_waiting_open(sim_waiting *waiting, uint64_t delay, size_t positions, forage_error *error);
void sim_waiting_release(sim_waiting *waiting);
void sim_waiting_begin(sim_waiting *waiting, uint64_t visit);
/* Feedback of the visit, which becomes known `after` visits (0 ... delay) from now. */
void sim_waiting_add(sim_waiting *waiting, size_t positions, const forage_feedback *feedback, uint64_t after);
/* How many are told now, in waiting->told. */
size_t sim_waiting_end(sim_waiting *waiting, uint64_t visit);

#endif
