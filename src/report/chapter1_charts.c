/*
 * The charts of chapter 1.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chapter1.h"
#include "report/charts.h"

#include <math.h>
#include <string.h>

enum { PERSONAS_MOST = 12 };

static bool personas_chart(const forage_chapter1 *chapter, report_pool *pool, forage_chart *chart)
{
    const forage_persona_predictions *found = &chapter->predictions;
    size_t panels = found->persona_count < PERSONAS_MOST ? found->persona_count : PERSONAS_MOST;
    charts_part parts[PERSONAS_MOST] = {{0}};
    const char **names = charts_names(pool, found->categories, found->category_count);
    if (!charts_start(pool, chart, panels, 2, 0, parts))
        return false;
    double highest = 0;
    for (size_t i = 0; i < panels * found->category_count; ++i) {
        highest = fmax(highest, found->truth[i]);
        if (found->one[i].count > 0)
            highest = fmax(highest, found->one[i].maximum);
    }
    for (size_t p = 0; p < panels; ++p) {
        size_t row = p * found->category_count;
        parts[p].series[0] = (forage_chart_series){.name = "predicted, over the products of a category",
                                                   .mark = FORAGE_MARK_BOXES,
                                                   .ink = FORAGE_INK_BLUE,
                                                   .count = found->category_count,
                                                   .boxes = &found->one[row]};
        parts[p].series[1] = (forage_chart_series){.name = "true rate",
                                                   .mark = FORAGE_MARK_DIAMOND,
                                                   .ink = FORAGE_INK_VERMILLION,
                                                   .count = found->category_count,
                                                   .x = &found->truth[row]};
        parts[p].panel->title = found->personas[p];
        parts[p].panel->x =
            (forage_chart_axis){.label = "Click rate", .percent = true, .high = fmin(1, 1.04 * fmax(highest, 0.01))};
        parts[p].panel->y = (forage_chart_axis){.categories = names, .category_count = found->category_count};
    }
    chart->columns = 2;
    chart->narrow_columns = 2;
    chart->name = "personas";
    chart->title = "Predicted click rates for one user of each persona, and the true rates";
    chart->summary = "One panel for each persona; in each a box plot for every category, with a diamond at the true "
                     "click rate.";
    return !pool->failed;
}

/* What each arm earns, as bars. */
static bool arms_chart(const forage_arm *arms, size_t count, report_pool *pool, forage_chart *chart)
{
    charts_part part = {0};
    const char **names = pool_take(pool, count ? count : 1, sizeof *names);
    forage_ink *inks = pool_take(pool, count ? count : 1, sizeof *inks);
    if (!charts_start(pool, chart, 1, 1, 0, &part))
        return false;
    for (size_t a = 0; a < count; ++a) {
        names[a] = arms[a].name;
        inks[a] = a == 0 ? FORAGE_INK_BLUE : strstr(arms[a].name, "oracle") ? FORAGE_INK_GREEN : FORAGE_INK_VERMILLION;
    }
    part.series[0] = (forage_chart_series){.mark = FORAGE_MARK_BARS, .inks = inks};
    if (!charts_estimates(pool, count ? &arms[0].click_rate : NULL, sizeof *arms, count, part.series, true))
        return false;
    part.panel->x = (forage_chart_axis){.label = "Expected click rate", .percent = true, .zero = true};
    part.panel->y = (forage_chart_axis){.categories = names, .category_count = count};
    return true;
}

static bool new_users_chart(const forage_chapter1 *chapter, report_pool *pool, forage_chart *chart)
{
    const forage_cold_start *cold = &chapter->cold_start;
    if (!arms_chart(cold->user_arms, cold->user_arm_count, pool, chart))
        return false;
    chart->name = "new-users";
    chart->title = "New users: what can be done for them, and what it earns";
    chart->summary =
        pool_format(pool, "Bars of expected click rates with 95 %% intervals over %zu simulated worlds.", cold->seeds);
    return !pool->failed;
}

static bool new_products_chart(const forage_chapter1 *chapter, report_pool *pool, forage_chart *chart)
{
    const forage_cold_start *cold = &chapter->cold_start;
    if (!arms_chart(cold->item_arms, cold->item_arm_count, pool, chart))
        return false;
    chart->name = "new-products";
    chart->title = "New products: what can be done about them, and what it earns";
    chart->summary =
        pool_format(pool, "Bars of expected click rates with 95 %% intervals over %zu simulated worlds.", cold->seeds);
    return !pool->failed;
}

static bool drift_chart(const forage_chapter1 *chapter, report_pool *pool, forage_chart *chart)
{
    static const forage_ink inks[] = {FORAGE_INK_GREEN, FORAGE_INK_VERMILLION, FORAGE_INK_BLUE, FORAGE_INK_PURPLE};
    enum { INKS = sizeof inks / sizeof *inks };
    const forage_drift *drift = &chapter->drift;
    size_t lines = drift->overall_count, panels = lines > 0 ? drift->series_count / lines : 0;
    charts_part parts[2] = {{0}};
    if (panels > 2 || panels == 0 || !charts_start(pool, chart, panels, lines, 1, parts))
        return false;
    double low = INFINITY, high = -INFINITY; /* both panels have the same scale */
    for (size_t s = 0; s < drift->series_count; ++s) {
        for (size_t i = 0; i < drift->series[s].count; ++i) {
            low = fmin(low, fmin(drift->series[s].y[i].value, drift->series[s].y[i].low));
            high = fmax(high, fmax(drift->series[s].y[i].value, drift->series[s].y[i].high));
        }
    }
    double pad = high > low ? 0.06 * (high - low) : 0.05;
    for (size_t p = 0; p < panels; ++p) {
        for (size_t s = 0; s < lines; ++s) {
            const forage_series *curve = &drift->series[p * lines + s];
            parts[p].series[s] = (forage_chart_series){
                .name = drift->series[s].name, .ink = inks[s % INKS], .dashed = s >= 2, .x = curve->x};
            if (curve->count == 0 ||
                !charts_estimates(pool, curve->y, sizeof *curve->y, curve->count, &parts[p].series[s], false))
                return false;
        }
        parts[p].references[0] = (forage_chart_reference){'x', drift->event_day, "tastes change", FORAGE_INK_BLACK};
        parts[p].panel->title = p == 0 ? "All users" : "The users whose tastes change";
        parts[p].panel->x.label = "Day";
        parts[p].panel->y = (forage_chart_axis){
            .label = "Expected click rate", .percent = true, .low = fmax(0, low - pad), .high = high + pad};
    }
    chart->columns = 2;
    chart->name = "drift";
    chart->title = "Tastes change, and the model does not: click rate day by day";
    chart->summary = pool_format(
        pool,
        "For users whose tastes change, the model trained once earns %s before and %s after; trained every night it "
        "is at %s on the last day.",
        pool_percent(pool, drift->before_drifted.value), pool_percent(pool, drift->after_drifted.value),
        pool_percent(pool, drift->recovered_drifted.value));
    return !pool->failed;
}

static bool loop_chart(const forage_chapter1 *chapter, report_pool *pool, forage_chart *chart)
{
    static const forage_ink inks[] = {FORAGE_INK_BLUE, FORAGE_INK_PURPLE, FORAGE_INK_VERMILLION, FORAGE_INK_BLACK};
    enum { INKS = sizeof inks / sizeof *inks };
    const forage_feedback_loop *loop = &chapter->feedback_loop;
    charts_part parts[2] = {{0}};
    double *rounds = charts_counting(pool, loop->round_count, 0);
    if (loop->arm_count == 0 || loop->round_count == 0 || !charts_start(pool, chart, 2, loop->arm_count, 0, parts))
        return false;
    for (size_t a = 0; a < loop->arm_count; ++a) {
        const forage_loop_round *first = loop->arms[a].rounds;
        for (size_t p = 0; p < 2; ++p) {
            parts[p].series[a] =
                (forage_chart_series){.name = loop->arms[a].name, .ink = inks[a % INKS], .dashed = a == 1, .x = rounds};
            if (!charts_estimates(pool, p == 0 ? &first->distinct : &first->lost, sizeof *first, loop->round_count,
                                  &parts[p].series[a], false))
                return false;
        }
    }
    for (size_t p = 0; p < 2; ++p)
        parts[p].panel->x.label = "Round of training";
    parts[0].panel->title = "Catalogue that is still shown";
    parts[0].panel->y = (forage_chart_axis){.label = "Different products in a round", .zero = true};
    parts[1].panel->title = "Click rate lost to the oracle";
    parts[1].panel->y = (forage_chart_axis){.label = "Oracle's rate minus the model's", .percent = true, .zero = true};
    const forage_loop_arm *own = &loop->arms[loop->arm_count - 1];
    chart->columns = 2;
    chart->name = "feedback-loop";
    chart->title = "Training on the traffic that the model itself directed, round by round";
    chart->summary = pool_format(
        pool,
        "On its own traffic alone the model ends with %s different products shown in a round, and loses %s to the "
        "oracle.",
        pool_fixed(pool, own->rounds[loop->round_count - 1].distinct.value, 1),
        pool_points(pool, own->rounds[loop->round_count - 1].lost.value));
    return !pool->failed;
}

bool chapter1_describe(const forage_chapter1 *chapter, report_pool *pool, forage_chart charts[CHAPTER1_CHARTS])
{
    memset(charts, 0, CHAPTER1_CHARTS * sizeof *charts);
    return charts_loss(&chapter->training, pool, &charts[CHAPTER1_LOSS]) &&
           personas_chart(chapter, pool, &charts[CHAPTER1_PERSONAS]) &&
           charts_calibration(&chapter->metrics, pool, &charts[CHAPTER1_CALIBRATION]) &&
           new_users_chart(chapter, pool, &charts[CHAPTER1_NEW_USERS]) &&
           new_products_chart(chapter, pool, &charts[CHAPTER1_NEW_PRODUCTS]) &&
           drift_chart(chapter, pool, &charts[CHAPTER1_DRIFT]) && loop_chart(chapter, pool, &charts[CHAPTER1_LOOP]);
}
