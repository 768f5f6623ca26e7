/*
 * scenario.c: scenarios from YAML, with the place of every mistake.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "sim/builtin.h"
#include "sim/scenario.h"

enum { MAX_NAME = 200, MAX_TRIALS = 1000000000 };

#define TOP_KEYS                                                                                             \
    "name,description,seed,products,users,interactions,categories,default_rate,personas,preliminary_trials," \
    "latent," SIM_DYNAMICS_KEYS
#define TRIAL_KEYS "count,persona,high_category,low_category,high_product,low_product"

const char *forage_scenario_builtin_name(size_t index)
{
    for (size_t i = 0; sim_builtins[i].name; i++) {
        if (i == index)
            return sim_builtins[i].name;
    }
    return NULL;
}

const char *forage_scenario_builtin_text(const char *name)
{
    for (size_t i = 0; sim_builtins[i].name; i++) {
        if (strcmp(sim_builtins[i].name, name) == 0)
            return sim_builtins[i].text;
    }
    return NULL;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; names && i < count; i++)
        forage_free(names[i]);
    forage_free(names);
}

void forage_scenario_release(forage_scenario *scenario)
{
    if (!scenario)
        return;
    free_names(scenario->categories, scenario->category_count);
    free_names(scenario->personas, scenario->persona_count);
    sim_release_dynamics(&scenario->dynamics);
    forage_free(scenario->rates);
    forage_free(scenario->name);
    forage_free(scenario->description);
    memset(scenario, 0, sizeof *scenario);
}

/* ---- Checks ---- */

const char *sim_name_problem(const char *name)
{
    size_t length = name ? strlen(name) : 0;
    if (length == 0)
        return "a name is empty";
    if (length > MAX_NAME)
        return "a name is longer than 200 bytes";
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return "a name holds a control character";
    }
    return NULL;
}

uint32_t sim_find_name(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return (uint32_t)i;
    }
    return FORAGE_NONE;
}

static forage_status fail_field(forage_error *error, const char *field, const char *message)
{
    return forage_fail_at(error, FORAGE_INVALID, NULL, 0, field, "%s", message);
}

static forage_status check_names(char *const *names, size_t count, size_t most, const char *field, forage_error *error)
{
    if (!names || count < 1 || count > most)
        return forage_fail_at(error, FORAGE_INVALID, NULL, 0, field, "%zu of them; there must be 1 to %zu", count,
                              most);
    for (size_t i = 0; i < count; i++) {
        const char *problem = sim_name_problem(names[i]);
        if (problem)
            return fail_field(error, field, problem);
        if (sim_find_name(names, i, names[i]) != FORAGE_NONE)
            return forage_fail_at(error, FORAGE_INVALID, NULL, 0, field, "'%s' is there twice", names[i]);
    }
    return FORAGE_OK;
}

static forage_status check_size(uint64_t value, uint64_t most, const char *field, forage_error *error)
{
    if (value >= 1 && value <= most)
        return FORAGE_OK;
    return forage_fail_at(error, FORAGE_INVALID, NULL, 0, field, "%llu is not between 1 and %llu",
                          (unsigned long long)value, (unsigned long long)most);
}

static bool is_rate(double rate)
{
    return rate >= 0.0 && rate <= 1.0;
}

forage_status forage_scenario_validate(const forage_scenario *scenario, forage_error *error)
{
    const forage_trials *trials = &scenario->trials;
    FORAGE_TRY(check_size(scenario->products, FORAGE_MAX_PRODUCTS, "products", error));
    FORAGE_TRY(check_size(scenario->users, FORAGE_MAX_USERS, "users", error));
    FORAGE_TRY(check_names(scenario->categories, scenario->category_count, FORAGE_MAX_CATEGORIES, "categories", error));
    FORAGE_TRY(check_names(scenario->personas, scenario->persona_count, FORAGE_MAX_PERSONAS, "personas", error));
    if (!is_rate(scenario->default_rate))
        return fail_field(error, "default_rate", "not between 0 and 1");
    if (!scenario->rates)
        return fail_field(error, "personas", "no click rates");
    for (size_t i = 0; i < scenario->persona_count * scenario->category_count; i++) {
        if (!is_rate(scenario->rates[i]))
            return forage_fail_at(
                error, FORAGE_INVALID, NULL, 0, "personas", "%s's click rate for %s is not between 0 and 1",
                scenario->personas[i / scenario->category_count], scenario->categories[i % scenario->category_count]);
    }
    FORAGE_TRY(sim_check_dynamics(scenario, error));
    if (trials->persona == FORAGE_NONE)
        return trials->count == 0
                   ? FORAGE_OK
                   : fail_field(error, "preliminary_trials", "the scenario does not say of whom and what");
    if (trials->count > MAX_TRIALS)
        return fail_field(error, "preliminary_trials", "more than 1000000000");
    if (trials->persona >= scenario->persona_count || trials->high >= scenario->category_count ||
        trials->low >= scenario->category_count)
        return fail_field(error, "preliminary_trials", "a persona or category that does not exist");
    return FORAGE_OK;
}

/* ---- From YAML ---- */

forage_status sim_copy_name(const forage_config_node *node, const char *text, char **copy, forage_error *error)
{
    const char *problem = sim_name_problem(text);
    if (problem)
        return forage_config_fail(node, FORAGE_FORMAT, error, "%s", problem);
    *copy = forage_strdup(text);
    return *copy ? FORAGE_OK : forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a scenario");
}

/* "Cat Food, Dog Food, ..." as far as it fits. */
static const char *list_names(char *const *names, size_t count, char *buffer, size_t size)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if (used + length + 8 > size) {
            memcpy(buffer + used, ", ...", 6);
            break;
        }
        if (i > 0) {
            memcpy(buffer + used, ", ", 2);
            used += 2;
        }
        memcpy(buffer + used, names[i], length + 1);
        used += length;
    }
    return buffer;
}

forage_status sim_unknown_name(const forage_config_node *node, const char *kind, const char *name, char *const *names,
                               size_t count, forage_error *error)
{
    char possible[256];
    return forage_config_fail(node, FORAGE_UNKNOWN, error, "no %s '%.100s'; there are %s", kind, name,
                              list_names(names, count, possible, sizeof possible));
}

forage_status sim_read_rates(const forage_config_node *map, const forage_scenario *scenario, double *rates,
                             forage_error *error)
{
    FORAGE_TRY(forage_config_want(map, FORAGE_CONFIG_MAP, error));
    for (size_t k = 0; k < forage_config_count(map); k++) {
        const forage_config_node *rate = forage_config_at(map, k);
        const char *name = forage_config_key(rate);
        uint32_t category = sim_find_name(scenario->categories, scenario->category_count, name);
        if (category == FORAGE_NONE)
            return sim_unknown_name(rate, "category", name, scenario->categories, scenario->category_count, error);
        FORAGE_TRY(forage_config_real(rate, 0.0, 1.0, &rates[category], error));
    }
    return FORAGE_OK;
}

static forage_status read_personas(const forage_config_node *map, forage_scenario *scenario, forage_error *error)
{
    FORAGE_TRY(forage_config_want(map, FORAGE_CONFIG_MAP, error));
    size_t count = forage_config_count(map);
    if (count < 1 || count > FORAGE_MAX_PERSONAS)
        return forage_config_fail(map, FORAGE_FORMAT, error, "%zu personas; there must be 1 to %d", count,
                                  FORAGE_MAX_PERSONAS);
    scenario->personas = forage_calloc(count, sizeof *scenario->personas);
    scenario->rates = forage_alloc(count, scenario->category_count * sizeof *scenario->rates);
    if (!scenario->personas || !scenario->rates)
        return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a scenario");
    for (size_t i = 0; i < count; i++) {
        const forage_config_node *node = forage_config_at(map, i);
        double *rates = scenario->rates + i * scenario->category_count;
        FORAGE_TRY(sim_copy_name(node, forage_config_key(node), &scenario->personas[i], error));
        scenario->persona_count = i + 1;
        for (size_t c = 0; c < scenario->category_count; c++)
            rates[c] = scenario->default_rate;
        FORAGE_TRY(sim_read_rates(node, scenario, rates, error));
    }
    return FORAGE_OK;
}

/* The text of `key` must be one of `names`. */
static forage_status read_choice(const forage_config_node *map, const char *key, const char *kind, char *const *names,
                                 size_t count, uint32_t *index, forage_error *error)
{
    const forage_config_node *node;
    const char *name;
    FORAGE_TRY(forage_config_need(map, key, &node, error));
    FORAGE_TRY(forage_config_text(node, &name, error));
    *index = sim_find_name(names, count, name);
    return *index != FORAGE_NONE ? FORAGE_OK : sim_unknown_name(node, kind, name, names, count, error);
}

forage_status sim_read_whole(const forage_config_node *map, const char *key, uint64_t minimum, uint64_t maximum,
                             uint64_t *value, forage_error *error)
{
    const forage_config_node *node = forage_config_find(map, key);
    return node ? forage_config_whole(node, minimum, maximum, value, error) : FORAGE_OK;
}

forage_status sim_read_real(const forage_config_node *map, const char *key, double minimum, double maximum,
                            double *value, forage_error *error)
{
    const forage_config_node *node = forage_config_find(map, key);
    return node ? forage_config_real(node, minimum, maximum, value, error) : FORAGE_OK;
}

static forage_status read_trials(const forage_config_node *map, forage_scenario *scenario, forage_error *error)
{
    forage_trials *trials = &scenario->trials;
    uint64_t high_item = 0, low_item = 0;
    FORAGE_TRY(forage_config_check_keys(map, TRIAL_KEYS, error));
    trials->count = 100;
    FORAGE_TRY(sim_read_whole(map, "count", 0, MAX_TRIALS, &trials->count, error));
    FORAGE_TRY(
        read_choice(map, "persona", "persona", scenario->personas, scenario->persona_count, &trials->persona, error));
    FORAGE_TRY(read_choice(map, "high_category", "category", scenario->categories, scenario->category_count,
                           &trials->high, error));
    FORAGE_TRY(read_choice(map, "low_category", "category", scenario->categories, scenario->category_count,
                           &trials->low, error));
    FORAGE_TRY(sim_read_whole(map, "high_product", 0, FORAGE_MAX_PRODUCTS, &high_item, error));
    FORAGE_TRY(sim_read_whole(map, "low_product", 0, FORAGE_MAX_PRODUCTS, &low_item, error));
    trials->high_item = (uint32_t)high_item;
    trials->low_item = (uint32_t)low_item;
    return FORAGE_OK;
}

/* Everything but the parts that are made of names. */
static forage_status read_numbers(const forage_config_node *root, forage_scenario *scenario, forage_error *error)
{
    const forage_config_node *node;
    scenario->default_rate = 0.01;
    scenario->interactions = 200000;
    FORAGE_TRY(sim_read_whole(root, "seed", 0, UINT64_MAX, &scenario->seed, error));
    FORAGE_TRY(sim_read_whole(root, "interactions", 0, UINT64_MAX, &scenario->interactions, error));
    FORAGE_TRY(forage_config_need(root, "products", &node, error));
    FORAGE_TRY(forage_config_whole(node, 1, FORAGE_MAX_PRODUCTS, &scenario->products, error));
    FORAGE_TRY(forage_config_need(root, "users", &node, error));
    FORAGE_TRY(forage_config_whole(node, 1, FORAGE_MAX_USERS, &scenario->users, error));
    return sim_read_real(root, "default_rate", 0.0, 1.0, &scenario->default_rate, error);
}

/* The scenario's own name, or that of its file without folder and ending. */
static forage_status read_name(const forage_config_node *root, const char *file, forage_scenario *scenario,
                               forage_error *error)
{
    const forage_config_node *node = forage_config_find(root, "name");
    const char *text;
    if (node) {
        FORAGE_TRY(forage_config_text(node, &text, error));
        return sim_copy_name(node, text, &scenario->name, error);
    }
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    const char *dot = strrchr(base, '.');
    scenario->name = forage_strndup(base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
    return scenario->name ? FORAGE_OK : forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a scenario");
}

/* Categories and personas, as they are listed or out of a generator. */
static forage_status read_customers(const forage_config_node *root, forage_scenario *scenario, forage_error *error)
{
    const forage_config_node *node = forage_config_find(root, "latent");
    if (node) {
        const forage_config_node *listed = forage_config_find(root, "categories");
        listed = listed ? listed : forage_config_find(root, "personas");
        if (listed)
            return forage_config_fail(listed, FORAGE_FORMAT, error, "'latent' makes categories and personas by itself");
        return sim_read_latent(node, scenario, error);
    }
    FORAGE_TRY(forage_config_need(root, "categories", &node, error));
    FORAGE_TRY(sim_read_categories(node, scenario, error));
    FORAGE_TRY(forage_config_need(root, "personas", &node, error));
    return read_personas(node, scenario, error);
}

static forage_status read_scenario(const forage_config_node *root, const char *file, forage_scenario *scenario,
                                   forage_error *error)
{
    const forage_config_node *node;
    const char *text;
    FORAGE_TRY(forage_config_check_keys(root, TOP_KEYS, error));
    FORAGE_TRY(read_name(root, file, scenario, error));
    node = forage_config_find(root, "description");
    if (node) {
        FORAGE_TRY(forage_config_text(node, &text, error));
        scenario->description = forage_strdup(text);
        if (!scenario->description)
            return forage_fail(error, FORAGE_NO_MEMORY, "not enough memory for a scenario");
    }
    FORAGE_TRY(read_numbers(root, scenario, error));
    FORAGE_TRY(read_customers(root, scenario, error));
    FORAGE_TRY(sim_read_dynamics(root, scenario, error));
    node = forage_config_find(root, "preliminary_trials");
    return node ? read_trials(node, scenario, error) : FORAGE_OK;
}

static forage_status from_config(const forage_config *config, const char *file, forage_scenario *scenario,
                                 forage_error *error)
{
    memset(scenario, 0, sizeof *scenario);
    scenario->trials.persona = FORAGE_NONE;
    forage_status status = read_scenario(forage_config_root(config), file, scenario, error);
    if (status == FORAGE_OK)
        status = forage_scenario_validate(scenario, error);
    if (status != FORAGE_OK)
        forage_scenario_release(scenario);
    return status;
}

forage_status forage_scenario_parse(const char *text, size_t size, const char *file, forage_scenario *scenario,
                                    forage_error *error)
{
    forage_config *config;
    memset(scenario, 0, sizeof *scenario);
    FORAGE_TRY(forage_config_parse(text, size, file, &config, error));
    forage_status status = from_config(config, file, scenario, error);
    forage_config_free(config);
    return status;
}

/* What looks like a name rather than a path was one, misspelt: what names there are helps more than what the system
 * says about a file. */
static forage_status explain_name(const char *name, forage_status status, forage_error *error)
{
    char names[256] = "";
    size_t used = 0;
    if (status != FORAGE_IO || strpbrk(name, "/."))
        return status;
    for (size_t i = 0; sim_builtins[i].name && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", sim_builtins[i].name);
    return forage_fail_at(error, FORAGE_IO, NULL, 0, NULL,
                          "there is no scenario '%s', and no such file; built-in are %s", name, names);
}

forage_status forage_scenario_load(const char *name_or_path, forage_scenario *scenario, forage_error *error)
{
    const char *text = forage_scenario_builtin_text(name_or_path);
    forage_config *config;
    memset(scenario, 0, sizeof *scenario);
    if (text)
        return forage_scenario_parse(text, strlen(text), name_or_path, scenario, error);
    forage_status status = forage_config_load(name_or_path, &config, error);
    if (status != FORAGE_OK)
        return explain_name(name_or_path, status, error);
    status = from_config(config, name_or_path, scenario, error);
    forage_config_free(config);
    return status;
}
