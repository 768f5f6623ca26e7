/*
 * Chapter 1 as a page. Every number in it comes from the record; sentences say
 * what was measured and leave it to the numbers how much that is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chapter1.h"
#include "report/page.h"
#include "report/story.h"

#include <math.h>
#include <string.h>

static const forage_chapter1 *chapter_of(const report_story *story)
{
    return story->record;
}

/* ------------------------------------------------------------------ *
 * The figures that open the page
 * ------------------------------------------------------------------ */

static void keys(const report_story *story)
{
    const forage_chapter1 *chapter = story->record;
    const forage_metrics *metrics = &chapter->metrics;
    const forage_cold_start *cold = &chapter->cold_start;
    const forage_drift *drift = &chapter->drift;
    const forage_feedback_loop *loop = &chapter->feedback_loop;
    report_pool *pool = story->pool;
    const forage_loop_round *last = &loop->arms[loop->arm_count - 1].rounds[loop->round_count - 1];
    const page_key list[] = {
        {"Log loss, unseen rows", pool_fixed(pool, metrics->log_loss.value, 4),
         pool_format(pool, "the true rates score %s, the best any model can expect",
                     pool_fixed(pool, metrics->oracle_log_loss.value, 4))},
        {"AUC", pool_fixed(pool, metrics->auc.value, 3),
         pool_format(pool, "calibration error %s", pool_percent(pool, metrics->ece.value))},
        {"Click rate of its choices", pool_percent(pool, chapter->choice.model),
         pool_format(pool, "oracle %s, bestseller %s, at random %s", pool_percent(pool, chapter->choice.oracle),
                     pool_percent(pool, chapter->choice.popular), pool_percent(pool, chapter->choice.random))},
        {"Flaw 1: a new user", cold->user_arm_count > 1 ? pool_points(pool, cold->user_arms[1].lost.value) : "–",
         pool_format(pool, "of click rate lost; on a known one %s",
                     pool_points(pool, cold->user_arm_count > 0 ? cold->user_arms[0].lost.value : NAN))},
        {"Flaw 2: tastes change", pool_percent(pool, drift->after_drifted.value),
         pool_format(pool, "click rate of those users, from %s before",
                     pool_percent(pool, drift->before_drifted.value))},
        {"Flaw 3: its own traffic", pool_fixed(pool, last->distinct.value, 1),
         pool_format(pool, "products still shown of %zu, after %zu rounds", loop->items, loop->round_count - 1)},
    };
    page_keys(story->html, list, sizeof list / sizeof *list);
}

/* ------------------------------------------------------------------ *
 * Sections
 * ------------------------------------------------------------------ */

/* A name that may be broken behind its underscores. */
static const char *breakable(report_pool *pool, const char *name)
{
    const char *whole = pool_html(pool, name);
    report_text text = {0};
    for (; *whole; ++whole) {
        report_bytes(&text, whole, 1);
        if (*whole == '_')
            report_add(&text, "<wbr>");
    }
    const char *kept = pool_format(pool, "%s", text.bytes ? text.bytes : "");
    report_text_release(&text);
    return kept;
}

/* Observed rates with the true ones under them, shaded by how high they are. */
static void heat_table(const report_story *story)
{
    const forage_log_record *log = &chapter_of(story)->log;
    report_text *html = story->html;
    double highest = 0.01;
    for (size_t i = 0; i < log->persona_count * log->category_count; ++i) {
        if (isfinite(log->cell[i].observed))
            highest = fmax(highest, log->cell[i].observed);
    }
    report_add(html,
               "<div class=\"scroll\"><table class=\"heat\"><caption>Click rates in the log; under each, the true one"
               "</caption>\n<thead><tr><th scope=\"col\">Persona</th>");
    for (size_t c = 0; c < log->category_count; ++c)
        report_format(html, "<th scope=\"col\">%s</th>", pool_html(story->pool, log->categories[c]));
    report_add(html, "</tr></thead>\n<tbody>\n");
    for (size_t p = 0; p < log->persona_count; ++p) {
        report_format(html, "<tr><th scope=\"row\">%s <small>%s users</small></th>",
                      breakable(story->pool, log->personas[p]), pool_count(story->pool, log->persona_users[p]));
        for (size_t c = 0; c < log->category_count; ++c) {
            const forage_rate *cell = &log->cell[p * log->category_count + c];
            int heat = isfinite(cell->observed) ? (int)lround(42 * cell->observed / highest) : 0;
            report_format(html, "<td style=\"--h:%d\">%s<small>%s</small></td>", heat,
                          pool_percent(story->pool, cell->observed), pool_percent(story->pool, cell->truth));
        }
        report_add(html, "</tr>\n");
    }
    report_add(html, "</tbody></table></div>\n");
}

static void data_section(const report_story *story)
{
    const forage_log_record *log = &chapter_of(story)->log;
    const forage_trial_result *trials = &log->trials;
    report_pool *pool = story->pool;
    page_section(story->html, "data", "The data: a shop whose truth is known");
    page_say(
        story->html,
        "The shop is simulated (scenario <code>%s</code>, seed %s). It has %s products in %zu categories and %s "
        "users of %zu personas. A persona says how often its users click on each category; nothing else matters to "
        "a click, and the rest is chance.",
        pool_html(pool, chapter_of(story)->scenario),
        pool_format(pool, "%llu", (unsigned long long)chapter_of(story)->seed), pool_count(pool, log->items),
        log->category_count, pool_count(pool, log->users), log->persona_count);
    if (trials->count > 0)
        page_say(story->html,
                 "How noisy clicks are: before the log began, user %u (<em>%s</em>) looked %s times at a product of "
                 "<em>%s</em> and %s times at one of <em>%s</em>. Clicks came to %s and %s; the true rates are %s and "
                 "%s.",
                 (unsigned)trials->user, pool_html(pool, log->trials_persona), pool_count(pool, trials->count),
                 pool_html(pool, log->trials_high), pool_count(pool, trials->count), pool_html(pool, log->trials_low),
                 pool_percent(pool, (double)trials->high_clicks / (double)trials->count),
                 pool_percent(pool, (double)trials->low_clicks / (double)trials->count),
                 pool_percent(pool, trials->high_rate), pool_percent(pool, trials->low_rate));
    page_say(
        story->html,
        "The log is random traffic: %s times, a random user is shown a random product. %s of these visits ended in "
        "a click, %s.",
        pool_count(pool, log->interactions), pool_count(pool, log->clicks), pool_percent(pool, log->click_rate));
    heat_table(story);
    page_end_section(story->html);
}

static void training_section(const report_story *story)
{
    const forage_training_record *training = &chapter_of(story)->training;
    const forage_metrics *metrics = &chapter_of(story)->metrics;
    report_pool *pool = story->pool;
    page_section(story->html, "training", "Training: how near to the limit");
    page_say(story->html,
             "The model <code>%s</code> sees of each row who the user was, which product, and whether it was "
             "clicked; personas and categories it is not told. It learns from %s rows and is judged on %s others. "
             "Training took %s s on %s.",
             pool_html(pool, training->model), pool_count(pool, training->train_rows),
             pool_count(pool, training->validation_rows), pool_fixed(pool, training->seconds, 2),
             pool_html(pool, training->device));
    story_figure(story, CHAPTER1_LOSS);
    page_say(story->html,
             "Two lines frame the curve. Predicting the same rate for everybody scores %s. The oracle, which knows the "
             "true rates, scores %s: clicks are chance, and no model can expect less. The model ends at %s, that is %s "
             "above the oracle: of the way from one line to the other it has gone %s.",
             pool_fixed(pool, training->base_validation, 4), pool_fixed(pool, training->oracle_validation, 4),
             pool_fixed_estimate(pool, &metrics->log_loss, 4), pool_fixed_estimate(pool, &metrics->excess_log_loss, 4),
             pool_percent(pool, (training->base_validation - metrics->log_loss.value) /
                                    (training->base_validation - training->oracle_validation)));
    page_end_section(story->html);
}

static void predictions_section(const report_story *story)
{
    const forage_chapter1 *chapter = story->record;
    report_pool *pool = story->pool;
    page_section(story->html, "predictions", "What it predicts, and for whom");
    page_say(
        story->html,
        "One user stands for each persona, the first one of the population. The boxes hold the model’s predictions "
        "for the products of a category; the diamond is the truth, the same for all of them.");
    story_figure(story, CHAPTER1_PERSONAS);
    page_say(story->html,
             "Over all pairs of users and products, predictions are off by %s of click rate (root mean square). Always "
             "showing each user the product with the highest prediction would earn a click rate of %s, where the best "
             "possible choice earns %s, the bestseller for everyone %s, and a random product %s. %s of the %s products "
             "are somebody’s first choice.",
             pool_points(pool, chapter->rmse_pairs), pool_percent(pool, chapter->choice.model),
             pool_percent(pool, chapter->choice.oracle), pool_percent(pool, chapter->choice.popular),
             pool_percent(pool, chapter->choice.random), pool_count(pool, chapter->choice.distinct),
             pool_count(pool, chapter->log.items));
    page_end_section(story->html);
}

static void calibration_section(const report_story *story)
{
    const forage_metrics *metrics = &chapter_of(story)->metrics;
    report_pool *pool = story->pool;
    page_section(story->html, "calibration", "Calibration: can its numbers be believed?");
    page_say(story->html,
             "A prediction of 30\u00a0%% should be a click three times in ten. The validation rows, sorted by what "
             "was predicted for them, are cut into groups of equal size; each dot compares the mean prediction of a "
             "group with the clicks that came.");
    story_figure(story, CHAPTER1_CALIBRATION);
    page_say(
        story->html,
        "The calibration error, the mean distance from the diagonal weighted by rows, is %s. The mean prediction is "
        "%s where %s of the rows were clicked.",
        pool_percent_estimate(pool, &metrics->ece), pool_percent(pool, metrics->mean_prediction),
        pool_percent(pool, metrics->base_rate));
    page_metrics(story->html, story->pool, &chapter_of(story)->metrics);
    page_end_section(story->html);
}

static void arms_table(const report_story *story, const char *caption, const forage_arm *arms, size_t count)
{
    static const char *const header[] = {"What is done", "Click rate", "Lost to the oracle"};
    report_pool *pool = story->pool;
    const char **cells = pool_take(pool, 3 * count + 1, sizeof *cells);
    for (size_t a = 0; cells && a < count; ++a) {
        cells[3 * a] = pool_format(pool, "%s\n%s", arms[a].name, arms[a].note);
        cells[3 * a + 1] = pool_percent_estimate(pool, &arms[a].click_rate);
        cells[3 * a + 2] = pool_points(pool, arms[a].lost.value);
    }
    if (cells)
        page_table(story->html, story->pool, caption, header, 3, cells, count);
}

static void cold_section(const report_story *story)
{
    const forage_cold_start *cold = &chapter_of(story)->cold_start;
    report_pool *pool = story->pool;
    page_section(story->html, "cold-start", "Flaw 1: it does not know who or what is new");
    page_say(story->html,
             "The network has one row of numbers for each user and each product of its training log. Somebody new has "
             "none: asked for user or product it has not seen, Forage refuses unless told to skip it or to take the "
             "average of those it knows. Here %s users and %s products arrive after training, in %zu worlds with "
             "catalogue, users and log of their own.",
             pool_count(pool, cold->users_new), pool_count(pool, cold->items_new), cold->seeds);
    story_figure(story, CHAPTER1_NEW_USERS);
    arms_table(story, "New users", cold->user_arms, cold->user_arm_count);
    page_say(
        story->html,
        "The average of all users is no user. Predicted rates are off by %s (root mean square) for those it knows, "
        "and by %s for new users.",
        pool_points(pool, cold->rmse_known.value), pool_points(pool, cold->rmse_new_user.value));
    story_figure(story, CHAPTER1_NEW_PRODUCTS);
    arms_table(story, "New products", cold->item_arms, cold->item_arm_count);
    page_say(story->html,
             "Scored as the average product, the new ones get %s of all first choices; their share of the catalogue is "
             "%s. Their predicted rates are off by %s.",
             pool_percent_estimate(pool, &cold->new_item_share), pool_percent(pool, cold->new_item_fair_share),
             pool_points(pool, cold->rmse_new_item.value));
    page_end_section(story->html);
}

static void drift_section(const report_story *story)
{
    const forage_drift *drift = &chapter_of(story)->drift;
    report_pool *pool = story->pool;
    page_section(story->html, "drift", "Flaw 2: it does not notice that tastes change");
    page_say(
        story->html,
        "At half time, after %s of %zu days, %s of the users become another persona, as a puppy’s owner becomes a "
        "grown "
        "dog’s. Every day brings %s random visits to the log. One model was trained before and stays as it is; the "
        "other is trained again every night, on the last %zu days. The curves are what each would earn by showing "
        "every user its first choice, in %zu worlds.",
        pool_fixed(pool, drift->event_day, 0), drift->series_count > 0 ? drift->series[0].count : 0,
        pool_percent(pool, drift->drifted_share), pool_count(pool, drift->visits_per_day), drift->window_days,
        drift->seeds);
    story_figure(story, CHAPTER1_DRIFT);
    static const char *const header[] = {"Click rate", "Before", "After, never retrained",
                                         "Last day, retrained nightly"};
    const char *const cells[] = {
        "All users",
        pool_percent_estimate(pool, &drift->before),
        pool_percent_estimate(pool, &drift->after),
        pool_percent_estimate(pool, &drift->recovered),
        "Those whose tastes change",
        pool_percent_estimate(pool, &drift->before_drifted),
        pool_percent_estimate(pool, &drift->after_drifted),
        pool_percent_estimate(pool, &drift->recovered_drifted),
    };
    page_table(story->html, story->pool, NULL, header, 4, cells, 2);
    if (drift->days_to_recover > 0)
        page_say(story->html,
                 "The model that is never retrained stays where it fell. Training every night wins nine tenths of the "
                 "loss back, after %zu nights: until then, much of what it reads was clicked with the old tastes. And "
                 "each night costs a whole training.",
                 drift->days_to_recover);
    else
        page_say(story->html,
                 "Within the days that were measured, training every night did not win nine tenths of the loss back: "
                 "much of what it reads was clicked with the old tastes.");
    page_end_section(story->html);
}

static void loop_section(const report_story *story)
{
    const forage_feedback_loop *loop = &chapter_of(story)->feedback_loop;
    report_pool *pool = story->pool;
    page_section(story->html, "feedback-loop", "Flaw 3: it teaches itself what it already believes");
    page_say(story->html,
             "The first training sees %s visits of random traffic. Then the model directs the traffic: each of the %s "
             "visits of a round is shown its first choice, and it is trained again on what came of that. Beside it, a "
             "model that goes on learning from random traffic. Everything is repeated in %zu worlds.",
             pool_count(pool, loop->first_interactions), pool_count(pool, loop->round_interactions), loop->seeds);
    story_figure(story, CHAPTER1_LOOP);
    static const char *const header[] = {"After the last round", "Products shown", "Click rate", "Lost to the oracle",
                                         "Error of predicted rates"};
    const char **cells = pool_take(pool, 5 * loop->arm_count + 1, sizeof *cells);
    for (size_t a = 0; cells && a < loop->arm_count; ++a) {
        const forage_loop_round *last = &loop->arms[a].rounds[loop->round_count - 1];
        cells[5 * a] = pool_format(pool, "%s\n%s", loop->arms[a].name, loop->arms[a].note);
        cells[5 * a + 1] = pool_fixed_estimate(pool, &last->distinct, 1);
        cells[5 * a + 2] = pool_percent_estimate(pool, &last->click_rate);
        cells[5 * a + 3] = pool_points(pool, last->lost.value);
        cells[5 * a + 4] = pool_points(pool, last->rmse.value);
    }
    if (cells)
        page_table(story->html, story->pool, NULL, header, 5, cells, loop->arm_count);
    if (loop->arm_count > 2)
        page_say(
            story->html,
            "The difference between the last two is the random traffic of the first log: with it in every training "
            "the model ends %s below the oracle, without it %s.",
            pool_points(pool, loop->arms[1].rounds[loop->round_count - 1].lost.value),
            pool_points(pool, loop->arms[2].rounds[loop->round_count - 1].lost.value));
    page_say(story->html,
             "Nothing in a log of its own choices tells the model about the products it did not show. That is what "
             "exploration is for: to show something else now and then, on purpose, with a known probability.");
    page_end_section(story->html);
}

static void lessons_section(const report_story *story)
{
    const forage_chapter1 *chapter = story->record;
    const forage_cold_start *cold = &chapter->cold_start;
    const forage_drift *drift = &chapter->drift;
    const forage_loop_arm *own = &chapter->feedback_loop.arms[chapter->feedback_loop.arm_count - 1];
    const forage_loop_round *last = &own->rounds[chapter->feedback_loop.round_count - 1];
    report_pool *pool = story->pool;
    page_section(story->html, "lessons", "What to take away");
    report_format(story->html,
                  "<ul>\n<li>On its own ground the baseline is good: it earns %s of what the best possible choice "
                  "earns, and its numbers can be believed to %s.</li>\n",
                  pool_percent(pool, chapter->choice.model / chapter->choice.oracle),
                  pool_points(pool, chapter->metrics.ece.value));
    if (cold->user_arm_count > 1)
        report_format(
            story->html, "<li>A new user costs %s of click rate until the next training; a known one %s.</li>\n",
            pool_points(pool, cold->user_arms[1].lost.value), pool_points(pool, cold->user_arms[0].lost.value));
    report_format(story->html, "<li>A change of taste costs those users %s, until they are trained on again.</li>\n",
                  pool_points(pool, drift->before_drifted.value - drift->after_drifted.value));
    report_format(
        story->html, "<li>Fed with its own traffic alone, the model shows %s of %zu products and loses %s.</li>\n",
        pool_fixed(pool, last->distinct.value, 1), chapter->feedback_loop.items, pool_points(pool, last->lost.value));
    report_add(story->html,
               "<li>All three have one cause: learning happens in batches, from what others decided to show. "
               "Learning from every click, and exploring on purpose, are the ways out that the next "
               "chapters try.</li>\n</ul>\n");
    page_end_section(story->html);
}

static void method_section(const report_story *story)
{
    const forage_chapter1 *chapter = story->record;
    report_pool *pool = story->pool;
    page_section(story->html, "method", "How it was measured");
    report_add(story->html, "<ul>\n");
    report_format(story->html,
                  "<li>One log, one training: scenario seed %llu; rows of training and validation are separated at "
                  "random (%s and %s rows). Nothing was chosen by looking at the validation rows.</li>\n",
                  (unsigned long long)chapter->seed, pool_count(pool, chapter->training.train_rows),
                  pool_count(pool, chapter->training.validation_rows));
    report_add(story->html,
               "<li>Intervals of metrics on rows are 95\u00a0% bootstrap intervals. Intervals in the three experiments "
               "are 95\u00a0% Student’s t intervals over worlds, each with its own catalogue, users, log and initial "
               "weights.</li>\n"
               "<li>Click rates of choices are expected ones: the mean of the true click probability of what is shown. "
               "No luck of clicking is in them. “Lost” is the oracle’s rate minus that.</li>\n");
    report_format(story->html, "<li>Forage %s on %s; the whole chapter took %s s.</li>\n</ul>\n",
                  pool_html(pool, forage_version()), pool_html(pool, chapter->training.device),
                  pool_fixed(pool, chapter->seconds, 1));
    story_again(story);
    page_end_section(story->html);
}

static void sections(const report_story *story)
{
    data_section(story);
    training_section(story);
    predictions_section(story);
    calibration_section(story);
    cold_section(story);
    drift_section(story);
    loop_section(story);
    lessons_section(story);
    method_section(story);
}

static const char *const links[][2] = {
    {"data", "The data"},
    {"training", "Training"},
    {"predictions", "What it predicts"},
    {"calibration", "Calibration"},
    {"cold-start", "Flaw 1: cold start"},
    {"drift", "Flaw 2: no adaptation"},
    {"feedback-loop", "Flaw 3: feedback loop"},
    {"lessons", "What to take away"},
    {"method", "How it was measured"},
};

static bool describe(const void *record, report_pool *pool, forage_chart *charts)
{
    return chapter1_describe(record, pool, charts);
}

static forage_status json(const void *record, char **text, forage_error *error)
{
    return forage_chapter1_json(record, text, error);
}

const report_chapter report_chapter1 = {
    .folder = "chapter-1",
    .kicker = "Forage · Chapter 1 · the batched baseline",
    .title = "A recommender trained once, on yesterday’s log",
    .lead = "A simulated shop with known tastes, a neural network trained on its log, how near it comes to the best "
            "possible, and the three flaws of learning in batches, measured.",
    .links = links,
    .link_count = sizeof links / sizeof *links,
    .chart_count = CHAPTER1_CHARTS,
    .describe = describe,
    .keys = keys,
    .sections = sections,
    .json = json,
};
