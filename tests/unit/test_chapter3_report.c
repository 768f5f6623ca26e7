/*
 * The report of chapter 3 from a record: page, charts, JSON and terminal, with and without gnuplot, on hostile names.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check_markup.h"
#include "sample_chapter3.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "report_folder.h"

static const char hostile[] = "<script>alert(1)</script>\"'&`%s%n'";
static sample_chapter3 sample;

static int make_report_folder(void **state)
{
    (void)state;
    sample_chapter3_fill(&sample, hostile);
    return make_folder() ? 0 : -1;
}

static forage_status write_report(const char *gnuplot, forage_report_result *result)
{
    const forage_report_options options = {.folder = folder, .gnuplot = gnuplot, .command = "forage study --chapter 3"};
    return forage_study_write(&(forage_study){.chapter3 = &sample.chapter}, &options, result, NULL);
}

static void says(const char *html, const char *part)
{
    if (!strstr(html, part))
        fail_msg("the page does not say '%s'", part);
}

static void check_page(bool charts)
{
    char *html = read_whole("index.html");
    assert_string_equal(markup_fault(html), "");
    assert_null(strstr(html, "<script>alert"));
    assert_null(strstr(html, "nan"));
    says(html, "&lt;script&gt;alert(1)");
    says(html, "From visit 21 on, the sequence model is 0.55\u00a0% (0.15\u00a0% to 0.95\u00a0%) above");
    says(html, "it is within 1\u00a0% of the limit from visit 1 on");
    says(html, "With intents, it saves 0.0980 nats against the bag of history (0.0940 to 0.1020: more than chance)");
    says(html, "Without, it saves 0.0010 nats against the bag of history (−0.0030 to 0.0050: no more than chance)");
    says(html, "49.9\u00a0% of which");
    assert_int_equal(strstr(html, "<svg class=\"wide\"") != NULL, charts);
    assert_int_equal(strstr(html, "apt-get install gnuplot-nox") != NULL, !charts);
    forage_free(html);
}

static void test_page(void **state)
{
    (void)state;
    forage_report_result result;
    assert_int_equal(write_report(NULL, &result), FORAGE_OK);
    check_page(result.charts);
    if (!result.charts)
        return;                                /* skipped: cmocka's skip() would count as a failure */
    assert_int_equal(result.files, 2 + 4 * 3); /* page, results, three files of each chart */
    char *svg = read_whole("chapter-3/sessions.svg");
    assert_string_equal(markup_fault(svg), "");
    forage_free(svg);
}

static void test_without_gnuplot(void **state)
{
    (void)state;
    forage_report_result result;
    assert_int_equal(write_report("no-such-gnuplot", &result), FORAGE_OK);
    assert_false(result.charts);
    assert_int_equal(result.files, 2 + 4);
    check_page(false);
    char *csv = read_whole("chapter-3/order.csv");
    assert_non_null(strstr(csv, "bag of history"));
    forage_free(csv);
}

static void test_json(void **state)
{
    (void)state;
    char *text;
    assert_int_equal(forage_chapter3_json(&sample.chapter, &text, NULL), FORAGE_OK);
    json_t *object = json_loads(text, 0, NULL);
    forage_free(text);
    assert_non_null(object);
    json_t *users = json_object_get(object, "new_users");
    assert_int_equal(json_array_size(json_object_get(users, "visit")), S3_LIFE);
    assert_int_equal(json_integer_value(json_object_get(users, "new_users")), 1000);
    json_t *arm = json_array_get(json_object_get(users, "predictors"), 3);
    assert_string_equal(json_string_value(json_object_get(arm, "name")), "bst");
    json_t *late = json_object_get(json_object_get(arm, "late_excess"), "value");
    assert_true(fabs(json_real_value(late) - (0.403 / 0.40 - 1.002)) < 1e-12);
    assert_int_equal(json_array_size(json_object_get(arm, "log_loss_by_visit")), S3_LIFE);
    json_t *steady = json_object_get(object, "steady");
    assert_non_null(strstr(json_string_value(json_object_get(steady, "scenario")), hostile));
    assert_int_equal(json_array_size(json_object_get(steady, "predictors")), S3_ARMS);
    json_decref(object);
}

static void test_text(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; ++plain) {
        const forage_terminal terminal = {.columns = 80, .plain = plain};
        char *text;
        assert_int_equal(forage_chapter3_text(&sample.chapter, &terminal, &text, NULL), FORAGE_OK);
        assert_non_null(strstr(text, "from visit 21 on"));
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
    const forage_chapter3 empty = {0};
    forage_chapter3 parts[3] = {sample.chapter, sample.chapter, sample.chapter};
    char *text;
    assert_int_equal(forage_chapter3_json(&empty, &text, NULL), FORAGE_OK);
    forage_free(text);
    assert_int_equal(forage_chapter3_text(&empty, NULL, &text, NULL), FORAGE_INVALID);
    assert_null(text);
    parts[0].users.table.predictor_count = 1;
    parts[1].sessions[0].table.point_count = 1;
    parts[2].sessions[1].table.predictor_count = 0;
    for (size_t i = 0; i < 3; ++i)
        assert_int_equal(forage_study_write(&(forage_study){.chapter3 = &parts[i]}, &options, NULL, NULL),
                         FORAGE_INVALID);
}

/* A single world: no intervals, nothing beyond chance. And one that stays away from the limit. */
static void test_one_world(void **state)
{
    (void)state;
    sample_predictors *const tables[] = {&sample.life, &sample.sessions[0], &sample.sessions[1]};
    for (size_t t = 0; t < 3; ++t)
        for (size_t a = 0; a < S3_ARMS; ++a) {
            forage_predictor *arm = &tables[t]->arms[a];
            arm->loss.low = arm->loss.high = arm->auc.low = arm->auc.high = NAN;
            arm->more.low = arm->more.high = arm->late.low = arm->late.high = NAN;
            arm->loss_behind.low = arm->loss_behind.high = arm->auc_behind.low = arm->auc_behind.high = NAN;
            for (size_t p = 0; p < S3_LIFE; ++p) {
                forage_estimate *numbers[] = {&tables[t]->numbers[a][0][p], &tables[t]->numbers[a][1][p]};
                for (size_t n = 0; n < 2; ++n)
                    numbers[n]->low = numbers[n]->high = NAN;
            }
        }
    for (size_t p = 0; p < S3_LIFE; ++p)
        sample.life.numbers[3][1][p].value += 0.02;
    sample.chapter.seeds = 1;
    assert_int_equal(write_report(NULL, NULL), FORAGE_OK);
    char *html = read_whole("index.html");
    assert_null(strstr(html, "nan"));
    says(html, "0.0980 nats against the bag of history (with a single world there is no interval");
    says(html, "it is not within 1\u00a0% of the limit");
    forage_free(html);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 400; nth += 7) {
        char *text = NULL;
        forage_alloc_fail_at(nth);
        forage_status status = forage_chapter3_text(&sample.chapter, NULL, &text, NULL);
        forage_alloc_fail_at(0);
        assert_true((status == FORAGE_OK) == (text != NULL));
        forage_free(text);
    }
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_report_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_page),       IN_FOLDER(test_without_gnuplot), IN_FOLDER(test_json),      IN_FOLDER(test_text),
        IN_FOLDER(test_incomplete), IN_FOLDER(test_one_world),       IN_FOLDER(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
