/*
 * What every model that can take in new users and items must do; the others must say that they cannot.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FEW_USERS = 10, FEW_ITEMS = 6 };

/* A model that was fitted on few users and items; NULL for one that cannot, or does not extend. */
static forage_model *small_model(const forage_model_info *info, log_kind kind, int threads)
{
    forage_error error = {0};
    forage_model *more;
    if (!fits(info, kind))
        return NULL;
    forage_dataset *few = log_create(kind, FEW_USERS, FEW_ITEMS);
    forage_model *model = fit(info, few, 5, threads);
    forage_status status = forage_model_extend(model, few, NULL, 0, "log", &more, &error);
    forage_dataset_free(few);
    assert_int_equal(status == FORAGE_OK, (forage_model_capabilities(info) & FORAGE_CAN_EXTEND) != 0);
    if (status == FORAGE_OK) {
        forage_model_free(more);
        return model;
    }
    assert_int_equal(status, FORAGE_UNSUPPORTED);
    clear_message(&error, FORAGE_UNSUPPORTED);
    assert_non_null(strstr(error.message, info->name));
    assert_null(more);
    forage_model_free(model);
    return NULL;
}

static void check_scores(const forage_model *model, const forage_dataset *log)
{
    float mean[LOG_ROWS];
    forage_error error = {0};
    forage_binding *binding = bind_to(model, log, FORAGE_UNKNOWN_ERROR);
    must(forage_model_score(binding, all_rows(), LOG_ROWS, mean, NULL, &error), &error);
    for (size_t i = 0; i < LOG_ROWS; i++)
        assert_true(isfinite(mean[i]));
    forage_binding_free(binding);
}

static void test_everyone_is_known(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        for (size_t k = 0; k < 3; k++) {
            forage_model *model = small_model(forage_models(NULL)[m], kinds[k], 1), *more;
            forage_error error = {0};
            if (!model)
                continue;
            forage_dataset *few = log_create(kinds[k], FEW_USERS, FEW_ITEMS),
                           *log = log_create(kinds[k], LOG_USERS, LOG_ITEMS);
            must(forage_model_extend(model, log, NULL, 0, NULL, &more, &error), &error);
            assert_ptr_equal(forage_model_info_of(more), forage_model_info_of(model));
            check_scores(more, log);
            check_scores(more, few);
            forage_model_free(model); /* the new one stands alone */
            check_scores(more, log);
            forage_model_free(more);
            forage_dataset_free(few);
            forage_dataset_free(log);
        }
    }
}

/* The bytes of what a model becomes on so many threads, extended and fitted again. */
static char *bytes_after(const forage_model_info *info, log_kind kind, int threads, size_t *size)
{
    forage_model *model = small_model(info, kind, threads), *more, *refit;
    forage_error error = {0};
    if (!model)
        return NULL;
    forage_dataset *log = log_create(kind, LOG_USERS, LOG_ITEMS);
    forage_split split = log_split();
    forage_params *params = short_params(info);
    forage_device device;
    const char *path = scratch_path("extended");
    must(forage_device_open("auto", threads, &device, &error), &error);
    must(forage_model_extend(model, log, NULL, 0, NULL, &more, &error), &error);
    const forage_fit_options options = {.device = &device, .start = more};
    must(forage_model_fit(info, params, log, &split, &options, NULL, &refit, &error), &error);
    must(forage_model_save(refit, path, &error), &error);
    char *bytes = slurp(path, size);
    unlink(path);
    forage_params_free(params);
    log_split_free(&split);
    forage_model_free(refit);
    forage_model_free(more);
    forage_model_free(model);
    forage_dataset_free(log);
    return bytes;
}

static void test_same_bytes(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        size_t size, first_size;
        char *first = bytes_after(forage_models(NULL)[m], LOG_NAMED, 1, &first_size);
        for (int threads = 2; first && threads <= 3; threads++) {
            char *bytes = bytes_after(forage_models(NULL)[m], LOG_NAMED, threads, &size);
            assert_int_equal(size, first_size);
            assert_memory_equal(bytes, first, size);
            forage_free(bytes);
        }
        forage_free(first);
    }
}

static forage_status extend_and_refit(const forage_model *model, const forage_dataset *log, const forage_split *split,
                                      forage_error *error)
{
    forage_model *more = NULL, *refit = NULL;
    const forage_fit_options options = {.device = forage_model_device(model), .start = model};
    forage_status status = forage_model_extend(model, log, NULL, 0, NULL, &more, error);
    if (status == FORAGE_OK)
        status = forage_model_fit(forage_model_info_of(model), forage_model_params(model), log, split, &options, NULL,
                                  &refit, error);
    forage_model_free(more);
    forage_model_free(refit);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t m = 0; m < model_count(); m++) {
        forage_model *model = small_model(forage_models(NULL)[m], LOG_NAMED, 1);
        forage_error error = {0};
        if (!model)
            continue;
        forage_dataset *log = log_create(LOG_NAMED, LOG_USERS, LOG_ITEMS);
        forage_split split = log_split();
        split.train_count = 80;
        split.validation_count = 20;
        forage_alloc_fail_at(0);
        must(extend_and_refit(model, log, &split, &error), &error);
        uint64_t count = forage_alloc_fail_at(0);
        assert_true(count > 10);
        for (uint64_t nth = 1; nth <= count; nth++) {
            error = (forage_error){0};
            forage_alloc_fail_at(nth);
            forage_status status = extend_and_refit(model, log, &split, &error);
            forage_alloc_fail_at(0);
            if (status != FORAGE_NO_MEMORY)
                fail_msg("%s: allocation %llu of %llu failed: %s, %s", forage_model_info_of(model)->name,
                         (unsigned long long)nth, (unsigned long long)count, forage_status_name(status), error.message);
            clear_message(&error, FORAGE_NO_MEMORY);
        }
        log_split_free(&split);
        forage_dataset_free(log);
        forage_model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everyone_is_known),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("extending", tests, NULL, NULL);
}
