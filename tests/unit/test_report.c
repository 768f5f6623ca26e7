/*
 * Reports: the page of chapter 1 from a record, with and without gnuplot, on hostile names and full disks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check_markup.h"
#include "sample_chapter.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char hostile[] = "<script>alert(1)</script>\"'&`%s%n'";

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "report-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static void remove_tree(const char *path)
{
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0)
        print_message("cannot remove %s\n", path);
}

static int remove_folder(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static sample_chapter *sample(const char *ending)
{
    static sample_chapter chapter;
    sample_chapter_fill(&chapter, ending);
    return &chapter;
}

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static char *read_whole(const char *name)
{
    char *bytes;
    size_t size;
    forage_error error = {0};
    if (forage_read_file(in_folder(name), 1 << 24, &bytes, &size, &error) != FORAGE_OK)
        fail_msg("%s: %s", name, error.message);
    return bytes;
}

static forage_status write_report(const char *ending, const char *gnuplot, forage_report_result *result,
                                  forage_error *error)
{
    forage_report_options options = {.folder = folder, .gnuplot = gnuplot, .command = "forage study <&>"};
    return forage_study_write(&(forage_study){.chapter1 = &sample(ending)->chapter}, &options, result, error);
}

static void check_page(bool charts)
{
    char *html = read_whole("index.html");
    assert_string_equal(markup_fault(html), "");
    assert_null(strstr(html, "<script>alert"));
    assert_non_null(strstr(html, "&lt;script&gt;alert(1)"));
    assert_non_null(strstr(html, "forage study &lt;&amp;&gt;"));
    assert_null(strstr(html, "src=")); /* nothing is loaded */
    assert_null(strstr(html, "@import"));
    assert_null(strstr(html, "url("));
    assert_int_equal(strstr(html, "<svg class=\"wide\"") != NULL, charts);
    assert_int_equal(strstr(html, "apt-get install gnuplot-nox") != NULL, !charts);
    assert_non_null(strstr(html, "0.4156"));
    forage_free(html);
}

static void test_page(void **state)
{
    (void)state;
    forage_report_result result;
    forage_error error = {0};
    if (write_report(hostile, NULL, &result, &error) != FORAGE_OK)
        fail_msg("%s", error.message);
    if (!result.charts)
        return; /* skipped: cmocka's skip() would count as a failure */
    check_page(true);
    assert_int_equal(result.files, 23);
    assert_int_equal(access(in_folder("chapter-1/feedback-loop.png"), R_OK), 0);
    char *svg = read_whole("chapter-1/personas.svg");
    assert_string_equal(markup_fault(svg), "");
    forage_free(svg);
}

static void test_without_gnuplot(void **state)
{
    (void)state;
    forage_report_result result;
    forage_error error = {0};
    assert_int_equal(write_report(hostile, "no-such-gnuplot", &result, &error), FORAGE_OK);
    assert_false(result.charts);
    assert_non_null(strstr(result.problem, "gnuplot-nox"));
    assert_int_equal(result.files, 9); /* page, results, a table for each chart */
    check_page(false);
    assert_int_not_equal(access(in_folder("chapter-1/loss.svg"), F_OK), 0);
}

static void test_json(void **state)
{
    (void)state;
    forage_report_result result;
    assert_int_equal(write_report(hostile, "no-such-gnuplot", &result, NULL), FORAGE_OK);
    char *text = read_whole("chapter-1/results.json");
    json_error_t problem;
    json_t *object = json_loads(text, 0, &problem);
    assert_non_null(object);
    json_t *metrics = json_object_get(object, "metrics");
    assert_true(fabs(json_real_value(json_object_get(metrics, "log_loss")) - 0.4156) < 1e-12);
    assert_true(json_is_null(json_object_get(metrics, "nothing")) == 0);
    json_t *persona = json_object_get(json_array_get(json_object_get(object, "predictions"), 0), "persona");
    assert_non_null(strstr(json_string_value(persona), hostile));
    json_decref(object);
    forage_free(text);
}

/* A folder where the page cannot be replaced: the old one stays as it was. */
static void test_no_half_page(void **state)
{
    (void)state;
    forage_error error = {0};
    assert_int_equal(mkdir(in_folder("index.html"), 0777), 0);
    assert_int_not_equal(write_report("", "no-such-gnuplot", NULL, &error), FORAGE_OK);
    assert_non_null(strstr(error.file, "index.html"));
    assert_int_equal(rmdir(in_folder("index.html")), 0);
    assert_int_equal(symlink("/dev/full", in_folder("index.html")), 0);
    error = (forage_error){0};
    assert_int_equal(write_report("", "no-such-gnuplot", NULL, &error), FORAGE_IO);
    assert_non_null(strstr(error.message, "No space left"));
}

static void test_bad_folder(void **state)
{
    (void)state;
    forage_error error = {0};
    forage_report_options options = {.folder = "/dev/null/report", .gnuplot = "no-such-gnuplot"};
    assert_int_equal(forage_study_write(&(forage_study){.chapter1 = &sample("")->chapter}, &options, NULL, &error),
                     FORAGE_IO);
    assert_non_null(strstr(error.message, "folder"));
    options.folder = "";
    assert_int_equal(forage_study_write(&(forage_study){.chapter1 = &sample("")->chapter}, &options, NULL, &error),
                     FORAGE_INVALID);
}

static void test_empty_record(void **state)
{
    (void)state;
    const forage_chapter1 empty = {0};
    forage_report_options options = {.folder = folder, .gnuplot = "no-such-gnuplot"};
    char *text;
    assert_int_equal(forage_study_write(&(forage_study){.chapter1 = &empty}, &options, NULL, NULL), FORAGE_INVALID);
    assert_int_equal(forage_chapter1_text(&empty, NULL, &text, NULL), FORAGE_INVALID);
    assert_null(text);
    assert_int_equal(forage_chapter1_json(&empty, &text, NULL), FORAGE_OK);
    forage_free(text);
}

static void test_text(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; ++plain) {
        forage_terminal terminal = {.columns = 80, .plain = plain};
        char *text;
        assert_int_equal(forage_chapter1_text(&sample(hostile)->chapter, &terminal, &text, NULL), FORAGE_OK);
        assert_non_null(strstr(text, "0.4156"));
        for (const char *at = text; plain && *at; ++at)
            assert_true(*at == '\n' || (*at >= 0x20 && *at < 0x7F));
        forage_free(text);
    }
}

/* Whichever allocation fails, the call says so or succeeds, and what it writes is whole. */
static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 120; nth += 7) {
        forage_alloc_fail_at(nth);
        forage_status status = write_report("", "no-such-gnuplot", NULL, NULL);
        forage_alloc_fail_at(0);
        if (access(in_folder("index.html"), F_OK) == 0) {
            char *html = read_whole("index.html");
            assert_string_equal(markup_fault(html), "");
            forage_free(html);
        } else {
            assert_int_not_equal(status, FORAGE_OK);
        }
    }
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_page),       IN_FOLDER(test_without_gnuplot), IN_FOLDER(test_json), IN_FOLDER(test_no_half_page),
        IN_FOLDER(test_bad_folder), IN_FOLDER(test_empty_record),    IN_FOLDER(test_text), IN_FOLDER(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
