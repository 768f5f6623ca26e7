/*
 * The charts of chapter 1.
 */
#include "report/chapter1.h"

#include <math.h>
#include <string.h>

/* One chart of one panel, its parts in the pool. */
typedef struct single {
    forage_chart_panel *panel;
    forage_chart_series *series;
    forage_chart_reference *references;
} single;

static bool start(report_pool *pool, forage_chart *chart, size_t panels, size_t series, size_t references,
                  single *parts)
{
    forage_chart_panel *all = pool_take(pool, panels, sizeof *all);
    for (size_t p = 0; all && p < panels; ++p) {
        parts[p].panel = &all[p];
        parts[p].series = pool_take(pool, series, sizeof *parts[p].series);
        parts[p].references = pool_take(pool, references ? references : 1, sizeof *parts[p].references);
        all[p].series = parts[p].series;
        all[p].series_count = series;
        all[p].references = parts[p].references;
        all[p].reference_count = references;
    }
    chart->panels = all;
    chart->panel_count = panels;
    chart->columns = 1;
    return !pool->failed;
}

/* 1, 2, 3 ... or any first number. */
static double *counting(report_pool *pool, size_t count, double first)
{
    double *numbers = pool_take(pool, count, sizeof *numbers);
    for (size_t i = 0; numbers && i < count; ++i)
        numbers[i] = first + (double)i;
    return numbers;
}

static const char **names_of(report_pool *pool, char (*names)[64], size_t count)
{
    const char **list = pool_take(pool, count ? count : 1, sizeof *list);
    for (size_t i = 0; list && i < count; ++i)
        list[i] = names[i];
    return list;
}

/* Values and ends of estimates that lie `stride` bytes apart. */
static bool estimates(report_pool *pool, const forage_estimate *first, size_t stride, size_t count,
                      forage_chart_series *series, bool along_x)
{
    double *value = pool_take(pool, count, sizeof *value), *low = pool_take(pool, count, sizeof *low),
           *high = pool_take(pool, count, sizeof *high);
    if (!value || !low || !high)
        return false;
    for (size_t i = 0; i < count; ++i) {
        forage_estimate estimate;
        memcpy(&estimate, (const char *)first + i * stride, sizeof estimate);
        value[i] = estimate.value;
        low[i] = estimate.low;
        high[i] = estimate.high;
    }
    if (along_x)
        series->x = value;
    else
        series->y = value;
    series->low = low;
    series->high = high;
    series->count = count;
    return true;
}

static bool loss_chart(const forage_chapter1 *chapter, report_pool *pool, forage_chart *chart)
{
    const forage_training_record *training = &chapter->training;
    single part = {0};
    double *epochs = counting(pool, training->epochs, 1);
    if (!start(pool, chart, 1, 2, 2, &part))
        return false;
    part.series[0] = (forage_chart_series){.name = "training rows",
                                           .ink = FORAGE_INK_GREY,
                                           .dashed = true,
                                           .count = training->epochs,
                                           .x = epochs,
                                           .y = training->train_loss};
    part.series[1] = (forage_chart_series){.name = "validation rows",
                                           .ink = FORAGE_INK_BLUE,
                                           .count = training->epochs,
                                           .x = epochs,
                                           .y = training->validation_loss};
    part.references[0] = (forage_chart_reference){
        'y', training->oracle_validation,
        pool_format(pool, "oracle %s", pool_fixed(pool, training->oracle_validation, 4)), FORAGE_INK_GREEN};
    part.references[1] = (forage_chart_reference){
        'y', training->base_validation,
        pool_format(pool, "same rate for all %s", pool_fixed(pool, training->base_validation, 4)), FORAGE_INK_GREY};
    part.panel->x.label = "Epoch";
    part.panel->y.label = "Log loss (nats per interaction)";
    chart->name = "loss";
    chart->title = "Loss after each epoch of training, and the two lines that frame it";
    size_t last = training->epochs > 0 ? training->epochs - 1 : 0;
    chart->summary = pool_format(
        pool, "Validation loss goes from %s after the first epoch to %s after the last; the oracle's is %s.",
        pool_fixed(pool, training->epochs ? training->validation_loss[0] : NAN, 4),
        pool_fixed(pool, training->epochs ? training->validation_loss[last] : NAN, 4),
        pool_fixed(pool, training->oracle_validation, 4));
    return !pool->failed;
}

enum { PERSONAS_MOST = 12 };

static bool personas_chart(const forage_chapter1 *chapter, report_pool *pool, forage_chart *chart)
{
    const forage_persona_predictions *found = &chapter->predictions;
    size_t panels = found->persona_count < PERSONAS_MOST ? found->persona_count : PERSONAS_MOST;
    single parts[PERSONAS_MOST] = {{0}};
    const char **names = names_of(pool, found->categories, found->category_count);
    if (!start(pool, chart, panels, 2, 0, parts))
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

static bool calibration_chart(const forage_chapter1 *chapter, report_pool *pool, forage_chart *chart)
{
    const forage_metrics *metrics = &chapter->metrics;
    single part = {0};
    double *x = pool_take(pool, FORAGE_RELIABILITY_BINS_MAX, sizeof *x);
    double *y = pool_take(pool, FORAGE_RELIABILITY_BINS_MAX, sizeof *y);
    double *low = pool_take(pool, FORAGE_RELIABILITY_BINS_MAX, sizeof *low);
    double *high = pool_take(pool, FORAGE_RELIABILITY_BINS_MAX, sizeof *high);
    if (!start(pool, chart, 1, 1, 1, &part))
        return false;
    size_t count = 0;
    double end = 0.05;
    for (size_t b = 0; b < metrics->mass_bin_count; ++b) {
        const forage_reliability_bin *bin = &metrics->bins_mass[b];
        if (bin->count == 0)
            continue;
        x[count] = bin->mean_prediction;
        y[count] = bin->positive_rate;
        low[count] = fmax(0, bin->positive_rate - 1.96 * bin->deviation);
        high[count] = fmin(1, bin->positive_rate + 1.96 * bin->deviation);
        end = fmax(end, fmax(x[count], high[count]));
        ++count;
    }
    part.series[0] = (forage_chart_series){
        .mark = FORAGE_MARK_POINTS, .ink = FORAGE_INK_BLUE, .count = count, .x = x, .y = y, .low = low, .high = high};
    part.references[0] = (forage_chart_reference){'d', 0, "perfectly calibrated", FORAGE_INK_GREY};
    part.panel->x = (forage_chart_axis){.label = "Predicted click rate", .percent = true, .high = fmin(1, 1.05 * end)};
    part.panel->y = (forage_chart_axis){.label = "Observed click rate", .percent = true, .high = fmin(1, 1.05 * end)};
    chart->name = "calibration";
    chart->title = "Predicted and observed click rates on the validation rows, with 95 % intervals";
    chart->summary =
        pool_format(pool, "%zu groups of equally many rows, by predicted rate; the calibration error is %s.", count,
                    pool_percent(pool, metrics->ece.value));
    return !pool->failed;
}

/* What each arm earns, as bars. */
static bool arms_chart(const forage_arm *arms, size_t count, report_pool *pool, forage_chart *chart)
{
    single part = {0};
    const char **names = pool_take(pool, count ? count : 1, sizeof *names);
    forage_ink *inks = pool_take(pool, count ? count : 1, sizeof *inks);
    if (!start(pool, chart, 1, 1, 0, &part))
        return false;
    for (size_t a = 0; a < count; ++a) {
        names[a] = arms[a].name;
        inks[a] = a == 0 ? FORAGE_INK_BLUE : strstr(arms[a].name, "oracle") ? FORAGE_INK_GREEN : FORAGE_INK_VERMILLION;
    }
    part.series[0] = (forage_chart_series){.mark = FORAGE_MARK_BARS, .inks = inks};
    if (!estimates(pool, count ? &arms[0].click_rate : NULL, sizeof *arms, count, part.series, true))
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
    single parts[2] = {{0}};
    if (panels > 2 || panels == 0 || !start(pool, chart, panels, lines, 1, parts))
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
                !estimates(pool, curve->y, sizeof *curve->y, curve->count, &parts[p].series[s], false))
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
    single parts[2] = {{0}};
    double *rounds = counting(pool, loop->round_count, 0);
    if (loop->arm_count == 0 || loop->round_count == 0 || !start(pool, chart, 2, loop->arm_count, 0, parts))
        return false;
    for (size_t a = 0; a < loop->arm_count; ++a) {
        const forage_loop_round *first = loop->arms[a].rounds;
        for (size_t p = 0; p < 2; ++p) {
            parts[p].series[a] =
                (forage_chart_series){.name = loop->arms[a].name, .ink = inks[a % INKS], .dashed = a == 1, .x = rounds};
            if (!estimates(pool, p == 0 ? &first->distinct : &first->lost, sizeof *first, loop->round_count,
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
    return loss_chart(chapter, pool, &charts[CHAPTER1_LOSS]) &&
           personas_chart(chapter, pool, &charts[CHAPTER1_PERSONAS]) &&
           calibration_chart(chapter, pool, &charts[CHAPTER1_CALIBRATION]) &&
           new_users_chart(chapter, pool, &charts[CHAPTER1_NEW_USERS]) &&
           new_products_chart(chapter, pool, &charts[CHAPTER1_NEW_PRODUCTS]) &&
           drift_chart(chapter, pool, &charts[CHAPTER1_DRIFT]) && loop_chart(chapter, pool, &charts[CHAPTER1_LOOP]);
}
