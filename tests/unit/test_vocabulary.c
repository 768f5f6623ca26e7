/*
 * base: vocabularies, against a list that is searched from the start.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint32_t add(forage_vocabulary *vocabulary, const char *id)
{
    uint32_t index = FORAGE_NONE;
    assert_int_equal(forage_vocabulary_add(vocabulary, id, strlen(id), &index, NULL), FORAGE_OK);
    return index;
}

static uint32_t find(const forage_vocabulary *vocabulary, const char *id)
{
    return forage_vocabulary_find(vocabulary, id, strlen(id));
}

static void assert_id(const forage_vocabulary *vocabulary, uint32_t index, const char *id)
{
    char buffer[24];
    size_t length = 0;
    const char *found = forage_vocabulary_id(vocabulary, index, buffer, &length);
    assert_string_equal(found, id);
    assert_int_equal(length, strlen(id));
}

static forage_vocabulary *fresh(void)
{
    forage_vocabulary *vocabulary = NULL;
    assert_int_equal(forage_vocabulary_create(&vocabulary, NULL), FORAGE_OK);
    assert_int_equal(forage_vocabulary_count(vocabulary), 0);
    return vocabulary;
}

static void test_strings(void **state)
{
    (void)state;
    forage_vocabulary *vocabulary = fresh();
    static const char *const ids[] = {"anna", "007", "7", "", "7.0", "-1", "4294967295", "99999999999999999999", "bo"};
    for (uint32_t i = 0; i < 9; i++)
        assert_int_equal(add(vocabulary, ids[i]), i);
    for (uint32_t i = 0; i < 9; i++) {
        assert_int_equal(add(vocabulary, ids[i]), i);
        assert_int_equal(find(vocabulary, ids[i]), i);
        assert_id(vocabulary, i, ids[i]);
    }
    assert_int_equal(find(vocabulary, "07"), FORAGE_NONE);
    assert_int_equal(forage_vocabulary_find(vocabulary, "anna\0", 5), FORAGE_NONE);
    assert_false(forage_vocabulary_numbered(vocabulary));
    uint32_t *map = NULL;
    assert_int_equal(forage_vocabulary_number(vocabulary, &map, NULL), FORAGE_OK);
    assert_null(map);
    assert_int_equal(forage_vocabulary_count(vocabulary), 9);
    forage_vocabulary_free(vocabulary);
    forage_vocabulary_free(NULL);
}

static void test_numbering(void **state)
{
    (void)state;
    forage_vocabulary *vocabulary = fresh();
    uint32_t *map = NULL;
    assert_int_equal(add(vocabulary, "5"), 0);
    assert_int_equal(add(vocabulary, "900"), 1);
    assert_int_equal(add(vocabulary, "0"), 2);
    assert_false(forage_vocabulary_numbered(vocabulary));
    assert_int_equal(forage_vocabulary_number(vocabulary, &map, NULL), FORAGE_OK);
    assert_non_null(map);
    assert_int_equal(map[0], 5);
    assert_int_equal(map[1], 900);
    assert_int_equal(map[2], 0);
    forage_free(map);
    assert_true(forage_vocabulary_numbered(vocabulary));
    assert_int_equal(forage_vocabulary_count(vocabulary), 901);
    assert_int_equal(find(vocabulary, "17"), 17);
    assert_int_equal(add(vocabulary, "900"), 900);
    assert_int_equal(add(vocabulary, "901"), 901);
    assert_true(forage_vocabulary_numbered(vocabulary));
    assert_int_equal(add(vocabulary, "1000"), 902); /* a gap: no longer index == number */
    assert_false(forage_vocabulary_numbered(vocabulary));
    assert_int_equal(find(vocabulary, "17"), 17);
    assert_int_equal(add(vocabulary, "dog"), 903);
    assert_int_equal(find(vocabulary, "901"), 901);
    assert_int_equal(find(vocabulary, "1000"), 902);
    assert_id(vocabulary, 902, "1000");
    assert_id(vocabulary, 13, "13");
    forage_vocabulary_free(vocabulary);

    /* Out of proportion: stays in order of appearance. */
    vocabulary = fresh();
    add(vocabulary, "1028");
    assert_int_equal(forage_vocabulary_number(vocabulary, &map, NULL), FORAGE_OK);
    assert_null(map);
    add(vocabulary, "3"); /* now 1028 < 4 x 2 + 1024 */
    assert_int_equal(forage_vocabulary_number(vocabulary, &map, NULL), FORAGE_OK);
    assert_non_null(map);
    forage_free(map);
    assert_int_equal(forage_vocabulary_count(vocabulary), 1029);
    forage_vocabulary_free(vocabulary);

    /* A large number goes through the hash table and comes back. */
    vocabulary = fresh();
    char id[24];
    for (unsigned i = 0; i <= 1100000; i++) {
        snprintf(id, sizeof id, "%u", i * 4 + (i == 0 ? 4294000000u : 0));
        add(vocabulary, id);
    }
    assert_int_equal(forage_vocabulary_number(vocabulary, &map, NULL), FORAGE_OK);
    assert_null(map); /* because of 4294000000 */
    forage_vocabulary_free(vocabulary);
    vocabulary = fresh();
    for (unsigned i = 0; i <= 1100000; i++) {
        snprintf(id, sizeof id, "%u", (1100000 - i) * 4);
        add(vocabulary, id);
    }
    assert_id(vocabulary, 0, "4400000");
    assert_int_equal(forage_vocabulary_number(vocabulary, &map, NULL), FORAGE_OK);
    assert_non_null(map);
    assert_int_equal(map[0], 4400000);
    assert_int_equal(forage_vocabulary_count(vocabulary), 4400001);
    forage_free(map);
    forage_vocabulary_free(vocabulary);

    assert_int_equal(forage_vocabulary_create_numbered(3, &vocabulary, NULL), FORAGE_OK);
    assert_int_equal(find(vocabulary, "2"), 2);
    assert_int_equal(find(vocabulary, "3"), FORAGE_NONE);
    assert_id(vocabulary, 1, "1");
    forage_vocabulary_free(vocabulary);
}

/* Random ids of every kind against a naive list. */
static void test_oracle(void **state)
{
    (void)state;
    enum { IDS = 1500, STEPS = 6000 };
    static char list[IDS][24];
    uint64_t random = 88172645463325252u;
    for (int kind = 0; kind < 3; kind++) {
        forage_vocabulary *vocabulary = fresh();
        uint32_t count = 0;
        for (int step = 0; step < STEPS; step++) {
            char id[24];
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if (kind == 0 || (kind == 2 && step < STEPS / 2))
                snprintf(id, sizeof id, "%u", (unsigned)(random % 997));
            else
                snprintf(id, sizeof id, random % 3 ? "x%u" : "%u", (unsigned)(random % 499));
            uint32_t expected = 0;
            while (expected < count && strcmp(list[expected], id) != 0)
                expected++;
            assert_int_equal(find(vocabulary, id), expected < count ? expected : FORAGE_NONE);
            assert_int_equal(add(vocabulary, id), expected);
            if (expected == count)
                memcpy(list[count++], id, sizeof id);
        }
        assert_int_equal(forage_vocabulary_count(vocabulary), count);
        for (uint32_t i = 0; i < count; i++)
            assert_id(vocabulary, i, list[i]);
        forage_vocabulary_free(vocabulary);
    }
}

/* A million numbers in no order: from the hash table to the table of numbers and, by an outlier, back. */
static void test_many_numbers(void **state)
{
    (void)state;
    enum { COUNT = 1000000, STEP = 611953 };
    forage_vocabulary *vocabulary = fresh();
    char id[24];
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "%u", (unsigned)((uint64_t)i * STEP % COUNT));
        assert_int_equal(add(vocabulary, id), i + (i > 700000));
        if (i == 700000)
            assert_int_equal(add(vocabulary, "4000000000"), i + 1);
    }
    for (uint32_t i = 0; i < COUNT; i += 7) {
        snprintf(id, sizeof id, "%u", (unsigned)((uint64_t)i * STEP % COUNT));
        assert_int_equal(find(vocabulary, id), i + (i > 700000));
        assert_id(vocabulary, i + (i > 700000), id);
    }
    assert_int_equal(find(vocabulary, "4000000000"), 700001);
    forage_vocabulary_free(vocabulary);
}

/* Whatever allocation fails: the vocabulary is as it was, and goes on working. */
static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 40; nth++) {
        forage_vocabulary *vocabulary = NULL;
        forage_error error = {0};
        char id[24];
        forage_alloc_fail_at(nth);
        forage_status status = forage_vocabulary_create(&vocabulary, &error);
        uint32_t index, i = 0;
        for (; status == FORAGE_OK && i < 300; i++) {
            snprintf(id, sizeof id, i < 100 ? "%u" : i < 150 ? "1%u" : "n%u", i);
            status = forage_vocabulary_add(vocabulary, id, strlen(id), &index, &error);
        }
        forage_alloc_fail_at(0);
        if (status != FORAGE_OK) {
            assert_int_equal(status, FORAGE_NO_MEMORY);
            assert_int_equal(error.status, FORAGE_NO_MEMORY);
        }
        if (vocabulary) {
            uint32_t count = status == FORAGE_OK ? i : i - 1;
            assert_int_equal(forage_vocabulary_count(vocabulary), count);
            for (uint32_t k = 0; k < count; k++) {
                snprintf(id, sizeof id, k < 100 ? "%u" : k < 150 ? "1%u" : "n%u", k);
                assert_int_equal(find(vocabulary, id), k);
            }
            assert_int_equal(add(vocabulary, "another"), count);
        }
        forage_vocabulary_free(vocabulary);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),      cmocka_unit_test(test_numbering), cmocka_unit_test(test_oracle),
        cmocka_unit_test(test_many_numbers), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
