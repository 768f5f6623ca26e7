/*
 * What every model of the registry must do. A new model passes here before anything else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fixture.h"
#include "nn/checkpoint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- tables ---- */

static void test_descriptions(void **state)
{
    const char *previous = "";
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        const forage_model_info *info = forage_models(NULL)[m];
        const forage_model_info *found;
        forage_error error = {0};
        assert_true(strcmp(previous, info->name) < 0);
        previous = info->name;
        must(forage_model_find(info->name, &found, &error), &error);
        assert_ptr_equal(found, info);
        assert_true(info->version >= 1 && strlen(info->summary) > 10);
        for (size_t i = 0; i < info->table.count; i++) {
            char possible[200];
            assert_true(strlen(info->table.params[i].doc) > 10);
            assert_true(forage_param_possible(&info->table.params[i], possible, sizeof possible) < sizeof possible);
        }
    }
    forage_error error = {0};
    const forage_model_info *found;
    assert_int_equal(forage_model_find("no such", &found, &error), FORAGE_UNKNOWN);
    assert_non_null(strstr(error.message, "popular"));
}

static void refuse(forage_params *params, const char *name, const char *value)
{
    forage_error error = {0};
    char *before = forage_strdup(forage_params_text(params, name));
    if (forage_params_set(params, name, value, &error) == FORAGE_OK)
        fail_msg("parameter %s took '%s'", name, value);
    clear_message(&error, FORAGE_INVALID);
    assert_non_null(strstr(error.message, "takes"));
    assert_string_equal(forage_params_text(params, name), before);
    forage_free(before);
}

static void test_parameters_out_of_range(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        const forage_model_info *info = forage_models(NULL)[m];
        forage_params *params = short_params(info);
        forage_error error = {0};
        assert_int_equal(forage_params_set(params, "no-such", "1", &error), FORAGE_UNKNOWN);
        for (size_t i = 0; i < info->table.count; i++) {
            const forage_param *param = &info->table.params[i];
            char beyond[40];
            assert_non_null(strstr(error.message, param->name)); /* the list of what there is */
            if (param->type == FORAGE_PARAM_TEXT)
                continue;
            refuse(params, param->name, "nonsense");
            refuse(params, param->name, "1;2");
            if (param->type == FORAGE_PARAM_BOOLEAN || param->type == FORAGE_PARAM_CHOICE) {
                refuse(params, param->name, "");
                continue;
            }
            refuse(params, param->name, "nan");
            refuse(params, param->name, "1e400");
            snprintf(beyond, sizeof beyond, "%.0f", floor(param->maximum * 1.01) + 1);
            refuse(params, param->name, beyond);
            snprintf(beyond, sizeof beyond, "%.0f", ceil(param->minimum - 0.01 * fabs(param->minimum)) - 1);
            refuse(params, param->name, beyond);
        }
        forage_params_free(params);
    }
}

/* ---- fitting, saving, loading ---- */

static void test_same_seed_same_bytes(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        const forage_model_info *info = forage_models(NULL)[m];
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            char *first = NULL;
            size_t first_size = 0;
            for (int threads = 1; threads <= 3; threads++) {
                forage_error error = {0};
                forage_model *model = fit(info, log, 5, threads);
                const char *path = scratch_path("same");
                size_t size;
                must(forage_model_save(model, path, &error), &error);
                char *bytes = slurp(path, &size);
                if (!first) {
                    first = bytes;
                    first_size = size;
                } else {
                    assert_int_equal(size, first_size);
                    assert_memory_equal(bytes, first, size);
                    forage_free(bytes);
                }
                unlink(path);
                forage_model_free(model);
            }
            forage_free(first);
            forage_dataset_free(log);
        }
    }
}

static void test_saved_and_loaded_scores_the_same(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        const forage_model_info *info = forage_models(NULL)[m];
        for (size_t k = 0; k < 3 && fits(info, kinds[k]); k++) {
            static float before[LOG_ROWS], after[LOG_ROWS];
            forage_dataset *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            forage_model *model = fit(info, log, 1, 1), *loaded;
            forage_error error = {0};
            const char *path = scratch_path("saved");
            score_all(model, log, before);
            must(forage_model_save(model, path, &error), &error);
            must(forage_model_load(path, NULL, &loaded, &error), &error);
            assert_ptr_equal(forage_model_info_of(loaded), info);
            assert_int_equal(forage_model_weight_count(loaded), forage_model_weight_count(model));
            assert_int_equal(forage_model_schema(loaded)->field_count, forage_model_schema(model)->field_count);
            score_all(loaded, log, after);
            assert_memory_equal(before, after, sizeof before);
            unlink(path);
            forage_model_free(model);
            forage_model_free(loaded);
            forage_dataset_free(log);
        }
    }
}

static void expect_broken(const char *path)
{
    forage_model *model;
    forage_error error = {0};
    if (forage_model_load(path, NULL, &model, &error) == FORAGE_OK)
        fail_msg("a broken checkpoint was loaded");
    assert_null(model);
    clear_message(&error, FORAGE_FORMAT);
    assert_string_equal(error.file, path);
}

static void test_checkpoint_cut_anywhere(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        if (!fits(forage_models(NULL)[m], LOG_NAMED))
            continue;
        const forage_model_info *info = forage_models(NULL)[m];
        forage_dataset *log = log_create(LOG_NAMED, LOG_USERS, LOG_ITEMS);
        forage_model *model = fit(info, log, 1, 1);
        forage_error error = {0};
        const char *path = scratch_path("cut");
        size_t size;
        must(forage_model_save(model, path, &error), &error);
        forage_free(slurp(path, &size));
        while (size-- > 0) {
            assert_int_equal(truncate(path, (off_t)size), 0);
            expect_broken(path);
        }
        unlink(path);
        forage_model_free(model);
        forage_dataset_free(log);
    }
}

/* Writes `from` again with tensor `which` changed: its first dimension one longer, or its first number NaN or, of whole
 * numbers, the largest there is. */
static void write_changed(const nn_checkpoint *from, size_t which, bool longer, const char *path)
{
    static const char *const keys[] = {"forage.model", "forage.model_version", "forage.parameters", "forage.fields"};
    nn_checkpoint *to;
    forage_error error = {0};
    char *changed = NULL;
    must(nn_checkpoint_create(&to, &error), &error);
    for (size_t i = 0; i < 4; i++)
        must(nn_checkpoint_set_metadata(to, keys[i], nn_checkpoint_metadata(from, keys[i]), &error), &error);
    for (size_t f = 0; f < 20; f++) {
        char key[64];
        for (int codes = 0; codes < 2; codes++) {
            snprintf(key, sizeof key, "forage.field.%zu%s", f, codes ? ".codes" : "");
            if (nn_checkpoint_metadata(from, key))
                must(nn_checkpoint_set_metadata(to, key, nn_checkpoint_metadata(from, key), &error), &error);
        }
    }
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
            else
                memset(changed, 0xFF, nn_dtype_size(tensor.dtype));
            tensor.bytes = (unsigned char *)changed;
        }
        must(nn_checkpoint_add(to, tensor.name, tensor.dtype, tensor.rank, tensor.shape, tensor.bytes, &error), &error);
    }
    must(nn_checkpoint_save(to, path, &error), &error);
    nn_checkpoint_free(to);
    forage_free(changed);
}

/* Claims more codes than there is room for in any memory. */
static void test_endless_codes(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        if (!fits(forage_models(NULL)[m], LOG_NAMED))
            continue;
        forage_dataset *log = log_create(LOG_NUMBERED, LOG_USERS, LOG_ITEMS);
        forage_model *model = fit(forage_models(NULL)[m], log, 1, 1);
        forage_error error = {0};
        const char *path = scratch_path("good"), *bad = scratch_path("bad");
        nn_checkpoint *checkpoint;
        must(forage_model_save(model, path, &error), &error);
        must(nn_checkpoint_load(path, &checkpoint, &error), &error);
        must(nn_checkpoint_set_metadata(checkpoint, "forage.field.0",
                                        "name=item_id\nowner=item\ntype=categorical\nid=true\ncodes=4000000000\n"
                                        "numbered=true\n",
                                        &error),
             &error);
        must(nn_checkpoint_set_metadata(checkpoint, "forage.fields", "1", &error), &error);
        must(nn_checkpoint_save(checkpoint, bad, &error), &error);
        expect_broken(bad);
        nn_checkpoint_free(checkpoint);
        unlink(path);
        unlink(bad);
        forage_model_free(model);
        forage_dataset_free(log);
    }
}

static void test_wrong_shapes_and_numbers(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        if (!fits(forage_models(NULL)[m], LOG_NAMED))
            continue;
        const forage_model_info *info = forage_models(NULL)[m];
        forage_dataset *log = log_create(LOG_NAMED, LOG_USERS, LOG_ITEMS);
        forage_model *model = fit(info, log, 1, 1);
        forage_error error = {0};
        const char *path = scratch_path("good"), *bad = scratch_path("bad");
        nn_checkpoint *checkpoint;
        must(forage_model_save(model, path, &error), &error);
        must(nn_checkpoint_load(path, &checkpoint, &error), &error);
        for (size_t t = 0; t < nn_checkpoint_count(checkpoint); t++) {
            for (int longer = 0; longer < 2; longer++) {
                write_changed(checkpoint, t, longer, bad);
                expect_broken(bad);
            }
        }
        nn_checkpoint_free(checkpoint);
        unlink(path);
        unlink(bad);
        forage_model_free(model);
        forage_dataset_free(log);
    }
}

/* Some bytes of the header changed, again and again: refused in words, or a model that works. */
static void test_damaged_headers(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        if (!fits(forage_models(NULL)[m], LOG_NAMED))
            continue;
        static float mean[LOG_ROWS];
        forage_dataset *log = log_create(LOG_NAMED, LOG_USERS, LOG_ITEMS);
        forage_model *model = fit(forage_models(NULL)[m], log, 1, 1);
        forage_error error = {0};
        forage_rng rng;
        const char *path = scratch_path("damaged");
        size_t size;
        must(forage_model_save(model, path, &error), &error);
        forage_model_free(model);
        char *bytes = slurp(path, &size);
        size_t header = 8 + (size_t)(unsigned char)bytes[0] + 256 * (size_t)(unsigned char)bytes[1];
        forage_rng_seed(&rng, 3);
        for (int round = 0; round < 3000; round++) {
            static const char likely[] = "0123456789-,:=\n\"{}[]%.aeforitux";
            size_t place[3];
            char kept[3];
            int changes = 1 + round % 3;
            for (int i = 0; i < changes; i++) {
                place[i] = forage_rng_integers(&rng, header);
                kept[i] = bytes[place[i]];
                bytes[place[i]] = likely[forage_rng_integers(&rng, sizeof likely - 1)];
            }
            spill(path, bytes, size);
            for (int i = changes; i-- > 0;)
                bytes[place[i]] = kept[i];
            error = (forage_error){0};
            if (forage_model_load(path, NULL, &model, &error) != FORAGE_OK) {
                clear_message(&error, FORAGE_FORMAT);
                continue;
            }
            forage_binding *binding;
            if (forage_model_bind(model, log, FORAGE_UNKNOWN_AVERAGE, NULL, &binding, &error) == FORAGE_OK) {
                must(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), &error);
                for (size_t row = 0; row < LOG_ROWS; row++)
                    assert_false(isnan(mean[row]));
                forage_binding_free(binding);
            }
            forage_model_free(model);
        }
        unlink(path);
        forage_free(bytes);
        forage_dataset_free(log);
    }
}

/* ---- rewards and rows that cannot be ---- */

static void test_rewards_that_cannot_be(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        if (!fits(forage_models(NULL)[m], LOG_NAMED))
            continue;
        const forage_model_info *info = forage_models(NULL)[m];
        forage_split split = log_split();
        for (size_t i = 0; i < 3; i++) {
            forage_dataset *log = log_create(LOG_NUMBERED, LOG_USERS, LOG_ITEMS);
            forage_fit_options options = {.source = "log.csv"};
            forage_model *model;
            forage_error error = {0};
            log->value[41] = bad[i];
            assert_int_not_equal(forage_model_fit(info, NULL, log, &split, &options, NULL, &model, &error), FORAGE_OK);
            assert_null(model);
            clear_message(&error, FORAGE_FORMAT);
            assert_non_null(strstr(error.message, "row 42 "));
            assert_string_equal(error.file, "log.csv");
            forage_dataset_free(log);
        }
        forage_dataset *log = log_create(LOG_NUMBERED, LOG_USERS, LOG_ITEMS);
        forage_model *model;
        forage_error error = {0};
        split.train_count = 0;
        assert_int_not_equal(forage_model_fit(info, NULL, log, &split, NULL, NULL, &model, &error), FORAGE_OK);
        clear_message(&error, FORAGE_FORMAT);
        forage_dataset_free(log);
        log_split_free(&split);
    }
}

/* ---- resuming ---- */

static bool stop_at(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    (void)stage;
    (void)done;
    (void)total;
    (void)note;
    int *left = context;
    return --*left > 0;
}

static void test_resumed_to_the_same_bytes(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        if (!fits(forage_models(NULL)[m], LOG_NAMED))
            continue;
        const forage_model_info *info = forage_models(NULL)[m];
        forage_dataset *log = log_create(LOG_NAMED, LOG_USERS, LOG_ITEMS);
        forage_split split = log_split();
        forage_params *params = short_params(info);
        const char *path = scratch_path("resumed"), *saved_as = scratch_path("whole");
        size_t size, again;
        forage_error error = {0};
        forage_model *model = fit(info, log, 9, 1);
        must(forage_model_save(model, saved_as, &error), &error);
        char *whole = slurp(saved_as, &size);
        forage_model_free(model);
        /* Stopped after each step, and resumed with another number of threads, until it is done. */
        forage_device device;
        must(forage_device_open("auto", 2, &device, &error), &error);
        int left = 1, stops = 0;
        const forage_progress progress = {stop_at, &left};
        forage_fit_options options = {
            .device = &device, .seed = 9, .fields = "all", .progress = &progress, .state_path = path, .resume = true};
        forage_fit_report report = {0};
        forage_status status;
        while ((status = forage_model_fit(info, params, log, &split, &options, &report, &model, &error)) ==
               FORAGE_INTERRUPTED) {
            clear_message(&error, FORAGE_INTERRUPTED);
            assert_int_equal(access(path, F_OK), 0);
            options.seed = 10; /* another fit does not take over this one's state */
            assert_int_equal(forage_model_fit(info, params, log, &split, &options, NULL, &model, &error),
                             FORAGE_INVALID);
            options.seed = 9;
            left = 1 + stops++;
            assert_true(stops < 1000);
            error = (forage_error){0};
        }
        must(status, &error);
        assert_int_equal(report.resumed, stops > 0);
        must(forage_model_save(model, saved_as, &error), &error);
        char *bytes = slurp(saved_as, &again);
        assert_int_equal(again, size);
        assert_memory_equal(bytes, whole, size);
        unlink(path);
        unlink(saved_as);
        forage_free(bytes);
        forage_free(whole);
        forage_fit_report_release(&report);
        forage_model_free(model);
        forage_params_free(params);
        log_split_free(&split);
        forage_dataset_free(log);
    }
}

static void test_broken_state(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        if (!fits(forage_models(NULL)[m], LOG_NAMED))
            continue;
        const forage_model_info *info = forage_models(NULL)[m];
        forage_dataset *log = log_create(LOG_NUMBERED, LOG_USERS, LOG_ITEMS);
        forage_split split = log_split();
        forage_params *params = short_params(info);
        const char *path = scratch_path("state");
        int left = 1;
        const forage_progress progress = {stop_at, &left};
        forage_fit_options options = {.seed = 9, .progress = &progress, .state_path = path};
        forage_error error = {0};
        forage_model *model;
        forage_status status = forage_model_fit(info, params, log, &split, &options, NULL, &model, &error);
        size_t size = 0;
        char *bytes = status == FORAGE_INTERRUPTED ? slurp(path, &size) : NULL;
        forage_model_free(model);
        if (bytes)
            expect_broken(path); /* a state is no model */
        options.resume = true;
        options.progress = NULL;
        for (size_t cut = 0; cut < size; cut += size / 97 + 1) {
            spill(path, bytes, cut);
            error = (forage_error){0};
            assert_int_equal(forage_model_fit(info, params, log, &split, &options, NULL, &model, &error),
                             FORAGE_FORMAT);
            clear_message(&error, FORAGE_FORMAT);
            assert_string_equal(error.file, path);
        }
        unlink(path);
        forage_free(bytes);
        forage_params_free(params);
        log_split_free(&split);
        forage_dataset_free(log);
    }
}

/* ---- memory that runs out ---- */

/* Everything a user does, once. Returns the first failure. */
static forage_status whole_life(const forage_model_info *info, const forage_dataset *log, const forage_split *split,
                                const char *path, forage_error *error)
{
    forage_params *params = NULL;
    forage_model *model = NULL, *loaded = NULL;
    forage_binding *binding = NULL;
    forage_fit_report report = {0};
    forage_seen seen = {0};
    forage_device device;
    forage_status status;
    uint32_t items[3];
    float scores[3];
    size_t found;
    FORAGE_TRY(forage_device_open("auto", 1, &device, error));
    const forage_fit_options options = {.device = &device, .fields = "all", .state_path = path, .state_every = 1};
    FORAGE_TRY_GOTO(forage_params_create(&info->table, &params, error), end);
    if (forage_params_text(params, "epochs"))
        FORAGE_TRY_GOTO(forage_params_set(params, "epochs", "2", error), end);
    FORAGE_TRY_GOTO(forage_model_fit(info, params, log, split, &options, &report, &model, error), end);
    FORAGE_TRY_GOTO(forage_model_save(model, path, error), end);
    FORAGE_TRY_GOTO(forage_model_load(path, &device, &loaded, error), end);
    FORAGE_TRY_GOTO(forage_model_bind(loaded, log, FORAGE_UNKNOWN_ERROR, "log", &binding, error), end);
    FORAGE_TRY_GOTO(forage_seen_create(log, NULL, 0, true, &seen, error), end);
    FORAGE_TRY_GOTO(forage_model_rank(binding, 0, 3, seen.items, seen.offsets[1], items, scores, &found, error), end);
end:
    forage_seen_release(&seen);
    forage_binding_free(binding);
    forage_fit_report_release(&report);
    forage_model_free(loaded);
    forage_model_free(model);
    forage_params_free(params);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        if (!fits(forage_models(NULL)[m], LOG_NAMED))
            continue;
        const forage_model_info *info = forage_models(NULL)[m];
        forage_dataset *log = log_create(LOG_NAMED, LOG_USERS, LOG_ITEMS);
        forage_split split = log_split();
        const char *path = scratch_path("memory");
        forage_error error = {0};
        split.train_count = 80;
        forage_alloc_fail_at(0);
        must(whole_life(info, log, &split, path, &error), &error);
        uint64_t count = forage_alloc_fail_at(0);
        assert_true(count > 10);
        for (uint64_t nth = 1; nth <= count; nth++) {
            error = (forage_error){0};
            forage_alloc_fail_at(nth);
            forage_status status = whole_life(info, log, &split, path, &error);
            forage_alloc_fail_at(0);
            if (status != FORAGE_NO_MEMORY)
                fail_msg("%s: allocation %llu of %llu failed: %s, %s", info->name, (unsigned long long)nth,
                         (unsigned long long)count, forage_status_name(status), error.message);
            clear_message(&error, FORAGE_NO_MEMORY);
        }
        unlink(path);
        log_split_free(&split);
        forage_dataset_free(log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test(test_parameters_out_of_range),
        cmocka_unit_test(test_same_seed_same_bytes),
        cmocka_unit_test(test_saved_and_loaded_scores_the_same),
        cmocka_unit_test(test_checkpoint_cut_anywhere),
        cmocka_unit_test(test_endless_codes),
        cmocka_unit_test(test_wrong_shapes_and_numbers),
        cmocka_unit_test(test_damaged_headers),
        cmocka_unit_test(test_rewards_that_cannot_be),
        cmocka_unit_test(test_resumed_to_the_same_bytes),
        cmocka_unit_test(test_broken_state),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
