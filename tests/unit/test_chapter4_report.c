/*
 * The report of chapter 4 from a record: page, charts, JSON and terminal, with and without gnuplot, on hostile names.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check_markup.h"
#include "sample_chapter4.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "report_folder.h"

static const char hostile[] = "<script>alert(1)</script>\"'&`%s%n'";
static sample_chapter4 sample;

static int make_report_folder(void **state)
{
    (void)state;
    sample_chapter4_fill(&sample, hostile);
    return make_folder() ? 0 : -1;
}

static forage_status write_report(const char *gnuplot, forage_report_result *result)
{
    const forage_report_options options = {.folder = folder, .gnuplot = gnuplot, .command = "forage study --chapter 4"};
    return forage_study_write(&(forage_study){.chapter4 = &sample.chapter}, &options, result, NULL);
}

static void check_page(bool charts)
{
    static const char *const said[] = {
        "46.0\u00a0%",
        "&lt;script&gt;alert(1)",
        "ahead at 10, and behind at 40 and 80",
        "ahead at 1, and behind at 3, 5, 10 and 20",
        "no path of three steps",
        "13 (25.0\u00a0%, 2 others)",
        "(50.0\u00a0%, 1 other)",
    };
    char *html = read_whole("index.html");
    assert_string_equal(markup_fault(html), "");
    assert_null(strstr(html, "<script>alert"));
    assert_null(strstr(html, "nan"));
    for (size_t i = 0; i < sizeof said / sizeof *said; ++i)
        if (!strstr(html, said[i]))
            fail_msg("the page does not say '%s'", said[i]);
    assert_int_equal(strstr(html, "<svg class=\"wide\"") != NULL, charts);
    assert_int_equal(strstr(html, "apt-get install gnuplot-nox") != NULL, !charts);
    forage_free(html);
}

static size_t times(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; ++text)
        ++count;
    return count;
}

static void test_page(void **state)
{
    (void)state;
    forage_report_result result;
    assert_int_equal(write_report(NULL, &result), FORAGE_OK);
    check_page(result.charts);
    if (!result.charts)
        return;                                /* skipped: cmocka's skip() would count as a failure */
    assert_int_equal(result.files, 2 + 6 * 3); /* page, results, three files of each chart */
    char *svg = read_whole("chapter-4/map-users.svg");
    assert_string_equal(markup_fault(svg), "");
    forage_free(svg);
    char *html = read_whole("index.html"); /* every symbol that is used is defined, once */
    for (const char *at = html; (at = strstr(at, "href='#gpPt")) != NULL; ++at) {
        char id[32];
        snprintf(id, sizeof id, "id=\"%.*s\"", (int)strcspn(at + 7, "'"), at + 7);
        assert_int_equal(times(html, id), 1);
    }
    forage_free(html);
}

static void test_without_gnuplot(void **state)
{
    (void)state;
    forage_report_result result;
    assert_int_equal(write_report("no-such-gnuplot", &result), FORAGE_OK);
    assert_false(result.charts);
    assert_int_equal(result.files, 2 + 6);
    check_page(false);
    char *csv = read_whole("chapter-4/few-clicks.csv"); /* evenly spaced on the page, under their names in the table */
    assert_non_null(strstr(csv, "lightgcn,20,5,"));
    forage_free(csv);
}

static void test_json(void **state)
{
    (void)state;
    char *text;
    assert_int_equal(forage_chapter4_json(&sample.chapter, &text, NULL), FORAGE_OK);
    json_t *object = json_loads(text, 0, NULL);
    forage_free(text);
    assert_non_null(object);
    json_t *arm = json_array_get(json_object_get(json_object_get(object, "crowd"), "arms"), 5);
    assert_string_equal(json_string_value(json_object_get(arm, "name")), "lightgcn");
    json_t *rate = json_object_get(json_array_get(json_object_get(arm, "click_rate"), 1), "value");
    assert_true(fabs(json_real_value(rate) - 0.35) < 1e-12);
    json_t *view = json_array_get(json_object_get(json_object_get(object, "map"), "views"), 3);
    assert_int_equal(json_array_size(json_object_get(view, "users")), S4_USERS);
    json_t *customer = json_array_get(json_object_get(object, "customers"), 1);
    assert_non_null(strstr(json_string_value(json_object_get(customer, "persona")), hostile));
    assert_int_equal(json_array_size(json_object_get(customer, "chosen")), S4_CATEGORIES - 1); /* 0 of the first */
    json_decref(object);
}

static void test_text(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; ++plain) {
        const forage_terminal terminal = {.columns = 80, .plain = plain};
        char *text;
        assert_int_equal(forage_chapter4_text(&sample.chapter, &terminal, &text, NULL), FORAGE_OK);
        assert_non_null(strstr(text, "no graph 29.0"));
        for (const char *at = text; plain && *at; ++at)
            assert_true(*at == '\n' || (*at >= 0x20 && *at < 0x7F));
        forage_free(text);
    }
}

/* Records with parts missing are refused, not drawn. */
static void test_incomplete(void **state)
{
    (void)state;
    const forage_report_options options = {.folder = folder, .gnuplot = "no-such-gnuplot"};
    const forage_chapter4 empty = {0};
    forage_chapter4 parts[4] = {sample.chapter, sample.chapter, sample.chapter, sample.chapter};
    char *text;
    assert_int_equal(forage_chapter4_json(&empty, &text, NULL), FORAGE_OK);
    forage_free(text);
    assert_int_equal(forage_chapter4_text(&empty, NULL, &text, NULL), FORAGE_INVALID);
    assert_null(text);
    parts[0].few_clicks_count = 0;
    parts[1].crowd.point_count = 1;
    parts[2].map.view_count = 2;
    parts[3].smoothing.arm_count = 0;
    for (size_t i = 0; i < 4; ++i)
        assert_int_equal(forage_study_write(&(forage_study){.chapter4 = &parts[i]}, &options, NULL, NULL),
                         FORAGE_INVALID);
}

/* A single world: no intervals, nobody ahead beyond chance. */
static void test_one_world(void **state)
{
    (void)state;
    for (size_t p = 0; p < S4_POINTS; ++p) {
        sample.crowd.ahead[p].low = sample.crowd.ahead[p].high = NAN;
        sample.few.ahead[p].low = sample.few.ahead[p].high = NAN;
    }
    sample.chapter.seeds = 1;
    assert_int_equal(write_report("no-such-gnuplot", NULL), FORAGE_OK);
    char *html = read_whole("index.html");
    assert_non_null(strstr(html, "4.0 at 10, 1.0 at 20, −2.0 at 40, −2.0 at 80 visits a user"));
    assert_non_null(strstr(html, "no intervals"));
    forage_free(html);
}

/* Personas beyond those with a colour share one. */
static void test_many_personas(void **state)
{
    static char names[9][64];
    (void)state;
    for (size_t p = 0; p < 9; ++p)
        snprintf(names[p], sizeof names[p], "persona %zu", p);
    for (size_t i = 0; i < S4_USERS; ++i)
        sample.users[3][i].group = i % 9;
    sample.chapter.persona_count = 9;
    sample.chapter.personas = names;
    assert_int_equal(write_report("no-such-gnuplot", NULL), FORAGE_OK);
    char *csv = read_whole("chapter-4/map-users.csv");
    size_t rows = 0;
    for (const char *at = csv; (at = strstr(at, "Trained with the graph,others,")) != NULL; ++at)
        ++rows;
    assert_int_equal(rows, 3 * (S4_USERS / 9) + 2); /* personas 6, 7 and 8 of 0 ... 79 */
    assert_null(strstr(csv, "persona 6"));
    forage_free(csv);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 400; nth += 11) {
        char *text = NULL;
        forage_alloc_fail_at(nth);
        forage_status status = forage_chapter4_text(&sample.chapter, NULL, &text, NULL);
        forage_alloc_fail_at(0);
        assert_true((status == FORAGE_OK) == (text != NULL));
        forage_free(text);
    }
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_report_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_page),          IN_FOLDER(test_without_gnuplot), IN_FOLDER(test_json),
        IN_FOLDER(test_text),          IN_FOLDER(test_incomplete),      IN_FOLDER(test_one_world),
        IN_FOLDER(test_many_personas), IN_FOLDER(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
