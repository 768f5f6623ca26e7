/*
 * test_checkpoint.c: safetensors there and back, and every way a file can be wrong.
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
#include <string.h>
#include <unistd.h>

#include "nn/nn.h"

static char path[64];

static int setup(void **state)
{
    (void)state;
    return snprintf(path, sizeof path, "test_checkpoint.%ld.safetensors", (long)getpid()) < 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)remove(path);
    return 0;
}

static void save_example(void)
{
    static const float weights[6] = {1.5F, -2.0F, 0.0F, 3.25F, 1e-30F, 7.0F};
    static const int64_t steps[1] = {1234567890123};
    nn_checkpoint *checkpoint = NULL;
    assert_int_equal(nn_checkpoint_create(&checkpoint, NULL), FORAGE_OK);
    assert_int_equal(nn_checkpoint_add(checkpoint, "fc1.weight", NN_F32, 2, (size_t[]){2, 3}, weights, NULL),
                     FORAGE_OK);
    assert_int_equal(nn_checkpoint_add(checkpoint, "empty", NN_F32, 1, (size_t[]){0}, weights, NULL), FORAGE_OK);
    assert_int_equal(nn_checkpoint_add(checkpoint, "step", NN_I64, 0, NULL, steps, NULL), FORAGE_OK);
    assert_int_equal(nn_checkpoint_add(checkpoint, "step", NN_I64, 0, NULL, steps, NULL), FORAGE_INVALID);
    assert_int_equal(nn_checkpoint_set_metadata(checkpoint, "model", "first", NULL), FORAGE_OK);
    assert_int_equal(nn_checkpoint_set_metadata(checkpoint, "model", "Käse \"x\"\n", NULL), FORAGE_OK);
    assert_int_equal(nn_checkpoint_set_metadata(checkpoint, "bad", "\xff", NULL), FORAGE_INVALID);
    assert_int_equal(nn_checkpoint_save(checkpoint, path, NULL), FORAGE_OK);
    nn_checkpoint_free(checkpoint);
}

static void what_is_saved_is_read(void **state)
{
    (void)state;
    save_example();
    nn_checkpoint *checkpoint = NULL;
    forage_error error = {0};
    assert_int_equal(nn_checkpoint_load(path, &checkpoint, &error), FORAGE_OK);
    assert_int_equal(nn_checkpoint_count(checkpoint), 3);
    float weights[6];
    int64_t step = 0;
    assert_int_equal(nn_checkpoint_read_weights(checkpoint, "fc1.weight", 2, (size_t[]){2, 3}, weights, NULL),
                     FORAGE_OK);
    assert_true(weights[3] == 3.25F && weights[4] == 1e-30F);
    assert_int_equal(nn_checkpoint_read(checkpoint, "step", NN_I64, 0, NULL, &step, NULL), FORAGE_OK);
    assert_true(step == 1234567890123);
    assert_string_equal(nn_checkpoint_metadata(checkpoint, "model"), "Käse \"x\"\n");
    assert_null(nn_checkpoint_metadata(checkpoint, "nothing"));

    assert_int_equal(nn_checkpoint_read_weights(checkpoint, "fc1.weight", 2, (size_t[]){3, 2}, weights, &error),
                     FORAGE_FORMAT);
    assert_non_null(strstr(error.message, "[2, 3], not [3, 2]"));
    assert_string_equal(error.field, "fc1.weight");
    assert_string_equal(error.file, path);
    assert_int_equal(nn_checkpoint_read(checkpoint, "step", NN_F32, 0, NULL, weights, &error), FORAGE_FORMAT);
    assert_int_equal(nn_checkpoint_read(checkpoint, "gone", NN_F32, 0, NULL, weights, &error), FORAGE_FORMAT);
    nn_checkpoint_free(checkpoint);
}

static void weights_must_be_finite(void **state)
{
    (void)state;
    float weights[2] = {1.0F, NAN};
    nn_checkpoint *checkpoint = NULL;
    assert_int_equal(nn_checkpoint_create(&checkpoint, NULL), FORAGE_OK);
    assert_int_equal(nn_checkpoint_add(checkpoint, "w", NN_F32, 1, (size_t[]){2}, weights, NULL), FORAGE_OK);
    forage_error error = {0};
    assert_int_equal(nn_checkpoint_read_weights(checkpoint, "w", 1, (size_t[]){2}, weights, &error), FORAGE_FORMAT);
    assert_non_null(strstr(error.message, "number 1"));
    nn_checkpoint_free(checkpoint);
}

/* Tries to read `size` bytes; they are copied, so that the sanitizer sees any step beyond. */
static forage_status parse(const char *bytes, size_t size, forage_error *error)
{
    char *copy = forage_alloc(size ? size : 1, 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    nn_checkpoint *checkpoint = NULL;
    forage_status status = nn_checkpoint_parse(copy, size, "x.safetensors", &checkpoint, error);
    if (status == FORAGE_OK)
        nn_checkpoint_free(checkpoint);
    else
        forage_free(copy);
    return status;
}

static void a_file_cut_at_any_byte_is_refused(void **state)
{
    (void)state;
    save_example();
    char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(forage_read_file(path, 1 << 20, &bytes, &size, NULL), FORAGE_OK);
    for (size_t cut = 0; cut < size; cut++) {
        forage_error error = {0};
        assert_int_equal(parse(bytes, cut, &error), FORAGE_FORMAT);
        assert_true(error.message[0] != '\0');
    }
    assert_int_equal(parse(bytes, size, NULL), FORAGE_OK);
    forage_free(bytes);
}

static void any_changed_byte_is_survived(void **state)
{
    (void)state;
    save_example();
    char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(forage_read_file(path, 1 << 20, &bytes, &size, NULL), FORAGE_OK);
    uint64_t rng = 1;
    for (size_t trial = 0; trial < 3000; trial++) {
        rng = rng * 6364136223846793005U + 1442695040888963407U;
        size_t at = (size_t)(rng >> 20) % size;
        char kept = bytes[at];
        bytes[at] = (char)(rng >> 56);
        (void)parse(bytes, size, NULL);
        bytes[at] = kept;
    }
    forage_free(bytes);
}

static void wrong_headers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } cases[] = {
        {"[]", 0, "not a JSON object"},
        {"{", 0, "not valid JSON"},
        {"{\"a\":1}", 0, "exactly dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}", 4, "exactly dtype"},
        {"{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "unknown dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "whole numbers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, "whole numbers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "do not fit"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]}}", 4, "do not fit"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "hole"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3, "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
         2, "duplicate"},
        {"{}", 4, "behind the last"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "must be a string"},
        {"{\"__metadata__\":[]}", 0, "object of strings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char bytes[512] = {0};
        uint64_t length = strlen(cases[i].header);
        memcpy(bytes, &length, 8);
        memcpy(bytes + 8, cases[i].header, length);
        forage_error error = {0};
        assert_int_equal(parse(bytes, 8 + length + cases[i].data, &error), FORAGE_FORMAT);
        if (!strstr(error.message, cases[i].message))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].header, error.message, cases[i].message);
    }
}

static void nothing_is_left_when_memory_runs_out(void **state)
{
    (void)state;
    save_example();
    for (uint64_t nth = 1; nth < 40; nth++) {
        nn_checkpoint *checkpoint = NULL;
        (void)forage_alloc_fail_at(nth);
        forage_status status = nn_checkpoint_load(path, &checkpoint, NULL);
        (void)forage_alloc_fail_at(0);
        assert_true(status == FORAGE_OK || status == FORAGE_NO_MEMORY);
        assert_true((status == FORAGE_OK) == (checkpoint != NULL));
        nn_checkpoint_free(checkpoint);
    }
}

static void a_folder_that_is_not_there(void **state)
{
    (void)state;
    nn_checkpoint *checkpoint = NULL;
    assert_int_equal(nn_checkpoint_create(&checkpoint, NULL), FORAGE_OK);
    assert_int_equal(nn_checkpoint_save(checkpoint, "no/such/folder/x.safetensors", NULL), FORAGE_IO);
    nn_checkpoint_free(checkpoint);
    assert_int_equal(nn_checkpoint_load("no/such/file", &checkpoint, NULL), FORAGE_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_read),
        cmocka_unit_test(weights_must_be_finite),
        cmocka_unit_test(a_file_cut_at_any_byte_is_refused),
        cmocka_unit_test(any_changed_byte_is_survived),
        cmocka_unit_test(wrong_headers_are_refused),
        cmocka_unit_test(nothing_is_left_when_memory_runs_out),
        cmocka_unit_test(a_folder_that_is_not_there),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, setup, teardown);
}
