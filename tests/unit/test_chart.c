/*
 * Charts: escaping, gnuplot and what it draws, the terminal, CSV.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check_markup.h"
#include "report/chart.h"
#include "report/gnuplot.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const char hostile[] = "`touch pwned` '; system(\"touch pwned\") \"<b>&amp;\" %d%s $(x) @m ^_{}\\ \x01\xff";

static bool have_gnuplot(void)
{
    report_text script = {0}, output = {0};
    report_add(&script, "print 1\n");
    forage_status status = report_gnuplot(NULL, &script, &output, NULL);
    report_text_release(&script);
    report_text_release(&output);
    return status == FORAGE_OK;
}

/* ------------------------------------------------------------------ *
 * Text
 * ------------------------------------------------------------------ */

typedef void add_function(report_text *text, const char *plain);

static void assert_added(add_function *add, const char *plain, const char *expected)
{
    report_text text = {0};
    add(&text, plain);
    assert_false(text.failed);
    assert_string_equal(text.bytes, expected);
    report_text_release(&text);
}

static void test_html(void **state)
{
    (void)state;
    assert_added(report_html, "<script>alert('x & \"y\"')</script>",
                 "&lt;script&gt;alert(&#39;x &amp; &quot;y&quot;&#39;)&lt;/script&gt;");
    assert_added(report_html, "a\xff\x80z", "a\xEF\xBF\xBD\xEF\xBF\xBDz");
    assert_added(report_html, "Z\xC3\xBCrich \xF0\x9F\x90\xB6", "Z\xC3\xBCrich \xF0\x9F\x90\xB6");
    assert_added(report_html, "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"); /* a surrogate */
    assert_added(report_html, "\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD");                 /* overlong */
    assert_added(report_html, "a\x01\nb", "a  b");
    assert_added(report_html,
                 "a\xE2\x80\xAE"
                 "b",
                 "a\xEF\xBF\xBD"
                 "b"); /* right-to-left override */
}

static void quote_whole(report_text *text, const char *plain)
{
    report_quote(text, plain, 0);
}

static void quote_five(report_text *text, const char *plain)
{
    report_quote(text, plain, 5);
}

static void quote_tic(report_text *text, const char *plain)
{
    report_quote_tic(text, plain, 0);
}

static void test_quotes(void **state)
{
    (void)state;
    assert_added(quote_whole, "it's", "'it''s'");
    assert_added(quote_whole, "a\nb", "'a b'");
    assert_added(quote_five, "abcde", "'abcde'");
    assert_added(quote_five, "abcdef", "'abcd…'");
    assert_added(quote_tic, "50 %", "'50 %%'");
    assert_added(report_csv, "plain", "plain");
    assert_added(report_csv, "a,\"b\"", "\"a,\"\"b\"\"\"");
    assert_added(report_json, "a\"\\\n\x7f", "\"a\\\"\\\\\\u000a\\u007f\"");
}

static void assert_fixed(double value, int decimals, const char *expected)
{
    report_text text = {0};
    report_fixed(&text, value, decimals);
    assert_string_equal(text.bytes, expected);
    report_text_release(&text);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_fixed(0.39973, 4, "0.3997");
    assert_fixed(-0.05, 2, "−0.05");
    assert_fixed(-0.0001, 2, "0.00");
    assert_fixed(12.0, 0, "12");
    assert_fixed(NAN, 2, "–");
    report_text text = {0};
    report_count(&text, 1234567);
    report_add(&text, " ");
    report_percent(&text, 0.2101, 1);
    assert_string_equal(text.bytes, "1,234,567 21.0\u00a0%");
    report_text_release(&text);
}

/* ------------------------------------------------------------------ *
 * Charts
 * ------------------------------------------------------------------ */

static const double steps[] = {1, 2, 3, 4}, losses[] = {0.5, 0.45, 0.42, 0.41}, low[] = {0.49, 0.44, NAN, 0.4},
                    high[] = {0.51, 0.46, NAN, 0.42};
static const char *const categories[] = {hostile, "Cat Food", ""};
static const forage_box boxes[] = {{.count = 5,
                                    .minimum = 0.1,
                                    .whisker_low = 0.1,
                                    .quartile_low = 0.2,
                                    .median = 0.25,
                                    .quartile_high = 0.3,
                                    .whisker_high = 0.4,
                                    .maximum = 0.4},
                                   {.count = 0},
                                   {.count = 1,
                                    .minimum = 0.5,
                                    .whisker_low = 0.5,
                                    .quartile_low = 0.5,
                                    .median = 0.5,
                                    .quartile_high = 0.5,
                                    .whisker_high = 0.5,
                                    .maximum = 0.5}};

static const forage_chart_series line_series[] = {
    {.name = hostile, .mark = FORAGE_MARK_LINE, .count = 4, .x = steps, .y = losses, .low = low, .high = high},
    {.name = "points", .mark = FORAGE_MARK_POINTS, .ink = FORAGE_INK_GREEN, .count = 4, .x = steps, .y = losses}};
static const forage_chart_reference line_references[] = {{'y', 0.3997, hostile, FORAGE_INK_GREEN},
                                                         {'x', 2.5, hostile, FORAGE_INK_BLACK},
                                                         {'d', 0, "diagonal", FORAGE_INK_GREY}};
static const forage_chart_panel line_panel = {.title = hostile,
                                              .x = {.label = hostile},
                                              .y = {.label = hostile},
                                              .series = line_series,
                                              .series_count = 2,
                                              .references = line_references,
                                              .reference_count = 3};
static const forage_chart line_chart = {
    .name = "lines", .title = hostile, .summary = hostile, .panels = &line_panel, .panel_count = 1};

static const forage_chart_series box_series[] = {
    {.name = "boxes", .mark = FORAGE_MARK_BOXES, .count = 3, .boxes = boxes},
    {.name = "truth", .mark = FORAGE_MARK_DIAMOND, .ink = FORAGE_INK_VERMILLION, .count = 3, .x = losses},
    {.name = hostile, .mark = FORAGE_MARK_BARS, .count = 3, .x = losses, .low = low, .high = high}};
#define BOX_PANEL                                                                                           \
    {                                                                                                       \
        .x = {.percent = true}, .y = {.categories = categories, .category_count = 3}, .series = box_series, \
        .series_count = 3                                                                                   \
    }
static const forage_chart_panel box_panels[] = {BOX_PANEL, BOX_PANEL, BOX_PANEL};
static const forage_chart box_chart = {.name = "boxes",
                                       .title = "Boxes",
                                       .summary = "Boxes.",
                                       .panels = box_panels,
                                       .panel_count = 3,
                                       .columns = 2,
                                       .narrow_columns = 2};
static const forage_chart *const both[] = {&line_chart, &box_chart};

static void test_draw(void **state)
{
    (void)state;
    if (!have_gnuplot())
        return; /* skipped: cmocka's skip() would count as a failure */
    forage_chart_pictures pictures[2];
    forage_error error = {0};
    forage_status status = forage_charts_draw(both, 2, NULL, pictures, &error);
    if (status != FORAGE_OK)
        fail_msg("%s", error.message);
    for (size_t c = 0; c < 2; ++c) {
        assert_string_equal(markup_fault(pictures[c].svg.bytes), "");
        assert_string_equal(markup_fault(pictures[c].wide.bytes), "");
        assert_string_equal(markup_fault(pictures[c].narrow.bytes), "");
        assert_memory_equal(pictures[c].png.bytes, "\x89PNG", 4);
        assert_null(strstr(pictures[c].wide.bytes, " id="));
        assert_null(strstr(pictures[c].wide.bytes, "rgb("));
        assert_non_null(strstr(pictures[c].wide.bytes, "var(--blue,#0072b2)"));
        /* Names arrive as they are: nothing was substituted, nothing was lost. */
        assert_non_null(strstr(pictures[c].svg.bytes, "`touch pwned` '; system(\"touch pwned\") \"&lt;b>&amp;amp;\" "
                                                      "%d%s $(x) @m ^_{}\\ "));
    }
    assert_int_not_equal(access("pwned", F_OK), 0);
    forage_charts_release(pictures, 2);
}

static void test_same_bytes(void **state)
{
    (void)state;
    if (!have_gnuplot())
        return; /* skipped: cmocka's skip() would count as a failure */
    forage_chart_pictures once[2], again[2];
    assert_int_equal(forage_charts_draw(both, 2, NULL, once, NULL), FORAGE_OK);
    assert_int_equal(forage_charts_draw(both, 2, NULL, again, NULL), FORAGE_OK);
    assert_string_equal(once[0].svg.bytes, again[0].svg.bytes);
    assert_int_equal(once[1].png.size, again[1].png.size);
    forage_charts_release(once, 2);
    forage_charts_release(again, 2);
}

static void test_no_gnuplot(void **state)
{
    (void)state;
    forage_chart_pictures pictures[2];
    forage_error error = {0};
    assert_int_equal(forage_charts_draw(both, 2, "no-such-gnuplot", pictures, &error), FORAGE_UNSUPPORTED);
    assert_non_null(strstr(error.message, "apt-get install gnuplot-nox"));
    assert_null(pictures[0].svg.bytes);
    /* Programs that are there and draw nothing, or fail. */
    assert_int_equal(forage_charts_draw(both, 2, "true", pictures, &error), FORAGE_IO);
    assert_int_equal(forage_charts_draw(both, 2, "false", pictures, &error), FORAGE_IO);
    assert_non_null(strstr(error.message, "gnuplot failed"));
    assert_null(pictures[1].png.bytes);
}

static void test_gnuplot_complains(void **state)
{
    (void)state;
    if (!have_gnuplot())
        return; /* skipped: cmocka's skip() would count as a failure */
    report_text script = {0}, output = {0};
    report_add(&script, "plot nonsense(\n");
    forage_error error = {0};
    assert_int_equal(report_gnuplot(NULL, &script, &output, &error), FORAGE_IO);
    assert_non_null(strstr(error.message, "line "));
    report_text_release(&script);
    report_text_release(&output);
}

static void test_refused(void **state)
{
    (void)state;
    forage_chart_pictures pictures[1];
    forage_error error = {0};
    forage_chart chart = line_chart;
    chart.name = "../x";
    const forage_chart *list[] = {&chart};
    assert_int_equal(forage_charts_draw(list, 1, NULL, pictures, &error), FORAGE_INVALID);
    forage_chart_panel panel = line_panel;
    chart = line_chart;
    chart.panels = &panel;
    panel.series = box_series;
    assert_int_equal(forage_charts_draw(list, 1, NULL, pictures, &error), FORAGE_INVALID);
    panel.series = line_series;
    panel.x.high = INFINITY;
    assert_int_equal(forage_charts_draw(list, 1, NULL, pictures, &error), FORAGE_INVALID);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 40; ++nth) {
        forage_chart_pictures pictures[2];
        forage_alloc_fail_at(nth);
        forage_status status = forage_charts_draw(both, 2, have_gnuplot() ? NULL : "true", pictures, NULL);
        forage_alloc_fail_at(0);
        if (status == FORAGE_OK)
            forage_charts_release(pictures, 2);
    }
    for (uint64_t nth = 1; nth < 8; ++nth) {
        char *text = NULL;
        forage_alloc_fail_at(nth);
        (void)forage_chart_text(&box_chart, NULL, &text, NULL);
        forage_alloc_fail_at(0);
        forage_free(text);
    }
}

static void test_terminal(void **state)
{
    (void)state;
    for (size_t columns = 0; columns < 130; columns += 13) {
        for (int way = 0; way < 4; ++way) {
            forage_terminal terminal = {.columns = columns, .plain = way & 1, .colour = way & 2};
            for (size_t c = 0; c < 2; ++c) {
                char *text = NULL;
                assert_int_equal(forage_chart_text(both[c], &terminal, &text, NULL), FORAGE_OK);
                assert_non_null(strstr(text, c == 0 ? "touch" : "Boxes"));
                for (const char *at = text; way == 1 && *at; ++at)
                    assert_true(*at == '\n' || (*at >= 0x20 && *at < 0x7F));
                forage_free(text);
            }
        }
    }
}

static void test_csv(void **state)
{
    (void)state;
    char *text = NULL;
    assert_int_equal(forage_chart_csv(&box_chart, &text, NULL), FORAGE_OK);
    assert_non_null(strstr(text, "\n,boxes,Cat Food,,,,,"));
    assert_non_null(strstr(text, "\n,truth,Cat Food,0.45,"));
    forage_free(text);
}

/* Names instead of numbers on the x axis, and dots of different shapes. */
static void test_names_and_shapes(void **state)
{
    static const char *const names[] = {"1", hostile, "20"};
    static const char *const symbols[] = {"#gpPt6'", "#gpPt4'", "#gpPt8'", "#gpPt12'", "#gpPt10'"};
    enum { SHAPES = sizeof symbols / sizeof *symbols };
    const double places[] = {0, 1, 2}, heights[] = {0.1, 0.2, 0.42, 0.5, 0.7, 0.8, 0.9};
    forage_chart_series series[SHAPES];
    char *text = NULL;
    (void)state;
    for (size_t s = 0; s < SHAPES; ++s)
        series[s] = (forage_chart_series){.name = "dots",
                                          .mark = FORAGE_MARK_POINTS,
                                          .shape = (forage_shape)s,
                                          .count = 3,
                                          .x = places,
                                          .y = heights + s};
    const forage_chart_panel panel = {
        .x = {.categories = names, .category_count = 3}, .series = series, .series_count = SHAPES};
    const forage_chart chart = {
        .name = "dots", .title = "Dots", .summary = "Dots.", .panels = &panel, .panel_count = 1};
    const forage_chart *const list[] = {&chart};
    assert_int_equal(forage_chart_csv(&chart, &text, NULL), FORAGE_OK);
    assert_non_null(strstr(text, "\n,dots,20,2,0.42,"));
    forage_free(text);
    assert_int_equal(forage_chart_text(&chart, &(forage_terminal){.plain = true}, &text, NULL), FORAGE_OK);
    assert_non_null(strstr(text, " 20"));
    assert_non_null(strchr(text, '^'));
    forage_free(text);
    forage_chart_pictures pictures[1];
    if (!have_gnuplot())
        return; /* skipped: cmocka's skip() would count as a failure */
    assert_int_equal(forage_charts_draw(list, 1, NULL, pictures, NULL), FORAGE_OK);
    for (size_t s = 0; s < SHAPES; ++s)
        assert_non_null(strstr(pictures[0].wide.bytes, symbols[s]));
    assert_non_null(strstr(pictures[0].svg.bytes, "`touch pwned`"));
    forage_charts_release(pictures, 1);
}

static void test_degenerate_axes(void **state)
{
    (void)state;
    if (!have_gnuplot())
        return; /* skipped: cmocka's skip() would count as a failure */
    const double nothing[] = {NAN, NAN}, same[] = {3, 3};
    const forage_chart_series series[] = {{.mark = FORAGE_MARK_LINE, .count = 2, .x = nothing, .y = nothing},
                                          {.mark = FORAGE_MARK_LINE, .count = 1, .x = same, .y = same}};
    for (size_t s = 0; s < 2; ++s) {
        const forage_chart_panel panel = {.series = &series[s], .series_count = 1};
        const forage_chart chart = {
            .name = "x", .title = "x", .summary = "x", .panels = &panel, .panel_count = 1, .columns = 1};
        const forage_chart *list[] = {&chart};
        forage_chart_pictures pictures[1];
        forage_error error = {0};
        if (forage_charts_draw(list, 1, NULL, pictures, &error) != FORAGE_OK)
            fail_msg("%s", error.message);
        forage_charts_release(pictures, 1);
        char *text = NULL;
        assert_int_equal(forage_chart_text(&chart, NULL, &text, NULL), FORAGE_OK);
        forage_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_html),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_draw),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_no_gnuplot),
        cmocka_unit_test(test_gnuplot_complains),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_names_and_shapes),
        cmocka_unit_test(test_degenerate_axes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
