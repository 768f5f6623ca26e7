/*
 * The registry: every policy, in alphabetical order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "policy/descriptor.h"

#include <string.h>

static const policy_type *const types[] = {
    &policy_epsilon_greedy, &policy_explore_first, &policy_greedy,   &policy_random,
    &policy_softmax,        &policy_squarecb,      &policy_thompson, &policy_ucb,
};

enum { TYPE_COUNT = sizeof types / sizeof types[0] };

const forage_policy_info *const *forage_policies(size_t *count)
{
    static const forage_policy_info *const infos[TYPE_COUNT] = {
        &policy_epsilon_greedy.info, &policy_explore_first.info, &policy_greedy.info,   &policy_random.info,
        &policy_softmax.info,        &policy_squarecb.info,      &policy_thompson.info, &policy_ucb.info,
    };
    if (count)
        *count = TYPE_COUNT;
    return infos;
}

forage_status forage_policy_find(const char *name, const forage_policy_info **info, forage_error *error)
{
    char names[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (strcmp(types[i]->info.name, name) == 0) {
            *info = &types[i]->info;
            return FORAGE_OK;
        }
        forage_append(names, sizeof names, &used, "%s%s", i ? ", " : "", types[i]->info.name);
    }
    return forage_fail(error, FORAGE_UNKNOWN, "no policy '%.100s'; there are: %s", name, names);
}

const policy_type *policy_type_of(const forage_policy_info *info)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (&types[i]->info == info)
            return types[i];
    }
    return NULL;
}
