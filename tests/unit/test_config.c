/*
 * YAML trees: values, places of mistakes, hostile files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forage/data.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static forage_config *parse(const char *text)
{
    forage_config *config;
    forage_error error = {0};
    forage_status status = forage_config_parse(text, strlen(text), "t.yaml", &config, &error);
    if (status != FORAGE_OK)
        fail_msg("%s: %s", text, error.message);
    return config;
}

/* The text must fail, on `line`, with `part` in its message. */
static void refuse(const char *text, size_t size, uint64_t line, const char *part)
{
    forage_config *config = (forage_config *)&config;
    forage_error error = {0};
    char said[1024];
    assert_int_not_equal(forage_config_parse(text, size, "t.yaml", &config, &error), FORAGE_OK);
    assert_null(config);
    forage_error_text(&error, said, sizeof said);
    if (!strstr(said, part) || error.line != line || strcmp(error.file, "t.yaml") != 0)
        fail_msg("expected line %d and '%s', got: %s", (int)line, part, said);
}

static void refuse_text(const char *text, uint64_t line, const char *part)
{
    refuse(text, strlen(text), line, part);
}

static void trees_are_read(void **state)
{
    (void)state;
    forage_config *config =
        parse("# comment\na: 1_000\nb: [x, \"y z\", '']\nc:\n  d: 0.25\n  e: true\n  Dog Food: ünï\n");
    const forage_config_node *root = forage_config_root(config), *node;
    const char *text;
    uint64_t whole;
    double real;
    bool flag;

    assert_int_equal(forage_config_kind_of(root), FORAGE_CONFIG_MAP);
    assert_int_equal(forage_config_count(root), 3);
    assert_null(forage_config_key(root));
    assert_string_equal(forage_config_key(forage_config_at(root, 1)), "b");
    assert_null(forage_config_find(root, "z"));
    assert_int_equal(forage_config_whole(forage_config_find(root, "a"), 0, 5000, &whole, NULL), FORAGE_OK);
    assert_int_equal(whole, 1000);
    node = forage_config_find(root, "b");
    assert_int_equal(forage_config_count(node), 3);
    assert_null(forage_config_at(node, 3));
    assert_null(forage_config_find(node, "x"));
    assert_int_equal(forage_config_text(forage_config_at(node, 1), &text, NULL), FORAGE_OK);
    assert_string_equal(text, "y z");
    node = forage_config_find(root, "c");
    assert_int_equal(forage_config_real(forage_config_find(node, "d"), 0, 1, &real, NULL), FORAGE_OK);
    assert_true(real == 0.25);
    assert_int_equal(forage_config_boolean(forage_config_find(node, "e"), &flag, NULL), FORAGE_OK);
    assert_true(flag);
    assert_int_equal(forage_config_text(forage_config_find(node, "Dog Food"), &text, NULL), FORAGE_OK);
    assert_string_equal(text, "ünï");
    assert_int_equal(forage_config_need(node, "nothing", &node, NULL), FORAGE_FORMAT);
    forage_config_free(config);
    forage_config_free(NULL);
}

static void mistakes_have_a_place(void **state)
{
    (void)state;
    forage_config *config = parse("a: 1\nmap:\n  deep:\n    - 0\n    - {rate: 1.5}\n");
    const forage_config_node *root = forage_config_root(config);
    const forage_config_node *list = forage_config_find(forage_config_find(root, "map"), "deep");
    forage_error error = {0};
    double real;
    uint64_t whole;
    bool flag;

    const forage_config_node *rate = forage_config_find(forage_config_at(list, 1), "rate");
    assert_int_equal(forage_config_real(rate, 0, 1, &real, &error), FORAGE_FORMAT);
    assert_int_equal(error.line, 5);
    assert_string_equal(error.field, "map.deep[1].rate");
    assert_string_equal(error.message, "1.5 is not between 0 and 1");
    assert_int_equal(forage_config_whole(rate, 0, 1, &whole, &error), FORAGE_FORMAT);
    assert_int_equal(forage_config_boolean(rate, &flag, &error), FORAGE_FORMAT);
    assert_int_equal(forage_config_real(list, 0, 1, &real, &error), FORAGE_FORMAT);
    assert_non_null(strstr(error.message, "a list"));
    assert_int_equal(forage_config_check_keys(root, "a,maps", &error), FORAGE_UNKNOWN);
    assert_int_equal(error.line, 2);
    assert_string_equal(error.field, "map");
    assert_int_equal(forage_config_check_keys(root, "a,map", &error), FORAGE_OK);
    assert_int_equal(forage_config_check_keys(list, "a", &error), FORAGE_FORMAT);
    forage_config_free(config);
}

static void numbers_are_strict(void **state)
{
    (void)state;
    const char *bad[] = {"nan", ".nan", "inf", "-1", "1.0.0", "", "0x1", "one", "1e400", "[1]", "1 2", "~", "1,5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        uint64_t whole;
        double real;
        snprintf(text, sizeof text, "v: %s\n", bad[i]);
        forage_config *config = parse(text);
        const forage_config_node *node = forage_config_find(forage_config_root(config), "v");
        if (forage_config_real(node, 0, 1, &real, NULL) == FORAGE_OK)
            fail_msg("'%s' was taken for %g", bad[i], real);
        assert_int_not_equal(forage_config_whole(node, 0, UINT64_MAX, &whole, NULL), FORAGE_OK);
        forage_config_free(config);
    }
    forage_config *config = parse("v: 18446744073709551615\nw: 18446744073709551616\n");
    uint64_t whole;
    assert_int_equal(
        forage_config_whole(forage_config_find(forage_config_root(config), "v"), 0, UINT64_MAX, &whole, NULL),
        FORAGE_OK);
    assert_true(whole == UINT64_MAX);
    assert_int_equal(
        forage_config_whole(forage_config_find(forage_config_root(config), "w"), 0, UINT64_MAX, &whole, NULL),
        FORAGE_FORMAT);
    forage_config_free(config);
}

static void hostile_files_are_refused(void **state)
{
    (void)state;
    refuse_text("", 0, "empty");
    refuse_text("# only a comment\n", 0, "empty");
    refuse_text("a: 1\nb: 2\na: 3\n", 3, "given twice, first on line 1");
    refuse_text("a: 1\n--- \nb: 2\n", 2, "second document");
    refuse_text("a: &x 1\nb: *x\n", 1, "anchors");
    refuse_text("a: 1\nb: &x [1]\n", 2, "anchors");
    refuse_text("a: *x\n", 1, "anchors");
    refuse_text("a: 1\n? [b]\n: 2\n", 2, "key must be plain text");
    refuse_text("a: 1\n'': 2\n", 2, "empty key");
    refuse_text("a: \"x\\0y\"\n", 1, "NUL");
    refuse_text("%YAML 1.1\n---\na: 1\n", 1, "directives");
    refuse_text("a: 1\r%TAG ! x\n", 1, "directives");
    refuse_text("# x\n\xef\xbb\xbf%TAG ! x\n", 2, "not YAML");
    refuse_text("\xef\xbb\xbf%TAG ! x\n", 1, "directives");
    refuse_text("#\xc2\x85%TAG ! x\n", 1, "directives");
    refuse_text("#\xe2\x80\xa8%TAG ! x\n", 1, "directives");
    refuse_text("a: [1, 2\n", 2, "not YAML");
    refuse_text("a: 1\n\tb: 2\n", 2, "not YAML");
    refuse_text("a: 1\nb: \"open\n", 3, "not YAML");
    refuse("a: \xff\xfe\n", 6, 1, "not YAML in UTF-8");
    refuse("a: \0b\n", 6, 1, "not YAML in UTF-8");
    refuse_text("[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]", 1, "16 levels");
}

static void large_files_are_refused(void **state)
{
    (void)state;
    size_t size = 5 << 20;
    char *text = forage_alloc(size, 1);
    assert_non_null(text);
    memset(text, ' ', size);
    refuse(text, size, 0, "4 MiB");
    for (size_t i = 0; i + 4 <= (3 << 20); i += 4) /* more values than allowed */
        memcpy(text + i, "- a\n", 4);
    refuse(text, 3 << 20, 100000, "100000 values");
    size_t used = 0;
    for (size_t i = 0; i < 5000; i++) /* more keys than allowed */
        used += (size_t)snprintf(text + used, size - used, "k%zu: 1\n", i);
    refuse(text, used, 4097, "4096 keys");
    memset(text, '[', 1 << 20);
    refuse(text, 1 << 20, 1, "16 levels");
    memset(text, '?', 1 << 20);
    forage_config *config;
    if (forage_config_parse(text, 1 << 20, "t.yaml", &config, NULL) == FORAGE_OK)
        forage_config_free(config);
    forage_free(text);
}

/* A file cut anywhere is read or refused; nothing else happens. */
static void cut_files_do_no_harm(void **state)
{
    (void)state;
    const char *text = "name: 'a b'\nlist: [1, \"two\\n\", {three: 4}]\nmap:\n  k: |\n    block\n  ? q\n  : r\n# end\n";
    for (size_t size = 0; size <= strlen(text); size++) {
        forage_config *config;
        if (forage_config_parse(text, size, "t.yaml", &config, NULL) == FORAGE_OK)
            forage_config_free(config);
        else
            assert_null(config);
    }
}

static void no_memory_is_survived(void **state)
{
    (void)state;
    const char *text = "a: 1\nb: [x, {y: z}]\n";
    for (uint64_t nth = 1;; nth++) {
        forage_config *config;
        forage_error error = {0};
        forage_alloc_fail_at(nth);
        forage_status status = forage_config_parse(text, strlen(text), "t.yaml", &config, &error);
        forage_alloc_fail_at(0);
        if (status == FORAGE_OK) {
            forage_config_free(config);
            assert_true(nth > 5);
            return;
        }
        assert_int_equal(status, FORAGE_NO_MEMORY);
        assert_null(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_read),          cmocka_unit_test(mistakes_have_a_place),
        cmocka_unit_test(numbers_are_strict),      cmocka_unit_test(hostile_files_are_refused),
        cmocka_unit_test(large_files_are_refused), cmocka_unit_test(cut_files_do_no_harm),
        cmocka_unit_test(no_memory_is_survived),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
