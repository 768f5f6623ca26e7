/*
 * latent-class: its passes against enumeration, and what it finds in simulated users.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "model/classes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "online.h"

#include "golden.h"

/* ---- the passes ---- */

static void check_paths(const json_t *golden)
{
    enum { ARMS = 4, K = 3, LENGTH = 6 };
    classes c = {0};
    classes_scratch scratch = {0};
    uint32_t length = LENGTH, arm[LENGTH];
    float reward[LENGTH], weight[LENGTH];
    classes_events events = {LENGTH, &length, arm, reward, weight};
    forage_error error = {0};
    double hazard = json_number_value(json_object_get(golden, "hazard"));
    must(classes_create(&c, ARMS, K + 1, &error), &error); /* room for one more: rows are longer than the classes */
    must(classes_scratch_create(&scratch, LENGTH, K + 1, &error), &error);
    c.count = K;
    for (size_t k = 0; k < K; k++) {
        c.share[k] = (float)golden_at(json_object_get(golden, "share"), k);
        for (size_t a = 0; a < ARMS; a++) {
            double rate = golden_at(json_array_get(json_object_get(golden, "rate"), a), k);
            c.click[a * c.most + k] = (float)rate;
            c.pass[a * c.most + k] = (float)(1 - rate);
        }
    }
    for (size_t i = 0; i < LENGTH; i++) {
        arm[i] = (uint32_t)golden_at(json_object_get(golden, "arm"), i);
        reward[i] = (float)golden_at(json_object_get(golden, "reward"), i);
        weight[i] = (float)golden_at(json_object_get(golden, "weight"), i);
    }
    double evidence = classes_smooth(&c, hazard, &events, 0, &scratch);
    assert_true(fabs(evidence - json_number_value(json_object_get(golden, "evidence"))) < 1e-4);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < LENGTH; i++) {
            const json_t *belief = json_array_get(json_object_get(golden, "belief"), i);
            for (size_t k = 0; k < K; k++)
                assert_true(fabs((double)scratch.belief[i * c.most + k] - golden_at(belief, k)) < 1e-5);
            if (pass == 1)
                assert_true(fabs((double)scratch.same[i] - golden_at(json_object_get(golden, "same"), i)) < 1e-5);
        }
        classes_compare(&c, hazard, &events, 0, &scratch);
    }
    classes_release(&c);
    classes_scratch_release(&scratch);
}

static void test_passes_are_those_of_all_paths(void **state)
{
    (void)state;
    json_t *root = golden_load("online_models.json", 0), *golden;
    size_t index, seen = 0;
    json_array_foreach(json_object_get(root, "classes"), index, golden)
    {
        check_paths(golden);
        seen++;
    }
    assert_true(seen >= 3);
    json_decref(root);
}

static void test_digamma(void **state)
{
    (void)state;
    /* psi(1) = -gamma, psi(1/2) = -gamma - 2 log 2, psi(10) = 2.2517525890667211 */
    assert_true(fabs(classes_digamma(1) + 0.57721566490153286) < 1e-11);
    assert_true(fabs(classes_digamma(0.5) + 1.9635100260214235) < 1e-11);
    assert_true(fabs(classes_digamma(10) - 2.2517525890667211) < 1e-11);
    assert_true(fabs(classes_digamma(0.01) + 100.56088545786868) < 1e-9);
}

/* ---- what it finds ---- */

enum { CLASSES = 3, ARMS = 4, USERS = 200 };

static const double taste[CLASSES][ARMS] = {{0.6, 0.1, 0.05, 0.3}, {0.1, 0.5, 0.1, 0.3}, {0.05, 0.1, 0.7, 0.3}};

static void visit(forage_learner *learner, uint32_t user, size_t class, uint32_t arm, forage_rng *rng)
{
    forage_lesson lesson = {.user = user, .arm = arm, .weight = 1, .propensity = NAN};
    lesson.reward = forage_rng_double(rng) < taste[class][arm];
    online_teach(learner, &lesson);
}

static void ask(forage_learner *learner, uint32_t user, float mean[ARMS], float deviation[ARMS])
{
    static const uint32_t arms[ARMS] = {0, 1, 2, 3};
    forage_candidates all = {ARMS, user, NULL, NULL, arms};
    forage_learner_estimate(learner, &all, mean, deviation);
}

/* `count` visits of users who see arms at random. */
static void traffic(forage_learner *learner, size_t count, forage_rng *rng)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t user = (uint32_t)forage_rng_integers(rng, USERS);
        visit(learner, user, user % CLASSES, (uint32_t)forage_rng_integers(rng, ARMS), rng);
    }
}

static const forage_learner_shape shop = {.arms = ARMS, .users = USERS + 10, .candidates = ARMS};

static void test_finds_the_classes(void **state)
{
    (void)state;
    float mean[ARMS], deviation[ARMS];
    double off = 0, first = 0;
    forage_rng rng;
    forage_rng_seed(&rng, 1);
    forage_learner *learner = online_make("latent-class", NULL, &shop, 2);
    ask(learner, 0, mean, deviation);
    assert_true(mean[0] == 0.5F && fabs((double)deviation[0] - sqrt(1. / 12)) < 1e-6); /* the prior */
    traffic(learner, 6000, &rng);
    for (uint32_t user = 0; user < USERS; user++) {
        ask(learner, user, mean, deviation);
        for (size_t a = 0; a < ARMS; a++)
            off += fabs((double)mean[a] - taste[user % CLASSES][a]) / (USERS * ARMS);
    }
    assert_true(off < 0.03);
    /* A new user is the average of all; a few clicks say which one it is. */
    ask(learner, USERS, mean, deviation);
    assert_true(fabs((double)mean[2] - (0.05 + 0.1 + 0.7) / 3) < 0.03);
    assert_true(deviation[2] > 0.2F && deviation[3] < 0.05F); /* classes differ in arm 2, not in arm 3 */
    first = (double)mean[2];
    for (size_t i = 0; i < 4; i++) {
        forage_lesson click = {.user = USERS, .arm = 2, .reward = 1, .weight = 1, .propensity = NAN};
        online_teach(learner, &click);
    }
    ask(learner, USERS, mean, deviation);
    assert_true(first < 0.35 && mean[2] > 0.58F && deviation[2] < 0.05F && mean[0] < 0.1F);
    forage_learner_free(learner);
}

/* A user of whom everything is known changes: 25 visits later that is known, too, and nobody else has suffered. */
static void test_notices_a_change(void **state)
{
    (void)state;
    float mean[ARMS], deviation[ARMS], other[ARMS];
    forage_rng rng;
    forage_rng_seed(&rng, 3);
    forage_learner *learner = online_make("latent-class", NULL, &shop, 2);
    traffic(learner, 5000, &rng);
    for (size_t i = 0; i < 200; i++)
        visit(learner, 0, 0, (uint32_t)forage_rng_integers(&rng, ARMS), &rng);
    ask(learner, 0, mean, deviation);
    ask(learner, 3, other, deviation);
    assert_true(mean[0] > 0.5F && other[0] > 0.5F);
    for (size_t i = 0; i < 25; i++)
        visit(learner, 0, 2, (uint32_t)forage_rng_integers(&rng, ARMS), &rng);
    ask(learner, 0, mean, deviation);
    ask(learner, 3, other, deviation);
    assert_true(mean[0] < 0.2F && mean[2] > 0.5F && other[0] > 0.5F);
    traffic(learner, 2000, &rng); /* and stays so through sweeps: user 0 is of class 0 here again, slowly */
    ask(learner, 3, other, deviation);
    assert_true(other[0] > 0.5F);
    forage_learner_free(learner);
}

/* Where users are not known it is beta-bernoulli. */
static void test_without_users(void **state)
{
    (void)state;
    float mean[ARMS], deviation[ARMS], plain[ARMS], spread[ARMS];
    forage_rng rng;
    forage_rng_seed(&rng, 5);
    forage_learner_shape nobody = {.arms = ARMS, .candidates = ARMS};
    static const char *const fixed[] = {"pool", "false", NULL};
    forage_learner *learner = online_make("latent-class", fixed, &nobody, 2);
    forage_learner *simple = online_make("beta-bernoulli", NULL, &nobody, 2);
    for (size_t i = 0; i < 2000; i++) {
        uint32_t arm = (uint32_t)forage_rng_integers(&rng, ARMS);
        forage_lesson lesson = {.user = FORAGE_NONE, .arm = arm, .weight = 1, .propensity = NAN};
        lesson.reward = (float)forage_rng_double(&rng) * (arm == 1);
        online_teach(learner, &lesson);
        online_teach(simple, &lesson);
    }
    ask(learner, FORAGE_NONE, mean, deviation);
    ask(simple, FORAGE_NONE, plain, spread);
    for (size_t a = 0; a < ARMS; a++) {
        assert_true(fabs((double)(mean[a] - plain[a])) < 1e-5);
        assert_true(fabs((double)(deviation[a] - spread[a])) < 1e-5);
    }
    forage_learner_free(learner);
    forage_learner_free(simple);
}

/* Saved and grown between sweeps and searches, it goes on as if nothing had happened. */
static void test_saved_between_searches(void **state)
{
    (void)state;
    char path[64];
    float left[ARMS], right[ARMS], deviation[ARMS];
    forage_error error = {0};
    forage_rng rng, same;
    forage_learner *learner = online_make("latent-class", NULL, &shop, 9), *loaded;
    snprintf(path, sizeof path, "/tmp/forage-latent-%ld.safetensors", (long)getpid());
    forage_rng_seed(&rng, 6);
    traffic(learner, 3000, &rng);
    must(forage_learner_save(learner, path, &error), &error);
    must(forage_learner_load(path, NULL, &loaded, &error), &error);
    unlink(path);
    must(forage_learner_grow(learner, ARMS, USERS + 500, &error), &error);
    same = rng;
    traffic(learner, 3000, &rng);
    traffic(loaded, 3000, &same);
    for (uint32_t user = 0; user < USERS; user++) {
        ask(learner, user, left, deviation);
        ask(loaded, user, right, deviation);
        assert_memory_equal(left, right, sizeof left);
    }
    forage_learner_free(learner);
    forage_learner_free(loaded);
}

/* ---- in the pet shop ---- */

/* Clicks that Thompson sampling over the categories loses against the oracle in 20,000 visits. */
static double lost_in_the_pet_shop(uint64_t seed)
{
    enum { VISITS = 20000, CATEGORIES = 5 };
    forage_scenario scenario;
    forage_simulator *simulator;
    forage_error error = {0};
    forage_rng rng;
    double lost = 0;
    uint32_t item_of[CATEGORIES], arms[CATEGORIES] = {0, 1, 2, 3, 4};
    must(forage_scenario_load("petshop", &scenario, &error), &error);
    scenario.seed = seed;
    must(forage_simulator_create(&scenario, NULL, &simulator, &error), &error);
    for (uint32_t item = 0; item < forage_simulator_items(simulator); item++)
        item_of[forage_simulator_category(simulator, item)] = item;
    forage_learner_shape shape = {
        .arms = CATEGORIES, .users = forage_simulator_users(simulator), .candidates = CATEGORIES};
    forage_learner *learner = online_make("latent-class", NULL, &shape, seed);
    forage_rng_seed(&rng, seed);
    for (size_t i = 0; i < VISITS; i++) {
        uint32_t user = forage_simulator_visitor(simulator), best = 0;
        forage_candidates all = {CATEGORIES, user, NULL, NULL, arms};
        float values[CATEGORIES];
        forage_learner_draw(learner, &all, &rng, values);
        for (uint32_t a = 1; a < CATEGORIES; a++)
            best = values[a] > values[best] ? a : best;
        forage_lesson lesson = {.user = user, .arm = best, .weight = 1, .propensity = NAN};
        lesson.reward = forage_simulator_click(simulator, user, item_of[best]);
        online_teach(learner, &lesson);
        lost += forage_simulator_probability(simulator, user, forage_simulator_best_item(simulator, user)) -
                forage_simulator_probability(simulator, user, item_of[best]);
    }
    forage_learner_free(learner);
    forage_simulator_free(simulator);
    forage_scenario_release(&scenario);
    return lost;
}

/* Knowing the personas' rates loses about 1,650, showing everybody the best product of all about 4,500. */
static void test_loses_little_in_the_pet_shop(void **state)
{
    (void)state;
    double lost = (lost_in_the_pet_shop(21) + lost_in_the_pet_shop(22) + lost_in_the_pet_shop(23)) / 3;
    print_message("lost %.0f clicks\n", lost);
    assert_true(lost > 1000 && lost < 2400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes_are_those_of_all_paths),
        cmocka_unit_test(test_digamma),
        cmocka_unit_test(test_finds_the_classes),
        cmocka_unit_test(test_notices_a_change),
        cmocka_unit_test(test_without_users),
        cmocka_unit_test(test_saved_between_searches),
        cmocka_unit_test(test_loses_little_in_the_pet_shop),
    };
    return cmocka_run_group_tests_name("latent class", tests, NULL, NULL);
}
