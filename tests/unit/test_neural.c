/*
 * test_neural.c: neural-linear and neural-ucb at work: what they learn, refits beside the traffic, growth, files,
 * draws.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../must.h"
#include "forage/forage.h"

/* ---- learners at work ---- */

static forage_learner *learner_of(const char *model, const char *const *settings, const forage_learner_shape *shape,
                                  int threads)
{
    const forage_model_info *info;
    forage_params *params;
    forage_device device;
    forage_learner *learner;
    forage_error error = {0};
    must(forage_model_find(model, &info, &error), &error);
    must(forage_params_create(&info->table, &params, &error), &error);
    for (size_t i = 0; settings && settings[i]; i += 2)
        must(forage_params_set(params, settings[i], settings[i + 1], &error), &error);
    must(forage_device_open("auto", threads, &device, &error), &error);
    must(forage_learner_create(info, params, shape, &device, 3, &learner, &error), &error);
    forage_params_free(params);
    return learner;
}

/* Rewards of a few arms and users that no linear model explains: arm 0 pays where x and y have one sign, arm 1
 * where they have not, arm 2 half of the time. */
enum { WORLD_ARMS = 3, WORLD_USERS = 4 };

typedef struct world {
    forage_rng rng;
    float request[3], features[2 * WORLD_ARMS];
    double mean[WORLD_ARMS];
    uint32_t user;
} world;

static const uint32_t world_arms[WORLD_ARMS] = {0, 1, 2};

static void world_next(world *w)
{
    w->request[0] = 1.0F;
    for (size_t i = 1; i < 3; i++)
        w->request[i] = (float)forage_rng_normal(&w->rng);
    for (size_t i = 0; i < 2 * WORLD_ARMS; i++)
        w->features[i] = (float)forage_rng_normal(&w->rng);
    w->user = (uint32_t)forage_rng_integers(&w->rng, WORLD_USERS + 1);
    if (w->user == WORLD_USERS)
        w->user = FORAGE_NONE;
    for (size_t a = 0; a < WORLD_ARMS; a++)
        w->mean[a] = a == 2 ? 0.5 : (w->request[1] * w->request[2] > 0.0F) == (a == 0) ? 0.9 : 0.1;
}

static forage_candidates world_candidates(const world *w, bool features)
{
    return (forage_candidates){.count = WORLD_ARMS,
                               .user = w->user,
                               .request = w->request,
                               .features = features ? w->features : NULL,
                               .arms = world_arms};
}

/* Teaches arm `a` of the request. */
static void world_teach(world *w, forage_learner *learner, uint32_t a)
{
    forage_error error = {0};
    size_t width = forage_learner_shape_of(learner)->candidate_width;
    forage_lesson lesson = {.user = w->user,
                            .arm = a,
                            .request = w->request,
                            .features = width ? w->features + a * width : NULL,
                            .reward = forage_rng_double(&w->rng) < w->mean[a] ? 1.0F : 0.0F,
                            .weight = 1.0F,
                            .propensity = NAN};
    must(forage_learner_learn(learner, &lesson, 1, &error), &error);
}

/* Teaches `count` lessons and sums what was believed before each. */
static double world_run(world *w, forage_learner *learner, size_t count)
{
    double sum = 0.0;
    bool features = forage_learner_shape_of(learner)->candidate_width > 0;
    for (size_t i = 0; i < count; i++) {
        float mean[WORLD_ARMS], deviation[WORLD_ARMS];
        world_next(w);
        forage_candidates candidates = world_candidates(w, features);
        forage_learner_estimate(learner, &candidates, mean, deviation);
        for (size_t a = 0; a < WORLD_ARMS; a++)
            sum += (double)mean[a] + 3.0 * (double)deviation[a];
        world_teach(w, learner, (uint32_t)(i % WORLD_ARMS));
    }
    return sum;
}

static const forage_learner_shape arms_shape = {3, 0, WORLD_ARMS, WORLD_USERS, WORLD_ARMS},
                                  shared_shape = {3, 2, WORLD_ARMS, WORLD_USERS, WORLD_ARMS};

static const char *const models[] = {"neural-linear", "neural-ucb"};

static double regret_of(const char *model, const forage_learner_shape *shape, double width)
{
    forage_learner *learner = learner_of(model, NULL, shape, 1);
    world w = {0};
    double regret = 0.0, uniform = 0.0;
    forage_rng_seed(&w.rng, 21);
    for (size_t i = 0; i < 4000; i++) {
        float mean[WORLD_ARMS], deviation[WORLD_ARMS];
        uint32_t best = 0;
        world_next(&w);
        forage_candidates candidates = world_candidates(&w, shape->candidate_width > 0);
        forage_learner_estimate(learner, &candidates, mean, deviation);
        for (uint32_t a = 0; a < WORLD_ARMS; a++) {
            mean[a] += (float)width * deviation[a];
            best = mean[a] > mean[best] ? a : best;
            uniform += (0.9 - w.mean[a]) / WORLD_ARMS;
        }
        regret += 0.9 - w.mean[best];
        world_teach(&w, learner, best);
    }
    forage_learner_free(learner);
    return 100.0 * regret / uniform;
}

static void what_no_linear_model_learns(void **state)
{
    (void)state;
    double linear = regret_of("linear-ridge", &arms_shape, 0.5);
    assert_true(linear > 50.0);
    for (size_t m = 0; m < 2; m++) {
        double arms = regret_of(models[m], &arms_shape, 0.5), shared = regret_of(models[m], &shared_shape, 0.5);
        printf("# regret, uniform is 100: linear %.1f, %s %.1f, with features of candidates %.1f\n", linear, models[m],
               arms, shared);
        assert_true(arms < 25.0);
        assert_true(shared < 45.0);
    }
}

/* Users whose taste nothing but their own clicks tells: each likes one arm. */
static void what_users_like(void **state)
{
    (void)state;
    enum { PEOPLE = 30, CHOICES = 3, LESSONS = 6000 };
    static const forage_learner_shape shape = {1, 0, CHOICES, PEOPLE, CHOICES};
    static const char *const settings[] = {"user-size", "8", NULL};
    for (size_t m = 0; m < 2; m++) {
        forage_learner *learner = learner_of(models[m], settings, &shape, 1);
        forage_error error = {0};
        forage_rng rng;
        const float bias = 1.0F;
        size_t right = 0;
        forage_rng_seed(&rng, 31);
        for (size_t i = 0; i < LESSONS; i++) {
            uint32_t user = (uint32_t)forage_rng_integers(&rng, PEOPLE), arm = (uint32_t)(i % CHOICES);
            forage_lesson lesson = {.user = user, .arm = arm, .request = &bias, .weight = 1.0F, .propensity = NAN};
            lesson.reward = forage_rng_double(&rng) < (user % CHOICES == arm ? 0.8 : 0.2) ? 1.0F : 0.0F;
            must(forage_learner_learn(learner, &lesson, 1, &error), &error);
        }
        for (uint32_t user = 0; user <= PEOPLE; user++) {
            float mean[CHOICES];
            forage_candidates candidates = {
                .count = CHOICES, .user = user < PEOPLE ? user : FORAGE_NONE, .request = &bias, .arms = world_arms};
            forage_learner_estimate(learner, &candidates, mean, NULL);
            for (size_t a = 0; user == PEOPLE && a < CHOICES; a++) /* nobody in particular */
                assert_true(fabsf(mean[a] - 0.4F) < 0.2F);
            size_t like = user % CHOICES;
            right +=
                user < PEOPLE && mean[like] > mean[(like + 1) % CHOICES] && mean[like] > mean[(like + 2) % CHOICES];
        }
        printf("# %s: %zu of %d users understood\n", models[m], right, PEOPLE);
        assert_true(right >= 25);
        forage_learner_free(learner);
    }
}

static char *slurp(const char *path, size_t *size)
{
    char *bytes = NULL;
    forage_error error = {0};
    must(forage_read_file(path, 1 << 28, &bytes, size, &error), &error);
    return bytes;
}

static const char *scratch_path(const char *name)
{
    static char paths[2][64];
    static size_t turn;
    turn = 1 - turn;
    (void)snprintf(paths[turn], sizeof paths[turn], "/tmp/forage-%ld-%s", (long)getpid(), name);
    return paths[turn];
}

/* What is known, as the bytes of a file. */
static char *known(const forage_learner *learner, size_t *size)
{
    const char *path = scratch_path("known");
    forage_error error = {0};
    must(forage_learner_save(learner, path, &error), &error);
    char *bytes = slurp(path, size);
    unlink(path);
    return bytes;
}

static const char *const few[] = {"refit-every", "64",  "refit-lag", "40", "steps", "60",
                                  "buffer",      "150", "user-size", "4",  NULL};
static const char *const logistic[] = {"refit-every", "64",     "refit-lag", "40",   "steps",
                                       "60",          "buffer", "150",       "loss", "logistic",
                                       "covariance",  "exact",  "layers",    "9,5",  NULL};

static void any_speed_gives_the_same_bytes(void **state)
{
    (void)state;
    for (size_t m = 0; m < 4; m++) {
        const forage_learner_shape *shape = m < 2 ? &arms_shape : &shared_shape;
        double sums[3];
        char *bytes[3];
        size_t size[3];
        for (size_t i = 0; i < 3; i++) {
            const char *settings[32] = {0};
            size_t n = 0;
            const char *const *from = m == 3 ? logistic : few;
            for (; from[n]; n++)
                settings[n] = from[n];
            forage_learner *learner = learner_of(models[m % 2], settings, shape, i == 1 ? 5 : 1);
            world w = {0};
            forage_rng_seed(&w.rng, 4);
            sums[i] = world_run(&w, learner, 700);
            if (i == 2) { /* slowly, so that whatever is trained is trained long before it is used */
                for (size_t step = 0; step < 5; step++) {
                    sums[i] += world_run(&w, learner, 30);
                    usleep(3000);
                }
            } else {
                sums[i] += world_run(&w, learner, 30);
                for (size_t step = 1; step < 5; step++)
                    sums[i] += world_run(&w, learner, 30);
            }
            bytes[i] = known(learner, &size[i]);
            forage_learner_free(learner);
        }
        for (size_t i = 1; i < 3; i++) {
            assert_true(sums[i] == sums[0]);
            assert_int_equal(size[i], size[0]);
            assert_memory_equal(bytes[i], bytes[0], size[0]);
        }
        for (size_t i = 0; i < 3; i++)
            forage_free(bytes[i]);
    }
}

static void in_a_thread_or_not_is_the_same(void **state)
{
    (void)state;
    static const char *const here[] = {"refit-every", "64",         "refit-lag", "40",        "steps", "60", "buffer",
                                       "150",         "background", "false",     "user-size", "4",     NULL};
    for (size_t m = 0; m < 2; m++) {
        double sums[2];
        for (size_t i = 0; i < 2; i++) {
            forage_learner *learner = learner_of(models[m], i ? here : few, &arms_shape, 1);
            world w = {0};
            forage_rng_seed(&w.rng, 5);
            sums[i] = world_run(&w, learner, 1000);
            forage_learner_free(learner);
        }
        assert_true(sums[0] == sums[1]);
    }
}

/* Between the start of a refit and the lesson at which its result is used, all is as if there were none. */
static void nobody_waits_for_a_refit(void **state)
{
    (void)state;
    static const char *const never[] = {"refit-every", "1000000",   "steps", "60", "buffer",
                                        "150",         "user-size", "4",     NULL};
    for (size_t m = 0; m < 2; m++) {
        forage_learner *learner = learner_of(models[m], few, &arms_shape, 1),
                       *other = learner_of(models[m], never, &arms_shape, 1);
        world w = {0}, same = {0};
        forage_rng_seed(&w.rng, 6);
        forage_rng_seed(&same.rng, 6);
        for (size_t i = 0; i < 64 + 40;
             i++) /* the last of these is the first that sees the result, once it is learned */
            assert_true(world_run(&w, learner, 1) == world_run(&same, other, 1));
        assert_true(world_run(&w, learner, 1) != world_run(&same, other, 1));
        forage_learner_free(learner);
        forage_learner_free(other);
    }
}

static void saved_in_the_middle_of_a_refit(void **state)
{
    (void)state;
    for (size_t m = 0; m < 4; m++) {
        const forage_learner_shape *shape = m < 2 ? &arms_shape : &shared_shape;
        forage_learner *learner = learner_of(models[m % 2], m == 3 ? logistic : few, shape, 1), *loaded;
        world w = {0}, same;
        forage_error error = {0};
        const char *path = scratch_path("half");
        forage_rng_seed(&w.rng, 7);
        (void)world_run(&w, learner, 64 * 5 + 20);
        must(forage_learner_save(learner, path, &error), &error);
        must(forage_learner_load(path, NULL, &loaded, &error), &error);
        same = w;
        assert_true(world_run(&w, learner, 500) == world_run(&same, loaded, 500));
        size_t size, again;
        char *bytes = known(learner, &size), *others = known(loaded, &again);
        assert_int_equal(size, again);
        assert_memory_equal(bytes, others, size);
        forage_free(bytes);
        forage_free(others);
        unlink(path);
        forage_learner_free(learner);
        forage_learner_free(loaded);
    }
}

/* Growth does not disturb what is known or under way, and a file of a learner that has grown is read. */
static void grown_in_the_middle_of_a_refit(void **state)
{
    (void)state;
    for (size_t m = 0; m < 4; m++) {
        const forage_learner_shape *shape = m < 2 ? &arms_shape : &shared_shape;
        forage_learner *learner = learner_of(models[m % 2], m == 3 ? logistic : few, shape, 1),
                       *other = learner_of(models[m % 2], m == 3 ? logistic : few, shape, 1), *loaded;
        world w = {0}, same = {0};
        forage_error error = {0};
        const char *path = scratch_path("grown");
        forage_rng_seed(&w.rng, 9);
        forage_rng_seed(&same.rng, 9);
        assert_true(world_run(&w, learner, 64 * 2 + 20) == world_run(&same, other, 64 * 2 + 20));
        must(forage_learner_grow(learner, m == 3 ? 20 : 300, 7, &error), &error);
        double grown = world_run(&w, learner, 600), plain = world_run(&same, other, 600);
        /* More weights change the order of sums, and so their rounding, not more. */
        assert_true(fabs(grown - plain) < 1e-3 * fabs(plain));
        must(forage_learner_save(learner, path, &error), &error);
        must(forage_learner_load(path, NULL, &loaded, &error), &error);
        same = w;
        assert_true(world_run(&w, learner, 200) == world_run(&same, loaded, 200));
        unlink(path);
        forage_learner_free(learner);
        forage_learner_free(other);
        forage_learner_free(loaded);
    }
}

/* Draws of neural-linear have the estimate's mean and deviation; candidates that are the same have the same value. */
static void draws_are_of_the_posterior(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    static const char *const by_arm[] = {"heads", "arms", "refit-every", "64", "steps", "60", NULL};
    for (size_t kind = 0; kind < 3; kind++) {
        const forage_learner_shape *shape = kind == 0 ? &arms_shape : &shared_shape;
        forage_learner *learner = learner_of("neural-linear", kind == 2 ? by_arm : few, shape, 1);
        world w = {0};
        uint32_t arms[WORLD_ARMS] = {1, 0, 1};
        float mean[WORLD_ARMS], deviation[WORLD_ARMS], values[WORLD_ARMS];
        double sum[WORLD_ARMS] = {0}, square[WORLD_ARMS] = {0};
        forage_rng_seed(&w.rng, 10);
        (void)world_run(&w, learner, 150);
        world_next(&w);
        forage_candidates candidates = world_candidates(&w, kind > 0);
        w.features[4] = w.features[0];
        w.features[5] = w.features[1];
        candidates.arms = arms;
        assert_false(forage_learner_draws_normals(learner));
        forage_learner_estimate(learner, &candidates, mean, deviation);
        for (size_t d = 0; d < DRAWS; d++) {
            forage_learner_draw(learner, &candidates, &w.rng, values);
            assert_true(values[0] == values[2] && values[0] != values[1]);
            for (size_t c = 0; c < WORLD_ARMS; c++) {
                double rest = (double)values[c] - (double)mean[c];
                sum[c] += rest;
                square[c] += rest * rest;
            }
        }
        for (size_t c = 0; c < WORLD_ARMS; c++) {
            double spread = (double)deviation[c];
            assert_true(fabs(sum[c] / DRAWS) < 5 * spread / sqrt(DRAWS));
            assert_true(fabs(sqrt(square[c] / DRAWS) - spread) < 0.04 * spread);
        }
        forage_learner_free(learner);
    }
}

static void impossible_settings_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *says;
        forage_learner_shape shape;
    } cases[] = {
        {"refit-lag", "5000", "refit-lag", {3, 0, 2, 0, 2}},
        {"layers", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "16", {3, 0, 2, 0, 2}},
        {"user-size", "0", "no features", {0, 0, 2, 0, 2}},
    };
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const forage_model_info *info;
            forage_params *params;
            forage_learner *learner;
            forage_error error = {0};
            must(forage_model_find(models[m], &info, &error), &error);
            must(forage_params_create(&info->table, &params, &error), &error);
            must(forage_params_set(params, cases[i].name, cases[i].value, &error), &error);
            assert_int_equal(forage_learner_create(info, params, &cases[i].shape, NULL, 1, &learner, &error),
                             FORAGE_INVALID);
            if (!strstr(error.message, cases[i].says))
                fail_msg("%s", error.message);
            forage_params_free(params);
        }
    }
    const forage_model_info *info;
    forage_params *params;
    forage_learner *learner;
    forage_error error = {0};
    forage_learner_shape wide = {20000, 0, 2, 0, 2};
    must(forage_model_find("neural-ucb", &info, &error), &error);
    assert_int_equal(forage_learner_create(info, NULL, &wide, NULL, 1, &learner, &error), FORAGE_INVALID);
    must(forage_params_create(&info->table, &params, &error), &error);
    must(forage_params_set(params, "covariance", "exact", &error), &error);
    must(forage_params_set(params, "layers", "64,64", &error), &error);
    assert_int_equal(forage_learner_create(info, params, &arms_shape, NULL, 1, &learner, &error), FORAGE_INVALID);
    assert_non_null(strstr(error.message, "diagonal"));
    forage_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_linear_model_learns),     cmocka_unit_test(what_users_like),
        cmocka_unit_test(any_speed_gives_the_same_bytes),  cmocka_unit_test(in_a_thread_or_not_is_the_same),
        cmocka_unit_test(nobody_waits_for_a_refit),        cmocka_unit_test(saved_in_the_middle_of_a_refit),
        cmocka_unit_test(grown_in_the_middle_of_a_refit),  cmocka_unit_test(draws_are_of_the_posterior),
        cmocka_unit_test(impossible_settings_are_refused),
    };
    return cmocka_run_group_tests_name("neural", tests, NULL, NULL);
}
