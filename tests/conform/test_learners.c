/*
 * What every model that learns event by event must do. A new one passes here before anything else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fixture.h"
#include "learner_fixture.h"
#include "nn/checkpoint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void teach(forage_learner *learner, const course *from, size_t first, size_t count)
{
    forage_error error = {0};
    must(forage_learner_learn(learner, from->lessons + first, count, &error), &error);
}

/* A learner that was taught all lessons of `seed`. */
static forage_learner *taught(const learner_case *one, uint64_t seed)
{
    static course lessons;
    forage_learner *learner = new_learner(one, &small_shape, seed);
    course_make(&lessons, seed);
    teach(learner, &lessons, 0, LESSONS);
    return learner;
}

static void same_answers(forage_learner *a, forage_learner *b)
{
    answers left, right;
    answer(a, &left);
    answer(b, &right);
    assert_memory_equal(&left, &right, sizeof left);
}

static void close_answers(const answers *a, const answers *b, double tolerance)
{
    for (size_t q = 0; q < QUESTIONS; q++) {
        for (size_t c = 0; c < CANDIDATES; c++) {
            assert_true(fabs((double)(a->mean[q][c] - b->mean[q][c])) < tolerance);
            assert_true(fabs((double)(a->deviation[q][c] - b->deviation[q][c])) < tolerance);
        }
    }
}

/* ---- the same lessons, the same bytes ---- */

static void test_same_lessons_same_bytes(void **state)
{
    (void)state;
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        static course lessons;
        course_make(&lessons, 4);
        forage_learner *whole = taught(one, 4), *parts = new_learner(one, &small_shape, 4);
        answers none, some;
        answer(parts, &none);
        for (size_t i = 0; i < LESSONS; i += 10) {
            answers between;
            teach(parts, &lessons, i, 10);
            answer(parts, &between); /* asking changes nothing */
        }
        answer(parts, &some);
        assert_memory_not_equal(&none, &some, sizeof none); /* it did learn */
        same_answers(whole, parts);
        forage_rng rng, again;
        float first[CANDIDATES], second[CANDIDATES];
        question asked;
        forage_rng_seed(&rng, 1);
        forage_rng_seed(&again, 1);
        question_make(&asked, 3);
        forage_learner_draw(whole, &asked.candidates, &rng, first);
        forage_learner_draw(parts, &asked.candidates, &again, second);
        assert_memory_equal(first, second, sizeof first);
        assert_true(forage_learner_memory(whole) > 100);
        forage_learner_free(whole);
        forage_learner_free(parts);
    }
}

/* ---- what is refused changes nothing ---- */

static void expect_refused(forage_learner *learner, const forage_lesson *lesson, const char *says)
{
    static course lessons;
    answers before, after;
    forage_lesson list[3];
    forage_error error = {0};
    course_make(&lessons, 8);
    list[0] = lessons.lessons[0];
    list[1] = lessons.lessons[1];
    list[2] = *lesson;
    answer(learner, &before);
    assert_int_equal(forage_learner_learn(learner, list, 3, &error), FORAGE_INVALID);
    clear_message(&error, FORAGE_INVALID);
    assert_non_null(strstr(error.message, says));
    assert_non_null(strstr(error.message, "lesson 2"));
    answer(learner, &after);
    assert_memory_equal(&before, &after, sizeof before);
}

static void test_refused_lessons_change_nothing(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 2e9F, -2e9F};
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        forage_learner *learner = taught(one, 2);
        static course lessons;
        course_make(&lessons, 9);
        for (size_t b = 0; b < 5; b++) {
            forage_lesson lesson = lessons.lessons[0];
            lesson.reward = bad[b];
            expect_refused(learner, &lesson, "reward");
            lesson = lessons.lessons[0];
            lesson.weight = bad[b];
            expect_refused(learner, &lesson, "weight");
            lesson = lessons.lessons[0];
            float request[REQUEST_WIDTH] = {1, 0, bad[b], 0}, features[CANDIDATE_WIDTH] = {1, bad[b], 0};
            lesson.request = request;
            expect_refused(learner, &lesson, "request feature 2");
            lesson = lessons.lessons[0];
            lesson.features = features;
            expect_refused(learner, &lesson, "candidate feature 1");
        }
        static const float weights[] = {0, -1}, propensities[] = {0, -0.5F, 1.5F, INFINITY};
        for (size_t b = 0; b < 2; b++) {
            forage_lesson lesson = lessons.lessons[0];
            lesson.weight = weights[b];
            expect_refused(learner, &lesson, "weight");
        }
        for (size_t b = 0; b < 4; b++) {
            forage_lesson lesson = lessons.lessons[0];
            lesson.propensity = propensities[b];
            expect_refused(learner, &lesson, "propensity");
        }
        static const uint32_t arms[] = {ARMS, FORAGE_NONE};
        for (size_t b = 0; b < 2; b++) {
            forage_lesson lesson = lessons.lessons[0];
            lesson.arm = arms[b];
            expect_refused(learner, &lesson, "arm");
        }
        forage_lesson lesson = lessons.lessons[0];
        lesson.user = USERS;
        expect_refused(learner, &lesson, "user");
        forage_learner_free(learner);
    }
}

/* ---- growth ---- */

static void test_growth(void **state)
{
    (void)state;
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        static course lessons;
        course_make(&lessons, 5);
        forage_learner_shape more = small_shape;
        more.arms += 3;
        more.users += 2;
        forage_learner *grown = new_learner(one, &small_shape, 5), *large = new_learner(one, &more, 5);
        forage_error error = {0};
        assert_int_equal(forage_learner_grow(grown, ARMS - 1, USERS, &error), FORAGE_INVALID);
        clear_message(&error, FORAGE_INVALID);
        assert_int_equal(forage_learner_grow(grown, ARMS, (size_t)FORAGE_NONE + 5, &error), FORAGE_INVALID);
        must(forage_learner_grow(grown, ARMS, USERS, &error), &error);
        must(forage_learner_grow(grown, ARMS + 3, USERS + 2, &error), &error);
        assert_int_equal(forage_learner_shape_of(grown)->arms, ARMS + 3);
        assert_int_equal(forage_learner_shape_of(grown)->users, USERS + 2);
        /* Grown at the start is as good as made so. */
        lessons.lessons[7].arm = ARMS + 2;
        lessons.lessons[8].user = USERS + 1;
        teach(grown, &lessons, 0, LESSONS);
        teach(large, &lessons, 0, LESSONS);
        same_answers(grown, large);
        /* What is known stays known, whatever comes to it. */
        answers before, after;
        answer(grown, &before);
        must(forage_learner_grow(grown, 10 * ARMS, 20 * USERS, &error), &error);
        answer(grown, &after);
        close_answers(&before, &after, 1e-6);
        lessons.lessons[7].arm = 10 * ARMS - 1;
        lessons.lessons[8].user = 20 * USERS - 1;
        teach(grown, &lessons, 0, LESSONS);
        forage_learner_free(grown);
        forage_learner_free(large);
    }
}

/* ---- checkpoints ---- */

static void test_saved_and_loaded(void **state)
{
    (void)state;
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        static course lessons;
        const char *path = scratch_path("learner"), *second = scratch_path("again");
        forage_error error = {0};
        forage_learner *learner = taught(one, 6), *loaded;
        must(forage_learner_save(learner, path, &error), &error);
        must(forage_learner_load(path, NULL, &loaded, &error), &error);
        assert_ptr_equal(forage_learner_info_of(loaded), one->info);
        assert_memory_equal(forage_learner_shape_of(loaded), &small_shape, sizeof small_shape);
        same_answers(learner, loaded);
        size_t size, again;
        must(forage_learner_save(loaded, second, &error), &error);
        char *bytes = slurp(path, &size), *others = slurp(second, &again);
        assert_int_equal(size, again);
        assert_memory_equal(bytes, others, size);
        /* And goes on like the one that was never saved. */
        course_make(&lessons, 7);
        teach(learner, &lessons, 0, LESSONS);
        teach(loaded, &lessons, 0, LESSONS);
        same_answers(learner, loaded);
        forage_model *model;
        assert_int_equal(forage_model_load(path, NULL, &model, &error), FORAGE_FORMAT);
        clear_message(&error, FORAGE_FORMAT);
        unlink(path);
        unlink(second);
        forage_free(bytes);
        forage_free(others);
        forage_learner_free(learner);
        forage_learner_free(loaded);
    }
}

static void expect_broken(const char *path)
{
    forage_learner *learner;
    forage_error error = {0};
    assert_int_equal(forage_learner_load(path, NULL, &learner, &error), FORAGE_FORMAT);
    assert_null(learner);
    clear_message(&error, FORAGE_FORMAT);
    assert_string_equal(error.file, path);
}

static void test_file_cut_anywhere(void **state)
{
    (void)state;
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        const char *path = scratch_path("cut");
        forage_error error = {0};
        forage_learner *learner = taught(one, 6);
        size_t size;
        must(forage_learner_save(learner, path, &error), &error);
        char *bytes = slurp(path, &size);
        for (size_t cut = 0; cut < size; cut += size / 211 + 1) {
            spill(path, bytes, cut);
            expect_broken(path);
        }
        unlink(path);
        forage_free(bytes);
        forage_learner_free(learner);
    }
}

/* The checkpoint with tensor `which` one longer, or with a number that is none; or with other sizes. */
static void write_changed(const nn_checkpoint *from, size_t which, bool longer, const char *shape, const char *path)
{
    static const char *const keys[] = {"forage.model", "forage.model_version", "forage.parameters", "forage.learner",
                                       "forage.learner.seed"};
    nn_checkpoint *to;
    char *changed = NULL;
    forage_error error = {0};
    must(nn_checkpoint_create(&to, &error), &error);
    for (size_t k = 0; k < 5; k++)
        must(nn_checkpoint_set_metadata(to, keys[k], nn_checkpoint_metadata(from, keys[k]), &error), &error);
    if (shape)
        must(nn_checkpoint_set_metadata(to, "forage.learner", shape, &error), &error);
    for (size_t t = 0; t < nn_checkpoint_count(from); t++) {
        nn_tensor tensor = *nn_checkpoint_at(from, t);
        if (t == which && tensor.size) {
            changed = forage_calloc(2 * tensor.size + 16, 1);
            memcpy(changed, tensor.bytes, tensor.size);
            if (longer)
                tensor.shape[0]++;
            else if (tensor.dtype == NN_F32)
                memcpy(changed, &(float){NAN}, sizeof(float));
            else if (tensor.dtype == NN_F64)
                memcpy(changed, &(double){NAN}, sizeof(double));
            tensor.bytes = (unsigned char *)changed;
        }
        must(nn_checkpoint_add(to, tensor.name, tensor.dtype, tensor.rank, tensor.shape, tensor.bytes, &error), &error);
    }
    must(nn_checkpoint_save(to, path, &error), &error);
    nn_checkpoint_free(to);
    forage_free(changed);
}

static void test_hostile_files(void **state)
{
    (void)state;
    static const char *const shapes[] = {
        "request-width=4\ncandidate-width=3\narms=4000000000\nusers=5\ncandidates=9\n",
        "request-width=4\ncandidate-width=3\narms=6\nusers=5\ncandidates=0\n",
        "request-width=4\ncandidate-width=3\narms=6\nusers=5\n",
        "request-width=4\ncandidate-width=-3\narms=6\nusers=5\ncandidates=9\n",
        "request-width=4\ncandidate-width=4000000\narms=6\nusers=5\ncandidates=9\n",
    };
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        const char *path = scratch_path("good"), *bad = scratch_path("bad");
        forage_error error = {0};
        forage_learner *learner = taught(one, 6);
        nn_checkpoint *checkpoint;
        must(forage_learner_save(learner, path, &error), &error);
        must(nn_checkpoint_load(path, &checkpoint, &error), &error);
        for (size_t t = 0; t < nn_checkpoint_count(checkpoint); t++) {
            const nn_tensor *tensor = nn_checkpoint_at(checkpoint, t);
            write_changed(checkpoint, t, true, NULL, bad);
            expect_broken(bad);
            if (tensor->dtype == NN_F32 || tensor->dtype == NN_F64) {
                write_changed(checkpoint, t, false, NULL, bad);
                expect_broken(bad);
            }
        }
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            forage_learner *vast;
            write_changed(checkpoint, SIZE_MAX, false, shapes[s], bad);
            /* A model that keeps nothing for each arm may have any number of them. */
            if (s == 0 && forage_learner_load(bad, NULL, &vast, NULL) == FORAGE_OK) {
                assert_true(forage_learner_memory(vast) < 1000000);
                forage_learner_free(vast);
            } else {
                expect_broken(bad);
            }
        }
        nn_checkpoint_free(checkpoint);
        unlink(path);
        unlink(bad);
        forage_learner_free(learner);
    }
}

/* ---- taking back, adding ---- */

static void test_forget(void **state)
{
    (void)state;
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        static course lessons, others;
        forage_error error = {0};
        forage_learner *learner = taught(one, 3), *never = new_learner(one, &small_shape, 3);
        course_make(&lessons, 3);
        course_make(&others, 13);
        forage_status status = forage_learner_forget(learner, &lessons.lessons[LESSONS - 1], &error);
        if (status == FORAGE_UNSUPPORTED) {
            clear_message(&error, FORAGE_UNSUPPORTED);
        } else {
            answers left, right;
            must(status, &error);
            teach(learner, &others, 0, LESSONS);
            for (size_t i = 40; i < LESSONS - 1; i++)
                must(forage_learner_forget(learner, &lessons.lessons[i], &error), &error);
            teach(never, &lessons, 0, 40);
            teach(never, &others, 0, LESSONS);
            answer(learner, &left);
            answer(never, &right);
            close_answers(&left, &right, 1e-4);
            forage_lesson bad = lessons.lessons[0];
            bad.reward = NAN;
            assert_int_equal(forage_learner_forget(learner, &bad, &error), FORAGE_INVALID);
            clear_message(&error, FORAGE_INVALID);
        }
        forage_learner_free(learner);
        forage_learner_free(never);
    }
}

static void test_merge(void **state)
{
    (void)state;
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        static course lessons;
        forage_error error = {0};
        forage_learner *here = new_learner(one, &small_shape, 3);
        forage_learner *there = new_learner(one, &small_shape, 3);
        course_make(&lessons, 3);
        teach(here, &lessons, 0, 80);
        teach(there, &lessons, 80, LESSONS - 80);
        forage_status status = forage_learner_merge(here, there, &error);
        if (status == FORAGE_UNSUPPORTED) {
            clear_message(&error, FORAGE_UNSUPPORTED);
        } else {
            answers left, right;
            must(status, &error);
            forage_learner *all = taught(one, 3);
            answer(here, &left);
            answer(all, &right);
            if (!one->fades)
                close_answers(&left, &right, 1e-4);
            forage_learner_shape other = small_shape;
            other.arms++;
            forage_learner *odd = new_learner(one, &other, 3);
            assert_int_equal(forage_learner_merge(here, odd, &error), FORAGE_INVALID);
            clear_message(&error, FORAGE_INVALID);
            assert_int_equal(forage_learner_merge(here, here, &error), FORAGE_INVALID);
            forage_learner_free(odd);
            forage_learner_free(all);
        }
        forage_learner_free(here);
        forage_learner_free(there);
    }
}

/* ---- draws ---- */

/* Mean and spread of many draws are the estimate's, where the model says that draws are normal. */
static void test_draws(void **state)
{
    enum { DRAWS = 4000 };
    (void)state;
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        forage_learner *learner = taught(one, 11);
        question asked;
        forage_rng rng;
        float mean[CANDIDATES], deviation[CANDIDATES], values[CANDIDATES];
        double sum[CANDIDATES] = {0}, square[CANDIDATES] = {0};
        question_make(&asked, 3);
        forage_rng_seed(&rng, 5);
        forage_learner_estimate(learner, &asked.candidates, mean, deviation);
        for (size_t i = 0; i < DRAWS; i++) {
            forage_learner_draw(learner, &asked.candidates, &rng, values);
            for (size_t c = 0; c < CANDIDATES; c++) {
                assert_true(isfinite(values[c]));
                sum[c] += (double)values[c];
                square[c] += (double)values[c] * (double)values[c];
            }
        }
        for (size_t c = 0; forage_learner_draws_normals(learner) && c < CANDIDATES; c++) {
            double spread = (double)deviation[c], middle = sum[c] / DRAWS;
            assert_true(fabs(middle - (double)mean[c]) <= 5 * spread / sqrt(DRAWS) + 1e-6);
            assert_true(fabs(sqrt(fmax(square[c] / DRAWS - middle * middle, 0)) - spread) <= 0.06 * spread + 1e-6);
        }
        forage_learner_free(learner);
    }
}

/* ---- nothing is allocated at work; what is allocated may fail ---- */

static void test_work_allocates_nothing(void **state)
{
    (void)state;
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        static course lessons;
        forage_learner *learner = taught(one, 4);
        question asked;
        forage_rng rng;
        float mean[CANDIDATES], deviation[CANDIDATES];
        forage_error error = {0};
        course_make(&lessons, 4);
        question_make(&asked, 4);
        forage_rng_seed(&rng, 1);
        (void)forage_alloc_fail_at(0);
        forage_learner_estimate(learner, &asked.candidates, mean, deviation);
        forage_learner_estimate(learner, &asked.candidates, mean, NULL);
        forage_learner_draw(learner, &asked.candidates, &rng, mean);
        must(forage_learner_learn(learner, lessons.lessons, LESSONS, &error), &error);
        assert_int_equal(forage_alloc_fail_at(0), 0);
        forage_learner_free(learner);
    }
}

static forage_status whole_life(const learner_case *one, const char *path, forage_error *error)
{
    static course lessons;
    forage_learner *learner = NULL, *loaded = NULL;
    forage_device device;
    forage_status status;
    course_make(&lessons, 1);
    FORAGE_TRY(forage_device_open("auto", 1, &device, error));
    forage_params *params = NULL;
    FORAGE_TRY_GOTO(forage_params_create(&one->info->table, &params, error), end);
    for (size_t i = 0; i < 4 && one->settings[i][0]; i++)
        FORAGE_TRY_GOTO(forage_params_set(params, one->settings[i][0], one->settings[i][1], error), end);
    FORAGE_TRY_GOTO(forage_learner_create(one->info, params, &small_shape, &device, 1, &learner, error), end);
    FORAGE_TRY_GOTO(forage_learner_learn(learner, lessons.lessons, LESSONS, error), end);
    FORAGE_TRY_GOTO(forage_learner_save(learner, path, error), end);
    answers before, after;
    answer(learner, &before);
    status = forage_learner_grow(learner, 50 * ARMS, 50 * USERS, error);
    answer(learner, &after);
    close_answers(&before, &after, 1e-6);
    if (status != FORAGE_OK) { /* all is as it was, and it goes on */
        assert_int_equal(forage_learner_shape_of(learner)->arms, ARMS);
        assert_memory_equal(&before, &after, sizeof before);
        assert_int_equal(forage_learner_learn(learner, lessons.lessons, 5, NULL), FORAGE_OK);
        goto end;
    }
    FORAGE_TRY_GOTO(forage_learner_load(path, &device, &loaded, error), end);
end:
    forage_params_free(params);
    forage_learner_free(learner);
    forage_learner_free(loaded);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        const char *path = scratch_path("memory");
        forage_error error = {0};
        forage_alloc_fail_at(0);
        must(whole_life(one, path, &error), &error);
        uint64_t count = forage_alloc_fail_at(0);
        assert_true(count > 10);
        for (uint64_t nth = 1; nth <= count; nth++) {
            error = (forage_error){0};
            forage_alloc_fail_at(nth);
            forage_status status = whole_life(one, path, &error);
            forage_alloc_fail_at(0);
            if (status != FORAGE_NO_MEMORY)
                fail_msg("%s: allocation %llu of %llu failed: %s, %s", case_name(one), (unsigned long long)nth,
                         (unsigned long long)count, forage_status_name(status), error.message);
            clear_message(&error, FORAGE_NO_MEMORY);
        }
        unlink(path);
    }
}

/* ---- what does not go together ---- */

static void test_shapes_and_models_that_cannot_be(void **state)
{
    (void)state;
    const forage_model_info *popular;
    forage_learner *learner;
    forage_error error = {0};
    must(forage_model_find("popular", &popular, &error), &error);
    assert_int_equal(forage_learner_create(popular, NULL, &small_shape, NULL, 0, &learner, &error), FORAGE_UNSUPPORTED);
    clear_message(&error, FORAGE_UNSUPPORTED);
    assert_null(learner);
    forage_learner_free(NULL);
    for (size_t m = 0; true;) {
        const learner_case *one = next_case(&m);
        if (!one)
            break;
        forage_learner_shape shape = small_shape;
        forage_params *params;
        shape.candidates = 0;
        assert_int_equal(forage_learner_create(one->info, NULL, &shape, NULL, 0, &learner, &error), FORAGE_INVALID);
        clear_message(&error, FORAGE_INVALID);
        shape = small_shape;
        shape.arms = (size_t)FORAGE_NONE + 1;
        assert_int_equal(forage_learner_create(one->info, NULL, &shape, NULL, 0, &learner, &error), FORAGE_INVALID);
        clear_message(&error, FORAGE_INVALID);
        must(forage_params_create(&popular->table, &params, &error), &error);
        assert_int_equal(forage_learner_create(one->info, params, &small_shape, NULL, 0, &learner, &error),
                         FORAGE_INVALID);
        clear_message(&error, FORAGE_INVALID);
        forage_params_free(params);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_lessons_same_bytes),
        cmocka_unit_test(test_refused_lessons_change_nothing),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_saved_and_loaded),
        cmocka_unit_test(test_file_cut_anywhere),
        cmocka_unit_test(test_hostile_files),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_work_allocates_nothing),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_shapes_and_models_that_cannot_be),
    };
    return cmocka_run_group_tests_name("learners", tests, NULL, NULL);
}
