/*
 * Chapter 3 as part of a page. Every number in it comes from the record; sentences say what was measured and leave it
 * to the numbers how much that is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "report/chapter3.h"
#include "report/page.h"

#include <math.h>

static const forage_chapter3 *chapter_of(const report_story *story)
{
    return story->record;
}

static const forage_predictor *seen(const report_story *story, const char *name)
{
    return chapter3_predictor(&chapter_of(story)->users.table, name);
}

static const forage_predictor *in_session(const report_story *story, size_t which, const char *name)
{
    return chapter3_predictor(&chapter_of(story)->sessions[which].table, name);
}

static const char *loss(const report_story *story, const forage_predictor *one)
{
    return pool_fixed(story->pool, one->loss.value, 4);
}

/* "1.30 % (1.10 % to 1.52 %)" */
static const char *share_of(const report_story *story, const forage_estimate *share)
{
    report_pool *pool = story->pool;
    if (!isfinite(share->low))
        return chapter3_share(pool, share->value);
    return pool_format(pool, "%s (%s to %s)", chapter3_share(pool, share->value), chapter3_share(pool, share->low),
                       chapter3_share(pool, share->high));
}

static void keys(const report_story *story)
{
    const forage_chapter3 *chapter = story->record;
    report_pool *pool = story->pool;
    const forage_predictor *best = seen(story, CHAPTER3_SEQUENCE), *bag = seen(story, CHAPTER3_BAG);
    const page_key list[] = {
        {"New users, above the limit", chapter3_share(pool, best->late.value),
         pool_format(pool, "log loss of the sequence model beside that of who knows the personas, from visit %s on",
                     pool_fixed(pool, chapter->users.table.late, 0))},
        {"A bag of clicks instead", chapter3_share(pool, bag->late.value), "the same, without any order"},
        {"And no history at all", chapter3_share(pool, seen(story, CHAPTER3_BLIND)->late.value),
         "the same network, which sees the product alone"},
        {"Order saves, with intents",
         pool_fixed(pool, in_session(story, FORAGE_CHAPTER3_INTENTS, CHAPTER3_BAG)->loss_behind.value, 4),
         "nats of log loss per visit, against the bag"},
        {"And without them",
         pool_fixed(pool, in_session(story, FORAGE_CHAPTER3_STEADY, CHAPTER3_BAG)->loss_behind.value, 4),
         "the same in the twin, whose sessions have none"},
    };
    page_keys(story->html, list, sizeof list / sizeof *list);
}

/* ------------------------------------------------------------------ *
 * Tables
 * ------------------------------------------------------------------ */

enum { COLUMNS = 6 };

/* `late_name`: what the rows are called from the table's late point on. */
static void predictors_table(const report_story *story, const forage_predictor_table *table, const char *late_name,
                             const char *caption)
{
    const char *const header[COLUMNS] = {"Who predicts",         "Log loss", "AUC",
                                         "Log loss above bayes", late_name,  "Log loss more than bst"};
    report_pool *pool = story->pool;
    const char **cells = pool_take(pool, COLUMNS * table->predictor_count + 1, sizeof *cells);
    for (size_t a = 0; cells && a < table->predictor_count; ++a) {
        const forage_predictor *one = &table->predictors[a];
        const char **row = &cells[COLUMNS * a];
        row[0] = pool_format(pool, "%s\n%s", one->name, one->note);
        row[1] = pool_fixed_estimate(pool, &one->loss, 4);
        row[2] = pool_fixed_estimate(pool, &one->auc, 4);
        row[3] = share_of(story, &one->more);
        row[4] = share_of(story, &one->late);
        row[5] = pool_fixed_estimate(pool, &one->loss_behind, 4);
    }
    if (cells)
        page_table(story->html, pool, caption, header, COLUMNS, cells, table->predictor_count);
}

/* ------------------------------------------------------------------ *
 * Sections
 * ------------------------------------------------------------------ */

static void who_section(const report_story *story)
{
    const forage_chapter3 *chapter = story->record;
    report_pool *pool = story->pool;
    page_section(story->html, "who", "Who predicts");
    page_say(story->html,
             "Someone is shown a product. Will they click? What the shop knows of them are the visits before this one: "
             "what was shown, whether they clicked, and when. A behaviour-sequence transformer (<code>bst</code>) "
             "reads these visits, and the product shown now, as one sequence, in which every part may look at every "
             "other. It has no entry for a user: who somebody is, and what they are up to, must follow from what they "
             "did.");
    page_say(story->html,
             "Two relatives of it say what the reading is worth. The <em>bag of history</em> is the same network over "
             "the mean of the products clicked: it knows what, but not when. The <em>history-blind</em> one sees the "
             "product alone. And two references know more than can be learned: <code>bayes</code> knows how often "
             "every kind of customer clicks on what, and reckons by Bayes’ rule who this is; nobody who sees no more "
             "than the visits can do better on average. The <code>oracle</code> knows who it is. All learn from the "
             "same %s visits of random traffic, and predict the same visits after them.",
             pool_count(pool, chapter->users.visits));
    page_end_section(story->html);
}

static void users_section(const report_story *story)
{
    const forage_chapter3 *chapter = story->record;
    const forage_moment_users *users = &chapter->users;
    const forage_predictor_table *table = &users->table;
    const forage_predictor *best = seen(story, CHAPTER3_SEQUENCE), *bag = seen(story, CHAPTER3_BAG);
    report_pool *pool = story->pool;
    size_t last = table->point_count - 1, within = chapter3_within(table, CHAPTER3_SEQUENCE, 0.01);
    page_section(story->html, "unseen", "Users whom no model has seen");
    page_say(story->html,
             "The models learn from visits of %s users. Then %s others come, and each click of their first %zu visits "
             "is predicted from those before it. No model is trained again, and none has a place for these users: "
             "chapter 1’s model would take every one of them for the average user.",
             pool_count(pool, users->users), pool_count(pool, users->newcomers), table->point_count);
    story_figure(story, CHAPTER3_LIFE);
    page_say(story->html,
             "At the first visit nobody knows anything, and all are as good as each other: %s with the sequence, %s "
             "without. At visit %zu it is %s against %s, and %s for who knows the personas. What is left to the "
             "oracle, %s, is what a few clicks leave open.",
             pool_fixed(pool, best->log_loss[0].value, 3),
             pool_fixed(pool, seen(story, CHAPTER3_BLIND)->log_loss[0].value, 3), last + 1,
             pool_fixed(pool, best->log_loss[last].value, 3),
             pool_fixed(pool, seen(story, CHAPTER3_BLIND)->log_loss[last].value, 3),
             pool_fixed(pool, seen(story, CHAPTER3_BAYES)->log_loss[last].value, 3),
             pool_fixed(pool, seen(story, CHAPTER3_ORACLE)->log_loss[last].value, 3));
    story_figure(story, CHAPTER3_EXCESS);
    predictors_table(story, table, pool_format(pool, "From visit %s on", pool_fixed(pool, table->late, 0)),
                     pool_format(pool, "All %s visits of new users", pool_count(pool, users->newcomers * (last + 1))));
    page_say(story->html,
             "From visit %s on, the sequence model is %s above <code>bayes</code>, and the bag of what was clicked %s. "
             "%s The personas of this shop never change, so order tells nothing about them; what the sequence model "
             "has before the bag is that it reads what was shown in vain, too.",
             pool_fixed(pool, table->late, 0), share_of(story, &best->late), share_of(story, &bag->late),
             within
                 ? pool_format(pool,
                               "Visit by visit (means of %d in a row) it is within 1\u00a0%% of the limit from visit "
                               "%zu on.",
                               CHAPTER3_WINDOW, within)
                 : "Even at the last visits it is not within 1\u00a0% of the limit.");
    page_end_section(story->html);
}

static void sessions_section(const report_story *story)
{
    const forage_chapter3 *chapter = story->record;
    const forage_moment_sessions *intents = &chapter->sessions[FORAGE_CHAPTER3_INTENTS];
    const forage_predictor *best = in_session(story, FORAGE_CHAPTER3_INTENTS, CHAPTER3_SEQUENCE);
    const forage_predictor *known = in_session(story, FORAGE_CHAPTER3_INTENTS, CHAPTER3_KNOWN);
    const forage_predictor *limit = in_session(story, FORAGE_CHAPTER3_INTENTS, CHAPTER3_BAYES);
    report_pool *pool = story->pool;
    size_t last = intents->table.point_count - 1;
    page_section(story->html, "intents", "An aquarium for the dog owner");
    page_say(story->html,
             "Now people come in sessions of %zu visits, and half of the sessions are about something else than what "
             "their visitor usually likes: an aquarium, something for somebody’s cat or dog. Nobody is told; the "
             "intent shows in what is clicked, and the session in that its visits are close together in time. Models "
             "learn from %s visits and predict the %s after them, %s of which are in a session with an intent. The "
             "twin of this shop has the same people at the same times, without intents. Everybody is known from "
             "earlier sessions here, so chapter 1’s batched model, which knows each user by name, takes part.",
             last + 1, pool_count(pool, intents->visits), pool_count(pool, intents->test_visits),
             pool_percent(pool, intents->intended));
    story_figure(story, CHAPTER3_SESSIONS);
    page_say(story->html,
             "With intents, the first visit of a session is anybody’s guess, and knowing the user is what helps (%s "
             "for the model that knows them by name, %s for the sequence model). Then the session tells what it is "
             "about: at its last visit the sequence model is at %s, the batched one at %s, who filters intents by "
             "Bayes’ rule at %s. The batched model and the bag know what somebody usually likes, and go on believing "
             "it.",
             pool_fixed(pool, known->log_loss[0].value, 3), pool_fixed(pool, best->log_loss[0].value, 3),
             pool_fixed(pool, best->log_loss[last].value, 3), pool_fixed(pool, known->log_loss[last].value, 3),
             pool_fixed(pool, limit->log_loss[last].value, 3));
    for (size_t w = 0; w < FORAGE_CHAPTER3_SHOPS; ++w)
        predictors_table(
            story, &chapter->sessions[w].table,
            pool_format(pool, "From the session’s visit %s on", pool_fixed(pool, chapter->sessions[w].table.late, 0)),
            w == FORAGE_CHAPTER3_INTENTS ? "Sessions, half of which have an intent" : "Sessions without intents");
    page_end_section(story->html);
}

/* Whether a difference is beyond chance. */
static const char *verdict(const report_story *story, const forage_estimate *saved)
{
    if (!isfinite(saved->low))
        return "with a single world there is no interval to tell whether that is chance";
    report_pool *pool = story->pool;
    const char *interval =
        pool_format(pool, "%s to %s", pool_fixed(pool, saved->low, 4), pool_fixed(pool, saved->high, 4));
    return saved->low > 0    ? pool_format(pool, "%s: more than chance", interval)
           : saved->high < 0 ? pool_format(pool, "%s: it loses, beyond chance", interval)
                             : pool_format(pool, "%s: no more than chance", interval);
}

static void order_section(const report_story *story)
{
    report_pool *pool = story->pool;
    page_section(story->html, "order", "When sequence matters most");
    page_say(story->html,
             "The same three comparisons in both shops: what the sequence model saves per visit, world by world.");
    story_figure(story, CHAPTER3_ORDER);
    for (size_t w = 0; w < FORAGE_CHAPTER3_SHOPS; ++w) {
        const forage_predictor *bag = in_session(story, w, CHAPTER3_BAG);
        const forage_predictor *blind = in_session(story, w, CHAPTER3_BLIND);
        page_say(story->html,
                 "%s, it saves %s nats against the bag of history (%s), and raises AUC by %s. Against no history at "
                 "all it saves %s.",
                 w == FORAGE_CHAPTER3_INTENTS ? "With intents" : "Without", pool_fixed(pool, bag->loss_behind.value, 4),
                 verdict(story, &bag->loss_behind), pool_fixed(pool, bag->auc_behind.value, 4),
                 pool_fixed(pool, blind->loss_behind.value, 4));
    }
    page_end_section(story->html);
}

static void lessons_section(const report_story *story)
{
    const forage_chapter3 *chapter = story->record;
    report_pool *pool = story->pool;
    const forage_predictor *best = seen(story, CHAPTER3_SEQUENCE), *blind = seen(story, CHAPTER3_BLIND);
    page_section(story->html, "chapter-3-lessons", "What to take away");
    report_format(story->html,
                  "<ul>\n<li>New users need no training: read as a sequence, what they did so far takes log loss from "
                  "%s to %s over their first %zu visits; who knows the personas reaches %s.</li>\n",
                  loss(story, blind), loss(story, best), chapter->users.table.point_count,
                  loss(story, seen(story, CHAPTER3_BAYES)));
    report_format(story->html,
                  "<li>Order pays where the moment differs from the person: against the bag of history it saves %s "
                  "nats per visit with intents, and %s without.</li>\n",
                  pool_fixed(pool, in_session(story, FORAGE_CHAPTER3_INTENTS, CHAPTER3_BAG)->loss_behind.value, 4),
                  pool_fixed(pool, in_session(story, FORAGE_CHAPTER3_STEADY, CHAPTER3_BAG)->loss_behind.value, 4));
    report_format(story->html,
                  "<li>Knowing users by name is not enough when they want something else today: the batched model’s "
                  "log loss is %s with intents, and %s without; the sequence model’s %s and %s.</li>\n",
                  loss(story, in_session(story, FORAGE_CHAPTER3_INTENTS, CHAPTER3_KNOWN)),
                  loss(story, in_session(story, FORAGE_CHAPTER3_STEADY, CHAPTER3_KNOWN)),
                  loss(story, in_session(story, FORAGE_CHAPTER3_INTENTS, CHAPTER3_SEQUENCE)),
                  loss(story, in_session(story, FORAGE_CHAPTER3_STEADY, CHAPTER3_SEQUENCE)));
    report_add(story->html,
               "<li>Where tastes are steady, a bag of clicks is a good and much cheaper answer. Whether a shop’s own "
               "log is of the one kind or the other is told by training both.</li>\n</ul>\n");
    page_end_section(story->html);
}

static void method_section(const report_story *story)
{
    const forage_chapter3 *chapter = story->record;
    const forage_moment_sessions *sessions = &chapter->sessions[0];
    report_pool *pool = story->pool;
    page_section(story->html, "chapter-3-method", "How it was measured");
    report_format(
        story->html,
        "<ul>\n<li>New users: scenario <code>%s</code>, seed %llu, %s products. Sessions: scenarios <code>%s</code> "
        "and <code>%s</code>, %s users, %zu sessions under way at a time. Means over %zu worlds, each with catalogue, "
        "users, log and initial numbers of its own; intervals are 95\u00a0%% Student’s t intervals over worlds.</li>\n"
        "<li>What comes before a visit is what happened strictly earlier, whether a model learned from it or not; "
        "nothing that comes later is ever read. Models read the last 50 visits at most.</li>\n"
        "<li>Log loss is the mean of minus the logarithm of the probability given to what the user does, averaged over "
        "a click and none as the truth has it: so the luck of the single click, the same for everybody, is left out. "
        "AUC is about the clicks that happened. “Above <code>bayes</code>” compares log losses on the same rows, world "
        "by world.</li>\n"
        "<li>One row in twenty of those to learn from says when training ends. Settings were chosen in other worlds "
        "than these.</li>\n"
        "<li>Forage %s on %s; the whole chapter took %s s.</li>\n</ul>\n",
        pool_html(pool, chapter->scenario), (unsigned long long)chapter->seed, pool_count(pool, chapter->users.items),
        pool_html(pool, sessions->scenario), pool_html(pool, chapter->sessions[1].scenario),
        pool_count(pool, sessions->users), sessions->active, chapter->seeds, pool_html(pool, forage_version()),
        pool_html(pool, chapter->device), pool_fixed(pool, chapter->seconds, 1));
    story_again(story);
    page_end_section(story->html);
}

static void sections(const report_story *story)
{
    who_section(story);
    users_section(story);
    sessions_section(story);
    order_section(story);
    lessons_section(story);
    method_section(story);
}

static const char *const links[][2] = {
    {"who", "Who predicts"},
    {"unseen", "Users whom no model has seen"},
    {"intents", "An aquarium for the dog owner"},
    {"order", "When sequence matters most"},
    {"chapter-3-lessons", "What to take away"},
    {"chapter-3-method", "How it was measured"},
};

static forage_status json(const void *record, char **text, forage_error *error)
{
    return forage_chapter3_json(record, text, error);
}

const report_chapter report_chapter3 = {
    .folder = "chapter-3",
    .kicker = "Forage · Chapter 3 · the session in the moment",
    .title = "What somebody wants now",
    .lead = "A transformer over what somebody has just done: how soon it understands users whom it has never seen, and "
            "when the order of their visits tells more than the sum.",
    .links = links,
    .link_count = sizeof links / sizeof *links,
    .chart_count = CHAPTER3_CHARTS,
    .describe = chapter3_describe,
    .keys = keys,
    .sections = sections,
    .json = json,
};
