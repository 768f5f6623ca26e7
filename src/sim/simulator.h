/*
 * simulator.h: the shop as the files of this room see it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_SIMULATOR_H
#define SIM_SIMULATOR_H

#include "forage/sim.h"

/*
 * One click is NumPy's binomial(1, p), decided without exp and log. With
 * u = k / 2^53 the uniform draw, NumPy's inversion comes down to
 *
 *     x = u > 1-p (for p <= 1/2)    or    x = u > p and click = 1 - x (for p > 1/2),
 *
 * and it draws anew where rounding leaves u beyond both probabilities, which
 * the largest few k can do. All three are comparisons of whole numbers.
 */
typedef struct sim_rule {
    uint64_t above;  /* x = k > above */
    uint64_t redraw; /* k >= redraw: draw again */
    uint32_t flip;   /* click = x ^ flip */
    uint32_t draws;  /* 0: p is 0, nothing is drawn; else 1 */
} sim_rule;

/* Categories have the scenario's numbers; `category_count` itself stands for "no category",
 * so rates and rules have rows of category_count + 1. */
struct forage_simulator {
    forage_rng rng;
    size_t user_count, user_room; /* used and allocated */
    size_t item_count, item_room;
    uint16_t *persona;  /* [user] */
    uint16_t *category; /* [item] */
    size_t persona_count, category_count;
    char **personas, **categories; /* names */
    double *rates;                 /* [persona][category_count + 1] */
    sim_rule *rules;               /* the same shape */
    bool all_draw;                 /* no rule has draws == 0 */
    uint32_t *first_item;          /* [category_count + 1]: the lowest index, FORAGE_NONE when empty */
    forage_trials trials;
};

/* How `p` turns a draw into a click. */
sim_rule sim_rule_of(double p);

/* A field as RFC 4180 wants it: in quotation marks when it must be. `to` has room for
 * 2 x length + 2. Returns the end (log.c). */
char *sim_put_field(char *to, const char *text);

static inline const sim_rule *sim_rule_at(const forage_simulator *s, uint32_t user, uint32_t item)
{
    return &s->rules[s->persona[user] * (s->category_count + 1) + s->category[item]];
}

static inline double sim_rate_at(const forage_simulator *s, uint32_t user, uint32_t item)
{
    return s->rates[s->persona[user] * (s->category_count + 1) + s->category[item]];
}

#endif
