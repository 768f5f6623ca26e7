/*
 * golden.h: golden files as JSON, for tests. Include after cmocka.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

/* tests/golden/NAME; fails the test when it cannot be read. json_decref it. `flags` are
 * Jansson's: JSON_DECODE_INT_AS_REAL for a file with whole numbers above 2^63. */
static inline json_t *golden_load(const char *name, size_t flags)
{
    const char *source = getenv("FORAGE_SOURCE");
    char path[1024];
    json_error_t error;
    snprintf(path, sizeof path, "%s/tests/golden/%s", source ? source : ".", name);
    json_t *root = json_load_file(path, flags, &error);
    if (!root)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    return root;
}

static inline const char *golden_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static inline uint64_t golden_whole(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? strtoull(json_string_value(value), NULL, 10) : (uint64_t)json_integer_value(value);
}

#endif
