/*
 * Chapter 2: a short run of all its arenas, the record, and its page, text and JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check_markup.h"

#include "forage/report.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static forage_chapter2 chapter;

enum { VISITS = 3000 };

static int run_once(void **state)
{
    (void)state;
    const forage_chapter2_options options = {.visits = VISITS, .seeds = 2, .threads = 2};
    forage_error error = {0};
    snprintf(folder, sizeof folder, "chapter2-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    if (forage_chapter2_run(&options, &chapter, &error) != FORAGE_OK) {
        print_message("%s\n", error.message);
        return -1;
    }
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    char command[160];
    forage_chapter2_release(&chapter);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : -1;
}

static const forage_arena_agent *agent(const forage_arena *arena, const char *name)
{
    for (size_t a = 0; a < arena->agent_count; a++) {
        size_t length = strcspn(arena->agents[a].name, ":"); /* "batched:pretrain=3000" */
        if (strncmp(arena->agents[a].name, name, length) == 0 && name[length] == '\0')
            return &arena->agents[a];
    }
    fail_msg("no agent %s in %s", name, arena->environment);
    return NULL;
}

static void test_record(void **state)
{
    (void)state;
    for (size_t i = 0; i < FORAGE_CHAPTER2_PLAYS; i++) {
        const forage_arena *arena = &chapter.arenas[i];
        assert_int_equal(arena->visits, VISITS);
        assert_int_equal(arena->seeds, 2);
        const forage_arena_agent *oracle = agent(arena, "oracle"), *linucb = agent(arena, "linucb");
        assert_true(fabs(oracle->regret.value) < 1e-9 * VISITS);
        assert_true(linucb->regret.value > 0);
        assert_true(linucb->rate.value > 0 && linucb->rate.value < oracle->share.value * arena->oracle_rate * 1.2);
    }
    /* Who knows the personas is ahead of who has to learn them. */
    const forage_arena *shop = &chapter.arenas[FORAGE_CHAPTER2_SHOP];
    assert_true(agent(shop, "bayes")->regret.value < agent(shop, "linucb")->regret.value);
    const forage_arena *users = &chapter.arenas[FORAGE_CHAPTER2_NEW_USERS];
    assert_in_range(agent(users, "latent")->page_count, 5, 20);
    assert_int_equal(chapter.arenas[FORAGE_CHAPTER2_LARGE].items, 100000);
}

static void test_report(void **state)
{
    (void)state;
    const forage_report_options options = {.folder = folder, .command = "forage study <&>"};
    const forage_study study = {.chapter2 = &chapter};
    forage_report_result result;
    forage_error error = {0};
    char path[128], *html;
    size_t size;
    if (forage_study_write(&study, &options, &result, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    snprintf(path, sizeof path, "%s/index.html", folder);
    assert_int_equal(forage_read_file(path, 1 << 24, &html, &size, &error), FORAGE_OK);
    assert_string_equal(markup_fault(html), "");
    assert_non_null(strstr(html, "What Anna saw"));
    assert_non_null(strstr(html, "forage study &lt;&amp;&gt;"));
    assert_null(strstr(html, "src="));
    assert_null(strstr(html, "nan"));
    if (result.charts)
        assert_non_null(strstr(html, "<svg class=\"wide\""));
    forage_free(html);
    snprintf(path, sizeof path, "%s/chapter-2/anna.csv", folder);
    assert_int_equal(access(path, R_OK), 0);
}

static void test_text_and_json(void **state)
{
    (void)state;
    const forage_terminal plain = {.columns = 80, .plain = true};
    forage_error error = {0};
    char *text;
    assert_int_equal(forage_chapter2_text(&chapter, &plain, &text, &error), FORAGE_OK);
    assert_non_null(strstr(text, "linucb"));
    for (const char *at = text; *at; at++)
        assert_true((unsigned char)*at < 128);
    forage_free(text);
    assert_int_equal(forage_chapter2_json(&chapter, &text, &error), FORAGE_OK);
    json_t *object = json_loads(text, 0, NULL);
    forage_free(text);
    json_t *shop = json_object_get(object, "shop");
    json_t *linucb = json_object_get(json_object_get(shop, "agents"), "linucb");
    assert_true(fabs(json_real_value(json_object_get(linucb, "regret")) -
                     agent(&chapter.arenas[FORAGE_CHAPTER2_SHOP], "linucb")->regret.value) < 1e-9);
    json_decref(object);
}

static void test_incomplete(void **state)
{
    (void)state;
    const forage_chapter2 empty = {0};
    const forage_report_options options = {.folder = folder};
    const forage_study nothing = {0}, study = {.chapter2 = &empty};
    char *text;
    assert_int_equal(forage_study_write(&nothing, &options, NULL, NULL), FORAGE_INVALID);
    assert_int_equal(forage_study_write(&study, &options, NULL, NULL), FORAGE_INVALID);
    assert_int_equal(forage_chapter2_text(&empty, NULL, &text, NULL), FORAGE_INVALID);
    assert_null(text);
}

static bool stop(void *context, const char *stage, uint64_t done, uint64_t total, const char *note)
{
    (void)context, (void)stage, (void)total, (void)note;
    return done < 100;
}

static void test_refusals(void **state)
{
    (void)state;
    forage_chapter2 other;
    forage_error error = {0};
    forage_chapter2_options options = {.scenario = "nowhere.yaml"};
    assert_int_not_equal(forage_chapter2_run(&options, &other, &error), FORAGE_OK);
    char text[400];
    forage_error_text(&error, text, sizeof text);
    assert_non_null(strstr(text, "nowhere.yaml"));
    forage_chapter2_release(&other);
    const forage_progress progress = {stop, NULL};
    options = (forage_chapter2_options){.visits = 500, .seeds = 1, .threads = 1, .progress = &progress};
    assert_int_equal(forage_chapter2_run(&options, &other, &error), FORAGE_INTERRUPTED);
    forage_chapter2_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),     cmocka_unit_test(test_report),   cmocka_unit_test(test_text_and_json),
        cmocka_unit_test(test_incomplete), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, run_once, remove_all);
}
