/*
 * The scores of the arena in the order in which people want to see them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/arena.h"

#include <string.h>

#define SCORE(member) offsetof(forage_arena_agent, member)

const arena_score arena_scores[] = {
    {"loss", "0/1 loss", SCORE(loss), ARENA_RATE, -1},
    {"regret", "regret", SCORE(regret), ARENA_COUNT, -1},
    {"exponent", "growth", SCORE(exponent), ARENA_REAL, -1},
    {"ctr", "rate", SCORE(rate), ARENA_RATE, 1},
    {"ctr_last", "last tenth", SCORE(rate_last), ARENA_RATE, 1},
    {"share", NULL, SCORE(share), ARENA_PERCENT, 1},
    {"share_last", "of oracle", SCORE(share_last), ARENA_PERCENT, 1},
    {"ips", NULL, SCORE(ips), ARENA_RATE, 1},
    {"snips", "SNIPS", SCORE(snips), ARENA_RATE, 1},
    {"first60", "first 60", SCORE(first60), ARENA_REAL, -1},
    {"visits_to_90", "to 90 %", SCORE(visits_to_90), ARENA_REAL, -1},
    {"coverage", "shown", SCORE(coverage), ARENA_PERCENT, 0},
    {"gini", "gini", SCORE(gini), ARENA_REAL, 0},
};
const size_t arena_score_count = sizeof arena_scores / sizeof *arena_scores;

const forage_estimate *arena_score_of(const forage_arena_agent *agent, const arena_score *score)
{
    return (const forage_estimate *)(const void *)((const char *)agent + score->offset);
}

const char *arena_kind_name(forage_environment_kind kind)
{
    static const char *const names[] = {[FORAGE_ENVIRONMENT_SHOP] = "shop",
                                        [FORAGE_ENVIRONMENT_CLASSIFICATION] = "classification",
                                        [FORAGE_ENVIRONMENT_REPLAY] = "replay",
                                        [FORAGE_ENVIRONMENT_LOG] = "log"};
    return names[kind];
}

bool arena_is_reference(const forage_arena_agent *agent)
{
    return strcmp(agent->name, "oracle") == 0 || strcmp(agent->name, "bayes") == 0;
}
