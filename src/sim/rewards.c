/*
 * rewards.c: reading and using tables of rewards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/rewards.h"

#include "sim/builtin.h"

#include <float.h>
#include <math.h>
#include <string.h>

static forage_status no_memory(forage_error *error)
{
    return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a table of rewards");
}

void sim_rewards_release(sim_rewards *rewards)
{
    forage_vocabulary_free(rewards->actions);
    forage_free(rewards->first);
    forage_free(rewards->outcomes);
    forage_free(rewards->expected);
    forage_free(rewards->best);
    *rewards = (sim_rewards){0};
}

static forage_status reserve(sim_rewards *rewards, size_t labels, size_t outcomes, forage_error *error)
{
    size_t cells;
    rewards->label_count = labels;
    rewards->action_count = forage_vocabulary_count(rewards->actions);
    if (__builtin_mul_overflow(labels, rewards->action_count, &cells))
        return no_memory(error);
    rewards->first = forage_calloc(cells + 1, sizeof *rewards->first);
    rewards->expected = forage_calloc(cells, sizeof *rewards->expected);
    rewards->outcomes = forage_calloc(outcomes > cells ? outcomes : cells, sizeof *rewards->outcomes);
    rewards->best = forage_calloc(labels, sizeof *rewards->best);
    return rewards->first && rewards->expected && rewards->outcomes && rewards->best ? FORAGE_OK : no_memory(error);
}

/* Once every cell has its outcomes. */
static void sum_up(sim_rewards *rewards)
{
    for (size_t l = 0; l < rewards->label_count; l++) {
        double *expected = rewards->expected + l * rewards->action_count;
        for (size_t a = 0; a < rewards->action_count; a++) {
            size_t cell = l * rewards->action_count + a;
            double before = 0;
            for (size_t i = rewards->first[cell]; i < rewards->first[cell + 1]; i++) {
                expected[a] += (rewards->outcomes[i].above - before) * (double)rewards->outcomes[i].reward;
                before = rewards->outcomes[i].above;
            }
            if (expected[a] > expected[rewards->best[l]])
                rewards->best[l] = (uint32_t)a;
        }
    }
}

float sim_rewards_draw(const sim_rewards *rewards, uint32_t label, uint32_t action, double luck)
{
    const sim_outcome *outcome = &rewards->outcomes[rewards->first[label * rewards->action_count + action]];
    while (luck >= outcome->above)
        outcome++;
    return outcome->reward;
}

/* ---- 1 and 0 ---- */

forage_status sim_rewards_identity(const forage_vocabulary *labels, sim_rewards *rewards, forage_error *error)
{
    size_t count = forage_vocabulary_count(labels);
    forage_status status;
    *rewards = (sim_rewards){0};
    FORAGE_TRY(forage_vocabulary_create(&rewards->actions, error));
    for (uint32_t i = 0; i < count; i++) {
        char buffer[24];
        size_t length;
        uint32_t index;
        const char *id = forage_vocabulary_id(labels, i, buffer, &length);
        FORAGE_TRY_GOTO(forage_vocabulary_add(rewards->actions, id, length, &index, error), failed);
    }
    FORAGE_TRY_GOTO(reserve(rewards, count, 0, error), failed);
    for (size_t cell = 0; cell < count * count; cell++) {
        rewards->first[cell + 1] = cell + 1;
        rewards->outcomes[cell] = (sim_outcome){cell / count == cell % count ? 1.0F : 0.0F, 1};
    }
    sum_up(rewards);
    return FORAGE_OK;
failed:
    sim_rewards_release(rewards);
    return status;
}

/* ---- tables ---- */

static forage_status read_reward(const forage_config_node *node, float *reward, forage_error *error)
{
    double value;
    FORAGE_TRY(forage_config_real(node, -FLT_MAX, FLT_MAX, &value, error));
    *reward = (float)value;
    return FORAGE_OK;
}

/* Adds the outcomes of a lottery: [{reward: 5, probability: 0.5}, ...]. */
static forage_status read_lottery(const forage_config_node *node, sim_outcome *outcomes, size_t *used,
                                  forage_error *error)
{
    double sum = 0;
    size_t count = forage_config_count(node);
    for (size_t i = 0; i < count; i++) {
        const forage_config_node *entry = forage_config_at(node, i), *reward, *probability;
        double share;
        FORAGE_TRY(forage_config_want(entry, FORAGE_CONFIG_MAP, error));
        FORAGE_TRY(forage_config_check_keys(entry, "reward,probability", error));
        FORAGE_TRY(forage_config_need(entry, "reward", &reward, error));
        FORAGE_TRY(forage_config_need(entry, "probability", &probability, error));
        FORAGE_TRY(read_reward(reward, &outcomes[*used].reward, error));
        FORAGE_TRY(forage_config_real(probability, 0, 1, &share, error));
        sum += share;
        outcomes[(*used)++].above = i + 1 == count ? 1 : sum; /* so that no luck is left over */
    }
    return fabs(sum - 1) <= 1e-9 ? FORAGE_OK
                                 : forage_config_fail(node, FORAGE_INVALID, error,
                                                      "the probabilities of a lottery sum to %g, not 1", sum);
}

static forage_status read_actions(const forage_config_node *root, sim_rewards *rewards, forage_error *error)
{
    const forage_config_node *actions;
    FORAGE_TRY(forage_config_need(root, "actions", &actions, error));
    FORAGE_TRY(forage_config_want(actions, FORAGE_CONFIG_LIST, error));
    if (forage_config_count(actions) < 2)
        return forage_config_fail(actions, FORAGE_INVALID, error, "there must be two actions at least");
    FORAGE_TRY(forage_vocabulary_create(&rewards->actions, error));
    for (size_t i = 0; i < forage_config_count(actions); i++) {
        const char *text;
        uint32_t index;
        FORAGE_TRY(forage_config_text(forage_config_at(actions, i), &text, error));
        FORAGE_TRY(forage_vocabulary_add(rewards->actions, text, strlen(text), &index, error));
        if (index < i)
            return forage_config_fail(forage_config_at(actions, i), FORAGE_INVALID, error,
                                      "the action '%s' comes up twice", text);
    }
    return FORAGE_OK;
}

/* The outcomes of all actions where the label is one. An action that is not named earns 0. */
static forage_status read_label(const forage_config_node *node, size_t label, sim_rewards *rewards, size_t *used,
                                forage_error *error)
{
    FORAGE_TRY(forage_config_want(node, FORAGE_CONFIG_MAP, error));
    for (size_t i = 0; i < forage_config_count(node); i++) {
        const char *key = forage_config_key(forage_config_at(node, i));
        if (forage_vocabulary_find(rewards->actions, key, strlen(key)) == FORAGE_NONE)
            return forage_config_fail(forage_config_at(node, i), FORAGE_UNKNOWN, error, "'%s' is none of the actions",
                                      key);
    }
    for (size_t a = 0; a < rewards->action_count; a++) {
        char buffer[24];
        const char *name = forage_vocabulary_id(rewards->actions, (uint32_t)a, buffer, NULL);
        const forage_config_node *cell = forage_config_find(node, name);
        if (cell && forage_config_kind_of(cell) == FORAGE_CONFIG_LIST && forage_config_count(cell)) {
            FORAGE_TRY(read_lottery(cell, rewards->outcomes, used, error));
        } else {
            if (cell)
                FORAGE_TRY(read_reward(cell, &rewards->outcomes[*used].reward, error));
            rewards->outcomes[(*used)++].above = 1;
        }
        rewards->first[label * rewards->action_count + a + 1] = *used;
    }
    return FORAGE_OK;
}

/* As many outcomes as the labels' lotteries can have, at most. */
static size_t count_outcomes(const forage_config_node *labels, size_t cells)
{
    size_t count = cells;
    for (size_t l = 0; l < forage_config_count(labels); l++) {
        const forage_config_node *label = forage_config_at(labels, l);
        for (size_t i = 0; forage_config_kind_of(label) == FORAGE_CONFIG_MAP && i < forage_config_count(label); i++)
            count += forage_config_count(forage_config_at(label, i));
    }
    return count;
}

static forage_status read_table(const forage_config_node *root, const forage_vocabulary *labels, sim_rewards *rewards,
                                forage_error *error)
{
    const forage_config_node *rows;
    size_t count = forage_vocabulary_count(labels), used = 0;
    FORAGE_TRY(forage_config_want(root, FORAGE_CONFIG_MAP, error));
    FORAGE_TRY(forage_config_check_keys(root, "name,description,actions,labels", error));
    FORAGE_TRY(read_actions(root, rewards, error));
    FORAGE_TRY(forage_config_need(root, "labels", &rows, error));
    FORAGE_TRY(forage_config_want(rows, FORAGE_CONFIG_MAP, error));
    size_t cells = count * forage_vocabulary_count(rewards->actions);
    FORAGE_TRY(reserve(rewards, count, count_outcomes(rows, cells), error));
    for (uint32_t l = 0; l < count; l++) {
        char buffer[24];
        const char *name = forage_vocabulary_id(labels, l, buffer, NULL);
        const forage_config_node *row = forage_config_find(rows, name);
        if (!row)
            return forage_config_fail(rows, FORAGE_INVALID, error, "the file's label '%s' is not in the table", name);
        FORAGE_TRY(read_label(row, l, rewards, &used, error));
    }
    sum_up(rewards);
    return FORAGE_OK;
}

forage_status sim_rewards_load(const char *name_or_path, const forage_vocabulary *labels, sim_rewards *rewards,
                               forage_error *error)
{
    forage_config *config = NULL;
    const char *text = NULL;
    *rewards = (sim_rewards){0};
    for (size_t i = 0; sim_reward_tables[i].name; i++)
        if (strcmp(sim_reward_tables[i].name, name_or_path) == 0)
            text = sim_reward_tables[i].text;
    if (text)
        FORAGE_TRY(forage_config_parse(text, strlen(text), name_or_path, &config, error));
    else
        FORAGE_TRY(forage_config_load(name_or_path, &config, error));
    forage_status status = read_table(forage_config_root(config), labels, rewards, error);
    forage_config_free(config);
    if (status != FORAGE_OK)
        sim_rewards_release(rewards);
    return status;
}
