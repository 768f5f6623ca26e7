/*
 * The pet shop: the document's numbers, odd scenarios, truth, changes, bad input.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/sim.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "golden.h"
#include "sha256.h"

static char folder[] = "/tmp/forage-sim-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails when anything was left behind */
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static forage_simulator *open_shop(const forage_scenario *scenario)
{
    forage_simulator *simulator;
    forage_error error = {0};
    if (forage_simulator_create(scenario, NULL, &simulator, &error) != FORAGE_OK)
        fail_msg("%s: %s", error.field, error.message);
    return simulator;
}

static forage_simulator *open_petshop(uint64_t seed, uint64_t products, uint64_t users)
{
    forage_scenario scenario;
    forage_error error = {0};
    if (forage_scenario_load("petshop", &scenario, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    scenario.seed = seed;
    scenario.products = products;
    scenario.users = users;
    forage_simulator *simulator = open_shop(&scenario);
    forage_scenario_release(&scenario);
    return simulator;
}

/* SHA-256 of a file, which is removed. */
static void check_file(const char *path, const char *wanted)
{
    char *bytes, hex[65];
    size_t size;
    assert_int_equal(forage_read_file(path, (size_t)1 << 30, &bytes, &size, NULL), FORAGE_OK);
    sha256_of(bytes, size, hex);
    assert_string_equal(hex, wanted);
    forage_free(bytes);
    unlink(path);
}

/* ---- Golden logs ---- */

static void check_trials(forage_simulator *simulator, const json_t *entry)
{
    forage_trial_result trials;
    uint64_t count = golden_whole(entry, "preliminary_trials");
    assert_int_equal(forage_simulator_trials(simulator, count, &trials, NULL), FORAGE_OK);
    assert_int_equal(trials.user, golden_whole(entry, "test_user"));
    assert_int_equal(trials.high_item, golden_whole(entry, "high_affinity_product"));
    assert_int_equal(trials.low_item, golden_whole(entry, "low_affinity_product"));
    assert_true(trials.high_rate == 0.5 && trials.low_rate == 0.05);
    if (count == 0)
        return;
    assert_true((double)trials.high_clicks / (double)count ==
                json_number_value(json_object_get(entry, "observed_high")));
    assert_true((double)trials.low_clicks / (double)count == json_number_value(json_object_get(entry, "observed_low")));
}

static void check_golden(const json_t *entry)
{
    forage_simulator *simulator =
        open_petshop(golden_whole(entry, "seed"), golden_whole(entry, "n_products"), golden_whole(entry, "n_users"));
    forage_log_summary summary;
    check_trials(simulator, entry);
    assert_int_equal(forage_simulator_write_catalogue(simulator, path_of("catalogue.csv"), NULL), FORAGE_OK);
    check_file(path_of("catalogue.csv"), golden_text(entry, "products_csv_sha256"));
    assert_int_equal(forage_simulator_write_population(simulator, path_of("population.csv"), NULL), FORAGE_OK);
    check_file(path_of("population.csv"), golden_text(entry, "users_csv_sha256"));
    assert_int_equal(forage_simulator_write_log(simulator, golden_whole(entry, "interactions"), path_of("log.csv"),
                                                NULL, &summary, NULL),
                     FORAGE_OK);
    check_file(path_of("log.csv"), golden_text(entry, "sha256_csv"));
    assert_int_equal(summary.rows, golden_whole(entry, "interactions"));
    assert_int_equal(summary.clicks, golden_whole(entry, "clicks"));
    forage_simulator_free(simulator);
}

static void petshop_logs_are_the_notebooks(void **state)
{
    (void)state;
    json_t *root = golden_load("petshop_logs.json", 0);
    assert_int_equal(json_array_size(root), 3);
    for (size_t i = 0; i < json_array_size(root); i++)
        check_golden(json_array_get(root, i));
    json_decref(root);
}

static void odd_scenarios_are_numpys(void **state)
{
    (void)state;
    json_t *root = golden_load("scenario_logs.json", 0);
    assert_true(json_array_size(root) > 0);
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *entry = json_array_get(root, i);
        const char *text = golden_text(entry, "yaml");
        forage_scenario scenario;
        forage_trial_result trials;
        forage_error error = {0};
        if (forage_scenario_parse(text, strlen(text), "case.yaml", &scenario, &error) != FORAGE_OK)
            fail_msg("%s: %s", error.field, error.message);
        assert_string_equal(scenario.name, "case");
        scenario.seed = golden_whole(entry, "seed");
        scenario.products = golden_whole(entry, "products");
        scenario.users = golden_whole(entry, "users");
        forage_simulator *simulator = open_shop(&scenario);
        assert_int_equal(forage_simulator_trials(simulator, golden_whole(entry, "trials"), &trials, NULL), FORAGE_OK);
        assert_int_equal(trials.high_clicks, golden_whole(entry, "high_clicks"));
        assert_int_equal(trials.low_clicks, golden_whole(entry, "low_clicks"));
        assert_int_equal(forage_simulator_write_log(simulator, golden_whole(entry, "interactions"), path_of("log.csv"),
                                                    NULL, NULL, NULL),
                         FORAGE_OK);
        check_file(path_of("log.csv"), golden_text(entry, "sha256"));
        forage_simulator_free(simulator);
        forage_scenario_release(&scenario);
    }
    json_decref(root);
}

/* ---- One stream, however it is drawn ---- */

static void visits_in_pieces_are_the_same(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static uint32_t user[COUNT], item[COUNT], user2[COUNT], item2[COUNT];
    static uint8_t click[COUNT], click2[COUNT];
    const size_t sizes[][2] = {{50, 1000}, {1, 7}, {7, 1}, {1, 1}, {3000000, 3000001}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        forage_simulator *whole = open_petshop(k, sizes[k][0], sizes[k][1]);
        forage_simulator *parts = open_petshop(k, sizes[k][0], sizes[k][1]);
        forage_simulator_visits(whole, COUNT, user, item, click);
        for (size_t done = 0, part = 0; done < COUNT; part = (part * 7 + 3) % 1501) {
            size_t count = part < COUNT - done ? part : COUNT - done;
            if (part % 5 == 3) { /* by hand: visitor, product, click */
                user2[done] = forage_simulator_visitor(parts);
                item2[done] = (uint32_t)forage_rng_integers(forage_simulator_rng(parts), sizes[k][0]);
                click2[done] = forage_simulator_click(parts, user2[done], item2[done]);
                done++;
                continue;
            }
            forage_simulator_visits(parts, count, user2 + done, item2 + done, click2 + done);
            done += count;
        }
        assert_memory_equal(user, user2, sizeof user);
        assert_memory_equal(item, item2, sizeof item);
        assert_memory_equal(click, click2, sizeof click);
        assert_memory_equal(forage_simulator_rng(whole), forage_simulator_rng(parts), sizeof(forage_rng));
        forage_simulator_free(whole);
        forage_simulator_free(parts);
    }
}

/* Each click is NumPy's binomial(1, p), also where that draws nothing, and for extreme p. */
static void clicks_are_binomial(void **state)
{
    (void)state;
    const double rates[] = {0.0,         1.0,     0.5,     0.02, 0.6,     1e-300, 5e-324,
                            1 - 0x1p-53, 0x1p-53, 0x1p-54, 0.3,  1.0 / 3, 0.97};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        char only[] = "only", all[] = "all", *categories[] = {only}, *personas[] = {all};
        double rate[] = {rates[i]};
        forage_scenario scenario = {.seed = i,
                                    .products = 1,
                                    .users = 1,
                                    .categories = categories,
                                    .category_count = 1,
                                    .personas = personas,
                                    .persona_count = 1,
                                    .rates = rate,
                                    .default_rate = 0.01,
                                    .trials = {.persona = FORAGE_NONE}};
        forage_simulator *simulator = open_shop(&scenario);
        forage_rng reference = *forage_simulator_rng(simulator);
        assert_true(forage_simulator_probability(simulator, 0, 0) == rates[i]);
        for (int k = 0; k < 20000; k++)
            assert_int_equal(forage_simulator_click(simulator, 0, 0), forage_rng_binomial(&reference, 1, rates[i]));
        assert_memory_equal(forage_simulator_rng(simulator), &reference, sizeof reference);
        forage_simulator_free(simulator);
    }
}

/* ---- Truth ---- */

static void the_documents_shop(void **state)
{
    (void)state;
    forage_simulator *s = open_petshop(42, 50, 1000);
    assert_int_equal(forage_simulator_users(s), 1000);
    assert_int_equal(forage_simulator_items(s), 50);
    assert_int_equal(forage_simulator_personas(s), 4);
    assert_int_equal(forage_simulator_categories(s), 5);
    assert_string_equal(forage_simulator_persona_name(s, forage_simulator_persona(s, 0)), "new_puppy_parent");
    assert_string_equal(forage_simulator_category_name(s, forage_simulator_category(s, 4)), "Dog Toy");
    assert_string_equal(forage_simulator_category_name(s, forage_simulator_category(s, 3)), "Cat Toy");
    assert_int_equal(forage_simulator_best_item(s, 0), 4);
    assert_true(forage_simulator_probability(s, 0, 4) == 0.5);
    assert_true(forage_simulator_rate(s, forage_simulator_find_persona(s, "fish_hobbyist"),
                                      forage_simulator_find_category(s, "Fish Supplies")) == 0.6);
    assert_true(fabs(forage_simulator_entropy(s, 0, NULL, NULL) - 0.40092) < 5e-6);

    assert_true(forage_simulator_probability(s, 1000, 4) == 0.0);
    assert_true(forage_simulator_probability(s, 0, 50) == 0.0);
    assert_true(forage_simulator_rate(s, 4, 0) == 0.0 && forage_simulator_rate(s, 0, 5) == 0.0);
    assert_true(forage_simulator_rate(s, 0, FORAGE_NONE) == 0.01);
    assert_int_equal(forage_simulator_persona(s, 1000), FORAGE_NONE);
    assert_int_equal(forage_simulator_category(s, 50), FORAGE_NONE);
    assert_int_equal(forage_simulator_best_item(s, 1000), FORAGE_NONE);
    assert_null(forage_simulator_persona_name(s, 4));
    assert_null(forage_simulator_category_name(s, 5));
    assert_int_equal(forage_simulator_find_persona(s, "nobody"), FORAGE_NONE);
    assert_false(forage_simulator_click(s, FORAGE_NONE, 0));
    forage_simulator_free(s);
}

/* The document's validation rows: scikit-learn's split of its log. */
static void the_oracle_on_the_documents_rows(void **state)
{
    (void)state;
    forage_simulator *s = open_petshop(42, 50, 1000);
    forage_trial_result trials;
    forage_dataset *data;
    forage_split split;
    forage_error error = {0};
    uint32_t *user, *item;
    uint8_t *click;

    assert_int_equal(forage_simulator_trials(s, 100, &trials, NULL), FORAGE_OK);
    assert_int_equal(forage_simulator_dataset(s, 200000, NULL, &data, &error), FORAGE_OK);
    if (forage_dataset_validate(data, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    assert_int_equal(forage_split_parse("sklearn:0.2:42", data, &split, &error), FORAGE_OK);
    assert_int_equal(split.validation_count, 40000);
    user = forage_alloc(split.validation_count, sizeof *user);
    item = forage_alloc(split.validation_count, sizeof *item);
    click = forage_alloc(split.validation_count, sizeof *click);
    for (size_t i = 0; i < split.validation_count; i++) {
        user[i] = data->user[split.validation[i]];
        item[i] = data->item[split.validation[i]];
        click[i] = (uint8_t)data->value[split.validation[i]];
    }
    double loss = forage_simulator_log_loss(s, split.validation_count, user, item, click);
    double entropy = forage_simulator_entropy(s, split.validation_count, user, item);
    if (fabs(loss - 0.39973) > 5e-6 || fabs(entropy - 0.40092) > 2e-3)
        fail_msg("log loss %.6f, entropy %.6f", loss, entropy);
    forage_free(user);
    forage_free(item);
    forage_free(click);
    forage_split_release(&split);
    forage_dataset_free(data);
    forage_simulator_free(s);
}

static void sums_match_their_definitions(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static uint32_t user[COUNT], item[COUNT];
    static uint8_t click[COUNT];
    forage_simulator *s = open_petshop(8, 23, 17);
    double loss = 0, entropy = 0, all = 0;
    forage_simulator_visits(s, COUNT, user, item, click);
    for (size_t i = 0; i < COUNT; i++) {
        double p = forage_simulator_probability(s, user[i], item[i]);
        loss -= log(click[i] ? p : 1 - p) / COUNT;
        entropy -= (p * log(p) + (1 - p) * log(1 - p)) / COUNT;
    }
    assert_true(fabs(forage_simulator_log_loss(s, COUNT, user, item, click) - loss) < 1e-12);
    assert_true(fabs(forage_simulator_entropy(s, COUNT, user, item) - entropy) < 1e-12);
    for (uint32_t u = 0; u < 17; u++) {
        uint32_t best = 0;
        for (uint32_t i = 0; i < 23; i++) {
            double p = forage_simulator_probability(s, u, i);
            all -= (p * log(p) + (1 - p) * log(1 - p)) / (17 * 23);
            if (p > forage_simulator_probability(s, u, best))
                best = i;
        }
        assert_int_equal(forage_simulator_best_item(s, u), best);
    }
    assert_true(fabs(forage_simulator_entropy(s, 0, NULL, NULL) - all) < 1e-12);
    assert_true(isnan(forage_simulator_log_loss(s, 0, NULL, NULL, NULL)));
    forage_simulator_free(s);
}

/* ---- Changes, and the dataset ---- */

static void shops_change(void **state)
{
    (void)state;
    forage_simulator *s = open_petshop(1, 3, 2);
    uint32_t fish = forage_simulator_find_category(s, "Fish Supplies"), user, item, first = FORAGE_NONE;
    uint32_t hobbyist = forage_simulator_find_persona(s, "fish_hobbyist");
    forage_rng before = *forage_simulator_rng(s);

    assert_int_equal(forage_simulator_set_persona(s, 0, hobbyist, NULL), FORAGE_OK);
    assert_int_equal(forage_simulator_set_persona(s, 2, hobbyist, NULL), FORAGE_INVALID);
    assert_int_equal(forage_simulator_set_persona(s, 0, 4, NULL), FORAGE_INVALID);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(forage_simulator_add_item(s, i % 2 ? fish : FORAGE_NONE, &item, NULL), FORAGE_OK);
        assert_int_equal(item, 3 + i);
        assert_int_equal(forage_simulator_add_user(s, i % 4, &user, NULL), FORAGE_OK);
        assert_int_equal(user, 2 + i);
    }
    for (uint32_t i = 0; i < 103 && first == FORAGE_NONE; i++)
        first = forage_simulator_category(s, i) == fish ? i : FORAGE_NONE;
    assert_int_equal(forage_simulator_best_item(s, 0), first);
    assert_true(forage_simulator_probability(s, 0, 3) == 0.01); /* of no category */
    assert_true(forage_simulator_probability(s, 0, 4) == 0.6);
    assert_int_equal(forage_simulator_category(s, 3), FORAGE_NONE);
    assert_int_equal(forage_simulator_add_item(s, 5, NULL, NULL), FORAGE_INVALID);
    assert_int_equal(forage_simulator_add_user(s, 4, NULL, NULL), FORAGE_INVALID);
    assert_memory_equal(forage_simulator_rng(s), &before, sizeof before);

    forage_simulator_reseed(s, 9, 3);
    forage_rng_seed_stream(&before, 9, 3);
    assert_memory_equal(forage_simulator_rng(s), &before, sizeof before);
    forage_dataset *data;
    assert_int_equal(forage_simulator_dataset(s, 100, NULL, &data, NULL), FORAGE_OK);
    assert_int_equal(forage_dataset_validate(data, NULL), FORAGE_OK);
    assert_int_equal(forage_vocabulary_count(data->users), 102);
    assert_int_equal(forage_vocabulary_count(data->items), 103);
    assert_int_equal(data->item_attributes.columns[0].codes[3], FORAGE_NONE);
    forage_dataset_free(data);
    forage_simulator_free(s);
}

/* The dataset in memory is what reading the file gives. */
static void dataset_is_the_file(void **state)
{
    (void)state;
    forage_simulator *s = open_petshop(3, 12, 40), *t = open_petshop(3, 12, 40);
    forage_dataset *made, *read;
    forage_error error = {0};
    assert_int_equal(forage_simulator_dataset(s, 9000, NULL, &made, NULL), FORAGE_OK);
    assert_int_equal(forage_simulator_write_log(t, 9000, path_of("log.csv"), NULL, NULL, NULL), FORAGE_OK);
    if (forage_dataset_load(path_of("log.csv"), NULL, NULL, &read, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    unlink(path_of("log.csv"));
    assert_int_equal(read->count, 9000);
    assert_memory_equal(made->user, read->user, 9000 * sizeof *made->user);
    assert_memory_equal(made->item, read->item, 9000 * sizeof *made->item);
    assert_memory_equal(made->value, read->value, 9000 * sizeof *made->value);
    assert_string_equal(made->user_name, read->user_name);
    assert_string_equal(made->item_name, read->item_name);
    assert_string_equal(made->value_name, read->value_name);
    const forage_column *a = forage_table_find(&made->item_attributes, "category");
    const forage_column *b = forage_table_find(&read->item_attributes, "category");
    assert_true(a && b);
    for (uint32_t i = 0; i < 12; i++) {
        char one[24], two[24];
        assert_string_equal(forage_vocabulary_id(a->vocabulary, a->codes[i], one, NULL),
                            forage_vocabulary_id(b->vocabulary, b->codes[i], two, NULL));
    }
    forage_dataset_free(made);
    forage_dataset_free(read);
    forage_simulator_free(s);
    forage_simulator_free(t);
}

/* ---- Bad input ---- */

#define GOOD_START "products: 5\nusers: 6\n"
#define GOOD_NAMES "categories: [A, B]\npersonas:\n  p: {A: 0.5, B: 0.25}\n"

static void refuse(const char *text, uint64_t line, const char *field, const char *part)
{
    forage_scenario scenario;
    forage_error error = {0};
    if (forage_scenario_parse(text, strlen(text), "s.yaml", &scenario, &error) == FORAGE_OK)
        fail_msg("accepted: %s", text);
    if (error.line != line || strcmp(error.field, field) != 0 || !strstr(error.message, part) ||
        strcmp(error.file, "s.yaml") != 0)
        fail_msg("expected %d, %s, '%s'; got %s:%d: %s: %s", (int)line, field, part, error.file, (int)error.line,
                 error.field, error.message);
    assert_null(scenario.categories);
    assert_null(scenario.rates);
}

static void bad_scenarios_are_refused(void **state)
{
    (void)state;
    refuse(GOOD_START GOOD_NAMES "sed: 4\n", 6, "sed", "unknown key");
    refuse(GOOD_START "categories: [A]\npersonas:\n  p: {A: 0.5,\n      C: 0.2}\n", 6, "personas.p.C",
           "no category 'C'; there are A");
    refuse(GOOD_START "categories: [A]\npersonas:\n  p: {A: 1.5}\n", 5, "personas.p.A", "not between 0 and 1");
    refuse(GOOD_START "categories: [A]\npersonas:\n  p: {A: -0.1}\n", 5, "personas.p.A", "not between 0 and 1");
    refuse(GOOD_START "categories: [A]\npersonas:\n  p: {A: nan}\n", 5, "personas.p.A", "not between 0 and 1");
    refuse(GOOD_START "categories: [A]\npersonas:\n  p: {A: .nan}\n", 5, "personas.p.A", "is not a number");
    refuse(GOOD_START "categories: [A]\npersonas:\n  p: {A: }\n", 5, "personas.p.A", "is not a number");
    refuse(GOOD_START "categories: [A]\npersonas:\n  p: {A: [1]}\n", 5, "personas.p.A", "expected a value");
    refuse(GOOD_START "categories: [A]\npersonas:\n  p: 0.5\n", 5, "personas.p", "expected a map");
    refuse(GOOD_START "categories: [A]\npersonas: {}\n", 4, "personas", "0 personas");
    refuse(GOOD_START "categories: []\npersonas: {p: {}}\n", 3, "categories", "0 categories");
    refuse(GOOD_START "categories: [A, B, A]\npersonas: {p: {}}\n", 3, "categories[2]", "twice");
    refuse(GOOD_START "categories: [A, '']\npersonas: {p: {}}\n", 3, "categories[1]", "empty");
    refuse(GOOD_START "categories: [\"A\\nB\"]\npersonas: {p: {}}\n", 3, "categories[0]", "control character");
    refuse(GOOD_START "categories: {A: 1}\npersonas: {p: {}}\n", 3, "categories.A", "expected a list");
    refuse("products: 0\nusers: 6\n" GOOD_NAMES, 1, "products", "not between 1 and 1000000000");
    refuse("products: 5\nusers: 0\n" GOOD_NAMES, 2, "users", "not between 1");
    refuse("products: 5\nusers: 4294967297\n" GOOD_NAMES, 2, "users", "not between 1");
    refuse("products: 99999999999999999999999\nusers: 4\n" GOOD_NAMES, 1, "products", "not a whole number");
    refuse("products: -5\nusers: 4\n" GOOD_NAMES, 1, "products", "not a whole number");
    refuse("products: 5\n" GOOD_NAMES, 1, "", "'users' is missing");
    refuse(GOOD_START "personas: {p: {}}\n", 1, "", "'categories' is missing");
    refuse(GOOD_START "categories: [A]\n", 1, "", "'personas' is missing");
    refuse(GOOD_START GOOD_NAMES "seed: x\n", 6, "seed", "not a whole number");
    refuse(GOOD_START GOOD_NAMES "seed: 18446744073709551616\n", 6, "seed", "not a whole number");
    refuse(GOOD_START GOOD_NAMES "default_rate: 2\n", 6, "default_rate", "not between 0 and 1");
    refuse(GOOD_START GOOD_NAMES "preliminary_trials: 5\n", 6, "preliminary_trials", "expected a map");
    refuse(GOOD_START GOOD_NAMES "preliminary_trials: {persona: p, high_category: A}\n", 6, "preliminary_trials",
           "'low_category' is missing");
    refuse(GOOD_START GOOD_NAMES "preliminary_trials: {persona: q, high_category: A, low_category: B}\n", 6,
           "preliminary_trials.persona", "no persona 'q'");
    refuse(GOOD_START GOOD_NAMES "preliminary_trials: {persona: p, high_category: A, low_category: D}\n", 6,
           "preliminary_trials.low_category", "no category 'D'");
    refuse(GOOD_START GOOD_NAMES "preliminary_trials: {persona: p, high_category: A, low_category: B, n: 1}\n", 6,
           "preliminary_trials.n", "unknown key");
    refuse("[1, 2]\n", 1, "", "expected a map");
}

static void numbers_of_a_caller_are_checked(void **state)
{
    (void)state;
    forage_scenario scenario;
    forage_simulator *simulator;
    forage_error error = {0};
    assert_int_equal(forage_scenario_load("petshop", &scenario, NULL), FORAGE_OK);
    scenario.products = 0;
    assert_int_equal(forage_simulator_create(&scenario, NULL, &simulator, &error), FORAGE_INVALID);
    assert_string_equal(error.field, "products");
    assert_null(simulator);
    scenario.products = 50;
    scenario.users = (uint64_t)1 << 32;
    assert_int_equal(forage_simulator_create(&scenario, NULL, &simulator, &error), FORAGE_INVALID);
    assert_string_equal(error.field, "users");
    scenario.users = 10;
    scenario.rates[3] = NAN;
    assert_int_equal(forage_simulator_create(&scenario, NULL, &simulator, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "new_puppy_parent's click rate for Dog Toy"));
    forage_scenario_release(&scenario);
    assert_int_equal(forage_scenario_load("/nowhere/at/all.yaml", &scenario, &error), FORAGE_IO);
    assert_non_null(strstr(error.file, "all.yaml"));
    forage_scenario_release(&scenario);
}

static bool stop_at_once(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    (void)stage, (void)total, (void)note;
    return done < *(uint64_t *)context;
}

static void failures_leave_nothing(void **state)
{
    (void)state;
    uint64_t limit = 300000;
    const forage_progress progress = {stop_at_once, &limit};
    forage_simulator *s = open_petshop(42, 50, 1000);
    forage_dataset *data = (forage_dataset *)&data;
    forage_error error = {0};
    assert_int_equal(forage_simulator_write_log(s, 10000000, path_of("log.csv"), &progress, NULL, &error),
                     FORAGE_INTERRUPTED);
    assert_int_equal(forage_simulator_dataset(s, 10000000, &progress, &data, &error), FORAGE_INTERRUPTED);
    assert_null(data);
    assert_int_equal(forage_simulator_write_log(s, 1000000, "/dev/full", NULL, NULL, &error), FORAGE_IO);
    assert_int_equal(forage_simulator_write_catalogue(s, "/dev/full", &error), FORAGE_IO);
    assert_int_equal(forage_simulator_write_log(s, 10, "/nowhere/log.csv", NULL, NULL, &error), FORAGE_IO);
    forage_simulator_free(s);
}

/* Whichever allocation fails, the call says so and nothing leaks (the sanitizers look). */
static void no_memory_is_survived(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        forage_scenario scenario;
        forage_simulator *simulator = NULL;
        forage_dataset *data = NULL;
        forage_alloc_fail_at(nth);
        forage_status status = forage_scenario_load("petshop", &scenario, NULL);
        if (status == FORAGE_OK)
            status = forage_simulator_create(&scenario, NULL, &simulator, NULL);
        if (status == FORAGE_OK)
            status = forage_simulator_write_log(simulator, 10, path_of("log.csv"), NULL, NULL, NULL);
        if (status == FORAGE_OK)
            status = forage_simulator_dataset(simulator, 10, NULL, &data, NULL);
        forage_alloc_fail_at(0);
        forage_dataset_free(data);
        forage_simulator_free(simulator);
        forage_scenario_release(&scenario);
        unlink(path_of("log.csv"));
        if (status == FORAGE_OK) {
            assert_true(nth > 50);
            return;
        }
        assert_int_equal(status, FORAGE_NO_MEMORY);
    }
}

static void built_in_scenarios_are_listed(void **state)
{
    (void)state;
    assert_string_equal(forage_scenario_builtin_name(0), "petshop");
    assert_null(forage_scenario_builtin_name(1000));
    assert_null(forage_scenario_builtin_text("nothing"));
    for (size_t i = 0; forage_scenario_builtin_name(i); i++) {
        forage_scenario scenario;
        assert_non_null(forage_scenario_builtin_text(forage_scenario_builtin_name(i)));
        assert_int_equal(forage_scenario_load(forage_scenario_builtin_name(i), &scenario, NULL), FORAGE_OK);
        assert_string_equal(scenario.name, forage_scenario_builtin_name(i));
        forage_scenario_release(&scenario);
        forage_scenario_release(&scenario);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(petshop_logs_are_the_notebooks),
        cmocka_unit_test(odd_scenarios_are_numpys),
        cmocka_unit_test(visits_in_pieces_are_the_same),
        cmocka_unit_test(clicks_are_binomial),
        cmocka_unit_test(the_documents_shop),
        cmocka_unit_test(the_oracle_on_the_documents_rows),
        cmocka_unit_test(sums_match_their_definitions),
        cmocka_unit_test(shops_change),
        cmocka_unit_test(dataset_is_the_file),
        cmocka_unit_test(bad_scenarios_are_refused),
        cmocka_unit_test(numbers_of_a_caller_are_checked),
        cmocka_unit_test(failures_leave_nothing),
        cmocka_unit_test(no_memory_is_survived),
        cmocka_unit_test(built_in_scenarios_are_listed),
    };
    return cmocka_run_group_tests_name("sim", tests, make_folder, remove_folder);
}
